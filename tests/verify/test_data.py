"""Reading data exactly, and refusing what cannot be read."""

from __future__ import annotations

import csv
import gzip
import io
import math
import os
import struct
import time
import zipfile
from decimal import Decimal
from fractions import Fraction
from importlib import resources
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from theorems.errors import InvalidInput
from theorems.setting import DataSet
from verify.data import BUILT_IN, DataSpec, load_data

FILE_FUZZ = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


def load(source, **options):
    return load_data(DataSpec(str(source), **options))


def refusal(source, **options):
    """Return the message of the refusal, which is one sentence that says what was expected."""
    with pytest.raises(InvalidInput) as caught:
        load(source, **options)
    message = str(caught.value)
    assert "expected" in message
    assert "\n" not in message
    assert not message.endswith(".")
    return message


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(table):
    return [[Fraction(value) for value in row] for row in table]


def same(data, inputs, labels):
    """Whether the data are these rows, whatever the name."""
    other = DataSet.from_rows(data.name, rows(inputs), rows(labels))
    return data == other


# --- Built-in sets ---------------------------------------------------------------------------------------------------


SHAPES = {  # rows, distinct inputs, input columns; counted by hand from the packages' files
    "nile": (100, 100, 1),
    "sunspots": (309, 309, 1),
    "diabetes": (442, 442, 10),
    "digits": (1797, 1797, 64),
    "iris": (150, 149, 4),
    "wine": (178, 178, 13),
    "breast_cancer": (569, 569, 30),
}


def test_every_built_in_set_is_described():
    assert set(SHAPES) == set(BUILT_IN)
    for name, description in BUILT_IN.items():
        assert description.startswith(f"{SHAPES[name][0]} rows; ")


@pytest.mark.parametrize("name", SHAPES)
def test_shape_of_built_in_set(name):
    data = load(name)
    assert (data.n_rows, data.n_inputs, data.input_dim) == SHAPES[name]
    assert data.output_dim == 1
    assert data.name == name


def package_text(package, file):
    content = (resources.files(package) / file).read_bytes()
    return (gzip.decompress(content) if file.endswith(".gz") else content).decode()


@pytest.mark.parametrize(
    ("name", "package", "file"),
    [
        ("nile", "statsmodels.datasets.nile", "nile.csv"),
        ("sunspots", "statsmodels.datasets.sunspots", "sunspots.csv"),
        ("iris", "sklearn.datasets.data", "iris.csv"),
        ("wine", "sklearn.datasets.data", "wine_data.csv"),
        ("breast_cancer", "sklearn.datasets.data", "breast_cancer.csv"),
        ("digits", "sklearn.datasets.data", "digits.csv.gz"),
    ],
)
def test_built_in_values_are_the_decimals_of_the_source(name, package, file):
    table = [row for row in csv.reader(io.StringIO(package_text(package, file))) if row]
    if name != "digits":
        table = table[1:]  # a header
    numbers = [[Decimal(cell) for cell in row] for row in table]
    assert same(load(name), [row[:-1] for row in numbers], [row[-1:] for row in numbers])


def test_diabetes_is_the_raw_table():
    x = package_text("sklearn.datasets.data", "diabetes_data_raw.csv.gz").splitlines()
    y = package_text("sklearn.datasets.data", "diabetes_target.csv.gz").splitlines()
    assert same(load("diabetes"), [map(Decimal, line.split()) for line in x], [[Decimal(line)] for line in y])


def test_nile_scaled():
    data = load("nile", scale="minmax", scale_labels="minmax")
    assert data.name == "nile (inputs minmax, labels minmax)"
    assert data.inputs == tuple((Fraction(k, 99),) for k in range(100))
    assert data.noise_floor == 0
    assert data.means[0] == (Fraction(1120 - 456, 1370 - 456),)
    y = [mean[0] for mean in data.means]
    assert data.variance == sum(v * v for v in y) / 100 - (sum(y) / 100) ** 2 == Fraction(11340627, 334158400)


def test_built_in_columns_by_name():
    data = load("diabetes", inputs=("bmi", "0"), labels=("target", "bp"))
    assert (data.input_dim, data.output_dim) == (2, 2)
    assert data.name == "diabetes [bmi, 0 -> target, bp]"


# --- CSV -------------------------------------------------------------------------------------------------------------


def test_csv_decimals_are_exact(tmp_path):
    data = load(write(tmp_path / "a.csv", "0.1,1e-3\n-.5,+2.\n 7 ,1.50E+2\n"))
    assert data.inputs == ((Fraction(-1, 2),), (Fraction(1, 10),), (Fraction(7),))
    assert data.means == ((Fraction(2),), (Fraction(1, 1000),), (Fraction(150),))


def test_csv_header_is_found(tmp_path):
    assert load(write(tmp_path / "a.csv", "x,y\n1,2\n3,4\n")).n_rows == 2
    assert load(write(tmp_path / "b.csv", "1,2\n3,4\n")).n_rows == 2
    assert load(write(tmp_path / "c.csv", "2020,y\n1,2\n3,4\n")).n_rows == 2


