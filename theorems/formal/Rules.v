(** * Update rules that satisfy (F) (math §7)

    SGD, momentum, Nesterov, Adagrad, RMSProp, Adam, Adamax, AMSGrad, Nadam. *)

From Coq Require Import Reals List Lia Lra.
From Nonconv Require Import Network Gradient Process Freeze Risk.
Open Scope R_scope.

(** A rule that acts coordinate by coordinate. At step t = 1, 2, ... a coordinate with state s and gradient g gets the
    state update t s g, and step t s g is subtracted from it; before, look t s is subtracted for the evaluation point
    (0 but for look-ahead methods). Coq's division and square root are total: well_defined lists what must hold so that
    the rule divides by numbers other than 0 and takes roots of numbers >= 0. *)
Record rule := {
  state : Type;
  start : state;
  update : nat -> state -> R -> state;
  step : nat -> state -> R -> R;
  look : nat -> state -> R;
  well_defined : nat -> state -> R -> Prop
}.

(** The state after steps 1, ..., n with the gradients g 1, ..., g n. *)
Fixpoint state_after (r : rule) (g : nat -> R) (n : nat) : state r :=
  match n with
  | O => start r
  | S m => update r n (state_after r g m) (g n)
  end.

(** The freeze criterion: a set Z of states that contains the first one, that gradients 0 do not leave, and in which the
    step of a gradient 0 is defined and 0. *)
Definition freezes (r : rule) : Prop := exists Z : state r -> Prop,
  Z (start r) /\ forall t s, (1 <= t)%nat -> Z s ->
    Z (update r t s 0) /\ well_defined r t s 0 /\ step r t s 0 = 0 /\ look r t s = 0.

Lemma frozen_step r g n : freezes r -> (forall s, (1 <= s <= n)%nat -> g s = 0) ->
  look r (S n) (state_after r g n) = 0 /\
  (g (S n) = 0 -> well_defined r (S n) (state_after r g n) (g (S n)) /\ step r (S n) (state_after r g n) (g (S n)) = 0).
Proof.
  intros (Z & Z0 & ZS) G.
  assert (ZN : Z (state_after r g n)).
  { induction n as [| n IH]; [exact Z0 |]. simpl. rewrite (G (S n)) by lia.
    apply ZS; [lia |]. apply IH. intros. apply G. lia. }
  split; [apply ZS; [lia | exact ZN] |]. intros ->. split; apply ZS; solve [lia | exact ZN].
Qed.

Section Rules.
Context {P : problem} {T : process}.

(** Every coordinate of the process is moved by the rule. *)
Definition weight_gradients (k i q s : nat) : R := gradient_weight (batch s) (Eval s) k i q.
Definition bias_gradients (k i s : nat) : R := gradient_bias (batch s) (Eval s) k i.

Definition follows (r : rule) : Prop :=
  (forall k i q n, (1 <= k <= depth)%nat -> (i < width k)%nat -> (q < width (pred k))%nat ->
     let g := weight_gradients k i q in let s := state_after r g n in
     weight (Theta (S n)) k i q = weight (Theta n) k i q - step r (S n) s (g (S n)) /\
     weight (Eval (S n)) k i q = weight (Theta n) k i q - look r (S n) s) /\
  (forall k i n, (1 <= k <= depth)%nat -> (i < width k)%nat ->
     let g := bias_gradients k i in let s := state_after r g n in
     bias (Theta (S n)) k i = bias (Theta n) k i - step r (S n) s (g (S n)) /\
     bias (Eval (S n)) k i = bias (Theta n) k i - look r (S n) s).

(** A rule that freezes satisfies (F) and the evaluation rule, hence (FB). *)
Theorem freezes_F r : freezes r -> follows r -> F.
Proof.
  intros Fr [FW Fb]. split.
  - intros k i q n Hk Hi Hq G. destruct (FW k i q n Hk Hi Hq) as [-> _].
    destruct (frozen_step r (weight_gradients k i q) n Fr) as [_ St]; [intros; apply G; lia |].
    destruct St as [_ ->]; [apply G; lia | ring].
  - intros k i n Hk Hi G. destruct (Fb k i n Hk Hi) as [-> _].
    destruct (frozen_step r (bias_gradients k i) n Fr) as [_ St]; [intros; apply G; lia |].
    destruct St as [_ ->]; [apply G; lia | ring].
Qed.

