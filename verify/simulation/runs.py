"""Blocks of replicas: what is drawn, what is trained, what is counted (math §8, events and outcomes).

A *start* is an initialization of an architecture on a data set: its structural events do not depend on the optimizer,
so they are counted once. A *run* trains the first replicas of a start with one optimizer. Tasks are plain values that
can be sent to any process; their results depend on (seed, case, replica numbers) alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, fields, replace
from fractions import Fraction
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from theorems.hypotheses import Evidence, Property, Status
from theorems.laws import Initialization
from theorems.setting import Architecture, DataSet
from theorems.theorem import Event, LayerDeath
from verify.enclosure import float_down, float_up
from verify.inference import Count
from verify.optimizers.registry import resolve
from verify.optimizers.spec import OptimizerSpec
from verify.simulation.decay import curve_dead_layer, robustly_dead_layer
from verify.simulation.draw import Parameters, draw_parameters
from verify.simulation.eager import Batches, Training, TrainingRows, all_rows
from verify.simulation.engine_names import Engine, Epsilon
from verify.simulation.engines import train
from verify.simulation.final_risk import histogram
from verify.simulation.forward import (
    DeadNeurons,
    FloatData,
    find_dead,
    risk_bounds,
    structurally_dead_layer,
    surely_dead,
)
from verify.simulation.outcome import Outcome
from verify.simulation.streams import Key, Minibatches, stream_key

__all__ = [
    "CONTROL",
    "CONTROL_FIRST",
    "RunCounts",
    "RunTask",
    "Start",
    "StartCounts",
    "StartTask",
    "run_block",
    "sample_starts",
]

Bools = npt.NDArray[np.bool_]
# Replicas whose outcome is certain are trained all the same if they are among the first ones or have such a multiple as
# number: so that small audits leave nothing out, and in large ones it is seen that they stay as they are.
CONTROL_FIRST, CONTROL = 256, 8


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
    events: tuple[Event, ...] = ()


@dataclass(frozen=True)
class StartCounts:
    """Structural counts of drawn networks.

    dead_layer: networks with a dead hidden layer; dead_neurons[m]: networks with exactly m dead first-layer neurons;
    happened, lost: for each event of the task, networks in which it happened and in which that stayed undecided.
    """

    trials: int
    dead_layer: int
    dead_neurons: tuple[int, ...]
    happened: dict[Event, int]
    lost: dict[Event, int]

    @classmethod
    def total(cls, parts: Iterable[StartCounts]) -> StartCounts:
        """Add up blocks."""
        listed = list(parts)
        neurons = np.sum([part.dead_neurons for part in listed], axis=0)
        events = listed[0].happened
        return cls(
            trials=sum(part.trials for part in listed),
            dead_layer=sum(part.dead_layer for part in listed),
            dead_neurons=tuple(int(n) for n in neurons),
            happened={event: sum(part.happened[event] for part in listed) for event in events},
            lost={event: sum(part.lost[event] for part in listed) for event in events},
        )

    def count(self, event: Event) -> Count:
        """How often an event happened, and how often that stayed undecided."""
        return Count(self.happened[event], self.lost[event], self.trials)


def sample_starts(task: StartTask) -> StartCounts:
    """Draw networks and decide the structural events of each: exactly, or by enclosures that can stay undecided."""
    parameters = task.start.draw(np.arange(task.first, task.first + task.count))
    look = _Look(parameters, _float_data(task.start.data))
    width = task.start.architecture.hidden[0]
    neurons = np.bincount(look.dead.first.sum(axis=1), minlength=width + 1)
    seen = {event: look.happened(event) for event in task.events}
    return StartCounts(
        trials=task.count,
        dead_layer=int((look.dead.layer > 0).sum()),
        dead_neurons=tuple(int(n) for n in neurons),
        happened={event: int(yes.sum()) for event, (yes, _) in seen.items()},
        lost={event: int(unsure.sum()) for event, (_, unsure) in seen.items()},
    )


@dataclass(frozen=True)
class RunTask:
    """Train replicas `first … first + count - 1` of a start with one optimizer.

    Symbols: batch None means all rows; event is the structural event whose persistence is followed; reachable = U, a
    certified upper bound of the optimal risk; risks are looked at initially, every `look_every` steps and at the end;
    engine trains them; epsilon is Adam's convention; skip_certain: of the replicas whose outcome is certain
    (`_certain`), after the first CONTROL_FIRST only one in CONTROL is trained.
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
    engine: Engine = Engine.EAGER
    epsilon: Epsilon = "torch"
    skip_certain: bool = False

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """Step numbers at which risks are looked at."""
        return tuple(sorted({0, self.steps, *range(0, self.steps + 1, self.look_every)}))


