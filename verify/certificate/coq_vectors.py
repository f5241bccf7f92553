"""Programs with vectors as programs with numbers alone, each entry a step of its own."""

from __future__ import annotations

from typing import Any

from verify.certificate.coq_terms import CannotBeStated
from verify.certificate.sums import add, mul

__all__ = ["unrolled"]

Json = Any
MOST_PRODUCTS = 2_000
Entries = dict[str, list[Json]]


def unrolled(shape: Json) -> Json:
    """The same program without vectors. Fails: CannotBeStated where joining parts takes too many products."""
    known: Entries = {}
    steps: list[Json] = []
    for name, term in shape["steps"]:
        found = _expanded(term, known)
        if not isinstance(term, str) and _is_vector(term, known):
            known[name] = [_named(f"{name}_{i}", entry, steps) for i, entry in enumerate(found)]
        else:
            steps.append([name, found])
    return {"kind": "program", "steps": steps, "result": _expanded(shape["result"], known)}


def _named(name: str, term: Json, steps: list[Json]) -> str:
    if isinstance(term, str):
        return term
    steps.append([name, term])
    return name


def _is_vector(term: Json, known: Entries) -> bool:
    if isinstance(term, str):
        return term in known
    op, *parts = term
    if op in ("sum", "tail"):
        return False
    return op in ("vector", "init", "rest", "join") or any(_is_vector(part, known) for part in _terms(op, parts))


def _terms(op: str, parts: list[Json]) -> list[Json]:
    """The arguments that are terms themselves."""
    return parts[:1] if op == "pow" else parts[2:] if op == "tail" else parts[1:] if op == "join" else parts


def _expanded(term: Json, known: Entries) -> Json:
    """A number as a term, a vector as the list of its entries."""
    if isinstance(term, str):
        return known.get(term, term)
    op, *parts = term
    terms = _terms(op, parts)
    vectors, values = [_is_vector(part, known) for part in terms], [_expanded(part, known) for part in terms]
    if op == "vector":
        return [e for value, many in zip(values, vectors, strict=True) for e in (value if many else [value])]
    if op in ("init", "rest"):
        return values[0][:-1] if op == "init" else values[0][1:]
    if op == "sum":
        return add(*values[0])
    if op == "join":
        return _joined(parts[0], values)
    if op == "tail":
        return [op, *parts[:2], *values]
    if not any(vectors):
        return _applied(op, values, parts)
    size = next(len(value) for value, many in zip(values, vectors, strict=True) if many)
    rows = [value if many else [value] * size for value, many in zip(values, vectors, strict=True)]
    return [_applied(op, list(entries), parts) for entries in zip(*rows, strict=True)]


def _applied(op: str, values: list[Json], parts: list[Json]) -> Json:
    if op in ("add", "mul"):
        return (add if op == "add" else mul)(*values)
    return [op, *values, parts[1]] if op == "pow" else [op, *values]


def _joined(cells: Json, values: list[list[Json]]) -> list[Json]:
    if sum(len(row) for row in cells) * len(values) > 2 * MOST_PRODUCTS:
        raise CannotBeStated("a law in so many parts takes Coq too long")
    sums: list[list[Json]] = [[] for _ in range(1 + max(map(max, cells)))]
    for first, second in zip(values[::2], values[1::2], strict=True):
        for a, row in zip(first, cells, strict=True):
            for b, c in zip(second, row, strict=True):
                sums[c].append(mul(a, b))
    return [add(*terms) for terms in sums]
