"""Robustly dead and curve-dead layers: exact definitions, planted networks, dense sampling, and real weight decay.

The oracles share no code with the implementation: fractions for the envelope, intervals with rational ends for the
decay curve (it may say None), plain float passes at many decay factors. Checks are functions of the answers, so that
broken implementations can be put through them; each must be caught.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from theorems.laws import parse_initialization
from theorems.setting import Architecture, DataSet
from theorems.theorem import LayerDeath
from verify.simulation import decay
from verify.simulation.decay import curve_dead_layer, robustly_dead_layer
from verify.simulation.draw import Layer, Parameters, draw_parameters
from verify.simulation.forward import FloatData, find_dead

KINDS = (LayerDeath.JOINT, LayerDeath.WEIGHTS)
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Vector = tuple[Fraction, ...]
Net = list[tuple[list[list[Fraction]], list[Fraction]]]  # weights and biases of the hidden layers


def float_data(inputs: Sequence[Sequence[Fraction | float]]) -> FloatData:
    rows = [tuple(Fraction(v) for v in x) for x in inputs]
    return FloatData.of(DataSet.from_rows("test", rows, [(Fraction(i % 2),) for i in range(len(rows))]))


def net(*layers: tuple[Sequence[Sequence[float]], Sequence[float]]) -> Parameters:
    """One network as a block of one replica; an output layer is added."""
    hidden = [Layer(np.array([w], dtype=np.float64), np.array([b], dtype=np.float64)) for w, b in layers]
    return (*hidden, Layer(np.ones((1, 1, len(layers[-1][1]))), np.zeros((1, 1))))


def stacked(networks: Sequence[Parameters]) -> Parameters:
    return tuple(
        Layer(np.concatenate([one.weight for one in layer]), np.concatenate([one.bias for one in layer]))
        for layer in zip(*networks, strict=True)
    )


def exact_net(parameters: Parameters, r: int) -> Net:
    return [
        ([[Fraction(w) for w in row] for row in part.weight[r].tolist()], [Fraction(b) for b in part.bias[r].tolist()])
        for part in parameters[:-1]
    ]


def dot(row: Sequence[Fraction], x: Sequence[Fraction]) -> Fraction:
    return sum((a * b for a, b in zip(row, x, strict=True)), Fraction(0))


# --- robustly dead: the definition in fractions --------------------------------------------------------------------


def robust_by_definition(network: Net, inputs: Sequence[Vector]) -> int:
    tops: list[Fraction] = []
    for number, (weight, bias) in enumerate(network, start=1):
        if number == 1:
            reach = [max(Fraction(0), *(dot(row, x) for x in inputs)) for row in weight]
        else:
            reach = [dot([max(w, Fraction(0)) for w in row], tops) for row in weight]
        tops = [max(b + s, Fraction(0)) for b, s in zip(bias, reach, strict=True)]
        if not any(tops):
            return number
    return 0


eighths = st.integers(-8, 8).map(lambda n: n / 8)
extreme = st.sampled_from([0.0, 1e-200, -1e-200, 2.0**-1074, 1e200, -1e200, 1e300, -1e300, 0.1, -0.1])


@st.composite
def small_networks(draw: st.DrawFn, numbers: st.SearchStrategy[float] = eighths) -> tuple[Parameters, FloatData]:
    widths = draw(st.lists(st.integers(1, 3), min_size=2, max_size=5))
    layers = []
    for fan_in, width in pairwise(widths):
        rows = st.lists(numbers, min_size=fan_in, max_size=fan_in)
        weight = draw(st.lists(rows, min_size=width, max_size=width))
        layers.append((weight, draw(st.lists(numbers, min_size=width, max_size=width))))
    inputs = draw(st.lists(st.tuples(*[eighths] * widths[0]), min_size=1, max_size=4, unique=True))
    return net(*layers), float_data(inputs)


@given(case=small_networks())
@settings(max_examples=120)
def test_robustly_dead_is_its_definition(case: tuple[Parameters, FloatData]) -> None:
    """Eighths make ties at 0 common; those go to fractions."""
    parameters, data = case
    expected = robust_by_definition(exact_net(parameters, 0), data.exact.inputs)
    assert robustly_dead_layer(parameters, data).tolist() == [expected]


@given(case=small_networks(st.one_of(eighths, extreme)))
@settings(max_examples=60)
def test_robustly_dead_is_exact_for_extreme_numbers(case: tuple[Parameters, FloatData]) -> None:
    parameters, data = case
    expected = robust_by_definition(exact_net(parameters, 0), data.exact.inputs)
    assert robustly_dead_layer(parameters, data).tolist() == [expected]


def test_rounding_does_not_decide_who_is_robustly_dead() -> None:
    """`0.1 + 0.2 - 0.3` is not 0 in floats, and 1/3 is not a float: one unit in the last place changes the answer."""
    data = float_data([(Fraction(1, 3),), (Fraction(1),)])
    for bias, dead in ((-0.1, True), (np.nextafter(-0.1, 0.0), False), (np.nextafter(-0.1, -1.0), True)):
        parameters = net(([[0.1]], [bias]))
        assert robustly_dead_layer(parameters, data).tolist() == [int(dead)]
    above_origin = net(([[1.0], [1.0]], [0.1, 0.7]), ([[1.0, 1.0]], [-(0.1 + 0.7)]))  # the rounded sum is too small
    assert robustly_dead_layer(above_origin, float_data([(0.0,)])).tolist() == [0]
    third = float_data([(Fraction(1, 3),), (Fraction(0),)])
    for weight in (3.0, np.nextafter(3.0, 4.0)):
        parameters = net(([[weight]], [-1.0]))
        assert robustly_dead_layer(parameters, third).tolist() == [int(weight == 3.0)]


@pytest.mark.parametrize(("law", "least", "most"), [("pytorch", 0.45, 0.58), ("he_normal", 0.2, 0.45)])
def test_the_filter_settles_nearly_all_drawn_networks(
    law: str, least: float, most: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also without biases, where a neuron with nothing coming in is exactly 0."""

    def refuse(hidden: list[Layer], data: DataSet) -> int:
        raise AssertionError("a drawn network went to fractions")

    parameters, data = drawn(law, None, (3,) * 10, 1000)
    exactly = [
        decay._robust_exactly([Layer(p.weight[r], p.bias[r]) for p in parameters[:-1]], data.exact) for r in range(60)
    ]
    monkeypatch.setattr(decay, "_robust_exactly", refuse)
    found = robustly_dead_layer(parameters, data)
    assert least < np.mean(found > 0) < most
    assert found[:60].tolist() == exactly