Theorem freezes_FB r k i : freezes r -> follows r -> hidden k -> (i < width k)%nat -> FB k i.
Proof.
  intros Fr Fo Hk Hi. apply F_implies_FB; auto; [apply (freezes_F r); auto |].
  unfold hidden in Hk. destruct Fo as [FW Fb]. intros n U. left. split.
  - intros q Hq. destruct (FW k i q n) as [_ ->]; [lia | exact Hi | exact Hq |].
    destruct (frozen_step r (weight_gradients k i q) n Fr) as [-> _]; [| ring]. intros s Hs. apply (U s Hs), Hq.
  - destruct (Fb k i n) as [_ ->]; [lia | exact Hi |].
    destruct (frozen_step r (bias_gradients k i) n Fr) as [-> _]; [| ring]. intros s Hs. apply (U s Hs).
Qed.

(** From a dead hidden layer such a rule does not converge to the optimal risk. *)
Theorem rule_non_convergence r k I : freezes r -> follows r -> hidden k -> dead_layer (Theta 0) k ->
  optimal_risk I -> 0 < between_variance ->
  I < noise_floor + between_variance /\ forall n, noise_floor + between_variance <= risk (Theta n).
Proof. intros Fr Fo Hk. apply dead_layer_non_convergence; auto. intros j i Hj Hi. apply (freezes_FB r); auto. Qed.

End Rules.

(** ** The nine rules (math §7)

    lr t is the learning rate of step t: any schedule, random, any sign; the other sequences likewise. *)

Definition none {A : Type} (_ : nat) (_ : A) : R := 0.

Definition sgd (lr : nat -> R) : rule := {|
  state := unit; start := tt; update _ s _ := s; step t _ g := lr t * g; look := none; well_defined _ _ _ := True
|}.

(** m <- a m + beta_t g; beta_t = 1 - a, or 1, or with a dampening *)
Definition momentum (lr beta : nat -> R) (a : R) : rule := {|
  state := R; start := 0;
  update t m g := a * m + beta t * g;
  step t m g := lr t * (a * m + beta t * g);
  look := none; well_defined _ _ _ := True
|}.

Definition nesterov (lr beta : nat -> R) (a : R) : rule := {|
  state := R; start := 0;
  update t m g := a * m + beta t * g;
  step t m g := lr t * (g + a * (a * m + beta t * g));
  look := none; well_defined _ _ _ := True
|}.

(** The same with the gradient taken at Theta_{t-1} - lr_t a m_{t-1}. *)
Definition nesterov_look_ahead (lr beta : nat -> R) (a : R) : rule := {|
  state := R; start := 0;
  update t m g := a * m + beta t * g;
  step t m g := lr t * (a * m + beta t * g);
  look t m := lr t * a * m; well_defined _ _ _ := True
|}.

Definition adagrad (lr : nat -> R) (eps : R) : rule := {|
  state := R; start := 0;
  update _ v g := v + g ^ 2;
  step t v g := lr t * g / (sqrt (v + g ^ 2) + eps);
  look := none;
  well_defined _ v g := 0 <= v + g ^ 2 /\ sqrt (v + g ^ 2) + eps <> 0
|}.

Definition rmsprop (lr : nat -> R) (b eps : R) : rule := {|
  state := R; start := 0;
  update _ v g := b * v + (1 - b) * g ^ 2;
  step t v g := lr t * g / (sqrt (b * v + (1 - b) * g ^ 2) + eps);
  look := none;
  well_defined _ v g := 0 <= b * v + (1 - b) * g ^ 2 /\ sqrt (b * v + (1 - b) * g ^ 2) + eps <> 0
|}.

(** Both moments, as in Adam: the state is (m, v). *)
Definition moments (a b : R) (s : R * R) (g : R) : R * R :=
  (a * fst s + (1 - a) * g, b * snd s + (1 - b) * g ^ 2).

Definition adam (lr : nat -> R) (a b eps : R) : rule := {|
  state := R * R; start := (0, 0);
  update _ s g := moments a b s g;
  step t s g := let (m, v) := moments a b s g in lr t * (m / (1 - a ^ t)) / (sqrt (v / (1 - b ^ t)) + eps);
  look := none;
  well_defined t s g := let (_, v) := moments a b s g in
    1 - a ^ t <> 0 /\ 1 - b ^ t <> 0 /\ 0 <= v / (1 - b ^ t) /\ sqrt (v / (1 - b ^ t)) + eps <> 0
|}.

(** The state is (m, u). *)
Definition adamax (lr : nat -> R) (a b eps : R) : rule := {|
  state := R * R; start := (0, 0);
  update _ s g := (a * fst s + (1 - a) * g, Rmax (b * snd s) (Rabs g));
  step t s g := lr t * ((a * fst s + (1 - a) * g) / (1 - a ^ t)) / (Rmax (b * snd s) (Rabs g) + eps);
  look := none;
  well_defined t s g := 1 - a ^ t <> 0 /\ Rmax (b * snd s) (Rabs g) + eps <> 0
|}.