@dataclass(frozen=True)
class RunCounts:
    """Counts of trained networks.

    event: structural event at the start (event_undecided: could not be decided); kept: of those, networks in which
    as much is dead at the end; claimed: event by a margin above float rounding, so that (F) promises frozen
    bits; persistent: of those with finite parameters at the end, how many had the same neurons bit for bit unmoved;
    non_finite: networks that left the reals; risk_event: `min R > U` at all looks; risk_undecided: too close to call,
    or above U until the network left the reals; certain: not trained, since training could change nothing of what is
    counted (they are in all other counts but claimed, persistent, non_finite and final_risks, which only training
    tells); final_risks: how many ended in which bin of `final_risk.histogram`.
    """

    trials: int
    event: int
    event_undecided: int
    kept: int
    claimed: int
    persistent: int
    non_finite: int
    risk_event: int
    risk_undecided: int
    outcomes: dict[str, int] = field(default_factory=dict)
    certain: int = 0
    final_risks: dict[str, int] = field(default_factory=dict)

    @classmethod
    def total(cls, parts: Iterable[RunCounts]) -> RunCounts:
        """Add up blocks."""
        listed = list(parts)
        names = [part.name for part in fields(cls) if part.name not in ("outcomes", "final_risks")]
        numbers = {name: sum(getattr(part, name) for part in listed) for name in names}
        outcomes = {outcome.value: sum(part.outcomes[outcome.value] for part in listed) for outcome in Outcome}
        ended = sum((Counter(part.final_risks) for part in listed), Counter[str]())
        return cls(**numbers, outcomes=outcomes, final_risks={bin: ended[bin] for bin in sorted(ended, key=int)})


def run_block(task: RunTask) -> RunCounts:
    """Train one block and count. Fails: InvalidInput if a foreign optimizer's step raises."""
    replicas = np.arange(task.first, task.first + task.count)
    if not task.skip_certain:
        return _train_and_count(task, replicas)
    skipped = _certain(task, replicas) & (replicas >= CONTROL_FIRST) & (replicas % CONTROL != 0)
    known = _counts_of_certain(int(skipped.sum()))
    return known if skipped.all() else RunCounts.total([known, _train_and_count(task, replicas[~skipped])])


def _certain(task: RunTask, replicas: npt.NDArray[np.int64]) -> Bools:
    """Which replicas need no training: a layer is dead above rounding, the optimizer has (FB) by proof, U < nu+V.

    Source:   math §3: under (FB) such a layer and those below it stay as they are, so that the network is constant
              for ever, and no constant has a risk below `nu + V`.
    Rigour:   a statement about real numbers: a float run could still leave the reals by its output bias.
    """
    start, nothing = task.start, np.zeros(len(replicas), dtype=bool)
    finding = resolve(task.optimizer, prove=False).properties.about(Property.FB)
    frozen = finding.status is Status.HOLDS and finding.evidence is Evidence.PROVED
    if not frozen or task.event.layer is None or task.reachable >= start.data.noise_floor + start.data.variance:
        return nothing
    initial, data = start.draw(replicas), _float_data(start.data)
    dead: Bools = _frozen_layer(initial, surely_dead(initial, data, start.dtype), task.event) > 0
    return dead & _Look(initial, data).happened(task.event)[0]


def _counts_of_certain(count: int) -> RunCounts:
    outcomes = {outcome.value: count if outcome is Outcome.DEAD_AT_INITIALIZATION else 0 for outcome in Outcome}
    return RunCounts(
        trials=count,
        event=count,
        event_undecided=0,
        kept=count,
        claimed=0,
        persistent=0,
        non_finite=0,
        risk_event=count,
        risk_undecided=0,
        outcomes=outcomes,
        certain=count,
    )


def _train_and_count(task: RunTask, replicas: npt.NDArray[np.int64]) -> RunCounts:
    """Train replicas with these numbers, at least one, and count."""
    data, count = _float_data(task.start.data), len(replicas)
    initial = task.start.draw(replicas)
    lowest = np.full(count, np.inf)
    highest = np.full(count, np.inf)
    final, ended = initial, lowest
    for parameters in _trajectory(task, initial, replicas):
        risks = risk_bounds(parameters, data)
        lowest, highest = np.minimum(lowest, risks.lower), np.minimum(highest, risks.upper)
        final, ended = parameters, (risks.lower + risks.upper) / 2
    finite = _finite(final)
    at_start, unsure = _Look(initial, data).happened(task.event)
    at_end, kept = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    later = _Look(_select(final, finite), data)
    at_end[finite], kept[finite] = later.happened(task.event)[0], later.happened(_promised_later(task.event))[0]
    sure = surely_dead(initial, data, task.start.dtype)
    claimed = _surely_happened(initial, sure, task.event) & finite
    # a run that left the reals has infinite risk from then on only because floats overflow: it decides nothing
    above, below = finite & (lowest > float_up(task.reachable)), highest <= float_down(task.reachable)
    return RunCounts(
        trials=count,
        event=int(at_start.sum()),
        event_undecided=int(unsure.sum()),
        kept=int((at_start & kept).sum()),
        claimed=int(claimed.sum()),
        persistent=int((claimed & _unmoved(initial, final, sure, task.event)).sum()),
        non_finite=int((~finite).sum()),
        risk_event=int(above.sum()),
        risk_undecided=int((~above & ~below).sum()),
        outcomes=_outcomes(at_start, at_end, above, below),
        final_risks=histogram(ended, task.start.data),
    )