@pytest.mark.parametrize("content", ["\ufeffx,y\r\n1,2\r\n3,4\r\n", "x,y\r1,2\r3,4", 'x,"y"\n"1",2\n3,"4"\n\n \n'])
def test_csv_dialects(tmp_path, content):
    path = write(tmp_path / "a.CSV", content)
    assert same(load(path, inputs=("x",), labels=("y",)), [[1], [3]], [[2], [4]])


@pytest.mark.parametrize(
    ("inputs", "labels", "expected_inputs", "expected_labels"),
    [
        (None, None, ["a", "b", "c"], ["d"]),
        (None, ("a",), ["b", "c", "d"], ["a"]),
        (("c", "a"), None, ["c", "a"], ["d"]),
        (("1",), ("0", "d"), ["b"], ["a", "d"]),
    ],
)
def test_choice_of_columns(tmp_path, inputs, labels, expected_inputs, expected_labels):
    table = [dict(zip("abcd", row, strict=True)) for row in ([1, 2, 3, 4], [5, 6, 7, 9])]
    path = write(tmp_path / "a.csv", "a,b,c,d\n1,2,3,4\n5,6,7,9\n")
    data = load(path, inputs=inputs, labels=labels)
    assert same(
        data, [[r[k] for k in expected_inputs] for r in table], [[r[k] for k in expected_labels] for r in table]
    )


def test_columns_that_are_not_chosen_may_hold_text(tmp_path):
    path = write(tmp_path / "a.csv", "who,x,y\nann,1,2\nbob,,4\neve,5,6\n")
    assert "line 3, column 'x': missing value" in refusal(path, inputs=("x",))
    assert load(write(path, "who,x,y\nann,1,2\nbob,3,4\n"), inputs=("x",)).n_inputs == 2


def test_a_name_wins_over_a_position(tmp_path):
    path = write(tmp_path / "a.csv", "1,b,y\n5,6,7\n8,9,10\n")
    assert load(path, inputs=("1",)).inputs == ((Fraction(5),), (Fraction(8),))


DECIMALS = st.tuples(st.sampled_from([0, 1]), st.lists(st.integers(0, 9), min_size=1), st.integers(-60, 60)).map(
    Decimal
)


@given(table=st.lists(st.tuples(DECIMALS, st.integers(-(10**30), 10**30)), min_size=2))
@FILE_FUZZ
def test_csv_round_trip(tmp_path, table):
    path = write(tmp_path / "a.csv", "\n".join(f"{x},{y}" for x, y in table))
    if len({x for x, _ in table}) < 2:
        assert "fewer than two distinct" in refusal(path)
    else:
        assert same(load(path), [row[:1] for row in table], [row[1:] for row in table])


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ["a.csv", "is empty"]),
        ("\n \n\n", ["is empty"]),
        ("x,y\n", ["header but no rows"]),
        ("x\n1\n2\n", ["one column"]),
        ("x;y\n1;2\n3;4\n", ["one column", "commas"]),
        ("x,y\n1,2\n3\n", ["line 3", "has 1 cells", "expected 2"]),
        ("x,y\n1,2\n3,4,5\n", ["line 3", "has 3 cells", "expected 2"]),
        ("x,y\n1,2\n\n3,4\n", ["line 3", "has 0 cells"]),
        ("\nx,y\n1,2\n3,4\n", ["line 1", "has 0 cells"]),
        ("x,y\n1,2\n3,abc\n", ["line 3", "column 'y'", "'abc' is not a number"]),
        ("1,2\n3,abc\n", ["line 2", "column '1'", "'abc' is not a number"]),
        ("x,y\n1,2\n,4\n", ["line 3", "column 'x'", "missing value ''"]),
        ("1,\n3,4\n", ["line 1", "column '1'", "missing value ''"]),
        ("nan,2\n3,4\n", ["line 1", "column '0'", "missing value 'nan'"]),
        ("x,y\n1,NaN\n3,4\n", ["line 2", "column 'y'", "missing value 'NaN'"]),
        ("x,y\n1,-inf\n3,4\n", ["line 2", "column 'y'", "'-inf' is not finite"]),
        ("x,y\n1,Infinity\n3,4\n", ["'Infinity' is not finite"]),
        ("x,y\n1,1_000\n3,4\n", ["'1_000' is not a number"]),
        ("x,y\n1,0x10\n3,4\n", ["'0x10' is not a number"]),
        ("x,y\n1,.\n3,4\n", ["'.' is not a number"]),
        ("x,y\n1,٣\n3,4\n", ["'٣' is not a number"]),
        ("x,y\n1,1e999999999\n3,4\n", ["line 2", "column 'y'", "exponent beyond 4000"]),
        ("x,y\n1,1e-4001\n3,4\n", ["exponent beyond 4000"]),
        ("1e" + "9" * 5000 + ",2\n3,4\n", ["line 1", "exponent beyond 4000", "..."]),
        ("x,y\n1," + "9" * 1001 + "\n3,4\n", ["line 2", "more than 1000 digits"]),
        ("x,y\n1,2\n", ["fewer than two distinct inputs", "1 rows, 1 distinct"]),
        ("x,y\n1,2\n1.0,3\n1e0,4\n", ["fewer than two distinct inputs", "3 rows, 1 distinct"]),
        ('x,y\n1,2\n3,"4\n', ["line 3"]),
        ("x,y\n1," + "9" * 200_000 + "\n", ["line 2", "field larger"]),
        (b"x,y\n1,2\n3,\x004\n", ["line 3", "NUL byte"]),
        (b"caf\xe9,y\n1,2\n3,4\n", ["not UTF-8", "byte 3"]),
        ("x,y\n1,2\n3,4\n".encode("utf-16"), ["not UTF-8"]),
        (bytes(range(255, -1, -1)), ["not UTF-8"]),
    ],
)
def test_bad_csv(tmp_path, content, parts):
    message = refusal(write(tmp_path / "a.csv", content))
    for part in parts:
        assert part in message
    assert len(message) < 300 + len(str(tmp_path))


