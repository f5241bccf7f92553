"""The nine update rules: their freeze proofs, proofs that must not go through, and the torch classes themselves."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import pytest
import sympy
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from theorems.errors import InvalidInput
from theorems.hypotheses import Evidence, Finding, OptimizerClass, Property, Status
from theorems.rules import C4_RULES, GRADIENT, RULES, Rule, Transition, class_of_rule, every_rule, prove_freeze
from verify.optimizers import NAMED, OptimizerSpec, resolve

NINE = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamax", "amsgrad", "nadam"]
M = sympy.Symbol("m", real=True)
V = sympy.Symbol("v", nonnegative=True)
EPS = sympy.Symbol("eps", positive=True)
ZERO, ONE = sympy.Integer(0), sympy.Integer(1)


def all_conditions(rule: Rule) -> frozenset[str]:
    return frozenset(condition.text for condition in rule.conditions)


# --- freeze proofs ---------------------------------------------------------------------------------------------------


def test_the_nine_are_the_nine_of_the_claim() -> None:
    assert list(C4_RULES) == NINE
    assert list(RULES) == list(NAMED) == [*NINE, "adamw"]


@pytest.mark.parametrize("name", NINE)
def test_freeze_proofs_are_complete(name: str) -> None:
    proof = prove_freeze(RULES[name])
    assert proof.complete
    assert proof.open == ()
    assert "the numerator is 0" in proof.discharged
    assert "the denominator is positive" in proof.discharged
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


def planted(transition: Transition) -> Rule:
    return Rule("planted", "", (), lambda allowed: transition, {})


THETA, WD = sympy.Symbol("theta", real=True), sympy.Symbol("wd", positive=True)
ADAM_STEP = {M: M / 2 + GRADIENT / 2, V: V / 2 + GRADIENT**2 / 2}

WRONG = {
    "decay term in the numerator": Transition({}, {}, GRADIENT + WD * THETA, ONE, ()),
    "constant drift": Transition({}, {}, GRADIENT + EPS, ONE, ()),
    "momentum started at 1": Transition({M: ONE}, {M: M / 2 + GRADIENT}, M / 2 + GRADIENT, ONE, (M,)),
    "momentum that grows from nothing": Transition({M: ZERO}, {M: M / 2 + EPS}, M / 2 + GRADIENT, ONE, (M,)),
    "momentum that is not an invariant": Transition({M: ZERO}, {M: M / 2 + GRADIENT}, M / 2 + GRADIENT, ONE, ()),
    "denominator without eps": Transition({V: ZERO}, {V: V + GRADIENT**2}, GRADIENT, sympy.sqrt(V + GRADIENT**2), ()),
    "Adam without eps": Transition({M: ZERO, V: ZERO}, ADAM_STEP, ADAM_STEP[M], sympy.sqrt(ADAM_STEP[V]), (M,)),
    "denominator of unknown sign": Transition({}, {}, GRADIENT, sympy.Symbol("d", real=True), ()),
    "negative denominator": Transition({}, {}, GRADIENT, -EPS, ()),
    "root of a negative number": Transition({}, {}, GRADIENT, ONE, (), (GRADIENT**2 - EPS,)),
    "root of a number of unknown sign": Transition({}, {}, GRADIENT, ONE, (), (THETA,)),
    "gradient inverted": Transition({}, {}, 1 / GRADIENT, ONE, ()),
    "cosine of the gradient": Transition({}, {}, sympy.cos(GRADIENT), ONE, ()),
}

RIGHT = {
    "sign descent": Transition({}, {}, sympy.sign(GRADIENT), ONE, ()),
    "momentum": Transition({M: ZERO}, {M: M / 2 + GRADIENT}, M / 2 + GRADIENT, ONE, (M,)),
    "Adam with eps": Transition({M: ZERO, V: ZERO}, ADAM_STEP, ADAM_STEP[M], sympy.sqrt(ADAM_STEP[V]) + EPS, (M,)),
}


@pytest.mark.parametrize("transition", WRONG.values(), ids=WRONG.keys())
def test_planted_wrong_rules_are_not_proved(transition: Transition) -> None:
    assert not prove_freeze(planted(transition)).complete
    found = class_of_rule(planted(transition), {"lr": 0.1}, "planted")
    for wanted in Property:
        assert found.about(wanted).status is not Status.HOLDS


@pytest.mark.parametrize("transition", RIGHT.values(), ids=RIGHT.keys())
def test_right_rules_are_proved(transition: Transition) -> None:
    assert prove_freeze(planted(transition)).complete


# --- each rule against its torch class -------------------------------------------------------------------------------
# The transition is run as it stands, with numbers for its symbols; conventions that it leaves to the text are here:
# the first step of SGD's momentum buffer takes the gradient as it is (no dampening), corrections are 1 - beta^t, and
# NAdam's mu_t = beta1 (1 - 0.96^(t momentum_decay) / 2) enters c_1 = 1 - mu_1...mu_t, and c_1_next has mu_{t+1} too.


def symbol_values(rule: str, given_settings: Mapping[str, Any], t: int) -> dict[str, float]:
    values = {"eps": given_settings.get("eps", 0.0)}
    if rule in ("momentum", "nesterov"):
        dampening = given_settings.get("dampening", 0.0) if t > 1 else 0.0
        values |= {"a": given_settings["momentum"], "dampening": dampening}
    if rule == "adagrad":
        values["v_0"] = given_settings["initial_accumulator_value"]
    if rule == "rmsprop":
        values["b"] = given_settings["alpha"]
    if "betas" in given_settings:
        a, b = given_settings["betas"]
        values |= {"a": a, "b": b, "c_1": 1 - a**t, "c_2": 1 - b**t}
    if rule == "nadam":
        mus = [a * (1 - 0.5 * 0.96 ** (k * given_settings["momentum_decay"])) for k in range(1, t + 2)]
        values |= {"mu": mus[-2], "mu_next": mus[-1], "c_1": 1 - math.prod(mus[:-1]), "c_1_next": 1 - math.prod(mus)}
    return values


@lru_cache(maxsize=256)
def compiled(expression: sympy.Expr) -> tuple[tuple[str, ...], Callable[..., float]]:
    symbols = sorted(expression.free_symbols, key=str)
    names = tuple(str(symbol) for symbol in symbols)
    assert len(set(names)) == len(names), f"two symbols of one name in {expression}"
    return names, sympy.lambdify(symbols, expression, modules="math")


def number(expression: sympy.Expr, values: Mapping[str, float]) -> float:
    names, function = compiled(expression)
    return float(function(*(values[name] for name in names)))


def symbolic_moves(rule: Rule, given_settings: Mapping[str, Any], gradients: Sequence[float]) -> list[float]:
    """`numerator / denominator` at each step: the move without the learning rate."""
    transition = rule.build(all_conditions(rule))
    first = symbol_values(rule.id, given_settings, 1)
    states = {str(state): number(start, first) for state, start in transition.start.items()}
    moves = []
    for t, gradient in enumerate(gradients, start=1):
        values = symbol_values(rule.id, given_settings, t) | states | {"g": gradient}
        moves.append(number(transition.numerator, values) / number(transition.denominator, values))
        states = {str(state): number(step, values) for state, step in transition.step.items()}
    return moves


def torch_positions(
    name: str, changed: Mapping[str, Any], gradients: Sequence[float], lr: float
) -> tuple[list[float], Any]:
    resolved = resolve(OptimizerSpec(name, {"lr": lr} | dict(changed)))
    parameter = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = resolved.build([parameter])
    positions = []
    for gradient in gradients:
        parameter.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        positions.append(parameter.item())
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
]

gradient_histories = st.lists(
    st.one_of(st.just(0.0), st.floats(-3, 3, width=32), st.sampled_from([1.0, -1.0, 1e-6, 50.0])),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize(("name", "changed"), VARIANTS, ids=str)
@given(gradients=gradient_histories)
@settings(max_examples=12)
@example(gradients=[0.0, 0.0, 1.0, 0.0, -2.0, 0.5])
@example(gradients=[2.0, 0.0, 0.0, -1.0])
@example(gradients=[1.0])
def test_rules_are_their_torch_classes(name: str, changed: dict[str, Any], gradients: list[float]) -> None:
    lr = 0.125
    positions, used = torch_positions(name, changed, gradients, lr)
    moves = symbolic_moves(RULES[name], used, gradients)
    expected = [-lr * total for total in itertools.accumulate(moves)]
    # torch keeps NAdam's product of mu in float32
    tolerance = 3e-6 if name == "nadam" else 1e-11
    for t, (got, wanted) in enumerate(zip(positions, expected, strict=True), start=1):
        size = lr * sum(abs(move) for move in moves[:t])
        assert abs(got - wanted) <= tolerance * size + 1e-300, f"step {t}: torch {got}, rule {wanted}"


def test_a_planted_wrong_recursion_is_caught_by_the_comparison() -> None:
    """Adam with another decay factor, another eps, or AMSGrad's maximum differs within three steps."""
    gradients = [1.0, 0.2, -0.5]
    positions, used = torch_positions("adam", {}, gradients, 0.125)
    used = dict(used)
    for wrong in (used | {"betas": (0.9, 0.99)}, used | {"eps": 0.1}):
        moves = symbolic_moves(RULES["adam"], wrong, gradients)
        assert abs(positions[-1] + 0.125 * sum(moves)) > 1e-6
    amsgrad = symbolic_moves(RULES["amsgrad"], used | {"betas": (0.9, 0.2)}, gradients)
    adam = symbolic_moves(RULES["adam"], used | {"betas": (0.9, 0.2)}, gradients)
    assert abs(sum(amsgrad) - sum(adam)) > 1e-6


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
        ("adam", {"amsgrad": True}),
        ("amsgrad", {"amsgrad": False}),
        ("rmsprop", {"momentum": 0.9}),
        ("rmsprop", {"centered": True}),
        ("sgd", {"momentum": 0.9}),
        ("sgd", {"momentum": 0.9, "nesterov": True}),
        ("momentum", {"nesterov": True}),
        ("nesterov", {"nesterov": False}),
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


