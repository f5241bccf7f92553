"""Update rules as symbolic transition systems, and what is proved or refuted of them (math §2, §7).

`table` is the list of rules; `proof` shows by induction what they do to parameters whose gradients have all been 0;
`counterexample` runs them exactly where they do something that a property forbids; `long_run` decides some cases that
neither reaches; `classes` puts them together.
"""

from theorems.rules.classes import Judgement, Open, class_of_rule, every_rule, judge
from theorems.rules.counterexample import NEURON, Counterexample, counterexamples, exact_trajectory
from theorems.rules.long_run import LongRun, in_the_long_run
from theorems.rules.proof import DIRECT, Proof, conditions_of, prove, prove_freeze
from theorems.rules.table import C4_RULES, RULES, variant_for
from theorems.rules.transition import (
    DECAY,
    GRADIENT,
    LR,
    THETA,
    Case,
    Condition,
    Decay,
    Keeps,
    Over,
    Rule,
    State,
    System,
    Transition,
    Update,
)

__all__ = [
    "C4_RULES",
    "DECAY",
    "DIRECT",
    "GRADIENT",
    "LR",
    "NEURON",
    "RULES",
    "THETA",
    "Case",
    "Condition",
    "Counterexample",
    "Decay",
    "Judgement",
    "Keeps",
    "LongRun",
    "Open",
    "Over",
    "Proof",
    "Rule",
    "State",
    "System",
    "Transition",
    "Update",
    "class_of_rule",
    "conditions_of",
    "counterexamples",
    "every_rule",
    "exact_trajectory",
    "in_the_long_run",
    "judge",
    "prove",
    "prove_freeze",
    "variant_for",
]
