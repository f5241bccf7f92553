"""What is timed: the engines of nonconv, and other ways of stepping many small networks, each as an optional extra.

Every contender trains the same replicas of a workload for some steps; building and compiling are not timed.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_diabetes

from theorems.laws import parse_initialization
from theorems.setting import Architecture, DataSet
from verify.optimizers.registry import ResolvedOptimizer, resolve
from verify.optimizers.spec import OptimizerSpec
from verify.simulation.draw import Parameters
from verify.simulation.eager import Batches, Training, TrainingRows, all_rows
from verify.simulation.engine_names import Engine
from verify.simulation.engines import supports, train
from verify.simulation.runs import Start
from verify.simulation.streams import Minibatches

__all__ = ["CONTENDERS", "OPTIMIZERS", "WORKLOADS", "Prepared", "Workload", "prepare"]

OPTIMIZERS = ("sgd", "adam")
LR = 0.01
Run = Callable[[int], object]


@dataclass(frozen=True)
class Workload:
    """An architecture, data, and how many replicas are trained; batch None means all rows."""

    architecture: str
    points: int
    replicas: int
    batch: int | None = None

    @property
    def flops(self) -> int:
        """Of the gradient of one network: two for each weight and point forward, two back, two below the first layer.

        relu, its derivative and the residual count one each for a neuron and point, as an addition does.
        """
        widths = Architecture.parse(self.architecture).widths
        pairs = list(pairwise(widths))
        weights = sum(a * b for a, b in pairs)
        below = sum(a * b for a, b in pairs[1:])
        units = sum(widths[1:-1])
        return (self.batch or self.points) * (4 * weights + 2 * below + 4 * units + 4 * widths[-1])

    def data(self) -> DataSet:
        """`x^2 + 2x` on a grid of [0, 1]; for ten inputs the diabetes data."""
        if Architecture.parse(self.architecture).input_dim == 10:
            x, y = load_diabetes(return_X_y=True)
            rows = [[Fraction(float(v)) for v in row] for row in x]
            return DataSet.from_rows("diabetes", rows, [[Fraction(float(v) / 100)] for v in y])
        xs = [Fraction(i, self.points - 1) for i in range(self.points)]
        return DataSet.from_rows("x**2 + 2*x", [(x,) for x in xs], [(x**2 + 2 * x,) for x in xs])


WORKLOADS = {
    "W1": Workload("1,32,1", 64, 2048),
    "W2": Workload("1,32,1", 1024, 300),
    "W3": Workload("1,50,50,1", 1024, 300),
    "W4": Workload("1,4*8,1", 64, 4096),
    "W5": Workload("10,64,1", 442, 512, 32),
}


@dataclass(frozen=True)
class Prepared:
    """A workload with an optimizer, drawn and resolved."""

    workload: Workload
    start: Start
    initial: Parameters
    rows: TrainingRows
    optimizer: ResolvedOptimizer

    def batches(self, steps: int) -> Batches:
        """The rows of each step."""
        batch = self.workload.batch
        if batch is None:
            return all_rows
        return Minibatches((1, 2), np.arange(self.workload.replicas), steps, batch, self.start.data.n_rows)


def prepare(name: str, optimizer: str) -> Prepared:
    """Draw He-normal weights, zero biases, in float32."""
    workload = WORKLOADS[name]
    law = parse_initialization("he_normal")
    start = Start(Architecture.parse(workload.architecture), law, workload.data(), "float32", 1)
    return Prepared(
        workload,
        start,
        start.draw(np.arange(workload.replicas)),
        TrainingRows.of(start.data, "float32", "cpu"),
        resolve(OptimizerSpec(optimizer, {"lr": LR}), prove=False),
    )


def _engine(engine: Engine, device: str = "cpu") -> Callable[[Prepared, int], Run | str]:
    def build(case: Prepared, threads: int) -> Run | str:
        if device == "cuda" and not torch.cuda.is_available():
            return "no CUDA device"
        architecture, batch = case.start.architecture, case.workload.batch
        rows = TrainingRows(case.rows.inputs.to(device), case.rows.labels.to(device))
        reason = supports(engine, architecture, rows, case.optimizer, batch)
        if reason is not None:
            return reason

        def run(steps: int) -> object:
            training = Training(rows, case.optimizer, architecture, (steps,), case.batches(steps))
            return list(train(case.initial, training, engine=engine, batch=batch, threads=threads))

        return run

    return build


def _tensors(case: Prepared) -> list[torch.Tensor]:
    """Weights (replicas, out, in) and biases (replicas, out, 1), layer after layer."""
    made = []
    for layer in case.initial:
        made += [
            torch.tensor(layer.weight, dtype=torch.float32),
            torch.tensor(layer.bias[:, :, None], dtype=torch.float32),
        ]
    return made


def _torch_compile(case: Prepared, threads: int) -> Run | str:
    """A hand-written step on stacked tensors, gradient and update in one graph."""
    if case.workload.batch is not None:
        return "full batches only"
    x, y = case.rows.inputs.T[None].contiguous(), case.rows.labels.T[None].contiguous()

    def loss(parameters: list[torch.Tensor]) -> torch.Tensor:
        h = x.expand(len(parameters[0]), -1, -1)
        for number in range(0, len(parameters), 2):
            h = parameters[number] @ h + parameters[number + 1]
            h = torch.relu(h) if number + 2 < len(parameters) else h
        return ((h - y) ** 2).sum() / y.shape[-1]

    gradient = torch.func.grad(loss)
    adam = case.optimizer.spec.target == "adam"

    def step(state: list[list[torch.Tensor]], t: torch.Tensor) -> list[list[torch.Tensor]]:
        theta, m, v = state
        slopes = gradient(theta)
        if not adam:
            return [[p - LR * g for p, g in zip(theta, slopes, strict=True)], m, v]
        m = [0.9 * a + 0.1 * g for a, g in zip(m, slopes, strict=True)]
        v = [0.999 * a + 0.001 * g * g for a, g in zip(v, slopes, strict=True)]
        first, second = 1 - 0.9**t, 1 - 0.999**t
        moves = [LR * a / first / (torch.sqrt(b / second) + 1e-8) for a, b in zip(m, v, strict=True)]
        return [[p - d for p, d in zip(theta, moves, strict=True)], m, v]

    torch.compiler.reset()  # else earlier workloads count as recompilations of this one, and the ninth runs eagerly
    compiled = torch.compile(step)

    def run(steps: int) -> object:
        torch.set_num_threads(threads)
        theta = _tensors(case)
        state = [theta, [torch.zeros_like(p) for p in theta], [torch.zeros_like(p) for p in theta]]
        for t in range(1, steps + 1):
            state = compiled(state, torch.tensor(float(t)))
        return state

    return run


def _jax(case: Prepared, threads: int) -> Run | str:
    """`jit(scan(vmap(grad)))`; all cores, whatever `threads` says."""
    if importlib.util.find_spec("jax") is None:
        return "jax is not installed"
    if case.workload.batch is not None:
        return "full batches only"
    import jax
    import jax.numpy as jnp

    x, y = jnp.asarray(case.rows.inputs.numpy()), jnp.asarray(case.rows.labels.numpy())
    theta = [(jnp.asarray(a.weight, jnp.float32), jnp.asarray(a.bias, jnp.float32)) for a in case.initial]
    adam = case.optimizer.spec.target == "adam"

    def loss(layers: Any) -> Any:
        h = x
        for number, (weight, bias) in enumerate(layers, start=1):
            h = h @ weight.T + bias
            h = jax.nn.relu(h) if number < len(layers) else h
        return ((h - y) ** 2).mean()

    def step(state: Any, t: Any) -> Any:
        now, m, v = state
        slopes = jax.vmap(jax.grad(loss))(now)
        if not adam:
            return (jax.tree.map(lambda p, g: p - LR * g, now, slopes), m, v), None
        m = jax.tree.map(lambda a, g: 0.9 * a + 0.1 * g, m, slopes)
        v = jax.tree.map(lambda a, g: 0.999 * a + 0.001 * g * g, v, slopes)
        first, second = 1 - 0.9**t, 1 - 0.999**t
        moved = jax.tree.map(lambda p, a, b: p - LR * a / first / (jnp.sqrt(b / second) + 1e-8), now, m, v)
        return (moved, m, v), None

    zeros = jax.tree.map(jnp.zeros_like, theta)
    scan = jax.jit(lambda state, ts: jax.lax.scan(step, state, ts)[0])
    return lambda steps: jax.block_until_ready(scan((theta, zeros, zeros), jnp.arange(1.0, steps + 1)))


CONTENDERS: dict[str, Callable[[Prepared, int], Run | str]] = {
    "eager": _engine(Engine.EAGER),
    "fused": _engine(Engine.FUSED),
    "exact1d": _engine(Engine.EXACT1D),
    "eager-gpu": _engine(Engine.EAGER, "cuda"),
    "fused-gpu": _engine(Engine.GPU, "cuda"),
    "torch.compile": _torch_compile,
    "jax": _jax,
}
