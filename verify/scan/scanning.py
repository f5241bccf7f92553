"""`scan`: a torch module and data go in, which neurons are dead and what that means comes out."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from theorems.hypotheses import OptimizerClass
from theorems.laws import Initialization, parse_initialization
from theorems.setting import Architecture, DataSet
from verify.data import DataSpec, load_data
from verify.scan.decide import BUDGET, Decision, decide
from verify.scan.inputs import ExactInputs, ScanInputs, load_inputs, of_arrays
from verify.scan.meaning import Plain, advice, asked_optimizer, consequences, probability
from verify.scan.program import Affine, Program, Relu, Windows
from verify.scan.recorder import BATCH
from verify.scan.result import Advice, Consequence, DeadUnit, Extent, LayerScan, Position, Probability, Scan
from verify.scan.trace import trace

__all__ = ["scan"]

Bools = npt.NDArray[np.bool_]


def scan(
    module: torch.nn.Module,
    data: Any,
    *,
    shape: tuple[int, ...] | None = None,
    initialization: str | None = "pytorch",
    bias: str | None = None,
    optimizer: str | None = None,
    budget: int = BUDGET,
    name: str | None = None,
    seed: int | None = None,
) -> Scan:
    """Find the dead neurons and dead layers of a torch module on data, and say what they mean.

    The module may be any whose nonlinearities are ReLU: modules, functions and methods are all seen. It is run in
    evaluation mode on seven rows (its training mode is restored); everything else is computed from its parameters, in
    real arithmetic: "dead" (pre-activation `<= 0` at every input of the data) and "alive" are proved, "undecided" is
    what exact arithmetic within the budget leaves open.

    data: a `DataSpec` (what `nonconv bound` reads), a `DataSet`, an array or tensor of inputs (rows first), or a pair
    of inputs and labels. shape: shape of one input, if the data are a table and the module expects images.
    initialization, bias: how parameters were drawn, for probabilities; None for none. optimizer: a name,
    `package.module:Class` or a property such as D. budget: multiplications of long integers. name, seed: what the
    result calls the module, and the seed that made it.

    Rigour:   dead and alive are proved on the exact parameters and data; risks are lower bounds; probabilities are
              enclosures, with their evidence.
    Fails:    InvalidInput, one sentence, if the module cannot be followed, has no ReLU or other nonlinearities, or does
              not fit the data.
    """
    started = time.perf_counter()
    called = name or type(module).__name__
    law = None if initialization is None else parse_initialization(initialization, bias)
    asked = asked_optimizer(optimizer)
    inputs = _inputs(data, shape)
    traced = trace(module, inputs.balls(0, min(BATCH, inputs.rows)).centre, inputs.shape, called)
    program = traced.program
    decisions = decide(program, inputs, budget)
    layers = tuple(_layer(program, i, decision) for i, decision in zip(program.relus, decisions.layers, strict=True))
    plain, why_not_plain = _plain(program, layers, inputs)
    affine = program.plain_layers()
    implied, why_nothing = _implied(plain, why_not_plain, asked)
    chance, why_no_chance = _chance(plain, why_not_plain, law)
    helps: tuple[Advice, ...] = ()
    if isinstance(plain, Plain) and law is not None and chance is not None:
        helps = advice(plain, law, chance, _standardized(data))
    tensors = list(module.parameters())
    return Scan(
        target=called,
        seed=seed,
        parameters=sum(each.numel() for each in tensors),
        dtypes=tuple(dict.fromkeys(str(each.dtype).removeprefix("torch.") for each in tensors)),
        data=inputs.name,
        inputs=inputs.rows,
        input_shape=inputs.shape,
        layers=layers,
        architecture=None if isinstance(affine, str) else _widths(affine),
        why_not_plain=affine if isinstance(affine, str) else "",
        consequences=implied,
        why_no_consequences=why_nothing,
        probability=chance,
        why_no_probability=why_no_chance,
        advice=helps,
        notes=traced.notes,
        looked_at=decisions.looked_at,
        exactly=decisions.exactly,
        seconds=time.perf_counter() - started,
    )


def _inputs(data: Any, shape: tuple[int, ...] | None) -> ScanInputs:
    if isinstance(data, DataSpec):
        return load_inputs(data, shape)
    if isinstance(data, DataSet):
        return ExactInputs(data, (data.input_dim,) if shape is None else shape)
    if isinstance(data, tuple | list) and len(data) == 2 and not np.isscalar(data[0]):
        return of_arrays(data[0], data[1], shape)
    return of_arrays(data, None, shape)


def _standardized(data: Any) -> Callable[[], DataSet] | None:
    if not isinstance(data, DataSpec) or data.scale == "standard":
        return None
    return lambda: load_data(replace(data, scale="standard"))


# --- layers ------------------------------------------------------------------------------------------------------


def _layer(program: Program, position: int, decision: Decision) -> LayerScan:
    relu = program.nodes[position]
    if not isinstance(relu, Relu):
        raise TypeError(f"node {position} is no ReLU")
    after, channel_axis = _made_by(program, position, len(relu.shape))
    extents = (
        (Extent.EVERYWHERE, decision.signs.everywhere),
        (Extent.NONNEGATIVE, decision.signs.nonnegative),
        (Extent.BOX, decision.signs.box),
    )
    dead = []
    for unit in np.flatnonzero(decision.dead).tolist():
        extent = next((name for name, holds in extents if holds[unit]), Extent.DATA)
        dead.append(DeadUnit(_place(unit, relu.shape), extent, bool(decision.signs.structural[unit])))
    undecided = np.flatnonzero(~decision.dead & ~decision.alive).tolist()
    return LayerScan(
        number=relu.number,
        name=relu.place,
        own=relu.own,
        after=after,
        shape=relu.shape,
        channel_axis=channel_axis,
        alive=int(decision.alive.sum()),
        dead=tuple(dead),
        undecided=tuple(_place(unit, relu.shape) for unit in undecided),
    )


def _place(unit: int, shape: tuple[int, ...]) -> Position:
    return tuple(int(k) for k in np.unravel_index(unit, shape)) if shape else (unit,)


def _made_by(program: Program, position: int, axes: int) -> tuple[str, int]:
    """The module whose linear map a ReLU follows, "" if several do; and the axis of its channels."""
    node = program.nodes[position]
    while len(node.sources) == 1:
        node = program.nodes[node.sources[0]]
        if isinstance(node, Affine):
            return node.place, max(axes - 1, 0)
        if isinstance(node, Windows):
            return node.place, max(axes - 1, 0) if node.channels_last else 0
    return "", 0


# --- meaning -----------------------------------------------------------------------------------------------------


def _widths(affine: tuple[Affine, ...]) -> tuple[int, ...]:
    return (affine[0].weight.shape[1], *(len(each.weight) for each in affine))


def _plain(program: Program, layers: tuple[LayerScan, ...], inputs: ScanInputs) -> tuple[Plain | None, str]:
    """The network as the theorems see it, or why they do not speak of it."""
    affine = program.plain_layers()
    if isinstance(affine, str):
        return None, f"the theorems speak of plain multilayer perceptrons with biases, and {affine}"
    if inputs.data is None:
        return None, "the data have no labels here, or too many numbers for exact risks"
    architecture = Architecture(_widths(affine))
    if inputs.data.output_dim != architecture.output_dim:
        return None, (
            f"the module has {architecture.output_dim} outputs, but the data have {inputs.data.output_dim} label "
            f"column{'s' if inputs.data.output_dim > 1 else ''}"
        )
    return Plain(architecture, affine, layers, inputs.data), ""


def _implied(plain: Plain | None, why_not: str, asked: OptimizerClass | None) -> tuple[tuple[Consequence, ...], str]:
    if plain is None:
        return (), why_not
    found = consequences(plain, asked)
    return found, "" if found else "no first-layer neuron and no layer is proved dead"


def _chance(plain: Plain | None, why_not: str, law: Initialization | None) -> tuple[Probability | None, str]:
    if plain is None:
        return None, why_not
    if law is None:
        return None, "no initialization was stated"
    if not law.independent:
        return None, f"initialization {law.name} has dependent weights, for which p_1 is not known"
    return probability(plain, law), ""
