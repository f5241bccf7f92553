"""Each case in one sentence of plain English, with every probability rounded in the safe direction."""

from __future__ import annotations

import re
from fractions import Fraction

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.verify.report.builders import (
    TRIALS,
    a_case,
    a_frequency,
    a_start,
    a_theorem,
    every,
    number,
    probabilities,
    small,
    some_results,
    typical,
    untrained,
)
from verify.inference import Verdict
from verify.report import html_report, markdown_report, terminal_report
from verify.report.rows import make_rows
from verify.report.words import case_sentence, networks_sentence, row_sentence
from verify.results import FrequencyResult, Results, StartResult, TheoremResult

START = a_start("width", (1, 31, 1))
NUMBER = r"(1 - [0-9.e-]*[0-9]|[0-9][0-9.e-]*(?<![.-]))"


def sentence(theorem: TheoremResult) -> str:
    return case_sentence(START, a_case(START, "sgd", theorem))


def test_a_case_in_words() -> None:
    assert sentence(a_theorem()) == (
        "On nile with pytorch initialization and one hidden layer of 31 neurons, training with sgd misses every global "
        "minimizer with probability at least 0.609 (T3); of 10,000 networks drawn, 6,167 had 1 dead; the chance of "
        "that is at least 0.595 and at most 0.638, which agrees with the bound; of 128 networks trained, 74 started "
        "with it, 5 came to it later and 28 brought the risk down to U."
    )


def test_rows_name_their_optimizers() -> None:
    told = [row_sentence(row) for row in make_rows(typical())]
    assert "training with each of the 2 optimizers misses" in told[0]
    assert "training with adam(weight_decay=0.1) misses" in told[4]
    assert "2 hidden layers of 3 neurons" in told[4]


@pytest.mark.parametrize(
    ("verdict", "lo", "expected"),
    [
        (Verdict.CONFIRMED, Fraction(1, 3), "the chance of that is at least 0.595, which confirms the bound"),
        (Verdict.REFUTED, Fraction(1, 3), "at least 0.595 and at most 0.638, which contradicts the bound"),
        (Verdict.UNDECIDED, Fraction(1, 3), "undecided: so it is"),
        (Verdict.NOT_APPLICABLE, None, "no theorem gives a bound for training with sgd (T3: so it is)"),
        (Verdict.VACUOUS, Fraction(0), "the bound for training with sgd (T3) allows every probability"),
    ],
)
def test_every_verdict_has_its_words(verdict: Verdict, lo: Fraction | None, expected: str) -> None:
    told = sentence(a_theorem(lo=lo, verdict=verdict))
    assert expected in told
    for other in ("confirms", "contradicts", "agrees with"):
        assert (other in told) is (other in expected)


def test_upper_bounds_and_equalities_have_their_words() -> None:
    most = msgspec.structs.replace(a_theorem(verdict=Verdict.CONFIRMED), relation="p <= B")
    assert "1 dead has probability at most 0.610 (T3)" in sentence(most)
    assert "the chance of that is at most 0.638, which confirms" in sentence(most)
    equal = msgspec.structs.replace(a_theorem(verdict=Verdict.CONFIRMED), relation="p = B")
    assert "at least 0.595 and at most 0.638, which confirms" in sentence(equal)


@given(probabilities, probabilities, probabilities)
def test_numbers_in_sentences_are_rounded_in_the_safe_direction(bound: Fraction, one: Fraction, two: Fraction) -> None:
    lo, hi = sorted((one, two))
    told = sentence(a_theorem(lo=bound, frequency=a_frequency(6167, lo, hi)))
    said = re.search(rf"with probability at least {NUMBER} \(T3\)", told)
    assert said is not None
    assert number(said[1]) <= bound
    assert "1.000" not in said[1]
    at_least, at_most = (re.search(rf"that is (?:.*and )?{word} {NUMBER}", told) for word in ("at least", "at most"))
    assert at_least is None or number(at_least[1]) <= lo
    assert at_most is None or number(at_most[1]) >= hi
    assert (at_least is None) <= (lo == 0)
    assert (at_most is None) <= (hi == 1)


def test_a_number_rounded_the_wrong_way_would_be_seen() -> None:
    told = sentence(a_theorem(lo=Fraction(9996, 10**4)))
    said = re.search(rf"with probability at least {NUMBER} \(T3\)", told)
    assert said is not None
    assert number(said[1]) > Fraction(9995, 10**4)


@given(st.integers(0, TRIALS), st.integers(0, 3))
def test_counts_in_sentences_are_exact(events: int, lost: int) -> None:
    frequency = FrequencyResult(
        "1 dead", min(events, TRIALS - lost), lost, TRIALS, "clopper-pearson", "1/9", "0/1", "1/1"
    )
    told = sentence(a_theorem(frequency=frequency))
    assert f"of 10,000 networks drawn, {frequency.events:,} had 1 dead" in told
    assert ("could not be decided" in told) is (lost > 0)


@every
def test_every_case_has_one_sentence(results: Results) -> None:
    starts = {start.id: start for start in results.starts}
    for case in results.cases:
        told = case_sentence(starts[case.start], case)
        assert told.endswith(".")
        assert "\n" not in told


def test_all_reports_say_the_same_sentences() -> None:
    results = small()
    row = make_rows(results)[0]
    assert row_sentence(row) in markdown_report(results, [])
    assert row_sentence(row) == case_sentence(results.starts[0], results.cases[0])


def test_an_audit_without_training_says_so() -> None:
    results = untrained()
    assert sentence_of_first(results).endswith("which agrees with the bound; no network was trained.")
    console = Console(width=80)
    with console.capture() as captured:
        console.print(terminal_report(results))
    for text in (captured.get(), markdown_report(results, [])):
        assert "no network was trained" in text
        assert "0 of 0" not in text
        assert "0/0" not in text
        assert "trained networks (about" not in text


def sentence_of_first(results: Results) -> str:
    start: StartResult = results.starts[0]
    return case_sentence(start, results.cases[0])


def test_results_without_cases_have_no_sentences() -> None:
    assert make_rows(some_results()) == []


def test_networks_that_were_certain_are_told_everywhere() -> None:
    start, case = small().starts[0], small().cases[0]
    certain = msgspec.structs.replace(case, run=msgspec.structs.replace(case.run, certain=70))
    results = msgspec.structs.replace(small(), cases=(certain, small().cases[1]))
    told = "were certain at initialization and were counted without training"
    assert f"brought the risk down to U (70 {told})." in case_sentence(start, certain)
    assert networks_sentence(results).endswith(f"70 {told}.")
    assert make_rows(results)[0].frozen_text == "74/74 (+70 certain)"
    assert "(70 certain at initialization, not trained)" in html_report(results, [])
    assert "certain at initialization" not in html_report(small(), [])
