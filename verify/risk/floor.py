"""A certified lower bound of the optimal risk: what no network of a given size can go below."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from theorems.hypotheses import Evidence
from theorems.setting import DataSet
from verify.risk.lines import Line, lines_in
from verify.risk.segments import MAX_CELLS, Trail, linear_pieces, scalar_trail, segment_errors

__all__ = ["RiskFloor", "risk_floor"]

MAX_CLASSES = 4  # families of parallel lines tried first
MAX_SEGMENTS = 500_000  # whose errors are computed for one family of lines


@dataclass(frozen=True)
class RiskFloor:
    """A lower bound of `I(l')`, at least the noise floor; `why` says where it comes from."""

    value: Fraction
    evidence: Evidence
    why: str


def risk_floor(first_width: int, later_hidden: tuple[int, ...], data: DataSet) -> RiskFloor:
    """Lower bound of the optimal risk with hidden widths `(first_width, *later_hidden)`; first width 0: constants.

    Scalar inputs: the least error of as many affine groups as the network has linear pieces. Several coordinates: the
    same along disjoint lines on which many inputs lie, added up.

    Source:   math Lemma 7b, 7c; `I = nu + V` for constants (Lemma 4).
    Rigour:   a lower bound, exact but for the rounding down of segment errors; for constants the exact value.
    """
    noise, variance = data.noise_floor, data.variance
    if first_width == 0 or variance == 0:
        what = "all mean labels are equal (V = 0)" if variance == 0 else "without first-layer neurons only constants"
        return RiskFloor(noise + variance, Evidence.CERTIFIED, f"{what}: I(l') = nu + V")
    pieces = linear_pieces((first_width, *later_hidden))
    allowed = f"at most {pieces if pieces < 10**9 else 'more than 10^9'} linear pieces"
    if data.input_dim == 1:
        error = _error_of(_scalar_errors(data), pieces)
        why = f"the mean labels against {allowed}" if error else f"{allowed} leave no certified error"
        return RiskFloor(noise + error, Evidence.CERTIFIED, why)
    error, used, lines = _along_lines(data, pieces)
    why = f"{lines} disjoint lines hold {used} of {data.n_inputs} distinct inputs, with {allowed} along each"
    if not error:
        why = f"no line through more than {2 * pieces} inputs with labels off {pieces} affine pieces was found"
    return RiskFloor(noise + error, Evidence.CERTIFIED, why)


@lru_cache(maxsize=64)
def _scalar_errors(data: DataSet) -> tuple[Fraction, ...]:
    return segment_errors(scalar_trail(data))


def _error_of(errors: tuple[Fraction, ...], pieces: int) -> Fraction:
    return errors[pieces - 1] if pieces <= len(errors) else Fraction(0)


@lru_cache(maxsize=64)
def _along_lines(data: DataSet, pieces: int) -> tuple[Fraction, int, int]:
    """The largest error over a few families of disjoint lines; the numbers of inputs and of lines that add to it."""
    long_enough = [line for line in lines_in(data) if len(line.members) > 2 * pieces]
    max_cells = min(MAX_CELLS, math.isqrt(2 * MAX_SEGMENTS // max(len(long_enough), 1)))
    best = (Fraction(0), 0, 0)
    for order in _orders(long_enough):
        error, used, lines = Fraction(0), 0, 0
        for trail in _disjoint(data, order, 2 * pieces + 1):
            found = _error_of(segment_errors(trail, pieces, max_cells), pieces)
            if found:
                error, used, lines = error + found, used + len(trail.positions), lines + 1
        best = max(best, (error, used, lines))
    return best


def _orders(lines: list[Line]) -> Iterator[list[Line]]:
    """Orders in which disjoint lines are taken: a large family of parallel lines first, then the others by size."""
    classes: dict[tuple[int, ...], int] = {}
    for line in lines:
        classes[line.direction] = classes.get(line.direction, 0) + len(line.members)
    for direction in sorted(classes, key=lambda key: (-classes[key], key))[:MAX_CLASSES]:
        yield sorted(lines, key=lambda line: line.direction != direction)


def _disjoint(data: DataSet, lines: list[Line], least: int) -> Iterator[Trail]:
    """Each line without the inputs that earlier ones used, while at least `least` remain."""
    taken: set[int] = set()
    for line in lines:
        if sum(j not in taken for j in line.members) >= least:
            yield line.trail(data, taken)
            taken.update(line.members)
