"""T1 to T5, T10, T12: their formulas computed a second time, and their claims against drawn networks.

Exact comparisons use fractions (T1, T2, T3) or mpmath at 40 digits (T10), written here from math §5. Frequencies are
seeded; each check refutes a true claim with probability below `FALSE_ALARM`, by the exact binomial tail, and all of
them together with probability below 1e-6. Faults planted at the end show that the same checks refute false claims.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from math import comb, prod

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from theorems.bounds import P_DEAD, BinomialChain, Bound, ClosedForm, Recursion
from theorems.catalogue import THEOREMS, t01, t02, t03, t04, t05, t10, t12
from theorems.hypotheses import HYPOTHESES, OptimalRiskAboveNoise
from theorems.laws import parse_initialization
from theorems.problem import Problem
from theorems.rules import every_rule
from theorems.setting import Architecture, DataSet
from theorems.theorem import CLAIMS, Event, ForcedRisk, Instance, LayerDeath, Rate, Relation
from verify.dead_neuron import dead_probability
from verify.enclosure import Enclosure, evaluate, evaluate_bound
from verify.sizes import case_sizes

FALSE_ALARM = 1e-8
HALF = Fraction(1, 2)

probabilities = st.builds(lambda p, q: Fraction(p, p + q), st.integers(0, 20), st.integers(1, 20))
at_most_half = st.builds(lambda p, q: Fraction(p, 2 * (p + q)), st.integers(0, 20), st.integers(1, 20))
hidden_widths = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


def problem(
    hidden: Sequence[int],
    law: str = "pytorch",
    bias: str | None = None,
    inputs: Sequence[Sequence[float]] = ((0,), (0.5,), (1,)),
) -> Problem:
    rows = [tuple(Fraction(v) for v in x) for x in inputs]
    data = DataSet.from_rows("test", rows, [(Fraction(i % 2),) for i in range(len(rows))])
    architecture = Architecture((len(rows[0]), *hidden, 1))
    return Problem(architecture, parse_initialization(law, bias), data, every_rule())


def evaluated(bound: Bound, p: Fraction, case: Problem) -> Enclosure:
    """The value of a bound at the sizes of a case's data."""
    return evaluate_bound(bound, p, case_sizes(case, bound.symbols).values)


def instances(name: str, case: Problem) -> list[Instance]:
    theorem = THEOREMS[name]
    return [theorem.instance(case, number) for number in range(theorem.n_instances(case))]


# --- the formulas of math §5, a second time --------------------------------------------------------------------------


def t1_exact(hidden: Sequence[int], p: Fraction, q_b: Fraction = HALF) -> Fraction:
    alive = 1 - p ** hidden[0]
    for before, width in itertools.pairwise(hidden):
        alive *= 1 - (q_b * HALF**before) ** width
    return 1 - alive


def t2_exact(hidden: Sequence[int], p: Fraction, q_b: Fraction = HALF) -> Fraction:
    """Enumerate the chain: sum over all paths of counts that never fill a layer."""
    survival = Fraction(0)
    for counts in itertools.product(*(range(width) for width in hidden)):
        weight = comb(hidden[0], counts[0]) * p ** counts[0] * (1 - p) ** (hidden[0] - counts[0])
        for k in range(1, len(hidden)):
            q = q_b * HALF ** (hidden[k - 1] - counts[k - 1])
            weight *= comb(hidden[k], counts[k]) * q ** counts[k] * (1 - q) ** (hidden[k] - counts[k])
        survival += weight
    return 1 - survival


def t2_by_signs(hidden: Sequence[int], p: Fraction, q_b: Fraction = HALF) -> Fraction:
    """Enumerate the sets of Lemma 3 themselves: which neurons are dead, from every pattern of signs of a row."""

    @cache
    def row(before: int, dead: frozenset[int]) -> Fraction:
        total = Fraction(0)
        for signs in itertools.product((True, False), repeat=before + 1):  # True: the weight (last: the bias) is <= 0
            if signs[-1] and all(signs[j] or j in dead for j in range(before)):
                total += HALF**before * (q_b if signs[-1] else 1 - q_b)
        return total

    def alive_from(k: int, dead: frozenset[int]) -> Fraction:
        """Probability that no layer from `k` on is dead, given the dead neurons of layer `k - 1`."""
        if k == len(hidden):
            return Fraction(1)
        q = p if k == 0 else row(hidden[k - 1], dead)
        total = Fraction(0)
        for pattern in itertools.product((True, False), repeat=hidden[k]):
            if not all(pattern):
                weight = prod((q if off else 1 - q for off in pattern), start=Fraction(1))
                total += weight * alive_from(k + 1, frozenset(i for i, off in enumerate(pattern) if off))
        return total

    return 1 - alive_from(0, frozenset())


