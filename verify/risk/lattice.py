"""The data in integers: every column of fractions is `start + step * integer`.

Linear pieces, affine runs, collinearity and extreme points do not depend on the choice of coordinates, so the exact
methods of this folder work on small integers instead of fractions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from theorems.setting import DataSet

__all__ = ["INT64_SAFE", "Integers", "Lattice", "counts_of", "fits_int64", "input_lattice", "integers", "label_lattice"]

Integers = npt.NDArray[Any]
"""Integers that are exact: int64 where every entry fits, else Python integers (dtype object)."""

INT64_SAFE = 2**62
"""Sums and products whose absolute values provably stay below this are formed in int64."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """Rows of fractions as integers: `row[i] = start[i] + step[i] * values[row, i]`, `step[i] > 0`, `values >= 0`."""

    values: Integers
    start: tuple[Fraction, ...]
    step: tuple[Fraction, ...]

    @property
    def sizes(self) -> list[int]:
        """Largest integer of every column."""
        return [int(size) for size in self.values.max(axis=0)]


@lru_cache(maxsize=16)
def input_lattice(data: DataSet) -> Lattice:
    """The distinct inputs, each column with its own step, the largest possible one (1 for a constant column)."""
    columns = [_on_lattice(column) for column in zip(*data.inputs, strict=True)]
    values, start, step = zip(*columns, strict=True)
    return Lattice(integers(values).T, start, step)


@lru_cache(maxsize=16)
def label_lattice(data: DataSet) -> Lattice:
    """The mean labels, with one step for all columns, so that squared distances are `step^2` times integers."""
    columns = [_on_lattice(column) for column in zip(*data.means, strict=True)]
    moving = [step for values, _, step in columns if any(values)]
    denominator = math.lcm(*(step.denominator for step in moving))
    common = Fraction(math.gcd(*(int(step * denominator) for step in moving)) or 1, denominator)
    factors = [int(step / common) if any(values) else 1 for values, _, step in columns]
    scaled = [[value * factor for value in values] for factor, (values, _, _) in zip(factors, columns, strict=True)]
    return Lattice(integers(scaled).T, tuple(start for _, start, _ in columns), (common,) * len(columns))


@lru_cache(maxsize=16)
def counts_of(data: DataSet) -> tuple[list[int], int]:
    """Integers `m_j` and `M` with `pi_j = m_j / M`."""
    total = math.lcm(*{weight.denominator for weight in data.weights})
    return [weight.numerator * (total // weight.denominator) for weight in data.weights], total


def integers(values: Sequence[Sequence[int]]) -> Integers:
    """An exact array of these rows of integers."""
    largest = max((max(map(abs, row), default=0) for row in values), default=0)
    return np.array(values, dtype=np.int64 if largest < INT64_SAFE else object)


def fits_int64(bound: int, *arrays: Integers) -> bool:
    """Whether these arrays are int64 and a result that stays below `bound` in absolute value may be formed in it."""
    return bound < INT64_SAFE and all(array.dtype == np.int64 for array in arrays)


def _on_lattice(column: Sequence[Fraction]) -> tuple[list[int], Fraction, Fraction]:
    denominator = math.lcm(*{value.denominator for value in column})
    whole = [value.numerator * (denominator // value.denominator) for value in column]
    low = min(whole)
    shifted = [value - low for value in whole]
    divisor = math.gcd(*shifted) or denominator
    return [value // divisor for value in shifted], Fraction(low, denominator), Fraction(divisor, denominator)
