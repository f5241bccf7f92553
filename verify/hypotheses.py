"""How each hypothesis is decided about a case: three-valued, with evidence and the numbers."""

from __future__ import annotations

from theorems.hypotheses import (
    BoundedBiasDensity,
    Evidence,
    Finding,
    Hypothesis,
    IndependentInitialization,
    LabelsVary,
    NeuronCanBeDead,
    OneHiddenLayer,
    OptimalRiskAboveNoise,
    OptimizerClass,
    OptimizerKeepsDead,
    Property,
    Status,
    ZeroBiases,
    weakest,
)
from theorems.laws import Zero
from theorems.problem import Problem
from verify.dead_neuron import DeadProbability
from verify.enclosure import at_least, at_most
from verify.risk import optimal_risk_above_noise

__all__ = ["decide"]


def decide(hypothesis: Hypothesis, problem: Problem, p_dead: DeadProbability | None) -> Finding:
    """Answer one hypothesis about one problem; `p_dead` is what is known of `p_1`, None if nothing is."""
    match hypothesis:
        case IndependentInitialization():
            return _independent(hypothesis, problem)
        case BoundedBiasDensity():
            return _bounded_bias_density(hypothesis, problem)
        case ZeroBiases():
            return _zero_biases(hypothesis, problem)
        case LabelsVary():
            return _labels_vary(hypothesis, problem)
        case OptimizerKeepsDead(alternatives):
            return _keeps_dead(hypothesis, problem.optimizer, alternatives)
        case OneHiddenLayer():
            hidden = problem.architecture.hidden
            why = f"architecture {problem.architecture} has {len(hidden)} hidden layer{'s' if len(hidden) > 1 else ''}"
            return _certified(hypothesis, len(hidden) == 1, why)
        case OptimalRiskAboveNoise(first_width):
            return optimal_risk_above_noise(first_width, problem.architecture.hidden[1:], problem.data)
        case NeuronCanBeDead():
            return _can_be_dead(hypothesis, problem, p_dead)
        case _:
            raise TypeError(f"no rule to decide {hypothesis!r}")


def _certified(hypothesis: Hypothesis, holds: bool, why: str, evidence: Evidence = Evidence.CERTIFIED) -> Finding:
    return Finding(hypothesis.id, Status.HOLDS if holds else Status.FAILS, evidence, why)


def _independent(hypothesis: Hypothesis, problem: Problem) -> Finding:
    name = problem.initialization.name
    if problem.initialization.independent:
        return _certified(hypothesis, True, f"{name} draws all parameters independently", Evidence.PROVED)
    return _certified(hypothesis, False, f"{name} weights are not independent", Evidence.PROVED)


def _bounded_bias_density(hypothesis: Hypothesis, problem: Problem) -> Finding:
    if not problem.initialization.independent:
        return _certified(
            hypothesis, False, f"{problem.initialization.name} has no law of single weights", Evidence.PROVED
        )
    for layer in range(1, len(problem.architecture.hidden) + 1):
        weight, bias = problem.layer_laws(layer)
        if bias.density_bound is None:
            return _certified(
                hypothesis,
                False,
                f"the biases of hidden layer {layer} are {bias}: they have no density",
                Evidence.PROVED,
            )
        if weight.density_bound is None:
            return _certified(hypothesis, False, f"the weights of hidden layer {layer} are {weight}", Evidence.PROVED)
    weight, bias = problem.layer_laws(1)
    return _certified(
        hypothesis,
        True,
        f"symmetric laws with densities; first layer: weights {weight}, biases {bias}",
        Evidence.PROVED,
    )


def _zero_biases(hypothesis: Hypothesis, problem: Problem) -> Finding:
    if not problem.initialization.independent:
        why = f"{problem.initialization.name} has no law of single weights"
        return _certified(hypothesis, False, why, Evidence.PROVED)
    for layer in range(1, len(problem.architecture.hidden) + 1):
        weight, bias = problem.layer_laws(layer)
        if not isinstance(bias, Zero):
            why = f"the biases of hidden layer {layer} are {bias}, not zero"
            return _certified(hypothesis, False, why, Evidence.PROVED)
        if weight.density_bound is None:
            return _certified(hypothesis, False, f"the weights of hidden layer {layer} are {weight}", Evidence.PROVED)
    why = f"zero biases; first layer: weights {problem.layer_laws(1)[0]}"
    return _certified(hypothesis, True, why, Evidence.PROVED)


def _labels_vary(hypothesis: Hypothesis, problem: Problem) -> Finding:
    variance = problem.data.variance
    shown = f"between-input variance V >= {at_least(variance)}" if variance > 0 else "all mean labels are equal: V = 0"
    return _certified(hypothesis, variance > 0, shown)


def _keeps_dead(
    hypothesis: Hypothesis, optimizer: OptimizerClass, alternatives: tuple[tuple[Property, Property | None], ...]
) -> Finding:
    """Three-valued "or" over the alternatives, three-valued "and" within each."""
    unknown: Finding | None = None
    failed: list[str] = []
    for first, rest in alternatives:
        parts = [optimizer.about(wanted) for wanted in (first, rest) if wanted is not None]
        statuses = {part.status for part in parts}
        if statuses == {Status.HOLDS}:
            return Finding(hypothesis.id, Status.HOLDS, weakest(part.evidence for part in parts), parts[0].why)
        decisive = next(part for part in parts if part.status is not Status.HOLDS)
        if Status.FAILS in statuses:
            failed.append(next(part.why for part in parts if part.status is Status.FAILS))
        elif unknown is None:
            unknown = decisive
    if unknown is not None:
        return Finding(hypothesis.id, Status.UNKNOWN, unknown.evidence, "; ".join([*failed, unknown.why]))
    return Finding(hypothesis.id, Status.FAILS, Evidence.PROVED, "; ".join(dict.fromkeys(failed)))


def _can_be_dead(hypothesis: Hypothesis, problem: Problem, p_dead: DeadProbability | None) -> Finding:
    if p_dead is None:
        why = f"{problem.initialization.name} has no law of single weights"
        return Finding(hypothesis.id, Status.UNKNOWN, Evidence.CERTIFIED, why)
    lower, upper = p_dead.enclosure.lo, p_dead.enclosure.hi
    if lower > 0:
        return Finding(hypothesis.id, Status.HOLDS, p_dead.evidence, f"p_1 >= {at_least(lower)}: {p_dead.why}")
    if upper == 0:
        return Finding(hypothesis.id, Status.FAILS, p_dead.evidence, f"p_1 = 0: {p_dead.why}")
    columns = f"{problem.data.input_dim} input coordinate{'s' if problem.data.input_dim > 1 else ''}"
    known = f"p_1 is only known to lie in [0, {at_most(upper)}]"
    why = f"{known} with {problem.initialization.name} and {columns}: {p_dead.why}"
    return Finding(hypothesis.id, Status.UNKNOWN, p_dead.evidence, why)