def test_largest_allowed_numbers(tmp_path):
    path = write(tmp_path / "a.csv", f"1e4000,{'9' * 1000}\n1e-4000,0\n")
    assert load(path).inputs == ((Fraction(1, 10**4000),), (Fraction(10**4000),))


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ({"inputs": ("weigth",)}, ["unknown column 'weigth'", "did you mean 'weight'?", "position from 0 to 2"]),
        ({"labels": ("3",)}, ["unknown column '3'", "'size', 'weight', 'price'"]),
        ({"labels": ("-1",)}, ["unknown column '-1'"]),
        ({"labels": ("²",)}, ["unknown column '²'"]),
        ({"inputs": ("price",)}, ["column 'price' is both input and label"]),
        ({"inputs": ("size", "0")}, ["column 'size' is chosen twice as input"]),
        ({"labels": ("price", "2")}, ["column 'price' is chosen twice as label"]),
        ({"inputs": ()}, ["no input column is chosen"]),
        ({"labels": ()}, ["no label column is chosen"]),
        ({"labels": ("0", "1", "2")}, ["no input column is chosen"]),
    ],
)
def test_bad_choice_of_columns(tmp_path, options, parts):
    message = refusal(write(tmp_path / "a.csv", "size,weight,price\n1,2,3\n4,5,6\n"), **options)
    for part in parts:
        assert part in message


def test_a_name_that_occurs_twice_needs_a_position(tmp_path):
    path = write(tmp_path / "a.csv", "x,x,y\n1,2,3\n4,5,6\n")
    assert "2 columns are named 'x'" in refusal(path, inputs=("x",))
    assert load(path, inputs=("1",)).inputs == ((Fraction(2),), (Fraction(5),))


@given(content=st.binary(max_size=60) | st.text('0123456789.,-+eEx\n\r" \0', max_size=40).map(str.encode))
@FILE_FUZZ
def test_any_csv_is_read_or_refused(tmp_path, content):
    path = write(tmp_path / "a.csv", content)
    try:
        load(path, scale="standard", scale_labels="minmax")
    except InvalidInput:
        return  # its grammar is tested elsewhere; any other exception fails here


def test_many_rows_are_quick(tmp_path):
    generator = np.random.default_rng(0)
    lines = [f"{x:.6f},{y:.4f}" for x, y in generator.normal(size=(20_000, 2))]
    path = write(tmp_path / "a.csv", "x,y\n" + "\n".join(lines))
    start = time.perf_counter()
    data = load(path, scale="minmax", scale_labels="standard")
    assert data.n_rows == 20_000
    assert time.perf_counter() - start < 20  # 1.5 s where this was written: only a quadratic algorithm fails


# --- Files of every kind ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["csv", "parquet", "npy", "npz"])
def test_paths_that_are_no_files(tmp_path, ending):
    assert "does not exist" in refusal(tmp_path / f"a.{ending}")
    (tmp_path / f"b.{ending}").mkdir()
    assert "is a directory" in refusal(tmp_path / f"b.{ending}")
    os.mkfifo(tmp_path / f"c.{ending}")
    assert "is a device or a pipe" in refusal(tmp_path / f"c.{ending}")


@pytest.mark.parametrize(
    ("ending", "what"), [("csv", "is empty"), ("parquet", "Parquet"), ("npy", "as NPY"), ("npz", "as NPZ")]
)
def test_empty_files(tmp_path, ending, what):
    assert what in refusal(write(tmp_path / f"a.{ending}", b""))


@pytest.mark.parametrize("ending", ["parquet", "npy", "npz"])
def test_junk(tmp_path, ending):
    assert "cannot be read" in refusal(write(tmp_path / f"a.{ending}", bytes(range(256)) * 8))


def test_unreadable_csv(tmp_path, monkeypatch):
    def denied(_):
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path / "a.csv", "1,2\n3,4\n")
    monkeypatch.setattr(Path, "read_bytes", denied)
    assert "cannot be read (Permission denied)" in refusal(path)


