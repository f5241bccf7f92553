"""The libraries whose optimizers can be judged: what each lists, and how each optimizer is built."""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import torch

from theorems.errors import InvalidInput, did_you_mean

__all__ = ["LIBRARIES", "Built", "Library", "library_of"]

Settings = dict[str, Any]
Build = Callable[[list[torch.Tensor]], torch.optim.Optimizer]


@dataclass(frozen=True)
class Built:
    """How an optimizer is built, and what is told of it.

    target: `module:Class`. how: how it is built, if not from a list of parameters. alike: whether all parameters are
    treated alike. programs, about_program: other forms of it, to be proved, and what is assumed then.
    """

    build: Build
    target: str
    how: str = ""
    alike: bool = True
    programs: tuple[Build, ...] = ()
    about_program: str = ""


@dataclass(frozen=True)
class Library:
    """What a library lists.

    names: all of its optimizers. needed: settings without which one cannot be built. decays: those that decay
    parameters by default. preload: whether processes may be copied after it was imported. notes: what the errors of
    those that do not run leave out.
    """

    name: str
    names: Callable[[], list[str]]
    needed: Callable[[str], Settings]
    decays: Callable[[str], list[str]]
    built: Callable[[str, Settings], Built]
    preload: bool = True
    notes: Mapping[str, str] = field(default_factory=dict)

    @property
    def version(self) -> str:
        """The installed version. Fails: InvalidInput if it is not installed."""
        try:
            return importlib.metadata.version(self.name)
        except importlib.metadata.PackageNotFoundError:
            raise InvalidInput(
                f"library {self.name!r} is not installed; expected it beside nonconv (pip install 'nonconv[zoo]')"
            ) from None


def library_of(name: str) -> Library:
    """The library with this name. Fails: InvalidInput if it is unknown."""
    if name not in LIBRARIES:
        raise InvalidInput(f"library {name!r}: expected one of {', '.join(LIBRARIES)}{did_you_mean(name, LIBRARIES)}")
    return LIBRARIES[name]


_DECAYS = ("weight_decay", "lambd", "weight_decay_rate")


def _decaying(callable_: Any) -> list[str]:
    """The settings that decay parameters by default."""
    parameters = inspect.signature(callable_).parameters
    defaults = {each: parameters[each].default for each in _DECAYS if each in parameters}
    return [each for each, value in defaults.items() if isinstance(value, int | float) and value != 0]


def _target(cls: Any) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


# --- ways to build torch optimizers ------------------------------------------------------------------------------


class _Model:
    """What optimizers that want a model ask of it."""

    def __init__(self, parameters: list[torch.Tensor]) -> None:
        self._parameters = list(parameters)

    def parameters(self) -> Iterator[torch.Tensor]:
        return iter(self._parameters)

    def named_parameters(self) -> Iterator[tuple[str, torch.Tensor]]:
        names = (f"layer{index // 2}.{('weight', 'bias')[index % 2]}" for index in range(len(self._parameters)))
        return zip(names, self._parameters, strict=True)


Maker = Callable[[Any, list[torch.Tensor], Mapping[str, Any]], torch.optim.Optimizer]


