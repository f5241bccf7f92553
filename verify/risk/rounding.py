"""First-layer neurons in integers: hinges found in floats, rounded, and evaluated exactly on the data."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np

from theorems.setting import DataSet
from verify.risk.lattice import Integers, fits_int64, input_lattice
from verify.risk.search import Floats, Hinges, hinge_values, points_of

__all__ = ["IntegerHinges", "bits_of_a_hinge", "nearest_integer"]

HINGE_BITS = 26
MARGIN_BITS = 12  # by which a hinge is finer than the steps of the inputs
TINY = 1e-9


@dataclass(frozen=True, eq=False)
class IntegerHinges:
    """First-layer neurons in integers, acting on the integer lattice of the inputs, and their values on the data.

    Symbols: weights (n, d) and thresholds (n,) with `values = max(weights . z - thresholds, 0)`, shape (K, n); values
    near 2^bits are the largest of each neuron.
    """

    data: DataSet
    weights: Integers
    thresholds: Integers
    values: Integers
    bits: int

    @cached_property
    def floats(self) -> Floats:
        """Values near 1, for the search of output weights."""
        if self.values.dtype == np.int64:
            return self.values / 2.0**self.bits
        return np.array([[value / 2**self.bits for value in row] for row in self.values.tolist()])

    @classmethod
    def of(cls, data: DataSet, hinges: Hinges) -> IntegerHinges | None:
        """Round hinges in the coordinates of `points_of(data)`; None if none is clearly non-zero on the data."""
        lattice = input_lattice(data)
        bits = bits_of_a_hinge(data)
        largest = hinge_values(points_of(data), hinges).max(axis=0)
        alive = np.isfinite(largest) & (largest > TINY)
        if not alive.any():
            return None
        directions = hinges.directions[alive] / largest[alive, None]
        thresholds = [nearest_integer(t, bits) for t in hinges.thresholds[alive] / largest[alive]]
        weights = [
            [
                nearest_integer(u, bits, Fraction(1, size)) if size else 0
                for u, size in zip(row, lattice.sizes, strict=True)
            ]
            for row in directions.tolist()
        ]
        bound = max(
            abs(t) + sum(abs(w) * size for w, size in zip(row, lattice.sizes, strict=True))
            for row, t in zip(weights, thresholds, strict=True)
        )
        kind = np.int64 if fits_int64(bound, lattice.values) else object
        matrix, shifts = np.array(weights, dtype=kind), np.array(thresholds, dtype=kind)
        values = np.maximum(lattice.values.astype(kind) @ matrix.T - shifts, 0)
        return cls(data, matrix, shifts, values, bits)


def bits_of_a_hinge(data: DataSet) -> int:
    """The largest value of a rounded hinge is near 2 to this power: fine enough for the steps of the inputs."""
    return max(HINGE_BITS, max(input_lattice(data).sizes).bit_length() + MARGIN_BITS)


def nearest_integer(value: float, bits: int, factor: Fraction | int = 1) -> int:
    """`round(value factor 2^bits)`, exact for factors beyond the reach of floats."""
    nearest: int = round(Fraction(value) * factor * 2**bits)
    return nearest
