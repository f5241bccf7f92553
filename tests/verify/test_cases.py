"""Configuration files: every accepted form, and for every rejection the path of what is wrong."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import pytest

from theorems.catalogue import THEOREMS
from theorems.errors import InvalidInput
from theorems.rules import C4_RULES
from verify.cases import PRESETS, AuditConfig, load_config, load_preset, parse_fraction
from verify.inference import Interval

TINY = """\
title = "tiny"
seed = 5

[simulation]
initializations = 20
replicas = 2
steps = 2

[inference]
alpha = "1/100"

[data.p]
source = "x**2"
points = 8

[[sweep]]
name = "s"
data = ["p"]
initializations = ["pytorch"]
architectures = ["1,3,1"]
optimizers = ["sgd"]
theorems = ["T3"]
"""


def load(folder: Path, text: str | bytes) -> AuditConfig:
    path = folder / "audit.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_config(str(path))


def changed(old: str, new: str) -> str:
    assert TINY.count(old) == 1
    return TINY.replace(old, new)


def complaint(folder: Path, text: str | bytes) -> str:
    with pytest.raises(InvalidInput) as caught:
        load(folder, text)
    sentence = str(caught.value)
    assert sentence.startswith(f"config {str(folder / 'audit.toml')!r}")
    assert "\n" not in sentence
    return sentence


def test_everything_left_out_has_its_default(tmp_path: Path) -> None:
    config = load(
        tmp_path,
        'title = "t"\n[data.n]\nsource = "nile"\n[[sweep]]\nname = "s"\ndata = ["n"]\n'
        'initializations = ["pytorch"]\narchitectures = ["1,3,1"]\n',
    )
    (sweep,) = config.sweep
    assert sweep.optimizers == tuple(C4_RULES)
    assert sweep.theorems == tuple(THEOREMS)
    assert (config.seed, config.simulation.batch, config.inference.kind) == (0, "all", Interval.CLOPPER_PEARSON)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("steps = 2", 'steps = 0\nbatch = "all"'),
        ("steps = 2", "batch = 16"),
        ("steps = 2", 'dtype = "float64"'),
        ("steps = 2", "reach = 1"),
        ("steps = 2", "reach = 0.25"),
        ("steps = 2", 'reach = "1/3"'),
        ('alpha = "1/100"', "alpha = 0.05"),
        ('alpha = "1/100"', "alpha = 1e-30"),
        ('alpha = "1/100"', "reserved_share = 0"),
        ('alpha = "1/100"', 'interval = "confidence-sequence"'),
        ("points = 8", 'low = "-1/3"\nhigh = 2'),
        ("points = 8", "low = -0.5"),
        ("points = 8", 'scale = "minmax"\nscale_labels = "standard"'),
        ("points = 8", 'inputs = ["x"]\nlabels = ["y"]'),
        ('["pytorch"]', '["pytorch", {scheme = "pytorch", bias = "zero"}, {scheme = "keras"}]'),
        ('["pytorch"]', '["uniform(1/3)", "normal(0.1, 0.2)", "orthogonal"]'),
        ('["1,3,1"]', '["1,3,1", "1, 4 ,1", "1,3*10,1"]'),
        ('["sgd"]', '["sgd", {target = "sgd", settings = {lr = -0.1}}]'),
        ('["sgd"]', '[{target = "adam", settings = {betas = [0.9, 0.99], amsgrad = true, lr = 1}}]'),
        ('["sgd"]', '["some_package.module:Class"]'),
        ('["T3"]', '["T3"]\naxis = "width"'),
        ("seed = 5", "seed = 9223372036854775807"),
    ],
)
def test_accepted(old: str, new: str, tmp_path: Path) -> None:
    load(tmp_path, changed(old, new))


def test_windows_line_ends_and_byte_order_marks_are_read(tmp_path: Path) -> None:
    assert load(tmp_path, b"\xef\xbb\xbf" + TINY.replace("\n", "\r\n").encode()) == load(tmp_path, TINY)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        # keys
        ('title = "tiny"', 'titel = "tiny"', "$: unknown key 'titel'; expected one of title,"),
        ('title = "tiny"', 'titel = "tiny"', "(did you mean 'title'?)"),
        ('title = "tiny"', "", "$: missing key 'title'"),
        ("replicas = 2", "replcas = 2", "$.simulation: unknown key 'replcas'"),
        ("replicas = 2", "replcas = 2", "(did you mean 'replicas'?)"),
        ('alpha = "1/100"', "alpa = 1", "$.inference: unknown key 'alpa'"),
        ('source = "x**2"', 'sorce = "x**2"', "$.data[...]: unknown key 'sorce'"),
        ('source = "x**2"', 'sorce = "x**2"', "(did you mean 'source'?)"),
        ('name = "s"', 'nam = "s"', "$.sweep[0]: unknown key 'nam'"),
        ('name = "s"', "", "$.sweep[0]: missing key 'name'"),
        ("[[sweep]]", "[[sweeps]]", "(did you mean 'sweep'?)"),
        ('["sgd"]', '[{targt = "adam"}]', "$.sweep[0].optimizers[0]: unknown key 'targt'"),
        ('["sgd"]', "[{}]", "$.sweep[0].optimizers[0]: missing key 'target'"),
        ('["pytorch"]', '[{schem = "keras"}]', "(did you mean 'scheme'?)"),
        # types
        ('title = "tiny"', "title = 3", "$.title: expected str, got int"),
        ('title = "tiny"', 'title = ""', "$.title: expected str of length >= 1"),
        ("seed = 5", 'seed = "x"', "$.seed: expected int, got str"),
        ("seed = 5", "seed = 1.5", "$.seed: expected int, got float"),
        ("seed = 5", "seed = true", "$.seed: expected int, got bool"),
        ("seed = 5", "seed = -1", "$.seed: expected int >= 0"),
        ("seed = 5", "seed = 9223372036854775808", "$.seed: expected int <= 9223372036854775807"),
        ("replicas = 2", "replicas = [2]", "$.simulation.replicas: expected int, got array"),
        ("replicas = 2", "replicas = -1", "$.simulation.replicas: expected int >= 0"),
        ("steps = 2", "steps = nan", "$.simulation.steps: expected int, got float"),
        ("steps = 2", "batch = true", "$.simulation.batch: expected int | str, got bool"),
        ("steps = 2", "reach = []", "$.simulation.reach: expected int | float | str, got array"),
        ("points = 8", "points = 1", "$.data[...].points: expected int >= 2"),
        ("points = 8", "low = 1979-05-27", "$.data[...].low: expected int | float | str, got date"),
        ("points = 8", 'inputs = "x"', "$.data[...].inputs: expected array | null, got str"),
        ("[[sweep]]", "[sweep]", "$.sweep: expected array, got object"),
        ('data = ["p"]', 'data = "p"', "$.sweep[0].data: expected array, got str"),
        ('data = ["p"]', "data = []", "$.sweep[0].data: expected array of length >= 1"),
        ('["pytorch"]', "[]", "$.sweep[0].initializations: expected array of length >= 1"),
        ('["1,3,1"]', "[]", "$.sweep[0].architectures: expected array of length >= 1"),
        ('["1,3,1"]', "[[1, 3, 1]]", "$.sweep[0].architectures[0]: expected str, got array"),
        ('["sgd"]', "[]", "$.sweep[0].optimizers: expected array of length >= 1"),
        ('["sgd"]', "[3]", "$.sweep[0].optimizers[0]: expected str | object, got int"),
        ('["sgd"]', '[{target = "adam", settings = 3}]', "$.sweep[0].optimizers[0].settings: expected object, got int"),
        ('["sgd"]', '[{target = "adam", settings = {lr = {a = 1}}}]', "$.sweep[0].optimizers[0].settings[...]"),
        ('["T3"]', "[]", "$.sweep[0].theorems: expected array of length >= 1"),
        # choices
        ("steps = 2", 'dtype = "float16"', "$.simulation.dtype='float16': expected one of float32, float64"),
        ("steps = 2", 'batch = "al"', "$.simulation.batch='al': expected one of all (did you mean 'all'?)"),
        ("points = 8", 'scale = "minmx"', "$.data[...].scale='minmx': expected one of none, minmax, standard"),
        ('alpha = "1/100"', 'interval = "clopper"', "$.inference.interval='clopper': expected one of clopper-pearson"),
        ('["T3"]', '["T3"]\naxis = "widht"', "$.sweep[0].axis='widht': expected one of width, depth, none (did you me"),
        # numbers
        ("steps = 2", "reach = 0", "$.simulation.reach=0: expected a number above 0 and at most 1"),
        ("steps = 2", "reach = nan", "$.simulation.reach=nan: expected a number such as"),
        ('alpha = "1/100"', "alpha = inf", "$.inference.alpha=inf: expected a number such as"),
        ('alpha = "1/100"', "alpha = 1", "$.inference.alpha=1: expected a number above 0 and below 1"),
        ('alpha = "1/100"', "reserved_share = 1", "$.inference.reserved_share=1: expected a number from 0 and below 1"),
        ("points = 8", 'low = "a"', "$.data.p.low='a': expected a number such as"),
        ("points = 8", "high = nan", "$.data.p.high=nan: expected a number such as"),
        ("replicas = 2", "replicas = 21", "$.simulation.replicas=21: expected at most $.simulation.initializations=20"),
        # names
        ('data = ["p"]', 'data = ["q"]', "$.sweep[0].data[0]='q': expected one of p"),
        ('data = ["p"]', 'data = ["p", "p"]', "$.sweep[0].data[1]='p': named twice"),
        ('["pytorch"]', '["pytorhc"]', "$.sweep[0].initializations[0]: initialization 'pytorhc': expected one of"),
        ('["pytorch"]', '["keras", {scheme = "keras", bias = "zer"}]', "$.sweep[0].initializations[1]: bias law 'zer'"),
        ('["pytorch"]', '["normal(1)", "normal( 1 )"]', "$.sweep[0].initializations[1]='normal(1)': named twice"),
        ('["1,3,1"]', '["1,0,1"]', "$.sweep[0].architectures[0]: architecture 1,0,1: expected at least three widths"),
        ('["1,3,1"]', '["1,3,1", "a,b"]', "$.sweep[0].architectures[1]: architecture 'a,b': expected whole numbers"),
        ('["1,3,1"]', '["1,3,1", "1, 3,1"]', "$.sweep[0].architectures[1]='1,3,1': named twice"),
        ('["sgd"]', '["sgd", "sgd"]', "$.sweep[0].optimizers[1]='sgd': named twice"),
        ('["T3"]', '["T33"]', "$.sweep[0].theorems[0]='T33': expected one of T1"),
        ('["T3"]', '["t3"]', "(did you mean 'T3'?)"),
        ('["T3"]', '["T3", "T3"]', "$.sweep[0].theorems[1]='T3': named twice"),
    ],
)
def test_rejections_say_where(old: str, new: str, told: str, tmp_path: Path) -> None:
    assert told in complaint(tmp_path, changed(old, new))


def test_two_sweeps_of_one_name_are_refused(tmp_path: Path) -> None:
    twice = TINY + TINY[TINY.index("[[sweep]]") :]
    assert "$.sweep[1].name='s': another sweep has this name" in complaint(tmp_path, twice)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "missing key 'title'"),
        (b"title = ", "Invalid value"),
        (b"[[[[", "at line 1"),
        (b'title = "a"\ntitle = "b"', "Cannot overwrite"),
        (b'title = "\xff"', "byte 9 is not UTF-8; expected a TOML file"),
        (TINY.encode("utf-16"), "byte 0 is not UTF-8"),
        (b"\x00", "at line 1"),
        (b"x" * 2_000_000, "is larger than 1 MB"),
        (b"a = " + b"[" * 5000, "nested too deeply"),
        (b'title = "t"\nseed = ' + b"9" * 200_000, "expected"),
    ],
)
def test_what_is_no_toml_is_refused(raw: bytes, told: str, tmp_path: Path) -> None:
    assert told in complaint(tmp_path, raw)


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path in (str(tmp_path), str(tmp_path / "missing.toml"), str(loop), "", "a\0b"):
        with pytest.raises(InvalidInput, match="cannot be read: "):
            load_config(path)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_load(name: str) -> None:
    assert load_preset(name).title


@pytest.mark.parametrize("name", ["quik", ""])
def test_unknown_presets_are_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="expected one of quick"):
        load_preset(name)


@pytest.mark.parametrize(
    ("value", "exact"),
    [(0, 0), (0.1, Fraction(1, 10)), ("0.1", Fraction(1, 10)), ("1/3", Fraction(1, 3)), (1e-7, Fraction(1, 10**7))],
)
def test_numbers_mean_what_they_say(value: str | int | float, exact: Fraction | int) -> None:
    assert parse_fraction(value, "here") == exact


@pytest.mark.parametrize("value", ["", "x", "1/0", "nan", "inf", "1e5", "1" * 201, float("nan"), float("-inf")])
def test_other_numbers_are_refused(value: str | float) -> None:
    with pytest.raises(InvalidInput, match=r"^here="):
        parse_fraction(value, "here")
