"""Every table of the reports as plain rows, and its CSV and LaTeX (booktabs) forms.

Text is escaped for its reader: no cell can become a formula in a spreadsheet, a command or a new row in LaTeX. Columns
for programs hold floats rounded in the safe direction: `_lo` down, `_hi` up; `gap_hi` is 1 minus the bound.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from verify.inference import Verdict
from verify.report.details import Details, OptimizerRow, all_details, optimizer_rows
from verify.report.numbers import NOTHING, clean, float_text_down, float_text_up, lower
from verify.report.rows import OUTCOMES, claim_counts, make_rows, settings_table, verdict_of
from verify.report.sharpness import COLUMNS as SHARPNESS
from verify.report.sharpness import sharpness_rows
from verify.report.words import case_sentence
from verify.results import BoundResult, FrequencyResult, Results, exact

__all__ = ["TABLES", "Table", "all_tables", "escape_csv", "escape_latex"]

TABLES = (*("claims", "verdicts", "cases", "theorems", "hypotheses", "optimizers", "sharpness", "data", "environment"),)
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the beginning of a formula
SHORT = 40  # rows that fit on one page
LATEX = {
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    **{character: f"\\{character}" for character in "{}$&#%_"},
    **{character: f"{{{character}}}" for character in "[]*-"},  # options of \\, ligatures of dashes
    "≥": r"$\ge$",
    "≤": r"$\le$",
    "–": "--",
    "…": r"\dots{}",
    "−": "$-$",
    "·": r"$\cdot$",
    "ν": r"$\nu$",
    "₁": "$_1$",
    "�": "?",
}
LONG_TEXT = ("why", "what it says", "in words", "what is known of it", "value")


@dataclass(frozen=True)
class Table:
    """A table: its cells as people read them, and further columns for programs that only the CSV has."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    program_columns: tuple[str, ...] = ()
    program_rows: tuple[tuple[str, ...], ...] = field(default=())

    def csv(self) -> str:
        """The table as CSV."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([*self.columns, *self.program_columns])
        further = self.program_rows or ((),) * len(self.rows)
        writer.writerows([*map(escape_csv, row), *more] for row, more in zip(self.rows, further, strict=True))
        return text.getvalue()

    def latex(self) -> str:
        r"""The table as LaTeX for `\input`: a tabular, or a longtable if it may not fit on a page."""
        head = " & ".join(f"\\textbf{{{escape_latex(name)}}}" for name in self.columns) + r" \\"
        shape = "".join("p{0.3\\linewidth}" if name in LONG_TEXT else "l" for name in self.columns)
        body = [" & ".join(map(escape_latex, row)) + r" \\" for row in self.rows]
        comment = (
            f"% {clean(self.title)}. Needs the packages booktabs, longtable, textcomp and [T1]{{fontenc}}.\n"
            "% Lower bounds are rounded down, upper ones up."
        )
        rule = [r"\toprule", head, r"\midrule"]
        if len(self.rows) <= SHORT:
            lines = [rf"\begin{{tabular}}{{{shape}}}", *rule, *body, r"\bottomrule", r"\end{tabular}"]
        else:
            lines = [rf"\begin{{longtable}}{{{shape}}}", *rule, r"\endhead", r"\bottomrule", r"\endfoot", *body]
            lines.append(r"\end{longtable}")
        return "\n".join([comment, *lines]) + "\n"


def escape_csv(text: str) -> str:
    """Make any text one harmless cell: what a spreadsheet would take for a formula gets an apostrophe in front."""
    plain = clean(text)
    return f"'{plain}" if plain.lstrip().startswith(FORMULA) else plain


def escape_latex(text: str) -> str:
    """Make any text printable by LaTeX, as text; characters that few fonts have are named by their number."""
    return "".join(_latex(character) for character in clean(text))


def _latex(character: str) -> str:
    if character in LATEX:
        return LATEX[character]
    if character.isascii() or (character <= "ÿ" and character.isalpha()):
        return character
    return f"{{[}}U+{ord(character):04X}{{]}}"


def all_tables(results: Results) -> list[Table]:
    """Every table, in the order of `TABLES`."""
    details, optimizers = all_details(results), optimizer_rows(results)
    return [
        _claims(results),
        _verdicts(results),
        _cases(results),
        _theorems(results),
        _hypotheses(details),
        _optimizers(optimizers),
        _sharpness(results),
        _data(results),
        Table("environment", "Environment and settings", ("name", "value"), tuple(settings_table(results))),
    ]


def _claims(results: Results) -> Table:
    return Table(
        "claims",
        "Verdicts by claim",
        ("claim", "what it says", "theorems", *(verdict.value for verdict in Verdict)),
        tuple(
            (c.claim, c.text, " ".join(c.theorems), *(str(c.counts[verdict]) for verdict in Verdict))
            for c in claim_counts(results)
        ),
    )


def _verdicts(results: Results) -> Table:
    rows = make_rows(results)
    return Table(
        "verdicts",
        "Verdicts: one row for each kind of initial network, with the theorem that gives the best bound",
        (
            *("data", "initialization", "network", "claims", "theorem", "proved at least", "seen", "limits"),
            *("verdict", "outcomes in %", "frozen", "optimizers"),
        ),
        tuple(
            (
                *(row.data, row.initialization, row.architecture, row.claims, row.theorem, row.bound_text()),
                *(row.seen_text, row.limits_text, row.verdict.value, row.split.text(), row.frozen_text),
                ", ".join(row.optimizers),
            )
            for row in rows
        ),
        NUMBERS,
        tuple(_numbers(row.bound, row.frequency) for row in rows),
    )


NUMBERS = ("bound_lo", "bound_hi", "gap_hi", "events", "lost", "trials", "frequency_lo", "frequency_hi")


def _numbers(bound: BoundResult | None, frequency: FrequencyResult | None) -> tuple[str, ...]:
    ends = ("", "", "")
    if bound is not None:
        lo = exact(bound.lo)
        ends = float_text_down(lo), float_text_up(exact(bound.hi)), float_text_up(1 - lo)
    if frequency is None:
        return (*ends, "", "", "", "", "")
    counts = (str(frequency.events), str(frequency.lost), str(frequency.trials))
    return (*ends, *counts, float_text_down(exact(frequency.lo)), float_text_up(exact(frequency.hi)))


def _cases(results: Results) -> Table:
    starts = {start.id: start for start in results.starts}
    listed = [(starts[case.start], case) for case in results.cases]
    return Table(
        "cases",
        "Every case: an initial network with an optimizer",
        ("case", "optimizer", "theorem", "verdict", *OUTCOMES, "in words"),
        tuple(
            (
                *(case.id, case.optimizer, case.best.theorem, verdict_of(case.best.judgement).value),
                *(str(case.run.outcomes.get(outcome, 0)) for outcome in OUTCOMES),
                case_sentence(start, case),
            )
            for start, case in listed
        ),
        (*NUMBERS, "trained", "risk_above_U", "risk_lost", "risk_lo", "risk_hi", "claimed_frozen", "frozen", "certain"),
        tuple(
            (
                *_numbers(case.best.bound, case.best.frequency),
                *map(str, (case.run.trials, case.run.risk.events, case.run.risk.lost)),
                *(float_text_down(exact(case.run.risk.lo)), float_text_up(exact(case.run.risk.hi))),
                *map(str, (case.run.claimed, case.run.persistent, case.run.certain)),
            )
            for _, case in listed
        ),
    )


def _theorems(results: Results) -> Table:
    rows, numbers = [], []
    for each in all_details(results):
        for bound in each.bounds:
            rows.append(
                (
                    *_named(each),
                    *(bound.optimizers or "all", bound.theorem, bound.bound, bound.seen, bound.limits),
                    *(bound.verdict.value, bound.why, bound.evidence, bound.training, bound.rate, bound.margin),
                )
            )
            numbers.append(_numbers(bound.exact, bound.frequency))
    return Table(
        "theorems",
        "Every theorem that was asked",
        (
            *("data", "initialization", "network", "optimizers", "theorem", "proved", "seen", "limits", "verdict"),
            *("why", "evidence", "risk in training", "rate at least", "risk gap at least"),
        ),
        tuple(rows),
        NUMBERS,
        tuple(numbers),
    )


def _named(each: Details) -> tuple[str, str, str]:
    return each.start.data, each.start.initialization, each.start.architecture


def _hypotheses(details: Sequence[Details]) -> Table:
    return Table(
        "hypotheses",
        "Hypotheses and how they are known",
        ("data", "initialization", "network", "hypothesis", "for", "optimizers", "status", "evidence", "why"),
        tuple(
            (*_named(each), f.id, f.theorems, f.optimizers or "all", f.status, f.evidence, f.why)
            for each in details
            for f in each.findings
        ),
    )


def _optimizers(rows: Iterable[OptimizerRow]) -> Table:
    return Table(
        "optimizers",
        "Optimizers over the whole audit",
        (
            *("optimizer", "learning rate", "what is known of it"),
            *(f"{outcome}, %" for outcome in OUTCOMES),
            *("frozen", *(verdict.value for verdict in Verdict)),
        ),
        tuple(
            (
                *(row.name, row.rates),
                "; ".join(f"{f.id} {f.status} ({f.evidence}): {f.why}" for f in row.findings) or NOTHING,
                *(str(percent) if row.split.total else NOTHING for percent in row.split.percents),
                *(row.frozen, *(str(row.verdicts[verdict]) for verdict in Verdict)),
            )
            for row in rows
        ),
    )


def _sharpness(results: Results) -> Table:
    rows = sharpness_rows(results)
    return Table(
        "sharpness",
        "Sharpness: proved bound, measured frequency, proved ceiling of the chance of a dead layer",
        SHARPNESS,
        tuple(row.cells for row in rows),
        NUMBERS,
        tuple(_numbers(row.theorem.bound, row.frequency) for row in rows),
    )


def _data(results: Results) -> Table:
    return Table(
        "data",
        "Data sets",
        ("key", "data set", "rows", "distinct inputs", "input dimension", "output dimension", "noise floor at least",
         "variance at least"),
        tuple(
            (
                *(each.key, each.name, *map(str, (each.rows, each.inputs, each.input_dim, each.output_dim))),
                *map(_floor, (exact(each.noise_floor), exact(each.variance))),
            )
            for each in results.data
        ),
    )  # fmt: skip


def _floor(value: Fraction) -> str:
    return lower(value)
