(** The probability that a neuron with one input is dead, for uniform weights and biases. *)

From Coq Require Import Reals Lra.
Open Scope R_scope.

(** Area of the part of [0 <= u <= 1], [-1 <= v <= 1] with [v <= c u]. *)
Definition G (c : R) : R :=
  if Rlt_dec c (-1) then - 1 / (2 * c) else if Rle_dec c 1 then 1 + c / 2 else 2 - 1 / (2 * c).

Lemma G_closed c : G c =
  1 + c / Rmax 1 (Rmax c (0 - c)) - c / (2 * (Rmax 1 (Rmax c (0 - c)) * Rmax 1 (Rmax c (0 - c)))).
Proof.
  unfold G. destruct (Rlt_dec c (-1)); [|destruct (Rle_dec c 1)].
  - rewrite (Rmax_right c) by lra. rewrite Rmax_right by lra. field. lra.
  - rewrite (Rmax_left 1) by (apply Rmax_lub; lra). field.
  - rewrite (Rmax_left c) by lra. rewrite Rmax_right by lra. field. lra.
Qed.
