"""The one door to python-flint: rigorous evaluation of symbolic expressions and bounds in Arb ball arithmetic.

Every function returns exact rational ends that provably enclose the value, or raises `Undecidable`; a ball that is not
finite never leaves this module. Precision is an argument, not a setting: flint's own precision is changed only inside
`_precision`, which restores it. It is shared by all threads of a process, so parallel work uses processes.

Known traps of the library, each with a test: a power of a ball around 0 can be NaN (powers here are products); NaN
contains everything; `contains(rational)` asks about a rounded ball (ends are read from mantissa and exponent).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from typing import Any

import flint
import sympy

from theorems.bounds import ALIVE, P_DEAD, BinomialChain, Bound, ClosedForm, Recursion
from verify.enclosure.numbers import Enclosure, Tri

__all__ = [
    "Undecidable",
    "binomial_tail",
    "evaluate",
    "evaluate_bound",
    "is_at_most",
    "log_mixture_likelihood",
    "sign_of",
]

Ball = Any  # flint.arb carries no types
Values = Mapping[sympy.Symbol, Fraction | Enclosure]

START_BITS = 64
CEILING_BITS = 8192
TOLERANCE = Fraction(1, 2**48)
RELATIVE_BITS = 30
FINEST_BITS = 1024


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
    function = _compile(expression, symbols)
    return _refine(
        lambda: function(*(_ball(known[symbol]) for symbol in symbols)),
        lambda found: found.width <= tolerance,
        expression.func.__name__,
        exact=not any(isinstance(value, Enclosure) and value.width > 0 for value in known.values()),
    )


def evaluate_bound(bound: Bound, p_dead: Fraction) -> Enclosure:
    """Enclose the value of a bound at an exact `p_dead`; every bound increases with it, so a lower bound is safe.

    Rigour:   outward; precise relative to the value and to its complement, both of which can be tiny, down to 2^-1024:
              ends are rounded outward to multiples of that, so values below it come back as [0, 2^-1024].
    """
    match bound:
        case ClosedForm(expression):
            function = _compile(expression, (P_DEAD,))
            found = _refine(lambda: function(_ball(p_dead)), _is_fine, "closed form", exact=True)
        case Recursion():
            found = _refine(lambda: _run_recursion(bound, p_dead), _is_fine, "recursion", exact=True)
        case BinomialChain():
            found = _refine(lambda: _run_chain(bound, p_dead), _is_fine, "binomial chain", exact=True)
    return Enclosure(
        Fraction(math.floor(found.lo * 2**FINEST_BITS), 2**FINEST_BITS),
        Fraction(math.ceil(found.hi * 2**FINEST_BITS), 2**FINEST_BITS),
    )


def _is_fine(found: Enclosure) -> bool:
    smaller = min(abs(found.hi), abs(1 - found.lo))
    fine_enough: bool = found.width <= max(smaller / 2**RELATIVE_BITS, Fraction(1, 2**FINEST_BITS))
    return fine_enough


def sign_of(expression: sympy.Expr) -> int | None:
    """Return -1, 0 or 1, the sign of a constant expression, or None where the precision ceiling decides nothing.

    Zero is only ever returned for rational expressions, where arithmetic is exact.
    """
    if expression.is_Rational:
        return int(sympy.sign(expression))
    bits = START_BITS
    function = _compile(expression, ())
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
        return _finite_enclosure(_ball(p).beta_lower(flint.arb(k), flint.arb(n - k + 1), regularized=1))


def log_mixture_likelihood(n: int, k: int, p: Fraction, *, bits: int) -> Enclosure | None:
    """Enclose `log((n+1) C(n,k) p^k (1-p)^(n-k))` for `0 < p < 1`, or None if this precision gives no finite ball."""
    with _precision(bits):
        value = flint.arb(n + 2).lgamma() - flint.arb(k + 1).lgamma() - flint.arb(n - k + 1).lgamma()
        value += k * _ball(p).log() + (n - k) * _ball(1 - p).log()
        return _finite_enclosure(value)


def log_of(value: Fraction, *, bits: int) -> Enclosure:
    """Enclose the natural logarithm of a positive number."""
    with _precision(bits):
        enclosure = _finite_enclosure(_ball(value).log())
    if enclosure is None:
        raise Undecidable(f"log({value}) is not finite")
    return enclosure


# --- balls and rational ends ---------------------------------------------------------------------------------------


def _ball(value: Fraction | Enclosure) -> Ball:
    if isinstance(value, Enclosure):
        return _ball(value.lo) if value.lo == value.hi else _ball(value.lo).union(_ball(value.hi))
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


def _refine(
    compute: Callable[[], Ball], good_enough: Callable[[Enclosure], bool], what: str, *, exact: bool
) -> Enclosure:
    """Double the precision until the ball is narrow; the last one counts.

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
def _compile(expression: sympy.Expr, symbols: tuple[sympy.Symbol, ...]) -> Callable[..., Ball]:
    """Turn an expression into a function of balls; constants are evaluated afresh at the precision of each call."""
    build = _node(expression, {symbol: index for index, symbol in enumerate(symbols)})
    return lambda *arguments: build(arguments)


def _node(expression: sympy.Expr, index: Mapping[sympy.Symbol, int]) -> Callable[[Sequence[Ball]], Ball]:
    if expression.is_Symbol:
        position = index[expression]
        return lambda arguments: arguments[position]
    if expression.is_Rational:
        value = Fraction(int(expression.p), int(expression.q))
        return lambda _: _ball(value)
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


# --- bounds that are computed layer by layer ---------------------------------------------------------------------


def _run_recursion(bound: Recursion, p_dead: Fraction) -> Ball:
    p = _ball(p_dead)
    state = [_compile(expression, (P_DEAD,))(p) for expression in bound.start]
    for layer in bound.layers:
        steps = _compile_step(bound.step, bound.parameters, layer, bound.state)
        state = [step(*state) for step in steps]
    return _compile(bound.result, bound.state)(*state)


@lru_cache(maxsize=256)
def _compile_step(
    step: tuple[sympy.Expr, ...],
    parameters: tuple[sympy.Symbol, ...],
    layer: tuple[sympy.Expr, ...],
    state: tuple[sympy.Symbol, ...],
) -> list[Callable[..., Ball]]:
    """Put a layer's parameters into the step first, so that integer exponents become products."""
    values = dict(zip(parameters, layer, strict=True))
    return [_compile(expression.xreplace(values), state) for expression in step]


def _run_chain(bound: BinomialChain, p_dead: Fraction) -> Ball:
    first = _compile(bound.first, (P_DEAD,))(_ball(p_dead))
    mass = _binomial_law(bound.widths[0], first)[:-1]  # the last entry has filled the layer: absorbed
    tables: dict[tuple[int, int, sympy.Expr], list[list[Ball]]] = {}
    for before, width, success in zip(bound.widths, bound.widths[1:], bound.success, strict=False):
        key = (before, width, success)
        if key not in tables:
            probability = _compile(success, (ALIVE,))
            tables[key] = [_binomial_law(width, probability(flint.arb(before - s))) for s in range(before)]
        table = tables[key]
        mass = [sum((mass[s] * table[s][t] for s in range(before)), flint.arb(0)) for t in range(width)]
    return 1 - sum(mass, flint.arb(0))


def _binomial_law(n: int, p: Ball) -> list[Ball]:
    powers, complements = [flint.arb(1)], [flint.arb(1)]
    for _ in range(n):
        powers.append(powers[-1] * p)
        complements.append(complements[-1] * (1 - p))
    return [flint.arb(math.comb(n, t)) * powers[t] * complements[n - t] for t in range(n + 1)]
