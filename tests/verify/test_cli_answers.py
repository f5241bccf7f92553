"""What a newcomer tries: each command's help, one JSON document, no colours where none are wanted, odd words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from verify.certificate.selftest import EXAMPLES
from verify.cli import command, main
from verify.explain import overview_json

NAMES = sorted(command.commands)
SMALL = ("bound", "--arch", "1,4,1", "--data", "nile", "--scale", "minmax", "--theorem", "T3")
EXAMPLE = str(next(Path("verify/certificate", EXAMPLES).resolve().glob("*.json")))


def printed(*arguments: str, code: int | None = 0) -> str:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(command, arguments)
    assert code is None or result.exit_code == code, (arguments, result.output, result.exception)
    return str(result.stdout)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as left:
        main(arguments)
    found = capsys.readouterr()
    assert (left.value.code, found.out) == (2, "")
    assert re.fullmatch(r"nonconv: [^\n]+\n", found.err), found.err
    return str(found.err)


# --- help ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", *NAMES])
def test_help_fits_eighty_columns_and_has_examples(name: str) -> None:
    lines = printed(*([name] if name else []), "--help").splitlines()
    assert max(map(len, lines)) <= 80
    if name:
        assert sum(line.startswith(f"  nonconv {name}") for line in lines) >= 2


def test_the_list_of_commands_is_in_whole_sentences() -> None:
    said = printed("--help")
    assert "..." not in said.partition("Commands:")[2]
    assert all(re.search(rf"^  {name} +\S.*\.$", said, re.MULTILINE) for name in NAMES)


def test_every_command_has_json() -> None:
    for name in NAMES:
        assert "--json" in {flag for parameter in command.commands[name].params for flag in parameter.opts}, name


# --- one document -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (SMALL, "bounds"),
        (("selftest",), "certificates"),
        (("explain", "T10"), "text"),
        (("explain", "D"), "text"),
    ],
)
def test_json_is_one_document(arguments: tuple[str, ...], key: str) -> None:
    document: dict[str, Any] = json.loads(printed(*arguments, "--json"))
    assert document[key]


def test_selftest_says_what_is_stated_and_what_is_found() -> None:
    document = json.loads(printed("selftest", "--json"))
    assert document["as_stated"] is True
    for each in document["certificates"]:
        assert each["found"]["code"] == each["stated"]["code"]
        assert each["found"]["verdict"].startswith(each["stated"]["verdict"])


def test_explanations_are_data_too() -> None:
    theorem = json.loads(printed("explain", "t10", "--json"))
    assert theorem.keys() == {"id", "kind", "text"}
    assert (theorem["id"], theorem["kind"]) == ("T10", "theorems (derived and proved here)")
    assert "Proof: theorems/proofs/" in theorem["text"]
    assert "Theorems that remain" in json.loads(printed("explain", "(d)", "--json"))["text"]
    twice = json.loads(printed("explain", "undecided", "--json"))
    assert [each["kind"] for each in twice["also"]] == ["outcomes of a trained replica"]
    listed = json.loads(printed("explain", "--json"))
    assert listed == overview_json()
    assert {"T10", "CONFIRMED", "labels-vary"} <= {each["id"] for each in listed}


# --- what is printed ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [SMALL, ("explain", "T10"), ("selftest",)])
def test_where_no_terminal_is_there_are_no_colours_and_lines_fit(arguments: tuple[str, ...]) -> None:
    said = printed(*arguments)
    assert said == click.unstyle(said)
    assert max(map(len, said.splitlines())) <= 80


@pytest.mark.slow
def test_a_program_is_printed_as_it_must_be_run() -> None:
    answer, _, script = printed("optimizer", "adamw").partition("A program that shows it:\n")
    assert max(map(len, answer.splitlines())) <= 80 < max(map(len, script.splitlines()))
    compile(script, "script", "exec")


# --- odd words ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("exlpain",), "Did you mean 'explain'?"),
        (("bound", "--jsn"), "Did you mean '--json'?"),
        (("audit", "--engine", "fusd"), "(did you mean 'fused'?)"),
        (("optimizer", "--zoo", "troch"), "(did you mean 'torch'?)"),
        (("report", "x.json", "--format", "htm"), "(did you mean 'html'?)"),
        (("survey", "frameworks", "--data", "irs"), "(did you mean 'iris'?)"),
        (("\x1b[31m",), r"\x1b[31m"),
        (("bound", "--\x1b[31m"), r"\x1b[31m"),
        (("audit", "a\nb"), r"'a\nb'"),
        (("audit", "\x1b]0;x\x07"), r"\x1b]0;x\x07"),
        (("check", "a\nb\x1b"), r"a\u000ab\u001b"),
        (("report", "\x1b[2J"), r"\x1b[2J"),
        (("explain", "9" * 100_000), "nothing here is called"),
        (("audit", "--seed", "9" * 100_000), "--seed"),
        (("bound", "--arch", "1," + "9" * 100_000 + ",1", "--data", "nile"), "architecture"),
        ((*SMALL[:5], "--points", "9" * 200_000), "--points"),
        (("bound", "--arch", "1,2,1", "--data", "9" * 100_000), "data"),
        (("bound", "--arch", "1,2,1", "--data", "nile", "--init", f"normal({'9' * 100_000})"), "initialization"),
        (("scan", "x" * 100_000, "--data", "nile"), "module"),
    ],
)
def test_odd_words_get_one_short_sentence(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sentence = refused(capsys, *arguments)
    assert told in sentence
    assert sentence[:-1].isprintable()
    assert len(sentence) < 1000