def test_other_endings(tmp_path):
    assert "ends in .csv, .parquet, .npy or .npz" in refusal(write(tmp_path / "a.txt", "1,2"))
    assert "ends in .csv, .parquet, .npy or .npz" in refusal(write(tmp_path / "x", "1,2"))
    assert "is a directory" in refusal(tmp_path.parent)


# --- Parquet ---------------------------------------------------------------------------------------------------------


def parquet(path, columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_numbers_are_exact(tmp_path):
    columns = {
        "a": pa.array([0.1, -2.5], pa.float64()),
        "b": pa.array([0.1, 3], pa.float32()),
        "c": pa.array([np.float16(0.1), np.float16(4)], pa.float16()),
        "d": pa.array([2**64 - 1, 0], pa.uint64()),
        "y": pa.array([Decimal("0.10"), Decimal("-7.25")], pa.decimal128(5, 2)),
    }
    inputs = [[0.1, float(np.float32(0.1)), float(np.float16(0.1)), 2**64 - 1], [-2.5, 3, 4, 0]]
    data = load(parquet(tmp_path / "a.parquet", columns))
    assert same(data, inputs, [[Fraction(1, 10)], [Fraction(-29, 4)]])
    assert load(tmp_path / "a.parquet", inputs=("b",), labels=("0",)).input_dim == 1


def test_parquet_index_of_pandas_is_not_the_label(tmp_path):
    import pandas as pd

    frame = pd.DataFrame({"x": [1, 2, 5], "y": [4, 5, 6]})
    frame[frame.x > 1].to_parquet(tmp_path / "unnamed.parquet")
    assert same(load(tmp_path / "unnamed.parquet"), [[2], [5]], [[5], [6]])
    frame.set_index("x").to_parquet(tmp_path / "named.parquet")
    assert same(load(tmp_path / "named.parquet"), [[1], [2], [5]], [[4], [5], [6]])


@pytest.mark.parametrize("metadata", [b"{}", b"[]", b"not json", b'{"index_columns": 3}', b"\xff"])
def test_parquet_with_strange_pandas_metadata(tmp_path, metadata):
    table = pa.table({"x": [1, 2], "y": [3, 4]}).replace_schema_metadata({b"pandas": metadata})
    pq.write_table(table, tmp_path / "a.parquet")
    assert same(load(tmp_path / "a.parquet"), [[1], [2]], [[3], [4]])


@pytest.mark.parametrize(
    ("columns", "parts"),
    [
        ({"x": [1.0, math.nan], "y": [1, 2]}, ["row 2", "column 'x'", "nan is not finite"]),
        ({"x": [1.0, 2.0], "y": [math.inf, 2]}, ["row 1", "column 'y'", "inf is not finite"]),
        ({"x": [1, None], "y": [1, 2]}, ["row 2", "column 'x'", "missing value"]),
        ({"x": pa.nulls(2), "y": [1, 2]}, ["row 1", "column 'x'", "missing value"]),
        ({"x": ["1", "2"], "y": [1, 2]}, ["column 'x'", "'string'"]),
        ({"x": [True, False], "y": [1, 2]}, ["column 'x'", "'bool'"]),
        ({"x": [[1], [2]], "y": [1, 2]}, ["column 'x'", "'list<"]),
        ({"x": pa.array([1, 2], pa.timestamp("s")), "y": [1, 2]}, ["column 'x'", "timestamp"]),
        ({"x": pa.array([], pa.int64()), "y": pa.array([], pa.int64())}, ["no rows"]),
        ({"x": [1, 2]}, ["number of columns 1"]),
        ({"x": [1, 1], "y": [1, 2]}, ["fewer than two distinct inputs"]),
    ],
)
def test_bad_parquet(tmp_path, columns, parts):
    message = refusal(parquet(tmp_path / "a.parquet", columns))
    for part in parts:
        assert part in message


def test_truncated_parquet(tmp_path):
    content = parquet(tmp_path / "a.parquet", {"x": [1, 2], "y": [3, 4]}).read_bytes()
    assert "cannot be read as Parquet" in refusal(write(tmp_path / "b.parquet", content[:-20]))


# --- NPY and NPZ -----------------------------------------------------------------------------------------------------


def npy(path, array):
    np.save(path, array)
    return path


def exact_number(value):
    return Fraction(*value.as_integer_ratio()) if isinstance(value, np.floating) else Fraction(int(value))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f8", "longdouble", "int8", "uint64", ">i4"])
def test_npy_numbers_are_exact(tmp_path, dtype):
    array = np.array([[1, 2.7, 3], [4, 5, 6.1]]).astype(dtype)
    ratios = [[exact_number(value) for value in row] for row in array.astype(array.dtype.newbyteorder("="))]
    data = load(npy(tmp_path / "a.npy", array))
    assert same(data, [row[:2] for row in ratios], [row[2:] for row in ratios])


@given(table=st.lists(st.tuples(*[st.floats(allow_nan=False, allow_infinity=False)] * 2), min_size=2))
@FILE_FUZZ
def test_npy_round_trip(tmp_path, table):
    path = npy(tmp_path / "a.npy", np.array(table))
    if len({x for x, _ in table}) < 2:
        assert "fewer than two distinct" in refusal(path)
    else:
        assert same(load(path), [row[:1] for row in table], [row[1:] for row in table])


def test_npy_columns_by_position(tmp_path):
    path = npy(tmp_path / "a.npy", np.array([[1, 2, 3], [4, 5, 6]]))
    assert same(load(path, inputs=("2",), labels=("0",)), [[3], [6]], [[1], [4]])
    assert "unknown column 'x'" in refusal(path, inputs=("x",))


@pytest.mark.parametrize(
    ("array", "parts"),
    [
        (np.array(3.0), ["shape ()", "2-d"]),
        (np.arange(4.0), ["shape (4,)", "2-d"]),
        (np.zeros((2, 2, 2)), ["shape (2, 2, 2)", "2-d"]),
        (np.zeros((0, 2)), ["shape (0, 2)"]),
        (np.zeros((3, 0)), ["number of columns 0"]),
        (np.zeros((3, 1)), ["number of columns 1"]),
        (np.zeros((3, 2)), ["fewer than two distinct inputs"]),
        (np.ones((1, 2)), ["fewer than two distinct inputs"]),
        (np.array([[1, 2], [3, np.nan]]), ["row 2", "column 1", "nan is not finite"]),
        (np.array([[-np.inf, 2], [3, 4]]), ["row 1", "column 0", "-inf is not finite"]),
        (np.ones((2, 2), complex), ["'complex128'"]),
        (np.ones((2, 2), bool), ["'bool'"]),
        (np.array([["1", "2"]]), ["'<U1'"]),
        (np.ones((2, 2), "datetime64[s]"), ["'datetime64[s]'"]),
        (np.zeros(2, [("x", "f8"), ("y", "f8")]), ["expected integers or floats"]),
        (np.array([[1, 2], [3, None]], object), ["cannot be read as NPY", "Python objects"]),
    ],
)
def test_bad_npy(tmp_path, array, parts):
    message = refusal(npy(tmp_path / "a.npy", array))
    for part in parts:
        assert part in message


def test_npy_that_claims_a_huge_shape(tmp_path):
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (9000000000000, 2), }\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(32)
    assert "cannot be read as NPY" in refusal(write(tmp_path / "a.npy", content))


