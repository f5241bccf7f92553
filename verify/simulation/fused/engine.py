"""The fused engine: whole trajectories of a group of replicas in the cache of one core, one vector lane a replica.

Wide networks are trained one replica at a time, one vector lane a point (`points_in_lanes`).

Any input dimension, depth and output dimension, full batch and minibatches, every rule whose recursion is in
`theorems.rules` and whose optimizer is torch's. Numbers differ from torch's by rounding only: sums are taken in another
order, and products are fused with sums.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from itertools import groupby, pairwise

import numpy as np
import numpy.typing as npt
import torch

from theorems.setting import Architecture
from verify.optimizers.registry import ResolvedOptimizer
from verify.simulation.draw import Parameters
from verify.simulation.eager import Batches, Training, TrainingRows
from verify.simulation.fused.compiler import load
from verify.simulation.fused.library import Slabs, Stepper, Work, pointer, run, source, stepper
from verify.simulation.fused.update import why_not
from verify.simulation.streams import Minibatches

__all__ = [
    "Chosen",
    "kernel",
    "narrow",
    "points_in_lanes",
    "reason_against",
    "stretches",
    "train",
    "unsupported",
    "width",
]

_STEPS_AT_ONCE = 1 << 14
_TILES = (1, 2, 4, 8, 16, 32)  # points at a time, or vectors of points
_VECTOR = 64  # bytes
_FEWEST_VECTORS, _MOST_VECTORS = 2, 16  # of points, where they are in the lanes
_WIDE = 1 << 15  # parameters times vectors of points at a time: 2 MB with a vector of replicas for each, a second cache
_WIDE_AND_SHALLOW = 1 << 17  # the same with one hidden layer, whose sums over the lanes weigh more
_WIDEST = 64  # of layers whose sizes are worth compiling
_NARROW = 8  # layers that fit the registers, activations of two points at a time
_WRITTEN_OUT = 256  # weights for which code is written out, once for layers of equal sizes: it must stay small
_IN_CACHE = 256  # neurons, whose activations at four points take 64 kB
_FEW_INPUTS, _MOST_INPUTS = 16, 32  # of shallow networks, whose sums over the points are written out
_ROWS_AT_ONCE = 1 << 23  # row numbers handed over at once: 32 MB


def reason_against(
    optimizer: ResolvedOptimizer, rows: TrainingRows, architecture: Architecture, batch: int | None
) -> str | None:
    """Why this engine cannot train this, or None if it can; its kernels are then compiled.

    Fails: Unavailable if they cannot be compiled.
    """
    if (reason := unsupported(optimizer, rows)) is not None:
        return reason
    dtype, points = rows.inputs.dtype, len(rows.inputs) if batch is None else batch
    by = stepper(optimizer, dtype, "torch")
    kernel(by, dtype, architecture, points, points_in_lanes(by, dtype, architecture, points))
    return None


def unsupported(optimizer: ResolvedOptimizer, rows: TrainingRows) -> str | None:
    """Why no compiled engine can train this, whatever the compiler, or None."""
    if rows.inputs.device.type != "cpu":
        return f"it computes on the CPU, and the device is {rows.inputs.device}"
    if (most := max(rows.inputs.numel(), rows.labels.numel())) >= 1 << 31:
        return f"it finds rows by numbers of 31 bits, and there are {most} inputs or labels"
    return why_not(optimizer)


def points_in_lanes(by: Stepper, dtype: torch.dtype, architecture: Architecture, points: int) -> bool:
    """Whether one replica at a time, with points in the lanes, is faster for so many points a step.

    A group's parameters then take a vector's room each, and a gradient is summed over the lanes once for each tile: the
    more room and the fewer sums, the better. Vectors shorter than AVX-512's take less room and make more sums. Networks
    with one hidden layer and one output have a faster way with replicas in the lanes.
    """
    short = by.lanes * dtype.itemsize < _VECTOR
    if short or points < _FEWEST_VECTORS * by.lanes or shallow_inputs(architecture):
        return False
    parameters = sum(n_out * (n_in + 1) for n_in, n_out in pairwise(architecture.widths))
    wide = _WIDE_AND_SHALLOW if architecture.is_shallow else _WIDE
    return min(points // by.lanes, _MOST_VECTORS) * parameters >= wide


def kernel(by: Stepper, dtype: torch.dtype, architecture: Architecture, points: int, apart: bool) -> ctypes.CDLL:
    """The kernel for so many points a step, with replicas in the lanes or apart. Fails: Unavailable."""
    wide = int(dtype == torch.float64)
    if apart:
        vectors = min(-(-points // by.lanes), _MOST_VECTORS)
        return load(source("points.c"), {"WIDE": wide, "TILE": next(size for size in _TILES if vectors <= size)})
    inputs = shallow_inputs(architecture)
    given: dict[str, int | str] = {"SHALLOW": inputs} if inputs else narrow(architecture)
    most = _most_points(architecture)
    tile = next(size for size in _TILES if points <= size or size == most)
    return load(source("kernel.c"), given | {"WIDE": wide, "WIDTH": width(architecture), "TILE": tile})


def _most_points(architecture: Architecture) -> int:
    """Points at a time: what is read of each must stay near the core, and in narrow networks in its registers."""
    if 1 < shallow_inputs(architecture) <= _FEW_INPUTS:
        return 32
    if not narrow(architecture):
        return 8
    return 4 if max(architecture.widths) <= 4 else 2


def narrow(architecture: Architecture) -> dict[str, int | str]:
    """What the kernels must be told to hold the layers of a narrow network in registers (narrow.h); nothing for others.

    Networks with one hidden layer and one output have a faster way of their own.
    """
    widths = architecture.widths
    *hidden, last = pairwise(widths)
    runs = [(sizes, len(list(same))) for sizes, same in groupby(hidden)] + [(last, 1)]
    weights = sum(n_in * n_out for (n_in, n_out), _ in runs)
    if max(widths) > _NARROW or weights > _WRITTEN_OUT or sum(widths) > _IN_CACHE or shallow_inputs(architecture):
        return {}
    layers, place, below = [], 0, 0
    for (n_in, n_out), times in runs:
        layers.append(f"DO({place}, {below}, {n_in}, {n_out}, {times})")
        place, below = place + times * n_out * (n_in + 1), below + times * n_in
    return {
        "INPUTS": widths[0],
        "OUTPUTS": widths[-1],
        "NEURONS": sum(widths),
        "WIDEST": max(widths),
        "LAYERS(DO)": " ".join(layers),
        "LAYERS_BACK(DO)": " ".join(reversed(layers)),
    }


def shallow_inputs(architecture: Architecture) -> int:
    """Inputs of a network with one hidden layer and one output (shallow.h), or 0 for others and those with too many."""
    inputs = architecture.input_dim
    return inputs if architecture.is_shallow and architecture.output_dim == 1 and inputs <= _MOST_INPUTS else 0


def width(architecture: Architecture) -> int:
    """The common width of several hidden layers, for which layer products are compiled with known sizes; else 0."""
    widths = set(architecture.hidden)
    return min(widths) if len(widths) == 1 and not architecture.is_shallow and max(widths) <= _WIDEST else 0


def train(start: Parameters, training: Training, *, threads: int | None = None) -> Iterator[Parameters]:
    """Yield the parameters of a block after each checkpoint.

    threads: default as many as torch uses; results do not depend on them, nor on how replicas are put into blocks.
    Fails: Unavailable if the kernels cannot be compiled; ValueError if the optimizer is not supported.
    """
    dtype = training.rows.inputs.dtype
    by = stepper(training.optimizer, dtype, training.epsilon)
    slabs = Slabs(start, by, dtype, apart=points_in_lanes(by, dtype, training.architecture, _points(training)))
    trainer = _Trainer(slabs, by, training, threads or torch.get_num_threads())
    done = 0
    for checkpoint in training.checkpoints:
        for first, last, chosen in stretches(training.batches, done, checkpoint):
            trainer.advance(first, last, chosen)
        done = checkpoint
        yield slabs.read()


def _points(training: Training) -> int:
    """Points of the first step."""
    if isinstance(training.batches, Minibatches):
        return training.batches.batch
    chosen = training.batches(1) if any(training.checkpoints) else None
    return len(training.rows.inputs) if chosen is None else chosen.shape[1]


Chosen = Minibatches | npt.NDArray[np.int64] | None


def stretches(batches: Batches, done: int, until: int) -> Iterator[tuple[int, int, Chosen]]:
    """Stretches of steps, and their rows: all, drawn in the kernel, or row numbers (steps, replicas, batch).

    What `batches` says of a stretch's first step, all rows or some, it must say of all steps.
    """
    first = done
    while first < until:
        last = min(until, first + _STEPS_AT_ONCE)
        if isinstance(batches, Minibatches):
            yield first, last, batches
            first = last
            continue
        numbers = batches(first + 1)
        if numbers is None:
            yield first, last, None
        else:
            last = min(last, first + max(1, _ROWS_AT_ONCE // numbers.size))
            yield first, last, np.stack([np.asarray(batches(step)) for step in range(first + 1, last + 1)])
        first = last


class _Trainer:
    """A block in the kernel's layout, carried forward stretch by stretch."""

    def __init__(self, slabs: Slabs, by: Stepper, training: Training, threads: int) -> None:
        rows = training.rows
        self.slabs, self.by, self.threads = slabs, by, threads
        self.dtype, self.architecture = rows.inputs.dtype, training.architecture
        self.sign = -1 if training.optimizer.settings.get("maximize") else 1
        self.inputs, self.labels = (np.ascontiguousarray(part.numpy()) for part in (rows.inputs, rows.labels))
        self.widths = np.array(self.architecture.widths, dtype=np.int64)

    def advance(self, first: int, last: int, chosen: Chosen) -> None:
        """Make steps `first + 1 … last`."""
        table, branches = self.by.schedule.rows(first, last)
        scalars = np.ascontiguousarray(table, dtype=self.slabs.dtype)
        work = Work(
            layers=len(self.widths) - 1,
            widths=pointer(self.widths),
            parameters=self.slabs.vectors,
            states=self.slabs.memory.shape[1] - 1,
            groups=self.slabs.groups,
            memory=pointer(self.slabs.memory),
            rows=len(self.inputs),
            inputs=pointer(self.inputs),
            labels=pointer(self.labels),
            sign=self.sign,
            first=first,
            steps=last - first,
            scalar_count=scalars.shape[1],
            scalars=pointer(scalars),
            branch=pointer(branches),
            update=self.by.address,
        )
        kept = self._choose(work, chosen)
        use = kernel(self.by, self.dtype, self.architecture, work.batch or work.rows, self.slabs.apart)
        run(use.train, work, self.threads)
        del kept

    def _choose(self, work: Work, chosen: Chosen) -> npt.NDArray[np.generic] | None:
        """Tell the kernel its rows; what is returned must live as long as it runs."""
        if chosen is None:
            return None
        kept: npt.NDArray[np.generic]
        if isinstance(chosen, Minibatches):
            kept = np.ascontiguousarray(self.slabs.spread(chosen.replicas.astype(np.uint64)))
            work.batch, work.numbers, work.key = chosen.batch, pointer(kept), (ctypes.c_uint32 * 2)(*chosen.key)
            return kept
        work.batch = chosen.shape[2]
        by_lane = self.slabs.spread(chosen.transpose(1, 0, 2)).transpose(2, 0, 3, 1)
        kept = np.ascontiguousarray(by_lane, dtype=np.int32)
        work.chosen = pointer(kept)
        return kept
