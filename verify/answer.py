"""The answer of `nonconv bound`: every theorem on one problem, as values, as JSON, and for the terminal."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from theorems.catalogue import THEOREMS
from theorems.errors import InvalidInput, did_you_mean
from theorems.hypotheses import OptimizerClass, Status
from theorems.laws import parse_initialization
from theorems.problem import Problem
from theorems.rules import every_rule
from theorems.setting import Architecture
from theorems.theorem import EventKind
from verify.data import DataSpec, load_data
from verify.dead_neuron import DeadProbability, dead_probability
from verify.enclosure import at_least, at_most, float_down
from verify.evaluate import (
    Evaluation,
    certified_margin,
    evaluate_theorem,
    smallest_depth_reaching,
    smallest_width_reaching,
)
from verify.optimizers import OptimizerSpec, resolve
from verify.results import write_ratio

__all__ = ["Answer", "answer_bound", "bound_json", "bound_text"]

NEARLY_SURE = Fraction(99, 100)


@dataclass(frozen=True)
class Answer:
    """What is certified about one problem.

    reaching: the smallest width or depth at which the best theorem's bound is 99 %, None if none was found.
    """

    problem: Problem
    p_dead: DeadProbability | None
    evaluations: tuple[Evaluation, ...]
    reaching: int | None

    @property
    def best(self) -> Evaluation | None:
        """The applicable theorem with the largest positive bound."""
        return _best(self.evaluations)


def answer_bound(
    architecture: str, initialization: str, bias: str | None, data: DataSpec, optimizer: str | None, theorem: str | None
) -> Answer:
    """Put the theorems to a problem given in words. Fails: InvalidInput for whatever cannot be read."""
    if theorem is not None and theorem not in THEOREMS:
        raise InvalidInput(
            f"theorem {theorem!r}: expected one of {', '.join(THEOREMS)}{did_you_mean(theorem.upper(), THEOREMS)}"
        )
    problem = Problem(
        Architecture.parse(architecture),
        parse_initialization(initialization, bias),
        load_data(data),
        _optimizer_class(optimizer),
    )
    asked = THEOREMS.values() if theorem is None else [THEOREMS[theorem]]
    evaluations = tuple(evaluate_theorem(each, problem) for each in asked)
    return Answer(problem, dead_probability(problem), evaluations, _reaching(problem, _best(evaluations)))


def _best(evaluations: tuple[Evaluation, ...]) -> Evaluation | None:
    positive = [(e.bound.lo, e) for e in evaluations if e.bound is not None and e.bound.lo > 0]
    return max(positive, key=lambda pair: pair[0])[1] if positive else None


def _optimizer_class(name: str | None) -> OptimizerClass:
    return every_rule() if name is None else resolve(OptimizerSpec(name)).properties


def _reaching(problem: Problem, best: Evaluation | None) -> int | None:
    if best is None:
        return None
    if best.event.kind is EventKind.DEAD_FIRST_LAYER_NEURONS:
        return smallest_width_reaching(best.theorem, problem, NEARLY_SURE)
    return smallest_depth_reaching(best.theorem, problem, NEARLY_SURE)


# --- JSON --------------------------------------------------------------------------------------------------------


def bound_json(answer: Answer) -> dict[str, object]:
    """Return one JSON document; rationals are strings "p/q", `float` is rounded down."""
    problem, p_dead = answer.problem, answer.p_dead
    return {
        "architecture": list(problem.architecture.widths),
        "initialization": problem.initialization.name,
        "optimizer": problem.optimizer.name,
        "data": {
            "name": problem.data.name,
            "K": problem.data.n_inputs,
            "noise_floor": write_ratio(problem.data.noise_floor),
            "variance": write_ratio(problem.data.variance),
        },
        "p_dead": None
        if p_dead is None
        else {
            "method": p_dead.method,
            "evidence": p_dead.evidence.value,
            "lo": write_ratio(p_dead.enclosure.lo),
            "hi": write_ratio(p_dead.enclosure.hi),
        },
        "bounds": [_evaluation_json(evaluation, problem) for evaluation in answer.evaluations],
        "best": None if answer.best is None else answer.best.theorem.id,
    }


def _evaluation_json(evaluation: Evaluation, problem: Problem) -> dict[str, object]:
    bound = evaluation.bound
    margin = certified_margin(evaluation, problem.architecture, problem.data)
    return {
        "theorem": evaluation.theorem.id,
        "applies": evaluation.status.value,
        "evidence": evaluation.evidence.value,
        "hypotheses": [
            {"id": f.hypothesis, "status": f.status.value, "evidence": f.evidence.value, "why": f.why}
            for f in evaluation.findings
        ],
        "event": str(evaluation.event),
        "lo": None if bound is None else write_ratio(bound.lo),
        "hi": None if bound is None else write_ratio(bound.hi),
        "float": None if bound is None else float_down(bound.lo),
        "rate": None if evaluation.rate is None else float_down(evaluation.rate),
        "rate_per": evaluation.rate_per,
        "margin": None if margin is None else write_ratio(margin),
    }


# --- terminal ----------------------------------------------------------------------------------------------------


def bound_text(answer: Answer) -> RenderableType:
    """Return the table and the answer in words."""
    problem = answer.problem
    table = Table(
        title=f"{problem.architecture} · {problem.initialization} · {problem.data.name}", title_justify="left"
    )
    table.add_column("theorem")
    table.add_column("applies")
    table.add_column("probability ≥", justify="right")
    table.add_column("rate")
    table.add_column("why", overflow="fold")
    for evaluation in answer.evaluations:
        bound = "" if evaluation.bound is None else _shown(evaluation.bound.lo)
        rate = "" if evaluation.rate is None else f"{at_least(evaluation.rate)} per {evaluation.rate_per}"
        table.add_row(evaluation.theorem.id, evaluation.status.value, bound, rate, _why(evaluation))
    return Group(table, Text(_p_dead_words(answer.p_dead)), Text(words(answer)))


def _shown(lower: Fraction) -> str:
    return at_least(lower) if lower > 0 else "vacuous"


def _why(evaluation: Evaluation) -> str:
    return (
        evaluation.reason
        if evaluation.status is not Status.HOLDS
        else f"{evaluation.event} ({evaluation.evidence.value})"
    )


def _p_dead_words(p_dead: DeadProbability | None) -> str:
    if p_dead is None:
        return "p_1, the probability that a first-layer neuron is dead on the data: no certified method yet."
    ends = p_dead.enclosure
    value = f"= {ends.lo}" if ends.width == 0 else f"in [{at_least(ends.lo)}, {at_most(ends.hi)}]"
    shown = value if p_dead.two_sided else f"at least {at_least(ends.lo)}"
    return (
        f"p_1, the probability that a first-layer neuron is dead on the data: {shown} ({p_dead.method}: {p_dead.why})."
    )


def words(answer: Answer) -> str:
    """Return the answer in one sentence, its numbers rounded in the safe direction."""
    problem, best = answer.problem, answer.best
    hidden = problem.architecture.hidden
    shape = (
        f"a shallow network of width {hidden[0]}" if len(hidden) == 1 else f"a network with {len(hidden)} hidden layers"
    )
    if best is None or best.bound is None:
        return f"No theorem here gives {shape} a certified probability above 0 on this problem."
    which = {"pytorch": "PyTorch's default initialization", "keras": "Keras' default initialization"}
    named = which.get(
        problem.initialization.scheme if problem.initialization.bias is None else "",
        f"initialization {problem.initialization}",
    )
    sentence = (
        f"{shape[0].upper()}{shape[1:]} with {named} misses every global minimizer of this problem with probability "
        f"at least {at_least(best.bound.lo)} ({best.theorem.id}), whatever the learning rate"
    )
    if answer.reaching is not None:
        by_depth = best.event.kind is not EventKind.DEAD_FIRST_LAYER_NEURONS
        layers = f"{answer.reaching} hidden layer{'s' if answer.reaching > 1 else ''}"
        sentence += f"; 99 % is reached at {layers if by_depth else f'width {answer.reaching}'}"
    return sentence + f". This speaks of {problem.optimizer.name}."
