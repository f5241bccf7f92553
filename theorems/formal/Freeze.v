(** * What stays dead: Lemmas 1, 2 and 3 (math §3) *)

From Coq Require Import Reals List Lia Lra.
From Nonconv Require Import Network Gradient Process.
Open Scope R_scope.

Section Freeze.
Context {P : problem} {T : process}.

(** ** The induction over the steps

    A property Inv of the parameters which forces zero gradients on a set A of neurons, and which survives every move as
    long as these neurons are untouched, holds for ever. The neurons outside A may move in any way. *)
Lemma persistence (Inv : parameters -> Prop) (A : nat -> nat -> Prop) :
  (forall B theta, minibatch B -> Inv theta -> forall k i, A k i -> zero_gradient B theta k i) ->
  (forall n, (forall k i, A k i -> untouched (S n) k i) -> Inv (Theta n) -> Inv (Theta (S n))) ->
  (forall n, (forall k i, A k i -> untouched n k i) -> Inv (Theta n) -> Inv (Eval (S n))) ->
  Inv (Theta 0) ->
  forall n, Inv (Theta n) /\ Inv (Eval (S n)) /\ forall k i, A k i -> untouched n k i.
Proof.
  intros Zero Step Evaluation Start n.
  cut (Inv (Theta n) /\ forall k i, A k i -> untouched n k i). { intuition. }
  induction n as [| n [I U]].
  - split; [exact Start |]. intros k i _ s Hs. lia.
  - assert (U' : forall k i, A k i -> untouched (S n) k i).
    { intros k i HA s Hs. destruct (PeanoNat.Nat.eq_dec s (S n)) as [-> | Ds].
      - apply Zero; [apply batch_is_minibatch; lia | auto | exact HA].
      - apply (U k i HA). lia. }
    split; auto.
Qed.

(** ** Lemma 1 (first layer) *)

Lemma first_layer_preactivation theta v i :
  preactivation theta v 1 i = sum (width 0) (fun q => weight theta 1 i q * v q) + bias theta 1 i.
Proof. reflexivity. Qed.

Lemma scaled_preactivation c c' i old new v : scaled c c' 1 i old new ->
  preactivation new v 1 i = c * sum (width 0) (fun q => weight old 1 i q * v q) + c' * bias old 1 i.
Proof.
  intros [W B]. rewrite first_layer_preactivation, B, <- sum_scale. f_equal.
  apply sum_ext. intros q Hq. rewrite W; [ring | exact Hq].
Qed.

Lemma dead_scaling i old new : scaling 1 i old new -> dead old 1 i -> dead new 1 i.
Proof.
  intros (c & Hc & E) Dead m Hm. rewrite (scaled_preactivation c c i old new _ E).
  specialize (Dead m Hm). rewrite first_layer_preactivation in Dead. nra.
Qed.

Lemma dead_decay i old new : decay 1 i old new ->
  dead old 1 i /\ bias old 1 i <= 0 -> dead new 1 i /\ bias new 1 i <= 0.
Proof.
  intros (c & c' & Hc & Hc' & E) [Dead Hb]. split.
  - intros m Hm. rewrite (scaled_preactivation c c' i old new _ E).
    specialize (Dead m Hm). rewrite first_layer_preactivation in Dead.
    set (w := sum _ _) in *. destruct (Rle_dec 0 w); nra.
  - destruct E as [_ ->]. nra.
Qed.

Lemma dead_same i old new : same 1 i old new -> dead old 1 i -> dead new 1 i.
Proof. intros E. apply dead_scaling. exists 1. split; [lra | apply same_is_scaled, E]. Qed.

Lemma first_layer_hidden : hidden 1.
Proof. pose proof depth_at_least_two. unfold hidden. lia. Qed.

(** Under (FB) or (S), a first-layer neuron dead at Theta_0 is dead at every Theta_n (and at every evaluation point, and
    all its gradients are zero). *)
Theorem lemma_1 i : FB 1 i \/ Sc 1 i -> dead (Theta 0) 1 i ->
  forall n, dead (Theta n) 1 i /\ dead (Eval (S n)) 1 i /\ untouched n 1 i.
Proof.
  intros H Start n. assert (Hyp : Sc 1 i) by (destruct H; auto using FB_implies_S). destruct Hyp as [St Ev].
  destruct (persistence (fun theta => dead theta 1 i) (fun k j => k = 1%nat /\ j = i))
    with (n := n) as (I & E & U); auto.
  - intros B theta HB Dead k j [-> ->]. apply dead_neuron_zero_gradient; auto using first_layer_hidden.
  - intros s U. apply dead_scaling; auto.
  - intros s U Dead. destruct (Ev s); eauto using dead_same, dead_scaling.
Qed.

(** Under (D), a first-layer neuron that is dead and has b <= 0 at Theta_0 keeps both for ever. *)
Theorem lemma_1_decay i : D 1 i -> dead (Theta 0) 1 i -> bias (Theta 0) 1 i <= 0 ->
  forall n, dead (Theta n) 1 i /\ bias (Theta n) 1 i <= 0 /\ dead (Eval (S n)) 1 i /\ untouched n 1 i.
Proof.
  intros [St Ev] Start Hb n.
  destruct (persistence (fun theta => dead theta 1 i /\ bias theta 1 i <= 0) (fun k j => k = 1%nat /\ j = i))
    with (n := n) as ((I & Ib) & (E & _) & U); auto.
  - intros B theta HB [Dead _] k j [-> ->]. apply dead_neuron_zero_gradient; auto using first_layer_hidden.
  - intros s U. apply dead_decay; auto.
  - intros s U [Dead Hs]. destruct (Ev s) as [E | E]; auto.
    + split; [eauto using dead_same | destruct E as [_ ->]; exact Hs].
    + eapply dead_decay; eauto.
  - auto 6.
Qed.

(** ** Lemma 2 (dead layer) *)

(** The values of the network at all data inputs coincide. *)
Definition constant_output (theta : parameters) : Prop :=
  forall m m' o, (m < samples)%nat -> (m' < samples)%nat -> (o < width depth)%nat ->
    network theta (input m) o = network theta (input m') o.

(** The layers above a layer with output 0 do not see the input. *)
Lemma silent_layer_constant_output theta k : hidden k ->
  (forall m i, (m < samples)%nat -> (i < width k)%nat -> activation theta (input m) k i = 0) -> constant_output theta.
Proof.
  intros Hk Z m m' o Hm Hm' Ho. unfold hidden in Hk.
  assert (E : forall d i, (i < width (k + d))%nat ->
            activation theta (input m) (k + d) i = activation theta (input m') (k + d) i).
  { induction d as [| d IH]; intros i Hi.
    - replace (k + 0)%nat with k in * by lia. rewrite !Z; auto.
    - replace (k + S d)%nat with (S (k + d)) in * by lia. simpl. f_equal. unfold affine. simpl. f_equal.
      apply sum_ext. intros q Hq. rewrite IH; auto. }
  unfold network, preactivation, affine. f_equal. apply sum_ext. intros q Hq.
  replace (pred depth) with (k + (pred depth - k))%nat in * by lia. rewrite E; auto.
Qed.

Lemma dead_neuron_silent theta k i m :
  hidden k -> dead theta k i -> (m < samples)%nat -> activation theta (input m) k i = 0.
Proof. intros Hk Dead Hm. destruct k; [unfold hidden in Hk; lia |]. apply relu_of_nonpositive, (Dead m Hm). Qed.

Lemma dead_layer_constant_output theta k : hidden k -> dead_layer theta k -> constant_output theta.
Proof. intros Hk Dead. apply (silent_layer_constant_output theta k Hk). auto using dead_neuron_silent. Qed.

(** The layers 1, ..., k are the same. *)
Definition same_layers (k : nat) (old new : parameters) : Prop :=
  forall j i, (1 <= j <= k)%nat -> (i < width j)%nat -> same j i old new.

Lemma same_layers_preactivation k old new v i : same_layers k old new -> (1 <= k)%nat -> (i < width k)%nat ->
  preactivation new v k i = preactivation old v k i.
Proof.
  intros E Hk Hi.
  assert (A : forall j q, (j <= k)%nat -> (q < width j)%nat -> activation new v j q = activation old v j q).
  { induction j as [| j IH]; intros q Hj Hq; [reflexivity |]. simpl. unfold affine. simpl.
    destruct (E (S j) q) as [W ->]; [lia | exact Hq |]. f_equal. f_equal.
    apply sum_ext. intros p Hp. rewrite W, IH; auto. lia. }
  unfold preactivation, affine. destruct (E k i) as [W ->]; [lia | exact Hi |]. f_equal.
  apply sum_ext. intros q Hq. rewrite W, A; auto. lia.
Qed.

(** Under (FB), if hidden layer k is dead at Theta_0, no parameter of layers 1, ..., k ever moves, layer k stays dead,
    and for every n the values of N_{Theta_n} at all data inputs coincide. *)
Theorem lemma_2 k : (forall j i, hidden j -> (i < width j)%nat -> FB j i) -> hidden k -> dead_layer (Theta 0) k ->
  forall n, same_layers k (Theta 0) (Theta n) /\ dead_layer (Theta n) k /\ constant_output (Theta n).
Proof.
  intros Hyp Hk Start n.
  assert (Dead : forall theta, same_layers k (Theta 0) theta -> dead_layer theta k).
  { intros theta E i Hi m Hm. rewrite (same_layers_preactivation k (Theta 0)); auto; [apply Start | apply Hk]; auto. }
  destruct (persistence (same_layers k (Theta 0)) (fun j i => (1 <= j <= k)%nat /\ (i < width j)%nat))
    with (n := n) as (I & _ & _).
  - intros B theta HB E j i [Hj Hi]. apply (dead_layer_zero_gradient B theta k); auto.
  - intros s U E j i Hj Hi. destruct (Hyp j i) as [St _]; [unfold hidden in *; lia | exact Hi |].
    destruct (E j i Hj Hi) as [W B], (St s) as [W' B']; [auto |].
    split; [intros q Hq; rewrite W', W | rewrite B', B]; auto.
  - intros s U E j i Hj Hi. destruct (Hyp j i) as [_ Ev]; [unfold hidden in *; lia | exact Hi |].
    destruct (E j i Hj Hi) as [W B].
    assert (same j i (Theta s) (Eval (S s))) as [W' B'] by (destruct (Ev s); auto).
    split; [intros q Hq; rewrite W', W | rewrite B', B]; auto.
  - split; auto.
  - split; [exact I |]. split; [auto | apply (dead_layer_constant_output _ k); auto].
Qed.

(** The variant with zero initial biases. *)

Definition rescaled (k : nat) (old new : parameters) : Prop :=
  forall j, (1 <= j <= k)%nat -> exists c, 0 <= c /\ forall i, (i < width j)%nat ->
    (forall q, (q < width (pred j))%nat -> weight new j i q = c * weight old j i q) /\ bias new j i = 0.

Lemma rescaled_preactivation k old new v :
  (forall j i, (1 <= j <= k)%nat -> (i < width j)%nat -> bias old j i = 0) -> rescaled k old new -> (1 <= k)%nat ->
  exists c, 0 <= c /\ forall i, (i < width k)%nat -> preactivation new v k i = c * preactivation old v k i.
Proof.
  intros Zero E Hk.
  assert (A : forall j, (j <= k)%nat -> exists c, 0 <= c /\
            forall q, (q < width j)%nat -> activation new v j q = c * activation old v j q).
  { induction j as [| j IH]; intros Hj.
    - exists 1. split; [lra |]. intros q Hq. simpl. ring.
    - destruct IH as (a & Ha & EA); [lia |]. destruct (E (S j)) as (c & Hc & EW); [lia |].
      exists (c * a). split; [nra |]. intros q Hq. simpl. rewrite <- relu_scale by nra. f_equal.
      destruct (EW q Hq) as [W B]. unfold affine. simpl.
      rewrite B, (Zero (S j) q), !Rplus_0_r, <- sum_scale by (auto; lia).
      apply sum_ext. intros p Hp. rewrite W, EA; auto. ring. }
  destruct (A (pred k)) as (a & Ha & EA); [lia |]. destruct (E k) as (c & Hc & EW); [lia |].
  exists (c * a). split; [nra |]. intros i Hi. destruct (EW i Hi) as [W B].
  unfold preactivation, affine. rewrite B, (Zero k i), !Rplus_0_r, <- sum_scale by (auto; lia).
  apply sum_ext. intros q Hq. rewrite W, EA; auto. ring.
Qed.

(** Under (SL), the last two conclusions hold if all initial biases of layers 1, ..., k are 0. *)
Theorem lemma_2_zero_biases k : (forall j, (1 <= j <= k)%nat -> SL j) ->
  (forall j i, (1 <= j <= k)%nat -> (i < width j)%nat -> bias (Theta 0) j i = 0) ->
  hidden k -> dead_layer (Theta 0) k -> forall n, dead_layer (Theta n) k /\ constant_output (Theta n).
Proof.
  intros Hyp Zero Hk Start n. pose proof Hk as Hk'. unfold hidden in Hk'.
  assert (Dead : forall theta, rescaled k (Theta 0) theta -> dead_layer theta k).
  { intros theta E i Hi m Hm.
    destruct (rescaled_preactivation k (Theta 0) theta (input m)) as (c & Hc & EP); auto; [lia |].
    rewrite EP by exact Hi. pose proof (Start i Hi m Hm). nra. }
  assert (Go : forall old new,
            (forall j, (1 <= j <= k)%nat -> exists c, 0 <= c /\ forall i, (i < width j)%nat ->
               exists c', 0 <= c' /\ scaled c c' j i old new) ->
            rescaled k (Theta 0) old -> rescaled k (Theta 0) new).
  { intros old new M E j Hj. destruct (E j Hj) as (a & Ha & EW), (M j Hj) as (c & Hc & EM).
    exists (c * a). split; [nra |]. intros i Hi. destruct (EM i Hi) as (c' & _ & W & ->), (EW i Hi) as [W' ->].
    split; [intros q Hq; rewrite W, W' by exact Hq |]; ring. }
  destruct (persistence (rescaled k (Theta 0)) (fun j i => (1 <= j <= k)%nat /\ (i < width j)%nat))
    with (n := n) as (I & _ & _).
  - intros B theta HB E j i [Hj Hi]. apply (dead_layer_zero_gradient B theta k); auto.
  - intros s U. apply Go. intros j Hj. destruct (Hyp j Hj) as [St _]. destruct (St s) as (c & Hc & EM). eauto 6.
  - intros s U. apply Go. intros j Hj. destruct (Hyp j Hj) as [_ Ev]. destruct (Ev s) as (c & Hc & EM). eauto 6.
  - intros j Hj. exists 1. split; [lra |]. intros i Hi. split; [intros; ring | auto].
  - split; [auto | apply (dead_layer_constant_output _ k); auto].
Qed.

(** ** Lemma 3 (structurally dead neurons) *)

(** D_1, D_2, ... for the parameters theta, given D_1: neuron i is in D_k, k >= 2, if b^k_i <= 0 and W^k_iq <= 0 for all
    q that are not in D_{k-1}. *)
Fixpoint structurally_dead (D1 : nat -> Prop) (theta : parameters) (k i : nat) : Prop :=
  match k with
  | O => False
  | S O => D1 i
  | S j => bias theta k i <= 0 /\
           forall q, (q < width j)%nat -> ~ structurally_dead D1 theta j q -> weight theta k i q <= 0
  end.

(** The signs that Lemma 3 asks for in layers 2, 3, ..., the sets being fixed. *)
Definition respects (A : nat -> nat -> Prop) (theta : parameters) : Prop :=
  forall k i, (1 <= k)%nat -> hidden (S k) -> (i < width (S k))%nat -> A (S k) i ->
    bias theta (S k) i <= 0 /\ forall q, (q < width k)%nat -> ~ A k q -> weight theta (S k) i q <= 0.

Lemma structurally_dead_respects D1 theta : respects (structurally_dead D1 theta) theta.
Proof. intros k i Hk _ Hi. destruct k; [lia |]. exact (fun H => H). Qed.

(** Part (i) of the proof: where D_1 is dead and the signs are right, all the D_k are dead. *)
Lemma respects_dead (A : nat -> nat -> Prop) theta :
  (forall i, (i < width 1)%nat -> A 1%nat i -> dead theta 1 i) -> respects A theta ->
  forall k i, hidden k -> (i < width k)%nat -> A k i -> dead theta k i.
Proof.
  intros First Signs. induction k as [| k IH]; intros i Hk Hi HA; unfold hidden in Hk; [lia |].
  destruct (PeanoNat.Nat.eq_dec k 0) as [-> | Hk0]; [auto |].
  intros m Hm. destruct (Signs k i) as [Hb HW]; auto; [lia |].
  unfold preactivation, affine. simpl pred.
  enough (sum (width k) (fun q => weight theta (S k) i q * activation theta (input m) k q) <= 0) by lra.
  apply sum_nonpositive. intros q Hq. apply Rnot_lt_le. intros Pos.
  assert (NA : ~ A k q).
  { intros HAq. enough (activation theta (input m) k q = 0) as Z by (rewrite Z in Pos; lra).
    destruct k; [lia |]. apply relu_of_nonpositive. apply (IH q); auto. unfold hidden. lia. }
  specialize (HW q Hq NA). destruct k as [| k]; [lia |].
  pose proof (relu_nonnegative (affine theta (S k) (activation theta (input m) k) q)) as N. simpl in Pos. nra.
Qed.

Lemma respects_split_scaling (A : nat -> nat -> Prop) old new :
  (forall k i, (1 <= k)%nat -> hidden (S k) -> (i < width (S k))%nat -> A (S k) i -> split_scaling (S k) i old new) ->
  respects A old -> respects A new.
Proof.
  intros M Signs k i Hk Hh Hi HA.
  destruct (Signs k i Hk Hh Hi HA) as [Hb HW], (M k i Hk Hh Hi HA) as (c & c' & Hc & Hc' & W & ->).
  split; [nra |]. intros q Hq NA. rewrite W by exact Hq. specialize (HW q Hq NA). nra.
Qed.


(** The proof of both versions: keeps i theta is what a neuron i of D_1 keeps, and what makes it dead. *)
Lemma structural_persistence (D1 : nat -> Prop) (keeps : nat -> parameters -> Prop) :
  let A := structurally_dead D1 (Theta 0) in
  (forall i theta, keeps i theta -> dead theta 1 i) ->
  (forall i, (i < width 1)%nat -> D1 i -> keeps i (Theta 0)) ->
  (forall i n, (i < width 1)%nat -> untouched (S n) 1 i -> keeps i (Theta n) -> keeps i (Theta (S n))) ->
  (forall i n, (i < width 1)%nat -> untouched n 1 i -> keeps i (Theta n) -> keeps i (Eval (S n))) ->
  (forall k i, (2 <= k < depth)%nat -> (i < width k)%nat -> SS k i) ->
  forall n k i, hidden k -> (i < width k)%nat -> A k i -> dead (Theta n) k i.
Proof.
  intros A KD Start KS KE Hyp n.
  set (Inv := fun theta => (forall i, (i < width 1)%nat -> A 1%nat i -> keeps i theta) /\ respects A theta).
  set (In_A := fun k i => hidden k /\ (i < width k)%nat /\ A k i).
  assert (Dead : forall theta, Inv theta -> forall k i, In_A k i -> dead theta k i).
  { intros theta [K Signs] k i (Hk & Hi & HA). apply (respects_dead A); auto. }
  assert (First : forall i, (i < width 1)%nat -> A 1%nat i -> In_A 1%nat i).
  { intros i Hi HA. repeat split; auto using first_layer_hidden; apply first_layer_hidden. }
  destruct (persistence Inv In_A) with (n := n) as (I & _ & _).
  - intros B theta HB I k i HA. apply dead_neuron_zero_gradient; auto. apply HA.
  - intros s U [K Signs]. split; [intros i Hi HA; apply KS; auto |].
    apply (respects_split_scaling A (Theta s)); [| exact Signs].
    intros k i Hk Hh Hi HA. destruct (Hyp (S k) i) as [St _]; [unfold hidden in Hh; lia | exact Hi |].
    apply St, U. repeat split; auto; apply Hh.
  - intros s U [K Signs]. split; [intros i Hi HA; apply KE; auto |].
    apply (respects_split_scaling A (Theta s)); [| exact Signs].
    intros k i Hk Hh Hi HA. destruct (Hyp (S k) i) as [_ Ev]; [unfold hidden in Hh; lia | exact Hi |].
    destruct (Ev s) as [E | E]; auto.
    + apply U. repeat split; auto; apply Hh.
    + exists 1, 1. repeat split; try lra; apply same_is_scaled, E.
  - split; [intros i Hi HA; apply Start; auto | apply structurally_dead_respects].
  - intros k i Hk Hi HA. apply Dead; [exact I | repeat split; auto; apply Hk].
Qed.

(** Under (FB) or (S) for first-layer neurons and (FB) or (SS) for all others, every neuron of D_k outputs 0 on all data
    at every Theta_n; so the output is constant on the data if some D_k is a whole layer. *)
Theorem lemma_3 :
  let A := structurally_dead (dead (Theta 0) 1) (Theta 0) in
  (forall i, (i < width 1)%nat -> FB 1 i \/ Sc 1 i) ->
  (forall k i, (2 <= k < depth)%nat -> (i < width k)%nat -> FB k i \/ SS k i) ->
  (forall n k i m, hidden k -> (i < width k)%nat -> A k i -> (m < samples)%nat ->
     activation (Theta n) (input m) k i = 0) /\
  (forall k, hidden k -> (forall i, (i < width k)%nat -> A k i) -> forall n, constant_output (Theta n)).
Proof.
  intros A H1 H2.
  assert (Dead : forall n k i, hidden k -> (i < width k)%nat -> A k i -> dead (Theta n) k i).
  { apply (structural_persistence _ (fun i theta => dead theta 1 i)); auto.
    - intros i n Hi U. apply dead_scaling.
      assert (Sc 1 i) as [St _] by (destruct (H1 i Hi); auto using FB_implies_S). auto.
    - intros i n Hi U K. assert (Sc 1 i) as [_ Ev] by (destruct (H1 i Hi); auto using FB_implies_S).
      destruct (Ev n U); eauto using dead_same, dead_scaling.
    - intros k i Hk Hi. destruct (H2 k i Hk Hi); auto using FB_implies_S, S_implies_SS. }
  split.
  - intros n k i m Hk Hi HA Hm. apply dead_neuron_silent; auto.
  - intros k Hk Whole n. apply (dead_layer_constant_output _ k Hk). intros i Hi. auto.
Qed.

(** The variant: (D) for first-layer neurons, with D_1 restricted to b <= 0. *)
Theorem lemma_3_decay :
  let A := structurally_dead (fun i => dead (Theta 0) 1 i /\ bias (Theta 0) 1 i <= 0) (Theta 0) in
  (forall i, (i < width 1)%nat -> D 1 i) ->
  (forall k i, (2 <= k < depth)%nat -> (i < width k)%nat -> FB k i \/ SS k i) ->
  (forall n k i m, hidden k -> (i < width k)%nat -> A k i -> (m < samples)%nat ->
     activation (Theta n) (input m) k i = 0) /\
  (forall k, hidden k -> (forall i, (i < width k)%nat -> A k i) -> forall n, constant_output (Theta n)).
Proof.
  intros A H1 H2.
  assert (Dead : forall n k i, hidden k -> (i < width k)%nat -> A k i -> dead (Theta n) k i).
  { apply (structural_persistence _ (fun i theta => dead theta 1 i /\ bias theta 1 i <= 0)); auto.
    - intros i theta K. apply K.
    - intros i n Hi U. apply dead_decay. destruct (H1 i Hi); auto.
    - intros i n Hi U K. destruct (H1 i Hi) as [_ Ev]. destruct (Ev n U) as [E | E]; [| eauto using dead_decay].
      split; [eapply dead_same; [exact E | apply K] | destruct E as [_ ->]; apply K].
    - intros k i Hk Hi. destruct (H2 k i Hk Hi); auto using FB_implies_S, S_implies_SS. }
  split.
  - intros n k i m Hk Hi HA Hm. apply dead_neuron_silent; auto.
  - intros k Hk Whole n. apply (dead_layer_constant_output _ k Hk). intros i Hi. auto.
Qed.

End Freeze.
