"""Reports: what they print equals the results, in the safe direction, and nothing in a name can break or fetch."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from theorems.errors import InvalidInput
from theorems.theorem import CLAIMS
from verify.inference import Verdict
from verify.report import html_report, markdown_report, summary, terminal_report, write_reports
from verify.report.figures import Drawn, collect, draw_figures, tick_label, ticks
from verify.report.markdown import escape_markdown
from verify.report.rows import (
    Split,
    claim_counts,
    clean,
    entries,
    lower,
    make_rows,
    narrow,
    refutations,
    upper,
    verdict_counts,
)
from verify.results import (
    SCHEMA,
    BoundResult,
    CaseResult,
    DataResult,
    FindingResult,
    FrequencyResult,
    JudgementResult,
    Results,
    RunResult,
    StartResult,
    TheoremResult,
    exact,
    write_ratio,
)
from verify.simulation.outcome import Outcome

HOSTILE = (
    '</script><script>alert(1)</script><img src="//evil.example/x">|a*b_`c`](http://evil.example)\x1b[31m\n"\'&$x$'
)
PLAIN = "nile"
TRIALS = 10_000


# --- synthetic results ---------------------------------------------------------------------------------------------


def a_frequency(events: int, lo: Fraction, hi: Fraction, trials: int = TRIALS) -> FrequencyResult:
    return FrequencyResult("1 dead", events, 0, trials, "clopper-pearson", "1/1000", write_ratio(lo), write_ratio(hi))


def a_judgement(verdict: Verdict = Verdict.CONSISTENT, why: str = "so it is") -> JudgementResult:
    return JudgementResult(verdict.value, why, "assumed")


def a_theorem(
    name: str = "T3",
    lo: Fraction | None = Fraction(39, 64),
    verdict: Verdict = Verdict.CONSISTENT,
    risk: Verdict | None = None,
    frequency: FrequencyResult | None = None,
    why: str = "so it is",
) -> TheoremResult:
    status = "fails" if verdict is Verdict.NOT_APPLICABLE else "holds"
    return TheoremResult(
        theorem=name,
        claims=("C1", "C2") if name == "T3" else ("C1", "C3"),
        hypotheses=(FindingResult("labels-vary", status, "certified", why),),
        applies=status,
        bound=None if lo is None else BoundResult(write_ratio(lo), write_ratio(lo)),
        bound_evidence="certified",
        relation="p >= B",
        event="1 dead",
        frequency=frequency or a_frequency(6167, Fraction(5955, 10**4), Fraction(6376, 10**4)),
        judgement=a_judgement(verdict, why),
        risk=None if risk is None else a_judgement(risk, why),
        rate=0.47,
        rate_per="neuron",
        margin="1/3",
    )


def a_run(outcomes: tuple[int, ...] = (74, 5, 21, 28, 0), persistence: Verdict = Verdict.CONSISTENT) -> RunResult:
    return RunResult(
        trials=sum(outcomes),
        event="1 dead",
        events=outcomes[0],
        undecided=0,
        kept=outcomes[0],
        claimed=outcomes[0],
        persistent=outcomes[0] - (persistence is Verdict.REFUTED),
        non_finite=0,
        outcomes={outcome.value: count for outcome, count in zip(Outcome, outcomes, strict=True)},
        reachable="1/10",
        risk=a_frequency(sum(outcomes) - outcomes[3], Fraction(1, 2), Fraction(9, 10), sum(outcomes)),
        persistence=a_judgement(persistence),
    )


def a_start(name: str, widths: tuple[int, ...], axis: str = "width", data: str = PLAIN) -> StartResult:
    return StartResult(
        id=f"{name}/{data}/pytorch/{widths}",
        sweep=name,
        axis=axis,
        data=data,
        initialization="pytorch",
        architecture=",".join(map(str, widths)),
        widths=widths,
        parameters=7,
        p_dead_method="uniform_1d",
        p_dead=BoundResult("1/3", "3/8"),
        trials=TRIALS,
        dead_layer=12,
        dead_neurons=(1, 2, 3),
    )


def a_case(start: StartResult, optimizer: str, *theorems: TheoremResult, run: RunResult | None = None) -> CaseResult:
    return CaseResult(f"{start.id}/{optimizer}", start.id, optimizer, 0.1, theorems or (a_theorem(),), run or a_run())


def some_results(*cases: tuple[StartResult, CaseResult], title: str = "An audit", data: str = PLAIN) -> Results:
    return Results(
        schema=SCHEMA,
        title=title,
        created="2024-10-14T00:00:00+00:00",
        seconds=1.5,
        seed=7,
        settings={"steps": 100, "reach": "1/2"},
        level={"alpha": "1/100", "comparisons": {"a": "1/200", "b": "1/200"}},
        environment={"python": "3.11", "gpu": None},
        claims=dict(CLAIMS),
        data=(DataResult(data, f"{data} (minmax)", 100, 90, 1, 1, "0/1", "1/30"),),
        starts=tuple(dict.fromkeys(start for start, _ in cases)),
        cases=tuple(case for _, case in cases),
    )


def typical() -> Results:
    """Two sweeps, two optimizers, every verdict, one start whose optimizers differ, one bound very near 1."""
    found = []
    near = 1 - Fraction(47, 10**11)
    everywhere = a_frequency(TRIALS, Fraction(9988, 10**4), Fraction(1))
    for widths, theorem in (
        ((1, 2, 1), a_theorem()),
        ((1, 31, 1), a_theorem(lo=near, frequency=everywhere)),
        ((1, 64, 1), a_theorem(lo=Fraction(0), verdict=Verdict.VACUOUS)),
    ):
        start = a_start("width", widths)
        found += [(start, a_case(start, name, theorem)) for name in ("sgd", "adam")]
    for hidden in (2, 5):
        start = a_start("depth", (1, *(3,) * hidden, 1), "depth")
        chain = a_theorem("T2", Fraction(1, 10), Verdict.CONFIRMED, Verdict.CONFIRMED)
        sharp = a_theorem("T10", Fraction(1, 5), Verdict.CONFIRMED, Verdict.UNDECIDED)
        failing = a_theorem("T10", None, Verdict.NOT_APPLICABLE, Verdict.NOT_APPLICABLE)
        found.append((start, a_case(start, "sgd", chain, sharp)))
        found.append((start, a_case(start, "adam(weight_decay=0.1)", chain, failing)))
    return some_results(*found)


def with_refutations() -> Results:
    """One REFUTED of each kind: of a theorem that is not the best, of a risk, of persistence."""
    start = a_start("width", (1, 4, 1))
    small = a_theorem("T1", Fraction(1, 10), Verdict.REFUTED)
    risky = a_theorem("T3", Fraction(1, 2), Verdict.CONSISTENT, Verdict.REFUTED)
    run = a_run(persistence=Verdict.REFUTED)
    return some_results((start, a_case(start, "sgd", small, risky, run=run)), (start, a_case(start, "adam")))


def hostile() -> Results:
    start = a_start(HOSTILE, (1, 4, 1), data=HOSTILE)
    start = msgspec.structs.replace(start, initialization=HOSTILE, architecture=HOSTILE, p_dead_method=HOSTILE)
    theorem = a_theorem(HOSTILE, verdict=Verdict.REFUTED, why=HOSTILE)
    return some_results((start, a_case(start, HOSTILE, theorem)), title=HOSTILE, data=HOSTILE)


def nothing_swept() -> Results:
    start = a_start("other", (1, 4, 1), axis="none")
    return some_results((start, a_case(start, "sgd", a_theorem(lo=None, verdict=Verdict.UNDECIDED))))


ALL = {
    "typical": typical,
    "refuted": with_refutations,
    "hostile": hostile,
    "no axis": nothing_swept,
    "empty": some_results,
}
every = pytest.mark.parametrize("results", [make() for make in ALL.values()], ids=list(ALL))


# --- reading the reports back --------------------------------------------------------------------------------------


@dataclass
class Page(HTMLParser):
    """What an HTML page is made of."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    open: list[str] = field(default_factory=list)
    text: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "link", "input", "img", "br"):
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.text[self.open[-1]] = self.text.get(self.open[-1], "") + data
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data


