"""The shape of T19's bound: a recursion over the layers in which a random sum of weights is met by its whole law."""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from theorems.bounds import P_DEAD, Bound
from theorems.errors import InvalidInput
from theorems.laws import Law, Normal, TruncatedNormal, Uniform

__all__ = ["LEVEL", "REACH", "EnvelopeLayer", "EnvelopeRecursion", "PositivePart", "positive_part"]

REACH = sympy.Symbol("x", nonnegative=True)
LEVEL = sympy.Symbol("t", nonnegative=True)


@dataclass(frozen=True)
class PositivePart:
    """The law of `w^+`, for a symmetric weight `w = scale * u`.

    Symbols: tail = `P(u > t)` and moment = `E[u; u > t]`, in `LEVEL = t`, for `0 <= t <= reach`. Beyond `reach` there
    may be more (normal weights); cells are only placed below it.
    """

    scale: sympy.Expr
    reach: sympy.Rational
    tail: sympy.Expr
    moment: sympy.Expr


def positive_part(weight: Law) -> PositivePart:
    """Return the law of `w^+`. Fails: InvalidInput for weights that are 0 for sure."""
    bell = sympy.exp(-(LEVEL**2) / 2) / sympy.sqrt(2 * sympy.pi)
    below = sympy.erf(LEVEL / sympy.sqrt(2))
    if isinstance(weight, Normal):
        return PositivePart(weight.scale, sympy.Integer(5), (1 - below) / 2, bell)
    if isinstance(weight, Uniform):
        return PositivePart(weight.half_width, sympy.Integer(1), (1 - LEVEL) / 2, (1 - LEVEL**2) / 4)
    if isinstance(weight, TruncatedNormal):
        kept = sympy.erf(sympy.sqrt(2))
        moment = (bell - sympy.exp(-2) / sympy.sqrt(2 * sympy.pi)) / kept
        return PositivePart(weight.scale, sympy.Integer(2), (kept - below) / (2 * kept), moment)
    raise InvalidInput(f"weights {weight}: expected normal, truncated normal or uniform weights")


@dataclass(frozen=True)
class EnvelopeLayer:
    """The constants of one hidden layer, from the second on.

    width, inputs: the numbers of its neurons and of those before it; signs: probability that all its weights and biases
    are `<= 0`, or a lower bound; values: of the `parameters` of the recursion.
    """

    width: int
    inputs: int
    weight: PositivePart
    signs: sympy.Expr
    values: tuple[sympy.Expr, ...]


@dataclass(frozen=True)
class EnvelopeRecursion(Bound):
    """The bound `1 - a_H`, from means of the summed envelope (proofs/decay_sharper.md, T19).

    `a_1 = 1 - first` (an expression in `P_DEAD`) and, for `k >= 2`,

        a_k = a_{k-1} (1 - max(Gamma_k(c/a_{k-1})^l_k, signs))
        Gamma_k(v) = E tail(slope (v/n)(w_1^+ + ... + w_n^+))

    with `c` the first entry of the state behind layer `k - 1`, `n` the width of that layer, `w_q` independent weights
    of layer `k`. `tail`, in `REACH`, is convex and non-increasing; `slope >= 0` is in the `parameters`. The state is
    `start` behind layer 1, then `step`, in `SURVIVAL = a_{k-1}`, itself and the parameters.

    The mean stands for a lower bound of it (Jensen): the law of the sum is replaced by one with at most `cells` values,
    each the mean over a part of the law, and `v` by a number slightly above; and it is not below `tail(slope v E w^+)`.
    """

    first: sympy.Expr
    state: tuple[sympy.Symbol, ...]
    start: tuple[sympy.Expr, ...]
    parameters: tuple[sympy.Symbol, ...]
    tail: sympy.Expr
    slope: sympy.Expr
    step: tuple[sympy.Expr, ...]
    layers: tuple[EnvelopeLayer, ...]
    cells: int = 48

    @property
    def symbols(self) -> frozenset[sympy.Symbol]:
        """The quantities of the case that the bound needs."""
        return frozenset({P_DEAD} & self.first.free_symbols)
