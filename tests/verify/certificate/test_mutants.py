"""Changed certificates: each is rejected, or a reason is known why it is still true."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import pytest

from tests.verify.certificate.builders import GOLDEN, Json, encoded, golden
from tests.verify.certificate.mutants import Path, changed, changes, harmless, look
from verify.certificate.checker import check_bytes


def judged(name: str, chosen: Iterable[tuple[Path, Json]]) -> Counter[str]:
    """How many mutants were rejected, and how many were harmless; fails at the first accepted without a reason."""
    original, code = golden(name), GOLDEN[name][1]
    found: Counter[str] = Counter()
    for at, new in chosen:
        mutant = changed(original, at, new)
        outcome = check_bytes(encoded(mutant))
        assert "cannot go on" not in outcome.verdict, (name, at, new, outcome.verdict)
        if outcome.code not in (0, code):
            found["rejected"] += 1
            continue
        reason = harmless(original, mutant, at)
        assert reason is not None, (name, at, new, outcome.verdict)
        found[reason] += 1
    return found


@pytest.mark.parametrize("name", GOLDEN)
def test_a_sample_of_mutants(name: str) -> None:
    rng = random.Random(f"sample {name}")
    found = judged(name, rng.sample(list(changes(golden(name), rng)), 15))
    assert found["rejected"] > 0


@pytest.mark.slow
def test_more_than_ten_thousand_mutants() -> None:
    total: Counter[str] = Counter()
    for name in GOLDEN:
        rng = random.Random(f"all {name}")
        total += judged(name, (one for one in changes(golden(name), rng) if rng.random() < 0.2))
    assert total.total() > 10_000
    assert total["rejected"] > 0.8 * total.total()


def test_harmless_is_not_said_of_false_certificates() -> None:
    """What `harmless` answers about changes that do harm, if the checker let them pass."""
    original = golden("t3_runs")
    places: list[tuple[Path, Json]] = [
        (("comparison", "verdict"), "CONSISTENT"),
        (("comparison", "lo"), "7/10"),
        (("comparison", "events"), 6000),
        (("bound", "lo"), "40/64"),
        (("bound", "hi"), "38/64"),
        (("theorem", "relation"), "p <= B"),
        (("theorem", "event", "neurons"), 2),
        (("case", "widths", 1), 3),
        (("quantities", "p_1", "lo"), "4/8"),
        (("hypotheses", 4, "status"), "unknown"),
    ]
    for at, new in places:
        mutant = golden("t3_runs")
        look(mutant, at[:-1])[at[-1]] = new
        assert harmless(original, mutant, at) is None, at
