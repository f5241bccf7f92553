"""Rigorous evaluation of `theorems.backward.BackwardProgram`: integers for the program, balls for the first layer.

Where a line touches the function that it bounds is chosen in floats; that choice decides how good the bound is and
nothing else. On each cell of a grid `p` and `g` are replaced by affine functions above them, so that two values at the
ends of the cell bound `t p + s g` inside; beyond the grid `p` is constant and `g` is linear. A line of the upper
concave hull of all these values is above `t p + s g` everywhere. Proof: theorems/proofs/zero_bias.md, "The grid".

Numbers are integers that count units of `2^-64`; every rounding is upward.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

import sympy

from theorems.backward import TURNS, BackwardProgram, mean_turns
from verify.enclosure.arb import Ball, ball, compiled

__all__ = ["MAX_GRID_LAYERS", "MAX_GRID_WIDTH", "run_backward"]

MAX_GRID_LAYERS = 256
"""At most so many layers are run on the grid; `t = s = prod (1 - 2^-l_i)` over the layers after them is a choice."""
MAX_GRID_WIDTH = 40
"""A wider layer is passed over: `p <= 1` and `g(y) <= y`, so that `t` and `s` may stay as they are."""

_BITS = 64
_ONE = 1 << _BITS
_FINEST_OCTAVE = -12
_SEARCH_BITS = 24
Ends = tuple[int, int]
Balls = Mapping[sympy.Symbol, Ball]


class _Line(NamedTuple):
    """The line through `(x, value)` of slope `rise / run`."""

    x: int
    value: int
    rise: int
    run: int


class _Cell(NamedTuple):
    """Upper bounds of `p` and `g` at both ends of a cell; between them their affine interpolations are upper bounds."""

    alive: Ends
    length: Ends


def run_backward(bound: BackwardProgram, values: Balls) -> Ball:
    """Evaluate the bound at the given values of its quantities; only inside the `compute` of `refine`.

    Rigour:   outward; the grid's own error is on the safe side.
    """
    first = _at(bound.first, values)
    if len(bound.widths) == 1:
        return 1 - first
    turns = _at(bound.turns, values)
    length = _at(mean_turns(bound.widths[0], bound.two_rays), {TURNS: turns})
    line = _first_line(bound.widths, bound.n_rays, bound.two_rays, bound.cells, _above(turns), _above(length / first))
    slope = ball(Fraction(line.rise, line.run))
    return 1 - (ball(Fraction(line.value, _ONE)) - slope * ball(Fraction(line.x, _ONE))) * first - slope * length


def _at(expression: sympy.Expr, values: Balls) -> Ball:
    names = tuple(sorted(expression.free_symbols, key=str))
    return compiled(expression, names)(*(values[name] for name in names))


def _above(value: Ball) -> Fraction:
    """A number with few digits a little above; it places the grid and the tangents, so it need only be about right."""
    high = Fraction(1, _ONE)
    while not value <= ball(high):
        high *= 2
    low, step = 1 << (_SEARCH_BITS - 1), high / (1 << _SEARCH_BITS)
    up = 1 << _SEARCH_BITS
    while up - low > 1:
        middle = (low + up) // 2
        low, up = (low, middle) if value <= ball(middle * step) else (middle, up)
    return up * step


@lru_cache(maxsize=256)
def _first_line(
    widths: tuple[int, ...], n_rays: int, two_rays: bool, cells: int, turns: Fraction, start: Fraction
) -> _Line:
    """`t_1 + s_1 y`; `start` is where it should be low, the mean length after layer 1 given that it is alive."""
    narrow = [k for k in range(1, len(widths)) if widths[k] <= MAX_GRID_WIDTH]
    last = len(widths) - 1 if len(narrow) <= MAX_GRID_LAYERS else narrow[MAX_GRID_LAYERS] - 1
    line, rays = _last_line(widths[last + 1 :]), n_rays << _BITS
    for width in reversed(widths[last + 1 :]):
        rays = _thinned(rays, width)
    grid = _grid(cells, _grid_end(max(turns, start), two_rays))
    touching = _means(widths[: last + 1], two_rays, float(start))
    for k in range(last, 0, -1):
        line = _lower(line, _Line(0, rays, 0, _ONE), touching[k])
        rays = _thinned(rays, widths[k])
        if widths[k] <= MAX_GRID_WIDTH:
            lines = _earlier(line, grid, widths[k], widths[k - 1], two_rays)
            line = lines[max(bisect_right([each.x for each in lines], touching[k - 1]) - 1, 0)]
    return _lower(line, _Line(0, rays, 0, _ONE), touching[0])


def _last_line(widths: Sequence[int]) -> _Line:
    """The line 1 if no layers are left, else `(1 + y) prod (1 - 2^-l_i)` over these last layers."""
    survival = _ONE
    for width in reversed(widths):
        survival = _thinned(survival, width)
    return _Line(0, survival, survival if widths else 0, _ONE)


def _means(widths: Sequence[int], two_rays: bool, start: float) -> list[int]:
    """About the mean length after each layer given that all are alive, by the recursion `y <- g(y)/p(y)`."""
    means = [start]
    for before, n in pairwise(widths):
        y = min(means[-1], 0.5) if two_rays else means[-1]
        off, rest = 2.0**-n, max(1 - y, 0.0)
        joined = n * off / 2 * y * (1 - rest ** (n - 1))
        crossing = n * (n - 1) * off / 4 * y * y
        length = y * (1 - (n + 1) * off) + (min(joined, crossing) if two_rays else joined)
        means.append(length / (1 - max(off * rest**n, 2.0 ** (-n * before))))
    return [int(mean * _ONE) for mean in means]


def _lower(line: _Line, other: _Line, x: int) -> _Line:
    """The lower one of two lines at `x`; either may be used."""
    heights = [each.value + (x - each.x) * each.rise // each.run for each in (line, other)]
    return line if heights[0] <= heights[1] else other


def _thinned(value: int, width: int) -> int:
    """`(1 - 2^-width) value`, rounded up."""
    return value - (value >> width)


def _grid_end(farthest: Fraction, two_rays: bool) -> int:
    """Exponent of the end of the grid: a power of 2, at least 1, beyond all tangent points; 1/2 for two rays."""
    if two_rays:
        return -1
    end = 0
    while 2**end < farthest:
        end += 1
    return end


def _grid(cells: int, end: int) -> tuple[int, ...]:
    """0, and `cells` equal cells in each octave from `2^-12` to `2^end`."""
    starts = [_ONE >> -octave if octave < 0 else _ONE << octave for octave in range(_FINEST_OCTAVE, end + 1)]
    inner = [low + low * cell // cells for low in starts[:-1] for cell in range(cells)]
    return (0, *inner, starts[-1])


def _earlier(line: _Line, grid: tuple[int, ...], width: int, before: int, two_rays: bool) -> list[_Line]:
    """Lines that may stand for `t_{k-1} + s_{k-1} y`, for layer `k` of this width after one of width `before`.

    They form a concave polygon; each is given by the point where it begins.
    """
    signs = Fraction(1, 2 ** (width * before)) if width * before <= _BITS else Fraction(0)
    heights = [0] * len(grid)
    for index, cell in enumerate(_cells(grid, width, signs, two_rays)):
        for side in (0, 1):
            value = _value(line, cell.alive[side], cell.length[side])
            heights[index + side] = max(heights[index + side], value)
    slope = 0
    if not two_rays:
        contraction = _up(_contraction(width))
        heights[-1] = max(heights[-1], _value(line, _up(1 - signs), -(-contraction * grid[-1] >> _BITS)))
        slope = -(-line.rise * contraction // line.run)
    return _hull(list(zip(grid, heights, strict=True)), slope)


def _value(line: _Line, alive: int, length: int) -> int:
    """`t alive + s length` for the line `t + s y`, rounded up; `t, s >= 0`."""
    exact = line.value * alive * line.run + line.rise * ((length << _BITS) - line.x * alive)
    return -(-exact // (line.run << _BITS))


def _hull(points: list[tuple[int, int]], slope: int) -> list[_Line]:
    """Upper concave hull of the points and of a ray of slope `slope 2^-64` to the right of the last one."""
    kept: list[tuple[int, int]] = []
    for point in points:
        while len(kept) > 1 and not _bends(kept[-2], kept[-1], point[1] - kept[-1][1], point[0] - kept[-1][0]):
            kept.pop()
        kept.append(point)
    while len(kept) > 1 and not _bends(kept[-2], kept[-1], slope, _ONE):
        kept.pop()
    lines = [_Line(x, value, there[1] - value, there[0] - x) for (x, value), there in pairwise(kept)]
    return [*lines, _Line(*kept[-1], slope, _ONE)]


def _bends(left: tuple[int, int], middle: tuple[int, int], rise: int, run: int) -> bool:
    """Whether the slope falls at the middle point."""
    return (middle[1] - left[1]) * run > rise * (middle[0] - left[0])


# --- affine upper bounds on the cells ------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def _cells(grid: tuple[int, ...], width: int, signs: Fraction, two_rays: bool) -> list[_Cell]:
    ends = [Fraction(point, _ONE) for point in grid]
    return [_Cell(_alive(a, b, width, signs), _length(a, b, width, two_rays)) for a, b in pairwise(ends)]


def _up(value: Fraction) -> int:
    return -(-value.numerator * _ONE // value.denominator)


def _alive(a: Fraction, b: Fraction, n: int, signs: Fraction) -> Ends:
    """Of `p = 1 - max(2^-n (1-y)_+^n, signs)` on `[a, b]`: the tangent in the middle, or the constant `1 - signs`."""
    middle, off = (a + b) / 2, Fraction(1, 2**n)
    rest = max(1 - middle, Fraction(0))
    height = 1 - off * rest**n
    if 1 - signs <= height:
        return _up(1 - signs), _up(1 - signs)
    tilt = off * n * rest ** (n - 1) * (b - a) / 2
    return _up(height - tilt), _up(height + tilt)


def _length(a: Fraction, b: Fraction, n: int, two_rays: bool) -> Ends:
    """Of `g` (`theorems.backward.mean_turns`) on `[a, b]`."""
    found = _tour(a, b, n)
    if two_rays:
        crossing = _two_rays(a, n), _two_rays(b, n)
        found = min(found, crossing, key=sum)
    return _up(found[0]), _up(found[1])


def _contraction(n: int) -> Fraction:
    """`rho(n)`."""
    return 1 - Fraction(n + 2, 2 ** (n + 1)) if n > 1 else Fraction(0)


def _two_rays(y: Fraction, n: int) -> Fraction:
    """`y (1 - 2^-n ((n+1) - n(n-1) y/4))`, convex: its chord is above it."""
    return y * (1 - Fraction(1, 2**n) * (n + 1 - n * (n - 1) * y / 4))


def _tour(a: Fraction, b: Fraction, n: int) -> tuple[Fraction, Fraction]:
    """Of `rho(n) y - (n/2) 2^-n r(y)`, `r(y) = y (1-y)_+^{n-1}`, by a lower bound of `r`."""
    rho, weight = _contraction(n), Fraction(n, 2 ** (n + 1))
    if n == 1 or a >= 1:
        return rho * a, rho * b
    low, high = _dip(a, b, n)
    return rho * a - weight * low, rho * b - weight * high


def _dip(a: Fraction, b: Fraction, n: int) -> tuple[Fraction, Fraction]:
    """Affine lower bound of `r(y) = y (1-y)^{n-1}` on `[a, b]` within [0, 1], `n >= 2`, by its values at the ends.

    `r` is concave up to `2/n` (its chord is below it) and convex beyond (its tangent is); it rises and then falls, so
    that on any cell it is least at an end.
    """
    if b <= Fraction(2, n):
        return a * (1 - a) ** (n - 1), b * (1 - b) ** (n - 1)
    if a < Fraction(2, n):
        lowest = min(a * (1 - a) ** (n - 1), b * (1 - b) ** (n - 1))
        return lowest, lowest
    middle = (a + b) / 2
    height = middle * (1 - middle) ** (n - 1)
    tilt = (1 - middle) ** (n - 2) * (1 - n * middle) * (b - a) / 2
    return height - tilt, height + tilt
