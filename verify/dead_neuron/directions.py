"""Searches in floats for linear forms of a neuron's parameters that explain most of its outputs.

Nothing here enters a bound: whatever is found is evaluated in exact integers afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = ["Array", "as_floats", "find_forms", "importance", "promise"]

Array = NDArray[np.float64]

_STEPS = 80
_BATCH = 320
_SAMPLE = 1200
_KEPT = 500
_LEAST = 1e-4
_FIRST, _LAST = -1.0, 4.5


@dataclass(frozen=True)
class _Sample:
    """Values of the pinned forms with weights, one a row, and the tails `P(u_j.g > 0 | V g)` there."""

    values: Array
    weights: Array
    margins: Array
    tails: Array

    @property
    def dead(self) -> NDArray[np.bool_]:
        """Where the union bound leaves something."""
        return np.asarray(self.tails.sum(axis=1) < 1)


def as_floats(rows: Sequence[Sequence[Fraction]]) -> Array | None:
    """The numbers as floats, or None if some are too large (2^300) to work with."""
    if any(abs(value.numerator) >> 300 >= value.denominator for row in rows for value in row):
        return None
    return np.array([[value.numerator / value.denominator for value in row] for row in rows])


def find_forms(points: Array, count: int, *, fixed: Array | None = None, seed: int = 0) -> Array:
    """Orthonormal rows `V` for which `E max(0, 1 - sum_j P(u_j.g > 0 | V g))` is large, `g` standard normal.

    `points` are unit vectors `u_j`, one a row. Rows in `fixed`, orthonormal, are pinned as well and are not returned;
    the answer is orthogonal to them. The first row points away from the points; the others come by importance.
    Rigour: estimate (gradient steps from the leading singular vectors, seeded).
    """
    kept = np.zeros((0, points.shape[1])) if fixed is None else fixed
    _, _, directions = np.linalg.svd(points - (points @ kept.T) @ kept, full_matrices=False)
    start = directions[:count]
    found = _ascend(points, kept, start, seed)
    best = max((start, found), key=lambda rows: promise(points, np.vstack([kept, rows]), seed=seed))
    return _sorted_by_importance(points, kept, best, seed)


def promise(points: Array, rows: Array, *, noise: Array | None = None, seed: int = 0) -> float:
    """Estimate `E max(0, 1 - sum_j P(u_j.g + noise_j > 0 | V g))`; `noise` are additional variances."""
    sample = _sampled(points, rows, _SAMPLE, np.random.default_rng(seed), noise)
    return float(sample.weights @ np.maximum(0.0, 1 - sample.tails.sum(axis=1)))


def importance(points: Array, rows: Array, *, seed: int = 0) -> Array:
    """How much each point contributes to the union where the neuron may be dead."""
    sample = _sampled(points, rows, _SAMPLE, np.random.default_rng(seed + 1))
    return np.asarray((sample.weights * sample.dead) @ sample.tails)


def _sampled(points: Array, rows: Array, n: int, source: np.random.Generator, noise: Array | None = None) -> _Sample:
    """Forms: equispaced along the mean load, where death is decided, and normal across."""
    loads = points @ rows.T
    along = loads.mean(axis=0)
    along /= max(float(np.linalg.norm(along)), 1e-12)
    steps = _FIRST + (_LAST - _FIRST) * (np.arange(n) + 0.5) / n
    values = source.standard_normal((n, len(rows)))
    values -= np.outer(values @ along + steps, along)
    weights = np.exp(-(steps**2) / 2) / np.sqrt(2 * np.pi) * (_LAST - _FIRST) / n
    rest = np.maximum(1 - (loads**2).sum(axis=1), _LEAST) + (0.0 if noise is None else noise)
    margins = -(values @ loads.T) / np.sqrt(rest)
    return _Sample(values, weights, margins, _tail(margins))


def _tail(x: Array) -> Array:
    """A fast estimate of the normal tail: good to a few units of 1e-4, right in order of magnitude out to 5."""
    return np.asarray(1 / (1 + np.exp(np.clip(1.5976 * x + 0.07056 * x**3, -50, 50))))


def _ascend(points: Array, fixed: Array, start: Array, seed: int) -> Array:
    source = np.random.default_rng(seed)
    rows, first, second = start, np.zeros_like(start), 0.0
    used = points
    for step in range(_STEPS):
        if step % 20 == 0 and len(points) > _KEPT:
            weights = importance(points, np.vstack([fixed, rows]), seed=seed)
            used = points[np.argsort(-weights, kind="stable")[:_KEPT]]
        slope = _gradient(used, fixed, rows, source)
        slope -= (slope @ rows.T + rows @ slope.T) @ rows / 2
        slope -= (slope @ fixed.T) @ fixed
        first = 0.9 * first + 0.1 * slope
        second = 0.99 * second + 0.01 * float((slope**2).mean())
        scale = np.sqrt(second / (1 - 0.99 ** (step + 1))) + 1e-30
        moved = rows + 0.03 * (1 - step / _STEPS) * first / (1 - 0.9 ** (step + 1)) / scale
        left, _, right = np.linalg.svd(moved, full_matrices=False)
        rows = left @ right
    return rows


def _gradient(points: Array, fixed: Array, rows: Array, source: np.random.Generator) -> Array:
    """Derivative of the promise: margins `s_j = -a_j.T/e_j` have `d s_j = (s_j a_j/e_j^2 - T/e_j).(dV u_j)`."""
    pinned = np.vstack([fixed, rows])
    sample = _sampled(points, pinned, _BATCH, source)
    dead = sample.dead
    margins, values = sample.margins[dead], sample.values[dead]
    density = sample.weights[dead, None] * np.exp(-(margins**2) / 2)
    loads = points @ pinned.T
    rest = np.maximum(1 - (loads**2).sum(axis=1), _LEAST)[:, None]
    inner = (density * margins).sum(axis=0)[:, None] * loads / rest - density.T @ values / np.sqrt(rest)
    return np.asarray(inner[:, len(fixed) :].T @ points)


def _sorted_by_importance(points: Array, fixed: Array, rows: Array, seed: int) -> Array:
    """The same span: first against the mean of the points that matter, then principal axes of their loads."""
    weights = importance(points, np.vstack([fixed, rows]), seed=seed) + 1e-12
    weights /= weights.sum()
    loads = points @ rows.T
    rest = np.maximum(1 - (loads**2).sum(axis=1) - ((points @ fixed.T) ** 2).sum(axis=1), _LEAST)
    mean = weights @ loads
    mean /= max(float(np.linalg.norm(mean)), 1e-12)
    scaled = loads / np.sqrt(rest)[:, None]
    across = np.eye(len(rows)) - np.outer(mean, mean)
    _, axes = np.linalg.eigh(across @ (scaled.T @ (weights[:, None] * scaled)) @ across)
    others = axes[:, ::-1][:, : len(rows) - 1].T
    left, _, right = np.linalg.svd(np.vstack([-mean, others]) @ rows, full_matrices=False)
    return np.asarray(left @ right)
