"""Counterexamples: exact trajectories of a neuron that never gets a gradient, and that an update rule moves anyway.

The neuron has two incoming weights and a bias, `w = (1, 2)`, `b = 1`. The rule is run on it with zero gradients, in
exact arithmetic (rational and algebraic numbers; powers that are neither stay symbols), at the given settings. A step
after which `(w, b)` is what a property forbids refutes the property at these settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sympy
from sympy import Expr, Symbol

from theorems.hypotheses import Property
from theorems.rules.conditions import number
from theorems.rules.signs import differ, nonzero, positive
from theorems.rules.transition import DECAY, GRADIENT, LR, THETA, Case, Decay, Over, Settings, System

__all__ = ["NEURON", "Counterexample", "counterexamples", "exact_settings", "exact_trajectory"]

Point = tuple[Expr, Expr, Expr]

NEURON: Point = (sympy.Integer(1), sympy.Integer(2), sympy.Integer(1))
"""Incoming weights and bias at the start."""

_ALL = frozenset(Property)
_FREEZING = frozenset({Property.F, Property.FB})
_BOUNDED = frozenset({Property.DJ, Property.DW, Property.D})


@dataclass(frozen=True)
class Counterexample:
    """A step of an exact trajectory with zero gradients that a property forbids.

    Symbols: before and after are `(w_1, w_2, b)` around that step; what says in words how it breaks the property.
    """

    case: Case
    refutes: Property
    settings: Settings
    step: int
    before: Point
    after: Point
    what: str


def exact_settings(settings: Settings) -> dict[str, Any]:
    """Read every number as the exact one that it is; flags and what else there is stay."""
    exact: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, tuple | list):
            exact[name] = tuple(number({"": part}, "") for part in value)
        else:
            rational = number(settings, name)
            exact[name] = value if rational is None else rational
    return exact


def _values(case: Case, exact: Settings, t: int) -> dict[Symbol, Expr]:
    """Numbers for all symbols of the recursion at step t."""
    common = {LR: exact["lr"], DECAY: exact.get("weight_decay", 0), GRADIENT: sympy.Integer(0)}
    return {symbol: sympy.sympify(value) for symbol, value in (common | dict(case.rule.values(exact, t))).items()}


def exact_trajectory(case: Case, settings: Settings, start: Expr, decay: Decay) -> Iterator[Expr]:
    """Run one parameter exactly, with zero gradients; it ends when a parameter or state is no longer rational."""
    exact = exact_settings(settings)
    system: System = case.rule.system(decay)
    first = _values(case, exact, 1)
    states = {state.symbol: state.start.xreplace(first) for state in system.states}
    theta = start
    t = 0
    while all(value.is_Rational for value in (theta, *states.values())):
        t += 1
        values: Mapping[Symbol, Expr] = _values(case, exact, t) | states | {THETA: theta}
        transition = system.transitions[case.rule.branch(exact, t)]
        theta = transition.theta.xreplace(values)
        states = {symbol: step.xreplace(values) for symbol, step in transition.step.items()}
        yield theta


def counterexamples(
    case: Case, settings: Settings, sought: frozenset[Property] = _ALL
) -> dict[Property, Counterexample]:
    """Look for counterexamples to these properties along the first steps of the trajectory at these settings.

    Rigour:   exact; a property is refuted only if the signs and differences that refute it are proved.
    """
    bias_decay = case.decay if case.over is Over.ALL else Decay.NONE
    runs = [
        exact_trajectory(case, settings, start, decay)
        for start, decay in zip(NEURON, (case.decay, case.decay, bias_decay), strict=True)
    ]
    found: dict[Property, Counterexample] = {}
    before = NEURON
    for step, after in zip(range(1, case.rule.patience + 1), zip(*runs, strict=False), strict=False):
        if not all(value.is_Rational and value != 0 for value in before):
            break
        for what, broken in _violations(before, after):
            for wanted in (broken & sought) - found.keys():
                found[wanted] = Counterexample(case, wanted, settings, step, before, after, what)
        if sought <= found.keys():
            break
        before = after
    return found


def _violations(before: Point, after: Point) -> Iterator[tuple[str, frozenset[Property]]]:
    """What a step did to the neuron, and the properties that forbid it. Losses are `1 - after/before`."""
    first, second, bias = ((old - new) / old for old, new in zip(before, after, strict=True))
    if differ(first, second):
        yield "two weights of one neuron are multiplied by different factors", _ALL
        return
    if positive(first - 1):
        yield "a weight changes its sign", _ALL
    if positive(bias - 1):
        yield "a bias changes its sign", _ALL
    if nonzero(first) or nonzero(bias):
        yield "parameters without gradients move", _FREEZING
    if nonzero(bias):
        yield "the bias moves", frozenset({Property.DW})
    if positive(-first) or positive(-bias):
        yield "parameters without gradients grow", _BOUNDED
    if differ(first, bias):
        yield "weights and bias are multiplied by different factors", frozenset({Property.DJ, Property.S})
