"""Dead neurons, dead layers and risks against brute force in fractions that shares no code with them.

Checks are functions of the implementation's answers; they run on the real implementation and on one whose error bound
is deliberately 0, which they have to catch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theorems.errors import InvalidInput
from theorems.setting import DataSet
from verify.simulation import forward
from verify.simulation.draw import Layer, Parameters
from verify.simulation.forward import (
    DeadNeurons,
    FloatData,
    RiskBounds,
    find_dead,
    risk_bounds,
    structurally_dead_layer,
    surely_dead,
)

pytestmark = pytest.mark.usefixtures("one_thread")

Vector = tuple[Fraction, ...]
THIRD = Fraction(1, 3)


# --- reference ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rows:
    """Data as it comes: rows, not yet reduced to distinct inputs."""

    inputs: tuple[Vector, ...]
    labels: tuple[Vector, ...]

    @cached_property
    def data(self) -> FloatData:
        return FloatData.of(DataSet.from_rows("rows", self.inputs, self.labels))


def rows(*inputs: Sequence[Fraction | float | int], labels: Sequence[Sequence[Fraction | float | int]] = ()) -> Rows:
    """Rows from numbers; labels 0 unless given."""
    return Rows(
        tuple(tuple(Fraction(v) for v in x) for x in inputs),
        tuple(tuple(Fraction(v) for v in y) for y in labels) or tuple((Fraction(0),) for _ in inputs),
    )


def net(*layers: tuple[Sequence[Sequence[float]], Sequence[float]]) -> Parameters:
    """One network as a block of one replica."""
    return tuple(Layer(np.array([w], dtype=np.float64), np.array([b], dtype=np.float64)) for w, b in layers)


def stacked(networks: Sequence[Parameters]) -> Parameters:
    return tuple(
        Layer(np.concatenate([one.weight for one in layer]), np.concatenate([one.bias for one in layer]))
        for layer in zip(*networks, strict=True)
    )


def affine(weight: npt.NDArray[np.float64], bias: npt.NDArray[np.float64], h: Vector) -> Vector:
    return tuple(
        sum((Fraction(w) * v for w, v in zip(row, h, strict=True)), Fraction(b))
        for row, b in zip(weight.tolist(), bias.tolist(), strict=True)
    )


def preactivations(parameters: Parameters, r: int, x: Vector) -> list[Vector]:
    """Exact `z^1, …, z^L` of replica `r` at one input."""
    found, h = [], x
    for layer in parameters:
        z = affine(layer.weight[r], layer.bias[r], h)
        found.append(z)
        h = tuple(max(v, Fraction(0)) for v in z)
    return found


def dead_by_definition(parameters: Parameters, r: int, inputs: Sequence[Vector]) -> tuple[list[bool], int]:
    """Dead first-layer neurons, and the number of the first hidden layer of which all neurons are dead (or 0)."""
    at_inputs = [preactivations(parameters, r, x)[:-1] for x in inputs]
    dead = [
        [all(z[k][i] <= 0 for z in at_inputs) for i in range(len(at_inputs[0][k]))] for k in range(len(at_inputs[0]))
    ]
    layers = [k for k, neurons in enumerate(dead, start=1) if all(neurons)]
    return dead[0], min(layers, default=0)


def exact_risk(parameters: Parameters, r: int, given_rows: Rows) -> Fraction:
    squares = [
        sum((a - b) ** 2 for a, b in zip(preactivations(parameters, r, x)[-1], y, strict=True))
        for x, y in zip(given_rows.inputs, given_rows.labels, strict=True)
    ]
    return Fraction(sum(squares), len(squares))


def structurally_dead_by_definition(parameters: Parameters, r: int, first: list[bool]) -> list[int]:
    """Lemma 3: numbers of the hidden layers all of whose neurons are in `D_k`."""
    dead = {i for i, is_dead in enumerate(first) if is_dead}
    found = [1] if len(dead) == len(first) else []
    for number, layer in enumerate(parameters[1:-1], start=2):
        weight, bias = layer.weight[r].tolist(), layer.bias[r].tolist()
        dead = {
            i for i, b in enumerate(bias) if b <= 0 and all(w <= 0 for j, w in enumerate(weight[i]) if j not in dead)
        }
        found += [number] if len(dead) == len(bias) else []
    return found


# --- checks ---------------------------------------------------------------------------------------------------------


def check_dead(parameters: Parameters, given_rows: Rows) -> DeadNeurons:
    """`find_dead` is the definition, to the last neuron."""
    found = find_dead(parameters, given_rows.data)
    assert found.first.shape == parameters[0].bias.shape
    assert found.layer.shape == parameters[0].bias.shape[:1]
    for r in range(len(found.layer)):
        first, layer = dead_by_definition(parameters, r, given_rows.inputs)
        assert found.first[r].tolist() == first, f"replica {r}: first-layer neurons"
        assert found.layer[r] == layer, f"replica {r}: first dead layer"
    return found


def check_surely_dead_is_dead(parameters: Parameters, given_rows: Rows) -> None:
    """What is surely dead is dead by definition, whatever the dtype."""
    for dtype in ("float64", "float32"):
        sure = surely_dead(parameters, given_rows.data, dtype)
        for r in range(len(sure.layer)):
            first, _ = dead_by_definition(parameters, r, given_rows.inputs)
            assert all(dead for dead, claimed in zip(first, sure.first[r].tolist(), strict=True) if claimed)
            if sure.layer[r]:
                at_inputs = [preactivations(parameters, r, x)[sure.layer[r] - 1] for x in given_rows.inputs]
                assert all(v <= 0 for z in at_inputs for v in z)


def check_float_passes(parameters: Parameters, given_rows: Rows, dtype: str, seed: int) -> int:
    """In passes in `dtype` with sums in any order, what is surely dead has no positive pre-activation.

    Return how many neurons and layers were claimed.
    """
    sure = surely_dead(parameters, given_rows.data, dtype)
    rng = np.random.default_rng(seed)
    points = np.array([[float(v) for v in x] for x in given_rows.inputs]).astype(dtype)
    for _ in range(6):
        for r in range(len(sure.layer)):
            h = points
            for number, layer in enumerate(parameters[:-1], start=1):
                z = np.zeros((len(points), layer.bias.shape[1]), dtype=dtype)
                for i in range(z.shape[1]):
                    terms = [layer.weight[r, i].astype(dtype)[j] * h[:, j] for j in range(h.shape[1])]
                    terms.append(np.full(len(points), layer.bias[r, i], dtype=dtype))
                    for j in rng.permutation(len(terms)):
                        z[:, i] += terms[j]
                if number == 1:
                    assert (z[:, sure.first[r]] <= 0).all(), f"replica {r}: a first-layer neuron"
                if number == sure.layer[r]:
                    assert (z <= 0).all(), f"replica {r}: layer {number}"
                h = np.maximum(z, 0)
    return int(sure.first.sum() + (sure.layer > 0).sum())


def check_risk(parameters: Parameters, given_rows: Rows, relative_width: float = math.inf) -> RiskBounds:
    """The exact risk lies between the bounds; they are never NaN; optionally they are close."""
    found = risk_bounds(parameters, given_rows.data)
    for r, (lower, upper) in enumerate(zip(found.lower.tolist(), found.upper.tolist(), strict=True)):
        exact = exact_risk(parameters, r, given_rows)
        assert math.isfinite(lower), f"replica {r}"
        assert not math.isnan(upper), f"replica {r}"
        assert Fraction(lower) <= exact, f"replica {r}: the lower bound {lower} is above the risk"
        assert upper == math.inf or exact <= Fraction(upper), f"replica {r}: the upper bound {upper} is below it"
        if relative_width < math.inf:
            assert upper < math.inf
            assert Fraction(upper) - Fraction(lower) <= Fraction(relative_width) * exact, f"replica {r}"
    return found


def without_error_bound(
    layer: Layer, h: npt.NDArray[np.float64], *_: object
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    z = layer.weight @ h + layer.bias[:, :, None]
    return z, np.zeros_like(z)


# --- adversarial networks -------------------------------------------------------------------------------------------

POOL = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 0.75, -1.25, 2.0**-20, -(2.0**-20), 3.0, -3.0]
INPUTS = [Fraction(v) for v in (0, 1, -1, "1/3", "-1/3", "2/7", "1/10", "-5/4", "3", "1/1024")]
CLOSE = [THIRD, THIRD + Fraction(1, 10**30), THIRD - Fraction(1, 10**20)]  # the same float


def draw_rows(rng: np.random.Generator, dim: int, count: int) -> Rows:
    pool = CLOSE if rng.random() < 0.15 else INPUTS
    drawn = {tuple(pool[i] for i in rng.integers(len(pool), size=dim)) for _ in range(count)}
    labels = [[Fraction(int(rng.integers(-30, 31)), 7)] for _ in drawn]
    return rows(*sorted(drawn), labels=labels)


def draw_weights(rng: np.random.Generator, shape: tuple[int, int], dtype: str) -> npt.NDArray[np.float64]:
    free = rng.uniform(-1, 1, shape).astype(dtype).astype(np.float64)
    return np.where(rng.random(shape) < rng.choice([0.1, 0.6]), rng.choice(POOL, shape), free)


def neighbour(value: float, steps: int, dtype: str) -> float:
    x = np.dtype(dtype).type(value)
    for _ in range(abs(steps)):
        x = np.nextafter(x, np.dtype(dtype).type(math.copysign(math.inf, steps)))
    return float(x)


def draw_tied_network(
    rng: np.random.Generator, widths: Sequence[int], inputs: Sequence[Vector], dtype: str, reach: int
) -> Parameters:
    """A network of neurons at the edge of being dead.

    A neuron without bias has its largest pre-activation `m` on the data; the bias is the float nearest to `-m`, which
    makes an exact tie where `m` is a float, or one of the `reach` floats on either side, or 0, or anything.
    """
    layers = []
    points = list(inputs)
    ties = rng.choice([0.5, 1.0])
    for number, (fan_in, fan_out) in enumerate(pairwise(widths), start=1):
        weight = draw_weights(rng, (fan_out, fan_in), dtype)
        without = [affine(weight, np.zeros(fan_out), h) for h in points]
        bias = np.zeros(fan_out)
        # a layer whose neurons all end a step below the edge is dead; keep most layers alive to reach the deep ones
        low = 0 if rng.random() < 0.7 and number < len(widths) - 2 else -reach
        for i in range(fan_out):
            edge = -max(z[i] for z in without)
            if rng.random() < ties:
                bias[i] = neighbour(float(edge), int(rng.integers(low, reach + 1)), dtype)
            elif rng.random() < 0.7:
                bias[i] = draw_weights(rng, (1, 1), dtype)[0, 0]
        layers.append((weight.tolist(), bias.tolist()))
        points = [tuple(max(v, Fraction(0)) for v in affine(weight, bias, h)) for h in points]
    return net(*layers)


def draw_block(seed: int, count: int, dtype: str = "float64", reach: int = 1) -> tuple[Parameters, Rows]:
    rng = np.random.default_rng(seed)
    dim, depth = int(rng.integers(1, 4)), int(rng.integers(2, 7))
    widths = [dim, *rng.integers(1, 4, size=depth - 1).tolist(), 1]
    given_rows = draw_rows(rng, dim, int(rng.integers(1, 6)))
    return stacked([draw_tied_network(rng, widths, given_rows.inputs, dtype, reach) for _ in range(count)]), given_rows


SEEDS = range(40)


@pytest.mark.parametrize("seed", SEEDS)
def test_dead_is_the_definition_on_ties(seed: int) -> None:
    check_dead(*draw_block(seed, 25))


@pytest.mark.parametrize("seed", SEEDS)
def test_structurally_dead_is_the_definition(seed: int) -> None:
    """And a structurally dead layer is dead: the first dead layer comes not later."""
    parameters, given_rows = draw_block(seed, 25)
    if seed % 2:  # more negative numbers, hence more structurally dead layers
        parameters = tuple(Layer(np.minimum(p.weight, -p.weight * 0.5), np.minimum(p.bias, 0.25)) for p in parameters)
    found = find_dead(parameters, given_rows.data)
    structural = structurally_dead_layer(parameters, found.first) > 0
    for r in range(len(found.layer)):
        layers = structurally_dead_by_definition(parameters, r, found.first[r].tolist())
        assert structural[r] == bool(layers)
        if layers:
            assert 1 <= found.layer[r] <= layers[0]


def test_structural_death_by_hand() -> None:
    """Second layers of a first layer with a dead and a living neuron."""
    first = ([[-1.0], [1.0]], [0.0, 0.5])
    for weight, bias, structural, layer in (
        ([[5.0, -1.0]], [0.0], True, 2),  # the dead neuron's weight does not matter
        ([[5.0, -0.0]], [-0.0], True, 2),
        ([[5.0, -1.0]], [1e-300], False, 2),  # dead, but not by signs
        ([[-5.0, 1e-300]], [-1.0], False, 2),
        ([[-5.0, 1.0]], [0.0], False, 0),
        ([[5.0, -1.0], [5.0, -1.0]], [0.0, 3.0], False, 0),  # one neuron of two
    ):
        network = net(first, (weight, bias), ([[1.0] * len(bias)], [0.0]))
        found = check_dead(network, rows([1], [2]))
        assert found.first.tolist() == [[True, False]]
        assert found.layer.tolist() == [layer]
        assert (structurally_dead_layer(network, found.first) > 0).tolist() == [structural]
        everything = structurally_dead_layer(network, np.array([[True, True]])) > 0
        assert everything.tolist() == [True]
        assert not (structurally_dead_layer(network, np.array([[False, False]])) > 0).any()


def test_the_adversarial_networks_are_adversarial() -> None:
    """Dead and living neurons, every first dead layer from 0 to 5, exact ties, and many undecided by floats."""
    layers: set[int] = set()
    neurons = {True: 0, False: 0}
    exact_ties = doubtful = total = 0
    for seed in SEEDS:
        parameters, given_rows = draw_block(seed, 25)
        found = find_dead(parameters, given_rows.data)
        layers |= set(found.layer.tolist())
        for dead in (True, False):
            neurons[dead] += int((found.first == dead).sum())
        total += len(found.layer)
        given_data = given_rows.data
        doubtful += int(forward._filter(parameters[:-1], given_data, given_data.inputs, forward.FLOAT64)[2].sum())
        exact_ties += sum(
            max(column) == 0
            for r in range(len(found.layer))
            for column in zip(*(preactivations(parameters, r, x)[0] for x in given_rows.inputs), strict=True)
        )
    assert layers == set(range(6))
    assert min(neurons.values()) > 300
    assert exact_ties > 200
    assert 0.2 * total < doubtful < total


def compare_long_intervals() -> dict[bool, int]:
    """Long intervals on every adversarial network: what they say is what fractions say. Count decided and undecided."""
    counts = {True: 0, False: 0}
    for seed in SEEDS:
        parameters, given_rows = draw_block(seed, 25)
        for r in range(len(parameters[0].bias)):
            network = [Layer(part.weight[r], part.bias[r]) for part in parameters[:-1]]
            found = forward._in_long_intervals(network, given_rows.data.exact)
            counts[found is not None] += 1
            if found is not None:
                first, layer = forward._exact(network, given_rows.data.exact)
                assert found[0].tolist() == first.tolist()
                assert found[1] == layer
    return counts


@pytest.mark.parametrize("places", [4, 20, 256])
def test_long_intervals_decide_as_fractions_do_or_not_at_all(places: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "_PLACES", places)
    counts = compare_long_intervals()
    assert counts[True] > 100
    assert counts[False] > 10


def test_rounded_weights_are_caught_on_ties(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = forward._whole

    def rounded(layer: Layer) -> tuple[object, object, int]:
        weight, bias, places = whole(layer)
        return weight >> 8, bias >> 8, places - 8

    monkeypatch.setattr(forward, "_whole", rounded)
    with pytest.raises((AssertionError, ValueError)):
        compare_long_intervals()


def test_a_missing_error_bound_is_caught_on_ties(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "_affine", without_error_bound)
    caught = 0
    for seed in SEEDS:
        try:
            check_dead(*draw_block(seed, 25))
        except AssertionError:
            caught += 1
    assert caught > len(SEEDS) // 2


SIMPLE_TIES = [
    # (weight, input): the product is a float, so that b = -w x makes an exact tie
    (1.5, Fraction(3, 4)),
    (-0.1, Fraction(1)),
    (0.1, Fraction(-8)),
    (2.0**-30, Fraction(2**20)),
    (-3.0, Fraction(5, 2**40)),
]


@pytest.mark.parametrize(("weight", "x"), SIMPLE_TIES)
@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_one_unit_in_the_last_place_decides(weight: float, x: Fraction, steps: int) -> None:
    bias = neighbour(float(-Fraction(weight) * x), steps, "float64")
    assert steps or Fraction(bias) == -Fraction(weight) * x
    found = check_dead(net(([[weight]], [bias]), ([[1.0]], [0.0])), rows([x]))
    assert found.first.tolist() == [[steps <= 0]]
    assert found.layer.tolist() == [int(steps <= 0)]


@pytest.mark.parametrize(("weight", "x"), SIMPLE_TIES)
def test_a_missing_error_bound_is_caught_by_the_simplest_sum(
    weight: float, x: Fraction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three terms of which floats lose the smallest: 1 + tiny - 1, with either sign of tiny."""
    big = float(Fraction(weight) * x)
    tiny = big * 2.0**-60
    both = stacked([net(([[big, sign * tiny, -big]], [0.0]), ([[1.0]], [0.0])) for sign in (1, -1)])
    check_dead(both, rows([1, 1, 1]))
    monkeypatch.setattr(forward, "_affine", without_error_bound)
    with pytest.raises(AssertionError):
        check_dead(both, rows([1, 1, 1]))


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_inputs_that_no_float_is(sign: float) -> None:
    """w/3 + b with b next to -w/3: no tie, since 3 b is not a float multiple; the sign depends on the rounding of b."""
    for weight in (sign * 1.0, sign * 0.7, sign * 2.0**-30, sign * 12345.678):
        edge = float(-Fraction(weight) / 3)
        for bias in (edge, math.nextafter(edge, math.inf), math.nextafter(edge, -math.inf)):
            check_dead(net(([[weight]], [bias]), ([[1.0]], [0.0])), rows([THIRD]))
            check_dead(net(([[weight]], [bias]), ([[1.0]], [0.0])), rows(*([x] for x in CLOSE)))