DRAWN: dict[int, tuple[Results, list[Drawn]]] = {}  # the results are kept too, so that no other gets their id


def figures_of(results: Results) -> list[Drawn]:
    """Drawing takes a second: once for each results object is enough."""
    if id(results) not in DRAWN:
        DRAWN[id(results)] = results, draw_figures(results)
    return DRAWN[id(results)][1]


def page_of(results: Results) -> Page:
    page = Page()
    page.feed(html_report(results, figures_of(results)))
    page.close()
    assert page.open == []
    return page


def verdict_table(page: Page) -> list[dict[str, str]]:
    for head, *body in page.tables:
        if head[:3] == ["Data", "Initialization", "Network"]:
            return [dict(zip(head, (cell.strip() for cell in row), strict=True)) for row in body]
    return []


def markdown_of(results: Results) -> str:
    return markdown_report(results, figures_of(results))


def markdown_tables(text: str) -> list[list[list[str]]]:
    tables = []
    for block in text.split("\n\n"):
        if block.startswith("|"):
            lines = block.splitlines()
            tables.append([[cell.strip() for cell in line[1:-1].split("|")] for line in lines])
    return tables


def terminal_of(results: Results, width: int = 80) -> str:
    console = Console(width=width, force_terminal=False, color_system=None)
    with console.capture() as captured:
        console.print(terminal_report(results))
    return captured.get()


