"""From `package.module:factory` and a file of parameters to a module; parameters are read as numbers, never as code."""

from __future__ import annotations

import importlib
import json
import math
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from theorems.errors import InvalidInput, did_you_mean

__all__ = ["load_module", "load_state"]

_TARGET = re.compile(r"[A-Za-z_][\w]*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_SHOWN = 80
_LONGEST_HEADER = 100_000_000
_SAFETENSORS: dict[str, torch.dtype] = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def load_module(target: str, seed: int, state: str | None) -> torch.nn.Module:
    """Import and call a factory (or take a module that is there) after seeding torch, then read a file of parameters.

    Fails: InvalidInput, one sentence, for targets that are not `package.module:factory`, cannot be imported, raise, or
    make no `torch.nn.Module`, and as `load_state`.
    """
    if not _TARGET.fullmatch(target):
        raise InvalidInput(f"module {_short(target)}: expected package.module:factory, such as models:make_network")
    place, _, path = target.partition(":")
    torch.manual_seed(seed)
    found: Any = _imported(place, target)
    for name in path.split("."):
        if not hasattr(found, name):
            hint = did_you_mean(name, [each for each in dir(found) if not each.startswith("_")])
            raise InvalidInput(f"module {target!r}: {place} has no {name!r}{hint}; expected the name of a factory")
        found = getattr(found, name)
    module = found if isinstance(found, torch.nn.Module) else _called(found, target, seed)
    if state is not None:
        load_state(module, state, target)
    return module


def _imported(place: str, target: str) -> Any:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        missing = error.name or place
        what = (
            "is not found"
            if place == missing or place.startswith(f"{missing}.")
            else f"needs {missing!r}, which is not found"
        )
        raise InvalidInput(f"module {target!r}: {place} {what}; expected an importable package.module") from error
    except (Exception, SystemExit) as error:
        raise InvalidInput(f"module {target!r}: importing {place} raised {_told(error)}") from error


def _called(factory: Any, target: str, seed: int) -> torch.nn.Module:
    if not callable(factory):
        raise InvalidInput(
            f"module {target!r} is {type(factory).__name__}; expected a torch.nn.Module, or a function that makes one"
        )
    torch.manual_seed(seed)
    try:
        made = factory()
    except (Exception, SystemExit) as error:
        raise InvalidInput(
            f"module {target!r} raised {_told(error)}; expected a function without arguments that makes a module"
        ) from error
    if not isinstance(made, torch.nn.Module):
        raise InvalidInput(f"module {target!r} made {type(made).__name__}; expected a torch.nn.Module")
    return made


def _told(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return type(error).__name__ + (f": {lines[0][:200].rstrip('.')}" if lines else "")


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "...")


def load_state(module: torch.nn.Module, path: str, target: str) -> None:
    """Put the parameters of a file into a module: a state dict in .pt or .pth, or .safetensors.

    Nothing in the file is run: torch reads it with `weights_only`, safetensors holds numbers alone.
    Fails: InvalidInput if the file cannot be read, or its names or shapes do not fit the module.
    """
    if not Path(path).is_file():
        raise InvalidInput(f"--state {_short(path)} is no file; expected a state dict in .pt, .pth or .safetensors")
    values = _safetensors(path) if Path(path).suffix.lower() == ".safetensors" else _torch_file(path)
    expected = module.state_dict()
    _check_names(path, values, expected, target)
    for name, tensor in expected.items():
        if not isinstance(tensor, torch.Tensor) or torch.nn.parameter.is_lazy(tensor):
            continue
        given = values[name]
        if given.shape != tensor.shape:
            raise InvalidInput(
                f"--state {path!r}: {name!r} has shape {tuple(given.shape)}, but {target} has {tuple(tensor.shape)}"
            )
        converted = given.is_floating_point() and tensor.is_floating_point() and given.dtype != tensor.dtype
        if converted and not torch.equal(given.to(tensor.dtype).to(torch.float64), given.to(torch.float64)):
            raise InvalidInput(
                f"--state {path!r}: {name!r} is {given.dtype}, which {tensor.dtype} of {target} would round; "
                "expected a module of the same format"
            )
    try:
        module.load_state_dict(dict(values))
    except (RuntimeError, TypeError, ValueError) as error:
        raise InvalidInput(f"--state {path!r} does not fit {target}: {_told(error)}") from error


def _check_names(path: str, values: Mapping[str, torch.Tensor], expected: Mapping[str, Any], target: str) -> None:
    missing = sorted(set(expected) - set(values))
    foreign = sorted(set(values) - set(expected))
    if missing:
        raise InvalidInput(
            f"--state {path!r} has no {missing[0]!r}, which {target} needs{did_you_mean(missing[0], foreign)}"
        )
    if foreign:
        raise InvalidInput(f"--state {path!r} has {_short(foreign[0])}, which {target} does not know")


def _torch_file(path: str) -> dict[str, torch.Tensor]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InvalidInput(
            f"--state {path!r} holds Python objects, which are not read (weights_only); expected tensors alone"
        ) from error
    except Exception as error:
        raise InvalidInput(
            f"--state {path!r} cannot be read: {_told(error)}; expected a state dict of tensors"
        ) from error
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping) or not all(isinstance(each, torch.Tensor) for each in loaded.values()):
        raise InvalidInput(f"--state {path!r} holds {type(loaded).__name__}; expected a state dict of tensors")
    return {str(name): tensor for name, tensor in loaded.items()}


def _safetensors(path: str) -> dict[str, torch.Tensor]:
    """Read the format: a length (8 bytes, little endian), a JSON header, and the numbers."""
    damaged = InvalidInput(f"--state {path!r} is no safetensors file, or damaged; expected one")
    try:
        raw = Path(path).read_bytes()
    except OSError as error:
        raise InvalidInput(f"--state {path!r} cannot be read: {error.strerror}") from error
    length = int.from_bytes(raw[:8], "little")
    if len(raw) < 8 or length > min(_LONGEST_HEADER, len(raw) - 8):
        raise damaged
    try:
        header = json.loads(raw[8 : 8 + length].decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise damaged from error
    if not isinstance(header, dict):
        raise damaged
    body = raw[8 + length :]
    return {name: _tensor(entry, body, damaged) for name, entry in header.items() if name != "__metadata__"}


def _tensor(entry: Any, body: bytes, damaged: InvalidInput) -> torch.Tensor:
    match entry:
        case {"dtype": str(kind), "shape": list(shape), "data_offsets": [int(start), int(stop)]} if (
            kind in _SAFETENSORS
        ):
            dtype = _SAFETENSORS[kind]
        case _:
            raise damaged
    sizes = [size for size in shape if isinstance(size, int) and size >= 0]
    count = math.prod(sizes)
    if len(sizes) != len(shape) or not 0 <= start <= stop <= len(body) or stop - start != count * dtype.itemsize:
        raise damaged
    if not count:
        return torch.zeros(sizes, dtype=dtype)
    return torch.frombuffer(bytearray(body[start:stop]), dtype=dtype).reshape(sizes)
