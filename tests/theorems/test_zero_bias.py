"""T7, T8, T11a, T14, T15: exact cases, a second evaluation in floats, golden values, simulation, planted faults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise
from math import exp, log, pi, prod

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom, norm

from theorems.bounds import TOUR_LENGTH, TOUR_ZEROS, Bound, Recursion
from theorems.catalogue import THEOREMS, t07, t08, t11a, t11b, t14, t15
from theorems.errors import InvalidInput
from theorems.hypotheses import Status
from theorems.laws import Normal, TruncatedNormal, Uniform, Zero, parse_initialization
from theorems.problem import Problem
from theorems.rules import every_rule
from theorems.setting import Architecture, DataSet
from theorems.theorem import Relation
from verify.enclosure import evaluate, evaluate_bound
from verify.evaluate import evaluate_theorem

FALSE_ALARM = 1e-8  # of each comparison with simulation, by the exact binomial tail
Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]


def problem(inputs: Sequence[Sequence[float]], hidden: Sequence[int], law: str = "he_normal") -> Problem:
    rows = [tuple(Fraction(v) for v in x) for x in inputs]
    data = DataSet.from_rows("rays", rows, [(Fraction(i * i),) for i in range(len(rows))])
    return Problem(Architecture((len(rows[0]), *hidden, 1)), parse_initialization(law), data, every_rule())


# few widths, so that the few kinds of layers are compiled once
NETWORKS = st.lists(st.sampled_from([1, 2, 3, 6]), min_size=1, max_size=10)


def fan(rays: int) -> list[tuple[int, int]]:
    """Inputs on so many rays of the plane."""
    return [(1, i) for i in range(rays)]


def low(bound: Bound, p_dead: float = 0, *, zeros: float | Fraction = 0, length: float | Fraction = 0) -> float:
    sizes = {TOUR_ZEROS: Fraction(zeros), TOUR_LENGTH: Fraction(length)}
    return float(evaluate_bound(bound, Fraction(p_dead), sizes).lo)


def exactly(bound: Recursion) -> Fraction:
    """Run a recursion without quantities of the case in rational arithmetic."""
    state = list(bound.start)
    for layer in bound.layers:
        known = dict(zip(bound.parameters, layer, strict=True)) | dict(zip(bound.state, state, strict=True))
        state = [step.xreplace(known) for step in bound.step]
    value = bound.result.xreplace(dict(zip(bound.state, state, strict=True)))
    return Fraction(int(value.p), int(value.q))


# --- T7, T11a: the exact product -----------------------------------------------------------------------------------


def product(hidden: Sequence[int]) -> Fraction:
    return 1 - prod((1 - Fraction(1, 2**width) for width in hidden), start=Fraction(1))


@pytest.mark.parametrize("hidden", [(1,), (3,), (2, 5), (3,) * 10, (4, 1, 2), (70, 2)])
def test_one_ray_attains_the_ceiling(hidden: tuple[int, ...]) -> None:
    one_ray, many = problem([(1,), (2,)], hidden), problem(fan(5), hidden)
    assert exactly(t07.bound(one_ray)) == product(hidden)
    assert exactly(t11a.bound(many)) == product(hidden)
    assert evaluate_bound(t11a.bound(many), Fraction(0)).contains(product(hidden))


def test_the_ceiling_is_not_rounded_down_at_large_widths() -> None:
    """Replacing `2^-5000` by 0 is safe for a lower bound, and wrong for an upper bound or an equality."""
    wide = problem([(1,), (2,)], (5000,))
    assert exactly(t11a.bound(wide)) == Fraction(1, 2**5000)
    assert evaluate_bound(t07.bound(wide), Fraction(0)).hi >= Fraction(1, 2**5000)
    assert exactly(t11b.bound(wide)) == 0


# --- T8 ------------------------------------------------------------------------------------------------------------


def quoted(width: int, depth: int) -> Fraction:
    """The lower bound of arXiv:1903.06733 as commonly quoted, depth `L`."""
    alpha = 1 - Fraction(1, 2**width)
    beta = 1 - Fraction(2, 2**width) - Fraction(width - 1, 4**width)
    factor = (1 - Fraction(2, 2**width)) * (1 - Fraction(1, 2**width)) / (1 + Fraction(width - 1, 2**width))
    return 1 - alpha ** (depth - 2) + factor * (beta ** (depth - 2) - alpha ** (depth - 2))


@pytest.mark.parametrize("width", [1, 2, 3, 5, 12])
@pytest.mark.parametrize("hidden_layers", [1, 2, 3, 9, 40])
def test_opposite_rays_give_the_quoted_bound_exactly(width: int, hidden_layers: int) -> None:
    case = problem([(-1,), (1,)], (width,) * hidden_layers)
    assert exactly(t08.bound(case)) == quoted(width, hidden_layers + 1)


@pytest.mark.parametrize(("width", "value"), [(2, 0.870), (3, 0.513), (5, 0.064)])
def test_opposite_rays_at_depth_ten(width: int, value: float) -> None:
    """Golden values: the derivation notes of T8, nine hidden layers."""
    assert low(t08.bound(problem([(-1,), (1,)], (width,) * 9))) == pytest.approx(value, abs=5e-4)


def two_rays_alive(hidden: Sequence[int]) -> float:
    """The recursion of T8 written down again, from the last layer to the second, in floats."""
    single = both = 1.0
    for width in reversed(hidden[1:]):
        q = 2.0**-width
        single, both = (1 - q) * single, width * q * q * single + (1 - 2 * q - (width - 1) * q * q) * both
    q = 2.0 ** -hidden[0]
    return 2 * q * single + (1 - 2 * q) * (2 * single - both)


@given(hidden=st.lists(st.integers(1, 9), min_size=1, max_size=12))
@settings(max_examples=12, deadline=None)
def test_opposite_rays_at_varying_widths(hidden: list[int]) -> None:
    case = problem([(-1,), (1,)], hidden)
    value = exactly(t08.bound(case))
    assert float(value) == pytest.approx(1 - two_rays_alive(hidden), abs=1e-12)
    assert exactly(t11b.bound(case)) <= value <= product(hidden)


# --- T14, T15: the recursion ---------------------------------------------------------------------------------------


def recursion(case: Problem, needed: int | None = None) -> Bound:
    """The first of the bounds of T15."""
    return t15.bound(case, needed).bounds[0]


def plain(hidden: Sequence[int], zeros: float, p_dead: float = 0, needed: int | None = None) -> float:
    """The recursion of T14 and T15 written down again, in floats."""
    survival = 1.0
    for layer, width in enumerate(hidden):
        one = max(1 - zeros / 2 / survival, 0) / 2
        if layer == 0:
            survival = binom.cdf((width if needed is None else needed) - 1, width, max(one, p_dead))
        else:
            survival *= 1 - max(one**width, 2.0 ** (-width * hidden[layer - 1]))
        zeros *= 0.0 if width == 1 else 1 - (width + 2) * 2.0 ** (-width - 1)
    return 1 - survival


def closed_form(hidden: Sequence[int], zeros: float, rays: int) -> float:
    return 1 - min(rays, 1 + zeros / 2) * float(1 - product(hidden))


@given(
    hidden=NETWORKS,
    halves=st.sampled_from([0, 1, 2, 3, 4, 7, 10, 23, 60]),
    rays=st.integers(1, 40),
    p_dead=st.sampled_from([0.0, 0.25, 0.5]),
    needed=st.none() | st.integers(1, 9),
)
@settings(max_examples=12, deadline=None)
def test_the_recursion_against_plain_floats(
    hidden: list[int], halves: int, rays: int, p_dead: float, needed: int | None
) -> None:
    needed = None if needed is None else min(needed, hidden[0])
    case = problem(fan(rays), hidden)
    found = low(recursion(case, needed), p_dead, zeros=Fraction(halves, 2))
    assert found == pytest.approx(plain(hidden, halves / 2, p_dead, needed), abs=1e-9)
    forward = t14.bound(case, needed).bounds[0]
    assert low(forward, p_dead, length=halves / 2 * pi) == pytest.approx(found, abs=1e-9)


@pytest.mark.parametrize(
    ("hidden", "zeros", "rays", "value"),
    [
        ((2,) * 10, 2, 8, 0.862),
        ((3,) * 10, 2, 8, 0.446),
        ((3,) * 30, 2, 8, 0.958),
        ((4,) * 50, 2, 8, 0.915),
        ((5,) * 100, 2, 8, 0.916),
        ((6,) * 100, 2, 8, 0.606),
        ((3,) * 30, 18.8, 50, 0.909),
        ((4,) * 100, 18.8, 50, 0.993),
        ((2,) * 10, 50, 50, 0.610),
        ((6,) * 100, 50, 50, 0.203),
        ((3,) * 30, 9.0, 50, 0.929),
        ((5,) * 100, 25, 50, 0.832),
        ((3,) * 10, 5, 10, 0.284),
        ((4,) * 50, 5, 10, 0.888),
    ],
)
def test_golden_values(hidden: tuple[int, ...], zeros: float, rays: int, value: float) -> None:
    """The table in the derivation notes of T15, computed there by another program, to its three decimals."""
    assert low(recursion(problem(fan(rays), hidden)), zeros=Fraction(str(zeros))) == pytest.approx(value, abs=1.1e-3)


@pytest.mark.parametrize(
    ("hidden", "length", "rays", "forward", "backward"),
    [
        ((3,) * 10, 2 * pi, 8, 0.446, 0.507),
        ((3,) * 30, 46.3, 50, 0.916, 0.930),
        ((8,) * 1000, 46.3, 50, 0.947, None),
        ((2,) * 10, 2 * pi, 8, 0.861, None),
    ],
)
def test_golden_values_for_normal_weights(
    hidden: tuple[int, ...], length: float, rays: int, forward: float, backward: float | None
) -> None:
    """Values in the derivation notes of T14, computed there by another program."""
    parts = t14.bound(problem(fan(rays), hidden))
    found = {name: low(part, length=length) for name, part in zip(parts.names, parts.bounds, strict=True)}
    assert found["recursion"] == pytest.approx(forward, abs=1.1e-3)
    if backward is not None:
        assert found["backward program"] == pytest.approx(backward, abs=1.1e-3)


@given(hidden=NETWORKS, halves=st.sampled_from([0, 1, 2, 4, 5, 9, 17, 40]), rays=st.integers(1, 30))
@settings(max_examples=8, deadline=None)
def test_bounds_are_nested(hidden: list[int], halves: int, rays: int) -> None:
    """T11b below the closed form, recursion and closed form below T15, T15 below the ceiling T11a."""
    case, zeros, ceiling = problem(fan(rays), hidden), Fraction(halves, 2), float(product(hidden))
    parts = [low(part, zeros=zeros) for part in t15.bound(case).bounds]
    assert parts[1] == pytest.approx(closed_form(hidden, halves / 2, rays), abs=1e-9)
    assert parts[1] >= float(exactly(t11b.bound(case))) - 1e-12
    assert parts[2] >= max(parts[0], closed_form(hidden, halves / 2, 99)) - 1e-2
    assert low(t15.bound(case), zeros=zeros) == max(parts) <= ceiling + 1e-12
    assert low(t14.bound(case), length=halves / 2 * pi) <= ceiling + 1e-12


@given(
    hidden=NETWORKS,
    extra=st.sampled_from([1, 2, 3, 6]),
    halves=st.sampled_from([0, 1, 2, 4, 5, 9, 17, 40]),
    rays=st.integers(1, 30),
)
@settings(max_examples=8, deadline=None)
def test_the_recursion_is_monotone(hidden: list[int], extra: int, halves: int, rays: int) -> None:
    case, zeros = problem(fan(rays), hidden), Fraction(halves, 2)
    found = low(recursion(case), zeros=zeros)
    assert low(recursion(problem(fan(rays), [*hidden, extra])), zeros=zeros) >= found - 1e-12
    assert low(recursion(case), zeros=zeros + Fraction(1, 3)) <= found + 1e-12
    assert low(recursion(case), 0.3, zeros=zeros) >= found - 1e-12
    fewer = [low(recursion(case, needed), 0.1, zeros=zeros) for needed in range(1, hidden[0] + 1)]
    assert all(more >= less - 1e-12 for more, less in pairwise(fewer))


def test_no_zeros_is_one_ray() -> None:
    assert low(t15.bound(problem(fan(9), (3, 1, 4)))) == pytest.approx(float(product((3, 1, 4))), abs=1e-12)


def test_inputs_without_a_ray_do_no_harm() -> None:
    """All inputs are 0 only if labels do not vary; the bound is still defined and below the truth, 1."""
    assert 0 < low(t15.bound(problem([(0, 0)], (3,) * 4))) < low(t15.bound(problem([(0, 0)], (3,) * 40))) < 1


def test_very_wide_layers_lower_the_bound_and_nothing_else() -> None:
    mixed = (2, 5000, 3, 6000, 2)
    found = low(recursion(problem(fan(4), mixed)), zeros=2)
    assert found == pytest.approx(plain(mixed, 2), abs=1e-9)
    assert 0 < found <= low(t15.bound(problem(fan(4), mixed)), zeros=2) < float(product(mixed))


def test_ten_thousand_layers() -> None:
    deep = problem(fan(4), (8,) * 10_000)
    assert low(t15.bound(deep), zeros=2) >= 1 - 2 * (1 - 2.0**-8) ** 10_000 - 1e-15


# --- constants of the table ----------------------------------------------------------------------------------------


def test_constants_of_the_table() -> None:
    one = sympy.Integer(1)
    assert t15.zeros_per_half_turn(Normal(one)) == 1
    uniform = evaluate(t15.zeros_per_half_turn(Uniform(one)))
    assert float(uniform.lo) == pytest.approx(9 * pi / (8 * exp(1) * log(1.5)), abs=1e-9)
    assert float(uniform.hi) < 3.2067
    truncated = evaluate(t15.zeros_per_half_turn(TruncatedNormal(one)))
    assert float(truncated.hi) < 1.2757
    with pytest.raises(InvalidInput, match="expected one with a density"):
        t15.zeros_per_half_turn(Zero())


def test_the_tilt_of_the_truncated_normal_law_is_large_enough() -> None:
    """`V(lambda) <= s^2`, `V = 1 + lambda^2 - lambda phi(lambda)/Phi(-lambda)`, certified; and for no smaller tilt."""

    def variance(tilt: sympy.Expr) -> sympy.Expr:
        density = sympy.exp(-(tilt**2) / 2) / sympy.sqrt(2 * sympy.pi)
        return 1 + tilt**2 - 2 * tilt * density / (1 - sympy.erf(tilt / sympy.sqrt(2)))

    truncated = evaluate(TruncatedNormal(sympy.Integer(1)).variance).lo
    assert evaluate(variance(t15.TRUNCATED_TILT)).hi <= truncated
    assert evaluate(variance(t15.TRUNCATED_TILT - sympy.Rational(1, 1000))).lo > truncated
    tilt = float(t15.TRUNCATED_TILT)
    assert float(evaluate(t15.zeros_per_half_turn(TruncatedNormal(sympy.Integer(1)))).lo) == pytest.approx(
        exp(-(tilt**2) / 2) / (2 * norm.cdf(-tilt)), abs=1e-9
    )


# --- simulation ----------------------------------------------------------------------------------------------------


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape)


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(-1, 1, shape)


def truncated(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    found: Array = norm.ppf(norm.cdf(-2) + (norm.cdf(2) - norm.cdf(-2)) * rng.random(shape))
    return found


def nearly_rademacher(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.choice([-1.0, 1.0], shape) * (1 + 0.05 * rng.random(shape))


def cauchy(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_cauchy(shape)


def dead_layers(inputs: Sequence[Sequence[float]], hidden: Sequence[int], draw: Draw, trials: int, seed: int) -> int:
    """How many of so many networks without biases have a layer that is off at all inputs."""
    rng = np.random.default_rng(seed)
    outputs = np.broadcast_to(np.array(inputs, dtype=np.float64), (trials, len(inputs), len(inputs[0])))
    dead = np.zeros(trials, dtype=bool)
    for width in hidden:
        weights = draw(rng, (trials, outputs.shape[2], width))
        outputs = np.maximum(outputs @ weights, 0)
        outputs = outputs / np.maximum(outputs.max(axis=(1, 2), keepdims=True), 1e-300)
        dead |= ~(outputs > 0).any(axis=(1, 2))
    return int(dead.sum())


def is_refuted(events: int, trials: int, claimed: float) -> bool:
    """Whether so few events are less likely than 1e-8 if the event has at least the claimed probability."""
    return bool(binom.cdf(events, trials, min(claimed, 1.0)) < FALSE_ALARM)


TRIALS = 12_000
PLANE = [(1.0, 0.3), (-0.5, 1.0), (-1.0, -1.0), (0.2, -1.0), (1.0, 1.0)]
CUBE = [tuple(float(b) for b in np.binary_repr(i, 4)) for i in range(1, 12)]  # in [0,1]^4, eleven rays


@pytest.mark.parametrize("draw", [uniform, truncated, nearly_rademacher, cauchy])
@pytest.mark.parametrize(
    ("inputs", "zeros"),
    [
        pytest.param(PLANE, 2, id="plane"),
        pytest.param(CUBE, Fraction(11, 2), id="cube"),
        pytest.param([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)], Fraction(3, 2), id="one-hot"),
        pytest.param([(1.0, 1.0), (1.0, 0.999)], 1, id="two close rays"),
    ],
)
@pytest.mark.parametrize("hidden", [(3,) * 6, (2, 5, 1, 4)], ids=str)
def test_simulation_does_not_contradict_any_law(
    draw: Draw, inputs: Sequence[Sequence[float]], zeros: Fraction, hidden: tuple[int, ...]
) -> None:
    """T15 with bounds of the number of zeros that hold for every symmetric law."""
    events = dead_layers(inputs, hidden, draw, TRIALS, 5)
    assert not is_refuted(events, TRIALS, low(t15.bound(problem(inputs, hidden, "keras")), zeros=zeros))


@pytest.mark.parametrize(
    ("inputs", "length", "hidden"),
    [
        (PLANE, 2 * pi, (3,) * 10),
        (PLANE, 2 * pi, (2,) * 8),
        ([(1.0, 0.0), (1.0, 0.1)], 0.2, (3,) * 10),
        ([(1.0, 0.0), (-1.0, 0.001)], 2 * pi, (3,) * 10),
        ([(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)], 1.5 * pi, (4,) * 12),
        ([(1.0, 0.0), (0.0, 1.0)], pi, (2, 6, 3, 3, 2)),
    ],
)
def test_simulation_does_not_contradict_normal_weights(
    inputs: Sequence[Sequence[float]], length: float, hidden: tuple[int, ...]
) -> None:
    """T14, recursion and backward program; the cases with two rays use their own contraction."""
    events = dead_layers(inputs, hidden, normal, TRIALS, 6)
    for part in t14.bound(problem(inputs, hidden)).bounds:
        assert not is_refuted(events, TRIALS, low(part, length=length))


@pytest.mark.parametrize("hidden", [(2,) * 5, (3,) * 9, (4, 2, 3)], ids=str)
@pytest.mark.parametrize("draw", [uniform, nearly_rademacher])
def test_simulation_does_not_contradict_opposite_rays(draw: Draw, hidden: tuple[int, ...]) -> None:
    events = dead_layers([(-1.0,), (1.0,)], hidden, draw, TRIALS, 7)
    assert not is_refuted(events, TRIALS, float(exactly(t08.bound(problem([(-1,), (1,)], hidden)))))
    assert not binom.sf(events - 1, TRIALS, float(product(hidden))) < FALSE_ALARM  # the ceiling


def test_simulation_agrees_with_the_equality_for_one_ray() -> None:
    hidden, trials = (3,) * 6, 40_000
    events = dead_layers([(1.0, 2.0), (2.0, 4.0)], hidden, truncated, trials, 8)
    exact = float(product(hidden))
    assert not is_refuted(events, trials, exact)
    assert not binom.sf(events - 1, trials, exact) < FALSE_ALARM
    assert is_refuted(events, trials, exact * 1.04)
    assert binom.sf(events - 1, trials, exact * 0.96) < FALSE_ALARM


def test_simulation_with_few_dead_neurons_needed() -> None:
    """T12's event, `needed` dead first-layer neurons or a dead layer, for two rays at a right angle (`p_1 = 1/4`)."""
    rng, trials, hidden = np.random.default_rng(9), TRIALS, (4, 3, 3, 3)
    alive = normal(rng, (trials, 2, 4)) > 0
    neurons = (~alive.any(axis=1)).sum(axis=1)
    rng = np.random.default_rng(9)
    outputs = np.broadcast_to(np.eye(2), (trials, 2, 2))
    dead = np.zeros(trials, dtype=bool)
    for width in hidden:
        outputs = np.maximum(outputs @ normal(rng, (trials, outputs.shape[2], width)), 0)
        dead |= ~(outputs > 0).any(axis=(1, 2))
    for needed in (1, 2, 3):
        events = int((dead | (neurons >= needed)).sum())
        parts = [low(part, 0.25, length=pi) for part in t14.bound(problem([(1, 0), (0, 1)], hidden), needed).bounds]
        assert not any(is_refuted(events, trials, claimed) for claimed in parts)
        assert min(parts[0], parts[2]) >= binom.sf(needed - 1, 4, 0.25) - 1e-9


