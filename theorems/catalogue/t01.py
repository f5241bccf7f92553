"""T1: depth, product bound (math §5 T1)."""

from __future__ import annotations

from collections.abc import Iterator

from theorems.bounds import P_DEAD, ClosedForm
from theorems.catalogue.layers import DEAD_LAYER, all_signs_nonpositive, depth_hypotheses, structural_rate
from theorems.problem import Problem
from theorems.theorem import Instance, Theorem

__all__ = ["THEOREM", "bound"]


def bound(problem: Problem) -> ClosedForm:
    """`1 - (1 - p_1^{l_1}) prod_{k=2}^{H} (1 - (q_b q_w^{l_{k-1}})^{l_k})`."""
    hidden = problem.architecture.hidden
    survival = 1 - P_DEAD ** hidden[0]
    for layer in range(2, len(hidden) + 1):
        survival *= 1 - all_signs_nonpositive(problem, layer)
    return ClosedForm(1 - survival)


def _instances(problem: Problem) -> Iterator[Instance]:
    event, forced = DEAD_LAYER
    yield Instance(depth_hypotheses(), lambda: bound(problem), event, forced)


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
    instances=_instances,
    rate=structural_rate,
)
