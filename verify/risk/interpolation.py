"""Networks that pass exactly through all mean labels: how many first-layer neurons surely suffice (math Lemma 7a)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

import numpy as np

from theorems.setting import DataSet
from verify.risk.lattice import Integers, input_lattice, label_lattice
from verify.risk.search import points_of, regression_directions
from verify.risk.segments import affine_run_ends
from verify.risk.threads import on_one_thread

__all__ = ["Polyline", "interpolates", "interpolating_polyline", "neurons_to_interpolate"]

Vector = tuple[Fraction, ...]
Label = tuple[int, ...]
Corner = tuple[Fraction, Vector]

DIRECTION_BITS = (6, 12, 40)  # to which directions found in floats are rounded
MAX_SEARCHED = 5_000  # distinct inputs of several coordinates up to which directions are tried
SEED = 2


@dataclass(frozen=True)
class Polyline:
    """`x -> start + sum_i changes[i] max(direction.x - knots[i], 0)`, a function of the integer lattice coordinates.

    Symbols: direction = integers, one an input column; knots increasing; changes = changes of slope, one vector a knot.
    """

    direction: tuple[int, ...]
    knots: tuple[Fraction, ...]
    start: Vector
    changes: tuple[Vector, ...]


def interpolates(first_width: int, later_hidden: tuple[int, ...], data: DataSet) -> bool:
    """Whether Lemma 7a, or a piecewise linear interpolation found here, shows that the network reaches the noise floor.

    Source:   math Lemma 7a, 7a'.
    Rigour:   exact; False means that neither does. Once true, true for every larger first width.
    """
    passes_on = not later_hidden or data.output_dim == 1 or min(later_hidden) >= data.output_dim
    return passes_on and first_width >= neurons_to_interpolate(data)


def neurons_to_interpolate(data: DataSet) -> int:
    """A number of first-layer neurons that interpolate the mean labels, at most `K - 1` (not claimed to be the least).

    Rigour:   exact: either Lemma 7a's K - 1 or the size of a piecewise linear function found.
    """
    found = _best_direction(data)
    return data.n_inputs - 1 if found is None else found[0]


@lru_cache(maxsize=64)
def interpolating_polyline(data: DataSet) -> Polyline | None:
    """The interpolating function that `neurons_to_interpolate` counts; None if that is Lemma 7a's own."""
    found = _best_direction(data)
    if found is None:
        return None
    direction = found[1]
    ordered = _ordered(input_lattice(data).values, label_lattice(data).values, direction)
    return None if ordered is None else _polyline(direction, *ordered)


@lru_cache(maxsize=64)
@on_one_thread
def _best_direction(data: DataSet) -> tuple[int, tuple[int, ...]] | None:
    """Fewest knots and their direction, of the directions tried; None if none tells different labels apart.

    For scalar inputs there always is one.
    """
    if data.input_dim > 1 and data.n_inputs > MAX_SEARCHED:
        return None
    values, labels = input_lattice(data).values, label_lattice(data).values
    found = []
    for direction in _directions(data):
        ordered = _ordered(values, labels, direction)
        if ordered is not None:
            found.append((_knots(*ordered), direction))
    return min(found, key=lambda one: one[0], default=None)


