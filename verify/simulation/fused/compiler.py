"""The C compiler, the system's or else that of the package ziglang, and a cache of what it made.

A library's name holds a hash of everything that it depends on (source, headers, options, compiler, instruction set) and
the hash of its own bytes: what does not match its name is made again. Files appear by renaming, so any number of
processes may compile the same source at once.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

__all__ = ["Unavailable", "cache_folder", "compiler", "load"]

SOURCES = Path(__file__).resolve().parent
HEADERS = ("lanes.h", "layers.h", "narrow.h", "shallow.h", "work.h", "crossings.h", "draws.h")
# No -ffast-math: NaN, infinities and zeros must be what IEEE 754 says. Contraction to fused operations is allowed.
OPTIONS = ("-std=gnu11", "-O3", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-shared", "-w")
_NATIVE = ("-march=native", "-mcpu=native")
_NAMES = ("cc", "gcc", "clang")
_PACKAGE = "ziglang"  # clang, with a linker and the C library's headers, for machines that have no compiler
_LIBRARY = b"#include <math.h>\n#include <stdlib.h>\n#include <string.h>\n"  # the kernels need their headers
_TIME_LIMIT = 300


class Unavailable(Exception):
    """No library can be made here; the message says why in one sentence."""


@dataclass(frozen=True)
class Compiler:
    """A C compiler, how it is told to use this machine's instructions, and a hash of what it then is.

    Symbols: command = the program and the arguments that come before all others; identity = of all that it predefines.
    """

    command: tuple[str, ...]
    native: str
    identity: str

    def __str__(self) -> str:
        return shlex.join(self.command)


def compiler() -> Compiler:
    """The compiler that is used: `$CC`, or the first that works of cc, gcc, clang and the package ziglang's.

    `$CC` is a command line: a program, and arguments if it has any.
    Fails: Unavailable if there is none that works.
    """
    wanted = os.environ.get("CC", "").strip()
    commands = [_wanted(wanted)] if wanted else list(_candidates())
    reasons = []
    for command in commands:
        found = _examined(command)
        if isinstance(found, Compiler):
            return found
        reasons.append(found)
    if not wanted and importlib.util.find_spec(_PACKAGE) is None:
        looked = f"no C compiler: looked for {', '.join(_NAMES)} on the path and for the Python package {_PACKAGE}"
        reasons = [*(reasons or [looked]), "`pip install 'nonconv[compiler]'` brings one"]
    raise Unavailable("; ".join(reasons))


def _wanted(line: str) -> tuple[str, ...]:
    try:
        name, *arguments = shlex.split(line)
    except ValueError as error:
        raise Unavailable(f"no C compiler: $CC is {line!r}, expected a command line ({error})") from error
    path = shutil.which(name)
    if path is None:
        raise Unavailable(f"no C compiler: looked for {name} on the path, which $CC names")
    return (path, *arguments)


def _candidates() -> Iterator[tuple[str, ...]]:
    for name in _NAMES:
        if (path := shutil.which(name)) is not None:
            yield (path,)
    if importlib.util.find_spec(_PACKAGE) is not None:
        yield (sys.executable, "-P", "-m", _PACKAGE, "cc")  # -P: the package, not a file of its name in this folder


@lru_cache(maxsize=8)
def _examined(command: tuple[str, ...]) -> Compiler | str:
    """What the compiler and the C library predefine, versions and this machine's instructions; or why it is no use."""
    for native in _NATIVE:
        try:
            done = _run([*command, native, "-dM", "-E", "-x", "c", "-"], _LIBRARY)
        except Unavailable as error:
            return str(error)
        if done.returncode == 0:
            return Compiler(command, native, hashlib.sha256(done.stdout).hexdigest())
    return f"the C compiler {shlex.join(command)} does not compile for this machine: {_first_line(done.stderr)}"


def _run(command: list[str], given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, input=given, capture_output=True, timeout=_TIME_LIMIT, env=_environment(command))
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"the C compiler {command[0]} cannot be run: {error}") from error


