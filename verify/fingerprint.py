"""Names for counts that can be kept: a hash of everything that they depend on.

Two parts enter a key: the task, written out value by value, and the code that carries it out, file by file. Whatever is
doubtful is counted in: a key that changes without need costs time, one that stays the same without right would mix
counts of different experiments.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import importlib.util
import json
import platform
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["code_version", "fingerprint"]

_OWN = ("theorems", "verify")
_LIBRARIES = ("numpy", "scipy", "sympy", "torch")
_COMPILED = (".c", ".h", ".cu", ".cuh")


def fingerprint(*values: object) -> str:
    """A SHA-256 of values, whatever process writes them.

    Types count: 1, 1.0, True and "1" differ. Fails: TypeError for a value whose content is not known.
    """
    return hashlib.sha256(json.dumps([_written(value) for value in values]).encode()).hexdigest()


def _written(value: Any) -> object:
    kind = type(value).__name__
    match value:
        case None | bool() | str():
            return [kind, value]
        case Enum():
            return [kind, value.name]
        case int() | Fraction():
            return [kind, str(value)]
        case float():
            return [kind, value.hex()]
        case tuple() | list():
            return [kind, [_written(each) for each in value]]
        case Mapping():
            return ["mapping", sorted((_written(key), _written(each)) for key, each in value.items())]
    if dataclasses.is_dataclass(value):
        fields = [(field.name, _written(getattr(value, field.name))) for field in dataclasses.fields(value)]
        return [f"{type(value).__module__}.{type(value).__qualname__}", fields]
    raise TypeError(f"a value of type {kind} has no fingerprint")


def code_version(*modules: str) -> str:
    """A hash of the source of modules, of what they import, and of the libraries that compute.

    Imports are followed through nonconv, through the modules' own packages, and through everything else that is not an
    installed library; those enter by their versions. The C sources of the compiled engines are included.
    """
    return fingerprint(
        platform.python_version(),
        {name: _version(name) for name in (*_LIBRARIES, *(_top(module) for module in modules))},
        {name: digest for module in modules for name, digest in _sources(module)},
    )


def _top(module: str) -> str:
    return module.partition(".")[0]


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@lru_cache(maxsize=256)
def _sources(root: str) -> tuple[tuple[str, str], ...]:
    """Name and hash of each source file that a module rests on."""
    followed, waiting = {_top(root), *_OWN}, [root]
    seen: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        path = None if name in seen else _file_of(name)
        if path is None or not (_top(name) in followed or _is_loose(path)):
            continue
        content = path.read_bytes()
        seen[name] = hashlib.sha256(content).hexdigest()
        waiting += _imported(content, name) if path.suffix == ".py" else ()
        waiting += [name.rpartition(".")[0]] if "." in name else ()
        if _top(name) in _OWN:
            for part in sorted(path.parent.iterdir()):
                if part.suffix in _COMPILED:
                    seen[f"{name.rpartition('.')[0]}/{part.name}"] = hashlib.sha256(part.read_bytes()).hexdigest()
    return tuple(sorted(seen.items()))


def _file_of(name: str) -> Path | None:
    """The source of a module, or None if there is none of this name: what is imported may be a name in a module."""
    loaded = sys.modules.get(name)
    try:
        spec = importlib.util.find_spec(name) if loaded is None else loaded.__spec__
    except (ImportError, ValueError, AttributeError):
        return None
    origin = getattr(loaded, "__file__", None) if spec is None else spec.origin
    path = None if origin is None else Path(origin)
    return path if path is not None and path.is_file() else None


def _is_loose(path: Path) -> bool:
    """Whether a file is neither of the standard library nor of an installed package."""
    installed = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    found = path.resolve()
    return not any(found.is_relative_to(folder) for folder in installed) and not {
        "site-packages",
        "dist-packages",
    } & set(found.parts)


def _imported(content: bytes, name: str) -> Iterator[str]:
    """Every module that may be imported, wherever in the file; `from a import b` gives a and a.b."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = name.split(".")[: -node.level] or [_top(name)]
                base = ".".join([*parents, base] if base else parents)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
