"""What an audit will take, before it is carried out: networks, time, memory.

Each kind of work (networks alike in everything that costs time) is timed for a moment, on the workers that would do it
and on all of them at once; a run by the time of its first steps, since every step costs the same. Kinds for which the
moment does not suffice are estimated from those that were timed. Nothing is written.
"""

from __future__ import annotations

import dataclasses
import resource
import sys
import time
from collections import defaultdict, deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from verify.audit import Plan, units_of
from verify.blocks import Part, Unit, carry_out_part, guessed_seconds, left_over
from verify.executors import Workers
from verify.ledger import Ledger
from verify.simulation.runs import RunTask, StartTask

__all__ = ["Forecast", "forecast"]

_BUDGET = 10.0  # seconds of timing, all workers together working
_MOMENT = 0.05  # seconds that a timing should last to be believed
_FEW_STEPS = 8  # so few are not extrapolated
_FEW_NETWORKS = 64


@dataclass(frozen=True)
class Forecast:
    """What is expected.

    initializations, replicas: networks to draw, and to train; replica_steps: steps of single networks; known: part of
    all networks that the ledger has; seconds: until all are counted, on so many workers; worker_bytes, own_bytes:
    memory of one worker, and of the process that asks them; kinds, timed: kinds of work, and how many were timed.
    """

    cases: int
    initializations: int
    replicas: int
    replica_steps: int
    known: float
    workers: int
    seconds: float
    worker_bytes: int
    own_bytes: int
    kinds: int
    timed: int


def forecast(planned: Plan, workers: Workers, ledger: Ledger, began: float) -> Forecast:
    """Time each kind of work and add up. began: when the workers were asked for, by `time.monotonic`.

    Fails: InvalidInput if a foreign optimizer's step raises.
    """
    starts, runs = units_of(planned)
    units = [*starts, *runs]
    left = [left_over(unit, ledger) for unit in units]
    kinds: defaultdict[object, list[int]] = defaultdict(list)
    for number, unit in enumerate(units):
        if left[number]:
            kinds[kind_of(unit)].append(number)
    first = [units[numbers[0]] for numbers in kinds.values()]
    expected = [sum(guessed_seconds(units[number]) * left[number] for number in numbers) for numbers in kinds.values()]
    starting, timed, memory = _time_kinds(first, expected, workers, began)
    ratio = _ratio(first, timed)
    seconds = 0.0
    for position, numbers in enumerate(kinds.values()):
        replica = timed.get(position, guessed_seconds(first[position]) * ratio)
        seconds += replica * sum(left[number] for number in numbers)
    total = sum(unit.total for unit in units)
    return Forecast(
        cases=planned.n_cases,
        initializations=sum(unit.total for unit in starts),
        replicas=sum(unit.total for unit in runs),
        replica_steps=sum(unit.total for unit in runs) * planned.config.simulation.steps,
        known=1 - sum(left) / total if total else 0.0,
        workers=workers.count,
        seconds=starting + seconds / workers.count if seconds else 0.0,
        worker_bytes=memory,
        own_bytes=_peak_bytes(),
        kinds=len(first),
        timed=len(timed),
    )


def kind_of(unit: Unit) -> object:
    """What the time of a network depends on."""
    task, start = unit.task, unit.task.start
    common = (start.architecture, start.initialization.independent, start.data.n_inputs, start.data.n_rows, start.dtype)
    if isinstance(task, StartTask):
        return (*common, task.events)
    block = min(unit.block, unit.total)
    skipped = start.initialization if task.skip_certain else None  # decides how many need no training
    return (*common, task.optimizer.label, task.event, task.steps, task.batch, task.engine, block, skipped)


def _ratio(first: Sequence[Unit], timed: dict[int, float]) -> float:
    """How much longer than guessed the timed kinds take."""
    guessed = sum(guessed_seconds(first[position]) for position in timed)
    return sum(timed.values()) / guessed if guessed else 1.0


def _time_kinds(
    first: Sequence[Unit], expected: Sequence[float], workers: Workers, began: float
) -> tuple[float, dict[int, float], int]:
    """Seconds until a worker answers, seconds of one network of the kinds that were timed, and bytes of a worker."""
    ready = [workers.executor.submit(_ready, workers.pin) for _ in range(workers.count)]
    memory = max(future.result() for future in ready)
    starting, deadline = time.monotonic() - began, time.monotonic() + _BUDGET
    waiting = deque(sorted(range(len(first)), key=lambda position: -expected[position]))
    flying: dict[Future[tuple[float, int]], int] = {}
    timed: dict[int, float] = {}
    while flying or (waiting and time.monotonic() < deadline):
        while waiting and len(flying) < workers.count and time.monotonic() < deadline:
            position = waiting.popleft()
            flying[workers.executor.submit(time_unit, first[position], workers.pin)] = position
        done, _ = wait(flying, return_when=FIRST_COMPLETED)
        for future in done:
            timed[flying.pop(future)], used = future.result()
            memory = max(memory, used)
    return starting, timed, memory


def _ready(pin: bool) -> int:
    carry_out_part([], pin)
    return _peak_bytes()


def _peak_bytes() -> int:
    """The most memory that this process has had."""
    with suppress(OSError):  # on Linux, getrusage counts in the process that started this one
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def time_unit(unit: Unit, pin: bool) -> tuple[float, int]:
    """Seconds of one network of a unit, all of its steps included, and the peak memory of the process that timed it."""
    task = unit.task
    seconds = _time_run(unit, task, pin) if isinstance(task, RunTask) else _time_start(unit, pin)
    return seconds, _peak_bytes()


def _timed(task: StartTask | RunTask, count: int, block: int, pin: bool) -> float:
    ((_, seconds),) = carry_out_part([Part(dataclasses.replace(task, first=0, count=count), block)], pin)
    return seconds


def _time_start(unit: Unit, pin: bool) -> float:
    count = min(_FEW_NETWORKS, unit.total)
    _timed(unit.task, 1, unit.block, pin)  # what is done once, such as converting the data
    while True:
        seconds = _timed(unit.task, count, unit.block, pin)
        if seconds >= _MOMENT or count >= unit.total:
            return seconds / count
        count = min(4 * count, unit.total)


def _time_run(unit: Unit, task: RunTask, pin: bool) -> float:
    """A block's time is that of drawing and one look, of further looks, and of steps: three timings tell them apart."""
    count = min(unit.block, unit.total)

    def seconds(steps: int, look_every: int) -> float:
        return _timed(dataclasses.replace(task, steps=steps, look_every=look_every), count, count, pin)

    seconds(min(1, task.steps), 1)  # what is done once
    if task.steps <= _FEW_STEPS:
        return seconds(task.steps, task.look_every) / count
    drawn, one = seconds(0, 1), seconds(1, 1)
    steps = 4
    while True:
        more = max(seconds(steps, steps) - one, 0.0)
        if more >= _MOMENT or 4 * steps > task.steps:
            break
        steps *= 4
    step = more / (steps - 1)
    look = max(one - drawn - step, 0.0)
    return (drawn + look * (len(task.checkpoints) - 1) + step * task.steps) / count
