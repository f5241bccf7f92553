"""The command `nonconv check`."""

from __future__ import annotations

from pathlib import Path

import click

from theorems.errors import InvalidInput
from verify.commands.completion import files as complete_files
from verify.commands.shared import EXIT_BAD_INPUT, EXIT_CONTRADICTION, EXIT_IN_PART, JSON_OPTION, complain, print_json

WORST_FIRST = (2, 1, 4, 0)  # no certificate, rejected, accepted in part, accepted

__all__ = ["check_command"]


@click.command("check", short_help="Check certificates from the files alone.")
@click.argument("files", nargs=-1, required=True, shell_complete=complete_files)
@JSON_OPTION
@click.option(
    "--coq", "with_coq", is_flag=True, help="Write a Coq file for each accepted certificate and run coqc on it."
)
@click.option(
    "--out",
    default=None,
    shell_complete=complete_files,
    help="Folder for the Coq files; default: beside the certificates.",
)
def check_command(files: tuple[str, ...], as_json: bool, with_coq: bool, out: str | None) -> None:
    """Check certificates from the files alone: what is shown, what it rests on, what is taken as stated.

    The checker, verify/certificate/checker.py, is one file that needs nothing but Python and can be copied. Exit status
    0 if everything is accepted, 4 if something only in part, 1 if something is rejected, 2 if a file is no certificate,
    3 if Coq refuses what the checker accepted.

    \b
    nonconv check nile.json
    nonconv check reports/quick/certificates/*.json
    nonconv check nile.json --coq --out proofs
    """
    from verify.certificate.checker import check_file, shown
    from verify.certificate.coq_run import Proofs

    if out is not None and not with_coq:
        raise InvalidInput("--out names the folder for Coq files; expected --coq beside it")
    outcomes, told, contradicted = [], [], False
    with Proofs(None if out is None else Path(out)) as proofs:
        for path in files:
            outcome = check_file(path)
            outcomes.append(outcome)
            proof = proofs.prove(Path(path)) if with_coq and outcome.code in (0, EXIT_IN_PART) else None
            contradicted = contradicted or (proof is not None and proof.contradicts)
            if as_json:
                lists = {"derived": outcome.derived, "rests": outcome.rests, "taken": outcome.taken}
                entry = {"file": path, "code": outcome.code, "verdict": outcome.verdict} | lists
                told.append(entry | ({} if proof is None else {"coq": proof.to_json()}))
            elif outcome.code == EXIT_BAD_INPUT:
                head, _, reason = outcome.verdict.partition(": ")
                complain(f"{shown(path)}: {head.lower()}: {reason}")
            else:
                lines = [f"{shown(path)}:", *outcome.lines(), *([] if proof is None else proof.lines())]
                click.echo("\n  ".join(lines))
    if as_json:
        print_json(told)
    codes = {outcome.code for outcome in outcomes}
    worst = next(code for code in WORST_FIRST if code in codes)
    raise click.exceptions.Exit(EXIT_CONTRADICTION if contradicted else worst)
