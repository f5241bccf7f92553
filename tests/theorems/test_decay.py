"""T13, T13', T16: their formulas computed a second time in plain floats, golden values, and drawn networks.

The reference below is written from the proof page: laws by their textbook moments, polynomials by their coefficients.
The frequencies are seeded; each check refutes a true claim with probability below `FALSE_ALARM`, by the exact binomial
tail, and there are fewer than fifty of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
import scipy.stats
import sympy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from theorems.bounds import P_DEAD, RADIUS, ROOT_NORM, TREE_LENGTH, Bound, Recursion
from theorems.catalogue import t13, t13b, t16
from theorems.curve import CurveRecursion
from theorems.hypotheses import BoundedBiasDensity, OptimizerClass, OptimizerKeepsDead, Property, Status
from theorems.laws import Law, Normal, TruncatedNormal, Uniform, parse_initialization
from theorems.problem import Problem
from theorems.setting import Architecture, DataSet
from theorems.theorem import Event, ForcedRisk, LayerDeath
from verify.enclosure import evaluate, evaluate_bound
from verify.simulation.decay import curve_dead_layer, robustly_dead_layer
from verify.simulation.draw import draw_parameters
from verify.simulation.forward import FloatData

FALSE_ALARM = 1e-8
Floats = npt.NDArray[np.float64]
Sizes = dict[sympy.Symbol, Fraction]
INTERVAL = ((Fraction(0),), (Fraction(1, 4),), (Fraction(1, 2),), (Fraction(3, 4),), (Fraction(1),))
KINDS = {LayerDeath.JOINT: Property.DJ, LayerDeath.WEIGHTS: Property.DW}


def problem(
    hidden: Sequence[int],
    law: str = "pytorch",
    bias: str | None = None,
    inputs: Sequence[Sequence[Fraction | float]] = INTERVAL,
    having: Property = Property.DJ,
) -> Problem:
    rows = [tuple(Fraction(v) for v in x) for x in inputs]
    data = DataSet.from_rows("test", rows, [(Fraction(i % 2),) for i in range(len(rows))])
    architecture = Architecture((len(rows[0]), *hidden, 1))
    return Problem(architecture, parse_initialization(law, bias), data, OptimizerClass.having(having))


def above(value: float) -> Fraction:
    """An exact number that surely is at least the one meant."""
    return Fraction(value) * (1 + Fraction(1, 10**12))


def tree_sizes(case: Problem) -> Sizes:
    """Prim's tree from the input of least norm: length, norm of the root, largest norm (all rounded up)."""
    points = [tuple(float(v) for v in x) for x in case.data.inputs]
    order = sorted(points, key=lambda x: math.hypot(*x))
    reached, left, length = [order[0]], order[1:], 0.0
    while left:
        distance, nearest = min((min(math.dist(x, y) for y in reached), x) for x in left)
        length += distance
        reached.append(nearest)
        left.remove(nearest)
    return {
        TREE_LENGTH: above(length),
        ROOT_NORM: above(math.hypot(*order[0])),
        RADIUS: above(math.hypot(*order[-1])),
    }


