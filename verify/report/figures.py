"""The two figures: probability of non-convergence against width and against depth, as SVG and PDF.

The axis is the complement on a log scale, so that exponentially fast means a straight line; higher is more probable.
The same results give the same bytes: no dates, no random identifiers, no fonts but those of the reader.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from typing import Any

import matplotlib
import matplotlib.style
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from verify.enclosure.display import float_down, float_up
from verify.report.numbers import clean, lower
from verify.report.rows import Row, make_rows
from verify.results import Results, exact

__all__ = ["AXES", "Drawn", "Point", "Series", "collect", "draw_figures", "tick_label", "ticks"]

AXES = {"width": "neurons in the first hidden layer", "depth": "hidden layers"}
INK = "#767676"  # readable on white and on black; inside a page it becomes the color of the text
SEEN = "#0072B2"  # Okabe-Ito blue
RISK = "#E69F00"  # Okabe-Ito orange
SMALLEST = 1e-12  # complements beyond are off the axis
PANEL = (2.9, 1.75)  # inches
STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 8.5,
    "axes.titlesize": 8.5,
    "axes.linewidth": 0.6,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": INK,
    "grid.alpha": 0.25,
    "grid.linewidth": 0.5,
    "legend.frameon": False,
}


@dataclass(frozen=True)
class Point:
    """What a figure shows of one start; probabilities, not complements.

    bound: the certified bound of `theorem`, None if none holds; [lo, hi]: confidence limits of the structural event;
    [low, high]: least and greatest frequency of the risk event among the optimizers; least: half a trained network.
    """

    x: int
    theorem: str
    bound: Fraction | None
    seen: Fraction | None
    lo: Fraction
    hi: Fraction
    low: Fraction
    high: Fraction
    least: Fraction


@dataclass(frozen=True)
class Series:
    """Points of one sweep, data set, initialization and shape of the rest of the network: one panel."""

    row: str
    column: str
    points: tuple[Point, ...]

    @property
    def theorems(self) -> str:
        """The theorems whose bounds are drawn."""
        names = dict.fromkeys(_short(point.theorem, 8) for point in self.points if point.bound is not None)
        return ", ".join(names)


@dataclass(frozen=True)
class Drawn:
    """A finished figure. `svg` is a file of its own, `inline` the same drawing for use inside an HTML page."""

    axis: str
    title: str
    description: str
    columns: int
    svg: str
    inline: str
    pdf: bytes


# --- what is drawn ------------------------------------------------------------------------------------------------


def collect(results: Results, axis: str) -> list[Series]:
    """Gather the panels of an axis, each with its points from left to right."""
    starts: dict[str, list[Row]] = {}
    for row in make_rows(results):
        if row.start.axis == axis:
            starts.setdefault(row.start.id, []).append(row)
    chosen = [max(rows, key=lambda row: (row.bound is not None, len(row.cases))) for rows in starts.values()]
    sweeps = {row.start.sweep for row in chosen}
    shapes = {_shape(row, axis) for row in chosen}
    panels: dict[tuple[str, str], dict[int, Point]] = {}
    for row in chosen:
        named = [clean(row.start.sweep)] * (len(sweeps) > 1) + [row.data] + [_shape(row, axis)] * (len(shapes) > 1)
        points = panels.setdefault((", ".join(named), row.initialization), {})
        point = _point(row, starts[row.start.id], axis)
        points.setdefault(point.x, point)
    return [
        Series(row_name, column, tuple(points[x] for x in sorted(points)))
        for (row_name, column), points in panels.items()
    ]


def _shape(row: Row, axis: str) -> str:
    """The part of the architecture that does not vary along the axis."""
    first, *rest = row.start.widths[1:-1]
    if axis == "depth":
        return f"width {first}"
    return f"then {','.join(map(str, rest))}" if rest else "one hidden layer"


def _point(row: Row, siblings: Sequence[Row], axis: str) -> Point:
    hidden = row.start.widths[1:-1]
    risks = [case.run.risk for sibling in siblings for case in sibling.cases]
    frequency = row.frequency
    return Point(
        x=hidden[0] if axis == "width" else len(hidden),
        theorem=row.theorem,
        bound=None if row.bound is None else exact(row.bound.lo),
        seen=None if frequency is None or not frequency.trials else Fraction(frequency.events, frequency.trials),
        lo=Fraction(0) if frequency is None else exact(frequency.lo),
        hi=Fraction(1) if frequency is None else exact(frequency.hi),
        low=min(Fraction(risk.events, max(risk.trials, 1)) for risk in risks),
        high=max(Fraction(risk.events + risk.lost, max(risk.trials, 1)) for risk in risks),
        least=Fraction(1, 2 * max(1, *(risk.trials for risk in risks))),
    )


# --- axes ---------------------------------------------------------------------------------------------------------


def tick_label(complement: float) -> str:
    """Write the probability that belongs to a complement: 1 is "0", 0.1 is "0.9", 1e-6 is "1 − 10⁻⁶"."""
    exponent = round(math.log10(complement))
    if exponent < -4:
        return "1 − 10" + str(exponent).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{1 - complement:.{max(-exponent, 2)}f}".rstrip("0").rstrip(".")


def ticks(smallest: float) -> list[float]:
    """Complements to label on an axis from 1 down to `smallest`."""
    decades = -math.log10(smallest)
    if decades <= 2:
        return [value for value in (1, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01) if value >= smallest]
    step = max(1, math.ceil(decades / 6))
    return [10.0**-exponent for exponent in range(0, math.floor(decades) + 1, step)]


def _complement(value: Fraction) -> float:
    """The complement as a float, rounded up: a bound is never drawn higher than it is."""
    return max(float_up(1 - value), SMALLEST / 10)


# --- drawing ------------------------------------------------------------------------------------------------------


def draw_figures(results: Results) -> list[Drawn]:
    """Draw a figure for each axis that was swept."""
    return [_draw(axis, panels) for axis in AXES if (panels := collect(results, axis))]


def _draw(axis: str, panels: list[Series]) -> Drawn:
    title = f"Probability of non-convergence against {axis}"
    description = _describe(axis, panels)
    with matplotlib.style.context(["default", STYLE | {"svg.hashsalt": f"nonconv-{axis}"}]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # the reader's fonts are used, not these
        figure = _figure(axis, panels)
        svg, pdf = io.BytesIO(), io.BytesIO()
        figure.savefig(
            svg, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
        figure.savefig(pdf, format="pdf", transparent=True, metadata={"CreationDate": None, "Title": title})
    drawing = _name(svg.getvalue().decode(), axis, title, description)
    alone = '<?xml version="1.0" encoding="utf-8"?>\n' + drawing
    inline = drawing.replace(INK, "currentColor").replace(SEEN.lower(), "var(--seen)")
    columns = len({panel.column for panel in panels})
    return Drawn(axis, title, description, columns, alone, inline, pdf.getvalue())


def _figure(axis: str, panels: list[Series]) -> Figure:
    rows = list(dict.fromkeys(panel.row for panel in panels))
    columns = list(dict.fromkeys(panel.column for panel in panels))
    size = (max(PANEL[0] * len(columns), 5.2) + 0.3, max(PANEL[1] * len(rows), 2.3) + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    grid: Any = figure.subplots(len(rows), len(columns), sharex=True, sharey=True, squeeze=False)
    smallest = _smallest(panels)
    drawn = set()
    for panel in panels:
        row, column = rows.index(panel.row), columns.index(panel.column)
        drawn.add((row, column))
        _panel(grid[row][column], panel)
    for row in range(len(rows)):
        for column in range(len(columns)):
            if (row, column) not in drawn:
                grid[row][column].set_axis_off()
    places = sorted({point.x for panel in panels for point in panel.points})
    _scale(grid[0][0], smallest, places)
    figure.supxlabel(AXES[axis], fontsize=8.5)
    figure.supylabel("probability (log scale of the complement)", fontsize=8.5)
    figure.legend(handles=_legend(), loc="outside upper left", ncols=2, fontsize=8)
    return figure


def _scale(axes: Any, smallest: float, places: list[int]) -> None:
    """Set the shared axes: the complement falls upward, and the places of the points are labelled."""
    axes.set_yscale("log")
    axes.set_ylim(1.15, smallest)
    labelled = ticks(smallest)
    axes.set_yticks(labelled, [tick_label(value) for value in labelled])
    axes.set_yticks([], minor=True)
    room = (places[-1] - places[0]) * 0.06 or 0.5
    axes.set_xlim(places[0] - room, places[-1] + room)
    apart = [
        x for x, before in zip(places, [None, *places], strict=False) if before is None or x - before >= room * 0.6
    ]
    axes.set_xticks(apart, [str(x) for x in apart])


def _smallest(panels: list[Series]) -> float:
    points = [point for panel in panels for point in panel.points]
    values = [float(point.least) for point in points]
    values += [_complement(point.bound) for point in points if point.bound is not None]
    values += [_complement(point.lo) for point in points]
    values += [_complement(point.hi) for point in points if point.hi < 1]
    return max(min(values), SMALLEST) / 1.6


def _panel(axes: Any, panel: Series) -> None:
    named = _short(f"{_short(panel.row, 28)} · {_short(panel.column, 18)}", 46)
    title = axes.set_title(f"{named} · {panel.theorems}" if panel.theorems else named, loc="left")
    title.set_parse_math(False)
    axes.grid(True)
    axes.set_axisbelow(True)
    points = panel.points
    _band(axes, points)
    bounds = [point for point in points if point.bound is not None and point.bound > 0]
    xs, ys = [point.x for point in bounds], [_complement(point.bound) for point in bounds if point.bound is not None]
    axes.plot(xs, ys, color=INK, linewidth=1.4, marker="o", markersize=3.2, zorder=3)
    for point in points:
        if point.seen is not None:
            _seen(axes, point, point.seen)


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _band(axes: Any, points: Sequence[Point]) -> None:
    """Range of the risk event over the optimizers; an edge where all runs show it is a triangle at half a run."""
    xs = [point.x for point in points]
    below = [float(max(1 - point.low, point.least)) for point in points]
    above = [float(max(1 - point.high, point.least)) for point in points]
    axes.fill_between(xs, below, above, color=RISK, alpha=0.3, linewidth=0, zorder=1)
    for point, low, high in zip(points, below, above, strict=True):
        axes.plot([point.x, point.x], [low, high], color=RISK, linewidth=2, solid_capstyle="butt", zorder=2)
        for edge, frequency in ((low, point.low), (high, point.high)):
            marker = "^" if frequency == 1 else "_"
            axes.plot([point.x], [edge], color=RISK, marker=marker, markersize=4.5, linewidth=0, zorder=2)


def _seen(axes: Any, point: Point, seen: Fraction) -> None:
    """Frequency with limits; where every network showed the event, an arrow from the lower limit."""
    bottom, top = _complement(point.lo), _complement(point.hi)
    if point.hi == 1:
        axes.annotate(
            "",
            xy=(point.x, bottom),
            xytext=(0, 15),
            textcoords="offset points",
            arrowprops={"arrowstyle": "<|-", "color": SEEN, "linewidth": 1.1, "shrinkA": 0, "shrinkB": 0},
            zorder=4,
        )
        axes.plot([point.x], [bottom], color=SEEN, marker="_", markersize=7, zorder=4)
        return
    middle = float(1 - seen)
    axes.errorbar(
        [point.x],
        [middle],
        yerr=[[max(middle - top, 0)], [max(bottom - middle, 0)]],
        color=SEEN,
        marker="D",
        markersize=3,
        linewidth=1.1,
        capsize=2.5,
        zorder=4,
    )


def _legend() -> list[Any]:
    return [
        Line2D([], [], color=INK, linewidth=1.4, marker="o", markersize=3.2, label="proved lower bound"),
        Patch(facecolor=RISK, alpha=0.4, label="risk stayed high in training, by optimizer"),
        Line2D([], [], color=SEEN, linewidth=0, marker="D", markersize=3, label="dead at initialization, with limits"),
        Line2D([], [], color=SEEN, linewidth=0, marker="$↑$", markersize=7, label="all networks: at or above the mark"),
    ]


# --- SVG ----------------------------------------------------------------------------------------------------------


def _name(svg: str, axis: str, title: str, description: str) -> str:
    """Give the drawing a title and description, and identifiers of its own; drop what refers to the outside."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"\s*<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    for pattern in (r'(\bid=")', r"(url\(#)", r'(href="#)'):
        body = re.sub(pattern, rf"\g<1>{axis}-", body)
    names = f'role="img" aria-labelledby="{axis}-title {axis}-description"'
    told = (
        f'<title id="{axis}-title">{escape(title)}</title>\n <desc id="{axis}-description">{escape(description)}</desc>'
    )
    return re.sub(r"<svg ([^>]*)>", lambda head: f"<svg {names} {head[1]}>\n {told}", body, count=1)


def _describe(axis: str, panels: list[Series]) -> str:
    parts = [f"Panels of {axis}, the probability on a log scale of its complement."]
    for panel in panels:
        told = [f"{panel.row}, {panel.column}:"]
        for point in panel.points:
            bound = "no bound" if point.bound is None else f"proved at least {lower(point.bound)}"
            seen = "" if point.seen is None else f", seen {float_down(point.seen):.4f}"
            told.append(f"{axis} {point.x} {bound}{seen};")
        parts.append(" ".join(told).rstrip(";") + ".")
    return " ".join(parts)
