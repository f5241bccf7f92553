"""The nine update rules: their freeze proofs, proofs that must not go through, and the torch classes themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from theorems.errors import InvalidInput
from theorems.hypotheses import Evidence, Finding, OptimizerClass, Property, Status
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
    class_of_rule,
    conditions_of,
    counterexamples,
    every_rule,
    judge,
    prove,
    prove_freeze,
    variant_for,
)
from verify.optimizers import NAMED, OptimizerSpec, resolve

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


# --- each rule against its torch class -------------------------------------------------------------------------------
# The transitions are run as they stand, in floats, from the numbers that the rule itself gives for its symbols.


@lru_cache(maxsize=512)
def compiled(expression: sympy.Expr) -> tuple[tuple[str, ...], Callable[..., float]]:
    symbols = sorted(expression.free_symbols, key=str)
    names = tuple(str(symbol) for symbol in symbols)
    assert len(set(names)) == len(names), f"two symbols of one name in {expression}"
    return names, sympy.lambdify(symbols, expression, modules=[{"sign": lambda x: (x > 0) - (x < 0)}, "math"])


def number(expression: sympy.Expr, values: Mapping[str, float]) -> float:
    names, function = compiled(expression)
    return float(function(*(values[name] for name in names)))


def case_of(rule: Rule, given_settings: Mapping[str, Any]) -> Case:
    variant = variant_for(rule, given_settings)
    assert variant is not None
    if not given_settings.get("weight_decay"):
        return Case(variant)
    decoupled = variant.decoupled or given_settings.get("decoupled_weight_decay") is True
    return Case(variant, Decay.DECOUPLED if decoupled else Decay.COUPLED)


@lru_cache(maxsize=64)
def system_of(case: Case) -> Any:
    return case.rule.system(case.decay)


def symbolic_positions(
    case: Case, given_settings: Mapping[str, Any], gradients: Sequence[float], start: float = 0.0
) -> list[float]:
    system = system_of(case)

    def values_at(t: int) -> dict[str, float]:
        common = {"lr": given_settings["lr"], "weight_decay": given_settings.get("weight_decay", 0.0)}
        return common | {str(symbol): float(value) for symbol, value in case.rule.values(given_settings, t).items()}

    theta = start
    states = {str(state.symbol): number(state.start, values_at(1)) for state in system.states}
    positions = []
    for t, gradient in enumerate(gradients, start=1):
        values = values_at(t) | states | {"g": gradient, "theta": theta}
        transition = system.transitions[case.rule.branch(given_settings, t)]
        theta = number(transition.theta, values)
        states = {str(state): number(step, values) for state, step in transition.step.items()}
        positions.append(theta)
    return positions


def torch_positions(
    name: str, changed: Mapping[str, Any], gradients: Sequence[float], lr: float, start: float = 0.0
) -> tuple[list[float], Any]:
    resolved = resolve(OptimizerSpec(name, {"lr": lr} | dict(changed)))
    parameter = torch.tensor([start], dtype=torch.float64, requires_grad=True)
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # NAdam keeps its product of mu in the default dtype
    try:
        optimizer = resolved.build([parameter])
        positions = []
        for gradient in gradients:
            parameter.grad = torch.tensor([gradient], dtype=torch.float64)
            optimizer.step()
            positions.append(parameter.item())
    finally:
        torch.set_default_dtype(before)
    return positions, resolved.settings


VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("sgd", {}),
    ("momentum", {}),
    ("momentum", {"momentum": 0.5, "dampening": 0.3}),
    ("nesterov", {}),
    ("nesterov", {"momentum": 0.3}),
    ("adagrad", {}),
    ("adagrad", {"initial_accumulator_value": 0.4, "eps": 0.01}),
    ("rmsprop", {}),
    ("rmsprop", {"alpha": 0.5, "eps": 0.1}),
    ("adam", {}),
    ("adam", {"betas": (0.5, 0.7), "eps": 0.01}),
    ("adam", {"betas": (0.0, 0.9)}),
    ("adamax", {}),
    ("adamax", {"betas": (0.6, 0.3), "eps": 0.05}),
    ("amsgrad", {}),
    ("amsgrad", {"betas": (0.5, 0.2), "eps": 0.01}),
    ("nadam", {}),
    ("nadam", {"betas": (0.6, 0.8), "momentum_decay": 0.5, "eps": 0.01}),
    ("sgd", {"momentum": 0.7, "dampening": 0.2}),
    ("adam", {"amsgrad": True}),
    ("adagrad", {"lr_decay": 0.3}),
    ("rmsprop", {"momentum": 0.9}),
    ("rmsprop", {"centered": True, "eps": 0.01}),
    ("rmsprop", {"centered": True, "momentum": 0.5, "alpha": 0.5, "eps": 0.01}),
    ("adadelta", {}),
    ("adadelta", {"rho": 0.5, "eps": 0.01}),
    ("radam", {}),
    ("radam", {"betas": (0.5, 0.9), "eps": 0.01}),
    ("radam", {"betas": (0.5, 0.6)}),
    ("rprop", {}),
    ("rprop", {"etas": (0.3, 1.7), "step_sizes": (0.1, 0.2)}),
]

DECAYED: list[tuple[str, dict[str, Any]]] = [
    ("sgd", {}),
    ("momentum", {}),
    ("momentum", {"momentum": 0.5, "dampening": 0.3}),
    ("nesterov", {}),
    ("adagrad", {}),
    ("rmsprop", {}),
    ("rmsprop", {"centered": True, "momentum": 0.5, "eps": 0.01}),
    ("adam", {}),
    ("adam", {"decoupled_weight_decay": True}),
    ("adamax", {}),
    ("amsgrad", {}),
    ("amsgrad", {"decoupled_weight_decay": True}),
    ("nadam", {}),
    ("nadam", {"decoupled_weight_decay": True}),
    ("adamw", {}),
    ("adamw", {"amsgrad": True}),
    ("adadelta", {}),
    ("radam", {}),
    ("radam", {"decoupled_weight_decay": True}),
]

gradient_histories = st.lists(
    st.one_of(st.just(0.0), st.floats(-3, 3, width=32), st.sampled_from([1.0, -1.0, 1e-6, 50.0])),
    min_size=1,
    max_size=8,
)


TOLERANCE = 1e-9  # of the largest position or move so far: the two programs round differently


def check_against_torch(name: str, changed: dict[str, Any], gradients: list[float], lr: float, start: float) -> None:
    positions, used = torch_positions(name, changed, gradients, lr, start)
    expected = symbolic_positions(case_of(RULES[name], used), used, gradients, start)
    size = 1e-12
    for t, (got, wanted) in enumerate(zip(positions, expected, strict=True), start=1):
        size = max(size, abs(wanted), abs(start))
        assert abs(got - wanted) <= TOLERANCE * size, f"step {t}: torch {got}, rule {wanted}"


@pytest.mark.parametrize(("name", "changed"), VARIANTS, ids=str)
@given(gradients=gradient_histories)
@settings(max_examples=8)
@example(gradients=[0.0, 0.0, 1.0, 0.0, -2.0, 0.5])
@example(gradients=[2.0, 0.0, 0.0, -1.0])
@example(gradients=[1.0, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.25])
@example(gradients=[1.0])
def test_rules_are_their_torch_classes(name: str, changed: dict[str, Any], gradients: list[float]) -> None:
    check_against_torch(name, changed, gradients, 0.125, 0.0)


@pytest.mark.parametrize(("name", "changed"), DECAYED, ids=str)
@given(gradients=gradient_histories, decay=st.sampled_from([0.01, 0.5, 3.0]), start=st.sampled_from([0.7, -2.0]))
@settings(max_examples=8)
@example(gradients=[0.0] * 9, decay=0.5, start=1.5)
def test_rules_with_decay_are_their_torch_classes(
    name: str, changed: dict[str, Any], gradients: list[float], decay: float, start: float
) -> None:
    check_against_torch(name, changed | {"weight_decay": decay}, gradients, 0.125, start)


def test_radam_is_compared_on_both_of_its_branches() -> None:
    _, used = torch_positions("radam", {}, [1.0], 0.1)
    assert [RULES["radam"].branch(used, t) for t in range(1, 9)] == [0, 0, 0, 0, 0, 1, 1, 1]


def test_a_planted_wrong_recursion_is_caught_by_the_comparison() -> None:
    """Adam with another decay factor, another eps, or AMSGrad's maximum differs within three steps."""
    gradients = [1.0, 0.2, -0.5]
    positions, used = torch_positions("adam", {}, gradients, 0.125)
    used = dict(used)
    for wrong in (used | {"betas": (0.9, 0.99)}, used | {"eps": 0.1}):
        assert abs(positions[-1] - symbolic_positions(Case(RULES["adam"]), wrong, gradients)[-1]) > 1e-6
    used |= {"betas": (0.9, 0.2)}
    amsgrad = symbolic_positions(Case(RULES["amsgrad"]), used, gradients)
    adam = symbolic_positions(Case(RULES["adam"]), used, gradients)
    assert abs(amsgrad[-1] - adam[-1]) > 1e-6


