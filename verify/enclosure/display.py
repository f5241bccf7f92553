"""Numbers for people, rounded in the safe direction: a lower bound down, an upper bound up."""

from __future__ import annotations

import math
from fractions import Fraction

__all__ = ["at_least", "at_most", "float_down", "float_up"]


def float_down(value: Fraction) -> float:
    """Return the largest float `<= value`."""
    nearest = value.numerator / value.denominator
    return math.nextafter(nearest, -math.inf) if Fraction(nearest) > value else nearest


def float_up(value: Fraction) -> float:
    """Return the smallest float `>= value`."""
    return -float_down(-value)


def at_least(value: Fraction, digits: int = 4) -> str:
    """Write a lower bound with `digits` decimals, rounded down; numbers near 1 keep enough nines not to lie.

    0.99999973 becomes "0.9999997", never "1.0000"; 1 itself becomes "1".
    """
    return _decimal(value, digits, up=False)


def at_most(value: Fraction, digits: int = 4) -> str:
    """Write an upper bound with `digits` decimals, rounded up; positive numbers never become "0"."""
    return _decimal(value, digits, up=True)


def _decimal(value: Fraction, digits: int, *, up: bool) -> str:
    if value.denominator == 1:
        return str(value.numerator)
    digits += _leading_zeros(abs(value)) + _leading_zeros(abs(1 - value))
    scaled = value * 10**digits
    whole = math.ceil(scaled) if up else math.floor(scaled)
    sign = "-" if whole < 0 else ""
    integer, fraction = divmod(abs(whole), 10**digits)
    return f"{sign}{integer}.{fraction:0{digits}d}"


def _leading_zeros(value: Fraction) -> int:
    """Number of decimals needed before the first non-zero digit of a positive number, at most 60."""
    count = 0
    while value < Fraction(1, 10**2) and count < 60:
        value *= 10
        count += 1
    return count
