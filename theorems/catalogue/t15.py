"""T15: depth with zero biases, any symmetric weights, any finite data: zeros on a tour (math §5 T15)."""

from __future__ import annotations

import sympy

from theorems.backward import BackwardProgram
from theorems.bounds import P_DEAD, TOUR_ZEROS, BestOf, Recursion
from theorems.catalogue.layers import (
    CONSTANT_OUTPUT,
    DEAD_LAYER,
    ZERO_BIAS_LAYERS_KEPT,
    all_off,
    all_signs_nonpositive,
    binomial_at_least,
    width_rate,
)
from theorems.errors import InvalidInput
from theorems.hypotheses import IndependentInitialization, LabelsVary, OptimizerKeepsDead, ZeroBiases
from theorems.laws import Law, Normal, TruncatedNormal, Uniform
from theorems.problem import Problem
from theorems.theorem import Instance, Theorem

__all__ = ["THEOREM", "TRUNCATED_TILT", "bound", "bounds", "zeros_per_half_turn"]

_ZEROS, _SURVIVAL = sympy.symbols("nu a", nonnegative=True)
_RHO, _WIDTH, _SIGNS, _OFF = sympy.symbols("rho l e q", nonnegative=True)
_DEAD_NEURON = sympy.Max(1 - _ZEROS / (2 * _SURVIVAL), 0) / 2
_STEP = (_RHO * _ZEROS, _SURVIVAL * (1 - sympy.Max(_DEAD_NEURON**_WIDTH, _SIGNS)))

TRUNCATED_TILT = sympy.Rational("0.3281")


def bound(problem: Problem, needed: int | None = None) -> BestOf:
    """The bounds for the number of zeros `TOUR_ZEROS`."""
    return bounds(problem, TOUR_ZEROS, needed)


def bounds(problem: Problem, zeros: sympy.Expr, needed: int | None, *, two_rays: bool = False) -> BestOf:
    """The best of recursion, closed form and backward program, for the event that some hidden layer is dead.

    With `needed` the event is instead that at least so many first-layer neurons or some hidden layer are dead.

    Symbols: zeros = nu_0; two_rays as in `BackwardProgram`.
    """
    first = _first_layer(problem.architecture.hidden[0], zeros, needed)
    rays = max(problem.data.n_rays, 1)  # no ray at all: every layer is dead, and 1 is a safe number of rays
    backward = BackwardProgram(first, zeros / 2, problem.architecture.hidden, rays, two_rays)
    return BestOf(
        ("recursion", "closed form", "backward program"),
        (_recursion(problem, zeros, first), _closed_form(problem, sympy.Min(rays, 1 + zeros / 2)), backward),
    )


def _recursion(problem: Problem, zeros: sympy.Expr, first: sympy.Expr) -> Recursion:
    """`nu_k = rho(l_k) nu_{k-1}`, `a_k = a_{k-1} (1 - F_k(nu_{k-1}/a_{k-1}))`; the bound is `1 - a_H`.

    `nu_k` bounds the mean number of zeros of a neuron of layer `k + 1` on the image of the tour, `a_k` the probability
    of no dead layer up to `k`.
    """
    widths = problem.architecture.hidden
    return Recursion(
        state=(_ZEROS, _SURVIVAL),
        start=(_contraction(widths[0]) * zeros, first),
        parameters=(_RHO, _WIDTH, _SIGNS),
        step=_STEP,
        layers=tuple(
            (_contraction(width), sympy.Integer(width), all_signs_nonpositive(problem, layer))
            for layer, width in enumerate(widths[1:], start=2)
        ),
        result=1 - _SURVIVAL,
    )


def _closed_form(problem: Problem, factor: sympy.Expr) -> Recursion:
    """`1 - min(K_r, 1 + nu_0/2) prod_k (1 - 2^-l_k)`, one factor a layer."""
    return Recursion(
        state=(_SURVIVAL,),
        start=(factor,),
        parameters=(_OFF,),
        step=(_SURVIVAL * (1 - _OFF),),
        layers=tuple((all_off(width),) for width in problem.architecture.hidden),
        result=1 - _SURVIVAL,
    )


