"""The GPU's kernel against the eager engine, replica by replica: emulated everywhere, and on a GPU where there is one.

Tolerances over 50 steps are those of `test_engines`. Every kernel is compiled for its test; those that differ from a
fast one only in the rule or in the shape are slow.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.verify import test_engines as others
from tests.verify.test_engines import SETTINGS, STEPS, data_set, distance, flat, start
from theorems.errors import InvalidInput
from theorems.rules import C4_RULES, RULES, Decay
from theorems.setting import Architecture, DataSet
from verify.cli import main
from verify.optimizers.registry import resolve
from verify.optimizers.spec import OptimizerSpec
from verify.simulation import engines
from verify.simulation.draw import Parameters
from verify.simulation.eager import Batches, Training, TrainingRows, all_rows
from verify.simulation.engine_names import Engine
from verify.simulation.engines import Choice, choose
from verify.simulation.fused import compiler
from verify.simulation.fused.compiler import Unavailable
from verify.simulation.fused.update import update_code
from verify.simulation.gpu import engine as gpu
from verify.simulation.gpu import layout as layouts
from verify.simulation.gpu import machines, nvrtc
from verify.simulation.gpu.layout import HOPPER_MEMORY, Layout, Rows, layout, source
from verify.simulation.gpu.machines import Cuda, Emulator, Machine
from verify.simulation.gpu.work import Work
from verify.simulation.runs import Start
from verify.simulation.streams import Minibatches, minibatch_rows

pytestmark = pytest.mark.usefixtures("one_thread")

Floats = npt.NDArray[np.float64]
no_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def nvrtc_is_there() -> bool:
    try:
        nvrtc.compiler_version()
    except Unavailable:
        return False
    return True


no_nvrtc = pytest.mark.skipif(not nvrtc_is_there(), reason="NVRTC is not installed")


@dataclass(frozen=True)
class Place:
    """What runs the kernel, and where its tensors are."""

    on: Machine
    device: str

    def train(
        self,
        of: Start,
        optimizer: str = "sgd",
        settings: dict[str, Any] | None = None,
        *,
        replicas: npt.NDArray[np.int64] | int = 37,
        checkpoints: tuple[int, ...] = (STEPS,),
        batches: Batches | int | None = None,
        initial: Parameters | None = None,
        epsilon: Any = "torch",
    ) -> list[Parameters]:
        numbers = np.arange(replicas) if isinstance(replicas, int) else replicas
        if not callable(batches):
            drawn = None if batches is None else (numbers, checkpoints[-1], batches, of.data.n_rows)
            batches = all_rows if drawn is None else Minibatches((5, 6), *drawn)
        rows = TrainingRows.of(of.data, of.dtype, self.device)
        resolved = resolve(OptimizerSpec(optimizer, settings or {}), prove=False)
        begun = of.draw(numbers) if initial is None else initial
        training = Training(rows, resolved, of.architecture, checkpoints, batches, epsilon=epsilon)
        return list(gpu.train(begun, training, on=self.on))


@pytest.fixture(params=["emulated", pytest.param("cuda", marks=no_gpu)])
def place(request: pytest.FixtureRequest) -> Place:
    return Place(Emulator(), "cpu") if request.param == "emulated" else Place(Cuda(0), "cuda:0")


def check_agreement(
    place: Place,
    of: Start,
    optimizer: str,
    settings: dict[str, Any] | None = None,
    batch: int | None = None,
    **more: Any,
) -> None:
    began, expected = others.final(of, optimizer, settings, batch=batch, **more)
    (found,) = place.train(of, optimizer, settings, batches=batch, **more)
    moved, far = distance(began, expected), distance(expected, found)
    assert np.median(moved) > 1e-3
    if of.dtype == "float64":
        assert far.max() < 1e-8
    else:
        assert np.median(far) < 1e-5
        assert np.mean(far < 1e-4) > 0.95


def many(rows: int, inputs: int = 1, outputs: int = 1) -> DataSet:
    return data_set(inputs, outputs, rows)


# --- agreement ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", C4_RULES)
def test_the_nine_rules_step_as_torch_does(place: Place, name: str) -> None:
    check_agreement(place, start("1,5,1"), name)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "settings"), SETTINGS, ids=str)
def test_every_rule_and_decay_steps_as_torch_does(place: Place, name: str, settings: dict[str, Any]) -> None:
    check_agreement(place, start(), name, settings, batch=5)


@pytest.mark.parametrize(
    ("name", "settings"), [("momentum", {"nesterov": True, "weight_decay": 0.1}), ("adamw", {"weight_decay": 0.5})]
)
def test_kinds_of_decay(place: Place, name: str, settings: dict[str, Any]) -> None:
    check_agreement(place, start("1,5,1", dtype="float32"), name, settings)


@pytest.mark.slow
@pytest.mark.parametrize("name", C4_RULES)
@pytest.mark.parametrize("widths", ["1,32,1", "1,4*8,1"])
def test_the_measured_workloads_in_single_precision(place: Place, name: str, widths: str) -> None:
    of = start(widths, "he_normal", "float32", many(64))
    check_agreement(place, of, name, {"lr": 0.001}, replicas=60)


SHAPES: list[tuple[str, int, int | None, bool]] = [
    ("1,1,1", 4, None, False),
    ("10,64,1", 40, 32, False),
    ("3,6,5,4", 23, 1, False),
    ("1,7,1", 1100, None, False),  # eight warps, two chunks
    ("2,9,2", 301, None, True),  # several warps, not full
    ("1,4*8,1", 64, None, True),
    ("1,33,1", 64, None, True),
    ("1,8,1", 3, None, True),
    ("1,1,6,1,1", 17, None, True),
    ("1,5,3", 23, 7, True),
    ("10,1,2", 50, 8, True),
    ("2,7,1", 23, 3, True),
]


@pytest.mark.parametrize(
    ("widths", "rows", "batch"),
    [pytest.param(*case[:3], marks=[pytest.mark.slow] if case[3] else []) for case in SHAPES],
)
def test_any_network_and_batch_in_registers(place: Place, widths: str, rows: int, batch: int | None) -> None:
    architecture = Architecture.parse(widths)
    data = many(rows, architecture.input_dim, architecture.output_dim)
    made = layout(architecture, batch or rows, 0, True, HOPPER_MEMORY)
    assert isinstance(made, Layout)
    assert made.in_registers
    check_agreement(place, start(widths, data=data), "sgd", {"lr": 0.02}, batch=batch, replicas=9)


@pytest.mark.parametrize(
    ("widths", "rows", "batch", "memory"),
    [
        pytest.param("2,40,37,3", 70, None, HOPPER_MEMORY, marks=pytest.mark.slow),
        ("1,30,30,1", 130, None, 60_000),  # one warp, several chunks
        pytest.param("1,50,50,1", 300, None, HOPPER_MEMORY, marks=pytest.mark.slow),
        pytest.param("3,80,50,1", 40, 5, HOPPER_MEMORY, marks=pytest.mark.slow),
        pytest.param("1,200,1", 64, 33, HOPPER_MEMORY, marks=pytest.mark.slow),
    ],
)
def test_any_network_in_memory(widths: str, rows: int, batch: int | None, memory: int) -> None:
    architecture = Architecture.parse(widths)
    data = many(rows, architecture.input_dim, architecture.output_dim)
    made = layout(architecture, batch or rows, 2, True, memory)
    assert isinstance(made, Layout)
    assert not made.in_registers
    emulated = Place(Emulator(memory), "cpu")
    check_agreement(emulated, start(widths, data=data), "adam", {"lr": 0.002}, batch=batch, replicas=3)


@pytest.mark.slow
def test_depth_50(place: Place) -> None:
    """Six neurons a layer, small steps: such networks either are constant or explode."""
    of = start("1,6*50,1", "he_normal")
    began, expected = others.final(of, "sgd", {"lr": 1e-4}, replicas=10, steps=10)
    (found,) = place.train(of, "sgd", {"lr": 1e-4}, replicas=10, checkpoints=(10,))
    assert np.median(distance(began, expected)) > 0
    assert np.mean(distance(expected, found) < 1e-8) >= 0.9


# --- what must be the same bits -------------------------------------------------------------------------------------


def test_zero_learning_rate_moves_nothing(place: Place) -> None:
    of = start(dtype="float32")
    (after,) = place.train(of, "adam", {"lr": 0.0})
    assert flat(of.draw(np.arange(37))).tobytes() == flat(after).tobytes()


def move_of_the_dead(place: Place) -> float:
    """As in `test_engines`: without biases and for inputs >= 0, a neuron with `w <= 0` is off in floats."""
    of = start("1,3,4,1", "he_normal", "float32")
    first, second, _ = of.draw(np.arange(200))
    ((first_after, second_after, _),) = place.train(of, "adam", replicas=200)
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


def test_exact_zeros_stay_exact_zeros(place: Place) -> None:
    assert move_of_the_dead(place) == 0


@pytest.mark.parametrize("batch", [None, 4])
def test_blocks_do_not_matter(place: Place, batch: int | None) -> None:
    of = start(dtype="float32")
    whole = flat(place.train(of, "adam", batches=batch)[0])
    for numbers in ([0], [17], range(5, 37), [36, 2]):
        part = flat(place.train(of, "adam", batches=batch, replicas=np.array(numbers))[0])
        assert part.tobytes() == np.ascontiguousarray(whole[np.array(numbers)]).tobytes()


def test_checkpoints_and_launches_do_not_matter(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    of = start(dtype="float32")
    looks = place.train(of, "adam", checkpoints=(0, 0, 1, 7, 30, 30))
    assert len(looks) == 6
    assert flat(looks[0]).tobytes() == flat(of.draw(np.arange(37))).tobytes()
    (whole,) = place.train(of, "adam", checkpoints=(30,))
    assert flat(looks[-1]).tobytes() == flat(looks[-2]).tobytes() == flat(whole).tobytes()
    monkeypatch.setattr(gpu, "_PRODUCTS_AT_ONCE", 7 * 37 * of.data.n_rows * of.architecture.n_parameters)
    (parts,) = place.train(of, "adam", checkpoints=(30,))
    assert flat(parts).tobytes() == flat(whole).tobytes()


@pytest.mark.parametrize(
    "batch", [3, pytest.param(7, marks=pytest.mark.slow), pytest.param(40, marks=pytest.mark.slow)]
)
def test_rows_drawn_in_the_kernel_are_those_of_the_streams(
    place: Place, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replica numbers above 2^32 and checkpoints in the middle of a counter included."""
    of, numbers = start(dtype="float32"), np.array([0, 1, 2**32 + 5, 2**40, 7])
    drawn = Minibatches((9, 10), numbers, 20, batch, of.data.n_rows)
    table = minibatch_rows((9, 10), numbers, 20, batch, of.data.n_rows)

    def trained(batches: Batches) -> list[bytes]:
        return [flat(each).tobytes() for each in place.train(of, replicas=5, checkpoints=(3, 20), batches=batches)]

    assert trained(drawn) == trained(lambda step: table[step - 1])
    assert trained(drawn) != trained(lambda step: table[step % 20])
    monkeypatch.setattr(gpu, "_PRODUCTS_AT_ONCE", 3 * 5 * batch * of.architecture.n_parameters)
    assert trained(drawn) == trained(lambda step: table[step - 1])


