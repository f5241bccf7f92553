"""T13': depth under weight decay, sharper (proofs/decay.md, T13b)."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

import sympy

from theorems.bounds import Recursion
from theorems.catalogue.layers import CONSTANT_OUTPUT, all_signs_nonpositive, binomial_at_least, exact_sum
from theorems.catalogue.t13 import (
    DECAY_KEPT,
    ROBUSTLY_DEAD_LAYER,
    decay_hypotheses,
    distinct_layers,
    input_reach,
    mean_reach,
)
from theorems.curve import SURVIVAL
from theorems.laws import Normal
from theorems.problem import Problem
from theorems.theorem import Instance, Theorem

__all__ = [
    "BIAS2",
    "ENVELOPE",
    "ENVELOPE_STEP",
    "MEAN",
    "PARAMETERS",
    "SIGNS",
    "THEOREM",
    "WEIGHT2",
    "WIDTH",
    "bound",
    "envelope_start",
    "layer_values",
    "neuron_off",
    "normal_biases",
    "square_reach",
]

ENVELOPE = sympy.symbols("c q d", nonnegative=True)
WIDTH, SIGNS = sympy.symbols("l r", nonnegative=True)
MEAN, WEIGHT2, _BIAS, BIAS2, DENSITY = sympy.symbols("m s_2 beta sigma_2 f", nonnegative=True)
PARAMETERS = (MEAN, WEIGHT2, _BIAS, BIAS2, DENSITY, WIDTH, SIGNS)


def _envelope_step() -> tuple[sympy.Expr, sympy.Expr, sympy.Expr]:
    c, q, d = ENVELOPE
    reach2 = WEIGHT2 * q / 2 + MEAN**2 * (d - q) / 4
    rough = _BIAS * SURVIVAL / 2 + MEAN * c / 2
    fine = _BIAS * SURVIVAL / 2 + MEAN * c / 4 + DENSITY * reach2 / 2
    squares = WIDTH * (BIAS2 * SURVIVAL / 2 + _BIAS * MEAN * c / 2 + reach2)
    pairs = _BIAS**2 * SURVIVAL / 4 + _BIAS * MEAN * c / 2 + MEAN**2 * d / 4
    return WIDTH * sympy.Min(rough, fine), squares, squares + WIDTH * (WIDTH - 1) * pairs


# Upper bounds c, q, d of the means of Psi, Q and Psi^2 (the sum of the envelope, the sum of its squares, the squared
# sum) in a layer, over the networks in which no layer before is dead, from those of the layer before and its survival.
ENVELOPE_STEP = _envelope_step()


def bound(problem: Problem, needed: int | None = None) -> Recursion:
    """`a_k = a_{k-1} (1 - F_k(c_{k-1}/a_{k-1}))`, `c_k` by `ENVELOPE_STEP`; the bound is `1 - a_H`.

    `c_k` bounds the mean of the summed envelope of layer `k` over the networks in which no layer before is robustly
    dead, `a_k` the probability of no such layer up to `k`, or for layer 1 of fewer than `needed` dead neurons with bias
    `<= 0` (None: of no dead layer).
    """
    hidden = problem.architecture.hidden
    values = {widths: layer_values(problem, layer) for widths, layer in distinct_layers(problem).items()}
    death = sympy.Max(neuron_off(normal_biases(problem), ENVELOPE[0] / SURVIVAL, MEAN) ** WIDTH, SIGNS)
    return Recursion(
        state=(*ENVELOPE, SURVIVAL),
        start=(*envelope_start(problem), 1 - binomial_at_least(hidden[0], hidden[0] if needed is None else needed)),
        parameters=PARAMETERS,
        step=(*ENVELOPE_STEP, SURVIVAL * (1 - death)),
        layers=tuple(values[widths] for widths in pairwise(hidden)),
        result=1 - SURVIVAL,
    )


def normal_biases(problem: Problem) -> bool:
    """Whether the biases of every hidden layer from the second on are normal."""
    return all(isinstance(problem.layer_laws(layer)[1], Normal) for layer in distinct_layers(problem).values())


@lru_cache(maxsize=16)
def neuron_off(normal: bool, size: sympy.Expr, mean: sympy.Expr) -> sympy.Expr:
    """`G(mean size/2)`, `G(x) <= P(b <= -x)`, for a bias with density at most `DENSITY`; convex, decreasing in `size`.

    For normal biases `G` is the tail itself, for all others `1/2 - f x` or 0: the tail itself for uniform ones.
    """
    reach = mean * size / 2
    if normal:
        return sympy.Max(1 - sympy.erf(sympy.sqrt(sympy.pi) * DENSITY * reach), 0) / 2
    return sympy.Max(sympy.Rational(1, 2) - DENSITY * reach, 0)


def envelope_start(problem: Problem) -> tuple[sympy.Expr, sympy.Expr, sympy.Expr]:
    """Upper bounds `c_1, q_1, d_1` of the means of `Psi_1, Q_1, Psi_1^2` over all networks."""
    _, bias = problem.layer_laws(1)
    width = problem.architecture.hidden[0]
    reach, reach2 = mean_reach(problem), square_reach(problem)
    top = bias.mean_absolute / 2 + sympy.Min(reach, reach / 2 + bias.density_bound * reach2 / 2)
    squares = width * (bias.variance / 2 + bias.mean_absolute * reach + reach2)
    return width * top, squares, squares + width * (width - 1) * top**2


def square_reach(problem: Problem) -> sympy.Expr:
    """`mu_2`, an upper bound of `E S^2`, `S = max_j (w.xi_j)^+` in layer 1, for inputs of any sign.

    `S` is at most the sum over the coordinates of independent `w_i^+ up_i + w_i^- down_i`, of mean `m_1 (up + down)/2`
    and mean square `s_1^2 (up^2 + down^2)/2`.
    """
    weight, _ = problem.layer_laws(1)
    reach = input_reach(problem)
    total = exact_sum(up + down for up, down in reach)
    alone = exact_sum((up + down) ** 2 for up, down in reach)
    squares = exact_sum(up**2 + down**2 for up, down in reach)
    return weight.variance * squares / 2 + weight.mean_absolute**2 * (total**2 - alone) / 4


def layer_values(problem: Problem, layer: int) -> tuple[sympy.Expr, ...]:
    """The values of `PARAMETERS` in hidden layer `layer >= 2`."""
    weight, bias = problem.layer_laws(layer)
    return (
        weight.mean_absolute,
        weight.variance,
        bias.mean_absolute,
        bias.variance,
        bias.density_bound,
        sympy.Integer(problem.architecture.widths[layer]),
        all_signs_nonpositive(problem, layer),
    )


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
    id="T13b",
    title="Depth under weight decay, sharper",
    claims=("C1", "C3", "C4"),
    statement="Some hidden layer is robustly dead, that is dead however much every neuron's weights and bias decay, "
    "the bias not faster than the weights (T13 with means over the networks that survive); the risk stays at or above "
    "nu + V for ever.",
    formula=r"P(\text{some hidden layer robustly dead}) \ge 1 - a_H,\quad a_1 = 1 - p_1'^{\,l_1},\quad "
    r"a_k = a_{k-1}\left(1 - F_k(c_{k-1}/a_{k-1})\right),\quad "
    r"c_k = l_k \min\left(\tfrac{\beta_k a_{k-1}}{2} + \tfrac{m_k c_{k-1}}{2},\; "
    r"\tfrac{\beta_k a_{k-1}}{2} + \tfrac{m_k c_{k-1}}{4} + \tfrac{f_k V_{k-1}}{2}\right),\quad "
    r"V_{k-1} = \tfrac{s_k^2}{2} q_{k-1} + \tfrac{m_k^2}{4} (d_{k-1} - q_{k-1}),\quad "
    r"F_k(v) = \max\left(G_k\left(\tfrac{m_k v}{2}\right), q_b^{(k)} (q_w^{(k)})^{l_{k-1}}\right)^{l_k},\quad "
    r"G_k(x) = P(b \le -x)",
    proof="theorems/proofs/decay.md#t13b",
    not_covered="Zero biases (no bias density). Coupled L2 regularization of Adam. Wide layers, where the envelope "
    "grows with depth: there T16 is sharper, for one decay factor common to all neurons.",
    instance=_instance,
    keeps=DECAY_KEPT,
)