# --- rules that torch lacks, against plain transcriptions of their papers --------------------------------------------


def lion(s: Mapping[str, Any], gradients: Sequence[float], theta: float) -> list[float]:
    """Chen et al., arXiv:2302.06675, algorithm 2."""
    m, found = 0.0, []
    b1, b2 = s["betas"]
    for g in gradients:
        c = b1 * m + (1 - b1) * g
        theta = theta - s["lr"] * (np.sign(c) + s["weight_decay"] * theta)
        m = b2 * m + (1 - b2) * g
        found.append(theta)
    return found


def adabelief(s: Mapping[str, Any], gradients: Sequence[float], theta: float) -> list[float]:
    """Zhuang et al., arXiv:2010.07468, algorithm 2; with decoupled decay."""
    m, v, found = 0.0, 0.0, []
    b1, b2 = s["betas"]
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * (g - m) ** 2 + s["eps"]
        theta -= s["lr"] * s["weight_decay"] * theta
        theta -= s["lr"] * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + s["eps"])
        found.append(theta)
    return found


def nadamax(s: Mapping[str, Any], gradients: Sequence[float], theta: float) -> list[float]:
    """Adamax (arXiv:1412.6980, algorithm 2) with Dozat's look-ahead first moment; with decoupled decay."""
    m, u, found = 0.0, 0.0, []
    b1, b2 = s["betas"]
    for t, g in enumerate(gradients, start=1):
        m = b1 * m + (1 - b1) * g
        u = max(b2 * u, abs(g) + s["eps"])
        ahead = b1 * m / (1 - b1 ** (t + 1)) + (1 - b1) * g / (1 - b1**t)
        theta = theta * (1 - s["lr"] * s["weight_decay"]) - s["lr"] * ahead / u
        found.append(theta)
    return found


