"""T19: its formula computed a second time in plain floats, golden values, its order among the others, drawn networks.

The reference takes moments of `(b + S)^+` from scipy's laws, where the bound has closed forms. The frequencies are
seeded; each check refutes a true claim with probability below `FALSE_ALARM`, by the exact binomial tail.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
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

from theorems.bounds import P_DEAD, Bound
from theorems.catalogue import t13, t13b, t19
from theorems.envelope import EnvelopeRecursion, positive_part
from theorems.errors import InvalidInput
from theorems.hypotheses import BoundedBiasDensity, OptimizerClass, OptimizerKeepsDead, Property, Status
from theorems.laws import Law, Normal, TruncatedNormal, Uniform, Zero, parse_initialization
from theorems.problem import Problem
from theorems.setting import Architecture, DataSet
from theorems.theorem import Event, ForcedRisk, LayerDeath
from verify.enclosure import envelope as evaluator
from verify.enclosure import evaluate_bound

FALSE_ALARM = 1e-8
Floats = npt.NDArray[np.float64]
INTERVAL = ((0,), (Fraction(1, 4),), (1,))
LECUN = ("lecun_normal", "normal(1/2)")
PYTORCH = ("pytorch", None)
# (pi - angle)/(2 pi) for inputs that fill [0, 1], weights N(0, 1), biases N(0, 1/4), rounded down
LECUN_P = Fraction(math.floor((math.pi - math.atan(2)) / (2 * math.pi) * 10**12), 10**12)
LAWS = [
    PYTORCH,
    LECUN,
    ("uniform(2/3)", None),
    ("lecun_normal", "uniform(2)"),
    ("lecun_uniform", "normal(1/3)"),
    ("glorot_uniform", "uniform(0.1)"),
    ("flax", "normal(0.3)"),
]


def problem(
    hidden: Sequence[int],
    law: str = "pytorch",
    bias: str | None = None,
    inputs: Sequence[Sequence[Fraction | int]] = INTERVAL,
) -> Problem:
    rows = [tuple(Fraction(v) for v in x) for x in inputs]
    data = DataSet.from_rows("test", rows, [(Fraction(i % 2),) for i in range(len(rows))])
    architecture = Architecture((len(rows[0]), *hidden, 1))
    return Problem(architecture, parse_initialization(law, bias), data, OptimizerClass.having(Property.D))


def lower(bound: Bound, p: Fraction) -> float:
    return float(evaluate_bound(bound, p).lo)


# --- a second implementation ------------------------------------------------------------------------------------------


@cache
def distribution(law: Law) -> scipy.stats.rv_continuous:
    match law:
        case Uniform(half_width):
            return scipy.stats.uniform(-float(half_width), 2 * float(half_width))
        case Normal(scale):
            return scipy.stats.norm(scale=float(scale))
        case TruncatedNormal(scale):
            return scipy.stats.truncnorm(-2, 2, scale=float(scale))
    raise AssertionError(law)


@cache
def half_mean(law: Law) -> float:
    """`E w^+`."""
    return float(distribution(law).expect(lambda x: x, lb=0))


gauss = cache(np.polynomial.legendre.leggauss)


def quadrature(law: Law, kink: float, points: int = 60) -> tuple[Floats, Floats]:
    """Nodes and weights for means of functions that are smooth but for a kink."""
    found = distribution(law)
    low, high = found.support()
    low, high = max(low, -9 * found.std()), min(high, 9 * found.std())
    x, w = gauss(points)
    nodes, weights = [], []
    for a, b in pairwise([low, min(max(kink, low), high), high]):
        nodes.append((a + b) / 2 + (b - a) / 2 * x)
        weights.append((b - a) / 2 * w * found.pdf(nodes[-1]))
    return np.concatenate(nodes), np.concatenate(weights)


def top_moments(bias: Law, size: float) -> tuple[float, float]:
    """`E (b + S)^+` and `E ((b + S)^+)^2` for a number `S`."""
    b, w = quadrature(bias, -size)
    top = np.maximum(b + size, 0.0)
    return float(w @ top), float(w @ top**2)


def next_envelope(width: int, bias: Law, a: float, reach: float, reach2: float) -> tuple[float, float]:
    """Bounds of the sums over a layer of `E[top; A]`, `E[top^2; A]`, from those of `E[S; A]` and `E[S^2; A]`."""
    half_bias, _ = top_moments(bias, 0.0)
    root = math.sqrt(reach2 / a)
    gain = 2 * (top_moments(bias, root)[0] - half_bias) - root  # E|b + S| - E|b| at S = root
    top = half_bias * a + reach / 2 + min(reach, a * gain) / 2
    return width * top, width * (a * top_moments(bias, reach / a)[1] + reach2 - reach**2 / a)


def death_by_mean(weight: Law, bias: Law, size: float, inputs: int) -> float:
    """What one part (two for one input: 0 and the rest) leaves of Gamma."""
    tail, mean = distribution(bias).cdf, half_mean(weight)
    return float(tail(-size * mean) if inputs > 1 else (0.5 + tail(-2 * size * mean)) / 2)


def death_by_law(weight: Law, bias: Law, size: float, inputs: int) -> float:
    """Gamma itself: the law of the sum on a fine lattice, each cell at its middle."""
    found, cells = distribution(weight), 300
    reach = min(found.support()[1], 6 * found.std())
    edges = np.linspace(0.0, reach, cells + 1)
    one = np.concatenate([[0.5], np.diff(found.cdf(edges))])  # entry i > 0 stands for (i - 1/2) reach/cells
    total = 0.0
    for count in range(inputs + 1):  # weights that are positive
        law = np.array([1.0])
        for _ in range(count):
            law = np.convolve(law, one[1:])
        values = (np.arange(len(law)) + count / 2) * reach / cells
        total += (
            math.comb(inputs, count) * 0.5 ** (inputs - count) * law @ distribution(bias).cdf(-size / inputs * values)
        )
    return float(total)


def t19_float(case: Problem, p: float, needed: int | None = None, *, by_law: bool = False) -> float:
    widths = case.architecture.widths[:-1]
    weight, bias = case.layer_laws(1)
    w = distribution(weight)
    half, variance, width = half_mean(weight), w.var(), widths[1]
    terms = [(max(float(high), 0.0), max(-float(low), 0.0)) for low, high in case.data.input_ranges]
    reach = sum(half * (up + down) for up, down in terms)
    spread = sum(variance / 2 * (up**2 + down**2) - half**2 * (up + down) ** 2 for up, down in terms)
    c, q = next_envelope(width, bias, 1.0, reach, spread + reach**2)
    d = q + (1 - 1 / width) * c**2
    a = float(scipy.stats.binom.cdf((width if needed is None else needed) - 1, width, p))
    for layer, (inputs, width) in enumerate(pairwise(widths[1:]), start=2):
        weight, bias = case.layer_laws(layer)
        half, variance = half_mean(weight), distribution(weight).var()
        off = (death_by_law if by_law else death_by_mean)(weight, bias, c / a, inputs)
        survival = a * (1 - max(off, 0.5 ** (inputs + 1)) ** width)
        beta = 2 * top_moments(bias, 0.0)[0]
        reach, pairs = half * c, beta**2 / 4 * a + beta * half * c + half**2 * d
        c, q = next_envelope(width, bias, a, reach, variance / 2 * q + half**2 * (d - q))
        a, d = survival, q + width * (width - 1) * pairs
    return 1 - a


# --- the formula ------------------------------------------------------------------------------------------------------

hidden_widths = st.one_of(
    st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple),
    st.builds(lambda w, n: (w,) * n, st.integers(1, 5), st.integers(4, 10)),
)
planes = st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=5, unique=True)
at_most_half = st.builds(lambda p, q: Fraction(p, 2 * (p + q)), st.integers(0, 20), st.integers(1, 20))


@pytest.mark.parametrize("law", LAWS, ids=str)
@given(hidden=hidden_widths, inputs=planes, p=at_most_half, which=st.integers(0, 5))
@settings(max_examples=2)
@example(hidden=(3, 2, 4, 3), inputs=[(0, 0), (1, 2)], p=Fraction(3, 8), which=0)
def test_bound_is_its_formula(
    law: tuple[str, str | None], hidden: tuple[int, ...], inputs: list[tuple[int, int]], p: Fraction, which: int
) -> None:
    """With one part to each law nothing is left to the choice of parts."""
    case, needed = problem(hidden, *law, inputs), which if 1 <= which <= hidden[0] else None
    bound = t19.bound(case, needed)
    assert bound.symbols == {P_DEAD}
    assert lower(replace(bound, cells=1), p) == pytest.approx(t19_float(case, float(p), needed), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("law", "hidden"),
    [
        (LECUN, (2,) * 10),
        (LECUN, (1, 2, 1, 3)),
        (LECUN, (6, 2, 5, 2)),
        (LAWS[3], (2,) * 8),
        (PYTORCH, (3,) * 10),
        (LAWS[5], (2, 4, 3)),
        (LAWS[6], (3, 2, 2)),
        (LAWS[4], (1,) * 5),
    ],
    ids=str,
)
def test_parts_of_the_law_lose_little_and_never_gain(law: tuple[str, str | None], hidden: tuple[int, ...]) -> None:
    case = problem(hidden, *law)
    exact, found = t19_float(case, 0.3, by_law=True), lower(t19.bound(case), Fraction(3, 10))
    assert exact - 2e-3 < found < exact + 1e-6
    coarse = [lower(replace(t19.bound(case), cells=cells), Fraction(3, 10)) for cells in (1, 8, 48)]
    assert coarse[0] <= coarse[1] + 1e-9 <= coarse[2] + 2e-9


@pytest.mark.parametrize(
    "law", [Normal(sympy.Integer(1)), Uniform(sympy.Integer(1)), TruncatedNormal(sympy.Integer(1))]
)
@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_law_of_the_sum_of_positive_parts(law: Law, count: int) -> None:
    """Mass and mean are kept; spread is lost, but little."""
    found, single = evaluator._sum_of(positive_part(law), count, 48), distribution(law)
    assert len(found.parts) <= 49
    mass, mean = (float(sum(part[i] for part in found.parts)) for i in (0, 1))
    half = half_mean(law)
    assert mass == pytest.approx(1, abs=1e-12)
    assert mean == pytest.approx(count * half, rel=1e-12)
    variance = sum(float(m) ** 2 / float(p) for p, m in found.parts) - mean**2
    true = count * (single.var() / 2 - half**2)
    assert 0.97 * true < variance < true


def test_weights_that_are_all_zero_are_refused() -> None:
    with pytest.raises(InvalidInput, match="weights zero"):
        positive_part(Zero())


# --- golden values, order ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width", "depth", "value"),
    [(2, 5, 0.3849), (2, 10, 0.6265), (3, 10, 0.1682), (3, 30, 0.3953), (4, 20, 0.0298), (5, 50, 0.0043)],
)
def test_values_of_lecun_weights(width: int, depth: int, value: float) -> None:
    """A lattice that rounds the weights up gave 0.384, 0.625, 0.167, 0.392, 0.030, 0.004."""
    assert lower(t19.bound(problem((width,) * depth, *LECUN)), LECUN_P) == pytest.approx(value, abs=1.5e-4)


@pytest.mark.parametrize(("width", "depth", "value"), [(3, 10, 0.490), (3, 30, 0.887), (5, 50, 0.344)])
def test_pytorch_gains_next_to_nothing(width: int, depth: int, value: float) -> None:
    """The tail of a uniform bias is linear where it counts, so T13' loses nothing at the weights."""
    case = problem((width,) * depth)
    before, now = (lower(make(case), Fraction(3, 8)) for make in (t13b.bound, t19.bound))
    assert before == pytest.approx(value, abs=1e-3)
    assert before < now < before + 0.003


