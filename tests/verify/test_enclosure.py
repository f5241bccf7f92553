"""The numbers of the library: what an enclosure promises, and the traps of the ball arithmetic behind it.

Estimates come from mpmath at 60 digits, along the tree that hypothesis drew and not along the sympy expression.
Exact values come from fractions. An estimate may miss an exact enclosure by its own error only (`SLACK`).
"""

from __future__ import annotations

import itertools
import math
import random
from decimal import Decimal
from fractions import Fraction
from math import comb

import flint  # noqa: TID251  # the traps are shown on the library itself, next to the door that avoids them
import mpmath
import pytest
import sympy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from theorems.bounds import ALIVE, P_DEAD, BinomialChain, ClosedForm, Recursion
from verify.enclosure import (
    Enclosure,
    Estimate,
    Tri,
    Undecidable,
    at_least,
    at_most,
    evaluate,
    evaluate_bound,
    float_down,
    float_up,
    is_at_most,
    sign_of,
)
from verify.enclosure.arb import TOLERANCE, binomial_tail, log_mixture_likelihood, log_of

X, Y = sympy.symbols("x y", real=True)
SLACK = Fraction(1, 10**40)
SMALL = Fraction(1, 10**25)

rationals = st.builds(Fraction, st.integers(-60, 60), st.integers(1, 24))
widths = st.builds(Fraction, st.integers(0, 20), st.integers(1, 10))
probabilities = st.builds(lambda p, q: Fraction(p, p + q), st.integers(0, 30), st.integers(1, 30))


def as_fraction(value: mpmath.mpf) -> Fraction:
    """The exact value of an mpmath number (its own comparison with fractions would round)."""
    assert mpmath.isfinite(value)
    sign, mantissa, exponent, _ = mpmath.mpf(value)._mpf_
    return (-1) ** sign * Fraction(int(mantissa)) * Fraction(2) ** exponent


def assert_encloses(
    found: Enclosure, expected: Fraction, *, max_width: Fraction = TOLERANCE, slack: Fraction = SLACK
) -> None:
    """Containment and width: an enclosure of everything must not pass."""
    assert found.lo - slack <= expected <= found.hi + slack, f"{float(expected)} is not in [{found.lo}, {found.hi}]"
    assert found.width <= max_width, f"width {float(found.width)}"


# --- traps of the library --------------------------------------------------------------------------------------------


def test_power_of_a_ball_around_zero() -> None:
    assert (flint.arb(0, 1) ** 2).is_nan(), "the trap is gone: the door's own power may be simplified"
    for exponent in (2, 3, 4, 7):
        found = evaluate(X**exponent, {X: Enclosure(Fraction(-1), Fraction(1))})
        assert found.contains(1)
        assert found.contains(0)
        assert found.lo <= (0 if exponent % 2 == 0 else -1)
        assert found.width <= Fraction(21, 10)


@pytest.mark.parametrize("exponent", [-5, -2, -1, 0, 1, 2, 3, 10, 31])
def test_integer_powers_of_exact_numbers(exponent: int) -> None:
    for base in (Fraction(-7, 3), Fraction(-1), Fraction(1, 10), Fraction(5)):
        found = evaluate(X**exponent, {X: base}, tolerance=SMALL)
        exact = base**exponent
        assert_encloses(found, exact, max_width=SMALL, slack=Fraction(0))


@pytest.mark.parametrize("expression", [sympy.sqrt(X), sympy.log(X), X ** sympy.Rational(1, 3)], ids=str)
def test_a_ball_that_is_not_finite_never_leaves(expression: sympy.Expr) -> None:
    assert 5 in flint.arb.nan(), "NaN contains everything: containment without a finite ball proves nothing"
    with pytest.raises(Undecidable, match="no finite enclosure"):
        evaluate(expression, {X: Enclosure(Fraction(-1), Fraction(2))})
    with pytest.raises(Undecidable):
        evaluate(expression, {X: Fraction(-3)})


def test_division_by_a_ball_around_zero_is_undecidable() -> None:
    for value in (Fraction(0), Enclosure(Fraction(-1), Fraction(1)), Enclosure(Fraction(0), Fraction(1))):
        with pytest.raises(Undecidable):
            evaluate(1 / X, {X: value})
    with pytest.raises(Undecidable):
        evaluate(sympy.acos(X), {X: Fraction(2)})