@given(place=st.integers(0, 150), byte=st.integers(0, 255), length=st.integers(0, 200))
@example(place=0, byte=0x50, length=200)
@FILE_FUZZ
def test_damaged_npy_is_read_or_refused(tmp_path, place, byte, length):
    content = bytearray(npy(tmp_path / "a.npy", np.arange(8.0).reshape(4, 2)).read_bytes())
    content[place] = byte
    try:
        load(write(tmp_path / "b.npy", bytes(content[:length])))
    except InvalidInput:
        return  # its grammar is tested elsewhere; any other exception fails here


@given(place=st.integers(0, 499), byte=st.integers(0, 255), length=st.integers(0, 600))
@FILE_FUZZ
def test_damaged_npz_is_read_or_refused(tmp_path, place, byte, length):
    np.savez_compressed(tmp_path / "a.npz", x=np.arange(4.0), y=np.arange(4.0))
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[place % len(content)] = byte
    try:
        load(write(tmp_path / "b.npz", bytes(content[:length])))
    except InvalidInput:
        return  # its grammar is tested elsewhere; any other exception fails here


def test_npz_arrays(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(
        path, x=np.array([[1, 2], [3, 4]]), y=np.array([0.1, 5]), z=np.array([[7], [8]]), unused=np.array(["text"])
    )
    assert same(load(path), [[1, 2], [3, 4]], [[0.1], [5]])
    assert same(load(path, inputs=("z", "x"), labels=("y",)), [[7, 1, 2], [8, 3, 4]], [[0.1], [5]])
    assert same(load(path, labels=("z",)), [[1, 2], [3, 4]], [[7], [8]])


@pytest.mark.parametrize(
    ("arrays", "options", "parts"),
    [
        ({"x": [1, 2]}, {}, ["unknown array 'y'", "one of 'x'"]),
        ({}, {}, ["unknown array 'x'", "none"]),
        ({"inputs": [1, 2], "y": [1, 2]}, {"inputs": ("input",)}, ["did you mean 'inputs'?"]),
        ({"x": [1, 2], "y": [1, 2]}, {"labels": ("x",)}, ["'x' is both input and label"]),
        ({"x": [1, 2], "y": [1, 2]}, {"inputs": ()}, ["no input column"]),
        ({"x": [1, 2], "y": [1, 2]}, {"labels": ("y", "y")}, ["'y' is chosen twice"]),
        ({"x": [1, 2], "y": [1, 2, 3]}, {}, ["x has 2, y has 3", "equal numbers"]),
        ({"x": [1, np.nan], "y": [1, 2]}, {}, ["array 'x'", "row 2", "nan is not finite"]),
        ({"x": np.zeros((2, 2, 2)), "y": [1, 2]}, {}, ["array 'x'", "shape (2, 2, 2)"]),
        ({"x": 1, "y": 2}, {}, ["array 'x'", "shape ()"]),
        ({"x": [], "y": []}, {}, ["array 'x'", "shape (0,)"]),
        ({"x": np.zeros((2, 0)), "y": [1, 2]}, {}, ["array 'x'", "shape (2, 0)"]),
        ({"x": [1j, 2], "y": [1, 2]}, {}, ["array 'x'", "'complex128'"]),
        ({"x": np.array([1, None]), "y": [1, 2]}, {}, ["array 'x'", "Python objects"]),
        ({"x": [1, 1], "y": [1, 2]}, {}, ["fewer than two distinct inputs"]),
    ],
)
def test_bad_npz(tmp_path, arrays, options, parts):
    np.savez(tmp_path / "a.npz", **arrays)
    message = refusal(tmp_path / "a.npz", **options)
    for part in parts:
        assert part in message


def test_numpy_files_with_the_wrong_ending(tmp_path):
    np.savez(tmp_path / "a.npz", x=[1, 2], y=[1, 2])
    assert "is an NPZ archive" in refusal((tmp_path / "a.npz").rename(tmp_path / "a.npy"))
    assert "is a single array" in refusal(npy(tmp_path / "b.npy", np.ones((2, 2))).rename(tmp_path / "b.npz"))


def test_npz_member_that_is_no_array(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x", "text")
        archive.writestr("y", "text")
    assert "'x' is not an array" in refusal(tmp_path / "a.npz")


# --- Functions on a grid ---------------------------------------------------------------------------------------------


def test_function_on_default_grid():
    data = load("x**2 + 2*x")
    grid = [Fraction(k, 63) for k in range(64)]
    assert same(data, [[x] for x in grid], [[x * x + 2 * x] for x in grid])
    assert data.name == "x**2 + 2*x on [0, 1], 64 points"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("x", lambda x: x),
        (" -x**2 ", lambda x: -(x**2)),
        ("0.1*x", lambda x: x / 10),
        ("2.5e-1 + .5*x", lambda x: Fraction(1, 4) + x / 2),
        ("x/3 - 1/7", lambda x: x / 3 - Fraction(1, 7)),
        ("8/4/2*x", lambda x: x),
        ("1 - 2 - x", lambda x: -1 - x),
        ("(x + 1)/(x**2 + 1)", lambda x: (x + 1) / (x * x + 1)),
        ("abs(x - 0.3)", lambda x: abs(x - Fraction(3, 10))),
        ("max(x, 1/3, 0)", lambda x: max(x, Fraction(1, 3))),
        ("+min(x, 1 - x)", lambda x: min(x, 1 - x)),
        ("x**0 + x**64", lambda x: 1 + x**64),
    ],
)
def test_functions(text, value):
    low, high = Fraction(-2), Fraction(5, 3)
    data = load(text, low=low, high=high, points=12)
    grid = [low + (high - low) * Fraction(k, 11) for k in range(12)]
    assert same(data, [[x] for x in grid], [[value(x)] for x in grid])


