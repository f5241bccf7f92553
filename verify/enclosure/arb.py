"""The one door to python-flint: rigorous evaluation of symbolic expressions and bounds in Arb ball arithmetic.

Every function returns exact rational ends that provably enclose the value, or raises `Undecidable`; a ball that is not
finite never leaves this module. Precision is an argument, not a setting: flint's own precision is changed only inside
`_precision`, which restores it. It is shared by all threads of a process, so parallel work uses processes.

Known traps of the library, each with a test: a power of a ball around 0 can be NaN (powers here are products); NaN
contains everything; `contains(rational)` asks about a rounded ball (ends are read from mantissa and exponent).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from typing import Any

import flint
import sympy

from verify.enclosure.numbers import Enclosure, Tri

__all__ = [
    "Ball",
    "Undecidable",
    "ball",
    "binomial_tail",
    "compiled",
    "evaluate",
    "exp_of",
    "is_at_most",
    "log_mixture_likelihood",
    "normal_density",
    "normal_tail",
    "polynomial_product",
    "refine",
    "sign_of",
]

Ball = Any  # flint.arb carries no types
Values = Mapping[sympy.Symbol, Fraction | Enclosure]

START_BITS = 64
CEILING_BITS = 8192
TOLERANCE = Fraction(1, 2**48)


class Undecidable(ArithmeticError):
    """The precision ceiling was reached without a finite enclosure: the value may not exist."""


@contextmanager
def _precision(bits: int) -> Iterator[None]:
    before = flint.ctx.prec
    flint.ctx.prec = bits
    try:
        yield
    finally:
        flint.ctx.prec = before


def evaluate(expression: sympy.Expr, values: Values | None = None, *, tolerance: Fraction = TOLERANCE) -> Enclosure:
    """Enclose the value of a real expression; `values` gives its free symbols, exact or enclosed.

    Rigour:   outward; precision is doubled until the width is at most `tolerance`, or no longer improves because
              the given enclosures are wide.
    Fails:    Undecidable if no finite enclosure exists up to 8192 bits; TypeError for floats and unknown functions.
    """
    known = dict(values or {})
    symbols = tuple(sorted(expression.free_symbols, key=str))
    missing = [str(symbol) for symbol in symbols if symbol not in known]
    if missing:
        raise TypeError(f"no value for {', '.join(missing)} in {expression}")
    function = compiled(expression, symbols)
    return refine(
        lambda: function(*(ball(known[symbol]) for symbol in symbols)),
        lambda found: found.width <= tolerance,
        expression.func.__name__,
        exact=not any(isinstance(value, Enclosure) and value.width > 0 for value in known.values()),
    )


def sign_of(expression: sympy.Expr) -> int | None:
    """Return -1, 0 or 1, the sign of a constant expression, or None where the precision ceiling decides nothing.

    Zero is only ever returned for rational expressions, where arithmetic is exact.
    """
    if expression.is_Rational:
        return int(sympy.sign(expression))
    bits = START_BITS
    function = compiled(expression, ())
    while bits <= CEILING_BITS:
        with _precision(bits):
            ball = function()
            if ball.is_finite():
                ends = _enclosure(ball)
                if ends.lo > 0:
                    return 1
                if ends.hi < 0:
                    return -1
        bits *= 2
    return None


def is_at_most(left: sympy.Expr, right: sympy.Expr) -> Tri:
    """Whether `left <= right` for constants; UNDECIDED only where they agree beyond the precision ceiling."""
    sign = sign_of(sympy.sympify(left) - sympy.sympify(right))
    return Tri.UNDECIDED if sign is None else Tri.of(sign <= 0)


def binomial_tail(n: int, k: int, p: Fraction, *, bits: int) -> Enclosure | None:
    """Enclose `P(Bin(n, p) >= k)` for `1 <= k <= n`, or None if this precision gives no finite ball.

    The tail is the regularized incomplete beta function `I_p(k, n - k + 1)`.
    """
    with _precision(bits):
        return _finite_enclosure(ball(p).beta_lower(flint.arb(k), flint.arb(n - k + 1), regularized=1))


def log_mixture_likelihood(n: int, k: int, p: Fraction, *, bits: int) -> Enclosure | None:
    """Enclose `log((n+1) C(n,k) p^k (1-p)^(n-k))` for `0 < p < 1`, or None if this precision gives no finite ball."""
    with _precision(bits):
        value = flint.arb(n + 2).lgamma() - flint.arb(k + 1).lgamma() - flint.arb(n - k + 1).lgamma()
        value += k * ball(p).log() + (n - k) * ball(1 - p).log()
        return _finite_enclosure(value)


def log_of(value: Fraction, *, bits: int) -> Enclosure:
    """Enclose the natural logarithm of a positive number."""
    with _precision(bits):
        enclosure = _finite_enclosure(ball(value).log())
    if enclosure is None:
        raise Undecidable(f"log({value}) is not finite")
    return enclosure


def exp_of(value: Fraction, *, bits: int = 128) -> Enclosure:
    """Enclose the exponential of a number."""
    with _precision(bits):
        return _finite(ball(value).exp(), f"exp({value})")


def normal_density(x: Fraction, *, bits: int = 128) -> Enclosure:
    """Enclose `phi(x) = exp(-x^2/2)/sqrt(2 pi)`, relatively as well as absolutely precise."""
    with _precision(bits):
        point = ball(x)
        return _finite((-(point * point) / 2).exp() / (2 * flint.arb.pi()).sqrt(), f"the normal density at {x}")


def normal_tail(x: Fraction, *, bits: int = 128) -> Enclosure:
    """Enclose `P(N > x)` for a standard normal `N`, relatively as well as absolutely precise."""
    with _precision(bits):
        return _finite((ball(x) / flint.arb(2).sqrt()).erfc() / 2, f"the normal tail at {x}")


def polynomial_product(left: Sequence[int], right: Sequence[int]) -> list[int]:
    """Multiply two polynomials with whole coefficients, lowest first: the convolution of the sequences, exactly."""
    product = flint.fmpz_poly(list(left)) * flint.fmpz_poly(list(right))
    coefficients = [int(value) for value in product.coeffs()]
    return coefficients + [0] * (len(left) + len(right) - 1 - len(coefficients))


# --- balls and rational ends ---------------------------------------------------------------------------------------


def ball(value: Fraction | Enclosure) -> Ball:
    """Make the narrowest ball around a number at the current precision; only inside the `compute` of `refine`."""
    if isinstance(value, Enclosure):
        return ball(value.lo) if value.lo == value.hi else ball(value.lo).union(ball(value.hi))
    if not isinstance(value, Fraction):
        raise TypeError(f"expected an exact number or an enclosure, got {value!r}")
    return flint.arb(flint.fmpq(value.numerator, value.denominator))


def _dyadic(point: Ball) -> Fraction:
    mantissa, exponent = point.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def _enclosure(ball: Ball) -> Enclosure:
    middle, radius = _dyadic(ball.mid()), _dyadic(ball.rad())
    return Enclosure(middle - radius, middle + radius)


def _finite_enclosure(ball: Ball) -> Enclosure | None:
    return _enclosure(ball) if ball.is_finite() else None


def _finite(ball: Ball, what: str) -> Enclosure:
    if not ball.is_finite():
        raise Undecidable(f"{what} has no finite enclosure")
    return _enclosure(ball)


def refine(
    compute: Callable[[], Ball], good_enough: Callable[[Enclosure], bool], what: str, *, exact: bool
) -> Enclosure:
    """Enclose what `compute` returns as a ball: double the precision until it is narrow; the last one counts.

    `compute` works with balls made by `ball` and functions made by `compiled`: `+ - * /`, `abs`, `.max`, `.min`,
    `.sqrt()`, `.exp()`, and comparisons, which are true only where they certainly hold.

    With inexact arguments a ball stops improving at some width, and so does this; exact ones go on to the ceiling.
    """
    best: Enclosure | None = None
    bits = START_BITS
    while bits <= CEILING_BITS:
        with _precision(bits):
            now = _finite_enclosure(compute())
        if now is not None:
            if good_enough(now) or (not exact and best is not None and now.width * 2 > best.width):
                return now
            best = now
        bits *= 2
    if best is None:
        raise Undecidable(f"no finite enclosure of {what} up to {CEILING_BITS} bits")
    return best


# --- expressions ---------------------------------------------------------------------------------------------------

_FUNCTIONS: dict[Any, Callable[..., Ball]] = {
    sympy.exp: lambda x: x.exp(),
    sympy.log: lambda x: x.log(),
    sympy.atan: lambda x: x.atan(),
    sympy.acos: lambda x: x.acos(),
    sympy.erf: lambda x: x.erf(),
    sympy.Abs: abs,
}


def _power(base: Ball, exponent: int) -> Ball:
    """Integer power by repeated products: flint's own power of a ball centred at 0 is NaN."""
    if exponent < 0:
        return 1 / _power(base, -exponent)
    result = flint.arb(1)
    while exponent:
        if exponent & 1:
            result = result * base
        base = base * base
        exponent >>= 1
    return result


