(** Live-set chains: the number of dead neurons, layer by layer.

    [S_1] is binomial with success probability [first]; given [S_{k-1}], [S_k] is binomial with a success probability
    that depends on how many neurons of layer k-1 are not dead. [chain] is the probability that [S_1] reaches [enough]
    or that some layer is dead as a whole; it is computed from the masses of the paths that have not come to that. *)

From Coq Require Import Reals ZArith NArith List Bool Lra Lia.
From Nonconv Require Import Binomial Enclosure.
Import ListNotations.
Open Scope R_scope.

(** Probabilities of j, j+1, ... successes in n trials, so many of them. *)
Fixpoint points (n j count : nat) (p : R) : list R :=
  match count with O => [] | S rest => point n j p :: points n (S j) rest p end.

Fixpoint plus (xs ys : list R) : list R :=
  match xs, ys with x :: xs, y :: ys => (x + y) :: plus xs ys | _, _ => [] end.

(** From the masses of 0, 1, ... dead neurons, of which the first leaves [living] ones, to those of 0, ..., n-1 dead
    neurons among the n of the next layer. *)
Fixpoint next (n : N) (success : Z -> R) (living : Z) (masses : list R) : list R :=
  match masses with
  | [] => repeat 0 (N.to_nat n)
  | m :: rest =>
    plus (map (Rmult m) (points (N.to_nat n) 0 (N.to_nat n) (success living))) (next n success (living - 1) rest)
  end.

(** Each entry stands for so many layers of the same width and success probability. *)
Fixpoint follow (before : N) (layers : list (N * N * (Z -> R))) (masses : list R) : list R :=
  match layers with
  | [] => masses
  | (count, n, success) :: rest =>
    follow n rest (snd (N.iter count (fun s => (n, next n success (Z.of_N (fst s)) (snd s))) (before, masses)))
  end.

Definition sum (xs : list R) : R := fold_right Rplus 0 xs.

Definition chain (width enough : N) (first : R) (layers : list (N * N * (Z -> R))) : R :=
  1 - sum (follow width layers (points (N.to_nat width) 0 (N.to_nat enough) first)).

(** ** Enclosures *)

Section Precision.

Variable prec : F.precision.

Fixpoint points_in (count : nat) (n j : Z) (P Q c power : I.type) : list I.type :=
  match count with
  | O => []
  | S rest =>
    I.mul prec (I.mul prec c power) (I.power_int prec Q (n - j)) ::
    match rest with
    | O => []
    | S _ =>
      points_in rest n (j + 1) P Q
        (I.div prec (I.mul prec c (I.fromZ prec (n - j))) (I.fromZ prec (j + 1))) (I.mul prec power P)
    end
  end.

Lemma points_in_hold P Q p n : holds P p -> holds Q (1 - p) -> forall count j c power, (j + count <= S n)%nat ->
  holds c (C n j) -> holds power (p ^ j) ->
  all_hold (points_in count (Z.of_nat n) (Z.of_nat j) P Q c power) (points n j count p).
Proof.
  intros HP HQ. induction count as [|count IH]; intros j c power Hj Hc Hpower; [constructor|].
  cbn [points_in points]. constructor.
  - rewrite <- Nat2Z.inj_sub by lia. apply mul_holds; [apply mul_holds; assumption|apply power_nat_holds, HQ].
  - destruct count as [|count]; [constructor|].
    replace (Z.of_nat j + 1)%Z with (Z.of_nat (S j)) by lia. apply IH; [lia| |].
    + rewrite C_next by lia. rewrite <- Nat2Z.inj_sub by lia. rewrite !INR_IZR_INZ.
      apply div_holds; [apply mul_holds; [exact Hc|]|]; apply int_holds.
    + rewrite <- tech_pow_Rmult, Rmult_comm. apply mul_holds; assumption.
Qed.

Definition law_in (n : N) (count : nat) (P : I.type) : list I.type :=
  points_in count (Z.of_N n) 0 P (I.sub prec (one prec) P) (one prec) (one prec).

Lemma law_in_holds n count P p : (count <= S (N.to_nat n))%nat -> holds P p ->
  all_hold (law_in n count P) (points (N.to_nat n) 0 count p).
Proof.
  intros Hc HP. unfold law_in. rewrite <- (N2Nat.id n) at 1. rewrite nat_N_Z. change 0%Z with (Z.of_nat 0).
  apply points_in_hold; [exact HP| |exact Hc| |apply int_holds].
  - apply sub_holds; [apply int_holds|exact HP].
  - replace (C (N.to_nat n) 0) with 1; [apply int_holds|]. unfold C. rewrite Nat.sub_0_r. simpl. field. apply INR_fact_neq_0.
Qed.

Fixpoint plus_in (Xs Ys : list I.type) : list I.type :=
  match Xs, Ys with X :: Xs, Y :: Ys => I.add prec X Y :: plus_in Xs Ys | _, _ => [] end.

Lemma plus_in_holds Xs xs : all_hold Xs xs -> forall Ys ys, all_hold Ys ys -> all_hold (plus_in Xs Ys) (plus xs ys).
Proof.
  induction 1 as [|X x Xs xs Hx _ IH]; intros Ys ys Hy; [constructor|].
  destruct Hy; [constructor|]. constructor; [apply add_holds; assumption|apply IH; assumption].
