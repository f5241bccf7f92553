"""Forward passes with proved error bounds, and the exact decision which neurons and layers are dead.

A float network has dyadic rational parameters, so "dead on the data" is a question of exact arithmetic. A float64 pass
with a running error bound answers it for nearly all replicas; the rest is done in long integers, or in fractions.

Error bound: a float inner product of `n` terms with a bias has, in any order of summation and with or without fused
multiply-add, an error of at most `g (|W| |h| + |b|)` with `g = (n+3) u / (1 - (n+3) u)`, `u` the unit roundoff (the
rounding of the inputs included); an error `e` of `h` adds `|W| e`. Exact zeros stay exact zeros: the bound is 0 there.
This holds while nothing overflows or underflows: `Arithmetic` gives ranges in which that cannot happen, and whatever
leaves them is decided in fractions, or not claimed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from theorems.errors import InvalidInput
from theorems.setting import DataSet
from verify.enclosure import at_most, float_down, float_up
from verify.simulation.draw import Layer, Parameters

__all__ = [
    "DeadNeurons",
    "FloatData",
    "RiskBounds",
    "find_dead",
    "risk_bounds",
    "structurally_dead_layer",
    "surely_dead",
]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_SAFETY = 1.0 + 2.0**-20  # covers the rounding of the error bound's own arithmetic
_UNDERFLOW = 2.0**-1000  # more than all underflowing products of one inner product can lose together
_PLACES = 256  # binary places of long intervals
_CHUNK = 50_000  # numbers in one activation array: small enough to stay in a core's cache


@dataclass(frozen=True)
class Arithmetic:
    """A floating-point format, and ranges of magnitudes in which no product underflows and no sum overflows.

    Symbols: unit = u; factor = least and greatest non-zero parameter or input; activation = least non-zero activation;
    error = least non-zero error bound; bound = greatest error bound (it is at least u times the sum of all products).
    """

    unit: float
    factor: tuple[float, float]
    activation: float
    error: float
    bound: float

    def strays(self, values: Floats) -> Bools:
        """Which parameters or inputs leave the range."""
        size = np.abs(values)
        outside: Bools = ((size > 0) & (size < self.factor[0])) | ~(size <= self.factor[1])
        return outside

    def leaves(self, h: Floats, error: Floats) -> Bools:
        """Which replicas have activations (replicas, width, points) or error bounds outside the range."""
        small = ((h > 0) & (h < self.activation)) | ((error > 0) & (error < self.error))
        outside: Bools = np.any(small | ~(error < self.bound), axis=(1, 2))
        return outside


FLOAT64 = Arithmetic(2.0**-53, (2.0**-400, 2.0**400), 2.0**-500, 2.0**-560, 2.0**900)
# Decided in float64 but claimed of a float32 run, so in the ranges of float32: products above 2^-126, sums below 2^127.
FLOAT32 = Arithmetic(2.0**-24, (2.0**-50, 2.0**40), 2.0**-60, 2.0**-560, 2.0**80)
ARITHMETIC = {"float64": FLOAT64, "float32": FLOAT32}


@dataclass(frozen=True)
class FloatData:
    """Nearest floats of a data set: inputs (K, l_0), labels (l_L, K), weights (K,); and the exact set.

    smallest: size of the smallest non-zero input, rounded down; infinite if all are 0.
    """

    exact: DataSet
    inputs: Floats
    labels: Floats
    weights: Floats
    smallest: float

    @classmethod
    def of(cls, data: DataSet) -> FloatData:
        """Round every number to nearest. Fails: InvalidInput for numbers beyond 2^400: no simulation could use them."""
        sizes = [abs(v) for x in data.inputs for v in x if v]
        largest = max(abs(v) for row in (*data.inputs, *data.means) for v in row)
        if largest > 2**400:
            raise InvalidInput(
                f"data {data.name!r} holds a number of size {at_most(largest)}; expected at most 2^400 to simulate "
                "training (bounds alone need no such limit)"
            )
        return cls(
            data,
            inputs=np.array([[_nearest(v) for v in x] for x in data.inputs]),
            labels=np.array([[_nearest(v) for v in y] for y in data.means]).T,
            weights=np.array([_nearest(p) for p in data.weights]),
            smallest=float_down(min(sizes)) if sizes else np.inf,
        )

    def fits(self, arithmetic: Arithmetic) -> bool:
        """Whether every input is 0 or inside the range of the arithmetic, before rounding."""
        return self.smallest >= arithmetic.factor[0] and not arithmetic.strays(self.inputs).any()


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
    Rigour:   exact: an error-bounded filter, longer numbers where it cannot decide, fractions where they cannot either.
    """
    hidden = parameters[:-1]
    first, layer, unsure = _filter(hidden, data, _extreme_inputs(data), FLOAT64)
    for r in np.flatnonzero(unsure):
        network = [Layer(part.weight[r], part.bias[r]) for part in hidden]
        first[r], layer[r] = _in_long_intervals(network, data.exact) or _exact(network, data.exact)
    return DeadNeurons(first, layer)


