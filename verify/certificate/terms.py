"""Sympy expressions as terms of a certificate (FORMAT.md, section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import sympy

__all__ = ["CannotBeWritten", "Json", "integer_power", "name_of", "ratio", "term_of"]

Json = Any

MAX_DIGITS, MAX_CHARACTERS, MAX_EXPONENT = 2600, 4000, 10**6
RESERVED = frozenset({"pi", "e", "p_1", "tau", "sigma_x", "r_0", "R", "c_0", "nu_0"})
FUNCTIONS: dict[Any, str] = {sympy.exp: "exp", sympy.log: "log", sympy.atan: "atan", sympy.erf: "erf"}


class CannotBeWritten(Exception):
    """The format has no term for this expression, or a number in it is too long."""


def ratio(value: Fraction) -> str:
    """Write an exact number as the format wants it: "p/q" in lowest terms, "p" for integers.

    Fails: CannotBeWritten if it is too long.
    """
    if max(abs(value.numerator).bit_length(), value.denominator.bit_length()) > 3.3 * MAX_DIGITS:
        raise CannotBeWritten("a number has too many digits")
    text = str(value)
    if max(map(len, text.lstrip("-").split("/"))) > MAX_DIGITS or len(text) > MAX_CHARACTERS:
        raise CannotBeWritten("a number has too many digits")
    return text


def name_of(symbol: sympy.Symbol, quantities: frozenset[sympy.Symbol]) -> str:
    """The name of a quantity, or of a variable, which must not look like a quantity or a constant."""
    name = str(symbol)
    return f"{name}_" if symbol not in quantities and name in RESERVED else name


def term_of(expression: sympy.Expr, names: Mapping[sympy.Symbol, str]) -> Json:
    """Write an expression whose free symbols are among `names`.

    Fails: CannotBeWritten for functions that the format does not know, and for numbers that are too long.
    """
    if expression.is_Symbol:
        return names[expression]
    if expression.is_Rational:
        return _number(Fraction(int(expression.p), int(expression.q)))
    if expression is sympy.pi:
        return "pi"
    if expression is sympy.E:
        return "e"
    if expression.is_Mul:
        return _product(expression, names)
    if expression.is_Pow:
        return _power(expression, names)
    if expression.func is sympy.betainc_regularized:
        return _tail(expression, names)
    operation = {True: "add"}.get(expression.is_Add) or _extremum(expression) or FUNCTIONS.get(expression.func)
    if operation is None:
        raise CannotBeWritten(f"there is no term for {expression.func.__name__}")
    return [operation, *(term_of(part, names) for part in expression.args)]


def _extremum(expression: sympy.Expr) -> str | None:
    if isinstance(expression, sympy.Max):
        return "max"
    return "min" if isinstance(expression, sympy.Min) else None


def _number(value: Fraction) -> Json:
    """Write an exact number; the sign probabilities of very wide layers as powers of 2."""
    try:
        return ratio(value)
    except CannotBeWritten:
        exponent = value.denominator.bit_length() - 1
        if value.denominator != 1 << exponent or exponent > MAX_EXPONENT or not 0 < value < 1:
            raise
    unit: Json = ["pow", "2", -exponent]
    if value.numerator.bit_length() < 64:
        return unit if value.numerator == 1 else ["mul", str(value.numerator), unit]
    missing = value.denominator - value.numerator
    if missing.bit_length() < 64:
        return ["sub", "1", unit if missing == 1 else ["mul", str(missing), unit]]
    raise CannotBeWritten("a number has too many digits")


def _product(expression: sympy.Expr, names: Mapping[sympy.Symbol, str]) -> Json:
    """One quotient of products; a negative power is a factor below the line."""
    above: list[sympy.Expr] = []
    below: list[sympy.Expr] = []
    for factor in expression.args:
        negative = factor.is_Pow and factor.exp.is_Rational and factor.exp < 0
        (below if negative else above).append(1 / factor if negative else factor)
    top, bottom = ([term_of(factor, names) for factor in factors] for factors in (above, below))
    over = (["mul", *top] if len(top) > 1 else top[0]) if top else "1"
    if not bottom:
        return over
    return ["div", over, ["mul", *bottom] if len(bottom) > 1 else bottom[0]]


def _power(expression: sympy.Expr, names: Mapping[sympy.Symbol, str]) -> Json:
    base, exponent = expression.base, expression.exp
    if exponent.is_Integer:
        return integer_power(term_of(base, names), int(exponent))
    if exponent.is_Rational and exponent.q == 2:
        return integer_power(["sqrt", term_of(base, names)], int(exponent.p))
    return _named_power(base, exponent, names)


def integer_power(base: Json, exponent: int) -> Json:
    """`base^exponent`, a first power and a reciprocal in their plain form."""
    if abs(exponent) > MAX_EXPONENT:
        raise CannotBeWritten("an exponent is too large")
    if exponent < 0:
        return ["div", "1", integer_power(base, -exponent)]
    return base if exponent == 1 else ["pow", base, exponent]


def _named_power(base: sympy.Expr, exponent: sympy.Expr, names: Mapping[sympy.Symbol, str]) -> Json:
    """`base^(c n + d)` as `(base^c)^n base^d`, for a name n of whole numbers."""
    symbols = exponent.free_symbols
    linear = sympy.Poly(exponent, *symbols) if len(symbols) == 1 else None
    if linear is None or linear.degree() != 1 or not all(c.is_Integer for c in linear.all_coeffs()):
        raise CannotBeWritten("there is no term for a power with this exponent")
    factor, shift = (int(c) for c in linear.all_coeffs())
    name = names[next(iter(symbols))]
    if name in RESERVED:
        raise CannotBeWritten("an exponent is a quantity")
    powered: Json = ["pow", term_of(base**factor, names), name]
    return powered if shift == 0 else ["mul", powered, term_of(base**shift, names)]


def _tail(expression: sympy.Expr, names: Mapping[sympy.Symbol, str]) -> Json:
    """`I_p(k, n - k + 1) = P(Bin(n, p) >= k)`."""
    k, rest, low, p = expression.args
    if low != 0 or not (k.is_Integer and rest.is_Integer and k > 0 and rest > 0):
        raise CannotBeWritten("there is no term for this incomplete beta function")
    return ["tail", int(k + rest - 1), int(k), term_of(p, names)]
