"""Short trees and round trips, found in floats.

Nothing here is certified, and nothing need be: every tree and every order of the points is a valid one, and what is
found is then measured exactly. Costs are rounded before they are compared, so that last-bit differences between
libraries of linear algebra rarely change what is found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import depth_first_order, minimum_spanning_tree
from scipy.spatial import cKDTree

from theorems.setting import Vector

__all__ = [
    "Angles",
    "Costs",
    "Distances",
    "Floats",
    "Indices",
    "closed_walk",
    "main_order",
    "to_directions",
    "to_floats",
    "tree_edges",
]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


class Costs(Protocol):
    """What it costs to join two of some points, in floats; the same in both directions."""

    def within(self, block: Indices) -> Floats:
        """The matrix of costs between the points with these indices."""

    def along(self, pairs: Indices) -> Floats:
        """The costs of these pairs of indices, one a row."""


DENSE = 2000
"""Up to so many points all pairs are looked at, otherwise those of near points."""
NEAR = 12
AXES = 5
"""Near points are near in the plane of the largest variance of so many dimensions; searching more takes long."""
CHUNK = 100_000
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


@dataclass(frozen=True, eq=False)
class Distances:
    """Euclidean distances between points."""

    points: Floats

    def within(self, block: Indices) -> Floats:
        """The matrix of distances."""
        points = self.points[block]
        points = points - points.mean(axis=0)
        squares = np.sum(points * points, axis=1)
        apart: Floats = np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * points @ points.T, 0))
        return apart

    def along(self, pairs: Indices) -> Floats:
        """The distances of pairs."""
        apart: Floats = np.linalg.norm(self.points[pairs[:, 0]] - self.points[pairs[:, 1]], axis=1)
        return apart


@dataclass(frozen=True, eq=False)
class Angles:
    """Angles between unit vectors."""

    directions: Floats

    def within(self, block: Indices) -> Floats:
        """The matrix of angles."""
        units = self.directions[block]
        return _arc_cosine(units @ units.T)

    def along(self, pairs: Indices) -> Floats:
        """The angles of pairs."""
        return _arc_cosine(np.sum(self.directions[pairs[:, 0]] * self.directions[pairs[:, 1]], axis=1))


def _arc_cosine(cosines: Floats) -> Floats:
    found: Floats = np.arccos(np.clip(cosines, -1, 1))
    return found


def main_order(points: Floats) -> Indices:
    """The points in order along the direction of their largest variance."""
    return np.argsort(_main_coordinates(points, 1)[:, 0], kind="stable")


def _main_coordinates(points: Floats, axes: int) -> Floats:
    """Coordinates of the centred points along the directions of their largest variance, rounded."""
    centred = points - points.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    return _rounded(centred @ directions[:, ::-1][:, :axes])


def tree_edges(points: Floats, order: Indices, costs: Costs) -> Indices:
    """Edges of a spanning tree, two indices a row: the cheapest one; of many points the cheapest of near pairs.

    `order` holds all indices. Pairs that follow each other in it are looked at as well, so that there is a tree.
    """
    if len(order) <= DENSE:
        rows, columns = np.triu_indices(len(order), 1)
        pairs, weights = np.column_stack([order[rows], order[columns]]), costs.within(order)[rows, columns]
    else:
        pairs = _near_pairs(points, order)
        weights = np.concatenate([costs.along(part) for part in np.array_split(pairs, -(-len(pairs) // CHUNK))])
    return _cheapest_tree(pairs, _rounded(weights), len(order))


def closed_walk(points: Floats, order: Indices, costs: Costs) -> Indices:
    """Arcs of a closed walk through all points, two indices a row: the cheaper of two.

    One goes along a spanning tree and back. The other visits the nearest point not yet visited, and then exchanges two
    arcs where that is cheaper; many points it visits in the order in which the tree leads to them.
    """
    tree = tree_edges(points, order, costs)
    if len(order) <= DENSE:
        matrix = _rounded(costs.within(order))
        steps = _nearest_first(matrix)
        _exchange(steps, matrix)
        visited = order[steps]
    else:
        graph = csr_array((np.ones(len(tree)), (tree[:, 0], tree[:, 1])), shape=(len(order), len(order)))
        visited = depth_first_order(graph, order[0], directed=False, return_predecessors=False)
    walks = [np.column_stack([visited, np.roll(visited, -1)]), np.concatenate([tree, tree])]
    return min(walks, key=lambda arcs: float(np.sum(costs.along(arcs))))


def _near_pairs(points: Floats, order: Indices) -> Indices:
    """Every point with the points nearest to it, and with the next one in the order."""
    size = len(order)
    coordinates = _main_coordinates(points, AXES)
    _, near = cKDTree(coordinates).query(coordinates, NEAR + 1)
    first = np.concatenate([np.repeat(np.arange(size), NEAR + 1), order[:-1]])
    second = np.concatenate([near.ravel(), order[1:]])
    keys = np.unique(np.minimum(first, second) * size + np.maximum(first, second))
    pairs: Indices = np.column_stack(np.divmod(keys, size))
    return pairs[pairs[:, 0] < pairs[:, 1]]


def _rounded(values: Floats) -> Floats:
    """In units of the largest one, rounded: the same whatever the scale of the points."""
    return np.round(values / (float(np.max(np.abs(values), initial=0)) or 1.0), _DECIMALS)


def _cheapest_tree(pairs: Indices, costs: Floats, size: int) -> Indices:
    """Costs count by their ranks, so that none is 0, which would mean a missing edge, and none are equal."""
    ranks = np.empty(len(pairs))
    ranks[np.argsort(costs, kind="stable")] = np.arange(1, len(pairs) + 1)
    tree = minimum_spanning_tree(csr_array((ranks, (pairs[:, 0], pairs[:, 1])), shape=(size, size)))
    return np.column_stack(tree.nonzero()).astype(np.intp)


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
