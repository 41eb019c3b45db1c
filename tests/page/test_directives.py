"""crawler.page.directives: Link, X-Robots-Tag, Refresh and srcset, read as their standards say."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.page.directives import (
    HeaderLink,
    parse_link_header,
    parse_robots_header,
    refresh_target,
    robots_directives,
    srcset_targets,
)


def link(target: str, *rel: str, anchor: str | None = None) -> HeaderLink:
    return HeaderLink(target, frozenset(rel), anchor)


@pytest.mark.parametrize(
    ("value", "links"),
    [
        ("", []),
        ("<a>; rel=next", [link("a", "next")]),
        ('<a>;rel="next";x, <b> ; REL = "Prev  canonical"', [link("a", "next"), link("b", "prev", "canonical")]),
        ("<a,b;c>; rel=next; rel=prev", [link("a,b;c", "next")]),
        ('<a>; title="x, <y>; rel=z\\"", <b>; rel=up', [link("a"), link("b", "up")]),
        ('<a>; anchor="#x"; rel="ne\\xt"', [link("a", "next", anchor="#x")]),
        (" , ,< a > ; ; rel=next ,", [link("a", "next")]),
        ("<a> junk, <b>; rel=x", [link("a"), link("b", "x")]),
        ("<a", []),
        ("a; rel=next, <b>", []),
        ('<a>; rel="next', [link("a", "next")]),
    ],
)
def test_link_header(value: str, links: list[HeaderLink]) -> None:
    """RFC 8288: quoted and bare values, the first rel counts, commas in targets and quotes; what is torn ends the value."""
    assert parse_link_header([value]) == links
    assert parse_link_header([value, "<z>"]) == [*links, link("z")]


def test_robots_directives() -> None:
    """Lower case, no empty ones, and "none" in full."""
    assert robots_directives(" NoIndex,, max-snippet:5 ") == {"noindex", "max-snippet:5"}
    assert robots_directives("none") == {"none", "noindex", "nofollow"}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], set()),
        (["noindex, nofollow"], {"noindex", "nofollow"}),
        (["other: noindex, nofollow"], set()),
        (["noarchive, Crawler: none"], {"noarchive", "none", "noindex", "nofollow"}),
        (["other: noindex, crawler: nofollow"], {"nofollow"}),
        (["robots: noindex", "other: x"], {"noindex"}),
        (["max-snippet: 5, nofollow"], {"max-snippet: 5", "nofollow"}),
        (
            ["unavailable_after: 25 Jun 2010 15:00:00 PST, nofollow"],
            {"unavailable_after: 25 jun 2010 15:00:00 pst", "nofollow"},
        ),
        (
            ["unavailable_after: Friday, 25 Jun 2010 15:00, noindex"],
            {"unavailable_after: friday", "25 jun 2010 15:00", "noindex"},
        ),
    ],
)
def test_robots_header(values: list[str], said: set[str]) -> None:
    """Directives for all and for us count. A name counts until the next one, and a date is no name."""
    assert parse_robots_header(values, "crawler") == said


@pytest.mark.parametrize(
    ("content", "target"),
    [
        ("5", None),
        ("5;", None),
        ("0; url=/x", "/x"),
        ("0;URL = '/x' y", "/x"),
        (' 0.5 , url="/x', "/x"),
        ("0 /x", "/x"),
        (".;x", "x"),
        ("0;urlx", "urlx"),
        ("0;url=", None),
        ("0;''", None),
        ("url=/x", None),
        ("-1;url=/x", None),
        ("0x;url=/x", None),
        ("", None),
    ],
)
def test_refresh(content: str, target: str | None) -> None:
    """HTML's "shared declarative refresh steps"."""
    assert refresh_target(content) == target


@pytest.mark.parametrize(
    ("srcset", "targets"),
    [
        ("", []),
        (" , ,", []),
        ("a", ["a"]),
        ("a 1x, b 2x", ["a", "b"]),
        ("a,b 1x,c", ["a,b", "c"]),
        ("a, b,\nc 100w 50h ,d", ["a", "b", "c", "d"]),
        ("data:,x 1x, b (1,2) x, c (", ["data:,x", "b", "c"]),
        ("a,,, b", ["a", "b"]),
    ],
)
def test_srcset(srcset: str, targets: list[str]) -> None:
    """A comma ends a URL only at its end, and a candidate only outside of parentheses."""
    assert srcset_targets(srcset) == targets


@given(st.text("<>;,=\"\\' a:()0url.\t", max_size=40))
def test_any_text(text: str) -> None:
    """Nothing that is written raises."""
    parse_link_header([text])
    parse_robots_header([text], "a")
    refresh_target(text)
    srcset_targets(text)


@pytest.mark.parametrize(
    "piece", ["<", "<a>", "<a>,", ";", ",", '<a>;a="', "\\", "(", "a,", " ", "0", "<a>;" + "x" * 50, "a: "]
)
def test_long_text(piece: str) -> None:
    """However long, and whatever is repeated: the time is that of reading it, not that of trying again and again."""
    text = piece * (20_000 // len(piece))
    start = time.process_time()
    for before in ("", '<a>;a="', "0;"):
        parse_link_header([before + text])
        parse_robots_header([before + text])
        refresh_target(before + text)
        srcset_targets(before + text)
    assert time.process_time() - start < 1
