"""Exact products of whole-number matrices at the speed of floating-point hardware."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["exact_product"]

_EXACT = 2**53


def exact_product(left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.int64]:
    """The matrix product of two whole-number matrices.

    Rigour:   exact. It is carried out in binary64, which holds every whole number up to 2^53: the check makes every
              product and every partial sum, in whatever order, such a number, so no operation rounds.
    Fails:    OverflowError if entries are too large for that.
    """
    largest = max(int(np.abs(left).max(initial=0)), 1) * max(int(np.abs(right).max(initial=0)), 1) * left.shape[-1]
    if largest > _EXACT:
        raise OverflowError(f"a product of matrices could reach {largest}, expected at most 2^53")
    return np.asarray(left.astype(np.float64) @ right.astype(np.float64)).astype(np.int64)