@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize("x", [(0,), (0, 0)])
def test_a_zero_input_with_zero_biases_leaves_everything_dead(zero: float, x: tuple[int, ...]) -> None:
    weight = [[1.0] * len(x), [-1.0] * len(x)]
    network = net((weight, [zero, zero]), ([[1.0, 1.0]], [zero]), ([[1.0]], [zero]))
    assert check_dead(network, rows(x)).layer.tolist() == [1]
    assert check_dead(network, rows(x, [1] * len(x))).layer.tolist() == [0]
    for dtype in ("float32", "float64"):
        assert surely_dead(network, rows(x).data, dtype).first.all()


def test_only_a_middle_input_can_keep_a_deep_layer_alive() -> None:
    """A tent over three inputs: dead at both ends, alive between them; and the other way round for the first layer."""
    tent = net(([[1.0], [1.0]], [1.0, 0.0]), ([[1.0, -2.0]], [-0.75]), ([[1.0]], [0.0]))
    assert check_dead(tent, rows([-1], [0], [1])).layer.tolist() == [0]
    assert check_dead(tent, rows([-1], [1])).layer.tolist() == [2]
    assert check_dead(tent, rows([-1], [Fraction(-1, 4)], [1])).layer.tolist() == [2]  # the tip is -0.75 + 0.75 = 0
    assert check_dead(tent, rows([-1], [Fraction(-1, 4) + Fraction(1, 10**25)], [1])).layer.tolist() == [0]


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_one_input_is_enough(dim: int) -> None:
    for seed in range(10):
        rng = np.random.default_rng(1000 + seed)
        given_rows = draw_rows(rng, dim, 1)
        check_dead(
            stacked([draw_tied_network(rng, [dim, 2, 2, 1], given_rows.inputs, "float64", 1) for _ in range(10)]),
            given_rows,
        )


