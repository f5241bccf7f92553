"""The data of a scan: exact inputs that also come as floats with error bounds, chunk by chunk.

Small data are read exactly like those of `nonconv bound` (`verify.data`). Arrays of more than `MOST_EXACT` numbers stay
arrays: their floats and whole numbers are exact as they stand, and nothing is computed with them beforehand.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from theorems.errors import InvalidInput
from theorems.setting import DataSet
from verify.data import DataSpec, load_data
from verify.enclosure import float_down, float_up
from verify.scan.bounds import Ball

__all__ = ["MOST_EXACT", "NO_LABELS", "ArrayInputs", "ExactInputs", "ScanInputs", "load_inputs", "of_arrays"]

Floats = npt.NDArray[np.float64]
Box = tuple[tuple[Fraction, Fraction], ...]

MOST_EXACT = 1_000_000
"""Numbers up to which inputs become fractions, so that theorems can be put to them."""

NO_LABELS = ("none",)
"""Label columns of arrays that hold inputs alone."""

_UNIT = 2.0**-53
_TINY = 2.0**-1074
_MOST_WHOLE = 2**53
_CHUNK = 4_000_000
_DAMAGED = (OSError, ValueError, EOFError, KeyError, TypeError, SyntaxError, MemoryError, RuntimeError, OverflowError)


class ScanInputs(Protocol):
    """Exact inputs, (rows, entries)."""

    @property
    def name(self) -> str:
        """What tables print."""

    @property
    def rows(self) -> int:
        """Number of inputs that are looked at."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input, as the module gets it."""

    @property
    def data(self) -> DataSet | None:
        """The data set with its labels, for theorems; None where there are no labels, or too many numbers."""

    def balls(self, start: int, stop: int) -> Ball:
        """Some inputs as floats with error bounds."""

    def exact(self, row: int) -> tuple[Fraction, ...]:
        """One input."""

    @property
    def box(self) -> tuple[Floats, Floats]:
        """Smallest and largest value of each entry, rounded outward."""

    @property
    def exact_box(self) -> Box:
        """The same exactly."""

    @property
    def nonnegative(self) -> bool:
        """Whether no entry is negative."""


@dataclass(frozen=True)
class ExactInputs:
    """The distinct inputs of an exact data set."""

    exactly: DataSet
    shape: tuple[int, ...]
    with_labels: bool = True

    @property
    def name(self) -> str:
        """What tables print."""
        return self.exactly.name

    @property
    def rows(self) -> int:
        """Number of distinct inputs."""
        return self.exactly.n_inputs

    @property
    def data(self) -> DataSet | None:
        """The data set, if it has labels."""
        return self.exactly if self.with_labels else None

    @cached_property
    def _all(self) -> Ball:
        try:
            centre = np.array([[v.numerator / v.denominator for v in x] for x in self.exactly.inputs])
        except OverflowError:
            raise InvalidInput(
                f"data {self.name!r} hold a number beyond the range of float64; expected smaller numbers"
            ) from None
        exact = all(
            Fraction(c) == v
            for row, x in zip(centre.tolist(), self.exactly.inputs, strict=True)
            for c, v in zip(row, x, strict=True)
        )
        return Ball(centre, None if exact else np.where(centre == 0, _TINY, np.abs(centre) * _UNIT * 1.5 + _TINY))

    def balls(self, start: int, stop: int) -> Ball:
        """Nearest floats; the radius of an input 0 is 0."""
        ball = self._all
        return Ball(ball.centre[start:stop], None if ball.radius is None else self._radii(start, stop))

    def _radii(self, start: int, stop: int) -> Floats:
        radius = self._all.radius
        if radius is None:
            raise TypeError("exact floats have no radii")
        zeros = np.array([[v == 0 for v in x] for x in self.exactly.inputs[start:stop]])
        return np.where(zeros, 0.0, radius[start:stop])

    def exact(self, row: int) -> tuple[Fraction, ...]:
        """One distinct input."""
        return self.exactly.inputs[row]

    @cached_property
    def box(self) -> tuple[Floats, Floats]:
        """Ends of each coordinate, rounded outward."""
        ranges = self.exactly.input_ranges
        return np.array([float_down(a) for a, _ in ranges]), np.array([float_up(b) for _, b in ranges])

    @property
    def exact_box(self) -> Box:
        """Ends of each coordinate."""
        return self.exactly.input_ranges

    @property
    def nonnegative(self) -> bool:
        """Whether no coordinate is negative."""
        return all(low >= 0 for low, _ in self.exactly.input_ranges)


