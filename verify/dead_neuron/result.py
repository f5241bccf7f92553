"""What a method of math §6 returns."""

from __future__ import annotations

from dataclasses import dataclass

from theorems.hypotheses import Evidence
from verify.enclosure import Enclosure

__all__ = ["DeadProbability"]


@dataclass(frozen=True)
class DeadProbability:
    """Enclosure of `p_1` and how it is known. One-sided methods give `[lower bound, 1]`."""

    method: str
    enclosure: Enclosure
    two_sided: bool
    evidence: Evidence
    why: str
