"""Coq files from certificates: what they state, that Coq accepts them, and that it refuses wrong ones."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from fractions import Fraction
from math import comb
from pathlib import Path
from typing import Any

import pytest

from tests.verify.certificate import builders
from tests.verify.certificate.written import BUNDLE
from theorems.errors import InvalidInput
from verify.certificate.checker import check_bytes
from verify.certificate.coq import MARK, coq_file
from verify.certificate.coq_limits import point_terms, tail_terms
from verify.certificate.coq_run import INSTALL, Proofs

Run = Callable[..., Any]
INDEX = json.loads((BUNDLE / "index.json").read_text())
GOOD = [entry["file"] for entry in INDEX if entry["code"] in (0, 4)]
BAD = [entry["file"] for entry in INDEX if entry["code"] == 1]
WHOLE = ("p_1_enclosure", "bound_enclosure", "verdict", "lower_limit", "upper_limit")
AXIOMS = {
    "ClassicalDedekindReals.sig_not_dec",
    "ClassicalDedekindReals.sig_forall_dec",
    "FunctionalExtensionality.functional_extensionality_dep",
    "Classical_Prop.classic",
}


def text_of(name: str) -> str:
    return coq_file((BUNDLE / name).read_bytes()).text


def without_comments(text: str) -> str:
    """What Coq reads, by its own rule: comments nest, and strings inside comments are strings."""
    kept, depth, quoted, i = [], 0, False, 0
    while i < len(text):
        pair = text[i : i + 2]
        if depth and text[i] == '"':
            quoted = not quoted
        if pair == "(*" and not quoted:
            depth, i = depth + 1, i + 2
        elif pair == "*)" and depth and not quoted:
            depth, i = depth - 1, i + 2
        else:
            kept += [] if depth else [text[i]]
            i += 1
    assert depth == 0
    return "".join(kept)


# --- without Coq -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", GOOD)
def test_every_good_example_gives_a_file_and_always_the_same(name: str) -> None:
    made = coq_file((BUNDLE / name).read_bytes())
    assert made == coq_file((BUNDLE / name).read_bytes())
    assert made.text.startswith(MARK)
    assert made.text.isascii()
    read = without_comments(made.text)
    assert re.findall(r"^Theorem (\w+)", read, re.MULTILINE) == list(made.theorems)
    assert read.count("Qed.") == len(made.theorems)
    assert "Axiom" not in read
    assert "Admitted" not in read


@pytest.mark.parametrize("name", BAD)
def test_a_rejected_certificate_gets_no_file(name: str) -> None:
    with pytest.raises(InvalidInput, match="REJECTED"):
        coq_file((BUNDLE / name).read_bytes())


def test_the_theorems_say_what_the_certificate_says() -> None:
    text = text_of("width.json")
    certificate = json.loads((BUNDLE / "width.json").read_text())
    low, high = (certificate["bound"][end].replace("/", " / ") for end in ("lo", "hi"))
    assert f"Theorem bound_enclosure : ({low}) <= bound <= ({high})." in text
    assert "Definition bound : R := (at_least 4 3 p_1)." in text
    assert "at_least 1000 900 p <= alpha / 2" in text
    assert "at_most 1000 901 p <= alpha / 2" in text
    assert certificate["sha256"] in text
    sequence = text_of("sequence.json")
    assert "1001 * probability 1000 900 (935286943633 / 1099511627776) <= alpha" in sequence


def test_what_is_left_out_is_said_with_the_reason() -> None:
    made = coq_file((BUNDLE / "in-part.json").read_bytes())
    assert made.theorems == ()
    assert made.omitted == ("bound: a number found by a search, taken as stated",)
    assert "Not in this file: bound: a number found by a search" in made.text
    hull = coq_file((BUNDLE / "hull.json").read_bytes())
    assert hull.theorems == ("bound_enclosure",)
    assert hull.omitted[0].startswith("p_1: ")


@pytest.mark.parametrize("name", ["*) Axiom wrong : False. (*", '"', "(*", "*)", "(*)", "a\n*)\u202e", '*)"(*"'])
def test_names_cannot_leave_their_comment(name: str) -> None:
    document = builders.golden("t3_runs")
    document["case"]["name"] = document["theorem"]["proof"] = name
    made = coq_file(builders.encoded(builders.seal(document)))
    plain = coq_file(builders.encoded(builders.golden("t3_runs")))
    assert without_comments(made.text) == without_comments(plain.text)


def exact_tail(n: int, k: int, p: Fraction) -> Fraction:
    return sum((comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k, n + 1)), Fraction(0))


@pytest.mark.parametrize(("n", "k"), [(1, 1), (5, 5), (40, 1), (40, 17), (200, 150)])
def test_terms_are_found_for_valid_limits_and_not_for_others(n: int, k: int) -> None:
    p = Fraction(k, 2 * n)
    tail = exact_tail(n, k, p)
    assert tail_terms(n, k, p, 2 * tail * Fraction(1001, 1000)).more <= n
    with pytest.raises(Exception, match="bits do not show it"):
        tail_terms(n, k, p, 2 * tail * Fraction(999, 1000))
    point = (n + 1) * comb(n, k) * p**k * (1 - p) ** (n - k)
    point_terms(n, k, p, point * Fraction(1001, 1000))
    with pytest.raises(Exception, match="bits do not show it"):
        point_terms(n, k, p, point * Fraction(999, 1000))


def certificate_with(events: int, verdict: str, name: str = "t3_runs", **more: Any) -> bytes:
    """One of the hand-made certificates, with other counts in 10,000 replicas."""
    document = builders.golden(name)
    document["comparison"] = builders.comparison(events, 10_000, verdict, **more)
    data = builders.encoded(builders.seal(document))
    assert check_bytes(data).verdict.startswith("ACCEPTED")
    return data


@pytest.mark.parametrize(
    ("verdict", "statement"),
    [
        ((7000, "CONFIRMED"), "<= P <= .* -> bound <= P$"),
        ((1000, "REFUTED"), "<= P <= .* -> P < bound$"),
        ((6100, "CONSISTENT"), r"< \(39 / 64\) /\\ \(39 / 64\) <= "),
        ((9000, "REFUTED", "t7"), "P <> bound$"),
    ],
)
def test_the_verdict_is_stated_as_what_it_means(verdict: tuple[Any, ...], statement: str) -> None:
    found = re.search(r"^Theorem verdict : (.*)\.$", coq_file(certificate_with(*verdict)).text, re.MULTILINE)
    assert found is not None
    assert re.search(statement, found[1])


# --- the command -----------------------------------------------------------------------------------------------------


def fake_coqc(folder: Path, monkeypatch: pytest.MonkeyPatch, says: str = "") -> None:
    """A `coqc` that accepts the library, and certificates unless it has something to say."""
    script = folder / "bin" / "coqc"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *Certificate.v) [ -z "{says}" ] || {{ echo "{says}" >&2; exit 1; }};; esac\n'
    )
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}{os.pathsep}{os.environ['PATH']}")


def test_without_coqc_the_file_is_written_and_one_sentence_says_what_to_install(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ran = run("check", str(BUNDLE / "width.json"), "--coq", "--out", str(tmp_path))
    assert ran.status == 0
    assert f"no coqc here: {INSTALL}" in ran.out
    assert (tmp_path / "width.v").read_text() == text_of("width.json")


def test_exit_status_3_if_coq_refuses_what_the_checker_accepts(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_coqc(tmp_path, monkeypatch, "Error: not true")
    arguments = ("check", str(BUNDLE / "width.json"), "--coq", "--out", str(tmp_path))
    ran = run(*arguments)
    assert ran.status == 3
    assert "COQ CONTRADICTS THE CHECKER" in ran.out
    assert "Error: not true" in ran.out
    told = json.loads(run(*arguments, "--json").out)
    assert told[0]["coq"]["status"] == "contradicted"


def test_accepted_ones_are_proved_and_rejected_ones_are_left_alone(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_coqc(tmp_path, monkeypatch)
    names = ("width", "in-part", "limit-moved")
    ran = run("check", *(str(BUNDLE / f"{name}.json") for name in names), "--coq", "--out", str(tmp_path), "--json")
    assert ran.status == 1
    told = json.loads(ran.out)
    assert [entry.get("coq", {}).get("status") for entry in told] == ["proved", "proved", None]
    assert told[0]["coq"]["theorems"] == list(WHOLE)
    assert sorted(path.name for path in tmp_path.glob("*.v")) == ["in_part.v", "width.v"]


def test_files_are_put_beside_the_certificates_and_over_nothing_else(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_coqc(tmp_path, monkeypatch)
    for name in ("a-b.json", "a_b.json", "1.json"):
        shutil.copy(BUNDLE / "width.json", tmp_path / name)
    assert run("check", "--coq", "a-b.json", "1.json").status == 0
    assert run("check", "--coq", "a-b.json").status == 0
    assert (tmp_path / "certificate_1.v").exists()
    both = run("check", "--coq", "a-b.json", "a_b.json")
    assert (both.status, "rename one" in both.err) == (2, True)
    (tmp_path / "a_b.v").write_text("(* my own work *)\n")
    ran = run("check", "--coq", "a-b.json")
    assert (ran.status, "no Coq file from a certificate" in ran.err) == (2, True)
    assert (tmp_path / "a_b.v").read_text() == "(* my own work *)\n"


@pytest.mark.parametrize(
    ("options", "told"), [(("--out", "."), "expected --coq beside it"), (("--coq", "--out", "nowhere"), "is no folder")]
)
def test_bad_options_are_one_sentence(options: tuple[str, ...], told: str, run: Run) -> None:
    ran = run("check", str(BUNDLE / "width.json"), *options)
    assert (ran.status, told in ran.err) == (2, True)


# --- with Coq --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def proofs() -> Iterator[Proofs]:
    with Proofs() as found:
        hindrance = found.hindrance()
        if hindrance:
            pytest.skip(hindrance)
        yield found


def moved(text: str, before: str, after: str) -> str:
    assert text.count(before) >= 1
    return text.replace(before, after)


@pytest.mark.slow
def test_coq_accepts_a_certificate(proofs: Proofs) -> None:
    assert proofs.refusal(text_of("width.json")) is None


@pytest.mark.slow
def test_coq_refuses_a_limit_moved_inward(proofs: Proofs) -> None:
    wrong = moved(text_of("width.json"), "237831237515", "237841237515")
    assert "tail_is_small" in (proofs.refusal(wrong) or "")


@pytest.mark.slow
@pytest.mark.parametrize("name", GOOD)
def test_coq_accepts_every_good_example(name: str, proofs: Proofs) -> None:
    assert proofs.refusal(text_of(name)) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(builders.GOLDEN))
def test_coq_accepts_every_kind_of_theorem(name: str, proofs: Proofs) -> None:
    assert proofs.refusal(coq_file(builders.encoded(builders.golden(name))).text) is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("contraction.json", "<= bound <= (838830604079696909619133839 ", "<= bound <= (838830604079696908336267890 "),
        (
            "contraction.json",
            "Theorem bound_enclosure : (838830604079696908336267889 ",
            "Theorem bound_enclosure : (838830604079696909619133838 ",
        ),
        ("contraction.json", "(sqrt 6)", "(sqrt 7)"),  # the formula is no longer what was evaluated
        ("contraction.json", "(Int 6)", "(Int 7)"),  # what was evaluated is no longer the formula
        ("contraction.json", "[(3)%Z]", "[(4)%Z]"),  # both, of another network
        ("contraction.json", "9%N", "8%N"),
        ("decay.json", "1729382256910270463", "1729382256910270465"),
        ("decay.json", "erf", "atan"),
        ("chain.json", "fun a : Z => ((1 / 2) ", "fun a : Z => ((1 / 3) "),
        ("chain.json", "(Ratio 3 8)", "(Ratio 3 7)"),
        ("equality.json", "at_most 1000 661", "at_most 1000 662"),
        ("sequence.json", "alpha : R := (1 / 1000)", "alpha : R := (1 / 1001)"),
        ("ceiling.json", "P <= bound", "bound <= P"),
        ("width.json", "bound <= P", "P < bound"),
    ],
)
def test_coq_refuses_what_is_wrong(name: str, before: str, after: str, proofs: Proofs) -> None:
    assert proofs.refusal(moved(text_of(name), before, after)) is not None


@pytest.mark.slow
def test_the_theorems_rest_on_the_axioms_of_the_real_numbers_only(
    proofs: Proofs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    asked = text_of("decay.json") + 'Redirect "axioms" Print Assumptions all_theorems.\n'
    assert proofs.refusal(asked) is None
    printed = (tmp_path / "axioms.out").read_text()
    assert set(re.findall(r"^([A-Za-z_.]+)\s*:", printed, re.MULTILINE)) - {"Axioms"} == AXIOMS


CLOSE = str(Fraction(39, 64) + Fraction(1, 200_000))  # nearer to the bound than the resolution


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "more"),
    [
        ((7000, "CONFIRMED"), {}),
        ((1000, "REFUTED"), {}),
        ((6100, "CONSISTENT"), {}),
        ((7000, "UNDECIDED"), {"lo": CLOSE}),
        ((9000, "REFUTED", "t7"), {}),
        ((10_000, "REFUTED", "t7"), {}),
        ((10, "VACUOUS", "t11b"), {}),
    ],
)
def test_coq_accepts_every_kind_of_verdict(arguments: tuple[Any, ...], more: dict[str, str], proofs: Proofs) -> None:
    made = coq_file(certificate_with(*arguments, **more))
    assert {"bound_enclosure", "verdict", "lower_limit"} <= set(made.theorems)
    assert proofs.refusal(made.text) is None