def number(text: str) -> Fraction:
    """Read "0.9", "1.2e-30" or "1 - 4.7e-10" back."""
    one, minus, rest = text.replace(" ", "").partition("1-")
    return 1 - Fraction(rest) if minus and not one else Fraction(text)


# --- numbers -------------------------------------------------------------------------------------------------------

probabilities = st.one_of(
    st.fractions(0, 1, max_denominator=10**6),
    st.builds(lambda m, e: 1 - Fraction(m, 10**e), st.integers(1, 99), st.integers(2, 400)),
    st.builds(lambda m, e: Fraction(m, 10**e), st.integers(1, 99), st.integers(2, 400)),
)


@given(probabilities, st.integers(2, 4), st.integers(6, 14))
def test_lower_bounds_are_never_rounded_up_nor_upper_ones_down(value: Fraction, digits: int, longest: int) -> None:
    low, high = lower(value, digits, longest), upper(value, digits, longest)
    assert number(low) <= value <= number(high)
    assert value - number(low) <= Fraction(1, 50)
    assert number(high) - value <= Fraction(1, 50)
    assert max(len(low), len(high)) <= max(longest, len("1 - 1.1e-401"))


@given(probabilities, probabilities)
def test_narrow_limits_are_rounded_outward(one: Fraction, two: Fraction) -> None:
    lo, hi = sorted((one, two))
    low, high = narrow(write_ratio(lo), write_ratio(hi), 3).strip("[]").split(", ")
    assert lo - Fraction(1, 1000) <= Fraction(low) <= lo
    assert hi <= Fraction(high) <= hi + Fraction(1, 1000)


def test_numbers_for_people() -> None:
    assert lower(1 - Fraction(47, 10**11)) == "0.9999999995"
    assert lower(1 - Fraction(47, 10**41)) == "1 - 4.70e-40"
    assert (lower(Fraction(123, 10**40), 4, 7), upper(Fraction(123, 10**40), 4, 7)) == ("1.2e-38", "1.3e-38")
    assert (lower(Fraction(0)), lower(Fraction(1)), upper(Fraction(1))) == ("0", "1", "1")


def test_percents_say_none_and_all_only_if_so() -> None:
    assert Split((1151, 1, 0, 0, 0)).percents == (99, 1, 0, 0, 0)
    assert Split((5, 0, 0, 0, 0)).text() == "100 / 0 / 0 / 0"
    assert Split((1, 1, 0, 0, 2)).text() == "25 / 25 / 0 / 0 / 50"
    assert Split((0, 0, 0, 0, 0)).text() == "–"


# --- rows ----------------------------------------------------------------------------------------------------------


