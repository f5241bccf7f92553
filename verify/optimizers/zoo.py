"""Every optimizer of a library, judged one by one, each in a process of its own that is ended at a time limit."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from theorems.errors import InvalidInput, did_you_mean
from theorems.hypotheses import OptimizerClass
from verify.optimizers.code_proof import Limits
from verify.optimizers.registry import OptimizerSpec, resolve
from verify.optimizers.verdict import CannotBeJudged, Contradiction, Verdict, judge_build

__all__ = ["LIBRARIES", "LIMIT", "Entry", "Row", "Zoo", "entries", "judge_zoo", "library_version"]

LIBRARIES = ("torch", "pytorch_optimizer")
LIMIT = 120.0
"""Seconds for one optimizer with one choice of settings."""
_PROOF_SHARE, _TRIAL_SECONDS = 0.6, 20.0

DEFAULT, NO_DECAY = "default", "no decay"
_DECAYS = ("weight_decay", "lambd")


@dataclass(frozen=True)
class Entry:
    """One row of the table: an optimizer of a library and the settings that replace its defaults."""

    library: str
    name: str
    label: str
    settings: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Row:
    """What came of an entry: a verdict, or in one sentence why there is none."""

    entry: Entry
    verdict: Verdict | None
    not_run: str
    seconds: float


@dataclass(frozen=True)
class Zoo:
    """All rows of a library."""

    library: str
    version: str
    rows: tuple[Row, ...]


def library_version(library: str) -> str:
    """The installed version. Fails: InvalidInput if the library is unknown or not installed."""
    if library not in LIBRARIES:
        raise InvalidInput(
            f"library {library!r}: expected one of {', '.join(LIBRARIES)}{did_you_mean(library, LIBRARIES)}"
        )
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        raise InvalidInput(
            f"library {library!r} is not installed; expected it beside nonconv (pip install 'nonconv[zoo]')"
        ) from None


# --- how each is built -------------------------------------------------------------------------------------------


class _Model:
    """What optimizers that want a model ask of it."""

    def __init__(self, parameters: list[torch.Tensor]) -> None:
        self._parameters = list(parameters)

    def parameters(self) -> Iterator[torch.Tensor]:
        return iter(self._parameters)

    def named_parameters(self) -> Iterator[tuple[str, torch.Tensor]]:
        names = (f"layer{index // 2}.{('weight', 'bias')[index % 2]}" for index in range(len(self._parameters)))
        return zip(names, self._parameters, strict=True)


def _plain(cls: Any, parameters: list[torch.Tensor], settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    made: torch.optim.Optimizer = cls(parameters, **settings)
    return made


def _model(cls: Any, parameters: list[torch.Tensor], settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    made: torch.optim.Optimizer = cls(_Model(parameters), **settings)
    return made


def _weights(cls: Any, parameters: list[torch.Tensor], settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Matrices only; biases are not trained."""
    made: torch.optim.Optimizer = cls([each for each in parameters if each.ndim == 2], **settings)
    return made


