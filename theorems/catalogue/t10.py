"""T10: depth, contraction, with the exact exponential rate (math §5 T10)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sympy

from theorems.bounds import SPREAD, TREE_LENGTH, BestOf, Recursion
from theorems.catalogue.layers import (
    BLOCK_FREEZE,
    CONSTANT_OUTPUT,
    DEAD_LAYER,
    MAX_SIGN_BITS,
    all_signs_nonpositive,
    binomial_at_least,
    exact_sum,
    width_rate,
)
from theorems.hypotheses import (
    BoundedBiasDensity,
    IndependentInitialization,
    LabelsVary,
    OptimizerKeepsDead,
)
from theorems.laws import Law, Normal, Uniform
from theorems.problem import Problem
from theorems.setting import DataSet
from theorems.theorem import Instance, Rate, Theorem

__all__ = ["THEOREM", "bound"]

_SIZE, _SURVIVAL = sympy.symbols("c a", nonnegative=True)
_PHI, _RHO, _WIDTH, _SIGNS = sympy.symbols("phi rho l e", nonnegative=True)
_DEATH = sympy.Max(1 - _PHI * _SIZE / _SURVIVAL, 0) / 2
_STEP = (_RHO * _SIZE, _SURVIVAL * (1 - sympy.Max(_DEATH**_WIDTH, _SIGNS)))


def bound(problem: Problem, needed: int | None = None) -> BestOf:
    """`a_k = a_{k-1} (1 - F_k(c_{k-1}/a_{k-1}))`, `c_k = rho_k c_{k-1}`; `1 - a_H`, best of three functionals.

    `c_k` bounds the mean of a functional of the outputs of layer `k` over the data, `a_k` the probability of no dead
    layer up to `k`, or for layer 1 of fewer than `needed` dead neurons (None: of no dead layer).
    """
    return BestOf(tuple(_FUNCTIONALS), tuple(_recursion(problem, needed, each) for each in _FUNCTIONALS.values()))


@dataclass(frozen=True)
class _Functional:
    """How large a functional of the inputs is, and with which constants a layer contracts it and dies (math §5 T10).

    death gives `phi_k / f_k` and contraction `rho_k` for a weight law and a width.
    """

    of_inputs: Callable[[DataSet], sympy.Expr]
    death: Callable[[Law], sympy.Expr]
    contraction: Callable[[Law, int], sympy.Expr]


def _by_deviation(weight: Law, width: int) -> sympy.Expr:
    return sympy.sqrt(weight.variance * width / 2)


def _projection(weight: Law) -> sympy.Expr:
    """A bound of `E|w.v|` for `|v| = 1`: the mean `E|w_i|` for uniform and normal weights, else the deviation."""
    return weight.mean_absolute if isinstance(weight, Uniform | Normal) else sympy.sqrt(weight.variance)


_FUNCTIONALS = {
    "oscillation": _Functional(
        lambda data: exact_sum(high - low for low, high in data.input_ranges),
        lambda weight: weight.mean_absolute,
        lambda weight, width: width * weight.mean_absolute / 2,
    ),
    "tree": _Functional(lambda data: TREE_LENGTH, _projection, _by_deviation),
    "spread": _Functional(
        lambda data: SPREAD,
        lambda weight: sympy.sqrt(2 * weight.variance),
        _by_deviation,
    ),
}


def _recursion(problem: Problem, needed: int | None, functional: _Functional) -> Recursion:
    hidden = problem.architecture.hidden
    weight, _ = problem.layer_laws(1)
    dead = binomial_at_least(hidden[0], hidden[0] if needed is None else needed)
    return Recursion(
        state=(_SIZE, _SURVIVAL),
        start=(functional.contraction(weight, hidden[0]) * functional.of_inputs(problem.data), 1 - dead),
        parameters=(_PHI, _RHO, _WIDTH, _SIGNS),
        step=_STEP,
        layers=tuple(_layer(problem, layer, functional) for layer in range(2, len(hidden) + 1)),
        result=1 - _SURVIVAL,
    )


def _layer(problem: Problem, layer: int, functional: _Functional) -> tuple[sympy.Expr, ...]:
    weight, bias = problem.layer_laws(layer)
    width = problem.architecture.widths[layer]
    return (
        bias.density_bound * functional.death(weight),
        functional.contraction(weight, width),
        sympy.Integer(width),
        all_signs_nonpositive(problem, layer),
    )


def _instance(problem: Problem, number: int) -> Instance:
    hypotheses = (
        IndependentInitialization(),
        BoundedBiasDensity(),
        LabelsVary(),
        OptimizerKeepsDead(BLOCK_FREEZE),
    )
    return Instance(hypotheses, lambda: bound(problem), DEAD_LAYER, CONSTANT_OUTPUT, _rate(problem))


def _rate(problem: Problem) -> Rate | None:
    """The exact rate holds where layers contract faster than they survive, `rho < 1 - 2^-w` (proofs/depth.md, Rate)."""
    hidden = problem.architecture.hidden
    if len(hidden) < 2 or hidden[0] > MAX_SIGN_BITS or not problem.initialization.independent:
        return None
    weight, bias = problem.layer_laws(2)
    limit = 1 - sympy.Rational(1, 2 ** hidden[0])
    contracts = [(each.contraction(weight, hidden[0]) < limit) == sympy.true for each in _FUNCTIONALS.values()]
    return width_rate(problem) if bias.density_bound is not None and any(contracts) else None


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
    "bound falls back to the sign probabilities. Weight decay (see T13, T16).",
    instance=_instance,
    keeps=BLOCK_FREEZE,
)
