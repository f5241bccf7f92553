"""The update of a rule as C, generated from its recursion in `theorems.rules`.

A coordinate's states and the parameter are vectors of replicas. What depends on the step number alone (learning rates,
`1 - beta`, bias corrections) is a scalar of the step, computed here in double precision and handed to the kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import sympy
from sympy import Expr, Symbol
from sympy.printing.c import C99CodePrinter

from theorems.rules import DECAY, GRADIENT, LR, RULES, THETA, Decay, Rule, System, Transition, variant_for
from theorems.rules.conditions import EPSILON
from verify.optimizers.registry import ResolvedOptimizer
from verify.simulation.engine_names import Epsilon

__all__ = ["Schedule", "UpdateCode", "rule_and_decay", "update_code", "why_not"]

_ADAM = frozenset({"adam", "amsgrad", "adamw", "adamw_amsgrad"})
_HARMLESS = frozenset({"foreach", "fused", "capturable", "differentiable", "maximize", "lr", "weight_decay"})
_KNOWN: Mapping[str, frozenset[str]] = {
    "SGD": frozenset({"momentum", "dampening", "nesterov"}),
    "Adagrad": frozenset({"lr_decay", "initial_accumulator_value", "eps"}),
    "RMSprop": frozenset({"alpha", "eps", "momentum", "centered"}),
    "Adam": frozenset({"betas", "eps", "amsgrad", "decoupled_weight_decay"}),
    "Adamax": frozenset({"betas", "eps"}),
    "NAdam": frozenset({"betas", "eps", "momentum_decay", "decoupled_weight_decay"}),
    "AdamW": frozenset({"betas", "eps", "amsgrad", "decoupled_weight_decay"}),
    "Adadelta": frozenset({"rho", "eps"}),
    "RAdam": frozenset({"betas", "eps", "decoupled_weight_decay"}),
    "Rprop": frozenset({"etas", "step_sizes"}),
}


def why_not(optimizer: ResolvedOptimizer) -> str | None:
    """Why no update can be generated for this optimizer, or None if one can."""
    if optimizer.rule is None:
        return f"{optimizer.spec.label} is not one of the rules whose recursions are known"
    known = _KNOWN[optimizer.torch_class.__name__] | _HARMLESS
    if unknown := sorted(set(optimizer.settings) - known):
        return f"the recursions know no setting {unknown[0]!r} of {optimizer.spec.label}"
    if variant_for(RULES[optimizer.rule], optimizer.settings) is None:
        return f"no recursion covers the settings of {optimizer.spec.label}"
    return None


def rule_and_decay(optimizer: ResolvedOptimizer) -> tuple[Rule, Decay]:
    """The rule that an optimizer's settings make it, and its kind of weight decay.

    Fails: ValueError if `why_not` has a reason.
    """
    reason = why_not(optimizer)
    rule = None if optimizer.rule is None else variant_for(RULES[optimizer.rule], optimizer.settings)
    if rule is None or reason is not None:
        raise ValueError(reason)
    if rule.id == "momentum" and not optimizer.settings["momentum"]:
        rule = RULES["sgd"]  # torch then keeps no buffer, and dampening does nothing
    if not optimizer.settings.get("weight_decay", 0):
        return rule, Decay.NONE
    decoupled = rule.decoupled or optimizer.settings.get("decoupled_weight_decay") is True
    return rule, Decay.DECOUPLED if decoupled else Decay.COUPLED


@dataclass(frozen=True, eq=False)
class UpdateCode:
    """A rule's update as C, and how to compute the scalars of a step.

    Symbols: states = the coordinate's states in the order of the slab; scalars[b] = the expressions of the scalars of
    branch b, in the rule's settings and shared states.
    """

    rule: Rule
    system: System
    source: str
    scalars: tuple[tuple[Expr, ...], ...]

    @property
    def own_states(self) -> tuple[Symbol, ...]:
        """States that every coordinate has for itself."""
        return tuple(state.symbol for state in self.system.states if not state.shared)

    @property
    def width(self) -> int:
        """Scalars of a step: the most that a branch has."""
        return max(map(len, self.scalars))


def update_code(rule: Rule, decay: Decay, epsilon: Epsilon = "torch") -> UpdateCode:
    """Generate the update of a rule with a kind of decay."""
    system = rule.system(decay)
    if epsilon == "tensorflow1" and rule.id in _ADAM:
        system = System(system.states, tuple(map(_outside, system.transitions)))
    own = [state.symbol for state in system.states if not state.shared]
    bodies, scalars = [], []
    for transition in system.transitions:
        body, found = _branch(transition, own)
        bodies.append(body)
        scalars.append(found)
    steps = "\n".join(
        f"INLINE void step_{number}(const V *now, V g, const V *scalars, V *then, int exact, M *odd) {{\n{body}\n}}\n"
        for number, body in enumerate(bodies)
    )
    cases = "\n".join(
        f"    if (branch == {number}) EVERY_COORDINATE(step_{number}, {1 + len(own)}, {len(found)})"
        for number, found in enumerate(scalars)
    )
    source = (
        f"/* {rule.id} {decay.value}: {rule.recursion} */\n\n"
        f'#include "lanes.h"\n\n{steps}\n'
        "void update(int branch, long count, V *slab, const V *gradient, const REAL *scalars) {\n"
        f"{cases}\n}}\n\nint lanes(void) {{ return LANES; }}\n"
    )
    return UpdateCode(rule, system, source, tuple(scalars))


def _outside(transition: Transition) -> Transition:
    """The transition with epsilon outside the bias correction: `eps/sqrt(c_2)` in place of `eps`."""
    shrunk = EPSILON / sympy.sqrt(next(new for state, new in transition.step.items() if state.name == "c_2"))
    return Transition(transition.name, transition.step, transition.theta.xreplace({EPSILON: shrunk}))


def _branch(transition: Transition, own: list[Symbol]) -> tuple[str, tuple[Expr, ...]]:
    """The step of a coordinate, and its scalars."""
    hoisted = _Hoist(frozenset({GRADIENT, THETA, *own}))
    results = [hoisted(transition.step.get(state, state)) for state in own] + [hoisted(transition.theta)]
    shared, finals = sympy.cse(results, symbols=sympy.numbered_symbols("x"), order="none")
    printer = _Printer()
    lines = [f"    const V {symbol} = scalars[{n}];" for n, symbol in enumerate(hoisted.symbols)]
    lines += [f"    const V {name} = now[{n}];" for n, name in enumerate((THETA, *own))]
    lines += [f"    const V {symbol} = {printer.doprint(part)};" for symbol, part in shared]
    places = (*range(1, len(own) + 1), 0)
    lines += [f"    then[{place}] = {printer.doprint(final)};" for place, final in zip(places, finals, strict=True)]
    return "\n".join(lines), tuple(hoisted.expressions)


class _Hoist:
    """Replaces every largest part without a coordinate's variable by a scalar."""

    def __init__(self, coordinate: frozenset[Symbol]) -> None:
        self.coordinate = coordinate
        self.expressions: list[Expr] = []

    @property
    def symbols(self) -> list[Symbol]:
        return [Symbol(f"s{n}", real=True) for n in range(len(self.expressions))]

    def __call__(self, expression: Expr) -> Expr:
        if expression.is_number and expression.is_Integer:
            return expression
        if not expression.free_symbols & self.coordinate:
            return self._scalar(expression)
        if not expression.args:
            return expression
        parts = list(expression.args)
        if expression.is_Add or expression.is_Mul:
            alone = [part for part in parts if not part.free_symbols & self.coordinate]
            parts = [part for part in parts if part.free_symbols & self.coordinate]
            if alone and not (expression.is_Mul and alone == [sympy.Integer(-1)]):
                parts = [*parts, expression.func(*alone)]
            elif alone:
                return sympy.Mul(-1, self(expression.func(*parts)), evaluate=False)
        if expression.is_Pow and parts[1].is_number:
            return expression.func(self(parts[0]), parts[1])
        return expression.func(*(self(part) for part in parts), evaluate=False)

    def _scalar(self, expression: Expr) -> Expr:
        if expression not in self.expressions:
            self.expressions.append(expression)
        return self.symbols[self.expressions.index(expression)]


