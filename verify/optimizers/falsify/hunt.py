"""The search itself: fixed candidates first, then hypothesis, which also shrinks what was found."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

import hypothesis
from hypothesis.errors import Flaky, NoSuchExample, Unsatisfiable
from hypothesis.strategies import SearchStrategy

__all__ = ["hunt"]

Candidate = TypeVar("Candidate")
_SIMPLER = 20  # how many more are tried, for a simpler one, when a fixed candidate was found


def hunt(
    first: Sequence[Candidate],
    strategy: SearchStrategy[Candidate],
    offends: Callable[[Candidate], bool],
    *,
    tries: int,
    seed: int,
) -> Candidate | None:
    """A candidate that offends, a simple one if possible; None if none of `tries` does.

    The first candidate that offended is returned if hypothesis finds that `offends` does not repeat itself. Nothing is
    kept on disk.
    """
    found: list[Candidate] = []

    def condition(candidate: Candidate) -> bool:
        offending = offends(candidate)
        if offending and not found:
            found.append(candidate)
        return offending

    any(condition(candidate) for candidate in first[:tries])
    left = _SIMPLER if found else tries - len(first)
    if left <= 0:
        return None
    options = hypothesis.settings(
        max_examples=left,
        deadline=None,
        database=None,
        derandomize=False,
        print_blob=False,
        verbosity=hypothesis.Verbosity.quiet,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
    )
    try:
        return hypothesis.find(strategy, condition, settings=options, random=random.Random(seed))
    except (NoSuchExample, Unsatisfiable, Flaky):  # Flaky: an optimizer that draws random numbers of its own
        return found[0] if found else None
