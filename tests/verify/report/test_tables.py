"""Tables as CSV and LaTeX: the same cells as on the page, harmless in a spreadsheet, printable by LaTeX."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.verify.report.builders import every, hostile, page_of, typical, untrained, verdict_table, with_refutations
from verify.inference import Verdict
from verify.report.references import REFERENCES, bibtex, cited
from verify.report.rows import make_rows, verdict_counts
from verify.report.tables import TABLES, Table, all_tables, escape_csv, escape_latex
from verify.results import Results, exact


def tables_of(results: Results) -> dict[str, Table]:
    return {table.name: table for table in all_tables(results)}


def read_csv(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.csv())))


@every
def test_all_tables_are_there_and_rectangular(results: Results) -> None:
    tables = all_tables(results)
    assert tuple(table.name for table in tables) == TABLES
    for table in tables:
        lines = list(csv.reader(io.StringIO(table.csv())))
        assert len(lines) == 1 + len(table.rows)
        assert {len(line) for line in lines} == {len(table.columns) + len(table.program_columns)}
        ends = [line for line in table.latex().splitlines() if line.endswith(r"\\")]
        assert len(ends) == 1 + len(table.rows)
        for line in ends:
            assert len(re.findall(r"(?<!\\)&", line)) == len(table.columns) - 1


def test_the_exported_verdicts_are_those_of_the_page() -> None:
    results = typical()
    for told, shown in zip(read_csv(tables_of(results)["verdicts"]), verdict_table(page_of(results)), strict=True):
        for column, name in (("proved at least", "Proved ≥"), ("limits", "Limits"), ("verdict", "Verdict")):
            assert told[column] == shown[name]


def test_numbers_for_programs_are_rounded_in_the_safe_direction() -> None:
    results = typical()
    rows = make_rows(results)
    told = read_csv(tables_of(results)["verdicts"])
    for line, row in zip(told, rows, strict=True):
        assert row.bound is not None
        assert row.frequency is not None
        assert Fraction(line["bound_lo"]) <= exact(row.bound.lo)
        assert Fraction(line["gap_hi"]) >= 1 - exact(row.bound.lo)
        assert Fraction(line["frequency_lo"]) <= exact(row.frequency.lo)
        assert Fraction(line["frequency_hi"]) >= exact(row.frequency.hi)
        assert (line["events"], line["trials"]) == (str(row.frequency.events), str(row.frequency.trials))
    near = told[1]
    assert float(near["gap_hi"]) < 4.71e-10  # what floats near 1 cannot tell
    assert float(near["bound_lo"]) < 1


def test_tables_count_the_verdicts_of_the_results() -> None:
    results = with_refutations()
    tables = tables_of(results)
    judged = [line["verdict"] for line in read_csv(tables["cases"])]
    assert judged == [case.best.judgement.verdict for case in results.cases]
    counted = sum(int(line[Verdict.REFUTED.value]) for line in read_csv(tables["claims"]) if line["claim"] == "frozen")
    assert counted == 1
    assert verdict_counts(results)[Verdict.REFUTED] == 3
    by_optimizer = read_csv(tables["optimizers"])
    assert [line["optimizer"] for line in by_optimizer] == ["sgd", "adam"]
    assert tables_of(untrained())["optimizers"].rows[0][-7] == "no network was trained"


@given(st.text())
def test_no_text_is_a_formula(text: str) -> None:
    cell = escape_csv(text)
    assert not cell.lstrip().startswith(("=", "+", "-", "@"))
    assert not re.search(r"[\r\n\t\x00]", cell)


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", " =1", "\r=1", '=HYPERLINK("x")'])
def test_formulas_are_disarmed(text: str) -> None:
    assert not escape_csv(text).startswith(("=", "+", "-", "@", " ", "\t", "\r"))
    assert escape_csv("1 - 4.7e-10") == "1 - 4.7e-10"


@given(st.text())
def test_no_text_is_a_command_of_latex(text: str) -> None:
    written = escape_latex(text)
    known = (
        r"\\(textbackslash|textasciicircum|textasciitilde|textless|textgreater|textbar|textquotedbl|textquotesingle"
        r"|textasciigrave|dots)\{\}|\$\\(ge|le|cdot|nu)\$|\$_1\$|\$-\$|\\[{}$&#%_]|\{[][*-]\}|\{\[\}U\{?\+"
    )
    rest = re.sub(known, "", written)
    assert not re.search(r"[\\${}&#%^_~\n\r]", rest.replace("{[}", "").replace("{]}", ""))


@every
def test_csv_and_latex_of_any_results_are_harmless(results: Results) -> None:
    for table in all_tables(results):
        for line in csv.reader(io.StringIO(table.csv())):
            assert not any(cell.startswith(("=", "+", "@")) for cell in line)
        assert "\x1b" not in table.csv() + table.latex()


def test_references_are_those_of_the_audit() -> None:
    text = bibtex(typical())
    assert "2410.10533" in text
    assert "@article{clopper1934use," in text
    assert "robbins" not in text
    assert len({reference.key for reference in REFERENCES}) == len(REFERENCES)
    assert [each.key for each in cited(typical())] == re.findall(r"^@\w+\{(\w+),$", text, re.MULTILINE)
    assert text.count("{") == text.count("}")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("make", [typical, hostile], ids=["typical", "hostile"])
def test_latex_prints_every_table(make: object, tmp_path: Path) -> None:
    assert callable(make)
    head = r"\documentclass{article}\usepackage[T1]{fontenc}\usepackage{textcomp,booktabs,longtable}\begin{document}"
    for table in all_tables(make()):
        (tmp_path / f"{table.name}.tex").write_text(table.latex(), encoding="utf-8")
        head += rf"\begin{{center}}\tiny\input{{{table.name}.tex}}\end{{center}}\clearpage" + "\n"
    (tmp_path / "all.tex").write_text(head + r"\end{document}", encoding="utf-8")
    command = ["pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", timeout=120)
    assert done.returncode == 0, done.stdout[-2000:]
