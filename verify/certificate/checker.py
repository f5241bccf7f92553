"""Checks a certificate (FORMAT.md) from the file alone, by exact arithmetic. One file, standard library only.

python checker.py FILE...   prints what was re-derived, what it rests on and what was taken, and a last line for each.
Exit codes: 0 accepted, 4 accepted in part, 1 rejected, 2 not a certificate.

Rigour: an interval is a pair of integers, lower and upper end in units of 2^-bits; every operation rounds outward.
A file is rejected until every obligation on the list that it makes is met; `_accept` is the only place that accepts.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import groupby, pairwise
from math import comb, factorial, gcd, isqrt, lcm, prod
from operator import mul
from typing import Any

__all__ = ["Outcome", "Rejected", "check_bytes", "check_file", "evaluate_term", "infix", "main"]

VERSION = "nonconv-certificate/2"
MAX_BYTES, MAX_DEPTH, MAX_WORK, MAX_BITS = 2**21, 64, 6_000_000, 65536
DATA_BITS = 8192
Json = Any
Span = tuple[int, int]
Value = Span | list[Span]  # a number, or a vector
NONE: Mapping[str, int] = {}
Vector = tuple[Fraction, ...]
Line = tuple[Fraction, Fraction]


class Rejected(Exception):
    """An obligation that is not met."""


class NotACertificate(Exception):
    """A file that is no certificate at all."""


@dataclass(frozen=True)
class Outcome:
    """The answer about one file: the last line, the exit code, and what was found on the way."""

    verdict: str
    code: int
    derived: tuple[str, ...] = ()
    rests: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """What is printed."""
        for head, items in (("re-derived", self.derived), ("rests on", self.rests), ("taken", self.taken)):
            yield from (f"{head}: {item}" for item in items)
        yield self.verdict


def need(condition: bool, reason: str) -> None:
    """Reject unless a condition holds."""
    if not condition:
        raise Rejected(reason)


# --- reading ---------------------------------------------------------------------------------------------------------

RATIONAL = re.compile(r"(0|-?[1-9][0-9]*)(?:/([1-9][0-9]*))?")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,31}")


def parse(data: bytes) -> dict[str, Json]:
    """Read the JSON text under the rules of FORMAT section 2."""
    if len(data) > MAX_BYTES:
        raise NotACertificate(f"more than {MAX_BYTES} bytes")
    depth = 0
    for mark in re.sub(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[^][{}"]++', b"", data, flags=re.DOTALL):
        depth += 1 if mark in b"[{" else -1 if mark in b"]}" else 0
        if depth > MAX_DEPTH:
            raise NotACertificate(f"nested more than {MAX_DEPTH} deep")
    broken: list[str] = []  # a number or key that is not allowed counts only once the text is known to be JSON

    def whole(digits: str) -> int:
        if len(digits.lstrip("-")) <= 18:
            return int(digits)
        broken.append("an integer has more than 18 digits")
        return 0

    def other(literal: str) -> int:
        broken.append(f"{shown(literal)} is not a whole number; other numbers are strings p/q")
        return 0

    def unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
        if len({key for key, _ in pairs}) < len(pairs):
            broken.append("an object has one key twice")
        return dict(pairs)

    try:
        text = data.decode("utf-8")
        found = json.loads(text, parse_int=whole, parse_float=other, parse_constant=other, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise NotACertificate(f"not JSON in UTF-8 ({shown(str(error))})") from None
    if not isinstance(found, dict) or not str(found.get("format")).startswith("nonconv-certificate/"):
        raise NotACertificate("expected an object whose format begins with nonconv-certificate/")
    need(not broken, broken[0] if broken else "")
    return found


def shown(text: str, most: int = 200) -> str:
    """Escape what a terminal could take for a command, and shorten."""
    safe = "".join(c if 32 <= ord(c) < 127 else f"\\u{ord(c):04x}" for c in text[:most])
    return safe + ("..." if len(text) > most else "")


def members(value: Json, keys: str, what: str) -> list[Json]:
    """The values of an object that has exactly these keys."""
    need(isinstance(value, dict), f"{what}: expected an object")
    names = keys.split()
    wrong = sorted(set(names).symmetric_difference(value))
    need(not wrong, f"{what}: key {shown(wrong[0]) if wrong else ''} is missing or unknown")
    return [value[name] for name in names]


def listed(value: Json, what: str, least: int = 0, most: int = 200_000) -> list[Json]:
    need(isinstance(value, list) and least <= len(value) <= most, f"{what}: expected a list of {least} to {most} items")
    found: list[Json] = value
    return found


def whole(value: Json, what: str, least: int, most: int) -> int:
    need(type(value) is int and least <= value <= most, f"{what}: expected an integer from {least} to {most}")
    return int(value)


def rational(value: Json, what: str, least: Fraction | int | None = None, most: int | None = None) -> Fraction:
    found = RATIONAL.fullmatch(value) if isinstance(value, str) and len(value) <= 4000 else None
    need(found is not None, f"{what}: expected a rational p/q in lowest terms, as a string")
    top, bottom = (found[1], found[2] or "1") if found else ("0", "1")
    need(max(len(top), len(bottom)) <= 2600, f"{what}: more than 2600 digits")
    p, q = int(top), int(bottom)
    need(gcd(p, q) == 1 and (q > 1 or "/" not in str(value)), f"{what}: {shown(str(value))} is not in lowest terms")
    number = Fraction(p, q)
    inside = (least is None or number >= least) and (most is None or number <= most)
    need(inside, f"{what}: {shown(str(value))} is out of range")
    return number


def choice(value: Json, options: Sequence[str], what: str) -> str:
    need(isinstance(value, str) and value in options, f"{what}: expected one of {', '.join(options)}")
    return str(value)


def flag(value: Json, what: str) -> bool:
    need(isinstance(value, bool), f"{what}: expected true or false")
    return bool(value)


def prose(value: Json, what: str) -> str:
    need(isinstance(value, str) and len(value) <= 2000, f"{what}: expected a text of at most 2000 characters")
    return shown(str(value))


def runs_of(value: Json, what: str, size: int, least: int, most: int) -> list[list[Json]]:
    """A list of entries `[count, ...]`, whose counts add up to a number in these limits."""
    found = [listed(entry, what, size, size) for entry in listed(value, what)]
    total = sum(whole(entry[0], what, 1, 20_000) for entry in found)
    need(least <= total <= most, f"{what}: the counts add up to {total}")
    return found


# --- functions: an argument x stands for x 2^-bits, and so do the ends of the answer ---------------------------------


def odd_series(p: int, q: int, bits: int, sign: int) -> Span:
    """Enclose `sum_i sign^i z^(2i+1)/(2i+1)`, `0 <= z <= 1/2`: atanh z (sign 1) or atan z (sign -1).

    `z = p/q`, or `p 2^-bits` if q is 0. Two roundings a step: the kept power is below the true one by less than
    `e <= e/4 + 3/2`, that is 2, and its quotient by less than 3. Once it is 0 the true ones are together less than 3.
    """

    def times(v: int) -> int:
        return v * p // q if q else v * p >> bits

    power, total, i = times(1 << bits), 0, 0
    while power:
        total += sign**i * (power // (2 * i + 1))
        power, i = times(times(power)), i + 1
    return total - 3 * i - 3, total + 3 * i + 3


def down(value: Span, extra: int) -> Span:
    """Drop bits, outward."""
    return value[0] >> extra, -(-value[1] >> extra)


def pi_at(bits: int) -> Span:
    """Machin: `pi = 16 atan(1/5) - 4 atan(1/239)`."""
    (a, b), (c, d) = odd_series(1, 5, bits + 16, -1), odd_series(1, 239, bits + 16, -1)
    return down((16 * a - 4 * d, 16 * b - 4 * c), 16)


def sqrt_at(x: int, bits: int) -> Span:
    root = isqrt(x << bits)
    return root, root + (root * root != x << bits)


def exp_at(x: int, bits: int) -> Span:
    """Taylor's series of `|x|/2^k <= 2^-8` with signs, then k squarings.

    A kept term is below the true one by less than 2, and the terms after the last are together less than 4.
    """
    need(x <= 30_000 << bits, "the exponential of a number above 30000")
    if x <= -bits << bits:
        return 0, 1  # e^-bits < 2^-bits
    k = max(0, x.bit_length() - bits + 8)
    extra = 2 * k + 16 + max(0, 3 * (x >> bits) // 2 + 2)
    w = bits + extra
    small, term, total, n = abs(x) << (extra - k), 1 << w, 0, 0
    while term:
        total += -term if x < 0 and n % 2 else term
        n += 1
        term = term * small // (n << w)
    lo, hi = total - 2 * n - 4, total + 2 * n + 4
    for _ in range(k):
        lo, hi = lo * lo >> w, -(-hi * hi >> w)
    return down((lo, hi), extra)


def log_at(x: int, bits: int) -> Span:
    """`log(m 2^k) = 2 atanh((m-1)/(m+1)) + k log 2` with `2/3 <= m < 4/3`, so that `|(m-1)/(m+1)| <= 1/5`."""
    w = bits + 32
    size = x.bit_length()
    if 3 * x < 2 << size:
        size -= 1
    k, top, bottom = size - bits, x - (1 << size), x + (1 << size)
    z = (abs(top) << w) // bottom
    lo, hi = odd_series(z, 0, w, 1)[0], odd_series(z + 1, 0, w, 1)[1]
    if top < 0:
        lo, hi = -hi, -lo
    two = odd_series(1, 3, w, 1)
    far = (two[0] * k, two[1] * k) if k >= 0 else (two[1] * k, two[0] * k)
    return down((2 * (lo + far[0]), 2 * (hi + far[1])), 32)


def atan_at(x: int, bits: int) -> Span:
    """`pi/2 - atan(1/t)` above 1, then four times `atan t = 2 atan(t/(1 + sqrt(1 + t^2)))`, then the series."""
    if x < 0:
        lo, hi = atan_at(-x, bits)
        return -hi, -lo
    w = bits + 32
    one = 1 << w
    inverted = x > 1 << bits
    a, b = ((one << bits) // x, (one << bits) // x + 1) if inverted else (x << 32, x << 32)
    for _ in range(4):
        a = (a << w) // (one + isqrt((one << w) + a * a) + 1)
        b = (b << w) // (one + isqrt((one << w) + b * b)) + 1
    lo, hi = 16 * odd_series(a, 0, w, -1)[0], 16 * odd_series(b, 0, w, -1)[1]
    if inverted:
        half = pi_at(w)
        lo, hi = half[0] // 2 - hi, (half[1] + 1) // 2 - lo
    return down((lo, hi), 32)


def erf_at(x: int, bits: int) -> Span:
    """`erf x = 2/sqrt(pi) e^(-x^2) sum_n 2^n x^(2n+1)/(2n+1)!!`; all terms are positive.

    The sum stops where the ratio of terms is at most 1/2 from there on: the rest is at most the last term.
    """
    if x < 0:
        lo, hi = erf_at(-x, bits)
        return -hi, -lo
    square = x * x
    if square >= bits << 2 * bits:
        return (1 << bits) - 1, 1 << bits  # 1 - erf x <= e^(-x^2) <= e^-bits
    extra = 32 + 2 * ((square >> 2 * bits) + 1)
    w = bits + extra
    shift = 2 * bits - w
    near = square >> shift if shift >= 0 else square << -shift  # x^2 is in [near, near + 1]
    low = high = x << extra
    total, top, n = low, high, 0
    while high > 2 or 4 * (near + 1) > (2 * n + 3) << w:
        low, high = (2 * low * near >> w) // (2 * n + 3), -((-2 * high * (near + 1) >> w) // (2 * n + 3))
        total, top, n = total + low, top + high, n + 1
    top += high
    fall = exp_at(-near - 1, w)[0], exp_at(-near, w)[1]
    root = sqrt_at(pi_at(w)[0], w)[0], sqrt_at(pi_at(w)[1], w)[1]
    lo, hi = total * fall[0] * 2 // root[1], -(-top * fall[1] * 2 // root[0])
    return max(lo >> extra, 0), min(-(-hi >> extra), 1 << bits)


def binomial(n: int, k: int, p: int, q: int, bits: int, work: Work) -> tuple[Span, Span]:
    """Enclose `P(X >= k)` and `P(X = k)`, `X ~ Bin(n, p/q)`.

    Terms relative to the largest one are followed upward and downward from there, rounded both ways. Their ratios fall,
    so that once a term is small and its ratio is `r < 1` the rest is at most `term r/(1-r)`.
    """
    one = 1 << bits
    if p in (0, q):
        value = n if p else 0
        return ((one, one) if value >= k else (0, 0)), ((one, one) if value == k else (0, 0))
    mode = min((n + 1) * p // q, n)
    above, below, at = [0, 0], [0, 0], [0, 0]
    for step in (1, -1):
        j, low, high = mode, one, one
        while True:
            if step > 0 or j < mode:
                side = above if j >= k else below
                side[0], side[1] = side[0] + low, side[1] + high
                if j == k:
                    at = [low, high]
            if j == (n if step > 0 else 0):
                break
            over, under = ((n - j) * p, (j + 1) * (q - p)) if step > 0 else (j * (q - p), (n - j + 1) * p)
            if high <= 1 << 16 and over < under:
                rest = -(-high * over // (under - over))  # may lie on both sides of k: only upper bounds get it
                above[1], below[1] = above[1] + rest, below[1] + rest
                if (k - j) * step > 0:
                    at = [0, high]
                break
            work.spend(1 + bits // 1024)
            low, high, j = low * over // under, -(-high * over // under), j + step
    total = above[0] + below[0], above[1] + below[1]
    tail = (above[0] << bits) // (above[0] + below[1]), -((-above[1] << bits) // (above[1] + below[0]))
    return (tail[0], min(tail[1], one)), ((at[0] << bits) // total[1], -((-at[1] << bits) // total[0]))


# --- terms and shapes ------------------------------------------------------------------------------------------------


@dataclass
class Work:
    """What is left of the bounded work."""

    left: int = MAX_WORK

    def spend(self, units: int) -> None:
        self.left -= units
        need(self.left >= 0, f"more than {MAX_WORK} units of work")


FUNCTIONS: dict[str, Callable[[int, int], Span]] = {
    "sqrt": sqrt_at,
    "exp": exp_at,
    "log": log_at,
    "atan": atan_at,
    "erf": erf_at,
}
ARGUMENTS = {
    "pow": 2,
    "tail": 3,
    "sub": 2,
    "div": 2,
    "sum": 1,
    "init": 1,
    "rest": 1,
    **dict.fromkeys(FUNCTIONS, 1),
}
KINDS = {
    "closed": "kind term",
    "recursion": "kind state start parameters step layers result",
    "chain": "kind widths first success enough",
    "program": "kind steps result",
    "backward": "kind first turns widths rays two_rays lines",
    "best": "kind names bounds",
    "number": "kind value",
}


class Arithmetic:
    """Evaluates terms and shapes at a number of bits; `number_used` tells whether a value was taken from a `number`."""

    def __init__(self, bits: int, work: Work) -> None:
        self.bits, self.one, self.work, self.number_used = bits, 1 << bits, work, False
        self.unit = 1 + bits // 256

    def span(self, low: Fraction, high: Fraction | None = None) -> Span:
        """Enclose a rational number, or the interval between two."""
        high = low if high is None else high
        return (low.numerator << self.bits) // low.denominator, -((-high.numerator << self.bits) // high.denominator)

    def times(self, x: Span, y: Span) -> Span:
        if x[0] >= 0 and y[0] >= 0:
            return x[0] * y[0] >> self.bits, -(-x[1] * y[1] >> self.bits)
        ends = [a * b for a in x for b in y]
        return min(ends) >> self.bits, -(-max(ends) >> self.bits)

    def over(self, x: Span, y: Span) -> Span:
        need(y[0] > 0 or y[1] < 0, "a divisor is not certainly other than 0")
        ends = [(a << self.bits, b) for a in x for b in y]
        return min(a // b for a, b in ends), max(-(-a // b) for a, b in ends)

    def power(self, x: Span, n: int) -> Span:
        if n < 0:
            return self.over((self.one, self.one), self.power(x, -n))
        result: Span = (self.one, self.one)
        while n:
            if n & 1:
                result = self.times(result, x)
            if n := n >> 1:
                square = self.times(x, x)
                x = self.small((max(square[0], 0), square[1]))
        return result

    def small(self, x: Span) -> Span:
        size = max(x[1].bit_length(), x[0].bit_length()) - self.bits
        need(size <= MAX_BITS, f"a number above 2^{MAX_BITS}")
        if size > 256:
            self.work.spend(size >> 8)
        return x

    def term(self, t: Json, names: Mapping[str, Value], exponents: Mapping[str, int] = NONE) -> Span:
        """Enclose a term that is a number; `exponents` are the names that stand for known integers."""
        found = self.value(t, names, exponents)
        if isinstance(found, list):
            raise Rejected("term: a vector in place of a number")
        return found

    def value(self, t: Json, names: Mapping[str, Value], exponents: Mapping[str, int]) -> Value:
        """Enclose a term that is a number or a vector."""
        self.work.spend(self.unit)
        if isinstance(t, str):
            if t in ("pi", "e"):
                return pi_at(self.bits) if t == "pi" else exp_at(self.one, self.bits)
            if NAME.fullmatch(t):
                need(t in names, f"term: the name {t} stands for nothing")
                return names[t]
            return self.small(self.span(rational(t, "term")))
        op, *parts = listed(t, "term", 2, 4097)
        need(isinstance(op, str), "term: expected the name of an operation")
        need(
            op not in ARGUMENTS or len(parts) == ARGUMENTS[op],
            f"term: no operation {shown(op)} of {len(parts)} arguments",
        )
        if op == "pow":
            given = exponents.get(parts[1], parts[1]) if isinstance(parts[1], str) else parts[1]
            power = whole(given, "pow", -(10**6), 10**6)
            return self.entries(lambda v: self.small(self.power(v[0], power)), [self.value(parts[0], names, exponents)])
        if op == "tail":
            n = whole(parts[0], "tail", 1, 10**6)
            k = whole(parts[1], "tail", 1, n)
            return self.tail(n, k, self.term(parts[2], names, exponents))
        values = [self.value(part, names, exponents) for part in (parts[1:] if op == "join" else parts)]
        if op in ("vector", "sum", "init", "rest", "join"):
            return self.vector(op, values, parts[0])
        return self.entries(lambda v: self.operation(op, v), values)

    def entries(self, operation: Callable[[list[Span]], Span], values: list[Value]) -> Value:
        """An operation on numbers, or entry by entry."""
        sizes = {len(v) for v in values if isinstance(v, list)}
        if not sizes:
            return operation([v for v in values if not isinstance(v, list)])
        need(len(sizes) == 1, "term: vectors of several lengths")
        self.work.spend(4 * self.unit * max(sizes))
        return [operation([v[i] if isinstance(v, list) else v for v in values]) for i in range(max(sizes))]

    def vector(self, op: str, values: list[Value], cells: Json) -> Value:
        """The operations that make vectors, or one number of a vector."""
        lists = [v if isinstance(v, list) else [v] for v in values]
        self.work.spend(4 * self.unit * sum(map(len, lists)))
        if op == "vector":
            found = [entry for v in lists for entry in v]
            need(len(found) <= 4096, "vector: more than 4096 entries")
            return found
        need(all(isinstance(v, list) for v in values), f"{op}: expected vectors")
        if op == "sum":
            return self.small((sum(v[0] for v in lists[0]), sum(v[1] for v in lists[0])))
        if op != "join":
            need(len(lists[0]) > 1, f"{op}: nothing is left")
            return lists[0][:-1] if op == "init" else lists[0][1:]
        need(len(lists) in (2, 4), "join: expected one pair of vectors, or two")
        x, y = lists[:2]
        need(all(map(len, lists)) and list(map(len, lists)) == [len(x), len(y)] * (len(lists) // 2), "join: lengths")
        self.work.spend(4 * self.unit * len(x) * len(y) * len(lists))
        rows = [listed(row, "join", len(y), len(y)) for row in listed(cells, "join", len(x), len(x))]
        size = 1 + max(whole(c, "join", 0, 4095) for row in rows for c in row)
        low, high = [0] * size, [0] * size
        for first, second in zip(lists[::2], lists[1::2], strict=True):
            for a, row in zip(first, rows, strict=True):
                for b, c in zip(second, row, strict=True):
                    product = self.times(a, b)
                    low[c], high[c] = low[c] + product[0], high[c] + product[1]
        return [self.small(pair) for pair in zip(low, high, strict=True)]

    def operation(self, op: str, values: list[Span]) -> Span:
        """An operation on numbers."""
        if op in FUNCTIONS:
            return self.function(op, values[0])
        if op in ("sub", "div"):
            x, y = values
            return self.small((x[0] - y[1], x[1] - y[0]) if op == "sub" else self.over(x, y))
        need(op in ("add", "mul", "max", "min"), f"term: no operation {shown(op)}")
        if op == "mul":
            result = values[0]
            for value in values[1:]:
                result = self.small(self.times(result, value))
            return result
        join: Callable[[list[int]], int] = sum if op == "add" else max if op == "max" else min
        return self.small((join([v[0] for v in values]), join([v[1] for v in values])))

    def function(self, op: str, x: Span) -> Span:
        """All five increase, so the ends of the argument give the ends of the value."""
        self.work.spend(40 * self.unit**2)
        if op == "sqrt":
            need(x[1] >= 0, "the root of a number that is not certainly 0 or more")
            x = max(x[0], 0), x[1]
        need(op != "log" or x[0] > 0, "the logarithm of a number that is not certainly above 0")
        lo = FUNCTIONS[op](x[0], self.bits)
        return self.small((lo[0], lo[1] if x[0] == x[1] else FUNCTIONS[op](x[1], self.bits)[1]))

    def tail(self, n: int, k: int, p: Span) -> Span:
        """It increases in p."""
        self.work.spend(40 * self.unit**2)
        need(p[0] <= self.one and p[1] >= 0, "tail of a number that is no probability")
        if k == n:
            return self.power((max(p[0], 0), min(p[1], self.one)), n)
        if k == 1:
            none = self.power((max(self.one - p[1], 0), min(self.one - p[0], self.one)), n)
            return self.one - none[1], self.one - none[0]
        w, ends = self.bits + 48, (max(p[0], 0), min(p[1], self.one))
        lo, hi = (binomial(n, k, end, self.one, w, self.work)[0] for end in ends)
        return lo[0] >> 48, -(-hi[1] >> 48)

    def shape(self, shape: Json, names: Mapping[str, Span], *, inside: bool = False) -> Span:
        """Enclose the value of a bound."""
        need(isinstance(shape, dict), "shape: expected an object")
        kind = choice(shape.get("kind"), tuple(KINDS), "shape: kind")
        _, *parts = members(shape, KINDS[kind], "shape")
        if kind == "closed":
            return self.term(parts[0], names)
        if kind == "number":
            self.number_used = True
            return self.span(rational(parts[0], "number"))
        if kind == "best":
            need(not inside, "shape: a best inside a best")
            need(len(listed(parts[0], "best", 1, 8)) == len(listed(parts[1], "best", 1, 8)), "best: names and bounds")
            for name in parts[0]:
                prose(name, "best: names")
            values = [self.shape(each, names, inside=True) for each in parts[1]]
            return max(v[0] for v in values), max(v[1] for v in values)
        if kind == "program":
            known: dict[str, Value] = dict(names)
            for entry in listed(parts[0], "program"):
                name, t = listed(entry, "program", 2, 2)
                known |= zip(fresh([name], known), [self.value(t, known, NONE)], strict=True)
            return self.term(parts[1], known)
        follow = {"recursion": self.recursion, "chain": self.chain, "backward": self.backward}[kind]
        return follow(parts, names)

    def recursion(self, parts: list[Json], names: Mapping[str, Span]) -> Span:
        state, start, parameters, step, layers, result = parts
        variables = fresh(state, names)
        extra = fresh(parameters, {**names, **dict.fromkeys(variables, (0, 0))})
        need(len(listed(start, "start")) == len(variables) == len(listed(step, "step")), "recursion: sizes differ")
        values = [self.term(t, names) for t in start]
        for count, given in runs_of(layers, "layers", 2, 0, 20_000):
            need(len(listed(given, "layers")) == len(extra), "layers: one value for each parameter")
            fixed = {**names, **dict(zip(extra, [self.term(t, names) for t in given], strict=True))}
            integers = {name: int(t) for name, t in zip(extra, given, strict=True) if is_integer(t)}
            for _ in range(count):
                now = {**fixed, **dict(zip(variables, values, strict=True))}
                values = [self.term(t, now, integers) for t in step]
        return self.term(result, {**names, **dict(zip(variables, values, strict=True))})

    def backward(self, parts: list[Json], names: Mapping[str, Span]) -> Span:
        """Check lines of survival from the last layer to the first, and put in what is known of the first."""
        first, turns, sizes, rays, pair, lines = parts
        widths = [whole(n, "backward: widths", 1, 10**6) for n in listed(sizes, "backward: widths", 1, 20_000)]
        count, two = whole(rays, "rays", 1, 10**9), flag(pair, "two_rays")
        need(count == 2 or not two, "backward: two_rays, but not two rays")
        layers = list(zip(widths, widths[1:], listed(lines, "lines", len(widths) - 1, len(widths) - 1), strict=False))
        high, slope, kept = Fraction(1), Fraction(0), count << 8192
        for before, n, line in reversed(layers):
            top, tilt, by = listed(line, "line", 3, 3)
            a, b = rational(top, "line", 0), rational(tilt, "line", 0)
            kept -= kept >> n  # rounded up
            if by == "rays":
                shown_by = b == 0 and a * 2**8192 >= kept
            elif by == "wide":
                shown_by = a >= high and b >= slope
            else:
                signs = Fraction(1, 2 ** (before * n)) if before * n <= 4096 else Fraction(0)
                shown_by = self.line_holds((a, b), (high, slope), (n, signs, two), by)
            self.work.spend(self.unit)
            need(shown_by, "backward: a line does not follow from the next one")
            high, slope = a, b
        n, off = widths[0], ["pow", "1/2", widths[0]]
        y = {"y": self.term(turns, names)}
        joined = ["mul", text_of(Fraction(n, 2)), off, "y", ["pow", ["max", ["sub", "1", "y"], "0"], n - 1]]
        image = ["sub", ["mul", text_of(contraction(n)), "y"], joined] if 1 < n <= 1000 else "0" if n == 1 else "y"
        if two and n <= 1000:
            bent = ["sub", text_of(n + 1), ["mul", text_of(Fraction(n * (n - 1), 4)), "y"]]
            image = ["min", image, ["mul", "y", ["sub", "1", ["mul", off, bent]]]]
        length, alive = self.term(image, y), self.term(first, names)
        low, most = self.times(self.span(high), alive), self.times(self.span(slope), length)
        return self.one - low[1] - most[1], self.one - low[0] - most[0]

    def line_holds(self, line: Line, after: Line, layer: tuple[int, Fraction, bool], by: Json) -> bool:
        """Whether `a + b y >= a' p(y) + b' g(y)` for all y, by affine upper bounds of p and g on cells."""
        n, signs, two = layer
        need(n <= 1000, "line: cells for a layer of more than 1000 neurons")
        end = Fraction(1, 2) if two else Fraction(1)
        places = [Fraction(0), *(rational(y, "line: cells") for y in listed(by, "line: cells")), end]
        need(all(u < v for u, v in pairwise(places)), "line: the ends of the cells are not in order")
        rho = contraction(n)
        beyond = self.one - self.span(signs)[0], self.span(rho)[1]  # beyond 1 both sides are affine
        far = two or (self.above(line, after, end, *beyond) and line[1] >= after[1] * rho)
        return far and all(self.cell_holds(line, after, layer, u, v) for u, v in pairwise(places))

    def above(self, line: Line, after: Line, y: Fraction, alive: int, length: int) -> bool:
        """Whether `a + b y >= a' alive + b' length`."""
        high, slope = (self.span(value)[1] for value in after)
        most = self.times((high, high), (alive, alive))[1] + self.times((slope, slope), (length, length))[1]
        return self.span(line[0] + line[1] * y)[0] >= most

    def cell_holds(self, line: Line, after: Line, layer: tuple[int, Fraction, bool], u: Fraction, v: Fraction) -> bool:
        """The same at both ends of a cell, and so on all of it."""
        ends = zip((u, v), *self.cell(*layer, u, v), strict=True)
        return all(self.above(line, after, y, alive, length) for y, alive, length in ends)

    def cell(self, n: int, signs: Fraction, two: bool, u: Fraction, v: Fraction) -> tuple[list[int], list[int]]:
        """Values at u and v of affine upper bounds of p and of g on the cell [u, v] (FORMAT section 7)."""
        self.work.spend(n * self.unit)
        off, m, h, ends = Fraction(1, 2**n), (u + v) / 2, (v - u) / 2, (u, v)

        def part(factor: Fraction, base: Fraction, k: int) -> Span:
            return self.times(self.span(factor), self.power(self.span(base), k))

        alive = [self.one - part(off * (1 - m + side * n * h), 1 - m, n - 1)[0] for side in (1, -1)]
        if self.span(signs)[0] >= part(off, 1 - m, n)[1]:
            alive = [self.one - self.span(signs)[0]] * 2
        low = [part(y, 1 - y, n - 1) for y in ends]  # of y (1-y)^(n-1): concave up to 2/n, convex beyond
        if n * u < 2 < n * v:
            low = [min(low)] * 2
        elif n * u >= 2:
            low = [part(m * (1 - m) + side * (n * m - 1) * h, 1 - m, n - 2) for side in (1, -1)]
        weight = self.span(off * n / 2 if n > 1 else Fraction(0))
        length = [self.span(contraction(n) * y)[1] - self.times(weight, r)[0] for y, r in zip(ends, low, strict=True)]
        if two:
            bent = [self.span(y * (1 - off * (n + 1 - n * (n - 1) * y / 4)))[1] for y in ends]
            length = min(length, bent, key=sum)
        return alive, length

    def chain(self, parts: list[Json], names: Mapping[str, Span]) -> Span:
        """Follow lower and upper bounds of the probabilities of the values of S that are not absorbed."""
        sizes, first, success, enough = parts
        widths = [whole(n, "chain: widths", 1, 10**6) for n in listed(sizes, "chain: widths", 1, 20_000)]
        stop = widths[0] if enough is None else whole(enough, "chain: enough", 1, widths[0])
        each = runs_of(success, "chain: success", 2, len(widths) - 1, len(widths) - 1) if widths[1:] else []
        need(bool(widths[1:]) or success == [], "chain: success without a second layer")
        pairs = list(pairwise(widths))
        work = sum(a * b for a, b in pairs) + sum(b * a for a, b in set(pairs)) + widths[0]
        w = self.bits + max(widths) + 16
        self.work.spend(work * (1 + w // 256) // 4)
        mass = self.law(widths[0], self.term(first, names), w)
        mass = mass[0][:stop], mass[1][:stop]
        tables: dict[tuple[int, int, int, int], list[tuple[list[int], list[int]]]] = {}
        order = [number for number, entry in enumerate(each) for _ in range(entry[0])]
        for (before, width), number in zip(pairs, order, strict=True):
            key = number, before, width, len(mass[0])
            if key not in tables:
                rows = [
                    self.law(width, self.term(each[number][1], {**names, "a": self.span(Fraction(a))}, {"a": a}), w)
                    for a in (before - s for s in range(len(mass[0])))
                ]
                tables[key] = [([row[0][t] for row in rows], [row[1][t] for row in rows]) for t in range(width)]
            mass = (
                [sum(map(mul, mass[0], column[0])) >> w for column in tables[key]],
                [-(-sum(map(mul, mass[1], column[1])) >> w) for column in tables[key]],
            )
        lo, hi = down((sum(mass[0]), sum(mass[1])), w - self.bits)
        return max(self.one - hi, 0), min(self.one - lo, self.one)

    def law(self, n: int, p: Span, w: int) -> tuple[list[int], list[int]]:
        """Lower and upper bounds of the binomial probabilities of 0..n, in units of 2^-w."""
        need(p[0] >= -1 and p[1] <= self.one + 1, "chain: a success probability outside [0, 1]")
        extra, one = w - self.bits, 1 << w
        low, high = max(p[0], 0) << extra, min(p[1] << extra, one)
        up, off = ([one], [one]), ([one], [one])
        for _ in range(n):
            for (floor, ceil), a, b in ((up, low, high), (off, one - high, one - low)):
                floor.append(floor[-1] * a >> w)
                ceil.append(-(-ceil[-1] * b >> w))
        counts, number = [], 1
        for t in range(n + 1):
            counts.append(number)
            number = number * (n - t) // (t + 1)
        return (
            [c * a * b >> w for c, a, b in zip(counts, up[0], reversed(off[0]), strict=True)],
            [-(-c * a * b >> w) for c, a, b in zip(counts, up[1], reversed(off[1]), strict=True)],
        )


def fresh(found: Json, taken: Mapping[str, object]) -> list[str]:
    """New variable names: well formed, distinct, not in use."""
    names = listed(found, "names", 0, 64)
    for name in names:
        good = isinstance(name, str) and NAME.fullmatch(name) and name not in ("pi", "e", *QUANTITIES, *taken)
        need(bool(good), "shape: a variable has no proper or no new name")
    need(len(set(names)) == len(names), "shape: a variable is named twice")
    return names


def contraction(n: int) -> Fraction:
    """`rho(n)`: upper bound of the mean growth of a tour's length."""
    return 1 - Fraction(n + 2, 2 ** (n + 1)) if n > 1 else Fraction(0)


