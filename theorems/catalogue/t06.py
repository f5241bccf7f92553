"""T6: restarts (math §5 T6)."""

from __future__ import annotations

from theorems.theorem import Corollary

__all__ = ["COROLLARY"]

COROLLARY = Corollary(
    id="T6",
    title="Restarts",
    claims=("C1",),
    statement="If one run fails with probability at least B, r runs from independent initializations all fail with "
    "probability at least B^r; to succeed once with probability a takes at least ln(1-a)/ln(B) of them.",
    formula=r"P(\text{all } r \text{ runs fail}) \ge B^r,\qquad r \ge \frac{\ln(1-a)}{\ln B}",
    proof="theorems/proofs/width.md#t6",
    not_covered="Restarts whose initializations are not independent; anything that moves dead neurons by hand.",
)
