"""The command line: what it prints, its exit status, and that bad input gets one sentence and loses nothing."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import sympy

from theorems.bounds import ClosedForm
from theorems.catalogue import THEOREMS
from theorems.problem import Problem
from theorems.theorem import Instance
from verify.cli import main
from verify.results import read_results

TINY = """\
title = "tiny"
[simulation]
initializations = 20
replicas = 2
steps = 2
[data.p]
source = "x**2"
points = 8
[[sweep]]
name = "s"
data = ["p"]
initializations = ["pytorch"]
architectures = ["1,3,1"]
optimizers = ["sgd"]
theorems = ["T3"]
"""
PROBLEM = ("bound", "--arch", "1,4,1", "--data", "nile")


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    status: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    digits = sys.get_int_max_str_digits()

    def run(*arguments: str) -> Ran:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main(arguments)
        sys.set_int_max_str_digits(digits)
        printed = capsys.readouterr()
        assert isinstance(left.value.code, int)
        return Ran(left.value.code, printed.out, printed.err)

    return run


def assert_refused(ran: Ran, *told: str) -> None:
    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith("nonconv: ")
    assert ran.err.count("\n") == 1
    assert "Traceback" not in ran.err
    for part in told:
        assert part in ran.err


def config(folder: Path, old: str = "", new: str = "") -> str:
    assert TINY.count(old) == 1 or not old
    path = folder / "tiny.toml"
    path.write_text(TINY.replace(old, new) if old else TINY)
    return str(path)


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("frobnicate",), "No such command 'frobnicate'"),
        (("audi",), "Did you mean 'audit'?"),
        (("bound",), "Missing option '--arch'"),
        (("bound", "--arhc", "1,2,1"), "No such option"),
        (("explain", "T3", "T4"), "unexpected extra argument"),
        (("explain", "T33"), "'T33' (did you mean 'T3'?)"),
        (("explain", ""), "nothing here is called ''"),
        (("explain", "\x1b[31m[bold]"), r"'\x1b[31m[bold]'"),
        (("audit", "missing.toml"), "'missing.toml' cannot be read: No such file"),
        (("audit", "."), "'.' cannot be read: Is a directory"),
        (("audit", ""), "'' cannot be read"),
        (("audit", "a\0b"), "cannot be read"),
        (("audit", "--preset", "quik"), "preset 'quik': expected one of quick, sharpness (did you mean 'quick'?)"),
        (("audit", "--preset", ""), "preset '': expected one of quick"),
        (("audit", "a.toml", "--preset", "quick"), "'a.toml') and a preset ('quick')"),
        (("audit", "--workers", "0"), "0 is not in the range 1<=x<=256"),
        (("audit", "--seed", "-1"), "-1 is not in the range"),
        (("audit", "--out", ""), "--out='': expected the name of a folder"),
        (("survey",), "Missing argument"),
        (("survey", "models"), "'models' is not 'frameworks'"),
        (("survey", "frameworks", "--data", "irs"), "'irs'"),
        (("survey", "frameworks", "--data", ""), "''"),
        (("survey", "frameworks", "--data", "nile,nile"), "nile"),
        (("survey", "frameworks", "--neurons", "0"), "0 is not in the range"),
        (("survey", "frameworks", "--workers", "many"), "'many' is not a valid integer"),
        (("survey", "frameworks", "--format", "xml"), "'xml' is not one of"),
        (("audit", "--preset", "frameworks"), "nonconv survey frameworks"),
        (("report",), "Missing argument 'RESULTS'"),
        (("report", "missing.json"), "'missing.json' cannot be read: No such file"),
        (("report", "."), "'.' cannot be read: Is a directory"),
        (("report", "a\0b"), "cannot be read"),
    ],
)
def test_bad_commands_are_refused(arguments: tuple[str, ...], told: str, run: Run, tmp_path: Path) -> None:
    assert_refused(run(*arguments), told)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "architecture",
    ["", "1", "1,1", "a,b", "1,0,1", "1,-3,1", "1,2.5,1", "1,,1", "1,3*0,1", "1,999999999,1", "1,3*999999,1", "2,3,1"],
)
def test_bad_architectures_are_refused(architecture: str, run: Run) -> None:
    assert_refused(run("bound", "--data", "nile", "--arch", architecture), "architecture")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--init", "he_normall"), "(did you mean 'he_normal'?)"),
        (("--init", ""), "initialization ''"),
        (("--init", "normal(0, 1)"), "expected a positive scale"),
        (("--bias", "zer"), "bias law 'zer': expected zero, normal(s) or uniform(c)"),
        (("--theorem", "T33"), "theorem 'T33': expected one of T1"),
        (("--theorem", "t3"), "(did you mean 'T3'?)"),
        (("--optimizer", "adm"), "(did you mean 'adam'?)"),
        (("--optimizer", ""), "optimizer ''"),
        (("--optimizer", "no_such_module:X"), "No module named 'no_such_module'"),
        (("--optimizer", "torch.optim:Adamm"), "has no attribute 'Adamm'"),
        (("--optimizer", "os:getcwd"), "not a subclass of torch.optim.Optimizer"),
        (("--optimizer", "builtins:int"), "not a subclass of torch.optim.Optimizer"),
        (("--optimizer", "torch.optim:Optimizer"), "cannot be built"),
        (("--optimizer", "..relative:X"), "cannot be imported"),
        (("--scale", "minmx"), "(did you mean 'minmax'?)"),
        (("--points", "x"), "'x' is not a valid integer"),
        (("--inputs", "yaer"), "(did you mean 'year'?)"),
        (("--low", "nan"), "--low='nan': expected a number"),
        (("--high", "1/0"), "--high='1/0': expected a number"),
    ],
)
def test_bad_problems_are_refused(options: tuple[str, ...], told: str, run: Run) -> None:
    assert_refused(run(*PROBLEM, *options), told)


@pytest.mark.parametrize("source", ["nill", "", ".", "missing.csv", "/dev/zero", "x**", "x**x", "1/x", "os.x", "a\0b"])
def test_bad_data_names_are_refused(source: str, run: Run) -> None:
    assert_refused(run("bound", "--arch", "1,4,1", "--data", source), "expected")


@pytest.mark.parametrize(
    "raw",
    [b"", b"a,b\n", b"1,2\n", b"1,2\n1,3\n", b"1,2\n3\n", b"1,2\n3,x\n", b"1,2\n3,nan\n", b"1,inf\n3,4\n", b"\xff,1\n"],
)
def test_bad_data_files_are_refused(raw: bytes, run: Run, tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(raw)
    assert_refused(run("bound", "--arch", "1,4,1", "--data", "data.csv"), "data.csv", "expected")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise RuntimeError('boom\\nmore')", "cannot be imported: boom"),
        ("raise SystemExit(7)", "cannot be imported: SystemExit"),
        ("def (", "cannot be imported: invalid syntax"),
        ("import torch\nclass X(torch.optim.SGD):\n def __init__(self, *a): raise KeyError('x')", "cannot be built"),
        ("import torch\nclass X(torch.optim.SGD):\n def __init__(self, *a): raise SystemExit(9)", "cannot be built"),
        ("import torch\nclass X(torch.optim.Optimizer):\n def __init__(self, *a): pass", "param_groups"),
    ],
)
def test_broken_optimizers_are_refused(code: str, told: str, run: Run, tmp_path: Path) -> None:
    name = f"broken_{abs(hash(code))}"
    (tmp_path / f"{name}.py").write_text(code)
    assert_refused(run(*PROBLEM, "--optimizer", f"{name}:X"), told)


def test_an_optimizer_of_the_current_folder_is_found_and_cannot_spoil_the_output(run: Run, tmp_path: Path) -> None:
    (tmp_path / "own_optimizer.py").write_text("print('hello')\nimport torch\nclass Own(torch.optim.SGD): pass\n")
    ran = run(*PROBLEM, "--optimizer", "own_optimizer:Own", "--json")
    assert ran.status == 0
    assert json.loads(ran.out)["optimizer"] == "own_optimizer:Own"
    assert ran.err == "hello\n"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("lr = nan", "setting lr=nan: expected a finite number"),
        ("lr = inf", "setting lr=inf: expected a finite number"),
        ('lr = "x"', "setting lr='x': expected a number"),
        ("lr = true", "setting lr=True: expected a number"),
        ("lr = [1, 2]", "expected a number"),
        ("betas = [0.9]", "expected 2 numbers"),
        ("betas = 0.9", "expected 2 numbers"),
        ("betas = [0.9, 2]", "Invalid beta parameter"),
        ("betas = [0.9, nan]", "expected a finite number"),
        ('amsgrad = "yes"', "setting amsgrad='yes': expected true or false"),
        ("amsgrad = 3", "expected true or false"),
        ('foreach = "x"', "expected true or false"),
        ("eps = -1", "Invalid epsilon"),
        ("beta = 1", "has no setting 'beta'; expected one of lr, betas"),
        ("beta = 1", "(did you mean 'betas'?)"),
        ("params = 1", "has no setting 'params'"),
        ("capturable = true", "cannot be built with these settings"),
        ("differentiable = true", "cannot be built with these settings"),
    ],
)
def test_bad_settings_are_refused(settings: str, told: str, run: Run, tmp_path: Path) -> None:
    choice = f'[{{target = "adam", settings = {{{settings}}}}}]'
    assert_refused(run("audit", config(tmp_path, '["sgd"]', choice), "--out", "out"), "adam", told)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("device", ["nonsense", "", "cuda:99"])
def test_bad_devices_are_refused(device: str, run: Run, tmp_path: Path) -> None:
    assert_refused(run("audit", config(tmp_path), "--out", "out", "--device", device), f"device {device!r}")
    assert [entry.name for entry in tmp_path.iterdir()] == ["tiny.toml"]


def test_output_folders_that_are_no_audits_are_left_alone(run: Run, tmp_path: Path) -> None:
    audit = ("audit", config(tmp_path), "--workers", "1", "--out")
    (tmp_path / "file").write_text("mine")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "notes").write_text("mine")
    (tmp_path / "mixed").mkdir()
    for name in ("results.json", "notes"):
        (tmp_path / "mixed" / name).write_text("mine")
    (tmp_path / "link").symlink_to("foreign")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    before = sorted(path.name for path in tmp_path.rglob("*"))
    for name, told in {
        "file": "is a file",
        "file/below": "cannot be written",
        "foreign": "not an audit (such as 'notes')",
        "mixed": "not an audit (such as 'notes')",
        "link": "is a link",
        "dangling": "is a link",
        "loop": "is a link",
        "loop/below": "cannot be written",
        ".": "not an audit",
        "/dev/null": "is a file",
        "/proc/x": "cannot be written",
        "x" * 300: "cannot be written: File name too long",
        "a\0b": "cannot be written",
    }.items():
        assert_refused(run(*audit, name), f"output folder {name!r}"[:60], told)
    assert sorted(path.name for path in tmp_path.rglob("*")) == before


# --- an audit end to end -----------------------------------------------------------------------------------------


def test_a_tiny_audit_from_end_to_end(run: Run, tmp_path: Path) -> None:
    ran = run("audit", config(tmp_path), "--workers", "1", "--out", "out/deep", "--json", "--seed", "7")
    assert ran.status == 0
    assert ran.err == "simulating 1 case\n"
    out = tmp_path / "out" / "deep"
    assert json.loads(ran.out) == json.loads((out / "results.json").read_text())
    assert {"results.json", "manifest.json", "report.md", "index.html"} <= {entry.name for entry in out.iterdir()}
    assert sorted(entry.name for entry in out.parent.iterdir()) == ["deep", "deep.ledger"]
    results = read_results(str(out / "results.json"))
    assert (results.title, results.seed, len(results.cases), results.refuted) == ("tiny", 7, 1, 0)
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["seed"], manifest["initializations"]) == (7, 20)

    assert out.stat().st_mode & 0o777 == out.parent.stat().st_mode & 0o777
    kept = (out / "index.html").read_bytes()
    (out / "index.html").unlink()
    again = run("report", str(out / "results.json"))
    assert again == Ran(0, f"report: {out / 'index.html'}\n", "")
    assert (out / "index.html").read_bytes() == kept
    _check_damaged_results_are_refused(run, tmp_path, json.loads(ran.out))
    for where in ("tiny.toml", "tiny.toml/below", "/proc/x"):
        assert_refused(run("report", str(out / "results.json"), "--out", where), "cannot be written")


def _check_damaged_results_are_refused(run: Run, folder: Path, good: dict[str, Any]) -> None:
    def damaged(change: Callable[[dict[str, Any]], object]) -> str:
        copy = json.loads(json.dumps(good))
        change(copy)
        return json.dumps(copy)

    theorem = good["cases"][0]["theorems"][0]
    assert theorem["bound"] is not None
    for text, told in {
        "": "truncated",
        json.dumps(good)[:500]: "truncated",
        "[1]": "got `array`",
        '{"a": 1}': "missing required field `schema`",
        "[" * 10_000: "cannot be read",
        damaged(lambda d: d.update(schema="nonconv-results/9")): "schema 'nonconv-results/9'; expected",
        damaged(lambda d: d.pop("title")): "`title`",
        damaged(lambda d: d.update(more=1)): "`more`",
        damaged(lambda d: d["cases"][0].update(start="nowhere")): "$.cases[0].start='nowhere'",
        damaged(lambda d: d["starts"][0].update(data="nowhere")): "$.starts[0].data='nowhere'",
        damaged(lambda d: d["cases"][0].update(theorems=[])): "$.cases[0].theorems",
        damaged(lambda d: d["cases"][0]["theorems"][0]["bound"].update(lo="1/0")): "theorems[0].bound.lo",
        damaged(lambda d: d["cases"][0]["theorems"][0]["bound"].update(lo="x")): "theorems[0].bound.lo",
        damaged(lambda d: d["cases"][0]["run"]["persistence"].update(verdict="FINE")): "persistence.verdict",
    }.items():
        path = folder / "damaged.json"
        path.write_text(text)
        assert_refused(run("report", str(path), "--out", str(folder / "damaged")), "damaged.json", told)
        assert not (folder / "damaged").exists()


def plant_a_wrong_bound(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    true = THEOREMS[name]

    def instance(problem: Problem, number: int) -> Instance:
        wrong = ClosedForm(sympy.Rational(9999, 10_000))
        return dataclasses.replace(true.instance(problem, number), bound=lambda: wrong)

    monkeypatch.setitem(THEOREMS, name, dataclasses.replace(true, instance=instance))


def test_a_refuted_theorem_sets_the_exit_status_and_is_written(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_a_wrong_bound("T13", monkeypatch)
    audit = config(tmp_path, '["T3"]', '["T13"]')
    Path(audit).write_text(Path(audit).read_text().replace("initializations = 20", "initializations = 2000"))
    ran = run("audit", audit, "--workers", "1", "--out", "out")
    assert ran.status == 1
    assert "REFUTED" in ran.out
    assert read_results(str(tmp_path / "out" / "results.json")).refuted == 1
    assert (tmp_path / "out" / "index.html").is_file()
    (certificate,) = (tmp_path / "out" / "certificates").iterdir()
    assert json.loads(certificate.read_bytes())["comparison"]["verdict"] == "REFUTED"


def test_a_wrong_bound_that_the_checker_builds_anew_stops_everything(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_a_wrong_bound("T3", monkeypatch)
    ran = run("audit", config(tmp_path), "--workers", "1", "--out", "out")
    assert (ran.status, ran.out) == (3, "")
    assert "the rebuilt bound is not in [lo, hi]" in ran.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise ZeroDivisionError", "step failed: ZeroDivisionError"),
        ("raise SystemExit(3)", "exit status 3"),
        ("import os; os._exit(0)", "a worker process was killed"),
    ],
)
def test_an_optimizer_that_fails_in_a_worker_loses_nothing(body: str, told: str, run: Run, tmp_path: Path) -> None:
    name = f"failing_{abs(hash(body))}"
    (tmp_path / f"{name}.py").write_text(f"import torch\nclass X(torch.optim.SGD):\n def step(self, c): {body}\n")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results.json").write_text("earlier")
    ran = run("audit", config(tmp_path, '["sgd"]', f'["{name}:X"]'), "--workers", "1", "--out", "out")
    assert_refused(dataclasses.replace(ran, err=ran.err.removeprefix("simulating 1 case\n")), told)
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["results.json"]
    assert not list(tmp_path.glob(".out*"))


# --- bound and explain -------------------------------------------------------------------------------------------


def ratios(values: list[object]) -> list[Fraction]:
    for value in values:
        assert isinstance(value, str)
        assert "/" in value
    return [Fraction(str(value)) for value in values]


def test_bound_prints_one_json_document(run: Run) -> None:
    ran = run("bound", "--arch", "1,32,1", "--data", "nile", "--scale", "minmax", "--json")
    assert (ran.status, ran.err) == (0, "")
    answer = json.loads(ran.out)
    assert answer.keys() >= {"architecture", "initialization", "data", "p_dead", "bounds", "best"}
    assert (answer["architecture"], answer["initialization"], answer["best"]) == ([1, 32, 1], "pytorch", "T3")
    assert answer["data"].keys() == {"name", "K", "noise_floor", "variance"}
    assert answer["p_dead"].keys() == {"method", "evidence", "lo", "hi"}
    assert ratios([answer["p_dead"]["lo"], answer["p_dead"]["hi"]]) == [Fraction(3, 8)] * 2
    assert [each["theorem"] for each in answer["bounds"]] == list(THEOREMS)
    ratios([answer["data"]["noise_floor"], answer["data"]["variance"]])
    for each in answer["bounds"]:
        assert each.keys() >= {"theorem", "applies", "evidence", "hypotheses", "lo", "hi", "float", "rate", "margin"}
        for hypothesis in each["hypotheses"]:
            assert hypothesis.keys() == {"id", "status", "evidence", "why"}
        if each["applies"] != "holds":
            assert (each["lo"], each["hi"], each["float"]) == (None, None, None)
            continue
        lo, hi = ratios([each["lo"], each["hi"]])
        assert each["float"] <= lo <= hi


def test_bound_answers_in_words(run: Run) -> None:
    ran = run("bound", "--arch", "1,32,1", "--data", "nile", "--scale", "minmax", "--theorem", "T3")
    said = " ".join(ran.out.split())
    assert ran.status == 0
    assert "misses every global minimizer of this problem with probability at least 0.999999" in said
    assert "99 % is reached at width 10" in said


def test_exact_numbers_of_extreme_data_are_printed_in_full(run: Run, tmp_path: Path) -> None:
    (tmp_path / "extreme.csv").write_text("1e-3000,1\n2e-3000,1e-3000\n3,4e-3990\n")
    ran = run("bound", "--arch", "1,4,1", "--data", "extreme.csv", "--init", "he_normal", "--json")
    assert ran.status == 0
    assert len(json.loads(ran.out)["data"]["variance"]) > 4300


@pytest.mark.parametrize(
    ("optimizer", "holds", "fails"),
    [
        ("sgd", ("T1", "T3", "T10", "T13b", "T16", "T19"), ()),
        ("adamw", ("T3", "T13b", "T16", "T19"), ("T10",)),
        ("torch.optim:SGD", ("T3", "T10"), ()),
        ("(D)", ("T3", "T13", "T13b", "T19"), ("T10", "T16")),
        ("DJ", ("T13b", "T16", "T19"), ("T10",)),
        ("SS", (), ("T3", "T10", "T13b", "T16", "T19")),
        ("none", (), ("T1", "T3", "T10", "T13b", "T16", "T19")),
    ],
)
def test_bound_for_one_optimizer_or_a_class(
    optimizer: str, holds: tuple[str, ...], fails: tuple[str, ...], run: Run
) -> None:
    ran = run("bound", "--arch", "1,9,1", "--data", "nile", "--scale", "minmax", "--optimizer", optimizer, "--json")
    assert (ran.status, ran.err) == (0, "")
    found = {each["theorem"]: each for each in json.loads(ran.out)["bounds"]}
    assert all(found[name]["applies"] == "holds" for name in holds)
    for name in fails:
        assert (found[name]["applies"], found[name]["lo"]) == ("fails", None)
        status = {each["id"]: each["status"] for each in found[name]["hypotheses"]}
        assert status["optimizer-keeps-dead"] == "fails"
    assert found["T11a"]["applies"] == "holds"  # it asks nothing of the optimizer


def test_a_density_of_the_labels_decides_what_else_is_open(run: Run, tmp_path: Path) -> None:
    """Eight scattered inputs: whether two neurons reach the noise floor is open; with a density almost surely not."""
    rows = [(i * i % 7, i * i * i % 11, i) for i in range(8)]
    (tmp_path / "d.csv").write_text("".join(f"{a},{b},{c}.{c * c}\n" for a, b, c in rows))
    problem = ("bound", "--arch", "2,3,1", "--data", "d.csv", "--scale", "minmax", "--theorem", "T3", "--json")
    (without,) = json.loads(run(*problem).out)["bounds"]
    (declared,) = json.loads(run(*problem, "--label-density").out)["bounds"]
    hypothesis = {each["id"]: each for each in declared["hypotheses"]}["optimal-risk-above-noise"]
    assert declared["applies"] == hypothesis["status"] == "holds"
    assert "density" in hypothesis["why"]
    assert "1 dead" in json.dumps(declared)
    assert Fraction(declared["lo"]) > Fraction(without["lo"])
    (tmp_path / "d.csv").write_text("0,0,1\n0,1,2\n1,0,1\n")
    assert_refused(run(*problem, "--label-density"), "rows 1 and 3: label column 0 repeats a value")


# --- degenerate data ---------------------------------------------------------------------------------------------

REFUSED = {
    "one distinct input": ("1,1\n1,2\n1,3\n", "fewer than two distinct inputs (3 rows, 1 distinct)"),
    "one input that is 0": ("0,1\n0,2\n", "fewer than two distinct inputs"),
    "text": ("a,y\n1,2\nred,3\n", "line 3, column 'a': 'red' is not a number"),
    "NaN": ("1,2\nnan,3\n", "line 2, column '0': missing value 'nan'"),
    "infinite label": ("1,2\n3,-inf\n", "'-inf' is not finite"),
    "missing cell": ("1,2\n,3\n", "missing value ''"),
    "empty": ("", "is empty"),
    "blank": ("\n \n\n", "is empty"),
    "one row": ("1,2\n", "fewer than two distinct inputs (1 rows, 1 distinct)"),
    "header alone": ("a,y\n", "has a header but no rows"),
    "one column": ("1\n2\n3\n", "has one column"),
    "semicolons": ("1;2\n3;4\n", "expected"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_data_without_a_problem_are_refused(name: str, run: Run, tmp_path: Path) -> None:
    text, told = REFUSED[name]
    (tmp_path / "d.csv").write_text(text)
    assert_refused(run("bound", "--arch", "1,3,1", "--data", "d.csv", "--scale", "standard"), "d.csv", told)
    audit = config(tmp_path, 'source = "x**2"\npoints = 8', 'source = "d.csv"')
    assert_refused(run("audit", audit, "--workers", "1", "--out", "out"), "d.csv", told)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "told", "floor", "variance"),
    [
        pytest.param("0,1\n1,1\n2,1\n", "all mean labels are equal: V = 0", "0", "0", id="equal labels"),
        pytest.param("0,1\n0,3\n1,2\n2,0\n2,4\n", "all mean labels are equal", "2", "0", id="equal mean labels"),
    ],
)
def test_labels_that_do_not_vary_leave_nothing_to_claim(
    text: str, told: str, floor: str, variance: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "d.csv").write_text(text)
    answer = json.loads(run("bound", "--arch", "1,3,3,1", "--data", "d.csv", "--json").out)
    assert answer["best"] is None
    assert [Fraction(answer["data"][key]) for key in ("noise_floor", "variance")] == [
        Fraction(floor),
        Fraction(variance),
    ]
    for each in answer["bounds"]:
        assert each["theorem"] == "T11a" or (each["applies"] != "holds" and each["lo"] is None)
    assert told in json.dumps(answer["bounds"])


ANSWERED = {
    "duplicates": ("0,1\n0,2\n1,5\n1,5\n2,0\n", 1, "1/10"),
    "zeros": ("0,0,1\n0,1,2\n0,2,5\n0,3,0\n", 2, "0"),
    "constant": ("7,0,1\n7,1,2\n7,2,5\n7,3,0\n", 2, "0"),
    "symmetric": ("-1,2\n1,2\n0,0\n", 1, "0"),
    "extreme": ("0,1\n1e-300,2\n1e300,0\n", 1, "0"),
}


@pytest.mark.parametrize(("name", "scheme"), [(name, "pytorch") for name in ANSWERED] + [("zeros", "keras")])
def test_degenerate_data_are_answered(name: str, scheme: str, run: Run, tmp_path: Path) -> None:
    text, inputs, noise = ANSWERED[name]
    (tmp_path / "d.csv").write_text(text)
    ran = run("bound", "--arch", f"{inputs},2,2,1", "--data", "d.csv", "--init", scheme, "--json")
    assert (ran.status, ran.err) == (0, "")
    answer = json.loads(ran.out)
    assert Fraction(answer["data"]["noise_floor"]) == Fraction(noise)
    bounds = {each["theorem"]: each for each in answer["bounds"]}
    ceiling = Fraction(bounds["T11a"]["hi"])
    for layers in ("T1", "T2", "T10", "T13b", "T16", "T19") if scheme == "pytorch" else ("T11b", "T15", "T18"):
        assert bounds[layers]["applies"] == "holds"
        assert Fraction(bounds[layers]["lo"]) <= ceiling


def test_degenerate_data_are_audited(run: Run, tmp_path: Path) -> None:
    """All in one audit; equal labels leave nothing to claim."""
    tables = {name: text for name, (text, inputs, _) in ANSWERED.items() if inputs == 1 and name != "extreme"}
    tables["flat"] = "0,1\n1,1\n2,1\n"
    for name, text in tables.items():
        (tmp_path / f"{name}.csv").write_text(text)
    listed = "\n".join(f'[data.{name}]\nsource = "{name}.csv"' for name in tables)
    audit = Path(config(tmp_path, '[data.p]\nsource = "x**2"\npoints = 8', listed))
    text = audit.read_text().replace('data = ["p"]', f"data = {list(tables)}").replace('["T3"]', '["T1", "T3"]')
    audit.write_text(text)
    ran = run("audit", str(audit), "--workers", "1", "--out", "out")
    assert ran.status == 0
    results = read_results(str(tmp_path / "out" / "results.json"))
    assert len(results.cases) == 3
    assert results.refuted == 0
    for case in results.cases:
        verdicts = {theorem.judgement.verdict for theorem in case.theorems}
        assert ("flat" in case.id) == (verdicts == {"NOT APPLICABLE"})
    huge = config(tmp_path, 'source = "x**2"\npoints = 8', 'source = "extreme.csv"')
    (tmp_path / "extreme.csv").write_text(ANSWERED["extreme"][0])
    assert_refused(run("audit", huge, "--workers", "1", "--out", "huge"), "expected at most 2^400 to simulate")


# --- the survey --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["text", pytest.param("csv", marks=pytest.mark.slow)])
def test_a_small_survey(shape: str, run: Run) -> None:
    ran = run("survey", "frameworks", "--data", "nile", "--neurons", "200", "--workers", "1", "--format", shape)
    assert (ran.status, ran.err) == (0, "")
    for name in ("nile", "pytorch", "keras", "flax"):
        assert name in ran.out.lower()
    if shape == "csv":
        header, *rows = csv.reader(io.StringIO(ran.out))
        assert len(rows) > 0
        assert all(len(row) == len(header) for row in rows)


# --- explain -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("identity", "told"),
    [
        ("D", ("(D): ", "c' b", "Theorems that remain for an optimizer with (D): ", "T19")),
        ("(ss)", ("(SS)", "Theorems that remain")),
        ("AdamW", ("AdamW: ", "(1 - lr weight_decay) theta")),
        ("T18", ("T18. ", "Bound (LaTeX):", "Optimizers: ", "theorems/proofs/zero_bias_lines.md#t18")),
        ("T11a", ("any; the theorem speaks of the initialization alone", "theorems/proofs/depth.md#t11a")),
        ("T9", ("Margins", "theorems/proofs/width.md#t9")),
        ("C2", ("C2: ", "width")),
        ("labels-vary", ("labels-vary: ",)),
        ("REFUTED", ("REFUTED: ",)),
        ("CERTIFIED", ("CERTIFIED: ",)),
    ],
)
def test_explanations_say_what_matters(identity: str, told: tuple[str, ...], run: Run) -> None:
    ran = run("explain", identity)
    assert (ran.status, ran.err) == (0, "")
    said = " ".join(ran.out.split()).lower()
    for part in told:
        assert part.lower() in said, part


@pytest.mark.parametrize("nonsense", ["T", "T0", "D'", "adamm", " ", "(((", "T18 T19", "x" * 5000, "\N{SNOWMAN}"])
def test_what_nothing_is_called_is_refused(nonsense: str, run: Run) -> None:
    assert_refused(run("explain", nonsense), "nothing here is called", "`nonconv explain` lists what there is")


def test_help_and_version(run: Run) -> None:
    for arguments in ((), ("--help",), ("-h",), ("audit", "--help")):
        ran = run(*arguments)
        assert (ran.status, ran.err) == (0, "")
        assert ran.out.startswith("Usage: nonconv")
    assert run("--version").out.startswith("nonconv 0.")


# --- processes of their own --------------------------------------------------------------------------------------

NONCONV = (sys.executable, "-m", "verify.cli")


@pytest.mark.parametrize(("output", "status"), [("closed early", 0), ("full", 2)])
def test_output_that_cannot_be_written_does_not_trace(output: str, status: int) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "TERM": "dumb", "NO_COLOR": "1", "COLUMNS": "40"}
    if output == "full":
        with open("/dev/full", "w") as sink:
            ran = subprocess.run([*NONCONV, "explain"], stdout=sink, stderr=subprocess.PIPE, env=environment)
        assert ran.stderr == b"nonconv: output cannot be written: No space left on device\n"
        assert ran.returncode == status
        return
    process = subprocess.Popen([*NONCONV, "explain"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (status, b"")


def session(leader: int) -> list[str]:
    """Living processes of a session."""
    listed = subprocess.run(["ps", "-eo", "sid=,stat=,args="], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return [row[2] for row in rows if row[0] == str(leader) and not row[1].startswith("Z")]


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_stopped_audit_leaves_the_earlier_one_and_no_process(stop: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "results.json").write_text("earlier")
    command = (*NONCONV, "audit", config(tmp_path, "steps = 2", "steps = 100000000"), "--out", str(tmp_path / "out"))
    process = subprocess.Popen(
        [*command, "--workers", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where tests run in the background
    )
    assert process.stderr is not None
    assert process.stderr.readline() == "simulating 1 case\n"
    if stop == signal.SIGINT:  # Ctrl-C reaches the whole group, while the worker still starts
        os.killpg(process.pid, stop)
        os.killpg(process.pid, stop)
    else:
        time.sleep(0.3)
        process.send_signal(stop)
    out, err = process.communicate(timeout=60)
    deadline = time.monotonic() + 20
    while session(process.pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not session(process.pid)
    assert out == ""
    assert (tmp_path / "out" / "results.json").read_text() == "earlier"
    if stop != signal.SIGKILL:
        assert process.returncode == 130
        assert err.strip().startswith("nonconv: interrupted: no results were written; what is finished is in ")
        assert err.strip().endswith("out.ledger', and the same command continues")
        assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize("name", ["audit", "bound", "explain", "report"])
def test_help_shows_each_example_on_a_line_of_its_own(run: Run, name: str) -> None:
    shown = run(name, "--help").out
    assert "\\b" not in shown
    assert "\b" not in shown
    examples = [line.strip() for line in shown.splitlines() if line.strip().startswith("nonconv ")]
    assert examples
    assert all(example.startswith(f"nonconv {name}") and example.count("nonconv ") == 1 for example in examples)
