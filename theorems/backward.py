"""The shape of the sharper bound of T14 and T15: a program over the layers, run from the last one to the first."""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from theorems.bounds import P_DEAD, SIZES, Bound

__all__ = ["TURNS", "BackwardProgram", "mean_turns"]

TURNS = sympy.Symbol("y", nonnegative=True)


@dataclass(frozen=True)
class BackwardProgram(Bound):
    """The bound `1 - (t_1 first + s_1 g_1(turns))`, from weights of survival and of length that are found backward.

    `y` counts zeros in pairs, that is, lengths in full turns. With `n = l_k`, `g_k` of `mean_turns`, and
    `p_k(y) = 1 - max(2^-n (1-y)_+^n, 2^{-l_{k-1} n})`, let `t_H = 1`, `s_H = 0`, and for `k = H, ..., 2` let
    `t_{k-1}, s_{k-1}` be any numbers with

        t_{k-1} + s_{k-1} y >= t_k p_k(y) + s_k g_k(y)  for all y >= 0 (two rays: for 0 <= y <= 1/2),

    or `n_rays prod_{i>=k} (1 - 2^-l_i), 0`. Every choice gives a lower bound; `verify.enclosure.backward` chooses
    tangents on a grid with `cells` cells an octave, and only the value so obtained is called the value of this bound.

    Symbols: first is an upper bound of the probability that layer 1 is alive (or of another event of layer 1), and
    turns = nu_0/2 = c_0/(2 pi), both in quantities of the case; widths = (l_1, ..., l_H); n_rays = K_r >= 1;
    two_rays: normal weights, and `y` is the angle of the outputs of the two rays in half turns.
    """

    first: sympy.Expr
    turns: sympy.Expr
    widths: tuple[int, ...]
    n_rays: int
    two_rays: bool = False
    cells: int = 32

    @property
    def symbols(self) -> frozenset[sympy.Symbol]:
        """The quantities of the case that the bound needs."""
        later = self.turns.free_symbols if len(self.widths) > 1 else set()
        return frozenset((self.first.free_symbols | later) & {P_DEAD, *SIZES})


def mean_turns(width: int, two_rays: bool) -> sympy.Expr:
    """`g(y)`: upper bound of the mean length of the next image of a tour of length `y = TURNS`, both in full turns.

    `rho(n) y - (n/2) 2^-n y (1-y)_+^{n-1}`; for two rays also `y (1 - 2^-n ((n+1) - n(n-1) y/4))`.
    """
    off = sympy.Rational(1, 2**width)
    kept = TURNS * (1 - (width + 1) * off)
    joined = TURNS * width * off / 2 * (1 - (sympy.Max(1 - TURNS, 0) ** (width - 1) if width > 1 else 1))
    crossing = TURNS**2 * width * (width - 1) * off / 4
    return kept + (sympy.Min(joined, crossing) if two_rays else joined)