def expressions():
    """Pairs of a text and a function with the same meaning."""
    leaves = st.just(("x", lambda x: x)) | st.decimals(0, 9, places=2).map(lambda c: (str(c), lambda x: Fraction(c)))

    def combine(children):
        two = st.tuples(children, children)
        return st.one_of(
            two.map(lambda ab: (f"({ab[0][0]} + {ab[1][0]})", lambda x: ab[0][1](x) + ab[1][1](x))),
            two.map(lambda ab: (f"({ab[0][0]} - {ab[1][0]})", lambda x: ab[0][1](x) - ab[1][1](x))),
            two.map(lambda ab: (f"({ab[0][0]} * {ab[1][0]})", lambda x: ab[0][1](x) * ab[1][1](x))),
            two.map(lambda ab: (f"({ab[0][0]} / {ab[1][0]})", lambda x: ab[0][1](x) / ab[1][1](x))),
            two.map(lambda ab: (f"max({ab[0][0]}, {ab[1][0]})", lambda x: max(ab[0][1](x), ab[1][1](x)))),
            two.map(lambda ab: (f"min({ab[0][0]}, {ab[1][0]})", lambda x: min(ab[0][1](x), ab[1][1](x)))),
            children.map(lambda a: (f"abs({a[0]})", lambda x: abs(a[1](x)))),
            children.map(lambda a: (f"-{a[0]}", lambda x: -a[1](x))),
            st.tuples(children, st.integers(0, 4)).map(
                lambda ak: (f"({ak[0][0]})**{ak[1]}", lambda x: ak[0][1](x) ** ak[1])
            ),
        )

    return st.recursive(leaves, combine, max_leaves=8)


