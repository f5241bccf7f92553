"""Coupled decay in the long run: what is decided agrees with exact runs, on both sides of every threshold."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import pytest
import sympy
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from theorems.hypotheses import Property, Status
from theorems.rules import RULES, Case, Decay, Over, class_of_rule
from theorems.rules.long_run import in_the_long_run

S, SL, SS, D, DJ, DW, F = (Property[name] for name in ("S", "SL", "SS", "D", "DJ", "DW", "F"))
STEPS = 600


def momentum(x: Fraction, a: Fraction, d: Fraction) -> Iterator[Fraction]:
    """Parameters from 1 on; the dampening is left out at the first step, as in torch."""
    theta, moved = Fraction(1), Fraction(0)
    for step in range(STEPS):
        moved = a * moved + (1 - (d if step else 0)) * x * theta
        theta -= moved
        yield theta


def nesterov(x: Fraction, a: Fraction) -> Iterator[Fraction]:
    theta, moved = Fraction(1), Fraction(0)
    for _ in range(STEPS):
        moved = a * moved + x * theta
        theta -= x * theta + a * moved
        yield theta


def radam(x: Fraction, a: Fraction) -> Iterator[Fraction]:
    """Never rectified: the mean gradient over its correction."""
    theta, mean, power = Fraction(1), Fraction(0), Fraction(1)
    for _ in range(STEPS):
        mean, power = a * mean + (1 - a) * x * theta, power * a
        theta -= mean / (1 - power)
        yield theta


def factors(run: Iterator[Fraction], most: int) -> tuple[bool, bool]:
    """Whether all factors are >= 0, and whether all are <= 1, as far as the run goes."""
    before, nonnegative, at_most_one = Fraction(1), True, True
    for step, after in enumerate(run):
        if before == 0:
            return nonnegative and after == 0, at_most_one
        nonnegative, at_most_one = nonnegative and after / before >= 0, at_most_one and after / before <= 1
        if step == most or not nonnegative:
            break
        before = after
    return nonnegative, at_most_one


def decided(rule: str, x: Fraction, **options: object) -> dict[Property, bool]:
    given = {"lr": sympy.Rational(x.numerator, x.denominator), "weight_decay": 1} | options
    found = in_the_long_run(Case(RULES[rule], Decay.COUPLED), given)
    return {wanted: each.holds for wanted, each in found.items()}


def rational(value: Fraction) -> sympy.Rational:
    return sympy.Rational(value.numerator, value.denominator)


def assert_agrees(answers: dict[Property, bool], run: Iterator[Fraction], x: Fraction, most: int) -> None:
    nonnegative, at_most_one = factors(run, most)
    if answers.get(SS) is True:
        assert nonnegative
        assert answers[S]
        assert answers[SL]
        assert at_most_one == (x > 0)
        assert (DJ in answers) == (x > 0)
    elif answers.get(SS) is False:
        assert not nonnegative
        assert set(answers) == set(Property)


part = st.integers(1, 15).map(lambda n: Fraction(n, 16))
rate = st.integers(-8, 24).map(lambda n: Fraction(n, 16))


@given(rate, part, st.integers(0, 4).map(lambda n: Fraction(n, 4)))
@settings(max_examples=40)
def test_momentum_agrees_with_exact_runs(x: Fraction, a: Fraction, d: Fraction) -> None:
    assume(x != 0)
    answers = decided("momentum", x, momentum=rational(a), dampening=rational(d))
    assert SS in answers  # every case is decided
    assert_agrees(answers, momentum(x, a, d), x, 40 if answers[SS] else STEPS)


@given(rate, part)
@settings(max_examples=30)
def test_nesterov_agrees_with_exact_runs(x: Fraction, a: Fraction) -> None:
    assume(x != 0)
    answers = decided("nesterov", x, momentum=rational(a))
    assert (SS in answers) == (x < 0 or x > ((1 - a) / (1 + a)) ** 2)
    assert_agrees(answers, nesterov(x, a), x, 40 if answers.get(SS) else STEPS)


@given(rate, st.integers(0, 15).map(lambda n: Fraction(n, 16)))
@settings(max_examples=30)
def test_radam_agrees_with_exact_runs(x: Fraction, a: Fraction) -> None:
    assume(x != 0)
    answers = decided("radam", x, betas=(rational(a), sympy.Rational(2, 3)))
    assert SS in answers
    assert_agrees(answers, radam(x, a), x, 25 if answers[SS] else STEPS)


@pytest.mark.parametrize(
    ("rule", "options", "threshold"),
    [
        ("momentum", {"momentum": sympy.Rational(1, 4)}, Fraction(1, 4)),  # (1 - 1/2)^2
        ("momentum", {"momentum": sympy.Rational(9, 16)}, Fraction(1, 16)),
        ("nesterov", {"momentum": sympy.Rational(1, 3)}, Fraction(1, 4)),  # ((2/3)/(4/3))^2
        ("radam", {"betas": (sympy.Rational(1, 4), sympy.Rational(1, 2))}, Fraction(1, 3)),  # (1/2)/(3/2)
        ("radam", {"betas": (sympy.Integer(0), sympy.Rational(1, 2))}, Fraction(1)),
    ],
)
def test_the_thresholds_are_exact(rule: str, options: dict[str, object], threshold: Fraction) -> None:
    tiny = Fraction(1, 10**12)
    assert decided(rule, threshold, **options).get(SS) is (None if rule == "nesterov" else True)
    assert decided(rule, threshold - tiny, **options).get(SS) is not False
    assert decided(rule, threshold + tiny, **options)[SS] is False


def test_a_start_below_the_smaller_fixed_point() -> None:
    """With dampening 1 the roots are real (1 and momentum), and the first step, not dampened, decides."""
    half = sympy.Rational(1, 2)
    assert decided("momentum", Fraction(1, 2), momentum=half, dampening=1)[SS] is True
    assert decided("momentum", Fraction(51, 100), momentum=half, dampening=1)[SS] is False
    assert not factors(momentum(Fraction(51, 100), Fraction(1, 2), Fraction(1)), STEPS)[0]


def test_what_is_said_of_settings() -> None:
    def about(rule: str, wanted: Property, **options: object) -> Status:
        return class_of_rule(RULES[rule], options, rule).about(wanted).status

    growing = {"lr": -0.1, "weight_decay": 0.1, "momentum": 0.9, "dampening": 0, "nesterov": False}
    assert about("momentum", S, **growing) is Status.HOLDS
    assert about("momentum", DJ, **growing) is Status.FAILS
    assert about("momentum", F, **growing) is Status.FAILS
    slowly = growing | {"lr": 0.028}  # 0.0028 > (1 - sqrt 0.9)^2 = 0.00263...: the first 100 steps show nothing
    assert about("momentum", SS, **slowly) is Status.FAILS
    plain = {"eps": 1e-8, "weight_decay": 0.1, "lr": 0.01}
    assert about("radam", DJ, betas=(0.9, 0.6), **plain) is Status.HOLDS
    assert about("radam", SS, betas=(0.9, 0.6), **(plain | {"lr": 0.3})) is Status.FAILS  # 0.03 > 0.0263...
    assert about("radam", DW, betas=(0.9, 0.6), **plain) is Status.FAILS
    assert about("radam", SS, betas=(0.9, 0.999), **plain) is Status.FAILS  # rectified: by sizes


def test_what_is_left_open() -> None:
    assert decided("momentum", Fraction(1, 100), momentum=sympy.Integer(1)) == {}
    assert decided("momentum", Fraction(1, 100), momentum=sympy.Rational(1, 2), dampening=2) == {}
    assert decided("radam", Fraction(1, 100), betas=(sympy.Rational(1, 2), sympy.Rational(7, 10))) == {}
    assert decided("adam", Fraction(1, 100), betas=(sympy.Rational(1, 2), sympy.Rational(1, 2))) == {}
    weights_only = Case(RULES["momentum"], Decay.COUPLED, Over.WEIGHTS)
    assert in_the_long_run(weights_only, {"lr": 1, "weight_decay": 1, "momentum": sympy.Rational(1, 2)}) == {}
