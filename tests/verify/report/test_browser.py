"""The page in headless Chromium: what a reader can do with it, on a desktop, on a phone, in the dark, on paper."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.verify.report.builders import figures_of, hostile, small, typical, with_refutations
from verify.report import html_report
from verify.report.rows import make_rows
from verify.results import Results

pytestmark = pytest.mark.slow
driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the extra `dev`)")
CHROMIUM = shutil.which("chromium")
if CHROMIUM is None:
    pytest.skip("chromium is not installed", allow_module_level=True)

PHONE, DESKTOP = {"width": 375, "height": 800}, {"width": 1180, "height": 800}
MADE: dict[str, Callable[[], Results]] = {
    "typical": typical,
    "hostile": hostile,
    "refuted": with_refutations,
    "with risks": small,
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with driver.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    found = {}
    for name, make in MADE.items():
        found[name] = folder / f"{name}.html"
        found[name].write_text(html_report(make(), figures_of(make())), encoding="utf-8")
    return found


@pytest.fixture
def show(browser: Any, files: dict[str, Path]) -> Iterator[Callable[..., Any]]:
    """Open a page; afterwards nothing but the page itself was asked for, and nothing was complained of."""
    contexts, asked, complaints = [], [], []

    def opening(name: str, **settings: Any) -> Any:
        context = browser.new_context(**{"viewport": DESKTOP, **settings})
        contexts.append(context)
        page = context.new_page()
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(files[name].as_uri())
        return page

    yield opening
    for context in contexts:
        context.close()
    assert {url for url in asked if not url.startswith("blob:")} <= {path.as_uri() for path in files.values()}
    assert len(asked) >= len(contexts)
    assert complaints == []


def verdicts(page: Any) -> list[str]:
    rows = page.locator("#verdict-table tbody tr:visible").all()
    return [row.get_attribute("data-verdict") for row in rows]


def cells(page: Any, column: int) -> list[str]:
    rows = page.locator("#verdict-table tbody tr:visible").all()
    return [row.locator("td").nth(column).inner_text() for row in rows]


@pytest.mark.parametrize("name", MADE)
def test_the_page_loads_itself_and_nothing_else(name: str, show: Callable[..., Any]) -> None:
    page = show(name)
    assert page.evaluate("performance.getEntriesByType('resource').length") == 0
    assert len(verdicts(page)) == len(make_rows(MADE[name]()))


def test_a_request_or_a_complaint_would_be_seen(browser: Any, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text('<img src="missing.png"><script>console.log("hm"); undefined.x</script>', encoding="utf-8")
    page, asked, complaints = browser.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(path.as_uri())
    page.close()
    assert len(asked) == 2
    assert len(complaints) >= 2


def test_the_table_sorts_by_mouse_and_by_keyboard(show: Callable[..., Any]) -> None:
    page = show("typical")
    head = page.locator("#verdict-table thead th", has_text="Proved")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert cells(page, 2)[0] == "1,64,1"
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert cells(page, 2)[0] == "1,31,1"
    page.locator("#verdict-table thead th", has_text="Verdict").locator("button").press("Space")
    assert verdicts(page) == sorted(verdicts(page))
    assert head.get_attribute("aria-sort") is None


def test_the_table_is_searched_and_filtered(show: Callable[..., Any]) -> None:
    page = show("typical")
    every = len(verdicts(page))
    page.select_option("#filter-verdict", "CONFIRMED")
    assert set(verdicts(page)) == {"CONFIRMED"}
    assert page.locator("#filter-count").inner_text() == f"{len(verdicts(page))} of {every} rows"
    page.locator("#filter-text").fill("t10 sgd")
    assert set(cells(page, 4)) == {"T10"}
    page.locator("#filter-text").fill("nothing like that")
    assert verdicts(page) == []
    page.locator("#filter-text").press("Escape")
    page.select_option("#filter-verdict", "")
    assert len(verdicts(page)) == every
    assert page.locator("#filter-text").input_value() == ""


def test_a_row_leads_to_its_case(show: Callable[..., Any]) -> None:
    page = show("typical")
    page.locator("#verdict-table tbody a").nth(1).press("Enter")
    opened = page.locator("details[open]")
    opened.first.wait_for()  # the page hears of the new address a moment later
    assert opened.count() == 1
    assert "1,31,1" in opened.locator("summary").inner_text()
    assert opened.locator(".told").is_visible()
    page.locator("#open-all").click()
    assert page.locator("details[open]").count() == page.locator("details").count()


def test_a_sentence_is_copied_with_its_source(show: Callable[..., Any]) -> None:
    page = show("typical", permissions=["clipboard-read", "clipboard-write"])
    page.locator("details summary").first.click()
    button = page.locator(".copy").first
    button.click()
    page.wait_for_function("document.querySelector('.copy').textContent !== 'Copy with source'")
    told = page.evaluate("navigator.clipboard.readText()")
    assert told.startswith("On nile with pytorch initialization")
    assert "seed 7" in told
    assert json.loads(told[told.rindex("] {") + 2 :])["theorem"] == "T3"


def test_the_data_are_saved_as_json(show: Callable[..., Any]) -> None:
    page = show("typical")
    with page.expect_download() as waiting:
        page.locator("#save-data").click()
    saved = json.loads(Path(waiting.value.path()).read_text(encoding="utf-8"))
    assert [row["verdict"] for row in saved["rows"]] == [row.verdict.value for row in make_rows(typical())]


def test_without_script_it_is_a_plain_table(show: Callable[..., Any]) -> None:
    page = show("typical", java_script_enabled=False)
    assert len(verdicts(page)) == len(make_rows(typical()))
    assert page.locator("#verdict-table button").count() == 0
    assert not page.locator(".tools").first.is_visible()
    page.locator("details summary").first.click()
    assert page.locator(".told").first.is_visible()
    assert not page.locator(".copy").first.is_visible()


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("width", [320, 375, 768, 1180])
def test_nothing_overflows(name: str, width: int, show: Callable[..., Any]) -> None:
    page = show(name, viewport={"width": width, "height": 800})
    page.locator("#open-all").click()
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") <= 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", MADE)
def test_axe_finds_nothing_serious(name: str, scheme: str, show: Callable[..., Any]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = show(name, color_scheme=scheme)
    page.locator("#open-all").click()
    found = axe.Axe().run(page).response["violations"]
    assert [(each["impact"], each["id"], each["nodes"][0]["html"][:200]) for each in found] == []


def test_axe_would_find_something(show: Callable[..., Any]) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    page = show("typical")
    page.evaluate("document.documentElement.style.setProperty('--soft', '#cccccc')")
    found = axe.Axe().run(page).response["violations"]
    assert ("serious", "color-contrast") in [(each["impact"], each["id"]) for each in found]


def brightness(page: Any, selector: str, name: str) -> float:
    color = page.evaluate(f"getComputedStyle(document.querySelector('{selector}')).{name}")
    return sum(map(int, re.findall(r"\d+", color)[:3])) / 765


def test_dark_pages_are_dark_and_their_figures_light(show: Callable[..., Any]) -> None:
    for scheme, dark in (("light", False), ("dark", True)):
        page = show("typical", color_scheme=scheme)
        assert (brightness(page, "body", "backgroundColor") < 0.2) is dark
        assert (brightness(page, "figure svg text", "fill") > 0.5) is dark


def test_on_paper_nothing_is_a_button_and_nothing_is_cut_off(show: Callable[..., Any]) -> None:
    page = show("typical", color_scheme="dark")
    page.emulate_media(media="print", color_scheme="light")
    assert not page.locator(".tools").first.is_visible()
    assert brightness(page, "body", "color") < 0.1
    assert page.evaluate("getComputedStyle(document.querySelector('.scroll.tall')).maxHeight") == "none"
    paper = page.pdf(prefer_css_page_size=True)
    assert paper.startswith(b"%PDF")
