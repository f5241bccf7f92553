"""Exact dead-neuron probabilities where the inputs span few dimensions (math §6.3, §6.4).

A neuron is dead iff `(w, b)` lies in the polar of the cone of the vectors `(xi_j, 1)` (of the `xi_j` for zero biases).
Isotropic laws see the angles of that cone only, so three dimensions of it suffice, whatever the number of coordinates;
uniform laws see a cone in a cube, of two or three dimensions.
"""

from __future__ import annotations

from fractions import Fraction

import sympy

from theorems.hypotheses import Evidence
from theorems.laws import Normal, Uniform, Zero
from theorems.setting import Vector
from verify.dead_neuron.geometry import clipped_measure, hull_cycle, pivot_coordinates
from verify.dead_neuron.result import DeadProbability, FirstLayer
from verify.enclosure import Enclosure, evaluate
from verify.separation import separate

__all__ = ["normal_planar", "uniform_planar"]

MAX_CORNERS = 1000
TOLERANCE = Fraction(1, 2**64)  # of one angle; a thousand of them stay below 2^-53


def normal_planar(first: FirstLayer) -> DeadProbability | None:
    """Normal weights, normal or zero bias, inputs in a plane (zero bias: span of at most three dimensions).

    `(2 pi - perimeter)/(4 pi)`, perimeter of the spherical convex hull of the directions `(sw xi_j, sb)`; for zero
    biases of the directions `xi_j`, which must lie in an open half-space (else `p_1 = 0`, `zero_bias_hull`).
    Source:   math §6.3, §6.4. The spherical hull is a plane hull in a central projection, found in fractions.
    Rigour:   enclosure, both sides. Declines if `(sb/sw)^2` is irrational or the hull has more than 1,000 corners.
    """
    if not isinstance(first.weight, Normal) or not isinstance(first.bias, Normal | Zero):
        return None
    lift = (first.bias.scale / first.weight.scale) ** 2 if isinstance(first.bias, Normal) else sympy.Integer(0)
    if not lift.is_Rational:
        return None
    tour = _affine_tour(first.inputs) if isinstance(first.bias, Normal) else _conic_tour(first.inputs)
    if tour is None or len(tour) > MAX_CORNERS:
        return None
    turns = _perimeter(tour, Fraction(int(lift.p), int(lift.q)))
    value = Enclosure(max((1 - turns.hi) / 2, Fraction(0)), min((1 - turns.lo) / 2, Fraction(1, 2)))
    why = f"spherical hull with {len(tour)} corner{'s' if len(tour) > 1 else ''}"
    return DeadProbability("normal_planar", value, True, Evidence.CERTIFIED, why)


def uniform_planar(first: FirstLayer) -> DeadProbability | None:
    """Uniform weights, uniform or zero bias, two or three parameters in all: part of a cube, exact.

    Source:   math §6.2, one dimension more: the cone of dead `(w, b)` in the cube of all `(w, b)`.
    Rigour:   exact. Declines if the ratio of the half-widths is irrational or the hull has more than 1,000 corners.
    """
    if not isinstance(first.weight, Uniform) or not isinstance(first.bias, Uniform | Zero):
        return None
    lifted = isinstance(first.bias, Uniform)
    if first.dimension + lifted not in (2, 3):
        return None
    tour = _affine_tour(first.inputs) if lifted else _conic_tour(first.inputs)
    ratio = first.weight.half_width / first.bias.half_width if isinstance(first.bias, Uniform) else sympy.Integer(1)
    if tour is None or len(tour) > MAX_CORNERS or not ratio.is_Rational:
        return None
    factor = Fraction(int(ratio.p), int(ratio.q))
    value = clipped_measure([(*(factor * v for v in x), *([Fraction(1)] * lifted)) for x in tour])
    why = f"exact part of a cube in {first.dimension + lifted} dimensions, {len(tour)} half-spaces"
    return DeadProbability("uniform_planar", Enclosure.point(value), True, Evidence.CERTIFIED, why)


def _affine_tour(inputs: tuple[Vector, ...]) -> list[Vector] | None:
    """Corners of the hull of inputs that lie in a plane, in cyclic order; None if they do not."""
    origin = inputs[0]
    pivots = pivot_coordinates((tuple(a - b for a, b in zip(x, origin, strict=True)) for x in inputs), len(origin), 2)
    if pivots is None:
        return None
    return [inputs[j] for j in hull_cycle([tuple(x[i] for i in pivots) for x in inputs])]


def _conic_tour(inputs: tuple[Vector, ...]) -> list[Vector] | None:
    """Extreme rays of the cone of the non-zero inputs in cyclic order; None if more than three dimensions or no cone.

    The inputs are projected from 0 to a plane on which a direction that is negative on all of them is -1.
    """
    rays = [x for x in inputs if any(x)]
    pivots = pivot_coordinates(rays, len(rays[0]), 3) if rays else None
    if pivots is None:
        return None
    seen = [tuple(x[i] for i in pivots) for x in rays]
    direction = separate(seen).direction
    if direction is None:
        return None
    dropped = next(i for i, value in enumerate(direction) if value)
    chart = []
    for point in seen:
        height = -sum((u * v for u, v in zip(direction, point, strict=True)), Fraction(0))
        chart.append(tuple(v / height for i, v in enumerate(point) if i != dropped))
    return [rays[j] for j in hull_cycle(chart)]


def _perimeter(tour: list[Vector], lift: Fraction) -> Enclosure:
    """Sum of the angles between neighbours `(x, sqrt(lift))`, the last and the first too, in full turns."""
    angles = [_angle(a, b, lift) for a, b in zip(tour, tour[1:] + tour[:1], strict=True)]
    lower, upper = sum((angle.lo for angle in angles), Fraction(0)), sum((angle.hi for angle in angles), Fraction(0))
    return Enclosure(lower, upper)


def _angle(a: Vector, b: Vector, lift: Fraction) -> Enclosure:
    """Angle in [0, 1/2) full turns between `(a, sqrt(lift))` and `(b, sqrt(lift))`, from the exact squared tangent."""
    aa, bb, ab = (_inner(u, v) + lift for u, v in ((a, a), (b, b), (a, b)))
    if ab == 0:
        return Enclosure.point(Fraction(1, 4))
    squared = (aa * bb - ab**2) / ab**2
    root = sympy.Pow(sympy.Rational(squared.numerator, squared.denominator), sympy.Rational(1, 2), evaluate=False)
    acute = evaluate(sympy.atan(root, evaluate=False) / (2 * sympy.pi), tolerance=TOLERANCE)
    return acute if ab > 0 else Enclosure(Fraction(1, 2) - acute.hi, Fraction(1, 2) - acute.lo)


def _inner(u: Vector, v: Vector) -> Fraction:
    return sum((a * b for a, b in zip(u, v, strict=True)), Fraction(0))
