"""Harris clusters against exact products and simulation; boxes in different orthants are refused.

Frequencies are seeded; a test fails for a true bound with probability below `FALSE_ALARM`, by the exact binomial tail.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from tests.verify.first_layers import FALSE_ALARM, NORMAL, UNIFORM, ZERO, dead_count, layer, lower
from theorems.errors import InvalidInput
from theorems.laws import Law
from verify.dead_neuron.box import box_lattice
from verify.dead_neuron.clusters import box_clusters, clusters_bound, smallest_box


def unit_vectors(dimension: int) -> list[tuple[int, ...]]:
    return [tuple(int(i == j) for i in range(dimension)) for j in range(dimension)]


@pytest.mark.parametrize("dimension", [2, 3, 5])
def test_one_hot_inputs_make_the_inequality_an_equality(dimension: int) -> None:
    """`p_1 = E P(w <= -b | b)^d = int_{-1}^1 ((1 - b)/2)^d db/2 = 1/(d + 1)` for uniform laws."""
    found = box_clusters(layer(unit_vectors(dimension), UNIFORM, UNIFORM))
    exact = Fraction(1, dimension + 1)
    assert lower(found) <= exact
    assert lower(found) > exact * Fraction(98, 100)
    assert found is not None
    assert f"{dimension} boxes" in found.why


@given(
    rows=st.lists(st.tuples(*[st.integers(0, 5)] * 3), min_size=1, max_size=6, unique=True),
    signs=st.tuples(*[st.sampled_from([-1, 1])] * 3),
    laws=st.sampled_from([(UNIFORM, UNIFORM), (NORMAL, UNIFORM), (UNIFORM, ZERO)]),
)
@settings(max_examples=6, deadline=None)
def test_the_same_in_every_orthant(rows: list[tuple[int, ...]], signs: tuple[int, ...], laws: tuple[Law, Law]) -> None:
    flipped = [tuple(s * v for s, v in zip(signs, row, strict=True)) for row in rows]
    found, other = box_clusters(layer(rows, *laws)), box_clusters(layer(flipped, *laws))
    assert (found is None) == (other is None)
    if found is not None and other is not None:
        assert abs(float(lower(other) - lower(found))) < 0.01


def test_only_what_promises_more_than_one_box_is_tried() -> None:
    """Near inputs share a box, distant ones do not; there the product is more than what one box gives."""
    assert box_clusters(layer([(4, 5), (5, 4)], UNIFORM, UNIFORM)) is None
    apart = layer([(9, 0), (0, 9)], UNIFORM, UNIFORM)
    assert lower(box_clusters(apart)) > lower(box_lattice(apart))


@pytest.mark.parametrize("laws", [(UNIFORM, UNIFORM), (NORMAL, NORMAL), (UNIFORM, NORMAL), (NORMAL, ZERO)], ids=str)
def test_a_lower_bound(laws: tuple[Law, Law]) -> None:
    points = np.random.default_rng(5).integers(0, 10, (9, 3)).tolist()
    groups = [points[:3], points[3:5], points[5:]]
    boxes = [smallest_box([tuple(Fraction(v) for v in row) for row in group]) for group in groups]
    bound = clusters_bound(boxes, *laws, points=600)
    n = 50_000
    assert binom.cdf(dead_count(layer(points, *laws), n, seed=31), n, float(bound)) > FALSE_ALARM


def test_more_boxes_never_raise_the_bound() -> None:
    one = smallest_box([(Fraction(1), Fraction(2))])
    two = smallest_box([(Fraction(3), Fraction(0)), (Fraction(2), Fraction(1))])
    assert clusters_bound([one, two], UNIFORM, UNIFORM) <= clusters_bound([one], UNIFORM, UNIFORM)


def test_boxes_in_different_orthants_are_refused() -> None:
    """For zero bias and inputs -1 and 1 the product of the two events would be 1/4, but `p_1` is 0."""
    left, right = ((Fraction(-1), Fraction(-1)),), ((Fraction(1), Fraction(1)),)
    assert clusters_bound([left], NORMAL, ZERO) * clusters_bound([right], NORMAL, ZERO) > Fraction(24, 100)
    with pytest.raises(InvalidInput, match="different orthants"):
        clusters_bound([left, right], NORMAL, ZERO)
    assert box_clusters(layer([(-1,), (1,)], NORMAL, ZERO)) is None
    assert box_clusters(layer([(-1, 0), (0, 1)], NORMAL, UNIFORM)) is not None


def test_declining() -> None:
    assert box_clusters(layer([(0, 1)], ZERO, UNIFORM)) is None
    assert box_clusters(layer([(1, -1), (-1, 1)], UNIFORM, UNIFORM)) is None
    assert box_clusters(layer([(2**301, 1)], UNIFORM, UNIFORM)) is None
