"""Limits and verdicts of the producer: accepted as they are, rejected one step further in."""

from __future__ import annotations

import itertools
from fractions import Fraction

import pytest

from tests.verify.certificate.reference import verdict
from theorems.hypotheses import Status
from theorems.theorem import Relation
from verify.certificate.checker import is_excluded, verdict_of
from verify.enclosure import Enclosure
from verify.inference import GRID, Count, Interval, confidence_limits, judge

COUNTS = [
    (0, 0, 5),
    (5, 0, 5),
    (1, 0, 2),
    (1406, 0, 10_000),
    (3, 2, 40),
    (9_990, 4, 10_000),
    (1, 0, 10_000),
    (40_000, 0, 100_000),
    (999_000, 7, 1_000_000),
]
ALPHAS = [Fraction(1, 20), Fraction(3, 220_000), Fraction(1, 10**12), Fraction(9, 10)]


@pytest.mark.parametrize("interval", list(Interval))
@pytest.mark.parametrize(("events", "lost", "trials"), COUNTS)
def test_limits_of_the_producer_are_accepted_and_closer_ones_rejected(
    events: int, lost: int, trials: int, interval: Interval
) -> None:
    sequence = interval is Interval.CONFIDENCE_SEQUENCE
    for alpha in ALPHAS:
        limits = confidence_limits(Count(events, lost, trials), interval, alpha)
        for p, k in ((limits.lo, events), (1 - limits.hi, trials - events - lost)):
            assert is_excluded(p, k, trials, alpha, sequence)
            assert is_excluded(p / 2, k, trials, alpha, sequence)
            assert not is_excluded(p + Fraction(1, GRID), k, trials, alpha, sequence)


def test_nothing_beyond_the_frequency_is_excluded_by_the_sequence() -> None:
    """Far above k/n the likelihood is small again; that excludes nothing from below."""
    alpha = Fraction(1, 20)
    assert not is_excluded(Fraction(99, 100), 10, 100, alpha, True)
    assert not is_excluded(Fraction(1), 100, 100, alpha, True)
    assert not is_excluded(Fraction(1), 100, 100, alpha, False)


ENDS = [Fraction(n, 8) for n in (0, 2, 3, 4, 6, 8)]
PAIRS = [(a, b) for a in ENDS for b in ENDS if a <= b]


@pytest.mark.parametrize("relation", list(Relation))
def test_verdicts_are_those_of_the_producer(relation: Relation) -> None:
    gaps = (Fraction(0), Fraction(1, 100), Fraction(1, 8))
    seen = set()
    for bound, limits, gap in itertools.product(PAIRS, PAIRS, gaps):
        found = verdict_of(relation.value, "holds", bound, limits, gap)
        seen.add(found)
        judged = judge(
            bound=Enclosure(*bound),
            limits=Enclosure(*limits),
            hypotheses=Status.HOLDS,
            hypothesis_reason="",
            resolution=gap,
            relation=relation,
        )
        assert found == judged.verdict.value == verdict(relation.value, bound, limits, gap)
    assert seen >= {"CONSISTENT", "REFUTED", "UNDECIDED"}
    assert ("CONFIRMED" in seen) == ("VACUOUS" in seen) == (relation is not Relation.EQUAL)


def test_verdicts_without_bound_or_hypotheses() -> None:
    inside = (Fraction(0), Fraction(1))
    for relation in Relation:
        assert verdict_of(relation.value, "fails", inside, inside, Fraction(0)) == "NOT APPLICABLE"
        assert verdict_of(relation.value, "unknown", None, inside, Fraction(0)) == "UNDECIDED"
        assert verdict_of(relation.value, "holds", None, inside, Fraction(0)) == "UNDECIDED"
