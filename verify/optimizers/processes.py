"""Optimizers judged in processes of their own: whatever their code does, the one that asks goes on."""

from __future__ import annotations

import io
import math
import multiprocessing
import signal
import time
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import torch

from theorems.errors import InvalidInput
from verify.optimizers import verdict
from verify.optimizers.verdict import CannotBeJudged, Contradiction, Verdict

__all__ = ["ended", "fresh_processes", "judge_apart", "limit_memory", "limit_processor", "prepare", "ran_out_of_time"]


def fresh_processes(*preloaded: str) -> Any:
    """The start method: copies of a process that has imported what all need, where the system can; else new ones."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["verify.optimizers.warm", *preloaded])
    return context


def prepare() -> None:
    """What a new process does first: the one that started it decides about interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def limit_processor(seconds: float) -> None:
    """Let the system end this process after so many more seconds of processor time (rounded up), where it can."""
    try:
        import resource
    except ImportError:  # not a Unix system: the time on the clock is limited all the same
        return
    whole = math.ceil(time.process_time() + seconds)
    resource.setrlimit(resource.RLIMIT_CPU, (whole, whole + 1))


def limit_memory(size: int) -> None:
    """Let allocations beyond so many bytes fail in this process, where the system can."""
    try:
        import resource
    except ImportError:  # not a Unix system
        return
    resource.setrlimit(resource.RLIMIT_DATA, (size, size))


def ran_out_of_time(process: BaseProcess) -> bool:
    """Whether the system ended it at the limit of `limit_processor`."""
    process.join()
    return process.exitcode == -getattr(signal, "SIGXCPU", 0) != 0


def ended(process: BaseProcess) -> str:
    """How a process that gave no answer came to its end."""
    process.join()
    code = process.exitcode or 0
    return f"the code ended its process with {f'exit status {code}' if code >= 0 else f'signal {-code}'}"


def judge_apart(target: str, settings: Mapping[str, Any]) -> tuple[Verdict, str]:
    """`judge_optimizer` in a process of its own, and what the code printed while it was imported and judged.

    Torch's own classes are judged in this process. Fails: as `judge_optimizer`; InvalidInput if the process ends.
    """
    if ":" not in target or target.startswith("torch.optim:"):
        return verdict.judge_optimizer(target, settings), ""
    context = fresh_processes()
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(target, dict(settings), theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        kind, found, printed = ours.recv()
    except EOFError:
        raise CannotBeJudged(target, ended(process)) from None
    finally:
        process.kill()
        process.join()
        ours.close()
    if kind == "contradiction":
        raise Contradiction(found)
    if kind == "invalid":
        raise InvalidInput(found)
    return found, printed


def _serve(target: str, settings: dict[str, Any], answer: Connection) -> None:
    prepare()
    printed = io.StringIO()
    with redirect_stdout(printed), redirect_stderr(printed):
        try:
            found: tuple[str, object] = ("verdict", verdict.judge_optimizer(target, settings))
        except Contradiction as error:
            found = ("contradiction", str(error))
        except InvalidInput as error:
            found = ("invalid", str(error))
    answer.send((*found, printed.getvalue()))