def test_optimizers_of_a_start_share_a_row_unless_they_differ() -> None:
    rows = make_rows(typical())
    assert [(row.theorem, row.architecture, row.optimizers_text) for row in rows] == [
        ("T3", "1,2,1", "2"),
        ("T3", "1,31,1", "2"),
        ("T3", "1,64,1", "2"),
        ("T10", "1,3,3,1", "1 of 2"),
        ("T2", "1,3,3,1", "1 of 2"),
        ("T10", "1,3,3,3,3,3,1", "1 of 2"),
        ("T2", "1,3,3,3,3,3,1", "1 of 2"),
    ]
    first = rows[0]
    assert (first.frozen_text, first.seen_text, first.split.counts) == ("148/148", "6167/10000", (148, 10, 42, 56, 0))
    assert (first.bound_text(), first.limits_text) == ("0.6093", "[0.5955, 0.6376]")


def test_broken_persistence_is_named_in_the_row() -> None:
    assert [row.frozen_text for row in make_rows(with_refutations())] == ["73/74 REFUTED", "74/74"]


@every
def test_every_verdict_is_counted_once(results: Results) -> None:
    told = [entry.judgement for entry in entries(results)]
    assert sorted(judgement.verdict for judgement in told) == sorted(j.verdict for j in results.judgements())
    assert sum(verdict_counts(results).values()) == len(results.judgements())
    assert len(refutations(results)) == results.refuted == verdict_counts(results)[Verdict.REFUTED]


def test_claims_count_the_theorems_that_speak_of_them() -> None:
    counts = {claim.claim: claim for claim in claim_counts(typical())}
    assert counts["C2"].theorems == ("T3",)
    assert counts["C3"].theorems == ("T2", "T10")
    assert counts["C2"].counts[Verdict.CONSISTENT] == 4
    assert counts["C2"].counts[Verdict.VACUOUS] == 2
    assert counts["C3"].counts[Verdict.CONFIRMED] == 4 + 4 + 2
    assert counts["frozen"].counts[Verdict.CONSISTENT] == len(typical().cases)


def test_unknown_verdict_is_refused() -> None:
    start = a_start("width", (1, 4, 1))
    theorem = msgspec.structs.replace(a_theorem(), judgement=JudgementResult("FINE", "", "proved"))
    with pytest.raises(InvalidInput, match="verdict 'FINE': expected one of CONFIRMED"):
        verdict_counts(some_results((start, a_case(start, "sgd", theorem))))


def test_summary_speaks_of_the_strongest_bound_and_of_refutations() -> None:
    assert summary(typical()) == (
        "Nothing refuted in 32 verdicts on 10 cases. With one hidden layer of 31 neurons and pytorch initialization, "
        "training on nile with each of the 2 optimizers misses every global minimizer with probability at least "
        "0.9999999995 (T3); of 10,000 networks drawn, 10,000 had 1 dead."
    )
    assert summary(with_refutations()).startswith("3 refuted of 6 verdicts on 2 cases.")
    assert summary(some_results()) == "Nothing was compared."
    assert summary(nothing_swept()).endswith("No theorem gave a bound that could be compared.")


# --- HTML ----------------------------------------------------------------------------------------------------------

LOADING = ("src", "srcset", "href", "xlink:href", "data", "poster", "action", "formaction", "background", "ping")


@every
def test_page_loads_nothing(results: Results) -> None:
    page = page_of(results)
    for tag, attributes in page.tags:
        if tag == "link":
            assert attributes == {"rel": "icon", "href": "data:,"}
            continue
        for name in LOADING:
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
        assert "http" not in (attributes.get("style") or "")
        assert tag not in ("img", "iframe", "object", "embed", "base", "image", "foreignobject", "video", "audio")
        assert not [name for name in attributes if name.startswith("on")]
    assert [tag for tag, _ in page.tags].count("script") == 1
    for text in (page.text["style"], page.text["script"]):
        assert not re.search(r"url\(|@import|fetch|XMLHttpRequest|import\(|http", text)
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
    assert "\x1b" not in html_report(results, figures_of(results))


