"""What is known of one optimizer: each property of math §2 proved, tested or violated, and the theorems that follow."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from theorems.catalogue import THEOREMS
from theorems.errors import InvalidInput
from theorems.hypotheses import IMPLIED, Evidence, Finding, OptimizerClass, Property, Status
from verify.optimizers.code_proof import CodeProof, Limits, Reach
from verify.optimizers.code_proof.trial import Build
from verify.optimizers.falsify import NotRun, Outcome, Tested, Violation, acts_per_coordinate, falsify
from verify.optimizers.falsify.history import Layout
from verify.optimizers.known import Kind, Known
from verify.optimizers.proofs import LIMITS, WIDTHS, attempted, proof_of_class
from verify.optimizers.registry import ResolvedOptimizer, resolve
from verify.optimizers.spec import OptimizerSpec

__all__ = [
    "CannotBeJudged",
    "Contradiction",
    "Counterexample",
    "Judged",
    "Known",
    "Verdict",
    "judge_build",
    "judge_optimizer",
]

HISTORIES = 60
COMPARISONS = 24
"""How many histories are compared to see whether an optimizer acts per coordinate; what couples shows in the first."""
ORDINARY = {torch.float64: (1e-30, 1e30), torch.float32: (1e-6, 1e6)}
"""Sizes of numbers whose products and quotients stay far from overflow and underflow."""


class Contradiction(Exception):
    """A property is proved and violated: something in this program is wrong, and nothing may be reported."""


class CannotBeJudged(InvalidInput):
    """The optimizer does not run on ordinary gradients; `why` is the reason alone."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"optimizer {name}: cannot be judged: {why}; expected an optimizer that steps on ordinary gradients of a "
            "small network in float64 or float32 on the CPU"
        )
        self.why = why


_STATUS = {Known.SYMBOLIC: Status.HOLDS, Known.CODE: Status.HOLDS, Known.VIOLATED: Status.FAILS}


@dataclass(frozen=True)
class Judged:
    """The answer to one property. TESTED proves nothing: its status is unknown, so no theorem may use it."""

    wanted: Property
    known: Known
    why: str

    @property
    def status(self) -> Status:
        """Three-valued, as theorems see it."""
        return _STATUS.get(self.known, Status.UNKNOWN)

    @property
    def finding(self) -> Finding:
        """The same for theorems. Rigour: a violation is a run of the code judged in exact arithmetic."""
        evidence = {
            Known.SYMBOLIC: Evidence.PROVED,
            Known.CODE: Evidence.CERTIFIED,
            Known.VIOLATED: Evidence.CERTIFIED,
        }.get(self.known, Evidence.ASSUMED)
        return Finding(self.wanted.name, self.status, evidence, self.why)


@dataclass(frozen=True)
class Counterexample:
    """A violation. script: a runnable program, or empty (about_script says why)."""

    wanted: Property
    kind: str
    sentence: str
    moved: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    initial: tuple[tuple[float, ...], ...]
    gradients: tuple[tuple[tuple[float, ...] | None, ...], ...]
    script: str
    about_script: str


