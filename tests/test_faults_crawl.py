"""What hostile sites do to a crawl: rows 76, 77 and 88-98 of the fault table, with the real Crawler over servers in memory.

`World.crawl` checks after each run that every socket is closed, no timer is left, every input has one record and the
books balance.
"""

from __future__ import annotations

import gzip
import time

import pytest
from memory_net import Asked, Wire
from test_crawl_mode import HTML, ROOT, Answer, World, moved, page, robots, text, urls, urlset

MIB = 1024 * 1024
BOMB = gzip.compress(bytes(20 * MIB), mtime=0)
DENY = b"User-agent: *\nDisallow: /\n"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


# robots.txt

ALLOWED, DENIED, UNREACHABLE = None, "robots_denied", "robots_unreachable"
ROBOTS = {
    "503": (88, Answer(DENY, status=503), UNREACHABLE),
    "429": (88, Answer(DENY, status=429), UNREACHABLE),
    "status 999": (88, Answer(DENY, status=999), UNREACHABLE),
    "a body that does not decode": (88, Answer(b"no gzip", ("Content-Encoding: gzip",)), UNREACHABLE),
    "403": (89, Answer(DENY, status=403), ALLOWED),
    "404": (89, Answer(DENY, status=404), ALLOWED),
    "a page of HTML": (89, Answer(b"<!doctype html><title>Not found</title>", (HTML,)), ALLOWED),
    "binary": (89, Answer(bytes(range(256)) * 100), ALLOWED),
    "rules before 500 KiB": (89, Answer(DENY + b"#" * MIB), DENIED),
    "rules after 512 KiB": (89, Answer(b"#" * 600 * 1024 + b"\n" + DENY), ALLOWED),
    "a gzip bomb": (89, Answer(BOMB, ("Content-Encoding: gzip",)), ALLOWED),
    "a gzip bomb with rules": (
        89,
        Answer(gzip.compress(DENY + bytes(20 * MIB), mtime=0), ("Content-Encoding: gzip",)),
        DENIED,
    ),
    "redirects to itself": (89, moved("/robots.txt"), ALLOWED),
    "redirects to nowhere": (89, moved("http://[/"), ALLOWED),
    "redirects to a file": (89, moved("file:///etc/passwd"), ALLOWED),
    "a byte order mark": (89, Answer(b"\xef\xbb\xbf" + DENY), DENIED),
    "old Mac line ends": (89, Answer(DENY.replace(b"\n", b"\r")), DENIED),
}


@pytest.mark.parametrize("case", ROBOTS)
def test_robots(world, case):
    """RFC 9309: what a server error hides is denied, what a client error hides is not there; only so much is read."""
    _, answer, expected = ROBOTS[case]
    server = world.site({"/robots.txt": answer, "/": page()})
    assert world.crawl(retries=0).code(ROOT) == expected
    assert ("/" in server.targets) == (expected is ALLOWED)


@pytest.mark.parametrize(
    ("end", "expected"), [("close", UNREACHABLE), ("reset", UNREACHABLE), ("silence", UNREACHABLE)]
)
def test_robots_without_an_answer(world, end, expected):
    """Row 88: nor is anything fetched where robots.txt does not come at all."""

    def script(wire: Wire, asked: Asked) -> None:
        if end == "close":
            wire.close()
        elif end == "reset":
            wire.reset()

    server = world.network.serve("a.example", script)
    assert world.crawl(retries=0).code(ROOT) == expected
    assert set(server.targets) == {"/robots.txt"}


# Sitemaps

LAUGHS = b"<!DOCTYPE x [<!ENTITY a 'ha'>%b]><urlset><url><loc>http://a.example/&z;</loc></url></urlset>" % b"".join(
    b"<!ENTITY %c '%b'>" % (letter, b"&%c;" % (letter - 1) * 10) for letter in range(ord("b"), ord("z") + 1)
)
OUTSIDE = b"<!DOCTYPE x [<!ENTITY z SYSTEM '%b'>]><urlset><url><loc>http://a.example/&z;</loc></url></urlset>"


