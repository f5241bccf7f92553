"""An audit as the command carries it out: its ledger beside the results, its workers, and what is told meanwhile."""

from __future__ import annotations

import dataclasses
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from theorems.errors import InvalidInput
from verify.audit import Plan, carry_out, plan, units_of
from verify.blocks import left_over
from verify.cases import AuditConfig, load_config, load_preset
from verify.certificate.of_audit import audit_certificates, require_certifiable
from verify.executors import check_workers, open_workers
from verify.forecast import Forecast, forecast
from verify.ledger import Ledger
from verify.output import OutputFolder
from verify.results import Results

__all__ = ["Expected", "choose_audit", "forecast_audit", "ledger_of", "run_audit", "write_audit"]

_SECONDS_BETWEEN_LINES = 30.0  # where standard error is no terminal


def ledger_of(folder: Path) -> Path:
    """The ledger of the audit whose results are in a folder: a file beside it, since the folder is replaced whole."""
    return folder.with_name(f"{folder.name}.ledger")


def choose_audit(
    config: str | None, preset: str | None, out: str | None, *, seed: int | None = None, engine: str | None = None
) -> tuple[AuditConfig, OutputFolder]:
    """Return the configuration that is asked for, and the folder for its results: by default reports/NAME.

    Fails: InvalidInput if both a file and a preset are named, or what is named cannot be read.
    """
    if preset == "frameworks":
        raise InvalidInput("preset 'frameworks' trains nothing and has its own command: nonconv survey frameworks")
    if config is not None and preset is not None:
        raise InvalidInput(f"both a configuration ({config!r}) and a preset ({preset!r}) were given; expected one")
    if out == "":
        raise InvalidInput("--out='': expected the name of a folder")
    chosen = load_config(config) if config is not None else load_preset("quick" if preset is None else preset)
    if seed is not None:
        chosen = chosen.with_seed(seed)
    if engine is not None:
        chosen = chosen.with_engine(engine)
    name = preset or "quick" if config is None else Path(config).stem
    return chosen, OutputFolder(Path("reports") / name if out is None else Path(out))


def write_audit(
    config: AuditConfig, folder: OutputFolder, *, device: str, executor: str, workers: int | None, fresh: bool
) -> Results:
    """Plan and carry out an audit, certify its comparisons, and put results and report into a folder: all or nothing.

    Fails: InvalidInput as `verify.audit.plan` and `run_audit`, and if the folder cannot be written;
    verify.certificate.disagreement.Disagreement if two computations of a bound differ.
    """
    check_workers(executor, workers)
    with folder.writing() as target, redirect_stdout(sys.stderr):
        planned = plan(config, device)
        require_certifiable(planned)
        target.write_manifest(planned.manifest())
        results = run_audit(planned, folder.path, executor, workers, fresh)
        target.write_certificates(_certificates(planned, results))
        target.write_results(results)
    return results


def _certificates(planned: Plan, results: Results) -> dict[str, bytes]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("writing and checking certificates", total=None)
        return audit_certificates(
            planned, results, lambda done, total: progress.update(bar, completed=done, total=total)
        )


def run_audit(planned: Plan, folder: Path, executor: str, workers: int | None, fresh: bool) -> Results:
    """Simulate what the ledger of a folder lacks, with progress on standard error, and compare.

    fresh: forget what the ledger has.
    Fails: InvalidInput as `verify.audit.carry_out`; KeyboardInterrupt with a sentence on what was kept.
    """
    path, console = ledger_of(folder), Console(stderr=True)
    if fresh:
        Ledger.remove(path)
    told = f"simulating {planned.n_cases} case{'s' if planned.n_cases != 1 else ''}"
    try:
        with Ledger.open(path, _warn) as ledger, _shown(told, console) as tell:
            if (share := known_share(planned, ledger)) > 0:
                console.print(f"{share:.0%} of the networks are in {path.name} already")
            with open_workers(executor, workers, folder.parent, _warn) as pool:
                return carry_out(planned, pool, tell, ledger)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(
            f"interrupted: no results were written; what is finished is in {str(path)!r}, "
            "and the same command continues"
        ) from None


