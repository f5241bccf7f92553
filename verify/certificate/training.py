"""What an audit says of trained replicas: the members `level` and `training` (FORMAT.md, sections 10 and 10a)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain

from theorems.hypotheses import OptimizerClass
from theorems.setting import Architecture, DataSet
from verify.certificate.case import common_class
from verify.certificate.terms import CannotBeWritten, Json, ratio
from verify.enclosure import Enclosure
from verify.inference import Verdict
from verify.risk import best_witness

__all__ = ["Compared", "LevelSplit", "Persistence", "Run", "Training", "level_part", "training_part"]

MOST_TRIALS, LEAST_ALPHA = 10**8, Fraction(1, 2**128)
LONGEST_NETWORK = 30_000
"""Characters of a network up to which it is written."""


@dataclass(frozen=True)
class Compared:
    """A comparison of a bound with counted replicas, as an audit made it.

    Symbols: events, lost, trials = the counts; limits at level alpha; resolution as in math §8.
    """

    events: int
    lost: int
    trials: int
    interval: str
    alpha: Fraction
    limits: Enclosure
    dtype: str
    resolution: Fraction
    verdict: Verdict

    @property
    def fits(self) -> bool:
        """Whether the format holds counts and a level of this size."""
        return 1 <= self.trials <= MOST_TRIALS and LEAST_ALPHA <= self.alpha < 1

    def to_json(self) -> Json:
        """A comparison as the format has it."""
        return {
            "events": self.events,
            "lost": self.lost,
            "trials": self.trials,
            "interval": self.interval,
            "alpha": ratio(self.alpha),
            "lo": ratio(self.limits.lo),
            "hi": ratio(self.limits.hi),
            "dtype": self.dtype,
            "resolution": ratio(self.resolution),
            "verdict": self.verdict.value,
        }


@dataclass(frozen=True)
class LevelSplit:
    """So many comparisons share `total (1 - reserved)` equally."""

    total: Fraction
    reserved: Fraction
    comparisons: int


@dataclass(frozen=True)
class Persistence:
    """How many trained replicas had something dead, in how many it kept its bits, and the verdict."""

    claimed: int
    kept: int
    verdict: Verdict


@dataclass(frozen=True)
class Run:
    """The trained replicas of one optimizer; None: there is no such comparison, or another certificate has it."""

    optimizer: OptimizerClass
    risk: Compared | None
    persistence: Persistence | None


@dataclass(frozen=True)
class Training:
    """Trained replicas of one start and theorem.

    Symbols: reachable = U, the level of the risk event; margin = eps; constant = whether the event forces a constant
    output.
    """

    reachable: Fraction
    margin: Fraction | None
    constant: bool
    runs: tuple[Run, ...]


def level_part(split: LevelSplit | None) -> Json:
    """The member `level`."""
    if split is None:
        return None
    return {"total": ratio(split.total), "reserved": ratio(split.reserved), "comparisons": split.comparisons}


def training_part(
    training: Training | None, architecture: Architecture, data: DataSet, *, with_rows: bool, with_bound: bool
) -> Json:
    """The member `training`.

    The margin is written where the network shows it: for events that force a constant output. Other margins (Lemmas 5
    and 6) come from searches that the format does not hold.
    """
    if training is None:
        return None
    compared = any(run.risk is not None and run.risk.fits for run in training.runs)
    network = _network(architecture, data) if with_rows and (compared or training.constant) else None
    gap = data.noise_floor + data.variance - best_witness(architecture, data).risk
    shown = training.constant and with_bound and network is not None
    margin = training.margin if shown and training.margin is not None and training.margin <= gap else None
    if not compared and margin is None and all(run.persistence is None for run in training.runs):
        return None
    return {
        "risk": ratio(training.reachable) if compared else None,
        "network": network,
        "margin": None if margin is None else ratio(margin),
        "runs": [_run(run) for run in training.runs],
    }


def _run(run: Run) -> Json:
    kept = run.persistence
    return {
        "optimizer": common_class((run.optimizer,)),
        "risk": run.risk.to_json() if run.risk is not None and run.risk.fits else None,
        "persistence": None
        if kept is None
        else {"claimed": kept.claimed, "kept": kept.kept, "verdict": kept.verdict.value},
    }


def _network(architecture: Architecture, data: DataSet) -> Json:
    """The network whose risk is known, as two layers; None where it is too long or later layers are too narrow."""
    if min(architecture.hidden[1:], default=data.output_dim) < data.output_dim:
        return None
    found = best_witness(architecture, data)
    hinges = [(*u, -t) for u, t in zip(found.directions, found.thresholds, strict=True)]
    outputs = [(*(slope[i] for slope in found.slopes), c) for i, c in enumerate(found.intercept)]
    return _written((hinges, outputs))


def _written(layers: Sequence[Sequence[Sequence[Fraction]]]) -> Json:
    try:
        written = [[[ratio(value) for value in row] for row in rows] for rows in layers]
    except CannotBeWritten:
        return None
    long = sum(map(len, chain.from_iterable(chain.from_iterable(written)))) > LONGEST_NETWORK
    return None if long else written