def t3_exact(width: int, dead: int, p: Fraction) -> Fraction:
    return sum((comb(width, i) * p**i * (1 - p) ** (width - i) for i in range(dead, width + 1)), Fraction(0))


@dataclass(frozen=True)
class LayerLaw:
    """`E|w|` and the largest bias density of a layer, as functions of its fan-in and fan-out (at 40 digits)."""

    uniform: bool
    mean: Callable[[int, int], mpmath.mpf]
    density: Callable[[int, int], mpmath.mpf]

    def deviation(self, before: int, width: int) -> mpmath.mpf:
        """Standard deviation of a weight: `2/sqrt(3)` (uniform) or `sqrt(pi/2)` (normal) times `E|w|`."""
        factor = 2 / mpmath.sqrt(3) if self.uniform else mpmath.sqrt(mpmath.pi / 2)
        return factor * self.mean(before, width)


def root(n: int | Fraction) -> mpmath.mpf:
    return mpmath.sqrt(mpmath.mpf(Fraction(n).numerator) / Fraction(n).denominator)


LAWS: dict[tuple[str, str | None], LayerLaw] = {
    ("pytorch", None): LayerLaw(True, lambda i, o: 1 / (2 * root(i)), lambda i, o: root(i) / 2),
    ("uniform(2/3)", None): LayerLaw(True, lambda i, o: mpmath.mpf(1) / 3, lambda i, o: mpmath.mpf(3) / 4),
    ("standard_normal", None): LayerLaw(
        False, lambda i, o: mpmath.sqrt(2 / mpmath.pi), lambda i, o: 1 / mpmath.sqrt(2 * mpmath.pi)
    ),
    ("he_normal", "normal(0.5)"): LayerLaw(
        False, lambda i, o: 2 / mpmath.sqrt(i * mpmath.pi), lambda i, o: 2 / mpmath.sqrt(2 * mpmath.pi)
    ),
    ("glorot_uniform", "uniform(0.1)"): LayerLaw(
        True, lambda i, o: root(Fraction(6, i + o)) / 2, lambda i, o: mpmath.mpf(5)
    ),
    ("lecun_normal", "uniform(2)"): LayerLaw(
        False, lambda i, o: mpmath.sqrt(2 / (i * mpmath.pi)), lambda i, o: mpmath.mpf(1) / 4
    ),
}


def t10_estimate(
    widths: Sequence[int],
    p: Fraction,
    law: LayerLaw,
    inputs: Sequence[Sequence[float]],
    functional: str = "oscillation",
    needed: int | None = None,
) -> mpmath.mpf:
    """`a_k = a_{k-1}(1 - F_k(c_{k-1}/a_{k-1}))`, `c_k = rho_k c_{k-1}`: the constants of math §5, decay.md Fact B."""
    hidden = widths[1:-1]

    def contraction(before: int, width: int) -> mpmath.mpf:
        if functional == "oscillation":
            return width * law.mean(before, width) / 2
        return law.deviation(before, width) * mpmath.sqrt(mpmath.mpf(width) / 2)

    def death(before: int, width: int) -> mpmath.mpf:
        return mpmath.sqrt(2) * law.deviation(before, width) if functional == "spread" else law.mean(before, width)

    size = contraction(widths[0], hidden[0]) * SIZE_OF_INPUTS[functional](inputs)
    exact = 1 - t3_exact(hidden[0], hidden[0] if needed is None else needed, p)
    alive = mpmath.mpf(exact.numerator) / exact.denominator
    for before, width in itertools.pairwise(hidden):
        reach = max(mpmath.mpf(0), 1 - law.density(before, width) * death(before, width) * size / alive)
        signs = mpmath.mpf(2) ** (-(before + 1) * width)
        alive *= 1 - max((reach / 2) ** width, signs)
        size *= contraction(before, width)
    return 1 - alive


def tree_length(inputs: Sequence[Sequence[float]]) -> mpmath.mpf:
    """Length of a shortest spanning tree: the nearest point joins, one after the other."""
    points = [tuple(mpmath.mpf(v) for v in x) for x in inputs]
    tree, total = {points[0]}, mpmath.mpf(0)
    while len(tree) < len(set(points)):
        apart = {
            (mpmath.norm([u - v for u, v in zip(x, y, strict=True)]), y) for x in tree for y in points if y not in tree
        }
        length, new = min(apart)
        tree.add(new)
        total += length
    return total


def spread(inputs: Sequence[Sequence[float]]) -> mpmath.mpf:
    columns = [[mpmath.mpf(v) for v in column] for column in zip(*inputs, strict=True)]
    return mpmath.sqrt(sum((v - sum(column) / len(column)) ** 2 for column in columns for v in column))


