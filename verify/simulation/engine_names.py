"""The names of the engines; reading a configuration needs no more, so torch is not imported here."""

from __future__ import annotations

from enum import Enum
from typing import Literal

from theorems.errors import InvalidInput, did_you_mean

__all__ = ["Engine", "Epsilon"]

Epsilon = Literal["torch", "tensorflow1"]
"""Where Adam, AMSGrad and AdamW add their epsilon: `sqrt(v/c_2) + eps`, or `sqrt(v) + eps` with `sqrt(c_2)` outside,
which is torch's with `eps/sqrt(c_2)` at each step; `c_2 = 1 - beta_2^t`. Others know one convention, torch's."""


class Engine(Enum):
    """What trains a block."""

    EAGER = "eager"
    FUSED = "fused"
    EXACT1D = "exact1d"
    GPU = "gpu"
    AUTO = "auto"

    @property
    def meaning(self) -> str:
        """One sentence for tables and `explain`."""
        return _MEANINGS[self]

    @classmethod
    def parse(cls, text: str) -> Engine:
        """Read a name. Fails: InvalidInput."""
        try:
            return cls(text)
        except ValueError:
            expected = ", ".join(each.value for each in cls)
            nearest = did_you_mean(text, (each.value for each in cls))
            raise InvalidInput(f"engine {text!r}: expected one of {expected}{nearest}") from None


_MEANINGS = {
    Engine.EAGER: "steps the real optimizer, all replicas of a block stacked; trains everything",
    Engine.FUSED: "whole trajectories in C, compiled for the case at hand; the named rules",
    Engine.EXACT1D: "scalar inputs and the whole data at each step: exact gradients from prefix sums over sorted data",
    Engine.GPU: "whole trajectories on a CUDA device, in one launch; the rules of fused",
    Engine.AUTO: "the fastest that supports the case; the report says which",
}
