"""Figures show the points of the data, are described, and refer to nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction

import msgspec
import pytest

from tests.verify.report.builders import (
    TRIALS,
    Page,
    a_case,
    a_start,
    a_theorem,
    figures_of,
    hostile,
    nothing_swept,
    small,
    some_results,
    typical,
    untrained,
)
from verify.inference import Verdict
from verify.report.figures import FIGURES, draw_figures
from verify.report.final_risks import collect_strips, draw_final_risks
from verify.report.map import collect_maps
from verify.report.probability import MARKS, collect, draw_probabilities, tick_label, ticks
from verify.results import RISK_BINS, Results


def test_figures_show_the_points_of_the_data() -> None:
    (width,), depth = collect(typical(), "width"), collect(typical(), "depth")
    assert [point.x for point in width.points] == [2, 31, 64]
    assert width.points[0].bound == Fraction(39, 64)
    assert width.points[0].seen == Fraction(6167, TRIALS)
    assert width.points[0].low == width.points[0].high == Fraction(100, 128)
    assert [(point.x, point.theorem) for point in depth[0].points] == [(2, "T10"), (5, "T10")]
    assert collect(nothing_swept(), "width") == []


def test_axis_labels_name_probabilities() -> None:
    assert [tick_label(value) for value in (1, 0.5, 0.1, 0.05, 0.01, 1e-4)] == [
        "0",
        "0.5",
        "0.9",
        "0.95",
        "0.99",
        "0.9999",
    ]
    assert tick_label(1e-12) == "1 − 10⁻¹²"
    for smallest in (0.3, 0.05, 1e-3, 1e-12):
        assert 1 < len(ticks(smallest)) < 9
        assert min(ticks(smallest)) >= smallest * (1 - 1e-9)


@pytest.mark.parametrize("make", [typical, hostile], ids=["typical", "hostile"])
def test_figures_are_described_and_refer_to_nothing(make: Callable[[], Results]) -> None:
    for figure in figures_of(make()):
        page = Page()
        page.feed(figure.inline)
        page.close()
        assert page.open == []
        assert "proved at least" in page.text["desc"] or figure.name == "risks"
        root = page.tags[0][1]
        assert root["role"] == "img"
        assert root["aria-labelledby"] == f"{figure.name}-title {figure.name}-description"
        assert "<!DOCTYPE" not in figure.svg
        addresses = set(
            re.findall(r"https?://[^\"'\s<)]*", re.sub(r"<(title|desc|text)\b.*?</\1>", "", figure.svg, flags=re.S))
        )
        assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_which_figures_are_drawn_follows_from_the_results() -> None:
    assert [figure.name for figure in figures_of(typical())] == ["headline", "width", "depth", "map"]
    assert [figure.name for figure in figures_of(small())] == ["headline", "width", "map", "risks"]
    assert draw_figures(nothing_swept()) == draw_figures(some_results()) == []
    assert set(FIGURES) == {"headline", "width", "depth", "map", "risks"}


def test_the_headline_is_the_panel_that_shows_most() -> None:
    headline = figures_of(typical())[0]
    assert headline.title == "At a glance: probability of non-convergence against width and depth"
    assert "width 31 proved at least 0.9999999995" in headline.description
    assert "depth 5 proved at least 0.2" in headline.description


@pytest.mark.parametrize("evidence", ["certified", "statistical", "cited", "assumed", "invented"])
def test_bounds_that_are_not_proved_look_different(evidence: str) -> None:
    start = a_start("width", (1, 4, 1))
    theorem = msgspec.structs.replace(a_theorem(), bound_evidence=evidence)
    results = some_results((start, a_case(start, "sgd", theorem)))
    kind = {"certified": "proved", "invented": "assumed"}.get(evidence, evidence)
    assert collect(results, "width")[0].points[0].kind == kind
    (figure,) = draw_probabilities(results)
    assert ("proved lower bound" in figure.svg) is (kind == "proved")
    assert ("rests on" in figure.svg or "statistical part" in figure.svg) is (kind != "proved")
    assert ("stroke-dasharray" in figure.svg) is (kind != "proved")


def test_every_kind_of_bound_has_a_mark_of_its_own() -> None:
    assert len(set(MARKS.values())) == len(MARKS) == 4


def test_untrained_networks_have_no_band() -> None:
    assert collect(untrained(), "width")[0].points[0].low is None
    assert "risk stayed high" not in figures_of(untrained())[1].svg
    assert "risk stayed high" in figures_of(small())[1].svg


def test_the_map_has_bound_and_frequency_of_each_network() -> None:
    (found,) = collect_maps(typical())
    cells = {(cell.width, cell.depth): cell for cell in found.cells}
    assert set(cells) == {(2, 1), (31, 1), (64, 1), (3, 2), (3, 5)}
    assert (cells[2, 1].bound, cells[2, 1].seen) == (Fraction(39, 64), Fraction(6167, TRIALS))
    assert (cells[3, 2].theorem, cells[3, 2].bound) == ("T10", Fraction(1, 5))
    start = a_start("width", (1, 4, 1))
    failing = a_theorem("T10", Fraction(1, 5), Verdict.NOT_APPLICABLE)
    assert collect_maps(some_results((start, a_case(start, "sgd", failing))))[0].cells[0].bound is None


def test_the_figure_of_final_risks_says_which_networks_were_not_trained() -> None:
    results = small()
    told = draw_final_risks(results)
    assert told is not None
    assert "not trained" not in told.caption
    case = results.cases[0]
    skipped = msgspec.structs.replace(case, run=msgspec.structs.replace(case.run, certain=7))
    told = draw_final_risks(msgspec.structs.replace(results, cases=(skipped, *results.cases[1:])))
    assert told is not None
    assert "7 networks with a dead layer, not trained" in told.caption


def test_final_risks_are_marked_with_exact_levels() -> None:
    results = small()
    strip = collect_strips(results)["nile"][0]
    assert (strip.total, strip.beyond, strip.non_finite, len(strip.counts)) == (128, 5, 1, RISK_BINS)
    assert strip.reachable == 3  # U = 1/10, nu = 0, V = 1/30
    assert strip.known == 5  # U = (C + W) / 2 with C = nu + V: W = 2 U - C
    assert "10 of 128 ended below 1, optimal risk at most 5" in figures_of(results)[-1].description
    unknown = msgspec.structs.replace(results, settings={"reach": "half"})
    assert collect_strips(unknown)["nile"][0].known is None
    assert collect_strips(typical()) == {}
