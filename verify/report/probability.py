"""Probability of non-convergence against width and against depth, and the headline figure made of both.

The axis is the complement on a log scale, so that exponentially fast means a straight line; higher is more probable.
Proved bounds are filled and joined by full lines; bounds that rest on a statistical, cited or assumed statement are
hollow, each with its own mark, and joined by broken lines; limits of frequencies are blue bars.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from theorems.hypotheses import Evidence
from verify.enclosure.display import float_down
from verify.report.drawing import INK, RISK, SEEN, SMALLEST, Drawn, complement, draw, shortened
from verify.report.numbers import clean, lower
from verify.report.rows import Row, make_rows
from verify.results import Results, exact

__all__ = ["AXES", "Point", "Series", "collect", "draw_headline", "draw_probabilities", "tick_label", "ticks"]

AXES = {"width": "neurons in the first hidden layer", "depth": "hidden layers"}
PANEL = (2.9, 1.75)  # inches
MARKS = {"proved": "o", "statistical": "D", "cited": "s", "assumed": "v"}  # of bounds, by what they rest on
KINDS = {
    "proved": "proved lower bound",
    "statistical": "lower bound with a statistical part",
    "cited": "lower bound that rests on a cited theorem",
    "assumed": "lower bound that rests on an assumption",
}
CAPTION = (
    "Higher is nearer to certain; a straight line means exponentially fast. If a theorem is right, no blue mark lies "
    "wholly below its proved line. The orange band is a different event, of finite horizon: the share of trained "
    "networks whose risk stayed above U at every look, from the least to the greatest of the optimizers (all of them: "
    "a triangle, drawn at half a network)."
)


@dataclass(frozen=True)
class Point:
    """What a figure shows of one start; probabilities, not complements.

    bound: the certified bound of `theorem`, None if none holds; [lo, hi]: confidence limits of the structural event;
    kind: what the bound rests on, one of MARKS; [low, high]: least and greatest frequency of the risk event among the
    optimizers, None if no network was trained; least: half a trained network.
    """

    x: int
    theorem: str
    bound: Fraction | None
    kind: str
    seen: Fraction | None
    lo: Fraction
    hi: Fraction
    low: Fraction | None
    high: Fraction | None
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
        names = dict.fromkeys(shortened(point.theorem, 8) for point in self.points if point.bound is not None)
        return ", ".join(names)


# --- what is drawn ------------------------------------------------------------------------------------------------


def collect(results: Results, axis: str) -> list[Series]:
    """Gather the panels of an axis, each with its points from left to right."""
    starts: dict[str, list[Row]] = {}
    for row in make_rows(results):
        if row.start.axis == axis:
            starts.setdefault(row.start.id, []).append(row)
    chosen = [max(rows, key=lambda row: (row.bound is not None, len(row.cases))) for rows in starts.values()]
    shapes = {_shape(row, axis) for row in chosen}
    several = len({(row.start.sweep, _shape(row, axis)) for row in chosen}) > len(shapes)
    panels: dict[tuple[str, str], dict[int, Point]] = {}
    for row in chosen:
        named = [clean(row.start.sweep)] * several + [row.data] + [_shape(row, axis)] * (len(shapes) > 1)
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
    risks = [case.run.risk for sibling in siblings for case in sibling.cases if case.run.risk.trials]
    frequency = row.frequency
    return Point(
        x=hidden[0] if axis == "width" else len(hidden),
        theorem=row.theorem,
        bound=None if row.bound is None else exact(row.bound.lo),
        seen=None if frequency is None or not frequency.trials else Fraction(frequency.events, frequency.trials),
        lo=Fraction(0) if frequency is None else exact(frequency.lo),
        hi=Fraction(1) if frequency is None else exact(frequency.hi),
        kind=_kind(row.best.bound_evidence),
        low=min((Fraction(risk.events, risk.trials) for risk in risks), default=None),
        high=max((Fraction(risk.events + risk.lost, risk.trials) for risk in risks), default=None),
        least=Fraction(1, 2 * max([1, *(risk.trials for risk in risks)])),
    )


def _kind(evidence: str) -> str:
    """What a bound rests on, in the words of MARKS; what is not known counts as assumed."""
    if evidence in (Evidence.PROVED.value, Evidence.CERTIFIED.value, Evidence.ALMOST_SURE.value):
        return "proved"
    return evidence if evidence in MARKS else "assumed"


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


# --- drawing ------------------------------------------------------------------------------------------------------


def draw_probabilities(results: Results) -> list[Drawn]:
    """Draw a figure for each axis that was swept."""
    return [_draw(axis, panels) for axis in AXES if (panels := collect(results, axis))]


def _draw(axis: str, panels: list[Series]) -> Drawn:
    return draw(
        axis,
        f"Probability of non-convergence against {axis}",
        CAPTION,
        _describe(axis, panels),
        lambda: _figure(axis, panels),
        wide=len({panel.column for panel in panels}) > 2,
    )


def draw_headline(results: Results) -> Drawn | None:
    """The panel of each axis that shows the most, side by side; None if nothing was swept."""
    found = {axis: panels for axis in AXES if (panels := collect(results, axis))}
    chosen = {axis: max(panels, key=_weight) for axis, panels in found.items()}
    if not chosen:
        return None
    return draw(
        "headline",
        f"At a glance: probability of non-convergence against {' and '.join(chosen)}",
        CAPTION,
        " ".join(_describe(axis, [panel]) for axis, panel in chosen.items()),
        lambda: _headline(chosen),
        wide=False,
    )


def _weight(panel: Series) -> tuple[int, Fraction]:
    """How much a panel shows: points with a bound, then the largest bound."""
    bounds = [point.bound for point in panel.points if point.bound]
    return len(bounds), max(bounds, default=Fraction(0))


def _headline(chosen: dict[str, Series]) -> Figure:
    figure = Figure(figsize=(2.9 * max(len(chosen), 1.4), 4.1), layout="constrained")
    grid: Any = figure.subplots(1, len(chosen), squeeze=False)
    for axes, (axis, panel) in zip(grid[0], chosen.items(), strict=True):
        _panel(axes, panel)
        _scale(axes, _smallest([panel]), [point.x for point in panel.points])
        axes.set_xlabel(AXES[axis])
    figure.supylabel("probability of non-convergence", fontsize=8.5)
    figure.legend(handles=_legend(list(chosen.values())), loc="outside lower left", ncols=2, fontsize=8)
    return figure


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
    figure.legend(handles=_legend(panels), loc="outside upper left", ncols=2, fontsize=8)
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
    values += [complement(point.bound) for point in points if point.bound is not None]
    values += [complement(point.lo) for point in points]
    values += [complement(point.hi) for point in points if point.hi < 1]
    return max(min(values), SMALLEST) / 1.6


def _panel(axes: Any, panel: Series) -> None:
    named = shortened(f"{shortened(panel.row, 34)} · {shortened(panel.column, 18)}", 50)
    title = axes.set_title(f"{named} · {panel.theorems}" if panel.theorems else named, loc="left")
    title.set_parse_math(False)
    axes.grid(True)
    axes.set_axisbelow(True)
    points = panel.points
    _band(axes, points)
    bounds = [point for point in points if point.bound is not None and point.bound > 0]
    xs, ys = [point.x for point in bounds], [complement(point.bound) for point in bounds if point.bound is not None]
    proved = all(point.kind == "proved" for point in bounds)
    axes.plot(xs, ys, color=INK, linewidth=1.4, linestyle="-" if proved else "--", zorder=3)
    for point, x, y in zip(bounds, xs, ys, strict=True):
        axes.plot([x], [y], linewidth=0, zorder=3, **_mark(point.kind))
    for point in points:
        if point.seen is not None:
            _seen(axes, point, point.seen)


def _mark(kind: str) -> dict[str, Any]:
    """Filled for what is proved, hollow for the rest."""
    face = INK if kind == "proved" else "none"
    return {
        "color": INK,
        "marker": MARKS[kind],
        "markersize": 3.2 if kind == "proved" else 4.2,
        "markerfacecolor": face,
    }


def _band(axes: Any, points: Sequence[Point]) -> None:
    """Range of the risk event over the optimizers; an edge where all runs show it is a triangle at half a run."""
    ends = [(p.x, p.low, p.high, p.least) for p in points if p.low is not None and p.high is not None]
    xs = [x for x, _, _, _ in ends]
    below = [float(max(1 - low, least)) for _, low, _, least in ends]
    above = [float(max(1 - high, least)) for _, _, high, least in ends]
    axes.fill_between(xs, below, above, color=RISK, alpha=0.3, linewidth=0, zorder=1)
    for (x, low, high, _), bottom, top in zip(ends, below, above, strict=True):
        axes.plot([x, x], [bottom, top], color=RISK, linewidth=2, solid_capstyle="butt", zorder=2)
        for edge, frequency in ((bottom, low), (top, high)):
            marker = "^" if frequency == 1 else "_"
            axes.plot([x], [edge], color=RISK, marker=marker, markersize=4.5, linewidth=0, zorder=2)


def _seen(axes: Any, point: Point, seen: Fraction) -> None:
    """Frequency with limits; where every network showed the event, an arrow from the lower limit."""
    bottom, top = complement(point.lo), complement(point.hi)
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


def _legend(panels: Sequence[Series]) -> list[Any]:
    points = [point for panel in panels for point in panel.points]
    kinds = {point.kind for point in points if point.bound is not None} or {"proved"}
    handles: list[Any] = [
        Line2D([], [], linewidth=1.4, linestyle="-" if kind == "proved" else "--", label=label, **_mark(kind))
        for kind, label in KINDS.items()
        if kind in kinds
    ]
    if any(point.low is not None for point in points):
        handles.append(Patch(facecolor=RISK, alpha=0.4, label="risk stayed high in training, by optimizer"))
    seen: dict[str, Any] = {"color": SEEN, "linewidth": 0}
    handles.append(Line2D([], [], marker="D", markersize=3, label="dead at initialization, confidence limits", **seen))
    handles.append(Line2D([], [], marker="$↑$", markersize=7, label="all networks: at or above the mark", **seen))
    return handles


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
