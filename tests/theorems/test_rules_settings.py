"""What is said of an optimizer for given settings, and which properties follow from which."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from theorems.errors import InvalidInput
from theorems.hypotheses import Evidence, Finding, OptimizerClass, Property, Status
from theorems.rules import (
    RULES,
    class_of_rule,
    every_rule,
)
from verify.optimizers.registry import resolve
from verify.optimizers.spec import OptimizerSpec

NINE = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamax", "amsgrad", "nadam"]


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


@pytest.mark.parametrize(
    ("name", "changed", "status"),
    [
        ("momentum", {"momentum": 0.25, "lr": 0.5, "weight_decay": 0.5}, Status.HOLDS),  # (1 - 1/2)^2 = 1/4
        ("momentum", {"momentum": 0.25, "lr": 0.5, "weight_decay": 0.51}, Status.FAILS),
        ("momentum", {"momentum": 0.25, "lr": 0.5, "weight_decay": 0.5, "dampening": 0.5}, Status.HOLDS),
        ("nesterov", {"momentum": 0.25, "lr": 0.5, "weight_decay": 0.5}, Status.HOLDS),  # ((3/4)/(5/4))^2 = 0.36
        ("nesterov", {"momentum": 0.25, "lr": 0.5, "weight_decay": 0.75}, Status.FAILS),
        ("momentum", {"lr": -0.1, "weight_decay": 0.1}, Status.HOLDS),  # grows by one factor
        ("radam", {"betas": (0.9, 0.6), "weight_decay": 0.1, "lr": 0.01}, Status.HOLDS),  # never rectified
        ("radam", {"betas": (0.9, 0.7), "weight_decay": 0.1, "lr": 0.01}, Status.FAILS),  # rectified by sizes
    ],
    ids=str,
)
def test_coupled_decay_with_momentum(name: str, changed: dict[str, Any], status: Status) -> None:
    assert about(name, Property.S, **changed).status is status


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
