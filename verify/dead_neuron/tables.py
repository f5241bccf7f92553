"""Integer tables of upper bounds of normal tails, for sums over many inputs and many cells.

An entry is a whole number of units `1/ONE`, rounded up from an Arb enclosure, so that sums of entries are exact and
every look-up is an upper bound: the functions decrease, and arguments are rounded down to the grid of step `1/STEPS`.

Symbols: `Q(z) = P(G > z)`, `L(z) = E max(G - z, 0) = phi(z) - z Q(z)` for a standard normal `G`.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np
import sympy
from numpy.typing import NDArray

from verify.enclosure import evaluate
from verify.enclosure.arb import normal_density, normal_tail

__all__ = ["ONE", "ROW_END", "ROW_START", "STEPS", "level_above", "level_variance", "loss", "row", "tail"]

ONE = 1 << 30
STEPS = 256
ROW_START, ROW_END = -4 * STEPS, 8 * STEPS
"""A row of `row` covers the arguments from -4, where it is 1, to 8, in steps of 1/STEPS."""

_END = 12 * STEPS
_SHIFTS = (Fraction(1, 2), Fraction(1), Fraction(2), Fraction(3))
_RAMPS = (80, 128, 192, 256, 352)
_FINEST, _COARSEST = Fraction(1, 1024), Fraction(16)


def tail(index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Upper bounds of `ONE Q(z)` at `z = index/STEPS`."""
    table, _ = _positive()
    beyond = np.minimum(np.abs(index), _END)
    # Q(-z) = 1 - Q(z), and an entry is less than two units above ONE Q(z).
    return np.asarray(np.where(index >= 0, table[beyond], np.minimum(ONE + 2 - table[beyond], ONE)))


def loss(index: NDArray[np.int64]) -> NDArray[np.int64]:
    """Upper bounds of `ONE L(z)` at `z = index/STEPS`, for any whole numbers: `L(-z) = z + L(z)`."""
    _, table = _positive()
    return np.asarray(table[np.minimum(np.abs(index), _END)] + np.maximum(-index, 0) * (ONE // STEPS))


@lru_cache(maxsize=1)
def _positive() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    tails, losses = [], []
    for i in range(_END + 1):
        z = Fraction(i, STEPS)
        q, density = normal_tail(z), normal_density(z)
        tails.append(math.ceil(q.hi * ONE))
        losses.append(math.ceil((density.hi - z * q.lo) * ONE))
    return np.array(tails, dtype=np.int64), np.array(losses, dtype=np.int64)


def level_above(v: Fraction) -> int | None:
    """Number of the least tabulated variance that is `>= v`, or None above all of them."""
    return next((number for number, level in enumerate(_levels()) if level >= v), None)


@lru_cache(maxsize=1)
def _levels() -> tuple[Fraction, ...]:
    levels = [_FINEST]
    while levels[-1] < _COARSEST:
        levels.append(Fraction(math.ceil(levels[-1] * Fraction(9, 8) * 2**16), 2**16))
    return tuple(levels)


def level_variance(number: int) -> Fraction:
    """The variance that belongs to a level."""
    return _levels()[number]


@lru_cache(maxsize=128)
def row(number: int | None) -> NDArray[np.int64]:
    """Upper bounds, capped at ONE, of `ONE E f(z sqrt(1+v) + Y)`: some convex `f >= Q`, any `Y` smoother than `N(0,v)`.

    `Y` smoother than `N(0, v)` means `E h(Y) <= E h(sqrt(v) G)` for all convex `h`; `v` is the level's variance. For
    None the scale is that of `x + e G + Y` itself: the row bounds `P(e G + Y > z s)` for every `s^2 >= e^2 + v`.
    Source:   `theorems/proofs/dead_neuron.md`, convex majorants of the normal tail: `Q(s) + mu L(s + m)` with
              `mu = exp(m^2/2)/(e m)`, and `L(s - eta)/eta`. Each entry takes the least of several.
    """
    index = np.arange(ROW_START, ROW_END + 1, dtype=np.int64)
    best = np.full(len(index), ONE, dtype=np.int64)
    for ramp in _RAMPS:
        best = np.minimum(best, -(-loss(index - ramp) * STEPS // ramp))
    if number is not None:
        stretch = _root_above(1 + level_variance(number))
        for m in _SHIFTS:
            weight = math.ceil(stretch * _excess_weight(m) * 2**20)
            shift = math.floor(m / stretch * STEPS)
            best = np.minimum(best, tail(index) + (-(-loss(index + shift) * weight >> 20)))
    return best


def _root_above(value: Fraction) -> Fraction:
    return Fraction(math.isqrt(math.ceil(value * 2**80)) + 1, 2**40)


@lru_cache(maxsize=8)
def _excess_weight(m: Fraction) -> Fraction:
    m_exact = sympy.Rational(m.numerator, m.denominator)
    return evaluate(sympy.exp(m_exact**2 / 2 - 1) / m_exact).hi
