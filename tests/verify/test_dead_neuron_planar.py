"""Exact `p_1` for inputs of few dimensions, zero biases in any dimension, the spherical cap: against other formulas.

- Normal laws: the solid angle of the polar cone by Van Oosterom and Strackee's formula (no perimeter, no hull order).
- Uniform laws: an integral of exact areas over the last parameter, frequencies, and values known in closed form.
- Frequencies: seeded; a test fails for a true formula with probability below `FALSE_ALARM`, by the exact binomial tail.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.special import betainc
from scipy.stats import binom

from theorems.laws import Law, Normal, TruncatedNormal, Uniform, Zero, parse_initialization
from verify.data import DataSpec, load_data
from verify.dead_neuron import DeadProbability, FirstLayer, certified
from verify.dead_neuron.geometry import clipped_measure, hull_cycle, pivot_coordinates
from verify.dead_neuron.one_dimensional import normal_1d, uniform_1d
from verify.dead_neuron.planar import normal_planar, uniform_planar
from verify.dead_neuron.zero_bias import _cap, normal_cap, zero_bias_hull, zero_bias_orthant
from verify.enclosure import Enclosure

FALSE_ALARM = 1e-8
Point = tuple[Fraction, ...]

values = st.builds(Fraction, st.integers(-12, 12), st.integers(1, 4))
scales = st.builds(Fraction, st.integers(1, 20), st.integers(1, 8))
planar_sets = st.lists(st.tuples(values, values), min_size=1, max_size=7, unique=True)


def layer(inputs: Sequence[Sequence[object]], law: str, bias: str | None = None) -> FirstLayer:
    initialization = parse_initialization(law, bias)
    points = tuple(tuple(Fraction(str(v)) for v in x) for x in inputs)
    d = len(points[0])
    return FirstLayer(points, initialization.weight_law(d, 3), initialization.bias_law(d, 3))


def value_of(answer: DeadProbability | None) -> Enclosure:
    assert answer is not None
    assert answer.two_sided
    assert answer.enclosure.width <= Fraction(1, 2**48)
    return answer.enclosure


def draws(law: Law, shape: tuple[int, int], source: np.random.Generator) -> np.ndarray:
    match law:
        case Zero():
            return np.zeros(shape)
        case Uniform(half_width):
            return float(half_width) * source.uniform(-1, 1, shape)
        case Normal(scale):
            return float(scale) * source.standard_normal(shape)
        case TruncatedNormal(scale):
            normal = source.standard_normal((8 * shape[0] * shape[1],))
            kept = normal[np.abs(normal) <= 2][: shape[0] * shape[1]]
            return float(scale) * kept.reshape(shape)


def count_dead(first: FirstLayer, n: int, seed: int) -> int:
    source = np.random.default_rng(seed)
    points = np.array([[float(v) for v in x] for x in first.inputs])
    weight, bias = draws(first.weight, (n, points.shape[1]), source), draws(first.bias, (n, 1), source)
    return int(((weight @ points.T + bias) <= 0).all(axis=1).sum())


def assert_frequency(first: FirstLayer, enclosure: Enclosure, *, n: int = 100_000, seed: int = 5) -> None:
    count = count_dead(first, n, seed)
    assert binom.sf(count - 1, n, min(float(enclosure.hi), 1.0)) > FALSE_ALARM / 2, f"{count} of {n}: too many"
    assert binom.cdf(count, n, float(enclosure.lo)) > FALSE_ALARM / 2, f"{count} of {n}: too few"


# --- normal laws -----------------------------------------------------------------------------------------------------


def solid_angle(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> float:
    """Van Oosterom and Strackee (1983), for the cone of three vectors."""
    a, b, c = (v / np.linalg.norm(v) for v in (a, b, c))
    over = abs(float(np.linalg.det(np.array([a, b, c]))))
    return 2 * math.atan2(over, 1 + float(a @ b + b @ c + c @ a)) % (4 * math.pi)


def polar_share(vectors: np.ndarray) -> float:
    """Share of the sphere on which all products are <= 0: extreme rays are cross products that satisfy the rest."""
    rays = []
    for a, b in itertools.combinations(vectors, 2):
        for sign in (1, -1):
            ray = sign * np.cross(a, b)
            if np.linalg.norm(ray) > 1e-9 and (vectors @ ray <= 1e-9).all():
                rays.append(ray / np.linalg.norm(ray))
    centre = np.sum(rays, axis=0)
    e1 = np.cross(centre, rays[0] - centre)
    e1 = e1 / np.linalg.norm(e1)
    e2 = np.cross(centre / np.linalg.norm(centre), e1)
    rays.sort(key=lambda ray: math.atan2(float(ray @ e2), float(ray @ e1)))
    return sum(solid_angle(centre, a, b) for a, b in itertools.pairwise([*rays, rays[0]])) / (4 * math.pi)


@given(inputs=planar_sets, ratio=scales)
@example(inputs=[(Fraction(0), Fraction(0)), (Fraction(1), Fraction(0)), (Fraction(0), Fraction(1))], ratio=Fraction(1))
def test_normal_planar_is_the_solid_angle_of_the_polar_cone(inputs: list[Point], ratio: Fraction) -> None:
    lifted = np.array([[*map(float, x), float(ratio)] for x in inputs])
    assume(np.linalg.matrix_rank(lifted) == 3)
    answer = value_of(normal_planar(layer(inputs, f"normal(1, {ratio})")))
    share = polar_share(lifted)
    assert float(answer.lo) - 1e-9 <= share <= float(answer.hi) + 1e-9


@given(inputs=st.lists(st.tuples(values, values, st.integers(1, 9).map(Fraction)), min_size=3, max_size=7, unique=True))
def test_normal_planar_with_zero_bias_in_three_dimensions(inputs: list[Point]) -> None:
    vectors = np.array([list(map(float, x)) for x in inputs])
    assume(np.linalg.matrix_rank(vectors) == 3)
    answer = value_of(normal_planar(layer(inputs, "he_normal")))
    share = polar_share(vectors)
    assert float(answer.lo) - 1e-9 <= share <= float(answer.hi) + 1e-9
    turned = [(x[2], -x[0], x[1]) for x in inputs]
    assert answer.meets(value_of(normal_planar(layer(turned, "glorot_normal"))))


@given(inputs=st.lists(values, min_size=1, max_size=6, unique=True), scale_w=scales, scale_b=scales)
def test_normal_planar_in_one_dimension(inputs: list[Fraction], scale_w: Fraction, scale_b: Fraction) -> None:
    first = layer([(x,) for x in inputs], f"normal({scale_w}, {scale_b})")
    assert value_of(normal_planar(first)).meets(value_of(normal_1d(first)))


@pytest.mark.parametrize(
    ("inputs", "law", "value"),
    [
        ([(16, 0), (-9, 15), (-9, -15)], "normal(1, 12)", Fraction(1, 8)),  # orthogonal: 16 * 9 = 12^2 = 15^2 - 9^2
        ([(16, 0, 0), (-9, 15, 0), (-9, -15, 0)], "normal(1, 1/1000000000)", None),
        ([(3, 4)], "standard_normal", Fraction(1, 2)),
        ([(0, 0), (1, 0)], "standard_normal", Fraction(3, 8)),
        ([(-1, 0), (1, 0), (0, 0)], "standard_normal", Fraction(1, 4)),
        ([(1, 0, 0), (0, 1, 0), (0, 0, 1)], "he_normal", Fraction(1, 8)),
        ([(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 1)], "he_normal", Fraction(1, 8)),
        ([(1, 0), (0, 1), (0, 0)], "he_normal", Fraction(1, 4)),
        ([(1, 0), (1, 1), (1, -1)], "he_normal", Fraction(1, 4)),
        ([(1, 0), (1, 1)], "he_normal", Fraction(3, 8)),
        ([(1, 0), (-1, 1)], "he_normal", Fraction(1, 8)),
        ([(5, 0, 0, 5), (0, 5, 5, 0)], "he_normal", Fraction(1, 4)),
    ],
    ids=str,
)
def test_check_values_of_normal_planar(inputs: list[tuple[int, ...]], law: str, value: Fraction | None) -> None:
    answer = value_of(normal_planar(layer(inputs, law)))
    if value is None:  # 0 is inside the hull and the bias hardly counts
        assert answer.hi < Fraction(1, 10**6)
    else:
        assert answer.contains(value)


@given(inputs=planar_sets, data=st.data())
def test_normal_planar_sees_angles_only(inputs: list[Point], data: st.DataObject) -> None:
    """Order, a rational rotation into five dimensions, and one more input in the hull change nothing."""
    plain = value_of(normal_planar(layer(inputs, "normal(1, 2)")))
    rotated = [
        (Fraction(3, 5) * x, Fraction(4, 5) * x, Fraction(0), Fraction(5, 13) * y, Fraction(12, 13) * y)
        for x, y in data.draw(st.permutations(inputs))
    ]
    middle = tuple(sum(column) / len(rotated) for column in zip(*rotated, strict=True))
    assert plain.meets(value_of(normal_planar(layer([*rotated, middle], "normal(5, 10)"))))


@given(inputs=planar_sets, more=st.tuples(values, values), law=st.sampled_from(["standard_normal", "pytorch", "keras"]))
def test_more_inputs_never_raise_the_probability(inputs: list[Point], more: Point, law: str) -> None:
    assert certified(layer([*inputs, more], law)).enclosure.lo <= certified(layer(inputs, law)).enclosure.hi


def test_inputs_on_a_plane_through_four_dimensions_in_many() -> None:
    """One more dimension than the method sees makes it decline."""
    basis = [(1, 2, 0, -1, 3), (0, 1, 1, 1, 0), (2, 0, 0, 1, 1)]
    plane = [
        tuple(a * u + b * v for u, v in zip(*basis[:2], strict=True)) for a, b in itertools.product(range(4), repeat=2)
    ]
    first = layer(plane, "standard_normal")
    assert_frequency(first, value_of(normal_planar(first)))
    assert normal_planar(layer([*plane, basis[2]], "standard_normal")) is None
    cone = layer([*plane, basis[2]], "normal(1, 1)", "zero")  # spans three dimensions
    assert_frequency(cone, value_of(normal_planar(cone)))
    assert normal_planar(layer([*plane, basis[2], (1, 0, 0, 0, 0)], "normal(1, 1)", "zero")) is None


def test_irrational_ratios_decline() -> None:
    assert normal_planar(layer([(1, 0), (0, 1)], "he_normal", "normal(2)")) is not None  # sw^2 = 1: rational
    assert normal_planar(layer([(1,), (2,)], "he_normal", "normal(2)")) is not None  # sw^2 = 2: its square is rational
    assert uniform_planar(layer([(1, 0), (0, 1)], "he_uniform", "uniform(1)")) is None


# --- uniform laws ----------------------------------------------------------------------------------------------------


def clipped_area(constraints: list[tuple[Fraction, Fraction, Fraction]]) -> Fraction:
    """Area of `{|x|, |y| <= 1, a x + b y + c <= 0}`, clipped one by one."""
    corners = [(Fraction(x), Fraction(y)) for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    for a, b, c in constraints:
        kept = []
        for (x, y), (u, v) in itertools.pairwise([*corners, corners[0]] if corners else []):
            here, there = a * x + b * y + c, a * u + b * v + c
            if here <= 0:
                kept.append((x, y))
            if (here < 0 < there) or (there < 0 < here):
                share = here / (here - there)
                kept.append((x + share * (u - x), y + share * (v - y)))
        corners = kept
    closed = [*corners, corners[0]] if corners else []
    return abs(sum((x * v - u * y for (x, y), (u, v) in itertools.pairwise(closed)), Fraction(0))) / 2


def sandwich(inputs: list[Point], ratio: Fraction, steps: int) -> Enclosure:
    """`p_1` from areas in the plane of the weights: given b they shrink as b grows, so step sums are on both sides."""
    grid = [Fraction(2 * k, steps) - 1 for k in range(steps + 1)]
    areas = [clipped_area([(ratio * x, ratio * y, b) for x, y in inputs]) / 4 for b in grid]
    return Enclosure(sum(areas[1:]) / steps, sum(areas[:-1]) / steps)


@given(inputs=planar_sets, ratio=scales)
@example(inputs=[(Fraction(x), Fraction(y)) for x in (0, 1) for y in (0, 1)], ratio=Fraction(1))
def test_uniform_planar_is_the_integral_of_areas(inputs: list[Point], ratio: Fraction) -> None:
    answer = value_of(uniform_planar(layer(inputs, f"uniform({ratio})", "uniform(1)")))
    assert answer.width == 0
    bounds = sandwich(inputs, ratio, 24)
    assert bounds.width <= Fraction(1, 24)
    assert bounds.contains(answer.lo)


def test_uniform_planar_converges_to_the_integral() -> None:
    inputs = [(Fraction(1), Fraction(-2)), (Fraction(3, 2), Fraction(1)), (Fraction(-1), Fraction(1, 3))]
    answer = value_of(uniform_planar(layer(inputs, "uniform(2)", "uniform(3)")))
    bounds = sandwich(inputs, Fraction(2, 3), 600)
    assert bounds.contains(answer.lo)
    assert bounds.width < Fraction(1, 600)


@given(inputs=st.lists(values, min_size=1, max_size=6, unique=True), half_w=scales, half_b=scales)
def test_uniform_planar_in_one_dimension(inputs: list[Fraction], half_w: Fraction, half_b: Fraction) -> None:
    first = layer([(x,) for x in inputs], f"uniform({half_w})", f"uniform({half_b})")
    assert value_of(uniform_1d(first)).contains(value_of(uniform_planar(first)).lo)


@pytest.mark.parametrize(
    ("inputs", "law", "value"),
    [
        ([(0, 0), (0, 1), (1, 0), (1, 1)], "pytorch", Fraction(13, 48)),  # the box formula
        ([(0, 0), (0, -1), (1, 0), (1, -1)], "uniform(7)", Fraction(13, 48)),
        ([(5, 5)], "pytorch", Fraction(1, 2)),
        ([(1, 0), (0, 1)], "keras", Fraction(1, 4)),
        ([(1, 1), (0, 1)], "keras", Fraction(3, 8)),  # half of the quadrant where signs differ
        ([(1, 2), (0, 1)], "keras", Fraction(7, 16)),  # w_2 <= 0, w_1 <= -2 w_2: area 1 + 3/4 of 4
        ([(1, 0, 0), (0, 1, 0), (0, 0, 1)], "keras", Fraction(1, 8)),
        ([(1, 1, 1)], "keras", Fraction(1, 2)),
        ([(1, 0, 0), (0, 1, 1)], "keras", Fraction(1, 4)),
        ([(1, 1, 0), (0, 1, 1)], "keras", Fraction(1, 3)),  # order of -w_2, w_1, w_3: largest first in 2 of 6
    ],
    ids=str,
)
def test_check_values_of_uniform_planar(inputs: list[tuple[int, ...]], law: str, value: Fraction) -> None:
    assert value_of(uniform_planar(layer(inputs, law))) == Enclosure.point(value)


@pytest.mark.parametrize("law", ["pytorch", "keras"])
def test_uniform_planar_against_frequencies(law: str) -> None:
    source = np.random.default_rng(2)
    inputs = [tuple(row) for row in source.integers(1, 90, (6, 2 if law == "pytorch" else 3)).tolist()]
    first = layer(inputs, law)
    assert_frequency(first, value_of(uniform_planar(first)))


def test_the_measure_of_a_clipped_cube() -> None:
    assert clipped_measure([(Fraction(0), Fraction(0))]) == 1
    assert clipped_measure([(Fraction(1), Fraction(0)), (Fraction(-1), Fraction(0))]) == 0
    assert clipped_measure([(Fraction(1), Fraction(0), Fraction(0)), (Fraction(-1), Fraction(0), Fraction(0))]) == 0
    assert clipped_measure([(Fraction(1), Fraction(-1), Fraction(0))]) == Fraction(1, 2)


# --- hulls and coordinates -------------------------------------------------------------------------------------------


@given(points=st.lists(st.tuples(st.integers(-4, 4).map(Fraction), st.integers(-4, 4).map(Fraction)), min_size=1))
def test_hull_cycle(points: list[Point]) -> None:
    """A point is a vertex iff some direction has its only maximum there; the cycle turns one way."""
    cycle = [points[j] for j in hull_cycle(points)]
    assert len(set(cycle)) == len(cycle)
    directions = [(a, b) for a in range(-9, 10) for b in range(-9, 10)]
    for a, b in directions:
        tops = max(a * x + b * y for x, y in points)
        assert any(a * x + b * y == tops for x, y in cycle)
        only = {p for p in points if a * p[0] + b * p[1] == tops}
        if len(only) == 1:
            assert only <= set(cycle)
    if len(cycle) > 2:
        for k in range(len(cycle)):
            (ax, ay), (bx, by), (cx, cy) = (cycle[(k + i) % len(cycle)] for i in range(3))
            assert (bx - ax) * (cy - by) - (by - ay) * (cx - bx) > 0


@given(data=st.data(), rank=st.integers(0, 3))
def test_pivot_coordinates_are_faithful(data: st.DataObject, rank: int) -> None:
    small = st.integers(-3, 3).map(Fraction)
    basis = data.draw(st.lists(st.tuples(*[small] * 5), min_size=rank, max_size=rank))
    factors = data.draw(st.lists(st.tuples(*[small] * rank), min_size=1, max_size=8))
    vectors = [
        tuple(sum((f * b[i] for f, b in zip(c, basis, strict=True)), Fraction(0)) for i in range(5)) for c in factors
    ]
    exact = np.linalg.matrix_rank(np.array(vectors, dtype=float))
    pivots = pivot_coordinates(vectors, 5, 3)
    assert pivots is not None
    assert len(pivots) == exact
    assert (pivot_coordinates(vectors, 5, 1) is None) == (exact > 1)
    assert pivot_coordinates(vectors, 5, 5) == (0, 1, 2, 3, 4)
    seen: dict[Point, Point] = {}
    for vector in vectors:
        assert seen.setdefault(tuple(vector[i] for i in pivots), vector) == vector


# --- zero biases -----------------------------------------------------------------------------------------------------


@given(inputs=st.lists(st.tuples(values, values), min_size=1, max_size=6, unique=True))
@example(inputs=[(Fraction(0), Fraction(0))])
@example(inputs=[(Fraction(0), Fraction(0)), (Fraction(1), Fraction(2))])
@example(inputs=[(Fraction(1), Fraction(0)), (Fraction(-2), Fraction(0)), (Fraction(-1), Fraction(-1))])
def test_the_hull_decides_whether_dead_neurons_exist(inputs: list[Point]) -> None:
    """In two dimensions the exact part of the square says so too; the law does not matter."""
    for law in ("keras", "flax", "he_normal"):
        answer = zero_bias_hull(layer(inputs, law))
        exact = clipped_measure([x for x in inputs if any(x)] or [(Fraction(0), Fraction(0))])
        if exact == 0:
            assert value_of(answer) == Enclosure.point(0)
        elif answer is not None:
            assert value_of(answer) == Enclosure.point(exact)
    if not any(map(any, inputs)):
        assert value_of(answer) == Enclosure.point(1)


def test_the_combination_is_shown() -> None:
    answer = zero_bias_hull(layer([(1, 1, 0), (-1, 0, 0), (0, -1, 0)], "flax"))
    assert answer is not None
    assert "0 = " in answer.why
    assert "3 rays" in answer.why


@pytest.mark.parametrize("name", ["iris", "wine", "diabetes", "breast_cancer"])
def test_standardized_real_data_have_no_dead_neurons_at_zero_biases(name: str) -> None:
    data = load_data(DataSpec(name, scale="standard"))
    for law in (parse_initialization("keras"), parse_initialization("flax")):
        first = FirstLayer(data.inputs, law.weight_law(data.input_dim, 64), law.bias_law(data.input_dim, 64))
        answer = certified(first)
        assert (answer.method, answer.enclosure) == ("zero_bias_hull", Enclosure.point(0))


@pytest.mark.parametrize("law", ["keras", "flax", "he_normal"])
@pytest.mark.parametrize(
    ("inputs", "value", "exact"),
    [
        ([(1, 0, 0), (0, -2, 0), (0, 0, 3)], Fraction(1, 8), True),
        ([(1, 0, 0), (0, -2, 0), (0, 0, 3), (1, -1, 1), (5, 0, 2)], Fraction(1, 8), True),
        ([(1, 2, 0, 0), (0, 0, 1, 5)], Fraction(1, 4), True),
        ([(1, 2, 0, 0), (0, 1, 1, 5)], Fraction(1, 4), False),
        ([(1, 2), (2, 1), (1, 1)], Fraction(1, 4), False),
        ([(1, 2, 0), (2, 1, 1), (1, 1, 7), (2, 3, 0)], Fraction(1, 8), False),
    ],
    ids=str,
)
def test_zero_bias_orthant(law: str, inputs: list[tuple[int, ...]], value: Fraction, exact: bool) -> None:
    first = layer(inputs, law)
    answer = zero_bias_orthant(first)
    assert answer is not None
    assert answer.enclosure.lo == value
    assert answer.two_sided is exact
    assert_frequency(first, answer.enclosure)
    assert zero_bias_orthant(layer([*inputs, tuple(-v for v in inputs[0])], law)) is None


@given(inputs=st.lists(st.tuples(*[st.integers(0, 5).map(Fraction)] * 3), min_size=1, max_size=5, unique=True))
def test_the_orthant_bound_is_below_the_exact_value(inputs: list[Point]) -> None:
    first = layer(inputs, "keras")
    lower, exact = zero_bias_orthant(first), clipped_measure([x for x in inputs if any(x)] or [(Fraction(0),) * 3])
    assert (lower is None) == (not first.rays)
    if lower is not None:
        assert lower.enclosure.lo <= exact
        assert not lower.two_sided or lower.enclosure.contains(exact)


# --- the cap ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dimension", [2, 3, 4, 5, 8, 13, 40, 65])
@pytest.mark.parametrize("squared", [Fraction(1, 100), Fraction(1, 3), Fraction(9, 10), Fraction(1)])
def test_the_share_of_a_cap(dimension: int, squared: Fraction) -> None:
    """Half the regularized incomplete beta function at `((n-1)/2, 1/2)`, from below and close."""
    expected = betainc((dimension - 1) / 2, 0.5, float(squared)) / 2
    share = float(_cap(dimension, squared))
    assert expected * (1 - 1e-5) <= share <= expected * (1 + 1e-9)


@given(inputs=planar_sets, ratio=scales)
def test_the_cap_is_below_the_exact_value(inputs: list[Point], ratio: Fraction) -> None:
    first = layer(inputs, f"normal(1, {ratio})")
    lower, exact = normal_cap(first), value_of(normal_planar(first))
    assert lower is not None
    assert not lower.two_sided
    assert lower.enclosure.lo <= exact.hi
    if len(inputs) == 1:
        assert lower.enclosure.lo > Fraction(499, 1000)
    if len(inputs) == 2:  # two half-spaces: the cap between them is not far below the lune
        assert lower.enclosure.lo > 0


@pytest.mark.parametrize(("name", "least"), [("iris", "0.16"), ("wine", "0.028"), ("diabetes", "0.049")])
def test_the_cap_on_real_data(name: str, least: str) -> None:
    data = load_data(DataSpec(name, scale="minmax"))
    law = parse_initialization("standard_normal")
    first = FirstLayer(data.inputs, law.weight_law(data.input_dim, 4), law.bias_law(data.input_dim, 4))
    answer = normal_cap(first)
    assert answer is not None
    assert answer.enclosure.lo >= Fraction(least)
    assert_frequency(first, answer.enclosure, n=20_000)


def test_the_cap_declines_without_a_half_space() -> None:
    assert normal_cap(layer([(1, 0, 0, 0), (-1, 0, 0, 0)], "he_normal")) is None
    assert normal_cap(layer([(1, 0, 0, 0), (-1, 0, 0, 0)], "standard_normal")) is not None
    assert normal_cap(layer([(0, 0)], "he_normal")) is None
    assert normal_cap(layer([(1,), (2,)], "he_normal")) is None
    assert normal_cap(layer([(1, 0), (0, 1)], "pytorch")) is None


@pytest.mark.parametrize("exponent", [-600, 600])
def test_the_cap_of_numbers_beyond_floats(exponent: int) -> None:
    size = Fraction(10) ** exponent
    huge = normal_cap(layer([(size, 2 * size, size), (2 * size, size, 0)], "he_normal"))
    plain = normal_cap(layer([(1, 2, 1), (2, 1, 0)], "he_normal"))
    assert huge is not None
    assert plain is not None
    assert abs(huge.enclosure.lo - plain.enclosure.lo) < Fraction(1, 1000)
    assert normal_cap(layer([(size, 2), (2, size)], "standard_normal")) is not None


# --- the checks above can fail ---------------------------------------------------------------------------------------


def test_planted_wrong_values_are_caught() -> None:
    first = layer([(1, 2), (2, 1), (4, 1)], "keras")
    exact = value_of(uniform_planar(first)).lo
    assert_frequency(first, Enclosure.point(exact))
    for wrong in (exact * Fraction(105, 100), exact * Fraction(95, 100)):
        with pytest.raises(AssertionError, match="too"):
            assert_frequency(first, Enclosure.point(wrong))