SIZE_OF_INPUTS: dict[str, Callable[[Sequence[Sequence[float]]], mpmath.mpf]] = {
    "oscillation": lambda inputs: sum(mpmath.mpf(max(c)) - mpmath.mpf(min(c)) for c in zip(*inputs, strict=True)),
    "tree": tree_length,
    "spread": spread,
}


def ceiling(hidden: Sequence[int]) -> Fraction:
    """T11a: no lower bound of the probability of a dead layer can exceed `1 - prod (1 - 2^-l_k)`."""
    return 1 - prod((1 - HALF**width for width in hidden), start=Fraction(1))


def assert_value(
    bound: Bound, p: Fraction, exact: Fraction, slack: Fraction = Fraction(0), case: Problem | None = None
) -> None:
    """Containment (up to the error of an estimate) and a width that is small beside the value and its complement."""
    found = evaluate_bound(bound, p) if case is None else evaluated(bound, p, case)
    assert found.lo - slack <= exact <= found.hi + slack, (
        f"{float(exact)} not in [{float(found.lo)}, {float(found.hi)}]"
    )
    assert found.width <= max(min(abs(exact), abs(1 - exact)) / 2**28, 2 * slack, Fraction(1, 2**1023))


def assert_estimate(
    bound: Bound, p: Fraction, value: mpmath.mpf, case: Problem | None = None, slack: Fraction = Fraction(1, 10**30)
) -> None:
    sign, mantissa, exponent, _ = value._mpf_
    assert_value(bound, p, (-1) ** sign * Fraction(int(mantissa)) * Fraction(2) ** exponent, slack, case)


def scaled(bound: Bound, factor: Fraction) -> Bound:
    """The same bound with its value multiplied (a chain: with its first probability multiplied)."""
    number = sympy.Rational(factor.numerator, factor.denominator)
    match bound:
        case ClosedForm():
            return replace(bound, expression=bound.expression * number)
        case Recursion():
            return replace(bound, result=bound.result * number)
        case BinomialChain():
            return replace(bound, first=bound.first * number)
        case _:
            raise AssertionError(bound)


@given(hidden=hidden_widths, p=probabilities, zero_bias=st.booleans())
@example(hidden=(1,), p=Fraction(3, 8), zero_bias=False)
@example(hidden=(3, 2), p=Fraction(0), zero_bias=True)
def test_t1_and_t2_are_their_formulas(hidden: tuple[int, ...], p: Fraction, zero_bias: bool) -> None:
    case = problem(hidden, "he_normal" if zero_bias else "pytorch")
    q_b = Fraction(1) if zero_bias else HALF
    assert_value(t01.bound(case), p, t1_exact(hidden, p, q_b))
    assert_value(t02.bound(case), p, t2_exact(hidden, p, q_b))
    assert t1_exact(hidden, p, q_b) <= t2_exact(hidden, p, q_b)
    assert evaluate_bound(t01.bound(case), p).lo <= evaluate_bound(t02.bound(case), p).hi


@pytest.mark.parametrize("hidden", [(1, 1, 1), (2, 2), (3, 2, 1), (2, 3, 2), (1, 3, 2, 2)], ids=str)
@pytest.mark.parametrize("q_b", [HALF, Fraction(1)], ids=str)
def test_t2_counts_the_structurally_dead_sets(hidden: tuple[int, ...], q_b: Fraction) -> None:
    case = problem(hidden, "he_normal" if q_b == 1 else "pytorch")
    for p in (Fraction(3, 8), Fraction(0), HALF):
        assert_value(t02.bound(case), p, t2_by_signs(hidden, p, q_b))


@given(width=st.integers(1, 9), p=probabilities)
@example(width=1, p=Fraction(0))
def test_t3_is_the_binomial_tail_for_every_count(width: int, p: Fraction) -> None:
    for dead in range(1, width + 1):
        assert_value(t03.bound(width, dead), p, t3_exact(width, dead, p))


@pytest.mark.parametrize(("width", "dead"), [(60, 2), (60, 30), (60, 60), (300, 100)])
def test_t3_for_wide_layers(width: int, dead: int) -> None:
    for p in (Fraction(3, 8), Fraction(1, 1000), Fraction(0)):
        assert_value(t03.bound(width, dead), p, t3_exact(width, dead, p))


@pytest.mark.parametrize("hidden", [(70, 60, 2), (2, 2000, 3), (3, 65, 65)], ids=str)
def test_very_wide_layers_may_only_lower_a_bound(hidden: tuple[int, ...]) -> None:
    """Sign probabilities like 2^-4260 may be left out, since every bound increases with them."""
    p = Fraction(3, 8)
    found = evaluate_bound(t01.bound(problem(hidden)), p)
    assert found.lo <= t1_exact(hidden, p)
    assert t1_exact(hidden, p) - found.lo <= Fraction(1, 2**30)
    with mpmath.workdps(40):
        value = t10_estimate((1, *hidden, 1), p, LAWS["pytorch", None], [(0,), (1,)])
    contraction = evaluate_bound(t10.bound(problem(hidden)).bounds[0], p)
    assert float(contraction.lo) <= float(value) + 1e-15
    assert contraction.lo <= ceiling(hidden)


