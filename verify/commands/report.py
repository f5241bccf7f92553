"""The command `nonconv report`."""

from __future__ import annotations

from pathlib import Path

import click

from verify.commands.completion import REPORT_FORMATS, files, names_by_commas
from verify.commands.shared import folder_named, print_json

__all__ = ["report_command"]


@click.command("report", short_help="Write the report of a results.json again.")
@click.argument("results", shell_complete=files)
@click.option("--out", default=None, shell_complete=files, help="Folder for the report; default: beside the results.")
@click.option(
    "--format",
    "shapes",
    default="html,md,csv,latex",
    show_default=True,
    shell_complete=names_by_commas(*REPORT_FORMATS),
    help="Some of these, by commas.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the names of the files as one JSON document.")
def report_command(results: str, out: str | None, shapes: str, as_json: bool) -> None:
    """Write the report of a results.json again: HTML, Markdown, tables as CSV and LaTeX, figures as SVG and PDF.

    \b
    nonconv report reports/quick/results.json
    nonconv report reports/quick/results.json --format csv,latex --out tables
    """
    from verify.output import write_again
    from verify.report import parse_formats
    from verify.results import read_results

    formats = parse_formats(shapes)
    folder = folder_named(out, Path(results).parent)
    written = write_again(read_results(results), folder, formats)
    if as_json:
        print_json({"folder": str(folder), "files": written})
        return
    click.echo(f"report: {folder / 'index.html' if 'html' in formats else folder}")
