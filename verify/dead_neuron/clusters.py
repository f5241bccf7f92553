"""Lower bounds of `p_1` for inputs in several boxes of one orthant (math §6.6): Harris' inequality, given the bias."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from theorems.errors import InvalidInput
from theorems.hypotheses import Evidence
from theorems.laws import Law, Zero
from verify.dead_neuron.box import POINTS, Box, Lattice
from verify.dead_neuron.directions import Array, as_floats
from verify.dead_neuron.partition import are_comparable, deviation, scale_ratio
from verify.dead_neuron.result import DeadProbability, FirstLayer
from verify.enclosure import Enclosure

__all__ = ["box_clusters", "clusters_bound", "smallest_box"]

Clusters = tuple[tuple[int, ...], ...]

MOST_CLUSTERS = 8


def box_clusters(first: FirstLayer) -> DeadProbability | None:
    """Lower bound for inputs in one closed orthant, independent weights of any law with a density, and any bias.

    Source:   math §6.6: `p_1 >= E_b prod_g P(dead on box g | b)`.
    Rigour:   a lower bound; the search for clusters only decides how sharp it is.
    Returns None if the inputs lie in no common orthant, are 2^300 or more, if the scales of weights and bias are as far
    apart, or where the search finds nothing better than a single box, which is `box_lattice`.
    """
    comparable = are_comparable(first.weight, first.bias)
    if isinstance(first.weight, Zero) or not comparable or not _same_orthant([first.ranges]):
        return None
    numbers = as_floats(first.inputs)
    if numbers is None:
        return None
    clusters = _search(numbers, first.weight, first.bias)
    if len(clusters) == 1:
        return None
    boxes = [smallest_box([first.inputs[j] for j in cluster]) for cluster in clusters]
    lower = clusters_bound(boxes, first.weight, first.bias)
    if lower <= 0:
        return None
    why = f"{len(boxes)} boxes of one orthant cover the inputs"
    return DeadProbability("box_clusters", Enclosure(lower, Fraction(1)), False, Evidence.CERTIFIED, why)


def clusters_bound(boxes: Sequence[Box], weight: Law, bias: Law, *, points: int = POINTS) -> Fraction:
    """Lower bound of the probability that a neuron is `<= 0` on all of the boxes.

    Source:   math §6.6.
    Rigour:   a lower bound: given the bias the events are monotone in the weights in one common sense (Harris), and
              each is bounded on a lattice.
    Fails:    InvalidInput if the boxes lie in no common orthant: the inequality can then be false.
    """
    if not _same_orthant(boxes):
        raise InvalidInput("boxes in different orthants: expected every coordinate to have one sign on all of them")
    lattice = Lattice.around(boxes, weight, bias, points)
    return lattice.expectation([lattice.distribution(box) for box in boxes])


def smallest_box(inputs: Sequence[Sequence[Fraction]]) -> Box:
    """The smallest box that contains the inputs."""
    return tuple((min(column), max(column)) for column in zip(*inputs, strict=True))


def _same_orthant(boxes: Sequence[Box]) -> bool:
    return all(
        all(low >= 0 for low, _ in sides) or all(high <= 0 for _, high in sides) for sides in zip(*boxes, strict=True)
    )


# --- the search: floats ----------------------------------------------------------------------------------------------


def _search(inputs: Array, weight: Law, bias: Law) -> Clusters:
    """Split clusters in two while a normal approximation of the bound grows."""
    biases, chances = _bias_nodes(bias, float(scale_ratio(bias, weight).hi))
    spread = deviation(weight)

    def factor(cluster: NDArray[np.intp]) -> Array:
        """Approximate `P(dead on the cluster's box | b)` at the nodes of the bias."""
        low, high = inputs[cluster].min(axis=0), inputs[cluster].max(axis=0)
        # For symmetric w: max(w low, w high) has mean (high - low) E|w|/2 and second moment (low^2 + high^2) Var(w)/2.
        means = (high - low) * 0.4 * spread
        variance = float(((low**2 + high**2) / 2 * spread**2 - means**2).sum())
        return np.asarray(ndtr((-biases - means.sum()) / math.sqrt(max(variance, 1e-12))))

    clusters = [np.arange(len(inputs))]
    factors = [factor(clusters[0])]
    value = float(chances @ factors[0])
    while len(clusters) < MOST_CLUSTERS:
        best = None
        for position, cluster in enumerate(clusters):
            for parts in _halves(inputs, cluster):
                pair = [factor(part) for part in parts]
                others = np.prod([f for i, f in enumerate(factors) if i != position], axis=0)
                now = float(chances @ (others * pair[0] * pair[1]))
                if now > value:
                    value, best = now, (position, parts, pair)
        if best is None:
            break
        position, parts, pair = best
        clusters[position : position + 1] = parts
        factors[position : position + 1] = pair
    return tuple(tuple(int(j) for j in cluster) for cluster in clusters)


def _bias_nodes(bias: Law, ratio: float) -> tuple[Array, Array]:
    if isinstance(bias, Zero):
        return np.zeros(1), np.ones(1)
    nodes = np.linspace(-1.7, 1.7, 35)
    chances = np.exp(-(nodes**2) / 2)
    return nodes * ratio * deviation(bias), chances / chances.sum()


def _halves(inputs: Array, cluster: NDArray[np.intp]) -> list[list[NDArray[np.intp]]]:
    """Ways to split a cluster in two: at the middle of its widest coordinates."""
    if len(cluster) < 2:
        return []
    values = inputs[cluster]
    low, high = values.min(axis=0), values.max(axis=0)
    found = []
    for i in np.argsort(-(high - low), kind="stable")[:8]:
        upper = values[:, i] > (low[i] + high[i]) / 2
        if upper.any() and not upper.all():
            found.append([cluster[~upper], cluster[upper]])
    return found