# --- a second implementation ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """One hidden layer in floats.

    `m, s^2, hat m` of the weights; `beta, sigma^2, f, G` of the bias; the factors eta.
    """

    fan_in: int
    width: int
    mean: float
    variance: float
    projection: float
    bias_mean: float
    bias_variance: float
    density: float
    tail: Callable[[float], float]
    spine: float
    edge: float
    normal: bool

    @classmethod
    @cache
    def of(cls, fan_in: int, width: int, weight: Law, bias: Law) -> Layer:
        w, b = distribution(weight), distribution(bias)
        mean, variance = 2 * w.expect(lambda x: x, lb=0), w.var()
        exact = isinstance(weight, Normal | Uniform)
        return cls(
            fan_in,
            width,
            mean,
            variance,
            mean if exact else math.sqrt(variance),
            2 * b.expect(lambda x: x, lb=0),
            b.var(),
            b.pdf(0),
            lambda x: float(b.cdf(-x)),
            eta(width, weight, bias),
            eta(width, weight),
            isinstance(weight, Normal) and isinstance(bias, Normal),
        )

    @property
    def signs(self) -> float:
        return 0.5 ** (self.fan_in + 1)

    def death(self, off: float) -> float:
        return max(off, self.signs, 0.0) ** self.width


def distribution(law: Law) -> scipy.stats.rv_continuous:
    match law:
        case Uniform(half_width):
            return scipy.stats.uniform(-float(half_width), 2 * float(half_width))
        case Normal(scale):
            return scipy.stats.norm(scale=float(scale))
        case TruncatedNormal(scale):
            return scipy.stats.truncnorm(-2, 2, scale=float(scale))
    raise AssertionError(law)


def eta(width: int, *laws: Law) -> float:
    def norm(n: int) -> float:
        if n == 0:
            return 0.0
        if all(isinstance(law, Normal) for law in laws):
            return float(scipy.stats.chi(n).mean())
        single = math.sqrt(3) / 2 if all(isinstance(law, Uniform) for law in laws) else 1.0
        return single if n == 1 else math.sqrt(n)

    return float(sum(scipy.stats.binom.pmf(n, width, 0.5) * norm(n) for n in range(width + 1)))


def layers_of(case: Problem) -> list[Layer]:
    widths = case.architecture.widths[:-1]
    return [Layer.of(*pair, *case.layer_laws(number)) for number, pair in enumerate(pairwise(widths), start=1)]


def reaches(case: Problem, first: Layer) -> tuple[float, float]:
    """`mu_1`, `mu_2`: mean and second moment of a sum of independent terms, one a coordinate."""
    terms = [(max(float(high), 0.0), max(-float(low), 0.0)) for low, high in case.data.input_ranges]
    means = [first.mean / 2 * (up + down) for up, down in terms]
    squares = [first.variance / 2 * (up**2 + down**2) for up, down in terms]
    spread = sum(square - mean**2 for square, mean in zip(squares, means, strict=True))
    return sum(means), spread + sum(means) ** 2


def start_survival(width: int, p: float, needed: int | None) -> float:
    return float(scipy.stats.binom.cdf((width if needed is None else needed) - 1, width, p))


def t13_float(case: Problem, p: float, needed: int | None = None) -> float:
    first, *later = layers_of(case)
    survival = start_survival(first.width, p, needed)
    mean = first.width * (first.bias_mean / 2 + reaches(case, first)[0]) / start_survival(first.width, 0.5, needed)
    for layer in later:
        survival *= 1 - layer.death(0.5 * max(1 - layer.density * layer.mean * mean, 0.0))
        mean = layer.width * (layer.bias_mean + layer.mean * mean) / (2 * (1 - 0.5**layer.width))
    return 1 - survival


Envelope = tuple[float, float, float]


def first_envelope(case: Problem, layer: Layer) -> Envelope:
    reach, reach2 = reaches(case, layer)
    top = layer.bias_mean / 2 + min(reach, reach / 2 + layer.density * reach2 / 2)
    squares = layer.width * (layer.bias_variance / 2 + layer.bias_mean * reach + reach2)
    return layer.width * top, squares, squares + layer.width * (layer.width - 1) * top**2


def next_envelope(layer: Layer, a: float, envelope: Envelope) -> Envelope:
    c, q, d = envelope
    reach, reach2 = layer.mean / 2 * c, layer.variance / 2 * q + layer.mean**2 / 4 * (d - q)
    top = layer.bias_mean / 2 * a + reach / 2 + min(reach / 2, layer.density * reach2 / 2)
    squares = layer.width * (layer.bias_variance / 2 * a + layer.bias_mean * reach + reach2)
    pairs = layer.bias_mean**2 / 4 * a + layer.bias_mean * reach + layer.mean**2 / 4 * d
    return layer.width * top, squares, squares + layer.width * (layer.width - 1) * pairs


def t13b_float(case: Problem, p: float, needed: int | None = None) -> float:
    first, *later = layers_of(case)
    a, envelope = start_survival(first.width, p, needed), first_envelope(case, first)
    for layer in later:
        death = layer.death(layer.tail(layer.mean / 2 * envelope[0] / a))
        envelope, a = next_envelope(layer, a, envelope), a * (1 - death)
    return 1 - a


Integral = Callable[[Floats, int, int], float]


def chords(pieces: int = 64, fine: int = 24) -> Integral:
    """The integral of `theorems.curve`: `P(gamma^2)` by its chords; layer 0 stands for the spine."""

    def integral(coefficients: Floats, j: int, layer: int) -> float:
        if layer > fine:
            return math.sqrt(coefficients.sum()) / (j + 1)
        x = np.linspace(0.0, 1.0, pieces + 1)
        value = (x[:, None] ** (2 * np.arange(len(coefficients)))) @ coefficients
        mass, moment = np.diff(x ** (j + 1)) / (j + 1), np.diff(x ** (j + 2)) / (j + 2)
        chord = value[:-1] * mass + np.diff(value) * pieces * (moment - x[:-1] * mass)
        return float(np.sqrt(np.maximum(mass * chord, 0.0)).sum())

    return integral


def primitives(pieces: int) -> Integral:
    """The integral of the proof page: `int_I sqrt(P) <= (|I| int_I P)^(1/2)`, with exact primitives."""

    def integral(coefficients: Floats, j: int, layer: int) -> float:
        x, power = np.linspace(0.0, 1.0, pieces + 1), 2 * np.arange(len(coefficients)) + 2 * j + 1
        total = np.diff((x[:, None] ** power) @ (coefficients / power))
        return float(np.sqrt(np.maximum(total, 0.0) / pieces).sum())

    return integral


def t16_float(
    case: Problem, p: float, sizes: Sizes, needed: int | None = None, *, integral: Integral | None = None
) -> float:
    """The recursion of T16, for (DJ) if the optimizer of the case has it, else for (DW); `U_0 = 0`."""
    integral = integral or chords()
    joint = case.optimizer.about(Property.DJ).status is Status.HOLDS
    delta, layers = (0 if joint else 1), layers_of(case)
    tree, root, radius = (float(sizes[symbol]) for symbol in (TREE_LENGTH, ROOT_NORM, RADIUS))
    near, far = (np.array([0.0] * delta + [r * r]) for r in (root, radius))  # n_k: coefficients in gamma^2
    a, edges, contraction, end = 1.0, tree, 1.0, 0.0
    length, envelope = 0.0, (0.0, 0.0, 0.0)
    for k, layer in enumerate(layers, start=1):
        before, s = a, math.sqrt(layer.variance)
        if k == 1:
            a = start_survival(layer.width, p, needed)
            envelope = first_envelope(case, layer)
        else:
            off = max(
                layer.tail(layer.projection / 2 * length / before), layer.tail(layer.mean / 2 * envelope[0] / before)
            )
            if all(each.normal for each in layers):
                ratio = s / math.sqrt(layer.bias_variance)
                saved = min(math.pi, ratio * end - math.atan(ratio * end))
                off = max(off, 0.5 - (ratio * length / before - saved) / (2 * math.pi))
            a = before * (1 - layer.death(off))
            envelope = next_envelope(layer, before, envelope)
        order = np.arange(len(near))
        speed = layer.variance * (order + 1) ** 2 * near
        speed[0] += layer.bias_variance * before
        far_speed = (order**2 * far)[1:] if len(far) > 1 else np.zeros(1)
        crossing = tree * math.sqrt(contraction) * integral(far_speed, k + delta, k)
        edges = layer.edge * s * edges + layer.width * layer.density * layer.variance * crossing
        length = edges + layer.spine * math.sqrt(before) * integral(speed, 0, 0)
        near, far = (np.concatenate([[0.0], layer.width / 2 * layer.variance * n]) for n in (near, far))
        near[1] += layer.width / 2 * layer.bias_variance * before
        far[1] += layer.width / 2 * layer.bias_variance * before
        contraction *= layer.width * layer.variance / 2
        end = layer.spine * math.sqrt(layer.bias_variance + layer.variance * end**2)
    return 1 - a


def assert_value(bound: Bound, p: Fraction, value: float, sizes: Sizes | None = None) -> None:
    """The enclosure is narrow and agrees with a float computation to many digits."""
    found = evaluate_bound(bound, p, sizes)
    assert found.width <= max(min(abs(found.hi), abs(1 - found.lo)) / 2**28, Fraction(1, 2**1023))
    assert float(found.lo) == pytest.approx(value, rel=1e-9, abs=1e-11)


# --- the formulas -----------------------------------------------------------------------------------------------------

LAWS = [
    ("pytorch", None),
    ("uniform(2/3)", None),
    ("standard_normal", None),
    ("lecun_normal", "normal(0.5)"),
    ("glorot_uniform", "uniform(0.1)"),
    ("lecun_normal", "uniform(2)"),
    ("lecun_uniform", "normal(1/3)"),
    ("flax", "normal(0.3)"),
    ("flax", "uniform(1)"),
]
# few different layers: each costs sympy about a tenth of a second
hidden_widths = st.one_of(
    st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple),
    st.builds(lambda w, n: (w,) * n, st.integers(1, 6), st.integers(4, 12)),
)
planes = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=5, unique=True)
at_most_half = st.builds(lambda p, q: Fraction(p, 2 * (p + q)), st.integers(0, 20), st.integers(1, 20))


@pytest.mark.parametrize("law", LAWS, ids=str)
@given(hidden=hidden_widths, inputs=planes, p=at_most_half, which=st.integers(0, 6))
@settings(max_examples=2)
@example(hidden=(3,) * 10, inputs=[(0, 0), (1, 0)], p=Fraction(3, 8), which=0)
@example(hidden=(1, 5, 2), inputs=[(0, 0), (-1, 2)], p=Fraction(0), which=1)
def test_bounds_are_their_formulas(
    law: tuple[str, str | None],
    hidden: tuple[int, ...],
    inputs: list[tuple[int, int]],
    p: Fraction,
    which: int,
) -> None:
    needed = which if 1 <= which <= hidden[0] else None
    joint, weights = (problem(hidden, *law, inputs, having) for having in KINDS.values())
    sizes = tree_sizes(joint)
    assert_value(t13.bound(joint, needed), p, t13_float(joint, float(p), needed))
    assert_value(t13b.bound(joint, needed), p, t13b_float(joint, float(p), needed))
    for case in (joint, weights):
        assert_value(t16.bound(case, needed), p, t16_float(case, float(p), sizes, needed), sizes)


@pytest.mark.parametrize("law", ["pytorch", "lecun_normal"])
def test_wide_layers_may_only_lower_the_bound(law: str) -> None:
    """Beyond `WIDEST_SUM` neurons `sqrt(l/2)` replaces eta, and a narrower layer bounds the end of the curve."""
    case = problem((2, 70, 3, 2), law, "normal(0.5)" if law == "lecun_normal" else None)
    sizes = tree_sizes(case)
    exact, found = t16_float(case, 0.375, sizes), evaluate_bound(t16.bound(case), Fraction(3, 8), sizes)
    assert exact - 0.002 < float(found.lo) <= exact + 1e-12


@pytest.mark.parametrize("law", LAWS, ids=str)
def test_mean_norms(law: tuple[str, str | None]) -> None:
    """`E chi_N` exactly for normal laws, in any case at most `sqrt(width/2)`, the value beyond the sums."""
    for width in (1, 2, 3, 7, 64, 65):
        weight, bias = problem((width, width), *law).layer_laws(2)
        for laws in ((weight, bias), (weight,)):
            found = float(evaluate(t16.mean_norm(width, *laws)).hi)
            assert found <= math.sqrt(width / 2) + 1e-12
            assert found == pytest.approx(eta(width, *laws) if width <= 64 else math.sqrt(width / 2), rel=1e-12)


@given(inputs=planes, weights=st.lists(st.tuples(st.integers(-5, 5), st.integers(-5, 5)), min_size=1, max_size=9))
def test_reach_bounds_what_a_neuron_sees(inputs: list[tuple[int, int]], weights: list[tuple[int, int]]) -> None:
    """`max_j (w.x_j)^+` is at most the sum whose moments `mu_1` and `mu_2` are, for every weight vector."""
    reach = t13.input_reach(problem((1, 1), inputs=inputs))
    for w in weights:
        most = max(0, *(sum(a * b for a, b in zip(w, x, strict=True)) for x in inputs))
        assert most <= sum(max(v, 0) * up + max(-v, 0) * down for v, (up, down) in zip(w, reach, strict=True))


# --- golden values ----------------------------------------------------------------------------------------------------

# The design page's tables of final bounds, evaluated there in double precision and given to three digits, some rounded
# and some cut off. One entry is corrected: T16 (DW) of PyTorch's 2 x 5 (0.597 there).
PYTORCH = [
    (2, 5, 0.589, 0.597, 0.596),
    (2, 10, 0.849, 0.863, 0.863),
    (3, 5, 0.257, 0.279, 0.275),
    (3, 10, 0.489, 0.543, 0.540),
    (3, 30, 0.887, 0.927, 0.926),
    (4, 20, 0.390, 0.511, 0.507),
    (5, 20, 0.144, 0.262, 0.260),
    (5, 50, 0.344, 0.563, 0.562),
    (6, 50, 0.112, 0.303, 0.302),
]
LECUN = [
    (2, 5, 0.306, 0.316, 0.306),
    (2, 10, 0.521, 0.601, 0.592),
    (3, 10, 0.089, 0.227, 0.207),
    (3, 30, 0.192, 0.705, 0.698),
    (5, 20, 0.004, 0.074, 0.071),
    (4, 20, 0.013, 0.212, 0.204),
    (5, 50, 0.004, 0.238, 0.235),
    (6, 50, 0.001, 0.090, 0.090),
]
LECUN_LAW = ("lecun_normal", "normal(1/2)")
# (pi - angle)/(2 pi) for inputs that fill [0, 1], weights N(0, 1), biases N(0, 1/4), rounded down
LECUN_P = Fraction(math.floor((math.pi - math.atan(2)) / (2 * math.pi) * 10**12), 10**12)
GOLDEN = [("pytorch", None, Fraction(3, 8), row) for row in PYTORCH] + [(*LECUN_LAW, LECUN_P, row) for row in LECUN]


@pytest.mark.parametrize(("law", "bias", "p", "row"), GOLDEN, ids=str)
def test_values_of_the_design_page(
    law: str, bias: str | None, p: Fraction, row: tuple[int, int, float, float, float]
) -> None:
    width, depth, envelope, joint, weights = row
    cases = [problem((width,) * depth, law, bias, having=having) for having in KINDS.values()]
    sizes = tree_sizes(cases[0])
    found = [evaluate_bound(bound, p, sizes) for bound in (t13b.bound(cases[0]), *map(t16.bound, cases))]
    for value, golden in zip(found, (envelope, joint, weights), strict=True):
        assert abs(float(value.lo) - golden) < 0.001
    t13_value = evaluate_bound(t13.bound(cases[0]), p)
    ceiling = 1 - (1 - Fraction(1, 2**width)) ** depth
    assert t13_value.hi < found[0].lo <= found[2].hi <= found[1].hi < ceiling


def test_t13_of_the_theorem_page() -> None:
    """math §5 gives 0.390 for 3 x 10, with the exact `r_1 = 1 - (3/8)^3`; the bound takes `1 - 2^-3`."""
    case, shift = problem((3,) * 10), (1 - Fraction(27, 512)) / (1 - Fraction(1, 8))
    bound = t13.bound(case)
    assert float(evaluate_bound(bound, Fraction(3, 8)).lo) == pytest.approx(0.3832, abs=5e-5)
    exact_start = bound.start[0] / sympy.Rational(shift.numerator, shift.denominator)
    sharper = replace(bound, start=(exact_start, bound.start[1]))
    assert float(evaluate_bound(sharper, Fraction(3, 8)).lo) == pytest.approx(0.3896, abs=5e-5)


@pytest.mark.parametrize(("law", "bias", "p"), [("pytorch", None, 0.375), (*LECUN_LAW, float(LECUN_P))])
@pytest.mark.parametrize("having", KINDS.values())
def test_chords_lose_next_to_nothing(law: str, bias: str | None, p: float, having: Property) -> None:
    """Against the integrals of the proof page (exact primitives) on four times as many pieces."""
    for hidden in ((3,) * 30, (2,) * 10, (5, 3, 4, 2, 6)):
        case = problem(hidden, law, bias, having=having)
        sizes = tree_sizes(case)
        best = t16_float(case, p, sizes, integral=primitives(256))
        found = evaluate_bound(t16.bound(case), Fraction(p), sizes)
        assert best - 2e-4 < float(found.lo) < best + 1e-12


@pytest.mark.parametrize(
    ("width", "envelope", "joint"), [(2, 0.1813, 0.1953), (3, 0.0727, 0.0876), (4, 0.0267, 0.0390)]
)
def test_death_per_layer(width: int, envelope: float, joint: float) -> None:
    """The design page's limits for PyTorch's default, below the `2^-l` of T10."""
    cases = [problem((width,) * depth) for depth in (60, 61)]
    sizes = tree_sizes(cases[0])
    for make, golden in ((t13b.bound, envelope), (t16.bound, joint)):
        alive = [1 - evaluate_bound(make(case), Fraction(3, 8), sizes).hi for case in cases]
        assert float(1 - alive[1] / alive[0]) == pytest.approx(golden, abs=6e-5)


# --- monotone and nested ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", [LAWS[0], LAWS[3], LAWS[5], LAWS[8]], ids=str)
@given(hidden=hidden_widths, inputs=planes, p=at_most_half, q=at_most_half, more=st.integers(1, 6))
@settings(max_examples=2)
def test_bounds_are_nested_and_monotone(
    law: tuple[str, str | None],
    hidden: tuple[int, ...],
    inputs: list[tuple[int, int]],
    p: Fraction,
    q: Fraction,
    more: int,
) -> None:
    """T13 <= T13' <= T16 at one `p_1`; all grow with `p_1` and depth, T16 falls with every size of the data."""
    p, q = min(p, q), max(p, q)
    joint, weights = (problem(hidden, *law, inputs, having) for having in KINDS.values())
    sizes = tree_sizes(joint)
    old, envelope = evaluate_bound(t13.bound(joint), p), evaluate_bound(t13b.bound(joint), p)
    assert old.lo <= envelope.hi
    for case in (joint, weights):
        found = evaluate_bound(t16.bound(case), p, sizes)
        assert envelope.lo <= found.hi
        assert 1 - found.lo >= math.prod((1 - Fraction(1, 2**width) for width in hidden), start=Fraction(1))
        for symbol in sizes:
            larger = {**sizes, symbol: sizes[symbol] * 2 + Fraction(1, 7)}
            assert evaluate_bound(t16.bound(case), p, larger).lo <= found.hi
    deeper = problem((*hidden, more), *law, inputs)
    for make in (t13.bound, t13b.bound, t16.bound):
        here = evaluate_bound(make(joint), p, sizes)
        assert here.lo <= evaluate_bound(make(joint), q, sizes).hi
        assert here.lo <= evaluate_bound(make(deeper), p, sizes).hi
        if make is not t13.bound:  # there another divisor goes with it
            assert here.lo <= evaluate_bound(make(joint, 1), p, sizes).hi


