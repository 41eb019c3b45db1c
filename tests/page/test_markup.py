"""crawler.page.markup: the tokenizer's corners that crawler.page.links cannot show one by one."""

from __future__ import annotations

import html
from html.entities import html5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.page.markup import ATTRIBUTES, END, NAME, attribute, raw_text_end, tokens, unescape

NAMES = frozenset({"a", "area", "base", "link", "script"})


def value(name: str, attributes: bytes) -> bytes | None:
    found = attribute(name).match(attributes)
    return None if found is None else b"".join(group or b"" for group in found.groups())


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        (b"", None),
        (b" href", b""),
        (b" href=", b""),
        (b" HREF = 'x y'", b"x y"),
        (b'/href="x"', b"x"),
        (b" href=x/y/", b"x/y/"),
        (b" href=x'y\"", b"x'y\""),
        (b" a='href=1'href=2", b"2"),
        (b" href=1 href=2", b"1"),
        (b" ahref=1 href-x=2 =href=3", None),
        (b" a = href=1", None),
        (b" a href=1", b"1"),
        (b" a== href=1", b"1"),
        (b' a="b"c=d href=1', b"1"),
    ],
)
def test_attribute(attributes: bytes, expected: bytes | None) -> None:
    """A value is quoted, bare or missing; names are compared without case; the first of a name counts."""
    assert value("href", attributes) == expected


@pytest.mark.parametrize(
    ("page", "found"),
    [
        (b"<p>a<br/></p><div class='x>'><abbr><lin><b></area>", [b"<div class='x>'>"]),
        (b"<A x><aReA><baSE/><script\n>", [b"<A x>", b"<aReA>", b"<baSE/>", b"<script\n>"]),
        (b'<p a="<a>"><a>', [b'<p a="<a>">', b"<a>"]),
        (b'<p a="b" c="=">', [b'<p a="b" c="=">']),
        (b"< a><1><a>", [b"<a>"]),
        (b"<!--a--><!b><?c></ d>", [b"<!--a-->", b"<!b>", b"<?c>"]),
        (b"<p <a>", [b"<p <a>"]),
        (b"<p x='<a>", [b"<p x='<a>"]),
        (b"</p x='<a>'><a>", [b"</p x='<a>'>", b"<a>"]),
    ],
)
def test_tokens(page: bytes, found: list[bytes]) -> None:
    """Tags that are certainly of no interest are passed; all else comes whole, and none from inside of another."""
    assert [token[0] for token in tokens(NAMES).finditer(page)] == found


def test_every_tag() -> None:
    """Without names every tag comes, with its slash; a tag that the end of the page cuts off has no END."""
    found = [(token[NAME], token[ATTRIBUTES], token[END]) for token in tokens(None).finditer(b"<p x=1></p ><b/")]
    assert found == [(b"p", b" x=1", b">"), (b"/p", b"", b">"), (b"b", b"", None)]


@pytest.mark.parametrize(
    "script",
    [
        b"</scriptx> < /script> </ script>",
        b"<!-- <script> </script> -->",
        b"<!-- <script> </script> <script> </script>",
        b"<!--> <script>",
        b"<!---> <script>",
        b"<!-- <script> --> <script>",
        b"<!-- <scriptx> <script/> </script\t> -->",
        b"<!-- <script <!-- </script > --> <!--",
    ],
)
def test_script(script: bytes) -> None:
    """A script in <!-- --> in a script is part of it (section 13.2.5.15)."""
    page = script + b"</ScRiPt\n>"
    assert raw_text_end(page, b"script", 0) == len(script)


@pytest.mark.parametrize("page", [b"", b"<!--", b"<!-- <script> </script>", b"</script", b"</style>"])
def test_script_to_the_end(page: bytes) -> None:
    """Without its end tag, a script lasts as long as the page."""
    assert raw_text_end(page, b"script", 0) == len(page)


@given(st.lists(st.sampled_from([*html5, "x", ";", "&", "=", "#65", "#x41;", "#0", " "]), max_size=6).map("&".join))
def test_references_in_text(text: str) -> None:
    """In text, references are as the standard library reads them (which has another opinion on control characters)."""
    assert unescape(text, in_attribute=False) == html.unescape(text)


@pytest.mark.parametrize(
    ("text", "in_attribute", "in_text"),
    [
        ("&amp;lt;", "&lt;", "&lt;"),
        ("&copy=1", "&copy=1", "©=1"),
        ("&copyx", "&copyx", "©x"),
        ("&copy", "©", "©"),
        ("&copy;=", "©=", "©="),
        ("&notit;&notin;", "&notit;∉", "¬it;∉"),
        ("&#65&#x41&#X41;", "AAA", "AAA"),
        ("&#;&#x;&;&", "&#;&#x;&;&", "&#;&#x;&;&"),
        ("&#128;&#x81;&#1;&#xfffe;", "€\x81\x01\ufffe", "€\x81\x01\ufffe"),
        ("&#0;&#xD800;&#x110000;&#99999999999;", "\ufffd" * 4, "\ufffd" * 4),
        ("&#" + "0" * 5000 + "65;&#" + "9" * 5000, "A\ufffd", "A\ufffd"),
    ],
)
def test_references(text: str, in_attribute: str, in_text: str) -> None:
    """Without its semicolon a name counts in an attribute only if no letter, digit or "=" follows."""
    assert (unescape(text, in_attribute=True), unescape(text, in_attribute=False)) == (in_attribute, in_text)
