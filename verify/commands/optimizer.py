"""The command `nonconv optimizer`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import click

from theorems.errors import InvalidInput
from verify.commands.completion import LIBRARIES, OPTIMIZERS, files, names
from verify.commands.shared import (
    EXIT_CONTRADICTION,
    EXIT_REFUTED,
    JSON_OPTION,
    complain,
    counting,
    print_json,
    print_shown,
)

__all__ = ["optimizer_command"]


@click.command("optimizer", short_help="Which properties an optimizer has; which theorems apply.")
@click.argument("target", required=False, shell_complete=names(*OPTIMIZERS))
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="A setting; may be repeated.")
@click.option(
    "--zoo",
    "library",
    default=None,
    shell_complete=names(*LIBRARIES, "all"),
    help="Judge every optimizer of a library: torch, pytorch_optimizer, heavyball, optax, or all of them.",
)
@JSON_OPTION
@click.option(
    "--format",
    "shape",
    type=click.Choice(["text", "json", "md"]),
    default="text",
    show_default=True,
    help="Output; md with --zoo only.",
)
@click.option(
    "--script",
    default=None,
    shell_complete=files,
    help="Write the program that shows a counterexample into this file.",
)
@click.option("--workers", type=click.IntRange(1, 256), default=None, help="Processes of --zoo; default: the cores.")
@click.option(
    "--limit",
    type=click.FloatRange(1, 86400),
    default=None,
    help="Seconds for an optimizer of --zoo; default 200.",
)
def optimizer_command(
    target: str | None,
    changes: tuple[str, ...],
    library: str | None,
    as_json: bool,
    shape: str,
    script: str | None,
    workers: int | None,
    limit: float | None,
) -> None:
    """Which properties an optimizer has, how that is known, and which theorems therefore apply to it.

    TARGET is a name such as adam, or package.module:Class. Its update rule is proved symbolically or its own code is
    interpreted; what is not proved is tested, and a violation comes with a program that shows it. Exit status 1 if no
    property is proved or at least tested without a counterexample.

    \b
    nonconv optimizer adam
    nonconv optimizer torch.optim:AdamW --set lr=1e-3 --set betas=0.9,0.95
    nonconv optimizer my_package.optim:Mine --json
    nonconv optimizer --zoo torch --format md
    """
    from verify.optimizers.verdict import Contradiction

    if (target is None) == (library is None):
        raise InvalidInput(
            f"{'neither' if target is None else 'both'} an optimizer {'nor' if target is None else 'and'} --zoo: "
            "expected one of them"
        )
    chosen = "json" if as_json else shape
    try:
        if target is not None:
            if shape == "md" or workers is not None or limit is not None:
                raise InvalidInput("--format md, --workers and --limit: expected with --zoo only")
            _one_optimizer(target, changes, chosen, script)
        elif library is not None:
            if changes or script is not None:
                raise InvalidInput("--set and --script: expected with an optimizer, not with --zoo")
            _zoo(library, chosen, workers, limit)
    except Contradiction as error:
        complain(str(error))
        raise click.exceptions.Exit(EXIT_CONTRADICTION) from error


def _one_optimizer(target: str, changes: tuple[str, ...], shape: str, script: str | None) -> None:
    from verify.optimizers.processes import judge_apart
    from verify.verdicts import verdict_json, verdict_text

    with redirect_stdout(sys.stderr):
        verdict, printed = judge_apart(target, dict(map(_setting, changes)))
    click.echo(printed, nl=False, err=True)
    example = verdict.counterexample
    if script is not None and example is not None and example.script:
        try:
            Path(script).write_text(example.script, encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"--script={script!r} cannot be written: {error.strerror}") from error
    elif script is not None:
        why = "nothing is violated" if example is None else example.about_script
        click.echo(f"{script} was not written: {why}", err=True)
    if shape == "json":
        print_json(verdict_json(verdict))
    else:
        print_shown(verdict_text(verdict, with_script=script is None))
    if not verdict.passes:
        raise click.exceptions.Exit(EXIT_REFUTED)


def _setting(text: str) -> tuple[str, Any]:
    """`lr=1e-3`, `betas=0.9,0.99`, `amsgrad=true`; what is no number and no truth value is a text."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise InvalidInput(f"--set {text!r}: expected NAME=VALUE, such as lr=1e-3")
    parts = [_value(part.strip()) for part in value.strip().strip("()[]").split(",") if part.strip()]
    return name.strip(), tuple(parts) if "," in value else parts[0] if parts else value


def _value(text: str) -> bool | int | float | str:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def _zoo(library: str, shape: str, workers: int | None, limit: float | None) -> None:
    from verify.environment import usable_cores
    from verify.optimizers.zoo import LIBRARIES, LIMIT, judge_zoo, library_version
    from verify.verdicts import zoo_json, zoo_markdown, zoo_text

    libraries = tuple(LIBRARIES) if library == "all" else (library,)
    for each in libraries:
        library_version(each)
    found = []
    with redirect_stdout(sys.stderr), counting() as bar:
        for each in libraries:
            found.append(
                judge_zoo(
                    each,
                    workers=workers or usable_cores(),
                    limit=LIMIT if limit is None else limit,
                    on_progress=bar(f"judging the optimizers of {each}"),
                )
            )
    match shape:
        case "json":
            documents = [zoo_json(each) for each in found]
            print_json(documents if library == "all" else documents[0])
        case "md":
            click.echo(zoo_markdown(*found), nl=False)
        case _:
            for made in found:
                print_shown(zoo_text(made))
