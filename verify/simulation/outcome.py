"""What became of a trained replica."""

from __future__ import annotations

from enum import Enum

__all__ = ["Outcome"]


class Outcome(Enum):
    """What became of a trained replica; every replica gets exactly one, tested in this order."""

    DEAD_AT_INITIALIZATION = "dead at initialization"
    DIED_LATER = "died later"
    RISK_NOT_REACHED = "alive, risk not reached"
    RISK_REACHED = "risk reached"
    UNDECIDED = "undecided"
