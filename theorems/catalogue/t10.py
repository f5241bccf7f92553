"""T10: depth, contraction, with the exact exponential rate (math §5 T10, oscillation functional)."""

from __future__ import annotations

from fractions import Fraction

import sympy

from theorems.bounds import P_DEAD, Recursion
from theorems.catalogue.layers import CONSTANT_OUTPUT, DEAD_LAYER, MAX_SIGN_BITS, all_signs_nonpositive, width_rate
from theorems.hypotheses import (
    BoundedBiasDensity,
    IndependentInitialization,
    LabelsVary,
    OptimizerKeepsDead,
    Property,
)
from theorems.problem import Problem
from theorems.theorem import Instance, Rate, Theorem

__all__ = ["THEOREM", "bound"]

_OSCILLATION, _SURVIVAL = sympy.symbols("c a", nonnegative=True)
_PHI, _RHO, _WIDTH, _SIGNS = sympy.symbols("phi rho l e", nonnegative=True)
_DEATH = sympy.Max(1 - _PHI * _OSCILLATION / _SURVIVAL, 0) / 2
_STEP = (_RHO * _OSCILLATION, _SURVIVAL * (1 - sympy.Max(_DEATH**_WIDTH, _SIGNS)))


def bound(problem: Problem) -> Recursion:
    """`a_k = a_{k-1} (1 - F_k(c_{k-1}/a_{k-1}))`, `c_k = rho_k c_{k-1}`; the bound is `1 - a_H`.

    `c_k` bounds the mean oscillation of layer `k` over the data, `a_k` the probability of no dead layer up to `k`.
    """
    hidden = problem.architecture.hidden
    spread = sum((high - low for low, high in problem.data.input_ranges), Fraction(0))
    weight, _ = problem.layer_laws(1)
    start = hidden[0] * weight.mean_absolute / 2 * sympy.Rational(spread.numerator, spread.denominator)
    return Recursion(
        state=(_OSCILLATION, _SURVIVAL),
        start=(start, 1 - P_DEAD ** hidden[0]),
        parameters=(_PHI, _RHO, _WIDTH, _SIGNS),
        step=_STEP,
        layers=tuple(_layer(problem, layer) for layer in range(2, len(hidden) + 1)),
        result=1 - _SURVIVAL,
    )


def _layer(problem: Problem, layer: int) -> tuple[sympy.Expr, ...]:
    weight, bias = problem.layer_laws(layer)
    width = problem.architecture.widths[layer]
    return (
        bias.density_bound * weight.mean_absolute,
        width * weight.mean_absolute / 2,
        sympy.Integer(width),
        all_signs_nonpositive(problem, layer),
    )


def _instance(problem: Problem, number: int) -> Instance:
    hypotheses = (
        IndependentInitialization(),
        BoundedBiasDensity(),
        LabelsVary(),
        OptimizerKeepsDead(((Property.FB, Property.FB),)),
    )
    return Instance(hypotheses, lambda: bound(problem), DEAD_LAYER, CONSTANT_OUTPUT, _rate(problem))


def _rate(problem: Problem) -> Rate | None:
    """The exact rate holds where layers contract faster than they survive, `rho < 1 - 2^-w` (proofs/depth.md, Rate)."""
    hidden = problem.architecture.hidden
    if len(hidden) < 2 or hidden[0] > MAX_SIGN_BITS or not problem.initialization.independent:
        return None
    weight, bias = problem.layer_laws(2)
    contraction = hidden[0] * weight.mean_absolute / 2
    if bias.density_bound is None or (contraction < 1 - sympy.Rational(1, 2 ** hidden[0])) != sympy.true:
        return None
    return width_rate(problem)


THEOREM = Theorem(
    id="T10",
    title="Depth, contraction",
    claims=("C1", "C3", "C4"),
    statement="Random layers contract the oscillation of their outputs over the data, so deep layers see nearly one "
    "point, and each is dead with probability near 2^-width; a dead layer keeps the risk at or above nu + V for ever.",
    formula=r"P(\text{some hidden layer dead}) \ge 1 - a_H,\quad a_1 = 1 - p_1^{l_1},\quad "
    r"a_k = a_{k-1}\left(1 - F_k(c_{k-1}/a_{k-1})\right),\quad c_k = \rho_k c_{k-1},\quad "
    r"F_k(v) = \max\left(\left(\tfrac{(1 - \phi_k v)_+}{2}\right)^{l_k}, "
    r"\left(q_b^{(k)} (q_w^{(k)})^{l_{k-1}}\right)^{l_k}\right)",
    proof="theorems/proofs/depth.md#t10",
    not_covered="Zero biases (no bias density); laws whose scale grows so fast that layers do not contract: then the "
    "bound falls back to the sign probabilities. Weight decay. Only the oscillation functional is evaluated.",
    instance=_instance,
)
