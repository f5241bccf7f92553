"""The survey of framework defaults: its numbers against direct computation, its words against its numbers."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from theorems.errors import InvalidInput
from theorems.hypotheses import Evidence, OptimizerClass, Status
from theorems.laws import parse_initialization
from theorems.problem import Problem
from theorems.setting import Architecture
from verify import dead_neuron
from verify.data import BUILT_IN, DataSpec, load_data
from verify.dead_neuron import DeadProbability, dead_probability
from verify.enclosure import Enclosure
from verify.executors import worker_processes
from verify.risk import interpolates
from verify.risk.interpolation import neurons_to_interpolate
from verify.survey import (
    FRAMEWORKS,
    SCALINGS,
    WIDTHS,
    FrameworkRow,
    FrameworkSurvey,
    frameworks_csv,
    frameworks_json,
    frameworks_markdown,
    frameworks_text,
    reading,
    survey_frameworks,
)
from verify.survey.frameworks import TARGETS, WidthBound, smallest_width, width_bound

NEURONS = 2_000


COSTLY = ("box_lattice", "box_clusters", "weight_cells", "pinned_sums")


@pytest.fixture(scope="module", autouse=True)
def only_quick_methods() -> Iterator[None]:
    """What the survey makes of `p_1` does not depend on how sharp it is; the slow test runs every method."""
    quick = {name: method for name, method in dead_neuron.METHODS.items() if name not in COSTLY}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dead_neuron, "METHODS", quick)
        forget()
        yield
    forget()


def forget() -> None:
    dead_neuron.certified.cache_clear()
    dead_neuron._best.cache_clear()


@pytest.fixture(scope="module")
def survey() -> FrameworkSurvey:
    return survey_frameworks(("nile", "iris"), neurons=NEURONS, alpha=Fraction(1, 10**6), seed=4)


def row_of(survey: FrameworkSurvey, data: str, scheme: str, scaling: str) -> FrameworkRow:
    return next(row for row in survey.rows if (row.data, row.initialization, row.scaling) == (data, scheme, scaling))


def shown(survey: FrameworkSurvey) -> str:
    console = Console(width=80, file=io.StringIO(), force_terminal=False)
    console.print(frameworks_text(survey))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


# --- numbers ---------------------------------------------------------------------------------------------------------


def test_every_combination_has_a_row(survey: FrameworkSurvey) -> None:
    found = [(row.data, row.initialization, row.scaling) for row in survey.rows]
    assert found == [(d, i, s) for d in ("nile", "iris") for i in FRAMEWORKS for s in SCALINGS]
    assert all(tuple(bound.width for bound in row.bounds) == WIDTHS for row in survey.rows)


def test_rows_hold_what_the_methods_say(survey: FrameworkSurvey) -> None:
    for row in survey.rows:
        data = load_data(DataSpec(row.data, scale=row.scaling))
        architecture = Architecture((data.input_dim, 7, data.output_dim))
        problem = Problem(architecture, parse_initialization(row.initialization), data, OptimizerClass("test", ()))
        direct = dead_probability(problem)
        assert direct is not None
        assert direct.enclosure == row.certified.enclosure  # whatever the width of the layer
        assert (row.n_inputs, row.input_dim) == (data.n_inputs, data.input_dim)
        assert (row.sampled is None) == row.certified.two_sided
        assert row.certified.evidence is Evidence.CERTIFIED
        if row.sampled is not None:
            assert row.sampled.evidence is Evidence.STATISTICAL
            assert row.certified.enclosure.meets(row.sampled.enclosure)
            assert row.known.lo == max(row.certified.enclosure.lo, row.sampled.enclosure.lo)
            assert row.known.hi == min(row.certified.enclosure.hi, row.sampled.enclosure.hi)


def test_known_values(survey: FrameworkSurvey) -> None:
    """Min-max scaled scalar inputs: 3/8 (uniform), 1/2 (zero bias); standardized ones have both signs."""
    assert row_of(survey, "nile", "pytorch", "minmax").certified.enclosure.contains(Fraction(3, 8))
    for scheme in ("keras", "flax"):
        assert row_of(survey, "nile", scheme, "minmax").certified.enclosure == Enclosure.point(Fraction(1, 2))
        for data in ("nile", "iris"):
            assert row_of(survey, data, scheme, "standard").never_dead
    iris = row_of(survey, "iris", "pytorch", "minmax")
    assert iris.certified.enclosure.lo >= Fraction(13, 100)
    assert iris.sampled is not None
    assert iris.sampled.enclosure.contains(Fraction(27, 100))  # 0.2738 in 10^5 neurons drawn otherwise


def test_bounds_follow_from_p_1(survey: FrameworkSurvey) -> None:
    for row in survey.rows:
        for bound in row.bounds:
            exact = 1 - (1 - row.certified.enclosure.lo) ** bound.width
            assert exact - Fraction(1, 2**40) <= bound.certified <= exact
            if row.sampled is None:
                assert bound.sampled is None
            else:
                seen = 1 - (1 - row.sampled.enclosure.lo) ** bound.width
                assert bound.sampled is not None
                assert seen - Fraction(1, 2**40) <= bound.sampled <= seen


def test_saturation_is_told(survey: FrameworkSurvey) -> None:
    for row in survey.rows:
        data = load_data(DataSpec(row.data, scale=row.scaling))
        for bound in row.bounds:
            assert (bound.status is Status.FAILS) == interpolates(bound.width - 1, (), data)
        assert row.saturated_from is not None
        assert row.never_dead or f"saturated from width {row.saturated_from} on" in row.note
        assert row.never_dead or f"{row.n_inputs} distinct inputs" in row.note
        assert row.bounds[-1].status is Status.FAILS
    assert row_of(survey, "nile", "pytorch", "minmax").bounds[0].status is Status.HOLDS


def test_saturation_starts_where_one_neuron_less_interpolates() -> None:
    data = load_data(DataSpec("nile", scale="minmax"))
    least = neurons_to_interpolate(data)
    rows = survey_frameworks(("nile",), ("minmax",), ("keras",), widths=(least, least + 1), neurons=10).rows
    assert [bound.status is Status.FAILS for bound in rows[0].bounds] == [False, True]


def test_rows_without_dead_neurons_say_what_would_restore_them(survey: FrameworkSurvey) -> None:
    note = row_of(survey, "iris", "flax", "standard").note
    assert "zero bias" in note
    assert "min-max scaling" in note
    assert row_of(survey, "iris", "flax", "minmax").certified.enclosure.lo > 0


@given(
    lower=st.builds(Fraction, st.integers(0, 200), st.integers(200, 5000)),
    target=st.sampled_from([*TARGETS, Fraction(3, 4), Fraction(1, 1000)]),
)
@example(lower=Fraction(1, 2), target=Fraction(3, 4))
@example(lower=Fraction(1, 2), target=Fraction(1, 2))
@example(lower=Fraction(1), target=Fraction(99, 100))
@example(lower=Fraction(9, 10), target=Fraction(99, 100))
def test_the_smallest_width(lower: Fraction, target: Fraction) -> None:
    width = smallest_width(lower, target)
    if lower == 0:
        assert width is None
    else:
        assert width is not None
        assert 1 - (1 - lower) ** width >= target
        assert width == 1 or 1 - (1 - lower) ** (width - 1) < target


@pytest.mark.parametrize("lower", [Fraction(1, 2**61), Fraction(1, 10**30), Fraction(3, 10**5)])
def test_the_smallest_width_for_rare_neurons(lower: Fraction) -> None:
    """Beyond 4096 at most one more than the least: `w ln(1 - p) <= ln(1/100)`."""
    width = smallest_width(lower, Fraction(99, 100))
    assert width is not None
    least = math.log(100) / -math.log1p(-float(lower))
    assert abs(width - least) <= 2 + 1e-9 * least


@given(lower=st.builds(Fraction, st.integers(0, 100), st.just(100)), width=st.integers(1, 300))
def test_width_bounds_are_rounded_down(lower: Fraction, width: int) -> None:
    exact = 1 - (1 - lower) ** width
    assert exact - Fraction(1, 2**40) <= width_bound(lower, width) <= exact


# --- how it is computed ----------------------------------------------------------------------------------------------


def test_executors_and_seeds(survey: FrameworkSurvey) -> None:
    told: list[tuple[int, int]] = []
    arguments = {"neurons": NEURONS, "alpha": Fraction(1, 10**6)}

    def tell(done: int, total: int) -> None:
        told.append((done, total))

    executor: Executor
    with ThreadPoolExecutor(1) as executor:
        again = survey_frameworks(("nile", "iris"), **arguments, seed=4, executor=executor, on_progress=tell)
    assert again == survey
    assert told == [(done, 18) for done in range(19)]
    told.clear()
    other = survey_frameworks(("iris",), ("minmax",), ("pytorch",), **arguments, seed=5, on_progress=tell)
    assert told == [(0, 1), (1, 1)]
    assert other.rows[0].sampled != row_of(survey, "iris", "pytorch", "minmax").sampled


def test_the_level_is_split_among_all_rows(survey: FrameworkSurvey) -> None:
    """With one row only, its limits are narrower than with eighteen."""
    alone = survey_frameworks(("iris",), ("minmax",), ("pytorch",), neurons=NEURONS, alpha=Fraction(1, 10**6), seed=4)
    shared, own = row_of(survey, "iris", "pytorch", "minmax").sampled, alone.rows[0].sampled
    assert shared is not None
    assert own is not None
    assert shared.why == own.why
    assert own.enclosure.width < shared.enclosure.width


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"data": ("irsi",)}, "did you mean 'iris'"),
        ({"data": ()}, "no data is named"),
        ({"data": ("iris", "iris")}, "named twice"),
        ({"scalings": ("unit",)}, "scaling 'unit'"),
        ({"initializations": ("he_normal",)}, "initialization 'he_normal'"),
        ({"widths": (16, 0)}, "widths"),
        ({"widths": (64, 16)}, "widths"),
        ({"widths": ()}, "widths"),
        ({"alpha": Fraction(2)}, "alpha"),
        ({"data": ("iris",), "scalings": ("minmax",), "neurons": 0}, "neurons"),
    ],
    ids=str,
)
def test_bad_requests_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        survey_frameworks(**arguments)  # type: ignore[arg-type]


# --- words and files -------------------------------------------------------------------------------------------------


def made(lo: str, hi: str, *, data: str = "iris", scheme: str = "pytorch", scaling: str = "minmax") -> FrameworkRow:
    """A row with invented probabilities."""
    ends = Enclosure(Fraction(lo), Fraction(hi))
    found = DeadProbability("planted", ends, True, Evidence.CERTIFIED, "planted")
    bounds = tuple(WidthBound(w, width_bound(ends.lo, w), None, Status.UNKNOWN, "planted") for w in WIDTHS)
    widths = tuple(smallest_width(ends.lo, target) for target in TARGETS)
    assert scaling in SCALINGS
    return FrameworkRow(data, 149, 4, scaling, scheme, found, None, bounds, widths, (None, None))  # type: ignore[arg-type]


def surveyed(*rows: FrameworkRow) -> FrameworkSurvey:
    return FrameworkSurvey(rows, WIDTHS, 1000, Fraction(1, 100), 0)


@pytest.mark.parametrize(
    ("rows", "told", "not_told"),
    [
        ((made("0.3", "0.4"), made("0.1", "0.2", data="wine")), ["2 of 2 (PyTorch)"], ["1/1000", "p_1 = 0"]),
        ((made("0.3", "0.4"), made("0.001", "0.2", data="wine")), ["1 of 2 (PyTorch)"], ["1/1000", "p_1 = 0"]),
        ((made("0", "0.0009", scaling="standard"),), ["0 of 1 (PyTorch)", "1/1000 on 1 of 1 (PyTorch)"], ["p_1 = 0"]),
        (
            (made("0", "0", scheme="flax"), made("0.2", "0.2", data="wine", scheme="flax")),
            ["p_1 = 0) on 1 of 2 (Flax)"],
            [],
        ),
        ((made("0", "1"),), ["0 of 1 (PyTorch)"], ["1/1000", "p_1 = 0"]),
    ],
)
def test_sentences_follow_the_numbers(rows: tuple[FrameworkRow, ...], told: list[str], not_told: list[str]) -> None:
    text = " ".join(reading(surveyed(*rows)))
    assert all(part in text for part in told), text
    assert not any(part in text for part in not_told), text


def test_sentences_of_the_survey(survey: FrameworkSurvey) -> None:
    text = reading(survey)
    assert [sentence.split(" inputs ")[0] for sentence in text[:3]] == [
        "On raw",
        "On min-max scaled",
        "On standardized",
    ]
    assert "2 of 2 (PyTorch), 2 of 2 (Keras), 2 of 2 (Flax)" in text[1]
    assert "(p_1 = 0) on 0 of 2 (PyTorch), 2 of 2 (Keras), 2 of 2 (Flax)" in text[2]
    assert f"{NEURONS} neurons" in text[3]


def test_the_table_fits_a_terminal(survey: FrameworkSurvey) -> None:
    text = shown(survey)
    assert max(map(len, text.splitlines())) <= 80
    assert "iris  149 distinct inputs, 4 columns" in text
    assert "= 3/8" in text
    assert ">.99*" in text
    assert "saturation" in text
    rare = surveyed(replace(made("0", "0"), data="digits"), made("1/1000000000000000000", "1"))
    assert "1e19" in shown(rare)
    assert max(map(len, shown(rare).splitlines())) <= 80


def test_marks_stand_where_the_statuses_are() -> None:
    row = made("0.3", "0.4")
    marked = replace(
        row,
        bounds=tuple(
            replace(bound, status=status)
            for bound, status in zip(
                row.bounds, [Status.HOLDS, Status.UNKNOWN, Status.UNKNOWN, Status.FAILS, Status.FAILS], strict=True
            )
        ),
    )
    line = next(line for line in shown(surveyed(marked)).splitlines() if line.startswith("PyTorch"))
    assert line.split()[-7:-2] == [".996+", ">.99", ">.99", ">.99*", ">.99*"]


def test_lower_bounds_never_round_up() -> None:
    for value in map(Fraction, ("1", "0.9996", "0.99949", "0.12345", "0.0004")):
        text = shown(surveyed(replace(made("0.3", "0.4"), bounds=(WidthBound(16, value, None, Status.HOLDS, ""),))))
        cell = next(line for line in text.splitlines() if line.startswith("PyTorch")).split()[4].rstrip("+")
        assert Fraction(cell.lstrip(">") or 0) <= value


def test_json_is_complete_and_exact(survey: FrameworkSurvey) -> None:
    document = json.loads(json.dumps(frameworks_json(survey)))
    assert (document["alpha"], document["neurons"], document["seed"]) == ("1/1000000", NEURONS, 4)
    assert len(document["rows"]) == 18
    for row, written in zip(survey.rows, document["rows"], strict=True):
        assert Fraction(written["certified"]["lo"]) == row.certified.enclosure.lo
        assert written["certified"]["float"][0] <= row.certified.enclosure.lo
        assert written["certified"]["float"][1] >= row.certified.enclosure.hi
        assert (written["sampled"] is None) == (row.sampled is None)
        assert [bound["width"] for bound in written["bounds"]] == list(WIDTHS)
        assert all(
            bound["certified"] <= found.certified for bound, found in zip(written["bounds"], row.bounds, strict=True)
        )
        assert written["note"] == row.note
    assert document["reading"] == reading(survey)


def test_markdown_and_csv_have_one_line_a_row(survey: FrameworkSurvey) -> None:
    text = frameworks_markdown(survey)
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + len(survey.rows)
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    table = list(csv.reader(io.StringIO(frameworks_csv(survey))))
    assert len(table) == 1 + len(survey.rows)
    assert {len(line) for line in table} == {len(table[0])}
    assert [line[0] for line in table[1:]] == [row.data for row in survey.rows]


def test_the_defaults_are_the_built_in_sets() -> None:
    assert set(FRAMEWORKS) == {"pytorch", "keras", "flax"}
    assert set(SCALINGS) == {"none", "minmax", "standard"}
    assert survey_frameworks.__defaults__ == (tuple(BUILT_IN), tuple(SCALINGS), tuple(FRAMEWORKS))


@pytest.mark.slow
def test_the_whole_survey() -> None:
    """All sets and methods; p_1 of the min-max scaled ones lies where 20,000 neurons drawn by other means put it."""
    with worker_processes(2) as executor:  # their own modules, with every method
        whole = survey_frameworks(neurons=20_000, alpha=Fraction(1, 10**6), executor=executor)
    assert len(whole.rows) == len(BUILT_IN) * 9
    for row in whole.rows:
        assert row.sampled is None or row.certified.enclosure.meets(row.sampled.enclosure)
        if row.scaling == "minmax" and row.data != "digits":
            assert row.certified.enclosure.lo >= row.known.hi / 50
    source = np.random.default_rng(0)
    for name in ("diabetes", "digits", "wine", "breast_cancer"):
        data = load_data(DataSpec(name, scale="minmax"))
        points = np.array([[float(v) for v in x] for x in data.inputs])
        dead = 0
        for _ in range(20):
            w, b = source.uniform(-1, 1, (1000, points.shape[1])), source.uniform(-1, 1, (1000, 1))
            dead += int(((w @ points.T + b) <= 0).all(axis=1).sum())
        sampled = row_of(whole, name, "pytorch", "minmax").sampled
        assert sampled is not None
        assert float(sampled.enclosure.lo) - 0.02 <= dead / 20_000 <= float(sampled.enclosure.hi) + 0.02
        for scheme in ("keras", "flax"):
            assert row_of(whole, name, scheme, "standard").never_dead
