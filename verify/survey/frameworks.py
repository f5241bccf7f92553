"""The survey `frameworks`: default initializations, scalings of the inputs, and the built-in real data sets.

For each of them: `p_1`, the probability that one first-layer neuron is dead on the data, certified and sampled; and
what follows for the width, `1 - (1 - p_1)^w`, the probability that a first layer of width w holds a dead neuron. That
is also the bound of theorem T3 for shallow networks, wherever the optimal risk of the network with one neuron less is
above the noise floor; every row says at which widths that is known, and at which it is known to fail.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import sympy

from theorems.bounds import P_DEAD, ClosedForm
from theorems.errors import InvalidInput, did_you_mean
from theorems.hypotheses import Status
from theorems.laws import parse_initialization
from theorems.setting import DataSet
from verify.data import BUILT_IN, DataSpec, Scale, load_data
from verify.dead_neuron import DeadProbability, FirstLayer, certified
from verify.enclosure import Enclosure, evaluate, evaluate_bound
from verify.inference import LevelPlan
from verify.risk import optimal_risk_above_noise
from verify.sampling import sampled_dead_probability

__all__ = [
    "FRAMEWORKS",
    "SCALINGS",
    "TARGETS",
    "WIDTHS",
    "FrameworkRow",
    "FrameworkSurvey",
    "WidthBound",
    "smallest_width",
    "survey_frameworks",
    "width_bound",
]

Progress = Callable[[int, int], None]

FRAMEWORKS: dict[str, str] = {"pytorch": "PyTorch", "keras": "Keras", "flax": "Flax"}
"""Schemes of `theorems.laws.SCHEMES` that are the defaults of dense layers, and whose they are."""

SCALINGS: dict[Scale, str] = {"none": "raw", "minmax": "min-max scaled", "standard": "standardized"}
WIDTHS = (16, 64, 256, 1024, 4096)
TARGETS = (Fraction(1, 2), Fraction(99, 100))

EXACT_UP_TO = 4096  # widths up to which a power is computed exactly


@dataclass(frozen=True)
class WidthBound:
    """Lower bounds of the probability that a first layer of this width holds a dead neuron.

    Symbols: certified, sampled = `1 - (1 - p)^width` at the certified and at the sampled lower end of `p_1`;
    status, why = whether I(l') > nu for the shallow network with one neuron less, which T3 needs: where it FAILS, dead
    neurons cost nothing (saturation).
    """

    width: int
    certified: Fraction
    sampled: Fraction | None
    status: Status
    why: str


@dataclass(frozen=True)
class FrameworkRow:
    """One initialization on one scaled data set.

    Symbols: certified, sampled = `p_1`; nothing is sampled where both sides are certified. certified_widths and
    sampled_widths = for each of TARGETS a width at which the bound reaches it, the least that is proved to; None if no
    width is known to. n_inputs = number of distinct inputs.
    """

    data: str
    n_inputs: int
    input_dim: int
    scaling: Scale
    initialization: str
    certified: DeadProbability
    sampled: DeadProbability | None
    bounds: tuple[WidthBound, ...]
    certified_widths: tuple[int | None, ...]
    sampled_widths: tuple[int | None, ...]

    @property
    def never_dead(self) -> bool:
        """Whether `p_1 = 0` is certified."""
        return self.certified.enclosure.hi == 0

    @property
    def known(self) -> Enclosure:
        """All that is known of `p_1`: the certified enclosure, and the sampled one where the two meet."""
        proved = self.certified.enclosure
        if self.sampled is None or not proved.meets(self.sampled.enclosure):
            return proved
        return Enclosure(max(proved.lo, self.sampled.enclosure.lo), min(proved.hi, self.sampled.enclosure.hi))

    @property
    def saturated_from(self) -> int | None:
        """The first of the widths at which a network with one neuron less is proved to reach the noise floor."""
        return next((bound.width for bound in self.bounds if bound.status is Status.FAILS), None)

    @property
    def note(self) -> str:
        """What a reader must know about the row; may be empty."""
        told = []
        if self.never_dead:
            told.append(f"{self.certified.why}; inputs of one sign would restore dead neurons (min-max scaling, say)")
        elif self.certified.enclosure.lo == 0:
            told.append("no certified lower bound above 0")
        if self.saturated_from is not None and not self.never_dead:
            why = next(bound.why for bound in self.bounds if bound.width == self.saturated_from)
            told.append(f"saturated from width {self.saturated_from} on: {why}, so a dead neuron costs nothing")
        return "; ".join(told)


@dataclass(frozen=True)
class FrameworkSurvey:
    """All rows. All sampled limits together are wrong with probability at most `alpha`."""

    rows: tuple[FrameworkRow, ...]
    widths: tuple[int, ...]
    neurons: int
    alpha: Fraction
    seed: int


@dataclass(frozen=True)
class _Task:
    """What one row needs; small, since it travels to another process."""

    spec: DataSpec
    initialization: str
    widths: tuple[int, ...]
    neurons: int
    alpha: Fraction
    seed: int


def survey_frameworks(
    data: Sequence[str] = tuple(BUILT_IN),
    scalings: Sequence[Scale] = tuple(SCALINGS),
    initializations: Sequence[str] = tuple(FRAMEWORKS),
    *,
    widths: Sequence[int] = WIDTHS,
    neurons: int = 100_000,
    alpha: Fraction = Fraction(1, 100),
    seed: int = 0,
    executor: Executor | None = None,
    on_progress: Progress = lambda done, total: None,
) -> FrameworkSurvey:
    """Compute the rows, in the order data, initialization, scaling.

    The level alpha is split equally among all rows in advance, whether or not a row turns out to need its share.
    Rigour:   certified and statistical values are kept apart in every row.
    Fails:    InvalidInput for names that are not built in, repeated names, widths below 1, and values that
              `sampled_dead_probability` refuses.
    """
    _check("data", data, BUILT_IN)
    _check("scaling", scalings, SCALINGS)
    _check("initialization", initializations, FRAMEWORKS)
    if not widths or any(width < 1 for width in widths) or list(widths) != sorted(set(widths)):
        raise InvalidInput(f"widths={tuple(widths)}: expected increasing whole numbers from 1 on")
    names = [(name, law, scale) for name in data for law in initializations for scale in scalings]
    level = LevelPlan(alpha, tuple(map("/".join, names)), reserved_share=Fraction(0))
    tasks = [
        _Task(
            DataSpec(name, scale=scale),
            law,
            tuple(widths),
            neurons,
            level.alpha_for("/".join((name, law, scale))),
            seed,
        )
        for name, law, scale in names
    ]
    rows = _one_by_one(tasks, on_progress) if executor is None else _in_parallel(tasks, executor, on_progress)
    return FrameworkSurvey(tuple(rows), tuple(widths), neurons, alpha, seed)


def _one_by_one(tasks: Sequence[_Task], on_progress: Progress) -> list[FrameworkRow]:
    on_progress(0, len(tasks))
    rows = []
    for task in tasks:
        rows.append(_row(task))
        on_progress(len(rows), len(tasks))
    return rows


def _in_parallel(tasks: Sequence[_Task], executor: Executor, on_progress: Progress) -> list[FrameworkRow]:
    futures = [executor.submit(_row, task) for task in tasks]
    on_progress(0, len(futures))
    for done, future in enumerate(as_completed(futures), start=1):
        future.result()
        on_progress(done, len(futures))
    return [future.result() for future in futures]


def _check(what: str, chosen: Sequence[str], known: Collection[str]) -> None:
    for position, name in enumerate(chosen):
        if name not in known:
            raise InvalidInput(f"{what} {name!r}: expected one of {', '.join(known)}{did_you_mean(name, known)}")
        if name in chosen[:position]:
            raise InvalidInput(f"{what} {name!r} is named twice; expected distinct names")
    if not chosen:
        raise InvalidInput(f"no {what} is named; expected at least one of {', '.join(known)}")


def _row(task: _Task) -> FrameworkRow:
    data = _load(task.spec)
    first = _first_layer(data, task.initialization, max(task.widths))
    proved = certified(first)
    sampled = None
    if not proved.two_sided:
        sampled = sampled_dead_probability(first, task.neurons, task.alpha, task.seed)
    lower = proved.enclosure.lo
    sampled_lower = None if sampled is None else sampled.enclosure.lo
    return FrameworkRow(
        data=task.spec.source,
        n_inputs=data.n_inputs,
        input_dim=data.input_dim,
        scaling=task.spec.scale,
        initialization=task.initialization,
        certified=proved,
        sampled=sampled,
        bounds=tuple(_width_bound(width, lower, sampled_lower, data) for width in task.widths),
        certified_widths=tuple(smallest_width(lower, target) for target in TARGETS),
        sampled_widths=tuple(
            None if sampled_lower is None else smallest_width(sampled_lower, target) for target in TARGETS
        ),
    )


@lru_cache(maxsize=4)
def _load(spec: DataSpec) -> DataSet:
    return load_data(spec)


def _first_layer(data: DataSet, scheme: str, width: int) -> FirstLayer:
    """The width enters the laws of some schemes as a common factor of all parameters, which `p_1` does not see."""
    initialization = parse_initialization(scheme)
    laws = initialization.weight_law(data.input_dim, width), initialization.bias_law(data.input_dim, width)
    return FirstLayer(data.inputs, *laws)


def _width_bound(width: int, lower: Fraction, sampled_lower: Fraction | None, data: DataSet) -> WidthBound:
    finding = optimal_risk_above_noise(width - 1, (), data)
    sampled = None if sampled_lower is None else width_bound(sampled_lower, width)
    return WidthBound(width, width_bound(lower, width), sampled, finding.status, finding.why)


def width_bound(lower: Fraction, width: int) -> Fraction:
    """Lower bound of `1 - (1 - p)^width` for every `p >= lower`. Rigour: rounded down."""
    if lower in (0, 1):
        return lower
    return max(evaluate_bound(ClosedForm(1 - (1 - P_DEAD) ** width), lower).lo, Fraction(0))


def smallest_width(lower: Fraction, target: Fraction) -> int | None:
    """A width w with `1 - (1 - lower)^w >= target`, the least up to 4096 and at most one more beyond; None for lower 0.

    Rigour:   proved to reach the target.
    """
    if lower == 0:
        return None
    if lower >= target:
        return 1
    p, t = (sympy.Rational(value.numerator, value.denominator) for value in (lower, target))
    needed = evaluate(sympy.log(1 - t) / sympy.log(1 - p))
    least = max(math.ceil(needed.lo), 1)
    if least <= EXACT_UP_TO and (1 - lower) ** least <= 1 - target:
        return least
    return max(math.ceil(needed.hi), least)