(** The state is ((m, v), the largest v so far). *)
Definition amsgrad (lr : nat -> R) (a b eps : R) : rule := {|
  state := (R * R) * R; start := ((0, 0), 0);
  update _ s g := let (m, v) := moments a b (fst s) g in ((m, v), Rmax (snd s) v);
  step t s g := let (m, v) := moments a b (fst s) g in
    lr t * (m / (1 - a ^ t)) / (sqrt (Rmax (snd s) v / (1 - b ^ t)) + eps);
  look := none;
  well_defined t s g := let (_, v) := moments a b (fst s) g in
    1 - a ^ t <> 0 /\ 1 - b ^ t <> 0 /\ 0 <= Rmax (snd s) v / (1 - b ^ t)
    /\ sqrt (Rmax (snd s) v / (1 - b ^ t)) + eps <> 0
|}.

(** mu 1 * ... * mu t *)
Fixpoint product (mu : nat -> R) (t : nat) : R :=
  match t with
  | O => 1
  | S s => product mu s * mu t
  end.

(** The state is (m, v); m is averaged with a_t, which may be constant or mu_t. *)
Definition nadam (lr a mu : nat -> R) (b eps : R) : rule := {|
  state := R * R; start := (0, 0);
  update t s g := moments (a t) b s g;
  step t s g := let (m, v) := moments (a t) b s g in
    lr t * ((1 - mu t) * g / (1 - product mu t) + mu (S t) * m / (1 - product mu (S t)))
    / (sqrt (v / (1 - b ^ t)) + eps);
  look := none;
  well_defined t s g := let (_, v) := moments (a t) b s g in
    1 - product mu t <> 0 /\ 1 - product mu (S t) <> 0 /\ 1 - b ^ t <> 0
    /\ 0 <= v / (1 - b ^ t) /\ sqrt (v / (1 - b ^ t)) + eps <> 0
|}.

Lemma power_below_one b t : 0 <= b < 1 -> (1 <= t)%nat -> 0 < 1 - b ^ t.
Proof. intros Hb Ht. pose proof (pow_lt_1_compat b t Hb). assert (0 <= b ^ t < 1) by (apply H; lia). lra. Qed.

Lemma product_below_one mu t : (forall s, 0 <= mu s < 1) -> (1 <= t)%nat -> 0 <= product mu t < 1.
Proof.
  intros Hmu Ht. induction t as [| [| t] IH]; [lia | simpl; specialize (Hmu 1%nat); lra |].
  assert (0 <= product mu (S t) < 1) by (apply IH; lia).
  change (product mu (S (S t))) with (product mu (S t) * mu (S (S t))). specialize (Hmu (S (S t))). nra.
Qed.

Lemma root_denominator v eps : 0 < eps -> sqrt v + eps <> 0.
Proof. intros He. pose proof (sqrt_pos v). lra. Qed.

Lemma quotient_nonnegative v d : 0 <= v -> 0 < d -> 0 <= v / d.
Proof. intros Hv Hd. apply Rmult_le_pos; [exact Hv | left; apply Rinv_0_lt_compat, Hd]. Qed.

Theorem sgd_freezes lr : freezes (sgd lr).
Proof. exists (fun _ => True). repeat split. simpl. ring. Qed.

Theorem momentum_freezes lr beta a : freezes (momentum lr beta a).
Proof. exists (fun m => m = 0). split; [reflexivity |]. intros t m _ ->. repeat split; simpl; ring. Qed.

Theorem nesterov_freezes lr beta a : freezes (nesterov lr beta a).
Proof. exists (fun m => m = 0). split; [reflexivity |]. intros t m _ ->. repeat split; simpl; ring. Qed.

Theorem nesterov_look_ahead_freezes lr beta a : freezes (nesterov_look_ahead lr beta a).
Proof. exists (fun m => m = 0). split; [reflexivity |]. intros t m _ ->. repeat split; simpl; ring. Qed.

Theorem adagrad_freezes lr eps : 0 < eps -> freezes (adagrad lr eps).
Proof.
  intros He. exists (fun v => 0 <= v). split; [simpl; lra |]. intros t v _ Hv. simpl in *.
  assert (0 <= v + 0 * (0 * 1)) by lra.
  repeat split; auto using root_denominator. unfold Rdiv. ring.
Qed.

Theorem rmsprop_freezes lr b eps : 0 < eps -> 0 <= b < 1 -> freezes (rmsprop lr b eps).
Proof.
  intros He Hb. exists (fun v => 0 <= v). split; [simpl; lra |]. intros t v _ Hv. simpl in *.
  assert (0 <= b * v + (1 - b) * (0 * (0 * 1))) by nra.
  repeat split; auto using root_denominator. unfold Rdiv. ring.
