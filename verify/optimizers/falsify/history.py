"""Networks, their neurons, and gradient histories: the inputs on which an optimizer is tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch

__all__ = ["Coordinate", "History", "Layout", "Neuron", "Setting", "Values"]

Setting = bool | int | float | str | tuple[float, ...] | None
Values = tuple[tuple[float, ...], ...]
"""The entries of every parameter, flattened."""
Coordinate = tuple[int, int]
"""A parameter and a place in it, flattened."""


@dataclass(frozen=True)
class Neuron:
    """A hidden neuron: its layer (1, 2, ...) and row, its incoming weights and its bias (none without biases)."""

    layer: int
    row: int
    weights: tuple[Coordinate, ...]
    bias: Coordinate | None

    @property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """Weights, then the bias."""
        return self.weights if self.bias is None else (*self.weights, self.bias)


@dataclass(frozen=True)
class Layout:
    """The parameters `W^1, b^1, W^2, ...` of a network with widths `l_0, ..., l_L`; without biases `W^1, W^2, ...`."""

    widths: tuple[int, ...]
    biases: bool = True

    @cached_property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """One shape for each parameter."""
        shapes: list[tuple[int, ...]] = []
        for below, width in zip(self.widths, self.widths[1:], strict=False):
            shapes.append((width, below))
            if self.biases:
                shapes.append((width,))
        return tuple(shapes)

    @cached_property
    def coordinates(self) -> tuple[Coordinate, ...]:
        """Every coordinate of every parameter."""
        sizes = [torch.Size(shape).numel() for shape in self.shapes]
        return tuple((index, place) for index, size in enumerate(sizes) for place in range(size))

    @cached_property
    def neurons(self) -> tuple[Neuron, ...]:
        """The hidden neurons; those of the output layer are not asked about (math §2)."""
        found = []
        each = 2 if self.biases else 1
        for layer, (below, width) in enumerate(zip(self.widths[:-2], self.widths[1:-1], strict=True), start=1):
            index = each * (layer - 1)
            for row in range(width):
                weights = tuple((index, row * below + place) for place in range(below))
                found.append(Neuron(layer, row, weights, (index + 1, row) if self.biases else None))
        return tuple(found)


@dataclass(frozen=True)
class History:
    """Initial parameters and the gradients of every step; None: this parameter's `grad` is None at this step.

    seed: what torch and random are seeded with. settings: what `build` is given besides the parameters.
    """

    shapes: tuple[tuple[int, ...], ...]
    initial: Values
    gradients: tuple[tuple[tuple[float, ...] | None, ...], ...]
    seed: int = 0
    settings: Mapping[str, Setting] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """How many steps are made."""
        return len(self.gradients)
