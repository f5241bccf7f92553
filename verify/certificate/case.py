"""The case of a certificate: widths, laws, data, optimizer (FORMAT.md, section 3)."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from itertools import groupby

import sympy

from theorems.errors import InvalidInput
from theorems.hypotheses import OptimizerClass, Property, Status
from theorems.laws import Law, Normal, TruncatedNormal, Uniform
from theorems.problem import Problem
from theorems.setting import DataSet
from verify.certificate.terms import CannotBeWritten, Json, ratio

__all__ = ["CertificateData", "case_part", "certificate_data", "common_class", "prose"]

MAX_PROSE, MAX_NUMBERS, MAX_DENOMINATOR_BITS = 2000, 200_000, 8192


def prose(text: str) -> str:
    """A text of at most 2,000 characters."""
    return text if len(text) <= MAX_PROSE else f"{text[: MAX_PROSE - 1]}…"


@dataclass(frozen=True)
class CertificateData:
    """Data as a certificate holds them; `rows` None: too long to be written, so that only numbers found from them are.

    digest: SHA-256 of the row text.
    """

    rows: tuple[tuple[str, ...], ...] | None
    digest: str


@lru_cache(maxsize=16)
def certificate_data(data: DataSet, most: int) -> CertificateData:
    """Write the rows as texts, and leave them out if there are more than `most` characters.

    Fails: InvalidInput if a number is too long for the format.
    """
    try:
        rows = tuple(tuple(ratio(value) for value in (*data.inputs[j], *label)) for j, label in data.rows)
    except CannotBeWritten:
        raise InvalidInput(
            f"data {data.name!r} have numbers of more than 2600 digits, which no certificate holds; expected "
            "shorter ones"
        ) from None
    text = "".join(f"{','.join(row)}\n" for row in rows)
    digest = hashlib.sha256(text.encode("ascii")).hexdigest()
    fits = len(text) <= most and len(rows) * len(rows[0]) <= MAX_NUMBERS and _short_denominator(data)
    return CertificateData(rows if fits else None, digest)


def _short_denominator(data: DataSet) -> bool:
    """Whether the least common denominator is one that the checker bears."""
    common = 1
    for values in (*data.inputs, *(label for _, label in data.rows)):
        common = math.lcm(common, *(value.denominator for value in values))
        if common.bit_length() > MAX_DENOMINATOR_BITS:
            return False
    return True


def case_part(problem: Problem, optimizer: Json, data: CertificateData, name: str) -> Json:
    """The member `case`."""
    return {
        "name": prose(name),
        "widths": list(problem.architecture.widths),
        "initialization": {
            "name": prose(problem.initialization.name),
            "independent": problem.initialization.independent,
            "laws": _laws(problem),
        },
        "data": _data_part(problem.data, data),
        "optimizer": optimizer,
    }


def _data_part(data: DataSet, written: CertificateData) -> Json:
    part = {"name": prose(data.name), "sha256": written.digest}
    if written.rows is not None:
        return part | {"rows": [list(row) for row in written.rows], "numbers": None}
    ranges = [[ratio(low), ratio(high)] for low, high in data.input_ranges]
    return part | {"rows": None, "numbers": {"ranges": ranges, "rays": data.n_rays, "opposite": data.rays_are_opposite}}


def _laws(problem: Problem) -> Json:
    if not problem.initialization.independent:
        return []
    pairs = [problem.layer_laws(layer) for layer in range(1, len(problem.architecture.hidden) + 1)]
    return [[len(list(group)), *map(_law, pair)] for pair, group in groupby(pairs)]


def _law(law: Law) -> Json:
    match law:
        case Uniform(half_width):
            return ["uniform", _square(half_width)]
        case Normal(scale):
            return ["normal", _square(scale)]
        case TruncatedNormal(scale):
            return ["truncated", _square(scale)]
        case _:
            return ["zero"]


def _square(scale: sympy.Expr) -> str:
    square = scale**2
    if not square.is_Rational:
        raise TypeError(f"the square of a scale is rational for every law, got {scale}")
    return ratio(Fraction(int(square.p), int(square.q)))


def common_class(optimizers: Sequence[OptimizerClass]) -> Json:
    """The properties that several optimizers all have, and those that all lack; of one optimizer what is known."""
    holds, fails = (_common(optimizers, status) for status in (Status.HOLDS, Status.FAILS))
    names = dict.fromkeys(optimizer.name for optimizer in optimizers)
    return {"name": prose(", ".join(names)), "holds": holds, "fails": fails}


def _common(optimizers: Sequence[OptimizerClass], status: Status) -> list[str]:
    return [p.name for p in Property if all(optimizer.about(p).status is status for optimizer in optimizers)]
