"""The loop over blocks: every replica once, whatever happens, and only what the ledger lacks."""

from __future__ import annotations

import dataclasses
import os
import pickle
import random
import select
import signal
import subprocess
import sys
import threading
import time
import types
import warnings
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theorems.errors import InvalidInput
from theorems.laws import parse_initialization
from theorems.setting import Architecture, DataSet
from theorems.theorem import Event, LayerDeath
from verify import blocks as module
from verify.blocks import Unit, Work, count_all, guessed_seconds, left_over
from verify.executors import InProcess, Workers
from verify.fingerprint import code_version, fingerprint
from verify.ledger import Ledger
from verify.optimizers.spec import OptimizerSpec
from verify.simulation.engine_names import Engine
from verify.simulation.outcome import Outcome
from verify.simulation.runs import RunCounts, RunTask, Start, StartCounts, StartTask, run_block, sample_starts

DEAD_LAYER = Event(layer=LayerDeath.DEAD)
DATA = DataSet.from_rows("p", [[Fraction(k, 4)] for k in range(5)], [[Fraction(k * k, 16)] for k in range(5)])
START = Start(Architecture((1, 3, 2, 1)), parse_initialization("he_normal"), DATA, "float32", 7)
RUN = RunTask(START, OptimizerSpec("adam"), DEAD_LAYER, Fraction(1, 10), 6, 2, 3, "cpu", 0, 1)
DRAW = StartTask(START, 0, 1, (DEAD_LAYER, Event(neurons=1)))


def runs(total: int, block: int = 4, **more: object) -> Unit:
    return Unit(dataclasses.replace(RUN, **more), total, block)  # type: ignore[arg-type]


class Recorded(Executor):
    """Runs parts at once, and remembers which replicas it was asked for; `fail` may raise instead."""

    def __init__(self, fail: Callable[[int], None] = lambda number: None) -> None:
        self.asked: list[tuple[int, int]] = []
        self.fail = fail

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.fail(len(self.asked))
        self.asked += [(part.task.first, part.task.count) for part in args[0]]
        return InProcess().submit(fn, *args, **kwargs)

    @property
    def replicas(self) -> list[int]:
        return sorted(r for first, count in self.asked for r in range(first, first + count))


def one_by_one(executor: Executor, **more: Any) -> Workers:
    """Parts of one block each."""
    return Workers(executor, **({"count": 1, "window": 2, "seconds": 1e-9} | more))


def fake(task: RunTask) -> RunCounts:
    """Counts that tell which replicas were counted: their sum, and the sum of their squares."""
    replicas = range(task.first, task.first + task.count)
    outcomes = dict.fromkeys((outcome.value for outcome in Outcome), 0)
    return RunCounts(task.count, sum(replicas), sum(r * r for r in replicas), 0, 0, 0, 0, 0, 0, outcomes)


@pytest.fixture
def counting_is_cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "run_block", fake)


def whole(total: int) -> RunCounts:
    return fake(dataclasses.replace(RUN, first=0, count=total))


# --- the same counts ---------------------------------------------------------------------------------------------


def test_counts_do_not_depend_on_blocks_and_parts() -> None:
    direct = run_block(dataclasses.replace(RUN, count=11)), sample_starts(dataclasses.replace(DRAW, count=50))
    for block in (1, 4, 11, 64):
        for seconds in (1e-9, 100.0):
            units = [runs(11, block), Unit(DRAW, 50, block)]
            assert tuple(count_all(units, one_by_one(InProcess(), seconds=seconds))) == direct


@pytest.mark.parametrize("total", [0, 1, 2])
def test_few_replicas(total: int, counting_is_cheap: None) -> None:
    empty = dataclasses.replace(whole(1), trials=0, event=0, event_undecided=0)
    assert count_all([runs(total)], InProcess()) == [whole(total) if total else empty]


