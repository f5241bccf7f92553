"""Reports of an audit: the terminal, one HTML file, Markdown, figures, tables. All of them print the same rows."""

from verify.report.folder import FORMATS, OWN_NAMES, PARTIAL, parse_formats, write_reports
from verify.report.html import html_report
from verify.report.markdown import markdown_report
from verify.report.terminal import terminal_report
from verify.report.words import case_sentence, summary

__all__ = [
    "FORMATS",
    "OWN_NAMES",
    "PARTIAL",
    "case_sentence",
    "html_report",
    "markdown_report",
    "parse_formats",
    "summary",
    "terminal_report",
    "write_reports",
]
