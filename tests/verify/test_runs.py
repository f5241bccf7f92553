"""Training: counts that add up, frozen bits, one network at a time against whole blocks, outcomes built by hand."""

from __future__ import annotations

import dataclasses
import math
import sys
import types
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from theorems.errors import InvalidInput
from theorems.laws import parse_initialization
from theorems.rules import C4_RULES
from theorems.setting import Architecture, DataSet
from theorems.theorem import Event, LayerDeath
from verify.inference import Count
from verify.optimizers.registry import resolve
from verify.optimizers.spec import OptimizerSpec
from verify.simulation import runs
from verify.simulation.draw import Layer, Parameters
from verify.simulation.eager import Training, TrainingRows, train
from verify.simulation.forward import FloatData, find_dead, surely_dead
from verify.simulation.outcome import Outcome
from verify.simulation.runs import RunCounts, RunTask, Start, StartCounts, StartTask, run_block, sample_starts
from verify.simulation.streams import minibatch_rows

pytestmark = pytest.mark.usefixtures("one_thread")

DEAD_LAYER = Event(LayerDeath.DEAD)
ONE_NEURON = Event(neurons=1)
TWO_NEURONS = Event(neurons=2)
STRUCTURAL = Event(LayerDeath.STRUCTURAL)
EVENTS = [DEAD_LAYER, STRUCTURAL, ONE_NEURON, TWO_NEURONS]
events = pytest.mark.parametrize("event", EVENTS, ids=str)
named = pytest.mark.parametrize("name", C4_RULES)


def data_set(name: str = "parabola") -> DataSet:
    """Eleven inputs, none a float, one of them twice with two labels."""
    inputs = [[Fraction(k, 7)] for k in range(-2, 9)] + [[Fraction(3, 7)]]
    labels = [[Fraction((k - 3) ** 2, 11)] for k in range(-2, 9)] + [[Fraction(1, 3)]]
    return DataSet.from_rows(name, inputs, labels)


DATA = data_set()


def start(
    widths: str = "1,4,3,1",
    scheme: str = "pytorch",
    bias: str | None = None,
    dtype: str = "float32",
    data: DataSet = DATA,
) -> Start:
    return Start(Architecture.parse(widths), parse_initialization(scheme, bias), data, dtype, seed=1)


def task(
    of: Start,
    optimizer: OptimizerSpec | str = "sgd",
    event: Event = ONE_NEURON,
    reachable: Fraction = Fraction(1, 10),
    steps: int = 20,
    batch: int | None = 4,
    look_every: int = 5,
    count: int = 64,
) -> RunTask:
    spec = OptimizerSpec(optimizer) if isinstance(optimizer, str) else optimizer
    return RunTask(of, spec, event, reachable, steps, batch, look_every, "cpu", 0, count)


def trajectory(of: RunTask) -> list[Parameters]:
    replicas = np.arange(of.first, of.first + of.count)
    return list(runs._trajectory(of, of.start.draw(replicas), replicas))


def same_bits(one: Parameters, other: Parameters) -> bool:
    return all(
        a.weight.shape == b.weight.shape
        and a.weight.tobytes() == b.weight.tobytes()
        and a.bias.tobytes() == b.bias.tobytes()
        for a, b in zip(one, other, strict=True)
    )


def joined(parts: list[Parameters]) -> Parameters:
    return tuple(
        Layer(np.concatenate([part[k].weight for part in parts]), np.concatenate([part[k].bias for part in parts]))
        for k in range(len(parts[0]))
    )


def flat(parameters: Parameters) -> npt.NDArray[np.float64]:
    replicas = len(parameters[0].bias)
    return np.concatenate([p.reshape(replicas, -1) for layer in parameters for p in (layer.weight, layer.bias)], axis=1)


def check_counts(counts: RunCounts, of: RunTask) -> None:
    """What must hold of any run, whatever the optimizer."""
    assert counts.trials == of.count
    assert list(counts.outcomes) == [outcome.value for outcome in Outcome]
    assert sum(counts.outcomes.values()) == of.count
    assert min(counts.outcomes.values()) >= 0
    assert counts.outcomes[Outcome.DEAD_AT_INITIALIZATION.value] == counts.event
    assert 0 <= counts.persistent <= counts.claimed <= counts.event <= of.count
    assert counts.claimed <= of.count - counts.non_finite
    assert 0 <= counts.risk_event <= counts.risk_event + counts.risk_undecided <= of.count
    assert counts.event == sample_starts(StartTask(of.start, of.first, of.count, (of.event,))).count(of.event).events


# --- the nine rules -------------------------------------------------------------------------------------------------


@named
@pytest.mark.parametrize(
    ("event", "dtype"),
    [*((event, "float32") for event in EVENTS), (DEAD_LAYER, "float64"), (ONE_NEURON, "float64")],
    ids=str,
)
def test_dead_stays_dead_under_the_nine_rules(name: str, event: Event, dtype: str) -> None:
    """Bit for bit, for all claimed replicas; and there are such replicas."""
    run = task(start(dtype=dtype), name, event, steps=10, look_every=10)
    counts = run_block(run)
    check_counts(counts, run)
    assert counts.persistent == counts.claimed > 0
    assert counts.non_finite == 0


@named
@pytest.mark.parametrize("scheme", ["he_normal", "orthogonal", "standard_normal"])
def test_dead_stays_dead_whatever_the_start(name: str, scheme: str) -> None:
    run = task(start("1,3,2,1", scheme), name, DEAD_LAYER, steps=10, look_every=10)
    counts = run_block(run)
    check_counts(counts, run)
    assert counts.persistent == counts.claimed > 0