def test_t3_with_one_dead_neuron_is_the_width_bound() -> None:
    for width in (1, 5, 32, 200):
        assert_value(t03.bound(width, 1), Fraction(3, 8), 1 - (1 - Fraction(3, 8)) ** width)


def test_t3_puts_one_instance_for_every_count() -> None:
    found = instances("T3", problem((6,)))
    assert [i.event for i in found] == [Event(neurons=m) for m in range(1, 7)]
    for m, instance in enumerate(found, start=1):
        assert instance.forced == ForcedRisk(6 - m)
        assert OptimalRiskAboveNoise(6 - m) in instance.hypotheses
        assert_value(instance.bound(), Fraction(2, 7), t3_exact(6, m, Fraction(2, 7)))


@pytest.mark.parametrize("law", LAWS, ids=str)
@given(
    hidden=st.lists(st.integers(1, 9), min_size=1, max_size=12).map(tuple),
    inputs=st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=4, unique=True),
    p=at_most_half,
)
@settings(max_examples=4)
@example(hidden=(3,) * 10, inputs=[(0, 0), (1, 0)], p=Fraction(3, 8))
def test_t10_is_its_recursion_for_each_functional(
    law: tuple[str, str | None], hidden: tuple[int, ...], inputs: list[tuple[int, int]], p: Fraction
) -> None:
    case = problem(hidden, law[0], law[1], inputs)
    best = t10.bound(case)
    needed = 1 + len(inputs) % hidden[0]
    for name, recursion, started in zip(best.names, best.bounds, t10.bound(case, needed).bounds, strict=True):
        slack = Fraction(1, 10**30) if name == "oscillation" else Fraction(1, 10**9)  # roots are rounded upward
        with mpmath.workdps(40):
            widths = (2, *hidden, 1)
            assert_estimate(recursion, p, t10_estimate(widths, p, LAWS[law], inputs, name), case, slack)
            assert_estimate(started, p, t10_estimate(widths, p, LAWS[law], inputs, name, needed), case, slack)
    found = evaluated(best, p, case)
    assert found.lo == max(evaluated(each, p, case).lo for each in best.bounds)
    assert found.lo <= ceiling(hidden)
    assert t1_exact(hidden, p) <= found.hi  # its second entry alone is T1


@pytest.mark.parametrize(
    ("width", "depth", "t10_value", "t2_value"),
    [(3, 10, 0.673, 0.065), (2, 10, 0.92, 0.346), (4, 20, 0.686, 0.02), (5, 40, 0.697, 0.007), (8, 100, 0.315, 0.000)],
)
def test_values_of_the_design_page(width: int, depth: int, t10_value: float, t2_value: float) -> None:
    """PyTorch's default, data that fill [0, 1]: `p_1 = 3/8`, range 1; Fact B of decay.md can only raise T10."""
    case, p = problem((width,) * depth), Fraction(3, 8)
    known = dead_probability(case)
    assert known is not None
    assert known.enclosure.contains(p)
    found = evaluated(t10.bound(case), p, case)
    chain = evaluate_bound(t02.bound(case), p)
    assert t10_value <= float(found.lo) <= t10_value + 0.005
    assert round(float(chain.lo), 2 if t2_value == 0.02 else 3) == t2_value
    assert chain.hi < found.lo < ceiling((width,) * depth)


# --- width and depth together ----------------------------------------------------------------------------------------


def t5_exact(hidden: Sequence[int], enough: int, p: Fraction) -> Fraction:
    """Enumerate the chain of T2 from each first count below `enough`."""
    survival = Fraction(0)
    for counts in itertools.product(*(range(width) for width in hidden)):
        if counts[0] >= enough:
            continue
        weight = comb(hidden[0], counts[0]) * p ** counts[0] * (1 - p) ** (hidden[0] - counts[0])
        for k in range(1, len(hidden)):
            q = HALF * HALF ** (hidden[k - 1] - counts[k - 1])
            weight *= comb(hidden[k], counts[k]) * q ** counts[k] * (1 - q) ** (hidden[k] - counts[k])
        survival += weight
    return 1 - survival


@given(hidden=hidden_widths, p=probabilities)
def test_t5_is_the_chain_absorbed_early(hidden: tuple[int, ...], p: Fraction) -> None:
    case = problem(hidden)
    for enough in range(1, hidden[0] + 1):
        assert_value(t05.bound(case, enough), p, t5_exact(hidden, enough, p))
    assert t5_exact(hidden, hidden[0], p) == t2_exact(hidden, p)


