"""Data sets, read exactly: built-in real sets, files, and functions on a grid.

Every value becomes a fraction, so that the data set which the theorems speak about is exactly defined:

- the decimals of a CSV file mean what they say (`0.1` is 1/10),
- the floats of a Parquet, NPY or NPZ file are the dyadic rationals that they are,
- the built-in sets are read as the decimals that their sources record (the shortest decimal of each float),
- a function is evaluated in fractions,
- scaling is done in fractions (`Scale`).

Rows are counted from 1 in messages; in a CSV file, lines are named instead. Columns are counted from 0.
"""

from __future__ import annotations

import ast
import csv
import io
import math
import operator
import os
import re
import tokenize
import warnings
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from theorems.errors import InvalidInput, did_you_mean
from theorems.setting import DataSet

__all__ = ["BUILT_IN", "DataSpec", "Scale", "data_of_arrays", "load_data"]

Scale = Literal["none", "minmax", "standard"]
"""How a column is scaled, over all rows, in fractions; a constant column becomes 0 unless the scale is `none`.

`minmax`: `(v - min) / (max - min)`. `standard`: `(v - mean) / s`, where `s` is the float64 nearest to the population
standard deviation, computed by integer square root from the exact variance and then used as the fraction it is.
"""

BUILT_IN: Mapping[str, str] = MappingProxyType(
    {
        "nile": "100 rows; input: the year (1871 to 1970); label: the volume of the Nile (1e8 m^3); statsmodels",
        "sunspots": "309 rows; input: the year (1700 to 2008); label: the yearly sunspot activity; statsmodels",
        "diabetes": "442 rows; inputs: 10 raw measurements; label: disease progression after a year; scikit-learn",
        "digits": "1797 rows; inputs: 64 pixels (0 to 16); label: the digit as a number, 0 to 9; scikit-learn",
        "iris": "150 rows; inputs: 4 lengths (cm); label: the class number, 0, 1 or 2; scikit-learn",
        "wine": "178 rows; inputs: 13 measurements; label: the class number, 0, 1 or 2; scikit-learn",
        "breast_cancer": "569 rows; inputs: 30 measurements; label: the class number, 0 or 1; scikit-learn",
    }
)
"""The built-in real sets and what is in them. A class number is used as a scalar regression target, as it stands."""

Column = Sequence[Fraction]

_SCALES: tuple[str, ...] = ("none", "minmax", "standard")
_MAX_DIGITS = 1000
_MAX_EXPONENT = 4000
_MAX_POINTS = 100_000
_MAX_TEXT = 1000
_MAX_POWER = 64
_MAX_BITS = 20_000


@dataclass(frozen=True)
class DataSpec:
    """Which data to read and how to scale them.

    `source` is a name in `BUILT_IN`, a file ending in .csv, .parquet, .npy or .npz, or a function of x such as
    `x**2 + 2*x`. `inputs` and `labels` choose columns by name or by position, counted from 0; without them the last
    column is the label and all others are inputs (NPZ: they name arrays, `x` and `y` by default). `points`, `low`
    and `high` give the equispaced grid of a function and mean nothing for other sources. `labels_have_density` is the
    user's statement that the labels were drawn from a joint density given the inputs (math Lemma 7d); it is about the
    labels before scaling, which changes nothing in what follows from it.

    A CSV file is UTF-8 text with commas; its first line is a header if one of its cells is neither a number nor a
    mark for a missing or infinite value.

    Fails: InvalidInput if a scale is unknown.
    """

    source: str
    inputs: tuple[str, ...] | None = None
    labels: tuple[str, ...] | None = None
    scale: Scale = "none"
    scale_labels: Scale = "none"
    points: int = 64
    low: Fraction = Fraction(0)
    high: Fraction = Fraction(1)
    labels_have_density: bool = False

    def __post_init__(self) -> None:
        for field, value in (("scale", str(self.scale)), ("scale_labels", str(self.scale_labels))):
            if value not in _SCALES:
                raise InvalidInput(
                    f"{field} {value!r}: expected none, minmax or standard{did_you_mean(value, _SCALES)}"
                )


def load_data(spec: DataSpec) -> DataSet:
    """Read, scale and reduce a data set to its distinct inputs, exactly.

    Rigour: exact.
    Fails: InvalidInput, one sentence, if the source cannot be found or read, a chosen column does not exist, a value
    is missing, not finite or not a number, fewer than two inputs are distinct, or labels that are said to have a
    density repeat a value.
    """
    return _reduced(*_read(spec), spec)


