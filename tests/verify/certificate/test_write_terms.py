"""Sympy to terms: the checker's arithmetic must find what Arb finds in the expression."""

from __future__ import annotations

import copy
import json
from fractions import Fraction

import pytest
import sympy
from hypothesis import given, settings
from hypothesis import strategies as st

from theorems.backward import BackwardProgram
from theorems.bounds import ALIVE, P_DEAD, SPREAD, TREE_LENGTH, BestOf, BinomialChain, ClosedForm, Recursion
from theorems.lines import LineProgram
from verify.certificate.checker import Rejected, evaluate_term
from verify.certificate.shapes import shape_of, single_bounds
from verify.certificate.terms import CannotBeWritten, ratio, term_of
from verify.enclosure import Undecidable, evaluate, evaluate_bound

X, Y = sympy.symbols("x y", nonnegative=True)
NAMES = {X: "p_1", Y: "tau"}

NUMBERS = st.fractions(min_value=-3, max_value=3, max_denominator=50).map(
    lambda v: sympy.Rational(v.numerator, v.denominator)
)
LEAVES = st.one_of(NUMBERS, st.sampled_from([X, Y, sympy.pi, sympy.E, sympy.sqrt(2), sympy.sqrt(sympy.Rational(2, 3))]))


def combined(parts: st.SearchStrategy[sympy.Expr]) -> st.SearchStrategy[sympy.Expr]:
    pairs = st.tuples(parts, parts)
    return st.one_of(
        pairs.map(sum),
        pairs.map(lambda both: both[0] * both[1]),
        pairs.map(lambda both: both[0] / (2 + both[1] ** 2)),
        pairs.map(lambda both: sympy.Max(*both)),
        pairs.map(lambda both: sympy.Min(*both)),
        parts.map(lambda part: sympy.sqrt(1 + part**2)),
        parts.map(lambda part: (1 + part**2) ** sympy.Rational(-3, 2)),
        parts.map(lambda part: sympy.exp(-(part**2))),
        parts.map(lambda part: sympy.log(2 + part**2)),
        parts.map(sympy.atan),
        parts.map(sympy.erf),
        parts.map(lambda part: sympy.betainc_regularized(3, 5, 0, part**2 / (1 + part**2))),
        st.tuples(parts, st.integers(-3, 5)).map(lambda both: (1 + both[0] ** 2) ** both[1]),
    )


@settings(max_examples=30, deadline=None)
@given(
    st.recursive(LEAVES, combined, max_leaves=8),
    st.fractions(0, 1, max_denominator=40),
    st.fractions(0, 5, max_denominator=40),
)
def test_both_engines_enclose_one_value(expression: sympy.Expr, x: Fraction, y: Fraction) -> None:
    if expression.has(sympy.nan, sympy.zoo, sympy.oo):
        return
    try:
        term = term_of(expression, NAMES)
        found = evaluate_term(term, {"p_1": x, "tau": y}, 192)
        wanted = evaluate(expression, {X: x, Y: y}, tolerance=Fraction(1, 2**80))
    except (CannotBeWritten, Rejected, Undecidable):
        return
    assert found[0] <= wanted.hi
    assert wanted.lo <= found[1]
    assert found[1] - found[0] <= Fraction(1, 2**80) * max(1, abs(found[0]))


@pytest.mark.parametrize(
    ("expression", "term"),
    [
        (sympy.Rational(3, 8), "3/8"),
        (sympy.Integer(-2), "-2"),
        (X**3, ["pow", "p_1", 3]),
        (1 / X, ["div", "1", "p_1"]),
        (1 / sympy.sqrt(X), ["div", "1", ["sqrt", "p_1"]]),
        (X ** sympy.Rational(5, 2), ["pow", ["sqrt", "p_1"], 5]),
        (sympy.betainc_regularized(3, 6, 0, X), ["tail", 8, 3, "p_1"]),
        (sympy.Rational(1, 2**20000), ["pow", "2", -20000]),
        (3 * sympy.Rational(1, 2**20000), ["mul", "3", ["pow", "2", -20000]]),
        (1 - 3 * sympy.Rational(1, 2**20000), ["sub", "1", ["mul", "3", ["pow", "2", -20000]]]),
    ],
)
def test_terms_that_are_written(expression: sympy.Expr, term: object) -> None:
    assert term_of(expression, NAMES) == term


@pytest.mark.parametrize(
    "expression",
    [
        sympy.sin(X),
        sympy.Abs(X - 1),
        X ** sympy.Rational(1, 3),
        X**Y,
        sympy.Rational(1, 3**6000),
        sympy.Rational(2**20000 + 1, 2**20001),
        X ** (10**6 + 1),
        sympy.betainc_regularized(3, 6, X, 1),
    ],
    ids=["function", "absolute value", "cube root", "named exponent", "digits", "dyadic", "exponent", "beta"],
)
def test_what_the_format_has_no_term_for_is_refused(expression: sympy.Expr) -> None:
    with pytest.raises(CannotBeWritten):
        term_of(expression, NAMES)


