"""Whether the optimal risk is above the noise floor, against networks that are built and run here in fractions.

`forward` is the network of math §1 and shares nothing with the library: every claim is checked on its outputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from theorems.hypotheses import Evidence, Status
from theorems.setting import Architecture, DataSet
from verify.risk import affine_runs, interpolates, linear_pieces, optimal_risk_above_noise
from verify.risk.interpolation import interpolating_polyline, neurons_to_interpolate
from verify.risk.lattice import input_lattice, label_lattice
from verify.risk.lines import lines_in

Vector = tuple[Fraction, ...]
Matrix = Sequence[Sequence[Fraction]]
Layers = list[tuple[Matrix, Vector]]
ZERO, ONE = Fraction(0), Fraction(1)


def forward(layers: Layers, x: Vector) -> Vector:
    """`h^k = max(W^k h^{k-1} + b^k, 0)`, no maximum after the last layer."""
    values = list(x)
    for index, (matrix, bias) in enumerate(layers):
        rows = zip(matrix, bias, strict=True)
        values = [sum((w * v for w, v in zip(row, values, strict=True)), b) for row, b in rows]
        if index < len(layers) - 1:
            values = [max(v, ZERO) for v in values]
    return tuple(values)


def assert_shapes(layers: Layers, widths: tuple[int, ...]) -> None:
    assert len(layers) == len(widths) - 1
    for (matrix, bias), fan_in, fan_out in zip(layers, widths, widths[1:], strict=False):
        assert len(matrix) == len(bias) == fan_out
        assert all(len(row) == fan_in for row in matrix)


def empirical_risk(layers: Layers, rows: Sequence[tuple[Vector, Vector]]) -> Fraction:
    """`(1/M) sum_m |N(x_m) - y_m|^2` over the rows themselves, repetitions included."""
    total = sum((sum((a - b) ** 2 for a, b in zip(forward(layers, x), y, strict=True)) for x, y in rows), ZERO)
    return total / len(rows)


def data_of(rows: Sequence[tuple[Vector, Vector]]) -> DataSet:
    return DataSet.from_rows("test", [x for x, _ in rows], [y for _, y in rows])


def scalar(xs: Sequence[int | Fraction], ys: Sequence[int | Fraction]) -> DataSet:
    return data_of([((Fraction(x),), (Fraction(y),)) for x, y in zip(xs, ys, strict=True)])


def padded(matrix: Matrix, rows: int, columns: int) -> Matrix:
    wide = [[*row, *[ZERO] * (columns - len(row))] for row in matrix]
    return wide + [[ZERO] * columns for _ in range(rows - len(wide))]


def padded_bias(bias: Sequence[Fraction], rows: int) -> Vector:
    return (*bias, *[ZERO] * (rows - len(bias)))


def identity(n: int) -> Matrix:
    return [[ONE if i == j else ZERO for j in range(n)] for i in range(n)]


# --- affine runs -----------------------------------------------------------------------------------------------------


def is_affine(points: Sequence[tuple[Fraction, Vector]]) -> bool:
    """Whether one affine function passes through all points: every triple has a vanishing determinant."""
    return all(
        (p[0] * (q[1][i] - r[1][i]) + q[0] * (r[1][i] - p[1][i]) + r[0] * (p[1][i] - q[1][i])) == 0
        for p, q, r in itertools.combinations(points, 3)
        for i in range(len(p[1]))
    )


def fewest_runs(data: DataSet) -> int:
    """Dynamic programming over all contiguous splits (no greedy argument)."""
    points = [(x[0], y) for x, y in zip(data.inputs, data.means, strict=True)]
    best = [0]
    for end in range(1, len(points) + 1):
        best.append(min(best[start] + 1 for start in range(end) if is_affine(points[start:end])))
    return best[-1]


@st.composite
def scalar_input_rows(draw: st.DrawFn) -> list[tuple[Vector, Vector]]:
    """Small integer data with runs on common lines, repeated inputs, and labels of one or two coordinates."""
    outputs = draw(st.integers(1, 2))
    steps = draw(st.lists(st.integers(1, 3), min_size=1, max_size=9))
    slopes = draw(st.lists(st.tuples(*[st.integers(-1, 1)] * outputs), min_size=len(steps), max_size=len(steps)))
    x, y = Fraction(draw(st.integers(-3, 3))), tuple(Fraction(0) for _ in range(outputs))
    rows = []
    for step, slope in zip(steps, slopes, strict=True):
        rows.append(((x,), y))
        x, y = x + step, tuple(a + b * step for a, b in zip(y, slope, strict=True))
    repeats = draw(st.lists(st.tuples(st.integers(0, len(rows) - 1), st.integers(-2, 2)), max_size=2))
    rows += [(rows[i][0], tuple(a + shift for a in rows[i][1])) for i, shift in repeats]
    return draw(st.permutations(rows))


@given(scalar_input_rows())
@settings(max_examples=150)
@example([((ZERO,), (ZERO,))])
@example([((Fraction(i),), (Fraction(i % 2),)) for i in range(7)])
@example([((Fraction(i),), (ZERO if i < 4 else ONE, Fraction(i))) for i in range(8)])
def test_affine_runs_is_the_least_number_over_all_splits(rows: list[tuple[Vector, Vector]]) -> None:
    data = data_of(rows)
    assert affine_runs(data) == fewest_runs(data)


def test_affine_runs_of_known_data() -> None:
    assert affine_runs(scalar([1], [5])) == 1
    assert affine_runs(scalar([1, 2], [5, -3])) == 1
    assert affine_runs(scalar([0, 1, 2, 3, 4], [0, 1, 0, 1, 0])) == 3
    assert affine_runs(scalar([0, 1, 2, 3, 4, 5], [0, 1, 2, 2, 2, 2])) == 2
    assert affine_runs(scalar([0, 1, 3], [0, 1, 3])) == 1
    assert affine_runs(scalar([0, 1, 3], [0, 1, 2])) == 2
    with pytest.raises(ValueError, match="scalar inputs"):
        affine_runs(data_of([((ZERO, ONE), (ONE,)), ((ONE, ONE), (ZERO,))]))


@pytest.mark.parametrize(("hidden", "pieces"), [((1,), 2), ((3,), 4), ((2, 3), 12), ((1, 1, 1), 8), ((7, 1), 16)])
def test_linear_pieces(hidden: tuple[int, ...], pieces: int) -> None:
    assert linear_pieces(hidden) == pieces


# --- above the noise floor: never claimed of data that a network of that size produces -------------------------------


def random_network(widths: tuple[int, ...], seed: int) -> Layers:
    source = np.random.default_rng(seed)
    layers: Layers = []
    for fan_in, fan_out in itertools.pairwise(widths):
        matrix = [[Fraction(int(v)) for v in row] for row in source.integers(-3, 4, (fan_out, fan_in))]
        layers.append((matrix, tuple(Fraction(int(v), 2) for v in source.integers(-12, 13, fan_out))))
    return layers


@given(
    hidden=st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple),
    outputs=st.integers(1, 2),
    seed=st.integers(0, 10**6),
    points=st.integers(1, 30),
    noise=st.integers(0, 2),
)
@settings(max_examples=100)
def test_labels_made_by_a_network_are_never_said_to_be_out_of_its_reach(
    hidden: tuple[int, ...], outputs: int, seed: int, points: int, noise: int
) -> None:
    layers = random_network((1, *hidden, outputs), seed)
    rows = []
    for i in range(points):
        x = (Fraction(2 * i - points, 4),)
        y = forward(layers, x)
        rows += [(x, tuple(v + noise for v in y)), (x, tuple(v - noise for v in y))]
    data = data_of(rows)
    assert empirical_risk(layers, rows) == data.noise_floor == noise**2 * outputs
    assert affine_runs(data) <= linear_pieces(hidden)
    assert optimal_risk_above_noise(hidden[0], hidden[1:], data).status is not Status.HOLDS


def test_networks_of_two_inputs_are_never_said_to_be_out_of_their_own_reach() -> None:
    for seed in range(10):
        layers = random_network((2, 2, 2, 1), seed)
        xs = [(Fraction(i), Fraction(j)) for i in range(-2, 3) for j in range(-2, 3)]
        data = data_of([(x, forward(layers, x)) for x in xs])
        assert optimal_risk_above_noise(2, (2,), data).status is not Status.HOLDS


# --- interpolation, Lemma 7a -----------------------------------------------------------------------------------------


def dot(u: Vector, x: Vector) -> Fraction:
    return sum((a * b for a, b in zip(u, x, strict=True)), ZERO)


def interpolating_network(widths: tuple[int, ...], data: DataSet) -> Layers:
    """The network of the proof of Lemma 7a, written out: hinges in layer 1, the labels (shifted up) from layer 2 on."""
    directions = (tuple(Fraction(base) ** i for i in range(widths[0])) for base in itertools.count(2))
    direction = next(u for u in directions if len({dot(u, x) for x in data.inputs}) == data.n_inputs)
    order = sorted((dot(direction, x), y) for x, y in zip(data.inputs, data.means, strict=True))
    places = [s for s, _ in order]
    hidden, outputs = widths[1:-1], widths[-1]
    shift = ZERO if len(hidden) == 1 else max((-v for _, y in order for v in y), default=ZERO)
    targets = [tuple(v + shift for v in y) for _, y in order]
    slopes: list[Vector] = []
    for k in range(1, len(order)):
        before = list(zip(slopes, places, strict=False))
        reached = [targets[0][i] + sum((a[i] * (places[k] - t) for a, t in before), ZERO) for i in range(outputs)]
        slopes.append(tuple((targets[k][i] - reached[i]) / (places[k] - places[k - 1]) for i in range(outputs)))
    knots = places[:-1]
    first: tuple[Matrix, Vector] = (
        padded([direction] * len(knots), hidden[0], widths[0]),
        padded_bias([-t for t in knots], hidden[0]),
    )
    combine = [[slope[i] for slope in slopes] for i in range(outputs)]
    if len(hidden) == 1:
        return [first, (padded(combine, outputs, hidden[0]), targets[0])]
    layers = [first, (padded(combine, hidden[1], hidden[0]), padded_bias(targets[0], hidden[1]))]
    for fan_in, fan_out in itertools.pairwise(hidden[1:]):
        layers.append((padded(identity(outputs), fan_out, fan_in), padded_bias([], fan_out)))
    layers.append((padded(identity(outputs), outputs, hidden[-1]), tuple(-shift for _ in range(outputs))))
    return layers


CASES = {
    "shallow, vector labels": (1, (4,), 3),
    "shallow, two inputs": (2, (5,), 2),
    "deep and narrow, scalar labels": (1, (4, 1, 1), 1),
    "deep and narrow, scalar labels, two inputs": (2, (6, 1, 2), 1),
    "deep, wide enough for vector labels": (1, (4, 2, 3), 2),
    "deep, wide enough for vector labels, two inputs": (3, (5, 3, 3, 4), 3),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("seed", range(3))
def test_interpolation_is_carried_out(case: tuple[int, tuple[int, ...], int], seed: int) -> None:
    inputs, hidden, outputs = case
    source = np.random.default_rng(seed)
    n = hidden[0] + 1
    distinct = sorted({tuple(row) for row in source.integers(-9, 10, (4 * n, inputs)).tolist()})
    xs = [tuple(Fraction(v) for v in row) for row in distinct][:n]
    rows = [(x, tuple(Fraction(int(v), 3) for v in source.integers(-9, 10, outputs))) for x in [*xs, *xs[:2]]]
    data = data_of(rows)
    assert data.n_inputs == n
    layers = interpolating_network((inputs, *hidden, outputs), data)
    assert_shapes(layers, (inputs, *hidden, outputs))
    assert empirical_risk(layers, rows) == data.noise_floor > 0
    assert interpolates(hidden[0], hidden[1:], data)
    finding = optimal_risk_above_noise(hidden[0], hidden[1:], data)
    assert finding.status is Status.FAILS
    assert finding.evidence is Evidence.CERTIFIED


def test_interpolation_is_not_claimed_beyond_the_lemma() -> None:
    zigzag = scalar(range(8), [0, 1] * 4)
    assert interpolates(7, (), zigzag)
    assert interpolates(7, (1, 1), zigzag)
    assert not interpolates(6, (), zigzag)
    assert not interpolates(6, (9, 9), zigzag)
    vectors = data_of([((Fraction(i),), (Fraction(i % 2), Fraction(i % 3))) for i in range(8)])
    assert interpolates(7, (), vectors)
    assert interpolates(7, (2, 5), vectors)
    assert not interpolates(7, (2, 1), vectors)
    assert not interpolates(7, (1,), vectors)


def test_a_narrow_layer_below_vector_labels_can_keep_the_risk_above_the_noise() -> None:
    """The case that Lemma 7a leaves out: labels not on one line, last hidden width 1, so outputs lie on a half line."""
    data = data_of([((Fraction(i),), y) for i, y in enumerate([(ZERO, ZERO), (ONE, ZERO), (ZERO, ONE)])])
    assert not interpolates(50, (1,), data)
    assert optimal_risk_above_noise(50, (1,), data).status is Status.UNKNOWN


# --- statuses --------------------------------------------------------------------------------------------------------

ZIGZAG = scalar(range(8), [0, 1] * 4)  # four affine runs, eight inputs
XOR = data_of([((Fraction(i), Fraction(j)), (Fraction((i + j) % 2),)) for i in range(2) for j in range(2)])


@pytest.mark.parametrize(
    ("first_width", "later", "data", "status"),
    [
        (0, (), ZIGZAG, Status.HOLDS),
        (0, (5, 5), ZIGZAG, Status.HOLDS),
        (0, (), scalar([1, 2, 3], [4, 4, 4]), Status.FAILS),
        (0, (), scalar([1], [4]), Status.FAILS),
        (1, (), ZIGZAG, Status.HOLDS),
        (2, (), ZIGZAG, Status.HOLDS),
        (3, (), ZIGZAG, Status.UNKNOWN),
        (1, (1,), ZIGZAG, Status.UNKNOWN),
        (6, (), ZIGZAG, Status.UNKNOWN),
        (7, (), ZIGZAG, Status.FAILS),
        (1, (), scalar(range(12), [0, 1] * 6), Status.HOLDS),
        (1, (1,), scalar(range(12), [0, 1] * 6), Status.HOLDS),
        (1, (2,), scalar(range(12), [0, 1] * 6), Status.UNKNOWN),
        (2, (), data_of([((ZERO, ZERO), (ZERO,)), ((ONE, ZERO), (ONE,)), ((ZERO, ONE), (ONE,))]), Status.FAILS),
        (1, (), data_of([((ZERO, ZERO), (ZERO,)), ((ONE, ZERO), (ONE,)), ((ZERO, ONE), (ONE,))]), Status.FAILS),
        (1, (), XOR, Status.UNKNOWN),
        (2, (), XOR, Status.FAILS),
        (0, (), data_of([((ZERO, ZERO), (ZERO,)), ((ONE, ZERO), (ONE,)), ((ZERO, ONE), (ONE,))]), Status.HOLDS),
    ],
)
def test_statuses(first_width: int, later: tuple[int, ...], data: DataSet, status: Status) -> None:
    finding = optimal_risk_above_noise(first_width, later, data)
    assert finding.status is status
    assert finding.hypothesis == "optimal-risk-above-noise"
    assert finding.evidence is Evidence.CERTIFIED


@pytest.mark.parametrize("later", [(), (3, 3)], ids=str)
@pytest.mark.parametrize("inputs", [1, 2])
def test_equal_mean_labels_are_reached_by_every_network(later: tuple[int, ...], inputs: int) -> None:
    """`V = 0`: the best constant has the risk `nu` (math Lemma 4), so `I(l) > nu` fails, certified, at any width."""
    rows = [((Fraction(i), Fraction(i * i))[:inputs], (Fraction(4),)) for i in range(6)]
    for first_width in (0, 1, 2, 5, 9):
        assert optimal_risk_above_noise(first_width, later, data_of(rows)).status is Status.FAILS, first_width


ORDER = (Status.FAILS, Status.UNKNOWN, Status.HOLDS)

small = st.integers(-4, 4).map(lambda n: Fraction(n, 2))


@st.composite
def any_rows(draw: st.DrawFn) -> list[tuple[Vector, Vector]]:
    inputs, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    row = st.tuples(st.tuples(*[small] * inputs), st.tuples(*[small] * outputs))
    return draw(st.lists(row, min_size=1, max_size=12))


@given(any_rows() | scalar_input_rows(), st.lists(st.integers(1, 3), max_size=2).map(tuple), st.booleans())
@settings(max_examples=100)
def test_answers_only_improve_as_the_first_layer_gets_narrower(
    rows: list[tuple[Vector, Vector]], later: tuple[int, ...], density: bool
) -> None:
    """`I` decreases in the first width; `Theorem.instance` relies on the order fails, unknown, holds."""
    data = replace(data_of(rows), labels_have_density=density)
    places = [ORDER.index(optimal_risk_above_noise(width, later, data).status) for width in range(13, -1, -1)]
    assert places == sorted(places)


# --- fewer neurons than inputs can interpolate -----------------------------------------------------------------------


def polyline_network(widths: tuple[int, ...], data: DataSet) -> Layers:
    """The interpolating function found, written out as the network of Lemma 7a'."""
    line, inputs, labels = interpolating_polyline(data), input_lattice(data), label_lattice(data)
    assert line is not None
    direction = tuple(u / step for u, step in zip(line.direction, inputs.step, strict=True))
    origin = dot(direction, inputs.start)
    knots = [knot + origin for knot in line.knots]
    n, hidden = len(knots), widths[1:-1]
    start = tuple(a + labels.step[0] * y for a, y in zip(labels.start, line.start, strict=True))
    combine = [[labels.step[0] * change[i] for change in line.changes] for i in range(widths[-1])]
    shift = Fraction(1000) if len(hidden) > 1 else ZERO
    layers: Layers = [(padded([direction] * n, hidden[0], widths[0]), padded_bias([-t for t in knots], hidden[0]))]
    lifted = tuple(y + shift for y in start)
    if len(hidden) > 1:
        layers.append((padded(combine, hidden[1], hidden[0]), padded_bias(lifted, hidden[1])))
        for fan_in, fan_out in itertools.pairwise(hidden[1:]):
            layers.append((padded(identity(widths[-1]), fan_out, fan_in), padded_bias([], fan_out)))
        combine, lifted = identity(widths[-1]), tuple(-shift for _ in start)
    layers.append((padded(combine, widths[-1], hidden[-1]), lifted))
    return layers


