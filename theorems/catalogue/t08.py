"""T8: depth with zero biases, inputs on a line through 0, on both sides (math §5 T8)."""

from __future__ import annotations

import sympy

from theorems.bounds import Recursion
from theorems.catalogue.layers import CONSTANT_OUTPUT, DEAD_LAYER, ZERO_BIAS_LAYERS_KEPT, width_rate
from theorems.catalogue.t11a import exactly_off
from theorems.hypotheses import (
    IndependentInitialization,
    LabelsVary,
    OppositeInputRays,
    OptimizerKeepsDead,
    ZeroBiases,
)
from theorems.problem import Problem
from theorems.theorem import Instance, Theorem

__all__ = ["THEOREM", "bound"]

_ONE_RAY, _BOTH = sympy.symbols("s b", nonnegative=True)
_WIDTH, _OFF = sympy.symbols("l q", nonnegative=True)
_STEP = ((1 - _OFF) * _ONE_RAY, _WIDTH * _OFF**2 * _ONE_RAY + (1 - 2 * _OFF - (_WIDTH - 1) * _OFF**2) * _BOTH)


def bound(problem: Problem) -> Recursion:
    """`2q (1 - s_2) + (1 - 2q)(1 - 2 s_2 + b_2)`, `q = 2^-l_1`; the layers are run from the last to the second.

    `s_k` is the probability that one ray survives the layers `k..H`, `b_k` a lower bound of the probability that two
    rays do. For one hidden width this is, as a rational number, the bound commonly quoted from arXiv:1903.06733.
    """
    first, *later = problem.architecture.hidden
    off = exactly_off(first)
    return Recursion(
        state=(_ONE_RAY, _BOTH),
        start=(sympy.Integer(1), sympy.Integer(1)),
        parameters=(_WIDTH, _OFF),
        step=_STEP,
        layers=tuple((sympy.Integer(width), exactly_off(width)) for width in reversed(later)),
        result=2 * off * (1 - _ONE_RAY) + (1 - 2 * off) * (1 - 2 * _ONE_RAY + _BOTH),
    )


def _instance(problem: Problem, number: int) -> Instance:
    hypotheses = (
        IndependentInitialization(),
        ZeroBiases(),
        OppositeInputRays(),
        LabelsVary(),
        OptimizerKeepsDead(ZERO_BIAS_LAYERS_KEPT),
    )
    return Instance(hypotheses, lambda: bound(problem), DEAD_LAYER, CONSTANT_OUTPUT, width_rate(problem))


THEOREM = Theorem(
    id="T8",
    title="Depth, zero biases, inputs on a line",
    claims=("C1", "C3", "C4"),
    statement="With zero biases, and inputs on both sides of 0 on a line through it, the two rays merge into one when "
    "a layer leaves a single neuron on; some hidden layer is dead with at least this probability, which keeps the "
    "output constant on the data and the risk at or above nu + V for ever.",
    formula=r"P(\text{some hidden layer dead}) \ge 2q_1 (1 - s_2) + (1 - 2q_1)(1 - 2 s_2 + b_2),\quad "
    r"q_k = 2^{-l_k},\quad s_k = (1 - q_k) s_{k+1},\quad "
    r"b_k = l_k q_k^2 s_{k+1} + \left(1 - 2q_k - (l_k - 1) q_k^2\right) b_{k+1},\quad s_{H+1} = b_{H+1} = 1",
    proof="theorems/proofs/zero_bias.md#t8",
    not_covered="Biases that are not zero (see T10); inputs that are not on one line through 0 (see T11b, T14, T15); "
    "inputs on one side only, where T7 is exact.",
    instance=_instance,
    keeps=ZERO_BIAS_LAYERS_KEPT,
)
