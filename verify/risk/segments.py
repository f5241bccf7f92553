"""Labels along a line against functions with few linear pieces (math Lemma 7b).

`Trail` holds data along one line in integers. Everything is exact, except that the error of every segment is rounded
down to a fine grid before the dynamic program, so that the program itself runs in 64-bit integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import prod

import numpy as np

from theorems.setting import DataSet
from verify.risk.lattice import Integers, counts_of, input_lattice, label_lattice

__all__ = ["MAX_CELLS", "Trail", "affine_run_ends", "affine_runs", "linear_pieces", "scalar_trail", "segment_errors"]

MAX_CELLS = 1024  # more points than these are first gathered into so many cells
GRID_BITS = 60  # the error of one affine function is below 2^59 steps of the grid
UNREACHABLE = 2**61


def linear_pieces(hidden: tuple[int, ...]) -> int:
    """`P(l) = prod_k (l_k + 1)`: along a line a network has at most so many affine pieces (math Lemma 7b)."""
    return prod(width + 1 for width in hidden)


@dataclass(frozen=True, eq=False)
class Trail:
    """Distinct inputs on one line, in order, with labels and weights, in integers.

    Symbols: positions (n,) increasing; labels (n, outputs); counts (n,) with `pi_j = counts[j] / total`; `step`: the
    mean labels are `step * labels` up to a shift, so squared errors are `step^2 / total` times sums of integers.
    """

    positions: tuple[int, ...]
    labels: Integers
    counts: tuple[int, ...]
    total: int
    step: Fraction

    @classmethod
    def of(cls, data: DataSet, chosen: Sequence[int], positions: Sequence[int]) -> Trail:
        """The distinct inputs number `chosen` of a data set, at these increasing positions along their line."""
        labels = label_lattice(data)
        counts, total = counts_of(data)
        return cls(
            positions=tuple(positions),
            labels=labels.values[list(chosen)].astype(object),
            counts=tuple(counts[j] for j in chosen),
            total=total,
            step=labels.step[0],
        )

    @property
    def runs(self) -> int:
        """Least number of contiguous groups on each of which the labels are exactly affine."""
        return len(affine_run_ends(self.positions, self.labels.tolist()))


def affine_run_ends(places: Sequence[int], labels: Sequence[Sequence[int]]) -> list[int]:
    """Ends (exclusive) of the runs of the greedy split into longest affine runs, which has the fewest runs.

    Source:   math Lemma 7b iv. Rigour: exact.
    """
    ends, start = [], 0
    while start < len(places):
        end = min(start + 2, len(places))  # two points are always on a line
        while end < len(places) and _on_line(places, labels, start, end):
            end += 1
        ends.append(end)
        start = end
    return ends


def _on_line(places: Sequence[int], labels: Sequence[Sequence[int]], start: int, point: int) -> bool:
    """Whether a point is on the line through points `start` and `start + 1`."""
    run, reach = places[start + 1] - places[start], places[point] - places[start]
    first, second = labels[start], labels[start + 1]
    return all((c - a) * run == (b - a) * reach for a, b, c in zip(first, second, labels[point], strict=True))


@lru_cache(maxsize=16)
def scalar_trail(data: DataSet) -> Trail:
    """All data of a set with scalar inputs. Fails: ValueError for inputs of more than one coordinate."""
    if data.input_dim != 1:
        raise ValueError(f"affine runs need scalar inputs, data {data.name!r} has {data.input_dim} coordinates")
    return Trail.of(data, range(data.n_inputs), [int(v) for v in input_lattice(data).values[:, 0]])


@lru_cache(maxsize=256)
def affine_runs(data: DataSet) -> int:
    """Least number of contiguous groups of inputs on each of which the mean labels are exactly affine.

    Source:   math Lemma 7b iii, iv: networks with fewer linear pieces cannot reach the noise floor.
    Rigour:   exact. Fails: ValueError for inputs of more than one coordinate.
    """
    return scalar_trail(data).runs


def segment_errors(trail: Trail, most: int | None = None, max_cells: int = MAX_CELLS) -> tuple[Fraction, ...]:
    """Lower bounds of `E_1, E_2, ...`: weighted squared error of the best fit by at most G groups, each affine.

    The sequence ends before its first 0, from there on the bound is 0, or with `E_most`. With more than `max_cells`
    points it is the error of a relaxed problem: points are gathered into cells, and a cell that is cut inside costs
    nothing.

    Source:   math Lemma 7b (segmented least squares, cells).
    Rigour:   rounded down: every segment's error loses less than 2^-56 of the error of one affine function.
    """
    edges = _cell_edges(len(trail.positions), max_cells)
    costs, unit = _segment_costs(trail, edges)
    inside_cuts = len(edges) - 1 < len(trail.positions)
    reached = costs[0].copy()
    errors: list[Fraction] = []
    while reached[-1] > 0 and len(errors) != most:
        errors.append(unit * int(reached[-1]))
        before = np.minimum(reached[1:], reached[:-1]) if inside_cuts else reached[1:]
        reached = (np.concatenate([reached[:1], before])[:, None] + costs).min(axis=0)
    return tuple(errors)


def _cell_edges(n: int, max_cells: int) -> list[int]:
    cells = min(n, max_cells)
    return [i * n // cells for i in range(cells + 1)]


def _segment_costs(trail: Trail, edges: Sequence[int]) -> tuple[Integers, Fraction]:
    """Errors of one affine function on cells `i..j-1`, rounded down to multiples of the returned unit.

    With sums over the segment `S0 = sum m`, `Sx = sum m x`, ..., the error is `(B C - |A|^2) / (S0 B)`, where
    `A = S0 Sxy - Sx Sy`, `B = S0 Sxx - Sx^2` and `C = S0 Syy - |Sy|^2` (`C / S0` where all x are equal, B = 0).
    """
    sums = _prefix_sums(trail)[:, edges]
    n = len(edges) - 1
    (numerator,), (denominator,) = _error(sums[:, -1:] - sums[:, :1])
    shift = GRID_BITS - 1 - (int(numerator).bit_length() - int(denominator).bit_length() + 1)
    costs = np.full((n + 1, n + 1), UNREACHABLE, dtype=np.int64)
    costs[range(n + 1), range(n + 1)] = 0
    for i in range(n):
        numerators, denominators = _error(sums[:, i + 1 :] - sums[:, i : i + 1])
        if shift >= 0:
            numerators = numerators * 2**shift
        else:
            denominators = denominators * 2**-shift
        costs[i, i + 1 :] = (numerators // denominators).astype(np.int64)
    return costs, trail.step**2 / trail.total / Fraction(2) ** shift


def _prefix_sums(trail: Trail) -> Integers:
    """Rows: sums of `m`, `m x`, `m x^2`, `m |y|^2`, then `m y` and `m x y` for every output; columns: 0..n points."""
    x, m = np.array(trail.positions, dtype=object), np.array(trail.counts, dtype=object)
    y = trail.labels.T
    rows = [m, m * x, m * x * x, m * (y * y).sum(axis=0), *(m * y), *(m * x * y)]
    sums = np.zeros((len(rows), len(x) + 1), dtype=object)
    for row, terms in zip(sums, rows, strict=True):
        row[1:] = np.cumsum(terms)
    return sums


def _error(sums: Integers) -> tuple[Integers, Integers]:
    """Numerators and positive denominators of the errors of segments with these sums, in units of `step^2 / total`."""
    s0, sx, sxx, syy = sums[:4]
    outputs = (len(sums) - 4) // 2
    b = s0 * sxx - sx * sx
    c = s0 * syy
    a_squared = 0
    for sy, sxy in zip(sums[4 : 4 + outputs], sums[4 + outputs :], strict=True):
        a = s0 * sxy - sx * sy
        c = c - sy * sy
        a_squared = a_squared + a * a
    flat = b == 0  # one point: its error is 0, and so is c
    b = np.where(flat, 1, b)
    return b * c - a_squared, s0 * b
