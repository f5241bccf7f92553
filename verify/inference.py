"""From counted replicas to a verdict: certified confidence limits, the split of the level, the comparison (math §8).

Limits are rational numbers that exact arithmetic proves to be on the safe side. A float search proposes where to look;
Arb decides, and what it cannot decide is rounded outward. A wrong proposal costs time, never validity.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from functools import lru_cache
from typing import NoReturn

from scipy.special import betaincinv

from theorems.errors import InvalidInput, did_you_mean
from theorems.hypotheses import Status
from theorems.theorem import Relation
from verify.enclosure.arb import binomial_tail, log_mixture_likelihood, log_of
from verify.enclosure.display import at_least, at_most
from verify.enclosure.numbers import Enclosure

__all__ = [
    "Count",
    "Interval",
    "Judgement",
    "LevelPlan",
    "Verdict",
    "clopper_pearson",
    "confidence_limits",
    "confidence_sequence",
    "judge",
]

GRID = 2**40  # ends are multiples of 1 / GRID
START_BITS = 64
CEILING_BITS = 256
STRIDE = 16  # growth of the steps by which the search leaves a bad guess
PI_SQUARED_UP = Fraction(98697, 10000)  # pi^2 = 9.86960..., so pi^2 < 9.8697


# --- confidence limits ---------------------------------------------------------------------------------------------


class Interval(Enum):
    """Which limits a comparison uses; it is named before the first replica, and only the named one counts."""

    CLOPPER_PEARSON = "clopper-pearson"
    CONFIDENCE_SEQUENCE = "confidence-sequence"


def clopper_pearson(successes: int, trials: int, alpha: Fraction) -> Enclosure:
    """Two-sided Clopper-Pearson limits for a fixed number of trials, each end rounded outward.

    Source:   Clopper and Pearson, Biometrika 26 (1934), 404-413; math §8.
    Symbols:  successes = k, trials = n. `P(Bin(n, lo) >= k) <= alpha/2` and `P(Bin(n, hi) <= k) <= alpha/2` are both
              proved; lo = 0 for k = 0, hi = 1 for k = n.
    Rigour:   outward, on the grid of multiples of 2^-40; the next grid point inward has not been proved safe.
    Fails:    InvalidInput unless 0 <= k <= n are integers and alpha is a Fraction in (0, 1).
    """
    return _limits(Interval.CLOPPER_PEARSON, successes, successes, trials, alpha)


def confidence_sequence(successes: int, trials: int, alpha: Fraction) -> Enclosure:
    """Limits that stay valid when the number of trials was chosen by looking at the outcomes, rounded outward.

    They enclose `{p : (n+1) C(n,k) p^k (1-p)^(n-k) > alpha}`. Under the true p, the reciprocal of the left side is a
    non-negative martingale with mean 1, the likelihood ratio of the uniform mixture: `1 / (n+1) C(n,k)` is the integral
    of `q^k (1-q)^(n-k)` over [0, 1]. By Ville's inequality it ever reaches 1/alpha with probability at most alpha, so
    with probability at least 1 - alpha no limits of the whole sequence ever exclude p.

    Source:   Ville (1939); Robbins, Ann. Math. Statist. 41 (1970), 1397-1409; math §8.
    Symbols:  successes = k, trials = n; n = 0 gives [0, 1].
    Rigour:   outward, on the grid of multiples of 2^-40; the next grid point inward has not been proved safe.
    Fails:    InvalidInput unless 0 <= k <= n are integers and alpha is a Fraction in (0, 1).
    """
    return _limits(Interval.CONFIDENCE_SEQUENCE, successes, successes, trials, alpha)


@dataclass(frozen=True)
class Count:
    """How many of `trials` replicas showed the event; for `lost` ones it is not known (a crash).

    Fails: InvalidInput unless 0 <= events, 0 <= lost and events + lost <= trials.
    """

    events: int
    lost: int
    trials: int

    def __post_init__(self) -> None:
        for name in ("events", "lost", "trials"):
            _require_count(name, getattr(self, name))
        if self.events + self.lost > self.trials:
            raise InvalidInput(
                f"events={self.events} and lost={self.lost} of trials={self.trials}: expected events + lost <= trials"
            )


def confidence_limits(count: Count, interval: Interval, alpha: Fraction) -> Enclosure:
    """Limits by the named interval; a lost replica is no event in the lower limit and an event in the upper.

    Both limits grow with the number of events, so they are at least as far out as those of the full data would be,
    whatever made the replicas get lost.

    Source:   math §8.
    Rigour:   outward, as `clopper_pearson` and `confidence_sequence`.
    Fails:    InvalidInput unless alpha is a Fraction in (0, 1).
    """
    return _limits(interval, count.events, count.events + count.lost, count.trials, alpha)


def _limits(interval: Interval, fewest: int, most: int, trials: int, alpha: Fraction) -> Enclosure:
    """Lower limit of the fewest and upper limit of the most events that the data allow."""
    _require_count("trials", trials)
    _require_count("successes", fewest)
    if fewest > trials:
        raise InvalidInput(f"successes={fewest} of trials={trials}: expected successes <= trials")
    _require_level("alpha", alpha)
    # k events at probability p are n - k non-events at 1 - p, for both intervals: one kind of end is enough.
    lo, miss = (_lower_end(interval, k, trials, alpha) for k in (fewest, trials - most))
    return Enclosure(lo, 1 - miss)


@lru_cache(maxsize=65536)
def _lower_end(interval: Interval, k: int, n: int, alpha: Fraction) -> Fraction:
    """Largest grid point below k/n that is proved to be excluded from the inside of the interval, or 0.

    Exclusion is monotone on [0, k/n]: the tail increases in p, and so does the likelihood up to its maximum k/n. So the
    answer does not depend on the guess. (Only at grid points that no precision up to the ceiling decides could it; they
    count as not proved.)
    """
    if k == 0:
        return Fraction(0)
    top = min(k * GRID // n, GRID - 1)

    def excluded(point: int) -> bool:
        return point <= 0 or (point <= top and _is_excluded(interval, k, n, Fraction(point, GRID), alpha))

    guess = _GUESSES[interval](k, n, alpha)
    start = top // 2 if math.isnan(guess) else min(math.floor(min(max(guess, 0.0), 1.0) * GRID), top)
    stride = 1
    if excluded(start):
        inside, outside = start + 1, start
        while excluded(inside):
            outside, inside, stride = inside, inside + stride, stride * STRIDE
    else:
        inside, outside = start, start - 1
        while not excluded(outside):
            inside, outside, stride = outside, outside - stride, stride * STRIDE
    inside, outside = min(inside, top + 1), max(outside, 0)
    while inside - outside > 1:
        middle = (inside + outside) // 2
        if excluded(middle):
            outside = middle
        else:
            inside = middle
    return Fraction(outside, GRID)


def _is_excluded(interval: Interval, k: int, n: int, p: Fraction, alpha: Fraction) -> bool:
    """Whether it is proved that p, with 0 < p <= k/n, may be excluded; False if not proved at the precision ceiling."""
    bits = START_BITS
    while bits <= CEILING_BITS:
        match interval:
            case Interval.CLOPPER_PEARSON:
                value, level = binomial_tail(n, k, p, bits=bits), Enclosure.point(alpha / 2)
            case Interval.CONFIDENCE_SEQUENCE:
                value, level = log_mixture_likelihood(n, k, p, bits=bits), log_of(alpha, bits=bits)
        if value is not None:
            if value.hi <= level.lo:
                return True
            if value.lo > level.hi:
                return False
        bits *= 2
    return False


def _guess_clopper_pearson(k: int, n: int, alpha: Fraction) -> float:
    return float(betaincinv(k, n - k + 1, float(alpha / 2)))


def _guess_confidence_sequence(k: int, n: int, alpha: Fraction) -> float:
    constant = math.lgamma(n + 2) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    level = math.log(alpha.numerator) - math.log(alpha.denominator) - constant
    low, high = 0.0, k / n
    for _ in range(64):
        middle = (low + high) / 2
        if not 0 < middle < 1 or k * math.log(middle) + (n - k) * math.log1p(-middle) <= level:
            low = middle
        else:
            high = middle
    return low


_GUESSES: dict[Interval, Callable[[int, int, Fraction], float]] = {
    Interval.CLOPPER_PEARSON: _guess_clopper_pearson,
    Interval.CONFIDENCE_SEQUENCE: _guess_confidence_sequence,
}


# --- verdicts ------------------------------------------------------------------------------------------------------


class Verdict(Enum):
    """What a comparison says about a theorem's bound (math §8). `bool()` raises: branch on the members."""

    CONFIRMED = "CONFIRMED"
    CONSISTENT = "CONSISTENT"
    REFUTED = "REFUTED"
    NOT_APPLICABLE = "NOT APPLICABLE"
    UNDECIDED = "UNDECIDED"
    VACUOUS = "VACUOUS"

    @property
    def meaning(self) -> str:
        """One sentence for readers."""
        return _VERDICT_MEANING[self]

    def __bool__(self) -> NoReturn:
        raise TypeError("a verdict has no truth value; compare it with the members of Verdict")


