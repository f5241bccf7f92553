"""Exact separation: both answers, checked independently of how they were found.

A direction is checked in fractions against every point, multipliers are checked to be positive, to add up to 1 and to
combine the points to 0. Both at once are impossible (Gordan), so an answer that passes is right; small cases are also
decided by brute force over all subsets of `d + 1` points (Caratheodory).
"""

from __future__ import annotations

import itertools
import random
import types
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
import sympy
from hypothesis import example, given
from hypothesis import strategies as st

from theorems.errors import InvalidInput
from verify import separation
from verify.data import DataSpec, load_data
from verify.enclosure import Tri
from verify.separation import Separation, separate

Point = tuple[Fraction, ...]

coordinates = st.one_of(st.integers(-3, 3).map(Fraction), st.builds(Fraction, st.integers(-50, 50), st.integers(1, 9)))


@st.composite
def point_sets(draw: st.DrawFn, most: int = 8) -> list[Point]:
    dimension = draw(st.integers(1, 4))
    return draw(st.lists(st.tuples(*[coordinates] * dimension), min_size=1, max_size=most))


def points(*rows: Sequence[object]) -> list[Point]:
    return [tuple(Fraction(str(v)) for v in row) for row in rows]


def is_right(given_points: Sequence[Point], answer: Separation) -> Tri:
    """Check the answer in fractions and return what it says."""
    if answer.direction is not None:
        assert answer.multipliers is None
        assert all(sum(u * v for u, v in zip(answer.direction, p, strict=True)) < 0 for p in given_points)
        return Tri.YES
    if answer.multipliers is None:
        return Tri.UNDECIDED
    assert sum(value for _, value in answer.multipliers) == 1
    assert all(value > 0 for _, value in answer.multipliers)
    numbers = [j for j, _ in answer.multipliers]
    assert len(set(numbers)) == len(numbers)
    for i in range(len(given_points[0])):
        assert sum(value * given_points[j][i] for j, value in answer.multipliers) == 0
    return Tri.NO


def zero_in_hull(given_points: Sequence[Point]) -> bool:
    """Whether 0 is a convex combination, over all minimal subsets: there the coefficients are unique."""
    for size in range(1, len(given_points[0]) + 2):
        for subset in itertools.combinations(given_points, size):
            matrix = sympy.Matrix([[*map(sympy.Rational, p), 1] for p in subset]).T
            if matrix.rank() < size:
                continue  # not minimal
            target = sympy.Matrix([*[0] * len(given_points[0]), 1])
            if matrix.row_join(target).rank() == size:
                solution = (matrix.T * matrix).LUsolve(matrix.T * target)
                if all(value >= 0 for value in solution):
                    return True
    return False


@given(given_points=point_sets(most=5))
@example(given_points=points((0, 0)))
@example(given_points=points((1, 2), (-2, -4)))
@example(given_points=points((1, 0), (-1, 0), (0, -1)))
@example(given_points=points((1, 0), (0, 1), (-1, 0)))
@example(given_points=points((1, 1, 0), (-1, 1, 0), (0, -1, 0), (0, 0, 1)))
@example(given_points=points(("1/3", "-1/7"), ("-2/9", "1/5")))
def test_answers_agree_with_brute_force(given_points: list[Point]) -> None:
    assert is_right(given_points, separate(given_points)) is Tri.of(not zero_in_hull(given_points))


@given(given_points=point_sets(most=14))
def test_every_small_case_is_decided(given_points: list[Point]) -> None:
    answer = separate(given_points)
    assert is_right(given_points, answer) is not Tri.UNDECIDED
    assert answer.separable is is_right(given_points, answer)


