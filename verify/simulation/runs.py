"""Blocks of replicas: what is drawn, what is trained, what is counted (math §8, events and outcomes).

A *start* is an initialization of an architecture on a data set: its structural events do not depend on the optimizer,
so they are counted once. A *run* trains the first replicas of a start with one optimizer. Tasks are plain values that
can be sent to any process; their results depend on (seed, case, replica numbers) alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from theorems.laws import Initialization
from theorems.setting import Architecture, DataSet
from theorems.theorem import Event, EventKind
from verify.enclosure import float_down, float_up
from verify.optimizers import OptimizerSpec, resolve
from verify.simulation.draw import Parameters, draw_parameters
from verify.simulation.eager import TrainingRows, train
from verify.simulation.forward import (
    DeadNeurons,
    FloatData,
    find_dead,
    risk_bounds,
    structurally_dead_layer,
    surely_dead,
)
from verify.simulation.streams import Key, minibatch_rows, stream_key

__all__ = ["Outcome", "RunCounts", "RunTask", "Start", "StartCounts", "StartTask", "run_block", "sample_starts"]

Bools = npt.NDArray[np.bool_]


class Outcome(Enum):
    """What became of a trained replica; every replica gets exactly one, tested in this order."""

    DEAD_AT_INITIALIZATION = "dead at initialization"
    DIED_LATER = "died later"
    RISK_NOT_REACHED = "alive, risk not reached"
    RISK_REACHED = "risk reached"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Start:
    """What initial networks are drawn from, and on which data they are looked at."""

    architecture: Architecture
    initialization: Initialization
    data: DataSet
    dtype: str
    seed: int

    def key(self, *more: object) -> Key:
        """The key of this start's streams; `more` distinguishes streams that must be independent."""
        return stream_key(self.seed, self.architecture, self.initialization.name, self.data.name, *more)

    def draw(self, replicas: npt.NDArray[np.int64]) -> Parameters:
        """Draw the networks with these replica numbers."""
        key = self.key("initialization")
        return draw_parameters(self.initialization, self.architecture, key, replicas, self.dtype)


@dataclass(frozen=True)
class StartTask:
    """Draw replicas `first … first + count - 1` of a start and count structural events."""

    start: Start
    first: int
    count: int


@dataclass(frozen=True)
class StartCounts:
    """Structural counts of drawn networks.

    dead_layer, structurally_dead_layer: networks with such a hidden layer; dead_neurons[m]: networks with exactly m
    dead first-layer neurons.
    """

    trials: int
    dead_layer: int
    structurally_dead_layer: int
    dead_neurons: tuple[int, ...]

    @classmethod
    def total(cls, parts: Iterable[StartCounts]) -> StartCounts:
        """Add up blocks."""
        listed = list(parts)
        neurons = np.sum([part.dead_neurons for part in listed], axis=0)
        return cls(
            trials=sum(part.trials for part in listed),
            dead_layer=sum(part.dead_layer for part in listed),
            structurally_dead_layer=sum(part.structurally_dead_layer for part in listed),
            dead_neurons=tuple(int(n) for n in neurons),
        )

    def count(self, event: Event) -> int:
        """Number of drawn networks in which a structural event happened."""
        match event.kind:
            case EventKind.DEAD_LAYER:
                return self.dead_layer
            case EventKind.STRUCTURALLY_DEAD_LAYER:
                return self.structurally_dead_layer
            case EventKind.DEAD_FIRST_LAYER_NEURONS:
                return sum(self.dead_neurons[event.count :])


def sample_starts(task: StartTask) -> StartCounts:
    """Draw networks and decide the structural events of each exactly."""
    parameters = task.start.draw(np.arange(task.first, task.first + task.count))
    dead = find_dead(parameters, _float_data(task.start.data))
    width = task.start.architecture.hidden[0]
    neurons = np.bincount(dead.first.sum(axis=1), minlength=width + 1)
    return StartCounts(
        trials=task.count,
        dead_layer=int((dead.layer > 0).sum()),
        structurally_dead_layer=int((structurally_dead_layer(parameters, dead.first) > 0).sum()),
        dead_neurons=tuple(int(n) for n in neurons),
    )


@dataclass(frozen=True)
class RunTask:
    """Train replicas `first … first + count - 1` of a start with one optimizer.

    Symbols: batch None means all rows; event is the structural event whose persistence is followed; reachable = U, a
    certified upper bound of the optimal risk; risks are looked at initially, every `look_every` steps and at the end.
    """

    start: Start
    optimizer: OptimizerSpec
    event: Event
    reachable: Fraction
    steps: int
    batch: int | None
    look_every: int
    device: str
    first: int
    count: int

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """Step numbers at which risks are looked at."""
        return tuple(sorted({0, self.steps, *range(0, self.steps + 1, self.look_every)}))


@dataclass(frozen=True)
class RunCounts:
    """Counts of trained networks.

    event: structural event at the start; claimed: event by a margin above float rounding, so that (F) promises frozen
    bits; persistent: of those with finite parameters at the end, how many had the same neurons bit for bit unmoved;
    non_finite: networks that left the reals; risk_event: `min R > U` at all looks; risk_undecided: too close to call,
    or above U until the network left the reals.
    """

    trials: int
    event: int
    claimed: int
    persistent: int
    non_finite: int
    risk_event: int
    risk_undecided: int
    outcomes: dict[str, int] = field(default_factory=dict)

    @classmethod
    def total(cls, parts: Iterable[RunCounts]) -> RunCounts:
        """Add up blocks."""
        listed = list(parts)
        numbers = {
            name: sum(getattr(part, name) for part in listed)
            for name in ("trials", "event", "claimed", "persistent", "non_finite", "risk_event", "risk_undecided")
        }
        outcomes = {outcome.value: sum(part.outcomes[outcome.value] for part in listed) for outcome in Outcome}
        return cls(**numbers, outcomes=outcomes)


