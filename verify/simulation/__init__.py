"""Simulation: independent replicas in blocks, stepped by real optimizers, with events decided exactly.

Floats live here. What leaves is counts of events; every event about a drawn network is decided rigorously.
"""

from verify.simulation.runs import (
    Outcome,
    RunCounts,
    RunTask,
    StartCounts,
    StartTask,
    run_block,
    sample_starts,
)

__all__ = ["Outcome", "RunCounts", "RunTask", "StartCounts", "StartTask", "run_block", "sample_starts"]
