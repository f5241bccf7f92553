(** * What a constant output costs (math §1, Lemma 4), and non-convergence *)

From Coq Require Import Reals List Lia Lra.
From Nonconv Require Import Network Gradient Process Freeze.
Open Scope R_scope.

Section Risk.
Context {P : problem}.

(** x_m and x_m' are the same input. *)
Definition same_input (m m' : nat) : Prop := forall q, (q < width 0)%nat -> input m q = input m' q.

Lemma agree_dec (n : nat) (f g : nat -> R) :
  {forall q, (q < n)%nat -> f q = g q} + {~ forall q, (q < n)%nat -> f q = g q}.
Proof.
  induction n as [| n [IH | IH]].
  - left. intros q Hq. lia.
  - destruct (Req_EM_T (f n) (g n)) as [E | E].
    + left. intros q Hq. destruct (PeanoNat.Nat.eq_dec q n) as [-> | Dq]; [exact E | apply IH; lia].
    + right. intros A. apply E, A. lia.
  - right. intros A. apply IH. intros q Hq. apply A. lia.
Qed.

(** 1 if x_m = x_m', and 0 otherwise. *)
Definition group (m m' : nat) : R := if agree_dec (width 0) (input m) (input m') then 1 else 0.

(** ybar_j, the mean of the labels at the input x_m; ybar, the mean of all labels. *)
Definition group_mean (m o : nat) : R :=
  / sum samples (group m) * sum samples (fun m' => group m m' * label m' o).

Definition mean (o : nat) : R := / INR samples * sum samples (fun m => label m o).

(** The noise floor nu = (1/M) sum_m |y_m - ybar_j(m)|^2, and the between-input variance
    V = sum_j pi_j |ybar_j - ybar|^2 = (1/M) sum_m |ybar_j(m) - ybar|^2, as pi_j is the share of the samples with input
    xi_j. *)
Definition noise_floor : R := / INR samples * sum samples (fun m => distance2 (group_mean m) (label m)).

Definition between_variance : R := / INR samples * sum samples (fun m => distance2 (group_mean m) mean).

(** ** The decomposition of the risk *)

Lemma samples_INR : 0 < INR samples.
Proof. apply lt_0_INR. pose proof samples_positive. lia. Qed.

Lemma group_same m m' : same_input m m' -> group m m' = 1.
Proof. intros E. unfold group. destruct (agree_dec _ _ _) as [_ | A]; [reflexivity | destruct (A E)]. Qed.

Lemma group_other m m' : ~ same_input m m' -> group m m' = 0.
Proof. intros E. unfold group. destruct (agree_dec _ _ _) as [A | _]; [destruct (E A) | reflexivity]. Qed.

Lemma same_input_sym m m' : same_input m m' -> same_input m' m.
Proof. intros E q Hq. symmetry. auto. Qed.

Lemma group_sym m m' : group m m' = group m' m.
Proof.
  destruct (agree_dec (width 0) (input m) (input m')) as [E | E].
  - rewrite !group_same; auto using same_input_sym.
  - rewrite !group_other; auto. intros E'. apply E, same_input_sym, E'.
Qed.

Lemma group_row m m' p : same_input m m' -> group m p = group m' p.
Proof.
  intros E. destruct (agree_dec (width 0) (input m') (input p)) as [A | A].
  - rewrite !group_same; auto. intros q Hq. rewrite E by exact Hq. auto.
  - rewrite !group_other; auto. intros B. apply A. intros q Hq. rewrite <- E by exact Hq. auto.
Qed.

Lemma group_size_positive m : (m < samples)%nat -> 0 < sum samples (group m).
Proof.
  intros Hm. apply (sum_positive _ _ m Hm).
  - intros i Hi. unfold group. destruct (agree_dec _ _ _); lra.
  - rewrite group_same; [lra | intros q Hq; reflexivity].
Qed.

Lemma group_size_same m m' : same_input m m' -> sum samples (group m) = sum samples (group m').
Proof. intros E. apply sum_ext. intros. apply group_row, E. Qed.

Lemma group_mean_same m m' o : same_input m m' -> group_mean m o = group_mean m' o.
Proof.
  intros E. unfold group_mean. rewrite (group_size_same m m' E).
  f_equal. apply sum_ext. intros. rewrite (group_row m m'); auto.
Qed.

(** A weight that depends on the input only cannot tell the labels from their group means. *)
Lemma sum_group_mean (g : nat -> R) o : (forall m m', same_input m m' -> g m = g m') ->
  sum samples (fun m => g m * group_mean m o) = sum samples (fun m => g m * label m o).
Proof.
  intros G. set (size := fun m => sum samples (group m)).
  transitivity (sum samples (fun m => sum samples (fun m' => g m * / size m * group m m' * label m' o))).
  { apply sum_ext. intros m Hm. unfold group_mean. fold (size m). rewrite <- Rmult_assoc, <- sum_scale.
    apply sum_ext. intros. ring. }
  rewrite sum_swap. apply sum_ext. intros m' Hm'.
  transitivity (sum samples (fun m => (g m' * / size m' * label m' o) * group m' m)).
  - apply sum_ext. intros m Hm. rewrite (group_sym m' m).
    destruct (agree_dec (width 0) (input m) (input m')) as [E | E].
    + rewrite (G m m' E). unfold size. rewrite (group_size_same m m' E). ring.
    + rewrite group_other by exact E. ring.
  - rewrite sum_scale. fold (size m'). field.
    pose proof (group_size_positive m' Hm') as Pos. fold (size m') in Pos. lra.
Qed.

(** Predictions a that depend on the input only have the mean square error nu + sum_j pi_j |a_j - ybar_j|^2. *)
Lemma decomposition (a : nat -> nat -> R) : (forall m m' o, same_input m m' -> a m o = a m' o) ->
  / INR samples * sum samples (fun m => distance2 (a m) (label m)) =
  noise_floor + / INR samples * sum samples (fun m => distance2 (group_mean m) (a m)).
Proof.
  intros A. unfold noise_floor. rewrite <- Rmult_plus_distr_l, <- sum_plus. f_equal.
  transitivity (sum samples (fun m =>
      (distance2 (group_mean m) (label m) + distance2 (group_mean m) (a m))
      + sum (width depth) (fun o => 2 * (a m o - group_mean m o) * (group_mean m o - label m o)))).
  { apply sum_ext. intros m Hm. unfold distance2. rewrite <- !sum_plus. apply sum_ext. intros. ring. }
  rewrite sum_plus, (sum_swap samples (width depth)). rewrite (sum_zero (width depth)); [ring |].
  intros o Ho. set (g := fun m => 2 * (a m o - group_mean m o)).
  transitivity (sum samples (fun m => g m * group_mean m o) + -1 * sum samples (fun m => g m * label m o)).
  { rewrite <- sum_scale, <- sum_plus. apply sum_ext. intros. unfold g. ring. }
  rewrite sum_group_mean; [ring |]. intros m m' E. unfold g. rewrite (A m m'), (group_mean_same m m'); auto.
Qed.

Lemma network_same_input theta m m' o : same_input m m' -> network theta (input m) o = network theta (input m') o.
Proof.
  intros E.
  assert (Z : forall k i, affine theta (S k) (activation theta (input m) k) i
                          = affine theta (S k) (activation theta (input m') k) i).
  { induction k as [| k IH]; intros i; unfold affine; f_equal; apply sum_ext; intros q Hq; f_equal; simpl.
    - auto.
    - f_equal. apply IH. }
  unfold network, preactivation. pose proof depth_at_least_two. destruct depth as [| d]; [lia | apply Z].
Qed.

(** R(theta) = nu + sum_j pi_j |N_theta(xi_j) - ybar_j|^2 (math §1) *)
Theorem risk_decomposition theta :
  risk theta = noise_floor + / INR samples * sum samples (fun m => distance2 (group_mean m) (network theta (input m))).
Proof. apply decomposition. intros. apply network_same_input. assumption. Qed.

(** nu + V is the variance of the labels, that is, the risk of the best constant. *)
Lemma label_variance : / INR samples * sum samples (fun m => distance2 mean (label m)) = noise_floor + between_variance.
Proof. apply (decomposition (fun _ => mean)). reflexivity. Qed.

Lemma sum_deviations o : sum samples (fun m => mean o - label m o) = 0.
Proof.
  transitivity (sum samples (fun _ => mean o) + -1 * sum samples (fun m => label m o)).
  { rewrite <- sum_scale, <- sum_plus. apply sum_ext. intros. ring. }
  rewrite sum_constant. unfold mean. field. pose proof samples_INR. lra.
Qed.

Lemma constant_risk (c : nat -> R) :
  noise_floor + between_variance <= / INR samples * sum samples (fun m => distance2 c (label m)).
Proof.
  rewrite <- label_variance. apply Rmult_le_compat_l; [pose proof (Rinv_0_lt_compat _ samples_INR); lra |].
  enough (sum samples (fun m => distance2 c (label m))
          = sum samples (fun m => distance2 mean (label m)) + sum samples (fun _ => distance2 c mean)) as ->.
  { enough (0 <= sum samples (fun _ => distance2 c mean)) by lra.
    apply sum_nonnegative. intros. apply sum_nonnegative. intros. apply pow2_ge_0. }
  transitivity (sum samples (fun m => distance2 mean (label m)) + sum samples (fun _ => distance2 c mean)
                + sum (width depth) (fun o => sum samples (fun m => 2 * (c o - mean o) * (mean o - label m o)))).
  { rewrite sum_swap, <- !sum_plus. apply sum_ext. intros m Hm. unfold distance2. rewrite <- !sum_plus.
    apply sum_ext. intros. ring. }
  rewrite (sum_zero (width depth)); [ring |]. intros o Ho. rewrite sum_scale, sum_deviations. ring.
Qed.

(** Lemma 4, first part: if N_theta is constant on the data, then R(theta) >= nu + V. *)
Theorem lemma_4_constant_output theta : constant_output theta -> noise_floor + between_variance <= risk theta.
Proof.
  intros C. eapply Rle_trans; [apply (constant_risk (network theta (input 0))) | right].
  unfold risk. f_equal. apply sum_ext. intros m Hm. unfold distance2. apply sum_ext. intros o Ho.
  rewrite (C 0%nat m o); auto. lia.
Qed.

(** ** Lemma 4, second part: I(l) < nu + V if V > 0 *)

(** One neuron per layer passes on a ridge relu (u.x - t); the output is beta + alpha relu (u.x - t). *)
Definition ridge_network (u : nat -> R) (t : R) (alpha beta : nat -> R) : parameters := {|
  weight k i q :=
    if Nat.eqb k 1 then u q
    else if Nat.eqb q 0 then (if Nat.eqb k depth then alpha i else 1) else 0;
  bias k i := if Nat.eqb k 1 then - t else if Nat.eqb k depth then beta i else 0
|}.

Definition ridge (u : nat -> R) (t : R) (v : nat -> R) : R := relu (sum (width 0) (fun q => u q * v q) - t).

Lemma ridge_network_output u t alpha beta v o :
  network (ridge_network u t alpha beta) v o = beta o + alpha o * ridge u t v.
Proof.
  set (theta := ridge_network u t alpha beta). pose proof depth_at_least_two as Dp.
  assert (Z : forall k i, (S k < depth)%nat -> activation theta v (S k) i = ridge u t v).
  { induction k as [| k IH]; intros i Hk.
    - simpl. unfold affine, ridge. simpl. f_equal.
    - change (relu (affine theta (S (S k)) (activation theta v (S k)) i) = ridge u t v).
      unfold affine. rewrite (sum_single _ _ 0).
      + rewrite IH by lia. unfold theta. cbn [ridge_network weight bias].
        replace (Nat.eqb (S (S k)) depth) with false by (symmetry; apply PeanoNat.Nat.eqb_neq; lia). simpl.
        rewrite Rmult_1_l, Rplus_0_r. apply relu_of_nonnegative, relu_nonnegative.
      + apply width_positive. simpl. lia.
      + intros q Hq Dq. destruct q; [lia |]. simpl. ring. }
  unfold network, preactivation, affine. rewrite (sum_single _ _ 0).
  - replace (pred depth) with (S (depth - 2)) by lia. rewrite Z by lia. unfold theta. cbn [ridge_network weight bias].
    replace (Nat.eqb depth 1) with false by (symmetry; apply PeanoNat.Nat.eqb_neq; lia).
    simpl. rewrite PeanoNat.Nat.eqb_refl. ring.
  - apply width_positive. lia.
  - intros q Hq Dq. destruct q; [lia |]. unfold theta. cbn [ridge_network weight bias].
    replace (Nat.eqb depth 1) with false by (symmetry; apply PeanoNat.Nat.eqb_neq; lia). simpl. ring.
Qed.

Lemma sum_nonzero n f : sum n f <> 0 -> exists i, (i < n)%nat /\ f i <> 0.
Proof.
  induction n as [| n IH]; simpl; intros E; [lra |].
  destruct (Req_EM_T (f n) 0) as [Z | Z]; [| exists n; auto].
  destruct IH as (i & Hi & Fi); [lra | exists i; auto].
Qed.

(** The index of a largest f among those with r <> 0. *)
Lemma largest n (r f : nat -> R) : (exists i, (i < n)%nat /\ r i <> 0) ->
  exists i, (i < n)%nat /\ r i <> 0 /\ forall j, (j < n)%nat -> r j <> 0 -> f j <= f i.
Proof.
  induction n as [| n IH]; intros (i & Hi & Ri); [lia |].
  assert (Only : (forall j, (j < n)%nat -> r j = 0) \/ exists j, (j < n)%nat /\ r j <> 0).
  { destruct (agree_dec n r (fun _ => 0)) as [A | A]; [left; exact A | right].
    destruct (Req_EM_T (sum n (fun j => (r j) ^ 2)) 0) as [Z | Z].
    - destruct A. intros j Hj. destruct (Req_EM_T (r j) 0) as [E | E]; [exact E |].
      enough (0 < sum n (fun j => (r j) ^ 2)) by lra.
      apply (sum_positive _ _ j Hj); [intros; apply pow2_ge_0 | nra].
    - destruct (sum_nonzero _ _ Z) as (j & Hj & Rj).
      exists j. split; [exact Hj | intros E; apply Rj; rewrite E; ring]. }
  destruct Only as [None | Some].
  - assert (i = n) as -> by (destruct (PeanoNat.Nat.eq_dec i n); [auto | destruct Ri; apply None; lia]).
    exists n. repeat split; auto. intros j Hj Rj. destruct (PeanoNat.Nat.eq_dec j n) as [-> | Dj]; [lra |].
    destruct Rj. apply None. lia.
  - destruct (IH Some) as (b & Hb & Rb & Max).
    destruct (Req_EM_T (r n) 0) as [Z | Z]; [| destruct (Rle_dec (f n) (f b)) as [Le | Gt]].
    + exists b. repeat split; auto. intros j Hj Rj.
      destruct (PeanoNat.Nat.eq_dec j n) as [-> | Dj]; [lra | apply Max; auto; lia].
    + exists b. repeat split; auto. intros j Hj Rj.
      destruct (PeanoNat.Nat.eq_dec j n) as [-> | Dj]; [lra | apply Max; auto; lia].
    + exists n. repeat split; auto. intros j Hj Rj. destruct (PeanoNat.Nat.eq_dec j n) as [-> | Dj]; [lra |].
      enough (f j <= f b) by lra. apply Max; auto. lia.
Qed.

(** A number > 0 below all those of finitely many numbers that are > 0. *)
Lemma below_positive n (f : nat -> R) : exists g, 0 < g /\ forall i, (i < n)%nat -> 0 < f i -> g <= f i.
Proof.
  induction n as [| n (g & Hg & Le)]; [exists 1; split; [lra | intros; lia] |].
  destruct (Rlt_dec 0 (f n)) as [Pn | Pn].
  - exists (Rmin g (f n)). split; [apply Rmin_glb_lt; auto |]. intros i Hi Fi.
    destruct (PeanoNat.Nat.eq_dec i n) as [-> | Di]; [apply Rmin_r |].
    eapply Rle_trans; [apply Rmin_l | apply Le; [lia | exact Fi]].
  - exists g. split; [exact Hg |]. intros i Hi Fi.
    destruct (PeanoNat.Nat.eq_dec i n) as [-> | Di]; [lra | apply Le; [lia | exact Fi]].
Qed.

Definition square_norm (v : nat -> R) : R := sum (width 0) (fun q => v q ^ 2).

Lemma scalar_product u v :
  2 * sum (width 0) (fun q => u q * v q) = square_norm u + square_norm v - sum (width 0) (fun q => (u q - v q) ^ 2).
Proof.
  unfold square_norm. rewrite <- sum_scale, <- sum_plus. unfold Rminus.
  rewrite <- (Rmult_1_l (sum _ (fun q => (u q + - v q) ^ 2))).
  rewrite Ropp_mult_distr_l, <- (sum_scale _ (- (1))), <- sum_plus. apply sum_ext. intros. ring.
Qed.

(** A ridge that sees, of the inputs whose group mean differs from the mean in output o, only one: the one of largest
    norm; a hyperplane orthogonal to it cuts it off from all other inputs that are not longer. *)
Lemma telling_ridge o m0 : (m0 < samples)%nat -> group_mean m0 o <> mean o ->
  exists u t, sum samples (fun m => ridge u t (input m) * (label m o - mean o)) <> 0.
Proof.
  intros H0 R0. set (r := fun m => group_mean m o - mean o).
  destruct (largest samples r (fun m => square_norm (input m))) as (b & Hb & Rb & Max).
  { exists m0. split; [exact H0 | unfold r; lra]. }
  set (u := input b). set (gap := fun m => sum (width 0) (fun q => (u q - input m q) ^ 2)).
  destruct (below_positive samples (fun m => gap m / 2)) as (g & Hg & Le).
  set (t := square_norm u - g). set (phi := fun m => ridge u t (input m)).
  assert (Same : forall m m', same_input m m' -> phi m = phi m').
  { intros m m' E. unfold phi, ridge. f_equal. f_equal. apply sum_ext. intros q Hq. rewrite E; auto. }
  assert (Peak : phi b = g).
  { unfold phi, ridge, t, u. replace (sum (width 0) (fun q => input b q * input b q)) with (square_norm (input b)).
    - rewrite relu_of_nonnegative; lra.
    - apply sum_ext. intros. ring. }
  assert (Split : sum samples (fun m => phi m * (label m o - mean o)) = sum samples (fun m => phi m * r m)).
  { transitivity (sum samples (fun m => phi m * label m o) + -1 * sum samples (fun m => phi m * mean o)).
    { rewrite <- sum_scale, <- sum_plus. apply sum_ext. intros. ring. }
    rewrite <- (sum_group_mean phi o Same), <- sum_scale, <- sum_plus. apply sum_ext. intros. unfold r. ring. }
  exists u, t. intros Zero. change (sum samples (fun m => phi m * (label m o - mean o)) = 0) in Zero.
  rewrite Split in Zero.
  enough (0 < sum samples (fun m => r b * (phi m * r m))) as Pos by (rewrite sum_scale, Zero in Pos; lra).
  apply (sum_positive _ _ b Hb); [| rewrite Peak; assert (0 < r b * r b) by nra; nra].
  intros m Hm. destruct (agree_dec (width 0) u (input m)) as [E | E].
  - rewrite <- (Same b m E), Peak. replace (r m) with (r b) by (unfold r; rewrite (group_mean_same b m); auto). nra.
  - destruct (Req_EM_T (r m) 0) as [Z | Z]; [rewrite Z; lra |].
    enough (phi m = 0) as -> by lra. apply relu_of_nonpositive.
    assert (Gap : 0 < gap m / 2).
    { enough (gap m <> 0) by (assert (0 <= gap m) by (apply sum_nonnegative; intros; apply pow2_ge_0); lra).
      intros G. apply E. intros q Hq. destruct (Req_EM_T (u q) (input m q)) as [Eq | Ne]; [exact Eq |].
      enough (0 < gap m) by lra. apply (sum_positive _ _ q Hq); [intros; apply pow2_ge_0 | nra]. }
    pose proof (Le m Hm Gap). pose proof (Max m Hm Z) as Longer. pose proof (scalar_product u (input m)) as Prod.
    fold (gap m) in Prod. unfold t. fold u in Longer. lra.
Qed.

(** Lemma 4, second part: if V > 0, some network of the architecture has a risk below nu + V. *)
Theorem lemma_4_better_network : 0 < between_variance -> exists theta, risk theta < noise_floor + between_variance.
Proof.
  intros V. destruct (sum_nonzero samples (fun m => distance2 (group_mean m) mean)) as (m0 & H0 & D0).
  { intros Z. unfold between_variance in V. rewrite Z in V. lra. }
  destruct (sum_nonzero _ _ D0) as (o & Ho & Do).
  destruct (telling_ridge o m0 H0) as (u & t & C0); [intros E; apply Do; rewrite E; ring |].
  set (phi := fun m => ridge u t (input m)).
  set (C := sum samples (fun m => phi m * (label m o - mean o))). change (C <> 0) in C0.
  set (Q := sum samples (fun m => phi m ^ 2)).
  assert (Qpos : 0 < Q).
  { destruct (sum_nonzero _ _ C0) as (m & Hm & Pm). apply (sum_positive _ _ m Hm); [intros; apply pow2_ge_0 |].
    assert (phi m <> 0) by (intros Z; apply Pm; rewrite Z; ring). nra. }
  set (alpha := fun o' => if Nat.eqb o' o then C / Q else 0). exists (ridge_network u t alpha mean).
  rewrite <- label_variance. unfold risk. apply Rmult_lt_compat_l; [apply Rinv_0_lt_compat, samples_INR |].
  enough (sum samples (fun m => distance2 (network (ridge_network u t alpha mean) (input m)) (label m))
          = sum samples (fun m => distance2 mean (label m)) - C ^ 2 / Q) as ->.
  { enough (0 < C ^ 2 / Q) by lra. apply Rdiv_lt_0_compat; [| exact Qpos]. assert (0 < C * C) by nra. lra. }
  transitivity (sum samples (fun m => distance2 mean (label m)
                                      + (-2 * (C / Q) * (phi m * (label m o - mean o)) + (C / Q) ^ 2 * phi m ^ 2))).
  - apply sum_ext. intros m Hm. unfold distance2.
    transitivity (sum (width depth) (fun o' => (mean o' - label m o') ^ 2
      + (if Nat.eqb o' o then -2 * (C / Q) * (phi m * (label m o - mean o)) + (C / Q) ^ 2 * phi m ^ 2 else 0))).
    + apply sum_ext. intros o' Ho'. rewrite ridge_network_output. unfold alpha.
      change (ridge u t (input m)) with (phi m).
      destruct (PeanoNat.Nat.eqb_spec o' o) as [-> | _]; ring.
    + rewrite sum_plus. f_equal. rewrite (sum_single _ _ o Ho), PeanoNat.Nat.eqb_refl; [reflexivity |].
      intros o' _ Ne. destruct (PeanoNat.Nat.eqb_spec o' o); [contradiction | reflexivity].
  - rewrite sum_plus, sum_plus, !sum_scale. fold C Q. field. lra.
Qed.

Lemma noise_floor_below theta : noise_floor <= risk theta.
Proof.
  rewrite risk_decomposition. pose proof (Rinv_0_lt_compat _ samples_INR).
  enough (0 <= sum samples (fun m => distance2 (group_mean m) (network theta (input m)))) by nra.
  apply sum_nonnegative. intros. apply sum_nonnegative. intros. apply pow2_ge_0.
Qed.

(** Lemma 4: I(l) < nu + V if and only if V > 0, for every architecture. *)
Theorem lemma_4 I : optimal_risk I -> (I < noise_floor + between_variance <-> 0 < between_variance).
Proof.
  intros [Below Greatest]. split.
  - intros Less. pose proof (Greatest noise_floor noise_floor_below). lra.
  - intros V. destruct (lemma_4_better_network V) as [theta Better]. specialize (Below theta). lra.
Qed.

(** The optimal risk is a real number. *)
Theorem optimal_risk_exists : exists I, optimal_risk I.
Proof.
  destruct (completeness (fun r => exists theta, r = - risk theta)) as [s [Upper Least]].
  - exists (- noise_floor). intros r [theta ->]. pose proof (noise_floor_below theta). lra.
  - exists (- risk (ridge_network mean 0 mean mean)). eexists. reflexivity.
  - exists (- s). split.
    + intros theta. enough (- risk theta <= s) by lra. apply Upper. exists theta. reflexivity.
    + intros c Hc. enough (s <= - c) by lra. apply Least. intros r [theta ->]. specialize (Hc theta). lra.
Qed.

(** ** Non-convergence

    A path with constant output at every step stays at nu + V or above, and nu + V > I(l): the deterministic half of
    T1, T2, T7, T8, T10 and T11b of math §5, whose other half is the probability of the event at Theta_0. *)

Context {T : process}.

Theorem constant_output_non_convergence I : optimal_risk I -> 0 < between_variance ->
  (forall n, constant_output (Theta n)) ->
  I < noise_floor + between_variance /\ forall n, noise_floor + between_variance <= risk (Theta n).
Proof. intros HI V C. split; [apply lemma_4; auto | auto using lemma_4_constant_output]. Qed.

(** With Lemma 2: a dead hidden layer at Theta_0, under (FB). *)
Theorem dead_layer_non_convergence k I :
  (forall j i, hidden j -> (i < width j)%nat -> FB j i) -> hidden k -> dead_layer (Theta 0) k ->
  optimal_risk I -> 0 < between_variance ->
  I < noise_floor + between_variance /\ forall n, noise_floor + between_variance <= risk (Theta n).
Proof.
  intros Hyp Hk Dead HI V. apply constant_output_non_convergence; auto. intros n. apply (lemma_2 k Hyp Hk Dead n).
Qed.

(** With Lemma 3: a structurally dead hidden layer at Theta_0, under (FB) or (S) in layer 1 and (FB) or (SS) above. *)
Theorem structurally_dead_layer_non_convergence k I :
  (forall i, (i < width 1)%nat -> FB 1 i \/ Sc 1 i) ->
  (forall j i, (2 <= j < depth)%nat -> (i < width j)%nat -> FB j i \/ SS j i) ->
  hidden k -> (forall i, (i < width k)%nat -> structurally_dead (dead (Theta 0) 1) (Theta 0) k i) ->
  optimal_risk I -> 0 < between_variance ->
  I < noise_floor + between_variance /\ forall n, noise_floor + between_variance <= risk (Theta n).
Proof.
  intros H1 H2 Hk Whole HI V. apply constant_output_non_convergence; auto.
  destruct (lemma_3 H1 H2) as [_ C]. apply (C k Hk Whole).
Qed.

End Risk.
