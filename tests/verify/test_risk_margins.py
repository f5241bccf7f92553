"""Margins of Lemmas 4, 5 and 6: lower bounds that are checked against the inequalities they stand for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from theorems.errors import InvalidInput
from theorems.setting import Architecture, DataSet
from verify.data import DataSpec, load_data
from verify.risk import best_witness, dead_neuron_gain, deep_margin, ridge_gain, risk_floor, spanning_margin
from verify.risk.isolation import extreme_inputs
from verify.risk.margins import COST_BITS, _costs

Vector = tuple[Fraction, ...]
Rows = list[tuple[Vector, Vector]]
ZERO, ONE = Fraction(0), Fraction(1)


def data_of(rows: Sequence[tuple[Vector, Vector]]) -> DataSet:
    return DataSet.from_rows("test", [x for x, _ in rows], [y for _, y in rows])


def scalar(xs: Sequence[int | Fraction], ys: Sequence[int | Fraction]) -> DataSet:
    return data_of([((Fraction(x),), (Fraction(y),)) for x, y in zip(xs, ys, strict=True)])


small = st.integers(-6, 6).map(lambda n: Fraction(n, 2))


@st.composite
def any_rows(draw: st.DrawFn, outputs: int | None = None) -> Rows:
    inputs, columns = draw(st.integers(1, 3)), outputs or draw(st.integers(1, 2))
    row = st.tuples(st.tuples(*[small] * inputs), st.tuples(*[small] * columns))
    return draw(st.lists(row, min_size=1, max_size=10))


def floats(data: DataSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Inputs, mean labels, weights."""
    table = [[float(v) for v in x] for x in data.inputs]
    return (
        np.array(table),
        np.array([[float(v) for v in y] for y in data.means]),
        np.array(list(map(float, data.weights))),
    )


