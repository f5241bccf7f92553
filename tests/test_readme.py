"""What the README says is true: its figures, its configuration, its commands."""

from __future__ import annotations

import re
import shlex
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest

from theorems.bounds import TOUR_ZEROS
from theorems.catalogue import THEOREMS
from theorems.lines import LineProgram
from verify.answer import answer_bound
from verify.cases import AuditConfig
from verify.cli import command
from verify.data import DataSpec
from verify.enclosure import evaluate_bound
from verify.inference import Verdict

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_configuration_is_valid() -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", README, re.DOTALL)
    config = msgspec.toml.decode(text, type=AuditConfig)
    config.check()
    assert config.sweep[0].parsed_initializations()[1].name == "he_normal, bias normal(0.1)"
    assert len(config.sweep[0].parsed_optimizers()) == 3


@pytest.mark.parametrize(
    ("architecture", "optimizer", "theorem", "figure"),
    [
        ("1,32,1", None, "T3", "0.9999997"),
        ("1,3*10,1", None, "T10", "0.677"),
        ("1,3*10,1", "adamw", "T16", "0.543"),
        ("1,3*10,1", None, "T1", "0.0548"),
        ("1,3*10,1", None, "T2", "0.0652"),
    ],
)
def test_the_figures_are_proved(architecture: str, optimizer: str | None, theorem: str, figure: str) -> None:
    assert figure in README
    answer = answer_bound(architecture, "pytorch", None, DataSpec("nile", scale="minmax"), optimizer, theorem)
    (evaluation,) = answer.evaluations
    assert evaluation.bound is not None
    step = Fraction(1, 10 ** len(figure.split(".")[1]))
    assert Fraction(figure) <= evaluation.bound.lo < Fraction(figure) + step


def test_the_figure_for_any_data_is_proved() -> None:
    """T18 with no knowledge of the inputs: any number of rays, any tour."""
    assert "0.393" in README
    found = evaluate_bound(LineProgram((3,) * 10, 10**6), Fraction(0), {TOUR_ZEROS: Fraction(10**6)})
    assert Fraction(393, 1000) <= found.lo < Fraction(394, 1000)


def test_every_command_shown_exists_with_its_options() -> None:
    shown = [line for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL) for line in block.splitlines()]
    commands = [shlex.split(line, comments=True)[1:] for line in shown if line.startswith("nonconv ")]
    assert commands
    for name, *arguments in commands:
        known = {option for parameter in command.commands[name].params for option in parameter.opts}
        assert {argument for argument in arguments if argument.startswith("--")} <= known


def test_make_targets_exist() -> None:
    targets = re.findall(r"^make ([a-z-]+)", README, re.MULTILINE)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(targets) >= {"audit", "test"}
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_every_verdict_and_theorem_is_explained() -> None:
    for word in [*(verdict.value for verdict in Verdict), *THEOREMS]:
        assert re.search(rf"^\|.*\b{word}\b", README, re.MULTILINE), word


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), target
