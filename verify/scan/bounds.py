"""Values of a program on many rows in float64, with proved bounds of their errors.

Every value is a centre and a radius: the exact value, in real arithmetic on the exact parameters and inputs, lies
within. A float inner product of `n` terms with a bias has, in any order of summation and with or without fused
multiply-add, an error of at most `g (|w|.|h| + |b|)`, `g = (n+3) u / (1 - (n+3) u)`, and by Cauchy and Schwarz
`|w|.|h| <= |w|_2 |h|_2`, which costs no second matrix product. Every product that underflows adds at most `2^-1074`.
Exact zeros stay exact zeros. What overflows gets an infinite radius: nothing is claimed of it.

No rounding at all. If all terms of an inner product are multiples of one power of two, `2^p`, and their absolute values
add up to at most `2^(p+53)`, every partial sum is a float: the radius is 0. So whole numbers, quarters and the like
are computed exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from verify.scan.program import Affine, Input, Largest, Mean, Move, Node, Program, Relu, Scale, Sum, Windows

__all__ = ["Ball", "Propagation"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_UNIT = 2.0**-53
_SAFETY = 1.0 + 2.0**-20  # covers the roundings of the error bounds' own arithmetic
_TINY = 2.0**-1070  # more than one underflowing product can lose
_SMALLEST, _LARGEST = 2.0**-400, 2.0**400  # squares of such numbers neither underflow nor overflow in sums
_FLOAT_BITS = 53
_LOWEST_BIT = -1074
_NUMBERS = 2_000_000  # of a weight matrix that are looked at together


@dataclass(frozen=True, eq=False)
class Ball:
    """Values (rows, entries), each within its radius of its centre; radius None: exactly the centres."""

    centre: Floats
    radius: Floats | None

    def taken(self, columns: Ints) -> Ball:
        """Some of the entries."""
        return Ball(self.centre[:, columns], None if self.radius is None else self.radius[:, columns])

    @property
    def surely_positive(self) -> Bools:
        """Which values are proved to be above 0."""
        found: Bools = self.centre > (0.0 if self.radius is None else self.radius)
        return found

    @property
    def surely_off(self) -> Bools:
        """Which values are proved to be at most 0."""
        found: Bools = self.centre <= (0.0 if self.radius is None else -self.radius)
        return found


class Propagation:
    """Carries balls through a program; facts about the weights are found once.

    unit: the unit roundoff that radii allow for. With a larger one than float64's, they bound what a run of the network
    in a narrower format returns.
    """

    def __init__(self, program: Program, unit: float = _UNIT) -> None:
        self.program, self.unit = program, unit
        self._facts: dict[int, _Facts] = {}

    def balls(self, rows: Ball, wanted: Mapping[int, Ints | None]) -> dict[int, Ball]:
        """Balls of the wanted nodes, all entries (None) or some; of an affine node only these are computed."""
        nodes = self.program.nodes
        partly = {i for i, columns in wanted.items() if columns is not None and isinstance(nodes[i], Affine)}
        whole = self._ancestors([*(i for i in wanted if i not in partly), *(nodes[i].sources[0] for i in partly)])
        last_use = {source: i for i in sorted(whole | partly) for source in nodes[i].sources}
        known: dict[int, Ball] = {}
        found: dict[int, Ball] = {}
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            for i in sorted(whole | partly):
                node, columns = nodes[i], wanted.get(i)
                sources = [known[source] for source in node.sources]
                if i not in whole and isinstance(node, Affine) and columns is not None:
                    found[i] = self._affine(i, node, sources[0], columns)
                else:
                    known[i] = rows if isinstance(node, Input) else self._step(i, node, sources)
                    if i in wanted:
                        found[i] = known[i] if columns is None else known[i].taken(columns)
                for source in node.sources:
                    if last_use[source] == i:
                        known.pop(source, None)
        return found

    def _ancestors(self, wanted: Iterable[int]) -> set[int]:
        found: set[int] = set()
        todo = list(wanted)
        while todo:
            i = todo.pop()
            if i not in found:
                found.add(i)
                todo.extend(self.program.nodes[i].sources)
        return found

    def _step(self, i: int, node: Node, sources: list[Ball]) -> Ball:
        match node:
            case Affine():
                return self._affine(i, node, sources[0], None)
            case Windows():
                return self._windows(i, node, sources[0])
            case Relu():
                return _relu(sources[0])
            case Move():
                return _moved(node, sources)
            case Sum():
                return _sum(node, sources[0], sources[1], self.unit)
            case Scale():
                return _scaled(node, sources[0], self.unit)
            case Largest():
                return _largest(node, sources[0])
            case Mean():
                return _mean(node, sources[0], self.unit)
        raise TypeError(f"{type(node).__name__} is no step")

    def _grid(self, h: Ball) -> _Grid | None:
        return _Grid.of(h) if self.unit == _UNIT else None

    def _fact(self, i: int, weight: Floats, bias: Floats | None) -> _Facts:
        if i not in self._facts:
            self._facts[i] = _Facts(weight, bias)
        return self._facts[i]

    def _affine(self, i: int, node: Affine, h: Ball, columns: Ints | None) -> Ball:
        facts = self._fact(i, node.weight, node.bias)
        weight, bias = node.weight, node.bias
        if columns is not None:
            facts, weight, bias = facts.taken(columns), weight[columns], None if bias is None else bias[columns]
        z = h.centre @ weight.T
        if bias is not None:
            z += bias
        return _product(
            self.unit, z, facts, self._grid(h), _norms(h.centre), None if h.radius is None else _norms(h.radius)
        )

    def _windows(self, i: int, node: Windows, h: Ball) -> Ball:
        groups, positions, terms = node.index.shape
        outputs = node.weight.shape[1]
        facts = self._fact(i, node.weight.reshape(groups * outputs, terms), node.bias)
        parts = _with_zero(h.centre)[:, node.index]  # (rows, groups, positions, in)
        z = np.matmul(parts, node.weight.transpose(0, 2, 1))
        if node.bias is not None:
            z += node.bias.reshape(groups, 1, outputs)
        errors = None if h.radius is None else _norms(_with_zero(h.radius)[:, node.index])
        by_group = [facts.taken(np.arange(g * outputs, (g + 1) * outputs)) for g in range(groups)]
        norms, grid = _norms(parts), self._grid(h)
        balls = []
        for g in range(groups):
            flat = z[:, g].reshape(-1, outputs)
            error = None if errors is None else errors[:, g].reshape(-1)
            balls.append(_product(self.unit, flat, by_group[g], grid, norms[:, g].reshape(-1), error))
        order = (0, 2, 1, 3) if node.channels_last else (0, 1, 3, 2)

        def shaped(values: list[Floats]) -> Floats:
            stacked = np.stack([each.reshape(len(h.centre), positions, outputs) for each in values], axis=1)
            arranged: Floats = stacked.transpose(order).reshape(len(h.centre), -1)
            return arranged

        centre = shaped([each.centre for each in balls])
        if all(each.radius is None for each in balls):
            return Ball(centre, None)
        return Ball(centre, shaped([np.zeros_like(b.centre) if b.radius is None else b.radius for b in balls]))


class _Facts:
    """What error bounds need of the rows of a weight matrix."""

    def __init__(self, weight: Floats, bias: Floats | None) -> None:
        self.terms = weight.shape[1]
        self.norms = _norms(weight)
        self.bias = np.zeros(len(weight)) if bias is None else np.abs(bias)
        self._weight, self._bias = weight, bias

    @cached_property
    def sums(self) -> Floats:
        """Sums of absolute values, rounded up."""
        found: Floats = np.array([np.abs(row).sum() for row in self._weight]) * _SAFETY
        return found

    @cached_property
    def lowest(self) -> tuple[Floats, Floats]:
        """Exponents of the lowest bits of the weights of each row, and of its bias; infinite for zeros."""
        bias = np.full(len(self.bias), np.inf) if self._bias is None else _lowest_bits(self._bias[:, None])
        return _lowest_bits(self._weight), bias

    def taken(self, rows: Ints) -> _Facts:
        """The facts about some rows."""
        part = _Facts.__new__(_Facts)
        part.terms, part.norms, part.bias = self.terms, self.norms[rows], self.bias[rows]
        vars(part)["sums"] = self.sums[rows]
        low, of_bias = self.lowest
        vars(part)["lowest"] = (low[rows], of_bias[rows])
        return part

    def without_rounding(self, h: _Grid) -> Bools:
        """For which rows of weights no partial sum with any of the vectors is rounded."""
        lowest, of_bias = self.lowest
        grain = np.minimum(lowest + h.lowest, of_bias)
        total = (self.sums * h.size + self.bias) * _SAFETY
        fits: Bools = np.isfinite(total) & (
            total <= np.ldexp(1.0, np.clip(grain, -2000, 900).astype(int) + _FLOAT_BITS)
        )
        return (fits & (grain >= _LOWEST_BIT)) | (np.isinf(grain) & (grain > 0))


@dataclass(frozen=True)
class _Grid:
    """Exact vectors: their entries are multiples of `2^lowest`, and at most `size` in absolute value."""

    lowest: float
    size: float

    @classmethod
    def of(cls, h: Ball) -> _Grid | None:
        if h.radius is not None:
            return None
        return cls(float(_lowest_bits(h.centre).min(initial=np.inf)), float(np.abs(h.centre).max(initial=0.0)))


def _product(unit: float, z: Floats, facts: _Facts, grid: _Grid | None, norms: Floats, errors: Floats | None) -> Ball:
    """The ball of `z = weight h + bias` from norms of the vectors `h` and of their radii, one a row of `z`."""
    exact = None if grid is None else facts.without_rounding(grid)
    if exact is not None and exact.all() and np.isfinite(z).all():
        return Ball(z, None)
    terms = (facts.terms + 3) * unit
    growth = terms / (1.0 - terms) if terms < 1.0 else np.inf
    size = norms if errors is None else norms + errors
    carried = growth * size if errors is None else growth * size + errors
    radius = np.multiply.outer(carried, facts.norms)
    rest = (growth * facts.bias + facts.terms * _TINY) * (facts.norms > 0)
    radius += np.multiply.outer((size > 0).astype(np.float64), rest)
    radius *= _SAFETY
    if exact is not None:
        radius[:, exact] = 0.0
    lost = ~np.isfinite(z) | ~np.isfinite(radius)
    if lost.any():
        z[lost], radius[lost] = 0.0, np.inf
    return Ball(z, radius)


def _norms(values: Floats) -> Floats:
    """Euclidean norms along the last axis, up to a relative error far below that of `_SAFETY`."""
    size = np.abs(values).max(axis=-1, initial=0.0)
    usual = (size == 0) | ((size > _SMALLEST) & (size < _LARGEST))
    if usual.all():
        usual_norms: Floats = np.sqrt(np.einsum("...i,...i->...", values, values))
        return usual_norms
    scale = np.where((size > 0) & np.isfinite(size), size, 1.0)
    found: Floats = scale * np.sqrt(((values / scale[..., None]) ** 2).sum(axis=-1)) + _TINY * (size > 0)
    return np.where(np.isfinite(size), found, np.inf)


def _lowest_bits(values: Floats) -> Floats:
    """Exponents `p` such that all entries of a row are multiples of `2^p`, the largest such; infinite for zeros."""
    step = max(1, _NUMBERS // max(1, values.shape[-1]))
    return np.concatenate([_lowest_bits_block(values[i : i + step]) for i in range(0, len(values), step)])


def _lowest_bits_block(values: Floats) -> Floats:
    mantissa, exponent = np.frexp(values)
    whole = np.ldexp(mantissa, _FLOAT_BITS).astype(np.int64)
    lowest = np.frexp((whole & -whole).astype(np.float64))[1] - 1 + exponent - _FLOAT_BITS
    found: Floats = np.where(whole == 0, np.inf, lowest).min(axis=-1, initial=np.inf)
    return found


def _with_zero(values: Floats) -> Floats:
    """One more column of zeros, which the index -1 finds."""
    return np.concatenate([values, np.zeros((len(values), 1))], axis=1)


def _relu(z: Ball) -> Ball:
    """Where the pre-activation is surely not positive the centre and the radius are exactly 0."""
    if z.radius is None:
        return Ball(np.maximum(z.centre, 0.0), None)
    off = z.surely_off
    return Ball(np.where(off, 0.0, np.maximum(z.centre, 0.0)), np.where(off, 0.0, z.radius))


def _radii(ball: Ball) -> Floats:
    return np.zeros_like(ball.centre) if ball.radius is None else ball.radius


def _moved(node: Move, sources: list[Ball]) -> Ball:
    exact = all(each.radius is None for each in sources)
    centre = _with_zero(np.concatenate([each.centre for each in sources], axis=1))[:, node.index]
    if exact:
        return Ball(centre, None)
    return Ball(centre, _with_zero(np.concatenate([_radii(each) for each in sources], axis=1))[:, node.index])


def _sum(node: Sum, left: Ball, right: Ball, unit: float) -> Ball:
    a, b = left.centre, node.sign * right.centre
    total = a + b
    part = total - a
    rounding = np.abs((a - (total - part)) + (b - part))  # exactly the rounding error (Knuth), unless it overflows
    if unit != _UNIT:
        rounding = rounding + unit * np.abs(total)
    lost = ~np.isfinite(total) | ~np.isfinite(rounding)
    if left.radius is None and right.radius is None and not rounding.any() and not lost.any():
        return Ball(total, None)
    radius = (_radii(left) + _radii(right) + rounding) * _SAFETY
    lost |= ~np.isfinite(radius)
    return Ball(np.where(lost, 0.0, total), np.where(lost, np.inf, radius))


def _scaled(node: Scale, h: Ball, unit: float) -> Ball:
    product = h.centre * node.factor
    z = product + node.shift
    power_of_two = np.abs(np.frexp(node.factor)[0]) == 0.5
    kept = (product == 0) | (np.abs(product) > _SMALLEST)
    doubles = unit == _UNIT and h.radius is None and node.exact and not node.shift.any() and power_of_two.all()
    if doubles and kept.all() and np.isfinite(z).all() and ((product != 0) == (h.centre != 0)).all():
        return Ball(z, None)
    size = np.abs(h.centre)
    radius = np.abs(node.factor) * _radii(h) + (size + _radii(h)) * node.factor_error + node.shift_error
    radius = (radius + 3 * unit * (np.abs(product) + np.abs(node.shift)) + _TINY * (h.centre != 0)) * _SAFETY
    lost = ~np.isfinite(z) | ~np.isfinite(radius)
    return Ball(np.where(lost, 0.0, z), np.where(lost, np.inf, radius))


def _largest(node: Largest, h: Ball) -> Ball:
    parts = np.where(node.index < 0, -np.inf, h.centre[:, node.index])
    centre = parts.max(axis=2)
    if h.radius is None:
        return Ball(centre, None)
    return Ball(centre, np.where(node.index < 0, 0.0, h.radius[:, node.index]).max(axis=2))


def _mean(node: Mean, h: Ball, unit: float) -> Ball:
    parts = _with_zero(h.centre)[:, node.index]
    total = parts.sum(axis=2)
    centre = total / node.divisor
    size = np.abs(parts).sum(axis=2)
    radius = (node.index.shape[1] + 3) * unit * size / node.divisor + _TINY * (size > 0)
    if h.radius is not None:
        radius += _with_zero(h.radius)[:, node.index].sum(axis=2) / node.divisor
    radius *= _SAFETY
    lost = ~np.isfinite(centre) | ~np.isfinite(radius)
    return Ball(np.where(lost, 0.0, centre), np.where(lost, np.inf, radius))
