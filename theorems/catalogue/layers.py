"""What the depth theorems share: sign probabilities of the layers and the event they speak of."""

from __future__ import annotations

import sympy

from theorems.hypotheses import (
    Hypothesis,
    IndependentInitialization,
    LabelsVary,
    OptimizerKeepsDead,
    Property,
    Status,
)
from theorems.problem import Problem
from theorems.theorem import Event, EventKind, ForcedRisk, Rate

__all__ = [
    "CONSTANT_OUTPUT",
    "DEAD_LAYER",
    "MAX_SIGN_BITS",
    "all_signs_nonpositive",
    "depth_hypotheses",
    "permanent_event",
    "row_success",
    "structural_rate",
    "width_rate",
]

MAX_SIGN_BITS = 4096

DEAD_LAYER = Event(EventKind.DEAD_LAYER)
CONSTANT_OUTPUT = ForcedRisk(first_width=None)


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
    return Event(EventKind.STRUCTURALLY_DEAD_LAYER)


def depth_hypotheses() -> tuple[Hypothesis, ...]:
    """Hypotheses of T1 and T2."""
    return (
        IndependentInitialization(),
        LabelsVary(),
        OptimizerKeepsDead(((Property.FB, Property.FB), (Property.S, Property.SS))),
    )


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
