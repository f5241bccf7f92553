"""The exact engine on what its algorithm turns on: kinks, pieces, crossings, lanes, and the steps of its updates.

Gradients are judged by brute force in extended precision, neurons being active where `w x + b > 0` there, and in
float64 by the eager engine as well. Tolerance: an entry of the gradient is a sum of products, and the same sum over
absolute values (its scale) bounds each product that is rounded on the way, so that an error is a small multiple of
rounding times the scale: at most 64 here, for up to 1,000 points and 133 neurons. Where a float32 network must not
depend on which way `w x + b` is rounded at a kink, all its numbers are dyadic and that is exact.
"""

from __future__ import annotations

import ctypes
import platform
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.verify.conftest import Plant
from tests.verify.test_engines import flat
from theorems.setting import Architecture
from verify.optimizers.registry import resolve
from verify.optimizers.spec import OptimizerSpec
from verify.simulation import eager
from verify.simulation.draw import Layer, Parameters
from verify.simulation.eager import DTYPES, Training, TrainingRows
from verify.simulation.fused import compiler, exact1d
from verify.simulation.fused.library import Move, Slabs, aligned, pointer, stepper

pytestmark = pytest.mark.usefixtures("one_thread")

Floats = npt.NDArray[np.floating[Any]]
ROUNDINGS = 64
both = pytest.mark.parametrize("dtype", ["float64", "float32"])


@dataclass(frozen=True)
class Case:
    """A block of networks and points; all numbers are rounded to the type first."""

    start: Parameters
    x: Floats
    y: Floats
    dtype: str = "float64"

    def __post_init__(self) -> None:
        def rounded(part: Floats) -> Floats:
            return part.astype(self.dtype).astype(np.float64)

        object.__setattr__(self, "start", tuple(Layer(rounded(of.weight), rounded(of.bias)) for of in self.start))
        object.__setattr__(self, "x", rounded(self.x))
        object.__setattr__(self, "y", rounded(self.y))

    @property
    def architecture(self) -> Architecture:
        return Architecture.parse(",".join(["1", *(str(layer.bias.shape[1]) for layer in self.start)]))

    def rows(self) -> TrainingRows:
        return TrainingRows(*(torch.tensor(part[:, None], dtype=DTYPES[self.dtype]) for part in (self.x, self.y)))

    def of(self, replicas: npt.NDArray[np.int64]) -> Case:
        return Case(
            tuple(Layer(part.weight[replicas], part.bias[replicas]) for part in self.start), self.x, self.y, self.dtype
        )

    def spoilt(self, layer: int, part: str, index: tuple[int, ...], value: float) -> Case:
        """The same but for one number."""
        made = self.of(np.arange(len(self.start[0].bias)))
        getattr(made.start[layer], part)[index] = value
        return made

    def trained(
        self,
        name: str = "sgd",
        options: dict[str, Any] | None = None,
        checkpoints: tuple[int, ...] = (1,),
        *,
        eagerly: bool = False,
        threads: int = 1,
    ) -> Floats:
        """Parameters (replicas, parameters) at the last checkpoint."""
        optimizer = resolve(OptimizerSpec(name, options or {}), prove=False)
        training = Training(self.rows(), optimizer, self.architecture, checkpoints)
        made = eager.train(self.start, training) if eagerly else exact1d.train(self.start, training, threads=threads)
        return flat(list(made)[-1])

    def gradient(self, *, eagerly: bool = False) -> Floats:
        """From one step with learning rate 1, which is a power of 2 like 0 - theta; theta itself costs roundings."""
        return flat(self.start) - self.trained(options={"lr": 1.0}, eagerly=eagerly)