def is_integer(t: Json) -> bool:
    return isinstance(t, str) and bool(re.fullmatch("0|-?[1-9][0-9]{0,17}", t))


def evaluate_term(
    term: Json, values: Mapping[str, Fraction | tuple[Fraction, Fraction]], bits: int
) -> tuple[Fraction, Fraction]:
    """Enclose a term or shape of FORMAT section 7 at the given quantities, exact or enclosed.

    Rigour: outward. Fails: Rejected if the term is malformed, needs too much work or leaves its domain.
    """
    arithmetic = Arithmetic(bits, Work())
    names = {k: arithmetic.span(*(v if isinstance(v, tuple) else (v,))) for k, v in values.items()}
    lo, hi = arithmetic.shape(term, names) if isinstance(term, dict) else arithmetic.term(term, names)
    return Fraction(lo, arithmetic.one), Fraction(hi, arithmetic.one)


def names_in(value: Json) -> set[str]:
    """Names of quantities in a term or shape."""
    if isinstance(value, str):
        return {value} & set(QUANTITIES)
    if isinstance(value, dict):
        value = [part for key, part in value.items() if key not in ("kind", "names")]
    return set().union(*map(names_in, value)) if isinstance(value, list) else set()


def infix(value: Json) -> str:
    """A term or shape in ordinary notation."""
    if isinstance(value, dict):
        kind, v = value["kind"], {k: part for k, part in value.items() if k != "kind"}
        if kind in ("closed", "number"):
            return infix(v.get("term", v.get("value")))
        if kind == "best":
            return f"the largest of {'; '.join(infix(each) for each in v['bounds'])}"
        if kind == "program":
            return f"{infix(v['result'])} where {', '.join(f'{a} = {infix(t)}' for a, t in v['steps'])}"
        if kind == "backward":
            return f"1 - (a_1 {infix(v['first'])} + b_1 g_1({infix(v['turns'])})), lines {v['lines']}"
        if kind == "chain":
            each = ", ".join(f"{count} x {infix(t)}" for count, t in v["success"])
            told = f"S_1 ~ Bin(l_1, {infix(v['first'])}), then success {each or 'never'}, layer widths {v['widths']}"
            return f"P(S_1 >= {v['enough'] or v['widths'][0]} or S_k = l_k for some k), {told}"
        state, start = ", ".join(v["state"]), ", ".join(map(infix, v["start"]))
        each = "; ".join(f"{count} x ({', '.join(map(infix, given))})" for count, given in v["layers"])
        step, given = ", ".join(map(infix, v["step"])), ", ".join(v["parameters"])
        return (
            f"{infix(v['result'])} after ({state}) = ({start}), ({state}) <- ({step}) for ({given}) = {each or 'none'}"
        )
    if not isinstance(value, list):
        return str(value)
    op, *parts = value
    if op == "join":
        parts[0] = "cells"
    signs = {"add": " + ", "mul": " ", "sub": " - ", "div": "/", "pow": "^"}
    inner = [infix(part) for part in parts]
    return f"({signs[op].join(inner)})" if op in signs else f"{op}({', '.join(inner)})"