@given(hidden=hidden_widths, p=at_most_half)
@settings(max_examples=15)
def test_the_combined_theorems_contain_their_parts(hidden: tuple[int, ...], p: Fraction) -> None:
    """T2, T3 / T4 <= T5; T10, T3 / T4 <= T12; T12 falls with the number of dead neurons, down to T10."""
    case = problem(hidden)
    for enough in range(1, hidden[0] + 1):
        chain, recursion = evaluate_bound(t05.bound(case, enough), p), evaluated(t12.bound(case, enough), p, case)
        for part in (evaluate_bound(t02.bound(case), p), evaluate_bound(t04.bound(hidden[0], enough), p)):
            assert part.lo <= chain.hi
        for part in (evaluated(t10.bound(case), p, case), evaluate_bound(t04.bound(hidden[0], enough), p)):
            assert part.lo <= recursion.hi
    last = evaluated(t12.bound(case, hidden[0]), p, case)
    assert last.lo <= evaluated(t10.bound(case), p, case).hi


def test_t4_t5_and_t12_ask_for_kappa_and_speak_of_both_events() -> None:
    case = problem((6, 3))
    for name, layer in (("T4", None), ("T5", LayerDeath.DEAD), ("T12", LayerDeath.DEAD)):
        found = instances(name, case)
        assert [i.event for i in found] == [Event(layer, m) for m in range(1, 7)]
        for m, instance in enumerate(found, start=1):
            assert instance.forced == ForcedRisk(6 - m, or_constant=layer is not None)
            asked = {h.id for h in instance.hypotheses}
            assert "optimal-risk-above-noise" in asked
            assert ({"scalar-output", "enough-dead-neurons"} <= asked) == (m < 6)  # a dead layer needs neither
    shallow = instances("T12", problem((4,)))
    assert not {"scalar-output", "enough-dead-neurons"} & {h.id for i in shallow for h in i.hypotheses}


# --- monotone --------------------------------------------------------------------------------------------------------


@given(hidden=hidden_widths, p=at_most_half, q=at_most_half, more=st.integers(1, 4))
@settings(max_examples=15)
def test_bounds_grow_with_the_dead_probability_and_the_depth(
    hidden: tuple[int, ...], p: Fraction, q: Fraction, more: int
) -> None:
    low, high = min(p, q), max(p, q)
    deeper = (*hidden, more)
    case, longer = problem(hidden), problem(deeper)
    for bound in (t01.bound, t02.bound, t10.bound):
        here = evaluated(bound(case), low, case)
        assert here.lo <= evaluated(bound(case), high, case).hi
        assert here.lo <= evaluated(bound(longer), low, longer).hi


@given(width=st.integers(1, 8), p=probabilities, q=probabilities)
def test_t3_grows_with_width_and_dead_probability_and_falls_with_the_count(
    width: int, p: Fraction, q: Fraction
) -> None:
    low, high = min(p, q), max(p, q)
    for dead in range(1, width + 1):
        here = evaluate_bound(t03.bound(width, dead), low)
        assert here.lo <= evaluate_bound(t03.bound(width, dead), high).hi
        assert here.lo <= evaluate_bound(t03.bound(width + 1, dead), low).hi
        if dead > 1:
            assert here.lo <= evaluate_bound(t03.bound(width, dead - 1), low).hi


@given(hidden=hidden_widths, p=probabilities)
def test_bounds_are_probabilities(hidden: tuple[int, ...], p: Fraction) -> None:
    for bound in (t01.bound(problem(hidden)), t02.bound(problem(hidden)), t03.bound(hidden[0], 1)):
        found = evaluate_bound(bound, p)
        assert found.hi >= 0
        assert found.lo <= 1


# --- rates -----------------------------------------------------------------------------------------------------------


def rate_of(name: str, case: Problem) -> Rate | None:
    return THEOREMS[name].instance(case, 0).rate


def test_rates_are_the_decay_of_the_complement() -> None:
    """`(1 - B(H+1)) / (1 - B(H)) -> exp(-rate)`: exactly for T1 and T3, in the limit for T2 (from below) and T10."""

    def factor(bound: Callable[[Problem], Bound], width: int, depth: int) -> Fraction:
        cases = [problem((width,) * h) for h in (depth, depth + 1)]
        alive = [1 - evaluated(bound(case), Fraction(3, 8), case).lo for case in cases]
        return alive[1] / alive[0]

    def exponential(name: str, hidden: Sequence[int]) -> Enclosure:
        rate = rate_of(name, problem(hidden))
        assert rate is not None
        return evaluate(sympy.exp(-rate.expression), {P_DEAD: Fraction(3, 8)} if rate.expression.has(P_DEAD) else {})

    assert float(factor(t01.bound, 2, 5)) == pytest.approx(float(exponential("T1", (2, 2)).lo), abs=1e-12)
    assert factor(t02.bound, 2, 5) <= exponential("T2", (2, 2)).hi
    assert float(factor(t10.bound, 3, 60)) == pytest.approx(float(exponential("T10", (3, 3)).lo), abs=1e-9)
    alive = [1 - evaluate_bound(t03.bound(width, 1), Fraction(3, 8)).lo for width in (7, 8)]
    assert float(alive[1] / alive[0]) == pytest.approx(float(exponential("T3", (8,)).lo), abs=1e-12)


