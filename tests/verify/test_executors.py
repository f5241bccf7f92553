"""Where blocks run: the same counts everywhere, workers that die, and one sentence for what is not there."""

from __future__ import annotations

import importlib.util
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import threadpoolctl
import torch

from theorems.errors import InvalidInput
from verify import executors
from verify.blocks import Unit, count_all
from verify.executors import InProcess, dask_workers, open_workers, slurm_workers, worker_processes, workers_of
from verify.ledger import Ledger

WITHOUT_DASK = pytest.mark.skipif(importlib.util.find_spec("distributed") is None, reason="distributed is not installed")
WITHOUT_SUBMITIT = pytest.mark.skipif(importlib.util.find_spec("submitit") is None, reason="submitit is not installed")


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
    with pytest.raises(InvalidInput, match=rf"needs the package '{package}'.*pip install 'nonconv\[{extra}\]'"):
        with open_workers(where, None, tmp_path):
            pass


def _threads() -> list[int]:
    return [torch.get_num_threads(), *(pool["num_threads"] for pool in threadpoolctl.threadpool_info())]


def test_worker_processes_compute_on_one_thread() -> None:
    with worker_processes(1) as executor:
        assert set(executor.submit(_threads).result()) == {1}


# --- Dask --------------------------------------------------------------------------------------------------------


@contextmanager
def cluster(workers: int) -> Iterator[Any]:
    """A scheduler and workers in processes of their own; workers that die are started again."""
    import dask
    import distributed

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1, "distributed.admin.low-level-log-length": 0}),
        distributed.LocalCluster(
            n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs="CRITICAL"
        ) as started,
    ):
        yield started


def units() -> list[Unit]:
    from tests_support import units_of_every_kind

    return units_of_every_kind()


@WITHOUT_DASK
def test_an_address_where_nobody_is_gets_one_sentence() -> None:
    for address in ("tcp://127.0.0.1:9", "nonsense", "udp://x:1"):
        with pytest.raises(InvalidInput, match="cannot be reached: ") as caught, dask_workers(address, patience=1):
            pass
        assert "\n" not in str(caught.value)
