"""Where blocks run: the same counts everywhere, workers that die, and one sentence for what is not there."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import threadpoolctl
import torch

from theorems.errors import InvalidInput
from theorems.laws import parse_initialization
from theorems.setting import Architecture, DataSet
from theorems.theorem import Event, LayerDeath
from verify import blocks, executors
from verify.blocks import Unit, count_all
from verify.executors import InProcess, dask_workers, open_workers, slurm_workers, worker_processes, workers_of
from verify.ledger import Ledger
from verify.optimizers.spec import OptimizerSpec
from verify.simulation.runs import RunTask, Start, StartTask

WITHOUT_DASK = pytest.mark.skipif(
    importlib.util.find_spec("distributed") is None, reason="distributed is not installed"
)
WITHOUT_SUBMITIT = pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="submitit is not installed")

DEAD_LAYER = Event(layer=LayerDeath.DEAD)
DATA = DataSet.from_rows("p", [[Fraction(k, 4)] for k in range(5)], [[Fraction(k * k, 16)] for k in range(5)])
START = Start(Architecture((1, 3, 2, 1)), parse_initialization("he_normal"), DATA, "float32", 7)


def drawn(total: int) -> Unit:
    return Unit(StartTask(START, 0, 1, (DEAD_LAYER,)), total, 16)


def trained(total: int, optimizer: str = "adam") -> Unit:
    return Unit(RunTask(START, OptimizerSpec(optimizer), DEAD_LAYER, Fraction(1, 10), 60, 2, 30, "cpu", 0, 1), total, 4)


def test_any_executor_will_do() -> None:
    with InProcess() as executor:
        assert (workers_of(executor).count, workers_of(executor).pin) == (1, False)
        known = executors.Workers(executor, 3, 7)
        assert workers_of(known) is known


@pytest.mark.parametrize(
    ("where", "count", "told"),
    [
        ("nowhere", None, "executor 'nowhere': expected local, dask:ADDRESS"),
        ("dask", None, "executor 'dask': expected local, dask:ADDRESS"),
        ("dask:", None, "executor 'dask:': expected local"),
        ("local:3", None, "executor 'local:3': expected local"),
        ("slurm", 3, "workers=3: expected with executor 'local' only"),
        ("dask:tcp://10.0.0.1:1", 3, "workers=3: expected with executor 'local' only"),
        ("slurm:minuts=3", None, "slurm setting 'minuts': expected one of jobs, minutes,"),
        ("slurm:minutes=soon", None, "slurm setting 'minutes=soon': expected a number of minutes"),
        ("slurm:jobs=0", None, "expected a number of jobs, at least 1"),
        ("slurm:partition=", None, "slurm setting 'partition=': expected a value"),
    ],
)
def test_a_wrong_executor_gets_one_sentence(where: str, count: int | None, told: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught, open_workers(where, count, tmp_path):
        pass
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("where", "package"), [("dask:tcp://localhost:1", "distributed"), ("slurm", "submitit")])
def test_a_missing_package_gets_one_sentence(
    where: str, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    extra = where.partition(":")[0]
    told = rf"needs the package '{package}'.*pip install 'nonconv\[{extra}\]'"
    with pytest.raises(InvalidInput, match=told), open_workers(where, None, tmp_path):
        pass


def _threads() -> list[int]:
    return [torch.get_num_threads(), *(pool["num_threads"] for pool in threadpoolctl.threadpool_info())]


def test_worker_processes_compute_on_one_thread() -> None:
    with worker_processes(1) as executor:
        assert set(executor.submit(_threads).result()) == {1}


# --- Dask --------------------------------------------------------------------------------------------------------


@contextmanager
def cluster() -> Iterator[Any]:
    """A scheduler and two workers in processes of their own; workers that die are started again."""
    import dask
    import distributed

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs="CRITICAL"
        ) as started,
    ):
        yield started


class Killer:
    """Kills a worker each time that work has gone on since the last kill and all workers are back."""

    def __init__(self, started: Any, kills: int) -> None:
        self.started, self.left, self.at = started, kills, 0.0

    def tell(self, done: float, total: float) -> None:
        alive = [nanny.pid for nanny in self.started.workers.values() if nanny.pid]
        if self.left and done > self.at and len(self.started.scheduler.workers) == len(alive) == 2:
            os.kill(random.Random(self.left).choice(alive), signal.SIGKILL)
            self.left, self.at = self.left - 1, done


@WITHOUT_DASK
@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # what distributed warns of is not ours
def test_a_dask_cluster_counts_the_same_although_its_workers_are_killed() -> None:
    units = [drawn(2000), trained(600)]
    expected = count_all(units, InProcess())
    ledger = Ledger.in_memory()
    with cluster() as started, dask_workers(started.scheduler_address) as workers:
        assert workers.count == 2
        killer = Killer(started, kills=2)
        small = dataclasses.replace(workers, seconds=0.05)
        assert count_all(units, small, ledger, killer.tell) == expected
        assert killer.left == 0, "both while it was at work"
        with pytest.raises(InvalidInput, match="nowhere_at_all"):
            count_all([trained(4, "nowhere_at_all:X")], workers)
    assert sum(count for _, count, _ in ledger.blocks(units[1].key)) >= 600


@WITHOUT_DASK
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_cluster_that_loses_all_workers_says_so_and_goes_on_with_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_PATIENCE", 0.2)
    units, told = [trained(200)], list[str]()
    expected = count_all(units, InProcess())
    with cluster() as started:

        def warn(sentence: str) -> None:
            told.append(sentence)
            started.scale(2)

        def leave(done: float, total: float) -> None:
            if done and not told:
                started.scale(0)

        with dask_workers(started.scheduler_address, warn=warn) as workers:
            assert count_all(units, dataclasses.replace(workers, seconds=0.01), None, leave) == expected
    assert len(told) == 1
    assert "has no worker any more; waiting for one" in told[0]


@WITHOUT_DASK
@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_scheduler_that_goes_away_gets_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--no-dashboard"]
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    worker = [sys.executable, "-m", "distributed.cli.dask_worker", f"tcp://127.0.0.1:{port}", "--no-dashboard"]
    scheduler = subprocess.Popen([*command, "--port", port], stderr=subprocess.DEVNULL)
    working = subprocess.Popen([*worker, "--nthreads", "1", "--no-nanny"], stderr=subprocess.DEVNULL)

    def leave(done: float, total: float) -> None:
        if done:
            scheduler.kill()

    try:
        _wait_for(port)
        gone = pytest.raises(InvalidInput, match="is gone, or gave the work up")
        with gone, dask_workers(f"tcp://127.0.0.1:{port}") as workers:
            count_all([trained(2000)], dataclasses.replace(workers, seconds=0.01), None, leave)
    finally:
        for process in (scheduler, working):
            process.kill()
            process.wait()
    assert not [record for record in caplog.records if record.name == "distributed.client"]


def _wait_for(port: str) -> None:
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", int(port)), timeout=1).close()
        except OSError:
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(f"nobody listens on port {port}")


@WITHOUT_DASK
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense", "udp://x:1"])
def test_an_address_where_nobody_is_gets_one_sentence(address: str) -> None:
    with pytest.raises(InvalidInput, match="cannot be reached: ") as caught, dask_workers(address, patience=1):
        pass
    assert "\n" not in str(caught.value)


# --- Slurm -------------------------------------------------------------------------------------------------------

FEW: dict[str, int | str] = {"jobs": 2, "minutes": 10, "memory": 1}


@WITHOUT_SUBMITIT
@pytest.mark.slow
def test_submitted_jobs_count_the_same(tmp_path: Path) -> None:
    """The cluster is this machine; everything else is as with Slurm."""
    units = [drawn(50), trained(20)]
    with slurm_workers(tmp_path, FEW, cluster="local", poll=0.2) as workers:
        assert count_all(units, workers) == count_all(units, InProcess())
        with pytest.raises(InvalidInput, match="nowhere_at_all"):
            count_all([trained(4, "nowhere_at_all:X")], workers)
    assert not list(tmp_path.iterdir()), "scripts and pickles are removed"


@WITHOUT_SUBMITIT
def test_where_there_is_no_slurm_one_sentence_says_so(tmp_path: Path) -> None:
    if shutil.which("srun") is not None:
        pytest.skip("this machine has Slurm")
    with (
        pytest.raises(InvalidInput, match="executor 'slurm' cannot be used here"),
        open_workers("slurm", None, tmp_path),
    ):
        pass
    assert not list(tmp_path.iterdir())


class Job:
    """A job of submitit's kind that is done when it is told so."""

    def __init__(self, call: Callable[[], Any] | Exception) -> None:
        self.call, self.ready, self.cancelled = call, False, False

    def done(self) -> bool:
        return self.ready

    def result(self) -> Any:
        if isinstance(self.call, Exception):
            raise self.call
        return self.call()

    def cancel(self, check: bool = True) -> None:
        self.cancelled = True

    def wait(self) -> None:
        pass


