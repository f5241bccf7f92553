"""Exact plane geometry for first-layer neurons: coordinates of low rank, convex hulls, clipped squares."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import pairwise

from theorems.setting import Vector

__all__ = ["clipped_measure", "hull_cycle", "pivot_coordinates"]

Point = tuple[Fraction, ...]
Corner = tuple[Fraction | int, ...]

SHORT = 256  # bits


def pivot_coordinates(vectors: Iterable[Vector], dimension: int, limit: int) -> tuple[int, ...] | None:
    """At most `limit` of the coordinates that give the linear span of the vectors faithfully; None if there are none.

    All of them if the vectors have no more. Else by Gaussian elimination, one vector after the other: on the span, the
    projection to the pivot coordinates is injective.
    Rigour: exact.
    """
    if dimension <= limit:
        return tuple(range(dimension))
    basis: list[tuple[int, Vector]] = []
    for vector in vectors:
        rest = list(vector)
        for pivot, row in basis:
            if rest[pivot]:
                factor = rest[pivot] / row[pivot]
                rest = [a - factor * b for a, b in zip(rest, row, strict=True)]
        position = next((i for i, value in enumerate(rest) if value), None)
        if position is not None:
            if len(basis) == limit:
                return None
            basis.append((position, tuple(rest)))
    return tuple(position for position, _ in basis)


def hull_cycle(points: Sequence[Point]) -> list[int]:
    """Numbers of the vertices of the convex hull, in cyclic order; points with at most two coordinates.

    One vertex if all points agree, two if they lie on a line; points inside an edge are no vertices.
    Source: Andrew's monotone chain. Rigour: exact.
    """
    first_of: dict[Corner, int] = {}
    for number, point in enumerate(_shortened(points)):
        first_of.setdefault((*point, 0, 0)[:2], number)
    ordered = sorted(first_of)
    if len(ordered) < 3:
        return [first_of[point] for point in ordered]
    lower, upper = _chain(ordered), _chain(ordered[::-1])
    return [first_of[point] for point in lower[:-1] + upper[:-1]]


def _shortened(points: Sequence[Point]) -> Iterable[Corner]:
    """The points with every coordinate as integers, if the common denominators are short: much faster to compare."""
    factors = [_short_multiple({value.denominator for value in column}) for column in zip(*points, strict=True)]
    if not all(factors):
        return points
    columns = [
        [value.numerator * (factor // value.denominator) for value in column]
        for column, factor in zip(zip(*points, strict=True), factors, strict=True)
    ]
    return zip(*columns, strict=True) if columns else points


def _short_multiple(numbers: Iterable[int]) -> int:
    """The least common multiple, or 0 if it has more than SHORT bits."""
    multiple = 1
    for number in numbers:
        multiple = math.lcm(multiple, number)
        if multiple.bit_length() > SHORT:
            return 0
    return multiple


def _chain(ordered: Sequence[Corner]) -> list[Corner]:
    chain: list[Corner] = []
    for point in ordered:
        while len(chain) > 1 and _turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return chain


def _turn(a: Corner, b: Corner, c: Corner) -> Fraction | int:
    """Positive for a left turn at b on the way from a to c."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def clipped_measure(halfspaces: Sequence[Vector]) -> Fraction:
    """Share of the cube `[-1, 1]^n`, n = 2 or 3, on which `a.x <= 0` for every given `a`.

    The solid is a union of segments from 0, so its volume is `1/n` times the measure of its part of the faces, all at
    distance 1 from 0; each face is clipped by the half-spaces, one after the other.
    Rigour: exact.
    """
    n = len(halfspaces[0])
    corners = [(-1,), (1,)] if n == 2 else [(-1, -1), (1, -1), (1, 1), (-1, 1)]
    total = Fraction(0)
    for axis in range(n):
        for side in (-1, 1):
            face = [tuple(map(Fraction, (*corner[:axis], side, *corner[axis:]))) for corner in corners]
            for halfspace in halfspaces:
                face = _clipped(face, halfspace)
            total += _measure([corner[:axis] + corner[axis + 1 :] for corner in face])
    share: Fraction = total / (n * 2**n)
    return share


def _clipped(corners: list[Point], halfspace: Vector) -> list[Point]:
    """The part of a convex polygon (or of a segment, as a polygon with two corners) where `halfspace.x <= 0`."""
    heights = [sum((a * x for a, x in zip(halfspace, corner, strict=True)), Fraction(0)) for corner in corners]
    if all(height <= 0 for height in heights):
        return corners
    kept: list[Point] = []
    for k, (corner, height) in enumerate(zip(corners, heights, strict=True)):
        following, there = corners[(k + 1) % len(corners)], heights[(k + 1) % len(corners)]
        if height <= 0:
            kept.append(corner)
        if height * there < 0:
            share = height / (height - there)
            kept.append(tuple(a + share * (b - a) for a, b in zip(corner, following, strict=True)))
    return kept


def _measure(corners: list[Point]) -> Fraction:
    """Length of a segment (its corners may repeat) or area of a convex polygon."""
    if not corners:
        return Fraction(0)
    if len(corners[0]) == 1:
        return max(corners)[0] - min(corners)[0]
    twice = Fraction(0)
    for a, b in pairwise(corners[1:]):
        twice += _turn(corners[0], a, b)
    return abs(twice) / 2
