"""The live page in a real browser: what it shows of a run, what its controls do to it, and whom it keeps out."""

from __future__ import annotations

import json
import os
import re
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from browser_tools import WHOLE_SECONDS, LiveRun, SlowSite, eventually, launched, live_run, slow_site
from needs import BROWSER, missing
from redis_server import another_crawl, shared_server

from crawler.frontier.shared.about import About
from crawler.frontier.shared.redis import RedisStore

try:
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import Browser, Page, WebSocket, expect
except ImportError as error:
    missing(f"{error.name} is not installed (pip install 'everyurl[test]')", BROWSER)

SLOWLY = ("-c", "4", "--per-host", "64", "--no-adaptive")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=1_000 * WHOLE_SECONDS)
    with launched() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page in a context of its own, in which nothing goes wrong."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(1_000 * WHOLE_SECONDS)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("dialog", lambda dialog: (wrong.append(f"alert: {dialog.message}"), dialog.dismiss()))
    yield page
    context.close()
    assert wrong == []


@pytest.fixture
def site() -> Iterator[SlowSite]:
    with slow_site() as site:
        yield site


@pytest.fixture
def run(tmp_path: Path, site: SlowSite) -> Iterator[LiveRun]:
    """A run that goes on longer than any test."""
    with live_run(tmp_path, site.urls(20_000), *SLOWLY) as run:
        yield run


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveRun]:
    """The run of those tests that change nothing: it has answers, errors and hosts, and stands still."""
    options = ("-c", "1", "--no-adaptive", "--retries", "0", "--timeout", "1h", "--headers-timeout", "1h")
    with slow_site() as site:
        urls = [*site.urls(10), "http://127.0.0.1:9/", site.url("held")]
        with live_run(tmp_path_factory.mktemp("lasting"), urls, *options) as run:
            eventually(lambda: any(asked.target == "/held" for asked in site.log))
            for n in range(15):  # more than the table shows at once
                post(run, "add", {"url": f"http://host{n}.example/"})
            yield run


def post(run: LiveRun, verb: str, fields: dict[str, object]) -> dict[str, object]:
    """Ask the JSON API, as a script would."""
    head = {"Authorization": f"Bearer {run.token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{run.origin}/api/{verb}", json.dumps(fields).encode(), head)
    with urllib.request.urlopen(request, timeout=WHOLE_SECONDS) as response:
        return json.load(response)


def watch(page: Page, run: LiveRun) -> WebSocket:
    """Open the page of a run; its WebSocket."""
    with page.expect_websocket() as opened:
        page.goto(run.address)
    expect(page.locator("#state")).to_have_text("Running")
    return opened.value


def number(page: Page, selector: str) -> int:
    return int(page.locator(selector).inner_text().replace(",", "").split(maxsplit=1)[0])


def frames(socket: WebSocket, count: int) -> None:
    """Wait until the page has heard of the run so many times more."""
    for _ in range(count):
        socket.wait_for_event("framereceived", lambda message: message.startswith('{"type":"frame"'))


# What it shows


