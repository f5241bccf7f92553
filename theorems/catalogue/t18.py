"""T18: depth with zero biases, symmetric weights, any data: backward lines (theorems/proofs/zero_bias_lines.md)."""

from __future__ import annotations

from theorems.catalogue.layers import CONSTANT_OUTPUT, DEAD_LAYER, ZERO_BIAS_LAYERS_KEPT, width_rate
from theorems.hypotheses import IndependentInitialization, LabelsVary, OptimizerKeepsDead, ZeroBiases
from theorems.lines import LineProgram
from theorems.problem import Problem
from theorems.theorem import Instance, Theorem

__all__ = ["THEOREM", "bound"]


def bound(problem: Problem, needed: int | None = None) -> LineProgram:
    """`1 - U`; `U` bounds the probability of fewer than `needed` dead first-layer neurons and no dead layer.

    None stands for no dead layer alone.
    """
    return LineProgram(
        widths=problem.architecture.hidden,
        n_rays=max(problem.data.n_rays, 1),
        needed=needed,
        opposite=problem.data.rays_are_opposite,
    )


def _instance(problem: Problem, number: int) -> Instance:
    hypotheses = (
        IndependentInitialization(),
        ZeroBiases(),
        LabelsVary(),
        OptimizerKeepsDead(ZERO_BIAS_LAYERS_KEPT),
    )
    return Instance(hypotheses, lambda: bound(problem), DEAD_LAYER, CONSTANT_OUTPUT, width_rate(problem))


THEOREM = Theorem(
    id="T18",
    title="Depth, zero biases, lines backward",
    claims=("C1", "C3", "C4"),
    statement="Affine bounds of the survival of a curve, in the number of zeros of a random functional on it, are "
    "carried from the last layer back to the inputs, for every symmetric law of the weights; they use that a curve on "
    "which one or two neurons are ever on is nearly one ray, and that a curve may be begun anew along the edges of an "
    "orthant, so that narrow networks need to know nothing about the inputs. A dead layer keeps the risk at or above "
    "nu + V for ever.",
    formula=r"P(\text{some hidden layer dead}) \ge 1 - U,\quad "
    r"S_k(G) \le \alpha_{a(G)} + \beta Z_k(G),\quad "
    r"\alpha'_a = \max_{2^{-a} \le d \le 1/2} \left(E\,\alpha_{\mathrm{Bin}(l_k, 1-d)} "
    r"- (2 - 4d)\left(s + \tfrac{\beta l_k}{2} 2^{-l_k} (2d)^{l_k - 1}\right)\right),\quad "
    r"\beta' = s + \beta \left(1 - (l_k + 2) 2^{-l_k - 1}\right)",
    proof="theorems/proofs/zero_bias_lines.md#t18",
    not_covered="Biases that are not zero (see T10); weights that are not independent or have atoms; the death of wide "
    "layers is not used, and after one of them T14 or T15 can be sharper.",
    instance=_instance,
    keeps=ZERO_BIAS_LAYERS_KEPT,
)