def _directions(data: DataSet) -> Iterator[tuple[int, ...]]:
    """Both senses of integer directions: regressions of the labels, and a generic one."""
    sizes = input_lattice(data).sizes
    if data.input_dim == 1:
        yield from ((1,), (-1,))
        return
    generic = [int(v) for v in np.random.default_rng(SEED).integers(1, 2**40, len(sizes))]
    tried = {tuple(generic): None}
    for direction in regression_directions(points_of(data)):
        largest = max(float(np.abs(direction).max()), 1e-300)
        for bits in DIRECTION_BITS:
            shares = [round(float(v) / largest * 2**bits) for v in direction]
            widest = max(sizes)
            tried[tuple(v * widest // max(size, 1) for v, size in zip(shares, sizes, strict=True))] = None
    for one in tried:
        if any(one):
            yield one
            yield tuple(-v for v in one)


def _ordered(values: Integers, labels: Integers, direction: tuple[int, ...]) -> tuple[list[int], list[Label]] | None:
    """Positions along a direction, increasing, with their labels; None if one position has two different labels."""
    positions = (values.astype(object) @ np.array(direction, dtype=object)).tolist()
    at: dict[int, Label] = {}
    for position, label in zip(positions, map(tuple, labels.tolist()), strict=True):
        if at.setdefault(position, label) != label:
            return None
    places = sorted(at)
    return places, [at[place] for place in places]


def _knots(places: Sequence[int], labels: Sequence[Label]) -> int:
    """Number of knots of the function that is affine on each greedy run and bends once or twice in between."""
    ends = affine_run_ends(places, labels)
    bends = int(len(places) > 1 and labels[0] != labels[1])  # constant before the first place
    for end, next_end in pairwise(ends):
        bends += 1 if next_end - end == 1 or _crossing(places, labels, end) is not None else 2
    return bends


def _polyline(direction: tuple[int, ...], places: Sequence[int], labels: Sequence[Label]) -> Polyline:
    """That function (math Lemma 7a')."""
    corners = list(_corners(places, labels))
    slopes = [_slope(a, b) for a, b in pairwise(corners)]
    flat = (Fraction(0),) * len(labels[0])
    changes = [
        (knot, tuple(after - before for before, after in zip(one, two, strict=True)))
        for (knot, _), (one, two) in zip(corners, pairwise([flat, *slopes]), strict=False)
        if one != two
    ]
    return Polyline(direction, tuple(t for t, _ in changes), corners[0][1], tuple(c for _, c in changes))


def _corners(places: Sequence[int], labels: Sequence[Label]) -> Iterator[Corner]:
    """The first point, the bends, and the last point."""
    points = [(Fraction(place), tuple(Fraction(y) for y in label)) for place, label in zip(places, labels, strict=True)]
    ends = affine_run_ends(places, labels)
    yield points[0]
    for end, next_end in pairwise(ends):
        behind = None if next_end - end == 1 else _crossing(places, labels, end)
        if behind is not None:
            slope = _slope(points[end - 2], points[end - 1])
            last_place, last_label = points[end - 1]
            meeting = places[end] - behind
            yield meeting, tuple(y + s * (meeting - last_place) for y, s in zip(last_label, slope, strict=True))
        else:
            yield points[end - 1]
            if next_end - end > 1:
                yield points[end]
    if len(points) > 1:
        yield points[-1]


def _crossing(places: Sequence[int], labels: Sequence[Label], end: int) -> Fraction | None:
    """How far before place `end` the lines through the two points on either side meet, if in the gap between them.

    In each output, `left - right = steeper / (before after)` are the slopes and `apart / before` is how far the line
    from the left is from the point at `end`: the lines meet `-apart after / steeper` before it, at the same place for
    all outputs (outputs whose lines coincide meet everywhere).
    """
    before, gap, after = (b - a for a, b in pairwise(places[end - 2 : end + 2]))
    meeting: tuple[int, int] | None = None
    for y in zip(*labels[end - 2 : end + 2], strict=True):
        rise = y[1] - y[0]
        apart = (y[2] - y[1]) * before - rise * gap
        steeper = rise * after - (y[3] - y[2]) * before
        if steeper == 0:
            if apart:
                return None
            continue
        sign = 1 if steeper > 0 else -1
        behind, scale = -sign * apart * after, sign * steeper
        if not 0 <= behind <= gap * scale or (meeting is not None and behind * meeting[1] != meeting[0] * scale):
            return None
        meeting = behind, scale
    return None if meeting is None else Fraction(*meeting)


def _slope(first: Corner, second: Corner) -> Vector:
    return tuple((b - a) / (second[0] - first[0]) for a, b in zip(first[1], second[1], strict=True))
