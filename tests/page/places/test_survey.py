"""Every place of a page that links: where it stands, what it is for, and what fragments may name."""

from __future__ import annotations

import time

import pytest

from crawler.page.offline.text import Document, Syntax
from crawler.page.places.sitemap import survey_of
from crawler.page.places.survey import Link, Surveyed, decode, is_named, survey
from crawler.urls import parse

URL = parse("http://a.example/docs/")


def look(html: str | bytes, syntax: Syntax = "html", charset: str | None = "utf-8", **options: object) -> Surveyed:
    body = html if isinstance(html, bytes) else html.encode()
    return survey(Document(body, URL, syntax, charset), **options)  # type: ignore[arg-type]


def links(html: str | bytes, syntax: Syntax = "html", charset: str | None = "utf-8") -> list[Link]:
    return look(html, syntax, charset).survey.links


def places(html: str | bytes, syntax: Syntax = "html", charset: str | None = "utf-8") -> list[tuple[int, int, str]]:
    return [(link.line, link.column, link.reference) for link in links(html, syntax, charset)]


@pytest.mark.parametrize(
    ("html", "found"),
    [
        ('<a href="x">', [(1, 10, "x")]),
        ("<a href=x>", [(1, 9, "x")]),
        ("\n\n <a\n  href = 'x'\n>", [(4, 11, "x")]),
        ('\r\n<a href="x">\r\n<a href="y">', [(2, 10, "x"), (3, 10, "y")]),
        ('ä€😀<a href="x">é<a href="y">', [(1, 13, "x"), (1, 26, "y")]),
        ('\ufeff<a href="x">', [(1, 10, "x")]),
        ('<a href="x"><a href="x">', [(1, 10, "x"), (1, 22, "x")]),
        ('<img srcset="x 1x, y 2x">', [(1, 14, "x"), (1, 14, "y")]),
        ("<style>\na { b: url(x) }</style>", [(2, 12, "x")]),
        ('<a style="b: url(x)">', [(1, 11, "x")]),
        ('<meta http-equiv=refresh content="0; url=x">', [(1, 35, "x")]),
        ('<iframe srcdoc="<a href=x>">', [(1, 17, "x")]),
        ('<!-- <a href="x"> --><script>"<a href=y>"</script>', []),
        ('<a href="">', []),
        ('<a href="#">', []),
        ("<form action=x method=post>", []),
        ("<form action=x>", [(1, 14, "x")]),
        ('<link rel=preconnect href="http://b.example/">', []),
    ],
)
def test_places(html: str, found: list[tuple[int, int, str]]) -> None:
    """Line and column count from 1, in characters; those of the value, where whoever mends it has to go."""
    assert places(html) == found


def test_passwords_are_not_kept() -> None:
    """Neither of the reference nor of the text; what has no authority is left whole, for its scheme counts."""
    hrefs = ("https://u:secret@a.example/x", "//u:secret@a.example/x", "mailto:u@a.example", "skype:u@a.example")
    found = links("".join(f'<a href="{href}">see {href}</a>' for href in hrefs))
    assert "secret" not in str(found)
    assert [link.reference for link in found] == ["https://a.example/x", "//a.example/x", *hrefs[2:]]


def test_places_in_other_charsets() -> None:
    page = 'é\n<p>日本<a href="x">'
    assert places(page, charset=None) == [(2, 15, "x")]
    for charset in ("utf-16", "shift_jis", "iso-2022-jp"):
        encoded = page.replace("é", "").encode(charset)
        assert places(encoded, charset=charset) == [(2, 15, "x")]


def test_places_in_a_style_sheet() -> None:
    assert places('/* url(no) */\n@import "x";\n é { b: url( y ) }', syntax="css") == [(2, 10, "x"), (3, 14, "y")]


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<a href=x>a <b>bold</b>\n  word</a>", "a bold word"),
        ("<a href=x>a &amp; b</a>", "a & b"),
        ('<a href=x><img src="y" alt="A  picture"></a>', "A picture"),
        ("<a href=x>" + "long " * 100 + "</a>", ("long " * 100)[:100]),
        ('<area href=x alt="There">', "There"),
        ("<a href=x>never closed", "never closed"),
    ],
)
def test_what_people_see(html: str, text: str) -> None:
    assert links(html)[0].text == text