def surely_dead(parameters: Parameters, data: FloatData, dtype: str) -> DeadNeurons:
    """Neurons and layers that are dead with a margin above every rounding error of a forward pass in `dtype`.

    These must stay frozen bit for bit in a float run under (F); a tie within rounding may legitimately be revived.
    """
    first, layer, _ = _filter(parameters[:-1], data, data.inputs, ARITHMETIC[dtype])
    return DeadNeurons(first, layer)


def structurally_dead_layer(parameters: Parameters, first: Bools) -> Ints:
    """Number of the first structurally dead hidden layer of each network, 0 if none, given dead first-layer neurons.

    Source:   math Lemma 3: `D_k` = neurons with bias `<= 0` and weights `<= 0` from all neurons outside `D_{k-1}`.
    Rigour:   exact; only signs are looked at, so such a layer is dead in floating point as well.
    """
    dead = first
    found = np.where(np.all(first, axis=1), 1, 0)
    for number, part in enumerate(parameters[1:-1], start=2):
        harmless = (part.weight <= 0) | dead[:, None, :]
        dead = (part.bias <= 0) & np.all(harmless, axis=2)
        found = np.where((found == 0) & np.all(dead, axis=1), number, found)
    return found


def _filter(hidden: Parameters, data: FloatData, points: Floats, arithmetic: Arithmetic) -> tuple[Bools, Ints, Bools]:
    """Surely dead first-layer neurons (looked at on `points`), first surely dead layer, and undecided replicas."""
    stray = _out_of_range(hidden, arithmetic) | (not data.fits(arithmetic))
    with np.errstate(over="ignore", invalid="ignore"):
        z, bound = _affine(hidden[0], points.T, np.zeros_like(points.T), arithmetic)
        stray |= ~np.all(bound < arithmetic.bound, axis=(1, 2))
        first: Bools = np.all(z <= -bound, axis=2) & ~stray[:, None]
        unsure: Bools = stray | ~np.all(first | np.any(z > bound, axis=2), axis=1)
        layer = np.where(first.all(axis=1), 1, 0)
        open_ones = np.flatnonzero((layer == 0) & ~unsure)
        open_ones = open_ones[~_alive_at_one_input(_take(hidden, open_ones), data, arithmetic)]
        for chunk in _chunks(open_ones, hidden, data):
            layer[chunk], doubtful = _first_dead_layer(_take(hidden, chunk), data.inputs, arithmetic)
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


def _out_of_range(layers: Parameters, arithmetic: Arithmetic) -> Bools:
    """Replicas with parameters so small or large that products might leave the normal range."""
    bad = np.zeros(len(layers[0].bias), dtype=bool)
    for part in layers:
        bad |= arithmetic.strays(part.weight).any(axis=(1, 2)) | arithmetic.strays(part.bias).any(axis=1)
    return bad


def _affine(layer: Layer, h: Floats, error: Floats, arithmetic: Arithmetic) -> tuple[Floats, Floats]:
    """Pre-activations (replicas, out, points) and bounds of their errors, from `h` (…, in, points) with errors."""
    terms = layer.weight.shape[2] + 3
    growth = terms * arithmetic.unit / (1.0 - terms * arithmetic.unit)
    z = layer.weight @ h + layer.bias[:, :, None]
    spread = np.abs(layer.weight) @ (growth * (np.abs(h) + error) + error)
    return z, _SAFETY * (spread + growth * np.abs(layer.bias)[:, :, None])


def _relu(z: Floats, bound: Floats) -> tuple[Floats, Floats]:
    """Activations and error bounds; where the pre-activation is surely not positive both are exactly 0."""
    off = z <= -bound
    return np.where(off, 0.0, np.maximum(z, 0.0)), np.where(off, 0.0, bound)


