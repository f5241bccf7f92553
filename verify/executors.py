"""Where blocks run: in this process, or in processes of their own with one thread each."""

from __future__ import annotations

import multiprocessing
import multiprocessing.resource_tracker
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from typing import Any, ParamSpec, TypeVar

import torch

from theorems.errors import InvalidInput

__all__ = ["InProcess", "worker_processes"]

P = ParamSpec("P")
T = TypeVar("T")


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
    torch.set_num_threads(1)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
