(** Binomial tails, and the limits of Clopper and Pearson and of the confidence sequence, verified with integers.

    Definitions a reader should look at: [point], [tail], [head] and [at_least], [at_most], [probability]. *)

From Coq Require Import Reals ZArith NArith Nnat Znat Lia Lra Bool Psatz.
Open Scope R_scope.

(** Probability of k successes in n independent trials, each with probability p; [k <= n]. *)
Definition point (n k : nat) (p : R) : R := C n k * p ^ k * (1 - p) ^ (n - k).

(** Sum of [count] of them, from k on. *)
Fixpoint from (n k count : nat) (p : R) : R :=
  match count with O => 0 | S c => point n k p + from n (S k) c p end.

(** At least k, and at most k successes. *)
Definition tail (n k : nat) (p : R) : R := from n k (S n - k) p.
Definition head (n k : nat) (p : R) : R := from n 0 (S k) p.

Definition probability (n k : N) (p : R) : R := point (N.to_nat n) (N.to_nat k) p.
Definition at_least (n k : N) (p : R) : R := tail (N.to_nat n) (N.to_nat k) p.
Definition at_most (n k : N) (p : R) : R := head (N.to_nat n) (N.to_nat k) p.

Lemma point_nonneg n k p : 0 <= p <= 1 -> 0 <= point n k p.
Proof.
  intros H. unfold point, C.
  apply Rmult_le_pos; [apply Rmult_le_pos|].
  - apply Rlt_le, Rdiv_lt_0_compat; [apply INR_fact_lt_0|].
    apply Rmult_lt_0_compat; apply INR_fact_lt_0.
  - apply pow_le; lra.
  - apply pow_le; lra.
Qed.

Lemma from_nonneg n k c p : 0 <= p <= 1 -> 0 <= from n k c p.
Proof.
  intros H. revert k. induction c as [|c IH]; intros k; simpl; [lra|].
  pose proof (point_nonneg n k p H). specialize (IH (S k)). lra.
Qed.

Lemma from_split n k a b p : from n k (a + b) p = from n k a p + from n (k + a) b p.
Proof.
  revert k. induction a as [|a IH]; intros k; simpl.
  - rewrite Nat.add_0_r. ring.
  - rewrite IH. replace (S k + a)%nat with (k + S a)%nat by lia. ring.
Qed.

Lemma from_total n p : from n 0 (S n) p = 1.
Proof.
  assert (H : forall m, from n 0 (S m) p = sum_f_R0 (fun i => C n i * p ^ i * (1 - p) ^ (n - i)) m).
  { induction m as [|m IH].
    - simpl. unfold point. ring.
    - replace (S (S m)) with (S m + 1)%nat by lia.
      rewrite from_split, IH, tech5. cbn [from]. rewrite Nat.add_0_l. unfold point. ring. }
  rewrite H, <- binomial. replace (p + (1 - p)) with 1 by ring. apply pow1.
Qed.

Lemma tail_zero n p : tail n 0 p = 1.
Proof. apply from_total. Qed.

Lemma tail_beyond n k p : (n < k)%nat -> tail n k p = 0.
Proof. intros H. unfold tail. replace (S n - k)%nat with 0%nat by lia. reflexivity. Qed.

Lemma tail_step n k p : (k <= n)%nat -> tail n k p = point n k p + tail n (S k) p.
Proof. intros H. unfold tail. replace (S n - k)%nat with (S (S n - S k)) by lia. reflexivity. Qed.

Lemma tail_nonneg n k p : 0 <= p <= 1 -> 0 <= tail n k p.
Proof. apply from_nonneg. Qed.

Lemma head_step n k p : head n (S k) p = head n k p + point n (S k) p.
Proof.
  unfold head. replace (S (S k)) with (S k + 1)%nat at 1 by lia. rewrite from_split. simpl. ring.
Qed.

Lemma head_and_tail n k p : (k <= n)%nat -> head n k p + tail n (S k) p = 1.
Proof.
  intros H. unfold head, tail. rewrite <- (from_total n p).
  replace (S n) with (S k + (S n - S k))%nat at 2 by lia. rewrite from_split. reflexivity.
Qed.

(** ** Tails grow with p: the first trial *)

Lemma C_n_n n : C n n = 1.
Proof.
  unfold C. rewrite Nat.sub_diag. simpl. field. apply INR_fact_neq_0.
