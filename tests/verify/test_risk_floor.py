"""The certified floor of the optimal risk, against segmented least squares by enumeration and against networks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from theorems.hypotheses import Evidence
from theorems.setting import Architecture, DataSet
from verify.risk import affine_runs, best_witness, linear_pieces, risk_floor
from verify.risk.lines import lines_in
from verify.risk.segments import Trail, scalar_trail, segment_errors

Vector = tuple[Fraction, ...]
Rows = list[tuple[Vector, Vector]]
ZERO, ONE = Fraction(0), Fraction(1)
ROUNDING = Fraction(1, 2**48)  # of the error of one affine function: at most 64 segments of 2^-56 each


def data_of(rows: Sequence[tuple[Vector, Vector]]) -> DataSet:
    return DataSet.from_rows("test", [x for x, _ in rows], [y for _, y in rows])


def scalar(xs: Sequence[int | Fraction], ys: Sequence[int | Fraction]) -> DataSet:
    return data_of([((Fraction(x),), (Fraction(y),)) for x, y in zip(xs, ys, strict=True)])


def line_error(points: Sequence[tuple[Fraction, Fraction, Vector]]) -> Fraction:
    """`min sum w |a + b x - y|^2`, by the normal equations in fractions, one output at a time."""
    total = ZERO
    for i in range(len(points[0][2])):
        s0, s1, s2 = (sum((w * x**k for w, x, _ in points), ZERO) for k in range(3))
        t0, t1 = (sum((w * x**k * y[i] for w, x, y in points), ZERO) for k in range(2))
        det = s0 * s2 - s1 * s1
        b = (s0 * t1 - s1 * t0) / det if det else ZERO
        a = (t0 - b * s1) / s0
        total += sum((w * (a + b * x - y[i]) ** 2 for w, x, y in points), ZERO)
    return total


def least_error(points: Sequence[tuple[Fraction, Fraction, Vector]], groups: int) -> Fraction:
    """Least error over all partitions into at most `groups` blocks, every one of them tried."""
    best = line_error(points)
    for cuts in range(1, min(groups, len(points))):
        for places in itertools.combinations(range(1, len(points)), cuts):
            edges = [0, *places, len(points)]
            best = min(best, sum((line_error(points[i:j]) for i, j in itertools.pairwise(edges)), ZERO))
    return best


def weighted_points(data: DataSet) -> list[tuple[Fraction, Fraction, Vector]]:
    return [(w, x[0], y) for w, x, y in zip(data.weights, data.inputs, data.means, strict=True)]


small = st.integers(-6, 6).map(lambda n: Fraction(n, 2))


@st.composite
def scalar_rows(draw: st.DrawFn, least: int = 1, most: int = 8) -> Rows:
    outputs = draw(st.integers(1, 2))
    row = st.tuples(st.tuples(small), st.tuples(*[small] * outputs))
    return draw(st.lists(row, min_size=least, max_size=most))


# --- segments --------------------------------------------------------------------------------------------------------


@given(scalar_rows(most=7))
@settings(max_examples=25)
@example([((Fraction(i),), (Fraction(i % 2),)) for i in range(8)])
@example([((Fraction(i),), (Fraction(i * i), Fraction(-i))) for i in range(7)] + [((ONE,), (Fraction(5), ZERO))])
def test_segment_errors_are_those_of_all_partitions(rows: Rows) -> None:
    data = data_of(rows)
    errors, points = segment_errors(scalar_trail(data)), weighted_points(data)
    slack = ROUNDING * line_error(points)
    for groups in range(1, data.n_inputs + 2):
        found = errors[groups - 1] if groups <= len(errors) else ZERO
        exact = least_error(points, groups)
        assert exact - slack <= found <= exact
        assert (found > 0) == (exact > 0) == (affine_runs(data) > groups)


@given(scalar_rows(most=16), st.integers(1, 9))
@settings(max_examples=60)
def test_cells_only_lower_the_errors(rows: Rows, cells: int) -> None:
    trail = scalar_trail(data_of(rows))
    exact, coarse = segment_errors(trail), segment_errors(trail, max_cells=cells)
    assert len(coarse) <= len(exact)
    assert all(0 < low <= high for low, high in zip(coarse, exact, strict=False))
    assert list(coarse) == sorted(coarse, reverse=True)
    if coarse:  # one group is never cut
        assert coarse[0] == exact[0]


def test_cells_keep_most_of_the_error_of_few_pieces() -> None:
    trail = scalar_trail(scalar(range(120), [i * i for i in range(120)]))
    exact, coarse = segment_errors(trail), segment_errors(trail, max_cells=60)
    assert coarse[3] >= Fraction(3, 4) * exact[3]


@pytest.mark.parametrize("most", [1, 2, 5])
def test_no_more_errors_are_computed_than_asked_for(most: int) -> None:
    trail = scalar_trail(scalar(range(20), [(-1) ** i for i in range(20)]))
    assert segment_errors(trail, most) == segment_errors(trail)[:most]


@pytest.mark.parametrize("exponent", [-300, -40, 0, 40, 300])
def test_errors_keep_their_digits_whatever_the_size_of_the_data(exponent: int) -> None:
    size = Fraction(10) ** exponent
    data = scalar([i * size for i in range(9)], [i % 3 * size for i in range(9)])
    unit = segment_errors(scalar_trail(scalar(range(9), [i % 3 for i in range(9)])))
    assert segment_errors(scalar_trail(data)) == tuple(size**2 * error for error in unit)


def test_known_errors() -> None:
    """`0, 1, 0` at `0, 1, 2`: the best line is the constant 1/3, of error (1/9 + 4/9 + 1/9)/3 = 2/9."""
    (error,) = segment_errors(scalar_trail(scalar([0, 1, 2], [0, 1, 0])))
    assert Fraction(2, 9) * (1 - ROUNDING) <= error <= Fraction(2, 9)
    second = segment_errors(scalar_trail(scalar(range(6), [0, 1] * 3)))[1]  # two points, and four of error 4/5
    assert Fraction(2, 15) * (1 - 8 * ROUNDING) <= second <= Fraction(2, 15)


# --- the floor -------------------------------------------------------------------------------------------------------


def test_the_floor_of_constants_is_exact() -> None:
    data = scalar([0, 1, 2, 2], [0, 1, 0, 4])
    floor = risk_floor(0, (3, 3), data)
    assert floor.value == data.noise_floor + data.variance
    assert floor.evidence is Evidence.CERTIFIED
    flat = data_of([((ZERO, ONE), (ONE,)), ((ONE, ONE), (ZERO,)), ((ONE, ONE), (Fraction(2),))])
    assert flat.variance == 0
    assert risk_floor(5, (), flat).value == flat.noise_floor == Fraction(2, 3)


@given(scalar_rows(least=5), st.integers(1, 2), st.lists(st.just(1), max_size=1).map(tuple))
@settings(max_examples=60)
@example([((Fraction(i),), (Fraction((-1) ** i),)) for i in range(10)], 1, ())
@example([((Fraction(i),), (Fraction((-1) ** i),)) for i in range(10)], 3, ())
@example([((Fraction(i),), (Fraction((-1) ** i),)) for i in range(10)], 1, (1,))
def test_the_floor_uses_all_pieces_that_the_network_may_have(
    rows: Rows, first_width: int, later: tuple[int, ...]
) -> None:
    data = data_of(rows)
    floor, exact = (
        risk_floor(first_width, later, data),
        least_error(weighted_points(data), linear_pieces((first_width, *later))),
    )
    slack = ROUNDING * data.variance
    assert data.noise_floor + exact - slack <= floor.value <= data.noise_floor + exact


def hinge_risk(data: DataSet, network: Sequence[Sequence[np.ndarray]]) -> float:
    """Risk of a ReLU network in floats."""
    total = float(data.noise_floor)
    x = np.array([[float(v) for v in row] for row in data.inputs])
    for k, (matrix, bias) in enumerate(network):
        x = x @ matrix.T + bias
        if k < len(network) - 1:
            x = np.maximum(x, 0.0)
    y = np.array([[float(v) for v in row] for row in data.means])
    weights = np.array([float(w) for w in data.weights])
    return total + float(weights @ ((x - y) ** 2).sum(axis=1))


def best_output(data: DataSet, layers: list[list[np.ndarray]]) -> list[list[np.ndarray]]:
    """The least squares output layer on top of given hidden layers."""
    x = np.array([[float(v) for v in row] for row in data.inputs])
    for matrix, bias in layers:
        x = np.maximum(x @ matrix.T + bias, 0.0)
    y = np.array([[float(v) for v in row] for row in data.means])
    root = np.sqrt([float(w) for w in data.weights])[:, None]
    solution = np.linalg.lstsq(np.column_stack([np.ones(len(x)), x]) * root, y * root, rcond=None)[0]
    return [*layers, [solution[1:].T, solution[0]]]


SHAPES: dict[tuple[int, ...], list[list[np.ndarray]]] = {
    (1,): [[np.array([[1.0]]), np.array([-9.0])]],
    (2,): [[np.array([[1.0], [-1.0]]), np.array([-16.0, 8.0])]],
    (1, 1): [[np.array([[1.0]]), np.array([-8.0])], [np.array([[-1.0]]), np.array([9.0])]],
    (2, 1): [[np.array([[1.0], [1.0]]), np.array([-5.0, -10.0])], [np.array([[-1.0, 2.0]]), np.array([3.0])]],
}


@pytest.mark.parametrize("hidden", SHAPES, ids=str)
def test_no_tiny_network_on_a_fine_grid_of_parameters_is_below_the_floor(hidden: tuple[int, ...]) -> None:
    """Labels: a network of the architecture, ten times, and a zigzag. The output layer of every candidate is the best.

    Every first layer with slopes +1, -1 and thresholds at inputs is tried, with random second layers; the network that
    made the labels is a candidate too, and nearly optimal: so the floor is not far below.
    """
    source = np.random.default_rng(len(hidden))
    x = np.arange(25.0)[:, None]
    for matrix, bias in SHAPES[hidden]:
        x = np.maximum(x @ matrix.T + bias, 0.0)
    data = scalar(range(25), [int(10 * v.sum()) + (-1) ** i for i, v in enumerate(x)])
    floor = float(risk_floor(hidden[0], hidden[1:], data).value)
    neurons = [(s, -s * t) for s in (1.0, -1.0) for t in np.arange(-1.0, 25.0, 2.0)]
    lowest = hinge_risk(data, best_output(data, SHAPES[hidden]))
    for chosen in itertools.combinations(neurons, hidden[0]):
        first = [np.array([[s] for s, _ in chosen]), np.array([b for _, b in chosen])]
        above = [[]] if len(hidden) == 1 else [[second] for second in second_layers(hidden, source)]
        for rest in above:
            lowest = min(lowest, hinge_risk(data, best_output(data, [first, *rest])))
    assert floor - 1e-9 <= lowest <= 2 * floor


def second_layers(hidden: tuple[int, ...], source: np.random.Generator) -> list[list[np.ndarray]]:
    """A few random second layers."""
    return [[source.standard_normal((hidden[1], hidden[0])), 3 * source.standard_normal(hidden[1])] for _ in range(3)]


@st.composite
def any_rows(draw: st.DrawFn) -> Rows:
    inputs, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    row = st.tuples(st.tuples(*[small] * inputs), st.tuples(*[small] * outputs))
    return draw(st.lists(row, min_size=1, max_size=14))


@given(any_rows(), st.lists(st.integers(1, 4), min_size=1, max_size=2).map(tuple))
@settings(max_examples=15)
def test_noise_floor_witness_and_constants_are_in_order(rows: Rows, hidden: tuple[int, ...]) -> None:
    data = data_of(rows)
    floor = risk_floor(hidden[0], hidden[1:], data).value
    witness = best_witness(Architecture((data.input_dim, *hidden, data.output_dim)), data).risk
    assert data.noise_floor <= floor <= witness <= data.noise_floor + data.variance


@given(scalar_rows(most=12), st.integers(0, 6))
def test_the_floor_falls_with_the_width_to_the_noise_floor(rows: Rows, first_width: int) -> None:
    data = data_of(rows)
    assert risk_floor(first_width + 1, (), data).value <= risk_floor(first_width, (), data).value
    assert risk_floor(first_width, (2,), data).value <= risk_floor(first_width, (), data).value
    assert risk_floor(max(data.n_inputs - 1, 0), (), data).value == data.noise_floor


# --- lines -----------------------------------------------------------------------------------------------------------


def grid(n: int) -> list[Vector]:
    return [(Fraction(i), Fraction(j)) for i in range(n) for j in range(n)]


def test_disjoint_lines_add_up() -> None:
    """Two far apart parallel lines of seven points each: the errors of both, by enumeration."""
    ys = [0, 3, 1, 4, 1, 5, 9], [2, 6, 5, 3, 5, 8, 9]
    rows = [((Fraction(i), Fraction(100 * k)), (Fraction(y),)) for k in range(2) for i, y in enumerate(ys[k])]
    data = data_of(rows)
    expected = sum(
        (
            least_error([(Fraction(1, 14), Fraction(i), (Fraction(y),)) for i, y in enumerate(column)], 2)
            for column in ys
        ),
        ZERO,
    )
    floor = risk_floor(1, (), data)
    assert expected * (1 - ROUNDING * 64) <= floor.value - data.noise_floor <= expected
    assert floor.why.startswith("2 disjoint lines hold 14 of 14 distinct inputs")


def test_a_grid_is_covered_by_its_rows() -> None:
    data = data_of([(x, (x[0] ** 2,)) for x in grid(7)])
    column = least_error([(Fraction(1, 49), Fraction(i), (Fraction(i * i),)) for i in range(7)], 3)
    assert risk_floor(2, (), data).value >= 7 * column * (1 - ROUNDING * 64)


@pytest.mark.parametrize("width", [1, 2])
def test_inputs_that_lie_on_several_lines_count_once(width: int) -> None:
    """A checkerboard: rows and columns each account for nearly all of the variance, together for more than it."""
    data = data_of([(x, (Fraction((-1) ** int(x[0] + x[1])),)) for x in grid(9)])
    floor = risk_floor(width, (), data).value
    assert data.variance / 2 < floor <= best_witness(Architecture((2, width, 1)), data).risk <= data.variance


def test_points_that_are_almost_on_a_line_are_not_on_it() -> None:
    """One of seven points is off the line by less than floats resolve: the exact check refuses the group."""
    off, far = Fraction(1, 10**14), ((Fraction(9), ONE), (ZERO,))
    data = data_of([far, *(((Fraction(i), off * (i == 3)), (Fraction((-1) ** i),)) for i in range(7))])
    assert not lines_in(data)
    straight = data_of([far, *(((Fraction(i), off * i), (Fraction((-1) ** i),)) for i in range(7))])
    assert [len(line.members) for line in lines_in(straight)] == [7]
    assert risk_floor(1, (), straight).value > risk_floor(1, (), data).value == data.noise_floor


def test_without_long_lines_there_is_no_floor() -> None:
    source = np.random.default_rng(3)
    data = data_of(
        [(tuple(Fraction(int(v)) for v in source.integers(0, 99, 3)), (Fraction(i % 2),)) for i in range(40)]
    )
    assert not lines_in(data)
    floor = risk_floor(1, (), data)
    assert floor.value == data.noise_floor
    assert "no line" in floor.why


@pytest.mark.parametrize("seed", range(6))
def test_networks_on_a_grid_are_not_below_the_floor(seed: int) -> None:
    """Labels are a network's outputs and noise; the network itself is a candidate."""
    source = np.random.default_rng(seed)
    width = 1 + seed % 3
    directions, thresholds = source.integers(-3, 4, (width, 2)), source.integers(-8, 9, width)
    combine = source.integers(-3, 4, width)
    noise = source.integers(-1, 2, 49)
    rows, error = [], 0
    for x, e in zip(grid(7), noise.tolist(), strict=True):
        hidden = np.maximum(directions @ np.array([int(v) for v in x]) - thresholds, 0)
        rows.append((x, (Fraction(int(combine @ hidden) + e),)))
        error += e * e
    data = data_of(rows)
    assert risk_floor(width, (), data).value <= Fraction(error, 49)


