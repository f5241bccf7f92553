"""The nine update rules of claim C4, and AdamW, as symbolic transition systems, with the proof that each freezes.

One coordinate is followed. With gradient `g_t` at step `t = 1, 2, ...` a rule replaces its states and then moves the
parameter by `-lr_t * numerator / denominator`; the learning rate `lr_t` is any real number, chosen in any way, even
at random. The rules are those of `torch.optim` (where papers differ, the recursion below says what is meant).

`prove_freeze` shows (F) of math §2 by induction on the steps: the states named in `invariant` are 0 at the start,
stay 0 while gradients are 0, and then the numerator is 0 while the denominator is positive. Each side condition is an
assumption on a sympy symbol; without it the proof does not go through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import sympy

from theorems.hypotheses import Evidence, Finding, OptimizerClass, Property, Status

__all__ = [
    "C4_RULES",
    "RULES",
    "Condition",
    "FreezeProof",
    "Rule",
    "Transition",
    "class_of_rule",
    "every_rule",
    "prove_freeze",
]

GRADIENT = sympy.Symbol("g", real=True)


@dataclass(frozen=True)
class Condition:
    """A side condition on one setting of a rule, such as `eps > 0`."""

    text: str
    holds: Callable[[Mapping[str, object]], bool]


@dataclass(frozen=True)
class Transition:
    """One step: new values of the states, and the move `lr_t * numerator / denominator` computed from the new ones.

    Symbols: start gives the initial value of each state; invariant lists the states that must be 0;
    nonnegative lists expressions that must not be negative for roots to exist.
    """

    start: Mapping[sympy.Symbol, sympy.Expr]
    step: Mapping[sympy.Symbol, sympy.Expr]
    numerator: sympy.Expr
    denominator: sympy.Expr
    invariant: tuple[sympy.Symbol, ...]
    nonnegative: tuple[sympy.Expr, ...] = ()


@dataclass(frozen=True)
class Rule:
    """An update rule: its recursion as a function of the side conditions that may be used, and the settings it covers.

    Symbols: plain gives the settings (with these values) outside which the recursion is another one; decoupled tells
    that weight decay multiplies the parameter by `1 - lr*weight_decay` before the move, and leaves the gradient alone.
    """

    id: str
    recursion: str
    conditions: tuple[Condition, ...]
    build: Callable[[frozenset[str]], Transition]
    plain: Mapping[str, object]
    decoupled: bool = False


@dataclass(frozen=True)
class FreezeProof:
    """The outcome of `prove_freeze`: complete, or the obligations that could not be discharged."""

    rule: str
    invariant: tuple[str, ...]
    conditions: tuple[str, ...]
    discharged: tuple[str, ...]
    open: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether every obligation was discharged."""
        return not self.open


def prove_freeze(rule: Rule, conditions: frozenset[str] | None = None) -> FreezeProof:
    """Try to prove (F) for a rule from the given side conditions (all of the rule's, unless told otherwise).

    Rigour:   symbolic; an obligation counts only if sympy proves it from the assumptions on the symbols.
    """
    allowed = frozenset(condition.text for condition in rule.conditions) if conditions is None else conditions
    transition = rule.build(allowed)
    premise: dict[sympy.Expr, sympy.Expr] = {GRADIENT: sympy.Integer(0)} | {
        state: sympy.Integer(0) for state in transition.invariant
    }
    obligations: list[tuple[str, bool]] = []
    for state in transition.invariant:
        obligations.append((f"{state} = 0 at the start", transition.start[state] == 0))
        after = sympy.simplify(transition.step[state].subs(premise))
        obligations.append((f"{state} stays 0 while gradients are 0", after == 0))
    for root in transition.nonnegative:
        obligations.append((f"{root} >= 0 while gradients are 0", root.subs(premise).is_nonnegative is True))
    obligations.append(("the numerator is 0", sympy.simplify(transition.numerator.subs(premise)) == 0))
    obligations.append(("the denominator is positive", transition.denominator.subs(premise).is_positive is True))
    return FreezeProof(
        rule=rule.id,
        invariant=tuple(f"{state} = 0" for state in transition.invariant),
        conditions=tuple(sorted(allowed)),
        discharged=tuple(text for text, done in obligations if done),
        open=tuple(text for text, done in obligations if not done),
    )