def _first_layer(width: int, zeros: sympy.Expr, needed: int | None) -> sympy.Expr:
    """Upper bound of the probability of fewer than `needed` dead first-layer neurons (None: of one that is not dead).

    A neuron without zeros on the tour is dead with probability 1/2, so `p_1 >= (1 - nu_0/2)/2`.
    """
    dead = sympy.Max(P_DEAD, sympy.Rational(1, 2) - zeros / 4)
    return 1 - binomial_at_least(width, width if needed is None else needed).xreplace({P_DEAD: dead})


def _contraction(width: int) -> sympy.Expr:
    """`rho(n) = 1 - (n + 2) 2^{-n-1}`, and `rho(1) = 0`."""
    return sympy.Integer(0) if width == 1 else 1 - sympy.Rational(width + 2, 2) * all_off(width)


def zeros_per_half_turn(law: Law) -> sympy.Expr:
    """`C` such that a combination of independent rows of this law has at most `C/pi` zeros per unit angle in the mean.

    Rigour:   upper bounds, proved (proofs/zero_bias.md, "The table"); 1 is exact for normal weights.
    Symbols:  TRUNCATED_TILT = lambda, for which the symmetric density proportional to `e^{-y^2/2 - lambda |y|}` has at
              most the variance of the unit normal law truncated at two standard deviations.
    Fails:    InvalidInput for a law without a density.
    """
    match law:
        case Normal():
            return sympy.Integer(1)
        case TruncatedNormal():
            tail = 1 - sympy.erf(TRUNCATED_TILT / sympy.sqrt(2))
            return sympy.exp(-(TRUNCATED_TILT**2) / 2) / tail
        case Uniform():
            return 9 * sympy.pi / (8 * sympy.E * sympy.log(sympy.Rational(3, 2)))
        case _:
            raise InvalidInput(f"weight law {law}: expected one with a density: normal, truncated normal or uniform")


def _instance(problem: Problem, number: int) -> Instance:
    hypotheses = (
        IndependentInitialization(),
        ZeroBiases(),
        LabelsVary(),
        OptimizerKeepsDead(ZERO_BIAS_LAYERS_KEPT),
    )
    return Instance(hypotheses, lambda: bound(problem), DEAD_LAYER, CONSTANT_OUTPUT, width_rate(problem))


THEOREM = Theorem(
    id="T15",
    title="Depth, zero biases, zeros on a tour",
    claims=("C1", "C3", "C4"),
    statement="A random layer lowers the mean number of zeros that a neuron of the next layer has on a closed curve "
    "through the data, whatever the symmetric law of the weights; a neuron without zeros is dead with probability 1/2, "
    "so deep layers die almost as if there were one input ray, and the risk stays at or above nu + V for ever.",
    formula=r"P(\text{some hidden layer dead}) \ge 1 - \min\left(a_H, "
    r"\min\left(K_r, 1 + \tfrac{\nu_0}{2}\right) \prod_{k \le H}(1 - 2^{-l_k})\right),\quad "
    r"a_k = a_{k-1}\left(1 - F_k(\nu_{k-1}/a_{k-1})\right),\quad "
    r"\nu_k = \left(1 - (l_k + 2) 2^{-l_k - 1}\right) \nu_{k-1},\quad "
    r"F_k(v) = \max\left(2^{-l_k}\left(1 - \tfrac{v}{2}\right)_+^{l_k}, 2^{-l_{k-1} l_k}\right)",
    proof="theorems/proofs/zero_bias.md#t15",
    not_covered="Biases that are not zero (see T10); weights that are not independent or have atoms; very few layers "
    "for many inputs in high dimension. For two rays and normal weights T14 is sharper.",
    instance=_instance,
    keeps=ZERO_BIAS_LAYERS_KEPT,
)
