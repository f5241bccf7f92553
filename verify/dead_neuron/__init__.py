"""`p_1`: the probability that one first-layer neuron is dead on the data (math §6).

Each method answers with an enclosure or with a lower bound, or declines; `dead_probability` takes the best lower end.
Every bound of the library increases with `p_1` (math §5), so a lower bound is always safe.
"""

from __future__ import annotations

from fractions import Fraction

from theorems.hypotheses import Evidence
from theorems.problem import Problem
from verify.dead_neuron.box import box_uniform
from verify.dead_neuron.one_dimensional import normal_1d, uniform_1d, zero_bias_1d
from verify.dead_neuron.result import DeadProbability
from verify.enclosure import Enclosure

__all__ = ["METHODS", "TRIVIAL", "DeadProbability", "dead_probability"]

TRIVIAL = DeadProbability(
    "trivial",
    Enclosure(Fraction(0), Fraction(1)),
    False,
    Evidence.CERTIFIED,
    "no certified method yet for these laws and data",
)

METHODS = {
    "uniform_1d": uniform_1d,
    "normal_1d": normal_1d,
    "zero_bias_1d": zero_bias_1d,
    "box_uniform": box_uniform,
}


def dead_probability(problem: Problem) -> DeadProbability | None:
    """Return the certified answer with the largest lower end, exact ones first.

    Where no method applies that is the trivial `p_1 >= 0`; None only if single weights have no law at all.
    """
    if not problem.initialization.independent:
        return None
    answers = [answer for method in METHODS.values() if (answer := method(problem)) is not None]
    return max(answers, key=lambda answer: (answer.two_sided, answer.enclosure.lo), default=TRIVIAL)
