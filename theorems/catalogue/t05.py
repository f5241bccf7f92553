"""T5: width and depth together, by the live-set chain (math §5 T5)."""

from __future__ import annotations

from dataclasses import replace

from theorems.bounds import BinomialChain
from theorems.catalogue import t02
from theorems.catalogue.layers import (
    SIGNS_KEPT,
    depth_hypotheses,
    missing_neurons_cost,
    needs_nonpositive_bias,
    permanent_event,
)
from theorems.problem import Problem
from theorems.theorem import ForcedRisk, Instance, Theorem

__all__ = ["THEOREM", "bound"]


def bound(problem: Problem, dead: int) -> BinomialChain:
    """The chain of T2, absorbed also where it begins with `dead` or more."""
    return replace(t02.bound(problem), enough=dead)


def _instance(problem: Problem, number: int) -> Instance:
    """The theorem with `m = number + 1` dead first-layer neurons."""
    dead = number + 1
    return Instance(
        hypotheses=(*depth_hypotheses(), *missing_neurons_cost(problem, dead)),
        bound=lambda: bound(problem, dead),
        event=replace(permanent_event(problem), neurons=dead),
        forced=ForcedRisk(first_width=problem.architecture.hidden[0] - dead, or_constant=True),
        rate=None,
        nonpositive_bias=needs_nonpositive_bias(problem),
    )


THEOREM = Theorem(
    id="T5",
    title="Width and depth, live-set chain",
    claims=("C1", "C2", "C3", "C4"),
    statement="With at least the probability that m or more first-layer neurons are dead at initialization or the "
    "chain of T2 fills a layer, one of the two lasts for ever, and the risk stays above the optimal risk.",
    formula=r"P\left(\inf_n R(\Theta_n) > I(l)\right) \ge P(S_1 \ge m \text{ or } S_k = l_k \text{ for some } k),\quad "
    r"m \ge \kappa \;(m \ge 1 \text{ for one hidden layer})",
    proof="theorems/proofs/width.md#t5",
    not_covered="What T2 and T3 or T4 do not cover. T12 is sharper in deep networks where it applies.",
    instance=_instance,
    keeps=SIGNS_KEPT,
    n_instances=lambda problem: problem.architecture.hidden[0],
)
