"""A theorem put to a problem: hypotheses decided, bound enclosed, margin and rate. No simulation here.

`nonconv bound` prints this; an audit compares it with frequencies.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from dataclasses import dataclass, replace
from fractions import Fraction

from theorems.bounds import P_DEAD, BinomialChain
from theorems.hypotheses import Evidence, Finding, Status, combined_status, weakest
from theorems.problem import Problem
from theorems.setting import Architecture, DataSet
from theorems.theorem import Event, ForcedRisk, Instance, Theorem
from verify.dead_neuron import DeadProbability, dead_probability
from verify.enclosure import Enclosure, evaluate, evaluate_bound
from verify.hypotheses import decide
from verify.risk import best_witness

__all__ = ["Evaluation", "certified_margin", "evaluate_theorem", "smallest_depth_reaching", "smallest_width_reaching"]

MAX_WIDTH, MAX_DEPTH = 1024, 1024
MAX_CHAIN = 30_000_000


@dataclass(frozen=True)
class Evaluation:
    """What is certified about a theorem on a problem.

    bound: enclosure of the bound's value, None where the hypotheses are not all known to hold or no `p_1` is known;
    rate: lower bound of the exponential rate, per `rate_per`.
    """

    theorem: Theorem
    findings: tuple[Finding, ...]
    status: Status
    reason: str
    event: Event
    forced: ForcedRisk
    bound: Enclosure | None
    evidence: Evidence
    rate: Fraction | None
    rate_per: str | None


def evaluate_theorem(theorem: Theorem, problem: Problem) -> Evaluation:
    """Decide the hypotheses of a theorem and enclose its bound.

    Of the ways to put the theorem to the problem, best bound first, the first whose hypotheses all hold counts; if none
    is known to hold, the first that may hold is reported, then the first that fails.
    Rigour:   enclosure; where only a lower bound of `p_1` is known, the bound is evaluated there, which is safe.
    """
    p_dead = dead_probability(problem)
    status_of = {Status.FAILS: 0, Status.UNKNOWN: 1, Status.HOLDS: 2}

    def rank(number: int) -> int:
        return status_of[combined_status(_findings(theorem.instance(problem, number), problem, p_dead))[0]]

    count = theorem.n_instances(problem)
    first = next(f for wanted in (2, 1, 0) if (f := bisect_left(range(count), wanted, key=rank)) < count)
    instance = theorem.instance(problem, first)
    return _evaluation(theorem, problem, p_dead, instance, _findings(instance, problem, p_dead))


def _findings(instance: Instance, problem: Problem, p_dead: DeadProbability | None) -> tuple[Finding, ...]:
    return tuple(decide(hypothesis, problem, p_dead) for hypothesis in instance.hypotheses)


def _evaluation(
    theorem: Theorem,
    problem: Problem,
    p_dead: DeadProbability | None,
    instance: Instance,
    findings: tuple[Finding, ...],
) -> Evaluation:
    status, reason = combined_status(findings)
    bound = _bound(instance, p_dead) if status is Status.HOLDS and p_dead is not None else None
    if status is Status.HOLDS and bound is None:
        status = Status.UNKNOWN
        reason = f"the chain of {theorem.id} is too large to evaluate for architecture {problem.architecture}"
    used = [finding.evidence for finding in findings] + ([p_dead.evidence] if p_dead is not None else [])
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


def _bound(instance: Instance, p_dead: DeadProbability) -> Enclosure | None:
    """Bounds increase with `p_1`: its lower end gives the lower end of the bound, its upper end the upper one.

    None if a chain would take more than MAX_CHAIN operations.
    """
    bound = instance.bound()
    if isinstance(bound, BinomialChain) and bound.operations > MAX_CHAIN:
        return None
    lower = evaluate_bound(bound, p_dead.enclosure.lo)
    if not p_dead.two_sided or p_dead.enclosure.width == 0:
        return lower
    return Enclosure(lower.lo, evaluate_bound(bound, p_dead.enclosure.hi).hi)


def _rate(instance: Instance, p_dead: DeadProbability | None) -> tuple[Fraction | None, str | None]:
    rate = instance.rate
    if rate is None:
        return None, None
    if not rate.expression.has(P_DEAD):
        return evaluate(rate.expression).lo, rate.per
    if p_dead is None or p_dead.enclosure.lo in (0, 1):
        return None, None
    return evaluate(rate.expression, {P_DEAD: p_dead.enclosure.lo}).lo, rate.per


def certified_margin(evaluation: Evaluation, architecture: Architecture, data: DataSet) -> Fraction | None:
    """Some `eps > 0` with `inf R >= I(l) + eps` on the theorem's event, or None where none is certified.

    Source:   math T9: `nu + V - U` with the risk `U` of an explicit network, where a constant output is forced.
    Rigour:   exact.
    """
    if evaluation.bound is None or evaluation.forced.first_width not in (None, 0):
        return None
    gap = data.noise_floor + data.variance - best_witness(architecture, data).risk
    return gap if gap > 0 else None


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
