"""Signs of expressions, by structure alone: no numerical evaluation, so that a sign that is found is proved."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import sympy
from sympy import Expr

__all__ = ["differ", "nonnegative", "nonzero", "positive"]


# A sign is a pair (lowest, highest) out of -1, 0, 1: (0, 1) is non-negative, (1, 1) positive, None unknown.
Sign = tuple[int, int] | None


@functools.lru_cache(maxsize=4096)
def positive(expression: Expr) -> bool:
    """Whether the expression is proved to be positive wherever its symbols obey their assumptions."""
    return any(_sign(form) == (1, 1) for form in _forms(expression))


@functools.lru_cache(maxsize=4096)
def nonnegative(expression: Expr) -> bool:
    """Whether the expression is proved to be at least 0 wherever its symbols obey their assumptions."""
    return any((found := _sign(form)) is not None and found[0] >= 0 for form in _forms(expression))


def nonzero(expression: Expr) -> bool:
    """Whether the expression is proved to differ from 0; a sum of two terms also by their squares."""
    if positive(expression) or positive(-expression):
        return True
    terms = sympy.Add.make_args(expression)
    squares = sympy.expand(terms[0] ** 2 - terms[1] ** 2) if len(terms) == 2 else sympy.Integer(0)
    return positive(squares) or positive(-squares)


def differ(one: Expr, other: Expr) -> bool:
    """Whether two expressions are proved to differ: themselves, their inverses, or the squares of the inverses."""
    if one.is_Rational and other.is_Rational:
        return bool(one != other)
    if nonzero(one) and nonzero(other):
        inverse, other_inverse = 1 / one, 1 / other
        squares = sympy.expand(inverse**2) - sympy.expand(other_inverse**2)
        return nonzero(inverse - other_inverse) or nonzero(squares) or nonzero(one - other)
    return nonzero(one - other)


def _forms(expression: Expr) -> Iterator[Expr]:
    """The expression as it is, and as a quotient of sums of products."""
    yield expression
    if expression.free_symbols and not expression.is_Atom:
        together = sympy.together(expression)
        above, below = sympy.fraction(together)
        yield sympy.expand(above) / sympy.expand(below)


@functools.lru_cache(maxsize=16384)
def _sign(expression: Expr) -> Sign:
    if expression.is_Rational:
        value = int(sympy.sign(expression))
        return value, value
    if expression.is_Symbol:
        return _of_symbol(expression)
    parts = [_sign(part) for part in expression.args]
    match expression:
        case sympy.Add():
            return _of_sum(parts)
        case sympy.Mul():
            return functools.reduce(_times, parts)
        case sympy.Pow():
            return _of_power(parts[0], expression.exp)
        case sympy.Max():
            known = [part for part in parts if part is not None]
            lowest = max((part[0] for part in known), default=-1)
            return (lowest, 1) if lowest >= 0 else None
        case sympy.Min():
            known = [part for part in parts if part is not None]
            return (min(part[0] for part in known), 1) if len(known) == len(parts) else None
        case sympy.Abs():
            return (1, 1) if parts[0] in ((1, 1), (-1, -1)) else (0, 1)
    return None


def _of_symbol(symbol: Expr) -> Sign:
    if symbol.is_positive:
        return 1, 1
    if symbol.is_nonnegative:
        return 0, 1
    if symbol.is_negative:
        return -1, -1
    return None


def _of_sum(parts: list[Sign]) -> Sign:
    lows, highs = [p[0] if p else -1 for p in parts], [p[1] if p else 1 for p in parts]
    if min(lows) >= 0:
        return max(lows), max(highs)
    if max(highs) <= 0:
        return min(lows), min(highs)
    return None


def _times(one: Sign, other: Sign) -> Sign:
    if (0, 0) in (one, other):
        return 0, 0
    if one is None or other is None:
        return None
    corners = [a * b for a in one for b in other]
    return min(corners), max(corners)


def _of_power(base: Sign, exponent: Expr) -> Sign:
    if not exponent.is_Rational:
        return None
    if base == (1, 1):
        return 1, 1
    if exponent.is_Integer and exponent > 0:
        if exponent % 2 == 0:
            return (1, 1) if base == (-1, -1) else (0, 1)
        return base
    if exponent.is_Integer and base == (-1, -1):
        return (1, 1) if exponent % 2 == 0 else (-1, -1)
    if exponent > 0 and base is not None and base[0] >= 0:
        return 0, 1
    return None