def data_of_arrays(inputs: ArrayLike, labels: ArrayLike, **described: Any) -> DataSet:
    """As `load_data`, of arrays of integers or floats that are already here; every number counts as exactly itself.

    Symbols: inputs and labels have one row each for every row of data, and one column or several; described: the
    fields of `DataSpec` that are not about columns or grids, `source` being the name that tables print.
    Rigour: exact.
    Fails: InvalidInput as `load_data`, and if shapes do not agree.
    """
    spec = DataSpec(**{"source": "arrays"} | described)
    sides = {}
    for what, given in (("inputs", inputs), ("labels", labels)):
        where = f"data {spec.source!r}, {what}"
        try:
            array = np.asarray(given)
        except ValueError:
            raise InvalidInput(f"{where}: rows differ in length: expected an array of numbers") from None
        sides[what] = _columns_of_array(where, array)
    lengths = {what: len(columns[0]) for what, columns in sides.items()}
    if lengths["inputs"] != lengths["labels"]:
        raise InvalidInput(
            f"data {spec.source!r}: {lengths['inputs']} rows of inputs, {lengths['labels']} of labels: expected as many"
        )
    return _reduced(spec.source, _Table(sides["inputs"], sides["labels"]), spec)


def _reduced(name: str, table: _Table, spec: DataSpec) -> DataSet:
    """Scale the columns and reduce the rows to distinct inputs."""
    inputs = [_scaled(v, spec.scale, f"data {name!r}, input column {i}") for i, v in enumerate(table.inputs)]
    labels = [_scaled(v, spec.scale_labels, f"data {name!r}, label column {i}") for i, v in enumerate(table.labels)]
    data = DataSet.from_rows(name + _scale_note(spec), _rows(inputs), _rows(labels), spec.labels_have_density)
    if data.n_inputs < 2:
        raise InvalidInput(
            f"data {data.name!r} has fewer than two distinct inputs ({data.n_rows} rows, {data.n_inputs} distinct): "
            "expected at least two"
        )
    return data


# --- Sources ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Table:
    """Input and label columns of equal length."""

    inputs: Sequence[Column]
    labels: Sequence[Column]


def _read(spec: DataSpec) -> tuple[str, _Table]:
    """Find what kind of source it is; return the name of the data and the chosen columns."""
    source = spec.source
    if source in BUILT_IN:
        return source + _column_note(spec), _read_built_in(spec)
    reader = _READERS.get(_ending(source))
    if reader is not None:
        _check_file(source)
        return source + _column_note(spec), reader(spec)
    if os.path.isfile(source):
        raise InvalidInput(f"data file {source!r}: expected a name that ends in .csv, .parquet, .npy or .npz")
    if _MENTIONS_X.search(source):
        return _function_name(spec), _read_function(spec)
    if os.path.isdir(source):
        raise InvalidInput(f"data {source!r} is a directory: expected a .csv, .parquet, .npy or .npz file")
    raise InvalidInput(
        f"data {_short(source)} is neither a built-in set{did_you_mean(source, BUILT_IN)} nor a .csv, .parquet, .npy "
        f"or .npz file nor a function of x such as x**2 + 2*x: expected one of these (built-in: {', '.join(BUILT_IN)})"
    )


def _ending(source: str) -> str:
    return os.path.splitext(source)[1].lower()


def _check_file(source: str) -> None:
    if os.path.isdir(source):
        raise InvalidInput(f"data file {source!r} is a directory: expected a file")
    if not os.path.exists(source):
        raise InvalidInput(f"data file {source!r} does not exist: expected the path of a file")
    if not os.path.isfile(source):
        raise InvalidInput(f"data file {source!r} is a device or a pipe: expected a regular file")


def _column_note(spec: DataSpec) -> str:
    if spec.inputs is None and spec.labels is None:
        return ""
    inputs = "default" if spec.inputs is None else ", ".join(spec.inputs)
    labels = "default" if spec.labels is None else ", ".join(spec.labels)
    return f" [{inputs} -> {labels}]"


def _scale_note(spec: DataSpec) -> str:
    notes = [
        f"{what} {scale}" for what, scale in (("inputs", spec.scale), ("labels", spec.scale_labels)) if scale != "none"
    ]
    return f" ({', '.join(notes)})" if notes else ""


