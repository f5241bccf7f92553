"""Exact linear separation: an open half-space through 0 that holds all points, or 0 as a convex combination of them.

By Gordan's theorem exactly one of the two exists. A float linear program proposes the answer; what is returned has been
checked in integers. Where the proposal fails, a fraction-free simplex method decides on a growing part of the points.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linprog

from theorems.errors import InvalidInput
from theorems.setting import Vector
from verify.enclosure import Tri

__all__ = ["Separation", "ray_keys", "separate"]

Integers = npt.NDArray[Any]  # int64 where every entry fits, else Python integers
Floats = npt.NDArray[np.float64]

ROUNDINGS = (6, 14, 28, 52)  # bits to which a proposed direction is rounded, shortest first
GREEDY_PIVOTS = 150  # then Bland's rule, which cannot cycle
MAX_PIVOTS = 600
MAX_WORKING_SET = 400
INT64 = 2**63 - 1
TINY = 2.0**-500
NEGLIGIBLE = 1e-11  # dual weights up to this are taken for 0


@dataclass(frozen=True)
class Separation:
    """Which of the two alternatives holds; both fields are None if neither was found.

    Symbols: direction = u with `u.p < 0` for every point p; multipliers = pairs (number of a point, coefficient > 0)
    with coefficients of sum 1 and `sum coefficient p = 0`.
    """

    direction: Vector | None
    multipliers: tuple[tuple[int, Fraction], ...] | None

    @property
    def separable(self) -> Tri:
        """Whether all points lie in an open half-space through 0."""
        if self.direction is not None:
            return Tri.YES
        return Tri.UNDECIDED if self.multipliers is None else Tri.NO


def separate(points: Sequence[Vector]) -> Separation:
    """Decide whether some direction is negative on every point, or 0 is a convex combination of the points.

    Rigour:   exact: a direction was checked against every point, multipliers add up to 1 and to the point 0. Undecided
              only if the float proposals fail and the simplex method exceeds its budget (MAX_PIVOTS pivots,
              MAX_WORKING_SET points), which takes nearly degenerate points in many dimensions.
    Source:   Gordan (1873); math §6.3.
    Fails:    InvalidInput if there are no points, or they have no or different numbers of coordinates.
    """
    scaled = _Scaled.of(points)
    short = _short_combination(scaled.rows)
    if short is not None:
        return scaled.combination(short)
    floats = _FloatRows.of(scaled.rows)
    for direction in _simple_directions(scaled.rows, floats):
        if _all_negative(scaled.rows, direction):
            return scaled.halfspace(direction)
    proposal, weights = _linear_program(floats.values)
    for bits in ROUNDINGS:
        direction = floats.rounded(proposal, bits)
        if _all_negative(scaled.rows, direction):
            return scaled.halfspace(direction)
    support = np.flatnonzero(weights > NEGLIGIBLE)
    multipliers = _combination(scaled.rows[support].astype(object)) if len(support) <= scaled.dimension + 1 else None
    if multipliers is not None:
        return scaled.combination([(int(support[i]), value) for i, value in multipliers])
    return _by_simplex(scaled, weights)


def ray_keys(points: Sequence[Vector]) -> list[tuple[int, ...]]:
    """Coprime integers for each point, the same for two points exactly if they lie on one ray from 0.

    Rigour:   exact. Fails: InvalidInput as `separate`.
    """
    return list(map(tuple, _Scaled.of(points).rows.tolist()))


# --- exact scaling ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Scaled:
    """The points in integers: `rows[j][i] = columns[i] * factors[j] * points[j][i]`, all factors positive.

    Separation does not depend on positive factors of coordinates or of points.
    """

    rows: Integers
    columns: tuple[Fraction, ...]
    factors: tuple[Fraction, ...]

    @property
    def dimension(self) -> int:
        """Number of coordinates."""
        return len(self.columns)

    @classmethod
    def of(cls, points: Sequence[Vector]) -> _Scaled:
        """Clear denominators along columns or along rows, whichever is shorter, then divide by common factors."""
        if not points or not points[0] or len({len(point) for point in points}) > 1:
            raise InvalidInput(
                f"{len(points)} points with {sorted({len(point) for point in points})} coordinates: expected at least "
                "one point, and the same positive number of coordinates for all"
            )
        across = list(zip(*points, strict=True))
        if _columns_are_shorter(points, across):
            whole, columns = _coprime(across)
            rows, factors = _without_common_factors(list(zip(*whole, strict=True)))
        else:
            cleared, first = _coprime(points)
            whole, columns = _coprime(list(zip(*cleared, strict=True)))
            rows, second = _without_common_factors(list(zip(*whole, strict=True)))
            factors = tuple(a * b for a, b in zip(first, second, strict=True))
        largest = max(abs(value) for row in rows for value in row)
        return cls(np.array(rows, dtype=np.int64 if largest <= INT64 else object), columns, factors)

    def halfspace(self, direction: Sequence[int]) -> Separation:
        """The direction in the coordinates of the points."""
        return Separation(tuple(c * u for c, u in zip(self.columns, direction, strict=True)), None)

    def combination(self, multipliers: Sequence[tuple[int, int]]) -> Separation:
        """The convex combination of the points from a positive combination of the rows, checked to vanish."""
        chosen = self.rows[[j for j, _ in multipliers]].astype(object)
        if (np.array([value for _, value in multipliers], dtype=object) @ chosen).any():
            raise ArithmeticError("the multipliers found do not combine the points to 0")
        raw = [(j, value * self.factors[j]) for j, value in sorted(multipliers)]
        total = sum((value for _, value in raw), Fraction(0))
        return Separation(None, tuple((j, value / total) for j, value in raw))


def _columns_are_shorter(points: Sequence[Vector], across: Sequence[Vector]) -> bool:
    """Whether common denominators of columns are no longer than the longest one of a row."""
    shapes = {tuple([value.denominator for value in point]) for point in points}
    longest = max(math.lcm(*shape).bit_length() for shape in shapes)
    for column in across:
        multiple = 1
        for denominator in {value.denominator for value in column}:
            multiple = math.lcm(multiple, denominator)
            if multiple.bit_length() > longest:
                return False
    return True


def _coprime(vectors: Sequence[Sequence[Fraction | int]]) -> tuple[list[Sequence[int]], tuple[Fraction, ...]]:
    """Multiply each vector by a positive factor so that it becomes coprime integers; return them and the factors."""
    cleared, denominators = [], []
    for vector in vectors:
        denominator = math.lcm(*{value.denominator for value in vector})
        cleared.append([value.numerator * (denominator // value.denominator) for value in vector])
        denominators.append(denominator)
    whole, factors = _without_common_factors(cleared)
    return whole, tuple(factor * denominator for factor, denominator in zip(factors, denominators, strict=True))


def _without_common_factors(vectors: Sequence[Sequence[int]]) -> tuple[list[Sequence[int]], tuple[Fraction, ...]]:
    """Likewise for integers, of which there may be millions."""
    divisors = [math.gcd(*vector) or 1 for vector in vectors]
    inverse = {divisor: Fraction(1, divisor) for divisor in set(divisors)}
    whole = [
        vector if divisor == 1 else [value // divisor for value in vector]
        for divisor, vector in zip(divisors, vectors, strict=True)
    ]
    return whole, tuple(inverse[divisor] for divisor in divisors)


# --- exact checks ----------------------------------------------------------------------------------------------------


def _products(rows: Integers, direction: Sequence[int]) -> Integers:
    """`rows . direction`, exact: in int64 only where no partial sum can overflow."""
    largest = max(map(abs, direction)) * rows.shape[1]
    if rows.dtype == np.int64 and largest * _size(rows) <= INT64:
        small: Integers = rows @ np.array(direction, dtype=np.int64)
        return small
    products: Integers = rows.astype(object) @ np.array(direction, dtype=object)
    return products


def _size(rows: Integers) -> int:
    """Largest absolute value (int64 rows hold none below -INT64)."""
    return int(np.abs(rows).max())


def _all_negative(rows: Integers, direction: Sequence[int]) -> bool:
    return bool((_products(rows, direction) < 0).all())


# --- proposals -------------------------------------------------------------------------------------------------------


def _short_combination(rows: Integers) -> tuple[tuple[int, int], ...] | None:
    """A point 0, or two opposite rays."""
    seen: dict[tuple[int, ...], int] = {}
    for j, row in enumerate(rows.tolist()):
        if not any(row):
            return ((j, 1),)
        opposite = seen.get(tuple(-v for v in row))
        if opposite is not None:
            return (opposite, 1), (j, 1)
        seen.setdefault(tuple(row), j)
    return None


def _simple_directions(rows: Integers, floats: _FloatRows) -> Iterator[list[int]]:
    """The inner direction of an orthant that holds all points, a coordinate of one sign, the mean direction."""
    least, most = rows.min(axis=0).tolist(), rows.max(axis=0).tolist()
    signs = [-1 if low >= 0 else 1 if high <= 0 else 0 for low, high in zip(least, most, strict=True)]
    if all(signs):
        yield signs
    for i, (low, high) in enumerate(zip(least, most, strict=True)):
        if low > 0 or high < 0:
            yield [signs[i] if k == i else 0 for k in range(len(signs))]
    yield floats.rounded(-floats.values.mean(axis=0), ROUNDINGS[1])


@dataclass(frozen=True)
class _FloatRows:
    """Floats near the rows, every column divided by its size (an exact integer) and then every row by its own."""

    values: Floats
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, rows: Integers) -> _FloatRows:
        sizes = tuple(max(int(size), 1) for size in np.abs(rows).max(axis=0))
        values = np.array([[v / size for v, size in zip(row, sizes, strict=True)] for row in rows.tolist()])
        largest = np.abs(values).max(axis=1)
        for j in np.flatnonzero(largest < TINY):  # floats may have lost the row altogether
            exact = [Fraction(v, size) for v, size in zip(rows[j].tolist(), sizes, strict=True)]
            top = max(map(abs, exact))
            values[j], largest[j] = [float(v / top) for v in exact], 1.0
        return cls(values / largest[:, None], sizes)

    def rounded(self, direction: Floats, bits: int) -> list[int]:
        """A direction for the integer rows from one for the float rows."""
        top, widest = float(np.abs(direction).max()) or 1.0, max(self.sizes)
        shares = [round(float(v) / top * 2**bits) for v in direction]
        return [v * widest // size for v, size in zip(shares, self.sizes, strict=True)]


def _linear_program(rows: Floats) -> tuple[Floats, Floats]:
    """Maximize `t` subject to `rows.v <= -t`, `|v_i| <= 1`; return `v` and the dual weights of the rows, or zeros."""
    n, d = rows.shape
    solved = linprog(
        np.append(np.zeros(d), -1.0),
        A_ub=np.column_stack([rows, np.ones(n)]),
        b_ub=np.zeros(n),
        bounds=[(-1, 1)] * d + [(None, None)],
        method="highs-ds",
    )
    if solved.status != 0:
        return np.zeros(d), np.zeros(n)
    return np.asarray(solved.x[:d]), -np.asarray(solved.ineqlin.marginals)


# --- exact decision --------------------------------------------------------------------------------------------------


def _combination(rows: Integers) -> list[tuple[int, int]] | None:
    """Positive integers `l_j` with `sum l_j rows[j] = 0`, or None where they are not the only solution up to factors.

    Fraction-free elimination (Bareiss 1968) of the columns `rows[j]`, all but the last one of them.
    """
    n = len(rows)
    table, denominator = rows.T, 1
    for column in range(n - 1):
        filled = np.flatnonzero(table[column:, column])
        if not len(filled):
            return None
        table = _swapped(table, column, column + int(filled[0]))
        kept, pivot = table[column], table[column, column]
        table = (table * pivot - np.outer(table[:, column], kept)) // denominator
        table[column] = kept
        denominator = pivot
    if n == 0 or table[n - 1 :, -1].any():
        return None
    sign = 1 if denominator > 0 else -1
    values = [*(-sign * table[: n - 1, -1]), abs(denominator)]
    return list(enumerate(values)) if all(value > 0 for value in values) else None


def _swapped(table: Integers, i: int, j: int) -> Integers:
    order = list(range(len(table)))
    order[i], order[j] = j, i
    return table[order]


def _by_simplex(scaled: _Scaled, weights: Floats) -> Separation:
    """Decide exactly on the points that carry the proposal's weight, and on those that the answer then violates."""
    rows = scaled.rows.astype(object)
    dimension = rows.shape[1]
    working = np.argsort(-weights, kind="stable")[: dimension + 1]
    pivots = MAX_PIVOTS
    while len(working) <= MAX_WORKING_SET:
        direction, weighted, used = _gordan(rows[working], pivots)
        pivots -= used
        if weighted is not None:
            return scaled.combination([(int(working[i]), value) for i, value in weighted])
        if direction is None:
            break
        products = _products(scaled.rows, direction)
        violated = np.flatnonzero(products >= 0)
        if not len(violated):
            return scaled.halfspace(direction)
        worst = sorted(violated.tolist(), key=lambda j: products[j], reverse=True)[: dimension + 1]
        working = np.concatenate([working, np.array(worst)])
    return Separation(None, None)


