"""Exact dead-neuron probabilities for scalar inputs (math §6.1, §6.2, §6.3).

A neuron `w x + b` is dead on the data iff it is `<= 0` at the least and at the greatest input, because it is affine.
"""

from __future__ import annotations

from fractions import Fraction

import sympy

from theorems.hypotheses import Evidence
from theorems.laws import Normal, Uniform, Zero
from theorems.problem import Problem
from verify.dead_neuron.result import DeadProbability
from verify.enclosure import Enclosure, Tri, evaluate, is_at_most

__all__ = ["normal_1d", "uniform_1d", "zero_bias_1d"]


def normal_1d(problem: Problem) -> DeadProbability | None:
    """Normal weight and bias: `1/2 - (atan(r xmax) - atan(r xmin))/(2 pi)`, `r = sw/sb`.

    Source:   math §6.1: `(pi - angle)/(2 pi)`, angle between `(sw xmin, sb)` and `(sw xmax, sb)`.
    Rigour:   enclosure, both sides.
    """
    weight, bias = problem.layer_laws(1)
    if problem.data.input_dim != 1 or not (isinstance(weight, Normal) and isinstance(bias, Normal)):
        return None
    low, high = _ends(problem)
    ratio = weight.scale / bias.scale
    value = sympy.Rational(1, 2) - (sympy.atan(ratio * high) - sympy.atan(ratio * low)) / (2 * sympy.pi)
    return _certified("normal_1d", evaluate(value), f"angle formula for inputs in [{low}, {high}]")


def uniform_1d(problem: Problem) -> DeadProbability | None:
    """Uniform weight and bias: `(G(-r xmax) + G(r xmin))/4`, `r` the ratio of their half-widths.

    Source:   math §6.2: area of `{w xmin + b <= 0, w xmax + b <= 0}` in the rectangle; `G(c)` is the integral over
              `u` in [0, 1] of the part of `v` in [-1, 1] with `v <= c u`.
    Rigour:   enclosure, both sides; exact where `r` is rational. Declines if a comparison stays undecided.
    """
    weight, bias = problem.layer_laws(1)
    if problem.data.input_dim != 1 or not (isinstance(weight, Uniform) and isinstance(bias, Uniform)):
        return None
    low, high = _ends(problem)
    ratio = weight.half_width / bias.half_width
    parts = [_area(-ratio * high), _area(ratio * low)]
    if any(part is None for part in parts):
        return None
    value = sum((part for part in parts if part is not None), sympy.Integer(0)) / 4
    return _certified("uniform_1d", evaluate(value), f"area of a polygon for inputs in [{low}, {high}]")


def _area(slope: sympy.Expr) -> sympy.Expr | None:
    """`G(c)`: `1 + c/2` for `|c| <= 1`, `2 - 1/(2c)` above, `1/(2|c|)` below."""
    match is_at_most(slope, sympy.Integer(1)), is_at_most(sympy.Integer(-1), slope):
        case Tri.YES, Tri.YES:
            return 1 + slope / 2
        case Tri.NO, _:
            return 2 - 1 / (2 * slope)
        case _, Tri.NO:
            return -1 / (2 * slope)
        case _:
            return None


def zero_bias_1d(problem: Problem) -> DeadProbability | None:
    """Zero bias, any symmetric weight without atom: 1/2 if the non-zero inputs have one sign, else 0; 1 if all are 0.

    Source:   math §6.3.
    Rigour:   exact.
    """
    weight, bias = problem.layer_laws(1)
    if problem.data.input_dim != 1 or not isinstance(bias, Zero) or isinstance(weight, Zero):
        return None
    signs = {x > 0 for (x,) in problem.data.inputs if x != 0}
    value, why = {
        0: (Fraction(1), "every input is 0"),
        1: (Fraction(1, 2), "zero bias, non-zero inputs of one sign"),
        2: (Fraction(0), "zero bias and inputs of both signs: no neuron is dead on all of them"),
    }[len(signs)]
    return _certified("zero_bias_1d", Enclosure.point(value), why)


def _ends(problem: Problem) -> tuple[sympy.Rational, sympy.Rational]:
    low, high = problem.data.input_ranges[0]
    return sympy.Rational(low.numerator, low.denominator), sympy.Rational(high.numerator, high.denominator)


def _certified(method: str, enclosure: Enclosure, why: str) -> DeadProbability:
    return DeadProbability(method, enclosure, True, Evidence.CERTIFIED, why)
