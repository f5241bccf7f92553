"""Every single field of a certificate changed in every way that comes to mind, and why some changes are harmless."""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from tests.verify.certificate import reference
from tests.verify.certificate.builders import SLACK, seal

Json = Any
Path = tuple[str | int, ...]

WORDS = (
    *("holds", "fails", "unknown", "p >= B", "p <= B", "p = B", "dead", "structural", "robust", "joint", "weights"),
    *("T1", "T2", "T3", "T4", "T5", "T7", "T8", "T10", "T11a", "T11b", "T12", "T13", "T14", "T15", "T16", "T18", "T19"),
    *("clopper-pearson", "confidence-sequence", "float32", "float64", "CONFIRMED", "CONSISTENT", "REFUTED"),
    *("NOT APPLICABLE", "UNDECIDED", "VACUOUS", "uniform", "normal", "truncated", "zero", "F", "FB", "DJ", "DW", "SL"),
    *("S", "D", "SS", "add", "mul", "sub", "div", "max", "min", "exp", "log", "atan", "erf", "sqrt", "p_1", "tau", "R"),
    *("data", "tree", "uniform_1d", "normal_1d", "box_uniform", "zero_bias_hull", "zero_bias_orthant", "closed"),
    *(
        "recursion",
        "chain",
        "best",
        "program",
        "number",
        "equal",
        "constant",
        "runs",
        "network",
        "count",
        "one-hidden-layer",
    ),
    *("several-hidden-layers", "labels-vary", "scalar-output", "zero-biases", "symmetric-laws", "nonzero-input"),
)
JUNK: tuple[Json, ...] = (
    None,
    True,
    False,
    0,
    1,
    -1,
    "",
    "0",
    "1",
    "1/2",
    "-1/2",
    "2/4",
    "x",
    [],
    {},
    [[]],
    10**17,
    "é",
)
PROSE = {"name", "names", "evidence", "why", "proof"}


def paths(value: Json, at: Path = ()) -> Iterator[Path]:
    if at and at != ("sha256",):
        yield at
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in parts:
        yield from paths(part, (*at, key))


def look(document: Json, at: Path) -> Json:
    for key in at:
        document = document[key]
    return document


def values(old: Json, rng: random.Random) -> Iterator[Json]:
    """Other values for a field."""
    yield from JUNK
    if isinstance(old, bool):
        yield not old
    elif isinstance(old, int):
        yield from (old + 1, old - 1, 2 * old, -old, str(old), old + 64)
    elif isinstance(old, str):
        for i, c in enumerate(old):
            if c.isdigit() and (len(old) < 8 or rng.random() < 8 / len(old)):
                yield old[:i] + str((int(c) + rng.randint(1, 9)) % 10) + old[i + 1 :]
        yield from (old + "0", "-" + old, old.upper(), old[1:])
        if re.fullmatch("-?[0-9]+(/[0-9]+)?", old):
            number = Fraction(old)
            yield from map(str, (number + 1, number / 2, 2 * number, -number, 1 - number, number + Fraction(1, 2**40)))
            yield from map(str, (number - Fraction(1, 2**40), number + Fraction(1, 10**6), number - Fraction(1, 10**6)))
        else:
            yield from rng.sample(WORDS, 12)
    elif isinstance(old, list):
        yield from (old[1:], old[:-1], [*old, *old[-1:]], old[::-1], [*old, None], [old])
        for i in range(len(old) - 1):
            yield [*old[:i], old[i + 1], old[i], *old[i + 2 :]]
    elif isinstance(old, dict):
        yield from ({**old, "more": 1}, *({k: v for k, v in old.items() if k != key} for key in old), list(old))
        yield from ({**old, a: old[b]} for a in old for b in old if a != b)


def changes(document: Json, rng: random.Random) -> Iterator[tuple[Path, Json]]:
    """Pairs of a place and another value for it."""
    for at in paths(document):
        old = look(document, at)
        yield from ((at, new) for new in values(old, rng) if type(new) is not type(old) or new != old)


def changed(document: Json, at: Path, new: Json) -> Json:
    """The certificate with that value there, its hash made right again."""
    mutant = copy.deepcopy(document)
    look(mutant, at[:-1])[at[-1]] = new
    return seal(mutant)


# --- harmless changes ------------------------------------------------------------------------------------------------

ANY_LAW = {"T1", "T2", "T3", "T4", "T5", "T7", "T8", "T11a", "T11b", "T15"}
CITED = {"T13", "T16", "T14"}  # of the golden ones: terms not rebuilt (T14 because of its number)


def close(new: str, old: str, way: int) -> bool:
    """Whether an end was moved outward (way -1: a lower end), or inward by less than the slack that it had."""
    return way * (Fraction(new) - Fraction(old)) >= -2 * SLACK


