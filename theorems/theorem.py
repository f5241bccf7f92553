"""What a theorem is: statement, hypotheses, bound, event, rate, proof reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import sympy

from theorems.bounds import Bound
from theorems.hypotheses import Hypothesis
from theorems.problem import Problem

__all__ = ["CLAIMS", "Event", "EventKind", "ForcedRisk", "Instance", "Rate", "Theorem"]

CLAIMS: dict[str, str] = {
    "C1": "For a large class of SGD methods in data-driven supervised learning with ReLU networks, the optimizer with "
    "high probability does not converge to global minimizers.",
    "C2": "The probability of non-convergence tends to 1 at least exponentially fast as the width of the first hidden "
    "layer grows.",
    "C3": "The probability of non-convergence tends to 1 at least exponentially fast as the depth grows.",
    "C4": "The class contains standard SGD, momentum SGD, Nesterov accelerated SGD, Adagrad, RMSProp, Adam, Adamax, "
    "AMSGrad and Nadam.",
}


class EventKind(Enum):
    """What a theorem bounds the probability of, at initialization (math §8, structural events)."""

    DEAD_LAYER = "some hidden layer is dead"
    STRUCTURALLY_DEAD_LAYER = "some hidden layer is structurally dead"
    DEAD_FIRST_LAYER_NEURONS = "first-layer neurons are dead"


@dataclass(frozen=True)
class Event:
    """An event at initialization that the hypotheses make permanent.

    A hidden layer is dead (permanent under (FB), Lemma 2) or structurally dead, by dead inputs and signs alone
    (permanent under weaker properties, Lemma 3), or at least `count` first-layer neurons are dead (Lemma 1).
    """

    kind: EventKind
    count: int = 1

    def __str__(self) -> str:
        if self.kind is EventKind.DEAD_LAYER:
            return "a dead hidden layer"
        if self.kind is EventKind.STRUCTURALLY_DEAD_LAYER:
            return "a structurally dead hidden layer"
        return f"at least {self.count} dead first-layer neuron{'s' if self.count > 1 else ''}"


@dataclass(frozen=True)
class ForcedRisk:
    """What the event forces on the risk of every later network.

    `first_width` None: the output is constant on the data, so the risk is at least `nu + V` (Lemma 4).
    Otherwise the risk is at least the optimal risk of the network with that first width (Lemma 5); 0 means constant.
    """

    first_width: int | None


@dataclass(frozen=True)
class Rate:
    """Exponential rate at which the bound of the complement decays as the network grows, in `P_DEAD` and constants.

    Given only where the growth that `per` names changes nothing else in the bound, or in the limit (T10).
    """

    expression: sympy.Expr
    per: str


@dataclass(frozen=True)
class Instance:
    """A theorem put to one problem: what must hold, and the bound that then holds."""

    hypotheses: tuple[Hypothesis, ...]
    bound: Callable[[], Bound]
    event: Event
    forced: ForcedRisk
    rate: Rate | None


@dataclass(frozen=True)
class Theorem:
    """A theorem of math §5.

    There are `n_instances(problem) >= 1` ways of putting it to a problem, `instance(problem, i)`, best bound first;
    along them statuses only improve (fails, unknown, holds), and the first whose hypotheses all hold counts. `bound` of
    an instance may be asked for only if the initialization is independent.
    """

    id: str
    title: str
    claims: tuple[str, ...]
    statement: str
    formula: str
    proof: str
    not_covered: str
    instance: Callable[[Problem, int], Instance]
    n_instances: Callable[[Problem], int] = lambda problem: 1
