"""The complete result of an audit, as it is written to `results.json` and read back by the reports.

Exact numbers are strings "p/q". One value decides everything: `Results.refuted`.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated

import msgspec

from theorems.errors import InvalidInput
from theorems.theorem import Relation
from verify.inference import Verdict

__all__ = [
    "SCHEMA",
    "BoundResult",
    "CaseResult",
    "DataResult",
    "FindingResult",
    "FrequencyResult",
    "JudgementResult",
    "Results",
    "RunResult",
    "StartResult",
    "TheoremResult",
    "exact",
    "read_results",
    "write_ratio",
]

SCHEMA = "nonconv-results/2"

Ratio = Annotated[str, msgspec.Meta(pattern=r"^-?[0-9]+/[1-9][0-9]*$")]
RelationName = Annotated[str, msgspec.Meta(pattern=f"^({'|'.join(relation.value for relation in Relation)})$")]
VerdictName = Annotated[str, msgspec.Meta(pattern=f"^({'|'.join(verdict.value for verdict in Verdict)})$")]


def write_ratio(value: Fraction) -> str:
    """Write an exact number as "p/q"."""
    return f"{value.numerator}/{value.denominator}"


def exact(text: str) -> Fraction:
    """Read "p/q"."""
    return Fraction(text)


class FindingResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One hypothesis about one case."""

    id: str
    status: str
    evidence: str
    why: str


class BoundResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Enclosure `[lo, hi]` of a bound."""

    lo: Ratio
    hi: Ratio


class FrequencyResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often an event was seen, and certified confidence limits of its probability at level `alpha`."""

    event: str
    events: int
    lost: int
    trials: int
    interval: str
    alpha: Ratio
    lo: Ratio
    hi: Ratio


class JudgementResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A verdict and its reason; evidence is the weakest level that it rests on."""

    verdict: VerdictName
    why: str
    evidence: str


class TheoremResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One theorem on one case: hypotheses, bound, comparison with the frequency of its event at initialization.

    relation: what is claimed of the probability of the event and the bound; risk: the comparison with the frequency of
    high risks during training, where the theorem allows one.
    rate: exponential rate of the bound's complement, rounded down, per `rate_per`; margin: certified gap `eps` with
    `inf R >= I(l) + eps` on the event.
    """

    theorem: str
    claims: tuple[str, ...]
    hypotheses: tuple[FindingResult, ...]
    applies: str
    bound: BoundResult | None
    bound_evidence: str
    relation: RelationName
    event: str
    frequency: FrequencyResult | None
    judgement: JudgementResult
    risk: JudgementResult | None
    rate: float | None
    rate_per: str | None
    margin: Ratio | None

    @property
    def is_lower(self) -> bool:
        """Whether the bound is a lower one of a probability of non-convergence (an equality counts)."""
        return self.relation != Relation.AT_MOST.value


class RunResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What became of the trained replicas of a case.

    events: networks with the event at the start, undecided: with an event that could not be decided, kept: of the
    former, those in which as much is dead at the end; reachable: the risk level U; persistence compares `persistent`
    with `claimed` (math §8, persistence event).
    """

    trials: int
    event: str
    events: int
    undecided: int
    kept: int
    claimed: int
    persistent: int
    non_finite: int
    outcomes: dict[str, int]
    reachable: Ratio
    risk: FrequencyResult
    persistence: JudgementResult


class DataResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A data set: its exact reduction."""

    key: str
    name: str
    rows: int
    inputs: int
    input_dim: int
    output_dim: int
    noise_floor: Ratio
    variance: Ratio


class StartResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Initial networks of one architecture, initialization and data set, whatever the optimizer."""

    id: str
    sweep: str
    axis: str
    data: str
    initialization: str
    architecture: str
    widths: tuple[int, ...]
    parameters: int
    p_dead_method: str | None
    p_dead: BoundResult | None
    trials: int
    dead_layer: int
    dead_neurons: tuple[int, ...]


class CaseResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A start with an optimizer: everything that was found."""

    id: str
    start: str
    optimizer: str
    learning_rate: float | None
    theorems: Annotated[tuple[TheoremResult, ...], msgspec.Meta(min_length=1)]
    run: RunResult

    @property
    def best(self) -> TheoremResult:
        """The theorem with the largest certified lower bound among those that apply, else the first one."""
        holding = [t for t in self.theorems if t.applies == "holds" and t.bound is not None and t.is_lower]
        return max(holding, key=lambda t: exact(t.bound.lo) if t.bound else Fraction(-1), default=self.theorems[0])


class Results(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole audit."""

    schema: str
    title: str
    created: str
    seconds: float
    seed: int
    settings: dict[str, str | int]
    level: dict[str, object]
    environment: dict[str, str | None]
    claims: dict[str, str]
    data: tuple[DataResult, ...]
    starts: tuple[StartResult, ...]
    cases: tuple[CaseResult, ...]

    def judgements(self) -> list[JudgementResult]:
        """Every verdict of the audit."""
        found = []
        for case in self.cases:
            found.append(case.run.persistence)
            for theorem in case.theorems:
                found.append(theorem.judgement)
                if theorem.risk is not None:
                    found.append(theorem.risk)
        return found

    @property
    def refuted(self) -> int:
        """Number of REFUTED verdicts: the one value behind exit status, printed line and report."""
        return sum(judgement.verdict == Verdict.REFUTED.value for judgement in self.judgements())

    def start_of(self, case: CaseResult) -> StartResult:
        """The start of a case."""
        return self._starts()[case.start]

    def _starts(self) -> dict[str, StartResult]:
        return {start.id: start for start in self.starts}

    def cases_of(self, start: StartResult) -> tuple[CaseResult, ...]:
        """The cases of a start, one an optimizer."""
        return tuple(case for case in self.cases if case.start == start.id)


def read_results(path: str) -> Results:
    """Read a `results.json`. Fails: InvalidInput if it is missing, damaged, or of another schema version."""
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidInput(f"results {path!r} cannot be read: {reason}") from error
    try:
        head = msgspec.json.decode(raw, type=_Head)
        if head.schema != SCHEMA:
            raise InvalidInput(f"results {path!r} have schema {head.schema!r}; expected {SCHEMA!r}")
        results = msgspec.json.decode(raw, type=Results)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"results {path!r} cannot be read: {error}") from error
    _check_references(results, path)
    return results


def _check_references(results: Results, path: str) -> None:
    keys, starts = {data.key for data in results.data}, {start.id for start in results.starts}
    for number, start in enumerate(results.starts):
        if start.data not in keys:
            raise InvalidInput(f"results {path!r}: $.starts[{number}].data={start.data!r}: expected a key of $.data")
    for number, case in enumerate(results.cases):
        if case.start not in starts:
            raise InvalidInput(f"results {path!r}: $.cases[{number}].start={case.start!r}: expected an id of $.starts")


class _Head(msgspec.Struct):
    schema: str
