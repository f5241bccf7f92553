"""Makes a counterexample small: fewer steps, fewer gradients, simple numbers, as long as it stays one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from verify.optimizers.falsify.history import History

__all__ = ["reduced"]

Gradients = tuple[tuple[float, ...] | None, ...]


def reduced(history: History, offends: Callable[[History], int | None], trials: int) -> History:
    """Apply every simplification that leaves an offence, until none does or `trials` histories were tried.

    offends: the step of the first offence of a history, None if there is none.
    """
    step = offends(history)
    if step is None:
        return history
    history = replace(history, gradients=history.gradients[:step])
    left = trials
    changed = True
    while changed and left > 0:
        changed = False
        for edit in _edits(history):
            simpler = edit(history)
            if simpler is None or simpler == history:
                continue
            left -= 1
            step = offends(simpler)
            if step is not None:
                history, changed = replace(simpler, gradients=simpler.gradients[:step]), True
            if left <= 0:
                break
    return history


Edit = Callable[[History], History | None]


def _edits(history: History) -> Iterator[Edit]:
    """Simplifications, the boldest first; each applies to the history as it is by then."""
    yield lambda h: replace(h, gradients=tuple(_zero(listed) for listed in h.gradients))
    for step in range(history.steps - 1):
        yield lambda h, step=step: _without_steps(h, step, h.steps - 1)  # type: ignore[misc]
    for step in range(history.steps):
        yield lambda h, step=step: _without_steps(h, step, step + 1)  # type: ignore[misc]
        yield lambda h, step=step: _mapped(h, step, lambda listed: _zero(listed))  # type: ignore[misc]
        yield lambda h, step=step: _mapped(h, step, lambda listed: _simple(listed))  # type: ignore[misc]
    for index, entries in enumerate(history.initial):
        yield lambda h, index=index: _zeroed(h, index, None)  # type: ignore[misc]
        for place in range(len(entries)):
            yield lambda h, index=index, place=place: _zeroed(h, index, place)  # type: ignore[misc]
            for number in (0.0, 1.0, -1.0):
                yield lambda h, index=index, place=place, number=number: _started(h, index, place, number)  # type: ignore[misc]


def _zero(listed: Gradients) -> Gradients:
    return tuple(None if entries is None else (0.0,) * len(entries) for entries in listed)


def _simple(listed: Gradients) -> Gradients:
    """Powers of ten for all gradients."""
    return tuple(None if entries is None else tuple(_power(entry) for entry in entries) for entries in listed)


def _power(entry: float) -> float:
    return 0.0 if entry == 0 else math.copysign(float(f"1e{math.ceil(math.log10(abs(entry)))}"), entry)


def _without_steps(history: History, first: int, end: int) -> History | None:
    left = history.gradients[:first] + history.gradients[end:]
    return replace(history, gradients=left) if left and first < end <= history.steps else None


def _mapped(history: History, step: int, change: Callable[[Gradients], Gradients]) -> History | None:
    if step >= history.steps:
        return None
    gradients = list(history.gradients)
    gradients[step] = change(gradients[step])
    return replace(history, gradients=tuple(gradients))


def _zeroed(history: History, index: int, place: int | None) -> History:
    """Without the gradients of one parameter, or of one entry of it, at all steps."""
    gradients = []
    for listed in history.gradients:
        entries = listed[index]
        if entries is None:
            gradients.append(listed)
            continue
        kept = tuple(0.0 if place in (None, other) else entry for other, entry in enumerate(entries))
        gradients.append((*listed[:index], kept, *listed[index + 1 :]))
    return replace(history, gradients=tuple(gradients))


def _started(history: History, index: int, place: int, number: float) -> History | None:
    """Another initial value; a number is only replaced by a simpler one."""
    old = history.initial[index][place]
    if abs(old) in (0.0, 1.0) and not (abs(old) == 1.0 and number == 0.0):
        return None
    entries = (*history.initial[index][:place], number, *history.initial[index][place + 1 :])
    return replace(history, initial=(*history.initial[:index], entries, *history.initial[index + 1 :]))
