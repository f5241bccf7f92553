"""The three shapes of a bound: one expression, a recursion over the layers, a chain of binomial counts.

A bound is written once, in sympy. Its typeset form, its rigorous evaluation and later its certificate term are all
generated from this one source. The only free symbol of a finished bound is `P_DEAD`, the probability that a
first-layer neuron is dead on the data; every bound increases with it (math §5), so a lower bound may be put in.
"""

from __future__ import annotations

from dataclasses import dataclass

import sympy

__all__ = ["ALIVE", "P_DEAD", "BinomialChain", "Bound", "ClosedForm", "Recursion"]

P_DEAD = sympy.Symbol("p_1", nonnegative=True)
ALIVE = sympy.Symbol("a", integer=True, nonnegative=True)


@dataclass(frozen=True)
class ClosedForm:
    """A bound that is one expression in `P_DEAD`."""

    expression: sympy.Expr


@dataclass(frozen=True)
class Recursion:
    """A bound computed layer by layer: `state <- step(state, parameters of the layer)`, then `result(state)`.

    Symbols: start and result are expressions in `P_DEAD` and the state; step has one expression a state symbol;
    layers holds, for each step, the values of `parameters`.
    """

    state: tuple[sympy.Symbol, ...]
    start: tuple[sympy.Expr, ...]
    parameters: tuple[sympy.Symbol, ...]
    step: tuple[sympy.Expr, ...]
    layers: tuple[tuple[sympy.Expr, ...], ...]
    result: sympy.Expr


@dataclass(frozen=True)
class BinomialChain:
    """Probability that a chain of binomial counts ever fills a layer.

    `S_1 ~ Bin(widths[0], first)`, `S_k | S_{k-1} ~ Bin(widths[k-1], success[k-2])`, where `success` may contain
    `ALIVE`, the number `widths[k-2] - S_{k-1}` of neurons not counted in the layer before. The bound is
    `P(S_k = widths[k-1] for some k)`.
    """

    widths: tuple[int, ...]
    first: sympy.Expr
    success: tuple[sympy.Expr, ...]

    @property
    def operations(self) -> int:
        """About how many multiplications the evaluation takes; the law of a layer of width n costs about n^2."""
        return sum(width * width for width in set(self.widths)) + sum(
            a * b for a, b in zip(self.widths, self.widths[1:], strict=False)
        )


Bound = ClosedForm | Recursion | BinomialChain
