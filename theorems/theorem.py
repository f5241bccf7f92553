"""What a theorem is: statement, hypotheses, bound, event, rate, proof reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import sympy

from theorems.bounds import Bound
from theorems.hypotheses import Hypothesis, OptimizerClass, Property, Status
from theorems.problem import Problem

__all__ = [
    "CLAIMS",
    "Corollary",
    "Event",
    "ForcedRisk",
    "Instance",
    "LayerDeath",
    "Rate",
    "Relation",
    "Statement",
    "Theorem",
]

CLAIMS: dict[str, str] = {
    "C1": "For a large class of SGD methods in data-driven supervised learning with ReLU networks, the optimizer with "
    "high probability does not converge to global minimizers.",
    "C2": "The probability of non-convergence tends to 1 at least exponentially fast as the width of the first hidden "
    "layer grows.",
    "C3": "The probability of non-convergence tends to 1 at least exponentially fast as the depth grows.",
    "C4": "The class contains standard SGD, momentum SGD, Nesterov accelerated SGD, Adagrad, RMSProp, Adam, Adamax, "
    "AMSGrad and Nadam.",
}


class Relation(Enum):
    """What a theorem claims of the probability p of its event and its bound B."""

    AT_LEAST = "p >= B"
    AT_MOST = "p <= B"
    EQUAL = "p = B"


class LayerDeath(Enum):
    """In which sense a hidden layer is dead at initialization; each is permanent under other properties (math §3, §5).

    DEAD: no neuron is positive on the data (permanent under (FB), Lemma 2). STRUCTURAL: by dead inputs and signs alone
    (Lemma 3). ROBUST: its envelope over all decays is 0 (T13). JOINT, WEIGHTS: dead at every point of the decay curve
    on which all parameters, or all weights, shrink by one factor (T16).
    """

    DEAD = "dead"
    STRUCTURAL = "structurally dead"
    ROBUST = "robustly dead"
    JOINT = "dead at every common decay"
    WEIGHTS = "dead at every common decay of the weights"


@dataclass(frozen=True)
class Event:
    """An event at initialization that the hypotheses make permanent (math §8, structural events).

    Some hidden layer is dead in the sense of `layer`, or at least `neurons` first-layer neurons are dead; None leaves a
    part out. With `nonpositive_bias` a first-layer neuron counts (for both parts) only if its bias is `<= 0`, as (D)
    demands; ROBUST and WEIGHTS imply that.
    """

    layer: LayerDeath | None = None
    neurons: int | None = None
    nonpositive_bias: bool = False

    def __str__(self) -> str:
        parts = []
        if self.neurons is not None:
            parts.append(f"at least {self.neurons} dead first-layer neuron{'s' if self.neurons > 1 else ''}")
            if self.nonpositive_bias:
                parts[0] += " with bias <= 0"
        if self.layer is not None:
            parts.append(_LAYER_WORDS[self.layer])
            if self.nonpositive_bias and self.layer is LayerDeath.STRUCTURAL:
                parts[-1] += " (first layer: biases <= 0)"
        return " or ".join(parts)


_LAYER_WORDS = {
    LayerDeath.DEAD: "a dead hidden layer",
    LayerDeath.STRUCTURAL: "a structurally dead hidden layer",
    LayerDeath.ROBUST: "a robustly dead hidden layer",
    LayerDeath.JOINT: "a hidden layer dead at every common decay",
    LayerDeath.WEIGHTS: "a hidden layer dead at every common decay of the weights",
}


@dataclass(frozen=True)
class ForcedRisk:
    """What the event forces on the risk of every later network.

    `first_width` None: the output is constant on the data, so the risk is at least `nu + V` (Lemma 4).
    Otherwise the risk is at least the optimal risk of the network with that first width (Lemmas 5, 6); 0 means
    constant. With `or_constant` one of the two holds, and it is not said which (T5, T12).
    """

    first_width: int | None
    or_constant: bool = False

    @property
    def constant(self) -> bool:
        """Whether the output is constant on the data for sure."""
        return self.first_width in (None, 0)


@dataclass(frozen=True)
class Rate:
    """Exponential rate at which the bound of the complement decays as the network grows, in `P_DEAD` and constants.

    Given only where the growth that `per` names changes nothing else in the bound, or in the limit (T10).
    """

    expression: sympy.Expr
    per: str


@dataclass(frozen=True)
class Instance:
    """A theorem put to one problem: what must hold, and the bound that then holds.

    nonpositive_bias: the symbol `P_DEAD` of the bound stands for `p_1' = P(dead and bias <= 0)` (math §5, under (D)).
    forced: None where the event forces nothing that the theorem speaks of (T11a).
    """

    hypotheses: tuple[Hypothesis, ...]
    bound: Callable[[], Bound]
    event: Event
    forced: ForcedRisk | None
    rate: Rate | None
    nonpositive_bias: bool = False


@dataclass(frozen=True)
class Statement:
    """What every entry of the catalogue has: an id, a statement in words and in LaTeX, and its proof."""

    id: str
    title: str
    claims: tuple[str, ...]
    statement: str
    formula: str
    proof: str
    not_covered: str


@dataclass(frozen=True)
class Corollary(Statement):
    """A theorem about what another theorem's bound implies, whatever the bound (T6, T9)."""


@dataclass(frozen=True)
class Theorem(Statement):
    """A theorem of math §5 that can be put to a problem.

    There are `n_instances(problem) >= 1` ways of putting it to a problem, `instance(problem, i)`, best bound first;
    along them statuses only improve (fails, unknown, holds), and the first whose hypotheses all hold counts. `bound` of
    an instance may be asked for only if the initialization is independent.

    keeps: the alternatives of the hypothesis on the optimizer, as in `OptimizerKeepsDead`; none for a theorem about
    initialization alone. relation: what is claimed of the probability of the event.
    """

    instance: Callable[[Problem, int], Instance]
    keeps: tuple[tuple[Property, Property | None], ...]
    n_instances: Callable[[Problem], int] = lambda problem: 1
    relation: Relation = Relation.AT_LEAST

    def remains_under(self, optimizer: OptimizerClass) -> Status:
        """Whether the theorem's hypothesis on the optimizer holds for this class of optimizers."""
        return optimizer.keeps_one_of(self.keeps)[0] if self.keeps else Status.HOLDS