def test_no_rate_is_claimed_where_there_is_none() -> None:
    assert rate_of("T1", problem((2, 3))) is None
    assert rate_of("T1", problem((2,))) is None
    assert rate_of("T1", problem((2, 2), "orthogonal")) is None
    assert THEOREMS["T3"].instance(problem((4,)), 1).rate is None  # two dead neurons: the bound falls with the width
    assert rate_of("T3", problem((4,), "glorot_normal", "normal(0.1)")) is None  # p_1 changes with the width
    assert rate_of("T10", problem((3, 3), "he_normal")) is None
    assert rate_of("T10", problem((3, 3), "uniform(4)")) is None  # c_k grows: no contraction
    assert rate_of("T10", problem((3, 3), "orthogonal", "uniform(1)")) is None
    assert rate_of("T10", problem((2, 2), "uniform(1.8)")) is None  # contracts, but slower than layers survive
    assert (
        rate_of("T10", problem((20, 20))) is not None
    )  # sqrt(20)/4 > 1 for the oscillation, but 1/sqrt(6) for the tree


# --- what theorems say of themselves ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", THEOREMS)
def test_theorems_speak_of_known_things(name: str) -> None:
    theorem = THEOREMS[name]
    assert theorem.id == name
    assert set(theorem.claims) <= set(CLAIMS)
    assert bool(theorem.claims) == (theorem.relation is not Relation.AT_MOST)
    shallow = name == "T3"
    for instance in instances(name, problem((3,) if shallow else (3, 3))):
        assert {h.id for h in instance.hypotheses} <= set(HYPOTHESES)
        assert (instance.forced is None) == (theorem.relation is Relation.AT_MOST)
        assert instance.event.layer is not None or instance.event.neurons is not None


# --- claims against drawn networks -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counts:
    """Of `n` drawn networks: those with a dead layer, with a structurally dead one (Lemma 3), with one that is dead by
    its signs alone (T1), and those with each number of dead first-layer neurons."""

    n: int
    dead_layer: int
    structural: int
    signs: int
    first_layer: tuple[int, ...]


@cache
def drawn(
    hidden: tuple[int, ...], law: str, bias: str | None, inputs: tuple[tuple[float, ...], ...], n: int, seed: int
) -> Counts:
    """Draw networks in float64 and decide the events by their definitions in math §3 and §8."""
    source = np.random.default_rng(seed)
    widths = (len(inputs[0]), *hidden)
    initialization = parse_initialization(law, bias)
    data = np.array(inputs, dtype=np.float64).T  # (input coordinates, inputs)
    dead_layer = structural = signs = 0
    first_layer = np.zeros(hidden[0] + 1, dtype=np.int64)
    for start in range(0, n, 20_000):
        size = min(20_000, n - start)
        values = np.broadcast_to(data, (size, *data.shape))
        off = np.zeros((size, widths[0]), dtype=bool)  # structurally dead neurons of the layer before
        seen = np.zeros((3, size), dtype=bool)
        for k, (before, width) in enumerate(itertools.pairwise(widths)):
            weight = sample(initialization.weight_law(before, width), source, (size, width, before))
            offset = sample(initialization.bias_law(before, width), source, (size, width, 1))
            pre = np.matmul(weight, values) + offset
            values = np.maximum(pre, 0)
            dead = (pre <= 0).all(axis=2)
            all_signs = (weight <= 0).all(axis=2) & (offset[:, :, 0] <= 0)
            if k == 0:
                off = dead
                all_signs = dead
                first_layer += np.bincount(dead.sum(axis=1), minlength=width + 1)
            else:
                off = ((weight <= 0) | off[:, None, :]).all(axis=2) & (offset[:, :, 0] <= 0)
            seen |= np.stack([dead.all(axis=1), off.all(axis=1), all_signs.all(axis=1)])
        dead_layer, structural, signs = np.array([dead_layer, structural, signs]) + seen.sum(axis=1)
    return Counts(n, int(dead_layer), int(structural), int(signs), tuple(int(v) for v in first_layer))


