"""Whether a run contradicts a property: exact rational arithmetic on the floats that the optimizer produced.

A factor `c` explains `x -> x'` within an allowance `a` if `|x' - c x| <= a`. The explaining factors of one coordinate
form an interval with rational ends; a property asks whether the intervals of some coordinates, and the range that it
allows, have a common point. Rigour: a violation is reported only if no factor explains the floats within the
allowance, so rounding of up to `ulps` units in the last place a step (of the largest value that the coordinate has had)
is never a violation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch

from theorems.hypotheses import Property
from verify.optimizers.falsify.history import Coordinate, History, Layout, Neuron, Values
from verify.optimizers.falsify.run import Trace, finite

__all__ = ["Judge", "Judgement", "Offence", "same_bits", "ulp", "ulps_apart"]


@dataclass(frozen=True)
class Offence:
    """The first move that a property does not allow. finite: whether it left a number."""

    step: int
    evaluation: int | None
    coordinates: tuple[Coordinate, ...]
    before: Values
    after: Values
    finite: bool
    why: str


@dataclass(frozen=True)
class Slip:
    """A move that is rounding only."""

    ulps: int
    step: int
    coordinate: Coordinate
    before: Values
    after: Values


@dataclass(frozen=True)
class Judgement:
    """What a run says about a property: the first offence, if any, and the largest rounding before it."""

    offence: Offence | None
    slip: Slip | None


def ulp(number: float, dtype: torch.dtype) -> Fraction:
    """One unit in the last place of a finite number in this type, exactly."""
    kind = torch.finfo(dtype)
    least = math.frexp(kind.smallest_normal)[1]
    exponent = max(math.frexp(number)[1], least) if number else least
    return Fraction(kind.eps) * Fraction(2) ** (exponent - 1)


def ulps_apart(first: float, second: float, dtype: torch.dtype) -> Fraction:
    """How far apart two finite numbers are, in units in the last place of the larger one."""
    return abs(Fraction(first) - Fraction(second)) / ulp(max(abs(first), abs(second)), dtype)


def same_bits(first: float, second: float) -> bool:
    """Whether two numbers that are not NaN are the same, sign of zero included."""
    return first == second and math.copysign(1.0, first) == math.copysign(1.0, second)


Number = Fraction | float


class _Interval:
    """Factors between two ends; None: no end. Empty if the ends are in the wrong order."""

    __slots__ = ("high", "low")

    def __init__(self, low: Number | None = None, high: Number | None = None) -> None:
        self.low, self.high = low, high

    def meet(self, other: _Interval) -> _Interval:
        low, high = self.low, self.high
        if low is None or (other.low is not None and other.low > low):
            low = other.low
        if high is None or (other.high is not None and other.high < high):
            high = other.high
        return _Interval(low, high)

    @property
    def empty(self) -> bool:
        return self.low is not None and self.high is not None and self.low > self.high


_NOTHING = _Interval(1, 0)
_NONNEGATIVE = _Interval(0, None)
_CONTRACTION = _Interval(0, 1)
_ONE = _Interval(1, 1)


def _meet(intervals: Iterable[_Interval]) -> _Interval:
    common = _Interval()
    for interval in intervals:
        common = common.meet(interval)
    return common


class Judge:
    """Judges runs on one network by one property.

    ulps: the allowance, a step, for rounding. missing: only coordinates that had no gradient (None) at all steps are
    judged; otherwise those with gradient 0.
    """

    def __init__(
        self, wanted: Property, layout: Layout, dtype: torch.dtype, ulps: int, *, missing: bool = False
    ) -> None:
        self.missing = missing
        self.wanted, self.layout, self.dtype, self.ulps = wanted, layout, dtype, ulps
        self.eps = torch.finfo(dtype).eps

    def judge(self, history: History, trace: Trace) -> Judgement:
        """Look for the first offence. What follows the step at which other numbers leave the reals does not count."""
        untouched = set(self.layout.coordinates)
        largest = {
            (index, place): abs(number)
            for index, listed in enumerate(trace.values[0] if trace.values else ())
            for place, number in enumerate(listed)
        }
        slip: Slip | None = None
        for step in range(1, len(trace.values)):
            untouched = {each for each in untouched if self._silent(history, step, each)}
            before = trace.values[step - 1]
            points: list[tuple[int | None, Values]] = [
                *enumerate(trace.evaluations[step - 1]),
                (None, trace.values[step]),
            ]
            for evaluation, after in points:
                move = _Move(self, step, before, after, untouched, largest)
                found = move.offence()
                if found is not None:
                    coordinates, is_finite, why = found
                    offence = Offence(step, evaluation, coordinates, before, after, is_finite, why)
                    return Judgement(offence, slip)
                if not finite(after):
                    return Judgement(None, slip)
                if move.slip is not None and (slip is None or move.slip.ulps > slip.ulps):
                    slip = move.slip
            for index, listed in enumerate(trace.values[step]):
                for place, number in enumerate(listed):
                    largest[index, place] = max(largest[index, place], abs(number))
        return Judgement(None, slip)

    def _silent(self, history: History, step: int, coordinate: Coordinate) -> bool:
        entries = history.gradients[step - 1][coordinate[0]]
        return entries is None if self.missing else entries is not None and entries[coordinate[1]] == 0


class _Move:
    """One move of all parameters, of which those in `untouched` have had only zero gradients."""

    def __init__(
        self,
        judge: Judge,
        step: int,
        before: Values,
        after: Values,
        untouched: set[Coordinate],
        largest: dict[Coordinate, float],
    ) -> None:
        self.judge, self.step, self.before, self.after = judge, step, before, after
        self.untouched, self.largest = untouched, largest
        self.slip: Slip | None = None

    def offence(self) -> tuple[tuple[Coordinate, ...], bool, str] | None:
        if self.judge.wanted is Property.F:
            tested: list[Coordinate] = sorted(self.untouched)
            neurons: list[Neuron] = []
        else:
            neurons = [each for each in self.judge.layout.neurons if self.untouched.issuperset(each.coordinates)]
            tested = [coordinate for neuron in neurons for coordinate in neuron.coordinates]
        if not finite(self.after):
            return self._lost(tested)
        if all(same_bits(self._before(each), self._after(each)) for each in tested):
            return None
        if self.judge.wanted in (Property.F, Property.FB):
            return self._frozen(tested)
        # Floats only screen, with half the allowance: what they do not explain is judged exactly.
        return None if self._scaled(neurons, self._rough_factors) is None else self._scaled(neurons, self._factors)

    def _before(self, coordinate: Coordinate) -> float:
        return self.before[coordinate[0]][coordinate[1]]

    def _after(self, coordinate: Coordinate) -> float:
        return self.after[coordinate[0]][coordinate[1]]

    def _lost(self, tested: list[Coordinate]) -> tuple[tuple[Coordinate, ...], bool, str] | None:
        """A run whose other numbers leave the reals as well says nothing: overflow is not what a property is about."""
        lost = [each for each in tested if not math.isfinite(self._after(each))]
        others = set(self.judge.layout.coordinates) - set(tested)
        if lost and others and all(math.isfinite(self._after(each)) for each in others):
            return tuple(lost), False, "it is not finite any more, while all other parameters are"
        return None

    def _frozen(self, tested: list[Coordinate]) -> tuple[tuple[Coordinate, ...], bool, str] | None:
        moved = [each for each in tested if not same_bits(self._before(each), self._after(each))]
        far = []
        for each in moved:
            apart = ulps_apart(self._before(each), self._after(each), self.judge.dtype)
            if apart > self.judge.ulps:
                far.append(each)
            elif self.slip is None or apart > self.slip.ulps:
                self.slip = Slip(math.ceil(apart), self.step, each, self.before, self.after)
        if not far:
            return None
        if self.judge.wanted is Property.F:
            return tuple(far), True, "it moved although its gradients have all been 0"
        return tuple(far), True, "the neuron moved although its gradients have all been 0"

    def _factors(self, coordinate: Coordinate) -> _Interval:
        """The factors that explain what happened to a coordinate, rounding allowed."""
        x, moved = Fraction(self._before(coordinate)), Fraction(self._after(coordinate))
        size = max(self.largest[coordinate], abs(self._after(coordinate)))
        slack = self.judge.ulps * self.step * ulp(size, self.judge.dtype) if size else Fraction(0)
        if x == 0:
            return _Interval() if abs(moved) <= slack else _NOTHING
        return _Interval(*sorted(((moved - slack) / x, (moved + slack) / x)))

    def _rough_factors(self, coordinate: Coordinate) -> _Interval:
        """The same in floats, with at most half the allowance (a unit in the last place of x is at least x eps / 2)."""
        x, moved = self._before(coordinate), self._after(coordinate)
        size = max(self.largest[coordinate], abs(moved))
        slack = self.judge.ulps * self.step * size * self.judge.eps / 4
        if x == 0:
            return _Interval() if moved == 0 else _NOTHING
        first, second = (moved - slack) / x, (moved + slack) / x
        return _Interval(first, second) if first <= second else _Interval(second, first)

    def _scaled(
        self, neurons: Sequence[Neuron], factors: Callable[[Coordinate], _Interval]
    ) -> tuple[tuple[Coordinate, ...], bool, str] | None:
        wanted = self.judge.wanted
        weights = {neuron: _meet(map(factors, neuron.weights)) for neuron in neurons}
        biases = {neuron: _Interval() if neuron.bias is None else factors(neuron.bias) for neuron in neurons}
        for neuron in neurons:
            why = _refuses(wanted, weights[neuron], biases[neuron])
            if why:
                return neuron.coordinates, True, why
        for group in self._groups(neurons):
            intervals = [weights[neuron] for neuron in group]
            intervals += [biases[neuron] for neuron in group] if wanted is Property.DJ else []
            if _meet([*intervals, _NONNEGATIVE if wanted is Property.SL else _CONTRACTION]).empty:
                coordinates = tuple(each for neuron in group for each in neuron.coordinates)
                return coordinates, True, "no common factor serves all of these neurons"
        return None

    def _groups(self, neurons: Sequence[Neuron]) -> list[list[Neuron]]:
        """The neurons that must have a factor in common."""
        if self.judge.wanted in (Property.DJ, Property.DW):
            return [list(neurons)]
        if self.judge.wanted is Property.SL:
            return [[each for each in neurons if each.layer == layer] for layer in {each.layer for each in neurons}]
        return []


def _refuses(wanted: Property, weights: _Interval, bias: _Interval) -> str:
    """Why the move of one neuron is not one that the property allows; empty if it is."""
    if wanted in (Property.S, Property.DJ):
        allowed, told = (_NONNEGATIVE, "c >= 0") if wanted is Property.S else (_CONTRACTION, "0 <= c <= 1")
        return f"no factor {told} takes (w, b) to what they became" if _meet([weights, bias, allowed]).empty else ""
    if wanted in (Property.SS, Property.SL):
        if weights.meet(_NONNEGATIVE).empty:
            return "no factor c >= 0 takes w to what it became"
        return "no factor c' >= 0 takes b to what it became" if bias.meet(_NONNEGATIVE).empty else ""
    if weights.meet(_CONTRACTION).empty:
        return "no factor 0 <= c <= 1 takes w to what it became"
    if bias.meet(_ONE if wanted is Property.DW else _CONTRACTION).empty:
        return "the bias moved" if wanted is Property.DW else "no factor 0 <= c' <= 1 takes b to what it became"
    # The least factor of the weights and the greatest of the bias leave (D) most room.
    if wanted is Property.D and _meet([_Interval(weights.low, None), _CONTRACTION, _Interval(None, bias.high)]).empty:
        return "the weights shrink less than the bias: no factors 0 <= c <= c' <= 1"
    return ""
