"""How each hypothesis is decided about a case: three-valued, with evidence and the numbers."""

from __future__ import annotations

from theorems.hypotheses import (
    BoundedBiasDensity,
    EnoughDeadNeurons,
    Evidence,
    Finding,
    Hypothesis,
    IndependentInitialization,
    LabelsVary,
    NeuronCanBeDead,
    NonzeroInput,
    NormalWeights,
    OneHiddenLayer,
    OneInputRay,
    OppositeInputRays,
    OptimalRiskAboveNoise,
    OptimizerKeepsDead,
    ScalarOutput,
    SeveralHiddenLayers,
    Status,
    SymmetricLaws,
    ZeroBiases,
)
from theorems.laws import Law, Normal, Zero
from theorems.problem import Problem
from theorems.setting import DataSet
from verify.dead_neuron import DeadProbability
from verify.enclosure import at_least, at_most
from verify.risk import LARGEST_KAPPA, isolation_number, optimal_risk_above_noise

__all__ = ["decide"]


def decide(hypothesis: Hypothesis, problem: Problem, p_dead: DeadProbability | None) -> Finding:
    """Answer one hypothesis about one problem; `p_dead` is what is known of `p_1`, None if nothing is."""
    match hypothesis:
        case IndependentInitialization():
            return _independent(hypothesis, problem)
        case BoundedBiasDensity() | ZeroBiases() | NormalWeights() | SymmetricLaws():
            return _laws(hypothesis, problem)
        case LabelsVary():
            return _labels_vary(hypothesis, problem)
        case NonzeroInput() | OneInputRay() | OppositeInputRays():
            return _rays(hypothesis, problem.data)
        case OptimizerKeepsDead(alternatives):
            return Finding(hypothesis.id, *problem.optimizer.keeps_one_of(alternatives))
        case OneHiddenLayer() | SeveralHiddenLayers():
            hidden = problem.architecture.hidden
            why = f"architecture {problem.architecture} has {len(hidden)} hidden layer{'s' if len(hidden) > 1 else ''}"
            return _certified(hypothesis, (len(hidden) == 1) == isinstance(hypothesis, OneHiddenLayer), why)
        case ScalarOutput():
            outputs = problem.architecture.output_dim
            why = f"architecture {problem.architecture} has {outputs} output{'s' if outputs > 1 else ''}"
            return _certified(hypothesis, outputs == 1, why)
        case EnoughDeadNeurons(count):
            return _enough(hypothesis, count, problem.data)
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


def _laws(hypothesis: Hypothesis, problem: Problem) -> Finding:
    """Look at the laws of every hidden layer; all schemes draw from symmetric laws."""
    if not problem.initialization.independent:
        why = f"{problem.initialization.name} has no law of single weights"
        return _certified(hypothesis, False, why, Evidence.PROVED)
    for layer in range(1, len(problem.architecture.hidden) + 1):
        weight, bias = problem.layer_laws(layer)
        wrong = _wrong_weights(hypothesis, weight) or _wrong_biases(hypothesis, bias)
        if wrong:
            return _certified(hypothesis, False, f"hidden layer {layer}: {wrong}", Evidence.PROVED)
    weight, bias = problem.layer_laws(1)
    why = f"symmetric laws; first layer: weights {weight}, biases {bias}"
    return _certified(hypothesis, True, why, Evidence.PROVED)


def _wrong_weights(hypothesis: Hypothesis, weight: Law) -> str:
    if isinstance(hypothesis, NormalWeights) and not isinstance(weight, Normal):
        return f"the weights are {weight}, not normal"
    return "" if weight.density_bound is not None else f"the weights are {weight}: they have atoms"


def _wrong_biases(hypothesis: Hypothesis, bias: Law) -> str:
    if isinstance(hypothesis, ZeroBiases | NormalWeights) and not isinstance(bias, Zero):
        return f"the biases are {bias}, not zero"
    if isinstance(hypothesis, BoundedBiasDensity) and bias.density_bound is None:
        return f"the biases are {bias}: they have no density"
    return ""


def _rays(hypothesis: Hypothesis, data: DataSet) -> Finding:
    told = f"the {data.n_inputs} distinct inputs lie on {data.n_rays} rays from 0"
    match hypothesis:
        case NonzeroInput():
            return _certified(hypothesis, data.n_rays > 0, told)
        case OneInputRay():
            return _certified(hypothesis, data.n_rays == 1, told)
        case _:
            return _certified(hypothesis, data.rays_are_opposite, told)


def _enough(hypothesis: Hypothesis, count: int, data: DataSet) -> Finding:
    if count >= LARGEST_KAPPA:
        return _certified(hypothesis, True, f"{count} dead neurons are enough on any data", Evidence.PROVED)
    found = isolation_number(data)
    why = f"kappa <= {found.value} on these data ({found.why})"
    if count < found.value and data.input_dim > 1:  # there the search for half-spaces may have missed some
        return Finding(hypothesis.id, Status.UNKNOWN, found.evidence, why)
    return _certified(hypothesis, count >= found.value, why, found.evidence)


def _labels_vary(hypothesis: Hypothesis, problem: Problem) -> Finding:
    variance = problem.data.variance
    shown = f"between-input variance V >= {at_least(variance)}" if variance > 0 else "all mean labels are equal: V = 0"
    return _certified(hypothesis, variance > 0, shown)


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
