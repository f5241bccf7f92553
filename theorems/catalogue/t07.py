"""T7: depth with zero biases, one input ray: the exact probability (math §5 T7)."""

from __future__ import annotations

from theorems.bounds import Recursion
from theorems.catalogue import t11a
from theorems.catalogue.layers import CONSTANT_OUTPUT, DEAD_LAYER, ZERO_BIAS_LAYERS_KEPT, width_rate
from theorems.hypotheses import (
    IndependentInitialization,
    LabelsVary,
    OneInputRay,
    OptimizerKeepsDead,
    ZeroBiases,
)
from theorems.problem import Problem
from theorems.theorem import Instance, Relation, Theorem

__all__ = ["THEOREM", "bound"]


def bound(problem: Problem) -> Recursion:
    """`1 - prod_k (1 - 2^-l_k)`: the ceiling T11a, which one ray attains."""
    return t11a.bound(problem)


def _instance(problem: Problem, number: int) -> Instance:
    hypotheses = (
        IndependentInitialization(),
        ZeroBiases(),
        OneInputRay(),
        LabelsVary(),
        OptimizerKeepsDead(ZERO_BIAS_LAYERS_KEPT),
    )
    return Instance(hypotheses, lambda: bound(problem), DEAD_LAYER, CONSTANT_OUTPUT, width_rate(problem))


THEOREM = Theorem(
    id="T7",
    title="Depth, zero biases, one input ray",
    claims=("C1", "C3", "C4"),
    statement="With zero biases, and inputs that are multiples t >= 0 of one vector, some hidden layer is dead at "
    "initialization with exactly this probability; it keeps the output constant on the data and the risk at or above "
    "nu + V for ever.",
    formula=r"P(\text{some hidden layer dead}) = 1 - \prod_{k=1}^{H} \left(1 - 2^{-l_k}\right)",
    proof="theorems/proofs/zero_bias.md#t7",
    not_covered="Biases that are not zero (see T10); inputs on several rays (see T8, T11b, T14, T15). The equality is "
    "for the dead layer; non-convergence can only be more likely.",
    instance=_instance,
    keeps=ZERO_BIAS_LAYERS_KEPT,
    relation=Relation.EQUAL,
)
