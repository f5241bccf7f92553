"""What is certified about the optimal risk, against networks that are built and run here in fractions.

`forward` is the network of math §1 and shares nothing with the library: every claim is checked on its outputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from theorems.hypotheses import Evidence, Status
from theorems.setting import Architecture, DataSet
from verify.risk import affine_runs, best_witness, interpolates, linear_pieces, optimal_risk_above_noise
from verify.risk.witness import Witness

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


def hinges_to_network(
    widths: tuple[int, ...], direction: Vector, knots: Sequence[Fraction], slopes: Sequence[Vector], intercept: Vector
) -> Layers:
    """First layer: one hinge a neuron; later hidden layers copy them; the last layer combines them."""
    n, hidden = len(knots), widths[1:-1]
    layers: Layers = [(padded([direction] * n, hidden[0], widths[0]), padded_bias([-t for t in knots], hidden[0]))]
    for fan_in, fan_out in itertools.pairwise(hidden):
        layers.append((padded(identity(n), fan_out, fan_in), padded_bias([], fan_out)))
    combine = [[slope[i] for slope in slopes] for i in range(widths[-1])]
    layers.append((padded(combine, widths[-1], hidden[-1]), intercept))
    return layers


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
        (1, (), data_of([((ZERO, ZERO), (ZERO,)), ((ONE, ZERO), (ONE,)), ((ZERO, ONE), (ONE,))]), Status.UNKNOWN),
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


@given(scalar_input_rows(), st.integers(0, 9), st.lists(st.integers(1, 3), max_size=2).map(tuple))
def test_a_wider_first_layer_never_turns_a_failure_into_success(
    rows: list[tuple[Vector, Vector]], first_width: int, later: tuple[int, ...]
) -> None:
    """`I` decreases in the first width, so above noise at a larger width implies above noise at a smaller one."""
    data = data_of(rows)
    narrow = optimal_risk_above_noise(first_width, later, data).status
    wide = optimal_risk_above_noise(first_width + 1, later, data).status
    assert not (wide is Status.HOLDS and narrow is not Status.HOLDS)
    assert not (narrow is Status.FAILS and wide is Status.HOLDS)


# --- witnesses -------------------------------------------------------------------------------------------------------


def check_witness(architecture: Architecture, rows: Sequence[tuple[Vector, Vector]]) -> Witness:
    data = data_of(rows)
    witness = best_witness(architecture, data)
    assert len(witness.knots) == len(witness.slopes) <= min(architecture.hidden)
    layers = hinges_to_network(architecture.widths, witness.direction, witness.knots, witness.slopes, witness.intercept)
    assert_shapes(layers, architecture.widths)
    assert witness.risk == empirical_risk(layers, rows)
    assert data.noise_floor <= witness.risk <= data.noise_floor + data.variance
    return witness


small = st.integers(-6, 6).map(lambda n: Fraction(n, 2))


@st.composite
def any_rows(draw: st.DrawFn) -> list[tuple[Vector, Vector]]:
    inputs, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    row = st.tuples(st.tuples(*[small] * inputs), st.tuples(*[small] * outputs))
    return draw(st.lists(row, min_size=1, max_size=9))


@given(rows=any_rows(), hidden=st.lists(st.integers(1, 5), min_size=1, max_size=3))
@settings(max_examples=100)
@example(rows=[((ZERO,), (ONE,))], hidden=[3])
@example(rows=[((ONE, ONE), (ONE,)), ((ONE, ONE), (ZERO,))], hidden=[3, 1])
@example(rows=[((ONE, ZERO), (ONE, ZERO)), ((ZERO, ONE), (ONE, ONE))], hidden=[1])
def test_the_risk_of_the_witness_is_the_risk_of_a_real_network(
    rows: list[tuple[Vector, Vector]], hidden: list[int]
) -> None:
    check_witness(Architecture((len(rows[0][0]), *hidden, len(rows[0][1]))), rows)


@pytest.mark.parametrize("hidden", [(7,), (9,), (7, 7, 8), (30, 7)])
def test_a_wide_enough_witness_nearly_interpolates(hidden: tuple[int, ...]) -> None:
    """Tightness, apart from safety: with a knot for each input the search must get down to rounding errors."""
    rows = [((Fraction(i),), (Fraction(i % 2), Fraction(i * i, 7))) for i in range(8)]
    witness = check_witness(Architecture((1, *hidden, 2)), rows)
    assert witness.risk <= Fraction(1, 10**12)


@pytest.mark.parametrize("neurons", [1, 2, 4])
def test_a_narrow_witness_is_better_than_the_best_constant(neurons: int) -> None:
    rows = [((Fraction(i, 10),), (Fraction(i * i, 100),)) for i in range(11)]
    witness = check_witness(Architecture((1, neurons, 1)), rows)
    data = data_of(rows)
    x, y = np.array([[float(x[0]), float(y[0])] for x, y in rows]).T
    regression = np.polyfit(x, y, 1, full=True)[1][0] / len(rows)
    assert float(witness.risk) <= regression * (1 + 1e-9) < float(data.variance)


def test_a_narrow_layer_anywhere_limits_the_witness() -> None:
    rows = [((Fraction(i),), (Fraction(i % 2),)) for i in range(8)]
    wide, pinched = check_witness(Architecture((1, 7, 1)), rows), check_witness(Architecture((1, 7, 2, 7, 1)), rows)
    assert len(pinched.knots) <= 2
    assert pinched.risk > wide.risk


@pytest.mark.parametrize("exponent", [-30, 9, 40, 160, 320])
@pytest.mark.parametrize("scaled", ["inputs", "labels", "both"])
def test_witnesses_of_tiny_and_huge_data(exponent: int, scaled: str) -> None:
    """The search is in floats and may fail; then the best constant is still there."""
    size = Fraction(10) ** exponent
    u, v = (size if scaled in ("inputs", "both") else ONE), (size if scaled in ("labels", "both") else ONE)
    rows = [((u * i,), (v * (i * i % 5),)) for i in range(6)]
    check_witness(Architecture((1, 3, 1)), rows)


def test_the_best_witness_of_equal_labels_is_the_constant() -> None:
    rows = [((Fraction(i),), (Fraction(5),)) for i in range(4)]
    assert check_witness(Architecture((1, 2, 1)), rows).risk == 0


# --- the checks above can fail ---------------------------------------------------------------------------------------


@given(scalar_input_rows())
@settings(max_examples=20)
def test_a_planted_wrong_risk_is_caught(rows: list[tuple[Vector, Vector]]) -> None:
    """The comparison with the real network notices a risk computed with one knot moved."""
    data = data_of(rows)
    witness = best_witness(Architecture((1, 3, data.output_dim)), data)
    assume(witness.knots and any(witness.slopes[0]))
    moved = (witness.knots[0] - 1, *witness.knots[1:])
    layers = hinges_to_network((1, 3, data.output_dim), witness.direction, moved, witness.slopes, witness.intercept)
    assert empirical_risk(layers, rows) != witness.risk