def sample(law: object, source: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    match type(law).__name__:
        case "Uniform":
            return float(law.half_width) * source.uniform(-1, 1, shape)  # type: ignore[attr-defined]
        case "Normal":
            return float(law.scale) * source.standard_normal(shape)  # type: ignore[attr-defined]
        case "Zero":
            return np.zeros(shape)
    raise AssertionError(law)


def assert_at_least(count: int, n: int, bound: Fraction | float) -> None:
    """Refute `P(event) >= bound` only if so few events have probability below FALSE_ALARM under it."""
    assert binom.cdf(count, n, min(max(float(bound), 0.0), 1.0)) > FALSE_ALARM, (
        f"{count}/{n} against >= {float(bound):.6f}"
    )


def assert_at_most(count: int, n: int, bound: Fraction | float) -> None:
    assert_at_least(n - count, n, 1 - float(bound))


UNIT = ((0.0,), (0.25,), (0.5,), (1.0,))
SQUARE = ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0), (0.5, 0.25))
CASES = {
    "3 x 10": ((3,) * 10, "pytorch", None, UNIT, 100_000),
    "2 x 10": ((2,) * 10, "pytorch", None, UNIT, 100_000),
    "4 x 20": ((4,) * 20, "pytorch", None, UNIT, 100_000),
    "mixed widths": ((4, 2, 3, 2), "pytorch", None, UNIT, 100_000),
    "standard normal, both signs": ((3, 3, 2), "standard_normal", None, ((-1.0,), (0.5,), (2.0,)), 100_000),
    "uniform, square": ((2, 3, 2, 2), "pytorch", None, SQUARE, 100_000),
    "Glorot with biases": ((3, 3, 3), "glorot_uniform", "uniform(1)", ((1.0,), (2.0,)), 100_000),
    "shallow": ((5,), "pytorch", None, UNIT, 200_000),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_claims_against_drawn_networks(case: tuple) -> None:
    hidden, law, bias, inputs, n = case
    counts = drawn(hidden, law, bias, inputs, n, 21)
    setting = problem(hidden, law, bias, inputs)
    known = dead_probability(setting)
    assert known is not None
    p = known.enclosure.lo
    t1, t2, t10_value = (evaluated(module.bound(setting), p, setting).lo for module in (t01, t02, t10))
    for bound in (t1, t2, t10_value):
        assert_at_least(counts.dead_layer, n, bound)
    assert_at_least(counts.structural, n, t2)
    assert_at_least(counts.signs, n, t1)
    assert_at_most(counts.dead_layer, n, ceiling(hidden))
    for dead in range(1, hidden[0] + 1):
        assert_at_least(sum(counts.first_layer[dead:]), n, evaluate_bound(t03.bound(hidden[0], dead), p).lo)
    if known.two_sided:  # then T1 and T2 are the exact probabilities of their structural events, and T3 of its own
        upper = known.enclosure.hi
        assert_at_most(counts.signs, n, evaluate_bound(t01.bound(setting), upper).hi)
        assert_at_most(counts.structural, n, evaluate_bound(t02.bound(setting), upper).hi)
        for dead in range(1, hidden[0] + 1):
            assert_at_most(sum(counts.first_layer[dead:]), n, evaluate_bound(t03.bound(hidden[0], dead), upper).hi)


@pytest.mark.parametrize(
    ("law", "inputs"), [("he_normal", ((1.0,), (3.0,))), ("keras", ((0.0,), (2.0,), (5.0,)))], ids=str
)
def test_zero_biases_against_drawn_networks(law: str, inputs: tuple[tuple[float, ...], ...]) -> None:
    """`q_b = 1`; on one ray the whole event has the exact probability of T7, the ceiling."""
    hidden, n = (3, 2, 3), 100_000
    counts = drawn(hidden, law, None, inputs, n, 22)
    setting = problem(hidden, law, None, inputs)
    for bound, count in ((t01.bound, counts.signs), (t02.bound, counts.structural)):
        found = evaluate_bound(bound(setting), HALF)
        assert_at_least(count, n, found.lo)
        assert_at_most(count, n, found.hi)
        assert_at_least(counts.dead_layer, n, found.lo)
    assert_at_least(counts.dead_layer, n, ceiling(hidden))
    assert_at_most(counts.dead_layer, n, ceiling(hidden))


# --- planted false theorems ------------------------------------------------------------------------------------------


def test_a_constant_two_percent_too_large_is_caught_by_the_formula_check() -> None:
    hidden, p, wrong = (2, 2, 2), Fraction(3, 8), Fraction(102, 100)
    case = problem(hidden)
    for bound, exact in (
        (t01.bound(case), t1_exact(hidden, p)),
        (t02.bound(case), t2_exact(hidden, p)),
        (t03.bound(5, 1), t3_exact(5, 1, p)),
        (t03.bound(5, 3), t3_exact(5, 3, p)),
    ):
        assert_value(bound, p, exact)
        with pytest.raises(AssertionError):
            assert_value(scaled(bound, wrong), p, exact)
    recursion = t10.bound(case).bounds[0]
    with mpmath.workdps(40):
        value = t10_estimate((1, 2, 2, 2, 1), p, LAWS["pytorch", None], [(0,), (1,)])
        assert_estimate(recursion, p, value)
        with pytest.raises(AssertionError):
            assert_estimate(scaled(recursion, wrong), p, value)
        for layers in (
            tuple((phi * sympy.Rational(98, 100), *rest) for phi, *rest in recursion.layers),
            tuple((phi, rho * sympy.Rational(98, 100), *rest) for phi, rho, *rest in recursion.layers),
        ):
            with pytest.raises(AssertionError):
                assert_estimate(replace(recursion, layers=layers), p, value)


@pytest.mark.parametrize(
    ("name", "bound", "event"),
    [
        ("2 x 10", t02.bound, "structural"),
        ("2 x 10", t01.bound, "signs"),
        ("2 x 10", t10.bound, "dead_layer"),
    ],
)
def test_a_constant_two_percent_too_large_is_caught_by_frequencies(
    name: str, bound: Callable[[Problem], Bound], event: str
) -> None:
    hidden, law, bias, inputs, _ = CASES[name]
    counts = drawn(hidden, law, bias, inputs, 400_000, 23)
    case = problem(hidden, law, bias, inputs)
    value = evaluated(bound(case), Fraction(3, 8), case).lo
    assert_at_least(getattr(counts, event), counts.n, value)
    with pytest.raises(AssertionError):
        assert_at_least(getattr(counts, event), counts.n, value * Fraction(102, 100))


def test_a_dead_probability_that_is_too_large_is_caught_by_frequencies() -> None:
    """T3 with `p_1 = 1/2` (one input) instead of 3/8 (all of [0, 1])."""
    hidden, law, bias, inputs, n = CASES["shallow"]
    counts = drawn(hidden, law, bias, inputs, n, 21)
    for dead in range(1, 6):
        with pytest.raises(AssertionError):
            assert_at_least(sum(counts.first_layer[dead:]), n, evaluate_bound(t03.bound(5, dead), HALF).lo)


def test_a_flipped_inequality_is_caught_by_frequencies() -> None:
    """The ceiling taken for a floor; a floor taken for a ceiling; the complement taken for the bound."""
    hidden, law, bias, inputs, n = CASES["4 x 20"]
    counts = drawn(hidden, law, bias, inputs, n, 21)
    floor = evaluate_bound(t02.bound(problem(hidden, law, bias, inputs)), Fraction(3, 8)).lo
    with pytest.raises(AssertionError):
        assert_at_least(counts.dead_layer, n, ceiling(hidden))
    with pytest.raises(AssertionError):
        assert_at_most(counts.dead_layer, n, floor)
    with pytest.raises(AssertionError):
        assert_at_least(counts.dead_layer, n, 1 - floor)


def test_a_forgotten_contraction_is_caught_by_frequencies() -> None:
    """T10 with `phi = 0` would say that every layer sees one point: the ceiling of T11a again."""
    hidden, law, bias, inputs, n = CASES["3 x 10"]
    recursion = t10.bound(problem(hidden, law, bias, inputs)).bounds[0]
    assert isinstance(recursion, Recursion)
    wrong = replace(recursion, layers=tuple((sympy.Integer(0), *rest) for _, *rest in recursion.layers))
    counts = drawn(hidden, law, bias, inputs, n, 21)
    with pytest.raises(AssertionError):
        assert_at_least(counts.dead_layer, n, evaluate_bound(wrong, Fraction(3, 8)).lo)


def test_a_dropped_hypothesis_is_caught_by_frequencies() -> None:
    """T10 needs a bias density: with biases of +1 the formula for uniform biases claims too much."""
    hidden, n = (3,) * 10, 20_000
    source = np.random.default_rng(24)
    values = np.broadcast_to(np.array([[0.0, 0.5, 1.0]]), (n, 1, 3))
    dead = np.zeros(n, dtype=bool)
    for before, width in itertools.pairwise((1, *hidden)):
        weight = source.uniform(-1, 1, (n, width, before)) / np.sqrt(before)
        pre = np.matmul(weight, values) + 1.0
        dead |= (pre <= 0).all(axis=(1, 2))
        values = np.maximum(pre, 0)
    bound = evaluate_bound(t10.bound(problem(hidden)).bounds[0], Fraction(3, 8)).lo
    with pytest.raises(AssertionError):
        assert_at_least(int(dead.sum()), n, bound)