@given(rows=any_rows() | scalar_input_rows(), depth=st.integers(1, 3))
@settings(max_examples=50)
@example(rows=[((Fraction(x),), (Fraction(abs(x)), Fraction(max(x, 1)))) for x in range(-4, 5)], depth=2)
@example(rows=[((Fraction(x),), (Fraction(x * x),)) for x in range(9)], depth=1)
@example(rows=[((Fraction(x), ZERO), (Fraction(min(x, 3)),)) for x in range(9)], depth=1)
def test_the_interpolating_function_found_is_a_network_that_interpolates(
    rows: list[tuple[Vector, Vector]], depth: int
) -> None:
    data = data_of(rows)
    needed = neurons_to_interpolate(data)
    line = interpolating_polyline(data)
    assert needed <= max(data.n_inputs - 1, 0)
    assert line is not None
    assert len(line.knots) == needed
    assert list(line.knots) == sorted(set(line.knots))
    assert all(any(change) for change in line.changes)
    widths = (data.input_dim, max(needed, 1), *[data.output_dim] * (depth - 1), data.output_dim)
    layers = polyline_network(widths, data)
    assert_shapes(layers, widths)
    assert empirical_risk(layers, rows) == data.noise_floor


@pytest.mark.parametrize(
    ("ys", "neurons"),
    [
        ([3, 3, 3, 3], 0),
        ([0, 1, 2, 3], 1),
        ([0, 0, 1, 2], 1),
        ([2, 1, 0, 0], 1),  # seen from the right
        ([2, 1, 0, 1, 2], 2),
        ([0, 1, 1, 1, 0], 3),
        ([0, 0, 0, 1, 1, 1], 2),  # the step takes two bends, the flat start no slope
        ([0, 1, 4, 9, 16, 25], 3),  # chords of a parabola meet between the points
        ([0, 1, 0, 1, 0, 1], 5),
    ],
)
def test_the_number_of_bends_of_known_data(ys: list[int], neurons: int) -> None:
    data = scalar(range(len(ys)), ys)
    assert neurons_to_interpolate(data) == neurons
    assert interpolates(neurons, (1,), data)
    assert not interpolates(neurons - 1, (1,), data)


