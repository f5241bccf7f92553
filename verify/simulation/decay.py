"""Layers that no decay can revive, decided on drawn networks: robustly dead ones (T13), curve-dead ones (T16).

A robustly dead layer is a question about finitely many numbers, so it is decided exactly: an error-bounded float pass,
fractions where that cannot tell.

Curve-dead asks for all `gamma` in [0, 1]. Both answers are proved. On a piece `gamma = c + h t`, `|t| <= 1`, the curve
is enclosed as `p + d t` with a radius `e`: carried exactly through a linear map, with the chord of relu where a
pre-activation may change sign on the piece, and with a bound of every rounding error added to `e` (as in
`verify.simulation.forward`). If every pre-activation of the layer is `<= 0` on all pieces, the layer is curve-dead; if
one is `> 0` at the middle of a piece, it is not; undecided pieces are halved.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from theorems.setting import DataSet
from theorems.theorem import LayerDeath
from verify.simulation.draw import Layer, Parameters
from verify.simulation.forward import FLOAT64, FloatData, find_dead

__all__ = ["curve_dead_layer", "robustly_dead_layer"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_SAFETY = 1.0 + 2.0**-20  # covers the rounding of the error bound's own arithmetic
_UNDERFLOW = 2.0**-1000  # more than all underflowing products of one inner product can lose together
_CHUNK = 50_000  # numbers in one array: small enough to stay in a core's cache
_FIRST_PIECES = 2
_HALVINGS = 40  # centres of pieces stay exact floats
_MOST_PIECES = 4096  # undecided pieces of one replica, beyond which it stays undecided


@dataclass(frozen=True)
class _Tube:
    """Curves near segments: an entry (pieces, width, points) lies within `e` of `p + d t` for all `|t| <= 1`.

    Symbols: centre = p; slope = d; radius = e. An entry that is surely 0 has `p = d = e = 0`, every other one `e > 0`.
    """

    centre: Floats
    slope: Floats
    radius: Floats


# --- robustly dead ------------------------------------------------------------------------------------------------


def robustly_dead_layer(parameters: Parameters, data: FloatData) -> Ints:
    """Number of the first robustly dead hidden layer of each network, 0 if none.

    Source:   math §5 T13: `top^1 = max(b + max_j (w.xi_j)^+, 0)`, `top^k = max(b + sum_j w_j^+ top^{k-1}_j, 0)`; a
              layer is robustly dead if its `top` is 0. In layer 1 that means dead with all biases `<= 0`.
    Rigour:   exact: an error-bounded filter, fractions where it cannot decide.
    """
    hidden = parameters[:-1]
    found = np.zeros(len(hidden[0].bias), dtype=np.int64)
    unsure = _strays(hidden, data)
    for chunk in _chunks(np.flatnonzero(~unsure), hidden, data):
        with np.errstate(over="ignore", invalid="ignore"):
            found[chunk], unsure[chunk] = _filter_robust([_take(part, chunk) for part in hidden], data)
    for r in np.flatnonzero(unsure):
        found[r] = _robust_exactly([Layer(part.weight[r], part.bias[r]) for part in hidden], data.exact)
    return found


def _filter_robust(hidden: list[Layer], data: FloatData) -> tuple[Ints, Bools]:
    """First surely robustly dead layer, and replicas in which some layer stayed undecided before it."""
    found = np.zeros(len(hidden[0].bias), dtype=np.int64)
    open_ones = np.ones(len(found), dtype=bool)
    unsure = np.zeros(len(found), dtype=bool)
    tops = _input_tube(data.inputs.T, with_origin=True)
    for number, part in enumerate(hidden, start=1):
        weight = part.weight if number == 1 else np.maximum(part.weight, 0.0)
        z = _affine(Layer(weight, part.bias), tops)
        trusted = _trusted(z)
        dead = trusted & np.all(z.centre <= -z.radius, axis=(1, 2))
        alive = trusted & np.any(z.centre > z.radius, axis=(1, 2))
        found[open_ones & dead] = number
        unsure |= open_ones & ~dead & ~alive
        open_ones &= alive
        if not open_ones.any():
            break
        h = _relu(z)
        centre, radius = (part.max(axis=2, keepdims=True) for part in (h.centre, h.radius))
        tops = _Tube(centre, np.zeros_like(centre), radius)
    return found, unsure


def _robust_exactly(hidden: list[Layer], data: DataSet) -> int:
    """The same decision for one network in fractions."""
    reach = [list(x) for x in data.inputs] + [[Fraction(0)] * len(data.inputs[0])]
    for number, part in enumerate(hidden, start=1):
        tops = []
        for row, b in zip(part.weight, part.bias, strict=True):
            weight = [Fraction(float(w)) for w in (row if number == 1 else np.maximum(row, 0.0))]
            best = max(sum((w * v for w, v in zip(weight, x, strict=True)), Fraction(float(b))) for x in reach)
            tops.append(max(best, Fraction(0)))
        if not any(tops):
            return number
        reach = [tops]
    return 0


# --- curve-dead ---------------------------------------------------------------------------------------------------


def curve_dead_layer(parameters: Parameters, data: FloatData, kind: LayerDeath) -> tuple[Ints, Bools]:
    """Number of the first hidden layer proved curve-dead (0: none), and which replicas stay undecided.

    Source:   proofs/decay.md, T16: `u^0 = x` (JOINT) or `gamma x` (WEIGHTS), `u^k = gamma relu(W^k u^{k-1} + b^k)`;
              layer `k` is curve-dead if `W^k u^{k-1} + b^k <= 0` for all `gamma` in [0, 1] at all inputs.
    Rigour:   both answers are proved. An undecided replica has no layer proved, and at least one that is neither proved
              curve-dead nor proved not to be; count it as lost.
    Fails:    ValueError for another kind of death.
    """
    if kind not in (LayerDeath.JOINT, LayerDeath.WEIGHTS):
        raise ValueError(f"kind={kind}: expected LayerDeath.JOINT or LayerDeath.WEIGHTS")
    hidden = parameters[:-1]
    robust = robustly_dead_layer(parameters, data)
    at_birth = find_dead(parameters, data).layer
    found = np.where((at_birth == 1) if kind is LayerDeath.JOINT else (robust == 1), 1, 0)
    # Without biases every pre-activation on the curve is a power of gamma times the one at gamma = 1.
    unbiased = np.all([np.all(part.bias == 0, axis=1) for part in hidden], axis=0)
    found = np.where(unbiased, at_birth, found)
    undecided = np.zeros(len(found), dtype=bool)
    stray = _strays(hidden, data)
    for number, part in enumerate(hidden[1:], start=2):
        # gamma = 1 is the network itself; at gamma = 0 the pre-activation of a layer above the first is its bias.
        possible = (found == 0) & (at_birth > 0) & (number >= at_birth) & np.all(part.bias <= 0, axis=1)
        proved = possible & (robust == number)
        found[proved] = number
        asked = possible & ~proved
        undecided |= asked & stray
        settle = np.flatnonzero(asked & ~stray)
        dead, open_ones = _decide(hidden[:number], settle, data, kind)
        found[settle[dead]] = number
        undecided[settle[open_ones]] = True
    undecided &= found == 0
    return found, undecided


def _decide(hidden: Parameters, replicas: Ints, data: FloatData, kind: LayerDeath) -> tuple[Bools, Bools]:
    """Which replicas have a last layer of `hidden` that is surely curve-dead, and which stay undecided."""
    refuted, open_ones = np.zeros(len(replicas), dtype=bool), np.zeros(len(replicas), dtype=bool)
    owner = np.repeat(np.arange(len(replicas)), _FIRST_PIECES)
    centre = np.tile((2.0 * np.arange(_FIRST_PIECES) + 1.0) / (2 * _FIRST_PIECES), len(replicas))
    half = 1.0 / (2 * _FIRST_PIECES)
    for halving in range(_HALVINGS + 1):
        off, on = np.zeros(len(owner), dtype=bool), np.zeros(len(owner), dtype=bool)
        for chunk in _chunks(np.arange(len(owner)), hidden, data):
            layers = [_take(part, replicas[owner[chunk]]) for part in hidden]
            with np.errstate(over="ignore", invalid="ignore"):
                off[chunk], on[chunk] = _look(layers, centre[chunk], half, data, kind)
        refuted[owner[on]] = True
        left = ~off & ~refuted[owner]
        owner, centre = owner[left], centre[left]
        crowded = np.bincount(owner, minlength=len(replicas)) > _MOST_PIECES
        open_ones |= crowded
        keep = ~crowded[owner]
        owner, centre = np.repeat(owner[keep], 2), np.repeat(centre[keep], 2)
        if not len(owner) or halving == _HALVINGS:
            break
        half /= 2
        centre[0::2] -= half
        centre[1::2] += half
    open_ones[owner] = True
    return ~refuted & ~open_ones, open_ones


def _look(layers: list[Layer], centre: Floats, half: float, data: FloatData, kind: LayerDeath) -> tuple[Bools, Bools]:
    """For each piece `centre ± half`: is the last layer surely off on all of it, is it surely on at the centre."""
    middle = centre[:, None, None]
    tube = _input_tube(data.inputs.T)
    if kind is LayerDeath.WEIGHTS:
        tube = _shrunk(tube, middle, half)
    trusted = np.ones(len(centre), dtype=bool)
    for part in layers[:-1]:
        z = _affine(part, tube)
        trusted &= _trusted(z)
        tube = _shrunk(_relu(z), middle, half)
    z = _affine(layers[-1], tube)
    trusted &= _trusted(z)
    reach = _SAFETY * (np.abs(z.slope) + z.radius)
    return trusted & np.all(z.centre <= -reach, axis=(1, 2)), trusted & np.any(z.centre > z.radius, axis=(1, 2))


# --- arithmetic of tubes ------------------------------------------------------------------------------------------


def _input_tube(inputs: Floats, *, with_origin: bool = False) -> _Tube:
    """Inputs (l_0, points) as one constant piece; `with_origin` adds the input 0."""
    centre = inputs[None, :, :]
    if with_origin:
        centre = np.concatenate([centre, np.zeros((1, len(inputs), 1))], axis=2)
    rounding = np.where(centre == 0, 0.0, 2 * FLOAT64.unit * np.abs(centre) + _UNDERFLOW)
    return _Tube(centre, np.zeros_like(centre), rounding)


def _affine(layer: Layer, tube: _Tube) -> _Tube:
    """`W u + b`, with the bound of `verify.simulation.forward` for the rounding of both products."""
    terms = layer.weight.shape[2] + 3
    growth = terms * FLOAT64.unit / (1.0 - terms * FLOAT64.unit)
    bias = layer.bias[:, :, None]
    size = np.abs(tube.centre) + np.abs(tube.slope)
    spread = np.abs(layer.weight) @ (growth * size + tube.radius) + growth * np.abs(bias)
    moved = np.any(tube.radius > 0, axis=1, keepdims=True)  # where nothing comes in, the bias is exact
    radius = np.where(moved, _SAFETY * spread + _UNDERFLOW, 0.0)
    faint = moved & (spread == 0)
    if faint.any():  # no bias, and nothing comes in; or so little that its bound underflowed
        comes_in = (layer.weight != 0).astype(np.float64) @ (tube.radius > 0).astype(np.float64)
        radius[faint & (comes_in == 0)] = 0.0
    return _Tube(layer.weight @ tube.centre + bias, layer.weight @ tube.slope, radius)


def _relu(z: _Tube) -> _Tube:
    """`max(z, 0)`: `share z + [0, 2 lift]` for any share in [0, 1], if `2 lift` is at least its value at both ends."""
    reach = _SAFETY * (np.abs(z.slope) + z.radius)
    with np.errstate(divide="ignore"):
        share = np.clip((z.centre + reach) / (2.0 * reach), 0.0, 1.0)
    share = np.where(z.centre <= -reach, 0.0, np.where(z.centre >= reach, 1.0, share))
    lift = np.maximum(np.maximum(share * (reach - z.centre), (1.0 - share) * (reach + z.centre)), 0.0)
    lift *= _SAFETY / 2.0
    centre, slope = share * z.centre + lift, share * z.slope
    rounding = 4 * FLOAT64.unit * (np.abs(centre) + np.abs(slope) + lift)
    radius = _SAFETY * (share * z.radius + lift + rounding)
    return _Tube(centre, slope, np.where(share > 0.0, radius + _UNDERFLOW, 0.0))


def _shrunk(tube: _Tube, middle: Floats, half: float) -> _Tube:
    """`gamma u` for `gamma = middle + half t`: the square of `t` lies in [0, 1]."""
    square = half * tube.slope / 2.0
    centre = middle * tube.centre + square
    slope = half * tube.centre + middle * tube.slope
    size = np.abs(middle * tube.centre) + half * np.abs(tube.centre) + np.abs(middle * tube.slope) + np.abs(square)
    radius = _SAFETY * ((middle + half) * tube.radius + np.abs(square) + 4 * FLOAT64.unit * size)
    return _Tube(centre, slope, np.where(tube.radius > 0, radius + _UNDERFLOW, 0.0))


def _trusted(z: _Tube) -> Bools:
    """Pieces on which nothing has overflowed: the radius is at least the unit times the sum of all products."""
    fits: Bools = np.all(z.radius < FLOAT64.bound, axis=(1, 2))
    return fits


def _strays(hidden: Parameters, data: FloatData) -> Bools:
    """Replicas with parameters, or data, so small or large that products might leave the normal range."""
    bad = np.full(len(hidden[0].bias), not data.fits(FLOAT64))
    for part in hidden:
        bad |= FLOAT64.strays(part.weight).any(axis=(1, 2)) | FLOAT64.strays(part.bias).any(axis=1)
    return bad


def _chunks(numbers: Ints, hidden: Parameters, data: FloatData) -> list[Ints]:
    """Split rows so that no activation array of a chunk is larger than a cache likes."""
    size = len(numbers) * max(part.bias.shape[1] for part in hidden) * len(data.inputs)
    return [chunk for chunk in np.array_split(numbers, max(1, size // _CHUNK)) if len(chunk)]


def _take(part: Layer, rows: Ints) -> Layer:
    return Layer(part.weight[rows], part.bias[rows])
