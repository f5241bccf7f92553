"""The checker's own arithmetic against python-flint, and against broken versions of itself."""

from __future__ import annotations

import sys
import types
from fractions import Fraction
from pathlib import Path
from typing import Any

import flint  # noqa: TID251  # an independent reference: nothing of the project lies between
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verify.certificate import checker
from verify.certificate.checker import Arithmetic, Rejected, Work, binomial, evaluate_term, infix

SOURCE = Path(checker.__file__).read_text(encoding="utf-8")


def exact(point: Any) -> Fraction:
    mantissa, exponent = point.man_exp()
    return Fraction(int(mantissa)) * Fraction(2) ** int(exponent)


def reference(name: str, x: int, bits: int) -> tuple[Fraction, Fraction]:
    """Ends of a far narrower enclosure of the function at `x 2^-bits`, in units of `2^-bits`."""
    if name == "erf" and abs(x) > 20 << bits:  # flint takes very long there, and 1 - erf 20 < 2^-500
        near = 1 - Fraction(1, 2**500)
        return (near * 2**bits, Fraction(2**bits)) if x > 0 else (Fraction(-(2**bits)), -near * 2**bits)
    before = flint.ctx.prec
    flint.ctx.prec = 2 * bits + 1200
    try:
        value = getattr(flint.arb(flint.fmpq(x, 1 << bits)), name)()
        middle, radius = exact(value.mid()), exact(value.rad())
    finally:
        flint.ctx.prec = before
    most = 1 if name == "erf" else 2**1200  # so near to 1 that the reference reaches beyond
    return max(middle - radius, -most) * 2**bits, min(middle + radius, most) * 2**bits


def encloses(name: str, x: int, bits: int, module: Any = checker) -> bool:
    lo, hi = module.FUNCTIONS[name](x, bits)
    low, high = reference(name, x, bits)
    return bool(lo <= low and high <= hi)


arguments = st.one_of(
    st.integers(-(10**6), 10**6).map(lambda n: Fraction(n, 10**4)),
    st.fractions(-100, 100, max_denominator=10**9),
    st.integers(-80, 80).map(lambda k: Fraction(2) ** k),
    st.sampled_from([Fraction(n, d) for n in (-3, -2, -1, 0, 1, 2, 3, 4) for d in (1, 2, 3, 10**30)]),
)


@pytest.mark.parametrize("name", checker.FUNCTIONS)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(x=arguments, bits=st.sampled_from([64, 65, 100, 192]))
def test_functions_enclose_the_value_and_nothing_more(name: str, x: Fraction, bits: int) -> None:
    place = (x.numerator << bits) // x.denominator
    if name in ("log", "sqrt"):
        place = abs(place) + (name == "log")
    if name == "exp":
        place = max(min(place, 300 << bits), -300 << bits)
    assert encloses(name, place, bits)
    lo, hi = checker.FUNCTIONS[name](place, bits)
    assert hi - lo <= 2 + (abs(hi) >> bits)


def test_constants() -> None:
    flint.ctx.prec = 3000
    for bits in (64, 100, 1000):
        lo, hi = checker.pi_at(bits)
        value = exact(flint.arb.pi().mid()) * 2**bits
        assert lo < value < hi
        assert hi - lo <= 1
    flint.ctx.prec = 53


PLANTED = {
    "a series cut too early": ("    while power:\n", "    while power and i < 5:\n", "log"),
    "an exponential cut too early": ("    while term:\n", "    while term and n < 5:\n", "exp"),
    "a wrong sign": ("total += -term if x < 0 and n % 2 else term", "total += term", "exp"),
    "rounding inward": (
        "return value[0] >> extra, -(-value[1] >> extra)",
        "return -(-value[0] >> extra), value[1] >> extra",
        "exp",
    ),
    "an error function without its rest": ("    top += high\n", "    top -= high << 40\n", "erf"),
    "a root rounded down": ("return root, root + (root * root != x << bits)", "return root, root", "sqrt"),
    "a wrong reduction": ("(half[1] + 1) // 2 - lo", "(half[1] + 1) // 4 - lo", "atan"),
}


def broken(good: str, bad: str) -> types.ModuleType:
    """The checker with one piece of its source replaced."""
    assert SOURCE.count(good) == 1
    module = types.ModuleType("broken_checker")
    sys.modules["broken_checker"] = module  # dataclasses look for their module
    exec(compile(SOURCE.replace(good, bad), "broken", "exec"), module.__dict__)
    del sys.modules["broken_checker"]
    return module


def series_encloses(p: int, q: int, bits: int, sign: int, module: Any = checker) -> bool:
    """The series alone, where no guard bits hide a wrong remainder."""
    z, terms = Fraction(p, q), range(bits)
    value = sum(sign**i * z ** (2 * i + 1) / (2 * i + 1) for i in terms)
    lo, hi = module.odd_series(p, q, bits, sign)
    return bool(lo <= value * 2**bits <= hi)


SERIES = [
    (p, q, bits, sign) for p, q in ((1, 2), (1, 3), (2, 5), (1, 239), (3, 64)) for bits in (20, 40) for sign in (1, -1)
]


def test_the_series_has_a_remainder_that_is_large_enough() -> None:
    assert all(series_encloses(*one) for one in SERIES)
    wrong = broken("return total - 3 * i - 3, total + 3 * i + 3", "return total, total")
    assert not all(series_encloses(*one, module=wrong) for one in SERIES)