def ridges(points: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Ridge vectors with thresholds at and between the inputs and below all of them, in the rows."""
    found = []
    for u in directions:
        places = points @ u
        at = np.unique(places)
        for t in np.concatenate([at[:-1], (at[1:] + at[:-1]) / 2, [at[0] - 1, at[0] - 5]]):
            found.append(np.maximum(places - t, 0.0))
    return np.array([v for v in found if v.max() > 1e-12])


# --- Lemma 4 ---------------------------------------------------------------------------------------------------------


def best_gain(data: DataSet, directions: np.ndarray) -> float:
    """`|sum pi (ybar_j - ybar) phi_j|^2 / sum pi (phi_j - phibar)^2`, the largest over many ridges."""
    points, labels, weights = floats(data)
    best = 0.0
    for phi in ridges(points, directions):
        scatter = weights @ (phi - weights @ phi) ** 2
        if scatter > 1e-12:
            covariance = (weights * phi) @ (labels - weights @ labels)
            best = max(best, float(covariance @ covariance / scatter))
    return best


@given(any_rows())
@settings(max_examples=30)
@example([((Fraction(i),), (Fraction(max(i - 3, 0)), Fraction(-2 * max(i - 3, 0)))) for i in range(8)])
def test_the_gain_is_certified_and_close_to_the_best_of_many_ridges(rows: Rows) -> None:
    data = data_of(rows)
    gain = ridge_gain(data)
    assert 0 <= gain <= data.variance
    assert (gain > 0) == (data.variance > 0)
    if data.input_dim == 1:
        assert float(gain) >= 0.97 * best_gain(data, np.array([[1.0], [-1.0]])) - 1e-9


@given(any_rows(), st.lists(st.integers(1, 3), min_size=1, max_size=2).map(tuple))
@settings(max_examples=40)
def test_the_gain_holds_for_every_architecture(rows: Rows, hidden: tuple[int, ...]) -> None:
    """`I(l) <= nu + V - gain`: no certified floor may contradict it, not even of the narrowest network."""
    data = data_of(rows)
    assert risk_floor(hidden[0], hidden[1:], data).value <= data.noise_floor + data.variance - ridge_gain(data)


def test_labels_that_are_a_hinge_are_explained_by_it() -> None:
    data = data_of([((Fraction(i), Fraction(j)), (Fraction(max(i + j - 4, 0)),)) for i in range(5) for j in range(5)])
    gain = ridge_gain(data)
    assert 0.999 * float(data.variance) <= float(gain) <= float(data.variance)


def test_known_gain() -> None:
    """`0, 1` at `0, 1`: V = 1/4, all of it explained; `0, 0, 1`: a hinge explains all, V = 2/9."""
    assert ridge_gain(scalar([0, 1], [0, 1])) == Fraction(1, 4)
    assert float(ridge_gain(scalar([0, 1, 2], [0, 0, 1]))) == pytest.approx(2 / 9, rel=1e-6)


# --- Lemma 5 ---------------------------------------------------------------------------------------------------------


def hat_cost(places: Sequence[float], weights: Sequence[float], j: int, sign: int) -> float:
    """Cost of the unit vector of input j by three hinges, their coefficients from a linear system."""
    s = sign * np.array(places)
    before, after = s[s < s[j]], s[s > s[j]]
    if not len(before):
        return math.inf
    knots = [before.max(), s[j], *([after.min()] if len(after) else [])]
    columns = np.array([np.maximum(s - t, 0.0) for t in knots]).T
    unit = np.eye(len(s))[j]
    solution, *_ = np.linalg.lstsq(columns, unit, rcond=None)
    assert np.allclose(columns @ solution, unit)
    norms = np.sqrt(np.array(weights) @ columns**2)
    return float(np.abs(solution) @ norms / math.sqrt(weights[j]))


@given(st.lists(st.integers(-20, 20), min_size=2, max_size=9))
@settings(max_examples=60)
def test_costs_are_those_of_hats(xs: list[int]) -> None:
    data = scalar(xs, range(len(xs)))
    if data.n_inputs == 1:
        return
    places, weights = [float(x[0]) for x in data.inputs], [float(w) for w in data.weights]
    costs = _costs(data, (1,), range(data.n_inputs))
    for j in range(data.n_inputs):
        expected = min(hat_cost(places, weights, j, sign) for sign in (1, -1)) ** 2
        assert expected * (1 - 1e-9) <= costs[j] / 2**COST_BITS <= expected * (1 + 1e-6) + 1e-6


@pytest.mark.parametrize("shape", ["line", "plane", "weighted"])
def test_some_ridge_explains_its_share_of_every_residual(shape: str) -> None:
    """The inequality behind the margin, for residuals that are as hard as a search makes them."""
    source = np.random.default_rng(7)
    if shape == "line":
        data = scalar(range(9), range(9))
    elif shape == "plane":
        data = data_of([(tuple(Fraction(int(v)) for v in source.integers(0, 9, 2)), (ZERO,)) for _ in range(9)])
    else:
        data = scalar([0, 0, 0, 1, 2, 2, 7, 8, 8, 8, 8], range(11))
    share = spanning_margin(data)
    assert share is not None
    assert 0 < share <= Fraction(1, data.n_inputs)
    points, _, weights = floats(data)
    angles = np.linspace(0, 2 * np.pi, 33)[:-1]
    directions = np.array([[1.0], [-1.0]]) if data.input_dim == 1 else np.array([np.cos(angles), np.sin(angles)]).T
    vectors = ridges(points, directions) * np.sqrt(weights)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    hardest = np.linalg.eigh(vectors.T @ vectors)[1][:, 0]
    lowest = np.inf
    for scale in (0.0, 1e-3, 1e-2, 0.1, 1.0):
        for _ in range(30):
            residual = hardest + scale * source.standard_normal(len(hardest))
            lowest = min(lowest, ((vectors @ residual) ** 2).max() / (residual @ residual))
    assert lowest >= float(share)


def test_extreme_inputs_cost_one() -> None:
    """Eight points of a parabola: each is alone in a half-plane, so gamma is 1/8, the largest possible value."""
    data = data_of([((Fraction(i), Fraction(i * i)), (ZERO,)) for i in range(8)])
    assert spanning_margin(data) == Fraction(1, 8)
    assert spanning_margin(scalar([0, 5], [0, 1])) == Fraction(1, 2)
    assert spanning_margin(scalar([3], [1])) == 1
    assert spanning_margin(load_data(DataSpec("wine"))) == Fraction(1, 178)


def test_directions_serve_inputs_that_are_not_extreme() -> None:
    square = [(0, 0), (0, 8), (8, 0), (8, 8), (3, 4), (5, 2)]
    data = data_of([((Fraction(i), Fraction(j)), (ZERO,)) for i, j in square])
    share = spanning_margin(data)
    assert len(extreme_inputs(data)) == 4
    assert share is not None
    assert Fraction(1, 10_000) < share < Fraction(1, 6)


def test_no_margin_is_claimed_for_too_many_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verify.risk.margins.MAX_SCALAR", 10)
    assert spanning_margin(scalar(range(10), range(10))) is not None
    data = scalar(range(11), range(11))
    assert spanning_margin(data) is None
    assert dead_neuron_gain(Architecture((1, 3, 1)), 2, data) == 0


# --- Lemma 6 ---------------------------------------------------------------------------------------------------------


def labels_of_range(spread: int, n: int) -> DataSet:
    return scalar(range(n), [0, spread] + [1] * (n - 2))


@pytest.mark.parametrize(
    ("excess", "gain", "spread", "n"),
    [
        (Fraction(1), Fraction(1), 1, 5),
        (Fraction(1, 3), Fraction(2, 7), 4, 12),
        (Fraction(1, 10**9), Fraction(5), 2, 7),
    ],
)
def test_deep_margin_solves_the_quadratic(excess: Fraction, gain: Fraction, spread: int, n: int) -> None:
    """`I' = (Y/2)(K m/sqrt G + 3 sqrt(K m))` at the margin m; a margin any larger would give more."""
    margin = deep_margin(excess, gain, labels_of_range(spread, n))
    assert margin > 0

    def right(m: float) -> float:
        return spread / 2 * (n * m / math.sqrt(gain) + 3 * math.sqrt(n * m))

    assert right(float(margin)) == pytest.approx(float(excess), rel=1e-9)


def test_deep_margin_is_rounded_down() -> None:
    """`Y = K = 2`, `G = 1`, `I' = 2`: t = (sqrt 17 - 3)/2, the root of `t^2 + 3 t = 2`, and the margin is t^2/2."""
    margin = deep_margin(Fraction(2), ONE, scalar([0, 1], [0, 2]))
    square = 2 * margin
    assert (2 - square) ** 2 > 9 * square  # t^2 + 3 t < 2
    above = square * (1 + Fraction(1, 10**15))
    assert (2 - above) ** 2 < 9 * above


positive = st.fractions(min_value=Fraction(1, 10**6), max_value=10**6, max_denominator=10**6)


@given(positive, positive, positive)
def test_deep_margin_increases_with_both_arguments(excess: Fraction, gain: Fraction, more: Fraction) -> None:
    data = labels_of_range(3, 6)
    least = deep_margin(excess, gain, data) * (1 - Fraction(1, 10**12))
    assert deep_margin(excess + more, gain, data) >= least
    assert deep_margin(excess, gain + more, data) >= least


@given(st.lists(small, min_size=2, max_size=9), st.fractions(min_value=0, max_value=1, max_denominator=50))
def test_deep_margin_is_no_more_than_there_is_to_gain(labels: list[Fraction], part: Fraction) -> None:
    """With `I(l) = nu` (a wide first layer interpolates) the difference is I' itself, and `I' + G = V`."""
    data = scalar(range(len(labels)), labels)
    excess = part * data.variance
    assert deep_margin(excess, data.variance - excess, data) <= excess


def test_deep_margin_refuses_what_the_lemma_does_not_cover() -> None:
    with pytest.raises(InvalidInput, match="2 label columns"):
        deep_margin(ONE, ONE, data_of([((ZERO,), (ZERO, ONE))]))
    with pytest.raises(InvalidInput, match="at least 0"):
        deep_margin(-ONE, ONE, scalar([0, 1], [0, 1]))
    assert deep_margin(ZERO, ONE, scalar([0, 1], [0, 1])) == 0
    assert deep_margin(ONE, ZERO, scalar([0, 1], [0, 1])) == 0


# --- dead neurons ----------------------------------------------------------------------------------------------------


@given(any_rows(), st.lists(st.integers(1, 3), max_size=1).map(tuple), st.integers(0, 4), st.integers(1, 4))
@settings(max_examples=40)
@example([((Fraction(i),), (Fraction((-1) ** i),)) for i in range(10)], (), 2, 1)
@example([((Fraction(i),), (Fraction((-1) ** i),)) for i in range(10)], (1,), 1, 3)
@example([((Fraction(i),), (Fraction((-1) ** i),)) for i in range(10)], (1,), 0, 3)
def test_the_gain_fits_between_floor_and_witness(rows: Rows, later: tuple[int, ...], kept: int, dead: int) -> None:
    """`I(l') - I(l) >= gain` with `I(l') <= U(l')` and `I(l) >= floor(l)`."""
    data = data_of(rows)
    architecture = Architecture((data.input_dim, kept + dead, *later, data.output_dim))
    gain = dead_neuron_gain(architecture, kept, data)
    constant = data.noise_floor + data.variance
    smaller = Architecture((data.input_dim, kept, *later, data.output_dim)) if kept else None
    reached = best_witness(smaller, data).risk if smaller else constant
    assert 0 <= gain <= reached - risk_floor(kept + dead, later, data).value


ZIGZAG = scalar(range(24), [(-1) ** i for i in range(24)])


def test_which_lemma_gives_the_gain() -> None:
    shallow, deep = Architecture((1, 4, 1)), Architecture((1, 4, 1, 1))
    assert dead_neuron_gain(shallow, 0, ZIGZAG) == dead_neuron_gain(deep, 0, ZIGZAG) == ridge_gain(ZIGZAG) > 0
    excess = risk_floor(3, (), ZIGZAG).value - ZIGZAG.noise_floor
    share = spanning_margin(ZIGZAG)
    assert share is not None
    assert dead_neuron_gain(shallow, 3, ZIGZAG) == share * excess > 0
    for dead in (2, 5):
        exact = (1 - (1 - share) ** dead) * excess
        assert exact * (1 - dead * share) <= dead_neuron_gain(Architecture((1, 3 + dead, 1)), 3, ZIGZAG) <= exact
    one_left = dead_neuron_gain(deep, 1, ZIGZAG)
    excess = risk_floor(1, (1,), ZIGZAG).value - ZIGZAG.noise_floor
    least = deep_margin(excess, ridge_gain(ZIGZAG), ZIGZAG)
    assert 0 < least <= one_left
    assert risk_floor(2, (1,), ZIGZAG).value > ZIGZAG.noise_floor
    assert dead_neuron_gain(deep, 2, ZIGZAG) == 0  # two dead neurons are fewer than kappa = 3
    vectors = data_of([((Fraction(i),), (Fraction((-1) ** i), ONE * i)) for i in range(10)])
    assert dead_neuron_gain(Architecture((1, 4, 1, 2)), 1, vectors) == 0
    assert dead_neuron_gain(Architecture((1, 4, 2)), 1, vectors) > 0


@pytest.mark.parametrize("kept", [-1, 4, 7])
def test_a_first_width_that_is_not_smaller_is_refused(kept: int) -> None:
    with pytest.raises(InvalidInput, match="less than the first hidden width"):
        dead_neuron_gain(Architecture((1, 4, 1)), kept, ZIGZAG)


def test_equal_labels_have_no_margin() -> None:
    flat = scalar([0, 1, 2, 2], [1, 1, 0, 2])
    assert ridge_gain(flat) == 0
    assert all(
        dead_neuron_gain(Architecture((1, 3, *later, 1)), kept, flat) == 0
        for later, kept in itertools.product([(), (2,)], range(3))
    )
