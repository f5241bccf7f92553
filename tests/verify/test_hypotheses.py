"""Every hypothesis is seen to hold, to fail and, where that can happen, to stay unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest

from theorems.catalogue import THEOREMS
from theorems.hypotheses import (
    HYPOTHESES,
    BoundedBiasDensity,
    EnoughDeadNeurons,
    Evidence,
    Finding,
    Hypothesis,
    IndependentInitialization,
    LabelsVary,
    NeuronCanBeDead,
    NonzeroInput,
    NormalWeights,
    OneHiddenLayer,
    OneInputRay,
    OppositeInputRays,
    OptimalRiskAboveNoise,
    OptimizerClass,
    OptimizerKeepsDead,
    Property,
    ScalarOutput,
    SeveralHiddenLayers,
    Status,
    SymmetricLaws,
    ZeroBiases,
    combined_status,
    weakest,
)
from theorems.laws import parse_initialization
from theorems.problem import Problem
from theorems.setting import Architecture, DataSet
from theorems.theorem import Instance
from verify.dead_neuron import DeadProbability, dead_probability
from verify.enclosure import Enclosure
from verify.hypotheses import decide
from verify.optimizers.registry import resolve
from verify.optimizers.spec import OptimizerSpec

HOLDS, FAILS, UNKNOWN = Status.HOLDS, Status.FAILS, Status.UNKNOWN
DEPTH, WIDTH, FROZEN = (OptimizerKeepsDead(THEOREMS[name].keeps) for name in ("T1", "T3", "T10"))
DECAY, COMMON = (OptimizerKeepsDead(THEOREMS[name].keeps) for name in ("T13", "T16"))


def problem(
    widths: Sequence[int] = (1, 3, 1),
    law: str = "pytorch",
    bias: str | None = None,
    inputs: Sequence[Sequence[int]] = ((0,), (1,), (2,), (3,)),
    labels: Sequence[int] = (0, 1, 0, 1),
    optimizer: OptimizerClass | None = None,
) -> Problem:
    rows = [tuple(Fraction(v) for v in x) for x in inputs]
    data = DataSet.from_rows("test", rows, [(Fraction(y),) for y in labels])
    known = optimizer or resolve(OptimizerSpec("adam")).properties
    return Problem(Architecture(tuple(widths)), parse_initialization(law, bias), data, known)


def optimizer(target: str, **settings: Any) -> OptimizerClass:
    return resolve(OptimizerSpec(target, settings)).properties


def knows(**statuses: Status) -> OptimizerClass:
    findings = tuple(
        (Property[n], Finding(n, status, Evidence.ASSUMED, f"given {n}")) for n, status in statuses.items()
    )
    return OptimizerClass("test", findings)


PLANE = ((0, 0), (1, 0), (0, 1), (1, 1))


def two_outputs() -> Problem:
    data = DataSet.from_rows("test", [(Fraction(0),), (Fraction(1),)], [(Fraction(0), Fraction(1))] * 2)
    return Problem(Architecture((1, 3, 2)), parse_initialization("pytorch"), data, OptimizerClass("test", ()))


CASES: list[tuple[Hypothesis, Problem, Status]] = [
    (IndependentInitialization(), problem(), HOLDS),
    (IndependentInitialization(), problem(law="he_normal"), HOLDS),
    (IndependentInitialization(), problem(law="orthogonal"), FAILS),
    (IndependentInitialization(), problem(law="orthogonal", bias="uniform(1)"), FAILS),
    (BoundedBiasDensity(), problem(), HOLDS),
    (BoundedBiasDensity(), problem(law="he_normal", bias="normal(0.1)"), HOLDS),
    (BoundedBiasDensity(), problem(law="flax", bias="uniform(1/2)"), HOLDS),
    (BoundedBiasDensity(), problem(law="he_normal"), FAILS),
    (BoundedBiasDensity(), problem(law="pytorch", bias="zero"), FAILS),
    (BoundedBiasDensity(), problem(law="orthogonal", bias="uniform(1)"), FAILS),
    (ZeroBiases(), problem(law="he_normal"), HOLDS),
    (ZeroBiases(), problem((1, 3, 3, 1), law="flax"), HOLDS),
    (ZeroBiases(), problem(law="pytorch", bias="zero"), HOLDS),
    (ZeroBiases(), problem(), FAILS),
    (ZeroBiases(), problem(law="he_normal", bias="uniform(1)"), FAILS),
    (ZeroBiases(), problem(law="orthogonal"), FAILS),
    (NormalWeights(), problem((1, 3, 3, 1), law="he_normal"), HOLDS),
    (NormalWeights(), problem(law="he_normal", bias="normal(1)"), FAILS),
    (NormalWeights(), problem(law="he_uniform"), FAILS),
    (NormalWeights(), problem(law="flax"), FAILS),
    (SymmetricLaws(), problem(), HOLDS),
    (SymmetricLaws(), problem(law="flax"), HOLDS),
    (SymmetricLaws(), problem(law="orthogonal"), FAILS),
    (NonzeroInput(), problem(), HOLDS),
    (NonzeroInput(), problem((2, 3, 1), inputs=((0, 0), (0, 0)), labels=(0, 1)), FAILS),
    (OneInputRay(), problem(), HOLDS),
    (OneInputRay(), problem(inputs=((-1,), (1,), (2,), (3,))), FAILS),
    (OneInputRay(), problem((2, 3, 1), inputs=((1, 2), (2, 4), (0, 0), (3, 6))), HOLDS),
    (OneInputRay(), problem((2, 3, 1), inputs=((0, 0), (0, 0)), labels=(0, 1)), FAILS),
    (OppositeInputRays(), problem(inputs=((-1,), (1,), (2,), (0,))), HOLDS),
    (OppositeInputRays(), problem((2, 3, 1), inputs=((1, 2), (-2, -4), (0, 0), (3, 6))), HOLDS),
    (OppositeInputRays(), problem(), FAILS),
    (OppositeInputRays(), problem((2, 3, 1), inputs=((1, 2), (-2, -3), (0, 0), (3, 6))), FAILS),
    (SeveralHiddenLayers(), problem((1, 3, 3, 1)), HOLDS),
    (SeveralHiddenLayers(), problem(), FAILS),
    (ScalarOutput(), problem(), HOLDS),
    (ScalarOutput(), two_outputs(), FAILS),
    (EnoughDeadNeurons(3), problem((1, 4, 2, 1), inputs=tuple((i,) for i in range(8)), labels=(0, 1) * 4), HOLDS),
    (EnoughDeadNeurons(2), problem((1, 4, 2, 1)), HOLDS),
    (EnoughDeadNeurons(1), problem((1, 4, 2, 1)), FAILS),
    (EnoughDeadNeurons(1), problem((2, 4, 2, 1), inputs=PLANE), HOLDS),
    (EnoughDeadNeurons(1), problem((2, 4, 2, 1), inputs=((0, 0), (2, 0), (0, 2), (1, 1))), UNKNOWN),
    (LabelsVary(), problem(), HOLDS),
    (LabelsVary(), problem(labels=(5, 5, 5, 5)), FAILS),
    (LabelsVary(), problem(inputs=((0,), (0,), (1,), (1,)), labels=(1, 3, 2, 2)), FAILS),
    (LabelsVary(), problem(inputs=((0,), (0,), (1,), (1,)), labels=(1, 3, 2, 3)), HOLDS),
    (OneHiddenLayer(), problem(), HOLDS),
    (OneHiddenLayer(), problem((1, 3, 3, 1)), FAILS),
    (OptimalRiskAboveNoise(0), problem(), HOLDS),
    (OptimalRiskAboveNoise(0), problem(labels=(5, 5, 5, 5)), FAILS),
    (OptimalRiskAboveNoise(1), problem(inputs=tuple((i,) for i in range(8)), labels=(0, 1) * 4), HOLDS),
    (OptimalRiskAboveNoise(3), problem(), FAILS),
    (OptimalRiskAboveNoise(2), problem(), UNKNOWN),
    (OptimalRiskAboveNoise(1), problem((1, 2, 1, 1), inputs=tuple((i,) for i in range(8)), labels=(0, 1) * 4), UNKNOWN),
    (OptimalRiskAboveNoise(1), problem((2, 3, 1), inputs=PLANE), FAILS),
    (OptimalRiskAboveNoise(1), problem((2, 3, 1), inputs=PLANE, labels=(0, 1, 1, 0)), UNKNOWN),
    (OptimalRiskAboveNoise(3), problem((2, 3, 1), inputs=PLANE), FAILS),
    (NeuronCanBeDead(), problem(), HOLDS),
    (NeuronCanBeDead(), problem(law="he_normal"), HOLDS),
    (NeuronCanBeDead(), problem(law="he_normal", inputs=((-1,), (1,), (2,), (3,))), FAILS),
    (NeuronCanBeDead(), problem((2, 3, 1), law="standard_normal", inputs=PLANE), HOLDS),
    (NeuronCanBeDead(), problem(law="orthogonal", bias="uniform(1)"), UNKNOWN),
    (DEPTH, problem(optimizer=optimizer("adam")), HOLDS),
    (DEPTH, problem(optimizer=optimizer("sgd", weight_decay=0.1)), HOLDS),
    (DEPTH, problem(optimizer=optimizer("adam", weight_decay=0.1)), FAILS),
    (DEPTH, problem(optimizer=optimizer("adam", eps=0.0)), UNKNOWN),
    (DEPTH, problem(optimizer=optimizer("torch.optim:AdamW")), HOLDS),
    (DEPTH, problem(optimizer=optimizer("torch.optim:LBFGS")), UNKNOWN),
    (WIDTH, problem(optimizer=optimizer("sgd", weight_decay=0.1)), HOLDS),
    (WIDTH, problem(optimizer=optimizer("sgd", weight_decay=0.1, lr=20.0)), FAILS),
    (WIDTH, problem(optimizer=optimizer("torch.optim:LBFGS")), UNKNOWN),
    (FROZEN, problem(optimizer=optimizer("nadam")), HOLDS),
    (FROZEN, problem(optimizer=optimizer("sgd", weight_decay=0.1)), FAILS),
    (FROZEN, problem(optimizer=optimizer("torch.optim:AdamW")), FAILS),
    (FROZEN, problem(optimizer=optimizer("torch.optim:LBFGS")), UNKNOWN),
    (FROZEN, problem(optimizer=optimizer("adamw")), FAILS),
    (DECAY, problem(optimizer=optimizer("adamw")), HOLDS),
    (DECAY, problem(optimizer=OptimizerClass.having(Property.S)), FAILS),
    (COMMON, problem(optimizer=optimizer("adamw")), HOLDS),
    (COMMON, problem(optimizer=OptimizerClass.having(Property.DW)), HOLDS),
    (COMMON, problem(optimizer=OptimizerClass.having(Property.D)), FAILS),
]


@pytest.mark.parametrize(("hypothesis", "case", "status"), CASES)
def test_decisions(hypothesis: Hypothesis, case: Problem, status: Status) -> None:
    finding = decide(hypothesis, case, dead_probability(case))
    assert finding.status is status
    assert finding.hypothesis == hypothesis.id
    assert finding.why
    if isinstance(hypothesis, NeuronCanBeDead) and finding.status is FAILS:
        assert "p_1 = 0" in finding.why


def test_labels_of_many_denominators_are_decided_and_reported() -> None:
    """The exact variance of `1/(1 + x^2)` on 600 points has more than 4300 digits, which Python refuses to write."""
    rows = [(Fraction(k, 599),) for k in range(600)]
    data = DataSet.from_rows("test", rows, [(1 / (1 + x * x),) for (x,) in rows])
    case = Problem(Architecture((1, 3, 1)), parse_initialization("pytorch"), data, optimizer("adam"))
    finding = decide(LabelsVary(), case, None)
    assert finding.status is HOLDS
    assert "0.0259" in finding.why


def test_every_hypothesis_is_seen_both_ways() -> None:
    seen = {(type(hypothesis), status) for hypothesis, _, status in CASES}
    for kind, _ in HYPOTHESES.values():
        assert (kind, HOLDS) in seen
        assert (kind, FAILS) in seen
    assert {kind for kind, status in seen if status is UNKNOWN} == {
        EnoughDeadNeurons,
        OptimalRiskAboveNoise,
        NeuronCanBeDead,
        OptimizerKeepsDead,
    }


def test_a_lower_bound_of_zero_does_not_decide_that_neurons_can_be_dead() -> None:
    answer = DeadProbability("test", Enclosure(Fraction(0), Fraction(1, 3)), False, Evidence.CERTIFIED, "because")
    assert decide(NeuronCanBeDead(), problem(), answer).status is UNKNOWN


@pytest.mark.parametrize("first", [None, HOLDS, FAILS, UNKNOWN])
@pytest.mark.parametrize("second", [None, HOLDS, FAILS, UNKNOWN])
@pytest.mark.parametrize("third", [HOLDS, FAILS, UNKNOWN])
def test_alternatives_are_or_and_parts_are_and(first: Status | None, second: Status | None, third: Status) -> None:
    """Kleene's tables: (D and SS) or S, with properties that do not imply each other as given here."""
    known = {"D": first, "SS": second, "S": third}
    case = problem(optimizer=knows(**{name: status for name, status in known.items() if status is not None}))

    def value(name: str) -> Status:
        if name == "SS" and HOLDS in (known["D"], known["S"]):
            return HOLDS  # (S) and (D) imply (SS)
        status = known[name]
        return UNKNOWN if status is None else status

    both = (value("D"), value("SS"))
    conjunction = FAILS if FAILS in both else UNKNOWN if UNKNOWN in both else HOLDS
    pair = (conjunction, value("S"))
    expected = HOLDS if HOLDS in pair else UNKNOWN if UNKNOWN in pair else FAILS
    hypothesis = OptimizerKeepsDead(((Property.D, Property.SS), (Property.S, None)))
    assert decide(hypothesis, case, None).status is expected


