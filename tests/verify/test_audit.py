"""The whole trip on small audits: verdicts in both directions, planted faults, determinism."""

from __future__ import annotations

import dataclasses
import re
import sys
import types
from collections.abc import Callable
from fractions import Fraction

import msgspec
import pytest
import sympy
import torch

from theorems.bounds import Bound, ClosedForm
from theorems.catalogue import THEOREMS
from theorems.errors import InvalidInput
from theorems.hypotheses import LabelsVary
from theorems.problem import Problem
from theorems.theorem import Instance, Relation, Theorem
from verify import audit
from verify.audit import carry_out, plan, resolution
from verify.cases import AuditConfig, DataChoice, Inference, OptimizerChoice, Simulation, Sweep, load_preset
from verify.executors import InProcess, worker_processes
from verify.results import FrequencyResult, Results, exact

PARABOLA = {"parabola": DataChoice(source="x**2 + 2*x", points=16)}
SMALL = Simulation(initializations=2000, replicas=12, steps=8, batch=4, look_every=4, block=8)


def config(*sweeps: Sweep, simulation: Simulation = SMALL, **more: object) -> AuditConfig:
    settings: dict[str, object] = {"title": "test", "data": PARABOLA, "seed": 5} | more
    found = AuditConfig(sweep=sweeps, simulation=simulation, **settings)  # type: ignore[arg-type]
    found.check()
    return found


def sweep(**more: object) -> Sweep:
    chosen: dict[str, object] = {
        "name": "s",
        "data": ("parabola",),
        "initializations": ("pytorch",),
        "architectures": ("1,4,1",),
        "optimizers": ("sgd",),
    }
    return Sweep(**(chosen | more))  # type: ignore[arg-type]


def run(audit: AuditConfig) -> Results:
    return carry_out(plan(audit), InProcess())


def verdicts(results: Results) -> dict[str, str]:
    return {theorem.theorem: theorem.judgement.verdict for case in results.cases for theorem in case.theorems}


def without_times(results: Results) -> Results:
    return msgspec.structs.replace(results, created="", seconds=0.0)


def test_true_theorems_are_never_refuted() -> None:
    results = run(
        config(
            sweep(optimizers=("sgd", "adam")),
            sweep(name="deep", architectures=("1,2*4,1",), optimizers=("nadam",)),
        )
    )
    assert results.refuted == 0
    assert verdicts(results)["T1"] == "CONFIRMED"
    deep = next(case for case in results.cases if case.id.startswith("deep"))
    assert {t.theorem: t.judgement.verdict for t in deep.theorems}["T3"] == "NOT APPLICABLE"
    assert deep.run.persistence.verdict == "CONSISTENT"
    assert 0 < deep.run.claimed == deep.run.persistent


def test_a_theorem_and_its_frequency_speak_of_the_same_event() -> None:
    results = run(config(sweep(architectures=("1,2,1",)), simulation=msgspec.structs.replace(SMALL, replicas=1)))
    (case,) = results.cases
    by_id = {theorem.theorem: theorem for theorem in case.theorems}
    start = results.start_of(case)
    assert by_id["T3"].frequency is not None
    assert by_id["T1"].frequency is not None
    assert by_id["T3"].frequency.events == start.dead_neurons[1] + start.dead_neurons[2]
    assert by_id["T1"].frequency.events == start.dead_layer == start.dead_neurons[2]


@pytest.mark.parametrize(("risk_above", "verdict"), [(True, "CONFIRMED"), (False, "REFUTED")])
def test_of_high_risks_even_an_equality_is_a_lower_bound_only(risk_above: bool, verdict: str) -> None:
    """T7 is exact for dead layers; the risk stays high for other reasons too, so more of it refutes nothing."""
    planned = plan(config(sweep(initializations=("he_normal",), architectures=("1,3*3,1",))))
    (start,) = planned.starts
    (t7,) = (each for each in start.cases[0].evaluations if each.theorem.id == "T7")
    assert t7.theorem.relation is Relation.EQUAL
    assert t7.bound is not None
    above = ("1", "1") if risk_above else ("0", "0")
    risk = FrequencyResult("risk above U", 1, 0, 1, "clopper-pearson", "1/100", *above)
    structural = FrequencyResult("dead", 1, 0, 1, "clopper-pearson", "1/100", "1", "1")
    found = audit._theorem_result(t7, start, structural, risk, "float32")
    assert found.risk is not None
    assert found.risk.verdict == verdict
    assert found.judgement.verdict == "REFUTED"  # more dead layers than T7 allows


