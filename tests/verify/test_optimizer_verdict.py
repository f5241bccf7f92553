"""Verdicts on optimizers: how each property is known, which theorems follow, and that no contradiction passes."""

from __future__ import annotations

import sys
import time
import types
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.verify import planted_optimizers as planted
from tests.verify import test_audit as audit
from theorems.catalogue import THEOREMS
from theorems.errors import InvalidInput
from theorems.hypotheses import IMPLIED, Evidence, Property, Status
from verify.cases import OptimizerChoice
from verify.explain import theorems_under
from verify.optimizers import proofs, registry, verdict, zoo
from verify.optimizers.code_proof import CodeProof, Limits, prove_on_code
from verify.optimizers.known import Known
from verify.optimizers.registry import resolve
from verify.optimizers.spec import OptimizerSpec
from verify.optimizers.verdict import Contradiction, Verdict, judge_build, judge_optimizer
from verify.verdicts import zoo_markdown

FREE = {name for name, theorem in THEOREMS.items() if not theorem.keeps}
"""Theorems about the initialization, which ask nothing of an optimizer."""


def known(found: Verdict) -> dict[str, Known]:
    return {judged.wanted.name: judged.known for judged in found.properties}


def test_a_named_rule_is_proved_symbolically_and_acts_per_coordinate() -> None:
    found = judge_optimizer("adam")
    assert set(known(found).values()) == {Known.SYMBOLIC}
    assert found.target == "torch.optim.adam:Adam"
    assert (found.per_coordinate, found.counterexample, found.passes) == (True, None, True)
    assert list(found.theorems) == list(THEOREMS)
    assert found.conditions == ()


def test_decoupled_decay_is_violated_with_a_program_and_the_rest_is_proved() -> None:
    found = judge_optimizer("torch.optim:AdamW", {"lr": 1e-3})
    assert known(found)["F"] is known(found)["FB"] is known(found)["DW"] is Known.VIOLATED
    assert [judged.wanted for judged in found.proved] == [Property.DJ]
    assert found.counterexample is not None
    assert found.counterexample.kind == "decoupled decay"
    compile(found.counterexample.script, "script", "exec")
    assert "T10" not in found.theorems
    assert list(found.theorems) == theorems_under(found.optimizer_class)


def test_coupled_decay_leaves_no_property_and_no_theorem_about_training() -> None:
    found = judge_optimizer("adam", {"weight_decay": 0.1})
    assert set(known(found).values()) == {Known.VIOLATED}
    assert set(found.theorems) == FREE
    assert not found.passes


def test_code_is_proved_where_there_is_no_rule_and_says_what_it_rests_on() -> None:
    found = judge_build(planted.DecoupledDecay, "planted")
    assert [judged.wanted for judged in found.proved] == [Property.DJ]
    assert found.proved[0].known is Known.CODE
    assert found.optimizer_class.about(Property.DJ).evidence is Evidence.CERTIFIED
    assert any("widths 2, 3, 2" in each for each in found.conditions)
    assert found.counterexample is not None
    assert found.counterexample.wanted is Property.F
    assert found.per_coordinate is None  # tested is not shown


class Unprovable(planted.Plain):
    """Freezes, but looks at the clock, which its state does not determine."""

    def move(self, p: torch.Tensor, g: torch.Tensor, kept: dict[str, Any], group: dict[str, Any]) -> None:
        kept["seen"] = time.monotonic()
        super().move(p, g, kept, group)


def test_what_is_only_tested_makes_no_theorem_apply() -> None:
    found = judge_build(Unprovable, "unprovable", histories=20)
    assert set(known(found).values()) == {Known.TESTED}
    assert found.passes
    assert set(found.theorems) == FREE
    assert all(judged.status is Status.UNKNOWN for judged in found.properties)
    assert all(judged.finding.status is Status.UNKNOWN for judged in found.properties)
    assert "no counterexample in 20 histories" in found.about(Property.F).why
    assert "only tested" in found.sentence


@pytest.mark.parametrize(("name", "kept"), [("WeightsOnlyDecay", "DW"), ("Flipping", None), ("Orthogonalized", "FB")])
def test_the_strongest_property_of_planted_optimizers(name: str, kept: str | None) -> None:
    found = judge_build(getattr(planted, name), name)
    held = [judged.wanted.name for judged in found.unrefuted]
    assert held == ([] if kept is None else [kept])
    for judged in found.properties:  # a stronger property is violated where a weaker one is
        if judged.known is Known.VIOLATED:
            stronger = [other for other in Property if judged.wanted in IMPLIED[other]]
            assert all(found.about(each).known is Known.VIOLATED for each in stronger)


# --- contradictions ----------------------------------------------------------------------------------------------


@pytest.fixture
def sizes() -> Iterator[None]:
    """Leave no proof of this test's making in memory."""
    yield
    proofs._proof.cache_clear()


