"""The one-dimensional exact engine: gradients from the linear pieces of a network with scalar inputs and labels.

It is another algorithm than brute force, with a cost that grows with the number of linear pieces and hardly with the
number of points. Gradients are those of brute force up to rounding; which neurons are active at a point is computed
from the same numbers, except within rounding of a kink.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from functools import partial
from time import perf_counter

import numpy as np
import numpy.typing as npt
import torch

from theorems.setting import Architecture
from verify.optimizers.registry import ResolvedOptimizer
from verify.simulation.draw import Parameters
from verify.simulation.eager import Training, TrainingRows, all_rows
from verify.simulation.fused import engine
from verify.simulation.fused.compiler import load
from verify.simulation.fused.library import Slabs, Work, aligned, pointer, run, source, stepper

__all__ = ["reason_against", "train"]

_STEPS_AT_ONCE = 1 << 14
_FIRST_STEPS = 8  # before replicas are put together that have about as many pieces
_STEPS_BETWEEN = 32  # and before it is done again, as long as something moves and takes a small share of the time
_SHARE = 0.05  # results do not depend on when replicas are put together
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
    given |= {"WIDTH": engine.width(architecture)} | engine.narrow(architecture)
    return load(source("exact1d.c"), given)


def train(start: Parameters, training: Training, *, threads: int | None = None) -> Iterator[Parameters]:
    """Yield the parameters of a block after each checkpoint; every step takes all rows.

    As `verify.simulation.fused.engine.train`.
    Fails: Unavailable if the kernels cannot be compiled; ValueError if the optimizer is not supported, or for
    minibatches.
    """
    if training.batches is not all_rows:
        raise ValueError("expected all rows in every step")
    rows, optimizer, architecture = training.rows, training.optimizer, training.architecture
    dtype = rows.inputs.dtype
    by = stepper(optimizer, dtype, training.epsilon)
    kernel = _kernel(dtype, architecture)
    slabs = Slabs(start, by, dtype)
    inputs, labels, moments, centre = _sorted_moments(rows)
    widths = np.array(architecture.widths, dtype=np.int64)
    span, using = float(inputs[-1]) - float(inputs[0]), threads or torch.get_num_threads()
    cells = _CELLS * len(inputs)
    density = cells / span if span else 0.0
    guesses = np.zeros(cells + 2, dtype=np.int64 if dtype == torch.float64 else np.int32)
    pieces = aligned((slabs.groups, slabs.lanes), guesses.dtype)
    done, length = 0, _FIRST_STEPS
    for checkpoint in training.checkpoints:
        while done < checkpoint:
            steps = min(length, checkpoint - done)
            table, branches = by.schedule.rows(done, done + steps)
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
                labels=pointer(labels),
                sign=-1 if optimizer.settings.get("maximize") else 1,
                first=done,
                steps=steps,
                scalar_count=scalars.shape[1],
                scalars=pointer(scalars),
                branch=pointer(branches),
                update=by.address,
                moments=pointer(moments),
                centre=centre,
                guesses=pointer(guesses),
                cells=len(guesses),
                cells_per_unit=density,
                cells_before=float(inputs[0]) * density,
                pieces=pointer(pieces),
            )
            if not done:
                kernel.guess(ctypes.byref(work), ctypes.c_void_p(pointer(guesses)))
            began = perf_counter()
            run(kernel.train, work, using)
            done, trained = done + steps, perf_counter()
            if steps < length:
                continue
            moved = slabs.regroup(pieces, partial(_move, kernel, work, using))
            cheap = moved and perf_counter() - trained < _SHARE * (trained - began)
            length = min(2 * length, max(length, _STEPS_BETWEEN) if cheap else _STEPS_AT_ONCE)
        yield slabs.read()


def _move(
    kernel: ctypes.CDLL, work: Work, threads: int, sources: npt.NDArray[np.int64], moved: npt.NDArray[np.floating]
) -> None:
    work.sources, work.moved, work.moving = pointer(sources), pointer(moved), len(sources) // kernel.lanes()
    run(kernel.regroup, work, threads)


def _sorted_moments(
    rows: TrainingRows,
) -> tuple[npt.NDArray[np.floating], npt.NDArray[np.floating], npt.NDArray[np.float64], float]:
    """Inputs in ascending order; prefix sums of 1, x - c, (x - c)^2, y, y (x - c), each from 0 points on; and c."""
    inputs, labels = rows.inputs.numpy()[:, 0], rows.labels.numpy()[:, 0]
    order = np.argsort(inputs, kind="stable")
    x, y = inputs[order].astype(np.longdouble), labels[order].astype(np.longdouble)
    centre = float((x[0] + x[-1]) / 2)
    u = x - centre
    columns = np.stack([np.ones_like(u), u, u * u, y, y * u])
    sums = np.concatenate([np.zeros((len(columns), 1), dtype=np.longdouble), np.cumsum(columns, axis=1)], axis=1)
    padded = np.concatenate([[-np.inf], inputs[order], [np.inf, np.inf]]).astype(inputs.dtype)
    return padded[1:-2], np.ascontiguousarray(labels[order]), np.ascontiguousarray(sums, dtype=np.float64), centre