def test_a_vector_function_bends_once_only_where_all_outputs_meet() -> None:
    """Between 1 and 2 both outputs bend, at 4/3 and at 3/2: no single bend serves both."""
    first, second = [0, 1, 1, 0], [0, 2, 2, 0]
    third = [0, 3, 2, 0]
    assert neurons_to_interpolate(vectors(first, second)) == 2
    assert neurons_to_interpolate(vectors(first, third)) == 3


def vectors(*columns: Sequence[int]) -> DataSet:
    rows = zip(*columns, strict=True)
    return data_of([((Fraction(i),), tuple(Fraction(v) for v in row)) for i, row in enumerate(rows)])


# --- lines, Lemma 7c -------------------------------------------------------------------------------------------------


def grid(n: int) -> list[Vector]:
    return [(Fraction(i), Fraction(j)) for i in range(n) for j in range(n)]


def test_a_grid_is_decided_along_its_rows() -> None:
    """`x^2 + y^2` on 8 x 8 points: along a row every two points are a run, so four runs, and P = 2, 3, 4, 5 pieces."""
    data = data_of([(x, (x[0] ** 2 + x[1] ** 2,)) for x in grid(8)])
    statuses = [optimal_risk_above_noise(width, (), data).status for width in range(6)]
    assert statuses == [Status.HOLDS] * 3 + [Status.UNKNOWN] * 3
    assert "along one line the labels have 4 exactly affine runs" in optimal_risk_above_noise(2, (), data).why
    assert optimal_risk_above_noise(1, (1,), data).status is Status.UNKNOWN  # 4 pieces


