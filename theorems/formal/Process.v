(** * Training processes and the hypotheses on the optimizer (math §1 and §2) *)

From Coq Require Import Reals List Lia Lra.
From Nonconv Require Import Network Gradient.
Open Scope R_scope.

(** ** The training process (math §1, "Process")

    Theta 0, Theta 1, ... are the parameters; the gradient of step n >= 1 is taken at the evaluation point Eval n on the
    minibatch batch n. Nothing else is asked of the three sequences. Every sequence is of the form
    Theta_n = Theta_{n-1} - Phi_n (all that came before), so that "for every process" means: for every optimizer, every
    learning rate, every choice of minibatches, and every outcome of what is random in them. *)
Class process {P : problem} := {
  Theta : nat -> parameters;
  Eval : nat -> parameters;
  batch : nat -> list nat;
  batch_is_minibatch : forall n, (1 <= n)%nat -> minibatch (batch n)
}.

Section Process.
Context {P : problem} {T : process}.

(** The gradients of all coordinates of the (w, b) of neuron i of layer k were zero at steps 1, ..., n. *)
Definition untouched (n k i : nat) : Prop :=
  forall s, (1 <= s <= n)%nat -> zero_gradient (batch s) (Eval s) k i.

(** ** What may happen to the (w, b) of one neuron *)

Definition move : Type := nat -> nat -> parameters -> parameters -> Prop.

(** (w, b) becomes (c w, c' b). *)
Definition scaled (c c' : R) (k i : nat) (old new : parameters) : Prop :=
  (forall q, (q < width (pred k))%nat -> weight new k i q = c * weight old k i q) /\ bias new k i = c' * bias old k i.

Definition same (k i : nat) (old new : parameters) : Prop :=
  (forall q, (q < width (pred k))%nat -> weight new k i q = weight old k i q) /\ bias new k i = bias old k i.

Definition scaling (k i : nat) (old new : parameters) : Prop := exists c, 0 <= c /\ scaled c c k i old new.

Definition decay (k i : nat) (old new : parameters) : Prop :=
  exists c c', 0 <= c <= c' /\ c' <= 1 /\ scaled c c' k i old new.

Definition split_scaling (k i : nat) (old new : parameters) : Prop :=
  exists c c', 0 <= c /\ 0 <= c' /\ scaled c c' k i old new.

(** ** Hypotheses on the optimizer (math §2), each for one neuron *)

(** If the neuron's gradients were zero at steps 1, ..., n + 1, then step n + 1 makes an allowed move. *)
Definition step_rule (allowed : move) (k i : nat) : Prop :=
  forall n, untouched (S n) k i -> allowed k i (Theta n) (Theta (S n)).

(** Evaluation rule (math §1): an untouched (w, b) is the same at the evaluation point, or comes from an allowed move. *)
Definition evaluation_rule (allowed : move) (k i : nat) : Prop :=
  forall n, untouched n k i -> same k i (Theta n) (Eval (S n)) \/ allowed k i (Theta n) (Eval (S n)).

Definition obeys (allowed : move) (k i : nat) : Prop := step_rule allowed k i /\ evaluation_rule allowed k i.

Definition FB : nat -> nat -> Prop := obeys same.
Definition Sc : nat -> nat -> Prop := obeys scaling. (* (S) of math §2; S is the successor here *)
Definition D : nat -> nat -> Prop := obeys decay.
Definition SS : nat -> nat -> Prop := obeys split_scaling.

(** (F), for every coordinate of the parameters. *)
Definition F : Prop :=
  (forall k i q n, (1 <= k <= depth)%nat -> (i < width k)%nat -> (q < width (pred k))%nat ->
     (forall s, (1 <= s <= S n)%nat -> gradient_weight (batch s) (Eval s) k i q = 0) ->
     weight (Theta (S n)) k i q = weight (Theta n) k i q) /\
  (forall k i n, (1 <= k <= depth)%nat -> (i < width k)%nat ->
     (forall s, (1 <= s <= S n)%nat -> gradient_bias (batch s) (Eval s) k i = 0) ->
     bias (Theta (S n)) k i = bias (Theta n) k i).

(** (SL): one common factor c for the weights of the untouched neurons of a layer, at each step and evaluation point. *)
Definition SL (k : nat) : Prop :=
  (forall n, exists c, 0 <= c /\ forall i, (i < width k)%nat -> untouched (S n) k i ->
     exists c', 0 <= c' /\ scaled c c' k i (Theta n) (Theta (S n))) /\
  (forall n, exists c, 0 <= c /\ forall i, (i < width k)%nat -> untouched n k i ->
     exists c', 0 <= c' /\ scaled c c' k i (Theta n) (Eval (S n))).

Lemma same_is_scaled k i old new : same k i old new -> scaled 1 1 k i old new.
Proof. intros [W B]. split; [intros q Hq; rewrite W by exact Hq | rewrite B]; ring. Qed.

(** (F) implies (FB); (FB) implies (S), (D) and (SS); (S) and (D) imply (SS). *)
Theorem F_implies_FB k i : F -> evaluation_rule same k i -> hidden k -> (i < width k)%nat -> FB k i.
Proof.
  intros [FW Fb] E Hk Hi. split; [| exact E]. intros n U. unfold hidden in Hk. split.
  - intros q Hq. apply FW; try lia. intros s Hs. apply (U s Hs), Hq.
  - apply Fb; try lia. intros s Hs. apply (U s Hs).
Qed.

Lemma obeys_weaker (a b : move) k i : (forall old new, a k i old new -> b k i old new) -> obeys a k i -> obeys b k i.
Proof. intros I [St Ev]. split; intros n U; [auto | destruct (Ev n U); auto]. Qed.

Theorem FB_implies_S k i : FB k i -> Sc k i.
Proof. apply obeys_weaker. intros old new E. exists 1. split; [lra | apply same_is_scaled, E]. Qed.

Theorem FB_implies_D k i : FB k i -> D k i.
Proof. apply obeys_weaker. intros old new E. exists 1, 1. repeat split; try lra; apply same_is_scaled, E. Qed.

Theorem S_implies_SS k i : Sc k i -> SS k i.
Proof. apply obeys_weaker. intros old new (c & Hc & E). exists c, c. auto. Qed.

Theorem D_implies_SS k i : D k i -> SS k i.
Proof. apply obeys_weaker. intros old new (c & c' & Hc & _ & E). exists c, c'. repeat split; try lra; apply E. Qed.

End Process.
