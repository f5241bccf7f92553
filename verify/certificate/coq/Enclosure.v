(** Enclosures of the terms of a certificate by the verified interval arithmetic of coq-interval.

    Nothing here needs to be read to know what a generated file states: it states its theorems about ordinary formulas
    over the reals. A term below is a formula written as data, [value] turns it into the formula again, and Coq itself
    finds the two to be the same. *)

From Coq Require Import Reals ZArith NArith List Bool Lra Lia.
From Interval Require Import Specific_ops Specific_stdz Float_full Interval Xreal Basic.
From Nonconv Require Import Binomial Erf.
Import ListNotations.
Open Scope R_scope.

Module F := SpecificFloat StdZRadix2.
Module I := FloatIntervalFull F.

(** ** Recursions, in ordinary terms

    [run step layers s] applies [step], with what is given for each layer, to the state [s]; every entry of [layers]
    says for how many layers it stands. *)

Definition layer (A : Type) : Type := N * (list A * list Z).

Fixpoint run {A} (step : list A -> list Z -> list A -> list A) (layers : list (layer A)) (s : list A) : list A :=
  match layers with
  | nil => s
  | (count, (given, whole)) :: rest => run step rest (N.iter count (step given whole) s)
  end.

(** ** Terms *)

Inductive term :=
| Int (z : Z) | Ratio (p q : Z) | Pi | Name (i : nat) | State (i : nat) | Given (i : nat) | Whole (i : nat)
| Add (t u : term) | Sub (t u : term) | Mul (t u : term) | Div (t u : term) | Max (t u : term) | Min (t u : term)
| Power (t : term) (n : Z) | PowerWhole (t : term) (i : nat)
| Sqrt (t : term) | Exp (t : term) | Log (t : term) | Atan (t : term) | Erf (t : term)
| Tail (n k : N) (t : term).

Fixpoint value (names given : list R) (whole : list Z) (state : list R) (t : term) : R :=
  let v := value names given whole state in
  match t with
  | Int z => IZR z
  | Ratio p q => IZR p / IZR q
  | Pi => PI
  | Name i => nth i names 0
  | State i => nth i state 0
  | Given i => nth i given 0
  | Whole i => IZR (nth i whole 0%Z)
  | Add t u => v t + v u
  | Sub t u => v t - v u
  | Mul t u => v t * v u
  | Div t u => v t / v u
  | Max t u => Rmax (v t) (v u)
  | Min t u => Rmin (v t) (v u)
  | Power t n => powerRZ (v t) n
  | PowerWhole t i => powerRZ (v t) (nth i whole 0%Z)
  | Sqrt t => sqrt (v t)
  | Exp t => exp (v t)
  | Log t => ln (v t)
  | Atan t => atan (v t)
  | Erf t => erf (v t)
  | Tail n k t => at_least n k (v t)
  end.

(** ** Intervals *)

Definition holds (X : I.type) (x : R) : Prop := contains (I.convert X) (Xreal x).

Lemma nai_holds x : holds I.nai x.
Proof. unfold holds. rewrite I.nai_correct. exact Logic.I. Qed.

Lemma from_undefined X (y : ExtendedR) x : contains (I.convert X) y -> y = Xnan \/ y = Xreal x -> holds X x.
Proof. intros H [->| ->]; [|exact H]. unfold holds. destruct (I.convert X); [exact Logic.I|destruct H]. Qed.

(** Whether all numbers of one interval are at most all numbers of another. *)
Definition at_most_all (X Y : I.type) : bool := I.subset X (I.lower_complement Y).

Lemma at_most_all_spec X Y x y : at_most_all X Y = true -> holds X x -> holds Y y -> x <= y.
Proof.
  intros H Hx Hy. apply (I.lower_complement_correct Y y x Hy). exact (I.subset_correct X _ (Xreal x) Hx H).
Qed.

(** The ends of an interval, for functions that increase. *)
Definition increasing (f : I.type -> I.type) (X : I.type) : I.type :=
  if at_most_all X X then f X
  else if I.lower_bounded X && I.upper_bounded X then
    I.meet (I.upper_extent (f (I.singleton (I.lower X)))) (I.lower_extent (f (I.singleton (I.upper X))))
  else I.nai.

Lemma ends X x : holds X x -> I.lower_bounded X && I.upper_bounded X = true -> exists a b,
  a <= x <= b /\ holds (I.singleton (I.lower X)) a /\ holds (I.singleton (I.upper X)) b.
