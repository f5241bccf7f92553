"""The command `nonconv scan`: it parses, calls, prints."""

from __future__ import annotations

import json
import re
import sys
from contextlib import redirect_stdout
from typing import Any

import click

from theorems.errors import InvalidInput

__all__ = ["scan_command"]

EXIT_DEAD_LAYER = 1
_SHAPE = re.compile(r"[1-9][0-9]{0,6}(?:[,x][1-9][0-9]{0,6}){0,5}")


@click.command("scan")
@click.argument("target", metavar="MODULE:FACTORY")
@click.option("--data", required=True, help="A built-in set (nile, iris, …), a file, or a function of x.")
@click.option("--state", default=None, help="Parameters: a state dict in .pt, .pth or .safetensors; numbers alone.")
@click.option("--inputs", default=None, help="Input columns, names or positions, separated by commas.")
@click.option("--labels", default=None, help="Label columns, likewise; none for arrays of inputs alone.")
@click.option("--scale", default="none", show_default=True, help="Inputs: none, minmax or standard.")
@click.option("--scale-labels", default="none", show_default=True, help="Labels: none, minmax or standard.")
@click.option("--points", type=int, default=64, show_default=True, help="Grid points of a function of x.")
@click.option("--low", default="0", show_default=True, help="Left end of the grid.")
@click.option("--high", default="1", show_default=True, help="Right end of the grid.")
@click.option("--shape", default=None, help="Shape of one input, such as 1,8,8, where the module expects images.")
@click.option("--init", default="pytorch", show_default=True, help="How parameters were drawn; none: no probabilities.")
@click.option("--bias", default=None, help="Bias law that replaces the scheme's: zero, normal(s) or uniform(c).")
@click.option("--optimizer", default=None, help="Does what is implied hold for it? A name, module:Class, or D.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="For the factory.")
@click.option("--budget", type=click.IntRange(0, 10**12), default=None, help="Exact multiplications for ties.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def scan_command(target: str, as_json: bool, **options: Any) -> None:
    """Dead neurons and dead layers of a torch module on data, how likely they were, what they imply, what helps.

    MODULE:FACTORY names a function without arguments that makes a torch.nn.Module whose nonlinearities are ReLU. Dead
    and alive are proved in exact arithmetic or with error bounds; undecided is said where neither is. The module is
    looked at in evaluation mode. Exit status 1 if a layer is dead, 2 for bad input.

    \b
    nonconv scan mymodels:make_mlp --data mydata.csv --scale standard
    nonconv scan mymodels:make_mlp --state trained.pt --data mydata.npz --json
    nonconv scan mymodels:make_cnn --data digits --shape 1,8,8
    """  # noqa: D301  (click reads the character \\b, not the two characters)
    from verify.scan.decide import BUDGET
    from verify.scan.scanning import scan
    from verify.scan.source import load_module
    from verify.shown import literal_console

    spec, shape = _spec(options), _shape(options["shape"])
    init = None if options["init"].strip() == "none" else options["init"]
    with redirect_stdout(sys.stderr):
        found = scan(
            load_module(target, options["seed"], options["state"]),
            spec,
            shape=shape,
            initialization=init,
            bias=options["bias"],
            optimizer=options["optimizer"],
            budget=BUDGET if options["budget"] is None else options["budget"],
            name=target,
            seed=options["seed"],
        )
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1))
    else:
        try:
            literal_console().print(found.renderable())
        except SystemExit:  # what rich makes of a reader that has gone
            raise BrokenPipeError from None
    if found.has_dead_layer:
        raise click.exceptions.Exit(EXIT_DEAD_LAYER)


def _spec(options: dict[str, Any]) -> Any:
    from verify.cases import parse_fraction
    from verify.data import DataSpec

    def columns(side: str) -> tuple[str, ...] | None:
        return None if options[side] is None else tuple(part.strip() for part in options[side].split(","))

    return DataSpec(
        source=options["data"],
        inputs=columns("inputs"),
        labels=columns("labels"),
        scale=options["scale"],
        scale_labels=options["scale_labels"],
        points=options["points"],
        low=parse_fraction(options["low"], "--low"),
        high=parse_fraction(options["high"], "--high"),
    )


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    if not _SHAPE.fullmatch(text.replace(" ", "")):
        raise InvalidInput(f"--shape {text!r}: expected whole numbers separated by commas, such as 1,8,8")
    return tuple(int(part) for part in re.split("[,x]", text.replace(" ", "")))
