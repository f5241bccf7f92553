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


def _theorems(results: Results) -> list[Theorem]:
    used = dict.fromkeys(theorem.theorem for case in results.cases for theorem in case.theorems)
    return [THEOREMS[name] for name in used if name in THEOREMS]


def _hypotheses(results: Results) -> list[tuple[str, str]]:
    used = dict.fromkeys(f.id for case in results.cases for theorem in case.theorems for f in theorem.hypotheses)
    return [(name, HYPOTHESES[name][1]) for name in used if name in HYPOTHESES]


def _data(data: DataResult) -> tuple[DataResult, str, str]:
    floor, variance = exact(data.noise_floor), exact(data.variance)
    return data, lower(floor), lower(variance)
