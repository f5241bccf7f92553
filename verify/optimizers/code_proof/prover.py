"""`prove_on_code`: which properties of an optimizer hold, proved on the code of its own `step` (math §2)."""

from __future__ import annotations

import gc
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from fractions import Fraction

import torch

from theorems.errors import InvalidInput
from theorems.hypotheses import IMPLIED, Evidence, Finding, OptimizerClass, Property, Status
from verify.optimizers.code_proof.element import Multiple, format_of, key_of_value
from verify.optimizers.code_proof.trial import Build, Limits, Move, Trial, Verdict

__all__ = ["Claim", "CodeProof", "Reach", "prove_on_code"]

ONE = key_of_value(Fraction(1))
_STAGES = ((True, False, True), (True, True, True), (True, True, False), (False, False, True), (False, True, True))
"""Every step or the first ones, whether numbers are taken to stay finite, whether poles are kept: the most first."""
_HUGE = Fraction(10) ** 300  # beyond this, messages do not tell numbers apart


class Reach(Enum):
    """How far a proof reaches."""

    EVERY_STEP = "proved on the code, for every step"
    FIRST_STEPS = "proved on the code, for the first steps only"
    NOT_PROVED = "not proved"


@dataclass(frozen=True)
class Claim:
    """What is proved of one property. steps: the number of first steps for FIRST_STEPS. reason: why not (for all)."""

    wanted: Property
    reach: Reach
    steps: int = 0
    reason: str = ""

    @property
    def sentence(self) -> str:
        """One sentence for readers."""
        if self.reach is Reach.EVERY_STEP:
            return f"({self.wanted.name}) is proved on the code, for every step"
        if self.reach is Reach.FIRST_STEPS:
            return f"({self.wanted.name}) is proved on the code for the first {self.steps} steps only: {self.reason}"
        return f"({self.wanted.name}) is not proved: {self.reason}"


@dataclass(frozen=True)
class CodeProof:
    """The claims, one for each property, and what they rest on.

    conditions: what is assumed, in sentences. operations: the aten operations interpreted. ways: the largest number of
    branches on unknown numbers in one step.
    """

    optimizer: str
    claims: tuple[Claim, ...]
    conditions: tuple[str, ...]
    operations: tuple[str, ...]
    exact_steps: int
    branches: int
    seconds: float

    def about(self, wanted: Property) -> Claim:
        """The claim about one property."""
        return next(claim for claim in self.claims if claim.wanted is wanted)

    @property
    def strongest(self) -> tuple[Property, ...]:
        """The properties proved for every step that follow from no other one."""
        held = [claim.wanted for claim in self.claims if claim.reach is Reach.EVERY_STEP]
        return tuple(wanted for wanted in held if not any(wanted in IMPLIED[other] for other in held))

    def optimizer_class(self) -> OptimizerClass:
        """What the theorems may use: the properties proved for every step; all others stay unknown."""
        findings = [
            (claim.wanted, Finding(claim.wanted.name, Status.HOLDS, Evidence.CERTIFIED, self._why(claim)))
            for claim in self.claims
            if claim.reach is Reach.EVERY_STEP
        ]
        return OptimizerClass(self.optimizer, tuple(findings))

    def _why(self, claim: Claim) -> str:
        return f"{claim.sentence} of {self.optimizer}; " + "; ".join(self.conditions)


def prove_on_code(
    build: Build,
    *,
    name: str = "the optimizer",
    widths: Sequence[int] = (2, 3, 2),
    dtype: torch.dtype = torch.float64,
    closure: bool | None = None,
    limits: Limits | None = None,
) -> CodeProof:
    """Run the optimizer's own `step` on abstract values and report which properties are proved.

    build: makes the optimizer (or a `Training`: with what runs around its step) from the parameters W^1, b^1, W^2, ...
    of a network with these widths; it is called many times. closure: whether `step` needs one; None finds out.

    Rigour: a claim is never stronger than what was proved; whatever is not understood gives no proof, with the reason.
    Source: math §2, §7.
    Fails: InvalidInput if the widths, the dtype or what `build` returns cannot be used.
    """
    limits = limits or Limits()
    _check(widths, dtype)
    start = time.process_time()
    session = _Session(build, tuple(widths), dtype, closure, limits, start + limits.total)
    _construct_once(build, session.shapes, dtype)
    with _no_visitors():
        claims = session.claims()
    return CodeProof(
        name,
        claims,
        session.conditions(),
        tuple(sorted(session.operations)),
        limits.exact_steps,
        session.branches,
        time.process_time() - start,
    )


