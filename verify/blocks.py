"""The loop over blocks: what is not in the ledger yet is divided, sent to workers, and written down as it comes back.

A block is a range of replicas of one start or run. How replicas are put into blocks depends on how fast they turn out
to be, on the number of workers and on what other processes on the same ledger do; what is counted does not, because
every replica has streams of its own. What is held at any time is bounded by the blocks in flight.
"""

from __future__ import annotations

import dataclasses
import json
import random
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

from theorems.setting import DataSet
from verify.executors import Workers, pin_threads, workers_of
from verify.fingerprint import code_version, fingerprint
from verify.ledger import Ledger, best_cover, gaps
from verify.simulation.engine_names import Engine
from verify.simulation.runs import RunCounts, RunTask, Start, StartCounts, StartTask, run_block, sample_starts

__all__ = ["Part", "Progress", "Unit", "Work", "carry_out_part", "count_all", "guessed_seconds", "left_over"]

Task = StartTask | RunTask
Counts = StartCounts | RunCounts
Answer = list[tuple[Counts, float]]
"""The counts of each part, and the seconds that it took."""
Progress = Callable[[float, float], None]
"""Is told how many seconds of work are done, and of how many: as estimated, of one worker."""

_ATTEMPTS = 4  # at a part whose workers were lost
_DOUBT = 0.05  # part of its work that a worker is given of a kind that was never timed: a guess may be far off
_PATIENCE = 10  # seconds until the workers are asked why nothing comes back
_LOOK_AROUND = 0.5  # seconds between two estimates of what is left


@dataclass(frozen=True)
class Unit:
    """Replicas `0 … total - 1` of a start or a run. The task's own `first` and `count` say nothing here.

    block: replicas that are held at once.
    """

    task: Task
    total: int
    block: int

    @cached_property
    def key(self) -> str:
        """A hash of all that the counts of a replica depend on: configuration, seed, and the code that counts."""
        task, start = self.task, self.task.start
        modules = ["verify.simulation.runs"]
        if isinstance(task, RunTask) and ":" in task.optimizer.target:
            modules.append(task.optimizer.target.partition(":")[0])
        return fingerprint(
            type(task).__name__,
            _values(task, without=("start", "first", "count")),
            _values(start, without=("data",)),
            _print_of_data(start.data),
            code_version(*modules),
        )


def _values(of: Task | Start, without: tuple[str, ...]) -> dict[str, object]:
    return {part.name: getattr(of, part.name) for part in dataclasses.fields(of) if part.name not in without}


_prints: dict[int, tuple[DataSet, str]] = {}  # by identity: the cases of an audit share their data sets


def _print_of_data(data: DataSet) -> str:
    if id(data) not in _prints:
        if len(_prints) > 64:
            _prints.clear()
        _prints[id(data)] = data, fingerprint(data)
    return _prints[id(data)][1]


@dataclass(frozen=True)
class Part:
    """Replicas of a unit that one worker counts, at most `block` at a time."""

    task: Task
    block: int

    def count(self) -> Counts:
        """Count them."""
        first, last = self.task.first, self.task.first + self.task.count
        found: Counts | None = None
        for begin in range(first, last, self.block):
            task = dataclasses.replace(self.task, first=begin, count=min(self.block, last - begin))
            more = sample_starts(task) if isinstance(task, StartTask) else run_block(task)
            found = more if found is None else _sum(found, more)
        if found is None:
            raise ValueError("expected at least one replica")
        return found


_one_at_a_time = threading.Lock()  # torch's random generator and number of threads belong to the process


def carry_out_part(parts: Sequence[Part], pin: bool) -> Answer:
    """Count parts one after the other, and take the seconds of each; with `pin` on one thread.

    Fails: InvalidInput if a foreign optimizer's step raises.
    """
    with _one_at_a_time:
        if pin:
            pin_threads()
        found = []
        for part in parts:
            began = time.perf_counter()
            found.append((part.count(), time.perf_counter() - began))
        return found


