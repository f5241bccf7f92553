(** * Networks, data and risk (math §1)

    ReLU networks of any depth and any widths over the real numbers, and any finite data set. A vector is a function on
    the natural numbers of which only the first so many values count: "i < width k" stands for the index i of layer k.
    Indices start at 0, layers at 0 (input), 1, ..., depth (output), as in math §1. *)

From Coq Require Import Reals List Lia Lra.
Open Scope R_scope.

(** The sum of f 0, ..., f (n - 1). *)
Fixpoint sum (n : nat) (f : nat -> R) : R :=
  match n with
  | O => 0
  | S m => sum m f + f m
  end.

Definition relu (z : R) : R := Rmax z 0.

(** The convention of math §1: relu'(z) = 1 for z > 0 and 0 for z <= 0; in particular relu'(0) = 0. *)
Definition relu' (z : R) : R := if Rlt_dec 0 z then 1 else 0.

(** An architecture (l_0, ..., l_L), L >= 2, widths >= 1, and data (x_m, y_m), m < samples. *)
Class problem := {
  depth : nat;
  width : nat -> nat;
  samples : nat;
  input : nat -> nat -> R; (* coordinate q of x_m is input m q, q < width 0 *)
  label : nat -> nat -> R; (* coordinate o of y_m is label m o, o < width depth *)
  depth_at_least_two : (2 <= depth)%nat;
  width_positive : forall k, (k <= depth)%nat -> (1 <= width k)%nat;
  samples_positive : (1 <= samples)%nat
}.

(** weight k i q is entry (i, q) of W^k, and bias k i is entry i of b^k. *)
Record parameters := {
  weight : nat -> nat -> nat -> R;
  bias : nat -> nat -> R
}.

Section Network.
Context {P : problem}.

Definition hidden (k : nat) : Prop := (1 <= k < depth)%nat.

(** W^k h + b^k *)
Definition affine (theta : parameters) (k : nat) (h : nat -> R) (i : nat) : R :=
  sum (width (pred k)) (fun q => weight theta k i q * h q) + bias theta k i.

(** h^k: h^0 = v and h^k = relu (W^k h^{k-1} + b^k) *)
Fixpoint activation (theta : parameters) (v : nat -> R) (k : nat) : nat -> R :=
  match k with
  | O => v
  | S j => fun i => relu (affine theta (S j) (activation theta v j) i)
  end.

(** z^k = W^k h^{k-1} + b^k *)
Definition preactivation (theta : parameters) (v : nat -> R) (k : nat) : nat -> R :=
  affine theta k (activation theta v (pred k)).

(** N_theta(v) = z^L *)
Definition network (theta : parameters) (v : nat -> R) : nat -> R := preactivation theta v depth.

(** A neuron is dead if its pre-activation is <= 0 at every data input; a hidden layer, if all its neurons are
    (math §3). *)
Definition dead (theta : parameters) (k i : nat) : Prop :=
  forall m, (m < samples)%nat -> preactivation theta (input m) k i <= 0.

Definition dead_layer (theta : parameters) (k : nat) : Prop := forall i, (i < width k)%nat -> dead theta k i.

(** The square of the Euclidean distance of two output vectors. *)
Definition distance2 (a b : nat -> R) : R := sum (width depth) (fun o => (a o - b o) ^ 2).

(** R(theta) = (1/M) sum_m |N_theta(x_m) - y_m|^2 *)
Definition risk (theta : parameters) : R :=
  / INR samples * sum samples (fun m => distance2 (network theta (input m)) (label m)).

(** I(l) = inf_theta R(theta), the infimum over all parameters of the architecture. *)
Definition optimal_risk (I : R) : Prop :=
  (forall theta, I <= risk theta) /\ (forall c, (forall theta, c <= risk theta) -> c <= I).

End Network.

(** * Facts about sums and about relu *)

