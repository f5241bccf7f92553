"""The audit as Markdown, in short: counts, table, figures, environment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from verify.inference import Verdict
from verify.report.details import NO_LINKS, Links
from verify.report.drawing import Drawn
from verify.report.missing import missing
from verify.report.numbers import clean
from verify.report.rows import claim_counts, make_rows, refutations, settings_table, verdict_counts
from verify.report.sharpness import COLUMNS, SharpnessRow
from verify.report.texts import LIMITS, SOURCE
from verify.report.words import conclusion, level_sentence, networks_sentence, row_sentence, summary
from verify.results import Results

__all__ = ["escape_markdown", "markdown_report", "markdown_sharpness"]

ENTITIES = re.compile(r"[&<>|`\\]|:(?=//)")
MARKUP = re.compile(r"[*_~$\[\]]")


def escape_markdown(text: str) -> str:
    """Make any text harmless, in a table cell too: no markup, no HTML, no link, no new cell, no new line."""
    plain = ENTITIES.sub(lambda found: f"&#{ord(found[0])};", clean(text))
    return MARKUP.sub(r"\\\g<0>", plain)


def markdown_report(results: Results, figures: Sequence[Drawn], certificates: Links = NO_LINKS) -> str:
    """The report as Markdown (tables as on GitHub); figures and certificates are linked, from their folders."""
    rows = make_rows(results)
    counts = verdict_counts(results)
    parts = [
        f"# {escape_markdown(results.title)}",
        f"**{escape_markdown(summary(results))}**",
        escape_markdown(networks_sentence(results)),
        SOURCE,
        "## Verdicts",
        _table(
            ["claim", "theorems", *(verdict.value for verdict in Verdict)],
            [
                [c.claim, " ".join(c.theorems), *(str(c.counts[verdict]) for verdict in Verdict)]
                for c in claim_counts(results)
            ]
            + [["all", "", *(str(counts[verdict]) for verdict in Verdict)]],
        ),
        "\n".join(f"- **{c.claim}**: {escape_markdown(c.text)}" for c in claim_counts(results)),
        "\n".join(f"- {verdict.value}: {verdict.meaning}" for verdict in Verdict),
        escape_markdown(level_sentence(results)),
    ]
    found = refutations(results)
    if found:
        told = [[entry.subject, clean(entry.case.id), clean(entry.judgement.why)] for entry in found]
        parts += ["### Refuted", _table(["what", "case", "why"], told)]
    listed = missing(results, certificates)
    if listed:
        parts.append("\n".join(f"- {escape_markdown(text)}" for text in listed))
    for figure in figures:
        parts += [f"![{figure.title}](figures/{figure.name}.svg)", figure.caption]
    if rows:
        parts += [
            "## Cases",
            "One row a start; outcomes in % of the trained networks of all its optimizers: dead at initialization / "
            "died later / alive, risk not reached / risk reached (/ undecided)."
            + (" Theorems link to their certificates (`nonconv check`)." if certificates else ""),
            _table(
                [
                    *("data", "initialization", "network", "claims", "theorem", "proved ≥", "seen", "limits"),
                    *("verdict", "outcomes", "frozen", "optimizers"),
                ],
                [
                    [
                        *(row.data, row.initialization, row.architecture, row.claims),
                        _Link(row.theorem, certificates.get((row.cases[0].id, row.best.theorem))),
                        row.bound_text(),
                        *(row.seen_text, row.limits_text, row.verdict.value, row.split.text(), row.frozen_text),
                        row.optimizers_text,
                    ]
                    for row in rows
                ],
            ),
            "## In words",
            "\n".join(f"- {row.verdict.value}: {escape_markdown(row_sentence(row))}" for row in rows),
        ]
    parts += [
        "## Limits",
        "\n".join(f"- {text}" for text in LIMITS),
        "## Environment",
        _table(["name", "value"], [[name, value] for name, value in settings_table(results)]),
        f"**{conclusion(results)}**",
    ]
    return "\n\n".join(parts) + "\n"


def markdown_sharpness(results: Results, rows: Sequence[SharpnessRow]) -> str:
    """The table of bounds against frequencies and ceilings as Markdown."""
    parts = [
        f"# Sharpness: {escape_markdown(results.title)}",
        "One row for each theorem that applies to the initial networks of a start, best bound first. *Seen* counts the "
        "event among the networks drawn; *ceiling* is the proved upper bound of the chance of a dead layer (T11a); "
        "*share* is the bound over the frequency seen.",
        escape_markdown(level_sentence(results)),
        _table(COLUMNS, [row.cells for row in rows]),
    ]
    return "\n\n".join(parts) + "\n"


@dataclass(frozen=True)
class _Link:
    """A cell that links to a file beside the report, or is plain text if there is none."""

    text: str
    target: str | None

    def __str__(self) -> str:
        text = escape_markdown(self.text)
        return text if self.target is None else f"[{text}]({self.target})"


def _table(head: Sequence[str], body: Iterable[Sequence[str | _Link]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in body]
    return "\n".join(lines)


def _cell(content: str | _Link) -> str:
    return escape_markdown(content) if isinstance(content, str) else str(content)
