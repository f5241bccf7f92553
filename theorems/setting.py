"""Networks and data: the objects that every theorem speaks about (math §1).

Everything here is exact: integers and fractions, no floats.
"""

from __future__ import annotations

import math
import operator
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import groupby, repeat

from theorems.errors import InvalidInput

__all__ = ["Architecture", "DataSet"]

Vector = tuple[Fraction, ...]
MAX_LAYERS, MAX_WIDTH = 20_000, 1_000_000


@dataclass(frozen=True)
class Architecture:
    """A fully connected ReLU network `l = (l_0, ..., l_L)` with `L >= 2`, i.e. at least one hidden layer.

    Symbols: widths = l; input_dim = l_0; hidden = (l_1, ..., l_{L-1}); output_dim = l_L; depth = L.
    Fails: InvalidInput if there are fewer than three widths, one of them is below 1, or the network is absurdly large.
    """

    widths: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.widths) < 3 or any(width < 1 for width in self.widths):
            raise InvalidInput(
                f"architecture {self}: expected at least three widths, all at least 1, such as 1,32,1 "
                "(input, hidden layers, output)"
            )
        if len(self.widths) > MAX_LAYERS or max(self.widths) > MAX_WIDTH:
            raise InvalidInput(
                f"architecture {self}: expected at most {MAX_LAYERS} layers of width at most {MAX_WIDTH}"
            )

    @classmethod
    def parse(cls, text: str) -> Architecture:
        """Read `"1,32,1"`, or `"1,3*10,1"` for ten hidden layers of width 3; spaces are allowed."""
        widths: list[int] = []
        for part in text.split(","):
            match = re.fullmatch(r"\s*([0-9]{1,9})(?:\s*\*\s*([0-9]{1,6}))?\s*", part)
            if match is None:
                raise InvalidInput(
                    f"architecture {text!r}: expected whole numbers separated by commas, such as 1,32,1 or 1,3*10,1"
                )
            widths += [int(match[1])] * int(match[2] or 1)
        return cls(tuple(widths))

    @property
    def input_dim(self) -> int:
        """Number of input coordinates, `l_0`."""
        return self.widths[0]

    @property
    def output_dim(self) -> int:
        """Number of output coordinates, `l_L`."""
        return self.widths[-1]

    @property
    def hidden(self) -> tuple[int, ...]:
        """Widths of the hidden layers, `(l_1, ..., l_{L-1})`."""
        return self.widths[1:-1]

    @property
    def depth(self) -> int:
        """Number of affine maps, `L`."""
        return len(self.widths) - 1

    @property
    def is_shallow(self) -> bool:
        """Whether there is exactly one hidden layer (`L = 2`)."""
        return self.depth == 2

    @property
    def n_parameters(self) -> int:
        """`D(l) = sum_k l_k (l_{k-1} + 1)`."""
        return sum(out * (inp + 1) for inp, out in zip(self.widths, self.widths[1:], strict=False))

    def __str__(self) -> str:
        """The text that `parse` reads; runs of four or more equal widths are written `3*10`."""
        runs = [(width, len(list(group))) for width, group in groupby(self.widths)]
        return ",".join(f"{width}*{n}" if n > 3 else ",".join([str(width)] * n) for width, n in runs)