def run_block(task: RunTask) -> RunCounts:
    """Train one block and count. Fails: InvalidInput if a foreign optimizer's step raises."""
    data = _float_data(task.start.data)
    replicas = np.arange(task.first, task.first + task.count)
    initial = task.start.draw(replicas)
    lowest = np.full(task.count, np.inf)
    highest = np.full(task.count, np.inf)
    final = initial
    for parameters in _trajectory(task, initial, replicas):
        risks = risk_bounds(parameters, data)
        lowest, highest = np.minimum(lowest, risks.lower), np.minimum(highest, risks.upper)
        final = parameters
    finite = _finite(final)
    at_start = _happened(initial, find_dead(initial, data), task.event)
    at_end = np.zeros(task.count, dtype=bool)
    survivors = _select(final, finite)
    at_end[finite] = _happened(survivors, find_dead(survivors, data), task.event)
    sure = surely_dead(initial, data, task.start.dtype)
    claimed = _happened(initial, sure, task.event) & finite
    # a run that left the reals has infinite risk from then on only because floats overflow: it decides nothing
    above, below = finite & (lowest > float_up(task.reachable)), highest <= float_down(task.reachable)
    return RunCounts(
        trials=task.count,
        event=int(at_start.sum()),
        claimed=int(claimed.sum()),
        persistent=int((claimed & _unmoved(initial, final, sure, task.event)).sum()),
        non_finite=int((~finite).sum()),
        risk_event=int(above.sum()),
        risk_undecided=int((~above & ~below).sum()),
        outcomes=_outcomes(at_start, at_end, above, below),
    )


def _trajectory(task: RunTask, initial: Parameters, replicas: npt.NDArray[np.int64]) -> Iterable[Parameters]:
    start = task.start
    batches = None
    if task.batch is not None and task.steps > 0:
        key = start.key("minibatches", task.optimizer.label)
        batches = minibatch_rows(key, replicas, task.steps, task.batch, start.data.n_rows)
    return train(
        initial,
        _training_rows(start.data, start.dtype, task.device),
        resolve(task.optimizer),
        start.architecture,
        lambda step: None if batches is None else batches[step - 1],
        task.checkpoints,
        lambda r: start.key("optimizer", task.optimizer.label, task.first + r)[0],
    )


def _happened(parameters: Parameters, dead: DeadNeurons, event: Event) -> Bools:
    if event.kind is EventKind.DEAD_FIRST_LAYER_NEURONS:
        enough: Bools = dead.first.sum(axis=1) >= event.count
        return enough
    return _dead_layer(parameters, dead, event) > 0


def _dead_layer(parameters: Parameters, dead: DeadNeurons, event: Event) -> npt.NDArray[np.int64]:
    if event.kind is EventKind.STRUCTURALLY_DEAD_LAYER:
        return structurally_dead_layer(parameters, dead.first)
    return dead.layer


def _unmoved(initial: Parameters, final: Parameters, dead: DeadNeurons, event: Event) -> Bools:
    """Whether what Lemmas 1, 2 freeze has the same bits: dead first-layer neurons, or layers up to the first dead."""
    still = np.ones(len(dead.layer), dtype=bool)
    if event.kind is EventKind.DEAD_FIRST_LAYER_NEURONS:
        rows = _same_bits(initial[0].weight, final[0].weight).all(axis=2) & _same_bits(initial[0].bias, final[0].bias)
        return still & (rows | ~dead.first).all(axis=1)
    last = _dead_layer(initial, dead, event)
    for number, (before, after) in enumerate(zip(initial[:-1], final[:-1], strict=True), start=1):
        same = _same_bits(before.weight, after.weight).all(axis=(1, 2))
        still &= (same & _same_bits(before.bias, after.bias).all(axis=1)) | (number > last)
    return still


def _same_bits(before: npt.NDArray[np.float64], after: npt.NDArray[np.float64]) -> Bools:
    """Same numbers bit for bit; a zero may change its sign, which no later step can tell."""
    same: Bools = np.ascontiguousarray(before).view(np.int64) == np.ascontiguousarray(after).view(np.int64)
    same |= (before == 0) & (after == 0)
    return same


def _finite(parameters: Parameters) -> Bools:
    finite = np.ones(len(parameters[0].bias), dtype=bool)
    for layer in parameters:
        finite &= np.isfinite(layer.weight).all(axis=(1, 2)) & np.isfinite(layer.bias).all(axis=1)
    return finite


def _select(parameters: Parameters, chosen: Bools) -> Parameters:
    return tuple(type(layer)(layer.weight[chosen], layer.bias[chosen]) for layer in parameters)


def _outcomes(at_start: Bools, at_end: Bools, above: Bools, below: Bools) -> dict[str, int]:
    left = np.ones(len(at_start), dtype=bool)
    counts = {}
    for outcome, happened in (
        (Outcome.DEAD_AT_INITIALIZATION, at_start),
        (Outcome.DIED_LATER, at_end),
        (Outcome.RISK_NOT_REACHED, above),
        (Outcome.RISK_REACHED, below),
        (Outcome.UNDECIDED, np.ones(len(at_start), dtype=bool)),
    ):
        counts[outcome.value] = int((left & happened).sum())
        left &= ~happened
    return counts


@lru_cache(maxsize=16)
def _float_data(data: DataSet) -> FloatData:
    return FloatData.of(data)


@lru_cache(maxsize=16)
def _training_rows(data: DataSet, dtype: str, device: str) -> TrainingRows:
    return TrainingRows.of(data, dtype, device)