_VERDICT_MEANING = {
    Verdict.CONFIRMED: "All hypotheses hold and the confidence limits lie wholly on the side that the theorem claims.",
    Verdict.CONSISTENT: "All hypotheses hold and the confidence limits allow what the theorem claims, without showing "
    "it.",
    Verdict.REFUTED: "All hypotheses hold and the confidence limits contradict the theorem: for a proved theorem a "
    "bug, a false hypothesis, or an error that happens with at most the stated probability.",
    Verdict.NOT_APPLICABLE: "A hypothesis of the theorem fails, so the theorem says nothing about this case.",
    Verdict.UNDECIDED: "A hypothesis, the bound or the limits are not known, or the comparison turns on less than the "
    "resolution of floating-point draws.",
    Verdict.VACUOUS: "The bound allows every probability, so it says nothing about this case.",
}


@dataclass(frozen=True)
class Judgement:
    """A verdict and the sentence that gives its reason, with the numbers."""

    verdict: Verdict
    why: str


def judge(
    *,
    bound: Enclosure | None,
    limits: Enclosure | None,
    hypotheses: Status,
    hypothesis_reason: str,
    resolution: Fraction,
    relation: Relation = Relation.AT_LEAST,
) -> Judgement:
    """Compare confidence limits with a bound; every doubt counts against CONFIRMED and against REFUTED.

    The limits are for replicas drawn in floating point. The probability that the theorem speaks of differs from theirs
    by at most `resolution`, so a verdict stands only if it is the same with limits widened by that much on both sides.

    Source:   math §8.
    Rigour:   exact, given that bound and limits are enclosures.
    Fails:    InvalidInput unless resolution is a non-negative Fraction and the limits lie in [0, 1].
    """
    if not isinstance(resolution, Fraction) or resolution < 0:
        raise InvalidInput(f"resolution={resolution!r}: expected a non-negative Fraction")
    if limits is not None and not (limits.lo >= 0 and limits.hi <= 1):
        raise InvalidInput(f"limits=[{limits.lo}, {limits.hi}]: expected limits of a probability, in [0, 1]")
    match hypotheses:
        case Status.FAILS:
            return Judgement(Verdict.NOT_APPLICABLE, hypothesis_reason)
        case Status.UNKNOWN:
            return Judgement(Verdict.UNDECIDED, hypothesis_reason)
        case Status.HOLDS:
            pass
    if bound is None:
        return Judgement(Verdict.UNDECIDED, "the bound could not be evaluated for this case")
    if relation is Relation.AT_LEAST and bound.lo <= 0:
        return Judgement(Verdict.VACUOUS, f"the lower bound is certified only to be at least {at_least(bound.lo)}")
    if relation is Relation.AT_MOST and bound.hi >= 1:
        return Judgement(Verdict.VACUOUS, f"the upper bound is certified only to be at most {at_most(bound.hi)}")
    if limits is None:
        return Judgement(Verdict.UNDECIDED, "there are no confidence limits to compare the bound with")
    widened = Enclosure(max(limits.lo - resolution, Fraction(0)), min(limits.hi + resolution, Fraction(1)))
    plain, careful = _compare(bound, limits, relation), _compare(bound, widened, relation)
    if plain.verdict is careful.verdict:
        return plain
    return Judgement(
        Verdict.UNDECIDED,
        f"the comparison turns on less than the resolution {at_most(resolution)} of floating-point draws: {plain.why}, "
        f"which reads {plain.verdict.value}, but with limits wider by the resolution it reads {careful.verdict.value}",
    )