Qed.

Lemma first_trial_from n p : forall c k, (k + c = S n)%nat ->
  from (S n) (S k) c p = p * from n k c p + (1 - p) * from n (S k) (c - 1) p.
Proof.
  induction c as [|c IH]; intros k Hk; [simpl; ring|].
  cbn [from]. rewrite IH by lia. replace (S c - 1)%nat with c by lia.
  destruct c as [|c].
  - assert (k = n) by lia. subst k. simpl. unfold point. rewrite !C_n_n, !Nat.sub_diag. simpl. ring.
  - replace (S c - 1)%nat with c by lia. cbn [from].
    assert (Hs : point (S n) (S k) p = p * point n k p + (1 - p) * point n (S k) p).
    { unfold point. rewrite <- pascal by lia. replace (S n - S k)%nat with (n - k)%nat by lia.
      replace (n - k)%nat with (S (n - S k)) at 1 2 by lia. simpl.
      replace (n - k)%nat with (S (n - S k)) by lia. simpl. ring. }
    rewrite Hs. ring.
Qed.

Lemma first_trial n k p : (k <= n)%nat -> tail (S n) (S k) p = p * tail n k p + (1 - p) * tail n (S k) p.
Proof.
  intros H. unfold tail. replace (S (S n) - S k)%nat with (S n - k)%nat by lia.
  rewrite first_trial_from by lia. f_equal. f_equal. f_equal. lia.
Qed.

Lemma tail_decreases n k p : 0 <= p <= 1 -> tail n (S k) p <= tail n k p.
Proof.
  intros H. destruct (le_lt_dec k n) as [Hk|Hk].
  - rewrite (tail_step n k) by exact Hk. pose proof (point_nonneg n k p H). lra.
  - rewrite !tail_beyond by lia. lra.
Qed.

Lemma tail_increases p q : 0 <= p -> p <= q -> q <= 1 -> forall n k, tail n k p <= tail n k q.
Proof.
  intros Hp Hpq Hq. induction n as [|n IH]; intros k.
  - destruct k; [rewrite !tail_zero; lra | rewrite !tail_beyond by lia; lra].
  - destruct k as [|k]; [rewrite !tail_zero; lra|].
    destruct (le_lt_dec k n) as [Hk|Hk]; [|rewrite !tail_beyond by lia; lra].
    rewrite !first_trial by exact Hk.
    pose proof (IH k). pose proof (IH (S k)).
    assert (tail n (S k) q <= tail n k q) by (apply tail_decreases; lra). nra.
Qed.

(** ** Successes and failures change places *)

Lemma point_mirror n k p : (k <= n)%nat -> point n (n - k) (1 - p) = point n k p.
Proof.
  intros H. unfold point. rewrite <- pascal_step1 by exact H.
  replace (n - (n - k))%nat with k by lia. replace (1 - (1 - p)) with p by ring. ring.
Qed.

Lemma head_mirror n k p : (k <= n)%nat -> head n k p = tail n (n - k) (1 - p).
Proof.
  induction k as [|k IH]; intros H.
  - rewrite tail_step by lia. rewrite point_mirror by lia. rewrite tail_beyond by lia. unfold head. simpl. ring.
  - rewrite head_step, IH by lia. rewrite (tail_step n (n - S k)) by lia. rewrite point_mirror by lia.
    replace (S (n - S k)) with (n - k)%nat by lia. ring.
Qed.

(** ** Sums of terms in units of the term at k, with integers

    The success probability is [a/(a+b)]; [s] stands for the term at k. *)

Definition up (x y : Z) : Z := (- ((- x) / y))%Z.

Fixpoint above (fuel : nat) (n j a b t : Z) : option Z :=
  let over := ((n - j) * a)%Z in
  let under := ((j + 1) * b)%Z in
  match fuel with
  | O => if (over <? under)%Z then Some (t + up (t * over) (under - over))%Z else None
  | S f =>
    if (j <? n)%Z then
      match above f n (j + 1) a b (up (t * over) under) with Some r => Some (t + r)%Z | None => None end
    else Some t
  end.

Fixpoint below (fuel : nat) (n j a b t : Z) : Z :=
  match fuel with
  | O => t
  | S f => if (0 <? j)%Z then (t + below f n (j - 1) a b (t * (j * b) / ((n - j + 1) * a)))%Z else t
  end.