@named
def test_persistence_is_seen_in_the_parameters(name: str) -> None:
    """`claimed` and `persistent` once more, from the trajectory itself, neuron by neuron."""
    run = task(start(), name, TWO_NEURONS)
    looks = trajectory(run)
    sure = surely_dead(looks[0], FloatData.of(DATA), "float32")
    claimed = [r for r in range(run.count) if sure.first[r].sum() >= 2]
    for r in claimed:
        for i in np.flatnonzero(sure.first[r]):
            for look in looks:
                assert look[0].weight[r, i].tobytes() == looks[0][0].weight[r, i].tobytes()
                assert look[0].bias[r, i].tobytes() == looks[0][0].bias[r, i].tobytes()
    assert run_block(run).claimed == len(claimed) > 0
    layers = [r for r in range(run.count) if sure.layer[r]]
    for r in layers:
        for k in range(sure.layer[r]):
            assert looks[-1][k].weight[r].tobytes() == looks[0][k].weight[r].tobytes()
            assert looks[-1][k].bias[r].tobytes() == looks[0][k].bias[r].tobytes()
    assert run_block(dataclasses.replace(run, event=DEAD_LAYER)).claimed == len(layers) > 0


@named
def test_the_living_move(name: str) -> None:
    """Frozen bits would be no evidence if nothing moved at all."""
    run = task(start(), name, ONE_NEURON)
    looks = trajectory(run)
    dead = find_dead(looks[0], FloatData.of(DATA))
    moved = (looks[0][0].bias != looks[-1][0].bias) & (dead.layer == 0)[:, None]
    assert moved[~dead.first].mean() > 0.8 * (dead.layer == 0).mean()


# --- blocks ---------------------------------------------------------------------------------------------------------


def blocks_of(run: RunTask, size: int) -> list[RunTask]:
    return [
        dataclasses.replace(run, first=at, count=min(size, run.first + run.count - at))
        for at in range(run.first, run.first + run.count, size)
    ]


@named
@pytest.mark.parametrize("size", [16, 7])
def test_counts_do_not_depend_on_the_blocks(name: str, size: int) -> None:
    for event, batch in ((DEAD_LAYER, 4), (ONE_NEURON, None)):
        run = task(start(), name, event, batch=batch, steps=5)
        assert RunCounts.total(run_block(block) for block in blocks_of(run, size)) == run_block(run)


@pytest.mark.parametrize("size", [16, 7, 1])
@pytest.mark.parametrize("first", [0, 2**32 - 20])
def test_structural_counts_do_not_depend_on_the_blocks(size: int, first: int) -> None:
    events = (DEAD_LAYER, STRUCTURAL, ONE_NEURON, Event(neurons=5), Event(LayerDeath.DEAD, 2))
    whole = StartTask(start(), first, 64, events)
    parts = [StartTask(start(), at, min(size, first + 64 - at), events) for at in range(first, first + 64, size)]
    counts = sample_starts(whole)
    assert StartCounts.total(sample_starts(part) for part in parts) == counts
    assert counts.trials == sum(counts.dead_neurons) == 64
    assert len(counts.dead_neurons) == 5
    assert counts.count(DEAD_LAYER) == Count(counts.dead_layer, 0, 64)
    assert counts.count(STRUCTURAL).events <= counts.dead_layer
    assert counts.count(ONE_NEURON).events == 64 - counts.dead_neurons[0]
    assert counts.count(Event(neurons=5)).events == 0
    either = counts.count(Event(LayerDeath.DEAD, 2)).events
    assert (
        max(counts.dead_layer, sum(counts.dead_neurons[2:]))
        <= either
        <= counts.dead_layer + sum(counts.dead_neurons[2:])
    )


@pytest.mark.parametrize("size", [7, 1])
@pytest.mark.parametrize("widths", ["1,4,3,1", "1,16,16,1"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [4, 32, None])
def test_trained_networks_do_not_depend_on_the_blocks(size: int, widths: str, dtype: str, batch: int | None) -> None:
    """To the bit: the result of a replica depends on the seed, the case and the replica's number alone."""
    for name in ("sgd", "adam"):
        run = task(start(widths, dtype=dtype), name, batch=batch, steps=5, count=15)
        parts = [trajectory(block)[-1] for block in blocks_of(run, size)]
        assert same_bits(joined(parts), trajectory(run)[-1])


@pytest.mark.parametrize("name", ["sgd", "adam", "nadam"])
def test_counts_do_not_depend_on_the_number_of_threads(name: str) -> None:
    run = task(start("1,16,16,1"), name, batch=32, count=32, steps=5)
    one = run_block(run), trajectory(run)[-1]
    torch.set_num_threads(2)
    two = run_block(run), trajectory(run)[-1]
    assert one[0] == two[0]
    assert same_bits(one[1], two[1])


def test_looking_more_often_changes_no_network() -> None:
    seldom = task(start(), "adam", look_every=1000)
    often = task(start(), "adam", look_every=1)
    assert seldom.checkpoints == (0, 20)
    assert often.checkpoints == tuple(range(21))
    assert same_bits(trajectory(seldom)[-1], trajectory(often)[-1])
    assert len(trajectory(often)) == 21


def test_more_steps_continue_fewer_steps() -> None:
    long = trajectory(task(start(), "nadam", steps=20, look_every=5))
    short = trajectory(task(start(), "nadam", steps=10, look_every=5))
    for one, other in zip(short, long, strict=False):
        assert same_bits(one, other)


def test_optimizers_have_their_own_minibatches_and_starts_are_shared() -> None:
    """The first look is the same for all, and rerunning gives the same; another seed gives something else."""
    initial = [trajectory(task(start(), name, steps=1))[0] for name in C4_RULES]
    assert all(same_bits(initial[0], other) for other in initial)
    run = task(start(), "sgd")
    assert run_block(run) == run_block(run)
    other = dataclasses.replace(run, start=dataclasses.replace(run.start, seed=2))
    assert not same_bits(trajectory(run)[0], trajectory(other)[0])


# --- one network at a time, with an ordinary model --------------------------------------------------------------------

ORDINARY: dict[str, tuple[type[torch.optim.Optimizer], dict[str, Any], dict[str, Any]]] = {
    # what torch's documentation calls these rules: class, settings that make it the rule, further settings
    "sgd": (torch.optim.SGD, {}, {"lr": 0.1}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}, {"lr": 0.03}),
    "nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}, {"lr": 0.03}),
    "adagrad": (torch.optim.Adagrad, {}, {"lr": 0.1}),
    "rmsprop": (torch.optim.RMSprop, {}, {"lr": 0.01}),
    "adam": (torch.optim.Adam, {}, {"lr": 0.02}),
    "adamax": (torch.optim.Adamax, {}, {"lr": 0.02}),
    "amsgrad": (torch.optim.Adam, {"amsgrad": True}, {"lr": 0.02}),
    "nadam": (torch.optim.NAdam, {}, {"lr": 0.02}),
}