def _compare(bound: Enclosure, limits: Enclosure, relation: Relation) -> Judgement:
    above, below = limits.lo > bound.hi, limits.hi < bound.lo  # the limits exclude every possible value of the bound
    match relation:
        case Relation.AT_LEAST:
            proved, refuted = limits.lo >= bound.hi, below
        case Relation.AT_MOST:
            proved, refuted = limits.hi <= bound.lo, above
        case Relation.EQUAL:
            proved, refuted = False, above or below
    if not proved and not refuted:
        shown = (
            f"the limits [{at_least(limits.lo)}, {at_most(limits.hi)}] and B in [{at_least(bound.lo)}, "
            f"{at_most(bound.hi)}]"
        )
        return Judgement(Verdict.CONSISTENT, f"{shown} neither prove nor contradict {relation.value}")
    if limits.lo >= bound.hi:
        limit, end = _in_order(limits.lo, bound.hi)
        facts = f"the lower limit {limit} is {'above' if above else 'not below'} B, which is at most {end}"
    else:
        end, limit = _in_order(bound.lo, limits.hi)
        facts = f"the upper limit {limit} is {'below' if below else 'not above'} B, which is at least {end}"
    verdict = Verdict.CONFIRMED if proved else Verdict.REFUTED
    return Judgement(verdict, f"{facts}, and the claim is {relation.value}")


