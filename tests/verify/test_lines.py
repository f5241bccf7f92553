"""The evaluator of T18's lines: exact recomputation, an independent program in floats, monotonicity, planted faults."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import comb, prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from theorems.bounds import P_DEAD, TOUR_ZEROS
from theorems.lines import LineProgram
from verify.enclosure import evaluate_bound
from verify.enclosure import lines as evaluator
from verify.enclosure.lines import MAX_LINE_WIDTH, run_lines

Array = NDArray[np.float64]


def value(
    widths: Sequence[int],
    zeros: float | Fraction,
    rays: int,
    p_dead: float | Fraction = 0,
    *,
    needed: int | None = None,
    opposite: bool = False,
) -> Fraction:
    program = LineProgram(tuple(widths), rays, needed, opposite)
    return run_lines(program, {P_DEAD: Fraction(p_dead), TOUR_ZEROS: Fraction(zeros)})


def product(widths: Sequence[int]) -> Fraction:
    return prod((1 - Fraction(1, 2**width) for width in widths), start=Fraction(1))


@pytest.fixture
def forgetful() -> Iterator[None]:
    """Nothing that was computed with a planted fault is remembered, nor anything from before."""
    evaluator._program.cache_clear()
    evaluator._table.cache_clear()
    yield
    evaluator._program.cache_clear()
    evaluator._table.cache_clear()


# --- the maximum over d --------------------------------------------------------------------------------------------


def mean(alpha: Sequence[int], d: Fraction) -> Fraction:
    """`E alpha_{Bin(n, 1-d)}`, exactly."""
    n = len(alpha) - 1
    return sum((comb(n, b) * (1 - d) ** b * d ** (n - b) * a for b, a in enumerate(alpha)), Fraction(0))


def spared(n: int, d: Fraction) -> Fraction:
    return Fraction(n, 2 ** (n + 1)) * (2 - 4 * d) * (2 * d) ** (n - 1) if n > 1 else Fraction(0)


LINES = st.integers(1, 8).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 4 * 2**30), min_size=n, max_size=n).map(lambda rises: [0, *np.cumsum(rises).tolist()]),
        st.integers(0, 4 * 2**30),
        st.integers(0, 4 * 2**30),
    )
)


@given(line=LINES, before=st.integers(2, 9), at=st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_the_maximum_is_an_upper_bound_and_nearly_sharp(line: tuple[list[int], int, int], before: int, at: int) -> None:
    alpha, beta, slope = line
    n = len(alpha) - 1
    table, row = evaluator._table(n), np.array([alpha])
    taken = evaluator._over(beta * table.spared, 26, up=False)[None, :]
    bend = evaluator._over(beta * table.spared_bend, 26)[None, :]
    starts = evaluator._starts_of_ranges(before)
    found = evaluator._highest(row, np.array([[slope]]), taken, bend, starts, table)[0, 0]

    def exact(d: Fraction) -> Fraction:
        return mean(alpha, d) - (2 - 4 * d) * slope - beta * spared(n, d)

    for a, highest in zip(range(2, before + 1), found, strict=True):
        low = Fraction(1, 2**a)
        assert highest >= exact(low + (Fraction(1, 2) - low) * Fraction(at, 1000))
        scale = max(alpha[-1], beta, slope, 2**20)
        assert highest <= max(exact(low + (Fraction(1, 2) - low) * Fraction(k, 64)) for k in range(65)) + scale / 64
    assert evaluator._missed_by_chords(row, table).max() <= n * n * 2 * alpha[-1] / 2**21 + 4


@pytest.mark.parametrize("n", [1, 2, 3, 7, 24])
def test_tables_are_rounded_to_the_safe_side(n: int) -> None:
    table, places = evaluator._table(n), evaluator._PLACES
    assert places[0] == 0
    assert places[-1] == Fraction(1, 2)
    assert all(high - low <= Fraction(1, 2**9) for low, high in pairwise(places))
    for index in range(0, len(places), 7):
        d = places[index]
        for b in range(n + 1):
            exact = comb(n, b) * (1 - d) ** b * d ** (n - b)
            assert 0 <= int(table.binomial[index, b]) - exact * 2**25 < 1
        assert 0 <= spared(n, d) * 2**26 - int(table.spared[index]) < 1
        assert int(evaluator._ZERO_FLOOR[index]) == (2 - 4 * d) * 2**22
    for index in range(0, len(places) - 1, 7):
        low, high = places[index : index + 2]
        inside = [low + (high - low) * Fraction(k, 4) for k in range(5)]
        for b in range(n - 1):
            largest = max(comb(n - 2, b) * (1 - d) ** b * d ** (n - 2 - b) for d in inside)
            assert table.peaks[index, b] >= largest * 2**20
    off = Fraction(1, 2**n)
    rho = 1 - (n + 2) * off / 2 if n > 1 else 0
    triples = sum(comb(n, b) for b in range(3, n + 1)) * off
    gap = sum(comb(n, m) * max(m - 1, 0) for m in range(n + 1)) * off * off
    for found, exact in ((table.contraction, rho), (table.triples, triples), (table.arc, 1 - (n + 1) * off + gap)):
        assert 0 <= found - exact * 2**26 < 1


def test_closed_walks_through_complete_graphs() -> None:
    """All degrees are even after as few edges as possible are doubled: none for odd `a`, a matching for even `a`."""
    assert [evaluator._closed_walk(a) for a in range(9)] == [0, 0, 2, 3, 8, 10, 18, 21, 32]
    assert evaluator._table(5).restarts.tolist() == [0, 0, 4, 9, 24, 30]


@given(values=st.lists(st.integers(-(2**50), 2**50), min_size=1, max_size=5), bits=st.integers(1, 30))
def test_division_rounds_as_told(values: list[int], bits: int) -> None:
    array = np.array(values)
    up, down = evaluator._over(array, bits), evaluator._over(array, bits, up=False)
    for v, above, below in zip(values, up.tolist(), down.tolist(), strict=True):
        assert above - 1 < Fraction(v, 2**bits) <= above
        assert below <= Fraction(v, 2**bits) < below + 1


# --- the whole program ---------------------------------------------------------------------------------------------


def law(n: int, d: Array) -> Array:
    return np.stack([comb(n, b) * (1 - d) ** b * d ** (n - b) for b in range(n + 1)], axis=1)


class Plain:
    """T18 written down again in floats: a fine grid of `d`, all lines of one layer in a list."""

    places = np.unique(np.concatenate([np.linspace(0, 0.5, 801), 2.0 ** -np.arange(1, 30)]))
    targets = (*np.linspace(0, 2, 17), 2.5, 3, 4, 5, 7, 10, 15, 25, 50, 150, 500, 1e9)

    def __init__(self, widths: Sequence[int]) -> None:
        self.widths = widths
        last = np.ones(widths[-1] + 1)
        last[0] = 0
        self.lines: list[tuple[Array, float]] = [(last, 0.0)]
        self.one, self.two = 1.0, 1.0
        for n, before in zip(widths[:0:-1], widths[-2::-1], strict=True):
            self.step(n, before)

    def step(self, n: int, before: int) -> None:
        q = 1 - (n + 1) * 2.0**-n
        j = n * 2.0 ** (-n - 1) - 2.0**-n + 4.0**-n
        self.one, self.two = self.one * (1 - 2.0**-n), self.two * q
        found = [each for alpha, beta in self.lines for each in self.rules(alpha, beta, n, before)]
        edge = min(
            self.one + (self.one - self.two) / 2,
            *((law(n, np.array([0.25])) @ alpha)[0] + beta * (q + j) for alpha, beta in self.lines),
        )
        heights, slopes = np.array([alpha for alpha, _ in found]), np.array([beta for _, beta in found])
        heights[:, 1] = self.one
        if before > 1:
            heights[:, 2] = np.minimum(heights[:, 2], min(edge, (heights[:, 2] + slopes).min()))
        heights = np.minimum(heights, heights[slopes <= 0].min(axis=0))
        heights = np.minimum(np.maximum.accumulate(heights, axis=1), 1)
        columns = range(min(3, before), before + 1)
        kept = {int((heights[:, a] + slopes * y).argmin()) for y in self.targets for a in columns}
        kept |= {int(np.where(slopes <= 0, heights[:, a], np.inf).argmin()) for a in columns}
        self.lines = [(heights[i], float(slopes[i])) for i in sorted(kept)]

    def rules(self, alpha: Array, beta: float, n: int, before: int) -> Iterator[tuple[Array, float]]:
        join = n * 2.0 ** (-n - 1) if n > 1 else 0.0
        tangents = np.linspace(0, 0.5, 9)
        fall = -n * law(n - 1, tangents) @ np.diff(alpha)
        h, dh = (2 * tangents) ** (n - 1), 2 * (n - 1) * (2 * tangents) ** max(n - 2, 0)
        tried = np.concatenate([-fall / 4 + beta * join * ((2 - 4 * tangents) * dh / 4 - h), -fall / 4, [0.0]])
        costs = [1.0 if a == 2 else 0.75 * (a * (a - 1) / 2 + (a / 2 if a % 2 == 0 else 0)) for a in range(n + 1)]
        costs[0] = costs[1] = 0.0
        triples = sum(comb(n, b) for b in range(3, n + 1)) * 2.0**-n
        for s in np.unique(np.maximum(tried, 0)):
            yield self.highest(alpha, beta * join, n, before, s), s + beta * (1 - (n + 1) * 2.0**-n + join)
            if n > 1:
                yield self.highest(alpha + beta * np.array(costs), 0.0, n, before, s), s + beta * triples

    def highest(self, alpha: Array, join: float, n: int, before: int, s: float) -> Array:
        d = self.places
        f = law(n, d) @ alpha - (2 - 4 * d) * (s + join * (2 * d) ** (n - 1))
        return np.array([0.0] + [f[d >= 2.0**-a - 1e-12].max() for a in range(1, before + 1)])

    def bound(self, zeros: float, p_dead: float, rays: int) -> float:
        n, best = self.widths[0], 1.0
        q, join = 1 - (n + 1) * 2.0**-n, n * 2.0 ** (-n - 1) if n > 1 else 0.0
        low = max(0.5 - zeros / 4, 0.0)
        d = np.unique(np.append(self.places[self.places > low], low))
        direct = rays * q + min(n, rays * n * 2.0**-n)
        points = 0.0 if n == 1 or rays == 1 else 1.0 if n == 2 else direct / 2
        if n > 2 and rays > 1:
            triples = rays * sum(comb(n, b) for b in range(3, n + 1)) * 2.0**-n
            walk = n * (n - 1) / 2 + (n / 2 if n % 2 == 0 else 0)
            points = min(points, (walk + triples + min(1, triples)) / 2)
        for alpha, beta in self.lines:
            tour = law(n, d) @ alpha - beta * join * (2 - 4 * d) * (2 * d) ** (n - 1)
            best = min(best, tour.max() + beta * (q + join) * zeros)
            best = min(best, (law(n, np.array([max(low, p_dead)])) @ alpha)[0] + beta * points)
        one, two = self.one * (1 - 2.0**-n), self.two * q
        return 1 - min(best, rays * one, one + (1 - 1 / rays) * zeros * (one - two))


CASES = [
    ((3,) * 8, 2, 0, 400),
    ((3,) * 8, 1000, 0, 1000),
    ((4,) * 6, 50, 0.1, 50),
    ((2, 3, 6, 3, 2), 5, 0, 10),
    ((5, 1, 4, 2, 3), 1.5, 0.2, 6),
    ((6,) * 5, 3, 0, 20),
    ((5,), 2, 0.25, 7),
    ((4, 4), 14.7, 0.05, 50),
]


@lru_cache
def plain_survival(widths: tuple[int, ...], zeros: float, p_dead: float, rays: int) -> float:
    return 1 - Plain(widths).bound(zeros, p_dead, rays)


def agrees(widths: tuple[int, ...], zeros: float, p_dead: float, rays: int) -> bool:
    """Within one part in two hundred of the bound on survival: the lines that are kept need not be the same."""
    found, plain = 1 - float(value(widths, zeros, rays, p_dead)), plain_survival(widths, zeros, p_dead, rays)
    return abs(found - plain) <= 0.005 * plain


@pytest.mark.parametrize(("widths", "zeros", "p_dead", "rays"), CASES, ids=str)
def test_against_a_plain_program(widths: tuple[int, ...], zeros: float, p_dead: float, rays: int) -> None:
    assert agrees(widths, zeros, p_dead, rays)


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("_closed_walk", lambda a: a * (a - 1) // 4),
        ("_triples", lambda n: Fraction(0)),
        ("_joins", lambda n: Fraction(n, 2 ** (n + 2))),
        ("_one_arc", lambda pairs: 2**30),
        ("_earlier_pairs", lambda pairs, width: pairs),
    ],
)
@pytest.mark.usefixtures("forgetful")
def test_the_plain_program_notices_planted_faults(monkeypatch: pytest.MonkeyPatch, name: str, fault: object) -> None:
    monkeypatch.setattr(evaluator, name, fault)
    assert not all(agrees(*case) for case in CASES[:3])


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("before", [2, 3, 5])
def test_two_layers_against_all_slopes(before: int, n: int) -> None:
    """With two layers a line is `max 1 - d^n - (2 - 4d) s`, slope `s`: the best of all `s` is found by brute force."""
    zeros, d = 4.0, np.linspace(0, 0.5, 1001)
    first = law(before, d)
    rho = 1 - (before + 2) * 2.0 ** (-before - 1)
    join = before * 2.0 ** (-before - 1) * (2 - 4 * d) * (2 * d) ** (before - 1)
    best = 1.0
    for s in np.linspace(0, 1, 401):
        f = 1 - d**n - (2 - 4 * d) * s
        alpha = np.array([0.0] + [f[d >= 2.0**-a - 1e-12].max() for a in range(1, before + 1)])
        alpha[1] = 1 - 2.0**-n
        alpha = np.maximum.accumulate(alpha)
        best = min(best, (first @ alpha - s * join).max() + s * rho * zeros, first[0] @ alpha + s * 1e3)
    found = 1 - float(value((before, n), zeros, 10**6))
    one, two = (1 - 2.0**-before) * (1 - 2.0**-n), (1 - (before + 1) * 2.0**-before) * (1 - (n + 1) * 2.0**-n)
    assert found <= min(best, one + zeros * (one - two)) + 1e-3


# --- exact and monotone --------------------------------------------------------------------------------------------

NETWORKS = st.lists(st.integers(1, 6), min_size=1, max_size=7)


@given(widths=NETWORKS)
@settings(max_examples=15, deadline=None)
def test_one_ray_is_exact(widths: list[int]) -> None:
    assert abs(value(widths, 0, 1) - (1 - product(widths))) <= Fraction(1, 2**1000)


@given(
    widths=NETWORKS,
    quarters=st.integers(0, 60),
    rays=st.integers(1, 30),
    p_dead=st.fractions(0, Fraction(1, 2)),
    more=st.fractions(0, 1, max_denominator=10**12),
)
@settings(max_examples=20, deadline=None)
def test_the_bound_is_monotone_and_below_the_ceiling(
    widths: list[int], quarters: int, rays: int, p_dead: Fraction, more: Fraction
) -> None:
    """Exactly so in `p_1`, since both ends of an enclosure of `p_1` are put in."""
    zeros = Fraction(quarters, 4)
    found = value(widths, zeros, rays, p_dead)
    assert 0 <= value(widths, zeros, rays) <= 1 - product(widths)
    assert value(widths, zeros, rays, p_dead + more * (Fraction(1, 2) - p_dead)) >= found
    assert value(widths, zeros + more, rays, p_dead) <= found + Fraction(1, 2**20)
    assert value(widths, zeros, rays + 1, p_dead) <= found + Fraction(1, 2**20)
    enough = [value(widths, zeros, rays, p_dead, needed=needed) for needed in range(1, widths[0] + 1)]
    assert all(more_likely >= less for more_likely, less in pairwise([*enough, found]))
    assert enough[-1] == found == value(widths, zeros, rays, p_dead, needed=widths[0] + 3)


@given(widths=st.lists(st.integers(1, 6), min_size=2, max_size=7), extra=st.integers(1, 6), zeros=st.integers(0, 20))
@settings(max_examples=12, deadline=None)
def test_another_layer_does_no_harm(widths: list[int], extra: int, zeros: int) -> None:
    """Up to the choice of lines: a layer in front or behind costs at most one part in fifty of the survival."""
    assert 1 - value([*widths, extra], zeros, 20) <= (1 - value(widths, zeros, 20)) * Fraction(51, 50)


@pytest.mark.usefixtures("forgetful")
def test_the_value_is_the_same_each_time_and_comes_as_a_number() -> None:
    first = value((4,) * 12, 3, 20)
    evaluator._program.cache_clear()
    assert value((4,) * 12, 3, 20) == first
    found = evaluate_bound(LineProgram((4,) * 12, 20), Fraction(0), {TOUR_ZEROS: Fraction(3)})
    assert found.lo == found.hi == first
    with pytest.raises(TypeError, match="no value for nu_0"):
        evaluate_bound(LineProgram((4,) * 12, 20), Fraction(0), {})


def test_one_layer_is_the_dead_first_layer() -> None:
    assert value((3,), 50, 50, Fraction(1, 4)) == pytest.approx(1 / 64, abs=1e-12)
    assert value((3,), 50, 50, Fraction(1, 4), needed=1) == pytest.approx(1 - 27 / 64, abs=1e-12)


def test_lemma_d_bounds_every_network() -> None:
    """`U <= (1 + nu_0) prod (1 - 2^-l)`, on which the rate rests; also for very wide and very deep networks."""
    for widths in [(3,) * 40, (8,) * 40, (2, 5000, 3, 6000, 2), (70, 1, 80), (MAX_LINE_WIDTH + 1,) * 5]:
        assert 1 - value(widths, 3, 50) <= 4 * product(widths)


def test_wide_layers_are_passed_over() -> None:
    assert 0 < value((2, 60, 2, 5000), 2, 9) <= 1 - product((2, 60, 2, 5000))
    assert value((60, 2, 2, 2), 2, 9, 0.3) > 0.2
    assert value((2, 2, 60), 2, 9) == pytest.approx(float(value((2, 2), 2, 9)), abs=1e-3)


@pytest.mark.usefixtures("forgetful")
def test_layers_beyond_the_budget_cost_little(monkeypatch: pytest.MonkeyPatch) -> None:
    deep = (3,) * 80
    whole = 1 - value(deep, 2, 400)
    monkeypatch.setattr(evaluator, "MAX_LINE_LAYERS", 40)
    evaluator._program.cache_clear()
    part = 1 - value(deep, 2, 400)
    assert product(deep) < part < Fraction(19, 10) * product(deep)
    assert whole != part
    assert abs(part - whole) <= whole / 100


def test_opposite_rays() -> None:
    """Golden values: nine hidden layers, derivation notes of T18; T8 has 0.870, 0.513, 0.064."""
    for width, golden in ((2, 0.877), (3, 0.545), (5, 0.059)):
        assert value((width,) * 9, 2, 2, opposite=True) == pytest.approx(golden, abs=1.2e-3)
    assert value((1, 3, 3), 2, 2, opposite=True) == pytest.approx(1 - 49 / 64, abs=1e-12)
