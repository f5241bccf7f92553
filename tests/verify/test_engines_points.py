"""The fused engine with points in the vector lanes, against the eager one; tolerances as in test_engines.py."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tests.verify.conftest import Plant
from tests.verify.test_engines import (
    SETTINGS,
    Floats,
    check_agreement,
    data_set,
    final,
    flat,
    move_of_the_dead,
    start,
)
from theorems.rules import C4_RULES
from theorems.setting import Architecture
from verify.optimizers.registry import resolve
from verify.optimizers.spec import OptimizerSpec
from verify.simulation.eager import Batches, Training, TrainingRows, all_rows
from verify.simulation.engine_names import Engine
from verify.simulation.fused import engine as fused
from verify.simulation.fused.library import Slabs, stepper
from verify.simulation.runs import Start
from verify.simulation.streams import Minibatches, minibatch_rows

pytestmark = pytest.mark.usefixtures("one_thread")

POINTS = 70  # several vectors, the last of them not full, with 8 or 16 lanes
NUMBERS = np.array([0, 1, 2**32 + 5, 2**40])


def of_points(widths: str = "3,9,6,2", dtype: str = "float64", points: int = POINTS) -> Start:
    architecture = Architecture.parse(widths)
    return start(widths, dtype=dtype, data=data_set(architecture.input_dim, architecture.output_dim, points))


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """Points in the lanes for any network, as narrow as it may be."""
    monkeypatch.setattr(fused, "points_in_lanes", lambda *_: True)


# --- agreement ------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=str)
def test_every_rule_steps_as_torch_does(name: str, settings: dict[str, Any]) -> None:
    check_agreement(of_points("2,5,3,1"), Engine.FUSED, name, settings, replicas=5)


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("name", C4_RULES)
def test_the_nine_rules_in_single_precision_on_a_wide_network(name: str) -> None:
    of = of_points("2,80,80,1", "float32", 150)
    check_agreement(of, Engine.FUSED, name, {"lr": 0.001}, replicas=20, steps=20)


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("widths", ["1,33,1", "10,1,2", "3,9,6,2", "1,4*4,1"])
@pytest.mark.parametrize("batch", [None, 1, 17, *(pytest.param(rows, marks=pytest.mark.slow) for rows in (3, 32, 300))])
def test_any_dimensions_depth_and_batch(widths: str, batch: int | None) -> None:
    check_agreement(of_points(widths), Engine.FUSED, "adam", {"lr": 0.003}, batch=batch, replicas=19)


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("points", [4, 8, 16, 33, 200, pytest.param(700, marks=pytest.mark.slow)])
def test_any_number_of_points(points: int) -> None:
    for dtype in ("float32", "float64"):
        check_agreement(of_points(dtype=dtype, points=points), Engine.FUSED, "adam", replicas=19)


# --- what must be the same bits -------------------------------------------------------------------------------------


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [None, 20])
def test_blocks_and_threads_do_not_matter(dtype: str, batch: int | None) -> None:
    of = of_points(dtype=dtype)
    whole = flat(final(of, "adam", {}, Engine.FUSED, batch=batch, threads=3)[1])
    for numbers in ([0], [17], range(5, 37), [36, 2]):
        part = flat(final(of, "adam", {}, Engine.FUSED, batch=batch, replicas=np.array(numbers))[1])
        assert part.tobytes() == np.ascontiguousarray(whole[np.array(numbers)]).tobytes()


def trained(of: Start, batches: Batches, spoil: float | None = None, optimizer: str = "sgd") -> list[Floats]:
    """Four replicas with odd numbers after 3 and 20 steps, one parameter of the third spoiled."""
    initial, rows = of.draw(NUMBERS), TrainingRows.of(of.data, of.dtype, "cpu")
    if spoil is not None:
        initial[0].weight[2] = spoil
    resolved = resolve(OptimizerSpec(optimizer), prove=False)
    training = Training(rows, resolved, of.architecture, (3, 20), batches)
    return [flat(each) for each in fused.train(initial, training)]


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("batch", [1, 2, 7, 67])
def test_rows_drawn_in_the_kernel_are_those_of_the_streams(batch: int) -> None:
    of = of_points(dtype="float32")
    given = (9, 10), NUMBERS, 20, batch, of.data.n_rows
    table = minibatch_rows(*given)
    drawn = trained(of, Minibatches(*given))
    assert np.array_equal(drawn, trained(of, lambda step: table[step - 1]))
    assert not np.array_equal(drawn, trained(of, lambda step: table[step % 20]))


# --- trajectories that leave the reals ------------------------------------------------------------------------------


@pytest.mark.usefixtures("apart")
def test_one_bad_replica_is_flagged_and_does_not_touch_its_neighbours() -> None:
    of = of_points()
    well, others = trained(of, all_rows, 0.5, "adam")[-1], np.arange(4) != 2
    assert np.isfinite(well).all()
    for spoil in (np.nan, np.inf, -np.inf, 1e300):
        ill = trained(of, all_rows, spoil, "adam")[-1]
        assert ill[others].tobytes() == well[others].tobytes()
        assert spoil == 1e300 or not np.isfinite(ill[2]).all()


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize(("name", "lr"), [("sgd", 1e3), ("sgd", 1e30), ("adam", 1e30)])
def test_non_finite_replicas_are_flagged_equally(name: str, lr: float) -> None:
    of = of_points(dtype="float32")
    expected, found = (
        np.isfinite(flat(final(of, name, {"lr": lr}, each)[1])).all(axis=1) for each in (Engine.EAGER, Engine.FUSED)
    )
    assert not expected.all()
    assert np.array_equal(expected, found)


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("name", ["adagrad", "rmsprop", "adamax"])
def test_no_epsilon_keeps_what_is_read_finite(name: str) -> None:
    """Room beyond the parameters has gradient 0 and divides it by 0; no network may see that."""
    settings = {"eps": 0.0, "lr": 0.001}
    of = start("1,5,1", "he_normal", data=data_set(rows=POINTS))
    expected, found = (flat(final(of, name, settings, each)[1]) for each in (Engine.EAGER, Engine.FUSED))
    assert np.array_equal(np.isfinite(expected), np.isfinite(found))
    assert np.isfinite(found).all(axis=1).any()


# --- exact zeros ----------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exact_zeros_stay_exact_zeros(dtype: str) -> None:
    assert move_of_the_dead(Engine.FUSED, dtype) == 0


@pytest.mark.usefixtures("apart")
def test_a_derivative_of_1_at_0_is_seen(plant: Plant) -> None:
    right = '#include "work.h"'
    wrong = right + "\nINLINE M at_least(V h) { return active(h + (REAL)1e-30); }\n#define active at_least\n"
    plant("points.c", right, wrong)
    assert move_of_the_dead(Engine.FUSED, "float32") > 1e-3


# --- faults that the tests above must see ---------------------------------------------------------------------------

FAULTS = {
    "lanes without a point count": ("number + p * LANES < (INT)points", "number < LANES"),
    "a sum over half the lanes": ("return part[0];", "return part[0] / 2;"),
    "the last panel forgotten": ("at < points; panels++", "at + share < points; panels++"),
    "a layer's bias gradient lost": ("gather_biases(d, weight + in * out, out, panel, panels);", ""),
}


@pytest.mark.usefixtures("apart")
@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_seen(fault: str, plant: Plant) -> None:
    plant("points.c", *FAULTS[fault])
    with pytest.raises(AssertionError):
        check_agreement(of_points(), Engine.FUSED, "sgd", replicas=9)


# --- choosing -------------------------------------------------------------------------------------------------------


def choice(widths: str, points: int, lanes: int = 16) -> bool:
    by = replace(stepper(resolve(OptimizerSpec("sgd"), prove=False), torch.float32, "torch"), lanes=lanes)
    return fused.points_in_lanes(by, torch.float32, Architecture.parse(widths), points)


def test_wide_networks_have_points_in_the_lanes() -> None:
    assert choice("1,200,200,1", 256)
    assert not choice("1,200,200,1", 256, lanes=8)
    assert not choice("1,200,200,1", 3)
    assert choice("1,50,50,1", 1024)
    assert not choice("1,16,16,1", 256)
    assert not choice("1,8,8,1", 100_000)
    assert not choice("1,5000,1", 256)
    assert not choice("40,64,1", 442)
    assert not choice("40,256,1", 64)
    assert choice("40,1000,1", 128)
    assert choice("30,1000,2", 128)
    assert not choice("30,1000,1", 128), "sums over the points do not take much memory there"


def test_replicas_apart_are_whole_vectors_of_their_own() -> None:
    of = of_points("1,200,200,1")
    initial, by = of.draw(np.arange(3)), stepper(resolve(OptimizerSpec("adam"), prove=False), torch.float64, "torch")
    slabs = Slabs(initial, by, torch.float64, apart=True)
    assert slabs.memory.shape[:2] == (3, 3)
    assert slabs.memory[0, 0].size == slabs.vectors * by.lanes >= slabs.parameters > (slabs.vectors - 1) * by.lanes
    assert flat(slabs.read()).tobytes() == flat(initial).tobytes()
