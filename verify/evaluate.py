"""A theorem put to a problem: hypotheses decided, bound enclosed, margin and rate. No simulation here.

`nonconv bound` prints this; an audit compares it with frequencies.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

import sympy

from theorems.bounds import P_DEAD, BinomialChain, Bound
from theorems.hypotheses import Evidence, Finding, NeuronCanBeDead, Status, combined_status, weakest
from theorems.problem import Problem
from theorems.setting import Architecture, DataSet
from theorems.theorem import Event, ForcedRisk, Instance, Theorem
from verify.dead_neuron import TRIVIAL, DeadProbability, dead_probability
from verify.enclosure import Enclosure, evaluate, evaluate_bound
from verify.hypotheses import decide
from verify.risk import best_witness, dead_neuron_gain, ridge_gain, risk_floor
from verify.sizes import case_sizes

__all__ = [
    "Evaluation",
    "certified_margin",
    "evaluate_theorem",
    "forced_risk",
    "restarts_needed",
    "smallest_depth_reaching",
    "smallest_width_reaching",
]

MAX_WIDTH, MAX_DEPTH = 1024, 1024
MAX_CHAIN = 30_000_000


@dataclass(frozen=True)
class Evaluation:
    """What is certified about a theorem on a problem.

    obstacle: where the theorem has a stronger form (fewer dead neurons) that is not known to hold, why not;
    bound: enclosure of the bound's value, None where the hypotheses are not all known to hold or no `p_1` is known;
    rate: lower bound of the exponential rate, per `rate_per`.
    """

    theorem: Theorem
    findings: tuple[Finding, ...]
    status: Status
    reason: str
    event: Event
    forced: ForcedRisk | None
    bound: Enclosure | None
    evidence: Evidence
    rate: Fraction | None
    rate_per: str | None
    obstacle: str | None = None


def evaluate_theorem(theorem: Theorem, problem: Problem) -> Evaluation:
    """Decide the hypotheses of a theorem and enclose its bound.

    Of the ways to put the theorem to the problem, best bound first, the first whose hypotheses all hold counts; if none
    is known to hold, the first that may hold is reported, then the first that fails.
    Rigour:   enclosure; where only a lower bound of `p_1` is known, the bound is evaluated there, which is safe.
    """
    status_of = {Status.FAILS: 0, Status.UNKNOWN: 1, Status.HOLDS: 2}

    def rank(number: int) -> int:
        return status_of[combined_status(_findings(theorem.instance(problem, number), problem))[0]]

    count = theorem.n_instances(problem)
    first = next(f for wanted in (2, 1, 0) if (f := bisect_left(range(count), wanted, key=rank)) < count)
    found = _evaluation(theorem, problem, theorem.instance(problem, first))
    if first == 0 or found.status is not Status.HOLDS:
        return found
    return replace(found, obstacle=combined_status(_findings(theorem.instance(problem, first - 1), problem))[1])


def _p_dead(instance: Instance, problem: Problem, *, needed: bool) -> DeadProbability | None:
    """What is known of `p_1`; that can take seconds, so nothing is found out where nothing depends on it."""
    return dead_probability(problem, nonpositive_bias=instance.nonpositive_bias) if needed else TRIVIAL


def _findings(instance: Instance, problem: Problem) -> tuple[Finding, ...]:
    p_dead = _p_dead(instance, problem, needed=NeuronCanBeDead() in instance.hypotheses)
    return tuple(decide(hypothesis, problem, p_dead) for hypothesis in instance.hypotheses)


def _evaluation(theorem: Theorem, problem: Problem, instance: Instance) -> Evaluation:
    findings = _findings(instance, problem)
    status, reason = combined_status(findings)
    bound, used = None, [finding.evidence for finding in findings]
    term = instance.bound() if status is Status.HOLDS else None
    p_dead = None if term is None else _p_dead(instance, problem, needed=P_DEAD in {*term.symbols, *_in_rate(instance)})
    if term is not None and p_dead is not None:
        if isinstance(term, BinomialChain) and term.operations > MAX_CHAIN:
            status = Status.UNKNOWN
            reason = f"the chain of {theorem.id} is too large to evaluate for architecture {problem.architecture}"
        else:
            sizes = case_sizes(problem, term.symbols)
            bound = _enclosed(term, p_dead, sizes.values)
            used += [sizes.evidence, *([p_dead.evidence] if P_DEAD in term.symbols else [])]
    rate, rate_per = _rate(instance, p_dead) if bound is not None else (None, None)
    return Evaluation(
        theorem=theorem,
        findings=findings,
        status=status,
        reason=reason,
        event=instance.event,
        forced=instance.forced,
        bound=bound,
        evidence=weakest([*used, Evidence.CERTIFIED]),
        rate=rate,
        rate_per=rate_per,
    )


def _enclosed(bound: Bound, p_dead: DeadProbability, sizes: Mapping[sympy.Symbol, Fraction]) -> Enclosure:
    """Bounds increase with `p_1`: its lower end gives the lower end of the bound, its upper end the upper one."""
    lower = evaluate_bound(bound, p_dead.enclosure.lo, sizes)
    if not p_dead.two_sided or p_dead.enclosure.width == 0:
        return lower
    return Enclosure(lower.lo, evaluate_bound(bound, p_dead.enclosure.hi, sizes).hi)


def _in_rate(instance: Instance) -> set[sympy.Symbol]:
    return set() if instance.rate is None else instance.rate.expression.free_symbols


def _rate(instance: Instance, p_dead: DeadProbability | None) -> tuple[Fraction | None, str | None]:
    rate = instance.rate
    if rate is None:
        return None, None
    if P_DEAD not in rate.expression.free_symbols:
        return evaluate(rate.expression).lo, rate.per
    if p_dead is None or p_dead.enclosure.lo in (0, 1):
        return None, None
    return evaluate(rate.expression, {P_DEAD: p_dead.enclosure.lo}).lo, rate.per


def forced_risk(forced: ForcedRisk, architecture: Architecture, data: DataSet) -> Fraction:
    """Certified lower bound of the risk that an event forces on every later network.

    Source:   math Lemma 4 (constant output), Lemmas 5, 6 and 7 (dead neurons removed).
    Rigour:   exact; the smaller one where one of two holds.
    """
    constant = data.noise_floor + data.variance
    if forced.constant:
        return constant
    floor = risk_floor(forced.first_width or 0, architecture.hidden[1:], data).value
    return min(floor, constant) if forced.or_constant else floor


def certified_margin(evaluation: Evaluation, architecture: Architecture, data: DataSet) -> Fraction | None:
    """Some `eps > 0` with `inf R >= I(l) + eps` on the theorem's event, or None where none is certified.

    Source:   math T9: the forced risk less the risk `U` of an explicit network, or the gain of Lemma 4, 5 or 6.
    Rigour:   exact or rounded down; the largest of what is known.
    """
    forced = evaluation.forced
    if evaluation.bound is None or forced is None:
        return None
    gap = forced_risk(forced, architecture, data) - best_witness(architecture, data).risk
    gains = []
    if forced.constant or forced.or_constant:
        gains.append(ridge_gain(data))
    if not forced.constant:
        gains.append(dead_neuron_gain(architecture, forced.first_width or 0, data))
    eps = max(gap, min(gains))
    return eps if eps > 0 else None


def restarts_needed(bound: Fraction, success: Fraction) -> int | None:
    """At least how many independent runs it takes to succeed once with this probability, if each fails with `bound`.

    Source:   math T6: `r >= ln(1 - a)/ln B`.
    Rigour:   rounded down to what is certain; None if the bound is 0 (one run may do) or 1 (no number does).
    """
    if not 0 < bound < 1 or not 0 < success < 1:
        return None
    needed = evaluate(sympy.log(_exact(1 - success)) / sympy.log(_exact(bound)))
    return max(1, math.ceil(needed.lo))


def _exact(value: Fraction) -> sympy.Rational:
    return sympy.Rational(value.numerator, value.denominator)


def smallest_width_reaching(theorem: Theorem, problem: Problem, target: Fraction) -> int | None:
    """Smallest first-layer width at which the theorem applies with a certified bound `>= target`, up to MAX_WIDTH.

    The search ends where the theorem stops applying: dead neurons cost nothing once the others can interpolate.
    """
    widths = problem.architecture.widths
    for width in range(1, MAX_WIDTH + 1):
        found = _resized(theorem, problem, (widths[0], width, *widths[2:]))
        if found.status is not Status.HOLDS:
            return None
        if found.bound is not None and found.bound.lo >= target:
            return width
    return None


def smallest_depth_reaching(theorem: Theorem, problem: Problem, target: Fraction) -> int | None:
    """Smallest number of hidden layers (all of one width) with a certified bound `>= target`, up to MAX_DEPTH.

    The bounds of the depth theorems increase with the depth, so the search may gallop and then halve.
    """
    widths = problem.architecture.widths
    now = evaluate_theorem(theorem, problem)
    if len(set(problem.architecture.hidden)) > 1 or _is_hopeless(now, target):
        return None

    def reached(layers: int) -> bool:
        found = _resized(theorem, problem, (widths[0], *[widths[1]] * layers, widths[-1]))
        return found.bound is not None and found.bound.lo >= target

    high = 1
    while not reached(high):
        if high >= MAX_DEPTH:
            return None
        high *= 2
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) else (middle, high)
    return high


def _is_hopeless(now: Evaluation, target: Fraction) -> bool:
    """Whether the rate per layer is too small for the target within MAX_DEPTH; guides the search, proves nothing."""
    return now.rate is not None and math.exp(-float(now.rate) * 2 * MAX_DEPTH) > 1 - target


def _resized(theorem: Theorem, problem: Problem, widths: tuple[int, ...]) -> Evaluation:
    return evaluate_theorem(theorem, replace(problem, architecture=Architecture(widths)))