def test_what_underflows_is_not_nothing() -> None:
    """The bound of what comes into layer 2 underflows, and it is positive there all the same."""
    tiny = 2.0**-180
    parameters = net(([[tiny]], [0.0]), ([[tiny]], [0.0]), ([[tiny]], [0.0]), ([[tiny]], [0.0]), ([[tiny]], [0.0]))
    assert robustly_dead_layer(parameters, float_data([(tiny,)])).tolist() == [0]


# --- curve-dead: intervals with rational ends ------------------------------------------------------------------------

Box = list[tuple[Fraction, Fraction]]


def scaled(factor: tuple[Fraction, Fraction], box: Box) -> Box:
    """`[g0, g1]` times intervals of numbers `>= 0`, or of any sign for inputs."""
    ends = [(factor[0] * lo, factor[0] * hi, factor[1] * lo, factor[1] * hi) for lo, hi in box]
    return [(min(each), max(each)) for each in ends]


def image(weight: list[list[Fraction]], bias: list[Fraction], box: Box) -> Box:
    found = []
    for row, b in zip(weight, bias, strict=True):
        low = b + sum((w * (lo if w > 0 else hi) for w, (lo, hi) in zip(row, box, strict=True)), Fraction(0))
        high = b + sum((w * (hi if w > 0 else lo) for w, (lo, hi) in zip(row, box, strict=True)), Fraction(0))
        found.append((low, high))
    return found


def last_of(network: Net, x: Vector, factor: tuple[Fraction, Fraction], kind: LayerDeath) -> Box:
    """Pre-activations of the last layer on `[g0, g1]` above one input."""
    u: Box = [(v, v) for v in x]
    if kind is LayerDeath.WEIGHTS:
        u = scaled(factor, u)
    for weight, bias in network[:-1]:
        z = image(weight, bias, u)
        u = scaled(factor, [(max(lo, Fraction(0)), max(hi, Fraction(0))) for lo, hi in z])
    return image(*network[-1], u)