@pytest.mark.parametrize(
    "body",
    [
        LAUGHS,
        OUTSIDE % b"file:///etc/passwd",
        OUTSIDE % b"http://a.example/secret",
        b"<!DOCTYPE x SYSTEM 'http://a.example/x.dtd'>" + LAUGHS,
    ],
    ids=["laughs", "a file", "a URL", "a DTD"],
)
def test_entities_in_a_sitemap(world, body):
    """Row 90: `parse_error`; nothing is expanded, and nothing fetched for it."""
    server = world.site({"/": page(), "/map.xml": Answer(body, ("Content-Type: application/xml",))})
    result = world.crawl(sitemap=["http://a.example/map.xml"])
    assert result.code("http://a.example/map.xml") == "parse_error"
    assert sorted(server.targets) == ["/", "/map.xml", "/robots.txt"]


def index(*names: str) -> Answer:
    entries = "".join(f"<sitemap><loc>http://a.example/{name}</loc></sitemap>" for name in names)
    return Answer(f"<sitemapindex>{entries}</sitemapindex>".encode(), ("Content-Type: application/xml",))


def test_indexes_that_name_each_other(world):
    """Row 91: each is read once."""
    server = world.site(
        {"/one.xml": index("two.xml", "one.xml"), "/two.xml": index("one.xml", "pages.xml"), "/pages.xml": urlset(ROOT), "/": page()}
    )  # fmt: skip
    world.crawl(sitemap=["http://a.example/one.xml"])
    assert sorted(server.targets) == ["/", "/one.xml", "/pages.xml", "/robots.txt", "/two.xml"]


def test_an_endless_row_of_indexes(world):
    """Row 91: --max-pages ends it; the books balance."""

    def script(wire: Wire, asked: Asked) -> None:
        number = int(asked.target.strip("/x.ml") or 0) if asked.target != "/robots.txt" else 0
        wire.answer(index(f"{number + 1}.xml").body, "Content-Type: application/xml")

    server = world.network.serve("a.example", script)
    result = world.crawl("http://a.example/0.xml", max_pages=50, delay=0.0)
    assert len(server.targets) == 51
    assert (result.snapshot.ok, result.snapshot.skips) == (50, {"budget_exceeded": 1})


def test_a_sitemap_that_is_a_bomb(world):
    """Row 91: unpacked no further than --max-size, and the crawl goes on."""
    world.site({"/": page("/a"), "/a": page(), "/map.xml.gz": Answer(BOMB, ("Content-Type: application/gzip",))})
    started = time.monotonic()
    result = world.crawl(sitemap=["http://a.example/map.xml.gz"])
    assert time.monotonic() - started < 5
    assert {*urls("/", "/a")} < {*result.urls}
    assert result.of("http://a.example/map.xml.gz").links in {0, None}


# Pages

DEEP = b"<div>" * 100_000 + b"<a href=/end>x</a>"
ATTRIBUTES = b"<p " + b" ".join(b"a%d=1" % number for number in range(200_000)) + b"><a href=/end>x</a>"


@pytest.mark.parametrize(
    "body", [DEEP, ATTRIBUTES, b"<" * 2_000_000 + b"<a href=/end>x</a>"], ids=["deep", "wide", "open"]
)
def test_markup_that_parsers_choke_on(world, body):
    """Rows 92 and 93: the links are found in linear time, however deep or wide the tree would be."""
    server = world.site({"/": Answer(body, (HTML,)), "/end": page()})
    started = time.monotonic()
    result = world.crawl()
    assert time.monotonic() - started < 5
    assert result.code(ROOT) is None
    assert "/end" in server.targets


def test_a_page_with_too_many_links(world):
    """Row 94: the first 10,000 count, and the page is one good record."""
    links = b"".join(b"<a href=/%d>" % number for number in range(100_000))
    world.site({"/": Answer(links, (HTML,))})
    result = world.crawl(max_pages=3, delay=0.0)
    assert result.of(ROOT).links == 10_000
    assert (result.snapshot.ok, result.snapshot.skips) == (3, {"budget_exceeded": 9_998})


LIES = {
    "utf-7": b"+ADw-script+AD4-<a href=/end>x</a>",
    "idna": b"<title>x</title><a href=/end>x</a>",
    "punycode": b"<a href=/end>" + b"a-" * 50_000,
    "no-such-charset": b"<a href=/end>x</a>",
    "utf-16": "<a href=/end>x</a>".encode("utf-16"),
    "\x1b[31m": b"<a href=/end>x</a>",
}


