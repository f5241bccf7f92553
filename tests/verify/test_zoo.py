"""The libraries of the zoo: every optimizer that a library lists has a row, whatever its code does."""

from __future__ import annotations

import importlib
import inspect
import multiprocessing
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from theorems.hypotheses import Property
from verify.optimizers import libraries, processes, zoo
from verify.optimizers.known import Known
from verify.optimizers.verdict import judge_build
from verify.report.markdown import escape_markdown

EXTRA = ("heavyball", "optax", "pytorch_optimizer")


def installed(library: str) -> Any:
    return pytest.importorskip(library, reason=f"{library} is in the extra 'zoo'", exc_type=ImportError)


# --- complete listings -------------------------------------------------------------------------------------------


def test_every_optimizer_of_pytorch_optimizer_has_a_row() -> None:
    module = installed("pytorch_optimizer")
    named = {each.name for each in zoo.entries("pytorch_optimizer")}
    assert named == set(module.get_supported_optimizers())
    classes = {name.lower() for name, value in vars(module).items() if is_optimizer(value)}
    known = {module.load_optimizer(name).__name__.lower() for name in named}
    wrappers = {"lookahead", "sam", "gsam", "wsam", "looksam", "friendlysam", "pcgrad", "schedulefreewrapper", "trac",
                "orthograd", "safefp16optimizer"}  # fmt: skip
    assert classes - known <= wrappers


def is_optimizer(value: object) -> bool:
    return inspect.isclass(value) and issubclass(value, torch.optim.Optimizer) and value is not torch.optim.Optimizer


def test_every_optimizer_of_heavyball_has_a_row() -> None:
    module = installed("heavyball")
    classes = {name for name, value in vars(module).items() if is_optimizer(value)}
    assert classes - {each.name for each in zoo.entries("heavyball")} == {"PSGDBase", "SOAPBase"}


def test_every_optimizer_of_optax_has_a_row() -> None:
    """What is documented as an optimizer: the functions of its module of aliases, and those of optax.contrib."""
    optax = installed("optax")
    aliases = importlib.import_module("optax._src.alias")
    named = {each.name for each in zoo.entries("optax")}
    for name, value in vars(aliases).items():
        made = inspect.isfunction(value) and value.__module__ == aliases.__name__ and not name.startswith("_")
        if made or name in ("nadam", "nadamw"):
            assert name in named
    for name in ("lookahead", "contrib.sam", "contrib.mechanize", "contrib.muon", "contrib.schedule_free"):
        assert name in named
    parts = {name for name in dir(optax.contrib) if name.startswith("scale_by_")}
    assert not {f"contrib.{name}" for name in parts} & named


@pytest.mark.parametrize("library", EXTRA)
def test_defaults_come_first_and_no_decay_follows(library: str) -> None:
    installed(library)
    listed = zoo.entries(library)
    assert len({(each.name, each.label) for each in listed}) == len(listed)
    defaults = [each.name for each in listed if each.label == zoo.DEFAULT]
    assert defaults == list(dict.fromkeys(each.name for each in listed))
    for each in listed:
        if each.label == zoo.NO_DECAY:
            assert 0.0 in dict(each.settings).values()


@pytest.mark.parametrize("library", EXTRA)
def test_a_library_that_is_not_installed_is_one_sentence(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise libraries.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(libraries.importlib.metadata, "version", missing)
    with pytest.raises(libraries.InvalidInput, match=r"is not installed; .*nonconv\[zoo\]"):
        zoo.entries(library)


def test_the_committed_tables_have_every_row() -> None:
    """Of the libraries that are installed, at the version of the tables."""
    text = (Path(__file__).resolve().parents[2] / "reports" / "optimizers.md").read_text("utf-8")
    sections = {part.split()[0]: part for part in text.split("\n## ")[1:]}
    assert set(sections) == set(libraries.LIBRARIES)
    for name, section in sections.items():
        try:
            version = zoo.library_version(name)
        except libraries.InvalidInput:
            continue
        if section.splitlines()[0] != f"{name} {version}":
            continue
        cells = [line.split(" | ")[:2] for line in section.splitlines() if line.startswith("| ")]
        rows = {(first.removeprefix("| "), second.split(", ")[0]) for first, second, *_ in cells}
        for entry in zoo.entries(name):
            assert (escape_markdown(entry.name), entry.label) in rows


# --- rows --------------------------------------------------------------------------------------------------------


def test_a_row_whose_code_ends_its_process_says_so() -> None:
    context = processes.fresh_processes()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=os._exit, args=(7,))
    process.start()
    theirs.close()
    row = zoo._received(ours, zoo._Running(0, zoo.Entry("torch", "SGD", zoo.DEFAULT), process, 0.0), 5.0, 1.0)
    assert (row.verdict, row.not_run) == (None, "the code ended its process with exit status 7")


SPINS = "from verify.optimizers import processes\nprocesses.limit_processor(0.5)\nwhile True: pass"


def test_a_row_out_of_processor_time_says_so() -> None:
    context = processes.fresh_processes()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=exec, args=(SPINS,))
    process.start()
    theirs.close()
    row = zoo._received(ours, zoo._Running(0, zoo.Entry("torch", "SGD", zoo.DEFAULT), process, 0.0), 0.5, 1.0)
    assert (row.verdict, row.not_run) == (None, "stopped at the time limit of 0.5 seconds")


