"""Which optimizer the user asked for; reading a configuration needs no more, so torch is not imported here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["OptimizerSpec", "Setting"]

Setting = bool | int | float | str | tuple[float, ...]


@dataclass(frozen=True)
class OptimizerSpec:
    """What the user asked for: one of the names or `package.module:Class`, and settings that replace defaults."""

    target: str
    settings: Mapping[str, Setting] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What tables print."""
        shown = ", ".join(f"{key}={value}" for key, value in sorted(self.settings.items()))
        return f"{self.target}({shown})" if shown else self.target
