"""What the reports show, computed once: table rows, counts of verdicts, refutations, the summary.

Terminal, Markdown and HTML print the same strings. Lower bounds and lower limits are rounded down, upper ones up.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from theorems.errors import InvalidInput
from verify.inference import Verdict
from verify.report.numbers import LONGEST, NOTHING, bracket, clean, lower
from verify.results import (
    BoundResult,
    CaseResult,
    FrequencyResult,
    JudgementResult,
    Results,
    StartResult,
    TheoremResult,
    exact,
)
from verify.simulation.outcome import Outcome

__all__ = [
    "OUTCOMES",
    "PERSISTENCE",
    "UNTRAINED",
    "ClaimCount",
    "Entry",
    "Row",
    "Split",
    "certain_of",
    "claim_counts",
    "counted",
    "entries",
    "make_rows",
    "persistence_text",
    "pool",
    "refutations",
    "settings_table",
    "verdict_counts",
    "verdict_of",
    "was_trained",
]

OUTCOMES = tuple(outcome.value for outcome in Outcome)
PERSISTENCE = "frozen"
UNTRAINED = "no network was trained"
AT_START, IN_TRAINING, AFTER_TRAINING = "at initialization", "during training", "after training"


def verdict_of(judgement: JudgementResult) -> Verdict:
    """Return the verdict of a judgement. Fails: InvalidInput if the word is none of the verdicts."""
    try:
        return Verdict(judgement.verdict)
    except ValueError:
        words = ", ".join(verdict.value for verdict in Verdict)
        raise InvalidInput(f"verdict {judgement.verdict!r}: expected one of {words}") from None


# --- rows ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """How many trained replicas had each outcome, in the order of `Outcome`."""

    counts: tuple[int, ...]

    @property
    def total(self) -> int:
        """Number of replicas."""
        return sum(self.counts)

    @property
    def percents(self) -> tuple[int, ...]:
        """Whole percents, where 0 means none and 100 means all; they need not add up to 100."""
        return tuple(self._percent(count) for count in self.counts)

    def _percent(self, count: int) -> int:
        if count in (0, self.total):
            return 100 * bool(count)
        return min(max(round(Fraction(100 * count, self.total)), 1), 99)

    def text(self, between: str = " / ") -> str:
        """Percents in the order of `Outcome`; the last, *undecided*, only if there are any."""
        if not self.total:
            return NOTHING
        shown = self.percents if self.counts[-1] else self.percents[:-1]
        return between.join(str(percent) for percent in shown)


def pool(cases: Sequence[CaseResult]) -> Split:
    """Add up the outcomes of cases."""
    return Split(tuple(sum(case.run.outcomes.get(outcome, 0) for case in cases) for outcome in OUTCOMES))


@dataclass(frozen=True)
class Row:
    """A start with its best theorem, over the optimizers for which theorem, event, bound and verdict are the same."""

    start: StartResult
    cases: tuple[CaseResult, ...]
    of: int

    @property
    def best(self) -> TheoremResult:
        """The theorem of the row."""
        return self.cases[0].best

    @property
    def theorem(self) -> str:
        """Its name."""
        return clean(self.best.theorem)

    @property
    def claims(self) -> str:
        """The claims that it speaks of."""
        return clean(" ".join(self.best.claims))

    @property
    def data(self) -> str:
        """Name of the data set."""
        return clean(self.start.data)

    @property
    def initialization(self) -> str:
        """Name of the initialization."""
        return clean(self.start.initialization)

    @property
    def architecture(self) -> str:
        """Widths of the network."""
        return clean(self.start.architecture)

    @property
    def optimizers(self) -> tuple[str, ...]:
        """The optimizers of the row."""
        return tuple(clean(case.optimizer) for case in self.cases)

    @property
    def optimizers_text(self) -> str:
        """How many optimizers; of how many, where the start has more than one row."""
        return str(len(self.cases)) if len(self.cases) == self.of else f"{len(self.cases)} of {self.of}"

    @property
    def verdict(self) -> Verdict:
        """Comparison of the bound with the frequency at initialization."""
        return verdict_of(self.best.judgement)

    @property
    def bound(self) -> BoundResult | None:
        """The certified bound, None if there is none."""
        return self.best.bound

    @property
    def frequency(self) -> FrequencyResult | None:
        """How often the event was seen at initialization."""
        return self.best.frequency

    def bound_text(self, digits: int = 4, longest: int = LONGEST) -> str:
        """The certified lower bound, rounded down."""
        return NOTHING if self.bound is None else lower(exact(self.bound.lo), digits, longest)

    @property
    def bound_order(self) -> float:
        """A number that grows with the bound, also where floats near 1 no longer tell: minus the logarithm of 1 - B."""
        if self.bound is None:
            return -1
        gap = 1 - exact(self.bound.lo)
        return 1e9 if gap <= 0 else math.log(gap.denominator) - math.log(gap.numerator)

    @property
    def seen_order(self) -> float:
        """The share of networks with the event."""
        return -1 if self.frequency is None else self.frequency.events / max(self.frequency.trials, 1)

    @property
    def seen_text(self) -> str:
        """Events / trials; lost replicas are added, if any."""
        return NOTHING if self.frequency is None else counted(self.frequency)

    @property
    def limits_text(self) -> str:
        """Confidence limits, rounded outward."""
        return NOTHING if self.frequency is None else bracket(self.frequency.lo, self.frequency.hi)

    @property
    def split(self) -> Split:
        """Outcomes, pooled over the optimizers."""
        return pool(self.cases)

    @property
    def persistent(self) -> int:
        """Replicas with the event whose dead neurons kept the same bits in training."""
        return sum(case.run.persistent for case in self.cases)

    @property
    def claimed(self) -> int:
        """Replicas that were dead with a margin, so that every bit must stay."""
        return sum(case.run.claimed for case in self.cases)

    @property
    def frozen_text(self) -> str:
        """Persistent / claimed, and the word if that is not what the theorems demand; kept, where bits may change."""
        return persistence_text(self.cases, "/")


def counted(frequency: FrequencyResult) -> str:
    """Events / trials; lost replicas are added, if any."""
    lost = f" (+{frequency.lost} lost)" if frequency.lost else ""
    return f"{frequency.events}/{frequency.trials}{lost}"


def persistence_text(cases: Sequence[CaseResult], of: str) -> str:
    """What became of dead neurons in training: how many networks kept the bits, or kept as much dead under decay."""
    if not any(case.run.trials for case in cases):
        return UNTRAINED
    words = {verdict_of(case.run.persistence) for case in cases} - {Verdict.CONSISTENT}
    if words == {Verdict.NOT_APPLICABLE}:
        return f"dead at the end: {sum(c.run.kept for c in cases)}{of}{sum(c.run.events for c in cases)}"
    kept = f"{sum(c.run.persistent for c in cases)}{of}{sum(c.run.claimed for c in cases)}"
    if certain_of(cases):
        kept += f" (+{certain_of(cases)} certain)"
    return " ".join([kept, *(verdict.value for verdict in Verdict if verdict in words)])


def make_rows(results: Results) -> list[Row]:
    """The verdict table: the starts in order, one row each unless the optimizers of a start differ."""
    rows = []
    for start in results.starts:
        groups: dict[tuple[object, ...], list[CaseResult]] = {}
        cases = results.cases_of(start)
        for case in cases:
            best = case.best
            groups.setdefault((best.theorem, best.judgement.verdict, best.event, best.bound), []).append(case)
        rows += [Row(start, tuple(group), len(cases)) for group in groups.values()]
    return rows


# --- verdicts -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    """One verdict of the audit: about which case, which theorem (None: persistence), and when in a case's life."""

    case: CaseResult
    theorem: TheoremResult | None
    when: str
    judgement: JudgementResult

    @property
    def subject(self) -> str:
        """What it is about, in words."""
        name = "dead neurons keep their bits" if self.theorem is None else clean(self.theorem.theorem)
        return f"{name}, {self.when}"