@given(expression=expressions())
@settings(deadline=None)
def test_function_means_what_it_says(expression):
    text, value = expression
    text = f"{text} + x"
    grid = [Fraction(-1), Fraction(1, 2), Fraction(2)]
    try:
        expected = [[value(x) + x] for x in grid]
    except ZeroDivisionError:
        assert "divides by zero" in refusal(text, low=grid[0], high=grid[-1], points=3)
    else:
        assert same(load(text, low=grid[0], high=grid[-1], points=3), [[x] for x in grid], expected)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("sin(x)", "'sin' has no exact values"),
        ("sqrt(x)", "'sqrt' has no exact values"),
        ("exp(-x**2)", "'exp' has no exact values"),
        ("arctan(x)", "'arctan' has no exact values"),
        ("pi*x", "'pi' has no exact values"),
        ("e**x", "exponent 'x'"),
        ("x**-1", "exponent '-1'"),
        ("x**65", "exponent '65'"),
        ("x**0.5", "exponent '0.5'"),
        ("x**2**3", "exponent '2**3'"),
        ("x**True", "exponent 'True'"),
        ("x**" + "9" * 900, "exponent"),
        ("x^2", "'^' (a power is written **)"),
        ("2x", "a product is written 2*x"),
        ("x +", "cannot be read"),
        ("(x", "cannot be read"),
        ("x = 2", "character '='"),
        ("x; import os", "character ';'"),
        ("x\n+1", r"character '\n'"),
        ("x²", "character '²'"),
        ("x + y", "'y' is not known"),
        ("foo(x)", "'foo(x)' is not known"),
        ("x.real", "'x.real' is not known"),
        ("x if x else 1", "is not known"),
        ("1if x else 2", "is not known"),
        ("x and 1", "is not known"),
        ("not x", "is not known"),
        ("x // 2", "is not known"),
        ("(x, 1)", "is not known"),
        ("x(2)", "'x(2)' is not known"),
        ("max(*x)", "number of arguments of max: 1"),
        ("max(1, *x)", "'*x' is not known"),
        ("max()*x", "number of arguments of max: 0"),
        ("min(x)", "number of arguments of min: 1"),
        ("abs(x, 1)", "number of arguments of abs: 2"),
        ("True*x", "'True' is not a number"),
        ("0x10 + x", "'0x10' is not a number"),
        ("1_000*x", "'1_000' is not a number"),
        ("2j*x", "'2j' is not a number"),
        ("1e999999999*x", "exponent beyond 4000"),
        ("1/x", "divides by zero at x = 0 (grid point 1 of 64)"),
        ("1/(x - 1)", "divides by zero at x = 1 (grid point 64 of 64)"),
        ("((x**64)**64)**64", "more than 20000 binary digits at x = 1/63"),
        ("1e4000*1e4000*x", "more than 20000 binary digits"),
        ("x" + "+x" * 500, "more than 1000 characters"),
        ("(" * 400 + "x" + ")" * 400, "cannot be read"),
    ],
)
def test_bad_functions(text, part):
    message = refusal(text)
    assert message.startswith("function ")
    assert part in message
    assert len(message) < 300


def test_deep_and_long_functions():
    assert load("-" * 900 + "x").means[-1] == (1,)
    assert load("x" + "+x" * 499).means[-1] == (500,)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"points": 1}, "points 1"),
        ({"points": -5}, "points -5"),
        ({"points": 10**9}, "points 1000000000"),
        ({"low": Fraction(1)}, "low 1 is not below high 1"),
        ({"low": Fraction(1, 2), "high": Fraction(1, 3)}, "low 1/2 is not below high 1/3"),
        ({"inputs": ("x",)}, "no columns to choose"),
        ({"labels": ("0",)}, "no columns to choose"),
    ],
)
def test_bad_grids(options, part):
    assert part in refusal("x**2", **options)


@pytest.mark.parametrize(
    "source", ["", "3", "2 + 2", "nil", "Nile", "data.txt", "max(1, 2)", "x1", "nile\0", "A" * 5000]
)
def test_unknown_sources(source):
    message = refusal(source)
    assert "is neither a built-in set" in message
    assert "sunspots" in message
    assert ("did you mean 'nile'?" in message) == (source in {"nil", "Nile", "nile\0"})


@given(text=st.text("x0123456789.+-*/(), eabsmin_", max_size=30))
@settings(deadline=None)
def test_any_text_is_read_or_refused(text):
    try:
        load(text, points=3)
    except InvalidInput:
        return  # its grammar is tested elsewhere; any other exception fails here


# --- Scaling ---------------------------------------------------------------------------------------------------------


def scaled(tmp_path, values, scale):
    """Scale the label column 0, v1, v2, ... and return it in its order."""
    path = write(tmp_path / "a.csv", "\n".join(f"{k},{value}" for k, value in enumerate(values)))
    return [mean[0] for mean in load(path, scale_labels=scale).means]


VALUES = st.lists(st.decimals(-(10**6), 10**6, places=3), min_size=2, max_size=20)