# --- what the theorems say of themselves ------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [t13, t13b], ids=lambda module: module.THEOREM.id)
def test_decay_with_own_factors_forces_a_robustly_dead_layer(module: object) -> None:
    theorem = module.THEOREM  # type: ignore[attr-defined]
    instance = theorem.instance(problem((3, 3), having=Property.D), 0)
    assert instance.event == Event(LayerDeath.ROBUST, nonpositive_bias=True)
    assert instance.forced == ForcedRisk(None)
    assert instance.nonpositive_bias
    assert BoundedBiasDensity() in instance.hypotheses
    assert OptimizerKeepsDead(((Property.D, Property.D),)) in instance.hypotheses
    for having in (Property.FB, Property.DJ, Property.DW, Property.D):
        assert theorem.remains_under(OptimizerClass.having(having)) is Status.HOLDS
    for having in (Property.S, Property.SL, Property.SS):
        assert theorem.remains_under(OptimizerClass.having(having)) is Status.FAILS


def test_t16_looks_at_the_optimizer() -> None:
    for having in (Property.F, Property.FB, Property.DJ):
        instance = t16.THEOREM.instance(problem((3, 3), having=having), 0)
        assert instance.event == Event(LayerDeath.JOINT)
        assert not instance.nonpositive_bias
        assert not instance.bound().weights_only
    instance = t16.THEOREM.instance(problem((3, 3), having=Property.DW), 0)
    assert instance.event == Event(LayerDeath.WEIGHTS, nonpositive_bias=True)
    assert instance.nonpositive_bias
    assert instance.bound().weights_only
    assert instance.forced == ForcedRisk(None)
    for having in (Property.D, Property.S, Property.SL, Property.SS):
        assert t16.THEOREM.remains_under(OptimizerClass.having(having)) is Status.FAILS