def sgdw(s: Mapping[str, Any], gradients: Sequence[float], theta: float) -> list[float]:
    """Loshchilov and Hutter, arXiv:1711.05101, algorithm 1, with torch's momentum buffer and decay times lr."""
    m, found = 0.0, []
    for g in gradients:
        m = s["momentum"] * m + g
        theta = theta - s["lr"] * s["weight_decay"] * theta - s["lr"] * m
        found.append(theta)
    return found


PAPERS = {"lion": lion, "adabelief": adabelief, "nadamax": nadamax, "sgdw_momentum": sgdw, "sgdw": sgdw}


@pytest.mark.parametrize("name", PAPERS)
@given(gradients=gradient_histories, decay=st.sampled_from([0.0, 0.5]), b1=st.sampled_from([0.0, 0.5, 0.9]))
@settings(max_examples=25)
@example(gradients=[0.0, 0.0, 1.0, 0.0, -2.0, 0.5], decay=0.5, b1=0.9)
def test_rules_without_a_torch_class_are_those_of_the_papers(
    name: str, gradients: list[float], decay: float, b1: float
) -> None:
    momentum = 0.9 if name == "sgdw_momentum" else 0.0
    used = {"lr": 0.125, "weight_decay": decay, "betas": (b1, 0.8), "eps": 0.01, "momentum": momentum}
    case = Case(RULES[name], Decay.DECOUPLED if decay else Decay.NONE)
    expected = PAPERS[name](used, gradients, 0.7)
    size = max(0.7, *(abs(value) for value in expected))
    for got, wanted in zip(symbolic_positions(case, used, gradients, 0.7), expected, strict=True):
        assert abs(got - wanted) <= TOLERANCE * size