def test_the_evidence_of_a_decision_is_the_weakest_used() -> None:
    assert weakest([Evidence.PROVED, Evidence.CITED, Evidence.CERTIFIED]) is Evidence.CITED
    assert weakest([]) is Evidence.PROVED
    mixed = OptimizerClass(
        "test",
        (
            (Property.S, Finding("S", HOLDS, Evidence.PROVED, "")),
            (Property.D, Finding("D", HOLDS, Evidence.STATISTICAL, "")),
        ),
    )
    hypothesis = OptimizerKeepsDead(((Property.S, Property.D),))
    assert decide(hypothesis, problem(optimizer=mixed), None).evidence is Evidence.STATISTICAL


def test_combined_status_is_three_valued_and() -> None:
    def finding(name: str, status: Status) -> Finding:
        return Finding(name, status, Evidence.PROVED, "because")

    assert combined_status([])[0] is HOLDS
    assert combined_status([finding("a", HOLDS), finding("b", HOLDS)])[0] is HOLDS
    assert combined_status([finding("a", UNKNOWN), finding("b", FAILS)]) == (FAILS, "b: because")
    assert combined_status([finding("a", HOLDS), finding("b", UNKNOWN)]) == (UNKNOWN, "b: because")


@dataclass(frozen=True)
class Unheard(Hypothesis):
    """A hypothesis that nobody decides."""