@lru_cache(maxsize=4096)
def compiled(expression: sympy.Expr, symbols: tuple[sympy.Symbol, ...]) -> Callable[..., Ball]:
    """Turn an expression into a function of balls; constants are evaluated afresh at the precision of each call."""
    build = _node(expression, {symbol: index for index, symbol in enumerate(symbols)})
    return lambda *arguments: build(arguments)


def _node(expression: sympy.Expr, index: Mapping[sympy.Symbol, int]) -> Callable[[Sequence[Ball]], Ball]:
    if expression.is_Symbol:
        position = index[expression]
        return lambda arguments: arguments[position]
    if expression.is_Rational:
        value = Fraction(int(expression.p), int(expression.q))
        return lambda _: ball(value)
    if expression is sympy.pi:
        return lambda _: flint.arb.pi()
    if expression is sympy.E:
        return lambda _: flint.arb(1).exp()
    children = [_node(child, index) for child in expression.args]
    if expression.is_Add:
        return lambda arguments: sum((child(arguments) for child in children), flint.arb(0))
    if expression.is_Mul:
        return lambda arguments: _product(child(arguments) for child in children)
    if expression.is_Pow:
        return _pow_node(expression, children)
    if isinstance(expression, sympy.Max | sympy.Min):
        return _extremum_node(children, largest=isinstance(expression, sympy.Max))
    if expression.func is sympy.betainc_regularized:
        return _beta_node(expression, children)
    if expression.func in _FUNCTIONS:
        function = _FUNCTIONS[expression.func]
        return lambda arguments: function(*(child(arguments) for child in children))
    raise TypeError(f"cannot evaluate {expression!r} rigorously: {expression.func.__name__} has no rule")


