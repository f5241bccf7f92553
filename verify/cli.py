"""The command `nonconv`: it parses, calls, prints. All judgement is elsewhere."""

from __future__ import annotations

import functools
import gc
import io
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from theorems.errors import InvalidInput
from verify.certificate.disagreement import Disagreement
from verify.scan.command import scan_command

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.progress import Progress, TaskID

    from verify.answer import Answer
    from verify.audit import Plan
    from verify.results import Results

__all__ = ["main"]

EXIT_REFUTED, EXIT_BAD_INPUT, EXIT_CONTRADICTION, EXIT_IN_PART, EXIT_INTERRUPTED = 1, 2, 3, 4, 130
WORST_FIRST = (2, 1, 4, 0)  # exit statuses of `check`: no certificate, rejected, accepted in part, accepted
MAX_DIGITS = 100_000  # exact numbers of extreme data are long; Python's own limit is 4300
NEW_OBJECTS = 1_000_000  # rows are objects that stay: looking for garbage among them often takes a third of the time


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
        _complain(str(error.__cause__ or error) or "interrupted: nothing was written")
        status = EXIT_INTERRUPTED
    except click.ClickException as error:
        _complain(error.format_message().replace("\n", " "))
        status = EXIT_BAD_INPUT
    except InvalidInput as error:
        _complain(str(error))
        status = EXIT_BAD_INPUT
    except Disagreement as error:
        _complain(str(error))
        status = EXIT_CONTRADICTION
    except BrokenPipeError:
        _drop_output()
        status = 0
    except OSError as error:
        _drop_output()
        _complain(f"output cannot be written: {error.strerror}")
        status = EXIT_BAD_INPUT
    sys.exit(status if isinstance(status, int) else 0)


def _complain(sentence: str) -> None:
    click.echo(f"nonconv: {sentence}", err=True)


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


def _print(shown: RenderableType) -> None:
    from verify.shown import literal_console

    try:
        literal_console().print(shown)
    except SystemExit:  # what rich makes of a reader that has gone
        raise BrokenPipeError from None


def _drop_output() -> None:
    """Nobody reads standard output any more: what is still buffered must not fail when the process ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@click.group(context_settings={"help_option_names": ["-h", "--help"]}, invoke_without_command=True)
@click.version_option(package_name="nonconv", message="%(prog)s %(version)s")
@click.pass_context
def command(context: click.Context) -> None:
    """Certified auditing of non-convergence theorems for neural-network training."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


# --- audit -------------------------------------------------------------------------------------------------------