def curve_dead_by_intervals(network: Net, inputs: Sequence[Vector], kind: LayerDeath, halvings: int = 9) -> bool | None:
    """Whether the last layer is off for all factors at all inputs; None where the pieces are still too coarse."""
    pieces, answer = [(Fraction(0), Fraction(1))], True
    for _ in range(halvings):
        left = []
        for low, high in pieces:
            middle = (low + high) / 2
            for point in (low, middle, high):
                if any(z[0] > 0 for x in inputs for z in last_of(network, x, (point, point), kind)):
                    return False
            if any(z[1] > 0 for x in inputs for z in last_of(network, x, (low, high), kind)):
                left += [(low, middle), (middle, high)]
        pieces = left
        if not pieces:
            return answer
        if len(pieces) > 64:
            break
    return None


def contradictions(parameters: Parameters, data: FloatData, kind: LayerDeath, found: Ints, undecided: Bools) -> int:
    """How many answers the rational intervals refute."""
    count = 0
    for r in range(len(found)):
        network = exact_net(parameters, r)
        told = [curve_dead_by_intervals(network[:k], data.exact.inputs, kind) for k in range(1, len(network) + 1)]
        if found[r]:
            count += told[found[r] - 1] is False
        elif not undecided[r]:
            count += True in told
        count += bool(found[r]) and bool(undecided[r])
    return count


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(case=small_networks())
@settings(max_examples=80)
def test_curve_dead_agrees_with_rational_intervals(kind: LayerDeath, case: tuple[Parameters, FloatData]) -> None:
    parameters, data = case
    assert contradictions(parameters, data, kind, *curve_dead_layer(parameters, data, kind)) == 0


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(case=small_networks(st.one_of(eighths, extreme)))
@settings(max_examples=40)
def test_extreme_numbers_are_decided_rightly_or_not_at_all(
    kind: LayerDeath, case: tuple[Parameters, FloatData]
) -> None:
    parameters, data = case
    assert contradictions(parameters, data, kind, *curve_dead_layer(parameters, data, kind)) == 0


# --- curve-dead: planted curves ---------------------------------------------------------------------------------------


def parabola(shift: float) -> Parameters:
    """At `x = 1` layer 3 sees `b + gamma - 1.5 gamma^2` (JOINT) or `b + gamma - 1.5 gamma^3` (WEIGHTS)."""
    return net(([[1.0]], [0.0]), ([[0.0], [1.0]], [1.0, 0.0]), ([[1.0, -1.5]], [shift]))


def parabola_is_dead(bias: float, kind: LayerDeath) -> bool:
    """The largest value is `b + 1/6`, or `b + sqrt(8/81)`."""
    b = Fraction(bias)
    return b <= -Fraction(1, 6) if kind is LayerDeath.JOINT else b < 0 and b * b >= Fraction(8, 81)


SHIFTS = [0.3, 1e-1, 1e-3, 1e-6, 1e-9, 1e-12, 0.0, -1e-12, -1e-9, -1e-6, -1e-3, -1e-1]


def parabola_answers(kind: LayerDeath) -> list[tuple[float, int, bool]]:
    """Bias, layer found, undecided: the top of the curve lies above 0 by the shift."""
    top = 1 / 6 if kind is LayerDeath.JOINT else math.sqrt(8 / 81)
    biases = [shift - top for shift in SHIFTS]
    found, undecided = curve_dead_layer(stacked([parabola(b) for b in biases]), float_data([(1.0,)]), kind)
    return list(zip(biases, found.tolist(), undecided.tolist(), strict=True))


def assert_parabolas_are_seen(kind: LayerDeath) -> None:
    for shift, (bias, found, undecided) in zip(SHIFTS, parabola_answers(kind), strict=True):
        if shift:
            assert not undecided
            assert found == (3 if parabola_is_dead(bias, kind) else 0)
        elif found or not undecided:
            assert (found == 3) == parabola_is_dead(bias, kind)


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_narrow_windows_are_found_and_excluded(kind: LayerDeath) -> None:
    """Alive only for factors within `1e-6` of 1/3: no sample of reasonable size would see that."""
    assert_parabolas_are_seen(kind)


