"""An audit on the command line: resumed, extended, forecast; what it says of its ledger, and what it writes."""

from __future__ import annotations

import io
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from rich.console import Console

from verify import audit_run, blocks, forecast, output
from verify.audit_run import in_words, ledger_of
from verify.cli import main
from verify.commands import audit as commands
from verify.executors import InProcess, Workers
from verify.ledger import Ledger

TINY = """\
title = "tiny"
[simulation]
initializations = 60
replicas = 10
steps = 3
block = 4
[data.p]
source = "x**2"
points = 8
[[sweep]]
name = "s"
data = ["p"]
initializations = ["pytorch"]
architectures = ["1,3,1"]
optimizers = ["sgd", "adam"]
theorems = ["T3"]
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[int]:
    """Work in an empty folder and in this process; the replicas that are counted, part by part, are noted."""
    noted: list[int] = []

    class Noting(InProcess):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
            if fn is blocks.carry_out_part:
                noted.extend(part.task.count for part in args[0])
            return super().submit(fn, *args, **kwargs)

    @contextmanager
    def here(where: str, count: int | None, folder: Path, warn: object) -> Iterator[Workers]:
        yield Workers(Noting(), 1, 2)

    monkeypatch.setattr(audit_run, "open_workers", here)
    monkeypatch.setattr(audit_run, "_certificates", lambda planned, results: {})
    monkeypatch.setattr(output, "write_reports", lambda results, folder: None)
    monkeypatch.setattr(commands, "_show", lambda results, folder, as_json: click.echo(output.results_json(results)))
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    return noted


def run(capsys: pytest.CaptureFixture[str], *options: str, **changes: str) -> tuple[int, str, str]:
    text = TINY
    for name, value in changes.items():
        before = next(line for line in TINY.splitlines() if line.startswith(f"{name} ="))
        text = text.replace(before, f"{name} = {value}")
    Path("a.toml").write_text(text)
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main(["audit", "a.toml", "--out", "out/a", *options])
    printed = capsys.readouterr()
    assert isinstance(left.value.code, int)
    return left.value.code, printed.out, printed.err


def counted() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path("out/a/results.json").read_text())
    return {name: found[name] for name in ("starts", "cases", "seed", "settings", "level")}


def test_an_audit_continues_and_grows(asked: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys)[::2] == (0, "simulating 2 cases\n")
    assert sum(asked) == 60 + 2 * 10
    assert sorted(entry.name for entry in Path("out").iterdir()) == ["a", "a.ledger"]
    first = counted()
    asked.clear()
    status, out, err = run(capsys, "--json")
    assert (status, err) == (0, "simulating 2 cases\n100% of the networks are in a.ledger already\n")
    assert json.loads(out)["cases"] == first["cases"]
    assert (asked, counted()) == ([], first)
    run(capsys, replicas="25")
    assert sum(asked) == 2 * 15, "the rest only"
    grown = counted()
    asked.clear()
    run(capsys, "--fresh", replicas="25")
    assert sum(asked) == 60 + 2 * 25
    assert counted() == grown


def test_another_seed_or_number_of_steps_shares_nothing(asked: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys)
    for option, change, number in (("--seed=5", {}, 80), ("--seed=0", {"steps": "4"}, 20)):
        asked.clear()
        run(capsys, option, **change)
        assert sum(asked) == number


def test_a_damaged_ledger_is_said_and_the_audit_goes_on(asked: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    run(capsys)
    first, path = counted(), ledger_of(Path("out/a"))
    path.write_bytes(path.read_bytes()[:4096] + bytes(path.stat().st_size - 4096))
    status, _, err = run(capsys)
    assert status == 0
    assert err.startswith("nonconv: ledger 'out/a.ledger' was damaged: 0 of its blocks could be read")
    assert counted() == first


@pytest.mark.parametrize("options", [(), ("--fresh",), ("--dry-run",)])
def test_a_ledger_that_is_none_stops_the_audit(
    options: tuple[str, ...], asked: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("out").mkdir()
    Path("out/a.ledger").write_text("my notes")
    status, out, err = run(capsys, *options)
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith("nonconv: ledger 'out/a.ledger' is not a ledger of nonconv")
    assert Path("out/a.ledger").read_text() == "my notes"
    assert not Path("out/a").exists()


def test_a_dry_run_says_what_is_expected_and_writes_nothing(
    asked: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, "--dry-run", "--json", steps="30")
    found = json.loads(out)
    assert (status, err) == (0, "")
    assert sorted(entry.name for entry in Path().iterdir()) == ["a.toml"]
    expected = {"cases": 2, "initializations": 60, "replicas": 20, "replica_steps": 600, "known": 0.0, "workers": 1}
    assert {name: found[name] for name in expected} == expected
    assert (found["kinds"], found["timed"]) == (3, 3)
    assert 0 < found["seconds"] < 600
    assert 10**7 < found["worker_bytes"] < 10**11
    run(capsys, steps="30")
    before = Path("out/a.ledger").read_bytes()
    status, out, _ = run(capsys, "--dry-run", steps="30")
    assert status == 0
    assert "2 cases: 60 initial networks to look at, 20 to train, 600 steps in all" in out
    assert "100% of the networks are in out/a.ledger already; simulation: about 0 seconds" in out
    assert Path("out/a.ledger").read_bytes() == before
    assert "0% of the networks" not in run(capsys, "--dry-run", "--fresh", steps="30")[1]


def test_a_forecast_times_kinds_and_estimates_what_it_has_no_time_for(
    asked: list[int], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forecast, "_BUDGET", 1e-9)
    monkeypatch.setattr(forecast, "time_unit", lambda unit, pin: pytest.fail("no time is left"))
    found = json.loads(run(capsys, "--dry-run", "--json")[1])
    assert (found["kinds"], found["timed"]) == (3, 0)
    assert found["seconds"] > 0


def test_lines_tell_how_far_it_is_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    console = Console(record=True, width=100, force_terminal=False, file=io.StringIO())
    with audit_run._shown("counting", console) as tell:
        for seconds, done in ((10.0, 1.0), (60.0, 5.0), (61.0, 6.0), (200.0, 10.0)):
            now[0] = 1000.0 + seconds
            tell(done, 10.0)
    assert console.export_text() == "counting\ncounting: 50%, about 60 seconds left\n"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0.4, "0 seconds"), (119, "119 seconds"), (150, "2.5 minutes"), (5400, "90 minutes"), (86400 * 30, "30 days")],
)
def test_times_in_words(seconds: float, told: str) -> None:
    assert in_words(seconds) == told


# --- processes of their own --------------------------------------------------------------------------------------


def killed_audits(tmp_path: Path, kills: int, seed: int) -> None:
    """Kill the command at random moments; what it finally writes is what an uninterrupted one writes."""
    chance, config = random.Random(seed), tmp_path / "a.toml"
    text = TINY.replace("initializations = 60", "initializations = 400").replace("replicas = 10", "replicas = 400")
    config.write_text(text.replace("steps = 3", "steps = 100"))

    def start(out: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "verify.cli", "audit", str(config), "--out", str(tmp_path / out)]
        return subprocess.Popen(
            [*command, "--workers", "1"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )

    def finish(out: str) -> dict[str, Any]:
        _, err = start(out).communicate(timeout=600)
        found: dict[str, Any] = json.loads((tmp_path / out / "results.json").read_text())
        assert "damaged" not in err
        return {name: found[name] for name in ("starts", "cases")}

    began = time.monotonic()
    whole = finish("whole")
    longest = time.monotonic() - began
    for _ in range(kills):
        process = start("killed")
        time.sleep(chance.random() * longest * 0.9)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert finish("killed") == whole
    with Ledger.open_to_read(tmp_path / "whole.ledger") as one, Ledger.open_to_read(tmp_path / "killed.ledger") as two:
        assert one._database.execute("SELECT count(DISTINCT key) FROM blocks").fetchone() == (3,)
        assert two._database.execute("SELECT count(DISTINCT key) FROM blocks").fetchone() == (3,)


@pytest.mark.slow
def test_an_audit_killed_fifty_times_writes_the_same_results(tmp_path: Path) -> None:
    killed_audits(tmp_path, 50, 3)


@pytest.mark.slow
def test_a_forecast_is_right_within_a_factor_of_two(tmp_path: Path) -> None:
    """On a machine that does nothing else meanwhile."""
    config = tmp_path / "a.toml"
    text = (
        TINY.replace("replicas = 10", "replicas = 2000")
        .replace("initializations = 60", "initializations = 2000")
        .replace("steps = 3", "steps = 400")
        .replace("block = 4", "")
    )
    config.write_text(text)
    command = [sys.executable, "-m", "verify.cli", "audit", str(config), "--out", str(tmp_path / "a"), "--workers", "2"]
    told = subprocess.run([*command, "--dry-run", "--json"], capture_output=True, text=True, check=True)
    expected = json.loads(told.stdout)
    subprocess.run(command, capture_output=True, text=True, check=True)
    took = json.loads((tmp_path / "a" / "results.json").read_text())["seconds"]
    assert expected["seconds"] / 2 < took < expected["seconds"] * 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--executor", "dusk:x"), "executor 'dusk:x': expected local, dask:ADDRESS"),
        (("--executor", "dask:"), "executor 'dask:'"),
        (("--executor", "slurm:colour=red"), "colour"),
        (("--executor", "dask:tcp://nowhere:1", "--workers", "2"), "workers=2: expected with executor 'local' only"),
    ],
)
@pytest.mark.parametrize("dry", [True, False])
def test_unknown_executors_are_refused_before_anything_is_written(
    options: tuple[str, ...], sentence: str, dry: bool, asked: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = run(capsys, *options, *(["--dry-run"] if dry else []))
    assert (status, out, asked) == (2, "", [])
    assert sentence in err
    assert not Path("out").exists()