def test_counts_survive_the_ledger(tmp_path: Path) -> None:
    units = [runs(9), Unit(DRAW, 60, 16)]
    with Ledger.open(tmp_path / "x") as ledger:
        first = count_all(units, InProcess(), ledger)
    executor = Recorded()
    with Ledger.open(tmp_path / "x") as ledger:
        assert count_all(units, executor, ledger) == first
    assert executor.asked == []
    assert isinstance(first[0], RunCounts)
    assert isinstance(first[1], StartCounts)
    assert first[1].trials == 60


# --- what is not counted again -----------------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 9)), min_size=1, max_size=4))
def test_more_or_fewer_replicas_use_what_is_there(plans: list[tuple[int, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "run_block", fake)
        ledger, known = Ledger.in_memory(), set[int]()
        for total, block in plans:
            executor = Recorded()
            assert left_over(runs(total, block), ledger) >= len(set(range(total)) - known)
            assert count_all([runs(total, block)], one_by_one(executor), ledger) == [whole(total)]
            if total >= max(known, default=0):
                assert not known & set(executor.replicas), "extending counts nothing again"
            known |= set(executor.replicas)
            assert left_over(runs(total, block), ledger) == 0


def test_an_extension_asks_for_the_rest_only(counting_is_cheap: None) -> None:
    ledger, executor = Ledger.in_memory(), Recorded()
    count_all([runs(10)], InProcess(), ledger)
    assert count_all([runs(23)], one_by_one(executor), ledger) == [whole(23)]
    assert executor.asked == [(10, 2), (12, 4), (16, 4), (20, 3)], "to the grid of blocks first"


CHANGES: dict[str, object] = {
    "optimizer": OptimizerSpec("adam", {"lr": 0.02}),
    "event": Event(neurons=1),
    "reachable": Fraction(1, 11),
    "steps": 7,
    "batch": None,
    "look_every": 2,
    "device": "cuda",
    "engine": Engine.FUSED,
    "epsilon": "tensorflow",
    "skip_certain": True,
}
START_CHANGES: dict[str, object] = {
    "architecture": Architecture((1, 3, 3, 1)),
    "initialization": parse_initialization("he_normal", "normal(0.1)"),
    "data": DataSet.from_rows("p", [[Fraction(0)], [Fraction(1)]], [[Fraction(0)], [Fraction(1)]]),
    "dtype": "float64",
    "seed": 8,
}


def test_every_part_of_a_configuration_enters_the_key() -> None:
    names = {part.name for part in dataclasses.fields(RunTask)} - {"start", "first", "count"}
    assert names == set(CHANGES), "a new part of a task needs a change here"
    assert {part.name for part in dataclasses.fields(Start)} == set(START_CHANGES)
    keys = [runs(5).key, Unit(DRAW, 5, 4).key, Unit(dataclasses.replace(DRAW, events=(DEAD_LAYER,)), 5, 4).key]
    keys += [runs(5, **{name: value}).key for name, value in CHANGES.items()]
    for name, value in START_CHANGES.items():
        changed = dataclasses.replace(START, **{name: value})  # type: ignore[arg-type]
        keys += [runs(5, start=changed).key, Unit(dataclasses.replace(DRAW, start=changed), 5, 4).key]
    assert len(set(keys)) == len(keys)
    assert runs(99, block=3, first=4, count=9).key == runs(5).key, "which replicas, and in which blocks, does not"


def test_a_changed_configuration_is_counted_anew(counting_is_cheap: None) -> None:
    ledger, executor = Ledger.in_memory(), Recorded()
    count_all([runs(8)], InProcess(), ledger)
    count_all([runs(8, steps=7)], executor, ledger)
    assert executor.replicas == list(range(8))


@pytest.mark.slow
def test_keys_are_the_same_in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    code = (
        "import pickle, sys, verify.blocks\n"
        "verify.blocks.code_version = lambda *modules: 'code'\n"
        "print(pickle.loads(sys.stdin.buffer.read()).key)\n"
    )
    monkeypatch.setattr(module, "code_version", lambda *modules: "code")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "77"}
    unit = runs(5, optimizer=OptimizerSpec("sgd", {"lr": 0.1, "momentum": 0.5}))
    ran = subprocess.run(
        [sys.executable, "-c", code], input=pickle.dumps(unit), capture_output=True, env=environment, check=True
    )
    assert ran.stdout.decode().strip() == unit.key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ((1,), (1.0,)),
        ((1,), (True,)),
        (("1",), (1,)),
        ((0.1,), (Fraction(1, 10),)),
        (([1], 2), ([1, 2],)),
        ((), (None,)),
    ],
)
def test_fingerprints_tell_types_and_shapes_apart(one: tuple[object, ...], other: tuple[object, ...]) -> None:
    assert fingerprint(*one) != fingerprint(*other)
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    with pytest.raises(TypeError, match="no fingerprint"):
        fingerprint(object())