@given(values=VALUES)
@FILE_FUZZ
def test_minmax(tmp_path, values):
    exact = [Fraction(value) for value in values]
    low, high = min(exact), max(exact)
    result = scaled(tmp_path, values, "minmax")
    assert result == [(value - low) / (high - low) if high > low else 0 for value in exact]


@given(values=VALUES)
@example(values=[Decimal(3), Decimal(3)])
@FILE_FUZZ
def test_standard(tmp_path, values):
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    variance = sum((value - mean) ** 2 for value in exact) / len(exact)
    result = scaled(tmp_path, values, "standard")
    if variance == 0:
        assert result == [0] * len(exact)
        return
    ratios = {(value - mean) / unit for value, unit in zip(exact, result, strict=True) if unit}
    assert len(ratios) == 1  # one deviation for the whole column
    deviation = ratios.pop()
    assert Fraction(float(deviation)) == deviation  # a float64
    below, above = (Fraction(math.nextafter(float(deviation), to)) for to in (0, math.inf))
    assert ((below + deviation) / 2) ** 2 <= variance <= ((above + deviation) / 2) ** 2  # the nearest
    assert all((value == mean) == (unit == 0) for value, unit in zip(exact, result, strict=True))


def test_standard_with_a_rational_deviation(tmp_path):
    assert scaled(tmp_path, ["0.5", "2.5"], "standard") == [-1, 1]
    assert scaled(tmp_path, ["1e300", "3e300"], "standard")[1] == Fraction(10**300) / Fraction(1e300)


@pytest.mark.parametrize(("side", "nearest"), [(-1, 0), (0, 0), (1, 1), (99, 1)])
def test_standard_deviation_rounds_to_nearest(tmp_path, side, nearest):
    # the deviation of 0 and 2d is d = 1 + 2^-53 + side * 10^-100, next to the midpoint of two float64
    d = 1 + Fraction(1, 2**53) + side * Fraction(1, 10**100)
    assert scaled(tmp_path, [0, f"{int(2 * d * 10**100)}e-100"], "standard")[1] == d / (1 + Fraction(nearest, 2**52))


@pytest.mark.parametrize("exponent", [-4000, -320, -200, 200, 4000])
def test_standard_far_from_one(tmp_path, exponent):
    if abs(exponent) < 300:
        assert abs(scaled(tmp_path, [0, f"2e{exponent}"], "standard")[1] - 1) < Fraction(1, 2**52)
    elif exponent == -320:  # subnormal: the nearest float64 is coarse, and is what defines the data
        assert scaled(tmp_path, [0, "2e-320"], "standard")[1] == Fraction(1, 10**320) / Fraction(1e-320)
    else:
        path = write(tmp_path / "a.csv", f"1,0\n2,2e{exponent}\n")
        assert "label column 0 has a standard deviation beyond" in refusal(path, scale_labels="standard")


def test_scaling_keeps_columns_and_rows_together(tmp_path):
    path = write(tmp_path / "a.csv", "a,b,c\n4,1,10\n2,1,30\n0,1,20\n2,1,50\n")
    data = load(path, scale="minmax")
    half = Fraction(1, 2)
    assert same(data, [[1, 0], [half, 0], [0, 0], [half, 0]], [[10], [30], [20], [50]])
    assert data.noise_floor == 50
    assert data.name == f"{path} (inputs minmax)"
    assert load(path, scale_labels="minmax").noise_floor == Fraction(50, 40**2)


def test_scaled_function():
    data = load("x**2", low=Fraction(-3), high=Fraction(1), points=5, scale="minmax", scale_labels="minmax")
    assert data.inputs == tuple((Fraction(k, 4),) for k in range(5))
    assert data.means == ((1,), (Fraction(4, 9),), (Fraction(1, 9),), (0,), (Fraction(1, 9),))
    assert data.name == "x**2 on [-3, 1], 5 points (inputs minmax, labels minmax)"


@pytest.mark.parametrize("field", ["scale", "scale_labels"])
def test_unknown_scale(field):
    message = refusal("nile", **{field: "standart"})
    assert f"{field} 'standart'" in message
    assert "did you mean 'standard'?" in message


# --- labels with a density -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["none", "minmax", "standard"])
def test_a_density_of_the_labels_is_declared_with_the_data(tmp_path, scale):
    file = write(tmp_path / "noise.csv", "0,0.31\n0.5,-0.12\n0.5,0.77\n2,0.05\n")
    assert not load(file).labels_have_density
    assert load(file, labels_have_density=True, scale_labels=scale).labels_have_density


def test_rounded_labels_cannot_be_declared_to_have_a_density(tmp_path):
    file = write(tmp_path / "rounded.csv", "0,0.3\n0.5,0.1\n1,0.30\n")
    message = refusal(file, labels_have_density=True)
    assert "rows 1 and 3" in message
    assert "density" in message
    assert refusal("diabetes", labels_have_density=True)
    assert load("x**2", points=5, labels_have_density=True).labels_have_density
