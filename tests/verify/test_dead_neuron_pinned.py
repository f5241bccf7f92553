"""Pinned forms and sums: below exact values and simulation; every rounding against exact enumeration.

Frequencies are seeded; a test fails for a true bound with probability below `FALSE_ALARM`, by the exact binomial tail.
"""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sympy
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import binom

from tests.verify.first_layers import FALSE_ALARM, NORMAL, TRUNCATED, UNIFORM, ZERO, dead_count, layer, lower
from theorems.errors import InvalidInput
from theorems.laws import Law, Normal, Uniform
from verify.data import DataSpec, load_data
from verify.dead_neuron.box import box_lattice
from verify.dead_neuron.one_dimensional import normal_1d, uniform_1d
from verify.dead_neuron.partition import cut, distribution, scale_ratio
from verify.dead_neuron.pinned_normal import pinned_normal
from verify.dead_neuron.pinned_sums import pinned_sums
from verify.dead_neuron.planar import normal_planar, uniform_planar
from verify.dead_neuron.result import FirstLayer
from verify.dead_neuron.slepian import one_factor, one_factor_bound
from verify.dead_neuron.tables import ONE, level_variance, row
from verify.enclosure import Enclosure

# The package has functions of the same names.
forms: Any = importlib.import_module("verify.dead_neuron.pinned_normal")
sums: Any = importlib.import_module("verify.dead_neuron.pinned_sums")


