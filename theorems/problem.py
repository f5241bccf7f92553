"""A case as the theorems see it: network, initialization, data, optimizer."""

from __future__ import annotations

from dataclasses import dataclass

from theorems.errors import InvalidInput
from theorems.hypotheses import OptimizerClass
from theorems.laws import Initialization, Law
from theorems.setting import Architecture, DataSet

__all__ = ["Problem"]


@dataclass(frozen=True)
class Problem:
    """One training problem. Fails: InvalidInput if the data do not fit the architecture."""

    architecture: Architecture
    initialization: Initialization
    data: DataSet
    optimizer: OptimizerClass

    def __post_init__(self) -> None:
        for side, width, found in (
            ("input", self.architecture.input_dim, self.data.input_dim),
            ("output", self.architecture.output_dim, self.data.output_dim),
        ):
            if width != found:
                raise InvalidInput(
                    f"architecture {self.architecture} has {side} width {width}, "
                    f"but data {self.data.name!r} has {found} {side} column{'s' if found > 1 else ''}"
                )

    def layer_laws(self, layer: int) -> tuple[Law, Law]:
        """Weight and bias law of hidden layer `layer`, counted from 1. Needs independent initialization."""
        fan_in, fan_out = self.architecture.widths[layer - 1], self.architecture.widths[layer]
        return self.initialization.weight_law(fan_in, fan_out), self.initialization.bias_law(fan_in, fan_out)