@dataclass(frozen=True)
class Verdict:
    """What is known of an optimizer with given settings.

    per_coordinate: whether it is shown to act on each coordinate alone; None: not known (about_coordinates says more).
    conditions: what the proofs on the code rest on. counterexamples: of the properties violated, strongest first.
    dtype: in which it was proved on the code and tested; about_dtype: why, if that is not float64.
    """

    target: str
    settings: Mapping[str, object]
    properties: tuple[Judged, ...]
    per_coordinate: bool | None
    about_coordinates: str
    conditions: tuple[str, ...]
    counterexamples: tuple[Counterexample, ...]
    seconds: float
    dtype: str = "float64"
    about_dtype: str = ""

    def about(self, wanted: Property) -> Judged:
        """The answer to one property."""
        return next(judged for judged in self.properties if judged.wanted is wanted)

    @property
    def counterexample(self) -> Counterexample | None:
        """That of the strongest property violated."""
        return self.counterexamples[0] if self.counterexamples else None

    @property
    def optimizer_class(self) -> OptimizerClass:
        """The optimizer as theorems see it."""
        return OptimizerClass(self.target, tuple((judged.wanted, judged.finding) for judged in self.properties))

    @property
    def theorems(self) -> tuple[str, ...]:
        """The theorems whose hypothesis on the optimizer holds, or that have none; only what is proved counts."""
        known = self.optimizer_class
        return tuple(name for name, each in THEOREMS.items() if each.remains_under(known) is Status.HOLDS)

    def _strongest(self, kinds: tuple[Known, ...]) -> tuple[Judged, ...]:
        held = [judged for judged in self.properties if judged.known in kinds]
        return tuple(each for each in held if not any(each.wanted in IMPLIED[other.wanted] for other in held))

    @property
    def proved(self) -> tuple[Judged, ...]:
        """The properties proved that follow from no other one proved."""
        return self._strongest((Known.SYMBOLIC, Known.CODE))

    @property
    def unrefuted(self) -> tuple[Judged, ...]:
        """The same of what is proved or tested."""
        return self._strongest((Known.SYMBOLIC, Known.CODE, Known.TESTED))

    @property
    def passes(self) -> bool:
        """Whether some property is proved, or at least tested without a counterexample."""
        return bool(self.unrefuted)

    @property
    def sentence(self) -> str:
        """The answer in words."""
        proved, beyond = self.proved, [each for each in self.unrefuted if each.known is Known.TESTED]
        parts = [_listed(proved, "proved")] if proved else []
        parts += [_listed(tuple(beyond), "only tested")] if beyond else []
        if not parts:
            bad = all(each.known is Known.VIOLATED for each in self.properties)
            parts = ["every property is violated" if bad else "no property is proved or tested"]
        if self.counterexample is not None:
            parts.append(f"({self.counterexample.wanted.name}) is violated: {self.counterexample.kind}")
        return f"{self.target}: {'; '.join(parts)}. {self._consequence()}"

    def _consequence(self) -> str:
        free = {name for name, theorem in THEOREMS.items() if not theorem.keeps}
        named = [name for name in self.theorems if name not in free]
        if named:
            return f"Theorems that apply to it: {', '.join(self.theorems)}."
        speak = "speaks" if len(self.theorems) == 1 else "speak"
        told = f"{', '.join(self.theorems)} {speak} of the initialization alone"
        return f"No theorem about training applies to it ({told})."


def _listed(judged: tuple[Judged, ...], how: str) -> str:
    names = " and ".join(f"({each.wanted.name}) {each.wanted.value}" for each in judged)
    return f"{names} {'is' if len(judged) == 1 else 'are'} {judged[0].known.value if how == 'proved' else how}"


# --- judging -----------------------------------------------------------------------------------------------------


def judge_optimizer(
    target: str, settings: Mapping[str, Any] | None = None, *, seed: int = 0, histories: int = HISTORIES
) -> Verdict:
    """Judge a named optimizer or `package.module:Class` with these settings.

    Rigour:   each answer says how it is known; nothing that is only tested makes a theorem apply.
    Source:   math §2.
    Fails:    InvalidInput for what cannot be imported, built or stepped; Contradiction if proof and run disagree.
    """
    start = time.monotonic()
    resolved = resolve(OptimizerSpec(target, dict(settings or {})), prove=False)
    proofs = resolved.properties if resolved.rule is not None else None
    torch_class, arguments, label = resolved.torch_class, resolved.arguments, resolved.spec.label
    make = functools.partial(proof_of_class, torch_class, arguments, label)
    session = _Session(resolved.build, label, proofs, make, seed, histories, resolved.per_coordinate, alike=True)
    return session.verdict(target_of(resolved), resolved.settings, start)


def target_of(resolved: ResolvedOptimizer) -> str:
    """`module:Class`."""
    return f"{resolved.torch_class.__module__}:{resolved.torch_class.__qualname__}"


def judge_build(
    build: Build,
    name: str,
    *,
    settings: Mapping[str, object] | None = None,
    rule: OptimizerClass | None = None,
    limits: Limits = LIMITS,
    seed: int = 0,
    histories: int = HISTORIES,
    alike: bool = True,
    programs: Sequence[Build] = (),
    about_program: str = "",
) -> Verdict:
    """Judge what `build` makes of the parameters `W^1, b^1, W^2, ...` of a network.

    rule: what is known from a symbolic rule. alike: whether `build` treats all parameters alike, so that it can be
    asked whether the optimizer acts per coordinate. programs: other forms of the same, to be proved in place of
    `build`, the second where nothing is proved of the first; about_program: what is assumed then, which becomes a
    condition of the proof.
    Fails: InvalidInput if it cannot be built or stepped; Contradiction if proof and run disagree.
    """

    def make(dtype: torch.dtype) -> CodeProof:
        first, *others = programs or (build,)
        proof = attempted(first, name, limits, dtype)
        for other in others:
            if any(claim.reach is Reach.EVERY_STEP for claim in proof.claims):
                break
            again = attempted(other, name, limits, dtype)
            proof = again if any(claim.reach is Reach.EVERY_STEP for claim in again.claims) else proof
        return replace(proof, conditions=(*proof.conditions, about_program)) if about_program else proof

    session = _Session(build, name, rule, make, seed, histories, rule is not None, alike)
    return session.verdict(name, settings or {}, time.monotonic())