@pytest.fixture(autouse=True)
def _fewer_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bounds hold for any number of cells; fewer are faster."""
    monkeypatch.setattr(forms, "MOST_CELLS", 300_000)
    monkeypatch.setattr(forms, "MOST_WORK", 20_000_000)


def axes(dimension: int) -> list[list[int]]:
    return [[int(i == j) for i in range(dimension)] for j in range(dimension)]


# --- below exact values, and near them -------------------------------------------------------------------------------


@pytest.mark.parametrize("dimension", [1, 2, 3, 4])
def test_orthants(dimension: int) -> None:
    """Normal or uniform weights, no bias, one input on every axis: `p_1 = 2^-d`."""
    exact = Fraction(1, 2**dimension)
    assert exact * Fraction(7, 8) < lower(pinned_normal(layer(axes(dimension), NORMAL, ZERO))) <= exact
    answer = pinned_sums(layer(axes(dimension), UNIFORM, ZERO))
    assert answer is None or lower(answer) <= exact


@pytest.mark.parametrize(
    ("rows", "law", "least"),
    [
        ([(16, 0), (-9, 15), (-9, -15)], Normal(sympy.Integer(12)), "0.12"),
        ([(0, 0), (1, 0), (0, 1), (1, 1)], NORMAL, "0.26"),
        ([(3, 1), (-1, 2)], Normal(sympy.sqrt(2)), "0.26"),
        ([(0,), (1,)], NORMAL, "0.37"),
        ([(1, 2, 0), (0, 1, 1)], ZERO, "0.35"),
    ],
)
def test_normal_laws_in_a_plane(rows: list[Any], law: Law, least: str) -> None:
    first = layer(rows, NORMAL, law)
    exact = normal_planar(first)
    assert exact is not None
    assert Fraction(least) < lower(pinned_normal(first)) <= exact.enclosure.hi


@pytest.mark.parametrize(
    ("rows", "law", "least"),
    [
        ([(0, 0), (1, 0), (0, 1), (1, 1)], UNIFORM, "0.24"),
        ([(2, 1), (1, 3)], UNIFORM, "0.27"),
        ([(1, 2), (0, 1)], ZERO, "0.39"),
        ([(1, 1, 0), (0, 1, 1)], ZERO, "0.2"),
        ([(0, 1), (1, 0)], UNIFORM, "0.29"),
    ],
)
def test_uniform_laws_with_three_parameters(rows: list[Any], law: Law, least: str) -> None:
    first = layer(rows, UNIFORM, law)
    exact = uniform_planar(first)
    assert exact is not None
    assert exact.two_sided
    assert Fraction(least) < lower(pinned_sums(first)) <= exact.enclosure.hi


def test_finer_cells_prove_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """One input: the limit is 1/2, and nothing exceeds it."""
    radii, bounds = forms._radii, []
    for factor in (8, 4, 2, 1):
        monkeypatch.setattr(forms, "_radii", lambda *given, factor=factor: [factor * r for r in radii(*given)])
        bounds.append(lower(pinned_normal(layer([(1, 2)], NORMAL, NORMAL))))
    assert bounds == sorted(bounds)
    assert Fraction(49, 100) < bounds[-1] < Fraction(1, 2)
    found = []
    for grid, blur, mesh in ((0.4, 1.0, 4.0), (0.2, 0.3, 1.0), (0.1, 0.1, 0.4)):
        effort = sums._Effort(grid, blur, mesh)
        monkeypatch.setattr(sums._Effort, "for_size", lambda numbers, effort=effort: effort)
        found.append(lower(pinned_sums(layer([(1, 2)], UNIFORM, UNIFORM))))
    assert found == sorted(found)
    assert Fraction(45, 100) < found[-1] < Fraction(1, 2)


@pytest.mark.parametrize(
    ("name", "laws"),
    [
        ("iris", (NORMAL, NORMAL)),
        ("iris", (NORMAL, ZERO)),
        ("iris", (UNIFORM, UNIFORM)),
        ("iris", (TRUNCATED, Normal(sympy.sqrt(2)))),
        ("wine", (NORMAL, NORMAL)),
        ("wine", (UNIFORM, ZERO)),
    ],
    ids=str,
)
def test_real_data_against_simulation(name: str, laws: tuple[Law, Law]) -> None:
    """Every fourth sample."""
    first = FirstLayer(load_data(DataSpec(name, scale="minmax")).inputs[::4], *laws)
    answer = pinned_normal(first) or pinned_sums(first)
    bound, n = float(lower(answer)), 20_000
    assert bound > 0.03
    assert binom.cdf(dead_count(first, n, seed=71), n, bound) > FALSE_ALARM


def test_invariances() -> None:
    rows = [(0, 1, -1), (1, 0, 2), (1, 1, 0), (2, 2, 2)]
    turned = [tuple(reversed(x)) for x in reversed(rows)]
    three = sympy.Integer(3)
    for method, weight, bias in (
        (pinned_normal, NORMAL, NORMAL),
        (pinned_sums, UNIFORM, UNIFORM),
        (pinned_sums, TRUNCATED, NORMAL),
    ):
        exact = lower(method(layer(rows, weight, bias)))
        assert lower(method(layer(rows, type(weight)(three), type(bias)(three)))) == exact
        base = float(exact)
        scaled = layer([[3 * v for v in x] for x in rows], weight, type(bias)(three))
        assert float(lower(method(scaled))) == pytest.approx(base, rel=1e-3)
        assert float(lower(method(layer(turned, weight, bias)))) == pytest.approx(base, rel=0.03)


def test_declining(monkeypatch: pytest.MonkeyPatch) -> None:
    far = Normal(sympy.Rational(1, 10**400))
    for first in (
        layer([(0, 1)], UNIFORM, NORMAL),
        layer([(0, 1)], NORMAL, UNIFORM),
        layer([(0, 0)], NORMAL, ZERO),
        layer([(-1,), (1,)], NORMAL, ZERO),
        layer([(2**301,)], NORMAL, NORMAL),
        layer([(1,)], NORMAL, far),
    ):
        assert pinned_normal(first) is None
    for first in (
        layer([(0, 1)], NORMAL, NORMAL),
        layer([(0, 1)], NORMAL, ZERO),
        layer([(0, 1)], ZERO, UNIFORM),
        layer([(0, 0)], UNIFORM, ZERO),
        layer([(-1,), (1,)], UNIFORM, ZERO),
        layer([(2**301,)], UNIFORM, UNIFORM),
        layer([(1,)], UNIFORM, far),
    ):
        assert pinned_sums(first) is None
    monkeypatch.setattr(forms, "MOST_INPUTS", 1)
    assert pinned_normal(layer(axes(2), NORMAL, NORMAL)) is None
    monkeypatch.setattr(sums, "MOST_WORK", 1)
    assert pinned_sums(layer(axes(2), UNIFORM, UNIFORM)) is None


# --- smoother in convex order ----------------------------------------------------------------------------------------


def loss(z: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi) - z * ndtr(-z))


def most_excess(low: float, high: float, noise: float) -> float:
    """Largest `E max(Y - t, 0) - s L(t/s)`, `s^2 = noise r^2`, `Y` a standard normal variable in a cell, centred."""
    mass = ndtr(high) - ndtr(low)
    mean = float((np.exp(-(low**2) / 2) - np.exp(-(high**2) / 2)) / math.sqrt(2 * math.pi) / mass)
    radius = max(mean - low, high - mean)
    t = np.linspace(-1.2, 1.2, 481) * radius
    c = np.clip(t + mean, low, high)
    exceeding = (loss(c) - loss(np.full_like(c, high)) - (high - c) * ndtr(-high)) / mass
    exceeding += np.maximum(low - mean - t, 0)
    s = radius * math.sqrt(noise)
    return float((exceeding - s * loss(t / s)).max())


CELLS = [(-0.5, 0.5), (0.0, 1.0), (0.3, 2.5), (-1.0, 3.0), (-4.0, 4.0), (2.0, 4.25), (-2.0, 0.1)]


@pytest.mark.parametrize("module", [forms, sums])
def test_conditional_laws_are_smoother_than_the_normal_law_that_stands_for_them(module: Any) -> None:
    assert Fraction(3926991, 10**7) <= module._NOISE  # pi/8 = 0.39269908...
    for low, high in CELLS:
        assert most_excess(low, high, float(module._NOISE)) <= 1e-9


def test_half_the_noise_is_caught() -> None:
    assert most_excess(-0.5, 0.5, math.pi / 16) > 1e-2
    # Nor would the variance of the uniform law do: the comparison is not one of variances.
    assert most_excess(-0.1, 0.1, 1 / 3) > 1e-3


@given(
    weights=st.lists(st.integers(0, 20), min_size=1, max_size=5),
    mode=st.integers(-6, 6),
)
def test_any_centred_unimodal_law(weights: list[int], mode: int) -> None:
    """Mixtures of uniform laws between the mode and other points, centred."""
    ends = [mode + 4 * (i + 1) * (-1) ** i for i in range(len(weights))]
    shares = np.array([w + 1 for w in weights]) / (sum(weights) + len(weights))
    mean = float(sum(share * (mode + end) / 2 for share, end in zip(shares, ends, strict=True)))
    radius = max(abs(v - mean) for v in [mode, *ends])
    s = radius * math.sqrt(float(forms._NOISE))
    for t in np.linspace(-radius, radius, 41):
        total = 0.0
        for share, end in zip(shares, ends, strict=True):
            a, b = min(mode, end) - mean, max(mode, end) - mean
            total += share * ((b + a) / 2 - t if t <= a else max(b - t, 0.0) ** 2 / (2 * (b - a)))
        assert total <= s * float(loss(np.array(t / s))) + 1e-9


# --- pinned forms: exact coefficients --------------------------------------------------------------------------------


def matrix(frame: Any, dimension: int) -> list[list[Fraction]]:
    """The rows that the frame realizes, exactly."""
    columns = []
    for j in range(dimension):
        numerators, denominator = frame.coordinates([int(i == j) for i in range(dimension)])
        columns.append([Fraction(value, denominator) for value in numerators[: len(frame.vectors)]])
    return [list(values) for values in zip(*columns, strict=True)]


@pytest.mark.parametrize(("dimension", "count"), [(1, 1), (3, 2), (6, 5)])
def test_frames_are_exactly_orthonormal(dimension: int, count: int) -> None:
    source = np.random.default_rng(72)
    wanted = np.linalg.qr(source.standard_normal((dimension, dimension)))[0][:count]
    for rows in (wanted, wanted + 0.05 * source.standard_normal(wanted.shape)):  # rows that are not orthonormal, too
        found = matrix(forms._frame(rows), dimension)
        for i, j in itertools.product(range(count), repeat=2):
            assert sum(a * b for a, b in zip(found[i], found[j], strict=True)) == int(i == j)
        if rows is wanted:
            assert np.abs(np.array(found, dtype=float) - wanted).max() < 2e-3


def margin_holds(margin: Any, a: Sequence[Fraction], rest: Fraction) -> bool:
    """Whether `c_i = -a_i/sqrt(rest (1 + v))` lies in the claimed units; exact, by squares."""
    square = rest * (1 + level_variance(margin.level))

    def at_most(whole: int, value: Fraction) -> bool:  # whole 2^-20 <= value/sqrt(square)
        left, right = Fraction(whole, 2**20) ** 2 * square, value**2
        return (whole <= 0 or (value > 0 and left <= right)) and (value >= 0 or (whole < 0 and left >= right))

    return all(
        at_most(low, -value) and at_most(-low - margin.width, value)
        for low, value in zip(margin.coefficients, a, strict=True)
    )


def frame_and_parts(vector: Sequence[Fraction]) -> tuple[Any, list[Fraction], Fraction]:
    """A frame of two forms, the coordinates of a vector in it, and the square of the rest."""
    n = len(vector)
    rows = np.linalg.qr(np.random.default_rng(73).standard_normal((n, n)))[0][:2]
    frame = forms._frame(rows)
    parts = [sum((m * v for m, v in zip(row, vector, strict=True)), Fraction(0)) for row in matrix(frame, n)]
    return frame, parts, sum((v * v for v in vector), Fraction(0)) - sum(v * v for v in parts)


@given(
    x=st.lists(st.builds(Fraction, st.integers(-40, 40), st.integers(1, 9)), min_size=3, max_size=3),
    width=st.sampled_from([Fraction(0), Fraction(1, 2**96), Fraction(1, 2**30), Fraction(1, 8)]),
    scale=st.sampled_from([Fraction(1), Fraction(2**100), Fraction(2**290, 3), Fraction(1, 2**100)]),
)
@settings(max_examples=60, deadline=None)
@example(x=[Fraction(1), Fraction(2), Fraction(3)], width=Fraction(1, 8), scale=Fraction(1))
@example(x=[Fraction(1), Fraction(2), Fraction(-3)], width=Fraction(0), scale=Fraction(2**290, 3))
def test_coefficients_enclose(x: list[Fraction], width: Fraction, scale: Fraction) -> None:
    """For a scale ratio known with any precision, and for inputs of any size: no float takes part."""
    x = [scale * v for v in x]
    ratio = Enclosure(Fraction(7, 5), Fraction(7, 5) * (1 + width))
    radii = [Fraction(1, 12), Fraction(1, 2)]
    for exact in (ratio.lo, ratio.lo + ratio.width / 3, ratio.hi):
        vector = [*(exact * v for v in x), Fraction(1)]
        frame, parts, rest = frame_and_parts(vector)
        load = forms._load(x, frame, ratio)
        unit = Fraction(2) ** forms._bits(1 + sum(v * v for v in x) * ratio.hi**2)
        assert all(isinstance(end, int) for ends in (*load.forms, load.rest) for end in ends)
        assert all(low <= -a * unit <= high for (low, high), a in zip(load.forms, parts, strict=True))
        assert load.rest[0] <= rest * unit**2 <= load.rest[1]
        margin = forms._margin(load, radii)
        if margin.level is not None:
            noise = sum(a * a * r * r for a, r in zip(parts, radii, strict=True)) * forms._NOISE
            assert noise <= rest * level_variance(margin.level)
            assert margin_holds(margin, parts, rest)
    if any(x):
        frame, parts, rest = frame_and_parts(x)
        load = forms._load(x, frame, None)
        margin = forms._margin(load, radii)
        assert margin.level is None or margin_holds(margin, parts, rest)


def test_coefficients_rounded_the_other_way_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    x, ratio = [Fraction(1), Fraction(2), Fraction(3)], Enclosure(Fraction(7, 5), Fraction(3, 2))
    frame, parts, rest = frame_and_parts([*(ratio.lo * v for v in x), Fraction(1)])
    load = forms._load(x, frame, ratio)
    margin = forms._margin(load, [Fraction(1, 12)] * 2)
    assert margin.width > 1
    assert margin_holds(margin, parts, rest)
    # What is true for sharply known scales alone: that coefficients are within one unit of what is written.
    assert not margin_holds(dataclasses.replace(margin, width=1), parts, rest)
    below = forms._quotient_below
    monkeypatch.setattr(forms, "_quotient_below", lambda *arguments: below(*arguments) + 2**16)
    assert not margin_holds(forms._margin(load, [Fraction(1, 12)] * 2), parts, rest)


def test_the_sum_over_cells_against_quadrature() -> None:
    """Three inputs, one form: the union bound in every cell, integrated, is above what the tables find, and near."""
    rows = np.array([[-0.8, -0.6, 0.0]])
    vectors = [[Fraction(v) for v in x] for x in ((1, 0, 1), (2, 1, 0), (1, 2, -1))]
    frame, grid = forms._frame(rows), forms._grid(0.08, -1)
    radii = [forms._short_above(max(cell.radius for cell in grid))]
    found = forms._lower_bound([forms._margin(forms._load(v, frame, None), radii) for v in vectors], [grid])
    pinned = [float(v) for v in matrix(frame, 3)[0]]
    total = 0.0
    for cell in grid:
        t = np.linspace(float(cell.low), float(cell.high), 401)
        density = np.exp(-(t**2) / 2)
        active = 0.0
        for vector in vectors:
            x = np.array([float(v) for v in vector])
            a = float(x @ pinned)
            chances = ndtr(a * t / math.sqrt(float(x @ x) - a * a))
            active += float(np.trapezoid(chances * density, t) / np.trapezoid(density, t))
        total += float(cell.mass.lo) * max(0.0, 1 - active)
    assert total - 0.03 < float(found) < total


def test_every_input_counts_once_in_whatever_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Giving cells up early, and taking cells in parts, changes nothing; every input lowers the sum."""
    source = np.random.default_rng(75)
    vectors = [[Fraction(int(v)) for v in x] for x in source.integers(0, 9, (150, 4)) + 20]
    frame = forms._frame(np.array([[-0.5, -0.5, -0.5, -0.5], [0.5, 0.5, -0.5, -0.5]]))
    grids = [forms._grid(0.08, -1), forms._grid(1.0, -4)]
    radii = [forms._short_above(max(cell.radius for cell in grid)) for grid in grids]
    margins = [forms._margin(forms._load(v, frame, None), radii) for v in vectors]
    found = forms._lower_bound(margins, grids)
    assert found > 0
    assert forms._lower_bound(margins[::-1], grids) == found
    assert all(forms._lower_bound(margins[:n], grids) > found for n in (20, 100, 140))
    monkeypatch.setattr(forms, "_groups", lambda count: [slice(0, count)])
    monkeypatch.setattr(forms, "_CHUNK", 97)
    assert forms._lower_bound(margins, grids) == found