def false_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = proofs.attempted(planted.Plain, "plain")
    assert honest.strongest == (Property.F,)

    def lie(build: object, name: str, limits: Limits, dtype: torch.dtype) -> CodeProof:
        return replace(honest, optimizer=name)

    monkeypatch.setattr(verdict, "attempted", lie)


def test_a_proof_and_a_violation_stop_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    false_proof(monkeypatch)
    monkeypatch.setattr(verdict, "WIDTHS", (1, 1, 1))  # the smallest network, to which counterexamples are reduced
    with pytest.raises(Contradiction, match="proved on the code and violated"):
        judge_build(planted.HiddenDecay, "hidden")


def test_a_false_symbolic_rule_is_noticed() -> None:
    rule = resolve(OptimizerSpec("sgd")).properties
    with pytest.raises(Contradiction, match="proved symbolically and violated"):
        judge_build(planted.HiddenDecay, "hidden", rule=rule)


class LargeDecay(planted.Plain):
    """Freezes small parameters, and decays those with more than 6 entries: `(2, 3, 2)` has none."""

    def move(self, p: torch.Tensor, g: torch.Tensor, kept: dict[str, Any], group: dict[str, Any]) -> None:
        if p.numel() > 6:
            p.mul_(0.9)
        super().move(p, g, kept, group)


def test_a_proof_for_one_size_does_not_hide_a_violation_at_another() -> None:
    assert prove_on_code(LargeDecay).strongest == (Property.F,)
    found = judge_build(LargeDecay, "sizes")
    assert found.about(Property.F).known is Known.VIOLATED
    assert "does not cover this run" in found.about(Property.F).why
    assert found.about(Property.FB).known is Known.VIOLATED
    assert found.about(Property.DJ).status is not Status.FAILS or found.about(Property.DJ).known is Known.VIOLATED


# --- what the rest of the program is told ------------------------------------------------------------------------


def module_with(monkeypatch: pytest.MonkeyPatch, name: str, **classes: type) -> str:
    module = types.ModuleType(name)
    for each, value in classes.items():
        setattr(module, each, value)
    monkeypatch.setitem(sys.modules, name, module)
    return name


