"""`nonconv explain` knows every id that a table prints."""

from __future__ import annotations

from enum import Enum

import pytest
from rich.console import RenderableType

from theorems.catalogue import CATALOGUE
from theorems.errors import InvalidInput
from theorems.hypotheses import HYPOTHESES, Evidence, Property
from theorems.laws import SCHEMES
from theorems.rules import RULES
from theorems.theorem import CLAIMS
from verify.data import BUILT_IN
from verify.dead_neuron import METHODS
from verify.explain import explanation, overview
from verify.inference import Verdict
from verify.optimizers.known import Kind, Known
from verify.shown import literal_console
from verify.simulation.engine_names import Engine
from verify.simulation.outcome import Outcome

VALUES: tuple[type[Enum], ...] = (Verdict, Evidence, Outcome, Known, Kind, Engine)
IDS = [
    *CLAIMS,
    *CATALOGUE,
    *HYPOTHESES,
    *RULES,
    *SCHEMES,
    *BUILT_IN,
    *METHODS,
    *(kind.name for kind in Property),
    *(each.value for values in VALUES for each in values),
]


def shown(what: RenderableType) -> str:
    console = literal_console(width=80)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


@pytest.mark.parametrize("identity", IDS)
def test_every_id_is_explained_in_any_case(identity: str) -> None:
    for spelled in (identity, identity.upper(), f"({identity})"):
        told = shown(explanation(spelled))
        assert identity.lower() in told.lower()
        assert len(told.split()) > 3


def test_the_list_names_every_id_and_fits_80_columns() -> None:
    told = shown(overview())
    assert [identity for identity in IDS if identity not in told] == []
    assert max(map(len, told.splitlines())) <= 80


def test_a_word_with_two_meanings_gets_both() -> None:
    told = shown(explanation("undecided"))
    assert "UNDECIDED (verdicts)" in told
    assert "undecided (outcomes of a trained replica)" in told


@pytest.mark.parametrize(("misspelt", "meant"), [("T33", "T3"), ("confirmd", "CONFIRMED"), ("pytroch", "pytorch")])
def test_misspelt_ids_get_a_suggestion(misspelt: str, meant: str) -> None:
    with pytest.raises(InvalidInput, match=f"did you mean '{meant}'"):
        explanation(misspelt)


def test_nonsense_is_refused() -> None:
    with pytest.raises(InvalidInput, match="nothing here is called"):
        explanation("\x1b[31m" * 3)