def ordinary_model(initial: Parameters, r: int) -> torch.nn.Sequential:
    modules: list[torch.nn.Module] = []
    for number, layer in enumerate(initial, start=1):
        fan_out, fan_in = layer.weight.shape[1:]
        linear = torch.nn.Linear(fan_in, fan_out, dtype=torch.float64)
        with torch.no_grad():
            linear.weight.copy_(torch.tensor(layer.weight[r]))
            linear.bias.copy_(torch.tensor(layer.bias[r]))
        modules += [linear, torch.nn.ReLU()] if number < len(initial) else [linear]
    return torch.nn.Sequential(*modules)


def train_ordinarily(
    run: RunTask, build: Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]
) -> list[npt.NDArray[np.float64]]:
    """The usual training loop, replica after replica; the rows of each minibatch come from the replica's stream."""
    replicas = np.arange(run.first, run.first + run.count)
    data = run.start.data
    inputs = torch.tensor([[float(v) for v in data.inputs[j]] for j, _ in data.rows], dtype=torch.float64)
    labels = torch.tensor([[float(v) for v in y] for _, y in data.rows], dtype=torch.float64)
    chosen = None
    if run.batch is not None:
        key = run.start.key("minibatches", run.optimizer.label)
        chosen = torch.from_numpy(minibatch_rows(key, replicas, run.steps, run.batch, data.n_rows))
    initial = run.start.draw(replicas)
    trained = []
    for r in range(run.count):
        model = ordinary_model(initial, r)
        optimizer = build(list(model.parameters()))
        for step in range(run.steps):
            rows = slice(None) if chosen is None else chosen[step, r]
            optimizer.zero_grad()
            (model(inputs[rows]) - labels[rows]).square().sum(dim=1).mean().backward()
            optimizer.step()
        trained.append(torch.cat([p.detach().reshape(-1) for p in model.parameters()]).numpy())
    return trained


# Both train in float64 and differ in the order of sums only: at most about 50 roundings of 1e-16 a step, which 20 steps
# of these sizes carry on without growth worth mention. A normalized rule (Adam and the like) divides a gradient by its
# own size, so that rounding counts relative to the gradient; gradients that nearly cancel occur down to about 1e-4.
TOLERANCE = 1e-10


@named
@pytest.mark.parametrize("batch", [3, None])
def test_blocks_train_like_single_models(name: str, batch: int | None) -> None:
    torch_class, fixed, settings = ORDINARY[name]
    run = task(start("1,5,4,1", dtype="float64"), OptimizerSpec(name, settings), batch=batch, count=8)
    trained = train_ordinarily(run, lambda parameters: torch_class(parameters, **fixed, **settings))
    found = flat(trajectory(run)[-1])
    assert np.abs(found - flat(trajectory(run)[0])).max() > 0.05
    assert np.abs(found - np.array(trained)).max() < TOLERANCE


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_blocks_train_like_single_models_with_several_inputs_and_outputs(name: str) -> None:
    rng = np.random.default_rng(3)
    inputs = [[Fraction(int(v), 3) for v in rng.integers(-5, 6, 3)] for _ in range(9)]
    labels = [[Fraction(int(v), 4) for v in rng.integers(-5, 6, 2)] for _ in range(9)]
    data = DataSet.from_rows("several", inputs, labels)
    torch_class, fixed, settings = ORDINARY[name]
    run = task(start("3,6,5,2", dtype="float64", data=data), OptimizerSpec(name, {"lr": 0.01}), count=6)
    trained = train_ordinarily(run, lambda parameters: torch_class(parameters, **fixed, **(settings | {"lr": 0.01})))
    assert np.abs(flat(trajectory(run)[-1]) - np.array(trained)).max() < TOLERANCE


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("sgd", "momentum"),
        ("momentum", "nesterov"),
        ("adam", "amsgrad"),
        ("adam", "nadam"),
        ("adam", "adamax"),
        ("rmsprop", "adagrad"),
    ],
)
def test_the_comparison_tells_rules_apart(name: str, other: str) -> None:
    torch_class, fixed, _ = ORDINARY[other]
    run = task(start("1,5,4,1", dtype="float64"), OptimizerSpec(name, {"lr": 0.02}), batch=2, count=8)
    trained = train_ordinarily(run, lambda parameters: torch_class(parameters, **fixed, lr=0.02))
    assert np.abs(flat(trajectory(run)[-1]) - np.array(trained)).max() > 1e3 * TOLERANCE