def count_all(
    units: Sequence[Unit],
    executor: Executor | Workers,
    ledger: Ledger | None = None,
    on_progress: Progress = lambda done, total: None,
) -> list[Counts]:
    """Count every replica of every unit exactly once, and return the sums, unit by unit.

    What the ledger has is not counted again; what is counted is in the ledger as soon as its part has come back, also
    where this fails or is interrupted.
    Fails: InvalidInput if a foreign optimizer's step raises, workers are lost again and again, or the ledger fails.
    """
    work = Work(units, workers_of(executor), Ledger.in_memory() if ledger is None else ledger)
    return work.finish(on_progress)


def left_over(unit: Unit, ledger: Ledger) -> int:
    """How many replicas of a unit the ledger lacks."""
    known = [(first, count) for first, count, _ in ledger.blocks(unit.key)]
    return unit.total - sum(count for _, count in best_cover(known, unit.total))


# --- how long it takes --------------------------------------------------------------------------------------------


def guessed_seconds(unit: Unit) -> float:
    """Rough seconds of one replica, before any was timed: only the ratios between units matter for long."""
    task, start = unit.task, unit.task.start
    parameters, inputs = start.architecture.n_parameters, start.data.n_inputs
    looking = parameters * (4e-8 + 2e-9 * inputs)
    if isinstance(task, StartTask):
        return looking
    rows = start.data.n_rows if task.batch is None else task.batch
    looks = len(range(0, task.steps, task.look_every)) + 1
    block, depth = max(1, min(unit.block, unit.total)), len(start.architecture.widths)
    if task.engine is Engine.EAGER:
        step = 6 * rows * parameters / 2e9 + 2e-4 * depth / block
    else:
        step = 6 * rows * parameters / 2e10
    return looks * (looking + 1e-3 / block) + 5e-3 / block + task.steps * step


class _Pace:
    """Seconds a replica: of the unit itself if it was timed, else guessed, and corrected by what its kind took."""

    def __init__(self) -> None:
        self._timed: dict[int, float] = {}
        self._seconds: defaultdict[object, float] = defaultdict(float)
        self._guessed: defaultdict[object, float] = defaultdict(float)

    def knows(self, number: int, unit: Unit) -> bool:
        """Whether a unit, or another of its kind, was timed."""
        return number in self._timed or self._guessed[_kind(unit)] > 0

    def learn(self, number: int, unit: Unit, replicas: int, seconds: float) -> None:
        """Note what replicas of a unit took."""
        self._timed[number] = seconds / replicas
        for kind in (_kind(unit), "any"):
            self._seconds[kind] += seconds
            self._guessed[kind] += replicas * guessed_seconds(unit)

    def replica(self, number: int, unit: Unit) -> float:
        """Seconds of one replica, above 0."""
        if number in self._timed:
            return max(self._timed[number], 1e-9)
        kind = _kind(unit) if self.knows(number, unit) else "any"
        ratio = self._seconds[kind] / self._guessed[kind] if self._guessed[kind] else 1.0
        return max(guessed_seconds(unit) * ratio, 1e-9)


def _kind(unit: Unit) -> object:
    return unit.task.engine if isinstance(unit.task, RunTask) else StartTask


# --- dividing and gathering ---------------------------------------------------------------------------------------

Range = tuple[int, int]
Piece = tuple[int, int, int]  # number of the unit, first replica, number of replicas


def _failure(future: Future[Answer]) -> BaseException | None:
    """What went wrong with a future that is done."""
    return CancelledError() if future.cancelled() else future.exception()


@dataclass
class _Flight:
    """A list of pieces that a worker has, and how often it was sent."""

    pieces: list[Piece]
    attempts: int = 1