@pytest.mark.parametrize("seed", range(8))
def test_networks_on_a_grid_are_never_said_to_be_out_of_their_own_reach(seed: int) -> None:
    hidden = [(1,), (2,), (1, 1), (2, 1), (1, 2), (3,), (2, 2), (1, 1, 1)][seed]
    layers = random_network((2, *hidden, 2), seed)
    data = data_of([(x, forward(layers, x)) for x in grid(7)])
    assert lines_in(data)
    assert optimal_risk_above_noise(hidden[0], hidden[1:], data).status is not Status.HOLDS


@given(scalar_input_rows(), st.integers(1, 6), st.lists(st.integers(1, 2), max_size=1).map(tuple))
@settings(max_examples=60)
def test_inputs_on_a_line_are_decided_like_scalar_inputs(
    rows: list[tuple[Vector, Vector]], first_width: int, later: tuple[int, ...]
) -> None:
    alone = data_of(rows)
    embedded = data_of([((3 * x[0] + 1, ONE, -x[0] / 7), y) for x, y in rows])
    expected = optimal_risk_above_noise(first_width, later, alone).status
    found = optimal_risk_above_noise(first_width, later, embedded).status
    assert found is expected or (alone.n_inputs < 5 and found is Status.UNKNOWN)


@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(-1, 1)), min_size=1, max_size=40))
def test_lines_are_exactly_lines_and_share_at_most_one_input(points: list[tuple[int, int, int]]) -> None:
    data = data_of([(tuple(Fraction(v, 3) for v in p), (ZERO,)) for p in points])
    lines = lines_in(data)
    for line in lines:
        first, second = data.inputs[line.members[0]], data.inputs[line.members[-1]]
        for j in line.members:
            offsets = [(a - b, c - b) for a, b, c in zip(data.inputs[j], first, second, strict=True)]
            assert all(p[0] * q[1] == q[0] * p[1] for p, q in itertools.combinations(offsets, 2))
        assert list(line.positions) == sorted(set(line.positions))
    for one, two in itertools.combinations(lines, 2):
        assert len(set(one.members) & set(two.members)) <= 1


