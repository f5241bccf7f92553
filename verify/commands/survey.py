"""The command `nonconv survey`."""

from __future__ import annotations

import click

from verify.commands.completion import SETS, names_by_commas
from verify.commands.shared import JSON_OPTION, counting, print_json, print_shown

__all__ = ["survey_command"]


@click.command("survey", short_help="Dead neurons under the defaults of PyTorch, Keras, Flax.")
@click.argument("name", type=click.Choice(["frameworks"]))
@click.option(
    "--data",
    default=None,
    shell_complete=names_by_commas(*SETS),
    help="Built-in sets, separated by commas; default: all.",
)
@click.option(
    "--neurons", type=click.IntRange(1, 10**9), default=100_000, show_default=True, help="Drawn for each row."
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Seed of what is drawn.")
@click.option("--workers", type=click.IntRange(1, 256), default=None, help="Processes; default: the usable cores.")
@click.option(
    "--format",
    "shape",
    type=click.Choice(["text", "json", "md", "csv"]),
    default="text",
    show_default=True,
    help="Output.",
)
@JSON_OPTION
def survey_command(
    name: str, data: str | None, neurons: int, seed: int, workers: int | None, shape: str, as_json: bool
) -> None:
    """Dead neurons at initialization: the defaults of PyTorch, Keras and Flax on the built-in real data.

    For raw, min-max scaled and standardized inputs: the probability p_1 that a neuron starts dead, certified and
    sampled, and what follows for first layers of many widths. Nothing is trained.

    \b
    nonconv survey frameworks
    nonconv survey frameworks --data iris,digits --format md
    """
    from verify.data import BUILT_IN
    from verify.environment import usable_cores
    from verify.executors import worker_processes
    from verify.survey import (
        frameworks_csv,
        frameworks_json,
        frameworks_markdown,
        frameworks_text,
        survey_frameworks,
    )

    chosen = tuple(BUILT_IN) if data is None else tuple(part.strip() for part in data.split(","))
    with counting() as bar, worker_processes(workers or usable_cores()) as executor:
        found = survey_frameworks(
            chosen, neurons=neurons, seed=seed, executor=executor, on_progress=bar(f"surveying {name}")
        )
    match "json" if as_json else shape:
        case "json":
            print_json(frameworks_json(found))
        case "md":
            click.echo(frameworks_markdown(found), nl=False)
        case "csv":
            click.echo(frameworks_csv(found), nl=False)
        case _:
            print_shown(frameworks_text(found))