class Submitter:
    """Stands for submitit: keeps its jobs."""

    def __init__(self, failure: Exception | None = None) -> None:
        self.jobs, self.failure = list[Job](), failure

    def submit(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Job:
        if self.failure is not None and not self.jobs:
            self.jobs.append(Job(self.failure))
        else:
            self.jobs.append(Job(lambda: fn(*args, **kwargs)))
        return self.jobs[-1]


def test_jobs_become_futures() -> None:
    submitter = Submitter(RuntimeError("job lost"))
    pool = executors._Jobs(submitter, poll=0.005)
    lost, three, zero, idle = (
        pool.submit(divmod, 7, 2),
        pool.submit(divmod, 7, 2),
        pool.submit(divmod, 7, 0),
        pool.submit(abs, 1),
    )
    for job in submitter.jobs[:3]:
        job.ready = True
    assert three.result(5) == (3, 1)
    assert isinstance(zero.exception(5), ZeroDivisionError), "what a function raises, not what became of its job"
    assert isinstance(lost.exception(5), RuntimeError)
    assert not idle.done()
    pool.shutdown()
    assert idle.cancelled()
    assert [job.cancelled for job in submitter.jobs] == [False, False, False, True]


def test_a_job_whose_time_is_up_is_lost_whatever_it_was_doing() -> None:
    """submitit interrupts a job by raising an exception of its own in whatever runs."""
    late = type("UncompletedJobError", (RuntimeError,), {"__module__": "submitit.core.utils"})

    def work() -> None:
        try:
            raise late("timed out")
        except RuntimeError as error:
            raise InvalidInput("optimizer sgd: step failed: timed out") from error

    with pytest.raises(InvalidInput):
        executors._answer(work)
    answer, error = executors._answer(divmod, 1, 0)
    assert answer is None
    assert isinstance(error, ZeroDivisionError)
