"""Where blocks run: in this process, in processes of their own with one thread each, or on other machines.

Any `concurrent.futures.Executor` will do. Dask and Slurm bring their own schedulers; here they are only asked for one.
"""

from __future__ import annotations

import importlib
import logging
import multiprocessing
import multiprocessing.resource_tracker
import os
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor, CancelledError, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

import threadpoolctl
import torch

from theorems.errors import InvalidInput, did_you_mean
from verify.environment import usable_cores

__all__ = [
    "InProcess",
    "Workers",
    "check_workers",
    "dask_workers",
    "open_workers",
    "pin_threads",
    "slurm_workers",
    "worker_processes",
    "workers_of",
]

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
class Workers:
    """An executor, and how to use it.

    count: how many workers there are; window: how many parts may be under way at once; seconds: of work that a part
    should have; pin: whether workers may be told to compute on one thread each; lost: what says that a worker has gone,
    not that its work was wrong; explain: what is raised for a failure that is not mended; wait: is called when nothing
    has come back for a while, and may say why.
    """

    executor: Executor
    count: int
    window: int
    seconds: float = 2.0
    pin: bool = False
    lost: tuple[type[BaseException], ...] = ()
    explain: Callable[[BaseException], BaseException] = lambda error: error
    wait: Callable[[], None] = lambda: None


def workers_of(executor: Executor | Workers) -> Workers:
    """What is known of any executor: that it has perhaps as many workers as this machine has cores."""
    if isinstance(executor, Workers):
        return executor
    count = 1 if isinstance(executor, InProcess) else usable_cores()
    return Workers(executor, count, 2 * count)


@contextmanager
def open_workers(
    where: str, count: int | None, folder: Path, warn: Callable[[str], None] = lambda sentence: None
) -> Iterator[Workers]:
    """Give the workers that `local`, `dask:ADDRESS` or `slurm[:NAME=VALUE,…]` names.

    count: local processes, default the usable cores; folder: must exist and be seen by all machines, for Slurm's jobs;
    warn: is told what holds the work up, and does not end it.
    Fails: InvalidInput if the name means nothing, a package is missing, or nobody answers.
    """
    check_workers(where, count)
    kind, _, rest = where.partition(":")
    if kind == "local":
        number = count or usable_cores()
        with worker_processes(number) as executor:
            yield Workers(executor, number, 2 * number)
    elif kind == "dask":
        with dask_workers(rest, warn=warn) as workers:
            yield workers
    else:
        with slurm_workers(folder, _slurm_settings(rest)) as workers:
            yield workers


def check_workers(where: str, count: int | None) -> None:
    """See that `open_workers` knows what is asked for, before anything is planned.

    Fails: InvalidInput if the name means nothing, or a number of workers is given that is not ours to choose.
    """
    kind, _, rest = where.partition(":")
    if where != "local" and not (kind == "dask" and rest) and kind != "slurm":
        raise InvalidInput(
            f"executor {where!r}: expected local, dask:ADDRESS (such as dask:tcp://10.0.0.1:8786) or "
            f"slurm[:NAME=VALUE,...]"
        )
    if where != "local" and count is not None:
        raise InvalidInput(f"workers={count}: expected with executor 'local' only, not with {where!r}")
    if kind == "slurm":
        _slurm_settings(rest)


_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@lru_cache(maxsize=1)
def pin_threads() -> None:
    """Let torch and the libraries of linear algebra compute on one thread in this process, from now on."""
    os.environ |= dict.fromkeys(_THREADS, "1")  # for libraries that are loaded later
    torch.set_num_threads(1)
    threadpoolctl.threadpool_limits(1)


class InProcess(Executor):
    """Runs each task at once, in this process and thread."""

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run `fn` now; its outcome, an exception included, is in the future."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


@contextmanager
def worker_processes(count: int) -> Iterator[Executor]:
    """Give an executor of `count` fresh processes, one thread each; leaving the block early drops what is pending.

    Workers ignore Ctrl-C: the parent decides what an interruption means. They end when the parent ends, however it
    does, and what they print goes to standard error.
    Fails: InvalidInput if a worker was killed, or if code that it ran left the process.
    """
    pool = ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        _spawn(pool)
        yield pool
    except BrokenExecutor as error:
        raise InvalidInput(
            f"workers={count}: a worker process was killed, perhaps for want of memory; expected all of them to "
            "finish (fewer workers or a smaller block need less memory)"
        ) from error
    except SystemExit as error:
        raise InvalidInput(
            f"exit status {error.code}: code that a worker ran left the process; expected it to return"
        ) from error
    finally:
        _stop(pool)


def _spawn(pool: Executor) -> None:
    """Start the processes with Ctrl-C blocked, which they inherit: none of them is interrupted while it starts."""
    multiprocessing.resource_tracker.ensure_running()
    earlier = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        pool.submit(os.getpid)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, earlier)