def _in_order(larger: Fraction, smaller: Fraction) -> tuple[str, str]:
    """Write two numbers, the larger rounded down and the smaller up, with enough digits to keep their order."""
    for digits in (4, 8, 16):
        high, low = at_least(larger, digits), at_most(smaller, digits)
        if Fraction(high) > Fraction(low) or larger == Fraction(high) == Fraction(low) == smaller:
            return high, low
    return str(larger), str(smaller)


# --- level ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LevelPlan:
    """How the level alpha is split among comparisons, fixed before the first replica.

    The named comparisons share `alpha (1 - reserved_share)` equally. Comparisons added later draw from the reserve, the
    i-th one `6 / (pi^2 i^2)` of it; these shares add up to 1, so all levels together never exceed alpha.

    Source: math §8.
    Rigour: exact; pi^2 is replaced by 9.8697, which is larger, so that later levels are only ever smaller.
    Fails:  InvalidInput unless alpha is a Fraction in (0, 1), reserved_share one in [0, 1), and the names are distinct
            non-empty strings.
    """

    alpha: Fraction
    names: tuple[str, ...]
    reserved_share: Fraction = Fraction(1, 10)

    def __post_init__(self) -> None:
        _require_level("alpha", self.alpha)
        if not isinstance(self.reserved_share, Fraction) or not 0 <= self.reserved_share < 1:
            raise InvalidInput(f"reserved_share={self.reserved_share!r}: expected a Fraction in [0, 1)")
        if not isinstance(self.names, tuple) or not all(isinstance(name, str) and name for name in self.names):
            raise InvalidInput(f"names={self.names!r}: expected a tuple of non-empty strings")
        repeated = sorted({name for name in self.names if self.names.count(name) > 1})
        if repeated:
            raise InvalidInput(f"comparison {repeated[0]!r} is named twice; expected distinct names")

    @property
    def reserved(self) -> Fraction:
        """The part of alpha kept for comparisons that are added later."""
        return self.alpha * self.reserved_share

    def alpha_for(self, name: str) -> Fraction:
        """Level of a comparison that was named in advance; the names share equally.

        Fails: InvalidInput if the name is not in the plan.
        """
        if name not in self.names:
            raise InvalidInput(
                f"comparison {name!r} is not in the plan; expected one of {', '.join(self.names) or 'no names at all'}"
                f"{did_you_mean(name, self.names)}"
            )
        return (self.alpha - self.reserved) / len(self.names)

    def alpha_for_later(self, i: int) -> Fraction:
        """Level of the i-th comparison that was added later, i = 1, 2, ...: at most `reserved 6 / (pi^2 i^2)`.

        Fails: InvalidInput if i < 1 or nothing is reserved.
        """
        _require_count("i", i)
        if i < 1:
            raise InvalidInput(f"i={i}: expected the number of a later comparison, at least 1")
        if self.reserved == 0:
            raise InvalidInput("reserved_share=0: expected a positive share, since a comparison was added later")
        return self.reserved * 6 / (PI_SQUARED_UP * i**2)

    def to_builtins(self) -> dict[str, object]:
        """Return what a manifest stores; rationals are strings "p/q"."""
        return {
            "alpha": _ratio(self.alpha),
            "reserved_share": _ratio(self.reserved_share),
            "reserved": _ratio(self.reserved),
            "comparisons": {name: _ratio(self.alpha_for(name)) for name in self.names},
            "later": f"reserved * 6 / ({_ratio(PI_SQUARED_UP)} * i^2)",
        }


def _ratio(value: Fraction) -> str:
    return f"{value.numerator}/{value.denominator}"


# --- validation ----------------------------------------------------------------------------------------------------


def _require_count(name: str, value: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidInput(f"{name}={value!r}: expected a non-negative integer")


def _require_level(name: str, value: Fraction) -> None:
    if not isinstance(value, Fraction) or not 0 < value < 1:
        raise InvalidInput(f"{name}={value!r}: expected a Fraction in (0, 1)")
