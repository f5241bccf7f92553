"""Watches the Python code of a step: which globals it uses, and whether it reads a clock, random numbers or files.

The globals that the optimizer's code can use are collected before the first step, by following the names in its
methods to functions, classes and modules. Code that is met only later is followed from then on. The attributes of
torch's and Python's own modules and classes that the code can reach by name are taken as constant, and checked.
"""

from __future__ import annotations

import builtins
import dis
import functools
import math
import operator
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import torch

from verify.optimizers.code_proof.refusal import Failure, NoProof

__all__ = ["Watch", "is_constant_package"]

# What these give is not determined by the state of the optimizer.
_IMPURE = frozenset({"time", "random", "_random", "posix", "nt", "_socket", "_io", "_datetime", "datetime", "secrets",
                     "uuid", "select", "_multiprocessing", "_thread", "gc", "ctypes", "_ctypes",
                     "_posixsubprocess"})  # fmt: skip
_IMPURE_NAMES = frozenset({"getrefcount", "_getframe", "_current_frames", "getsizeof", "cache_info"})
# Names with which code reaches what this module cannot follow.
_UNFOLLOWED = frozenset({"globals", "exec", "eval", "cache_info", "_getframe", "currentframe", "getrefcount"})
# C functions whose exceptions are ordinary: the same would come for plain numbers.
_RAISING = frozenset({"next", "__next__", "send", "throw", "getattr", "pop", "popitem", "popleft", "index", "remove",
                      "__getitem__", "__getattr__", "__getattribute__", "import_module", "__import__"})  # fmt: skip
# Imports, messages and torch itself: they read clocks and files, and do not hand them to the step.
_HARMLESS_CALLERS = ("torch", "logging", "warnings", "importlib", "verify")
_HARMLESS_NAMES = frozenset({"get_ident", "allocate_lock", "RLock", "fspath"})
# Python's own code that takes a lock and gives it back.
_BALANCED = (functools.cached_property.__get__.__code__,)
# Types whose methods are determined by their arguments.
_PLAIN_OWNERS = (dict, list, tuple, str, set, frozenset, int, float, bytes)
# Packages whose module globals and classes are taken as constant.
_CONSTANT = ("torch", "numpy", "verify", "theorems", "sympy", "mpmath", "hypothesis", "builtins")


def is_constant_package(name: str) -> bool:
    """Whether nothing that a step may change is expected among the globals and classes of this module."""
    root = name.partition(".")[0]
    return root in _CONSTANT or (root in sys.stdlib_module_names and root != "__main__")


class _Absent:
    """Stands for a name that a module does not have."""


ABSENT: Final = _Absent()