class OnlySingle(torch.optim.SGD):
    """Refuses float64."""

    def step(self, closure: Any = None) -> Any:
        if any(each.dtype == torch.float64 for group in self.param_groups for each in group["params"]):
            raise RuntimeError("expected float32")
        return super().step(closure)


def test_what_refuses_float64_is_judged_in_float32() -> None:
    found = judge_build(lambda parameters: OnlySingle(parameters, lr=0.1), "single", histories=12)
    assert (found.dtype, found.about(Property.F).known) == ("float32", Known.CODE)
    assert found.about_dtype == "in float64 it does not run (RuntimeError: expected float32)"
    assert "parameters of a network of widths 2, 3, 2 in float32" in found.conditions
    ordinary = judge_build(lambda parameters: torch.optim.SGD(parameters, lr=0.1), "double", histories=12)
    assert (ordinary.dtype, ordinary.about_dtype) == ("float64", "")


class MovesInSingle(OnlySingle):
    """Refuses float64, and moves everything in float32."""

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        super().step(closure)
        for each in self.param_groups[0]["params"]:
            each.add_(0.5)


def test_what_refuses_float64_can_be_refuted_in_float32() -> None:
    found = judge_build(lambda parameters: MovesInSingle(parameters, lr=0.1), "single", histories=12)
    assert found.about(Property.F).known is Known.VIOLATED
    assert found.counterexample is not None
    assert "torch.float32" in found.counterexample.script


class Planted(torch.optim.SGD):
    """What it does wrong is in its subclasses."""

    def __init__(self, parameters: Any) -> None:
        super().__init__(parameters, lr=0.1)

    def step(self, closure: Any = None) -> Any:
        self.misbehave()
        return super().step(closure)

    def misbehave(self) -> None:
        """Nothing."""


class NeedsMore(Planted):
    def __init__(self, parameters: Any, rank: int) -> None:
        raise ValueError("unreachable")


class Raises(Planted):
    def misbehave(self) -> None:
        raise KeyError("first line\nsecond line")


class Spoils(Planted):
    def misbehave(self) -> None:
        for each in self.param_groups[0]["params"]:
            each.data.fill_(float("nan"))


class WantsCuda(Planted):
    def misbehave(self) -> None:
        if torch.cuda.is_available():
            raise RuntimeError("CUDA is here")
        self.param_groups[0]["params"][0].data.cuda()


class Leaves(Planted):
    def misbehave(self) -> None:
        raise SystemExit(3)


class Dies(Planted):
    def misbehave(self) -> None:
        os._exit(5)


class Prints(Planted):
    def misbehave(self) -> None:
        print("hello")
        os.write(1, b"hello")


class Hoards(Planted):
    def misbehave(self) -> None:
        self.hoard = torch.ones(2**34)


class Hangs(Planted):
    def misbehave(self) -> None:
        while True:
            pass


PLANTED = {
    each.__name__: each for each in (Planted, NeedsMore, Raises, Spoils, WantsCuda, Leaves, Dies, Prints, Hoards, Hangs)
}
TOLD = {
    "NeedsMore": "rank",
    "Raises": "KeyError: 'first line",
    "Spoils": "parameters are not finite",
    "WantsCuda": "Error: ",
    "Leaves": "SystemExit",
    "Dies": "the code ended its process with exit status 5",
    "Hoards": "allocate",
    "Hangs": "stopped at the time limit of 12 seconds",
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_whatever_the_code_does_there_is_a_row(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A library of bad optimizers: none ends the run, hangs it, fills the memory or prints."""
    library = libraries.Library(
        "heavyball", lambda: list(PLANTED), lambda name: {}, lambda name: [],
        lambda name, chosen: libraries._torch_built(PLANTED[name], libraries._plain, chosen),
    )  # fmt: skip
    monkeypatch.setattr(zoo, "library_of", lambda name: library)
    monkeypatch.setattr(zoo, "library_version", lambda name: "1")
    monkeypatch.setattr(zoo, "fresh_processes", lambda *preloaded: multiprocessing.get_context("fork"))
    made = zoo.judge_zoo("heavyball", limit=12)
    assert [row.entry.name for row in made.rows] == list(PLANTED)
    for row in made.rows:
        assert TOLD.get(row.entry.name, "") in row.not_run
        assert (row.verdict is None) == (row.entry.name in TOLD)
        assert "\n" not in row.not_run
    assert capfd.readouterr().out == ""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("library", "name", "proved"),
    [
        ("pytorch_optimizer", "adan", "F"),
        ("pytorch_optimizer", "avagrad", "F"),
        ("heavyball", "AdamW", "F"),
        ("optax", "adam", "F"),
        ("optax", "adamw", "DJ"),
        ("optax", "sgd", "F"),
    ],
)
def test_rows_that_are_proved(library: str, name: str, proved: str) -> None:
    installed(library)
    entry = next(each for each in zoo.entries(library) if each.name == name and each.label == zoo.DEFAULT)
    row = zoo._row(entry, 600.0)
    assert row.verdict is not None
    assert [(each.wanted.name, each.known) for each in row.verdict.proved] == [(proved, Known.CODE)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["noisy_sgd", "contrib.dpsgd"])
def test_noise_of_optax_is_not_proved(name: str) -> None:
    installed("optax")
    entry = next(each for each in zoo.entries("optax") if each.name == name)
    row = zoo._row(entry, 600.0)
    assert row.verdict is not None
    assert row.verdict.proved == ()
    assert row.verdict.about(Property.F).known is Known.VIOLATED
