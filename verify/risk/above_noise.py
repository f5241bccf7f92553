"""Is the optimal risk above the noise floor, `I(l) > nu`?

Source: math Lemma 7 a and b. Everything is exact: fractions and integers.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import prod

from theorems.hypotheses import Evidence, Finding, OptimalRiskAboveNoise, Status
from theorems.setting import DataSet

__all__ = ["affine_runs", "interpolates", "linear_pieces", "optimal_risk_above_noise"]

ID = OptimalRiskAboveNoise(0).id


def linear_pieces(hidden: tuple[int, ...]) -> int:
    """`prod_k (l_k + 1)`: a network with a scalar input has at most so many affine pieces (math Lemma 7b)."""
    return prod(width + 1 for width in hidden)


@lru_cache(maxsize=256)
def affine_runs(data: DataSet) -> int:
    """Least number of contiguous groups of inputs on each of which the mean labels are exactly affine.

    Scalar inputs only. The greedy longest-run split is optimal, since every part of an affine run is one.
    Rigour:   exact. Fails: ValueError for inputs of more than one coordinate.
    """
    if data.input_dim != 1:
        raise ValueError(f"affine runs need scalar inputs, data {data.name!r} has {data.input_dim} coordinates")
    points = [(x[0], y) for x, y in zip(data.inputs, data.means, strict=True)]
    runs, start = 0, 0
    while start < len(points):
        runs += 1
        end = start + 2  # two points are always on a line
        while end < len(points) and _collinear(points[start], points[start + 1], points[end]):
            end += 1
        start = end
    return runs


def _collinear(
    first: tuple[Fraction, tuple[Fraction, ...]],
    second: tuple[Fraction, tuple[Fraction, ...]],
    third: tuple[Fraction, tuple[Fraction, ...]],
) -> bool:
    (x_1, y_1), (x_2, y_2), (x_3, y_3) = first, second, third
    return all((b - a) * (x_3 - x_1) == (c - a) * (x_2 - x_1) for a, b, c in zip(y_1, y_2, y_3, strict=True))


def interpolates(first_width: int, later_hidden: tuple[int, ...], data: DataSet) -> bool:
    """Whether Lemma 7a shows that the network reaches the noise floor exactly."""
    enough_neurons = first_width >= data.n_inputs - 1
    passes_on = not later_hidden or data.output_dim == 1 or min(later_hidden) >= data.output_dim
    return enough_neurons and passes_on


def optimal_risk_above_noise(first_width: int, later_hidden: tuple[int, ...], data: DataSet) -> Finding:
    """Decide `I(l') > nu` for hidden widths `(first_width, *later_hidden)`; first width 0 means constant networks.

    Source:   math Lemma 7 a, b.
    Rigour:   exact; UNKNOWN where neither part decides (scalar inputs in between, inputs of several coordinates).
    """
    if data.variance == 0:
        return _finding(Status.FAILS, "all mean labels are equal (V = 0), so constants reach the noise floor")
    if first_width == 0:
        return _finding(Status.HOLDS, "without first-layer neurons the output is constant, and V > 0")
    if interpolates(first_width, later_hidden, data):
        why = f"{first_width} first-layer neurons interpolate the {data.n_inputs} distinct inputs: I(l') = nu"
        return _finding(Status.FAILS, why)
    if data.input_dim > 1:
        why = f"no certified method yet for {data.input_dim} input coordinates (Lemma 7a and 7b do not decide)"
        return Finding(ID, Status.UNKNOWN, Evidence.CERTIFIED, why)
    runs, pieces = affine_runs(data), linear_pieces((first_width, *later_hidden))
    told = f"the data have {runs} exactly affine runs"
    shape = f"{first_width} first-layer neurons" + (
        f" and {len(later_hidden)} more hidden layers" if later_hidden else ""
    )
    if runs > pieces:
        return _finding(Status.HOLDS, f"{told}, and {shape} allow only {pieces} linear pieces")
    allowed = str(pieces) if pieces < 10**9 else "more than 10^9"
    return Finding(ID, Status.UNKNOWN, Evidence.CERTIFIED, f"{told}, and {shape} allow up to {allowed} linear pieces")


def _finding(status: Status, why: str) -> Finding:
    return Finding(ID, status, Evidence.CERTIFIED, why)
