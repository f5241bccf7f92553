"""Where training ended: the distribution of final risks of each kind of network, with certified levels marked.

Risks are float estimates, in units in which the noise floor nu is 0 and the risk nu + V of the best constant is 1. The
levels are exact: U, and the risk of a known network, an upper bound of the optimal risk I.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from verify.enclosure.display import float_up
from verify.report.drawing import INK, RISK, SEEN, Drawn, draw, shortened
from verify.report.numbers import clean, many, upper
from verify.results import RISK_BINS, RISK_SPAN, CaseResult, DataResult, Results, StartResult, exact

__all__ = ["Strip", "collect_strips", "draw_final_risks", "risks_recorded"]

STRIP = 0.17  # inches
MOST_STRIPS = 40  # of a data set; more are left out, and the caption says so
CAPTION = (
    "Each line is a kind of initial network with all its optimizers; its height is the share of trained networks that "
    "ended with this risk (float estimates, the highest bar of a line has full height). Dotted: the noise floor ν and "
    "the risk ν + V of the best constant, below which, by proof, no network with a dead layer gets. The blue mark is "
    "the risk of a known network, so that the optimal risk I is at or left of it; the orange mark is U. The last bar "
    "holds all higher risks; networks that left the reals are not drawn."
)


@dataclass(frozen=True)
class Strip:
    """The final risks of one start. known, reachable: W and U as `(W - nu) / V`, None if not known."""

    name: str
    counts: tuple[int, ...]
    beyond: int
    non_finite: int
    known: Fraction | None
    reachable: Fraction | None

    @property
    def total(self) -> int:
        """Number of trained networks."""
        return sum(self.counts) + self.beyond + self.non_finite


def risks_recorded(results: Results) -> bool:
    """Whether the results say how training ended; only recent ones do."""
    return any(case.run.final_risks is not None for case in results.cases)


def collect_strips(results: Results) -> dict[str, list[Strip]]:
    """The strips of each data set, by its name."""
    data = {each.key: each for each in results.data}
    reach = _reach(results)
    found: dict[str, list[Strip]] = {}
    for start in results.starts:
        strip = _strip(start, results.cases_of(start), data[start.data], reach)
        if strip is not None:
            found.setdefault(clean(start.data), []).append(strip)
    return found


def _reach(results: Results) -> Fraction | None:
    told = str(results.settings.get("reach"))
    return (
        Fraction(told) if re.fullmatch(r"[0-9]{1,9}(/[1-9][0-9]{0,9}|\.[0-9]{1,9})?", told) and Fraction(told) else None
    )


def _strip(start: StartResult, cases: Sequence[CaseResult], data: DataResult, reach: Fraction | None) -> Strip | None:
    recorded = [case.run.final_risks for case in cases if case.run.final_risks is not None]
    floor, variance = exact(data.noise_floor), exact(data.variance)
    if not recorded or not sum(map(sum, recorded)) or variance <= 0:
        return None
    total = [sum(counts) for counts in zip(*recorded, strict=True)]
    reachable = (exact(cases[0].run.reachable) - floor) / variance
    return Strip(
        name=f"{clean(start.architecture)} · {clean(start.initialization)}",
        counts=tuple(total[:RISK_BINS]),
        beyond=total[RISK_BINS],
        non_finite=total[RISK_BINS + 1],
        known=None if reach is None else 1 - (1 - reachable) / reach,  # U = C - reach (C - W), C = nu + V
        reachable=reachable,
    )


def draw_final_risks(results: Results) -> Drawn | None:
    """Draw the strips; None if the results do not record final risks."""
    strips = collect_strips(results)
    found = {name: listed[:MOST_STRIPS] for name, listed in strips.items()}
    if not found:
        return None
    left_out = sum(map(len, strips.values())) - sum(map(len, found.values()))
    certain = sum(case.run.certain for case in results.cases)
    untrained = (
        f" {many(certain, 'network')} with a dead layer, not trained since their outcome was certain, are missing."
    )
    return draw(
        "risks",
        "Where training ended: final risks and certified levels",
        CAPTION
        + (untrained if certain else "")
        + (f" {many(left_out, 'kind')} of networks are left out here." if left_out else ""),
        _describe(found),
        lambda: _figure(found),
        wide=len(found) > 2,
    )


def _figure(found: dict[str, list[Strip]]) -> Figure:
    most = max(map(len, found.values()))
    figure = Figure(figsize=(3.4 * max(len(found), 1.6), STRIP * most + 1.3), layout="constrained")
    grid: Any = figure.subplots(1, len(found), squeeze=False, sharex=True)
    for axes, (name, strips) in zip(grid[0], found.items(), strict=True):
        title = axes.set_title(shortened(name, 40), loc="left")
        title.set_parse_math(False)
        for row, strip in enumerate(strips):
            _draw_strip(axes, strip, most - 1 - row)
        for level in (0, 1):
            axes.axvline(level, color=INK, linewidth=0.8, linestyle=":", zorder=1)
        axes.set_ylim(-0.25, most)
        labels = axes.set_yticks(
            [most - 1 - row for row in range(len(strips))], [shortened(s.name, 26) for s in strips]
        )
        for label in labels:
            label.label1.set(fontsize=6.5, parse_math=False)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlim(-0.03, RISK_SPAN * 1.04)
        axes.set_xticks([0, 1, RISK_SPAN], ["ν", "ν + V", f"ν + {RISK_SPAN}V"])
    figure.supxlabel("risk after training", fontsize=8.5)
    handles = [
        Patch(facecolor=INK, alpha=0.5, label="trained networks"),
        Line2D([], [], color=SEEN, linewidth=0, marker="|", markersize=8, label="known network: I is at or below"),
        Line2D([], [], color=RISK, linewidth=0, marker="|", markersize=8, label="U"),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, fontsize=8)
    return figure


def _draw_strip(axes: Any, strip: Strip, y: int) -> None:
    counts = [*strip.counts, strip.beyond]
    width, tallest = RISK_SPAN / RISK_BINS, max(*counts, 1)
    xs, tops = [0.0], [float(y)]
    for number, (before, count) in enumerate(itertools.pairwise([0, *counts, 0])):
        if count != before:
            xs += [number * width] * 2
            tops += [y + 0.85 * before / tallest, y + 0.85 * count / tallest]
    axes.fill(xs, tops, color=INK, alpha=0.5, linewidth=0, zorder=2)
    for level, color in ((strip.known, SEEN), (strip.reachable, RISK)):
        if level is not None and 0 <= level <= RISK_SPAN:
            axes.plot([float_up(level)] * 2, [y - 0.1, y + 0.85], color=color, linewidth=1.2, zorder=3)


def _describe(found: dict[str, list[Strip]]) -> str:
    parts = ["Risks in units in which the noise floor is 0 and the best constant is 1."]
    below = RISK_BINS // RISK_SPAN
    for name, strips in found.items():
        told = [
            f"{strip.name}: {sum(strip.counts[:below])} of {strip.total} ended below 1"
            + ("" if strip.known is None else f", optimal risk at most {upper(strip.known)}")
            for strip in strips
        ]
        parts.append(f"{name}: {'; '.join(told)}.")
    return " ".join(parts)