def true_gradient(case: Case) -> tuple[Floats, Floats]:
    """The gradient by brute force, and its scale: the same sums over absolute values, with all neurons active."""
    extended = [(part.weight.astype(np.longdouble), part.bias.astype(np.longdouble)) for part in case.start]
    replicas, rows = len(case.start[0].bias), len(case.x)
    x, y = case.x.astype(np.longdouble), case.y.astype(np.longdouble)

    def through(absolute: bool) -> Floats:
        size = np.abs if absolute else np.asarray
        values, ons = [size(np.broadcast_to(x, (replicas, 1, rows)))], []
        for number, (weight, bias) in enumerate(extended, 1):
            z = size(weight) @ values[-1] + size(bias)[:, :, None]
            ons.append((z > 0) | absolute | (number == len(extended)))
            values.append(np.where(ons[-1], z, 0))
        d = (values[-1] + size(y) if absolute else values[-1] - y) * 2 / rows
        parts: list[Floats] = []
        for layer in reversed(range(len(extended))):
            parts[:0] = [(d @ values[layer].transpose(0, 2, 1)).reshape(replicas, -1), d.sum(axis=2)]
            if layer:
                d = np.where(ons[layer - 1], size(extended[layer][0]).transpose(0, 2, 1) @ d, 0)
        return np.concatenate(parts, axis=1)

    return through(False), through(True)


def check(case: Case) -> None:
    """The gradient against brute force, and against the eager engine's in float64."""
    expected, scale = true_gradient(case)
    allowed = ROUNDINGS * np.finfo(case.dtype).eps * (scale + np.abs(flat(case.start)))
    found = case.gradient()
    assert (np.abs(found - expected) <= allowed).all()
    if case.dtype == "float64":
        assert (np.abs(found - case.gradient(eagerly=True)) <= allowed).all()


# --- networks and points --------------------------------------------------------------------------------------------


def shallow(width: int, x: Floats, replicas: int = 17, seed: int = 0, dtype: str = "float64") -> Case:
    """Kinks from below the points to above them, of both directions."""
    random = np.random.default_rng(seed)
    low, high = x.min(), x.max()
    beyond = (high - low) / 4 + 0.25
    w = random.choice([-1, 1], (replicas, width)) * random.uniform(0.25, 1, (replicas, width))
    b = -w * random.uniform(low - beyond, high + beyond, (replicas, width))
    first = Layer(w[:, :, None], b)
    last = Layer(random.normal(size=(replicas, 1, width)) / np.sqrt(width), random.normal(size=(replicas, 1)))
    return Case((first, last), x, np.sin(7 * (x - low)) + 0.3, dtype)


def deep(widths: str, x: Floats, replicas: int = 17, seed: int = 0, dtype: str = "float64") -> Case:
    random, layers = np.random.default_rng(seed), []
    sizes = Architecture.parse(widths).widths
    for n_in, n_out in pairwise(sizes):
        weight = random.normal(size=(replicas, n_out, n_in)) * np.sqrt(2 / n_in)
        layers.append(Layer(weight, random.normal(size=(replicas, n_out)) / 2))
    return Case(tuple(layers), x, np.sin(7 * x) + 0.3, dtype)


def dyadic(widths: str, x: Floats, replicas: int = 17, seed: int = 0, dtype: str = "float64") -> Case:
    """Multiples of 1/4 from -1 to 1, zeros and kinks at the points among them."""
    random, layers = np.random.default_rng(seed), []
    for n_in, n_out in pairwise(Architecture.parse(widths).widths):
        weight = random.integers(-4, 5, (replicas, n_out, n_in)) / 4
        layers.append(Layer(weight, random.integers(-4, 5, (replicas, n_out)) / 4))
    return Case(tuple(layers), x, np.round(4 * np.sin(7 * x)) / 4, dtype)


def points(rows: int, seed: int = 1) -> Floats:
    return np.random.default_rng(seed).uniform(-1, 1, rows)


# --- one hidden layer -----------------------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("width", [1, 2, 3, 16, 17, 33])
def test_gradients_on_both_ways_and_where_they_meet(dtype: str, width: int) -> None:
    for rows in (8 * width - 1, 8 * width, 8 * width + 1, 3, 16 * width):
        check(shallow(width, points(rows), seed=rows, dtype=dtype))


@both
def test_any_number_of_replicas(dtype: str) -> None:
    for replicas in (1, 2, 15, 16, 17, 33):
        for width in (2, 9):
            check(shallow(width, points(40), replicas, dtype=dtype))
        for widths in ("1,5,3,1", "1,9,3,1"):
            check(deep(widths, points(40), replicas, dtype=dtype))


