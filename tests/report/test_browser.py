"""The report in a real browser: its tables sort, filter and turn their pages, by keys too; without scripts it is whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from browser_tools import WHOLE_SECONDS, launched
from needs import BROWSER, missing
from record_tools import SITE, made

from crawler.check.findings import Finding, Place
from crawler.models import PageFacts
from crawler.report.counts.aggregate import Aggregate
from crawler.report.counts.counting import line_of
from crawler.report.grid import WINDOW
from crawler.report.lines import Source
from crawler.report.page import page as drawn

try:
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import Browser, Locator, Page, expect
except ImportError as error:
    missing(f"{error.name} is not installed (pip install 'everyurl[test]')", BROWSER)

PAGES = 3 * WINDOW + 17
EVIL = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of a report on a site of some hundred pages, with links that were checked."""
    of = Aggregate()
    for number in range(PAGES):
        facts = PageFacts(h1=["H"], h1s=1, words=number % 50, links=["/0"], titles=1, canonical=EVIL, canonicals=1)
        of.add(line_of(msgspec.structs.replace(made(f"/{number}"), title=f"Page {number} {EVIL}", page=facts)))
    findings = [
        Finding(f"{SITE}/gone{n}", "broken", [Place(f"{SITE}/{p}", p + 1, 2, "a", "href", EVIL, EVIL) for p in range(n + 1)], "http_404", EVIL, 404)
        for n in range(WINDOW + 20)
    ]  # fmt: skip
    path = tmp_path_factory.mktemp("report") / "r.html"
    path.write_text(drawn(of, Source("a site"), now=0.0, findings=findings))
    return path.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=1_000 * WHOLE_SECONDS)
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, report: str) -> Iterator[Page]:
    """The report, in which nothing goes wrong, and which asks nobody."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append("alert"), dialog.dismiss()))
    page.on("request", lambda request: None if request.url.startswith("file:") else wrong.append(request.url))
    page.goto(report)
    yield page
    context.close()
    assert wrong == []


def table(page: Page, label: str) -> Locator:
    """A table with what steers it."""
    return page.locator(".grid").filter(has=page.get_by_role("group", name=label, exact=True))


def column(found: Locator, number: int) -> list[str]:
    return found.locator(f"tbody td:nth-child({number})").all_text_contents()


def test_windows(page):
    """The rows are shown by the hundred; the focus stays on the button, which says when there are no more."""
    pages = table(page, "Pages")
    expect(pages.get_by_role("status")).to_have_text(f"1 to {WINDOW} of {PAGES} rows")
    following = pages.get_by_role("button", name="Next rows: Pages")
    following.focus()
    for _ in range(5):
        page.keyboard.press("Enter")
    expect(pages.get_by_role("status")).to_have_text(f"{3 * WINDOW + 1} to {PAGES} of {PAGES} rows")
    expect(following).to_be_focused()
    expect(following).to_have_attribute("aria-disabled", "true")
    assert column(pages, 1)[-1] == f"{SITE}/{PAGES - 1}"
    pages.get_by_role("button", name="First rows: Pages").click()
    assert column(pages, 1)[0] == f"{SITE}/0"


def test_all_rows_are_sorted_and_filtered(page):
    """Not only those that are shown; numbers as such, and the table says how it is sorted."""
    pages = table(page, "Pages")
    words = pages.get_by_role("columnheader", name="words")
    words.get_by_role("button").focus()
    page.keyboard.press("Space")
    expect(words).to_have_attribute("aria-sort", "descending")
    assert column(pages, 7)[:7] == ["49"] * 6 + ["48"]
    page.keyboard.press("Space")
    expect(words).to_have_attribute("aria-sort", "ascending")
    assert column(pages, 7)[0] == "0"
    pages.get_by_role("searchbox").fill("/31 page")
    expect(pages.get_by_role("status")).to_have_text(f"8 rows, found among {PAGES}")
    assert min(column(pages, 1)) == f"{SITE}/31"
    pages.get_by_role("columnheader", name="URL").get_by_role("button").click()
    assert column(pages, 1)[:3] == [f"{SITE}/31", f"{SITE}/310", f"{SITE}/311"]
    pages.get_by_role("searchbox").fill("nothing like that")
    expect(pages.get_by_role("status")).to_have_text(f"0 rows, found among {PAGES}")


def test_every_page_that_has_a_broken_link(page):
    """Links in a later window have all of their places, as those of the first do."""
    links = table(page, "Broken links")
    places = links.get_by_role("columnheader", name="places")
    places.get_by_role("button").click()
    first = links.locator("tbody tr").first
    assert first.locator("td").nth(1).text_content() == f"{SITE}/gone{WINDOW + 19}"
    first.locator("summary").click()
    expect(first.locator("li")).to_have_count(WINDOW + 20)
    expect(first.locator("li").first).to_have_text(f"{SITE}/0 1:2 <a> {EVIL}")
    assert page.locator("img").count() == 0


def test_without_scripts(browser, report):
    """The first rows of each table are there, and words about the others."""
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report)
    pages = table(page, "Pages")
    expect(pages.locator("tbody tr")).to_have_count(WINDOW)
    expect(pages.locator(".note")).to_contain_text(f"The first {WINDOW} of {PAGES} rows")
    assert pages.locator("tbody tr").first.is_visible()
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_everybody_can_use_it(browser, report, scheme, width):
    """axe finds nothing in either colour, at any width, and nothing is wider than a phone."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.goto(report)
    found = Axe().run(page).response["violations"]
    assert [(rule["id"], [node["target"] for node in rule["nodes"]]) for rule in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_printed(page):
    """What steers is left out, and no table is cut where it would scroll."""
    page.emulate_media(media="print")
    expect(page.locator(".toolbar").first).to_be_hidden()
    expect(page.locator("nav")).to_be_hidden()
    assert page.locator(".scroll").first.evaluate("element => getComputedStyle(element).maxHeight") == "none"


def test_the_script_shows_as_many_as_the_page():
    """Both have a window of the same size."""
    script = Path(drawn.__code__.co_filename).with_name("page.js").read_text()
    assert f"const WINDOW = {WINDOW};" in script