def known_share(planned: Plan, ledger: Ledger) -> float:
    """Which part of all networks of a plan, drawn or trained, a ledger has."""
    units = [unit for units in units_of(planned) for unit in units]
    total = sum(unit.total for unit in units)
    return 1 - sum(left_over(unit, ledger) for unit in units) / total if total else 0.0


def _warn(sentence: str) -> None:
    click.echo(f"nonconv: {sentence}", err=True)


@contextmanager
def _shown(told: str, console: Console) -> Iterator[Callable[[float, float], None]]:
    """A bar with the time left on a terminal; elsewhere a line at the beginning, and one now and then."""
    if not console.is_terminal:
        console.print(told)
        yield _Lines(told, console).tell
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(told, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)


class _Lines:
    def __init__(self, told: str, console: Console) -> None:
        self.told, self.console, self.began, self.last = told, console, time.monotonic(), time.monotonic()

    def tell(self, done: float, total: float) -> None:
        """Print how far the work is, if the last line is old enough."""
        now = time.monotonic()
        if now - self.last < _SECONDS_BETWEEN_LINES or not 0 < done < total:
            return
        self.last = now
        left = (now - self.began) * (total - done) / done
        self.console.print(f"{self.told}: {done / total:.0%}, about {in_words(left)} left")


def in_words(seconds: float) -> str:
    """A time to two digits at most: 40 seconds, 12 minutes, 3.5 hours."""
    for size, name in ((86400.0, "days"), (3600.0, "hours"), (60.0, "minutes")):
        if seconds >= 2 * size:
            number = seconds / size
            return f"{number:.0f} {name}" if number >= 10 else f"{number:.1f} {name}"
    return f"{seconds:.0f} seconds"


# --- what it would take -------------------------------------------------------------------------------------------


def forecast_audit(
    config: AuditConfig, device: str, folder: Path, executor: str, workers: int | None, fresh: bool
) -> Expected:
    """Plan an audit and say what it would take; nothing is written.

    Fails: InvalidInput as `verify.audit.plan`, and if the ledger or the workers cannot be used.
    """
    check_workers(executor, workers)
    began = time.monotonic()
    planned = plan(config, device)
    planning = time.monotonic() - began
    known = nullcontext(Ledger.in_memory()) if fresh else Ledger.open_to_read(ledger_of(folder))
    with known as ledger, tempfile.TemporaryDirectory(prefix="nonconv-") as place:
        asked = time.monotonic()
        with open_workers(executor, workers, Path(place), _warn) as pool:
            return Expected(forecast(planned, pool, ledger, asked), planning, str(ledger_of(folder)))


@dataclass(frozen=True)
class Expected:
    """A forecast, the seconds that planning took, and where the ledger is."""

    forecast: Forecast
    planning: float
    ledger: str

    def to_builtins(self) -> dict[str, object]:
        """The forecast as one JSON document."""
        numbers = dataclasses.asdict(self.forecast)
        return numbers | {
            "known": round(self.forecast.known, 6),
            "seconds": round(self.forecast.seconds, 2),
            "planning_seconds": round(self.planning, 2),
            "ledger": self.ledger,
        }

    def in_words(self) -> str:
        """The forecast for people."""
        what = self.forecast
        here = f"{what.known:.0%} of the networks are in {self.ledger} already; " if what.known else ""
        return (
            f"{what.cases} case{'s' if what.cases != 1 else ''}: {what.initializations:,} initial networks to look at, "
            f"{what.replicas:,} to train, {what.replica_steps:,} steps in all\n"
            f"{here}simulation: about {in_words(what.seconds)} with {what.workers} "
            f"worker{'s' if what.workers != 1 else ''}; planning took {in_words(self.planning)}\n"
            f"memory: about {what.worker_bytes / 1e6:.0f} MB a worker, {what.own_bytes / 1e6:.0f} MB here\n"
            f"({what.timed} of {what.kinds} kinds of work were timed; nothing was written)"
        )
