(** * The hypotheses of Lemmas 1 and 2 are needed (math §3)

    Networks of width 1 with one sample, input 1, and one move after which nothing happens any more. *)

From Coq Require Import Reals List Lia Lra.
From Nonconv Require Import Network Gradient Process Freeze.
Open Scope R_scope.

Definition one_sample (L : nat) (HL : (2 <= L)%nat) : problem := {|
  depth := L;
  width _ := 1%nat;
  samples := 1;
  input _ _ := 1;
  label _ _ := 0;
  depth_at_least_two := HL;
  width_positive := fun _ _ => le_n 1;
  samples_positive := le_n 1
|}.

Lemma first_sample_is_minibatch L HL : @minibatch (one_sample L HL) (cons 0%nat nil).
Proof. split; [discriminate |]. intros m [<- | []]. simpl. lia. Qed.

Definition one_move L HL (old new : parameters) : @process (one_sample L HL) :=
  let path n := match n with O => old | S _ => new end in {|
  Theta := path;
  Eval n := path (pred n);
  batch _ := cons 0%nat nil;
  batch_is_minibatch _ _ := first_sample_is_minibatch L HL
|}.

(** Under (D), a dead first-layer neuron with b > 0 may come alive: w = -2, b = 1 becomes w = 0, b = 1. *)
Theorem decay_revives_positive_bias : exists (P : problem) (T : process),
  D 1 0 /\ dead (Theta 0) 1 0 /\ ~ dead (Theta 1) 1 0.
Proof.
  exists (one_sample 2 (le_n 2)).
  exists (one_move 2 (le_n 2) {| weight _ _ _ := -2; bias _ _ := 1 |} {| weight _ _ _ := 0; bias _ _ := 1 |}).
  repeat split.
  - intros n _. destruct n; [exists 0, 1 | exists 1, 1]; repeat split; simpl; intros; lra.
  - intros n _. left. split; reflexivity.
  - intros m _. rewrite first_layer_preactivation. simpl. lra.
  - intros Dead. specialize (Dead 0%nat (le_n 1)). rewrite first_layer_preactivation in Dead. simpl in Dead. lra.
Qed.

(** Under (S), a dead second layer may come alive, even if all parameters have one common factor (here 1/4). *)
Definition start_parameters : parameters := {|
  weight k _ _ := match k with 2 => -1 | _ => 0 end;
  bias k _ := match k with 1 => 1 | 2 => / 2 | _ => 0 end
|}.

Definition quarter (theta : parameters) : parameters := {|
  weight k i q := / 4 * weight theta k i q;
  bias k i := / 4 * bias theta k i
|}.

Theorem scaling_revives_second_layer : exists (P : problem) (T : process),
  (forall k i, Sc k i) /\ hidden 2 /\ dead_layer (Theta 0) 2 /\ ~ dead_layer (Theta 1) 2.
Proof.
  assert (H3 : (2 <= 3)%nat) by lia.
  exists (one_sample 3 H3), (one_move 3 H3 start_parameters (quarter start_parameters)).
  split; [| split; [unfold hidden; simpl; lia | split]].
  - intros k i. split; [intros n _; destruct n; [exists (/ 4) | exists 1]; (split; [lra | split; simpl; intros; ring]) |].
    intros n _. left. split; reflexivity.
  - intros i _ m _. unfold preactivation, affine. simpl. unfold affine. simpl. rewrite relu_of_nonnegative; lra.
  - intros Dead. specialize (Dead 0%nat (le_n 1) 0%nat (le_n 1)). unfold preactivation, affine in Dead. simpl in Dead.
    unfold affine in Dead. simpl in Dead. rewrite relu_of_nonnegative in Dead; lra.
Qed.