def _construct_once(build: Build, shapes: Sequence[tuple[int, ...]], dtype: torch.dtype) -> None:
    """Construct it with ordinary parameters: torch changes an optimizer's class when its first object is made."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            build([torch.nn.Parameter(torch.zeros(shape, dtype=dtype)) for shape in shapes])
        except (Exception, SystemExit):
            return  # the trials find it out, and say it


@contextmanager
def _no_visitors() -> Iterator[None]:
    """Keep what others registered with the garbage collector from running in the middle of a step that is watched."""
    kept = gc.callbacks[:]
    gc.callbacks.clear()
    try:
        yield
    finally:
        gc.callbacks[:0] = kept


def _check(widths: Sequence[int], dtype: torch.dtype) -> None:
    if len(widths) < 2 or any(not isinstance(width, int) or width < 1 for width in widths):
        raise InvalidInput(f"widths={tuple(widths)}: expected at least two whole numbers >= 1")
    form = format_of(dtype)
    if form is None or not form.floating:
        raise InvalidInput(f"dtype={dtype}: expected a real floating-point type")


@dataclass(frozen=True)
class _Neuron:
    """The incoming row and bias of one neuron, as (parameter, place) pairs; the bias comes last."""

    layer: int
    row: int
    coordinates: tuple[tuple[int, int], ...]

    @property
    def label(self) -> str:
        """For messages."""
        return f"neuron {self.row} of layer {self.layer + 1}"


@dataclass
class _Session:
    build: Build
    widths: tuple[int, ...]
    dtype: torch.dtype
    closure: bool | None
    limits: Limits
    deadline: float
    finite: bool = False
    poles: bool = True
    met_pole: bool = False
    every_step: bool = True
    graph: bool = False
    multiplies: bool = False
    branches: int = 0
    operations: set[str] = field(default_factory=set)

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        return [
            shape
            for fan, width in zip(self.widths, self.widths[1:], strict=False)
            for shape in ((width, fan), (width,))
        ]

    def neurons(self) -> list[_Neuron]:
        found = []
        for layer, (fan, width) in enumerate(zip(self.widths, self.widths[1:], strict=False)):
            for row in range(width):
                weights = tuple((2 * layer, row * fan + place) for place in range(fan))
                found.append(_Neuron(layer, row, (*weights, (2 * layer + 1, row))))
        return found

    def trial(self, tested: Sequence[tuple[int, int]]) -> Verdict:
        """Run one trial. Whether a closure, or gradients with a graph, are needed is told by the first complaint."""
        left = self.deadline - time.process_time()
        if left <= 0:
            return Verdict(refused=f"the time limit of {self.limits.total:g} seconds is reached")
        trial = Trial(
            self.build,
            self.shapes,
            tested,
            dtype=self.dtype,
            finite=self.finite,
            poles=self.poles,
            closure=bool(self.closure),
            graph=self.graph,
            limits=replace(self.limits, seconds=min(self.limits.seconds, left)),
        )
        verdict = trial.run(every_step=self.every_step)
        if self.closure is None and verdict.refused.startswith("raises") and "closure" in verdict.refused.lower():
            self.closure = True
            return self.trial(tested)
        if not self.graph and verdict.refused.startswith("raises") and "does not require grad" in verdict.refused:
            self.graph = True
            return self.trial(tested)
        self.operations |= verdict.operations
        self.met_pole = self.finite and verdict.met_pole
        self.branches = max(self.branches, verdict.paths)
        return verdict

    def claims(self) -> tuple[Claim, ...]:
        """All claims, from the neurons' trials; then (F), coordinate by coordinate."""
        verdicts: list[Verdict] = []
        reasons: list[str] = []
        doomed = False
        for self.every_step, self.finite, self.poles in _STAGES:
            if not self.poles and not self.met_pole:
                continue
            verdicts, failure, early = self._neurons_verdicts()
            if not failure:
                break
            reasons.append(failure)
            doomed = early if self.finite and self.poles else doomed
            if doomed and not (self.poles and self.met_pole):
                return self._nothing(reasons[1])  # it moves in the very first steps: fewer steps prove nothing
        else:
            return self._nothing(reasons[1])
        later = "" if self.every_step else reasons[1]
        properties = _properties(self.neurons(), verdicts)
        self.multiplies = any(not _is_same(move) for each in verdicts for moves in each.moves for move in moves)
        claims = []
        for wanted in Property:
            if wanted is Property.F:
                missing = properties[Property.FB] or self._moving_coordinate()
            else:
                missing = properties[wanted]
            claims.append(self._claim(wanted, missing, later))
        return tuple(claims)

    @staticmethod
    def _nothing(reason: str) -> tuple[Claim, ...]:
        return tuple(Claim(wanted, Reach.NOT_PROVED, 0, reason) for wanted in Property)

    def _claim(self, wanted: Property, missing: str, later: str) -> Claim:
        if missing:
            return Claim(wanted, Reach.NOT_PROVED, 0, missing)
        if self.every_step:
            return Claim(wanted, Reach.EVERY_STEP)
        return Claim(wanted, Reach.FIRST_STEPS, self.limits.steps, later)

    def _neurons_verdicts(self) -> tuple[list[Verdict], str, bool]:
        """The verdicts; if there is none for some neuron, why, and whether it moves in the first steps."""
        verdicts: list[Verdict] = []
        for neuron in self.neurons():
            verdict = self.trial(neuron.coordinates)
            failure = _failure(verdict)
            if failure:
                early = not verdict.refused and verdict.steps < self.limits.exact_steps
                return verdicts, f"{failure} ({neuron.label})", early
            verdicts.append(verdict)
        return verdicts, "", False

    def _moving_coordinate(self) -> str:
        """Why (F) is not proved, or an empty string."""
        for number, shape in enumerate(self.shapes):
            for place in range(torch.Size(shape).numel()):
                verdict = self.trial([(number, place)])
                failure = _failure(verdict)
                where = f"coordinate {place} of parameter {number}"
                if failure:
                    return f"{failure} ({where})"
                for moves in verdict.moves:
                    for move in moves:
                        if not _is_same(move):
                            return f"{where} is {_factor(move[0])} although its gradients are 0"
        return ""

    def conditions(self) -> tuple[str, ...]:
        """What the claims assume."""
        dtype = str(self.dtype).removeprefix("torch.")
        found = [f"parameters of a network of widths {', '.join(map(str, self.widths))} in {dtype}"]
        if self.finite:
            found.append(
                "parameters and gradients stay finite, and no operation on finite numbers overflows or underflows to 0"
            )
            if not self.poles:
                found.append("no number other than 0 is divided by 0")
        else:
            found.append("whatever the other gradients and parameters, NaN and infinities included")
        found.append("every parameter gets a gradient at each step, in a new tensor, as after zero_grad()")
        if self.every_step:
            found.append("whole numbers that the optimizer keeps, such as step counters, stay below 2^53")
        found.append(
            "the code compares no numbers by identity, and keeps no state in torch's or Python's own objects beyond "
            "the attributes of modules and classes that are checked"
        )
        if self.multiplies:
            found.append("factors are those of exact arithmetic: rounding of what is a multiple is set aside")
        if self.closure:
            found.append("at each evaluation by the closure the tested gradients are 0 as well")
        if self.graph:
            kind = "finite numbers" if self.finite else "numbers"
            found.append(f"gradients come with a graph (create_graph=True); second derivatives may be any {kind}")
        return tuple(found)