Lemma up_spec x y : (0 < y)%Z -> IZR x / IZR y <= IZR (up x y).
Proof.
  intros H. assert (Hy : 0 < IZR y) by (apply IZR_lt; exact H).
  apply Rmult_le_reg_r with (IZR y); [exact Hy|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra.
  rewrite <- mult_IZR. apply IZR_le. unfold up.
  pose proof (Z.mul_div_le (- x) y H). lia.
Qed.

Lemma down_spec x y : (0 < y)%Z -> IZR (x / y) <= IZR x / IZR y.
Proof.
  intros H. assert (Hy : 0 < IZR y) by (apply IZR_lt; exact H).
  apply Rmult_le_reg_r with (IZR y); [exact Hy|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l, Rmult_1_r by lra.
  rewrite <- mult_IZR. apply IZR_le. pose proof (Z.mul_div_le x y H). lia.
Qed.

Lemma up_nonneg x y : (0 <= x)%Z -> (0 < y)%Z -> (0 <= up x y)%Z.
Proof. intros Hx Hy. unfold up. pose proof (Z.div_le_upper_bound (- x) y 0 Hy). lia. Qed.

Section Ratios.

Variables (n : nat) (a b : Z).
Hypotheses (Ha : (0 < a)%Z) (Hb : (0 < b)%Z).
Let p := IZR a / IZR (a + b).

Lemma p_unit : 0 < p < 1.
Proof.
  assert (0 < IZR a /\ 0 < IZR b) as [? ?] by (split; apply IZR_lt; assumption).
  unfold p. rewrite plus_IZR. split.
  - apply Rdiv_lt_0_compat; lra.
  - apply Rmult_lt_reg_r with (IZR a + IZR b); [lra|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra. lra.
Qed.

Lemma ratio j : (j < n)%nat ->
  point n (S j) p * IZR ((Z.of_nat j + 1) * b) = point n j p * IZR ((Z.of_nat n - Z.of_nat j) * a).
Proof.
  intros H. assert (0 < IZR a /\ 0 < IZR b) as [Hra Hrb] by (split; apply IZR_lt; assumption).
  rewrite !mult_IZR, minus_IZR, plus_IZR, <- !INR_IZR_INZ.
  assert (HC : C n (S j) * (INR j + 1) = C n j * (INR n - INR j)).
  { unfold C. rewrite <- minus_INR by lia. replace (n - j)%nat with (S (n - S j)) by lia.
    rewrite !fact_simpl, !mult_INR, !S_INR.
    field. repeat split; try apply INR_fact_neq_0; rewrite <- S_INR; apply not_0_INR; lia. }
  assert (Hp : p * IZR b = (1 - p) * IZR a).
  { unfold p. rewrite plus_IZR. field. lra. }
  unfold point. replace (n - j)%nat with (S (n - S j)) by lia. simpl.
  transitivity ((C n (S j) * (INR j + 1)) * (p * IZR b) * p ^ j * (1 - p) ^ (n - S j)); [ring|].
  rewrite HC, Hp. ring.
Qed.

Lemma geometric rho : 0 <= rho < 1 -> forall c j, (j + c <= S n)%nat ->
  (forall i, (j <= i < n)%nat -> point n (S i) p <= rho * point n i p) ->
  from n j c p * (1 - rho) <= point n j p.
Proof.
  intros Hrho. induction c as [|c IH]; intros j Hj H.
  - simpl. rewrite Rmult_0_l. apply point_nonneg. pose proof p_unit. lra.
  - simpl. pose proof (point_nonneg n j p ltac:(pose proof p_unit; lra)).
    destruct c as [|c]; [simpl; nra|].
    assert (IHj := IH (S j) ltac:(lia) ltac:(intros i Hi; apply H; lia)).
    assert (Hn := H j ltac:(lia)). nra.
Qed.

Variables (u : R) (s : Z).
Hypotheses (Hu : 0 <= u) (Hs : (0 < s)%Z).

Lemma scaled_step x t over under : 0 < IZR under -> 0 <= IZR over -> x * IZR s <= IZR t * u ->
  x * IZR over / IZR under * IZR s <= IZR (t * over) / IZR under * u.
Proof.
  intros H1 H2 H. rewrite mult_IZR. apply Rmult_le_reg_r with (IZR under); [exact H1|].
  replace (x * IZR over / IZR under * IZR s * IZR under) with (IZR over * (x * IZR s)) by (field; lra).
  replace (IZR t * IZR over / IZR under * u * IZR under) with (IZR over * (IZR t * u)) by (field; lra).
  apply Rmult_le_compat_l; assumption.
Qed.

Lemma above_spec : forall fuel j t r, (j <= n)%nat -> (0 <= t)%Z ->
  point n j p * IZR s <= IZR t * u -> above fuel (Z.of_nat n) (Z.of_nat j) a b t = Some r ->
  (t <= r)%Z /\ tail n j p * IZR s <= IZR r * u.
Proof.
  assert (Hsr : 0 < IZR s) by (apply IZR_lt; exact Hs).
  pose proof p_unit as Hp.
  induction fuel as [|f IH]; intros j t r Hj Ht H Hr.
  - cbn [above] in Hr. set (over := ((Z.of_nat n - Z.of_nat j) * a)%Z) in *. set (under := ((Z.of_nat j + 1) * b)%Z) in *.
    destruct (Z.ltb_spec over under) as [Hlt|]; [|discriminate]. injection Hr as <-.
    assert (Hover : (0 <= over)%Z) by (apply Z.mul_nonneg_nonneg; lia).
    pose proof (up_nonneg (t * over) (under - over) ltac:(nia) ltac:(lia)) as Hup.
    split; [lia|].
    assert (Ho : 0 <= IZR over) by (apply IZR_le; exact Hover).
    assert (Hou : IZR over < IZR under) by (apply IZR_lt; exact Hlt).
    set (rho := IZR over / IZR under).
    assert (Hrho : 0 <= rho < 1).
    { unfold rho. split; [apply Rmult_le_pos; [lra|apply Rlt_le, Rinv_0_lt_compat; lra]|].
      apply Rmult_lt_reg_r with (IZR under); [lra|]. unfold Rdiv. rewrite Rmult_assoc, Rinv_l by lra. lra. }
    assert (Hg : tail n j p * (1 - rho) <= point n j p).
    { apply geometric; [exact Hrho|lia|]. intros i Hi.
      pose proof (ratio i ltac:(lia)) as Hi'. pose proof (point_nonneg n i p ltac:(lra)) as Hpi.
      set (over' := ((Z.of_nat n - Z.of_nat i) * a)%Z) in *. set (under' := ((Z.of_nat i + 1) * b)%Z) in *.
      assert (Hu' : 0 < IZR under') by (apply IZR_lt; unfold under'; nia).
      assert (Hcross : IZR over' * IZR under <= IZR over * IZR under').
      { rewrite <- !mult_IZR. apply IZR_le. unfold over, over', under, under'.
        transitivity ((Z.of_nat n - Z.of_nat j) * a * ((Z.of_nat j + 1) * b))%Z.
        - apply Z.mul_le_mono_nonneg_r; nia.
        - apply Z.mul_le_mono_nonneg_l; nia. }
      apply Rmult_le_reg_r with (IZR under'); [exact Hu'|]. rewrite Hi'. unfold rho.
      apply Rmult_le_reg_r with (IZR under); [lra|].
      replace (IZR over / IZR under * point n i p * IZR under' * IZR under)
        with (point n i p * (IZR over * IZR under')) by (field; lra).
      rewrite Rmult_assoc. apply Rmult_le_compat_l; lra. }
    pose proof (up_spec (t * over) (under - over) ltac:(lia)) as Hc. rewrite mult_IZR, minus_IZR in Hc.
    rewrite plus_IZR.
    assert (Hd : 0 < IZR under - IZR over) by lra.
    assert (Ht1 : tail n j p <= point n j p * (IZR under / (IZR under - IZR over))).
    { apply Rmult_le_reg_r with (1 - rho); [lra|]. apply Rle_trans with (1 := Hg). right. unfold rho. field. lra. }
    apply Rle_trans with (point n j p * (IZR under / (IZR under - IZR over)) * IZR s).
    { apply Rmult_le_compat_r; lra. }
    replace (point n j p * (IZR under / (IZR under - IZR over)) * IZR s)
      with (point n j p * IZR s * (IZR under / (IZR under - IZR over))) by ring.
    apply Rle_trans with (IZR t * u * (IZR under / (IZR under - IZR over))).
    { apply Rmult_le_compat_r; [|exact H]. apply Rlt_le, Rdiv_lt_0_compat; lra. }
    replace (IZR t * u * (IZR under / (IZR under - IZR over)))
      with ((IZR t + IZR t * IZR over / (IZR under - IZR over)) * u) by (field; lra).
    apply Rmult_le_compat_r; [exact Hu|]. lra.
  - cbn [above] in Hr. destruct (Z.ltb_spec (Z.of_nat j) (Z.of_nat n)) as [Hlt|Hge].
    + destruct (above f _ _ _ _ _) as [r'|] eqn:E; [|discriminate]. injection Hr as <-.
      set (over := ((Z.of_nat n - Z.of_nat j) * a)%Z) in *. set (under := ((Z.of_nat j + 1) * b)%Z) in *.
      assert (Hover : (0 <= over)%Z) by (apply Z.mul_nonneg_nonneg; lia).
      assert (Hunder : (0 < under)%Z) by (apply Z.mul_pos_pos; lia).
      assert (Ho : 0 <= IZR over) by (apply IZR_le; exact Hover).
      assert (Hun : 0 < IZR under) by (apply IZR_lt; exact Hunder).
      pose proof (up_nonneg (t * over) under ltac:(nia) Hunder) as Hup.
      replace (Z.of_nat j + 1)%Z with (Z.of_nat (S j)) in E by lia.
      destruct (IH (S j) (up (t * over) under) r' ltac:(lia) Hup) as [Hr1 Hr2]; [|exact E|].
      * pose proof (ratio j ltac:(lia)) as Hj'.
        replace (point n (S j) p) with (point n j p * IZR over / IZR under)
          by (unfold over; rewrite <- Hj'; fold under; field; lra).
        apply Rle_trans with (IZR (t * over) / IZR under * u); [apply scaled_step; assumption|].
        apply Rmult_le_compat_r; [exact Hu|]. apply up_spec. exact Hunder.
      * split; [lia|]. rewrite tail_step by exact Hj. rewrite plus_IZR. lra.
    + injection Hr as <-. split; [lia|]. assert (j = n) by lia. subst j.
      rewrite tail_step, tail_beyond by lia. lra.
Qed.

Lemma below_spec : forall fuel j t, (j <= n)%nat -> (0 <= t)%Z ->
  IZR t * u <= point n j p * IZR s ->
  (t <= below fuel (Z.of_nat n) (Z.of_nat j) a b t)%Z /\
  IZR (below fuel (Z.of_nat n) (Z.of_nat j) a b t) * u <= head n j p * IZR s.
Proof.
  assert (Hsr : 0 < IZR s) by (apply IZR_lt; exact Hs).
  pose proof p_unit as Hp.
  assert (Hone : forall j, point n j p <= head n j p).
  { intros [|j]; [unfold head; simpl; lra|]. rewrite head_step.
    assert (0 <= head n j p) by (apply from_nonneg; lra). lra. }
  induction fuel as [|f IH]; intros j t Hj Ht H; cbn [below].
  - split; [lia|]. apply Rle_trans with (1 := H). apply Rmult_le_compat_r; [lra|apply Hone].
  - destruct (Z.ltb_spec 0 (Z.of_nat j)) as [Hlt|Hge].
    + destruct j as [|j]; [lia|].
      replace (Z.of_nat (S j) - 1)%Z with (Z.of_nat j) by lia.
      replace (Z.of_nat n - Z.of_nat (S j) + 1)%Z with (Z.of_nat n - Z.of_nat j)%Z by lia.
      replace (Z.of_nat (S j)) with (Z.of_nat j + 1)%Z by lia.
      set (over := ((Z.of_nat n - Z.of_nat j) * a)%Z). set (under := ((Z.of_nat j + 1) * b)%Z).
      assert (Hover : (0 < over)%Z) by (apply Z.mul_pos_pos; lia).
      assert (Hunder : (0 < under)%Z) by (apply Z.mul_pos_pos; lia).
      assert (Ho : 0 < IZR over) by (apply IZR_lt; exact Hover).
      assert (Hun : 0 < IZR under) by (apply IZR_lt; exact Hunder).
      pose proof (Z.div_pos (t * under) over ltac:(nia) Hover) as Hdiv.
      destruct (IH j (t * under / over)%Z ltac:(lia) Hdiv) as [H1 H2].
      * apply Rle_trans with (IZR (t * under) / IZR over * u).
        { apply Rmult_le_compat_r; [exact Hu|]. apply down_spec. exact Hover. }
        pose proof (ratio j ltac:(lia)) as Hj'. fold over under in Hj'.
        replace (point n j p) with (point n (S j) p * IZR under / IZR over) by (rewrite Hj'; field; lra).
        rewrite mult_IZR. apply Rmult_le_reg_r with (IZR over); [exact Ho|].
        replace (IZR t * IZR under / IZR over * u * IZR over) with (IZR under * (IZR t * u)) by (field; lra).
        replace (point n (S j) p * IZR under / IZR over * IZR s * IZR over)
          with (IZR under * (point n (S j) p * IZR s)) by (field; lra).
        apply Rmult_le_compat_l; lra.
      * split; [lia|]. rewrite head_step, plus_IZR. lra.
    + split; [lia|]. apply Rle_trans with (1 := H). apply Rmult_le_compat_r; [lra|apply Hone].
Qed.

End Ratios.

(** ** Clopper and Pearson *)

(** Whether [P(Bin(n, x/y) >= k) <= num/den/2] can be seen from sums of so many terms, scaled by [2^bits]. *)
Definition tail_is_small (n k x y num den : Z) (more fewer : N) (bits : Z) : bool :=
  let a := x in
  let b := (y - x)%Z in
  let s := (2 ^ bits)%Z in
  (0 <? a)%Z && (0 <? b)%Z && (0 <? k)%Z && (k <=? n)%Z && (0 <? den)%Z && (0 <=? bits)%Z &&
  match above (N.to_nat more) n k a b s with
  | Some r =>
    let q := (below (N.to_nat fewer) n k a b s - s)%Z in
    (2 * den * r <=? num * (r + q))%Z
  | None => false
  end.

Lemma tail_is_small_spec n k x y num den more fewer bits :
  tail_is_small (Z.of_nat n) (Z.of_nat k) x y num den more fewer bits = true ->
  tail n k (IZR x / IZR y) <= IZR num / IZR den / 2 /\ (0 < x < y)%Z.
Proof.
  unfold tail_is_small. rewrite !andb_true_iff, !Z.ltb_lt, !Z.leb_le.
  intros [[[[[[Ha Hb] Hk] Hkn] Hden] Hbits] H].
  split; [|lia].
  set (s := (2 ^ bits)%Z) in *. assert (Hs : (0 < s)%Z) by (apply Z.pow_pos_nonneg; lia).
  destruct (above _ _ _ _ _ _) as [r|] eqn:E; [|discriminate]. apply Z.leb_le in H.
  replace y with (x + (y - x))%Z by lia. set (b := (y - x)%Z) in *.
  pose proof (p_unit x b Ha Hb) as Hp. set (p := IZR x / IZR (x + b)) in *.
  set (u := point n k p). assert (Hu : 0 <= u) by (apply point_nonneg; lra).
  assert (Hsr : 0 < IZR s) by (apply IZR_lt; exact Hs).
  assert (Hdr : 0 < IZR den) by (apply IZR_lt; exact Hden).
  destruct (above_spec n x b Ha Hb u s Hu Hs _ k s r ltac:(lia) ltac:(lia)
    ltac:(fold p; fold u; lra) E) as [Hr A]. fold p in A.
  destruct (below_spec n x b Ha Hb u s Hu Hs (N.to_nat fewer) k s ltac:(lia) ltac:(lia)
    ltac:(fold p; fold u; lra)) as [Hq B]. fold p in B.
  set (w := below (N.to_nat fewer) (Z.of_nat n) (Z.of_nat k) x b s) in *.
  destruct k as [|k]; [lia|].
  assert (Hsum := head_and_tail n k p ltac:(lia)).
  rewrite head_step in B. fold u in B. clearbody p.
  set (T := tail n (S k) p) in *.
  assert (HT : 0 <= T) by (apply tail_nonneg; lra).
  replace (head n k p) with (1 - T) in B by lra.
  assert (Hq' : IZR (w - s) * u <= (1 - T) * IZR s) by (rewrite minus_IZR; lra).
  assert (Hr0 : 0 < IZR r) by (apply IZR_lt; lia).
  assert (Hq0 : 0 <= IZR (w - s)) by (apply IZR_le; lia).
  assert (HTr : T * (IZR r + IZR (w - s)) <= IZR r).
  { apply Rmult_le_reg_r with (IZR s); [exact Hsr|].
    assert (T * IZR s * IZR (w - s) <= IZR r * u * IZR (w - s)) by (apply Rmult_le_compat_r; assumption).
    assert (IZR r * (IZR (w - s) * u) <= IZR r * ((1 - T) * IZR s)) by (apply Rmult_le_compat_l; lra). nra. }
  apply IZR_le in H. rewrite !mult_IZR, plus_IZR in H.
  apply Rmult_le_reg_r with (2 * IZR den); [lra|].
  replace (IZR num / IZR den / 2 * (2 * IZR den)) with (IZR num) by (field; lra).
  apply Rmult_le_reg_r with (IZR r + IZR (w - s)); [lra|].
  apply Rle_trans with (2 * IZR den * IZR r); [|exact H].
  replace (T * (2 * IZR den) * (IZR r + IZR (w - s))) with (2 * IZR den * (T * (IZR r + IZR (w - s)))) by ring.
  apply Rmult_le_compat_l; lra.
Qed.

(** All probabilities up to the lower limit are excluded. *)
Theorem lower_limit_valid (n k : N) (x y num den : Z) more fewer bits :
  tail_is_small (Z.of_N n) (Z.of_N k) x y num den more fewer bits = true ->
  forall p, 0 <= p <= IZR x / IZR y -> at_least n k p <= IZR num / IZR den / 2.
Proof.
  intros H p Hp. rewrite <- (N2Nat.id n), <- (N2Nat.id k), !nat_N_Z in H.
  destruct (tail_is_small_spec _ _ _ _ _ _ _ _ _ H) as [Ht Hxy].
  apply Rle_trans with (2 := Ht). apply tail_increases; [lra|lra|].
  assert (0 < IZR x < IZR y) by (split; apply IZR_lt; lia).
  assert (Hy : IZR y <> 0) by lra.
  apply Rmult_le_reg_r with (IZR y); [lra|]. unfold Rdiv. rewrite Rmult_assoc, (Rinv_l _ Hy). lra.
Qed.

(** All probabilities from the upper limit on are excluded; [m] successes or fewer. *)
Theorem upper_limit_valid (n m : N) (x y num den : Z) more fewer bits :
  (m <=? n)%N && tail_is_small (Z.of_N n) (Z.of_N (n - m)) (y - x) y num den more fewer bits = true ->
  forall p, IZR x / IZR y <= p <= 1 -> at_most n m p <= IZR num / IZR den / 2.
Proof.
  rewrite andb_true_iff, N.leb_le. intros [Hm H] p Hp.
  unfold at_most. rewrite head_mirror by lia.
  replace (N.to_nat n - N.to_nat m)%nat with (N.to_nat (n - m)) by lia.
  change (at_least n (n - m) (1 - p) <= IZR num / IZR den / 2).
  apply (lower_limit_valid n (n - m) (y - x) y num den more fewer bits H).
  rewrite <- (N2Nat.id n), <- (N2Nat.id m), <- Nat2N.inj_sub, !nat_N_Z in H.
  destruct (tail_is_small_spec _ _ _ _ _ _ _ _ _ H) as [_ Hxy].
  assert (0 < IZR y) by (apply IZR_lt; lia).
  rewrite minus_IZR. replace ((IZR y - IZR x) / IZR y) with (1 - IZR x / IZR y) by (field; lra). lra.
Qed.

(** ** Confidence sequence *)

(** Whether [(n+1) P(Bin(n, x/y) = k) <= num/den] can be seen from sums of so many terms on both sides of k. *)
Definition point_is_small (n k x y num den : Z) (more fewer : N) (bits : Z) : bool :=
  let a := x in
  let b := (y - x)%Z in
  let s := (2 ^ bits)%Z in
  (0 <? a)%Z && (0 <? b)%Z && (0 <=? k)%Z && (k <=? n)%Z && (0 <? den)%Z && (0 <=? num)%Z && (0 <=? bits)%Z &&
  ((n + 1) * s * den <=? num * (below (N.to_nat fewer) n k a b s
    + below (N.to_nat more) n (n - k) b a s - s))%Z.

Lemma point_is_small_spec n k x y num den more fewer bits :
  point_is_small (Z.of_nat n) (Z.of_nat k) x y num den more fewer bits = true ->
  IZR (Z.of_nat n + 1) * point n k (IZR x / IZR y) <= IZR num / IZR den.
Proof.
  unfold point_is_small. rewrite !andb_true_iff, !Z.ltb_lt, !Z.leb_le.
  intros [[[[[[[Ha Hb] Hk] Hkn] Hden] Hnum] Hbits] H].
  set (s := (2 ^ bits)%Z) in *. assert (Hs : (0 < s)%Z) by (apply Z.pow_pos_nonneg; lia).
  assert (Hy : y = (x + (y - x))%Z) by lia. rewrite Hy. set (b := (y - x)%Z) in *. clearbody b. subst y.
  pose proof (p_unit x b Ha Hb) as Hp.
  assert (Hrx : 0 < IZR x /\ 0 < IZR b) by (split; apply IZR_lt; assumption).
  assert (Hmir : IZR b / IZR (b + x) = 1 - IZR x / IZR (x + b)) by (rewrite !plus_IZR; field; lra).
  set (p := IZR x / IZR (x + b)) in *.
  set (u := point n k p). assert (Hu : 0 <= u) by (apply point_nonneg; lra).
  assert (Hsr : 0 < IZR s) by (apply IZR_lt; exact Hs).
  assert (Hdr : 0 < IZR den) by (apply IZR_lt; exact Hden).
  destruct (below_spec n x b Ha Hb u s Hu Hs (N.to_nat fewer) k s ltac:(lia) ltac:(lia)
    ltac:(fold p; fold u; lra)) as [_ B]. fold p in B.
  replace (Z.of_nat n - Z.of_nat k)%Z with (Z.of_nat (n - k)) in H by lia.
  destruct (below_spec n b x Hb Ha u s Hu Hs (N.to_nat more) (n - k) s ltac:(lia) ltac:(lia)
    ltac:(rewrite Hmir, point_mirror by lia; fold u; lra)) as [_ D]. rewrite Hmir in D.
  set (w := below (N.to_nat fewer) _ _ _ _ _) in *. set (v := below (N.to_nat more) _ _ _ _ _) in *.
  rewrite head_mirror in D by lia. replace (n - (n - k))%nat with k in D by lia.
  replace (1 - (1 - p)) with p in D by ring.
  assert (Hsum := head_and_tail n k p ltac:(lia)). rewrite tail_step in D by lia. fold u in D. clearbody p.
  assert (Htot : IZR (w + v - s) * u <= IZR s) by (rewrite minus_IZR, plus_IZR; nra).
  apply IZR_le in H. rewrite !mult_IZR in H.
  set (W := IZR (w + v - s)) in *.
  assert (Hn1 : 0 < IZR (Z.of_nat n + 1)) by (apply IZR_lt; lia).
  assert (Hnu : 0 <= IZR num) by (apply IZR_le; lia).
  apply Rmult_le_reg_r with (IZR den * IZR s); [nra|].
  replace (IZR num / IZR den * (IZR den * IZR s)) with (IZR num * IZR s) by (field; lra).
  apply Rle_trans with (IZR num * W * u); [|].
  - replace (IZR (Z.of_nat n + 1) * u * (IZR den * IZR s)) with (IZR (Z.of_nat n + 1) * IZR s * IZR den * u) by ring.
    apply Rmult_le_compat_r; assumption.
  - rewrite Rmult_assoc. apply Rmult_le_compat_l; assumption.
Qed.

Theorem sequence_limit_valid (n k : N) (x y num den : Z) more fewer bits :
  point_is_small (Z.of_N n) (Z.of_N k) x y num den more fewer bits = true ->
  IZR (Z.of_N n + 1) * probability n k (IZR x / IZR y) <= IZR num / IZR den.
Proof.
  intros H. unfold probability. rewrite <- (N2Nat.id n), <- (N2Nat.id k), !nat_N_Z in H.
  pose proof (point_is_small_spec _ _ _ _ _ _ _ _ _ H) as G.
  rewrite <- nat_N_Z, N2Nat.id in G. exact G.
Qed.
