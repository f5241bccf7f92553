"""Rigorous evaluation of bounds: each shape of `theorems.bounds` as a computation with balls."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

import sympy

from theorems.backward import BackwardProgram
from theorems.bounds import ALIVE, P_DEAD, BestOf, BinomialChain, Bound, ClosedForm, Recursion
from theorems.curve import CurveRecursion
from theorems.envelope import EnvelopeRecursion
from theorems.lines import LineProgram
from verify.enclosure.arb import Ball, ball, compiled, refine
from verify.enclosure.backward import run_backward
from verify.enclosure.curve import run_curve
from verify.enclosure.envelope import run_envelope
from verify.enclosure.lines import run_lines
from verify.enclosure.numbers import Enclosure

__all__ = ["FINEST_BITS", "evaluate_bound"]

RELATIVE_BITS = 30
FINEST_BITS = 1024
Balls = Mapping[sympy.Symbol, Ball]


def evaluate_bound(bound: Bound, p_dead: Fraction, sizes: Mapping[sympy.Symbol, Fraction] | None = None) -> Enclosure:
    """Enclose the value of a bound at an exact `p_dead` and exact sizes of the data (keys of `theorems.bounds.SIZES`).

    Every bound increases with `p_dead` and decreases with the sizes, so a lower bound of the one and upper bounds of
    the others are safe.

    Rigour:   outward; precise relative to the value and to its complement, both of which can be tiny, down to 2^-1024:
              ends are rounded outward to multiples of that, so values below it come back as [0, 2^-1024].
    Fails:    TypeError if a size that the bound needs is missing, or a number is not exact; Undecidable.
    """
    values = {P_DEAD: p_dead, **(sizes or {})}
    missing = sorted(str(symbol) for symbol in bound.symbols if symbol not in values)
    if missing:
        raise TypeError(f"no value for {', '.join(missing)} in a bound of shape {type(bound).__name__}")
    for value in values.values():  # a float equals a fraction and would find its remembered answer
        if not isinstance(value, Fraction):
            raise TypeError(f"expected exact numbers, got {value!r}")
    return _remembered(bound, tuple((symbol, values[symbol]) for symbol in sorted(bound.symbols, key=str)))


@lru_cache(maxsize=512)
def _remembered(bound: Bound, values: tuple[tuple[sympy.Symbol, Fraction], ...]) -> Enclosure:
    """An audit asks for the same bound once for each optimizer."""
    return _enclosed(bound, dict(values))


def _enclosed(bound: Bound, values: Mapping[sympy.Symbol, Fraction]) -> Enclosure:
    if isinstance(bound, BestOf):
        parts = [_enclosed(part, values) for part in bound.bounds]
        return Enclosure(max(part.lo for part in parts), max(part.hi for part in parts))
    if isinstance(bound, LineProgram):
        value = run_lines(bound, values)
        return Enclosure(value, value)  # the number computed is the bound
    shape = type(bound)
    run = _COMPLEMENTS.get(shape) or _SHAPES[shape]
    found = refine(
        lambda: run(bound, {symbol: ball(value) for symbol, value in values.items()}),
        _is_fine,
        shape.__name__,
        exact=True,
    )
    if shape in _COMPLEMENTS:
        found = Enclosure(1 - found.hi, 1 - found.lo)
    return Enclosure(
        Fraction(math.floor(found.lo * 2**FINEST_BITS), 2**FINEST_BITS),
        Fraction(math.ceil(found.hi * 2**FINEST_BITS), 2**FINEST_BITS),
    )


def _is_fine(found: Enclosure) -> bool:
    smaller = min(abs(found.hi), abs(1 - found.lo))
    fine_enough: bool = found.width <= max(smaller / 2**RELATIVE_BITS, Fraction(1, 2**FINEST_BITS))
    return fine_enough


def at_values(expression: sympy.Expr, values: Balls) -> Ball:
    """Evaluate an expression whose free symbols are among `values`."""
    symbols = tuple(sorted(expression.free_symbols, key=str))
    return compiled(expression, symbols)(*(values[symbol] for symbol in symbols))


def _run_closed_form(bound: ClosedForm, values: Balls) -> Ball:
    return at_values(bound.expression, values)


def _run_recursion(bound: Recursion, values: Balls) -> Ball:
    """The complement of the bound."""
    state = [at_values(expression, values) for expression in bound.start]
    sizes = tuple(sorted(values, key=str))
    known = [values[symbol] for symbol in sizes]
    for layer in bound.layers:
        steps = _compile_step(bound.step, bound.parameters, layer, (*bound.state, *sizes))
        state = [step(*state, *known) for step in steps]
    return compiled(1 - bound.result, bound.state)(*state)


@lru_cache(maxsize=256)
def _compile_step(
    step: tuple[sympy.Expr, ...],
    parameters: tuple[sympy.Symbol, ...],
    layer: tuple[sympy.Expr, ...],
    symbols: tuple[sympy.Symbol, ...],
) -> list[Callable[..., Ball]]:
    """Put a layer's parameters into the step first, so that integer exponents become products."""
    known = dict(zip(parameters, layer, strict=True))
    return [compiled(expression.xreplace(known), symbols) for expression in step]


def _run_chain(bound: BinomialChain, values: Balls) -> Ball:
    """The complement of the bound: no layer is filled."""
    first = at_values(bound.first, values)
    enough = bound.widths[0] if bound.enough is None else bound.enough
    mass = _binomial_law(bound.widths[0], first)[:enough]  # the entries left out are absorbed
    tables: dict[tuple[int, int, int, sympy.Expr], list[list[Ball]]] = {}
    for before, width, success in zip(bound.widths, bound.widths[1:], bound.success, strict=False):
        key = (len(mass), before, width, success)
        if key not in tables:
            probability = compiled(success, (ALIVE,))
            tables[key] = [_binomial_law(width, probability(ball(Fraction(before - s)))) for s in range(len(mass))]
        table = tables[key]
        mass = [sum((mass[s] * table[s][t] for s in range(len(mass))), ball(Fraction(0))) for t in range(width)]
    return sum(mass, ball(Fraction(0)))


def _binomial_law(n: int, p: Ball) -> list[Ball]:
    powers, complements = [ball(Fraction(1))], [ball(Fraction(1))]
    for _ in range(n):
        powers.append(powers[-1] * p)
        complements.append(complements[-1] * (1 - p))
    return [ball(Fraction(math.comb(n, t))) * powers[t] * complements[n - t] for t in range(n + 1)]


_SHAPES: dict[type[Bound], Callable[[Any, Balls], Ball]] = {
    ClosedForm: _run_closed_form,
    CurveRecursion: run_curve,
    BackwardProgram: run_backward,
}

# These give `1 - bound`, which can be far smaller than any fixed precision sees beside 1: it is subtracted exactly.
_COMPLEMENTS: dict[type[Bound], Callable[[Any, Balls], Ball]] = {
    Recursion: _run_recursion,
    BinomialChain: _run_chain,
    EnvelopeRecursion: run_envelope,
}
