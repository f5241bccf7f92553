"""Exact dead-neuron probabilities for scalar inputs (math §6.1, §6.2).

A neuron `w x + b` is dead on the data iff it is `<= 0` at the least and at the greatest input, because it is affine.
"""

from __future__ import annotations

import sympy

from theorems.hypotheses import Evidence
from theorems.laws import Normal, Uniform
from verify.dead_neuron.result import DeadProbability, FirstLayer
from verify.enclosure import Enclosure, Tri, evaluate, is_at_most

__all__ = ["normal_1d", "uniform_1d"]


def normal_1d(first: FirstLayer) -> DeadProbability | None:
    """Normal weight and bias: `1/2 - (atan(r xmax) - atan(r xmin))/(2 pi)`, `r = sw/sb`.

    Source:   math §6.1: `(pi - angle)/(2 pi)`, angle between `(sw xmin, sb)` and `(sw xmax, sb)`.
    Rigour:   enclosure, both sides.
    """
    weight, bias = first.weight, first.bias
    if first.dimension != 1 or not (isinstance(weight, Normal) and isinstance(bias, Normal)):
        return None
    low, high = _ends(first)
    ratio = weight.scale / bias.scale
    value = sympy.Rational(1, 2) - (sympy.atan(ratio * high) - sympy.atan(ratio * low)) / (2 * sympy.pi)
    return _certified("normal_1d", evaluate(value), f"angle formula for inputs in [{low}, {high}]")


def uniform_1d(first: FirstLayer) -> DeadProbability | None:
    """Uniform weight and bias: `(G(-r xmax) + G(r xmin))/4`, `r` the ratio of their half-widths.

    Source:   math §6.2: area of `{w xmin + b <= 0, w xmax + b <= 0}` in the rectangle; `G(c)` is the integral over
              `u` in [0, 1] of the part of `v` in [-1, 1] with `v <= c u`.
    Rigour:   enclosure, both sides; exact where `r` is rational. Declines if a comparison stays undecided.
    """
    weight, bias = first.weight, first.bias
    if first.dimension != 1 or not (isinstance(weight, Uniform) and isinstance(bias, Uniform)):
        return None
    low, high = _ends(first)
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


def _ends(first: FirstLayer) -> tuple[sympy.Rational, sympy.Rational]:
    low, high = first.ranges[0]
    return sympy.Rational(low.numerator, low.denominator), sympy.Rational(high.numerator, high.denominator)


def _certified(method: str, enclosure: Enclosure, why: str) -> DeadProbability:
    return DeadProbability(method, enclosure, True, Evidence.CERTIFIED, why)
