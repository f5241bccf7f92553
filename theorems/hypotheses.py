"""Hypotheses as objects, and the three-valued answers that they get about a case (math §2, §5, §8).

A theorem names its hypotheses; `verify.hypotheses.decide` answers them. A finding always says why, with the numbers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

__all__ = [
    "BoundedBiasDensity",
    "EnoughDeadNeurons",
    "Evidence",
    "Finding",
    "Hypothesis",
    "IndependentInitialization",
    "LabelsVary",
    "NeuronCanBeDead",
    "NonzeroInput",
    "NormalWeights",
    "OneHiddenLayer",
    "OneInputRay",
    "OppositeInputRays",
    "OptimalRiskAboveNoise",
    "OptimizerClass",
    "OptimizerKeepsDead",
    "Property",
    "ScalarOutput",
    "SeveralHiddenLayers",
    "Status",
    "SymmetricLaws",
    "ZeroBiases",
    "combined_status",
    "weakest",
]


class Status(Enum):
    """Whether a hypothesis holds for a case. Unknown is not fails: `bool()` raises."""

    HOLDS = "holds"
    FAILS = "fails"
    UNKNOWN = "unknown"

    def __bool__(self) -> NoReturn:
        raise TypeError("a status has no truth value; compare it with Status.HOLDS, FAILS or UNKNOWN")


class Evidence(Enum):
    """How something is known, strongest first (math §8)."""

    PROVED = "proved"
    CERTIFIED = "certified"
    ALMOST_SURE = "almost sure"
    STATISTICAL = "statistical"
    CITED = "cited"
    ASSUMED = "assumed"

    @property
    def meaning(self) -> str:
        """One sentence for readers."""
        return _EVIDENCE_MEANING[self]


_EVIDENCE_MEANING = {
    Evidence.PROVED: "a mathematical proof, written out in theorems/proofs or carried out symbolically",
    Evidence.CERTIFIED: "exact or interval arithmetic on the given numbers",
    Evidence.ALMOST_SURE: "true with probability 1 under a stated law of the data",
    Evidence.STATISTICAL: "a certified confidence limit, wrong with at most a stated probability",
    Evidence.CITED: "a published theorem, not re-proved here",
    Evidence.ASSUMED: "taken as given, and listed as such",
}


def weakest(levels: Iterable[Evidence]) -> Evidence:
    """Return the weakest level used: that is the level of whatever combines them (PROVED if nothing was used)."""
    order = list(Evidence)
    return max(levels, key=order.index, default=Evidence.PROVED)


@dataclass(frozen=True)
class Finding:
    """The answer to one hypothesis about one case. `why` is a sentence with the numbers."""

    hypothesis: str
    status: Status
    evidence: Evidence
    why: str


def combined_status(findings: Iterable[Finding]) -> tuple[Status, str]:
    """Combine findings by three-valued "and"; the reason names the first finding that decides it."""
    listed = list(findings)
    for status in (Status.FAILS, Status.UNKNOWN):
        for finding in listed:
            if finding.status is status:
                return status, f"{finding.hypothesis}: {finding.why}"
    return Status.HOLDS, "all hypotheses hold"


class Property(Enum):
    """What an update rule may do to a neuron that had only zero gradients so far (math §2)."""

    F = "freeze"
    FB = "block freeze"
    DJ = "joint decay"
    DW = "joint weight decay"
    SL = "layer scaling"
    S = "scaling"
    D = "decay"
    SS = "split scaling"


# Which properties follow from which (math §2, decay.md §2): FB is the case of factors 1 of all others; DJ and DW are
# the cases of D in which one factor serves all neurons, so that it is common to a layer as SL demands; DJ is a case of
# S; S, D and SL are cases of SS.
IMPLIED: dict[Property, tuple[Property, ...]] = {
    Property.F: tuple(Property)[1:],
    Property.FB: tuple(Property)[2:],
    Property.DJ: (Property.SL, Property.S, Property.D, Property.SS),
    Property.DW: (Property.SL, Property.D, Property.SS),
    Property.SL: (Property.SS,),
    Property.S: (Property.SS,),
    Property.D: (Property.SS,),
    Property.SS: (),
}


@dataclass(frozen=True)
class OptimizerClass:
    """An optimizer as the theorems see it: which of the properties it is known to have.

    `findings` holds at most one finding a property; what follows by implication need not be listed.
    """

    name: str
    findings: tuple[tuple[Property, Finding], ...]

    def about(self, wanted: Property) -> Finding:
        """Return what is known of one property, through the implications between them."""
        known = dict(self.findings)
        for source in Property:
            held = known.get(source)
            if held is not None and held.status is Status.HOLDS and (source is wanted or wanted in IMPLIED[source]):
                return held
        if wanted in known:
            return known[wanted]
        return Finding(
            wanted.name, Status.UNKNOWN, Evidence.ASSUMED, f"({wanted.name}) has not been decided for {self.name}"
        )

    @classmethod
    def having(cls, *properties: Property) -> OptimizerClass:
        """Any optimizer that has these properties (and what follows), and none of the others."""
        told = " and ".join(f"({wanted.name})" for wanted in properties) or "none of the properties"
        name = f"any optimizer with {told}"
        given = {
            wanted: Finding(wanted.name, Status.HOLDS, Evidence.ASSUMED, f"supposed of the optimizer: {told}")
            for wanted in properties
        }
        following = {implied for wanted in properties for implied in IMPLIED[wanted]}
        denied = {
            other: Finding(other.name, Status.FAILS, Evidence.ASSUMED, f"the optimizer is supposed to have {told} only")
            for other in Property
            if other not in given and other not in following
        }
        return cls(name, tuple((given | denied).items()))

    def keeps_one_of(self, alternatives: Iterable[tuple[Property, Property | None]]) -> tuple[Status, Evidence, str]:
        """Three-valued "or" over the alternatives, three-valued "and" within each; with the evidence and the reason."""
        unknown: Finding | None = None
        failed: list[str] = []
        for first, rest in alternatives:
            parts = [self.about(wanted) for wanted in (first, rest) if wanted is not None]
            statuses = {part.status for part in parts}
            if statuses == {Status.HOLDS}:
                return Status.HOLDS, weakest(part.evidence for part in parts), parts[0].why
            if Status.FAILS in statuses:
                failed.append(next(part.why for part in parts if part.status is Status.FAILS))
            elif unknown is None:
                unknown = next(part for part in parts if part.status is not Status.HOLDS)
        if unknown is not None:
            return Status.UNKNOWN, unknown.evidence, "; ".join([*dict.fromkeys(failed), unknown.why])
        return Status.FAILS, Evidence.PROVED, "; ".join(dict.fromkeys(failed))


@dataclass(frozen=True)
class Hypothesis:
    """A condition that a theorem puts on a case."""

    @property
    def id(self) -> str:
        """The name that tables and `nonconv explain` use."""
        return _IDS[type(self)]

    @property
    def statement(self) -> str:
        """What is demanded, in one sentence."""
        return _STATEMENTS[type(self)]


@dataclass(frozen=True)
class IndependentInitialization(Hypothesis):
    """All initial parameters are independent; within a layer the weights have one law and the biases one law."""


@dataclass(frozen=True)
class BoundedBiasDensity(Hypothesis):
    """Symmetric weights, and symmetric biases with a bounded density, in every hidden layer (T10)."""


@dataclass(frozen=True)
class ZeroBiases(Hypothesis):
    """Zero biases and symmetric weights without atoms in every hidden layer (T11b)."""


@dataclass(frozen=True)
class SymmetricLaws(Hypothesis):
    """Symmetric weights without atoms, and symmetric or zero biases, in every hidden layer (T11a)."""


@dataclass(frozen=True)
class NormalWeights(Hypothesis):
    """Zero biases and normal weights in every hidden layer (T14)."""


@dataclass(frozen=True)
class NonzeroInput(Hypothesis):
    """Some data input is not 0 (T11a)."""


@dataclass(frozen=True)
class OneInputRay(Hypothesis):
    """The non-zero inputs lie on one ray `{t x : t > 0}`, and there is one (T7)."""


@dataclass(frozen=True)
class OppositeInputRays(Hypothesis):
    """The non-zero inputs lie on a line through 0, on both sides of it (T8)."""


@dataclass(frozen=True)
class LabelsVary(Hypothesis):
    """The between-input variance `V` is positive."""


@dataclass(frozen=True)
class OptimizerKeepsDead(Hypothesis):
    """The optimizer has one of the `alternatives`; each is a pair (first hidden layer, other hidden layers).

    None in second place means that nothing is asked of the other layers.
    """

    alternatives: tuple[tuple[Property, Property | None], ...]


@dataclass(frozen=True)
class OneHiddenLayer(Hypothesis):
    """The network is shallow, `L = 2`."""


@dataclass(frozen=True)
class SeveralHiddenLayers(Hypothesis):
    """The network is deep, `L >= 3`."""


@dataclass(frozen=True)
class ScalarOutput(Hypothesis):
    """The network has one output, `l_L = 1`."""


@dataclass(frozen=True)
class EnoughDeadNeurons(Hypothesis):
    """`count` dead first-layer neurons are at least as many as Lemma 6 needs on these data, `kappa`."""

    count: int


@dataclass(frozen=True)
class OptimalRiskAboveNoise(Hypothesis):
    """The optimal risk of the network with first width `first_width` exceeds the noise floor."""

    first_width: int


@dataclass(frozen=True)
class NeuronCanBeDead(Hypothesis):
    """A first-layer neuron is dead on the data with positive probability, `p_1 > 0`."""


_IDS: dict[type[Hypothesis], str] = {
    IndependentInitialization: "independent-initialization",
    BoundedBiasDensity: "bounded-bias-density",
    ZeroBiases: "zero-biases",
    SymmetricLaws: "symmetric-laws",
    NormalWeights: "normal-weights",
    NonzeroInput: "nonzero-input",
    OneInputRay: "one-input-ray",
    OppositeInputRays: "opposite-input-rays",
    LabelsVary: "labels-vary",
    OptimizerKeepsDead: "optimizer-keeps-dead",
    OneHiddenLayer: "one-hidden-layer",
    SeveralHiddenLayers: "several-hidden-layers",
    ScalarOutput: "scalar-output",
    EnoughDeadNeurons: "enough-dead-neurons",
    OptimalRiskAboveNoise: "optimal-risk-above-noise",
    NeuronCanBeDead: "neuron-can-be-dead",
}

_STATEMENTS: dict[type[Hypothesis], str] = {
    IndependentInitialization: "all initial parameters are independent, with one weight law and one bias law a layer",
    BoundedBiasDensity: "weights are symmetric, biases are symmetric with a bounded density, in every hidden layer",
    ZeroBiases: "weights are symmetric without atoms and biases are zero, in every hidden layer",
    SymmetricLaws: "weights are symmetric without atoms, biases are symmetric or zero, in every hidden layer",
    NormalWeights: "weights are normal and biases are zero, in every hidden layer",
    NonzeroInput: "some data input is not 0",
    OneInputRay: "the non-zero inputs lie on one ray from 0",
    OppositeInputRays: "the non-zero inputs lie on a line through 0, on both sides of it",
    LabelsVary: "the mean labels of the distinct inputs are not all equal (V > 0)",
    OptimizerKeepsDead: "the optimizer never revives a neuron whose gradients have all been zero: (FB), or a weaker "
    "property (scaling, decay) that the theorem allows",
    OneHiddenLayer: "the network has exactly one hidden layer",
    SeveralHiddenLayers: "the network has at least two hidden layers",
    ScalarOutput: "the network has one output",
    EnoughDeadNeurons: "as many first-layer neurons are dead as it takes to move the output at one input alone: kappa, "
    "at most 3",
    OptimalRiskAboveNoise: "with the dead neurons removed, the network cannot reach the noise floor: I(l') > nu",
    NeuronCanBeDead: "a first-layer neuron is dead on the data with positive probability (p_1 > 0)",
}

HYPOTHESES: dict[str, tuple[type[Hypothesis], str]] = {_IDS[kind]: (kind, _STATEMENTS[kind]) for kind in _IDS}
