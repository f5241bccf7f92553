"""The backward program: cells and lines checked exactly, values against floats, simulation, planted faults."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import pi

import numpy as np
import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import binom

from theorems.backward import TURNS, BackwardProgram, mean_turns
from theorems.bounds import P_DEAD, TOUR_LENGTH, TOUR_ZEROS
from verify.enclosure import Enclosure, evaluate_bound
from verify.enclosure import backward as module

FALSE_ALARM = 1e-8  # of each comparison with simulation, by the exact binomial tail
ONE = 1 << 64
WIDTHS = st.integers(1, 9)
Line = module._Line


def program(
    widths: tuple[int, ...], rays: int, first: sympy.Expr | None = None, *, two_rays: bool = False, cells: int = 32
) -> BackwardProgram:
    """With the first layer bounded by its death along the tour alone."""
    one = sympy.Max(1 - TOUR_ZEROS / 2, 0) / 2
    start = 1 - one ** widths[0] if first is None else first
    return BackwardProgram(start, TOUR_ZEROS / 2, widths, rays, two_rays, cells)


def value(bound: BackwardProgram, turns: float | Fraction) -> Enclosure:
    return evaluate_bound(bound, Fraction(0), {TOUR_ZEROS: 2 * Fraction(turns)})


# --- what the program computes with, written down again, exactly ---------------------------------------------------


def alive(y: Fraction, n: int, before: int) -> Fraction:
    """`p(y)`."""
    return 1 - max(Fraction(1, 2**n) * max(1 - y, Fraction(0)) ** n, Fraction(1, 2 ** (n * before)))


def length_after(y: Fraction, n: int, two_rays: bool) -> Fraction:
    """`g(y)`."""
    if n == 1:
        return Fraction(0)
    q = Fraction(1, 2**n)
    along = y * (1 - Fraction(n + 2, 2) * q) - Fraction(n, 2) * q * y * max(1 - y, Fraction(0)) ** (n - 1)
    return min(along, y * (1 - q * (n + 1 - Fraction(n * (n - 1), 4) * y))) if two_rays else along


def at(line: Line, y: Fraction) -> Fraction:
    return Fraction(line.value, ONE) + Fraction(line.rise, line.run) * (y - Fraction(line.x, ONE))


def is_above(earlier: Line, later: Line, y: Fraction, n: int, before: int, two_rays: bool) -> bool:
    """`t_{k-1} + s_{k-1} y >= t_k p(y) + s_k g(y)`."""
    t, s = at(later, Fraction(0)), Fraction(later.rise, later.run)
    return at(earlier, y) >= t * alive(y, n, before) + s * length_after(y, n, two_rays)


@given(n=WIDTHS, y=st.fractions(0, 3, max_denominator=99), two_rays=st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_symbolic_contraction_is_the_exact_one(n: int, y: Fraction, two_rays: bool) -> None:
    y = min(y, Fraction(1)) if two_rays else y
    found = mean_turns(n, two_rays).subs(TURNS, sympy.Rational(y.numerator, y.denominator))
    assert Fraction(int(found.p), int(found.q)) == length_after(y, n, two_rays)


@given(
    n=st.integers(1, 14),
    before=WIDTHS,
    two_rays=st.booleans(),
    cells=st.sampled_from([1, 3, 8, 32]),
    inside=st.fractions(0, 1, max_denominator=64),
    pick=st.integers(0, 10**6),
)
@settings(max_examples=60, deadline=None)
def test_cells_are_above_the_functions(
    n: int, before: int, two_rays: bool, cells: int, inside: Fraction, pick: int
) -> None:
    grid = module._grid(cells, -1 if two_rays else 2)
    index = pick % (len(grid) - 1)
    cell = module._cells(grid, n, Fraction(1, 2 ** (n * before)), two_rays)[index]
    a, b = Fraction(grid[index], ONE), Fraction(grid[index + 1], ONE)
    y = a + inside * (b - a)
    for (left, right), exact in ((cell.alive, alive(y, n, before)), (cell.length, length_after(y, n, two_rays))):
        assert Fraction(left, ONE) * (1 - inside) + Fraction(right, ONE) * inside >= exact


def test_cells_are_tight() -> None:
    grid = module._grid(32, 1)
    for (a, b), cell in zip(pairwise(grid), module._cells(grid, 5, Fraction(1, 2**25), False), strict=True):
        for end, p, g in ((a, cell.alive[0], cell.length[0]), (b, cell.alive[1], cell.length[1])):
            y = Fraction(end, ONE)
            assert abs(float(Fraction(p, ONE) - alive(y, 5, 5))) < 2e-4
            assert abs(float(Fraction(g, ONE) - length_after(y, 5, False))) < 2e-4


@given(
    layer=st.tuples(WIDTHS, WIDTHS),
    two_rays=st.booleans(),
    weights=st.tuples(st.integers(0, 1000), st.integers(0, 2000)),
    cells=st.sampled_from([1, 2, 5, 16]),
    y=st.fractions(0, 9, max_denominator=999),
)
@settings(max_examples=80, deadline=None)
def test_lines_are_above_concave_and_non_decreasing(
    layer: tuple[int, int], two_rays: bool, weights: tuple[int, int], cells: int, y: Fraction
) -> None:
    """Every line of the polygon; also beyond the grid, which ends at 2 turns (at the largest angle for two rays)."""
    n, before = layer
    y = y / 18 if two_rays else y
    later = Line(0, ONE * weights[0] // 1000, weights[1], 1000)
    lines = module._earlier(later, module._grid(cells, -1 if two_rays else 1), n, before, two_rays)
    assert all(is_above(line, later, y, n, before, two_rays) for line in lines)
    slopes = [Fraction(line.rise, line.run) for line in lines]
    assert all(steep > flat for steep, flat in pairwise(slopes))
    assert slopes[-1] >= 0
    assert all(at(line, Fraction(0)) >= 0 for line in lines)


@pytest.mark.parametrize("fault", ["none", "slope beyond the grid", "rounding", "contraction", "joins"])
def test_wrong_lines_are_seen(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module._cells.cache_clear()
    if fault == "rounding":
        monkeypatch.setattr(module, "_up", lambda v: v.numerator * ONE // v.denominator - ONE // 10**4)
    elif fault == "contraction":
        monkeypatch.setattr(module, "_contraction", lambda n: 1 - Fraction(n + 3, 2 ** (n + 1)))
    elif fault == "joins":
        monkeypatch.setattr(module, "_dip", lambda a, b, n: (a, b))
    later = Line(0, ONE // 2, 1, 3)
    lines = module._earlier(later, module._grid(4, 1), 3, 3, False)
    if fault == "slope beyond the grid":
        lines[-1] = lines[-1]._replace(rise=0)
    points = [Fraction(i, 16) for i in range(80)]
    sound = all(is_above(line, later, y, 3, 3, False) for line in lines[::7] + lines[-1:] for y in points)
    module._cells.cache_clear()
    assert sound is (fault == "none")


@given(n=st.integers(1, 60), later=st.lists(WIDTHS, max_size=3), y=st.fractions(0, 8, max_denominator=500))
@settings(max_examples=60, deadline=None)
def test_the_closed_form_is_a_choice_of_weights(n: int, later: list[int], y: Fraction) -> None:
    """The trapezoidal inequality `p(y) + g(y) <= (1 - 2^-n)(1 + y)`, as the program uses it for the last layers."""
    line, next_line = module._last_line([n, *later]), module._last_line(later)
    assert is_above(line, next_line, y, n, 99, False)


def test_a_smaller_weight_of_the_length_would_be_wrong() -> None:
    halved = [module._last_line([3] * size)._replace(run=2 * ONE) for size in (2, 1)]
    assert not all(is_above(halved[0], halved[1], Fraction(i, 100), 3, 99, False) for i in range(200))


# --- values --------------------------------------------------------------------------------------------------------


def fine_value(widths: tuple[int, ...], rays: int, turns: float, two_rays: bool) -> float:
    """The program in floats on a fine grid, its tangents at the concentrated recursion's points."""
    grid = np.concatenate([np.linspace(0, 0.5, 4001), [] if two_rays else np.linspace(0.5, 12, 6001)[1:]])

    def both(y: NDArray[np.float64], n: int, before: int | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        q, left = 2.0**-n, np.maximum(1 - y, 0)
        p = 1 - np.maximum(q * left**n, 0 if before is None else 2.0 ** (-n * before))
        g = y * (1 - (n + 1) * q) + n / 2 * q * y * (1 - left ** (n - 1))
        return p, np.minimum(g, y * (1 - q * (n + 1 - n * (n - 1) * y / 4))) if two_rays else g

    first, length = (float(v[0]) for v in both(np.array([turns]), widths[0], None))
    means = [length / first]
    for before, n in pairwise(widths):
        p, g = both(np.array([min(means[-1], grid[-1])]), n, before)
        means.append(float(g[0] / p[0]))
    t, s, rest = 1.0, 0.0, float(rays)
    for k in range(len(widths) - 1, 0, -1):
        if rest < t + s * means[k]:
            t, s = rest, 0.0
        rest *= 1 - 2.0 ** -widths[k]
        p, g = both(grid, widths[k], widths[k - 1])
        t, s = support(grid, t * p + s * g, min(means[k - 1], grid[-1]))
    return 1 - min(t * first + s * length, rest * first)


def support(grid: NDArray[np.float64], heights: NDArray[np.float64], x: float) -> tuple[float, float]:
    """Intercept and slope of the concave hull at `x`; from the last point on it is constant."""
    if x >= grid[-1]:
        return float(heights.max()), 0.0
    kept: list[int] = []
    for i in range(len(grid)):
        while len(kept) > 1 and (heights[kept[-1]] - heights[kept[-2]]) * (grid[i] - grid[kept[-1]]) <= (
            heights[i] - heights[kept[-1]]
        ) * (grid[kept[-1]] - grid[kept[-2]]):
            kept.pop()
        kept.append(i)
    right = min(max(int(np.searchsorted(grid[kept], x, side="right")), 1), len(kept) - 1)
    a, b = kept[right - 1], kept[right]
    slope = (heights[b] - heights[a]) / (grid[b] - grid[a])
    return float(heights[a] - slope * grid[a]), float(slope)


@pytest.mark.parametrize(
    ("widths", "rays", "turns", "two_rays"),
    [
        ((3,) * 10, 8, 1.0, False),
        ((3,) * 10, 2, 0.9, True),
        ((3,) * 10, 2, 0.9, False),
        ((2, 5, 3, 3, 1, 4, 2), 30, 0.7, False),
        ((4,) * 12, 3, 1.6, False),
        ((6,) * 25, 2, 0.15, True),
        ((1, 1, 2), 5, 0.4, False),
        ((3,) * 20, 60, 9.4, False),
    ],
)
def test_values_against_floats(widths: tuple[int, ...], rays: int, turns: float, two_rays: bool) -> None:
    """The program in floats on a finer grid is met within 1e-3."""
    found = value(program(widths, rays, two_rays=two_rays), turns)
    assert float(found.lo) == pytest.approx(fine_value(widths, rays, turns, two_rays), abs=1e-3)
    assert found.width < 1e-9


@pytest.mark.parametrize(
    ("widths", "length", "rays", "golden"), [((3,) * 10, 2 * pi, 8, 0.507), ((3,) * 30, 46.3, 50, 0.930)]
)
def test_golden_values(widths: tuple[int, ...], length: float, rays: int, golden: float) -> None:
    """Values in the derivation notes of T14, computed there by another program."""
    assert float(value(program(widths, rays), length / (2 * pi)).lo) == pytest.approx(golden, abs=1.1e-3)


def test_two_rays_do_better_than_a_tour() -> None:
    """Golden: 0.5698 for opposite rays, 3 x 10, from a dynamic program in floats that chooses anew for every length."""
    ray_wise, tour_wise = (value(program((3,) * 10, 2, two_rays=two), 1).lo for two in (True, False))
    assert float(ray_wise) == pytest.approx(0.5698, abs=1e-3)
    assert tour_wise < ray_wise


def test_coarse_grids_are_safe() -> None:
    found = [value(program((3,) * 12, 9, cells=cells), Fraction(11, 10)).lo for cells in (1, 2, 8, 32)]
    assert all(coarse <= fine + Fraction(1, 10**4) for coarse, fine in pairwise(found))
    assert found[0] < found[-1]


def closed_form(widths: tuple[int, ...], rays: int, turns: float) -> float:
    return 1 - min(rays, 1 + turns) * float(np.prod([1 - 2.0**-n for n in widths]))


@given(widths=st.lists(st.integers(1, 7), min_size=1, max_size=8), turns=st.sampled_from([0.0, 0.2, 1.0, 3.7]))
@settings(max_examples=8, deadline=None)
def test_between_the_closed_form_and_the_ceiling(widths: list[int], turns: float) -> None:
    for rays in (1, 20):
        first = sympy.Min(program(tuple(widths), rays).first, rays * (1 - sympy.Rational(1, 2 ** widths[0])))
        found = value(program(tuple(widths), rays, first), turns)
        assert closed_form(tuple(widths), rays, turns) - 1e-3 <= found.lo
        assert found.hi <= closed_form(tuple(widths), 1, 0) + 1e-9


def test_many_layers_and_wide_ones() -> None:
    """More layers than are run on the grid, and layers that are passed over."""
    deep = (8,) * 700
    found = value(program(deep, 8), 1)
    assert closed_form(deep, 8, 1.0) <= found.lo < found.hi < closed_form(deep, 1, 0)
    assert found.lo > 0.89
    mixed = (3, 50, 3, 400, 3)
    assert module.MAX_GRID_WIDTH < 50
    plain = value(program((3, 3, 3), 8), 1)
    assert value(program(mixed, 8), 1).lo == pytest.approx(float(plain.lo), abs=2e-3)


def test_layers_after_those_on_the_grid_are_bounded_safely(monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer layers on the grid the bound is not better, and still above the closed form."""
    widths = (3, 2, 4, 3, 2, 3, 5, 3)
    for turns in (0.1, 0.5, 1.0):
        full = value(program(widths, 9), turns)
        monkeypatch.setattr(module, "MAX_GRID_LAYERS", 2)
        module._first_line.cache_clear()
        short = value(program(widths, 9), turns)
        monkeypatch.undo()
        module._first_line.cache_clear()
        assert closed_form(widths, 9, turns) - 1e-9 <= short.lo <= short.hi <= full.hi + Fraction(1, 10**5)


def test_one_layer_and_quantities_of_the_case() -> None:
    one = program((4,), 3, 1 - P_DEAD**4)
    assert one.symbols == {P_DEAD}
    assert evaluate_bound(one, Fraction(1, 2)).contains(Fraction(1, 16))
    two = BackwardProgram(1 - P_DEAD**4, TOUR_LENGTH / (2 * sympy.pi), (4, 4), 3)
    assert two.symbols == {P_DEAD, TOUR_LENGTH}
    with pytest.raises(TypeError, match="c_0"):
        evaluate_bound(two, Fraction(0))


@given(step=st.integers(1, 40))
@settings(max_examples=6, deadline=None)
def test_longer_tours_do_not_help(step: int) -> None:
    bound = program((3, 4, 2, 3), 6)
    shorter, longer = value(bound, Fraction(step, 25)), value(bound, Fraction(step + 1, 25))
    assert longer.lo <= shorter.hi + Fraction(1, 10**4)


# --- simulation ----------------------------------------------------------------------------------------------------


def dead_layers(inputs: NDArray[np.float64], widths: tuple[int, ...], law: str, trials: int) -> int:
    rng = np.random.default_rng(2)
    outputs = np.broadcast_to(inputs, (trials, *inputs.shape))
    dead = np.zeros(trials, dtype=bool)
    for width in widths:
        shape = (trials, outputs.shape[2], width)
        weights = (
            rng.choice([-1.0, 1.0], shape) * (1 + 0.05 * rng.random(shape))
            if law == "nearly Rademacher"
            else rng.standard_normal(shape)
        )
        outputs = np.maximum(outputs @ weights, 0)
        dead |= ~(outputs > 0).any(axis=(1, 2))
    return int(dead.sum())


def test_two_rays_against_simulation() -> None:
    """Two normal rays at 3/4 of a half turn; the bound with a doubled probability of death is refuted."""
    trials, widths, turns = 40_000, (3,) * 6, 0.75
    events = dead_layers(np.array([[1.0, 0.0], [np.cos(pi * turns), np.sin(pi * turns)]]), widths, "normal", trials)
    claimed = float(value(program(widths, 2, two_rays=True), turns).lo)
    assert claimed > float(value(program(widths, 2), turns).lo) > 0
    assert binom.cdf(events, trials, claimed) > FALSE_ALARM
    wrong = float(value(program(widths, 2, sympy.Rational(1, 2), two_rays=True), turns).lo)
    assert binom.cdf(events, trials, wrong) < FALSE_ALARM


@pytest.mark.parametrize("law", ["normal", "nearly Rademacher"])
@pytest.mark.parametrize(
    ("inputs", "zeros"),
    [
        pytest.param(np.array([[1.0], [-1.0]]), 2, id="opposite"),
        pytest.param(np.array([[1.0, 0.4], [-1.0, 0.3], [0.2, -1.0], [1.0, 0.9]]), 2, id="circle"),
        pytest.param(np.eye(4), 2, id="one-hot"),
    ],
)
@pytest.mark.parametrize("widths", [(3,) * 6, (2, 2, 2), (4, 2, 3, 5)], ids=str)
def test_tours_against_simulation(law: str, inputs: NDArray[np.float64], zeros: int, widths: tuple[int, ...]) -> None:
    trials = 20_000
    events = dead_layers(inputs, widths, law, trials)
    claimed = float(value(program(widths, len(inputs)), zeros / 2).lo)
    assert binom.cdf(events, trials, claimed) > FALSE_ALARM