QUANTITIES = ("p_1", "tau", "sigma_x", "r_0", "R", "c_0", "nu_0")

# --- the case --------------------------------------------------------------------------------------------------------

HALF = ["div", "1", "2"]
IMPLIED = {
    "F": "FB DJ DW SL S D SS",
    "FB": "DJ DW SL S D SS",
    "DJ": "SL S D SS",
    "DW": "SL D SS",
    "SL": "SS",
    "S": "SS",
    "D": "SS",
    "SS": "",
}


def text_of(value: Fraction | int) -> str:
    return str(Fraction(value))


def ray_of(x: Vector) -> tuple[int, ...]:
    """The shortest integer vector on the ray through x."""
    scale = lcm(*(v.denominator for v in x))
    integers = [int(v * scale) for v in x]
    divisor = gcd(*integers) or 1
    return tuple(v // divisor for v in integers)


@dataclass(frozen=True)
class Law:
    """The law of a weight or bias: its kind and the square of its scale (FORMAT section 3)."""

    kind: str
    square: str

    @property
    def scale(self) -> Json:
        return ["sqrt", self.square]

    @property
    def density(self) -> Json:
        root = ["sqrt", ["mul", "2", "pi"]]
        kept = [["erf", ["sqrt", "2"]]] if self.kind == "truncated" else []
        return ["div", "1", ["mul", "2", self.scale] if self.kind == "uniform" else ["mul", self.scale, root, *kept]]

    @property
    def mean_absolute(self) -> Json:
        if self.kind == "uniform":
            return ["div", self.scale, "2"]
        mean = ["mul", self.scale, ["sqrt", ["div", "2", "pi"]]]
        lost = ["sub", "1", ["exp", "-2"]]
        return ["div", ["mul", mean, lost], ["erf", ["sqrt", "2"]]] if self.kind == "truncated" else mean

    @property
    def variance(self) -> Json:
        if self.kind == "truncated":
            cut = ["div", ["mul", "4", ["exp", "-2"]], ["mul", ["sqrt", ["mul", "2", "pi"]], ["erf", ["sqrt", "2"]]]]
            return ["mul", self.square, ["sub", "1", cut]]
        return ["div", self.square, "3"] if self.kind == "uniform" else self.square


@dataclass
class Case:
    """The case as read, and the facts of its data; `inputs` is empty where the rows are not given."""

    widths: list[int]
    independent: bool
    laws: list[tuple[Law, Law]]
    holds: set[str]
    fails: set[str]
    ranges: list[Vector]
    rays: int
    opposite: bool
    inputs: list[Vector] = field(default_factory=list)
    means: list[Vector] = field(default_factory=list)
    labels: list[list[Vector]] = field(default_factory=list)

    def risk(self, outputs: Sequence[Vector]) -> Fraction:
        """Mean squared distance of the labels from these outputs, one an input."""
        rows = [(y, f) for group, f in zip(self.labels, outputs, strict=True) for y in group]
        return sum((squares(y, f) for y, f in rows), Fraction(0)) / len(rows)

    @property
    def constant_risk(self) -> Fraction:
        """Least risk of a constant, `nu + V`."""
        labels = [y for group in self.labels for y in group]
        mean = tuple(sum(column, Fraction(0)) / len(labels) for column in zip(*labels, strict=True))
        return self.risk([mean] * len(self.labels))

    @property
    def hidden(self) -> list[int]:
        return self.widths[1:-1]

    @property
    def labels_vary(self) -> bool:
        return len(set(self.means)) > 1

    def normal(self) -> bool:
        return all(weight.kind == "normal" for weight, _ in self.laws)


def read_law(value: Json, *, bias: bool) -> Law:
    if bias and value == ["zero"]:
        return Law("zero", "0")
    kind, square = listed(value, "law", 2, 2)
    rational(square, "law")
    need(rational(square, "law") > 0, "law: the square of a scale is not positive")
    return Law(choice(kind, ("uniform", "normal", "truncated"), "law"), square)


def read_case(value: Json, answer: Answer) -> Case:
    name, sizes, initialization, data, optimizer = members(value, "name widths initialization data optimizer", "case")
    answer.rests.append(f"the case: {prose(name, 'case: name')}")
    widths = [whole(n, "widths", 1, 10**6) for n in listed(sizes, "widths", 3, 20_001)]
    name, free, runs = members(initialization, "name independent laws", "initialization")
    independent = flag(free, "independent")
    answer.rests.append(f"parameters are drawn as the laws say: {prose(name, 'initialization')}")
    count = len(widths) - 2 if independent else 0
    found = runs_of(runs, "laws", 3, count, count)
    laws = [(read_law(w, bias=False), read_law(b, bias=True), n) for n, w, b in found]
    expanded = [(weight, bias) for weight, bias, n in laws for _ in range(n)]
    holds, fails = read_optimizer(optimizer, answer)
    return read_data(data, Case(widths, independent, expanded, holds, fails, [], 0, False), answer)


def read_optimizer(value: Json, answer: Answer) -> tuple[set[str], set[str]]:
    """The properties that hold and those that fail, with what follows."""
    name, held, failed = members(value, "name holds fails", "optimizer")
    holds, fails = read_properties(held, "holds"), read_properties(failed, "fails")
    label = prose(name, "optimizer")
    if holds or fails:
        told = f"has {', '.join(held) or 'nothing'}, lacks {', '.join(failed) or 'nothing'}"
        answer.rests.append(f"the optimizer {label} {told}")
    fails |= {weaker for weaker, implied in IMPLIED.items() if fails & set(implied.split())}
    need(not holds & fails, "optimizer: a property both holds and fails")
    return holds, fails


def read_properties(value: Json, what: str) -> set[str]:
    """Properties in the order of the table; those that hold with what they imply."""
    names = [choice(name, tuple(IMPLIED), what) for name in listed(value, what, 0, 8)]
    need(names == [name for name in IMPLIED if name in names], f"optimizer: {what} is not in order")
    return set(names) | {p for name in names for p in IMPLIED[name].split() if what == "holds"}


def read_data(value: Json, case: Case, answer: Answer) -> Case:
    name, digest, rows, numbers = members(value, "name sha256 rows numbers", "data")
    answer.rests.append(f"the data are: {prose(name, 'data: name')}")
    need(bool(isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest)), "data: sha256 is malformed")
    columns, outputs = case.widths[0], case.widths[-1]
    if rows is None:
        ranges, rays, opposite = members(numbers, "ranges rays opposite", "data: numbers")
        for pair in listed(ranges, "ranges", columns, columns):
            low, high = (rational(v, "ranges") for v in listed(pair, "ranges", 2, 2))
            need(low <= high, "ranges: an interval is empty")
            case.ranges.append((low, high))
        case.rays, case.opposite = whole(rays, "rays", 0, 10**9), flag(opposite, "opposite")
        need(case.rays == 2 or not case.opposite, "numbers: opposite, but not two rays")
        answer.taken.append(f"ranges and rays of the data, whose rows are not given (sha256 {digest})")
        return case
    need(numbers is None, "data: numbers beside rows")
    need(len(listed(rows, "rows", 1)) * (columns + outputs) <= 200_000, "data: more than 200000 numbers")
    hashed, members_of, denominator = hashlib.sha256(), dict[Vector, list[Vector]](), 1
    for row in rows:
        exact = tuple(rational(v, "rows") for v in listed(row, "rows", columns + outputs, columns + outputs))
        denominator = lcm(denominator, *(v.denominator for v in exact))
        need(denominator.bit_length() <= DATA_BITS, f"data: the common denominator is above 2^{DATA_BITS}")
        hashed.update((",".join(row) + "\n").encode("ascii"))
        members_of.setdefault(exact[:columns], []).append(exact[columns:])
    need(hashed.hexdigest() == digest, "data: sha256 is not that of the rows")
    case.inputs = sorted(members_of)
    case.labels = [members_of[x] for x in case.inputs]
    case.means = [tuple(sum(y) / len(group) for y in zip(*group, strict=True)) for group in case.labels]
    case.ranges = [(min(column), max(column)) for column in zip(*case.inputs, strict=True)]
    directions = {ray_of(x) for x in case.inputs if any(x)}
    case.rays = len(directions)
    case.opposite = case.rays == 2 and {tuple(-v for v in ray) for ray in directions} == directions
    answer.derived.append(
        f"{len(rows)} rows, {len(case.inputs)} distinct inputs on {case.rays} rays, sha256 of the rows"
    )
    return case


