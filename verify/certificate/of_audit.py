"""The certificates of an audit: one for each start, theorem and kind of optimizer."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from theorems.hypotheses import OptimizerClass
from theorems.problem import Problem
from verify.audit import Plan, PlannedCase, PlannedStart, resolution
from verify.certificate.names import certificate_names
from verify.certificate.write import Compared, write_certificate
from verify.enclosure import Enclosure
from verify.evaluate import Evaluation
from verify.inference import Verdict
from verify.results import Results, TheoremResult, exact

__all__ = ["audit_certificates"]

MOST_ROWS = 32_768
"""Characters of data that each certificate of an audit may hold; there are hundreds of them."""

Progress = Callable[[int, int], None]


def audit_certificates(
    planned: Plan, results: Results, on_progress: Progress = lambda done, total: None
) -> dict[str, bytes]:
    """Write and check the certificates of an audit; the texts by file name.

    Fails: Disagreement if the checker's arithmetic contradicts a bound, or it rejects a certificate.
    """
    names = certificate_names(results)
    groups: dict[str, list[tuple[PlannedStart, PlannedCase, Evaluation, TheoremResult]]] = {}
    cases = iter(results.cases)
    for start in planned.starts:
        for case in start.cases:
            for evaluation, result in zip(case.evaluations, next(cases).theorems, strict=True):
                groups.setdefault(names[case.id, result.theorem], []).append((start, case, evaluation, result))
    texts = {}
    on_progress(0, len(groups))
    for done, (name, members) in enumerate(groups.items(), start=1):
        optimizers = tuple(case.optimizer.properties for _, case, _, _ in members)
        texts[name] = _text(planned, *members[0], optimizers)
        on_progress(done, len(groups))
    return texts


def _text(
    planned: Plan,
    start: PlannedStart,
    case: PlannedCase,
    evaluation: Evaluation,
    result: TheoremResult,
    optimizers: tuple[OptimizerClass, ...],
) -> bytes:
    drawn = start.start
    problem = Problem(drawn.architecture, drawn.initialization, drawn.data, case.optimizer.properties)
    compared = _compared(planned, start, result)
    written = write_certificate(
        problem, evaluation, compared, optimizers=optimizers, name=start.id, most_rows=MOST_ROWS
    )
    return written.data


def _compared(planned: Plan, start: PlannedStart, result: TheoremResult) -> Compared | None:
    frequency, dtype = result.frequency, planned.config.simulation.dtype
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
        resolution=resolution(dtype, start.start.architecture),
        verdict=Verdict(result.judgement.verdict),
    )
