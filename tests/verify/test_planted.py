"""False versions of the depth theorems, put through a whole audit: REFUTED or NOT APPLICABLE, never CONFIRMED.

The true theorems pass the same audits. Each audit's level is 1 %, so a true theorem is refuted, and a false one that
its networks happen to favour is not refuted, with small probability only; the seeds are fixed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from fractions import Fraction

import pytest
import sympy

from theorems.bounds import ClosedForm
from theorems.catalogue import THEOREMS
from theorems.hypotheses import BoundedBiasDensity, Hypothesis, NormalWeights, Status, ZeroBiases
from theorems.laws import parse_initialization
from theorems.problem import Problem
from theorems.rules import every_rule
from theorems.setting import Architecture
from theorems.theorem import Instance, Relation, Theorem
from verify.audit import carry_out, plan
from verify.cases import AuditConfig, DataChoice, Simulation, Sweep
from verify.data import load_data
from verify.evaluate import evaluate_theorem
from verify.executors import InProcess

DECAY, FREEZE = ("T13b", "T16", "T19"), ("T10",)  # biases with a density; weight decay, or none
SLOW = pytest.mark.slow
UNBIASED = ("T14", "T15", "T18")


@dataclasses.dataclass(frozen=True)
class Trial:
    """Scalar inputs between two ends, an initialization, an architecture and an optimizer."""

    low: str
    high: str
    initialization: str
    architecture: str
    optimizer: str
    initializations: int = 60_000

    @property
    def data(self) -> DataChoice:
        return DataChoice(source="x**2 + 3*x", points=4, low=self.low, high=self.high)

    @property
    def problem(self) -> Problem:
        """For the bounds, which do not look at the optimizer."""
        laws = parse_initialization(self.initialization, None)
        return Problem(Architecture.parse(self.architecture), laws, load_data(self.data.spec(".")), every_rule())

    def verdicts(self, names: Iterable[str]) -> dict[str, str]:
        audit = AuditConfig(
            title="planted",
            seed=11,
            data={"d": self.data},
            simulation=Simulation(
                initializations=self.initializations, replicas=1, steps=1, batch=1, look_every=1, block=1
            ),
            sweep=(
                Sweep(
                    name="s",
                    data=("d",),
                    initializations=(self.initialization,),
                    architectures=(self.architecture,),
                    optimizers=(self.optimizer,),
                    theorems=tuple(names),
                ),
            ),
        )
        audit.check()
        (case,) = carry_out(plan(audit), InProcess()).cases
        return {theorem.theorem: theorem.judgement.verdict for theorem in case.theorems}


NEARLY_SHARP = Trial("0", "1", "pytorch", "1,1*3,1", "adamw")
NOT_SHARP = Trial("0", "1", "pytorch", "1,8,1,1,1", "adamw")
NO_BIASES = Trial("-1", "1", "he_normal", "1,1*3,1", "adamw", initializations=10_000)
ONE_RAY = Trial("1/2", "1", "he_normal", "1,3*8,1", "sgd")  # there T14, T15 and T18 are equalities
BIASES = Trial("-1", "1", "standard_normal", "1,3*8,1", "sgd", initializations=10_000)
TWO_RAYS = Trial("-1", "1", "he_normal", "1,2*4,1", "sgd")


def with_sgd(trial: Trial) -> Trial:
    return dataclasses.replace(trial, optimizer="sgd")


def planted(
    theorem: Theorem,
    change: Callable[[Fraction], Fraction] = lambda bound: bound,
    *,
    proved_for: Problem,
    dropped: tuple[type[Hypothesis], ...] = (),
) -> Theorem:
    """The theorem's bound for one problem, changed, claimed without some hypotheses."""
    true = evaluate_theorem(theorem, proved_for)
    assert true.status is Status.HOLDS
    assert true.bound is not None
    claimed = change(true.bound.lo)
    assert 0 < claimed < 1

    def instance(problem: Problem, number: int) -> Instance:
        found = theorem.instance(problem, number)
        kept = tuple(hypothesis for hypothesis in found.hypotheses if not isinstance(hypothesis, dropped))
        bound = ClosedForm(sympy.Rational(claimed.numerator, claimed.denominator))
        return dataclasses.replace(found, hypotheses=kept, bound=lambda: bound)

    return dataclasses.replace(theorem, instance=instance)


def plant(monkeypatch: pytest.MonkeyPatch, theorems: Iterable[Theorem]) -> None:
    for theorem in theorems:
        monkeypatch.setitem(THEOREMS, theorem.id, theorem)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trial", "names"),
    [
        pytest.param(NEARLY_SHARP, DECAY, id="decay"),
        pytest.param(with_sgd(NEARLY_SHARP), FREEZE, id="no decay"),
        pytest.param(ONE_RAY, UNBIASED, id="zero biases"),
    ],
)
def test_a_constant_two_percent_too_large(
    trial: Trial, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert set(trial.verdicts(names).values()) <= {"CONSISTENT", "CONFIRMED"}
    factor = Fraction(102, 100)
    plant(monkeypatch, [planted(THEOREMS[n], lambda b: b * factor, proved_for=trial.problem) for n in names])
    assert trial.verdicts(names) == dict.fromkeys(names, "REFUTED")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("trial", "names"),
    [
        pytest.param(NOT_SHARP, DECAY, id="decay"),
        pytest.param(with_sgd(NOT_SHARP), FREEZE, id="no decay"),
        pytest.param(TWO_RAYS, UNBIASED, id="zero biases"),
    ],
)
def test_a_flipped_inequality(trial: Trial, names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(trial.verdicts(names).values()) <= {"CONSISTENT", "CONFIRMED"}
    plant(monkeypatch, [dataclasses.replace(THEOREMS[n], relation=Relation.AT_MOST) for n in names])
    assert trial.verdicts(names) == dict.fromkeys(names, "REFUTED")


@pytest.mark.parametrize(
    ("trial", "names", "proved_for", "dropped"),
    [
        pytest.param(NO_BIASES, DECAY, NEARLY_SHARP, (BoundedBiasDensity,), id="decay, density", marks=SLOW),
        pytest.param(with_sgd(NO_BIASES), FREEZE, with_sgd(NEARLY_SHARP), (BoundedBiasDensity,), id="density"),
        pytest.param(BIASES, UNBIASED, ONE_RAY, (ZeroBiases, NormalWeights), id="zero biases"),
    ],
)
def test_a_dropped_hypothesis(
    trial: Trial,
    names: tuple[str, ...],
    proved_for: Trial,
    dropped: tuple[type[Hypothesis], ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the hypothesis nothing is claimed; without it what is claimed is false."""
    assert trial.verdicts(names) == dict.fromkeys(names, "NOT APPLICABLE")
    plant(monkeypatch, [planted(THEOREMS[n], proved_for=proved_for.problem, dropped=dropped) for n in names])
    assert trial.verdicts(names) == dict.fromkeys(names, "REFUTED")


def test_t14_asks_for_normal_weights() -> None:
    uniform = dataclasses.replace(ONE_RAY.problem, initialization=parse_initialization("keras", None))
    for name, status in {"T14": Status.FAILS, "T15": Status.HOLDS, "T18": Status.HOLDS}.items():
        assert evaluate_theorem(THEOREMS[name], uniform).status is status