def planted(theorem: Theorem, change: Callable[[Bound], Bound]) -> Theorem:
    """The same theorem with a bound that `change` made wrong."""

    def instance(problem: Problem, number: int) -> Instance:
        true = theorem.instance(problem, number)
        return dataclasses.replace(true, bound=lambda: change(true.bound()))

    return dataclasses.replace(theorem, instance=instance)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda bound: ClosedForm(bound.expression + sympy.Rational(2, 100)), id="constant 2 % too large"),
        pytest.param(lambda bound: ClosedForm(1 - bound.expression + sympy.Rational(1, 2)), id="inequality flipped"),
    ],
)
def test_planted_false_bounds_are_refuted(change: Callable[[Bound], Bound], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(THEOREMS, "T3", planted(THEOREMS["T3"], change))
    many = msgspec.structs.replace(SMALL, initializations=60_000, replicas=1)
    results = run(config(sweep(theorems=("T3",), architectures=("1,2,1",)), simulation=many))
    assert verdicts(results) == {"T3": "REFUTED"}
    assert results.refuted == 1


def test_the_true_bound_survives_what_refutes_the_planted_ones() -> None:
    many = msgspec.structs.replace(SMALL, initializations=60_000, replicas=1)
    results = run(config(sweep(theorems=("T3",), architectures=("1,2,1",)), simulation=many))
    assert verdicts(results) == {"T3": "CONSISTENT"}
    assert results.refuted == 0


def test_a_failing_hypothesis_is_named_and_nothing_is_claimed() -> None:
    flat = {"flat": DataChoice(source="0*x + 3", points=5)}
    results = run(config(sweep(data=("flat",), architectures=("1,2,2,1",), theorems=("T1", "T10")), data=flat))
    for theorem in results.cases[0].theorems:
        assert theorem.judgement.verdict == "NOT APPLICABLE"
        assert theorem.judgement.why.startswith(LabelsVary().id)
        assert theorem.bound is None


def test_saturated_width_is_not_applicable_and_says_so() -> None:
    tiny = {"tiny": DataChoice(source="x**2", points=3)}
    results = run(config(sweep(data=("tiny",), architectures=("1,2,1",), theorems=("T3",)), data=tiny))
    (theorem,) = results.cases[0].theorems
    # one neuron has two pieces and may fit three points only in pieces of two: undecided; m = 2 leaves constants
    assert theorem.event == "at least 2 dead first-layer neurons"
    assert theorem.applies == "holds"
    crowded = run(config(sweep(data=("tiny",), initializations=("he_normal",), architectures=("1,2,1",)), data=tiny))
    assert crowded.refuted == 0


def test_dependent_initialization_is_not_applicable_by_name() -> None:
    results = run(config(sweep(initializations=("orthogonal",), theorems=("T1", "T3", "T10"))))
    for theorem in results.cases[0].theorems:
        assert theorem.judgement.verdict == "NOT APPLICABLE"
        assert "independent-initialization" in theorem.judgement.why
        assert theorem.frequency is not None


def test_weight_decay_is_not_applicable_where_it_breaks_freezing() -> None:
    decaying = OptimizerChoice(target="adam", settings={"weight_decay": 0.1})
    results = run(config(sweep(optimizers=(decaying,), architectures=("1,2,2,1",), theorems=("T10",))))
    (theorem,) = results.cases[0].theorems
    assert theorem.judgement.verdict == "NOT APPLICABLE"
    assert "weight_decay" in theorem.judgement.why
    assert results.cases[0].run.persistence.verdict == "NOT APPLICABLE"


def test_plain_sgd_with_decay_keeps_the_width_theorem() -> None:
    decaying = OptimizerChoice(target="sgd", settings={"weight_decay": 0.1})
    results = run(config(sweep(optimizers=(decaying,), theorems=("T3",))))
    assert verdicts(results) == {"T3": "CONSISTENT"}


def test_under_scaling_only_structural_death_counts_for_the_depth_theorems() -> None:
    """Plain SGD with decay satisfies (S), not (FB): a dead deep layer may wake up, a structurally dead one may not."""
    decaying = OptimizerChoice(target="sgd", settings={"weight_decay": 0.1})
    results = run(config(sweep(optimizers=("sgd", decaying), architectures=("1,2*4,1",), theorems=("T2",))))
    plain, scaled = (case.theorems[0] for case in results.cases)
    assert plain.frequency is not None
    assert scaled.frequency is not None
    assert (plain.event, scaled.event) == ("a dead hidden layer", "a structurally dead hidden layer")
    assert scaled.applies == "holds"
    (start,) = results.starts
    assert scaled.frequency.events < start.dead_layer == plain.frequency.events
    assert scaled.judgement.verdict == "CONSISTENT"  # T2 is the exact probability of the structural event


class Restless(torch.optim.SGD):
    """Moves every coordinate at every step."""

    def step(self, closure: object = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.data.add_(0.125)


@pytest.fixture
def foreign_module(monkeypatch: pytest.MonkeyPatch) -> str:
    module = types.ModuleType("outside_author")
    module.Restless = Restless  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "outside_author", module)
    return "outside_author:Restless"


def test_an_unknown_optimizer_is_undecided_with_its_frequencies_shown(foreign_module: str) -> None:
    results = run(config(sweep(optimizers=(foreign_module,), theorems=("T3",))))
    (case,) = results.cases
    assert case.theorems[0].judgement.verdict == "UNDECIDED"
    assert case.run.persistence.verdict == "UNDECIDED"
    assert case.run.persistent < case.run.claimed
    assert results.refuted == 0


def test_a_broken_freeze_promise_is_refuted(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a rule that was proved to freeze moves a dead neuron, the audit says REFUTED."""
    from verify.optimizers import registry

    monkeypatch.setitem(registry.NAMED, "sgd", registry.Named(Restless, {}, 0.1))
    results = run(config(sweep(theorems=("T3",))))
    assert results.cases[0].run.persistence.verdict == "REFUTED"
    assert results.refuted == 1


def test_runs_that_left_the_reals_decide_nothing() -> None:
    """With an absurd learning rate all runs overflow: no persistence and no risk event is claimed of them."""
    absurd = OptimizerChoice(target="sgd", settings={"lr": 1e30})
    (case,) = run(config(sweep(optimizers=(absurd,), architectures=("1,3,1",), theorems=("T1",)))).cases
    assert case.run.non_finite > 0
    assert case.run.risk.events + case.run.risk.lost == case.run.trials
    assert case.run.risk.lost >= case.run.non_finite - case.run.outcomes["risk reached"]
    everything = msgspec.structs.replace(SMALL, initializations=8, replicas=8)
    crowded = sweep(optimizers=(absurd,), architectures=("1,31,1",), theorems=("T1",))
    (case,) = run(config(crowded, simulation=everything)).cases
    assert case.run.claimed == 0
    assert case.run.persistence.verdict == "UNDECIDED"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"optimizers": (OptimizerChoice(target="adagrad", settings={"eps": 1e-50}),)}, "eps=1e-50"),
        ({"initializations": ("normal(1" + "0" * 39 + ")",)}, "cannot be drawn in float32"),
        ({"initializations": ("normal(1,1/1" + "0" * 35 + ")",)}, "cannot be drawn in float32"),
    ],
)
def test_numbers_that_floats_turn_into_others_are_refused(change: dict[str, object], told: str) -> None:
    with pytest.raises(InvalidInput, match=re.escape(told)):
        plan(config(sweep(**change)))


def test_results_do_not_depend_on_workers_or_blocks() -> None:
    audit = config(sweep(optimizers=("adam",)), sweep(name="deep", architectures=("1,3*5,1",)))
    here = without_times(run(audit))
    with worker_processes(2) as executor:
        there = without_times(carry_out(plan(audit), executor))
    assert there == here
    regrouped = msgspec.structs.replace(audit, simulation=msgspec.structs.replace(SMALL, block=5))
    other = run(regrouped)
    assert [case.run for case in other.cases] == [case.run for case in here.cases]


def test_the_seed_changes_counts_and_nothing_that_is_proved() -> None:
    first, second = run(config(sweep())), run(config(sweep(), seed=6))
    assert first.starts[0].dead_neurons != second.starts[0].dead_neurons
    assert first.cases[0].theorems[0].bound == second.cases[0].theorems[0].bound


def test_levels_are_fixed_in_advance_and_add_up() -> None:
    planned = plan(config(sweep(optimizers=("sgd", "adam"), theorems=("T1", "T3"))))
    total = sum((planned.level.alpha_for(name) for name in planned.level.names), Fraction(0))
    assert total + planned.level.reserved == Fraction(1, 100)
    # two structural events of one start, shared by both optimizers, and one risk event a case
    assert len(planned.level.names) == 4
    results = carry_out(planned, InProcess())
    used = {(f.event, f.alpha) for case in results.cases for t in case.theorems if (f := t.frequency)}
    assert {exact(alpha) for _, alpha in used} == {total / 4}


def test_confidence_sequences_can_be_named_instead() -> None:
    results = run(config(sweep(), inference=Inference(interval="confidence-sequence")))
    frequency = results.cases[0].theorems[0].frequency
    assert frequency is not None
    assert frequency.interval == "confidence-sequence"
    plain = run(config(sweep())).cases[0].theorems[0].frequency
    assert plain is not None
    assert exact(frequency.lo) < exact(plain.lo) <= exact(plain.hi) < exact(frequency.hi)


def test_resolution_is_that_of_the_drawn_numbers() -> None:
    architecture = plan(config(sweep())).starts[0].start.architecture
    assert resolution("float64", architecture) == Fraction(1, 100_000)
    big = dataclasses.replace(architecture, widths=(1, 100, 100, 1))
    assert resolution("float32", big) == Fraction(big.n_parameters, 2**23) > Fraction(1, 100_000)


def test_risk_events_are_compared_only_where_they_follow_from_the_event() -> None:
    results = run(config(sweep(theorems=("T1", "T3"))))
    by_id = {theorem.theorem: theorem for theorem in results.cases[0].theorems}
    assert by_id["T1"].risk is not None
    assert by_id["T3"].risk is None
    data = results.data[0]
    assert exact(results.cases[0].run.reachable) < exact(data.noise_floor) + exact(data.variance)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"architectures": ("2,4,1",)}, "input width 2"),
        ({"architectures": ("1,4,2",)}, "output width 2"),
        ({"architectures": ("1,0,1",)}, "1,0,1"),
        ({"architectures": ("1,3000,3000,1",)}, "parameters"),
        ({"initializations": ("he_normall",)}, "did you mean 'he_normal'"),
        ({"optimizers": ("adm",)}, "did you mean 'adam'"),
        ({"optimizers": (OptimizerChoice(target="adam", settings={"lr": float("nan")}),)}, "lr=nan"),
        ({"architectures": ("1,4,1", "1,4,1")}, "named twice"),
    ],
)
def test_bad_cases_get_one_sentence(change: dict[str, object], told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        plan(config(sweep(**change)))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_unusable_device_gets_one_sentence() -> None:
    with pytest.raises(InvalidInput, match="device 'nonsense'"):
        plan(config(sweep()), device="nonsense")


def test_the_quick_preset_covers_what_it_promises() -> None:
    quick = load_preset("quick")
    planned = plan(quick)
    assert {case.optimizer.spec.target for start in planned.starts for case in start.cases} >= {
        "sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamax", "amsgrad", "nadam"
    }  # fmt: skip
    assert {choice.source for choice in quick.data.values()} >= {"nile", "sunspots"}
    assert {sweep.axis for sweep in quick.sweep} == {"width", "depth"}
    for start in planned.starts:
        assert any(evaluation.bound is not None for case in start.cases for evaluation in case.evaluations)