# --- theorems and hypotheses -----------------------------------------------------------------------------------------

DEPTH, FLAT = "independent-initialization labels-vary optimizer-keeps-dead", "independent-initialization zero-biases"
ALIVE = "independent-initialization neuron-can-be-dead optimizer-keeps-dead"
THEOREMS = {  # hypotheses ("cost", "laws": see demands), alternatives for the optimizer, event
    **dict.fromkeys(("T1", "T2"), (DEPTH, "FB S D", "permanent")),
    "T3": (f"one-hidden-layer {ALIVE} optimal-risk-above-noise", "FB S D", "neurons"),
    "T4": (f"several-hidden-layers {ALIVE} cost", "FB S D", "neurons"),
    "T5": (f"{DEPTH} cost", "FB S D", "permanent"),
    "T7": (f"{FLAT} one-input-ray labels-vary optimizer-keeps-dead", "FB SL", "dead"),
    "T8": (f"{FLAT} opposite-input-rays labels-vary optimizer-keeps-dead", "FB SL", "dead"),
    "T10": ("independent-initialization bounded-bias-density labels-vary optimizer-keeps-dead", "FB", "dead"),
    "T11a": ("independent-initialization symmetric-laws nonzero-input", "", "dead"),
    **dict.fromkeys(("T11b", "T15", "T18"), (f"{FLAT} labels-vary optimizer-keeps-dead", "FB SL", "dead")),
    "T12": ("independent-initialization laws labels-vary optimizer-keeps-dead cost", "", ""),
    **dict.fromkeys(
        ("T13", "T13b", "T19"),
        ("independent-initialization bounded-bias-density labels-vary optimizer-keeps-dead", "D", "robust"),
    ),
    "T14": (f"{FLAT} normal-weights labels-vary optimizer-keeps-dead", "FB SL", "dead"),
    "T16": ("independent-initialization bounded-bias-density labels-vary optimizer-keeps-dead", "DJ DW", "decay"),
}
BASES = {"FB": "dead", "DJ": "joint", "DW": "weights", "D": "robust"}


