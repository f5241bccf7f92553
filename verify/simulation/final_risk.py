"""Where training ended: a histogram of final risks, in units in which nu is 0 and nu + V is 1. Float estimates."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from theorems.setting import DataSet

__all__ = ["BEYOND", "NO_RISK", "RISK_BINS", "RISK_SPAN", "histogram"]

RISK_BINS, RISK_SPAN = 80, 2  # bins, and how far they reach above nu, in units of V
BEYOND, NO_RISK = RISK_BINS, RISK_BINS + 1  # places of higher risks, and of networks without a finite one


def histogram(risks: npt.NDArray[np.float64], data: DataSet) -> dict[str, int]:
    """Count risks by their bin, as text (bins without any are left out); empty if the labels do not vary.

    Rigour: estimate; a risk within rounding of a bin's edge may be counted on either side of it.
    """
    if data.variance <= 0:
        return {}
    floor, unit = float(data.noise_floor), float(data.variance) * RISK_SPAN / RISK_BINS
    finite = np.isfinite(risks)
    within = np.minimum(np.where(finite, risks, 0.0), floor + (BEYOND + 1) * unit)  # no overflow beyond
    places = np.clip(np.floor((within - floor) / unit), 0, BEYOND)
    bins = np.where(finite, places, NO_RISK).astype(int)
    return {str(place): count for place, count in sorted(Counter(bins.tolist()).items())}
