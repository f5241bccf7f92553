"""T3: width of a shallow network (math §5 T3)."""

from __future__ import annotations

from theorems.bounds import ClosedForm
from theorems.catalogue.layers import NEURONS_KEPT, binomial_at_least, needs_nonpositive_bias, width_rate_in_neurons
from theorems.hypotheses import (
    IndependentInitialization,
    NeuronCanBeDead,
    OneHiddenLayer,
    OptimalRiskAboveNoise,
    OptimizerKeepsDead,
)
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
            OneHiddenLayer(),
            IndependentInitialization(),
            NeuronCanBeDead(),
            OptimizerKeepsDead(NEURONS_KEPT),
            OptimalRiskAboveNoise(width - dead),
        ),
        bound=lambda: bound(width, dead),
        event=Event(neurons=dead, nonpositive_bias=needs_nonpositive_bias(problem)),
        forced=ForcedRisk(first_width=width - dead),
        rate=width_rate_in_neurons(problem, dead),
        nonpositive_bias=needs_nonpositive_bias(problem),
    )


THEOREM = Theorem(
    id="T3",
    title="Width, one hidden layer",
    claims=("C1", "C2", "C4"),
    statement="With at least the probability that m or more first-layer neurons are dead at initialization, they stay "
    "dead, and the risk stays at or above the optimal risk of the network without them, which exceeds I(l).",
    formula=r"P\left(\inf_n R(\Theta_n) \ge I_{l_1 - m} > I(l)\right) \ge P(\mathrm{Bin}(l_1, p_1) \ge m)",
    proof="theorems/proofs/width.md#t3",
    not_covered="Deep networks. Once the remaining neurons can interpolate, dead ones cost nothing (saturation).",
    instance=_instance,
    keeps=NEURONS_KEPT,
    n_instances=lambda problem: problem.architecture.hidden[0],
)