Qed.

Fixpoint next_in (Names : list I.type) (n : N) (success : term) (living : Z) (masses : list I.type) : list I.type :=
  match masses with
  | [] => repeat I.zero (N.to_nat n)
  | m :: rest =>
    plus_in (map (I.mul prec m) (law_in n (N.to_nat n) (enclose prec Names [] [living] [] success)))
      (next_in Names n success (living - 1) rest)
  end.

Fixpoint follow_in (Names : list I.type) (before : N) (layers : list (N * N * term)) (masses : list I.type) : list I.type :=
  match layers with
  | [] => masses
  | (count, n, success) :: rest =>
    follow_in Names n rest
      (snd (N.iter count (fun s => (n, next_in Names n success (Z.of_N (fst s)) (snd s))) (before, masses)))
  end.

Definition sum_in (Xs : list I.type) : I.type := fold_right (I.add prec) I.zero Xs.

Definition chain_in (Names : list I.type) (width enough : N) (first : term) (layers : list (N * N * term)) : I.type :=
  I.sub prec (one prec) (sum_in (follow_in Names width layers
    (law_in width (N.to_nat enough) (enclose prec Names [] [] [] first)))).

(** The success probability as a function of the number of living neurons. *)
Definition success_of (names : list R) (t : term) (a : Z) : R := value names [] [a] [] t.

Definition layers_of (names : list R) : list (N * N * term) -> list (N * N * (Z -> R)) :=
  map (fun l => (fst l, success_of names (snd l))).

Section Names.

Variables (Names : list I.type) (names : list R).
Hypothesis Hn : all_hold Names names.

Lemma next_in_holds n success Masses masses : all_hold Masses masses -> forall living,
  all_hold (next_in Names n success living Masses) (next n (success_of names success) living masses).
Proof.
  induction 1 as [|M m Masses masses Hm _ IH]; intros living; cbn [next_in next].
  - induction (N.to_nat n) as [|k IHk]; constructor; [apply zero_holds|exact IHk].
  - apply plus_in_holds; [|apply IH].
    assert (H : all_hold (law_in n (N.to_nat n) (enclose prec Names [] [living] [] success))
      (points (N.to_nat n) 0 (N.to_nat n) (success_of names success living))).
    { apply law_in_holds; [lia|]. apply enclose_holds; [exact Hn|constructor|constructor]. }
    induction H; constructor; [apply mul_holds; assumption|assumption].
Qed.

Lemma follow_in_holds layers : forall before Masses masses, all_hold Masses masses ->
  all_hold (follow_in Names before layers Masses) (follow before (layers_of names layers) masses).
Proof.
  induction layers as [|[[count n] success] layers IH]; intros before Masses masses H; [exact H|].
  cbn [follow_in layers_of map follow fst snd]. apply IH.
  assert (G : fst (N.iter count (fun s => (n, next_in Names n success (Z.of_N (fst s)) (snd s))) (before, Masses))
    = fst (N.iter count (fun s => (n, next n (success_of names success) (Z.of_N (fst s)) (snd s))) (before, masses))
    /\ all_hold (snd (N.iter count (fun s => (n, next_in Names n success (Z.of_N (fst s)) (snd s))) (before, Masses)))
      (snd (N.iter count (fun s => (n, next n (success_of names success) (Z.of_N (fst s)) (snd s))) (before, masses)))).
  { induction count as [|count [IH1 IH2]] using N.peano_ind; [split; [reflexivity|exact H]|].
    rewrite !N.iter_succ. split; [reflexivity|]. cbn [snd]. rewrite IH1. apply next_in_holds, IH2. }
  exact (proj2 G).
Qed.

Lemma chain_in_holds width enough first layers : (enough <= width)%N ->
  holds (chain_in Names width enough first layers)
    (chain width enough (value names [] [] [] first) (layers_of names layers)).
Proof.
  intros He. apply sub_holds; [apply int_holds|].
  assert (H : all_hold
    (follow_in Names width layers (law_in width (N.to_nat enough) (enclose prec Names [] [] [] first)))
    (follow width (layers_of names layers) (points (N.to_nat width) 0 (N.to_nat enough) (value names [] [] [] first)))).
  { apply follow_in_holds. apply law_in_holds; [lia|]. apply enclose_holds; [exact Hn|constructor|constructor]. }
  unfold sum, sum_in. induction H; [apply zero_holds|apply add_holds; assumption].
Qed.

End Names.

Lemma chain_enclosed ends names width enough first layers lo hi : within ends names ->
  (enough <=? width)%N && lies_between prec lo hi (chain_in (map (range prec) ends) width enough first layers) = true ->
  constant lo <= chain width enough (value names [] [] [] first) (layers_of names layers) <= constant hi.
Proof.
  rewrite andb_true_iff, N.leb_le. intros Hw [He H]. apply (lies_between_spec prec _ _ _ _ H).
  apply chain_in_holds; [apply ranges_hold, Hw|exact He].
Qed.

End Precision.