def test_the_quantities_of_the_case() -> None:
    assert t13b.bound(problem((2, 2))).symbols == {P_DEAD}
    assert t16.bound(problem((2, 2))).symbols == {P_DEAD, TREE_LENGTH, ROOT_NORM, RADIUS}
    assert t16.bound(problem((2,))).symbols == {P_DEAD}


# --- drawn networks ---------------------------------------------------------------------------------------------------

CLOUD = ((0.1, 0.9), (0.8, 0.7), (0.25, 0.25), (0.5, 0.0), (1.0, 0.375), (0.625, 1.0))
SIGNED = ((-1.0,), (-0.25,), (0.5,), (2.0,))
# p_1 and p_1': exact for [0, 1] (math §6.1, 6.2); of the box [0, 1]^2 for the cloud (13/48); 0 for signed inputs, where
# any lower bound is safe
DRAWN = [
    ("pytorch", None, (3,) * 10, INTERVAL, Fraction(3, 8), 11),
    ("pytorch", None, (2,) * 10, INTERVAL, Fraction(3, 8), 12),
    ("pytorch", None, (4, 2, 5, 3, 3), INTERVAL, Fraction(3, 8), 13),
    (*LECUN_LAW, (3,) * 10, INTERVAL, LECUN_P, 14),
    ("pytorch", None, (3,) * 8, CLOUD, Fraction(13, 48), 15),
    ("standard_normal", None, (2,) * 6, CLOUD, Fraction(0), 16),
    ("flax", "normal(0.3)", (2,) * 8, SIGNED, Fraction(0), 17),
    ("lecun_normal", "uniform(2)", (2,) * 6, SIGNED, Fraction(0), 18),
]
N_DRAWN = 6000


