"""Rigorous evaluation of `theorems.envelope.EnvelopeRecursion` with balls.

The law of a sum of positive parts of weights is kept as a list of parts, each with its probability and its share of the
mean. Joining parts keeps both, and lowers the mean of every convex function (Jensen's inequality). So the parts may be
joined in any way: floats choose it, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import sympy

from theorems.curve import SURVIVAL
from theorems.envelope import LEVEL, REACH, EnvelopeLayer, EnvelopeRecursion, PositivePart
from verify.enclosure.arb import Ball, ball, compiled

__all__ = ["run_envelope"]

Balls = Mapping[sympy.Symbol, Ball]
_OFF = sympy.Symbol("G", nonnegative=True)
_GRID = 2**24
_LARGEST = 2**20
_DEVIATIONS = 6  # how far from its mean, in standard deviations, the law of a sum is cut into parts


def run_envelope(bound: EnvelopeRecursion, values: Balls) -> Ball:
    """Evaluate the complement of the bound at the given values of its quantities; only inside `compute` of `refine`.

    Rigour:   an upper bound of the complement. Every step increases with the state and with the survival before it, so
              the upper ends of their balls are put in; otherwise the balls would widen from layer to layer.
    """
    known = tuple(sorted(values, key=str))
    survival = 1 - compiled(bound.first, known)(*(values[symbol] for symbol in known))
    state = [compiled(part, ())().upper() for part in bound.start]
    symbols = (SURVIVAL, *bound.state, *bound.parameters)
    step = [compiled(part, symbols) for part in bound.step]
    constants = {layer: _Constants.of(layer, bound) for layer in set(bound.layers)}
    for number, layer in enumerate(bound.layers, start=2):
        here, reached = constants[layer], survival.upper()
        death = compiled(_OFF**layer.width, (_OFF,))(here.off(state[0] / reached)).max(here.signs)
        if number <= len(bound.layers):  # nobody asks for the state of the last layer
            arguments = (reached, *state, *here.values)
            state = [part(*arguments).upper() for part in step]
        survival = survival * (1 - death)
    return survival


@dataclass(frozen=True)
class _Constants:
    """The constants of a layer as balls, at the precision of the moment.

    reaches: the law of `slope (w_1^+ + ... + w_n^+)/n` in parts, with their means; mean: of that law; known: the values
    of `Gamma` so far, by the size in units of `1/_GRID`.
    """

    tail: Callable[..., Ball]
    reaches: list[tuple[Ball, Ball]]
    mean: Ball
    signs: Ball
    values: list[Ball]
    known: dict[int, Ball]

    @classmethod
    def of(cls, layer: EnvelopeLayer, bound: EnvelopeRecursion) -> _Constants:
        """Evaluate every constant of a layer."""
        values = [compiled(value, ())() for value in layer.values]
        factor = compiled(bound.slope, bound.parameters)(*values) * compiled(layer.weight.scale, ())() / layer.inputs
        law = _sum_of(layer.weight, layer.inputs, bound.cells)
        reaches = [(part, factor * moment / part) for part, moment in law.parts]
        mean = factor * layer.inputs * compiled(layer.weight.moment, (LEVEL,))(ball(Fraction(0)))
        return cls(compiled(bound.tail, (REACH,)), reaches, mean, compiled(layer.signs, ())(), values, {})

    def off(self, size: Ball) -> Ball:
        """A lower bound of the probability that a neuron is robustly dead, from the mean summed envelope before it.

        `Gamma` falls, so it is taken at a multiple of `1/_GRID` above `size`: in a deep network at few of them. Where
        the envelope is large it is left out; hardly more than the sign probabilities is left of it there.
        """
        by_mean = self.tail(size * self.mean)
        number = int(float(size) * _GRID) + 2 if size < _LARGEST else 0
        above = ball(Fraction(number, _GRID))
        if not above > size:
            return by_mean
        if number not in self.known:
            self.known[number] = self._gamma(above)
        return by_mean.max(self.known[number])

    def _gamma(self, size: Ball) -> Ball:
        return sum((part * self.tail(size * reach) for part, reach in self.reaches), ball(Fraction(0)))


@dataclass(frozen=True)
class _Law:
    """A law on [0, inf) in parts: the probability of each, and the mean over it times that.

    mean, variance: of the whole law, in floats; they only guide how parts are joined.
    """

    parts: list[tuple[Ball, Ball]]
    mean: float
    variance: float

    def plus(self, other: _Law, cells: int) -> _Law:
        """The law of an independent sum, in at most `cells` parts; below it in convex order."""
        mean, variance = self.mean + other.mean, self.variance + other.variance
        low = max(mean - _DEVIATIONS * math.sqrt(variance), 0.0)
        per_unit = cells / (mean + _DEVIATIONS * math.sqrt(variance) - low)
        joined: dict[int, tuple[Ball, Ball]] = {}
        zero = ball(Fraction(0))
        places = [float(moment / part) for part, moment in other.parts]
        for part, moment in self.parts:
            place = float(moment / part) - low
            for (part2, moment2), place2 in zip(other.parts, places, strict=True):
                cell = min(max(int((place + place2) * per_unit), 0), cells - 1)
                so_far = joined.get(cell, (zero, zero))
                joined[cell] = (so_far[0] + part * part2, so_far[1] + part * moment2 + moment * part2)
        return _Law(list(joined.values()), mean, variance)


def _sum_of(weight: PositivePart, count: int, cells: int) -> _Law:
    """The law of a sum of `count` independent copies, from those of the sums of 1, 2, 4, ... copies."""
    doubled, found = _single(weight, cells), None
    while True:
        if count & 1:
            found = doubled if found is None else found.plus(doubled, cells)
        count >>= 1
        if not count and found is not None:
            return found
        doubled = doubled.plus(doubled, cells)


def _single(weight: PositivePart, cells: int) -> _Law:
    """The law of one `w^+` in units of its scale: 0 with probability 1/2, else cells of equal length, the last open."""
    tail, moment = compiled(weight.tail, (LEVEL,)), compiled(weight.moment, (LEVEL,))
    reach = Fraction(int(weight.reach.p), int(weight.reach.q))
    ends = [ball(reach * i / cells) for i in range(cells)]
    tails, moments = [tail(end) for end in ends], [moment(end) for end in ends]
    zero = ball(Fraction(0))
    shares = [
        (a - b, m - n) for a, b, m, n in zip(tails, [*tails[1:], zero], moments, [*moments[1:], zero], strict=True)
    ]
    parts = [(1 - tails[0], zero), *shares]
    mean = float(moments[0])
    return _Law(parts, mean, sum(float(m) ** 2 / float(p) for p, m in parts) - mean**2)
