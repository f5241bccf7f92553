(** The error function, enclosed between partial sums of its alternating series. *)

From Coq Require Import Reals Lra Lia.
From Coquelicot Require Import Coquelicot.
Open Scope R_scope.

(** [gauss x] is the integral of [exp (-t^2)] from 0 to x. *)
Definition gauss (x : R) : R := RInt (fun t => exp (- (t * t))) 0 x.
Definition erf (x : R) : R := 2 / sqrt PI * gauss x.

(** Partial sums of the series of [exp (-u)], and of the integral of [exp (-t^2)]. *)
Fixpoint exp_sum (m : nat) (u : R) : R :=
  match m with O => 0 | S k => exp_sum k u + (-1) ^ k * (u ^ k / INR (fact k)) end.
Fixpoint gauss_sum (m : nat) (x : R) : R :=
  match m with O => 0 | S k => gauss_sum k x + (-1) ^ k * (x ^ (2 * k + 1) / (INR (fact k) * INR (2 * k + 1))) end.

Lemma grows_from_0 (f f' : R -> R) : f 0 = 0 -> (forall x, 0 <= x -> is_derive f x (f' x)) ->
  (forall x, 0 <= x -> 0 <= f' x) -> forall x, 0 <= x -> 0 <= f x.
Proof.
  intros H0 Hd Hp x Hx. rewrite <- H0.
  destruct (MVT_gen f 0 x f') as [c [Hc E]].
  - intros y Hy. apply Hd. rewrite Rmin_left in Hy by exact Hx. lra.
  - intros y Hy. rewrite Rmin_left in Hy by exact Hx.
    apply continuity_pt_filterlim. apply (ex_derive_continuous (V := R_NormedModule) f y).
    exists (f' y). apply Hd. lra.
  - rewrite Rmin_left in Hc by exact Hx. specialize (Hp c ltac:(lra)). nra.
Qed.

Lemma monomial_derive a c k x : is_derive (fun x => a * (x ^ S k / c)) x (a * (INR (S k) * x ^ k / c)).
Proof.
  auto_derive; [trivial|].
  change (match k with O => 1 | S _ => INR k + 1 end) with (INR (S k)). unfold Rdiv. ring.
Qed.

Lemma exp_sum_derive m u : is_derive (exp_sum (S m)) u (- exp_sum m u).
Proof.
  induction m as [|m IH].
  - apply (is_derive_ext (fun _ => 1)); [intros t; simpl; field|].
    simpl. rewrite Ropp_0. apply @is_derive_const.
  - apply (is_derive_ext (fun u => exp_sum (S m) u + (-1) ^ S m * (u ^ S m / INR (fact (S m)))));
      [reflexivity|].
    replace (- exp_sum (S m) u) with (- exp_sum m u + (-1) ^ S m * (INR (S m) * u ^ m / INR (fact (S m)))).
    + apply @is_derive_plus; [exact IH|apply monomial_derive].
    + cbn [exp_sum]. rewrite fact_simpl, mult_INR. simpl pow.
      field. split; [apply INR_fact_neq_0|apply not_0_INR; lia].
Qed.

Lemma exp_sum_0 m : exp_sum (S m) 0 = 1.
Proof.
  induction m as [|m IH]; [simpl; field|].
  change (exp_sum (S m) 0 + (-1) ^ S m * (0 ^ S m / INR (fact (S m))) = 1).
  rewrite IH, pow_i by lia. unfold Rdiv. ring.
Qed.

Lemma exp_sum_sign m u : 0 <= u -> 0 <= (-1) ^ m * (exp (- u) - exp_sum m u).
Proof.
  revert u. induction m as [|m IH]; intros u Hu.
  - simpl. pose proof (exp_pos (- u)). lra.
  - revert u Hu. apply (grows_from_0 _ (fun u => (-1) ^ m * (exp (- u) - exp_sum m u))).
    + rewrite exp_sum_0, Ropp_0, exp_0. ring.
    + intros x Hx.
      replace ((-1) ^ m * (exp (- x) - exp_sum m x)) with ((-1) ^ S m * (- exp (- x) - - exp_sum m x))
        by (simpl; ring).
      apply @is_derive_scal. apply @is_derive_minus; [auto_derive; [trivial|ring]|apply exp_sum_derive].
    + exact IH.
Qed.

Lemma gauss_derive x : is_derive gauss x (exp (- (x * x))).
Proof.
  apply (is_derive_RInt (V := R_NormedModule) (fun t => exp (- (t * t))) gauss 0 x).
  - exists (mkposreal 1 Rlt_0_1). intros y _. apply (@RInt_correct R_CompleteNormedModule).
    apply (@ex_RInt_continuous R_CompleteNormedModule). intros z _.
    apply (ex_derive_continuous (V := R_NormedModule)). auto_derive. trivial.
  - apply (ex_derive_continuous (V := R_NormedModule)). auto_derive. trivial.
Qed.

Lemma gauss_0 : gauss 0 = 0.
Proof. apply (@RInt_point R_CompleteNormedModule). Qed.

Lemma gauss_sum_derive m x : is_derive (gauss_sum m) x (exp_sum m (x * x)).
Proof.
  induction m as [|m IH].
  - apply @is_derive_const.
  - apply (is_derive_ext (fun x => gauss_sum m x + (-1) ^ m * (x ^ (2 * m + 1) / (INR (fact m) * INR (2 * m + 1)))));
      [reflexivity|].
    cbn [exp_sum]. apply @is_derive_plus; [exact IH|].
    replace (2 * m + 1)%nat with (S (m + m)) by lia.
    replace ((-1) ^ m * ((x * x) ^ m / INR (fact m)))
      with ((-1) ^ m * (INR (S (m + m)) * x ^ (m + m) / (INR (fact m) * INR (S (m + m))))).
    + apply monomial_derive.
    + rewrite Rpow_mult_distr, <- pow_add. field. split; first [apply INR_fact_neq_0 | apply not_0_INR; lia].
Qed.

Lemma gauss_sum_0 m : gauss_sum m 0 = 0.
Proof.
  induction m as [|m IH]; [reflexivity|]. cbn [gauss_sum]. rewrite IH, pow_i by lia. unfold Rdiv. ring.
Qed.

Lemma gauss_sum_sign m x : 0 <= x -> 0 <= (-1) ^ m * (gauss x - gauss_sum m x).
Proof.
  revert x. apply (grows_from_0 _ (fun x => (-1) ^ m * (exp (- (x * x)) - exp_sum m (x * x)))).
  - rewrite gauss_0, gauss_sum_0. ring.
  - intros x Hx. apply @is_derive_scal. apply @is_derive_minus; [apply gauss_derive|apply gauss_sum_derive].
  - intros x Hx. apply exp_sum_sign. nra.
Qed.

(** The integral lies between two neighbouring sums. *)
Lemma gauss_between m x : 0 <= x ->
  gauss_sum m x <= gauss x <= gauss_sum (S m) x \/ gauss_sum (S m) x <= gauss x <= gauss_sum m x.
Proof.
  intros Hx. pose proof (gauss_sum_sign m x Hx) as H1. pose proof (gauss_sum_sign (S m) x Hx) as H2.
  cbn [pow] in H2. destruct (Nat.Even_or_Odd m) as [[k ->]|[k ->]].
  - rewrite pow_1_even in *. left. lra.
  - replace (2 * k + 1)%nat with (S (2 * k)) in * by lia. rewrite pow_1_odd in *. right. lra.
Qed.

Lemma gauss_increases x y : x <= y -> gauss x <= gauss y.
Proof.
  intros H. destruct (MVT_gen gauss x y (fun t => exp (- (t * t)))) as [c [_ E]].
  - intros t _. apply gauss_derive.
  - intros t _. apply continuity_pt_filterlim. apply (ex_derive_continuous (V := R_NormedModule) gauss t).
    eexists. apply gauss_derive.
  - pose proof (exp_pos (- (c * c))). nra.
Qed.

(** Beyond 8 little is added. *)
Lemma gauss_beyond_8 x : 8 <= x -> gauss 8 <= gauss x <= gauss 8 + exp (-64) / 8.
Proof.
  intros H. split; [apply gauss_increases; exact H|].
  pose (f := fun y => gauss 8 + (exp (-64) - exp (- (8 * (8 + y)))) / 8 - gauss (8 + y)).
  assert (G : 0 <= f (x - 8)).
  { apply (grows_from_0 f (fun y => exp (- (8 * (8 + y))) - exp (- ((8 + y) * (8 + y))))).
    - unfold f. replace (exp (- (8 * (8 + 0)))) with (exp (-64)) by (f_equal; ring). rewrite Rplus_0_r. lra.
    - intros y Hy. unfold f. apply @is_derive_minus.
      + auto_derive; [trivial|]. field.
      + replace (exp (- ((8 + y) * (8 + y)))) with (scal 1 (exp (- ((8 + y) * (8 + y)))))
          by apply (@scal_one R_Ring R_ModuleSpace).
        apply (is_derive_comp gauss (fun y => 8 + y)); [apply gauss_derive|auto_derive; [trivial|ring]].
    - intros y Hy. assert (exp (- ((8 + y) * (8 + y))) <= exp (- (8 * (8 + y)))); [|lra].
      destruct (Req_dec y 0) as [->|]; [right; f_equal; ring|left; apply exp_increasing; nra].
    - lra. }
  unfold f in G. replace (8 + (x - 8)) with x in G by ring. pose proof (exp_pos (- (8 * x))). lra.
Qed.
