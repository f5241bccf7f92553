"""What an audit is asked to do: configuration files, validated, with the path of whatever is wrong.

A configuration names data sets, one way of simulating, one level, and sweeps; a sweep is the product of data,
initializations, architectures and optimizers.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from importlib import resources
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

from theorems.catalogue import THEOREMS
from theorems.errors import InvalidInput, did_you_mean
from theorems.laws import Initialization, parse_initialization
from theorems.rules import C4_RULES
from theorems.setting import Architecture
from verify.data import DataSpec
from verify.inference import Interval
from verify.optimizers.spec import OptimizerSpec
from verify.simulation.engine_names import Engine

__all__ = ["PRESETS", "AuditConfig", "OptimizerChoice", "Sweep", "load_config", "load_preset", "parse_fraction"]

PRESETS = ("quick", "sharpness")
MAX_REPLICAS = 10**8

Positive = Annotated[int, msgspec.Meta(ge=1, le=MAX_REPLICAS)]
Scale = Literal["none", "minmax", "standard"]
Number = str | int | float


class DataChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One data set: a built-in name, a file, or a function of x (see `verify.data`)."""

    source: str
    inputs: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    scale: Scale = "none"
    scale_labels: Scale = "none"
    points: Annotated[int, msgspec.Meta(ge=2, le=100_000)] = 64
    low: Number = 0
    high: Number = 1
    labels_have_density: bool = False

    def spec(self, path: str) -> DataSpec:
        """Return the data specification with exact numbers."""
        return DataSpec(
            source=self.source,
            inputs=self.inputs,
            labels=self.labels,
            scale=self.scale,
            scale_labels=self.scale_labels,
            points=self.points,
            low=parse_fraction(self.low, f"{path}.low"),
            high=parse_fraction(self.high, f"{path}.high"),
            labels_have_density=self.labels_have_density,
        )


class OptimizerChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An optimizer with settings that replace its defaults."""

    target: str
    settings: dict[str, bool | int | float | str | tuple[float, ...]] = {}

    def spec(self) -> OptimizerSpec:
        """Return the specification that `verify.optimizers.resolve` reads."""
        return OptimizerSpec(self.target, dict(self.settings))


class InitializationChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An initialization scheme with a bias law of its own."""

    scheme: str
    bias: str | None = None


class Simulation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How networks are drawn and trained.

    Symbols: initializations = networks drawn for each start, to count structural events; replicas = how many of them
    are trained with each optimizer; batch = rows a step, or "all"; look_every = steps between two looks at the risk;
    reach = share of the certified possible risk reduction that counts as reached: U = (nu+V) - reach (nu+V - witness);
    engine = what trains the replicas (see `verify.simulation.engines`); epsilon = where Adam, AMSGrad and AdamW add
    theirs, as torch or as TensorFlow 1 (see `verify.simulation.engine_names`); skip_certain = whether, of
    the replicas whose outcome is certain at initialization, only the first 256 and then one in eight are trained, which
    shows that they stay as they are, and the others are counted as what they are.
    """

    initializations: Positive = 10_000
    replicas: Annotated[int, msgspec.Meta(ge=0, le=MAX_REPLICAS)] = 256
    steps: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 100
    batch: Annotated[int, msgspec.Meta(ge=1, le=10**6)] | Literal["all"] = "all"
    look_every: Positive = 25
    dtype: Literal["float32", "float64"] = "float32"
    reach: Number = "1/2"
    block: Positive = 256
    engine: Literal["auto", "eager", "fused", "exact1d", "gpu"] = "eager"
    epsilon: Literal["torch", "tensorflow1"] = "torch"
    skip_certain: bool = True


class Inference(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The level of the whole audit and the kind of limits, fixed before the first replica."""

    alpha: Number = "1/100"
    reserved_share: Number = "1/10"
    interval: Literal["clopper-pearson", "confidence-sequence"] = "clopper-pearson"

    @property
    def kind(self) -> Interval:
        """Which limits enter the verdicts."""
        return Interval(self.interval)


