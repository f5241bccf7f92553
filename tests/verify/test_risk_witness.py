"""Witnesses: the risk that they claim is the risk of a real network of the architecture, built and run in fractions."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from theorems.setting import Architecture, DataSet
from verify.data import DataSpec, load_data
from verify.risk import Witness, best_witness
from verify.risk.witness import _search

Vector = tuple[Fraction, ...]
Matrix = list[list[Fraction]]
Layers = list[tuple[Matrix, list[Fraction]]]
Rows = Sequence[tuple[Vector, Vector]]
ZERO, ONE = Fraction(0), Fraction(1)


def data_of(rows: Rows) -> DataSet:
    return DataSet.from_rows("test", [x for x, _ in rows], [y for _, y in rows])


def dot(u: Sequence[Fraction], x: Sequence[Fraction]) -> Fraction:
    return sum((a * b for a, b in zip(u, x, strict=True)), ZERO)


def forward(layers: Layers, x: Vector) -> Vector:
    """`h^k = max(W^k h^{k-1} + b^k, 0)`, no maximum after the last layer."""
    values = list(x)
    for index, (matrix, bias) in enumerate(layers):
        values = [dot(row, values) + b for row, b in zip(matrix, bias, strict=True)]
        if index < len(layers) - 1:
            values = [max(v, ZERO) for v in values]
    return tuple(values)


def empirical_risk(layers: Layers, rows: Rows) -> Fraction:
    """`(1/M) sum_m |N(x_m) - y_m|^2` over the rows themselves, repetitions included."""
    total = sum((sum((a - b) ** 2 for a, b in zip(forward(layers, x), y, strict=True)) for x, y in rows), ZERO)
    return total / len(rows)


def padded(matrix: Matrix, rows: int, columns: int) -> Matrix:
    assert len(matrix) <= rows
    assert all(len(row) <= columns for row in matrix)
    return [[*row, *[ZERO] * (columns - len(row))] for row in matrix] + [[ZERO] * columns] * (rows - len(matrix))


def row_basis(rows: Matrix) -> tuple[Matrix, Matrix]:
    """Rows `C` that span the given ones, and `B` with `rows = B C`, by elimination in fractions."""
    basis: Matrix = []
    pivots: list[int] = []
    for row in rows:
        rest = list(row)
        for b, p in zip(basis, pivots, strict=True):
            rest = [v - rest[p] * w for v, w in zip(rest, b, strict=True)]
        if any(rest):
            pivot = next(i for i, v in enumerate(rest) if v)
            new = [v / rest[pivot] for v in rest]
            basis = [[v - b[pivot] * w for v, w in zip(b, new, strict=True)] for b in basis] + [new]
            pivots.append(pivot)
    return basis, [[row[p] for p in pivots] for row in rows]


def network_of(witness: Witness, widths: tuple[int, ...], rows: Rows) -> Layers:
    """The construction of Lemma 8: hinges, then as many shifted channels as the slopes have rank, then copies."""
    hidden, n = widths[1:-1], len(witness.thresholds)
    assert n <= hidden[0]
    bias = [-t for t in witness.thresholds] + [ZERO] * (hidden[0] - n)
    layers: Layers = [(padded([list(u) for u in witness.directions], hidden[0], widths[0]), bias)]
    outputs = [[slope[i] for slope in witness.slopes] for i in range(widths[-1])]
    if len(hidden) == 1:
        return [
            *layers,
            (
                padded(outputs, widths[-1], n) if n == hidden[0] else padded(outputs, widths[-1], hidden[0]),
                list(witness.intercept),
            ),
        ]
    channels, combine = row_basis(outputs)
    rank = len(channels)
    assert rank <= min(hidden[1:])
    hinges = [
        [max(dot(u, x) - t, ZERO) for u, t in zip(witness.directions, witness.thresholds, strict=True)] for x, _ in rows
    ]
    shift = max((-dot(c, h) for c in channels for h in hinges), default=ZERO)
    shift = max(shift, ZERO)
    layers.append((padded(channels, hidden[1], hidden[0]), [shift] * rank + [ZERO] * (hidden[1] - rank)))
    copy = [[ONE if i == j else ZERO for j in range(rank)] for i in range(rank)]
    for fan_in, fan_out in itertools.pairwise(hidden[1:]):
        layers.append((padded(copy, fan_out, fan_in), [ZERO] * fan_out))
    last = [y - shift * sum(row, ZERO) for y, row in zip(witness.intercept, combine, strict=True)]
    layers.append((padded(combine, widths[-1], hidden[-1]), last))
    return layers


def check_witness(architecture: Architecture, rows: Rows) -> Witness:
    data = data_of(rows)
    witness = best_witness(architecture, data)
    assert len(witness.directions) == len(witness.thresholds) == len(witness.slopes)
    layers = network_of(witness, architecture.widths, rows)
    for (matrix, bias), fan_in, fan_out in zip(layers, architecture.widths, architecture.widths[1:], strict=False):
        assert len(matrix) == len(bias) == fan_out
        assert all(len(row) == fan_in for row in matrix)
    assert witness.risk == empirical_risk(layers, rows)
    assert data.noise_floor <= witness.risk <= data.noise_floor + data.variance
    return witness


small = st.integers(-6, 6).map(lambda n: Fraction(n, 2))


@st.composite
def any_rows(draw: st.DrawFn) -> Rows:
    inputs, outputs = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    row = st.tuples(st.tuples(*[small] * inputs), st.tuples(*[small] * outputs))
    return draw(st.lists(row, min_size=1, max_size=9))


@given(rows=any_rows(), hidden=st.lists(st.integers(1, 5), min_size=1, max_size=3))
@settings(max_examples=25)
@example(rows=[((ZERO,), (ONE,))], hidden=[3])
@example(rows=[((ONE, ONE), (ONE,)), ((ONE, ONE), (ZERO,))], hidden=[3, 1])
@example(rows=[((ONE, ZERO), (ONE, ZERO)), ((ZERO, ONE), (ONE, ONE))], hidden=[1])
@example(rows=[((Fraction(i),), (Fraction(i % 2), Fraction(i % 3), Fraction(i))) for i in range(9)], hidden=[4, 2])
@example(rows=[((Fraction(i),), (Fraction(i % 2), Fraction(i % 3), Fraction(i))) for i in range(9)], hidden=[4, 3, 1])
def test_the_risk_of_the_witness_is_the_risk_of_a_real_network(rows: Rows, hidden: list[int]) -> None:
    check_witness(Architecture((len(rows[0][0]), *hidden, len(rows[0][1]))), rows)


@pytest.mark.parametrize("hidden", [(7,), (9,), (7, 7, 8), (30, 2)])
def test_a_wide_enough_witness_interpolates_exactly(hidden: tuple[int, ...]) -> None:
    rows = [((Fraction(i), Fraction(-i * i)), (Fraction(i % 2), Fraction(i * i, 7))) for i in range(8)]
    rows.append((rows[3][0], (ONE, ONE)))
    witness = check_witness(Architecture((2, *hidden, 2)), rows)
    assert witness.risk == data_of(rows).noise_floor > 0


@pytest.mark.parametrize("neurons", [1, 2, 4])
def test_a_narrow_witness_is_better_than_a_regression(neurons: int) -> None:
    rows = [((Fraction(i, 10),), (Fraction(i * i, 100),)) for i in range(11)]
    witness = check_witness(Architecture((1, neurons, 1)), rows)
    x, y = np.array([[float(x[0]), float(y[0])] for x, y in rows]).T
    regression = np.polyfit(x, y, 1, full=True)[1][0] / len(rows)
    assert float(witness.risk) <= 0.75 * regression


def test_the_first_layer_counts_for_scalar_outputs() -> None:
    """Seven hinges interpolate eight points, whatever the later widths; one hinge before seven layers does not."""
    rows = [((Fraction(i),), (Fraction(i % 2),)) for i in range(8)]
    assert check_witness(Architecture((1, 7, 1)), rows).risk == 0
    assert check_witness(Architecture((1, 7, 1, 2, 1)), rows).risk == 0
    assert check_witness(Architecture((1, 1, 7, 7, 1)), rows).risk > 0


def test_a_narrow_layer_limits_the_rank_of_vector_outputs() -> None:
    """Outputs on a triangle: one channel keeps them on a half-line, two do not."""
    corners = [(ZERO, ZERO), (ONE, ZERO), (ZERO, ONE)]
    rows = [((Fraction(i),), corners[i % 3]) for i in range(9)]
    narrow = check_witness(Architecture((1, 8, 1, 2)), rows)
    wide = check_witness(Architecture((1, 8, 2, 2)), rows)
    assert wide.risk == 0
    assert Fraction(1, 10) < narrow.risk < data_of(rows).variance
    assert len(row_basis([list(slope) for slope in narrow.slopes])[0]) == 1


@pytest.mark.parametrize("exponent", [-30, 9, 40, 160, 320])
@pytest.mark.parametrize("scaled", ["inputs", "labels", "both", "one input", "one label"])
def test_witnesses_of_tiny_and_huge_data(exponent: int, scaled: str) -> None:
    """Scales cancel; single values far out are beyond floats, and the search may fail: the best constant is there."""
    size = Fraction(10) ** exponent
    u, v = (size if scaled in ("inputs", "both") else ONE), (size if scaled in ("labels", "both") else ONE)
    rows = [((u * i,), (v * (i * i % 5),)) for i in range(6)]
    if scaled == "one input":
        rows.append(((size,), (ONE,)))
    if scaled == "one label":
        rows.append(((Fraction(17),), (size,)))
    check_witness(Architecture((1, 3, 1)), rows)


@pytest.mark.parametrize("inputs", [1, 3])
def test_floats_are_exact_numbers_too(inputs: int) -> None:
    """Coordinates of 53 bits: integers beyond 64 bits are evaluated exactly as well."""
    source = np.random.default_rng(inputs)
    table = source.standard_normal((40, inputs))
    rows = [(tuple(Fraction(v) for v in row), (Fraction(float(np.sin(row[0]))),)) for row in table.tolist()]
    witness = check_witness(Architecture((inputs, 6, 1)), rows)
    assert witness.risk < data_of(rows).variance / 20


def test_the_best_witness_of_equal_labels_is_a_constant() -> None:
    rows = [((Fraction(i),), (Fraction(5),)) for i in range(4)]
    witness = check_witness(Architecture((1, 2, 1)), rows)
    assert witness.risk == 0
    assert witness.thresholds == ()


def test_inputs_that_do_not_move_leave_the_constant() -> None:
    rows = [((ONE, ZERO), (Fraction(i),)) for i in range(4)]
    assert check_witness(Architecture((2, 3, 1)), rows).risk == Fraction(5, 4)


def test_64_bits_and_large_integers_give_the_same_witness(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [((Fraction(i), Fraction(i * i % 7)), (Fraction(i * i % 11, 3), Fraction(i))) for i in range(30)]
    fast = check_witness(Architecture((2, 5, 2)), rows)
    _search.cache_clear()
    for module in ("witness", "rounding"):
        monkeypatch.setattr(f"verify.risk.{module}.fits_int64", lambda bound, *arrays: False)
    assert best_witness(Architecture((2, 5, 2)), data_of(rows)) == fast


def test_the_same_data_have_the_same_witness_on_any_number_of_threads() -> None:
    data, architecture = load_data(DataSpec("iris")), Architecture((4, 5, 1))
    found = []
    for threads in (1, 2):
        _search.cache_clear()
        with threadpool_limits(limits=threads, user_api="blas"):
            found.append(best_witness(architecture, data))
    assert found[0] == found[1]


# Shares of the variance: rounded up from what the search found when this test was written, with a tenth to spare.
REACHED = {
    ("nile", 1): 0.72,
    ("nile", 8): 0.44,
    ("nile", 32): 0.16,
    ("sunspots", 8): 0.82,
    ("iris", 4): 0.015,
    ("iris", 11): 0.0,
    ("wine", 4): 0.0001,
    ("diabetes", 4): 0.45,
    ("diabetes", 16): 0.24,
    ("breast_cancer", 4): 0.008,
}


@pytest.mark.parametrize(
    ("name", "neurons"),
    [pytest.param(*each, marks=[pytest.mark.slow] if each[0] == "diabetes" else []) for each in REACHED],
)
def test_witnesses_of_real_data_are_good(name: str, neurons: int) -> None:
    data = load_data(DataSpec(name))
    witness = best_witness(Architecture((data.input_dim, neurons, 1)), data)
    assert float((witness.risk - data.noise_floor) / data.variance) <= REACHED[name, neurons]


@pytest.mark.slow
@pytest.mark.parametrize(("neurons", "share"), [(8, 0.06), (64, 0.002)])
def test_digits(neurons: int, share: float) -> None:
    data = load_data(DataSpec("digits"))
    assert float(best_witness(Architecture((64, neurons, 1)), data).risk / data.variance) <= share


def test_many_rows_are_evaluated_exactly() -> None:
    """The search looks at a part of 2,400 inputs, the risk at all of them."""
    rows = [((Fraction(i, 7), Fraction(i * i % 101)), (Fraction(i * i % 13, 5),)) for i in range(2400)]
    data = data_of(rows)
    witness = best_witness(Architecture((2, 3, 1)), data)
    outputs = {}
    for x in data.inputs:
        y = witness.intercept[0]
        for u, t, slope in zip(witness.directions, witness.thresholds, witness.slopes, strict=True):
            y += slope[0] * max(dot(u, x) - t, ZERO)
        outputs[x] = (y,)
    assert witness.risk == data.risk_of(outputs) < data.noise_floor + data.variance


# --- the checks above can fail ---------------------------------------------------------------------------------------


@given(any_rows())
@settings(max_examples=20)
def test_a_planted_wrong_risk_is_caught(rows: Rows) -> None:
    """The comparison with the real network notices a threshold that was moved."""
    widths = (len(rows[0][0]), 3, len(rows[0][1]))
    witness = best_witness(Architecture(widths), data_of(rows))
    assume(witness.thresholds and any(witness.slopes[0]) and any(witness.directions[0]))
    lowest = min(dot(witness.directions[0], x) for x, _ in rows)
    moved = Witness(
        witness.directions,
        (min(witness.thresholds[0], lowest) - 1, *witness.thresholds[1:]),
        witness.intercept,
        witness.slopes,
        witness.risk,
    )
    assert empirical_risk(network_of(moved, widths, rows), rows) != witness.risk
