"""A short spanning tree of the inputs: its length, the norm of its root, the largest norm of an input."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from theorems.setting import DataSet
from verify.geometry.search import Distances, main_order, to_floats, tree_edges

__all__ = ["Tree", "spanning_tree"]

BITS = 40
"""Lengths are rounded up by less than a factor `1 + 2^-BITS`."""


@dataclass(frozen=True)
class Tree:
    """Upper bounds of the sizes of a spanning tree of the distinct inputs, in Euclidean distance.

    Symbols: length = tau, the sum of its edges; root = index of its root among the inputs, an input of least norm;
    root_norm = r_0, the norm of that input; radius = R, the largest norm of an input.
    """

    length: Fraction
    root: int
    root_norm: Fraction
    radius: Fraction


@lru_cache(maxsize=16)
def spanning_tree(data: DataSet) -> Tree:
    """A spanning tree: a shortest one for up to 2,000 inputs, for more a shortest one of near pairs.

    It and the input of least norm are found in floats and measured in integers.

    Rigour:   upper bounds, exact for scalar inputs and otherwise larger than the true sizes of the tree and the root
              by at most a factor `1 + 2^-40`.
    """
    if data.input_dim == 1:
        ((low, high),) = data.input_ranges
        norms = [abs(x[0]) for x in data.inputs]
        return Tree(high - low, norms.index(min(norms)), min(norms), max(norms))
    points = to_floats(data.inputs)
    edges = tree_edges(points, main_order(points), Distances(points)).tolist()
    root = int(np.argmin(np.sum(points * points, axis=1)))
    whole, unit = _whole_numbers(data)
    squares = [sum(v * v for v in x) for x in whole]
    lengths = (_root(sum((u - v) ** 2 for u, v in zip(whole[i], whole[j], strict=True))) for i, j in edges)
    return Tree(
        length=unit * sum(lengths), root=root, root_norm=unit * _root(squares[root]), radius=unit * _root(max(squares))
    )


def _whole_numbers(data: DataSet) -> tuple[list[tuple[int, ...]], Fraction]:
    """The distinct inputs as integers, and the fraction, in units of `2^-BITS`, that 1 stands for."""
    scale = math.lcm(*{v.denominator for x in data.inputs for v in x})
    whole = [tuple(v.numerator * (scale // v.denominator) for v in x) for x in data.inputs]
    return whole, Fraction(1, scale << BITS)


def _root(square: int) -> int:
    """`2^BITS` times the square root of a natural number, rounded up by less than 1; a positive one is `>= 2^BITS`."""
    scaled = square << 2 * BITS
    root = math.isqrt(scaled)
    return root if root * root == scaled else root + 1