@dataclass
class Work:
    """Units, what of each nobody has taken yet, and the blocks in flight."""

    units: Sequence[Unit]
    workers: Workers
    ledger: Ledger
    _open: dict[int, deque[Range]] = field(default_factory=dict)
    _flying: dict[Future[Answer], _Flight] = field(default_factory=dict)
    _pace: _Pace = field(default_factory=_Pace)
    _in_company: bool = False
    _estimated: tuple[float, float] = (-1.0, 0.0)  # when, and how many seconds nobody had taken then
    _done: float = 0.0

    def finish(self, on_progress: Progress) -> list[Counts]:
        """Count whatever is missing and return the sums of all units."""
        try:
            for number in range(len(self.units)):
                self._look_up(number)
            while True:
                self._tell(on_progress)
                self._send_out()
                if not self._flying:
                    found = self._sums()
                    if found is not None:
                        on_progress(self._done, self._done)
                        return found
                    continue
                if not wait(self._flying, timeout=_PATIENCE, return_when=FIRST_COMPLETED).done:
                    self.workers.wait()
                self._gather()
        except BaseException:
            for future in self._flying:
                future.cancel()
            with suppress(Exception):  # what stopped the work may be that nothing can be written any more
                self._write([future for future in self._flying if future.done() and _failure(future) is None])
            raise

    def _look_up(self, number: int) -> None:
        """Set what is open of a unit: what neither the ledger nor a worker of this process has."""
        unit = self.units[number]
        known = [(first, count) for first, count, _ in self.ledger.blocks(unit.key)]
        for flight in self._flying.values():
            known += [(first, count) for whose, first, count in flight.pieces if whose == number]
        self._open.pop(number, None)
        if found := gaps(best_cover(known, unit.total), unit.total):
            self._open[number] = deque(found)

    def _send_out(self) -> None:
        while len(self._flying) < self.workers.window:
            pieces = self._take()
            if not pieces:
                return
            if self._submit(_Flight(pieces)).done():  # the executor is this very process: write it down first
                return

    def _submit(self, flight: _Flight) -> Future[Answer]:
        parts = [
            Part(dataclasses.replace(self.units[number].task, first=first, count=count), self.units[number].block)
            for number, first, count in flight.pieces
        ]
        future = self.workers.executor.submit(carry_out_part, parts, self.workers.pin)
        self._flying[future] = flight
        return future

    def _take(self) -> list[Piece]:
        """Take pieces for one worker: about as much as it should have at once, and less towards the end."""
        budget = min(self.workers.seconds, self._seconds_left() / (2 * self.workers.count))
        pieces: list[Piece] = []
        while self._open and budget > 0:
            number, place = self._choose()
            if place is None:
                continue
            unit, pace = self.units[number], self._pace.replica(number, self.units[number])
            first, last = place
            trusted = 1.0 if self._pace.knows(number, unit) else _DOUBT
            blocks = max(1, int(trusted * budget / (pace * unit.block)))
            end = min(last, (first // unit.block + blocks) * unit.block)  # on the grid, whatever was there before
            self._remove(number, place, first, end)
            pieces.append((number, first, end - first))
            budget -= (end - first) * pace / trusted
        return pieces

    def _choose(self) -> tuple[int, Range | None]:
        """A unit and a range of it that is open, or None if the unit turns out to have none.

        In order, as long as nobody else writes into the ledger. With others at work, anywhere, so that they meet
        rarely, and never what they have finished.
        """
        self._in_company |= self.ledger.others_wrote()
        if not self._in_company:
            number = next(iter(self._open))
            return number, self._open[number][0]
        number = random.choice(list(self._open))
        self._look_up(number)
        if number not in self._open:
            return number, None
        first, last = random.choice(self._open[number])
        block = self.units[number].block
        jump = random.randrange(-(-(last - first) // block)) * block
        return number, (max(first, (first + jump) // block * block), last)

    def _remove(self, number: int, place: Range, first: int, end: int) -> None:
        """Take `first … end - 1` out of what is open."""
        ranges = self._open[number]
        whole = next(each for each in ranges if each[0] <= first and end <= each[1])
        at = ranges.index(whole)
        del ranges[at]
        for rest in ((end, whole[1]), (whole[0], first)):
            if rest[0] < rest[1]:
                ranges.insert(at, rest)
        if not ranges:
            del self._open[number]

    def _gather(self) -> None:
        """Write down what has come back, all of it, before the first failure is raised."""
        landed = {future: _failure(future) for future in self._flying if future.done()}
        self._write([future for future, error in landed.items() if error is None])
        for future, error in landed.items():
            flight = self._flying.pop(future)
            if error is None:
                continue
            if not isinstance(error, self.workers.lost) or flight.attempts == _ATTEMPTS:
                raise self.workers.explain(error)
            for pieces in self._halves(flight.pieces):  # it may have been too much for one worker
                self._submit(_Flight(pieces, flight.attempts + 1))

    def _halves(self, pieces: list[Piece]) -> list[list[Piece]]:
        if len(pieces) > 1:
            return [pieces[::2], pieces[1::2]]
        ((number, first, count),) = pieces
        half = count // 2 // self.units[number].block * self.units[number].block
        return [pieces] if half == 0 else [[(number, first, half)], [(number, first + half, count - half)]]

    def _write(self, landed: Sequence[Future[Answer]]) -> None:
        rows = []
        for future in landed:
            for (number, first, count), (counts, seconds) in zip(
                self._flying[future].pieces, future.result(), strict=True
            ):
                unit = self.units[number]
                self._pace.learn(number, unit, count, seconds)
                self._done += seconds
                rows.append((unit.key, first, count, _text(unit.task, counts)))
        if rows:
            self.ledger.add(rows)

    def _seconds_left(self) -> float:
        """Estimated seconds of one worker for what nobody has taken."""
        now = time.monotonic()
        if now - self._estimated[0] > _LOOK_AROUND:
            left = (
                self._pace.replica(number, self.units[number]) * sum(last - first for first, last in ranges)
                for number, ranges in self._open.items()
            )
            self._estimated = now, sum(left)
        return self._estimated[1]

    def _tell(self, on_progress: Progress) -> None:
        flying = sum(
            self._pace.replica(number, self.units[number]) * count
            for flight in self._flying.values()
            for number, _, count in flight.pieces
        )
        on_progress(self._done, self._done + flying + self._seconds_left())

    def _sums(self) -> list[Counts] | None:
        """The sums of all units, or None if something is open after all: then it is looked up again."""
        sums = []
        for number, unit in enumerate(self.units):
            texts = {(first, count): text for first, count, text in self.ledger.blocks(unit.key)}
            cover = best_cover(texts, unit.total)
            if gaps(cover, unit.total):
                self._look_up(number)
                self._estimated = (-1.0, 0.0)
            elif not self._open:
                sums.append(_total(unit.task, (texts[block] for block in cover)))
        return None if self._open else sums


# --- counts as text -----------------------------------------------------------------------------------------------


def _sum(one: Counts, other: Counts) -> Counts:
    if isinstance(one, StartCounts) and isinstance(other, StartCounts):
        return StartCounts.total((one, other))
    if isinstance(one, RunCounts) and isinstance(other, RunCounts):
        return RunCounts.total((one, other))
    raise TypeError("expected counts of the same kind")


def _total(task: Task, texts: Iterable[str]) -> Counts:
    if isinstance(task, RunTask):
        return RunCounts.total(RunCounts(**json.loads(text)) for text in texts)
    return StartCounts.total(_start_counts(task, text) for text in texts)


def _text(task: Task, counts: Counts) -> str:
    values = {part.name: getattr(counts, part.name) for part in dataclasses.fields(counts)}
    if isinstance(task, StartTask):
        values |= {name: [values[name][event] for event in task.events] for name in ("happened", "lost")}
    return json.dumps(values, separators=(",", ":"))


def _start_counts(task: StartTask, text: str) -> StartCounts:
    values = json.loads(text)
    happened, lost = (dict(zip(task.events, values[name], strict=True)) for name in ("happened", "lost"))
    return StartCounts(values["trials"], values["dead_layer"], tuple(values["dead_neurons"]), happened, lost)
