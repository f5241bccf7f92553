"""What an audit is asked to do: configuration files, validated, with the path of whatever is wrong.

A configuration names data sets, one way of simulating, one level, and sweeps; a sweep is the product of data,
initializations, architectures and optimizers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from fractions import Fraction
from importlib import resources
from typing import Annotated, Literal

import msgspec

from theorems.catalogue import THEOREMS
from theorems.errors import InvalidInput, did_you_mean
from theorems.laws import Initialization, parse_initialization
from theorems.setting import Architecture
from verify.data import DataSpec
from verify.inference import Interval
from verify.optimizers import NAMED, OptimizerSpec

__all__ = ["PRESETS", "AuditConfig", "OptimizerChoice", "Sweep", "load_config", "load_preset", "parse_fraction"]

PRESETS = ("quick",)
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
    reach = share of the certified possible risk reduction that counts as reached: U = (nu+V) - reach (nu+V - witness).
    """

    initializations: Positive = 10_000
    replicas: Positive = 256
    steps: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 100
    batch: Annotated[int, msgspec.Meta(ge=1, le=10**6)] | Literal["all"] = "all"
    look_every: Positive = 25
    dtype: Literal["float32", "float64"] = "float32"
    reach: Number = "1/2"
    block: Positive = 256


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
    optimizers: Annotated[tuple[str | OptimizerChoice, ...], msgspec.Meta(min_length=1)] = tuple(NAMED)
    theorems: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = tuple(THEOREMS)
    axis: Literal["width", "depth", "none"] = "none"

    def parsed_initializations(self) -> tuple[Initialization, ...]:
        """Return the initializations as laws."""
        return tuple(
            parse_initialization(choice)
            if isinstance(choice, str)
            else parse_initialization(choice.scheme, choice.bias)
            for choice in self.initializations
        )

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
        for name, choice in self.data.items():
            choice.spec(f"$.data.{name}")


def _check_share(value: Number, path: str, *, zero: bool) -> None:
    share = parse_fraction(value, path)
    if not (0 < share < 1 or (zero and share == 0)):
        raise InvalidInput(f"{path}={share}: expected a number {'from 0' if zero else 'above 0'} and below 1")


def _check_known(names: tuple[str, ...], known: Iterable[str], path: str) -> None:
    choices = list(known)
    for position, name in enumerate(names):
        if name not in choices:
            raise InvalidInput(
                f"{path}[{position}]={name!r}: expected one of {', '.join(choices)}{did_you_mean(name, choices)}"
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
    except OSError as error:
        raise InvalidInput(f"config {path!r} cannot be read: {os.strerror(error.errno or 0)}") from error
    if len(text) > 1_000_000:
        raise InvalidInput(f"config {path!r} is larger than 1 MB; expected a TOML file")
    return _decode(text, f"config {path!r}")


def _decode(text: bytes, where: str) -> AuditConfig:
    try:
        config = msgspec.toml.decode(text, type=AuditConfig)
        config.check()
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{where}: {error}") from error
    except InvalidInput as error:
        raise InvalidInput(f"{where}: {error}") from error
    return config