def test_code_that_changes_changes_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / "planted_rules"
    package.mkdir()
    for name, text in {
        "__init__": "",
        "mine": "from . import helper\nimport numpy, planted_beside",
        "helper": "x = 1",
        "idle": "",
    }.items():
        (package / f"{name}.py").write_text(text)
    (tmp_path / "planted_beside.py").write_text("y = 1")

    def version() -> str:
        for cached in ("code_version", "_sources", "_place_of", "_is_followed"):
            getattr(sys.modules["verify.fingerprint"], cached).cache_clear()
        return code_version("planted_rules.mine")

    versions = [version()]
    for file in (package / "mine.py", package / "helper.py", tmp_path / "planted_beside.py"):
        file.write_text(file.read_text() + "\n")
        versions.append(version())
    assert len(set(versions)) == 4
    (package / "idle.py").write_text("z = 1")
    assert version() == versions[-1], "what is not imported does not count"
    assert "planted_rules" not in sys.modules, "nothing is imported to find out"


def test_the_kernels_are_part_of_the_code() -> None:
    names = {name for name, _ in sys.modules["verify.fingerprint"]._sources("verify.simulation.runs")}  # type: ignore[attr-defined]
    assert {"verify.simulation.eager", "verify.simulation.forward", "theorems.setting", "fused/kernel.c"} <= names
    assert not any(name.startswith(("verify.report", "verify.certificate", "numpy")) for name in names)


def test_an_optimizer_without_a_file_is_never_taken_for_an_earlier_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "planted_nowhere", types.ModuleType("planted_nowhere"))
    first = code_version("planted_nowhere")
    for cached in ("code_version", "_sources"):
        getattr(sys.modules["verify.fingerprint"], cached).cache_clear()
    assert code_version("planted_nowhere") != first


# --- interruptions and failures ----------------------------------------------------------------------------------


def stop_at(number: int, error: type[BaseException]) -> Callable[[int], None]:
    def fail(asked: int) -> None:
        if asked == number:
            raise error

    return fail


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_run_continues_where_it_stopped(error: type[BaseException], tmp_path: Path) -> None:
    units = [runs(10), runs(7, steps=4)]
    uninterrupted = count_all(units, InProcess())
    first, second = Recorded(stop_at(3, error)), Recorded()
    with pytest.raises(error), Ledger.open(tmp_path / "x") as ledger:
        count_all(units, one_by_one(first), ledger)
    with Ledger.open(tmp_path / "x") as ledger:
        assert count_all(units, one_by_one(second), ledger) == uninterrupted
    assert len(first.asked) == 3
    assert first.asked + second.asked == [(0, 4), (4, 4), (8, 2), (0, 4), (4, 3)]


