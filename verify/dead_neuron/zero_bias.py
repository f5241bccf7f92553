"""Dead-neuron probabilities for zero biases in any dimension (math §6.3), and a lower bound for normal laws.

With zero biases only the rays of the inputs matter, and the laws only up to a positive factor.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import sympy
from scipy.optimize import nnls
from scipy.special import betainc

from theorems.hypotheses import Evidence
from theorems.laws import Normal, Zero
from theorems.setting import Vector
from verify.dead_neuron.partition import are_comparable
from verify.dead_neuron.result import DeadProbability, FirstLayer
from verify.enclosure import Enclosure, evaluate
from verify.separation import separate

__all__ = ["normal_cap", "zero_bias_hull", "zero_bias_orthant"]

DIRECTION_BITS = 30
SINE_BITS = 48
LONGEST_SHOWN = 100
HALF = sympy.Rational(1, 2)


def zero_bias_hull(first: FirstLayer) -> DeadProbability | None:
    """Zero bias, any symmetric weight without atom: 0 if 0 is in the hull of the non-zero inputs, 1/2 on one ray.

    1 if every input is 0. Declines where 0 is outside the hull and there are several rays: then `p_1 > 0`.
    Source:   math §6.3.
    Rigour:   exact: 0 is an exact convex combination of inputs.
    """
    if not isinstance(first.bias, Zero) or isinstance(first.weight, Zero):
        return None
    rays = first.rays
    if len(rays) < 2:
        value, why = (Fraction(1, 2), "zero bias, inputs on one ray") if rays else (Fraction(1), "every input is 0")
        return _exactly("zero_bias_hull", value, why)
    multipliers = separate(rays).multipliers
    if multipliers is None:
        return None
    why = f"zero bias, and 0 is a convex combination of {_combination(rays, multipliers)}: no neuron is dead on all"
    return _exactly("zero_bias_hull", Fraction(0), why)


def _combination(rays: tuple[Vector, ...], multipliers: tuple[tuple[int, Fraction], ...]) -> str:
    written = " + ".join(f"{value} ({', '.join(map(str, rays[j]))})" for j, value in multipliers)
    count = f"{len(multipliers)} rays of non-zero inputs"
    return f"{count} (0 = {written})" if len(written) <= LONGEST_SHOWN else count


def zero_bias_orthant(first: FirstLayer) -> DeadProbability | None:
    """Zero bias, inputs in one closed orthant: at least `2^-m`, m the number of rays or of coordinates that occur.

    Exact if every occurring coordinate axis is a ray, or no two rays share a coordinate.
    Source:   math §6.3: all weights of occurring coordinates point away; or Harris' inequality, as the events of single
              rays are monotone, each weight in one sense, and have probability 1/2.
    Rigour:   exact lower bound.
    """
    if not isinstance(first.bias, Zero) or isinstance(first.weight, Zero):
        return None
    rays = first.rays
    if not rays or any(low < 0 < high for low, high in first.ranges):
        return None
    supports = [frozenset(i for i, v in enumerate(ray) if v) for ray in rays]
    occurring = frozenset().union(*supports)
    axes = sum(len(support) == 1 for support in supports)
    fewest = min(len(rays), len(occurring))
    value = Fraction(1, 2**fewest)
    if axes == len(occurring) or sum(map(len, supports)) == len(occurring):
        why = f"zero bias, {fewest} independent signs decide"
        return _exactly("zero_bias_orthant", value, why)
    why = f"zero bias, {len(rays)} rays in one orthant, {len(occurring)} coordinates occur"
    return DeadProbability("zero_bias_orthant", Enclosure(value, Fraction(1)), False, Evidence.CERTIFIED, why)


def normal_cap(first: FirstLayer) -> DeadProbability | None:
    """Normal weights, normal or zero bias, inputs in an open half-space: at least the measure of a spherical cap.

    If `u.v_j <= -s |u| |v_j|` for all vectors `v_j = (xi_j, sb/sw)` (zero bias: the non-zero `xi_j`), every parameter
    vector within the angle `arcsin s` of u is dead: share `J(arcsin s)/(2 J(pi/2))`, `J(a)` the integral of
    `sin^(n-2)` over [0, a], in n dimensions.
    Rigour:   lower bound: s is exact for the direction that a float search proposes, then rounded down. Declines if
              `(sb/sw)^2` is irrational, sb and sw are a factor 2^300 apart, or no direction is found.
    """
    if not isinstance(first.weight, Normal) or not isinstance(first.bias, Normal | Zero):
        return None
    if not are_comparable(first.weight, first.bias):
        return None
    lift = (first.bias.scale / first.weight.scale) ** 2 if isinstance(first.bias, Normal) else sympy.Integer(0)
    rays = first.inputs if lift else first.rays
    dimension = first.dimension + (1 if lift else 0)
    if not lift.is_Rational or not rays or dimension < 2:
        return None
    squared = _squared_sine(rays, Fraction(int(lift.p), int(lift.q)))
    if squared <= 0:
        return None
    why = f"all parameter vectors in a spherical cap in {dimension} dimensions are dead"
    return DeadProbability(
        "normal_cap", Enclosure(_cap(dimension, squared), Fraction(1)), False, Evidence.CERTIFIED, why
    )


def _squared_sine(rays: tuple[Vector, ...], lift: Fraction) -> Fraction:
    """`min_j (u.v_j)^2/(|u|^2 |v_j|^2)` rounded down, for a good direction u; 0 unless u is negative on all `v_j`.

    The last coordinate of u is kept as a rational multiple of `sqrt(lift)`, so that every product is rational.
    """
    direction, last = _proposed_direction(rays, lift)
    own = sum((u * u for u in direction), last * last * lift)
    least = Fraction(1)
    for ray in rays:
        product = sum((u * v for u, v in zip(direction, ray, strict=True)), last * lift)
        if product >= 0:
            return Fraction(0)
        least = min(least, product**2 / (own * sum((v * v for v in ray), lift)))
    return Fraction(math.floor(least * 2**SINE_BITS), 2**SINE_BITS)


def _proposed_direction(rays: tuple[Vector, ...], lift: Fraction) -> tuple[list[Fraction], Fraction]:
    """Float search: minus the shortest vector in the hull of the unit vectors along `(ray, sqrt(lift))`."""
    tops = [_power_near(max(*(v * v for v in ray), lift)) for ray in rays]
    rows = [[*(float(v / top) for v in ray), math.sqrt(lift / top**2)] for ray, top in zip(rays, tops, strict=True)]
    unit = np.array(rows) / np.linalg.norm(rows, axis=1)[:, None]
    # |sum l_j v_j|^2 + (1 - sum l_j)^2 is least at a multiple of the shortest vector
    weights, _ = nnls(np.vstack([unit.T, np.ones(len(unit))]), np.append(np.zeros(unit.shape[1]), 1.0))
    *proposed, last = (-(unit.T @ weights)).tolist()
    size = max(map(abs, (*proposed, last))) or 1.0
    return [_short(v / size) for v in proposed], _short(last / size) / Fraction(math.sqrt(lift) or 1.0)


def _power_near(square: Fraction) -> Fraction:
    """A power of 2 near the root of a positive number: dividing by it keeps floats from over- and underflowing."""
    return Fraction(2) ** ((square.numerator.bit_length() - square.denominator.bit_length()) // 2)


def _short(value: float) -> Fraction:
    return Fraction(round(value * 2**DIRECTION_BITS), 2**DIRECTION_BITS)


def _cap(dimension: int, squared_sine: Fraction) -> Fraction:
    """Lower bound of the share of the sphere in `dimension >= 2` dimensions within the angle of this squared sine.

    `J_n(a) = -cos(a) sin(a)^(n-1)/n + (n-1)/n J_(n-2)(a)` from `J_0(a) = a`, `J_1(a) = 1 - cos(a)`.
    """
    squared = sympy.Rational(squared_sine.numerator, squared_sine.denominator)
    sine, cosine = (sympy.Pow(value, HALF, evaluate=False) for value in (squared, 1 - squared))
    order = dimension - 2
    angle = sympy.pi / 2 if squared == 1 else sympy.atan(sine / cosine, evaluate=False)
    part = angle if order % 2 == 0 else 1 - cosine
    whole = sympy.pi / 2 if order % 2 == 0 else sympy.Integer(1)
    for n in range(2 + order % 2, order + 1, 2):
        part = sympy.Rational(n - 1, n) * part - cosine * sine ** (n - 1) / n
        whole = sympy.Rational(n - 1, n) * whole
    guess = Fraction(float(betainc((dimension - 1) / 2, 0.5, float(squared_sine))))
    tolerance = max(guess, Fraction(1, 2**1000)) / 2**DIRECTION_BITS
    return max(evaluate(part / (2 * whole), tolerance=tolerance).lo, Fraction(0))


def _exactly(method: str, value: Fraction, why: str) -> DeadProbability:
    return DeadProbability(method, Enclosure.point(value), True, Evidence.CERTIFIED, why)
