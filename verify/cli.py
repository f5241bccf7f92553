"""The command `nonconv`: its commands are in `verify.commands`; here errors become one sentence each."""

from __future__ import annotations

import gc
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

import click

from theorems.errors import InvalidInput
from verify.certificate.disagreement import Disagreement
from verify.commands.audit import audit_command
from verify.commands.bound import bound_command
from verify.commands.check import check_command
from verify.commands.explain import explain_command
from verify.commands.optimizer import optimizer_command
from verify.commands.report import report_command
from verify.commands.scan import scan_command
from verify.commands.selftest import selftest_command
from verify.commands.shared import EXIT_BAD_INPUT, EXIT_CONTRADICTION, EXIT_INTERRUPTED, complain, drop_output
from verify.commands.survey import survey_command

__all__ = ["command", "main"]

MAX_DIGITS = 100_000  # exact numbers of extreme data are long; Python's own limit is 4300
NEW_OBJECTS = 1_000_000  # rows are objects that stay: looking for garbage among them often takes a third of the time
COMMANDS = (
    audit_command,
    bound_command,
    survey_command,
    optimizer_command,
    scan_command,
    check_command,
    selftest_command,
    explain_command,
    report_command,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; bad input becomes one sentence on standard error and exit status 2."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.set_int_max_str_digits(MAX_DIGITS)
    gc.set_threshold(NEW_OBJECTS)
    with suppress(OSError):
        sys.path.append(os.getcwd())  # `package.module:Class` may lie in the folder that one works in
    try:
        with _interruptible():
            status = command.main(args=arguments, prog_name="nonconv", standalone_mode=False)
    except click.exceptions.Exit as leaving:
        status = leaving.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        complain(str(error.__cause__ or error) or "interrupted: nothing was written")
        status = EXIT_INTERRUPTED
    except click.ClickException as error:
        complain(error.format_message().replace("\n", " "))
        status = EXIT_BAD_INPUT
    except InvalidInput as error:
        complain(str(error))
        status = EXIT_BAD_INPUT
    except Disagreement as error:
        complain(str(error))
        status = EXIT_CONTRADICTION
    except BrokenPipeError:
        drop_output()
        status = 0
    except OSError as error:
        drop_output()
        complain(f"output cannot be written: {error.strerror}")
        status = EXIT_BAD_INPUT
    sys.exit(status if isinstance(status, int) else 0)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let the first Ctrl-C or SIGTERM interrupt; the clean-up that follows is left to run to its end."""
    numbers = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    if threading.current_thread() is not threading.main_thread():
        numbers = []

    interrupted = False

    def interrupt(number: int, frame: object) -> None:
        nonlocal interrupted
        if interrupted:  # a second signal can be on its way before the first is seen
            return
        interrupted = True
        for each in numbers:
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    earlier = [(number, signal.signal(number, interrupt)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in earlier:
            if signal.getsignal(number) is interrupt:
                signal.signal(number, handler)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
    commands=COMMANDS,
    epilog="""
Completion of names by Tab, in ~/.bashrc (zsh and fish: zsh_source, fish_source):

\b
eval "$(_NONCONV_COMPLETE=bash_source nonconv)"
""",
)
@click.version_option(package_name="nonconv", message="%(prog)s %(version)s")
@click.pass_context
def command(context: click.Context) -> None:
    """Certified auditing of non-convergence theorems for neural-network training."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


if __name__ == "__main__":
    main()
