"""The shape of T16's bound: a recursion over the layers that also follows a polynomial in the decay factor."""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from theorems.bounds import P_DEAD, RADIUS, ROOT_NORM, TREE_LENGTH, Bound

__all__ = ["LENGTH", "SURVIVAL", "CurveLayer", "CurveRecursion"]

SURVIVAL, LENGTH = sympy.symbols("a Lambda", nonnegative=True)


@dataclass(frozen=True)
class CurveLayer:
    """The constants of one hidden layer.

    signs: probability that all its weights and biases are `<= 0`, or a lower bound; values: of the `parameters` of the
    recursion. Neither is used in layer 1.
    Symbols: width = l; weight_variance = s^2; bias_variance = sigma^2; density = f; spine, edge = the factors eta of
    Lemma C for weights and bias together, and for weights alone.
    """

    width: int
    weight_variance: sympy.Expr
    bias_variance: sympy.Expr
    density: sympy.Expr
    spine: sympy.Expr
    edge: sympy.Expr
    signs: sympy.Expr
    values: tuple[sympy.Expr, ...]


@dataclass(frozen=True)
class CurveRecursion(Bound):
    """The bound `1 - a_H`, from mean lengths of the decay curve (proofs/decay.md, T16).

    `delta` is 1 with `weights_only`, else 0; `tau, r, R` are `TREE_LENGTH, ROOT_NORM, RADIUS`. The means of the squared
    norm and of the squared speed of the curve above an input of norm `rho` are bounded, at `y = gamma^2`, by

        n_k = (l/2) y (sigma^2 a_{k-1} + s^2 n_{k-1})        n_0 = rho^2 y^delta
        e_k = (l/2) (sigma^2 a_{k-1} + s^2 pi_{k-1})         e_0 = delta rho^2
        pi_k = n_k + 2 y n_k' + y e_k                        g_k = (l s^2/2) g_{k-1},  g_0 = 1

    with the constants of layer `k` (`pi_k` at `rho = r` below, `e_k` at `rho = R`). The expected length of the curve
    over the root, and the sum of those of its differences along the edges of the tree, are bounded by

        Lambda_k = eta sqrt(a_{k-1}) int_0^1 sqrt(sigma^2 a_{k-1} + s^2 pi_{k-1}(gamma^2)) d gamma
        T_k = eta' s T_{k-1} + l f s^2 tau sqrt(g_{k-1}) int_0^1 gamma^(k+delta) sqrt(e_{k-1}(gamma^2)) d gamma

    with `T_0 = tau`. `a_0 = 1`, `a_1 = 1 - first` (an expression in `P_DEAD`) and, for `k >= 2`,
    `a_k = a_{k-1} (1 - max(off^l, signs))`: `off`, the probability that a neuron is off on the whole curve, is an
    expression in `SURVIVAL = a_{k-1}`, `LENGTH = Lambda_{k-1} + T_{k-1}`, the further state of layer `k - 1` and the
    `parameters`. The further state is `start` behind layer 1, then `step`, in `SURVIVAL = a_{k-1}`, itself and the
    parameters. The integrals stand for upper bounds of them: on each of `pieces` equal pieces of [0, 1] the polynomial,
    convex in `gamma`, is replaced by its chord, and then
    `int gamma^j sqrt(chord) <= (int gamma^j)^(1/2) (int gamma^j chord)^(1/2)`; behind `fine_layers` layers, where `g_k`
    is small for all usual laws, the second one by `sqrt(e_{k-1}(1))/(k + delta + 1)`.
    """

    first: sympy.Expr
    further: tuple[sympy.Symbol, ...]
    start: tuple[sympy.Expr, ...]
    parameters: tuple[sympy.Symbol, ...]
    off: sympy.Expr
    step: tuple[sympy.Expr, ...]
    layers: tuple[CurveLayer, ...]
    weights_only: bool
    pieces: int = 64
    fine_layers: int = 24

    @property
    def symbols(self) -> frozenset[sympy.Symbol]:
        """The quantities of the case that the bound needs."""
        sizes = {TREE_LENGTH, ROOT_NORM, RADIUS} if len(self.layers) > 1 else set()
        return frozenset(sizes | ({P_DEAD} & self.first.free_symbols))
