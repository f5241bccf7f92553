"""T16: depth under a decay factor common to all neurons, by the length of the decay curve (proofs/decay.md, T16)."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import sympy

from theorems.catalogue.layers import CONSTANT_OUTPUT, all_signs_nonpositive, binomial_at_least
from theorems.catalogue.t13 import decay_hypotheses, distinct_layers
from theorems.catalogue.t13b import (
    BIAS2,
    ENVELOPE,
    ENVELOPE_STEP,
    MEAN,
    PARAMETERS,
    WEIGHT2,
    envelope_start,
    layer_values,
    neuron_off,
    normal_biases,
)
from theorems.curve import LENGTH, SURVIVAL, CurveLayer, CurveRecursion
from theorems.hypotheses import Property, Status
from theorems.laws import Law, Normal, Uniform
from theorems.problem import Problem
from theorems.theorem import Event, Instance, LayerDeath, Theorem

__all__ = ["COMMON_DECAY_KEPT", "THEOREM", "bound", "decays_jointly", "mean_norm"]

COMMON_DECAY_KEPT = ((Property.DJ, Property.DJ), (Property.DW, Property.DW))
WIDEST_SUM = 64

# U is a lower bound of the mean norm of the end of the curve, given that no layer before is dead. It starts from 0, not
# from the norm of the root, so that the bound falls with every size of the data.
_END, _END_FACTOR, _PROJECTION = sympy.symbols("U chi mu", nonnegative=True)


def decays_jointly(problem: Problem) -> bool:
    """Whether biases are known to decay with the weights (DJ): then the curve of joint decay is the one to look at."""
    return problem.optimizer.about(Property.DJ).status is Status.HOLDS


def bound(problem: Problem, needed: int | None = None) -> CurveRecursion:
    """The recursion of `CurveRecursion`, for joint decay where the optimizer has (DJ), else for decay of the weights.

    Layer 1 counts as dead from `needed` dead neurons on (None: if all are); for decay of the weights `P_DEAD` stands
    for neurons with bias `<= 0`.
    """
    hidden = problem.architecture.hidden
    normal = _all_normal(problem)
    first_end = mean_norm(_summed(hidden[0]), *problem.layer_laws(1)) * sympy.sqrt(problem.layer_laws(1)[1].variance)
    later = {widths: _layer(problem, layer) for widths, layer in distinct_layers(problem).items()}
    return CurveRecursion(
        first=binomial_at_least(hidden[0], hidden[0] if needed is None else needed),
        further=(*ENVELOPE, _END),
        start=(*envelope_start(problem), first_end if normal else sympy.Integer(0)),
        parameters=(*PARAMETERS, _PROJECTION, _END_FACTOR),
        off=_off(normal_biases(problem), normal),
        step=(*ENVELOPE_STEP, _END_FACTOR * sympy.sqrt(BIAS2 + WEIGHT2 * _END**2) if normal else sympy.Integer(0)),
        layers=(_layer(problem, 1), *(later[widths] for widths in pairwise(hidden))),
        weights_only=not decays_jointly(problem),
    )


def _layer(problem: Problem, layer: int) -> CurveLayer:
    weight, bias = problem.layer_laws(layer)
    width = problem.architecture.widths[layer]
    return CurveLayer(
        width=width,
        weight_variance=weight.variance,
        bias_variance=bias.variance,
        density=bias.density_bound,
        spine=mean_norm(width, weight, bias),
        edge=mean_norm(width, weight),
        signs=all_signs_nonpositive(problem, layer),
        values=(*layer_values(problem, layer), _projection(weight), mean_norm(_summed(width), weight, bias)),
    )


@lru_cache(maxsize=4)
def _off(normal_biases: bool, normal: bool) -> sympy.Expr:
    """Lower bound of the probability that a neuron is off on the whole curve: by its length, or by the envelope.

    If weights and biases are `normal`, also by the zeros of a random linear functional on the curve; `_END` is a lower
    bound of the mean norm of its end.
    """
    length, envelope = LENGTH / SURVIVAL, ENVELOPE[0] / SURVIVAL
    found = [neuron_off(normal_biases, length, _PROJECTION), neuron_off(normal_biases, envelope, MEAN)]
    if normal:
        scale = sympy.sqrt(WEIGHT2 / BIAS2)
        saved = scale * _END - sympy.atan(scale * _END)
        angle = scale * length - sympy.Min(sympy.pi, saved)
        found.append(sympy.Max(sympy.Rational(1, 2) - angle / (2 * sympy.pi), 0))
    return sympy.Max(*found)


def _all_normal(problem: Problem) -> bool:
    return all(
        isinstance(law, Normal)
        for layer in (1, *distinct_layers(problem).values())
        for law in problem.layer_laws(layer)
    )


def _summed(width: int) -> int:
    """The width up to which norms are summed exactly; fewer coordinates make a shorter vector: a lower bound."""
    return min(width, WIDEST_SUM)


def _projection(weight: Law) -> sympy.Expr:
    """An upper bound of `E|w.v|` for `|v| = 1` (Lemma B)."""
    return weight.mean_absolute if isinstance(weight, Uniform | Normal) else sympy.sqrt(weight.variance)


def mean_norm(width: int, *laws: Law) -> sympy.Expr:
    """`eta`, an upper bound of `E|u|` for a vector of `width` coordinates `B_i y_i`, `B_i` fair coins (Lemma C).

    The `y_i` are combinations, of mean square 1, of independent variables with these laws. Exact for normal laws up to
    `WIDEST_SUM` coordinates; beyond that it is `sqrt(width/2)`.
    """
    if width > WIDEST_SUM:
        return sympy.sqrt(sympy.Rational(width, 2))
    if all(isinstance(law, Normal) for law in laws):
        return _mean_of_norms(tuple(_mean_chi(n) for n in range(1, width + 1)))
    single = sympy.sqrt(3) / 2 if all(isinstance(law, Uniform) for law in laws) else sympy.Integer(1)
    return _mean_of_norms((single, *(sympy.sqrt(n) for n in range(2, width + 1))))


@lru_cache(maxsize=256)
def _mean_of_norms(norms: tuple[sympy.Expr, ...]) -> sympy.Expr:
    """Mean of `norms[N-1]` over the number `N` of heads among as many fair coins as there are norms; 0 for no head."""
    width = len(norms)
    return sympy.Add(*(sympy.binomial(width, n) * norm for n, norm in enumerate(norms, start=1))) / 2**width


@lru_cache(maxsize=256)
def _mean_chi(n: int) -> sympy.Expr:
    """`E chi_n`, the mean norm of `n` standard normal coordinates; `E chi_n E chi_(n-1) = n - 1`."""
    return sympy.sqrt(2 / sympy.pi) if n == 1 else (n - 1) / _mean_chi(n - 1)


def _instance(problem: Problem, number: int) -> Instance:
    joint = decays_jointly(problem)
    return Instance(
        hypotheses=decay_hypotheses(COMMON_DECAY_KEPT),
        bound=lambda: bound(problem),
        event=Event(LayerDeath.JOINT) if joint else Event(LayerDeath.WEIGHTS, nonpositive_bias=True),
        forced=CONSTANT_OUTPUT,
        rate=None,
        nonpositive_bias=not joint,
    )


THEOREM = Theorem(
    id="T16",
    title="Depth under a common decay",
    claims=("C1", "C3", "C4"),
    statement="Some hidden layer is dead at every common decay of the parameters (or of the weights, where biases do "
    "not decay), that is along the whole curve on which one factor shrinks them; the factors of all steps together are "
    "one point of that curve, so decay cannot revive the layer, and the risk stays at or above nu + V for ever.",
    formula=r"P(\text{some hidden layer dead along the decay curve}) \ge 1 - a_H,\quad a_1 = 1 - p_1^{l_1},\quad "
    r"a_k = a_{k-1}\left(1 - \max\left(F_k\left(\tfrac{\Lambda_{k-1} + T_{k-1}}{a_{k-1}}\right), "
    r"F_k\left(\tfrac{c_{k-1}}{a_{k-1}}\right)\right)\right),\quad "
    r"\Lambda_k = \eta_{l_k} \sqrt{a_{k-1}} "
    r"\int_0^1 \sqrt{\sigma_k^2 a_{k-1} + s_k^2 \pi_{k-1}(\gamma^2)}\, d\gamma",
    proof="theorems/proofs/decay.md#t16",
    not_covered="Decay with several learning rates, or factors of their own for some layers (see T13, T13b). Zero "
    "biases (no bias density). Coupled L2 regularization of Adam.",
    instance=_instance,
    keeps=COMMON_DECAY_KEPT,
)
