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
    if op == "join":
        return joined(rest[0], [term(part, names) for part in rest[1:]])
    if op == "pow":
        power = int(names[rest[1]] if isinstance(rest[1], str) else rest[1])
        base = term(rest[0], names)
        return [v**power for v in base] if isinstance(base, list) else base**power
    if op == "tail":
        n, k, p = rest[0], rest[1], term(rest[2], names)
        return sum(comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k, n + 1))
    values = [term(part, names) for part in rest]
    if op == "vector":
        return [entry for v in values for entry in (v if isinstance(v, list) else [v])]
    if op in ("init", "rest"):
        return values[0][:-1] if op == "init" else values[0][1:]
    if op == "sum":
        return mpmath.fsum(values[0])
    sizes = {len(v) for v in values if isinstance(v, list)}
    if sizes:
        (size,) = sizes
        return [operation(op, [v[i] if isinstance(v, list) else v for v in values]) for i in range(size)]
    return operation(op, values)


def joined(cells: list[list[int]], values: list[list[Any]]) -> list[Any]:
    found = [mpf(0)] * (1 + max(map(max, cells)))
    for v, w in zip(values[::2], values[1::2], strict=True):
        for i, row in enumerate(cells):
            for j, c in enumerate(row):
                found[c] += v[i] * w[j]
    return found


def operation(op: str, values: list[Any]) -> Any:
    if op in ("sub", "div"):
        return values[0] - values[1] if op == "sub" else values[0] / values[1]
    if op in ("add", "mul"):
        return mpmath.fsum(values) if op == "add" else mpmath.fprod(values)
    return max(values) if op == "max" else min(values) if op == "min" else getattr(mpmath, op)(*values)


def shape(s: Any, names: dict[str, Any]) -> Any:
    kind = s["kind"]
    if kind in ("closed", "number"):
        return term(s.get("term", s.get("value")), names)
    if kind == "backward":
        return backward(s, names)
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


def survival(n: int, signs: Any, two_rays: bool, y: Any) -> tuple[Any, Any]:
    """`p(y)` and `g(y)` of a layer."""
    off, rest = mpf(1) / 2**n, max(1 - y, 0)
    alive = 1 - max(off * rest**n, signs)
    length = (1 - (n + 2) * off / 2) * y - mpf(n) / 2 * off * y * rest ** (n - 1) if n > 1 else mpf(0)
    bent = y * (1 - off * ((n + 1) - n * (n - 1) * y / 4))
    return alive, min(length, bent) if two_rays else length


def backward(s: Any, names: dict[str, Any]) -> Any:
    """The value of a backward shape; -1 if a line is below what it bounds, at one of many lengths."""
    widths, lines = s["widths"], [*s["lines"], ["1", "0", None]]
    if len(lines) != len(widths) or (s["two_rays"] and s["rays"] != 2):
        return mpf(-1)
    ends = [mpf(i) / 400 for i in range(201)] + ([] if s["two_rays"] else [mpf(i) / 100 for i in range(51, 301)])
    kept = mpf(s["rays"])
    for k in range(len(widths) - 2, -1, -1):
        (a, b, by), (a2, b2, _) = lines[k], lines[k + 1]
        kept *= 1 - mpf(1) / 2 ** widths[k + 1]
        if by == "rays":
            if number(b) != 0 or number(a) < kept * (1 - mpf(10) ** -30):
                return mpf(-1)
            continue
        signs = mpf(1) / 2 ** (widths[k] * widths[k + 1])
        for y in ends:
            alive, length = survival(widths[k + 1], signs, s["two_rays"], y)
            if number(a) + number(b) * y < number(a2) * alive + number(b2) * length - mpf(10) ** -15:
                return mpf(-1)
    turns = term(s["turns"], names)
    length = survival(widths[0], mpf(0), s["two_rays"], turns)[1]
    return 1 - number(lines[0][0]) * term(s["first"], names) - number(lines[0][1]) * length


def training_is_true(document: dict[str, Any]) -> bool:
    """Whether level, risk, margin and persistence are as section 10a wants them; golden cases only."""
    level, training, bound = document["level"], document["training"], document["bound"]
    told = [document["comparison"], *(run["risk"] for run in (training or {"runs": []})["runs"])]
    if level is not None:
        share = Fraction(level["total"]) * (1 - Fraction(level["reserved"])) / level["comparisons"]
        if any(Fraction(c["alpha"]) != share for c in told if c is not None):
            return False
    if training is None:
        return True
    rows = [[Fraction(v) for v in row] for row in document["case"]["data"]["rows"]]
    mean = sum(y for _, y in rows) / len(rows)
    constant = sum((y - mean) ** 2 for _, y in rows) / len(rows)
    reached = None
    if training["network"] is not None:
        hidden, ((*slopes, shift),) = training["network"]
        found = [
            sum((Fraction(s) * max(Fraction(w) * x + Fraction(b), 0) for s, (w, b) in zip(slopes, hidden, strict=True)))
            + Fraction(shift)
            for x, _ in rows
        ]
        reached = sum((y - f) ** 2 for (_, y), f in zip(rows, found, strict=True)) / len(rows)
        if len(hidden) > document["case"]["widths"][1]:
            return False
    risk = None if training["risk"] is None else Fraction(training["risk"])
    if risk is not None and not (risk < constant and (reached is None or reached <= risk)):
        return False
    if training["margin"] is not None and not (
        reached is not None and 0 < Fraction(training["margin"]) <= constant - reached
    ):
        return False
    ends = Fraction(bound["lo"]), Fraction(bound["hi"])
    for run in training["runs"]:
        c, kept = run["risk"], run["persistence"]
        if c is not None:
            limits = Fraction(c["lo"]), Fraction(c["hi"])
            right = verdict("p >= B", ends, limits, Fraction(c["resolution"]))
            if risk is None or not limits_are_valid(c) or right != c["verdict"]:
                return False
        if kept is not None:
            same = (
                "UNDECIDED" if kept["claimed"] == 0 else "CONSISTENT" if kept["kept"] == kept["claimed"] else "REFUTED"
            )
            if kept["kept"] > kept["claimed"] or kept["verdict"] != same:
                return False
    return True


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
