"""Short trees and round trips, found in floats.

Nothing here is certified, and nothing need be: every tree and every order of the points is a valid one, and what is
found is then measured exactly. Costs are rounded before they are compared, so that last-bit differences between
libraries of linear algebra rarely change what is found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from theorems.setting import Vector

__all__ = [
    "Costs",
    "Floats",
    "Indices",
    "angles",
    "distances",
    "main_order",
    "round_trip",
    "to_directions",
    "to_floats",
    "tree_edges",
]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]
Costs = Callable[[Indices], Floats]
"""The symmetric matrix of costs between the points with these indices."""

DENSE = 2000
"""Up to so many points all pairs are looked at; more points are cut into blocks along their main direction."""
BLOCK = 500
PASSES = 12
_DECIMALS = 9
_SMALLEST = 1e-100


def to_floats(vectors: Sequence[Vector]) -> Floats:
    """Vectors as floats; if they are very large or very small, all are divided by their largest entry."""
    points = _as_floats(vectors)
    if points is None or not _SMALLEST < np.max(np.abs(points)) < 1 / _SMALLEST:
        largest = max(max(map(abs, x)) for x in vectors) or Fraction(1)
        points = np.array([[v / largest for v in x] for x in vectors], dtype=np.float64)
    return points


def to_directions(vectors: Sequence[Vector]) -> Floats:
    """Non-zero vectors as floats, divided by their norms."""
    points = _as_floats(vectors)
    if points is None or np.min(np.max(np.abs(points), axis=1)) < _SMALLEST:
        points = np.array([[v / max(map(abs, x)) for v in x] for x in vectors], dtype=np.float64)
    points /= np.max(np.abs(points), axis=1, keepdims=True)
    unit: Floats = points / np.linalg.norm(points, axis=1, keepdims=True)
    return unit


def _as_floats(vectors: Sequence[Vector]) -> Floats | None:
    """None if an entry is beyond the range of floats."""
    try:
        return np.array(vectors, dtype=np.float64)
    except OverflowError:
        return None


def distances(points: Floats) -> Floats:
    """Euclidean distances."""
    points = points - points.mean(axis=0)
    squares = np.sum(points * points, axis=1)
    apart: Floats = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * points @ points.T, 0))
    return apart


def angles(directions: Floats) -> Floats:
    """Angles between unit vectors."""
    found: Floats = np.arccos(np.clip(directions @ directions.T, -1, 1))
    return found


def main_order(points: Floats) -> Indices:
    """The points in order along the direction of their largest variance."""
    centred = points - points.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    return np.argsort(np.round(centred @ directions[:, -1], _DECIMALS), kind="stable")


def tree_edges(order: Indices, costs: Costs) -> list[tuple[int, int]]:
    """Edges of a spanning tree: a cheapest one of each block, and one edge from each block to the next."""
    edges: list[tuple[int, int]] = []
    pieces = _blocks(order)
    for block in pieces:
        edges += [(int(block[i]), int(block[j])) for i, j in _cheapest_tree(_rounded(costs, block))]
    edges += [(int(here[-1]), int(there[0])) for here, there in pairwise(pieces)]
    return edges


def round_trip(order: Indices, costs: Costs) -> list[tuple[int, int]]:
    """Arcs of a closed walk through all points: the nearest point not yet visited, then exchanges of two arcs.

    Several blocks are visited one after the other, without exchanges.
    """
    pieces = _blocks(order)
    walk: list[int] = []
    for block in pieces:
        matrix = _rounded(costs, block)
        steps = _nearest_first(matrix)
        if len(pieces) == 1:
            _exchange(steps, matrix)
        walk += [int(block[i]) for i in steps]
    return list(zip(walk, walk[1:] + walk[:1], strict=True))


def _blocks(order: Indices) -> list[Indices]:
    return [order] if len(order) <= DENSE else np.array_split(order, -(-len(order) // BLOCK))


def _rounded(costs: Costs, block: Indices) -> Floats:
    return np.round(costs(block), _DECIMALS)


def _cheapest_tree(costs: Floats) -> list[tuple[int, int]]:
    """Prim's algorithm."""
    cheapest, nearest = costs[0].copy(), np.zeros(len(costs), dtype=np.intp)
    outside = np.ones(len(costs), dtype=bool)
    outside[0] = False
    edges = []
    for _ in range(len(costs) - 1):
        new = int(np.argmin(np.where(outside, cheapest, np.inf)))
        edges.append((int(nearest[new]), new))
        outside[new] = False
        closer = outside & (costs[new] < cheapest)
        cheapest[closer] = costs[new][closer]
        nearest[closer] = new
    return edges


def _nearest_first(costs: Floats) -> Indices:
    outside = np.ones(len(costs), dtype=bool)
    order = np.zeros(len(costs), dtype=np.intp)
    outside[0] = False
    for step in range(1, len(costs)):
        order[step] = np.argmin(np.where(outside, costs[order[step - 1]], np.inf))
        outside[order[step]] = False
    return order


def _exchange(order: Indices, costs: Floats) -> None:
    """2-opt: reverse a stretch of the walk wherever that makes it cheaper, in at most `PASSES` passes."""
    size = len(order)
    for _ in range(PASSES):
        improved = False
        for i in range(size - 2):
            here, there = order[i], order[i + 1]
            starts = order[i + 2 :]
            ends = np.append(order[i + 3 :], order[0])
            gain = costs[here, there] + costs[starts, ends] - costs[here, starts] - costs[there, ends]
            best = int(np.argmax(gain))
            if gain[best] > 10**-_DECIMALS:
                order[i + 1 : i + 3 + best] = order[i + 1 : i + 3 + best][::-1].copy()
                improved = True
        if not improved:
            return
