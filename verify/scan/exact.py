"""Exact values of a program at one row, in whole numbers over one denominator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from verify.scan.program import Affine, Input, Largest, Mean, Move, Node, Program, Relu, Scale, Sum, Windows

__all__ = ["Budget", "ExactRow", "OutOfBudget", "as_fractions"]

Whole = npt.NDArray[np.object_]
Dyadic = tuple[Whole, int]  # whole numbers in units of 2^-places
Floats = npt.NDArray[np.float64]


class OutOfBudget(Exception):
    """The multiplications that are allowed have been used up, or the program has numbers that are not rational."""


@dataclass
class Budget:
    """How many multiplications of long integers may still be made."""

    left: int

    def spend(self, count: int) -> None:
        """Take some. Fails: OutOfBudget if there are not enough left."""
        if count > self.left:
            raise OutOfBudget
        self.left -= count


class ExactRow:
    """The values of a program at one exact input; each is computed once."""

    def __init__(self, program: Program, row: Sequence[Fraction], budget: Budget, cache: dict[int, Dyadic]) -> None:
        self.program, self.row, self.budget = program, row, budget
        self._weights = cache  # whole matrices in long integers, shared by the rows
        self._known: dict[int, tuple[Whole, int]] = {}

    def signs(self, node: int, entries: Sequence[int]) -> list[int]:
        """The signs of some entries of a node. Fails: OutOfBudget."""
        step = self.program.nodes[node]
        if isinstance(step, Affine) and node not in self._known:
            values, _ = self._affine(step, self._value(step.sources[0]), list(entries))
        else:
            values = self._value(node)[0][list(entries)]
        return [(value > 0) - (value < 0) for value in values]

    def _value(self, node: int) -> tuple[Whole, int]:
        """Numerators and the one denominator."""
        waiting = [node]
        while waiting:  # a stack, since networks can be deeper than Python's recursion
            i = waiting[-1]
            missing = [source for source in self.program.nodes[i].sources if source not in self._known]
            if i in self._known or not missing:
                waiting.pop()
                if i not in self._known:
                    self._known[i] = self._step(i, self.program.nodes[i])
            else:
                waiting += missing
        return self._known[node]

    def _step(self, i: int, node: Node) -> tuple[Whole, int]:
        sources = [self._known[source] for source in node.sources]
        match node:
            case Input():
                denominator = math.lcm(*{value.denominator for value in self.row})
                return _objects([v.numerator * (denominator // v.denominator) for v in self.row]), denominator
            case Affine():
                return self._affine(node, sources[0], None, i)
            case Windows():
                return self._windows(i, node, sources[0])
            case Relu():
                return np.maximum(sources[0][0], 0), sources[0][1]
            case Move():
                both, denominator = _common(sources)
                return _with_zero(np.concatenate(both))[node.index], denominator
            case Sum():
                (left, right), denominator = _common(sources)
                return left + node.sign * right, denominator
            case Scale():
                return self._scaled(node, *sources[0])
            case Largest():
                h, denominator = sources[0]
                lowest = min(h.tolist()) if len(h) else 0
                parts = np.where(node.index < 0, lowest, _with_zero(h)[node.index])
                return parts.max(axis=1), denominator
            case Mean():
                h, denominator = sources[0]
                multiple = math.lcm(*set(node.divisor.tolist()))
                factors = _objects([multiple // d for d in node.divisor.tolist()])
                return _with_zero(h)[node.index].sum(axis=1) * factors, denominator * multiple
        raise TypeError(f"{type(node).__name__} is no step")

    def _affine(
        self, node: Affine, h: tuple[Whole, int], rows: list[int] | None, cached: int | None = None
    ) -> tuple[Whole, int]:
        values, denominator = h
        weight = node.weight if rows is None else node.weight[rows]
        bias = node.bias if rows is None or node.bias is None else node.bias[rows]
        self.budget.spend(weight.size)
        if cached is None:
            whole, places = _dyadic(weight)
        else:
            whole, places = self._matrix(cached, weight)
        return _plus_bias(whole @ values, denominator, places, bias)

    def _matrix(self, node: int, weight: Floats) -> Dyadic:
        if node not in self._weights:
            self._weights[node] = _dyadic(weight)
        return self._weights[node]

    def _windows(self, i: int, node: Windows, h: tuple[Whole, int]) -> tuple[Whole, int]:
        groups, positions, _ = node.index.shape
        self.budget.spend(positions * node.weight.size)
        weight, places = self._matrix(i, node.weight)
        parts = _with_zero(h[0])[node.index]  # (groups, positions, in)
        products = [weight[g] @ parts[g].T for g in range(groups)]  # (out, positions)
        bias = None if node.bias is None else np.repeat(node.bias, positions)
        z, denominator = _plus_bias(np.concatenate([p.reshape(-1) for p in products]), h[1], places, bias)
        if node.channels_last:
            z = z.reshape(-1, positions).T.reshape(-1)
        return z, denominator

    def _scaled(self, node: Scale, h: Whole, denominator: int) -> tuple[Whole, int]:
        if not node.exact:
            raise OutOfBudget
        self.budget.spend(len(h))
        factor, places = _dyadic(node.factor)
        return _plus_bias(h * factor, denominator, places, node.shift)


def _dyadic(values: Floats) -> Dyadic:
    """Floats as whole numbers in units of one power of two."""
    ratios = [float(v).as_integer_ratio() for v in values.ravel()]
    places = max((bottom.bit_length() - 1 for _, bottom in ratios), default=0)
    whole = [top << (places - (bottom.bit_length() - 1)) for top, bottom in ratios]
    return _objects(whole).reshape(values.shape), places


def _plus_bias(products: Whole, denominator: int, places: int, bias: Floats | None) -> tuple[Whole, int]:
    """`products / (denominator 2^places) + bias` with one denominator."""
    if bias is None:
        return _shortened(products, denominator << places)
    whole, bias_places = _dyadic(bias)
    common = max(places, bias_places)
    total = (products << (common - places)) + (whole << (common - bias_places)) * denominator
    return _shortened(total, denominator << common)


def _shortened(values: Whole, denominator: int) -> tuple[Whole, int]:
    divisor = math.gcd(denominator, *values.tolist())
    return (values // divisor, denominator // divisor) if divisor > 1 else (values, denominator)


def _common(sources: Sequence[tuple[Whole, int]]) -> tuple[list[Whole], int]:
    denominator = math.lcm(*(d for _, d in sources))
    return [values * (denominator // d) for values, d in sources], denominator


def _with_zero(values: Whole) -> Whole:
    return np.concatenate([values, _objects([0])])


def _objects(values: list[Any]) -> Whole:
    found = np.empty(len(values), dtype=object)
    found[:] = values
    return found


def as_fractions(values: Floats) -> tuple[Fraction, ...]:
    """Floats as the fractions that they are."""
    return tuple(map(Fraction, values.tolist()))