# --- freezing, on torch itself ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "changed"), [*VARIANTS, ("adam", {"maximize": True}), ("sgd", {"lr": -0.5})], ids=str)
def test_torch_does_not_move_a_coordinate_before_its_first_gradient(name: str, changed: dict[str, Any]) -> None:
    resolved = resolve(OptimizerSpec(name, changed))
    assert resolved.properties.about(Property.F).status is Status.HOLDS
    start = torch.tensor([0.3, -1.7, 1e-30, 2.0])
    parameter = start.clone().requires_grad_()
    optimizer = resolved.build([parameter])
    source = torch.Generator().manual_seed(4)
    for step in range(12):
        gradient = torch.randn(4, generator=source)
        gradient[:3] = 0.0 if step < 9 else gradient[:3]
        parameter.grad = gradient
        optimizer.step()
        if step < 9:
            assert torch.equal(parameter.detach()[:3], start[:3])
            assert parameter[3] != start[3]
    assert not bool((parameter.detach()[:2] == start[:2]).any())


# --- what is said of settings ----------------------------------------------------------------------------------------


def about(name: str, wanted: Property, **changed: Any) -> Finding:
    return resolve(OptimizerSpec(name, changed)).properties.about(wanted)


@pytest.mark.parametrize("name", NINE)
def test_defaults_freeze(name: str) -> None:
    for wanted in Property:
        finding = about(name, wanted)
        assert finding.status is Status.HOLDS
        assert finding.evidence is Evidence.PROVED


@pytest.mark.parametrize("name", NINE)
@pytest.mark.parametrize("lr", [1e-3, 0, 3.0, -0.1])
def test_any_learning_rate_freezes(name: str, lr: float) -> None:
    assert about(name, Property.F, lr=lr).status is Status.HOLDS


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("rmsprop", {"momentum": 0.9, "eps": 0.0}),
        ("adam", {"amsgrad": True, "eps": 0.0}),
        ("adadelta", {"eps": 0.0}),
        ("adadelta", {"rho": 1.0}),
        ("radam", {"eps": 0.0}),
        ("rmsprop", {"alpha": 1.5}),
        ("adagrad", {"eps": 0.0}),
        ("rmsprop", {"eps": 0.0}),
        ("adam", {"eps": 0.0}),
        ("adam", {"eps": 0}),
        ("adamax", {"eps": 0.0}),
        ("amsgrad", {"eps": 0.0}),
        ("nadam", {"eps": 0.0}),
    ],
    ids=str,
)
def test_settings_outside_the_proof_are_never_said_to_freeze(name: str, changed: dict[str, Any]) -> None:
    for wanted in Property:
        assert about(name, wanted, **changed).status is not Status.HOLDS
    assert about(name, Property.FB, **changed).why


@pytest.mark.parametrize(
    ("name", "changed", "rule"),
    [
        ("adam", {"amsgrad": True}, "amsgrad"),
        ("amsgrad", {"amsgrad": False}, "adam"),
        ("rmsprop", {"momentum": 0.9}, "rmsprop_momentum"),
        ("rmsprop", {"centered": True}, "rmsprop_centered"),
        ("rmsprop", {"centered": True, "momentum": 0.9}, "rmsprop_centered_momentum"),
        ("sgd", {"momentum": 0.9}, "momentum"),
        ("sgd", {"momentum": 0.9, "nesterov": True}, "nesterov"),
        ("momentum", {"nesterov": True}, "nesterov"),
        ("nesterov", {"nesterov": False}, "momentum"),
        ("adamw", {"amsgrad": True, "weight_decay": 0.0}, "adamw_amsgrad"),
    ],
    ids=str,
)
def test_settings_that_make_another_rule_are_judged_as_it(name: str, changed: dict[str, Any], rule: str) -> None:
    finding = about(name, Property.F, **changed)
    assert finding.status is Status.HOLDS
    assert f"for {rule} without weight decay" in finding.why