Proof.
  intros Hx H. apply andb_true_iff in H. destruct H as [Hl Hu].
  destruct (I.lower_bounded_correct X Hl) as [El _]. destruct (I.upper_bounded_correct X Hu) as [Eu _].
  exists (proj_val (I.F.toX (I.lower X))), (proj_val (I.F.toX (I.upper X))).
  assert (Hne : not_empty (I.convert X)) by (exists x; exact Hx).
  pose proof (I.lower_correct X Hne) as Cl. pose proof (I.upper_correct X Hne) as Cu.
  rewrite El in Cl. rewrite Eu in Cu.
  split; [|split; apply I.singleton_correct].
  unfold holds in Hx. destruct (I.convert X) as [|l u]; [discriminate|].
  simpl in Cl, Cu. subst l u. destruct Hx as [H1 H2]. split; [exact H1|exact H2].
Qed.

Lemma increasing_holds (f : R -> R) g X x :
  (forall A a, holds A a -> holds (g A) (f a)) -> (forall a b, a <= b -> f a <= f b) ->
  holds X x -> holds (increasing g X) (f x).
Proof.
  intros Hg Hf Hx. unfold increasing. destruct (at_most_all X X); [apply Hg, Hx|].
  destruct (I.lower_bounded X && I.upper_bounded X) eqn:E; [|apply nai_holds].
  destruct (ends X x Hx E) as (a & b & [Ha Hb] & HA & HB).
  apply I.meet_correct.
  - apply (I.upper_extent_correct _ (f x) (f a)); [apply Hg, HA|apply Hf, Ha].
  - apply (I.lower_extent_correct _ (f x) (f b)); [apply Hg, HB|apply Hf, Hb].
Qed.

Definition imax (X Y : I.type) : I.type := I.meet (I.meet (I.upper_extent X) (I.upper_extent Y)) (I.join X Y).
Definition imin (X Y : I.type) : I.type := I.meet (I.meet (I.lower_extent X) (I.lower_extent Y)) (I.join X Y).

Lemma imax_holds X Y x y : holds X x -> holds Y y -> holds (imax X Y) (Rmax x y).
Proof.
  intros Hx Hy. apply I.meet_correct; [apply I.meet_correct|].
  - apply (I.upper_extent_correct X _ x); [exact Hx|apply Rmax_l].
  - apply (I.upper_extent_correct Y _ y); [exact Hy|apply Rmax_r].
  - apply I.join_correct. unfold Rmax. destruct (Rle_dec x y); [right|left]; assumption.
Qed.

Lemma imin_holds X Y x y : holds X x -> holds Y y -> holds (imin X Y) (Rmin x y).
Proof.
  intros Hx Hy. apply I.meet_correct; [apply I.meet_correct|].
  - apply (I.lower_extent_correct X _ x); [exact Hx|apply Rmin_l].
  - apply (I.lower_extent_correct Y _ y); [exact Hy|apply Rmin_r].
  - apply I.join_correct. unfold Rmin. destruct (Rle_dec x y); [left|right]; assumption.
Qed.

Section Precision.

Variable prec : F.precision.

Definition ratio_in (p q : Z) : I.type := I.div prec (I.fromZ prec p) (I.fromZ prec q).
Definition one : I.type := I.fromZ prec 1.

Lemma int_holds z : holds (I.fromZ prec z) (IZR z).
Proof. apply I.fromZ_correct. Qed.

Lemma add_holds X Y x y : holds X x -> holds Y y -> holds (I.add prec X Y) (x + y).
Proof. intros Hx Hy. exact (I.add_correct prec X Y _ _ Hx Hy). Qed.

Lemma sub_holds X Y x y : holds X x -> holds Y y -> holds (I.sub prec X Y) (x - y).
Proof. intros Hx Hy. exact (I.sub_correct prec X Y _ _ Hx Hy). Qed.

Lemma mul_holds X Y x y : holds X x -> holds Y y -> holds (I.mul prec X Y) (x * y).
Proof. intros Hx Hy. exact (I.mul_correct prec X Y _ _ Hx Hy). Qed.

Lemma div_holds X Y x y : holds X x -> holds Y y -> holds (I.div prec X Y) (x / y).
Proof.
  intros Hx Hy. apply from_undefined with (1 := I.div_correct prec X Y _ _ Hx Hy).
  simpl. unfold Xdiv'. destruct (is_zero y); auto.
Qed.

Lemma ratio_holds p q : holds (ratio_in p q) (IZR p / IZR q).
Proof. apply div_holds; apply int_holds. Qed.

Lemma power_holds X x n : holds X x -> holds (I.power_int prec X n) (powerRZ x n).
Proof.
  intros Hx. apply from_undefined with (1 := I.power_int_correct prec n X _ Hx).
  simpl. unfold Xpower_int'. destruct n; auto. destruct (is_zero x); auto.
