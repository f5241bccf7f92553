"""Box bounds of `p_1` against simulation, exact areas and exact sums; the lattice must round upwards.

Frequencies are seeded; a test fails for a true bound with probability below `FALSE_ALARM`, by the exact binomial tail.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import pytest
import sympy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from tests.verify.first_layers import FALSE_ALARM, dead_count, layer
from theorems.laws import Law, Normal, TruncatedNormal, Uniform, Zero
from verify.dead_neuron.box import Lattice, box_lattice, box_uniform, unit_box_probability
from verify.dead_neuron.one_dimensional import normal_1d, uniform_1d

UNIT: dict[str, Law] = {
    "uniform": Uniform(sympy.Integer(1)),
    "normal": Normal(sympy.Integer(1)),
    "truncated": TruncatedNormal(sympy.Integer(1)),
    "zero": Zero(),
}


def assert_below(lower: Fraction, count: int, n: int) -> None:
    """Fails for a true `lower <= p_1` with probability below FALSE_ALARM."""
    assert binom.cdf(count, n, float(lower)) > FALSE_ALARM, f"{count} of {n} is too few for p >= {float(lower)}"


def value(answer: Any) -> Fraction:
    assert answer is not None
    assert not answer.two_sided
    assert answer.enclosure.hi == 1
    assert 0 < answer.enclosure.lo <= 1
    lower: Fraction = answer.enclosure.lo
    return lower


def corners(*sides: tuple[int, int]) -> list[tuple[int, ...]]:
    return list(itertools.product(*sides))


# --- exact values ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dimension", [1, 2, 3, 6])
def test_lattice_rounding_comes_close_to_the_exact_sum_from_below(dimension: int) -> None:
    """On the corners of `[0,1]^d` the box bound is `p_1` itself."""
    first = layer(corners(*[(0, 1)] * dimension), UNIT["uniform"], UNIT["uniform"])
    exact = unit_box_probability(dimension)
    assert value(box_uniform(first)) == exact
    coarse, fine = value(box_lattice(first, points=200)), value(box_lattice(first, points=2000))
    assert coarse < fine <= exact
    assert fine > exact * Fraction(98, 100)


@given(
    inputs=st.lists(st.builds(Fraction, st.integers(-30, 30), st.integers(1, 9)), min_size=1, max_size=5, unique=True),
    ratio=st.builds(Fraction, st.integers(1, 9), st.integers(1, 9)),
)
@settings(max_examples=10, deadline=None)
@example(inputs=[Fraction(0), Fraction(1)], ratio=Fraction(1))
@example(inputs=[Fraction(-1), Fraction(1)], ratio=Fraction(1))
@example(inputs=[Fraction(0)], ratio=Fraction(3))
@example(inputs=[Fraction(2), Fraction(5)], ratio=Fraction(1, 9))
def test_one_dimension_against_the_exact_values(inputs: list[Fraction], ratio: Fraction) -> None:
    """In one dimension the box is the hull: nothing but the rounding is lost."""
    scale = sympy.Rational(ratio.numerator, ratio.denominator)
    for weight, bias, exact in (
        (UNIT["uniform"], Uniform(scale), uniform_1d),
        (UNIT["normal"], Normal(scale), normal_1d),
    ):
        first = layer([(x,) for x in inputs], weight, bias)
        found = exact(first)
        assert found is not None
        lower = value(box_lattice(first, points=800))
        assert lower <= found.enclosure.hi
        assert lower >= found.enclosure.lo - Fraction(2, 100)


def test_zero_bias_and_nonnegative_inputs_need_one_sign_of_every_weight() -> None:
    for law in ("uniform", "normal", "truncated"):
        first = layer([(1, 0, 0), (0, 2, 1), (0, 0, 3)], UNIT[law], UNIT["zero"])
        assert value(box_lattice(first)) == pytest.approx(1 / 8, rel=1e-6)
        assert value(box_lattice(first)) <= Fraction(1, 8)


def test_coordinates_that_are_always_zero_do_not_count() -> None:
    first = layer([(0, 0, 1), (1, 0, 0)], UNIT["uniform"], UNIT["uniform"])
    assert value(box_uniform(first)) == unit_box_probability(2)


# --- any law, any box ------------------------------------------------------------------------------------------------

BOXES = {
    "unit": corners((0, 1), (0, 1), (0, 1)),
    "shifted": [(2, 5), (3, 7), (2, 6)],
    "both signs": [(-1, 2), (1, -3), (0, 1)],
    "negative": [(-3, -1), (-2, -2)],
    "one point": [(1, -2, 3)],
}


@pytest.mark.parametrize("rows", BOXES.values(), ids=BOXES)
@pytest.mark.parametrize(
    ("weight", "bias"),
    [
        ("uniform", "uniform"),
        ("normal", "uniform"),
        ("truncated", "normal"),
        ("uniform", "truncated"),
        ("normal", "zero"),
    ],
)
def test_lattice_rounding_is_a_lower_bound(rows: list[tuple[int, ...]], weight: str, bias: str) -> None:
    first = layer(rows, UNIT[weight], UNIT[bias])
    answer = box_lattice(first, points=800)
    lower = Fraction(0) if answer is None else value(answer)
    n = 50_000
    assert_below(lower, dead_count(first, n, seed=21), n)
    # The box itself: all of its corners. There the bound is close as well.
    box = layer(sorted(set(itertools.product(*first.ranges))), UNIT[weight], UNIT[bias])
    count = dead_count(box, n, seed=22)
    assert_below(lower, count, n)
    assert binom.sf(count - 1, n, min(float(lower) + 0.02, 1.0)) > FALSE_ALARM


def test_irrational_scales_are_enclosed() -> None:
    half = Uniform(sympy.sqrt(sympy.Rational(1, 3)))
    first = layer([(0, 0), (1, 1)], UNIT["normal"], half)
    n = 50_000
    assert_below(value(box_lattice(first)), dead_count(first, n, seed=23), n)


def test_invariances() -> None:
    rows = [(0, 1, 2), (3, 0, 1)]
    base = value(box_lattice(layer(rows, UNIT["uniform"], UNIT["normal"]), points=500))
    turned = [tuple(reversed(row)) for row in reversed(rows)]
    assert value(box_lattice(layer(turned, UNIT["uniform"], UNIT["normal"]), points=500)) == base
    two = sympy.Integer(2)
    assert value(box_lattice(layer(rows, Uniform(two), Normal(two)), points=500)) == base
    more = value(box_lattice(layer([*rows, (1, 3, 1)], UNIT["uniform"], UNIT["normal"]), points=500))
    assert more < base


def test_declining() -> None:
    assert box_lattice(layer([(1,), (2,)], UNIT["zero"], UNIT["normal"])) is None
    assert box_lattice(layer([(-1,), (1,)], UNIT["normal"], UNIT["zero"])) is None
    assert box_lattice(layer([(Fraction(2**301),), (1,)], UNIT["normal"], UNIT["normal"])) is None
    assert box_uniform(layer([(0,), (2,)], UNIT["uniform"], UNIT["uniform"])) is None
    assert box_uniform(layer([(0,), (1,)], UNIT["uniform"], Uniform(sympy.Integer(2)))) is None


# --- the checks above can fail ---------------------------------------------------------------------------------------


def test_rounding_down_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Terms moved down by one mesh give more than the exact value of a cube."""
    first = layer(corners((0, 1), (0, 1), (0, 1)), UNIT["uniform"], UNIT["uniform"])
    term = Lattice._term

    def rounded_down(self: Lattice, low: Fraction, high: Fraction) -> tuple[int, list[int]]:
        start, masses = term(self, low, high)
        return start - 1, masses

    monkeypatch.setattr(Lattice, "_term", rounded_down)
    assert value(box_lattice(first, points=200)) > unit_box_probability(3)
