"""Certified upper bounds of the optimal risk: explicit networks, found in floats, evaluated exactly.

The witness is `x -> intercept + sum_i slopes[i] max(directions[i].x - thresholds[i], 0)`, a network with one hidden
layer. Every architecture with at least as many first-layer neurons realizes it on the data: the second hidden layer
carries its outputs, shifted up to be non-negative, and later layers pass non-negative numbers on (math Lemma 8).
Layers narrower than the output carry fewer numbers; then the slopes have at most that rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from operator import mul

import numpy as np

from theorems.setting import Architecture, DataSet
from verify.risk.interpolation import Polyline, interpolates, interpolating_polyline
from verify.risk.lattice import Integers, counts_of, fits_int64, input_lattice, label_lattice
from verify.risk.rounding import IntegerHinges, bits_of_a_hinge, nearest_integer
from verify.risk.search import OutputLayer, hinges_for, output_layer, points_of
from verify.risk.threads import on_one_thread

__all__ = ["Witness", "best_witness"]

Vector = tuple[Fraction, ...]

MAX_NEURONS = 64  # more would make the search slow; wide layers use so many
MAX_VALUES = 6_400_000  # hinges times inputs
LARGE = 2_000  # distinct inputs above which the search looks at a part of them
MAX_SLOW_PRODUCTS = 2_000_000  # of integers that do not fit 64 bits
WEIGHT_BITS = 20
INT64_BITS = 61
SPARE_BITS = 16  # for sums over the coordinates


@dataclass(frozen=True)
class Witness:
    """An explicit network and its exact risk, an upper bound of `I(l)`.

    Symbols: directions = (u_i) and thresholds = (t_i), one hinge each; intercept and slopes[i] are vectors of outputs.
    """

    directions: tuple[Vector, ...]
    thresholds: tuple[Fraction, ...]
    intercept: Vector
    slopes: tuple[Vector, ...]
    risk: Fraction


def best_witness(architecture: Architecture, data: DataSet) -> Witness:
    """Return a network of this architecture with small exact risk, never above that of the best constant.

    It has at most as many hinges as the first hidden layer has neurons. Where an interpolating function was found, its
    risk is the noise floor.

    Source:   math Lemma 8; Lemma 7a for interpolation.
    Rigour:   the risk is exact; the search is float and only affects how small it is.
    """
    first, later = architecture.hidden[0], architecture.hidden[1:]
    polyline = interpolating_polyline(data) if interpolates(first, later, data) else None
    if polyline is not None:
        return _interpolation(data, polyline)
    rank = min((*later, data.output_dim))
    return _search(data, min(first, _affordable(data)), rank)


def _affordable(data: DataSet) -> int:
    """Number of hinges beyond which search and exact evaluation would become slow."""
    fast = bits_of_a_hinge(data) <= INT64_BITS - SPARE_BITS
    values = MAX_VALUES // data.n_inputs if fast else MAX_SLOW_PRODUCTS // (data.n_inputs * data.input_dim)
    return max(1, min(MAX_NEURONS, values))


def _interpolation(data: DataSet, polyline: Polyline) -> Witness:
    inputs, labels = input_lattice(data), label_lattice(data)
    direction = tuple(u / step for u, step in zip(polyline.direction, inputs.step, strict=True))
    origin = sum((u * start for u, start in zip(direction, inputs.start, strict=True)), Fraction(0))
    step = labels.step[0]
    return Witness(
        directions=(direction,) * len(polyline.knots),
        thresholds=tuple(knot + origin for knot in polyline.knots),
        intercept=tuple(start + step * y for start, y in zip(labels.start, polyline.start, strict=True)),
        slopes=tuple(tuple(step * c for c in change) for change in polyline.changes),
        risk=data.noise_floor,
    )


@lru_cache(maxsize=256)
@on_one_thread
def _search(data: DataSet, neurons: int, rank: int) -> Witness:
    constant = Witness((), (), data.grand_mean, (), data.noise_floor + data.variance)
    if data.variance == 0:
        return constant
    points, least, best = points_of(data), np.inf, None
    for hinges in hinges_for(points.sample(LARGE), neurons):
        rounded = IntegerHinges.of(data, hinges)
        if rounded is not None:
            layer = output_layer(rounded.floats, points.labels, points.weights, rank)
            error = layer.error(rounded.floats, points)
            if error < least:  # also refuses numbers that are not finite
                least, best = error, (rounded, layer)
    found = constant if best is None else _network(*best)
    return min(constant, found, key=lambda witness: witness.risk)


def _network(hinges: IntegerHinges, layer: OutputLayer) -> Witness:
    """The witness with this output layer, rounded."""
    size = max(label_lattice(hinges.data).sizes)
    bits = _free_bits(hinges.bits, layer, size)
    intercept = [nearest_integer(c, hinges.bits + bits, size) for c in layer.intercept]
    return _witness(hinges, intercept, _combined(layer, bits, size), 2 ** (hinges.bits + bits))


def _free_bits(hinge_bits: int, layer: OutputLayer, size: int) -> int:
    """Bits for the output weights that keep every sum in 64 bits, or enough of them if those are too few."""
    combine = np.abs(layer.carry @ layer.spread)
    largest = int(1 + (np.abs(layer.intercept) + combine.sum(axis=0)).max())
    free = INT64_BITS - hinge_bits - size.bit_length() - largest.bit_length()
    enough = WEIGHT_BITS - size.bit_length() + len(combine).bit_length()
    return max(free, enough, 2)


def _witness(hinges: IntegerHinges, intercept: Sequence[int], combine: Integers, scale: int) -> Witness:
    """The network with outputs `(intercept + values . combine) / scale`, in steps of the labels."""
    inputs, labels = input_lattice(hinges.data), label_lattice(hinges.data)
    step, counts = labels.step[0], counts_of(hinges.data)
    residual = _sums(hinges.values, combine, intercept, labels.values, scale)
    squares = sum(sum(map(mul, counts[0], map(mul, column, column))) for column in residual.T.tolist())
    directions = tuple(
        tuple(Fraction(int(w)) / size for w, size in zip(row, inputs.step, strict=True)) for row in hinges.weights
    )
    origins = [sum((u * start for u, start in zip(row, inputs.start, strict=True)), Fraction(0)) for row in directions]
    return Witness(
        directions=directions,
        thresholds=tuple(int(t) + origin for t, origin in zip(hinges.thresholds, origins, strict=True)),
        intercept=tuple(y + step * Fraction(c, scale) for y, c in zip(labels.start, intercept, strict=True)),
        slopes=tuple(tuple(step * Fraction(int(c), scale) for c in row) for row in combine),
        risk=hinges.data.noise_floor + step**2 * Fraction(squares, counts[1] * scale**2),
    )


def _sums(values: Integers, combine: Integers, intercept: Sequence[int], labels: Integers, scale: int) -> Integers:
    """`intercept + values . combine - scale labels`, exact: in int64 where no partial sum can leave it."""
    largest = [int(v) for v in values.max(axis=0)]
    bound = max(
        abs(c) + sum(abs(int(w)) * v for w, v in zip(column, largest, strict=True)) + scale * size
        for c, column, size in zip(intercept, combine.T, labels.max(axis=0).tolist(), strict=True)
    )
    kind = np.int64 if fits_int64(bound, values, labels) else object
    factors, shift = combine.astype(kind), np.array(intercept, dtype=kind)
    sums: Integers = values.astype(kind) @ factors + shift - labels.astype(kind) * scale
    return sums


def _combined(layer: OutputLayer, bits: int, size: int) -> Integers:
    """Output weights in integers; a product of two rounded factors if the rank is limited."""
    if len(layer.spread) == len(layer.intercept):
        rows = (layer.carry @ layer.spread).tolist()
        return np.array([[nearest_integer(c, bits, size) for c in row] for row in rows], dtype=object)
    carry = [[nearest_integer(b, bits - bits // 2) for b in row] for row in layer.carry.tolist()]
    spread = [[nearest_integer(a, bits // 2, size) for a in row] for row in layer.spread.tolist()]
    product: Integers = np.array(carry, dtype=object) @ np.array(spread, dtype=object)
    return product
