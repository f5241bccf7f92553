"""Python's side of the kernels: memory in their layout, the work that they are given, and the threads that share it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from verify.optimizers.registry import ResolvedOptimizer
from verify.simulation.draw import Parameters, flatten, unflatten
from verify.simulation.engine_names import Epsilon
from verify.simulation.fused.compiler import SOURCES, load
from verify.simulation.fused.update import Schedule, UpdateCode, rule_and_decay, update_code

__all__ = ["Slabs", "Stepper", "Work", "aligned", "pointer", "run", "schedule", "source", "stepper"]

Floats = npt.NDArray[np.floating[Any]]
T = TypeVar("T", bound=np.generic)
Move = Callable[[npt.NDArray[np.int64], npt.NDArray[Any]], None]  # from which lanes, and where to, one after the other
_ALIGNMENT = 64
_WORTHWHILE = 0.95  # of a group's time, spent on its average lane: then nothing is regrouped


class Work(ctypes.Structure):
    """The structure of the same name in work.h."""

    _fields_ = [
        ("layers", ctypes.c_long),
        ("widths", ctypes.c_void_p),
        ("parameters", ctypes.c_long),
        ("states", ctypes.c_long),
        ("groups", ctypes.c_long),
        ("memory", ctypes.c_void_p),
        ("rows", ctypes.c_long),
        ("inputs", ctypes.c_void_p),
        ("labels", ctypes.c_void_p),
        ("sign", ctypes.c_long),
        ("batch", ctypes.c_long),
        ("chosen", ctypes.c_void_p),
        ("numbers", ctypes.c_void_p),
        ("key", ctypes.c_uint32 * 2),
        ("first", ctypes.c_long),
        ("steps", ctypes.c_long),
        ("scalar_count", ctypes.c_long),
        ("scalars", ctypes.c_void_p),
        ("branch", ctypes.c_void_p),
        ("update", ctypes.c_void_p),
        ("next", ctypes.c_long),
        ("moments", ctypes.c_void_p),
        ("centre", ctypes.c_double),
        ("guesses", ctypes.c_void_p),
        ("cells", ctypes.c_long),
        ("cells_per_unit", ctypes.c_double),
        ("cells_before", ctypes.c_double),
        ("pieces", ctypes.c_void_p),
        ("moved", ctypes.c_void_p),
        ("sources", ctypes.c_void_p),
        ("moving", ctypes.c_long),
    ]


def pointer(array: npt.NDArray[Any]) -> int:
    """The address of a contiguous array, which the caller keeps alive."""
    if not array.flags.c_contiguous:
        raise ValueError("expected a contiguous array")
    return array.ctypes.data


@lru_cache(maxsize=4)
def source(name: str) -> str:
    """The C source of a kernel."""
    return (SOURCES / name).read_text(encoding="utf-8")


@dataclass(frozen=True, eq=False)
class Stepper:
    """A compiled update, its scalars, and the number of replicas in a vector."""

    code: UpdateCode
    schedule: Schedule
    library: ctypes.CDLL
    lanes: int

    @property
    def address(self) -> int:
        """The address of the update."""
        return ctypes.cast(self.library.update, ctypes.c_void_p).value or 0


@lru_cache(maxsize=64)
def _code(rule: Any, decay: Any, epsilon: Epsilon) -> UpdateCode:
    return update_code(rule, decay, epsilon)


_schedules: dict[tuple[UpdateCode, str], Schedule] = {}


def schedule(optimizer: ResolvedOptimizer, epsilon: Epsilon) -> Schedule:
    """The update of an optimizer and the scalars of its steps. Fails: ValueError if it is not generated (`why_not`)."""
    code = _code(*rule_and_decay(optimizer), epsilon)
    settings = repr(sorted(optimizer.settings.items()))
    if len(_schedules) > 64:
        _schedules.clear()
    return _schedules.setdefault((code, settings), Schedule(code, optimizer.settings))


def stepper(optimizer: ResolvedOptimizer, dtype: torch.dtype, epsilon: Epsilon) -> Stepper:
    """Compile the update of an optimizer. Fails: Unavailable; ValueError if it is not generated (`why_not`)."""
    by = schedule(optimizer, epsilon)
    library = load(by.code.source, {"WIDE": int(dtype == torch.float64)})
    return Stepper(by.code, by, library, int(library.lanes()))


class Slabs:
    """Parameters and states of a block as the kernels keep them: (groups, 1 + states, parameters, lanes).

    order: the replica of each lane; the lanes that are left over repeat the last one. Where replicas are kept apart, as
    points.c needs them, each is a group of its own, with one lane, and zeros make its parameters whole vectors. No
    network reads these, and their gradient is 0; an update without epsilon may make them NaN.
    """

    def __init__(self, start: Parameters, by: Stepper, dtype: torch.dtype, *, apart: bool = False) -> None:
        self.apart, self.dtype = apart, np.dtype(np.float64 if dtype == torch.float64 else np.float32)
        self.widths = (start[0].weight.shape[2], *(layer.bias.shape[1] for layer in start))
        self.replicas, self.lanes = len(start[0].bias), 1 if apart else by.lanes
        self.groups = -(-self.replicas // self.lanes)
        self.order = np.minimum(np.arange(self.groups * self.lanes), self.replicas - 1)
        first = by.schedule.start()
        flat = flatten(start)
        self.parameters = flat.shape[1]
        self.vectors = -(-self.parameters * self.lanes // by.lanes)
        rows = self.vectors * by.lanes // self.lanes
        self.memory = aligned((self.groups, 1 + len(first), rows, self.lanes), self.dtype)
        self._spare: npt.NDArray[np.floating[Any]] | None = None  # memory to move into
        self.memory[:, 0, : self.parameters] = self.spread(flat).transpose(0, 2, 1)
        self.memory[:, 1:] = first[:, None, None]

    def spread(self, values: npt.NDArray[T]) -> npt.NDArray[T]:
        """Values (replicas, ...) as (groups, lanes, ...)."""
        return values[self.order].reshape(self.groups, self.lanes, *values.shape[1:])

    def regroup(self, costs: npt.NDArray[np.integer[Any]], move: Move) -> bool:
        """Put replicas of like cost (groups, lanes) together, since a group takes as long as its slowest lane.

        Groups that wait little stay as they are. Of the others the costly ones come first, so that at the end no thread
        waits long for another. No replica's numbers change. The answer is False where nothing is moved.
        """
        slowest = costs.max(axis=1)
        waiting = np.flatnonzero(costs.mean(axis=1) < _WORTHWHILE * slowest)
        flat = costs[waiting].reshape(-1)
        moves = np.argsort(-flat, kind="stable")
        promised = flat[moves].reshape(-1, self.lanes).max(axis=1, initial=0).sum()
        if promised >= _WORTHWHILE * slowest[waiting].sum():
            return False
        lanes = (waiting[:, None] * self.lanes + np.arange(self.lanes)).reshape(-1)
        if self._spare is None:
            self._spare = aligned(self.memory.shape, self.dtype)
        move(lanes[moves], self._spare)
        self.memory[waiting] = self._spare[: len(waiting)]
        self.order[lanes] = self.order[lanes[moves]]
        return True

    def read(self) -> Parameters:
        """The parameters now."""
        flat = np.empty((self.replicas, self.parameters))
        flat[self.order] = self.memory[:, 0, : self.parameters].transpose(0, 2, 1).reshape(-1, self.parameters)
        return unflatten(flat, self.widths)


def aligned(shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """An array of zeros whose first byte is at a multiple of a vector's length."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(size + _ALIGNMENT, dtype=np.uint8)
    offset = -raw.ctypes.data % _ALIGNMENT
    return raw[offset : offset + size].view(dtype).reshape(shape)


def run(function: Callable[..., int], work: Work, threads: int) -> None:
    """Let threads share the groups of replicas; results do not depend on their number. Fails: MemoryError."""
    work.next = 0
    address = ctypes.byref(work)
    count = max(1, min(threads, work.groups))
    if count == 1:
        answers = [function(address)]
    else:
        with ThreadPoolExecutor(count) as pool:
            answers = list(pool.map(lambda _: function(address), range(count)))
    if any(answers):
        raise MemoryError("no memory for the activations of a block of replicas")
