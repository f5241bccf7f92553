"""An audit leaves a certificate of every verdict, the reports link them, and a disagreement leaves nothing."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import verify.evaluate
from tests.verify.certificate.written import BUNDLE, sealed
from verify.certificate.checker import check_bytes
from verify.certificate.names import FOLDER, certificate_names
from verify.enclosure import Enclosure
from verify.enclosure import evaluate_bound as arb
from verify.results import Results, read_results

Run = Callable[..., Any]
CHECKER = BUNDLE.parent / "checker.py"
CONFIG = """\
title = "small"
seed = 5
[simulation]
initializations = 300
replicas = 2
steps = 2
[data.p]
source = "x**2 + x"
points = 7
[[sweep]]
name = "../a/ b\\u0000é"
data = ["p"]
initializations = ["pytorch", "he_normal"]
architectures = ["1,3,1", "1,2,2,1"]
optimizers = ["sgd", "adam", "adamw", { target = "sgd", settings = { weight_decay = 0.01 } }]
theorems = ["T1", "T10", "T11a", "T12", "T16", "T18"]
[[sweep]]
name = "width"
data = ["p"]
initializations = ["pytorch"]
architectures = ["1,2,1"]
optimizers = ["sgd", "adamw"]
theorems = ["T3"]
"""


@pytest.fixture(scope="module")
def audited(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small audit."""
    folder = tmp_path_factory.mktemp("audit")
    (folder / "c.toml").write_text(CONFIG)
    code = "import sys; from verify.cli import main; main(sys.argv[1:])"
    command = [sys.executable, "-c", code, "audit", str(folder / "c.toml"), "--out", str(folder / "out")]
    done = subprocess.run([*command, "--workers", "1"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "out"


def certificates(folder: Path) -> dict[tuple[str, str], Any]:
    """The certificate of every case and theorem."""
    results = read_results(str(folder / "results.json"))
    return {ids: json.loads((folder / FOLDER / name).read_bytes()) for ids, name in certificate_names(results).items()}


def test_every_verdict_has_a_certificate_with_its_numbers(audited: Path) -> None:
    results, found = read_results(str(audited / "results.json")), certificates(audited)
    seen = set()
    for case in results.cases:
        for theorem in case.theorems:
            document, frequency = found[case.id, theorem.theorem], theorem.frequency
            compared = document["comparison"]
            assert frequency is not None
            assert document["theorem"]["id"] == theorem.theorem
            assert document["case"]["widths"] == list(results.start_of(case).widths)
            assert compared["verdict"] == theorem.judgement.verdict
            assert [compared[key] for key in ("events", "lost", "trials", "interval")] == [
                frequency.events,
                frequency.lost,
                frequency.trials,
                frequency.interval,
            ]
            assert [Fraction(compared[key]) for key in ("alpha", "lo", "hi")] == [
                Fraction(text) for text in (frequency.alpha, frequency.lo, frequency.hi)
            ]
            assert (document["bound"] is None) == (theorem.bound is None)
            if theorem.bound is not None:
                assert Fraction(document["bound"]["lo"]) <= Fraction(theorem.bound.lo)
                assert Fraction(document["bound"]["hi"]) >= Fraction(theorem.bound.hi)
            seen.add(compared["verdict"])
    assert len(seen) >= 3
    assert "UNDECIDED" not in seen


def test_risk_events_persistence_and_margins_have_certificates(audited: Path) -> None:
    """Each trained case once among the runs of its theorem's certificate, with the counts and the verdict it has."""
    results, found = read_results(str(audited / "results.json")), certificates(audited)
    frozen, compared, margins = 0, 0, 0
    for case in results.cases:
        label = case.optimizer
        kept = []
        for theorem in case.theorems:
            training = found[case.id, theorem.theorem]["training"] or {"margin": None, "runs": []}
            runs = [run for run in training["runs"] if run["optimizer"]["name"] == label]
            assert len(runs) == (1 if training["runs"] else 0)
            risks = [run["risk"] for run in runs if run["risk"] is not None]
            assert len(risks) == (theorem.risk is not None)
            if theorem.risk is not None:
                assert risks[0]["verdict"] == theorem.risk.verdict
                assert [risks[0][key] for key in ("events", "lost", "trials")] == [
                    case.run.risk.events,
                    case.run.risk.lost,
                    case.run.risk.trials,
                ]
                assert Fraction(training["risk"]) == Fraction(case.run.reachable)
                compared += 1
            kept += [run["persistence"] for run in runs if run["persistence"] is not None]
            if training["margin"] is not None:
                assert Fraction(training["margin"]) == Fraction(theorem.margin)
                margins += 1
        assert kept == [
            {"claimed": case.run.claimed, "kept": case.run.persistent, "verdict": case.run.persistence.verdict}
        ]
        frozen += 1
    assert frozen == len(results.cases)
    assert compared > 10
    assert margins > 10


def test_the_level_of_every_comparison_is_a_share_of_the_total(audited: Path) -> None:
    results = read_results(str(audited / "results.json"))
    for document in certificates(audited).values():
        level = document["level"]
        share = Fraction(level["total"]) * (1 - Fraction(level["reserved"])) / level["comparisons"]
        assert share == Fraction(document["comparison"]["alpha"])
        assert level["comparisons"] == len(results.level["comparisons"])
        document["level"]["comparisons"] += 1
        assert "not the share" in check_bytes(sealed(document)).verdict


def test_data_that_no_certificate_can_hold_are_refused_before_anything_is_simulated(run: Run, tmp_path: Path) -> None:
    config = CONFIG.replace("x**2 + x", "(x**64)**64")
    (tmp_path / "c.toml").write_text(config.replace("initializations = 300", "initializations = 100000000"))
    ran = run("audit", "c.toml", "--out", "out", "--workers", "1")
    assert (ran.status, ran.out) == (2, "")
    assert "2600 digits" in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.ledger").exists()


def test_cases_that_differ_in_the_optimizer_alone_share_certificates(audited: Path) -> None:
    results = read_results(str(audited / "results.json"))
    names = certificate_names(results)
    assert set(names.values()) == {path.name for path in (audited / FOLDER).iterdir()}
    assert len(set(names.values())) < len(names) * 3 / 4
    one = next(case for case in results.cases if case.optimizer == "sgd")
    shared = json.loads((audited / FOLDER / names[one.id, "T10"]).read_bytes())["case"]["optimizer"]
    assert shared["name"] == "sgd, adam"
    assert shared["holds"][:2] == ["F", "FB"]
    decayed = next(case for case in results.cases if case.optimizer == "adamw")
    assert names[one.id, "T10"] != names[decayed.id, "T10"]


def test_the_copied_checker_accepts_them_all(audited: Path) -> None:
    paths = sorted(map(str, (audited / FOLDER).iterdir()))
    done = subprocess.run([sys.executable, "-I", CHECKER, *paths], capture_output=True, text=True, check=False)
    assert done.returncode == 4  # T18 in part
    answers = [line.strip() for line in done.stdout.splitlines() if "ACCEPTED" in line]
    assert len(answers) == len(paths)
    in_part = [path for path, answer in zip(paths, answers, strict=True) if answer != "ACCEPTED"]
    assert in_part
    assert all(".T18" in path or (".T12" in path and "he_normal" in path) for path in in_part)


def test_reports_link_the_certificates_that_are_there(audited: Path, run: Run, tmp_path: Path) -> None:
    html, markdown = ((audited / name).read_text(encoding="utf-8") for name in ("index.html", "report.md"))
    linked = set(re.findall(rf'href="({FOLDER}/[^"]*)"', html))
    assert linked
    assert set(re.findall(rf"\]\(({FOLDER}/[^)]*)\)", markdown)) <= linked
    assert all((audited / target).is_file() for target in linked)
    assert "nonconv check" in html
    assert "nonconv check" in markdown
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(audited / "results.json", alone)
    assert run("report", str(alone / "results.json")).status == 0
    assert f"{FOLDER}/" not in (alone / "index.html").read_text(encoding="utf-8")
    assert f"{FOLDER}/" not in (alone / "report.md").read_text(encoding="utf-8")
    shutil.copytree(audited / FOLDER, alone / FOLDER)
    assert run("report", str(alone / "results.json")).status == 0
    assert (alone / "index.html").read_text(encoding="utf-8") == html
    assert (alone / "report.md").read_text(encoding="utf-8") == markdown


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=200), st.text(max_size=200)), min_size=2, max_size=2, unique=True))
def test_names_are_harmless_and_tell_starts_apart(audited: Path, given_names: list[tuple[str, str]]) -> None:
    results = read_results(str(audited / "results.json"))
    case = results.cases[0]
    cases = tuple(
        msgspec.structs.replace(
            case,
            id=f"{start}|{number}",
            start=start,
            theorems=(msgspec.structs.replace(case.theorems[0], theorem=theorem),),
        )
        for number, (start, theorem) in enumerate(given_names)
    )
    names = list(certificate_names(msgspec.structs.replace(results, cases=cases)).values())
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]{1,250}\.json", name) and not name.startswith(".") for name in names)
    if given_names[0][0] != given_names[1][0]:
        assert len(set(names)) == 2


def test_engines_that_disagree_stop_an_audit(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*given: Any, **named: Any) -> Enclosure:
        right = arb(*given, **named)
        return replace(right, lo=right.lo / 2, hi=right.hi / 2)

    head, _, width = CONFIG.partition("[[sweep]]")
    config = f"{head.replace('300', '20')}[[sweep]]{width.partition('[[sweep]]')[2]}"
    (tmp_path / "c.toml").write_text(config)
    monkeypatch.setattr(verify.evaluate, "evaluate_bound", wrong)
    ran = run("audit", "c.toml", "--out", "out", "--workers", "1")
    assert (ran.status, ran.out) == (3, "")
    assert "nonconv: T3 for width/p/pytorch/1,2,1: the bound was found in" in ran.err
    assert ran.err.endswith("nothing was written\n")
    assert {path.name for path in tmp_path.iterdir()} <= {"c.toml", "out.ledger"}


def test_results_are_as_they_were(audited: Path) -> None:
    raw = json.loads((audited / "results.json").read_bytes())
    assert set(raw) == set(Results.__struct_fields__)
