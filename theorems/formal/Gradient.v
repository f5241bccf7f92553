(** * Back-propagation (math §1, "Gradients") and the zero-gradient fact *)

From Coq Require Import Reals List Lia Lra.
From Nonconv Require Import Network.
Open Scope R_scope.

(** The sum of f over a list of indices, repetitions counted. *)
Fixpoint total (B : list nat) (f : nat -> R) : R :=
  match B with
  | nil => 0
  | cons m C => f m + total C f
  end.

Section Gradient.
Context {P : problem}.

(** A minibatch: a non-empty finite list of indices of the given data, repetitions allowed. *)
Definition minibatch (B : list nat) : Prop := B <> nil /\ forall m, In m B -> (m < samples)%nat.

(** The loss of a minibatch: its mean square error. *)
Definition loss (B : list nat) (theta : parameters) : R :=
  / INR (length B) * total B (fun m => distance2 (network theta (input m)) (label m)).

(** delta^L(x_m) = (2/|B|) (N_theta(x_m) - y_m) *)
Definition output_error (B : list nat) (theta : parameters) (m o : nat) : R :=
  2 / INR (length B) * (network theta (input m) o - label m o).

(** The backward recursion from the output error e; r counts the layers above: backward r is delta^{L-r}, and
    delta^k_i = relu'(z^k_i) sum_p W^{k+1}_pi delta^{k+1}_p. See delta_output and delta_hidden below. *)
Fixpoint backward (theta : parameters) (v e : nat -> R) (r i : nat) : R :=
  match r with
  | O => e i
  | S s =>
      relu' (preactivation theta v (depth - S s) i)
      * sum (width (depth - s)) (fun p => weight theta (depth - s) p i * backward theta v e s p)
  end.

(** delta^k(x_m) on the minibatch B *)
Definition delta (B : list nat) (theta : parameters) (m k : nat) : nat -> R :=
  backward theta (input m) (output_error B theta m) (depth - k).

(** The gradient on the minibatch B: the partial derivatives for W^k_iq and for b^k_i. *)
Definition gradient_weight (B : list nat) (theta : parameters) (k i q : nat) : R :=
  total B (fun m => delta B theta m k i * activation theta (input m) (pred k) q).

Definition gradient_bias (B : list nat) (theta : parameters) (k i : nat) : R :=
  total B (fun m => delta B theta m k i).

(** All coordinates of the incoming (w, b) of neuron i of layer k have zero gradient. *)
Definition zero_gradient (B : list nat) (theta : parameters) (k i : nat) : Prop :=
  (forall q, (q < width (pred k))%nat -> gradient_weight B theta k i q = 0) /\ gradient_bias B theta k i = 0.

(** The recursion as math §1 writes it. *)
Theorem delta_output B theta m o : delta B theta m depth o = output_error B theta m o.
Proof. unfold delta. rewrite PeanoNat.Nat.sub_diag. reflexivity. Qed.

Theorem delta_hidden B theta m k i : (k < depth)%nat ->
  delta B theta m k i =
  relu' (preactivation theta (input m) k i)
  * sum (width (S k)) (fun p => weight theta (S k) p i * delta B theta m (S k) p).
Proof.
  intros Hk. unfold delta. replace (depth - k)%nat with (S (depth - S k)) by lia. simpl.
  replace (depth - S (depth - S k))%nat with k by lia.
  replace (depth - (depth - S k))%nat with (S k) by lia. reflexivity.
Qed.

Lemma total_zero B f : (forall m, In m B -> f m = 0) -> total B f = 0.
Proof. induction B; intros E; simpl; [reflexivity | rewrite IHB, E; simpl in *; auto; ring]. Qed.

Lemma zero_delta_zero_gradient B theta k i :
  (forall m, In m B -> delta B theta m k i = 0) -> zero_gradient B theta k i.
Proof.
  intros E. split.
  - intros q Hq. apply total_zero. intros m Hm. rewrite E; [ring | exact Hm].
  - apply total_zero, E.
Qed.

Lemma dead_delta B theta k i m : hidden k -> dead theta k i -> (m < samples)%nat -> delta B theta m k i = 0.
Proof. intros Hk D Hm. rewrite delta_hidden by apply Hk. rewrite relu'_of_nonpositive; [ring | auto]. Qed.

(** Zero-gradient fact, first part: a dead neuron gets no gradient, whatever the minibatch. *)
Theorem dead_neuron_zero_gradient B theta k i :
  minibatch B -> hidden k -> dead theta k i -> zero_gradient B theta k i.
Proof. intros [_ HB] Hk D. apply zero_delta_zero_gradient. intros m Hm. apply dead_delta; auto. Qed.

(** Zero-gradient fact, second part: below and in a dead layer nothing gets a gradient. *)
Theorem dead_layer_zero_gradient B theta k j i :
  minibatch B -> hidden k -> dead_layer theta k -> (1 <= j <= k)%nat -> (i < width j)%nat -> zero_gradient B theta j i.
Proof.
  intros [_ HB] Hk D Hj Hi. apply zero_delta_zero_gradient. intros m Hm.
  cut (forall d j i, (j + d = k)%nat -> (i < width j)%nat -> delta B theta m j i = 0).
  { intros E. apply (E (k - j)%nat); lia. }
  clear j i Hj Hi. induction d as [| d IH]; intros j i Hj Hi.
  - replace j with k in * by lia. apply dead_delta; auto.
  - rewrite delta_hidden by (unfold hidden in Hk; lia). rewrite sum_zero; [ring |].
    intros p Hp. rewrite IH; [ring | lia | exact Hp].
Qed.

End Gradient.