numbers = st.one_of(st.sampled_from(POOL), st.floats(-4, 4), st.integers(-8, 8).map(lambda k: k / 4))
any_float = st.floats(allow_nan=False, allow_infinity=False)
fractions = st.one_of(st.sampled_from(INPUTS), st.fractions(-4, 4, max_denominator=12), st.sampled_from(CLOSE))


@st.composite
def networks(draw: st.DrawFn, values: st.SearchStrategy[float]) -> tuple[Parameters, Rows]:
    dim = draw(st.integers(1, 3))
    widths = [dim, *draw(st.lists(st.integers(1, 3), min_size=1, max_size=5)), 1]
    layers = []
    for fan_in, fan_out in pairwise(widths):
        drawn = draw(st.lists(values, min_size=fan_out * (fan_in + 1), max_size=fan_out * (fan_in + 1)))
        weight = np.array(drawn[fan_out:]).reshape(fan_out, fan_in)
        layers.append((weight.tolist(), drawn[:fan_out]))
    inputs = draw(st.lists(st.tuples(*[fractions] * dim), min_size=1, max_size=5))
    labels = draw(st.lists(st.tuples(fractions), min_size=len(inputs), max_size=len(inputs)))
    return net(*layers), rows(*inputs, labels=labels)


@given(networks(numbers))
def test_any_small_network(case: tuple[Parameters, Rows]) -> None:
    check_dead(*case)
    check_surely_dead_is_dead(*case)
    check_risk(*case)


