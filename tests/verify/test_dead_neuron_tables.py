"""Certified normal tails, tables of them, laws cut into intervals, exact matrix products."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from theorems.laws import Law, Normal, TruncatedNormal, Uniform, Zero
from verify.dead_neuron.integers import exact_product
from verify.dead_neuron.partition import (
    cut,
    deviation,
    distribution,
    even_edges,
    peak_density,
    reach,
    scale_ratio,
)
from verify.dead_neuron.tables import (
    ONE,
    ROW_END,
    ROW_START,
    STEPS,
    level_above,
    level_variance,
    loss,
    row,
    tail,
)
from verify.enclosure import Enclosure
from verify.enclosure.arb import exp_of, normal_density, normal_tail, polynomial_product

LAWS: list[Law] = [Uniform(sympy.Integer(3)), Normal(sympy.sqrt(2)), TruncatedNormal(sympy.Rational(1, 2))]


def near(enclosure: Enclosure, value: mpmath.mpf, relative: float = 1e-30) -> bool:
    """Contains the value, as far as 60 digits can tell, and is narrow."""
    slack = abs(value) * mpmath.mpf(relative)
    low = mpmath.mpf(enclosure.lo.numerator) / enclosure.lo.denominator
    high = mpmath.mpf(enclosure.hi.numerator) / enclosure.hi.denominator
    return bool(
        value - slack <= low <= value * (1 + mpmath.mpf(10) ** -50) + slack and low <= high <= value + 2 * slack
    )


def lost(z: float) -> float:
    return float(mpmath.npdf(z) - z * mpmath.ncdf(-z))


# --- Arb -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [Fraction(0), Fraction(1, 3), Fraction(-5, 2), Fraction(12), Fraction(-20)], ids=str)
def test_normal_functions_at_sixty_digits(x: Fraction) -> None:
    with mpmath.workdps(60):
        z = mpmath.mpf(x.numerator) / x.denominator
        assert near(normal_tail(x), mpmath.erfc(z / mpmath.sqrt(2)) / 2)
        assert near(normal_density(x), mpmath.npdf(z))
        assert near(exp_of(x), mpmath.exp(z))


@given(
    left=st.lists(st.integers(-(10**40), 10**40), min_size=1, max_size=9),
    right=st.lists(st.integers(-(10**40), 10**40), min_size=1, max_size=9),
)
@example(left=[0, 0], right=[5, 0, 0])
@example(left=[1, 0], right=[0])
def test_polynomial_product_is_the_convolution(left: list[int], right: list[int]) -> None:
    expected = [0] * (len(left) + len(right) - 1)
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            expected[i + j] += a * b
    assert polynomial_product(left, right) == expected


# --- tables ----------------------------------------------------------------------------------------------------------


def test_tails_and_losses_are_rounded_up_by_at_most_two_units() -> None:
    index = np.array([-4000, -3072, -700, -256, -1, 0, 1, 100, 255, 800, 1999, 3072])
    tails, losses = tail(index), loss(index)
    for i, upper_tail, upper_loss in zip(index.tolist(), tails.tolist(), losses.tolist(), strict=True):
        z = mpmath.mpf(i) / STEPS
        assert 0 <= upper_tail - ONE * mpmath.ncdf(-z) <= 2
        assert 0 <= upper_loss - ONE * (mpmath.npdf(z) - z * mpmath.ncdf(-z)) <= 2
    assert tail(np.array([10**6]))[0] >= 1
    assert loss(np.array([-(10**6)]))[0] >= ONE // STEPS * 10**6


@pytest.mark.parametrize("variance", [Fraction(1, 2000), Fraction(1, 50), Fraction(1, 3), Fraction(2), Fraction(15)])
def test_rows_bound_tails_blurred_by_uniform_noise(variance: Fraction) -> None:
    """`Y` uniform on (-r, r) with `r^2 pi/8 <= v`: `P(G + Y > x) = (L(x - r) - L(x + r))/(2r)`."""
    number = level_above(variance)
    assert number is not None
    level = float(level_variance(number))
    assert float(variance) <= level <= max(1.2 * float(variance), 1e-3)
    radius = math.sqrt(level * 8 / math.pi) * 0.9999
    entries = row(number)
    assert entries[0] == ONE
    assert (np.diff(entries) <= 0).all()
    for index in range(ROW_START, ROW_END, 64):
        x = index / STEPS * math.sqrt(1 + level)
        blurred = (lost(x - radius) - lost(x + radius)) / (2 * radius)
        assert entries[index - ROW_START] >= ONE * blurred * (1 - 1e-9)
    # Close where it matters: between 1 and 4 deviations.
    z = np.arange(STEPS, 4 * STEPS, 16)
    exact = np.array([float(mpmath.ncdf(-i / STEPS)) for i in z])
    assert (entries[z - ROW_START] <= ONE * exact * 2.8 + 2).all()
    if variance < Fraction(1, 10):
        assert (entries[z - ROW_START] <= ONE * exact * 1.15 + 2).all()


def test_the_row_without_a_level_bounds_every_mixture() -> None:
    """`P(e G + Y > z s)` for `s^2 = e^2 + v`, `Y` uniform: even without any normal part."""
    entries = row(None)
    for share in (0.0, 0.3, 1.0):
        radius = math.sqrt((1 - share) * 8 / math.pi) * 0.9999
        for index in range(ROW_START, ROW_END, 64):
            z = index / STEPS
            if share == 0.0:
                chance = min(max((radius - z) / (2 * radius), 0.0), 1.0)
            elif share == 1.0:
                chance = float(mpmath.ncdf(-z))
            else:
                e = math.sqrt(share)
                chance = e * (lost((z - radius) / e) - lost((z + radius) / e)) / (2 * radius)
            assert entries[index - ROW_START] >= ONE * chance * (1 - 1e-9)


def test_a_level_that_is_too_small_is_caught() -> None:
    """The same noise, looked up at a quarter of its variance, exceeds the entry."""
    number = level_above(Fraction(1, 4))
    assert number is not None
    radius = math.sqrt(4 * float(level_variance(number)) * 8 / math.pi)
    x = 3 * math.sqrt(1 + float(level_variance(number)))
    blurred = (lost(x - radius) - lost(x + radius)) / (2 * radius)
    assert row(number)[3 * STEPS - ROW_START] < ONE * blurred


def test_levels_end() -> None:
    assert level_above(Fraction(0)) == 0
    assert level_above(Fraction(10**6)) is None


def test_the_majorant_is_convex_and_above_the_tail() -> None:
    """`Q(s) + mu L(s + m)`, `mu = exp(m^2/2)/(e m)`: second derivative `s phi(s) + mu phi(s + m) >= 0`, 0 at -1/m."""
    for m in (0.5, 1.0, 2.0, 3.0):
        mu = math.exp(m * m / 2 - 1) / m

        def curvature(s: float, weight: float, m: float = m) -> float:
            return s * math.exp(-s * s / 2) + weight * math.exp(-((s + m) ** 2) / 2)

        assert min(curvature(s, mu) for s in np.linspace(-8, 4, 2001)) >= -1e-12
        assert abs(curvature(-1 / m, mu)) < 1e-12
        assert min(curvature(s, 0.98 * mu) for s in np.linspace(-8, 4, 2001)) < 0


# --- laws in intervals -----------------------------------------------------------------------------------------------


def density(law: Law, x: mpmath.mpf) -> mpmath.mpf:
    match law:
        case Uniform():
            return mpmath.mpf(abs(x) <= 1) / 2
        case Normal():
            return mpmath.npdf(x)
        case _:
            return mpmath.npdf(x) / mpmath.erf(mpmath.sqrt(2)) if abs(x) <= 2 else mpmath.mpf(0)


@pytest.mark.parametrize("law", LAWS, ids=str)
@pytest.mark.parametrize("count", [1, 2, 5])
def test_masses_means_and_radii(law: Law, count: int) -> None:
    intervals = cut(law, even_edges(law, count))
    assert intervals[0].low == -reach(law)
    assert intervals[-1].high == reach(law)
    assert 0.99999999 < sum(float(interval.mass.lo) for interval in intervals) <= 1
    for interval in intervals:
        low, high = float(interval.low), float(interval.high)
        mass = mpmath.quad(lambda x: density(law, x), [low, high])
        mean = mpmath.quad(lambda x: x * density(law, x), [low, high]) / mass
        assert float(mass) == pytest.approx(float(interval.mass.lo), rel=1e-10)
        assert float(mean) == pytest.approx(float(interval.mean.lo), rel=1e-10, abs=1e-12)
        assert interval.mass.lo <= interval.mass.hi <= interval.mass.lo + Fraction(1, 2**60)
        assert interval.mean.lo <= interval.mean.hi <= interval.mean.lo + Fraction(1, 2**30)
        assert float(interval.radius) >= max(float(mean) - low, high - float(mean)) - 1e-12
        assert float(peak_density(law, interval.low, interval.high)) >= max(
            float(density(law, mpmath.mpf(x))) for x in np.linspace(low + 1e-9, high - 1e-9, 50)
        )


@pytest.mark.parametrize("law", [*LAWS, Zero()], ids=str)
@given(x=st.builds(Fraction, st.integers(-30, 30), st.integers(1, 7)))
@settings(max_examples=20, deadline=None)
def test_distribution_functions(law: Law, x: Fraction) -> None:
    found = distribution(law, x)
    if isinstance(law, Zero):
        assert found == Enclosure.point(int(x >= 0))
        return
    z = mpmath.mpf(x.numerator) / x.denominator
    match law:
        case Uniform():
            exact = min(max((1 + z) / 2, mpmath.mpf(0)), mpmath.mpf(1))
        case Normal():
            exact = mpmath.ncdf(z)
        case _:
            exact = mpmath.mpf(1) / 2 + mpmath.erf(min(max(z, -2), 2) / mpmath.sqrt(2)) / mpmath.erf(mpmath.sqrt(2)) / 2
    assert float(found.lo) == pytest.approx(float(exact), abs=1e-12)
    assert float(found.hi) == pytest.approx(float(exact), abs=1e-12)
    assert 0 <= found.lo <= found.hi <= 1


def test_scales() -> None:
    assert scale_ratio(Normal(sympy.sqrt(2)), Normal(sympy.sqrt(8))) == Enclosure.point(Fraction(1, 2))
    irrational = scale_ratio(Uniform(sympy.sqrt(2)), Normal(sympy.Integer(1)))
    assert irrational.lo**2 < 2 < irrational.hi**2
    assert irrational.width < Fraction(1, 2**80)
    assert scale_ratio(Zero(), Normal(sympy.Integer(1))) == Enclosure.point(0)
    assert deviation(LAWS[0]) == pytest.approx(math.sqrt(1 / 3))
    with pytest.raises(TypeError, match="no density"):
        peak_density(Zero(), Fraction(0), Fraction(1))


# --- matrix products -------------------------------------------------------------------------------------------------


@given(
    left=st.lists(st.lists(st.integers(-(2**24), 2**24), min_size=3, max_size=3), min_size=1, max_size=4),
    right=st.lists(st.lists(st.integers(-(2**26), 2**26), min_size=2, max_size=2), min_size=3, max_size=3),
)
def test_products_are_exact(left: list[list[int]], right: list[list[int]]) -> None:
    a, b = np.array(left, dtype=np.int64), np.array(right, dtype=np.int64)
    expected = a.astype(object) @ b.astype(object)
    assert (exact_product(a, b) == expected.astype(np.int64)).all()


def test_products_that_could_round_are_refused() -> None:
    with pytest.raises(OverflowError, match="2\\^53"):
        exact_product(np.array([[2**30, 1]]), np.array([[2**23], [1]]))
