"""The sizes of the data that bounds need, as certified upper bounds (`theorems.bounds.SIZES`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

import sympy

from theorems.bounds import RADIUS, ROOT_NORM, SPREAD, TOUR_LENGTH, TOUR_ZEROS, TREE_LENGTH
from theorems.hypotheses import Evidence, weakest
from theorems.problem import Problem
from verify.enclosure import evaluate
from verify.geometry import spanning_tree, tour

_X = sympy.Symbol("x", nonnegative=True)

__all__ = ["CaseSizes", "case_sizes"]


@dataclass(frozen=True)
class CaseSizes:
    """Upper bounds of the sizes that were asked for, and the weakest evidence that they rest on."""

    values: dict[sympy.Symbol, Fraction]
    evidence: Evidence


def case_sizes(problem: Problem, symbols: Iterable[sympy.Symbol]) -> CaseSizes:
    """Bound the sizes of a problem's data from above; every bound decreases with them, so that is safe."""
    found = {symbol: _SIZES[symbol](problem) for symbol in symbols if symbol in _SIZES}
    evidence = weakest([level for _, level in found.values()] or [Evidence.CERTIFIED])
    return CaseSizes({symbol: value for symbol, (value, _) in found.items()}, evidence)


def _root(value: Fraction) -> Fraction:
    return evaluate(sympy.sqrt(_X), {_X: value}).hi


def _certified(size: Callable[[Problem], Fraction]) -> Callable[[Problem], tuple[Fraction, Evidence]]:
    return lambda problem: (size(problem), Evidence.CERTIFIED)


_SIZES: dict[sympy.Symbol, Callable[[Problem], tuple[Fraction, Evidence]]] = {
    TREE_LENGTH: _certified(lambda problem: spanning_tree(problem.data).length),
    ROOT_NORM: _certified(lambda problem: spanning_tree(problem.data).root_norm),
    RADIUS: _certified(lambda problem: spanning_tree(problem.data).radius),
    SPREAD: _certified(lambda problem: _root(problem.data.spread_squared)),
    TOUR_LENGTH: _certified(lambda problem: tour(problem.data).length),
    TOUR_ZEROS: _certified(lambda problem: tour(problem.data).zeros(problem.layer_laws(1)[0])),
}
