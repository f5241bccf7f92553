"""Surveys: many cases computed side by side, without training."""

from verify.survey.frameworks import FRAMEWORKS, SCALINGS, WIDTHS, FrameworkRow, FrameworkSurvey, survey_frameworks
from verify.survey.tables import frameworks_csv, frameworks_json, frameworks_markdown, frameworks_text, reading

__all__ = [
    "FRAMEWORKS",
    "SCALINGS",
    "WIDTHS",
    "FrameworkRow",
    "FrameworkSurvey",
    "frameworks_csv",
    "frameworks_json",
    "frameworks_markdown",
    "frameworks_text",
    "reading",
    "survey_frameworks",
]
