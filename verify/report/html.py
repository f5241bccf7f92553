"""The audit as one HTML file that loads nothing: text, tables, figures, data, a little script for the table."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import groupby

import jinja2
import msgspec
from markupsafe import Markup

from theorems.catalogue import THEOREMS
from theorems.hypotheses import HYPOTHESES, Evidence
from theorems.theorem import Theorem
from verify.inference import Verdict
from verify.report.details import NO_LINKS, Details, Links, all_details, optimizer_rows
from verify.report.drawing import Drawn
from verify.report.missing import missing
from verify.report.numbers import NOTHING, clean, float_text_down, float_text_up, lower
from verify.report.references import cited
from verify.report.rows import (
    OUTCOMES,
    PERSISTENCE,
    Row,
    claim_counts,
    make_rows,
    refutations,
    settings_table,
    verdict_counts,
)
from verify.report.texts import LIMITS, READING, SOURCE
from verify.report.words import conclusion, level_sentence, networks_sentence, row_sentence, summary
from verify.results import DataResult, Results, exact

__all__ = ["html_report", "page_data"]


def html_report(results: Results, figures: Sequence[Drawn], certificates: Links = NO_LINKS) -> str:
    """Render the report; every name of the results is escaped.

    Symbols: certificates = where the certificate of a case and theorem lies, by the ids of both.
    """
    rows = make_rows(results)
    anchors = {start.id: f"case-{number}" for number, start in enumerate(results.starts, start=1)}
    headline = [figure for figure in figures if figure.name == "headline"]
    return _template().render(
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
        headline=[(figure, Markup(figure.inline)) for figure in headline],
        figures=[(figure, Markup(figure.inline)) for figure in figures if figure not in headline],
        missing=missing(results, certificates),
        rows=rows,
        anchors=anchors,
        sweeps=_sweeps(all_details(results, certificates)),
        certified=bool(certificates),
        optimizers=optimizer_rows(results),
        theorems=_theorems(results),
        hypotheses=_hypotheses(results),
        data=[_data(data) for data in results.data],
        settings=settings_table(results),
        references=[dict(reference.fields) for reference in cited(results)],
        outcomes=OUTCOMES,
        undecided=any(row.split.counts[-1] for row in rows),
        verdicts=list(Verdict),
        evidence=list(Evidence),
        reading=READING,
        limits=LIMITS,
        nothing=NOTHING,
        embedded=Markup(_json(page_data(results, rows, anchors))),
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("verify.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["clean"] = clean
    return environment.get_template("index.html.j2")


def page_data(results: Results, rows: Sequence[Row], anchors: dict[str, str]) -> dict[str, object]:
    """What the page carries as JSON: where the numbers come from, and each row in words and numbers.

    Numbers are decimal strings, rounded in the safe direction as their names say.
    """
    return {
        "title": clean(results.title),
        "created": clean(results.created),
        "seed": results.seed,
        "nonconv": clean(results.environment.get("nonconv") or ""),
        "revision": clean(results.environment.get("git_revision") or ""),
        "verdicts": {verdict.value: count for verdict, count in verdict_counts(results).items()},
        "rows": [_row_data(row, anchors[row.start.id]) for row in rows],
    }


def _row_data(row: Row, anchor: str) -> dict[str, object]:
    told: dict[str, object] = {
        "id": anchor,
        "data": row.data,
        "initialization": row.initialization,
        "network": row.architecture,
        "optimizers": row.optimizers,
        "theorem": row.theorem,
        "verdict": row.verdict.value,
        "words": row_sentence(row),
    }
    if row.bound is not None:
        lo = exact(row.bound.lo)
        told |= {"bound_at_least": float_text_down(lo), "gap_at_most": float_text_up(1 - lo)}
    if row.frequency is not None:
        told |= {"events": row.frequency.events, "lost": row.frequency.lost, "trials": row.frequency.trials}
        lo, hi = exact(row.frequency.lo), exact(row.frequency.hi)
        told |= {"frequency_at_least": float_text_down(lo), "frequency_at_most": float_text_up(hi)}
    return told


def _json(value: object) -> str:
    """JSON that no name can end early: inside a script element, `<` is written by its number."""
    text = msgspec.json.encode(value).decode()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _sweeps(details: Sequence[Details]) -> list[tuple[str, list[Details]]]:
    return [(name, list(listed)) for name, listed in groupby(details, key=lambda each: each.start.sweep)]


def _theorems(results: Results) -> list[Theorem]:
    used = dict.fromkeys(theorem.theorem for case in results.cases for theorem in case.theorems)
    return [THEOREMS[name] for name in used if name in THEOREMS]


def _hypotheses(results: Results) -> list[tuple[str, str]]:
    used = dict.fromkeys(f.id for case in results.cases for theorem in case.theorems for f in theorem.hypotheses)
    return [(name, HYPOTHESES[name][1]) for name in used if name in HYPOTHESES]


def _data(data: DataResult) -> tuple[DataResult, str, str]:
    floor, variance = exact(data.noise_floor), exact(data.variance)
    return data, lower(floor), lower(variance)
