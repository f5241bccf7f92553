"""What runs a kernel: a CUDA device, through NVRTC and the driver, or the host's emulation of one.

The emulation compiles the same source, with vectors of 32 lanes in place of a warp's threads, and takes the blocks one
after the other. It is for tests: every product, sum, exchange and address is the GPU's, its scheduling is not.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import torch

from verify.simulation.fused.compiler import Unavailable, load
from verify.simulation.gpu.layout import HOPPER_MEMORY, Layout
from verify.simulation.gpu.nvrtc import compiled
from verify.simulation.gpu.work import Work

__all__ = ["Cuda", "Emulator", "Machine", "machine"]

# CUdevice_attribute and CUfunction_attribute of the CUDA Driver API
_MULTIPROCESSORS, _MEMORY_OF_A_BLOCK = 16, 97
_DYNAMIC_MEMORY, _SHARE_OF_MEMORY = 8, 9
_ALIGNMENT = 256


class Machine(Protocol):
    """Compiles and runs kernels."""

    @property
    def memory(self) -> int:
        """Bytes that a block may have."""

    def prepare(self, source: str, made: Layout) -> None:
        """Compile a kernel, so that running it takes no longer. Fails: Unavailable."""

    def run(self, source: str, made: Layout, work: Work) -> None:
        """Run a kernel with one block for every so many replicas. Fails: Unavailable."""


def _blocks(made: Layout, work: Work) -> int:
    return -(-int(work.replicas) // made.replicas)


@dataclass(frozen=True)
class Emulator:
    """The host's C compiler in place of a GPU."""

    memory: int = HOPPER_MEMORY

    def prepare(self, source: str, made: Layout) -> None:
        """Compile a kernel. Fails: Unavailable."""
        load(source, {})

    def run(self, source: str, made: Layout, work: Work) -> None:
        """Run a kernel, block after block. Fails: Unavailable; MemoryError."""
        room = ctypes.c_long(made.memory + _ALIGNMENT)
        if load(source, {}).train(ctypes.byref(work), room, ctypes.c_long(_blocks(made, work))):
            raise MemoryError("no memory for the emulation of a block")


@dataclass(frozen=True)
class Cuda:
    """One CUDA device, in torch's context and on its current stream."""

    index: int

    @property
    def memory(self) -> int:
        """Bytes that a block may have."""
        return _attribute(_MEMORY_OF_A_BLOCK, self.index)

    @property
    def multiprocessors(self) -> int:
        """How many there are."""
        return _attribute(_MULTIPROCESSORS, self.index)

    def prepare(self, source: str, made: Layout) -> None:
        """Compile and load a kernel. Fails: Unavailable."""
        self.function(source, made.memory, wide=made.wide)

    def run(self, source: str, made: Layout, work: Work) -> None:
        """Launch a kernel; torch's operations on the stream wait for it. Fails: Unavailable."""
        function = self.function(source, made.memory, wide=made.wide)
        self.launch(function, _blocks(made, work), 32 * made.warps, made.memory, work)

    def function(self, source: str, memory: int, *, wide: bool = False) -> ctypes.c_void_p:
        """The kernel `train` of a source, whose blocks may have so many bytes. Fails: Unavailable."""
        return _function(self.index, source, wide, memory)

    def launch(
        self, function: ctypes.c_void_p, blocks: int, threads: int, memory: int, argument: ctypes.Structure
    ) -> None:
        """Launch a kernel that takes one structure. Fails: Unavailable."""
        arguments = (ctypes.c_void_p * 1)(ctypes.addressof(argument))
        with torch.cuda.device(self.index):
            stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
            launched = _driver().cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1, memory, stream, arguments, None)
        _check(launched, "cannot launch a kernel")


def machine(device: torch.device) -> Machine:
    """The machine of a device. Fails: Unavailable if it has none."""
    if device.type != "cuda":
        raise Unavailable(f"it computes on a CUDA device, and the device is {device}")
    return Cuda(torch.cuda.current_device() if device.index is None else device.index)


@lru_cache(maxsize=1)
def _driver() -> Any:
    """The CUDA driver. Fails: Unavailable."""
    for name in ("libcuda.so.1", "libcuda.so", "nvcuda.dll"):
        try:
            driver = ctypes.CDLL(name)
        except OSError:
            continue
        if driver.cuInit(0) == 0:
            return driver
        raise Unavailable(f"the CUDA driver ({name}) finds no device")
    raise Unavailable("the CUDA driver (libcuda.so.1) is not installed")


def _check(status: int, what: str) -> None:
    if status != 0:
        text = ctypes.c_char_p()
        _driver().cuGetErrorString(status, ctypes.byref(text))
        raise Unavailable(f"the CUDA driver {what}: {(text.value or b'unknown error').decode()}")


@lru_cache(maxsize=16)
def _attribute(number: int, index: int) -> int:
    device, value = ctypes.c_int(), ctypes.c_int()
    _check(_driver().cuDeviceGet(ctypes.byref(device), index), f"finds no device {index}")
    _check(_driver().cuDeviceGetAttribute(ctypes.byref(value), number, device), "does not say what the device has")
    return value.value


@lru_cache(maxsize=256)
def _function(index: int, source: str, wide: bool, memory: int) -> ctypes.c_void_p:
    """The kernel `train` of a source on a device, which may have so much memory a block. Fails: Unavailable."""
    code = compiled(source, torch.cuda.get_device_capability(index), wide=wide)
    module, function = ctypes.c_void_p(), ctypes.c_void_p()
    with torch.cuda.device(index):
        torch.cuda.synchronize()  # makes torch's context the current one
        _check(_driver().cuModuleLoadData(ctypes.byref(module), code), "cannot load a kernel")
        _check(_driver().cuModuleGetFunction(ctypes.byref(function), module, b"train"), "finds no kernel")
        for attribute, value in ((_DYNAMIC_MEMORY, memory), (_SHARE_OF_MEMORY, 100)):  # 100 %, the rest is cache
            _check(_driver().cuFuncSetAttribute(function, attribute, value), "cannot reserve a block's memory")
    return function
