"""HTML, Markdown and terminal: what they print equals the results, and no name can break or fetch."""

from __future__ import annotations

import json
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.verify.report.builders import (
    HOSTILE,
    every,
    figures_of,
    hostile,
    markdown_of,
    markdown_tables,
    number,
    page_of,
    terminal_of,
    typical,
    verdict_table,
    with_refutations,
)
from verify.inference import Verdict
from verify.report import html_report, terminal_report
from verify.report.markdown import escape_markdown
from verify.report.numbers import clean
from verify.report.rows import make_rows, refutations, verdict_counts
from verify.report.words import row_sentence
from verify.results import Results, exact

LOADING = ("src", "srcset", "href", "xlink:href", "data", "poster", "action", "formaction", "background", "ping")


@every
def test_page_loads_nothing(results: Results) -> None:
    page = page_of(results)
    for tag, attributes in page.tags:
        if tag == "link":
            assert attributes == {"rel": "icon", "href": "data:,"}
            continue
        for name in LOADING:
            target = attributes.get(name) or "#"
            beside = tag == "a" and name == "href" and re.fullmatch(r"(figures|certificates)/[\w.-]+", target)
            assert target.startswith("#") or beside, (tag, attributes)
        assert "http" not in (attributes.get("style") or "")
        assert tag not in ("img", "iframe", "object", "embed", "base", "image", "foreignobject", "video", "audio")
        assert not [name for name in attributes if name.startswith("on")]
    assert [attributes for tag, attributes in page.tags if tag == "script"] == [
        {"type": "application/json", "id": "report-data"},
        {},
    ]
    for text in (page.text["style"], page.text["script"]):
        assert not re.search(r"url\(|@import|fetch|XMLHttpRequest|import\(|http|sendBeacon|WebSocket|EventSource", text)
    policy = [a["content"] for tag, a in page.tags if tag == "meta" and "http-equiv" in a]
    assert policy == ["default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"]


@every
def test_page_tells_the_verdicts_of_the_data(results: Results) -> None:
    page = page_of(results)
    rows = make_rows(results)
    assert [line["Verdict"] for line in verdict_table(page)] == [row.verdict.value for row in rows]
    marked = [a["data-verdict"] for tag, a in page.tags if tag == "tr" and "data-verdict" in a]
    assert marked == [row.verdict.value for row in rows]
    tallied = re.findall(r"<b>([\d,]+)</b><span[^>]*>([A-Z ]+)</span>", html_report(results, []))
    assert [(int(count), word) for count, word in tallied] == [
        (count, verdict.value) for verdict, count in verdict_counts(results).items()
    ]
    for table in page.tables:
        assert len({len(row) for row in table}) == 1


@every
def test_identifiers_are_unique_and_every_link_arrives(results: Results) -> None:
    tags = page_of(results).tags
    names = [a["id"] for _, a in tags if "id" in a]
    assert len(names) == len(set(names))
    for _, attributes in tags:
        target = attributes.get("href") or attributes.get("xlink:href") or ""
        if target.startswith("#"):
            assert target[1:] in names
        for used in re.findall(r"url\(#([^)]*)\)", " ".join(v or "" for v in attributes.values())):
            assert used in names


@every
def test_page_never_rounds_a_lower_bound_up(results: Results) -> None:
    for line, row in zip(verdict_table(page_of(results)), make_rows(results), strict=True):
        if row.bound is not None:
            assert number(line["Proved ≥"]) <= exact(row.bound.lo)
        assert row.frequency is not None
        low, high = line["Limits"].strip("[]").split(", ")
        assert number(low) <= exact(row.frequency.lo)
        assert number(high) >= exact(row.frequency.hi)


@every
def test_the_page_carries_its_data(results: Results) -> None:
    told = json.loads(page_of(results).text["json"])
    rows = make_rows(results)
    assert told["verdicts"] == {verdict.value: count for verdict, count in verdict_counts(results).items()}
    assert [row["words"] for row in told["rows"]] == [row_sentence(row) for row in rows]
    for line, row in zip(told["rows"], rows, strict=True):
        assert line["verdict"] == row.verdict.value
        if row.bound is not None:
            assert Fraction(line["bound_at_least"]) <= exact(row.bound.lo)
            assert Fraction(line["gap_at_most"]) >= 1 - exact(row.bound.lo)
        assert row.frequency is not None
        assert Fraction(line["frequency_at_least"]) <= exact(row.frequency.lo)
        assert Fraction(line["frequency_at_most"]) >= exact(row.frequency.hi)


