"""Watches the Python code of a step: which globals it uses, and whether it reads a clock, random numbers or files.

The globals that the optimizer's code can use are collected before the first step, by following the names in its
methods to functions, classes and modules. Code that is met only later is followed from then on.
"""

from __future__ import annotations

import dis
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

import torch

from verify.optimizers.code_proof.refusal import NoProof

__all__ = ["Watch", "is_constant_package"]

# What these give is not determined by the state of the optimizer.
_IMPURE = frozenset({"time", "random", "_random", "posix", "nt", "_socket", "_io", "_datetime", "datetime", "secrets",
                     "uuid", "select", "_multiprocessing", "_thread"})  # fmt: skip
# Imports, messages and torch itself: they read clocks and files, and do not hand them to the step.
_HARMLESS_CALLERS = ("torch", "logging", "warnings", "importlib", "verify")
_HARMLESS_NAMES = frozenset({"get_ident", "allocate_lock", "RLock", "fspath"})
# Packages whose module globals and classes are taken as constant.
_CONSTANT = ("torch", "numpy", "verify", "theorems", "sympy", "mpmath", "builtins")


def is_constant_package(name: str) -> bool:
    """Whether nothing that a step may change is expected among the globals and classes of this module."""
    root = name.partition(".")[0]
    return root in _CONSTANT or (root in sys.stdlib_module_names and root != "__main__")


class Watch:
    """names: for each module followed, its globals and the names that the code uses."""

    def __init__(self) -> None:
        self.names: dict[int, tuple[dict[str, Any], set[str]]] = {}
        self.codes: set[CodeType] = set()
        self.impure: str = ""
        self._late: list[tuple[dict[str, Any], str, object]] = []
        self._originals: list[tuple[dict[str, Any], str, object]] = []
        self._running = False

    # --- following ---------------------------------------------------------------------------------------------------

    def follow(self, value: object) -> None:
        """Follow a function, method or class to the globals that its code uses."""
        if isinstance(value, MethodType):
            value = value.__func__
        if isinstance(value, staticmethod | classmethod):
            value = value.__func__
        if isinstance(value, property):
            for part in (value.fget, value.fset):
                self.follow(part)
        elif isinstance(value, FunctionType):
            self._function(value)
        elif isinstance(value, type) and not is_constant_package(value.__module__):
            for part in vars(value).values():
                self.follow(part)

    def _function(self, function: FunctionType) -> None:
        if not is_constant_package(str(function.__globals__.get("__name__", ""))):
            self._code(function.__code__, function.__globals__)
        for cell in function.__closure__ or ():
            try:
                inner = cell.cell_contents
            except ValueError:
                continue
            if isinstance(inner, FunctionType) and inner.__code__ not in self.codes:
                self.follow(inner)

    def _code(self, code: CodeType, module: dict[str, Any]) -> None:
        if code in self.codes:
            return
        self.codes.add(code)
        self._check_types(code, module)
        _, names = self.names.setdefault(id(module), (module, set()))
        for name in _names_of(code):
            if name in names or name not in module or name.startswith("__"):
                continue
            names.add(name)
            value = module[name]
            self._originals.append((module, name, value))
            if self._running:
                self._late.append((module, name, value))
            if isinstance(value, ModuleType):
                self._module(value, code)
            else:
                self.follow(value)

    def _module(self, module: ModuleType, code: CodeType) -> None:
        """`module.name` in the code may be a global of that module."""
        if not is_constant_package(module.__name__):
            _, names = self.names.setdefault(id(vars(module)), (vars(module), set()))
            for name in set(_names_of(code)) & set(vars(module)):
                names.add(name)
                self.follow(vars(module)[name])

    def _check_types(self, code: CodeType, module: dict[str, Any]) -> None:
        line = _asks_for_exact_type(code)
        if line and not self.impure:
            self.impure = f"the code asks for the exact type of something, at {module.get('__name__')}:{line}"

    def put_back(self) -> None:
        """Give the globals that were followed the values that they had."""
        for module, name, value in self._originals:
            module[name] = value

    # --- watching ----------------------------------------------------------------------------------------------------

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what runs inside. Fails: NoProof at the end if something impure was called."""
        before = sys.getprofile()
        self._running = True
        sys.setprofile(self._see)
        try:
            yield
        finally:
            sys.setprofile(before)
            self._running = False
        if self.impure:
            raise NoProof(self.impure)
        for module, name, value in self._late:
            if module.get(name) is not value:
                raise NoProof(f"the global {module.get('__name__')}.{name} changes in code that was not known before")
        self._late.clear()

    def _see(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            if frame.f_code not in self.codes and not is_constant_package(str(frame.f_globals.get("__name__", ""))):
                self._code(frame.f_code, frame.f_globals)
        elif event == "c_call" and not self.impure:
            self._check(frame, argument)

    def _check(self, frame: FrameType, called: Any) -> None:
        owner = getattr(called, "__self__", None)
        source = getattr(called, "__module__", None) or type(owner).__module__
        if owner is not None and not isinstance(owner, ModuleType):
            source = type(owner).__module__ if not isinstance(owner, type) else owner.__module__
        root = str(source).partition(".")[0]
        name = getattr(called, "__name__", "")
        if isinstance(owner, torch.Generator) and name not in ("manual_seed", "set_state"):
            self.impure = f"the state of a random generator is read ({name})"
            return
        impure = root in _IMPURE or str(source).startswith("numpy.random")
        if not impure or name in _HARMLESS_NAMES:
            return
        caller: FrameType | None = frame
        while caller is not None:
            module = str(caller.f_globals.get("__name__", "")).partition(".")[0]
            if module in _HARMLESS_CALLERS:
                return
            if module not in sys.stdlib_module_names or module == "__main__":
                break
            caller = caller.f_back
        where = "" if caller is None else f", at {caller.f_globals.get('__name__')}:{caller.f_lineno}"
        self.impure = f"{root}.{name} is called, which the state does not determine{where}"


def _names_of(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_of(constant)


_COMPARES = ("IS_OP", "COMPARE_OP", "CONTAINS_OP")


def _asks_for_exact_type(code: CodeType) -> int:
    """The line of `type(x) is ...`, `==` or `in`, which tells abstract values from plain ones; 0 if there is none."""
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            line = _asks_for_exact_type(inner)
            if line:
                return line
    if "type" not in code.co_names:
        return 0
    lines = {start: line for start, line in dis.findlinestarts(code) if line is not None}
    line, asked = code.co_firstlineno, 0
    for instruction in dis.get_instructions(code):
        line = lines.get(instruction.offset, line)
        if instruction.opname.startswith("LOAD_GLOBAL") and instruction.argval == "type":
            asked = line
        elif instruction.opname in _COMPARES and line == asked:
            return line
    return 0
