"""How a network's training is laid out on a GPU: lanes, registers and memory of a block, as constants of the kernel.

The layout depends on the network, the rule's states, the points of a step and the memory that a block may have, never
on the number of replicas: sums are then taken in the same order however replicas are put into blocks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache
from itertools import accumulate, pairwise
from pathlib import Path

from theorems.setting import Architecture
from verify.simulation.fused.update import UpdateCode

__all__ = ["HOPPER_MEMORY", "Layout", "Rows", "layout", "source"]

HOPPER_MEMORY = 227 * 1024
"""Bytes that a block may have on an H100 (CUDA C++ Programming Guide, compute capability 9.0)."""

_RESERVED = 1024  # bytes of every block that the driver keeps
_WARP = 32
_SMALLEST_TEAM = 8
_MOST_WARPS = 8
_REGISTERS = 150  # of 255, for activations; the rest is for sums, weights and addresses
_UNROLLED = 1600  # products of a lane's points with weights, up to which loops over neurons are unrolled
_FOLDER = Path(__file__).resolve().parent


class Rows(Enum):
    """Which rows a step takes: all, those drawn in the kernel, or those of a table."""

    ALL = 0
    DRAWN = 1
    GIVEN = 2


@dataclass(frozen=True)
class Layout:
    """The constants of a kernel; those without a sentence are in kernel.cu.

    replicas: of a block; memory: its bytes.
    """

    widths: tuple[int, ...]
    wide: bool
    states: int
    team: int
    points_at_once: int
    in_registers: bool
    one_chunk: bool
    rows: Rows = Rows.ALL

    @property
    def warps(self) -> int:
        """Warps of a block."""
        return max(1, self.team // _WARP)

    @property
    def replicas(self) -> int:
        """Replicas of a block."""
        return max(1, _WARP // self.team)

    @property
    def resident(self) -> int:
        """Blocks that a multiprocessor should hold at once: three warps for each scheduler, as its memory allows."""
        if self.warps > 1:
            return 1
        return max(1, min(8 if self.wide else 12, HOPPER_MEMORY // (self.memory + _RESERVED)))

    @property
    def parameters(self) -> int:
        """Of one network."""
        return sum(n_out * (n_in + 1) for n_in, n_out in pairwise(self.widths))

    @property
    def stride(self) -> int:
        """Numbers of a replica in a block's memory; where there are several, each begins four banks after the last."""
        used = (1 + self.states + self.warps) * self.parameters
        return used if self.replicas == 1 else used + (4 - used) % _WARP

    @property
    def memory(self) -> int:
        """Bytes of a block."""
        private = 0 if self.in_registers else self.warps * sum(self.widths) * self.points_at_once * _WARP
        return (self.replicas * self.stride + private) * (8 if self.wide else 4)

    def of(self, rows: Rows) -> Layout:
        """The same for another kind of rows."""
        return replace(self, rows=rows)

    def constants(self) -> dict[str, int]:
        """The kernel's definitions but the layers."""
        return {
            "ROWS": self.rows.value,
            "WIDE": int(self.wide),
            "TEAM": self.team,
            "WARPS": self.warps,
            "RESIDENT": self.resident,
            "POINTS_AT_ONCE": self.points_at_once,
            "IN_REGISTERS": int(self.in_registers),
            "ONE_CHUNK": int(self.one_chunk),
            "PARAMETERS": self.parameters,
            "STATES": self.states,
            "STRIDE": self.stride,
            "ACTIVATIONS": sum(self.widths),
            "INPUTS": self.widths[0],
            "OUTPUTS": self.widths[-1],
        }

    def layers(self) -> list[str]:
        """A call of LAYER for every layer, from the first to the last."""
        begins = list(accumulate(self.widths, initial=0))
        pairs = list(pairwise(self.widths))
        weights = list(accumulate((n_out * (n_in + 1) for n_in, n_out in pairs), initial=0))
        return [
            f"LAYER({begins[k]}, {begins[k + 1]}, {n_in}, {n_out}, {weights[k]}, {int(k == 0)}, "
            f"{int(k == len(pairs) - 1)})"
            for k, (n_in, n_out) in enumerate(pairs)
        ]


def layout(architecture: Architecture, points: int, states: int, wide: bool, memory: int) -> Layout | str:
    """The layout for so many points a step, or why there is none in so many bytes of memory."""
    candidates = [*_in_registers(architecture, points, states, wide), *_in_memory(architecture, points, states, wide)]
    fitting = next((each for each in candidates if each.memory <= memory), None)
    if fitting is not None:
        return fitting
    least = candidates[-1].memory
    return f"a replica of {architecture} needs {least} bytes of a block's memory, and there are {memory}"


def _in_registers(architecture: Architecture, points: int, states: int, wide: bool) -> list[Layout]:
    """The layout with activations in registers, if they fit: with the most points at once that keep a team busy."""
    words = sum(architecture.widths) * (2 if wide else 1)
    for at_once in (4, 2, 1):
        busy = at_once == 1 or points >= at_once * _SMALLEST_TEAM
        if busy and words * at_once <= _REGISTERS and architecture.n_parameters * at_once <= _UNROLLED:
            lanes = _power_of_2(-(-points // at_once))
            warps = min(_MOST_WARPS, -(-points // (_WARP * at_once)))
            team = max(_SMALLEST_TEAM, lanes) if lanes < _WARP else warps * _WARP
            return [Layout(architecture.widths, wide, states, team, at_once, True, points <= team * at_once)]
    return []


def _in_memory(architecture: Architecture, points: int, states: int, wide: bool) -> list[Layout]:
    """Layouts with activations in memory, the fastest first, the smallest last."""
    return [
        Layout(architecture.widths, wide, states, warps * _WARP, at_once, False, points <= warps * _WARP * at_once)
        for at_once in (2, 1)
        for warps in range(min(_MOST_WARPS, -(-points // (_WARP * at_once))), 0, -1)
        if at_once == 1 or warps > 2
    ]


def _power_of_2(least: int) -> int:
    return 1 << (least - 1).bit_length()


def source(code: UpdateCode, made: Layout) -> str:
    """The kernel with one update and one layout, for a GPU's compiler and the host's alike."""
    layers = made.layers()
    definitions = [f"#define {name} {value}" for name, value in made.constants().items()]
    definitions.append("#define FORWARD(LAYER) " + " ".join(layers))
    definitions.append("#define BACKWARD(LAYER) " + " ".join(reversed(layers)))
    update = code.source.replace('#include "lanes.h"\n', "")
    declared = "INLINE void update(int branch, long count, V *slab, const V *gradient, const REAL *scalars);"
    return "\n".join(["\n".join(definitions), text("lanes.h"), declared, update, text("kernel.cu")])


@lru_cache(maxsize=4)
def text(name: str) -> str:
    """A file of this folder."""
    return (_FOLDER / name).read_text(encoding="utf-8")