def test_the_comparison_needs_the_same_minibatches() -> None:
    run = task(start("1,5,4,1", dtype="float64"), OptimizerSpec("sgd", {"lr": 0.1}), batch=3, count=8)
    other = dataclasses.replace(run, optimizer=OptimizerSpec("sgd", {"lr": 0.1, "momentum": 0.0}))
    trained = train_ordinarily(other, lambda parameters: torch.optim.SGD(parameters, lr=0.1))
    assert np.abs(flat(trajectory(run)[-1]) - np.array(trained)).max() > 1e3 * TOLERANCE


def test_float32_rows_and_parameters_are_float32() -> None:
    final = trajectory(task(start("1,5,4,1"), "adam"))[-1]
    for layer in final:
        assert (layer.weight.astype(np.float32) == layer.weight).all()
        assert (layer.bias.astype(np.float32) == layer.bias).all()
    rows = TrainingRows.of(DATA, "float32", "cpu")
    assert rows.inputs.dtype == rows.labels.dtype == torch.float32
    assert rows.inputs.shape == (12, 1)
    double = trajectory(task(start("1,5,4,1", dtype="float64"), "adam"))[-1]
    assert any((layer.weight.astype(np.float32) != layer.weight).any() for layer in double)


# --- foreign optimizers ---------------------------------------------------------------------------------------------


class CopiedSGD(torch.optim.Optimizer):
    """Plain gradient descent, written once more."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.sub_(group["lr"] * parameter.grad)


class NoisySGD(CopiedSGD):
    """Moves every coordinate a little, dead or not."""

    @torch.no_grad()
    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> None:
        super().step()
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.add_(1e-3 * torch.randn_like(parameter))


class ShapeWatcher(CopiedSGD):
    """Sees what it is given: ordinary weights and biases of one network."""

    shapes: list[list[tuple[int, ...]]] = []  # noqa: RUF012  # shared by all instances on purpose

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr)
        self.shapes.append([tuple(p.shape) for group in self.param_groups for p in group["params"]])


class FailingStep(CopiedSGD):
    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> None:
        raise RuntimeError("no more steps\nwith a second line")


class SilentlyFailingStep(CopiedSGD):
    def step(self, closure: Callable[[], torch.Tensor] | None = None) -> None:
        raise ZeroDivisionError


class NoMatrices(CopiedSGD):
    """Can be built for vectors, hence on a dummy parameter, but not for a network."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr)
        if any(p.dim() > 1 for group in self.param_groups for p in group["params"]):
            raise ValueError("vectors only")


MODULE = "a_module_of_foreign_optimizers"


@pytest.fixture
def foreign(monkeypatch: pytest.MonkeyPatch) -> Callable[[type[torch.optim.Optimizer]], OptimizerSpec]:
    module = types.ModuleType(MODULE)
    monkeypatch.setitem(sys.modules, MODULE, module)

    def spec(optimizer: type[torch.optim.Optimizer], **settings: float) -> OptimizerSpec:
        setattr(module, optimizer.__name__, optimizer)
        return OptimizerSpec(f"{MODULE}:{optimizer.__name__}", settings)

    return spec


Foreign = Callable[..., OptimizerSpec]


@pytest.mark.parametrize("batch", [3, None])
def test_a_copy_of_sgd_trains_like_stacked_sgd(foreign: Foreign, batch: int | None) -> None:
    """The same minibatches are given to both; single networks and blocks differ in the order of sums only."""
    run = task(start("1,5,4,1", dtype="float64"), count=8)
    replicas = np.arange(8)
    rows = None if batch is None else minibatch_rows((1, 2), replicas, 20, batch, DATA.n_rows)
    finals = []
    for spec in (OptimizerSpec("sgd", {"lr": 0.1}), foreign(CopiedSGD, lr=0.1)):
        resolved = resolve(spec)
        training = Training(
            TrainingRows.of(DATA, "float64", "cpu"),
            resolved,
            run.start.architecture,
            (0, 3, 20),
            lambda step: None if rows is None else rows[step - 1],
        )
        looks = train(run.start.draw(replicas), training)
        finals.append([flat(look) for look in looks])
        assert resolved.per_coordinate is (spec.target == "sgd")
    for ours, theirs in zip(*finals, strict=True):
        assert np.abs(ours - theirs).max() < TOLERANCE
    assert np.abs(finals[0][0] - finals[0][-1]).max() > 0.05


@events
def test_a_copy_of_sgd_keeps_dead_neurons(foreign: Foreign, event: Event) -> None:
    run = task(start(), foreign(CopiedSGD), event, steps=6, count=24)
    counts = run_block(run)
    check_counts(counts, run)
    assert counts.persistent == counts.claimed > 0


def test_a_copy_of_sgd_counts_like_sgd(foreign: Foreign) -> None:
    """With all rows in every batch nothing is random after the start."""
    copied = run_block(task(start(dtype="float64"), foreign(CopiedSGD, lr=0.1), batch=None, count=20))
    assert copied == run_block(task(start(dtype="float64"), OptimizerSpec("sgd", {"lr": 0.1}), batch=None, count=20))


def test_a_foreign_optimizer_sees_one_network(foreign: Foreign) -> None:
    ShapeWatcher.shapes.clear()
    run_block(task(start("1,4,3,1"), foreign(ShapeWatcher), steps=1, count=3))
    assert ShapeWatcher.shapes == [[(2,)]] + 3 * [[(4, 1), (4,), (3, 4), (3,), (1, 3), (1,)]]


