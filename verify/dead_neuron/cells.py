"""Lower bounds of `p_1` in few dimensions, for any laws: the weights in cells, convexity between their corners.

Given its weights the neuron is dead with probability `G(M(w))`, where `M(w) = max_j w.xi_j` is convex and
`G(x) = P(b <= -x)`. On a cell of the weights `M` lies below the interpolation of its values at the corners. Where `G`
is convex, Jensen's inequality takes the mean inside; where it is concave, `G` lies above the interpolation of its own
values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import sympy
from numpy.typing import NDArray

from theorems.hypotheses import Evidence
from theorems.laws import Law, Uniform, Zero
from verify.dead_neuron.directions import as_floats
from verify.dead_neuron.partition import Interval, are_comparable, cut, distribution, even_edges, reach, scale_ratio
from verify.dead_neuron.result import DeadProbability, FirstLayer
from verify.dead_neuron.tables import ONE
from verify.enclosure import Enclosure

__all__ = ["weight_cells"]

Ints = NDArray[np.int64]
Small = NDArray[np.int32]
Whole = NDArray[Any]

MOST_CORNERS = 12_000_000
MOST_WORK = 2_200_000_000
"""Corners (a third of them unless all laws are uniform), and inputs times corners, that a bound may cost: 3 seconds."""

_FINEST = (1000, 400, 80, 28, 17, 12, 8, 6)
"""Most intervals per weight in one, two, three, … and more dimensions: finer ones gain next to nothing."""

_END = Fraction(17, 4)
_BITS = 28
_BLOCK = 400_000
_SHARE = 16
_STEPS = 4096


def weight_cells(first: FirstLayer) -> DeadProbability | None:
    """Lower bound for independent weights of any law with a density and any bias, in about a dozen dimensions at most.

    Source:   math §6; `theorems/proofs/dead_neuron.md`, cells of the weights.
    Rigour:   a lower bound; it converges to `p_1` as the cells shrink.
    Returns None where less than two intervals per weight are affordable, for inputs from 2^300 on, for scales of
    weights and bias as far apart, and where nothing positive is found.
    """
    used = [i for i, (low, high) in enumerate(first.ranges) if low != 0 or high != 0]
    if isinstance(first.weight, Zero) or not used or not are_comparable(first.weight, first.bias):
        return None
    inputs = [tuple(x[i] for i in used) for x in first.inputs]
    plain = isinstance(first.weight, Uniform) and isinstance(first.bias, Uniform)
    room = min(MOST_CORNERS if plain else MOST_CORNERS // 3, MOST_WORK // len(inputs))
    numbers = as_floats(inputs)
    counts = None if numbers is None else _counts(numbers, room)
    if counts is None:
        return None
    grids = [cut(first.weight, even_edges(first.weight, count, most=_END)) for count in counts]
    heights, unit = _heights(inputs, grids)
    chance = _Chance.of(first.bias, scale_ratio(first.bias, first.weight), unit)
    lower = _lower_bound(heights, grids, chance)
    if lower <= 0:
        return None
    why = f"{math.prod(counts)} cells of the weights, convexity between {heights.size} corners"
    return DeadProbability("weight_cells", Enclosure(lower, Fraction(1)), False, Evidence.CERTIFIED, why)


def _counts(inputs: NDArray[np.float64], room: int) -> list[int] | None:
    """Numbers of intervals: the more, the larger the inputs are in a coordinate; None if two each are too many."""
    sizes = np.sqrt((inputs**2).mean(axis=0))
    counts = [2] * len(sizes)
    finest = _FINEST[min(len(sizes), len(_FINEST)) - 1]
    if 3 ** len(sizes) > room:
        return None
    while True:
        # The next interval goes where cells are widest in the sense of the inputs.
        for i in np.argsort(-sizes / np.array(counts), kind="stable"):
            more = [*counts[:i], counts[i] + 1, *counts[i + 1 :]]
            if counts[i] < finest and math.prod(count + 1 for count in more) <= room:
                counts = more
                break
        else:
            return counts


# --- values at the corners -------------------------------------------------------------------------------------------


def _heights(inputs: Sequence[Sequence[Fraction]], grids: Sequence[Sequence[Interval]]) -> tuple[Small, Fraction]:
    """Upper bounds of `M` at all corners, whole multiples of the unit that is returned as well."""
    edges = [[grid[0].low, *(cell.high for cell in grid)] for grid in grids]
    largest = max(
        sum((abs(value) * max(-ends[0], ends[-1]) for value, ends in zip(x, edges, strict=True)), Fraction(0))
        for x in inputs
    )
    unit = max(largest, Fraction(1, 2**60)) / 2**_BITS
    tables = [
        np.array([[math.ceil(x[i] * end / unit) for end in ends] for x in inputs], dtype=np.int32)
        for i, ends in enumerate(edges)
    ]
    inner = len(tables)
    while inner > 1 and math.prod(len(ends) for ends in edges[inner - 1 :]) * len(inputs) <= _BLOCK:
        inner -= 1
    outer_sums, inner_sums = _sums(tables[:inner], len(inputs)), _sums(tables[inner:], len(inputs))
    heights = np.empty((outer_sums.shape[1], inner_sums.shape[1]), dtype=np.int32)
    for k in range(outer_sums.shape[1]):
        heights[k] = (inner_sums + outer_sums[:, k, None]).max(axis=0)
    return heights.reshape([len(ends) for ends in edges]), unit


def _sums(tables: Sequence[Small], count: int) -> Small:
    """All sums of one column from every table, input by input."""
    found = np.zeros((count, 1), dtype=np.int32)
    for table in tables:
        found = (found[:, :, None] + table[:, None, :]).reshape(count, -1)
    return found


# --- the probability of a bias that suffices -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Chance:
    """Lower bounds of `G(x) = P(b <= -x)` at whole multiples of the unit of the heights.

    `G` is decreasing, concave up to 0 and convex from `convex_from` on. The table is in steps of the scale of the bias,
    its entry `middle` is `G(0)`; `above` and `below` are a unit in these steps, rounded up and down, in 2^-shift steps.
    """

    table: Ints
    middle: int
    above: int
    below: int
    shift: int
    convex_from: int

    @classmethod
    def of(cls, bias: Law, ratio: Enclosure, unit: Fraction) -> _Chance:
        """Tabulate for a bias law whose scale is `ratio`, in the units of the weights."""
        if isinstance(bias, Zero):
            return cls(np.array([ONE, 0], dtype=np.int64), 0, 1, 1, 0, 0)
        table = _unit_chances(type(bias)(sympy.Integer(1)))
        steps = unit * _STEPS
        shift = min(max(30 - math.ceil(math.log2(steps / ratio.lo)), 0), 62)
        # From 2^32 steps per unit on every positive height is beyond the table.
        above = min(math.ceil(steps / ratio.lo * 2**shift), 2**32)
        below = min(math.floor(steps / ratio.hi * 2**shift), 2**32)
        convex_from = max(-math.floor(ratio.lo / unit), -(2**29)) if isinstance(bias, Uniform) else 0
        return cls(table, len(table) // 2, above, below, shift, convex_from)

    def at(self, heights: Ints) -> Ints:
        """Lower bounds, in units 1/ONE: arguments are rounded up to the table."""
        steps = heights * np.where(heights > 0, self.above, self.below)
        index = self.middle - (-steps >> self.shift)
        return np.asarray(self.table[np.clip(index, 0, len(self.table) - 1)])


@lru_cache(maxsize=8)
def _unit_chances(bias: Law) -> Ints:
    """`ONE P(b <= -k/4096)` rounded down, for k from one end of the reach of a law of scale 1 to the other, then 0."""
    last = math.ceil(reach(bias) * _STEPS) + 1
    chances = [math.floor(distribution(bias, Fraction(-k, _STEPS)).lo * ONE) for k in range(-last, last + 1)]
    chances[-1] = 0
    return np.array(chances, dtype=np.int64)


# --- the sum over the cells ------------------------------------------------------------------------------------------


def _lower_bound(heights: Small, grids: Sequence[Sequence[Interval]], chance: _Chance) -> Fraction:
    """`sum over cells of P(cell) E[G(M) | cell]`, bounded from below."""
    convex = np.maximum(heights, np.int32(chance.convex_from))
    for axis, grid in enumerate(grids):
        convex = _means(convex, axis, grid, up=True)
    found = chance.at(convex.astype(np.int64))
    if chance.convex_from == 0:
        concave = chance.at(heights.astype(np.int64))
        top = heights
        for axis, grid in enumerate(grids):
            concave = _means(concave, axis, grid, up=False)
            low, high = _ends(top, axis)
            top = np.maximum(low, high)
        found = np.where(top <= 0, np.maximum(found, concave), found)
    for grid in reversed(grids):
        masses = np.array([math.floor(cell.mass.lo * ONE) for cell in grid], dtype=np.int64)
        found = (found * masses).sum(axis=-1) >> 30
    return Fraction(int(found), ONE)


def _means(values: Whole, axis: int, grid: Sequence[Interval], *, up: bool) -> Whole:
    """Means over one coordinate in each interval, of what is linear between its ends; rounded up or down."""
    low, high = _ends(values, axis)
    rise = high - low
    shares = [
        ((cell.mean.lo - cell.low) / (cell.high - cell.low), (cell.mean.hi - cell.low) / (cell.high - cell.low))
        for cell in grid
    ]
    if all(share == (Fraction(1, 2), Fraction(1, 2)) for share in shares):
        return np.asarray(low + (rise + int(up) >> 1))
    shape = [1] * values.ndim
    shape[axis] = len(grid)
    least = np.array([math.floor(share[0] * 2**_SHARE) for share in shares], dtype=np.int64).reshape(shape)
    most = np.array([math.ceil(share[1] * 2**_SHARE) for share in shares], dtype=np.int64).reshape(shape)
    if up:
        return np.asarray(low - (-np.maximum(rise * least, rise * most) >> _SHARE))
    return np.asarray(low + (np.minimum(rise * least, rise * most) >> _SHARE))


def _ends(values: Whole, axis: int) -> tuple[Whole, Whole]:
    before = [slice(None)] * values.ndim
    after = [slice(None)] * values.ndim
    before[axis], after[axis] = slice(None, -1), slice(1, None)
    return values[tuple(before)], values[tuple(after)]
