"""Architectures, and data sets reduced to their distinct inputs (math §1)."""

from __future__ import annotations

import time
from dataclasses import FrozenInstanceError
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theorems.errors import InvalidInput
from theorems.setting import Architecture, DataSet

# --- Architecture ----------------------------------------------------------------------------------------------------


def test_parts_of_an_architecture():
    net = Architecture.parse(" 3, 5,4 ,2")
    assert net == Architecture((3, 5, 4, 2))
    assert (net.input_dim, net.hidden, net.output_dim, net.depth) == (3, (5, 4), 2, 3)
    assert net.n_parameters == 5 * 4 + 4 * 6 + 2 * 5
    assert not net.is_shallow
    assert Architecture((1, 32, 1)).is_shallow
    assert Architecture((1, 32, 1)).n_parameters == 97


@given(widths=st.lists(st.integers(1, 50), min_size=3, max_size=8))
def test_architecture_round_trip_and_parameter_count(widths):
    net = Architecture(tuple(widths))
    assert Architecture.parse(str(net)) == net
    matrices = [out * inp for inp, out in pairwise(widths)]
    assert net.n_parameters == sum(matrices) + sum(widths[1:])
    assert net.depth == len(net.hidden) + 1 == len(matrices)
    assert net.is_shallow == (len(widths) == 3)


@pytest.mark.parametrize(
    "text",
    ["", "1", "1,2", "1,0,1", "0,3,1", "1,3,0", "1,,1", "1,-2,1", "1,2.5,1", "1,a,1", "1;2;1", "1,²,1", "1,2,1,"],
)
def test_bad_architectures_in_text(text):
    with pytest.raises(InvalidInput, match=r"architecture .*expected .*1,32,1"):
        Architecture.parse(text)


@pytest.mark.parametrize("widths", [(), (1,), (1, 1), (1, 0, 1), (1, -3, 1)])
def test_bad_architectures(widths):
    with pytest.raises(InvalidInput, match="at least three widths, all at least 1"):
        Architecture(widths)


def test_widths_with_very_many_digits_are_refused():
    with pytest.raises(InvalidInput, match="whole numbers"):
        Architecture.parse("1," + "9" * 10_000 + ",1")


# --- DataSet ---------------------------------------------------------------------------------------------------------

FRACTIONS = st.fractions(-5, 5, max_denominator=6)
INPUTS = st.integers(-2, 2).map(Fraction)  # few values: rows share inputs


@st.composite
def tables(draw):
    """Rows `(x, y)` with one or two coordinates each."""
    x, y = draw(st.integers(1, 2)), draw(st.integers(1, 2))
    row = st.tuples(st.tuples(*[INPUTS] * x), st.tuples(*[FRACTIONS] * y))
    return draw(st.lists(row, min_size=1, max_size=12))


def from_table(table, name="t"):
    return DataSet.from_rows(name, [x for x, _ in table], [y for _, y in table])


def mean_square(pairs):
    """Mean over rows of the squared distance."""
    return sum((sum((a - b) ** 2 for a, b in zip(u, v, strict=True)) for u, v in pairs), Fraction(0)) / len(pairs)


def test_a_small_data_set():
    data = DataSet.from_rows("t", [[Fraction(2)], [Fraction(1)], [Fraction(2)]], [[Fraction(v)] for v in (3, 7, 6)])
    assert data.inputs == ((1,), (2,))
    assert data.weights == (Fraction(1, 3), Fraction(2, 3))
    assert data.means == ((7,), (Fraction(9, 2),))
    assert data.noise_floor == Fraction(3, 2)  # (9/4 + 9/4) / 3
    assert data.grand_mean == (Fraction(16, 3),)
    assert data.variance == Fraction(25, 18)  # 1/3 (5/3)^2 + 2/3 (5/6)^2
    assert (data.n_rows, data.n_inputs, data.input_dim, data.output_dim) == (3, 2, 1, 1)
    assert data.input_ranges == ((1, 2),)


