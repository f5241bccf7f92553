"""T18: golden values, hypotheses, simulation with several laws, a nearly sharp case, planted faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from math import comb, cos, pi, prod, sin

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom

from theorems.bounds import P_DEAD, TOUR_ZEROS
from theorems.catalogue import t11a, t15, t18
from theorems.hypotheses import Status
from theorems.laws import parse_initialization
from theorems.lines import LineProgram
from theorems.problem import Problem
from theorems.rules import every_rule
from theorems.setting import Architecture, DataSet
from verify.enclosure import evaluate_bound
from verify.enclosure import lines as evaluator
from verify.enclosure.lines import run_lines
from verify.hypotheses import decide

FALSE_ALARM = 1e-8  # of each comparison with simulation, by the exact binomial tail
Array = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Array]


def problem(inputs: Sequence[Sequence[float]], hidden: Sequence[int], law: str = "he_normal") -> Problem:
    rows = [tuple(Fraction(v) for v in x) for x in inputs]
    data = DataSet.from_rows("rays", rows, [(Fraction(i * i),) for i in range(len(rows))])
    return Problem(Architecture((len(rows[0]), *hidden, 1)), parse_initialization(law), data, every_rule())


def fan(rays: int) -> list[tuple[int, int]]:
    return [(1, i) for i in range(rays)]


def low(bound: LineProgram, zeros: float | Fraction, p_dead: float = 0) -> float:
    return float(evaluate_bound(bound, Fraction(p_dead), {TOUR_ZEROS: Fraction(zeros)}).lo)


@pytest.mark.parametrize(
    ("hidden", "zeros", "rays", "golden"),
    [
        ((2,) * 5, 50, 50, 0.5430),
        ((2,) * 10, 2, 400, 0.8905),
        ((2,) * 30, 5, 10, 0.9997),
        ((3,) * 5, 2, 400, 0.1401),
        ((3,) * 10, 2, 400, 0.5104),
        ((3,) * 10, 5, 10, 0.4082),
        ((3,) * 10, 1000, 1000, 0.3938),
        ((3,) * 30, 2, 400, 0.9657),
        ((3,) * 30, 50, 50, 0.9545),
        ((3,) * 30, 5, 10, 0.9578),
        ((4,) * 10, 2, 400, 0.1405),
        ((4,) * 30, 25, 50, 0.5409),
        ((4,) * 50, 50, 50, 0.873),
        pytest.param((6,) * 100, 2, 400, 0.650, marks=pytest.mark.slow),
        pytest.param((6,) * 100, 14.7, 50, 0.433, marks=pytest.mark.slow),
        pytest.param((6,) * 100, 5, 10, 0.5625, marks=pytest.mark.slow),
        pytest.param((8,) * 100, 2, 400, 0.0364, marks=pytest.mark.slow),
        ((3, 1, 3), 1000, 1000, 1 - (7 / 8) ** 2),
    ],
)
def test_golden_values(hidden: tuple[int, ...], zeros: float, rays: int, golden: float) -> None:
    """The table of the derivation notes of T18, computed there in floats by another program with another search."""
    assert low(LineProgram(hidden, rays), zeros) == pytest.approx(golden, abs=1.5e-3)


@pytest.mark.parametrize("hidden", [(2,) * 10, (3,) * 10, (3,) * 20, (4,) * 12], ids=str)
@pytest.mark.parametrize(("zeros", "rays"), [(2, 12), (5, 10), (50, 50)])
def test_sharper_than_zeros_on_a_tour_and_below_the_ceiling(hidden: tuple[int, ...], zeros: int, rays: int) -> None:
    case = problem(fan(rays), hidden)
    at = {TOUR_ZEROS: Fraction(zeros)}
    found = evaluate_bound(t18.bound(case), Fraction(0), at)
    assert evaluate_bound(t15.bound(case), Fraction(0), at).hi < found.lo
    assert found.hi < evaluate_bound(t11a.bound(case), Fraction(0)).hi


def test_the_bound_takes_its_numbers_from_the_problem() -> None:
    found = t18.bound(problem([(1, 0), (2, 0), (0, 0), (1, 1)], (3, 4)), 2)
    assert found == LineProgram((3, 4), n_rays=2, needed=2, opposite=False)
    assert t18.bound(problem([(-1,), (1,)], (3, 4))).opposite
    assert t18.bound(problem([(0, 0)], (3, 4))).n_rays == 1


def test_hypotheses() -> None:
    def statuses(law: str) -> list[Status]:
        case = problem(fan(4), (3, 3), law)
        return [decide(each, case, None).status for each in t18.THEOREM.instance(case, 0).hypotheses]

    assert Status.HOLDS in statuses("he_normal")
    assert Status.FAILS not in statuses("he_normal")[:3]
    assert Status.FAILS in statuses("pytorch")
    rate = t18.THEOREM.instance(problem(fan(4), (3, 3, 3)), 0).rate
    assert rate is not None
    assert float(rate.expression) == pytest.approx(-np.log(7 / 8))
    assert t18.THEOREM.instance(problem(fan(4), (3, 4)), 0).rate is None


# --- simulation ----------------------------------------------------------------------------------------------------


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape)


def uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.uniform(-1, 1, shape)


def nearly_rademacher(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.choice([-1.0, 1.0], shape) * (1 + 0.05 * rng.random(shape))


def cauchy(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_cauchy(shape)


def deaths(
    inputs: Sequence[Sequence[float]], hidden: Sequence[int], draw: Draw, trials: int, seed: int, needed: int = 99
) -> list[int]:
    """After each layer: how many networks without biases had a dead layer, or `needed` dead first-layer neurons."""
    rng = np.random.default_rng(seed)
    outputs = np.broadcast_to(np.array(inputs, dtype=np.float64), (trials, len(inputs), len(inputs[0])))
    dead, counts = np.zeros(trials, dtype=bool), []
    for layer, width in enumerate(hidden):
        outputs = np.maximum(outputs @ draw(rng, (trials, outputs.shape[2], width)), 0)
        outputs = outputs / np.maximum(outputs.max(axis=(1, 2), keepdims=True), 1e-300)
        on = outputs > 0
        dead |= ~on.any(axis=(1, 2))
        if layer == 0:
            dead |= (~on.any(axis=1)).sum(axis=1) >= needed
        counts.append(int(dead.sum()))
    return counts


def is_refuted(events: int, trials: int, claimed: float) -> bool:
    """Whether so few events are less likely than 1e-8 if the event has at least the claimed probability."""
    return bool(binom.cdf(events, trials, min(claimed, 1.0)) < FALSE_ALARM)


TRIALS = 4_000
PLANE = [(1.0, 0.3), (-0.5, 1.0), (-1.0, -1.0), (0.2, -1.0), (1.0, 1.0)]
CUBE = [tuple(float(b) for b in np.binary_repr(i, 4)) for i in range(1, 12)]  # in [0,1]^4, eleven rays
AXES = [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)]
OPPOSITE = [(-1.0,), (1.0,)]


@pytest.mark.parametrize("draw", [normal, uniform, nearly_rademacher, cauchy])
@pytest.mark.parametrize(
    ("inputs", "zeros"),
    [
        pytest.param(PLANE, 2, id="plane"),
        pytest.param(CUBE, Fraction(11, 2), id="cube"),
        pytest.param(AXES, Fraction(3, 2), id="one-hot"),
        pytest.param(OPPOSITE, 2, id="opposite"),
    ],
)
@pytest.mark.parametrize("hidden", [(3,) * 8, (2, 3, 6, 3, 2, 4)], ids=str)
def test_simulation_does_not_contradict_any_law(
    draw: Draw, inputs: Sequence[Sequence[float]], zeros: Fraction, hidden: tuple[int, ...]
) -> None:
    """After every layer, with bounds of the number of zeros that hold for every symmetric law."""
    for layers, events in enumerate(deaths(inputs, hidden, draw, TRIALS, 5), start=1):
        claimed = low(t18.bound(problem(inputs, hidden[:layers], "keras")), zeros)
        assert not is_refuted(events, TRIALS, claimed)


@pytest.mark.parametrize("needed", [1, 2, 3])
def test_simulation_with_few_dead_neurons_needed(needed: int) -> None:
    """The event of T12, for two rays at a right angle (`p_1 = 1/4`)."""
    hidden = (4, 3, 3, 3)
    events = deaths([(1.0, 0.0), (0.0, 1.0)], hidden, normal, TRIALS, 9, needed)[-1]
    claimed = low(t18.bound(problem([(1, 0), (0, 1)], hidden), needed), 1, 0.25)
    assert not is_refuted(events, TRIALS, claimed)
    assert claimed >= binom.sf(needed - 1, 4, 0.25) - 1e-9


CIRCLE = [(cos(2 * pi * i / 40), sin(2 * pi * i / 40)) for i in range(40)]
SHARP_TRIALS = 40_000


@pytest.fixture(scope="module")
def circle_deaths() -> list[int]:
    """Two neurons a layer, up to nine layers, where the bound is nearly attained."""
    return deaths(CIRCLE, (2,) * 9, normal, SHARP_TRIALS, 3)


def test_two_neurons_a_layer_are_nearly_sharp(circle_deaths: list[int]) -> None:
    """Every depth is in order, and at nine layers a bound 2 % too large is refuted."""
    for layers, events in enumerate(circle_deaths, start=1):
        claimed = low(LineProgram((2,) * layers, 40), 2)
        assert not is_refuted(events, SHARP_TRIALS, claimed)
    assert is_refuted(circle_deaths[-1], SHARP_TRIALS, 1.02 * low(LineProgram((2,) * 9, 40), 2))


@pytest.fixture
def forgetful() -> Iterator[None]:
    evaluator._program.cache_clear()
    evaluator._table.cache_clear()
    yield
    evaluator._program.cache_clear()
    evaluator._table.cache_clear()


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        pytest.param("_joins", lambda n: Fraction(0), id="joins carry no zeros"),
        pytest.param("_joins", lambda n: Fraction(n, 2 ** (n + 2)), id="half the joins"),
        pytest.param("_pairs", lambda n: Fraction(3, 4) * (1 - Fraction(n + 1, 2**n)), id="slope too small"),
        pytest.param("_one_arc", lambda pairs: 2**30, id="an edge counts as one ray"),
        pytest.param("_ZERO_FLOOR", 2 * evaluator._ZERO_FLOOR, id="more zeros than there need be"),
        pytest.param("_spared", lambda n, d: Fraction(n, 2 ** (n - 1)) * (2 - 4 * d) * (2 * d) ** (n - 1), id="spared"),
        pytest.param("_starts_of_ranges", lambda before: (len(evaluator._PLACES) - 2,), id="too few d"),
    ],
)
@pytest.mark.usefixtures("forgetful")
def test_simulation_refutes_planted_faults(
    monkeypatch: pytest.MonkeyPatch, circle_deaths: list[int], name: str, fault: object
) -> None:
    monkeypatch.setattr(evaluator, name, fault)
    claimed = run_lines(LineProgram((2,) * 7, 40), {P_DEAD: Fraction(0), TOUR_ZEROS: Fraction(2)})
    assert is_refuted(circle_deaths[6], SHARP_TRIALS, float(claimed))


# --- narrow networks -----------------------------------------------------------------------------------------------


def largest_survival(width: int, known: Sequence[Fraction]) -> list[Fraction]:
    """One step of a line with slope 0, `alpha'_a = E alpha_{Bin(n, 1 - 2^-a)} / (1 - 2^-n)`, exactly."""
    found = [Fraction(0), Fraction(1)]
    for a in range(2, width + 1):
        d = Fraction(1, 2**a)
        mean = sum((comb(width, b) * (1 - d) ** b * d ** (width - b) * known[b] for b in range(width + 1)), Fraction(0))
        found.append(mean / (1 - Fraction(1, 2**width)))
    return found


@pytest.mark.parametrize(
    ("width", "fixed"),
    [(1, [0, 1]), (2, [0, 1, Fraction(3, 2)]), (3, [0, 1, Fraction(3, 2), Fraction(23, 10)])],
)
def test_constants_that_need_no_knowledge_of_the_inputs(width: int, fixed: list[Fraction]) -> None:
    """The corollary for narrow networks: 2, 2 and 92/35 times the survival of one ray, at every depth."""
    constant = fixed[-1] / (1 - Fraction(1, 2**width))
    assert constant == {1: 2, 2: 2, 3: Fraction(92, 35)}[width]
    after = largest_survival(width, fixed)
    assert all(new <= old or a == 2 for a, (new, old) in enumerate(zip(after, fixed, strict=True)))
    for depth in (1, 2, 5, 40):
        survival = 1 - Fraction(low(LineProgram((width,) * depth, 10**6), 10**6))
        assert survival <= constant * (1 - Fraction(1, 2**width)) ** depth * Fraction(100001, 100000)


@pytest.mark.parametrize(("width", "golden"), [(2, 1.944), (3, 2.551)])
def test_constants_of_deep_narrow_networks(width: int, golden: float) -> None:
    """The derivation notes of T18, any finite data; the slope of the lines improves on the corollary."""
    depth = 60
    survival = 1 - Fraction(low(LineProgram((width,) * depth, 10**6), 10**6))
    assert float(survival / prod([1 - Fraction(1, 2**width)] * depth)) == pytest.approx(golden, abs=4e-3)
