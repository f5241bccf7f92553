"""Cells of the weights: close to exact areas and to simulation, from below; what breaks the argument must show.

Frequencies are seeded; a test fails for a true bound with probability below `FALSE_ALARM`, by the exact binomial tail.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from tests.verify.first_layers import FALSE_ALARM, NORMAL, TRUNCATED, UNIFORM, ZERO, dead_count, layer, lower
from theorems.laws import Law, Normal, Uniform, Zero
from verify.data import DataSpec, load_data
from verify.dead_neuron import cells
from verify.dead_neuron.cells import weight_cells
from verify.dead_neuron.one_dimensional import normal_1d, uniform_1d
from verify.dead_neuron.result import FirstLayer


@pytest.fixture(autouse=True)
def _fewer_corners(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds hold for any number of cells; fewer are faster."""
    monkeypatch.setattr(cells, "MOST_CORNERS", 60_000)
    monkeypatch.setattr(cells, "_FINEST", (200, 120, 40, 14))


# --- close to exact values, from below -------------------------------------------------------------------------------


@given(
    inputs=st.lists(st.builds(Fraction, st.integers(-30, 30), st.integers(1, 9)), min_size=1, max_size=5, unique=True),
    ratio=st.builds(Fraction, st.integers(1, 9), st.integers(1, 9)),
)
@settings(max_examples=12, deadline=None)
@example(inputs=[Fraction(0), Fraction(1)], ratio=Fraction(1))
@example(inputs=[Fraction(-1), Fraction(1)], ratio=Fraction(1))
@example(inputs=[Fraction(2), Fraction(5)], ratio=Fraction(1, 9))
@example(inputs=[Fraction(-30), Fraction(-29)], ratio=Fraction(1, 9))
def test_one_dimension_against_the_exact_values(inputs: list[Fraction], ratio: Fraction) -> None:
    scale = sympy.Rational(ratio.numerator, ratio.denominator)
    for weight, bias, exact in ((UNIFORM, Uniform(scale), uniform_1d), (NORMAL, Normal(scale), normal_1d)):
        first = layer([(x,) for x in inputs], weight, bias)
        found = exact(first)
        assert found is not None
        answer = weight_cells(first)
        if set(inputs) == {0}:
            assert answer is None
            continue
        bound = Fraction(0) if answer is None else lower(answer)
        assert found.enclosure.lo - Fraction(1, 100) <= bound <= found.enclosure.hi


PLANE = [(0, 1), (1, 0), (1, 1), (Fraction(1, 2), Fraction(3, 2))]
SPACE = [(0, 1, -1), (1, 0, 2), (1, 1, 0), (-1, 2, 1), (2, 2, 2)]


@pytest.mark.parametrize("rows", [PLANE, SPACE], ids=["plane", "space"])
@pytest.mark.parametrize(
    "laws",
    [
        (UNIFORM, UNIFORM),
        (UNIFORM, NORMAL),
        (NORMAL, NORMAL),
        (NORMAL, UNIFORM),
        (TRUNCATED, Uniform(sympy.sqrt(sympy.Rational(1, 2)))),
        (UNIFORM, TRUNCATED),
        (UNIFORM, ZERO),
    ],
    ids=str,
)
def test_a_lower_bound_that_is_nearly_sharp(rows: list[Any], laws: tuple[Law, Law]) -> None:
    first = layer(rows, *laws)
    bound = float(lower(weight_cells(first)))
    n = 60_000
    count = dead_count(first, n, seed=51)
    assert binom.cdf(count, n, bound) > FALSE_ALARM
    missing = 0.05 if isinstance(laws[1], Zero) else 0.02
    assert binom.sf(count - 1, n, bound + missing) > FALSE_ALARM


def test_more_cells_prove_more(monkeypatch: pytest.MonkeyPatch) -> None:
    first = layer(SPACE, UNIFORM, UNIFORM)
    bounds = []
    for corners in (27, 100, 1000, 20_000):
        monkeypatch.setattr(cells, "MOST_CORNERS", corners)
        bounds.append(lower(weight_cells(first)))
    assert bounds == sorted(bounds)
    assert bounds[0] > 0
    assert bounds[-1] < bounds[0] + Fraction(1, 5)