def test_an_unknown_hypothesis_is_an_error_and_not_an_answer() -> None:
    with pytest.raises(TypeError, match="no rule to decide"):
        decide(Unheard(), problem(), None)


# --- which theorems apply --------------------------------------------------------------------------------------------


def first_that_holds(name: str, case: Problem) -> Instance | None:
    theorem = THEOREMS[name]
    for instance in (theorem.instance(case, number) for number in range(theorem.n_instances(case))):
        known = dead_probability(case, nonpositive_bias=instance.nonpositive_bias)
        if combined_status(decide(h, case, known) for h in instance.hypotheses)[0] is HOLDS:
            return instance
    return None


SIGNS = {"T1", "T2", "T5", "T11a"}  # any independent symmetric initialization; T5 with enough dead neurons
DENSITY = {"T10", "T12", "T13", "T13b", "T16", "T19"}
NO_BIAS = {"T11b", "T12", "T15", "T18"}


@pytest.mark.parametrize(
    ("case", "applying"),
    [
        (problem(), SIGNS | DENSITY | {"T3"}),
        (problem((1, 3, 3, 1)), SIGNS | DENSITY | {"T4"}),
        (problem((1, 3, 3, 1), law="standard_normal"), SIGNS | DENSITY | {"T4"}),
        (problem(law="he_normal"), SIGNS | NO_BIAS | {"T3", "T7", "T14"}),
        (problem(law="he_uniform"), SIGNS | NO_BIAS | {"T3", "T7"}),
        (problem(law="orthogonal"), set()),
        (problem(labels=(5, 5, 5, 5)), {"T11a"}),
        (problem(optimizer=optimizer("sgd", weight_decay=0.1)), SIGNS | DENSITY - {"T10"} | {"T3"}),
        (problem(optimizer=optimizer("adamw")), SIGNS | DENSITY - {"T10"} | {"T3"}),
        (problem(optimizer=OptimizerClass.having(Property.D)), SIGNS | {"T3", "T12", "T13", "T13b", "T19"}),
        (problem(optimizer=OptimizerClass.having(Property.S)), SIGNS | {"T3"}),
        (problem(optimizer=OptimizerClass.having(Property.SS)), {"T11a"}),
        (problem(optimizer=OptimizerClass.having()), {"T11a"}),
        (problem(law="he_normal", optimizer=OptimizerClass.having(Property.SL)), NO_BIAS | {"T7", "T11a", "T14"}),
        (problem(optimizer=optimizer("torch.optim:LBFGS")), {"T11a"}),
        (problem(law="he_normal", inputs=((-1,), (1,), (2,), (3,))), SIGNS | NO_BIAS | {"T8", "T14"}),
    ],
)
def test_theorems_apply_where_math_says(case: Problem, applying: set[str]) -> None:
    assert {name for name in THEOREMS if first_that_holds(name, case) is not None} == applying