@dataclass(frozen=True, eq=False)
class ArrayInputs:
    """Rows of an array whose numbers are exact as they stand (floats, or whole numbers below 2^53)."""

    name: str
    array: npt.NDArray[Any]
    shape: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.array)

    @property
    def data(self) -> None:
        """None: there are no labels, or too many numbers for exact theorems."""
        return None

    def balls(self, start: int, stop: int) -> Ball:
        """The rows themselves."""
        return Ball(self._floats(start, stop), None)

    def _floats(self, start: int, stop: int) -> Floats:
        rows: Floats = np.asarray(self.array[start:stop]).reshape(stop - start, -1).astype(np.float64)
        return rows

    def exact(self, row: int) -> tuple[Fraction, ...]:
        """One row."""
        return tuple(map(Fraction, self._floats(row, row + 1)[0].tolist()))

    @cached_property
    def box(self) -> tuple[Floats, Floats]:
        """Smallest and largest value of each column; exact."""
        ends = [(part.min(axis=0), part.max(axis=0)) for part in self._parts()]
        return np.min([low for low, _ in ends], axis=0), np.max([high for _, high in ends], axis=0)

    @property
    def exact_box(self) -> Box:
        """Smallest and largest value of each column."""
        low, high = self.box
        return tuple(zip(map(Fraction, low.tolist()), map(Fraction, high.tolist()), strict=True))

    @property
    def nonnegative(self) -> bool:
        """Whether no number is negative."""
        return bool((self.box[0] >= 0).all())

    def _parts(self) -> Iterator[Floats]:
        step = max(1, _CHUNK // max(1, math.prod(self.shape)))
        for start in range(0, self.rows, step):
            yield self._floats(start, min(self.rows, start + step))

    def check(self) -> None:
        """Fails: InvalidInput for NaN, infinities and whole numbers from 2^53 on."""
        step = max(1, _CHUNK // max(1, math.prod(self.shape)))
        for start in range(0, self.rows, step):
            part = np.asarray(self.array[start : start + step]).reshape(min(step, self.rows - start), -1)
            whole = part.dtype.kind in "iu"
            bad = (part >= _MOST_WHOLE) | (part <= -_MOST_WHOLE) if whole else ~np.isfinite(part)
            if bad.any():
                row, column = (int(k) for k in np.argwhere(bad)[0])
                expected = "a whole number below 2^53" if whole else "a finite number"
                value = part[row, column]
                raise InvalidInput(
                    f"data {self.name!r}, row {start + row + 1}, entry {column}: {value}; expected {expected}"
                )


def load_inputs(spec: DataSpec, shape: tuple[int, ...] | None) -> ScanInputs:
    """Read the data that a specification names. Fails: InvalidInput, one sentence, if they cannot be used.

    Files ending in .npy and .npz may hold arrays of several dimensions (a batch of images, say), which are inputs
    alone, and arrays without labels (`labels = NO_LABELS`, or an NPZ archive without `y`).
    """
    ending = os.path.splitext(spec.source)[1].lower()
    if ending in (".npy", ".npz") and os.path.isfile(spec.source):
        array, name = _array(spec, ending)
        if array is not None:
            return _of_array(name, array, shape, spec)
    if spec.labels == NO_LABELS:
        raise InvalidInput(f"data {spec.source!r}: --labels none is for arrays (.npy, .npz); expected a label column")
    data = load_data(spec)
    return ExactInputs(data, _shaped(data.name, (data.input_dim,), shape))


def _array(spec: DataSpec, ending: str) -> tuple[npt.NDArray[Any] | None, str]:
    """The array of inputs where it is large, has many dimensions or no labels; None where `load_data` reads it."""
    where = f"data file {spec.source!r}"
    try:
        loaded = np.load(spec.source, mmap_mode="r" if ending == ".npy" else None, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            alone = loaded.ndim > 2 or spec.labels == NO_LABELS
            if loaded.ndim == 2 and not alone and loaded.size > MOST_EXACT:
                return loaded[:, :-1] if spec.inputs is None and spec.labels is None else _no_choice(where), spec.source
            return (loaded if alone else None), spec.source
        with loaded as archive:
            key = "x" if spec.inputs is None else spec.inputs[0]
            if key not in archive.files or (spec.inputs is not None and len(spec.inputs) > 1):
                return None, spec.source
            inputs = archive[key]
            alone = inputs.ndim > 2 or spec.labels == NO_LABELS or (spec.labels is None and "y" not in archive.files)
            return (inputs if alone or inputs.size > MOST_EXACT else None), spec.source
    except InvalidInput:
        raise
    except _DAMAGED as error:
        raise InvalidInput(
            f"{where} cannot be read as arrays (damaged, or Python objects); expected numbers"
        ) from error


def _no_choice(where: str) -> npt.NDArray[Any]:
    raise InvalidInput(
        f"{where} has more than {MOST_EXACT} numbers: --inputs and --labels choose columns of smaller files only; "
        "expected --labels none, or the last column as the label"
    )


def _of_array(name: str, array: npt.NDArray[Any], shape: tuple[int, ...] | None, spec: DataSpec) -> ArrayInputs:
    if spec.scale != "none" or spec.scale_labels != "none":
        raise InvalidInput(
            f"data {name!r}: scaling is for tables with labels of up to {MOST_EXACT} numbers; "
            "expected --scale none, with a file that holds the scaled inputs"
        )
    return _checked(name, array, shape)


def _checked(name: str, array: npt.NDArray[Any], shape: tuple[int, ...] | None) -> ArrayInputs:
    if array.dtype.kind not in "iufb" or array.dtype.itemsize > 8:
        raise InvalidInput(f"data {name!r} hold {str(array.dtype)!r}; expected integers or floats of at most 64 bits")
    if array.ndim < 2 or not array.size:
        raise InvalidInput(f"data {name!r} have shape {array.shape}; expected rows of inputs")
    inputs = ArrayInputs(name, array, _shaped(name, array.shape[1:], shape))
    inputs.check()
    return inputs


def _shaped(name: str, given: tuple[int, ...], shape: tuple[int, ...] | None) -> tuple[int, ...]:
    if shape is None:
        return given
    if math.prod(shape) != math.prod(given):
        raise InvalidInput(
            f"shape {'x'.join(map(str, shape))} has {math.prod(shape)} entries, but an input of data {name!r} has "
            f"{math.prod(given)}; expected equal numbers"
        )
    return shape


def of_arrays(inputs: Any, labels: Any, shape: tuple[int, ...] | None, name: str = "data") -> ScanInputs:
    """Inputs (rows, ...) and labels (rows,) or (rows, outputs), arrays or tensors; labels may be None.

    Beside labels, inputs (rows,) are one column.

    Fails: InvalidInput for what is not finite, not numbers, or of different lengths.
    """
    array = _numbers(inputs, name)
    if labels is not None and array.ndim == 1:
        array = array[:, None]
    found = _checked(name, array, shape)
    if labels is None:
        return found
    values = _checked(
        f"{name} (labels)", np.atleast_1d(_numbers(labels, name)).reshape(len(_numbers(labels, name)), -1), None
    )
    if values.rows != found.rows:
        raise InvalidInput(f"data {name!r} have {found.rows} inputs but {values.rows} labels; expected one label a row")
    if array.size > MOST_EXACT:
        return found
    rows = [found.exact(row) for row in range(found.rows)]
    data = DataSet.from_rows(name, rows, [values.exact(row) for row in range(values.rows)])
    return ExactInputs(data, found.shape)


def _numbers(values: Any, name: str) -> npt.NDArray[Any]:
    if isinstance(values, torch.Tensor):
        tensor = values.detach().cpu()
        of_tensor: npt.NDArray[Any] = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
        return of_tensor
    try:
        found: npt.NDArray[Any] = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise InvalidInput(f"data {name!r} are no array of numbers: {error}; expected rows of inputs") from error
    return found
