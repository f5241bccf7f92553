"""`nonconv selftest`: the bundled certificates are what they are said to be, and a wrong checker is noticed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.verify.certificate.written import BAD, BUNDLE, GOOD, bundle
from verify.certificate import selftest
from verify.certificate.checker import Outcome, check_bytes
from verify.certificate.selftest import INDEX, selftest_trials

Run = Callable[..., Any]


def test_the_bundle_is_what_the_program_writes_now() -> None:
    files = bundle()
    assert {path.name for path in BUNDLE.iterdir()} == set(files)
    for name, text in files.items():
        assert (BUNDLE / name).read_bytes() == text, f"{name}: run python -m tests.verify.certificate.written"


def test_good_ones_are_accepted_and_bad_ones_rejected_for_reasons_of_their_own() -> None:
    trials = {trial.name.removesuffix(".json"): trial for trial in selftest_trials()}
    assert all(trial.as_stated for trial in trials.values())
    assert {name for name, trial in trials.items() if trial.code in (0, 4)} == {name for name, *_ in GOOD} | {"trained"}
    assert {trials[name].code for name, *_ in BAD} == {1}
    assert len({trial.verdict for trial in trials.values() if trial.code == 1}) >= 17
    codes = {trial.code for trial in trials.values()}
    assert codes == {0, 1, 2, 4}


def test_selftest_prints_a_table_and_succeeds(run: Run) -> None:
    ran = run("selftest")
    assert (ran.status, ran.err) == (0, "")
    assert "all as stated." in ran.out
    assert "NO" not in ran.out.replace("NOT", "")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda data: Outcome("ACCEPTED", 0),
        lambda data: Outcome("REJECTED: no", 1),
        lambda data: Outcome(check_bytes(data).verdict, 0),
        lambda data: Outcome("REJECTED: of late", check_bytes(data).code),
    ],
    ids=["accepts", "rejects", "codes", "reasons"],
)
def test_a_wrong_checker_is_noticed(wrong: Any, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "check_bytes", wrong)
    ran = run("selftest")
    assert ran.status == 3
    assert "NOT as stated." in ran.out


def test_an_incomplete_installation_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "EXAMPLES", "nowhere")
    ran = run("selftest")
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "expected a complete installation" in ran.err


def test_the_index_says_what_each_one_is() -> None:
    index = json.loads((BUNDLE / INDEX).read_bytes())
    assert all(entry.keys() == {"file", "about", "code", "verdict"} and entry["about"] for entry in index)
