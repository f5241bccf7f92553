"""What coupled weight decay does in the long run, at a learning rate that is the same at every step.

With zero gradients the three rules below are linear in the parameter, and all untouched parameters have the same factor
`c_t`. Let `x = lr*weight_decay`, `a` the momentum (beta1 of RAdam), `d` the dampening.

Momentum: `theta_1 = (1-x) theta_0` and `theta_{t+1} = (1 + a - (1-d) x) theta_t - a theta_{t-1}`, so that `c_0 = 1-x`
and `c_{t+1} = h(c_t)`, `h(c) = B - a/c`, `B = 1 + a - (1-d) x`. For x < 0, `c_t >= 1` is kept. For x > 0:

- If `B^2 < 4a`, the roots of `r^2 = B r - a` are not real. A solution of such a recursion that is not 0 is
  `C rho^t cos(phi t + delta)` with `0 < phi < pi`, and changes its sign.
- Otherwise let `r` be the smaller root. For `0 < x < 1` it is positive. If `c_0 >= r`, then `c_t` stays in `[r, 1]`,
  for `h` increases, `h(r) = r` and `h(1) = 1 - (1-d) x <= 1`. If `0 < c_0 < r`, then `c_t` falls, to 0 or below: a
  limit would be a fixed point below `r`. Where it is 0, the parameter is 0, and `-a theta_{t-1}` after the next step.

Nesterov: `theta_1 = (1 - x - a x) theta_0`, `theta_{t+1} = (1+a)(1-x) theta_t - a (1-x) theta_{t-1}`; for x < 0 again
`c_t >= 1`, and beyond `x = ((1-a)/(1+a))^2` the roots are not real, or (x >= 1) the first step changes the sign.

RAdam with `beta2 <= 2/3`: `rho_t < 2/(1-beta2) - 1 <= 5`, so that it is never rectified and moves by `lr m/(1 - a^t)`.
Then `c_t = 1 - y_t` with `y_1 = x`, `y_{t+1} = (1-w_t) x + w_t y_t/(1-y_t)`, `w_t = a (1-a^t)/(1-a^{t+1})`, which
increases to `a`. For x < 0 all `y_t` are negative. For x > 0, `y_t >= x` while it is below 1, and:

- If `x <= (1-sqrt a)/(1+sqrt a)`, then `f(y) = (1-a) x + a y/(1-y)` has a fixed point `y* < 1` and `x <= y*`. Since
  `y/(1-y) >= x` and `w_t <= a`, `y_{t+1} <= f(y_t)`; so `y_t <= y*` is kept.
- Otherwise `f(y) > y` on `[x, 1)`, also with weights near `a`, by no less than some positive number; so `y_t` reaches 1
  or more. Where it is 1 (and a > 0), the parameter is 0 and moves at the next step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sympy import Rational

from theorems.hypotheses import Property
from theorems.rules.conditions import number
from theorems.rules.transition import Case, Decay, Over, Settings

__all__ = ["LongRun", "in_the_long_run"]

_SCALING = frozenset({Property.S, Property.SL, Property.SS})
_SHRINKING = _SCALING | {Property.DJ, Property.D}
_TWO_THIRDS = Rational(2, 3)


@dataclass(frozen=True)
class LongRun:
    """Whether a property holds at these settings, by the arguments of this module."""

    case: Case
    shows: Property
    holds: bool
    why: str


def in_the_long_run(case: Case, settings: Settings) -> dict[Property, LongRun]:
    """Decide (S), (SL), (SS), (D) and (DJ), or refute every property, for coupled momentum, Nesterov and RAdam.

    Rigour:   exact; the learning rate is the same at every step. What is not decided is left out.
    Source:   the arguments above.
    """
    decide = _DECISIONS.get(case.rule.id)
    if decide is None or case.decay is not Decay.COUPLED or case.over is not Over.ALL:
        return {}
    lr, decay = number(settings, "lr"), number(settings, "weight_decay")
    if lr is None or decay is None or lr * decay == 0:
        return {}
    found = decide(lr * decay, settings)
    if found is None:
        return {}
    holds, why = found
    decided = _SHRINKING if lr * decay > 0 else _SCALING
    told = f"{why}, at the same lr in every step"
    return {each: LongRun(case, each, holds, told) for each in (decided if holds else frozenset(Property))}


def _momentum(x: Rational, settings: Settings) -> tuple[bool, str] | None:
    a, d = number(settings, "momentum"), number(settings, "dampening") or Rational(0)
    if a is None or not (0 < a < 1 and 0 <= d <= 1):
        return None
    if x < 0:
        return True, "all untouched parameters are multiplied by one factor >= 1, since lr*weight_decay < 0"
    if x >= 1:
        return False, "the first step takes untouched parameters to 0 or beyond, since lr*weight_decay >= 1"
    middle = 1 + a - (1 - d) * x
    if middle**2 < 4 * a:
        return False, (
            "untouched parameters change their signs in the long run: theta_(t+1) = B theta_t - momentum theta_(t-1) "
            "with B = 1 + momentum - (1 - dampening) lr*weight_decay has no real roots"
        )
    if 2 * (1 - x) >= middle or x * (a - d + d * x) <= 0:  # 1 - x is no smaller than the smaller root
        return True, "all untouched parameters are multiplied by one factor in (0, 1], which stays above a fixed point"
    return False, "the factor of untouched parameters falls to 0 or below: it starts below the smaller fixed point"


def _nesterov(x: Rational, settings: Settings) -> tuple[bool, str] | None:
    a = number(settings, "momentum")
    if a is None or not 0 < a < 1 or number(settings, "dampening"):
        return None
    if x < 0:
        return True, "all untouched parameters are multiplied by one factor >= 1, since lr*weight_decay < 0"
    if x * (1 + a) ** 2 <= (1 - a) ** 2:
        return None  # proved by induction
    return False, (
        "untouched parameters change their signs in the long run, since lr*weight_decay > "
        "((1 - momentum)/(1 + momentum))^2"
    )


def _radam(x: Rational, settings: Settings) -> tuple[bool, str] | None:
    a, b = number(settings, "betas", 0), number(settings, "betas", 1)
    if a is None or b is None or not 0 <= a < 1 or not 0 <= b <= _TWO_THIRDS:
        return None
    never = "beta2 <= 2/3, so that it is never rectified"
    if x < 0:
        return True, f"all untouched parameters are multiplied by one factor >= 1, since lr*weight_decay < 0 ({never})"
    rest = (1 - a) * x
    if x * (1 + a) <= 1 - a and (1 - a + rest) ** 2 >= 4 * rest:
        return True, (
            "all untouched parameters are multiplied by one factor in [0, 1], since lr*weight_decay <= "
            f"(1 - sqrt(beta1))/(1 + sqrt(beta1)) ({never})"
        )
    return False, (
        "untouched parameters reach 0 or change their signs in the long run, since lr*weight_decay > "
        f"(1 - sqrt(beta1))/(1 + sqrt(beta1)) ({never})"
    )


_DECISIONS: dict[str, Callable[[Rational, Settings], tuple[bool, str] | None]] = {
    "momentum": _momentum,
    "nesterov": _nesterov,
    "radam": _radam,
}
