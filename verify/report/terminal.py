"""The audit in a terminal of 80 columns."""

from __future__ import annotations

from itertools import groupby

from rich.console import Group, JustifyMethod, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from verify.inference import Verdict
from verify.report.numbers import NOTHING, clean, narrow
from verify.report.rows import (
    UNTRAINED,
    Row,
    claim_counts,
    make_rows,
    persistence_text,
    refutations,
    verdict_counts,
)
from verify.report.words import conclusion, level_sentence, row_sentence, strongest, summary
from verify.results import Results

__all__ = ["terminal_report"]

STYLES = {
    Verdict.CONFIRMED: "green",
    Verdict.CONSISTENT: "cyan",
    Verdict.REFUTED: "bold red",
    Verdict.NOT_APPLICABLE: "dim",
    Verdict.UNDECIDED: "yellow",
    Verdict.VACUOUS: "dim",
}
COLUMNS: tuple[tuple[str, int, JustifyMethod], ...] = (
    ("network", 9, "left"),
    ("thm", 4, "left"),
    ("proved ≥", 9, "right"),
    ("", 7, "right"),  # seen, of how many
    ("limits", 14, "left"),
    ("verdict", 14, "left"),
    ("after\ntraining, %", 13, "left"),
    ("opt", 3, "right"),
)
SHOWN_REFUTATIONS = 20


def terminal_report(results: Results) -> RenderableType:
    """Everything a reader needs at a glance, to print with rich: rows by sweep, verdicts by claim, the conclusion."""
    rows = make_rows(results)
    parts: list[RenderableType] = [Text(clean(results.title), style="bold"), Text(summary(results)), Text()]
    for sweep, group in groupby(rows, key=lambda row: row.start.sweep):
        parts += [*_sweep(clean(sweep), list(group)), Text()]
    if rows:
        parts += [
            Text(
                "proved: certified lower bound of the probability that training misses every global minimizer, rounded "
                "down. seen: networks with the event behind it at initialization, and confidence limits. after "
                "training: dead at initialization / died later / alive, risk not "
                "reached / risk reached (/ undecided). opt: number of optimizers. frozen: networks whose dead neurons "
                "kept the same bits in training.",
                style="dim",
            ),
            Text(),
        ]
    parts += [_claims(results), Text(level_sentence(results), style="dim"), Text()]
    counts = verdict_counts(results)
    for verdict in Verdict:
        if counts[verdict] or verdict is Verdict.REFUTED:
            parts.append(Text.assemble((verdict.value, STYLES[verdict]), f"  {verdict.meaning}"))
    parts += [Text(), *_refutations(results)]
    parts.append(Text(conclusion(results), style="bold red" if results.refuted else "bold green"))
    return Group(*parts)


def _sweep(name: str, rows: list[Row]) -> list[RenderableType]:
    trials = {row.frequency.trials for row in rows if row.frequency is not None}
    common = trials.pop() if len(trials) == 1 else None
    claims = " ".join(sorted({claim for row in rows for claim in row.claims.split()}))
    header = _table(header=True, seen="seen" if common is None else f"seen of\n{common}")
    parts: list[RenderableType] = [Text.assemble((f"Sweep {name}", "bold"), f"  {claims}"), header]
    for (data, initialization), group in groupby(rows, key=lambda row: (row.data, row.initialization)):
        listed = list(group)
        parts.append(Text.assemble((f"{data}, {initialization}", "bold"), ("  " + _frozen(listed), "dim")))
        table = _table(header=False)
        for row in listed:
            _add(table, row, common)
        parts.append(table)
    best = strongest(rows)
    if best is not None:
        parts += [Text(), Text(f"In words, the strongest: {row_sentence(best)}")]
    return parts


def _frozen(rows: list[Row]) -> str:
    """Persistence of a group of rows, with the words of whatever is not as the theorems demand."""
    text = persistence_text([case for row in rows for case in row.cases], " of ")
    return text if text == UNTRAINED or text.startswith("dead") else f"frozen: {text}"


def _table(*, header: bool, seen: str = "") -> Table:
    """All tables of a sweep have the same fixed columns, so that they line up; 80 columns in all."""
    table = Table(box=None, padding=(0, 1, 0, 0), show_header=header, show_edge=False, pad_edge=False)
    for name, width, justify in COLUMNS:
        table.add_column(name or seen, width=width, justify=justify, overflow="fold", vertical="bottom")
    return table


def _add(table: Table, row: Row, common: int | None) -> None:
    seen = row.seen_text if common is None else row.seen_text.replace(f"/{common}", "")
    table.add_row(
        Text(row.architecture),
        Text(row.theorem),
        Text(row.bound_text(3, 9).replace(" ", "")),
        Text(seen),
        Text(_limits(row)),
        Text(row.verdict.value, style=STYLES[row.verdict]),
        Text(row.split.text("/")),
        Text(row.optimizers_text.replace(" of ", "/")),
    )


def _limits(row: Row) -> str:
    return NOTHING if row.frequency is None else narrow(row.frequency.lo, row.frequency.hi, 3)


def _claims(results: Results) -> RenderableType:
    table = Table(box=None, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False, title_justify="left")
    table.add_column("claim", overflow="fold")
    table.add_column("theorems", overflow="fold")
    for verdict in Verdict:
        table.add_column(verdict.value.replace(" ", "\n"), justify="right", overflow="fold")
    for claim in claim_counts(results):
        table.add_row(Text(claim.claim), Text(" ".join(claim.theorems)), *map(_count, claim.counts.items()))
    table.add_row("all", "", *map(_count, verdict_counts(results).items()), style="bold")
    return table


def _count(item: tuple[Verdict, int]) -> Text:
    verdict, count = item
    return Text(str(count), style=STYLES[verdict] if count else "dim")


def _refutations(results: Results) -> list[RenderableType]:
    found = refutations(results)
    parts: list[RenderableType] = [
        Padding(
            Text.assemble((entry.subject, "bold red"), f"  {clean(entry.case.id)}: {clean(entry.judgement.why)}"),
            (0, 0, 0, 2),
        )
        for entry in found[:SHOWN_REFUTATIONS]
    ]
    if len(found) > SHOWN_REFUTATIONS:
        parts.append(Text(f"  and {len(found) - SHOWN_REFUTATIONS} more"))
    return parts
