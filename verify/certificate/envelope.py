"""The bound of T19 as a straight program: the steps of `verify.enclosure.envelope`, written down.

Which parts of a law are joined is data of the certificate: joining keeps mass and mean, so it only lowers the mean of
a convex function, however it is done. It is chosen in floats, as there, so that both engines compute one number.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import sympy

from theorems.curve import SURVIVAL
from theorems.envelope import LEVEL, REACH, EnvelopeLayer, EnvelopeRecursion, PositivePart
from verify.certificate.programs import QUANTITY_NAMES, HintedProgram
from verify.certificate.sums import mul
from verify.certificate.terms import Json, integer_power, ratio, term_of

__all__ = ["envelope_program"]

GRID, LARGEST, DEVIATIONS = 2**24, 2**20, 6


def envelope_program(bound: EnvelopeRecursion, quantities: Mapping[str, Fraction]) -> Json:
    """Write `EnvelopeRecursion` step by step, with the choices that its evaluation at these quantities makes.

    Fails: CannotBeWritten if that is too long.
    """
    program = HintedProgram.at(quantities)
    survival = program.named("a1", ["sub", "1", term_of(bound.first, QUANTITY_NAMES)])
    state = [program.named(f"z1_{i}", term_of(part, QUANTITY_NAMES)) for i, part in enumerate(bound.start)]
    kinds = list(dict.fromkeys(bound.layers))
    constants = {layer: _Constants.of(program, layer, bound, f"k{i}") for i, layer in enumerate(kinds)}
    for number, layer in enumerate(bound.layers, start=2):
        here = constants[layer]
        size = program.named(f"s{number}", ["div", state[0], survival])
        off = program.named(f"o{number}", here.off(program, bound, size, number))
        if number <= len(bound.layers):  # nobody asks for the state of the last layer
            arguments = dict(zip(bound.state, state, strict=True)) | {SURVIVAL: survival}
            arguments |= dict(zip(bound.parameters, here.values, strict=True))
            state = [program.named(f"z{number}_{i}", term_of(part, arguments)) for i, part in enumerate(bound.step)]
        death = ["max", integer_power(off, layer.width), here.signs]
        survival = program.named(f"a{number}", ["mul", survival, ["sub", "1", death]])
    return program.shape(["sub", "1", survival])


@dataclass(frozen=True)
class _Constants:
    """The constants of a layer as names; masses and reaches are vectors, mean is that of the reaches."""

    masses: str
    reaches: str
    mean: str
    signs: str
    values: list[str]

    @classmethod
    def of(cls, program: HintedProgram, layer: EnvelopeLayer, bound: EnvelopeRecursion, name: str) -> _Constants:
        """Write the steps that compute them."""
        values = [program.named(f"{name}v{i}", term_of(value, {})) for i, value in enumerate(layer.values)]
        slope = term_of(bound.slope, dict(zip(bound.parameters, values, strict=True)))
        scale = term_of(layer.weight.scale, {})
        factor = program.named(f"{name}f", ["div", mul(slope, scale), str(layer.inputs)])
        law = _sum_of(program, layer.weight, layer.inputs, bound.cells, f"{name}p")
        moment = term_of(layer.weight.moment.subs(LEVEL, 0), {})
        return cls(
            law.masses,
            program.named(f"{name}x", ["div", mul(factor, law.moments), law.masses]),
            program.named(f"{name}m", mul(factor, str(layer.inputs), moment)),
            program.named(f"{name}q", term_of(layer.signs, {})),
            values,
        )

    def off(self, program: HintedProgram, bound: EnvelopeRecursion, size: str, number: int) -> Json:
        """A lower bound of the probability that a neuron is robustly dead; the tail falls, so more than `size` will do.

        `above` is the number that the evaluation takes in place of `size`.
        """
        by_mean = term_of(bound.tail, {REACH: program.named(f"m{number}", mul(size, self.mean))})
        about = program.hint(size)
        if about >= LARGEST:
            return by_mean
        above = ratio(Fraction(int(about * GRID) + 2, GRID))
        reached = program.named(f"r{number}", ["mul", ["max", size, above], self.reaches])
        return ["max", by_mean, ["sum", mul(self.masses, term_of(bound.tail, {REACH: reached}))]]


@dataclass(frozen=True)
class _Law:
    """A law in parts, as names of two vectors: the masses, and these times the means.

    Symbols: mean, variance: of the whole law, in floats; they only guide how parts are joined.
    """

    masses: str
    moments: str
    mean: float
    variance: float

    def plus(self, other: _Law, cells: int, program: HintedProgram, name: str) -> _Law:
        """The law of an independent sum, joined into at most `cells` parts."""
        mean, variance = self.mean + other.mean, self.variance + other.variance
        low = max(mean - DEVIATIONS * math.sqrt(variance), 0.0)
        per_unit = cells / (mean + DEVIATIONS * math.sqrt(variance) - low)
        places = other._places(program)
        numbers: dict[int, int] = {}
        joined = [
            [
                numbers.setdefault(min(max(int((place - low + place2) * per_unit), 0), cells - 1), len(numbers))
                for place2 in places
            ]
            for place in self._places(program)
        ]
        masses = program.named(f"{name}m", ["join", joined, self.masses, other.masses])
        pairs = (self.masses, other.moments, self.moments, other.masses)
        return _Law(masses, program.named(f"{name}e", ["join", joined, *pairs]), mean, variance)

    def _places(self, program: HintedProgram) -> list[float]:
        return program.quotients(self.moments, self.masses)


def _sum_of(program: HintedProgram, weight: PositivePart, count: int, cells: int, name: str) -> _Law:
    """The law of a sum of `count` independent copies, from those of the sums of 1, 2, 4, ... copies."""
    doubled, found, number = _single(program, weight, cells, f"{name}0"), None, 0
    while True:
        number += 1
        if count & 1:
            found = doubled if found is None else found.plus(doubled, cells, program, f"{name}s{number}")
        count >>= 1
        if not count and found is not None:
            return found
        doubled = doubled.plus(doubled, cells, program, f"{name}d{number}")


def _single(program: HintedProgram, weight: PositivePart, cells: int, name: str) -> _Law:
    """The law of one `w^+` in units of its scale: 0 with probability 1/2, else cells of equal length, the last open."""
    reach = Fraction(int(weight.reach.p), int(weight.reach.q))
    level = program.named(f"{name}t", ["vector", *(ratio(reach * i / cells) for i in range(cells))])

    def shares(key: str, expression: sympy.Expr, first: Json) -> str:
        values = program.named(f"{name}{key}", term_of(expression, {LEVEL: level}))
        steps = ["sub", values, ["vector", ["rest", values], "0"]]
        return program.named(f"{name}{key}s", ["vector", first, steps])

    masses = shares("u", weight.tail, ["sub", "1", term_of(weight.tail.subs(LEVEL, 0), {})])
    moments = shares("w", weight.moment, "0")
    mean = program.hint(term_of(weight.moment.subs(LEVEL, 0), {}))
    parts = zip(program.hints(masses), program.hints(moments), strict=True)
    return _Law(masses, moments, mean, sum(m**2 / p for p, m in parts) - mean**2)
