"""T19: depth under weight decay by the envelope, sharper still (proofs/decay_sharper.md, T19)."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import sympy

from theorems.catalogue.layers import CONSTANT_OUTPUT, all_signs_nonpositive, binomial_at_least
from theorems.catalogue.t13 import DECAY_KEPT, ROBUSTLY_DEAD_LAYER, decay_hypotheses, distinct_layers, mean_reach
from theorems.catalogue.t13b import square_reach
from theorems.curve import SURVIVAL
from theorems.envelope import REACH, EnvelopeLayer, EnvelopeRecursion, positive_part
from theorems.laws import Law, Normal
from theorems.problem import Problem
from theorems.theorem import Instance, Theorem

__all__ = ["THEOREM", "bound"]

_C, _Q, _D = _STATE = sympy.symbols("c q d", nonnegative=True)
_MEAN, _WEIGHT2, _BIAS, _BIAS2, _DENSITY, _WIDTH = sympy.symbols("m s_2 beta sigma_2 f l", nonnegative=True)
_PARAMETERS = (_MEAN, _WEIGHT2, _BIAS, _BIAS2, _DENSITY, _WIDTH)
_BIAS_SYMBOLS = (_BIAS, _BIAS2, _DENSITY)


def bound(problem: Problem, needed: int | None = None) -> EnvelopeRecursion:
    """The recursion of `EnvelopeRecursion`, with means of the summed envelope over the networks that survive.

    Layer 1 counts as dead from `needed` dead neurons with bias `<= 0` on (None: if all are).
    """
    hidden = problem.architecture.hidden
    kinds = (1, *distinct_layers(problem).values())
    normal = all(isinstance(problem.layer_laws(layer)[1], Normal) for layer in kinds)
    tail, slope = _tail(normal)
    layers = {widths: _layer(problem, layer) for widths, layer in distinct_layers(problem).items()}
    return EnvelopeRecursion(
        first=binomial_at_least(hidden[0], hidden[0] if needed is None else needed),
        state=_STATE,
        start=_start(problem, normal),
        parameters=_PARAMETERS,
        tail=tail,
        slope=slope,
        step=_step(normal),
        layers=tuple(layers[widths] for widths in pairwise(hidden)),
    )


def _layer(problem: Problem, layer: int) -> EnvelopeLayer:
    before, width = problem.architecture.widths[layer - 1 : layer + 1]
    weight, bias = problem.layer_laws(layer)
    values = (weight.mean_absolute, weight.variance, *_bias_values(bias), sympy.Integer(width))
    return EnvelopeLayer(width, before, positive_part(weight), all_signs_nonpositive(problem, layer), values)


def _bias_values(bias: Law) -> tuple[sympy.Expr, ...]:
    return bias.mean_absolute, bias.variance, bias.density_bound


def _tail(normal: bool) -> tuple[sympy.Expr, sympy.Expr]:
    """`G(x) <= P(b <= -x)`, as a function of `REACH`, and the slope that `x` is multiplied by before.

    Convex and non-increasing for `x >= 0`. The tail itself for `normal` biases, else that of the uniform law with the
    same density bound: a lower bound, exact for uniform biases.
    """
    if normal:
        return (1 - sympy.erf(REACH)) / 2, sympy.sqrt(sympy.pi) * _DENSITY
    return sympy.Max(sympy.Rational(1, 2) - REACH, 0), _DENSITY


def _gain(normal: bool, size: sympy.Expr) -> sympy.Expr:
    """`h(S) = E|b + S| - E|b|` for a number `S >= 0`, concave in `S^2`; an upper bound as in `_tail`."""
    if normal:
        u = sympy.sqrt(sympy.pi) * _DENSITY * size
        return size * sympy.erf(u) - _BIAS * (1 - sympy.exp(-(u**2)))
    inside = sympy.Min(size, 1 / (2 * _DENSITY))
    return _DENSITY * inside**2 + size - inside


def _saving(normal: bool, size: sympy.Expr) -> sympy.Expr:
    """`psi(S)`, the integral of `x - h(x)` from 0 to `S`, convex and non-decreasing; a lower bound as in `_tail`."""
    if normal:
        u = sympy.sqrt(sympy.pi) * _DENSITY * size
        squares = (size**2 + _BIAS2) * sympy.erf(u)
        return size**2 / 2 + _BIAS * size - (squares + _BIAS * size * sympy.exp(-(u**2))) / 2
    inside = sympy.Min(size, 1 / (2 * _DENSITY))
    return inside**2 / 2 - _DENSITY * inside**3 / 3 + (size - inside) / (4 * _DENSITY)


@lru_cache(maxsize=4)
def _step(normal: bool) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr]:
    """Upper bounds of the means of `Psi, Q, Psi^2` in a layer over the networks in which no layer before is dead."""
    reach = _MEAN * _C / 2
    reach2 = _WEIGHT2 * _Q / 2 + _MEAN**2 * (_D - _Q) / 4
    gain = sympy.Min(reach, SURVIVAL * _gain(normal, sympy.sqrt(reach2 / SURVIVAL)))
    squares = _BIAS2 * SURVIVAL / 2 + _BIAS * reach + reach2 - SURVIVAL * _saving(normal, reach / SURVIVAL)
    pairs = _BIAS**2 * SURVIVAL / 4 + _BIAS * reach + _MEAN**2 * _D / 4
    return (
        _WIDTH * (_BIAS * SURVIVAL + reach + gain) / 2,
        _WIDTH * squares,
        _WIDTH * squares + _WIDTH * (_WIDTH - 1) * pairs,
    )


def _start(problem: Problem, normal: bool) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr]:
    """The same means in layer 1, over all networks."""
    width = problem.architecture.hidden[0]
    known = dict(zip(_BIAS_SYMBOLS, _bias_values(problem.layer_laws(1)[1]), strict=True))
    reach, reach2 = mean_reach(problem), square_reach(problem)
    top = (_BIAS + reach + sympy.Min(reach, _gain(normal, sympy.sqrt(reach2)))) / 2
    squares = width * (_BIAS2 / 2 + _BIAS * reach + reach2 - _saving(normal, reach))
    found = width * top, squares, squares + width * (width - 1) * top**2
    return found[0].xreplace(known), found[1].xreplace(known), found[2].xreplace(known)


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
    id="T19",
    title="Depth under weight decay, envelope, sharper",
    claims=("C1", "C3", "C4"),
    statement="Some hidden layer is robustly dead, that is dead however much every neuron's weights and bias decay, "
    "the bias not faster than the weights (T13b with the weights met by their law, not by their mean); the risk stays "
    "at or above nu + V for ever.",
    formula=r"P(\text{some hidden layer robustly dead}) \ge 1 - a_H,\quad a_1 = 1 - p_1'^{\,l_1},\quad "
    r"a_k = a_{k-1}\left(1 - \max\left(\Gamma_k\left(\tfrac{c_{k-1}}{a_{k-1}}\right), "
    r"q_b^{(k)} (q_w^{(k)})^{l_{k-1}}\right)^{l_k}\right),\quad "
    r"\Gamma_k(v) = P\left(b + \tfrac{v}{l_{k-1}} \sum_q w_q^+ \le 0\right),\quad "
    r"c_k = \tfrac{l_k}{2} \left(\beta_k a_{k-1} + R_{k-1} + "
    r"\min\left(R_{k-1},\; a_{k-1} h_k\left(\sqrt{Z_{k-1}/a_{k-1}}\right)\right)\right),\quad "
    r"R_{k-1} = \tfrac{m_k c_{k-1}}{2},\quad "
    r"Z_{k-1} = \tfrac{s_k^2}{2} q_{k-1} + \tfrac{m_k^2}{4} (d_{k-1} - q_{k-1}),\quad "
    r"h_k(x) = E|b + x| - E|b|",
    proof="theorems/proofs/decay_sharper.md#t19",
    not_covered="Zero biases (no bias density). Coupled L2 regularization of Adam. Wide layers, where the envelope "
    "grows with depth: there T16 is sharper, for one decay factor common to all neurons.",
    instance=_instance,
    keeps=DECAY_KEPT,
)