# --- the contraction itself, on the whole circle, where it is an equality ------------------------------------------


def zeros_after_one_layer(width: int, draw: Draw, trials: int, seed: int) -> Array:
    """Zeros of a second-layer neuron on the image of the circle, joins included, one number for each draw."""
    rng = np.random.default_rng(seed)
    weights, later = draw(rng, (trials, width, 2)), draw(rng, (trials, width))
    angle = np.arctan2(weights[..., 1], weights[..., 0])
    ends = np.sort(np.mod(np.concatenate([angle + pi / 2, angle - pi / 2], axis=1), 2 * pi), axis=1)
    following = np.concatenate([ends[:, 1:], ends[:, :1] + 2 * pi], axis=1)

    def at(place: Array) -> Array:
        return weights[:, None, :, 0] * np.cos(place)[..., None] + weights[:, None, :, 1] * np.sin(place)[..., None]

    active = at((ends + following) / 2) > 0
    functional = np.einsum("tsn,tn,tnd->tsd", active, later, weights)
    signs = [functional[..., 0] * np.cos(place) + functional[..., 1] * np.sin(place) for place in (ends, following)]
    crossed = (active.sum(axis=2) >= 2) & (signs[0] * signs[1] < 0)
    here = np.einsum("tsn,tn->ts", active, later)  # one active neuron next to a gap: its later weight
    gap = active.sum(axis=2) == 0
    joined = gap & (np.roll(here, 1, axis=1) * np.roll(here, -1, axis=1) < 0)
    found: Array = crossed.sum(axis=1) + joined.sum(axis=1).astype(np.float64)
    return found


