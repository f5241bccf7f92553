"""Rigorous evaluation of `theorems.lines.LineProgram`: integers throughout, every rounding on the safe side.

Lines are kept relative to `P_k = prod_{i>k} (1 - 2^-l_i)`, in units of `2^-30`, so that deep networks lose no digits.
The maximum over `d` in a rule is bounded on cells: on a cell of length `h` a function is at most the larger of its
values at the ends plus `h^2/8` times the largest value of minus its second derivative. Slopes are tried at tangents,
and the lines are kept that are lowest at some number of zeros; both choices are free. Proof: T18, "Evaluation", in
theorems/proofs/zero_bias_lines.md.

Lines above `_LIMIT` are dropped, which is allowed too; so all products of integers stay below `2^63`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import ceil, comb, floor
from typing import NamedTuple

import numpy as np
import sympy
from numpy.typing import NDArray

from theorems.bounds import P_DEAD, TOUR_ZEROS
from theorems.lines import LineProgram

__all__ = ["MAX_LINE_LAYERS", "MAX_LINE_WIDTH", "run_lines"]

MAX_LINE_WIDTH = 24
"""A wider layer is passed over: `S_{k-1}(G) <= max alpha + beta Z`. It is off at an input with probability <= 3e-8."""
MAX_LINE_LAYERS = 500
"""At most so many layers are run, those next to the inputs; the line `(1, ..., 1; 1 - Q_k/P_k)` stands for the rest."""

Integers = NDArray[np.int64]

_BITS = 30
_ONE = 1 << _BITS
_LIMIT = 64 * _ONE
_TABLE_BITS = 25
_COEFFICIENT_BITS = 26
_CURVATURE_BITS = 20
_PLACE_BITS = 22
_FINEST = MAX_LINE_WIDTH
_CELL_BITS = 9
_PRODUCT_BITS = 2048
_RESULT_BITS = 1024

_PLACES = tuple(
    sorted(
        {Fraction(k, 2**_CELL_BITS) for k in range(2 ** (_CELL_BITS - 1) + 1)}
        | {Fraction(1, 2**a) for a in range(_CELL_BITS, _FINEST + 1)}
    )
)
"""The ends of the cells of `d` in [0, 1/2], multiples of `2^-24`, among them all `2^-a`; no cell exceeds `2^-9`."""
_ZERO_FLOOR = np.array([int((2 - 4 * d) * 2**_PLACE_BITS) for d in _PLACES], dtype=np.int64)
_TANGENTS = tuple(Fraction(k, 16) for k in range(9))
_EIGHTHS = (*range(17), 20, 24, 32, 40, 56, 80, 120, 200, 400, 1200, 4000)
"""The numbers of zeros, times 8, at which the lowest lines are kept."""
_MANY_LAYERS = 150
"""Beyond so many layers fewer slopes are tried and fewer lines kept."""
_FEW_EIGHTHS = (*range(9), 12, 16, 24, 32, 56, 120, 400, 4000)
_FEW_TANGENTS = slice(0, None, 2)


class _Lines(NamedTuple):
    """Lines at one layer: row by row `alpha_0, ..., alpha_m` and `beta`, relative to `P_k`.

    `m` is the width of the layer; or 1, and `alpha_1` stands for all entries but `alpha_0`, if that is too large.
    """

    alpha: Integers
    beta: Integers


class _State(NamedTuple):
    """What is known at layer `k`, all relative to `P_k`.

    Symbols: flat = `alpha` of a line with slope 0, None if that is not known or large; apart = upper bound of the
    survival of an arc whose ends have disjoint supports; total = upper bound of `1/P_k`; pairs = lower bound of
    `Q_k/P_k`.
    """

    lines: _Lines
    flat: Integers | None
    apart: int
    total: int
    pairs: int


def run_lines(bound: LineProgram, values: Mapping[sympy.Symbol, Fraction]) -> Fraction:
    """Return the value of the bound: the number computed here *is* the bound, and it is exact as such.

    Rigour:   a lower bound of the probability of the event for every `p_1` from the given one on and every `nu_0` up
              to the given one; it never decreases with `p_1`.
    """
    first, *later = bound.widths
    p_dead, zeros = values[P_DEAD], values[TOUR_ZEROS]
    state = _program(bound.widths)
    product = 1 << _PRODUCT_BITS
    for width in later:
        product -= product >> width
    alive = _from_first_layer(state, bound, p_dead, zeros) * product
    alive = min(alive, _from_inputs(state, bound, zeros) * (product - (product >> first)))
    dead = 1 - alive / (1 << _PRODUCT_BITS)
    return max(Fraction(floor(dead * 2**_RESULT_BITS), 2**_RESULT_BITS), Fraction(0))


# --- the layers ----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def _program(widths: tuple[int, ...]) -> _State:
    """What is known at layer 1."""
    narrow = [k for k in range(1, len(widths)) if widths[k] <= MAX_LINE_WIDTH]
    last = len(widths) - 1 if len(narrow) <= MAX_LINE_LAYERS else narrow[MAX_LINE_LAYERS] - 1
    total, pairs = _ONE, _ONE
    for width in reversed(widths[last + 1 :]):
        total, pairs = _earlier_total(total, width), _earlier_pairs(pairs, width)
    constant = _constant(widths[last])
    state = _State(
        lines=_Lines(
            constant[None, :], np.array([_ONE - pairs], dtype=np.int64)
        ),  # R0, or Lemma D where layers are left out
        flat=constant if last == len(widths) - 1 else None,
        apart=_one_arc(pairs),
        total=total,
        pairs=pairs,
    )
    for k in range(last, 0, -1):
        state = _earlier(state, widths[k], widths[k - 1], many=len(narrow) > _MANY_LAYERS)
    return state


def _constant(width: int) -> Integers:
    alpha = np.full(width + 1 if width <= MAX_LINE_WIDTH else 2, _ONE, dtype=np.int64)
    alpha[0] = 0
    return alpha


def _earlier(state: _State, width: int, before: int, *, many: bool) -> _State:
    """Rules R1 to R3: from layer `k` of this width to layer `k - 1` of width `before`."""
    total, pairs = _earlier_total(state.total, width), _earlier_pairs(state.pairs, width)
    apart = _one_arc(pairs)
    if width > MAX_LINE_WIDTH:
        (alpha, beta), flat = _passed_over(state, width, before)
    else:
        (alpha, beta), flat = _stepped(state, width, before, many=many)
        apart = min(apart, _arc_step(state.lines, width))
    alpha = np.concatenate([alpha, _constant(before)[None, :]])  # Lemma D
    beta = np.append(beta, _ONE - pairs)
    if flat is not None:
        alpha, beta = np.concatenate([alpha, flat[None, :]]), np.append(beta, 0)
    if before <= MAX_LINE_WIDTH:
        alpha[:, 1] = _ONE
    if 2 <= before <= MAX_LINE_WIDTH:
        alpha[:, 2] = np.minimum(alpha[:, 2], min(apart, int((alpha[:, 2] + beta).min())))
    if flat is not None:
        alpha = np.minimum(alpha, alpha[-1])
    alpha = np.maximum.accumulate(np.minimum(alpha, total), axis=1)
    flat = alpha[-1] if flat is not None and alpha[-1, -1] <= _LIMIT else None
    return _State(_lowest(_Lines(alpha, beta), _FEW_EIGHTHS if many else _EIGHTHS), flat, apart, total, pairs)


def _lowest(lines: _Lines, eighths: tuple[int, ...]) -> _Lines:
    """The lines that are lowest at some number of zeros, for few and for many neurons."""
    alpha, beta = lines
    small = np.flatnonzero((alpha[:, -1] <= _LIMIT) & (beta <= _LIMIT))
    columns = sorted({min(3, alpha.shape[1] - 1), alpha.shape[1] // 2, alpha.shape[1] - 1})
    heights, steep = 8 * alpha[small][:, columns], beta[small]
    kept = sorted({int(small[row]) for zeros in eighths for row in (heights + zeros * steep[:, None]).argmin(axis=0)})
    return _Lines(alpha[kept], beta[kept])


def _passed_over(state: _State, width: int, before: int) -> tuple[_Lines, Integers | None]:
    """R1 with `s = 0`, `A <= max alpha` and `rho <= 1`."""

    def raised(alpha: Integers) -> Integers:
        constant = _constant(before) // _ONE
        return constant * _per_survivor(alpha[..., -1:], width)

    flat = None if state.flat is None else raised(state.flat)
    return _Lines(raised(state.lines.alpha), _per_survivor(state.lines.beta, width)), flat


def _stepped(state: _State, width: int, before: int, *, many: bool) -> tuple[_Lines, Integers | None]:
    """R1 and R2 with all slopes that are tried; R1 with `s = 0` for the line with slope 0."""
    table, starts = _table(width), _starts_of_ranges(before)
    alpha, beta = state.lines
    tried = _FEW_TANGENTS if many else slice(None)
    tangents = _tangents(alpha, table)
    corrected = tangents + _over(beta[:, None] * table.tangent_joins, _COEFFICIENT_BITS)
    slopes = _slopes(corrected[:, tried], tangents[:, tried])
    spared = _over(beta[:, None] * table.spared, _COEFFICIENT_BITS, up=False)
    bend = _over(beta[:, None] * table.spared_bend, _COEFFICIENT_BITS)
    parts = [(_highest(alpha, slopes, spared, bend, starts, table), slopes, _times(beta, table.contraction))]
    if width >= 2:
        raised = alpha + _over(beta[:, None] * table.restarts, 2)
        small = raised[:, -1] <= _LIMIT
        raised, none = raised[small], np.zeros((int(small.sum()), 1), dtype=np.int64)
        slopes = _slopes(_tangents(raised, table)[:, tried], tangents[small][:, tried])
        parts.append((_highest(raised, slopes, none, none, starts, table), slopes, _times(beta[small], table.triples)))
    highest = np.concatenate([each.reshape(slopes.size, -1) for each, slopes, _ in parts])
    beta = np.concatenate([(slopes + kept[:, None]).ravel() for _, slopes, kept in parts])
    flat = None
    if state.flat is not None:
        at_starts = _over(table.binomial[list(starts)] @ state.flat, _TABLE_BITS)
        flat = _in_full(_per_survivor(at_starts, width)[None, :], before)[0]
    return _Lines(_in_full(_per_survivor(highest, width), before), _per_survivor(beta, width)), flat


def _highest(
    alpha: Integers, slopes: Integers, spared: Integers, bend: Integers, starts: tuple[int, ...], table: _Table
) -> Integers:
    """`max A_alpha(d) - (2 - 4d) s - beta spared(d)` over `d` from each start to 1/2, for every line and slope.

    Symbols: bend = upper bound of what a chord of `-beta spared` misses on each cell.
    """
    values = _over(alpha @ table.binomial.T, _TABLE_BITS) - spared
    missed = _missed_by_chords(alpha, table) + bend
    lowered = values[:, None, :] - _over(slopes[:, :, None] * _ZERO_FLOOR, _PLACE_BITS, up=False)
    cells = np.maximum(lowered[..., :-1], lowered[..., 1:]) + missed[:, None, :]
    if not starts:
        return np.zeros((*slopes.shape, 0), dtype=np.int64)
    pieces = np.maximum.reduceat(cells, starts[::-1], axis=-1)[..., ::-1]
    found: Integers = np.maximum.accumulate(pieces, axis=-1)
    return found


def _missed_by_chords(alpha: Integers, table: _Table) -> Integers:
    """Upper bound of `h^2/8 max(-A_alpha'')` on each cell; `A'' = n (n-1) E[second difference at Bin(n-2, 1-d)]`."""
    falling = np.maximum(2 * alpha[:, 1:-1] - alpha[:, 2:] - alpha[:, :-2], 0)
    curvature = _over(falling @ table.peaks.T, _CURVATURE_BITS)
    return _over(curvature * (table.width * (table.width - 1)), 2 * _CELL_BITS + 3)


def _tangents(alpha: Integers, table: _Table) -> Integers:
    """`-A_alpha'(d)/4` at the places of `_TANGENTS`; rounded in no special direction."""
    return _over(np.diff(alpha) @ table.steps.T, _TABLE_BITS) * table.width // 4


def _slopes(*tried: Integers) -> Integers:
    slopes = np.concatenate([*tried, np.zeros((len(tried[0]), 1), dtype=np.int64)], axis=1)
    found: Integers = np.clip(slopes, 0, 8 * _LIMIT)
    return found


def _starts_of_ranges(before: int) -> tuple[int, ...]:
    """Indices of the places `2^-a`, `a = 2, ..., before`; of 0 if one entry stands for all `a`."""
    if before > MAX_LINE_WIDTH:
        return (0,)
    return tuple(_PLACES.index(Fraction(1, 1 << a)) for a in range(2, before + 1))


def _in_full(alpha: Integers, before: int) -> Integers:
    """Put in front `alpha_0`, and room for `alpha_1`, which R3 gives."""
    return np.pad(alpha, ((0, 0), (1 if before > MAX_LINE_WIDTH else 2, 0)))


def _arc_step(lines: _Lines, width: int) -> int:
    """Lemma E: `E alpha_{Bin(n, 3/4)} + beta (q + j)`."""
    table = _table(width)
    mean = _over(lines.alpha @ table.binomial[_PLACES.index(Fraction(1, 4))], _TABLE_BITS)
    return int(_per_survivor(mean + _times(lines.beta, table.arc), width).min())


def _one_arc(pairs: int) -> int:
    """Lemma D for one arc with 1/2 zero in the mean: `1 + (1 - Q/P)/2`."""
    return _ONE + (_ONE - pairs + 1) // 2


def _earlier_total(total: int, width: int) -> int:
    """Divide by `1 - 2^-width`, rounded up; beyond `2 _LIMIT`, where it tells nothing, it stays there."""
    return min(total - (-total // ((1 << width) - 1)), 2 * _LIMIT)


def _earlier_pairs(pairs: int, width: int) -> int:
    """Multiply by `P(Bin(n, 1/2) >= 2)/(1 - 2^-n)`, rounded down."""
    return pairs * ((1 << width) - width - 1) // ((1 << width) - 1)


def _per_survivor(values: Integers, width: int) -> Integers:
    """Divide by `1 - 2^-width`, rounded up."""
    found: Integers = values - (-values // min((1 << width) - 1, 2 * _LIMIT))
    return found


def _over(values: Integers, bits: int, *, up: bool = True) -> Integers:
    """Divide by `2^bits`, rounded up or down."""
    found: Integers = -(-values >> bits) if up else values >> bits
    return found


def _times(values: Integers, coefficient: int) -> Integers:
    """Multiply by `coefficient 2^-26`, rounded up."""
    return _over(values * coefficient, _COEFFICIENT_BITS)


# --- tables for one width ------------------------------------------------------------------------------------------


class _Table(NamedTuple):
    """Functions of `d` at the ends of the cells or on the cells, and constants, for `n = width`.

    Symbols: binomial = `P(Bin(n, 1-d) = b)`, rounded up; peaks = the largest `P(Bin(n-2, 1-d) = b)` on a cell;
    spared = `(n/2) 2^-n (2-4d) (2d)^{n-1}`, rounded down; spared_bend = `h^2/8` times its largest second derivative;
    restarts = `4 R_a`; contraction = `rho`; triples = `t`; arc = `q + j`; steps, tangent_joins = for the slopes.
    """

    width: int
    binomial: Integers
    peaks: Integers
    spared: Integers
    spared_bend: Integers
    restarts: Integers
    contraction: int
    triples: int
    arc: int
    steps: Integers
    tangent_joins: Integers


@lru_cache(maxsize=MAX_LINE_WIDTH)
def _table(n: int) -> _Table:
    off = Fraction(1, 2**n)
    cells = tuple(pairwise(_PLACES))
    return _Table(
        width=n,
        binomial=_integers([[_binomial(n, b, d) for b in range(n + 1)] for d in _PLACES], _TABLE_BITS),
        peaks=_integers([[_peak(n - 2, b, *cell) for b in range(n - 1)] for cell in cells], _CURVATURE_BITS),
        spared=-_integers([-_spared(n, d) for d in _PLACES], _COEFFICIENT_BITS),
        spared_bend=_integers([_bend(n, high) / 2 ** (2 * _CELL_BITS + 3) for _, high in cells], _COEFFICIENT_BITS),
        restarts=np.array([4 if a == 2 else 3 * _closed_walk(a) for a in range(n + 1)], dtype=np.int64),
        contraction=_coefficient(_pairs(n) + _joins(n)),
        triples=_coefficient(_triples(n)),
        arc=_coefficient(_pairs(n) + n * off / 2 - off + off * off),
        steps=_integers([[_binomial(n - 1, b, d) for b in range(n)] for d in _TANGENTS], _TABLE_BITS),
        tangent_joins=_integers([_joins(n) * _tangent_joins(n, d) for d in _TANGENTS], _COEFFICIENT_BITS),
    )


def _integers(values: Sequence[Fraction] | Sequence[list[Fraction]], bits: int) -> Integers:
    """Multiply by `2^bits`, rounded up."""
    scaled = [[ceil(v * 2**bits) for v in each] if isinstance(each, list) else ceil(each * 2**bits) for each in values]
    return np.array(scaled, dtype=np.int64)


def _coefficient(value: Fraction) -> int:
    return ceil(value * (1 << _COEFFICIENT_BITS))


def _binomial(n: int, b: int, d: Fraction) -> Fraction:
    """`P(Bin(n, 1-d) = b)`."""
    return comb(n, b) * (1 - d) ** b * d ** (n - b)


def _pairs(n: int) -> Fraction:
    """`q = P(Bin(n, 1/2) >= 2)`."""
    return 1 - Fraction(n + 1, 2**n)


def _triples(n: int) -> Fraction:
    """`t = P(Bin(n, 1/2) >= 3)`."""
    return _pairs(n) - Fraction(n * (n - 1), 2 ** (n + 1))


def _joins(n: int) -> Fraction:
    """`(n/2) 2^-n`, and 0 for one neuron; `rho = q + (n/2) 2^-n`."""
    return Fraction(n, 2 ** (n + 1)) if n > 1 else Fraction(0)


def _spared(n: int, d: Fraction) -> Fraction:
    """`(n/2) 2^-n (2 - 4d) (2d)^{n-1}`, 0 for one neuron."""
    return _joins(n) * (2 - 4 * d) * (2 * d) ** (n - 1)


def _peak(n: int, b: int, low: Fraction, high: Fraction) -> Fraction:
    """Largest `P(Bin(n, 1-d) = b)` for `d` in `[low, high]`: it rises up to `d = (n-b)/n` and falls from there."""
    top = Fraction(n - b, n) if n else low
    return _binomial(n, b, min(max(top, low), high))


def _bend(n: int, high: Fraction) -> Fraction:
    """Upper bound of the second derivative of `spared` for `d <= high <= 1/2`."""
    return 4 * n * (n - 1) * (n - 2) * (2 * high) ** (n - 3) / 2**n if n >= 3 else Fraction(0)


def _tangent_joins(n: int, d: Fraction) -> Fraction:
    """By how much the slope of a tangent changes with `beta (n/2) 2^-n`."""
    return (1 - 2 * d) * (n - 1) * (2 * d) ** max(n - 2, 0) - (2 * d) ** (n - 1)


def _closed_walk(a: int) -> int:
    """`E_a`, the edges of a shortest closed walk through all edges of the complete graph on `a` points."""
    if a < 2:
        return 0
    return a * a // 2 if a % 2 == 0 else a * (a - 1) // 2


# --- the first layer -----------------------------------------------------------------------------------------------


def _from_inputs(state: _State, bound: LineProgram, zeros: Fraction) -> Fraction:
    """Upper bound by Lemma D, or by the number of rays, before layer 1; relative to `P_0`."""
    rays = bound.n_rays
    lost = _ONE - _earlier_pairs(state.pairs, bound.widths[0])
    return min(Fraction(rays), 1 + (1 - Fraction(1, rays)) * zeros * Fraction(lost, _ONE))


def _from_first_layer(state: _State, bound: LineProgram, p_dead: Fraction, zeros: Fraction) -> Fraction:
    """Upper bound by rule R4 and for opposite rays; relative to `P_1`."""
    width, rays, lines = bound.widths[0], bound.n_rays, state.lines
    found = []
    if bound.opposite:
        alone = Fraction(2, 2**width)
        found.append(alone + (1 - alone) * Fraction(state.apart, _ONE))
    if width > MAX_LINE_WIDTH:
        mean_zeros = min(zeros, Fraction(rays, 2))
        pairs = zip(lines.alpha[:, -1], lines.beta, strict=True)
        return min([*found, *((int(top) + int(slope) * mean_zeros) / _ONE for top, slope in pairs)])
    alpha = lines.alpha.copy()
    if bound.needed is not None:
        alpha[:, : max(width - bound.needed + 1, 0)] = 0
    rarest = max(Fraction(1, 2) - zeros / 4, Fraction(0))
    found += _points(alpha, lines.beta, max(p_dead, rarest), _zeros_of_points(width, rays))
    found += _tour(alpha, lines.beta, rarest, zeros)
    return min(found)


def _zeros_of_points(n: int, rays: int) -> Fraction:
    """`nu_1`: upper bound of the mean number of zeros on a closed walk through the outputs of layer 1."""
    if n == 1 or rays == 1:
        return Fraction(0)
    if n == 2:
        return Fraction(1)
    triples = rays * _triples(n)
    direct = rays * _pairs(n) + min(Fraction(n), Fraction(rays * n, 2**n))
    around = _closed_walk(n) + triples + min(triples, Fraction(1))
    return min(direct, around) / 2


def _points(alpha: Integers, beta: Integers, p_dead: Fraction, zeros: Fraction) -> list[Fraction]:
    """R4, points: `A_alpha(p_1) + beta nu_1`, exactly."""
    means = _means(alpha, Fraction(floor(p_dead * 2**64), 2**64))
    return [(mean + int(slope) * zeros) / _ONE for mean, slope in zip(means, beta, strict=True)]


def _tour(alpha: Integers, beta: Integers, rarest: Fraction, zeros: Fraction) -> list[Fraction]:
    """R4, tour: the maximum of `A_alpha(d) - beta spared(d)` over `d` from `rarest` to 1/2, plus `beta rho nu_0`."""
    n = alpha.shape[1] - 1
    table = _table(n)
    low = Fraction(floor(rarest * 2**_FINEST), 2**_FINEST)
    values = _over(alpha @ table.binomial.T, _TABLE_BITS)
    values -= _over(beta[:, None] * table.spared, _COEFFICIENT_BITS, up=False)
    missed = _missed_by_chords(alpha, table) + _over(beta[:, None] * table.spared_bend, _COEFFICIENT_BITS)
    cells = np.maximum(values[:, :-1], values[:, 1:]) + missed
    after = bisect_right(_PLACES, low)  # the first place beyond `low`
    tops = cells[:, after:].max(axis=1, initial=0)
    if after < len(_PLACES):
        tops = np.maximum(tops, values[:, after] + missed[:, after - 1])
    contraction = _pairs(n) + _joins(n)
    spared = _spared(n, low)
    at_low = [mean - int(slope) * spared for mean, slope in zip(_means(alpha, low), beta, strict=True)]
    return [
        (max(exact, Fraction(int(top))) + int(slope) * contraction * zeros) / _ONE
        for exact, top, slope in zip(at_low, tops, beta, strict=True)
    ]


def _means(alpha: Integers, d: Fraction) -> list[Fraction]:
    """`A_alpha(d)` of every line, exactly."""
    n = alpha.shape[1] - 1
    law = [_binomial(n, b, d) for b in range(n + 1)]
    return [sum((p * int(a) for p, a in zip(law, row, strict=True)), Fraction(0)) for row in alpha]
