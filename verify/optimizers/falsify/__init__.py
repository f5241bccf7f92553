"""Counterexamples: a search for gradient histories that contradict a property of an optimizer (math §2)."""

from verify.optimizers.falsify.coordinates import acts_per_coordinate
from verify.optimizers.falsify.history import History, Layout
from verify.optimizers.falsify.plans import Untouched
from verify.optimizers.falsify.results import Experiment, Moved, NotRun, Outcome, Rounding, Tested, Violation
from verify.optimizers.falsify.search import STEPS, THOROUGH_STEPS, WIDTHS, falsify

__all__ = [
    "STEPS",
    "THOROUGH_STEPS",
    "WIDTHS",
    "Experiment",
    "History",
    "Layout",
    "Moved",
    "NotRun",
    "Outcome",
    "Rounding",
    "Tested",
    "Untouched",
    "Violation",
    "acts_per_coordinate",
    "falsify",
]
