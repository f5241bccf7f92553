"""Replica-steps per second of the eager engine: `make bench`, or `make bench ARGS="--json"`.

One replica-step is a full-batch gradient and an update of one network. Contenders run interleaved, several times, in
one process; the median counts. Only ratios of figures from one run mean anything.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from fractions import Fraction

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from theorems.laws import parse_initialization
from theorems.setting import Architecture, DataSet
from verify.optimizers import OptimizerSpec, resolve
from verify.simulation.eager import TrainingRows, train
from verify.simulation.runs import Start

WORKLOADS = {"W1": ("1,32,1", 64, 2048), "W4": ("1,4*8,1", 64, 4096)}
OPTIMIZERS = ("sgd", "adam")


def seconds(start: Start, optimizer: str, replicas: int, steps: int, threads: int) -> float:
    """Time one run of `steps` full-batch steps of all replicas."""
    torch.set_num_threads(threads)
    rows = TrainingRows.of(start.data, start.dtype, "cpu")
    initial = start.draw(np.arange(replicas))
    began = time.perf_counter()
    spec = OptimizerSpec(optimizer, {"lr": 0.01})
    list(train(initial, rows, resolve(spec), start.architecture, lambda step: None, (steps,), lambda r: r))
    return time.perf_counter() - began


def grid(points: int) -> DataSet:
    """The function x^2 + 2x on an equispaced grid of [0, 1]."""
    xs = [Fraction(i, points - 1) for i in range(points)]
    return DataSet.from_rows("x**2 + 2*x", [(x,) for x in xs], [(x**2 + 2 * x,) for x in xs])


def measure(workloads: list[str], rounds: int, steps: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return {workload: {optimizer: {contender: replica-steps per second}}}."""
    cores = torch.get_num_threads()
    found: dict[str, dict[str, dict[str, float]]] = {}
    for workload in workloads:
        architecture, points, replicas = WORKLOADS[workload]
        start = Start(Architecture.parse(architecture), parse_initialization("he_normal"), grid(points), "float32", 1)
        times: dict[tuple[str, str], list[float]] = {}
        for _ in range(rounds + 1):
            for optimizer in OPTIMIZERS:
                for contender, threads in (("eager", cores), ("eager, one thread", 1)):
                    taken = seconds(start, optimizer, replicas, steps, threads)
                    times.setdefault((optimizer, contender), []).append(taken)
        for (optimizer, contender), taken in times.items():
            speed = replicas * steps / statistics.median(taken[1:])  # the first round warms up
            found.setdefault(workload, {}).setdefault(optimizer, {})[contender] = round(speed)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workloads", default=",".join(WORKLOADS), help="names separated by commas")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    names = options.workloads.split(",")
    if unknown := [name for name in names if name not in WORKLOADS]:
        parser.error(f"workload {unknown[0]!r}: expected some of {', '.join(WORKLOADS)}")
    found = measure(names, options.rounds, options.steps)
    if options.json:
        print(json.dumps(found))
        return
    table = Table("workload", "optimizer", "contender", "replica-steps / s")
    for workload, by_optimizer in found.items():
        for optimizer, contenders in by_optimizer.items():
            for contender, speed in contenders.items():
                table.add_row(f"{workload} {WORKLOADS[workload][0]}", optimizer, contender, f"{speed:,.0f}")
    Console().print(table)


if __name__ == "__main__":
    main()
