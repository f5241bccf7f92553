"""What a search for counterexamples returns: `Tested`, `Violation` or `NotRun`, each with its sentence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from verify.optimizers.falsify.history import History
from verify.optimizers.known import Kind

__all__ = ["Experiment", "Moved", "NotRun", "Outcome", "Rounding", "Tested", "Violation"]


@dataclass(frozen=True)
class Experiment:
    """A change to the counterexample, and what came of it."""

    change: str
    outcome: str


@dataclass(frozen=True)
class Moved:
    """One coordinate, as `float.hex` writes it: `place` is its index in the flattened parameter."""

    parameter: int
    place: int
    before: str
    after: str

    @property
    def sentence(self) -> str:
        """The line that a script prints."""
        return f"parameter {self.parameter}, coordinate {self.place}: {self.before} -> {self.after}"


@dataclass(frozen=True)
class Rounding:
    """A move no larger than rounding (`ulps` units in the last place; 0: only the sign of a zero). Not a violation."""

    ulps: int
    step: int
    moved: tuple[Moved, ...]
    history: History

    kind: ClassVar[Kind] = Kind.ROUNDING

    @property
    def sentence(self) -> str:
        """One sentence for readers."""
        size = f"at most {self.ulps} ulp" if self.ulps else "the sign of a zero"
        return f"rounding only ({size}), at step {self.step}: {self.moved[0].sentence}"


@dataclass(frozen=True)
class Tested:
    """No counterexample in `histories` histories, `steps` steps together.

    stopped: histories that ended before their last step, because numbers left the reals or `step` raised; why_stopped
    names the first such reason. rounding: the largest move within the allowance, if there was one.
    """

    subject: str
    histories: int
    steps: int
    stopped: int
    why_stopped: str
    rounding: Rounding | None

    __test__: ClassVar[bool] = False  # pytest would collect a class of this name

    @property
    def sentence(self) -> str:
        """One sentence for readers."""
        told = f"{self.subject}: tested, no counterexample in {self.histories} histories ({self.steps} steps)"
        if self.stopped:
            told += f", {self.stopped} of which ended early ({self.why_stopped})"
        return told if self.rounding is None else f"{told}; {self.rounding.sentence}"


@dataclass(frozen=True)
class Violation:
    """A counterexample, made small.

    step: the step that moved them (1, 2, ...). evaluation: they moved in the point at which the closure was called (its
    number within the step), not in the result. histories: how many were tried until the first counterexample. script: a
    stand-alone program that prints `moved`, one sentence a line, or empty. about_script: why there is none,
    or that it prints other numbers each time; else empty.
    together: for "acts per coordinate", the history that gives other numbers than `history` does (`moved`: first alone,
    then together).
    """

    subject: str
    kind: Kind
    why: str
    step: int
    evaluation: int | None
    moved: tuple[Moved, ...]
    experiments: tuple[Experiment, ...]
    history: History
    histories: int
    script: str
    about_script: str
    together: History | None = None

    @property
    def sentence(self) -> str:
        """One sentence for readers."""
        where = "" if self.evaluation is None else f", at evaluation {self.evaluation + 1} of the closure"
        return f"{self.subject}: violated at step {self.step}{where} ({self.kind.value}): {self.why}"


@dataclass(frozen=True)
class NotRun:
    """The optimizer could not be tested; `why` is one sentence."""

    subject: str
    why: str

    @property
    def sentence(self) -> str:
        """One sentence for readers."""
        return f"{self.subject}: not run: {self.why}"


Outcome = Tested | Violation | NotRun