@pytest.mark.parametrize("draw", [normal, uniform, nearly_rademacher])
@pytest.mark.parametrize("width", [2, 3])
def test_one_layer_contracts_the_circle_by_the_factor(width: int, draw: Draw) -> None:
    """`E N_1 = 2 rho(l_1)`, for every law. Hoeffding with `N_1 <= 2 l_1`: false alarm 2e-8; wrong factors are seen."""
    trials = 80_000
    mean = float(zeros_after_one_layer(width, draw, trials, 3).mean())
    slack = 2 * width * (log(2 / 1e-8) / (2 * trials)) ** 0.5

    def agrees(factor: float) -> bool:
        return abs(mean - 2 * factor) <= slack

    assert agrees(1 - (width + 2) * 2.0 ** (-width - 1))
    assert not agrees(1 - (width + 1) * 2.0**-width)  # joins forgotten
    assert not agrees(1 - (width + 3) * 2.0 ** (-width - 1))
    assert not agrees(1 - 2.0**-width)  # as if nothing but gaps were lost


# --- planted faults ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda found: found * 1.03, id="constant"),
        pytest.param(lambda found: 1 - found + 0.5, id="complement"),
    ],
)
def test_planted_faults_are_seen(wrong: Callable[[float], float]) -> None:
    close, hidden, trials = [(1.0, 0.0), (1.0, 0.02)], (3,) * 8, 60_000
    events = dead_layers(close, hidden, normal, trials, 10)
    claimed = low(t14.bound(problem(close, hidden)), length=0.04)
    assert not is_refuted(events, trials, claimed)
    assert is_refuted(events, trials, wrong(claimed))


