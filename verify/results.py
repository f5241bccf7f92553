"""The complete result of an audit, as it is written to `results.json` and read back by the reports.

Exact numbers are strings "p/q". One value decides everything: `Results.refuted`.
"""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from typing import Annotated

import msgspec

from theorems.errors import InvalidInput
from theorems.theorem import Relation
from verify.inference import Verdict
from verify.simulation.final_risk import RISK_BINS, RISK_SPAN
from verify.simulation.outcome import Outcome

__all__ = [
    "RISK_BINS",
    "RISK_SPAN",
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

RATIO = r"^-?[0-9]+/[1-9][0-9]*$"
Ratio = Annotated[str, msgspec.Meta(pattern=RATIO)]
Number = Annotated[int, msgspec.Meta(ge=0)]
Width = Annotated[int, msgspec.Meta(ge=1)]
RelationName = Annotated[str, msgspec.Meta(pattern=f"^({'|'.join(relation.value for relation in Relation)})$")]
VerdictName = Annotated[str, msgspec.Meta(pattern=f"^({'|'.join(verdict.value for verdict in Verdict)})$")]


def write_ratio(value: Fraction) -> str:
    """Write an exact number as "p/q"."""
    return f"{value.numerator}/{value.denominator}"


def exact(text: str) -> Fraction:
    """Read "p/q". Fails: InvalidInput if it has more digits than Python is set to read."""
    try:
        return Fraction(text)
    except ValueError as error:
        raise InvalidInput(f"the number {text[:20]}… has {len(text)} characters: {error}") from error


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
    events: Number
    lost: Number
    trials: Number
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
    final_risks: how many networks ended with which risk, a histogram of `(R - nu) / V`: `RISK_BINS` bins of width
    `RISK_SPAN / RISK_BINS` from 0 on, then those beyond, then those without a finite risk; the risks are float
    estimates. None where it was not recorded.
    certain: of the trials, those whose outcome was certain at initialization, and which therefore were not trained.
    """

    trials: Number
    event: str
    events: Number
    undecided: Number
    kept: Number
    claimed: Number
    persistent: Number
    non_finite: Number
    outcomes: dict[str, Number]
    reachable: Ratio
    risk: FrequencyResult
    persistence: JudgementResult
    final_risks: (
        Annotated[tuple[Number, ...], msgspec.Meta(min_length=RISK_BINS + 2, max_length=RISK_BINS + 2)] | None
    ) = None
    certain: Number = 0


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
    widths: Annotated[tuple[Width, ...], msgspec.Meta(min_length=3)]
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
            raise InvalidInput(
                f"results {path!r} have schema {head.schema[:80]!r}; expected {SCHEMA!r}{_age(head.schema)}"
            )
        results = msgspec.json.decode(raw, type=Results)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidInput(f"results {path!r} cannot be read: {error}") from error
    _check_references(results, path)
    _check_numbers(results, path)
    return results


def _age(schema: str) -> str:
    """What to do about results of another version of the schema."""
    name, _, version = schema.partition("/")
    own, _, current = SCHEMA.partition("/")
    if name != own or not version.isdecimal() or len(version) > len(current) + 2:
        return ""
    if int(version) > int(current):
        return ": a newer nonconv wrote them, expected that version to report on them"
    return ": an older nonconv wrote them, expected that version to report on them, or the audit to be run again"


def _check_references(results: Results, path: str) -> None:
    keys, starts = {data.key for data in results.data}, {start.id for start in results.starts}
    for name, ids in (("starts", [s.id for s in results.starts]), ("cases", [case.id for case in results.cases])):
        twice = next((each for each, count in Counter(ids).items() if count > 1), None)
        if twice is not None:
            raise InvalidInput(f"results {path!r}: $.{name}: the id {twice[:80]!r} is there twice; expected each once")
    for number, start in enumerate(results.starts):
        if start.data not in keys:
            raise InvalidInput(f"results {path!r}: $.starts[{number}].data={start.data!r}: expected a key of $.data")
    for number, case in enumerate(results.cases):
        if case.start not in starts:
            raise InvalidInput(f"results {path!r}: $.cases[{number}].start={case.start!r}: expected an id of $.starts")


def _check_numbers(results: Results, path: str) -> None:
    """Refuse numbers that contradict each other: no report can say anything true of them."""
    alpha = results.level.get("alpha")
    if isinstance(alpha, str) and not (re.fullmatch(RATIO, alpha) and 0 < exact(alpha) < 1):
        raise InvalidInput(f"results {path!r}: $.level.alpha={alpha[:40]!r}: expected a fraction such as '1/100'")
    for number, data in enumerate(results.data):
        if exact(data.noise_floor) < 0 or exact(data.variance) < 0:
            raise InvalidInput(f"results {path!r}: $.data[{number}]: noise floor and variance: expected at least 0")
    for number, start in enumerate(results.starts):
        if start.p_dead is not None and not 0 <= exact(start.p_dead.lo) <= exact(start.p_dead.hi) <= 1:
            raise InvalidInput(f"results {path!r}: $.starts[{number}].p_dead: expected 0 <= lo <= hi <= 1")
    for number, case in enumerate(results.cases):
        run, place = case.run, f"results {path!r}: $.cases[{number}].run"
        names = set(run.outcomes) - {outcome.value for outcome in Outcome}
        if names or sum(run.outcomes.values()) != run.trials:
            told = f"unknown outcome {min(names)[:40]!r}" if names else f"counts add up to {sum(run.outcomes.values())}"
            raise InvalidInput(f"{place}.outcomes: {told}; expected outcomes of {run.trials} trials")
        if run.certain > run.trials:
            raise InvalidInput(f"{place}.certain={run.certain}: expected at most the {run.trials} trials")
        if run.final_risks is not None and sum(run.final_risks) != run.trials - run.certain:
            raise InvalidInput(f"{place}.final_risks: expected counts of {run.trials - run.certain} trained networks")
        _check_frequency(run.risk, f"{place}.risk")
        exact(run.reachable)
        for position, theorem in enumerate(case.theorems):
            place = f"results {path!r}: $.cases[{number}].theorems[{position}]"
            if theorem.bound is not None and exact(theorem.bound.lo) > exact(theorem.bound.hi):
                raise InvalidInput(f"{place}.bound: its lower end is above its upper end")
            exact(theorem.margin or "0/1")
            if theorem.frequency is not None:
                _check_frequency(theorem.frequency, f"{place}.frequency")


def _check_frequency(frequency: FrequencyResult, place: str) -> None:
    if frequency.events + frequency.lost > frequency.trials:
        raise InvalidInput(
            f"{place}: {frequency.events} events and {frequency.lost} lost of {frequency.trials} trials: "
            "expected no more than there were"
        )
    if not 0 <= exact(frequency.lo) <= exact(frequency.hi) <= 1:
        raise InvalidInput(f"{place}: limits {frequency.lo[:40]}, {frequency.hi[:40]}: expected 0 <= lo <= hi <= 1")


class _Head(msgspec.Struct):
    schema: str
