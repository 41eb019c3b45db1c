"""The table of pages, and the chapter of what keeps them from being found: from records, in bounded memory."""

from __future__ import annotations

from hashlib import sha256

import msgspec
import pytest
from record_tools import SITE, failed, made, skipped
from selectolax.lexbor import LexborHTMLParser as HTMLParser

from crawler.models import Input, PageFacts, Record, Redirect
from crawler.report.counts import site as site_module
from crawler.report.counts.aggregate import Aggregate
from crawler.report.counts.counting import Counting, line_of
from crawler.report.counts.site import LONG_TITLE, MANY_WORDS
from crawler.report.lines import Line, Lines
from crawler.report.page import page

LONG = "x" * (LONG_TITLE + 1)


def told(path: str, title: str = "T", *links: str, **facts: object) -> Record:
    """A page that tells of itself, with nothing wrong but what is said here."""
    given = {"h1s": 1, "h1": ["H"], "descriptions": 1, "description": f"of {path}", "words": MANY_WORDS, "titles": 1}
    record = made(path, title=title, sha256=sha256(path.encode()).hexdigest(), links=len(links))
    return msgspec.structs.replace(record, page=PageFacts(links=list(links), **{**given, **facts}))


def drawn(*records: Record) -> str:
    of = Aggregate()
    for record in records:
        of.add(msgspec.json.decode(msgspec.json.encode(record), type=Line))
    return page(of, Lines("records.jsonl", None), now=0.0)


def rows(html: str, label: str) -> list[list[str]]:
    tables = [node for node in HTMLParser(html).css(".scroll") if node.attributes["aria-label"] == label]
    return [[cell.text() for cell in row.css("td")] for table in tables for row in table.css("tbody tr")]


def found(html: str) -> dict[str, int]:
    return {row[0]: int(row[2]) for row in rows(html, "Problems")}


def test_a_page_and_who_links_to_it():
    """Every column that is known is there, and each page that links counts once."""
    html = drawn(
        told("/", "Home", "/a", "/b", "/", canonical=f"{SITE}/", canonicals=1),
        told("/a", "A", "/b", "https://b.example/", description="What <b>", canonical=f"{SITE}/b", canonicals=1),
        made("/b", title="B", links=0, redirects=(Redirect(f"{SITE}/old", 301),)),
        told("/c", "C", "/old", "/a"),
    )
    heads = [head.text() for head in HTMLParser(html).css_first("#pages thead").css("th")]
    assert heads == [
        "URL", "answer", "title", "h1", "description", "canonical", "words", "links out", "linked from", "first by",
        "depth", "size", "time",
    ]  # fmt: skip
    none = "\N{EN DASH}"
    assert [[row[at] for at in (0, 2, 4, 5, 7, 8)] for row in rows(html, "Pages")] == [
        [f"{SITE}/", "Home", "of /", none, "3", "0"],
        [f"{SITE}/a", "A", "What <b>", f"{SITE}/b", "2", "2"],
        [f"{SITE}/b", "B", none, none, "0", "3"],
        [f"{SITE}/c", "C", "of /c", none, "2", "0"],
    ]
    [first] = [
        [[item.text() for item in row.css("td")[9].css("a")] for row in table.css("tbody tr")]
        for table in HTMLParser(html).css(".scroll")
        if table.attributes["aria-label"] == "Pages"
    ]
    assert first == [
        [f"{SITE}/index.html"],
        [f"{SITE}/", f"{SITE}/c"],
        [f"{SITE}/", f"{SITE}/a", f"{SITE}/c"],
        [f"{SITE}/index.html"],
    ]
    assert "1 of 4 pages say nothing of descriptions" in html


def test_the_first_that_link_are_named(monkeypatch):
    """Three of them, in their order, however the counts came to the disk."""
    monkeypatch.setattr(site_module, "_HELD", 1)
    html = drawn(told("/", "Home"), *(told(f"/{n}", str(n), "/", "/x") for n in range(5)))
    named = [node.text() for node in HTMLParser(html).css("#pages tbody tr")[0].css("td")[9].css("a")]
    assert named == [f"{SITE}/0", f"{SITE}/1", f"{SITE}/2"]


def test_columns_that_are_missing_are_told():
    """With how to get them."""
    html = drawn(made("/", title="Home", links=3))
    assert "The records do not tell: h1, description, canonical, words, linked from." in html
    assert "--page-facts" in html
    plain = drawn(msgspec.structs.replace(made("/"), input=Input("urls.txt", 1)))
    assert "Nor do they tell: title, links out" in plain


def test_problems_of_what_a_page_says():
    """Each problem has its pages."""
    html = drawn(
        told("/none", "", h1s=0, h1=[], descriptions=0, description=None),
        told("/many", "Two titles", titles=2, h1s=3, descriptions=2),
        told("/long", LONG, description="y" * 161),
        told("/same1", "Same", description="the same"),
        told("/same2", "Same", description="the same"),
        told("/hidden", "Same", description="the same", robots=["noindex"]),
        told("/thin", "Thin", words=MANY_WORDS - 1),
    )
    assert found(html) == {
        "Title missing": 1,
        "The same title": 2,
        "Several titles": 1,
        "Long title": 1,
        "Description missing": 1,
        "The same description": 2,
        "Several descriptions": 1,
        "Long description": 1,
        "Heading missing": 1,
        "Several headings": 1,
        "noindex": 1,
        "Thin pages": 1,
    }
    assert rows(html, "The same title") == [["Same", f"{SITE}/same1{SITE}/same2"]]
    assert rows(html, "Thin pages") == [[f"{SITE}/thin", "199"]]