def test_torch_gives_nan_without_eps() -> None:
    """The reason for `eps > 0`: with `eps = 0` a zero gradient gives 0/0."""
    parameter = torch.ones(1, requires_grad=True)
    optimizer = resolve(OptimizerSpec("adam", {"eps": 0.0})).build([parameter])
    parameter.grad = torch.zeros(1)
    optimizer.step()
    assert math.isnan(parameter.item())


@pytest.mark.parametrize("name", NINE)
def test_weight_decay_moves_what_has_no_gradient(name: str) -> None:
    """Claimed (F) and (FB) failures are seen on torch; only plain SGD keeps (S)."""
    for wanted in (Property.F, Property.FB):
        finding = about(name, wanted, weight_decay=0.25, lr=0.5)
        assert finding.status is Status.FAILS
    for wanted in (Property.S, Property.SS):
        status = about(name, wanted, weight_decay=0.25, lr=0.5).status
        assert status is (Status.HOLDS if name == "sgd" else Status.UNKNOWN)
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
    assert finding.status is (Status.HOLDS if scales else Status.UNKNOWN)
    assert about("sgd", Property.FB, lr=lr, weight_decay=decay).status is Status.FAILS


def test_decay_that_is_never_applied_is_not_called_a_failure() -> None:
    assert about("adam", Property.FB, lr=0, weight_decay=0.1).status is Status.UNKNOWN


