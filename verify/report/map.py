"""The map of width and depth: in each cell the certified bound above, the measured frequency below it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from verify.report.drawing import INK, SEEN, SMALLEST, Drawn, complement, draw, shortened
from verify.report.numbers import lower
from verify.report.rows import Row, make_rows
from verify.results import Results, exact

__all__ = ["Cell", "Map", "collect_maps", "draw_map"]

CELL = (0.56, 0.36)  # inches
STRONGEST = 0.55  # opacity: text stays readable on it
DIGITS, LONGEST = 2, 7
MOST_PLACES = 12  # widths or depths beyond these few are left to the tables
CAPTION = (
    "Each cell is a network: above, the certified lower bound of the probability of non-convergence, rounded down; "
    "below, the share of drawn networks with the event at initialization, rounded down. Darker is nearer to certain."
)


@dataclass(frozen=True)
class Cell:
    """A network of the map; `theorem` gives the bound, None if none holds."""

    width: int
    depth: int
    theorem: str
    bound: Fraction | None
    seen: Fraction | None


@dataclass(frozen=True)
class Map:
    """The cells of one data set and initialization, one for each first width and depth: the one with the best bound."""

    data: str
    initialization: str
    cells: tuple[Cell, ...]


def collect_maps(results: Results) -> list[Map]:
    """Gather the maps, in the order of the results."""
    maps: dict[tuple[str, str], dict[tuple[int, int], Cell]] = {}
    for row in make_rows(results):
        cells = maps.setdefault((row.data, row.initialization), {})
        cell = _cell(row)
        known = cells.get((cell.width, cell.depth))
        if known is None or (cell.bound or 0) > (known.bound or 0):
            cells[cell.width, cell.depth] = cell
    return [Map(data, name, tuple(cells[place] for place in sorted(cells))) for (data, name), cells in maps.items()]


def _cell(row: Row) -> Cell:
    hidden, frequency = row.start.widths[1:-1], row.frequency
    holds = row.bound is not None and row.best.applies == "holds"
    return Cell(
        width=hidden[0],
        depth=len(hidden),
        theorem=row.theorem,
        bound=exact(row.bound.lo) if row.bound is not None and holds else None,
        seen=None if frequency is None or not frequency.trials else Fraction(frequency.events, frequency.trials),
    )


def draw_map(results: Results) -> Drawn | None:
    """Draw the maps; None if all networks have the same width and depth, or too many different ones."""
    maps = collect_maps(results)
    widths, depths = _places(maps)
    if len(widths) * len(depths) < 2 or max(len(widths), len(depths)) > MOST_PLACES:
        return None
    return draw(
        "map",
        "Certified bound and measured frequency by width and depth",
        CAPTION,
        _describe(maps),
        lambda: _figure(maps, widths, depths),
        wide=True,
    )


def _places(maps: list[Map]) -> tuple[list[int], list[int]]:
    cells = [cell for each in maps for cell in each.cells]
    return sorted({cell.width for cell in cells}), sorted({cell.depth for cell in cells})


def _figure(maps: list[Map], widths: list[int], depths: list[int]) -> Figure:
    rows = list(dict.fromkeys(each.data for each in maps))
    columns = list(dict.fromkeys(each.initialization for each in maps))
    size = (
        max(CELL[0] * len(widths) + 0.5, 2.4) * len(columns) + 0.4,
        (CELL[1] * len(depths) + 0.45) * len(rows) + 0.75,
    )
    figure = Figure(figsize=size, layout="constrained")
    grid: Any = figure.subplots(len(rows), len(columns), sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for each in maps:
        axes = grid[rows.index(each.data)][columns.index(each.initialization)]
        axes.set_axis_on()
        title = axes.set_title(f"{shortened(each.data, 24)} · {shortened(each.initialization, 18)}", loc="left")
        title.set_parse_math(False)
        for cell in each.cells:
            _draw_cell(axes, cell, widths.index(cell.width), depths.index(cell.depth))
    for axes in grid.flat:
        axes.set_xlim(-0.5, len(widths) - 0.5)
        axes.set_ylim(-0.5, len(depths) - 0.5)
        axes.set_xticks(range(len(widths)), [str(width) for width in widths])
        axes.set_yticks(range(len(depths)), [str(depth) for depth in depths])
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
    figure.supxlabel("neurons in the first hidden layer", fontsize=8.5)
    figure.supylabel("hidden layers", fontsize=8.5)
    handles = [
        Patch(facecolor=INK, alpha=0.4, label="proved lower bound"),
        Patch(facecolor=SEEN, alpha=0.4, label="seen"),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=2, fontsize=8)
    return figure


def _draw_cell(axes: Any, cell: Cell, x: int, y: int) -> None:
    for value, color, bottom in ((cell.bound, INK, 0.0), (cell.seen, SEEN, -0.46)):
        face = Rectangle((x - 0.47, y + bottom), 0.94, 0.46, linewidth=0)
        face.set(facecolor=color, alpha=_opacity(value))
        axes.add_patch(face)
        told = "–" if value is None else lower(value, DIGITS, LONGEST).replace(" ", "")
        text = axes.text(x, y + bottom + 0.22, told, ha="center", va="center", fontsize=7, color=INK)
        text.set_parse_math(False)


def _opacity(value: Fraction | None) -> float:
    """Grows with the number of nines."""
    if value is None:
        return 0.04
    nines = -math.log10(complement(value)) / -math.log10(SMALLEST)
    return 0.06 + (STRONGEST - 0.06) * min(math.sqrt(max(nines, 0)), 1)


def _describe(maps: list[Map]) -> str:
    parts = []
    for each in maps:
        told = [
            f"width {cell.width}, depth {cell.depth}: "
            + ("no bound" if cell.bound is None else f"proved at least {lower(cell.bound)} ({cell.theorem})")
            + ("" if cell.seen is None else f", seen {lower(cell.seen)}")
            for cell in each.cells
        ]
        parts.append(f"{each.data}, {each.initialization}: {'; '.join(told)}.")
    return " ".join(parts)
