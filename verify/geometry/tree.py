"""A short spanning tree of the inputs: its length, the norm of its root, the largest norm of an input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from theorems.setting import DataSet, Vector
from verify.enclosure.arb import Ball, ball
from verify.geometry.balls import rounded_up, square_sum
from verify.geometry.search import distances, main_order, to_floats, tree_edges

__all__ = ["Tree", "spanning_tree"]


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
    """A spanning tree, a shortest one for up to 2,000 inputs; that and the least norm are as floats tell.

    Rigour:   upper bounds, exact for scalar inputs and otherwise larger than the true sizes of the tree and the root
              by at most a factor `1 + 2^-40`.
    """
    if data.input_dim == 1:
        ((low, high),) = data.input_ranges
        norms = [abs(x[0]) for x in data.inputs]
        return Tree(high - low, norms.index(min(norms)), min(norms), max(norms))
    points = to_floats(data.inputs)
    edges = tree_edges(main_order(points), lambda block: distances(points[block]))
    root = int(np.argmin(np.sum(points * points, axis=1)))
    return Tree(
        length=rounded_up(lambda: _length(data, edges)),
        root=root,
        root_norm=rounded_up(lambda: _norm(data.inputs[root])),
        radius=rounded_up(lambda: _radius(data)),
    )


def _norm(x: Vector) -> Ball:
    return square_sum(ball(v) for v in x).sqrt()


def _length(data: DataSet, edges: Sequence[tuple[int, int]]) -> Ball:
    points = [[ball(v) for v in x] for x in data.inputs]
    total = ball(Fraction(0))
    for i, j in edges:
        total += square_sum(u - v for u, v in zip(points[i], points[j], strict=True)).sqrt()
    return total


def _radius(data: DataSet) -> Ball:
    largest = ball(Fraction(0))
    for x in data.inputs:
        largest = largest.max(_norm(x))
    return largest