def late_peak(bias: float) -> Parameters:
    """At `x = 1` layer 8 sees `bias + gamma^6 - a gamma^7` (JOINT), `a = 40/21`, at most `bias + 1.1863e-3`.

    A bias of 2 and its image in the third neuron, subtracted again, keep every neuron on, on any piece.
    """
    step = [[1.0, 0.0, -1.0], [0.0, 1.0, -1.0], [0.0, 0.0, 0.0]]
    start = ([[1.0], [0.0], [0.0]], [2.0, 2.0, 2.0])
    second = ([[1.0, 0.0, -1.0], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]], [2.0, 3.0, 2.0])
    return net(start, second, *[(step, [2.0] * 3)] * 5, ([[-40 / 21, 1.0, 40 / 21 - 1.0]], [bias]))


def assert_late_peaks_are_seen() -> None:
    """The tangent at the middle of [0, 1/2] stays below 0 for the first bias: a straight line is not an enclosure."""
    for bias, dead in ((-1.0e-3, False), (-1.186e-3, False), (-1.187e-3, True), (-2e-3, True)):
        found, undecided = curve_dead_layer(late_peak(bias), float_data([(1.0,)]), LayerDeath.JOINT)
        assert (found.tolist(), undecided.tolist()) == ([8 if dead else 0], [False])


def test_peaks_away_from_the_middle_of_a_piece_are_found() -> None:
    assert_late_peaks_are_seen()


def test_a_tie_is_not_claimed_to_be_alive() -> None:
    """`-1/4 + gamma - gamma^2` touches 0 at 1/2: dead, and at the resolution of floats possibly undecided."""
    parameters = net(([[1.0]], [0.0]), ([[0.0], [1.0]], [1.0, 0.0]), ([[1.0, -1.0]], [-0.25]))
    found, undecided = curve_dead_layer(parameters, float_data([(1.0,)]), LayerDeath.JOINT)
    assert bool(undecided[0]) != (found[0] == 3)


# layer 1: a bias and a weight, so that the second output is x; layer 2: -0.1 + u_1 - u_2
OPPOSED = net(([[0.0], [1.0]], [1.0, 0.0]), ([[1.0, -1.0]], [-0.1]))
OPPOSED_DATA = float_data([(1.0,), (2.0,)])
LIFTED = net(([[0.0]], [1.0]), ([[-1.0]], [0.5]))  # dead at birth; alive once the factor is below 1/2
POSITIVE_BIAS = net(([[-2.0]], [1.0]), ([[1.0]], [0.25]))  # first layer dead on x >= 1, with a bias > 0


def test_the_kinds_of_death_differ() -> None:
    for parameters, birth, robust, joint, weights in (
        (OPPOSED, 2, 0, 2, 0),
        (LIFTED, 2, 0, 0, 0),
        (POSITIVE_BIAS, 1, 0, 1, 0),
        (net(([[-1.0]], [-0.5])), 1, 1, 1, 1),
        (net(([[1.0]], [0.5]), ([[-1.0]], [-0.5])), 2, 2, 2, 2),
    ):
        assert find_dead(parameters, OPPOSED_DATA).layer.tolist() == [birth]
        assert robustly_dead_layer(parameters, OPPOSED_DATA).tolist() == [robust]
        for kind, layer in zip(KINDS, (joint, weights), strict=True):
            found, undecided = curve_dead_layer(parameters, OPPOSED_DATA, kind)
            assert (found.tolist(), undecided.tolist()) == ([layer], [False])


def test_other_kinds_of_death_are_refused() -> None:
    for kind in (LayerDeath.DEAD, LayerDeath.STRUCTURAL, LayerDeath.ROBUST):
        with pytest.raises(ValueError, match=r"expected LayerDeath\.JOINT or LayerDeath\.WEIGHTS"):
            curve_dead_layer(OPPOSED, OPPOSED_DATA, kind)


# --- drawn networks: dense sampling ----------------------------------------------------------------------------------

FACTORS = np.linspace(0.0, 1.0, 129)
NETWORKS = [
    ("pytorch", None, (3,) * 10),
    ("pytorch", None, (2,) * 10),
    ("pytorch", None, (5,) * 20),
    ("pytorch", None, (4, 2, 5, 3, 3)),
    ("lecun_normal", "normal(1/2)", (3,) * 10),
    ("lecun_normal", "normal(1/2)", (4,) * 20),
]


