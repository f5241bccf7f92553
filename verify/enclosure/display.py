"""Numbers for people, rounded in the safe direction: a lower bound down, an upper bound up."""

from __future__ import annotations

import math
import sys
from fractions import Fraction

__all__ = ["at_least", "at_most", "float_down", "float_up"]

MOST_NINES = 12
LARGEST_PLAIN = 10**400


def float_down(value: Fraction) -> float:
    """Return the largest float `<= value`, minus infinity below all floats."""
    try:
        nearest = value.numerator / value.denominator
    except OverflowError:
        return sys.float_info.max if value > 0 else -math.inf
    return math.nextafter(nearest, -math.inf) if Fraction(nearest) > value else nearest


def float_up(value: Fraction) -> float:
    """Return the smallest float `>= value`, infinity above all floats."""
    return 0.0 - float_down(-value)


def at_least(value: Fraction, digits: int = 4) -> str:
    """Write a lower bound with about `digits` digits, rounded down; numbers near 1 keep enough nines not to lie.

    0.99999973 becomes "0.99999973", never "1.0000"; 1 itself becomes "1"; small numbers become "2.307e-14", and
    numbers with more than twelve nines are written by their complement, "1 - 2.307e-14".
    """
    return _decimal(value, digits, up=False)


def at_most(value: Fraction, digits: int = 4) -> str:
    """Write an upper bound with about `digits` digits, rounded up; positive numbers never become "0"."""
    return _decimal(value, digits, up=True)


def _decimal(value: Fraction, digits: int, *, up: bool) -> str:
    if abs(value) >= LARGEST_PLAIN:
        return _large(value, digits, up=up)
    if value.denominator == 1:
        return str(value.numerator)
    if 0 < 1 - value < Fraction(1, 10**MOST_NINES):
        return f"1 - {_decimal(1 - value, digits, up=not up)}"
    zeros = _leading_zeros(abs(value))
    places = digits + zeros + max(0, _leading_zeros(abs(1 - value)) - 1)
    scaled = value * 10**places
    whole = math.ceil(scaled) if up else math.floor(scaled)
    sign = "-" if whole < 0 else ""
    if zeros > 2 and whole:
        return f"{sign}{_scientific(abs(whole), places)}"
    integer, fraction = divmod(abs(whole), 10**places)
    return f"{sign}{integer}.{fraction:0{places}d}"


def _large(value: Fraction, digits: int, *, up: bool) -> str:
    """Write a number from LARGEST_PLAIN on as "d.ddde+n" without ever writing out all of its digits."""
    size = abs(value)
    exponent = int((size.numerator.bit_length() - size.denominator.bit_length()) * 0.30103)
    while size >= Fraction(10) ** (exponent + 1):
        exponent += 1
    while size < Fraction(10) ** exponent:
        exponent -= 1
    scaled = value / Fraction(10) ** (exponent - digits)
    whole = math.ceil(scaled) if up else math.floor(scaled)
    written = str(abs(whole))
    return f"{'-' if whole < 0 else ''}{written[0]}.{written[1:]}e+{exponent - digits + len(written) - 1}"


def _scientific(whole: int, places: int) -> str:
    """Write `whole * 10^-places` as "d.ddde-n"; nothing is rounded here."""
    written = str(whole)
    return f"{written[0]}.{written[1:] or '0'}e{len(written) - 1 - places}"


def _leading_zeros(value: Fraction) -> int:
    """Number of zeros after the decimal point before the first other digit; 0 for 0 and for numbers from 0.1 on."""
    if value == 0 or value >= Fraction(1, 10):
        return 0
    bits = value.denominator.bit_length() - value.numerator.bit_length() - 1
    count = max(int(bits * 0.30102) - 1, 0)  # a safe start: log10(2) is a little more
    while value * 10 ** (count + 1) < 1:
        count += 1
    return count
