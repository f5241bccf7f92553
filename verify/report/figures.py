"""All figures of a report."""

from __future__ import annotations

from verify.report.drawing import Drawn
from verify.report.final_risks import draw_final_risks
from verify.report.map import draw_map
from verify.report.probability import draw_headline, draw_probabilities
from verify.results import Results

__all__ = ["FIGURES", "draw_figures"]

FIGURES = ("headline", "width", "depth", "map", "risks")


def draw_figures(results: Results) -> list[Drawn]:
    """Draw whatever the results allow, in the order of FIGURES; the headline, if any, is the first."""
    single = (draw_map(results), draw_final_risks(results))
    drawn = [draw_headline(results), *draw_probabilities(results), *single]
    return [figure for figure in drawn if figure is not None]