@dataclass(frozen=True)
class Frequencies:
    """Of `n` networks: how many have a layer that is robustly dead, curve-dead for sure, curve-dead at most."""

    n: int
    robust: int
    surely: dict[LayerDeath, int]
    at_most: dict[LayerDeath, int]


def drawn(case: Problem, seed: int, n: int = N_DRAWN) -> Frequencies:
    parameters = draw_parameters(case.initialization, case.architecture, (seed, 2024), np.arange(n), "float64")
    data = FloatData.of(case.data)
    robust = int(np.count_nonzero(robustly_dead_layer(parameters, data)))
    surely, at_most = {}, {}
    for kind in KINDS:
        found, undecided = curve_dead_layer(parameters, data, kind)
        surely[kind] = int(np.count_nonzero(found))
        at_most[kind] = surely[kind] + int(np.count_nonzero(undecided))
    return Frequencies(n, robust, surely, at_most)


def refuted(count: int, n: int, bound: float) -> bool:
    """Whether a count this small has probability below FALSE_ALARM if the event has probability `bound` or more."""
    return bool(scipy.stats.binom.cdf(count, n, min(max(bound, 0.0), 1.0)) < FALSE_ALARM)


def lower_end(bound: Bound, p: Fraction, sizes: Sizes) -> float:
    return float(evaluate_bound(bound, p, sizes).lo)


