"""The eager engine: the user's real `torch.optim.Optimizer` steps the replicas of a block.

Optimizers that act on each coordinate alone step all replicas of a block at once, stacked in one flat parameter; every
other optimizer gets one instance a replica, with ordinary weight and bias parameters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from theorems.errors import InvalidInput
from theorems.setting import Architecture, DataSet
from verify.optimizers.registry import ResolvedOptimizer
from verify.simulation.draw import Layer, Parameters, flatten, unflatten
from verify.simulation.engine_names import Epsilon

__all__ = ["Batches", "Training", "TrainingRows", "all_rows", "check_device", "train"]

Ints = npt.NDArray[np.int64]
Batches = Callable[[int], Ints | None]
_ADAM = frozenset({"adam", "amsgrad", "adamw"})  # rules of torch's Adam and AdamW, whatever their settings
DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclass(frozen=True)
class TrainingRows:
    """All rows as tensors: inputs (rows, l_0), labels (rows, l_L)."""

    inputs: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def of(cls, data: DataSet, dtype: str, device: str) -> TrainingRows:
        """Round every row to nearest in float64, then to `dtype`."""
        x = np.array([[float(v) for v in data.inputs[j]] for j, _ in data.rows])
        y = np.array([[float(v) for v in label] for _, label in data.rows])
        return cls(*(torch.tensor(a, dtype=DTYPES[dtype], device=device) for a in (x, y)))


def all_rows(step: int) -> None:
    """Full batches."""


@dataclass(frozen=True, eq=False)
class Training:
    """What a block of networks goes through, whatever its engine.

    checkpoints: ascending step numbers after which the parameters are wanted; batches: gives the row numbers (replicas,
    batch) of steps 1, 2, …, or None for all rows; seed: of torch's generator for replica r of the block, for optimizers
    that train replicas one by one; epsilon: Adam's convention.
    """

    rows: TrainingRows
    optimizer: ResolvedOptimizer
    architecture: Architecture
    checkpoints: tuple[int, ...]
    batches: Batches = all_rows
    seed: Callable[[int], int] = lambda r: r
    epsilon: Epsilon = "torch"


def check_device(device: str) -> None:
    """Fails: InvalidInput if torch cannot compute on this device and bring the result back."""
    try:
        torch.ones(1, device=device).add(1).cpu()
    except Exception as error:
        raise InvalidInput(f"device {device!r} cannot be used by torch here: {_reason(error)}") from None


def train(start: Parameters, training: Training) -> Iterator[Parameters]:
    """Yield the parameters of a block after each checkpoint.

    Fails: InvalidInput if the optimizer's step raises.
    """
    if training.optimizer.per_coordinate:
        yield from _train_stacked(start, training)
        return
    singles = [_train_reproducibly(_replica(start, r), _of_replica(training, r)) for r in range(len(start[0].bias))]
    for at_checkpoint in zip(*singles, strict=True):
        yield tuple(
            Layer(np.stack([net[k].weight for net in at_checkpoint]), np.stack([net[k].bias for net in at_checkpoint]))
            for k in range(len(start))
        )


def _train_reproducibly(
    start: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]], training: Training
) -> list[list[Layer]]:
    """Train one replica with torch's own generator seeded for it, since foreign optimizers may draw from that."""
    device = training.rows.inputs.device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(training.seed(0))
        return list(_train_single(start, training))


def _train_stacked(start: Parameters, training: Training) -> Iterator[Parameters]:
    replicas = len(start[0].bias)
    rows, optimizer, architecture = training.rows, training.optimizer, training.architecture
    # torch multiplies a stack of one matrix by other code, with other bits: a lone replica gets a companion
    flat = _leaf(np.repeat(flatten(start), 2, axis=0) if replicas == 1 else flatten(start), rows)
    stepper = _built(optimizer, [flat])
    done = 0
    for checkpoint in training.checkpoints:
        for step in range(done + 1, checkpoint + 1):
            numbers = training.batches(step)
            x, y = _batch(rows, numbers if numbers is None or replicas > 1 else np.repeat(numbers, 2, axis=0))
            if training.epsilon == "tensorflow1" and optimizer.rule in _ADAM:
                _set_epsilon(stepper, optimizer, step)
            _one_step(stepper, optimizer, lambda: _split(flat, architecture), x, y)
        done = checkpoint
        yield unflatten(_float64(flat[:replicas]), architecture.widths)


