"""The rows, counts and words of every report equal the results."""

from __future__ import annotations

import msgspec
import pytest

from tests.verify.report.builders import (
    a_case,
    a_start,
    a_theorem,
    every,
    nothing_swept,
    some_results,
    typical,
    with_refutations,
)
from theorems.errors import InvalidInput
from verify.inference import Verdict
from verify.report import summary
from verify.report.rows import claim_counts, entries, make_rows, refutations, verdict_counts
from verify.results import JudgementResult, Results


def test_optimizers_of_a_start_share_a_row_unless_they_differ() -> None:
    rows = make_rows(typical())
    assert [(row.theorem, row.architecture, row.optimizers_text) for row in rows] == [
        ("T3", "1,2,1", "2"),
        ("T3", "1,31,1", "2"),
        ("T3", "1,64,1", "2"),
        ("T10", "1,3,3,1", "1 of 2"),
        ("T2", "1,3,3,1", "1 of 2"),
        ("T10", "1,3,3,3,3,3,1", "1 of 2"),
        ("T2", "1,3,3,3,3,3,1", "1 of 2"),
    ]
    first = rows[0]
    assert (first.frozen_text, first.seen_text, first.split.counts) == ("148/148", "6167/10000", (148, 10, 42, 56, 0))
    assert (first.bound_text(), first.limits_text) == ("0.6093", "[0.5955, 0.6376]")


def test_broken_persistence_is_named_in_the_row() -> None:
    assert [row.frozen_text for row in make_rows(with_refutations())] == ["73/74 REFUTED", "74/74"]


@every
def test_every_verdict_is_counted_once(results: Results) -> None:
    told = [entry.judgement for entry in entries(results)]
    assert sorted(judgement.verdict for judgement in told) == sorted(j.verdict for j in results.judgements())
    assert sum(verdict_counts(results).values()) == len(results.judgements())
    assert len(refutations(results)) == results.refuted == verdict_counts(results)[Verdict.REFUTED]


def test_claims_count_the_theorems_that_speak_of_them() -> None:
    counts = {claim.claim: claim for claim in claim_counts(typical())}
    assert counts["C2"].theorems == ("T3",)
    assert counts["C3"].theorems == ("T2", "T10")
    assert counts["C2"].counts[Verdict.CONSISTENT] == 4
    assert counts["C2"].counts[Verdict.VACUOUS] == 2
    assert counts["C3"].counts[Verdict.CONFIRMED] == 4 + 4 + 2
    assert counts["frozen"].counts[Verdict.CONSISTENT] == len(typical().cases)


def test_unknown_verdict_is_refused() -> None:
    start = a_start("width", (1, 4, 1))
    theorem = msgspec.structs.replace(a_theorem(), judgement=JudgementResult("FINE", "", "proved"))
    with pytest.raises(InvalidInput, match="verdict 'FINE': expected one of CONFIRMED"):
        verdict_counts(some_results((start, a_case(start, "sgd", theorem))))


def test_summary_speaks_of_the_strongest_bound_and_of_refutations() -> None:
    assert summary(typical()) == (
        "Nothing refuted in 32 verdicts on 10 cases. With one hidden layer of 31 neurons and pytorch initialization, "
        "training on nile with each of the 2 optimizers misses every global minimizer with probability at least "
        "0.9999999995 (T3); of 10,000 networks drawn, 10,000 had 1 dead."
    )
    assert summary(with_refutations()).startswith("3 refuted of 6 verdicts on 2 cases.")
    assert summary(some_results()) == "Nothing was compared."
    assert summary(nothing_swept()).endswith("No theorem gave a bound that could be compared.")
