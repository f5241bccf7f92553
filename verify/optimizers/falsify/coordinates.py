"""Whether an optimizer acts per coordinate: the same numbers, alone and among others, give the same bits."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

import torch
from hypothesis import strategies as st

from theorems.hypotheses import Property
from verify.optimizers.falsify.history import Coordinate, History, Setting, Values
from verify.optimizers.falsify.hunt import hunt
from verify.optimizers.falsify.judge import same_bits, ulp
from verify.optimizers.falsify.plans import Live, Plan, Silent, Space, Start, Untouched, history_of, plans
from verify.optimizers.falsify.results import Experiment, Moved, NotRun, Outcome, Rounding, Tested, Violation
from verify.optimizers.falsify.run import Build, Runner, Trace, finite
from verify.optimizers.falsify.script import comparison, scripted
from verify.optimizers.falsify.search import WIDTHS, prepared, space_of
from verify.optimizers.known import Kind

__all__ = ["SUBJECT", "acts_per_coordinate"]

SUBJECT = "acts per coordinate"
_REPLICAS = 3


class Way(Enum):
    """How the same coordinates are put among others; simplest first."""

    STACKED = "stacked with other replicas along a new first dimension"
    PERMUTED = "with the coordinates of each parameter in another order"
    SPLIT = "with each parameter split into two"


@dataclass(frozen=True)
class Arrangement:
    """Histories to run alone, the one that puts them together, and where each coordinate is there."""

    alone: tuple[History, ...]
    together: History
    places: tuple[tuple[int, Coordinate, Coordinate], ...]


Candidate = tuple[Way, Plan]


def acts_per_coordinate(
    build: Build,
    *,
    seed: int = 0,
    histories: int = 45,
    steps: Sequence[int] = (1, 2, 3, 5, 12, 60),
    widths: Sequence[tuple[int, ...]] = WIDTHS,
    settings: Mapping[str, Sequence[Setting]] | None = None,
    dtype: torch.dtype = torch.float64,
    ulps: int = 4,
    code: str | None = None,
) -> Outcome:
    """Search for numbers treated differently when replicas are stacked, or parameters permuted or split.

    build must treat all parameters alike, whatever their shapes and number. The other arguments are those of `falsify`;
    ulps: differences up to so many units in the last place a step count as rounding, and are told.

    Rigour: `Tested` proves nothing; a `Violation` is two runs of the optimizer's own code.
    Fails: InvalidInput for arguments out of range. Whatever the optimizer raises becomes a `NotRun`.
    """
    space = space_of(Property.F, Untouched.ZERO, histories, steps, widths, True, settings or {}, dtype, ulps)
    runner = prepared(build, space)
    if isinstance(runner, str):
        return NotRun(SUBJECT, runner)
    return _Comparing(runner, space, ulps, code).result(seed, histories)


def _first(space: Space) -> list[Candidate]:
    middle, longest = min(1, len(space.layouts) - 1), len(space.steps) - 1
    ordinary = Plan(middle, min(2, longest), 0, Silent.ONE, Live.RANDOM, Start.RANDOM)
    lives = (Live.RANDOM, Live.SIZES, Live.SPARSE, Live.LATE_JUMP)
    short = [(way, replace(ordinary, live=live)) for live in lives for way in Way]
    return [*short, (Way.STACKED, replace(ordinary, steps=longest)), (Way.PERMUTED, replace(ordinary, steps=longest))]


def arranged(way: Way, plan: Plan, space: Space) -> Arrangement:
    """Put the coordinates of a plan among others."""
    history = history_of(plan, space)
    if way is Way.STACKED:
        others = [replace(plan, seed=plan.seed + 100 * number) for number in range(_REPLICAS)]
        return _stacked(tuple(replace(history_of(each, space), seed=plan.seed) for each in others))
    return _permuted(history, plan.seed) if way is Way.PERMUTED else _split(history)


def _stacked(alone: tuple[History, ...]) -> Arrangement:
    first = alone[0]

    def joined(rows: Sequence[tuple[float, ...] | None]) -> tuple[float, ...]:
        return tuple(entry for row in rows for entry in row or ())

    shapes = tuple((len(alone), *shape) for shape in first.shapes)
    initial = tuple(joined([each.initial[index] for each in alone]) for index in range(len(shapes)))
    gradients = tuple(
        tuple(joined([each.gradients[step][index] for each in alone]) for index in range(len(shapes)))
        for step in range(first.steps)
    )
    places = tuple(
        (replica, (index, place), (index, replica * len(entries) + place))
        for replica in range(len(alone))
        for index, entries in enumerate(first.initial)
        for place in range(len(entries))
    )
    return Arrangement(alone, replace(first, shapes=shapes, initial=initial, gradients=gradients), places)


def _permuted(history: History, seed: int) -> Arrangement:
    chance = random.Random(seed + 1)
    orders = [chance.sample(range(len(entries)), len(entries)) for entries in history.initial]

    def turned(listed: Sequence[tuple[float, ...] | None]) -> Values:
        pairs = zip(listed, orders, strict=True)
        return tuple(tuple(entries[old] for old in order) for entries, order in pairs if entries is not None)

    together = replace(history, initial=turned(history.initial), gradients=tuple(map(turned, history.gradients)))
    places = tuple(
        (0, (index, old), (index, new)) for index, order in enumerate(orders) for new, old in enumerate(order)
    )
    return Arrangement((history,), together, places)


def _split(history: History) -> Arrangement:
    """Each parameter with at least two rows becomes two parameters."""
    shapes: list[tuple[int, ...]] = []
    pieces: list[tuple[int, int, int]] = []
    for index, (shape, entries) in enumerate(zip(history.shapes, history.initial, strict=True)):
        rows = shape[0]
        cuts = [(0, rows)] if rows == 1 else [(0, rows // 2), (rows // 2, rows)]
        for first, end in cuts:
            shapes.append((end - first, *shape[1:]))
            pieces.append((index, first * len(entries) // rows, end * len(entries) // rows))

    def cut(listed: Sequence[tuple[float, ...] | None]) -> Values:
        return tuple((listed[index] or ())[first:end] for index, first, end in pieces)

    together = replace(
        history, shapes=tuple(shapes), initial=cut(history.initial), gradients=tuple(map(cut, history.gradients))
    )
    places = tuple(
        (0, (index, place), (number, place - first))
        for number, (index, first, end) in enumerate(pieces)
        for place in range(first, end)
    )
    return Arrangement((history,), together, places)


@dataclass(frozen=True)
class _Difference:
    """The first step after which a coordinate differs, and the two values."""

    step: int
    replica: int
    alone: Coordinate
    together: Coordinate
    values: tuple[float, float]
    ulps: int


@dataclass
class _Comparing:
    """One search; it counts what it runs."""

    runner: Runner
    space: Space
    ulps: int
    code: str | None
    count: int = 0
    steps: int = 0
    stopped: int = 0
    why_stopped: str = ""
    compared: int = 0
    rounding: Rounding | None = None
    counted: int = 0
    found: list[tuple[Candidate, Arrangement, _Difference]] = field(default_factory=list)

    def result(self, seed: int, histories: int) -> Outcome:
        strategy = st.tuples(plans(self.space), st.tuples(st.booleans(), st.booleans())).map(
            lambda drawn: (list(Way)[(drawn[1][0] + 2 * drawn[1][1]) % 3], drawn[0])
        )
        candidate = hunt(_first(self.space), strategy, self._offends, tries=histories, seed=seed)
        if candidate is not None:
            return self._violation(candidate)
        if not self.compared:
            return NotRun(SUBJECT, self.why_stopped or f"no parameter moved in any of {self.count} histories")
        return Tested(SUBJECT, self.count, self.steps, self.stopped, self.why_stopped, self.rounding)

    def _offends(self, candidate: Candidate) -> bool:
        arrangement = arranged(*candidate, self.space)
        difference, steps, moves, stopped = self._compare(arrangement)
        if not self.found:
            self.count += 1
            self.steps += steps
            self.compared += moves
            self.stopped += bool(stopped)
            self.why_stopped = self.why_stopped or stopped
        if difference is not None:
            self.found.append((candidate, arrangement, difference))
        return difference is not None

    def _compare(self, arrangement: Arrangement) -> tuple[_Difference | None, int, bool, str]:
        """The first difference beyond rounding, the steps compared, whether anything moved, why a run ended early."""
        runs = [self.runner.run(each) for each in arrangement.alone]
        together = self.runner.run(arrangement.together)
        last = min(len(run.values) - (not finite(run.values[-1])) if run.values else 0 for run in runs)
        last = min(last, len(together.values))
        largest: dict[tuple[int, Coordinate], float] = {}
        for step in range(last):
            for replica, own, there in arrangement.places:
                pair = _value(runs[replica], step, own), _value(together, step, there)
                size = largest[replica, own] = max(largest.get((replica, own), 0.0), abs(pair[0]))
                apart = self._apart(pair, size)
                if apart and apart > self.ulps * max(step, 1):
                    return _Difference(step, replica, own, there, pair, apart), step, True, ""
                if apart or not same_bits(*pair):
                    self._slip(arrangement, step, replica, own, pair, apart)
        stopped = next((run.stopped for run in [*runs, together] if run.stopped), "")
        return None, max(0, last - 1), last > 1 and together.moves, stopped

    def _apart(self, pair: tuple[float, float], size: float) -> int:
        """How far apart, in units in the last place of the largest value that the coordinate has had."""
        if not math.isfinite(pair[1]):
            return 2**62
        if pair[0] == pair[1]:
            return 0
        return math.ceil(abs(pair[0] - pair[1]) / float(ulp(max(size, abs(pair[1])), self.space.dtype)))

    def _slip(
        self, arrangement: Arrangement, step: int, replica: int, own: Coordinate, pair: tuple[float, float], apart: int
    ) -> None:
        if self.rounding is None or apart > self.rounding.ulps:
            moved = Moved(*own, pair[0].hex(), pair[1].hex())
            self.rounding = Rounding(apart, step, (moved,), arrangement.alone[replica])

    def _violation(self, candidate: Candidate) -> Violation:
        arrangement = arranged(*candidate, self.space)
        difference = self._compare(arrangement)[0]
        if difference is None:  # it does not repeat itself: what was seen is reported
            candidate, arrangement, difference = self.found[0]
        alone = arrangement.alone[difference.replica]
        alone = replace(alone, gradients=alone.gradients[: difference.step])
        together = replace(arrangement.together, gradients=arrangement.together.gradients[: difference.step])
        moved = (Moved(*difference.alone, difference.values[0].hex(), difference.values[1].hex()),)
        kind, experiments = self._kind(alone, difference)
        why = f"{candidate[0].value}, the same numbers give another result"
        title = f"It does not act per coordinate ({kind.value}): {why}."
        places = [(difference.alone, difference.together)]
        feed, dtype = self.runner.feed, self.space.dtype

        def write(code: str) -> str:
            return comparison(title, code, alone, together, dtype, feed, places)

        script, about_script = scripted(
            write, self.runner.build, self.code, alone, dtype, moved, repeats=kind is not Kind.NOISE
        )
        return Violation(
            SUBJECT,
            kind,
            why,
            difference.step,
            None,
            moved,
            experiments,
            alone,
            self.count,
            script,
            about_script,
            together,
        )

    def _kind(self, alone: History, difference: _Difference) -> tuple[Kind, tuple[Experiment, ...]]:
        made: tuple[Experiment, ...] = ()
        for change, seed in (("alone once more, with the same seed", None), ("alone, with another seed", 12_345)):
            again = self.runner.run(alone, seed=seed)
            value = (
                _value(again, difference.step, difference.alone) if len(again.values) > difference.step else math.nan
            )
            if not same_bits(value, difference.values[0]):
                return Kind.NOISE, (*made, Experiment(change, "the result is another one"))
            made = (*made, Experiment(change, "the result is the same"))
        return (Kind.COUPLING if math.isfinite(difference.values[1]) else Kind.NOT_FINITE), made


def _value(trace: Trace, step: int, coordinate: Coordinate) -> float:
    return trace.values[step][coordinate[0]][coordinate[1]]