@given(table=tables())
def test_reduction_by_brute_force(table):
    data = from_table(table)
    assert list(data.inputs) == sorted({x for x, _ in table})
    assert sum(data.weights) == 1
    for x, weight, mean in zip(data.inputs, data.weights, data.means, strict=True):
        labels = [y for u, y in table if u == x]
        assert weight == Fraction(len(labels), len(table)) > 0
        assert mean == tuple(sum(column) / len(labels) for column in zip(*labels, strict=True))
    assert data.n_rows == len(table)
    assert data.n_inputs == len(data.inputs)
    assert (data.input_dim, data.output_dim) == (len(table[0][0]), len(table[0][1]))
    for i, (low, high) in enumerate(data.input_ranges):
        assert (low, high) == (min(x[i] for x, _ in table), max(x[i] for x, _ in table))


@given(table=tables())
def test_noise_floor_and_variance_over_all_rows(table):
    data = from_table(table)
    mean = dict(zip(data.inputs, data.means, strict=True))
    centre = tuple(sum(column) / len(table) for column in zip(*(y for _, y in table), strict=True))
    assert data.grand_mean == centre
    assert data.noise_floor == mean_square([(y, mean[x]) for x, y in table])
    assert data.variance == mean_square([(mean[x], centre) for x, _ in table])
    assert data.noise_floor + data.variance == mean_square([(y, centre) for _, y in table])  # best constant


@given(table=tables())
def test_spread_and_rays_by_brute_force(table):
    data = from_table(table)
    centre = tuple(sum(column) / data.n_inputs for column in zip(*data.inputs, strict=True))
    assert data.spread_squared == data.n_inputs * mean_square([(x, centre) for x in data.inputs])
    rays = {tuple(v / max(map(abs, x)) for v in x) for x in data.inputs if any(x)}
    assert data.n_rays == len(data.rays) == len(rays)
    assert data.rays_are_opposite == (len(rays) == 2 and {tuple(-v for v in ray) for ray in rays} == rays)


def test_rays_in_units_of_each_column():
    third, tiny = Fraction(1, 3), Fraction(1, 10**300)
    inputs = [(third, tiny), (2 * third, 2 * tiny), (-third, -tiny), (Fraction(0), Fraction(0)), (third, 2 * tiny)]
    data = from_table([(x, (Fraction(i),)) for i, x in enumerate(inputs)])
    assert data.n_rays == 3
    assert not data.rays_are_opposite
    assert from_table([(x, (Fraction(i),)) for i, x in enumerate(inputs[:4])]).rays_are_opposite


def test_sums_over_unlike_denominators_are_exact():
    """Labels 1/(i+1): no two have one denominator; rows repeat inputs a varying number of times."""
    table = [((Fraction(i % 7),), (Fraction(1, i + 1), Fraction(i, 3))) for i in range(40)]
    data = from_table(table)
    centre = tuple(sum(column) / len(table) for column in zip(*(y for _, y in table), strict=True))
    mean = dict(zip(data.inputs, data.means, strict=True))
    assert data.grand_mean == centre
    assert data.noise_floor == mean_square([(y, mean[x]) for x, y in table]) > 0
    assert data.variance == mean_square([(mean[x], centre) for x, _ in table]) > 0
    assert data.risk_of(dict.fromkeys(data.inputs, centre)) == data.noise_floor + data.variance


@pytest.mark.slow
def test_a_million_rows_are_quick():
    rows = range(1_000_000)
    data = DataSet.from_rows("m", [(Fraction(i, 1000),) for i in rows], [(Fraction(i * i % 997, 100),) for i in rows])
    start = time.process_time()
    assert data.variance + data.noise_floor > 0
    assert data.n_rays == 1
    assert data.spread_squared > 0
    assert data.input_ranges == ((0, Fraction(999_999, 1000)),)
    assert time.process_time() - start < 30  # 6 s where this was written; 42 s if fractions are added one by one


