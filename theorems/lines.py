"""The shape of T18's bound: affine bounds of survival, run from the last layer to the first."""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from theorems.bounds import P_DEAD, TOUR_ZEROS, Bound

__all__ = ["LineProgram"]


@dataclass(frozen=True)
class LineProgram(Bound):
    """The lower bound `1 - U` of T18, `U` the least of the starts below (proofs/zero_bias_lines.md).

    A line at layer `k` bounds the probability that some point of a closed curve in the outputs of layer `k` survives
    the later layers by `alpha_a + beta Z`: `a` neurons are on somewhere on the curve, `Z` is the mean number of zeros
    of a random functional on it. One line at the last layer is known, and rules turn lines at a layer into lines at the
    layer before, with a free slope in each. Every choice gives a lower bound; `verify.enclosure.lines` chooses, and
    only the number so obtained is called the value of this bound. `U` is the least of what the lines at layer 1 give
    for the tour of the inputs, for the inputs as points and for two opposite rays; and of `K_r prod (1 - 2^-l_k)` and
    `prod (1 - 2^-l_k) + (1 - 1/K_r) nu_0 (prod (1 - 2^-l_k) - prod P(Bin(l_k, 1/2) >= 2))`.

    Symbols: widths = (l_1, ..., l_H); n_rays = K_r >= 1; with needed the event is "fewer than `needed` dead first-layer
    neurons and no dead layer", None for no dead layer; opposite = the inputs lie on two rays that form a line.
    """

    widths: tuple[int, ...]
    n_rays: int
    needed: int | None = None
    opposite: bool = False

    @property
    def symbols(self) -> frozenset[sympy.Symbol]:
        """The quantities of the case that the bound needs."""
        return frozenset({P_DEAD, TOUR_ZEROS})