def drawn(
    law: str, bias: str | None, hidden: tuple[int, ...], n: int, seed: int = 5, dim: int = 1
) -> tuple[Parameters, FloatData]:
    architecture = Architecture((dim, *hidden, 1))
    parameters = draw_parameters(parse_initialization(law, bias), architecture, (seed, 7), np.arange(n), "float64")
    inputs = [[Fraction((3 * i * (j + 1)) % 8, 7) for j in range(dim)] for i in range(8)]
    return parameters, float_data(inputs)


def sampled_tops(parameters: Parameters, data: FloatData, kind: LayerDeath) -> npt.NDArray[np.float64]:
    """Largest pre-activation of each hidden layer over inputs and 129 factors, in plain floats: (replicas, layers)."""
    replicas, points = len(parameters[0].bias), data.inputs.T
    factor = np.repeat(FACTORS, points.shape[1])
    u = np.tile(points, len(FACTORS))[None].repeat(replicas, axis=0)
    if kind is LayerDeath.WEIGHTS:
        u = factor * u
    tops = []
    for part in parameters[:-1]:
        z = part.weight @ u + part.bias[:, :, None]
        tops.append(z.max(axis=(1, 2)))
        u = factor * np.maximum(z, 0.0)
    return np.array(tops).T


def sampling_refutes(tops: npt.NDArray[np.float64], found: Ints, undecided: Bools, gap: float) -> int:
    """Answers against the samples: a found layer that is on somewhere, a missed one that is off by `gap` everywhere."""
    rows = np.arange(len(found))
    wrong = int(np.count_nonzero((found > 0) & (tops[rows, found - 1] > 1e-9)))
    first_off = np.argmax(tops < -gap, axis=1) + 1
    off = np.any(tops < -gap, axis=1)
    missed = off & ~undecided & ((found == 0) | (found > first_off))
    return wrong + int(np.count_nonzero(missed))


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(("law", "bias", "hidden"), NETWORKS)
def test_drawn_networks_agree_with_dense_sampling(
    law: str, bias: str | None, hidden: tuple[int, ...], kind: LayerDeath
) -> None:
    """Between two factors the pre-activations of these networks move by less than the gap of 0.05."""
    parameters, data = drawn(law, bias, hidden, 150, dim=1 if len(hidden) > 5 else 3)
    found, undecided = curve_dead_layer(parameters, data, kind)
    assert sampling_refutes(sampled_tops(parameters, data, kind), found, undecided, 0.05) == 0
    assert not undecided.any()
    robust, birth = robustly_dead_layer(parameters, data), find_dead(parameters, data).layer
    assert np.all((robust == 0) | ((found > 0) & (found <= robust)))
    assert np.all((found == 0) | ((birth > 0) & (birth <= found)))
    assert np.any(found > 0)
    assert np.any((birth > 0) & (found == 0))


