"""T11b: depth with zero biases, one factor for each input ray (math §5 T11 b; an equality for one ray, T7)."""

from __future__ import annotations

import sympy

from theorems.bounds import Recursion
from theorems.catalogue.layers import CONSTANT_OUTPUT, DEAD_LAYER, ZERO_BIAS_LAYERS_KEPT, all_off, width_rate
from theorems.hypotheses import IndependentInitialization, LabelsVary, OptimizerKeepsDead, ZeroBiases
from theorems.problem import Problem
from theorems.theorem import Instance, Theorem

__all__ = ["THEOREM", "bound"]

_SURVIVAL, _DEATH = sympy.symbols("a q", nonnegative=True)


def bound(problem: Problem) -> Recursion:
    """`1 - K_r prod_k (1 - 2^-l_k)`, one factor a layer."""
    return Recursion(
        state=(_SURVIVAL,),
        start=(sympy.Integer(problem.data.n_rays),),
        parameters=(_DEATH,),
        step=(_SURVIVAL * (1 - _DEATH),),
        layers=tuple((all_off(width),) for width in problem.architecture.hidden),
        result=1 - _SURVIVAL,
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
    id="T11b",
    title="Depth, zero biases, input rays",
    claims=("C1", "C3", "C4"),
    statement="With zero biases each input ray survives a layer with probability 1 - 2^-width, so some hidden layer is "
    "dead with at least this probability (exactly this one if all inputs lie on one ray); it keeps the output constant "
    "on the data and the risk at or above nu + V for ever.",
    formula=r"P(\text{some hidden layer dead}) \ge 1 - K_r \prod_{k=1}^{H} \left(1 - 2^{-l_k}\right)",
    proof="theorems/proofs/depth.md#t11b",
    not_covered="Biases that are not zero (see T10); many rays and few layers, where the bound is vacuous (see T14, "
    "T15); weight decay with different factors in one layer.",
    instance=_instance,
    keeps=ZERO_BIAS_LAYERS_KEPT,
)
