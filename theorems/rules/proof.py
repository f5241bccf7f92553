"""Induction proofs that an update rule does no more to untouched parameters than a property of math §2 allows.

The invariant says what is true of the states of a coordinate that had only zero gradients. An obligation counts as
discharged only if it follows, by the signs of symbols alone, from the side conditions that may be used.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import sympy
from sympy import Expr, Symbol

from theorems.errors import InvalidInput
from theorems.hypotheses import IMPLIED, Property
from theorems.rules.conditions import AT_MOST_ONE, UNIT_INTERVAL
from theorems.rules.signs import nonnegative, positive
from theorems.rules.transition import GRADIENT, THETA, Case, Condition, Decay, Keeps, Over, Rule, State, System

__all__ = ["DIRECT", "Proof", "conditions_of", "prove", "prove_freeze"]


ZERO, ONE = sympy.Integer(0), sympy.Integer(1)

FIXED = "the factor is 1"
NOT_NEGATIVE = "the factor is at least 0"
NOT_ABOVE_ONE = "the factor is at most 1"
COMMON = "weights and biases have the same factor"

# What is shown of the factors of weights and of biases; the other properties follow (hypotheses.IMPLIED).
DEMANDS: dict[Property, tuple[tuple[str, ...], tuple[str, ...], bool]] = {
    Property.F: ((FIXED,), (FIXED,), False),
    Property.DJ: ((NOT_NEGATIVE, NOT_ABOVE_ONE), (NOT_NEGATIVE, NOT_ABOVE_ONE), True),
    Property.DW: ((NOT_NEGATIVE, NOT_ABOVE_ONE), (FIXED,), False),
    Property.SL: ((NOT_NEGATIVE,), (NOT_NEGATIVE,), False),
    Property.S: ((NOT_NEGATIVE,), (NOT_NEGATIVE,), True),
}
DIRECT = tuple(DEMANDS)


@dataclass(frozen=True)
class Proof:
    """The outcome of `prove`: complete, or the obligations that could not be discharged.

    Symbols: factors are what a step multiplies untouched weights and biases by; None if no factor was found.
    """

    case: Case
    shows: Property
    invariant: tuple[str, ...]
    factors: tuple[Expr | None, Expr | None]
    conditions: tuple[str, ...]
    discharged: tuple[str, ...]
    open: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every obligation was discharged."""
        return not self.open

    @property
    def induction_step(self) -> str:
        """What a step with gradient 0 does to a parameter, from the invariant."""
        told = [f"{name} -> ({factor})*{name}" for name, factor in zip(("w", "b"), self.factors, strict=True) if factor]
        return "a step with gradient 0 keeps the invariant" + "".join(f", {part}" for part in told)


def conditions_of(case: Case, wanted: Property) -> tuple[Condition, ...]:
    """Return the side conditions that a proof of this property may use."""
    rule = case.rule
    if case.decay is Decay.NONE or wanted is Property.F:
        return rule.conditions
    shrinks = wanted in (Property.DJ, Property.DW)
    if case.decay is Decay.DECOUPLED:
        return (*rule.conditions, UNIT_INTERVAL if shrinks else AT_MOST_ONE)
    return (*rule.conditions, *((rule.shrinking if shrinks else rule.scaling) or ()))


@functools.lru_cache(maxsize=1024)
def prove(case: Case, wanted: Property, conditions: frozenset[str] | None = None) -> Proof:
    """Try to prove one of the properties in `DIRECT` from the given side conditions (all that belong to it if None).

    Rigour:   symbolic; learning rates may change from step to step within the conditions, unless these fix one.
    Fails:    InvalidInput for a property that is not shown directly.
    """
    if wanted not in DEMANDS:
        sources = ", ".join(p.name for p in DIRECT if wanted in IMPLIED[p])
        raise InvalidInput(f"({wanted.name}) is not proved by itself; prove one of {sources}, from which it follows")
    usable = conditions_of(case, wanted)
    allowed = tuple(condition for condition in usable if conditions is None or condition.text in conditions)
    weights = case.rule.system(case.decay)
    biases = weights if case.over is Over.ALL else case.rule.system(Decay.NONE)
    for_weights, for_biases, common = DEMANDS[wanted]
    obligations: dict[str, bool] = {}
    factors = [_factor(system, {}) for system in (weights, biases)]
    for system, demands in ((weights, for_weights), (biases, for_biases)):
        for values in _parametrizations(allowed, system):
            for text, discharged in _induction(system, demands, values):
                obligations[text] = obligations.get(text, True) and discharged
    if common:
        obligations[COMMON] = factors[0] is not None and factors[0] == factors[1]
    return Proof(
        case=case,
        shows=wanted,
        invariant=tuple(s.text for s in weights.states if s.keeps is not Keeps.NOTHING),
        factors=(factors[0], factors[1]),
        conditions=tuple(sorted(condition.text for condition in allowed)),
        discharged=tuple(text for text, done in obligations.items() if done),
        open=tuple(text for text, done in obligations.items() if not done),
    )


def prove_freeze(rule: Rule, conditions: frozenset[str] | None = None) -> Proof:
    """Try to prove (F) of math §2 for a rule without weight decay."""
    return prove(Case(rule), Property.F, conditions)


# --- the induction ---------------------------------------------------------------------------------------------------


def _multiplier(state: State) -> Symbol:
    """The `k` of a state that is `k theta`."""
    return Symbol(f"k_{state.symbol}", real=True)


