"""Float search for sums of hinges `max(u.x - t, 0)` that fit data well. Nothing here is certified.

The results are rounded to integers and evaluated exactly in `verify.risk.witness`; a poor search only makes an upper
bound of the optimal risk larger, or a margin smaller. The same data give the same result: seeds are fixed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from theorems.setting import DataSet
from verify.risk.lattice import Integers, counts_of, input_lattice, label_lattice

__all__ = [
    "Floats",
    "Hinges",
    "OutputLayer",
    "Points",
    "hinge_values",
    "hinges_for",
    "output_layer",
    "points_of",
    "regression_directions",
]

Floats = npt.NDArray[np.float64]

STEPS = 400  # of one descent
WORK = 1.5e9  # multiplications of all descents together, about
MAX_STARTS = 7
MAX_KNOTS_TRIED = 400
EXCHANGE_WORK = 2e9
ROUNDS = 6
SEED = 1
FLAT = 1e-12


@dataclass(frozen=True)
class Points:
    """Inputs in [0, 1], labels in [0, 1] (in one unit), and weights of sum about 1. Shapes: (K, d), (K, q), (K,)."""

    inputs: Floats
    labels: Floats
    weights: Floats

    @property
    def roots(self) -> Floats:
        """Square roots of the weights, as a column."""
        roots: Floats = np.sqrt(self.weights)[:, None]
        return roots

    @property
    def spread(self) -> Floats:
        """Weighted standard deviation of every input column, 1 for constant ones."""
        mean = self.weights @ self.inputs / self.weights.sum()
        deviation: Floats = np.sqrt(self.weights @ (self.inputs - mean) ** 2 / self.weights.sum())
        return np.where(deviation > FLAT, deviation, 1.0)

    def sample(self, most: int) -> Points:
        """Every so-manieth point, at most `most` of them."""
        every = -(-len(self.inputs) // most)
        return Points(self.inputs[::every], self.labels[::every], self.weights[::every])


@lru_cache(maxsize=16)
def points_of(data: DataSet) -> Points:
    """A data set in floats. Columns are divided by their sizes first, labels by one size: no float can overflow."""
    counts, total = counts_of(data)
    inputs, labels = input_lattice(data), label_lattice(data)
    return Points(
        inputs=_shares(inputs.values, inputs.sizes),
        labels=_shares(labels.values, [max(labels.sizes)] * data.output_dim),
        weights=np.array([m / total for m in counts]),
    )


def _shares(values: Integers, sizes: Sequence[int]) -> Floats:
    """Integers divided by the sizes of their columns."""
    columns = zip(values.T.tolist(), sizes, strict=True)
    return np.array([[value / size for value in column] if size else [0.0] * len(column) for column, size in columns]).T


@dataclass(frozen=True)
class Hinges:
    """First-layer neurons `max(W x - t, 0)`. Shapes: directions W (n, d), thresholds t (n,)."""

    directions: Floats
    thresholds: Floats


def hinge_values(points: Points, hinges: Hinges) -> Floats:
    """`max(W x_j - t, 0)` for every point. Shape: (K, n)."""
    values: Floats = np.maximum(points.inputs @ hinges.directions.T - hinges.thresholds, 0.0)
    return values


def hinges_for(points: Points, neurons: int) -> Iterator[Hinges]:
    """Candidates for the `neurons` hinges whose span, with constants, comes closest to the labels."""
    along = list(_along_one_direction(points, neurons))
    yield from along
    if points.inputs.shape[1] == 1 or not along:
        return
    starts = int(min(max(WORK / (points.inputs.size * neurons * STEPS), 1), MAX_STARTS))
    if starts > 1:
        yield _descended(points, along[-1])
    for start in range(max(starts - 1, 1)):
        yield _descended(points, _random_hinges(points, neurons, SEED + start))


# --- one direction ---------------------------------------------------------------------------------------------------


def regression_directions(points: Points) -> Iterator[Floats]:
    """Directions of weighted linear regressions of the labels, more and less regularized; (1,) for scalar inputs.

    Nothing if the inputs do not move.
    """
    if points.inputs.shape[1] == 1:
        yield np.ones(1)
        return
    spread = points.spread
    inputs = (points.inputs - points.inputs.mean(axis=0)) / spread
    labels = points.labels - points.labels.mean(axis=0)
    gram, moments = inputs.T @ (points.weights[:, None] * inputs), inputs.T @ (points.weights[:, None] * labels)
    if np.trace(gram) <= FLAT:
        return
    for ridge in (1e-9, 1e-3, 1e-1):
        slopes = np.linalg.solve(gram + ridge * np.eye(len(gram)) * np.trace(gram), moments)
        direction = np.linalg.svd(slopes)[0][:, 0] if slopes.shape[1] > 1 else slopes[:, 0]
        if np.linalg.norm(direction) > 0:
            yield direction / np.linalg.norm(direction) / spread


def _along_one_direction(points: Points, neurons: int) -> Iterator[Hinges]:
    """Hinges in the direction of the linear regression that begin at points; for scalar inputs also midway between.

    First hinges that rise in that direction, then, from there and for scalar inputs also from the beginning, of both
    senses.
    """
    direction = next(regression_directions(points), None)
    if direction is None:
        return
    places = points.inputs @ direction
    distinct = np.unique(places)
    if len(distinct) < 2:
        return
    tried = distinct
    if points.inputs.shape[1] == 1 and 2 * len(tried) <= MAX_KNOTS_TRIED:
        tried = np.sort(np.concatenate([tried, (distinct[1:] + distinct[:-1]) / 2]))
    tried = tried[np.linspace(0, len(tried) - 1, min(len(tried), MAX_KNOTS_TRIED)).astype(int)]
    knots = np.concatenate([tried[:-1], tried[1:]])  # a hinge that begins at the last point is 0
    senses = np.repeat([1.0, -1.0], len(tried) - 1)
    table = np.maximum((places[:, None] - knots) * senses, 0.0) * points.roots
    labels = points.labels * points.roots
    rising = table[:, : len(tried) - 1]
    chosen = _exchanged(rising, labels, points.roots, _greedy(rising, labels, points.roots, neurons))
    starts = [chosen, _exchanged(table, labels, points.roots, chosen)]
    if points.inputs.shape[1] == 1:
        starts.append(_exchanged(table, labels, points.roots, _greedy(table, labels, points.roots, neurons)))
    for start in starts:
        yield Hinges(np.outer(senses[start], direction), (senses * knots)[start])


def _greedy(table: Floats, labels: Floats, roots: Floats, neurons: int) -> list[int]:
    """Orthogonal matching pursuit over the columns of the table; the first is column 0, a hinge below all points."""
    width = table.shape[1]
    free = _without(np.column_stack([table, labels]), roots[:, 0])
    chosen = [0]
    while len(chosen) < min(neurons, width):
        free = _without(free, free[:, chosen[-1]])
        gains = _gains(free[:, :width], free[:, width:])
        best = int(np.argmax(gains))
        if gains[best] <= 0:
            break
        chosen.append(best)
    return chosen


def _without(columns: Floats, pivot: Floats) -> Floats:
    """Columns minus their projections on one vector."""
    length = float(np.linalg.norm(pivot))
    if length <= FLAT:
        return columns
    unit = pivot / length
    rest: Floats = columns - np.outer(unit, unit @ columns)
    return rest


def _gains(free: Floats, residual: Floats) -> Floats:
    """Decrease of the squared error by each column, given orthogonal to those in use; -1 for columns in their span."""
    norms = (free**2).sum(axis=0)
    gains = ((free.T @ residual) ** 2).sum(axis=1) / np.maximum(norms, FLAT)
    return np.where(norms > FLAT, gains, -1.0)


def _exchanged(table: Floats, labels: Floats, roots: Floats, chosen: list[int]) -> list[int]:
    """Move one hinge at a time to its best place given the others, while the error decreases and the work is small."""
    work = table.size * len(chosen) ** 2
    chosen = list(chosen)
    for _ in range(int(min(EXCHANGE_WORK / work, ROUNDS))):
        before = list(chosen)
        for i in range(len(chosen)):
            rest = chosen[:i] + chosen[i + 1 :]
            basis = np.linalg.qr(np.column_stack([roots, table[:, rest]]))[0]
            gains = _gains(table - basis @ (basis.T @ table), labels - basis @ (basis.T @ labels))
            best = int(np.argmax(gains))
            if gains[best] > gains[chosen[i]] * (1 + 1e-9):
                chosen[i] = best
        if chosen == before:
            break
    return chosen


# --- descent in all parameters ---------------------------------------------------------------------------------------


def _random_hinges(points: Points, neurons: int, seed: int) -> Hinges:
    """A regression hinge below all points, and hinges in random directions through random points."""
    source = np.random.default_rng(seed)
    n, d = points.inputs.shape
    directions = source.standard_normal((neurons, d)) / points.spread / np.sqrt(d)
    for first in regression_directions(points):
        directions[0] = first
        break
    thresholds = (directions * points.inputs[source.integers(0, n, neurons)]).sum(axis=1)
    thresholds[0] = (points.inputs @ directions[0]).min()
    return Hinges(directions, thresholds)


def _descended(points: Points, start: Hinges) -> Hinges:
    """Minimize the weighted squared error over directions, thresholds and output weights (L-BFGS)."""
    spread, centre = points.spread, points.inputs.mean(axis=0)
    inputs = (points.inputs - centre) / spread
    neurons, d = start.directions.shape
    outputs = points.labels.shape[1]
    scale = max(float(np.sqrt(points.weights @ (points.labels - points.labels.mean(axis=0)) ** 2).max()), FLAT)
    labels = (points.labels - points.labels.mean(axis=0)) / scale

    def error(parameters: Floats) -> tuple[float, Floats]:
        directions, thresholds, combine = _split(parameters, neurons, d, outputs)
        before = inputs @ directions.T - thresholds
        hidden = np.maximum(before, 0.0)
        residual = combine[0] + hidden @ combine[1:] - labels
        weighted = 2 * points.weights[:, None] * residual
        back = (weighted @ combine[1:].T) * (before > 0)
        gradient = [back.T @ inputs, -back.sum(axis=0), weighted.sum(axis=0), hidden.T @ weighted]
        return float((weighted * residual).sum()) / 2, np.concatenate([part.ravel() for part in gradient])

    directions = start.directions * spread
    thresholds = start.thresholds - start.directions @ centre
    combine = np.clip(
        output_weights(np.maximum(inputs @ directions.T - thresholds, 0.0), labels, points.weights), -30, 30
    )
    options: dict[str, Any] = {"maxiter": STEPS, "maxcor": 20}
    first = np.concatenate([directions.ravel(), thresholds, combine.ravel()])
    found = minimize(error, first, jac=True, method="L-BFGS-B", options=options)
    directions, thresholds, _ = _split(np.asarray(found.x), neurons, d, outputs)
    return Hinges(directions / spread, thresholds + directions @ (centre / spread))


def _split(parameters: Floats, neurons: int, d: int, outputs: int) -> tuple[Floats, Floats, Floats]:
    directions, thresholds, combine = np.split(parameters, [neurons * d, neurons * (d + 1)])
    return directions.reshape(neurons, d), thresholds, combine.reshape(neurons + 1, outputs)


@dataclass(frozen=True)
class OutputLayer:
    """`x -> intercept + hinges . carry . spread`. Shapes: (q,), (n, w), (w, q); w = q and `spread` 1 at full rank."""

    intercept: Floats
    carry: Floats
    spread: Floats

    def error(self, hidden: Floats, points: Points) -> float:
        """Weighted squared error of this layer on these hinge values."""
        residual = self.intercept + hidden @ self.carry @ self.spread - points.labels
        return float(points.weights @ (residual**2).sum(axis=1))


def output_layer(hidden: Floats, labels: Floats, weights: Floats, rank: int) -> OutputLayer:
    """Least squares fit of the labels by the hidden values, of at most this rank (reduced-rank regression)."""
    full = output_weights(hidden, labels, weights)
    if rank >= labels.shape[1]:
        return OutputLayer(full[0], full[1:], np.eye(labels.shape[1]))
    fitted = hidden @ full[1:]
    fitted = (fitted - weights @ fitted / weights.sum()) * np.sqrt(weights)[:, None]
    carry = full[1:] @ np.linalg.svd(fitted, full_matrices=False)[2][:rank].T
    last = output_weights(hidden @ carry, labels, weights)
    return OutputLayer(last[0], carry, last[1:])


def output_weights(hidden: Floats, labels: Floats, weights: Floats) -> Floats:
    """Least squares: constants in the first row, then one row a hinge. Shape: (n + 1, q)."""
    roots = np.sqrt(weights)[:, None]
    design = np.column_stack([np.ones(len(hidden)), hidden]) * roots
    solution: Floats = np.linalg.lstsq(design, labels * roots, rcond=1e-12)[0]
    return solution