@given(networks(any_float))
def test_dead_is_the_definition_for_any_floats(case: tuple[Parameters, Rows]) -> None:
    """From the smallest subnormal number to the largest float."""
    check_dead(*case)


@given(networks(any_float))
def test_surely_dead_is_dead_for_any_floats(case: tuple[Parameters, Rows]) -> None:
    check_surely_dead_is_dead(*case)


@given(networks(any_float))
def test_risks_are_bounded_for_any_floats(case: tuple[Parameters, Rows]) -> None:
    check_risk(*case)


def test_nothing_depends_on_the_company(monkeypatch: pytest.MonkeyPatch) -> None:
    """Permuted, alone, and cut into other pieces for the cache: the same decisions, the same bounds."""
    parameters, given_rows = draw_block(3, 40)
    found, risks = find_dead(parameters, given_rows.data), risk_bounds(parameters, given_rows.data)
    order = np.random.default_rng(0).permutation(40)
    for chosen in (order, order[:1], order[:7]):
        some = tuple(Layer(part.weight[chosen], part.bias[chosen]) for part in parameters)
        again, risks_again = find_dead(some, given_rows.data), risk_bounds(some, given_rows.data)
        assert (again.first == found.first[chosen]).all()
        assert (again.layer == found.layer[chosen]).all()
        assert (risks_again.lower == risks.lower[chosen]).all()
        assert (risks_again.upper == risks.upper[chosen]).all()
    monkeypatch.setattr(forward, "_CHUNK", 1)
    again, risks_again = find_dead(parameters, given_rows.data), risk_bounds(parameters, given_rows.data)
    assert (again.layer == found.layer).all()
    assert (risks_again.upper == risks.upper).all()