def _failure(verdict: Verdict) -> str:
    if verdict.refused:
        return verdict.refused
    return f"a parameter with zero gradients may move: {verdict.lost}" if verdict.lost else ""


# --- from moves to properties ----------------------------------------------------------------------------------------


def _is_same(move: Move) -> bool:
    return all(link is not None and link.same for link in move)


def _factor(link: Multiple | None) -> str:
    if link is None:
        return "changed"
    low, high = (float(min(max(end, -_HUGE), _HUGE)) for end in (link.low, link.high))
    return f"multiplied by {low:g}" if low == high else f"multiplied by a factor between {low:g} and {high:g}"


def _common(links: Sequence[Multiple | None]) -> Multiple | None:
    """The factor that all share, or None."""
    first = links[0]
    if first is None or first.key is None or any(link is None or link.key != first.key for link in links):
        return None
    return first


def _nonnegative(link: Multiple | None) -> bool:
    return link is not None and link.low >= 0


def _contracting(link: Multiple | None) -> bool:
    return link is not None and link.low >= 0 and link.high <= 1


def _below(first: Multiple, second: Multiple) -> bool:
    return first.high <= second.low or (first.key is not None and first.key == second.key)


def _properties(neurons: Sequence[_Neuron], verdicts: Sequence[Verdict]) -> dict[Property, str]:
    """For each property but (F), an empty string if it holds, else why not."""
    every = [
        (neuron, move)
        for neuron, verdict in zip(neurons, verdicts, strict=True)
        for moves in verdict.moves
        for move in moves
    ]
    missing = dict.fromkeys(Property, "")
    for neuron, move in every:
        for wanted, reason in _of_one(move).items():
            if reason and not missing[wanted]:
                missing[wanted] = f"{reason} ({neuron.label})"
    _joint(neurons, verdicts, missing)
    for wanted in Property:
        if not missing[wanted]:
            missing.update(dict.fromkeys(IMPLIED[wanted] if wanted is not Property.F else (), ""))
    return missing