# --- side conditions ---------------------------------------------------------------------------------------------


def _number(settings: Mapping[str, object], name: str, index: int | None = None) -> float:
    value = settings[name]
    if index is not None:
        if not isinstance(value, tuple | list):
            return float("nan")
        value = value[index]
    return float(value) if isinstance(value, int | float) else float("nan")


EPS = Condition("eps > 0", lambda s: _number(s, "eps") > 0)
BETA1 = Condition("0 <= beta1 < 1", lambda s: 0 <= _number(s, "betas", 0) < 1)
BETA2 = Condition("0 <= beta2 < 1", lambda s: 0 <= _number(s, "betas", 1) < 1)
ALPHA = Condition("0 <= alpha < 1", lambda s: 0 <= _number(s, "alpha") < 1)
SCHEDULE = Condition("momentum_decay >= 0", lambda s: _number(s, "momentum_decay") >= 0)
ACCUMULATOR = Condition("initial_accumulator_value >= 0", lambda s: _number(s, "initial_accumulator_value") >= 0)


def _epsilon(allowed: frozenset[str]) -> sympy.Symbol:
    return sympy.Symbol("eps", positive=True) if EPS.text in allowed else sympy.Symbol("eps", nonnegative=True)


def _decay(name: str, condition: Condition, allowed: frozenset[str]) -> sympy.Symbol:
    return sympy.Symbol(name, nonnegative=True) if condition.text in allowed else sympy.Symbol(name, real=True)


def _correction(name: str, condition: Condition, allowed: frozenset[str]) -> sympy.Symbol:
    """Bias correction `1 - beta^t` (or a product of factors below 1): positive because the decay factor is below 1."""
    return sympy.Symbol(name, positive=True) if condition.text in allowed else sympy.Symbol(name, real=True)


# --- the nine rules ----------------------------------------------------------------------------------------------

_M = sympy.Symbol("m", real=True)
_V = sympy.Symbol("v", nonnegative=True)
_VMAX = sympy.Symbol("vmax", nonnegative=True)
_U = sympy.Symbol("u", nonnegative=True)
_ONE = sympy.Integer(1)


def _sgd(allowed: frozenset[str]) -> Transition:
    return Transition({}, {}, GRADIENT, _ONE, ())


def _momentum(allowed: frozenset[str]) -> Transition:
    a, dampening = sympy.symbols("a dampening", real=True)
    m_next = a * _M + (1 - dampening) * GRADIENT
    return Transition({_M: sympy.Integer(0)}, {_M: m_next}, m_next, _ONE, (_M,))


def _nesterov(allowed: frozenset[str]) -> Transition:
    a = sympy.Symbol("a", real=True)
    m_next = a * _M + GRADIENT
    return Transition({_M: sympy.Integer(0)}, {_M: m_next}, GRADIENT + a * m_next, _ONE, (_M,))


def _adagrad(allowed: frozenset[str]) -> Transition:
    start = sympy.Symbol("v_0", nonnegative=True) if ACCUMULATOR.text in allowed else sympy.Symbol("v_0", real=True)
    v = _V if ACCUMULATOR.text in allowed else sympy.Symbol("v", real=True)
    v_next = v + GRADIENT**2
    return Transition({v: start}, {v: v_next}, GRADIENT, sympy.sqrt(v_next) + _epsilon(allowed), (), (start, v_next))


def _rmsprop(allowed: frozenset[str]) -> Transition:
    b = _decay("b", ALPHA, allowed)
    v_next = b * _V + (1 - b) * GRADIENT**2
    return Transition(
        {_V: sympy.Integer(0)}, {_V: v_next}, GRADIENT, sympy.sqrt(v_next) + _epsilon(allowed), (), (v_next,)
    )


def _moments(allowed: frozenset[str]) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr, sympy.Expr]:
    """Both moments after a step and both bias corrections."""
    a, b = _decay("a", BETA1, allowed), _decay("b", BETA2, allowed)
    first, second = _correction("c_1", BETA1, allowed), _correction("c_2", BETA2, allowed)
    return a * _M + (1 - a) * GRADIENT, b * _V + (1 - b) * GRADIENT**2, first, second