def test_a_block_of_no_networks_is_allowed() -> None:
    """It occurs when no replica of a block stayed finite."""
    parameters, given_rows = draw_block(3, 1)
    none = tuple(Layer(part.weight[:0], part.bias[:0]) for part in parameters)
    assert find_dead(none, given_rows.data).layer.shape == (0,)
    assert surely_dead(none, given_rows.data, "float32").first.shape[0] == 0
    assert risk_bounds(none, given_rows.data).lower.shape == (0,)


# --- very large and very small numbers --------------------------------------------------------------------------------

SMALL = 2.0**-400
ABOUT = 2.0**323.95  # times 2^700: just below the largest float; two of them overflow

EXTREMES: dict[str, tuple[Parameters, Rows]] = {
    "small product": (net(([[1e-200]], [0.0]), ([[1.0]], [0.0])), rows([1])),
    "a product that floats round to 0": (net(([[1e-200]], [0.0]), ([[1.0]], [0.0])), rows([Fraction(1, 10**200)])),
    "an input that floats round to 0": (net(([[1.0]], [0.0]), ([[1.0]], [0.0])), rows([Fraction(1, 10**400)])),
    "an input whose float is subnormal": (
        net(([[1.0, -1.0]], [0.0]), ([[1.0]], [0.0])),
        rows([Fraction(6, 10 * 2**1074), Fraction(51, 100 * 2**1074)]),
    ),
    "an error bound that floats round to 0": (
        net(
            ([[2.0**-100, 0.0], [0.0, 2.0**-100]], [0.0, 0.0]),
            ([[0.0, 0.0], [-SMALL, SMALL]], [1.0, 0.0]),
            ([[0.0, SMALL]], [0.0]),
            ([[1.0]], [0.0]),
        ),
        rows([Fraction(2) ** -399, Fraction(2) ** -399 * (1 + Fraction(2) ** -60)]),
    ),
    "subnormal products": (
        # three products 0.6, -0.4, -0.4 of the smallest positive float round to 1, 0, 0 of them
        net(
            ([[2.0**-300]] * 4, [0.0] * 4),
            ([[0.6 * 2.0**-374, -0.4 * 2.0**-374, -0.4 * 2.0**-374, 0.0]], [0.0]),
            ([[1.0]], [0.0]),
        ),
        rows([Fraction(2) ** -400]),
    ),
    "mixed": (
        net(([[1e300], [-1e-300]], [-1e284, 1e-310]), ([[1e-300, 1e300]], [-1.0]), ([[1.0]], [0.0])),
        rows([1], [2]),
    ),
}
for signs in ((1, 1, -1, -1), (1, -1, 1, -1), (-1, -1, 1, 1)):
    for last in (-1, 1):
        row = [sign * ABOUT for sign in signs]
        row[3] *= 1 + last * signs[3] * 2.0**-50  # the exact sum has the sign of `last`
        EXTREMES[f"partial sums overflow: signs {signs}, sum {last}"] = (
            net(([[2.0**350]] * 4, [0.0] * 4), ([row], [0.0]), ([[1.0]], [0.0])),
            rows([Fraction(2) ** 350]),
        )