def _alive_at_one_input(hidden: Parameters, data: FloatData, arithmetic: Arithmetic) -> Bools:
    """Replicas in which every hidden layer has a surely positive neuron at one middle input: no layer is dead."""
    middle = data.inputs[len(data.inputs) // 2][:, None]
    h, error = middle, np.zeros_like(middle)
    alive = np.ones(len(hidden[0].bias), dtype=bool)
    for part in hidden:
        z, bound = _affine(part, h, error, arithmetic)
        h, error = _relu(z, bound)
        alive &= np.any(z > bound, axis=(1, 2)) & np.all(bound < arithmetic.bound, axis=(1, 2))
        alive &= ~arithmetic.leaves(h, error)
    return alive


def _first_dead_layer(hidden: Parameters, inputs: Floats, arithmetic: Arithmetic) -> tuple[Ints, Bools]:
    """First surely dead hidden layer (0: none found), and replicas in which some layer stayed undecided before it."""
    replicas = len(hidden[0].bias)
    found, doubtful = np.zeros(replicas, dtype=np.int64), np.zeros(replicas, dtype=bool)
    going = np.arange(replicas)
    h, error = inputs.T, np.zeros_like(inputs.T)
    for number, part in enumerate(hidden, start=1):
        z, bound = _affine(Layer(part.weight[going], part.bias[going]), h, error, arithmetic)
        trusted = np.all(bound < arithmetic.bound, axis=(1, 2))
        dead = trusted & np.all(z <= -bound, axis=(1, 2))
        h, error = _relu(z, bound)
        alive = trusted & np.any(z > bound, axis=(1, 2)) & ~arithmetic.leaves(h, error)
        found[going[dead]] = number
        doubtful[going[~dead & ~alive]] = True
        going, h, error = going[alive], h[alive], error[alive]
        if not len(going):
            break
    return found, doubtful


def _in_long_intervals(hidden: list[Layer], data: DataSet) -> tuple[Bools, int] | None:
    """The same decisions for one network by intervals with ends in units `2^-256`, or None where those do not decide.

    Fractions grow with every layer; these do not, so deep networks take time in proportion to their depth.
    """
    low = np.array([[math.floor(v * 2**_PLACES) for v in x] for x in data.inputs], dtype=object).T
    high = np.array([[math.ceil(v * 2**_PLACES) for v in x] for x in data.inputs], dtype=object).T
    first = np.zeros(len(hidden[0].bias), dtype=bool)
    for number, part in enumerate(hidden, start=1):
        weight, bias, places = _whole(part)
        rising, falling = np.maximum(weight, 0), np.minimum(weight, 0)
        offset = (bias << _PLACES)[:, None]
        z_low = (rising @ low + falling @ high + offset) >> places
        z_high = -(-(rising @ high + falling @ low + offset) >> places)
        dead, alive = np.all(z_high <= 0, axis=1), np.any(z_low > 0, axis=1)
        if number == 1:
            if not np.all(dead | alive):
                return None
            first = dead
        if dead.all():
            return first, number
        if not alive.any():
            return None
        low, high = np.maximum(z_low, 0), np.maximum(z_high, 0)
    return first, 0


def _whole(layer: Layer) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.object_], int]:
    """Weights and biases of a network's layer as whole numbers in units `2^-places`, exactly."""
    ratios = [[float(v).as_integer_ratio() for v in row] for row in np.column_stack([layer.weight, layer.bias])]
    places = max(denominator.bit_length() - 1 for row in ratios for _, denominator in row)
    whole = [[top << places - (bottom.bit_length() - 1) for top, bottom in row] for row in ratios]
    numbers = np.array(whole, dtype=object)
    return numbers[:, :-1], numbers[:, -1], places


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
    unit, h = FLOAT64.unit, data.inputs.T
    error = np.where(h == 0, 0.0, _UNDERFLOW)  # inputs themselves may have been rounded where relative errors fail
    if not data.fits(FLOAT64):
        error = np.full_like(h, _UNDERFLOW)
    trusted = np.ones(len(parameters[0].bias), dtype=bool)
    with np.errstate(over="ignore", invalid="ignore"):
        for number, part in enumerate(parameters, start=1):
            h, error = _affine(part, h, error, FLOAT64)
            error = error + _UNDERFLOW
            trusted &= np.all(error < FLOAT64.bound, axis=(1, 2))
            if number < len(parameters):
                h, error = _relu(h, error)
        residual = np.abs(h - data.labels)
        error = _SAFETY * (error + 4 * unit * (np.abs(h) + np.abs(data.labels)))
        grown = 1.0 + (residual.shape[1] * residual.shape[2] + 16) * 4 * unit
        below = _weighted(np.maximum(residual - error, 0.0), data.weights) / grown
        above = _weighted(residual + error, data.weights) * grown
    noise = data.exact.noise_floor
    lower = np.maximum(below - _UNDERFLOW, 0.0) * (1.0 - 4 * unit) + float_down(noise)
    upper = (above + _UNDERFLOW + float_up(noise)) * (1.0 + 4 * unit)
    # where something may have overflowed the bounds are useless, not wrong: [0, inf]
    sound = trusted & np.isfinite(lower) & np.isfinite(upper)
    return np.where(sound, lower * (1.0 - 4 * unit), 0.0), np.where(sound, upper, np.inf)


def _weighted(residual: Floats, weights: Floats) -> Floats:
    """`sum_j pi_j |residual_j|^2` for each replica, by sums along an axis: the same bits in blocks of any size."""
    total: Floats = ((residual**2).sum(axis=1) * weights[None, :]).sum(axis=1)
    return total