@given(scalar_rows(most=14), st.integers(1, 3))
@settings(max_examples=40)
def test_a_line_in_space_has_the_floor_of_its_scalar_data(rows: Rows, first_width: int) -> None:
    alone, embedded = data_of(rows), data_of([((ONE, 2 - x[0] / 3, 5 * x[0]), y) for x, y in rows])
    expected = risk_floor(first_width, (), alone).value
    assert (
        risk_floor(first_width, (), embedded).value
        == (expected if alone.n_inputs > 2 * (first_width + 1) else alone.noise_floor)
        or alone.variance == 0
    )


# --- what must not matter --------------------------------------------------------------------------------------------


@given(any_rows(), st.randoms(use_true_random=False), st.integers(1, 2))
@settings(max_examples=40)
def test_order_and_scales_do_not_matter(rows: Rows, random: object, first_width: int) -> None:
    data = data_of(rows)
    expected = risk_floor(first_width, (), data).value
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert risk_floor(first_width, (), data_of(shuffled)).value == expected
    moved = [(tuple(7 * v - 3 for v in x), tuple(v / 5 + 2 for v in y)) for x, y in rows]
    assert risk_floor(first_width, (), data_of(moved)).value * 25 == expected


def test_reversing_scalar_inputs_changes_rounding_at_most() -> None:
    ys = [0, 3, 1, 4, 1, 5, 9, 2, 6, 5]
    for width in range(1, 4):
        one, two = (risk_floor(width, (), scalar(range(10), y)).value for y in (ys, ys[::-1]))
        assert abs(one - two) <= ROUNDING * 100


@pytest.mark.parametrize("points", [200, pytest.param(1000, marks=pytest.mark.slow)])
def test_many_points_and_64_pieces(points: int) -> None:
    labels = np.cumsum(np.random.default_rng(1).integers(-9, 10, points))
    data = scalar(range(points), [int(v) for v in labels])
    floor = risk_floor(63, (), data).value
    witness = best_witness(Architecture((1, 63, 1)), data).risk
    assert 0 < floor <= witness < data.variance / 10


def test_a_trail_takes_the_labels_it_is_given() -> None:
    data = scalar(range(6), [0, 1, 0, 5, 0, 1])
    part = Trail.of(data, [0, 1, 2, 4, 5], [0, 1, 2, 4, 5])
    points = [p for p in weighted_points(data) if p[1] != 3]
    for groups in (1, 2):
        exact = least_error(points, groups)
        assert exact * (1 - ROUNDING * 64) <= segment_errors(part)[groups - 1] <= exact


def test_a_declared_density_does_not_change_the_floor() -> None:
    data = scalar(range(9), [0, 3, 1, 4, 2, 5, 9, 6, 8])
    assert risk_floor(1, (), replace(data, labels_have_density=True)).value == risk_floor(1, (), data).value
