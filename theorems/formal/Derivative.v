(** * Back-propagation computes derivatives

    Where no hidden pre-activation of the minibatch vanishes, the gradient of Gradient.v is the gradient of the loss of
    the minibatch: its inner product with every direction is the directional derivative. Where one vanishes, the
    convention relu'(0) = 0 decides. No other file depends on this one. *)

From Coq Require Import Bool Reals List Lia Lra.
From Nonconv Require Import Network Gradient.
Open Scope bool_scope.
Open Scope R_scope.

Section Derivative.
Context {P : problem}.

(** theta + s e *)
Definition along (theta e : parameters) (s : R) : parameters := {|
  weight k i q := weight theta k i q + s * weight e k i q;
  bias k i := bias theta k i + s * bias e k i
|}.

(** The inner product of the gradient with the direction e, over all layers 1, ..., depth. *)
Definition gradient_along (B : list nat) (theta e : parameters) : R :=
  sum depth (fun j => sum (width (S j)) (fun i =>
    sum (width j) (fun q => gradient_weight B theta (S j) i q * weight e (S j) i q)
    + gradient_bias B theta (S j) i * bias e (S j) i)).

Definition no_kink (B : list nat) (theta : parameters) : Prop :=
  forall m k i, In m B -> hidden k -> (i < width k)%nat -> preactivation theta (input m) k i <> 0.

(** ** Forward: derivatives of the activations along e *)

Fixpoint activation_tangent (theta e : parameters) (v : nat -> R) (k : nat) : nat -> R :=
  match k with
  | O => fun _ => 0
  | S j => fun i =>
      relu' (preactivation theta v (S j) i)
      * (sum (width j) (fun q => weight e (S j) i q * activation theta v j q
                                 + weight theta (S j) i q * activation_tangent theta e v j q) + bias e (S j) i)
  end.

Definition tangent (theta e : parameters) (v : nat -> R) (k i : nat) : R :=
  sum (width (pred k)) (fun q => weight e k i q * activation theta v (pred k) q
                                 + weight theta k i q * activation_tangent theta e v (pred k) q) + bias e k i.

Lemma relu_derivative z : z <> 0 -> derivable_pt_lim relu z (relu' z).
Proof.
  intros Hz eps Heps. exists (mkposreal (Rabs z) (Rabs_pos_lt z Hz)). intros h Hh Small. simpl in Small.
  replace ((relu (z + h) - relu z) / h - relu' z) with 0; [rewrite Rabs_R0; exact Heps |].
  destruct (Rdichotomy z 0 Hz) as [Neg | Pos].
  - rewrite (Rabs_left z) in Small by exact Neg. apply Rabs_def2 in Small.
    rewrite !relu_of_nonpositive, relu'_of_nonpositive by lra. field. exact Hh.
  - rewrite (Rabs_right z) in Small by lra. apply Rabs_def2 in Small.
    rewrite !relu_of_nonnegative, relu'_of_positive by lra. field. exact Hh.
Qed.

Lemma derivative_ext f g x l : (forall s, f s = g s) -> derivable_pt_lim f x l -> derivable_pt_lim g x l.
Proof. intros E H eps Heps. destruct (H eps Heps) as [d Hd]. exists d. intros h Hh Small. rewrite <- !E. auto. Qed.

Lemma sum_derivative n (f : R -> nat -> R) (l : nat -> R) x :
  (forall i, (i < n)%nat -> derivable_pt_lim (fun s => f s i) x (l i)) ->
  derivable_pt_lim (fun s => sum n (f s)) x (sum n l).
Proof.
  induction n as [| n IH]; intros H; simpl; [apply derivable_pt_lim_const |].
  apply (derivable_pt_lim_plus (fun s => sum n (f s)) (fun s => f s n)); auto.
Qed.

Lemma total_derivative B (f : R -> nat -> R) (l : nat -> R) x :
  (forall m, In m B -> derivable_pt_lim (fun s => f s m) x (l m)) ->
  derivable_pt_lim (fun s => total B (f s)) x (total B l).
Proof.
  induction B as [| m B IH]; intros H; simpl; [apply derivable_pt_lim_const |].
  apply (derivable_pt_lim_plus (fun s => f s m) (fun s => total B (f s)));
    [apply H | apply IH; intros; apply H]; simpl; auto.
Qed.

Lemma line_derivative a c : derivable_pt_lim (fun s => a + s * c) 0 c.
Proof.
  intros eps Heps. exists (mkposreal 1 Rlt_0_1). intros h Hh _.
  replace ((a + (0 + h) * c - (a + 0 * c)) / h - c) with 0; [rewrite Rabs_R0; exact Heps | field; exact Hh].
Qed.

Lemma affine_derivative theta e k i (h : R -> nat -> R) (l : nat -> R) :
  (forall q, (q < width (pred k))%nat -> derivable_pt_lim (fun s => h s q) 0 (l q)) ->
  derivable_pt_lim (fun s => affine (along theta e s) k (h s) i) 0
    (sum (width (pred k)) (fun q => weight e k i q * h 0 q + weight theta k i q * l q) + bias e k i).
Proof.
  intros H. unfold affine. cbn [along weight bias].
  apply (derivable_pt_lim_plus
           (fun s => sum (width (pred k)) (fun q => (weight theta k i q + s * weight e k i q) * h s q))
           (fun s => bias theta k i + s * bias e k i)); [| apply line_derivative].
  apply (sum_derivative _ (fun s q => (weight theta k i q + s * weight e k i q) * h s q)). intros q Hq.
  replace (weight theta k i q * l q) with ((weight theta k i q + 0 * weight e k i q) * l q) by ring.
  apply (derivable_pt_lim_mult (fun s => weight theta k i q + s * weight e k i q) (fun s => h s q));
    auto using line_derivative.
Qed.

Lemma activation_along_0 theta e v k : forall i, activation (along theta e 0) v k i = activation theta v k i.
Proof.
  induction k as [| k IH]; intros i; [reflexivity |]. simpl. f_equal. unfold affine. cbn [along weight bias].
  f_equal; [apply sum_ext; intros; rewrite IH |]; ring.
Qed.

Lemma preactivation_along_0 theta e v k i : preactivation (along theta e 0) v k i = preactivation theta v k i.
Proof.
  unfold preactivation, affine. cbn [along weight bias].
  f_equal; [apply sum_ext; intros; rewrite activation_along_0 |]; ring.
Qed.

Lemma preactivation_derivative theta e v k i :
  (forall q, (q < width (pred k))%nat ->
     derivable_pt_lim (fun s => activation (along theta e s) v (pred k) q) 0
       (activation_tangent theta e v (pred k) q)) ->
  derivable_pt_lim (fun s => preactivation (along theta e s) v k i) 0 (tangent theta e v k i).
Proof.
  intros H. unfold tangent.
  rewrite (sum_ext _ _ (fun q => weight e k i q * activation (along theta e 0) v (pred k) q
                                 + weight theta k i q * activation_tangent theta e v (pred k) q)).
  - apply (affine_derivative theta e k i (fun s => activation (along theta e s) v (pred k))). exact H.
  - intros q Hq. rewrite activation_along_0. reflexivity.
Qed.

Lemma activation_derivative theta e v :
  (forall k i, hidden k -> (i < width k)%nat -> preactivation theta v k i <> 0) ->
  forall k i, (k < depth)%nat -> (i < width k)%nat ->
    derivable_pt_lim (fun s => activation (along theta e s) v k i) 0 (activation_tangent theta e v k i).
Proof.
  intros NZ. induction k as [| k IH]; intros i Hk Hi; [apply derivable_pt_lim_const |].
  change (activation_tangent theta e v (S k) i)
    with (relu' (preactivation theta v (S k) i) * tangent theta e v (S k) i).
  rewrite <- (preactivation_along_0 theta e v (S k) i).
  apply (derivable_pt_lim_comp (fun s => preactivation (along theta e s) v (S k) i) relu).
  - apply preactivation_derivative. intros q Hq. apply IH; [lia | exact Hq].
  - apply relu_derivative. rewrite preactivation_along_0. apply NZ; [unfold hidden; lia | exact Hi].
Qed.

(** ** Backward: the recursion for delta is the transpose of the forward recursion *)

Lemma sum_transpose n p (a d : nat -> R) (w : nat -> nat -> R) :
  sum n (fun i => d i * sum p (fun q => w i q * a q)) = sum p (fun q => a q * sum n (fun i => w i q * d i)).
Proof.
  transitivity (sum n (fun i => sum p (fun q => a q * (w i q * d i)))).
  - apply sum_ext. intros. rewrite <- sum_scale. apply sum_ext. intros. ring.
  - rewrite sum_swap. apply sum_ext. intros. apply sum_scale.
Qed.

(** What the direction changes in layer j + 1 itself, weighted by delta. *)
Definition local (B : list nat) (theta e : parameters) (m j : nat) : R :=
  sum (width (S j)) (fun i => delta B theta m (S j) i
    * (sum (width j) (fun q => weight e (S j) i q * activation theta (input m) j q) + bias e (S j) i)).

Lemma delta_tangent B theta e m j : (j < depth)%nat ->
  sum (width (S j)) (fun i => delta B theta m (S j) i * tangent theta e (input m) (S j) i)
  = sum (S j) (local B theta e m).
Proof.
  induction j as [| j IH]; intros Hj.
  - simpl. rewrite Rplus_0_l. unfold local. apply sum_ext. intros i Hi. unfold tangent. simpl. f_equal. f_equal.
    apply sum_ext. intros. ring.
  - change (sum (S (S j)) (local B theta e m)) with (sum (S j) (local B theta e m) + local B theta e m (S j)).
    rewrite <- IH by lia.
    transitivity (sum (width (S (S j))) (fun i => delta B theta m (S (S j)) i
                    * sum (width (S j)) (fun q =>
                        weight theta (S (S j)) i q * activation_tangent theta e (input m) (S j) q))
                  + local B theta e m (S j)).
    + unfold local. rewrite <- sum_plus. apply sum_ext. intros i Hi. unfold tangent. cbn [pred]. rewrite sum_plus. ring.
    + f_equal. rewrite sum_transpose. apply sum_ext. intros q Hq. rewrite (delta_hidden B theta m (S j)) by lia.
      change (activation_tangent theta e (input m) (S j) q)
        with (relu' (preactivation theta (input m) (S j) q) * tangent theta e (input m) (S j) q). ring.
Qed.

Lemma total_ext B f g : (forall m, In m B -> f m = g m) -> total B f = total B g.
Proof. induction B; intros E; simpl; [reflexivity | rewrite IHB, E; simpl in *; auto]. Qed.

Lemma total_plus B f g : total B (fun m => f m + g m) = total B f + total B g.
Proof. induction B; simpl; [ring | rewrite IHB; ring]. Qed.

Lemma total_scale B c f : total B (fun m => c * f m) = c * total B f.
Proof. induction B; simpl; [ring | rewrite IHB; ring]. Qed.

Lemma total_sum B n f : total B (fun m => sum n (fun i => f i m)) = sum n (fun i => total B (f i)).
Proof. induction n; simpl; [induction B; simpl; [| rewrite IHB]; ring | rewrite total_plus, IHn; reflexivity]. Qed.

Lemma gradient_along_local B theta e : gradient_along B theta e = total B (fun m => sum depth (local B theta e m)).
Proof.
  rewrite total_sum. apply sum_ext. intros j Hj. unfold local. rewrite total_sum. apply sum_ext. intros i Hi.
  unfold gradient_weight, gradient_bias. cbn [pred].
  transitivity (total B (fun m => sum (width j) (fun q => weight e (S j) i q
                  * (delta B theta m (S j) i * activation theta (input m) j q))
                + bias e (S j) i * delta B theta m (S j) i)).
  - rewrite total_plus, total_scale, total_sum. f_equal; [| ring]. apply sum_ext. intros. rewrite total_scale. ring.
  - apply total_ext. intros m _. rewrite Rmult_plus_distr_l, <- sum_scale. f_equal; [| ring].
    apply sum_ext. intros. ring.
Qed.

(** ** The theorem *)

Theorem backpropagation_is_derivative B theta e : no_kink B theta ->
  derivable_pt_lim (fun s => loss B (along theta e s)) 0 (gradient_along B theta e).
Proof.
  intros NK. rewrite gradient_along_local. pose proof depth_at_least_two as Dp.
  set (slope := fun m => sum (width depth) (fun o => 2 * (network theta (input m) o - label m o)
                                                     * tangent theta e (input m) depth o)).
  replace (total B (fun m => sum depth (local B theta e m))) with (/ INR (length B) * total B slope).
  - unfold loss.
    apply (derivable_pt_lim_scal
             (fun s => total B (fun m => distance2 (network (along theta e s) (input m)) (label m)))).
    apply (total_derivative B (fun s m => distance2 (network (along theta e s) (input m)) (label m))). intros m Hm.
    apply (sum_derivative _ (fun s o => (network (along theta e s) (input m) o - label m o) ^ 2)). intros o Ho.
    set (f := fun s => network (along theta e s) (input m) o - label m o).
    assert (Df : derivable_pt_lim f 0 (tangent theta e (input m) depth o)).
    { rewrite <- (Rminus_0_r (tangent _ _ _ _ _)).
      apply (derivable_pt_lim_minus (fun s => network (along theta e s) (input m) o) (fun _ => label m o));
        [| apply derivable_pt_lim_const].
      apply preactivation_derivative. intros q Hq. apply activation_derivative; [| lia | exact Hq].
      intros k i Hk Hi. apply NK; auto. }
    apply (derivative_ext (fun s => f s * f s)); [intros; unfold f; ring |].
    replace (2 * _ * _) with (tangent theta e (input m) depth o * f 0 + f 0 * tangent theta e (input m) depth o).
    + apply (derivable_pt_lim_mult f f); exact Df.
    + unfold f, network. rewrite preactivation_along_0. ring.
  - rewrite <- total_scale. apply total_ext. intros m Hm. pose proof (delta_tangent B theta e m (pred depth)) as E.
    replace (S (pred depth)) with depth in E by lia. rewrite <- E by lia. unfold slope. rewrite <- sum_scale.
    apply sum_ext. intros o Ho. rewrite delta_output. unfold output_error, Rdiv. ring.
Qed.

(** The direction of one coordinate: W^k_iq, or b^k_i. *)
Definition weight_direction (k i q : nat) : parameters := {|
  weight k' i' q' := if Nat.eqb k' k && Nat.eqb i' i && Nat.eqb q' q then 1 else 0;
  bias _ _ := 0
|}.

Definition bias_direction (k i : nat) : parameters := {|
  weight _ _ _ := 0;
  bias k' i' := if Nat.eqb k' k && Nat.eqb i' i then 1 else 0
|}.

Theorem backpropagation_is_partial_derivative_weight B theta k i q :
  no_kink B theta -> (1 <= k <= depth)%nat -> (i < width k)%nat -> (q < width (pred k))%nat ->
  derivable_pt_lim (fun s => loss B (along theta (weight_direction k i q) s)) 0 (gradient_weight B theta k i q).
Proof.
  intros NK Hk Hi Hq. replace (gradient_weight B theta k i q) with (gradient_along B theta (weight_direction k i q)).
  - apply backpropagation_is_derivative, NK.
  - destruct k as [| j]; [lia |]. unfold gradient_along. cbn [weight_direction weight bias pred] in *.
    rewrite (sum_single _ _ j), (sum_single _ _ i), (sum_single _ _ q); try lia; try assumption.
    + rewrite !PeanoNat.Nat.eqb_refl. simpl. ring.
    + intros q' _ Ne. rewrite (proj2 (PeanoNat.Nat.eqb_neq q' q) Ne), andb_false_r. ring.
    + intros i' _ Ne. rewrite (proj2 (PeanoNat.Nat.eqb_neq i' i) Ne), andb_false_r. simpl.
      rewrite sum_zero; [ring | intros; ring].
    + intros j' _ Ne. rewrite (proj2 (PeanoNat.Nat.eqb_neq (S j') (S j))) by lia. simpl.
      apply sum_zero. intros. rewrite sum_zero; [ring | intros; ring].
Qed.

Theorem backpropagation_is_partial_derivative_bias B theta k i :
  no_kink B theta -> (1 <= k <= depth)%nat -> (i < width k)%nat ->
  derivable_pt_lim (fun s => loss B (along theta (bias_direction k i) s)) 0 (gradient_bias B theta k i).
Proof.
  intros NK Hk Hi. replace (gradient_bias B theta k i) with (gradient_along B theta (bias_direction k i)).
  - apply backpropagation_is_derivative, NK.
  - destruct k as [| j]; [lia |]. unfold gradient_along. cbn [bias_direction weight bias pred] in *.
    rewrite (sum_single _ _ j), (sum_single _ _ i); try lia; try assumption.
    + rewrite !PeanoNat.Nat.eqb_refl, sum_zero; [simpl; ring | intros; ring].
    + intros i' _ Ne. rewrite (proj2 (PeanoNat.Nat.eqb_neq i' i) Ne), andb_false_r.
      rewrite sum_zero; [ring | intros; ring].
    + intros j' _ Ne. rewrite (proj2 (PeanoNat.Nat.eqb_neq (S j') (S j))) by lia. simpl.
      apply sum_zero. intros. rewrite sum_zero; [ring | intros; ring].
Qed.

End Derivative.
