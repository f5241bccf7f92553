"""`nonconv optimizer`: what it prints, its exit status, and one sentence for bad input."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from theorems.catalogue import THEOREMS
from theorems.hypotheses import Property
from verify import cli
from verify.optimizers import verdict, zoo
from verify.verdicts import zoo_json, zoo_markdown, zoo_text


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    status: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "path", list(sys.path))
        with pytest.raises(SystemExit) as left:
            cli.main(arguments)
        captured = capsys.readouterr()
        assert isinstance(left.value.code, int)
        return Ran(left.value.code, captured.out, captured.err)

    return call


def test_one_json_document(run: Run) -> None:
    ran = run("optimizer", "adam", "--set", "lr=1e-3", "--json")
    assert (ran.status, ran.err) == (0, "")
    answer = json.loads(ran.out)
    assert answer["target"] == "torch.optim.adam:Adam"
    assert answer["settings"]["lr"] == 0.001
    assert answer["per_coordinate"] is True
    assert list(answer["properties"]) == [each.name for each in Property]
    assert answer["properties"]["F"]["status"] == "holds"
    assert answer["properties"]["F"]["evidence"] == "proved symbolically"
    assert answer["theorems"] == list(THEOREMS)
    assert answer["counterexample"] is None


@pytest.mark.parametrize(
    ("leaves", "told"), [("os._exit(7)", "exit status 7"), ("os.kill(os.getpid(), 9)", "signal 9")]
)
def test_code_that_ends_its_process_does_not_end_this_one(leaves: str, told: str, run: Run, tmp_path: Path) -> None:
    name = f"leaves_{len(leaves)}"
    text = f"import os, torch\nclass X(torch.optim.SGD):\n def step(self, closure=None):\n  {leaves}\n"
    (tmp_path / f"{name}.py").write_text(text)
    ran = run("optimizer", f"{name}:X")
    assert (ran.status, ran.out) == (2, "")
    assert f"cannot be judged: the code ended its process with {told}" in ran.err
    assert ran.err.count("\n") == 1


def test_a_violation_has_a_program_that_runs(run: Run, tmp_path: Path) -> None:
    ran = run("optimizer", "adamw", "--script", "shows.py")
    assert (ran.status, ran.err) == (0, "")
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "proved symbolically" in ran.out
    assert "violated" in ran.out
    done = subprocess.run([sys.executable, "shows.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("parameter ")


def test_no_property_is_exit_status_1(run: Run) -> None:
    ran = run("optimizer", "adam", "--set", "weight_decay=0.1", "--json")
    assert ran.status == 1
    answer = json.loads(ran.out)
    assert {each["evidence"] for each in answer["properties"].values()} == {"violated"}
    assert answer["counterexample"]["kind"] == "coupled decay"
    assert "import torch" in answer["counterexample"]["script"]


def test_a_script_that_is_not_written_is_told(run: Run, tmp_path: Path) -> None:
    ran = run("optimizer", "sgd", "--script", "shows.py")
    assert (ran.status, ran.err) == (0, "shows.py was not written: nothing is violated\n")
    assert not (tmp_path / "shows.py").exists()


def test_settings_of_all_kinds_are_read(run: Run) -> None:
    ran = run("optimizer", "adam", "--set", "betas=0.5,0.75", "--set", "amsgrad=true", "--set", "eps=1", "--json")
    settings = json.loads(ran.out)["settings"]
    assert (settings["betas"], settings["amsgrad"], settings["eps"]) == ([0.5, 0.75], True, 1)


FOREIGN = "import torch\nclass X(torch.optim.SGD):\n def step(self, closure=None):\n  "


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise RuntimeError('boom')", "cannot be imported: boom"),
        ("x = 1", "cannot be imported"),
        ("class X: pass", "not a subclass of torch.optim.Optimizer"),
        ("import torch\nclass X(torch.optim.SGD):\n def __init__(self, *a): raise KeyError('x')", "cannot be built"),
        (f"{FOREIGN}raise ValueError('boom')", "cannot be judged: ValueError: boom"),
        (f"{FOREIGN}raise SystemExit(3)", "cannot be judged: SystemExit"),
        (
            f"{FOREIGN}for p in self.param_groups[0]['params']: p.data.mul_(float('nan'))",
            "parameters are not finite",
        ),
        (f"{FOREIGN}self.param_groups[0]['params'][0].data.cuda()", "cannot be judged: "),
    ],
)
def test_bad_optimizers_get_one_sentence(code: str, told: str, run: Run, tmp_path: Path) -> None:
    name = f"bad_{abs(hash(code))}"
    (tmp_path / f"{name}.py").write_text(code)
    ran = run("optimizer", f"{name}:X")
    assert (ran.status, ran.out) == (2, "")
    assert told in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "expected one of them"),
        (("adam", "--zoo", "torch"), "expected one of them"),
        (("admw",), "did you mean 'adamw'?"),
        (("torch.optim:Adamm",), "did you mean 'Adam'?"),
        (("adam", "--set", "lr"), "expected NAME=VALUE"),
        (("adam", "--set", "=3"), "expected NAME=VALUE"),
        (("adam", "--set", "lrr=1"), "did you mean 'lr'?"),
        (("adam", "--set", "lr=nan"), "expected a finite number"),
        (("adam", "--set", "lr=fast"), "expected a number"),
        (("adam", "--format", "md"), "with --zoo only"),
        (("adam", "--workers", "2"), "with --zoo only"),
        (("--zoo", "torch", "--set", "lr=1"), "not with --zoo"),
        (("--zoo", "optx"), "expected one of torch, pytorch_optimizer, heavyball, optax (did you mean 'optax'?)"),
        (("adam", "--script", "no/such/folder/x.py", "--set", "weight_decay=0.1"), "cannot be written"),
    ],
    ids=str,
)
def test_bad_input_gets_one_sentence(arguments: tuple[str, ...], told: str, run: Run) -> None:
    ran = run("optimizer", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert told in ran.err
    assert ran.err.count("\n") == 1


def test_what_an_optimizer_prints_does_not_spoil_the_document(run: Run, tmp_path: Path) -> None:
    (tmp_path / "loud_one.py").write_text("print('hello')\nimport torch\nclass Own(torch.optim.SGD): pass\n")
    ran = run("optimizer", "loud_one:Own", "--json")
    assert json.loads(ran.out)["properties"]["F"]["evidence"] == "proved on the code"
    assert ran.err == "hello\n"


def test_a_contradiction_is_exit_status_3_and_nothing_is_printed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def contradict(*arguments: object, **options: object) -> None:
        raise verdict.Contradiction("(F) is proved and violated")

    monkeypatch.setattr(verdict, "judge_optimizer", contradict)
    ran = run("optimizer", "adam")
    assert (ran.status, ran.out) == (3, "")
    assert "proved and violated" in ran.err


def test_a_contradiction_in_a_row_stops_the_zoo(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def contradict(*arguments: object, **options: object) -> None:
        raise verdict.Contradiction("(F) is proved and violated")

    monkeypatch.setattr(zoo, "judge_zoo", contradict)
    assert run("optimizer", "--zoo", "torch").status == 3


def small_zoo() -> zoo.Zoo:
    entry = zoo.Entry("torch", "AdamW", zoo.DEFAULT)
    return zoo.Zoo(
        "torch",
        "1",
        (
            zoo.Row(entry, verdict.judge_optimizer("torch.optim:AdamW"), "", 1.0),
            zoo.Row(zoo.Entry("torch", "Odd|One", zoo.DEFAULT), None, "it raises", 1.0),
        ),
    )


def test_every_row_of_a_zoo_is_printed_in_every_form(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    made = small_zoo()
    monkeypatch.setattr(zoo, "judge_zoo", lambda *arguments, **options: made)
    document = json.loads(run("optimizer", "--zoo", "torch", "--json").out)
    assert document == json.loads(json.dumps(zoo_json(made)))
    assert document["counts"] == {"proved": 1, "tested": 0, "violated": 0, "not run": 1}
    assert [each["name"] for each in document["optimizers"]] == ["AdamW", "Odd|One"]
    assert document["optimizers"][1]["not_run"] == "it raises"
    markdown = run("optimizer", "--zoo", "torch", "--format", "md").out
    assert markdown == zoo_markdown(made)
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    classes, rows = rows[2 : 2 + len(Property)], rows[4 + len(Property) :]
    assert classes[0] == "| F | 0 | 0 | 0 | 1 | 1 |"
    assert classes[2] == "| DJ | 1 | 0 | 0 | 0 | 1 |"
    assert "would leave 5 of these 8 answers" in markdown
    assert len(rows) == 2
    assert {row.count("|") for row in rows} == {8}
    assert "DJ (symbolically)" in rows[0]
    assert "F: decoupled decay" in rows[0]
    assert "all but T10" in rows[0]
    text = run("optimizer", "--zoo", "torch")
    assert text.status == 0
    assert max(map(len, text.out.splitlines())) <= 80
    assert "symbolically" in text.out
    assert "would leave 5 of these 8 answers" in " ".join(text.out.split())
    assert "Seconds of one processor: 2 in all, 1.0 for the median row" in " ".join(text.out.split())
    assert zoo_text(made)
    assert zoo_text(zoo.Zoo("torch", "1", ()))


def test_help_has_examples(run: Run) -> None:
    ran = run("optimizer", "--help")
    assert ran.status == 0
    assert "nonconv optimizer --zoo torch --format md" in ran.out
