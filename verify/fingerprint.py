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
import secrets
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


@lru_cache(maxsize=256)
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
    if _file_of(root) is None:  # made by a program: nobody can tell whether it is the same next time
        return ((root, secrets.token_hex()),)
    waiting, seen = [root], dict[str, str]()
    while waiting:
        name = waiting.pop()
        path = None if name in seen or not (_top(name) == _top(root) or _is_followed(_top(name))) else _file_of(name)
        if path is None:
            continue
        content = path.read_bytes()
        seen[name] = hashlib.sha256(content).hexdigest()
        waiting += _imported(content, name, path.name == "__init__.py")
        waiting += [name.rpartition(".")[0]] if "." in name else ()
        if _top(name) in _OWN:
            for part in sorted(path.parent.iterdir()):
                if part.suffix in _COMPILED:
                    seen[f"{part.parent.name}/{part.name}"] = hashlib.sha256(part.read_bytes()).hexdigest()
    return tuple(sorted(seen.items()))


def _file_of(name: str) -> Path | None:
    """The source file of a module, found without importing anything; None if there is none of this name."""
    top, *rest = name.split(".")
    base = _place_of(top)
    if base is None:
        return None
    if not rest:
        return base
    if base.name != "__init__.py":
        return None
    below = base.parent.joinpath(*rest)
    return next((path for path in (below.with_suffix(".py"), below / "__init__.py") if path.is_file()), None)


@lru_cache(maxsize=4096)
def _place_of(top: str) -> Path | None:
    """The file of a top-level module or package."""
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return None
    path = None if spec is None or spec.origin is None else Path(spec.origin)
    return path if path is not None and path.suffix == ".py" and path.is_file() else None


@lru_cache(maxsize=4096)
def _is_followed(top: str) -> bool:
    """Whether a top-level module is nonconv's, or neither of the standard library nor of an installed package."""
    path = _place_of(top)
    if top in _OWN or path is None:
        return path is not None
    installed = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "platstdlib")]
    found = path.resolve()
    libraries = {"site-packages", "dist-packages"} & set(found.parts)
    return not libraries and not any(found.is_relative_to(folder) for folder in installed)


def _imported(content: bytes, name: str, is_package: bool) -> Iterator[str]:
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
                parents = (f"{name}.__init__" if is_package else name).split(".")[: -node.level]
                base = ".".join([*parents, base] if base else parents)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)