@pytest.mark.parametrize("law", [PYTORCH, LECUN, LAWS[3]], ids=str)
@given(hidden=hidden_widths, inputs=planes, p=at_most_half, q=at_most_half, more=st.integers(1, 5))
@settings(max_examples=2)
def test_bounds_are_nested_and_monotone(
    law: tuple[str, str | None],
    hidden: tuple[int, ...],
    inputs: list[tuple[int, int]],
    p: Fraction,
    q: Fraction,
    more: int,
) -> None:
    """T13 <= T13' <= T19 <= the ceiling of T11a; T19 grows with `p_1` and with depth, and falls as the data grow."""
    case, (p, q) = problem(hidden, *law, inputs), sorted((p, q))
    found = evaluate_bound(t19.bound(case), p)
    slack = Fraction(1, 2**40)
    assert evaluate_bound(t13.bound(case), p).lo <= evaluate_bound(t13b.bound(case), p).hi <= found.hi + slack
    assert 1 - found.lo >= math.prod((1 - Fraction(1, 2**width) for width in hidden), start=Fraction(1))
    assert found.lo <= evaluate_bound(t19.bound(case), q).hi + slack
    assert found.lo <= evaluate_bound(t19.bound(problem((*hidden, more), *law, inputs)), p).hi + slack
    assert found.lo <= evaluate_bound(t19.bound(case, 1), p).hi + slack
    doubled = problem(hidden, *law, [(2 * x, 2 * y) for x, y in inputs])
    assert evaluate_bound(t19.bound(doubled), p).lo <= found.hi + slack