def _rows(columns: Sequence[Column]) -> list[tuple[Fraction, ...]]:
    return list(zip(*columns, strict=True))


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


# --- Choice of columns -----------------------------------------------------------------------------------------------


def _choose(where: str, names: Sequence[str], spec: DataSpec) -> tuple[list[int], list[int]]:
    """Return the positions of the input and of the label columns.

    Fails: InvalidInput if a column does not exist, is chosen twice, or there is none left to choose.
    """
    if len(names) < 2 and (spec.inputs is None or spec.labels is None):
        raise InvalidInput(f"{where}: number of columns {len(names)}: expected at least one input and one label")
    labels = [len(names) - 1] if spec.labels is None else [_position(where, names, key) for key in spec.labels]
    if spec.inputs is None:
        inputs = [i for i in range(len(names)) if i not in labels]
    else:
        inputs = [_position(where, names, key) for key in spec.inputs]
    _check_choice(where, [names[i] for i in inputs], [names[i] for i in labels], inputs, labels)
    return inputs, labels


def _check_choice(
    where: str, inputs: Sequence[str], labels: Sequence[str], input_ids: Sequence[int], label_ids: Sequence[int]
) -> None:
    for what, names, ids in (("input", inputs, input_ids), ("label", labels, label_ids)):
        if not ids:
            raise InvalidInput(f"{where}: no {what} column is chosen: expected at least one")
        counts = Counter(ids)
        twice = [name for name, i in zip(names, ids, strict=True) if counts[i] > 1]
        if twice:
            raise InvalidInput(f"{where}: column {_short(twice[0])} is chosen twice as {what}: expected once")
    both = [name for name, i in zip(inputs, input_ids, strict=True) if i in label_ids]
    if both:
        raise InvalidInput(f"{where}: column {_short(both[0])} is both input and label: expected different columns")


def _position(where: str, names: Sequence[str], key: str) -> int:
    """Find a column by name or else by position."""
    found = [i for i, name in enumerate(names) if name == key]
    if len(found) > 1:
        raise InvalidInput(f"{where}: {len(found)} columns are named {_short(key)}: expected a position instead")
    if found:
        return found[0]
    if re.fullmatch(r"[0-9]{1,9}", key) and int(key) < len(names):
        return int(key)
    raise InvalidInput(
        f"{where}: unknown column {_short(key)}{did_you_mean(key, names)}: expected one of {_listed(names)} or a "
        f"position from 0 to {len(names) - 1}"
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(_short, names[:8])) + (", ..." if len(names) > 8 else "")


# --- Built-in sets ---------------------------------------------------------------------------------------------------


def _read_built_in(spec: DataSpec) -> _Table:
    names, values = _load_statsmodels(spec.source) if spec.source in _STATSMODELS else _load_sklearn(spec.source)
    inputs, labels = _choose(f"data {spec.source!r}", names, spec)
    return _Table([_recorded(values[:, i]) for i in inputs], [_recorded(values[:, i]) for i in labels])


_STATSMODELS = ("nile", "sunspots")


def _load_statsmodels(name: str) -> tuple[list[str], NDArray[np.float64]]:
    from statsmodels.datasets import nile, sunspots

    frame = {"nile": nile, "sunspots": sunspots}[name].load_pandas().data
    return [str(column) for column in frame.columns], np.asarray(frame, dtype=np.float64)


def _load_sklearn(name: str) -> tuple[list[str], NDArray[np.float64]]:
    from sklearn import datasets

    options = {"scaled": False} if name == "diabetes" else {}
    bunch = getattr(datasets, f"load_{name}")(**options)
    values = np.column_stack([bunch.data, bunch.target]).astype(np.float64)
    return [*map(str, bunch.feature_names), "target"], values


def _recorded(values: NDArray[np.float64]) -> Column:
    """Return the decimals that the source records: all have at most 15 digits, so the shortest repr gives them back."""
    return [_parse_decimal(repr(value)) for value in values.tolist()]


# --- CSV -------------------------------------------------------------------------------------------------------------

_NUMBER = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?", re.ASCII)
_MISSING = frozenset({"", "-", "?", "na", "n/a", "#n/a", "<na>", "nan", "-nan", "null", "none"})
_INFINITE = re.compile(r"[+-]?inf(inity)?")


@dataclass(frozen=True)
class _Lines:
    """Cells of a CSV file; `numbers` holds the line number of every row."""

    cells: list[list[str]]
    numbers: list[int]