class _Printer(C99CodePrinter):  # type: ignore[misc]  # sympy has no types
    """Prints with the functions of lanes.h; the names of its methods are sympy's."""

    def _print_Pow(self, power: Any) -> str:  # noqa: N802
        base, exponent = self._print(power.base), power.exp
        if exponent == 2:
            return f"SQUARE({base})"
        if abs(exponent) == sympy.Rational(1, 2):
            root = f"SQRT({base})"
            return root if exponent > 0 else f"QUOTIENT(broadcast(1), {root}, exact, odd)"
        if exponent == -1:
            return f"QUOTIENT(broadcast(1), {base}, exact, odd)"
        raise ValueError(f"power {power}: expected 2, -1, 1/2 or -1/2")

    def _print_Mul(self, product: Any) -> str:  # noqa: N802
        """One quotient: numerators before denominators."""
        below = [part for part in product.args if part.is_Pow and part.exp.is_negative]
        above = [part for part in product.args if part not in below]
        sign = "-" if sympy.Integer(-1) in above else ""
        above = [part for part in above if part != -1]
        top = "*".join(self._factor(part) for part in above) or "broadcast(1)"
        if not below:
            return f"{sign}{top}"
        bottom = "*".join(self._factor(part.base ** (-part.exp)) for part in below)
        return f"{sign}QUOTIENT({top}, {bottom}, exact, odd)"

    def _factor(self, part: Any) -> str:
        text = self._print(part)
        return f"({text})" if part.is_Add or part.is_Mul else str(text)

    def _print_Rational(self, value: Any) -> str:  # noqa: N802
        return f"((REAL){value.p}/(REAL){value.q})"

    def _print_Integer(self, value: Any) -> str:  # noqa: N802
        return str(value.p)

    def _print_Max(self, call: Any) -> str:  # noqa: N802
        return self._pairwise("MAX", call.args)

    def _print_Min(self, call: Any) -> str:  # noqa: N802
        return self._pairwise("MIN", call.args)

    def _pairwise(self, name: str, parts: Iterable[Any]) -> str:
        text, *others = [str(self._print(part)) for part in parts]
        for other in others:
            text = f"{name}({text}, {other})"
        return text

    def _print_Abs(self, call: Any) -> str:  # noqa: N802
        return f"ABS({self._print(call.args[0])})"

    def _print_sign(self, call: Any) -> str:
        return f"SIGN({self._print(call.args[0])})"


