"""torch's rules for the dtype in which an operation on tensors and numbers is computed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

__all__ = ["as_floating", "promoted"]


def promoted(arguments: Iterable[Any]) -> torch.dtype:
    """The common dtype: tensors with dimensions count first, then those without, then Python numbers."""
    groups: list[torch.dtype | None] = [None, None, None]
    for argument in arguments:
        if isinstance(argument, torch.Tensor):
            place, dtype = (0 if argument.dim() else 1), argument.dtype
        else:
            place, dtype = 2, _dtype_of_number(argument)
        old = groups[place]
        groups[place] = dtype if old is None else torch.promote_types(old, dtype)
    result = _combined(groups[0], _combined(groups[1], groups[2]))
    if result is None:
        raise ValueError("no operands")
    return result


def as_floating(dtype: torch.dtype) -> torch.dtype:
    """The dtype in which functions with real values are computed."""
    return dtype if dtype.is_floating_point or dtype.is_complex else torch.get_default_dtype()


def _dtype_of_number(number: Any) -> torch.dtype:
    if isinstance(number, bool | torch.SymBool):
        return torch.bool
    if isinstance(number, int | torch.SymInt):
        return torch.int64
    return torch.get_default_dtype()


def _combined(higher: torch.dtype | None, lower: torch.dtype | None) -> torch.dtype | None:
    if higher is None or lower is None:
        return lower if higher is None else higher
    if higher.is_floating_point or higher.is_complex:
        return higher
    if higher is torch.bool or lower.is_floating_point or lower.is_complex:
        return torch.promote_types(higher, lower)
    return higher
