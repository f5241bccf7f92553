"""The answer of `nonconv bound`: every theorem on one problem, as values, as JSON, and for the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from theorems.catalogue import THEOREMS
from theorems.errors import InvalidInput, did_you_mean
from theorems.hypotheses import OptimizerClass, Property, Status
from theorems.laws import parse_initialization
from theorems.problem import Problem
from theorems.rules import every_rule
from theorems.setting import Architecture, DataSet
from theorems.theorem import Relation
from verify.data import DataSpec, load_data
from verify.dead_neuron import DeadProbability, FirstLayer, dead_probability
from verify.enclosure import Enclosure, at_least, at_most, float_down
from verify.evaluate import (
    Evaluation,
    certified_margin,
    evaluate_theorem,
    restarts_needed,
    smallest_depth_reaching,
    smallest_width_reaching,
)
from verify.optimizers.spec import OptimizerSpec
from verify.results import write_ratio
from verify.sampling import sampled_dead_probability

__all__ = ["Answer", "answer_bound", "bound_json", "bound_text"]

NEARLY_SURE = Fraction(99, 100)
ROUNDING = Fraction(1, 2**20)
NEURONS, ALPHA = 20_000, Fraction(1, 1_000_000)
SHORT = 24
"""Characters up to which an exact `p_1` is printed as a fraction; JSON has it in full."""


@dataclass(frozen=True)
class Reaching:
    """The smallest first-layer width, or number of hidden layers, at which a theorem's bound is 99 %."""

    theorem: str
    by_width: bool
    size: int

    def __str__(self) -> str:
        if self.by_width:
            return f"99 % is reached at width {self.size} ({self.theorem})"
        return f"99 % is reached at {self.size} hidden layer{'s' if self.size > 1 else ''} ({self.theorem})"


@dataclass(frozen=True)
class Answer:
    """What is certified about one problem; reaching is None if no width or depth with 99 % was found.

    sampled: confidence limits of `p_1` from drawn neurons, where only a lower bound is certified; no bound uses them.
    """

    problem: Problem
    p_dead: DeadProbability | None
    sampled: DeadProbability | None
    evaluations: tuple[Evaluation, ...]
    reaching: Reaching | None

    @property
    def best(self) -> Evaluation | None:
        """The applicable theorem with the largest positive bound."""
        return _best(self.evaluations)


def answer_bound(
    architecture: str,
    initialization: str,
    bias: str | None,
    data: DataSpec | DataSet,
    optimizer: str | None,
    theorem: str | None,
) -> Answer:
    """Put the theorems to a problem given in words. Fails: InvalidInput for whatever cannot be read."""
    if theorem is not None and theorem not in THEOREMS:
        raise InvalidInput(
            f"theorem {theorem!r}: expected one of {', '.join(THEOREMS)}{did_you_mean(theorem.upper(), THEOREMS)}"
        )
    problem = Problem(
        Architecture.parse(architecture),
        parse_initialization(initialization, bias),
        load_data(data) if isinstance(data, DataSpec) else data,
        _optimizer_class(optimizer),
    )
    asked = THEOREMS.values() if theorem is None else [THEOREMS[theorem]]
    evaluations = tuple(evaluate_theorem(each, problem) for each in asked)
    p_dead = dead_probability(problem)
    return Answer(problem, p_dead, _sampled(problem, p_dead), evaluations, _reaching(problem, evaluations))


def _sampled(problem: Problem, p_dead: DeadProbability | None) -> DeadProbability | None:
    if p_dead is None or p_dead.two_sided:
        return None
    return sampled_dead_probability(FirstLayer.of(problem), NEURONS, ALPHA, seed=0)


def _best(evaluations: Iterable[Evaluation]) -> Evaluation | None:
    """The largest positive lower bound of non-convergence, None if there is none.

    Of bounds that differ by rounding alone the one with the plainest event: T3, not T12, for one hidden layer.
    """
    positive = [
        (e.bound.lo, e.event.layer is None or e.event.neurons is None, e)
        for e in evaluations
        if e.bound is not None and e.bound.lo > 0 and e.forced is not None
    ]
    if not positive:
        return None
    largest = max(bound for bound, _, _ in positive)
    nearly = [(plain, bound, e) for bound, plain, e in positive if (1 - bound) <= (1 - largest) * (1 + ROUNDING)]
    return max(nearly, key=lambda entry: entry[:2])[2]


def _optimizer_class(name: str | None) -> OptimizerClass:
    """The nine rules together, a class of optimizers named by its property, or one optimizer."""
    if name is None:
        return every_rule()
    bare = name.strip().strip("()")
    if bare in Property.__members__:
        return OptimizerClass.having(Property[bare])
    if bare == "none":
        return OptimizerClass.having()
    from verify.optimizers.registry import resolve  # here, because torch takes seconds to import

    return resolve(OptimizerSpec(name)).properties


