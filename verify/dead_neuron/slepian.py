"""Lower bounds of `p_1` for normal weights by one common factor (math §6.7): Slepian's inequality."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np
import sympy
from numpy.typing import NDArray

from theorems.errors import InvalidInput
from theorems.hypotheses import Evidence
from theorems.laws import Normal, Zero
from verify.dead_neuron.integers import exact_product
from verify.dead_neuron.partition import cut, scale_ratio
from verify.dead_neuron.result import DeadProbability, FirstLayer
from verify.enclosure import Enclosure
from verify.enclosure.arb import exp_of, log_of, normal_tail

__all__ = ["one_factor", "one_factor_bound"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_INPUTS = 3000

_PLACES = 22
_LOAD_BITS = 20
_SWEEPS = 60
_NODES, _END = 32, 8
_FINE = 256
_LOWEST = -12
_LOG_BITS = 32
_STANDARD = Normal(sympy.Integer(1))
_BLOCK = 256
_LARGEST = 1 - Fraction(1, 2**40)
"""Largest size of a load: up to it, arguments of the table of `log Phi` stay below 2^63."""


def one_factor(first: FirstLayer) -> DeadProbability | None:
    """Lower bound for normal weights with normal or zero biases, where no two inputs are negatively correlated.

    Source:   math §6.7: `p_1 >= E prod_j Phi(lambda_j T/sqrt(1 - lambda_j^2))` if `lambda_j lambda_k <= rho_jk`.
    Rigour:   a lower bound; the search for the loads only decides how sharp it is.
    Returns None for other laws, negative correlations, and more than 3000 inputs.
    """
    weight, bias = first.weight, first.bias
    if not (isinstance(weight, Normal) and isinstance(bias, Normal | Zero)):
        return None
    vectors = _Vectors.of(first)
    if vectors is None:
        return None
    loads = _search(vectors)
    if loads is None:
        return None
    lower = _bound(vectors, loads)
    if lower <= 0:
        return None
    why = f"one common factor for {len(loads)} inputs, loads {float(min(loads)):.3f} to {float(max(loads)):.3f}"
    return DeadProbability("one_factor", Enclosure(lower, Fraction(1)), False, Evidence.CERTIFIED, why)


def one_factor_bound(first: FirstLayer, loads: Sequence[Fraction]) -> Fraction:
    """The bound for given loads `lambda_j`, one for each input (with zero biases, for each of `first.rays`).

    Source:   math §6.7.
    Rigour:   a lower bound of `p_1`.
    Fails:    InvalidInput if the weights are not normal, a load is larger than 1 - 2^-40 in size, or
              `lambda_j lambda_k <= rho_jk` cannot be verified for some pair.
    """
    vectors = _Vectors.of(first) if isinstance(first.weight, Normal) and isinstance(first.bias, Normal | Zero) else None
    if vectors is None:
        raise InvalidInput(
            f"weights {first.weight}, biases {first.bias}: expected normal weights, normal or zero biases"
        )
    if len(loads) != vectors.count:
        raise InvalidInput(f"{len(loads)} loads: expected {vectors.count}, one for each input")
    if not all(abs(load) <= _LARGEST for load in loads):
        raise InvalidInput(
            "a load is outside (-1, 1), or within 2^-40 of an end: expected correlations with the common factor"
        )
    pair = vectors.violated(loads)
    if pair is not None:
        j, k = pair
        raise InvalidInput(
            f"loads {float(loads[j]):.6f} and {float(loads[k]):.6f} of inputs {j} and {k}: "
            "expected a product of at most their correlation"
        )
    return _bound(vectors, loads)


class _Vectors:
    """Positive multiples of the vectors `u` (for which the outputs are `u.g`), near unit length, in units `2^-22`.

    Symbols: gram = lower bounds of the inner products, in units `2^-44`; least, most = bounds of the lengths.
    """

    def __init__(self, rows: Sequence[Sequence[Fraction]]) -> None:
        # A written entry is the floor, the true one less than two units above it.
        floors = np.array([[math.floor(value * 2**_PLACES) for value in row] for row in rows], dtype=np.int64)
        self.count = len(rows)
        negative = 2 * np.maximum(-floors, 0).sum(axis=1)
        # Sums of 256 products of entries up to about 2^22 are exact in one product of matrices.
        products = np.zeros((len(rows), len(rows)), dtype=np.int64)
        for start in range(0, floors.shape[1], _BLOCK):
            part = floors[:, start : start + _BLOCK]
            products += exact_product(part, part.T)
        self.gram: Ints = products - negative[:, None] - negative[None, :]
        squares_above = ((np.abs(floors) + 2) ** 2).sum(axis=1)
        squares_below = (np.maximum(np.abs(floors) - 2, 0) ** 2).sum(axis=1)
        self.most: Ints = np.array([math.isqrt(int(square)) + 1 for square in squares_above], dtype=np.int64)
        self.least: Ints = np.array([math.isqrt(int(square)) for square in squares_below], dtype=np.int64)

    @classmethod
    def of(cls, first: FirstLayer) -> _Vectors | None:
        """The vectors `(ratio xi, 1)`, or `xi` for zero biases; None if there are none, or too many."""
        biased = isinstance(first.bias, Normal)
        inputs = first.inputs if biased else first.rays
        if not 0 < len(inputs) <= MOST_INPUTS:
            return None
        ratio = scale_ratio(first.weight, first.bias) if biased else Enclosure.point(1)
        rows = []
        for x in inputs:
            vector = [value * (ratio.lo if value >= 0 else ratio.hi) for value in x] + ([Fraction(1)] if biased else [])
            largest = max(abs(value) for value in vector)
            length = math.sqrt(sum(float(value / largest) ** 2 for value in vector))
            scale = 1 / (largest * Fraction(length))
            rows.append([value * scale for value in vector])
        return cls(rows)

    def violated(self, loads: Sequence[Fraction]) -> tuple[int, int] | None:
        """A pair for which `lambda_j lambda_k <= rho_jk` is not verified, or None."""
        above = np.array([math.ceil(abs(v) * int(n)) for v, n in zip(loads, self.most, strict=True)], dtype=np.int64)
        below = np.array([math.floor(abs(v) * int(n)) for v, n in zip(loads, self.least, strict=True)], dtype=np.int64)
        signs = np.array([(v > 0) - (v < 0) for v in loads])
        products = np.where(np.outer(signs, signs) >= 0, np.outer(above, above), -np.outer(below, below))
        excess = products - self.gram
        np.fill_diagonal(excess, 0)
        j, k = divmod(int(excess.argmax()), self.count)
        return (j, k) if excess[j, k] > 0 else None


def _search(vectors: _Vectors) -> list[Fraction] | None:
    """Loads that cannot be raised together much further, verified; None if two inputs are negatively correlated."""
    lengths = vectors.least.astype(np.float64)
    correlations = vectors.gram / np.outer(lengths, lengths)
    np.fill_diagonal(correlations, np.inf)
    lowest = correlations.min(axis=1) if vectors.count > 1 else np.array([0.25])
    if lowest.min() < 0:
        return None
    loads = np.where(lowest > 0, math.sqrt(max(float(lowest.min()), 0.0)), 0.0)
    for _ in range(_SWEEPS):
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(loads > 0, (correlations / np.outer(loads, loads)).min(axis=1, initial=np.inf), 1.0)
        loads = np.minimum(loads * np.sqrt(np.where(np.isfinite(room), np.maximum(room, 1.0), 1.0)), 0.999)
    for attempt in range(20):
        shrunk = [Fraction(math.floor(v * (1 - 2.0 ** (attempt - 20)) * 2**_LOAD_BITS), 2**_LOAD_BITS) for v in loads]
        if vectors.violated(shrunk) is None:
            return shrunk
    return None


# --- the integral ----------------------------------------------------------------------------------------------------


def _bound(vectors: _Vectors, loads: Sequence[Fraction]) -> Fraction:
    """`E prod_j Phi(kappa_j T)`, `kappa = lambda/sqrt(1 - lambda^2)`, from below.

    The integrand is log-concave: on each cell it lies above the geometric interpolation of its ends, whose mean is at
    least the interpolation at the mean of `T` (Jensen).
    """
    nodes = range(-_END * _NODES, _END * _NODES + 1)
    logs = _log_products(loads, np.array(nodes, dtype=np.int64))
    total = Fraction(0)
    cells = cut(_STANDARD, [Fraction(k, _NODES) for k in nodes])
    for cell, low, high in zip(cells, logs, logs[1:], strict=False):
        if low is None or high is None:
            continue
        shares = [(mean - cell.low) / (cell.high - cell.low) for mean in (cell.mean.lo, cell.mean.hi)]
        exponent = min((1 - share) * low + share * high for share in shares)
        total += cell.mass.lo * exp_of(Fraction(math.floor(exponent), 2**_LOG_BITS)).lo
    return Fraction(math.floor(total * 2**64), 2**64)


def _log_products(loads: Sequence[Fraction], nodes: Ints) -> list[int | None]:
    """Lower bounds of `sum_j log Phi(kappa_j t)`, `t = node/32`, in units `2^-32`; None for factors below 1e-32."""
    table = _log_table()
    totals = np.zeros(len(nodes), dtype=np.int64)
    lost = np.zeros(len(nodes), dtype=np.bool_)
    places = _LOAD_BITS + (_NODES.bit_length() - 1)
    for load in loads:
        square = load * load / (1 - load * load)
        least = math.isqrt(math.floor(square * 4**_LOAD_BITS))
        rising = nodes * (1 if load > 0 else -1)
        # z in units 2^-25, rounded down: the smaller slope where z is positive, the larger where it is negative.
        z = np.where(rising >= 0, rising * least, rising * (least + 1))
        index = (z * _FINE >> places) - _LOWEST * _FINE
        lost |= index < 0
        place = np.clip(index, 0, len(table) - 2)
        fraction = np.where(index == place, z * _FINE & ((1 << places) - 1), (index > place) * ((1 << places) - 1))
        totals += table[place] + ((table[place + 1] - table[place]) * (fraction >> places - 16) >> 16)
    return [None if gone else int(value) for gone, value in zip(lost, totals, strict=True)]


@lru_cache(maxsize=1)
def _log_table() -> Ints:
    """Lower bounds of `log Phi` in units `2^-32` at the multiples of 1/256 from -12 to 8."""
    values = []
    for i in range(_LOWEST * _FINE, 8 * _FINE + 1):
        z = Fraction(i, _FINE)
        below = normal_tail(-z).lo if z < 0 else 1 - normal_tail(z).hi
        values.append(math.floor(log_of(below, bits=128).lo * 2**_LOG_BITS))
    return np.array(values, dtype=np.int64)