def _of_one(move: Move) -> dict[Property, str]:
    """What one move of one neuron contradicts."""
    weights, bias = _common(move[:-1]), move[-1]
    both = _common(move)
    told = f"the weights are {_factor(move[0])}, the bias {_factor(bias)}"
    found = dict.fromkeys(Property, "")
    if not _is_same(move):
        found[Property.FB] = told
    if both is None or not _nonnegative(both):
        found[Property.S] = told
    if weights is None or not _nonnegative(weights) or not _nonnegative(bias):
        found[Property.SS] = found[Property.SL] = told
    if weights is None or bias is None or not (_contracting(weights) and _contracting(bias) and _below(weights, bias)):
        found[Property.D] = told
    if both is None or not _contracting(both):
        found[Property.DJ] = told
    if weights is None or not _contracting(weights) or bias is None or bias.key != ONE:
        found[Property.DW] = told
    return found


def _joint(neurons: Sequence[_Neuron], verdicts: Sequence[Verdict], missing: dict[Property, str]) -> None:
    """Factors that must be common to several neurons: one at each step, the same for all."""
    weights = [
        [frozenset(move[0].key for move in moves if move[0] is not None) for moves in verdict.moves]
        for verdict in verdicts
    ]
    reason = "the factor is not the same for all neurons"
    if any(len(keys) != 1 or None in keys for listed in weights for keys in listed):
        for wanted in (Property.DJ, Property.DW, Property.SL):
            missing[wanted] = missing[wanted] or "the factor of a step is not known to be one for all neurons"
        return
    if any(listed != weights[0] for listed in weights):
        for wanted in (Property.DJ, Property.DW):
            missing[wanted] = missing[wanted] or reason
    for layer in {neuron.layer for neuron in neurons}:
        own = [listed for neuron, listed in zip(neurons, weights, strict=True) if neuron.layer == layer]
        if any(listed != own[0] for listed in own):
            missing[Property.SL] = missing[Property.SL] or reason
