"""A closed tour through the directions of the inputs: its length, and how often a random functional vanishes on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from math import gcd, lcm

import numpy as np
import sympy
from numpy.typing import NDArray

from theorems.catalogue.t15 import zeros_per_half_turn
from theorems.laws import Law
from theorems.setting import DataSet, Vector
from verify.enclosure.arb import Ball, ball, compiled, evaluate
from verify.geometry.balls import rounded_up, square_sum
from verify.geometry.search import Angles, Floats, Indices, closed_walk, main_order, to_directions

__all__ = ["Tour", "tour"]

Arc = tuple[int, int]

_X = sympy.Symbol("x")
_atan = compiled(sympy.atan(_X), (_X,))
_pi = compiled(sympy.pi, ())


@dataclass(frozen=True, eq=False)
class Tour:
    """The rays `{t x : t > 0}` of the non-zero inputs, and closed walks through them along arcs of great circles.

    Symbols: rays = one input on each; planar = at most two coordinates.
    """

    rays: tuple[Vector, ...]
    planar: bool

    @cached_property
    def length(self) -> Fraction:
        """Upper bound `c_0` of the angular length of a closed walk through the rays (math §5 T14).

        For planar inputs it is twice the opening angle of a pointed cone, else `2 pi`.

        Rigour:   the walk comes from floats; its length is rounded upward, by at most a factor `1 + 2^-40`.
        """
        if len(self.rays) < 2:
            return Fraction(0)
        if self.planar:
            ends = self.cone
            return rounded_up(_angle_sum(self.rays, [ends, ends]) if ends else _whole_turn)
        walk = closed_walk(self.directions, main_order(self.directions), Angles(self.directions))
        return rounded_up(_angle_sum(self.rays, _arcs(walk)))

    def zeros(self, law: Law) -> Fraction:
        """Upper bound `nu_0` of the mean number of zeros on a closed walk through the rays (math §5 T15).

        The zeros are those of `x.u` for a linear combination `x`, whichever it is, of independent rows of first-layer
        weights of this law. An arc from `a` to `b` has at most 1 in the mean, 1/2 if no coordinate of `a` and `b` has
        opposite signs, and `C angle(a, b)/pi` with `C` of `zeros_per_half_turn`; a whole circle has 2.

        Rigour:   the walk comes from floats; the bounds of its arcs are exact or rounded upward.
        Fails:    InvalidInput for a law without a density.
        """
        return _zeros(self, zeros_per_half_turn(law))

    @cached_property
    def cone(self) -> Arc | None:
        """The ends of the pointed cone that planar rays span, None if there is none."""
        return _pointed_cone(self.rays) if len(self.rays[0]) == 2 else None

    @cached_property
    def directions(self) -> Floats:
        """Unit vectors along the rays, in floats, for the search."""
        return to_directions(self.rays)

    @cached_property
    def signs(self) -> NDArray[np.int8]:
        """Signs of the coordinates, -1, 0 or 1. Rigour: exact."""
        return np.array([[(v.numerator > 0) - (v.numerator < 0) for v in ray] for ray in self.rays], dtype=np.int8)


@lru_cache(maxsize=16)
def tour(data: DataSet) -> Tour:
    """The rays of a data set. Rigour: exact; nothing is measured before it is asked for."""
    columns = [lcm(*{v.denominator for v in column}) for column in zip(*data.inputs, strict=True)]
    found: dict[tuple[int, ...], Vector] = {}
    for x in data.inputs:
        if any(x):
            whole = [v.numerator * (scale // v.denominator) for v, scale in zip(x, columns, strict=True)]
            divisor = gcd(*whole)
            found.setdefault(tuple(v // divisor for v in whole), x)
    return Tour(tuple(found.values()), planar=data.input_dim <= 2)


def _pointed_cone(rays: Sequence[Vector]) -> Arc | None:
    """Ends `a, b` of the arc shorter than `pi` that runs from `a` counterclockwise through all plane rays to `b`."""
    first = last = 0
    for new in range(1, len(rays)):
        after_first, before_last = _cross(rays[first], rays[new]), _cross(rays[new], rays[last])
        if after_first < 0 < before_last:
            first = new
        elif before_last < 0 < after_first:
            last = new
        elif first == last or after_first < 0 or before_last < 0:
            return None
    return first, last


def _cross(a: Vector, b: Vector) -> Fraction:
    return a[0] * b[1] - a[1] * b[0]


# --- measuring -----------------------------------------------------------------------------------------------------


def _whole_turn() -> Ball:
    return 2 * _pi()


def _angle_sum(rays: Sequence[Vector], arcs: Sequence[Arc]) -> Callable[[], Ball]:
    """The sum of the angles between the ends of the arcs, to be computed at the precision of each call.

    Unit vectors at distance `d` are at the angle `2 atan(d / sqrt(4 - d^2))`, or `pi` if they are opposite.
    """
    opposite = [(i, j) for i, j in arcs if _are_opposite(rays[i], rays[j])]
    left_out = set(opposite)
    bent = [arc for arc in arcs if arc not in left_out]
    used = sorted({index for arc in bent for index in arc})

    def compute() -> Ball:
        unit = {index: _unit(rays[index]) for index in used}
        total = len(opposite) * _pi()
        for i, j in bent:
            square = square_sum(u - v for u, v in zip(unit[i], unit[j], strict=True))
            total += 2 * _atan((square / (4 - square)).sqrt())
        return total

    return compute


def _are_opposite(a: Vector, b: Vector) -> bool:
    pivot = next(index for index, v in enumerate(a) if v)
    return a[pivot] * b[pivot] < 0 and all(v * b[pivot] == w * a[pivot] for v, w in zip(a, b, strict=True))


def _unit(ray: Vector) -> list[Ball]:
    entries = [ball(v) for v in ray]
    norm = square_sum(entries).sqrt()
    return [v / norm for v in entries]


@lru_cache(maxsize=64)
def _zeros(walked: Tour, per_half_turn: sympy.Expr) -> Fraction:
    if len(walked.rays) < 2:
        return Fraction(0)
    measure = _ZeroBounds(walked, per_half_turn)
    if walked.planar:
        ends = walked.cone
        return min(measure.total([ends, ends]), Fraction(2)) if ends else Fraction(2)
    if per_half_turn == 1:  # an angle divided by pi is at most 1, and at most 1/2 within an orthant
        return rounded_up(lambda: ball(walked.length) / _pi())
    return measure.total(_arcs(closed_walk(walked.directions, measure.order, measure)))


def _arcs(walk: Indices) -> list[Arc]:
    return [(i, j) for i, j in walk.tolist()]


@dataclass(frozen=True, eq=False)
class _ZeroBounds:
    """Bounds of the mean number of zeros on arcs between the rays of a tour: in floats to search, and exactly."""

    walked: Tour
    per_half_turn: sympy.Expr

    @cached_property
    def _per_angle(self) -> float:
        return float(evaluate(self.per_half_turn / sympy.pi).hi)

    @property
    def order(self) -> Indices:
        """Rays of one pattern of signs next to each other, and these in the order of their main direction."""
        _, pattern = np.unique(self.walked.signs, axis=0, return_inverse=True)
        rank = np.argsort(main_order(self.walked.directions))
        return np.lexsort((rank, pattern.ravel()))

    def within(self, block: Indices) -> Floats:
        """The matrix of bounds between these rays, in floats."""
        signs = self.walked.signs[block].astype(np.float64)
        positive, negative = np.maximum(signs, 0), np.maximum(-signs, 0)
        opposed = positive @ negative.T + negative @ positive.T > 0
        turning = self._per_angle * Angles(self.walked.directions).within(block)
        return np.minimum(turning, np.where(opposed, 1.0, 0.5))

    def along(self, arcs: Indices) -> Floats:
        """The bounds of these arcs, in floats."""
        return np.minimum(self._turning(arcs), self._caps(arcs))

    def total(self, arcs: Sequence[Arc]) -> Fraction:
        """Upper bound of the sum over these arcs; each is bounded by its angle or by its signs, as floats advise."""
        ends = np.array(arcs, dtype=np.intp)
        caps, turning = self._caps(ends), self._turning(ends)
        halves = int(np.sum(2 * caps[turning >= caps]))
        turned = [arc for arc, by_angle in zip(arcs, turning < caps, strict=True) if by_angle]
        if not turned:
            return Fraction(halves, 2)
        angle, factor = _angle_sum(self.walked.rays, turned), compiled(self.per_half_turn / sympy.pi, ())
        return Fraction(halves, 2) + rounded_up(lambda: factor() * angle())

    def _caps(self, ends: Indices) -> Floats:
        """1/2 for arcs within one orthant, else 1: exact."""
        signs = self.walked.signs
        opposed = np.any(signs[ends[:, 0]] * signs[ends[:, 1]] < 0, axis=1)
        return np.where(opposed, 1.0, 0.5)

    def _turning(self, ends: Indices) -> Floats:
        return self._per_angle * Angles(self.walked.directions).along(ends)