def _adam(allowed: frozenset[str]) -> Transition:
    m_next, v_next, c_1, c_2 = _moments(allowed)
    return Transition(
        {_M: sympy.Integer(0), _V: sympy.Integer(0)},
        {_M: m_next, _V: v_next},
        m_next,
        c_1 * (sympy.sqrt(v_next / c_2) + _epsilon(allowed)),
        (_M,),
        (v_next, v_next / c_2),
    )


def _amsgrad(allowed: frozenset[str]) -> Transition:
    m_next, v_next, c_1, c_2 = _moments(allowed)
    largest = sympy.Max(_VMAX, v_next)
    return Transition(
        {_M: sympy.Integer(0), _V: sympy.Integer(0), _VMAX: sympy.Integer(0)},
        {_M: m_next, _V: v_next, _VMAX: largest},
        m_next,
        c_1 * (sympy.sqrt(largest / c_2) + _epsilon(allowed)),
        (_M,),
        (v_next, largest / c_2),
    )


def _adamax(allowed: frozenset[str]) -> Transition:
    m_next, _, c_1, _ = _moments(allowed)
    b = sympy.Symbol("b", real=True)  # any decay: the maximum with |g| + eps alone keeps the denominator positive
    u_next = sympy.Max(b * _U, sympy.Abs(GRADIENT) + _epsilon(allowed))
    return Transition(
        {_M: sympy.Integer(0), _U: sympy.Integer(0)}, {_M: m_next, _U: u_next}, m_next, c_1 * u_next, (_M,)
    )


def _nadam(allowed: frozenset[str]) -> Transition:
    m_next, v_next, _, c_2 = _moments(allowed)
    mu, mu_next = sympy.symbols("mu mu_next", real=True)
    # mu_t = beta1 (1 - 0.96^(t momentum_decay)/2) lies in [0, beta1], so products of them stay below 1
    below_one = frozenset({BETA1.text}) if {BETA1.text, SCHEDULE.text} <= allowed else frozenset()
    c_1, c_next = _correction("c_1", BETA1, below_one), _correction("c_1_next", BETA1, below_one)
    look_ahead = (1 - mu) * GRADIENT * c_next + mu_next * m_next * c_1  # over the common denominator c_1 c_1_next
    return Transition(
        {_M: sympy.Integer(0), _V: sympy.Integer(0)},
        {_M: m_next, _V: v_next},
        look_ahead,
        c_1 * c_next * (sympy.sqrt(v_next / c_2) + _epsilon(allowed)),
        (_M,),
        (v_next, v_next / c_2),
    )


C4_RULES: dict[str, Rule] = {
    rule.id: rule
    for rule in (
        Rule("sgd", "Phi = lr g", (), _sgd, {"momentum": 0, "nesterov": False}),
        Rule(
            "momentum",
            "m <- a m + (1 - dampening) g, m <- g at the first step; Phi = lr m",
            (),
            _momentum,
            {"nesterov": False},
        ),
        Rule("nesterov", "m <- a m + g; Phi = lr (g + a m)", (), _nesterov, {"nesterov": True}),
        Rule("adagrad", "v <- v + g^2; Phi = lr g / (sqrt v + eps)", (EPS, ACCUMULATOR), _adagrad, {}),
        Rule(
            "rmsprop",
            "v <- b v + (1-b) g^2; Phi = lr g / (sqrt v + eps)",
            (EPS, ALPHA),
            _rmsprop,
            {"momentum": 0, "centered": False},
        ),
        Rule(
            "adam",
            "m <- a m + (1-a) g, v <- b v + (1-b) g^2; Phi = lr m/c_1 / (sqrt(v/c_2) + eps), c = 1 - beta^t",
            (EPS, BETA1, BETA2),
            _adam,
            {"amsgrad": False},
        ),
        Rule("adamax", "m as Adam, u <- max(b u, |g| + eps); Phi = lr m/c_1 / u", (EPS, BETA1), _adamax, {}),
        Rule(
            "amsgrad", "Adam with vmax <- max(vmax, v) in place of v", (EPS, BETA1, BETA2), _amsgrad, {"amsgrad": True}
        ),
        Rule(
            "nadam",
            "Adam with numerator (1-mu_t) g/(1-prod mu) + mu_{t+1} m/(1-prod mu mu_{t+1})",
            (EPS, BETA1, BETA2, SCHEDULE),
            _nadam,
            {},
        ),
    )
}

