"""T13: depth under weight decay, by the envelope over all decays (math §5 T13)."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import sympy

from theorems.bounds import Recursion
from theorems.catalogue.layers import (
    CONSTANT_OUTPUT,
    MAX_SIGN_BITS,
    all_signs_nonpositive,
    binomial_at_least,
    exact_sum,
)
from theorems.hypotheses import (
    BoundedBiasDensity,
    Hypothesis,
    IndependentInitialization,
    LabelsVary,
    OptimizerKeepsDead,
    Property,
)
from theorems.problem import Problem
from theorems.theorem import Event, Instance, LayerDeath, Theorem

__all__ = [
    "DECAY_KEPT",
    "ROBUSTLY_DEAD_LAYER",
    "THEOREM",
    "bound",
    "decay_hypotheses",
    "distinct_layers",
    "input_reach",
    "mean_reach",
]

DECAY_KEPT = ((Property.D, Property.D),)
ROBUSTLY_DEAD_LAYER = Event(LayerDeath.ROBUST, nonpositive_bias=True)

_ENVELOPE, _SURVIVAL = sympy.symbols("e a", nonnegative=True)
_PHI, _MEAN, _BIAS, _WIDTH, _ALIVE, _SIGNS = sympy.symbols("phi m beta l q r", nonnegative=True)
_DEATH = sympy.Max(1 - _PHI * _ENVELOPE, 0) / 2
_STEP = (
    _WIDTH * (_BIAS + _MEAN * _ENVELOPE) / (2 * _ALIVE),
    _SURVIVAL * (1 - sympy.Max(_DEATH**_WIDTH, _SIGNS)),
)


def bound(problem: Problem, needed: int | None = None) -> Recursion:
    """`a_k = a_{k-1} (1 - F_k(e_{k-1}))`, `e_k = l_k (beta_k + m_k e_{k-1}) / (2 (1 - 2^-l_k))`; `1 - a_H`.

    `e_k` bounds the mean of the summed envelope of layer `k` given that no layer up to `k` is robustly dead, `a_k` the
    probability of that, or for layer 1 of fewer than `needed` dead neurons with bias `<= 0` (None: of no dead layer).
    """
    hidden = problem.architecture.hidden
    _, bias = problem.layer_laws(1)
    count = hidden[0] if needed is None else needed
    envelope = hidden[0] * (bias.mean_absolute / 2 + mean_reach(problem)) / _fewer_of_halves(hidden[0], count)
    constants = {widths: _constants(problem, layer) for widths, layer in distinct_layers(problem).items()}
    return Recursion(
        state=(_ENVELOPE, _SURVIVAL),
        start=(envelope, 1 - binomial_at_least(hidden[0], count)),
        parameters=(_PHI, _MEAN, _BIAS, _WIDTH, _ALIVE, _SIGNS),
        step=_STEP,
        layers=tuple(constants[widths] for widths in pairwise(hidden)),
        result=1 - _SURVIVAL,
    )


def distinct_layers(problem: Problem) -> dict[tuple[int, int], int]:
    """One hidden layer from the second on for each pair of widths that occurs (before, of the layer)."""
    found: dict[tuple[int, int], int] = {}
    for layer, widths in enumerate(pairwise(problem.architecture.hidden), start=2):
        found.setdefault(widths, layer)
    return found


def _constants(problem: Problem, layer: int) -> tuple[sympy.Expr, ...]:
    weight, bias = problem.layer_laws(layer)
    width = problem.architecture.widths[layer]
    return (
        bias.density_bound * weight.mean_absolute,
        weight.mean_absolute,
        bias.mean_absolute,
        sympy.Integer(width),
        _fewer_of_halves(width, width),
        all_signs_nonpositive(problem, layer),
    )


def _fewer_of_halves(width: int, count: int) -> sympy.Expr:
    """A lower bound of `P(Bin(width, 1/2) < count)`, so of the same probability for any success `p <= 1/2`.

    A tail below `2^-MAX_SIGN_BITS` is rounded up to that: this is a divisor, and a smaller one is safe.
    """
    if count == width:
        return 1 - sympy.Rational(1, 2 ** min(width, MAX_SIGN_BITS))
    if count == 1:
        return sympy.Rational(1, 2**width)
    return 1 - sympy.betainc_regularized(count, width - count + 1, 0, sympy.Rational(1, 2))


def input_reach(problem: Problem) -> tuple[tuple[Fraction, Fraction], ...]:
    """How far each input coordinate goes into the positive and into the negative, `(max_j x_ji^+, max_j x_ji^-)`."""
    zero = Fraction(0)
    return tuple((max(high, zero), max(-low, zero)) for low, high in problem.data.input_ranges)


def mean_reach(problem: Problem) -> sympy.Expr:
    """`mu_1`, an upper bound of `E S`, `S = max_j (w.xi_j)^+` in layer 1, for inputs of any sign.

    `S` is at most the sum of `w_i^+ max_j x_ji^+ + w_i^- max_j x_ji^-` over the coordinates, and `E w_i^± = m_1/2`.
    """
    weight, _ = problem.layer_laws(1)
    return weight.mean_absolute / 2 * exact_sum(up + down for up, down in input_reach(problem))


def decay_hypotheses(keeps: tuple[tuple[Property, Property], ...]) -> tuple[Hypothesis, ...]:
    """Hypotheses of the theorems on decay; `keeps` are the alternatives asked of the optimizer."""
    return (IndependentInitialization(), BoundedBiasDensity(), LabelsVary(), OptimizerKeepsDead(keeps))


def _instance(problem: Problem, number: int) -> Instance:
    return Instance(
        hypotheses=decay_hypotheses(DECAY_KEPT),
        bound=lambda: bound(problem),
        event=ROBUSTLY_DEAD_LAYER,
        forced=CONSTANT_OUTPUT,
        rate=None,
        nonpositive_bias=True,
    )


THEOREM = Theorem(
    id="T13",
    title="Depth under weight decay",
    claims=("C1", "C3", "C4"),
    statement="Some hidden layer is robustly dead, that is dead however much every neuron's weights and bias decay, "
    "the bias not faster than the weights; decay cannot revive it, and the risk stays at or above nu + V for ever.",
    formula=r"P(\text{some hidden layer robustly dead}) \ge 1 - a_H,\quad a_1 = 1 - p_1'^{\,l_1},\quad "
    r"a_k = a_{k-1}\left(1 - F_k(e_{k-1})\right),\quad e_k = \frac{l_k (\beta_k + m_k e_{k-1})}{2 (1 - 2^{-l_k})},"
    r"\quad F_k(v) = \max\left(\left(\tfrac{(1 - f_k m_k v)_+}{2}\right)^{l_k}, "
    r"\left(q_b^{(k)} (q_w^{(k)})^{l_{k-1}}\right)^{l_k}\right)",
    proof="theorems/proofs/decay.md#t13",
    not_covered="Zero biases (no bias density). Coupled L2 regularization of Adam. Wide layers, where the envelope "
    "grows with depth: there only the sign probabilities are left. T13b is sharper.",
    instance=_instance,
    keeps=DECAY_KEPT,
)
