"""Every theorem of the catalogue gets a certificate that the checker accepts, and none that speaks of another case."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from tests.verify.certificate.written import (
    CERTIFICATES,
    EVALUATED,
    FAILING,
    NUMBER,
    TABLE,
    Written,
    certificate,
    compared,
    data,
    problem,
    sealed,
    written_anew,
)
from theorems.catalogue import THEOREMS
from theorems.hypotheses import NeuronCanBeDead, OptimizerClass, Property
from theorems.theorem import Relation
from verify.certificate import write
from verify.certificate.checker import Rejected, check_bytes
from verify.certificate.disagreement import Disagreement
from verify.certificate.write import write_certificate
from verify.enclosure import Enclosure

IDS = [each.id for each in CERTIFICATES]
WITH_TERM = [each for each in EVALUATED if each.taken != NUMBER]
LARGE = [each for each in WITH_TERM if "2000" not in each.id]  # that one is below 2^-1024 for all that Arb says


@pytest.mark.parametrize("written", CERTIFICATES, ids=IDS)
def test_each_certificate_is_accepted_as_far_as_stated(written: Written) -> None:
    made = certificate(written)
    assert made.outcome.code == written.code, made.outcome.taken
    assert (written.taken in " ".join(made.outcome.taken)) if written.taken else made.outcome.taken == ()
    document = json.loads(made.data)
    assert document["theorem"]["id"] == written.theorem
    assert len(made.data) < 100_000
    _, found = written.evaluate()
    if written in FAILING:
        assert found.bound is None
        assert document["bound"] is None
    else:
        assert found.bound is not None
        low, high = Fraction(document["bound"]["lo"]), Fraction(document["bound"]["hi"])
        near = Fraction(1, 2**20) * min(abs(found.bound.lo), abs(1 - found.bound.lo))
        assert found.bound.lo - near <= low <= found.bound.lo
        assert found.bound.hi <= high <= found.bound.hi + max(near, Fraction(1, 2**1000))


def test_everything_that_the_format_can_derive_is_seen() -> None:
    kinds, methods = set(), set()
    for written in CERTIFICATES:
        document = json.loads(certificate(written).data)
        kinds |= {entry["certificate"]["kind"] for entry in document["hypotheses"] if entry["certificate"]}
        methods |= {quantity["derivation"]["method"] for quantity in document["quantities"].values()}
    assert kinds == {"constant", "runs", "equal", "count", "network"}
    assert methods >= {"uniform_1d", "normal_1d", "zero_bias_hull", "data", "tree", "taken"}


def test_the_whole_catalogue_is_covered_in_full_where_the_format_allows_it() -> None:
    assert {each.theorem for each in CERTIFICATES} == set(THEOREMS)
    in_full = {each.theorem for each in EVALUATED if each.code == 0}
    assert set(THEOREMS) - in_full == {"T18"}  # its lines have no place in the format


@pytest.mark.parametrize("written", CERTIFICATES[::3], ids=IDS[::3])
def test_the_same_problem_gives_the_same_bytes(written: Written) -> None:
    assert written_anew(written).data == certificate(written).data


@pytest.mark.parametrize(
    ("written", "events"),
    [
        (Written("T3", ("1,4,1", "pytorch", "zigzag")), 160),
        (Written("T3", ("1,4,1", "pytorch", "zigzag")), 400),
        (Written("T3", ("1,4,1", "pytorch", "zigzag")), 20),
        (Written("T7", ("1,3*8,1", "he_normal", "positive")), 656),
        (Written("T7", ("1,3*8,1", "he_normal", "positive")), 300),
        (Written("T11a", ("3,3*8,1", "flax", "space")), 100),
        (Written("T11b", ("1,3*3,1", "he_normal", "both sides")), 600),
        (Written("T10", ("1,3,1", "pytorch", "zigzag", "SS")), 5),
    ],
)
@pytest.mark.parametrize("interval", ["clopper-pearson", "confidence-sequence"])
def test_every_kind_of_verdict_is_certified(written: Written, events: int, interval: str) -> None:
    made = certificate(written, events, 1000, interval)
    assert made.outcome.code == 0
    assert json.loads(made.data)["comparison"]["events"] == events


def test_verdicts_are_all_seen() -> None:
    seen = set()
    for written, events in (
        (Written("T3", ("1,4,1", "pytorch", "zigzag")), 400),
        (Written("T3", ("1,4,1", "pytorch", "zigzag")), 160),
        (Written("T3", ("1,4,1", "pytorch", "zigzag")), 20),
        (Written("T11b", ("1,3*3,1", "he_normal", "both sides")), 600),
        (Written("T10", ("1,3,1", "pytorch", "zigzag", "SS")), 5),
        (Written("T3", ("2,4,1", "orthogonal", "plane")), 5),
    ):
        seen.add(json.loads(certificate(written, events).data)["comparison"]["verdict"])
    assert seen == {"CONFIRMED", "CONSISTENT", "REFUTED", "VACUOUS", "NOT APPLICABLE"}


# --- another case is not accepted ------------------------------------------------------------------------------------

REBUILT = ("T1", "T2", "T3", "T4", "T5", "T7", "T8", "T10", "T11a", "T11b", "T14", "T15")


@pytest.mark.parametrize("theorem", REBUILT)
def test_a_certificate_is_not_one_for_other_widths(theorem: str) -> None:
    written = next(
        e for e in CERTIFICATES if e.theorem == theorem and e.code == 0 and e.evaluate()[1].bound is not None
    )
    document = json.loads(certificate(written).data)
    document["case"]["widths"][1] += 1
    assert check_bytes(sealed(document)).code == 1


@pytest.mark.parametrize("theorem", ["T1", "T3", "T10", "T12"])
def test_a_certificate_is_not_one_for_other_data(theorem: str) -> None:
    written = next(e for e in EVALUATED if e.theorem == theorem)
    document = json.loads(certificate(written).data)
    rows = document["case"]["data"]["rows"]
    rows[-1][0] = "2"
    assert check_bytes(sealed(document)).code == 1


@pytest.mark.parametrize("written", WITH_TERM[::4], ids=[each.id for each in WITH_TERM[::4]])
def test_a_larger_bound_is_not_accepted(written: Written) -> None:
    document = json.loads(certificate(written).data)
    for end in ("lo", "hi"):
        document["bound"][end] = str(Fraction(document["bound"][end]) + Fraction(1, 1000))
    assert check_bytes(sealed(document)).verdict.startswith("REJECTED: bound")


# --- several optimizers, large data ----------------------------------------------------------------------------------


def test_a_certificate_speaks_of_what_several_optimizers_share() -> None:
    posed = problem("1,3,3,1", "pytorch", "zigzag", "F")
    found = write.Evaluation(**vars(Written("T1", ("1,3,3,1", "pytorch", "zigzag")).evaluate()[1]))
    classes = (OptimizerClass.having(Property.F), OptimizerClass.having(Property.FB))
    made = write_certificate(posed, found, optimizers=classes)
    told = json.loads(made.data)["case"]["optimizer"]
    assert told["holds"] == ["FB", "DJ", "DW", "SL", "S", "D", "SS"]
    assert told["fails"] == []
    assert made.outcome.code == 0
    with pytest.raises(Disagreement, match="T1"):  # (FB) is in the event, and they do not all have it
        write_certificate(posed, found, optimizers=(*classes, OptimizerClass.having(Property.D)))


def test_data_that_are_too_long_are_left_out_and_what_they_showed_is_taken() -> None:
    posed, found = Written("T1", ("1,3,3,1", "pytorch", "zigzag")).evaluate()
    made = write_certificate(posed, found, most_rows=10)
    document = json.loads(made.data)
    assert document["case"]["data"]["rows"] is None
    assert document["case"]["data"]["numbers"] == {"ranges": [["0", "1"]], "rays": 1, "opposite": False}
    full = json.loads(write_certificate(posed, found).data)
    assert document["case"]["data"]["sha256"] == full["case"]["data"]["sha256"]
    assert made.outcome.code == 4
    assert any("labels-vary" in item for item in made.outcome.taken)


@pytest.mark.parametrize("name", TABLE)
def test_every_kind_of_data_is_written_and_read_again(name: str) -> None:
    inputs = data(name).input_dim
    made = certificate(Written("T11a", (f"{inputs},3,{data(name).output_dim}", "he_normal", name)))
    assert made.outcome.code == 0
    assert len(json.loads(made.data)["case"]["data"]["rows"]) == data(name).n_rows


# --- the second engine -----------------------------------------------------------------------------------------------


def shifted(bound: Enclosure, by: Fraction) -> Enclosure:
    return Enclosure(bound.lo + by, bound.hi + by)


@pytest.mark.parametrize("way", [1, -1], ids=["too large", "too small"])
@pytest.mark.parametrize("written", LARGE[::4], ids=[each.id for each in LARGE[::4]])
def test_a_wrong_bound_is_noticed(written: Written, way: int) -> None:
    notices(written, way)


@pytest.mark.slow
@pytest.mark.parametrize("way", [1, -1], ids=["too large", "too small"])
@pytest.mark.parametrize("written", LARGE, ids=[each.id for each in LARGE])
def test_every_wrong_bound_is_noticed(written: Written, way: int) -> None:
    notices(written, way)


def notices(written: Written, way: int) -> None:
    posed, found = written.evaluate()
    assert found.bound is not None
    size = min(abs(found.bound.lo), abs(1 - found.bound.lo))
    assert size > 0
    wrong = replace(found, bound=shifted(found.bound, way * size / 10**6))
    with pytest.raises(Disagreement, match=f"{written.theorem} for"):
        write_certificate(posed, wrong)


@pytest.mark.parametrize("factor", [Fraction(1001, 1000), Fraction(999, 1000)])
@pytest.mark.parametrize("described", [("1,4,1", "pytorch", "zigzag"), ("1,4,1", "normal(1,2)", "zigzag")])
def test_a_wrong_dead_neuron_probability_is_noticed(
    factor: Fraction, described: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    posed, found = Written("T3", described).evaluate()
    right = write.dead_probability(posed)
    assert right is not None
    ends = Enclosure(right.enclosure.lo * factor, right.enclosure.hi * factor)
    monkeypatch.setattr(write, "dead_probability", lambda *given, **named: replace(right, enclosure=ends))
    with pytest.raises(Disagreement, match="T3"):
        write_certificate(posed, found)


def test_a_wrong_hypothesis_is_noticed() -> None:
    posed, found = Written("T3", ("1,2,1", "he_uniform", "both sides")).evaluate()
    position = [f.hypothesis for f in found.findings].index(NeuronCanBeDead().id)
    findings = list(found.findings)
    findings[position] = replace(findings[position], status=type(findings[position].status)("holds"))
    with pytest.raises(Disagreement, match="neuron-can-be-dead"):
        write_certificate(posed, replace(found, findings=tuple(findings)))


def test_a_wrong_verdict_is_noticed() -> None:
    posed, found = Written("T3", ("1,4,1", "pytorch", "zigzag")).evaluate()
    right = compared(posed, found, 400, 1000, "clopper-pearson")
    with pytest.raises(Disagreement, match="verdict"):
        write_certificate(posed, found, replace(right, verdict=type(right.verdict)("REFUTED")))
    with pytest.raises(Disagreement, match="lower limit"):
        write_certificate(posed, found, replace(right, limits=Enclosure(right.limits.hi, right.limits.hi)))


def test_what_the_format_cannot_hold_is_left_out() -> None:
    posed, found = Written("T3", ("1,4,1", "pytorch", "zigzag")).evaluate()
    right = compared(posed, found, 400, 1000, "clopper-pearson")
    made = write_certificate(posed, found, replace(right, alpha=Fraction(1, 2**200)))
    assert json.loads(made.data)["comparison"] is None


def test_a_term_that_takes_too_much_work_becomes_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: Any) -> None:
        raise Rejected("more than 6000000 units of work")

    monkeypatch.setattr(write, "evaluate_term", refuse)
    made = written_anew(Written("T2", ("1,3*6,1", "pytorch", "zigzag")))
    assert made.outcome.code == 4
    assert NUMBER in made.outcome.taken[-1]


def test_relations_are_those_of_the_catalogue() -> None:
    for written in CERTIFICATES[::2]:
        told = json.loads(certificate(written).data)["theorem"]["relation"]
        assert Relation(told) is THEOREMS[written.theorem].relation
