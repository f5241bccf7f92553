"""The formal proofs: complete, described, accepted by Coq, and refused once a definition or a hypothesis is changed."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FORMAL = ROOT / "theorems" / "formal"
README = (FORMAL / "README.md").read_text(encoding="utf-8")
FILES = [line for line in (FORMAL / "_CoqProject").read_text(encoding="utf-8").split() if line.endswith(".v")]
UNPROVED = re.compile(
    r"\b(Admitted|admit|give_up|Abort|Axioms?|Parameters?|Conjectures?|Hypothes[ie]s|Variables?|Unset|bypass_check)\b"
)
with_coq = pytest.mark.skipif(shutil.which("coqc") is None, reason="coqc is not installed (Debian package coq)")


def code(text: str) -> str:
    """The text without comments, which may be nested."""
    kept, level = [], 0
    for part in re.split(r"(\(\*|\*\))", text):
        level += (part == "(*") - (part == "*)")
        if level == 0 and part != "*)":
            kept.append(part)
    return "".join(kept)


def read(name: str) -> str:
    return (FORMAL / name).read_text(encoding="utf-8")


def theorems(name: str) -> list[str]:
    return re.findall(r"^\s*(?:Theorem|Corollary|Proposition) +([\w']+)", code(read(name)), re.MULTILINE)


def compile_file(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    command = ["coqc", "-q", "-Q", ".", "Nonconv", name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)


def first_failure(folder: Path, last: str) -> str | None:
    """The theorem, lemma or definition at which Coq stops in the files up to `last`; None if it accepts them all."""
    for name in FILES[: FILES.index(last) + 1]:
        result = compile_file(folder, name)
        if result.returncode:
            (line,) = re.findall(rf'File "\./{name}", line (\d+), [^\n]*\nError:', result.stderr)
            above = "\n".join((folder / name).read_text(encoding="utf-8").split("\n")[: int(line)])
            return re.findall(r"^(?:Theorem|Lemma|Definition|Fixpoint) +([\w']+)", above, re.MULTILINE)[-1]
    return None


def test_every_file_is_compiled_and_described() -> None:
    assert sorted(FILES) == sorted(path.name for path in FORMAL.glob("*.v"))
    for name in FILES:
        assert f"(`{name}`)" in README or f"[`{name}`]({name})" in README


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_left_unproved(name: str) -> None:
    text = code(read(name))
    assert UNPROVED.findall(text.replace("Print Assumptions", "")) == []
    started = re.findall(r"^(?:Theorem|Lemma)\b", text, re.MULTILINE)
    assert len(started) == len(re.findall(r"\bProof\.", text)) == len(re.findall(r"\bQed\.", text))


def test_unproved_statements_are_found() -> None:
    assert UNPROVED.findall(code("(* Axiom (* nested *) admit *) Lemma a : 0 = 1. Proof. admit. Admitted.")) == [
        "admit",
        "Admitted",
    ]
    assert UNPROVED.findall("Axiom a : False.") == ["Axiom"]


def test_every_theorem_is_described_and_its_axioms_are_printed() -> None:
    names = [theorem for name in FILES for theorem in theorems(name)]
    assert len(names) == len(set(names)) > 40
    assert set(re.findall(r"@([\w']+)", code(read("Assumptions.v")))) == set(names)
    for name in names:
        assert f"`{name}`" in README, name


def test_the_statements_of_the_readme_are_those_of_the_files() -> None:
    blocks = re.findall(r"```coq\n(.*?)```", README, re.DOTALL)
    assert len(blocks) >= 8
    texts = [read(name) for name in FILES]
    for block in blocks:
        assert any(block in text for text in texts), block


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A folder with the compiled library, and what Coq printed."""
    folder = tmp_path_factory.mktemp("formal")
    printed = ""
    for name in FILES:
        shutil.copy(FORMAL / name, folder)
        result = compile_file(folder, name)
        assert result.returncode == 0, result.stderr
        printed += result.stdout
    return folder, printed


