"""A lower bound of `p_1` for inputs in the unit box (math §6.5)."""

from __future__ import annotations

from fractions import Fraction
from math import comb, factorial

from theorems.hypotheses import Evidence
from theorems.laws import Uniform
from theorems.problem import Problem
from verify.dead_neuron.result import DeadProbability
from verify.enclosure import Enclosure

__all__ = ["box_uniform", "unit_box_probability"]


def unit_box_probability(dimension: int) -> Fraction:
    """Probability that a neuron is `<= 0` on all of `[0,1]^d`, weights and bias uniform on one `(-c, c)`.

    Source:   math §6.5: `sum_k C(d,k) / (2^(d+1) (k+1)!)`; 3/8, 13/48, 73/384 for d = 1, 2, 3.
    Rigour:   exact.
    """
    total = sum((Fraction(comb(dimension, k), factorial(k + 1)) for k in range(dimension + 1)), Fraction(0))
    return total * Fraction(1, 2 ** (dimension + 1))


def box_uniform(problem: Problem) -> DeadProbability | None:
    """Lower bound for inputs in `[0,1]^d` and weights and bias uniform with one half-width (PyTorch's default)."""
    weight, bias = problem.layer_laws(1)
    if not (isinstance(weight, Uniform) and isinstance(bias, Uniform)) or weight.half_width != bias.half_width:
        return None
    if any(low < 0 or high > 1 for low, high in problem.data.input_ranges):
        return None
    lower = unit_box_probability(problem.data.input_dim)
    why = f"the inputs lie in [0,1]^{problem.data.input_dim}"
    return DeadProbability("box_uniform", Enclosure(lower, Fraction(1)), False, Evidence.CERTIFIED, why)
