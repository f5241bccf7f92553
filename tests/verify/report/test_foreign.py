"""Results of others, damaged or hostile: one clear sentence, or a report; never a traceback, never nonsense."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.verify.report.builders import HOSTILE, small, terminal_of, typical, with_refutations
from theorems.errors import InvalidInput
from verify.output import results_json
from verify.report import html_report, markdown_report
from verify.report.final_risks import collect_strips
from verify.report.map import collect_maps
from verify.report.probability import AXES, collect
from verify.report.tables import all_tables
from verify.results import SCHEMA, Results, read_results

Json = Any


def document(results: Results) -> Json:
    return json.loads(results_json(results))


def read(value: Json, folder: Path) -> Results:
    path = folder / "results.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    return read_results(str(path))


def report_everything(results: Results) -> None:
    """All that is printed, short of drawing."""
    html_report(results, [])
    markdown_report(results, [])
    terminal_of(results)
    for table in all_tables(results):
        table.csv()
        table.latex()
    for axis in AXES:
        collect(results, axis)
    collect_maps(results)
    collect_strips(results)


def places(value: Json, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place of a JSON document."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def replaced(value: Json, path: tuple[str | int, ...], new: Json) -> Json:
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def without(value: Json, path: tuple[str | int, ...]) -> Json:
    copy = value.copy()
    if len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = without(value[path[0]], path[1:])
    return copy


WHOLE = document(with_refutations()), document(small())
PLACES = [(number, path) for number, whole in enumerate(WHOLE) for path in places(whole)]
VALUES = st.one_of(
    st.sampled_from(
        [None, True, -1, 0, 1, 10**30, 0.5, -1e308, "", "1/0", "-1/3", "7/3", "0/1", "1/1", "holds", HOSTILE]
    ),
    st.sampled_from(
        ["REFUTED", "CONFIRMED", "p <= B", "p = B", "\ud800", "9" * 5000 + "/1", "width", "none", [], {}, [1, 2]]
    ),
    st.text(max_size=5),
    st.integers(-3, 300),
)


def check_change(place: tuple[int, tuple[str | int, ...]], new: Json, drop: bool, folder: Path) -> None:
    number, path = place
    changed = without(WHOLE[number], path) if drop and new is None else replaced(WHOLE[number], path, new)
    sentence, results = "", None
    try:
        results = read(changed, folder)
    except InvalidInput as error:
        sentence = str(error)
    if results is None:
        assert sentence
        assert "\n" not in sentence
    else:
        report_everything(results)


@settings(max_examples=40)
@given(place=st.sampled_from(PLACES), new=VALUES, drop=st.booleans())
def test_changed_results_are_refused_or_reported(
    place: tuple[int, tuple[str | int, ...]], new: Json, drop: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check_change(place, new, drop, tmp_path_factory.mktemp("changed"))


@pytest.mark.slow
@settings(max_examples=1500)
@given(place=st.sampled_from(PLACES), new=VALUES, drop=st.booleans())
def test_many_changed_results_are_refused_or_reported(
    place: tuple[int, tuple[str | int, ...]], new: Json, drop: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    check_change(place, new, drop, tmp_path_factory.mktemp("changed"))


REFUSED: list[tuple[str, tuple[str | int, ...], Json, str]] = [
    ("older", ("schema",), "nonconv-results/1", "an older nonconv wrote them"),
    ("newer", ("schema",), "nonconv-results/12", "a newer nonconv wrote them"),
    ("foreign", ("schema",), "something-else/3", "expected 'nonconv-results"),
    ("no schema", ("schema",), 7, "cannot be read"),
    ("unknown verdict", ("cases", 0, "theorems", 0, "judgement", "verdict"), "FINE", r"\$\.cases\[0\]\.theorems\[0\]"),
    ("no hidden layer", ("starts", 0, "widths"), [1, 1], r"\$\.starts\[0\]\.widths"),
    ("a width of 0", ("starts", 0, "widths"), [1, 0, 1], r"\$\.starts\[0\]\.widths"),
    ("negative count", ("cases", 0, "run", "claimed"), -1, r"\$\.cases\[0\]\.run\.claimed"),
    ("more events than trials", ("cases", 0, "run", "risk", "events"), 129, "129 events and 0 lost of 128 trials"),
    ("limits the wrong way round", ("cases", 0, "run", "risk", "hi"), "1/3", "limits 1/2, 1/3"),
    ("limits above 1", ("cases", 0, "theorems", 0, "frequency", "hi"), "3/2", "expected 0 <= lo <= hi <= 1"),
    ("bound the wrong way round", ("cases", 0, "theorems", 0, "bound", "lo"), "2/1", "its lower end is above"),
    ("level", ("level", "alpha"), "one percent", r"\$\.level\.alpha='one percent'"),
    ("missing outcome", ("cases", 0, "run", "outcomes"), {"died later": 1}, "counts add up to 1; .* 128 trials"),
    ("unknown outcome", ("cases", 0, "run", "outcomes"), {"vanished": 128}, "unknown outcome 'vanished'"),
    ("negative variance", ("data", 0, "variance"), "-1/3", r"\$\.data\[0\]: noise floor and variance"),
    ("chance above 1", ("starts", 0, "p_dead", "hi"), "4/3", r"\$\.starts\[0\]\.p_dead"),
    ("data set", ("starts", 0, "data"), "venus", r"\$\.starts\[0\]\.data='venus'"),
    (
        "risks of others",
        ("cases", 0, "run", "final_risks"),
        [1] * 82,
        "final_risks: expected counts of 128 trained networks",
    ),
    (
        "more certain than there are",
        ("cases", 0, "run", "certain"),
        129,
        "certain=129: expected at most the 128 trials",
    ),
    ("risks in other bins", ("cases", 0, "run", "final_risks"), [128], r"final_risks"),
]


@pytest.mark.parametrize(("path", "new", "sentence"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED])
def test_what_contradicts_itself_is_refused(
    path: tuple[str | int, ...], new: Json, sentence: str, tmp_path: Path
) -> None:
    whole = document(small())
    assert read(whole, tmp_path) == small()
    with pytest.raises(InvalidInput, match=sentence):
        read(replaced(whole, path, new), tmp_path)


def test_ids_are_unique(tmp_path: Path) -> None:
    for name in ("starts", "cases"):
        whole = document(small())
        whole[name].append(whole[name][0])
        with pytest.raises(InvalidInput, match=rf"\$\.{name}: the id .* is there twice"):
            read(whole, tmp_path)


def test_a_number_that_is_too_long_is_one_sentence(tmp_path: Path) -> None:
    whole = replaced(document(small()), ("cases", 0, "run", "risk", "lo"), "1/" + "9" * 200_000)
    with pytest.raises(InvalidInput, match=r"has 200002 characters"):
        read(whole, tmp_path)


def test_results_without_final_risks_are_still_read(tmp_path: Path) -> None:
    whole = document(typical())
    for case in whole["cases"]:
        del case["run"]["final_risks"]
    results = read(whole, tmp_path)
    assert results == typical()
    assert "do not record the risks after training" in html_report(results, [])
    assert "do not record the risks after training" not in html_report(small(), [])
    assert results.schema == SCHEMA


@pytest.mark.parametrize("hidden", [(3,), (3, 3), (3, 4), (2, 3, 4, 5, 6, 7, 8)])
def test_any_shape_has_words(hidden: tuple[int, ...]) -> None:
    results = small()
    start = msgspec.structs.replace(results.starts[0], widths=(1, *hidden, 1), axis="depth")
    report_everything(msgspec.structs.replace(results, starts=(start, results.starts[1])))