def _gordan(rows: Integers, max_pivots: int) -> tuple[list[int] | None, list[tuple[int, int]] | None, int]:
    """Phase 1 of the simplex method for `sum l_j rows[j] = 0`, `sum l_j = 1`, `l >= 0`, without fractions.

    Returns a direction negative on all rows, or positive integers `(j, l_j)`, or neither if the pivots ran out; and the
    number of pivots. The table holds integers over one common denominator, the last pivot (Edmonds 1967): every
    division is exact. If the artificial variables keep a positive sum, the dual solution `y` has
    `y.(rows[j], 1) <= 0` for all j and its last entry positive: the other entries are the direction.
    """
    n, d = rows.shape
    table = _table(rows)
    basis = list(range(n, n + d + 1))
    denominator, used = 1, 0
    while True:
        costs = table[-1, :n]
        entering = int(np.argmin(costs)) if used < GREEDY_PIVOTS else int(np.argmax(costs < 0))
        if costs[entering] >= 0:
            break
        if used == max_pivots:
            return None, None, used
        leaving = _leaving(table, entering, basis)
        pivot = table[leaving, entering]
        kept = table[leaving].copy()
        table = (table * pivot - np.outer(table[:, entering], kept)) // denominator
        table[leaving] = kept
        denominator, used = pivot, used + 1
        basis[leaving] = entering
    if table[-1, -1] == 0:
        return None, [(j, table[i, -1]) for i, j in enumerate(basis) if table[i, -1] > 0], used
    return [denominator - cost for cost in table[-1, n : n + d]], None, used


def _table(rows: Integers) -> Integers:
    """Equations `(rows^T; 1 ... 1 | identity | 0 ... 0 1)` and below them the reduced costs of the artificial sum."""
    n, d = rows.shape
    table = np.zeros((d + 2, n + d + 2), dtype=object)
    table[:d, :n], table[d, :n] = rows.T, 1
    table[range(d + 1), range(n, n + d + 1)] = 1
    table[d, -1] = 1
    table[-1] = -table.sum(axis=0)
    table[-1, n : n + d + 1] = 0
    return table


def _leaving(table: Integers, entering: int, basis: list[int]) -> int:
    """Row of the least ratio, ties to the smallest basic variable (an equation with a positive entry always exists)."""
    candidates = [i for i in range(len(basis)) if table[i, entering] > 0]
    return min(candidates, key=lambda i: (Fraction(table[i, -1], table[i, entering]), basis[i]))
