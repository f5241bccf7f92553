"""T11b: zero biases. Exact small cases, simulation with a budget, the ceiling, planted faults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from math import prod

import pytest

from theorems.bounds import Recursion
from theorems.catalogue import THEOREMS
from theorems.catalogue.t11b import bound
from theorems.hypotheses import Status, ZeroBiases
from theorems.laws import parse_initialization
from theorems.problem import Problem
from theorems.rules import every_rule
from theorems.setting import Architecture, DataSet
from verify.dead_neuron import dead_probability
from verify.enclosure import Enclosure, evaluate_bound
from verify.evaluate import evaluate_theorem
from verify.hypotheses import decide
from verify.inference import clopper_pearson
from verify.simulation.runs import Start, StartTask, sample_starts

ALPHA = Fraction(1, 10**7)  # false-alarm budget of each statistical check


def problem(inputs: Sequence[Sequence[int]], hidden: Sequence[int], law: str = "he_normal") -> Problem:
    rows = [tuple(Fraction(v) for v in x) for x in inputs]
    data = DataSet.from_rows("rays", rows, [(Fraction(i * i),) for i in range(len(rows))])
    architecture = Architecture((len(rows[0]), *hidden, 1))
    return Problem(architecture, parse_initialization(law), data, every_rule())


def value(case: Problem) -> Enclosure:
    return evaluate_bound(bound(case), Fraction(0))


@pytest.mark.parametrize(
    ("inputs", "rays"),
    [
        ([(0,), (1,), (3,)], 1),
        ([(-2,), (0,), (5,)], 2),
        ([(1, 2), (2, 4), (-1, -2), (0, 0)], 2),
        ([(1, 0), (0, 1), (1, 1), (3, 3), (-1, 0)], 4),
        ([(0, 0)], 0),
    ],
)
def test_rays_are_counted_by_direction(inputs: Sequence[Sequence[int]], rays: int) -> None:
    assert problem(inputs, (2,)).data.n_rays == rays


@pytest.mark.parametrize("hidden", [(1,), (3,), (2, 5), (3,) * 10, (4, 1, 2)])
def test_one_ray_is_the_exact_product(hidden: tuple[int, ...]) -> None:
    exact = 1 - prod((1 - Fraction(1, 2**width) for width in hidden), start=Fraction(1))
    found = value(problem([(1,), (2,)], hidden))
    assert found.contains(exact)
    assert found.width <= Fraction(1, 2**40)
    ceiling = exact  # T11a: no bound of the event can exceed it
    assert value(problem([(1, 0), (0, 1), (1, 1)], hidden)).hi <= ceiling


def share_of_dead_layers(case: Problem, trials: int, seed: int) -> tuple[int, int]:
    start = Start(case.architecture, case.initialization, case.data, "float64", seed)
    return sample_starts(StartTask(start, 0, trials)).dead_layer, trials


def check_at_least(case: Problem, claimed: Enclosure) -> None:
    events, trials = share_of_dead_layers(case, 20_000, 7)
    assert clopper_pearson(events, trials, ALPHA).hi >= claimed.lo


CASES = [
    problem([(1,), (2,)], (3,) * 5),
    problem([(-1,), (1,)], (2,) * 8, "he_uniform"),
    problem([(1, 2), (2, -1), (-1, 3)], (2,) * 10, "flax"),
    problem([(1, 0, 1), (0, 1, 2)], (3, 2, 3, 2, 2), "keras"),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.architecture} {case.initialization}")
def test_simulation_does_not_contradict_the_bound(case: Problem) -> None:
    check_at_least(case, value(case))


def test_one_ray_is_an_equality_in_simulation() -> None:
    case = CASES[0]
    events, trials = share_of_dead_layers(case, 40_000, 11)
    limits = clopper_pearson(events, trials, ALPHA)
    assert limits.meets(value(case))
    assert limits.width < Fraction(3, 100)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(lambda found: Enclosure(found.lo + Fraction(4, 100), found.hi + Fraction(4, 100)), id="constant"),
        pytest.param(lambda found: Enclosure(1 - found.hi + Fraction(1, 2), Fraction(2)), id="complement"),
    ],
)
def test_planted_faults_are_seen(wrong: Callable[[Enclosure], Enclosure]) -> None:
    with pytest.raises(AssertionError):
        check_at_least(CASES[0], wrong(value(CASES[0])))


def test_forgetting_the_other_rays_is_seen() -> None:
    """Two opposite rays are not one: the bound for one ray is refuted by them."""
    opposite = problem([(-1,), (1,)], (3,) * 5)
    check_at_least(opposite, value(opposite))
    with pytest.raises(AssertionError):
        check_at_least(opposite, value(problem([(1,), (2,)], (3,) * 5)))


@pytest.mark.parametrize(
    ("law", "status"),
    [
        ("he_normal", Status.HOLDS),
        ("flax", Status.HOLDS),
        ("pytorch", Status.FAILS),
        ("standard_normal", Status.FAILS),
        ("orthogonal", Status.FAILS),
    ],
)
def test_zero_biases_are_decided(law: str, status: Status) -> None:
    case = problem([(1,), (2,)], (3,), law)
    assert decide(ZeroBiases(), case, dead_probability(case)).status is status
    assert evaluate_theorem(THEOREMS["T11b"], case).status is status


def test_very_wide_layers_lower_the_bound_and_nothing_else() -> None:
    found = value(problem([(1,), (2,)], (2, 5000)))
    assert found.lo <= Fraction(1, 4) <= found.hi + Fraction(1, 2**1000)
    assert isinstance(bound(problem([(1,)], (5000,))), Recursion)
