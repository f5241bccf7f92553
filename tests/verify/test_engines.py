"""The compiled engines against the eager one, replica by replica; the same bits in everything structural.

Tolerance over 50 steps, relative to `1 + |theta|`: every replica within 1e-8 in float64 (torch keeps NAdam's product of
momenta in float32, whence 1e-8). In float32 a replica that comes within rounding of a kink may leave any tolerance,
under any two implementations: 19 of 20 stay within 1e-4, half within 1e-5.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.stats import fisher_exact

from tests.verify.conftest import Plant
from theorems.errors import InvalidInput
from theorems.laws import parse_initialization
from theorems.rules import C4_RULES, RULES, Decay
from theorems.setting import Architecture, DataSet
from theorems.theorem import Event, LayerDeath
from verify.optimizers.registry import resolve
from verify.optimizers.spec import OptimizerSpec
from verify.simulation import engines
from verify.simulation.draw import Parameters
from verify.simulation.eager import Batches, Training, TrainingRows, all_rows
from verify.simulation.engine_names import Engine, Epsilon
from verify.simulation.engines import Choice, choose, supports
from verify.simulation.forward import FloatData, find_dead
from verify.simulation.fused import engine as fused
from verify.simulation.fused import exact1d
from verify.simulation.fused.library import Slabs, Work, pointer, stepper
from verify.simulation.fused.update import Schedule, update_code
from verify.simulation.outcome import Outcome
from verify.simulation.runs import RunTask, Start, run_block
from verify.simulation.streams import Minibatches, minibatch_rows

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 50
COMPILED = [Engine.FUSED, Engine.EXACT1D]
compiled = pytest.mark.parametrize("engine", COMPILED, ids=lambda engine: engine.value)
Floats = npt.NDArray[np.float64]


def data_set(inputs: int = 1, outputs: int = 1, rows: int = 23) -> DataSet:
    """Labels that no small network interpolates; one input: points from 0 to about 1, two of them equal."""
    numbers = np.random.default_rng(7).integers(-30, 60, (rows, inputs))
    if inputs == 1:
        numbers = np.append(np.arange(0, 3 * (rows - 1), 3), 9)[:, None]
    xs = [tuple(Fraction(int(v), 3 * (rows - 2)) for v in row) for row in numbers]
    ys = [tuple(sum(x) ** 2 * (k + 1) - Fraction(m % 3, 4) for k in range(outputs)) for m, x in enumerate(xs)]
    return DataSet.from_rows(f"{inputs} inputs, {outputs} outputs", xs, ys)


def start(
    widths: str = "1,5,3,1", scheme: str = "pytorch", dtype: str = "float64", data: DataSet | None = None
) -> Start:
    architecture = Architecture.parse(widths)
    given = data_set(architecture.input_dim, architecture.output_dim) if data is None else data
    return Start(architecture, parse_initialization(scheme), given, dtype, seed=3)


def final(
    of: Start,
    optimizer: str = "sgd",
    settings: dict[str, Any] | None = None,
    engine: Engine = Engine.EAGER,
    *,
    replicas: npt.NDArray[np.int64] | int = 37,
    steps: int = STEPS,
    batch: int | None = None,
    threads: int = 1,
    epsilon: Epsilon = "torch",
) -> tuple[Parameters, Parameters]:
    """A block before and after training."""
    numbers = np.arange(replicas) if isinstance(replicas, int) else replicas
    initial = of.draw(numbers)
    batches: Batches = all_rows if batch is None else Minibatches((5, 6), numbers, steps, batch, of.data.n_rows)
    rows = TrainingRows.of(of.data, of.dtype, "cpu")
    resolved = resolve(OptimizerSpec(optimizer, settings or {}), prove=False)
    training = Training(rows, resolved, of.architecture, (steps,), batches, epsilon=epsilon)
    made = engines.train(initial, training, engine=engine, batch=batch, threads=threads)
    return initial, list(made)[-1]


def flat(parameters: Parameters) -> Floats:
    replicas = len(parameters[0].bias)
    return np.concatenate([p.reshape(replicas, -1) for layer in parameters for p in (layer.weight, layer.bias)], axis=1)


def distance(one: Parameters, other: Parameters) -> Floats:
    """Of each replica, relative to its size."""
    a, b = flat(one), flat(other)
    distances: Floats = (np.abs(a - b) / (1 + np.abs(a))).max(axis=1)
    return distances


def check_agreement(
    of: Start, engine: Engine, optimizer: str, settings: dict[str, Any] | None = None, **more: Any
) -> None:
    began, expected = final(of, optimizer, settings, **more)
    _, found = final(of, optimizer, settings, engine, **more)
    moved, far = distance(began, expected), distance(expected, found)
    assert np.median(moved) > 1e-3
    if of.dtype == "float64":
        assert far.max() < 1e-8
    else:
        assert np.median(far) < 1e-5
        assert np.mean(far < 1e-4) > 0.95


# --- agreement ------------------------------------------------------------------------------------------------------

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in (*C4_RULES, "adamw", "adadelta", "radam", "rprop")),
    ("sgd", {"weight_decay": 0.1}),
    ("sgd", {"maximize": True, "lr": 0.001}),
    ("momentum", {"dampening": 0.5}),
    ("momentum", {"momentum": 0.0, "dampening": 0.5}),
    ("momentum", {"nesterov": True, "weight_decay": 0.1}),
    ("adagrad", {"lr_decay": 0.1, "initial_accumulator_value": 0.3, "weight_decay": 0.1}),
    ("rmsprop", {"centered": True, "momentum": 0.5}),
    ("rmsprop", {"momentum": 0.5, "weight_decay": 0.1}),
    ("adam", {"weight_decay": 0.1, "amsgrad": True, "maximize": True}),
    ("adam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "betas": (0.5, 0.9), "eps": 0.1}),
    ("nadam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "momentum_decay": 0.1}),
    ("adamw", {"amsgrad": True, "weight_decay": 0.5}),
    ("radam", {"betas": (0.5, 0.6), "weight_decay": 0.1}),
    ("rprop", {"etas": (0.4, 1.5), "step_sizes": (1e-5, 0.02)}),
]


@compiled
@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=str)
def test_every_rule_steps_as_torch_does(engine: Engine, name: str, settings: dict[str, Any]) -> None:
    check_agreement(start(), engine, name, settings)


@compiled
@pytest.mark.parametrize("name", C4_RULES)
def test_the_nine_rules_in_single_precision(engine: Engine, name: str) -> None:
    check_agreement(start("1,12,1", dtype="float32"), engine, name, replicas=50)


@compiled
@pytest.mark.parametrize(
    "widths", ["1,1,1", "1,8,1", "1,33,1", "1,9,7,5,1", "1,4*8,1", "1,1,6,1,1", "1,1,1,1", "1,2,2,2,3,3,1"]
)
def test_any_depth_of_scalar_networks(engine: Engine, widths: str) -> None:
    check_agreement(start(widths), engine, "sgd", {"lr": 0.05})
    check_agreement(start(widths), engine, "adam")


@pytest.mark.parametrize(
    "widths",
    ["10,64,1", "2,7,1", "1,5,3", "3,6,5,4", "10,1,2", "3,9,6,2", "3,3,3,3", "2,2,2,1", "13,6,1", "20,5,1", "33,3,1"],
)
@pytest.mark.parametrize("batch", [None, 1, 32, *(pytest.param(rows, marks=pytest.mark.slow) for rows in (3, 8))])
def test_any_input_and_output_dimension_and_batch(widths: str, batch: int | None) -> None:
    check_agreement(start(widths), Engine.FUSED, "sgd", {"lr": 0.005}, batch=batch, replicas=19)


@pytest.mark.parametrize("rows", [2, 5, 17, *(pytest.param(rows, marks=pytest.mark.slow) for rows in (3, 4, 8, 9))])
def test_any_number_of_points(rows: int) -> None:
    data = DataSet.from_rows("few", [(Fraction(k, 3),) for k in range(rows)], [(Fraction(k % 3),) for k in range(rows)])
    for engine in COMPILED:
        check_agreement(start("1,5,1", data=data), engine, "adam")
        check_agreement(start("1,5,4,1", data=data), engine, "adam")


@compiled
def test_depth_50(engine: Engine) -> None:
    """Six neurons a layer, small steps: such networks either are constant or explode."""
    of = start("1,6*50,1", "he_normal")
    check = final(of, "sgd", {"lr": 1e-4}), final(of, "sgd", {"lr": 1e-4}, engine)
    far = distance(check[0][1], check[1][1])
    assert np.median(distance(*check[0])) > 0
    assert np.mean(far < 1e-8) > 0.9


@compiled
def test_large_inputs_far_from_zero(engine: Engine) -> None:
    """Years: the moments of the data would cancel if they were not taken about the middle."""
    xs = [(Fraction(1700 + 3 * k),) for k in range(60)]
    data = DataSet.from_rows("years", xs, [(Fraction(k % 7),) for k in range(60)])
    check_agreement(start("1,6,4,1", data=data), engine, "adam")


# --- what must be the same bits -------------------------------------------------------------------------------------


@compiled
def test_zero_learning_rate_moves_nothing(engine: Engine) -> None:
    for name in ("sgd", "momentum", "adam"):
        before, after = final(start(dtype="float32"), name, {"lr": 0.0}, engine)
        assert flat(before).tobytes() == flat(after).tobytes()


@compiled
@pytest.mark.parametrize("name", C4_RULES)
@pytest.mark.parametrize("widths", ["1,4,1", pytest.param("1,4,3,1", marks=pytest.mark.slow)])
def test_dead_stays_dead_bit_for_bit(engine: Engine, name: str, widths: str) -> None:
    data = data_set()
    for event in (Event(neurons=1), Event(LayerDeath.DEAD)):
        of = start(widths, dtype="float32", data=data)
        optimizer = OptimizerSpec(name)
        task = RunTask(of, optimizer, event, Fraction(1, 10), 20, None, 10, "cpu", 0, 150, engine)
        counts = run_block(task)
        assert counts.persistent == counts.claimed > 0
        assert counts.trials == sum(counts.outcomes.values()) == 150


@pytest.mark.parametrize("name", C4_RULES)
def test_dead_neurons_of_several_inputs_stay_dead_bit_for_bit(name: str) -> None:
    of = start("3,4,1", dtype="float32", data=data_set(3))
    task = RunTask(
        of, OptimizerSpec(name), Event(neurons=1), Fraction(1, 10), 20, None, 10, "cpu", 0, 150, Engine.FUSED
    )
    counts = run_block(task)
    assert counts.persistent == counts.claimed > 0


def move_of_the_dead(engine: Engine, dtype: str) -> float:
    """How far parameters move that cannot: without biases and for inputs >= 0, a neuron with `w <= 0` is off in floats.

    Where all of them are, the second layer sees exact zeros and is off as well.
    """
    of = start("1,3,4,1", "he_normal", dtype)
    (first, second, _), (first_after, second_after, _) = final(of, "adam", {}, engine, replicas=200)
    off = first.weight[:, :, 0] <= 0
    dead = off.all(axis=1)
    assert off.sum() > 200
    assert dead.sum() > 10
    moved = [
        np.abs(first.weight[:, :, 0] - first_after.weight[:, :, 0])[off],
        np.abs(first.bias - first_after.bias)[off],
        np.abs(second.weight - second_after.weight)[dead].ravel(),
        np.abs(second.bias - second_after.bias)[dead].ravel(),
    ]
    return float(np.concatenate(moved).max())


@compiled
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exact_zeros_stay_exact_zeros(engine: Engine, dtype: str) -> None:
    assert move_of_the_dead(engine, dtype) == 0


@compiled
def test_the_same_dead_neurons_and_layers_at_the_end(engine: Engine) -> None:
    of = start("1,4,3,1", "he_normal")
    data = FloatData.of(of.data)
    for name in ("sgd", "adam"):
        expected, found = (find_dead(final(of, name, {}, each)[1], data) for each in (Engine.EAGER, engine))
        assert np.array_equal(expected.first, found.first)
        assert np.array_equal(expected.layer, found.layer)
        assert 0 < (found.layer > 0).sum() < len(found.layer)


@compiled
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_blocks_and_threads_do_not_matter(engine: Engine, dtype: str) -> None:
    of, batch = start(dtype=dtype), 4 if engine is Engine.FUSED else None
    whole = flat(final(of, "adam", {}, engine, batch=batch, threads=3)[1])
    for numbers in ([0], [17], range(5, 37), [36, 2]):
        part = flat(final(of, "adam", {}, engine, batch=batch, replicas=np.array(numbers))[1])
        assert part.tobytes() == np.ascontiguousarray(whole[np.array(numbers)]).tobytes()


def numbers_of(slabs: Slabs) -> npt.NDArray[np.floating[Any]]:
    """Parameters and states of each lane (groups * lanes, 1 + states, parameters)."""
    return slabs.memory.transpose(0, 3, 1, 2).reshape(-1, *slabs.memory.shape[1:3])


def check_regrouping(by_kernel: bool) -> None:
    """Costly replicas first, each with all its numbers; a group that waits for none stays; then nothing more moves."""
    of = start("1,5,3,1", dtype="float32")
    initial = of.draw(np.arange(70))
    by = stepper(resolve(OptimizerSpec("adam"), prove=False), torch.float32, "torch")
    slabs = Slabs(initial, by, torch.float32)
    random = np.random.default_rng(1)
    of_each = random.random((70, *slabs.memory.shape[1:3]), dtype=np.float32)
    of_each[:, 0] = flat(initial)
    slabs.memory[:] = slabs.spread(of_each).transpose(0, 2, 3, 1)
    costs_of_each = random.integers(0, 1000, 70)
    costs_of_each[slabs.lanes : 2 * slabs.lanes] = 500
    kernel = exact1d._kernel(torch.float32, of.architecture)

    def move(sources: npt.NDArray[np.int64], moved: npt.NDArray[Any]) -> None:
        if by_kernel:
            states, parameters = slabs.memory.shape[1] - 1, slabs.parameters
            kept = Work(parameters=parameters, states=states, groups=slabs.groups, memory=pointer(slabs.memory))
            exact1d._move(kernel, kept, 1, sources, moved)
            return
        there = numbers_of(slabs)[sources].reshape(-1, slabs.lanes, *moved.shape[1:3])
        moved[: len(there)] = there.transpose(0, 2, 3, 1)

    before = slabs.spread(costs_of_each)
    assert slabs.regroup(before, move)
    costs = slabs.spread(costs_of_each)
    others = np.delete(costs, 1, axis=0).reshape(-1)
    assert np.array_equal(others, -np.sort(-others))
    assert np.array_equal(slabs.order.reshape(slabs.groups, -1)[1], np.arange(slabs.lanes, 2 * slabs.lanes))
    assert costs.max(axis=1).sum() < before.max(axis=1).sum()
    assert np.array_equal(np.unique(slabs.order), np.arange(70))
    assert np.array_equal(numbers_of(slabs), of_each[slabs.order])
    assert flat(slabs.read()).tobytes() == flat(initial).tobytes()
    order = slabs.order.copy()
    assert not slabs.regroup(costs, move)
    assert np.array_equal(slabs.order, order)
    assert np.array_equal(numbers_of(slabs), of_each[order])


@pytest.mark.parametrize("by_kernel", [False, True], ids=["moved by numpy", "moved by the kernel"])
def test_replicas_of_like_cost_are_put_together_and_read_in_their_order(by_kernel: bool) -> None:
    check_regrouping(by_kernel)


def test_states_left_behind_are_seen(plant: Plant) -> None:
    plant("exact1d.c", "for (long row = 0; row < rows; row++)", "for (long row = 0; row < work->parameters; row++)")
    with pytest.raises(AssertionError):
        check_regrouping(True)


@compiled
def test_checkpoints_do_not_matter(engine: Engine) -> None:
    of, rows = start(), TrainingRows.of(start().data, "float64", "cpu")
    optimizer = resolve(OptimizerSpec("adam"), prove=False)

    def at(*checkpoints: int) -> list[Parameters]:
        training = Training(rows, optimizer, of.architecture, checkpoints)
        return list(engines.train(of.draw(np.arange(9)), training, engine=engine))

    looks = at(0, 0, 1, 7, 30, 30)
    assert flat(looks[0]).tobytes() == flat(of.draw(np.arange(9))).tobytes()
    assert flat(looks[-1]).tobytes() == flat(looks[-2]).tobytes() == flat(at(30)[0]).tobytes()
    assert len(looks) == 6


def test_the_exact_engine_takes_no_minibatch_for_all_rows() -> None:
    of = start()
    rows, optimizer = TrainingRows.of(of.data, "float64", "cpu"), resolve(OptimizerSpec("sgd"), prove=False)
    drawn = Minibatches((5, 6), np.arange(4), 3, 2, of.data.n_rows)
    with pytest.raises(ValueError, match="all rows in every step"):
        next(exact1d.train(of.draw(np.arange(4)), Training(rows, optimizer, of.architecture, (3,), drawn)))


@pytest.mark.parametrize("batch", [1, 2, 3, 4, 7])
def test_rows_drawn_in_the_kernel_are_those_of_the_streams(batch: int) -> None:
    """Replica numbers above 2^32 and checkpoints in the middle of a counter included."""
    of, numbers = start(dtype="float32"), np.array([0, 1, 2**32 + 5, 2**40])
    rows = TrainingRows.of(of.data, of.dtype, "cpu")
    optimizer = resolve(OptimizerSpec("sgd"), prove=False)
    drawn = Minibatches((9, 10), numbers, 20, batch, of.data.n_rows)
    table = minibatch_rows((9, 10), numbers, 20, batch, of.data.n_rows)

    def trained(batches: Batches) -> list[bytes]:
        training = Training(rows, optimizer, of.architecture, (3, 20), batches)
        made = fused.train(of.draw(np.arange(4)), training)
        return [flat(each).tobytes() for each in made]

    assert trained(drawn) == trained(lambda step: table[step - 1])
    assert trained(drawn) != trained(lambda step: table[step % 20])


# --- trajectories that leave the reals ------------------------------------------------------------------------------


@compiled
@pytest.mark.parametrize(
    ("name", "lr"), [("sgd", 1e3), ("sgd", 1e30), ("momentum", 1e3), ("adagrad", 1e30), ("adam", 1e30)]
)
def test_non_finite_replicas_are_flagged_equally(engine: Engine, name: str, lr: float) -> None:
    of = start("1,4,3,1", "he_normal", "float32")
    expected, found = (
        np.isfinite(flat(final(of, name, {"lr": lr}, each)[1])).all(axis=1) for each in (Engine.EAGER, engine)
    )
    assert np.array_equal(expected, found)
    task = RunTask(
        of, OptimizerSpec("sgd", {"lr": 1e30}), Event(neurons=1), Fraction(1, 9), 50, None, 25, "cpu", 0, 37, engine
    )
    counts = run_block(task)
    assert counts.non_finite > 5
    assert sum(counts.outcomes.values()) == counts.trials == 37


@compiled
def test_one_bad_replica_does_not_touch_its_neighbours(engine: Engine) -> None:
    of, rows = start(), TrainingRows.of(start().data, "float64", "cpu")
    optimizer = resolve(OptimizerSpec("adam"), prove=False)

    def trained(spoil: float) -> Floats:
        initial = of.draw(np.arange(8))
        initial[0].weight[3] = spoil
        training = Training(rows, optimizer, of.architecture, (5,))
        return flat(next(engines.train(initial, training, engine=engine)))

    well, others = trained(0.5), np.arange(8) != 3
    assert np.isfinite(well).all()
    for spoil in (np.nan, np.inf, -np.inf, 1e300):
        ill = trained(spoil)
        assert ill[others].tobytes() == well[others].tobytes()
        assert spoil == 1e300 or not np.isfinite(ill[3]).all()


# --- faults that the tests above must see ---------------------------------------------------------------------------

NARROW, WIDE = "1,5,3,1", "1,9,3,1"
FAULTS: dict[str, tuple[str, str, str, str]] = {
    "residual of the wrong sign": (
        WIDE,
        "kernel.c",
        "in[i * TILE + t] - y[i * TILE + t]",
        "y[i * TILE + t] - in[i * TILE + t]",
    ),
    "factor 2 lost": (WIDE, "kernel.c", "work->sign * 2 /", "work->sign /"),
    "a layer's bias gradient lost": (WIDE, "kernel.c", "gather_biases(d, gradient + n_in * n_out, n_out);", ""),
    "the last tile's points counted twice": (WIDE, "kernel.c", "t < points ? (in", "1 ? (in"),
    "written out: residual of the wrong sign": (
        NARROW,
        "kernel.c",
        "out[at] - y[at]",
        "y[at] - out[at]",
    ),
    "written out: a bias gradient lost": (
        NARROW,
        "narrow.h",
        "r ? sum : gradient[n_in * n_out + i] + sum;",
        "r ? sum : gradient[n_in * n_out + i];",
    ),
    "written out: the last tile's points counted twice": (NARROW, "kernel.c", "d[at] = t < points ?", "d[at] = 1 ?"),
    "written out: the last neuron above forgotten": (
        NARROW,
        "narrow.h",
        "fma_only(here, sum[t],",
        "where(here, sum[t]); (void)(",
    ),
    "shallow: residual of the wrong sign": ("3,5,1", "shallow.h", "(r[t] - y[t]) * scale", "(y[t] - r[t]) * scale"),
    "shallow: the last tile's points counted twice": ("3,5,1", "shallow.h", "r[t] = t < points ?", "r[t] = 1 ?"),
    "shallow: a bias gradient lost": ("3,5,1", "shallow.h", "if (last) bias[i] += here;", ""),
    "shallow: a neuron left over on the way back": ("3,5,1", "shallow.h", "if (i < width) fall", "if (0) fall"),
    "shallow: a neuron left over on the way there": (
        "3,5,1",
        "shallow.h",
        "for (; i < width; i++) rise",
        "for (; 0; i++) rise",
    ),
    "shallow: inputs left over": ("13,4,1", "shallow.h", "if (left)", "if (0)"),
    "shallow: active everywhere": ("3,5,1", "shallow.h", "where(on[i * TILE + t], r[t])", "r[t]"),
    "shallow: active at 0 and below": (
        "3,5,1",
        "shallow.h",
        "= active(z[i][p]);",
        "= active(z[i][p] + (REAL)0.01);",
    ),
    "shallow: an outgoing weight's own gradient": ("3,5,1", "layers.h", "gv[i] = own", "gv[i] = b[i]"),
    "equal layers: a run that begins at the inputs ends too early": (
        "3,3,3,2",
        "kernel.c",
        "if (inputs && !l) break;",
        "if (inputs) break;",
    ),
    "equal layers: weights of another": (
        "1,3,3,3,1",
        "kernel.c",
        "fall(theta + l * n_out * (n_in + 1),",
        "fall(theta,",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_seen(fault: str, plant: Plant) -> None:
    widths, *what = FAULTS[fault]
    plant(*what)
    with pytest.raises(AssertionError):
        check_agreement(start(widths), Engine.FUSED, "sgd")


@compiled
def test_a_derivative_of_1_at_0_is_seen(engine: Engine, plant: Plant) -> None:
    right = '#include "work.h"'
    wrong = right + "\nINLINE M at_least(V h) { return active(h + (REAL)1e-30); }\n#define active at_least\n"
    plant("kernel.c" if engine is Engine.FUSED else "exact1d.c", right, wrong)
    assert move_of_the_dead(engine, "float32") > 1e-3


def test_a_carried_sum_in_the_exact_engine_is_seen(plant: Plant) -> None:
    """What the prototype did: a pre-activation that is 0 came out as a rounding error of sums."""
    right = "value[i] = z[i], slope[i] = p[i];"
    plant("exact1d.c", right, "value[i] = (z[i] + 1) - 1 + (REAL)1e-9, slope[i] = p[i];")
    assert move_of_the_dead(Engine.EXACT1D, "float32") > 1e-3


# --- Adam's two epsilons --------------------------------------------------------------------------------------------


def adam_on_a_line(convention: str, steps: int, eps: float) -> Floats:
    """Adam on the output bias of a network whose hidden layer is dead: the gradient is `2 (c - mean of y)`."""
    data, m, v, c = data_set(), 0.0, 0.0, 0.25
    mean = (
        float(data.label_mean[0])
        if hasattr(data, "label_mean")
        else float(sum(y[0] for _, y in data.rows) / data.n_rows)
    )
    for t in range(1, steps + 1):
        g = 2 * (c - mean)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        c_1, c_2 = 1 - 0.9**t, 1 - 0.999**t
        if convention == "torch":
            c -= 0.01 * m / c_1 / ((v / c_2) ** 0.5 + eps)
        else:
            c -= 0.01 * c_2**0.5 / c_1 * m / (v**0.5 + eps)
    return np.array(c)


@pytest.mark.parametrize("engine", [Engine.EAGER, *COMPILED], ids=lambda engine: engine.value)
@pytest.mark.parametrize("convention", ["torch", "tensorflow1"])
def test_both_conventions_of_epsilon(engine: Engine, convention: Any) -> None:
    of = start("1,2,1")
    initial = of.draw(np.arange(3))
    initial[0].weight[:], initial[0].bias[:], initial[1].bias[:] = -1.0, -1.0, 0.25
    rows = TrainingRows.of(of.data, "float64", "cpu")
    optimizer = resolve(OptimizerSpec("adam", {"eps": 0.01}), prove=False)
    training = Training(rows, optimizer, of.architecture, (30,), epsilon=convention)
    (after,) = engines.train(initial, training, engine=engine)
    assert np.abs(after[1].bias - adam_on_a_line(convention, 30, 0.01)).max() < 1e-12
    assert abs(adam_on_a_line("torch", 30, 0.01) - adam_on_a_line("tensorflow1", 30, 0.01)) > 1e-3


@compiled
@pytest.mark.parametrize(
    ("name", "settings"),
    [("amsgrad", {}), ("adamw", {"weight_decay": 0.1}), ("adam", {"weight_decay": 0.1}), ("adamw", {"amsgrad": True})],
    ids=str,
)
def test_engines_agree_on_the_other_epsilon(engine: Engine, name: str, settings: dict[str, Any]) -> None:
    settings = settings | {"eps": 0.01}
    _, expected = final(start(), name, settings, epsilon="tensorflow1")
    _, found = final(start(), name, settings, engine, epsilon="tensorflow1")
    _, other = final(start(), name, settings, engine)
    assert distance(expected, found).max() < 1e-8
    assert np.median(distance(expected, other)) > 1e-4


@pytest.mark.parametrize("engine", [Engine.EAGER, *COMPILED], ids=lambda engine: engine.value)
@pytest.mark.parametrize("name", ["sgd", "nadam", "rmsprop", "adamax"])
def test_other_optimizers_know_one_epsilon(engine: Engine, name: str) -> None:
    one, other = (final(start(), name, {}, engine, epsilon=each)[1] for each in ("torch", "tensorflow1"))
    assert flat(one).tobytes() == flat(other).tobytes()


def test_scalars_of_a_step_follow_the_recursions_of_shared_states() -> None:
    code = update_code(RULES["adam"], Decay.NONE)
    schedule = Schedule(code, {"lr": 0.5, "betas": (0.9, 0.99), "eps": 1e-8})
    late, branches = schedule.rows(6, 9)
    by_text = {str(part): late[:, k] for k, part in enumerate(code.scalars[0])}
    expected = [-0.5 / (1 - 0.9**t) for t in (7, 8, 9)]
    assert by_text["-lr/(a*c_1 - a + 1)"] == pytest.approx(expected, rel=1e-14)
    assert branches.tolist() == [0, 0, 0]


# --- choosing -------------------------------------------------------------------------------------------------------


def chosen(
    engine: Engine, widths: str = "1,5,1", optimizer: str = "sgd", batch: int | None = None, points: int = 64
) -> Choice:
    of = start(
        widths, data=data_set(Architecture.parse(widths).input_dim, Architecture.parse(widths).output_dim, points)
    )
    rows = TrainingRows.of(of.data, "float32", "cpu")
    return choose(engine, of.architecture, rows, resolve(OptimizerSpec(optimizer), prove=False), batch)


def test_auto_takes_the_fastest_that_supports_a_case() -> None:
    assert chosen(Engine.AUTO) == Choice(Engine.EXACT1D)
    assert chosen(Engine.AUTO, points=8).engine is Engine.FUSED
    assert chosen(Engine.AUTO, "2,5,1") == Choice(
        Engine.FUSED, "not exact1d: it needs scalar inputs and labels, and the architecture is 2,5,1"
    )
    assert chosen(Engine.AUTO, batch=5) == Choice(Engine.FUSED, "not exact1d: it needs full batches")
    other = chosen(Engine.AUTO, optimizer="torch.optim:ASGD")
    assert other.engine is Engine.EAGER
    assert "torch.optim:ASGD is not one of the rules" in other.why
    assert chosen(Engine.EAGER, optimizer="torch.optim:ASGD") == Choice(Engine.EAGER)


@pytest.mark.parametrize(
    ("engine", "widths", "optimizer", "batch", "told"),
    [
        (Engine.EXACT1D, "2,5,1", "sgd", None, "scalar inputs"),
        (Engine.EXACT1D, "1,5,2", "sgd", None, "scalar inputs and labels"),
        (Engine.EXACT1D, "1,5,1", "sgd", 4, "full batches"),
        (Engine.FUSED, "1,5,1", "torch.optim:LBFGS", None, "not one of the rules"),
    ],
)
def test_an_engine_that_cannot_says_so(
    engine: Engine, widths: str, optimizer: str, batch: int | None, told: str
) -> None:
    with pytest.raises(InvalidInput, match=f"engine '{engine.value}' cannot train .*{told}.*expected engine 'auto'"):
        chosen(engine, widths, optimizer, batch)


def test_unknown_engines_are_refused() -> None:
    with pytest.raises(InvalidInput, match="engine 'turbo': expected one of eager, fused, exact1d, gpu, auto"):
        Engine.parse("turbo")


def test_settings_outside_the_recursions_are_refused() -> None:
    rows = TrainingRows.of(data_set(), "float32", "cpu")
    resolved = resolve(OptimizerSpec("adam"), prove=False)
    object.__setattr__(resolved, "settings", dict(resolved.settings) | {"warmup": 3})
    reason = supports(Engine.FUSED, Architecture.parse("1,5,1"), rows, resolved, None)
    assert reason == "the recursions know no setting 'warmup' of adam"


def test_a_device_without_a_compiled_engine_is_trained_eagerly() -> None:
    rows = TrainingRows(torch.empty((60, 1), device="meta"), torch.empty((60, 1), device="meta"))
    sgd = resolve(OptimizerSpec("sgd"), prove=False)
    assert choose(Engine.AUTO, Architecture.parse("1,5,1"), rows, sgd, None) == Choice(
        Engine.EAGER, "not fused: it computes on the CPU, and the device is meta"
    )


def test_data_too_large_for_the_numbers_of_rows_are_trained_eagerly() -> None:
    many = torch.zeros((1, 1)).expand(1 << 25, 64)
    rows = TrainingRows(many, many[:, :1])
    sgd, architecture = resolve(OptimizerSpec("sgd"), prove=False), Architecture.parse("64,5,1")
    assert choose(Engine.AUTO, architecture, rows, sgd, 32) == Choice(
        Engine.EAGER, "not fused: it finds rows by numbers of 31 bits, and there are 2147483648 inputs or labels"
    )
    fewer = TrainingRows(many[:-1], many[:-1, :1])
    assert choose(Engine.AUTO, architecture, fewer, sgd, 32).engine is Engine.FUSED


# --- long runs, in distribution -------------------------------------------------------------------------------------


@pytest.mark.slow
@compiled
@pytest.mark.parametrize("name", ["sgd", "adam", "rmsprop"])
def test_outcomes_of_long_runs_have_one_distribution(engine: Engine, name: str) -> None:
    """Fisher's exact test on independent samples, for each outcome; false alarms at most 1e-8 a comparison.

    Budget: 6 cases of 4 outcomes, so that the whole test errs with probability at most 2.4e-7.
    """
    count = 1500
    for widths in ("1,4*8,1",):
        of = start(widths, "he_normal", "float32")
        counts = []
        for first, each in ((0, Engine.EAGER), (count, engine)):
            task = RunTask(
                of,
                OptimizerSpec(name),
                Event(LayerDeath.DEAD),
                Fraction(1, 10),
                1000,
                None,
                500,
                "cpu",
                first,
                count,
                each,
            )
            counts.append(run_block(task).outcomes)
        for outcome in Outcome:
            yes = [each[outcome.value] for each in counts]
            p = fisher_exact([yes, [count - each for each in yes]])[1]
            assert p > 1e-8, (outcome, yes)
    far = fisher_exact([[500, 700], [1000, 800]])[1]
    assert far < 1e-8, "a difference of 13 per cent would be seen"