def _reaching(problem: Problem, evaluations: tuple[Evaluation, ...]) -> Reaching | None:
    """Where the best theorem that speaks of the width alone, or of the depth alone, reaches 99 %."""
    best = _best(e for e in evaluations if (e.event.layer is None) != (e.event.neurons is None))
    if best is None:
        return None
    by_width = best.event.layer is None
    search = smallest_width_reaching if by_width else smallest_depth_reaching
    size = search(best.theorem, problem, NEARLY_SURE)
    return None if size is None else Reaching(best.theorem.id, by_width, size)


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
        "p_dead": None if p_dead is None else _p_dead_json(p_dead),
        "p_dead_sampled": None if answer.sampled is None else _p_dead_json(answer.sampled),
        "bounds": [_evaluation_json(evaluation, problem) for evaluation in answer.evaluations],
        "best": None if answer.best is None else answer.best.theorem.id,
    }


def _p_dead_json(p_dead: DeadProbability) -> dict[str, object]:
    return {
        "method": p_dead.method,
        "evidence": p_dead.evidence.value,
        "lo": write_ratio(p_dead.enclosure.lo),
        "hi": write_ratio(p_dead.enclosure.hi),
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
        "relation": evaluation.theorem.relation.value,
        "event": str(evaluation.event),
        "obstacle": evaluation.obstacle,
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
    table.add_column("probability", justify="right")
    table.add_column("rate")
    table.add_column("why", overflow="fold")
    for evaluation in answer.evaluations:
        if evaluation.status is Status.FAILS and len(answer.evaluations) > 1:
            continue
        bound = "" if evaluation.bound is None else _shown(evaluation.bound, evaluation.theorem.relation)
        rate = "" if evaluation.rate is None else f"{at_least(evaluation.rate)} per {evaluation.rate_per}"
        table.add_row(evaluation.theorem.id, evaluation.status.value, bound, rate, _why(evaluation))
    parts = [
        _not_applicable(answer.evaluations),
        _stronger_forms(answer.evaluations),
        Text(_p_dead_words(answer)),
        Text(words(answer)),
    ]
    return Group(*([table] if table.row_count else []), *(part for part in parts if part.plain))


def _not_applicable(evaluations: tuple[Evaluation, ...]) -> Text:
    """The theorems whose hypotheses fail, together where the same one fails for the same reason."""
    reasons: dict[str, list[str]] = {}
    for evaluation in evaluations if len(evaluations) > 1 else ():
        if evaluation.status is Status.FAILS:
            reasons.setdefault(evaluation.reason, []).append(evaluation.theorem.id)
    told = [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]
    return Text("Not applicable\n" + "\n".join(f"  {line}" for line in told) if told else "")


def _stronger_forms(evaluations: tuple[Evaluation, ...]) -> Text:
    """What stands in the way of the same theorems with fewer dead neurons, which would be more probable."""
    reasons: dict[str, list[str]] = {}
    for evaluation in evaluations:
        if evaluation.obstacle is not None:
            reasons.setdefault(evaluation.obstacle, []).append(evaluation.theorem.id)
    told = [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]
    return Text("Not known with fewer dead neurons\n" + "\n".join(f"  {line}" for line in told) if told else "")


def _shown(bound: Enclosure, relation: Relation) -> str:
    match relation:
        case Relation.AT_LEAST:
            return f"≥ {at_least(bound.lo)}" if bound.lo > 0 else "vacuous"
        case Relation.AT_MOST:
            return f"≤ {at_most(bound.hi)}"
        case Relation.EQUAL:
            return f"= {at_least(bound.lo)}…"


def _why(evaluation: Evaluation) -> str:
    return (
        evaluation.reason
        if evaluation.status is not Status.HOLDS
        else f"{evaluation.event} ({evaluation.evidence.value})"
    )


def _p_dead_words(answer: Answer) -> str:
    p_dead, sampled = answer.p_dead, answer.sampled
    if p_dead is None:
        return "p_1, the probability that a first-layer neuron is dead on the data: not known for dependent weights."
    ends = p_dead.enclosure
    short = ends.width == 0 and len(str(ends.lo)) <= SHORT
    value = f"= {ends.lo}" if short else f"in [{at_least(ends.lo)}, {at_most(ends.hi)}]"
    shown = value if p_dead.two_sided else f"at least {at_least(ends.lo)}"
    told = (
        f"p_1, the probability that a first-layer neuron is dead on the data: {shown} ({p_dead.method}: {p_dead.why})."
    )
    if sampled is None:
        return told
    limits = f"{at_least(sampled.enclosure.lo)} and {at_most(sampled.enclosure.hi)}"
    return f"{told} Sampled, and not used in the bounds: between {limits} (wrong with probability at most {ALPHA})."


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
        f"at least {at_least(best.bound.lo)} ({best.theorem.id})"
    )
    if problem.optimizer.about(Property.FB).status is Status.HOLDS:
        sentence += ", whatever the learning rate"
    if answer.reaching is not None:
        sentence += f"; {answer.reaching}"
    return f"{sentence}. {_restarts(best.bound.lo)}This speaks of {problem.optimizer.name}."


def _restarts(bound: Fraction) -> str:
    """T6 in words, where it says more than that two runs may be needed."""
    needed = restarts_needed(bound, NEARLY_SURE)
    if needed is None or bound < Fraction(1, 2):
        return ""
    return f"To find a global minimizer once with probability 99 % takes at least {needed:,} independent runs (T6). "
