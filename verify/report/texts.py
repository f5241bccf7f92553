"""Sentences that every report needs: whose claims these are, how to read a verdict, what the audit does not say."""

from __future__ import annotations

__all__ = ["LIMITS", "READING", "SOURCE"]

SOURCE = (
    "Under audit: Thang Do, Sonja Hannibal and Arnulf Jentzen, Non-convergence to global minimizers in data driven "
    "supervised deep learning, arXiv:2410.10533 (2024). Its abstract states no constants: every bound and constant "
    "here is this project's own, with its own proof, and implies the claims where its hypotheses hold."
)

READING = (
    "A theorem says: if its hypotheses hold, an event at initialization has at least the proved probability, and after "
    "that event no training step ever reaches a global minimizer. The hypotheses are decided for each case; the bound "
    "is evaluated in interval arithmetic; the event is counted exactly on networks that were really drawn.",
    "CONFIRMED for an event at initialization checks the formula of the bound. From there to non-convergence the step "
    "is proof, not measurement.",
    "Where a bound equals the true probability, or nearly so, no finite sample is likely to lie wholly above it: "
    "CONSISTENT is then the best verdict to expect.",
    "The evidence of a verdict is the weakest level that it rests on. A comparison with frequencies takes "
    "floating-point draws for draws from the continuous law, so its evidence is never stronger than assumed.",
)

LIMITS = (
    "Structural events (dead neurons, a dead layer) are decided at initialization and hold for ever by proof. Risk "
    "events are finite-horizon events: the risk was above U at every look, for as many steps as were run. They say "
    "nothing of later steps.",
    "Assumed: replicas are independent draws from the continuous law. Comparisons that turn on less than the "
    "resolution of floating-point draws are UNDECIDED.",
    "Runs that left the reals (NaN or infinity) did so because floats overflow: they count neither for nor against a "
    "risk event, and no frozen neuron is claimed of them.",
    "A theorem speaks of exact real arithmetic. What finite precision does to a run is seen in the frequencies only.",
    "A proved bound may be far below the true probability. Networks also die later in training, which no bound on "
    "death at initialization covers.",
    "U lies at or above the optimal risk, so a network that stays above U has not reached a global minimizer; one that "
    "gets below U may still miss every global minimizer.",
)
