"""The one-factor bound against orthant formulas, integrals and simulation; infeasible loads are refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from tests.verify.first_layers import FALSE_ALARM, NORMAL, ZERO, lower
from tests.verify.first_layers import layer as layer_of
from theorems.errors import InvalidInput
from theorems.laws import Law, Normal, Uniform, Zero
from verify.dead_neuron.one_dimensional import normal_1d
from verify.dead_neuron.result import FirstLayer
from verify.dead_neuron.slepian import one_factor, one_factor_bound


def layer(rows: Sequence[Any], weight: Law = NORMAL, bias: Law = NORMAL) -> FirstLayer:
    return layer_of(rows, weight, bias)


# The largest common load of `equicorrelated` is 3/5, whose square cannot be told from the correlation in 22 bits.
FEASIBLE = Fraction(3, 5) * (1 - Fraction(1, 2**16))


def equicorrelated(count: int) -> FirstLayer:
    """Zero bias, unit vectors `(3/5, 4/5 at its own place)`: every correlation is 9/25."""
    rows = [(Fraction(3, 5), *(Fraction(4, 5) * int(i == j) for i in range(count))) for j in range(count)]
    return layer(rows, bias=ZERO)


# --- values ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_equal_correlations_make_the_inequality_an_equality(count: int) -> None:
    """`p_1 = E Phi(3T/4)^K`, integrated at 20 digits."""
    with mpmath.workdps(20):
        exact = mpmath.quad(lambda t: mpmath.npdf(t) * mpmath.ncdf(0.75 * t) ** count, [-mpmath.inf, 0, mpmath.inf])
    bound = one_factor_bound(equicorrelated(count), [FEASIBLE] * count)
    assert float(bound) <= float(exact)
    assert float(bound) > float(exact) * 0.9995
    assert float(lower(one_factor(equicorrelated(count)))) == pytest.approx(float(exact), rel=2e-3)


@given(rows=st.lists(st.tuples(*[st.integers(0, 6)] * 2), min_size=2, max_size=2, unique=True))
@settings(max_examples=20, deadline=None)
def test_two_inputs_against_the_orthant_formula(rows: list[tuple[int, int]]) -> None:
    """`p_1 = 1/4 + arcsin(rho)/(2 pi)`; a common factor reproduces any correlation of two."""
    (a, b), (c, d) = rows
    rho = (1 + a * c + b * d) / math.sqrt((1 + a * a + b * b) * (1 + c * c + d * d))
    exact = 0.25 + math.asin(min(rho, 1.0)) / (2 * math.pi)
    bound = float(lower(one_factor(layer(rows))))
    assert bound <= exact
    assert bound > exact - 0.02


@given(inputs=st.lists(st.integers(0, 20), min_size=1, max_size=5, unique=True))
@settings(max_examples=15, deadline=None)
def test_below_the_exact_value_in_one_dimension(inputs: list[int]) -> None:
    first = layer([(Fraction(x, 7),) for x in inputs])
    exact = normal_1d(first)
    assert exact is not None
    assert 0 < lower(one_factor(first)) <= exact.enclosure.hi


@pytest.mark.parametrize("bias", [NORMAL, Normal(sympy.sqrt(sympy.Rational(1, 2))), ZERO], ids=str)
def test_a_lower_bound(bias: Law) -> None:
    points = np.random.default_rng(4).integers(0, 10, (12, 4))
    first = layer(points.tolist(), Normal(sympy.sqrt(sympy.Rational(1, 8))), bias)
    source = np.random.default_rng(41)
    n = 60_000
    scale = 0.0 if isinstance(bias, Zero) else float(bias.scale)
    outputs = math.sqrt(1 / 8) * source.standard_normal((n, 4)) @ points.T + scale * source.standard_normal((n, 1))
    count = int((outputs <= 0).all(axis=1).sum())
    assert binom.cdf(count, n, float(lower(one_factor(first)))) > FALSE_ALARM


def test_invariances() -> None:
    rows = [(1, 2, 0), (0, 1, 5), (2, 2, 2), (1, 0, 0)]
    base = float(lower(one_factor(layer(rows))))
    assert float(lower(one_factor(layer([row[::-1] for row in reversed(rows)])))) == pytest.approx(base, rel=1e-4)
    two = Normal(sympy.Integer(2))
    assert float(lower(one_factor(layer(rows, two, two)))) == pytest.approx(base, rel=1e-6)
    stretched = [tuple((j + 1) * v for v in row) for j, row in enumerate(rows)]
    free = float(lower(one_factor(layer(rows, bias=ZERO))))
    assert float(lower(one_factor(layer(stretched, bias=ZERO)))) == pytest.approx(free, rel=1e-3)
    assert float(lower(one_factor(layer([*rows, (3, 0, 1)])))) < base


# --- refusing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [Fraction(102, 100), Fraction(10_001, 10_000)])
def test_loads_beyond_the_correlations_are_refused(factor: Fraction) -> None:
    first = equicorrelated(4)
    assert one_factor_bound(first, [FEASIBLE] * 4) > 0
    with pytest.raises(InvalidInput, match="at most their correlation"):
        one_factor_bound(first, [FEASIBLE * factor] * 4)
    with pytest.raises(InvalidInput, match="inputs 1 and 2"):
        one_factor_bound(first, [Fraction(1, 5), Fraction(13, 20), Fraction(13, 20), Fraction(-1, 5)])


def test_beyond_the_correlations_the_integral_is_no_lower_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verify.dead_neuron.slepian._Vectors.violated", lambda self, loads: None)
    with mpmath.workdps(20):
        exact = mpmath.quad(lambda t: mpmath.npdf(t) * mpmath.ncdf(0.75 * t) ** 4, [-mpmath.inf, 0, mpmath.inf])
    assert float(one_factor_bound(equicorrelated(4), [Fraction(612, 1000)] * 4)) > float(exact)


def test_loads_of_both_signs_suit_negative_correlations() -> None:
    """Inputs (1, 1) and (-1, 1): with zero bias the correlation is 0, with a bias 1/3 and p_1 > 1/4."""
    opposite = layer([(1, 0), (Fraction(-3, 5), Fraction(4, 5))], bias=ZERO)
    bound = one_factor_bound(opposite, [Fraction(4, 5), Fraction(-4, 5)])
    exact = 0.25 + math.asin(-0.6) / (2 * math.pi)
    assert float(bound) <= exact
    assert one_factor(opposite) is None
    with pytest.raises(InvalidInput, match="at most their correlation"):
        one_factor_bound(opposite, [Fraction(7, 10), Fraction(-8, 10)])


@pytest.mark.parametrize("loads", [[Fraction(1), Fraction(0)], [Fraction(0), Fraction(-3, 2)]])
def test_loads_outside_the_unit_interval_are_refused(loads: list[Fraction]) -> None:
    with pytest.raises(InvalidInput, match="outside"):
        one_factor_bound(layer([(1,), (2,)]), loads)


def test_other_laws_and_numbers_of_loads_are_refused() -> None:
    with pytest.raises(InvalidInput, match="expected 2"):
        one_factor_bound(layer([(1,), (2,)]), [Fraction(0)])
    with pytest.raises(InvalidInput, match="expected normal weights"):
        one_factor_bound(layer([(1,), (2,)], Uniform(sympy.Integer(1))), [Fraction(0), Fraction(0)])
    assert one_factor(layer([(1,), (2,)], NORMAL, Uniform(sympy.Integer(1)))) is None
    assert one_factor(layer([(0, 0)], bias=ZERO)) is None
