"""Straight programs: steps with names, as terms of a certificate (FORMAT.md, section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import sympy

from theorems.bounds import P_DEAD, SIZES
from verify.certificate.checker import Arithmetic, Span, Value, Work
from verify.certificate.terms import CannotBeWritten, Json

__all__ = ["QUANTITY_NAMES", "HintedProgram", "Program"]

QUANTITY_NAMES: dict[sympy.Symbol, str] = {symbol: str(symbol) for symbol in (P_DEAD, *SIZES)}
HINT_BITS = 192
LONGEST = 300_000
"""Characters of a program up to which it is written."""


@dataclass(frozen=True)
class Program:
    """Steps so far; a step is only written where something is computed."""

    steps: list[Json] = field(default_factory=list)

    def named(self, name: str, term: Json) -> str:
        """Append a step and return its name; a number or a name stands for itself."""
        if isinstance(term, str):
            return term
        self.steps.append([name, term])
        return name

    def shape(self, result: Json) -> Json:
        """The finished shape. Fails: CannotBeWritten if it is too long."""
        if len(str(self.steps)) > LONGEST:
            raise CannotBeWritten(f"a program of more than {LONGEST} characters")
        return {"kind": "program", "steps": self.steps, "result": result}


@dataclass(frozen=True)
class HintedProgram(Program):
    """A program whose values are known while it is written, for choices that prove nothing."""

    values: dict[str, Value] = field(default_factory=dict)
    arithmetic: Arithmetic = field(default_factory=lambda: Arithmetic(HINT_BITS, Work(10**9)))

    @classmethod
    def at(cls, quantities: Mapping[str, Fraction]) -> HintedProgram:
        """An empty program at these values of the quantities."""
        program = cls()
        program.values.update({name: program.arithmetic.span(value) for name, value in quantities.items()})
        return program

    def named(self, name: str, term: Json) -> str:
        """Append a step, and find its value."""
        found = super().named(name, term)
        if found == name and name not in self.values:
            self.values[name] = self.arithmetic.value(term, self.values, {})
        return found

    def hint(self, term: Json) -> float:
        """The middle of the value of a number."""
        return self._middle(self.arithmetic.term(term, self.values))

    def hints(self, name: str) -> list[float]:
        """The middles of the entries of a vector."""
        found = self.values[name]
        return [self._middle(entry) for entry in found] if isinstance(found, list) else [self._middle(found)]

    def quotients(self, above: str, below: str) -> list[float]:
        """The middles of the quotients of the entries of two vectors."""
        found = self.arithmetic.value(["div", above, below], self.values, {})
        return [self._middle(entry) for entry in found] if isinstance(found, list) else [self._middle(found)]

    def _middle(self, value: Span) -> float:
        return float(Fraction(value[0] + value[1], 2 * self.arithmetic.one))