@pytest.mark.parametrize("labels", [(0, 1) * 4, (0, 1, 2, 3, 4, 5, 6, 7), (5,) * 8, (0, 0, 0, 0, 1, 1, 1, 1)], ids=str)
@pytest.mark.parametrize(
    ("name", "hidden"), [("T3", (9,)), ("T4", (9, 1)), ("T5", (9,)), ("T5", (9, 2)), ("T12", (9, 1))]
)
def test_along_the_instances_statuses_only_improve(name: str, hidden: tuple[int, ...], labels: tuple[int, ...]) -> None:
    """What `Theorem` promises, and what a search by bisection relies on: fails, then unknown, then holds."""
    case = problem((1, *hidden, 1), inputs=tuple((i,) for i in range(8)), labels=labels)
    theorem, known = THEOREMS[name], dead_probability(case)
    ranks = [
        [FAILS, UNKNOWN, HOLDS].index(combined_status(decide(h, case, known) for h in instance.hypotheses)[0])
        for instance in (theorem.instance(case, number) for number in range(theorem.n_instances(case)))
    ]
    assert ranks == sorted(ranks)


def test_t3_takes_the_smallest_count_that_costs_something() -> None:
    """Eight zigzag points, four affine runs: three pieces (width 2) are too few, four (width 3) leave it open."""
    zigzag = problem((1, 4, 1), inputs=tuple((i,) for i in range(8)), labels=(0, 1) * 4)
    instance = first_that_holds("T3", zigzag)
    assert instance is not None
    assert instance.event.neurons == 2
    assert instance.forced.first_width == 2