def _train_single(
    start: list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]], training: Training
) -> Iterator[list[Layer]]:
    layers = [(_leaf(w, training.rows), _leaf(b, training.rows)) for w, b in start]
    stepper = _built(training.optimizer, [parameter for layer in layers for parameter in layer])
    done = 0
    for checkpoint in training.checkpoints:
        for step in range(done + 1, checkpoint + 1):
            x, y = _batch(training.rows, training.batches(step))
            _one_step(stepper, training.optimizer, lambda: [(w[None], b[None]) for w, b in layers], x, y)
        done = checkpoint
        yield [Layer(_float64(w), _float64(b)) for w, b in layers]


def _leaf(values: npt.NDArray[np.float64], rows: TrainingRows) -> torch.Tensor:
    return torch.tensor(values, dtype=rows.inputs.dtype, device=rows.inputs.device, requires_grad=True)


def _one_step(
    stepper: torch.optim.Optimizer,
    optimizer: ResolvedOptimizer,
    layers: Callable[[], list[tuple[torch.Tensor, torch.Tensor]]],
    x: torch.Tensor,
    y: torch.Tensor,
) -> None:
    def closure() -> torch.Tensor:
        stepper.zero_grad()
        value = _loss(layers(), x, y)
        value.backward()  # type: ignore[no-untyped-call]  # torch leaves backward untyped
        return value

    try:
        closure()
        if optimizer.per_coordinate:
            stepper.step()
        else:
            stepper.step(closure)  # type: ignore[arg-type]  # torch types the closure as returning a float
    except Exception as error:
        raise InvalidInput(f"optimizer {optimizer.spec.label}: step failed: {_reason(error)}") from error


def _set_epsilon(stepper: torch.optim.Optimizer, optimizer: ResolvedOptimizer, step: int) -> None:
    """Give torch's Adam, for this step, the epsilon that makes it TensorFlow 1's (see `Epsilon`)."""
    settings: Mapping[str, Any] = optimizer.settings
    for group in stepper.param_groups:
        group["eps"] = settings["eps"] / math.sqrt(1 - settings["betas"][1] ** step)


def _built(optimizer: ResolvedOptimizer, parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
    try:
        return optimizer.build(parameters)
    except Exception as error:
        raise InvalidInput(
            f"optimizer {optimizer.spec.label}: cannot be built for these layers: {_reason(error)}"
        ) from error


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


def _loss(layers: list[tuple[torch.Tensor, torch.Tensor]], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Sum over replicas of the mean squared error; x (replicas or 1, l_0, batch), y likewise."""
    h = x.expand(len(layers[0][1]), -1, -1)
    for number, (weight, bias) in enumerate(layers, start=1):
        z = torch.baddbmm(bias[:, :, None], weight, h)
        h = torch.relu(z) if number < len(layers) else z
    return ((h - y) ** 2).sum() / y.shape[-1]


def _batch(rows: TrainingRows, numbers: Ints | None) -> tuple[torch.Tensor, torch.Tensor]:
    if numbers is None:
        return rows.inputs.T[None], rows.labels.T[None]
    index = torch.from_numpy(numbers).to(rows.inputs.device)
    return rows.inputs[index].transpose(1, 2), rows.labels[index].transpose(1, 2)


def _split(flat: torch.Tensor, architecture: Architecture) -> list[tuple[torch.Tensor, torch.Tensor]]:
    shapes = list(zip(architecture.widths[1:], architecture.widths, strict=False))
    pieces = torch.split(flat, [size for out, inp in shapes for size in (out * inp, out)], dim=1)
    return [(pieces[2 * k].view(-1, out, inp), pieces[2 * k + 1]) for k, (out, inp) in enumerate(shapes)]


def _float64(tensor: torch.Tensor) -> npt.NDArray[np.float64]:
    return tensor.detach().cpu().to(torch.float64).numpy().copy()


def _replica(start: Parameters, r: int) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    return [(layer.weight[r], layer.bias[r]) for layer in start]


def _of_replica(training: Training, r: int) -> Training:
    """The training of replica r as a block of its own."""

    def batches(step: int) -> Ints | None:
        numbers = training.batches(step)
        return None if numbers is None else numbers[r : r + 1]

    return replace(training, batches=batches, seed=lambda _: training.seed(r))