def _parametrizations(conditions: tuple[Condition, ...], system: System) -> Iterator[Callable[[Expr], Expr]]:
    """Every way to write the admitted settings, and the multiples in `[0, bound]`, in sign-constrained symbols."""
    within: list[tuple[Mapping[Symbol, Expr], ...]] = []
    for state in system.states:
        if state.keeps is Keeps.MULTIPLE and state.bound is not None:
            part = Symbol(f"part_{state.symbol}", nonnegative=True)
            k = _multiplier(state)
            within.append(({k: state.bound * part / (1 + part)}, {k: state.bound}))
    # The last conditions may speak of settings that the first ones describe, so they are put in first.
    ranges = [*within, *(condition.cases for condition in reversed(conditions))]
    for chosen in itertools.product(*ranges):
        yield functools.partial(_put_in, chosen)


def _put_in(chosen: tuple[Mapping[Symbol, Expr], ...], expression: Expr) -> Expr:
    for values in chosen:
        expression = expression.xreplace(dict(values))
    return expression


def _premise(system: System) -> dict[Symbol, Expr]:
    """Zero gradient, and the invariant's equations."""
    values = {GRADIENT: ZERO}
    for state in system.states:
        if state.keeps is Keeps.ZERO:
            values[state.symbol] = ZERO
        elif state.keeps is Keeps.MULTIPLE:
            values[state.symbol] = _multiplier(state) * THETA
    return values


def _ratio(expression: Expr, system: System) -> Expr | None:
    """`expression / theta` under the premise, if that is the same for every untouched coordinate."""
    own = {THETA} | {state.symbol for state in system.states if not state.shared}
    after = expression.xreplace(_premise(system))
    slope = sympy.expand(after.diff(THETA))
    linear = after.is_polynomial(THETA) and after.xreplace({THETA: ZERO}) == 0 and not slope.free_symbols & own
    return slope if linear and not slope.has(sympy.nan, sympy.zoo, sympy.oo) else None


def _factor(system: System, known: Mapping[Symbol, Expr]) -> Expr | None:
    """The factor of a step, if all transitions have the same."""
    found = {_ratio(transition.theta.xreplace(dict(known)), system) for transition in system.transitions}
    return found.pop() if len(found) == 1 else None


def _induction(system: System, demands: tuple[str, ...], values: Callable[[Expr], Expr]) -> Iterator[tuple[str, bool]]:
    """Every obligation of the induction, and whether it is discharged with these settings."""
    for state in system.states:
        yield from _start(state, values)
    for transition in system.transitions:
        where = f" ({transition.name})" if len(system.transitions) > 1 else ""
        for expression in (*transition.step.values(), transition.theta):
            for text, discharged in _defined(expression, system, values):
                yield text + where, discharged
        ratio = _ratio(transition.theta, system)
        factor = None if ratio is None else values(ratio)
        yield f"a step multiplies untouched parameters by one factor{where}", factor is not None
        for state in system.states:
            yield from _kept(state, transition.step[state.symbol], system, factor, values, where)
        for demand in demands:
            yield demand + where, factor is not None and _meets(factor, demand)


def _meets(factor: Expr, demand: str) -> bool:
    if demand == FIXED:
        return bool(sympy.cancel(factor - 1) == 0)
    return nonnegative(factor if demand == NOT_NEGATIVE else 1 - factor)


def _start(state: State, values: Callable[[Expr], Expr]) -> Iterator[tuple[str, bool]]:
    if state.keeps in (Keeps.ZERO, Keeps.MULTIPLE):
        yield f"{state.symbol} = 0 at the start", state.start == 0
    if state.keeps is Keeps.NONNEGATIVE:
        yield f"{state.symbol} >= 0 at the start", nonnegative(values(state.start))


def _kept(
    state: State, step: Expr, system: System, factor: Expr | None, values: Callable[[Expr], Expr], where: str
) -> Iterator[tuple[str, bool]]:
    """The invariant after the step. A multiple `k theta` becomes `(k'/factor) theta'`."""
    after = values(step.xreplace(_premise(system)))
    if state.keeps is Keeps.ZERO:
        yield f"{state.symbol} stays 0{where}", sympy.cancel(after) == 0
    elif state.keeps is Keeps.NONNEGATIVE:
        yield f"{state.symbol} stays >= 0{where}", nonnegative(after)
    elif state.keeps is Keeps.MULTIPLE and state.bound is not None:
        ratio = _ratio(step, system)
        known = ratio is not None and factor is not None and positive(factor)
        yield f"{state.symbol} stays a multiple of theta{where}", known
        multiple = values(ratio) / factor if known else ZERO
        bound = values(state.bound)
        inside = known and nonnegative(multiple) and nonnegative(bound) and nonnegative(bound - multiple)
        yield f"0 <= k <= {state.bound} is kept{where}", inside


KNOWN_FUNCTIONS = (sympy.Add, sympy.Mul, sympy.Pow, sympy.Max, sympy.Min, sympy.Abs, sympy.sign)


def _defined(expression: Expr, system: System, values: Callable[[Expr], Expr]) -> Iterator[tuple[str, bool]]:
    """Roots of numbers >= 0 and denominators > 0, for every root and quotient in the expression as it is written."""
    premise = _premise(system)
    for node in sympy.preorder_traversal(expression):
        if not node.args:
            continue
        if not isinstance(node, KNOWN_FUNCTIONS):
            yield f"{node} is understood", False
        elif isinstance(node, sympy.Pow):
            # premise and settings go in separately: what the premise makes of a root must not depend on the order
            base = values(node.base.xreplace(premise))
            if not node.exp.is_Rational:
                yield f"{node} is understood", False
            elif node.exp < 0:
                yield f"{node.base} > 0", positive(base)
            elif not node.exp.is_Integer:
                yield f"{node.base} >= 0", nonnegative(base)