class Sweep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The product of data sets (by name), initializations, architectures and optimizers."""

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    data: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    initializations: Annotated[tuple[str | InitializationChoice, ...], msgspec.Meta(min_length=1)]
    architectures: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    optimizers: Annotated[tuple[str | OptimizerChoice, ...], msgspec.Meta(min_length=1)] = tuple(C4_RULES)
    theorems: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = tuple(THEOREMS)
    axis: Literal["width", "depth", "none"] = "none"

    def check(self, path: str) -> None:
        """Check that every initialization and architecture can be read, and that nothing is named twice.

        Optimizers are built when the audit is planned. Fails: InvalidInput with the path of the value.
        """
        _check_distinct(self.data, f"{path}.data")
        _check_distinct(
            _read_each(self.initializations, _initialization, f"{path}.initializations"), f"{path}.initializations"
        )
        _check_distinct(
            _read_each(self.architectures, Architecture.parse, f"{path}.architectures"), f"{path}.architectures"
        )
        _check_distinct([spec.label for spec in self.parsed_optimizers()], f"{path}.optimizers")
        _check_distinct(self.theorems, f"{path}.theorems")

    def parsed_initializations(self) -> tuple[Initialization, ...]:
        """Return the initializations as laws."""
        return tuple(_initialization(choice) for choice in self.initializations)

    def parsed_architectures(self) -> tuple[Architecture, ...]:
        """Return the architectures."""
        return tuple(Architecture.parse(text) for text in self.architectures)

    def parsed_optimizers(self) -> tuple[OptimizerSpec, ...]:
        """Return the optimizer specifications."""
        return tuple(OptimizerSpec(choice) if isinstance(choice, str) else choice.spec() for choice in self.optimizers)


class AuditConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A whole audit."""

    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    data: Annotated[dict[str, DataChoice], msgspec.Meta(min_length=1)]
    sweep: Annotated[tuple[Sweep, ...], msgspec.Meta(min_length=1)]
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] = 0
    simulation: Simulation = Simulation()
    inference: Inference = Inference()

    def with_seed(self, seed: int) -> AuditConfig:
        """Return the same audit with another seed."""
        return msgspec.structs.replace(self, seed=seed)

    def with_engine(self, engine: str) -> AuditConfig:
        """Return the same audit with another engine. Fails: InvalidInput if there is none of this name."""
        simulation = msgspec.structs.replace(self.simulation, engine=Engine.parse(engine).value)
        return msgspec.structs.replace(self, simulation=simulation)

    def check(self) -> None:
        """Check what types cannot say: names that refer to each other, numbers in range.

        Fails: InvalidInput with the path of the value.
        """
        _check_share(self.inference.alpha, "$.inference.alpha", zero=False)
        _check_share(self.inference.reserved_share, "$.inference.reserved_share", zero=True)
        reach = parse_fraction(self.simulation.reach, "$.simulation.reach")
        if not 0 < reach <= 1:
            raise InvalidInput(f"$.simulation.reach={reach}: expected a number above 0 and at most 1")
        if self.simulation.replicas > self.simulation.initializations:
            raise InvalidInput(
                f"$.simulation.replicas={self.simulation.replicas}: expected at most "
                f"$.simulation.initializations={self.simulation.initializations}, of which they are the first"
            )
        names = [sweep.name for sweep in self.sweep]
        for number, sweep in enumerate(self.sweep):
            if names.index(sweep.name) != number:
                raise InvalidInput(f"$.sweep[{number}].name={sweep.name!r}: another sweep has this name")
            _check_known(sweep.data, self.data, f"$.sweep[{number}].data")
            _check_known(sweep.theorems, THEOREMS, f"$.sweep[{number}].theorems")
            sweep.check(f"$.sweep[{number}]")
        for name, choice in self.data.items():
            choice.spec(f"$.data.{name}")


def _initialization(choice: str | InitializationChoice) -> Initialization:
    if isinstance(choice, str):
        return parse_initialization(choice)
    return parse_initialization(choice.scheme, choice.bias)


def _read_each(choices: Iterable[Any], read: Callable[[Any], object], path: str) -> list[str]:
    """Return the text of each choice as it was understood."""
    texts = []
    for position, choice in enumerate(choices):
        try:
            texts.append(str(read(choice)))
        except InvalidInput as error:
            raise InvalidInput(f"{path}[{position}]: {error}") from error
    return texts


def _check_distinct(names: Sequence[str], path: str) -> None:
    for position, name in enumerate(names):
        if name in names[:position]:
            raise InvalidInput(f"{path}[{position}]={name!r}: named twice; expected distinct names")


def _check_share(value: Number, path: str, *, zero: bool) -> None:
    share = parse_fraction(value, path)
    if not (0 < share < 1 or (zero and share == 0)):
        raise InvalidInput(f"{path}={share}: expected a number {'from 0' if zero else 'above 0'} and below 1")


