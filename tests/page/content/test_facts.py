"""crawler.page.content.facts: what a page says of itself, however it is written, in linear time."""

from __future__ import annotations

import time
from contextlib import closing

import msgspec
import pytest
from crawl_world import ROOT, World, page, urlset

from crawler.config.config import Config
from crawler.job.history.previous import Previous
from crawler.models import Input, PageFacts, Request, Response, Timings
from crawler.page.content.facts import HEADINGS, LONGEST
from crawler.page.discovery import Answered, LinkRules, discover
from crawler.page.links import Costly
from crawler.urls import parse

RULES = LinkRules(frozenset({"a"}), nofollow=False, agent="crawler", facts=True)
URL = parse("https://a.example/docs/page.html?x=1")


def facts(body: str | bytes, media: str = "text/html", **headers: list[str]) -> PageFacts:
    page = body if isinstance(body, bytes) else body.encode()
    named = {name.replace("_", "-"): values for name, values in headers.items()}
    found = discover(Answered(URL, page, {"content-type": [media], **named}), RULES).page
    assert found is not None
    return found


def test_a_page():
    """Each part is where a page has it."""
    found = facts(
        "<!doctype html><html lang=en><head><title>Title</title><title>Another</title>"
        "<meta name=Description content=' All &amp; \n more '><meta name=description content=second>"
        "<meta name=robots content='noindex, Follow'><link rel='alternate CANONICAL' href='../x?y=1#top'>"
        "<style>p { words: none }</style><script>var no = '<h1>no</h1>'</script></head>"
        "<body><h1 class=a>The <b>He</b>ad<br>ing &eacute;</h1><p>Don't send e-mail: 3 words.</p><!-- none <h1>no</h1> -->"
        "<template><h1>no</h1></template><svg><title>no</title><text>no</text></svg><h1>Second</h1>"
        "<a href='/a#b'>one</a><a href=/a>two</a><a href=sub/b.html>three</a><a href=//b.example/c?d>four</a></body>"
    )
    assert found == PageFacts(
        titles=2,
        h1s=2,
        h1=["The Head ing \xe9", "Second"],
        descriptions=2,
        description="All & more",
        canonicals=1,
        canonical="https://a.example/x?y=1",
        robots=["follow", "noindex"],
        words=4 + 5 + 1 + 1,  # the links are one word: nothing parts them
        links=["/a", "/docs/sub/b.html", "https://b.example/c?d"],
    )


def test_headers_say_it_too():
    """Link and X-Robots-Tag count as what the page says; the same canonical twice is one."""
    found = facts(
        "<link rel=canonical href=/b><base href=/c/>",
        link=["</b>; rel=canonical, </d>; rel=next", "<https://b.example/>; rel=canonical"],
        x_robots_tag=["noindex", "other: nofollow"],
    )
    assert (found.canonical, found.canonicals) == ("https://a.example/b", 2)
    assert found.robots == ["noindex"]


@pytest.mark.parametrize(
    ("words", "number"),
    [
        ("", 0),
        ("one two-three don\u2019t 4.5", 4),
        ("\u4f60\u597d world", 3),
        ("a<p>b<i>c</i></p>d", 3),
        ("&nbsp; &mdash; &lt;b&gt;", 1),
        ("<p>x<script>y</script>z", 2),
        ("<h1>never closed", 2),
        ("<textarea>not <b>this", 0),
        ("a <!-- b", 1),
    ],
)
def test_words(words, number):
    """Runs of letters and digits that people see; characters of Chinese are words."""
    assert facts(f"<body>{words}").words == number


def test_charsets():
    """Text is told in the page's charset."""
    assert facts("<h1>\u0416</h1>".encode("windows-1251"), "text/html; charset=windows-1251").h1 == ["\u0416"]
    assert facts("<html><body><h1>\u0416</h1>".encode("utf-16"), "text/html").h1 == ["\u0416"]


def test_xhtml():
    """What ends in itself holds nothing."""
    page = "<html xmlns='http://www.w3.org/1999/xhtml'><script src='x'/><h1>Here</h1></html>"
    assert facts(page, "application/xhtml+xml").h1 == ["Here"]


