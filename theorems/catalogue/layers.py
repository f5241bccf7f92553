"""What the theorems share: which dead neurons stay dead, sign probabilities of the layers, the events they speak of."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

import sympy

from theorems.bounds import P_DEAD
from theorems.hypotheses import (
    EnoughDeadNeurons,
    Hypothesis,
    IndependentInitialization,
    LabelsVary,
    OptimalRiskAboveNoise,
    OptimizerKeepsDead,
    Property,
    ScalarOutput,
    Status,
)
from theorems.problem import Problem
from theorems.theorem import Event, ForcedRisk, LayerDeath, Rate

__all__ = [
    "BLOCK_FREEZE",
    "CONSTANT_OUTPUT",
    "DEAD_LAYER",
    "MAX_SIGN_BITS",
    "NEURONS_KEPT",
    "SIGNS_KEPT",
    "ZERO_BIAS_LAYERS_KEPT",
    "all_off",
    "all_signs_nonpositive",
    "binomial_at_least",
    "depth_hypotheses",
    "exact_sum",
    "missing_neurons_cost",
    "needs_nonpositive_bias",
    "permanent_event",
    "row_success",
    "structural_rate",
    "width_rate",
    "width_rate_in_neurons",
]

MAX_SIGN_BITS = 4096

DEAD_LAYER = Event(LayerDeath.DEAD)
CONSTANT_OUTPUT = ForcedRisk(first_width=None)

Alternatives = tuple[tuple[Property, Property | None], ...]
BLOCK_FREEZE: Alternatives = ((Property.FB, Property.FB),)  # Lemma 2
SIGNS_KEPT: Alternatives = (*BLOCK_FREEZE, (Property.S, Property.SS), (Property.D, Property.SS))  # Lemma 3
NEURONS_KEPT: Alternatives = ((Property.FB, None), (Property.S, None), (Property.D, None))  # Lemma 1
ZERO_BIAS_LAYERS_KEPT: Alternatives = (*BLOCK_FREEZE, (Property.SL, Property.SL))  # Lemma 2, remark


def needs_nonpositive_bias(problem: Problem) -> bool:
    """Whether only dead first-layer neurons with `b <= 0` stay dead for sure: under (D) without (S) (Lemma 1)."""
    return problem.optimizer.about(Property.S).status is not Status.HOLDS


def missing_neurons_cost(problem: Problem, dead: int) -> tuple[Hypothesis, ...]:
    """What makes `dead` dead first-layer neurons cost risk.

    One hidden layer: Lemma 5. Several: Lemma 6, or Lemma 4 if the whole layer is dead and the output constant.
    """
    hidden = problem.architecture.hidden
    above_noise = OptimalRiskAboveNoise(hidden[0] - dead)
    if len(hidden) == 1 or dead == hidden[0]:
        return (above_noise,)
    return (ScalarOutput(), EnoughDeadNeurons(dead), above_noise)


def binomial_at_least(width: int, count: int) -> sympy.Expr:
    """`P(Bin(width, p_1) >= count)`: elementary at both ends, else the beta function `I_{p_1}`."""
    if count == 1:
        return 1 - (1 - P_DEAD) ** width
    if count == width:
        return P_DEAD**width
    return sympy.betainc_regularized(count, width - count + 1, 0, P_DEAD)


def exact_sum(values: Iterable[Fraction]) -> sympy.Rational:
    """Add up exact numbers as a sympy number."""
    total = sum(values, Fraction(0))
    return sympy.Rational(total.numerator, total.denominator)


def all_off(width: int) -> sympy.Expr:
    """`2^-width`; below `2^-MAX_SIGN_BITS` it is replaced by 0, which only lowers the bounds that use it."""
    return sympy.Rational(1, 2**width) if width <= MAX_SIGN_BITS else sympy.Integer(0)


def row_success(problem: Problem, layer: int, alive: sympy.Expr | int) -> sympy.Expr:
    """`q_b q_w^alive`: the bias and the `alive` weights from live neurons of one row are all `<= 0`."""
    weight, bias = problem.layer_laws(layer)
    return bias.probability_nonpositive * weight.probability_nonpositive**alive


def all_signs_nonpositive(problem: Problem, layer: int) -> sympy.Expr:
    """`(q_b q_w^l_{k-1})^l_k`: all weights and biases of hidden layer `layer >= 2` are `<= 0`.

    Below `2^-MAX_SIGN_BITS` it is replaced by 0, which is safe: every bound increases with it.
    """
    widths = problem.architecture.widths
    weight, _ = problem.layer_laws(layer)
    if weight.probability_nonpositive <= sympy.Rational(1, 2) and widths[layer - 1] * widths[layer] > MAX_SIGN_BITS:
        return sympy.Integer(0)
    return row_success(problem, layer, widths[layer - 1]) ** widths[layer]


def permanent_event(problem: Problem) -> Event:
    """The event that T1 and T2 speak of: a dead layer under (FB), else only a structurally dead one (Lemma 3)."""
    if problem.optimizer.about(Property.FB).status is Status.HOLDS:
        return DEAD_LAYER
    return Event(LayerDeath.STRUCTURAL, nonpositive_bias=needs_nonpositive_bias(problem))


def depth_hypotheses() -> tuple[Hypothesis, ...]:
    """Hypotheses of T1 and T2."""
    return (IndependentInitialization(), LabelsVary(), OptimizerKeepsDead(SIGNS_KEPT))


def width_rate(problem: Problem) -> Rate | None:
    """`-ln(1 - 2^-w)` a hidden layer, for constant hidden width `w`."""
    hidden = problem.architecture.hidden
    if len(set(hidden)) > 1 or hidden[0] > MAX_SIGN_BITS:
        return None
    return Rate(-sympy.log(1 - sympy.Rational(1, 2 ** hidden[0])), "hidden layer")


def structural_rate(problem: Problem) -> Rate | None:
    """`-ln(1 - (q_b q_w^w)^w)` a hidden layer, for constant hidden width `w`."""
    hidden = problem.architecture.hidden
    if len(hidden) < 2 or len(set(hidden)) > 1 or not problem.initialization.independent:
        return None
    return Rate(-sympy.log(1 - all_signs_nonpositive(problem, 2)), "hidden layer")


def width_rate_in_neurons(problem: Problem, dead: int) -> Rate | None:
    """`-ln(1 - p_1)` per neuron: for one dead neuron, and only if the first-layer laws do not change with the width."""
    if not problem.initialization.independent or dead > 1:
        return None
    fan_in, width = problem.architecture.widths[0], problem.architecture.hidden[0]
    scheme = problem.initialization
    now, next_one = ((scheme.weight_law(fan_in, w), scheme.bias_law(fan_in, w)) for w in (width, width + 1))
    return Rate(-sympy.log(1 - P_DEAD), "first-layer neuron, until saturation") if now == next_one else None
