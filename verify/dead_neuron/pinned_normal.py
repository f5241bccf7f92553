"""Lower bounds of `p_1` for normal weights: linear forms pinned to cells, union over the inputs.

Rotate `g = (w, b)` (in units of its scales) so that its first coordinates are `r` chosen forms `T`, and cut the range
of `T` into cells. In one cell the neuron is active at input `j` with a conditional probability that one look-up bounds;
so it is dead on all inputs with at least one minus their sum, wherever that is positive. The forms are searched in
floats; the rotation, the coefficients, the cells and the sum are then exact or rounded in the safe direction.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import sympy
from numpy.typing import NDArray

from theorems.hypotheses import Evidence
from theorems.laws import Normal, Zero
from verify.dead_neuron.directions import Array, as_floats, find_forms, importance, promise
from verify.dead_neuron.integers import exact_product
from verify.dead_neuron.partition import Interval, cut, scale_ratio
from verify.dead_neuron.result import DeadProbability, FirstLayer
from verify.dead_neuron.tables import ONE, ROW_END, ROW_START, level_above, level_variance, row
from verify.enclosure import Enclosure

__all__ = ["pinned_normal"]

Ints = NDArray[np.int64]

MOST_INPUTS = 20_000
MOST_CELLS = 1_500_000
MOST_WORK = 300_000_000
"""Cells, and inputs times cells, that a bound may cost; about three seconds."""

_CHUNK = 2048
_END = 4
_STANDARD = Normal(sympy.Integer(1))
_FORM_BITS, _MEAN_BITS = 20, 14
_NOISE = Fraction(3928, 10000)
"""At least pi/8: a centred unimodal variable within `[-r, r]` is smoother than `N(0, r^2 pi/8)`."""


def pinned_normal(first: FirstLayer) -> DeadProbability | None:
    """Lower bound for normal weights with normal or zero biases.

    Source:   math §6; `theorems/proofs/dead_neuron.md`, pinned linear forms.
    Rigour:   a lower bound; the search only decides how sharp it is.
    Returns None for other laws, for more than 20,000 inputs, for inputs from 2^300 on, for weights 2^200 times as
    large as biases, and where nothing positive is found.
    """
    weight, bias = first.weight, first.bias
    if not (isinstance(weight, Normal) and isinstance(bias, Normal | Zero)):
        return None
    # With zero biases the length of an input does not matter.
    vectors = first.inputs if isinstance(bias, Normal) else first.rays
    if not 0 < len(vectors) <= MOST_INPUTS:
        return None
    ratio = scale_ratio(weight, bias) if isinstance(bias, Normal) else None
    points = _unit_vectors(vectors, ratio)
    plan = None if points is None else _plan(points)
    if points is None or plan is None:
        return None
    frame = _frame(plan.rows)
    order = np.argsort(-importance(points, plan.rows), kind="stable")
    radii = [_short_above(max(cell.radius for cell in grid)) for grid in plan.grids]
    margins = [_margin(_load(vectors[j], frame, ratio), radii) for j in order]
    lower = _lower_bound(margins, plan.grids)
    if lower <= 0:
        return None
    cells = math.prod(len(grid) for grid in plan.grids)
    why = f"{len(plan.grids)} linear forms of weights and bias pinned to {cells} cells, union over {len(order)} inputs"
    return DeadProbability("pinned_normal", Enclosure(lower, Fraction(1)), False, Evidence.CERTIFIED, why)


def _unit_vectors(vectors: Sequence[Sequence[Fraction]], ratio: Enclosure | None) -> Array | None:
    points = as_floats(vectors)
    if points is None or (ratio is not None and ratio.hi >= 2**200):
        return None
    if ratio is not None:
        points = np.hstack([float(ratio.lo) * points, np.ones((len(points), 1))])
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True))


# --- the search: floats ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Plan:
    rows: Array
    grids: tuple[tuple[Interval, ...], ...]


def _plan(points: Array) -> _Plan | None:
    """Forms and cells that promise most within the budget, or None if nothing does."""
    best, best_value = None, 0.0
    most = max(int(np.linalg.matrix_rank(points, tol=1e-6)) - 1, 1)
    for count in sorted({min(count, most) for count in (3, 4, 5)}):
        rows = find_forms(points, count)
        weights = importance(points, rows) + 1e-12
        for noise in (0.01, 0.02, 0.04, 0.08):
            radii = _radii(points, rows, weights, noise)
            grids = tuple(_grid(radius, -_END if i else -1) for i, radius in enumerate(radii))
            if math.prod(len(grid) for grid in grids) > min(MOST_CELLS, MOST_WORK // len(points)):
                continue
            value = promise(points, rows, noise=(points @ rows.T) ** 2 @ np.square(radii) * float(_NOISE))
            if value > best_value:
                best, best_value = _Plan(rows, grids), value
    return best


def _radii(points: Array, rows: Array, weights: Array, noise: float) -> list[float]:
    """Radii of the cells: along each form they blur the inputs that matter by about `noise` of their rest variance."""
    loads = points @ rows.T
    rest = np.maximum(1 - (loads**2).sum(axis=1), 1e-4)
    scaled = (weights[:, None] * loads**2 / rest[:, None]).sum(axis=0) / weights.sum()
    radii = np.sqrt(noise / float(_NOISE) / np.maximum(scaled, 1e-9))
    return [min(max(float(radii[0]), 0.04), 0.08), *(min(max(float(radius), 0.05), 1.2) for radius in radii[1:])]


def _grid(radius: float, start: int) -> tuple[Interval, ...]:
    """Cells of the standard normal law from about `start` to 4 that stay within about `radius` of their mean."""
    edges = [Fraction(0)]
    while edges[-1] < _END:
        low = float(edges[-1])
        # The mean of a cell of length h at t lies about t h^2/12 below its middle.
        length = radius * 2 / (1 + radius * (low + radius) / 3)
        edges.append(Fraction(math.floor((low + length) * 512), 512))
    return cut(_STANDARD, [-edge for edge in reversed(edges[1:]) if edge <= -start] + edges)


# --- exact coefficients ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Frame:
    """Reflections in whole-number vectors: together they take the pinned forms to the first coordinates, up to sign."""

    vectors: tuple[tuple[int, ...], ...]
    signs: tuple[int, ...]

    def coordinates(self, vector: Sequence[int]) -> tuple[list[int], int]:
        """The first coordinates of a rotated whole-number vector, as numerators over one denominator."""
        rotated, denominator = list(vector), 1
        for mirror in self.vectors:
            square = sum(value * value for value in mirror)
            twice = 2 * sum(a * b for a, b in zip(rotated, mirror, strict=True))
            rotated = [square * a - twice * b for a, b in zip(rotated, mirror, strict=True)]
            denominator *= square
        return [sign * value for sign, value in zip(self.signs, rotated, strict=False)], denominator


def _frame(rows: Array) -> _Frame:
    """Householder reflections of the rows, rounded: whatever the rounding, they are exactly orthogonal."""
    rest = rows.copy()
    vectors, signs = [], []
    for i in range(len(rows)):
        mirror = rest[i].copy()
        mirror[:i] = 0.0
        signs.append(-1 if mirror[i] >= 0 else 1)
        mirror[i] -= signs[-1] * float(np.linalg.norm(mirror))
        vectors.append(tuple(round(float(value) * 2**12) for value in mirror))
        exact = np.array(vectors[-1], dtype=np.float64)
        rest = rest - 2 * np.outer(rest @ exact, exact) / (exact @ exact)
    return _Frame(tuple(vectors), tuple(signs))


@dataclass(frozen=True)
class _Load:
    """One input in the rotated frame, in units `2^-k`, squares in `2^-2k`: ends that enclose.

    Symbols: forms = `-a_i`, where the output is `sum_i a_i T_i + e G`; rest = `e^2`.
    """

    forms: tuple[tuple[int, int], ...]
    rest: tuple[int, int]


def _load(vector: Sequence[Fraction], frame: _Frame, ratio: Enclosure | None) -> _Load:
    """`u = (ratio xi, 1)` in the frame, or `u = xi` for zero biases (ratio None)."""
    common = math.lcm(*(value.denominator for value in vector))
    whole = [int(value * common) for value in vector]
    size = sum(value * value for value in whole)
    if ratio is None:
        numerators, denominator = frame.coordinates(whole)
        bits = _bits(Fraction(size, common * common))
        forms = [_scaled(-value, denominator * common, bits) for value in numerators]
        return _finished(forms, _scaled(size, common * common, 2 * bits))
    numerators, denominator = frame.coordinates([*whole, 0])
    constants, _ = frame.coordinates([0] * len(whole) + [1])
    unit = Fraction(2) ** _bits(1 + Fraction(size, common * common) * ratio.hi**2)
    forms = []
    for value, constant in zip(numerators, constants, strict=True):
        exact, shift = Fraction(-value, denominator * common), Fraction(-constant, denominator)
        ends = sorted((exact * ratio.lo + shift, exact * ratio.hi + shift))
        forms.append((math.floor(ends[0] * unit), math.ceil(ends[1] * unit)))
    square = Fraction(size, common * common)
    ends = [1 + square * ratio.lo**2, 1 + square * ratio.hi**2]
    return _finished(forms, (math.floor(ends[0] * unit**2), math.ceil(ends[1] * unit**2)))


def _finished(forms: Sequence[tuple[int, int]], square: tuple[int, int]) -> _Load:
    most = sum(max(low * low, high * high) for low, high in forms)
    least = sum(0 if low < 0 < high else min(low * low, high * high) for low, high in forms)
    return _Load(tuple(forms), (max(square[0] - most, 0), square[1] - least))


def _bits(square: Fraction) -> int:
    """Binary places that give numbers of about this squared size 80 significant bits."""
    return 80 - (square.numerator.bit_length() - square.denominator.bit_length()) // 2


def _scaled(numerator: int, denominator: int, bits: int) -> tuple[int, int]:
    """Ends of `numerator/denominator` in units `2^-bits`."""
    low = (numerator << max(bits, 0)) // (denominator << max(-bits, 0))
    return low, low + 1


def _short_above(value: Fraction) -> Fraction:
    return Fraction(math.ceil(value * 2**12), 2**12)


@dataclass(frozen=True)
class _Margin:
    """`z = sum_i c_i T_i`, and the level of the row of `tables.row` to look `z` up in.

    Symbols: coefficients = lower bounds of `c_i` in units `2^-20`, which exceed them by at most `width` units.
    """

    coefficients: tuple[int, ...]
    width: int
    level: int | None


def _margin(load: _Load, radii: Sequence[Fraction]) -> _Margin:
    """Smoothed, normalized distance of the neuron from being active at one input, as a linear function of the forms."""
    noise = sum(
        (max(low * low, high * high) * radius**2 for (low, high), radius in zip(load.forms, radii, strict=True)),
        Fraction(0),
    )
    noise *= _NOISE
    low, high = load.rest
    level = level_above(noise / low) if low > high >> 20 else None
    if level is None:
        low = high = high + math.ceil(noise)
    else:
        stretch = 1 + level_variance(level)
        low, high = math.floor(low * stretch), math.ceil(high * stretch)
    below = [_quotient_below(form, low, high) for form, _ in load.forms]
    above = [-_quotient_below(-form, low, high) for _, form in load.forms]
    return _Margin(tuple(below), max(b - a for a, b in zip(below, above, strict=True)), level)


def _quotient_below(form: int, low: int, high: int) -> int:
    """A lower bound of `form/s` in units `2^-20` for every `s^2` in `[low, high]`."""
    square = form * form << 2 * _FORM_BITS
    return math.isqrt(square // high) if form >= 0 else -math.isqrt(square // low) - 1


# --- the sum over the cells: whole numbers ---------------------------------------------------------------------------


def _lower_bound(margins: Sequence[_Margin], grids: Sequence[Sequence[Interval]]) -> Fraction:
    """`sum over cells of P(cell) max(0, 1 - sum_j tail_j)`, rounded down."""
    coefficients = np.array([margin.coefficients for margin in margins], dtype=np.int64)
    means = [np.array([math.floor(cell.mean.lo * 2**_MEAN_BITS) for cell in grid], dtype=np.int64) for grid in grids]
    masses = [np.array([math.floor(cell.mass.lo * ONE) for cell in grid], dtype=np.int64) for grid in grids]
    # Means and coefficients may be higher than they are written.
    blurs = [
        max(math.ceil(cell.mean.hi * 2**_MEAN_BITS) - int(low) for cell, low in zip(grid, mean, strict=True))
        for grid, mean in zip(grids, means, strict=True)
    ]
    sizes = [int(np.abs(mean).max()) + blur for mean, blur in zip(means, blurs, strict=True)]
    widths = np.array([margin.width for margin in margins], dtype=np.int64)
    slack = np.abs(coefficients) @ np.array(blurs, dtype=np.int64) + widths * sum(sizes)
    levels = sorted({margin.level for margin in margins}, key=lambda level: -1 if level is None else level)
    rows = np.concatenate([row(level) for level in levels]).astype(np.int32)
    width = ROW_END - ROW_START + 1
    starts = np.array([levels.index(margin.level) * width - ROW_START for margin in margins], dtype=np.int64)
    total = 0
    for index in _chunks([len(grid) for grid in grids]):
        forms = np.stack([mean[i] for mean, i in zip(means, index, strict=True)])
        weights = _products([mass[i] for mass, i in zip(masses, index, strict=True)])
        tails = np.zeros(forms.shape[1], dtype=np.int64)
        for group in _groups(len(margins)):
            z = (exact_product(coefficients[group], forms) - slack[group, None]) >> _FORM_BITS + _MEAN_BITS - 8
            position = np.clip(z, ROW_START, ROW_END) + starts[group, None]
            tails += rows[position].sum(axis=0, dtype=np.int64)
            alive = tails < ONE
            forms, weights, tails = forms[:, alive], weights[alive], tails[alive]
        total += int(_times(weights, ONE - tails).sum())
    return Fraction(total, ONE * ONE)


def _chunks(shape: Sequence[int]) -> Iterator[tuple[NDArray[np.intp], ...]]:
    for start in range(0, math.prod(shape), _CHUNK):
        yield np.unravel_index(np.arange(start, min(start + _CHUNK, math.prod(shape))), shape)


def _groups(count: int) -> list[slice]:
    """The inputs that matter most come first: most cells are given up after them."""
    ends = [0, *(end for end in (24, 120) if end < count), count]
    return [slice(low, high) for low, high in itertools.pairwise(ends)]


def _products(masses: Sequence[Ints]) -> Ints:
    """Products of masses in units `1/ONE`, in units `1/ONE^2`, rounded down."""
    found = masses[0] * ONE
    for mass in masses[1:]:
        found = _times(found, mass)
    return found


def _times(fine: Ints, coarse: Ints) -> Ints:
    """`fine coarse/ONE` rounded down, for `0 <= fine <= ONE^2` and `0 <= coarse <= ONE`, without overflow."""
    return np.asarray((fine >> 30) * coarse + ((fine & (ONE - 1)) * coarse >> 30))
