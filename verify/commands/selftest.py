"""The command `nonconv selftest`."""

from __future__ import annotations

import click

from verify.commands.shared import EXIT_CONTRADICTION, JSON_OPTION, print_json, print_shown

__all__ = ["selftest_command"]


@click.command("selftest", short_help="Check the certificates that come with nonconv.")
@JSON_OPTION
def selftest_command(as_json: bool) -> None:
    """Check the certificates that come with nonconv, good and bad ones: each must be answered as stated.

    Exit status 3 if the checker does not do on this machine what it is said to do.

    \b
    nonconv selftest
    nonconv selftest --json
    """
    from verify.certificate.selftest import selftest_json, selftest_text, selftest_trials

    trials = selftest_trials()
    if as_json:
        print_json(selftest_json(trials))
    else:
        print_shown(selftest_text(trials))
    if not all(trial.as_stated for trial in trials):
        raise click.exceptions.Exit(EXIT_CONTRADICTION)
