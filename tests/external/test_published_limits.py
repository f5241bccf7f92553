"""Confidence limits that others published, each with its source; compared to the digits that were printed."""

from __future__ import annotations

from fractions import Fraction

import pytest

from verify.inference import clopper_pearson

GOLDEN = [
    # (k, n, alpha, lo, hi, digits of the source)
    # printed by R's binom.test(3, 10)
    (3, 10, Fraction(1, 20), "0.06673951", "0.65245285", 8),
    # R documentation of binom.test: Mendel's data of Conover (1971), binom.test(682, 925)
    (682, 925, Fraction(1, 20), "0.7076683", "0.7654066", 7),
    # SciPy documentation of binomtest(k=3, n=15, alternative="greater").proportion_ci(): one-sided 95 %
    (3, 15, Fraction(1, 10), "0.05684686759", None, 11),
    # closed form 1 - (alpha/2)^(1/n); statsmodels issue 9141 reports 0.99999986 here
    (0, 1000, Fraction(1, 10**7), "0", "0.016670722432", 12),
    # statsmodels issue 7008: 0.0594 reported, correct 5.03e-4
    (10, 100_000, Fraction(1, 10**11), None, "0.000503", 6),
]


@pytest.mark.parametrize(("k", "n", "alpha", "lo", "hi", "digits"), GOLDEN)
def test_golden_clopper_pearson(k: int, n: int, alpha: Fraction, lo: str | None, hi: str | None, digits: int) -> None:
    ends = clopper_pearson(k, n, alpha)
    rounding = Fraction(1, 10**digits)
    assert lo is None or abs(ends.lo - Fraction(lo)) <= rounding
    assert hi is None or abs(ends.hi - Fraction(hi)) <= rounding
