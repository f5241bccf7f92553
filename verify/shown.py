"""Answers that show themselves: as text, as HTML in a notebook, as data for JSON."""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from typing import Any

from rich.console import Console, RenderableType

__all__ = ["Shown", "literal_console"]

WIDTH = 100
_HTML = '<pre style="font-family: ui-monospace, Menlo, Consolas, monospace; line-height: 1.35">{code}</pre>'


def literal_console(**options: Any) -> Console:
    """A console that prints names as they are: what stands in brackets or between colons is nobody's markup."""
    return Console(markup=False, emoji=False, **options)


class Shown(ABC):
    """What the Python interface returns. The command line prints `renderable` or `to_json` and nothing else."""

    @abstractmethod
    def renderable(self) -> RenderableType:
        """Return what a terminal shows."""

    @abstractmethod
    def to_json(self) -> dict[str, object]:
        """Return what `--json` prints, before it becomes text."""

    def __str__(self) -> str:
        """As in a terminal without colours."""
        return self._recorded().export_text().rstrip("\n")

    def _repr_html_(self) -> str:
        """As in a terminal; whatever stands in names is escaped."""
        return self._recorded().export_html(inline_styles=True, code_format=_HTML)

    def _recorded(self) -> Console:
        console = literal_console(file=io.StringIO(), width=WIDTH, record=True, force_jupyter=False)
        console.print(self.renderable(), crop=False)
        return console
