"""The names of the engines; reading a configuration needs no more, so torch is not imported here."""

from __future__ import annotations

from enum import Enum

from theorems.errors import InvalidInput

__all__ = ["Engine"]


class Engine(Enum):
    """What trains a block."""

    EAGER = "eager"
    FUSED = "fused"
    EXACT1D = "exact1d"
    AUTO = "auto"

    @classmethod
    def parse(cls, text: str) -> Engine:
        """Read a name. Fails: InvalidInput."""
        try:
            return cls(text)
        except ValueError:
            expected = ", ".join(each.value for each in cls)
            raise InvalidInput(f"engine {text!r}: expected one of {expected}") from None