@pytest.mark.usefixtures("sizes")
def test_foreign_optimizers_get_what_is_proved_on_their_code_as_a_supposition(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proof speaks of one network; LargeDecay shows that other sizes may differ, so the evidence is `assumed`."""
    name = module_with(monkeypatch, "outside", Plain=planted.Plain, Unprovable=Unprovable)
    resolved = resolve(OptimizerSpec(f"{name}:Plain"))
    finding = resolved.properties.about(Property.FB)
    assert (finding.status, finding.evidence) == (Status.HOLDS, Evidence.ASSUMED)
    assert "widths 2, 3, 2" in finding.why
    assert "supposed" in finding.why
    assert not resolved.per_coordinate
    unknown = resolve(OptimizerSpec(f"{name}:Unprovable")).properties
    assert all(unknown.about(wanted).status is Status.UNKNOWN for wanted in Property)


@pytest.mark.usefixtures("sizes")
def test_a_proof_is_made_once_and_not_by_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    honest = proofs.attempted

    def counted(build: Any, name: str, **options: Any) -> CodeProof:
        calls.append(name)
        return honest(build, name, **options)

    monkeypatch.setattr(proofs, "attempted", counted)
    spec = OptimizerSpec(f"{module_with(monkeypatch, 'outside_once', Plain=planted.Plain)}:Plain", {"lr": 0.25})
    resolve(spec)
    resolve(spec)
    assert len(calls) == 1
    assert resolve(spec, prove=False).properties.findings == ()
    resolve(OptimizerSpec(spec.target, {"lr": 0.5}))
    assert len(calls) == 2


def test_the_class_of_a_name_is_that_rule_and_a_subclass_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(torch.optim.Adam):
        pass

    name = module_with(monkeypatch, "outside_rule", Mine=Mine)
    own = resolve(OptimizerSpec("torch.optim:Adam", {"amsgrad": True}), prove=False)
    assert (own.rule, own.per_coordinate) == ("adam", True)
    assert own.properties.about(Property.F).evidence is Evidence.PROVED
    other = resolve(OptimizerSpec(f"{name}:Mine"), prove=False)
    assert (other.rule, other.per_coordinate) == (None, False)


def test_proofs_stop_at_the_time_limit() -> None:
    proof = proofs.attempted(planted.Plain, "plain", Limits(total=0.0))
    assert proof.strongest == ()
    assert "the time limit of 0 seconds" in proof.claims[0].reason


class Leaves(planted.Plain):
    def move(self, p: torch.Tensor, g: torch.Tensor, kept: dict[str, Any], group: dict[str, Any]) -> None:
        raise SystemExit(3)


def test_code_that_leaves_the_process_is_not_proved() -> None:
    assert proofs.attempted(Leaves, "leaves").strongest == ()


@pytest.mark.parametrize(
    ("name", "told"),
    [("RaisesAtOnce", ""), ("RaisesInStep", ""), ("NeedsCuda", ""), ("GivesNan", "not finite")],
)
def test_what_cannot_be_judged_is_an_input_error(name: str, told: str) -> None:
    with pytest.raises(InvalidInput, match=rf"cannot be judged: .*{told}"):
        judge_build(getattr(planted, name), name)


# --- the zoo -----------------------------------------------------------------------------------------------------


def test_every_optimizer_of_torch_has_a_row_with_and_without_decay() -> None:
    listed = zoo.entries("torch")
    assert {each.name for each in listed} == {
        name
        for name in dir(torch.optim)
        if isinstance(getattr(torch.optim, name), type) and name != "Optimizer"
        if issubclass(getattr(torch.optim, name), torch.optim.Optimizer)
    }
    assert {each.name for each in listed if each.label == zoo.NO_DECAY} == {"ASGD", "AdamW", "Muon"}


@pytest.mark.parametrize("library", ["tourch", "pytorch_optimizer_", ""])
def test_unknown_libraries_are_input_errors(library: str) -> None:
    with pytest.raises(InvalidInput, match="expected one of torch, pytorch_optimizer, heavyball, optax"):
        zoo.judge_zoo(library)


def test_what_cannot_be_run_is_a_row() -> None:
    (row,) = zoo.judge_zoo("torch", chosen=lambda entry: entry.name == "SparseAdam").rows
    assert row.verdict is None
    assert "does not support dense gradients" in row.not_run


def judged_row(name: str) -> zoo.Row:
    entry = next(each for each in zoo.entries("torch") if each.name == name)
    return zoo._row(entry, zoo.LIMIT)


def test_a_row_has_the_verdict_of_its_rule() -> None:
    row = judged_row("SGD")
    assert row.verdict is not None
    assert [judged.known for judged in row.verdict.proved] == [Known.SYMBOLIC]
    assert (row.verdict.target, row.verdict.per_coordinate) == ("torch.optim.sgd:SGD", True)


@pytest.mark.slow
def test_rows_of_several_processes_come_in_order() -> None:
    found = zoo.judge_zoo("torch", workers=2, chosen=lambda entry: entry.name in ("Adagrad", "SGD", "SparseAdam"))
    assert [row.entry.name for row in found.rows] == ["Adagrad", "SGD", "SparseAdam"]
    assert [row.verdict is None for row in found.rows] == [False, False, True]


def test_a_row_that_takes_too_long_is_stopped_and_reported() -> None:
    found = zoo.judge_zoo("torch", limit=0.05, chosen=lambda entry: entry.name == "SGD")
    assert [row.not_run for row in found.rows] == ["stopped at the time limit of 0.05 seconds"]


@pytest.mark.slow
def test_the_committed_table_is_what_the_command_makes() -> None:
    """Row by row; the versions above them are those of the machine that made it."""
    path = Path(__file__).resolve().parents[2] / "reports" / "optimizers.md"
    made = zoo_markdown(zoo.judge_zoo("torch", workers=2))
    rows, committed = (
        [line for line in text.split("\n## torch ")[1].split("\n## ")[0].splitlines() if line.startswith("|")]
        for text in (made, path.read_text("utf-8"))
    )
    assert rows == committed


def test_names_of_the_registry_are_all_rules() -> None:
    assert all(resolve(OptimizerSpec(name), prove=False).rule == name for name in registry.NAMED)


# --- end to end --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("sizes")
@pytest.mark.parametrize(
    ("target", "settings", "theorem", "persistence"),
    [
        ("sgd", {}, None, "CONSISTENT"),
        pytest.param("outside_audit:Plain", {}, None, "CONSISTENT", marks=pytest.mark.slow),
        ("torch.optim:AdamW", {"weight_decay": 0.1}, None, "NOT APPLICABLE"),
        ("outside_audit:Unprovable", {}, "UNDECIDED", "UNDECIDED"),
        pytest.param("adam", {"weight_decay": 0.1}, "NOT APPLICABLE", "NOT APPLICABLE", marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_audit_follows_the_verdict(
    target: str, settings: dict[str, float], theorem: str | None, persistence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Proved: what is dead keeps its bits. Where no hypothesis is known to hold the frequency is still shown."""
    module_with(monkeypatch, "outside_audit", Plain=planted.Plain, Unprovable=Unprovable)
    choice = OptimizerChoice(target=target, settings=settings)
    (case,) = audit.run(audit.config(audit.sweep(optimizers=(choice,), theorems=("T3",)))).cases
    assert case.run.persistence.verdict == persistence
    assert case.run.claimed > 0
    if theorem is None:
        assert case.theorems[0].judgement.verdict in ("CONFIRMED", "CONSISTENT")
        assert case.theorems[0].bound is not None
    else:
        assert case.theorems[0].judgement.verdict == theorem
    assert (case.run.persistent == case.run.claimed) is (persistence != "NOT APPLICABLE")
    assert case.theorems[0].frequency is not None