@pytest.mark.parametrize(
    ("html", "role"),
    [
        ("<a href=x>", "page"),
        ("<iframe src=x>", "frame"),
        ("<script src=x></script>", "load"),
        ("<link rel=stylesheet href=x>", "style"),
        ("<link rel=icon href=x>", "load"),
        ("<link rel=canonical href=x>", "page"),
        ("<img src=x>", "show"),
        ("<video src=x>", "show"),
        ("<object data=x>", "frame"),
        ("<form action=x>", "form"),
    ],
)
def test_what_it_is_for(html: str, role: str) -> None:
    assert links(html)[0].role == role


def test_what_is_followed_and_what_is_only_asked_for() -> None:
    found = look('<base href="/b/"><a href="x#f"><img src="y"><link rel=stylesheet href="z"><a href="x">')
    assert [url.href for url in found.follow] == ["http://a.example/b/x", "http://a.example/b/z"]
    assert [url.href for url in found.beside] == ["http://a.example/b/y"]
    assert found.entered == {"http://a.example/b/x"}
    assert [link.target for link in found.survey.links] == [0, 1, 2, 0]


def test_links_to_the_page_itself_are_kept_where_they_are_wrong() -> None:
    assert places('<p id=here><a href="#here"><a href="#gone"><a href="./#there">') == [
        (1, 37, "#gone"),
        (1, 53, "./#there"),
    ]


def test_names() -> None:
    """Ids, and names of `a` elements, decoded; not those in templates, comments and scripts."""
    page = (
        "<p id=a class=b><a name='b&amp;c' id=d><input name=no><template><p id=no></template><p id=é><!-- <p id=no> -->"
        "<p data-id=no title='id=no'><P ID=E><svg><g id=f /></svg><textarea><p id=no></textarea><p id=''>"
    )
    assert sorted(look(page).survey.names or ()) == ["E", "a", "b&c", "d", "f", "é"]
    assert look(page, fragments=False).survey.names is None
    assert look(page, whole=False).survey.names is None


@pytest.mark.parametrize(
    ("fragment", "named"),
    [("", True), ("a b", True), ("a%20b", True), ("%C3%A9", True), ("top", True), ("ToP", True), ("A%20b", False),
     ("100%25", True), ("100%", True), ("gone", False)],
)  # fmt: skip
def test_what_a_fragment_leads_to(fragment: str, named: bool) -> None:
    assert is_named(fragment, {"a b", "é", "100%"}) is named


def test_what_is_no_url_is_told_with_its_place() -> None:
    [link] = links('<a href="http://exa mple/">')
    assert (link.target, link.line, link.column) == (-1, 1, 10)
    assert "not a valid URL" in link.fault


def test_kinds() -> None:
    page = '<a href=a><img src=b><script src=c></script><i style="d: url(d)">'
    found = look(page, kinds=frozenset({"img", "script"}))
    assert [link.reference for link in found.survey.links] == ["b", "c"]


def test_headers_link_too() -> None:
    found = look("", headers={"link": ['<x>; rel="next", <y>; rel=preload'], "refresh": ["0; url=z"]})
    assert [(link.element, link.attribute, link.reference) for link in found.survey.links] == [
        ("header", "refresh", "z"),
        ("header", "link", "x"),
    ]


def test_a_sitemap() -> None:
    body = b"<urlset>\n <url><loc> http://a.example/x </loc></url><url><loc>http://exa mple/</loc></url></urlset>"
    found = decode(survey_of(parse("http://a.example/map.xml"), body, ["http://a.example/x"]))
    assert [(link.target, link.line, link.column, link.element) for link in found.links] == [
        (0, 2, 13, "loc"),
        (-1, 2, 54, "loc"),
    ]


def test_a_page_of_one_line_takes_linear_time() -> None:
    """Columns are not counted from the start of the line each time, nor is the page decoded for each link."""

    def seconds(count: int) -> float:
        page = ("é" + '<a href="x#y">text' * 10) * count
        began = time.process_time()
        assert len(links(page)) == 10 * count
        return time.process_time() - began

    seconds(10)
    assert seconds(1_600) < 16 * max(seconds(200), 0.005)