@dataclass
class Claim:
    """A theorem put to the case: what it asks and of which event it speaks (FORMAT section 4)."""

    ident: str
    relation: str
    dead: int | None
    hypotheses: list[str]
    alternatives: list[str]
    nonpositive_bias: bool
    flat: bool


def read_theorem(value: Json, case: Case, answer: Answer) -> Claim:
    ident, relation, dead, event, proof = members(value, "id relation dead event proof", "theorem")
    asked, keeps, kind = THEOREMS[choice(ident, tuple(THEOREMS), "theorem: id")]
    expected = {"T7": "p = B", "T11a": "p <= B"}.get(ident, "p >= B")
    need(relation == expected, f"theorem: {ident} claims {expected}")
    with_count = ident in ("T3", "T4", "T5", "T12")
    m = whole(dead, "dead", 1, case.hidden[0]) if with_count else None
    need(with_count or dead is None, f"theorem: {ident} has no number of dead neurons")
    flat = case.independent and case.laws[0][1].kind == "zero"
    if ident == "T12":
        base = "FB" if flat else next((p for p in BASES if p in case.holds), "FB")
        asked = asked.replace("laws", "zero-biases" if flat else "bounded-bias-density")
        keeps, kind = "FB SL" if flat else base, BASES[base]
    if len(case.hidden) == 1 or m == case.hidden[0]:
        asked = asked.replace("cost", "optimal-risk-above-noise")
    asked = asked.replace("cost", "scalar-output enough-dead-neurons optimal-risk-above-noise")
    layer: str | None = kind
    if kind == "decay":
        layer = "joint" if "DJ" in case.holds else "weights"
    elif kind == "permanent":
        layer = "dead" if "FB" in case.holds else "structural"
    elif kind == "neurons":
        layer = None
    signed = layer in ("robust", "weights") or (layer in ("structural", None) and "S" not in case.holds)
    found = members(event, "layer neurons nonpositive_bias", "event")
    need(found == [layer, m, signed] and type(found[2]) is bool, f"event: not the event of {ident} for this case")
    answer.rests.append(f"theorem {ident}, proof: {prose(proof, 'theorem: proof')}")
    return Claim(ident, expected, m, asked.split(), keeps.split(), signed, flat)


def check_hypotheses(value: Json, case: Case, claim: Claim, p_dead: Json, work: Work, answer: Answer) -> str:
    """The combined status."""
    entries = [
        members(e, "id status evidence why certificate", "hypothesis") for e in listed(value, "hypotheses", 0, 9)
    ]
    need([e[0] for e in entries] == claim.hypotheses, f"hypotheses: not the list of {claim.ident} for this case")
    statuses = []
    for ident, told, evidence, why, certificate in entries:
        status = choice(told, ("holds", "fails", "unknown"), f"{ident}: status")
        prose(evidence, f"{ident}: evidence"), prose(why, f"{ident}: why")
        found: str | None
        if ident == "optimal-risk-above-noise":
            found = risk_status(certificate, status, case, claim, work)
        else:
            need(certificate is None, f"{ident}: expected no certificate")
            found = status_of(ident, case, claim, p_dead)
        need(found in (None, status), f"{ident}: {status}, but the rules give {found}")
        (answer.taken if found is None else answer.derived).append(f"hypothesis {ident}: {status}")
        statuses.append(status)
        answer.met(f"hypothesis {ident}")
    return next((s for s in ("fails", "unknown") if s in statuses), "holds")


def status_of(ident: str, case: Case, claim: Claim, p_dead: Json) -> str | None:
    """The status by the table of FORMAT section 5; None where it cannot be found out."""
    free, biases = case.independent, {bias.kind for _, bias in case.laws}
    if ident == "optimizer-keeps-dead":
        known = "fails" if set(claim.alternatives) <= case.fails else "unknown"
        return "holds" if set(claim.alternatives) & case.holds else known
    if ident == "neuron-can-be-dead":
        if p_dead is None:
            return "unknown"
        return "holds" if p_dead["lo"] != "0" else "fails" if p_dead["hi"] == "0" else "unknown"
    if ident == "enough-dead-neurons":
        count, n = claim.dead or 0, len(case.inputs)
        if count >= 3 or 1 <= n <= 2 or (case.widths[0] == 1 and 1 <= n <= 4 and count >= 2):
            return "holds"
        return "fails" if n and case.widths[0] == 1 else None
    if ident == "labels-vary" and not case.inputs:
        return None
    facts = {
        "independent-initialization": free,
        "zero-biases": free and biases == {"zero"},
        "bounded-bias-density": free and "zero" not in biases,
        "symmetric-laws": free,
        "normal-weights": free and biases == {"zero"} and case.normal(),
        "nonzero-input": case.rays >= 1,
        "one-input-ray": case.rays == 1,
        "opposite-input-rays": case.opposite,
        "labels-vary": case.labels_vary,
        "one-hidden-layer": len(case.hidden) == 1,
        "several-hidden-layers": len(case.hidden) > 1,
        "scalar-output": case.widths[-1] == 1,
    }
    return "holds" if facts[ident] else "fails"


def risk_status(certificate: Json, stated: str, case: Case, claim: Claim, work: Work) -> str | None:
    """What a certificate shows about the optimal risk of the network without the dead neurons."""
    if certificate is None:
        return "unknown" if stated == "unknown" else None
    need(isinstance(certificate, dict) and bool(case.inputs), "optimal risk: expected an object, and rows")
    kind = choice(certificate.get("kind"), ("equal", "constant", "runs", "network", "count"), "optimal risk: kind")
    extra = members(certificate, {"runs": "kind inputs", "network": "kind layers"}.get(kind, "kind"), "optimal risk")[
        1:
    ]
    left, later = case.hidden[0] - (claim.dead or 0), case.hidden[1:]
    if kind == "equal":
        need(not case.labels_vary, "optimal risk: the means are not all equal")
    elif kind == "constant":
        need(left == 0 and case.labels_vary, "optimal risk: neurons are left, or all means are equal")
    elif kind == "runs":
        pieces = prod(n + 1 for n in (left, *later))
        need(affine_runs(extra[0], case) > pieces, "optimal risk: the network has enough linear pieces for these runs")
    elif kind == "count":
        passes = not later or min(later) >= case.widths[-1]
        need(left >= len(case.inputs) - 1 and passes, "optimal risk: not known to interpolate by the count of neurons")
    else:
        widths = [left, *later, case.widths[-1]]
        for x, y in zip(case.inputs, case.means, strict=True):
            need(output(extra[0], x, widths, work) == y, "optimal risk: the network misses a mean")
    return "holds" if kind in ("constant", "runs") else "fails"


