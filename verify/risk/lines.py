"""Inputs that lie on common lines: along each, a network has few affine pieces (math Lemma 7c).

The search is in floats and may miss lines; what it returns has been checked in integers.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from theorems.setting import DataSet
from verify.risk.lattice import Integers, fits_int64, input_lattice
from verify.risk.segments import Trail

__all__ = ["MIN_POINTS", "Line", "lines_in", "longest_runs"]

Floats = npt.NDArray[np.float64]

MIN_POINTS = 5  # one neuron makes two pieces, which fit four points
MAX_PAIRED = 2_000  # up to so many inputs all pairs are tried, above only lines parallel to an axis
MAX_LINES = 5_000
SAME_ANGLE = 1e-10
SEED = 1


@dataclass(frozen=True)
class Line:
    """Distinct inputs on one line, in order along it.

    Symbols: members = numbers of the inputs; positions = their increasing places along the line; direction = coprime
    integers, equal for parallel lines.
    """

    members: tuple[int, ...]
    positions: tuple[int, ...]
    direction: tuple[int, ...]

    def trail(self, data: DataSet, without: Collection[int] = frozenset()) -> Trail:
        """Labels and weights along the line, some inputs left out."""
        kept = [(j, s) for j, s in zip(self.members, self.positions, strict=True) if j not in without]
        return Trail.of(data, [j for j, _ in kept], [s for _, s in kept])


@lru_cache(maxsize=16)
def lines_in(data: DataSet) -> tuple[Line, ...]:
    """Lines that hold at least MIN_POINTS distinct inputs, at most MAX_LINES of them, those with more points first.

    The list does not depend on any architecture.

    Source:   math Lemma 7c.
    Rigour:   each line is exact; some may be missing, which is safe.
    """
    values = input_lattice(data).values
    found = [line for group in _candidates(values) if (line := _line(values, group)) is not None]
    found.sort(key=lambda line: (-len(line.members), line.members))
    return tuple(found[:MAX_LINES])


@lru_cache(maxsize=256)
def longest_runs(data: DataSet) -> int:
    """Largest number of exactly affine runs that the labels need along one of the lines found; 0 without lines.

    Rigour:   exact for every line looked at, so the value is a lower bound of the maximum over all lines.
    """
    most = 0
    for line in lines_in(data):
        if len(line.members) <= 2 * most:  # two points are one run: no further line can need more
            break
        most = max(most, line.trail(data).runs)
    return most


def _line(values: Integers, group: Sequence[int]) -> Line | None:
    """Order the points of a candidate along their line; None if they are not exactly on one."""
    points = values[list(group)].astype(object)
    offsets = points - points[0]
    axis = _first_axis(offsets)
    if not _collinear(offsets, axis):
        return None
    order = sorted(range(len(group)), key=lambda i: points[i, axis])
    whole = [int(v) for v in points[order[-1]] - points[order[0]]]
    divisor = math.gcd(*whole)
    return Line(
        members=tuple(group[i] for i in order),
        positions=tuple(int(points[i, axis]) for i in order),
        direction=tuple(v // divisor for v in whole),
    )


def _first_axis(offsets: Integers) -> int:
    """A column along which the points move."""
    return int(np.argmax(offsets[1] != 0))


def _collinear(offsets: Integers, axis: int) -> bool:
    return bool((offsets * offsets[1, axis] == np.outer(offsets[:, axis], offsets[1])).all())


def _candidates(values: Integers) -> Iterator[list[int]]:
    """Groups of at least MIN_POINTS rows that may lie on a line; no two groups share more than one row."""
    n = len(values)
    if n < MIN_POINTS:
        return
    offsets = (values - values[0]).astype(object)
    if _collinear(offsets, _first_axis(offsets)):
        yield list(range(n))
    elif n <= MAX_PAIRED:
        yield from _paired(values)
    else:
        yield from _parallel_to_axes(values)


def _paired(values: Integers) -> Iterator[list[int]]:
    """Points seen from one point in the same direction, after a generic projection to the plane."""
    n = len(values)
    sizes = [max(int(size), 1) for size in values.max(axis=0)]
    scaled = np.array([[v / size for v, size in zip(row, sizes, strict=True)] for row in values.tolist()])
    plane = scaled @ np.random.default_rng(SEED).standard_normal((values.shape[1], 2))
    known: set[tuple[int, int]] = set()
    for i in range(n - MIN_POINTS + 1):
        for group in _same_direction(plane, i):
            if (i, group[0]) not in known:
                members = [i, *group]
                known.update((a, b) for a in members for b in members if a < b)
                yield members


def _same_direction(plane: Floats, i: int) -> Iterator[list[int]]:
    """Points after point `i` at equal angles from it, modulo half turns, in groups large enough for a line."""
    offsets = plane[i + 1 :] - plane[i]
    angles = np.arctan2(offsets[:, 1], offsets[:, 0]) % np.pi
    order = np.argsort(angles, kind="stable")
    starts = np.flatnonzero(np.diff(angles[order], prepend=-1.0) > SAME_ANGLE)
    lengths = np.diff(np.append(starts, len(order)))
    for k in np.flatnonzero(lengths >= MIN_POINTS - 1):
        yield sorted(int(j) + i + 1 for j in order[starts[k] : starts[k] + lengths[k]])


def _parallel_to_axes(values: Integers) -> Iterator[list[int]]:
    """Rows that agree in all columns but one, found by a random linear hash of the other columns."""
    source = np.random.default_rng(SEED).integers(1, 2**20, size=(values.shape[1],))
    bound = int(values.max()) * 2**20 * values.shape[1]
    if not fits_int64(bound, values):
        values, source = values.astype(object), source.astype(object)
    hashes = values @ source
    for column in range(values.shape[1]):
        rest = hashes - values[:, column] * source[column]
        order: Integers = np.argsort(rest, kind="stable")
        ordered = rest[order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        ends = np.append(starts[1:], len(order))
        for start, end in zip(starts, ends, strict=True):
            if end - start >= MIN_POINTS:
                yield sorted(int(j) for j in order[start:end])