@pytest.mark.parametrize("name", ["adam", "nadam"])
def test_decoupled_decay_is_not_said_to_freeze(name: str) -> None:
    finding = about(name, Property.FB, weight_decay=0.1, decoupled_weight_decay=True)
    assert finding.status is Status.FAILS


def test_a_foreign_optimizer_is_run_but_nothing_is_known_of_it() -> None:
    resolved = resolve(OptimizerSpec("torch.optim:AdamW"))
    assert not resolved.per_coordinate
    for wanted in Property:
        assert resolved.properties.about(wanted).status is Status.UNKNOWN


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


@given(gradients=gradient_histories, decay=st.sampled_from([0.0, 0.01, 0.5, 4.0]))
@settings(max_examples=20)
def test_adamw_shrinks_the_parameter_and_then_moves_as_adam(gradients: list[float], decay: float) -> None:
    lr = 0.125
    start = torch.tensor([0.7], dtype=torch.float64)
    parameter = start.clone().requires_grad_()
    resolved = resolve(OptimizerSpec("adamw", {"lr": lr, "weight_decay": decay}))
    optimizer = resolved.build([parameter])
    moves = symbolic_moves(RULES["adamw"], resolved.settings, gradients)
    expected = start.item()
    for gradient, move in zip(gradients, moves, strict=True):
        parameter.grad = torch.tensor([gradient], dtype=torch.float64)
        optimizer.step()
        expected = (1 - lr * decay) * expected - lr * move
        assert parameter.item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("lr", "decay", "kept"), [(0.01, 0.01, True), (0.5, 2.0, True), (0.5, 2.0000001, False), (-0.1, 0.5, False)]
)
def test_decoupled_decay_has_the_joint_decay_property_while_the_factor_is_in_the_unit_interval(
    lr: float, decay: float, kept: bool
) -> None:
    for wanted in (Property.DJ, Property.S, Property.D, Property.SL, Property.SS):
        assert (about("adamw", wanted, lr=lr, weight_decay=decay).status is Status.HOLDS) == kept
    assert about("adamw", Property.FB, lr=lr, weight_decay=decay).status is Status.FAILS
    assert about("adamw", Property.DW, lr=lr, weight_decay=decay).status is Status.UNKNOWN


def test_adamw_without_decay_freezes_and_without_eps_nothing_is_known() -> None:
    assert about("adamw", Property.F, weight_decay=0.0).status is Status.HOLDS
    assert about("adamw", Property.DJ, eps=0.0).status is Status.UNKNOWN
    assert about("adamw", Property.SS, betas=(0.9, 0.999), weight_decay=0.1, lr=0.1, eps=0.0).status is Status.UNKNOWN


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