@pytest.mark.parametrize(("law", "bias", "hidden"), NETWORKS[:5])
def test_undecided_replicas_are_rare(law: str, bias: str | None, hidden: tuple[int, ...]) -> None:
    """Below 0.1 %, and the same answers in blocks of any size."""
    parameters, data = drawn(law, bias, hidden, 1200, seed=6)
    found, undecided = curve_dead_layer(parameters, data, LayerDeath.JOINT)
    assert undecided.mean() < 0.001
    part = tuple(Layer(each.weight[700:720], each.bias[700:720]) for each in parameters)
    alone, open_ones = curve_dead_layer(part, data, LayerDeath.JOINT)
    assert alone.tolist() == found[700:720].tolist()
    assert open_ones.tolist() == undecided[700:720].tolist()


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_without_biases_a_layer_is_curve_dead_if_it_is_dead(kind: LayerDeath, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the factor 0 everything is 0, which no enclosure tells from positive: these are decided without one."""
    parameters, data = drawn("he_normal", None, (3,) * 6, 400)
    one_bias = tuple(Layer(part.weight, np.where(k == 2, -0.1, part.bias)) for k, part in enumerate(parameters))
    monkeypatch.setattr(decay, "_look", lambda *args: pytest.fail("a piece was looked at"))
    found, undecided = curve_dead_layer(parameters, data, kind)
    assert found.tolist() == find_dead(parameters, data).layer.tolist()
    assert 0 < np.count_nonzero(found) < len(found)
    assert not undecided.any()
    tops = sampled_tops(parameters, data, kind)[np.arange(len(found)), found - 1]
    assert np.all(tops[found > 0] <= 0)
    with pytest.raises(pytest.fail.Exception, match="looked at"):
        curve_dead_layer(one_bias, data, kind)


# --- broken implementations are caught ------------------------------------------------------------------------------


def without_lift(z: decay._Tube) -> decay._Tube:
    """relu where it is on at the centre of the piece, 0 where it is off there."""
    on = z.centre > 0
    return decay._Tube(np.where(on, z.centre, 0.0), np.where(on, z.slope, 0.0), np.where(on, z.radius, 0.0))


def centres_only(affine: Callable[[Layer, decay._Tube], decay._Tube]) -> Callable[[Layer, decay._Tube], decay._Tube]:
    def broken(layer: Layer, tube: decay._Tube) -> decay._Tube:
        z = affine(layer, tube)
        return decay._Tube(z.centre, np.zeros_like(z.slope), z.radius)

    return broken


def without_square(tube: decay._Tube, middle: npt.NDArray[np.float64], half: float) -> decay._Tube:
    slope = half * tube.centre + middle * tube.slope
    return decay._Tube(middle * tube.centre, slope, (middle + half) * tube.radius)


def answers_refuted(kind: LayerDeath) -> int:
    """How many of the checks above refute the implementation at hand."""
    count = 0
    for law, bias, hidden in (NETWORKS[1], NETWORKS[4]):
        parameters, data = drawn(law, bias, hidden, 300)
        answers = curve_dead_layer(parameters, data, kind)
        count += sampling_refutes(sampled_tops(parameters, data, kind), *answers, 0.05)
    for check in (lambda: assert_parabolas_are_seen(kind), assert_late_peaks_are_seen):
        try:
            check()
        except AssertionError:
            count += 1
    return count


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_broken_enclosures_are_caught(kind: LayerDeath, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answers_refuted(kind) == 0
    for name, broken in (
        ("_relu", without_lift),
        ("_affine", centres_only(decay._affine)),
        ("_shrunk", without_square),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(decay, name, broken)
            assert answers_refuted(kind) > 0, name


def test_a_filter_without_error_bound_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bias minus the rounded product: exactly 0 in floats, but alive by the rounding error, or dead by it."""
    weights = np.random.default_rng(3).uniform(1.0, 2.0, 30).tolist()
    parameters = stacked([net(([[w]], [-(w * w)])) for w in weights])
    expected, found = [], []
    for r, w in enumerate(weights):
        data = float_data([(Fraction(w),)])
        one = tuple(Layer(part.weight[r : r + 1], part.bias[r : r + 1]) for part in parameters)
        expected.append(robust_by_definition(exact_net(parameters, r), data.exact.inputs))
        assert robustly_dead_layer(one, data).tolist() == [expected[-1]]
        with monkeypatch.context() as patch:
            patch.setattr(decay, "_affine", lambda layer, tube: exact_looking(layer, tube))
            found.append(int(robustly_dead_layer(one, data)[0]))
    assert set(expected) == {0, 1}
    assert found != expected


def exact_looking(layer: Layer, tube: decay._Tube) -> decay._Tube:
    z = layer.weight @ tube.centre + layer.bias[:, :, None]
    return decay._Tube(z, np.zeros_like(z), np.zeros_like(z))


# --- real weight decay ------------------------------------------------------------------------------------------------

Optimizer = Callable[[torch.nn.Sequential], torch.optim.Optimizer]
STEPS = 100


def module_of(parameters: Parameters, r: int) -> torch.nn.Sequential:
    """A replica as a torch network in double precision."""
    parts: list[torch.nn.Module] = []
    for part in parameters:
        linear = torch.nn.Linear(part.weight.shape[2], part.weight.shape[1], dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(part.weight[r]))
            linear.bias.copy_(torch.from_numpy(part.bias[r]))
        parts += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*parts[:-1])


def tops_in_training(parameters: Parameters, r: int, data: FloatData, layer: int, make: Optimizer) -> list[float]:
    """Train on all data; the largest pre-activation of hidden layer `layer` before each step."""
    network, x = module_of(parameters, r), torch.from_numpy(data.inputs)
    y, optimizer = torch.from_numpy(data.labels.T.copy()), make(network)
    tops = []
    for _ in range(STEPS):
        tops.append(float(network[: 2 * layer - 1](x).detach().max()))
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(network(x), y).backward()
        optimizer.step()
    return tops


