"""What every id in a table means, for the terminal."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from theorems.catalogue import CATALOGUE, THEOREMS
from theorems.errors import InvalidInput, did_you_mean
from theorems.hypotheses import HYPOTHESES, Evidence, OptimizerClass, Property, Status
from theorems.laws import SCHEMES
from theorems.rules import RULES
from theorems.theorem import CLAIMS, Statement, Theorem
from verify.data import BUILT_IN
from verify.dead_neuron import METHODS
from verify.inference import Verdict
from verify.optimizers.known import Kind, Known
from verify.simulation.engine_names import Engine
from verify.simulation.outcome import Outcome

__all__ = ["explained", "explanation", "overview", "overview_json", "theorems_under"]

PROPERTIES = {
    Property.F: "a coordinate whose gradients have all been zero so far is never moved",
    Property.FB: "a neuron whose incoming weights and bias had only zero gradients so far is never moved",
    Property.DJ: "at each step the (w, b) of all such neurons become (c w, c b), one c in [0, 1] for all of them",
    Property.DW: "at each step the (w, b) of all such neurons become (c w, b), one c in [0, 1] for all of them",
    Property.SL: "as (SS), with one c for all such neurons of a layer",
    Property.S: "such a neuron's (w, b) may become (c w, c b) with one c >= 0",
    Property.D: "such a neuron's (w, b) may become (c w, c' b) with 0 <= c <= c' <= 1",
    Property.SS: "such a neuron's (w, b) may become (c w, c' b) with c, c' >= 0",
}

OUTCOMES = {
    Outcome.DEAD_AT_INITIALIZATION: "the structural event held at initialization; under (FB) it holds for ever",
    Outcome.DIED_LATER: "the structural event holds at the end of the run but did not at initialization",
    Outcome.RISK_NOT_REACHED: "alive at the end, and the risk was above the level U at every look (a "
    "finite-horizon statement)",
    Outcome.RISK_REACHED: "alive at the end, and the risk was at or below the level U at some look",
    Outcome.UNDECIDED: "the risk was too close to U to call, or the run left the reals (NaN or infinity)",
}


SYMBOLS = {
    "nu": "noise floor: the risk that no function of the inputs goes below, as equal inputs have different labels",
    "V": "variance of the mean labels: a network that is constant on the data has risk at least nu + V",
    "I(l)": "optimal risk: the infimum of the risk over all networks of architecture l",
    "p_1": "probability that a first-layer neuron is dead on the data at initialization",
    "U": "risk level of a finite-horizon comparison: the fixed value that a run reaches or does not",
    "dead": "a neuron whose pre-activation is at most 0 at every data input; a layer all of whose neurons are",
    "robustly dead": "the layers before can send nothing, however weight decay shrinks them, that makes it active",
    "rate": "a lower bound of the rate at which the complement of a bound falls, for each neuron or layer more",
    "margin": "how far above the optimal risk the run stays, at least, once the event has happened",
}

_GROUPS: dict[str, dict[str, str]] = {
    "claims of arXiv:2410.10533": dict(CLAIMS),
    "theorems (derived and proved here)": {statement.id: statement.title for statement in CATALOGUE.values()},
    "hypotheses": {identity: statement for identity, (_, statement) in HYPOTHESES.items()},
    "properties of optimizers": {f"({kind.name})": f"{kind.value}: {text}" for kind, text in PROPERTIES.items()},
    "how an answer about an optimizer is known": {known.value: known.meaning for known in Known},
    "why a coordinate moved": {kind.value: kind.meaning for kind in Kind},
    "update rules": {rule.id: rule.recursion for rule in RULES.values()},
    "initializations": {name: text for name, (_, _, text) in SCHEMES.items()},
    "built-in data": dict(BUILT_IN),
    "how p_1 is found": {name: (inspect.getdoc(method) or name).splitlines()[0] for name, method in METHODS.items()},
    "verdicts": {verdict.value: verdict.meaning for verdict in Verdict},
    "evidence, strongest first": {evidence.value: evidence.meaning for evidence in Evidence},
    "outcomes of a trained replica": {outcome.value: text for outcome, text in OUTCOMES.items()},
    "engines": {engine.value: engine.meaning for engine in Engine},
    "symbols": SYMBOLS,
}


def explanation(identity: str) -> RenderableType:
    """Explain what an id means, in upper or lower case. Fails: InvalidInput for unknown ones."""
    found = _meanings(identity)
    if found[0].name in CATALOGUE:
        return Group(*_statement(CATALOGUE[found[0].name]))
    told = (
        Text.assemble((each.name, "bold"), f" ({each.kind}): {each.text}" if len(found) > 1 else f": {each.text}")
        for each in found
    )
    return Group(*told, *(remaining for each in found for remaining in _remaining(each.name)))


def explained(identity: str) -> dict[str, object]:
    """As `explanation`: id, kind and text, and under `also` what else has the same name. Fails: InvalidInput."""
    first, *others = [{"id": each.name, "kind": each.kind, "text": _in_full(each)} for each in _meanings(identity)]
    return first | ({"also": others} if others else {})


def overview_json() -> list[dict[str, str]]:
    """List every id with its kind and a line."""
    return [{"id": name, "kind": kind, "text": text} for kind, texts in _GROUPS.items() for name, text in texts.items()]


class _Meaning(NamedTuple):
    kind: str
    name: str
    text: str


def _in_full(meaning: _Meaning) -> str:
    if meaning.name in CATALOGUE:
        return "\n".join(part.plain for part in _statement(CATALOGUE[meaning.name]))
    return "\n".join((meaning.text, *(remaining.plain for remaining in _remaining(meaning.name))))


def _meanings(identity: str) -> list[_Meaning]:
    wanted = identity.strip().strip("()").lower()
    found = [
        _Meaning(kind, name, text)
        for kind, texts in _GROUPS.items()
        for name, text in texts.items()
        if wanted in (name.strip("()").lower(), name.lower())
    ]
    if found:
        return found
    known = [name.strip("()") for texts in _GROUPS.values() for name in texts]
    raise InvalidInput(
        f"nothing here is called {identity!r}{did_you_mean(identity, known)}; `nonconv explain` lists what there is"
    )


def _statement(shown: Statement) -> list[Text]:
    claims = f"  (for {', '.join(shown.claims)})" if shown.claims else ""
    parts = [
        Text.assemble((f"{shown.id}. {shown.title}", "bold"), claims),
        Text(f"\n{shown.statement}\n"),
        Text(f"Bound (LaTeX):\n{shown.formula}\n"),
    ]
    if isinstance(shown, Theorem):
        parts += [Text(f"Optimizers: {_demand(shown)}")]
    return [*parts, Text(f"Not covered: {shown.not_covered}"), Text(f"Proof: {shown.proof}")]


def _demand(theorem: Theorem) -> str:
    """What a theorem asks of the optimizer, weakest alternatives last."""
    if not theorem.keeps:
        return "any; the theorem speaks of the initialization alone"
    return ", or ".join(
        f"({first.name})" + ("" if rest in (None, first) else f" in the first layer and ({rest.name}) in the others")
        for first, rest in theorem.keeps
    )


def _remaining(name: str) -> Iterator[Text]:
    for kind in Property:
        if name == f"({kind.name})":
            remaining = theorems_under(OptimizerClass.having(kind))
            yield Text(f"Theorems that remain for an optimizer with ({kind.name}): {', '.join(remaining)}")


def theorems_under(optimizer: OptimizerClass) -> list[str]:
    """Return the theorems whose hypothesis on the optimizer holds for this class, or that have none."""
    return [name for name, theorem in THEOREMS.items() if theorem.remains_under(optimizer) is Status.HOLDS]


def overview() -> RenderableType:
    """List every id with a line each."""
    return Group(*(_table(title, texts.items()) for title, texts in _GROUPS.items()))


def _table(title: str, rows: Iterable[tuple[str, str]]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(name, text)
    return table