# --- trajectories that leave the reals ------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "lr"), [("sgd", 1e3), ("sgd", 1e30), ("adam", 1e30)])
def test_non_finite_replicas_are_flagged_equally(place: Place, name: str, lr: float) -> None:
    of = start("1,3,4,1", "he_normal", "float32")
    expected = np.isfinite(flat(others.final(of, name, {"lr": lr})[1])).all(axis=1)
    (after,) = place.train(of, name, {"lr": lr})
    assert np.array_equal(expected, np.isfinite(flat(after)).all(axis=1))
    assert not expected.all()


def test_one_bad_replica_does_not_touch_its_neighbours(place: Place) -> None:
    """Its lanes exchange nothing with those of the replicas in the same warp."""
    of = start(dtype="float32")

    def trained(spoil: float) -> Floats:
        initial = of.draw(np.arange(8))
        initial[0].weight[3] = spoil
        return flat(place.train(of, "adam", initial=initial, checkpoints=(5,))[0])

    well, neighbours = trained(0.5), np.arange(8) != 3
    assert np.isfinite(well).all()
    for spoil in (np.nan, np.inf, -np.inf, 1e38):
        ill = trained(spoil)
        assert ill[neighbours].tobytes() == well[neighbours].tobytes()
        assert spoil == 1e38 or not np.isfinite(ill[3]).all()