def _read_csv(spec: DataSpec) -> _Table:
    where = f"data file {spec.source!r}"
    lines = _csv_lines(where, _csv_text(where, spec.source))
    header = any(_is_name(cell) for cell in lines.cells[0])
    names = [cell.strip() for cell in lines.cells[0]] if header else [str(i) for i in range(len(lines.cells[0]))]
    start = 1 if header else 0
    if len(lines.cells) == start:
        raise InvalidInput(f"{where} has a header but no rows: expected at least two")
    if len(names) == 1:
        raise InvalidInput(f"{where} has one column: expected at least two, separated by commas")
    inputs, labels = _choose(where, names, spec)
    known: dict[str, Fraction] = {}
    return _Table(
        [_csv_column(where, lines, start, i, names[i], known) for i in inputs],
        [_csv_column(where, lines, start, i, names[i], known) for i in labels],
    )


def _csv_text(where: str, source: str) -> str:
    try:
        text = Path(source).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InvalidInput(f"{where} cannot be read ({error.strerror}): expected a readable file") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{where} is not UTF-8 (byte {error.start}): expected comma-separated text") from error
    if "\0" in text:
        line = text.count("\n", 0, text.index("\0")) + 1
        raise InvalidInput(f"{where}, line {line}, holds a NUL byte: expected comma-separated text")
    return text


def _csv_lines(where: str, text: str) -> _Lines:
    """Split into cells; blank lines are dropped at the end and refused elsewhere, like rows of another length."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    lines = _Lines([], [])
    try:
        for row in reader:
            lines.cells.append(row)
            lines.numbers.append(reader.line_num)
    except csv.Error as error:
        raise InvalidInput(f"{where}, line {reader.line_num}: {error}; expected comma-separated text") from error
    while lines.cells and not "".join(lines.cells[-1]).strip() and len(lines.cells[-1]) < 2:
        lines.cells.pop()
    if not lines.cells:
        raise InvalidInput(f"{where} is empty: expected at least two rows")
    width = len(lines.cells[0])
    for number, row in zip(lines.numbers, lines.cells, strict=False):
        if len(row) != width or not row:
            raise InvalidInput(
                f"{where}, line {number}, has {len(row)} cells: expected {max(width, 2)}"
                + (" as in the first line" if width else "")
            )
    return lines


def _csv_column(where: str, lines: _Lines, start: int, i: int, name: str, known: dict[str, Fraction]) -> list[Fraction]:
    """Read one column; `known` remembers cells already read, since data repeat themselves."""
    column = []
    for k in range(start, len(lines.cells)):
        cell = lines.cells[k][i]
        value = known.get(cell)
        if value is None:
            try:
                value = known[cell] = _parse_decimal(cell.strip())
            except _NotExactError as error:
                raise InvalidInput(
                    f"{where}, line {lines.numbers[k]}, column {_short(name)}: {error}; expected a decimal number"
                ) from None
        column.append(value)
    return column


def _is_name(cell: str) -> bool:
    text = cell.strip()
    return not _looks_numeric(text) and _defect(text) is None


def _looks_numeric(text: str) -> bool:
    match = _NUMBER.fullmatch(text)
    return match is not None and bool(match[2] or match[3])


def _defect(text: str) -> str | None:
    """Say what is wrong with a cell that marks a missing or an infinite value."""
    if text.lower() in _MISSING:
        return f"missing value {text!r}"
    if _INFINITE.fullmatch(text.lower()):
        return f"{text!r} is not finite"
    return None


class _NotExactError(ValueError):
    """Text that is no decimal number of a reasonable size."""


def _parse_decimal(text: str) -> Fraction:
    """Read a decimal exactly, `-1.5e-3` as -3/2000.

    Fails: _NotExactError if the text is no such number, has more than 1000 digits or an exponent beyond 4000.
    """
    match = _NUMBER.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        raise _NotExactError(_defect(text) or f"{_short(text)} is not a number")
    sign, whole, decimals, exponent = match[1], match[2], match[3] or "", match[4] or "0"
    if len(whole) + len(decimals) > _MAX_DIGITS:
        raise _NotExactError(f"{_short(text)} has more than {_MAX_DIGITS} digits")
    if len(exponent.lstrip("+-0")) > 4 or abs(int(exponent)) > _MAX_EXPONENT:
        raise _NotExactError(f"{_short(text)} has an exponent beyond {_MAX_EXPONENT}")
    mantissa = int(sign + whole + decimals)
    power = int(exponent) - len(decimals)
    return Fraction(mantissa * 10**power) if power >= 0 else Fraction(mantissa, 10**-power)


# --- Parquet ---------------------------------------------------------------------------------------------------------


def _read_parquet(spec: DataSpec) -> _Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    where = f"data file {spec.source!r}"
    try:
        with pq.ParquetFile(spec.source) as file:
            table = file.read()
    except (OSError, ValueError, KeyError, NotImplementedError, MemoryError, pa.ArrowException) as error:
        raise InvalidInput(f"{where} cannot be read as Parquet: expected a whole, unencrypted Parquet file") from error
    order = _parquet_order(table.schema)
    names = [str(table.schema.names[i]) for i in order]
    if table.num_rows == 0:
        raise InvalidInput(f"{where} has no rows: expected at least two")
    inputs, labels = _choose(where, names, spec)
    return _Table(
        [_parquet_column(where, names[i], table.column(order[i])) for i in inputs],
        [_parquet_column(where, names[i], table.column(order[i])) for i in labels],
    )


def _parquet_order(schema: Any) -> list[int]:
    """Put the columns in pandas' order: its index, stored last, comes first if it has a name and is dropped if not."""
    metadata = schema.metadata or {}
    index: set[str] = set()
    if b"pandas" in metadata:
        try:
            index = {name for name in schema.pandas_metadata["index_columns"] if isinstance(name, str)}
        except (ValueError, KeyError, TypeError):
            index = set()  # not pandas' own metadata: the columns are then taken as stored
    names = list(schema.names)
    named = [i for i, name in enumerate(names) if name in index and not re.fullmatch(r"__index_level_\d+__", name)]
    return named + [i for i, name in enumerate(names) if name not in index]


