"""`falsify`: search for a counterexample to a property of an optimizer, make it small, name its kind, write it down."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

import torch

from theorems.errors import InvalidInput
from theorems.hypotheses import Property
from verify.optimizers.falsify.classify import classify
from verify.optimizers.falsify.history import Coordinate, History, Layout, Setting, Values
from verify.optimizers.falsify.hunt import hunt
from verify.optimizers.falsify.judge import Judge, Judgement, Offence
from verify.optimizers.falsify.plans import Live, Plan, Space, Start, Untouched, first_plans, history_of, plans
from verify.optimizers.falsify.reduce import reduced
from verify.optimizers.falsify.results import Moved, NotRun, Outcome, Rounding, Tested, Violation
from verify.optimizers.falsify.run import Build, Runner, feeds
from verify.optimizers.falsify.script import program, scripted
from verify.optimizers.known import Kind

__all__ = ["STEPS", "THOROUGH_STEPS", "WIDTHS", "falsify", "moved_between", "prepared", "space_of", "subject_of"]

WIDTHS: tuple[tuple[int, ...], ...] = ((1, 1, 1), (2, 3, 2), (3, 2, 2, 1), (2, 5, 1))
STEPS: tuple[int, ...] = (1, 2, 3, 5, 7, 11, 60)
THOROUGH_STEPS: tuple[int, ...] = (*STEPS, 250, 1000)
_TRIALS = 150
_DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def subject_of(wanted: Property, untouched: Untouched) -> str:
    """What is tested, for sentences."""
    return f"({wanted.name}) with {untouched.value}"


def falsify(
    build: Build,
    wanted: Property,
    *,
    seed: int = 0,
    histories: int = 60,
    steps: Sequence[int] = STEPS,
    widths: Sequence[tuple[int, ...]] = WIDTHS,
    biases: bool = True,
    settings: Mapping[str, Sequence[Setting]] | None = None,
    untouched: Untouched = Untouched.ZERO,
    dtype: torch.dtype = torch.float64,
    ulps: int = 4,
    code: str | None = None,
) -> Outcome:
    """Search for a gradient history that contradicts a property of math §2.

    build: makes the optimizer from the list of parameters `W^1, b^1, W^2, ...` of a network (`W^1, W^2, ...` without
    biases), as they are or sorted into groups; called once a history. settings: keywords that `build` also takes, each
    with the values to try. untouched: what the tested coordinates get, a gradient 0 or none at all. ulps: what counts
    as rounding (a move of so many units in the last place for F and FB; so many a step for the factors of the others).
    code: source of a function `build(parameters)` (`build(parameters, **settings)`) for the script; left out, it is
    written from the optimizer's class and parameter groups.

    Rigour: a `Violation` is a run of the optimizer's own code, judged in exact rational arithmetic: the move is no
    rounding, and no other number left the reals before. `Tested` proves nothing.
    Source: math §2.
    Fails: InvalidInput for arguments out of range. Whatever the optimizer raises becomes a `NotRun`.
    """
    space = space_of(wanted, untouched, histories, steps, widths, biases, settings or {}, dtype, ulps)
    runner = prepared(build, space)
    if isinstance(runner, str):
        return NotRun(subject_of(wanted, untouched), runner)
    return _Search(runner, space, wanted, ulps, code).result(seed, histories)


def space_of(
    wanted: Property,
    untouched: Untouched,
    histories: int,
    steps: Sequence[int],
    widths: Sequence[tuple[int, ...]],
    biases: bool,
    settings: Mapping[str, Sequence[Setting]],
    dtype: torch.dtype,
    ulps: int,
) -> Space:
    """The space that the arguments of a search describe, checked."""
    layouts = tuple(Layout(tuple(each), biases) for each in widths)
    _check(layouts, steps, histories, ulps, dtype)
    combined = _combined(settings)
    return Space(layouts, tuple(sorted(set(steps))), combined, untouched, wanted is not Property.F, dtype)


def _check(layouts: tuple[Layout, ...], steps: Sequence[int], histories: int, ulps: int, dtype: torch.dtype) -> None:
    for layout in layouts:
        if len(layout.widths) < 3 or min(layout.widths) < 1:
            raise InvalidInput(f"widths {layout.widths}: expected at least three positive numbers, l_0, ..., l_L")
    if not layouts:
        raise InvalidInput("widths: expected at least one network")
    if not steps or min(steps) < 1:
        raise InvalidInput(f"steps {tuple(steps)}: expected at least one positive number")
    if histories < 1:
        raise InvalidInput(f"histories={histories}: expected a positive number")
    if ulps < 0:
        raise InvalidInput(f"ulps={ulps}: expected a number that is not negative")
    if dtype not in _DTYPES:
        raise InvalidInput(f"dtype={dtype}: expected one of {', '.join(map(str, _DTYPES))}")


def _combined(settings: Mapping[str, Sequence[Setting]]) -> tuple[dict[str, Setting], ...]:
    for name, values in settings.items():
        if not values:
            raise InvalidInput(f"settings: {name!r} has no values to try")
    return tuple(dict(zip(settings, values, strict=True)) for values in product(*settings.values()))


def prepared(build: Build, space: Space) -> Runner | str:
    """Find out, with ordinary gradients everywhere, how `step` gets its gradients; or why it does not run."""
    plan = Plan(layout=min(1, len(space.layouts) - 1), live=Live.REPEATED, start=Start.RANDOM)
    layout = space.layouts[plan.layout]
    drawn = random.Random(0)
    rows = tuple(
        tuple(drawn.choice((-1, 1)) * drawn.uniform(0.5, 2) for _ in range(torch.Size(shape).numel()))
        for shape in layout.shapes
    )
    history = History(layout.shapes, history_of(plan, space).initial, (rows, rows), 0, space.settings[0])
    why = ""
    for feed in feeds(build, history, space.dtype):
        trace = Runner(build, space.dtype, feed).run(history)
        if not trace.raised:
            if trace.stopped:
                return f"{trace.stopped} with ordinary gradients"
            return Runner(build, space.dtype, feed)
        why = why or trace.stopped
    return why


@dataclass(frozen=True)
class _Found:
    """A plan with an offence, and how many histories had been tried."""

    plan: Plan
    history: History
    offence: Offence
    count: int


@dataclass
class _Search:
    """One search; it counts what it runs."""

    runner: Runner
    space: Space
    wanted: Property
    ulps: int
    code: str | None
    count: int = 0
    steps: int = 0
    stopped: int = 0
    why_stopped: str = ""
    raised: int = 0
    moving: int = 0
    rounding: Rounding | None = None
    found: list[_Found] = field(default_factory=list)

    def result(self, seed: int, histories: int) -> Outcome:
        candidates = list(first_plans(self.space))
        plan = hunt(candidates, plans(self.space), self._offends, tries=histories, seed=seed)
        subject = subject_of(self.wanted, self.space.untouched)
        if plan is not None:
            return self._violation(plan)
        if self.raised == self.count:
            return NotRun(subject, self.why_stopped)
        if not self.moving:
            return NotRun(subject, f"no parameter moved in any of {self.count} histories")
        return Tested(subject, self.count, self.steps, self.stopped, self.why_stopped, self.rounding)

    def _judge(self, plan: Plan) -> Judge:
        missing = self.space.untouched is Untouched.NONE
        return Judge(self.wanted, self.space.layouts[plan.layout], self.space.dtype, self.ulps, missing=missing)

    def _offends(self, plan: Plan) -> bool:
        history = history_of(plan, self.space)
        trace = self.runner.run(history)
        judgement = self._judge(plan).judge(history, trace)
        if not self.found:
            self._record(history, judgement, len(trace.values) - 1, trace.stopped)
            self.raised += trace.raised and len(trace.values) <= 1
            self.moving += trace.moves
        if judgement.offence is not None:
            self.found.append(_Found(plan, history, judgement.offence, self.count))
        return judgement.offence is not None

    def _record(self, history: History, judgement: Judgement, steps: int, stopped: str) -> None:
        self.count += 1
        self.steps += max(0, steps)
        self.stopped += bool(stopped)
        self.why_stopped = self.why_stopped or stopped
        slip = judgement.slip
        if slip is not None and (self.rounding is None or slip.ulps > self.rounding.ulps):
            moved = moved_between((slip.coordinate,), slip.before, slip.after)
            self.rounding = Rounding(slip.ulps, slip.step, moved, history)

    def _violation(self, plan: Plan) -> Violation:
        judge = self._judge(plan)

        def offence_of(history: History) -> Offence | None:
            return judge.judge(history, self.runner.run(history)).offence

        def offends(history: History) -> int | None:
            found = offence_of(history)
            return None if found is None else found.step

        whole = history_of(plan, self.space)
        history = reduced(whole, offends, _TRIALS)
        offence = offence_of(history)
        if offence is None:
            history, offence = self.found[0].history, self.found[0].offence
        kind, experiments = classify(self.runner, judge, history, offence)
        moved = moved_between(offence.coordinates, offence.before, offence.after)
        subject = subject_of(self.wanted, self.space.untouched)
        title = f"{subject} is violated at step {offence.step}, {kind.value}: {offence.why}."
        feed, dtype = self.runner.feed, self.space.dtype

        def write(code: str) -> str:
            return program(title, code, history, dtype, feed, offence.step, offence.evaluation, moved)

        script, about_script = scripted(
            write, self.runner.build, self.code, history, dtype, moved, repeats=kind is not Kind.NOISE
        )
        return Violation(
            subject,
            kind,
            offence.why,
            offence.step,
            offence.evaluation,
            moved,
            experiments,
            history,
            self.found[0].count,
            script,
            about_script,
        )


def moved_between(coordinates: Iterable[Coordinate], before: Values, after: Values) -> tuple[Moved, ...]:
    """The coordinates with their values before and after."""
    return tuple(
        Moved(index, place, before[index][place].hex(), after[index][place].hex()) for index, place in coordinates
    )
