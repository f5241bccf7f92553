"""First layers for tests of dead-neuron bounds: built from rows, and sampled without the code under test."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import sympy

from theorems.laws import Law, Normal, TruncatedNormal, Uniform, Zero
from verify.dead_neuron.result import FirstLayer

FALSE_ALARM = 1e-8
UNIFORM, NORMAL, TRUNCATED, ZERO = (
    Uniform(sympy.Integer(1)),
    Normal(sympy.Integer(1)),
    TruncatedNormal(sympy.Integer(1)),
    Zero(),
)


def layer(rows: Sequence[Any], weight: Law, bias: Law) -> FirstLayer:
    return FirstLayer(tuple(tuple(Fraction(v) for v in row) for row in rows), weight, bias)


def draw(law: Law, size: tuple[int, ...], source: np.random.Generator) -> np.ndarray:
    match law:
        case Zero():
            return np.zeros(size)
        case Uniform(half_width):
            return source.uniform(-1, 1, size) * float(half_width)
        case Normal(scale):
            return source.standard_normal(size) * float(scale)
        case TruncatedNormal(scale):
            values = source.standard_normal(size)
            while (outside := np.abs(values) > 2).any():
                values[outside] = source.standard_normal(int(outside.sum()))
            return values * float(scale)


def dead_count(first: FirstLayer, n: int, seed: int) -> int:
    """How many of n sampled neurons are 0 at all inputs, in floating point."""
    x = np.array([[float(v) for v in row] for row in first.inputs])
    source = np.random.default_rng(seed)
    weights, biases = draw(first.weight, (n, x.shape[1]), source), draw(first.bias, (n, 1), source)
    return int(((weights @ x.T + biases) <= 0).all(axis=1).sum())


def lower(answer: Any) -> Fraction:
    """The bound of an answer that bounds from below only."""
    assert answer is not None
    assert not answer.two_sided
    assert answer.enclosure.hi == 1
    found: Fraction = answer.enclosure.lo
    return found