Qed.

Lemma power_nat_holds X x n : holds X x -> holds (I.power_int prec X (Z.of_nat n)) (x ^ n).
Proof. intros Hx. rewrite pow_powerRZ. apply power_holds, Hx. Qed.

Lemma sqrt_holds X x : holds X x -> holds (I.sqrt prec X) (sqrt x).
Proof. intros Hx. exact (I.sqrt_correct prec X _ Hx). Qed.

Lemma exp_holds X x : holds X x -> holds (I.exp prec X) (exp x).
Proof. intros Hx. exact (I.exp_correct prec X _ Hx). Qed.

Lemma atan_holds X x : holds X x -> holds (I.atan prec X) (atan x).
Proof. intros Hx. exact (I.atan_correct prec X _ Hx). Qed.

Lemma log_holds X x : holds X x -> holds (I.ln prec X) (ln x).
Proof.
  intros Hx. apply from_undefined with (1 := I.ln_correct prec X _ Hx).
  simpl. unfold Xln'. destruct (is_positive x); auto.
Qed.

(** *** Binomial sums: [P] holds the success probability, [Q] its complement *)

Fixpoint binomial_sum (count : nat) (n j c : Z) (P Q power sum : I.type) : I.type :=
  match count with
  | O => sum
  | S rest =>
    let d := (c * (n - j))%Z in
    if (d mod (j + 1) =? 0)%Z then
      let next := I.mul prec power P in
      let e := (d / (j + 1))%Z in
      binomial_sum rest n (j + 1) e P Q next (I.add prec (I.mul prec sum Q) (I.mul prec (I.fromZ prec e) next))
    else I.nai
  end.

