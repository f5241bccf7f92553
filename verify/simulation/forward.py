"""Forward passes with proved error bounds, and the exact decision which neurons and layers are dead.

A float network has dyadic rational parameters, so "dead on the data" is a question of exact arithmetic. A float64 pass
with a running error bound answers it for nearly all replicas; the rest is done in fractions.

Error bound: a float inner product of `n` terms with a bias has, in any order of summation, an error of at most
`g (|W| |h| + |b|)` with `g = (n+3) u / (1 - (n+3) u)`, `u` the unit roundoff (the rounding of the inputs included); an
error `e` of `h` adds `|W| e`. Exact zeros stay exact zeros: the bound is 0 there. Products cannot underflow while
non-zero factors are at least 2^-400 and 2^-500; replicas (or data) outside that range are done exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from theorems.setting import DataSet
from verify.enclosure import float_down, float_up
from verify.simulation.draw import Layer, Parameters

__all__ = [
    "DeadNeurons",
    "FloatData",
    "RiskBounds",
    "find_dead",
    "has_structurally_dead_layer",
    "risk_bounds",
    "surely_dead",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

UNIT = {"float64": 2.0**-53, "float32": 2.0**-24}
_SAFETY = 1.0 + 2.0**-20  # covers the rounding of the error bound's own arithmetic
_SMALLEST = 2.0**-400
_LARGEST = 2.0**400
_UNDERFLOW = 2.0**-1000  # more than all underflowing products of one inner product can lose together
_CHUNK = 50_000  # numbers in one activation array: small enough to stay in a core's cache


@dataclass(frozen=True)
class FloatData:
    """Nearest floats of a data set: inputs (K, l_0), labels (l_L, K), weights (K,); and the exact set."""

    exact: DataSet
    inputs: Floats
    labels: Floats
    weights: Floats

    @classmethod
    def of(cls, data: DataSet) -> FloatData:
        """Round every number to nearest."""
        return cls(
            data,
            inputs=np.array([[_nearest(v) for v in x] for x in data.inputs]),
            labels=np.array([[_nearest(v) for v in y] for y in data.means]).T,
            weights=np.array([_nearest(p) for p in data.weights]),
        )


def _nearest(value: Fraction) -> float:
    return value.numerator / value.denominator


@dataclass(frozen=True)
class DeadNeurons:
    """Which parts of each network are dead on the data, exactly.

    first: (replicas, l_1), dead first-layer neurons; layer: (replicas,), number of the first dead hidden layer, or 0.
    """

    first: Bools
    layer: Ints


def find_dead(parameters: Parameters, data: FloatData) -> DeadNeurons:
    """Decide exactly which first-layer neurons are dead and which hidden layer is the first dead one.

    Source:   math §3: dead means pre-activation `<= 0` at every data input.
    Rigour:   exact: an error-bounded filter, fractions where it cannot decide.
    """
    hidden = parameters[:-1]
    with np.errstate(over="ignore", invalid="ignore"):
        first, layer, unsure = _filter(hidden, data, _extreme_inputs(data), UNIT["float64"])
    for r in np.flatnonzero(unsure):
        first[r], layer[r] = _exact([Layer(part.weight[r], part.bias[r]) for part in hidden], data.exact)
    return DeadNeurons(first, layer)


def surely_dead(parameters: Parameters, data: FloatData, dtype: str) -> DeadNeurons:
    """Neurons and layers that are dead with a margin above every rounding error of a forward pass in `dtype`.

    These must stay frozen bit for bit in a float run under (F); a tie within rounding may legitimately be revived.
    """
    hidden = parameters[:-1]
    with np.errstate(over="ignore", invalid="ignore"):
        first, layer, _ = _filter(hidden, data, data.inputs, UNIT[dtype])
    return DeadNeurons(first, layer)


def has_structurally_dead_layer(parameters: Parameters, first: Bools) -> Bools:
    """Which networks have a structurally dead hidden layer, given the dead first-layer neurons; shape (replicas,).

    Source:   math Lemma 3: `D_k` = neurons with bias `<= 0` and weights `<= 0` from all neurons outside `D_{k-1}`.
    Rigour:   exact; only signs are looked at.
    """
    dead = first
    found: Bools = np.all(first, axis=1)
    for part in parameters[1:-1]:
        harmless = (part.weight <= 0) | dead[:, None, :]
        dead = (part.bias <= 0) & np.all(harmless, axis=2)
        found = found | np.all(dead, axis=1)
    return found


def _filter(hidden: Parameters, data: FloatData, points: Floats, unit: float) -> tuple[Bools, Ints, Bools]:
    """Surely dead first-layer neurons (looked at on `points`), first surely dead layer, and undecided replicas."""
    z, bound = _affine(hidden[0], points.T, np.zeros_like(points.T), unit)
    positive, nonpositive = z > bound, z <= -bound
    first: Bools = np.all(nonpositive, axis=2)
    decided = np.all(first | np.any(positive, axis=2), axis=1) & _in_range(data.inputs)
    unsure: Bools = ~decided | _out_of_range(hidden)
    layer = np.where(first.all(axis=1), 1, 0)
    undecided = np.flatnonzero((layer == 0) & ~unsure)
    undecided = undecided[~_alive_at_one_input(_take(hidden, undecided), data, unit)]
    for chunk in _chunks(undecided, hidden, data):
        layer[chunk], doubtful = _first_dead_layer(_take(hidden, chunk), data.inputs, unit)
        unsure[chunk] |= doubtful
    return first, layer, unsure


def _chunks(replicas: Ints, layers: Parameters, data: FloatData) -> list[Ints]:
    """Split replica numbers so that no activation array of a chunk is larger than a cache likes."""
    numbers = len(replicas) * max(part.bias.shape[1] for part in layers) * len(data.inputs)
    return [chunk for chunk in np.array_split(replicas, max(1, numbers // _CHUNK)) if len(chunk)]


def _extreme_inputs(data: FloatData) -> Floats:
    """Inputs that decide whether a first-layer neuron is dead: both ends for scalar inputs (it is affine), else all."""
    if data.inputs.shape[1] == 1:
        return data.inputs[[0, -1]] if len(data.inputs) > 1 else data.inputs
    return data.inputs


def _take(hidden: Parameters, replicas: Ints) -> Parameters:
    return tuple(Layer(part.weight[replicas], part.bias[replicas]) for part in hidden)


def _out_of_range(hidden: Parameters) -> Bools:
    """Replicas with non-zero parameters so small or large that products might leave the normal range."""
    bad = np.zeros(len(hidden[0].bias), dtype=bool)
    for part in hidden:
        for values in (part.weight.reshape(len(bad), -1), part.bias):
            bad |= _strays(values).any(axis=1)
    return bad


def _in_range(inputs: Floats) -> bool:
    return not _strays(inputs).any()


def _strays(values: Floats) -> Bools:
    size = np.abs(values)
    return ((size > 0) & (size < _SMALLEST)) | (size > _LARGEST)


def _affine(layer: Layer, h: Floats, error: Floats, unit: float) -> tuple[Floats, Floats]:
    """Pre-activations (replicas, out, points) and bounds of their errors, from `h` (…, in, points) with errors."""
    terms = layer.weight.shape[2] + 3
    growth = terms * unit / (1.0 - terms * unit)
    z = layer.weight @ h + layer.bias[:, :, None]
    spread = np.abs(layer.weight) @ (growth * (np.abs(h) + error) + error)
    return z, _SAFETY * (spread + growth * np.abs(layer.bias)[:, :, None])


def _relu(z: Floats, bound: Floats) -> tuple[Floats, Floats]:
    """Activations and error bounds; where the pre-activation is surely not positive both are exactly 0."""
    off = z <= -bound
    return np.where(off, 0.0, np.maximum(z, 0.0)), np.where(off, 0.0, bound)


def _alive_at_one_input(hidden: Parameters, data: FloatData, unit: float) -> Bools:
    """Replicas in which every hidden layer has a surely positive neuron at one middle input: no layer is dead."""
    middle = data.inputs[len(data.inputs) // 2][:, None]
    h, error = middle, np.zeros_like(middle)
    alive = np.ones(len(hidden[0].bias), dtype=bool)
    for part in hidden:
        z, bound = _affine(part, h, error, unit)
        alive &= (z > bound).any(axis=(1, 2))
        h, error = _relu(z, bound)
    return alive


def _first_dead_layer(hidden: Parameters, inputs: Floats, unit: float) -> tuple[Ints, Bools]:
    """First surely dead hidden layer (0: none found), and replicas in which some layer stayed undecided before it."""
    replicas = len(hidden[0].bias)
    found, doubtful = np.zeros(replicas, dtype=np.int64), np.zeros(replicas, dtype=bool)
    going = np.arange(replicas)
    h, error = inputs.T, np.zeros_like(inputs.T)
    for number, part in enumerate(hidden, start=1):
        z, bound = _affine(Layer(part.weight[going], part.bias[going]), h, error, unit)
        dead = (z <= -bound).all(axis=(1, 2))
        alive = (z > bound).any(axis=(1, 2))
        h, error = _relu(z, bound)
        tiny = ((h > 0) & (h < 2.0**-500)).any(axis=(1, 2)) | ~np.isfinite(h).all(axis=(1, 2))
        found[going[dead]] = number
        doubtful[going[(~dead & ~alive) | (tiny & ~dead)]] = True
        keep = alive & ~tiny
        going, h, error = going[keep], h[keep], error[keep]
        if not len(going):
            break
    return found, doubtful


def _exact(hidden: list[Layer], data: DataSet) -> tuple[Bools, int]:
    """The same decisions for one network in fractions."""
    outputs = [list(x) for x in data.inputs]
    first = np.zeros(len(hidden[0].bias), dtype=bool)
    layer = 0
    for number, part in enumerate(hidden, start=1):
        weight = [[Fraction(float(w)) for w in row] for row in part.weight]
        bias = [Fraction(float(b)) for b in part.bias]
        z = [
            [sum((w * v for w, v in zip(row, h, strict=True)), b) for row, b in zip(weight, bias, strict=True)]
            for h in outputs
        ]
        dead = [all(values[i] <= 0 for values in z) for i in range(len(bias))]
        if number == 1:
            first = np.array(dead)
        if all(dead):
            layer = number
            break
        outputs = [[max(v, Fraction(0)) for v in values] for values in z]
    return first, layer


# --- risks --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RiskBounds:
    """Lower and upper bounds of the exact risk of each network; infinite where a network is not finite."""

    lower: Floats
    upper: Floats


def risk_bounds(parameters: Parameters, data: FloatData) -> RiskBounds:
    """Bound the exact empirical risk of each network from both sides (math §8: risks are rounded outward)."""
    finite = np.ones(len(parameters[0].bias), dtype=bool)
    for part in parameters:
        finite &= np.isfinite(part.weight).all(axis=(1, 2)) & np.isfinite(part.bias).all(axis=1)
    lower, upper = np.full(len(finite), np.inf), np.full(len(finite), np.inf)
    for chunk in _chunks(np.flatnonzero(finite), parameters, data):
        lower[chunk], upper[chunk] = _risks(_take(parameters, chunk), data)
    return RiskBounds(lower, upper)


def _risks(parameters: Parameters, data: FloatData) -> tuple[Floats, Floats]:
    unit = UNIT["float64"]
    h, error = data.inputs.T, np.zeros_like(data.inputs.T)
    with np.errstate(over="ignore", invalid="ignore"):
        for number, part in enumerate(parameters, start=1):
            h, error = _affine(part, h, error, unit)
            error = error + _UNDERFLOW
            if number < len(parameters):
                h, error = _relu(h, error)
        residual = np.abs(h - data.labels)
        error = _SAFETY * (error + 4 * unit * (np.abs(h) + np.abs(data.labels)))
        grown = 1.0 + (residual.shape[1] * residual.shape[2] + 16) * 4 * unit
        below = (np.maximum(residual - error, 0.0) ** 2).sum(axis=1) @ data.weights / grown
        above = ((residual + error) ** 2).sum(axis=1) @ data.weights * grown
    noise = data.exact.noise_floor
    lower = np.maximum(below + float_down(noise), 0.0) * (1.0 - 4 * unit)
    upper = (above + float_up(noise)) * (1.0 + 4 * unit)
    # an overflow makes the bounds useless, not wrong: [0, inf]
    return np.where(np.isfinite(lower), lower, 0.0), np.where(np.isfinite(upper), upper, np.inf)
