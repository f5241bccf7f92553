"""Certified upper bounds of the optimal risk: explicit networks, found in floats, evaluated exactly.

The witness is a piecewise linear function of one direction, `x -> intercept + sum_i c_i max(u.x - t_i, 0)`: a network
with one hidden layer of as many neurons as it has knots, and one of any depth whose hidden layers are at least as
wide, since later layers pass non-negative numbers through. Whatever the float search finds, only the exact risk of
the rational network that it returns is used.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from theorems.setting import Architecture, DataSet

__all__ = ["Witness", "best_witness"]

Array = npt.NDArray[np.float64]
MAX_KNOTS = 64  # more would only make the witness's exact risk slower to evaluate


@dataclass(frozen=True)
class Witness:
    """An explicit network of the architecture and its exact risk, an upper bound of `I(l)`.

    Symbols: direction = u (input coordinates); knots = (t_i); slopes = (c_i), each a vector of outputs.
    """

    direction: tuple[Fraction, ...]
    knots: tuple[Fraction, ...]
    intercept: tuple[Fraction, ...]
    slopes: tuple[tuple[Fraction, ...], ...]
    risk: Fraction


def best_witness(architecture: Architecture, data: DataSet) -> Witness:
    """Return a network of this architecture with small exact risk, never above that of the best constant.

    Rigour:   the risk is exact; the search is float and only affects how small it is.
    """
    return _search(data, min(architecture.hidden))


@lru_cache(maxsize=256)
def _search(data: DataSet, neurons: int) -> Witness:
    constant = Witness((Fraction(0),) * data.input_dim, (), data.grand_mean, (), data.noise_floor + data.variance)
    direction = _direction(data)
    positions = [sum((u * v for u, v in zip(direction, x, strict=True)), Fraction(0)) for x in data.inputs]
    candidates = sorted(set(positions))[:-1]
    if not candidates:
        return constant
    found = _fit(data, direction, positions, _choose_knots(data, positions, candidates, neurons))
    return found if found.risk < constant.risk else constant


def _direction(data: DataSet) -> tuple[Fraction, ...]:
    """The direction of the weighted linear regression of the first label, in rationals; 1 for scalar inputs."""
    if data.input_dim == 1:
        return (Fraction(1),)
    x, y, root = _floats(data)
    design = np.column_stack([np.ones(len(x)), x]) * root[:, None]
    solution = np.linalg.lstsq(design, y[:, 0] * root, rcond=None)[0][1:]
    return tuple(_rational(value) for value in solution)


def _choose_knots(data: DataSet, positions: list[Fraction], candidates: list[Fraction], neurons: int) -> list[Fraction]:
    """Orthogonal matching pursuit over hinges at data points: the first knot always lies below all data (a slope)."""
    _, y, root = _floats(data)
    s = np.array([float(position) for position in positions])
    places = np.linspace(0, len(candidates) - 1, min(len(candidates), 400)).astype(int)
    tried = [candidates[i] for i in places]
    hinges = np.maximum(s[:, None] - np.array([float(t) for t in tried])[None, :], 0.0) * root[:, None]
    chosen = [0]
    while len(chosen) < min(neurons, len(tried), MAX_KNOTS):
        basis = np.linalg.qr(np.column_stack([root, hinges[:, chosen]]))[0]
        target = y * root[:, None]
        residual = target - basis @ (basis.T @ target)
        free = hinges - basis @ (basis.T @ hinges)
        norms = np.maximum((free**2).sum(axis=0), 1e-14)
        gains = ((free.T @ residual) ** 2).sum(axis=1) / norms
        gains[chosen] = -1.0
        chosen.append(int(np.argmax(gains)))
    return sorted(tried[i] for i in chosen)


def _fit(data: DataSet, direction: tuple[Fraction, ...], positions: list[Fraction], knots: list[Fraction]) -> Witness:
    _, y, root = _floats(data)
    s = np.array([float(position) for position in positions])
    design = np.column_stack([np.ones(len(s))] + [np.maximum(s - float(t), 0.0) for t in knots]) * root[:, None]
    solution = np.linalg.lstsq(design, y * root[:, None], rcond=None)[0]
    intercept, *slopes = (tuple(_rational(value) for value in row) for row in solution)
    outputs = {
        x: tuple(
            intercept[i] + sum((c[i] * (p - t) for c, t in zip(slopes, knots, strict=True) if p > t), Fraction(0))
            for i in range(data.output_dim)
        )
        for x, p in zip(data.inputs, positions, strict=True)
    }
    return Witness(direction, tuple(knots), intercept, tuple(slopes), data.risk_of(outputs))


def _floats(data: DataSet) -> tuple[Array, Array, Array]:
    """Inputs, labels and roots of the weights as floats, for the search only."""
    x = np.array([[float(v) for v in row] for row in data.inputs])
    y = np.array([[float(v) for v in row] for row in data.means])
    return x, y, np.sqrt(np.array([float(p) for p in data.weights]))


def _rational(value: float) -> Fraction:
    """A nearby short rational: exactness of the witness is free, short numbers keep its exact risk short."""
    return Fraction(round(float(value) * 2**40), 2**40)
