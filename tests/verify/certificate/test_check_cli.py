"""`nonconv check` and `nonconv bound --certificate`: what they print, their exit status, and bad files."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

import verify.evaluate
from tests.verify.certificate.written import BUNDLE
from verify.enclosure import Enclosure
from verify.enclosure import evaluate_bound as arb

Run = Callable[..., Any]
CHECKER = BUNDLE.parent / "checker.py"
PROBLEM = ("bound", "--arch", "1,4,1", "--data", "x**2", "--points", "5")
MEMORY = 2**29


# --- check ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "status"),
    [
        (["width"], 0),
        (["width", "contraction"], 0),
        (["width", "in-part"], 4),
        (["in-part", "bound-too-large"], 1),
        (["bound-too-large", "cut-off", "width"], 2),
    ],
)
def test_the_worst_answer_is_the_exit_status(names: list[str], status: int, run: Run) -> None:
    ran = run("check", *(str(BUNDLE / f"{name}.json") for name in names))
    assert ran.status == status
    assert [line for line in ran.out.splitlines() if not line.startswith(" ")] == [
        f"{BUNDLE / name}.json:" for name in names if name != "cut-off"
    ]
    assert ran.err.count("not a certificate") == ("cut-off" in names)


def test_what_was_shown_what_it_rests_on_and_what_was_taken_is_printed(run: Run) -> None:
    out = run("check", str(BUNDLE / "in-part.json")).out
    assert "re-derived: hypothesis zero-biases: holds" in out
    assert "rests on: theorem T18, proof: theorems/proofs/zero_bias_lines.md#t18" in out
    assert "taken: a number stands for a bound" in out
    assert out.endswith("  ACCEPTED IN PART\n")


def test_json_is_one_document(run: Run) -> None:
    ran = run("check", "--json", *(str(BUNDLE / f"{name}.json") for name in ("width", "no-freeze", "cut-off")))
    told = json.loads(ran.out)
    assert ran.status == 2
    assert [entry["code"] for entry in told] == [0, 1, 2]
    assert told[0]["verdict"] == "ACCEPTED"
    assert told[0]["taken"] == []
    assert any("networks" in item or "replicas" in item for item in told[0]["rests"])


def test_the_command_and_the_copied_file_say_the_same(run: Run, tmp_path: Path) -> None:
    alone = tmp_path / "alone.py"
    alone.write_bytes(CHECKER.read_bytes())
    paths = [str(BUNDLE / f"{name}.json") for name in ("width", "in-part", "limit-moved")]
    done = subprocess.run([sys.executable, "-I", "-S", alone, *paths], capture_output=True, text=True, check=False)
    ran = run("check", *paths)
    assert (done.returncode, done.stdout) == (ran.status, ran.out)


def make_bad_files(folder: Path) -> dict[str, str]:
    """Files that are no certificates, with a part of what must be said of each."""
    good = (BUNDLE / "width.json").read_bytes()
    (folder / "text.json").write_text("hello")
    (folder / "cut.json").write_bytes(good[:-30])
    (folder / "utf16.json").write_bytes(good.decode().encode("utf-16"))
    (folder / "bom.json").write_bytes(b"\xef\xbb\xbf" + good)
    (folder / "latin.json").write_bytes(b'{"format": "nonconv-certificate/2", "x": "\xe9"}')
    (folder / "empty.json").write_bytes(b"")
    (folder / "list.json").write_text("[1, 2]")
    (folder / "other.json").write_text('{"format": "other"}')
    (folder / "deep.json").write_text("[" * 500_000)
    (folder / "folder.json").mkdir()
    (folder / "loop.json").symlink_to(folder / "loop.json")
    (folder / "dangling.json").symlink_to(folder / "nowhere.json")
    with open(folder / "huge.json", "wb") as file:
        file.truncate(2**30)
    os.mkfifo(folder / "pipe.json")
    told = {
        "text.json": "not JSON",
        "cut.json": "not JSON",
        "utf16.json": "not JSON in UTF-8",
        "bom.json": "not JSON",
        "latin.json": "not JSON in UTF-8",
        "empty.json": "not JSON",
        "list.json": "expected an object",
        "other.json": "expected an object whose format",
        "deep.json": "nested",
        "folder.json": "",
        "loop.json": "symbolic links",
        "dangling.json": "No such file",
        "missing.json": "No such file",
        "huge.json": "bytes",
        "pipe.json": "not a regular file",
    }
    return {str(folder / name): part for name, part in told.items()} | {"/dev/zero": "not a regular file", "": ""}


def test_bad_files_get_one_sentence_each(run: Run, tmp_path: Path) -> None:
    for path, part in make_bad_files(tmp_path).items():
        ran = run("check", path)
        assert (ran.status, ran.out) == (2, ""), path
        assert ran.err.startswith(f"nonconv: {path}: not a certificate: "), ran.err
        assert ran.err.count("\n") == 1
        assert part in ran.err
        assert len(ran.err) < 600


def test_bad_files_take_little_memory(tmp_path: Path) -> None:
    paths = list(make_bad_files(tmp_path))
    done = subprocess.run(
        [sys.executable, "-I", CHECKER, *paths],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
    )
    assert (done.returncode, done.stderr) == (2, "")
    assert done.stdout.count("NOT A CERTIFICATE: ") == len(paths)


@pytest.mark.parametrize("arguments", [("check",), ("check", "--jsn", "a"), ("selftest", "now")])
def test_bad_commands_are_refused(arguments: tuple[str, ...], run: Run) -> None:
    ran = run(*arguments)
    assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1)


def test_checking_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom verify.cli import main\n"
        f"try: main(['check', {str(BUNDLE / 'width.json')!r}])\n"
        "except SystemExit as left: print(left.code)\n"
        "print([name for name in ('sympy', 'numpy', 'torch', 'flint') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == ["0", "[]"]


# --- bound --certificate ---------------------------------------------------------------------------------------------


def test_the_best_bound_is_certified(run: Run, tmp_path: Path) -> None:
    ran = run(*PROBLEM, "--certificate", "c.json", "--json")
    assert ran.status == 0
    assert "certificate of T3: c.json (accepted)" in ran.err
    assert json.loads(ran.out)["best"] == "T3"
    document = json.loads((tmp_path / "c.json").read_bytes())
    assert (document["theorem"]["id"], document["comparison"]) == ("T3", None)
    best = next(b for b in json.loads(ran.out)["bounds"] if b["theorem"] == "T3")
    assert Fraction(document["bound"]["lo"]) <= Fraction(best["lo"]) <= Fraction(document["bound"]["hi"])
    assert run("check", "c.json").status == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.json"]


@pytest.mark.parametrize(("theorem", "status"), [("T10", 0), ("T18", 0), ("T19", 0)])
def test_a_chosen_theorem_is_certified_whether_it_applies_or_not(theorem: str, status: int, run: Run) -> None:
    assert run(*PROBLEM, "--theorem", theorem, "--certificate", "c.json").status == 0
    assert run("check", "c.json").status == status


def test_an_earlier_certificate_is_replaced_and_nothing_else(run: Run, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_bytes((BUNDLE / "width.json").read_bytes())
    assert run(*PROBLEM, "--theorem", "T11a", "--certificate", "c.json").status == 0
    assert (tmp_path / "c.json").read_bytes() != (BUNDLE / "width.json").read_bytes()
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("notes.txt", "folder", "loop", "nowhere/c.json", "", "a\0b", "/dev/null", "x" * 300):
        ran = run(*PROBLEM, "--certificate", name)
        assert (ran.status, ran.out, ran.err.count("\n")) == (2, "", 1), name
        assert ran.err.startswith("nonconv: --certificate="), ran.err
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_without_a_positive_bound_a_theorem_must_be_named(run: Run, tmp_path: Path) -> None:
    constant = ("bound", "--arch", "1,4,1", "--data", "0*x")
    ran = run(*constant, "--certificate", "c.json")
    assert (ran.status, ran.out) == (2, "")
    assert "no theorem gives this problem a positive bound; expected --theorem" in ran.err
    assert not (tmp_path / "c.json").exists()
    assert run(*constant, "--theorem", "T3", "--certificate", "c.json").status == 0


@pytest.mark.parametrize(
    ("theorem", "factor"), [("T1", Fraction(999, 1000)), ("T11a", Fraction(999, 1000)), ("T1", Fraction(1001, 1000))]
)
def test_engines_that_disagree_stop_the_command(
    theorem: str, factor: Fraction, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def wrong(*given: Any, **named: Any) -> Enclosure:
        right = arb(*given, **named)
        return replace(right, lo=right.lo * factor, hi=right.hi * factor)

    monkeypatch.setattr(verify.evaluate, "evaluate_bound", wrong)
    (tmp_path / "c.json").write_bytes((BUNDLE / "width.json").read_bytes())
    ran = run(*PROBLEM, "--theorem", theorem, "--certificate", "c.json")
    assert (ran.status, ran.out) == (3, "")
    assert ran.err.startswith(f"nonconv: {theorem} for 1,4,1, pytorch, ")
    assert ran.err.endswith("nothing was written\n")
    assert ran.err.count("\n") == 1
    assert (tmp_path / "c.json").read_bytes() == (BUNDLE / "width.json").read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]