def affine_runs(chosen: Json, case: Case) -> int:
    """Least number of pieces along the line of these inputs on which the means are exactly affine."""
    n = len(case.inputs)
    need(chosen is not None or case.widths[0] == 1, "runs: expected the numbers of inputs on a line")
    numbers = [whole(j, "runs", 0, n - 1) for j in listed(chosen, "runs", 2, n)] if chosen is not None else range(n)
    need(len(set(numbers)) == len(numbers), "runs: an input is named twice")
    points = [case.inputs[j] for j in sorted(numbers)]  # in lexicographic order, so in order along the line
    labels = [case.means[j] for j in sorted(numbers)]
    axis = next((i for i in range(case.widths[0]) if points[0][i] != points[-1][i]), 0)
    first, offsets = points[0], [tuple(b - a for a, b in zip(points[0], x, strict=True)) for x in points]
    along = offsets[-1]
    for x in offsets:
        need(all(v * along[axis] == along[i] * x[axis] for i, v in enumerate(x)), "runs: the inputs are on no line")
    places = [x[axis] - first[axis] for x in points]
    count, start = 0, 0
    while start < len(places):
        end = min(start + 2, len(places))
        while end < len(places) and all(
            (c - a) * (places[start + 1] - places[start]) == (b - a) * (places[end] - places[start])
            for a, b, c in zip(labels[start], labels[start + 1], labels[end], strict=True)
        ):
            end += 1
        count, start = count + 1, end
    return count


