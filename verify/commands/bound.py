"""The command `nonconv bound`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from theorems.errors import InvalidInput
from verify.commands.completion import INITIALIZATIONS, OPTIMIZERS, PROPERTIES, THEOREMS, files, names
from verify.commands.shared import JSON_OPTION, data_options, data_spec, print_json, print_shown

if TYPE_CHECKING:
    from verify.answer import Answer

__all__ = ["bound_command"]


@click.command("bound", short_help="Certified bounds for one problem; nothing is simulated.")
@click.option("--arch", required=True, help="Widths, such as 1,32,1 or 1,3*10,1.")
@click.option(
    "--init",
    default="pytorch",
    show_default=True,
    shell_complete=names(*INITIALIZATIONS),
    help="Initialization scheme, such as he_normal, uniform(1/10) or normal(1, 2).",
)
@click.option("--bias", default=None, help="Bias law that replaces the scheme's: zero, normal(s) or uniform(c).")
@click.option(
    "--optimizer",
    default=None,
    shell_complete=names(*OPTIMIZERS, *PROPERTIES),
    help="Optimizer, or a property such as D; default: the nine rules of claim C4.",
)
@click.option("--theorem", default=None, shell_complete=names(*THEOREMS), help="Only this theorem; default: all.")
@click.option(
    "--certificate",
    default=None,
    shell_complete=files,
    help="Write a certificate of the best bound, or of --theorem, into this file.",
)
@JSON_OPTION
@data_options()
@click.option("--label-density", is_flag=True, help="Suppose that labels have a joint density given the inputs.")
def bound_command(
    arch: str,
    init: str,
    bias: str | None,
    optimizer: str | None,
    theorem: str | None,
    certificate: str | None,
    as_json: bool,
    **data: Any,
) -> None:
    """Certified lower bounds of the non-convergence probability for one problem; nothing is simulated.

    \b
    nonconv bound --arch 1,32,1 --init pytorch --data nile --scale minmax
    nonconv bound --arch 1,3*10,1 --data "x**2 + 2*x" --theorem T10 --json
    nonconv bound --arch 1,32,1 --data nile --scale minmax --certificate nile.json
    """
    from verify.answer import answer_bound, bound_json, bound_text
    from verify.certificate.files import check_place

    if certificate is not None:
        check_place(Path(certificate))
    with redirect_stdout(sys.stderr):
        answer = answer_bound(arch, init, bias, data_spec(data), optimizer, theorem)
        if certificate is not None:
            _write_certificate(answer, theorem, certificate)
    if as_json:
        print_json(bound_json(answer))
        return
    print_shown(bound_text(answer))


def _write_certificate(answer: Answer, theorem: str | None, path: str) -> None:
    from verify.certificate.files import save_certificate
    from verify.certificate.write import write_certificate

    evaluation = answer.best if theorem is None else answer.evaluations[0]
    if evaluation is None:
        raise InvalidInput(
            "--certificate: no theorem gives this problem a positive bound; expected --theorem to say which to certify"
        )
    written = write_certificate(answer.problem, evaluation)
    save_certificate(written.data, Path(path))
    click.echo(f"certificate of {evaluation.theorem.id}: {path} ({written.outcome.verdict.lower()})", err=True)