def test_invariances() -> None:
    base = float(lower(weight_cells(layer(SPACE, UNIFORM, NORMAL))))
    turned = layer([tuple(reversed(row)) for row in reversed(SPACE)], UNIFORM, NORMAL)
    assert float(lower(weight_cells(turned))) == pytest.approx(base, rel=5e-3)  # ties are cut elsewhere
    two = sympy.Integer(2)
    assert float(lower(weight_cells(layer(SPACE, Uniform(two), Normal(two))))) == pytest.approx(base, rel=1e-6)
    padded = [(row[0], 0, *row[1:]) for row in SPACE]
    assert float(lower(weight_cells(layer(padded, UNIFORM, NORMAL)))) == pytest.approx(base, rel=1e-6)
    assert float(lower(weight_cells(layer([*SPACE, (3, 0, -1)], UNIFORM, NORMAL)))) < base


@pytest.mark.parametrize("scale", [Fraction(1, 10**9), Fraction(10**9), Fraction(2**400)])
def test_extreme_scales(scale: Fraction) -> None:
    first = layer([(scale, 0), (scale, scale)], UNIFORM, UNIFORM)
    answer = weight_cells(first)
    if scale > 2**300:
        assert answer is None
    else:
        n = 20_000
        assert binom.cdf(dead_count(first, n, seed=52), n, float(lower(answer))) > FALSE_ALARM


def test_declining() -> None:
    assert weight_cells(layer([(0, 0), (0, 0)], UNIFORM, UNIFORM)) is None
    assert weight_cells(layer([(0, 1)], ZERO, UNIFORM)) is None
    assert weight_cells(layer([(-1,), (1,)], NORMAL, ZERO)) is None
    assert weight_cells(layer([[1] * 40], UNIFORM, UNIFORM)) is None


# --- real data -------------------------------------------------------------------------------------------------------


def test_iris_with_the_default_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sampled: 0.274."""
    monkeypatch.setattr(cells, "MOST_CORNERS", 1_000_000)
    monkeypatch.setattr(cells, "_FINEST", (28,))
    first = FirstLayer(load_data(DataSpec("iris", scale="minmax")).inputs, *[Uniform(sympy.Rational(1, 2))] * 2)
    bound = float(lower(weight_cells(first)))
    assert bound > 0.2729
    n = 40_000
    assert binom.cdf(dead_count(first, n, seed=53), n, bound) > FALSE_ALARM


# --- the checks above can fail ---------------------------------------------------------------------------------------


def test_corners_that_are_too_low_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heights of the corner next to the origin instead of the corner itself."""
    first = layer([(0,), (1,)], UNIFORM, UNIFORM)
    monkeypatch.setattr(cells, "_FINEST", (6,))
    heights = cells._heights

    def lowered(*arguments: Any) -> Any:
        found, unit = heights(*arguments)
        return (found * 0.8).astype(np.int32), unit

    monkeypatch.setattr(cells, "_heights", lowered)
    assert lower(weight_cells(first)) > Fraction(3, 8)


def test_interpolating_a_convex_probability_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """For positive heights the probability of the bias is convex: its mean over the corners is no lower bound."""
    first = layer([(1,), (2,)], UNIFORM, Normal(sympy.Rational(1, 4)))
    monkeypatch.setattr(cells, "_FINEST", (4,))
    n = 60_000
    count = dead_count(first, n, seed=54)
    assert binom.cdf(count, n, float(lower(weight_cells(first)))) > FALSE_ALARM
    at, means = cells._Chance.at, cells._means
    chances: list[Any] = []

    def at_corners(self: Any, heights: Any) -> Any:
        chances.append(at(self, heights))
        return chances[-1]

    def means_of_chances(values: Any, axis: int, grid: Any, *, up: bool) -> Any:
        return means(values, axis, grid, up=up)

    monkeypatch.setattr(cells._Chance, "at", at_corners)
    monkeypatch.setattr(cells, "_means", means_of_chances)
    monkeypatch.setattr(cells.np, "where", lambda condition, found, other: np.maximum(found, other))
    assert binom.cdf(count, n, float(lower(weight_cells(first)))) < FALSE_ALARM