@pytest.mark.parametrize("width", [3, 30])
def test_deep_networks(width: int) -> None:
    """Wide envelopes grow beyond all floats on the way down; what is left are the sign probabilities."""
    case = problem((width,) * 150, *LECUN)
    found = evaluate_bound(t19.bound(case), LECUN_P)
    assert evaluate_bound(t13b.bound(case), LECUN_P).lo <= found.hi
    assert 0 < found.lo < 1
    assert found.width <= min(found.hi, 1 - found.lo) / 2**28


# --- what the theorem says of itself ----------------------------------------------------------------------------------


def test_decay_with_own_factors_forces_a_robustly_dead_layer() -> None:
    instance = t19.THEOREM.instance(problem((3, 3)), 0)
    assert instance.event == Event(LayerDeath.ROBUST, nonpositive_bias=True)
    assert instance.forced == ForcedRisk(None)
    assert instance.nonpositive_bias
    assert BoundedBiasDensity() in instance.hypotheses
    assert OptimizerKeepsDead(((Property.D, Property.D),)) in instance.hypotheses
    for having in (Property.FB, Property.DJ, Property.DW, Property.D):
        assert t19.THEOREM.remains_under(OptimizerClass.having(having)) is Status.HOLDS
    for having in (Property.S, Property.SL, Property.SS):
        assert t19.THEOREM.remains_under(OptimizerClass.having(having)) is Status.FAILS