(** Horner's form of [C(n,0) q^m + C(n,1) p q^(m-1) + ... + C(n,m) p^m]. *)
Fixpoint horner (n m : nat) (p q : R) : R :=
  match m with O => 1 | S k => horner n k p q * q + C n m * p ^ m end.

Lemma head_horner n m p : (m <= n)%nat -> head n m p = (1 - p) ^ (n - m) * horner n m p (1 - p).
Proof.
  induction m as [|m IH]; intros H.
  - unfold head. simpl. unfold point. rewrite Nat.sub_0_r. replace (C n 0) with 1; [ring|].
    unfold C. rewrite Nat.sub_0_r. simpl. field. apply INR_fact_neq_0.
  - rewrite head_step, IH by lia. cbn [horner]. unfold point.
    replace (n - m)%nat with (S (n - S m)) by lia. simpl pow. ring.
Qed.

Lemma zero_holds : holds I.zero 0.
Proof. unfold holds. rewrite I.zero_correct. simpl. lra. Qed.

Lemma C_next n j : (j < n)%nat -> C n (S j) = C n j * INR (n - j) / INR (S j).
Proof.
  intros H. unfold C. replace (n - j)%nat with (S (n - S j)) by lia. rewrite !fact_simpl, !mult_INR.
  field. repeat split; try apply INR_fact_neq_0; apply not_0_INR; lia.
Qed.

Lemma binomial_sum_holds P Q p q n : holds P p -> holds Q q -> forall count j c power sum, (j + count <= n)%nat ->
  IZR c = C n j -> holds power (p ^ j) -> holds sum (horner n j p q) ->
  holds (binomial_sum count (Z.of_nat n) (Z.of_nat j) c P Q power sum) (horner n (j + count) p q).
Proof.
  intros HP HQ. induction count as [|count IH]; intros j c power sum Hj Hc Hpower Hsum.
  - rewrite Nat.add_0_r. exact Hsum.
  - cbn [binomial_sum]. cbv zeta. destruct (Z.eqb_spec ((c * (Z.of_nat n - Z.of_nat j)) mod (Z.of_nat j + 1)) 0) as [E|];
      [|apply nai_holds].
    set (e := (c * (Z.of_nat n - Z.of_nat j) / (Z.of_nat j + 1))%Z).
    assert (He : IZR e = C n (S j)).
    { apply Z.div_exact in E; [|lia]. fold e in E. rewrite C_next by lia. rewrite <- Hc, !INR_IZR_INZ.
      replace (Z.of_nat (n - j)) with (Z.of_nat n - Z.of_nat j)%Z by lia.
      replace (Z.of_nat (S j)) with (Z.of_nat j + 1)%Z by lia.
      rewrite <- mult_IZR, E, mult_IZR. field. apply not_0_IZR. lia. }
    replace (j + S count)%nat with (S j + count)%nat by lia.
    replace (Z.of_nat j + 1)%Z with (Z.of_nat (S j)) by lia.
    assert (Hnext : holds (I.mul prec power P) (p ^ S j)) by (rewrite <- tech_pow_Rmult, Rmult_comm; apply mul_holds; assumption).
    apply IH; [lia|exact He|exact Hnext|].
    cbn [horner]. apply add_holds; [apply mul_holds; assumption|]. rewrite <- He. apply mul_holds; [apply int_holds|exact Hnext].
Qed.

Definition head_in (n k : nat) (P Q : I.type) : I.type :=
  I.mul prec (I.power_int prec Q (Z.of_nat (n - k))) (binomial_sum k (Z.of_nat n) 0 1 P Q one one).

Lemma head_in_holds P Q p n k : (k <= n)%nat -> holds P p -> holds Q (1 - p) -> holds (head_in n k P Q) (head n k p).
Proof.
  intros Hk HP HQ. rewrite head_horner by exact Hk. apply mul_holds; [apply power_nat_holds, HQ|].
  apply (binomial_sum_holds P Q p (1 - p) n HP HQ k 0 1); [lia| |apply int_holds|apply int_holds].
  unfold C. rewrite Nat.sub_0_r. simpl. field. apply INR_fact_neq_0.
Qed.

(** At a point; the shorter of the two sums is taken. *)
Definition tail_at (n k : nat) (P : I.type) : I.type :=
  let Q := I.sub prec one P in
  match k with
  | O => one
  | S m =>
    if (k <=? n)%nat then
      if (n <? 2 * k)%nat then head_in n (n - k) Q P else I.sub prec one (head_in n m P Q)
    else I.zero
  end.

Lemma tail_at_holds n k P p : holds P p -> holds (tail_at n k P) (tail n k p).
Proof.
  intros HP. unfold tail_at. destruct k as [|m]; [rewrite tail_zero; apply int_holds|].
  assert (HQ : holds (I.sub prec one P) (1 - p)) by (apply sub_holds; [apply int_holds|exact HP]).
  destruct (Nat.leb_spec (S m) n) as [Hk|Hk]; [|rewrite tail_beyond by exact Hk; apply zero_holds].
  destruct (n <? 2 * S m)%nat.
  - replace (tail n (S m) p) with (head n (n - S m) (1 - p)).
    + apply head_in_holds; [lia|exact HQ|]. replace (1 - (1 - p)) with p by ring. exact HP.
    + rewrite head_mirror by lia. f_equal; [lia|ring].
  - replace (tail n (S m) p) with (1 - head n m p).
    + apply sub_holds; [apply int_holds|]. apply head_in_holds; [lia|exact HP|exact HQ].
    + pose proof (head_and_tail n m p ltac:(lia)). lra.
Qed.

(** Tails increase on the unit interval. *)
Definition tail_in (n k : N) (X : I.type) : I.type :=
  if at_most_all X X then tail_at (N.to_nat n) (N.to_nat k) X
  else if I.lower_bounded X && I.upper_bounded X then
    let A := I.singleton (I.lower X) in
    let B := I.singleton (I.upper X) in
    if at_most_all I.zero A && at_most_all B one then
      I.meet (I.upper_extent (tail_at (N.to_nat n) (N.to_nat k) A)) (I.lower_extent (tail_at (N.to_nat n) (N.to_nat k) B))
    else I.nai
  else I.nai.

Lemma tail_in_holds n k X x : holds X x -> holds (tail_in n k X) (at_least n k x).
Proof.
  intros Hx. unfold tail_in. destruct (at_most_all X X); [apply tail_at_holds, Hx|].
  destruct (I.lower_bounded X && I.upper_bounded X) eqn:E; [|apply nai_holds].
  destruct (ends X x Hx E) as (a & b & [Ha Hb] & HA & HB). cbv zeta.
  destruct (at_most_all _ _ && _) eqn:E2; [|apply nai_holds]. apply andb_true_iff in E2. destruct E2 as [E0 E1].
  assert (H0 := at_most_all_spec _ _ _ _ E0 zero_holds HA).
  assert (H1 := at_most_all_spec _ _ _ _ E1 HB (int_holds 1)).
  apply I.meet_correct.
  - apply (I.upper_extent_correct _ _ (at_least n k a)); [apply tail_at_holds, HA|apply tail_increases; lra].
  - apply (I.lower_extent_correct _ _ (at_least n k b)); [apply tail_at_holds, HB|apply tail_increases; lra].
Qed.

(** *** The error function *)

(** Terms of the series from number k on, with signs; [power] holds [x^(2k+1)/k!]. *)
Fixpoint gauss_terms (tiny : I.type) (count : nat) (k : Z) (square power sum : I.type) : I.type * I.type :=
  let next := I.div prec power (I.fromZ prec (2 * k + 1)) in
  let total := if Z.even k then I.add prec sum next else I.sub prec sum next in
  match count with
  | O => (sum, total)
  | S rest => if at_most_all next tiny then (sum, total) else gauss_terms tiny rest (k + 1) square (I.div prec (I.mul prec power square) (I.fromZ prec (k + 1))) total
  end.

Lemma gauss_terms_hold tiny x square : holds square (x * x) -> forall count k power sum,
  holds power (x ^ (2 * k + 1) / INR (fact k)) -> holds sum (gauss_sum k x) ->
  let (a, b) := gauss_terms tiny count (Z.of_nat k) square power sum in
  exists m, holds a (gauss_sum m x) /\ holds b (gauss_sum (S m) x).
Proof.
  intros Hs. induction count as [|count IH]; intros k power sum Hp Hsum; cbn [gauss_terms].
  all: assert (Hnext : holds (I.div prec power (I.fromZ prec (2 * Z.of_nat k + 1)))
    (x ^ (2 * k + 1) / (INR (fact k) * INR (2 * k + 1)))).
  1, 3: replace (x ^ (2 * k + 1) / (INR (fact k) * INR (2 * k + 1)))
      with (x ^ (2 * k + 1) / INR (fact k) / IZR (2 * Z.of_nat k + 1))
    by (replace (2 * Z.of_nat k + 1)%Z with (Z.of_nat (2 * k + 1)) by lia; rewrite <- INR_IZR_INZ; field;
        split; first [apply INR_fact_neq_0 | apply not_0_INR; lia]);
    apply div_holds; [exact Hp|apply int_holds].
  all: assert (Htotal : holds (if Z.even (Z.of_nat k)
      then I.add prec sum (I.div prec power (I.fromZ prec (2 * Z.of_nat k + 1)))
      else I.sub prec sum (I.div prec power (I.fromZ prec (2 * Z.of_nat k + 1)))) (gauss_sum (S k) x)).
  1, 3: cbn [gauss_sum]; destruct (Z.even (Z.of_nat k)) eqn:E;
    [ apply Z.even_spec in E; destruct E as [i Hi]; replace k with (2 * Z.to_nat i)%nat in * by lia;
      rewrite pow_1_even, Rmult_1_l; apply add_holds; assumption
    | assert (O : Z.odd (Z.of_nat k) = true) by (rewrite <- Z.negb_even, E; reflexivity);
      apply Z.odd_spec in O; destruct O as [i Hi]; replace k with (S (2 * Z.to_nat i))%nat in * by lia;
      rewrite pow_1_odd; replace (-1 * (x ^ (2 * S (2 * Z.to_nat i) + 1) /
        (INR (fact (S (2 * Z.to_nat i))) * INR (2 * S (2 * Z.to_nat i) + 1))))
        with (- (x ^ (2 * S (2 * Z.to_nat i) + 1) /
        (INR (fact (S (2 * Z.to_nat i))) * INR (2 * S (2 * Z.to_nat i) + 1)))) by ring;
      apply sub_holds; assumption ].
  - exists k. split; assumption.
  - destruct (at_most_all _ tiny); [exists k; split; assumption|].
    replace (Z.of_nat k + 1)%Z with (Z.of_nat (S k)) by lia. apply IH; [|exact Htotal].
    replace (x ^ (2 * S k + 1) / INR (fact (S k))) with (x ^ (2 * k + 1) / INR (fact k) * (x * x) / IZR (Z.of_nat (S k))).
    + apply div_holds; [apply mul_holds; assumption|apply int_holds].
    + rewrite <- INR_IZR_INZ, fact_simpl, mult_INR. replace (2 * S k + 1)%nat with (S (S (2 * k + 1))) by lia. simpl pow.
      field. split; first [apply INR_fact_neq_0 | apply not_0_INR; lia].
Qed.

(** Terms below [2^least] end the series. *)
Definition gauss_at (least : Z) (count : nat) (X : I.type) : I.type :=
  let (a, b) := gauss_terms (I.power_int prec (I.fromZ prec 2) least) count 0 (I.mul prec X X) X I.zero in I.join a b.


Lemma between_join A B a b x : holds A a -> holds B b -> a <= x <= b \/ b <= x <= a -> holds (I.join A B) x.
Proof.
  intros HA HB H.
  assert (Ja : holds (I.join A B) a) by (apply I.join_correct; left; exact HA).
  assert (Jb : holds (I.join A B) b) by (apply I.join_correct; right; exact HB).
  unfold holds in *. destruct (I.convert (I.join A B)) as [|[|l] [|u]]; simpl in *; lra.
Qed.

Lemma gauss_at_holds least count X x : 0 <= x -> holds X x -> holds (gauss_at least count X) (gauss x).
Proof.
  intros Hx HX. unfold gauss_at. change 0%Z with (Z.of_nat 0).
  pose proof (gauss_terms_hold (I.power_int prec (I.fromZ prec 2) least) x (I.mul prec X X)
    (mul_holds _ _ _ _ HX HX) count 0 X I.zero) as H.
  destruct (gauss_terms _ _ _ _ _ _) as [a b].
  destruct H as (m & Ha & Hb); [simpl; replace (x * 1 / 1) with x by field; exact HX|apply zero_holds|].
  apply (between_join _ _ _ _ _ Ha Hb). apply gauss_between, Hx.
Qed.

(** At a point of at least 0. *)
Definition gauss_any (least : Z) (count : nat) (X : I.type) : I.type :=
  let eight := I.fromZ prec 8 in
  if at_most_all I.zero X then
    if at_most_all X eight then gauss_at least count X
    else if at_most_all eight X then
      let low := gauss_at least count eight in
      I.join low (I.add prec low (I.div prec (I.exp prec (I.fromZ prec (-64))) eight))
    else I.nai
  else I.nai.

Lemma gauss_any_holds least count X x : holds X x -> holds (gauss_any least count X) (gauss x).
Proof.
  intros HX. unfold gauss_any. destruct (at_most_all I.zero X) eqn:E0; [|apply nai_holds].
  assert (H0 := at_most_all_spec _ _ _ _ E0 zero_holds HX).
  cbv zeta. destruct (at_most_all X (I.fromZ prec 8)); [apply gauss_at_holds; assumption|].
  destruct (at_most_all (I.fromZ prec 8) X) eqn:E8; [|apply nai_holds].
  assert (H8 := at_most_all_spec _ _ _ _ E8 (int_holds 8) HX).
  assert (L : holds (gauss_at least count (I.fromZ prec 8)) (gauss 8)) by (apply gauss_at_holds; [lra|apply int_holds]).
  apply between_join with (1 := L) (b := gauss 8 + exp (-64) / 8).
  - apply add_holds; [exact L|]. apply div_holds; [apply exp_holds; apply int_holds|apply int_holds].
  - left. apply gauss_beyond_8, H8.
Qed.

(** Terms below [2^-300] are neglected; there are at most 400 others up to 8. *)
Definition erf_in (X : I.type) : I.type :=
  I.mul prec (I.div prec (I.fromZ prec 2) (I.sqrt prec (I.pi prec))) (increasing (gauss_any (- 300) 1000) X).

Lemma erf_in_holds X x : holds X x -> holds (erf_in X) (erf x).
Proof.
  intros Hx. apply mul_holds.
  - apply div_holds; [apply int_holds|]. apply sqrt_holds. apply I.pi_correct.
  - apply (increasing_holds gauss); [intros; apply gauss_any_holds; assumption|exact gauss_increases|exact Hx].
Qed.

(** *** Terms *)

Fixpoint enclose (names given : list I.type) (whole : list Z) (state : list I.type) (t : term) : I.type :=
  let e := enclose names given whole state in
  match t with
  | Int z => I.fromZ prec z
  | Ratio p q => ratio_in p q
  | Pi => I.pi prec
  | Name i => nth i names I.nai
  | State i => nth i state I.nai
  | Given i => nth i given I.nai
  | Whole i => I.fromZ prec (nth i whole 0%Z)
  | Add t u => I.add prec (e t) (e u)
  | Sub t u => I.sub prec (e t) (e u)
  | Mul t u => I.mul prec (e t) (e u)
  | Div t u => I.div prec (e t) (e u)
  | Max t u => imax (e t) (e u)
  | Min t u => imin (e t) (e u)
  | Power t n => I.power_int prec (e t) n
  | PowerWhole t i => I.power_int prec (e t) (nth i whole 0%Z)
  | Sqrt t => I.sqrt prec (e t)
  | Exp t => I.exp prec (e t)
  | Log t => I.ln prec (e t)
  | Atan t => I.atan prec (e t)
  | Erf t => erf_in (e t)
  | Tail n k t => tail_in n k (e t)
  end.

Definition all_hold : list I.type -> list R -> Prop := Forall2 holds.

Lemma nth_holds Xs xs : all_hold Xs xs -> forall i, holds (nth i Xs I.nai) (nth i xs 0).
Proof. induction 1; intros [|i]; simpl; auto using nai_holds. Qed.

Section Terms.

Variables (Names Given_ State_ : list I.type) (names given state : list R) (whole : list Z).
Hypotheses (Hn : all_hold Names names) (Hg : all_hold Given_ given).
Hypothesis Hs : forall i, holds (nth i State_ I.nai) (nth i state 0).

Lemma enclose_holds_part t : holds (enclose Names Given_ whole State_ t) (value names given whole state t).
Proof.
  induction t; cbn [enclose value];
    auto using int_holds, ratio_holds, nth_holds, add_holds, sub_holds, mul_holds, div_holds, imax_holds, imin_holds,
      power_holds, sqrt_holds, exp_holds, log_holds, atan_holds, erf_in_holds, tail_in_holds.
  apply I.pi_correct.
Qed.

End Terms.

Lemma enclose_holds Names Given_ State_ names given state whole t :
  all_hold Names names -> all_hold Given_ given -> all_hold State_ state ->
  holds (enclose Names Given_ whole State_ t) (value names given whole state t).
Proof. intros Hn Hg Hs. apply enclose_holds_part; [exact Hn|exact Hg|apply nth_holds, Hs]. Qed.

(** *** What the theorems of a file follow from *)

(** Whether a value lies between two terms without names. *)
Definition lies_between (lo hi : term) (X : I.type) : bool :=
  at_most_all (enclose [] [] [] [] lo) X && at_most_all X (enclose [] [] [] [] hi).

Definition constant (t : term) : R := value [] [] [] [] t.

Lemma lies_between_spec lo hi X x : lies_between lo hi X = true -> holds X x -> constant lo <= x <= constant hi.
Proof.
  unfold lies_between. rewrite andb_true_iff. intros [Hl Hh] Hx.
  split; [apply (at_most_all_spec _ _ _ _ Hl)|apply (at_most_all_spec _ _ _ _ Hh)];
    try exact Hx; apply enclose_holds; constructor.
Qed.

(** Numbers between given ends. *)
Fixpoint within (ends : list (term * term)) (xs : list R) : Prop :=
  match ends, xs with
  | nil, nil => True
  | (lo, hi) :: rest, x :: others => constant lo <= x <= constant hi /\ within rest others
  | _, _ => False
  end.

Definition range (ends : term * term) : I.type :=
  I.meet (I.upper_extent (enclose [] [] [] [] (fst ends))) (I.lower_extent (enclose [] [] [] [] (snd ends))).

Lemma ranges_hold ends xs : within ends xs -> all_hold (map range ends) xs.
Proof.
  revert xs. induction ends as [|[lo hi] ends IH]; intros [|x xs] H; try destruct H; [constructor|].
  constructor; [|apply IH; assumption].
  apply I.meet_correct.
  - apply (I.upper_extent_correct _ _ (constant lo)); [apply enclose_holds; constructor|lra].
  - apply (I.lower_extent_correct _ _ (constant hi)); [apply enclose_holds; constructor|lra].
Qed.

(** Closed terms. *)
Lemma closed_enclosed ends names t lo hi : within ends names ->
  lies_between lo hi (enclose (map range ends) [] [] [] t) = true ->
  constant lo <= value names [] [] [] t <= constant hi.
Proof.
  intros Hw H. apply (lies_between_spec _ _ _ _ H). apply enclose_holds; [apply ranges_hold, Hw|constructor|constructor].
Qed.

(** Recursions. *)
Definition value_layer (names : list R) (l : layer term) : layer R :=
  (fst l, (map (value names [] [] []) (fst (snd l)), snd (snd l))).
Definition enclose_layer (Names : list I.type) (l : layer term) : layer I.type :=
  (fst l, (map (enclose Names [] [] []) (fst (snd l)), snd (snd l))).

Definition value_step (names : list R) (step : list term) given whole state : list R :=
  map (value names given whole state) step.
Definition enclose_step (Names : list I.type) (step : list term) given whole state : list I.type :=
  map (enclose Names given whole state) step.

Definition value_run (names : list R) (start step : list term) (layers : list (layer term)) : list R :=
  run (value_step names step) (map (value_layer names) layers) (map (value names [] [] []) start).
Definition enclose_run (Names : list I.type) (start step : list term) (layers : list (layer term)) : list I.type :=
  run (enclose_step Names step) (map (enclose_layer Names) layers) (map (enclose Names [] [] []) start).

Lemma map_holds Names Given_ State_ names given state whole terms :
  all_hold Names names -> all_hold Given_ given -> all_hold State_ state ->
  all_hold (map (enclose Names Given_ whole State_) terms) (map (value names given whole state) terms).
Proof. intros. induction terms; constructor; [apply enclose_holds; assumption|assumption]. Qed.

Lemma run_holds Names names start step layers : all_hold Names names ->
  all_hold (enclose_run Names start step layers) (value_run names start step layers).
Proof.
  intros Hn. unfold enclose_run, value_run.
  assert (H : all_hold (map (enclose Names [] [] []) start) (map (value names [] [] []) start))
    by (apply map_holds; [exact Hn|constructor|constructor]).
  revert H. generalize (map (enclose Names [] [] []) start), (map (value names [] [] []) start).
  induction layers as [|[count [given whole]] layers IH]; intros S s H; [exact H|].
  cbn [map run enclose_layer value_layer fst snd]. apply IH.
  induction count as [|count IHc] using N.peano_ind; [exact H|].
  rewrite !N.iter_succ. apply map_holds; [exact Hn| |exact IHc].
  apply map_holds; [exact Hn|constructor|constructor].
Qed.

Lemma run_ext {A} (f g : list A -> list Z -> list A -> list A) layers :
  (forall given whole state, f given whole state = g given whole state) -> forall s, run f layers s = run g layers s.
Proof.
  intros H. induction layers as [|[count [given whole]] layers IH]; intros s; [reflexivity|]. cbn [run].
  rewrite <- IH. f_equal. induction count as [|count IHc] using N.peano_ind; [reflexivity|].
  rewrite !N.iter_succ, IHc. apply H.
Qed.

Lemma recursion_enclosed ends names Start Step Layers Result lo hi start step layers result : within ends names ->
  start = map (value names [] [] []) Start ->
  (forall given whole state, step given whole state = value_step names Step given whole state) ->
  layers = map (value_layer names) Layers ->
  (forall state, result state = value names [] [] state Result) ->
  lies_between lo hi (enclose (map range ends) [] [] (enclose_run (map range ends) Start Step Layers) Result) = true ->
  constant lo <= result (run step layers start) <= constant hi.
Proof.
  intros Hw Hstart Hstep Hlayers Hresult H. assert (Hn := ranges_hold _ _ Hw).
  rewrite Hresult, Hstart, Hlayers, (run_ext _ _ _ Hstep). apply (lies_between_spec _ _ _ _ H).
  apply enclose_holds; [exact Hn|constructor|apply run_holds, Hn].
Qed.

(** Straight programs: names defined one after the other, each in terms of those before it. *)
Fixpoint defined (names : list R) (steps : list term) (all xs : list R) : Prop :=
  match steps, xs with
  | nil, nil => True
  | t :: rest, x :: others => x = value names [] [] all t /\ defined names rest all others
  | _, _ => False
  end.

Fixpoint enclose_steps (Names : list I.type) (steps : list term) (done : list I.type) : list I.type :=
  match steps with nil => done | t :: rest => enclose_steps Names rest (done ++ [enclose Names [] [] done t]) end.

Lemma nth_part Xs xs more : all_hold Xs xs -> forall i, holds (nth i Xs I.nai) (nth i (xs ++ more) 0).
Proof. induction 1; intros [|i]; simpl; auto using nai_holds. Qed.

Lemma steps_hold Names names : all_hold Names names -> forall steps Done done xs,
  all_hold Done done -> defined names steps (done ++ xs) xs -> all_hold (enclose_steps Names steps Done) (done ++ xs).
Proof.
  intros Hn. induction steps as [|t steps IH]; intros Done done [|x xs] Hd H; try contradiction.
  - rewrite app_nil_r. exact Hd.
  - destruct H as [H1 H2]. cbn [enclose_steps].
    assert (E : done ++ x :: xs = (done ++ [x]) ++ xs) by (rewrite <- app_assoc; reflexivity).
    rewrite E in H2 |- *. apply IH; [|exact H2].
    apply Forall2_app; [exact Hd|]. constructor; [|constructor].
    rewrite H1. apply enclose_holds_part; [exact Hn|constructor|apply nth_part, Hd].
Qed.

Lemma all_defined names steps all xs : xs = map (value names [] [] all) steps -> defined names steps all xs.
Proof. intros ->. induction steps; simpl; auto. Qed.

Lemma program_enclosed ends names steps xs result lo hi : within ends names ->
  xs = map (value names [] [] xs) steps ->
  lies_between lo hi (enclose (map range ends) [] [] (enclose_steps (map range ends) steps []) result) = true ->
  constant lo <= value names [] [] xs result <= constant hi.
Proof.
  intros Hw Hd H. assert (Hn := ranges_hold _ _ Hw). apply (lies_between_spec _ _ _ _ H).
  apply enclose_holds; [exact Hn|constructor|]. apply (steps_hold _ _ Hn steps [] [] xs); [constructor|].
  apply all_defined, Hd.
Qed.

End Precision.
