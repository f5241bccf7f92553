"""`p_1` against what it means: areas, integrals and frequencies computed without the formulas of the library.

- Uniform laws in one dimension: the rectangle of (weight, bias) is clipped by one half plane for *every* input, and
  the area of what remains is exact.
- Normal laws: an integral over the weight at 20 digits.
- Frequencies: seeded; a test fails for a true formula with probability below `FALSE_ALARM`, by the exact binomial tail.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from theorems.hypotheses import Evidence, OptimizerClass
from theorems.laws import Law, Normal, TruncatedNormal, Uniform, Zero, parse_initialization
from theorems.problem import Problem
from theorems.setting import Architecture, DataSet
from verify import dead_neuron
from verify.dead_neuron import METHODS, TRIVIAL, DeadProbability, FirstLayer, Method, certified, dead_probability
from verify.dead_neuron.box import box_uniform, unit_box_probability
from verify.dead_neuron.one_dimensional import normal_1d, uniform_1d
from verify.dead_neuron.planar import normal_planar
from verify.dead_neuron.zero_bias import zero_bias_hull
from verify.enclosure import Enclosure

FALSE_ALARM = 1e-8
NARROW = Fraction(1, 2**48)

values = st.builds(Fraction, st.integers(-40, 40), st.integers(1, 12))
scales = st.builds(Fraction, st.integers(1, 30), st.integers(1, 12))
input_lists = st.lists(values, min_size=1, max_size=6, unique=True)


def problem(inputs: Sequence[Any], law: str, bias: str | None = None, fan_out: int = 3) -> Problem:
    rows = [tuple(Fraction(v) for v in (x if isinstance(x, tuple) else (x,))) for x in inputs]
    data = DataSet.from_rows("test", rows, [(Fraction(i),) for i in range(len(rows))])
    architecture = Architecture((len(rows[0]), fan_out, 1))
    return Problem(architecture, parse_initialization(law, bias), data, OptimizerClass("test", ()))


def layer(inputs: Sequence[Any], law: str, bias: str | None = None) -> FirstLayer:
    return FirstLayer.of(problem(inputs, law, bias))


def found(answer: DeadProbability | None, *, width: Fraction = NARROW) -> DeadProbability:
    assert answer is not None
    assert answer.two_sided
    assert answer.enclosure.width <= width
    assert answer.evidence is Evidence.CERTIFIED
    return answer


def clipped_area(half_w: Any, half_b: Any, inputs: Sequence[Any]) -> Any:
    """Area of `{|w| <= half_w, |b| <= half_b, w x + b <= 0 for all x}`, clipped half plane by half plane."""
    corners = [(-half_w, -half_b), (half_w, -half_b), (half_w, half_b), (-half_w, half_b)]
    for x in inputs:
        kept = []
        for (w, b), (w_next, b_next) in itertools.pairwise([*corners, corners[0]] if corners else []):
            here, there = w * x + b, w_next * x + b_next
            if here <= 0:
                kept.append((w, b))
            if (here < 0 < there) or (there < 0 < here):
                share = here / (here - there)
                kept.append((w + share * (w_next - w), b + share * (b_next - b)))
        corners = kept
    closed = [*corners, corners[0]] if corners else []
    return abs(sum(w * b_next - w_next * b for (w, b), (w_next, b_next) in itertools.pairwise(closed))) / 2


def assert_frequency(count: int, n: int, low: float, high: float) -> None:
    """Fails for a true `low <= p <= high` with probability below FALSE_ALARM (both sides together)."""
    assert binom.sf(count - 1, n, high) > FALSE_ALARM / 2, f"{count} of {n} is too many for p <= {high}"
    assert binom.cdf(count, n, low) > FALSE_ALARM / 2, f"{count} of {n} is too few for p >= {low}"


def sampled(law: str, half: Sequence[float], inputs: Sequence[Any], n: int, seed: int) -> int:
    """Count dead neurons among `n` sampled ones; `half` are the scales of weight and bias."""
    x = np.array([v if isinstance(v, tuple) else (v,) for v in inputs], dtype=np.float64)
    source = np.random.default_rng(seed)
    draw = (lambda size: source.uniform(-1, 1, size)) if law == "uniform" else source.standard_normal
    weight, bias = half[0] * draw((n, x.shape[1])), half[1] * draw((n, 1))
    return int(((weight @ x.T + bias) <= 0).all(axis=1).sum())


# --- uniform laws, one dimension -------------------------------------------------------------------------------------


@given(inputs=input_lists, half_w=scales, half_b=scales)
@settings(max_examples=150)
@example(inputs=[Fraction(0), Fraction(1)], half_w=Fraction(1), half_b=Fraction(1))
@example(inputs=[Fraction(-1), Fraction(1)], half_w=Fraction(1), half_b=Fraction(1))
@example(inputs=[Fraction(0)], half_w=Fraction(2), half_b=Fraction(3))
@example(inputs=[Fraction(7, 2)], half_w=Fraction(2), half_b=Fraction(3))
@example(inputs=[Fraction(2), Fraction(5)], half_w=Fraction(3), half_b=Fraction(1))
@example(inputs=[Fraction(-5), Fraction(-2)], half_w=Fraction(3), half_b=Fraction(1))
@example(inputs=[Fraction(-5), Fraction(4)], half_w=Fraction(3), half_b=Fraction(1))
@example(inputs=[Fraction(1, 3), Fraction(2, 3)], half_w=Fraction(3), half_b=Fraction(1))
def test_uniform_1d_is_the_area_of_the_clipped_rectangle(
    inputs: list[Fraction], half_w: Fraction, half_b: Fraction
) -> None:
    answer = found(uniform_1d(layer(inputs, f"uniform({half_w})", f"uniform({half_b})")))
    exact = clipped_area(half_w, half_b, inputs) / (4 * half_w * half_b)
    assert answer.enclosure.contains(exact)


@pytest.mark.parametrize("inputs", [(-2, 1), (1, 3), (Fraction(-1, 10), Fraction(1, 10)), (0, 1), (-5, -3)], ids=str)
def test_uniform_1d_with_an_irrational_ratio(inputs: tuple[Fraction, ...]) -> None:
    """he_uniform with one input has weights on ±sqrt(6)."""
    answer = found(uniform_1d(layer(inputs, "he_uniform", "uniform(2/3)")))
    with mpmath.workdps(40):
        half_w, half_b = mpmath.sqrt(6), mpmath.mpf(2) / 3
        points = [mpmath.mpf(Fraction(x).numerator) / Fraction(x).denominator for x in inputs]
        share = clipped_area(half_w, half_b, points) / (4 * half_w * half_b)
        assert float(answer.enclosure.lo) - 1e-12 <= float(share) <= float(answer.enclosure.hi) + 1e-12


@pytest.mark.parametrize(
    ("inputs", "half"),
    [
        ((0, 1), (1.0, 1.0)),
        ((-1, 2), (1.0, 1.0)),
        ((3, 4, 9), (2.0, 0.5)),
        ((-4, -0.5), (1.0, 3.0)),
        ((-3, 2), (2.0, 0.5)),
    ],
)
def test_uniform_1d_against_simulation(inputs: tuple[float, ...], half: tuple[float, float]) -> None:
    case = layer([Fraction(x) for x in inputs], f"uniform({Fraction(half[0])})", f"uniform({Fraction(half[1])})")
    answer = found(uniform_1d(case)).enclosure
    n = 200_000
    assert_frequency(sampled("uniform", half, inputs, n, seed=11), n, float(answer.lo), float(answer.hi))


def test_check_values_of_uniform_1d() -> None:
    assert found(uniform_1d(layer((0, 1), "pytorch"))).enclosure.contains(Fraction(3, 8))
    assert found(uniform_1d(layer((0, Fraction(1, 2), 1), "uniform(0.1)"))).enclosure.contains(Fraction(3, 8))
    assert found(uniform_1d(layer((5,), "pytorch"))).enclosure.contains(Fraction(1, 2))


# --- normal laws, one dimension --------------------------------------------------------------------------------------


def normal_integral(inputs: Sequence[Fraction], scale_w: Fraction, scale_b: Fraction) -> mpmath.mpf:
    """`int phi(w) Phi(min_j -w x_j sw/sb) dw`, at every input and not at the extreme ones only."""
    ratio = mpmath.mpf((scale_w / scale_b).numerator) / (scale_w / scale_b).denominator
    points = [mpmath.mpf(x.numerator) / x.denominator * ratio for x in inputs]
    ends = [-mpmath.inf, 0, mpmath.inf]
    return mpmath.quad(lambda w: mpmath.npdf(w) * mpmath.ncdf(min(-w * x for x in points)), ends)


@given(inputs=input_lists, scale_w=scales, scale_b=scales)
@settings(max_examples=10)
@example(inputs=[Fraction(7, 3)], scale_w=Fraction(1), scale_b=Fraction(5))
@example(inputs=[Fraction(1), Fraction(2)], scale_w=Fraction(1), scale_b=Fraction(1))
@example(inputs=[Fraction(-2), Fraction(-1)], scale_w=Fraction(3), scale_b=Fraction(1))
@example(inputs=[Fraction(-2), Fraction(1)], scale_w=Fraction(3), scale_b=Fraction(1, 2))
def test_normal_1d_is_the_integral(inputs: list[Fraction], scale_w: Fraction, scale_b: Fraction) -> None:
    answer = found(normal_1d(layer(inputs, f"normal({scale_w}, {scale_b})"))).enclosure
    with mpmath.workdps(20):
        value = normal_integral(inputs, scale_w, scale_b)
        assert float(answer.lo) - 1e-9 <= float(value) <= float(answer.hi) + 1e-9


def test_check_values_of_normal_1d() -> None:
    assert found(normal_1d(layer((0, 1), "standard_normal"))).enclosure.contains(Fraction(3, 8))
    assert found(normal_1d(layer((-1, 1), "standard_normal"))).enclosure.contains(Fraction(1, 4))
    assert found(normal_1d(layer((0, Fraction(1, 3), 1), "normal(0.1)"))).enclosure.contains(Fraction(3, 8))
    assert found(normal_1d(layer((17,), "normal(2, 3)"))).enclosure.contains(Fraction(1, 2))


@pytest.mark.parametrize(("inputs", "half"), [((0, 1), (1.0, 1.0)), ((-1, 2, 4), (2.0, 0.5)), ((1, 3), (1.0, 3.0))])
def test_normal_1d_against_simulation(inputs: tuple[float, ...], half: tuple[float, float]) -> None:
    answer = found(normal_1d(layer(inputs, f"normal({Fraction(half[0])}, {Fraction(half[1])})"))).enclosure
    n = 200_000
    assert_frequency(sampled("normal", half, inputs, n, seed=12), n, float(answer.lo), float(answer.hi))


def test_normal_1d_reads_the_scale_of_a_scheme() -> None:
    """he_normal with fan-in 1 has weights of standard deviation sqrt(2): the angle of data {0, 1} is atan(2 sqrt 2)."""
    answer = found(normal_1d(layer((0, 1), "he_normal", "normal(1/2)"))).enclosure
    value = mpmath.mpf(1) / 2 - mpmath.atan(2 * mpmath.sqrt(2)) / (2 * mpmath.pi)
    assert abs(float(answer.lo) - float(value)) < 1e-14


# --- zero biases -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", ["he_normal", "he_uniform", "glorot_normal", "keras", "lecun_uniform", "flax"])
@pytest.mark.parametrize(
    ("inputs", "value"),
    [
        ((1, 2, 5), Fraction(1, 2)),
        ((-3, -1), Fraction(1, 2)),
        ((0, 4), Fraction(1, 2)),
        ((-4, 0), Fraction(1, 2)),
        ((0,), Fraction(1)),
        ((-1, 1), Fraction(0)),
        ((-1, 0, Fraction(1, 1000)), Fraction(0)),
        ((3,), Fraction(1, 2)),
    ],
    ids=str,
)
def test_zero_bias_in_one_dimension(law: str, inputs: tuple[Fraction, ...], value: Fraction) -> None:
    """With `b = 0` the event is `w x <= 0` for all inputs: both, one or no sign of `w` will do."""
    signs = sum(all(sign * x <= 0 for x in inputs) for sign in (-1, 1))
    assert Fraction(signs, 2) == value
    answer = found(zero_bias_hull(layer(inputs, law)), width=Fraction(0))
    assert answer.enclosure.contains(value)
    chosen = dead_probability(problem(inputs, law))
    assert chosen is not None
    assert chosen.enclosure == answer.enclosure


# --- box -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dimension", "value"),
    [(1, Fraction(3, 8)), (2, Fraction(13, 48)), (3, Fraction(73, 384)), (5, Fraction(4051, 46080))],
)
def test_check_values_of_the_unit_box(dimension: int, value: Fraction) -> None:
    assert unit_box_probability(dimension) == value
    corners = list(itertools.product((0, 1), repeat=dimension))
    n = 100_000
    count = sampled("uniform", (1.0, 1.0), corners, n, seed=13 + dimension)
    assert_frequency(count, n, float(value), float(value))
    answer = box_uniform(layer(corners, "pytorch"))
    assert answer is not None
    assert answer.enclosure.lo == value
    assert answer.enclosure.hi == 1
    assert not answer.two_sided


@pytest.mark.parametrize("dimension", [1, 2, 3, 4, 6, 10])
def test_the_unit_box_by_integrating_one_weight_at_a_time(dimension: int) -> None:
    """`G_d(s)`, the volume of `{sum_i max(w_i, 0) <= s}`: `G_d(s) = G_{d-1}(s) + int_0^s G_{d-1}`, from `G_0 = 1`."""

    def integral(polynomial: list[Fraction]) -> list[Fraction]:
        return [Fraction(0)] + [coefficient / (power + 1) for power, coefficient in enumerate(polynomial)]

    volume = [Fraction(1)]
    for _ in range(dimension):
        volume = [a + b for a, b in itertools.zip_longest(volume, integral(volume), fillvalue=Fraction(0))]
    assert unit_box_probability(dimension) == sum(integral(volume)) / 2 ** (dimension + 1)


@given(inputs=st.lists(st.builds(Fraction, st.integers(0, 12), st.just(12)), min_size=1, max_size=6, unique=True))
@example(inputs=[Fraction(0), Fraction(1)])
def test_box_is_a_lower_bound_of_the_exact_value(inputs: list[Fraction]) -> None:
    case = layer(inputs, "pytorch")
    lower, exact = box_uniform(case), found(uniform_1d(case))
    assert lower is not None
    assert lower.enclosure.lo <= exact.enclosure.hi
    assert lower.enclosure.lo <= clipped_area(Fraction(1), Fraction(1), inputs) / 4
    if {Fraction(0), Fraction(1)} <= set(inputs):
        assert exact.enclosure.contains(lower.enclosure.lo)


@pytest.mark.parametrize("dimension", [2, 4])
def test_box_is_a_lower_bound_for_data_inside_the_box(dimension: int) -> None:
    points = [tuple(row) for row in np.random.default_rng(3).uniform(0, 1, (5, dimension)).round(3).tolist()]
    lower = box_uniform(layer([tuple(Fraction(str(v)) for v in row) for row in points], "uniform(3)"))
    assert lower is not None
    n = 100_000
    count = sampled("uniform", (3.0, 3.0), points, n, seed=17)
    assert binom.cdf(count, n, float(lower.enclosure.lo)) > FALSE_ALARM


# --- monotone, declining, choosing -----------------------------------------------------------------------------------


@given(
    inputs=input_lists,
    more=input_lists,
    law=st.sampled_from(["pytorch", "standard_normal", "he_normal", "uniform(2)"]),
)
def test_more_inputs_never_raise_the_probability(inputs: list[Fraction], more: list[Fraction], law: str) -> None:
    few = dead_probability(problem(inputs, law))
    many = dead_probability(problem([*inputs, *more], law))
    assert few is not None
    assert many is not None
    assert many.enclosure.lo <= few.enclosure.hi


HERE = (
    "uniform_1d",
    "normal_1d",
    "zero_bias_hull",
    "zero_bias_orthant",
    "uniform_planar",
    "normal_planar",
    "normal_cap",
)


@pytest.mark.parametrize(
    ("inputs", "law", "bias", "applying"),
    [
        ((0, 1), "pytorch", None, "uniform_1d uniform_planar"),
        ((0, 1), "uniform(1)", "uniform(2)", "uniform_1d uniform_planar"),
        ((0, 1), "standard_normal", None, "normal_1d normal_planar normal_cap"),
        ((0, 1), "he_normal", None, "zero_bias_hull zero_bias_orthant normal_planar"),
        ((-1, 1), "he_normal", None, "zero_bias_hull"),
        ((0, 1), "he_uniform", None, "zero_bias_hull zero_bias_orthant"),
        ((0, 1), "flax", "normal(1)", ""),
        ((0, 1), "he_normal", "uniform(1)", ""),
        ((0, 1), "pytorch", "normal(1)", ""),
        (((0, 0), (1, 2)), "pytorch", None, "uniform_planar"),
        (((0, 0), (1, -1), (1, 0)), "he_uniform", "uniform(1/3)", ""),
        (((1, 2), (1, -1)), "keras", None, "uniform_planar"),
        (((1, 2), (1, 1)), "keras", None, "uniform_planar zero_bias_orthant"),
        (((1, 2), (1, 1)), "flax", None, "zero_bias_orthant"),
        (((1, 2), (1, -1)), "flax", None, ""),
        (((1, 2), (2, 4)), "flax", None, "zero_bias_hull zero_bias_orthant"),
        (((1, 2), (-2, -4)), "flax", None, "zero_bias_hull"),
        (((0, 0), (1, 1)), "standard_normal", None, "normal_planar normal_cap"),
        (((0, 0, 0, 1), (1, 1, 0, 0), (2, 2, 0, 0)), "normal(1, 3)", None, "normal_planar normal_cap"),
        (((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)), "normal(1, 3)", None, "normal_cap"),
        (((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)), "pytorch", None, ""),
    ],
    ids=str,
)
def test_methods_decline_where_they_must(inputs: Any, law: str, bias: str | None, applying: str) -> None:
    case = layer(inputs, law, bias)
    assert {name for name in HERE if METHODS[name](case) is not None} == set(applying.split())


def test_without_a_method_nothing_is_claimed() -> None:
    assert dead_probability(problem(((0, 1), (1, 2)), "orthogonal", "uniform(1)")) is None
    assert (TRIVIAL.enclosure, TRIVIAL.two_sided) == (Enclosure(Fraction(0), Fraction(1)), False)


def test_the_best_lower_bound_is_chosen_and_costly_methods_only_run_without_an_exact_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    def bound(name: str, lo: Fraction, *, two_sided: bool = False) -> Method:
        def method(_: FirstLayer) -> DeadProbability:
            asked.append(name)
            return DeadProbability(name, Enclosure(lo, Fraction(1)), two_sided, Evidence.CERTIFIED, "")

        return method

    small, large = bound("small", Fraction(1, 8)), bound("large", Fraction(1, 4))
    for order in ((small, large), (large, small)):
        monkeypatch.setattr(dead_neuron, "METHODS", {str(k): method for k, method in enumerate(order)})
        dead_neuron._best.cache_clear()
        assert dead_neuron._best(layer((0, 1), "pytorch")).method == "large"
    exact = bound("exact", Fraction(1, 16), two_sided=True)
    monkeypatch.setattr(dead_neuron, "METHODS", {"large": large, "exact": exact, "small": small})
    dead_neuron._best.cache_clear()
    asked.clear()
    assert dead_neuron._best(layer((0, 1), "pytorch")).method == "exact"
    assert asked == ["large", "exact"]
    dead_neuron._best.cache_clear()
    dead_neuron.certified.cache_clear()


@given(inputs=st.lists(st.tuples(values, values, values), min_size=1, max_size=5, unique=True), zero=st.booleans())
@example(inputs=[(Fraction(0),) * 3], zero=True)
@example(inputs=[(Fraction(0),) * 3], zero=False)
@example(inputs=[(Fraction(1), Fraction(0), Fraction(2)), (Fraction(3), Fraction(0), Fraction(6))], zero=True)
def test_reduction_keeps_what_matters(inputs: list[tuple[Fraction, ...]], zero: bool) -> None:
    """Columns of zeros go, and for zero biases the length of inputs; p_1 is that of the layer as given."""
    first = layer([tuple(v if i != 1 else Fraction(0) for i, v in enumerate(x)) for x in inputs], "standard_normal")
    if zero:
        first = FirstLayer(first.inputs, first.weight, Zero())
    reduced = first.reduced()
    assert reduced.dimension == max(1, sum(any(column) for column in zip(*first.inputs, strict=True)))
    direct = zero_bias_hull(first) or normal_planar(first)
    small = zero_bias_hull(reduced) or normal_planar(reduced)
    assert (direct is None) == (small is None)
    if direct is not None and small is not None:
        assert direct.enclosure.meets(small.enclosure)
        assert direct.two_sided
        assert small.two_sided
    if zero:
        sums = [sum(map(abs, x)) for x in reduced.inputs if any(x)]
        assert all(Fraction(98, 100) <= value <= Fraction(102, 100) for value in sums)
        assert len(reduced.inputs) == max(
            1, len({tuple(v / sum(map(abs, x)) for v in x) for x in first.inputs if any(x)})
        )


@pytest.mark.parametrize("exponent", [-2000, -310, 310, 2000])
def test_rays_of_numbers_beyond_floats(exponent: int) -> None:
    size = Fraction(10) ** exponent
    first = layer([(size, 2 * size), (1, 2), (2, 1)], "keras")
    assert len(first.rays) == 2
    assert all(Fraction(98, 100) <= sum(x) <= Fraction(102, 100) for x in first.rays)
    answer = certified(first)
    assert answer.enclosure == certified(layer([(1, 2), (2, 1)], "keras")).enclosure


def test_an_exact_answer_is_preferred_to_a_lower_bound() -> None:
    answer = dead_probability(problem((Fraction(1, 4), Fraction(1, 2)), "pytorch"))
    assert answer is not None
    assert answer.method == "uniform_1d"
    assert answer.enclosure.contains(clipped_area(Fraction(1), Fraction(1), [Fraction(1, 4), Fraction(1, 2)]) / 4)


@pytest.mark.parametrize("exponent", [-400, 400])
@pytest.mark.parametrize("bias", [Normal, Uniform])
@pytest.mark.parametrize("weight", [Normal, Uniform, TruncatedNormal])
def test_scales_far_apart(weight: type[Law], bias: type[Law], exponent: int) -> None:
    """Every method bounds or declines; half of the neurons have a negative bias."""
    inputs = tuple(tuple(map(Fraction, row)) for row in ((0, 1, 2), (1, 0, 1), (2, 2, 1), (1, 2, 0)))
    first = FirstLayer(inputs, weight(sympy.Integer(1)), bias(sympy.Integer(10) ** exponent))
    assert 0 <= certified(first).enclosure.lo <= Fraction(1, 2)


def test_nothing_is_said_of_weights_that_are_not_independent() -> None:
    assert dead_probability(problem((0, 1), "orthogonal")) is None
    assert dead_probability(problem((0, 1), "orthogonal"), nonpositive_bias=True) is None


@pytest.mark.parametrize(
    ("inputs", "law", "value"),
    [
        ((1, 2), "pytorch", Fraction(5, 16)),
        ((0, 1), "pytorch", Fraction(3, 8)),
        ((-1, 1), "standard_normal", Fraction(1, 4)),
        ((-2, -1), "he_normal", Fraction(1, 2)),
    ],
)
def test_dead_with_a_bias_that_is_not_positive(inputs: tuple[int, ...], law: str, value: Fraction) -> None:
    """`p_1'` counts the input 0 too."""
    answer = dead_probability(problem(inputs, law), nonpositive_bias=True)
    assert answer is not None
    if law == "pytorch":
        assert clipped_area(Fraction(1), Fraction(1), [Fraction(0), *map(Fraction, inputs)]) / 4 == value
    assert answer.enclosure.contains(value)


def test_data_around_the_origin_need_no_second_look() -> None:
    """0 in the hull of the inputs changes nothing, so the very same answer comes back."""
    around, aside = problem(((1, 0), (-1, 1), (-1, -2)), "pytorch"), problem(((1, 0), (2, 1), (1, 2)), "pytorch")
    assert dead_probability(around, nonpositive_bias=True) is dead_probability(around)
    assert dead_probability(aside, nonpositive_bias=True) != dead_probability(aside)
    origin = dead_probability(problem(((1, 0), (2, 1), (1, 2), (0, 0)), "pytorch"))
    assert dead_probability(aside, nonpositive_bias=True) == origin


# --- the checks above can fail ---------------------------------------------------------------------------------------


def test_planted_wrong_values_are_caught() -> None:
    """A probability that is 2 % off is refuted by the frequency check."""
    n = 1_000_000
    count = sampled("uniform", (1.0, 1.0), (0, 1), n, seed=11)
    assert_frequency(count, n, 0.375, 0.375)
    for wrong in (0.375 * 1.02, 0.375 * 0.98):
        with pytest.raises(AssertionError):
            assert_frequency(count, n, wrong, wrong)
