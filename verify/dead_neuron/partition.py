"""The laws of weights and biases in units of their scale, cut into intervals: masses, means, distribution functions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import sympy

from theorems.laws import Law, Normal, TruncatedNormal, Uniform, Zero
from verify.enclosure import Enclosure, evaluate
from verify.enclosure.arb import Undecidable, normal_density, normal_tail

__all__ = [
    "Interval",
    "are_comparable",
    "cut",
    "deviation",
    "distribution",
    "even_edges",
    "peak_density",
    "reach",
    "scale_ratio",
]

_BITS = 80
_FAR = 16
"""Beyond so many deviations normal tails are below 2^-80 by far, the unit of what is returned."""


@dataclass(frozen=True)
class Interval:
    """One interval of a partition: its ends, its probability, and the mean of the law conditioned on it."""

    low: Fraction
    high: Fraction
    mass: Enclosure
    mean: Enclosure

    @property
    def radius(self) -> Fraction:
        """An upper bound of the distance of the mean from the farther end."""
        return max(self.mean.hi - self.low, self.high - self.mean.lo)


def scale_of(law: Law) -> sympy.Expr:
    """The unit of a law: its half-width, its standard deviation (before truncation), or 0."""
    match law:
        case Uniform(half_width):
            return half_width
        case Normal(scale) | TruncatedNormal(scale):
            return scale
        case Zero():
            return sympy.Integer(0)


def scale_ratio(law: Law, unit: Law) -> Enclosure:
    """Enclose the scale of a law in units of another one's: exactly if the ratio is rational, else to 2^-90 of itself.

    Fails:    Undecidable if the ratio is irrational and below 2^-1400.
    """
    ratio = scale_of(law) / scale_of(unit)
    if ratio.is_Rational:
        return Enclosure.point(Fraction(int(ratio.p), int(ratio.q)))
    for bits in (96, 384, 1536):
        found = _rounded(evaluate(ratio, tolerance=Fraction(1, 2 ** (bits + 4))), bits=bits)
        if found.width * 2**90 <= found.lo:
            return found
    raise Undecidable(f"{ratio}, a ratio of scales, is too small to be enclosed")


def are_comparable(one: Law, other: Law) -> bool:
    """Whether the scales of two laws are within a factor 2^300 of each other, or one of them is 0."""
    sizes = scale_of(one), scale_of(other)
    return 0 in sizes or bool(sympy.Rational(1, 2**300) < sizes[0] / sizes[1] < 2**300)


def reach(law: Law) -> Fraction:
    """Half-length of the interval, in units of the scale, outside which probability is given away or absent."""
    match law:
        case Uniform():
            return Fraction(1)
        case TruncatedNormal():
            return Fraction(2)
        case Normal():
            return Fraction(6)
        case Zero():
            return Fraction(0)


def deviation(law: Law) -> float:
    """Standard deviation in units of the scale; a float, for searches only."""
    return math.sqrt(float(law.variance)) / float(scale_of(law))


def distribution(law: Law, x: Fraction) -> Enclosure:
    """Enclose `P(X <= x)`, `X` in units of the scale of the law."""
    match law:
        case Uniform():
            return Enclosure.point(min(max((1 + x) / 2, Fraction(0)), Fraction(1)))
        case Normal():
            if abs(x) > _FAR:  # the exact tail would be a number of about x^2 digits
                return _probability(_rounded(Enclosure.point(int(x > 0)), spare=1))
            return _probability(_rounded(normal_tail(-x)))
        case TruncatedNormal():
            return _probability(_truncated(x))
        case Zero():
            return Enclosure.point(int(x >= 0))


def _probability(value: Enclosure) -> Enclosure:
    return Enclosure(max(value.lo, Fraction(0)), min(value.hi, Fraction(1)))


@lru_cache(maxsize=4096)
def _truncated(x: Fraction) -> Enclosure:
    if abs(x) >= 2:
        return Enclosure.point(int(x > 0))
    below, ends = normal_tail(-x), normal_tail(Fraction(2))
    return _quotient(Enclosure(below.lo - ends.hi, below.hi - ends.lo), _two_sided_mass())


@lru_cache(maxsize=1)
def _two_sided_mass() -> Enclosure:
    ends = normal_tail(Fraction(2))
    return Enclosure(1 - 2 * ends.hi, 1 - 2 * ends.lo)


def even_edges(law: Law, count: int, *, most: Fraction | None = None) -> tuple[Fraction, ...]:
    """Ends of `count` equally long intervals over the reach of a law, at most from `-most` to `most`."""
    end = reach(law) if most is None else min(reach(law), most)
    return tuple(end * Fraction(2 * k - count, count) for k in range(count + 1))


def cut(law: Law, edges: Sequence[Fraction]) -> tuple[Interval, ...]:
    """Cut a law with a density at increasing points within its reach.

    Rigour:   masses and means are enclosures; what lies outside the first and the last point is in no interval.
    """
    return tuple(_interval(law, low, high) for low, high in itertools.pairwise(edges))


@lru_cache(maxsize=8192)
def _interval(law: Law, low: Fraction, high: Fraction) -> Interval:
    if isinstance(law, Uniform):
        return Interval(low, high, Enclosure.point((high - low) / 2), Enclosure.point((low + high) / 2))
    if low + high > 0:  # from the side where tails are small, so that masses are relatively precise
        mirrored = _interval(law, -high, -low)
        return Interval(low, high, mirrored.mass, Enclosure(-mirrored.mean.hi, -mirrored.mean.lo))
    left, right = normal_tail(-low), normal_tail(-high)
    mass = Enclosure(right.lo - left.hi, right.hi - left.lo)
    at_low, at_high = normal_density(low), normal_density(high)
    mean = _quotient(Enclosure(at_low.lo - at_high.hi, at_low.hi - at_high.lo), mass)
    return Interval(low, high, mass if isinstance(law, Normal) else _quotient(mass, _two_sided_mass()), mean)


def _quotient(numerator: Enclosure, positive: Enclosure) -> Enclosure:
    low = numerator.lo / (positive.hi if numerator.lo >= 0 else positive.lo)
    high = numerator.hi / (positive.lo if numerator.hi >= 0 else positive.hi)
    return _rounded(Enclosure(low, high))


def _rounded(value: Enclosure, *, bits: int = _BITS, spare: int = 0) -> Enclosure:
    """The same with short numbers: outward to multiples of `2^-bits`, and so many multiples more."""
    return Enclosure(
        Fraction(math.floor(value.lo * 2**bits) - spare, 2**bits),
        Fraction(math.ceil(value.hi * 2**bits) + spare, 2**bits),
    )


def peak_density(law: Law, low: Fraction, high: Fraction) -> Fraction:
    """An upper bound of the density of a law between two points, in units of its scale."""
    nearest = max(low, -high, Fraction(0))
    match law:
        case Uniform():
            return Fraction(1, 2)
        case Normal():
            return normal_density(nearest).hi
        case TruncatedNormal():
            return normal_density(nearest).hi / _two_sided_mass().lo
        case Zero():
            raise TypeError("the law concentrated at 0 has no density")
