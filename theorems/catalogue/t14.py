"""T14: depth with zero biases and normal weights: contraction of a tour (math §5 T14)."""

from __future__ import annotations

import sympy

from theorems.bounds import TOUR_LENGTH, BestOf
from theorems.catalogue import t15
from theorems.catalogue.layers import CONSTANT_OUTPUT, DEAD_LAYER, ZERO_BIAS_LAYERS_KEPT, width_rate
from theorems.hypotheses import (
    IndependentInitialization,
    LabelsVary,
    NormalWeights,
    OptimizerKeepsDead,
    ZeroBiases,
)
from theorems.problem import Problem
from theorems.theorem import Instance, Theorem

__all__ = ["THEOREM", "bound"]


def bound(problem: Problem, needed: int | None = None) -> BestOf:
    """The bounds of T15 with `nu_0 = c_0/pi`; two rays have a contraction of their own in the backward program."""
    return t15.bounds(problem, TOUR_LENGTH / sympy.pi, needed, two_rays=problem.data.n_rays == 2)


def _instance(problem: Problem, number: int) -> Instance:
    hypotheses = (
        IndependentInitialization(),
        ZeroBiases(),
        NormalWeights(),
        LabelsVary(),
        OptimizerKeepsDead(ZERO_BIAS_LAYERS_KEPT),
    )
    return Instance(hypotheses, lambda: bound(problem), DEAD_LAYER, CONSTANT_OUTPUT, width_rate(problem))


THEOREM = Theorem(
    id="T14",
    title="Depth, zero biases, normal weights",
    claims=("C1", "C3", "C4"),
    statement="A layer of normal weights contracts a closed curve through the directions of the data in the mean, "
    "whatever its width, so deep layers see nearly one direction and are dead with probability near 2^-width; a dead "
    "layer keeps the output constant on the data and the risk at or above nu + V for ever.",
    formula=r"P(\text{some hidden layer dead}) \ge 1 - \min\left(a_H, "
    r"\min\left(K_r, 1 + \tfrac{c_0}{2\pi}\right) \prod_{k \le H}(1 - 2^{-l_k})\right),\quad "
    r"a_k = a_{k-1}\left(1 - F_k(c_{k-1}/a_{k-1})\right),\quad "
    r"c_k = \left(1 - (l_k + 2) 2^{-l_k - 1}\right) c_{k-1},\quad "
    r"F_k(v) = \max\left(2^{-l_k}\left(1 - \tfrac{v}{2\pi}\right)_+^{l_k}, 2^{-l_{k-1} l_k}\right)",
    proof="theorems/proofs/zero_bias.md#t14",
    not_covered="Biases that are not zero (see T10); weights that are not normal (see T15); very few layers for many "
    "inputs in high dimension.",
    instance=_instance,
    keeps=ZERO_BIAS_LAYERS_KEPT,
)
