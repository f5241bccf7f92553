"""The survey `frameworks` as a terminal table, JSON, Markdown and CSV, and the sentences that its numbers say.

Lower bounds are rounded down, upper bounds up.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import groupby

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from theorems.hypotheses import Status
from verify.dead_neuron import DeadProbability
from verify.enclosure import at_least, at_most, float_down, float_up
from verify.report.markdown import escape_markdown
from verify.results import write_ratio
from verify.survey.frameworks import (
    FRAMEWORKS,
    SCALINGS,
    TARGETS,
    FrameworkRow,
    FrameworkSurvey,
    WidthBound,
    width_bound,
)

__all__ = ["frameworks_csv", "frameworks_json", "frameworks_markdown", "frameworks_text", "reading"]

TYPICAL = 256  # the width that the sentences speak of
NEARLY_SURE = Fraction(99, 100)
RARE = Fraction(1, 1000)
NOTHING = "-"

MARKS = {Status.HOLDS: "+", Status.UNKNOWN: "", Status.FAILS: "*"}
SHORT_SCALINGS = {"none": "raw", "minmax": "min-max", "standard": "standard."}


# --- sentences -------------------------------------------------------------------------------------------------------


def reading(survey: FrameworkSurvey) -> list[str]:
    """What a practitioner reads off, one sentence a scaling, made from the numbers; and how sure the samples are."""
    sentences = []
    for scaling, words in SCALINGS.items():
        groups = {
            framework: rows
            for scheme, framework in FRAMEWORKS.items()
            if (rows := [row for row in survey.rows if (row.initialization, row.scaling) == (scheme, scaling)])
        }
        if groups:
            sentences.append(f"On {words} inputs {_dead_layers(groups)}{_dead_neurons(groups)}.")
    level = at_least(1 - survey.alpha)
    sentences.append(f"Sampled limits: {survey.neurons} neurons a row, all right together with probability {level}.")
    return sentences


def _dead_layers(groups: Mapping[str, Sequence[FrameworkRow]]) -> str:
    """On how many data sets a dead neuron is nearly sure."""
    counts = _counts(groups, lambda row: width_bound(row.known.lo, TYPICAL) >= NEARLY_SURE)
    return (
        f"a first layer of {TYPICAL} neurons starts with a dead one, with probability at least 99 %, on {counts} data "
        "sets"
    )


def _dead_neurons(groups: Mapping[str, Sequence[FrameworkRow]]) -> str:
    """On how many data sets dead neurons are rare or impossible; nothing if there are no such data sets."""
    rows = [row for group in groups.values() for row in group]
    told = ""
    if any(map(_rare, rows)):
        told += f"; a neuron starts dead with probability at most 1/{1 / RARE} on {_counts(groups, _rare)}"
    if any(row.never_dead for row in rows):
        told += f"; no neuron ever does (p_1 = 0) on {_counts(groups, lambda row: row.never_dead)}"
    return told


def _rare(row: FrameworkRow) -> bool:
    return row.known.hi <= RARE


def _counts(groups: Mapping[str, Sequence[FrameworkRow]], holds: Callable[[FrameworkRow], bool]) -> str:
    return ", ".join(f"{sum(map(holds, rows))} of {len(rows)} ({framework})" for framework, rows in groups.items())


# --- terminal --------------------------------------------------------------------------------------------------------


def frameworks_text(survey: FrameworkSurvey) -> RenderableType:
    """Everything to print with rich in 80 columns: a table a data set, sentences, legend."""
    parts: list[RenderableType] = []
    for (name, count, columns), group in groupby(survey.rows, key=lambda row: (row.data, row.n_inputs, row.input_dim)):
        parts += [
            Text.assemble((name, "bold"), f"  {count} distinct inputs, {columns} column{'s' if columns > 1 else ''}"),
            _table(survey, list(group)),
            Text(),
        ]
    parts += [*map(Text, reading(survey)), Text(), Text(LEGEND, style="dim")]
    return Group(*parts)


LEGEND = (
    "p_1: probability that one first-layer neuron is dead on the data; c certified, s sampled (confidence limits). "
    "Under a width w: lower bound of 1 - (1 - p_1)^w, the probability that a layer of w neurons starts with a dead "
    "one. 50 %, 99 %: a width from which on it is reached. +: a network with one neuron less surely stays above the "
    "noise floor, so training of a shallow network with a dead neuron misses every global minimizer (T3). *: it "
    "surely reaches the noise floor, so a dead neuron costs nothing (saturation). No mark: not decided."
)


def _table(survey: FrameworkSurvey, rows: Sequence[FrameworkRow]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False)
    for name, width in (("", 8), ("", 9), ("", 1), ("p_1", 13)):
        table.add_column(name, width=width, overflow="fold")
    for size in survey.widths:
        table.add_column(str(size), width=5, justify="right", overflow="fold")
    for target in TARGETS:
        table.add_column(_percent(target), width=6, justify="right", overflow="fold")
    for row in rows:
        names = FRAMEWORKS[row.initialization], SHORT_SCALINGS[row.scaling]
        table.add_row(*names, "c", *_cells(row, row.certified, row.certified_widths))
        if row.sampled is not None:
            table.add_row("", "", "s", *_cells(row, row.sampled, row.sampled_widths), style="dim")
    return table


def _percent(target: Fraction) -> str:
    return f"{target * 100} %"


def _cells(row: FrameworkRow, found: DeadProbability, widths: Sequence[int | None]) -> list[str]:
    bounds = [_marked(_three(value), value, bound) for bound, value in _bounds_of(found, row)]
    return [_probability(found), *bounds, *map(_width, widths)]


def _bounds_of(found: DeadProbability, row: FrameworkRow) -> list[tuple[WidthBound, Fraction]]:
    """The bounds that follow from the certified or from the sampled `p_1` of a row."""
    if found is row.certified:
        return [(bound, bound.certified) for bound in row.bounds]
    return [(bound, bound.sampled) for bound in row.bounds if bound.sampled is not None]


def _marked(text: str, value: Fraction, bound: WidthBound) -> str:
    return text + MARKS[bound.status] if value > 0 else text


def _three(value: Fraction) -> str:
    """A lower bound in four characters: three digits, rounded down."""
    if value == 1:
        return "1"
    if value > Fraction(999, 1000):
        return ">.99"
    thousandths = value * 1000 // 1
    return f".{thousandths:03d}" if thousandths else "0"


def _probability(found: DeadProbability) -> str:
    ends = found.enclosure
    if ends.width == 0 and len(str(ends.lo)) <= 9:
        return f"= {ends.lo}"
    if not found.two_sided:
        return f">= {at_least(ends.lo, 2)}" if ends.lo else "not bounded"
    digits = 3 if ends.lo >= Fraction(1, 100) else 2
    return f"{at_least(ends.lo, digits)}-{at_most(ends.hi, digits)}"


def _width(width: int | None) -> str:
    if width is None:
        return NOTHING
    return str(width) if width < 10**6 else f"1e{len(str(width))}"


# --- files -----------------------------------------------------------------------------------------------------------


def frameworks_json(survey: FrameworkSurvey) -> dict[str, object]:
    """One JSON document; rationals are strings "p/q", `float` values are rounded outward."""
    return {
        "survey": "frameworks",
        "alpha": write_ratio(survey.alpha),
        "neurons": survey.neurons,
        "seed": survey.seed,
        "widths": list(survey.widths),
        "targets": [write_ratio(target) for target in TARGETS],
        "reading": reading(survey),
        "rows": [_row_json(row) for row in survey.rows],
    }


def _row_json(row: FrameworkRow) -> dict[str, object]:
    return {
        "data": row.data,
        "K": row.n_inputs,
        "columns": row.input_dim,
        "scaling": row.scaling,
        "initialization": row.initialization,
        "certified": _probability_json(row.certified),
        "sampled": None if row.sampled is None else _probability_json(row.sampled),
        "bounds": [
            {
                "width": bound.width,
                "certified": float_down(bound.certified),
                "sampled": None if bound.sampled is None else float_down(bound.sampled),
                "above_noise": bound.status.value,
                "why": bound.why,
            }
            for bound in row.bounds
        ],
        "certified_widths": list(row.certified_widths),
        "sampled_widths": list(row.sampled_widths),
        "note": row.note,
    }


def _probability_json(found: DeadProbability) -> dict[str, object]:
    return {
        "method": found.method,
        "evidence": found.evidence.value,
        "two_sided": found.two_sided,
        "lo": write_ratio(found.enclosure.lo),
        "hi": write_ratio(found.enclosure.hi),
        "float": [float_down(found.enclosure.lo), float_up(found.enclosure.hi)],
        "why": found.why,
    }


def _head(survey: FrameworkSurvey) -> list[str]:
    return [
        *("data", "K", "columns", "initialization", "scaling", "p_1 certified", "method", "p_1 sampled"),
        *(f"width {width}" for width in survey.widths),
        *(_percent(target) for target in TARGETS),
        "note",
    ]


def _line(row: FrameworkRow) -> list[str]:
    """One row of Markdown or CSV; certified and sampled values are parted by a slash."""
    names = [row.data, str(row.n_inputs), str(row.input_dim), FRAMEWORKS[row.initialization], SCALINGS[row.scaling]]
    sampled = NOTHING if row.sampled is None else _probability(row.sampled)
    bounds = [
        _marked(
            _pair(at_least(bound.certified), None if bound.sampled is None else at_least(bound.sampled)),
            max(bound.certified, bound.sampled or Fraction(0)),
            bound,
        )
        for bound in row.bounds
    ]
    widths = [
        _pair(_width(proved), None if row.sampled is None else _width(seen))
        for proved, seen in zip(row.certified_widths, row.sampled_widths, strict=True)
    ]
    return [*names, _probability(row.certified), row.certified.method, sampled, *bounds, *widths, row.note]


def _pair(proved: str, seen: str | None) -> str:
    return proved if seen is None else f"{proved} / {seen}"


def frameworks_markdown(survey: FrameworkSurvey) -> str:
    """The table as on GitHub, certified / sampled, with the sentences above and the legend below it."""
    head, body = _head(survey), [_line(row) for row in survey.rows]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(escape_markdown(cell) for cell in cells) + " |" for cells in body]
    parts = [
        "# Default initializations on real data",
        "\n".join(f"- {escape_markdown(sentence)}" for sentence in reading(survey)),
        "\n".join(lines),
        escape_markdown(LEGEND),
    ]
    return "\n\n".join(parts) + "\n"


def frameworks_csv(survey: FrameworkSurvey) -> str:
    """The table with a header, certified / sampled, as comma-separated text."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_head(survey))
    writer.writerows(map(_line, survey.rows))
    return text.getvalue()
