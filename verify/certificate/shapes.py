"""The shapes of bounds as the shapes of a certificate (FORMAT.md, section 7)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import groupby

import sympy

from theorems.backward import BackwardProgram
from theorems.bounds import ALIVE, P_DEAD, SIZES, BestOf, BinomialChain, Bound, ClosedForm, Recursion
from theorems.curve import CurveRecursion
from theorems.envelope import EnvelopeRecursion
from verify.certificate.backward import backward_lines
from verify.certificate.curve import curve_program
from verify.certificate.envelope import envelope_program
from verify.certificate.terms import CannotBeWritten, Json, name_of, term_of

__all__ = ["QUANTITIES", "shape_of", "single_bounds"]

QUANTITIES: frozenset[sympy.Symbol] = frozenset({P_DEAD, *SIZES})
_QUANTITY_NAMES = {symbol: str(symbol) for symbol in QUANTITIES}


def single_bounds(bound: Bound) -> list[Bound]:
    """The bounds that a best of several, or a best of bests, is made of."""
    if not isinstance(bound, BestOf):
        return [bound]
    return [single for part in bound.bounds for single in single_bounds(part)]


def shape_of(bound: Bound, quantities: Mapping[sympy.Symbol, Fraction]) -> Json:
    """Write a single bound as a shape, every term from the sympy expressions of the bound.

    Symbols: quantities = where the bound is evaluated; choices of a search are those made there.
    Fails: CannotBeWritten where the format has no shape for it, or the shape would be too large.
    """
    match bound:
        case ClosedForm(expression):
            return {"kind": "closed", "term": term_of(expression, _QUANTITY_NAMES)}
        case Recursion():
            return _recursion(bound)
        case BinomialChain():
            return _chain(bound)
        case CurveRecursion():
            return curve_program(bound)
        case EnvelopeRecursion():
            return envelope_program(bound, {str(symbol): value for symbol, value in quantities.items()})
        case BackwardProgram():
            return backward_lines(bound, quantities)
        case _:
            raise CannotBeWritten(f"a {type(bound).__name__} is found by a program")


def _counted(items: Iterable[Json]) -> list[list[Json]]:
    """Equal neighbours together, with their number."""
    return [[len(list(group)), item] for item, group in groupby(items)]


def _recursion(bound: Recursion) -> Json:
    variables = (*bound.state, *bound.parameters)
    names = _QUANTITY_NAMES | {symbol: name_of(symbol, QUANTITIES) for symbol in variables}
    known = {values: [term_of(value, _QUANTITY_NAMES) for value in values] for values in set(bound.layers)}
    return {
        "kind": "recursion",
        "state": [names[symbol] for symbol in bound.state],
        "start": _terms(bound.start),
        "parameters": [names[symbol] for symbol in bound.parameters],
        "step": [term_of(expression, names) for expression in bound.step],
        "layers": _counted(known[values] for values in bound.layers),
        "result": term_of(bound.result, names),
    }


def _terms(expressions: Sequence[sympy.Expr]) -> list[Json]:
    return [term_of(expression, _QUANTITY_NAMES) for expression in expressions]


def _chain(bound: BinomialChain) -> Json:
    names = _QUANTITY_NAMES | {ALIVE: str(ALIVE)}
    return {
        "kind": "chain",
        "widths": list(bound.widths),
        "first": term_of(bound.first, _QUANTITY_NAMES),
        "success": _counted(term_of(success, names) for success in bound.success),
        "enough": bound.enough,
    }
