"""Every command and program of the guides runs as written, in an empty folder, on the files that the page shows."""

from __future__ import annotations

import ast
import glob
import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from verify.cli import command, main

ROOT = Path(__file__).parent.parent
GUIDES = sorted((ROOT / "guides").glob("*.md"))
AUTHORS = ROOT / "verify" / "optimizers" / "README.md"
PAGES = [*(page for page in GUIDES if page.name != "README.md"), AUTHORS]
TAKE_LONG = {"practitioner", "researcher", "README"}
FENCE = re.compile(r"^```(?P<language>[a-z]+)(?: (?P<file>[\w./-]+))?\n(?P<text>.*?)^```$", re.DOTALL | re.MULTILINE)
STATUS = re.compile(r"#.*\bexit status (\d)")


def blocks(page: Path) -> Iterator[tuple[str, str | None, str]]:
    """Language, name of the file that it shows, if any, and text of each fenced block."""
    for found in FENCE.finditer(page.read_text(encoding="utf-8")):
        yield found["language"], found["file"], found["text"]


def run(line: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Run one line of a shell; a comment may state its exit status."""
    told = STATUS.search(line)
    expected = int(told[1]) if told else 0
    name, *rest = shlex.split(line, comments=True)
    words = [found for word in rest for found in (sorted(glob.glob(word)) if "*.json" in word else [word])]
    if name == "nonconv":
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == expected, (line, capfd.readouterr())
    else:
        assert name in ("python", "pytest"), line
        program = [sys.executable, *(["-m", "pytest", "-p", "no:cacheprovider"] if name == "pytest" else [])]
        assert subprocess.run([*program, *words]).returncode == expected, line


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] if page.stem in TAKE_LONG else []) for page in PAGES],
    ids=lambda page: page.stem,
)
def test_the_page_runs_as_written(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    if "checker.py" in page.read_text(encoding="utf-8"):
        shutil.copy(ROOT / "verify" / "certificate" / "checker.py", tmp_path)
    for number, (language, file, text) in enumerate(blocks(page)):
        if file is not None:
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).write_text(text, encoding="utf-8")
        elif language == "sh":
            for line in text.splitlines():
                run(line, capfd)
        elif language == "python":
            program = tmp_path / f"block{number}.py"
            program.write_text(text, encoding="utf-8")
            runpy.run_path(str(program))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_options_that_are_shown_exist(page: Path) -> None:
    lines = [line for language, file, text in blocks(page) if language == "sh" for line in text.splitlines()]
    assert lines
    for program, name, *rest in (shlex.split(line, comments=True) for line in lines):
        if program == "nonconv":
            known = {option for parameter in command.commands[name].params for option in parameter.opts}
            assert {word for word in rest if word.startswith("--")} <= known


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_list_has_every_guide() -> None:
    told = (ROOT / "guides" / "README.md").read_text(encoding="utf-8")
    assert [page.name for page in PAGES if page.name not in told] == []


def test_every_command_is_shown_somewhere() -> None:
    shown = "\n".join(path.read_text(encoding="utf-8") for path in [*GUIDES, ROOT / "README.md"])
    assert [name for name in command.commands if f"nonconv {name}" not in shown] == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("nonconv explain T33", AssertionError),
        ("nonconv explain T3   # exit status 1", AssertionError),
        ("rm -r data", AssertionError),
    ],
)
def test_a_command_that_fails_is_seen(line: str, fault: type[Exception], capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(fault):
        run(line, capfd)


# --- the notebook ------------------------------------------------------------------------------------------------


def shown_by(source: str, names: dict[str, object]) -> str:
    """Run a cell as a notebook does: the value of its last expression shows itself."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if last is None:
        return ""
    value = eval(compile(ast.Expression(last.value), "cell", "eval"), names)
    show = getattr(value, "_repr_html_", None)
    return repr(value) if show is None else show()


def test_the_notebook_runs_and_its_answers_show_themselves() -> None:
    notebook = json.loads((ROOT / "guides" / "notebook.ipynb").read_text(encoding="utf-8"))
    names: dict[str, object] = {"__name__": "__main__"}
    shown = [shown_by("".join(cell["source"]), names) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert sum(text.startswith("<pre") for text in shown) == 3
    assert "misses every global minimizer" in shown[1]
    assert shown[2].endswith("True)")
    assert "joint decay" in shown[4]
    assert shown[5] == "False"
    assert shown[-1] in ("True", "False")


def test_the_notebook_is_committed_without_outputs() -> None:
    notebook = json.loads((ROOT / "guides" / "notebook.ipynb").read_text(encoding="utf-8"))
    assert all(not cell["outputs"] for cell in notebook["cells"] if cell["cell_type"] == "code")