Qed.

Theorem adam_freezes lr a b eps : 0 < eps -> 0 <= a < 1 -> 0 <= b < 1 -> freezes (adam lr a b eps).
Proof.
  intros He Ha Hb. exists (fun s => fst s = 0 /\ 0 <= snd s). split; [simpl; lra |].
  intros t [m v] Ht [Hm Hv]. simpl in *. subst m.
  pose proof (power_below_one a t Ha Ht). pose proof (power_below_one b t Hb Ht).
  assert (0 <= b * v + (1 - b) * (0 * (0 * 1))) by nra.
  repeat split; auto using root_denominator, quotient_nonnegative; unfold Rdiv; solve [ring | lra].
Qed.

Theorem adamax_freezes lr a b eps : 0 < eps -> 0 <= a < 1 -> 0 <= b < 1 -> freezes (adamax lr a b eps).
Proof.
  intros He Ha Hb. exists (fun s => fst s = 0 /\ 0 <= snd s). split; [simpl; lra |].
  intros t [m u] Ht [Hm Hu]. simpl in *. subst m.
  pose proof (power_below_one a t Ha Ht).
  assert (0 <= Rmax (b * u) (Rabs 0)) by (eapply Rle_trans; [apply Rabs_pos | apply Rmax_r]).
  repeat split; auto; unfold Rdiv; solve [ring | lra].
Qed.

Theorem amsgrad_freezes lr a b eps : 0 < eps -> 0 <= a < 1 -> 0 <= b < 1 -> freezes (amsgrad lr a b eps).
Proof.
  intros He Ha Hb. exists (fun s => fst (fst s) = 0 /\ 0 <= snd (fst s) /\ 0 <= snd s). split; [simpl; lra |].
  intros t [[m v] w] Ht (Hm & Hv & Hw). simpl in *. subst m.
  pose proof (power_below_one a t Ha Ht). pose proof (power_below_one b t Hb Ht).
  assert (0 <= b * v + (1 - b) * (0 * (0 * 1))) by nra.
  assert (0 <= Rmax w (b * v + (1 - b) * (0 * (0 * 1)))) by (eapply Rle_trans; [exact Hw | apply Rmax_l]).
  repeat split; auto using root_denominator, quotient_nonnegative; unfold Rdiv; solve [ring | lra].
Qed.

Theorem nadam_freezes lr a mu b eps :
  0 < eps -> 0 <= b < 1 -> (forall t, 0 <= mu t < 1) -> freezes (nadam lr a mu b eps).
Proof.
  intros He Hb Hmu. exists (fun s => fst s = 0 /\ 0 <= snd s). split; [simpl; lra |].
  intros t [m v] Ht [Hm Hv]. simpl in *. subst m.
  pose proof (power_below_one b t Hb Ht). pose proof (product_below_one mu t Hmu Ht).
  assert (Pr : 0 <= product mu (S t) < 1) by (apply product_below_one; [exact Hmu | lia]). simpl in Pr.
  assert (0 <= b * v + (1 - b) * (0 * (0 * 1))) by nra.
  repeat split; auto using root_denominator, quotient_nonnegative; unfold Rdiv; solve [ring | lra].
Qed.

(** ** The hypotheses can be met

    For every problem: SGD, started with zero weights and biases -1, is a process that follows its rule from a dead
    first layer. So rule_non_convergence is not about nothing. *)

Section Example.
Context {P : problem}.

Definition descent_step (c : R) (B : list nat) (theta : parameters) : parameters := {|
  weight k i q := weight theta k i q - c * gradient_weight B theta k i q;
  bias k i := bias theta k i - c * gradient_bias B theta k i
|}.

Fixpoint descent (theta : parameters) (lr : nat -> R) (B : nat -> list nat) (n : nat) : parameters :=
  match n with
  | O => theta
  | S m => descent_step (lr n) (B n) (descent theta lr B m)
  end.

Definition descent_process theta lr B (HB : forall n, (1 <= n)%nat -> minibatch (B n)) : process := {|
  Theta := descent theta lr B;
  Eval n := descent theta lr B (pred n);
  batch := B;
  batch_is_minibatch := HB
|}.

Definition negative : parameters := {| weight _ _ _ := 0; bias _ _ := -1 |}.

Theorem descent_follows_sgd theta lr B HB : @follows P (descent_process theta lr B HB) (sgd lr).
Proof. split; intros; (split; [reflexivity | simpl; unfold none; ring]). Qed.

Theorem negative_is_dead : dead_layer negative 1.
Proof.
  intros i Hi m Hm. rewrite first_layer_preactivation, sum_zero; simpl; [lra | intros; ring].
Qed.

End Example.