def test_page_shows_what_differs_by_optimizer_once() -> None:
    results = typical()
    page = html_report(results, [])
    assert "hypothesis" in page.lower()
    assert page.count("adam(weight_decay=0.1): so it is") == 4  # a finding and a verdict at each of two starts


# --- Markdown ------------------------------------------------------------------------------------------------------


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


# --- terminal ------------------------------------------------------------------------------------------------------


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


# --- figures and files ---------------------------------------------------------------------------------------------


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


def test_the_same_results_give_the_same_files(tmp_path: Path) -> None:
    results = typical()
    for name in ("one", "two"):
        write_reports(results, tmp_path / name)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert [str(path) for path in files] == [
        *(f"figures/{axis}.{ending}" for axis in ("depth", "width") for ending in ("pdf", "svg")),
        "index.html",
        "report.md",
        "sharpness.csv",
        "sharpness.md",
    ]
    for path in files:
        assert (tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes()


def test_figures_that_no_longer_apply_are_removed(tmp_path: Path) -> None:
    write_reports(typical(), tmp_path)
    write_reports(nothing_swept(), tmp_path)
    assert list((tmp_path / "figures").iterdir()) == []
    assert "figures/" not in (tmp_path / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("make", [typical, hostile], ids=["typical", "hostile"])
def test_figures_are_described_and_refer_to_nothing(make: Callable[[], Results]) -> None:
    for figure in draw_figures(make()):
        page = Page()
        page.feed(figure.inline)
        page.close()
        assert page.open == []
        assert "proved at least" in page.text["desc"]
        root = page.tags[0][1]
        assert root["role"] == "img"
        assert root["aria-labelledby"] == f"{figure.axis}-title {figure.axis}-description"
        assert "<!DOCTYPE" not in figure.svg
        addresses = set(
            re.findall(r"https?://[^\"'\s<)]*", re.sub(r"<(title|desc|text)\b.*?</\1>", "", figure.svg, flags=re.S))
        )
        assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


# --- a browser -----------------------------------------------------------------------------------------------------

PROBE = """<!DOCTYPE html><meta charset="utf-8"><body><iframe id="f" style="width:375px;height:800px;border:0"></iframe>
<script>
const frame = document.getElementById("f");
frame.onload = () => {
  const page = frame.contentDocument;
  const shown = () => [...page.querySelectorAll("#verdict-table tbody tr:not([hidden])")];
  const verdicts = () => shown().map((row) => row.dataset.verdict);
  const width = page.documentElement.scrollWidth - page.documentElement.clientWidth;
  const all = verdicts().length;
  const select = page.getElementById("filter-verdict");
  select.value = "CONFIRMED";
  select.dispatchEvent(new Event("change"));
  const some = [...new Set(verdicts())].join();
  select.value = "";
  select.dispatchEvent(new Event("change"));
  const button = [...page.querySelectorAll("#verdict-table th button")].find((b) => b.textContent.startsWith("Proved"));
  button.click();
  button.click();
  const best = page.querySelector("#verdict-table tbody tr").cells[2].textContent;
  const loaded = frame.contentWindow.performance.getEntriesByType("resource").length;
  document.body.textContent = `overflow=${width} all=${all} some=${some} best=${best} loaded=${loaded} end`;
};
frame.srcdoc = PAGE;
</script>"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_in_a_browser_nothing_overflows_or_loads_and_the_table_sorts_and_filters(tmp_path: Path) -> None:
    page = msgspec.json.encode(html_report(typical(), draw_figures(typical()))).decode().replace("</", "<\\/")
    (tmp_path / "probe.html").write_text(PROBE.replace("PAGE", page), encoding="utf-8")
    switches = "headless no-sandbox disable-gpu disable-quic no-first-run disable-background-networking disable-sync"
    command = ["chromium", *(f"--{name}" for name in switches.split()), "--disable-component-update", "--dump-dom"]
    command += [f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=5000", f"{tmp_path / 'probe.html'}"]
    dumped = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
    told = re.search(r"overflow=-?\d+ all=.* end", dumped)
    assert told is not None, dumped[:2000]
    assert told[0] == "overflow=0 all=7 some=CONFIRMED best=1,31,1 loaded=0 end"
