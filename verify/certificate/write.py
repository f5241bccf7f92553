"""Writes certificates (FORMAT.md) of what `verify.evaluate` found, and lets the checker compute everything again.

The checker's arithmetic is the second engine: it evaluates every term anew and reads the finished file before anyone
else does. Where the two contradict each other nothing is written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property
from typing import NoReturn

import sympy

from theorems.bounds import P_DEAD, SIZES, TOUR_LENGTH, TOUR_ZEROS
from theorems.hypotheses import NeuronCanBeDead, OptimizerClass, Status
from theorems.problem import Problem
from theorems.theorem import Instance, LayerDeath
from verify.certificate.case import CertificateData, case_part, certificate_data, common_class, prose
from verify.certificate.checker import Outcome, Rejected, check_bytes, evaluate_term
from verify.certificate.disagreement import Disagreement
from verify.certificate.hypotheses import hypotheses_part
from verify.certificate.quantities import Quantity, dead_quantity, size_quantity
from verify.certificate.shapes import shape_of, single_bounds
from verify.certificate.terms import CannotBeWritten, Json, ratio
from verify.certificate.training import Compared, LevelSplit, Training, level_part, training_part
from verify.dead_neuron import dead_probability
from verify.enclosure import Enclosure, at_least, at_most, evaluate_bound
from verify.evaluate import Evaluation
from verify.sizes import case_sizes

__all__ = ["Certificate", "write_certificate"]

FORMAT = "nonconv-certificate/2"
LEAST_BITS, MOST_BITS, SPARE_BITS = 128, 4096, 100
NARROW_BITS = 24  # how narrow an enclosure by the checker must be, relative to the bound and its complement
SLACK_BITS = 64  # by how little it is widened, for a second way to compute the same bound
MOST_ROWS = 2**18
LAYERS = {
    LayerDeath.DEAD: "dead",
    LayerDeath.STRUCTURAL: "structural",
    LayerDeath.ROBUST: "robust",
    LayerDeath.JOINT: "joint",
    LayerDeath.WEIGHTS: "weights",
}


@dataclass(frozen=True)
class Certificate:
    """The text of a certificate, and what the checker said of it: `ACCEPTED` or `ACCEPTED IN PART`."""

    data: bytes
    outcome: Outcome


@dataclass(frozen=True)
class _BoundPart:
    """A bound as a shape with its enclosure, and the quantities that it names."""

    shape: Json
    value: Enclosure
    quantities: dict[str, Quantity]

    @property
    def effort(self) -> tuple[int, int, int]:
        """How much is taken on trust, named and written."""
        taken = sum(quantity.taken for quantity in self.quantities.values())
        return taken, len(self.quantities), len(json.dumps(self.shape))

    @property
    def tours(self) -> bool:
        """Whether it names the size of a tour; the checker builds T14 and T15 again from that size."""
        return not self.quantities.keys().isdisjoint(map(str, (TOUR_LENGTH, TOUR_ZEROS)))

    def to_json(self) -> Json:
        """The member `bound`."""
        return {"shape": self.shape, "lo": ratio(self.value.lo), "hi": ratio(self.value.hi)}


def write_certificate(
    problem: Problem,
    evaluation: Evaluation,
    compared: Compared | None = None,
    *,
    optimizers: Sequence[OptimizerClass] = (),
    level: LevelSplit | None = None,
    training: Training | None = None,
    name: str = "",
    most_rows: int = MOST_ROWS,
) -> Certificate:
    """Write a certificate of a theorem put to a problem, and let the checker read it.

    Symbols:  optimizers = all those of which it speaks, if not of the problem's alone: those for which hypotheses and
              event are the same; level, training = what an audit adds; most_rows = how many characters of data it may
              hold.
    Rigour:   the enclosure of the bound holds the values of both engines; the checker has accepted the text.
    Fails:    Disagreement if the two engines contradict each other, or the checker rejects the text; InvalidInput if
              the data have numbers that the format cannot hold.
    """
    attempt = _Attempt(
        problem,
        evaluation,
        compared if compared is not None and compared.fits else None,
        level,
        training,
        tuple(optimizers) or (problem.optimizer,),
        name or f"{problem.architecture}, {problem.initialization}, {problem.data.name}",
        most_rows,
        bits=_first_bits(evaluation.bound),
    )
    while True:
        try:
            text = attempt.text()
        except _TooCoarse:
            attempt = attempt.finer or replace(attempt, by_term=False)
            continue
        outcome = check_bytes(text)
        if outcome.code in (0, 4):
            return Certificate(text, outcome)
        following = attempt.after(outcome.verdict)
        if following is None:
            raise Disagreement(
                f"{evaluation.theorem.id} for {attempt.name}: the checker does not accept what was computed "
                f"({outcome.verdict}); nothing was written"
            )
        attempt = following


def _first_bits(bound: Enclosure | None) -> int:
    """A precision that sees the bound and its complement."""
    if bound is None:
        return LEAST_BITS
    ends = [end for end in (bound.lo, 1 - bound.hi, bound.hi, 1 - bound.lo) if end > 0]
    zeros = max((end.denominator.bit_length() - end.numerator.bit_length() for end in ends), default=0)
    return min(max(LEAST_BITS, 64 * ((zeros + SPARE_BITS + 63) // 64)), MOST_BITS)


def _instance(problem: Problem, evaluation: Evaluation) -> Instance:
    """The way of putting the theorem to the problem that was evaluated; the number of dead neurons tells which."""
    instance = evaluation.theorem.instance(problem, (evaluation.event.neurons or 1) - 1)
    if instance.event != evaluation.event:
        raise ValueError(f"{evaluation.theorem.id}: no way of putting it to the problem has event {evaluation.event}")
    return instance


@dataclass(frozen=True)
class _Attempt:
    """One way of writing a certificate.

    Symbols: widened = the quantities with ends further out, for what the checker can only enclose; by_term = whether
    the bound is a term where it can be.
    """

    problem: Problem
    evaluation: Evaluation
    compared: Compared | None
    level: LevelSplit | None
    training: Training | None
    optimizers: tuple[OptimizerClass, ...]
    name: str
    most_rows: int
    bits: int
    widened: frozenset[str] = field(default=frozenset())
    by_term: bool = True

    def after(self, rejection: str) -> _Attempt | None:
        """What to try next: wider ends, a number where the work is too much, more bits. None: nothing is left."""
        reason = rejection.removeprefix("REJECTED: ")
        name = reason.partition(":")[0]
        if name in self._quantities and name not in self.widened:
            return replace(self, widened=self.widened | {name})
        if "units of work" in reason:
            return replace(self, by_term=False) if self.by_term else self._without_rows()
        imprecise = reason.startswith(("bound:", "verdict:", "a divisor", "the root", "the logarithm"))
        return self.finer if imprecise else None

    @property
    def finer(self) -> _Attempt | None:
        """The same with twice the precision, None beyond the largest."""
        return replace(self, bits=2 * self.bits) if 2 * self.bits <= MOST_BITS else None

    def _without_rows(self) -> _Attempt | None:
        return replace(self, most_rows=0) if self.most_rows else None

    def text(self) -> bytes:
        """The certificate. Fails: Disagreement if the engines contradict each other about the bound."""
        bound = self._bound
        content: dict[str, Json] = {
            "format": FORMAT,
            "bits": self.bits,
            "case": case_part(self.problem, common_class(self.optimizers), self._data, self.name),
            "theorem": self._theorem,
            "hypotheses": self._hypotheses,
            "quantities": {name: quantity.to_json() for name, quantity in self._quantities.items()},
            "bound": None if bound is None else bound.to_json(),
            "level": level_part(self.level),
            "comparison": None if self.compared is None else self.compared.to_json(),
            "training": self._training,
        }
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        digest = hashlib.sha256(canonical.encode("ascii")).hexdigest()
        ordered = {"format": FORMAT, "sha256": digest} | content
        lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in ordered.items())
        return f"{{\n{lines}\n}}\n".encode("ascii")

    @cached_property
    def _data(self) -> CertificateData:
        return certificate_data(self.problem.data, self.most_rows)

    @cached_property
    def _instance(self) -> Instance:
        return _instance(self.problem, self.evaluation)

    @property
    def _theorem(self) -> Json:
        theorem, event = self.evaluation.theorem, self.evaluation.event
        return {
            "id": theorem.id,
            "relation": theorem.relation.value,
            "dead": event.neurons,
            "event": {
                "layer": None if event.layer is None else LAYERS[event.layer],
                "neurons": event.neurons,
                "nonpositive_bias": event.nonpositive_bias,
            },
            "proof": prose(theorem.proof),
        }

    @property
    def _hypotheses(self) -> Json:
        later = self.problem.architecture.hidden[1:]
        with_rows = self._data.rows is not None
        return hypotheses_part(self._instance, self.evaluation.findings, later, self.problem.data, with_rows=with_rows)

    @property
    def _training(self) -> Json:
        problem, with_rows = self.problem, self._data.rows is not None
        with_bound = self.evaluation.bound is not None
        return training_part(
            self.training, problem.architecture, problem.data, with_rows=with_rows, with_bound=with_bound
        )

    # --- quantities and bound --------------------------------------------------------------------------------------

    @cached_property
    def _quantities(self) -> dict[str, Quantity]:
        """Those that the bound names, and `p_1` where a hypothesis is decided by it."""
        found = {} if self._bound is None else dict(self._bound.quantities)
        for hypothesis, finding in zip(self._instance.hypotheses, self.evaluation.findings, strict=True):
            if isinstance(hypothesis, NeuronCanBeDead) and finding.status is not Status.UNKNOWN:
                found |= self._known({P_DEAD})
        return dict(sorted(found.items()))

    def _known(self, symbols: Iterable[sympy.Symbol]) -> dict[str, Quantity]:
        with_rows = self._data.rows is not None
        wanted = set(symbols)
        sizes = case_sizes(self.problem, wanted).values
        found = {
            str(symbol): size_quantity(symbol, value, self.problem, with_rows=with_rows)
            for symbol, value in sizes.items()
        }
        if P_DEAD in wanted:
            p_dead = dead_probability(self.problem, nonpositive_bias=self._instance.nonpositive_bias)
            if p_dead is None:
                raise ValueError(f"{self.evaluation.theorem.id}: no law of single weights, and yet p_1 is asked for")
            found[str(P_DEAD)] = dead_quantity(p_dead, self.problem, with_rows=with_rows)
        return {name: quantity.widened() if name in self.widened else quantity for name, quantity in found.items()}

    @cached_property
    def _bound(self) -> _BoundPart | None:
        """Of the terms that reach the bound the one that takes least on trust; if none does, the bound as a number.

        Fails: Disagreement if a term exceeds the bound, or all together miss it; _TooCoarse.
        """
        value = self.evaluation.bound
        if value is None:
            return None
        number = _BoundPart({"kind": "number", "value": ratio(value.lo)}, value, {})
        if not self.by_term:
            return number
        known, coarse, left_out = self._parts()
        self._compare(known, self._by_arb(value, known), complete=not coarse and not left_out)
        reached = [part for part in known if part.value.lo >= value.lo - _unit(value, NARROW_BITS)]
        if not reached and left_out:
            return number
        if not reached:
            raise _TooCoarse
        chosen = min(reached, key=lambda part: (not part.tours, part.effort))
        return replace(chosen, value=_hull(value, chosen.value))

    def _parts(self) -> tuple[list[_BoundPart], bool, bool]:
        """The single bounds as terms, whether this precision is too coarse for one, and whether one is left out.

        What has no term, or takes too much work, is left out.
        """
        known, coarse, left_out = [], False, False
        for bound in single_bounds(self._instance.bound()):
            try:
                quantities = self._known(bound.symbols)
                shape = shape_of(bound, {symbol: quantities[str(symbol)].value for symbol in bound.symbols})
                ends = evaluate_term(shape, {name: each.value for name, each in quantities.items()}, self.bits)
            except CannotBeWritten:
                left_out = True
            except Rejected as error:
                too_long = "units of work" in str(error)
                left_out, coarse = left_out or too_long, coarse or not too_long
            else:
                known.append(_BoundPart(shape, Enclosure(*ends), quantities))
        return known, coarse, left_out

    def _by_arb(self, value: Enclosure, known: Sequence[_BoundPart]) -> Enclosure:
        """What Arb finds at the numbers of the certificate, where they are not those of the evaluation.

        Fails: Disagreement if that is not nearly the same.
        """
        quantities = {name: each for part in known for name, each in part.quantities.items()}
        if not self.widened & set(quantities):
            return value
        sizes = {symbol: quantities[str(symbol)].value for symbol in SIZES if str(symbol) in quantities}
        p_dead = quantities[str(P_DEAD)].value if str(P_DEAD) in quantities else Fraction(0)
        again = evaluate_bound(self._instance.bound(), p_dead, sizes)
        apart = max(again.lo - value.hi, value.lo - again.hi)
        if apart > _unit(value, NARROW_BITS):
            self._disagree(again, value)
        return again

    def _compare(self, known: Sequence[_BoundPart], value: Enclosure, *, complete: bool) -> None:
        """The largest single bound is the bound: none may lie above what Arb found, and not all of them below."""
        for part in known:
            if part.value.lo > value.hi:
                self._disagree(part.value, value)
        if complete and all(part.value.hi < value.lo for part in known):
            self._disagree(max((part.value for part in known), key=lambda found: found.hi), value)

    def _disagree(self, found: Enclosure, value: Enclosure) -> NoReturn:
        one, other = (f"[{at_least(each.lo, 12)}, {at_most(each.hi, 12)}]" for each in (value, found))
        raise Disagreement(
            f"{self.evaluation.theorem.id} for {self.name}: the bound was found in {one}, but computed again it lies "
            f"in {other}; nothing was written"
        )


class _TooCoarse(Exception):
    """The precision of an attempt does not see the bound."""


def _hull(value: Enclosure, again: Enclosure) -> Enclosure:
    """An enclosure that holds both engines' values, the checker's with a little room on both sides."""
    slack = _unit(again, SLACK_BITS)
    low = again.lo - slack if again.lo < 0 else max(again.lo - slack, Fraction(0))
    return Enclosure(min(value.lo, low), max(value.hi, again.hi + slack))


def _unit(value: Enclosure, bits: int) -> Fraction:
    """`2^-bits` times the smaller of a bound and its complement; 0 if that is 0."""
    return min(abs(value.hi), abs(1 - value.lo)) * Fraction(1, 2**bits)