def test_it_follows_the_run(page: Page, run: LiveRun) -> None:
    """Counts, plots and lists move as the run goes, and the page asks nobody but the run for anything."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    watch(page, run)
    done = number(page, "#done")
    eventually(lambda: number(page, "#done") > done + 50)
    expect(page.locator("#title")).to_have_text("urls.txt")
    expect(page.locator("#statuses")).to_contain_text("404")
    expect(page.locator("#hosts tr")).to_have_count(1)
    expect(page.locator("figcaption b").first).to_contain_text("/s")
    first = page.locator("#records li").first.inner_text()
    eventually(lambda: page.locator("#records li").first.inner_text() != first)
    assert page.locator("#records li").count() <= 200
    assert all(url.startswith((f"{run.origin}/", "data:image/")) for url in asked)


def test_the_token_does_not_stay_in_the_address(page: Page, lasting: LiveRun) -> None:
    """The token leaves the address bar at once, and a reload still knows it."""
    watch(page, lasting)
    assert page.url == f"{lasting.origin}/"
    page.reload()
    expect(page.locator("#state")).to_have_text("Running")


def test_the_end(page: Page, tmp_path: Path, site: SlowSite) -> None:
    """A run that is over says so and takes no more orders; its last numbers stay."""
    with live_run(tmp_path, [*site.urls(5), site.url("held")], *SLOWLY) as run:
        watch(page, run)
        site.released.set()
        expect(page.locator("#state")).to_have_text("Over")
        expect(page.locator("#done")).to_have_text("6 of 6 done (100 %)")
        expect(page.locator("#pause")).to_be_disabled()
        expect(page.locator("#outputs button")).to_be_disabled()
        page.locator("[data-of=class]").first.click()
        expect(page.get_by_role("dialog")).to_contain_text("the run is over")
        assert run.process.wait(WHOLE_SECONDS) == 0
        expect(page.locator("#state")).to_have_text("Over")


def test_a_run_that_is_killed(page: Page, run: LiveRun) -> None:
    """A run that no longer answers is shown as lost, not as over."""
    watch(page, run)
    run.process.kill()
    expect(page.locator("#state")).to_have_text("Connection lost")
    expect(page.locator("#stop")).to_be_disabled()


def test_what_a_site_says_stays_text(page: Page, tmp_path: Path) -> None:
    """Markup in titles, hosts and URLs is shown as it is written, and only http leads anywhere."""
    title, host = "<script>alert(1)</script>", "http://<img src=x onerror=alert(2)>/"
    path = "<img src=x onerror=alert(3)>"
    with slow_site("&lt;script>alert(1)&lt;/script>", links=["/1", "/2"]) as site:
        urls = [site.url(), host, "javascript:alert(4)", site.url(path), site.url("held")]
        with live_run(tmp_path, urls, "-r", "-c", "2", "--max-pages", "40") as run:
            watch(page, run)
            records = page.locator("#records")
            for text in (title, host, "javascript:alert(4)"):
                expect(records.get_by_text(text).first).to_be_visible()
            expect(page.locator("#failures, #errors").get_by_text("<img").first).to_be_attached()
            assert page.locator("main img, main script, a[href^=javascript]").count() == 0
            relations = page.locator("#records a").evaluate_all("links => links.map(link => link.rel)")
            assert set(relations) == {"noreferrer noopener"}


def test_ten_thousand_hosts(page: Page, tmp_path: Path) -> None:
    """The page holds a hundred rows at most, whatever there is, and a click is answered within some frames."""
    links = [f"http://host{n}.example/" for n in range(10_000)]
    options = ("-r", "--scope", "any")
    with slow_site(links=links) as site, live_run(tmp_path, [site.url("held")], *options) as run:
        watch(page, run)
        page.get_by_role("button", name="Pause").click()
        expect(page.locator("#state")).to_have_text("Paused")
        site.released.set()  # the links are found now, and no host of theirs is asked for anything
        expect(page.locator("#shown")).to_have_text("1\u2013100 of 10,001")
        taken = page.evaluate(
            """() => new Promise((fulfil) => {
              let frames = 0;
              const look = () => {
                const first = document.querySelector('#hosts td').textContent;
                if (first === 'host9999.example:80' || frames > 600) fulfil(frames);
                else requestAnimationFrame(look), frames += 1;
              };
              document.querySelector('[data-sort=host]').click();
              document.querySelector('[data-sort=host]').click();
              look();
            })"""
        )
        assert taken < 300
        page.get_by_role("button", name="Next hosts").click()
        expect(page.locator("#shown")).to_have_text("101\u2013200 of 10,001")
        page.get_by_label("Filter").fill("host77")
        expect(page.locator("#shown")).to_have_text("1\u2013100 of 111 found among 10,001")
        assert page.locator("#hosts tr").count() == 100
        assert page.evaluate("document.querySelectorAll('*').length") < 3_000


# What is behind its numbers


def test_a_status_opens_what_is_behind_it(page: Page, run: LiveRun) -> None:
    """Its newest URLs with their status, and those that come while it is open; Escape leads back to where one was."""
    watch(page, run)
    opener = page.locator("[data-of=status][data-key='404']")
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog", name="Status 404")
    expect(dialog.locator("li").first).to_contain_text("404")
    expect(dialog.locator("li a").first).to_have_attribute("href", re.compile(r"/\d*7$"))
    expect(dialog.locator(".about")).to_contain_text("until the first byte")
    first = dialog.locator("li").first.inner_text()
    eventually(lambda: dialog.locator("li").first.inner_text() != first)
    urls = dialog.locator("li > a").evaluate_all("links => links.map(link => link.href)")
    assert len(urls) == len(set(urls)) > 1
    page.keyboard.press("Escape")
    expect(page.locator("#drill")).to_be_hidden()
    expect(opener).to_be_focused()


@pytest.mark.parametrize(
    ("opener", "name", "text"),
    [
        ("[data-of=class][data-key='4']", "Statuses 4xx", "404"),
        ("[data-of=code][data-key=connect_refused]", "connect_refused", "http://127.0.0.1:9/"),
        ("[data-of=outcome][data-key=http_error]", "Answers from 400", "urls.txt:8"),
        ("[data-of=outcome][data-key=skipped]", "Skipped", "--skipped"),
        ("#hosts [data-of=host]", "127.0.0.1", "waits"),
    ],
)
def test_every_number_opens(page: Page, lasting: LiveRun, opener: str, name: str, text: str) -> None:
    """Classes, errors, outcomes and hosts; what has no record says so."""
    watch(page, lasting)
    page.get_by_label("Filter").fill("127.0.0.1:")
    page.locator("[data-sort=failed]").click()
    page.locator(opener).first.click()
    dialog = page.get_by_role("dialog", name=name)
    expect(dialog).to_contain_text(text)
    dialog.get_by_role("button", name="Close").click()
    expect(dialog).to_be_hidden()


def test_answers_from_400_have_a_list(page: Page, lasting: LiveRun) -> None:
    """With what asked for them; the failures are in their own."""
    watch(page, lasting)
    expect(page.locator("#http-errors li")).to_have_count(1)
    expect(page.locator("#http-errors li")).to_contain_text("from urls.txt:8")
    expect(page.locator("#failures li").first).to_contain_text("connect_refused")
    expect(page.locator("#time")).to_contain_text("The newest")
    expect(page.locator("#bottleneck")).to_contain_text(re.compile("^The network: the only slot is busy"))


def test_the_story_of_a_url(page: Page, tmp_path: Path) -> None:
    """Found by the form or by a click on how it ended: where it is, what decides, its records, and what the job kept."""
    options = ("-r", "--job", "site", "--delay", "0.1s", "--max-pages", "4")
    with slow_site(links=["/1", "/7", "/held"]) as site, live_run(tmp_path, [site.url()], *options) as run:
        watch(page, run)
        expect(page.locator("#http-errors")).to_contain_text("404")
        page.locator("#http-errors [data-why]").click()
        dialog = page.get_by_role("dialog", name=site.url(7))
        expect(dialog).to_contain_text("it has ended")
        expect(dialog).to_contain_text("inside --scope host: 127.0.0.1")
        expect(dialog).to_contain_text(f"from {site.url()}")
        expect(dialog.get_by_role("heading", name="Its newest records")).to_be_visible()
        page.keyboard.press("Escape")
        page.get_by_label("Its story").fill(site.url())
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog", name=site.url())
        expect(dialog.get_by_role("heading", name="In the job")).to_be_visible()
        expect(dialog).to_contain_text("urls.txt:1")
        expect(dialog).to_contain_text("try 1")
        assert violations(page) == []
        page.keyboard.press("Escape")
        eventually(lambda: any(asked.target == "/held" for asked in site.log))
        page.get_by_label("Its story").fill(site.url("held"))
        page.get_by_role("button", name="Find").click()
        expect(page.get_by_role("dialog", name=site.url("held"))).to_contain_text("in flight (try 1)")
        page.keyboard.press("Escape")
        page.get_by_label("Its story").fill("javascript:<img src=x onerror=alert(1)>")
        page.keyboard.press("Enter")
        expect(page.get_by_role("dialog")).to_contain_text("it is no URL that could be fetched")
        assert page.locator("dialog img, a[href^=javascript]").count() == 0


def test_files_report_and_options(page: Page, tmp_path: Path, site: SlowSite) -> None:
    """Outputs grow and are downloaded, a report of them opens apart, options show no secrets."""
    options = ("--per-host", "64", "-c", "4", "-u", "me:hunter2", "-H", "X-Token: hunter2")
    with live_run(tmp_path, site.urls(20_000), *options) as run:
        watch(page, run)
        row = page.locator("#outputs tr", has_text="out.jsonl")
        expect(row).to_contain_text("kB")
        before = row.inner_text()
        eventually(lambda: row.inner_text() != before)
        with page.expect_download() as downloading:
            row.get_by_role("button", name="Download out.jsonl").click()
        lines = Path(downloading.value.path()).read_text().splitlines()
        assert {json.loads(line)["outcome"] for line in lines[:-1]} == {"ok"}
        assert downloading.value.suggested_filename == "out.jsonl"
        with page.expect_popup() as opening:
            page.get_by_role("button", name="Report so far").click()
        report = opening.value
        report.wait_for_url("**/report?*")
        expect(report.locator("h1")).to_contain_text("out.jsonl")
        assert report.evaluate("self.origin") == "null"
        assert report.evaluate("window.opener === null")
        page.locator("summary", has_text="Options").click()
        expect(page.locator("#options")).to_contain_text("--per-host")
        expect(page.locator("#options")).to_contain_text("***")
        assert "hunter2" not in page.content()
        assert violations(page) == []


# What it does


def test_pause_and_resume(page: Page, run: LiveRun, site: SlowSite) -> None:
    """A paused run asks for nothing, once what was in flight has ended; then it goes on."""
    socket = watch(page, run)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#state")).to_have_text("Paused")
    expect(page.locator("[data-value=flight]")).to_have_text("0")
    asked = len(site.log)
    frames(socket, 2)
    assert len(site.log) == asked
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#state")).to_have_text("Running")
    site.next(20)


def test_concurrency(page: Page, run: LiveRun, site: SlowSite) -> None:
    """The slider and the number beside it set how many URLs are fetched at once."""
    watch(page, run)
    page.locator("[data-slider=concurrency]").fill("2")
    expect(page.locator("[data-note=flight]")).to_have_text("of 2")
    assert {asked.at_once for asked in site.next(30, skip=4)} <= {1, 2}
    page.get_by_label("URLs at once", exact=True).fill("12")
    page.keyboard.press("Enter")
    expect(page.locator("[data-note=flight]")).to_have_text("of 12")
    eventually(lambda: max(asked.at_once for asked in site.next(24)) == 12)
    expect(page.locator("[data-slider=concurrency]")).to_have_value("12")


def test_per_host_and_delay(page: Page, run: LiveRun, site: SlowSite) -> None:
    """The sliders of one host bind: one request at a time, and so far apart."""
    watch(page, run)
    page.locator("[data-slider=per-host]").fill("1")
    expect(page.locator("#hosts")).to_contain_text("of 1")
    assert {asked.at_once for asked in site.next(20, skip=4)} == {1}
    page.locator("[data-slider=delay]").fill("0.2")
    expect(page.locator("#hosts")).to_contain_text("200 ms")
    starts = [asked.at for asked in site.next(5, skip=1)]
    assert min(later - earlier for earlier, later in pairwise(starts)) > 0.15


def test_what_another_one_changed(page: Page, run: LiveRun) -> None:
    """A setting that was changed elsewhere shows its new value here."""
    watch(page, run)
    post(run, "concurrency", {"value": 9})
    expect(page.locator("#concurrency")).to_have_value("9")
    expect(page.locator("[data-slider=concurrency]")).to_have_value("9")


def test_an_impossible_number(page: Page, lasting: LiveRun) -> None:
    """A number that cannot be is not sent, and is given up when the box is left."""
    socket = watch(page, lasting)
    page.locator("#per-host").fill("0")
    page.keyboard.press("Enter")
    frames(socket, 2)  # the first of them is drawn
    expect(page.locator("#per-host")).to_have_value("0")
    page.locator("#per-host").blur()
    expect(page.locator("#per-host")).to_have_value("8")


def test_add(page: Page, tmp_path: Path, site: SlowSite) -> None:
    """A URL that is added is fetched; why another one cannot be is said in a sentence."""
    with live_run(tmp_path, [site.url("held")], *SLOWLY) as run:
        watch(page, run)
        box = page.get_by_label("One more URL")
        box.fill("nonsense")
        box.press("Enter")
        expect(page.locator("#notice.error")).to_contain_text("nonsense")
        expect(box).to_have_value("nonsense")
        box.fill(site.url("added"))
        page.get_by_role("button", name="Add").click()
        expect(page.locator("#notice")).to_have_text(f"{site.url('added')} is added")
        expect(box).to_have_value("")
        eventually(lambda: [asked.target for asked in site.log] == ["/held", "/added"])
        expect(page.locator("#records")).to_contain_text(site.url("added"))


def test_drop(page: Page, tmp_path: Path, site: SlowSite) -> None:
    """A host is dropped after it was confirmed, by its name; then it is asked for nothing, and others are."""
    with slow_site() as other:
        urls = [url for pair in zip(site.urls(9_000), other.urls(9_000), strict=True) for url in pair]
        with live_run(tmp_path, urls, *SLOWLY) as run:
            watch(page, run)
            page.locator("[data-sort=host]").click()  # by what is queued they would change places
            expect(page.locator("#hosts tr").first).to_contain_text(min(site.authority, other.authority))
            page.get_by_role("button", name=f"Drop {other.authority}").click()
            dialog = page.get_by_role("dialog")
            expect(dialog).to_contain_text(other.authority)
            dialog.get_by_role("button", name="Cancel").click()
            other.next(5)
            page.get_by_role("button", name=f"Drop {other.authority}").click()
            dialog.get_by_role("button", name="Drop").click()
            expect(page.locator("#notice")).to_have_text(f"{other.authority} is dropped")
            site.next(20)  # what was in flight has ended by then
            asked = len(other.log)
            site.next(20)
            assert len(other.log) == asked


def test_stop(page: Page, run: LiveRun, site: SlowSite) -> None:
    """The run is stopped after it was confirmed, and not by Escape."""
    watch(page, run)
    page.get_by_role("button", name="Stop").click()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    site.next(10)
    page.get_by_role("button", name="Stop").click()
    page.get_by_role("dialog").get_by_role("button", name="Stop").click()
    expect(page.locator("#state")).to_have_text("Over")
    assert run.process.wait(WHOLE_SECONDS) == 0


def test_workers(page: Page, site: SlowSite, tmp_path: Path) -> None:
    """Where there are some each has its row: what it does, and how many were there before it."""
    with live_run(tmp_path, site.urls(20_000), *SLOWLY, "--procs", "2") as run:
        watch(page, run)
        rows = page.locator("#workers tr")
        expect(rows).to_have_count(2)
        expect(rows.first.locator("td")).to_have_count(8)
        expect(rows.first).to_contain_text(re.compile("fetches|waits"))
        process = rows.first.locator("td").nth(2)
        expect(process).to_have_text(re.compile("[0-9]+"))
        os.kill(int(process.inner_text()), signal.SIGKILL)
        expect(rows.first.locator("td").last).to_have_text("1")


def test_no_workers(page: Page, lasting: LiveRun) -> None:
    watch(page, lasting)
    expect(page.locator("#workers-section")).to_be_hidden()


def test_the_crawl_of_all_nodes(page: Page, site: SlowSite, tmp_path: Path) -> None:
    """Where the run is a node: the books of all, and a row for each node. What others call themselves is text."""
    server, crawl = shared_server(), another_crawl()
    hostile = "<img src=x onerror=alert(1)>" + "x" * 60
    with closing(RedisStore(server.url, crawl)) as store:
        options = ("-r", "--scope", "any", "--frontier", server.url, "--crawl-id", crawl, "--delay", "0.05")
        with live_run(tmp_path, site.urls(500), *SLOWLY, *options, output="parts/") as run:
            watch(page, run)
            rows = page.locator("#nodes tr")
            expect(rows).to_have_count(1)
            expect(rows.first.locator("td").first).to_contain_text("(this one)")
            expect(rows.first.locator("td").nth(1)).to_have_text("at work")
            expect(page.locator("[data-value=crawl-arrived]")).to_have_text("500")
            ok = number(page, "[data-value=crawl-ok]")
            eventually(lambda: number(page, "[data-value=crawl-ok]") > ok)
            store.join(hostile, About(name=hostile, ok=40, failed=2, rate=7.0, machine="<b>m</b>").encoded(), 1_000.0)
            store.join("lost", About(name="lost").encoded(), 0.001)
            expect(rows).to_have_count(3)
            expect(page.locator("#nodes tr", has_text=hostile)).to_contain_text("<b>m</b>")
            expect(page.locator("#nodes tr", has_text="lost")).to_contain_text("gone for")
            expect(page.locator("[data-note=crawl-rate]")).to_have_text("by 2 nodes, 1 gone")
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                for width in (1280, 390):
                    page.set_viewport_size({"width": width, "height": 850})
                    assert page.evaluate("document.documentElement.scrollWidth") <= width
                    page.locator("#crawl-section").screenshot(path=tmp_path / f"crawl-{scheme}-{width}.png")
                    assert violations(page) == []
    assert not page.locator("#nodes img").count()


def test_no_crawl_of_several_nodes(page: Page, lasting: LiveRun) -> None:
    watch(page, lasting)
    expect(page.locator("#crawl-section")).to_be_hidden()


def test_keyboard(page: Page, lasting: LiveRun) -> None:
    """All controls are reached by Tab, in the order in which they are seen, and pressed by Space and Enter."""
    watch(page, lasting)
    expect(page.locator("#hosts tr").first).to_be_visible()
    name = "document.activeElement.id || Object.values(document.activeElement.dataset)[0] || document.activeElement.ariaLabel"
    reached = []
    for _ in range(56):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(name))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none", reached
        if reached[-1] == "binding":
            page.keyboard.press("Space")
    ours = [one for one in reached if one]
    tiles = 4 * ["outcome"]
    top = ["pause", "stop", *tiles, "concurrency", "concurrency", "per-host", "per-host", "delay", "delay", "url"]
    assert ours[: len(top)] == top
    assert {
        "match",
        "host",
        "queued",
        "in_flight",
        "delay",
        "binding",
        "done",
        "http_errors",
        "failed",
        "robots",
    } <= set(ours)
    assert any(one.startswith("Drop ") for one in ours)
    expect(page.locator("th:has([data-sort=binding])")).to_have_attribute("aria-sort", "ascending")
    expect(page.locator("th[aria-sort]")).to_have_count(1)


# Whom it keeps out


SOCKET = """(address) => new Promise((fulfil) => {
  const socket = new WebSocket(address);
  socket.onopen = () => fulfil('open');
  socket.onclose = () => fulfil('refused');
})"""

FETCH = """([address, token]) => fetch(address, {headers: {Authorization: 'Bearer ' + token}}).then(
  (response) => String(response.status), () => 'refused')"""


def test_another_page_is_refused(page: Page, lasting: LiveRun, site: SlowSite) -> None:
    """A page of another origin gets neither a WebSocket nor an answer, whatever it knows; the run's own gets both."""
    address = f"{lasting.origin.replace('http', 'ws')}/ws?ticket="
    status = f"{lasting.origin}/api/status"
    page.goto(site.url())
    assert page.evaluate(SOCKET, f"{address}{post(lasting, 'ticket', {})['ticket']}") == "refused"
    assert page.evaluate(FETCH, [status, lasting.token]) == "refused"
    page.goto(f"{lasting.origin}/style.css")
    assert page.evaluate(SOCKET, f"{address}{post(lasting, 'ticket', {})['ticket']}") == "open"
    assert page.evaluate(FETCH, [status, lasting.token]) == "200"
    assert page.evaluate(SOCKET, f"{address}guessed") == "refused"


