"""How an answer about an optimizer is known, and why a coordinate moved; naming these needs no torch."""

from __future__ import annotations

from enum import Enum

__all__ = ["Kind", "Known"]


class Known(Enum):
    """How the answer to a property is known."""

    SYMBOLIC = "proved symbolically"
    CODE = "proved on the code"
    TESTED = "tested"
    VIOLATED = "violated"
    OPEN = "not known"
    NOT_RUN = "not run"

    @property
    def proved(self) -> bool:
        """Whether it may be used by a theorem."""
        return self in (Known.SYMBOLIC, Known.CODE)

    @property
    def meaning(self) -> str:
        """One sentence for tables and `explain`."""
        return _HOW[self]


_HOW = {
    Known.SYMBOLIC: "an induction over the steps of the update rule, carried out with symbols",
    Known.CODE: "the class's own step was interpreted with abstract values that stand for all gradients and states",
    Known.TESTED: "no counterexample was found; this proves nothing, and no theorem uses it",
    Known.VIOLATED: "a trajectory contradicts it; where it can be run, a program shows it",
    Known.OPEN: "neither proved nor violated",
    Known.NOT_RUN: "the optimizer could not be run; the reason is given",
}


class Kind(Enum):
    """Why a coordinate moved that should not have; found by experiments, not by reading names."""

    DECOUPLED_DECAY = "decoupled decay"
    COUPLED_DECAY = "coupled decay"
    NOISE = "noise"
    COUPLING = "coupling across coordinates"
    INITIAL_STATE = "state not starting at zero"
    RESET = "reset"
    ROUNDING = "rounding only"
    NOT_FINITE = "NaN"
    OTHER = "other"

    @property
    def meaning(self) -> str:
        """One sentence for tables and `explain`."""
        return _WHY[self]


_WHY = {
    Kind.DECOUPLED_DECAY: "the step shrinks parameters directly, whatever their gradients",
    Kind.COUPLED_DECAY: "a multiple of the parameter is added to its gradient, and so enters the optimizer's state",
    Kind.NOISE: "random numbers move it: another seed moves it elsewhere",
    Kind.COUPLING: "gradients of other coordinates move it",
    Kind.INITIAL_STATE: "the optimizer's state starts at a value that moves parameters by itself",
    Kind.RESET: "a step of special number (a restart, a look-ahead) moves it",
    Kind.ROUNDING: "real arithmetic would leave it where it is; rounding moves it by a few units in the last place",
    Kind.NOT_FINITE: "it became NaN or infinite",
    Kind.OTHER: "none of the experiments explains it",
}