def test_precision_is_restored_after_success_and_after_every_kind_of_failure() -> None:
    before = flint.ctx.prec
    evaluate(sympy.exp(X), {X: Fraction(1)}, tolerance=Fraction(1, 2**900))
    assert flint.ctx.prec == before
    for expression, value, error in (
        (sympy.log(X), Fraction(-1), Undecidable),
        (sympy.exp(X), 0.5, TypeError),
        (sympy.sin(X), Fraction(1), TypeError),
        (sympy.exp(X + Y), Fraction(1), TypeError),
    ):
        with pytest.raises(error):
            evaluate(expression, {X: value})  # type: ignore[dict-item]
        assert flint.ctx.prec == before
    with pytest.raises(TypeError):
        evaluate_bound(ClosedForm(P_DEAD**2), 0.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        binomial_tail(5, 2, 0.5, bits=200)  # type: ignore[arg-type]
    with pytest.raises(Undecidable):
        log_of(Fraction(-1), bits=300)
    assert flint.ctx.prec == before


def test_a_foreign_precision_changes_nothing() -> None:
    wanted = evaluate(sympy.exp(1) - sympy.log(X), {X: Fraction(7, 3)})
    before = flint.ctx.prec
    try:
        flint.ctx.prec = 10
        assert evaluate(sympy.exp(1) - sympy.log(X), {X: Fraction(7, 3)}) == wanted
        assert flint.ctx.prec == 10
    finally:
        flint.ctx.prec = before


def test_floats_are_refused() -> None:
    for value in (0.5, 1, True, "1/2", sympy.Rational(1, 2), None):
        with pytest.raises(TypeError):
            evaluate(X, {X: value})  # type: ignore[dict-item]
    for expression in (sympy.Float(0.5), X + sympy.Float("0.1"), X ** sympy.Float(2.0), sympy.Float(2.0) ** X):
        with pytest.raises(TypeError, match="Float"):
            evaluate(expression, {X: Fraction(1)})
    with pytest.raises(TypeError):
        Enclosure(0.25, 0.5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        Enclosure(0, 1)  # type: ignore[arg-type]
    for bound in (
        ClosedForm(P_DEAD),
        Recursion((X,), (P_DEAD,), (), (X,), ((),), X),
        BinomialChain((2, 2), P_DEAD, (sympy.Rational(1, 2) ** ALIVE,)),
    ):
        with pytest.raises(TypeError):
            evaluate_bound(bound, 0.5)  # type: ignore[arg-type]


def test_a_float_exponent_is_not_confused_with_the_integer_compiled_before() -> None:
    assert evaluate(X**2, {X: Fraction(3)}).contains(9)
    with pytest.raises(TypeError):
        evaluate(X ** sympy.Float(2.0), {X: Fraction(3)})


@pytest.mark.parametrize(
    "expression",
    [sympy.sin(X), sympy.gamma(X), sympy.ceiling(X), sympy.I * X, sympy.EulerGamma, sympy.oo, sympy.nan, sympy.zoo],
    ids=str,
)
def test_functions_without_a_rule_are_refused(expression: sympy.Expr) -> None:
    with pytest.raises(TypeError, match="no rule"):
        evaluate(expression, {X: Fraction(1)})


@pytest.mark.parametrize(
    "parameters", [(0, 2, 0, X), (2, -1, 0, X), (sympy.Rational(1, 2), 2, 0, X), (2, 2, X, 1)], ids=str
)
def test_beta_functions_beyond_binomial_tails_are_refused(parameters: tuple[sympy.Expr, ...]) -> None:
    with pytest.raises(TypeError, match=r"rigorously|no rule"):
        evaluate(sympy.betainc_regularized(*parameters), {X: Fraction(1, 3)})


def test_a_missing_value_is_named() -> None:
    with pytest.raises(TypeError, match="no value for y"):
        evaluate(X + Y, {X: Fraction(1)})


def test_decimals_are_exact_ends_and_not_the_rounded_ball() -> None:
    """`ball.contains(1/10)` asks about a rounded ball; here the ends themselves must bracket one tenth."""
    for value in (Fraction(1, 10), Fraction(1, 3), Fraction(-7, 11)):
        found = evaluate(X, {X: value})
        assert found.lo <= value <= found.hi
        assert 0 < found.width <= TOLERANCE
    assert evaluate(X, {X: Fraction(5, 8)}) == Enclosure.point(Fraction(5, 8))


def test_radius_of_a_wide_argument_is_rounded_outward() -> None:
    """Radii keep 30 bits; they must round up, never down."""
    given_value = Enclosure(Fraction(1, 3), Fraction(2, 3) + Fraction(1, 10**20))
    found = evaluate(X, {X: given_value})
    assert found.lo <= given_value.lo
    assert given_value.hi <= found.hi
    assert found.width <= given_value.width + Fraction(1, 2**25)


# --- evaluate encloses -----------------------------------------------------------------------------------------------

Tree = tuple
UNARY = ("neg", "abs", "exp", "log", "sqrt", "rsqrt", "atan", "erf", "acos", "inverse", "cube root")
BINARY = ("add", "sub", "mul", "max", "min")


def trees() -> st.SearchStrategy[Tree]:
    """Expression trees of every supported function, each on its own domain, of moderate size."""
    leaves = st.one_of(
        rationals.map(lambda q: ("rational", q)),
        st.sampled_from([("x",), ("y",), ("pi",), ("e",)]),
    )

    def extend(inner: st.SearchStrategy[Tree]) -> st.SearchStrategy[Tree]:
        unary = st.sampled_from(UNARY)
        return st.one_of(
            st.tuples(unary, inner),
            st.tuples(st.sampled_from(BINARY), inner, inner),
            st.tuples(st.just("power"), inner, st.integers(0, 4)),
        )

    return st.recursive(leaves, extend, max_leaves=6)


def to_sympy(tree: Tree) -> sympy.Expr:
    kind, *rest = tree
    if kind == "rational":
        return sympy.Rational(rest[0].numerator, rest[0].denominator)
    if kind in ("x", "y", "pi", "e"):
        return {"x": X, "y": Y, "pi": sympy.pi, "e": sympy.E}[kind]
    if kind == "power":
        return to_sympy(rest[0]) ** rest[1]
    a, *others = (to_sympy(part) for part in rest)
    positive = abs(a) + sympy.Rational(1, 7)
    match kind:
        case "neg":
            return -a
        case "abs":
            return sympy.Abs(a)
        case "exp":
            return sympy.exp(sympy.Min(a, 3, evaluate=False))
        case "log":
            return sympy.log(positive)
        case "sqrt":
            return sympy.sqrt(positive)
        case "rsqrt":
            return positive ** sympy.Rational(-3, 2)
        case "atan":
            return sympy.atan(a)
        case "erf":
            return sympy.erf(a)
        case "acos":
            return sympy.acos(sympy.Rational(9, 10) * sympy.atan(a) / 2)
        case "inverse":
            return 1 / positive
        case "cube root":
            return positive ** sympy.Rational(1, 3)
        case "add":
            return a + others[0]
        case "sub":
            return a - others[0]
        case "mul":
            return a * others[0]
        case "max":
            return sympy.Max(a, others[0], evaluate=False)
        case "min":
            return sympy.Min(a, others[0], evaluate=False)
    raise AssertionError(kind)


def estimate(tree: Tree, x: Fraction, y: Fraction) -> mpmath.mpf:
    kind, *rest = tree
    if kind == "rational":
        return mpmath.mpf(rest[0].numerator) / rest[0].denominator
    if kind in ("x", "y"):
        value = x if kind == "x" else y
        return mpmath.mpf(value.numerator) / value.denominator
    if kind in ("pi", "e"):
        return +(mpmath.pi if kind == "pi" else mpmath.e)
    if kind == "power":
        return estimate(rest[0], x, y) ** rest[1]
    a, *others = (estimate(part, x, y) for part in rest)
    positive = abs(a) + mpmath.mpf(1) / 7
    return {
        "neg": lambda: -a,
        "abs": lambda: abs(a),
        "exp": lambda: mpmath.exp(min(a, mpmath.mpf(3))),
        "log": lambda: mpmath.log(positive),
        "sqrt": lambda: mpmath.sqrt(positive),
        "rsqrt": lambda: 1 / (positive * mpmath.sqrt(positive)),
        "atan": lambda: mpmath.atan(a),
        "erf": lambda: mpmath.erf(a),
        "acos": lambda: mpmath.acos(mpmath.mpf(9) / 20 * mpmath.atan(a)),
        "inverse": lambda: 1 / positive,
        "cube root": lambda: mpmath.cbrt(positive),
        "add": lambda: a + others[0],
        "sub": lambda: a - others[0],
        "mul": lambda: a * others[0],
        "max": lambda: max(a, others[0]),
        "min": lambda: min(a, others[0]),
    }[kind]()


def check_estimate(tree: Tree, x: Fraction, y: Fraction) -> None:
    found = evaluate(to_sympy(tree), {X: x, Y: y})
    with mpmath.workdps(60):
        value = as_fraction(estimate(tree, x, y))
    slack = SLACK * (1 + abs(value)) if abs(value) < 10**15 else abs(value) / 10**40
    assert_encloses(found, value, slack=slack)


@pytest.mark.parametrize("kind", [*UNARY, *BINARY])
@given(x=rationals, y=rationals)
@settings(max_examples=15)
def test_each_function_encloses_the_estimate(kind: str, x: Fraction, y: Fraction) -> None:
    check_estimate((kind, ("x",)) if kind in UNARY else (kind, ("x",), ("y",)), x, y)


@given(tree=trees(), x=rationals, y=rationals)
@settings(max_examples=120)
@example(tree=("sub", ("exp", ("x",)), ("exp", ("y",))), x=Fraction(1, 3), y=Fraction(1, 3))
@example(tree=("mul", ("erf", ("x",)), ("acos", ("y",))), x=Fraction(-1, 9), y=Fraction(50))
@example(tree=("max", ("rational", Fraction(0)), ("sub", ("x",), ("x",))), x=Fraction(1, 3), y=Fraction(0))
def test_evaluate_encloses_the_estimate(tree: Tree, x: Fraction, y: Fraction) -> None:
    check_estimate(tree, x, y)


@given(tree=trees(), low=rationals, width=widths, share=probabilities)
def test_evaluate_of_an_enclosure_holds_at_every_point_of_it(
    tree: Tree, low: Fraction, width: Fraction, share: Fraction
) -> None:
    y = Fraction(3, 7)
    try:
        found = evaluate(to_sympy(tree), {X: Enclosure(low, low + width), Y: y})
    except Undecidable:
        return  # acos and logarithms of wide balls may leave their domain; refusing is safe
    with mpmath.workdps(60):
        for point in (low, low + share * width, low + width):
            value = as_fraction(estimate(tree, point, y))
            slack = SLACK * (1 + abs(value)) if abs(value) < 10**15 else abs(value) / 10**40
            assert found.lo - slack <= value <= found.hi + slack


@pytest.mark.parametrize("digits", [10, 40, 200])
def test_tolerance_is_met_for_exact_arguments(digits: int) -> None:
    tolerance = Fraction(1, 10**digits)
    found = evaluate(sympy.exp(X) * sympy.pi - sympy.log(1 + X**2), {X: Fraction(22, 7)}, tolerance=tolerance)
    assert found.width <= tolerance
    with mpmath.workdps(digits + 40):
        x = mpmath.mpf(22) / 7
        assert_encloses(found, as_fraction(mpmath.exp(x) * mpmath.pi - mpmath.log(1 + x**2)), max_width=tolerance)


CANCELLATION = sympy.atan(sympy.Rational(1, 2)) + sympy.atan(sympy.Rational(1, 3)) - sympy.pi / 4  # equals 0


@pytest.mark.parametrize(
    ("expression", "inner"),
    [
        (sympy.atan(10**60 * CANCELLATION + 1), 1),
        (sympy.erf(10**60 * CANCELLATION + 1), 1),
        (sympy.Max(-1, sympy.Min(1, 10**60 * CANCELLATION + sympy.Rational(1, 2))), sympy.Rational(1, 2)),
    ],
    ids=["atan", "erf", "clamp"],
)
def test_wide_balls_of_low_precision_are_not_the_last_word(expression: sympy.Expr, inner: sympy.Expr) -> None:
    """Bounded functions give equally wide balls at 64 and at 128 bits; exact arguments can still be refined."""
    found = evaluate(expression)
    with mpmath.workdps(60):
        head = {sympy.atan: mpmath.atan, sympy.erf: mpmath.erf}.get(expression.func, mpmath.mpf)
        value = as_fraction(head(mpmath.mpf(int(inner.p)) / int(inner.q) if hasattr(inner, "p") else mpmath.mpf(inner)))
    assert_encloses(found, value)


def test_evaluate_refines_through_cancellation() -> None:
    found = evaluate(10**60 * CANCELLATION)
    assert_encloses(found, Fraction(0))


@pytest.mark.parametrize(
    ("x", "y"),
    [((0, 3), (1, 2)), ((1, 2), (0, 3)), ((0, 2), (1, 3)), ((1, 3), (0, 2)), ((-1, 1), (0, 0)), ((0, 1), (5, 6))],
)
def test_extrema_of_overlapping_enclosures(x: tuple[int, int], y: tuple[int, int]) -> None:
    """Python's own max and min would pick one of two balls by an undecided comparison."""
    known = {X: Enclosure(Fraction(x[0]), Fraction(x[1])), Y: Enclosure(Fraction(y[0]), Fraction(y[1]))}
    for function, choose in ((sympy.Max, max), (sympy.Min, min)):
        found = evaluate(function(X, Y), known)
        assert found.lo <= choose(x[0], y[0])
        assert found.hi >= choose(x[1], y[1])
        assert max(0, *x, *y) + 1 >= found.hi
        assert min(0, *x, *y) - 1 <= found.lo


def test_values_at_the_edge_of_a_domain() -> None:
    assert evaluate(sympy.acos(X), {X: Fraction(1)}).contains(0)
    assert evaluate(sympy.sqrt(X), {X: Fraction(0)}) == Enclosure.point(0)
    assert evaluate(sympy.Abs(X), {X: Fraction(-2, 3)}).lo <= Fraction(2, 3)
    assert evaluate(sympy.Max(X, Y), {X: Fraction(1), Y: Fraction(2)}) == Enclosure.point(2)
    assert evaluate(sympy.Min(X, Y), {X: Fraction(1), Y: Fraction(2)}) == Enclosure.point(1)


# --- three-valued answers --------------------------------------------------------------------------------------------


def test_truth_values_raise() -> None:
    for member in Tri:
        with pytest.raises(TypeError):
            bool(member)
    with pytest.raises(TypeError):
        bool(Enclosure.point(1))
    with pytest.raises(TypeError):
        _ = Enclosure.point(0) and 1
    assert Tri.of(True) is Tri.YES
    assert Tri.of(False) is Tri.NO


def test_an_empty_enclosure_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="empty"):
        Enclosure(Fraction(1), Fraction(0))


enclosures = st.builds(lambda a, w: Enclosure(a, a + w), rationals, widths)


@given(enclosures, enclosures)
@example(Enclosure.point(1), Enclosure.point(1))
@example(Enclosure(Fraction(0), Fraction(1)), Enclosure(Fraction(1), Fraction(2)))
@example(Enclosure(Fraction(1), Fraction(2)), Enclosure(Fraction(0), Fraction(1)))
def test_comparisons_hold_for_every_pair_of_points_or_are_undecided(a: Enclosure, b: Enclosure) -> None:
    points = [(p, q) for p in (a.lo, (a.lo + a.hi) / 2, a.hi) for q in (b.lo, (b.lo + b.hi) / 2, b.hi)]
    for answer, relation in ((a.at_most(b), Fraction.__le__), (a.less_than(b), Fraction.__lt__)):
        seen = {relation(p, q) for p, q in points}
        assert answer is (Tri.UNDECIDED if len(seen) == 2 else Tri.of(seen.pop()))
    # both relations are extreme at the ends, so the ends decide what holds for every pair
    assert a.meets(b) == (max(a.lo, b.lo) <= min(a.hi, b.hi))


def test_an_estimate_is_not_a_number() -> None:
    made = Estimate(0.25, "seed 1")
    with pytest.raises(TypeError):
        made < 0.5  # type: ignore[operator]  # noqa: B015
    with pytest.raises(TypeError):
        evaluate(X, {X: made})  # type: ignore[dict-item]


# --- rounding for people ---------------------------------------------------------------------------------------------

awkward = st.one_of(
    st.builds(Fraction, st.integers(-(10**6), 10**6), st.integers(1, 10**6)),
    st.builds(lambda n, k: 1 - Fraction(n, 10**k), st.integers(-99, 99), st.integers(0, 80)),
    st.builds(lambda n, k: Fraction(n, 7 * 10**k), st.integers(-99, 99), st.integers(0, 80)),
    st.floats(allow_nan=False, allow_infinity=False, width=64).map(Fraction),
)


def shown(text: str) -> Fraction:
    """The number that a reader takes from a text: a decimal, with or without exponent, or "1 - decimal"."""
    if text.startswith("1 - "):
        return 1 - shown(text.removeprefix("1 - "))
    return Fraction(Decimal(text))


@given(value=awkward, digits=st.integers(1, 9))
@settings(max_examples=300)
@example(value=Fraction(99999973, 10**8), digits=4)
@example(value=1 - Fraction(1, 10**100), digits=4)
@example(value=Fraction(1, 10**100), digits=4)
@example(value=-Fraction(1, 10**100), digits=4)
@example(value=Fraction(-1, 2), digits=1)
@example(value=Fraction(199999, 100000), digits=4)
def test_display_is_safe(value: Fraction, digits: int) -> None:
    below, above = at_least(value, digits), at_most(value, digits)
    assert shown(below) <= value <= shown(above)
    assert value - shown(below) < Fraction(1, 10**digits)
    assert shown(above) - value < Fraction(1, 10**digits)
    if value < 1:
        assert shown(below) < 1
    if value > 0:
        assert shown(above) > 0
    if value.denominator == 1:
        assert below == above == str(value)


@pytest.mark.parametrize(
    "value",
    [
        Fraction(10**5000 + 1, 3 * 10**5000),
        Fraction(3**12000 + 1, 3**12000 * 7),
        Fraction(1, 10**5000),
        1 - Fraction(1, 10**5000),
        Fraction(10**5000),
        Fraction(10**5000, 7),
    ],
    ids=["a third", "a seventh", "tiny", "near one", "huge integer", "huge"],
)
def test_display_of_numbers_beyond_the_digit_limit_of_python(value: Fraction) -> None:
    """Python refuses to write integers of more than 4300 digits; exact variances and risks easily have them."""
    for number in (value, -value):
        assert shown(at_least(number)) <= number <= shown(at_most(number))
    if value < 1:
        assert shown(at_least(value)) < 1


def test_display_keeps_enough_nines() -> None:
    assert at_least(Fraction("0.99999973")).startswith("0.9999997")
    assert at_least(Fraction(1)) == "1"
    assert at_least(Fraction(3, 8)) == "0.3750"
    assert at_most(Fraction(1, 3), 2) == "0.34"
    assert at_least(Fraction(1, 3), 2) == "0.33"
    assert at_least(Fraction(-1, 3), 2) == "-0.34"
    assert at_most(Fraction(-1, 3), 2) == "-0.33"


@given(awkward)
@settings(max_examples=200)
@example(Fraction(1, 10**400))
@example(-Fraction(1, 10**400))
@example(Fraction(0))
@example(Fraction(5, 2**1075))
def test_floats_are_rounded_to_the_neighbour_on_the_safe_side(value: Fraction) -> None:
    down, up = float_down(value), float_up(value)
    assert Fraction(down) <= value <= Fraction(up)
    assert math.nextafter(down, math.inf) == math.inf or Fraction(math.nextafter(down, math.inf)) > value
    assert math.nextafter(up, -math.inf) == -math.inf or Fraction(math.nextafter(up, -math.inf)) < value


def test_floats_beyond_the_range() -> None:
    """The largest float `<= 10^400` is the largest finite one; upward there is only infinity (and mirrored)."""
    largest = math.nextafter(math.inf, 0)
    assert float_down(Fraction(2**1024 - 2**970)) == largest  # to nearest, this would round to infinity
    assert float_down(Fraction(10) ** 400) == largest
    assert float_up(-(Fraction(10) ** 400)) == -largest
    assert float_up(Fraction(10) ** 400) == math.inf
    assert float_down(-(Fraction(10) ** 400)) == -math.inf


def test_rounding_zero_up_shows_no_sign() -> None:
    assert str(float_up(Fraction(0))) == "0.0"
    assert str(float_down(Fraction(0))) == "0.0"


# --- signs and comparisons of symbolic constants ---------------------------------------------------------------------


def test_sign_of() -> None:
    assert sign_of(sympy.Rational(-3, 7)) == -1
    assert sign_of(sympy.Integer(0)) == 0
    assert sign_of(sympy.Rational(1, 10**9)) == 1
    assert sign_of(sympy.pi - sympy.Rational(355, 113)) == -1
    assert sign_of(sympy.exp(sympy.pi) - sympy.pi - 19) == 1
    assert sign_of(sympy.exp(sympy.pi * sympy.sqrt(163)) - 262537412640768744) == -1  # by 7.5e-13
    assert sign_of(CANCELLATION) is None
    assert sign_of(sympy.sqrt(2) + sympy.sqrt(3) - sympy.sqrt(5 + 2 * sympy.sqrt(6))) is None
    assert sign_of(CANCELLATION + sympy.Rational(1, 10**200)) == 1
    assert sign_of(CANCELLATION - sympy.Rational(1, 10**200)) == -1


def test_is_at_most() -> None:
    assert is_at_most(sympy.sqrt(2), sympy.Rational(3, 2)) is Tri.YES
    assert is_at_most(sympy.Rational(3, 2), sympy.sqrt(2)) is Tri.NO
    assert is_at_most(sympy.Integer(1), sympy.Integer(1)) is Tri.YES
    assert is_at_most(sympy.sqrt(6) / 3, sympy.sqrt(sympy.Rational(2, 3))) is Tri.YES
    assert is_at_most(CANCELLATION, sympy.Integer(0)) is Tri.UNDECIDED


# --- bounds ----------------------------------------------------------------------------------------------------------


def assert_bound(found: Enclosure, exact: Fraction) -> None:
    """Containment, and the precision that `evaluate_bound` promises: relative to the value and to its complement."""
    assert found.lo <= exact <= found.hi, f"{float(exact)} is not in [{found.lo}, {found.hi}]"
    smaller = min(abs(exact), abs(1 - exact))
    assert found.width <= max(smaller / 2**29, Fraction(1, 2**1023)), f"width {float(found.width)}"


@given(p=probabilities, n=st.integers(1, 12))
def test_closed_forms_against_fractions(p: Fraction, n: int) -> None:
    bound = ClosedForm(1 - (1 - P_DEAD**n) * (1 - sympy.Rational(1, 2 ** (n + 1))))
    exact = 1 - (1 - p**n) * (1 - Fraction(1, 2 ** (n + 1)))
    assert_bound(evaluate_bound(bound, p), exact)


@pytest.mark.parametrize("power", [3, 60, 300, 1000, 1500, 5000])
def test_tiny_bounds_and_tiny_complements_keep_their_digits(power: int) -> None:
    for bound, exact in (
        (ClosedForm(P_DEAD**power), Fraction(1, 2) ** power),
        (ClosedForm(1 - P_DEAD**power), 1 - Fraction(1, 2) ** power),
        (ClosedForm(P_DEAD**power * sympy.Rational(2, 3)), Fraction(1, 2) ** power * 2 / 3),
    ):
        found = evaluate_bound(bound, Fraction(1, 2))
        assert_bound(found, exact)
        assert found.lo >= 0
        assert found.hi <= 1


def test_a_closed_form_without_the_dead_probability() -> None:
    assert evaluate_bound(ClosedForm(sympy.Rational(1, 3)), Fraction(1, 2)).contains(Fraction(1, 3))


@given(p=probabilities, layers=st.lists(st.tuples(rationals, st.integers(0, 5)), max_size=5))
def test_recursions_against_fractions(p: Fraction, layers: list[tuple[Fraction, int]]) -> None:
    u, v, q, n = sympy.symbols("u v q n", real=True)
    bound = Recursion(
        state=(u, v),
        start=(P_DEAD, 1 - P_DEAD**2),
        parameters=(q, n),
        step=(sympy.Max(q * u, v / 3), (u - v) ** n / (1 + u**2)),  # the second uses the old u, not the new one
        layers=tuple((sympy.Rational(a.numerator, a.denominator), sympy.Integer(k)) for a, k in layers),
        result=u - 2 * v,
    )
    exact_u, exact_v = p, 1 - p**2
    for a, k in layers:
        exact_u, exact_v = max(a * exact_u, exact_v / 3), (exact_u - exact_v) ** k / (1 + exact_u**2)
    exact = exact_u - 2 * exact_v
    assert_bound(evaluate_bound(bound, p), exact)


def paths(widths: tuple[int, ...], first: Fraction, success: list[dict[int, Fraction]]) -> Fraction:
    """Sum over all paths of counts that never fill a layer, and subtract from 1."""
    alive_for_ever = Fraction(0)
    for counts in itertools.product(*(range(width) for width in widths)):
        weight = comb(widths[0], counts[0]) * first ** counts[0] * (1 - first) ** (widths[0] - counts[0])
        for k in range(1, len(widths)):
            p = success[k - 1][widths[k - 1] - counts[k - 1]]
            weight *= comb(widths[k], counts[k]) * p ** counts[k] * (1 - p) ** (widths[k] - counts[k])
        alive_for_ever += weight
    return 1 - alive_for_ever


@given(
    p=probabilities,
    widths=st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple),
    bases=st.lists(st.builds(Fraction, st.integers(1, 5), st.just(6)), min_size=3, max_size=3),
)
@example(p=Fraction(0), widths=(1, 1, 1), bases=[Fraction(1, 2)] * 3)
@example(p=Fraction(1), widths=(2, 3), bases=[Fraction(1, 2)] * 3)
def test_binomial_chains_against_all_paths(p: Fraction, widths: tuple[int, ...], bases: list[Fraction]) -> None:
    used = bases[: len(widths) - 1]
    symbolic = tuple(sympy.Rational(2, 3) * sympy.Rational(b.numerator, b.denominator) ** ALIVE for b in used)
    tables = [{alive: Fraction(2, 3) * b**alive for alive in range(5)} for b in used]
    found = evaluate_bound(BinomialChain(widths, P_DEAD, symbolic), p)
    assert_bound(found, paths(widths, p, tables))


