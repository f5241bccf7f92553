"""Why there is no proof, and the line of the optimizer at which it went wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch

__all__ = ["Failure", "ImpossiblePath", "NoProof", "nothing_swallowed", "source_line"]

_SKIPPED = ("verify.optimizers.code_proof", "torch", "contextlib", "functools", "importlib")


class NoProof(BaseException):
    """The interpreter cannot go on soundly.

    Not an `Exception`: an optimizer that catches exceptions must not swallow it. Where it catches everything,
    `nothing_swallowed` raises it again.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        _RAISED.append(self)
        self.reason = reason
        self.where = source_line()

    def __str__(self) -> str:
        return f"{self.reason}{f', at {self.where}' if self.where else ''}"


_RAISED: list[NoProof] = []


@contextmanager
def nothing_swallowed() -> Iterator[None]:
    """Raise again at the end what was raised inside and caught by the code that ran."""
    _RAISED.clear()
    yield
    if _RAISED:
        raise _RAISED[0]


class Failure(torch.linalg.LinAlgError):  # type: ignore[name-defined, misc]
    """The failure of an operation, tried by the interpreter; if nobody catches it, the execution ends."""

    _new = False

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        Failure._new = True

    @classmethod
    def is_new(cls) -> bool:
        """Whether there was one since the last call."""
        found, cls._new = cls._new, False
        return found


class ImpossiblePath(BaseException):
    """The answers given so far contradict each other: no execution takes this path."""


def source_line() -> str:
    """`module:line` of the innermost frame that belongs to neither torch (except its optimizers) nor this package."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith("torch.optim") or not _is_within(name, _SKIPPED):
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""


def _is_within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)
