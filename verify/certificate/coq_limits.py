"""How many terms of a binomial sum show that a confidence limit is valid: the sums of `Binomial.v`, done beforehand.

Rigour: none needed. What is found here is a guess that Coq's own computation confirms or not.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from verify.certificate.coq_terms import CannotBeStated

__all__ = ["MOST_TERMS", "Terms", "point_terms", "tail_terms"]

MOST_TERMS = 200_000
PRECISIONS = (64, 128, 256, 512)


@dataclass(frozen=True)
class Terms:
    """So many terms upward and downward, in units of `2^-bits` of the term at k."""

    more: int
    fewer: int
    bits: int


def _up(x: int, y: int) -> int:
    return -(-x // y)


def _below(n: int, k: int, a: int, b: int, bits: int) -> tuple[int, int]:
    """The sum of the terms from k downward, rounded down, until they are small; and how many steps it took."""
    term = total = 1 << bits
    steps = 0
    for j in range(k, 0, -1):
        over, under = j * b, (n - j + 1) * a
        term = term * over // under
        if over < under and term << bits // 2 + 8 < total:
            break
        total, steps = total + term, steps + 1
        _check(steps)
    return total, steps


def _above(n: int, k: int, a: int, b: int, bits: int) -> tuple[int, int]:
    """The sum from k upward, rounded up, closed by a geometric series once the terms are small."""
    term = total = 1 << bits
    steps = 0
    for j in range(k, n + 1):
        over, under = (n - j) * a, (j + 1) * b
        if over < under and (term << bits // 2 + 8 < total or j == n):
            return total + _up(term * over, under - over), steps
        term = _up(term * over, under)
        total, steps = total + term, steps + 1
        _check(steps)
    raise CannotBeStated("a sum of binomial terms does not end")


def _check(steps: int) -> None:
    if steps > MOST_TERMS:
        raise CannotBeStated(f"a sum of more than {MOST_TERMS} binomial terms takes Coq too long")


def tail_terms(n: int, k: int, p: Fraction, alpha: Fraction) -> Terms:
    """Enough for `P(Bin(n, p) >= k) <= alpha/2`. Fails: CannotBeStated if there is no such number of bearable size."""
    a, b = p.numerator, p.denominator - p.numerator
    for bits in PRECISIONS:
        more, up = _above(n, k, a, b, bits)
        rest, down = _below(n, k, a, b, bits)
        if 2 * alpha.denominator * more <= alpha.numerator * (more + rest - (1 << bits)):
            return Terms(up, down, bits)
    raise CannotBeStated(f"{PRECISIONS[-1]} bits do not show it")


def point_terms(n: int, k: int, p: Fraction, alpha: Fraction) -> Terms:
    """Enough for `(n+1) P(Bin(n, p) = k) <= alpha`. Fails: CannotBeStated as above."""
    a, b = p.numerator, p.denominator - p.numerator
    for bits in PRECISIONS:
        fewer, down = _below(n, k, a, b, bits)
        more, up = _below(n, n - k, b, a, bits)
        if ((n + 1) * alpha.denominator) << bits <= alpha.numerator * (fewer + more - (1 << bits)):
            return Terms(up, down, bits)
    raise CannotBeStated(f"{PRECISIONS[-1]} bits do not show it")
