"""Replica-steps per second of the engines and others: `make bench`, `make bench ARGS="--workloads W1,W4 --json"`.

One replica-step is a gradient and an update of one network. Contenders run interleaved, several times, in one process;
the median counts. Only ratios of figures from one run mean anything. Shares are those of the fused multiply-adds that
all cores do in registers alone, measured between the others; the exact engine does less work, so that its share may
pass 1. Where there is a CUDA device, both engines on it are measured too: their ratio is to eager on the same device,
their share is the device's.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.contenders import CONTENDERS, OPTIMIZERS, WORKLOADS, Prepared, Run, prepare
from theorems.theorem import Event
from verify.environment import usable_cores
from verify.simulation.fused.compiler import load
from verify.simulation.gpu.machines import Cuda
from verify.simulation.runs import StartTask, sample_starts

Speeds = dict[str, dict[str, dict[str, float]]]
_ALWAYS = ("eager", "fused", "exact1d")
_ON_GPU = ("eager-gpu", "fused-gpu")
_PEAKS = ("peak", "peak-gpu")
_FMAS = 16


Clock = Callable[[], float]


def peak(threads: int, clock: Clock, rounds: int = 4_000_000) -> float:
    """Floating-point operations per second of fused multiply-adds in registers, on so many threads."""
    library = load(Path(__file__).with_name("peak.c").read_text(encoding="utf-8"), {"WIDE": 0})
    library.peak.argtypes, library.peak.restype = [ctypes.c_long], ctypes.c_double
    with ThreadPoolExecutor(threads) as pool:
        began = clock()
        list(pool.map(library.peak, [rounds] * threads))
        taken = clock() - began
    return threads * rounds * _FMAS * int(library.lanes()) * 2 / taken


class _Rounds(ctypes.Structure):
    _fields_ = [("found", ctypes.c_void_p), ("rounds", ctypes.c_int64)]


def peak_of_gpu(clock: Clock, rounds: int = 200_000) -> float:
    """The same for the current CUDA device, whose multiprocessors hold 64 warps."""
    device = Cuda(torch.cuda.current_device())
    function = device.function(Path(__file__).with_name("peak.cu").read_text(encoding="utf-8"), 0)
    blocks, threads = 8 * device.multiprocessors, 256
    found = torch.empty(blocks * threads, device="cuda")
    work = _Rounds(found.data_ptr(), rounds)
    taken = 0.0
    for _ in range(2):  # the first warms up
        torch.cuda.synchronize()
        began = clock()
        device.launch(function, blocks, threads, 0, work)
        torch.cuda.synchronize()
        taken = clock() - began
    return blocks * threads * rounds * _FMAS * 2 / taken


def timed(run: Run, steps: int, clock: Clock) -> float:
    """Seconds of a run."""
    began = clock()
    run(steps)
    return clock() - began


def steps_for(run: Run, seconds: float, clock: Clock) -> int:
    """So many steps as take about this long, after a run that warms up; the same for every round."""
    run(1)
    steps = 1
    while (taken := timed(run, steps, clock)) < seconds / 4 and steps < 1 << 20:
        steps *= 2
    return max(1, round(steps * seconds / taken))


def built(case: Prepared, names: list[str], threads: int) -> tuple[dict[str, Run], dict[str, str]]:
    """The contenders that can run a case, and why the others cannot."""
    runs: dict[str, Run] = {}
    missing: dict[str, str] = {}
    for name in names:
        made = CONTENDERS[name](case, threads)
        if isinstance(made, str):
            missing[name] = made
        else:
            runs[name] = made
    return runs, missing


def measure(
    case: Prepared, runs: dict[str, Run], rounds: int, seconds: float, threads: int, clock: Clock
) -> dict[str, float]:
    """Replica-steps per second of each contender, and operations per second of the peak."""
    steps = {name: steps_for(run, seconds, clock) for name, run in runs.items()}
    times: dict[str, list[float]] = {name: [] for name in runs}
    peaks: dict[str, list[float]] = {"peak-gpu" if name in _ON_GPU else "peak": [] for name in runs}
    for _ in range(rounds):
        if "peak" in peaks:
            peaks["peak"].append(peak(threads, clock))
        if "peak-gpu" in peaks:
            peaks["peak-gpu"].append(peak_of_gpu(clock))
        for name, run in runs.items():
            times[name].append(timed(run, steps[name], clock))
    replicas = case.workload.replicas
    found = {name: replicas * steps[name] / statistics.median(taken) for name, taken in times.items()}
    return found | {name: statistics.median(each) for name, each in peaks.items()}


def structural(clock: Clock, count: int = 20_000) -> float:
    """Initial networks (1,32,1) drawn and decided on 64 points: first-layer neurons a minute, on one core."""
    start = prepare("W1", "sgd").start
    sample_starts(StartTask(start, 0, count, (Event(neurons=1),)))
    began = clock()
    sample_starts(StartTask(start, count, count, (Event(neurons=1),)))
    return 60 * count * start.architecture.hidden[0] / (clock() - began)


def table_of(workload: str, optimizer: str, found: dict[str, float], missing: dict[str, str]) -> Table:
    """Speeds, ratios to eager, and shares of the peak."""
    about = WORKLOADS[workload]
    kind = "all rows" if about.batch is None else f"minibatch {about.batch}"
    title = f"{workload}: {about.architecture}, {about.points} points, {kind}, {about.replicas} replicas, {optimizer}"
    table = Table("contender", "replica-steps / s", "x eager", "of peak", title=title)
    for name, speed in found.items():
        if name not in _PEAKS:
            to, limit = ("eager-gpu", found["peak-gpu"]) if name in _ON_GPU else ("eager", found["peak"])
            ratio = f"{speed / found[to]:.1f}" if to in found else ""
            share = f"{speed * about.flops / limit:.0%} of {limit / 1e9:,.0f} GFLOP/s"
            table.add_row(name, f"{speed:,.0f}", ratio, share)
    for name, why in missing.items():
        table.add_row(name, f"[dim]{why}", "", "")
    return table


def _names(text: str, known: list[str], what: str, parser: argparse.ArgumentParser) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in known]:
        parser.error(f"{what} {unknown[0]!r}: expected some of {', '.join(known)}")
    return names


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", default=",".join(WORKLOADS), help="names separated by commas")
    usual = (*_ALWAYS, *(_ON_GPU if torch.cuda.is_available() else ()))
    parser.add_argument("--contenders", default=",".join(usual), help=f"some of {', '.join(CONTENDERS)}")
    parser.add_argument("--optimizers", default=",".join(OPTIMIZERS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="of one timed run, about")
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument(
        "--cpu-time", action="store_true", help="seconds of a core, for a machine that is busy otherwise"
    )
    parser.add_argument("--structural", action="store_true", help="only the drawing of initial networks, on one core")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.cpu_time else time.perf_counter
    if options.structural:
        print(f"{structural(clock):,.0f} first-layer neurons of (1,32,1) drawn and decided a minute, on one core")
        return
    contenders = _names(options.contenders, list(CONTENDERS), "contender", parser)
    optimizers = _names(options.optimizers, list(OPTIMIZERS), "optimizer", parser)
    speeds: Speeds = {}
    for workload in _names(options.workloads, list(WORKLOADS), "workload", parser):
        for optimizer in optimizers:
            case = prepare(workload, optimizer)
            runs, missing = built(case, contenders, options.threads)
            found = measure(case, runs, options.rounds, options.seconds, options.threads, clock)
            speeds.setdefault(workload, {})[optimizer] = {n: round(v) for n, v in found.items() if n not in _PEAKS}
            if not options.json:
                Console().print(table_of(workload, optimizer, found, missing))
    if options.json:
        print(json.dumps(speeds))
    else:
        print(f"threads {options.threads}, load average at the end {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
