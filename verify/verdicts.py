"""What `nonconv optimizer` prints: a verdict, or the table of a library, for the terminal, as JSON and Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from theorems.catalogue import THEOREMS
from theorems.hypotheses import Property
from verify.optimizers.known import Known
from verify.optimizers.proofs import LIMITS, WIDTHS
from verify.optimizers.verdict import Judged, Verdict
from verify.optimizers.zoo import Row, Zoo
from verify.report.markdown import escape_markdown

__all__ = [
    "verdict_json",
    "verdict_text",
    "zoo_classes",
    "zoo_counts",
    "zoo_decided",
    "zoo_json",
    "zoo_markdown",
    "zoo_text",
]

ZOO_COLUMNS = ("optimizer", "settings", "proved", "only tested", "violated", "per coordinate", "theorems")
COUNTED = tuple(known for known in Known if known is not Known.OPEN)


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
        "dtype": verdict.dtype,
        "about_dtype": verdict.about_dtype,
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
    if verdict.about_dtype:
        parts.append(Text(f"Judged in {verdict.dtype}: {verdict.about_dtype}."))
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
        unbroken = Text(example.script, no_wrap=True, overflow="ignore")
        parts += [Text("A program that shows it:\n"), unbroken]
    return parts


# --- a library ---------------------------------------------------------------------------------------------------


def _row_json(row: Row) -> dict[str, object]:
    told: dict[str, object] = {"name": row.entry.name, "choice": row.entry.label}
    if row.verdict is not None:
        return told | verdict_json(row.verdict) | {"cpu_seconds": round(row.seconds, 3)}
    return told | {"not_run": row.not_run, "cpu_seconds": round(row.seconds, 3)}


def zoo_json(zoo: Zoo) -> dict[str, object]:
    """One JSON document with a row for every optimizer and choice of settings; times are those of one processor."""
    return {
        "library": zoo.library,
        "version": zoo.version,
        "counts": zoo_counts(zoo),
        "classes": {
            wanted.name: {known.value: count for known, count in counts.items() if count}
            for wanted, counts in zoo_classes(zoo).items()
        },
        "proved_answers": zoo_decided(zoo)[0],
        "cpu_seconds": round(sum(row.seconds for row in zoo.rows), 1),
        "optimizers": [_row_json(row) for row in zoo.rows],
    }


def zoo_counts(zoo: Zoo) -> dict[str, int]:
    """How many rows have a proved property, only a tested one, none, or were not run."""
    counts = {"proved": 0, "tested": 0, "violated": 0, "not run": 0}
    for row in zoo.rows:
        counts[_kind(row)] += 1
    return counts


def zoo_classes(zoo: Zoo) -> dict[Property, dict[Known, int]]:
    """For each property, how many rows have which answer; a row without verdict counts as not run."""
    counts = {wanted: dict.fromkeys(Known, 0) for wanted in Property}
    for row in zoo.rows:
        for wanted in Property:
            counts[wanted][Known.NOT_RUN if row.verdict is None else row.verdict.about(wanted).known] += 1
    return counts


def zoo_decided(zoo: Zoo) -> tuple[int, int]:
    """How many answers are proved, and how many there are: a search for counterexamples alone proves nothing."""
    known = [judged.known for row in zoo.rows if row.verdict is not None for judged in row.verdict.properties]
    return sum(each.proved for each in known), len(known)


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
    dtype = "" if verdict.dtype == "float64" else f"in {verdict.dtype}"
    label = ", ".join(str(part) for part in (row.entry.label, verdict.settings.get("built"), dtype) if part)
    return row.entry.name, label, proved, tested, violated, shown, _theorems(verdict)


def _heading(zoo: Zoo) -> str:
    counts = zoo_counts(zoo)
    return (
        f"{zoo.library} {zoo.version}: {len(zoo.rows)} rows; a property proved in {counts['proved']}, only tested in "
        f"{counts['tested']}, every property violated in {counts['violated']}, not run {counts['not run']}"
    )


def zoo_text(zoo: Zoo) -> RenderableType:
    """The tables for the terminal: a row for each optimizer, then how many answers of each kind there are."""
    table = Table(title=_heading(zoo), title_justify="left")
    for name in ZOO_COLUMNS[:5]:
        table.add_column(name, overflow="fold")
    table.add_column("s", justify="right")
    for row in zoo.rows:
        table.add_row(*(Text(cell) for cell in (*_cells(row)[:5], f"{row.seconds:.1f}")))
    classes = Table(title="How many rows have which answer", title_justify="left")
    for name in ("property", *(known.value for known in COUNTED)):
        classes.add_column(name, justify="left" if name == "property" else "right")
    for wanted, counts in zoo_classes(zoo).items():
        classes.add_row(wanted.name, *(str(counts[known]) for known in COUNTED))
    return Group(table, Text(), classes, Text(), Text(f"{_beyond_search(zoo).replace('*', '')} {_times(zoo)}"))


def _beyond_search(zoo: Zoo) -> str:
    decided, answers = zoo_decided(zoo)
    return (
        f"The search for counterexamples alone would leave {decided} of these {answers} answers at *tested*, which "
        "proves nothing: they are proved."
    )


def _times(zoo: Zoo) -> str:
    if not zoo.rows:
        return "No row."
    seconds = sorted(row.seconds for row in zoo.rows)
    slowest = max(zoo.rows, key=lambda row: row.seconds).entry
    return (
        f"Seconds of one processor: {sum(seconds):.0f} in all, {seconds[len(seconds) // 2]:.1f} for the median row, at "
        f"most {seconds[-1]:.1f} ({slowest.name}, {slowest.label})."
    )


def zoo_markdown(*zoos: Zoo) -> str:
    """The tables as Markdown, a section a library. Without times, so that the same versions give the same text."""
    named = zoos[0].library if len(zoos) == 1 else "all"
    lines = [
        "# Optimizers, library by library",
        "",
        f"Made by `nonconv optimizer --zoo {named} --format md`.",
        "",
        "Columns: the strongest properties that are *proved* (symbolically: the update rule, for all sizes; on the "
        f"code: the class itself, for parameters of a network of widths {', '.join(map(str, WIDTHS))} in float64, or "
        "in float32 where the settings say so; of optax: the program that JAX traces for them; of heavyball: without "
        "`torch.compile`), stronger ones that are *only tested* (which proves nothing), the strongest one that is "
        "*violated* with the kind of its "
        "counterexample, whether it acts *per coordinate*, and the *theorems* whose hypothesis on the optimizer "
        "follows from what is proved. `nonconv explain F` says what (F) means, and so on.",
        "",
    ]
    for zoo in zoos:
        lines += [*_section(zoo), ""]
    return "\n".join(lines[:-1]) + "\n"


def _section(zoo: Zoo) -> list[str]:
    lines = [f"## {zoo.library} {zoo.version}", "", f"{_heading(zoo)}.", ""]
    lines += [f"| property | {' | '.join(known.value for known in COUNTED)} |", f"|{'---|' * (len(COUNTED) + 1)}"]
    for wanted, counts in zoo_classes(zoo).items():
        lines.append(f"| {wanted.name} | {' | '.join(str(counts[known]) for known in COUNTED)} |")
    lines += [
        "",
        _beyond_search(zoo),
        "",
        f"| {' | '.join(ZOO_COLUMNS)} |",
        f"|{'---|' * len(ZOO_COLUMNS)}",
    ]
    return lines + [f"| {' | '.join(escape_markdown(cell) for cell in _cells(row))} |" for row in zoo.rows]
