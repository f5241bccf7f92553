"""The folders are the stations of a trip, and imports run one way; checked on the source, import by import."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from theorems.catalogue import THEOREMS

ROOT = Path(__file__).resolve().parents[1]

# Earlier stations know nothing of later ones. A new module of verify must be given its place here.
STATIONS: tuple[frozenset[str], ...] = (
    frozenset({"enclosure"}),
    frozenset({"separation", "geometry", "dead_neuron", "risk", "inference", "data", "optimizers"}),
    frozenset({"hypotheses", "simulation", "sampling", "sizes", "evaluate", "cases", "environment"}),
    frozenset({"executors", "ledger", "fingerprint", "blocks"}),
    frozenset({"audit", "results", "forecast", "shown"}),
    frozenset({"report", "output", "audit_run", "answer", "explain", "survey", "verdicts", "certificate", "scan"}),
    frozenset({"api"}),
    frozenset({"commands"}),
    frozenset({"cli", "pytest_plugin", "__main__"}),
)
PLACE = {name: index for index, names in enumerate(STATIONS) for name in names}


def source_files(package: str) -> list[Path]:
    return sorted(path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py"))


def module_name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imported(text: str) -> Iterator[str]:
    """Every imported module, wherever in the file; `from a import b` gives `a.b`, which may be a name in `a`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("__import__", "importlib.import_module"):
            yield from (argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant))


def is_or_is_in(name: str, module: str) -> bool:
    return name == module or name.startswith(f"{module}.")


THEOREM_FILES, VERIFY_FILES = source_files("theorems"), source_files("verify")


def test_there_is_something_to_check() -> None:
    assert Path("theorems/catalogue/t10.py") in THEOREM_FILES
    assert Path("verify/enclosure/arb.py") in VERIFY_FILES


@pytest.mark.parametrize("path", THEOREM_FILES, ids=str)
def test_theorems_import_neither_the_verifier_nor_numerics(path: Path) -> None:
    for name in imported((ROOT / path).read_text(encoding="utf-8")):
        for banned in ("verify", "torch", "numpy", "scipy", "mpmath", "flint"):
            assert not is_or_is_in(name, banned), f"{path} imports {name}"


def test_theorems_can_be_used_without_torch_and_numpy() -> None:
    code = (
        "import sys, theorems.catalogue, theorems.rules\n"
        "print([name for name in ('verify', 'torch', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["verify.cli", "verify.explain", "verify.answer", "verify.report.rows"])
def test_what_steps_no_optimizer_starts_without_torch(module: str) -> None:
    """Importing torch takes longer than most answers."""
    code = f"import sys, {module}\nprint('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize("path", [*THEOREM_FILES, *VERIFY_FILES], ids=str)
def test_flint_has_one_door_and_interval_mpmath_none(path: Path) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    for name in imported(text):
        assert not is_or_is_in(name, "flint") or path == Path("verify/enclosure/arb.py"), f"{path} imports {name}"
        assert not is_or_is_in(name, "mpmath.iv"), f"{path} imports {name}: its ends are not rigorous"
        assert not is_or_is_in(name, "mpmath.ctx_iv"), f"{path} imports {name}: its ends are not rigorous"
    attributes = {ast.unparse(node) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Attribute)}
    assert not any(is_or_is_in(name, "mpmath.iv") for name in attributes), f"{path} uses mpmath.iv"


def station_of(module: str) -> str | None:
    """`verify.risk.witness` belongs to `risk`; `verify` itself to none."""
    parts = module.split(".")
    return parts[1] if parts[0] == "verify" and len(parts) > 1 else None


@pytest.mark.parametrize("path", VERIFY_FILES, ids=str)
def test_every_module_has_a_station(path: Path) -> None:
    station = station_of(module_name(path))
    assert station is None or station in PLACE, f"{path}: give {station!r} its place in STATIONS"


@pytest.mark.parametrize("path", VERIFY_FILES, ids=str)
def test_no_module_imports_from_a_later_station(path: Path) -> None:
    here = station_of(module_name(path))
    for name in imported((ROOT / path).read_text(encoding="utf-8")):
        there = station_of(name)
        if there is None or there not in PLACE:
            assert not is_or_is_in(name, "verify") or here is None, f"{path} imports {name}, which has no station"
        else:
            assert here is not None, f"{path} (the package itself) imports {name}"
            assert PLACE[there] <= PLACE[here], f"{path} imports {name}, a later station"


def test_stations_do_not_import_each_other_in_circles() -> None:
    """Within one row of STATIONS imports are allowed, but no way back."""
    arrows: dict[str, set[str]] = {name: set() for name in PLACE}
    for path in VERIFY_FILES:
        here = station_of(module_name(path))
        if here in arrows:
            found = {station_of(name) for name in imported((ROOT / path).read_text(encoding="utf-8"))}
            arrows[here] |= {there for there in found if there in arrows and there != here}
    left = dict(arrows)
    while left:
        ready = [name for name, needed in left.items() if not needed & set(left)]
        assert ready, f"circular imports among {sorted(left)}"
        for name in ready:
            del left[name]


@pytest.mark.parametrize("path", [*THEOREM_FILES, *VERIFY_FILES], ids=str)
def test_public_names_exist(path: Path) -> None:
    if path.name == "__main__.py":
        pytest.skip("running it is its purpose")
    module = importlib.import_module(module_name(path))
    names = getattr(module, "__all__", [])
    assert len(set(names)) == len(names)
    for name in names:
        assert getattr(module, name, None) is not None, f"{path} promises {name!r}"


@pytest.mark.parametrize("name", THEOREMS)
def test_cited_proofs_exist(name: str) -> None:
    file, _, anchor = THEOREMS[name].proof.partition("#")
    assert anchor == name.lower()
    path = ROOT / file
    assert path.parent == ROOT / "theorems" / "proofs"
    assert path.is_file(), f"{file} is cited by {name}, but does not exist"
    headings = [line for line in path.read_text(encoding="utf-8").splitlines() if re.match(rf"## {name}\b", line)]
    assert len(headings) == 1, f"{file} has {len(headings)} headings '## {name}'"


# --- the checks above can fail ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import flint", "flint"),
        ("from flint import arb", "flint.arb"),
        ("def f():\n    from flint.types import arb", "flint.types.arb"),
        ("from mpmath import iv", "mpmath.iv"),
        ("import importlib\nimportlib.import_module('torch.optim')", "torch.optim"),
        ("if TYPE_CHECKING:\n    import verify.cli as c", "verify.cli"),
        ("from verify import risk", "verify.risk"),
    ],
)
def test_hidden_imports_are_seen(text: str, found: str) -> None:
    assert found in list(imported(text))
