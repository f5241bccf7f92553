"""The backward program of T14 and T15 as lines, each with the cells that show it (FORMAT.md, section 7).

The lines are those that `verify.enclosure.backward` chooses, so that both engines compute one number. Which cells show
a line is found here, with the checker's own arithmetic.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from fractions import Fraction

import sympy

from theorems.backward import TURNS, BackwardProgram, mean_turns
from verify.certificate.checker import Arithmetic, Rejected, Work
from verify.certificate.programs import HINT_BITS, QUANTITY_NAMES
from verify.certificate.terms import CannotBeWritten, Json, ratio, term_of
from verify.enclosure import backward as search
from verify.enclosure import evaluate

__all__ = ["backward_lines"]

Line = tuple[Fraction, Fraction]


def backward_lines(bound: BackwardProgram, quantities: Mapping[sympy.Symbol, Fraction]) -> Json:
    """Write the lines that the evaluation at these quantities chooses.

    Fails: CannotBeWritten if a line is not shown by the cells of the search, or there are too many layers.
    """
    known = {symbol: quantities[symbol] for symbol in bound.symbols}
    alone = len(bound.widths) == 1  # then the lengths do not matter
    later = sympy.Integer(0) if alone else bound.turns
    first, turns = (_number(expression, known) for expression in (bound.first, later))
    if len(bound.widths) > search.MAX_GRID_LAYERS or first <= 0:
        raise CannotBeWritten("lines of survival through so many layers")
    start = _number(mean_turns(bound.widths[0], bound.two_rays), {TURNS: turns}) / first
    lines = [] if alone else _lines(bound, _short(turns), _short(start))
    return {
        "kind": "backward",
        "first": term_of(bound.first, QUANTITY_NAMES),
        "turns": term_of(later, QUANTITY_NAMES),
        "widths": list(bound.widths),
        "rays": bound.n_rays,
        "two_rays": bound.two_rays,
        "lines": lines,
    }


def _number(expression: sympy.Expr, values: Mapping[sympy.Symbol, Fraction]) -> Fraction:
    symbols = {symbol: values[symbol] for symbol in expression.free_symbols}
    return evaluate(expression, symbols, tolerance=Fraction(1, 2**100)).hi


def _short(value: Fraction) -> Fraction:
    """A number with 24 bits a little above, as the search takes."""
    high = Fraction(1, search._ONE)
    while value > high:
        high *= 2
    step = high / (1 << search._SEARCH_BITS)
    return -(-value // step) * step


def _lines(bound: BackwardProgram, turns: Fraction, start: Fraction) -> list[Json]:
    """The lines from layer 1 to layer H - 1: the steps of `search._first_line`, each kept with what shows it."""
    widths, two_rays = bound.widths, bound.two_rays
    grid = search._grid(bound.cells, search._grid_end(max(turns, start), two_rays))
    touching = search._means(widths, two_rays, float(start))
    line, rays, found = search._last_line(()), bound.n_rays << search._BITS, list[Json]()
    for k in range(len(widths) - 1, -1, -1):
        lower = search._lower(line, search._Line(0, rays, 0, search._ONE), touching[k])
        if lower is not line and found:
            found[-1] = [ratio(Fraction(rays, search._ONE)), "0", "rays"]
        line = lower if found else line
        if k == 0:
            return found[::-1]
        rays, after = search._thinned(rays, widths[k]), _plain(line)
        if widths[k] > search.MAX_GRID_WIDTH:
            found.append([ratio(after[0]), ratio(after[1]), "wide"])
            continue
        earlier = search._earlier(line, grid, widths[k], widths[k - 1], two_rays)
        line = earlier[max(bisect_right([each.x for each in earlier], touching[k - 1]) - 1, 0)]
        cells = _cells(_plain(line), after, (widths[k - 1], widths[k]), grid, two_rays)
        found.append([*map(ratio, _plain(line)), cells])
    raise ValueError("no layers")


def _plain(line: search._Line) -> Line:
    """Height at 0 and slope."""
    slope = Fraction(line.rise, line.run)
    return (line.value - slope * line.x) / search._ONE, slope


def _cells(line: Line, after: Line, widths: tuple[int, int], grid: Sequence[int], two_rays: bool) -> list[str]:
    """Ends of cells that show a line: of the search, neighbours joined as long as they still show it."""
    before, width = widths
    layer = width, Fraction(1, 2 ** (before * width)) if before * width <= 4096 else Fraction(0), two_rays
    end = Fraction(1, 2) if two_rays else Fraction(1)
    places = [place for point in grid if (place := Fraction(point, search._ONE)) < end] + [end]
    arithmetic, kept, at = Arithmetic(HINT_BITS, Work(10**9)), [0], 0

    def holds(to: int) -> bool:
        return arithmetic.cell_holds(line, after, layer, places[at], places[to])

    while at < len(places) - 1:
        reach, step = 1, 2
        while step and at + reach < len(places):
            if at + reach + step < len(places) and holds(at + reach + step):
                reach, step = reach + step, 2 * step
            else:
                step //= 2
        if reach == 1 and not holds(at + 1):
            raise CannotBeWritten("a line of survival that cells of the search do not show")
        at += reach
        kept.append(at)
    shown = [places[i] for i in kept[1:-1]]
    if not _accepted(arithmetic, line, after, layer, shown):
        raise CannotBeWritten("a line of survival that the checker does not accept")
    return [ratio(place) for place in shown]


def _accepted(
    arithmetic: Arithmetic, line: Line, after: Line, layer: tuple[int, Fraction, bool], cells: Sequence[Fraction]
) -> bool:
    try:
        return arithmetic.line_holds(line, after, layer, [ratio(place) for place in cells])
    except Rejected:
        return False