extreme = pytest.mark.parametrize(("parameters", "given_rows"), EXTREMES.values(), ids=EXTREMES)


@extreme
def test_dead_is_the_definition_at_the_ends_of_the_floats(parameters: Parameters, given_rows: Rows) -> None:
    check_dead(parameters, given_rows)


@extreme
def test_surely_dead_is_dead_at_the_ends_of_the_floats(parameters: Parameters, given_rows: Rows) -> None:
    check_surely_dead_is_dead(parameters, given_rows)


@extreme
def test_risks_are_bounded_at_the_ends_of_the_floats(parameters: Parameters, given_rows: Rows) -> None:
    check_risk(parameters, given_rows)


EXPONENTS = [-1060, -540, -400, -399, -350, -300, -100, 0, 100, 300, 350, 399, 500, 1000]


@pytest.mark.parametrize("seed", range(30))
def test_dead_is_the_definition_for_mixed_magnitudes(seed: int) -> None:
    """Layers and inputs whose magnitudes are few powers of two, so that sums of products cancel at any magnitude."""
    rng = np.random.default_rng(seed)
    widths = [2, *rng.integers(2, 5, size=rng.integers(1, 5)).tolist(), 1]
    mantissas = [1.0, -1.0, 1.5, -0.6, -0.4, 1 + 2.0**-50, -1 + 2.0**-50, 0.0]

    def values(count: int) -> npt.NDArray[np.float64]:
        return np.ldexp(rng.choice(mantissas, count), rng.choice(rng.choice(EXPONENTS, 2), count))

    exponents = rng.choice([e for e in EXPONENTS if abs(e) <= 400], 2)
    inputs = [[Fraction(float(np.ldexp(rng.choice(mantissas), e))) for e in exponents] for _ in range(2)]
    blocks = [
        net(
            *(
                (values(o * i).reshape(o, i).tolist(), (values(o) * (rng.random(o) < 0.4)).tolist())
                for i, o in pairwise(widths)
            )
        )
        for _ in range(20)
    ]
    check_dead(stacked(blocks), rows(*inputs))


# --- surely dead ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_surely_dead_is_dead(seed: int) -> None:
    check_surely_dead_is_dead(*draw_block(seed, 10))
    check_surely_dead_is_dead(*draw_block(seed, 10, "float32", 6))


UNIT = {"float32": 2.0**-24, "float64": 2.0**-53}


@pytest.mark.parametrize("dtype", UNIT)
def test_ties_within_rounding_are_not_claimed(dtype: str) -> None:
    """w x + b with w x = 1: dead by at most one unit of rounding is a tie, dead by 64 units is not."""
    for units, claimed in ((0, False), (1, False), (64, True), (2**20, True)):
        network = net(([[1.0]], [-1.0 - units * UNIT[dtype]]), ([[1.0]], [0.0]))
        if units == 1:
            network[0].bias[0, 0] = -1.0
            network[0].weight[0, 0] = 1.0 - UNIT[dtype]
        assert check_dead(network, rows([1])).first.all()
        found = surely_dead(network, rows([1]).data, dtype)
        assert found.first.tolist() == [[claimed]]
        assert found.layer.tolist() == [int(claimed)]


