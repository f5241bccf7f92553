"""The Python interface: the functions behind the commands, on arrays, classes and modules that are already here.

The command line calls these functions and prints what they return. What is refused raises
`theorems.errors.InvalidInput`, with the sentence that the command line would print.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from theorems.errors import InvalidInput
from theorems.setting import DataSet
from verify.answer import Answer, answer_bound, bound_json, bound_text
from verify.data import DataSpec, data_of_arrays
from verify.shown import Shown

if TYPE_CHECKING:
    import torch
    from numpy.typing import ArrayLike
    from rich.console import RenderableType

    from verify.cases import AuditConfig
    from verify.optimizers.spec import Setting
    from verify.optimizers.verdict import Verdict
    from verify.results import Results
    from verify.scan.result import Scan

__all__ = ["Audit", "Bound", "OptimizerAnswer", "audit", "bound", "check_optimizer", "scan"]


@dataclass(frozen=True)
class Audit(Shown):
    """What `audit` found; the report and everything else is in the folder."""

    results: Results
    folder: Path

    def renderable(self) -> RenderableType:
        """Return the verdicts, claim by claim."""
        from verify.report import terminal_report

        return terminal_report(self.results)

    def to_json(self) -> dict[str, object]:
        """Return what results.json holds."""
        import msgspec

        found: dict[str, object] = msgspec.to_builtins(self.results)
        return found


def audit(
    config: str | Path | AuditConfig | None = None,
    *,
    preset: str | None = None,
    out: str | Path | None = None,
    device: str = "cpu",
    engine: str | None = None,
    seed: int | None = None,
    executor: str = "local",
    workers: int | None = None,
    fresh: bool = False,
) -> Audit:
    """Audit the paper's claims: certified bounds against simulated frequencies, written into a folder.

    Symbols: config = a TOML file or a `verify.cases.AuditConfig` (which needs `out`), preset = a configuration that
    comes with nonconv, by default "quick"; out = the folder, by default reports/NAME; engine, seed = replace the
    configuration's; executor, workers, fresh = as on the command line.
    Rigour: an error of any verdict has at most the probability that the results state.
    Fails: InvalidInput for whatever cannot be read or written; verify.certificate.disagreement.Disagreement if two
    computations of a bound differ: then nothing is written.
    """
    from verify.audit_run import choose_audit, write_audit
    from verify.cases import AuditConfig
    from verify.output import OutputFolder

    folder = None if out is None else str(out)
    if isinstance(config, AuditConfig):
        if preset is not None or folder is None:
            raise InvalidInput("a configuration that is no file: expected out, the name of a folder, and no preset")
        chosen, place = config, OutputFolder(Path(folder))
        chosen.check()
        chosen = chosen if seed is None else chosen.with_seed(seed)
        chosen = chosen if engine is None else chosen.with_engine(engine)
    else:
        named = None if config is None else str(config)
        chosen, place = choose_audit(named, preset, folder, seed=seed, engine=engine)
    results = write_audit(chosen, place, device=device, executor=executor, workers=workers, fresh=fresh)
    return Audit(results, place.path)


@dataclass(frozen=True)
class Bound(Shown):
    """What `bound` found. `answer.best` is the theorem with the largest bound, `answer.evaluations` are all of them."""

    answer: Answer

    def renderable(self) -> RenderableType:
        """Return the table and the answer in words."""
        return bound_text(self.answer)

    def to_json(self) -> dict[str, object]:
        """Return numbers as exact fractions `p/q`."""
        return bound_json(self.answer)


def bound(
    architecture: str | Sequence[int],
    data: str | DataSpec | DataSet | tuple[ArrayLike, ArrayLike],
    *,
    init: str = "pytorch",
    bias: str | None = None,
    optimizer: str | None = None,
    theorem: str | None = None,
    **described: Any,
) -> Bound:
    """Certified lower bounds of the probability that training misses every global minimizer; nothing is simulated.

    Symbols: architecture = the widths, such as "1,3*10,1" or [1, 32, 1]; data = a built-in set, a file or a function of
    x by name, or a pair (inputs, labels) of arrays with one row each for every data point; init, bias = a scheme and a
    bias law that replaces the scheme's; optimizer = a name, "package.module:Class" or a property such as "D", by
    default the nine rules of claim C4; described = fields of `verify.data.DataSpec`, such as scale="minmax".
    Rigour: bounds from ball arithmetic, as exact fractions; `float` of one may round in the unsafe direction.
    Fails: InvalidInput for whatever cannot be read.
    """
    widths = architecture if isinstance(architecture, str) else ",".join(map(str, architecture))
    return Bound(answer_bound(widths, init, bias, _data(data, described), optimizer, theorem))


def _data(
    data: str | DataSpec | DataSet | tuple[ArrayLike, ArrayLike], described: dict[str, Any]
) -> DataSpec | DataSet:
    unknown = sorted(described.keys() - DataSpec.__dataclass_fields__.keys())
    if unknown:
        raise InvalidInput(
            f"{unknown[0]!r} describes no data; expected one of {', '.join(DataSpec.__dataclass_fields__)}"
        )
    if isinstance(data, str):
        return DataSpec(data, **described)
    if isinstance(data, DataSpec | DataSet):
        if described:
            raise InvalidInput(f"{sorted(described)[0]!r} was given beside data that are described already")
        return data
    if not isinstance(data, tuple) or len(data) != 2:
        raise InvalidInput(f"data of type {type(data).__name__}: expected a name, or a pair (inputs, labels) of arrays")
    return data_of_arrays(*data, **described)


@dataclass(frozen=True)
class OptimizerAnswer(Shown):
    """What `check_optimizer` found; printed = what the optimizer's own code printed meanwhile."""

    verdict: Verdict
    printed: str = ""

    def renderable(self) -> RenderableType:
        """Return the table of properties, the answer in words, and a program that shows a violation."""
        from verify.verdicts import verdict_text  # here, because torch takes seconds to import

        return verdict_text(self.verdict)

    def to_json(self) -> dict[str, object]:
        """Return one object, the program that shows a violation included."""
        from verify.verdicts import verdict_json

        return verdict_json(self.verdict)


def check_optimizer(target: str, **settings: Setting) -> OptimizerAnswer:
    """Decide which properties an optimizer has, how that is known, and which theorems therefore apply to it.

    Symbols: target = a name such as "adam", or "package.module:Class" (judged in a process of its own, which imports it
    again; torch's classes in this one); settings = arguments of the class, such as lr=1e-3.
    Fails: InvalidInput for targets and settings that cannot be used; verify.optimizers.verdict.Contradiction if a proof
    and an experiment disagree.
    """
    from verify.optimizers.processes import judge_apart

    return OptimizerAnswer(*judge_apart(target, settings))


def scan(module: torch.nn.Module, data: Any, **options: Any) -> Scan:
    """Find the dead neurons and dead layers of a torch module on data, and say what they mean.

    Symbols: data = a `DataSpec`, a `DataSet`, an array or tensor of inputs, or a pair (inputs, labels); options =
    those of `verify.scan.scanning.scan`, such as initialization, optimizer, shape and budget.
    Rigour: dead and alive are proved on the exact parameters and data, undecided is neither.
    Fails: InvalidInput if the module cannot be followed, has no ReLU or other nonlinearities, or does not fit the data.
    """
    from verify.scan.scanning import scan as scan_module

    return scan_module(module, data, **options)