def test_settings_of_no_known_rule_are_unknown() -> None:
    found = class_of_rule(RULES["rmsprop"], {"centered": None}, "odd")
    assert all(found.about(wanted).status is Status.UNKNOWN for wanted in Property)
    found = class_of_rule(RULES["rprop"], {"lr": 0.1, "weight_decay": 0.1}, "odd")
    assert all(found.about(wanted).status is Status.UNKNOWN for wanted in Property)
    found = class_of_rule(RULES["sgd"], {"lr": 0.1, "weight_decay": "much"}, "odd")
    assert all(found.about(wanted).status is Status.UNKNOWN for wanted in Property)


def test_torch_gives_nan_without_eps() -> None:
    """The reason for `eps > 0`: with `eps = 0` a zero gradient gives 0/0."""
    parameter = torch.ones(1, requires_grad=True)
    optimizer = resolve(OptimizerSpec("adam", {"eps": 0.0})).build([parameter])
    parameter.grad = torch.zeros(1)
    optimizer.step()
    assert math.isnan(parameter.item())


@pytest.mark.parametrize("name", NINE)
def test_weight_decay_moves_what_has_no_gradient(name: str) -> None:
    """Claimed failures are seen on torch; only plain SGD keeps (S), the momentum being too strong for this decay."""
    for wanted in (Property.F, Property.FB):
        finding = about(name, wanted, weight_decay=0.25, lr=0.5)
        assert finding.status is Status.FAILS
    for wanted in (Property.S, Property.SS):
        status = about(name, wanted, weight_decay=0.25, lr=0.5).status
        assert status is (Status.HOLDS if name == "sgd" else Status.FAILS)
    parameter = torch.ones(1, requires_grad=True)
    optimizer = resolve(OptimizerSpec(name, {"weight_decay": 0.25, "lr": 0.5})).build([parameter])
    parameter.grad = torch.zeros(1)
    optimizer.step()
    assert parameter.item() != 1.0
    if name == "sgd":
        assert parameter.item() == 1 - 0.5 * 0.25


@pytest.mark.parametrize(
    ("lr", "decay", "scales"),
    [
        (0.5, 2.0, True),
        (0.5, 0.0001, True),
        (1, 1, True),
        (0.5, math.nextafter(2.0, 3), False),
        (0.1, 10.0, False),  # the float 0.1 is above one tenth, so the factor is below 0
        (3.0, 1.0, False),
        (1e-3, 1e4, False),
    ],
)
def test_decayed_sgd_scales_by_a_factor_that_must_not_be_negative(lr: float, decay: float, scales: bool) -> None:
    finding = about("sgd", Property.S, lr=lr, weight_decay=decay)
    assert finding.status is (Status.HOLDS if scales else Status.FAILS)
    assert about("sgd", Property.FB, lr=lr, weight_decay=decay).status is Status.FAILS


def test_decay_that_is_never_applied_is_not_called_a_failure() -> None:
    assert about("adam", Property.FB, lr=0, weight_decay=0.1).status is Status.UNKNOWN


@pytest.mark.parametrize("name", ["adam", "nadam"])
def test_decoupled_decay_is_not_said_to_freeze(name: str) -> None:
    finding = about(name, Property.FB, weight_decay=0.1, decoupled_weight_decay=True)
    assert finding.status is Status.FAILS