def test_what_is_known_up_to_an_interval_counts_at_its_worst() -> None:
    """A coefficient or a mean that is known badly proves no more than any value that it may have."""
    level = 20
    cell = cut(NORMAL, [Fraction(1, 2), Fraction(1)])[0]
    for sign, (c, width) in itertools.product((-1, 1), ((3 << 20, 1 << 17), (-(3 << 20), 1 << 17))):
        mean = Enclosure(Fraction(5, 8), Fraction(3, 4))
        mean = mean if sign > 0 else Enclosure(-mean.hi, -mean.lo)
        found = forms._lower_bound([forms._Margin((c,), width, level)], [[dataclasses.replace(cell, mean=mean)]])
        assert forms._lower_bound([forms._Margin((4 << 20,), 0, level)], [[cell]]) > 0
        for k, share in itertools.product((0, width // 2, width), (0, Fraction(1, 2), 1)):
            exact = float((mean.lo + share * mean.width) * Fraction(c + k, 2**20))
            index = math.floor(max(exact, -4.0) * 256) + 4 * 256
            assert float(found) <= float(cell.mass.hi) * (1 - row(level)[index] / ONE) + 1e-9


def test_every_row_starts_at_one_and_falls() -> None:
    levels = [None, *itertools.takewhile(lambda n: level_variance(n) < 16, range(10**6))]
    levels.append(levels[-1] + 1)  # type: ignore[operator]  # the last level, from 16 on
    with pytest.raises(IndexError):
        level_variance(levels[-1] + 1)  # type: ignore[operator]
    for number in levels:
        entries = row(number)
        assert entries[0] == ONE
        assert entries[-1] > 0
        assert (np.diff(entries) <= 0).all()


def test_products_of_masses_are_rounded_down_without_overflow() -> None:
    fine = np.array([0, 1, ONE - 1, ONE, ONE * ONE - 1, ONE * ONE, 3**37], dtype=np.int64)
    for coarse in (0, 1, ONE - 1, ONE, 3**18):
        found = forms._times(fine, np.full_like(fine, coarse))
        assert [int(v) for v in found] == [int(v) * coarse // ONE for v in fine]


# --- pinned sums: the joint law --------------------------------------------------------------------------------------


def plan_of(steps: Sequence[Any], window: tuple[int, int]) -> Any:
    return sums._Plan(tuple(steps), sums._Effort(0.1, 0.1, 0.4), window, (), np.zeros(0), np.zeros(0), ())


def fair(coordinate: int, places: int, before: int, after: int) -> Any:
    value = 1 << 24 - places
    return sums._Step(coordinate, ((-value, -value), (value, value)), (before, after))


THIRDS = sums._Step(
    coordinate=1,
    values=((-9_000_001, -9_000_000), (0, 1), (9_000_000, 9_000_001)),
    shifts=(-2, 0, 1),
    above=(349_526, 349_526, 349_526),
    below=(349_525, 349_525, 349_525),
)
"""Three values, each of probability 1/3, known up to one unit."""

STEPS = [fair(0, 1, -3, 2), THIRDS, fair(0, 2, -1, 1), fair(1, 3, 0, 2)]


def shares(step: Any) -> list[Fraction]:
    return [Fraction(1, len(step.values))] * len(step.values)


def paths(plan: Any) -> list[tuple[tuple[int, ...], Fraction, int]]:
    """All choices of values whose sums stay in the window, with probability and `T`."""
    found = []
    for choice in itertools.product(*(range(len(step.values)) for step in plan.steps)):
        moves = [step.shifts[n] for step, n in zip(plan.steps, choice, strict=True)]
        if all(plan.window[0] <= t <= plan.window[1] for t in itertools.accumulate(moves)):
            chance = math.prod((shares(s)[n] for s, n in zip(plan.steps, choice, strict=True)), start=Fraction(1))
            found.append((choice, chance, sum(moves)))
    return found


RATIOS = [3 * 2**24 + 12_345, -(2**24) - 99_999]


@pytest.mark.parametrize("tilt", [0, 1, -2])
def test_moves_are_never_too_small(tilt: int) -> None:
    plan = plan_of(STEPS, (-20, 20))
    moves, offset = sums._moves(RATIOS, plan, tilt)
    assert all(0 <= part < 1024 for move in moves for _, part in move)
    for choice, _, t in paths(plan):
        moved = sum(moves[i][n][0] + Fraction(moves[i][n][1], 1024) for i, n in enumerate(choice)) + offset
        most = -t * tilt * Fraction(1)
        for step, n in zip(plan.steps, choice, strict=True):
            ratio = RATIOS[step.coordinate]
            most += Fraction(max(r * v for r in (ratio, ratio + 1) for v in step.values[n]), 2**48)
        assert most <= moved <= most + Fraction(len(plan.steps) * 2, 1024)


def stop_losses_hold(plan: Any, law: Any, tilt: int) -> bool:
    """For every `T` and all thresholds: `E max(X - c, 0)` and the mass are at least those of the exact sums."""
    size = plan.window[1] - plan.window[0] + 1
    exact: list[list[tuple[Fraction, Fraction]]] = [[] for _ in range(size)]
    for choice, chance, t in paths(plan):
        value = sum(
            Fraction(min(r * v for r in (RATIOS[s.coordinate], RATIOS[s.coordinate] + 1) for v in s.values[n]), 2**48)
            for s, n in zip(plan.steps, choice, strict=True)
        )
        exact[t - plan.window[0]].append((chance, value - tilt * t))
    for column, atoms in enumerate(exact):
        rows = [
            (Fraction(int(mass), 2**42), law.first + k + law.offset)
            for k, mass in enumerate(law.state[:, column])
            if mass
        ]
        if sum(m for m, _ in rows) < sum(p for p, _ in atoms):
            return False
        for c in range(-8, 9):
            if sum(m * max(v - c, 0) for m, v in rows) < sum(p * max(v - c, 0) for p, v in atoms):
                return False
    return True


@pytest.mark.parametrize("window", [(-20, 20), (-3, 3)], ids=["wide", "cut"])
@pytest.mark.parametrize("tilt", [0, 1, -2])
@pytest.mark.parametrize("below", [2, -1], ids=["deep", "lifted"])
def test_joint_laws_against_enumeration(
    window: tuple[int, int], tilt: int, below: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In convex increasing order, for every value of the sum; what leaves the window has left it in both laws."""
    monkeypatch.setattr(sums, "_BELOW", float(below))
    plan = plan_of(STEPS, window)
    law = sums._joint_law(RATIOS, plan, tilt, 5)
    assert stop_losses_hold(plan, law, tilt)
    masses = sums._masses(plan)
    for t in range(window[0], window[1] + 1):
        chance = sum(p for _, p, found in paths(plan) if found == t)
        column = t - window[0]
        assert (
            Fraction(int(masses[column]), 2**42) <= chance <= Fraction(int(masses[column]), 2**42) + Fraction(1, 10**5)
        )
        assert Fraction(int(law.state[:, column].sum()), 2**42) <= chance + Fraction(1, 10**5)


def test_joint_laws_that_are_too_small_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(STEPS, (-20, 20))
    halved = dataclasses.replace(THIRDS, above=(349_526, 349_526, 174_763))
    assert not stop_losses_hold(
        plan, sums._joint_law(RATIOS, plan_of([STEPS[0], halved, *STEPS[2:]], (-20, 20)), 1, 5), 1
    )
    moves = sums._moves

    def rounded_down(*arguments: Any) -> Any:
        found, offset = moves(*arguments)
        return [[(whole, 0) for whole, _ in move] for move in found], offset

    monkeypatch.setattr(sums, "_moves", rounded_down)
    assert not stop_losses_hold(plan, sums._joint_law(RATIOS, plan, 1, 5), 1)


def test_masses_above_one_are_caught() -> None:
    doubled = dataclasses.replace(THIRDS, below=(699_050, 349_525, 349_525))
    plan = plan_of([STEPS[0], doubled], (-20, 20))
    masses = sums._masses(plan)
    chances = {t: sum(p for _, p, found in paths(plan) if found == t) for t in range(-20, 21)}
    assert any(Fraction(int(masses[t + 20]), 2**42) > chance for t, chance in chances.items())


@pytest.mark.parametrize("bias", [UNIFORM, NORMAL, TRUNCATED], ids=str)
@pytest.mark.parametrize("ratio", [Enclosure.point(Fraction(3)), Enclosure(Fraction(1, 2), Fraction(3, 5))], ids=str)
def test_ramps_over_cells_of_the_bias(bias: Law, ratio: Enclosure) -> None:
    """`P(A + b > 0 | cell) <= peak max(A + low + length, 0)/length`, also for a ratio that is known badly."""
    whole = sums._bias_cells(bias, ratio)
    count = len(whole)
    end = {UNIFORM: 1, NORMAL: 6, TRUNCATED: 2}[bias]
    for k, cell in enumerate(whole):
        low, high = (Fraction(end * (2 * i - count), count) for i in (k, k + 1))
        mass = distribution(bias, high).lo - distribution(bias, low).hi
        assert abs(cell.mass - mass) < Fraction(1, 10**12)
        for exact, share in itertools.product((ratio.lo, ratio.hi), (-1, 0, Fraction(1, 4), Fraction(1, 2), 1, 2)):
            point = low + (high - low) * share  # active iff b > point
            a = -exact * point
            inside = min(max(point, low), high)
            chance = (distribution(bias, high).lo - distribution(bias, inside).hi) / mass
            for ramp in (cell.length, 2 * cell.length):
                assert chance <= cell.peak * max(a + cell.low + ramp, 0) / ramp + Fraction(1, 10**9)
            if share == 0:  # to the last digit: all of the cell is active
                assert cell.peak >= 1
                assert a + cell.low >= 0


@pytest.mark.parametrize("smoothing", [Fraction(1, 4), Fraction(7, 3)])
def test_excess_is_above_the_mean_of_the_ramp_and_near_it(smoothing: Fraction) -> None:
    offset, low, ramp, peak = Fraction(1, 3), Fraction(-5, 7), Fraction(3), Fraction(9, 8)
    found = sums._excess(-30, 40, offset, smoothing, (low, ramp), peak)
    for x, value in zip(range(-30, 41), found.tolist(), strict=True):
        s = float(smoothing)
        exact = float(peak) * s * float(loss(np.array(-(x + float(offset + low + ramp)) / s))) / float(ramp)
        assert exact * (1 - 1e-9) <= value / 2**20 <= exact + float(peak * smoothing / ramp) / 200 + 2**-19


def test_smoothing_is_never_too_small() -> None:
    ratios, radii = [50 * 2**24 + 7, -(2**26)], [2**20, 2**22]
    found = sums._smoothing(ratios, radii)
    exact = sum(Fraction(max(abs(r), abs(r + 1)) * s, 2**48) ** 2 for r, s in zip(ratios, radii, strict=True))
    assert sums._NOISE * exact <= found**2 <= sums._NOISE * exact * Fraction(1001, 1000)
    assert sums._smoothing([0], [1]) == Fraction(1, 4)


def test_conditional_probabilities_against_simulation() -> None:
    """Upper bounds of `P(active | T, bias cell)`, wherever 100,000 neurons say enough; one false alarm over all."""
    first = FirstLayer(load_data(DataSpec("iris", scale="minmax")).inputs[::15], UNIFORM, UNIFORM)
    x = np.array([[float(v) for v in row] for row in first.inputs])
    plan = sums._plan(x, UNIFORM, UNIFORM, 1.0)
    assert plan is not None
    source, n = np.random.default_rng(74), 100_000
    weights, biases = source.uniform(-1, 1, (n, x.shape[1])), source.uniform(-1, 1, n)
    rest, t, inside = weights.copy(), np.zeros(n, dtype=np.int64), np.ones(n, dtype=bool)
    for step in plan.steps:
        up = rest[:, step.coordinate] > 0
        rest[:, step.coordinate] -= np.where(up, 1, -1) * step.values[1][1] / 2**24
        t += np.where(up, step.shifts[1], step.shifts[0])
        inside &= (t >= plan.window[0]) & (t <= plan.window[1])
    assert (np.abs(rest) <= np.array(plan.radii) / 2**24 + 1e-12).all()
    cells = sums._bias_cells(UNIFORM, Enclosure.point(1))
    masses = sums._masses(plan)
    kept = np.flatnonzero(masses >= sums._KEPT)
    compared = 0
    for j in range(0, len(x), 3):
        bounds = sums._active(first.inputs[j], plan, cells, masses, kept, plan.spreads[j], plan.slopes[j]) / ONE
        active = weights @ x[j] + biases > 0
        for i, q in itertools.product(range(0, len(kept), 3), range(len(cells))):
            at = inside & (t == kept[i] + plan.window[0])
            at &= (biases >= float(cells[q].low)) & (biases < float(cells[q].low + cells[q].length))
            if at.sum() >= 30 and bounds[i, q] < 1:
                compared += 1
                assert binom.sf(int(active[at].sum()) - 1, int(at.sum()), bounds[i, q]) > FALSE_ALARM / 1000
    assert 20 < compared < 1000


# --- numbers that are too large, scales that are far apart -----------------------------------------------------------


def test_numbers_that_would_leave_64_bits_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OverflowError):
        sums._excess(0, 2**14, Fraction(0), Fraction(1), (Fraction(0), Fraction(1)), Fraction(1))
    with pytest.raises(OverflowError):
        sums._excess(0, 1, Fraction(2**40), Fraction(1), (Fraction(0), Fraction(1)), Fraction(1))
    heavy = dataclasses.replace(THIRDS, above=(2**20, 2**20, 2**20))
    with pytest.raises(OverflowError):
        sums._joint_law(RATIOS, plan_of([heavy, heavy], (-20, 20)), 0, 5)
    monkeypatch.setattr(sums, "_RAMP", 1e-3)  # ramps of one mesh, as long as none is 0
    monkeypatch.setattr(sums, "_check_size", lambda value: (_ for _ in ()).throw(OverflowError("too large")))
    assert pinned_sums(layer([(1, 2)], UNIFORM, UNIFORM)) is None


@pytest.mark.parametrize("exponent", [92])
def test_irrational_scales_that_are_far_apart(exponent: int) -> None:
    """`p_1` depends on the product of scale and input alone; the ratio of the scales is known relative to itself."""
    weight = Normal(sympy.sqrt(2) / 2**exponent)
    first = layer([(0,), (2**exponent,)], weight, NORMAL)
    exact = normal_1d(first)
    assert exact is not None
    for method in (pinned_normal, one_factor, lambda layer: box_lattice(layer, points=600)):
        assert exact.enclosure.hi - Fraction(1, 40) < lower(method(first)) <= exact.enclosure.hi
    ratio = scale_ratio(weight, NORMAL)
    assert ratio.lo**2 < Fraction(2) / 4**exponent < ratio.hi**2
    assert ratio.width * 2**90 <= ratio.lo
    uniform = layer([(0,), (2**exponent,)], Uniform(sympy.sqrt(2) / 2**exponent), UNIFORM)
    exact = uniform_1d(uniform)
    assert exact is not None
    assert exact.enclosure.hi - Fraction(1, 40) < lower(pinned_sums(uniform)) <= exact.enclosure.hi


@pytest.mark.parametrize("size", [2**150, 2**298])
def test_large_inputs_with_biases(size: int) -> None:
    first = layer([(size, 0), (2 * size, size)], NORMAL, NORMAL)
    exact = normal_planar(first)
    assert exact is not None
    assert exact.enclosure.hi - Fraction(1, 100) < lower(pinned_normal(first)) <= exact.enclosure.hi


def test_tails_far_out_cost_nothing() -> None:
    """The exact tail at 10^6 has 10^12 binary digits."""
    tiny = Fraction(1, 2**80)
    assert distribution(NORMAL, Fraction(-(10**6))) == Enclosure(Fraction(0), tiny)
    assert distribution(NORMAL, Fraction(10**6)) == Enclosure(1 - tiny, Fraction(1))
    assert distribution(NORMAL, Fraction(-16)).hi == tiny
    assert (
        Fraction(49, 100)
        < lower(box_lattice(layer([(10**6,), (10**6 + 1,)], NORMAL, NORMAL), points=600))
        < Fraction(1, 2)
    )


def test_loads_next_to_one() -> None:
    """One input: `E Phi(kappa T) = 1/2`, whatever the load; where arguments would leave 64 bits it is refused."""
    first = layer([(1,)], NORMAL, NORMAL)
    for sign in (1, -1):
        bound = one_factor_bound(first, [sign * (1 - Fraction(1, 2**40))])
        assert Fraction(48, 100) < bound < Fraction(1, 2)
        with pytest.raises(InvalidInput, match="2\\^-40"):
            one_factor_bound(first, [sign * (1 - Fraction(1, 2**41))])


def test_one_factor_in_many_dimensions() -> None:
    """A product of 600 terms of 2^44 would leave the numbers that floats hold exactly."""
    bound = lower(one_factor(layer([[int(i == j) for i in range(600)] for j in range(2)], NORMAL, ZERO)))
    assert Fraction(249, 1000) < bound <= Fraction(1, 4)


def test_grids_of_cells_are_cut_within_the_law() -> None:
    grid = forms._grid(0.1, -forms._END)
    assert grid[0].low <= -3.9
    assert grid[-1].high >= 4
    assert all(a.high == b.low for a, b in itertools.pairwise(grid))
    assert sum(cell.mass.hi for cell in grid) <= 1 + Fraction(1, 10**12)
    assert cut(NORMAL, [cell.low for cell in grid] + [grid[-1].high]) == grid