POINTS: dict[str, Floats] = {
    "one": np.array([0.5]),
    "one, at 0": np.array([0.0]),
    "two": np.array([0.5, -0.25]),
    "two equal": np.array([-0.5, -0.5]),
    "all equal": np.full(70, 0.75),
    "many of them equal": np.repeat([-1.0, -0.25, 0.5, 0.75], [30, 1, 25, 20]),
    "negative": -3 - np.abs(points(90)),
    "clustered": np.concatenate([points(1) * 1e-3, 0.5 + points(150) * 1e-6, [-1.0, 1.0]]),
    "two clusters and one far away": np.concatenate([points(90) * 1e-4, 1 + points(90, 2) * 1e-4, [1000.0]]),
}


@both
@pytest.mark.parametrize("name", POINTS)
def test_unusual_points(dtype: str, name: str) -> None:
    """Kinks of each width lie all over the range, and for every second network within 1e-3 of the first point."""
    x = POINTS[name]
    for case in (shallow(2, x, dtype=dtype), shallow(17, x, dtype=dtype), deep("1,5,3,1", x, dtype=dtype)):
        first = case.start[0]
        random = np.random.default_rng(3)
        kinks = x[0] + random.uniform(-1e-3, 1e-3, first.bias.shape)
        first.bias[::2] = (-first.weight[:, :, 0] * kinks)[::2]
        check(away_from_rounding(case))


def away_from_rounding(case: Case) -> Case:
    """Neurons of the first layer whose kink is within rounding of a point, but not at it, are made constant 1."""
    made = case.of(np.arange(len(case.start[0].bias)))
    w, b = made.start[0].weight[:, :, 0], made.start[0].bias
    z = np.abs(w[:, :, None] * case.x + b[:, :, None])
    size = np.abs(w[:, :, None] * case.x) + np.abs(b)[:, :, None]
    near = (z <= 4 * np.finfo(case.dtype).eps * size).any(axis=2)
    w[near], b[near] = 0, 1
    return made


@both
def test_points_far_from_0(dtype: str) -> None:
    """In [1000, 1001], kinks half-way between points and all numbers dyadic, so that `w x + b` is exact in float32.

    What is not exact, sums of residuals times x, has a scale that knows that x is about 1000.
    """
    random = np.random.default_rng(2)
    for width, rows in ((4, 256), (33, 256), (64, 128)):
        x = 1000 + np.arange(rows) / rows
        case = shallow(width, x, dtype=dtype)
        w = random.choice([-1, 1], (17, width)) * random.choice([0.25, 0.5, 1.0], (17, width))
        kinks = 1000 + (random.integers(-10, rows + 10, (17, width)) + 0.5) / rows
        first = Layer(w[:, :, None], -w * kinks)
        check(Case((first, case.start[1]), x, case.y, dtype))


@both
@pytest.mark.parametrize("width", [17, 128, 133])
def test_a_thousand_points(dtype: str, width: int) -> None:
    check(away_from_rounding(shallow(width, points(1000), 16, dtype=dtype)))


@both
@pytest.mark.parametrize("rows", [9, 80], ids=["few points", "many points"])
@pytest.mark.parametrize("zero", [0.0, -0.0], ids=["0", "-0"])
def test_weights_that_are_0(dtype: str, rows: int, zero: float) -> None:
    """Such a neuron is constant: active everywhere or nowhere, and never a kink."""
    for bias in (0.5, 0.0, -0.0, -0.5):
        for which in range(5):
            case = shallow(5, points(rows), dtype=dtype)
            case.start[0].weight[:, which], case.start[0].bias[:, which] = zero, bias
            check(case)


@both
def test_weights_below_the_normal_range(dtype: str) -> None:
    tiny = np.finfo(dtype).tiny / 4
    for rows in (9, 80):
        for bias in (0.5, 0.0, -0.5):
            for sign in (1, -1):
                case = shallow(5, points(rows), dtype=dtype)
                case.start[0].weight[:, 2], case.start[0].bias[:, 2] = sign * tiny, bias
                check(case)


