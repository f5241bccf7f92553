"""The update rules against their torch classes, or their papers, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from theorems.hypotheses import Property, Status
from theorems.rules import (
    RULES,
    Case,
    Decay,
    Rule,
    counterexamples,
    variant_for,
)
from verify.optimizers.registry import resolve
from verify.optimizers.spec import OptimizerSpec

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


# --- counterexamples, replayed --------------------------------------------------------------------------------------


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
