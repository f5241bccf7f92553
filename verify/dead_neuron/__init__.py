"""`p_1`: the probability that one first-layer neuron is dead on the data (math §6).

Each method answers with an enclosure of both sides, with a lower bound, or declines; `dead_probability` takes the first
answer of both sides, or else the largest lower end. Every bound of the library increases with `p_1` (math §5), so a
lower bound is always safe.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

from theorems.hypotheses import Evidence
from theorems.problem import Problem
from verify.dead_neuron.box import box_lattice, box_uniform
from verify.dead_neuron.cells import weight_cells
from verify.dead_neuron.clusters import box_clusters
from verify.dead_neuron.one_dimensional import normal_1d, uniform_1d
from verify.dead_neuron.pinned_normal import pinned_normal
from verify.dead_neuron.pinned_sums import pinned_sums
from verify.dead_neuron.planar import normal_planar, uniform_planar
from verify.dead_neuron.result import DeadProbability, FirstLayer
from verify.dead_neuron.slepian import one_factor
from verify.dead_neuron.zero_bias import normal_cap, zero_bias_hull, zero_bias_orthant
from verify.enclosure import Enclosure, Tri
from verify.separation import separate

__all__ = ["METHODS", "TRIVIAL", "DeadProbability", "FirstLayer", "Method", "certified", "dead_probability"]

Method = Callable[[FirstLayer], DeadProbability | None]

TRIVIAL = DeadProbability(
    "trivial",
    Enclosure(Fraction(0), Fraction(1)),
    False,
    Evidence.CERTIFIED,
    "no method gives a positive lower bound for these laws and data",
)

# In the order of trial: exact ones, then lower bounds from cheap to expensive.
METHODS: dict[str, Method] = {
    "uniform_1d": uniform_1d,
    "normal_1d": normal_1d,
    "zero_bias_hull": zero_bias_hull,
    "zero_bias_orthant": zero_bias_orthant,
    "uniform_planar": uniform_planar,
    "normal_planar": normal_planar,
    "normal_cap": normal_cap,
    "box_uniform": box_uniform,
    "one_factor": one_factor,
    "box_lattice": box_lattice,
    "box_clusters": box_clusters,
    "weight_cells": weight_cells,
    "pinned_normal": pinned_normal,
    "pinned_sums": pinned_sums,
}


def dead_probability(problem: Problem, *, nonpositive_bias: bool = False) -> DeadProbability | None:
    """Return the best certified answer; see `certified`.

    With `nonpositive_bias` it is `p_1' = P(dead and bias <= 0)`, the `p_1` of the data with the input 0 added.
    Where no method applies that is the trivial `p_1 >= 0`; None only if single weights have no law at all.
    """
    if not problem.initialization.independent:
        return None
    first = FirstLayer.of(problem)
    return certified(first.with_origin() if nonpositive_bias and not _surrounds_origin(first) else first)


@lru_cache(maxsize=1024)
def _surrounds_origin(first: FirstLayer) -> bool:
    """Whether 0 is known to be in the hull of the inputs: then a dead neuron has a bias `<= 0`."""
    return separate(first.inputs).separable is Tri.NO


@lru_cache(maxsize=1024)
def certified(first: FirstLayer) -> DeadProbability:
    """Return the first answer that bounds `p_1` from both sides, or else the lower bound that is largest.

    Expensive methods come last and are asked only if no exact one applies.
    """
    return _best(first.reduced())


@lru_cache(maxsize=1024)
def _best(first: FirstLayer) -> DeadProbability:
    best = TRIVIAL
    for method in METHODS.values():
        answer = method(first)
        if answer is None:
            continue
        if answer.two_sided:
            return answer
        if answer.enclosure.lo > best.enclosure.lo:
            best = answer
    return best
