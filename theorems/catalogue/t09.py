"""T9: margins (math §5 T9)."""

from __future__ import annotations

from theorems.theorem import Corollary

__all__ = ["COROLLARY"]

COROLLARY = Corollary(
    id="T9",
    title="Margins",
    claims=("C1",),
    statement="On the event of a theorem the risk of every later network exceeds the optimal risk by at least a "
    "computable eps > 0: the difference of a certified lower bound of the risk that the event forces and the exact "
    "risk of an explicit network, or the gain that Lemma 4, 5 or 6 proves; the largest of them is reported.",
    formula=r"\inf_n R(\Theta_n) \ge I(l) + \varepsilon,\qquad \varepsilon = \max(I'_{\mathrm{LB}} - U,\ \text{gain})",
    proof="theorems/proofs/width.md#t9",
    not_covered="How far above the optimum a run ends that is not in the event of a theorem.",
)