class Watch:
    """names: for each module followed, its globals and the names that the code uses."""

    def __init__(self) -> None:
        self.names: dict[int, tuple[dict[str, Any], set[str]]] = {}
        self.codes: set[CodeType] = set()
        self.impure: str = ""
        self._late: list[tuple[dict[str, Any], str, object]] = []
        self._originals: list[tuple[dict[str, Any], str, object]] = []
        self._frozen: dict[int, tuple[ModuleType | type, dict[str, object]]] = {}
        self._running = False
        self._doubtful: dict[CodeType, str] = {}
        self._passed: dict[CodeType, dict[str, Any]] = {}
        for module in (
            builtins,
            math,
            torch,
            torch.autograd,
        ):  # now, for some of their functions are replaced while a step runs
            self.freeze(module)

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
        self._names(module, frozenset(_names_of(code)), set())

    def _names(self, module: dict[str, Any], used: frozenset[str], visited: set[int]) -> None:
        """`name` and `module.name` in the code may be globals of the modules; those that do not exist yet, too."""
        if id(module) in visited:
            return
        visited.add(id(module))
        _, names = self.names.setdefault(id(module), (module, set()))
        for name in sorted(used):
            value = module.get(name, ABSENT)
            if name.startswith(("__", "@")):
                continue
            if name not in names:
                names.add(name)
                self._originals.append((module, name, value))
                if self._running:
                    self._late.append((module, name, value))
                self.follow(value)
            if isinstance(value, ModuleType) and not is_constant_package(value.__name__):
                self._names(vars(value), used, visited)
            elif isinstance(value, ModuleType | type):
                self.freeze(value, used)

    def freeze(
        self, owner: ModuleType | type, used: frozenset[str] = frozenset(), visited: frozenset[int] = frozenset()
    ) -> None:
        """Take the attributes of a module or class of torch or Python as constant, and those of its parts in use."""
        label = owner.__name__ if isinstance(owner, ModuleType) else owner.__module__
        if not is_constant_package(label):
            return
        if id(owner) not in self._frozen:
            self._frozen[id(owner)] = owner, dict(vars(owner))
        for name in used:
            part = vars(owner).get(name)
            if isinstance(part, ModuleType | type) and id(part) not in visited:
                self.freeze(part, used, visited | {id(owner)})

    def _check_frozen(self) -> None:
        for owner, saved in self._frozen.values():
            now = vars(owner)
            if len(now) == len(saved) and all(map(operator.is_, now.values(), saved.values())):
                continue  # the usual case, in the same order
            for name in saved.keys() | now.keys():
                value = now.get(name, ABSENT)
                if value is not saved.get(name, ABSENT) and not isinstance(value, ModuleType):
                    raise NoProof(f"{owner.__name__}.{name} changes, which is taken as constant")

    def _check_types(self, code: CodeType, module: dict[str, Any]) -> None:
        unfollowed = _UNFOLLOWED.intersection(_names_of(code))
        line = _asks_for_exact_type(code)
        where = f"at {module.get('__name__')}:{line or code.co_firstlineno}"
        if unfollowed:
            self._doubtful[code] = f"the code uses {min(unfollowed)}, {where}"
        elif line:
            self._doubtful[code] = f"the code asks for the exact type of something, {where}"

    def put_back(self) -> None:
        """Give the globals that were followed the values that they had."""
        for module, name, value in self._originals:
            if value is ABSENT:
                module.pop(name, None)
            else:
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
        self._check_frozen()
        for module, name, value in self._late:
            if module.get(name, ABSENT) is not value:
                raise NoProof(f"the global {module.get('__name__')}.{name} changes in code that was not known before")
        self._late.clear()

    def _see(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            if self._passed.get(frame.f_code) is frame.f_globals:  # seen before, and found to be without doubt
                return
            known = frame.f_code in self.codes or is_constant_package(str(frame.f_globals.get("__name__", "")))
            if not known and not _is_importing(frame):
                self._code(frame.f_code, frame.f_globals)
            if frame.f_code in self._doubtful:
                self.impure = self.impure or self._doubtful[frame.f_code]
            elif known or frame.f_code in self.codes:
                self._passed[frame.f_code] = frame.f_globals
        elif event == "c_call" and not self.impure:
            self._check(frame, argument)
        elif event == "c_exception" and frame.f_code in self.codes and not self.impure:
            name = getattr(argument, "__name__", "")
            if name not in _RAISING and not Failure.is_new():
                where = f"{frame.f_globals.get('__name__')}:{frame.f_lineno}"
                self.impure = f"{name} raises an exception, which plain numbers might not make it do, at {where}"

    def _check(self, frame: FrameType, called: Any) -> None:
        owner = getattr(called, "__self__", None)
        if type(owner) in _PLAIN_OWNERS:
            return
        source = getattr(called, "__module__", None) or type(owner).__module__
        if owner is not None and not isinstance(owner, ModuleType):
            source = type(owner).__module__ if not isinstance(owner, type) else owner.__module__
        root = str(source).partition(".")[0]
        name = getattr(called, "__name__", "")
        if isinstance(owner, torch.Generator) and name not in ("manual_seed", "set_state"):
            self.impure = f"the state of a random generator is read ({name})"
            return
        impure = root in _IMPURE or name in _IMPURE_NAMES or str(source).startswith("numpy.random")
        if not impure or name in _HARMLESS_NAMES:
            return
        if frame.f_code in _BALANCED and name in ("__enter__", "__exit__"):
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


def _is_importing(frame: FrameType | None) -> bool:
    """Whether an import is going on: hooks of Python's imports are no code of the optimizer."""
    while frame is not None:
        if str(frame.f_globals.get("__name__", "")).startswith(("importlib.", "_frozen_importlib")):
            return True
        frame = frame.f_back
    return False


def _names_of(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_of(constant)


def _asks_for_exact_type(code: CodeType) -> int:
    """The line of a use of `type`, which tells abstract values from plain ones; 0 if there is none.

    `type(self)` and `isinstance(x, type)` do not count.
    """
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            line = _asks_for_exact_type(inner)
            if line:
                return line
    if "type" not in code.co_names:
        return 0
    lines = {start: line for start, line in dis.findlinestarts(code) if line is not None}
    line = code.co_firstlineno
    instructions = [each for each in dis.get_instructions(code) if each.opname not in ("CACHE", "PUSH_NULL")]
    for instruction, argument, call in zip(instructions, instructions[1:], instructions[2:], strict=False):
        line = lines.get(instruction.offset, line)
        asks = instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME") and instruction.argval == "type"
        of_self = argument.opname.startswith("LOAD_FAST") and argument.argval in ("self", "cls")
        as_class = argument.opname in ("PRECALL", "CALL")
        if asks and not as_class and not (of_self and call.opname in ("PRECALL", "CALL")):
            return line
    return 0
