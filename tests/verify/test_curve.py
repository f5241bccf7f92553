"""The recursion along the decay curve: its value, computed a second time from coefficients, and its direction.

The reference keeps `n_k` as a list of coefficients and forms `e_k` and `pi_k` by their definitions, in mpmath at 40
digits; the evaluator never sees a coefficient.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import mpmath
import pytest
import sympy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from theorems.bounds import P_DEAD, RADIUS, ROOT_NORM, TREE_LENGTH
from theorems.curve import LENGTH, SURVIVAL, CurveLayer, CurveRecursion
from verify.enclosure import Enclosure, evaluate_bound
from verify.enclosure import curve as evaluator
from verify.enclosure.arb import ball, refine

Polynomial = list[mpmath.mpf]  # coefficients in y = gamma^2, from the constant one on
KEPT, SLOPE = sympy.symbols("k phi", nonnegative=True)


@dataclass(frozen=True)
class Constants:
    """One layer in plain numbers."""

    width: int
    weight_variance: Fraction
    bias_variance: Fraction
    density: Fraction
    slope: Fraction
    signs: Fraction = Fraction(1, 512)

    @property
    def layer(self) -> CurveLayer:
        return CurveLayer(
            width=self.width,
            weight_variance=rational(self.weight_variance),
            bias_variance=rational(self.bias_variance),
            density=rational(self.density),
            spine=sympy.sqrt(sympy.Rational(self.width, 2)),
            edge=sympy.sqrt(sympy.Rational(self.width, 3)),
            signs=rational(self.signs),
            values=(rational(self.slope),),
        )


def rational(value: Fraction) -> sympy.Rational:
    return sympy.Rational(value.numerator, value.denominator)


def real(value: Fraction | int) -> mpmath.mpf:
    return mpmath.mpf(Fraction(value).numerator) / Fraction(value).denominator


def recursion(layers: Sequence[Constants], *, weights_only: bool, pieces: int = 8, fine: int = 3) -> CurveRecursion:
    """A neuron is off with probability `(1/2 - slope LENGTH/SURVIVAL)_+ (1 - k/1000)`; `k` adds up the survivals."""
    return CurveRecursion(
        first=P_DEAD ** layers[0].width,
        further=(KEPT,),
        start=(sympy.Integer(1),),
        parameters=(SLOPE,),
        off=sympy.Max(sympy.Rational(1, 2) - SLOPE * LENGTH / SURVIVAL, 0) * (1 - KEPT / 1000),
        step=(KEPT + SURVIVAL,),
        layers=tuple(each.layer for each in layers),
        weights_only=weights_only,
        pieces=pieces,
        fine_layers=fine,
    )


def sizes(tree: Fraction, root: Fraction, radius: Fraction) -> dict[sympy.Symbol, Fraction]:
    return {TREE_LENGTH: tree, ROOT_NORM: root, RADIUS: radius}


# --- a second implementation ------------------------------------------------------------------------------------------


def at(polynomial: Polynomial, gamma: mpmath.mpf) -> mpmath.mpf:
    return mpmath.fsum(c * gamma ** (2 * i) for i, c in enumerate(polynomial))


def derivative(polynomial: Polynomial) -> Polynomial:
    return [i * c for i, c in enumerate(polynomial)][1:]


def added(*polynomials: Polynomial) -> Polynomial:
    longest = max(len(p) for p in polynomials)
    return [mpmath.fsum(p[i] for p in polynomials if i < len(p)) for i in range(longest)]


def times(factor: mpmath.mpf, polynomial: Polynomial, power: int = 0) -> Polynomial:
    return [mpmath.mpf(0)] * power + [factor * c for c in polynomial]


@dataclass(frozen=True)
class Moments:
    """`n_k` and `e_k` above an input of one norm."""

    n: Polynomial
    e: Polynomial

    @property
    def pi(self) -> Polynomial:
        """`n + 2 y n' + y e`."""
        return added(self.n, times(mpmath.mpf(2), derivative(self.n), 1), times(mpmath.mpf(1), self.e, 1))

    def after(self, layer: Constants, survival: mpmath.mpf) -> Moments:
        bias = [real(layer.bias_variance) * survival]
        half, weight = mpmath.mpf(layer.width) / 2, real(layer.weight_variance)
        return Moments(
            times(half, added(bias, times(weight, self.n)), 1), times(half, added(bias, times(weight, self.pi)))
        )


def by_chords(polynomial: Polynomial, j: int, pieces: int) -> mpmath.mpf:
    """`int gamma^j sqrt(P)` with `P` replaced by its chord and Cauchy's inequality, piece by piece."""
    total = mpmath.mpf(0)
    for i in range(pieces):
        left, right = mpmath.mpf(i) / pieces, mpmath.mpf(i + 1) / pieces
        low, high = at(polynomial, left), at(polynomial, right)
        mass = (right ** (j + 1) - left ** (j + 1)) / (j + 1)
        moment = (right ** (j + 2) - left ** (j + 2)) / (j + 2)
        slope = (high - low) * pieces
        total += mpmath.sqrt(mass * ((low - slope * left) * mass + slope * moment))
    return total


