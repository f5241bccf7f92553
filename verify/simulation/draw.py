"""Drawing initial networks: whole blocks of replicas, each from its own stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import sympy
from scipy.special import ndtr, ndtri

from theorems.laws import Initialization, Law, Normal, TruncatedNormal, Uniform, Zero
from theorems.setting import Architecture
from verify.simulation.streams import Key, Purpose, uniforms

__all__ = ["Layer", "Parameters", "draw_parameters", "flatten", "unflatten"]

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Layer:
    """Weights (replicas, out, in) and biases (replicas, out) of one layer for a block of networks."""

    weight: Floats
    bias: Floats


Parameters = tuple[Layer, ...]


def draw_parameters(
    initialization: Initialization,
    architecture: Architecture,
    key: Key,
    replicas: npt.NDArray[np.int64],
    dtype: npt.DTypeLike,
) -> Parameters:
    """Draw the networks with these replica numbers; values are rounded to `dtype` and returned as float64.

    Each parameter takes one uniform number, weights before biases, layer after layer, whatever its law.
    """
    draws = uniforms(key, replicas, Purpose.INITIALIZATION, architecture.n_parameters)
    layers = []
    for draw in unflatten(draws, architecture.widths):
        _, fan_out, fan_in = draw.weight.shape
        if initialization.independent:
            weight = _quantile(initialization.weight_law(fan_in, fan_out), draw.weight)
        else:
            weight = _orthogonal(ndtri(draw.weight))
        bias = _quantile(initialization.bias_law(fan_in, fan_out), draw.bias)
        layers.append(Layer(_rounded(weight, dtype), _rounded(bias, dtype)))
    return tuple(layers)


def flatten(parameters: Parameters) -> Floats:
    """All parameters of each network in a row (replicas, parameters): weights before biases, layer after layer."""
    replicas = len(parameters[0].bias)
    return np.concatenate([part.reshape(replicas, -1) for each in parameters for part in (each.weight, each.bias)], 1)


def unflatten(rows: Floats, widths: Sequence[int]) -> Parameters:
    """The networks of these widths whose parameters `flatten` puts in these rows; nothing is shared with them."""
    layers, used = [], 0
    for n_in, n_out in pairwise(widths):
        first, used = used, used + n_out * (n_in + 1)
        weight, bias = rows[:, first : used - n_out], rows[:, used - n_out : used]
        layers.append(Layer(weight.reshape(-1, n_out, n_in).copy(), bias.copy()))
    return tuple(layers)


def _rounded(values: Floats, dtype: npt.DTypeLike) -> Floats:
    rounded: Floats = values.astype(dtype).astype(np.float64)
    return rounded


def _quantile(law: Law, u: Floats) -> Floats:
    """Quantiles of a symmetric law, computed from the nearer tail so that u and 1 - u give opposite values exactly."""
    match law:
        case Zero():
            return np.zeros_like(u)
        case Uniform(half_width):
            return (2.0 * u - 1.0) * _float(half_width)
        case Normal(scale):
            return _mirrored(u, ndtri(np.minimum(u, 1.0 - u))) * _float(scale)
        case TruncatedNormal(scale):
            tail = ndtr(-2.0)
            lower = ndtri(tail + (1.0 - 2.0 * tail) * np.minimum(u, 1.0 - u))
            return _mirrored(u, lower) * _float(scale)


@lru_cache(maxsize=4096)
def _float(scale: sympy.Expr) -> float:
    """The nearest float of a scale; sympy takes long to find it, and every block asks."""
    return float(scale)


def _mirrored(u: Floats, lower: Floats) -> Floats:
    """Quantile at u from the quantile at min(u, 1 - u)."""
    return np.where(u < 0.5, lower, -lower)


def _orthogonal(normal: Floats) -> Floats:
    """Orthogonal matrices, Haar distributed: QR of a normal matrix with the signs of R's diagonal."""
    tall = normal.shape[1] >= normal.shape[2]
    q, r = np.linalg.qr(normal if tall else normal.transpose(0, 2, 1))
    signs = np.sign(np.diagonal(r, axis1=1, axis2=2))
    haar: Floats = q * signs[:, None, :]
    return haar if tall else haar.transpose(0, 2, 1)
