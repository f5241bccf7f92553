"""Theorems put to problems: sizes of the data, restarts, margins, stronger forms, classes of optimizers."""

from __future__ import annotations

from fractions import Fraction
from math import isqrt

import pytest
import sympy

from theorems.bounds import P_DEAD, RADIUS, ROOT_NORM, SIZES, SPREAD, TOUR_LENGTH, TOUR_ZEROS, TREE_LENGTH
from theorems.catalogue import THEOREMS
from theorems.hypotheses import Evidence, OptimizerClass, Property, Status
from theorems.laws import parse_initialization
from theorems.problem import Problem
from theorems.rules import every_rule
from theorems.setting import Architecture, DataSet
from theorems.theorem import ForcedRisk
from verify.evaluate import certified_margin, evaluate_theorem, forced_risk, restarts_needed
from verify.risk import best_witness
from verify.sizes import case_sizes

ZIGZAG = (0, 1) * 4


def problem(
    hidden: tuple[int, ...] = (4,),
    law: str = "pytorch",
    inputs: tuple[tuple[int, ...], ...] = tuple((i,) for i in range(8)),
    labels: tuple[int, ...] = ZIGZAG,
    optimizer: OptimizerClass | None = None,
) -> Problem:
    rows = [tuple(Fraction(v) for v in x) for x in inputs]
    data = DataSet.from_rows("test", rows, [(Fraction(y),) for y in labels])
    widths = (len(rows[0]), *hidden, 1)
    return Problem(Architecture(widths), parse_initialization(law), data, optimizer or every_rule())


# --- sizes of the data -----------------------------------------------------------------------------------------------


def test_sizes_are_upper_bounds_and_close() -> None:
    found = case_sizes(problem(inputs=((0, 0), (3, 4), (0, 5), (3, 0)), labels=(0, 1, 2, 4)), SIZES)
    assert found.evidence is Evidence.CERTIFIED
    expected = {TREE_LENGTH: 3 + 4 + sympy.sqrt(10), ROOT_NORM: 0, RADIUS: 5, SPREAD: sympy.sqrt(Fraction(119, 4))}
    for symbol, exact in expected.items():
        value = found.values[symbol]
        gap = sympy.Rational(value.numerator, value.denominator) - sympy.sympify(exact)
        assert 0 <= gap.evalf(60) <= 1e-9
    assert found.values[TOUR_LENGTH] <= Fraction(3142, 1000)  # there and back within a quarter turn
    assert found.values[TOUR_ZEROS] <= 2


def test_only_what_is_asked_for_is_computed() -> None:
    assert case_sizes(problem(), [P_DEAD]).values == {}
    assert set(case_sizes(problem(), [P_DEAD, SPREAD]).values) == {SPREAD}


# --- restarts (T6) ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", [Fraction(1, 3), Fraction(1, 2), Fraction(9, 10), Fraction(999, 1000)])
@pytest.mark.parametrize("success", [Fraction(1, 2), Fraction(99, 100)])
def test_restarts_are_the_least_number_that_can_do(bound: Fraction, success: Fraction) -> None:
    needed = restarts_needed(bound, success)
    assert needed is not None
    assert 1 - bound**needed >= success  # with so many runs the bound does not rule it out
    assert needed == 1 or 1 - bound ** (needed - 1) < success  # with one run less it does


def test_nothing_is_said_of_restarts_where_nothing_is_known() -> None:
    assert restarts_needed(Fraction(0), Fraction(1, 2)) is None
    assert restarts_needed(Fraction(1), Fraction(1, 2)) is None


# --- forced risks and margins (T9) -----------------------------------------------------------------------------------


def test_forced_risks_are_in_order() -> None:
    case = problem((4,))
    data, shape = case.data, case.architecture
    constant = data.noise_floor + data.variance
    assert forced_risk(ForcedRisk(None), shape, data) == forced_risk(ForcedRisk(0), shape, data) == constant
    floors = [forced_risk(ForcedRisk(width), shape, data) for width in range(5)]
    assert floors == sorted(floors, reverse=True)
    assert data.noise_floor < floors[2] <= constant  # three pieces are too few for eight zigzag points
    assert forced_risk(ForcedRisk(2, or_constant=True), shape, data) == min(floors[2], constant)


@pytest.mark.parametrize("name", ["T1", "T3", "T10", "T12", "T13b", "T16"])
def test_margins_are_positive_and_do_not_exceed_what_a_network_leaves(name: str) -> None:
    case = problem((3,) if name == "T3" else (3, 3))
    found = evaluate_theorem(THEOREMS[name], case)
    assert found.status is Status.HOLDS
    eps = certified_margin(found, case.architecture, case.data)
    assert eps is not None
    assert 0 < eps <= case.data.noise_floor + case.data.variance
    # some network has the risk of the witness, so no margin can promise more than the constant's distance from nu
    assert best_witness(case.architecture, case.data).risk <= case.data.noise_floor + case.data.variance


def test_the_ceiling_has_no_margin_and_forces_nothing() -> None:
    case = problem((3, 3))
    found = evaluate_theorem(THEOREMS["T11a"], case)
    assert found.status is Status.HOLDS
    assert found.forced is None
    assert certified_margin(found, case.architecture, case.data) is None
    assert found.bound is not None
    eighth = Fraction(7, 8) ** 2
    assert found.bound.contains(1 - eighth)


# --- stronger forms that are not known -------------------------------------------------------------------------------


def test_the_obstacle_is_the_reason_of_the_next_stronger_form() -> None:
    """Eight zigzag points: width 2 is too few, width 3 is open; so two of four neurons must be dead."""
    found = evaluate_theorem(THEOREMS["T3"], problem((4,)))
    assert found.event.neurons == 2
    assert found.obstacle is not None
    assert "optimal-risk-above-noise" in found.obstacle
    assert evaluate_theorem(THEOREMS["T3"], problem((3,))).obstacle is None


def test_bad_theorems_have_no_obstacle_only_a_reason() -> None:
    found = evaluate_theorem(THEOREMS["T3"], problem((4,), labels=(5,) * 8))
    assert found.status is Status.FAILS
    assert found.obstacle is None


# --- classes of optimizers -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", list(Property))
def test_a_class_has_its_property_and_what_follows_and_nothing_else(wanted: Property) -> None:
    given = OptimizerClass.having(wanted)
    assert given.about(wanted).status is Status.HOLDS
    statuses = {other: given.about(other).status for other in Property}
    assert Status.UNKNOWN not in statuses.values()
    if wanted is not Property.F:
        assert statuses[Property.F] is Status.FAILS
    none = OptimizerClass.having()
    assert {none.about(other).status for other in Property} == {Status.FAILS}


def test_weaker_classes_get_smaller_bounds() -> None:
    """FB >= DJ >= D, and DW between DJ and D."""
    bounds = {}
    for wanted in (Property.FB, Property.DJ, Property.DW, Property.D):
        case = problem((3, 3, 3, 3), optimizer=OptimizerClass.having(wanted))
        values = [evaluate_theorem(theorem, case) for theorem in THEOREMS.values()]
        bounds[wanted] = max(v.bound.lo for v in values if v.bound is not None and v.forced is not None)
    assert bounds[Property.FB] > bounds[Property.DJ] >= bounds[Property.DW] >= bounds[Property.D] > 0


def test_square_roots_used_here_are_upper_ends() -> None:
    value = case_sizes(problem(), [SPREAD]).values[SPREAD]
    assert value * value >= 42  # the squared distances of 0..7 from 3.5 add up to 42
    assert value <= Fraction(isqrt(42 * 10**12) + 2, 10**6)