@given(table=tables(), values=st.data())
def test_risk_is_the_mean_over_rows(table, values):
    data = from_table(table)
    outputs = {x: tuple(values.draw(FRACTIONS) for _ in range(data.output_dim)) for x in data.inputs}
    assert data.risk_of(outputs) == mean_square([(outputs[x], y) for x, y in table]) >= data.noise_floor
    assert data.risk_of(dict(zip(data.inputs, data.means, strict=True))) == data.noise_floor


@given(table=tables(), values=st.data())
def test_order_and_repetition_of_rows_do_not_matter(table, values):
    data = from_table(table)
    for other in (from_table(values.draw(st.permutations(table))), from_table(table + table)):
        assert (other.inputs, other.weights, other.means) == (data.inputs, data.weights, data.means)
        assert (other.noise_floor, other.variance) == (data.noise_floor, data.variance)


@given(table=tables())
def test_rows_keep_their_order(table):
    data = from_table(table)
    assert [(data.inputs[j], y) for j, y in data.rows] == table


@given(table=tables())
def test_noise_floor_vanishes_only_without_contradictions(table):
    consistent = len(set(table)) == len({x for x, _ in table})
    assert (from_table(table).noise_floor == 0) == consistent


def test_everything_is_a_fraction():
    data = DataSet.from_rows("t", [[Fraction(0)], [Fraction(1)]], [[Fraction(0)], [Fraction(1)]])
    numbers = [data.noise_floor, data.variance, *data.weights, *data.grand_mean]
    assert all(isinstance(number, Fraction) for number in numbers)


def test_data_sets_cannot_change():
    data = DataSet.from_rows("t", [[Fraction(0)]], [[Fraction(0)]])
    with pytest.raises(FrozenInstanceError):
        data.n_rows = 3


ONE = Fraction(1)


@pytest.mark.parametrize(
    ("inputs", "labels", "part"),
    [
        ([], [], "is empty"),
        ([[ONE]], [], "1 inputs but 0 labels"),
        ([[ONE], [ONE, ONE]], [[ONE], [ONE]], "rows of different lengths"),
        ([[ONE], [ONE]], [[ONE], [ONE, ONE]], "rows of different lengths"),
        ([[], []], [[ONE], [ONE]], "no input or no label column"),
        ([[ONE], [ONE]], [[], []], "no input or no label column"),
    ],
)
def test_bad_rows(inputs, labels, part):
    with pytest.raises(InvalidInput, match=f"data 'demo'.*{part}.*expected"):
        DataSet.from_rows("demo", inputs, labels)


# --- labels with a density -------------------------------------------------------------------------------------------


def rows_of(*labels):
    return [(Fraction(i),) for i in range(len(labels))], [tuple(map(Fraction, y)) for y in labels]


def test_a_density_of_the_labels_is_a_statement_of_the_user():
    inputs, labels = rows_of((0, 1), (2, 3), (1, 5))
    assert not DataSet.from_rows("d", inputs, labels).labels_have_density
    declared = DataSet.from_rows("d", inputs, labels, labels_have_density=True)
    assert declared.labels_have_density
    assert declared != DataSet.from_rows("d", inputs, labels)


@pytest.mark.parametrize(
    ("labels", "parts"),
    [
        ([(0,), (1,), (0,)], ("rows 1 and 3", "label column 0")),
        ([(0, 5), (1, 4), (2, 4)], ("rows 2 and 3", "label column 1")),
    ],
)
def test_labels_that_repeat_have_no_density(labels, parts):
    """Two equal values have probability 0 under a density, also at one input."""
    inputs, values = rows_of(*labels)
    with pytest.raises(InvalidInput) as caught:
        DataSet.from_rows("d", inputs, values, labels_have_density=True)
    for part in (*parts, "expected distinct labels"):
        assert part in str(caught.value)
    DataSet.from_rows("d", inputs, values)
    same_input = [inputs[0]] * len(inputs)
    with pytest.raises(InvalidInput, match="repeats a value"):
        DataSet.from_rows("d", same_input, values, labels_have_density=True)