def _parquet_column(where: str, name: str, column: Any) -> list[Fraction]:
    import pyarrow as pa

    kind = column.type
    values = column.to_pylist() if _is_parquet_number(pa, kind) or pa.types.is_null(kind) else None
    if values is None:
        raise InvalidInput(
            f"{where}, column {_short(name)}, holds {_short(str(kind))}: expected integers, floats or decimals"
        )
    for k, value in enumerate(values, start=1):
        if value is None:
            raise InvalidInput(f"{where}, row {k}, column {_short(name)}: missing value; expected a number")
        if not math.isfinite(value):
            raise InvalidInput(f"{where}, row {k}, column {_short(name)}: {value} is not finite; expected a number")
    return _exact(values)


def _is_parquet_number(pa: Any, kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


class _Ratio(Protocol):
    def as_integer_ratio(self) -> tuple[int, int]: ...


def _exact(values: Iterable[_Ratio]) -> list[Fraction]:
    """Convert finite integers, floats and decimals to the fractions that they are."""
    return [Fraction(*value.as_integer_ratio()) for value in values]


# --- NPY and NPZ -----------------------------------------------------------------------------------------------------

_NUMPY_ERRORS = (
    OSError,
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    SyntaxError,
    MemoryError,
    OverflowError,
    RuntimeError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)  # what numpy (its header goes through tokenize), zipfile and their decompressors raise on damaged files


def _read_npy(spec: DataSpec) -> _Table:
    where = f"data file {spec.source!r}"
    array = _numpy_file(where, spec.source, "NPY")
    if not isinstance(array, np.ndarray):
        array.close()
        raise InvalidInput(f"{where} is an NPZ archive: expected a file that ends in .npz, or a single array")
    _check_array(where, array)
    if array.ndim != 2:
        raise InvalidInput(f"{where} has shape {array.shape}: expected a 2-d array, rows by columns")
    if not len(array):
        raise InvalidInput(f"{where} has shape {array.shape}: expected at least two rows")
    names = [str(i) for i in range(array.shape[1])]
    inputs, labels = _choose(where, names, spec)
    return _Table(_array_columns(where, array, inputs), _array_columns(where, array, labels))


def _read_npz(spec: DataSpec) -> _Table:
    """Read arrays from an archive: a 1-d array is one column, a 2-d array several, side by side in the order given."""
    where = f"data file {spec.source!r}"
    inputs = ("x",) if spec.inputs is None else spec.inputs
    labels = ("y",) if spec.labels is None else spec.labels
    archive = _numpy_file(where, spec.source, "NPZ")
    if isinstance(archive, np.ndarray):
        raise InvalidInput(f"{where} is a single array: expected an NPZ archive, or a file that ends in .npy")
    with archive:
        names = list(archive.files)
        input_ids = [_member(where, names, name) for name in inputs]
        label_ids = [_member(where, names, name) for name in labels]
        _check_choice(where, inputs, labels, input_ids, label_ids)
        arrays = {name: _archived(where, archive, name) for name in (*inputs, *labels)}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        listed = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise InvalidInput(f"{where}: arrays differ in their numbers of rows ({listed}): expected equal numbers")
    columns = {
        name: _array_columns(f"{where}, array {_short(name)}", array, range(array.shape[1]))
        for name, array in arrays.items()
    }
    return _Table(
        [column for name in inputs for column in columns[name]], [column for name in labels for column in columns[name]]
    )


def _member(where: str, names: Sequence[str], name: str) -> int:
    if name not in names:
        hint = did_you_mean(name, names)
        raise InvalidInput(f"{where}: unknown array {_short(name)}{hint}: expected one of {_listed(names) or 'none'}")
    return names.index(name)


def _archived(where: str, archive: Any, name: str) -> NDArray[Any]:
    """Return one array of an archive as rows by columns."""
    here = f"{where}, array {_short(name)}"
    try:
        array = archive[name]
    except _NUMPY_ERRORS as error:
        raise InvalidInput(f"{here} cannot be read (damaged, or Python objects): expected numbers") from error
    if not isinstance(array, np.ndarray):
        raise InvalidInput(f"{here} is not an array: expected an array of numbers")
    return _as_columns(here, array)


def _as_columns(where: str, array: NDArray[Any]) -> NDArray[Any]:
    """Check an array of numbers, and see it as rows by columns."""
    _check_array(where, array)
    if array.ndim not in (1, 2) or not array.size:
        raise InvalidInput(f"{where} has shape {array.shape}: expected a 1-d or 2-d array with at least two rows")
    return array.reshape(len(array), -1)


def _columns_of_array(where: str, array: NDArray[Any]) -> list[Column]:
    table = _as_columns(where, array)
    return _array_columns(where, table, range(table.shape[1]))


def _numpy_file(where: str, source: str, kind: str) -> Any:
    try:
        return np.load(io.BytesIO(Path(source).read_bytes()), allow_pickle=False)
    except _NUMPY_ERRORS as error:
        raise InvalidInput(
            f"{where} cannot be read as {kind} (damaged, or Python objects): expected arrays of numbers"
        ) from error


def _check_array(where: str, array: NDArray[Any]) -> None:
    if array.dtype.kind not in "iuf":
        raise InvalidInput(f"{where} holds {str(array.dtype)!r}: expected integers or floats")


def _array_columns(where: str, array: NDArray[Any], chosen: Iterable[int]) -> list[Column]:
    columns: list[Column] = []
    for i in chosen:
        column = array[:, i]
        bad = np.flatnonzero(~np.isfinite(column))
        if bad.size:
            row = int(bad[0])
            raise InvalidInput(f"{where}, row {row + 1}, column {i}: {column[row]} is not finite; expected a number")
        columns.append(_exact(column.tolist()))
    return columns


_READERS: Mapping[str, Callable[[DataSpec], _Table]] = {
    ".csv": _read_csv,
    ".parquet": _read_parquet,
    ".npy": _read_npy,
    ".npz": _read_npz,
}


# --- Functions on a grid ---------------------------------------------------------------------------------------------

_MENTIONS_X = re.compile(r"(?<![A-Za-z_])x(?![A-Za-z0-9_])")
_ALLOWED_TEXT = re.compile(r"[0-9A-Za-z_ .,()+*/-]*", re.ASCII)
_OPERATORS: Mapping[type[ast.AST], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_APPLY: Mapping[str, Callable[..., Fraction]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "negative": operator.neg,
    "abs": abs,
    "max": max,
    "min": min,
}
_NOT_RATIONAL = re.compile(
    r"(arc|a)?(sin|cos|tan|cot|sec|csc)h?|exp|exp2|expm1|log|log2|log10|log1p|ln|sqrt|cbrt|erf|gamma|sigmoid|softplus|pi|e"
)


@dataclass(frozen=True)
class _Step:
    """One step of a stack program: replace the last `arity` values by one."""

    action: str
    arity: int
    value: Fraction = Fraction(0)
    power: int = 0


def _function_name(spec: DataSpec) -> str:
    return f"{spec.source.strip()} on [{_number(spec.low)}, {_number(spec.high)}], {spec.points} points"


def _number(value: Fraction) -> str:
    return str(value) if value.denominator.bit_length() + value.numerator.bit_length() < 200 else "a long fraction"


def _read_function(spec: DataSpec) -> _Table:
    if spec.inputs is not None or spec.labels is not None:
        raise InvalidInput(f"function {_short(spec.source)} has no columns to choose: expected no inputs and no labels")
    if not 2 <= spec.points <= _MAX_POINTS:
        raise InvalidInput(f"points {spec.points}: expected a whole number from 2 to {_MAX_POINTS}")
    if not spec.low < spec.high:
        raise InvalidInput(f"low {_number(spec.low)} is not below high {_number(spec.high)}: expected low < high")
    program = _compile(spec.source.strip())
    low, width = Fraction(spec.low), Fraction(spec.high) - Fraction(spec.low)
    grid = [low + Fraction(k, spec.points - 1) * width for k in range(spec.points)]
    return _Table([grid], [[_evaluate(program, x, spec, k) for k, x in enumerate(grid, start=1)]])


def _refuse_function(text: str, what: str) -> InvalidInput:
    return InvalidInput(
        f"function {_short(text)}: {what}; expected a rational function of x, made of + - * / ** abs max min"
    )


def _compile(text: str) -> list[_Step]:
    """Translate a function of x to a stack program, without recursion.

    Fails: InvalidInput if the text is not made of x, numbers, `+ - * / **`, parentheses, abs, max and min alone.
    """
    todo: list[ast.expr] = [_parse(text)]
    program: list[_Step] = []
    while todo:  # visits a node before its operands, the last operand first: the reverse is the order of evaluation
        step, operands = _step(text, todo.pop())
        program.append(step)
        todo.extend(operands)
    program.reverse()
    if not any(step.action == "x" for step in program):
        raise _refuse_function(text, "it does not contain x")
    return program


def _parse(text: str) -> ast.expr:
    if len(text) > _MAX_TEXT:
        raise _refuse_function(text, f"it has more than {_MAX_TEXT} characters")
    start = _ALLOWED_TEXT.match(text)
    end = start.end() if start else 0
    if end < len(text):
        hint = " (a power is written **)" if text[end] == "^" else ""
        raise _refuse_function(text, f"it holds the character {text[end]!r}{hint}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns about spellings such as `1if`, which are refused below
            return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _refuse_function(text, "it cannot be read (a product is written 2*x)") from error


def _step(text: str, node: ast.expr) -> tuple[_Step, list[ast.expr]]:
    """Return the step of one node and its operands."""
    match node:
        case ast.Name(id="x"):
            return _Step("x", 0), []
        case ast.Constant():
            return _Step("number", 0, value=_constant(text, node)), []
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _Step("positive", 1), [operand]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _Step("negative", 1), [operand]
        case ast.BinOp(op=ast.Pow(), left=base, right=exponent):
            return _Step("power", 1, power=_power(text, exponent)), [base]
        case ast.BinOp(op=op, left=left, right=right) if type(op) in _OPERATORS:
            return _Step(_OPERATORS[type(op)], 2), [left, right]
        case ast.Call(func=ast.Name(id="abs" | "max" | "min" as name), args=args, keywords=[]):
            if (len(args) == 1) != (name == "abs") or not args:
                raise _refuse_function(
                    text, f"number of arguments of {name}: {len(args)} (abs takes 1, max and min at least 2)"
                )
            return _Step(name, len(args)), list(args)
        case ast.Name(id=name) | ast.Call(func=ast.Name(id=name)) if _NOT_RATIONAL.fullmatch(name):
            raise _refuse_function(text, f"{name!r} has no exact values in fractions, and labels must be exact")
    raise _refuse_function(text, f"{_short(_segment(text, node))} is not known here")


def _constant(text: str, node: ast.Constant) -> Fraction:
    """Read a number from the text itself, since Python would round a decimal to a float."""
    try:
        return _parse_decimal(_segment(text, node))
    except _NotExactError as error:
        raise _refuse_function(text, str(error)) from None


def _power(text: str, node: ast.expr) -> int:
    match node:
        case ast.Constant(value=int(power)) if _segment(text, node).isdigit() and power <= _MAX_POWER:
            return power
    raise _refuse_function(
        text, f"exponent {_short(_segment(text, node))} is not a whole number from 0 to {_MAX_POWER} written in digits"
    )


def _segment(text: str, node: ast.expr) -> str:
    return text[node.col_offset : node.end_col_offset]  # offsets count bytes; the text is ASCII and a single line


def _evaluate(program: Sequence[_Step], x: Fraction, spec: DataSpec, point: int) -> Fraction:
    """Run a stack program at one grid point."""
    stack: list[Fraction] = []
    try:
        for step in program:
            operands = stack[len(stack) - step.arity :]
            del stack[len(stack) - step.arity :]
            stack.append(_apply(step, operands, x))
    except ZeroDivisionError:
        what = "divides by zero"
    except OverflowError:
        what = f"has a value with more than {_MAX_BITS} binary digits"
    else:
        return stack[0]
    raise InvalidInput(
        f"function {_short(spec.source)} {what} at x = {_number(x)} (grid point {point} of {spec.points}): expected a "
        "finite value of reasonable size at every grid point"
    )


def _apply(step: _Step, operands: Sequence[Fraction], x: Fraction) -> Fraction:
    """Fails: ZeroDivisionError; OverflowError if the value is too long."""
    if step.action == "x":
        return x
    if step.action == "number":
        return step.value
    if step.action == "positive":
        return operands[0]
    if step.action == "power":
        if _bits(operands[0]) * step.power > _MAX_BITS:
            raise OverflowError
        return operands[0] ** step.power
    value = _APPLY[step.action](*operands)
    if _bits(value) > _MAX_BITS:
        raise OverflowError
    return value


def _bits(value: Fraction) -> int:
    return max(value.numerator.bit_length(), value.denominator.bit_length())


# --- Scaling ---------------------------------------------------------------------------------------------------------


def _scaled(column: Column, scale: Scale, where: str) -> Column:
    """Scale one column as `Scale` says."""
    if scale == "none":
        return column
    low, high = min(column), max(column)
    if low == high:
        return [Fraction(0)] * len(column)
    centre, unit = (low, high - low) if scale == "minmax" else _mean_and_deviation(column, where)
    known: dict[tuple[int, int], Fraction] = {}  # a value that repeats is scaled once
    scaled = []
    for value in column:
        p, q = pair = value.as_integer_ratio()
        if pair not in known:  # (value - centre) / unit, reduced once
            known[pair] = Fraction(
                (p * centre.denominator - q * centre.numerator) * unit.denominator,
                q * centre.denominator * unit.numerator,
            )
        scaled.append(known[pair])
    return scaled


def _mean_and_deviation(column: Column, where: str) -> tuple[Fraction, Fraction]:
    ratios = [value.as_integer_ratio() for value in column]
    mean = _sum(ratios) / len(column)
    deviation = _nearest_root(_sum((p * p, q * q) for p, q in ratios) / len(column) - mean * mean)
    if deviation is None:
        raise InvalidInput(
            f"{where} has a standard deviation beyond the range of float64: expected scale none or minmax"
        )
    return mean, deviation


def _sum(ratios: Iterable[tuple[int, int]]) -> Fraction:
    """Add fractions `(p, q)`; data have few denominators, and with equal ones integers are added."""
    totals: defaultdict[int, int] = defaultdict(int)
    for p, q in ratios:
        totals[q] += p
    return sum((Fraction(total, q) for q, total in totals.items()), Fraction(0))


def _nearest_root(square: Fraction) -> Fraction | None:
    """Return the float64 nearest to the square root of a positive fraction, or None if that is 0 or infinite.

    With `root = floor(sqrt(square) * 2^shift) >= 2^64`, the odd number `2 root + 1` stands for every value strictly
    between `2 root` and `2 root + 2`: no float64 and no midpoint of two lies there. Python's integer division then
    rounds to nearest.
    """
    p, q = square.numerator, square.denominator
    shift = 66 - (p.bit_length() - q.bit_length()) // 2
    quotient, rest = divmod(p << max(2 * shift, 0), q << max(-2 * shift, 0))
    root = math.isqrt(quotient)
    doubled = 2 * root + (rest != 0 or root * root != quotient)
    try:
        nearest = (doubled << max(-shift - 1, 0)) / (1 << max(shift + 1, 0))
    except OverflowError:
        return None
    return Fraction(nearest) if nearest else None