def test_what_had_come_back_is_kept_when_something_fails(counting_is_cheap: None) -> None:
    """All parts land before the loop looks; one of them failed, the others are written down all the same."""

    class AllAtOnce(Executor):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            asked.append((future, fn, args))
            if len(asked) == 3:
                for number, (each, call, given_) in enumerate(asked):
                    each.set_exception(InvalidInput("no")) if number == 0 else each.set_result(call(*given_))
            return future

    asked: list[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = []
    ledger = Ledger.in_memory()
    with pytest.raises(InvalidInput, match="no"):
        count_all([runs(12)], one_by_one(AllAtOnce(), window=3), ledger)
    assert [block[:2] for block in ledger.blocks(runs(12).key)] == [(4, 4), (8, 4)]


class Losing(Executor):
    """Loses the first parts that it gets."""

    def __init__(self, losses: int) -> None:
        self.losses, self.sent = losses, list[list[tuple[int, int]]]()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.sent.append([(part.task.first, part.task.count) for part in args[0]])
        if len(self.sent) <= self.losses:
            future: Future[Any] = Future()
            future.set_exception(ConnectionError("worker lost"))
            return future
        return InProcess().submit(fn, *args, **kwargs)


def test_a_lost_part_is_sent_again_in_halves(counting_is_cheap: None) -> None:
    executor = Losing(2)
    workers = Workers(executor, 1, 1, seconds=1e9, lost=(ConnectionError,))
    work = Work([runs(40)], workers, Ledger.in_memory())
    work._pace.learn(0, runs(40), 1, 1e-6)  # of a kind that was timed a worker gets large parts
    assert work.finish(lambda done, total: None) == [whole(40)]
    replicas = [{r for first, count in part for r in range(first, first + count)} for part in executor.sent]
    assert len(replicas[0]) > 4
    assert replicas[1] | replicas[2] <= replicas[0]
    assert not replicas[1] & replicas[2]


def test_a_worker_that_is_always_lost_is_given_up(counting_is_cheap: None) -> None:
    executor = Losing(10**9)
    workers = one_by_one(executor, lost=(ConnectionError,), explain=lambda error: InvalidInput(f"told: {error}"))
    with pytest.raises(InvalidInput, match="told: worker lost"):
        count_all([runs(4)], workers)
    assert len(executor.sent) == 4


def test_workers_are_asked_when_nothing_comes_back(counting_is_cheap: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 0.01)
    asked = threading.Event()

    class Stuck(Recorded):
        """Counts once the workers were asked."""

        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            future: Future[Any] = Future()
            answer = super().submit(fn, *args, **kwargs).result()
            threading.Thread(target=lambda: (asked.wait(60), future.set_result(answer))).start()
            return future

    assert count_all([runs(8)], one_by_one(Stuck(), wait=asked.set)) == [whole(8)]
    assert asked.is_set()


def test_workers_are_not_asked_while_work_comes_back(counting_is_cheap: None) -> None:
    asked = threading.Event()
    assert count_all([runs(8)], one_by_one(Recorded(), wait=asked.set)) == [whole(8)]
    assert not asked.is_set()


def test_a_failure_that_is_no_loss_is_not_tried_again() -> None:
    executor = Recorded()
    broken = runs(4, optimizer=OptimizerSpec("nowhere_at_all:X"))
    with pytest.raises(InvalidInput, match="nowhere_at_all"):
        count_all([broken], one_by_one(executor, lost=(ConnectionError,)))
    assert len(executor.asked) == 1


def killed_runs(path: Path, kills: int, seed: int) -> None:
    """Kill a process that counts, again and again; then finish: the counts are those of one uninterrupted run."""
    chance, units = random.Random(seed), [runs(40_000, block=7), runs(7000, block=3, steps=4)]
    assert all(unit.key for unit in units)
    reading, writing = os.pipe()

    def begun() -> None:
        os.write(writing, b"x")

    for _ in range(kills):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # torch's threads are idle, and the child uses none
            child = os.fork()
        if child == 0:
            try:
                with Ledger.open(path) as ledger:
                    count_all(units, one_by_one(InProcess()), ledger, lambda done, total: begun() if done else None)
            finally:
                os._exit(0)
        ready, _, _ = select.select([reading], [], [], 60)
        assert ready
        os.read(reading, 1000)
        time.sleep(chance.random() * 0.04)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    executor = Recorded()
    with Ledger.open(path) as ledger:
        known = [47_000 - left_over(units[0], ledger) - left_over(units[1], ledger)]
        assert count_all(units, executor, ledger) == [whole(40_000), whole(7000)]
    assert known[0] > 0
    assert len(executor.replicas) == 47_000 - known[0], "what was kept is not counted again"


def test_a_killed_run_counts_nothing_twice(counting_is_cheap: None, tmp_path: Path) -> None:
    killed_runs(tmp_path / "x", 5, 1)


@pytest.mark.slow
def test_fifty_killed_runs_count_nothing_twice(counting_is_cheap: None, tmp_path: Path) -> None:
    killed_runs(tmp_path / "x", 50, 2)


# --- several at work ---------------------------------------------------------------------------------------------


def test_two_at_work_on_one_ledger_share_it(counting_is_cheap: None, tmp_path: Path) -> None:
    units = [runs(120), runs(80, steps=4)]
    executors = Recorded(lambda number: time.sleep(0.002)), Recorded(lambda number: time.sleep(0.002))

    def work(executor: Executor) -> list[object]:
        with Ledger.open(tmp_path / "x") as ledger:
            return list(count_all(units, one_by_one(executor), ledger))

    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(work, executors))
    assert found == [[whole(120), whole(80)]] * 2
    asked = [len(executor.replicas) for executor in executors]
    assert 200 <= sum(asked) < 320, "they meet now and then, and mostly not"


