"""Without a compiler, with a damaged cache, with several processes at once; engines in audits."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import pytest
import torch

from theorems.errors import InvalidInput
from theorems.setting import Architecture
from verify import audit
from verify.audit import carry_out, plan, units_of
from verify.cases import AuditConfig, load_config
from verify.cli import main
from verify.executors import InProcess
from verify.optimizers.registry import resolve
from verify.optimizers.spec import OptimizerSpec
from verify.simulation.draw import Layer
from verify.simulation.eager import Training, TrainingRows
from verify.simulation.engine_names import Engine
from verify.simulation.engines import Choice, choose, train
from verify.simulation.fused import compiler, library
from verify.simulation.runs import RunTask

ANSWER = "int answer(void) { return ANSWER; }\n"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compiler, "_loaded", {})
    return tmp_path / "nonconv" / "kernels"


@pytest.fixture
def no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor the package that brings one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setitem(sys.modules, "ziglang", None)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path without compilers, and a package ziglang that hands everything to the real one; where it keeps notes."""
    real, path, notes = compiler.compiler().command, os.environ["PATH"], tmp_path / "calls"
    folder = tmp_path / "site" / "ziglang"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "__main__.py").write_text(
        f"import os, sys\nos.environ['PATH'] = {path!r}\n"
        f"with open({str(notes)!r}, 'a') as notes:\n    print(sys.argv[1], file=notes)\n"
        f"os.execv({real[0]!r}, [*{real!r}, *sys.argv[2:]])\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.delitem(sys.modules, "ziglang", raising=False)
    monkeypatch.syspath_prepend(folder.parent)
    monkeypatch.setenv("PYTHONPATH", str(folder.parent))
    return notes


def chosen(engine: Engine) -> Choice:
    rows = TrainingRows(*torch.zeros((2, 60, 1), dtype=torch.float64))
    return choose(engine, Architecture.parse("1,5,1"), rows, resolve(OptimizerSpec("sgd"), prove=False), None)


def trained(engine: Engine) -> npt.NDArray[np.float64]:
    """The parameters of 17 networks after 5 steps on 60 points."""
    numbers = np.random.default_rng(1)
    points = torch.linspace(-1, 1, 60, dtype=torch.float64)[:, None]
    start = tuple(Layer(numbers.normal(size=(17, n, m)), numbers.normal(size=(17, n))) for n, m in ((5, 1), (1, 5)))
    rows, optimizer = TrainingRows(points, points**2), resolve(OptimizerSpec("sgd"), prove=False)
    training = Training(rows, optimizer, Architecture.parse("1,5,1"), (5,))
    (after,) = train(start, training, engine=engine, threads=1)
    return np.concatenate([part.reshape(17, -1) for layer in after for part in (layer.weight, layer.bias)], axis=1)


def check_training() -> None:
    expected = trained(Engine.EAGER)
    for engine in (Engine.FUSED, Engine.EXACT1D):
        np.testing.assert_allclose(trained(engine), expected, rtol=1e-10, atol=1e-10)


def answer(number: int) -> int:
    return int(compiler.load(ANSWER, {"ANSWER": number}).answer())


# --- the compiler ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_auto_is_eager_and_says_why() -> None:
    told = (
        "no C compiler: looked for cc, gcc, clang on the path and for the Python package ziglang; "
        "`pip install 'nonconv[compiler]'` brings one"
    )
    assert chosen(Engine.AUTO) == Choice(Engine.EAGER, f"not fused: {told}")
    with pytest.raises(
        InvalidInput, match=re.escape(f"engine 'fused' cannot train 1,5,1 with sgd: {told}; expected engine 'auto'")
    ):
        chosen(Engine.FUSED)


def test_without_a_system_compiler_the_package_compiles(cache: Path, package: Path) -> None:
    assert compiler.compiler().command == (sys.executable, "-P", "-m", "ziglang", "cc")
    assert chosen(Engine.AUTO) == Choice(Engine.EXACT1D)
    check_training()
    made = len(list(cache.glob("*.so")))
    calls = package.read_text(encoding="utf-8").split()
    assert set(calls) == {"cc"}
    assert len(calls) == made + 1  # one look at what it predefines
    assert (cache.parent / "zig").is_dir()


def test_a_system_compiler_comes_before_the_package(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "gcc"
    other.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    other.chmod(0o755)
    assert compiler.compiler().command == (str(other),)
    monkeypatch.setenv("CC", f"{shlex.quote(sys.executable)} -m ziglang cc")
    assert compiler.compiler().command == (sys.executable, "-m", "ziglang", "cc")


def test_the_package_where_no_cache_can_be_written(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compiler, "_loaded", {})
    file = tmp_path / "file"
    file.write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    folder = Path(compiler._environment(list(compiler.compiler().command))["ZIG_GLOBAL_CACHE_DIR"])
    assert folder.is_dir()
    assert file not in folder.parents
    assert answer(9) == 9


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("echo 'cc: fatal error: math.h: No such file' >&2; exit 1", "machine: cc: fatal error: math.h: No such file"),
        ("exit 1", "does not compile for this machine: no message"),
    ],
)
def test_a_system_compiler_that_does_not_work_is_passed_over(
    script: str, told: str, cache: Path, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cc", "gcc"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho $0 >> {tmp_path}/asked\n{script}\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    assert "ziglang" in compiler.compiler().command
    assert answer(8) == 8
    asked = (tmp_path / "asked").read_text(encoding="utf-8").split()
    assert len(asked) == 4, "each is asked once, in two ways, however often a kernel is wanted"
    monkeypatch.setitem(sys.modules, "ziglang", None)
    with pytest.raises(compiler.Unavailable, match=re.escape(told)) as caught:
        compiler.compiler()
    assert str(caught.value).count("the C compiler ") == 2
    assert str(caught.value).endswith("; `pip install 'nonconv[compiler]'` brings one")


def test_a_compiler_without_the_headers_of_the_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    real = compiler.compiler().command
    monkeypatch.setenv("CC", shlex.join([*real, "-nostdinc"]))
    with pytest.raises(compiler.Unavailable, match=r"math\.h"):
        compiler.compiler()


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="the package ziglang is not installed")
def test_the_package_itself(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    assert compiler.compiler().command[-2:] == ("ziglang", "cc")
    check_training()


def test_arguments_of_the_compiler(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that runs the compiler, as ccache does, and options, which the cache tells apart."""
    before = tmp_path / "before the compiler"
    before.write_text('#!/bin/sh\nexec "$@"\n', encoding="utf-8")
    before.chmod(0o755)
    real = compiler.compiler().command
    text = '#include "plus.h"\nint answer(void) { return 10 * ANSWER + PLUS; }\n'
    for plus in (1, 2):
        folder = tmp_path / f"headers {plus}"
        folder.mkdir()
        (folder / "plus.h").write_text(f"#define PLUS {plus}\n", encoding="utf-8")
        monkeypatch.setenv("CC", shlex.join([str(before), *real, f"-I{folder}"]))
        assert compiler.load(text, {"ANSWER": 3}).answer() == 30 + plus
    assert len(list(cache.glob("*.so"))) == 2
    monkeypatch.setenv("CC", " ")
    blank = compiler.compiler()
    monkeypatch.delenv("CC")
    assert compiler.compiler() == blank
    monkeypatch.setenv("CC", "gcc 'never closed")
    with pytest.raises(compiler.Unavailable, match=r"\$CC is \"gcc 'never closed\", expected a command line"):
        compiler.compiler()


def test_a_compiler_that_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(compiler.Unavailable, match="no C compiler: looked for no-such-compiler on the path"):
        compiler.compiler()
    false = shutil.which("false")
    assert false is not None
    monkeypatch.setenv("CC", false)
    with pytest.raises(compiler.Unavailable, match=r"false does not compile for this machine: no message"):
        compiler.compiler()
    broken = tmp_path / "cc"
    broken.write_bytes(b"\x00not a program")
    broken.chmod(0o755)
    monkeypatch.setenv("CC", str(broken))
    with pytest.raises(compiler.Unavailable, match="cannot be run"):
        compiler.compiler()


def test_source_that_does_not_compile(cache: Path) -> None:
    with pytest.raises(compiler.Unavailable, match=r"does not accept the kernel: .*error"):
        compiler.load("int answer(void) { return no_such_name; }\n", {})
    assert not list(cache.glob("*"))


def test_different_sources_and_options_do_not_mix(cache: Path) -> None:
    assert [answer(3), answer(4), answer(3)] == [3, 4, 3]
    assert len(list(cache.glob("*.so"))) == 2
    changed = compiler.load(ANSWER.replace("return", "return 10 *"), {"ANSWER": 3})
    assert changed.answer() == 30


# --- the cache ------------------------------------------------------------------------------------------------------


def in_a_process(cache: Path, number: int) -> subprocess.Popen[str]:
    code = f"import compiler\nprint(compiler.load({ANSWER!r}, {{'ANSWER': {number}}}).answer())"
    environment = os.environ | {"XDG_CACHE_HOME": str(cache.parents[1]), "PYTHONPATH": str(compiler.SOURCES)}
    return subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)


def test_a_library_is_made_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert answer(5) == 5
    compiler._loaded.clear()
    monkeypatch.setattr(compiler, "_compile", None)
    assert answer(5) == 5


@pytest.mark.parametrize("damage", ["shorter", "longer", "changed", "empty"])
def test_a_damaged_library_is_made_again(cache: Path, damage: str) -> None:
    assert in_a_process(cache, 6).communicate()[0] == "6\n"
    (path,) = cache.glob("*.so")
    good = path.read_bytes()
    bad = {"shorter": good[:5000], "longer": good + b"x", "changed": good[:900] + b"\xff" + good[901:], "empty": b""}[
        damage
    ]
    path.write_bytes(bad)
    assert answer(6) == 6
    (path,) = cache.glob("*.so")
    assert path.name == compiler._name(path.name.split("-")[0], path.read_bytes())


def test_processes_that_compile_at_once(cache: Path) -> None:
    running = [in_a_process(cache, 7) for _ in range(4)]
    assert [each.communicate(timeout=120)[0] for each in running] == ["7\n"] * 4
    assert answer(7) == 7
    assert all(path.suffix == ".so" for path in cache.iterdir())


def test_a_cache_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    monkeypatch.setattr(compiler, "_loaded", {})
    assert answer(8) == 8


def test_the_structure_of_work_is_that_of_the_header() -> None:
    """Offsets of the first fields, some in the middle, and the last."""
    names = ("layers", "memory", "sign", "key", "scalars", "update", "next", "moments", "cells_per_unit")
    body = "".join(f"  if (i == {n}) return offsetof(Work, {name});\n" for n, name in enumerate(names))
    text = '#include <stddef.h>\n#include "lanes.h"\n#include "work.h"\n'
    text += f"long at(int i) {{\n{body}  return sizeof(Work);\n}}\n"
    found = compiler.load(text, {"WIDE": 0})
    expected = [getattr(library.Work, name).offset for name in names]
    assert [found.at(n) for n in range(len(names))] == expected
    assert found.at(99) == library.ctypes.sizeof(library.Work)


# --- audits ---------------------------------------------------------------------------------------------------------

CONFIG = """
title = "engines"
[simulation]
initializations = 8
replicas = 4
steps = 2
batch = "all"
engine = "{engine}"
[data.parabola]
source = "x**2 + 2*x"
points = 50
[[sweep]]
name = "one"
data = ["parabola"]
initializations = ["pytorch"]
architectures = ["1,2,1"]
optimizers = ["sgd", "torch.optim:ASGD"]
theorems = ["T3"]
"""


def config(engine: str, folder: Path) -> AuditConfig:
    path = folder / "audit.toml"
    path.write_text(CONFIG.format(engine=engine), encoding="utf-8")
    return load_config(str(path))


def test_a_plan_settles_the_engine_of_each_case(tmp_path: Path) -> None:
    planned = plan(config("auto", tmp_path))
    assert [choice.engine for choice in planned.engines.values()] == [Engine.EXACT1D, Engine.EAGER]
    assert {choice.engine for choice in plan(config("eager", tmp_path)).engines.values()} == {Engine.EAGER}


def test_a_plan_refuses_an_engine_that_cannot(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"engine 'fused' cannot train 1,2,1 with torch\.optim:ASGD"):
        plan(config("fused", tmp_path))


def test_engines_of_configurations(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"simulation\.engine"):
        config("turbo", tmp_path)
    with pytest.raises(InvalidInput, match="engine 'turbo': expected one of eager, fused, exact1d, gpu, auto"):
        config("eager", tmp_path).with_engine("turbo")
    assert config("eager", tmp_path).with_engine("auto").simulation.engine == "auto"


def test_the_convention_of_epsilon_reaches_every_run(tmp_path: Path) -> None:
    chosen = config("eager", tmp_path)
    other = msgspec.structs.replace(chosen.simulation, epsilon="tensorflow1")
    for each, epsilon in ((chosen, "torch"), (msgspec.structs.replace(chosen, simulation=other), "tensorflow1")):
        planned = plan(each)
        assert {unit.task.epsilon for unit in units_of(planned)[1] if isinstance(unit.task, RunTask)} == {epsilon}
        assert audit._settings(planned)["epsilon"] == epsilon
    text = CONFIG.format(engine="eager").replace("steps = 2", 'steps = 2\nepsilon = "keras"')
    (tmp_path / "wrong.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"simulation\.epsilon"):
        load_config(str(tmp_path / "wrong.toml"))


@pytest.mark.slow
def test_an_audit_says_what_trained_its_replicas(tmp_path: Path) -> None:
    results = carry_out(plan(config("eager", tmp_path).with_engine("auto")), InProcess())
    told = "auto: exact1d in 1 case, eager in 1 case (not fused: torch.optim:ASGD is not one of the rules"
    assert str(results.settings["engine"]).startswith(told)
    assert results.settings["dtype"] == "float32"


def test_the_command_line_refuses_unknown_engines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config("eager", tmp_path)
    with pytest.raises(SystemExit) as left:
        main(["audit", str(tmp_path / "audit.toml"), "--engine", "turbo", "--out", str(tmp_path / "out")])
    assert left.value.code == 2
    assert "engine 'turbo': expected one of eager, fused, exact1d, gpu, auto" in capsys.readouterr().err
