"""T1: depth, product bound (math §5 T1)."""

from __future__ import annotations

import sympy

from theorems.bounds import P_DEAD, Recursion
from theorems.catalogue.layers import (
    CONSTANT_OUTPUT,
    SIGNS_KEPT,
    all_signs_nonpositive,
    depth_hypotheses,
    needs_nonpositive_bias,
    permanent_event,
    structural_rate,
)
from theorems.problem import Problem
from theorems.theorem import Instance, Theorem

__all__ = ["THEOREM", "bound"]


_SURVIVAL, _SIGNS = sympy.symbols("a e", nonnegative=True)


def bound(problem: Problem) -> Recursion:
    """`1 - (1 - p_1^{l_1}) prod_{k=2}^{H} (1 - (q_b q_w^{l_{k-1}})^{l_k})`, one factor a layer."""
    hidden = problem.architecture.hidden
    return Recursion(
        state=(_SURVIVAL,),
        start=(1 - P_DEAD ** hidden[0],),
        parameters=(_SIGNS,),
        step=(_SURVIVAL * (1 - _SIGNS),),
        layers=tuple((all_signs_nonpositive(problem, layer),) for layer in range(2, len(hidden) + 1)),
        result=1 - _SURVIVAL,
    )


def _instance(problem: Problem, number: int) -> Instance:
    return Instance(
        hypotheses=depth_hypotheses(),
        bound=lambda: bound(problem),
        event=permanent_event(problem),
        forced=CONSTANT_OUTPUT,
        rate=structural_rate(problem),
        nonpositive_bias=needs_nonpositive_bias(problem),
    )


THEOREM = Theorem(
    id="T1",
    title="Depth, product bound",
    claims=("C1", "C3", "C4"),
    statement="With at least this probability some hidden layer is structurally dead at initialization; then the "
    "output is constant on the data for ever, and the risk stays at or above nu + V, which exceeds the optimal risk.",
    formula=r"P\left(\inf_n R(\Theta_n) \ge \nu + V > I(l)\right) \ge 1 - (1 - p_1^{l_1}) \prod_{k=2}^{H} "
    r"\left(1 - \left(q_b^{(k)} (q_w^{(k)})^{l_{k-1}}\right)^{l_k}\right)",
    proof="theorems/proofs/depth.md#t1",
    not_covered="Initializations that are not independent. The bound is tiny for wide layers; T10 is sharper where it "
    "applies.",
    instance=_instance,
    keeps=SIGNS_KEPT,
)