@given(st.fractions())
def test_numbers_come_back(value: Fraction) -> None:
    assert Fraction(ratio(value)) == value


SURVIVAL, SIGNS, WIDTH = sympy.symbols("a e l", nonnegative=True)
RECURSION = Recursion(
    state=(SURVIVAL,),
    start=(1 - P_DEAD**3,),
    parameters=(SIGNS, WIDTH),
    step=(SURVIVAL * (1 - sympy.Max(SIGNS, (P_DEAD / 2) ** WIDTH)),),
    layers=tuple((sympy.Rational(1, 3**n), sympy.Integer(n)) for n in (2, 2, 2, 3, 2)),
    result=1 - SURVIVAL,
)
CHAIN = BinomialChain((3, 4, 4, 2), P_DEAD, (2**-ALIVE / 2, 2**-ALIVE / 2, (1 / sympy.Integer(3)) ** (2 * ALIVE + 1)))


@pytest.mark.parametrize(
    "bound",
    [ClosedForm(1 - (1 - P_DEAD) ** 7), RECURSION, CHAIN, BinomialChain((5,), P_DEAD, (), 2)],
    ids=["closed form", "recursion", "chain", "one layer"],
)
def test_shapes_have_the_value_of_the_bound(bound: ClosedForm | Recursion | BinomialChain) -> None:
    p_dead = Fraction(3, 11)
    shape = shape_of(bound, {P_DEAD: p_dead})
    found, wanted = evaluate_term(shape, {"p_1": p_dead}, 192), evaluate_bound(bound, p_dead)
    assert found[0] <= wanted.hi
    assert wanted.lo <= found[1]
    assert found[1] - found[0] < Fraction(1, 2**100)


def test_names_that_mean_something_else_are_changed_and_equal_layers_are_counted() -> None:
    shape = shape_of(RECURSION, {})
    assert shape["parameters"] == ["e_", "l"]
    assert [count for count, _ in shape["layers"]] == [3, 1, 1]
    assert shape_of(CHAIN, {})["success"][0][0] == 2


def test_a_best_of_bests_is_taken_apart() -> None:
    one, two, three = (ClosedForm(sympy.Rational(1, n)) for n in (2, 3, 4))
    assert single_bounds(BestOf(("a", "b"), (one, BestOf(("c", "d"), (two, three))))) == [one, two, three]
    assert single_bounds(one) == [one]


def test_a_bound_that_a_search_finds_alone_has_no_shape() -> None:
    with pytest.raises(CannotBeWritten, match="LineProgram"):
        shape_of(LineProgram((2, 2), 3), {})


BACKWARD = [
    BackwardProgram(1 - P_DEAD**3, SPREAD + TREE_LENGTH, (3, 2, 4, 3), 3),
    BackwardProgram(1 - P_DEAD**3, SPREAD, (3, 3, 3, 3, 3, 3), 2, two_rays=True),
    BackwardProgram(1 - P_DEAD**5, 10 * SPREAD, (5, 1, 3), 40),
    BackwardProgram(1 - P_DEAD**3, SPREAD, (3, 64, 2, 64, 2), 4),
    BackwardProgram(1 - P_DEAD**3, TREE_LENGTH, (3,) * 12, 2),
    BackwardProgram(1 - P_DEAD, SPREAD, (1,), 2),
]


@pytest.mark.parametrize("bound", BACKWARD, ids=[f"{len(b.widths)} layers, {b.n_rays} rays" for b in BACKWARD])
def test_lines_of_survival_have_the_value_of_the_search(bound: BackwardProgram) -> None:
    values = {P_DEAD: Fraction(2, 7), SPREAD: Fraction(1, 9), TREE_LENGTH: Fraction(1, 5)}
    known = {symbol: values[symbol] for symbol in bound.symbols}
    shape = shape_of(bound, known)
    assert len(json.dumps(shape)) < 700 * len(bound.widths)
    names = {str(symbol): value for symbol, value in known.items()}
    found = evaluate_term(shape, names, 192)
    wanted = evaluate_bound(bound, values[P_DEAD], {s: v for s, v in known.items() if s != P_DEAD})
    assert found[0] <= wanted.hi
    assert wanted.lo <= found[1]
    assert found[1] - found[0] < Fraction(1, 2**60)
    for line in shape["lines"][:4]:
        lower = copy.deepcopy(shape)
        at = shape["lines"].index(line)
        lower["lines"][at][0] = str(Fraction(line[0]) * (1 - Fraction(1, 2**30)))
        if bound.widths[at + 1] <= 40 and line[2] != "wide":
            with pytest.raises(Rejected, match="line"):
                evaluate_term(lower, names, 192)


def test_lines_through_very_many_layers_are_not_written() -> None:
    with pytest.raises(CannotBeWritten, match="layers"):
        shape_of(BackwardProgram(1 - P_DEAD, SPREAD, (2,) * 300, 3), {P_DEAD: Fraction(1, 3), SPREAD: Fraction(1, 9)})
