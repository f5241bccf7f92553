"""How sharp the bounds are: proved bound, measured frequency, proved ceiling, side by side, one row a theorem."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from verify.inference import Verdict
from verify.report.numbers import NOTHING, bracket, clean, lower, stated, upper
from verify.report.rows import counted, verdict_of
from verify.results import CaseResult, FrequencyResult, Results, StartResult, TheoremResult, exact

__all__ = ["COLUMNS", "SharpnessRow", "sharpness_rows"]

COLUMNS = (
    *("data", "initialization", "network", "optimizers", "theorem", "event", "proved", "seen", "limits"),
    *("ceiling", "share", "verdict"),
)


@dataclass(frozen=True)
class SharpnessRow:
    """A theorem that applies to a start, for the optimizers for which bound and event are the same.

    ceiling: the proved upper bound T11a of the probability of a dead layer, None for other events or where it does not
    apply.
    """

    start: StartResult
    optimizers: tuple[str, ...]
    theorem: TheoremResult
    frequency: FrequencyResult
    ceiling: Fraction | None

    @property
    def bound(self) -> Fraction:
        """The certified lower bound."""
        return Fraction(0) if self.theorem.bound is None else exact(self.theorem.bound.lo)

    @property
    def share(self) -> Fraction | None:
        """Bound over frequency, None if the event was never seen; above 1 only by the noise of the frequency."""
        if not self.frequency.events:
            return None
        return self.bound * self.frequency.trials / self.frequency.events

    @property
    def verdict(self) -> Verdict:
        """The comparison of the audit."""
        return verdict_of(self.theorem.judgement)

    @property
    def cells(self) -> tuple[str, ...]:
        """The row as text, in the order of `COLUMNS`; bounds are rounded in the safe direction."""
        return (
            clean(self.start.data),
            clean(self.start.initialization),
            clean(self.start.architecture),
            clean(" ".join(self.optimizers)),
            clean(self.theorem.theorem),
            clean(self.theorem.event),
            stated(self.theorem),
            counted(self.frequency),
            bracket(self.frequency.lo, self.frequency.hi),
            NOTHING if self.ceiling is None else f"≤ {upper(self.ceiling)}",
            NOTHING if self.share is None else lower(self.share, 3),
            self.verdict.value,
        )


def sharpness_rows(results: Results) -> list[SharpnessRow]:
    """Every theorem with a positive lower bound on every start, best bound first within a start."""
    return [row for start in results.starts for row in _of_start(start, results.cases_of(start))]


def _of_start(start: StartResult, cases: Sequence[CaseResult]) -> Iterator[SharpnessRow]:
    groups: dict[tuple[object, ...], list[tuple[CaseResult, TheoremResult]]] = {}
    ceilings = {t.event: exact(t.bound.hi) for case in cases for t in case.theorems if t.bound and not t.is_lower}
    for case in cases:
        for theorem in case.theorems:
            groups.setdefault((theorem.theorem, theorem.bound, theorem.event), []).append((case, theorem))
    rows = [
        SharpnessRow(
            start,
            tuple(case.optimizer for case, _ in group),
            group[0][1],
            group[0][1].frequency,
            ceilings.get(group[0][1].event),
        )
        for group in groups.values()
        if group[0][1].is_lower and group[0][1].frequency is not None
    ]
    yield from sorted((row for row in rows if row.bound > 0), key=lambda row: -row.bound)