def _check_known(names: tuple[str, ...], known: Iterable[str], path: str) -> None:
    choices = list(known)
    for position, name in enumerate(names):
        if name not in choices:
            raise InvalidInput(
                f"{path}[{position}]={name!r}: expected one of {', '.join(choices)}"
                f"{did_you_mean(name, choices) or did_you_mean(name.upper(), choices)}"
            )


def parse_fraction(value: Number, where: str) -> Fraction:
    """Read an exact number: `0.01` and "0.01" are one hundredth, "1/3" is one third.

    Fails: InvalidInput for anything that is not a finite number.
    """
    try:
        if isinstance(value, str):
            if len(value) > 200 or "e" in value.lower():
                raise ValueError
            return Fraction(value)
        return Fraction(repr(value))
    except (ValueError, ZeroDivisionError):
        raise InvalidInput(f"{where}={value!r}: expected a number such as 0.01 or 1/100") from None


def load_preset(name: str) -> AuditConfig:
    """Return a preset that comes with nonconv. Fails: InvalidInput for unknown names."""
    if name not in PRESETS:
        raise InvalidInput(f"preset {name!r}: expected one of {', '.join(PRESETS)}{did_you_mean(name, PRESETS)}")
    text = resources.files("verify").joinpath("presets", f"{name}.toml").read_bytes()
    return _decode(text, f"preset {name}")


def load_config(path: str) -> AuditConfig:
    """Read a TOML file. Fails: InvalidInput if it cannot be read, or with the path of the first wrong value."""
    try:
        with open(path, "rb") as file:
            text = file.read(1_000_001)
    except (OSError, ValueError) as error:
        reason = os.strerror(error.errno or 0) if isinstance(error, OSError) else error
        raise InvalidInput(f"config {path!r} cannot be read: {reason}") from error
    if len(text) > 1_000_000:
        raise InvalidInput(f"config {path!r} is larger than 1 MB; expected a TOML file")
    return _decode(text, f"config {path!r}")


def _decode(text: bytes, where: str) -> AuditConfig:
    try:
        config = msgspec.toml.decode(text.removeprefix(codecs.BOM_UTF8), type=AuditConfig)
        config.check()
    except msgspec.ValidationError as error:
        raise InvalidInput(f"{where}: {_mended(str(error))}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{where}: byte {error.start} is not UTF-8; expected a TOML file") from error
    except RecursionError as error:
        raise InvalidInput(f"{where}: nested too deeply; expected a TOML file like the presets") from error
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from error
    except ValueError as error:
        raise InvalidInput(f"{where}: {error}; expected a TOML file") from error
    return config


_PLACES: tuple[tuple[str, type[msgspec.Struct]], ...] = (
    (r"\$", AuditConfig),
    (r"\$\.simulation", Simulation),
    (r"\$\.inference", Inference),
    (r"\$\.data\[.*\]", DataChoice),
    (r"\$\.sweep\[\d+\]", Sweep),
    (r"\$\.sweep\[\d+\]\.optimizers\[\d+\]", OptimizerChoice),
    (r"\$\.sweep\[\d+\]\.initializations\[\d+\]", InitializationChoice),
)


def _mended(message: str) -> str:
    """Put the path of a validation error first, and say what was expected instead of an unknown key or choice."""
    message, _, path = message.partition(" - at ")
    path = path.strip("`") or "$"
    if unknown := re.search(r"unknown field `(.*)`", message):
        fields = list(_hints_at(path))
        message = f"unknown key {unknown[1]!r}; expected one of {', '.join(fields)}{did_you_mean(unknown[1], fields)}"
    elif wrong := re.search(r"Invalid enum value '(.*)'", message):
        choices = _choices_at(path)
        return f"{path}={wrong[1]!r}: expected one of {', '.join(choices)}{did_you_mean(wrong[1], choices)}"
    elif message.startswith("Object missing"):
        message = message.replace("Object missing required field", "missing key").replace("`", "'")
    else:
        message = message.replace("Expected", "expected").replace("`", "")
    return f"{path}: {message}"


def _hints_at(path: str) -> dict[str, Any]:
    """The keys of the table at a path, with their types."""
    struct = next((struct for pattern, struct in _PLACES if re.fullmatch(pattern, path)), None)
    return {} if struct is None else get_type_hints(struct)


def _choices_at(path: str) -> tuple[str, ...]:
    """The words that the key at the end of a path may be."""
    table, _, key = path.rpartition(".")
    hint = _hints_at(table).get(key)
    return tuple(word for part in (hint, *get_args(hint)) if get_origin(part) is Literal for word in get_args(part))
