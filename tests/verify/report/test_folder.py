"""Reports in a folder: the same bytes each time, all formats, whole files, nothing stale, nothing foreign touched."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.verify.report.builders import figures_of, nothing_swept, small, some_results, untrained
from theorems.errors import InvalidInput
from verify.certificate.names import FOLDER, certificate_names
from verify.cli import main
from verify.output import OutputFolder, results_json, write_again
from verify.report import FORMATS, OWN_NAMES, PARTIAL, folder, parse_formats, write_reports
from verify.report.tables import TABLES
from verify.results import SCHEMA, Results


def files_in(place: Path) -> list[str]:
    return sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file())


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as leaving:
        main(list(arguments))
    assert isinstance(leaving.value.code, int)
    return leaving.value.code


def saved(results: Results, place: Path) -> Path:
    path = place / "results.json"
    path.write_text(results_json(results), encoding="utf-8")
    return path


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes seconds and is not what is looked at."""
    monkeypatch.setattr(folder, "draw_figures", lambda results: [])


FIGURES = [f"figures/{name}.{ending}" for name in ("headline", "map", "risks", "width") for ending in ("pdf", "svg")]
WRITTEN = {
    "html": [*FIGURES, "index.html"],
    "md": [*FIGURES, "report.md", "sharpness.md"],
    "csv": [f"tables/{name}.csv" for name in sorted(TABLES)],
    "latex": [*FIGURES, "references.bib", *(f"tables/{name}.tex" for name in sorted(TABLES))],
}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_writes_its_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "draw_figures", figures_of)
    write_reports(small(), tmp_path, (name,))
    assert files_in(tmp_path) == sorted(WRITTEN[name])
    assert {Path(file).parts[0] for file in files_in(tmp_path)} <= OWN_NAMES


def test_the_same_results_give_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_reports(untrained(), tmp_path / name)
    assert "figures/width.pdf" in files_in(tmp_path / "one") == files_in(tmp_path / "two")
    for file in files_in(tmp_path / "one"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_what_no_longer_applies_is_removed_and_the_rest_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "draw_figures", figures_of)
    write_reports(small(), tmp_path, ("html", "csv"))
    (tmp_path / "sharpness.csv").write_text("of an earlier version")
    (tmp_path / "figures" / "mine.svg").write_text("mine")
    (tmp_path / "tables" / "verdicts.tex").write_text("of another call")
    write_reports(nothing_swept(), tmp_path, ("html", "csv"))
    assert files_in(tmp_path / "figures") == ["mine.svg"]
    assert not (tmp_path / "sharpness.csv").exists()
    assert (tmp_path / "tables" / "verdicts.tex").read_text() == "of another call"


@pytest.mark.usefixtures("without_figures")
def test_a_failure_leaves_the_earlier_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_reports(small(), tmp_path, ("html", "md"))
    before = {file: (tmp_path / file).read_bytes() for file in files_in(tmp_path)}

    def fail(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "markdown_sharpness", fail)
    with pytest.raises(InvalidInput, match="cannot be written: No space left on device"):
        write_again(untrained(), tmp_path, ("html", "md"))
    assert {file: (tmp_path / file).read_bytes() for file in files_in(tmp_path)} == before


def test_a_full_disk_leaves_the_earlier_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_reports(small(), tmp_path, ("csv",))
    before = {file: (tmp_path / file).read_bytes() for file in files_in(tmp_path)}
    write, written = Path.write_bytes, []

    def fill(path: Path, content: bytes) -> int:
        written.append(path)
        if len(written) > 3:
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(InvalidInput, match="No space left"):
        write_again(untrained(), tmp_path, ("csv",))
    monkeypatch.undo()
    assert {file: (tmp_path / file).read_bytes() for file in files_in(tmp_path)} == before


def test_what_a_killed_process_leaves_does_not_make_a_folder_foreign(tmp_path: Path) -> None:
    saved(small(), tmp_path)
    (tmp_path / f"{PARTIAL}abc").mkdir()
    with OutputFolder(tmp_path).writing() as partial:
        (partial.path / "results.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InvalidInput, match=r"notes\.txt"), OutputFolder(tmp_path).writing():
        pass


@pytest.mark.usefixtures("without_figures")
def test_a_folder_in_the_way_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "index.html").mkdir()
    with pytest.raises(InvalidInput, match="cannot be written"):
        write_again(untrained(), tmp_path, ("html",))
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match="cannot be written"):
        write_again(untrained(), tmp_path / "file", ("csv",))


# --- the command ---------------------------------------------------------------------------------------------------


def test_formats_are_read_from_the_command_line() -> None:
    assert parse_formats("html, CSV,html,") == ("html", "csv")
    with pytest.raises(InvalidInput, match=r"--format='': expected some of html, md, csv, latex"):
        parse_formats("")
    with pytest.raises(InvalidInput, match="'tex' is no format; expected some of html, md, csv, latex"):
        parse_formats("html,tex")
    with pytest.raises(InvalidInput, match=r"did you mean 'html'\?"):
        parse_formats("htlm")


@pytest.mark.usefixtures("without_figures")
def test_report_writes_beside_the_results_or_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(some_results(), tmp_path)
    assert run("report", str(path), "--format", "csv") == 0
    assert capsys.readouterr().out == f"report: {tmp_path}\n"
    assert run("report", str(path), "--format", "html", "--out", str(tmp_path / "elsewhere")) == 0
    assert files_in(tmp_path / "elsewhere") == ["index.html"]
    page = (tmp_path / "elsewhere" / "index.html").read_text(encoding="utf-8")
    assert "Nothing was compared." in page
    assert "The audit has no cases: nothing was asked." in page


def test_bad_input_is_one_sentence_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(some_results(), tmp_path)
    assert run("report", str(path), "--format", "pdf") == 2
    newer = SCHEMA.replace("/", "/9")
    path.write_text(path.read_text().replace(SCHEMA, newer))
    assert run("report", str(path)) == 2
    assert run("report", str(tmp_path / "absent.json")) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 3
    assert all(line.startswith("nonconv: ") for line in told)
    assert f"have schema {newer!r}; expected {SCHEMA!r}: a newer nonconv wrote them" in told[1]
    assert files_in(tmp_path) == ["results.json"]


# --- certificates --------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("without_figures")
def test_certificates_that_are_there_are_linked_and_missing_ones_are_told(tmp_path: Path) -> None:
    results = small()
    names = sorted(set(certificate_names(results).values()))
    write_reports(results, tmp_path, ("md",))
    assert "No certificates lie beside this report" in (tmp_path / "report.md").read_text(encoding="utf-8")
    (tmp_path / FOLDER).mkdir()
    for present in (1, 2):
        (tmp_path / FOLDER / names[present - 1]).write_text("{}")
        write_reports(results, tmp_path, ("md",))
        text = (tmp_path / "report.md").read_text(encoding="utf-8")
        assert [f"({FOLDER}/{name})" in text for name in names] == [True, present == 2]
        assert ("1 of 2 comparisons have no certificate" in text) is (present == 1)


@pytest.mark.usefixtures("without_figures")
def test_results_without_revision_say_so(tmp_path: Path) -> None:
    results = small()
    known = msgspec.structs.replace(results, environment={"git_revision": "abc"})
    for each, expected in ((results, True), (known, False)):
        write_reports(each, tmp_path, ("md",))
        assert ("do not say which revision" in (tmp_path / "report.md").read_text(encoding="utf-8")) is expected