class Schedule:
    """The scalars of steps 1, 2, ... of a rule at given settings, in double precision."""

    def __init__(self, code: UpdateCode, settings: Mapping[str, Any]) -> None:
        self.code, self.settings = code, settings
        self._rows: list[list[float]] = []
        self._branches: list[int] = []
        self._shared = {state.symbol: float(state.start) for state in code.system.states if state.shared}

    @cached_property
    def _functions(self) -> list[tuple[list[Symbol], Callable[..., Any], Callable[..., Any]]]:
        """For each branch: its variables, its scalars, and its shared states after the step."""
        shared = list(self._shared)
        made = []
        for transition, scalars in zip(self.code.system.transitions, self.code.scalars, strict=True):
            news = [transition.step.get(state, state) for state in shared]
            variables = sorted(set().union(*(part.free_symbols for part in (*scalars, *news))), key=str)
            made.append(
                (
                    variables,
                    sympy.lambdify(variables, list(scalars), "math"),
                    sympy.lambdify(variables, news, "math"),
                )
            )
        return made

    def start(self) -> npt.NDArray[np.float64]:
        """The initial value of each of the coordinate's own states."""
        values = self._values(1)
        symbols = {symbol: sympy.Float(value) for symbol, value in values.items()}
        states = {state.symbol: state.start for state in self.code.system.states}
        return np.array([float(states[symbol].xreplace(symbols)) for symbol in self.code.own_states])

    def _values(self, t: int) -> dict[Symbol, float]:
        rule, settings = self.code.rule, self.settings
        common = {LR: settings["lr"], DECAY: settings.get("weight_decay", 0)}
        return {symbol: float(value) for symbol, value in (common | dict(rule.values(settings, t))).items()}

    def rows(self, first: int, last: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int32]]:
        """Scalars (steps, width) and branches (steps) of steps `first + 1 … last`."""
        for t in range(len(self._rows) + 1, last + 1):
            branch = self.code.rule.branch(self.settings, t)
            variables, scalars, news = self._functions[branch]
            values = self._values(t) | self._shared
            arguments = [values[variable] for variable in variables]
            row = [float(value) for value in scalars(*arguments)]
            self._rows.append(row + [0.0] * (self.code.width - len(row)))
            self._branches.append(branch)
            self._shared = dict(zip(self._shared, map(float, news(*arguments)), strict=True))
        table = np.array(self._rows[first:last], dtype=np.float64).reshape(last - first, self.code.width)
        return table, np.array(self._branches[first:last], dtype=np.int32)