def entries(results: Results) -> Iterator[Entry]:
    """Every verdict, the same ones as `Results.judgements`."""
    for case in results.cases:
        yield Entry(case, None, AFTER_TRAINING, case.run.persistence)
        for theorem in case.theorems:
            yield Entry(case, theorem, AT_START, theorem.judgement)
            if theorem.risk is not None:
                yield Entry(case, theorem, IN_TRAINING, theorem.risk)


def refutations(results: Results) -> list[Entry]:
    """The REFUTED verdicts, wherever they are: also of theorems that are not the best of their case."""
    return [entry for entry in entries(results) if verdict_of(entry.judgement) is Verdict.REFUTED]


def verdict_counts(results: Results) -> dict[Verdict, int]:
    """How many verdicts there are of each kind."""
    judged = Counter(verdict_of(judgement) for judgement in results.judgements())
    return {verdict: judged[verdict] for verdict in Verdict}


def certain_of(cases: Iterable[CaseResult]) -> int:
    """Networks whose outcome was certain at initialization, so that they were counted and not trained."""
    return sum(case.run.certain for case in cases)


def was_trained(results: Results) -> bool:
    """Whether any network was trained at all."""
    return any(case.run.trials for case in results.cases)


@dataclass(frozen=True)
class ClaimCount:
    """The verdicts of the theorems that speak of a claim. PERSISTENCE is what all of them rest on."""

    claim: str
    text: str
    theorems: tuple[str, ...]
    counts: dict[Verdict, int]


def claim_counts(results: Results) -> list[ClaimCount]:
    """Verdicts per claim, then those on persistence. A theorem speaks of several claims and counts for each."""
    found: dict[str, Counter[Verdict]] = {claim: Counter() for claim in (*results.claims, PERSISTENCE)}
    used: dict[str, dict[str, None]] = {claim: {} for claim in found}
    for entry in entries(results):
        for claim in (PERSISTENCE,) if entry.theorem is None else entry.theorem.claims:
            if claim in found:
                found[claim][verdict_of(entry.judgement)] += 1
                if entry.theorem is not None:
                    used[claim][clean(entry.theorem.theorem)] = None
    texts = dict(results.claims) | {
        PERSISTENCE: "What is dead with a margin at initialization has the same bits after training."
        + ("" if was_trained(results) else f" Not looked at: {UNTRAINED}.")
    }
    return [
        ClaimCount(clean(claim), clean(texts[claim]), _in_order(used[claim]), {v: found[claim][v] for v in Verdict})
        for claim in found
    ]


def _in_order(names: Iterable[str]) -> tuple[str, ...]:
    """T2 before T10."""
    return tuple(sorted(names, key=lambda name: (len(name), name)))


def settings_table(results: Results) -> list[tuple[str, str]]:
    """Everything that is needed to run the audit again, as pairs of name and value."""
    pairs: list[tuple[str, str]] = [
        ("created", results.created),
        ("seconds", str(results.seconds)),
        ("seed", str(results.seed)),
        *((name, str(value)) for name, value in results.settings.items()),
        *((name, value) for name, value in results.environment.items() if value is not None),
    ]
    return [(clean(name), clean(value)) for name, value in pairs]