@given(given_points=point_sets(), data=st.data())
def test_positive_factors_and_order_do_not_matter(given_points: list[Point], data: st.DataObject) -> None:
    factor = st.sampled_from([Fraction(10) ** k for k in (-400, -30, -3, 0, 3, 30, 400)])
    columns = data.draw(st.tuples(*[factor] * len(given_points[0])))
    order = data.draw(st.permutations(range(len(given_points))))
    moved = []
    for j in order:
        size = data.draw(factor)
        moved.append(tuple(size * c * v for c, v in zip(columns, given_points[j], strict=True)))
    assert is_right(moved, separate(moved)) is separate(given_points).separable


@pytest.mark.parametrize("distance", ["1e-3", "1e-9", "1e-16", "1e-40", "1e-300", "1e-600"])
@pytest.mark.parametrize("sign", [1, -1, 0])
def test_the_answer_turns_at_any_distance(distance: str, sign: int) -> None:
    """A simplex around 0 with one face moved so that 0 is just outside, just inside or on it."""
    shift = sign * Fraction(distance)
    corners = [tuple(shift if k == 3 else Fraction(int(k == i)) for k in range(4)) for i in range(3)]
    corners += [(Fraction(-1), Fraction(-2), Fraction(-3), shift), (Fraction(1), Fraction(1), Fraction(1), shift + 1)]
    assert is_right(corners, separate(corners)) is (Tri.YES if sign == 1 else Tri.NO)
    if sign == -1:
        assert is_right(corners[:4], separate(corners[:4])) is Tri.YES


@pytest.mark.parametrize("name", ["iris", "wine", "diabetes"])
def test_real_data(name: str) -> None:
    """Non-negative data lie in a half-space; standardized data average to 0, up to the rounding of the scale."""
    inputs, centred = (load_data(DataSpec(name, scale=scale)).inputs for scale in ("minmax", "standard"))
    assert is_right(inputs, separate(inputs)) is Tri.YES
    assert is_right(centred, separate(centred)) is Tri.NO


def test_digits_in_64_dimensions() -> None:
    inputs = load_data(DataSpec("digits", scale="standard")).inputs
    assert is_right(inputs, separate(inputs)) is Tri.NO
    first = inputs[0]
    apart = [tuple(a - b for a, b in zip(x, first, strict=True)) for x in inputs[1:]]
    assert is_right(apart, separate(apart)) is Tri.YES  # an extreme point of the hull


