"""T3: width of a shallow network (math §5 T3)."""

from __future__ import annotations

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
    """`P(Bin(l_1, p_1) >= m)`: `1 - (1 - p_1)^l_1` for `m = 1`, in general the beta function `I_{p_1}(m, l_1-m+1)`."""
    if dead == 1:
        return ClosedForm(1 - (1 - P_DEAD) ** width)
    return ClosedForm(sympy.betainc_regularized(dead, width - dead + 1, 0, P_DEAD))


def _instance(problem: Problem, number: int) -> Instance:
    """The theorem with `m = number + 1` dead neurons."""
    width, dead = problem.architecture.hidden[0], number + 1
    return Instance(
        hypotheses=(
            OneHiddenLayer(),
            IndependentInitialization(),
            NeuronCanBeDead(),
            OptimizerKeepsDead(((Property.FB, None), (Property.S, None))),
            OptimalRiskAboveNoise(width - dead),
        ),
        bound=lambda: bound(width, dead),
        event=Event(EventKind.DEAD_FIRST_LAYER_NEURONS, dead),
        forced=ForcedRisk(first_width=width - dead),
        rate=_rate(problem, dead),
    )


def _rate(problem: Problem, dead: int) -> Rate | None:
    """`-ln(1 - p_1)` per neuron: for one dead neuron, and only if the first-layer laws do not change with the width."""
    if not problem.initialization.independent or dead > 1:
        return None
    fan_in, width = problem.architecture.widths[0], problem.architecture.hidden[0]
    scheme = problem.initialization
    now, next_one = ((scheme.weight_law(fan_in, w), scheme.bias_law(fan_in, w)) for w in (width, width + 1))
    return Rate(-sympy.log(1 - P_DEAD), "first-layer neuron, until saturation") if now == next_one else None


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
    n_instances=lambda problem: problem.architecture.hidden[0],
)