@with_coq
@pytest.mark.slow
def test_coq_accepts_the_proofs_and_the_axioms_are_those_of_the_readme(compiled: tuple[Path, str]) -> None:
    (expected,) = re.findall(r"```text\n(Axioms:\n.*?)```", README, re.DOTALL)
    assert compiled[1] == expected


# What is changed (file, old text, new text), and the result whose proof must then fail, with its file.
FAULTS = {
    "relu'(0) = 1": ("Network.v", "if Rlt_dec 0 z", "if Rle_dec 0 z", "Network.v", "relu'_of_nonpositive"),
    "Lemma 2 without (FB)": (
        "Freeze.v",
        "lemma_2 k : (forall j i, hidden j -> (i < width j)%nat -> FB j i)",
        "lemma_2 k : (forall j i, hidden j -> (i < width j)%nat -> True)",
        "Freeze.v",
        "lemma_2",
    ),
    "Lemma 2 under (S)": (
        "Freeze.v",
        "lemma_2 k : (forall j i, hidden j -> (i < width j)%nat -> FB j i)",
        "lemma_2 k : (forall j i, hidden j -> (i < width j)%nat -> Sc j i)",
        "Freeze.v",
        "lemma_2",
    ),
    "(D) without b <= 0": (
        "Freeze.v",
        "dead (Theta 0) 1 i -> bias (Theta 0) 1 i <= 0 ->",
        "dead (Theta 0) 1 i -> True ->",
        "Freeze.v",
        "lemma_1_decay",
    ),
    "any evaluation point": (
        "Process.v",
        "untouched n k i -> same k i (Theta n) (Eval (S n)) \\/",
        "untouched n k i -> True \\/",
        "Freeze.v",
        "lemma_1",
    ),
    "negative factors": (
        "Process.v",
        "0 <= c /\\ scaled c c k",
        "c <= 0 /\\ scaled c c k",
        "Process.v",
        "FB_implies_S",
    ),
    "structurally dead with b >= 0": (
        "Freeze.v",
        "| S j => bias theta k i <= 0 /\\",
        "| S j => 0 <= bias theta k i /\\",
        "Freeze.v",
        "structurally_dead_respects",
    ),
    "no relu' in the backward recursion": (
        "Gradient.v",
        "relu' (preactivation theta v (depth - S s) i)\n      * sum",
        "1\n      * sum",
        "Gradient.v",
        "delta_hidden",
    ),
    "half the output error": ("Gradient.v", "  2 / INR", "  1 / INR", "Derivative.v", "backpropagation_is_derivative"),
    "V = 0 allowed": (
        "Risk.v",
        "lemma_4_better_network : 0 < between",
        "lemma_4_better_network : 0 <= between",
        "Risk.v",
        "lemma_4_better_network",
    ),
    "Adam with eps = 0": (
        "Rules.v",
        "adam_freezes lr a b eps : 0 < eps",
        "adam_freezes lr a b eps : 0 <= eps",
        "Rules.v",
        "adam_freezes",
    ),
}


@with_coq
@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_refused(fault: str, tmp_path: Path) -> None:
    file, old, new, last, broken = FAULTS[fault]
    for name in FILES:
        shutil.copy(FORMAL / name, tmp_path)
    assert read(file).count(old) == 1
    (tmp_path / file).write_text(read(file).replace(old, new), encoding="utf-8")
    assert first_failure(tmp_path, last) == broken


@with_coq
@pytest.mark.slow
def test_the_separate_checker_accepts_the_compiled_proofs(compiled: tuple[Path, str]) -> None:
    modules = [argument for name in FILES for argument in ("-norec", f"Nonconv.{name.removesuffix('.v')}")]
    command = ["coqchk", "-silent", "-o", "-Q", ".", "Nonconv", *modules]
    result = subprocess.run(command, cwd=compiled[0], capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    summary = result.stdout + result.stderr
    for relaxation in ("relying on type-in-type", "relying on unsafe (co)fixpoints", "whose positivity is assumed"):
        assert f"{relaxation}: <none>" in summary
    assert "Nonconv" not in summary.partition("* Axioms:")[2].partition("* Constants")[0]
