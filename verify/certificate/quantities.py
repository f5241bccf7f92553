"""The quantities of a certificate, each with what derives it (FORMAT.md, section 6)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache

import sympy

from theorems.bounds import RADIUS, ROOT_NORM, SPREAD, TOUR_LENGTH, TOUR_ZEROS, TREE_LENGTH
from theorems.problem import Problem
from theorems.setting import DataSet
from verify.certificate.terms import Json, ratio
from verify.dead_neuron import DeadProbability
from verify.geometry.search import Distances, main_order, to_floats, tree_edges
from verify.separation import ray_keys, separate

__all__ = ["Quantity", "dead_quantity", "size_quantity"]

TAKEN: Json = {"method": "taken"}
GUARD_BITS = 60
MAX_TREE = 2_000
"""Distinct inputs up to which a spanning tree is written."""


@dataclass(frozen=True)
class Quantity:
    """What a name in a term stands for, and how it is derived.

    Symbols: `p_1` has a lower end, and the same upper end where it is known exactly, else None; a size has `lo` None.
    """

    lo: Fraction | None
    hi: Fraction | None
    derivation: Json

    @property
    def taken(self) -> bool:
        """Whether the checker cannot derive it."""
        return bool(self.derivation == TAKEN)

    @property
    def value(self) -> Fraction:
        """The number that it stands for in terms."""
        if self.lo is not None:
            return self.lo
        return Fraction(0) if self.hi is None else self.hi

    def widened(self) -> Quantity:
        """The same with an end a little further out, for what the checker can only enclose."""
        if self.lo is not None:
            return replace(self, lo=_outward(self.lo, down=True), hi=None)
        return self if self.hi is None else replace(self, hi=_outward(self.hi, down=False))

    def to_json(self) -> Json:
        """The member of `quantities`."""
        ends = {"lo": self.lo, "hi": self.hi}
        return {key: None if end is None else ratio(end) for key, end in ends.items()} | {"derivation": self.derivation}


def _outward(value: Fraction, *, down: bool) -> Fraction:
    """A dyadic number at a relative distance of about `2^-GUARD_BITS`."""
    if value == 0:
        return value
    size = value.numerator.bit_length() - value.denominator.bit_length()
    unit = Fraction(2) ** (size - GUARD_BITS)
    return (math.floor(value / unit) - 1) * unit if down else (math.ceil(value / unit) + 1) * unit


def dead_quantity(p_dead: DeadProbability, problem: Problem, *, with_rows: bool) -> Quantity:
    """`p_1` with a derivation where the format knows the method; only the lower end unless it is known exactly.

    Bounds are evaluated at the lower end, so the certificate is one about that number.
    """
    ends = p_dead.enclosure
    low, high = ends.lo, ends.hi if p_dead.two_sided and ends.width == 0 else None
    match p_dead.method:
        case "uniform_1d" | "normal_1d" if problem.architecture.input_dim == 1:
            return Quantity(low, high, {"method": p_dead.method})
        case "box_uniform" | "zero_bias_orthant":
            return Quantity(low, None, {"method": p_dead.method})
        case "zero_bias_hull" if low > 0:
            return Quantity(low, high, {"method": p_dead.method, "multipliers": None})
        case "zero_bias_hull" if with_rows:
            return Quantity(low, high, {"method": p_dead.method, "multipliers": _multipliers(problem.data)})
        case _:
            return Quantity(low, high, TAKEN)


@lru_cache(maxsize=64)
def _multipliers(data: DataSet) -> Json:
    """Positive multiples of inputs, not all of them 0, that add up to 0."""
    nonzero = [j for j, x in enumerate(data.inputs) if any(x)]
    keys = ray_keys([data.inputs[j] for j in nonzero])
    chosen = list(dict(zip(reversed(keys), reversed(nonzero), strict=True)).values())
    found = separate([data.inputs[j] for j in chosen]).multipliers
    if found is None:
        raise ArithmeticError(f"data {data.name!r}: 0 was found in the hull of the rays, and now it is not")
    return sorted([chosen[i], ratio(value)] for i, value in found)


def size_quantity(symbol: sympy.Symbol, value: Fraction, problem: Problem, *, with_rows: bool) -> Quantity:
    """A size of the data with a derivation where the format knows one."""
    return Quantity(None, value, _size_derivation(symbol, value, problem, with_rows=with_rows))


def _size_derivation(symbol: sympy.Symbol, value: Fraction, problem: Problem, *, with_rows: bool) -> Json:
    data, derived = problem.data, {"method": "data"}
    if symbol in (TOUR_LENGTH, TOUR_ZEROS):
        planar = data.input_dim <= 2 and value >= (2 if symbol == TOUR_ZEROS else Fraction(62831853, 10**7))
        return derived if data.n_rays <= 1 or planar else TAKEN
    if symbol == TREE_LENGTH and data.input_dim == 1:
        return derived
    if not with_rows:
        return TAKEN
    if symbol == TREE_LENGTH:
        parents = _parents(data)
        return TAKEN if parents is None else {"method": "tree", "parents": parents}
    return derived if symbol in (SPREAD, ROOT_NORM, RADIUS) else TAKEN


@lru_cache(maxsize=16)
def _parents(data: DataSet) -> list[int] | None:
    """The spanning tree whose length is used, as the number of each input's parent; the first input is the root."""
    if data.n_inputs > MAX_TREE:
        return None
    if data.n_inputs == 1:
        return [-1]
    points = to_floats(data.inputs)
    neighbours: dict[int, list[int]] = {j: [] for j in range(data.n_inputs)}
    for i, j in tree_edges(points, main_order(points), Distances(points)).tolist():
        neighbours[i].append(j)
        neighbours[j].append(i)
    parents, reached = [-1] * data.n_inputs, [0]
    for i in reached:
        for j in neighbours[i]:
            if j != parents[i]:
                parents[j] = i
                reached.append(j)
    return parents
