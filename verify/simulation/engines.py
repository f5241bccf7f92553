"""The engines that train blocks of replicas, and which of them is used.

eager steps the user's real optimizer and can train everything; fused and exact1d are compiled (`verify.simulation.
fused`) and train what they support up to rounding as eager does, with the same rows in every minibatch; gpu does so on
a CUDA device (`verify.simulation.gpu`). `auto` takes the fastest that supports a case on its device; what it chose, and
why not a faster one, is said.

Updates of fused and exact1d set results below the normal range to 0, on x86 processors, where eager keeps subnormal
numbers: momenta of dead neurons decay to such numbers, and they move no parameter of normal size. Their float32
quotients are, on processors with AVX-512, within 1.6 units in the last place of the exact ones, where IEEE 754 asks for
0.5; roots, float64, and which results are 0, infinite or NaN are IEEE 754's. Without a C compiler, the system's or that
of the package ziglang, `auto` is eager: the kernels' one source is C, and the same loops in numba reached about a third
of their speed on the workload W1 of `benchmarks/` and a tenth on W4, though nearly all of it on W2 once tuned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from theorems.errors import InvalidInput
from theorems.setting import Architecture
from verify.optimizers.registry import ResolvedOptimizer
from verify.simulation import eager
from verify.simulation.draw import Parameters
from verify.simulation.eager import Training, TrainingRows
from verify.simulation.engine_names import Engine
from verify.simulation.fused import engine as fused
from verify.simulation.fused import exact1d
from verify.simulation.fused.compiler import Unavailable
from verify.simulation.gpu import engine as gpu

__all__ = ["Choice", "choose", "supports", "train"]


FASTEST_FIRST = (Engine.EXACT1D, Engine.FUSED)
_FEW_POINTS = 48
"""Below so many points, brute force takes no longer than marching through the linear pieces."""


@dataclass(frozen=True)
class Choice:
    """The engine that is used, never `auto`, and why not a faster one (empty if there is none)."""

    engine: Engine
    why: str = ""


def supports(
    engine: Engine, architecture: Architecture, rows: TrainingRows, optimizer: ResolvedOptimizer, batch: int | None
) -> str | None:
    """Why an engine cannot train this, or None if it can; compiled engines are compiled for the answer."""
    if engine in (Engine.EAGER, Engine.AUTO):
        return None
    try:
        if engine is Engine.EXACT1D:
            return exact1d.reason_against(optimizer, rows, architecture, batch)
        if engine is Engine.GPU:
            return gpu.reason_against(optimizer, rows, architecture, batch)
        return fused.reason_against(optimizer, rows, architecture, batch)
    except Unavailable as error:
        return str(error)


def choose(
    engine: Engine, architecture: Architecture, rows: TrainingRows, optimizer: ResolvedOptimizer, batch: int | None
) -> Choice:
    """Choose the engine of a case.

    Fails: InvalidInput if an engine that was named cannot train this.
    """
    if engine is not Engine.AUTO:
        reason = supports(engine, architecture, rows, optimizer, batch)
        if reason is not None:
            raise InvalidInput(
                f"engine {engine.value!r} cannot train {architecture} with {optimizer.spec.label}: {reason}; "
                "expected engine 'auto' or 'eager' here"
            )
        return Choice(engine)
    why = ""
    for candidate in (Engine.GPU,) if rows.inputs.is_cuda else FASTEST_FIRST:
        if candidate is Engine.EXACT1D and len(rows.inputs) < _FEW_POINTS:
            continue
        reason = supports(candidate, architecture, rows, optimizer, batch)
        if reason is None:
            return Choice(candidate, why)
        why = f"not {candidate.value}: {reason}"
    return Choice(Engine.EAGER, why)


def train(
    start: Parameters,
    training: Training,
    *,
    engine: Engine = Engine.EAGER,
    batch: int | None = None,
    threads: int | None = None,
) -> Iterator[Parameters]:
    """Yield the parameters of a block after each checkpoint.

    batch: rows in a minibatch, None for all rows, as `training.batches` gives them; threads: of compiled engines,
    default as many as torch uses.
    Fails: InvalidInput if the engine cannot train this, or the optimizer's step raises.
    """
    chosen = choose(engine, training.architecture, training.rows, training.optimizer, batch).engine
    if chosen is Engine.EAGER:
        return eager.train(start, training)
    if chosen is Engine.GPU:
        return gpu.train(start, training)
    if chosen is Engine.FUSED:
        return fused.train(start, training, threads=threads)
    return exact1d.train(start, training, threads=threads)
