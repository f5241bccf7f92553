"""T2: depth, live-set chain (math §5 T2)."""

from __future__ import annotations

from theorems.bounds import ALIVE, P_DEAD, BinomialChain
from theorems.catalogue.layers import (
    CONSTANT_OUTPUT,
    SIGNS_KEPT,
    depth_hypotheses,
    needs_nonpositive_bias,
    permanent_event,
    row_success,
    structural_rate,
)
from theorems.problem import Problem
from theorems.theorem import Instance, Theorem

__all__ = ["THEOREM", "bound"]


def bound(problem: Problem) -> BinomialChain:
    """The chain `S_1 ~ Bin(l_1, p_1)`, `S_k | S_{k-1} = s ~ Bin(l_k, q_b q_w^{l_{k-1}-s})`, absorbed at `S_k = l_k`."""
    hidden = problem.architecture.hidden
    success = tuple(row_success(problem, layer, ALIVE) for layer in range(2, len(hidden) + 1))
    return BinomialChain(hidden, P_DEAD, success)


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
    id="T2",
    title="Depth, live-set chain",
    claims=("C1", "C3", "C4"),
    statement="The numbers of structurally dead neurons form a chain of binomial counts; with at least the probability "
    "that this chain fills a layer, the output is constant on the data for ever and the risk stays at or above nu + V.",
    formula=r"P(\text{non-convergence}) \ge P(S_k = l_k \text{ for some } k),\quad S_1 \sim \mathrm{Bin}(l_1, p_1),\; "
    r"S_k \mid S_{k-1} = s \sim \mathrm{Bin}\left(l_k, q_b^{(k)} (q_w^{(k)})^{l_{k-1}-s}\right)",
    proof="theorems/proofs/depth.md#t2",
    not_covered="Initializations that are not independent. Never below T1.",
    instance=_instance,
    keeps=SIGNS_KEPT,
)