@pytest.mark.parametrize(("law", "bias", "hidden", "inputs", "p", "seed"), DRAWN)
def test_bounds_stay_below_frequencies(
    law: str,
    bias: str | None,
    hidden: tuple[int, ...],
    inputs: Sequence[Sequence[Fraction]],
    p: Fraction,
    seed: int,
) -> None:
    case = problem(hidden, law, bias, inputs)
    sizes, found = tree_sizes(case), drawn(case, seed)
    for make in (t13.bound, t13b.bound):
        assert not refuted(found.robust, found.n, lower_end(make(case), p, sizes))
    for kind, having in KINDS.items():
        bound = t16.bound(problem(hidden, law, bias, inputs, having))
        assert not refuted(found.at_most[kind], found.n, lower_end(bound, p, sizes))
        assert found.surely[kind] >= found.robust
        assert found.at_most[kind] - found.surely[kind] <= found.n // 1000


def with_halved_means(bound: Recursion) -> Recursion:
    """T13' with `E|w|` of every later layer halved: an envelope that is too small."""
    place = bound.parameters.index(t13b.MEAN)
    return replace(
        bound, layers=tuple((*values[:place], values[place] / 2, *values[place + 1 :]) for values in bound.layers)
    )


def with_halved_curves(bound: CurveRecursion) -> CurveRecursion:
    """T16 with half of the mean length of every curve."""
    return replace(
        bound, layers=tuple(replace(layer, spine=layer.spine / 2, edge=layer.edge / 2) for layer in bound.layers)
    )


