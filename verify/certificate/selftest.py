"""Checks the certificates that come with the package: good ones must be accepted, bad ones rejected as stated."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from theorems.errors import InvalidInput
from verify.certificate.checker import Outcome, check_bytes

__all__ = ["EXAMPLES", "INDEX", "Trial", "selftest_json", "selftest_text", "selftest_trials"]

EXAMPLES, INDEX = "examples", "index.json"


@dataclass(frozen=True)
class Trial:
    """A bundled certificate, what is stated of it, and what the checker says here.

    Symbols: code = exit code; verdict = how the last line begins.
    """

    name: str
    about: str
    code: int
    verdict: str
    found: Outcome

    @property
    def as_stated(self) -> bool:
        """Whether exit code and last line are the stated ones."""
        return self.found.code == self.code and self.found.verdict.startswith(self.verdict)


def selftest_trials() -> list[Trial]:
    """Check every bundled certificate. Fails: InvalidInput if the installation lacks them."""
    folder = files("verify.certificate") / EXAMPLES
    try:
        stated = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        return [
            Trial(
                entry["file"],
                entry["about"],
                entry["code"],
                entry["verdict"],
                check_bytes((folder / entry["file"]).read_bytes()),
            )
            for entry in stated
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(
            f"the bundled certificates cannot be read ({error}); expected a complete installation"
        ) from error


def selftest_json(trials: list[Trial]) -> dict[str, object]:
    """One document; `as_stated` is the answer."""
    return {
        "as_stated": all(trial.as_stated for trial in trials),
        "certificates": [
            {
                "file": trial.name,
                "about": trial.about,
                "stated": {"code": trial.code, "verdict": trial.verdict},
                "found": {"code": trial.found.code, "verdict": trial.found.verdict},
                "as_stated": trial.as_stated,
            }
            for trial in trials
        ],
    }


def selftest_text(trials: list[Trial]) -> RenderableType:
    """The table for the terminal, and a last line."""
    table = Table(title="bundled certificates", title_justify="left")
    table.add_column("file", no_wrap=True)
    table.add_column("what it is", overflow="fold")
    table.add_column("answer", overflow="fold")
    table.add_column("as stated", no_wrap=True)
    for trial in trials:
        table.add_row(trial.name, trial.about, Text(trial.found.verdict), "yes" if trial.as_stated else "NO")
    wrong = sum(not trial.as_stated for trial in trials)
    good = sum(trial.code in (0, 4) for trial in trials)
    counted = f"{len(trials)} certificates, {good} to be accepted and {len(trials) - good} not"
    return Group(table, Text(f"{counted}: {'all as stated' if not wrong else f'{wrong} NOT as stated'}."))