def _environment(command: list[str]) -> dict[str, str]:
    """Messages in English, and a folder for what ziglang makes once and uses for every library (50 MB)."""
    chosen = {"ZIG_GLOBAL_CACHE_DIR": _folder_of_package()} if _PACKAGE in command else {}
    return chosen | os.environ | {"LC_ALL": "C"}


def _folder_of_package() -> str:
    folder = cache_folder().parent / "zig"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return _temporary_folder()
    return str(folder) if os.access(folder, os.W_OK) else _temporary_folder()


@lru_cache(maxsize=1)
def _temporary_folder() -> str:
    """A folder for as long as this process lives."""
    folder = tempfile.mkdtemp(prefix="nonconv-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def _first_line(text: bytes) -> str:
    lines = [line for line in text.decode(errors="replace").splitlines() if "error" in line]
    return lines[0] if lines else "no message"


def cache_folder() -> Path:
    """Where libraries are kept: `$XDG_CACHE_HOME/nonconv` or `~/.cache/nonconv`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "nonconv" / "kernels"


_loaded: dict[str, ctypes.CDLL] = {}


def load(source: str, defines: Mapping[str, int | str]) -> ctypes.CDLL:
    """Compile C source, or take it from the cache, and load it.

    Fails: Unavailable if there is no compiler or it does not accept the source.
    """
    using = compiler()
    key = _key(source, defines, using)
    if key not in _loaded:
        _loaded[key] = _load(key, source, defines, using)
    return _loaded[key]


def _key(source: str, defines: Mapping[str, int | str], using: Compiler) -> str:
    digest = hashlib.sha256()
    for part in (
        source,
        *(_header(name) for name in HEADERS),
        repr(sorted(defines.items())),
        repr(OPTIONS),
        repr(using),
    ):
        digest.update(hashlib.sha256(part.encode()).digest())
    return digest.hexdigest()[:32]


@lru_cache(maxsize=8)
def _header(name: str) -> str:
    return (SOURCES / name).read_text(encoding="utf-8")


def _load(key: str, source: str, defines: Mapping[str, int | str], using: Compiler) -> ctypes.CDLL:
    found = _cached(key)
    if found is not None:
        return found
    with tempfile.TemporaryDirectory(prefix="nonconv-") as name:
        made = Path(name) / f"{key}.so"
        _compile(source, defines, using, made)
        try:
            return ctypes.CDLL(str(_kept(key, made)))
        except OSError as error:
            raise Unavailable(f"what the C compiler {using} made cannot be loaded: {error}") from error


def _cached(key: str) -> ctypes.CDLL | None:
    """The library from the cache if its bytes are those that were written; damaged files are removed."""
    try:
        paths = sorted(cache_folder().glob(f"{key}-*.so"))
    except OSError:
        return None
    for path in paths:
        try:
            if _name(key, path.read_bytes()) == path.name:
                return ctypes.CDLL(str(path))
            path.unlink()
        except OSError:
            continue
    return None


def _name(key: str, content: bytes) -> str:
    return f"{key}-{hashlib.sha256(content).hexdigest()[:32]}.so"


def _compile(source: str, defines: Mapping[str, int | str], using: Compiler, target: Path) -> None:
    path = target.with_suffix(".c")
    path.write_text(source, encoding="utf-8")
    given = [f"-D{name}={value}" for name, value in defines.items()]
    command = [*using.command, using.native, *OPTIONS, *given, f"-I{SOURCES}", str(path), "-o", str(target), "-lm"]
    done = _run(command)
    if done.returncode != 0:
        raise Unavailable(f"the C compiler {using} does not accept the kernel: {_first_line(done.stderr)}")


def _kept(key: str, made: Path) -> Path:
    """Copy a library into the cache; where that cannot be written, the library is used from where it was made."""
    content = made.read_bytes()
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / _name(key, content)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".new-")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(name, 0o755)
        os.replace(name, target)
    except OSError:
        return made
    return target