def split(network: torch.nn.Sequential, weight_decay: Sequence[float], bias_decay: Sequence[float]) -> list[dict]:
    """Parameter groups: a decay of its own for the weights and the biases of each layer, in turn."""
    groups = []
    for number, linear in enumerate(part for part in network if isinstance(part, torch.nn.Linear)):
        for tensor, decays in ((linear.weight, weight_decay), (linear.bias, bias_decay)):
            groups.append({"params": [tensor], "weight_decay": decays[number % len(decays)]})
    return groups


JOINT_DECAY: dict[str, Optimizer] = {
    "AdamW": lambda network: torch.optim.AdamW(network.parameters(), lr=0.05, weight_decay=0.7),
    "SGD": lambda network: torch.optim.SGD(network.parameters(), lr=0.1, weight_decay=0.3),
}
WEIGHT_DECAY: dict[str, Optimizer] = {
    "AdamW": lambda network: torch.optim.AdamW(split(network, [0.7], [0.0]), lr=0.05),
    "SGD": lambda network: torch.optim.SGD(split(network, [0.3], [0.0]), lr=0.1),
}
OWN_DECAY: dict[str, Optimizer] = {
    "AdamW": lambda network: torch.optim.AdamW(split(network, [2.0, 0.1, 0.5], [0.3, 0.0, 0.5]), lr=0.05),
    "SGD": lambda network: torch.optim.SGD(split(network, [1.0, 0.02, 0.2], [0.1, 0.0, 0.2]), lr=0.1),
}


def dead_ones(kind: LayerDeath) -> tuple[Parameters, FloatData, Ints, Ints]:
    """Drawn networks, the numbers of three whose first layer of this kind is a deep one, and these layers."""
    parameters, data = drawn("pytorch", None, (3,) * 6, 300, seed=8)
    robust = robustly_dead_layer(parameters, data)
    found = robust if kind is LayerDeath.ROBUST else curve_dead_layer(parameters, data, kind)[0]
    weaker = np.zeros_like(found) if kind is LayerDeath.ROBUST else robust
    chosen = np.flatnonzero((found > 1) & (found != weaker))[:3]
    assert len(chosen) == 3
    return parameters, data, chosen, found[chosen]


@pytest.mark.parametrize(
    ("kind", "optimizers"),
    [
        (LayerDeath.JOINT, JOINT_DECAY),
        (LayerDeath.WEIGHTS, WEIGHT_DECAY),
        (LayerDeath.ROBUST, JOINT_DECAY),
        (LayerDeath.ROBUST, WEIGHT_DECAY),
        (LayerDeath.ROBUST, OWN_DECAY),
    ],
    ids=["joint", "weights", "robust, joint decay", "robust, decay of weights", "robust, own decays"],
)
@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_dead_layers_stay_dead(kind: LayerDeath, optimizers: dict[str, Optimizer], name: str) -> None:
    parameters, data, chosen, layers = dead_ones(kind)
    for r, layer in zip(chosen, layers, strict=True):
        assert max(tops_in_training(parameters, int(r), data, int(layer), optimizers[name])) <= 0


@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_what_is_only_dead_at_birth_comes_alive(name: str) -> None:
    """Each kind of death is lost under the next kind of decay."""
    for parameters, layer, optimizers in (
        (LIFTED, 2, JOINT_DECAY),
        (POSITIVE_BIAS, 1, WEIGHT_DECAY),
        (OPPOSED, 2, WEIGHT_DECAY),
    ):
        tops = tops_in_training(parameters, 0, OPPOSED_DATA, layer, optimizers[name])
        assert tops[0] <= 0 < max(tops)
    assert max(tops_in_training(OPPOSED, 0, OPPOSED_DATA, 2, JOINT_DECAY[name])) <= 0
    assert max(tops_in_training(POSITIVE_BIAS, 0, OPPOSED_DATA, 1, JOINT_DECAY[name])) <= 0
    assert max(tops_in_training(OPPOSED, 0, OPPOSED_DATA, 2, OWN_DECAY[name])) > 0
