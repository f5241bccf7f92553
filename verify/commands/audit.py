"""The command `nonconv audit`."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

from verify.commands.completion import ENGINES, PRESETS, files, names
from verify.commands.shared import EXIT_REFUTED, drop_output, print_json, print_shown

if TYPE_CHECKING:
    from verify.results import Results

__all__ = ["audit_command"]


@click.command("audit", short_help="Audit the claims: certified bounds, simulated frequencies.")
@click.argument("config", required=False, shell_complete=files)
@click.option(
    "--preset",
    default=None,
    shell_complete=names(*PRESETS),
    help="A configuration that comes with nonconv: quick (the default) or sharpness.",
)
@click.option("--out", default=None, shell_complete=files, help="Folder for the results; default reports/NAME.")
@click.option("--device", default="cpu", show_default=True, help="Any device that torch has: cpu, cuda, …")
@click.option(
    "--engine",
    default=None,
    shell_complete=names(*ENGINES),
    help="What trains the replicas: auto, eager, fused, exact1d or gpu.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=None, help="Replace the configuration's seed.")
@click.option("--workers", type=click.IntRange(1, 256), default=None, help="Processes; default: the usable cores.")
@click.option(
    "--executor",
    default="local",
    show_default=True,
    shell_complete=names("local", "dask:", "slurm", "slurm:"),
    help="Where: local, dask:ADDRESS or slurm[:NAME=VALUE,...].",
)
@click.option("--fresh", is_flag=True, help="Simulate everything anew: forget what the ledger beside the results has.")
@click.option("--dry-run", is_flag=True, help="Say what would be simulated, how long it takes and in which memory.")
@click.option("--json", "as_json", is_flag=True, help="Print results.json on standard output, and nothing else there.")
def audit_command(
    config: str | None,
    preset: str | None,
    out: str | None,
    device: str,
    engine: str | None,
    seed: int | None,
    workers: int | None,
    executor: str,
    fresh: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Audit the paper's claims: certified bounds against simulated frequencies.

    CONFIG is a TOML file; without it a preset is run. Each theorem's verdict gets a certificate (nonconv check), and
    bounds that its format expresses are computed a second time before anything is written; the other ones it lists as
    taken. Finished blocks are kept in a file beside the results: the same command continues where it was stopped.
    Exit status 1 if anything is refuted, 3 if two computations of a bound disagree.

    \b
    nonconv audit
    nonconv audit my-audit.toml --out reports/mine
    nonconv audit my-audit.toml --dry-run
    nonconv audit --preset sharpness --json
    """
    from verify.audit_run import choose_audit, forecast_audit, write_audit

    chosen, folder = choose_audit(config, preset, out, seed=seed, engine=engine)
    if dry_run:
        with redirect_stdout(sys.stderr):
            expected = forecast_audit(chosen, device, folder.path, executor, workers, fresh)
        if as_json:
            print_json(expected.to_builtins())
        else:
            click.echo(expected.in_words())
        return
    results = write_audit(chosen, folder, device=device, executor=executor, workers=workers, fresh=fresh)
    try:
        _show(results, folder.path, as_json)
    except BrokenPipeError:
        drop_output()
    if results.refuted:
        raise click.exceptions.Exit(EXIT_REFUTED)


def _show(results: Results, folder: Path, as_json: bool) -> None:
    import msgspec

    from verify.report import terminal_report

    if as_json:
        print_json(msgspec.to_builtins(results))
        return
    print_shown(terminal_report(results))
    click.echo(f"report: {folder / 'index.html'}")
