"""The audit as one HTML file that loads nothing: text, tables, figures, a little script for sorting and filtering."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import jinja2
from markupsafe import Markup

from theorems.catalogue import THEOREMS
from theorems.hypotheses import HYPOTHESES, Evidence
from theorems.theorem import Theorem
from verify.enclosure.display import at_least
from verify.inference import Verdict
from verify.report.figures import Drawn
from verify.report.rows import (
    NOTHING,
    OUTCOMES,
    PERSISTENCE,
    Row,
    Split,
    bracket,
    claim_counts,
    clean,
    conclusion,
    level_sentence,
    lower,
    make_rows,
    networks_sentence,
    pool,
    refutations,
    settings_table,
    stated,
    summary,
    upper,
    verdict_counts,
    verdict_of,
)
from verify.report.texts import LIMITS, READING, SOURCE
from verify.results import CaseResult, DataResult, FindingResult, Results, StartResult, TheoremResult, exact

__all__ = ["html_report"]

Links = Mapping[tuple[str, str], str]
NO_LINKS: Links = {}


def html_report(results: Results, figures: Sequence[Drawn], certificates: Links = NO_LINKS) -> str:
    """Render the report; every name of the results is escaped.

    Symbols: certificates = where the certificate of a case and theorem lies, by the ids of both.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("verify.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["clean"] = clean
    rows = make_rows(results)
    common = _by_optimizer_alone(results)
    return environment.get_template("index.html.j2").render(
        title=clean(results.title),
        created=clean(results.created),
        refuted=results.refuted,
        refutations=refutations(results),
        conclusion=conclusion(results),
        summary=summary(results),
        networks=networks_sentence(results),
        source=SOURCE,
        level=level_sentence(results),
        counts=verdict_counts(results),
        claims=claim_counts(results),
        persistence=PERSISTENCE,
        figures=[(figure, Markup(figure.inline)) for figure in figures],
        rows=rows,
        anchors={start.id: f"case-{number}" for number, start in enumerate(results.starts, start=1)},
        sweeps=_sweeps(results, rows, common, certificates),
        certified=bool(certificates),
        optimizers=_optimizers(results, common),
        theorems=_theorems(results),
        hypotheses=_hypotheses(results),
        data=[_data(data) for data in results.data],
        settings=settings_table(results),
        outcomes=OUTCOMES,
        undecided=any(row.split.counts[-1] for row in rows),
        verdicts=list(Verdict),
        evidence=list(Evidence),
        reading=READING,
        limits=LIMITS,
        nothing=NOTHING,
    )


# --- parts of the page --------------------------------------------------------------------------------------------


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


@dataclass(frozen=True)
class Run:
    """An optimizer of a start."""

    optimizer: str
    learning_rate: str
    split: Split
    non_finite: int
    risk: str
    risk_limits: str
    risk_verdict: str
    frozen: str
    persistence: Verdict
    why: str


@dataclass(frozen=True)
class Details:
    """Everything about one start."""

    start: StartResult
    verdicts: tuple[Verdict, ...]
    p_dead: str
    event: str
    split: Split
    findings: tuple[Finding, ...]
    bounds: tuple[Bound, ...]
    runs: tuple[Run, ...]


def _sweeps(
    results: Results, rows: Sequence[Row], common: set[str], certificates: Links
) -> list[tuple[str, list[Details]]]:
    verdicts: dict[str, list[Verdict]] = {}
    for row in rows:
        verdicts.setdefault(row.start.id, []).append(row.verdict)
    return [
        (
            name,
            [
                _details(start, results.cases_of(start), verdicts.get(start.id, []), common, certificates)
                for start in starts
            ],
        )
        for name, starts in groupby(results.starts, key=lambda start: start.sweep)
    ]


def _details(
    start: StartResult,
    cases: tuple[CaseResult, ...],
    verdicts: Sequence[Verdict],
    common: set[str],
    certificates: Links,
) -> Details:
    return Details(
        start=start,
        verdicts=tuple(dict.fromkeys(verdicts)),
        p_dead=_p_dead(start),
        event=", ".join(dict.fromkeys(case.run.event for case in cases)),
        split=pool(cases),
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
            seen=NOTHING if frequency is None else f"{frequency.events}/{frequency.trials}",
            limits=NOTHING if frequency is None else bracket(frequency.lo, frequency.hi),
            verdict=verdict_of(theorem.judgement),
            why=theorem.judgement.why,
            evidence=theorem.judgement.evidence,
            training=", ".join(f"{risks[verdict]} {verdict.value}" for verdict in Verdict if risks[verdict]) or NOTHING,
            rate=NOTHING if theorem.rate is None else f"{_floor(theorem.rate)} per {theorem.rate_per}",
            margin=NOTHING if theorem.margin is None else lower(exact(theorem.margin)),
            optimizers=_some([case.optimizer for case, _ in group], len(cases)),
        )


def _floor(rate: float) -> str:
    """A rate is a lower bound: round it down."""
    numerator, denominator = rate.as_integer_ratio()
    return at_least(exact(f"{numerator}/{denominator}"))


def _run(case: CaseResult) -> Run:
    run, risk = case.run, case.best.risk
    return Run(
        optimizer=case.optimizer,
        learning_rate=NOTHING if case.learning_rate is None else f"{case.learning_rate:g}",
        split=pool([case]),
        non_finite=run.non_finite,
        risk=f"{run.risk.events}/{run.risk.trials}" + (f" (+{run.risk.lost} lost)" if run.risk.lost else ""),
        risk_limits=bracket(run.risk.lo, run.risk.hi),
        risk_verdict=NOTHING if risk is None else verdict_of(risk).value,
        frozen=f"{run.persistent}/{run.claimed}",
        persistence=verdict_of(run.persistence),
        why=run.persistence.why,
    )


def _some(names: list[str], total: int) -> str:
    """Names of optimizers, or nothing if they are all there are."""
    return "" if len(names) == total else ", ".join(names)


def _optimizers(results: Results, common: set[str]) -> list[tuple[str, str, list[FindingResult], Split, str]]:
    """One row an optimizer over the whole audit: learning rates, what is known of it alone, outcomes, persistence."""
    found: dict[str, list[CaseResult]] = {}
    for case in results.cases:
        found.setdefault(case.optimizer, []).append(case)
    listed = []
    for name, cases in found.items():
        rates = sorted({case.learning_rate for case in cases if case.learning_rate is not None})
        findings = dict.fromkeys(
            f for case in cases for theorem in case.theorems for f in theorem.hypotheses if f.id in common
        )
        frozen = f"{sum(case.run.persistent for case in cases)}/{sum(case.run.claimed for case in cases)}"
        listed.append((name, ", ".join(f"{rate:g}" for rate in rates) or NOTHING, list(findings), pool(cases), frozen))
    return listed


def _theorems(results: Results) -> list[Theorem]:
    used = dict.fromkeys(theorem.theorem for case in results.cases for theorem in case.theorems)
    return [THEOREMS[name] for name in used if name in THEOREMS]


def _hypotheses(results: Results) -> list[tuple[str, str]]:
    used = dict.fromkeys(f.id for case in results.cases for theorem in case.theorems for f in theorem.hypotheses)
    return [(name, HYPOTHESES[name][1]) for name in used if name in HYPOTHESES]


def _data(data: DataResult) -> tuple[DataResult, str, str]:
    floor, variance = exact(data.noise_floor), exact(data.variance)
    return data, lower(floor), lower(variance)