# --- drawn networks ---------------------------------------------------------------------------------------------------


def robustly_dead(case: Problem, replicas: int, seed: int) -> int:
    """How many of the drawn networks have a robustly dead layer, for data with extremes 0 and 1."""
    draw = np.random.default_rng(seed)
    widths = case.architecture.widths[:-1]
    top, dead = np.ones((replicas, 1)), np.zeros(replicas, dtype=bool)
    for layer, (inputs, width) in enumerate(pairwise(widths), start=1):
        weight, bias = (distribution(law) for law in case.layer_laws(layer))
        w = weight.rvs((replicas, width, inputs), random_state=draw)
        b = bias.rvs((replicas, width), random_state=draw)
        top = np.maximum(b + np.einsum("rij,rj->ri", np.maximum(w, 0.0), top), 0.0)
        dead |= ~top.any(axis=1)
    return int(dead.sum())


def refuted(bound: EnvelopeRecursion, p: Fraction, count: int, replicas: int) -> bool:
    return bool(scipy.stats.binom.cdf(count, replicas, lower(bound, p)) < FALSE_ALARM)


@pytest.mark.parametrize(
    ("law", "p", "hidden"),
    [
        (LECUN, LECUN_P, (2,) * 6),
        (LECUN, LECUN_P, (1,) * 4),
        (LECUN, LECUN_P, (4, 1, 3, 2)),
        (LECUN, LECUN_P, (8, 1)),
        (PYTORCH, Fraction(3, 8), (2,) * 6),
        (PYTORCH, Fraction(3, 8), (6, 1, 1)),
    ],
    ids=str,
)
def test_drawn_networks_do_not_refute_the_bound(
    law: tuple[str, str | None], p: Fraction, hidden: tuple[int, ...]
) -> None:
    case, replicas = problem(hidden, *law), 20_000
    assert not refuted(t19.bound(case), p, robustly_dead(case, replicas, seed=19), replicas)


@pytest.mark.parametrize("wrong", ["slope", "mean", "start"])
def test_drawn_networks_refute_a_wrong_bound(wrong: str) -> None:
    """One input is the sharp case: `E G(w^+ top)` with little to lose."""
    case, replicas = problem((8, 1, 1, 1), *LECUN), 20_000
    bound = t19.bound(case)
    c, q, d = bound.start
    if wrong == "slope":
        bound = replace(bound, slope=bound.slope / 2)
    elif wrong == "mean":
        bound = replace(bound, step=(bound.step[0] / 4, *bound.step[1:]))
    else:
        bound = replace(bound, start=(c / 3, q / 9, d / 9))
    assert refuted(bound, LECUN_P, robustly_dead(case, replicas, seed=20), replicas)