def exactly(polynomial: Polynomial, j: int) -> mpmath.mpf:
    return mpmath.quad(lambda gamma: gamma**j * mpmath.sqrt(at(polynomial, gamma)), [0, 0.5, 1])


def survivals(
    layers: Sequence[Constants],
    p: Fraction,
    size: tuple[Fraction, Fraction, Fraction],
    *,
    weights_only: bool,
    integral: Callable[[Polynomial, int, int], mpmath.mpf],
) -> list[mpmath.mpf]:
    """`a_1, a_2, ...`; `integral(P, j, k)` gives or bounds `int gamma^j sqrt(P(gamma^2))` for layer `k`."""
    tree, root, radius = (real(v) for v in size)
    delta = int(weights_only)
    start = [Moments([mpmath.mpf(0)] * delta + [r**2], [delta * r**2]) for r in (root, radius)]
    above_root, above_far = start
    survival, edges, contraction, kept = mpmath.mpf(1), tree, mpmath.mpf(1), mpmath.mpf(0)
    length, found = mpmath.mpf(0), []
    for k, layer in enumerate(layers, start=1):
        width, weight, bias = layer.width, real(layer.weight_variance), real(layer.bias_variance)
        off = max(mpmath.mpf(1) / 2 - real(layer.slope) * length / survival, mpmath.mpf(0))
        death = real(p) ** width if k == 1 else max((off * (1 - kept / 1000)) ** width, real(layer.signs))
        speed = added([bias * survival], times(weight, above_root.pi))
        crossing = tree * mpmath.sqrt(contraction) * integral(above_far.e, k + delta, k)
        edges = mpmath.sqrt(mpmath.mpf(width) / 3 * weight) * edges + width * real(layer.density) * weight * crossing
        spine = mpmath.sqrt(mpmath.mpf(width) / 2 * survival) * integral(speed, 0, 0)
        length, kept = spine + edges, kept + survival
        above_root, above_far = above_root.after(layer, survival), above_far.after(layer, survival)
        contraction *= width * weight / 2
        survival *= 1 - death
        found.append(survival)
    return found


def as_defined(pieces: int, fine: int) -> Callable[[Polynomial, int, int], mpmath.mpf]:
    """The integrals that the docstring of the shape defines; layer 0 stands for the spine."""
    return lambda polynomial, j, k: (
        by_chords(polynomial, j, pieces) if k <= fine else mpmath.sqrt(at(polynomial, mpmath.mpf(1))) / (j + 1)
    )


