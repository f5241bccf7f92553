"""T11a: depth, the ceiling of all bounds on dead layers at initialization (math §5 T11 a)."""

from __future__ import annotations

import sympy

from theorems.bounds import Recursion
from theorems.catalogue.layers import DEAD_LAYER
from theorems.hypotheses import IndependentInitialization, NonzeroInput, SymmetricLaws
from theorems.problem import Problem
from theorems.theorem import Instance, Relation, Theorem

__all__ = ["THEOREM", "bound", "exactly_off"]

_SURVIVAL, _OFF = sympy.symbols("a q", nonnegative=True)


def exactly_off(width: int) -> sympy.Rational:
    """`2^-width`, exact at every width: an upper bound or an equality must not be rounded down."""
    return sympy.Rational(1, 2**width)


def bound(problem: Problem) -> Recursion:
    """`1 - prod_k (1 - 2^-l_k)`, one factor a layer."""
    return Recursion(
        state=(_SURVIVAL,),
        start=(sympy.Integer(1),),
        parameters=(_OFF,),
        step=(_SURVIVAL * (1 - _OFF),),
        layers=tuple((exactly_off(width),) for width in problem.architecture.hidden),
        result=1 - _SURVIVAL,
    )


def _instance(problem: Problem, number: int) -> Instance:
    hypotheses = (IndependentInitialization(), SymmetricLaws(), NonzeroInput())
    return Instance(hypotheses, lambda: bound(problem), DEAD_LAYER, forced=None, rate=None)


THEOREM = Theorem(
    id="T11a",
    title="Depth, the ceiling",
    claims=(),
    statement="At a non-zero input a layer is off with probability 2^-width if the layers before it are not, so some "
    "hidden layer is dead at initialization with at most this probability: no lower bound for that can exceed it.",
    formula=r"P(\text{some hidden layer dead}) \le 1 - \prod_{k=1}^{H} \left(1 - 2^{-l_k}\right)",
    proof="theorems/proofs/depth.md#t11a",
    not_covered="Layers that die during training; non-convergence for other reasons. It bounds the event, not the "
    "failure of training. Weights with atoms.",
    instance=_instance,
    keeps=(),
    relation=Relation.AT_MOST,
)
