"""The fused engine on a GPU: whole trajectories of all replicas of a block in one launch, a team of lanes a replica.

Any input dimension, depth, output dimension and batch whose parameters, states and gradient fit a block's memory
(227 KiB on an H100: about 14,000 parameters with Adam), and every rule that `fused` has. Numbers differ from torch's by
rounding only; equal runs on equal devices have equal bits, however replicas are put into blocks.

State: compiled by NVRTC and emulated; not yet run on a GPU. To measure it where there is one:
`make bench ARGS="--workloads W1,W4 --contenders eager-gpu,fused-gpu"` prints replica-steps per second, the ratio to the
eager engine on the same GPU, and the share of the fused multiply-adds that the GPU does in registers alone;
`python -m pytest -m "not slow" tests/verify/test_gpu_engine.py` compares both engines there, replica by replica.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import torch

from theorems.setting import Architecture
from verify.optimizers.registry import ResolvedOptimizer
from verify.simulation.draw import Parameters, flatten, unflatten
from verify.simulation.eager import Training, TrainingRows
from verify.simulation.fused.engine import Chosen, stretches
from verify.simulation.fused.library import schedule
from verify.simulation.fused.update import Schedule, UpdateCode, why_not
from verify.simulation.gpu.layout import Layout, Rows, layout, source
from verify.simulation.gpu.machines import Machine, machine
from verify.simulation.gpu.work import Work
from verify.simulation.streams import Minibatches

__all__ = ["reason_against", "train"]

_PRODUCTS_AT_ONCE = 1 << 38
"""Of a weight with a point, in one launch: a fraction of a second, so that a run can be interrupted."""


def reason_against(
    optimizer: ResolvedOptimizer,
    rows: TrainingRows,
    architecture: Architecture,
    batch: int | None,
    on: Machine | None = None,
) -> str | None:
    """Why this engine cannot train this, or None if it can; its kernel is then compiled.

    on: what runs it, by default the device of the rows.
    Fails: Unavailable if there is no CUDA device, or the kernel cannot be compiled.
    """
    on = machine(rows.inputs.device) if on is None else on
    if (reason := why_not(optimizer)) is not None:
        return reason
    code = schedule(optimizer, "torch").code
    points, wide = len(rows.inputs) if batch is None else batch, rows.inputs.dtype == torch.float64
    made = layout(architecture, points, len(code.own_states), wide, on.memory)
    if isinstance(made, str):
        return made
    made = made.of(Rows.ALL if batch is None else Rows.DRAWN)
    on.prepare(_source(code, made), made)
    return None


@lru_cache(maxsize=64)
def _source(code: UpdateCode, made: Layout) -> str:
    return source(code, made)


@lru_cache(maxsize=128)
def _scalars(
    by: Schedule, first: int, last: int, dtype: torch.dtype, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scalars and branches of some steps on the device, the same for all blocks."""
    table, branches = by.rows(first, last)
    return torch.tensor(table, dtype=dtype, device=device), torch.tensor(branches, dtype=torch.int32, device=device)


def train(start: Parameters, training: Training, *, on: Machine | None = None) -> Iterator[Parameters]:
    """Yield the parameters of a block after each checkpoint.

    on: what runs the kernel, by default the device of the rows.
    Fails: Unavailable as `reason_against`; ValueError if the optimizer or the network is not supported.
    """
    trainer = _Trainer(start, training, machine(training.rows.inputs.device) if on is None else on)
    done = 0
    for checkpoint in training.checkpoints:
        for first, last, chosen in stretches(training.batches, done, checkpoint):
            trainer.advance(first, last, chosen)
        done = checkpoint
        yield trainer.read()


class _Trainer:
    """A block on the device, (replicas, 1 + states, parameters), carried forward stretch by stretch."""

    def __init__(self, start: Parameters, training: Training, on: Machine) -> None:
        self.rows, self.architecture, self.on = training.rows, training.architecture, on
        self.by = by = schedule(training.optimizer, training.epsilon)
        self.sign = -1 if training.optimizer.settings.get("maximize") else 1
        self.inputs, self.labels = self.rows.inputs.contiguous(), self.rows.labels.contiguous()
        flat = flatten(start)
        slab = np.empty((len(flat), 1 + len(by.start()), flat.shape[1]))
        slab[:, 0], slab[:, 1:] = flat, by.start()[:, None]
        self.slab = self._tensor(slab, self.inputs.dtype)

    def _tensor(self, values: np.ndarray[tuple[int, ...], np.dtype[np.generic]], dtype: torch.dtype) -> torch.Tensor:
        """Values on the device."""
        return torch.tensor(np.ascontiguousarray(values), dtype=dtype, device=self.rows.inputs.device)

    def advance(self, first: int, last: int, chosen: Chosen) -> None:
        """Make steps `first + 1 … last`."""
        scalars, branch = _scalars(self.by, first, last, self.inputs.dtype, self.inputs.device)
        work = Work(
            slab=self.slab.data_ptr(),
            inputs=self.inputs.data_ptr(),
            labels=self.labels.data_ptr(),
            replicas=len(self.slab),
            rows=len(self.inputs),
            points=len(self.inputs),
            scalar_count=scalars.shape[1],
        )
        kind, kept = self._choose(work, chosen)
        work.scale = self.sign * 2 / work.points
        made = layout(
            self.architecture, work.points, self.slab.shape[1] - 1, self.inputs.dtype == torch.float64, self.on.memory
        )
        if isinstance(made, str):
            raise ValueError(made)
        made = made.of(kind)
        text = _source(self.by.code, made)
        at_once = max(1, _PRODUCTS_AT_ONCE // (work.replicas * work.points * made.parameters))
        for done in range(0, last - first, at_once):
            work.first, work.steps = first + done, min(at_once, last - first - done)
            work.scalars, work.branch = scalars[done].data_ptr(), branch[done].data_ptr()
            if kept is not None and kind is Rows.GIVEN:
                work.chosen = kept[done].data_ptr()
            self.on.run(text, made, work)
        del kept

    def _choose(self, work: Work, chosen: Chosen) -> tuple[Rows, torch.Tensor | None]:
        """Tell the kernel its rows; the tensor must live as long as it runs."""
        if chosen is None:
            return Rows.ALL, None
        if isinstance(chosen, Minibatches):
            kept = self._tensor(chosen.replicas, torch.int64)
            work.points, work.numbers = chosen.batch, kept.data_ptr()
            work.key = (ctypes.c_uint32 * 2)(*chosen.key)
            return Rows.DRAWN, kept
        work.points = chosen.shape[2]
        return Rows.GIVEN, self._tensor(chosen, torch.int32)

    def read(self) -> Parameters:
        """The parameters now."""
        flat = self.slab[:, 0].to(dtype=torch.float64, device="cpu").numpy()
        return unflatten(flat, self.architecture.widths)
