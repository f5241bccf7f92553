"""What an update rule is: a transition system in one coordinate, with the parameter itself among its variables.

With gradient `g_t` at step `t = 1, 2, ...` a rule replaces its states and moves the parameter,
`theta <- theta - lr_t * Phi`. Weight decay enters in one of two ways: *coupled* (L2) decay replaces `g` by
`g + weight_decay * theta`; *decoupled* decay replaces `theta` by `(1 - lr_t * weight_decay) * theta` before the move.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from sympy import Expr, Symbol

__all__ = [
    "DECAY",
    "GRADIENT",
    "LR",
    "THETA",
    "Case",
    "Condition",
    "Decay",
    "Keeps",
    "Over",
    "Rule",
    "State",
    "System",
    "Transition",
    "Update",
]

Settings = Mapping[str, Any]

GRADIENT = Symbol("g", real=True)
THETA = Symbol("theta", real=True)
LR = Symbol("lr", real=True)
DECAY = Symbol("weight_decay", real=True)


class Decay(Enum):
    """How weight decay enters a rule."""

    NONE = "without weight decay"
    COUPLED = "with coupled (L2) weight decay"
    DECOUPLED = "with decoupled weight decay"


class Over(Enum):
    """Which parameters decay: all, or the weights and not the biases (two parameter groups)."""

    ALL = "on all parameters"
    WEIGHTS = "on the weights only"


@dataclass(frozen=True)
class Condition:
    """A side condition on the settings, such as `eps > 0`.

    Symbols: holds decides it for given settings, exactly; cases are substitutions by expressions in sign-constrained
    symbols that together reach every value that the condition admits (`b = p/(1+p)`, `p >= 0`, reaches `[0, 1)`).
    The condition is used in a proof through these substitutions alone.
    """

    text: str
    holds: Callable[[Settings], bool]
    cases: tuple[Mapping[Symbol, Expr], ...]


class Keeps(Enum):
    """What stays true of a state while all gradients of its coordinate are 0."""

    ZERO = "= 0"
    NONNEGATIVE = ">= 0"
    MULTIPLE = "a multiple of theta"
    NOTHING = "anything"


@dataclass(frozen=True)
class State:
    """A state: its start, and what the invariant says of it.

    Symbols: shared states are functions of the step number alone, such as `1 - beta^t`, equal for all coordinates; a
    MULTIPLE is `k theta` with `0 <= k <= bound`, and `k` is equal for all coordinates.
    """

    symbol: Symbol
    start: Expr
    keeps: Keeps
    shared: bool = False
    bound: Expr | None = None

    @property
    def text(self) -> str:
        """The invariant, for readers."""
        if self.keeps is Keeps.MULTIPLE:
            return f"{self.symbol} = k*theta with 0 <= k <= {self.bound}"
        return f"{self.symbol} {self.keeps.value}"


@dataclass(frozen=True)
class Transition:
    """One step: the new states and the new parameter, as functions of the old ones, the gradient and the settings."""

    name: str
    step: Mapping[Symbol, Expr]
    theta: Expr


@dataclass(frozen=True)
class System:
    """States and the transitions among which each step chooses (by the step number alone)."""

    states: tuple[State, ...]
    transitions: tuple[Transition, ...]


@dataclass(frozen=True)
class Update:
    """One branch of a rule without decay: new states, and the move `Phi` without the learning rate."""

    name: str
    step: Mapping[Symbol, Expr]
    move: Expr


def _first(settings: Settings, t: int) -> int:
    return 0


def _no_values(settings: Settings, t: int) -> Mapping[Symbol, Any]:
    return {}


@dataclass(frozen=True, eq=False)
class Rule:
    """An update rule: its recursion, the side conditions that its proofs may use, and the settings that it covers.

    Symbols: plain gives the settings (with these values) outside which the recursion is another one; decoupled tells
    that weight decay is decoupled, whatever the settings say; shrinking and scaling are the further conditions under
    which coupled decay is known to multiply untouched parameters by a common factor in [0, 1], or >= 0, with bounds
    for the states that are then multiples of theta; values and branch give, at step t, numbers for the symbols of the
    recursion and the number of the transition taken; patience is how many steps of zero gradients a counterexample
    is looked for.
    """

    id: str
    recursion: str
    conditions: tuple[Condition, ...]
    states: tuple[State, ...]
    update: Callable[[Expr], tuple[Update, ...]]
    plain: Mapping[str, object] = field(default_factory=dict)
    decays: tuple[Decay, ...] = (Decay.COUPLED,)
    shrinking: tuple[Condition, ...] | None = None
    scaling: tuple[Condition, ...] | None = None
    bounds: Mapping[Symbol, Expr] = field(default_factory=dict)
    values: Callable[[Settings, int], Mapping[Symbol, Any]] = _no_values
    branch: Callable[[Settings, int], int] = _first
    patience: int = 1

    @property
    def decoupled(self) -> bool:
        """Whether its weight decay is always decoupled."""
        return self.decays == (Decay.DECOUPLED,)

    def system(self, decay: Decay) -> System:
        """Build the transition system with this kind of decay."""
        coupled, decoupled = decay is Decay.COUPLED, decay is Decay.DECOUPLED
        gradient = GRADIENT + DECAY * THETA if coupled else GRADIENT
        kept = (1 - LR * DECAY) * THETA if decoupled else THETA
        states = tuple(
            replace(state, keeps=Keeps.MULTIPLE, bound=self.bounds[state.symbol])
            if coupled and state.symbol in self.bounds
            else state
            for state in self.states
        )
        branches = self.update(gradient)
        return System(states, tuple(Transition(b.name, b.step, kept - LR * b.move) for b in branches))


@dataclass(frozen=True)
class Case:
    """A rule with a kind of decay, on all parameters or on the weights only."""

    rule: Rule
    decay: Decay = Decay.NONE
    over: Over = Over.ALL

    @property
    def text(self) -> str:
        """The case in words."""
        where = "" if self.decay is Decay.NONE else f" {self.over.value}"
        return f"{self.rule.id} {self.decay.value}{where}"
