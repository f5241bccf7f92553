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
    fit = _Fit.of(data, positions)
    found = fit.witness(data, direction, _choose_knots(fit, candidates, neurons))
    return found if found.risk < constant.risk else constant


@dataclass(frozen=True)
class _Fit:
    """The regression problem in floats, scaled exactly to [0, 1] first so that no float can overflow.

    places (K,): scaled positions; labels (K, l_L): scaled labels; root (K,): roots of the weights.
    """

    positions: tuple[Fraction, ...]
    places: Array
    labels: Array
    root: Array
    low: Fraction
    span: Fraction
    label_ranges: tuple[tuple[Fraction, Fraction], ...]

    @classmethod
    def of(cls, data: DataSet, positions: list[Fraction]) -> _Fit:
        """Scale positions and labels."""
        low, span = min(positions), max(positions) - min(positions)
        ranges = tuple((min(column), max(column) - min(column)) for column in zip(*data.means, strict=True))
        return cls(
            positions=tuple(positions),
            places=np.array([float((p - low) / span) for p in positions]),
            labels=np.array([_scaled(y, ranges) for y in data.means]),
            root=np.sqrt(np.array([float(p) for p in data.weights])),
            low=low,
            span=span,
            label_ranges=ranges,
        )

    def hinges(self, knots: list[Fraction]) -> Array:
        """Weighted columns `max(s - t, 0)` in scaled positions, one a knot."""
        scaled = np.array([float((t - self.low) / self.span) for t in knots])
        columns: Array = np.maximum(self.places[:, None] - scaled[None, :], 0.0) * self.root[:, None]
        return columns

    def witness(self, data: DataSet, direction: tuple[Fraction, ...], knots: list[Fraction]) -> Witness:
        """Least squares at these knots, rounded to rationals, scaled back exactly, and its exact risk."""
        design = np.column_stack([self.root, self.hinges(knots)])
        solution = np.linalg.lstsq(design, self.labels * self.root[:, None], rcond=None)[0]
        columns = range(data.output_dim)
        intercept = tuple(
            self.label_ranges[i][0] + self.label_ranges[i][1] * _rational(solution[0][i]) for i in columns
        )
        slopes = tuple(
            tuple(self.label_ranges[i][1] * _rational(row[i]) / self.span for i in columns) for row in solution[1:]
        )
        outputs = {
            x: tuple(
                intercept[i] + sum((c[i] * (p - t) for c, t in zip(slopes, knots, strict=True) if p > t), Fraction(0))
                for i in columns
            )
            for x, p in zip(data.inputs, self.positions, strict=True)
        }
        return Witness(direction, tuple(knots), intercept, slopes, data.risk_of(outputs))


def _scaled(values: tuple[Fraction, ...], ranges: tuple[tuple[Fraction, Fraction], ...]) -> list[float]:
    """Map each value to [0, 1] by its column's least value and range; constant columns to 0."""
    return [float((v - low) / span) if span else 0.0 for v, (low, span) in zip(values, ranges, strict=True)]


def _direction(data: DataSet) -> tuple[Fraction, ...]:
    """The direction of the weighted linear regression of the first label, in rationals; 1 for scalar inputs."""
    if data.input_dim == 1:
        return (Fraction(1),)
    ranges = tuple((low, high - low) for low, high in data.input_ranges)
    low, high = min(y[0] for y in data.means), max(y[0] for y in data.means)
    root = np.sqrt(np.array([float(p) for p in data.weights]))
    target = np.array([float((y[0] - low) / (high - low)) if high > low else 0.0 for y in data.means])
    design = np.column_stack([np.ones(data.n_inputs), [_scaled(x, ranges) for x in data.inputs]]) * root[:, None]
    solution = np.linalg.lstsq(design, target * root, rcond=None)[0][1:]
    return tuple(
        _rational(value) / span if span else Fraction(0) for value, (_, span) in zip(solution, ranges, strict=True)
    )


def _choose_knots(fit: _Fit, candidates: list[Fraction], neurons: int) -> list[Fraction]:
    """Orthogonal matching pursuit over hinges at data points: the first knot always lies below all data (a slope)."""
    places = np.linspace(0, len(candidates) - 1, min(len(candidates), 400)).astype(int)
    tried = [candidates[i] for i in places]
    hinges, target = fit.hinges(tried), fit.labels * fit.root[:, None]
    chosen = [0]
    while len(chosen) < min(neurons, len(tried), MAX_KNOTS):
        basis = np.linalg.qr(np.column_stack([fit.root, hinges[:, chosen]]))[0]
        residual = target - basis @ (basis.T @ target)
        free = hinges - basis @ (basis.T @ hinges)
        norms = np.maximum((free**2).sum(axis=0), 1e-14)
        gains = ((free.T @ residual) ** 2).sum(axis=1) / norms
        gains[chosen] = -1.0
        chosen.append(int(np.argmax(gains)))
    return sorted(tried[i] for i in chosen)


def _rational(value: float) -> Fraction:
    """A nearby short rational: exactness of the witness is free, short numbers keep its exact risk short."""
    return Fraction(round(float(value) * 2**40), 2**40)
