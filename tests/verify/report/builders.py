"""Synthetic results, and reports read back."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import strategies as st
from rich.console import Console

from theorems.theorem import CLAIMS
from verify.inference import Verdict
from verify.report import html_report, markdown_report, terminal_report
from verify.report.drawing import Drawn
from verify.report.figures import draw_figures
from verify.results import (
    RISK_BINS,
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


@cache
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


@cache
def with_refutations() -> Results:
    """One REFUTED of each kind: of a theorem that is not the best, of a risk, of persistence."""
    start = a_start("width", (1, 4, 1))
    small = a_theorem("T1", Fraction(1, 10), Verdict.REFUTED)
    risky = a_theorem("T3", Fraction(1, 2), Verdict.CONSISTENT, Verdict.REFUTED)
    run = a_run(persistence=Verdict.REFUTED)
    return some_results((start, a_case(start, "sgd", small, risky, run=run)), (start, a_case(start, "adam")))


@cache
def hostile() -> Results:
    start = a_start(HOSTILE, (1, 4, 1), data=HOSTILE)
    start = msgspec.structs.replace(start, initialization=HOSTILE, architecture=HOSTILE, p_dead_method=HOSTILE)
    theorem = a_theorem(HOSTILE, verdict=Verdict.REFUTED, why=HOSTILE)
    return some_results((start, a_case(start, HOSTILE, theorem)), title=HOSTILE, data=HOSTILE)


@cache
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
            data_block = self.open[-1] == "script" and self.tags[-1][1].get("type") == "application/json"
            name = "json" if data_block else self.open[-1]
            self.text[name] = self.text.get(name, "") + data
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


probabilities = st.one_of(
    st.fractions(0, 1, max_denominator=10**6),
    st.builds(lambda m, e: 1 - Fraction(m, 10**e), st.integers(1, 99), st.integers(2, 400)),
    st.builds(lambda m, e: Fraction(m, 10**e), st.integers(1, 99), st.integers(2, 400)),
)


# --- further results ------------------------------------------------------------------------------------------------


@cache
def small() -> Results:
    """One sweep of two widths with one optimizer, and where its training ended: quick to draw."""
    found = []
    for width in (2, 8):
        start = a_start("width", (1, width, 1))
        found.append((start, a_case(start, "sgd", run=with_final_risks(a_run()))))
    return some_results(*found)


def with_final_risks(run: RunResult) -> RunResult:
    """Spread the networks of a run over the histogram: most at the risk of the best constant, one without a risk."""
    counts = [0] * (RISK_BINS + 2)
    counts[3], counts[RISK_BINS // 2], counts[RISK_BINS], counts[RISK_BINS + 1] = 10, run.trials - 16, 5, 1
    return msgspec.structs.replace(run, final_risks=tuple(counts))


@cache
def untrained() -> Results:
    """An audit with replicas = 0: nothing was trained."""
    start = a_start("width", (1, 4, 1))
    run = msgspec.structs.replace(
        a_run((0, 0, 0, 0, 0)),
        risk=a_frequency(0, Fraction(0), Fraction(1), 0),
        persistence=a_judgement(Verdict.UNDECIDED, "no trained network that stayed finite had anything dead to keep"),
    )
    return some_results((start, a_case(start, "sgd", run=run)), (start, a_case(start, "adam", run=run)))