def test_a_foreign_optimizer_is_run_but_nothing_is_known_of_it() -> None:
    """Neither a rule nor its own code tells anything of L-BFGS."""
    resolved = resolve(OptimizerSpec("torch.optim:LBFGS"))
    assert not resolved.per_coordinate
    for wanted in Property:
        assert resolved.properties.about(wanted).status is Status.UNKNOWN


def test_the_class_of_a_named_optimizer_is_known_by_its_import_path_too() -> None:
    resolved, named = resolve(OptimizerSpec("torch.optim:AdamW", {"lr": 0.01})), resolve(OptimizerSpec("adamw"))
    assert resolved.per_coordinate
    for wanted in Property:
        assert resolved.properties.about(wanted) == named.properties.about(wanted)


@pytest.mark.parametrize(
    ("target", "changed"),
    [
        ("adm", {}),
        ("", {}),
        ("torch.optim:Nothing", {}),
        ("no_such_package_here:Class", {}),
        ("math:sqrt", {}),
        (":", {}),
        ("adam", {"betas": (0.9, 1.0)}),
        ("adam", {"beta": 0.9}),
        ("adam", {"eps": -1.0}),
        ("adam", {"lr": math.nan}),
        ("adam", {"betas": (0.9, math.inf)}),
        ("sgd", {"nesterov": True}),
        ("sgd", {"weight_decay": -1.0}),
        ("sgd", {"lr": "fast"}),
    ],
    ids=str,
)
def test_unusable_optimizers_are_input_errors(target: str, changed: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        resolve(OptimizerSpec(target, changed))


def test_every_rule() -> None:
    everything = every_rule()
    for wanted in Property:
        assert everything.about(wanted).status is Status.HOLDS


# --- AdamW: decoupled decay ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lr", "decay", "kept"), [(0.01, 0.01, True), (0.5, 2.0, True), (0.5, 2.0000001, False), (-0.1, 0.5, False)]
)
def test_decoupled_decay_has_the_joint_decay_property_while_the_factor_is_in_the_unit_interval(
    lr: float, decay: float, kept: bool
) -> None:
    for wanted in (Property.DJ, Property.D):
        status = about("adamw", wanted, lr=lr, weight_decay=decay).status
        assert status is (Status.HOLDS if kept else Status.FAILS)
    for wanted in (Property.S, Property.SL, Property.SS):  # a negative learning rate makes the factor exceed 1
        status = about("adamw", wanted, lr=lr, weight_decay=decay).status
        assert status is (Status.HOLDS if kept or lr < 0 else Status.FAILS)
    for wanted in (Property.F, Property.FB, Property.DW):
        assert about("adamw", wanted, lr=lr, weight_decay=decay).status is Status.FAILS


def test_adamw_without_decay_freezes_and_without_eps_nothing_is_known() -> None:
    assert about("adamw", Property.F, weight_decay=0.0).status is Status.HOLDS
    assert about("adamw", Property.DJ, eps=0.0).status is Status.UNKNOWN
    assert about("adamw", Property.SS, betas=(0.9, 0.999), weight_decay=0.1, lr=0.1, eps=0.0).status is Status.UNKNOWN


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


@pytest.mark.parametrize(
    ("name", "changed", "status"),
    [
        ("momentum", {"momentum": 0.25, "lr": 0.5, "weight_decay": 0.5}, Status.HOLDS),  # (1 - 1/2)^2 = 1/4
        ("momentum", {"momentum": 0.25, "lr": 0.5, "weight_decay": 0.51}, Status.FAILS),
        ("momentum", {"momentum": 0.25, "lr": 0.5, "weight_decay": 0.5, "dampening": 0.5}, Status.HOLDS),
        ("nesterov", {"momentum": 0.25, "lr": 0.5, "weight_decay": 0.5}, Status.HOLDS),  # ((3/4)/(5/4))^2 = 0.36
        ("nesterov", {"momentum": 0.25, "lr": 0.5, "weight_decay": 0.75}, Status.FAILS),
        ("momentum", {"lr": -0.1, "weight_decay": 0.1}, Status.UNKNOWN),
        ("radam", {"betas": (0.9, 0.6), "weight_decay": 0.1, "lr": 0.01}, Status.UNKNOWN),  # never rectified
    ],
    ids=str,
)
def test_coupled_decay_with_momentum(name: str, changed: dict[str, Any], status: Status) -> None:
    assert about(name, Property.S, **changed).status is status


