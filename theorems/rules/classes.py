"""What is known of a rule with given settings: for every property a proof, a counterexample, or why it is open."""

from __future__ import annotations

from dataclasses import dataclass

import sympy

from theorems.hypotheses import IMPLIED, Evidence, Finding, OptimizerClass, Property, Status
from theorems.rules.conditions import number
from theorems.rules.counterexample import Counterexample, counterexamples
from theorems.rules.long_run import LongRun, in_the_long_run
from theorems.rules.proof import DIRECT, Proof, conditions_of, prove, prove_freeze
from theorems.rules.table import C4_RULES, variant_for
from theorems.rules.transition import Case, Decay, Rule, Settings

__all__ = ["Judgement", "Open", "class_of_rule", "every_rule", "judge"]


@dataclass(frozen=True)
class Open:
    """Neither proved nor refuted, and why."""

    why: str


Judgement = Proof | Counterexample | LongRun | Open


def judge(case: Case, settings: Settings) -> dict[Property, Judgement]:
    """Decide every property of math §2 for a case at these settings (all of them, defaults included).

    What follows from a stronger property is given by the proof of that one.
    """
    failed = [condition.text for condition in case.rule.conditions if not condition.holds(settings)]
    if failed:
        return dict.fromkeys(Property, Open(f"side condition {failed[0]} fails"))
    found: dict[Property, Judgement] = {}
    reasons: dict[Property, str] = {}
    known_factor = case.decay is not Decay.COUPLED or case.rule.shrinking is not None
    for wanted in DIRECT if known_factor else ():
        missing = [c.text for c in conditions_of(case, wanted) if not c.holds(settings)]
        proof = None if missing or wanted in found else prove(case, wanted)
        if missing:
            reasons[wanted] = f"not proved, since {missing[0]} fails"
        elif proof is not None and proof.complete:
            found |= {known: proof for known in (wanted, *IMPLIED[wanted]) if known not in found}
        elif proof is not None:
            reasons[wanted] = f"not proved: {proof.open[0]}"
    if number(settings, "lr") == 0:
        why = "and nothing moves while lr = 0"
    else:
        left = frozenset(Property) - found.keys()
        found |= counterexamples(case, settings, left) if left else {}
        found = dict(in_the_long_run(case, settings)) | found
        why = f"and {case.rule.patience} steps of zero gradients gave no counterexample"
    for wanted in Property:
        found.setdefault(wanted, Open(f"{reasons.get(wanted, 'not proved')}, {why}"))
    return found


def class_of_rule(rule: Rule, settings: Settings, name: str) -> OptimizerClass:
    """Say which properties of math §2 a rule has with these settings (all of the rule's settings, defaults included).

    The settings may make the rule another one of its family, which is then spoken of. Weight decay is taken to be on
    all parameters. What is neither proved nor refuted is unknown.
    """
    variant = variant_for(rule, settings)
    if variant is None:
        return _nothing_known(name, f"these settings are not those of the rule {rule.recursion!r} that was proved")
    decay = number(settings, "weight_decay") if "weight_decay" in settings else sympy.Integer(0)
    if decay is None:
        return _nothing_known(name, f"weight_decay={settings['weight_decay']} is not a number")
    kind = Decay.NONE if decay == 0 else Decay.COUPLED
    if decay != 0 and (variant.decoupled or settings.get("decoupled_weight_decay") is True):
        kind = Decay.DECOUPLED
    if kind is not Decay.NONE and kind not in variant.decays:
        return _nothing_known(name, f"the rule {variant.recursion!r} was not proved {kind.value}")
    judgements = judge(Case(variant, kind), settings)
    return OptimizerClass(name, tuple((wanted, _finding(wanted, found)) for wanted, found in judgements.items()))


def _nothing_known(name: str, why: str) -> OptimizerClass:
    return OptimizerClass(name, tuple((wanted, _finding(wanted, Open(why))) for wanted in Property))


def _finding(wanted: Property, found: Judgement) -> Finding:
    if isinstance(found, Open):
        return Finding(wanted.name, Status.UNKNOWN, Evidence.ASSUMED, found.why)
    if isinstance(found, Counterexample):
        return Finding(wanted.name, Status.FAILS, Evidence.PROVED, _refutation(found))
    if isinstance(found, LongRun):
        return Finding(wanted.name, Status.HOLDS if found.holds else Status.FAILS, Evidence.PROVED, found.why)
    return Finding(wanted.name, Status.HOLDS, Evidence.PROVED, _proof(found))


def _proof(proof: Proof) -> str:
    given = f"; given {', '.join(proof.conditions)}" if proof.conditions else ""
    told = f"({proof.shows.name}) proved symbolically for {proof.case.text}"
    invariant = ", ".join(proof.invariant) or "no state is needed"
    if proof.shows is Property.F:
        return f"{told}: {invariant}, so that a parameter whose gradients are all 0 is multiplied by 1{given}"
    most = "[0, 1]" if proof.shows in (Property.DJ, Property.DW) else "[0, oo)"
    return (
        f"{told}: each step multiplies every untouched parameter by {_formula(proof.factors[0])}, which lies in {most} "
        f"({invariant}{given})"
    )


def _formula(expression: sympy.Expr) -> str:
    """The formula with its constant first, `1 - lr*weight_decay`."""
    return str(sympy.sstr(expression, order="rev-lex"))


def _refutation(example: Counterexample) -> str:
    decay = example.settings.get("weight_decay", 0)
    cause = f"weight_decay={float(decay):g} moves coordinates whose gradients are 0; " if decay else ""
    start, end = (_shown(point) for point in (example.before, example.after))
    return (
        f"{cause}step {example.step} moves the untouched (w; b) = {start}{f' to {end}' if end else ''}: {example.what}"
    )


def _shown(point: tuple[sympy.Expr, ...]) -> str:
    """A neuron for readers, rounded; nothing if it has parts that are not numbers."""
    if not all(value.is_number for value in point):
        return ""
    return "({:.6g}, {:.6g}; {:.6g})".format(*(float(value) for value in point))


def every_rule() -> OptimizerClass:
    """Return what holds for all nine rules with admissible settings and no weight decay: (F), from nine proofs."""
    unproved = [rule.id for rule in C4_RULES.values() if not prove_freeze(rule).complete]
    status = Status.UNKNOWN if unproved else Status.HOLDS
    why = (
        f"not proved for {', '.join(unproved)}"
        if unproved
        else "(F) proved symbolically for each of the nine rules of C4"
    )
    finding = Finding("F", status, Evidence.ASSUMED if unproved else Evidence.PROVED, why)
    return OptimizerClass("each of the nine rules of C4, any learning rates", ((Property.F, finding),))
