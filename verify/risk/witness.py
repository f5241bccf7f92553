"""Certified upper bounds of the optimal risk: explicit networks, found in floats, evaluated exactly.

The witness is a piecewise linear function of one direction, `x -> intercept + sum_i c_i max(u.x - t_i, 0)`: a network
with one hidden layer of as many neurons as it has knots, and one of any depth whose hidden layers are at least as
wide, since later layers pass non-negative numbers through. Whatever the float search finds, only the exact risk of
the rational network that it returns is used.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from theorems.setting import Architecture, DataSet

__all__ = ["Witness", "best_witness"]

Array = npt.NDArray[np.float64]
MAX_KNOTS = 64  # more would only make the witness's exact risk slower to evaluate
MAX_KNOTS_THINNED = 8
LARGE = 2_000  # distinct inputs above which the search looks at a part of them


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
    sample = _thinned(data)
    direction = _direction(sample)
    positions = _positions(sample, direction)
    candidates = sorted(set(positions))[:-1]
    if not candidates:
        return constant
    fit = _Fit.of(sample, positions)
    most = MAX_KNOTS if sample is data else MAX_KNOTS_THINNED
    knots = _choose_knots(fit, candidates, min(neurons, most))
    intercept, slopes = fit.solve(knots)
    found = Witness(direction, tuple(knots), intercept, slopes, _exact_risk(data, direction, knots, intercept, slopes))
    return found if found.risk < constant.risk else constant


def _thinned(data: DataSet) -> DataSet:
    """Every so-manieth distinct input of a large data set, for the search only."""
    if data.n_inputs <= LARGE:
        return data
    chosen = range(0, data.n_inputs, -(-data.n_inputs // LARGE))
    return replace(
        data,
        inputs=tuple(data.inputs[j] for j in chosen),
        weights=tuple(data.weights[j] for j in chosen),
        means=tuple(data.means[j] for j in chosen),
    )


def _positions(data: DataSet, direction: tuple[Fraction, ...]) -> list[Fraction]:
    return [sum((u * v for u, v in zip(direction, x, strict=True)), Fraction(0)) for x in data.inputs]


def _exact_risk(
    data: DataSet,
    direction: tuple[Fraction, ...],
    knots: list[Fraction],
    intercept: tuple[Fraction, ...],
    slopes: tuple[tuple[Fraction, ...], ...],
) -> Fraction:
    """Empirical risk of the network over all data."""
    outputs = {
        x: tuple(
            start + sum((c[i] * (p - t) for c, t in zip(slopes, knots, strict=True) if p > t), Fraction(0))
            for i, start in enumerate(intercept)
        )
        for x, p in zip(data.inputs, _positions(data, direction), strict=True)
    }
    return data.risk_of(outputs)


@dataclass(frozen=True)
class _Fit:
    """The regression problem in floats, scaled exactly to [0, 1] first so that no float can overflow.

    places (K,): scaled positions; labels (K, l_L): scaled labels; root (K,): roots of the weights.
    """

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

    def solve(self, knots: list[Fraction]) -> tuple[tuple[Fraction, ...], tuple[tuple[Fraction, ...], ...]]:
        """Least squares at these knots, rounded to rationals and scaled back exactly: intercept and slopes."""
        design = np.column_stack([self.root, self.hinges(knots)])
        solution = np.linalg.lstsq(design, self.labels * self.root[:, None], rcond=None)[0]
        intercept = tuple(
            low + span * _rational(value) for value, (low, span) in zip(solution[0], self.label_ranges, strict=True)
        )
        slopes = tuple(
            tuple(span * _rational(value) / self.span for value, (_, span) in zip(row, self.label_ranges, strict=True))
            for row in solution[1:]
        )
        return intercept, slopes


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
    while len(chosen) < min(neurons, len(tried)):
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
