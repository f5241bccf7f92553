"""T12: width and depth together, by the contraction theorems (math §5 T12)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from theorems.bounds import BestOf, Bound
from theorems.catalogue import t10, t14, t15, t16, t18, t19
from theorems.catalogue.layers import BLOCK_FREEZE, ZERO_BIAS_LAYERS_KEPT, Alternatives, missing_neurons_cost
from theorems.hypotheses import (
    BoundedBiasDensity,
    Hypothesis,
    IndependentInitialization,
    LabelsVary,
    OptimizerKeepsDead,
    Property,
    Status,
    ZeroBiases,
)
from theorems.laws import Normal, Zero
from theorems.problem import Problem
from theorems.theorem import Event, ForcedRisk, Instance, LayerDeath, Theorem

__all__ = ["THEOREM", "bound"]


@dataclass(frozen=True)
class _Base:
    """The depth theorem that T12 starts differently: its laws, its demand on the optimizer, its bound, its event."""

    laws: Hypothesis
    keeps: Alternatives
    bound: Callable[[Problem, int | None], Bound]
    layer: LayerDeath
    nonpositive_bias: bool


def _zero_bias_bound(problem: Problem, needed: int | None) -> Bound:
    """T15, T18, and T14 where its law is the normal one."""
    bases: dict[str, Callable[[Problem, int | None], Bound]] = {"T15": t15.bound, "T18": t18.bound}
    if all(isinstance(problem.layer_laws(k)[0], Normal) for k in range(1, len(problem.architecture.hidden) + 1)):
        bases["T14"] = t14.bound
    return BestOf(tuple(bases), tuple(base(problem, needed) for base in bases.values()))


_FREEZE = _Base(BoundedBiasDensity(), BLOCK_FREEZE, t10.bound, LayerDeath.DEAD, False)
_NO_BIAS = _Base(ZeroBiases(), ZERO_BIAS_LAYERS_KEPT, _zero_bias_bound, LayerDeath.DEAD, False)
_JOINT = _Base(BoundedBiasDensity(), ((Property.DJ, Property.DJ),), t16.bound, LayerDeath.JOINT, False)
_WEIGHTS = _Base(BoundedBiasDensity(), ((Property.DW, Property.DW),), t16.bound, LayerDeath.WEIGHTS, True)
_DECAY = _Base(BoundedBiasDensity(), ((Property.D, Property.D),), t19.bound, LayerDeath.ROBUST, True)


def _base(problem: Problem) -> _Base:
    """The sharpest base for the laws and the optimizer of a problem."""
    scheme = problem.initialization
    if scheme.independent and isinstance(problem.layer_laws(1)[1], Zero):
        return _NO_BIAS
    for wanted, base in ((Property.FB, _FREEZE), (Property.DJ, _JOINT), (Property.DW, _WEIGHTS), (Property.D, _DECAY)):
        if problem.optimizer.about(wanted).status is Status.HOLDS:
            return base
    return _FREEZE


def bound(problem: Problem, dead: int) -> Bound:
    """The recursion of the base, started from `P(Bin(l_1, p_1) < dead)`."""
    return _base(problem).bound(problem, dead)


def _instance(problem: Problem, number: int) -> Instance:
    """The theorem with `m = number + 1` dead first-layer neurons."""
    base, dead = _base(problem), number + 1
    return Instance(
        hypotheses=(
            IndependentInitialization(),
            base.laws,
            LabelsVary(),
            OptimizerKeepsDead(base.keeps),
            *missing_neurons_cost(problem, dead),
        ),
        bound=lambda: bound(problem, dead),
        event=Event(base.layer, dead, base.nonpositive_bias),
        forced=ForcedRisk(first_width=problem.architecture.hidden[0] - dead, or_constant=True),
        rate=None,
        nonpositive_bias=base.nonpositive_bias,
    )


THEOREM = Theorem(
    id="T12",
    title="Width and depth, contraction",
    claims=("C1", "C2", "C3", "C4"),
    statement="With at least this probability m or more first-layer neurons are dead at initialization or some hidden "
    "layer is dead; one of the two lasts for ever, and the risk stays above the optimal risk.",
    formula=r"P\left(\inf_n R(\Theta_n) > I(l)\right) \ge 1 - a_H,\quad a_1 = P(\mathrm{Bin}(l_1, p_1) < m),\quad "
    r"a_2, \dots, a_H \text{ by the recursion of T10, T14, T15, T16, T18 or T19}",
    proof="theorems/proofs/width.md#t12",
    not_covered="What the base theorem (T10; T14, T15, T18 for zero biases; T16, T19 under decay) and T3 or T4 do not "
    "cover.",
    instance=_instance,
    keeps=((Property.FB, Property.FB), (Property.D, Property.D), (Property.SL, Property.SL)),
    n_instances=lambda problem: problem.architecture.hidden[0],
)