def test_all_lines_of_a_small_cube_are_found() -> None:
    """5 x 5 x 5 points: lines of five through a cube in three dimensions number (7^3 - 5^3)/2 = 109."""
    points = list(itertools.product(range(5), repeat=3))
    data = data_of([(tuple(Fraction(v) for v in p), (ZERO,)) for p in points])
    assert [len(line.members) for line in lines_in(data)] == [5] * 109


def test_lines_of_many_inputs_are_sought_along_the_axes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verify.risk.lines.MAX_PAIRED", 24)
    data = data_of([((*x, ONE), (x[0] * x[1],)) for x in grid(5)])
    assert sorted(line.direction for line in lines_in(data)) == [(0, 1, 0)] * 5 + [(1, 0, 0)] * 5


# --- dimension count, Lemma 7d ---------------------------------------------------------------------------------------


def noisy(rows: int, inputs: int, outputs: int, seed: int = 0, density: bool = True) -> DataSet:
    source = np.random.default_rng(seed)
    xs = [[Fraction(float(v)) for v in row] for row in source.standard_normal((rows, inputs))]
    ys = [[Fraction(float(v)) for v in row] for row in source.standard_normal((rows, outputs))]
    return DataSet.from_rows("noisy", xs, ys, density)


@pytest.mark.parametrize(
    ("rows", "widths", "holds"),
    [
        (14, (3, 3, 1), True),  # 16 parameters less 3
        (13, (3, 3, 1), False),
        (7, (3, 3, 2), False),  # 20 - 3 = 17 against 14 values
        (9, (3, 3, 2), True),
        (20, (2, 2, 3, 1), True),  # 6 + 9 + 4 - 5 = 14
        (14, (2, 2, 3, 1), False),
        (15, (2, 2, 3, 1), True),
    ],
)
def test_dimension_count(rows: int, widths: tuple[int, ...], holds: bool) -> None:
    """`K l_L > D(l) - sum_k l_k`, and one value fewer does not do."""
    freedom = Architecture(widths).n_parameters - sum(widths[1:-1])
    assert (rows * widths[-1] > freedom) == holds
    data = noisy(rows, widths[0], widths[-1])
    finding = optimal_risk_above_noise(widths[1], widths[2:-1], data)
    if holds:
        assert finding.status is Status.HOLDS
        assert finding.evidence is Evidence.ALMOST_SURE
        assert "declared to have a joint density" in finding.why
    else:
        assert finding.status is Status.UNKNOWN
    undeclared = optimal_risk_above_noise(widths[1], widths[2:-1], replace(data, labels_have_density=False))
    assert undeclared.status is Status.UNKNOWN


