"""Every optimizer of a library, judged one by one, each in a process of its own that is ended at a time limit."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from theorems.errors import InvalidInput
from theorems.hypotheses import OptimizerClass
from verify.optimizers.code_proof import Limits
from verify.optimizers.libraries import LIBRARIES, Library, library_of
from verify.optimizers.processes import (
    ended,
    fresh_processes,
    limit_memory,
    limit_processor,
    prepare,
    ran_out_of_time,
)
from verify.optimizers.registry import resolve
from verify.optimizers.spec import OptimizerSpec
from verify.optimizers.verdict import CannotBeJudged, Contradiction, Verdict, judge_build

__all__ = ["LIBRARIES", "LIMIT", "Entry", "Row", "Zoo", "entries", "judge_zoo", "library_version"]

LIMIT = 200.0
"""Seconds of processor time for one optimizer with one choice of settings; a share of it is for the proof."""
_PROOF_SHARE, _TRIAL_SHARE = 0.3, 0.1
_MEMORY = 8 * 2**30
"""Bytes that a row may allocate; JAX and torch reserve more than they use."""
_PATIENCE = 10
"""How many times its limit a row may take on a busy machine, or asleep."""

DEFAULT, NO_DECAY = "default", "no decay"


@dataclass(frozen=True)
class Entry:
    """One row of the table: an optimizer of a library and the settings that replace its defaults."""

    library: str
    name: str
    label: str
    settings: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True)
class Row:
    """What came of an entry: a verdict, or in one sentence why there is none. seconds: of one processor's time."""

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
    return library_of(library).version


# --- its entries -------------------------------------------------------------------------------------------------


def entries(library: str) -> tuple[Entry, ...]:
    """Every optimizer with its defaults and, where these decay parameters, without that.

    Fails: InvalidInput if the library is unknown, not installed or cannot be imported.
    """
    found, listed = library_of(library), []
    library_version(library)
    try:
        names = found.names()
    except (Exception, SystemExit) as error:
        raise InvalidInput(f"library {library!r} cannot be imported: {type(error).__name__}: {error}") from error
    for name in names:
        needed = tuple(found.needed(name).items())
        listed.append(Entry(library, name, DEFAULT, needed))
        without = tuple((each, 0.0) for each in _decays(found, name))
        if without:
            listed.append(Entry(library, name, NO_DECAY, (*needed, *without)))
    return tuple(listed)


def _decays(library: Library, name: str) -> list[str]:
    """The settings that decay parameters by default."""
    try:
        return library.decays(name)
    except (Exception, SystemExit):
        return []  # the row with the defaults says what is wrong


# --- one row -----------------------------------------------------------------------------------------------------


def _judged(entry: Entry, limit: float) -> Verdict:
    settings = dict(entry.settings)
    built = library_of(entry.library).built(entry.name, settings)
    rule: OptimizerClass | None = None
    shown: dict[str, object] = dict(settings) | ({"built": built.how} if built.how else {})
    if entry.library == "torch" and not built.how:
        resolved = resolve(OptimizerSpec(f"torch.optim:{entry.name}", settings), prove=False)
        rule = resolved.properties if resolved.rule is not None else None
        shown = dict(resolved.settings)
    limits = Limits(seconds=limit * _TRIAL_SHARE, total=limit * _PROOF_SHARE)
    return judge_build(
        built.build,
        built.target,
        settings=shown,
        rule=rule,
        limits=limits,
        alike=built.alike,
        programs=built.programs,
        about_program=built.about_program,
    )


def _serve(entry: Entry, limit: float, answer: Connection) -> None:
    """Judge one entry in a process of its own."""
    prepare()
    limit_processor(limit)
    limit_memory(_MEMORY)
    nowhere = open(os.devnull, "w")  # noqa: SIM115  # for the rest of the process
    sys.stdout = sys.stderr = nowhere
    for descriptor in (1, 2):  # what is not printed by way of Python
        os.dup2(nowhere.fileno(), descriptor)
    try:
        answer.send(_row(entry, limit))
    except Contradiction as error:
        answer.send(error)


def _row(entry: Entry, limit: float) -> Row:
    start = time.process_time()
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
    note = library_of(entry.library).notes.get(entry.name)
    return Row(entry, verdict, f"{why} ({note})" if why and note else why, time.process_time() - start)


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

    limit: seconds of processor time for a row, after which its process is ended. chosen: which entries are wanted.
    Fails: InvalidInput if the library cannot be used; Contradiction if a proof and a run disagree.
    """
    version, listed = library_version(library), [entry for entry in entries(library) if chosen(entry)]
    rows: dict[int, Row] = {}
    context = fresh_processes(*([library] if library_of(library).preload else []))
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


def _finished(running: dict[Connection, _Running], limit: float) -> Iterator[tuple[int, Row]]:
    """Wait a little; the rows that are done, those stopped at the limit included, which leave `running`."""
    ready = set(wait(list(running), timeout=0.5))
    for answer, each in list(running.items()):
        seconds = time.monotonic() - each.started
        if answer not in ready and seconds < limit * _PATIENCE:
            continue
        row = _received(answer, each, limit, seconds) if answer in ready else _stopped(each, limit, seconds)
        del running[answer]
        each.process.kill()
        each.process.join()
        answer.close()
        yield each.place, row


def _stopped(each: _Running, limit: float, seconds: float) -> Row:
    return Row(each.entry, None, f"stopped at the time limit of {limit:g} seconds", seconds)


def _received(answer: Connection, each: _Running, limit: float, seconds: float) -> Row:
    try:
        found = answer.recv()
    except EOFError:
        if ran_out_of_time(each.process):
            return _stopped(each, limit, seconds)
        return Row(each.entry, None, ended(each.process), seconds)
    if isinstance(found, Contradiction):
        raise found
    if not isinstance(found, Row):
        raise TypeError(f"a worker answered {type(found).__name__}")
    return found
