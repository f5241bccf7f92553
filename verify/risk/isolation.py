"""How many first-layer neurons change the second layer at one chosen input only (math Lemma 6).

An input is isolated by one neuron if an open half-space holds it and no other input, by two if it holds one other,
and by three always. Half-spaces are found in floats and checked in integers.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from theorems.hypotheses import Evidence
from theorems.setting import DataSet
from verify.risk.lattice import Integers, input_lattice
from verify.risk.threads import on_one_thread
from verify.separation import separate

__all__ = ["LARGEST_KAPPA", "Isolation", "extreme_inputs", "isolation_number"]

Floats = npt.NDArray[np.float64]

LARGEST_KAPPA = 3  # three neurons always isolate an input: a hat along a line

MAX_PRODUCTS = 10**9  # inputs squared times coordinates, above which 3 is returned unseen
MAX_COLUMNS = 2**20
MAX_SEPARATIONS = 600  # exact separations in one call; 3 is returned when they are used up
COARSE_BITS = 30
DIRECTION_BITS = 40
RELAXATIONS = 5  # steps, times the number of inputs
RELAXATION_WORK = 3 * 10**8  # multiplications of one metric, about
OVERHEAD = 10
METRICS = (1e-4, 1e-2, 1.0)
CUTS = 20
STEP = 1e-3
LEAST_MARGIN = 1e-9


@dataclass(frozen=True)
class Isolation:
    """A number of first-layer neurons that isolates every input; every larger number does too (math Lemma 6)."""

    value: int
    evidence: Evidence
    why: str


@lru_cache(maxsize=64)
@on_one_thread
def isolation_number(data: DataSet) -> Isolation:
    """`kappa = min(3, max_j depth(xi_j))`: the least number of data inputs in an open half-space that holds `xi_j`.

    Source:   math Lemma 6.
    Rigour:   1 and 2 are certified by exact half-spaces for every input (scalar inputs, inputs on a line: by their
              order). 3 is returned in every other case, also where the budget is used up (more than 10^9 products of
              coordinates, 600 separations): a larger number is always safe, since `I(l')` only grows when first-layer
              neurons are removed.
    """
    n = data.n_inputs
    if n <= 2:
        return _isolation(1, f"{n} distinct input{'s' if n > 1 else ''}: each is an end point")
    values = _moving_columns(data)
    if _on_one_line(values):
        on_line = "" if data.input_dim == 1 else " on one line"
        if n <= 4:
            return _isolation(2, f"{n} distinct inputs{on_line}: each is an end point or next to one")
        return _isolation(3, f"{n} distinct inputs{on_line}: a middle one has at least two others on either side")
    if _too_large(values):
        return _isolation(3, f"{n} inputs with {values.shape[1]} coordinates were not examined; 3 is always enough")
    return _examined(data, _cloud(data))


@lru_cache(maxsize=64)
def extreme_inputs(data: DataSet) -> frozenset[int]:
    """Numbers of inputs that are certainly extreme points of the convex hull; not necessarily all of them.

    Rigour:   exact half-spaces; extreme points may be missing, which is safe.
    """
    if isolation_number(data).value == 1:
        return frozenset(range(data.n_inputs))
    values = _moving_columns(data)
    if _on_one_line(values) or _too_large(values):
        return frozenset()
    return frozenset(range(data.n_inputs)).difference(_without_proposal(data))


def _isolation(value: int, why: str) -> Isolation:
    return Isolation(value, Evidence.CERTIFIED, why)


def _moving_columns(data: DataSet) -> Integers:
    lattice = input_lattice(data)
    moving: Integers = lattice.values[:, [column for column, size in enumerate(lattice.sizes) if size]]
    return moving


def _on_one_line(values: Integers) -> bool:
    offsets = (values - values[0]).astype(object)
    axis = int(np.argmax(offsets[1] != 0))
    return bool((offsets * offsets[1, axis] == np.outer(offsets[:, axis], offsets[1])).all())


def _too_large(values: Integers) -> bool:
    return len(values) * values.size > MAX_PRODUCTS or values.shape[1] > MAX_COLUMNS


@lru_cache(maxsize=4)
def _cloud(data: DataSet) -> _Cloud:
    return _Cloud.of(_moving_columns(data))


@lru_cache(maxsize=64)
@on_one_thread
def _without_proposal(data: DataSet) -> tuple[int, ...]:
    return tuple(_cloud(data).without_proposal())


def _examined(data: DataSet, cloud: _Cloud) -> Isolation:
    n = len(cloud.values)
    innermost = cloud.from_the_middle()[0]
    depth, used = _depth(cloud, innermost, MAX_SEPARATIONS)
    if depth is None:
        return _isolation(3, _NOT_ISOLATED.format(n))
    deeper = int(depth == 2)
    for j in _without_proposal(data):
        if j == innermost:
            continue
        depth, spent = _depth(cloud, j, MAX_SEPARATIONS - used)
        used += spent
        if depth is None:
            return _isolation(3, _NOT_ISOLATED.format(n))
        deeper += depth == 2
    if deeper:
        return _isolation(
            2, f"each of the {n} inputs is in a half-space with at most one other, {deeper} of them not alone"
        )
    return _isolation(1, f"each of the {n} distinct inputs is an extreme point of their convex hull")


_NOT_ISOLATED = (
    "for one of the {} distinct inputs no half-space with at most one other input was found; 3 always suffices"
)


def _depth(cloud: _Cloud, j: int, budget: int) -> tuple[int | None, int]:
    """1 or 2 if an open half-space with so many inputs holds input j, None if none was found; separations used."""
    support, used = cloud.isolate(j, frozenset(), budget)
    if support is None:
        return 1, used
    # any half-space around input j holds an input of every convex combination that gives it
    for other in support:
        blocked, spent = cloud.isolate(j, frozenset({other}), budget - used)
        used += spent
        if blocked is None:
            return 2, used
        if used >= budget:
            break
    return None, used


@dataclass(frozen=True, eq=False)
class _Cloud:
    """Distinct inputs that span more than a line.

    Symbols: values = exact integers (K, d); sizes = largest of each column; shares = floats near values / sizes; grid =
    int64 near `values scale / sizes`, exact multiples (`slack` 0) or rounded down (`slack` 1 a coordinate).
    """

    values: Integers
    sizes: tuple[int, ...]
    shares: Floats
    grid: Integers
    slack: int

    @classmethod
    def of(cls, values: Integers) -> _Cloud:
        """Prepare columns that are not constant."""
        sizes = tuple(int(size) for size in values.max(axis=0))
        columns = values.T.tolist()
        shares = np.array([[v / size for v in column] for column, size in zip(columns, sizes, strict=True)]).T
        if max(sizes) < 2**COARSE_BITS:
            return cls(values, sizes, shares, values.astype(np.int64), 0)
        coarse = [[v * 2**COARSE_BITS // size for v in column] for column, size in zip(columns, sizes, strict=True)]
        return cls(values, sizes, shares, np.array(coarse, dtype=np.int64).T, 1)

    def from_the_middle(self) -> list[int]:
        """Inputs in the order of their distance from the mean, measured by the covariance."""
        centred, roots, axes = self._principal()
        distances = ((centred @ (axes / np.sqrt(roots + METRICS[0] * roots.max()))) ** 2).sum(axis=1)
        return [int(j) for j in np.argsort(distances, kind="stable")]

    def without_proposal(self) -> list[int]:
        """Inputs that the float proposals do not certify as extreme, the innermost first."""
        centred, roots, axes = self._principal()
        rest = np.arange(len(centred))
        for ridge in METRICS:
            metric = axes / np.sqrt(roots + ridge * roots.max())
            found, directions = _relaxed(centred @ metric, rest)
            certified = found[self._are_extreme(found, directions @ metric.T)]
            rest = np.setdiff1d(rest, certified)
        left = set(rest.tolist())
        return [j for j in self.from_the_middle() if j in left]

    def _principal(self) -> tuple[Floats, Floats, Floats]:
        """Shares less their mean, and the principal variances and axes."""
        centred: Floats = self.shares - self.shares.mean(axis=0)
        roots, axes = np.linalg.eigh(centred.T @ centred / len(centred))
        return centred, np.maximum(roots, 0.0), axes

    def _are_extreme(self, chosen: npt.NDArray[np.intp], directions: Floats) -> npt.NDArray[np.bool_]:
        """Whether each direction, rounded, is larger on its own input than on all others; exact in 64-bit integers.

        A sum has at most d terms below 2^(DIRECTION_BITS + 1) each; rounding the inputs down moves a difference of two
        sums by less than `sum |weights|`.
        """
        widths = np.array(self.sizes if self.slack == 0 else [2**COARSE_BITS] * len(self.sizes), dtype=np.float64)
        largest = np.maximum(np.abs(directions).max(axis=1, keepdims=True), np.finfo(np.float64).tiny)
        shares = np.clip(np.nan_to_num(directions / largest), -1.0, 1.0)
        weights = np.rint(shares * (2.0**DIRECTION_BITS / widths)).astype(np.int64)
        sums = self.grid @ weights.T
        own = sums[chosen, range(len(chosen))]
        sums[chosen, range(len(chosen))] = np.iinfo(np.int64).min
        certified: npt.NDArray[np.bool_] = own - sums.max(axis=0) > self.slack * np.abs(weights).sum(axis=1)
        return certified

    def isolate(self, j: int, ignored: frozenset[int], budget: int) -> tuple[tuple[int, ...] | None, int]:
        """Look for an open half-space that holds input j and none of the others, but for the ignored ones.

        Returns None if there is one, else the inputs of a convex combination that gives input j (none if undecided);
        and the number of separations used.
        """
        others = np.array([i for i in range(len(self.values)) if i != j and i not in ignored])
        offsets = (self.values[others] - self.values[j]).astype(object)
        ahead = (self.shares[others] - self.shares[j]) @ (self.shares[j] - self.shares.mean(axis=0))
        batch = 3 * len(self.sizes) + 3
        active = np.argsort(-ahead, kind="stable")[:batch]
        for used in range(1, min(CUTS, budget) + 1):
            found = separate([tuple(Fraction(v) for v in row) for row in offsets[active]])
            if found.multipliers is not None:
                return tuple(int(others[active[i]]) for i, _ in found.multipliers), used
            if found.direction is None:
                return (), used
            scale = math.lcm(*(u.denominator for u in found.direction))
            products = offsets @ np.array([int(u * scale) for u in found.direction], dtype=object)
            violated = np.flatnonzero(products >= 0)
            if not len(violated):
                return None, used
            worst = sorted(violated.tolist(), key=lambda i: -products[i])[:batch]
            active = np.concatenate([active, np.array(worst)])
        return (), min(CUTS, budget)


def _relaxed(points: Floats, chosen: npt.NDArray[np.intp]) -> tuple[npt.NDArray[np.intp], Floats]:
    """Directions in which chosen points come before all others, found by relaxation (Agmon 1954, Motzkin 1954).

    Start with the direction of each point from the mean, and step to satisfy the most violated inequality.
    """
    found, directions = [np.array([], dtype=np.intp)], [np.empty((0, points.shape[1]))]
    current = points[chosen]
    work = 0
    for _ in range(RELAXATIONS * len(points)):
        if not len(chosen) or work > RELAXATION_WORK:
            break
        work += len(chosen) * (points.size + OVERHEAD * len(points))
        sums = current @ points.T
        own = sums[range(len(chosen)), chosen]
        sums[range(len(chosen)), chosen] = -np.inf
        nearest = sums.argmax(axis=1)
        behind = sums.max(axis=1) - own
        lengths = np.linalg.norm(current, axis=1)
        done = behind < -LEAST_MARGIN * lengths
        found.append(chosen[done])
        directions.append(current[done])
        chosen, current, behind, nearest, lengths = (a[~done] for a in (chosen, current, behind, nearest, lengths))
        away = points[chosen] - points[nearest]
        squares = np.maximum((away**2).sum(axis=1), np.finfo(np.float64).tiny)
        current = current + away * ((behind + STEP * lengths * np.sqrt(squares)) / squares)[:, None]
    return np.concatenate(found), np.concatenate(directions)