@pytest.mark.parametrize("charset", LIES)
def test_charsets_that_lie(world, charset):
    """Row 95: the links are found all the same, in no time."""
    server = world.site({"/": Answer(LIES[charset], (f"Content-Type: text/html; charset={charset}",)), "/end": page()})
    started = time.monotonic()
    world.crawl()
    assert time.monotonic() - started < 2
    assert "/end" in server.targets


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0" * 1000 + b"<a href=/end>x</a>",
        b"<title>\xed\xa0\x80</title><a href=/end>",
        b"\xef\xbb\xbf<a href=/end>",
        bytes(range(256)) * 10,
    ],
    ids=["empty", "NUL", "surrogate", "BOM", "binary"],
)
def test_bodies_that_are_no_text(world, body):
    """Row 96: one good record, and what can be read is."""
    server = world.site({"/": Answer(body, (HTML,)), "/end": page()})
    result = world.crawl()
    assert result.code(ROOT) is None
    assert ("/end" in server.targets) == (b"/end" in body)


# Links


def test_refreshes_are_links(world):
    """Row 76: the meta element and the header, inside the scope alone; never followed as a redirect is."""
    refresh = Answer(
        b"<meta http-equiv=refresh content='0; url=/by-meta'>", (HTML, "Refresh: 0; url=http://10.0.0.1/x")
    )
    server = world.site({"/": refresh, "/by-meta": page()})
    result = world.crawl()
    assert server.targets == ["/robots.txt", "/", "/by-meta"]
    assert (result.of(ROOT).redirects, result.of(ROOT).final_url) == ((), ROOT)


def test_every_check_on_every_hop(world):
    """Row 77: a redirect leads neither out of scope, nor past robots.txt, nor to this machine."""
    world.site(
        {
            "/robots.txt": robots("Disallow: /private"),
            "/": page("/out", "/denied", "/home"),
            "/out": moved("http://b.example/"),
            "/denied": moved("/private"),
            "/home": moved("http://localhost.example/"),
        }
    )
    other = world.site({"/": page()}, "b.example")
    here = world.site({"/": page()}, "localhost.example", address="127.0.0.1")
    result = world.crawl(skipped=True)
    assert {url: result.code(f"http://a.example{url}") for url in ("/out", "/denied", "/home")} == {
        "/out": "out_of_scope",
        "/denied": "robots_denied",
        "/home": "out_of_scope",
    }
    # With robots.txt it is that which must not be asked for there; without it, the page itself.
    unread = world.crawl(scope="any", retries=0).of("http://a.example/home").error
    assert unread is not None
    assert unread.code == "address_blocked"
    assert "127.0.0.1 is in 127.0.0.0/8, which is not public" in unread.message
    assert world.crawl(scope="any", robots=False).code("http://a.example/home") == "address_blocked"
    assert "/" in other.targets
    assert here.targets == []


TRAPS = {
    "a calendar": lambda path: (f"{path.rstrip('/')}/next",),
    "the same segment": lambda path: (f"{path.rstrip('/')}/a",),
    "a longer query": lambda path: (f"{path}{'&' if '?' in path else '?'}p{len(path)}=1",),
    "a longer name": lambda path: (f"{path}{'x' * 200}",),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_traps_end(world, trap):
    """Row 97: a site whose every page links to a deeper one ends by itself, and what was left out is counted."""

    def script(wire: Wire, asked: Asked) -> None:
        if asked.target == "/robots.txt":
            wire.answer(status=404)
        else:
            wire.answer(page(*TRAPS[trap](asked.target), title=asked.target).body, HTML)

    server = world.network.serve("a.example", script)
    result = world.crawl()
    assert len(server.targets) < 100
    assert result.snapshot.skips == {"trap_suspected": 1}


def test_endlessly_many_pages(world):
    """Row 98: what looks like a good site for ever ends at --max-pages, exactly."""

    def script(wire: Wire, asked: Asked) -> None:
        number = int(asked.target.partition("=")[2] or 0) if asked.target != "/robots.txt" else 0
        wire.answer(page(f"/?session={2 * number + 1}", f"/?session={2 * number + 2}", title=str(number)).body, HTML)

    server = world.network.serve("a.example", script)
    result = world.crawl(max_pages=200, delay=0.0)
    assert len(server.targets) == 201
    assert (result.snapshot.ok, result.snapshot.failed) == (200, 0)
    assert set(result.snapshot.skips) == {"budget_exceeded"}


def test_text_is_no_page(world):
    """What is not HTML has no links, however much it looks like some."""
    server = world.site({"/": text('<a href="/end">x</a>')})
    world.crawl()
    assert server.targets == ["/robots.txt", "/"]