def test_the_unknown_answer_says_what_would_decide() -> None:
    data = noisy(40, 3, 1, density=False)
    why = optimal_risk_above_noise(3, (), data).why
    assert "39 first-layer neurons surely reach the noise floor" in why or "neurons surely reach" in why
    assert "labels_have_density" in why
    repeated = replace(data, rows=tuple((j, (ZERO,)) for j, _ in data.rows))
    assert "labels_have_density" not in optimal_risk_above_noise(3, (), repeated).why
    assert "labels_have_density" not in optimal_risk_above_noise(20, (), data).why


def test_the_dimension_is_that_of_the_inputs_not_of_their_columns() -> None:
    """Constant, repeated, scaled and reversed columns add nothing: with 2 dimensions 3 (2 + 1) + 1 = 10 parameters."""
    data = noisy(11, 2, 1)
    wide = [(x[0], ONE, 3 * x[0] - 1, x[1], -x[1] / 5, ZERO) for x in data.inputs]
    padded_data = DataSet.from_rows("wide", wide, data.means, True)
    assert optimal_risk_above_noise(3, (), data).status is Status.HOLDS
    assert optimal_risk_above_noise(3, (), padded_data).status is Status.HOLDS
    one_more = [(*x, x[0] * x[1]) for x in data.inputs]
    assert optimal_risk_above_noise(3, (), DataSet.from_rows("more", one_more, data.means, True)).status is (
        Status.UNKNOWN
    )


