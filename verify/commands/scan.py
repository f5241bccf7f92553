"""The command `nonconv scan`."""

from __future__ import annotations

import re
import sys
from contextlib import redirect_stdout
from typing import Any

import click

from theorems.errors import InvalidInput
from verify.commands.completion import INITIALIZATIONS, OPTIMIZERS, PROPERTIES, files, names
from verify.commands.shared import JSON_OPTION, data_options, data_spec, print_json, print_shown

__all__ = ["scan_command"]

EXIT_DEAD_LAYER = 1
_SHAPE = re.compile(r"[1-9][0-9]{0,6}(?:[,x][1-9][0-9]{0,6}){0,5}")


@click.command("scan", short_help="Dead neurons and layers of a torch module on data.")
@click.argument("target", metavar="MODULE:FACTORY")
@data_options("Label columns, likewise; none for arrays of inputs alone.")
@click.option(
    "--state",
    default=None,
    shell_complete=files,
    help="Parameters: a state dict in .pt, .pth or .safetensors; numbers alone.",
)
@click.option("--shape", default=None, help="Shape of one input, such as 1,8,8, where the module expects images.")
@click.option(
    "--init",
    default="pytorch",
    show_default=True,
    shell_complete=names(*INITIALIZATIONS, "none"),
    help="How parameters were drawn; none: no probabilities.",
)
@click.option("--bias", default=None, help="Bias law that replaces the scheme's: zero, normal(s) or uniform(c).")
@click.option(
    "--optimizer",
    default=None,
    shell_complete=names(*OPTIMIZERS, *PROPERTIES),
    help="Does what is implied hold for it? A name, module:Class, or D.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="For the factory.")
@click.option("--budget", type=click.IntRange(0, 10**12), default=None, help="Exact multiplications for ties.")
@JSON_OPTION
def scan_command(target: str, as_json: bool, **options: Any) -> None:
    """Dead neurons and dead layers of a torch module on data, how likely they were, what they imply, what helps.

    MODULE:FACTORY names a function without arguments that makes a torch.nn.Module whose nonlinearities are ReLU. Dead
    and alive are proved in exact arithmetic or with error bounds; undecided is said where neither is. The module is
    looked at in evaluation mode. Exit status 1 if a layer is dead, 2 for bad input.

    \b
    nonconv scan mymodels:make_mlp --data mydata.csv --scale standard
    nonconv scan mymodels:make_mlp --state trained.pt --data mydata.npz --json
    nonconv scan mymodels:make_cnn --data digits --shape 1,8,8
    """
    from verify.scan.decide import BUDGET
    from verify.scan.scanning import scan
    from verify.scan.source import load_module

    spec, shape = data_spec(options), _shape(options["shape"])
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
        print_json(found.to_json())
    else:
        print_shown(found.renderable())
    if found.has_dead_layer:
        raise click.exceptions.Exit(EXIT_DEAD_LAYER)


def _shape(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    if not _SHAPE.fullmatch(text.replace(" ", "")):
        raise InvalidInput(f"--shape {text!r}: expected whole numbers separated by commas, such as 1,8,8")
    return tuple(int(part) for part in re.split("[,x]", text.replace(" ", "")))