def _plain(cls: Any, parameters: list[torch.Tensor], settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    made: torch.optim.Optimizer = cls(parameters, **settings)
    return made


def _model(cls: Any, parameters: list[torch.Tensor], settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    made: torch.optim.Optimizer = cls(_Model(parameters), **settings)
    return made


def _weights(cls: Any, parameters: list[torch.Tensor], settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Matrices only; biases are not trained."""
    made: torch.optim.Optimizer = cls([each for each in parameters if each.ndim == 2], **settings)
    return made


def _by_shape(cls: Any, parameters: list[torch.Tensor], settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Matrices in one group, biases in another, as these optimizers want it."""
    groups = [
        {"params": [each for each in parameters if each.ndim >= 2], "use_muon": True},
        {"params": [each for each in parameters if each.ndim < 2], "use_muon": False},
    ]
    made: torch.optim.Optimizer = cls(groups, **settings)
    return made


def _split(cls: Any, parameters: list[torch.Tensor], settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    """Two optimizers under one name: Muon for matrices, AdamW for biases."""
    library = importlib.import_module("heavyball")
    groups = [
        {"params": [each for each in parameters if each.ndim >= 2], "optimizer": library.Muon},
        {"params": [each for each in parameters if each.ndim < 2], "optimizer": library.AdamW},
    ]
    made: torch.optim.Optimizer = cls(groups, **settings)
    return made


def _group() -> None:
    """A group of one process, for optimizers that talk to others."""
    if not torch.distributed.is_initialized():
        store = torch.distributed.HashStore()  # type: ignore[attr-defined]  # a name that it does not export
        torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)


def _alone(cls: Any, parameters: list[torch.Tensor], settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    _group()
    return _plain(cls, parameters, settings)


def _alone_by_shape(cls: Any, parameters: list[torch.Tensor], settings: Mapping[str, Any]) -> torch.optim.Optimizer:
    _group()
    return _by_shape(cls, parameters, settings)


_HOW: dict[Maker, str] = {
    _weights: "weights only",
    _by_shape: "weights and biases in groups",
    _alone: "in a group of one process",
    _alone_by_shape: "weights and biases in groups, in a group of one process",
    _model: "given a model",
    _split: "Muon for weights, AdamW for biases",
}


def _torch_built(cls: Any, maker: Maker, settings: Settings) -> Built:
    def build(parameters: list[torch.Tensor]) -> torch.optim.Optimizer:
        return maker(cls, parameters, settings)

    return Built(build, _target(cls), _HOW.get(maker, ""), maker in (_plain, _model, _alone))


def _no_settings(name: str) -> Settings:
    return {}


def _classes_in(namespace: Mapping[str, Any]) -> list[str]:
    """The optimizers in a module."""
    base = torch.optim.Optimizer
    found = {name: value for name, value in namespace.items() if inspect.isclass(value) and not name.startswith("_")}
    return sorted(name for name, value in found.items() if issubclass(value, base) and value is not base)


# --- torch -------------------------------------------------------------------------------------------------------


def _torch() -> Library:
    def of(name: str) -> Any:
        return getattr(torch.optim, name)

    return Library(
        "torch",
        lambda: _classes_in(vars(torch.optim)),
        _no_settings,
        lambda name: _decaying(of(name).__init__),
        lambda name, settings: _torch_built(of(name), _weights if name == "Muon" else _plain, settings),
    )


# --- pytorch_optimizer -------------------------------------------------------------------------------------------

_MAKERS: dict[str, Maker] = {
    **dict.fromkeys(("adago", "adamuon", "muon", "muonclip", "normuon"), _by_shape),
    "demo": _alone,
    "distributedmuon": _alone_by_shape,
    **dict.fromkeys(("adalomo", "adammini", "lomo"), _model),
    "spectralsphere": _weights,
}
_NOTES = {
    **dict.fromkeys(("adalomo", "lomo"), "it has no step: parameters change in hooks of the backward pass"),
    "bsam": "with a closure it needs gradients before the first one as well",
}
_NEEDED: dict[str, Settings] = {"bsam": {"num_data": 1000}, "ranger21": {"num_iterations": 100}}


def _pytorch_optimizer() -> Library:
    def of(name: str) -> Any:
        return importlib.import_module("pytorch_optimizer").load_optimizer(name)

    def needed(name: str) -> Settings:
        return dict(_NEEDED.get(name, {}))

    return Library(
        "pytorch_optimizer",
        lambda: sorted(importlib.import_module("pytorch_optimizer").get_supported_optimizers()),
        needed,
        lambda name: _decaying(of(name).__init__),
        lambda name, settings: _torch_built(of(name), _MAKERS.get(name, _plain), settings),
        notes=_NOTES,
    )


# --- heavyball ---------------------------------------------------------------------------------------------------


def _heavyball() -> Library:
    def module() -> Any:
        found = importlib.import_module("heavyball")
        found.utils.compile_mode = None  # its functions as they are written: what torch compiles is no Python code
        return found

    def names() -> list[str]:
        """Without the bases of others, which take the parts that make an optimizer in place of settings."""
        found = module()
        parts = {name: inspect.signature(getattr(found, name).__init__).parameters for name in _classes_in(vars(found))}
        return [name for name, parameters in parts.items() if "fns" not in parameters]

    def built(name: str, settings: Settings) -> Built:
        return _torch_built(getattr(module(), name), _split if name == "SplitOpt" else _plain, settings)

    return Library("heavyball", names, _no_settings, lambda name: _decaying(getattr(module(), name).__init__), built)


# --- optax -------------------------------------------------------------------------------------------------------


def _optax() -> Library:
    def adapter() -> Any:
        return importlib.import_module("verify.optimizers.optax_adapter")

    def built(name: str, settings: Settings) -> Built:
        found = adapter()
        factory = found.factories()[name]
        build = found.OptaxBuild(name, settings)
        module = "optax.contrib" if name.startswith("contrib.") else "optax"
        target = f"{module}:{getattr(factory, '__name__', name.rpartition('.')[2])}"
        return Built(
            build, target, alike=False, programs=(build.program, build.branching), about_program=found.ABOUT_PROGRAM
        )

    return Library(
        "optax",
        lambda: list(adapter().factories()),
        lambda name: dict(adapter().needed(name)),
        lambda name: _decaying(adapter().factories()[name]),
        built,
        preload=False,  # JAX starts threads, which do not survive the copying
    )


@lru_cache(maxsize=1)
def _all() -> dict[str, Library]:
    return {each.name: each for each in (_torch(), _pytorch_optimizer(), _heavyball(), _optax())}


LIBRARIES: Mapping[str, Library] = _all()
