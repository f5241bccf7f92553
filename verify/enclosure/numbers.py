"""What a number means here: exact, enclosed or estimated.

`Exact` is a fraction. `Enclosure` is a closed interval with rational ends that contains the true value, proved.
`Estimate` is a float with a word on where it comes from; it never enters a bound. There is no conversion between
them that is not a named function.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from typing import NoReturn

__all__ = ["Enclosure", "Estimate", "Exact", "Tri"]

Exact = Fraction


class Tri(Enum):
    """A three-valued answer. Undecided is not no: `bool()` raises, so branch on the members."""

    YES = "yes"
    NO = "no"
    UNDECIDED = "undecided"

    def __bool__(self) -> NoReturn:
        raise TypeError("a three-valued answer has no truth value; compare it with Tri.YES, Tri.NO or Tri.UNDECIDED")

    @classmethod
    def of(cls, answer: bool) -> Tri:
        """Return YES or NO for a decided question."""
        return cls.YES if answer else cls.NO


@dataclass(frozen=True)
class Enclosure:
    """A proved statement `lo <= value <= hi` with exact rational ends.

    Comparisons hold for every pair of points or are undecided; `==` compares the intervals themselves.
    """

    lo: Fraction
    hi: Fraction

    def __post_init__(self) -> None:
        if not isinstance(self.lo, Fraction) or not isinstance(self.hi, Fraction):
            raise TypeError(f"enclosure ends must be fractions, got {self.lo!r} and {self.hi!r}")
        if self.lo > self.hi:
            raise ValueError(f"enclosure [{self.lo}, {self.hi}] is empty")

    @classmethod
    def point(cls, value: Fraction | int) -> Enclosure:
        """Return the enclosure of one exactly known number."""
        exact = Fraction(value)
        return cls(exact, exact)

    @property
    def width(self) -> Fraction:
        """`hi - lo`."""
        return self.hi - self.lo

    def contains(self, value: Fraction | int) -> bool:
        """Whether an exact number lies in the interval."""
        return self.lo <= value <= self.hi

    def meets(self, other: Enclosure) -> bool:
        """Whether two enclosures can be of the same number."""
        return self.lo <= other.hi and other.lo <= self.hi

    def at_most(self, other: Enclosure) -> Tri:
        """Whether this value is `<=` the other one."""
        if self.hi <= other.lo:
            return Tri.YES
        if self.lo > other.hi:
            return Tri.NO
        return Tri.UNDECIDED

    def less_than(self, other: Enclosure) -> Tri:
        """Whether this value is `<` the other one."""
        if self.hi < other.lo:
            return Tri.YES
        if self.lo >= other.hi:
            return Tri.NO
        return Tri.UNDECIDED

    def __bool__(self) -> NoReturn:
        raise TypeError("an enclosure has no truth value")


@dataclass(frozen=True)
class Estimate:
    """A float and where it comes from (a seed, a library); good for display and for guiding a search, nothing else."""

    value: float
    source: str