def test_foreign_counts_do_not_depend_on_the_blocks(foreign: Foreign) -> None:
    run = task(start(), foreign(CopiedSGD), DEAD_LAYER, steps=8, count=20)
    assert RunCounts.total(run_block(block) for block in blocks_of(run, 7)) == run_block(run)


@events
def test_noise_is_seen_to_break_persistence(foreign: Foreign, event: Event) -> None:
    run = task(start(), foreign(NoisySGD), event, steps=6, count=24)
    counts = run_block(run)
    check_counts(counts, run)
    assert counts.persistent == 0 < counts.claimed


def test_a_foreign_optimizer_s_noise_is_the_replica_s_own(foreign: Foreign) -> None:
    """Results depend on the seed, the case and replica numbers alone, not on what torch drew before."""
    run = task(start(), foreign(NoisySGD), steps=3, count=6)
    once, again = trajectory(run)[-1], trajectory(run)[-1]
    assert same_bits(once, again)
    assert same_bits(joined([trajectory(block)[-1] for block in blocks_of(run, 2)]), once)


def test_training_leaves_torch_s_generator_alone() -> None:
    before = torch.random.get_rng_state()
    run_block(task(start(), "adam", count=4))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_noise_is_seen_although_the_first_layer_is_a_tie(foreign: Foreign, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first neuron is 0 at its largest input; the second layer has no positive weight and bias at all.

    So the second layer is dead by signs alone, whatever the first one rounds to, and both layers ought to be frozen.
    """
    chain = (
        Layer(np.array([[[1.0]]]), np.array([[-2.0]])),
        Layer(np.array([[[-1.0]]]), np.array([[-0.5]])),
        Layer(np.array([[[1.0]]]), np.array([[0.0]])),
    )
    monkeypatch.setattr(Start, "draw", lambda self, replicas: chain)
    for spec, persistent in ((OptimizerSpec("sgd", {"lr": 0.1}), 1), (foreign(NoisySGD), 0)):
        run = task(start("1,1,1,1", dtype="float64", data=LINE), spec, STRUCTURAL, count=1)
        counts = run_block(run)
        check_counts(counts, run)
        assert counts.event == counts.claimed == 1
        assert counts.persistent == persistent


@events
def test_adam_with_weight_decay_breaks_persistence(event: Event) -> None:
    run = task(start(), OptimizerSpec("adam", {"weight_decay": 0.1}), event)
    counts = run_block(run)
    check_counts(counts, run)
    assert counts.persistent < counts.claimed


def assert_one_sentence(error: InvalidInput, *parts: str) -> None:
    message = str(error)
    assert "\n" not in message
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("optimizer", "reason"), [(FailingStep, "no more steps"), (SilentlyFailingStep, "ZeroDivisionError")]
)
def test_a_foreign_step_that_fails_is_invalid_input(
    foreign: Foreign, optimizer: type[torch.optim.Optimizer], reason: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        run_block(task(start(), foreign(optimizer), count=2))
    assert_one_sentence(caught.value, optimizer.__name__, reason)
    assert "second line" not in str(caught.value)


def test_a_foreign_optimizer_that_cannot_be_built_on_a_network_is_invalid_input(foreign: Foreign) -> None:
    with pytest.raises(InvalidInput) as caught:
        run_block(task(start(), foreign(NoMatrices), count=2))
    assert_one_sentence(caught.value, "NoMatrices", "vectors only")


@pytest.mark.parametrize(("name", "setting"), [("adam", "capturable"), ("sgd", "differentiable")])
def test_a_named_step_that_fails_is_invalid_input(name: str, setting: str) -> None:
    """Torch accepts these settings, and fails at the first step on such parameters."""
    with pytest.raises(InvalidInput) as caught:
        run_block(task(start(), OptimizerSpec(name, {setting: True}), count=2))
    assert_one_sentence(caught.value, name)


def test_lbfgs_is_a_foreign_optimizer() -> None:
    """It needs the closure."""
    run = task(start(dtype="float64"), OptimizerSpec("torch.optim:LBFGS", {"lr": 0.1}), batch=None, steps=2, count=3)
    counts = run_block(run)
    check_counts(counts, run)
    assert not same_bits(trajectory(run)[0], trajectory(run)[-1])


# --- learning rates -------------------------------------------------------------------------------------------------


@named
@events
def test_zero_learning_rate_freezes_everything(name: str, event: Event) -> None:
    run = task(start(), OptimizerSpec(name, {"lr": 0.0}), event, steps=6)
    looks = trajectory(run)
    assert all(same_bits(looks[0], look) for look in looks)
    counts = run_block(run)
    check_counts(counts, run)
    assert counts.persistent == counts.claimed > 0
    assert counts.outcomes[Outcome.DIED_LATER.value] == 0


@named
def test_negative_learning_rates_climb(name: str) -> None:
    """The first step is the opposite one, and what is dead stays dead."""
    run = task(start(dtype="float64"), OptimizerSpec(name, {"lr": -0.001}), steps=1, batch=None)
    climbed, descended = (
        flat(looks[-1]) - flat(looks[0])
        for looks in (
            trajectory(run),
            trajectory(dataclasses.replace(run, optimizer=OptimizerSpec(name, {"lr": 0.001}))),
        )
    )
    assert np.abs(climbed).max() > 1e-6
    assert np.abs(climbed + descended).max() < 1e-15  # one rounding of numbers up to 1, twice
    longer = task(start(), OptimizerSpec(name, {"lr": -0.001}), ONE_NEURON)
    counts = run_block(longer)
    check_counts(counts, longer)
    assert counts.persistent == counts.claimed > 0


@named
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_networks_that_leave_the_reals_are_flagged(name: str, dtype: str) -> None:
    """A replica is finite or counted as non-finite; those are never counted as frozen."""
    run = task(start(dtype=dtype), OptimizerSpec(name, {"lr": 1e30}), ONE_NEURON, look_every=1)
    counts = run_block(run)
    check_counts(counts, run)
    looks = trajectory(run)
    finite = np.isfinite(flat(looks[-1])).all(axis=1)
    assert counts.non_finite == (~finite).sum()
    sure = surely_dead(looks[0], FloatData.of(DATA), dtype).first.any(axis=1)
    assert counts.claimed == counts.persistent == (sure & finite).sum()
    if name == "sgd":
        assert counts.non_finite > 0
        assert counts.claimed < sure.sum()  # a dead neuron in a network that left the reals is no evidence


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("count", [1, 2])
def test_all_replicas_of_a_block_may_leave_the_reals(dtype: str, count: int) -> None:
    """Blocks of networks that are all alive, with a learning rate that drives each of them to infinity."""
    of = start("1,1,1", "uniform(1/10)", "uniform(0.001)", dtype)
    alive = np.flatnonzero(~find_dead(of.draw(np.arange(64)), FloatData.of(DATA)).first[:, 0]).tolist()
    first = next(a for a, b in pairwise(alive) if b == a + 1)
    block = dataclasses.replace(task(of, OptimizerSpec("sgd", {"lr": 1e30}), batch=None, count=count), first=first)
    counts = run_block(block)
    check_counts(counts, block)
    assert counts.non_finite == count
    assert counts.outcomes[Outcome.RISK_REACHED.value] == counts.outcomes[Outcome.DIED_LATER.value] == 0
    assert counts.claimed == counts.persistent == 0


def test_a_replica_that_left_the_reals_disturbs_no_other() -> None:
    """The losses of a block are added up; an infinite one may not reach the others' gradients."""
    run = task(start(), OptimizerSpec("sgd", {"lr": 30.0}), steps=15, count=40)
    final = flat(trajectory(run)[-1])
    finite = np.isfinite(final).all(axis=1)
    assert 0 < finite.sum() < 40
    for r in np.flatnonzero(finite).tolist():
        pair = dataclasses.replace(run, first=max(r - 1, 0), count=2)
        assert flat(trajectory(pair)[-1])[r - pair.first].tobytes() == final[r].tobytes()


# --- corners --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch", [1, 12, 100, None])
@pytest.mark.parametrize("steps", [0, 1, 7])
@pytest.mark.parametrize("count", [1, 5])
def test_batches_steps_and_replicas(batch: int | None, steps: int, count: int) -> None:
    for name in ("sgd", "amsgrad"):
        run = task(start(), name, DEAD_LAYER, batch=batch, steps=steps, count=count, look_every=3)
        counts = run_block(run)
        check_counts(counts, run)
        assert counts.persistent == counts.claimed
        looks = trajectory(run)
        assert len(looks) == len(run.checkpoints)
        assert same_bits(looks[0], run.start.draw(np.arange(count)))
        if not steps:
            assert counts.claimed == surely_dead(looks[0], FloatData.of(DATA), "float32").layer.astype(bool).sum()
            assert counts.outcomes[Outcome.DIED_LATER.value] == 0


@pytest.mark.parametrize("widths", ["1,1,1", "1,1,1,1", "1,3*30,1", "1,1*30,1"])
@events
def test_narrow_and_deep(widths: str, event: Event) -> None:
    for name in ("sgd", "adam"):
        run = task(start(widths), name, event, steps=6)
        counts = run_block(run)
        check_counts(counts, run)
        assert counts.persistent == counts.claimed
        if event is TWO_NEURONS and run.start.architecture.hidden[0] == 1:
            assert counts.event == 0
        if widths == "1,1*30,1" and event is DEAD_LAYER:
            assert counts.event == 64  # alive has probability 2^-30, roughly


def test_a_data_set_of_one_input() -> None:
    one = DataSet.from_rows("one", [[Fraction(1, 3)]] * 2, [[Fraction(1)], [Fraction(0)]])
    run = task(start(data=one), "momentum", DEAD_LAYER, batch=1)
    counts = run_block(run)
    check_counts(counts, run)
    assert counts.persistent == counts.claimed > 0


def test_weights_below_the_range_of_float32() -> None:
    """Weights near 1e-22, second pre-activations near 1e-44: what a float32 pass cannot see may not be claimed."""
    tiny = start("1,12,2,1", f"normal(1/1{'0' * 22})", "zero")
    run = task(tiny, "sgd", DEAD_LAYER, batch=None, steps=10, count=2048)
    counts = run_block(run)
    check_counts(counts, run)
    assert counts.persistent == counts.claimed


def test_totals_add_every_field() -> None:
    parts = [run_block(block) for block in blocks_of(task(start(), "adam"), 16)]
    total = RunCounts.total(parts)
    for field in dataclasses.fields(RunCounts):
        if field.name not in ("outcomes", "final_risks"):
            assert getattr(total, field.name) == sum(getattr(part, field.name) for part in parts)
    for outcome in Outcome:
        assert total.outcomes[outcome.value] == sum(part.outcomes[outcome.value] for part in parts)
    for place, count in total.final_risks.items():
        assert count == sum(part.final_risks.get(place, 0) for part in parts)
    assert sum(total.final_risks.values()) == total.trials
    assert RunCounts.total([total]) == total


# --- outcomes by hand -----------------------------------------------------------------------------------------------

Network = tuple[float, float, float, float]  # w, b, v, c of the network c + v max(w x + b, 0)
LINE = DataSet.from_rows("line", [[Fraction(1)], [Fraction(2)]], [[Fraction(1)], [Fraction(2)]])
DEAD_NETWORK: Network = (-1.0, 0.5, 1.0, 0.0)
EXACT_NETWORK: Network = (1.0, 0.0, 1.0, 0.0)  # the labels themselves: risk 0
FAR_NETWORK: Network = (1.0, 0.0, -1.0, 0.0)  # outputs -1, -2: risk 10
ROUNDED_NETWORK: Network = (0.1, 0.0, 3.0, 0.0)  # outputs near 0.3, 0.6: what floats make of 3 * 0.1 needs rounding


def by_hand(
    networks: list[Network],
    monkeypatch: pytest.MonkeyPatch,
    lr: float = 0.0,
    reachable: Fraction = Fraction(1),
    data: DataSet = LINE,
    **more: Any,
) -> RunCounts:
    """Run these networks with gradient descent on all rows; learning rate 0 leaves them as they are."""
    parameters = (
        Layer(np.array([[[n[0]]] for n in networks]), np.array([[n[1]] for n in networks])),
        Layer(np.array([[[n[2]]] for n in networks]), np.array([[n[3]] for n in networks])),
    )
    monkeypatch.setattr(
        Start, "draw", lambda self, replicas: tuple(Layer(p.weight[replicas], p.bias[replicas]) for p in parameters)
    )
    run = task(
        start("1,1,1", dtype="float64", data=data),
        OptimizerSpec("sgd", {"lr": lr}),
        **({"event": DEAD_LAYER, "reachable": reachable, "batch": None, "steps": 3, "look_every": 1} | more),
        count=len(networks),
    )
    counts = run_block(run)
    check_counts(counts, run)
    return counts


def risk_by_hand(network: Network, data: DataSet = LINE) -> Fraction:
    w, b, v, c = (Fraction(number) for number in network)
    return data.risk_of({x: (c + v * max(w * x[0] + b, Fraction(0)),) for x in data.inputs})


def only(outcome: Outcome, counts: RunCounts) -> bool:
    return counts.outcomes == {other.value: counts.trials * (other is outcome) for other in Outcome}


@pytest.mark.parametrize(
    ("network", "reachable", "outcome"),
    [
        (DEAD_NETWORK, Fraction(1), Outcome.DEAD_AT_INITIALIZATION),
        (DEAD_NETWORK, Fraction(100), Outcome.DEAD_AT_INITIALIZATION),  # although the risk is reached as well
        (FAR_NETWORK, Fraction(99, 10), Outcome.RISK_NOT_REACHED),
        (FAR_NETWORK, Fraction(101, 10), Outcome.RISK_REACHED),
        (EXACT_NETWORK, Fraction(1, 10**20), Outcome.RISK_REACHED),
        (ROUNDED_NETWORK, risk_by_hand(ROUNDED_NETWORK), Outcome.UNDECIDED),
        (ROUNDED_NETWORK, risk_by_hand(ROUNDED_NETWORK) * (1 - Fraction(1, 10**12)), Outcome.RISK_NOT_REACHED),
        (ROUNDED_NETWORK, risk_by_hand(ROUNDED_NETWORK) * (1 + Fraction(1, 10**12)), Outcome.RISK_REACHED),
    ],
)
def test_an_outcome_by_hand(
    network: Network, reachable: Fraction, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = by_hand([network], monkeypatch, reachable=reachable)
    assert only(outcome, counts)
    assert counts.risk_event == int(risk_by_hand(network) > reachable)
    assert counts.risk_undecided == int(outcome is Outcome.UNDECIDED)


@pytest.mark.parametrize("event", [DEAD_LAYER, ONE_NEURON], ids=str)
def test_died_later_by_hand(event: Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs -1, -2 for labels 1, 2: gradients of w and b are 10 and 6, so learning rate 1 gives w = -9, b = -6."""
    assert only(Outcome.DIED_LATER, by_hand([FAR_NETWORK], monkeypatch, lr=1.0, steps=1, event=event))
    assert only(
        Outcome.DIED_LATER, by_hand([FAR_NETWORK], monkeypatch, lr=1.0, steps=1, event=event, reachable=Fraction(99))
    )
    assert only(Outcome.RISK_NOT_REACHED, by_hand([FAR_NETWORK], monkeypatch, lr=0.0, steps=1, event=event))


def test_all_outcomes_in_one_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """The far network's output weight moves it away; with learning rate 0 each network stays what it is."""
    between = risk_by_hand(ROUNDED_NETWORK)
    networks = [DEAD_NETWORK, FAR_NETWORK, EXACT_NETWORK, ROUNDED_NETWORK, DEAD_NETWORK, EXACT_NETWORK]
    counts = by_hand(networks, monkeypatch, reachable=between)
    assert counts.outcomes == {
        Outcome.DEAD_AT_INITIALIZATION.value: 2,
        Outcome.DIED_LATER.value: 0,
        Outcome.RISK_NOT_REACHED.value: 1,
        Outcome.RISK_REACHED.value: 2,
        Outcome.UNDECIDED.value: 1,
    }
    assert (counts.event, counts.claimed, counts.persistent) == (2, 2, 2)
    assert counts.risk_undecided == 1
    assert counts.risk_event == 1 + 2 * (risk_by_hand(DEAD_NETWORK) > between)


def test_the_smallest_risk_of_all_looks_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that is driven away has reached the risk that it started with."""
    noisy = DataSet.from_rows("noisy", [[Fraction(1)], [Fraction(2)]], [[Fraction(1)], [Fraction(5)]])
    near: Network = (1.0, 0.0, 1.0, 0.0)
    assert risk_by_hand(near, noisy) == Fraction(9, 2)
    counts = by_hand([near], monkeypatch, lr=-0.01, data=noisy, reachable=Fraction(46, 10), steps=5)
    assert only(Outcome.RISK_REACHED, counts)
    counts = by_hand([near], monkeypatch, lr=-0.01, data=noisy, reachable=Fraction(44, 10), steps=5)
    assert only(Outcome.RISK_NOT_REACHED, counts)


def test_ties_are_dead_but_not_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """w x + b = 0 at the largest input: dead by definition, not by a margin."""
    counts = by_hand([(1.0, -2.0, 1.0, 0.0), (1.0, math.nextafter(-2.0, 0.0), 1.0, 0.0)], monkeypatch)
    assert (counts.event, counts.claimed) == (1, 0)
    counts = by_hand([(1.0, -2.0 - 2.0**-40, 1.0, 0.0)], monkeypatch)
    assert (counts.event, counts.claimed, counts.persistent) == (1, 1, 1)


def test_a_risk_that_became_infinite_does_not_undo_a_reached_one(monkeypatch: pytest.MonkeyPatch) -> None:
    near: Network = (1.0, 0.0, 1.0, 0.5)  # gradients of order 1: the first step is one to infinity
    for reachable, outcome in ((Fraction(1, 2), Outcome.RISK_REACHED), (Fraction(1, 5), Outcome.UNDECIDED)):
        counts = by_hand([near], monkeypatch, lr=-1.7e308, reachable=reachable, steps=6)
        assert counts.non_finite == 1
        assert only(outcome, counts)


# --- replicas that need no training ---------------------------------------------------------------------------------


def certain_task(optimizer: OptimizerSpec, event: Event = DEAD_LAYER, **more: Any) -> RunTask:
    """Many of these networks begin with a dead layer."""
    start = Start(Architecture.parse("1,2,2,1"), parse_initialization("pytorch"), DATA, "float32", 5)
    given = {"reachable": Fraction(1, 100), "steps": 6, "batch": None, "look_every": 3, "skip_certain": True} | more
    return RunTask(start, optimizer, event, device="cpu", first=259, count=80, **given)


@events
@pytest.mark.parametrize("name", ["sgd", "adam", pytest.param("torch.optim:ASGD", marks=pytest.mark.slow)])
def test_what_is_certain_is_counted_as_training_would(event: Event, name: str) -> None:
    task = certain_task(OptimizerSpec(name, {"lr": 0.01}), event)
    skipped, trained = run_block(task), run_block(dataclasses.replace(task, skip_certain=False))
    for part in ("trials", "event", "event_undecided", "kept", "risk_event", "risk_undecided", "outcomes"):
        assert getattr(skipped, part) == getattr(trained, part), part
    assert trained.certain == 0
    assert skipped.claimed == trained.claimed - skipped.certain
    assert skipped.persistent == trained.persistent - skipped.certain
    assert (skipped.certain > 5) == (event.layer is not None and name != "torch.optim:ASGD")


@pytest.mark.parametrize(
    ("optimizer", "more"),
    [
        (OptimizerSpec("sgd", {"weight_decay": 0.1}), {}),
        (OptimizerSpec("sgd"), {"reachable": DATA.noise_floor + DATA.variance}),
        (OptimizerSpec("sgd"), {"skip_certain": False}),
    ],
    ids=["decay moves what is dead", "a constant reaches U", "not asked for"],
)
def test_what_is_not_certain_is_trained(optimizer: OptimizerSpec, more: dict[str, Any]) -> None:
    assert run_block(certain_task(optimizer, **more)).certain == 0


def test_minibatches_and_seeds_follow_the_replica_number() -> None:
    """The replicas that are left draw what they would have drawn among all."""
    noisy = OptimizerSpec("sgd", {"lr": 0.05})
    task = certain_task(noisy, batch=2)
    skipped, trained = run_block(task), run_block(dataclasses.replace(task, skip_certain=False))
    assert skipped.outcomes == trained.outcomes
    assert 0 < skipped.certain < skipped.trials


def test_some_of_the_certain_replicas_are_trained_as_a_control() -> None:
    task = certain_task(OptimizerSpec("sgd"))
    numbers = np.arange(task.first, task.first + task.count)
    sure = numbers[runs._certain(task, numbers)]
    control = sure[sure % runs.CONTROL == 0]
    assert 0 < len(control) < len(sure) / 2
    assert run_block(task).certain == len(sure) - len(control)
    early = dataclasses.replace(task, first=0, count=runs.CONTROL_FIRST)
    assert runs._certain(early, np.arange(runs.CONTROL_FIRST)).sum() > 5
    assert run_block(early).certain == 0


def test_a_block_of_nothing_but_certain_replicas_is_not_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    task = certain_task(OptimizerSpec("sgd"))
    sure = runs._certain(task, np.arange(task.first, task.first + task.count))
    sure &= np.arange(task.first, task.first + task.count) % runs.CONTROL != 0
    only = dataclasses.replace(task, first=task.first + int(np.flatnonzero(sure)[0]), count=1)
    monkeypatch.setattr(runs, "_train_and_count", None)
    counts = run_block(only)
    assert counts.certain == counts.trials == counts.risk_event == sum(counts.outcomes.values()) == 1