def test_a_line_alone_can_be_too_long_for_the_count() -> None:
    """Deep networks have more pieces than parameters: 30 inputs on a line decide, where 30 + 5 in the plane do not."""
    source = np.random.default_rng(5)
    xs = [(Fraction(i), Fraction(0)) for i in range(30)] + [(Fraction(i), Fraction(i * i + 1)) for i in range(5)]
    ys = [[Fraction(float(v))] for v in source.standard_normal(35)]
    data = DataSet.from_rows("line", xs, ys, True)
    hidden = (3, 4, 1)  # on the line 3 + 12 + 4 + 1 + 1 = 21; in the plane 24
    finding = optimal_risk_above_noise(hidden[0], hidden[1:], data)
    assert finding.status is Status.HOLDS
    wide = (6, 3, 1)  # on the line 6 + 18 + 3 + 2 = 29; in the plane 35
    finding = optimal_risk_above_noise(wide[0], wide[1:], data)
    assert finding.status is Status.HOLDS
    assert "30 distinct inputs on one line" in finding.why


def test_certified_reasons_come_before_almost_sure_ones() -> None:
    data = DataSet.from_rows(
        "zigzag", [(Fraction(i),) for i in range(9)], [(Fraction(i % 2, i + 1) + i,) for i in range(9)], True
    )
    assert optimal_risk_above_noise(1, (), data).evidence is Evidence.CERTIFIED
    assert optimal_risk_above_noise(0, (), data).evidence is Evidence.CERTIFIED


# --- degenerate data -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("inputs", [1, 3])
def test_one_distinct_input_is_reached_by_constants(inputs: int) -> None:
    data = data_of([((ONE,) * inputs, (Fraction(i),)) for i in range(4)])
    assert data.variance == 0 < data.noise_floor
    assert optimal_risk_above_noise(0, (), data).status is Status.FAILS
    assert neurons_to_interpolate(data) == 0


def test_zero_columns_change_nothing() -> None:
    rows = [((Fraction(i), ZERO), (Fraction(i % 2),)) for i in range(12)]
    assert optimal_risk_above_noise(1, (), data_of(rows)).status is Status.HOLDS
