"""Everything about one start, and about one optimizer, as every report and every exported table tells it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from verify.inference import Verdict
from verify.report.numbers import NOTHING, bracket, lower, rate, stated, upper
from verify.report.rows import Row, Split, counted, make_rows, persistence_text, pool, verdict_of
from verify.report.words import row_sentence
from verify.results import (
    BoundResult,
    CaseResult,
    FindingResult,
    FrequencyResult,
    Results,
    StartResult,
    TheoremResult,
    exact,
)

__all__ = ["NO_LINKS", "Bound", "Details", "Finding", "Links", "OptimizerRow", "Run", "all_details", "optimizer_rows"]

Links = Mapping[tuple[str, str], str]
NO_LINKS: Links = {}


@dataclass(frozen=True)
class Finding:
    """A hypothesis of a start, for the theorems and optimizers that share the answer."""

    id: str
    theorems: str
    status: str
    evidence: str
    why: str
    optimizers: str


@dataclass(frozen=True)
class Bound:
    """A theorem of a start, for the optimizers that share bound and verdict."""

    theorem: str
    certificate: str | None
    bound: str
    seen: str
    limits: str
    verdict: Verdict
    why: str
    evidence: str
    training: str
    rate: str
    margin: str
    optimizers: str
    exact: BoundResult | None
    frequency: FrequencyResult | None


@dataclass(frozen=True)
class Run:
    """An optimizer of a start."""

    optimizer: str
    learning_rate: str
    split: Split
    non_finite: int
    certain: int
    risk: str
    risk_limits: str
    risk_verdict: str
    frozen: str
    persistence: Verdict
    why: str


@dataclass(frozen=True)
class Details:
    """Everything about one start.

    rows: its rows of the verdict table; sentences: what each of them says, in words.
    """

    start: StartResult
    rows: tuple[Row, ...]
    p_dead: str
    event: str
    findings: tuple[Finding, ...]
    bounds: tuple[Bound, ...]
    runs: tuple[Run, ...]

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """The verdicts of its rows, each once."""
        return tuple(dict.fromkeys(row.verdict for row in self.rows))

    @property
    def sentences(self) -> tuple[str, ...]:
        """Each row in words."""
        return tuple(row_sentence(row) for row in self.rows)


@dataclass(frozen=True)
class OptimizerRow:
    """An optimizer over the whole audit: learning rates, what is known of it alone, outcomes, persistence."""

    name: str
    rates: str
    findings: tuple[FindingResult, ...]
    split: Split
    frozen: str
    verdicts: dict[Verdict, int]


def all_details(results: Results, certificates: Links = NO_LINKS) -> list[Details]:
    """The starts of an audit in order."""
    rows: dict[str, list[Row]] = {}
    for row in make_rows(results):
        rows.setdefault(row.start.id, []).append(row)
    common = _by_optimizer_alone(results)
    return [
        _details(start, results.cases_of(start), rows.get(start.id, []), common, certificates)
        for start in results.starts
    ]


def _details(
    start: StartResult, cases: tuple[CaseResult, ...], rows: Sequence[Row], common: set[str], certificates: Links
) -> Details:
    return Details(
        start=start,
        rows=tuple(rows),
        p_dead=_p_dead(start),
        event=", ".join(dict.fromkeys(case.run.event for case in cases)),
        findings=tuple(_findings(cases, common)),
        bounds=tuple(_bounds(cases, certificates)),
        runs=tuple(_run(case) for case in cases),
    )


def _p_dead(start: StartResult) -> str:
    if start.p_dead is None:
        return "not known"
    lo, hi = exact(start.p_dead.lo), exact(start.p_dead.hi)
    if lo == hi and lower(lo) == upper(hi):
        return f"= {lower(lo)} exactly"
    return f"in {bracket(start.p_dead.lo, start.p_dead.hi)}"


def _by_optimizer_alone(results: Results) -> set[str]:
    """Hypotheses whose answer depends on the optimizer and on nothing else: they are told once, not at each start."""
    seen: dict[str, dict[str, set[FindingResult]]] = {}
    for case in results.cases:
        for theorem in case.theorems:
            for finding in theorem.hypotheses:
                seen.setdefault(finding.id, {}).setdefault(case.optimizer, set()).add(finding)
    return {
        name
        for name, answers in seen.items()
        if all(len(found) == 1 for found in answers.values()) and len(set.union(*answers.values())) > 1
    }


def _findings(cases: Sequence[CaseResult], common: set[str]) -> Iterable[Finding]:
    theorems: dict[FindingResult, dict[str, None]] = {}
    optimizers: dict[FindingResult, dict[str, None]] = {}
    shared: dict[str, Counter[str]] = {}
    of: dict[str, dict[str, None]] = {}
    for case in cases:
        for theorem in case.theorems:
            for finding in theorem.hypotheses:
                if finding.id in common:
                    of.setdefault(finding.id, {})[theorem.theorem] = None
                    continue
                theorems.setdefault(finding, {})[theorem.theorem] = None
                optimizers.setdefault(finding, {})[case.optimizer] = None
        for finding in {f for theorem in case.theorems for f in theorem.hypotheses if f.id in common}:
            shared.setdefault(finding.id, Counter())[finding.status] += 1
    for finding, names in theorems.items():
        yield Finding(
            id=finding.id,
            theorems=" ".join(names),
            status=finding.status,
            evidence=finding.evidence,
            why=finding.why,
            optimizers=_some(list(optimizers[finding]), len(cases)),
        )
    for name, statuses in shared.items():
        status = statuses.most_common(1)[0][0] if len(statuses) == 1 else "differs"
        told = ", ".join(f"{status} for {count}" for status, count in statuses.items())
        yield Finding(name, " ".join(of[name]), status, "", f"{told} of {len(cases)}: see Optimizers", "")


def _bounds(cases: Sequence[CaseResult], certificates: Links) -> Iterable[Bound]:
    groups: dict[tuple[object, ...], list[tuple[CaseResult, TheoremResult]]] = {}
    for case in cases:
        for theorem in case.theorems:
            key = (theorem.theorem, theorem.bound, theorem.event, theorem.judgement, theorem.margin)
            groups.setdefault(key, []).append((case, theorem))
    for group in groups.values():
        theorem = group[0][1]
        risks = Counter(verdict_of(t.risk) for _, t in group if t.risk is not None)
        frequency = theorem.frequency
        yield Bound(
            theorem=theorem.theorem,
            certificate=certificates.get((group[0][0].id, theorem.theorem)),
            bound=stated(theorem),
            seen=NOTHING if frequency is None else counted(frequency),
            limits=NOTHING if frequency is None else bracket(frequency.lo, frequency.hi),
            verdict=verdict_of(theorem.judgement),
            why=theorem.judgement.why,
            evidence=theorem.judgement.evidence,
            training=", ".join(f"{risks[verdict]} {verdict.value}" for verdict in Verdict if risks[verdict]) or NOTHING,
            rate=NOTHING if theorem.rate is None else f"{rate(theorem.rate)} per {theorem.rate_per}",
            margin=NOTHING if theorem.margin is None else lower(exact(theorem.margin)),
            optimizers=_some([case.optimizer for case, _ in group], len(cases)),
            exact=theorem.bound,
            frequency=frequency,
        )


def _run(case: CaseResult) -> Run:
    run, risk = case.run, case.best.risk
    return Run(
        optimizer=case.optimizer,
        learning_rate=NOTHING if case.learning_rate is None else f"{case.learning_rate:g}",
        split=pool([case]),
        non_finite=run.non_finite,
        certain=run.certain,
        risk=counted(run.risk) if run.trials else NOTHING,
        risk_limits=bracket(run.risk.lo, run.risk.hi) if run.trials else NOTHING,
        risk_verdict=NOTHING if risk is None else verdict_of(risk).value,
        frozen=f"{run.persistent}/{run.claimed}" if run.trials else NOTHING,
        persistence=verdict_of(run.persistence),
        why=run.persistence.why,
    )


def _some(names: list[str], total: int) -> str:
    """Names of optimizers, or nothing if they are all there are."""
    return "" if len(names) == total else ", ".join(names)


def optimizer_rows(results: Results) -> list[OptimizerRow]:
    """One row an optimizer, in the order in which they appear."""
    common = _by_optimizer_alone(results)
    found: dict[str, list[CaseResult]] = {}
    for case in results.cases:
        found.setdefault(case.optimizer, []).append(case)
    return [_optimizer_row(name, cases, common) for name, cases in found.items()]


def _optimizer_row(name: str, cases: Sequence[CaseResult], common: set[str]) -> OptimizerRow:
    rates = sorted({case.learning_rate for case in cases if case.learning_rate is not None})
    judged = Counter(verdict_of(case.best.judgement) for case in cases)
    return OptimizerRow(
        name=name,
        rates=", ".join(f"{each:g}" for each in rates) or NOTHING,
        findings=tuple(
            dict.fromkeys(
                f for case in cases for theorem in case.theorems for f in theorem.hypotheses if f.id in common
            )
        ),
        split=pool(cases),
        frozen=persistence_text(cases, "/"),
        verdicts={verdict: judged[verdict] for verdict in Verdict},
    )