# --- Adam's two epsilons --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("convention", ["tensorflow1", pytest.param("torch", marks=pytest.mark.slow)])
def test_both_conventions_of_epsilon(place: Place, convention: str) -> None:
    of = start("1,2,1")
    initial = of.draw(np.arange(3))
    initial[0].weight[:], initial[0].bias[:], initial[1].bias[:] = -1.0, -1.0, 0.25
    (after,) = place.train(of, "adam", {"eps": 0.01}, initial=initial, checkpoints=(30,), epsilon=convention)
    assert np.abs(after[1].bias - others.adam_on_a_line(convention, 30, 0.01)).max() < 1e-12


# --- faults that the tests above must see ---------------------------------------------------------------------------

FAULTS: dict[str, tuple[str, str]] = {
    "residual of the wrong sign": ("residual * (REAL)work->scale", "-residual * (REAL)work->scale"),
    "a layer's bias gradient lost": ("sum += d[(e - n_out * n_in) * P + p];", "sum += 0 * d[0];"),
    "points beyond the last counted": ("choose(inside[p], residual", "choose(place >= 0, residual"),
    "a lane keeps the half that it sends": ("choose(upper, carried[j], carried[j + half]);", "carried[j];"),
    "totals of other lanes": ("place / (HERE / count)", "place % count"),
    "rows of another replica": ("team * SIZE + (i + place)", "(i + place)"),
}


