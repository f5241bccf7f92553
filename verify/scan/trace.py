"""What a module does to the rows of a batch, recorded while it runs: every operation that torch carries out is seen.

The module runs as it is, on a few rows, and the operations arrive one by one below Python, so it does not matter
whether ReLU is a module, a function or a method. What is recorded are linear maps, convolutions, ReLU, pooling, sums,
scalings and rearrangements that treat each row alone; anything else is refused by its name. Module hooks only tell in
which module an operation takes place.

What cannot be seen: values that leave torch (`.numpy()`) and come back. So the module is run twice, on different rows:
the two records must agree, constants included, and the record must reproduce what the second run returned.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from theorems.errors import InvalidInput
from verify.scan.bounds import Ball, Propagation
from verify.scan.program import Node, Program
from verify.scan.recorder import BATCH, Recorder

__all__ = ["Traced", "trace"]

Floats = npt.NDArray[np.float64]

_SLACK = 1e-3  # relative: for formats in which numbers underflow; what is looked for is another computation


@dataclass(frozen=True)
class Traced:
    """A recorded module; notes are sentences about what was done to run it."""

    program: Program
    notes: tuple[str, ...]


def trace(module: torch.nn.Module, rows: Floats, shape: tuple[int, ...], name: str) -> Traced:
    """Record what a module, in evaluation mode, does to inputs of a shape.

    rows: some of the data, (at least 1, entries): they are repeated as needed. The module's training mode is restored.
    Fails: InvalidInput if parameters are not initialized, finite and real; if the module fails on such inputs, changes
    values in a way that is not followed here, has another nonlinearity than ReLU, or no ReLU.
    """
    dtype, device = _check_parameters(module, name)
    trials = [np.resize(part, (BATCH, rows.shape[1])) for part in (rows, rows[::-1] * 0.75 + 0.125)]
    numbers: dict[tuple[object, ...], Floats] = {}
    with _evaluation_mode(module) as notes:
        first, _ = _record(module, trials[0].reshape(BATCH, *shape), dtype, device, name, numbers)
        second, returned = _record(module, trials[1].reshape(BATCH, *shape), dtype, device, name, numbers)
    if not _same(first, second):
        raise InvalidInput(
            f"{name} does not treat all inputs by the same operations (they change with the values, or are random); "
            "expected one fixed network"
        )
    if not first.relus:
        raise InvalidInput(f"{name} has no ReLU, so no neuron can be dead; expected a network with ReLU layers")
    _check_reproduced(second, trials[1], returned, dtype, name)
    return Traced(first, notes)


def _check_parameters(module: torch.nn.Module, name: str) -> tuple[torch.dtype, torch.device]:
    """The floating-point format and the device of the parameters."""
    tensors = [*module.named_parameters(), *module.named_buffers()]
    for label, tensor in tensors:
        if torch.nn.parameter.is_lazy(tensor):
            raise InvalidInput(
                f"{name}: parameter {label!r} is not initialized (a lazy module); expected a module that has been run "
                "once"
            )
        if tensor.is_meta:
            raise InvalidInput(
                f"{name}: parameter {label!r} has no values (meta device); expected a module with values"
            )
        if tensor.is_complex() or tensor.is_quantized or tensor.layout is not torch.strided:
            raise InvalidInput(f"{name}: parameter {label!r} is {_kind(tensor)}; expected a dense tensor of floats")
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise InvalidInput(f"{name}: parameter {label!r} holds NaN or an infinity; expected finite numbers")
    floats = [tensor for _, tensor in tensors if tensor.is_floating_point()]
    if not floats:
        return torch.float32, torch.device("cpu")
    return floats[0].dtype, floats[0].device


def _kind(tensor: torch.Tensor) -> str:
    if tensor.is_complex():
        return "complex"
    return "quantized" if tensor.is_quantized else "sparse"


@contextmanager
def _evaluation_mode(module: torch.nn.Module) -> Iterator[tuple[str, ...]]:
    """Switch the module to evaluation mode, say what that changes, and restore every part of it afterwards."""
    training = [(part, part.training) for part in module.modules()]
    kinds = (torch.nn.modules.dropout._DropoutNd, torch.nn.modules.batchnorm._BatchNorm)
    changed = [f"{name!r}" for name, part in module.named_modules() if part.training and isinstance(part, kinds)]
    told = "scanned in evaluation mode: dropout is off, batch normalization uses its running statistics ({})"
    module.eval()
    try:
        yield (told.format(", ".join(changed[:8])),) if changed else ()
    finally:
        for part, mode in training:
            part.training = mode


def _record(
    module: torch.nn.Module,
    rows: Floats,
    dtype: torch.dtype,
    device: torch.device,
    name: str,
    numbers: dict[tuple[object, ...], Floats],
) -> tuple[Program, Floats]:
    """The program of one run, and what the run returned, (rows, entries)."""
    inputs = torch.from_numpy(rows.copy()).to(device=device, dtype=dtype)
    recorder = Recorder(module, inputs, name, numbers)
    try:
        with torch.no_grad(), recorder.named_modules(), recorder:
            returned = module(inputs)
    except InvalidInput:
        raise
    except Exception as error:
        raise InvalidInput(
            f"{name} cannot be run on inputs of shape {tuple(rows.shape[1:])}: {_first_line(error)}; "
            f"expected {_expected_width(module)}"
        ) from error
    if not isinstance(returned, torch.Tensor):
        raise InvalidInput(f"{name} returns {type(returned).__name__}; expected a module that returns one tensor")
    program = recorder.program(returned)
    return program, returned.detach().cpu().to(torch.float64).numpy().reshape(BATCH, -1)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}" + (f": {lines[0][:200].rstrip('.')}" if lines else "")


def _expected_width(module: torch.nn.Module) -> str:
    for part in module.modules():
        if isinstance(part, torch.nn.Linear):
            return f"data that fit the module (its first linear layer takes {part.in_features} columns)"
        if isinstance(part, torch.nn.modules.conv._ConvNd):
            kind = f"{part.in_channels} channel{'s' if part.in_channels > 1 else ''}"
            return f"data that fit the module (its first convolution takes {kind}; --shape gives the shape of an input)"
    return "data that fit the module"


def _same(first: Program, second: Program) -> bool:
    """Whether two runs are the same program, constants included."""
    if (first.output, first.link, first.sizes) != (second.output, second.link, second.sizes):
        return False
    return len(first.nodes) == len(second.nodes) and all(map(_same_node, first.nodes, second.nodes))


def _same_node(one: Node, other: Node) -> bool:
    if type(one) is not type(other):
        return False
    for label, value in vars(one).items():
        against = vars(other)[label]
        if isinstance(value, np.ndarray):
            if value is not against and not (isinstance(against, np.ndarray) and np.array_equal(value, against)):
                return False
        elif value != against:
            return False
    return True


def _check_reproduced(program: Program, rows: Floats, returned: Floats, dtype: torch.dtype, name: str) -> None:
    """The record, evaluated by itself, gives what the module returned, up to the module's own roundings."""
    if program.link is not None:
        return
    inputs = torch.from_numpy(rows.copy()).to(dtype).to(torch.float64).numpy()
    kind = torch.finfo(dtype)
    ball = Propagation(program, unit=float(kind.eps)).balls(Ball(inputs, None), {program.output: None})[program.output]
    allowed = _SLACK * (np.abs(ball.centre) + float(kind.tiny) * inputs.shape[1])
    if ball.radius is not None:
        allowed = allowed + 8 * ball.radius
    if np.isfinite(returned).all() and (np.abs(ball.centre - returned) > allowed).any():
        raise InvalidInput(
            f"{name} returns something else than the operations that were seen; expected a module that stays in torch"
        )