def consistent(document: Json) -> bool:
    """Whether limits and verdict are right for the stated bound, by the second reading."""
    c, b = document["comparison"], document["bound"]
    if not reference.training_is_true(document):
        return False
    if c is None:
        return True
    if not reference.limits_are_valid(c):
        return False
    if b is None:
        return c["verdict"] in ("NOT APPLICABLE", "UNDECIDED")
    ends = Fraction(b["lo"]), Fraction(b["hi"])
    limits, gap = (Fraction(c["lo"]), Fraction(c["hi"])), Fraction(c["resolution"])
    return reference.verdict(document["theorem"]["relation"], ends, limits, gap) == c["verdict"]


def bare(value: Json) -> Json:
    """A certificate without its prose."""
    if isinstance(value, dict):
        return {key: bare(part) for key, part in value.items() if key not in (*PROSE, "sha256")}
    return [bare(part) for part in value] if isinstance(value, list) else value


def value_inside(document: Json) -> bool:
    """Whether the value of the term is in the stated enclosure, by the second reading; true where there is no bound."""
    if document["bound"] is None:
        return True
    names = {
        name: reference.number(q["lo"] if q["lo"] is not None else q["hi"])
        for name, q in document["quantities"].items()
    }
    value = reference.shape(document["bound"]["shape"], names)
    lo, hi = reference.number(document["bound"]["lo"]), reference.number(document["bound"]["hi"])
    return bool(lo - 1e-15 <= value <= hi + 1e-15)


def harmless(original: Json, mutant: Json, at: Path) -> str | None:
    """Why a change leaves a true certificate; None if nothing says so."""
    if not consistent(mutant):
        return None
    ident = mutant["theorem"]["id"]
    if bare(mutant) == bare(original):
        return "prose"
    if at == ("bits",):
        return "another precision"
    if at[0] == "level":
        return "the same level of each comparison, or as stated"
    if at[0] == "training":
        return "true of the trained replicas all the same"
    if at == ("comparison",):
        return "nothing is claimed about counts"
    if at[0] == "comparison" and at[1] not in ("verdict", "resolution"):
        return "limits that are valid all the same"
    if at == ("bound",):
        return "claims nothing" if mutant["bound"] is None else None
    if at == ("bound", "lo"):
        wider = close(mutant["bound"]["lo"], original["bound"]["lo"], -1)
        return "an enclosure that holds the value" if wider or value_inside(mutant) else None
    if at == ("bound", "hi"):
        wider = close(mutant["bound"]["hi"], original["bound"]["hi"], 1)
        return "an enclosure that holds the value" if wider or value_inside(mutant) else None
    if at[:2] == ("bound", "shape"):
        return "a term of the same value" if value_inside(mutant) else None
    if at == ("quantities",):
        pairs = [(new, original["quantities"][name]) for name, new in mutant["quantities"].items() if name != "p_1"]
        wider = all(close(new["hi"], old["hi"], 1) for new, old in pairs) and value_inside(mutant)
        return "a size of the data that is larger than it need be" if wider else None
    if at[0] == "quantities" and len(at) == 3:
        end, new = at[2], look(mutant, at)
        if new is None:
            return "one end less" if at == ("quantities", "p_1", "hi") else None
        wider = close(new, look(original, at) or "1", -1 if end == "lo" else 1)
        return "a wider quantity that the bound's enclosure still holds" if wider and value_inside(mutant) else None
    if at[0] == "quantities" and at[2:3] == ("derivation",):
        return "another derivation, checked as well"
    if at[:1] == ("hypotheses",) and "certificate" in at:
        return "another certificate, checked as well"
    if at[:2] == ("case", "optimizer"):
        return "another premise from which the same follows"
    if at[:3] == ("case", "initialization", "laws"):
        return "the bound is the same for these laws" if ident in ANY_LAW | CITED or mutant["bound"] is None else None
    if at[:2] == ("case", "widths"):
        if ident in ("T7", "T11a", "T11b") and sorted(mutant["case"]["widths"]) == sorted(original["case"]["widths"]):
            return "the factors of the layers in another order"
        if ident in ("T3", "T4") and mutant["case"]["widths"][:2] == original["case"]["widths"][:2]:
            return "the bound is that of the first hidden layer, and the hypotheses are checked for the other widths"
        return "the term is cited, or there is none" if ident in CITED or mutant["bound"] is None else None
    if at[:2] == ("case", "data") and original["case"]["data"]["rows"] is None:
        return "facts of data that are not given are taken"
    if at == ("theorem", "id") and (ident not in ANY_LAW | {"T10", "T12", "T14"} or mutant["bound"] is None):
        return "the term is cited as that of the other theorem, or there is none"
    return None
