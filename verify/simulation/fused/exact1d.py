"""The one-dimensional exact engine: gradients from the linear pieces of a network with scalar inputs and labels.

It is another algorithm than brute force, with a cost that grows with the number of linear pieces and hardly with the
number of points. Gradients are those of brute force up to rounding; which neurons are active at a point is computed
from the same numbers, except within rounding of a kink.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from theorems.setting import Architecture
from verify.optimizers.registry import ResolvedOptimizer
from verify.simulation.draw import Parameters
from verify.simulation.eager import TrainingRows
from verify.simulation.engine_names import Epsilon
from verify.simulation.fused import engine
from verify.simulation.fused.compiler import load
from verify.simulation.fused.library import Slabs, Work, aligned, pointer, run, source, stepper

__all__ = ["reason_against", "train"]

_STEPS_AT_ONCE = 1 << 14
_FIRST_STEPS = (
    32  # before replicas are put together that have about as many pieces; again after 4, 16, ... times as many
)
_NARROW = 8  # layers that have few linear pieces, of which fewer then wait for the way back
_CELLS = 4  # of the input axis, for each point


def reason_against(
    optimizer: ResolvedOptimizer, rows: TrainingRows, architecture: Architecture, batch: int | None
) -> str | None:
    """Why this engine cannot train this, or None if it can; its kernels are then compiled.

    Fails: Unavailable if they cannot be compiled.
    """
    if architecture.input_dim != 1 or architecture.output_dim != 1:
        return f"it needs scalar inputs and labels, and the architecture is {architecture}"
    if batch is not None:
        return "it needs full batches"
    if (reason := engine.unsupported(optimizer, rows)) is not None:
        return reason
    stepper(optimizer, rows.inputs.dtype, "torch")
    _kernel(rows.inputs.dtype, architecture)
    return None


def _kernel(dtype: torch.dtype, architecture: Architecture) -> ctypes.CDLL:
    tile = 8 if max(architecture.hidden) > _NARROW else 4
    given: dict[str, int | str] = {"WIDE": int(dtype == torch.float64), "TILE": tile}
    given |= {"WIDTH": engine.width(architecture)} | engine.written_out(architecture)
    return load(source("exact1d.c"), given)


def train(
    start: Parameters,
    rows: TrainingRows,
    optimizer: ResolvedOptimizer,
    architecture: Architecture,
    checkpoints: tuple[int, ...],
    *,
    threads: int | None = None,
    epsilon: Epsilon = "torch",
) -> Iterator[Parameters]:
    """Yield the parameters of a block after each of the ascending step numbers in `checkpoints`, full batches.

    As `verify.simulation.fused.engine.train`.
    Fails: Unavailable if the kernels cannot be compiled; ValueError if the optimizer is not supported.
    """
    dtype = rows.inputs.dtype
    by = stepper(optimizer, dtype, epsilon)
    kernel = _kernel(dtype, architecture)
    slabs = Slabs(start, by, dtype)
    inputs, moments, centre = _sorted_moments(rows)
    widths = np.array(architecture.widths, dtype=np.int64)
    length = float(inputs[-1]) - float(inputs[0])
    guesses = np.zeros(_CELLS * len(inputs), dtype=np.int64 if dtype == torch.float64 else np.int32)
    pieces = aligned((slabs.groups, slabs.lanes), guesses.dtype)
    done = 0
    for checkpoint in checkpoints:
        for first, last in _stretches(done, checkpoint):
            table, branches = by.schedule.rows(first, last)
            scalars = np.ascontiguousarray(table, dtype=slabs.dtype)
            work = Work(
                layers=architecture.depth,
                widths=pointer(widths),
                parameters=slabs.parameters,
                states=slabs.memory.shape[1] - 1,
                groups=slabs.groups,
                memory=pointer(slabs.memory),
                rows=len(inputs),
                inputs=pointer(inputs),
                sign=-1 if optimizer.settings.get("maximize") else 1,
                first=first,
                steps=last - first,
                scalar_count=scalars.shape[1],
                scalars=pointer(scalars),
                branch=pointer(branches),
                update=by.address,
                moments=pointer(moments),
                centre=centre,
                guesses=pointer(guesses),
                cells=len(guesses),
                cells_per_unit=len(guesses) / length if length else 0.0,
                pieces=pointer(pieces),
            )
            if not first:
                kernel.guess(ctypes.byref(work), ctypes.c_void_p(pointer(guesses)))
            run(kernel, work, threads or torch.get_num_threads())
            slabs.regroup(pieces)
        done = checkpoint
        yield slabs.read()


def _stretches(done: int, until: int) -> Iterator[tuple[int, int]]:
    """Stretches of steps after which replicas are regrouped: ever longer ones, since fewer and fewer kinks move."""
    first = done
    while first < until:
        last = min(until, max(_FIRST_STEPS, 4 * first), first + _STEPS_AT_ONCE)
        yield first, last
        first = last


def _sorted_moments(
    rows: TrainingRows,
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.float64], float]:
    """Inputs in ascending order; prefix sums of 1, x - c, (x - c)^2, y, y (x - c), each from 0 points on; and c."""
    inputs, labels = rows.inputs.numpy()[:, 0], rows.labels.numpy()[:, 0]
    order = np.argsort(inputs, kind="stable")
    x, y = inputs[order].astype(np.longdouble), labels[order].astype(np.longdouble)
    centre = float((x[0] + x[-1]) / 2)
    u = x - centre
    columns = np.stack([np.ones_like(u), u, u * u, y, y * u])
    sums = np.concatenate([np.zeros((len(columns), 1), dtype=np.longdouble), np.cumsum(columns, axis=1)], axis=1)
    return np.ascontiguousarray(inputs[order]), np.ascontiguousarray(sums, dtype=np.float64), centre