def test_a_margin_for_float64_is_a_tie_for_float32() -> None:
    network = net(([[1.0]], [-1.0 - 2.0**-30]), ([[1.0]], [0.0]))
    assert surely_dead(network, rows([1]).data, "float64").first.all()
    assert not surely_dead(network, rows([1]).data, "float32").first.any()


def test_a_deep_tie_is_not_claimed() -> None:
    for bias, claimed in ((-1.0, 0), (-1.0 - 2.0**-23, 0), (-1.0 - 2.0**-16, 2)):
        network = net(([[1.0]], [0.0]), ([[1.0]], [bias]), ([[1.0]], [0.0]))
        assert check_dead(network, rows([1])).layer.tolist() == [2]
        assert surely_dead(network, rows([1]).data, "float32").layer.tolist() == [claimed]


@pytest.mark.parametrize("dtype", UNIT)
def test_float_passes_keep_what_is_surely_dead(dtype: str) -> None:
    claimed = sum(check_float_passes(*draw_block(seed, 10, dtype, 6), dtype, seed) for seed in range(25))
    assert claimed > 30


@pytest.mark.parametrize("dtype", UNIT)
def test_claims_without_an_error_bound_are_caught(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "_affine", without_error_bound)
    caught = 0
    for seed in range(25):
        try:
            check_float_passes(*draw_block(seed, 10, dtype, 6), dtype, seed)
        except AssertionError:
            caught += 1
    assert caught > 5


def test_products_below_the_range_of_float32_are_not_claimed() -> None:
    """Two hidden layers with weights near 1e-22: second pre-activations are a few of float32's smallest numbers."""
    rng = np.random.default_rng(5)
    shapes = ((2000, 12, 1), (2000, 2, 12), (2000, 1, 2))
    drawn = [rng.normal(0, 1e-22, shape).astype(np.float32).astype(np.float64) for shape in shapes]
    deep = tuple(Layer(w, np.zeros(w.shape[:2])) for w in drawn)
    given_rows = rows([Fraction(-3, 7)], [1])
    claimed = surely_dead(deep, given_rows.data, "float32").layer == 2
    check_float_passes(
        tuple(Layer(part.weight[claimed], part.bias[claimed]) for part in deep), given_rows, "float32", 1
    )


def test_inputs_below_the_range_of_float32_are_not_claimed() -> None:
    """Of the smallest positive float32, 0.6 and 0.4 are rounded to 1 and 0."""
    given_rows = rows([Fraction(6, 10 * 2**149), Fraction(4, 10 * 2**149)])
    check_float_passes(net(([[1.0, -2.0]], [0.0]), ([[1.0]], [0.0])), given_rows, "float32", 1)


# --- risks ----------------------------------------------------------------------------------------------------------


def plain_block(seed: int, scale: float, count: int = 10, outputs: int = 1) -> tuple[Parameters, Rows]:
    """Networks with weights of one magnitude on data with repeated inputs and labels of order 1."""
    rng = np.random.default_rng(seed)
    dim, depth = int(rng.integers(1, 4)), int(rng.integers(2, 6))
    widths = [dim, *rng.integers(1, 7, size=depth - 1).tolist(), outputs]
    layers = tuple(
        Layer(scale * rng.normal(size=(count, o, i)), scale * rng.normal(size=(count, o))) for i, o in pairwise(widths)
    )
    n_rows = int(rng.integers(1, 8))
    inputs = [[INPUTS[i] for i in rng.integers(len(INPUTS), size=dim)] for _ in range(n_rows)]
    inputs += inputs[: n_rows // 2]
    labels = [[Fraction(int(v), 7) for v in rng.integers(1, 60, size=outputs)] for _ in inputs]
    return layers, rows(*inputs, labels=labels)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("outputs", [1, 3])
def test_risks_of_moderate_networks_are_bounded_closely(seed: int, outputs: int) -> None:
    check_risk(*plain_block(seed, 1.0, outputs=outputs), relative_width=1e-9)


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-30, 1.0, 1e30, 1e75, 1e110, 1e120, 1e154, 1e300])
@pytest.mark.parametrize("seed", range(4))
def test_dead_is_the_definition_at_any_scale(seed: int, scale: float) -> None:
    """As after a huge or tiny learning rate: all parameters of one magnitude."""
    check_dead(*plain_block(seed, scale))


@pytest.mark.parametrize("seed", range(0, 40, 3))
def test_risks_of_tied_networks_are_bounded(seed: int) -> None:
    check_risk(*draw_block(seed, 10))


@pytest.mark.parametrize("scale", [1e-300, 1e-200, 1e-30, 1e-5, 1e5, 1e30, 1e75, 1e154, 1e200, 1e300])
@pytest.mark.parametrize("seed", range(4))
def test_risks_are_bounded_at_any_scale(seed: int, scale: float) -> None:
    parameters, given_rows = plain_block(seed, scale)
    check_risk(parameters, given_rows, relative_width=1e-9 if scale <= 1e5 else math.inf)
    unlabelled = Rows(given_rows.inputs, tuple((Fraction(0),) for _ in given_rows.labels))
    check_risk(parameters, unlabelled)


