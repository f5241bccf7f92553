"""The theorems, one file each: those that can be put to a problem, and the corollaries of their bounds."""

from theorems.catalogue import (
    t01,
    t02,
    t03,
    t04,
    t05,
    t06,
    t07,
    t08,
    t09,
    t10,
    t11a,
    t11b,
    t12,
    t13,
    t13b,
    t14,
    t15,
    t16,
    t18,
    t19,
)
from theorems.theorem import Corollary, Statement, Theorem

__all__ = ["CATALOGUE", "COROLLARIES", "THEOREMS"]

THEOREMS: dict[str, Theorem] = {
    module.THEOREM.id: module.THEOREM
    for module in (t01, t02, t03, t04, t05, t07, t08, t10, t11a, t11b, t12, t13, t13b, t14, t15, t16, t18, t19)
}
COROLLARIES: dict[str, Corollary] = {module.COROLLARY.id: module.COROLLARY for module in (t06, t09)}
CATALOGUE: dict[str, Statement] = {**THEOREMS, **COROLLARIES}