def assert_near(found: Enclosure, value: mpmath.mpf) -> None:
    sign, mantissa, exponent, _ = value._mpf_
    exact, slack = (-1) ** sign * Fraction(int(mantissa)) * Fraction(2) ** exponent, Fraction(1, 10**30)
    assert found.lo - slack <= exact <= found.hi + slack, f"{value} is not in {float(found.lo)} .. {float(found.hi)}"
    assert found.width <= Fraction(1, 2**28)


# --- values ----------------------------------------------------------------------------------------------------------

fractions = st.builds(Fraction, st.integers(1, 12), st.just(8))
probabilities = st.builds(Fraction, st.integers(0, 8), st.just(16))
constants = st.builds(Constants, st.integers(1, 4), fractions, fractions, fractions, st.just(Fraction(1, 40)))
EXAMPLE = Constants(3, Fraction(1, 9), Fraction(1, 9), Fraction(7, 8), Fraction(1, 16))


@given(
    layers=st.lists(constants, min_size=1, max_size=6),
    p=probabilities,
    size=st.tuples(fractions, fractions, fractions),
    weights_only=st.booleans(),
)
@settings(max_examples=25)
@example(layers=[EXAMPLE] * 6, p=Fraction(3, 8), size=(Fraction(1), Fraction(0), Fraction(1)), weights_only=False)
@example(layers=[EXAMPLE] * 6, p=Fraction(3, 8), size=(Fraction(1), Fraction(0), Fraction(1)), weights_only=True)
def test_the_value_is_that_of_the_polynomials(
    layers: list[Constants], p: Fraction, size: tuple[Fraction, Fraction, Fraction], weights_only: bool
) -> None:
    found = evaluate_bound(recursion(layers, weights_only=weights_only), p, sizes(*size))
    with mpmath.workdps(40):
        assert_near(found, 1 - survivals(layers, p, size, weights_only=weights_only, integral=as_defined(8, 3))[-1])


