"""What is raised when two independent computations of one thing contradict each other."""

from __future__ import annotations

__all__ = ["Disagreement"]


class Disagreement(Exception):
    """The two arithmetic engines contradict each other: one of them is wrong, and nothing may be written."""
