"""Numbers and names for people: the one place of the reports that rounds.

Lower bounds and lower limits are rounded down, upper ones up, whatever the report; nothing else turns a bound, a limit
or a margin into text.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

from theorems.theorem import Relation
from verify.enclosure.display import at_least, at_most, float_down, float_up
from verify.results import TheoremResult, exact

__all__ = [
    "NOTHING",
    "bracket",
    "clean",
    "float_text_down",
    "float_text_up",
    "lower",
    "many",
    "narrow",
    "rate",
    "stated",
    "upper",
]

NOTHING = "–"
Writer = Callable[[Fraction, int], str]
LONGEST = 12  # characters of a decimal number; longer ones are written with an exponent


def clean(text: str) -> str:
    """Replace what no reader should be sent: control characters, escape sequences, reversed text directions."""
    return "".join(character if character.isprintable() else "�" for character in text)


def lower(value: Fraction, digits: int = 4, longest: int = LONGEST) -> str:
    """Write a lower bound, rounded down, in few characters: "0.9994", "1 - 4.7e-10", "1.2e-30"."""
    return _short(at_least, at_most, value, digits, longest)


def upper(value: Fraction, digits: int = 4, longest: int = LONGEST) -> str:
    """Write an upper bound, rounded up."""
    return _short(at_most, at_least, value, digits, longest)


def _short(write: Writer, opposite: Writer, value: Fraction, digits: int, longest: int) -> str:
    """Spend fewer digits until the text fits, and in the end write numbers near 1 by their complement."""
    for fewer in range(digits, 1, -1):
        text = write(value, fewer)
        if len(text) <= longest or not 0 < value < 1:
            return text
    return f"1 - {opposite(1 - value, 2)}" if value > Fraction(1, 2) else write(value, 2)


def stated(theorem: TheoremResult) -> str:
    """What a theorem says of its event's probability: "≥ 0.67", "= 0.73…", "≤ 0.74", rounded in the safe direction."""
    if theorem.bound is None:
        return NOTHING
    match Relation(theorem.relation):
        case Relation.AT_LEAST:
            return f"≥ {lower(exact(theorem.bound.lo))}"
        case Relation.AT_MOST:
            return f"≤ {upper(exact(theorem.bound.hi))}"
        case Relation.EQUAL:
            return f"= {lower(exact(theorem.bound.lo))}…"


def narrow(lo: str, hi: str, digits: int) -> str:
    """Write limits with a fixed number of decimals, rounded outward: "[0.997, 1]"."""
    unit = 10**digits
    ends = Fraction(math.floor(exact(lo) * unit), unit), Fraction(math.ceil(exact(hi) * unit), unit)
    return f"[{', '.join(str(end) if end.denominator == 1 else f'{float(end):.{digits}f}' for end in ends)}]"


def bracket(lo: str, hi: str) -> str:
    """Write limits "p/q", "p/q" as "[down, up]"."""
    return f"[{lower(exact(lo))}, {upper(exact(hi))}]"


def rate(value: float) -> str:
    """Write an exponential rate, which is a lower bound: rounded down."""
    return at_least(Fraction(value))


def float_text_down(value: Fraction) -> str:
    """Write a lower bound for programs: the shortest decimals of the largest float below it."""
    return repr(float_down(value))


def float_text_up(value: Fraction) -> str:
    """Write an upper bound for programs: the shortest decimals of the smallest float above it."""
    return repr(float_up(value))


def many(count: int, noun: str) -> str:
    """Write "1 neuron", "31 neurons", "10,000 networks"."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
