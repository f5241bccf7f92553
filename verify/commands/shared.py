"""What the commands share: exit statuses, how answers and progress are printed, and the options of data."""

from __future__ import annotations

import functools
import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from theorems.errors import InvalidInput
from verify.commands.completion import SCALES, SETS, names, names_or_files

if TYPE_CHECKING:
    from rich.console import RenderableType

    from verify.data import DataSpec

__all__ = [
    "EXIT_BAD_INPUT",
    "EXIT_CONTRADICTION",
    "EXIT_INTERRUPTED",
    "EXIT_IN_PART",
    "EXIT_REFUTED",
    "JSON_OPTION",
    "complain",
    "counting",
    "data_options",
    "data_spec",
    "drop_output",
    "folder_named",
    "print_json",
    "print_shown",
]

EXIT_REFUTED, EXIT_BAD_INPUT, EXIT_CONTRADICTION, EXIT_IN_PART, EXIT_INTERRUPTED = 1, 2, 3, 4, 130

_ENDLESS = re.compile(r"\S{300,}")

JSON_OPTION = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def complain(sentence: str) -> None:
    """Print one sentence on standard error: no control characters, and of endless words the ends alone."""
    short = _ENDLESS.sub(lambda word: f"{word[0][:60]}…{word[0][-20:]}", sentence)
    click.echo(f"nonconv: {''.join(map(_visible, short))}", err=True)


def _visible(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]


def print_json(document: object) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(document, indent=1))


def print_shown(shown: RenderableType) -> None:
    """Print what rich renders. Fails: BrokenPipeError if nobody reads."""
    from verify.shown import literal_console

    try:
        literal_console().print(shown, crop=False)
    except SystemExit:  # what rich makes of a reader that has gone
        raise BrokenPipeError from None


def drop_output() -> None:
    """Nobody reads standard output any more: what is still buffered must not fail when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextmanager
def counting() -> Iterator[Callable[[str], Callable[[int, int], None]]]:
    """Bars on standard error where that is a terminal: the value makes one, which is told (done, total)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:

        def bar(told: str) -> Callable[[int, int], None]:
            task = progress.add_task(told, total=None)
            return lambda done, total: progress.update(task, completed=done, total=total)

        yield bar


def folder_named(given: str | None, default: Path) -> Path:
    """Return the folder that --out names. Fails: InvalidInput for an empty name."""
    if given == "":
        raise InvalidInput("--out='': expected the name of a folder")
    return default if given is None else Path(given)


def data_options(labels: str = "Label columns, likewise.") -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Options that describe a data set; `data_spec` reads them. Symbols: labels = the help of --labels."""
    told = "A built-in set (nile, iris, …), a file, or a function of x."
    columns = "Input columns, names or positions, separated by commas."
    scales = names(*SCALES)
    options = (
        click.option("--high", default="1", show_default=True, help="Right end of the grid."),
        click.option("--low", default="0", show_default=True, help="Left end of the grid."),
        click.option("--points", type=int, default=64, show_default=True, help="Grid points of a function of x."),
        click.option(
            "--scale-labels",
            default="none",
            show_default=True,
            shell_complete=scales,
            help="Labels: none, minmax or standard.",
        ),
        click.option(
            "--scale",
            default="none",
            show_default=True,
            shell_complete=scales,
            help="Inputs: none, minmax or standard.",
        ),
        click.option("--labels", default=None, help=labels),
        click.option("--inputs", default=None, help=columns),
        click.option("--data", required=True, shell_complete=names_or_files(*SETS), help=told),
    )
    return lambda function: functools.reduce(lambda made, option: option(made), options, function)


def data_spec(options: dict[str, Any]) -> DataSpec:
    """Read what `data_options` were given. Fails: InvalidInput."""
    from verify.cases import parse_fraction
    from verify.data import DataSpec

    def columns(side: str) -> tuple[str, ...] | None:
        return None if options[side] is None else tuple(part.strip() for part in options[side].split(","))

    return DataSpec(
        source=options["data"],
        scale=options["scale"],
        scale_labels=options["scale_labels"],
        points=options["points"],
        inputs=columns("inputs"),
        labels=columns("labels"),
        low=parse_fraction(options["low"], "--low"),
        high=parse_fraction(options["high"], "--high"),
        labels_have_density=options.get("label_density", False),
    )
