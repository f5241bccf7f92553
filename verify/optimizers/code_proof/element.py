"""What is known of one number: an interval, perhaps NaN, and how it depends on the parameter under test.

An `Element` stands for a set of floating-point numbers (its *concretization*): those in `[lo, hi]`, infinities
included where an end is infinite, NaN where `nan` is set, and of these only the ones that satisfy `link`. Every rule of
the interpreter maps elements to an element that contains all results; it may contain more, never less. The sign of a
zero is not tracked: 0 stands for both zeros.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from itertools import count
from typing import Final

import torch

from verify.optimizers.code_proof.plain import isinf, max, min

__all__ = [
    "ONE",
    "TOP",
    "ZERO",
    "Bound",
    "Element",
    "Format",
    "Multiple",
    "any_of",
    "anything",
    "constant",
    "element_of",
    "format_of",
    "fresh_key",
    "identifier_of",
    "join",
    "key_of",
    "key_of_element",
    "key_of_factor",
    "key_of_value",
    "real",
    "widened",
]

INFINITY: Final = math.inf
SMALLEST: Final = math.ldexp(1.0, -1074)


Bound = Fraction | float
"""An end of a range of factors: a fraction, or one of the two infinities (then the factor is real, but not bounded)."""


@dataclass(frozen=True, slots=True)
class Multiple:
    """The number is `c` times the value that the tested coordinate had at the start of the step.

    low, high: `low <= c <= high`, in exact arithmetic (rounding of the products set aside).
    key: equal keys mean equal factors, also between coordinates; None when nothing is known.
    same: the number *is* that value, bit for bit (up to the sign of a zero); then `c = 1`.
    """

    coordinate: int
    low: Bound
    high: Bound
    key: int | None
    same: bool


@dataclass(frozen=True, slots=True)
class Element:
    """The set of numbers described above. key: equal keys mean equal numbers; None when nothing is known."""

    lo: float
    hi: float
    nan: bool = False
    link: Multiple | None = None
    key: int | None = None

    @property
    def is_finite(self) -> bool:
        """Whether neither NaN nor an infinity is possible."""
        return not self.nan and self.lo > -INFINITY and self.hi < INFINITY

    @property
    def is_constant(self) -> bool:
        """Whether exactly one finite number is possible (a zero of either sign counts as one)."""
        return self.lo == self.hi and self.is_finite

    @property
    def is_zero(self) -> bool:
        """Whether the number is certainly 0."""
        return self.lo == 0 and self.hi == 0 and not self.nan

    @property
    def may_be_zero(self) -> bool:
        """Whether 0 is possible."""
        return self.lo <= 0 <= self.hi

    @property
    def may_be_infinite(self) -> bool:
        """Whether an infinity is possible."""
        return self.lo == -INFINITY or self.hi == INFINITY

    @property
    def is_same(self) -> bool:
        """Whether the number is the start value of a tested coordinate."""
        return self.link is not None and self.link.same

    def bare(self) -> Element:
        """The same interval, without what is known beyond it."""
        return Element(self.lo, self.hi, self.nan)

    def unlinked(self) -> Element:
        """The same, without how it depends on a tested coordinate."""
        return self if self.link is None else Element(self.lo, self.hi, self.nan, None, self.key)

    def contains(self, number: float) -> bool:
        """Whether the interval part admits this number."""
        return self.nan if math.isnan(number) else self.lo <= number <= self.hi

    def includes(self, other: Element) -> bool:
        """Whether every number of `other` is one of this element; `heap.names_included` compares names of factors."""
        if not (self.lo <= other.lo and other.hi <= self.hi and (self.nan or not other.nan)):
            return False
        if self.key is not None and self.key != other.key:
            return False
        return self.link is None or _link_includes(self.link, other.link)


def _link_includes(weak: Multiple, strong: Multiple | None) -> bool:
    if strong is None or strong.coordinate != weak.coordinate:
        return False
    if weak.same:
        return strong.same
    return weak.low <= strong.low and strong.high <= weak.high


ZERO: Final = Element(0.0, 0.0)
ONE: Final = Element(1.0, 1.0)
TOP: Final = Element(-INFINITY, INFINITY, True)


@dataclass(frozen=True, slots=True)
class Format:
    """A torch dtype as a set of numbers: precision in bits, exponent of the smallest number, largest number."""

    dtype: torch.dtype
    floating: bool
    precision: int
    smallest: int
    minimum: float
    maximum: float

    def down(self, number: float) -> float:
        """The largest number of this format at most `number` (-inf below the range)."""
        return self._directed(number, math.floor, -INFINITY, self.maximum)

    def up(self, number: float) -> float:
        """The smallest number of this format at least `number` (inf above the range)."""
        return self._directed(number, math.ceil, self.minimum, INFINITY)

    def _directed(self, number: float, rounding: object, below: float, above: float) -> float:
        if isinf(number) or number == 0 or self.precision == 53:
            return number
        if number > self.maximum:
            return above
        if number < self.minimum:
            return below
        _, exponent = math.frexp(number)
        quantum = max(exponent - self.precision, self.smallest)
        scaled = math.ldexp(number, -quantum)
        return math.ldexp(float(math.floor(scaled) if rounding is math.floor else math.ceil(scaled)), quantum)

    def nearest(self, number: float) -> float:
        """Round to nearest, ties to even, as a conversion to this format does."""
        low, high = self.down(number), self.up(number)
        if low == high:
            return low
        if isinf(low) or isinf(high):
            return float(torch.tensor(number, dtype=torch.float64).to(self.dtype))
        if number - low != high - number:
            return low if number - low < high - number else high
        return float(torch.tensor(number, dtype=torch.float64).to(self.dtype))


_FLOATS: Final = {
    torch.float64: (53, -1074),
    torch.float32: (24, -149),
    torch.float16: (11, -24),
    torch.bfloat16: (8, -133),
}
_INTEGERS: Final = frozenset({torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8})


@cache
def format_of(dtype: torch.dtype) -> Format | None:
    """The format of a dtype, or None for dtypes that are not interpreted (complex, quantized)."""
    if dtype in _FLOATS:
        precision, smallest = _FLOATS[dtype]
        return Format(dtype, True, precision, smallest, -torch.finfo(dtype).max, torch.finfo(dtype).max)
    if dtype in _INTEGERS:
        info = torch.iinfo(dtype)
        return Format(dtype, False, 53, 0, float(info.min), float(info.max))
    if dtype is torch.bool:
        return Format(dtype, False, 53, 0, 0.0, 1.0)
    return None


def real(form: Format) -> Element:
    """Any finite number of a format."""
    return Element(form.minimum, form.maximum)


def anything(form: Format) -> Element:
    """Any number of a format, NaN and infinities included if it has them."""
    return TOP if form.floating else real(form)


def constant(number: float) -> Element:
    """Exactly this number. NaN and infinities become the interval that holds them."""
    if math.isnan(number):
        return TOP
    return Element(number, number)


def any_of(elements: Iterable[Element]) -> Element:
    """The join of at least one element."""
    found = list(elements)
    result = found[0]
    for element in found[1:]:
        result = join(result, element)
    return result


def join(first: Element, second: Element) -> Element:
    """The smallest element that contains both."""
    if first == second:
        return first
    return Element(
        min(first.lo, second.lo),
        max(first.hi, second.hi),
        first.nan or second.nan,
        _joined_link(first.link, second.link),
        first.key if first.key == second.key else None,
    )


def _joined_link(first: Multiple | None, second: Multiple | None) -> Multiple | None:
    if first is None or second is None or first.coordinate != second.coordinate:
        return None
    return Multiple(
        first.coordinate,
        min(first.low, second.low),
        max(first.high, second.high),
        first.key if first.key == second.key else None,
        first.same and second.same,
    )


def widened(old: Element, new: Element, ends: tuple[float, float]) -> Element:
    """An element that contains both, reached from `old` in finitely many widenings whatever the `new` ones are.

    ends: the least and the greatest number to widen to, while infinities are not possible.
    """
    both = join(old, new)
    thresholds = (-INFINITY, ends[0], -1.0, -SMALLEST, 0.0, SMALLEST, 1.0, ends[1], INFINITY)
    lo = both.lo if both.lo == old.lo else max(end for end in thresholds if end <= both.lo)
    hi = both.hi if both.hi == old.hi else min(end for end in thresholds if end >= both.hi)
    return Element(lo, hi, both.nan, _widened_link(old.link, both.link), both.key)


# Factors are widened to these: a range around 1 that repeats is found, and what only stays nonnegative is kept as that.
_FACTORS: Final[tuple[Bound, ...]] = (
    Fraction(0), Fraction(1, 2), 1 - Fraction(1, 1024), Fraction(1), 1 + Fraction(1, 1024), Fraction(2), INFINITY,
)  # fmt: skip


def _widened_link(old: Multiple | None, both: Multiple | None) -> Multiple | None:
    if old is None or both is None or (both.low, both.high) == (old.low, old.high):
        return both
    if both.low < 0:
        return None
    low = both.low if both.low == old.low else max(end for end in _FACTORS if end <= both.low)
    high = both.high if both.high == old.high else min(end for end in _FACTORS if end >= both.high)
    return Multiple(both.coordinate, low, high, both.key, False)


# --- interning: tensors of abstract values hold whole numbers that stand for elements --------------------------------

_ELEMENTS: list[Element] = []
_IDENTIFIERS: dict[Element, int] = {}
_KEYS: dict[Hashable, int] = {}
_FRESH = count(1)


def identifier_of(element: Element) -> int:
    """The whole number that stands for an element in a tensor; 0 stands for `ZERO`."""
    found = _IDENTIFIERS.get(element)
    if found is None:
        found = len(_ELEMENTS)
        _ELEMENTS.append(element)
        _IDENTIFIERS[element] = found
    return found


def element_of(identifier: int) -> Element:
    """The element for which a whole number stands."""
    return _ELEMENTS[identifier]


def key_of(meaning: Hashable) -> int:
    """A short name for what determines a number: equal meanings get equal keys."""
    return _KEYS.setdefault(meaning, len(_KEYS))


def fresh_key() -> int:
    """A key that no other number has."""
    return -next(_FRESH)


def key_of_value(number: Fraction) -> int:
    """The key of a known number."""
    return key_of(("number", number))


def key_of_factor(link: Multiple) -> int | None:
    """The key of the factor, whether it is known itself or only by name."""
    return key_of_value(link.low) if link.low == link.high and isinstance(link.low, Fraction) else link.key


def key_of_element(element: Element) -> int | None:
    """The key of the number, whether it is known itself or only by name; None if nothing determines it."""
    return key_of_value(Fraction(element.lo)) if element.is_constant else element.key


identifier_of(ZERO)
identifier_of(ONE)
