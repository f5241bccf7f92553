"""A second reading of the format, in mpmath and scipy: values of terms, validity of limits, verdicts. No rigour."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from typing import Any

import mpmath
from scipy import stats

mpf = mpmath.mpf


def number(text: str) -> Any:
    value = Fraction(text)
    return mpf(value.numerator) / value.denominator


def term(t: Any, names: dict[str, Any]) -> Any:
    if isinstance(t, str):
        constants = {"pi": +mpmath.pi, "e": +mpmath.e}
        return names[t] if t in names else constants[t] if t in constants else number(t)
    op, *rest = t
    if op == "pow":
        return term(rest[0], names) ** int(names[rest[1]] if isinstance(rest[1], str) else rest[1])
    if op == "tail":
        n, k, p = rest[0], rest[1], term(rest[2], names)
        return sum(comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k, n + 1))
    values = [term(part, names) for part in rest]
    if op in ("sub", "div"):
        return values[0] - values[1] if op == "sub" else values[0] / values[1]
    if op in ("add", "mul"):
        return mpmath.fsum(values) if op == "add" else mpmath.fprod(values)
    return max(values) if op == "max" else min(values) if op == "min" else getattr(mpmath, op)(*values)


def shape(s: Any, names: dict[str, Any]) -> Any:
    kind = s["kind"]
    if kind in ("closed", "number"):
        return term(s.get("term", s.get("value")), names)
    if kind == "best":
        return max(shape(part, names) for part in s["bounds"])
    if kind == "program":
        known = dict(names)
        for name, t in s["steps"]:
            known[name] = term(t, known)
        return term(s["result"], known)
    if kind == "recursion":
        state = [term(t, names) for t in s["start"]]
        for count, values in s["layers"]:
            fixed = names | {n: term(v, names) for n, v in zip(s["parameters"], values, strict=True)}
            for _ in range(count):
                now = fixed | dict(zip(s["state"], state, strict=True))
                state = [term(t, now) for t in s["step"]]
        return term(s["result"], names | dict(zip(s["state"], state, strict=True)))
    widths, success = s["widths"], [t for count, t in s["success"] for _ in range(count)]

    def law(n: int, p: Any) -> list[Any]:
        return [comb(n, t) * p**t * (1 - p) ** (n - t) for t in range(n + 1)]

    mass = law(widths[0], term(s["first"], names))[: s["enough"] or widths[0]]
    for before, width, t in zip(widths, widths[1:], success, strict=False):
        laws = [law(width, term(t, names | {"a": mpf(before - k)})) for k in range(len(mass))]
        mass = [sum(m * row[j] for m, row in zip(mass, laws, strict=True)) for j in range(width)]
    return 1 - sum(mass)


def limits_are_valid(c: dict[str, Any]) -> bool:
    """Whether the limits of a comparison are valid, up to the errors of floats; far from the edge only."""
    n, alpha = c["trials"], float(Fraction(c["alpha"]))
    ends = ((Fraction(c["lo"]), c["events"]), (1 - Fraction(c["hi"]), n - c["events"] - c["lost"]))
    for p, k in ends:
        if p == 0:
            continue
        if c["interval"] == "clopper-pearson":
            excluded = 2 * stats.binom.sf(k - 1, n, float(p)) <= alpha * (1 + 1e-5)
        else:
            excluded = p * n <= k and (n + 1) * stats.binom.pmf(k, n, float(p)) <= alpha * (1 + 1e-5)
        if not excluded:
            return False
    return c["events"] + c["lost"] <= n and 0 < alpha < 1


def verdict(relation: str, bound: tuple[Fraction, Fraction], limits: tuple[Fraction, Fraction], gap: Fraction) -> str:
    """The verdict where all hypotheses hold, written as statements about sets of numbers."""
    low, high = bound
    if {"p >= B": low <= 0, "p <= B": high >= 1, "p = B": False}[relation]:
        return "VACUOUS"

    def answer(x: Fraction, y: Fraction) -> str:
        certainly_below, certainly_above = y < low, x > high
        if relation == "p >= B":
            return "REFUTED" if certainly_below else "CONFIRMED" if not x < high else "CONSISTENT"
        if relation == "p <= B":
            return "REFUTED" if certainly_above else "CONFIRMED" if not y > low else "CONSISTENT"
        return "REFUTED" if certainly_below or certainly_above else "CONSISTENT"

    plain = answer(*limits)
    careful = answer(max(limits[0] - gap, Fraction(0)), min(limits[1] + gap, Fraction(1)))
    return plain if plain == careful else "UNDECIDED"
