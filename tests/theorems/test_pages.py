"""Links on the pages of `theorems/` lead to files and headings that exist, and no result is proved twice."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from theorems.catalogue import THEOREMS

ROOT = Path(__file__).resolve().parents[2]
PROOFS = ROOT / "theorems" / "proofs"
PAGES = [ROOT / "README.md", *sorted((ROOT / "theorems").rglob("*.md"))]


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ +(.+?) *$", text, re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Anchors as code hosts make them: lower case, punctuation dropped, blanks to hyphens, repetitions numbered."""
    found: set[str] = set()
    seen: Counter[str] = Counter()
    for heading in headings(text):
        plain = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.add(f"{plain}-{seen[plain]}" if seen[plain] else plain)
        seen[plain] += 1
    return found


def dead_links(page: Path) -> list[str]:
    """The links of a page whose file or heading does not exist."""
    dead = []
    for file, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)", page.read_text(encoding="utf-8")):
        target = page.parent / file if file else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text(encoding="utf-8"))):
            dead.append(f"{file}#{anchor}")
    return dead


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page: Path) -> None:
    assert dead_links(page) == []


def test_dead_links_are_found(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# One\n\n## T5 of\n\n## Lemma 7a'\n\n## One\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "# Here\n[a](other.md#one) [b](other.md#lemma-7a) [c](#here) [d](other.md) [e](other.md#one-1)\n"
        "[f](other.md#lemma-7a-1) [g](none.md) [h](#there) [i](other.md#one-2) [j](https://example.org/none.md#x)\n",
        encoding="utf-8",
    )
    assert dead_links(page) == ["other.md#lemma-7a-1", "none.md#", "#there", "other.md#one-2"]


def test_each_result_is_proved_on_one_page() -> None:
    """No lemma and no theorem has two sections."""
    sections = Counter(
        name
        for page in PROOFS.glob("*.md")
        for heading in headings(page.read_text(encoding="utf-8"))
        for name in re.findall(r"^(T\d+[a-z]?|Lemma \d+[a-d]?)\b", heading)
    )
    assert set(THEOREMS) <= set(sections)
    assert [name for name, number in sections.items() if number > 1] == []


def test_the_readme_links_the_page_that_the_library_cites() -> None:
    text = (ROOT / "theorems" / "README.md").read_text(encoding="utf-8")
    for name, theorem in THEOREMS.items():
        page = theorem.proof.partition("#")[0].removeprefix("theorems/")
        (row,) = re.findall(rf"^\| (?:T\d\w* [^|]*, )?{name} .*$", text, re.MULTILINE)
        assert f"({page})" in row, name


def test_the_table_of_pages_names_every_result() -> None:
    """A heading `T...` or `Lemma ...` of a page is linked from the row of that page."""
    text = (PROOFS / "README.md").read_text(encoding="utf-8")
    for page in PROOFS.glob("*.md"):
        for heading in headings(page.read_text(encoding="utf-8")):
            if page.name != "README.md" and re.match(r"(T\d|Lemma \d|Sharpness)", heading):
                (anchor,) = anchors(f"# {heading}")
                assert f"({page.name}#{anchor})" in text, heading