REPLAYED = [
    ("sgd", {"lr": 20.0}),
    ("momentum", {"lr": 0.5}),
    ("adam", {}),
    ("amsgrad", {}),
    ("adamax", {}),
    ("nadam", {}),
    ("adagrad", {"initial_accumulator_value": 0.25}),
    ("rmsprop", {}),
    ("rmsprop", {"centered": True, "momentum": 0.9}),
    ("adadelta", {}),
    ("radam", {}),
    ("adamw", {"lr": 20.0}),
    ("adamw", {}),
]


@pytest.mark.parametrize(("name", "changed"), REPLAYED, ids=str)
def test_counterexamples_happen_in_torch(name: str, changed: dict[str, Any]) -> None:
    """Each counterexample is run again with the torch class in float64, and breaks the property there by a margin."""
    resolved = resolve(OptimizerSpec(name, {"weight_decay": 0.1} | changed))
    case = case_of(RULES[name], resolved.settings)
    found = counterexamples(case, resolved.settings)
    assert Property.F in found
    for wanted, refutation in found.items():
        parameter = torch.tensor([1.0, 2.0, 1.0], dtype=torch.float64, requires_grad=True)
        optimizer = resolved.build([parameter])
        for _ in range(refutation.step):
            before = parameter.detach().clone()
            parameter.grad = torch.zeros_like(parameter)
            optimizer.step()
        after = parameter.detach()
        for exact, seen in ((refutation.before, before), (refutation.after, after)):
            if all(value.is_number for value in exact):
                assert seen.tolist() == pytest.approx([float(value) for value in exact], rel=1e-9)
        factors = after / before
        assert bool((factors != 1).all()), wanted
        if "different factors" in refutation.what:
            assert abs(factors[0] - factors[1]) > 1e-8
        if "sign" in refutation.what:
            assert factors[0] < 0


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


# --- implications ----------------------------------------------------------------------------------------------------

ARROWS = {
    Property.F: {Property.FB},
    Property.FB: {Property.DJ, Property.DW},
    Property.DJ: {Property.S, Property.D, Property.SL},
    Property.DW: {Property.D, Property.SL},
    Property.SL: {Property.SS},
    Property.S: {Property.SS},
    Property.D: {Property.SS},
    Property.SS: set(),
}


def reachable(start: Property) -> set[Property]:
    found = {start}
    while (more := found | {q for p in found for q in ARROWS[p]}) != found:
        found = more
    return found


@pytest.mark.parametrize("known", list(Property))
@pytest.mark.parametrize("status", list(Status))
def test_implications_run_one_way(known: Property, status: Status) -> None:
    """F => FB => DJ, DW => S, D, SL => SS, each as far as it goes; what fails or is unknown proves nothing."""
    optimizer = OptimizerClass("test", ((known, Finding(known.name, status, Evidence.PROVED, "because")),))
    for wanted in Property:
        holds = status is Status.HOLDS and wanted in reachable(known)
        expected = Status.HOLDS if holds else (status if wanted is known else Status.UNKNOWN)
        assert optimizer.about(wanted).status is expected


def test_a_stronger_property_outweighs_an_undecided_weaker_one() -> None:
    findings = (
        (Property.S, Finding("S", Status.UNKNOWN, Evidence.ASSUMED, "not looked at")),
        (Property.FB, Finding("FB", Status.HOLDS, Evidence.PROVED, "because")),
    )
    optimizer = OptimizerClass("test", findings)
    assert optimizer.about(Property.S).status is Status.HOLDS
    assert optimizer.about(Property.SS).status is Status.HOLDS
    assert optimizer.about(Property.F).status is Status.UNKNOWN


def test_the_truth_value_of_a_status_raises() -> None:
    for status in Status:
        with pytest.raises(TypeError):
            bool(status)