def lies(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace the float program by one that answers at random."""
    source = np.random.default_rng(seed)

    def program(rows: separation.Floats) -> tuple[separation.Floats, separation.Floats]:
        n, d = rows.shape
        weights = source.random(n) * (source.random(n) < 0.4)
        return source.standard_normal(d) * source.integers(0, 2), weights

    monkeypatch.setattr(separation, "_linear_program", program)


@pytest.mark.parametrize("seed", range(4))
def test_a_wrong_proposal_costs_time_and_never_the_answer(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    source = random.Random(seed)
    cases = []
    for _ in range(40):
        dimension, n = source.randint(1, 6), source.randint(1, 25)
        rows = [[Fraction(source.randint(-4, 4), source.randint(1, 3)) for _ in range(dimension)] for _ in range(n)]
        cases.append([tuple(row) for row in rows])
    honest = [separate(case).separable for case in cases]
    assert {Tri.YES, Tri.NO} == set(honest)
    lies(seed, monkeypatch)
    assert [is_right(case, separate(case)) for case in cases] == honest


def test_a_budget_that_is_too_small_gives_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    source = random.Random(1)
    case = [tuple(Fraction(source.randint(-9, 9)) for _ in range(5)) for _ in range(40)]
    monkeypatch.setattr(separation, "MAX_PIVOTS", 2)
    monkeypatch.setattr(separation, "_linear_program", lambda rows: (np.zeros(5), np.zeros(len(rows))))
    assert separate(case) == Separation(None, None)
    assert separate(case).separable is Tri.UNDECIDED


def test_wrong_multipliers_never_leave() -> None:
    scaled = separation._Scaled.of(points((1, 2), (-1, -2), (1, 0)))
    assert is_right(points((1, 2), (-1, -2)), scaled.combination([(0, 3), (1, 3)])) is Tri.NO
    with pytest.raises(ArithmeticError, match="do not combine"):
        scaled.combination([(0, 3), (1, 2)])


@pytest.mark.parametrize("bad", [[], [()], [(Fraction(1),), (Fraction(1), Fraction(2))]], ids=str)
def test_points_must_have_one_positive_number_of_coordinates(bad: list[Point]) -> None:
    with pytest.raises(InvalidInput, match="expected at least one point"):
        separate(bad)


def test_integers_are_multiplied_without_overflow() -> None:
    """Products near and beyond 2^63: numpy's int64 would wrap around."""
    for size in (2**31, 2**62, 2**63 - 1, 2**63, 2**70):
        rows = separation._Scaled.of(points((size, 1), (1, size - 1), (-size, 3))).rows
        for direction in ([2**62 + 1, -(2**61)], [2**40 + 1, 2**40], [3, -5]):
            expected = [int(a) * direction[0] + int(b) * direction[1] for a, b in rows.tolist()]
            assert separation._products(rows, direction).tolist() == expected


def test_points_on_the_boundary_of_a_proposed_half_space_are_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Decided on (1, 0) alone, the direction is (-1, 1), which is 0 on (1, 1)."""
    monkeypatch.setattr(separation, "_linear_program", lambda rows: (np.zeros(2), np.zeros(len(rows))))
    monkeypatch.setattr(separation, "_simple_directions", lambda rows, floats: iter(()))
    case = points((1, 0), (1, 0), (1, 0), (1, 1))
    assert separation._gordan(separation._Scaled.of(case[:3]).rows.astype(object), 9)[0] == [-1, 1]
    assert is_right(case, separate(case)) is Tri.YES


# --- adversarial points ----------------------------------------------------------------------------------------------


def lifted(first: Sequence[Point], second: Sequence[Point]) -> list[Point]:
    """Points that lie in an open half-space through 0 exactly if a hyperplane strictly separates the two hulls."""
    return [(*p, Fraction(1)) for p in first] + [tuple(-v for v in (*p, Fraction(1))) for p in second]


@pytest.mark.parametrize("dimension", [1, 2, 3, 6])
@pytest.mark.parametrize("gap", ["1e-12", "1e-30", "1e-200", "0", "-1e-200", "-1e-12"])
def test_nearly_touching_hulls(dimension: int, gap: str) -> None:
    """A simplex and its copy mirrored at a vertex and moved away by the gap along a slanting direction."""
    slant = [Fraction(k + 1, 7) for k in range(dimension)]
    corners = [tuple(Fraction(0) for _ in range(dimension))]
    corners += [tuple(slant[k] * (1 + (k == i)) for k in range(dimension)) for i in range(dimension)]
    moved = [tuple(-v - Fraction(gap) * s for v, s in zip(p, slant, strict=True)) for p in corners]
    case = lifted(corners, moved)
    assert is_right(case, separate(case)) is (Tri.YES if Fraction(gap) > 0 else Tri.NO)


def test_points_on_the_boundary_of_the_only_closed_half_space() -> None:
    """All points have third coordinate >= 0, and those where it is 0 surround 0 or do not."""
    around = points((1, 0, 0), (-1, 1, 0), (-1, -1, 0), (0, 0, 1), (5, 5, 1))
    beside = points((1, 0, 0), (1, 1, 0), (1, -1, 0), (-9, 0, 1), (-5, 5, 1))
    assert is_right(around, separate(around)) is Tri.NO
    assert is_right(beside, separate(beside)) is Tri.YES


@pytest.mark.parametrize("surrounded", [False, True])
def test_huge_and_tiny_coordinates_side_by_side(surrounded: bool) -> None:
    """Entries from 10^-300 to 10^300 within one point: floats cannot hold the rows, whichever way they are scaled."""
    source = random.Random(5)
    sizes = [Fraction(10) ** k for k in (-300, -150, -7, 0, 9, 150, 300)]
    rows = [tuple(source.choice(sizes) * source.randint(-9, 9) for _ in range(4)) for _ in range(30)]
    inner = [tuple(abs(v) + (v == 0) for v in row) for row in rows]
    case = [*inner, tuple(-sum(column) for column in zip(*inner, strict=True))] if surrounded else inner
    assert is_right(case, separate(case)) is (Tri.NO if surrounded else Tri.YES)
    turned = [tuple(a - b for a, b in zip(row, [*row[1:], row[0] * 3], strict=True)) for row in case]  # no orthant
    assert is_right(turned, separate(turned)) is (Tri.NO if surrounded else Tri.YES)


def test_many_duplicates_count_once() -> None:
    corners = points((3, -1, 2), ("1/3", 2, -1), (-2, "1/7", 1))
    copies = [tuple(Fraction(k % 5 + 1, 3) * v for v in p) for k in range(700) for p in corners]
    assert is_right(copies, separate(copies)) is separate(corners).separable
    closed = [*copies, tuple(-sum(column) for column in zip(*corners, strict=True))]
    answer = separate(closed)
    assert is_right(closed, answer) is Tri.NO
    assert answer.multipliers is not None
    assert len(answer.multipliers) <= 4


@pytest.mark.parametrize("dimension", [5, 20, 60])
@pytest.mark.parametrize("n", [1, 2, 4])
def test_more_coordinates_than_points(dimension: int, n: int) -> None:
    """Independent points always lie in a half-space; their sum's negative closes the cone."""
    source = random.Random(dimension + n)
    case = [tuple(Fraction(source.randint(-9, 9), source.randint(1, 9)) for _ in range(dimension)) for _ in range(n)]
    assert is_right(case, separate(case)) is Tri.YES
    closed = [*case, tuple(-sum(column) for column in zip(*case, strict=True))]
    assert is_right(closed, separate(closed)) is Tri.NO


@pytest.mark.parametrize("digits", [4, 12, 25])
def test_points_on_a_sphere_seen_from_just_outside_and_inside(digits: int) -> None:
    """Every point is extreme, and hundreds of them are all but on the separating plane."""
    source = random.Random(digits)
    circle = []
    for _ in range(200):
        t = Fraction(source.randint(-(10**6), 10**6), 10**6)
        circle.append(((1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)))  # the half with x >= 0
    least = min(x for x, _ in circle)
    shift = Fraction(1, 10**digits)
    outside = [(x - least + shift, y) for x, y in circle]
    assert is_right(outside, separate(outside)) is Tri.YES
    inside = [(x - least - shift, y) for x, y in circle] + points((-1, 0))
    assert is_right(inside, separate(inside)) is Tri.NO


def test_a_float_program_that_fails_costs_time_and_never_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """HiGHS reports an error instead of a solution."""
    cases = [points((3, -1, 2), ("1/3", 2, -1), (-2, "1/7", 1)), points((1, 0), (-1, 1), (-1, -1), (2, 1))]
    honest = [separate(case).separable for case in cases]
    assert set(honest) == {Tri.YES, Tri.NO}
    monkeypatch.setattr(separation, "linprog", lambda *_, **__: types.SimpleNamespace(status=4))
    assert [is_right(case, separate(case)) for case in cases] == honest


def test_combinations_that_are_not_unique_are_left_to_the_simplex_method() -> None:
    for rows in ([[1, 1], [2, 2], [1, 0]], [[0, 0], [0, 0]], [[1, 0], [0, 1]], [[1, 2], [1, 2]]):
        assert separation._combination(np.array(rows, dtype=object)) is None
    assert separation._combination(np.array([[1, 0], [-1, 1], [-1, -1]], dtype=object)) == [(0, 2), (1, 1), (2, 1)]