@command.command()
@click.argument("config", required=False)
@click.option(
    "--preset", default=None, help="A configuration that comes with nonconv: quick (the default) or sharpness."
)
@click.option("--out", default=None, help="Folder for the results; default reports/NAME.")
@click.option("--device", default="cpu", show_default=True, help="Any device that torch has, such as cpu or cuda.")
@click.option("--engine", default=None, help="What trains the replicas: auto, eager, fused, exact1d or gpu.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=None, help="Replace the configuration's seed.")
@click.option("--workers", type=click.IntRange(1, 256), default=None, help="Processes; default: the usable cores.")
@click.option(
    "--executor", default="local", show_default=True, help="Where: local, dask:ADDRESS or slurm[:NAME=VALUE,...]."
)
@click.option("--fresh", is_flag=True, help="Simulate everything anew: forget what the ledger beside the results has.")
@click.option("--dry-run", is_flag=True, help="Say what would be simulated, how long it takes and in which memory.")
@click.option("--json", "as_json", is_flag=True, help="Print results.json on standard output, and nothing else there.")
def audit(
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
    """
    from verify.audit import plan
    from verify.audit_run import forecast_audit, run_audit
    from verify.cases import load_config, load_preset
    from verify.certificate.of_audit import require_certifiable
    from verify.output import OutputFolder

    if preset == "frameworks":
        raise InvalidInput("preset 'frameworks' trains nothing and has its own command: nonconv survey frameworks")
    if config is not None and preset is not None:
        raise InvalidInput(f"both a configuration ({config!r}) and a preset ({preset!r}) were given; expected one")
    chosen = load_config(config) if config is not None else load_preset("quick" if preset is None else preset)
    if seed is not None:
        chosen = chosen.with_seed(seed)
    if engine is not None:
        chosen = chosen.with_engine(engine)
    name = preset or "quick" if config is None else Path(config).stem
    folder = OutputFolder(_folder(out, Path("reports") / name))
    if dry_run:
        with redirect_stdout(sys.stderr):
            expected = forecast_audit(chosen, device, folder.path, executor, workers, fresh)
        click.echo(json.dumps(expected.to_builtins(), indent=1) if as_json else expected.in_words())
        return
    with folder.writing() as target, redirect_stdout(sys.stderr):
        planned = plan(chosen, device)
        require_certifiable(planned)
        target.write_manifest(planned.manifest())
        results = run_audit(planned, folder.path, executor, workers, fresh)
        target.write_certificates(_certificates(planned, results))
        target.write_results(results)
    try:
        _show_audit(results, folder.path, as_json)
    except BrokenPipeError:
        _drop_output()
    if results.refuted:
        raise click.exceptions.Exit(EXIT_REFUTED)


def _folder(given: str | None, default: Path) -> Path:
    if given == "":
        raise InvalidInput("--out='': expected the name of a folder")
    return default if given is None else Path(given)


def _certificates(planned: Plan, results: Results) -> dict[str, bytes]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from verify.certificate.of_audit import audit_certificates

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task("writing and checking certificates", total=None)
        return audit_certificates(
            planned, results, lambda done, total: progress.update(bar, completed=done, total=total)
        )


def _show_audit(results: Results, folder: Path, as_json: bool) -> None:
    import msgspec

    from verify.report import terminal_report

    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(results), indent=1))
        return
    _print(terminal_report(results))
    click.echo(f"report: {folder / 'index.html'}")


# --- bound -------------------------------------------------------------------------------------------------------


def _data_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Options that describe a data set."""
    for option in (
        click.option("--data", required=True, help="A built-in set (nile, iris, …), a file, or a function of x."),
        click.option("--inputs", default=None, help="Input columns, names or positions, separated by commas."),
        click.option("--labels", default=None, help="Label columns, likewise."),
        click.option("--scale", default="none", show_default=True, help="Inputs: none, minmax or standard."),
        click.option("--scale-labels", default="none", show_default=True, help="Labels: none, minmax or standard."),
        click.option("--points", type=int, default=64, show_default=True, help="Grid points of a function of x."),
        click.option("--low", default="0", show_default=True, help="Left end of the grid."),
        click.option("--high", default="1", show_default=True, help="Right end of the grid."),
        click.option(
            "--label-density", is_flag=True, help="Suppose that labels have a joint density given the inputs."
        ),
    ):
        function = option(function)
    return function


@command.command()
@click.option("--arch", required=True, help="Widths, such as 1,32,1 or 1,3*10,1.")
@click.option("--init", default="pytorch", show_default=True, help="Initialization scheme.")
@click.option("--bias", default=None, help="Bias law that replaces the scheme's: zero, normal(s) or uniform(c).")
@click.option(
    "--optimizer", default=None, help="Optimizer, or a property such as D; default: the nine rules of claim C4."
)
@click.option("--theorem", default=None, help="Only this theorem; default: all.")
@click.option(
    "--certificate", default=None, help="Write a certificate of the best bound, or of --theorem, into this file."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@_data_options
def bound(
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
        answer = answer_bound(arch, init, bias, _data_spec(data), optimizer, theorem)
        if certificate is not None:
            _write_certificate(answer, theorem, certificate)
    if as_json:
        click.echo(json.dumps(bound_json(answer), indent=1))
        return
    _print(bound_text(answer))


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


def _data_spec(options: dict[str, Any]) -> Any:
    from verify.cases import parse_fraction
    from verify.data import DataSpec

    def columns(side: str) -> tuple[str, ...] | None:
        return None if options[side] is None else tuple(part.strip() for part in options[side].split(","))

    return DataSpec(
        source=options["data"],
        scale=options["scale"],
        scale_labels=options["scale_labels"],
        points=options["points"],
        inputs=columns("inputs"),
        labels=columns("labels"),
        low=parse_fraction(options["low"], "--low"),
        high=parse_fraction(options["high"], "--high"),
        labels_have_density=options["label_density"],
    )


# --- survey ------------------------------------------------------------------------------------------------------


@command.command()
@click.argument("name", type=click.Choice(["frameworks"]))
@click.option("--data", default=None, help="Built-in sets, separated by commas; default: all.")
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
def survey(name: str, data: str | None, neurons: int, seed: int, workers: int | None, shape: str) -> None:
    """Dead neurons at initialization: the defaults of PyTorch, Keras and Flax on the built-in real data.

    For raw, min-max scaled and standardized inputs: the probability p_1 that a neuron starts dead, certified and
    sampled, and what follows for first layers of many widths. Nothing is trained.

    \b
    nonconv survey frameworks
    nonconv survey frameworks --data iris,digits --format md
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

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
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        bar = progress.add_task(f"surveying {name}", total=None)
        with worker_processes(workers or usable_cores()) as executor:
            found = survey_frameworks(
                chosen,
                neurons=neurons,
                seed=seed,
                executor=executor,
                on_progress=lambda done, total: progress.update(bar, completed=done, total=total),
            )
    match shape:
        case "json":
            click.echo(json.dumps(frameworks_json(found), indent=1))
        case "md":
            click.echo(frameworks_markdown(found), nl=False)
        case "csv":
            click.echo(frameworks_csv(found), nl=False)
        case _:
            _print(frameworks_text(found))


# --- optimizer ---------------------------------------------------------------------------------------------------


@command.command()
@click.argument("target", required=False)
@click.option("--set", "changes", multiple=True, metavar="NAME=VALUE", help="A setting; may be repeated.")
@click.option(
    "--zoo",
    "library",
    default=None,
    help="Judge every optimizer of a library: torch, pytorch_optimizer, heavyball, optax, or all of them.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--format",
    "shape",
    type=click.Choice(["text", "json", "md"]),
    default="text",
    show_default=True,
    help="Output; md with --zoo only.",
)
@click.option("--script", default=None, help="Write the program that shows a counterexample into this file.")
@click.option("--workers", type=click.IntRange(1, 256), default=None, help="Processes of --zoo; default: the cores.")
@click.option(
    "--limit",
    type=click.FloatRange(1, 86400),
    default=None,
    help="Seconds for an optimizer of --zoo; default 200.",
)
def optimizer(
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
        _complain(str(error))
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
        click.echo(json.dumps(verdict_json(verdict), indent=1))
    else:
        _print(verdict_text(verdict, with_script=script is None))
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
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from verify.environment import usable_cores
    from verify.optimizers.zoo import LIBRARIES, LIMIT, judge_zoo, library_version
    from verify.verdicts import zoo_json, zoo_markdown, zoo_text

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    libraries = tuple(LIBRARIES) if library == "all" else (library,)
    for each in libraries:
        library_version(each)
    found = []
    with redirect_stdout(sys.stderr), Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        for each in libraries:
            bar = progress.add_task(f"judging the optimizers of {each}", total=None)
            found.append(
                judge_zoo(
                    each,
                    workers=workers or usable_cores(),
                    limit=LIMIT if limit is None else limit,
                    on_progress=functools.partial(_advance, progress, bar),
                )
            )
    match shape:
        case "json":
            documents = [zoo_json(each) for each in found]
            click.echo(json.dumps(documents if library == "all" else documents[0], indent=1))
        case "md":
            click.echo(zoo_markdown(*found), nl=False)
        case _:
            for made in found:
                _print(zoo_text(made))


def _advance(progress: Progress, bar: TaskID, done: int, total: int) -> None:
    progress.update(bar, completed=done, total=total)


# --- scan --------------------------------------------------------------------------------------------------------

command.add_command(scan_command)

# --- certificates ------------------------------------------------------------------------------------------------


@command.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option(
    "--coq", "with_coq", is_flag=True, help="Write a Coq file for each accepted certificate and run coqc on it."
)
@click.option("--out", default=None, help="Folder for the Coq files; default: beside the certificates.")
def check(files: tuple[str, ...], as_json: bool, with_coq: bool, out: str | None) -> None:
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
                _complain(f"{shown(path)}: {head.lower()}: {reason}")
            else:
                lines = [f"{shown(path)}:", *outcome.lines(), *([] if proof is None else proof.lines())]
                click.echo("\n  ".join(lines))
    if as_json:
        click.echo(json.dumps(told, indent=1))
    codes = {outcome.code for outcome in outcomes}
    worst = next(code for code in WORST_FIRST if code in codes)
    raise click.exceptions.Exit(EXIT_CONTRADICTION if contradicted else worst)


@command.command()
def selftest() -> None:
    """Check the certificates that come with nonconv, good and bad ones: each must be answered as stated.

    Exit status 3 if the checker does not do on this machine what it is said to do.
    """
    from verify.certificate.selftest import selftest_text, selftest_trials

    trials = selftest_trials()
    _print(selftest_text(trials))
    if not all(trial.as_stated for trial in trials):
        raise click.exceptions.Exit(EXIT_CONTRADICTION)


# --- explain and report ------------------------------------------------------------------------------------------


@command.command()
@click.argument("id", required=False)
def explain(id: str | None) -> None:
    """Explain a claim, theorem, hypothesis, verdict or evidence level; without ID, list them.

    \b
    nonconv explain T10
    nonconv explain CONFIRMED
    """
    from verify.explain import explanation, overview

    _print(overview() if id is None else explanation(id))


@command.command()
@click.argument("results")
@click.option("--out", default=None, help="Folder for the report; default: beside the results.")
@click.option("--format", "shapes", default="html,md,csv,latex", show_default=True, help="Some of these, by commas.")
def report(results: str, out: str | None, shapes: str) -> None:
    """Write the report of a results.json again: HTML, Markdown, tables as CSV and LaTeX, figures as SVG and PDF.

    \b
    nonconv report reports/quick/results.json
    nonconv report reports/quick/results.json --format csv,latex --out tables
    """
    from verify.output import write_again
    from verify.report import parse_formats
    from verify.results import read_results

    formats = parse_formats(shapes)
    folder = _folder(out, Path(results).parent)
    write_again(read_results(results), folder, formats)
    click.echo(f"report: {folder / 'index.html' if 'html' in formats else folder}")


if __name__ == "__main__":
    main()
