"""The certificates of an audit: one for each start, theorem and kind of optimizer.

Each holds the comparison of the theorem's event, and for every optimizer that of the risk event. How often what was
dead kept its bits is in the certificate of the theorem whose event the case looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from theorems.problem import Problem
from verify.audit import Plan, PlannedCase, PlannedStart, resolution
from verify.certificate.case import certificate_data
from verify.certificate.names import certificate_names
from verify.certificate.training import Compared, LevelSplit, Persistence, Run, Training
from verify.certificate.write import write_certificate
from verify.enclosure import Enclosure
from verify.evaluate import Evaluation
from verify.inference import Verdict
from verify.results import FrequencyResult, JudgementResult, Results, RunResult, TheoremResult, exact

__all__ = ["audit_certificates", "require_certifiable"]

MOST_ROWS = 32_768
"""Characters of data that each certificate of an audit may hold; there are hundreds of them."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class _Member:
    """A case and a theorem, planned and carried out."""

    start: PlannedStart
    case: PlannedCase
    evaluation: Evaluation
    result: TheoremResult
    run: RunResult

    @property
    def looks(self) -> bool:
        """Whether the case looked at this theorem's event for persistence: the first one with this event."""
        events = [evaluation.event for evaluation in self.case.evaluations]
        return self.case.evaluations[events.index(self.case.event)] is self.evaluation


def require_certifiable(planned: Plan) -> None:
    """See before anything is simulated that certificates can hold the data. Fails: InvalidInput if they cannot."""
    for data in planned.data.values():
        certificate_data(data, MOST_ROWS)


def audit_certificates(
    planned: Plan, results: Results, on_progress: Progress = lambda done, total: None
) -> dict[str, bytes]:
    """Write and check the certificates of an audit; the texts by file name.

    Fails: Disagreement if the checker's arithmetic contradicts a bound, or it rejects a certificate.
    """
    names = certificate_names(results)
    groups: dict[str, list[_Member]] = {}
    cases = iter(results.cases)
    for start in planned.starts:
        for case in start.cases:
            found = next(cases)
            for evaluation, result in zip(case.evaluations, found.theorems, strict=True):
                member = _Member(start, case, evaluation, result, found.run)
                groups.setdefault(names[case.id, result.theorem], []).append(member)
    texts = {}
    on_progress(0, len(groups))
    for done, (name, members) in enumerate(groups.items(), start=1):
        texts[name] = _text(planned, members)
        on_progress(done, len(groups))
    return texts


def _text(planned: Plan, members: Sequence[_Member]) -> bytes:
    first, level = members[0], planned.level
    drawn = first.start.start
    problem = Problem(drawn.architecture, drawn.initialization, drawn.data, first.case.optimizer.properties)
    return write_certificate(
        problem,
        first.evaluation,
        _compared(planned, first, first.result.frequency, first.result.judgement),
        optimizers=tuple(member.case.optimizer.properties for member in members),
        level=LevelSplit(level.alpha, level.reserved_share, len(level.names)),
        training=_training(planned, members),
        name=first.start.id,
        most_rows=MOST_ROWS,
    ).data


def _training(planned: Plan, members: Sequence[_Member]) -> Training:
    first = members[0]
    forced, margin = first.evaluation.forced, first.result.margin
    return Training(
        reachable=first.start.reachable,
        margin=None if margin is None else exact(margin),
        constant=forced is not None and forced.constant,
        runs=tuple(_run(planned, member) for member in members),
    )


def _run(planned: Plan, member: _Member) -> Run:
    risk, frozen = member.result.risk, member.run.persistence
    return Run(
        member.case.optimizer.properties,
        None if risk is None else _compared(planned, member, member.run.risk, risk),
        Persistence(member.run.claimed, member.run.persistent, Verdict(frozen.verdict)) if member.looks else None,
    )


def _compared(
    planned: Plan, member: _Member, frequency: FrequencyResult | None, judgement: JudgementResult
) -> Compared | None:
    dtype = planned.config.simulation.dtype
    if frequency is None:
        return None
    return Compared(
        events=frequency.events,
        lost=frequency.lost,
        trials=frequency.trials,
        interval=frequency.interval,
        alpha=Fraction(frequency.alpha),
        limits=Enclosure(exact(frequency.lo), exact(frequency.hi)),
        dtype=dtype,
        resolution=resolution(dtype, member.start.start.architecture),
        verdict=Verdict(judgement.verdict),
    )