@pytest.mark.parametrize("fault", PLANTED)
def test_a_planted_error_in_a_function_is_seen(fault: str) -> None:
    good, bad, name = PLANTED[fault]
    module = broken(good, bad)
    places = [
        (n << 64) // d
        for n in (-7, -5, -3, -2, 1, 2, 3, 5, 7, 11)
        for d in (1, 3, 7)
        if n > 0 or name in ("exp", "atan")
    ]
    assert not all(encloses(name, x, 64, module) for x in places)


# --- intervals -------------------------------------------------------------------------------------------------------

ends = st.fractions(-1000, 1000, max_denominator=10**6)
intervals = st.tuples(ends, ends).map(lambda pair: (min(pair), max(pair)))
inside = st.fractions(0, 1, max_denominator=97)


@settings(max_examples=120, deadline=None, derandomize=True)
@given(
    x=intervals,
    y=intervals,
    s=inside,
    t=inside,
    n=st.integers(0, 6),
    op=st.sampled_from(["add", "sub", "mul", "div", "max", "min", "pow"]),
)
def test_operations_hold_every_point(x: Any, y: Any, s: Fraction, t: Fraction, n: int, op: str) -> None:
    a, b = x[0] + s * (x[1] - x[0]), y[0] + t * (y[1] - y[0])
    if op == "div" and y[0] <= 0 <= y[1]:
        arithmetic = Arithmetic(64, Work())
        with pytest.raises(Rejected, match="divisor"):
            arithmetic.over(arithmetic.span(*x), arithmetic.span(*y))
        return
    exactly = {
        "add": lambda: a + b,
        "sub": lambda: a - b,
        "mul": lambda: a * b,
        "div": lambda: a / b,
        "max": lambda: max(a, b),
        "min": lambda: min(a, b),
        "pow": lambda: a**n,
    }[op]()
    term = ["pow", "p_1", n] if op == "pow" else [op, "p_1", "tau"]
    lo, hi = evaluate_term(term, {"p_1": x, "tau": y}, 80)
    assert lo <= exactly <= hi


def test_dyadic_arithmetic_is_exact() -> None:
    assert evaluate_term(["sub", "1", ["pow", ["sub", "1", "3/8"], 20]], {}, 64) == (1 - Fraction(5, 8) ** 20,) * 2


@pytest.mark.parametrize(
    ("term", "why"),
    [
        (["log", "0"], "logarithm"),
        (["sqrt", "-1"], "root"),
        (["div", "1", ["sub", "1", "1"]], "divisor"),
        (["tail", 5, 2, "2"], "probability"),
        (["exp", "30001"], "30000"),
        (["pow", ["pow", "2", 1000], 1000], "2\\^65536"),
        (["tail", 5, 6, "1/2"], "integer from 1 to 5"),
        (["tail", 5, 0, "1/2"], "integer from 1 to 5"),
        (["pow", "2", "l"], "integer"),
        (["pow", "2", True], "integer"),
        (["add"], "list of 2"),
        (["sub", "1"], "no operation"),
        (["nothing", "1"], "no operation"),
        ([["add"], "1"], "name of an operation"),
        ("q", "stands for nothing"),
        ("1/0", "rational"),
        ("1.5", "rational"),
        (3, "expected a list"),
        (["pow", "1/2", 10**6 + 1], "integer from"),
    ],
)
def test_terms_that_mean_nothing(term: Any, why: str) -> None:
    with pytest.raises(Rejected, match=why):
        evaluate_term(term, {}, 64)


# --- binomial laws ---------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None, derandomize=True)
@given(n=st.integers(1, 60), share=inside, p=st.fractions(0, 1, max_denominator=50))
def test_binomial_tails_and_points_are_the_exact_sums(n: int, share: Fraction, p: Fraction) -> None:
    k = int(share * n)
    terms = [Fraction(checker.comb(n, j)) * p**j * (1 - p) ** (n - j) for j in range(n + 1)]
    tail, point = binomial(n, k, p.numerator, p.denominator, 128, Work())
    for (lo, hi), value in ((tail, sum(terms[k:])), (point, terms[k])):
        assert lo <= value * 2**128 <= hi
        assert hi - lo < 2**70


@pytest.mark.parametrize("deviations", [-30, -4, -1, 0, 2, 6, 40])
def test_binomial_tails_of_many_replicas(deviations: int) -> None:
    """Against exact integers for 1,000 replicas, and from both sides for 10^6: the two tails add up to 1."""
    for n, p, q in ((1_000, 333, 1000), (1_000_000, 2**40 // 3, 2**40)):
        k = min(max(int(n * p / q + deviations * (n * 2 / 9) ** 0.5), 1), n)
        (lo, hi), _ = binomial(n, k, p, q, 288, Work())
        (low, high), _ = binomial(n, n - k + 1, q - p, q, 288, Work())
        assert hi - lo < 2**100
        assert lo + low <= 2**288 <= hi + high
        if n == 1_000:
            value = sum(checker.comb(n, j) * p**j * (q - p) ** (n - j) for j in range(k, n + 1))
            assert lo * q**n <= value << 288 <= hi * q**n


def test_terms_are_shown_in_ordinary_notation() -> None:
    assert infix(["sub", "1", ["pow", ["sub", "1", "p_1"], 3]]) == "(1 - ((1 - p_1)^3))"
