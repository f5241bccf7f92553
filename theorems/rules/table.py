"""The update rules, one after the other: recursions, side conditions, and the settings that they cover.

The nine rules of claim C4 are those of `torch.optim`, as are AdamW, Adadelta, RAdam, Rprop, and RMSprop with momentum
or centred. `torch.optim` has no Nadamax, Lion, AdaBelief, and no SGD with decoupled decay: their recursions are those
of the papers. States start at 0 and `t = 1, 2, ...`, unless said otherwise; `c_1 = 1 - a^t` and `c_2 = 1 - b^t` follow
the recursion `c <- a c + (1 - a)`, so that their positivity is part of the induction.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import sympy
from sympy import Expr, Symbol

from theorems.rules.conditions import (
    ACCUMULATOR,
    ALPHA,
    AT_MOST_ONE,
    BETA1,
    BETA2,
    DAMP,
    DAMPENING,
    EPS,
    EPSILON,
    LAG,
    MOMENTUM,
    MOMENTUM_BOUND,
    MU,
    NESTEROV_BOUND,
    POSITIVE_LR,
    RHO,
    SCHEDULE,
    UNIT_INTERVAL,
    V_0,
    W_NEXT,
    A,
    B,
    W,
)
from theorems.rules.transition import LR, Decay, Keeps, Rule, Settings, State, Update

__all__ = ["C4_RULES", "RULES", "variant_for"]

Values = Callable[[Settings, int], Mapping[Symbol, Any]]

ZERO, ONE = sympy.Integer(0), sympy.Integer(1)
DECOUPLED = (Decay.DECOUPLED,)
EITHER = (Decay.COUPLED, Decay.DECOUPLED)

M, BUFFER, MEAN, PREVIOUS = (Symbol(name, real=True) for name in ("m", "buffer", "gbar", "previous"))
V, V_MAX, SQUARES = (Symbol(name, nonnegative=True) for name in ("v", "vmax", "d"))
U, SIZE = Symbol("u", real=True), Symbol("s", real=True)
C_1, C_2, C_MU = (Symbol(name, nonnegative=True) for name in ("c_1", "c_2", "c_mu"))
EXCESS = Symbol("rho_t_minus_5", positive=True)  # the branch that uses it is taken only where it is positive
SIZE_0, ETA_MINUS, ETA_PLUS, LEAST, MOST = sympy.symbols("s_0 eta_minus eta_plus least most", real=True)

_M = State(M, ZERO, Keeps.ZERO)
_V = State(V, ZERO, Keeps.NONNEGATIVE)
_C_1, _C_2 = (State(c, ZERO, Keeps.NONNEGATIVE, shared=True) for c in (C_1, C_2))
_U = State(U, ZERO, Keeps.NOTHING)


def _average(decay: Expr, old: Expr, new: Expr) -> Expr:
    return decay * old + (1 - decay) * new


def _plain(step: Mapping[Symbol, Expr], move: Expr) -> tuple[Update, ...]:
    return (Update("step", step, move),)


# --- gradient descent ------------------------------------------------------------------------------------------------


def _sgd(g: Expr) -> tuple[Update, ...]:
    return _plain({}, g)


def _momentum(g: Expr) -> tuple[Update, ...]:
    m = MU * M + (1 - DAMP) * g
    return _plain({M: m}, m)


def _momentum_values(s: Settings, t: int) -> Mapping[Symbol, Any]:
    return {MU: s["momentum"], DAMP: s.get("dampening", 0) if t > 1 else 0}


def _nesterov(g: Expr) -> tuple[Update, ...]:
    m = MU * M + g
    return _plain({M: m}, g + MU * m)


def _rprop(g: Expr) -> tuple[Update, ...]:
    """`s <- s eta_plus` while the sign of the gradient stays, `s eta_minus` and no move where it changes."""
    same = sympy.sign(g * PREVIOUS)
    changes = same * (same - 1) / 2  # 1 where the sign changed, else 0
    stays = same * (same + 1) / 2
    size = sympy.Min(MOST, sympy.Max(LEAST, SIZE * (1 + stays * (ETA_PLUS - 1) + changes * (ETA_MINUS - 1))))
    used = g * (1 - changes)
    return _plain({PREVIOUS: used, SIZE: size}, sympy.sign(used) * size)


def _rprop_values(s: Settings, t: int) -> Mapping[Symbol, Any]:
    (minus, plus), (least, most) = s["etas"], s["step_sizes"]
    return {LR: 1, SIZE_0: s["lr"], ETA_MINUS: minus, ETA_PLUS: plus, LEAST: least, MOST: most}


# --- one denominator -------------------------------------------------------------------------------------------------


def _adagrad(g: Expr) -> tuple[Update, ...]:
    v = V + g**2
    return _plain({V: v}, g / (sympy.sqrt(v) + EPSILON))


def _adagrad_values(s: Settings, t: int) -> Mapping[Symbol, Any]:
    rate = s["lr"] / (1 + (t - 1) * s.get("lr_decay", 0))
    return {LR: rate, EPSILON: s["eps"], V_0: s["initial_accumulator_value"]}


def _rmsprop(g: Expr, *, momentum: bool = False, centered: bool = False) -> tuple[Update, ...]:
    step = {V: _average(B, V, g**2)}
    spread = step[V]
    if centered:
        step[MEAN] = _average(B, MEAN, g)
        spread = spread - step[MEAN] ** 2
    move = g / (sympy.sqrt(spread) + EPSILON)
    if momentum:
        move = step[BUFFER] = MU * BUFFER + move
    return _plain(step, move)


def _rmsprop_values(s: Settings, t: int) -> Mapping[Symbol, Any]:
    return {B: s["alpha"], EPSILON: s["eps"], MU: s.get("momentum", 0)}


def _adadelta(g: Expr) -> tuple[Update, ...]:
    v = _average(B, V, g**2)
    move = sympy.sqrt(SQUARES + EPSILON) / sympy.sqrt(v + EPSILON) * g
    return _plain({V: v, SQUARES: _average(B, SQUARES, move**2)}, move)


# --- two moments -----------------------------------------------------------------------------------------------------


def _moments(g: Expr) -> dict[Symbol, Expr]:
    return {M: _average(A, M, g), V: _average(B, V, g**2), C_1: _average(A, C_1, ONE), C_2: _average(B, C_2, ONE)}


def _beta_values(s: Settings, t: int) -> Mapping[Symbol, Any]:
    return {A: s["betas"][0], B: s["betas"][1], EPSILON: s["eps"]}


def _adam(g: Expr) -> tuple[Update, ...]:
    new = _moments(g)
    return _plain(new, new[M] / new[C_1] / (sympy.sqrt(new[V] / new[C_2]) + EPSILON))


def _amsgrad(g: Expr) -> tuple[Update, ...]:
    new = _moments(g)
    new[V_MAX] = sympy.Max(V_MAX, new[V])
    return _plain(new, new[M] / new[C_1] / (sympy.sqrt(new[V_MAX] / new[C_2]) + EPSILON))


def _adamax(g: Expr) -> tuple[Update, ...]:
    new = {M: _average(A, M, g), C_1: _average(A, C_1, ONE), U: sympy.Max(B * U, sympy.Abs(g) + EPSILON)}
    return _plain(new, new[M] / new[C_1] / new[U])


def _nadamax(g: Expr) -> tuple[Update, ...]:
    new = {M: _average(A, M, g), C_1: _average(A, C_1, ONE), U: sympy.Max(B * U, sympy.Abs(g) + EPSILON)}
    look_ahead = A * new[M] / _average(A, new[C_1], ONE) + (1 - A) * g / new[C_1]
    return _plain(new, look_ahead / new[U])


def _nadam(g: Expr) -> tuple[Update, ...]:
    mu, mu_next = A * (1 - W / 2), A * (1 - W_NEXT / 2)
    new = {M: _average(A, M, g), V: _average(B, V, g**2), C_2: _average(B, C_2, ONE), C_MU: _average(mu, C_MU, ONE)}
    look_ahead = (1 - mu) * g / new[C_MU] + mu_next * new[M] / _average(mu_next, new[C_MU], ONE)
    return _plain(new, look_ahead / (sympy.sqrt(new[V] / new[C_2]) + EPSILON))


def _nadam_values(s: Settings, t: int) -> Mapping[Symbol, Any]:
    base, rate = sympy.Rational(24, 25), s["momentum_decay"]
    now, then = base ** (t * rate), base ** ((t + 1) * rate)
    if isinstance(rate, sympy.Rational) and not now.is_Rational:
        # An exact run keeps such powers as unknown numbers of (0, 1].
        now, then = (1 / (1 + Symbol(f"z_{k}", nonnegative=True)) for k in (t, t + 1))
    return {**_beta_values(s, t), W: now, W_NEXT: then}


def _radam(g: Expr) -> tuple[Update, ...]:
    new = _moments(g)
    length, longest = 5 + EXCESS, 5 + EXCESS + LAG
    variance = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
    adapted = sympy.sqrt(variance) * sympy.sqrt(new[C_2]) / (sympy.sqrt(new[V]) + EPSILON)
    corrected = new[M] / new[C_1]
    return (Update("not rectified", new, corrected), Update("rectified", new, corrected * adapted))


def _radam_values(s: Settings, t: int) -> Mapping[Symbol, Any]:
    b = s["betas"][1]
    lag = 2 * t * b**t / (1 - b**t)
    return {**_beta_values(s, t), LAG: lag, EXCESS: 2 / (1 - b) - 1 - lag - 5}


def _radam_branch(s: Settings, t: int) -> int:
    return 1 if _radam_values(s, t)[EXCESS] > 0 else 0


def _lion(g: Expr) -> tuple[Update, ...]:
    return _plain({M: _average(B, M, g)}, sympy.sign(_average(A, M, g)))


def _adabelief(g: Expr) -> tuple[Update, ...]:
    new = _moments(g)
    new[V] = _average(B, V, (g - new[M]) ** 2) + EPSILON
    return _plain(new, new[M] / new[C_1] / (sympy.sqrt(new[V] / new[C_2]) + EPSILON))


# --- the table -------------------------------------------------------------------------------------------------------

_MOMENTS = (_M, _V, _C_1, _C_2)
_BETAS = (EPS, BETA1, BETA2)
_DECAYED = "theta <- (1 - lr weight_decay) theta, then as"
_RMSPROP = "v <- b v + (1-b) g^2"


def _sgd_rule(name: str, text: str, decay: Decay) -> Rule:
    coupled = decay is Decay.COUPLED
    return Rule(
        name,
        text,
        (),
        (),
        _sgd,
        {"momentum": 0, "nesterov": False},
        (decay,),
        shrinking=(UNIT_INTERVAL,) if coupled else None,
        scaling=(AT_MOST_ONE,) if coupled else None,
    )


def _momentum_rule(name: str, text: str, decay: Decay) -> Rule:
    conditions = (POSITIVE_LR, MOMENTUM, DAMPENING, MOMENTUM_BOUND)
    coupled = decay is Decay.COUPLED
    return Rule(
        name,
        text,
        (),
        (_M,),
        _momentum,
        {"nesterov": False},
        (decay,),
        shrinking=conditions if coupled else None,
        scaling=conditions if coupled else None,
        bounds={M: (1 - sympy.sqrt(MU)) / sympy.sqrt(MU) / LR} if coupled else {},
        values=_momentum_values,
        patience=100,
    )


def _rmsprop_rule(name: str, text: str, *, momentum: bool = False, centered: bool = False) -> Rule:
    states = [_V]
    if centered:
        states.append(State(MEAN, ZERO, Keeps.ZERO))
    if momentum:
        states.append(State(BUFFER, ZERO, Keeps.ZERO))
    return Rule(
        name,
        text,
        (EPS, ALPHA),
        tuple(states),
        lambda g: _rmsprop(g, momentum=momentum, centered=centered),
        {"centered": centered} if momentum else {"centered": centered, "momentum": 0},
        values=_rmsprop_values,
    )


def _adam_rule(name: str, text: str, decays: tuple[Decay, ...], *, amsgrad: bool = False) -> Rule:
    return Rule(
        name,
        text,
        _BETAS,
        (*_MOMENTS, State(V_MAX, ZERO, Keeps.NONNEGATIVE)) if amsgrad else _MOMENTS,
        _amsgrad if amsgrad else _adam,
        {"amsgrad": amsgrad},
        decays,
        values=_beta_values,
    )


C4_RULES: dict[str, Rule] = {
    rule.id: rule
    for rule in (
        _sgd_rule("sgd", "Phi = lr g", Decay.COUPLED),
        _momentum_rule("momentum", "m <- a m + (1 - dampening) g, m <- g at the first step; Phi = lr m", Decay.COUPLED),
        Rule(
            "nesterov",
            "m <- a m + g; Phi = lr (g + a m)",
            (),
            (_M,),
            _nesterov,
            {"nesterov": True},
            shrinking=(POSITIVE_LR, MOMENTUM, NESTEROV_BOUND),
            scaling=(POSITIVE_LR, MOMENTUM, NESTEROV_BOUND),
            bounds={M: (1 - MU) / (1 + MU) / MU / LR},
            values=_momentum_values,
            patience=100,
        ),
        Rule(
            "adagrad",
            "v <- v + g^2; Phi = lr g / (sqrt v + eps)",
            (EPS, ACCUMULATOR),
            (State(V, V_0, Keeps.NONNEGATIVE),),
            _adagrad,
            values=_adagrad_values,
        ),
        _rmsprop_rule("rmsprop", f"{_RMSPROP}; Phi = lr g / (sqrt v + eps)"),
        _adam_rule(
            "adam",
            "m <- a m + (1-a) g, v <- b v + (1-b) g^2; Phi = lr m/c_1 / (sqrt(v/c_2) + eps), c = 1 - beta^t",
            EITHER,
        ),
        Rule(
            "adamax",
            "m as Adam, u <- max(b u, |g| + eps); Phi = lr m/c_1 / u",
            (EPS, BETA1),
            (_M, _C_1, _U),
            _adamax,
            values=_beta_values,
        ),
        _adam_rule("amsgrad", "Adam with vmax <- max(vmax, v) in place of v", EITHER, amsgrad=True),
        Rule(
            "nadam",
            "Adam with numerator (1-mu_t) g/(1-prod mu) + mu_{t+1} m/(1-prod mu mu_{t+1})",
            (*_BETAS, SCHEDULE),
            (_M, _V, _C_2, State(C_MU, ZERO, Keeps.NONNEGATIVE, shared=True)),
            _nadam,
            decays=EITHER,
            values=_nadam_values,
        ),
    )
}

RULES: dict[str, Rule] = C4_RULES | {
    rule.id: rule
    for rule in (
        _adam_rule("adamw", f"{_DECAYED} Adam", DECOUPLED),
        _adam_rule("adamw_amsgrad", f"{_DECAYED} AMSGrad", DECOUPLED, amsgrad=True),
        Rule(
            "adadelta",
            "v <- b v + (1-b) g^2, Phi = lr sqrt(d + eps)/sqrt(v + eps) g, then d <- b d + (1-b) (Phi/lr)^2",
            (EPS, RHO),
            (_V, State(SQUARES, ZERO, Keeps.NONNEGATIVE)),
            _adadelta,
            values=lambda s, t: {B: s["rho"], EPSILON: s["eps"]},
        ),
        Rule(
            "radam",
            "rho_t = rho_inf - 2 t b^t/c_2, rho_inf = 2/(1-b) - 1; Phi = lr m/c_1 while rho_t <= 5, then "
            "lr m/c_1 r_t sqrt(c_2)/(sqrt v + eps), r_t^2 = (rho_t-4)(rho_t-2)rho_inf/((rho_inf-4)(rho_inf-2)rho_t)",
            _BETAS,
            _MOMENTS,
            _radam,
            decays=EITHER,
            values=_radam_values,
            branch=_radam_branch,
            patience=12,
        ),
        Rule(
            "rprop",
            "s <- s eta_plus where g keeps its sign, s eta_minus and g <- 0 where it changes; Phi = sign(g) s",
            (),
            (State(PREVIOUS, ZERO, Keeps.ZERO), State(SIZE, SIZE_0, Keeps.NOTHING)),
            _rprop,
            decays=(),
            values=_rprop_values,
        ),
        _rmsprop_rule(
            "rmsprop_momentum",
            f"{_RMSPROP}, buffer <- momentum buffer + g / (sqrt v + eps); Phi = lr buffer",
            momentum=True,
        ),
        _rmsprop_rule(
            "rmsprop_centered", "RMSprop with v - gbar^2 in place of v, gbar <- b gbar + (1-b) g", centered=True
        ),
        _rmsprop_rule(
            "rmsprop_centered_momentum",
            "RMSprop with momentum, and v - gbar^2 in place of v under the root",
            momentum=True,
            centered=True,
        ),
        _sgd_rule("sgdw", f"{_DECAYED} SGD (no class in torch)", Decay.DECOUPLED),
        _momentum_rule("sgdw_momentum", f"{_DECAYED} momentum (no class in torch)", Decay.DECOUPLED),
        Rule(
            "nadamax",
            "Adamax with numerator a m/(1 - a^(t+1)) + (1-a) g/(1 - a^t) (no class in torch)",
            (EPS, BETA1),
            (_M, _C_1, _U),
            _nadamax,
            decays=EITHER,
            values=_beta_values,
        ),
        Rule(
            "lion",
            f"{_DECAYED} Phi = lr sign(a m + (1-a) g), then m <- b m + (1-b) g (no class in torch)",
            (),
            (_M,),
            _lion,
            decays=DECOUPLED,
            values=lambda s, t: {A: s["betas"][0], B: s["betas"][1]},
        ),
        Rule(
            "adabelief",
            "Adam with v <- b v + (1-b) (g - m)^2 + eps, m being the new one (no class in torch)",
            _BETAS,
            _MOMENTS,
            _adabelief,
            decays=EITHER,
            values=_beta_values,
        ),
    )
}

# Rules of one torch class: its settings say which of them it is.
_FAMILIES = (
    ("sgd", "momentum", "nesterov"),
    ("adam", "amsgrad"),
    ("adamw", "adamw_amsgrad"),
    ("rmsprop", "rmsprop_momentum", "rmsprop_centered", "rmsprop_centered_momentum"),
    ("sgdw", "sgdw_momentum"),
)


def variant_for(rule: Rule, settings: Settings) -> Rule | None:
    """Return the rule that these settings make of this one: itself, or another rule of its family; None if neither."""
    family = next((names for names in _FAMILIES if rule.id in names), ())
    for candidate in (rule, *(RULES[name] for name in family)):
        if all(settings.get(name, value) == value for name, value in candidate.plain.items()):
            return candidate
    return None