def test_what_overlaps_from_elsewhere_is_counted_once(counting_is_cheap: None) -> None:
    """Another process divides differently while this one is at work."""
    ledger, unit = Ledger.in_memory(), runs(30)

    def intrude(number: int) -> None:
        if number == 2:
            blocks = [
                (unit.key, first, 9, module._text(RUN, fake(dataclasses.replace(RUN, first=first, count=9))))
                for first in (6, 15)
            ]
            ledger.add(blocks)

    executor = Recorded(intrude)
    work = Work([unit], one_by_one(executor), ledger, _in_company=True)
    assert work.finish(lambda done, total: None) == [whole(30)]
    assert len(executor.replicas) < 30


def test_what_is_in_flight_is_bounded_and_so_is_what_is_kept(counting_is_cheap: None) -> None:
    most = threads = 0
    lock = threading.Lock()

    class Watched(ThreadPoolExecutor):
        def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
            nonlocal most, threads
            with lock:
                threads += 1
                most = max(most, threads)
            future = super().submit(fn, *args, **kwargs)
            future.add_done_callback(landed)
            return future

    def landed(future: Future[Any]) -> None:
        nonlocal threads
        with lock:
            threads -= 1

    ledger = Ledger.in_memory()
    unit = runs(1_000_000, block=1000)
    with Watched(2) as executor:
        assert count_all([unit], Workers(executor, 2, 4, seconds=0.05), ledger) == [whole(1_000_000)]
    assert most <= 4
    assert len(ledger.blocks(unit.key)) < 500, "parts grow to what a worker should have"


def test_progress_rises_to_its_end(counting_is_cheap: None) -> None:
    told: list[tuple[float, float]] = []
    count_all([runs(40)], one_by_one(InProcess()), on_progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert all(0 <= done <= total for done, total in told)
    assert told[-1][0] == told[-1][1] > 0


def test_a_guess_grows_with_the_work() -> None:
    def seconds(**more: object) -> float:
        return guessed_seconds(runs(100, **more))

    wide = dataclasses.replace(START, architecture=Architecture((1, 30, 20, 1)))
    assert seconds() < seconds(steps=60) < seconds(steps=60, batch=500) < seconds(steps=60, batch=500, start=wide)
    assert seconds(engine=Engine.FUSED, steps=60) < seconds(steps=60)
    assert guessed_seconds(Unit(DRAW, 10, 4)) < guessed_seconds(Unit(dataclasses.replace(DRAW, start=wide), 10, 4))
