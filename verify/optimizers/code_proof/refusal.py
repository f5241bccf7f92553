"""Why there is no proof, and the line of the optimizer at which it went wrong."""

from __future__ import annotations

import sys
from types import FrameType

__all__ = ["ImpossiblePath", "NoProof", "source_line"]

_SKIPPED = ("verify.optimizers.code_proof", "torch", "contextlib", "functools", "importlib")


class NoProof(BaseException):
    """The interpreter cannot go on soundly.

    Not an `Exception`: an optimizer that catches exceptions must not swallow it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.where = source_line()

    def __str__(self) -> str:
        return f"{self.reason}{f', at {self.where}' if self.where else ''}"


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