def planted(monkeypatch: pytest.MonkeyPatch, right: str, wrong: str, file: str = "kernel.cu") -> None:
    changed = {name: layouts.text(name) for name in ("kernel.cu", "lanes.h")}
    assert right in changed[file]
    changed[file] = changed[file].replace(right, wrong)
    monkeypatch.setattr(layouts, "text", changed.__getitem__)
    monkeypatch.setattr(gpu, "_source", source)


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_seen(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, *FAULTS[fault])
    with pytest.raises(AssertionError):
        check_agreement(Place(Emulator(), "cpu"), start(), "sgd", replicas=5)


def test_a_later_chunk_that_overwrites_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, "fresh = ONE_CHUNK || chunk == 0", "fresh = 1")
    with pytest.raises(AssertionError):
        check_agreement(Place(Emulator(), "cpu"), start("1,7,1", data=many(1100)), "sgd", replicas=2)


def test_warps_may_run_in_any_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two barriers no warp of a block needs what another one writes."""
    emulated, of = Place(Emulator(), "cpu"), start("1,7,1", data=many(1100))
    (forwards,) = emulated.train(of, "adam", replicas=3, checkpoints=(10,))
    planted(monkeypatch, "warp = 0; warp < WARPS; warp++", "warp = WARPS - 1; warp >= 0; warp--", "lanes.h")
    (backwards,) = emulated.train(of, "adam", replicas=3, checkpoints=(10,))
    assert flat(forwards).tobytes() == flat(backwards).tobytes()


def test_a_derivative_of_1_at_0_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    planted(monkeypatch, "where_active(GET(h, j), sum[j])", "where_active(GET(h, j) + (REAL)1e-30, sum[j])")
    assert move_of_the_dead(Place(Emulator(), "cpu")) > 1e-3


# --- layouts --------------------------------------------------------------------------------------------------------


def made(widths: str, points: int, states: int = 0, wide: bool = False) -> Layout:
    found = layout(Architecture.parse(widths), points, states, wide, HOPPER_MEMORY)
    assert isinstance(found, Layout)
    return found


def test_layouts_of_the_workloads() -> None:
    """W1 and W4: half a warp a replica, four points a lane, eight warps and more a multiprocessor of an H100."""
    for widths, replicas in (("1,32,1", 2048), ("1,4*8,1", 4096)):
        of = made(widths, 64, states=2)
        assert (of.team, of.points_at_once, of.replicas, of.in_registers, of.one_chunk) == (16, 4, 2, True, True)
        assert replicas / of.replicas / 132 > 7
        assert of.resident == 12
    assert (made("1,32,1", 1024).warps, made("1,32,1", 1024).one_chunk) == (8, True)
    assert not made("1,50,50,1", 1024, states=2).in_registers


@pytest.mark.parametrize("widths", ["1,1,1", "1,32,1", "1,4*8,1", "10,64,1", "1,50,50,1", "3,100,30,2"])
@pytest.mark.parametrize("points", [1, 2, 7, 32, 33, 64, 100, 1024, 5000])
def test_layouts_fit_and_hold_every_point(widths: str, points: int) -> None:
    for states, wide in ((0, False), (3, True)):
        of = made(widths, points, states, wide)
        assert of.memory <= HOPPER_MEMORY
        assert of.team * of.points_at_once >= points or not of.one_chunk
        assert of.warps * 32 == of.team or of.replicas * of.team == 32
        assert of.replicas == 1 or of.stride % 32 == 4
        assert of.resident >= 1
        assert of.resident == 1 or of.resident * (of.memory + 1024) <= HOPPER_MEMORY
        if of.in_registers:
            assert sum(of.widths) * of.points_at_once * (2 if wide else 1) <= 150


def test_a_network_that_does_not_fit_is_refused() -> None:
    told = layout(Architecture.parse("1,300,300,1"), 64, 2, False, HOPPER_MEMORY)
    assert isinstance(told, str)
    assert told.startswith("a replica of 1,300,300,1 needs ")
    assert told.endswith(f" bytes of a block's memory, and there are {HOPPER_MEMORY}")
    of = start("1,300,300,1")
    with pytest.raises(ValueError, match="bytes of a block's memory"):
        Place(Emulator(), "cpu").train(of, "adam", checkpoints=(1,), replicas=1)


def test_the_structure_of_work_is_that_of_the_kernel() -> None:
    names = [name for name, *_ in Work._fields_]
    body = "".join(f"  if (i == {n}) return offsetof(Work, {name});\n" for n, name in enumerate(names))
    kernel = source(update_code(RULES["sgd"], Decay.NONE), made("1,1,1", 2))
    text = f"{kernel}\n#include <stddef.h>\nlong at(int i) {{\n{body}  return sizeof(Work);\n}}\n"
    found = compiler.load(text, {})
    assert [found.at(n) for n in range(len(names))] == [getattr(Work, name).offset for name in names]
    assert found.at(99) == ctypes.sizeof(Work)


# --- NVRTC ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "nonconv" / "kernels"


TINY = 'extern "C" __global__ void train(const int number) {}\n'


@no_nvrtc
@pytest.mark.parametrize("capability", [(8, 0), (9, 0)], ids=str)
def test_nvrtc_compiles_for_a_capability(cache: Path, capability: tuple[int, int]) -> None:
    kernel = source(update_code(RULES["adam"], Decay.NONE), made("1,3,1", 8, states=2).of(Rows.DRAWN))
    assert nvrtc.compiled(kernel, capability, wide=False).startswith(b"\x7fELF")


@no_nvrtc
@pytest.mark.slow
@pytest.mark.parametrize("rule", C4_RULES)
@pytest.mark.parametrize("widths", ["1,32,1", "1,4*8,1", "1,50,50,1"])
def test_nvrtc_compiles_every_rule(cache: Path, rule: str, widths: str) -> None:
    code = update_code(RULES[rule], Decay.COUPLED)
    for wide in (False, True):
        kernel = source(code, made(widths, 64, len(code.own_states), wide))
        assert nvrtc.compiled(kernel, (9, 0), wide=wide).startswith(b"\x7fELF")


@no_nvrtc
def test_a_newer_gpu_gets_ptx_and_an_ancient_one_nothing(cache: Path) -> None:
    assert b".entry train" in nvrtc.compiled(TINY, (99, 0), wide=False)
    with pytest.raises(Unavailable, match=r"knows no GPU of compute capability 1\.0"):
        nvrtc.compiled(TINY, (1, 0), wide=False)


@no_nvrtc
def test_what_nvrtc_made_is_kept_and_checked(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = nvrtc.compiled(TINY, (9, 0), wide=False)
    (path,) = cache.glob("*")
    path.write_bytes(b"damaged")
    assert nvrtc.compiled(TINY, (9, 0), wide=False) == code
    monkeypatch.setattr(nvrtc, "_compile", None)
    assert nvrtc.compiled(TINY, (9, 0), wide=False) == code
    assert [each.read_bytes() for each in cache.glob("*")] == [code]


@no_nvrtc
def test_source_that_nvrtc_does_not_accept(cache: Path) -> None:
    with pytest.raises(Unavailable, match=r"NVRTC does not accept the kernel: .*error"):
        nvrtc.compiled("int answer(void) { return no_such_name; }\n", (9, 0), wide=False)


def test_without_nvrtc_one_sentence_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvrtc, "_names", lambda: iter(["/no/such/libnvrtc.so.0"]))
    nvrtc._library.cache_clear()
    try:
        with pytest.raises(Unavailable, match=r"NVRTC.* is not installed: tried libnvrtc\.so\.0"):
            nvrtc._library()
    finally:
        nvrtc._library.cache_clear()


# --- launching ------------------------------------------------------------------------------------------------------


class Driver:
    """A CUDA driver whose only device is the emulation; it checks what it is told."""

    def __init__(self, kernel: str, memory: int) -> None:
        self.kernel, self.memory, self.allowed, self.launches = kernel, memory, 0, 0

    def cuDeviceGet(self, device: Any, index: int) -> int:  # noqa: N802
        device._obj.value = index
        return 0 if index == 0 else 101

    def cuDeviceGetAttribute(self, value: Any, number: int, device: Any) -> int:  # noqa: N802
        value._obj.value = {97: self.memory, 16: 132}[number]
        return 0

    def cuModuleLoadData(self, module: Any, code: bytes) -> int:  # noqa: N802
        module._obj.value = 7
        return 0 if code == b"code" else 200

    def cuModuleGetFunction(self, function: Any, module: Any, name: bytes) -> int:  # noqa: N802
        function._obj.value = 8
        return 0 if (module.value, name) == (7, b"train") else 500

    def cuFuncSetAttribute(self, function: Any, attribute: int, value: int) -> int:  # noqa: N802
        if attribute == 9:
            return 0 if value == 100 else 1
        self.allowed = value
        return 0 if (function.value, attribute) == (8, 8) and value <= self.memory else 1

    def cuLaunchKernel(self, function: Any, *more: Any) -> int:  # noqa: N802
        blocks, one_y, one_z, threads, one_v, one_w, memory, stream, arguments, extra = more
        assert (function.value, one_y, one_z, one_v, one_w, stream.value, extra) == (8, 1, 1, 1, 1, 4321, None)
        assert memory == self.allowed
        assert threads % 32 == 0
        work = ctypes.cast(arguments[0], ctypes.POINTER(Work))
        self.launches += 1
        return int(compiler.load(self.kernel, {}).train(work, ctypes.c_long(memory), ctypes.c_long(blocks)))

    def cuGetErrorString(self, status: int, text: Any) -> int:  # noqa: N802
        text._obj.value = {101: b"invalid device ordinal", 200: b"device kernel image is invalid"}[status]
        return 0


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Driver]:
    """A device 0 for `Cuda`, made of an emulation of the kernel for Adam on 1,5,1."""
    made_driver = Driver(source(update_code(RULES["adam"], Decay.NONE), made("1,5,1", 23, 2, wide=True)), 99 * 1024)
    machines._attribute.cache_clear()
    machines._function.cache_clear()
    monkeypatch.setattr(machines, "_driver", lambda: made_driver)
    monkeypatch.setattr(machines, "compiled", lambda source, capability, *, wide: b"code")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index: (9, 0))
    monkeypatch.setattr(torch.cuda, "device", lambda index: nullcontext())
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=4321))
    yield made_driver
    machines._attribute.cache_clear()
    machines._function.cache_clear()


def test_the_driver_is_told_what_the_kernel_needs(driver: Driver) -> None:
    on = Cuda(0)
    assert (on.memory, on.multiprocessors) == (99 * 1024, 132)
    check_agreement(Place(on, "cpu"), start("1,5,1"), "adam", replicas=7)
    assert driver.launches == 1


def test_what_the_driver_refuses_is_said(driver: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unavailable, match="the CUDA driver finds no device 1: invalid device ordinal"):
        _ = Cuda(1).memory
    monkeypatch.setattr(machines, "compiled", lambda source, capability, *, wide: b"other")
    with pytest.raises(Unavailable, match="the CUDA driver cannot load a kernel: device kernel image is invalid"):
        Cuda(0).function("", 0)


# --- choosing -------------------------------------------------------------------------------------------------------


def chosen(engine: Engine, optimizer: str = "sgd", device: torch.device | None = None) -> Choice:
    """What is chosen for rows on the CPU, or that say they are on another device."""
    rows: Any = TrainingRows.of(data_set(), "float32", "cpu")
    if device is not None:
        column = SimpleNamespace(device=device, is_cuda=device.type == "cuda", dtype=torch.float32, __len__=lambda: 23)
        rows = SimpleNamespace(inputs=_Column(column), labels=None)
    return choose(engine, Architecture.parse("1,5,1"), rows, resolve(OptimizerSpec(optimizer), prove=False), None)


class _Column:
    """A tensor of 23 rows that says where it is."""

    def __init__(self, about: SimpleNamespace) -> None:
        self.device, self.is_cuda, self.dtype = about.device, about.is_cuda, about.dtype

    def __len__(self) -> int:
        return 23


def test_the_engine_needs_a_cuda_device() -> None:
    told = "engine 'gpu' cannot train 1,5,1 with sgd: it computes on a CUDA device, and the device is cpu; expected"
    with pytest.raises(InvalidInput, match=told):
        chosen(Engine.GPU)


def test_auto_takes_the_gpu_where_the_rows_are(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = torch.device("cuda", 0)
    monkeypatch.setattr(gpu, "machine", lambda device: Emulator())
    assert chosen(Engine.AUTO, "adam", cuda) == Choice(Engine.GPU)
    foreign = chosen(Engine.AUTO, "torch.optim:ASGD", cuda)
    assert foreign.engine is Engine.EAGER
    assert foreign.why.startswith("not gpu: torch.optim:ASGD is not one of the rules")
    monkeypatch.setattr(gpu, "machine", lambda device: Emulator(memory=100))
    small = chosen(Engine.AUTO, "adam", cuda)
    assert small.engine is Engine.EAGER
    assert small.why.endswith("bytes of a block's memory, and there are 100")
    monkeypatch.setattr(gpu, "machine", machines.machine)
    monkeypatch.setattr(machines, "_driver", _no_driver)
    machines._attribute.cache_clear()
    assert chosen(Engine.AUTO, "adam", cuda) == Choice(Engine.EAGER, "not gpu: the CUDA driver is not installed")


def _no_driver() -> None:
    raise Unavailable("the CUDA driver is not installed")


@no_gpu
def test_eager_steps_on_a_gpu_as_on_the_cpu() -> None:
    of, numbers = start(), np.arange(9)
    for name, batch in (("sgd", None), ("adam", 5), ("torch.optim:ASGD", None), ("torch.optim:LBFGS", None)):
        batches: Batches = all_rows if batch is None else Minibatches((5, 6), numbers, 20, batch, of.data.n_rows)
        resolved = resolve(OptimizerSpec(name), prove=False)
        rows = (TrainingRows.of(of.data, of.dtype, device) for device in ("cpu", "cuda"))
        trainings = (Training(each, resolved, of.architecture, (20,), batches) for each in rows)
        here, there = (list(engines.train(of.draw(numbers), training))[-1] for training in trainings)
        assert distance(here, there).max() < 1e-8


AUDIT = """
title = "device"
[simulation]
initializations = 8
replicas = 4
steps = 2
batch = "all"
[data.parabola]
source = "x**2 + 2*x"
points = 50
[[sweep]]
name = "one"
data = ["parabola"]
initializations = ["pytorch"]
architectures = ["1,2,1"]
optimizers = ["sgd"]
theorems = ["T3"]
"""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize(
    ("option", "value", "told"),
    [
        ("--device", "cuda", "device 'cuda' cannot be used by torch here"),
        ("--engine", "gpu", "engine 'gpu' cannot train 1,2,1 with sgd: it computes on a CUDA device"),
    ],
)
def test_without_a_gpu_one_sentence_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, told: str
) -> None:
    path = tmp_path / "audit.toml"
    path.write_text(AUDIT, encoding="utf-8")
    with pytest.raises(SystemExit) as left:
        main(["audit", str(path), option, value, "--out", str(tmp_path / "out")])
    assert left.value.code == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert told in lines[-1]
    assert not any("Traceback" in line for line in lines)
    assert not (tmp_path / "out").exists()
