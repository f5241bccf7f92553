"""The side conditions that the proofs use, each with the substitutions that put it to use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sympy
from sympy import Expr, Symbol

from theorems.rules.transition import DECAY, LR, Condition, Settings

__all__ = [
    "ACCUMULATOR",
    "ALPHA",
    "AT_MOST_ONE",
    "BETA1",
    "BETA2",
    "DAMPENING",
    "EPS",
    "MOMENTUM",
    "MOMENTUM_BOUND",
    "NESTEROV_BOUND",
    "POSITIVE_LR",
    "RHO",
    "SCHEDULE",
    "UNIT_INTERVAL",
]


# The settings as the recursions call them.
SYMBOLS = ("eps", "a", "b", "mu", "dampening", "v_0", "w", "w_next", "lag")
EPSILON, A, B, MU, DAMP, V_0, W, W_NEXT, LAG = (Symbol(name, real=True) for name in SYMBOLS)


def _free(name: str, *, strict: bool = False) -> Symbol:
    return Symbol(name, positive=True) if strict else Symbol(name, nonnegative=True)


def _below_one(symbol: Symbol, name: str | None = None) -> tuple[Mapping[Symbol, Expr], ...]:
    """`[0, 1)`, as `p/(1+p)` with `p >= 0`."""
    p = _free(f"p_{name or symbol}")
    return ({symbol: p / (1 + p)},)


def number(settings: Settings, name: str, index: int | None = None) -> sympy.Rational | None:
    """Return a setting as the exact number that it is; None if it is not a number.

    Products of settings must not be rounded, so floats are read as the binary fractions that they are.
    """
    value: Any = settings.get(name)
    if index is not None:
        value = value[index] if isinstance(value, tuple | list) else None
    if isinstance(value, bool) or not isinstance(value, int | float | sympy.Rational):
        return None
    return sympy.Rational(value) if value == value and abs(value) != float("inf") else None


def _within(low: Any, value: sympy.Rational | None, high: Any = None) -> bool:
    """`low <= value`, and `value < high` if there is one."""
    return value is not None and bool(low <= value) and (high is None or bool(value < high))


def _shrinkage(settings: Settings) -> sympy.Rational | None:
    """`lr * weight_decay`."""
    lr, decay = number(settings, "lr"), number(settings, "weight_decay")
    return None if lr is None or decay is None else lr * decay


def _at_most(value: sympy.Rational | None, most: Any) -> bool:
    return value is not None and bool(value <= most)


def _below_momentum_bound(settings: Settings) -> bool:
    """`0 <= x <= (1 - sqrt a)^2` for `x = lr*weight_decay`, without the root: `2 sqrt(x a) <= 1 - x - a`."""
    x, a = _shrinkage(settings), number(settings, "momentum")
    return x is not None and a is not None and bool(x >= 0 and 1 - x - a >= 0 and 4 * x * a <= (1 - x - a) ** 2)


def _below_nesterov_bound(settings: Settings) -> bool:
    x, a = _shrinkage(settings), number(settings, "momentum")
    return x is not None and a is not None and bool(0 <= x <= ((1 - a) / (1 + a)) ** 2)


def _positive(value: sympy.Rational | None) -> bool:
    return value is not None and bool(value > 0)


EPS = Condition("eps > 0", lambda s: _positive(number(s, "eps")), ({EPSILON: _free("eps", strict=True)},))
BETA1 = Condition("0 <= beta1 < 1", lambda s: _within(0, number(s, "betas", 0), 1), _below_one(A))
# `lag` is RAdam's rho_inf - rho_t = 2 t beta2^t / (1 - beta2^t), which is >= 0 for these beta2
BETA2 = Condition(
    "0 <= beta2 < 1", lambda s: _within(0, number(s, "betas", 1), 1), ({**_below_one(B)[0], LAG: _free("lag")},)
)
ALPHA = Condition("0 <= alpha < 1", lambda s: _within(0, number(s, "alpha"), 1), _below_one(B))
RHO = Condition("0 <= rho < 1", lambda s: _within(0, number(s, "rho"), 1), _below_one(B))
# 0.96^(t momentum_decay) lies in (0, 1]; at the next step it is another such number
SCHEDULE = Condition(
    "momentum_decay >= 0",
    lambda s: _within(0, number(s, "momentum_decay")),
    ({W: 1 / (1 + _free("z")), W_NEXT: 1 / (1 + _free("z_next"))},),
)
ACCUMULATOR = Condition(
    "initial_accumulator_value >= 0",
    lambda s: _within(0, number(s, "initial_accumulator_value")),
    ({V_0: _free("v_0")},),
)

# --- weight decay: the factor 1 - lr_t*weight_decay ---

_P = _free("p")
UNIT_INTERVAL = Condition(
    "0 <= lr*weight_decay <= 1",
    lambda s: _within(0, _shrinkage(s)) and _at_most(_shrinkage(s), 1),
    ({LR: _P / (1 + _P) / DECAY}, {LR: 1 / DECAY}),
)
AT_MOST_ONE = Condition("lr*weight_decay <= 1", lambda s: _at_most(_shrinkage(s), 1), ({LR: (1 - _P) / DECAY},))

# --- coupled decay with momentum: `m = k theta` with `0 <= lr k <= r`, r being the fixed point at the bound ---

_ROOT = _free("q", strict=True) / (1 + _free("q", strict=True))
_PART = _free("y")


def _up_to(bound: Expr) -> tuple[Mapping[Symbol, Expr], ...]:
    """`lr*weight_decay` from 0 to the bound."""
    return {DECAY: bound * _PART / (1 + _PART) / LR}, {DECAY: bound / LR}


MOMENTUM = Condition(
    "0 < momentum < 1",
    lambda s: _positive(number(s, "momentum")) and _within(0, number(s, "momentum"), 1),
    ({MU: _ROOT**2},),
)
POSITIVE_LR = Condition(
    "lr > 0, the same at every step", lambda s: _positive(number(s, "lr")), ({LR: _free("lr", strict=True)},)
)
DAMPENING = Condition(
    "0 <= dampening <= 1",
    lambda s: _within(0, number(s, "dampening")) and _at_most(number(s, "dampening"), 1),
    (*_below_one(DAMP), {DAMP: sympy.Integer(1)}),
)
MOMENTUM_BOUND = Condition(
    "0 <= lr*weight_decay <= (1 - sqrt(momentum))^2", _below_momentum_bound, _up_to((1 - sympy.sqrt(MU)) ** 2)
)
NESTEROV_BOUND = Condition(
    "0 <= lr*weight_decay <= ((1 - momentum)/(1 + momentum))^2",
    _below_nesterov_bound,
    _up_to(((1 - MU) / (1 + MU)) ** 2),
)