def test_canonicals():
    """To what is broken, moved or yet another page, to what nobody fetched, and several of them."""
    html = drawn(
        told("/to-gone", "1", canonical=f"{SITE}/gone", canonicals=1),
        told("/to-moved", "2", canonical=f"{SITE}/old", canonicals=1),
        told("/to-next", "3", canonical=f"{SITE}/next", canonicals=1),
        told("/next", "4", canonical=f"{SITE}/last", canonicals=1),
        told("/last", "5", canonical=f"{SITE}/last", canonicals=1),
        told("/elsewhere", "6", canonical="https://b.example/", canonicals=2),
        made("/gone", status=404),
        made("/new", title="7", redirects=(Redirect(f"{SITE}/old", 301),)),
    )
    assert rows(html, "Canonical leads nowhere") == [
        [f"{SITE}/to-gone", f"{SITE}/gone", "404"],
        [f"{SITE}/to-moved", f"{SITE}/old", "200"],
    ]
    assert rows(html, "Chain of canonicals") == [[f"{SITE}/to-next", f"{SITE}/next", f"{SITE}/last"]]
    assert rows(html, "Canonical not fetched") == [[f"{SITE}/elsewhere", "https://b.example/"]]
    assert rows(html, "Several canonicals") == [[f"{SITE}/elsewhere", "https://b.example/"]]


def test_sitemaps_and_links():
    """What is in one and nobody links to, what is linked and in none, and what a sitemap should not name."""
    maps = PageFacts(links=["/", "/orphan", "/gone", "/hidden"], is_sitemap=True)
    html = drawn(
        msgspec.structs.replace(made("/sitemap.xml", content_type="application/xml"), page=maps),
        told("/", "1", "/unmapped", "/hidden", "/gone"),
        told("/orphan", "2", "/", "/orphan"),
        told("/unmapped", "3", "/"),
        told("/hidden", "4", robots=["noindex"]),
        made("/gone", status=410),
    )
    assert rows(html, "Orphans") == [[f"{SITE}/orphan", "200"]]
    assert rows(html, "Not in the sitemap") == [[f"{SITE}/unmapped", "1"]]
    assert rows(html, "In the sitemap in vain") == [[f"{SITE}/hidden", "200"], [f"{SITE}/gone", "410"]]
    assert "No sitemap was read" in drawn(told("/"))


def test_redirects_robots_and_copies():
    """Records without facts tell of these, too."""
    chain = (Redirect("http://a.example/", 301), Redirect(f"{SITE}/x", 302))
    html = drawn(
        made("/y", redirects=chain, sha256="ab" * 32),
        made("/z", sha256="ab" * 32),
        skipped("/private"),
        skipped("/deep", "depth_limit"),
        failed("/dead"),
    )
    assert rows(html, "Chain of redirects") == [[f"{SITE}/y", "200", f"http://a.example/{SITE}/x"]]
    assert rows(html, "Blocked by robots.txt") == [[f"{SITE}/private", f"{SITE}/"]]
    assert [row[1] for row in rows(html, "The same content")] == [f"{SITE}/y{SITE}/z"]


def test_a_run_counts_as_its_output_does():
    """The report of a run and that of its output are of the same lines."""
    record = told("/", "Home", "/a", robots=["noindex"])
    assert line_of(record) == msgspec.json.decode(msgspec.json.encode(record), type=Line)
    counting = Counting()
    counting.write(record, None, 1)
    assert counting.of.records == 1


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch):
    """Counts of links beyond what is held in memory are kept aside, and still right."""
    monkeypatch.setattr(site_module, "_HELD", 50)
    records = [told(f"/{n}", str(n), *[f"/{n + step}" for step in range(1, 20)], "/0") for n in range(300)]
    html = drawn(*records)
    of = {row[0]: row[8] for row in rows(html, "Pages")}
    assert (of[f"{SITE}/0"], of[f"{SITE}/1"], of[f"{SITE}/50"]) == ("299", "1", "19")


def test_hostile_facts():
    """Text of pages is text, half characters do no harm, and numbers that cannot be make a line no record."""
    evil = "</script><script>alert(1)</script>\ud800\u202e"
    of = Aggregate()
    facts = PageFacts(h1=[evil], h1s=1, description=evil, descriptions=1, canonical=evil, canonicals=1, links=[evil])
    of.add(line_of(msgspec.structs.replace(made("/"), title=evil, page=facts)))
    html = page(of, Lines("x", None), now=0.0)
    assert len(HTMLParser(html).css("script")) == 2
    assert html.encode()
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"url":"u","page":{"words":1e300}}', type=Line)
