"""Every way a step can take: where the code branches on an unknown number, both branches are run.

A run asks the current `Path`; `every_path` repeats the run with each combination of answers. What an answer says about
the numbers in the question (`x < 5` was true) narrows them for the rest of that path.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from verify.optimizers.code_proof.arithmetic import Arithmetic
from verify.optimizers.code_proof.conditions import Range
from verify.optimizers.code_proof.element import INFINITY
from verify.optimizers.code_proof.plain import max, min
from verify.optimizers.code_proof.refusal import ImpossiblePath, NoProof, source_line

__all__ = ["Path", "current_path", "every_path"]

T = TypeVar("T")

LONGEST = 400


@dataclass
class Path:
    """The answers given on one run. known: what they say about numbers, by key."""

    arithmetic: Arithmetic
    prescribed: tuple[int, ...] = ()
    taken: list[tuple[int, int]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    known: dict[int, Range] = field(default_factory=dict)
    answers: dict[Hashable, int] = field(default_factory=dict)

    def choose(self, options: int, question: Hashable) -> int:
        """Answer a question; the same question gets the same answer on the whole path."""
        if question in self.answers:
            return self.answers[question]
        position = len(self.taken)
        if position >= LONGEST:
            raise NoProof("the code branches too often on unknown numbers")
        answer = self.prescribed[position] if position < len(self.prescribed) else 0
        self.taken.append((answer, options))
        self.lines.append(source_line())
        self.answers[question] = answer
        return answer

    def narrow(self, key: int | None, lo: float, hi: float, nan: bool) -> None:
        """Record that the number with this key lies in a range."""
        if key is None:
            return
        old = self.known.get(key, (-INFINITY, INFINITY, True))
        new = (max(old[0], lo), min(old[1], hi), old[2] and nan)
        if new[0] > new[1] and not new[2]:
            raise ImpossiblePath
        self.known[key] = new if new[0] <= new[1] else (-INFINITY, INFINITY, True)


_CURRENT: list[Path] = []


def current_path() -> Path:
    """The path of the run in progress."""
    if not _CURRENT:
        raise NoProof("an abstract value is used outside the interpreter")
    return _CURRENT[-1]


@contextmanager
def following(path: Path) -> Iterator[None]:
    """Make a path the current one."""
    _CURRENT.append(path)
    try:
        yield
    finally:
        _CURRENT.pop()


def every_path(run: Callable[[Path], T], arithmetic: Arithmetic, limit: int) -> Iterator[tuple[Path, T]]:
    """Run along every path, one after the other; `run` must start from the same state each time.

    Fails: NoProof if there are more paths than the limit.
    """
    waiting: list[tuple[int, ...]] = [()]
    runs = 0
    while waiting:
        path = Path(arithmetic, waiting.pop())
        runs += 1
        if runs > limit:
            where = next(iter(dict.fromkeys(line for line in path.lines if line)), "")
            raise NoProof(f"more than {limit} ways through one step{where and f' (branches at {where}, ...)'}")
        try:
            with following(path):
                result = run(path)
        except ImpossiblePath:
            pass
        else:
            yield path, result
        choices = tuple(answer for answer, _ in path.taken)
        for position in range(len(path.prescribed), len(path.taken)):
            answer, options = path.taken[position]
            waiting.extend((*choices[:position], other) for other in range(answer + 1, options))