@every
def test_every_row_is_on_the_page_in_words(results: Results) -> None:
    said = page_of(results).text.get("p", "")
    for row in make_rows(results):
        assert row_sentence(row) in said


def test_the_first_screen_comes_first() -> None:
    page = html_report(typical(), figures_of(typical()))
    places = [
        page.index(text) for text in ("Claimed", "Found", 'class="tally"', 'id="headline-title"', 'id="verdicts"')
    ]
    assert places == sorted(places)
    assert places[-1] < page.index('id="width-title"') < page.index('id="cases"')


@every
def test_every_report_ends_with_the_number_of_refuted(results: Results) -> None:
    told = "Nothing refuted." if results.refuted == 0 else f"{results.refuted} refuted."
    assert terminal_of(results).rstrip().endswith(told)
    assert markdown_of(results).rstrip().endswith(f"**{told}**")
    page = html_report(results, [])
    assert f"<footer><p><b>{told}</b></p></footer>" in page
    assert page.count("<title>") == 1


def test_refutations_are_listed_with_their_reasons() -> None:
    results = with_refutations()
    page = page_of(results)
    listed = next(table for table in page.tables if table[0] == ["What", "Case", "Why"])
    assert len(listed) - 1 == results.refuted == 3
    assert [row[0] for row in listed[1:]] == [entry.subject for entry in refutations(results)]
    for text in (terminal_of(results), markdown_of(results)):
        for entry in refutations(results):
            assert entry.subject in text


def test_names_are_escaped_on_the_page() -> None:
    results = hostile()
    page = page_of(results)
    assert clean(HOSTILE) in page.text["h1"]
    assert "evil" not in page.text["script"]
    assert not re.search("[<>&]", page.text["json"])
    assert "\x1b" not in html_report(results, figures_of(results))


def test_page_shows_what_differs_by_optimizer_once() -> None:
    results = typical()
    page = html_report(results, [])
    assert "hypothesis" in page.lower()
    assert page.count("adam(weight_decay=0.1): so it is") == 4  # a finding and a verdict at each of two starts


# --- Markdown ---


@every
def test_markdown_tables_are_rectangular(results: Results) -> None:
    tables = markdown_tables(markdown_of(results))
    assert tables
    for table in tables:
        assert len({len(row) for row in table}) == 1


@given(st.text())
def test_markdown_text_stays_in_its_cell(text: str) -> None:
    written = escape_markdown(text)
    assert not re.search(r"[|<>`\n\r\x1b]|(?<!\\)[*_\[\]$~]|://", written)


def test_markdown_tells_the_rows_of_the_data() -> None:
    results = typical()
    table = next(t for t in markdown_tables(markdown_of(results)) if t[0][0] == "data")
    head, _, *body = table
    rows = make_rows(results)
    assert [row[head.index("verdict")] for row in body] == [row.verdict.value for row in rows]
    for line, row in zip(body, rows, strict=True):
        if row.bound is not None:
            assert number(line[head.index("proved ≥")]) <= exact(row.bound.lo)


# --- terminal ---


@every
def test_terminal_keeps_to_80_columns_and_sends_no_escapes(results: Results) -> None:
    text = terminal_of(results)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert "\x1b" not in text


def test_terminal_rows_fit_on_one_line() -> None:
    text = terminal_of(typical())
    assert re.search(r"^1,2,1 +T3 +0\.609 +6167 \[0\.595, 0\.638\] +CONSISTENT +58/4/16/22 +2$", text, re.MULTILINE)
    assert re.search(r"^1,31,1 +T3 +1-4\.7e-10 +10000 \[0\.998, 1\] ", text, re.MULTILINE)
    assert re.search(r"^1,3,3,1 +T10 .* 1/2$", text, re.MULTILINE)
    for verdict in Verdict:
        assert verdict.value in text or verdict.value == "NOT APPLICABLE"


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    console = Console(width=80, force_terminal=True)
    with console.capture() as captured:
        console.print(terminal_report(typical()))
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]", captured.get())