@dataclass
class _Session:
    build: Any
    name: str
    rule: OptimizerClass | None
    make_proof: Any
    seed: int
    histories: int
    shown_per_coordinate: bool
    alike: bool
    answers: dict[Property, Judged] = field(default_factory=dict)
    violations: dict[Property, Violation] = field(default_factory=dict)
    proof: CodeProof | None = None
    dtype: torch.dtype = torch.float64
    about_dtype: str = ""

    def verdict(self, target: str, settings: Mapping[str, object], start: float) -> Verdict:
        first = self._first()
        weakest = self._weakest(first)
        if not isinstance(weakest, Violation):
            self._proofs()
        self._refuse(first)
        self._outcomes(first, weakest)
        self.answers = {wanted: self.answers[wanted] for wanted in Property}
        properties = tuple(self.answers.values())
        per_coordinate, about = self._coordinates()
        used = self.proof is not None and any(each.known is Known.CODE for each in properties)
        return Verdict(
            target,
            {key: value if _plain(value) else str(value) for key, value in settings.items()},
            properties,
            per_coordinate,
            about,
            self.proof.conditions if used and self.proof is not None else (),
            tuple(self._counterexamples()),
            time.monotonic() - start,
            str(self.dtype).removeprefix("torch."),
            self.about_dtype,
        )

    def _first(self) -> Outcome:
        """Test (F); if it does not run in float64, in float32, and then all else in float32 as well."""
        first = self._falsified(Property.F)
        if self.rule is None and isinstance(first, NotRun):
            self.dtype = torch.float32
            again = self._falsified(Property.F)
            if not isinstance(again, NotRun):
                self.about_dtype = f"in float64 it does not run ({first.why})"
                return again
            self.dtype = torch.float64
        return first

    def _weakest(self, first: Outcome) -> Outcome | None:
        """Test the weakest property before anything is proved, where all are likely to be violated: it tells of all."""
        if self.rule is not None or not isinstance(first, Violation) or first.kind is Kind.DECOUPLED_DECAY:
            return None
        return self._falsified(Property.SS)

    def _falsified(self, wanted: Property) -> Outcome:
        return falsify(self.build, wanted, seed=self.seed, histories=self.histories, dtype=self.dtype)

    def _proofs(self) -> None:
        for wanted in Property if self.rule is not None else ():
            found = self.rule.about(wanted)  # type: ignore[union-attr]  # the loop is empty without a rule
            if found.status is Status.HOLDS:
                self.answers[wanted] = Judged(wanted, Known.SYMBOLIC, found.why)
            elif found.status is Status.FAILS:
                self.answers[wanted] = Judged(wanted, Known.VIOLATED, found.why)
        if len(self.answers) == len(Property):
            return
        self.proof = self.make_proof(dtype=self.dtype)
        for claim in self.proof.claims:
            if claim.reach is Reach.EVERY_STEP:
                self.answers.setdefault(claim.wanted, Judged(claim.wanted, Known.CODE, claim.sentence))

    def _refuse(self, first: Outcome) -> None:
        if isinstance(first, NotRun) and not any(each.known.proved for each in self.answers.values()):
            raise CannotBeJudged(self.name, first.why)

    def _outcomes(self, first: Outcome, weakest: Outcome | None) -> None:
        """Test what is not proved, and the strongest of what is; strongest first."""
        outcomes: dict[Property, Outcome] = {Property.F: first}
        if isinstance(first, Violation) and Property.SS not in self.answers:
            # What violates the weakest property violates them all.
            outcomes[Property.SS] = self._falsified(Property.SS) if weakest is None else weakest
        for wanted in tuple(Property)[1:]:
            if wanted in outcomes or isinstance(outcomes.get(Property.SS), Violation):
                continue
            above = [each for each in Property if wanted in IMPLIED[each]]
            if any(self._proved(each) and not isinstance(outcomes.get(each), Violation) for each in above):
                continue
            if wanted in self.answers and not self._proved(wanted):  # refuted by its rule
                continue
            # Histories for (F) keep single coordinates silent: they say nothing of properties of neurons.
            served = [outcomes[each] for each in above if each is not Property.F and each in outcomes]
            tested = next((each for each in served if isinstance(each, Tested)), None)
            outcomes[wanted] = tested if tested is not None and not self._proved(wanted) else self._falsified(wanted)
        for wanted, outcome in outcomes.items():
            if isinstance(outcome, Violation):
                self._violated(wanted, outcome)
            elif wanted not in self.answers:
                self.answers[wanted] = self._unproved(wanted, outcome)
        for wanted in Property:
            weaker = next((each for each in IMPLIED[wanted] if each in self.violations), None)
            if weaker is not None and wanted not in self.violations:
                self._violated(wanted, self.violations[weaker])

    def _proved(self, wanted: Property) -> bool:
        return wanted in self.answers and self.answers[wanted].known.proved

    def _unproved(self, wanted: Property, outcome: Tested | NotRun) -> Judged:
        if isinstance(outcome, NotRun):
            return Judged(wanted, Known.NOT_RUN, outcome.why)
        told = f"no counterexample in {outcome.histories} histories ({outcome.steps} steps)"
        if outcome.stopped:
            told += f", {outcome.stopped} of which ended early ({outcome.why_stopped})"
        if outcome.rounding is not None:
            told += f"; {outcome.rounding.sentence}"
        if self.proof is not None:
            told += f"; on the code, {self.proof.about(wanted).sentence}"
        return Judged(wanted, Known.TESTED, told)

    def _violated(self, wanted: Property, violation: Violation) -> None:
        old = self.answers.get(wanted)
        told = f"at step {violation.step} ({violation.kind.value}): {violation.why}"
        if old is not None and old.known.proved:
            if self._covered(old, violation):
                raise Contradiction(
                    f"optimizer {self.name}: ({wanted.name}) is {old.known.value} and violated {told}; this is a fault "
                    "of nonconv, and nothing is reported"
                )
            told += "; what is proved does not cover this run, which leaves the sizes or the numbers of the proof"
        if old is None or old.known.proved:
            self.answers[wanted] = Judged(wanted, Known.VIOLATED, told)
        self.violations[wanted] = violation

    def _covered(self, proved: Judged, violation: Violation) -> bool:
        """Whether a proof speaks of the run of a counterexample."""
        history = violation.history
        numbers = [each for row in history.initial for each in row]
        numbers += [each for step in history.gradients for row in step if row is not None for each in row]
        least, greatest = ORDINARY[self.dtype]
        ordinary = all(each == 0 or least <= abs(each) <= greatest for each in numbers)
        if proved.known is Known.SYMBOLIC:
            return ordinary and violation.kind is not Kind.NOT_FINITE
        conditions = () if self.proof is None else self.proof.conditions
        if any("stay finite" in each for each in conditions) and not ordinary:
            return False
        if any("is divided by 0" in each for each in conditions):
            return False  # the run may be one of those that the proof leaves out
        complete = all(row is not None for step in history.gradients for row in step)
        return complete and history.shapes == Layout(WIDTHS).shapes

    def _coordinates(self) -> tuple[bool | None, str]:
        if self.shown_per_coordinate:
            return True, "its rule acts on each coordinate alone"
        if not self.alike:
            return None, "not asked: its parameters are treated by shape, or not by torch"
        found = acts_per_coordinate(self.build, seed=self.seed, histories=COMPARISONS, dtype=self.dtype)
        return (False if isinstance(found, Violation) else None), found.sentence

    def _counterexamples(self) -> Iterator[Counterexample]:
        for judged in self.answers.values():
            if judged.known is not Known.VIOLATED:
                continue
            found = self.violations.get(judged.wanted)
            if found is None:
                why = "the rule was run in exact arithmetic"
                yield Counterexample(judged.wanted, "exact trajectory", judged.why, (), (), (), (), "", why)
                continue
            moved = tuple(each.sentence for each in found.moved)
            run = found.history
            yield Counterexample(
                judged.wanted,
                found.kind.value,
                found.sentence,
                moved,
                run.shapes,
                run.initial,
                run.gradients,
                found.script,
                found.about_script,
            )


def _plain(value: object) -> bool:
    """Whether JSON has it."""
    if isinstance(value, tuple | list):
        return all(map(_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
