"""The audit in plain English: each case in one sentence, the summary, what the level promises.

Every probability in a sentence comes from `verify.report.numbers`: what is said to be *at least* is rounded down, what
is said to be *at most* is rounded up.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from theorems.theorem import Relation
from verify.enclosure.display import at_least
from verify.inference import Verdict
from verify.report.numbers import clean, lower, many, upper
from verify.report.rows import UNTRAINED, Row, Split, certain_of, make_rows, was_trained
from verify.results import CaseResult, FrequencyResult, Results, StartResult, exact

__all__ = [
    "case_sentence",
    "conclusion",
    "level_sentence",
    "networks_sentence",
    "row_sentence",
    "strongest",
    "summary",
]

DIGITS = 3  # of probabilities in sentences; more where they are needed to tell a number from 1
LONGEST = 24


# --- a case -------------------------------------------------------------------------------------------------------


def case_sentence(start: StartResult, case: CaseResult) -> str:
    """One case in one sentence: what is proved, what was seen, how the two compare, what became of training."""
    return row_sentence(Row(start, (case,), 1))


def row_sentence(row: Row) -> str:
    """The same of a row of the verdict table, which may stand for several optimizers."""
    subject = f"On {row.data} with {row.initialization} initialization and {_network(row.start.widths)}"
    parts = [f"{subject}, {_claimed(row)}", *_seen(row), _trained(row)]
    return f"{'; '.join(parts)}."


def _network(widths: Sequence[int]) -> str:
    """The hidden layers: "one hidden layer of 31 neurons", "20 hidden layers of 3 neurons"."""
    hidden = widths[1:-1]
    if len(hidden) == 1:
        return f"one hidden layer of {many(hidden[0], 'neuron')}"
    if len(set(hidden)) == 1:
        return f"{len(hidden)} hidden layers of {many(hidden[0], 'neuron')}"
    if len(hidden) <= 6:
        return f"hidden layers of {', '.join(str(width) for width in hidden)} neurons"
    return f"{many(len(hidden), 'hidden layer')} of {min(hidden)} to {max(hidden)} neurons"


def _claimed(row: Row) -> str:
    """What the best theorem says of the row, or why none says anything."""
    who, name = _who(row), row.theorem
    match row.verdict:
        case Verdict.NOT_APPLICABLE:
            return f"no theorem gives a bound for training with {who} ({name}: {clean(row.best.judgement.why)})"
        case Verdict.VACUOUS:
            return f"the bound for training with {who} ({name}) allows every probability and says nothing"
    if row.bound is None:
        return f"there is no bound for training with {who} ({name}: {clean(row.best.judgement.why)})"
    if not row.best.is_lower:
        return f"{clean(row.best.event)} has probability at most {_high(exact(row.bound.hi))} ({name})"
    chance = f"probability at least {_low(exact(row.bound.lo))} ({name})"
    return f"training with {who} misses every global minimizer with {chance}"


def _seen(row: Row) -> list[str]:
    """The measured side, and the verdict in words."""
    if row.frequency is None:
        return []
    told = f"of {row.frequency.trials:,} networks drawn, {row.frequency.events:,} had {clean(row.frequency.event)}"
    if row.frequency.lost:
        told += f" and {row.frequency.lost:,} could not be decided"
    lo, hi = exact(row.frequency.lo), exact(row.frequency.hi)
    verdict = row.verdict
    if verdict is Verdict.CONFIRMED:
        return [told, f"{_certain_side(row, row.frequency)}, which confirms the bound"]
    if verdict is Verdict.CONSISTENT:
        return [told, f"the chance of that is {_between(lo, hi)}, which agrees with the bound"]
    if verdict is Verdict.REFUTED:
        return [told, f"the chance of that is {_between(lo, hi)}, which contradicts the bound"]
    if verdict is Verdict.UNDECIDED:
        return [told, f"undecided: {clean(row.best.judgement.why)}"]
    return [told]


def _certain_side(row: Row, frequency: FrequencyResult) -> str:
    """The confidence limit that shows what the theorem claims."""
    match Relation(row.best.relation):
        case Relation.AT_LEAST:
            return f"the chance of that is at least {_low(exact(frequency.lo))}"
        case Relation.AT_MOST:
            return f"the chance of that is at most {_high(exact(frequency.hi))}"
        case Relation.EQUAL:
            return f"the chance of that is {_between(exact(frequency.lo), exact(frequency.hi))}"


def _trained(row: Row) -> str:
    """What became of the trained networks: how many reached the risk U all the same."""
    trained = sum(case.run.trials for case in row.cases)
    if not trained:
        return UNTRAINED
    reached = sum(case.run.trials - case.run.risk.events - case.run.risk.lost for case in row.cases)
    events = dict.fromkeys(clean(case.run.event) for case in row.cases)
    it = "it" if row.frequency is not None and list(events) == [clean(row.best.event)] else " or ".join(events)
    told = f"of {many(trained, 'network')} trained, {_none(row.split.counts[0])} started with {it}"
    died, lost = row.split.counts[1], sum(case.run.risk.lost for case in row.cases)
    told += f", {_none(died)} came to it later and {_none(reached)} brought the risk down to U"
    if certain_of(row.cases):
        told += f" ({certain_of(row.cases):,} were certain at initialization and were counted without training)"
    return told + (f" ({lost:,} not decided)" if lost else "")


def _none(count: int) -> str:
    return f"{count:,}" if count else "none"


def _low(value: Fraction) -> str:
    return lower(value, DIGITS, LONGEST)


def _high(value: Fraction) -> str:
    return upper(value, DIGITS, LONGEST)


def _between(lo: Fraction, hi: Fraction) -> str:
    """Limits in words; an end that says nothing is left out."""
    if lo == 0:
        return f"at most {_high(hi)}"
    if hi == 1:
        return f"at least {_low(lo)}"
    return f"at least {_low(lo)} and at most {_high(hi)}"


def _who(row: Row) -> str:
    """Name the optimizers that a row speaks of, or count them if it speaks of all."""
    if len(row.cases) == row.of and row.of > 1:
        return f"each of the {row.of} optimizers"
    names = row.optimizers
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


# --- the audit ----------------------------------------------------------------------------------------------------


def conclusion(results: Results) -> str:
    """The last line of every report; it rests on `Results.refuted` alone."""
    return "Nothing refuted." if results.refuted == 0 else f"{results.refuted} refuted."


def strongest(rows: Sequence[Row]) -> Row | None:
    """The row with the largest bound of those that stand, None if there is none."""
    standing = [row for row in rows if row.verdict in (Verdict.CONFIRMED, Verdict.CONSISTENT)]
    return max(standing, key=lambda row: exact(row.bound.lo) if row.bound else Fraction(0), default=None)


def summary(results: Results) -> str:
    """One or two sentences: what came of the audit, and the strongest bound that stands."""
    total, cases = len(results.judgements()), len(results.cases)
    if not total:
        return "Nothing was compared."
    if results.refuted:
        return (
            f"{results.refuted:,} refuted of {total:,} verdicts on {many(cases, 'case')}. Either there is a bug, or a "
            "hypothesis is false, or this is the rare error that the level allows."
        )
    first = f"Nothing refuted in {total:,} verdicts on {many(cases, 'case')}."
    row = strongest(make_rows(results))
    if row is None or row.bound is None:
        return f"{first} No theorem gave a bound that could be compared."
    seen = ""
    if row.frequency is not None:
        seen = (
            f"; of {row.frequency.trials:,} networks drawn, {row.frequency.events:,} had {clean(row.frequency.event)}"
        )
    return (
        f"{first} With {_network(row.start.widths)} and {row.initialization} initialization, training on {row.data} "
        f"with {_who(row)} misses every global minimizer with probability at least {row.bound_text(2, LONGEST)} "
        f"({row.theorem}){seen}."
    )


def networks_sentence(results: Results) -> str:
    """What a bound on non-convergence does not say: how many of the trained networks still learned something."""
    if not was_trained(results):
        return f"{UNTRAINED.capitalize()}."
    trained = sum(case.run.trials for case in results.cases)
    fitted = sum(case.run.trials - case.run.risk.events - case.run.risk.lost for case in results.cases)
    share = Split((fitted, trained - fitted)).percents[0]
    reach, steps = results.settings.get("reach"), results.settings.get("steps")
    told = "" if reach is None else f", {clean(str(reach))} of the way from the best constant to a known network"
    when = "" if steps is None else f"{',' if told else ''} within {clean(str(steps))} steps"
    certain = certain_of(results.cases)
    skipped = f" {certain:,} were certain at initialization and were counted without training." if certain else ""
    return (
        f"Missing every global minimizer does not mean failing to learn: {fitted:,} of {trained:,} trained networks "
        f"(about {share} %) brought the risk down to U{told}{when}.{skipped}"
    )


def level_sentence(results: Results) -> str:
    """What the confidence limits promise together."""
    alpha, named = results.level.get("alpha"), results.level.get("comparisons")
    if not isinstance(alpha, str):
        return "The level of the audit is not recorded."
    count = len(named) if isinstance(named, dict) else 0
    kinds = sorted({t.frequency.interval for case in results.cases for t in case.theorems if t.frequency is not None})
    return (
        f"All {many(count, 'confidence interval')} ({clean(', '.join(kinds)) or 'none'}) hold together with "
        f"probability at least {at_least(1 - exact(alpha), 2)}: the level alpha = {clean(alpha)} was split among them "
        "before the first network was drawn. Verdicts of several optimizers share the interval of their common initial "
        "networks."
    )
