"""Certified lower bounds of what a network gains over a smaller one (math T9, Lemmas 4 to 6).

All of them are lower bounds of differences of optimal risks, rounded down where a root is involved.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import lru_cache

import numpy as np

from theorems.errors import InvalidInput
from theorems.setting import Architecture, DataSet
from verify.risk.floor import risk_floor
from verify.risk.isolation import extreme_inputs, isolation_number
from verify.risk.lattice import counts_of, input_lattice, label_lattice
from verify.risk.rounding import IntegerHinges
from verify.risk.search import Floats, hinges_for, points_of
from verify.risk.threads import on_one_thread
from verify.risk.witness import best_witness

__all__ = ["dead_neuron_gain", "deep_margin", "ridge_gain", "spanning_margin"]

LARGE = 2_000
ROOT_BITS = 64
COST_BITS = 24
MAX_SCALAR = 200_000  # distinct scalar inputs up to which hats are measured
MAX_PLACES = 200_000  # inputs times directions
MAX_DIRECTIONS = 500
DIRECTION_BITS = 10
SEED = 3


def dead_neuron_gain(architecture: Architecture, first_width: int, data: DataSet) -> Fraction:
    """Lower bound of `I(l') - I(l)`, where l' is l with the smaller first width `first_width`; 0 where none is known.

    Source:   math T9: Lemma 4 (first width 0), Lemma 5 for one hidden layer, Lemma 6 for more and a scalar output.
    Rigour:   rounded down. Fails: InvalidInput if the first width is negative or not smaller.
    """
    removed = architecture.hidden[0] - first_width
    if first_width < 0 or removed <= 0:
        raise InvalidInput(
            f"first_width {first_width}: expected 0 or more, and less than the first hidden width of {architecture}"
        )
    if first_width == 0:
        return ridge_gain(data)
    later = architecture.hidden[1:]
    excess = risk_floor(first_width, later, data).value - data.noise_floor
    if excess == 0:
        return Fraction(0)
    if architecture.is_shallow:
        share = spanning_margin(data)
        return Fraction(0) if share is None else _repeated(share, removed) * excess
    if architecture.output_dim > 1 or removed < isolation_number(data).value:
        return Fraction(0)
    smaller = Architecture((architecture.input_dim, first_width, *later, architecture.output_dim))
    gain = data.noise_floor + data.variance - best_witness(smaller, data).risk
    return deep_margin(excess, max(gain, ridge_gain(data)), data)


def _repeated(share: Fraction, times: int) -> Fraction:
    """A short lower bound of `1 - (1 - share)^times`: `(1 - s)^t <= 1/(1 + t s)`, and it increases with t."""
    return max(share, times * share / (1 + times * share))


# --- Lemma 4 ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
@on_one_thread
def ridge_gain(data: DataSet) -> Fraction:
    """Lower bound of `nu + V - I(l)` for every architecture: what one hinge explains, `G_0` of math Lemma 4.

    Rigour:   the exact gain of a hinge with rational direction and threshold, found in floats; 0 if all mean labels are
              equal, or if the floats find none.
    """
    best = Fraction(0)
    if data.variance == 0:
        return best
    for hinges in hinges_for(points_of(data).sample(LARGE), 1):
        rounded = IntegerHinges.of(data, hinges)
        if rounded is not None:
            best = max(best, _explained(data, [int(v) for v in rounded.values[:, 0]]))
    return best


def _explained(data: DataSet, ridge: Sequence[int]) -> Fraction:
    """`|sum_j pi_j (ybar_j - ybar) phi_j|^2 / sum_j pi_j (phi_j - phibar)^2` for a ridge vector phi; 0 if constant."""
    labels = label_lattice(data)
    counts, total = counts_of(data)
    weighted = [m * phi for m, phi in zip(counts, ridge, strict=True)]
    sum_phi = sum(weighted)
    scatter = total * sum(w * phi for w, phi in zip(weighted, ridge, strict=True)) - sum_phi**2
    if scatter == 0:
        return Fraction(0)
    covariances = [
        total * sum(w * y for w, y in zip(weighted, column, strict=True))
        - sum_phi * sum(m * y for m, y in zip(counts, column, strict=True))
        for column in labels.values.T.tolist()
    ]
    return labels.step[0] ** 2 * Fraction(sum(c**2 for c in covariances), total**2 * scatter)


# --- Lemma 5 ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)
def spanning_margin(data: DataSet) -> Fraction | None:
    """Some `gamma > 0` with `I_{h+1} - nu <= (1 - gamma)(I_h - nu)` for all widths h of one hidden layer; at most 1/K.

    `gamma = 1 / sum_j cost_j^2`, where `cost_j` bounds what it takes to write the j-th unit vector in normalized ridge
    vectors: 1 for an extreme point, and for any input the hat of three hinges along a direction (math Lemma 5).

    Rigour:   a lower bound: costs are rounded up; the directions are a choice. None for more than 200,000 scalar inputs
              or where no direction tried tells every input from all others.
    """
    n = data.n_inputs
    if n == 1:
        return Fraction(1)
    if data.input_dim == 1:
        if n > MAX_SCALAR:
            return None
        return _margin(_costs(data, (1,), range(n)).values())
    squares = dict.fromkeys(extreme_inputs(data), 2**COST_BITS)
    for direction, members in _directions(data, [j for j in range(n) if j not in squares]):
        squares.update(_costs(data, direction, members))
    return _margin(squares.values()) if len(squares) == n else None


def _margin(squares: Iterable[int]) -> Fraction:
    return Fraction(2**COST_BITS, sum(squares))


def _costs(data: DataSet, direction: tuple[int, ...], wanted: Sequence[int]) -> dict[int, int]:
    """Squared costs, in units 2^-COST_BITS, rounded up, of wanted inputs that are alone at their place in a direction.

    With gaps `a`, `b` to the next places below and above, the unit vector of input j is
    `hinge(below)/a - (1/a + 1/b) hinge(here) + hinge(above)/b`, with hinges `max(s - place, 0)`, or mirrored. A hinge
    of weighted norm `(N/M)^(1/2)` with coefficient c costs `|c| (N / m_j)^(1/2)`.
    """
    counts, _ = counts_of(data)
    positions = (input_lattice(data).values.astype(object) @ np.array(direction, dtype=object)).tolist()
    members: dict[int, list[int]] = {}
    for j, position in enumerate(positions):
        members.setdefault(position, []).append(j)
    places = sorted(members)
    masses = [sum(counts[j] for j in members[place]) for place in places]
    above = _norms(places, masses)
    below = _norms([-place for place in reversed(places)], masses[::-1])[::-1]
    squares = {}
    number = {place: k for k, place in enumerate(places)}
    for j in wanted:
        k = number[positions[j]]
        if len(members[positions[j]]) == 1 and len(places) > 1:
            sides = [_hat(places, above, k, -1)] if k > 0 else []
            if k < len(places) - 1:
                sides.append(_hat(places, below, k, 1))
            squares[j] = min(-(-(top**2 << COST_BITS) // (bottom**2 * counts[j])) for top, bottom in sides)
    return squares


def _norms(places: Sequence[int], masses: Sequence[int]) -> list[int]:
    """`2^ROOT_BITS (sum_i m_i max(s_i - place, 0)^2)^(1/2)` for every place, rounded up; 0 for the last one."""
    norms = [0] * len(places)
    mass = moment = square = 0  # of the places above: sum m, sum m d, sum m d^2, with d the distance from here
    for k in range(len(places) - 2, -1, -1):
        gap = places[k + 1] - places[k]
        mass += masses[k + 1]
        square += 2 * gap * moment + gap**2 * mass
        moment += gap * mass
        norms[k] = _root_above(square << 2 * ROOT_BITS)
    return norms


def _root_above(square: int) -> int:
    root = math.isqrt(square)
    return root if root * root == square else root + 1


def _hat(places: Sequence[int], norms: Sequence[int], k: int, start: int) -> tuple[int, int]:
    """Cost of the hat at place k by hinges that begin at its neighbour `k + start`, times `m_j^(1/2)`: a fraction."""
    far = k - start
    near_gap = abs(places[k] - places[k + start])
    if not 0 <= far < len(places):  # the last place on the other side: one hinge
        return norms[k + start], near_gap << ROOT_BITS
    far_gap = abs(places[far] - places[k])
    top = far_gap * norms[k + start] + (near_gap + far_gap) * norms[k] + near_gap * norms[far]
    return top, near_gap * far_gap << ROOT_BITS


def _directions(data: DataSet, wanted: Sequence[int]) -> Iterator[tuple[tuple[int, ...], list[int]]]:
    """Integer directions, each with those of the wanted inputs that are cheapest along it (by floats)."""
    if not wanted:
        return
    sizes = input_lattice(data).sizes
    tries = max(1, min(MAX_DIRECTIONS, MAX_PLACES // data.n_inputs))
    shares = np.random.default_rng(SEED).standard_normal((tries, data.input_dim))
    directions = [_integer_direction(row.tolist(), sizes) for row in shares]
    points = points_of(data)
    costs = np.stack([_float_costs(points.inputs @ row, points.weights) for row in shares])
    best = costs[:, list(wanted)].argmin(axis=0)
    for i in sorted(set(best.tolist())):
        yield directions[i], [j for j, choice in zip(wanted, best.tolist(), strict=True) if choice == i]


def _integer_direction(shares: Sequence[float], sizes: Sequence[int]) -> tuple[int, ...]:
    """A direction for integer columns of these sizes from one for columns in [0, 1]."""
    widest = max(sizes)
    return tuple(round(v * 2**DIRECTION_BITS) * widest // max(size, 1) for v, size in zip(shares, sizes, strict=True))


def _float_costs(places: Floats, weights: Floats) -> Floats:
    """Approximate costs of hats along one direction, in the order of the inputs; infinite where inputs coincide."""
    order = np.argsort(places, kind="stable")
    s, w = places[order], weights[order]
    gaps = np.maximum(np.diff(s), 0.0)
    costs = np.full(len(s), np.inf)
    for sign in (1, -1):
        t, v, g = (s, w, gaps) if sign == 1 else (-s[::-1], w[::-1], gaps[::-1])
        tail = [np.cumsum((v * t**power)[::-1])[::-1] for power in range(3)]
        norms = np.sqrt(np.maximum(tail[2] - 2 * t * tail[1] + t**2 * tail[0], 0.0))
        with np.errstate(divide="ignore", invalid="ignore"):
            inner = norms[:-2] / g[:-1] + norms[1:-1] * (1 / g[:-1] + 1 / g[1:]) + norms[2:] / g[1:]
            hats = np.concatenate([[np.inf], inner, [norms[-2] / g[-1]]]) / np.sqrt(v)
        hats = np.where(np.isnan(hats), np.inf, hats)
        costs = np.minimum(costs, hats if sign == 1 else hats[::-1])
    ordered = np.empty(len(s))
    ordered[order] = costs
    return ordered


# --- Lemma 6 ---------------------------------------------------------------------------------------------------------


def deep_margin(excess: Fraction, gain: Fraction, data: DataSet) -> Fraction:
    """Lower bound of `I(l') - I(l)` for a scalar output and `L >= 3`, where l' has at least kappa neurons fewer.

    `t^2 / K`, `t = (g/2)((9 + 8 I'/(Y g))^(1/2) - 3)`, `g = G^(1/2)`, `Y` the range of the mean labels; increasing in
    `I'` and in `G`, so lower bounds of both may be put in: excess of `I' = I(l') - nu`, gain of `G = nu + V - I(l')`.

    Source:   math Lemma 6, margin.
    Rigour:   rounded down. Fails: InvalidInput for several outputs or a negative argument.
    """
    if data.output_dim != 1:
        raise InvalidInput(f"data {data.name!r} has {data.output_dim} label columns: the margin of Lemma 6 needs one")
    if excess < 0 or gain < 0:
        raise InvalidInput(f"excess {float(excess)}, gain {float(gain)}: expected two numbers that are at least 0")
    labels = label_lattice(data)
    spread = labels.step[0] * labels.sizes[0]
    if excess == 0 or gain == 0 or spread == 0:
        return Fraction(0)
    root = _root_below(gain)
    t = (_root_below(9 * root**2 + 8 * root * excess / spread) - 3 * root) / 2
    return max(t, Fraction(0)) ** 2 / data.n_inputs


def _root_below(value: Fraction) -> Fraction:
    """The square root, rounded down to 64 significant bits."""
    shift = max(ROOT_BITS - (value.numerator.bit_length() - value.denominator.bit_length()) // 2, 0)
    return Fraction(math.isqrt((value.numerator << 2 * shift) // value.denominator), 2**shift)
