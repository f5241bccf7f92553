"""Certified limits, verdicts and levels against exact rational arithmetic that shares no code with them.

Every check of a limit or a verdict is a function of the implementation. It runs on the real one and on deliberately
broken ones, which it has to catch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import cache

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theorems.errors import InvalidInput
from theorems.hypotheses import Status
from verify import inference
from verify.enclosure.numbers import Enclosure
from verify.inference import (
    GRID,
    Count,
    Interval,
    Judgement,
    LevelPlan,
    Relation,
    Verdict,
    clopper_pearson,
    confidence_limits,
    confidence_sequence,
    judge,
)

Limits = Callable[[int, int, Fraction], Enclosure]
LIMITS: dict[Interval, Limits] = {
    Interval.CLOPPER_PEARSON: clopper_pearson,
    Interval.CONFIDENCE_SEQUENCE: confidence_sequence,
}
both = pytest.mark.parametrize("limits", LIMITS.values(), ids=[interval.value for interval in LIMITS])

STEP = Fraction(1, 2**40)
SLACK = Fraction(1, 2**31)
ALPHAS = (Fraction(1, 3), Fraction(1, 20), Fraction(1, 10**7), Fraction(1, 10**12))
deterministic = settings(derandomize=True, deadline=None, max_examples=60)


@pytest.fixture(autouse=True)
def _empty_cache() -> Iterator[None]:
    inference._lower_end.cache_clear()
    yield
    inference._lower_end.cache_clear()


# --- exact reference -----------------------------------------------------------------------------------------------


def pmf(n: int, k: int, p: Fraction) -> Fraction:
    return math.comb(n, k) * p**k * (1 - p) ** (n - k)


def upper_tail(n: int, k: int, p: Fraction) -> Fraction:
    """`P(Bin(n, p) >= k)`, summed in integers over the common denominator."""
    a, b = p.numerator, p.denominator
    return Fraction(sum(math.comb(n, j) * a**j * (b - a) ** (n - j) for j in range(k, n + 1)), b**n)


def lower_tail(n: int, k: int, p: Fraction) -> Fraction:
    return upper_tail(n, n - k, 1 - p)


def likelihood(n: int, k: int, p: Fraction) -> Fraction:
    return (n + 1) * pmf(n, k, p)


def check_clopper_pearson_exactly(limits: Limits, sizes: tuple[int, ...] = (1, 2, 3, 7, 20)) -> None:
    """Both tails are at most alpha/2 at the limits, and exceed it 2^-31 further in."""
    for n in sizes:
        for k in range(n + 1):
            for alpha in ALPHAS:
                ends = limits(k, n, alpha)
                assert 0 <= ends.lo <= Fraction(k, n) <= ends.hi <= 1
                if k == 0:
                    assert ends.lo == 0
                else:
                    assert upper_tail(n, k, ends.lo) <= alpha / 2
                    assert upper_tail(n, k, ends.lo + SLACK) > alpha / 2
                if k == n:
                    assert ends.hi == 1
                else:
                    assert lower_tail(n, k, ends.hi) <= alpha / 2
                    assert lower_tail(n, k, ends.hi - SLACK) > alpha / 2


def check_confidence_sequence_exactly(limits: Limits, sizes: tuple[int, ...] = (1, 2, 3, 7, 20)) -> None:
    """The likelihood is at most alpha at the limits and outside them, and exceeds it 2^-31 further in."""
    assert limits(0, 0, Fraction(1, 20)) == Enclosure(Fraction(0), Fraction(1))
    for n in sizes:
        for k in range(n + 1):
            for alpha in ALPHAS:
                ends = limits(k, n, alpha)
                assert 0 <= ends.lo <= Fraction(k, n) <= ends.hi <= 1
                if k == 0:
                    assert ends.lo == 0
                else:
                    assert likelihood(n, k, ends.lo) <= alpha
                    assert likelihood(n, k, ends.lo + SLACK) > alpha
                if k == n:
                    assert ends.hi == 1
                else:
                    assert likelihood(n, k, ends.hi) <= alpha
                    assert likelihood(n, k, ends.hi - SLACK) > alpha


@both
def test_limits_are_on_the_grid(limits: Limits) -> None:
    for n in (1, 3, 20):
        for k in range(n + 1):
            ends = limits(k, n, Fraction(1, 7))
            assert (ends.lo / STEP).denominator == (ends.hi / STEP).denominator == 1


def inward(limits: Limits, by: Fraction) -> Limits:
    """Ends moved inward: what a search returns that takes the inner end, or the midpoint, of its last bracket."""

    def broken(k: int, n: int, alpha: Fraction) -> Enclosure:
        ends = limits(k, n, alpha)
        return Enclosure(ends.lo + by if k > 0 else ends.lo, ends.hi - by if k < n else ends.hi)

    return broken


BROKEN: dict[str, Callable[[Limits], Limits]] = {
    "tail alpha, not alpha/2": lambda limits: lambda k, n, alpha: limits(k, n, 2 * alpha),
    "tail alpha/4": lambda limits: lambda k, n, alpha: limits(k, n, alpha / 2),
    "inner end": lambda limits: inward(limits, STEP),
    "midpoint": lambda limits: inward(limits, STEP / 2),
    "too far out": lambda limits: inward(limits, -2 * SLACK),
    "events and non-events swapped": lambda limits: lambda k, n, alpha: limits(n - k, n, alpha),
    "one event too many": lambda limits: lambda k, n, alpha: limits(min(k + 1, n), n, alpha),
    "one trial too many": lambda limits: lambda k, n, alpha: limits(k, n + 1, alpha),
    "lower end at both ends": lambda limits: lambda k, n, alpha: Enclosure.point(limits(k, n, alpha).lo),
    "upper end reflected": lambda limits: (
        lambda k, n, alpha: Enclosure(limits(k, n, alpha).lo, max(limits(k, n, alpha).lo, 1 - limits(k, n, alpha).lo))
    ),
    "everything": lambda limits: lambda k, n, alpha: Enclosure(Fraction(0), Fraction(1)),
}


def test_clopper_pearson_tails_are_exact() -> None:
    check_clopper_pearson_exactly(clopper_pearson)
    check_clopper_pearson_exactly(clopper_pearson, sizes=(83,))


def test_confidence_sequence_ends_are_exact() -> None:
    check_confidence_sequence_exactly(confidence_sequence)
    check_confidence_sequence_exactly(confidence_sequence, sizes=(83,))


@pytest.mark.parametrize("name", BROKEN)
def test_broken_limits_are_caught(name: str) -> None:
    with pytest.raises(AssertionError):
        check_clopper_pearson_exactly(BROKEN[name](clopper_pearson))
    with pytest.raises(AssertionError):
        check_confidence_sequence_exactly(BROKEN[name](confidence_sequence))


def test_each_interval_fails_the_check_of_the_other() -> None:
    with pytest.raises(AssertionError):
        check_clopper_pearson_exactly(confidence_sequence)
    with pytest.raises(AssertionError):
        check_confidence_sequence_exactly(clopper_pearson)


def test_scipy_limits_fail_the_exact_check() -> None:
    """Float quantiles, taken at face value, are not outward: the reason for this module."""
    from scipy.stats import beta

    def floats(k: int, n: int, alpha: Fraction) -> Enclosure:
        lo = 0.0 if k == 0 else beta.ppf(float(alpha / 2), k, n - k + 1)
        hi = 1.0 if k == n else beta.isf(float(alpha / 2), k + 1, n - k)
        return Enclosure(Fraction(float(lo)), Fraction(float(hi)))

    found = 0
    for n in (10, 25, 60):
        for k in range(1, n):
            found += upper_tail(n, k, floats(k, n, Fraction(1, 20)).lo) > Fraction(1, 40)
    assert found > 0


@both
@deterministic
@given(n=st.integers(1, 12), j=st.integers(1, 15))
def test_ties_on_the_grid_are_proved_or_step_outward(limits: Limits, n: int, j: int) -> None:
    """Where the limit is itself a grid point, balls may or may not decide equality; never is the end further in."""
    p = Fraction(j, 16)
    alpha = 2 * p**n if limits is clopper_pearson else (n + 1) * p**n
    if alpha < 1:
        assert limits(n, n, alpha).lo in {p, p - STEP}
        assert limits(0, n, alpha).hi in {1 - p, 1 - p + STEP}


@pytest.mark.parametrize("n", [1, 10, 1000, 10_000])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_no_event_has_closed_forms_in_exact_arithmetic(n: int, alpha: Fraction) -> None:
    hi = clopper_pearson(0, n, alpha).hi  # (1 - hi)^n = alpha/2
    assert (1 - hi) ** n <= alpha / 2 < (1 - hi + 2 * STEP) ** n
    hi = confidence_sequence(0, n, alpha).hi  # (n + 1) (1 - hi)^n = alpha
    assert (n + 1) * (1 - hi) ** n <= alpha < (n + 1) * (1 - hi + 2 * STEP) ** n


LARGE = [(n, k, alpha) for n in (10**4, 10**6) for k in (0, 1, 7, n - 1, n) for alpha in (Fraction(1, 20), ALPHAS[-1])]


@pytest.mark.parametrize(("n", "k", "alpha"), [*LARGE, (10**4, 5000, Fraction(1, 20)), (10**4, 300, ALPHAS[-1])])
def test_large_counts_agree_with_a_high_precision_estimate(n: int, k: int, alpha: Fraction) -> None:
    """Sums in mpmath at 60 digits; they turn alpha/2, or alpha, between the end and two grid steps further in."""
    with mpmath.workdps(60):

        def value(number: Fraction) -> mpmath.mpf:
            return mpmath.mpf(number.numerator) / number.denominator

        def term(m: int, p: Fraction) -> mpmath.mpf:
            return mpmath.binomial(n, m) * value(p) ** m * value(1 - p) ** (n - m)

        def below(m: int, p: Fraction) -> mpmath.mpf:  # P(Bin(n, p) < m) by the recursion of the terms
            ratio = value(p) / value(1 - p)
            total, now = mpmath.mpf(0), value(1 - p) ** n
            for j in range(m):
                total += now
                now *= ratio * (n - j) / (j + 1)
            return total

        def tail(m: int, p: Fraction) -> mpmath.mpf:  # P(Bin(n, p) >= m)
            if p == 0:
                return mpmath.mpf(0)
            return below(n - m + 1, 1 - p) if m > n // 2 else 1 - below(m, p)

        def scaled(m: int, p: Fraction) -> mpmath.mpf:
            return (n + 1) * term(m, p)

        for limits, function, level in (
            (clopper_pearson, tail, value(alpha / 2)),
            (confidence_sequence, scaled, value(alpha)),
        ):
            ends = limits(k, n, alpha)
            for m, end in ((k, ends.lo), (n - k, 1 - ends.hi)):
                if m == 0:
                    assert end == 0
                else:
                    assert function(m, end) <= level < function(m, end + 2 * STEP)


# --- the search may be arbitrarily wrong -----------------------------------------------------------------------------

NONSENSE = [math.nan, math.inf, -math.inf, -1.0, 0.0, 1e-300, 0.5, 1.0, 1e300]
CASES = [(1, 1), (1, 10), (5, 10), (10, 10), (1, 10_000), (40, 10_000), (9_999, 10_000), (10_000, 10_000)]


@both
@pytest.mark.parametrize("nonsense", NONSENSE)
def test_limits_do_not_depend_on_the_guess(limits: Limits, nonsense: float, monkeypatch: pytest.MonkeyPatch) -> None:
    for alpha in (Fraction(1, 20), ALPHAS[-1]):
        right = [limits(k, n, alpha) for k, n in CASES]
        inference._lower_end.cache_clear()
        with monkeypatch.context() as patch:
            for interval in Interval:
                patch.setitem(inference._GUESSES, interval, lambda k, n, alpha: nonsense)
            assert [limits(k, n, alpha) for k, n in CASES] == right
        inference._lower_end.cache_clear()


@both
def test_a_guess_of_no_number_at_a_million_trials(limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    right = limits(1, 10**6, ALPHAS[-1])
    inference._lower_end.cache_clear()
    for interval in Interval:
        monkeypatch.setitem(inference._GUESSES, interval, lambda k, n, alpha: math.nan)
    assert limits(1, 10**6, ALPHAS[-1]) == right


@both
def test_levels_below_the_range_of_floats(limits: Limits) -> None:
    alpha = Fraction(1, 10**400)
    ends = limits(500, 1000, alpha)
    assert ends.lo > 0
    if limits is clopper_pearson:
        assert upper_tail(1000, 500, ends.lo) <= alpha / 2 < upper_tail(1000, 500, ends.lo + SLACK)
    else:
        assert likelihood(1000, 500, ends.lo) <= alpha < likelihood(1000, 500, ends.lo + SLACK)


@both
def test_undecided_precision_steps_outward(limits: Limits, monkeypatch: pytest.MonkeyPatch) -> None:
    """If no precision gives a finite ball, nothing is proved, and the limits are trivial instead of wrong."""
    monkeypatch.setattr(inference, "binomial_tail", lambda n, k, p, *, bits: None)
    monkeypatch.setattr(inference, "log_mixture_likelihood", lambda n, k, p, *, bits: None)
    assert limits(5, 10, Fraction(1, 20)) == Enclosure(Fraction(0), Fraction(1))


# --- properties ------------------------------------------------------------------------------------------------------

levels = st.integers(1, 12).map(lambda e: Fraction(1, 10**e)) | st.fractions(Fraction(1, 1000), Fraction(999, 1000))


@both
@deterministic
@given(data=st.data(), n=st.integers(1, 3000), alpha=levels)
def test_limits_grow_with_the_events(limits: Limits, data: st.DataObject, n: int, alpha: Fraction) -> None:
    k = data.draw(st.integers(0, n - 1))
    less, more = limits(k, n, alpha), limits(k + 1, n, alpha)
    assert less.lo <= more.lo
    assert less.hi <= more.hi
    assert less != more or (n == 1 and alpha < Fraction(4, GRID))  # then one event of one leaves no room on the grid


@both
@deterministic
@given(data=st.data(), n=st.integers(0, 3000), alpha=levels, beta=levels)
def test_limits_are_nested_in_the_level(
    limits: Limits, data: st.DataObject, n: int, alpha: Fraction, beta: Fraction
) -> None:
    k = data.draw(st.integers(0, n))
    wide, narrow = limits(k, n, min(alpha, beta)), limits(k, n, max(alpha, beta))
    assert wide.lo <= narrow.lo <= narrow.hi <= wide.hi


@both
@deterministic
@given(data=st.data(), n=st.integers(0, 3000), alpha=levels)
def test_limits_are_symmetric(limits: Limits, data: st.DataObject, n: int, alpha: Fraction) -> None:
    k = data.draw(st.integers(0, n))
    ends, mirrored = limits(k, n, alpha), limits(n - k, n, alpha)
    assert (mirrored.lo, mirrored.hi) == (1 - ends.hi, 1 - ends.lo)


@both
@deterministic
@given(k=st.integers(0, 40), n=st.integers(1, 40), alpha=levels)
def test_random_small_cases_exactly(limits: Limits, k: int, n: int, alpha: Fraction) -> None:
    k = min(k, n)
    ends = limits(k, n, alpha)
    exact, level = (upper_tail, alpha / 2) if limits is clopper_pearson else (likelihood, alpha)
    for m, end in ((k, ends.lo), (n - k, 1 - ends.hi)):
        if m:
            assert exact(n, m, end) <= level
            assert end + SLACK >= Fraction(m, n) or exact(n, m, end + SLACK) > level


# --- error control ---------------------------------------------------------------------------------------------------


@cache
def budget(trials: int, alpha: Fraction) -> int:
    """Smallest m with `P(Bin(trials, alpha) >= m) <= 1e-7`, exactly: more misses than a right method ever shows."""
    a, b = alpha.numerator, alpha.denominator
    limit, total = b**trials // 10**7, 0
    for m in range(trials, -1, -1):
        total += math.comb(trials, m) * a**m * (b - a) ** (trials - m)
        if total > limit:
            return m + 1
    return 0


def check_coverage_exactly(limits: Limits) -> None:
    """At fixed n, `P(lo > p) <= alpha/2` and `P(hi < p) <= alpha/2` for every p of a grid, by exact summation."""
    n, alpha = 30, Fraction(1, 10)
    ends = [limits(k, n, alpha) for k in range(n + 1)]
    for p in (Fraction(j, 97) for j in range(1, 97)):
        assert sum((pmf(n, k, p) for k in range(n + 1) if ends[k].lo > p), Fraction(0)) <= alpha / 2
        assert sum((pmf(n, k, p) for k in range(n + 1) if ends[k].hi < p), Fraction(0)) <= alpha / 2


def test_coverage_of_clopper_pearson() -> None:
    check_coverage_exactly(clopper_pearson)
    with pytest.raises(AssertionError):
        check_coverage_exactly(BROKEN["tail alpha, not alpha/2"](clopper_pearson))


@cache
def excluding_counts(limits: Limits, p: Fraction, alpha: Fraction, horizon: int) -> tuple[tuple[int, int], ...]:
    """For n = 1..horizon, (a, b) such that the limits exclude p if and only if k < a or k > b.

    Uses that limits grow with k, tested above, and with it that a and b move by at most one a trial.
    """
    found = []
    a, b = 0, 0
    for n in range(1, horizon + 1):
        while a <= n and limits(a, n, alpha).hi < p:
            a += 1
        while b < n and not limits(b + 1, n, alpha).lo > p:
            b += 1
        found.append((a, b))
    return tuple(found)


def check_optional_stopping_exactly(limits: Limits) -> None:
    """The probability that p is ever excluded within the horizon, by exact dynamic programming, is at most alpha."""
    alpha, horizon = Fraction(1, 10), 150
    for p in (Fraction(1, 2), Fraction(1, 10)):
        alive, scale = {0: 1}, 1  # probabilities of the paths that were never excluded, times scale
        for a, b in excluding_counts(limits, p, alpha, horizon):
            moved: dict[int, int] = {}
            for k, mass in alive.items():
                moved[k + 1] = moved.get(k + 1, 0) + mass * p.numerator
                moved[k] = moved.get(k, 0) + mass * (p.denominator - p.numerator)
            alive = {k: mass for k, mass in moved.items() if a <= k <= b}
            scale *= p.denominator
        assert 1 - Fraction(sum(alive.values()), scale) <= alpha


def check_optional_stopping_by_simulation(limits: Limits) -> None:
    """Of 4000 seeded runs that stop as soon as the limits exclude p, at most the budget ever stop.

    A right method fails this with probability below 1e-7.
    """
    alpha, horizon, runs, p = Fraction(1, 10), 150, 4000, Fraction(1, 2)
    draws = np.random.default_rng(20260101).integers(0, p.denominator, size=(runs, horizon)) < p.numerator
    counts = np.cumsum(draws, axis=1)
    ends = np.array(excluding_counts(limits, p, alpha, horizon))
    stopped = ((counts < ends[:, 0]) | (counts > ends[:, 1])).any(axis=1)
    assert int(stopped.sum()) < budget(runs, alpha)


@pytest.mark.parametrize("check", [check_optional_stopping_exactly, check_optional_stopping_by_simulation])
def test_confidence_sequence_allows_optional_stopping(check: Callable[[Limits], None]) -> None:
    check(confidence_sequence)
    with pytest.raises(AssertionError):
        check(clopper_pearson)  # valid at a fixed number of trials only


def test_excluding_counts_are_what_they_say() -> None:
    p, alpha = Fraction(3, 10), Fraction(1, 10)
    for n, (a, b) in enumerate(excluding_counts(confidence_sequence, p, alpha, 40), start=1):
        kept = [k for k in range(n + 1) if confidence_sequence(k, n, alpha).contains(p)]
        assert kept == list(range(a, b + 1))


CountLimits = Callable[[Count, Interval, Fraction], Enclosure]


def check_coverage_with_lost_replicas(limits: CountLimits) -> None:
    """Misses stay within the budget although replicas get lost depending on their outcome (half the events here)."""
    alpha, runs, n, p = Fraction(1, 10), 3000, 60, 0.4
    rng = np.random.default_rng(20260102)
    for lose_events in (True, False):
        outcomes = rng.random((runs, n)) < p
        lost = (outcomes == lose_events) & (rng.random((runs, n)) < 0.5)
        misses = 0
        for events, gone in zip((outcomes & ~lost).sum(axis=1), lost.sum(axis=1), strict=True):
            ends = limits(Count(int(events), int(gone), n), Interval.CLOPPER_PEARSON, alpha)
            misses += not ends.contains(Fraction(p))
        assert misses < budget(runs, alpha)


def test_lost_replicas_never_help() -> None:
    check_coverage_with_lost_replicas(confidence_limits)
    broken: list[CountLimits] = [
        lambda count, interval, alpha: LIMITS[interval](count.events, count.trials - count.lost, alpha),
        lambda count, interval, alpha: LIMITS[interval](count.events, count.trials, alpha),
        lambda count, interval, alpha: LIMITS[interval](count.events + count.lost, count.trials, alpha),
    ]
    for limits in broken:
        with pytest.raises(AssertionError):
            check_coverage_with_lost_replicas(limits)


def test_a_simulated_check_catches_a_wrong_level() -> None:
    def rate(count: Count, interval: Interval, alpha: Fraction) -> Enclosure:
        return confidence_limits(Count(count.events + count.lost, 0, count.trials), interval, 4 * alpha)

    with pytest.raises(AssertionError):
        check_coverage_with_lost_replicas(rate)


@pytest.mark.parametrize("interval", Interval)
def test_confidence_limits_of_a_count(interval: Interval) -> None:
    alpha = Fraction(1, 20)
    full = LIMITS[interval]
    assert confidence_limits(Count(3, 0, 10), interval, alpha) == full(3, 10, alpha)
    assert confidence_limits(Count(3, 2, 10), interval, alpha) == Enclosure(
        full(3, 10, alpha).lo, full(5, 10, alpha).hi
    )
    assert confidence_limits(Count(0, 10, 10), interval, alpha) == Enclosure(Fraction(0), Fraction(1))
    assert confidence_limits(Count(0, 0, 0), interval, alpha) == Enclosure(Fraction(0), Fraction(1))


# --- verdicts --------------------------------------------------------------------------------------------------------


def box(lo: str, hi: str) -> Enclosure:
    return Enclosure(Fraction(lo), Fraction(hi))


B = box("0.5", "0.6")
RESOLUTION = Fraction(1, 100)
V = Verdict

# (relation, bound, limits, verdict); the resolution is 1/100
VERDICTS: list[tuple[Relation, Enclosure | None, Enclosure | None, Verdict]] = [
    (Relation.AT_LEAST, B, box("0.7", "0.8"), V.CONFIRMED),
    (Relation.AT_LEAST, B, box("0.61", "0.8"), V.CONFIRMED),  # exactly the resolution away
    (Relation.AT_LEAST, B, box("0.6099", "0.8"), V.UNDECIDED),
    (Relation.AT_LEAST, B, box("0.6", "0.8"), V.UNDECIDED),
    (Relation.AT_LEAST, B, box("0.5999", "0.8"), V.CONSISTENT),
    (Relation.AT_LEAST, B, box("0.2", "0.5"), V.CONSISTENT),
    (Relation.AT_LEAST, B, box("0.2", "0.4999"), V.UNDECIDED),
    (Relation.AT_LEAST, B, box("0.2", "0.49"), V.UNDECIDED),  # widened, it touches the bound
    (Relation.AT_LEAST, B, box("0.2", "0.4899"), V.REFUTED),
    (Relation.AT_LEAST, B, box("0", "1"), V.CONSISTENT),
    (Relation.AT_LEAST, box("1", "1"), box("0.995", "1"), V.CONSISTENT),  # widened limits are clamped to [0, 1]
    (Relation.AT_LEAST, box("0", "0.6"), box("0.9", "1"), V.VACUOUS),
    (Relation.AT_LEAST, box("-1", "-1"), None, V.VACUOUS),
    (Relation.AT_LEAST, B, None, V.UNDECIDED),
    (Relation.AT_LEAST, None, box("0.9", "1"), V.UNDECIDED),
    (Relation.AT_MOST, B, box("0.2", "0.3"), V.CONFIRMED),
    (Relation.AT_MOST, B, box("0.2", "0.49"), V.CONFIRMED),
    (Relation.AT_MOST, B, box("0.2", "0.5"), V.UNDECIDED),
    (Relation.AT_MOST, B, box("0.2", "0.5001"), V.CONSISTENT),
    (Relation.AT_MOST, B, box("0.6", "0.8"), V.CONSISTENT),
    (Relation.AT_MOST, B, box("0.61", "0.8"), V.UNDECIDED),
    (Relation.AT_MOST, B, box("0.6101", "0.8"), V.REFUTED),
    (Relation.AT_MOST, box("0", "0"), box("0.5", "1"), V.REFUTED),  # an upper bound of 0 says a lot
    (Relation.AT_MOST, box("0.5", "1"), box("0.2", "0.3"), V.VACUOUS),
    (Relation.AT_MOST, box("2", "2"), None, V.VACUOUS),
    (Relation.AT_MOST, B, None, V.UNDECIDED),
    (Relation.EQUAL, B, box("0.2", "0.5"), V.CONSISTENT),
    (Relation.EQUAL, B, box("0.55", "0.56"), V.CONSISTENT),
    (Relation.EQUAL, B, box("0.6", "1"), V.CONSISTENT),
    (Relation.EQUAL, B, box("0.6001", "1"), V.UNDECIDED),
    (Relation.EQUAL, B, box("0.6101", "1"), V.REFUTED),
    (Relation.EQUAL, B, box("0", "0.4899"), V.REFUTED),
    (Relation.EQUAL, B, box("0", "0.495"), V.UNDECIDED),
    (Relation.EQUAL, box("0", "0"), box("0.5", "1"), V.REFUTED),  # no equality is vacuous
    (Relation.EQUAL, B, None, V.UNDECIDED),
]

Judge = Callable[..., Judgement]


def check_verdicts(decide: Judge) -> None:
    for relation, bound, limits, verdict in VERDICTS:
        given = {"bound": bound, "limits": limits, "resolution": RESOLUTION, "relation": relation}
        for status, expected in (
            (Status.HOLDS, verdict),
            (Status.FAILS, V.NOT_APPLICABLE),
            (Status.UNKNOWN, V.UNDECIDED),
        ):
            judgement = decide(hypotheses=status, hypothesis_reason="labels-vary: V = 0", **given)
            assert judgement.verdict is expected, (relation, bound, limits, status)
            assert judgement.why
            if status is not Status.HOLDS:
                assert judgement.why == "labels-vary: V = 0"


def test_verdicts() -> None:
    check_verdicts(judge)
    assert {verdict for *_, verdict in VERDICTS} | {V.NOT_APPLICABLE} == set(Verdict)


def broken_judges() -> dict[str, Judge]:
    other = {Relation.AT_LEAST: Relation.AT_MOST, Relation.AT_MOST: Relation.AT_LEAST, Relation.EQUAL: Relation.EQUAL}

    def shrunk(*, limits: Enclosure | None, resolution: Fraction, **given: object) -> Judgement:
        if limits is not None and limits.width > 2 * resolution:
            limits = Enclosure(limits.lo + resolution, limits.hi - resolution)
        return judge(limits=limits, resolution=Fraction(0), **given)  # type: ignore[arg-type]

    def widened(*, limits: Enclosure | None, resolution: Fraction, **given: object) -> Judgement:
        if limits is not None:
            limits = Enclosure(max(limits.lo - resolution, Fraction(0)), min(limits.hi + resolution, Fraction(1)))
        return judge(limits=limits, resolution=Fraction(0), **given)  # type: ignore[arg-type]

    def middle(*, bound: Enclosure | None, **given: object) -> Judgement:
        point = None if bound is None else Enclosure.point((bound.lo + bound.hi) / 2)
        return judge(bound=point, **given)  # type: ignore[arg-type]

    def eager(*, hypotheses: Status, **given: object) -> Judgement:
        return judge(hypotheses=Status.HOLDS if hypotheses is Status.UNKNOWN else hypotheses, **given)  # type: ignore[arg-type]

    return {
        "inequality flipped": lambda *, relation, **given: judge(relation=other[relation], **given),
        "always at least": lambda *, relation, **given: judge(relation=Relation.AT_LEAST, **given),
        "resolution ignored": lambda *, resolution, **given: judge(resolution=Fraction(0), **given),
        "limits shrunk by the resolution": shrunk,
        "only widened limits": widened,
        "midpoint of the bound": middle,
        "unknown hypotheses taken as true": eager,
    }


@pytest.mark.parametrize("name", broken_judges())
def test_broken_verdicts_are_caught(name: str) -> None:
    with pytest.raises(AssertionError):
        check_verdicts(broken_judges()[name])


ordered = st.lists(st.fractions(0, 1, max_denominator=60), min_size=2, max_size=2).map(
    lambda ends: Enclosure(*sorted(ends))
)
resolutions = st.sampled_from([Fraction(0), Fraction(1, 60), Fraction(1, 7)])


def quick(bound: Enclosure, limits: Enclosure, resolution: Fraction, relation: Relation) -> Verdict:
    return judge(
        bound=bound,
        limits=limits,
        hypotheses=Status.HOLDS,
        hypothesis_reason="",
        resolution=resolution,
        relation=relation,
    ).verdict


@settings(derandomize=True, deadline=None, max_examples=300)
@given(bound=ordered, limits=ordered, resolution=resolutions)
def test_strong_verdicts_hold_for_every_possible_truth(
    bound: Enclosure, limits: Enclosure, resolution: Fraction
) -> None:
    """CONFIRMED and REFUTED are true of all p within the resolution of the limits and all B in the bound."""
    verdict = quick(bound, limits, resolution, Relation.AT_LEAST)
    lo, hi = max(limits.lo - resolution, Fraction(0)), min(limits.hi + resolution, Fraction(1))
    assert verdict is not V.CONFIRMED or lo >= bound.hi
    assert verdict is not V.REFUTED or hi < bound.lo
    flipped = Enclosure(1 - limits.hi, 1 - limits.lo)
    assert quick(Enclosure(1 - bound.hi, 1 - bound.lo), flipped, resolution, Relation.AT_MOST) is verdict
    equal = quick(bound, limits, resolution, Relation.EQUAL)
    assert equal in {V.CONSISTENT, V.UNDECIDED, V.REFUTED}
    assert (equal is V.REFUTED) == (hi < bound.lo or lo > bound.hi)


def reason(bound: Enclosure, limits: Enclosure, resolution: Fraction = RESOLUTION) -> str:
    return judge(bound=bound, limits=limits, hypotheses=Status.HOLDS, hypothesis_reason="", resolution=resolution).why


def test_reasons_carry_the_numbers() -> None:
    assert (
        reason(B, box("0.7", "0.8"))
        == "the lower limit 0.7000 is above B, which is at most 0.6000, and the claim is p >= B"
    )
    assert (
        reason(B, box("0.1", "0.2"))
        == "the upper limit 0.2000 is below B, which is at least 0.5000, and the claim is p >= B"
    )
    assert reason(B, box("0.55", "0.7")) == (
        "the limits [0.5500, 0.7000] and B in [0.5000, 0.6000] neither prove nor contradict p >= B"
    )
    below = reason(B, box("0.605", "0.8"))
    for part in ("resolution", "0.0100", "0.6050", "0.6000", "CONFIRMED", "CONSISTENT"):
        assert part in below
    assert reason(box("0", "0.5"), box("0.7", "0.8")) == "the lower bound is certified only to be at least 0"


def test_reasons_never_print_numbers_in_the_wrong_order() -> None:
    exact = Fraction(0)
    near = Enclosure.point(Fraction("0.60000000001"))
    assert "0.6000000000100000 is above B, which is at most 0.6000000000000000" in reason(
        Enclosure.point(Fraction("0.6")), near, exact
    )
    third = Enclosure.point(Fraction(1, 3))
    assert "the lower limit 1/3 is not below B, which is at most 1/3" in reason(third, third, exact)
    half = Enclosure.point(Fraction(1, 2))
    assert "the lower limit 0.5000 is not below B, which is at most 0.5000" in reason(half, half, exact)


def test_verdicts_have_meanings_and_no_truth_value() -> None:
    for verdict in Verdict:
        assert verdict.meaning.endswith(".")
        assert verdict.meaning.count(".") == 1
        with pytest.raises(TypeError, match="no truth value"):
            bool(verdict)
    assert len({verdict.meaning for verdict in Verdict}) == len(Verdict)
    assert V.NOT_APPLICABLE.value == "NOT APPLICABLE"


# --- level -----------------------------------------------------------------------------------------------------------


def check_level(alpha_for: Callable[[LevelPlan, str], Fraction], later: Callable[[LevelPlan, int], Fraction]) -> None:
    """All levels together stay within alpha, however many are added later, and little of alpha is lost.

    Later levels are c / i^2, which add up to c pi^2 / 6; 355/113 > pi > 3.1415.
    """
    plan = LevelPlan(Fraction(1, 1000), ("a", "b", "c"))
    assert sum((alpha_for(plan, name) for name in plan.names), Fraction(0)) == Fraction(9, 10_000)
    assert plan.reserved == Fraction(1, 10_000)
    c = later(plan, 1)
    assert all(later(plan, i) == c / i**2 for i in range(1, 500))
    assert c * Fraction(355, 113) ** 2 / 6 <= plan.reserved
    assert c * Fraction("3.1415") ** 2 / 6 >= Fraction(9999, 10_000) * plan.reserved


def test_levels_add_up_to_at_most_alpha() -> None:
    check_level(LevelPlan.alpha_for, LevelPlan.alpha_for_later)


@pytest.mark.parametrize(
    ("named", "later"),
    [
        (lambda plan, name: plan.alpha / len(plan.names), LevelPlan.alpha_for_later),
        (lambda plan, name: plan.alpha, LevelPlan.alpha_for_later),
        (LevelPlan.alpha_for, lambda plan, i: plan.reserved / i**2),
        (LevelPlan.alpha_for, lambda plan, i: plan.reserved * 6 / (Fraction("9.86") * i**2)),
        (LevelPlan.alpha_for, lambda plan, i: plan.reserved * 6 / (Fraction("9.8697") * i)),
        (LevelPlan.alpha_for, lambda plan, i: plan.reserved * 6 / (10 * i**2)),
    ],
)
def test_broken_levels_are_caught(
    named: Callable[[LevelPlan, str], Fraction], later: Callable[[LevelPlan, int], Fraction]
) -> None:
    with pytest.raises(AssertionError):
        check_level(named, later)


def test_pi_squared_is_rounded_up() -> None:
    with mpmath.workdps(30):
        assert mpmath.mpf("3.1415") < mpmath.pi < mpmath.mpf(355) / 113
    assert Fraction(355, 113) ** 2 < inference.PI_SQUARED_UP


def test_level_plan_for_a_manifest() -> None:
    plan = LevelPlan(Fraction(1, 1000), ("T1", "T2"))
    assert plan.to_builtins() == {
        "alpha": "1/1000",
        "reserved_share": "1/10",
        "reserved": "1/10000",
        "comparisons": {"T1": "9/20000", "T2": "9/20000"},
        "later": "reserved * 6 / (98697/10000 * i^2)",
    }
    assert LevelPlan(Fraction(1, 2), (), Fraction(0)).to_builtins()["reserved"] == "0/1"


# --- validation, seen both ways -------------------------------------------------------------------------------------

LEVEL = Fraction(1, 20)
REJECTED: list[tuple[Callable[[], object], str]] = [
    (lambda: Count(-1, 0, 5), "events=-1: expected a non-negative integer"),
    (lambda: Count(1, -1, 5), "lost=-1"),
    (lambda: Count(0, 0, -5), "trials=-5"),
    (lambda: Count(3, 3, 5), "events=3 and lost=3 of trials=5: expected"),
    (lambda: Count(True, 0, 5), "events=True"),
    (lambda: Count(1.0, 0, 5), "events=1.0"),  # type: ignore[arg-type]
    (lambda: confidence_limits(Count(1, 0, 5), Interval.CLOPPER_PEARSON, Fraction(1)), "alpha=.*expected"),
    (lambda: LevelPlan(Fraction(0), ("a",)), "alpha=.*expected"),
    (lambda: LevelPlan(LEVEL, ("a",), Fraction(1)), "reserved_share=.*expected"),
    (lambda: LevelPlan(LEVEL, ("a",), Fraction(-1, 2)), "reserved_share=.*expected"),
    (lambda: LevelPlan(LEVEL, ("a",), 0.1), "reserved_share=0.1: expected"),  # type: ignore[arg-type]
    (lambda: LevelPlan(LEVEL, ["a"]), "names=.*expected a tuple"),  # type: ignore[arg-type]
    (lambda: LevelPlan(LEVEL, ("a", "")), "names=.*expected"),
    (lambda: LevelPlan(LEVEL, ("a", "b", "a")), "comparison 'a' is named twice"),
    (lambda: LevelPlan(LEVEL, ("theorem-1",)).alpha_for("theorem1"), "did you mean 'theorem-1'"),
    (lambda: LevelPlan(LEVEL, ()).alpha_for("x"), "expected one of no names at all"),
    (lambda: LevelPlan(LEVEL, ("a",)).alpha_for_later(0), "i=0: expected"),
    (lambda: LevelPlan(LEVEL, ("a",)).alpha_for_later(-1), "i=-1: expected"),
    (lambda: LevelPlan(LEVEL, ("a",), Fraction(0)).alpha_for_later(1), "reserved_share=0: expected"),
    (lambda: quick(B, B, Fraction(-1), Relation.EQUAL), "resolution=.*expected"),
    (lambda: quick(B, B, 0.1, Relation.EQUAL), "resolution=0.1: expected"),  # type: ignore[arg-type]
    (lambda: quick(B, box("-0.1", "0.5"), RESOLUTION, Relation.EQUAL), "limits=.*expected"),
    (lambda: quick(B, box("0.1", "1.5"), RESOLUTION, Relation.EQUAL), "limits=.*expected"),
]


@pytest.mark.parametrize(("call", "message"), REJECTED)
def test_wrong_input_is_rejected(call: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        call()


@both
def test_wrong_counts_and_levels_are_rejected(limits: Limits) -> None:
    cases: list[tuple[int, int, Fraction, str]] = [
        (-1, 5, LEVEL, "successes=-1"),
        (6, 5, LEVEL, "successes=6 of trials=5: expected"),
        (0, -1, LEVEL, "trials=-1"),
        (1, 5, Fraction(0), "alpha="),
        (1, 5, Fraction(1), "alpha="),
        (1, 5, 0.05, "alpha=0.05: expected a Fraction"),  # type: ignore[list-item]
        (1.0, 5, LEVEL, "successes=1.0"),  # type: ignore[list-item]
        (True, 5, LEVEL, "successes=True"),
        (np.int64(1), 5, LEVEL, "successes="),  # type: ignore[list-item]
    ]
    for k, n, level, message in cases:
        with pytest.raises(InvalidInput, match=message):
            limits(k, n, level)
    limits(1, 2, Fraction(1, 2))  # a cached answer does not let an equal float in
    with pytest.raises(InvalidInput):
        limits(1, 2, 0.5)  # type: ignore[arg-type]


def test_right_input_is_accepted() -> None:
    assert Count(2, 3, 5).trials == 5
    assert Count(0, 0, 0).events == 0
    assert LevelPlan(LEVEL, ("a",)).alpha_for("a") == Fraction(9, 200)
    assert LevelPlan(LEVEL, ("a",), Fraction(0)).alpha_for("a") == LEVEL
    assert LevelPlan(LEVEL, ("a",)).alpha_for_later(1) == Fraction(1, 200) * 6 / Fraction("9.8697")
    assert quick(B, box("0", "1"), Fraction(0), Relation.EQUAL) is V.CONSISTENT
