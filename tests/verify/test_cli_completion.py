"""Completion by Tab: the names that it offers are the names that there are, and it waits for no library."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest
from click.shell_completion import ShellComplete

from theorems.catalogue import THEOREMS
from theorems.hypotheses import Property
from theorems.laws import SCHEMES
from verify.cases import PRESETS
from verify.cli import command
from verify.commands import completion
from verify.data import BUILT_IN, DataSpec
from verify.explain import overview_json
from verify.optimizers.libraries import LIBRARIES
from verify.optimizers.registry import NAMED
from verify.report.folder import FORMATS
from verify.simulation.engine_names import Engine


def offered(*words: str) -> list[str]:
    """What Tab offers after these words, the last of which is begun; "FILES" where the shell looks for files."""
    found = ShellComplete(command, {}, "nonconv", "_NONCONV_COMPLETE").get_completions(list(words[:-1]), words[-1])
    return ["FILES" if item.type == "file" else str(item.value) for item in found]


@pytest.mark.parametrize(
    ("known", "true"),
    [
        (completion.PRESETS, PRESETS),
        (completion.ENGINES, [engine.value for engine in Engine]),
        (completion.SETS, BUILT_IN),
        (completion.INITIALIZATIONS, SCHEMES),
        (completion.OPTIMIZERS, NAMED),
        (completion.LIBRARIES, LIBRARIES),
        (completion.REPORT_FORMATS, FORMATS),
        (completion.THEOREMS, THEOREMS),
        (completion.PROPERTIES, [kind.name for kind in Property]),
    ],
)
def test_names_are_those_that_there_are(known: tuple[str, ...], true: list[str]) -> None:
    assert len(set(known)) == len(known)
    assert sorted(known) == sorted(true)


def test_every_scale_can_be_read() -> None:
    for scale in completion.SCALES:
        assert DataSpec("nile", scale=scale).scale == scale


def test_everything_that_is_explained_and_needs_no_quotes_is_offered() -> None:
    ids = {entry["id"] for entry in overview_json()}
    names = {(name[1:-1] if name.startswith("(") else name).lower() for name in ids}
    assert sorted(name.lower() for name in completion.EXPLAINED) == sorted(
        name for name in names if not set(name) & set(" (")
    )


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("au",), ["audit"]),
        (("audit", "--preset", ""), ["quick", "sharpness"]),
        (("audit", ""), ["FILES"]),
        (("audit", "--engine", "f"), ["fused"]),
        (("bound", "--theorem", "t11"), ["T11a", "T11b"]),
        (("bound", "--data", "ni"), ["FILES", "nile"]),
        (("bound", "--init", "he"), ["he_normal", "he_uniform"]),
        (("bound", "--optimizer", "D"), ["DJ", "DW", "D"]),
        (("bound", "--scale", "m"), ["minmax"]),
        (
            (
                "bound",
                "--scale-l",
            ),
            ["--scale-labels"],
        ),
        (("optimizer", "adam"), ["adam", "adamax", "adamw"]),
        (("optimizer", "--zoo", "o"), ["optax"]),
        (("scan", "--init", "no"), ["none"]),
        (("survey", "frameworks", "--data", "iris,w"), ["iris,wine"]),
        (("survey", "frameworks", "--data", "wine,w"), []),
        (("report", "--format", "html,m"), ["html,md"]),
        (("explain", "lab"), ["labels-vary"]),
        (("check", "a.json", "b"), ["FILES"]),
        (("no-such-command", "--data", "n"), []),
    ],
)
def test_what_tab_offers(words: tuple[str, ...], found: list[str]) -> None:
    assert [name for name in offered(*words) if not name.startswith("--") or "--" in words[-1]] == found


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_can_switch_it_on(
    shell: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_NONCONV_COMPLETE", f"{shell}_source")
    monkeypatch.setattr("click.shell_completion.BashComplete._check_version", lambda *_: None)
    with pytest.raises(SystemExit) as left:
        command.main(args=[], prog_name="nonconv")
    assert left.value.code == 0
    assert "_nonconv_completion" in capsys.readouterr().out
    epilog = click.unstyle(str(command.epilog))
    assert "_NONCONV_COMPLETE=bash_source nonconv" in epilog


def test_tab_waits_for_no_library() -> None:
    heavy = ("torch", "sympy", "numpy", "msgspec", "rich")
    code = (
        "import sys; from verify.cli import main\n"
        "try:\n main([])\n"
        f"except SystemExit:\n print([name for name in {heavy} if name in sys.modules])"
    )
    asked = {"_NONCONV_COMPLETE": "bash_complete", "COMP_WORDS": "nonconv bound --theorem T1", "COMP_CWORD": "3"}
    done = subprocess.run([sys.executable, "-c", code], env=os.environ | asked, capture_output=True, text=True)
    first, *_, last = done.stdout.splitlines()
    assert (first, last) == ("plain,T1", "[]")
