"""Lower bounds of `p_1` for inputs in a box (math §6.5): an exact sum, and lattice rounding for any product law."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import comb, factorial

from theorems.hypotheses import Evidence
from theorems.laws import Law, Uniform, Zero
from verify.dead_neuron.directions import as_floats
from verify.dead_neuron.partition import are_comparable, deviation, distribution, reach, scale_ratio
from verify.dead_neuron.result import DeadProbability, FirstLayer
from verify.enclosure import Enclosure
from verify.enclosure.arb import polynomial_product

__all__ = ["Box", "Lattice", "box_lattice", "box_uniform", "unit_box_probability"]

Box = tuple[tuple[Fraction, Fraction], ...]

POINTS = 3000
"""Lattice points per range of the sum; the bound converges from below as they grow."""

_BITS = 100


def unit_box_probability(dimension: int) -> Fraction:
    """Probability that a neuron is `<= 0` on all of `[0,1]^d`, weights and bias uniform on one `(-c, c)`.

    Source:   math §6.5: `sum_k C(d,k) / (2^(d+1) (k+1)!)`; 3/8, 13/48, 73/384 for d = 1, 2, 3.
    Rigour:   exact.
    """
    total = sum((Fraction(comb(dimension, k), factorial(k + 1)) for k in range(dimension + 1)), Fraction(0))
    return total * Fraction(1, 2 ** (dimension + 1))


def box_uniform(first: FirstLayer) -> DeadProbability | None:
    """Lower bound for inputs in `[0,1]^d` and weights and bias uniform with one half-width (PyTorch's default).

    Coordinates that are 0 in all inputs do not count.
    """
    weight, bias = first.weight, first.bias
    if not (isinstance(weight, Uniform) and isinstance(bias, Uniform)) or weight.half_width != bias.half_width:
        return None
    if any(low < 0 or high > 1 for low, high in first.ranges):
        return None
    used = sum(low != 0 or high != 0 for low, high in first.ranges)
    lower = unit_box_probability(used)
    why = f"the inputs lie in [0,1]^{used}"
    return DeadProbability("box_uniform", Enclosure(lower, Fraction(1)), False, Evidence.CERTIFIED, why)


def box_lattice(first: FirstLayer, *, points: int = POINTS) -> DeadProbability | None:
    """Lower bound for independent weights of any law with a density, any bias, and the smallest box of the inputs.

    Source:   math §6.5, lattice rounding: every term of `b + sum_i max(w_i a_i, w_i b_i)` is rounded up.
    Rigour:   a lower bound: exact convolution of masses rounded down; it converges from below as `points` grows.
    Returns None for weights that are 0, for inputs from 2^300 on, for scales of weights and bias as far apart, and
    where nothing positive is found.
    """
    comparable = are_comparable(first.weight, first.bias)
    if isinstance(first.weight, Zero) or not comparable or as_floats(first.ranges) is None:
        return None
    lattice = Lattice.around([first.ranges], first.weight, first.bias, points)
    lower = lattice.expectation([lattice.distribution(first.ranges)])
    if lower <= 0:
        return None
    why = f"the inputs lie in a box; terms rounded up to multiples of {float(lattice.mesh):.1e} weight scales"
    return DeadProbability("box_lattice", Enclosure(lower, Fraction(1)), False, Evidence.CERTIFIED, why)


@dataclass(frozen=True)
class Lattice:
    """The multiples of `mesh` from `first` to `last`, in units of the scale of the weights, for sums of rounded terms.

    Symbols: ratio = scale of the bias in that unit.
    """

    weight: Law
    bias: Law
    ratio: Enclosure
    mesh: Fraction
    first: int
    last: int

    @classmethod
    def around(cls, boxes: Sequence[Box], weight: Law, bias: Law, points: int) -> Lattice:
        """A lattice of about `points` points that covers what matters of the sums over any of the boxes."""
        ratio = scale_ratio(bias, weight)
        spread = max(math.sqrt(sum(max(abs(float(a)), abs(float(b))) ** 2 for a, b in box)) for box in boxes)
        half = float(ratio.hi * reach(bias)) + 4 * deviation(weight) * spread
        mesh = max(Fraction(math.ceil(2 * half / points * 2**40), 2**40), Fraction(1, 2**40))
        return cls(weight, bias, ratio, mesh, -(points // 2), points // 2)

    def distribution(self, box: Box) -> list[int]:
        """Lower bounds of `P(S <= k mesh)`, `k = first, ..., last`, `S = sum_i max(w_i a_i, w_i b_i)`, in units 2^-100.

        Terms and what falls below the lattice are rounded up to it; what rises above it is given away.
        """
        law = [0] * (self.last - self.first + 1)
        law[-self.first] = 1 << _BITS
        terms: dict[tuple[Fraction, Fraction], tuple[int, list[int]]] = {}
        for side in box:
            if not any(side):
                continue
            if side not in terms:
                terms[side] = self._term(*side)
            start, masses = terms[side]
            law = self._kept(polynomial_product(law, masses), start)
        total = 0
        cumulative = []
        for mass in law:
            total += mass
            cumulative.append(total)
        return cumulative

    def _term(self, low: Fraction, high: Fraction) -> tuple[int, list[int]]:
        """First index `k` and masses `P((k-1) mesh < max(w a, w b) <= k mesh)` of a term rounded up, in the lattice."""
        bound = reach(self.weight)
        lowest = min(-low * bound if low > 0 else Fraction(0), high * bound if high < 0 else Fraction(0))
        highest = bound * max(abs(low), abs(high))
        start = max(math.floor(lowest / self.mesh), self.first)
        stop = min(math.ceil(highest / self.mesh), self.last - self.first)
        chances = [self._chance(k * self.mesh, low, high) for k in range(start, stop + 1)]
        below = [chances[0].lo, *(after.lo - before.hi for before, after in itertools.pairwise(chances))]
        return start, [max(math.floor(mass * 2**_BITS), 0) for mass in below]

    def _chance(self, x: Fraction, low: Fraction, high: Fraction) -> Enclosure:
        """Enclose `P(w low <= x and w high <= x)`."""
        if x < 0 and (low <= 0 <= high):
            return Enclosure.point(0)
        upper = min((x / end for end in (low, high) if end > 0), default=None)
        lower = max((x / end for end in (low, high) if end < 0), default=None)
        top = Enclosure.point(1) if upper is None else distribution(self.weight, upper)
        bottom = Enclosure.point(0) if lower is None else distribution(self.weight, lower)
        return Enclosure(max(top.lo - bottom.hi, Fraction(0)), max(top.hi - bottom.lo, Fraction(0)))

    def _kept(self, product: Sequence[int], start: int) -> list[int]:
        """The product law on the lattice: what lies below it lifted to its first point, what lies above it dropped."""
        cut = max(-start, 0)
        law = [0] * max(start, 0) + list(product[cut:])
        law[0] += sum(product[:cut])
        return [mass >> _BITS for mass in law[: self.last - self.first + 1]]

    def expectation(self, distributions: Sequence[Sequence[int]]) -> Fraction:
        """Lower bound of `E prod_g F_g(-b)`, the bias rounded up to the lattice, for laws from `distribution`."""
        size = self.last - self.first
        cells = [self._bias_at_most(k * self.mesh) for k in range(self.first, self.last + 1)]
        total = Fraction(0)
        for k in range(size + 1):
            mass = cells[k].lo - (cells[k - 1].hi if k else 0)
            product = mass
            for law in distributions:
                product *= Fraction(law[size - k], 1 << _BITS)
            if product > 0:
                total += Fraction(math.floor(product * 2**_BITS), 2**_BITS)
        return total

    def _bias_at_most(self, x: Fraction) -> Enclosure:
        if isinstance(self.bias, Zero):
            return Enclosure.point(int(x >= 0))
        ends = [distribution(self.bias, x / ratio) for ratio in {self.ratio.lo, self.ratio.hi}]
        return Enclosure(min(end.lo for end in ends), max(end.hi for end in ends))
