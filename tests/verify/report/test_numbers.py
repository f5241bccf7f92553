"""Numbers for people: rounded in the safe direction, whatever their size."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tests.verify.report.builders import number, probabilities
from verify.report.numbers import lower, narrow, upper
from verify.report.rows import Split
from verify.results import write_ratio


@given(probabilities, st.integers(2, 4), st.integers(6, 14))
def test_lower_bounds_are_never_rounded_up_nor_upper_ones_down(value: Fraction, digits: int, longest: int) -> None:
    low, high = lower(value, digits, longest), upper(value, digits, longest)
    assert number(low) <= value <= number(high)
    assert value - number(low) <= Fraction(1, 50)
    assert number(high) - value <= Fraction(1, 50)
    assert max(len(low), len(high)) <= max(longest, len("1 - 1.1e-401"))


@given(probabilities, probabilities)
def test_narrow_limits_are_rounded_outward(one: Fraction, two: Fraction) -> None:
    lo, hi = sorted((one, two))
    low, high = narrow(write_ratio(lo), write_ratio(hi), 3).strip("[]").split(", ")
    assert lo - Fraction(1, 1000) <= Fraction(low) <= lo
    assert hi <= Fraction(high) <= hi + Fraction(1, 1000)


def test_numbers_for_people() -> None:
    assert lower(1 - Fraction(47, 10**11)) == "0.9999999995"
    assert lower(1 - Fraction(47, 10**41)) == "1 - 4.70e-40"
    assert (lower(Fraction(123, 10**40), 4, 7), upper(Fraction(123, 10**40), 4, 7)) == ("1.2e-38", "1.3e-38")
    assert (lower(Fraction(0)), lower(Fraction(1)), upper(Fraction(1))) == ("0", "1", "1")


def test_percents_say_none_and_all_only_if_so() -> None:
    assert Split((1151, 1, 0, 0, 0)).percents == (99, 1, 0, 0, 0)
    assert Split((5, 0, 0, 0, 0)).text() == "100 / 0 / 0 / 0"
    assert Split((1, 1, 0, 0, 2)).text() == "25 / 25 / 0 / 0 / 50"
    assert Split((0, 0, 0, 0, 0)).text() == "–"