def test_a_wrong_token(page: Page, lasting: LiveRun) -> None:
    """Who does not know the token learns nothing about the run but that it is not allowed."""
    page.goto(f"{lasting.origin}/#wrong")
    expect(page.locator("#state")).to_have_text("Not allowed")
    expect(page.locator("#notice")).to_contain_text("open the address that the run shows")
    expect(page.locator("#title")).to_have_text("crawler")
    expect(page.locator("#pause")).to_be_disabled()


# How it looks


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_looks(page: Page, lasting: LiveRun, tmp_path: Path, scheme: str) -> None:
    """Nothing is wider than the screen, and axe finds nothing: in the light and the dark, on desks and phones."""
    page.emulate_media(color_scheme=scheme)
    watch(page, lasting)
    expect(page.locator("#hosts tr").first).to_be_visible()
    page.locator("#errors summary").first.click()
    page.locator("summary", has_text="Options").click()
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 850})
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=tmp_path / f"{scheme}-{width}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert violations(page) == []
        page.locator("[data-of=outcome][data-key=failed]").click()
        expect(page.locator("#drilled li").first).to_be_visible()
        page.screenshot(path=tmp_path / f"{scheme}-{width}-drill.png")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert violations(page) == []
        page.keyboard.press("Escape")
    page.get_by_role("button", name="Stop").click()
    page.screenshot(path=tmp_path / f"{scheme}-stop.png")
    assert violations(page) == []


def violations(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    return [f"{violation['id']}: {node['html']}" for violation in found for node in violation["nodes"]]
