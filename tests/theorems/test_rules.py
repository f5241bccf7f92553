"""Proofs about the update rules: those that go through and those that must not; exact counterexamples."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import pytest
import sympy

from theorems.errors import InvalidInput
from theorems.hypotheses import Property
from theorems.rules import (
    C4_RULES,
    DECAY,
    GRADIENT,
    LR,
    RULES,
    THETA,
    Case,
    Counterexample,
    Decay,
    Keeps,
    Over,
    Proof,
    Rule,
    State,
    Update,
    conditions_of,
    counterexamples,
    judge,
    prove,
    prove_freeze,
)
from verify.optimizers.registry import NAMED

NINE = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamax", "amsgrad", "nadam"]
TORCH = ["adamw", "adadelta", "radam", "rprop"]
M = sympy.Symbol("m", real=True)
V = sympy.Symbol("v", nonnegative=True)
EPS = sympy.Symbol("eps", positive=True)
ZERO, ONE = sympy.Integer(0), sympy.Integer(1)


def all_conditions(rule: Rule) -> frozenset[str]:
    return frozenset(condition.text for condition in rule.conditions)


# --- freeze proofs ---------------------------------------------------------------------------------------------------


def test_the_nine_are_the_nine_of_the_claim() -> None:
    assert list(C4_RULES) == NINE
    assert list(NAMED) == [*NINE, *TORCH]
    assert list(RULES)[: len(NINE)] == NINE
    assert set(NAMED) <= set(RULES)


@pytest.mark.parametrize("name", NINE)
def test_freeze_proofs_are_complete(name: str) -> None:
    proof = prove_freeze(RULES[name])
    assert proof.complete
    assert proof.open == ()
    assert "the factor is 1" in proof.discharged
    assert proof.factors == (1, 1)
    assert set(proof.conditions) == all_conditions(RULES[name])


@pytest.mark.parametrize(
    ("name", "dropped"), [(rule.id, condition.text) for rule in RULES.values() for condition in rule.conditions]
)
def test_no_proof_survives_the_loss_of_a_side_condition(name: str, dropped: str) -> None:
    rule = RULES[name]
    proof = prove_freeze(rule, all_conditions(rule) - {dropped})
    assert not proof.complete
    assert proof.open


@pytest.mark.parametrize("name", NINE)
def test_a_proof_without_any_condition_needs_that_there_are_none(name: str) -> None:
    assert prove_freeze(RULES[name], frozenset()).complete == (not RULES[name].conditions)


# The conditions that math §2 and §7 ask of each rule: eps wherever there is a denominator sqrt(v) + eps or |g| + eps,
# and decay factors in [0, 1) wherever a root or a bias correction needs them.
NEEDED = {
    "sgd": set(),
    "momentum": set(),
    "nesterov": set(),
    "adagrad": {"eps > 0", "initial_accumulator_value >= 0"},
    "rmsprop": {"eps > 0", "0 <= alpha < 1"},
    "adam": {"eps > 0", "0 <= beta1 < 1", "0 <= beta2 < 1"},
    "adamax": {"eps > 0", "0 <= beta1 < 1"},
    "amsgrad": {"eps > 0", "0 <= beta1 < 1", "0 <= beta2 < 1"},
    "nadam": {"eps > 0", "0 <= beta1 < 1", "0 <= beta2 < 1", "momentum_decay >= 0"},
}


@pytest.mark.parametrize("name", NINE)
def test_side_conditions(name: str) -> None:
    assert all_conditions(RULES[name]) == NEEDED[name]


def planted(step: Mapping[sympy.Symbol, sympy.Expr], move: sympy.Expr, *states: State) -> Rule:
    return Rule("planted", "", (), states, lambda g: (Update("step", step, move),))


ZERO_M, ZERO_V = State(M, ZERO, Keeps.ZERO), State(V, ZERO, Keeps.NONNEGATIVE)
FREE_M = State(M, ZERO, Keeps.NOTHING)
WD = sympy.Symbol("wd", positive=True)
D = sympy.Symbol("d", real=True)
ADAM_STEP = {M: M / 2 + GRADIENT / 2, V: V / 2 + GRADIENT**2 / 2}
SQUARED = {V: V + GRADIENT**2}

WRONG = {
    "decay term in the numerator": planted({}, GRADIENT + WD * THETA),
    "constant drift": planted({}, GRADIENT + EPS),
    "momentum started at 1": planted({M: M / 2 + GRADIENT}, M / 2 + GRADIENT, State(M, ONE, Keeps.ZERO)),
    "momentum that grows from nothing": planted({M: M / 2 + EPS}, M / 2 + GRADIENT, ZERO_M),
    "momentum that is not an invariant": planted({M: M / 2 + GRADIENT}, M / 2 + GRADIENT, FREE_M),
    "denominator without eps": planted(SQUARED, GRADIENT / sympy.sqrt(V + GRADIENT**2), ZERO_V),
    "Adam without eps": planted(ADAM_STEP, ADAM_STEP[M] / sympy.sqrt(ADAM_STEP[V]), ZERO_M, ZERO_V),
    "denominator of unknown sign": planted({}, GRADIENT / D),
    "root of a negative number": planted({}, GRADIENT * sympy.sqrt(GRADIENT**2 - EPS)),
    "root of a number of unknown sign": planted({}, GRADIENT * sympy.sqrt(D)),
    "root of the parameter": planted({}, GRADIENT * sympy.sqrt(THETA)),
    "second moment that turns negative": planted({V: V - EPS}, GRADIENT / (sympy.sqrt(V) + EPS), ZERO_V),
    "second moment started below 0": planted(SQUARED, GRADIENT, State(V, -ONE, Keeps.NONNEGATIVE)),
    "gradient inverted": planted({}, 1 / GRADIENT),
    "cosine of the gradient": planted({}, sympy.cos(GRADIENT)),
    "unknown function, 0 at 0": planted({}, sympy.tan(GRADIENT)),
    "sign of the parameter": planted({}, sympy.sign(THETA)),
}

RIGHT = {
    "sign descent": planted({}, sympy.sign(GRADIENT)),
    "momentum": planted({M: M / 2 + GRADIENT}, M / 2 + GRADIENT, ZERO_M),
    "Adam with eps": planted(ADAM_STEP, ADAM_STEP[M] / (sympy.sqrt(ADAM_STEP[V]) + EPS), ZERO_M, ZERO_V),
}


@pytest.mark.parametrize("rule", WRONG.values(), ids=WRONG.keys())
def test_planted_wrong_rules_are_not_proved(rule: Rule) -> None:
    for wanted in (Property.F, Property.DJ, Property.DW, Property.S, Property.SL):
        assert not prove(Case(rule), wanted).complete


@pytest.mark.parametrize("rule", RIGHT.values(), ids=RIGHT.keys())
def test_right_rules_are_proved(rule: Rule) -> None:
    assert prove_freeze(rule).complete


# --- every rule with every kind of decay: proofs and counterexamples -------------------------------------------------

BASE: dict[str, Any] = {  # fractions with small denominators keep exact runs quick
    "lr": sympy.Rational(1, 100),
    "eps": sympy.Rational(1, 10**8),
    "betas": (sympy.Rational(9, 10), sympy.Rational(999, 1000)),
    "alpha": sympy.Rational(3, 4),
    "rho": sympy.Rational(9, 10),
    "momentum": sympy.Rational(9, 10),
    "dampening": 0,
    "initial_accumulator_value": sympy.Rational(1, 4),
    "momentum_decay": sympy.Rational(1, 250),
    "etas": (sympy.Rational(1, 2), sympy.Rational(6, 5)),
    "step_sizes": (sympy.Rational(1, 10**6), 50),
}
CASES = [
    Case(rule, decay, over)
    for rule in RULES.values()
    for decay in (Decay.NONE, *rule.decays)
    for over in (Over if decay is not Decay.NONE else [Over.ALL])
]
COMMON_FACTOR = {"sgd", "momentum", "nesterov"}  # under coupled decay
JOINT = {Property.DJ, Property.SL, Property.S, Property.D, Property.SS}
SPLIT = {Property.DW, Property.SL, Property.D, Property.SS}


def held(case: Case) -> set[Property]:
    """What each case satisfies while `lr*weight_decay` is small, written down by hand."""
    if case.decay is Decay.NONE:
        return set(Property)
    if case.decay is Decay.COUPLED and case.rule.id not in COMMON_FACTOR:
        return set()
    return JOINT if case.over is Over.ALL else SPLIT


def settings_of(case: Case, **changed: Any) -> dict[str, Any]:
    return BASE | {"weight_decay": 0 if case.decay is Decay.NONE else sympy.Rational(1, 10)} | changed


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.text)
def test_every_property_is_proved_or_refuted(case: Case) -> None:
    found = judge(case, settings_of(case))
    assert set(found) == set(Property)
    for wanted, judgement in found.items():
        assert isinstance(judgement, Proof if wanted in held(case) else Counterexample), (wanted, judgement)
    assert not held(case) & counterexamples(case, settings_of(case), frozenset(held(case))).keys()


PROVED = [
    (case, wanted)
    for case in CASES
    for wanted in ((Property.F,) if case.decay is Decay.NONE else (Property.DJ, Property.DW, Property.S, Property.SL))
    if wanted in held(case)
]


@pytest.mark.parametrize(("case", "wanted"), PROVED, ids=lambda part: getattr(part, "text", None) or part.name)
def test_no_proof_survives_the_loss_of_any_of_its_conditions(case: Case, wanted: Property) -> None:
    texts = frozenset(condition.text for condition in conditions_of(case, wanted))
    proof = prove(case, wanted)
    assert proof.complete
    assert proof.conditions == tuple(sorted(texts))
    assert proof.factors[0] is not None
    for dropped in texts:
        assert prove(case, wanted, texts - {dropped}).open


def test_what_a_proof_says() -> None:
    proof = prove(Case(RULES["adamw"], Decay.DECOUPLED, Over.WEIGHTS), Property.DW)
    assert proof.factors == (1 - LR * DECAY, 1)
    assert proof.induction_step.startswith("a step with gradient 0 keeps the invariant, w -> (")
    assert proof.invariant == ("m = 0", "v >= 0", "c_1 >= 0", "c_2 >= 0")
    with pytest.raises(InvalidInput, match="DJ, DW"):
        prove(Case(RULES["sgd"]), Property.D)


@pytest.mark.parametrize("name", ["sgd", "adam", "nadam", "momentum"])
def test_nothing_more_is_proved_than_holds(name: str) -> None:
    """The same conditions do not prove joint decay of split groups, nor split decay of joint ones."""
    for decay in RULES[name].decays:
        for over, wrong in ((Over.ALL, Property.DW), (Over.WEIGHTS, Property.DJ), (Over.WEIGHTS, Property.S)):
            assert not prove(Case(RULES[name], decay, over), wrong).complete


def test_counterexamples_are_exact_and_agree_with_fractions() -> None:
    """Adam with coupled decay from w = (1, 2), by hand: `theta - lr theta wd / (wd |theta| + eps)`."""
    used = BASE | {"lr": 0.5, "weight_decay": 0.25, "eps": 0.125}
    example = counterexamples(Case(RULES["adam"], Decay.COUPLED), used)[Property.SS]
    assert example.step == 1
    by_hand = [x - Fraction(1, 2) * x / 4 / (x / 4 + Fraction(1, 8)) for x in (Fraction(1), Fraction(2), Fraction(1))]
    assert [Fraction(int(v.p), int(v.q)) for v in example.after] == by_hand


def test_rules_without_decay_have_no_counterexample() -> None:
    for name in ("sgd", "adam", "adadelta", "rprop", "lion"):
        assert counterexamples(Case(RULES[name]), settings_of(Case(RULES[name]))) == {}