def _trajectory(task: RunTask, initial: Parameters, replicas: npt.NDArray[np.int64]) -> Iterable[Parameters]:
    start = task.start
    batches: Batches = all_rows
    if task.batch is not None:
        key = start.key("minibatches", task.optimizer.label)
        batches = Minibatches(key, replicas, task.steps, task.batch, start.data.n_rows)
    training = Training(
        _training_rows(start.data, start.dtype, task.device),
        resolve(task.optimizer, prove=False),
        start.architecture,
        task.checkpoints,
        batches,
        lambda r: start.key("optimizer", task.optimizer.label, int(replicas[r]))[0],
        task.epsilon,
    )
    return train(initial, training, engine=task.engine, batch=task.batch)


class _Look:
    """Structural events of a block of networks; what several events need is computed once."""

    def __init__(self, parameters: Parameters, data: FloatData) -> None:
        self.parameters, self.data = parameters, data
        self._curve_dead: dict[LayerDeath, tuple[npt.NDArray[np.int64], Bools]] = {}

    @cached_property
    def dead(self) -> DeadNeurons:
        return find_dead(self.parameters, self.data)

    def happened(self, event: Event) -> tuple[Bools, Bools]:
        """In which networks an event happened, and in which that stayed undecided."""
        first = self._first(event)
        yes = np.zeros(len(first), dtype=bool)
        unsure = np.zeros(len(first), dtype=bool)
        if event.neurons is not None:
            yes |= first.sum(axis=1) >= event.neurons
        if event.layer is not None:
            layer, unsure = self._layer(event.layer, first)
            yes |= layer > 0
        return yes, unsure & ~yes

    def _first(self, event: Event) -> Bools:
        """The dead first-layer neurons that count."""
        return self.dead.first & (self.parameters[0].bias <= 0) if event.nonpositive_bias else self.dead.first

    def _layer(self, death: LayerDeath, first: Bools) -> tuple[npt.NDArray[np.int64], Bools]:
        """Number of the first hidden layer that is dead in this sense, 0 if none; and where that is undecided."""
        nowhere = np.zeros(len(first), dtype=bool)
        match death:
            case LayerDeath.DEAD:
                return self.dead.layer, nowhere
            case LayerDeath.STRUCTURAL:
                return structurally_dead_layer(self.parameters, first), nowhere
            case LayerDeath.ROBUST:
                return robustly_dead_layer(self.parameters, self.data), nowhere
            case LayerDeath.JOINT | LayerDeath.WEIGHTS:
                if death not in self._curve_dead:
                    self._curve_dead[death] = curve_dead_layer(self.parameters, self.data, death)
                return self._curve_dead[death]


def _promised_later(event: Event) -> Event:
    """What an event at initialization promises of the trained network: so many dead neurons, or a dead layer."""
    return replace(event, layer=None if event.layer is None else LayerDeath.DEAD)


def _surely_happened(parameters: Parameters, sure: DeadNeurons, event: Event) -> Bools:
    """Where so much is dead by a margin above float rounding that (F) promises frozen bits."""
    yes = np.zeros(len(sure.layer), dtype=bool)
    if event.neurons is not None:
        yes |= sure.first.sum(axis=1) >= event.neurons
    if event.layer is not None:
        yes |= _frozen_layer(parameters, sure, event) > 0
    return yes


def _frozen_layer(parameters: Parameters, dead: DeadNeurons, event: Event) -> npt.NDArray[np.int64]:
    """The first layer that is dead; all of its parameters and those below it are frozen under (FB)."""
    if event.layer is LayerDeath.STRUCTURAL:
        return structurally_dead_layer(parameters, dead.first)
    return dead.layer


def _unmoved(initial: Parameters, final: Parameters, dead: DeadNeurons, event: Event) -> Bools:
    """Whether what Lemmas 1, 2 freeze has the same bits: dead first-layer neurons, and layers up to the first dead."""
    rows = _same_bits(initial[0].weight, final[0].weight).all(axis=2) & _same_bits(initial[0].bias, final[0].bias)
    still: Bools = np.all(rows | ~dead.first, axis=1)
    if event.layer is None:
        return still
    last = _frozen_layer(initial, dead, event)
    for number, (before, after) in enumerate(zip(initial[:-1], final[:-1], strict=True), start=1):
        same = _same_bits(before.weight, after.weight).all(axis=(1, 2))
        same &= _same_bits(before.bias, after.bias).all(axis=1)
        still &= np.where(number > last, True, same)
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
