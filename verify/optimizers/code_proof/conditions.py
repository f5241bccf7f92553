"""What the answer to a comparison says about the numbers compared."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from verify.optimizers.code_proof.element import INFINITY, Element, fresh_key, key_of, key_of_element

__all__ = ["Combination", "Comparison", "Range", "comparison_of", "condition_of", "facts_of", "recall", "remember"]

Range = tuple[float, float, bool]
"""Lower end, upper end, whether NaN is possible."""


@dataclass(frozen=True)
class Comparison:
    """`first name second`, of numbers that have keys. whole: whether they are whole numbers."""

    name: str
    whole: bool
    first: Element
    second: Element


@dataclass(frozen=True)
class Combination:
    """Truth values joined by `and` or `or`, or one turned around by `not`."""

    name: str
    parts: tuple[Element, ...]


_CONDITIONS: dict[int, Comparison | Combination] = {}


def remember(condition: Comparison | Combination, result: Element) -> Element:
    """Name an undecided truth value after its condition."""
    if result.is_constant:
        return result
    inside = (condition.first, condition.second) if isinstance(condition, Comparison) else condition.parts
    keys = [key_of_element(element) for element in inside]
    if all(element.key is None for element in inside):
        return result
    whole = condition.whole if isinstance(condition, Comparison) else None
    key = fresh_key() if None in keys else key_of(("condition", condition.name, whole, tuple(keys)))
    _CONDITIONS[key] = condition
    return Element(result.lo, result.hi, False, None, key)


def condition_of(key: int) -> Comparison | Combination | None:
    """The condition after which a truth value is named."""
    return _CONDITIONS.get(key)


def recall(key: int, condition: Comparison | Combination) -> None:
    """Name a truth value after a condition once more."""
    _CONDITIONS[key] = condition


def comparison_of(element: Element) -> Comparison | None:
    """The comparison that gave a truth value."""
    found = None if element.key is None else _CONDITIONS.get(element.key)
    return found if isinstance(found, Comparison) else None


def facts_of(truth: Element, answer: bool) -> dict[int, Range]:
    """The ranges of the numbers by which a truth value was decided, given what it is."""
    found = None if truth.key is None else _CONDITIONS.get(truth.key)
    if isinstance(found, Comparison):
        return _facts(found, answer)
    if isinstance(found, Combination) and (found.name, answer) in (("and", True), ("or", False)):
        return _together([facts_of(part, answer) for part in found.parts])
    if isinstance(found, Combination) and found.name == "not":
        return facts_of(found.parts[0], not answer)
    return {}


def _together(listed: list[dict[int, Range]]) -> dict[int, Range]:
    facts: dict[int, Range] = {}
    for each in listed:
        for key, (lo, hi, nan) in each.items():
            old = facts.get(key, (-INFINITY, INFINITY, True))
            facts[key] = (lo if lo > old[0] else old[0], hi if hi < old[1] else old[1], nan and old[2])
    return facts


_OPPOSITE = {"lt": "ge", "le": "gt", "gt": "le", "ge": "lt", "eq": "ne", "ne": "eq"}
_TURNED: dict[str, str] = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le", "eq": "eq", "ne": "ne"}


def _facts(comparison: Comparison, answer: bool) -> dict[int, Range]:
    name = comparison.name
    # A comparison with NaN is false, and `!=` true: those answers do not exclude NaN.
    nan = answer == (name == "ne")
    name = name if answer else _OPPOSITE[name]
    facts: dict[int, Range] = {}
    for mine, other, relation in (
        (comparison.first, comparison.second, name),
        (comparison.second, comparison.first, _TURNED[name]),
    ):
        if mine.key is not None and not (nan and other.nan):
            facts[mine.key] = _range(mine, other, relation, comparison.whole, nan and mine.nan)
    return facts


def _range(mine: Element, other: Element, relation: str, whole: bool, nan: bool) -> Range:
    """Where a number lies that stands in this relation to some number of `other`."""
    below: Callable[[float], float] = (lambda end: end - 1) if whole else lambda end: math.nextafter(end, -INFINITY)
    above: Callable[[float], float] = (lambda end: end + 1) if whole else lambda end: math.nextafter(end, INFINITY)
    lo, hi = mine.lo, mine.hi
    if relation in ("lt", "le"):
        hi = below(other.hi) if relation == "lt" else other.hi
    elif relation in ("gt", "ge"):
        lo = above(other.lo) if relation == "gt" else other.lo
    elif relation == "eq":
        lo, hi = other.lo, other.hi
    elif other.lo == other.hi:  # not equal to a known number: it may be cut off at an end
        lo = above(lo) if lo == other.lo else lo
        hi = below(hi) if hi == other.lo else hi
    return lo, hi, nan
