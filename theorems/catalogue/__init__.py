"""The theorems, one file each."""

from theorems.catalogue import t01, t02, t03, t10, t11b
from theorems.theorem import Theorem

__all__ = ["THEOREMS"]

THEOREMS: dict[str, Theorem] = {module.THEOREM.id: module.THEOREM for module in (t01, t02, t03, t10, t11b)}
