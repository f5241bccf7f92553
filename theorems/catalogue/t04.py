"""T4: width of a deep network with one output (math §5 T4)."""

from __future__ import annotations

from theorems.bounds import ClosedForm
from theorems.catalogue.layers import (
    NEURONS_KEPT,
    binomial_at_least,
    missing_neurons_cost,
    needs_nonpositive_bias,
    width_rate_in_neurons,
)
from theorems.hypotheses import IndependentInitialization, NeuronCanBeDead, OptimizerKeepsDead, SeveralHiddenLayers
from theorems.problem import Problem
from theorems.theorem import Event, ForcedRisk, Instance, Theorem

__all__ = ["THEOREM", "bound"]


def bound(width: int, dead: int) -> ClosedForm:
    """`P(Bin(l_1, p_1) >= m)`."""
    return ClosedForm(binomial_at_least(width, dead))


def _instance(problem: Problem, number: int) -> Instance:
    """The theorem with `m = number + 1` dead neurons."""
    width, dead = problem.architecture.hidden[0], number + 1
    return Instance(
        hypotheses=(
            SeveralHiddenLayers(),
            IndependentInitialization(),
            NeuronCanBeDead(),
            OptimizerKeepsDead(NEURONS_KEPT),
            *missing_neurons_cost(problem, dead),
        ),
        bound=lambda: bound(width, dead),
        event=Event(neurons=dead, nonpositive_bias=needs_nonpositive_bias(problem)),
        forced=ForcedRisk(first_width=width - dead),
        rate=width_rate_in_neurons(problem, dead),
        nonpositive_bias=needs_nonpositive_bias(problem),
    )


THEOREM = Theorem(
    id="T4",
    title="Width, several hidden layers",
    claims=("C1", "C2", "C4"),
    statement="With at least the probability that m or more first-layer neurons are dead at initialization, m at least "
    "kappa (at most 3) or all of them, they stay dead, and the risk stays at or above the optimal risk of the network "
    "without them, which exceeds I(l).",
    formula=r"P\left(\inf_n R(\Theta_n) \ge I(l') > I(l)\right) \ge P(\mathrm{Bin}(l_1, p_1) \ge m),\quad "
    r"l' = (l_0, l_1 - m, l_2, \dots, l_L),\; m \ge \kappa \text{ or } m = l_1",
    proof="theorems/proofs/width.md#t4",
    not_covered="Several outputs: there a narrow layer above can make the first width irrelevant. Fewer than kappa "
    "dead neurons: there are data on which nothing is lost without them.",
    instance=_instance,
    keeps=NEURONS_KEPT,
    n_instances=lambda problem: problem.architecture.hidden[0],
)
