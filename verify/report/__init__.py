"""Reports of an audit: the terminal, one HTML file, Markdown, figures. All of them print the same rows."""

from __future__ import annotations

from pathlib import Path

from verify.certificate.names import FOLDER, certificate_names
from verify.report.figures import AXES, draw_figures
from verify.report.html import html_report
from verify.report.markdown import markdown_report, markdown_sharpness
from verify.report.sharpness import sharpness_csv, sharpness_rows
from verify.report.terminal import terminal_report
from verify.report.words import case_sentence, summary
from verify.results import Results

__all__ = ["html_report", "markdown_report", "summary", "terminal_report", "write_reports"]


def write_reports(results: Results, folder: Path) -> None:
    """Write `index.html`, `report.md`, `sharpness.{md,csv}` and `figures/{width,depth}.{svg,pdf}` of swept axes.

    The same results, and the same certificates in the folder, give the same bytes. Theorems link to their certificates
    where these are there. A figure that an earlier report left and that no longer applies is removed.
    """
    figures = draw_figures(results)
    images = folder / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for axis in AXES:
        for ending in ("svg", "pdf"):
            (images / f"{axis}.{ending}").unlink(missing_ok=True)
    for figure in figures:
        images.mkdir(exist_ok=True)
        (images / f"{figure.axis}.svg").write_text(figure.svg, encoding="utf-8", newline="\n")
        (images / f"{figure.axis}.pdf").write_bytes(figure.pdf)
    links = _certificate_links(results, folder)
    (folder / "index.html").write_text(html_report(results, figures, links), encoding="utf-8", newline="\n")
    (folder / "report.md").write_text(markdown_report(results, figures, links), encoding="utf-8", newline="\n")
    rows = sharpness_rows(results)
    (folder / "sharpness.md").write_text(markdown_sharpness(results, rows), encoding="utf-8", newline="\n")
    (folder / "sharpness.csv").write_text(sharpness_csv(rows), encoding="utf-8", newline="\n")


def _certificate_links(results: Results, folder: Path) -> dict[tuple[str, str], str]:
    """The certificates that lie in the folder, by the ids of case and theorem."""
    there = {path.name for path in (folder / FOLDER).glob("*.json")}
    return {ids: f"{FOLDER}/{name}" for ids, name in certificate_names(results).items() if name in there}