def output(layers: Json, x: Vector, widths: list[int], work: Work) -> Vector:
    """The output of a network of these widths or smaller ones at an input."""
    need(len(listed(layers, "network")) == len(widths), "network: wrong number of layers")
    for number, (rows, width) in enumerate(zip(layers, widths, strict=True)):
        last = number == len(widths) - 1
        values = []
        for row in listed(rows, "network", width if last else 0, width):
            *weights, bias = (rational(v, "network") for v in listed(row, "network", len(x) + 1, len(x) + 1))
            size = max(v.denominator.bit_length() for v in (*weights, bias, *x))
            work.spend(len(row) * (1 + size // 128))
            values.append(sum(map(mul, weights, x), bias))
        x = tuple(values) if last else tuple(max(v, Fraction(0)) for v in values)
    return x


# --- quantities ------------------------------------------------------------------------------------------------------


def check_quantity(name: str, value: Json, case: Case, claim: Claim, arithmetic: Arithmetic, answer: Answer) -> Span:
    """Re-derive a quantity; the interval that it stands for in terms."""
    low, high, derivation = members(value, "lo hi derivation", name)
    method = derivation.get("method") if isinstance(derivation, dict) else None
    need(isinstance(method, str), f"{name}: derivation: expected an object with a method")
    most = None if high is None else rational(high, name, 0)
    if name == "p_1":
        least = rational(low, name, 0, 1)
        need(most is None or least <= most <= 1, "p_1: expected lo <= hi <= 1")
    else:
        need(low is None and most is not None, f"{name}: expected an upper end alone")
        least = most or Fraction(0)
    if method == "taken":
        members(derivation, "method", name)
        answer.taken.append(f"{name} {'>=' if name == 'p_1' else '<='} {low if name == 'p_1' else high}, as stated")
    elif name == "p_1":
        found = dead_neuron(derivation, case, claim, arithmetic)
        low_enough = found[0] >= least * arithmetic.one
        high_enough = most is None or (found[1] is not None and found[1] <= most * arithmetic.one)
        need(low_enough and high_enough, f"p_1: {shown(str(method))} does not show these ends")
        answer.derived.append(f"p_1 in [{low}, {1 if high is None else high}] by {method}")
    else:
        size = size_of(name, derivation, case, arithmetic)
        need(size <= least * arithmetic.one, f"{name}: the upper end is too small")
        answer.derived.append(f"{name} <= {high}")
    answer.met(f"quantity {name}")
    return arithmetic.span(least, most)


def dead_neuron(
    derivation: Json, case: Case, claim: Claim, arithmetic: Arithmetic
) -> tuple[Fraction | int, Fraction | int | None]:
    """Enclose `p_1`, or bound it from below, by the table of FORMAT section 6."""
    method = derivation["method"]
    keys = "method multipliers" if method == "zero_bias_hull" else "method"
    multipliers = members(derivation, keys, "p_1")[-1]
    need(case.independent, "p_1: the parameters are not independent")
    weight, bias = case.laws[0]
    zero, kinds = Fraction(0), (weight.kind, bias.kind)
    ranges = [(min(a, zero), max(b, zero)) for a, b in case.ranges] if claim.nonpositive_bias else case.ranges
    used = sum(any(pair) for pair in ranges)
    one = arithmetic.one
    if method in ("uniform_1d", "normal_1d"):
        need(case.widths[0] == 1 and kinds == (method[:-3],) * 2, f"p_1: {method} does not fit the laws or the inputs")
        ratio = ["sqrt", ["div", weight.square, bias.square]]
        places = [["mul", ratio, text_of(ranges[0][0])], ["mul", ratio, text_of(ranges[0][1])]]
        if method == "normal_1d":
            angle = ["sub", ["atan", places[1]], ["atan", places[0]]]
            return arithmetic.term(["sub", HALF, ["div", angle, ["mul", "2", "pi"]]], {})
        below, above = (arithmetic.term(place, {}) for place in places)
        parts = [part(end, one, up) for end, up in ((-above[1], 0), (below[0], 0), (-above[0], 1), (below[1], 1))]
        return (parts[0] + parts[1]) // 4, -(-(parts[2] + parts[3]) // 4)
    need(
        bias.kind == ("uniform" if method == "box_uniform" else "zero"),
        f"p_1: {shown(str(method))} does not fit the laws",
    )
    if method == "zero_bias_hull" and multipliers is not None:
        total = [zero] * case.widths[0]
        found = [listed(pair, "multipliers", 2, 2) for pair in listed(multipliers, "multipliers", 1, 20_000)]
        chosen = [(whole(j, "multipliers", 0, len(case.inputs) - 1), rational(c, "multipliers", 0)) for j, c in found]
        for j, c in chosen:
            total = [t + c * v for t, v in zip(total, case.inputs[j], strict=True)]
        need(not any(total) and any(c and any(case.inputs[j]) for j, c in chosen), "p_1: no combination of 0")
        return 0, 0
    if method == "zero_bias_hull":
        need(case.rays <= 1, "p_1: several rays, and no multipliers")
        return (one >> case.rays,) * 2
    if method == "zero_bias_orthant":
        need(case.rays > 0 and not any(a < 0 < b for a, b in ranges), "p_1: the inputs are in no common orthant")
        return one >> min(case.rays, used), None
    need(method == "box_uniform" and kinds[0] == "uniform" and weight == bias, "p_1: box_uniform does not fit the laws")
    need(all(a >= 0 and b <= 1 for a, b in ranges) and used <= 1000, "p_1: the inputs are not in the unit box")
    series = sum(Fraction(comb(used, k), factorial(k + 1)) for k in range(used + 1)) / 2 ** (used + 1)
    return series * one, None


def part(c: int, one: int, up: int) -> int:
    """`G(c)`, the part of a square of area 4 and width 1 in u where `v <= c u`, rounded down or up."""
    if abs(c) <= one:
        return one + ((c + up) >> 1)
    area = (one * one + (2 * abs(c) - 1) * (up if c < 0 else 1 - up)) // (2 * abs(c))
    return area if c < 0 else 2 * one - area


def size_of(name: str, derivation: Json, case: Case, arithmetic: Arithmetic) -> Fraction | int:
    """Upper bound of a size of the data, in units of the arithmetic."""
    method, one = derivation["method"], arithmetic.one
    parents = members(derivation, "method parents" if method == "tree" else "method", name)[-1]
    need(method == "data" or (method == "tree" and name == "tau"), f"{name}: unknown derivation")
    if name in ("c_0", "nu_0"):
        need(case.rays <= 1 or case.widths[0] <= 2, f"{name}: no derivation for rays in more than two dimensions")
        if case.rays <= 1:
            return 0
        return 2 * one if name == "nu_0" else 2 * pi_at(arithmetic.bits)[1]
    if name == "tau" and method == "data":
        need(case.widths[0] == 1, "tau: inputs of several coordinates need a tree")
        return (case.ranges[0][1] - case.ranges[0][0]) * one
    need(bool(case.inputs), f"{name}: needs the rows")
    arithmetic.work.spend(len(case.inputs) * case.widths[0])

    def norm(square: Fraction) -> int:
        return sqrt_at(arithmetic.span(square)[1], arithmetic.bits)[1]

    if name == "tau":
        n = len(case.inputs)
        tree = [whole(j, "parents", -1, n - 1) for j in listed(parents, "parents", n, n)]
        need(tree.count(-1) == 1, "tau: expected one root")
        reached, edges = [j < 0 for j in tree], [(i, j) for i, j in enumerate(tree) if j >= 0]
        for i, _ in edges:
            path: list[int] = []
            while not reached[i]:
                need(len(path) < n, "tau: the parents go round in a circle")
                path.append(i)
                i = tree[i]
            for j in path:
                reached[j] = True
        return sum(norm(squares(case.inputs[i], case.inputs[j])) for i, j in edges)
    origin = (Fraction(0),) * case.widths[0]
    if name == "sigma_x":
        count = len(case.inputs)
        mean = tuple(sum(column, Fraction(0)) / count for column in zip(*case.inputs, strict=True))
        return norm(sum((squares(x, origin) for x in case.inputs), Fraction(0)) - count * squares(mean, origin))
    norms = [squares(x, origin) for x in case.inputs]
    return norm(min(norms) if name == "r_0" else max(norms))


def squares(x: Vector, y: Vector) -> Fraction:
    return sum(((a - b) ** 2 for a, b in zip(x, y, strict=True)), Fraction(0))


# --- rebuilt bounds --------------------------------------------------------------------------------------------------


def rebuild(case: Case, claim: Claim, given: set[str], backward: Sequence[Json] = ()) -> Json:
    """The bound by the table of FORMAT section 9, as a shape; None for theorems that are not in it.

    backward = shapes whose lines are used again, with what is known of the first layer.
    """
    hidden, ident, m = case.hidden, claim.ident, claim.dead or case.hidden[0]
    later = range(2, len(hidden) + 1)

    def runs(layers: Sequence[int], values: Callable[[int], list[Json]]) -> list[Json]:
        """Layer values, equal neighbours together."""
        keys = groupby(layers, key=lambda k: (case.widths[k - 1 : k + 1], case.laws[k - 1]))
        return [[len(found := list(group)), values(found[0])] for _, group in keys]

    def off(n: int) -> Json:
        return ["pow", "1/2", n] if n <= 4096 else "0"

    def signs(k: int) -> Json:
        fan, width = case.widths[k - 1 : k + 1]
        biased = case.laws[k - 1][1].kind != "zero"
        return ["pow", "1/2", (fan + biased) * width] if fan * width <= 4096 else "0"

    def alive(p: Json) -> Json:
        """`P(Bin(l_1, p) < m)`."""
        return ["sub", "1", ["tail", hidden[0], m, p]]

    def recursion(names: str, parameters: str, start: Json, step: Json, layers: Json, result: Json) -> Json:
        found = (names.split(), start, parameters.split(), step, layers, result)
        return dict(zip(KINDS["recursion"].split(), ("recursion", *found), strict=True))

    def product(start: Json, layers: Sequence[int], values: Callable[[int], Json]) -> Json:
        step = [["mul", "s", ["sub", "1", "x"]]]
        return recursion("s", "x", [start], step, runs(layers, lambda k: [values(k)]), ["sub", "1", "s"])

    def contraction(size: Json, first: Json, death: Json, values: Callable[[int], list[Json]]) -> Json:
        """`c, s <- r c, s (1 - max((max(1 - death, 0)/2)^l, e))`, `r` (and `f`) among the values of a layer."""
        one_off = ["pow", ["div", ["max", ["sub", "1", death], "0"], "2"], "l"]
        step = [["mul", "r", "c"], ["mul", "s", ["sub", "1", ["max", one_off, "x"]]]]
        layers = runs(later, lambda k: [*values(k), text_of(case.widths[k]), signs(k)])
        return recursion("c s", "f r l x", [size, first], step, layers, ["sub", "1", "s"])

    def best(bounds: list[Json]) -> Json:
        need(bool(bounds), f"{ident}: no size of the data is given")
        return {"kind": "best", "names": [""] * len(bounds), "bounds": bounds}

    def functional(name: str) -> Json:
        """One of the three recursions of T10; the name of its size, none for the oscillation."""

        def rho(k: int) -> Json:
            weight, width = case.laws[k - 1][0], text_of(case.widths[k])
            if not name:
                return ["div", ["mul", width, weight.mean_absolute], "2"]
            return ["sqrt", ["div", ["mul", weight.variance, width], "2"]]

        def phi(k: int) -> Json:
            weight, bias = case.laws[k - 1]
            if not name or (name == "tau" and weight.kind != "truncated"):
                return ["mul", bias.density, weight.mean_absolute]
            return ["mul", bias.density, ["sqrt", ["mul", "1" if name == "tau" else "2", weight.variance]]]

        size = name or text_of(sum((high - low for low, high in case.ranges), Fraction(0)))
        death = ["div", ["mul", "f", "c"], "s"]
        return contraction(["mul", rho(1), size], alive("p_1"), death, lambda k: [phi(k), rho(k)])

    def zeros(z: Json) -> list[Json]:
        """Recursion and closed form of T15 for the number of zeros z."""

        def turn(k: int) -> Json:
            n = case.widths[k]
            return "0" if n == 1 else ["sub", "1", ["mul", text_of(Fraction(n + 2, 2)), off(n)]]

        first = alive(["max", "p_1" if "p_1" in given else "0", ["sub", HALF, ["div", z, "4"]]])
        death = ["div", "c", ["mul", "2", "s"]]
        for part in backward:
            need(part["widths"] == hidden and part["rays"] == max(case.rays, 1), "backward: not the widths or the rays")
        allowed = [part for part in backward if not part["two_rays"] or (z != "nu_0" and case.normal())]
        factor = ["min", text_of(max(case.rays, 1)), ["add", "1", ["div", z, "2"]]]
        return [
            contraction(["mul", turn(1), z], first, death, lambda k: ["0", turn(k)]),
            product(factor, (1, *later), lambda k: off(case.widths[k])),
            *({**part, "first": first, "turns": ["div", z, "2"]} for part in allowed),
        ]

    if ident == "T1":
        return product(alive("p_1"), later, signs)
    if ident in ("T2", "T5"):
        found = runs(later, lambda k: ["1" if case.laws[k - 1][1].kind == "zero" else "1/2"])
        success = [[count, ["mul", q, ["pow", "1/2", "a"]]] for count, (q,) in found]
        return {"kind": "chain", "widths": hidden, "first": "p_1", "success": success, "enough": claim.dead}
    if ident in ("T3", "T4"):
        return {"kind": "closed", "term": ["tail", hidden[0], m, "p_1"]}
    if ident in ("T7", "T11a"):
        return product("1", (1, *later), lambda k: ["pow", "1/2", case.widths[k]])
    if ident == "T11b":
        return product(text_of(case.rays), (1, *later), lambda k: off(case.widths[k]))
    if ident == "T8":
        q, square = ["pow", "1/2", hidden[0]], ["pow", "q", 2]
        kept = ["sub", ["sub", "1", ["mul", "2", "q"]], ["mul", ["sub", "l", "1"], square]]
        step = [["mul", ["sub", "1", "q"], "s"], ["add", ["mul", "l", square, "s"], ["mul", kept, "b"]]]
        layers = runs(later[::-1], lambda k: [text_of(case.widths[k]), ["pow", "1/2", case.widths[k]]])
        merged = ["mul", ["sub", "1", ["mul", "2", q]], ["add", ["sub", "1", ["mul", "2", "s"]], "b"]]
        return recursion("s b", "l q", ["1", "1"], step, layers, ["add", ["mul", "2", q, ["sub", "1", "s"]], merged])
    if ident == "T10" or (ident == "T12" and not claim.flat and claim.alternatives == ["FB"]):
        return best([functional(name) for name in ("", "tau", "sigma_x") if not name or name in given])
    if ident in ("T14", "T15", "T12") and case.laws[0][1].kind == "zero":
        need("c_0" not in given or case.normal(), "c_0: the weights are not normal")
        counts = {"nu_0": "nu_0", "c_0": ["div", "c_0", "pi"]}
        return best([bound for name, z in counts.items() if name in given for bound in zeros(z)])
    return None


# --- comparison ------------------------------------------------------------------------------------------------------

VERDICTS = ("CONFIRMED", "CONSISTENT", "REFUTED", "NOT APPLICABLE", "UNDECIDED", "VACUOUS")
COMPARISON = "events lost trials interval alpha lo hi dtype resolution verdict"
TAIL_BITS = 288
RUN, MOST_RUNS = "optimizer risk persistence", 1000
Ends = tuple[Fraction, Fraction]


@dataclass(frozen=True)
class Stand:
    """What comparisons are made with: the combined status, the bound, and the level where its split is given."""

    status: str
    bound: Ends | None
    level: Fraction | None


def read_level(value: Json, answer: Answer) -> Fraction | None:
    """The level of each comparison, where the file says how the total was split."""
    if value is None:
        return None
    total, reserved, number = members(value, "total reserved comparisons", "level")
    whole_level, kept = rational(total, "level", 0, 1), 1 - rational(reserved, "level", 0, 1)
    n = whole(number, "level", 1, 10**9)
    need(0 < whole_level < 1 and kept > 0, "level: nothing to share")
    answer.rests.append(f"{n} comparisons were named in advance, with a total level of {shown(total)}")
    answer.derived.append(f"level of each comparison: {whole_level * kept / n}")
    return whole_level * kept / n


def check_comparison(value: Json, what: str, relation: str, case: Case, stand: Stand, answer: Answer) -> None:
    """Limits, resolution and verdict (FORMAT section 10)."""
    events, missed, trials, kind, level, low, high, dtype, gap, verdict = members(value, COMPARISON, what)
    n = whole(trials, "trials", 1, 10**8)
    k, lost = whole(events, "events", 0, n), whole(missed, "lost", 0, n)
    need(k + lost <= n, "counts: more events and lost ones than trials")
    alpha = rational(level, "alpha")
    need(Fraction(1, 2**128) <= alpha < 1, "alpha: expected a number from 2^-128 to 1")
    need(stand.level in (None, alpha), "alpha: not the share of the total level")
    lo, hi = rational(low, "lo", 0, 1), rational(high, "hi", 0, 1)
    need(lo <= hi, "limits: lo is above hi")
    sequence = choice(kind, ("clopper-pearson", "confidence-sequence"), "interval") == "confidence-sequence"
    for name, limit, count in (("lower limit", lo, k), ("upper limit", 1 - hi, n - k - lost)):
        need(is_excluded(limit, count, n, alpha, sequence), f"{name}: not shown to be valid at level {shown(level)}")
        answer.met(f"{what}: {name}")
    answer.derived.append(f"{what}: limits [{low}, {high}] at level {level} ({kind})")
    answer.rests.append(f"{what}: {k} events and {lost} lost ones in {n} independent replicas; interval named before")
    parameters = sum(b * (a + 1) for a, b in pairwise(case.widths))
    single = choice(dtype, ("float32", "float64"), "dtype") == "float32"
    step = max(Fraction(1, 100_000), Fraction(parameters * single, 2**23))
    need(rational(gap, "resolution") == step, f"resolution: expected {step}")
    answer.met(f"{what}: resolution")
    right = verdict_of(relation, stand.status, stand.bound, (lo, hi), step)
    need(choice(verdict, VERDICTS, "verdict") == right, f"verdict: {verdict}, but the rules give {right}")
    answer.derived.append(f"{what}: verdict {verdict}")
    answer.met(f"{what}: verdict")


def check_training(value: Json, case: Case, claim: Claim, stand: Stand, arithmetic: Arithmetic, answer: Answer) -> None:
    """The risk level, the margin, and the trained replicas of each optimizer (FORMAT section 10a)."""
    level, network, gap, runs = members(value, "risk network margin runs", "training")
    upper = claim.relation == "p <= B"
    need(not upper or level is gap is None, "training: no risk follows from an upper bound of a probability")
    constant = claim.dead in (None, case.hidden[0])
    least = case.constant_risk if case.labels else None
    most = None if level is None else rational(level, "risk")
    if most is not None and constant and least is not None:
        need(most < least, "risk: the level is not below the risk of every constant")
        answer.derived.append(f"the event forces a risk above U = {level}: nu + V = {least}")
    elif most is not None:
        answer.taken.append(f"the event forces a risk above U = {level}")
    reached = None
    if network is not None:
        need(bool(case.labels), "training: a network without rows")
        need(not case.hidden[1:] or min(case.hidden[1:]) >= case.widths[-1], "network: a later layer is too narrow")
        widths, work = [case.hidden[0], case.widths[-1]], arithmetic.work
        outputs = [output(network, x, widths, work) for x in case.inputs]
        size = max(v.denominator.bit_length() for f in outputs for v in f)
        work.spend(sum(map(len, case.labels)) * widths[1] * (1 + (size + DATA_BITS) // 512))
        reached = case.risk(outputs)
        need(most is None or reached <= most, "risk: the network does not reach the level")
        answer.derived.append(f"a network of these widths has risk {decimal(reached, 1)} or less")
    elif most is not None:
        answer.taken.append(f"networks of these widths reach a risk of at most U = {level}")
    if gap is not None:
        eps = rational(gap, "margin")
        known = constant and least is not None and reached is not None and stand.bound is not None
        need(known and 0 < eps <= (least or 0) - (reached or 0), "margin: not shown by the network")
        answer.derived.append(f"margin: on the event the risk stays {gap} above the optimal one")
    answer.met("training")
    for i, run in enumerate(runs):
        optimizer, risk, frozen = members(run, RUN, "run")
        holds, fails = read_optimizer(optimizer, answer)
        need(case.holds <= holds and case.fails <= fails, "run: the optimizer is not one of those of the case")
        if risk is not None:
            need(most is not None, "run: no risk level")
            check_comparison(risk, f"run {i + 1}", "p >= B", case, stand, answer)
        if frozen is not None:
            told, same, verdict = members(frozen, "claimed kept verdict", "persistence")
            c = whole(told, "claimed", 0, 10**8)
            k = whole(same, "kept", 0, c)
            kept = "UNDECIDED" if c == 0 else "CONSISTENT" if k == c else "REFUTED"
            right = kept if "FB" in holds else "NOT APPLICABLE" if "FB" in fails else "UNDECIDED"
            need(verdict == right, f"persistence: the rules give {right}")
            answer.rests.append(f"run {i + 1}: {k} of {c} trained replicas kept the bits of what was dead")
            answer.derived.append(f"run {i + 1}: verdict on persistence {right}")
            answer.met(f"run {i + 1}: persistence")


def is_excluded(p: Fraction, k: int, n: int, alpha: Fraction, sequence: bool) -> bool:
    """Whether the numbers below p may be excluded when k of n replicas showed the event (of n - k: mirrored)."""
    if p == 0:
        return True
    if sequence and (p * n > k or p == 1):
        return False
    tail, point = binomial(n, k, p.numerator, p.denominator, TAIL_BITS, Work())
    most = (n + 1) * point[1] if sequence else 2 * tail[1]
    return bool(most <= alpha * 2**TAIL_BITS)


def verdict_of(relation: str, status: str, bound: Ends | None, limits: Ends, resolution: Fraction) -> str:
    if status != "holds" or bound is None:
        return "NOT APPLICABLE" if status == "fails" else "UNDECIDED"
    low, high = bound
    if (relation == "p >= B" and low <= 0) or (relation == "p <= B" and high >= 1):
        return "VACUOUS"
    answers = set()
    for wider in (Fraction(0), resolution):
        x, y = max(limits[0] - wider, Fraction(0)), min(limits[1] + wider, Fraction(1))
        below, above = y < low, x > high
        proved = {"p >= B": x >= high, "p <= B": y <= low, "p = B": False}[relation]
        refuted = {"p >= B": below, "p <= B": above, "p = B": below or above}[relation]
        answers.add("CONFIRMED" if proved else "REFUTED" if refuted else "CONSISTENT")
    return answers.pop() if len(answers) == 1 else "UNDECIDED"


# --- the whole -------------------------------------------------------------------------------------------------------


@dataclass
class Answer:
    """What was found so far, and the obligations that are still open; none is met before it is known."""

    derived: list[str] = field(default_factory=list)
    rests: list[str] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    open: set[str] = field(default_factory=lambda: {"hash", "case", "theorem", "conclusion"})

    def met(self, obligation: str) -> None:
        """Count off an obligation; each exactly once."""
        need(obligation in self.open, f"{obligation} is no open obligation")
        self.open.remove(obligation)


def check_document(document: dict[str, Json], answer: Answer) -> None:
    """Go through a certificate; every obligation is counted off where it is shown, and nowhere else."""
    keys = "format sha256 bits case theorem hypotheses quantities bound level comparison training"
    version, digest, precision, *parts = members(document, keys, "certificate")
    case_part, theorem_part, hypotheses, quantities, bound, level, comparison, training = parts
    need(version == VERSION, f"format {shown(str(version))}: this checker knows {VERSION}")
    content = {key: value for key, value in document.items() if key != "sha256"}
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    need(digest == hashlib.sha256(canonical.encode("ascii")).hexdigest(), "sha256 is not that of the content")
    answer.met("hash")
    arithmetic = Arithmetic(whole(precision, "bits", 64, 4096), Work())
    case = read_case(case_part, answer)
    answer.met("case")
    claim = read_theorem(theorem_part, case, answer)
    answer.met("theorem")
    need(isinstance(quantities, dict) and set(quantities) <= set(QUANTITIES), "quantities: an unknown one")
    answer.open |= {f"hypothesis {ident}" for ident in claim.hypotheses} | {f"quantity {name}" for name in quantities}
    answer.open |= {"bound"} if bound is not None else set()
    answer.open |= set(obligations(comparison, training))
    values = {n: check_quantity(n, q, case, claim, arithmetic, answer) for n, q in sorted(quantities.items())}
    status = check_hypotheses(hypotheses, case, claim, quantities.get("p_1"), arithmetic.work, answer)
    used, ends = {"p_1"} & set(values) if "neuron-can-be-dead" in claim.hypotheses else set(), None
    if bound is not None:
        need(status == "holds", f"bound: not all hypotheses hold ({status})")
        used |= names_in(bound.get("shape")) if isinstance(bound, dict) else set()
        ends = check_bound(bound, case, claim, values, arithmetic, answer)
        answer.met("bound")
    need(set(values) == used, f"quantities: {', '.join(sorted(set(values) ^ used))} given but not used, or the reverse")
    stand = Stand(status, ends, read_level(level, answer))
    if comparison is not None:
        check_comparison(comparison, "comparison", claim.relation, case, stand, answer)
    if training is not None:
        check_training(training, case, claim, stand, arithmetic, answer)
    about = f"B in [{decimal(ends[0], 0)}, {decimal(ends[1], 1)}]" if ends else f"no bound (hypotheses: {status})"
    answer.derived.append(f"conclusion: {claim.ident}, {claim.relation}, {about}")
    answer.met("conclusion")


def obligations(comparison: Json, training: Json) -> Iterator[str]:
    """What comparisons and trained replicas oblige to."""
    found = {} if comparison is None else {"comparison": comparison}
    if training is not None:
        yield "training"
        runs = members(training, "risk network margin runs", "training")[-1]
        for i, run in enumerate(listed(runs, "runs", 0, MOST_RUNS), start=1):
            _, risk, frozen = members(run, RUN, "run")
            found |= {} if risk is None else {f"run {i}": risk}
            yield from () if frozen is None else (f"run {i}: persistence",)
    yield from (f"{name}: {part}" for name in found for part in ("lower limit", "upper limit", "resolution", "verdict"))


def check_bound(
    value: Json, case: Case, claim: Claim, values: Mapping[str, Span], arithmetic: Arithmetic, answer: Answer
) -> Ends:
    """Evaluate the term, and the rebuilt bound where there is one; both must lie in the stated enclosure."""
    shape, low, high = members(value, "shape lo hi", "bound")
    lo, hi = rational(low, "bound: lo"), rational(high, "bound: hi")
    need(lo <= hi, "bound: lo is above hi")

    def inside(found: Span, what: str) -> None:
        need(lo * arithmetic.one <= found[0] and found[1] <= hi * arithmetic.one, f"bound: {what} is not in [lo, hi]")

    inside(arithmetic.shape(shape, values), "the value of the term")
    need(shape["kind"] != "best" or claim.relation == "p >= B", "bound: a best of several for another relation than >=")
    parts = shape["bounds"] if shape["kind"] == "best" else [shape]
    told = f"the term is the bound of {claim.ident} for this case: {shown(infix(shape), 2000)}"
    if arithmetic.number_used:
        answer.taken.append(f"a number stands for a bound, and {told}")
        return lo, hi
    partial = claim.ident in ("T14", "T15") or (claim.ident == "T12" and claim.flat)
    backward = [part for part in parts if part["kind"] == "backward"]
    need(partial or not backward, f"bound: {claim.ident} has no lines of survival")
    cited = partial and any(part["kind"] not in ("recursion", "backward") for part in parts)
    rebuilt = None if cited else rebuild(case, claim, set(values), backward)
    if rebuilt is None:
        answer.rests.append(told)
    else:
        inside(arithmetic.shape(rebuilt, values), "the rebuilt bound")
        answer.derived.append(f"the bound was rebuilt from widths, laws and data: {shown(infix(rebuilt), 2000)}")
    answer.derived.append(f"B in [{shown(low)}, {shown(high)}]")
    return lo, hi


def decimal(value: Fraction, up: int, digits: int = 6) -> str:
    """A short decimal, rounded down or up."""
    scaled, power = value, 0
    while scaled != 0 and abs(scaled) < Fraction(1, 10) and power < 1200:
        scaled, power = scaled * 10, power + 1
    number = (scaled * 10**digits).__ceil__() if up else (scaled * 10**digits).__floor__()
    sign, number = ("-", -number) if number < 0 else ("", number)
    return f"{sign}{number // 10**digits}.{number % 10**digits:0{digits}d}" + (f"e-{power}" if power else "")


def check_bytes(data: bytes) -> Outcome:
    """Check one certificate. It is rejected unless `_accept` says otherwise."""
    answer = Answer()
    try:
        check_document(parse(data), answer)
        return _accept(answer)
    except NotACertificate as error:
        return Outcome(f"NOT A CERTIFICATE: {error}", 2)
    except Rejected as error:
        return Outcome(f"REJECTED: {error}", 1)
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RecursionError, TypeError, ValueError) as error:
        return Outcome(f"REJECTED: the checker cannot go on ({type(error).__name__}: {shown(str(error))})", 1)


def _accept(answer: Answer) -> Outcome:
    """The only place that accepts."""
    need(not answer.open, f"not shown: {', '.join(sorted(answer.open))}")
    lists = tuple(answer.derived), tuple(answer.rests), tuple(answer.taken)
    return Outcome("ACCEPTED IN PART", 4, *lists) if answer.taken else Outcome("ACCEPTED", 0, *lists)


def check_file(path: str) -> Outcome:
    """Check the certificate in a file; anything that is no regular file of a bearable size is none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return Outcome("NOT A CERTIFICATE: not a regular file", 2)
            return check_bytes(file.read(MAX_BYTES + 1))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        return Outcome(f"NOT A CERTIFICATE: cannot be read: {shown(str(reason))}", 2)


def main(paths: Sequence[str]) -> int:
    """Check files, print what was found, and return the worst exit code."""
    if not paths:
        print("usage: checker.py FILE...")
        return 2
    codes = set()
    for path in paths:
        outcome = check_file(path)
        codes.add(outcome.code)
        print(f"{shown(path)}:")
        for line in outcome.lines():
            print(f"  {line}")
    return next(code for code in (2, 1, 4, 0) if code in codes)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