def test_a_sitemap():
    """Of it the links are told."""
    body = "<urlset><url><loc>https://a.example/x</loc></url><url><loc>https://b.example/</loc></url></urlset>"
    assert facts(body, "application/xml") == PageFacts(links=["/x", "https://b.example/"], is_sitemap=True)


def test_bounded():
    """Of thousands of headings and of one without end a part is kept, and all are counted."""
    found = facts("<h1>x</h1>" * 2_000 + "<meta name=description content='" + "y" * 9_999 + "'>")
    assert (found.h1s, len(found.h1), len(found.description or "")) == (2_000, HEADINGS, 1_000)
    assert len(facts("<h1>" + "long " * 10_000).h1[0]) == LONGEST


@pytest.mark.parametrize(
    "part",
    [
        "<h1>",
        "<meta name=description content=x>",
        "<script>",
        "<a href='",
        "<!--",
        "<svg><",
        "&amp",
        "<b title=",
        "\u4f60",
    ],
)
def test_linear(part):
    """Twice as much takes no more than some three times as long, and a megabyte less than two seconds."""
    spent = []
    for size in (400_000, 800_000):
        page = part * (size // len(part))
        begun = time.process_time()
        facts(page)
        spent.append(time.process_time() - begun)
    assert spent[1] < max(3.5 * spent[0], 0.2)
    assert spent[1] < 4.0


def test_a_trial_ends():
    """What takes long is left to another process."""
    page = b"<title>x</title>" + b"<meta name=x>" * 3_000
    for body in (page, b"<p x=1>" * 50_000, "<p>\u0416".encode("cp1251")):
        with pytest.raises(Costly):
            discover(Answered(URL, body, {"content-type": ["text/html"]}), RULES, max_cost=2_000)


def test_nobody_asked():
    """Without the rule there are none."""
    plain = LinkRules(frozenset({"a"}), nofollow=False, agent="crawler")
    assert discover(Answered(URL, b"<h1>x", {"content-type": ["text/html"]}), plain).page is None


class TestRuns:
    """Records have the facts where they are asked for, and where the report of a crawl wants them."""

    @pytest.fixture
    def world(self, monkeypatch: pytest.MonkeyPatch) -> World:
        world = World(monkeypatch)
        world.site({"/": page("/a", "/map.xml"), "/a": page("/b"), "/b": page(), "/map.xml": urlset(f"{ROOT}b")})
        return world

    def test_in_a_crawl(self, world):
        """What is not followed has its links told, too, and a sitemap those that it names."""
        result = world.crawl(page_facts=True, depth=1)
        assert [record.page and record.page.links for record in result.records] == [["/a", "/map.xml"], ["/b"], ["/b"]]
        assert [record.page and record.page.is_sitemap for record in result.records] == [False, False, True]

    def test_in_a_list(self, world):
        """Nothing is followed, and what a page says is told."""
        (record, sitemap) = world.run(urls=[ROOT, f"{ROOT}map.xml"], page_facts=True).records
        assert record.page is not None and record.links == 2 and record.page.titles == 1
        assert sitemap.page is not None and sitemap.page.is_sitemap

    def test_nobody_asked(self, world):
        """Records of a plain crawl have none."""
        assert all(record.page is None for record in world.crawl().records)

    def test_for_a_report(self):
        """The report of a crawl has a table of pages: it wants them. That of a list does not."""
        assert Config.build(recursive=True, report="r.html").gathers_facts
        assert not Config.build(report="r.html").gathers_facts

    def test_what_has_not_changed(self, world, tmp_path):
        """Of a page that answers 304 it is said again as it was."""
        old = tmp_path / "old.jsonl"
        kept = world.run(urls=[ROOT], page_facts=True).records[0]
        old.write_bytes(msgspec.json.encode(msgspec.structs.replace(kept, wire_headers={"etag": ['"x"']})))
        with closing(Previous(str(old))) as previous:
            url = parse(ROOT)
            found = previous.findings(
                Request(1, url, ROOT, Input("x", 1), 0.0), Response(Timings(), 0.0, status=304), None
            )
        assert found is not None and found.page == kept.page is not None