def test_drawn_networks_refute_wrong_bounds() -> None:
    case = problem((3,) * 10)
    p, sizes, found = Fraction(3, 8), tree_sizes(case), drawn(case, 19, 12_000)
    joint = found.at_most[LayerDeath.JOINT]
    assert refuted(found.robust, found.n, lower_end(with_halved_means(t13b.bound(case)), p, sizes))
    assert refuted(joint, found.n, lower_end(with_halved_curves(t16.bound(case)), p, sizes))
    ceiling = 1 - float((1 - Fraction(1, 8)) ** 10)
    assert refuted(joint, found.n, ceiling), "the ceiling of (FB) is not reached under decay"
    assert refuted(found.robust, found.n, lower_end(t16.bound(case), p, sizes)), "T16 is not a bound of T13's event"


def test_two_percent_more_than_the_bound_is_seen() -> None:
    """T13' is an equality up to second moments for narrow layers: drawn networks leave it no room."""
    case = problem((2,) * 10)
    p, sizes, found = Fraction(3, 8), tree_sizes(case), drawn(case, 20, 30_000)
    value = lower_end(t13b.bound(case), p, sizes)
    assert not refuted(found.robust, found.n, value)
    assert refuted(found.robust, found.n, 1.02 * value)


@pytest.mark.parametrize("module", [t13, t13b, t16], ids=lambda module: module.THEOREM.id)
def test_two_percent_in_a_constant_is_seen(module: object) -> None:
    """The comparison with the float formulas refutes a bias scale or a weight scale that is 2 % off."""
    make = module.bound  # type: ignore[attr-defined]
    right = problem((3, 3, 3), "uniform(1/2)", "normal(1)")
    sizes, p = tree_sizes(right), Fraction(1, 4)
    formulas = {
        "T13": lambda: t13_float(right, 0.25),
        "T13b": lambda: t13b_float(right, 0.25),
        "T16": lambda: t16_float(right, 0.25, sizes),
    }
    value = formulas[module.THEOREM.id]()  # type: ignore[attr-defined]
    assert_value(make(right), p, value, sizes)
    for law, bias in (("uniform(0.51)", "normal(1)"), ("uniform(1/2)", "normal(1.02)")):
        with pytest.raises(AssertionError):
            assert_value(make(problem((3, 3, 3), law, bias)), p, value, sizes)
    with pytest.raises(AssertionError):
        assert_value(make(right), Fraction(255, 1000), value, sizes)
