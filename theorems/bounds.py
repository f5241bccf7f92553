"""The shapes of a bound: one expression, a recursion over the layers, a chain of binomial counts, the best of several.

A bound is written once, in sympy. Its typeset form, its rigorous evaluation and later its certificate term are all
generated from this one source. The free symbols of a finished bound are quantities of the case that `verify` encloses:
`P_DEAD`, with which every bound increases (math §5), so that a lower bound may be put in; and sizes of the data, with
which every bound decreases, so that upper bounds may be put in.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy

__all__ = [
    "ALIVE",
    "P_DEAD",
    "RADIUS",
    "ROOT_NORM",
    "SIZES",
    "SPREAD",
    "TOUR_LENGTH",
    "TOUR_ZEROS",
    "TREE_LENGTH",
    "BestOf",
    "BinomialChain",
    "Bound",
    "ClosedForm",
    "Recursion",
]

P_DEAD = sympy.Symbol("p_1", nonnegative=True)
ALIVE = sympy.Symbol("a", integer=True, nonnegative=True)

TREE_LENGTH = sympy.Symbol("tau", nonnegative=True)
SPREAD = sympy.Symbol("sigma_x", nonnegative=True)
ROOT_NORM = sympy.Symbol("r_0", nonnegative=True)
RADIUS = sympy.Symbol("R", nonnegative=True)
TOUR_LENGTH = sympy.Symbol("c_0", nonnegative=True)
TOUR_ZEROS = sympy.Symbol("nu_0", nonnegative=True)

SIZES: dict[sympy.Symbol, str] = {
    TREE_LENGTH: "length of a spanning tree of the inputs",
    SPREAD: "root of the sum of the squared distances of the inputs from their mean",
    ROOT_NORM: "norm of the root of that tree",
    RADIUS: "largest norm of an input",
    TOUR_LENGTH: "angular length of a closed tour through the rays of the inputs",
    TOUR_ZEROS: "expected number of zeros of a linear functional on such a tour",
}


@dataclass(frozen=True)
class Bound:
    """A lower or upper bound of a probability, as a term; the subclasses are its shapes."""

    @property
    def symbols(self) -> frozenset[sympy.Symbol]:
        """The quantities of the case that the bound needs: `P_DEAD` and some of `SIZES`."""
        raise NotImplementedError


def _case_symbols(*expressions: sympy.Expr) -> frozenset[sympy.Symbol]:
    found = {symbol for expression in expressions for symbol in expression.free_symbols}
    return frozenset(found & {P_DEAD, *SIZES})


@dataclass(frozen=True)
class ClosedForm(Bound):
    """A bound that is one expression in the quantities of the case."""

    expression: sympy.Expr

    @property
    def symbols(self) -> frozenset[sympy.Symbol]:
        """The quantities of the case that the bound needs."""
        return _case_symbols(self.expression)


@dataclass(frozen=True)
class Recursion(Bound):
    """A bound computed layer by layer: `state <- step(state, parameters of the layer)`, then `result(state)`.

    Symbols: start is in quantities of the case; step has one expression a state symbol, in the state, `parameters` and
    quantities of the case; layers holds, for each step, the values of `parameters`; result is in the state.
    """

    state: tuple[sympy.Symbol, ...]
    start: tuple[sympy.Expr, ...]
    parameters: tuple[sympy.Symbol, ...]
    step: tuple[sympy.Expr, ...]
    layers: tuple[tuple[sympy.Expr, ...], ...]
    result: sympy.Expr

    @property
    def symbols(self) -> frozenset[sympy.Symbol]:
        """The quantities of the case that the bound needs."""
        return _case_symbols(*self.start, *self.step)


@dataclass(frozen=True)
class BinomialChain(Bound):
    """Probability that a chain of binomial counts ever fills a layer, or begins with many.

    `S_1 ~ Bin(widths[0], first)`, `S_k | S_{k-1} ~ Bin(widths[k-1], success[k-2])`, where `success` may contain
    `ALIVE`, the number `widths[k-2] - S_{k-1}` of neurons not counted in the layer before. The bound is
    `P(S_1 >= enough or S_k = widths[k-1] for some k)`; `enough` None stands for `widths[0]`.
    """

    widths: tuple[int, ...]
    first: sympy.Expr
    success: tuple[sympy.Expr, ...]
    enough: int | None = None

    @property
    def symbols(self) -> frozenset[sympy.Symbol]:
        """The quantities of the case that the bound needs."""
        return _case_symbols(self.first)

    @property
    def operations(self) -> int:
        """About how many multiplications the evaluation takes; the law of a layer of width n costs about n^2."""
        return sum(width * width for width in set(self.widths)) + sum(
            a * b for a, b in zip(self.widths, self.widths[1:], strict=False)
        )


@dataclass(frozen=True)
class BestOf(Bound):
    """The largest of several lower bounds of one probability. `names` says which is which."""

    names: tuple[str, ...]
    bounds: tuple[Bound, ...]

    @property
    def symbols(self) -> frozenset[sympy.Symbol]:
        """The quantities of the case that any of them needs."""
        return frozenset().union(*(bound.symbols for bound in self.bounds))
