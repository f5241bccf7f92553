"""Lengths in balls, rounded upward."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction

from verify.enclosure.arb import Ball, ball, refine

__all__ = ["RELATIVE_BITS", "rounded_up", "square_sum"]

RELATIVE_BITS = 40


def rounded_up(compute: Callable[[], Ball]) -> Fraction:
    """Upper end of an enclosure of a number `>= 0`, larger than it by at most a factor `1 + 2^-40`.

    Rigour:   upward. Fails: Undecidable if no precision gives such an enclosure.
    """
    return refine(compute, lambda found: found.width * 2**RELATIVE_BITS <= found.lo, "a length", exact=True).hi


def square_sum(entries: Iterable[Ball]) -> Ball:
    """The sum of the squares; only inside the `compute` of `refine`."""
    total = ball(Fraction(0))
    for entry in entries:
        total += entry * entry
    return total