@dataclass(frozen=True)
class DataSet:
    """A finite regression data set, reduced to its distinct inputs (math §1).

    The empirical risk of a network is `noise_floor + sum_j pi_j |N(xi_j) - ybar_j|^2`, so nothing else of the rows
    is needed. Build it with `from_rows`.

    Symbols: inputs = (xi_j); weights = (pi_j); means = (ybar_j); noise_floor = nu; n_rows = M; n_inputs = K;
    rows = (index of the distinct input, label) of every original row, which minibatches are drawn from;
    labels_have_density: the user states that the labels, before any scaling of label columns, were drawn from a joint
    density given the inputs (math Lemma 7d). Nothing checks this statement, except that equal labels contradict it.
    """

    name: str
    inputs: tuple[Vector, ...]
    weights: tuple[Fraction, ...]
    means: tuple[Vector, ...]
    noise_floor: Fraction
    rows: tuple[tuple[int, Vector], ...]
    labels_have_density: bool = False

    @classmethod
    def from_rows(
        cls,
        name: str,
        inputs: Sequence[Sequence[Fraction]],
        labels: Sequence[Sequence[Fraction]],
        labels_have_density: bool = False,
    ) -> DataSet:
        """Reduce rows `(x_m, y_m)` to distinct inputs, in ascending order.

        Fails: InvalidInput if there are no rows, rows differ in length, inputs or labels are empty, or labels that are
        said to have a density repeat a value, which almost surely they do not.
        """
        if len(inputs) != len(labels):
            raise InvalidInput(
                f"data {name!r}: {len(inputs)} inputs but {len(labels)} labels; expected one label a row"
            )
        if not inputs:
            raise InvalidInput(f"data {name!r} is empty; expected at least two rows")
        if len({len(x) for x in inputs}) > 1 or len({len(y) for y in labels}) > 1:
            raise InvalidInput(f"data {name!r} has rows of different lengths; expected the same columns in every row")
        if not inputs[0] or not labels[0]:
            raise InvalidInput(f"data {name!r} has no input or no label column; expected at least one of each")
        if labels_have_density:
            _refuse_repeated_labels(name, labels)
        keys = list(zip(*(_whole_numbers(column) for column in zip(*inputs, strict=True)), strict=True))
        members: dict[tuple[int, ...], list[int]] = {}
        for row, key in enumerate(keys):
            members.setdefault(key, []).append(row)
        distinct = sorted(members)
        position = {key: j for j, key in enumerate(distinct)}
        vectors = [tuple(y) for y in labels]
        means = tuple(_mean([vectors[row] for row in members[key]]) for key in distinct)
        repeated = [j for j, key in enumerate(distinct) if len(members[key]) > 1]
        squares = _square_sum(vectors[row] for j in repeated for row in members[distinct[j]])
        noise = squares - _square_sum((means[j] for j in repeated), [len(members[distinct[j]]) for j in repeated])
        return cls(
            name=name,
            inputs=tuple(tuple(inputs[members[key][0]]) for key in distinct),
            weights=tuple(Fraction(len(members[key]), len(keys)) for key in distinct),
            means=means,
            noise_floor=noise / len(keys),
            rows=tuple((position[key], y) for key, y in zip(keys, vectors, strict=True)),
            labels_have_density=labels_have_density,
        )

    def __hash__(self) -> int:
        """Hash a few fields only: data sets are keys of caches, and hashing every fraction each time is slow."""
        return hash((self.name, len(self.rows), self.noise_floor))

    @property
    def n_rows(self) -> int:
        """Number of rows, `M`."""
        return len(self.rows)

    @property
    def n_inputs(self) -> int:
        """Number of distinct inputs, `K`."""
        return len(self.inputs)

    @property
    def input_dim(self) -> int:
        """Number of input coordinates."""
        return len(self.inputs[0])

    @property
    def output_dim(self) -> int:
        """Number of label coordinates."""
        return len(self.means[0])

    @cached_property
    def _counts(self) -> list[int]:
        """Numbers `M pi_j` of rows at the distinct inputs."""
        return [p.numerator * (self.n_rows // p.denominator) for p in self.weights]

    @cached_property
    def grand_mean(self) -> Vector:
        """`ybar = sum_j pi_j ybar_j`."""
        return tuple(_sum(column, self._counts) / self.n_rows for column in zip(*self.means, strict=True))

    @cached_property
    def variance(self) -> Fraction:
        """Between-input variance `V = sum_j pi_j |ybar_j - ybar|^2`; the best constant has risk `nu + V`."""
        return _square_sum(self.means, self._counts) / self.n_rows - _square_sum([self.grand_mean])

    @cached_property
    def rays(self) -> frozenset[tuple[int, ...]]:
        """One vector for each distinct ray `{t x : t > 0}` of the non-zero inputs.

        Its entries are integers without a common divisor, in units of their own for every coordinate.
        """
        found = set()
        for x in zip(*(_whole_numbers(column) for column in zip(*self.inputs, strict=True)), strict=True):
            divisor = math.gcd(*x)
            if divisor:
                found.add(tuple(v // divisor for v in x))
        return frozenset(found)

    @property
    def n_rays(self) -> int:
        """Number of distinct rays through the non-zero inputs, `K_r`."""
        return len(self.rays)

    @property
    def rays_are_opposite(self) -> bool:
        """Whether there are exactly two rays, and they form a line through 0."""
        return self.n_rays == 2 and {tuple(-v for v in ray) for ray in self.rays} == self.rays

    @cached_property
    def input_ranges(self) -> tuple[tuple[Fraction, Fraction], ...]:
        """Smallest and largest value of every input coordinate."""
        ranges = []
        for column in zip(*self.inputs, strict=True):
            whole = _whole_numbers(column)
            ranges.append((column[whole.index(min(whole))], column[whole.index(max(whole))]))
        return tuple(ranges)

    @cached_property
    def spread_squared(self) -> Fraction:
        """`sum_j |xi_j - xibar|^2` over the distinct inputs, each counted once."""
        sums = [tuple(_sum(column) for column in zip(*self.inputs, strict=True))]
        return _square_sum(self.inputs) - _square_sum(sums) / self.n_inputs

    def risk_of(self, outputs: Mapping[Vector, Vector]) -> Fraction:
        """Return the exact empirical risk of a function given by its values at the distinct inputs."""
        residuals = (tuple(map(operator.sub, outputs[x], y)) for x, y in zip(self.inputs, self.means, strict=True))
        return self.noise_floor + _square_sum(residuals, self._counts) / self.n_rows


def _refuse_repeated_labels(name: str, labels: Sequence[Sequence[Fraction]]) -> None:
    """Under a joint density no two entries of a label column are equal, almost surely."""
    for i, column in enumerate(zip(*labels, strict=True)):
        first: dict[tuple[int, int], int] = {}
        for row, value in enumerate(column, start=1):
            earlier = first.setdefault(value.as_integer_ratio(), row)
            if earlier != row:
                raise InvalidInput(
                    f"data {name!r}, rows {earlier} and {row}: label column {i} repeats a value; expected distinct "
                    "labels, since they are said to have a density (rounded measurements and class numbers have none)"
                )


def _whole_numbers(column: Sequence[Fraction]) -> list[int]:
    """Multiply a column by its least common denominator: integers sort and hash much faster than fractions."""
    scale = math.lcm(*{value.denominator for value in column})
    return [value.numerator * (scale // value.denominator) for value in column]


def _mean(vectors: Sequence[Vector]) -> Vector:
    if len(vectors) == 1:
        return vectors[0]
    return tuple(_sum(column) / len(vectors) for column in zip(*vectors, strict=True))


def _sum(column: Iterable[Fraction], counts: Iterable[int] = repeat(1)) -> Fraction:
    """`sum_j m_j v_j`; data have few denominators, and where they are equal integers are added."""
    totals: defaultdict[int, int] = defaultdict(int)
    for value, count in zip(column, counts, strict=False):
        p, q = value.as_integer_ratio()
        totals[q] += count * p
    return sum((Fraction(total, q) for q, total in totals.items()), Fraction(0))


def _square_sum(vectors: Iterable[Vector], counts: Iterable[int] = repeat(1)) -> Fraction:
    """`sum_j m_j |v_j|^2`, likewise."""
    totals: defaultdict[int, int] = defaultdict(int)
    for vector, count in zip(vectors, counts, strict=False):
        for value in vector:
            p, q = value.as_integer_ratio()
            totals[q] += count * p * p
    return sum((Fraction(total, q * q) for q, total in totals.items()), Fraction(0))