RULES: dict[str, Rule] = C4_RULES | {
    "adamw": Rule(
        "adamw",
        "theta <- (1 - lr weight_decay) theta, then as Adam",
        (EPS, BETA1, BETA2),
        _adam,
        {"amsgrad": False},
        decoupled=True,
    )
}


def class_of_rule(rule: Rule, settings: Mapping[str, object], name: str) -> OptimizerClass:
    """Say which properties of math §2 a rule has with these settings (all of the rule's settings, defaults included).

    Weight decay, side conditions and settings outside the recursion are looked at; what is not decided is unknown.
    """
    for setting, value in rule.plain.items():
        if settings.get(setting, value) != value:
            why = f"{setting}={settings[setting]} is not the rule {rule.recursion!r} that was proved"
            return OptimizerClass(name, ((Property.FB, Finding("FB", Status.UNKNOWN, Evidence.ASSUMED, why)),))
    failed = [condition.text for condition in rule.conditions if not condition.holds(settings)]
    decay = settings.get("weight_decay", 0)
    if isinstance(decay, int | float) and decay != 0:
        return OptimizerClass(name, _under_decay(rule, settings, float(decay), failed))
    if failed:
        why = f"side condition {failed[0]} fails for {name}"
        return OptimizerClass(name, ((Property.FB, Finding("FB", Status.UNKNOWN, Evidence.ASSUMED, why)),))
    proof = prove_freeze(rule)
    if not proof.complete:
        why = f"the freeze proof of {rule.id} has open obligations: {'; '.join(proof.open)}"
        return OptimizerClass(name, ((Property.F, Finding("F", Status.UNKNOWN, Evidence.ASSUMED, why)),))
    used = f" given {', '.join(proof.conditions)}" if proof.conditions else ""
    steps = ", ".join([*proof.invariant, "zero numerator", "positive denominator"])
    why = f"(F) proved symbolically for {rule.id}: {steps}{used}"
    return OptimizerClass(name, ((Property.F, Finding("F", Status.HOLDS, Evidence.PROVED, why)),))


def _under_decay(
    rule: Rule, settings: Mapping[str, object], decay: float, failed: list[str]
) -> tuple[tuple[Property, Finding], ...]:
    """Decay moves every non-zero coordinate at its first step; plain SGD and decoupled decay only rescale (math §2).

    They rescale all untouched parameters by one factor, which is (DJ), if that factor lies in [0, 1] and the rest of
    the rule freezes.
    """
    lr = _number(settings, "lr")
    moved = f"weight_decay={decay:g} moves coordinates whose gradients are 0"
    status = Status.UNKNOWN if lr == 0 or lr != lr else Status.FAILS
    findings = [(p, Finding(p.name, status, Evidence.PROVED, moved)) for p in (Property.F, Property.FB)]
    rescales = (rule.id == "sgd" or rule.decoupled) and not failed and prove_freeze(rule).complete
    # Read as the exact binary numbers that they are: the product of two floats would be rounded.
    if rescales and lr == lr and 0 <= sympy.Rational(lr) * sympy.Rational(decay) <= 1:
        why = "each step multiplies every untouched (w, b) by 1 - lr*weight_decay, which lies in [0, 1]"
        findings.append((Property.DJ, Finding("DJ", Status.HOLDS, Evidence.PROVED, why)))
    return tuple(findings)


def every_rule() -> OptimizerClass:
    """Return what holds for all nine rules with admissible settings and no weight decay: (F), from nine proofs."""
    unproved = [rule.id for rule in C4_RULES.values() if not prove_freeze(rule).complete]
    status = Status.UNKNOWN if unproved else Status.HOLDS
    why = (
        f"not proved for {', '.join(unproved)}"
        if unproved
        else "(F) proved symbolically for each of the nine rules of C4"
    )
    finding = Finding("F", status, Evidence.ASSUMED if unproved else Evidence.PROVED, why)
    return OptimizerClass("each of the nine rules of C4, any learning rates", ((Property.F, finding),))