def _stop(pool: Any) -> None:
    """End a pool at once: what is pending is dropped before the processes are ended, and then they are awaited."""
    processes = list((pool._processes or {}).values())
    manager = pool._executor_manager_thread
    pool.shutdown(wait=False, cancel_futures=True)
    deadline = time.monotonic() + 2
    while _holds_cancelled(manager) and time.monotonic() < deadline:
        time.sleep(0.005)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join()


def _holds_cancelled(manager: Any) -> bool:
    """Whether the pool's own thread still has cancelled tasks: it would trip over them when the processes end."""
    return manager is not None and any(item.future.cancelled() for item in list(manager.pending_work_items.values()))


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    pin_threads()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


# --- beyond one machine -------------------------------------------------------------------------------------------


def _optional(module: str, extra: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise InvalidInput(
            f"executor {extra!r} needs the package {module!r}, which cannot be imported ({error}); "
            f"expected it to be installed: pip install 'nonconv[{extra}]'"
        ) from error


@contextmanager
def dask_workers(
    address: str, patience: float = 20.0, warn: Callable[[str], None] = lambda sentence: None
) -> Iterator[Workers]:
    """Give the workers of the Dask scheduler at an address; nonconv must be installed for them too.

    Dask sends what a lost worker had to another one, and waits where there is none: `warn` is told so once each time.
    Fails: InvalidInput if `distributed` is missing, nobody answers, there is no worker, or the scheduler goes away.
    """
    distributed = _optional("distributed", "dask")
    killed = importlib.import_module("distributed.scheduler").KilledWorker
    find = importlib.import_module("distributed.comm.addressing").get_address_host_port
    try:
        socket.create_connection(find(address, strict=True), timeout=patience).close()  # a client that fails is noisy
        client = distributed.Client(address, timeout=patience, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise InvalidInput(f"Dask scheduler {address!r} cannot be reached: {_first_line(error)}") from error
    log = logging.getLogger("distributed.client")
    level = log.level
    log.setLevel(
        logging.CRITICAL + 1
    )  # what it would say of a lost scheduler, with tracebacks, is said here in a sentence
    try:
        with suppress(TimeoutError):
            client.wait_for_workers(1, timeout=patience)
        count = len(client.nthreads())
        if count == 0:
            raise InvalidInput(f"Dask scheduler {address!r} has no worker; expected at least one")

        def explain(error: BaseException) -> BaseException:
            if isinstance(error, killed):
                return InvalidInput(f"Dask: worker after worker died, perhaps for want of memory: {_first_line(error)}")
            if isinstance(error, CancelledError | OSError):
                return InvalidInput(f"Dask scheduler {address!r} is gone, or gave the work up: {_first_line(error)}")
            return _explain_missing(error)

        deserted = False

        def wait() -> None:
            nonlocal deserted
            before, deserted = deserted, _has_no_worker(client)
            if deserted and not before:
                warn(f"Dask scheduler {address!r} has no worker any more; waiting for one")

        yield Workers(
            client.get_executor(pure=False),
            count,
            2 * count,
            seconds=5.0,
            pin=True,
            lost=(killed,),
            explain=explain,
            wait=wait,
        )
    finally:
        client.close(timeout=patience)
        log.setLevel(level)


def _has_no_worker(client: Any) -> bool:
    """Whether a scheduler that answers has no worker; one that does not makes the work itself fail."""
    with suppress(OSError):
        return not client.nthreads()
    return False


def _explain_missing(error: BaseException) -> BaseException:
    """A worker that lacks a module says so in one sentence."""
    if isinstance(error, ModuleNotFoundError):
        return InvalidInput(f"a worker lacks a module: {error}; expected nonconv and the optimizers' modules there")
    return error


def _first_line(error: BaseException) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


SLURM_SETTINGS: Mapping[str, tuple[type[int] | type[str], str]] = {
    "jobs": (int, ""),
    "minutes": (int, "timeout_min"),
    "memory": (int, "mem_gb"),
    "partition": (str, "slurm_partition"),
    "account": (str, "slurm_account"),
    "qos": (str, "slurm_qos"),
    "constraint": (str, "slurm_constraint"),
}
"""Settings of `--executor slurm`, and submitit's names; jobs: how many may be queued or running at once."""

_SLURM_DEFAULTS: Mapping[str, int | str] = {"jobs": 64, "minutes": 60, "memory": 4}


def _slurm_settings(text: str) -> dict[str, int | str]:
    found = dict(_SLURM_DEFAULTS)
    for part in text.split(",") if text else ():
        name, _, value = part.partition("=")
        if name not in SLURM_SETTINGS:
            known = ", ".join(SLURM_SETTINGS)
            raise InvalidInput(f"slurm setting {name!r}: expected one of {known}{did_you_mean(name, SLURM_SETTINGS)}")
        if SLURM_SETTINGS[name][0] is int and not (value.isascii() and value.isdigit() and 0 < int(value) < 10**6):
            raise InvalidInput(f"slurm setting {part!r}: expected a number of {name}, at least 1")
        if not value:
            raise InvalidInput(f"slurm setting {part!r}: expected a value")
        found[name] = int(value) if SLURM_SETTINGS[name][0] is int else value
    return found


@contextmanager
def slurm_workers(
    folder: Path, settings: Mapping[str, int | str] = _SLURM_DEFAULTS, cluster: str = "slurm", poll: float = 5.0
) -> Iterator[Workers]:
    """Give jobs of one core each, submitted by submitit; a job gets about a third of its time limit of work.

    settings: see SLURM_SETTINGS; cluster: submitit's name, "local" for processes of this machine; poll: seconds between
    two looks at the jobs. Scripts, pickles and logs go into a folder of their own in `folder`, which is removed unless
    a job failed.
    Fails: InvalidInput if `submitit` is missing, there is no Slurm here, or jobs are lost again and again.
    """
    submitit = _optional("submitit", "slurm")
    errors = importlib.import_module("submitit.core.utils")
    place = Path(tempfile.mkdtemp(prefix=".jobs-", dir=folder))
    try:
        submitter = submitit.AutoExecutor(folder=place, cluster=cluster)
        given = {SLURM_SETTINGS[name][1]: value for name, value in settings.items() if SLURM_SETTINGS[name][1]}
        submitter.update_parameters(name="nonconv", cpus_per_task=1, **given)
    except (RuntimeError, ValueError) as error:
        shutil.rmtree(place, ignore_errors=True)
        raise InvalidInput(f"executor {cluster!r} cannot be used here: {_first_line(error)}") from error
    failed = False

    def explain(error: BaseException) -> BaseException:
        nonlocal failed
        if isinstance(error, errors.FailedSubmissionError | errors.UncompletedJobError | CancelledError | OSError):
            failed = True
            return InvalidInput(f"{cluster} jobs fail: {_first_line(error)}; their logs are in {str(place)!r}")
        return _explain_missing(error)

    jobs, minutes = int(settings["jobs"]), int(settings["minutes"])
    pool = _Jobs(submitter, poll)
    try:
        yield Workers(
            pool, jobs, jobs, seconds=20.0 * minutes, pin=True, lost=(errors.UncompletedJobError,), explain=explain
        )
    finally:
        pool.shutdown()
        if not failed:
            shutil.rmtree(place, ignore_errors=True)


class _Jobs(Executor):
    """submitit's jobs as futures: a thread looks now and then which of them are done."""

    def __init__(self, submitter: Any, poll: float) -> None:
        self._submitter, self._poll = submitter, poll
        self._jobs: dict[Future[Any], Any] = {}
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Submit a job; that it could not be submitted is in the future."""
        future: Future[T] = Future()
        try:
            job = self._submitter.submit(_answer, fn, *args, **kwargs)
        except Exception as error:
            future.set_exception(error)
            return future
        with self._lock:
            self._jobs[future] = job
        return future

    def _watch(self) -> None:
        while not self._closing.wait(self._poll):
            with self._lock:
                jobs = list(self._jobs.items())
            for future, job in jobs:
                if future.cancelled() or job.done():
                    with self._lock:
                        del self._jobs[future]
                    _settle(future, job)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = True) -> None:
        """Cancel what is not done."""
        self._closing.set()
        self._watcher.join()
        for future, job in self._jobs.items():
            future.cancel()
            with suppress(Exception):
                job.cancel(check=False)
        for job in self._jobs.values():
            with suppress(Exception):
                job.wait()
        self._jobs.clear()


def _settle(future: Future[Any], job: Any) -> None:
    """Hand a job's outcome to its future."""
    if not future.set_running_or_notify_cancel():
        job.cancel(check=False)
        return
    try:
        answer, error = job.result()
    except Exception as failure:
        future.set_exception(failure)
        return
    if error is None:
        future.set_result(answer)
    else:
        future.set_exception(error)


def _answer(fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> tuple[T | None, Exception | None]:
    """What a function gives or raises: submitit itself keeps the text of an exception only."""
    try:
        return fn(*args, **kwargs), None
    except Exception as error:
        if _comes_from(error, "submitit"):
            raise  # the job's time is up: whatever was being done takes that for its own failure
        return None, error


def _comes_from(error: BaseException | None, package: str) -> bool:
    """Whether an exception, or one that led to it, is of a class of a package."""
    while error is not None:
        if type(error).__module__.partition(".")[0] == package:
            return True
        error = error.__cause__ or error.__context__
    return False
