"""Exact and enclosed numbers, three-valued comparison, rigorous evaluation of symbolic bounds."""

from verify.enclosure.arb import Undecidable, evaluate, is_at_most, sign_of
from verify.enclosure.bounds import evaluate_bound
from verify.enclosure.display import at_least, at_most, float_down, float_up
from verify.enclosure.numbers import Enclosure, Estimate, Exact, Tri

__all__ = [
    "Enclosure",
    "Estimate",
    "Exact",
    "Tri",
    "Undecidable",
    "at_least",
    "at_most",
    "evaluate",
    "evaluate_bound",
    "float_down",
    "float_up",
    "is_at_most",
    "sign_of",
]