@pytest.mark.parametrize("weights_only", [False, True])
def test_wrong_formulas_are_seen(weights_only: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above refutes a slightly larger contraction, a lost power of gamma, a lost spine."""
    layers, size = [EXAMPLE] * 6, (Fraction(1), Fraction(1, 2), Fraction(1))
    bound, p = recursion(layers, weights_only=weights_only), Fraction(3, 8)
    with mpmath.workdps(40):
        value = 1 - survivals(layers, p, size, weights_only=weights_only, integral=as_defined(8, 3))[-1]

    def assert_refuted(other: CurveRecursion) -> None:
        with pytest.raises(AssertionError):
            assert_near(evaluate_bound(other, p, sizes(*size)), value)

    assert_near(evaluate_bound(bound, p, sizes(*size)), value)
    wider = replace(bound.layers[1], weight_variance=bound.layers[1].weight_variance * sympy.Rational(51, 50))
    assert_refuted(replace(bound, layers=(bound.layers[0], wider, *bound.layers[2:])))
    assert_refuted(replace(bound, weights_only=not weights_only))
    assert_refuted(replace(bound, pieces=9))
    monkeypatch.setattr(evaluator._Curve, "_spine", lambda self, bias2, weight2: bias2 * 0)
    exact = {P_DEAD: p, **sizes(*size)}
    broken = refine(
        lambda: evaluator.run_curve(bound, {symbol: ball(number) for symbol, number in exact.items()}),
        lambda found: found.width < Fraction(1, 2**40),
        "the bound",
        exact=True,
    )
    with pytest.raises(AssertionError):
        assert_near(broken, value)


@pytest.mark.parametrize("weights_only", [False, True])
def test_integrals_are_bounded_from_above(weights_only: bool) -> None:
    """With the exact integrals no survival is larger; more pieces come closer, never below."""
    layers, p = [replace(EXAMPLE, signs=Fraction(0))] * 5, Fraction(3, 8)
    size = (Fraction(2), Fraction(1, 2), Fraction(3, 2))
    with mpmath.workdps(20):
        best = (
            1
            - survivals(
                layers, p, size, weights_only=weights_only, integral=lambda polynomial, j, k: exactly(polynomial, j)
            )[-1]
        )
    found = [
        evaluate_bound(recursion(layers, weights_only=weights_only, pieces=pieces, fine=fine), p, sizes(*size)).hi
        for pieces, fine in ((1, 0), (8, 0), (8, 3), (8, 9), (32, 9), (128, 9))
    ]
    assert all(rough < better for rough, better in pairwise(found))
    assert found[-1] < Fraction(float(best)) < found[-1] + Fraction(1, 10**4)


def test_one_layer_needs_no_sizes() -> None:
    bound = recursion([EXAMPLE], weights_only=False)
    assert bound.symbols == {P_DEAD}
    found = evaluate_bound(bound, Fraction(1, 4))
    assert found.contains(Fraction(1, 64))
    assert found.width < Fraction(1, 2**30)


def test_two_layers_in_closed_form() -> None:
    """One neuron a layer, root 0, joint decay: `Lambda_1 = sqrt(1/2) sigma`, `T_1 = sqrt(s^2/3) tau`, no crossing."""
    layer = Constants(1, Fraction(1, 3), Fraction(2), Fraction(5), Fraction(1, 8))
    found = evaluate_bound(
        recursion([layer, layer], weights_only=False), Fraction(1, 4), sizes(Fraction(3, 2), Fraction(0), Fraction(9))
    )
    alive = Fraction(3, 4)  # sqrt(1/2) sqrt(2) = 1; sqrt(1/3 1/3) 3/2 = 1/2; kept = 1
    death = (Fraction(1, 2) - Fraction(1, 8) * Fraction(3, 2) / alive) * Fraction(999, 1000)
    assert found.contains(1 - alive * (1 - death))
    assert found.width < Fraction(1, 2**30)


# --- what the evaluation promises ------------------------------------------------------------------------------------


def test_missing_sizes_are_named() -> None:
    bound = recursion([EXAMPLE] * 2, weights_only=False)
    assert bound.symbols == {P_DEAD, TREE_LENGTH, ROOT_NORM, RADIUS}
    with pytest.raises(TypeError, match="tau"):
        evaluate_bound(bound, Fraction(1, 4), {ROOT_NORM: Fraction(0), RADIUS: Fraction(1)})


@given(
    layers=st.lists(constants, min_size=2, max_size=5),
    p=probabilities,
    q=probabilities,
    size=st.tuples(fractions, fractions, fractions),
    more=st.tuples(fractions, fractions, fractions),
    weights_only=st.booleans(),
)
@settings(max_examples=25)
def test_the_bound_grows_with_dead_neurons_and_falls_with_every_size(
    layers: list[Constants],
    p: Fraction,
    q: Fraction,
    size: tuple[Fraction, Fraction, Fraction],
    more: tuple[Fraction, Fraction, Fraction],
    weights_only: bool,
) -> None:
    bound = recursion(layers, weights_only=weights_only)
    here = evaluate_bound(bound, max(p, q), sizes(*size))
    assert evaluate_bound(bound, min(p, q), sizes(*size)).lo <= here.hi
    for i in range(3):
        larger = tuple(a + (b if i == j else 0) for j, (a, b) in enumerate(zip(size, more, strict=True)))
        assert evaluate_bound(bound, max(p, q), sizes(*larger)).lo <= here.hi


def test_deep_networks_take_seconds() -> None:
    """500 layers; the complement is far below 1e-20 and still known to many digits."""
    started = time.process_time()
    bound = recursion([EXAMPLE] * 500, weights_only=False, pieces=64, fine=24)
    found = evaluate_bound(bound, Fraction(3, 8), sizes(Fraction(1), Fraction(0), Fraction(1)))
    assert time.process_time() - started < 20
    complement = 1 - found.hi
    assert 0 < complement < Fraction(1, 10**20)
    assert found.width <= complement / 2**29
