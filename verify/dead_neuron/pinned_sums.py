"""Lower bounds of `p_1` for any independent weights: a whole-number sum and the bias pinned, union over the inputs.

Every weight is known up to an interval; a sum `T` of whole-number functions of these intervals stands for the linear
form of the weights that explains most. The joint law of `T` and of one output is a lattice convolution, carried out
input by input in whole numbers. Given `T` and a cell of the bias, the neuron is active at an input with a conditional
probability that this law bounds, so it is dead on all of them with at least one minus the sum of these bounds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from theorems.hypotheses import Evidence
from theorems.laws import Law, Normal, Uniform, Zero
from verify.dead_neuron.directions import Array, as_floats, find_forms, importance, promise
from verify.dead_neuron.partition import cut, deviation, even_edges, peak_density, reach, scale_ratio
from verify.dead_neuron.result import DeadProbability, FirstLayer
from verify.dead_neuron.tables import ONE, STEPS, loss
from verify.enclosure import Enclosure

__all__ = ["pinned_sums"]

Ints = NDArray[np.int64]

MOST_WORK = 300_000
"""Inputs times steps (two values each) that a bound may cost; about twenty seconds."""

_NOISE = Fraction(3928, 10000)
"""At least pi/8: a centred unimodal variable within `[-r, r]` is smoother than `N(0, r^2 pi/8)`."""

_UNIT = 42
_KEPT = 1 << 16
_SPLIT, _SHARE, _PLACES = 10, 20, 24
_WINDOW = (-1.3, 4.0)
_RAMP, _BELOW = 0.3, 3.4
_DEEPEST = 5
_END = Fraction(17, 4)
_BIAS_CELLS = 6


@dataclass(frozen=True)
class _Effort:
    """How fine the lattices are. All in parts of what stays unexplained of an output, or of the unit of `T`.

    Symbols: grid = mesh of `T`; blur = variance of what stays free of the weights; mesh = variance that rounding adds,
    in twelfths.
    """

    grid: float
    blur: float
    mesh: float

    @classmethod
    def for_size(cls, numbers: int) -> _Effort:
        """Finer for data sets of up to 20,000 numbers."""
        return cls(0.07, 0.05, 0.4) if numbers <= 20_000 else cls(0.1, 0.2, 0.7)


@dataclass(frozen=True)
class _Step:
    """One independent part of one weight: its values, the shifts of `T` they cause, and their masses.

    Symbols: values as ends that enclose, in units `2^-24`; masses in units `2^-20`, rounded up and down, or None for
    two equally likely values.
    """

    coordinate: int
    values: tuple[tuple[int, int], ...]
    shifts: tuple[int, ...]
    above: tuple[int, ...] | None = None
    below: tuple[int, ...] | None = None


@dataclass(frozen=True)
class _Plan:
    """What is pinned: the steps that make up `T` and its window; what stays free of each weight: a radius.

    Symbols: radii in units `2^-24`. The rest is advice: for every input the slope of its output in `T` and its spread
    around that; the order in which inputs are taken.
    """

    steps: tuple[_Step, ...]
    effort: _Effort
    window: tuple[int, int]
    radii: tuple[int, ...]
    slopes: NDArray[np.float64]
    spreads: NDArray[np.float64]
    order: tuple[int, ...]


@dataclass(frozen=True)
class _BiasCell:
    """A cell of `b`: how far its density may exceed its mean there, and bounds of ends, length and probability.

    Symbols: low, length = upper bounds of the lower end and of the length; mass = a lower bound of the probability.
    """

    low: Fraction
    length: Fraction
    mass: Fraction
    peak: Fraction


def pinned_sums(first: FirstLayer) -> DeadProbability | None:
    """Lower bound for independent weights of any law with a density and any bias.

    Source:   math §6; `theorems/proofs/dead_neuron.md`, pinned sums.
    Rigour:   a lower bound; the search only decides how sharp it is.
    Returns None for normal weights with normal or zero biases (`pinned_normal` is sharper), for inputs from 2^300 on,
    for scales of weights and bias more than 2^300 apart, where the work would exceed the budget or numbers would leave
    64 bits, and where nothing positive is found.
    """
    weight, bias = first.weight, first.bias
    # With zero biases the length of an input does not matter.
    inputs = first.rays if isinstance(bias, Zero) else first.inputs
    rotatable = isinstance(weight, Normal) and isinstance(bias, Normal | Zero)
    if isinstance(weight, Zero) or rotatable or not inputs:
        return None
    ratio = scale_ratio(bias, weight)
    if not isinstance(bias, Zero) and not Fraction(1, 2**300) < ratio.lo < 2**300:
        return None
    numbers = as_floats(inputs)
    plan = None if numbers is None else _plan(numbers, weight, bias, float(ratio.hi))
    if plan is None or len(inputs) * sum(len(step.values) for step in plan.steps) > 2 * MOST_WORK:
        return None
    try:
        lower = _lower_bound(inputs, plan, _bias_cells(bias, ratio))
    except OverflowError:
        return None
    if lower <= 0:
        return None
    why = f"a sum of intervals of the weights, and the bias, pinned; union over {len(inputs)} inputs"
    return DeadProbability("pinned_sums", Enclosure(lower, Fraction(1)), False, Evidence.CERTIFIED, why)


# --- what is pinned: found in floats, then whole numbers -------------------------------------------------------------


def _plan(inputs: Array, weight: Law, bias: Law, ratio: float) -> _Plan | None:
    """The sum that promises most, or None if nothing positive is in sight."""
    width, unit = inputs.shape[1], deviation(weight)
    biased = not isinstance(bias, Zero)
    constant = np.full((len(inputs), 1), ratio * deviation(bias)) if biased else np.zeros((len(inputs), 1))
    vectors = np.hstack([unit * inputs, constant])
    norms = np.linalg.norm(vectors, axis=1)
    points = vectors / norms[:, None]
    fixed = np.eye(width + 1)[-1:]
    row = find_forms(points, 1, fixed=fixed)
    pinned = np.vstack([fixed, row])
    if promise(points, pinned) <= 0:
        return None
    weights = importance(points, pinned) + 1e-12
    weights /= weights.sum()
    rest = np.maximum(1 - ((points @ pinned.T) ** 2).sum(axis=1), 1e-3)
    # Each weight is known up to an interval; what stays free adds a small part to the variance of the rest.
    sizes = np.sqrt(weights @ points[:, :width] ** 2) / unit * float(min(reach(weight), _END))
    effort = _Effort.for_size(inputs.size)
    blur = math.sqrt(effort.blur * float(weights @ rest) / float(_NOISE) / width)
    depths = [min(max(math.ceil(math.log2(max(size / blur, 1e-9)) - 0.3), 0), _DEEPEST) for size in sizes]
    steps, radii = _steps(weight, depths, row[0, :width] / (unit * effort.grid))
    return _Plan(
        steps,
        effort,
        (math.floor(_WINDOW[0] / effort.grid), math.ceil(_WINDOW[1] / effort.grid)),
        radii,
        (points @ row[0]) * norms * effort.grid,
        np.sqrt(rest) * norms,
        tuple(int(j) for j in np.argsort(-weights, kind="stable")),
    )


def _steps(weight: Law, depths: Sequence[int], form: Array) -> tuple[tuple[_Step, ...], tuple[int, ...]]:
    """Cut weight `i` into `2^depth` intervals; `form` is the sum wanted, per unit of each weight."""
    steps: list[_Step] = []
    radii = []
    drift = 0.0  # the mean of T so far: shifts are chosen to keep it near 0, where the window is
    for i, depth in enumerate(depths):
        if isinstance(weight, Uniform):
            # A uniform variable on (-1, 1) is a sum of fair signs times 1/2, 1/4, ... and a uniform rest.
            for level in range(1, depth + 1):
                move = round(2 * float(form[i]) / 2**level)
                before = round(-move / 2 - drift)
                drift += before + move / 2
                value = 1 << _PLACES - level
                steps.append(_Step(i, ((-value, -value), (value, value)), (before, before + move)))
            radii.append(1 << _PLACES - depth)
        else:
            finest = math.floor(4 * min(reach(weight), _END))
            cells = cut(weight, even_edges(weight, min(2 ** max(depth, 2), finest), most=_END))
            steps.append(
                _Step(
                    i,
                    tuple(
                        (math.floor(cell.mean.lo * 2**_PLACES), math.ceil(cell.mean.hi * 2**_PLACES)) for cell in cells
                    ),
                    tuple(round(float(cell.mean.lo) * float(form[i])) for cell in cells),
                    tuple(math.ceil(cell.mass.hi * 2**_SHARE) for cell in cells),
                    tuple(math.floor(cell.mass.lo * 2**_SHARE) for cell in cells),
                )
            )
            radii.append(math.ceil(max(cell.radius for cell in cells) * 2**_PLACES))
    return tuple(steps), tuple(radii)


def _bias_cells(bias: Law, ratio: Enclosure) -> tuple[_BiasCell, ...]:
    """The bias, in units of the scale of the weights, in cells; all of it in one if it is 0."""
    if isinstance(bias, Zero):
        return (_BiasCell(low=Fraction(0), length=Fraction(0), mass=Fraction(1), peak=Fraction(1)),)
    cells = []
    for cell in cut(bias, even_edges(bias, _BIAS_CELLS if isinstance(bias, Uniform) else 3 * _BIAS_CELLS)):
        low = cell.low * (ratio.hi if cell.low > 0 else ratio.lo)
        length = (cell.high - cell.low) * ratio.hi
        peak = peak_density(bias, cell.low, cell.high) * (cell.high - cell.low) / cell.mass.lo
        cells.append(_BiasCell(low=low, length=length, mass=cell.mass.lo, peak=peak))
    return tuple(cells)


# --- the bound: whole numbers ----------------------------------------------------------------------------------------


def _lower_bound(inputs: Sequence[Sequence[Fraction]], plan: _Plan, cells: Sequence[_BiasCell]) -> Fraction:
    """`sum over T and bias cells of P(T, cell) max(0, 1 - sum_j P(active at j | T, cell))`, rounded down.

    Fails:    OverflowError if numbers would leave 64 bits.
    """
    masses = _masses(plan)
    kept = np.flatnonzero(masses >= _KEPT)
    active = np.zeros((len(kept), len(cells)), dtype=np.int64)
    for j in plan.order:
        active += _active(inputs[j], plan, cells, masses, kept, float(plan.spreads[j]), float(plan.slopes[j]))
        if bool((active >= ONE).all()):
            return Fraction(0)
    bias = np.array([math.floor(cell.mass * ONE) for cell in cells], dtype=np.int64)
    given = (np.maximum(ONE - active, 0) * bias).sum(axis=1)
    total = sum(int(mass) * int(value) for mass, value in zip(masses[kept], given, strict=True))
    return Fraction(total, 2**_UNIT * ONE * ONE)


def _masses(plan: _Plan) -> Ints:
    """Lower bounds of the law of `T` in units `2^-42`; what leaves the window on the way is given away."""
    state = np.zeros(plan.window[1] - plan.window[0] + 1, dtype=np.int64)
    state[-plan.window[0]] = 1 << _UNIT
    for step in plan.steps:
        following = np.zeros_like(state)
        for n, shift in enumerate(step.shifts):
            source, target = _moved(shift, len(state))
            following[target] += state[source] if step.below is None else state[source] * step.below[n] >> _SHARE
        state = following >> 1 if step.below is None else following
    return state


def _moved(shift: int, size: int) -> tuple[slice, slice]:
    """Slices from which and to which a shift moves what stays in the window."""
    return slice(max(-shift, 0), max(size - max(shift, 0), 0)), slice(max(shift, 0), max(size - max(-shift, 0), 0))


def _active(
    x: Sequence[Fraction],
    plan: _Plan,
    cells: Sequence[_BiasCell],
    masses: Ints,
    kept: NDArray[np.intp],
    spread: float,
    slope: float,
) -> Ints:
    """Upper bounds, in units 1/ONE, of `P(w.x + b > 0 | T, cell)`: a row for every kept value of `T`."""
    largest = max(abs(float(v)) for v in x)
    spread = max(spread, 0.02 * largest, 1e-9)
    mesh = Fraction(spread * math.sqrt(plan.effort.mesh / max(len(plan.steps), 8)))
    tilt = round(slope / float(mesh))
    ratios = [math.floor(value / mesh * 2**_PLACES) for value in x]
    law = _joint_law(ratios, plan, tilt, math.ceil(spread / float(mesh)))
    # Conditional laws in units 1/ONE, one row for each kept T: masses are rounded down, their parts up.
    floor = masses[kept] >> 10
    given = -(-(law.state[:, kept].T << 20) // floor[:, None])
    where = law.first + tilt * (kept + plan.window[0])[:, None] + np.arange(given.shape[1])
    lowest, highest = int(where.min()), int(where.max())
    smoothing = _smoothing(ratios, plan.radii)
    ramp = Fraction(round(_RAMP * spread / float(mesh)))
    largest_sum = max(sum(row.tolist()) for row in given)
    found = np.empty((len(given), len(cells)), dtype=np.int64)
    for q, cell in enumerate(cells):
        ends = (_short(cell.low / mesh), max(ramp, _short(cell.length / mesh)))
        excess = _excess(lowest, highest, law.offset, smoothing, ends, cell.peak)
        _check_size(largest_sum * int(excess.max()))
        found[:, q] = (given * excess[where - lowest]).sum(axis=1) >> _SHARE
    return np.asarray(np.minimum(found + 1, 2 * ONE))


@dataclass(frozen=True)
class _JointLaw:
    """Upper bounds of the law of `(X, T)` in units `2^-42`: rows are values of `X`, columns the window of `T`.

    Row `k` is `X = (first + k + tilt T + offset) mesh`. Convex increasing functions have no smaller mean under it than
    under the law of `X` without the noise of what stays free. No entry reaches 2^43.
    """

    state: Ints
    first: int
    offset: Fraction


def _joint_law(ratios: Sequence[int], plan: _Plan, tilt: int, unit: int) -> _JointLaw:
    """The law for an input whose coordinates are at least `ratios` and less than one unit more, in 2^-24 meshes."""
    moves, offset = _moves(ratios, plan, tilt)
    below, width = math.ceil(_BELOW * unit) + 6, plan.window[1] - plan.window[0] + 1
    # A margin beside the window turns every shift of (X, T) into one shift of the flattened array.
    side = max((abs(shift) for step in plan.steps for shift in step.shifts), default=0)
    row = width + 2 * side
    state = np.zeros((below + 1) * row, dtype=np.int64)
    state[below * row + side - plan.window[0]] = 1 << _UNIT
    most = 1 << _UNIT  # of the sum of the state
    for step, move in zip(plan.steps, moves, strict=True):
        edge = max(1 - min(whole for whole, _ in move), 0)
        top = max(max(whole + (part > 0) for whole, part in move), 0)
        # One row more on either side, since a shift along T crosses the ends of rows.
        following = np.zeros(len(state) + (edge + top + 1) * row, dtype=np.int64)
        for n, (shift, (whole, part)) in enumerate(zip(step.shifts, move, strict=True)):
            portion = state if step.above is None else (state * step.above[n] >> _SHARE) + (state > 0)
            first = (edge + whole) * row + shift
            lower = portion << _SPLIT
            if part:
                upper = portion * part
                lower -= upper
                following[first + row : first + row + len(state)] += upper
            following[first : first + len(state)] += lower
        # Masses are rounded up once for every value and every entry, sums once for every entry.
        most += (len(step.values) + 1) * len(following)
        most += 0 if step.above is None else most * max(sum(step.above) - (1 << _SHARE), 0) >> _SHARE
        _check_size(most << 63 - _UNIT - 1)
        places = _SPLIT + (1 if step.above is None else 0)
        following += (1 << places) - 1
        following >>= places
        table = following.reshape(-1, row)
        table[:, :side] = 0
        table[:, row - side :] = 0
        # What falls below the window is lifted to its lowest row.
        if edge:
            table[edge] += table[:edge].sum(axis=0)
        state = following[edge * row : len(following) - row]
    return _JointLaw(state.reshape(-1, row)[:, side : side + width], -below, offset)


def _moves(ratios: Sequence[int], plan: _Plan, tilt: int) -> tuple[list[list[tuple[int, int]]], Fraction]:
    """For every step and value how far `X - tilt T` moves: whole meshes and 2^-10ths, never less than it does.

    In each step an offset common to its values is taken out, so that the first of them is whole; the offsets add up.
    """
    total = 0
    moves = []
    for step in plan.steps:
        ratio = ratios[step.coordinate]
        exact = [
            -(-max(ratio * low, ratio * high, (ratio + 1) * low, (ratio + 1) * high) >> _PLACES)
            - (tilt * shift << _PLACES)
            for (low, high), shift in zip(step.values, step.shifts, strict=True)
        ]
        base = exact[0] - (round(exact[0] / 2**_PLACES) << _PLACES)
        total += base
        fine = [-(-(value - base) >> (_PLACES - _SPLIT)) for value in exact]
        moves.append([(value >> _SPLIT, value & ((1 << _SPLIT) - 1)) for value in fine])
    return moves, Fraction(total, 2**_PLACES)


def _smoothing(ratios: Sequence[int], radii: Sequence[int]) -> Fraction:
    """A standard deviation, in meshes, of a normal variable than which the free part of `w.x` is smoother."""
    square = sum(((abs(ratio) + 1) * radius) ** 2 for ratio, radius in zip(ratios, radii, strict=True))
    return max(Fraction(math.isqrt(math.ceil(_NOISE * square)) + 1, 4**_PLACES), Fraction(1, 4))


def _short(value: Fraction) -> Fraction:
    return Fraction(math.ceil(value * 2**_PLACES), 2**_PLACES)


def _excess(
    lowest: int, highest: int, offset: Fraction, smoothing: Fraction, bias: tuple[Fraction, Fraction], peak: Fraction
) -> Ints:
    """Upper bounds, in units `2^-20`, of `peak E max(X + s G + low + ramp, 0)/ramp` at every lattice value of `X`.

    Lengths are in meshes; `bias` is `(low, ramp)`.
    """
    low, ramp = bias
    # z = -(X + low + ramp)/s in steps of the table, rounded down.
    slope = math.ceil(STEPS * 2**_PLACES / smoothing)
    start = math.ceil((offset + lowest + low + ramp) / smoothing * STEPS * 2**_PLACES)
    _check_size(abs(start) + (highest - lowest + 1) * slope)
    index = -(start + np.arange(highest - lowest + 1) * slope) >> _PLACES
    losses = loss(index)
    factor = math.ceil(peak * smoothing / ramp * 2**_SHARE)
    _check_size(int(losses.max()) * factor)
    return np.asarray(-(-(losses * factor) >> 30))


def _check_size(value: int) -> None:
    """Fails: OverflowError if a whole number is too large for 64 bits."""
    if abs(value) >> 63:
        raise OverflowError("a whole number outside 64 bits")
