"""What `nonconv optimizer` prints: a verdict, or the table of a library, for the terminal, as JSON and Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from theorems.catalogue import THEOREMS
from verify.optimizers.proofs import LIMITS, WIDTHS
from verify.optimizers.verdict import Judged, Known, Verdict
from verify.optimizers.zoo import Row, Zoo
from verify.report.markdown import escape_markdown

__all__ = ["verdict_json", "verdict_text", "zoo_counts", "zoo_json", "zoo_markdown", "zoo_text"]

ZOO_COLUMNS = ("optimizer", "settings", "proved", "only tested", "violated", "per coordinate", "theorems")


# --- one optimizer -----------------------------------------------------------------------------------------------


def verdict_json(verdict: Verdict) -> dict[str, object]:
    """One JSON object. `status` is what theorems see: what is only tested is unknown to them."""
    example = verdict.counterexample
    return {
        "target": verdict.target,
        "settings": dict(verdict.settings),
        "per_coordinate": verdict.per_coordinate,
        "about_coordinates": verdict.about_coordinates,
        "properties": {
            each.wanted.name: {"status": each.status.value, "evidence": each.known.value, "why": each.why}
            for each in verdict.properties
        },
        "conditions": list(verdict.conditions),
        "theorems": list(verdict.theorems),
        "counterexample": None
        if example is None
        else {
            "property": example.wanted.name,
            "kind": example.kind,
            "moved": list(example.moved),
            "script": example.script,
            "about_script": example.about_script,
        },
        "seconds": round(verdict.seconds, 3),
    }


def verdict_text(verdict: Verdict, *, with_script: bool = True) -> RenderableType:
    """The table of properties, the answer in words, what it rests on, and the counterexample."""
    table = Table(title=verdict.target, title_justify="left")
    table.add_column("property", no_wrap=True)
    table.add_column("known", no_wrap=True)
    table.add_column("why", overflow="fold")
    told: dict[str, str] = {}
    for judged in verdict.properties:
        why = f"as {told[judged.why]}" if judged.why in told else judged.why
        told.setdefault(judged.why, judged.wanted.name)
        table.add_row(f"{judged.wanted.name} {judged.wanted.value}", judged.known.value, why)
    parts: list[RenderableType] = [table, Text(verdict.sentence), Text(_coordinates(verdict))]
    if verdict.conditions:
        sizes = ", ".join(map(str, WIDTHS))
        parts.append(
            Text(
                f"Proved on the code for {'; '.join(verdict.conditions)}. That sizes other than {sizes} are treated "
                f"alike is supposed where a theorem is applied to them."
            )
        )
    if any(each.known is Known.TESTED for each in verdict.properties):
        parts.append(
            Text(f"What is only tested proves nothing. A proof on the code is given up after {LIMITS.total:g} seconds.")
        )
    return Group(*parts, *_counterexample(verdict, with_script=with_script))


def _coordinates(verdict: Verdict) -> str:
    if verdict.per_coordinate is True:
        return f"Acts per coordinate: {verdict.about_coordinates}."
    if verdict.per_coordinate is False:
        return f"Does not act per coordinate: {verdict.about_coordinates}."
    return f"Whether it acts per coordinate is not proved: {verdict.about_coordinates}."


def _counterexample(verdict: Verdict, *, with_script: bool) -> list[RenderableType]:
    example = verdict.counterexample
    if example is None:
        return []
    parts: list[RenderableType] = [Text(f"Counterexample, {example.sentence}.")]
    if example.about_script:
        parts.append(Text(f"No program: {example.about_script}." if not example.script else f"{example.about_script}."))
    if example.script and with_script:
        parts += [Text("A program that shows it:\n"), Text(example.script)]
    return parts


# --- a library ---------------------------------------------------------------------------------------------------


def _row_json(row: Row) -> dict[str, object]:
    told: dict[str, object] = {"name": row.entry.name, "choice": row.entry.label}
    if row.verdict is not None:
        return told | verdict_json(row.verdict)
    return told | {"not_run": row.not_run, "seconds": round(row.seconds, 3)}


def zoo_json(zoo: Zoo) -> dict[str, object]:
    """One JSON document with a row for every optimizer and choice of settings."""
    return {
        "library": zoo.library,
        "version": zoo.version,
        "counts": zoo_counts(zoo),
        "optimizers": [_row_json(row) for row in zoo.rows],
    }


def zoo_counts(zoo: Zoo) -> dict[str, int]:
    """How many rows have a proved property, only a tested one, none, or were not run."""
    counts = {"proved": 0, "tested": 0, "violated": 0, "not run": 0}
    for row in zoo.rows:
        counts[_kind(row)] += 1
    return counts


def _kind(row: Row) -> str:
    if row.verdict is None:
        return "not run"
    if row.verdict.proved:
        return "proved"
    return "tested" if row.verdict.unrefuted else "violated"


def _names(judged: Sequence[Judged]) -> str:
    return ", ".join(each.wanted.name for each in judged)


def _theorems(verdict: Verdict) -> str:
    """Which theorems apply, by what is missing if that is shorter."""
    missing = [name for name in THEOREMS if name not in verdict.theorems]
    if not missing:
        return "all"
    return (
        f"all but {', '.join(missing)}" if len(missing) < len(THEOREMS) / 2 else f"only {', '.join(verdict.theorems)}"
    )


def _cells(row: Row) -> tuple[str, ...]:
    """The cells of a row; what is not run says why in place of the properties."""
    if row.verdict is None:
        return row.entry.name, row.entry.label, "", "", f"not run: {row.not_run}", "", ""
    verdict = row.verdict
    proved = f"{_names(verdict.proved)} ({verdict.proved[0].known.value[7:]})" if verdict.proved else ""
    tested = _names([each for each in verdict.unrefuted if each.known is Known.TESTED])
    example = verdict.counterexample
    violated = "" if example is None else f"{example.wanted.name}: {example.kind}"
    shown = {True: "yes", False: "no", None: "not known"}[verdict.per_coordinate]
    label = ", ".join(str(part) for part in (row.entry.label, verdict.settings.get("built")) if part)
    return row.entry.name, label, proved, tested, violated, shown, _theorems(verdict)


def _heading(zoo: Zoo) -> str:
    counts = zoo_counts(zoo)
    return (
        f"{zoo.library} {zoo.version}: {len(zoo.rows)} rows; a property proved in {counts['proved']}, only tested in "
        f"{counts['tested']}, every property violated in {counts['violated']}, not run {counts['not run']}"
    )


def zoo_text(zoo: Zoo) -> RenderableType:
    """The table for the terminal."""
    table = Table(title=_heading(zoo), title_justify="left")
    for name in ZOO_COLUMNS[:5]:
        table.add_column(name, overflow="fold")
    for row in zoo.rows:
        table.add_row(*(Text(cell) for cell in _cells(row)[:5]))
    return table


def zoo_markdown(zoo: Zoo) -> str:
    """The table as Markdown. Without times, so that the same versions give the same text."""
    lines = [
        f"# Optimizers of {zoo.library} {zoo.version}",
        "",
        f"Made by `nonconv optimizer --zoo {zoo.library} --format md`. {_heading(zoo)}.",
        "",
        "Columns: the strongest properties that are *proved* (symbolically: the update rule, for all sizes; on the "
        f"code: the class itself, for parameters of a network of widths {', '.join(map(str, WIDTHS))} in float64), "
        "stronger ones that are *only tested* (which proves nothing), the strongest one that is *violated* with the "
        "kind of its counterexample, whether it acts *per coordinate*, and the *theorems* whose hypothesis on the "
        "optimizer follows from what is proved. `nonconv explain F` says what (F) means, and so on.",
        "",
        f"| {' | '.join(ZOO_COLUMNS)} |",
        f"|{'---|' * len(ZOO_COLUMNS)}",
    ]
    lines += [f"| {' | '.join(escape_markdown(cell) for cell in _cells(row))} |" for row in zoo.rows]
    return "\n".join(lines) + "\n"
