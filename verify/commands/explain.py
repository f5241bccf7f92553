"""The command `nonconv explain`."""

from __future__ import annotations

import click

from verify.commands.completion import EXPLAINED, names
from verify.commands.shared import JSON_OPTION, print_json, print_shown

__all__ = ["explain_command"]


@click.command("explain", short_help="Explain every word and id in a table.")
@click.argument("id", required=False, shell_complete=names(*EXPLAINED))
@JSON_OPTION
def explain_command(id: str | None, as_json: bool) -> None:
    """Explain a claim, theorem, hypothesis, verdict or evidence level; without ID, list them.

    \b
    nonconv explain T10
    nonconv explain CONFIRMED
    """
    from verify.explain import explained, explanation, overview, overview_json

    if as_json:
        print_json(overview_json() if id is None else explained(id))
    else:
        print_shown(overview() if id is None else explanation(id))
