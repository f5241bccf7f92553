"""What `p_1` depends on, and what a method of math §6 returns."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import sympy

from theorems.hypotheses import Evidence
from theorems.laws import Law, Zero
from theorems.problem import Problem
from theorems.setting import Vector
from verify.enclosure import Enclosure
from verify.separation import ray_keys

__all__ = ["DeadProbability", "FirstLayer"]


@dataclass(frozen=True)
class FirstLayer:
    """What the probability of a dead first-layer neuron depends on.

    Symbols: inputs = (xi_j), distinct, not empty; weight, bias = the laws of one weight and one bias of the layer.
    """

    inputs: tuple[Vector, ...]
    weight: Law
    bias: Law

    @classmethod
    def of(cls, problem: Problem) -> FirstLayer:
        """The first layer of a problem. Fails: InvalidInput if single weights have no law."""
        return cls(problem.data.inputs, *problem.layer_laws(1))

    @property
    def dimension(self) -> int:
        """Number of input coordinates."""
        return len(self.inputs[0])

    def __hash__(self) -> int:
        """Hash a few fields only: first layers are keys of caches, and hashing every fraction each time is slow."""
        return hash((len(self.inputs), self.inputs[0], self.inputs[-1], self.weight, self.bias))

    @cached_property
    def ranges(self) -> tuple[tuple[Fraction, Fraction], ...]:
        """Smallest and largest value of every input coordinate."""
        return tuple((min(column), max(column)) for column in zip(*self.inputs, strict=True))

    @cached_property
    def rays(self) -> tuple[Vector, ...]:
        """A point on every distinct ray of the non-zero inputs, its absolute coordinates adding up to nearly 1.

        Nearly, so that the factors are short: powers of 2 times small integers.
        """
        nonzero = [x for x in self.inputs if any(x)]
        first_of = dict(zip(reversed(ray_keys(nonzero)), reversed(nonzero), strict=True)) if nonzero else {}
        return tuple(_nearly_unit(x) for x in reversed(first_of.values()))

    def with_origin(self) -> FirstLayer:
        """The same with the input 0 added: a neuron is dead on it iff it is dead on the data and its bias is `<= 0`."""
        origin = (Fraction(0),) * self.dimension
        return self if origin in self.inputs else FirstLayer((origin, *self.inputs), self.weight, self.bias)

    def reduced(self) -> FirstLayer:
        """A first layer with the same `p_1` that methods find easier.

        Coordinates that are 0 in every input are dropped (one is kept): their weights never matter. For zero biases
        inputs are replaced by their rays, and the law of the weights by a multiple of scale 1: a neuron is dead iff its
        pre-activations are `<= 0` on the rays, and positive factors of the weights do not change that.
        """
        occurring = [i for i, column in enumerate(zip(*self.inputs, strict=True)) if any(column)] or [0]
        inputs = self.inputs
        if len(occurring) < self.dimension:
            inputs = tuple({tuple(x[i] for i in occurring): None for x in inputs})
        kept = FirstLayer(inputs, self.weight, self.bias)
        if not isinstance(self.bias, Zero) or isinstance(self.weight, Zero):
            return kept
        reduced = FirstLayer(kept.rays or kept.inputs[:1], type(self.weight)(sympy.Integer(1)), self.bias)
        vars(reduced)["rays"] = kept.rays  # they are their own: not to be computed again
        return reduced


def _nearly_unit(x: Vector) -> Vector:
    """A positive multiple of a non-zero vector with absolute coordinates that add up to 1, up to 1 % or so."""
    try:
        size = Fraction(sum(abs(v.numerator / v.denominator) for v in x))
    except OverflowError:
        size = Fraction(0)
    if not Fraction(1, 2**900) < size < 2**900:  # beyond floats, so exactly
        size = sum(map(abs, x), Fraction(0))
    scale = Fraction(2) ** (size.numerator.bit_length() - size.denominator.bit_length() + 8)
    factor = round(scale / size) / scale  # nine significant bits
    return tuple(v * factor for v in x)


@dataclass(frozen=True)
class DeadProbability:
    """Enclosure of `p_1` and how it is known. One-sided methods give `[lower bound, 1]`."""

    method: str
    enclosure: Enclosure
    two_sided: bool
    evidence: Evidence
    why: str
