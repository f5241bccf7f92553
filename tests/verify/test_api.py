"""The Python interface: the same answers as the command line, and answers that show themselves."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import numpy as np
import pandas as pd
import pytest
import torch
from click.testing import CliRunner

from theorems.errors import InvalidInput
from verify import api, audit_run, cli
from verify.cases import AuditConfig
from verify.data import DataSpec, load_data
from verify.executors import InProcess, Workers

X = np.linspace(0, 1, 12)
Y = X**2 + 2 * X


def test_bound_of_arrays_is_that_of_the_same_numbers_in_a_file(tmp_path) -> None:
    np.savez(tmp_path / "data.npz", x=X, y=Y)
    of_file = api.bound("1,32,1", str(tmp_path / "data.npz")).to_json()
    of_arrays = api.bound([1, 32, 1], (X, Y)).to_json()
    assert {"data"} == {key for key in of_file if of_file[key] != of_arrays[key]}
    assert of_arrays["data"]["name"] == "arrays"
    assert of_arrays["best"] == "T3"


@pytest.mark.parametrize(
    "convert",
    [lambda a: a.tolist(), torch.tensor, pd.Series, lambda a: a[:, None], lambda a: pd.DataFrame({"only": a})],
)
def test_arrays_of_all_kinds(convert) -> None:
    data = api.data_of_arrays(convert(X), convert(Y), source="mine")
    assert data.inputs == api.data_of_arrays(X, Y).inputs
    assert data.name == "mine"


def test_scales_and_densities_are_those_of_files(tmp_path) -> None:
    np.savez(tmp_path / "data.npz", x=X, y=Y)
    described = {"scale": "standard", "scale_labels": "minmax", "labels_have_density": True}
    of_arrays = api.data_of_arrays(X, Y, **described)
    of_file = load_data(DataSpec(str(tmp_path / "data.npz"), **described))
    assert (of_arrays.inputs, of_arrays.means) == (of_file.inputs, of_file.means)
    assert of_arrays.labels_have_density


def test_the_command_prints_what_the_function_returns() -> None:
    printed = CliRunner().invoke(cli.command, ["bound", "--arch", "1,8,1", "--data", "x**2", "--points", "9", "--json"])
    assert json.loads(printed.output) == api.bound("1,8,1", "x**2", points=9).to_json()


def test_the_optimizer_command_prints_what_the_function_returns() -> None:
    printed = CliRunner().invoke(cli.command, ["optimizer", "adam", "--set", "lr=0.5", "--json"])
    told = json.loads(printed.output)
    answered = json.loads(json.dumps(api.check_optimizer("adam", lr=0.5).to_json()))
    assert told | {"seconds": 0} == answered | {"seconds": 0}
    assert answered["properties"]["F"]["evidence"] == "proved symbolically"


class Tags(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_answers_show_themselves_and_escape_names() -> None:
    name = "<script>alert(1)</script>&[bold]:smile:"
    answer = api.bound("1,4,1", (X, Y), source=name)
    seen = Tags(answer._repr_html_())
    assert seen.tags <= {"pre", "span"}
    assert name in seen.text
    assert name in str(answer)
    assert "\x1b" not in str(answer)
    assert re.search(r"misses every global minimizer|No theorem here gives", str(answer))


def test_an_optimizer_shows_its_counterexample() -> None:
    answer = api.check_optimizer("adam", weight_decay=0.1)
    assert not answer.verdict.passes
    assert "violated" in str(answer)
    assert "violated" in Tags(answer._repr_html_()).text


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: api.bound("1,x,1", "nile"), "architecture '1,x,1': expected whole numbers"),
        (lambda: api.bound([1, 2.5, 1], "nile"), "architecture '1,2.5,1': expected whole numbers"),
        (lambda: api.bound("1,8,1", 3), "data of type int: expected a name, or a pair"),
        (lambda: api.bound("1,8,1", (X, Y, X)), "data of type tuple: expected a name, or a pair"),
        (lambda: api.bound("1,8,1", ([[1], [2, 3]], [1, 2])), "inputs: rows differ in length"),
        (lambda: api.bound("1,8,1", (X, Y[1:])), "12 rows of inputs, 11 of labels"),
        (lambda: api.bound("1,8,1", (X[:0], Y[:0])), "inputs has shape (0,): expected a 1-d or 2-d array"),
        (lambda: api.bound("1,8,1", (np.array([1.0, np.nan]), Y[:2])), "nan is not finite"),
        (lambda: api.bound("1,8,1", (["a", "b"], [1, 2])), "inputs holds '<U1': expected integers or floats"),
        (lambda: api.bound("1,8,1", "nile", scal="minmax"), "'scal' describes no data; expected one of source"),
        (lambda: api.bound("1,8,1", DataSpec("nile"), scale="minmax"), "'scale' was given beside data"),
        (lambda: api.check_optimizer("adma"), "did you mean 'adamax'?"),
        (lambda: api.check_optimizer("adam", lrr=1), "has no setting 'lrr'"),
    ],
)
def test_what_cannot_be_read_is_one_sentence(call, sentence: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        call()
    assert sentence in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_terminal_prints_brackets_in_names_as_they_are(tmp_path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("u,v\n0,0\n1,1\n2,4\n", encoding="utf-8")
    arguments = ["bound", "--arch", "1,4,1", "--data", str(path), "--inputs", "u", "--labels", "v"]
    assert "[u -> v]" in CliRunner(env={"COLUMNS": "200"}).invoke(cli.command, arguments).output


def test_scan_of_a_module_and_arrays_is_that_of_the_command(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "models_of_api.py").write_text(
        "from torch import nn\ndef net():\n    return nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 1))\n",
        encoding="utf-8",
    )
    np.savez(tmp_path / "data.npz", x=X, y=Y)
    arguments = ["scan", "models_of_api:net", "--data", "data.npz", "--init", "none", "--json"]
    told = json.loads(CliRunner().invoke(cli.command, arguments).output)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(1, 3), torch.nn.ReLU(), torch.nn.Linear(3, 1))
    answer = api.scan(net, (X, Y), initialization=None)
    assert answer.to_json()["layers"] == told["layers"]
    assert Tags(answer._repr_html_()).tags <= {"pre", "span"}


TINY = """\
title = "tiny"
[simulation]
initializations = 40
replicas = 2
steps = 2
[data.p]
source = "x**2"
points = 6
[[sweep]]
name = "s"
data = ["p"]
initializations = ["pytorch"]
architectures = ["1,3,1"]
optimizers = ["sgd"]
theorems = ["T3"]
"""


@pytest.fixture
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def here(where: str, count: int | None, folder: Path, warn: object) -> Iterator[Workers]:
        yield Workers(InProcess(), 1, 2)

    monkeypatch.setattr(audit_run, "open_workers", here)


def test_an_audit_of_a_file_is_that_of_the_same_configuration(tmp_path, in_this_process) -> None:
    path = tmp_path / "tiny.toml"
    path.write_text(TINY, encoding="utf-8")
    written = tmp_path / "file" / "results.json"
    of_file = api.audit(path, out=tmp_path / "file", seed=3)
    config = msgspec.toml.decode(TINY, type=AuditConfig)
    of_config = api.audit(config, out=tmp_path / "config", seed=3)
    assert of_file.results.cases == of_config.results.cases
    assert of_file.results.seed == 3
    assert json.loads(written.read_text(encoding="utf-8")) == json.loads(json.dumps(of_file.to_json()))
    assert "T3" in str(of_file)
    assert Tags(of_config._repr_html_()).tags <= {"pre", "span"}


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: api.audit("no.toml"), "no.toml"),
        (lambda: api.audit("a.toml", preset="quick"), "both a configuration ('a.toml') and a preset ('quick')"),
        (lambda: api.audit(preset="quik"), "did you mean 'quick'?"),
        (lambda: api.audit(preset="frameworks"), "nonconv survey frameworks"),
        (lambda: api.audit(out=""), "--out=''"),
        (lambda: api.audit(msgspec.toml.decode(TINY, type=AuditConfig)), "expected out, the name of a folder"),
    ],
)
def test_audits_that_are_refused(call, sentence: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        call()
    assert sentence in str(refused.value)
