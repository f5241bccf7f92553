"""The names of an audit's certificates: they follow from its results, so that a report finds them again."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict

from theorems.hypotheses import OptimizerKeepsDead
from verify.results import CaseResult, Results, TheoremResult

__all__ = ["FOLDER", "certificate_names"]

FOLDER = "certificates"
LONGEST = 80

_KEEPS = OptimizerKeepsDead(()).id


def certificate_names(results: Results) -> dict[tuple[str, str], str]:
    """The file name of the certificate of each case and theorem, by the ids of both.

    Cases of a start that differ only in the optimizer share a certificate where hypotheses, event, bound and verdict
    are the same. Names hold letters, digits, `-`, `_` and `.` only, whatever the ids hold.
    """
    kinds: defaultdict[tuple[str, str], dict[object, None]] = defaultdict(dict)
    found = {}
    for case in results.cases:
        for theorem in case.theorems:
            numbers = kinds[case.start, theorem.theorem]
            kind = _kind(theorem)
            numbers.setdefault(kind)
            found[case.id, theorem.theorem] = _name(case, theorem, list(numbers).index(kind) + 1)
    return found


def _kind(theorem: TheoremResult) -> object:
    """What two certificates of one start and theorem can differ in."""
    kept = tuple(finding.status for finding in theorem.hypotheses if finding.id == _KEEPS)
    return kept, theorem.event, theorem.bound, theorem.judgement.verdict


def _name(case: CaseResult, theorem: TheoremResult, number: int) -> str:
    digest = hashlib.sha256(case.start.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    parts = [_plain(case.start)[:LONGEST], digest, _plain(theorem.theorem)[:LONGEST]]
    return f"{'.'.join(parts)}{'' if number == 1 else f'-{number}'}.json"


def _plain(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-") or "-"