@given(n=st.integers(1, 40), k=st.integers(1, 40), p=st.builds(Fraction, st.integers(1, 29), st.just(30)))
def test_binomial_tail_against_the_sum(n: int, k: int, p: Fraction) -> None:
    k = min(k, n)
    found = binomial_tail(n, k, p, bits=128)
    assert found is not None
    exact = sum((comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1)), Fraction(0))
    assert_encloses(found, exact, max_width=Fraction(1, 2**90), slack=Fraction(0))


def test_binomial_tail_at_the_ends_of_the_unit_interval() -> None:
    for p, value in ((Fraction(0), 0), (Fraction(1), 1)):
        found = binomial_tail(7, 3, p, bits=64)
        assert found is None or (found.contains(value) and found.width <= TOLERANCE)


def test_logarithms_against_mpmath() -> None:
    numbers = random.Random(5)
    for _ in range(20):
        n = numbers.randint(1, 500)
        k = numbers.randint(0, n)
        p = Fraction(numbers.randint(1, 99), 100)
        found = log_mixture_likelihood(n, k, p, bits=128)
        assert found is not None
        with mpmath.workdps(60):
            share = mpmath.mpf(p.numerator) / p.denominator
            exact = mpmath.log((n + 1) * comb(n, k)) + k * mpmath.log(share) + (n - k) * mpmath.log(1 - share)
            assert_encloses(found, as_fraction(exact), max_width=Fraction(1, 2**80))
            assert_encloses(log_of(p, bits=128), as_fraction(mpmath.log(share)), max_width=Fraction(1, 2**80))