def test_forgetting_zeros_is_seen() -> None:
    """As if two opposite rays were one: the bound without zeros on the tour is refuted by them."""
    opposite, hidden = [(-1.0,), (1.0,)], (3,) * 5
    events = dead_layers(opposite, hidden, uniform, TRIALS, 11)
    case = problem(opposite, hidden, "keras")
    assert not is_refuted(events, TRIALS, low(t15.bound(case), zeros=2))
    assert is_refuted(events, TRIALS, low(t15.bound(case), zeros=0))


# --- the catalogue -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "inputs", "law", "status"),
    [
        ("T7", [(1,), (2,)], "keras", Status.HOLDS),
        ("T7", [(0, 0), (1, 2), (2, 4)], "he_normal", Status.HOLDS),
        ("T7", [(-1,), (2,)], "keras", Status.FAILS),
        ("T7", [(1,), (2,)], "pytorch", Status.FAILS),
        ("T8", [(-1,), (2,)], "flax", Status.HOLDS),
        ("T8", [(1, 0), (0, 1)], "flax", Status.FAILS),
        ("T11a", [(1, 0), (0, 1)], "pytorch", Status.HOLDS),
        ("T11a", [(1, 0), (0, 1)], "orthogonal", Status.FAILS),
        ("T14", [(1, 0), (0, 1)], "he_normal", Status.HOLDS),
        ("T14", [(1, 0), (0, 1)], "keras", Status.FAILS),
        ("T14", [(1, 0), (0, 1)], "standard_normal", Status.FAILS),
        ("T15", [(1, 0), (0, 1)], "keras", Status.HOLDS),
        ("T15", [(1, 0), (0, 1)], "flax", Status.HOLDS),
        ("T15", [(1, 0), (0, 1)], "pytorch", Status.FAILS),
        ("T15", [(1, 0), (0, 1)], "orthogonal", Status.FAILS),
    ],
)
def test_hypotheses_are_decided(name: str, inputs: Sequence[Sequence[int]], law: str, status: Status) -> None:
    found = evaluate_theorem(THEOREMS[name], problem(inputs, (3, 3), law))
    assert found.status is status
    assert (found.bound is not None) is (status is Status.HOLDS)


def test_what_each_claims_of_the_event() -> None:
    assert THEOREMS["T7"].relation is Relation.EQUAL
    assert THEOREMS["T11a"].relation is Relation.AT_MOST
    assert all(THEOREMS[name].relation is Relation.AT_LEAST for name in ("T8", "T14", "T15"))
    assert THEOREMS["T11a"].instance(problem(fan(2), (3,)), 0).forced is None


def test_the_ceiling_is_above_all_lower_bounds() -> None:
    case = problem(PLANE, (3,) * 6)
    found = {name: evaluate_theorem(THEOREMS[name], case).bound for name in ("T11a", "T11b", "T14", "T15")}
    ceiling = found["T11a"]
    assert ceiling is not None
    for bound in found.values():
        assert bound is not None
        assert bound.lo <= ceiling.hi
