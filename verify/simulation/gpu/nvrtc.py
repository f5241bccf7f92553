"""NVRTC, the compiler that CUDA builds of torch bring with them: the source of a kernel to the code of a GPU.

It needs no GPU. What it made is kept beside the host compiler's libraries, named by a hash of all that it depends on
and by the hash of its own bytes, so that what is damaged is made again.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import hashlib
import importlib.util
import os
import tempfile
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

import torch

from verify.simulation.fused.compiler import Unavailable, cache_folder

__all__ = ["compiled", "compiler_version"]

_OPTIONS = ("--device-as-default-execution-space",)
# Roots and quotients within about one unit in the last place, at a fourth of the instructions; they are defined for
# infinities and NaN, and the host's compiled kernels round likewise.
_SINGLE_PRECISION = ("--prec-div=false", "--prec-sqrt=false")


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    """The library, of torch's own version of CUDA if there is a choice. Fails: Unavailable."""
    tried = []
    for name in _names():
        try:
            for needed in _plain(Path(name).parent.glob("libnvrtc-builtins.so.*")):
                ctypes.CDLL(str(needed))  # NVRTC looks for it by its name alone, which finds what is loaded already
            return ctypes.CDLL(name)
        except OSError:
            tried.append(Path(name).name)
    raise Unavailable(f"NVRTC, which CUDA builds of torch bring with them, is not installed: tried {', '.join(tried)}")


def _names() -> Iterator[str]:
    major = (torch.version.cuda or "").split(".")[0]
    spec = importlib.util.find_spec("nvidia")
    folders = [] if spec is None else [Path(each) for each in spec.submodule_search_locations or ()]
    found = [path for folder in folders for path in _plain(folder.glob("*/lib/libnvrtc.so.*"))]
    yield from map(str, sorted(found, key=lambda path: (path.suffix != f".{major}", path.name)))
    system = ctypes.util.find_library("nvrtc")
    yield from ([system] if system is not None else [])
    yield from ("libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so")


def _plain(paths: Iterable[Path]) -> list[Path]:
    """Without the alternative builds that packages of NVRTC hold as well."""
    return [path for path in paths if ".alt." not in path.name]


def _check(status: int, what: str) -> None:
    if status != 0:
        text = _library().nvrtcGetErrorString
        text.restype = ctypes.c_char_p
        raise Unavailable(f"NVRTC {what}: {text(status).decode()}")


@lru_cache(maxsize=1)
def compiler_version() -> tuple[int, int]:
    """The version of CUDA that NVRTC belongs to. Fails: Unavailable."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(_library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)), "does not say its version")
    return major.value, minor.value


def _architectures() -> list[int]:
    """The compute capabilities, as 90 for 9.0, that NVRTC knows, in ascending order."""
    library, count = _library(), ctypes.c_int()
    _check(library.nvrtcGetNumSupportedArchs(ctypes.byref(count)), "does not say what it supports")
    known = (ctypes.c_int * count.value)()
    _check(library.nvrtcGetSupportedArchs(known), "does not say what it supports")
    return sorted(known)


def compiled(source: str, capability: tuple[int, int], *, wide: bool) -> bytes:
    """Code that the driver loads: a binary for the capability, or PTX where NVRTC is older than the GPU.

    wide: the kernel computes in double precision.
    Fails: Unavailable if there is no NVRTC, or it does not accept the source or know a capability as low.
    """
    wanted = capability[0] * 10 + capability[1]
    known = [each for each in _architectures() if each <= wanted]
    if not known:
        major, minor = compiler_version()
        raise Unavailable(f"NVRTC {major}.{minor} knows no GPU of compute capability {capability[0]}.{capability[1]}")
    target = f"sm_{wanted}" if known[-1] == wanted else f"compute_{known[-1]}"
    options = (f"--gpu-architecture={target}", *_OPTIONS, *(() if wide else _SINGLE_PRECISION))
    key = hashlib.sha256(repr((source, options, compiler_version())).encode()).hexdigest()[:32]
    found = _cached(key)
    if found is None:
        found = _compile(source, options)
        _keep(key, found)
    return found


def _compile(source: str, options: tuple[str, ...]) -> bytes:
    library, program = _library(), ctypes.c_void_p()
    given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    made = library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"kernel.cu", 0, None, None)
    _check(made, "does not take a program")
    try:
        if library.nvrtcCompileProgram(program, len(options), given) != 0:
            log = _output(program, "ProgramLog").decode(errors="replace").rstrip("\0")
            errors = [line for line in log.splitlines() if "error" in line] or ["no message"]
            raise Unavailable(f"NVRTC does not accept the kernel: {errors[0]}")
        return _output(program, "PTX" if "compute" in options[0] else "CUBIN")
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _output(program: ctypes.c_void_p, name: str) -> bytes:
    library, size = _library(), ctypes.c_size_t()
    _check(getattr(library, f"nvrtcGet{name}Size")(program, ctypes.byref(size)), f"gives no {name}")
    room = ctypes.create_string_buffer(size.value)
    _check(getattr(library, f"nvrtcGet{name}")(program, room), f"gives no {name}")
    return room.raw


def _file_name(key: str, content: bytes) -> str:
    return f"{key}-{hashlib.sha256(content).hexdigest()[:32]}.cubin"


def _cached(key: str) -> bytes | None:
    """What was kept, if its bytes are those that were written; damaged files are removed."""
    try:
        for path in sorted(cache_folder().glob(f"{key}-*.cubin")):
            content = path.read_bytes()
            if _file_name(key, content) == path.name:
                return content
            path.unlink()
    except OSError:
        pass  # a cache that cannot be read saves no time, and costs nothing else
    return None


def _keep(key: str, content: bytes) -> None:
    """Write what was made under its name, by renaming, so that any number of processes may do so at once."""
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=folder, prefix=".new-")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(name, folder / _file_name(key, content))
    except OSError:
        pass  # the kernel is used from where it is, and made again by the next process
