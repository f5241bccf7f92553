"""Writing reports into a folder: everything is made first, then each file is put in its place as a whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from theorems.errors import InvalidInput, did_you_mean
from verify.certificate.names import FOLDER as CERTIFICATES
from verify.certificate.names import certificate_names
from verify.report.details import Links
from verify.report.drawing import Drawn
from verify.report.figures import FIGURES, draw_figures
from verify.report.html import html_report
from verify.report.markdown import markdown_report, markdown_sharpness
from verify.report.references import bibtex
from verify.report.sharpness import sharpness_rows
from verify.report.tables import TABLES, all_tables
from verify.results import Results

__all__ = ["FORMATS", "OWN_NAMES", "PARTIAL", "parse_formats", "write_reports"]

FORMATS = ("html", "md", "csv", "latex")
PARTIAL = ".report."  # files that are not yet in their place; a killed process can leave such a folder
IMAGES, LISTS = "figures", "tables"
EARLIER = "sharpness.csv"  # what earlier versions wrote and this one does not
OWN_NAMES = frozenset({"index.html", "report.md", "sharpness.md", "references.bib", IMAGES, LISTS, EARLIER})

Files = dict[str, bytes]


def parse_formats(text: str) -> tuple[str, ...]:
    """Read a list such as "html,csv". Fails: InvalidInput if it is empty or names another format."""
    names = tuple(dict.fromkeys(part.strip().lower() for part in text.split(",") if part.strip()))
    if not names:
        raise InvalidInput(f"--format={text!r}: expected some of {', '.join(FORMATS)}")
    for name in names:
        if name not in FORMATS:
            raise InvalidInput(
                f"--format={text!r}: {name!r} is no format; expected some of {', '.join(FORMATS)}"
                f"{did_you_mean(name, FORMATS)}"
            )
    return names


def write_reports(results: Results, folder: Path, formats: Sequence[str] = FORMATS) -> list[str]:
    """Write the reports of results, in these formats, into a folder that may hold earlier ones; return the files.

    html: `index.html`; md: `report.md`, `sharpness.md`; csv, latex: `tables/*`; latex also `references.bib`; figures as
    SVG and PDF come with all but csv. The same results, and the same certificates in the folder, give the same bytes.
    Theorems link to their certificates where these are there. Files that an earlier report left and that no longer
    apply are removed. A failure leaves every file as it was, or whole and new.
    Fails: OSError if the folder cannot be written.
    """
    files = _files(results, folder, formats)
    folder.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=PARTIAL, dir=folder))
    try:
        for name, content in files.items():
            path = partial / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        for name in files:
            (folder / name).parent.mkdir(exist_ok=True)
            os.replace(partial / name, folder / name)
        for name in set(_possible(formats)) - set(files):
            (folder / name).unlink(missing_ok=True)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return sorted(files)


def _files(results: Results, folder: Path, formats: Sequence[str]) -> Files:
    """Everything that is to be written, by its place in the folder."""
    links = _certificate_links(results, folder)
    figures = draw_figures(results) if set(formats) - {"csv"} else []
    files: Files = {}
    for figure in figures:
        files |= {f"{IMAGES}/{figure.name}.svg": figure.svg.encode(), f"{IMAGES}/{figure.name}.pdf": figure.pdf}
    for name in formats:
        files |= _format(name, results, figures, links)
    return files


def _format(name: str, results: Results, figures: Sequence[Drawn], links: Links) -> Files:
    match name:
        case "html":
            return {"index.html": html_report(results, figures, links).encode()}
        case "md":
            sharpness = markdown_sharpness(results, sharpness_rows(results))
            report = markdown_report(results, figures, links)
            return {"report.md": report.encode(), "sharpness.md": sharpness.encode()}
        case "csv":
            return {f"{LISTS}/{table.name}.csv": table.csv().encode() for table in all_tables(results)}
        case _:
            tables = {f"{LISTS}/{table.name}.tex": table.latex().encode() for table in all_tables(results)}
            return tables | {"references.bib": bibtex(results).encode()}


def _possible(formats: Sequence[str]) -> Iterator[str]:
    """The names that reports in these formats can have, now or in an earlier version."""
    if set(formats) - {"csv"}:
        yield from (f"{IMAGES}/{name}.{ending}" for name in FIGURES for ending in ("svg", "pdf"))
    for name, ending in (("csv", "csv"), ("latex", "tex")):
        if name in formats:
            yield from (f"{LISTS}/{table}.{ending}" for table in TABLES)
    if "csv" in formats:
        yield EARLIER


def _certificate_links(results: Results, folder: Path) -> Links:
    """The certificates that lie in the folder, by the ids of case and theorem."""
    there = {path.name for path in (folder / CERTIFICATES).glob("*.json")}
    return {ids: f"{CERTIFICATES}/{name}" for ids, name in certificate_names(results).items() if name in there}