def _by_shape(cls: Any, parameters: list[torch.Tensor], settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Matrices in one group, biases in another, as these optimizers want it."""
    groups = [
        {"params": [each for each in parameters if each.ndim >= 2], "use_muon": True},
        {"params": [each for each in parameters if each.ndim < 2], "use_muon": False},
    ]
    made: torch.optim.Optimizer = cls(groups, **settings)
    return made


Maker = Callable[[Any, list[torch.Tensor], Mapping[str, Any]], torch.optim.Optimizer]

_MAKERS: dict[str, Maker] = {
    "Muon": _weights,
    **dict.fromkeys(("adago", "adamuon", "distributedmuon", "muon", "muonclip", "normuon"), _by_shape),
    **dict.fromkeys(("adalomo", "adammini", "lomo"), _model),
    "spectralsphere": _weights,
}
_NEEDED: dict[str, dict[str, Any]] = {"bsam": {"num_data": 1000}, "ranger21": {"num_iterations": 100}}
_HOW = {_weights: "weights only", _by_shape: "weights and biases in groups", _model: "given a model"}


def _class_of(library: str, name: str) -> Any:
    if library == "torch":
        return getattr(torch.optim, name)
    return importlib.import_module(library).load_optimizer(name)


def _names(library: str) -> list[str]:
    if library != "torch":
        return sorted(importlib.import_module(library).get_supported_optimizers())
    base = torch.optim.Optimizer
    found = {name: value for name, value in vars(torch.optim).items() if inspect.isclass(value)}
    return sorted(name for name, value in found.items() if issubclass(value, base) and value is not base)


def entries(library: str) -> tuple[Entry, ...]:
    """Every optimizer with its defaults and, where these decay parameters, without that.

    Fails: InvalidInput if the library is unknown, not installed or cannot be imported.
    """
    library_version(library)
    try:
        names = _names(library)
    except (Exception, SystemExit) as error:
        raise InvalidInput(f"library {library!r} cannot be imported: {type(error).__name__}: {error}") from error
    found: list[Entry] = []
    for name in names:
        needed = tuple(_NEEDED.get(name, {}).items())
        found.append(Entry(library, name, DEFAULT, needed))
        without = tuple((each, 0.0) for each in _decays(library, name))
        if without:
            found.append(Entry(library, name, NO_DECAY, (*needed, *without)))
    return tuple(found)


def _decays(library: str, name: str) -> list[str]:
    """The settings that decay parameters by default."""
    try:
        parameters = inspect.signature(_class_of(library, name).__init__).parameters
    except (Exception, SystemExit):
        return []  # the row with the defaults says what is wrong
    defaults = {each: parameters[each].default for each in _DECAYS if each in parameters}
    return [each for each, value in defaults.items() if isinstance(value, int | float) and value != 0]


# --- one row -----------------------------------------------------------------------------------------------------


def _judged(entry: Entry, limit: float) -> Verdict:
    cls = _class_of(entry.library, entry.name)
    maker, settings = _MAKERS.get(entry.name, _plain), dict(entry.settings)

    def build(parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
        return maker(cls, parameters, settings)

    rule: OptimizerClass | None = None
    shown: dict[str, object] = dict(settings)
    if maker in _HOW:
        shown["built"] = _HOW[maker]
    if entry.library == "torch" and maker is _plain:
        resolved = resolve(OptimizerSpec(f"torch.optim:{entry.name}", settings), prove=False)
        rule = resolved.properties if resolved.rule is not None else None
        shown = dict(resolved.settings)
    target = f"{cls.__module__}:{cls.__qualname__}"
    limits = Limits(seconds=_TRIAL_SECONDS, total=limit * _PROOF_SHARE)
    return judge_build(build, target, settings=shown, rule=rule, limits=limits, alike=maker in (_plain, _model))


def _serve(entry: Entry, limit: float, answer: Connection) -> None:
    """Judge one entry in a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  # for the rest of the process
    try:
        answer.send(_row(entry, limit))
    except Contradiction as error:
        answer.send(error)


def _row(entry: Entry, limit: float) -> Row:
    start = time.monotonic()
    verdict, why = None, ""
    try:
        verdict = _judged(entry, limit)
    except Contradiction:
        raise
    except CannotBeJudged as error:
        why = error.why
    except InvalidInput as error:
        why = str(error)
    except (Exception, SystemExit) as error:
        lines = str(error).strip().splitlines()
        why = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    return Row(entry, verdict, why, time.monotonic() - start)


# --- all rows ----------------------------------------------------------------------------------------------------


@dataclass
class _Running:
    place: int
    entry: Entry
    process: BaseProcess
    started: float


def judge_zoo(
    library: str,
    *,
    workers: int = 1,
    limit: float = LIMIT,
    on_progress: Callable[[int, int], object] = lambda done, total: None,
    chosen: Callable[[Entry], bool] = lambda entry: True,
) -> Zoo:
    """Judge every optimizer of a library; there is a row for each entry, whatever its code does.

    limit: seconds for a row, after which its process is ended. chosen: which entries are wanted.
    Fails: InvalidInput if the library cannot be used; Contradiction if a proof and a run disagree.
    """
    version, listed = library_version(library), [entry for entry in entries(library) if chosen(entry)]
    rows: dict[int, Row] = {}
    context = _context(library)
    waiting = list(enumerate(listed))[::-1]
    running: dict[Connection, _Running] = {}
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                place, entry = waiting.pop()
                ours, theirs = context.Pipe(duplex=False)
                process = context.Process(target=_serve, args=(entry, limit, theirs), daemon=True)
                process.start()
                theirs.close()
                running[ours] = _Running(place, entry, process, time.monotonic())
            for row_of in _finished(running, limit):
                rows[row_of[0]] = row_of[1]
                on_progress(len(rows), len(listed))
    finally:
        for each in running.values():
            each.process.kill()
    return Zoo(library, version, tuple(rows[place] for place in sorted(rows)))


def _context(library: str) -> Any:
    """Fresh processes; where the system can, copies of one that has imported what all of them need."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["verify.optimizers.zoo", library])
    return context


def _finished(running: dict[Connection, _Running], limit: float) -> Iterator[tuple[int, Row]]:
    """Wait a little; the rows that are done, those stopped at the limit included, which leave `running`."""
    ready = set(wait(list(running), timeout=0.5))
    for answer, each in list(running.items()):
        seconds = time.monotonic() - each.started
        if answer not in ready and seconds < limit:
            continue
        row = Row(each.entry, None, f"stopped at the time limit of {limit:g} seconds", seconds)
        if answer in ready:
            row = _received(answer, each, seconds)
        del running[answer]
        each.process.kill()
        each.process.join()
        answer.close()
        yield each.place, row


def _received(answer: Connection, each: _Running, seconds: float) -> Row:
    try:
        found = answer.recv()
    except EOFError:
        each.process.join()
        return Row(each.entry, None, f"its process ended with exit status {each.process.exitcode}", seconds)
    if isinstance(found, Contradiction):
        raise found
    if not isinstance(found, Row):
        raise TypeError(f"a worker answered {type(found).__name__}")
    return found