def _product(factors: Iterator[Ball]) -> Ball:
    result = flint.arb(1)
    for factor in factors:
        result = result * factor
    return result


def _pow_node(
    expression: sympy.Expr, children: list[Callable[[Sequence[Ball]], Ball]]
) -> Callable[[Sequence[Ball]], Ball]:
    base, exponent = children
    fixed = expression.exp
    if fixed.is_Integer:
        return lambda arguments: _power(base(arguments), int(fixed))
    if fixed.is_Rational and fixed.q == 2:
        return lambda arguments: _power(base(arguments).sqrt(), int(fixed.p))
    return lambda arguments: (exponent(arguments) * base(arguments).log()).exp()


def _beta_node(
    expression: sympy.Expr, children: list[Callable[[Sequence[Ball]], Ball]]
) -> Callable[[Sequence[Ball]], Ball]:
    """Regularized incomplete beta function from 0, with constant parameters."""
    a, b, low, _ = expression.args
    if low != 0 or not (a.is_Integer and b.is_Integer and a > 0 and b > 0):
        raise TypeError(f"cannot evaluate {expression} rigorously: expected positive whole parameters and lower end 0")
    upper = children[3]
    return lambda arguments: upper(arguments).beta_lower(flint.arb(int(a)), flint.arb(int(b)), regularized=1)


def _extremum_node(
    children: list[Callable[[Sequence[Ball]], Ball]], *, largest: bool
) -> Callable[[Sequence[Ball]], Ball]:
    def extremum(arguments: Sequence[Ball]) -> Ball:
        first, *rest = (child(arguments) for child in children)
        for ball in rest:
            first = first.max(ball) if largest else first.min(ball)
        return first

    return extremum
