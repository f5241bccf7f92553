"""Tours and trees: known lengths, best ones by brute force, invariance, extreme inputs, T15's table simulated."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import permutations
from math import dist, pi

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import cdist
from scipy.stats import binom, norm

from theorems.catalogue.t15 import zeros_per_half_turn
from theorems.errors import InvalidInput
from theorems.laws import Law, Normal, TruncatedNormal, Uniform, Zero
from theorems.setting import DataSet
from verify.data import DataSpec, load_data
from verify.geometry import spanning_tree, tour
from verify.geometry.tour import Tour, _pointed_cone, _ZeroBounds

FALSE_ALARM = 1e-8  # of each comparison with simulation, by the exact binomial tail
ONE = sympy.Integer(1)
NORMAL, UNIFORM, TRUNCATED = Normal(ONE), Uniform(ONE), TruncatedNormal(ONE)
LAWS: tuple[Law, ...] = (NORMAL, UNIFORM, TRUNCATED)
Number = int | float | Fraction


def data(inputs: Sequence[Sequence[Number]]) -> DataSet:
    rows = [tuple(Fraction(v) for v in x) for x in inputs]
    return DataSet.from_rows("points", rows, [(Fraction(i),) for i in range(len(rows))])


def cloud(points: int, columns: int, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).standard_normal((points, columns))


def angle(a: Sequence[Number], b: Sequence[Number]) -> float:
    """With 60 digits, from the cosine."""
    with mpmath.workdps(60):
        u, v = ([mpmath.mpf(Fraction(c).numerator) / Fraction(c).denominator for c in x] for x in (a, b))
        cosine = mpmath.fdot(u, v) / mpmath.sqrt(mpmath.fdot(u, u) * mpmath.fdot(v, v))
        return float(mpmath.acos(max(min(cosine, 1), -1)))


# --- lengths of tours ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "length"),
    [
        ([(1,), (2,)], 0),
        ([(0,), (3,)], 0),
        ([(-1,), (2,)], 2 * pi),
        ([(1, 2), (2, 4), (0, 0)], 0),
        ([(1, 0), (1, 1)], pi / 2),
        ([(1, 0), (3, 1), (1, 2), (0, 1)], pi),
        ([(1, -1), (1, 0), (-1, 3)], 2 * angle((1, -1), (-1, 3))),
        ([(1, 0), (-1, 0)], 2 * pi),
        ([(1, 0), (-1, 0), (0, 1)], 2 * pi),
        ([(1, 0), (-1, 1), (-1, -1)], 2 * pi),
        ([(1, 0, 0), (-2, 0, 0)], 2 * pi),
        (np.eye(3).tolist(), 1.5 * pi),
        (np.eye(7).tolist(), 3.5 * pi),
    ],
)
def test_lengths_that_are_known(inputs: Sequence[Sequence[Number]], length: float) -> None:
    found = tour(data(inputs)).length
    assert length * (1 - 1e-12) <= found <= length * (1 + 1e-11)


def test_the_whole_circle_is_rounded_up() -> None:
    assert tour(data(cloud(40, 2))).length > Fraction("6.283185307179586476925286766559005768394338798")


@pytest.mark.parametrize("seed", range(6))
def test_lengths_against_the_best_tour(seed: int) -> None:
    """Certified: never below the best of all round trips, in 60 digits. Searched: near it."""
    points = cloud(6, 4, seed).round(2).tolist()
    turn = [[angle(a, b) for b in points] for a in points]
    best = min(
        sum(turn[i][j] for i, j in zip((0, *order), (*order, 0), strict=True)) for order in permutations(range(1, 6))
    )
    assert best * (1 - 1e-12) <= tour(data(points)).length <= 1.1 * best


def test_a_closed_walk_goes_to_the_farthest_ray_and_back() -> None:
    points = cloud(60, 5).tolist()
    assert tour(data(points)).length >= 2 * max(angle(points[0], point) for point in points)


@given(
    scales=st.lists(st.fractions(Fraction(1, 50), 50, max_denominator=50), min_size=12, max_size=12),
    seed=st.integers(0, 20),
)
@settings(max_examples=25, deadline=None)
def test_tours_see_directions_only(scales: list[Fraction], seed: int) -> None:
    points = [tuple(Fraction(v) for v in x) for x in cloud(12, 3, seed).round(2).tolist()]
    scaled = [tuple(factor * v for v in x) for factor, x in zip(scales, points, strict=True)]
    first, second = tour(data(points)), tour(data([*reversed(scaled), *points]))
    assert len(first.rays) == len(second.rays) == 12
    assert float(first.length) == pytest.approx(float(second.length), rel=0.1)
    best = min(float(first.length), float(second.length))
    for found in (first, second):
        assert float(found.length) >= 0.9 * best


def test_rays_are_told_apart_exactly() -> None:
    tiny = Fraction(1, 10**30)
    close = tour(data([(1, 0, 0), (1, tiny, 0), (2, 2 * tiny, 0)]))
    assert len(close.rays) == 2
    assert close.length == pytest.approx(2e-30, rel=1e-9)
    opposite = tour(data([(1, 1, 0), (-1, -1 - tiny, 0)]))
    assert len(opposite.rays) == 2
    assert 2 * pi - 1e-12 < opposite.length < 2 * pi + 1e-12


@pytest.mark.parametrize("size", [Fraction(10) ** 400, Fraction(1, 10**400)])
def test_inputs_beyond_the_range_of_floats(size: Fraction) -> None:
    inputs = [(size, 0, 0), (size, size, 0), (0, 0, 1), (3, 4, 0)]
    found = tour(data(inputs))
    assert len(found.rays) == 4
    assert 0 < found.length < 3 * pi
    assert spanning_tree(data(inputs)).radius >= size
    assert 0 < found.zeros(UNIFORM) <= 4


def test_pointed_cones() -> None:
    def cone(*rays: tuple[int, int]) -> tuple[int, int] | None:
        return _pointed_cone([tuple(map(Fraction, ray)) for ray in rays])

    assert cone((1, 0), (0, 1)) == (0, 1)
    assert cone((0, 1), (1, 0), (1, 1)) == (1, 0)
    assert cone((1, 0), (0, 1), (-1, 1), (2, -1)) == (3, 2)
    assert cone((1, 0), (-1, 0)) is None
    assert cone((1, 0), (0, 1), (-1, 0)) is None
    assert cone((1, 0), (-1, 1), (-1, -1)) is None


@given(spread=st.floats(0.01, 3.1), start=st.floats(0, 6.3), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_pointed_cone_has_all_rays_between_its_ends(spread: float, start: float, seed: int) -> None:
    place = start + spread * np.random.default_rng(seed).random(9)
    rays = [(Fraction(np.cos(t)), Fraction(np.sin(t))) for t in place]
    ends = _pointed_cone(rays)
    assert ends is not None
    assert {*ends} == {int(np.argmin(place)), int(np.argmax(place))}


# --- zeros ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(
    ("inputs", "zeros"),
    [
        ([(1,), (2,)], 0),
        ([(-1,), (2,)], 2),
        (cloud(30, 2).tolist(), 2),
        (np.eye(6).tolist(), 3),
        ([(1, 0), (0, 1), (1, 1)], 1),
        ([(1, 0, 0), (-1, 0, 0)], 2),
    ],
)
def test_zeros_that_are_the_same_for_every_law(inputs: Sequence[Sequence[Number]], zeros: int, law: Law) -> None:
    found = tour(data(inputs)).zeros(law)
    assert zeros <= found <= zeros + Fraction(1, 10**9)
    if law != NORMAL:
        assert found == zeros


def test_zeros_never_exceed_what_signs_alone_give() -> None:
    anywhere, positive = cloud(25, 6), np.abs(cloud(25, 6))
    for law in LAWS:
        assert tour(data(anywhere.tolist())).zeros(law) <= 25
        assert tour(data(positive.tolist())).zeros(law) <= Fraction(25, 2)


def test_zeros_of_normal_weights_are_the_length() -> None:
    walked = tour(data(cloud(20, 5)))
    assert float(walked.zeros(NORMAL)) == pytest.approx(float(walked.length) / pi, rel=1e-9)
    assert walked.zeros(NORMAL) >= walked.length / Fraction("3.1415926535897932384626433832795028842")


def test_close_rays_profit_from_angles() -> None:
    close = tour(data([(100, i, i * i) for i in range(5)]))
    assert close.zeros(UNIFORM) < Fraction(3, 2)
    assert close.zeros(NORMAL) < close.zeros(TRUNCATED) < close.zeros(UNIFORM)


def test_a_doubled_tree_can_beat_every_round_trip() -> None:
    """A small angle, then a common orthant: cheaper there and back than a third arc (no triangle inequality)."""
    rays = [(-1, 100, 0), (1, 100, 0), (1, 0, 0)]
    found = tour(data(rays)).zeros(UNIFORM)
    angle_part = 2 * 3.2067 * angle(rays[0], rays[1]) / pi
    assert 1 < found <= 1 + angle_part + 1e-9 < Fraction(3, 2)


def test_zeros_need_a_density() -> None:
    with pytest.raises(InvalidInput, match="density"):
        tour(data(np.eye(3).tolist())).zeros(Zero())


def draws(law: Law | str, rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float64]:
    match law:
        case Normal():
            return rng.standard_normal(shape)
        case Uniform():
            return rng.uniform(-1, 1, shape)
        case TruncatedNormal():
            found: NDArray[np.float64] = norm.ppf(norm.cdf(-2) + (norm.cdf(2) - norm.cdf(-2)) * rng.random(shape))
            return found
        case _:
            return rng.choice([-1.0, 1.0], shape) * (1 + 0.05 * rng.random(shape))


def is_refuted(events: int, trials: int, claimed: float) -> bool:
    """Whether so many events are less likely than 1e-8 if the event has at most the claimed probability."""
    return bool(binom.sf(events - 1, trials, min(claimed, 1.0)) < FALSE_ALARM)


COEFFICIENTS = ([1.0], [1.0, 1.0], [3.0, 1.0, -2.0, 0.5])


@pytest.mark.parametrize("coefficients", COEFFICIENTS, ids=str)
@pytest.mark.parametrize("law", [*LAWS, "nearly Rademacher"], ids=str)
def test_arcs_against_simulation(law: Law | str, coefficients: Sequence[float]) -> None:
    """Opposite signs at the ends of an arc, for several combinations of rows: not more likely than the table says."""
    rng, trials = np.random.default_rng(4), 40_000
    rays = [(1, 0, 0), (10, 1, 0), (1, 1, 0), (9, 11, 0), (-1, 1, 3), (0, 0, 1), (1, 1, 1), (1, 1, 1.02), (-1, -1, 2)]
    walked = Tour(tuple(tuple(Fraction(v) for v in ray) for ray in rays), planar=False)
    rows = draws(law, rng, (trials, len(coefficients), 3))
    signs = np.einsum("tmd,m,kd->tk", rows, coefficients, np.array(rays, dtype=np.float64)) > 0
    bounds = _ZeroBounds(walked, sympy.Integer(1000) if isinstance(law, str) else zeros_per_half_turn(law))
    for i in range(len(rays)):
        for j in range(i):
            events = int(np.sum(signs[:, i] != signs[:, j]))
            assert not is_refuted(events, trials, float(bounds.total([(i, j)])))


def test_a_wrong_constant_is_seen() -> None:
    """Uniform rows at the diagonal have `C = pi/2`: the constant 1 of normal rows is refuted, pi/2 plus 5 % is not."""
    rng, trials = np.random.default_rng(5), 400_000
    rows = rng.uniform(-1, 1, (trials, 2))
    a, b = np.array([1.0, 1.1]), np.array([1.1, 1.0])
    events = int(np.sum((rows @ a > 0) != (rows @ b > 0)))
    share = angle(a.tolist(), b.tolist()) / pi
    assert is_refuted(events, trials, 1.0 * share)
    assert is_refuted(events, trials, 1.4 * share)
    assert not is_refuted(events, trials, 1.05 * pi / 2 * share)


@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize(
    "points", [cloud(6, 3, 1).round(1), np.abs(cloud(5, 4, 2)).round(1), np.array([[5, 1, 0], [5, 0, 1], [5, 1, 1]])]
)
def test_closed_walks_against_simulation(law: Law, points: NDArray[np.float64]) -> None:
    """A closed walk on which signs change at all has at least two zeros: `P(signs differ) <= nu_0/2`."""
    rng, trials = np.random.default_rng(6), 40_000
    signs = draws(law, rng, (trials, points.shape[1])) @ points.T > 0
    events = int(np.sum(signs.any(axis=1) & ~signs.all(axis=1)))
    assert not is_refuted(events, trials, float(tour(data(points.tolist())).zeros(law)) / 2)


# --- trees ---------------------------------------------------------------------------------------------------------


def test_scalar_inputs_have_the_range_as_tree() -> None:
    found = spanning_tree(data([(Fraction(1, 3),), (-2,), (5,), (Fraction(1, 7),)]))
    assert found.length == 7
    assert found.root_norm == Fraction(1, 7)
    assert found.radius == 5
    assert found.root == 1  # inputs in ascending order


@pytest.mark.parametrize(("points", "columns"), [(2, 2), (9, 3), (80, 2), (150, 6)])
def test_trees_against_scipy(points: int, columns: int) -> None:
    """Certified: not below the shortest tree. Searched: the shortest one."""
    inputs = cloud(points, columns, points)
    shortest = float(minimum_spanning_tree(cdist(inputs, inputs)).sum())
    found = spanning_tree(data(inputs.tolist()))
    assert shortest * (1 - 1e-12) <= found.length <= shortest * (1 + 1e-9)
    norms = np.linalg.norm(inputs, axis=1)
    assert norms.min() * (1 - 1e-12) <= found.root_norm <= norms.min() * (1 + 1e-11)
    assert norms.max() * (1 - 1e-12) <= found.radius <= norms.max() * (1 + 1e-11)


@pytest.mark.parametrize("unit", [Fraction(1, 10**40), Fraction(1, 10**12), 1, 10**30, 10**320])
def test_trees_at_every_scale(unit: Fraction | int) -> None:
    """Near inputs (costs that round to 0), equal distances, and entries far beyond those of floats."""
    cells = [(i, j) for i in range(6) for j in range(6)]
    inputs = [(i + s * Fraction(1, 10**15), Fraction(j)) for i, j in cells for s in (0, 1)]
    found = spanning_tree(data([[unit * v for v in x] for x in inputs]))
    near = Fraction(1, 10**15)
    shortest = 36 * near + 30 * (1 - near) + 5  # the pairs, the columns, one row of a pair's first points
    assert unit * shortest <= found.length <= unit * (shortest + Fraction(1, 10**10))


def test_trees_are_exact_where_roots_are() -> None:
    found = spanning_tree(data([(0, 0), (3, 4), (3, 0)]))
    assert (found.length, found.root, found.root_norm) == (7, 0, 0)
    assert 5 <= found.radius <= 5 + Fraction(1, 10**11)


@given(x=st.tuples(*[st.fractions(-9, 9, max_denominator=50)] * 2), y=st.tuples(*[st.integers(-9, 9)] * 2))
def test_sizes_are_rounded_up_by_next_to_nothing(x: tuple[Fraction, Fraction], y: tuple[int, int]) -> None:
    """Squares, exactly: two inputs are one edge."""
    found = spanning_tree(data([x, y] if x != y else [x]))
    norms = sorted(sum(v * v for v in p) for p in (x, tuple(map(Fraction, y))))
    apart = sum((v - w) ** 2 for v, w in zip(x, y, strict=True))
    above = (1 + Fraction(1, 2**40)) ** 2
    for size, square in ((found.length, apart), (found.root_norm, norms[0]), (found.radius, norms[1])):
        assert square <= size**2 <= square * above


def test_trees_far_from_the_origin() -> None:
    far = 10**9
    inputs = [(far, far + Fraction(i, 1000), far) for i in range(30)]
    assert float(spanning_tree(data(inputs)).length) == pytest.approx(0.029, rel=1e-6)


def test_one_input() -> None:
    assert spanning_tree(data([(1, 2)])).length == 0
    assert tour(data([(1, 2)])).length == 0


@given(factor=st.fractions(Fraction(1, 99), 99, max_denominator=99), seed=st.integers(0, 9))
@settings(max_examples=15, deadline=None)
def test_trees_scale_with_the_inputs(factor: Fraction, seed: int) -> None:
    inputs = [tuple(Fraction(v) for v in x) for x in cloud(15, 3, seed).round(2).tolist()]
    once, scaled = spanning_tree(data(inputs)), spanning_tree(data([[factor * v for v in x] for x in reversed(inputs)]))
    assert float(scaled.length) == pytest.approx(float(factor * once.length), rel=1e-9)
    assert float(scaled.radius) == pytest.approx(float(factor * once.radius), rel=1e-9)


# --- larger data ---------------------------------------------------------------------------------------------------


def test_more_inputs_than_are_compared_in_pairs() -> None:
    """Blocks along the main direction; the tree is still a tree: not shorter than the shortest one."""
    inputs = np.random.default_rng(3).random((2600, 3)).round(3)
    inputs = np.unique(inputs, axis=0)
    known = data(inputs.tolist())
    shortest = float(minimum_spanning_tree(cdist(inputs, inputs)).sum())
    assert shortest * (1 - 1e-12) <= spanning_tree(known).length <= 3 * shortest
    walked = tour(known)
    assert walked.zeros(UNIFORM) <= Fraction(len(walked.rays), 2)
    assert shortest / 2 < walked.length < len(walked.rays)


def test_real_data() -> None:
    iris = load_data(DataSpec("iris"))
    walked, tree = tour(iris), spanning_tree(iris)
    assert 3.5 < walked.length < 4
    assert 1 < walked.zeros(NORMAL) < walked.zeros(TRUNCATED) < walked.zeros(UNIFORM) < 5
    edges = dist(*[[float(v) for v in iris.inputs[i]] for i in (0, 1)])
    assert edges < tree.length < 50