@pytest.mark.parametrize("output", [5e-324, 1e-200, 1e-162, 2e-162, 3e-162, 1e-160, 1.3e-154, 1e-150, 1e150, 1e155])
def test_squares_outside_the_range_of_floats(output: float) -> None:
    """The risk is the square of one output; just below and above the smallest positive float, and above the largest."""
    check_risk(net(([[1.0]], [0.0]), ([[output]], [0.0])), rows([1]))
    if output < 2.0**400:
        check_risk(net(([[1.0]], [0.0]), ([[1.0]], [0.0])), rows([1], labels=[[1 + Fraction(output)]]))
    else:
        with pytest.raises(InvalidInput, match="expected at most 2\\^400"):
            FloatData.of(DataSet.from_rows("huge", [(Fraction(1),)], [(1 + Fraction(output),)]))


def test_tiny_labels() -> None:
    constant = net(([[0.0]], [0.0]), ([[0.0]], [0.0]))
    for label in (Fraction(1, 10**400), Fraction(1, 10**200), Fraction(1, 10**100), Fraction(3, 2**1075)):
        check_risk(constant, rows([1], labels=[[label]]))
        check_risk(constant, rows([1], [1], [2], labels=[[label], [-label], [0]]))


def test_cancelling_sums_that_overflow_on_the_way() -> None:
    """A hidden neuron's exact pre-activation is 1e300, while partial sums are infinite with either sign."""
    for signs in ((1, 1, -1, -1), (-1, -1, 1, 1), (1, -1, 1, -1), (-1, 1, -1, 1)):
        layer = [sign * 1.7e308 for sign in signs]
        for out in (1e-300, -1e-300):
            check_risk(net(([layer], [1e300]), ([[out]], [0.0])), rows([1, 1, 1, 1]))
            check_risk(net(([layer], [1e300]), ([[out]], [1.0]), ([[1.0]], [0.0])), rows([1, 1, 1, 1]))


def test_a_risk_of_zero_is_bounded_by_little() -> None:
    exact = net(([[1.0]], [0.0]), ([[1.0]], [0.0]))
    found = check_risk(exact, rows([1], [2], labels=[[1], [2]]))
    assert found.lower.tolist() == [0.0]
    assert found.upper[0] < 1e-29


def test_noise_counts() -> None:
    """Two labels at one input: the risk is the noise floor of 1/9, which no float is, plus nothing."""
    constant = net(([[0.0]], [0.0]), ([[0.0]], [0.0]))
    found = check_risk(constant, rows([1], [1], labels=[[THIRD], [-THIRD]]), relative_width=1e-14)
    assert found.lower[0] < found.upper[0]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_networks_that_are_not_finite_have_infinite_risk(bad: float) -> None:
    parameters, given_rows = plain_block(1, 1.0, count=1)
    places = [
        (k, part, index)
        for k, layer in enumerate(parameters)
        for part in ("weight", "bias")
        for index in np.ndindex(getattr(layer, part).shape)
    ]
    alone = risk_bounds(parameters, given_rows.data)
    for k, part, index in places:
        broken = tuple(Layer(layer.weight.copy(), layer.bias.copy()) for layer in parameters)
        getattr(broken[k], part)[index] = bad
        found = risk_bounds(stacked([parameters, broken, parameters]), given_rows.data)
        assert found.lower.tolist() == [alone.lower[0], math.inf, alone.lower[0]]
        assert found.upper.tolist() == [alone.upper[0], math.inf, alone.upper[0]]


def cancelling_networks() -> tuple[Parameters, Rows]:
    """Outputs of order 2^-40 that are left of sums of order 1: rounding errors are all that the float pass sees."""
    rng = np.random.default_rng(11)
    blocks = []
    for _ in range(50):
        hidden = rng.uniform(0.5, 1, (3, 1))
        out = rng.uniform(-1, 1, (1, 3))
        h = affine(hidden, np.zeros(3), (THIRD,))
        value = affine(out, np.zeros(1), h)[0]
        bias = math.nextafter(float(-value), float(rng.choice([-9, 9])))
        blocks.append(net((hidden.tolist(), [0.0] * 3), (out.tolist(), [bias])))
    return stacked(blocks), rows([THIRD])


def test_risks_of_cancelling_sums_are_bounded() -> None:
    check_risk(*cancelling_networks())


def test_risks_without_an_error_bound_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forward, "_affine", without_error_bound)
    with pytest.raises(AssertionError, match="bound"):
        check_risk(*cancelling_networks())


def test_risk_bounds_do_not_depend_on_the_size_of_the_block() -> None:
    """Counts must not depend on how replicas are grouped, so the bounds may not either, not even in the last place."""
    for seed in range(20):
        parameters, given_rows = plain_block(seed, 1.0, count=1)
        alone = risk_bounds(parameters, given_rows.data)
        for size in (2, 3, 7, 16):
            among = risk_bounds(stacked([parameters] * size), given_rows.data)
            assert among.lower.tolist() == alone.lower.tolist() * size
            assert among.upper.tolist() == alone.upper.tolist() * size
