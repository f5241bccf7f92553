"""T3: width of a shallow network (math §5 T3)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import sympy

from theorems.bounds import P_DEAD, ClosedForm
from theorems.hypotheses import (
    IndependentInitialization,
    NeuronCanBeDead,
    OneHiddenLayer,
    OptimalRiskAboveNoise,
    OptimizerKeepsDead,
    Property,
)
from theorems.problem import Problem
from theorems.theorem import Event, EventKind, ForcedRisk, Instance, Rate, Theorem

__all__ = ["THEOREM", "bound"]


def bound(width: int, dead: int) -> ClosedForm:
    """`P(Bin(l_1, p_1) >= m)`, written through the `m` smallest counts."""
    fewer = sum(
        (sympy.binomial(width, i) * P_DEAD**i * (1 - P_DEAD) ** (width - i) for i in range(dead)), sympy.Integer(0)
    )
    return ClosedForm(1 - fewer)


def _instances(problem: Problem) -> Iterator[Instance]:
    width = problem.architecture.hidden[0]
    for dead in range(1, width + 1):
        yield Instance(
            hypotheses=(
                OneHiddenLayer(),
                IndependentInitialization(),
                NeuronCanBeDead(),
                OptimizerKeepsDead(((Property.FB, None), (Property.S, None))),
                OptimalRiskAboveNoise(width - dead),
            ),
            bound=partial(bound, width, dead),
            event=Event(EventKind.DEAD_FIRST_LAYER_NEURONS, dead),
            forced=ForcedRisk(first_width=width - dead),
        )


def _rate(problem: Problem) -> Rate | None:
    return Rate(-sympy.log(1 - P_DEAD), "neuron of the first hidden layer") if problem.architecture.is_shallow else None


THEOREM = Theorem(
    id="T3",
    title="Width, one hidden layer",
    claims=("C1", "C2", "C4"),
    statement="With at least the probability that m or more first-layer neurons are dead at initialization, they stay "
    "dead, and the risk stays at or above the optimal risk of the network without them, which exceeds I(l).",
    formula=r"P\left(\inf_n R(\Theta_n) \ge I_{l_1 - m} > I(l)\right) \ge P(\mathrm{Bin}(l_1, p_1) \ge m)",
    proof="theorems/proofs/width.md#t3",
    not_covered="Deep networks. Once the remaining neurons can interpolate, dead ones cost nothing (saturation).",
    instances=_instances,
    rate=_rate,
)