@both
@pytest.mark.parametrize("widths", ["1,3,1", "1,12,1", "1,5,3,1", "1,9,3,1"])
def test_kinks_at_points(dtype: str, widths: str) -> None:
    """The derivative of relu at 0 is 0; where all is dyadic every engine computes 0 there."""
    for seed in range(4):
        x = np.random.default_rng(seed).integers(-8, 9, 60) / 4
        check(dyadic(widths, x, seed=seed, dtype=dtype))
        check(dyadic(widths, np.sort(x)[::7], seed=seed, dtype=dtype))


@both
@pytest.mark.parametrize(("name", "lr"), [("momentum", 0.2), ("adam", 0.5), ("rprop", 0.3)])
def test_crossings_that_jump_are_found_again(dtype: str, name: str, lr: float) -> None:
    check_crossings(dtype, name, lr)


def check_crossings(dtype: str, name: str, lr: float) -> None:
    """A look after each step makes all crossings anew; without one they are kept. Weights change their signs."""
    for width, rows in ((3, 24), (16, 100)):
        case = shallow(width, points(rows), dtype=dtype)
        kept = case.trained(name, {"lr": lr}, (8,))
        anew = case.trained(name, {"lr": lr}, tuple(range(1, 9)))
        assert kept.tobytes() == anew.tobytes()
        assert np.isfinite(kept).all()
        changed = np.signbit(kept[:, :width]) != np.signbit(case.start[0].weight[:, :, 0])
        assert changed.mean() > 0.05
        kinks = [-part[:, width : 2 * width] / part[:, :width] for part in (flat(case.start), kept)]
        passed = [np.searchsorted(np.sort(case.x), each) for each in kinks]
        assert (np.abs(passed[0] - passed[1]) > rows // 2).any()


# --- neurons that are dead ------------------------------------------------------------------------------------------


def with_dead(case: Case) -> tuple[Case, npt.NDArray[np.int64]]:
    """The first neurons die: rising ones with kinks at or after the last point, falling ones at or before the first."""
    first = case.start[0]
    low, high = case.x.min(), case.x.max()
    kinks = [(1.0, high + 0.5), (-1.0, low - 0.5), (1.0, high), (-1.0, low)]
    for neuron, (w, kink) in enumerate(kinks):
        first.weight[:, neuron], first.bias[:, neuron] = w, -w * kink
    return case, np.arange(len(kinks))


@both
@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize(
    ("widths", "rows"),
    [("1,6,1", 20), ("1,6,1", 60), ("1,12,1", 20), ("1,12,1", 130), ("1,5,3,1", 40), ("1,9,3,1", 40)],
)
def test_dead_neurons_keep_every_bit(dtype: str, name: str, widths: str, rows: int) -> None:
    """What comes in and what goes out, while the others are trained."""
    x = np.random.default_rng(5).integers(-16, 17, rows) / 16
    width = Architecture.parse(widths).widths[1]
    made = shallow(width, x, dtype=dtype) if widths.count(",") == 2 else deep(widths, x, dtype=dtype)
    case, dead = with_dead(made)
    others = np.arange(len(dead), width)
    before = flat(case.start)
    after = case.trained(name, {"lr": 0.01}, (40,))
    outgoing = 2 * width + np.arange(case.start[1].bias.shape[1])[:, None] * width
    for found, neurons in ((True, dead), (False, others)):
        columns = np.concatenate([neurons, width + neurons, (outgoing + neurons).ravel()])
        same = before[:, columns] == after[:, columns]
        assert same.all() if found else same.mean() < 0.7
        if found:
            assert (
                np.ascontiguousarray(before[:, columns]).tobytes() == np.ascontiguousarray(after[:, columns]).tobytes()
            )


# --- trajectories that leave the reals ------------------------------------------------------------------------------

PLACES = [(0, "weight", (3, 1, 0)), (0, "bias", (3, 1)), (1, "weight", (3, 0, 1)), (-1, "bias", (3, 0))]


@both
@pytest.mark.parametrize(
    ("widths", "rows"), [("1,6,1", 20), ("1,6,1", 60), ("1,12,1", 20), ("1,5,3,1", 40), ("1,9,3,1", 40)]
)
def test_a_bad_replica_stays_bad_and_alone(dtype: str, widths: str, rows: int) -> None:
    """Finite where the eager engine's is; its neighbours keep every bit."""
    made = shallow(int(widths.split(",")[1]), points(rows), dtype=dtype)
    case = made if widths.count(",") == 2 else deep(widths, points(rows), dtype=dtype)
    others = np.arange(17) != 3
    for name in ("sgd", "adam"):
        well = case.trained(name, {"lr": 0.01}, (5,))
        assert np.isfinite(well).all()
        for place in PLACES:
            for value in (np.nan, np.inf, -np.inf):
                ill = case.spoilt(*place, value)
                found, expected = (
                    ill.trained(name, {"lr": 0.01}, (5,)),
                    ill.of(np.array([3])).trained(name, {"lr": 0.01}, (5,), eagerly=True),
                )
                assert found[others].tobytes() == well[others].tobytes()
                assert np.isfinite(found).all(axis=1)[3] == np.isfinite(expected).all()


@both
@pytest.mark.parametrize("rows", [20, 60], ids=["few points", "many points"])
def test_neurons_that_are_dead_in_a_bad_replica_keep_what_comes_in(dtype: str, rows: int) -> None:
    """Their relu's derivative is 0, and 0 is not multiplied by the residuals."""
    case, dead = with_dead(shallow(6, np.random.default_rng(5).integers(-16, 17, rows) / 16, dtype=dtype))
    for value in (np.nan, np.inf):
        ill = case.spoilt(1, "bias", (3, 0), value)
        before = flat(ill.start)
        for eagerly in (False, True):
            after = ill.trained("sgd", {"lr": 0.01}, (5,), eagerly=eagerly)
            assert not np.isfinite(after[3, -1])
            assert np.array_equal(before[3, dead], after[3, dead])
            assert np.array_equal(before[3, 6 + dead], after[3, 6 + dead])


# --- pieces of deep networks ----------------------------------------------------------------------------------------


def with_pieces(widths: str, count: int, dtype: str) -> Case:
    """`count` linear pieces: so many kinks of the first layer but one lie among the points, above nothing has any."""
    case = deep(widths, np.arange(64) / 64, 17, count, dtype)
    first, random = case.start[0], np.random.default_rng(count)
    width = first.bias.shape[1]
    sign = random.choice([-1, 1], (17, width))
    places = np.array([random.permutation(62)[:width] for _ in range(17)])
    kinks = np.where(np.arange(width) < count - 1, (places + 0.5) / 64, -sign)
    first.weight[:, :, 0], first.bias[:] = sign, -sign * kinks
    for layer in case.start[1:-1]:
        layer.weight[:] = np.abs(layer.weight)
        layer.bias[:] = 0.5
    return case


def pieces_of(case: Case, monkeypatch: pytest.MonkeyPatch) -> npt.NDArray[np.integer[Any]]:
    seen = []

    def look(slabs: Slabs, costs: npt.NDArray[np.integer[Any]], move: Move) -> bool:
        seen.append(costs.copy())
        return False

    with monkeypatch.context() as patched:
        patched.setattr(Slabs, "regroup", look)
        case.trained("sgd", {"lr": 0.0}, (8,))
    return np.concatenate(seen)


@both
@pytest.mark.parametrize(("widths", "most"), [("1,5,3,1", 6), ("1,9,3,1", 10)])
def test_any_number_of_pieces_left_for_the_way_back(
    dtype: str, widths: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They go back 4 or 8 at a time."""
    for count in range(1, most + 1):
        case = with_pieces(widths, count, dtype)
        assert (pieces_of(case, monkeypatch) == count).all()
        check(case)


def check_deep(widths: str, dtype: str) -> None:
    """Networks of which some neuron comes within rounding of 0 at a point are left out in float32; few are."""
    for rows in (2, 30, 200):
        check(far_from_kinks(deep(widths, points(rows), 33, dtype=dtype)))


@pytest.mark.parametrize("widths", ["1,5,3,1", "1,9,3,1", "1,9,7,5,1", "1,4*8,1", "1,1,1,1"])
def test_gradients_of_deep_networks(widths: str) -> None:
    check_deep(widths, "float64")


@pytest.mark.parametrize("widths", ["1,5,3,1", "1,9,3,1", "1,9,7,5,1"])
def test_gradients_of_deep_networks_in_single_precision(widths: str) -> None:
    check_deep(widths, "float32")


@pytest.mark.slow
@both
@pytest.mark.parametrize("widths", ["1,4*8,1", "1,1,1,1", "1,1*50,1", "1,8,8,8,1", "1,12*3,1", "1,2,1,7,1"])
def test_gradients_of_more_deep_networks(dtype: str, widths: str) -> None:
    check_deep(widths, dtype)


DEEPER = ["1,6*50,1", "1,4*8,1", "1,20,20,1"]


def far_from_kinks(case: Case) -> Case:
    values = np.broadcast_to(case.x, (len(case.start[0].bias), 1, len(case.x)))
    sizes, near = np.abs(values), np.zeros(len(values), dtype=bool)
    for layer in case.start[:-1]:
        z = layer.weight @ values + layer.bias[:, :, None]
        sizes = np.abs(layer.weight) @ sizes + np.abs(layer.bias)[:, :, None]
        near |= (np.abs(z) < 4 * np.finfo(case.dtype).eps * sizes).any(axis=(1, 2))
        values = np.maximum(z, 0)
    assert near.mean() < 0.2
    return case.of(np.flatnonzero(~near))


@both
@pytest.mark.parametrize(
    "widths",
    ["1,5,3,1", "1,9,3,1", "1,4,1", "1,12,1", *(pytest.param(more, marks=pytest.mark.slow) for more in DEEPER)],
)
def test_lanes_do_not_matter_in_long_runs(dtype: str, widths: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit: blocks, threads, order of replicas, looks on the way, while networks are put into other lanes."""
    moves: list[bool] = []
    real = Slabs.regroup

    def watched(slabs: Slabs, costs: npt.NDArray[np.integer[Any]], move: Move) -> bool:
        moves.append(real(slabs, costs, move))
        return moves[-1]

    monkeypatch.setattr(Slabs, "regroup", watched)
    case, how = deep(widths, points(70), 70, dtype=dtype), ("adam", {"lr": 0.02})
    whole = case.trained(*how, (130,))
    assert np.isfinite(whole).all()
    assert sum(moves) >= 3 or case.architecture.is_shallow or widths in DEEPER
    assert case.trained(*how, (1, 9, 50, 77, 130), threads=3).tobytes() == whole.tobytes()
    for numbers in (np.random.default_rng(1).permutation(70), np.array([69]), np.arange(5, 38)):
        assert case.of(numbers).trained(*how, (130,), threads=2).tobytes() == whole[numbers].tobytes()


# --- small networks of all kinds ------------------------------------------------------------------------------------

WIDTHS = ["1,1,1", "1,2,1", "1,3,1", "1,8,1", "1,9,1", "1,5,3,1", "1,9,3,1", "1,9,7,5,1"]


@settings(max_examples=60)
@given(
    st.sampled_from(WIDTHS),
    st.lists(st.integers(-12, 12), min_size=1, max_size=40),
    st.integers(1, 18),
    st.integers(0, 10**6),
)
@example("1,3,1", list(range(-12, 13)), 17, 0)
@example("1,1,1", [0] * 9, 1, 1)
def test_gradients_of_small_networks(widths: str, places: list[int], replicas: int, seed: int) -> None:
    """Dyadic numbers: kinks at points, equal points, weights that are 0, dead networks, in every combination."""
    case = dyadic(widths, np.array(places) / 4, replicas, seed)
    found, expected = case.gradient(), case.gradient(eagerly=True)
    assert (np.abs(found - expected) <= 1e-10 * (1 + np.abs(expected))).all()


# --- updates --------------------------------------------------------------------------------------------------------

RULES: list[tuple[str, dict[str, Any]]] = [
    ("adam", {"lr": 0.1}),
    ("rmsprop", {"lr": 0.1, "centered": True, "momentum": 0.5}),
    ("adagrad", {"lr": 0.1, "eps": 0.0}),
]
ORDINARY = (0.7, -1.3, 0.01, 2.5)
SMALL = (0.0, -0.0, 1e-25, 1e-42)
"""float32 gradients whose squares are 0."""
LARGE = {"adam": 1e25, "rmsprop": 5e20, "adagrad": 1e25}
"""Of which every share of the square that a rule takes is infinite; RMSprop's squared mean is finite, as infinity less
infinity is NaN, and would be so or not as a product is rounded before or with the difference."""


def updated(name: str, options: dict[str, Any], dtype: str, gradients: Floats) -> Floats:
    """The compiled update alone; gradients (steps, coordinates, lanes), parameters 1, 2, ... at first."""
    by = stepper(resolve(OptimizerSpec(name, options), prove=False), DTYPES[dtype], "torch")
    steps, count, lanes = gradients.shape
    first = by.schedule.start()
    table, branches = by.schedule.rows(0, steps)
    scalars = np.ascontiguousarray(table, dtype=dtype)
    slab, held = aligned((1 + len(first), count, lanes), dtype), aligned((count, lanes), dtype)
    slab[0], slab[1:] = 1 + np.arange(count)[:, None], first[:, None, None]
    for step in range(steps):
        held[:] = gradients[step]
        places = [ctypes.c_void_p(pointer(part)) for part in (slab, held, scalars[step])]
        by.library.update(ctypes.c_int(branches[step]), ctypes.c_long(count), *places)
    return slab[0].copy()


def stepped(name: str, options: dict[str, Any], dtype: str, gradients: Floats) -> Floats:
    """The same by torch."""
    steps, count, lanes = gradients.shape
    theta = torch.tensor(np.repeat(1.0 + np.arange(count)[:, None], lanes, axis=1), dtype=DTYPES[dtype])
    optimizer = resolve(OptimizerSpec(name, options), prove=False).build([theta.requires_grad_()])
    for step in range(steps):
        theta.grad = torch.tensor(gradients[step], dtype=DTYPES[dtype])
        optimizer.step()
    found: Floats = theta.detach().numpy()
    return found


def lanes_of(dtype: str) -> int:
    return stepper(resolve(OptimizerSpec("sgd", {}), prove=False), DTYPES[dtype], "torch").lanes


def check_updates(name: str, options: dict[str, Any], dtype: str, most: int = 9) -> None:
    """Torch's results, parameters being at first 1, ..., `count`.

    And in each lane and coordinate what it would be among others that are ordinary, to the bit.
    """
    lanes = lanes_of(dtype)
    for count in range(1, most + 1):
        random = np.random.default_rng(count)
        ordinary = random.choice(ORDINARY, (3, count, lanes))
        rare = random.choice((*SMALL, LARGE[name], -LARGE[name], 0.3), (3, count, lanes))
        odd = np.where(random.random((count, lanes)) < 0.2, rare, ordinary)
        found, expected = updated(name, options, dtype, odd), stepped(name, options, dtype, odd)
        rounding = 32 * np.finfo(dtype).eps
        np.testing.assert_allclose(found, expected, rtol=rounding, atol=rounding * count)
        quiet, same = updated(name, options, dtype, ordinary), (odd == ordinary).all(axis=0)
        assert found[same].tobytes() == quiet[same].tobytes()
        for lane in range(lanes):
            alone = updated(name, options, dtype, np.repeat(odd[:, :, lane : lane + 1], lanes, axis=2))
            assert alone[:, lane].tobytes() == np.ascontiguousarray(found[:, lane]).tobytes()


@both
@pytest.mark.parametrize(("name", "options"), RULES, ids=str)
def test_updates_of_any_number_of_coordinates(dtype: str, name: str, options: dict[str, Any]) -> None:
    with np.errstate(all="ignore"):
        check_updates(name, options, dtype)


# --- faults that the tests above must see ---------------------------------------------------------------------------


def few() -> None:
    check(shallow(3, points(20), dtype="float32"))


def many() -> None:
    check(shallow(3, points(60), dtype="float32"))


def narrow() -> None:
    for count in (1, 2, 3, 4, 5, 6):
        check(with_pieces("1,5,3,1", count, "float32"))


def broad() -> None:
    for count in (1, 5, 10):
        check(with_pieces("1,9,3,1", count, "float32"))


def jumps() -> None:
    check_crossings("float32", "adam", 0.5)


def quotients() -> None:
    with np.errstate(all="ignore"):
        check_updates("adagrad", {"lr": 0.1, "eps": 0.0}, "float32", 1)


def remainders() -> None:
    with np.errstate(all="ignore"):
        check_updates("adam", {"lr": 0.1}, "float32", 5)


FAULTS: dict[str, tuple[Callable[[], None], str, str, str]] = {
    "what leaves enters": (
        few,
        "crossings.h",
        "negative_where(on, where(on | ~falling, v[i]))",
        "where(on | ~falling, v[i])",
    ),
    "a rising neuron reads the sum before it": (few, "crossings.h", "times - rx", "times"),
    "crossings a point too early": (
        few,
        "crossings.h",
        "add_pairs(at->table, at->crossing[i],",
        "add_pairs(at->table, most(at->crossing[i] - 1, (I){0}),",
    ),
    "crossings stay once they were found": (
        jumps,
        "crossings.h",
        "if (!in_place(",
        "if (at->crossing[i][0] == 0 && !in_place(",
    ),
    "crossings at most six points further": (
        jumps,
        "crossings.h",
        "beside ? crossing + move : cross_anywhere(points, rows, w, b)",
        "crossing + move",
    ),
    "a kink is crossed late": (many, "exact1d.c", "early[i] = kink - margin", "early[i] = kink + (REAL)0.05"),
    "a bias gradient without residuals": (
        narrow,
        "narrow.h",
        "if (r) sum += d[i * TILE + t] * r[t];",
        "if (r) sum += d[i * TILE + t];",
    ),
    "masks of the next piece": (narrow, "narrow.h", "on[k * TILE + t]", "on[k * TILE + (t + 1) % points]"),
    "masks of another piece": (broad, "layers.h", "on[k * TILE + t + p]", "on[k * TILE + (t + p) / 2 * 2]"),
    "quick quotients by 0": (quotients, "lanes.h", "if (__builtin_expect(some(found), 0)) UNROLL", "if (0) UNROLL"),
    "exact quotients in all lanes": (remainders, "lanes.h", "choose(odd[c], exact[n], then[c][n])", "exact[n]"),
    "coordinates left over forgotten": (
        remainders,
        "lanes.h",
        "for (; i < count; i++) step_some",
        "for (; i + 1 < count; i++) step_some",
    ),
}


QUICK = ("what leaves enters", "a bias gradient without residuals", "quick quotients by 0")


@pytest.mark.parametrize(
    "fault", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in FAULTS if name not in QUICK)]
)
def test_planted_faults_are_seen(fault: str, plant: Plant) -> None:
    look, *what = FAULTS[fault]
    look()
    plant(*what)
    with pytest.raises(AssertionError):
        look()


# --- other instruction sets -----------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("level", ["x86-64-v3", "x86-64"])
def test_narrower_vectors(level: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AVX2 and SSE2: the same checks through a compiler that is told of no more."""
    if platform.machine() != "x86_64":
        pytest.skip("these are instruction sets of x86-64")
    using = compiler.compiler()
    other = tmp_path / "cc"
    other.write_text(f'#!/bin/sh\nexec {using} "$@" -march={level}\n', encoding="utf-8")
    other.chmod(0o755)
    monkeypatch.setenv("CC", str(other))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert lanes_of("float32") == {"x86-64-v3": 8, "x86-64": 4}[level]
    for dtype in ("float32", "float64"):
        for widths in WIDTHS:
            for seed in range(3):
                check(dyadic(widths, np.random.default_rng(seed).integers(-8, 9, 60) / 4, seed=seed, dtype=dtype))
                check(dyadic(widths, np.random.default_rng(seed).integers(-8, 9, 9) / 4, seed=seed, dtype=dtype))
        check(away_from_rounding(shallow(17, points(1000), dtype=dtype)))
        check_crossings(dtype, "adam", 0.5)
        with np.errstate(all="ignore"):
            for name, options in RULES:
                check_updates(name, options, dtype)
