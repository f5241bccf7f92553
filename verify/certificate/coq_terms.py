"""Terms of a certificate in Coq: as an ordinary formula over the reals, and as the data that `Enclosure.v` evaluates.

Coq itself sees that both are the same, so a mistake in the data makes a file fail and never makes it say more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

__all__ = ["CannotBeStated", "Formula", "Scope", "formula_of", "number", "powers_named"]

Json = Any
BINARY = {"add": ("+", "Add"), "mul": ("*", "Mul"), "sub": ("-", "Sub"), "div": ("/", "Div")}
EXTREMES = {"max": ("Rmax", "Max"), "min": ("Rmin", "Min")}
FUNCTIONS = {
    "sqrt": ("sqrt", "Sqrt"),
    "exp": ("exp", "Exp"),
    "log": ("ln", "Log"),
    "atan": ("atan", "Atan"),
    "erf": ("erf", "Erf"),
}
LONGEST_TAIL = 2_000  # terms of a binomial sum that are added one by one, about 10 ms each


class CannotBeStated(Exception):
    """A part of a certificate that the Coq file leaves out; the reason in words."""


@dataclass(frozen=True)
class Formula:
    """A term twice: `plain` for the reader, `data` for the evaluation."""

    plain: str
    data: str


@dataclass(frozen=True)
class Scope:
    """What names stand for: real numbers, and integers where they may be exponents."""

    reals: Mapping[str, Formula]
    integers: Mapping[str, Formula] = field(default_factory=dict)


def number(value: Fraction | int) -> Formula:
    """A rational number, as Coq reads it."""
    exact = Fraction(value)
    top, bottom = _digits(exact.numerator), str(exact.denominator)
    if exact.denominator == 1:
        return Formula(top, f"(Int {top})")
    return Formula(f"({top} / {bottom})", f"(Ratio {top} {bottom})")


def _digits(value: int) -> str:
    return f"({value})" if value < 0 else str(value)


def formula_of(term: Json, scope: Scope) -> Formula:
    """Write a term of FORMAT section 7 that the checker has accepted. Fails: CannotBeStated if a tail is too long."""
    if isinstance(term, str):
        return _atom(term, scope)
    op, *parts = term
    if op == "pow":
        return _power(parts[0], parts[1], scope)
    if op == "tail":
        return _tail(parts[0], parts[1], formula_of(parts[2], scope))
    values = [formula_of(part, scope) for part in parts]
    if op in BINARY:
        sign, name = BINARY[op]
        return _fold(values, lambda x, y: Formula(f"({x.plain} {sign} {y.plain})", f"({name} {x.data} {y.data})"))
    if op in EXTREMES:
        function, name = EXTREMES[op]
        return _fold(values, lambda x, y: Formula(f"({function} {x.plain} {y.plain})", f"({name} {x.data} {y.data})"))
    function, name = FUNCTIONS[op]
    return Formula(f"({function} {values[0].plain})", f"({name} {values[0].data})")


def _fold(values: Sequence[Formula], join: Callable[[Formula, Formula], Formula]) -> Formula:
    result = values[0]
    for value in values[1:]:
        result = join(result, value)
    return result


def _atom(term: str, scope: Scope) -> Formula:
    if term == "pi":
        return Formula("PI", "Pi")
    if term == "e":
        return Formula("(exp 1)", "(Exp (Int 1))")
    if term[0].isdigit() or term[0] == "-":
        return number(Fraction(term))
    if term in scope.integers:
        whole = scope.integers[term]
        return Formula(f"(IZR {whole.plain})", f"(Whole {whole.data})")
    return scope.reals[term]


def _power(base: Json, exponent: Json, scope: Scope) -> Formula:
    inner = formula_of(base, scope)
    if isinstance(exponent, str):
        whole = scope.integers[exponent]
        return Formula(f"(powerRZ {inner.plain} {whole.plain})", f"(PowerWhole {inner.data} {whole.data})")
    digits = _digits(exponent)
    return Formula(f"(powerRZ {inner.plain} {digits})", f"(Power {inner.data} {digits})")


def _tail(n: int, k: int, inner: Formula) -> Formula:
    terms = min(k, n - k + 1)
    if terms > LONGEST_TAIL:
        raise CannotBeStated(f"a binomial tail of {terms} terms takes Coq too long")
    return Formula(f"(at_least {n} {k} {inner.plain})", f"(Tail {n} {k} {inner.data})")


def powers_named(term: Json) -> set[str]:
    """Names that occur as exponents."""
    if not isinstance(term, list):
        return set()
    own = {term[2]} if term[0] == "pow" and isinstance(term[2], str) else set()
    return own.union(*(powers_named(part) for part in term[1:]))