Lemma sum_ext n f g : (forall i, (i < n)%nat -> f i = g i) -> sum n f = sum n g.
Proof. induction n; intros E; simpl; [reflexivity | rewrite IHn, E; auto]. Qed.

Lemma sum_zero n f : (forall i, (i < n)%nat -> f i = 0) -> sum n f = 0.
Proof. induction n; intros E; simpl; [reflexivity | rewrite IHn, E; auto; ring]. Qed.

Lemma sum_nonpositive n f : (forall i, (i < n)%nat -> f i <= 0) -> sum n f <= 0.
Proof.
  induction n; intros E; simpl; [lra |].
  assert (sum n f <= 0) by (apply IHn; auto). assert (f n <= 0) by auto. lra.
Qed.

Lemma sum_nonnegative n f : (forall i, (i < n)%nat -> 0 <= f i) -> 0 <= sum n f.
Proof.
  induction n; intros E; simpl; [lra |].
  assert (0 <= sum n f) by (apply IHn; auto). assert (0 <= f n) by auto. lra.
Qed.

Lemma sum_plus n f g : sum n (fun i => f i + g i) = sum n f + sum n g.
Proof. induction n; simpl; [ring | rewrite IHn; ring]. Qed.

Lemma sum_scale n c f : sum n (fun i => c * f i) = c * sum n f.
Proof. induction n; simpl; [ring | rewrite IHn; ring]. Qed.

Lemma sum_constant n c : sum n (fun _ => c) = INR n * c.
Proof. induction n; [simpl; ring | rewrite S_INR; simpl; rewrite IHn; ring]. Qed.

Lemma sum_swap n m f : sum n (fun i => sum m (fun j => f i j)) = sum m (fun j => sum n (fun i => f i j)).
Proof. induction n; simpl; [rewrite sum_zero; auto | rewrite IHn, <- sum_plus; reflexivity]. Qed.

(** A sum with one term. *)
Lemma sum_single n f j : (j < n)%nat -> (forall i, (i < n)%nat -> i <> j -> f i = 0) -> sum n f = f j.
Proof.
  induction n; intros Hj E; simpl; [lia |].
  destruct (PeanoNat.Nat.eq_dec j n) as [-> | D].
  - rewrite sum_zero; [ring |]. intros i Hi. apply E; lia.
  - rewrite IHn, (E n); try lia; [ring |]. intros i Hi. apply E; lia.
Qed.

(** A sum of terms >= 0 with a term > 0. *)
Lemma sum_positive n f j : (j < n)%nat -> (forall i, (i < n)%nat -> 0 <= f i) -> 0 < f j -> 0 < sum n f.
Proof.
  induction n; intros Hj E Pj; simpl; [lia |].
  destruct (PeanoNat.Nat.eq_dec j n) as [-> | D].
  - assert (0 <= sum n f) by (apply sum_nonnegative; auto). lra.
  - assert (0 < sum n f) by (apply IHn; [lia | auto | auto]). assert (0 <= f n) by auto. lra.
Qed.

Lemma relu_nonnegative z : 0 <= relu z.
Proof. apply Rmax_r. Qed.

Lemma relu_of_nonpositive z : z <= 0 -> relu z = 0.
Proof. apply Rmax_right. Qed.

Lemma relu_of_nonnegative z : 0 <= z -> relu z = z.
Proof. apply Rmax_left. Qed.

Lemma relu_scale c z : 0 <= c -> relu (c * z) = c * relu z.
Proof. intros Hc. unfold relu. rewrite <- (Rmult_0_r c) at 1. apply RmaxRmult, Hc. Qed.

Lemma relu'_of_nonpositive z : z <= 0 -> relu' z = 0.
Proof. intros Hz. unfold relu'. destruct (Rlt_dec 0 z); [lra | reflexivity]. Qed.

Lemma relu'_of_positive z : 0 < z -> relu' z = 1.
Proof. intros Hz. unfold relu'. destruct (Rlt_dec 0 z); [reflexivity | lra]. Qed.
