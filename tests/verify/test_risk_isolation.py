"""How many neurons isolate an input, against half-planes that are all tried in integers."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from theorems.hypotheses import Evidence
from theorems.setting import DataSet
from verify.data import DataSpec, load_data
from verify.risk import LARGEST_KAPPA, isolation_number
from verify.risk.isolation import _Cloud, extreme_inputs
from verify.separation import Separation

Point = tuple[int, ...]
HUGE = 10**9
ZERO, ONE = Fraction(0), Fraction(1)


def data_of(points: Sequence[Sequence[int | Fraction]]) -> DataSet:
    rows = [tuple(Fraction(v) for v in point) for point in points]
    return DataSet.from_rows("test", rows, [(Fraction(i),) for i in range(len(rows))])


def depth(points: Sequence[Point], j: int) -> int:
    """Least number of points of the plane in an open half-plane that holds point j.

    The count changes only where the boundary direction passes a normal of a difference; every open arc between two
    normals has a direction just beside a normal: a large multiple of it plus any vector.
    """
    x, y = points[j]
    differences = [(p - x, q - y) for p, q in points]
    normals = [(s * q, -s * p) for p, q in differences if (p, q) != (0, 0) for s in (1, -1)] or [(1, 0)]
    sides = [(1, 0), (0, 1), (-1, 0), (0, -1)]
    directions = [(HUGE * a + c, HUGE * b + d) for a, b in normals for c, d in sides]
    return min(sum(u * p + v * q >= 0 for p, q in differences) for u, v in directions)


def kappa(points: Sequence[Point]) -> int:
    distinct = sorted(set(points))
    return min(3, max(depth(distinct, j) for j in range(len(distinct))))


TRIANGLE = [(0, 0), (6, 0), (0, 6)]
CASES: dict[str, tuple[list[Point], int]] = {
    "one point": ([(1, 1)], 1),
    "two points": ([(1, 1), (2, 5)], 1),
    "a triangle": (TRIANGLE, 1),
    "a triangle and its centre": ([*TRIANGLE, (2, 2)], 2),
    "a triangle and a point on a side": ([*TRIANGLE, (3, 0)], 2),
    "a square": ([(0, 0), (4, 0), (0, 4), (4, 4)], 1),
    "a square and its centre": ([(0, 0), (4, 0), (0, 4), (4, 4), (2, 2)], 3),
    "a square and a point off centre": ([(0, 0), (4, 0), (0, 4), (4, 4), (1, 2)], 2),
    "a regular grid": ([(i, j) for i in range(3) for j in range(3)], 3),
    "three on a line": ([(0, 0), (1, 1), (3, 3)], 2),
    "four on a line": ([(0, 0), (1, 1), (3, 3), (4, 4)], 2),
    "five on a line": ([(0, 0), (1, 1), (3, 3), (4, 4), (9, 9)], 3),
    "a parabola": ([(i, i * i) for i in range(9)], 1),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_known_configurations(case: tuple[list[Point], int]) -> None:
    points, expected = case
    found = isolation_number(data_of(points))
    assert found.value == kappa(points) == expected
    assert found.evidence is Evidence.CERTIFIED


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (2, 1), (3, 2), (4, 2), (5, 3), (6, 3), (100, 3)])
def test_scalar_inputs(n: int, expected: int) -> None:
    assert isolation_number(data_of([(i * i,) for i in range(n)])).value == expected


@given(st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=1, max_size=8))
@settings(max_examples=100)
@example([(0, 0), (1, 0), (2, 0), (1, 1)])
@example([(0, 0), (2, 0), (0, 2), (2, 2), (1, 1), (5, 5)])
def test_the_number_is_that_of_all_half_planes(points: list[Point]) -> None:
    assert isolation_number(data_of(points)).value == kappa(points)


@given(st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=1, max_size=12), st.integers(1, 5))
@settings(max_examples=60)
def test_order_scales_and_shifts_do_not_matter(points: list[Point], factor: int) -> None:
    expected = isolation_number(data_of(points)).value
    moved = [(Fraction(factor * x + y, 7) + 3, -y, Fraction(z, factor) + x) for x, y, z in reversed(points)]
    assert isolation_number(data_of(moved)).value == expected


def is_extreme(points: np.ndarray, j: int) -> bool:
    others = np.delete(points, j, axis=0)
    solved = linprog(
        np.zeros(len(others)),
        A_eq=np.vstack([others.T, np.ones(len(others))]),
        b_eq=np.append(points[j], 1.0),
        bounds=(0, None),
        method="highs",
    )
    return solved.status == 2  # infeasible: no convex combination


@pytest.mark.parametrize(("n", "d"), [(30, 3), (40, 5), (25, 12)])
def test_extreme_inputs_are_extreme_and_most_are_found(n: int, d: int) -> None:
    points = np.random.default_rng(n).integers(-20, 21, (n, d))
    data = data_of(points.tolist())
    table = np.array([[float(v) for v in x] for x in data.inputs])
    truly = {j for j in range(n) if is_extreme(table, j)}
    found = extreme_inputs(data)
    assert found <= truly
    assert len(found) >= 0.9 * len(truly)
    if len(truly) == n:
        assert isolation_number(data).value == 1


@pytest.mark.parametrize("exponent", [15, 40, 200])
@pytest.mark.parametrize(("side", "expected"), [(1, 2), (0, 2), (-1, 1)])
def test_points_off_a_side_by_a_hair(exponent: int, side: int, expected: int) -> None:
    """Inside, on and outside the side of a square, by less than floats resolve: all decided exactly."""
    hair = Fraction(side, 10**exponent)
    square = [(0, 0), (1, 0), (0, 1), (1, 1)]
    assert isolation_number(data_of([*square, (Fraction(1, 3), hair)])).value == expected


@pytest.mark.parametrize("seed", range(3))
def test_float_data_are_decided_like_the_integers_near_them(seed: int) -> None:
    """Coordinates of 53 bits leave the range of 64-bit products; points in general position have the same answer."""
    source = np.random.default_rng(seed)
    points = source.standard_normal((9, 2))
    exact = [[Fraction(v) for v in row] for row in points.tolist()]
    coarse = [tuple(int(v) for v in row) for row in np.rint(points * 10**6)]
    assert isolation_number(data_of(exact)).value == kappa(coarse)


# --- the exact checks refuse wrong proposals -------------------------------------------------------------------------


def proposed(points: Sequence[Point], j: int, direction: Sequence[float]) -> bool:
    """Whether a proposed direction is accepted for point j."""
    return bool(_Cloud.of(np.array(points))._are_extreme(np.array([j]), np.array([direction], dtype=float))[0])


def test_a_proposed_direction_is_checked_exactly() -> None:
    square = [(0, 0), (4, 0), (0, 4), (4, 4), (2, 2)]
    assert proposed(square, 3, (1.0, 1.0))
    assert proposed(square, 0, (-1.0, -0.5))
    assert not proposed(square, 3, (-1.0, -1.0))
    assert not proposed(square, 3, (1.0, 0.0))  # (4, 0) is as far out
    assert not proposed(square, 4, (1.0, 1.0))
    assert not proposed(square, 3, (0.0, 0.0))
    assert not proposed(square, 3, (np.nan, 1.0))


@pytest.mark.parametrize(("ahead", "accepted"), [(1, False), (2**40, True)])
def test_rounded_inputs_must_be_ahead_by_more_than_the_rounding(ahead: int, accepted: bool) -> None:
    """Coordinates of 60 bits are rounded to 30: a lead of 1 is then nothing, a lead of 2^40 is seen."""
    size = 2**60
    points = [(0, 0), (size, 0), (0, size), (size - ahead, size - ahead), (size // 2, size - 2 * ahead)]
    assert proposed([*points, (size, size - 4 * ahead)], 3, (0.0, 1.0)) is False
    top = [(0, 0), (size, 0), (7, size), (size // 2, size - ahead)]
    assert proposed(top, 2, (0.0, 1.0)) is accepted


def test_a_half_space_must_leave_out_every_other_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """The separation of a part of the inputs is checked on all: an input on the boundary counts as not separated."""
    points = [(i, i * i) for i in range(-8, 9)]
    cloud = _Cloud.of(np.array(sorted(points)) + np.array([8, 0]))
    answers = iter([Separation((ZERO, ONE), None), Separation(None, None)])
    monkeypatch.setattr("verify.risk.isolation.separate", lambda rows: next(answers))
    # the direction (0, 1) puts the end point (-8, 64) level with (8, 64), and all others below
    assert cloud.isolate(0, frozenset(), 10) == ((), 2)
    monkeypatch.setattr("verify.risk.isolation.separate", lambda rows: Separation((-ONE, ZERO), None))
    assert cloud.isolate(8, frozenset(), 3) == ((), 3)


def test_three_is_returned_unseen_where_the_search_would_be_long(monkeypatch: pytest.MonkeyPatch) -> None:
    parabola = [(i, i * i, i**3) for i in range(12)]
    monkeypatch.setattr("verify.risk.isolation.MAX_PRODUCTS", 12 * 12 * 3 - 1)
    found = isolation_number(data_of(parabola))
    assert found.value == LARGEST_KAPPA == 3
    assert "not examined" in found.why
    assert extreme_inputs(data_of(parabola)) == frozenset()


def test_three_is_returned_when_the_separations_are_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [(*p, 0) for p in TRIANGLE] + [(0, 0, 9), (1, 1, 1), (1, 1, 2)]
    assert isolation_number(data_of(points)).value == 2
    monkeypatch.setattr("verify.risk.isolation.MAX_SEPARATIONS", 2)
    moved = [(x + 1, y, z) for x, y, z in points]  # another data set: answers are remembered
    assert isolation_number(data_of(moved)).value == 3


@pytest.mark.parametrize(("name", "expected"), [("iris", 3), ("wine", 1), ("diabetes", 1), ("breast_cancer", 1)])
def test_real_data(name: str, expected: int) -> None:
    """Iris has inputs deep inside; in many coordinates every input is an extreme point."""
    data = load_data(DataSpec(name))
    assert isolation_number(data).value == expected
    table = np.array([[float(v) for v in x] for x in data.inputs])
    table = (table - table.mean(axis=0)) / table.std(axis=0)
    sample = range(0, data.n_inputs, 30)
    assert all(is_extreme(table, j) for j in sample) == (expected == 1)


def test_all_directions_of_the_brute_force_are_needed() -> None:
    """The reference itself: a point in the middle of a hexagon has two others on every side."""
    hexagon = [(2, 0), (1, 2), (-1, 2), (-2, 0), (-1, -2), (1, -2)]
    assert [depth([*hexagon, (0, 0)], j) for j in range(7)] == [1] * 6 + [4]
    assert all(
        sum(u * p + v * q >= 0 for p, q in [*hexagon, (0, 0)]) >= 4
        for u, v in itertools.product(range(-9, 10), repeat=2)
        if (u, v) != (0, 0)
    )
