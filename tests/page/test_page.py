"""crawler.page.page: a body as its server means it, parsed when asked for; and what a parse function yields, sorted."""

from __future__ import annotations

import pytest

from crawler.models import Ask, Input, Record, Wanted
from crawler.page.page import MAX_PARSED, Document, Page, Yielded, gather
from crawler.seeds.asked import Request
from crawler.urls import parse

URL = "http://h/a/b"
BOMB = (
    '<!DOCTYPE x [<!ENTITY a "' + "a" * 50 + '">'
    + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
    + ']><x y="&j;">&j;</x>'
)  # fmt: skip


def document(body: str | bytes, content_type: str | None = "text/html", url: str = URL) -> Document:
    return Document(url, body.encode() if isinstance(body, str) else body, None, content_type)


def page(body: str = "", **fields) -> Page:
    return Page(
        Record(url=URL, input=Input(), outcome="ok", content_type="text/html", **fields).with_body(body.encode())
    )


@pytest.mark.parametrize(
    ("content_type", "body", "kind"),
    [
        ("text/html", "hello", "html"),
        ("application/xhtml+xml", "<a/>", "html"),
        ("application/xml", "<a/>", "xml"),
        ("image/svg+xml", "<a/>", "xml"),
        ("application/json", "not json", "json"),
        ("application/ld+json", "{}", "json"),
        (None, "\ufeff \n<p>", "html"),
        (None, " [1]", "json"),
        (None, "{% if %}", "text"),
        (None, "hello", "text"),
        ("text/html", '{"a": 1}', "json"),
        ("text/html", "{{ title }}<p>", "html"),
        ("text/html", "[" * 100_000, "html"),
        ("text/plain", "<p>", "html"),
        ("text/plain", "a < b", "text"),
        ("image/png", "\x89PNG", "text"),
    ],
)
def test_kind(content_type, body, kind):
    """The declared type decides; JSON and markup are recognised where it does not."""
    assert document(body, content_type).kind == kind


def test_text_and_charset_warning():
    """The text is decoded as browsers do; a label that was not followed is a warning, said once."""
    asked = Document(URL, "é".encode(), "no-such-charset", "text/html")
    assert asked.warnings == []
    assert (asked.text, asked.text) == ("é", "é")
    assert asked.warnings == ["charset"]


def test_selectors():
    """css and xpath are parsel's; the tree is built once."""
    asked = document("<title>A</title><a href=x>1</a><a href=y>2</a>")
    assert asked.css("title::text").get() == "A"
    assert asked.xpath("//a/@href").getall() == ["x", "y"]
    assert asked.css("a").css("::text").getall() == ["1", "2"]
    assert asked.selector is asked.selector


def test_xml_keeps_its_case_and_gets_no_entities():
    """XML is parsed as XML; entities are neither expanded nor fetched."""
    asked = document('<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/passwd">]><r><A>&e;x</A></r>', "text/xml")
    assert asked.css("A").get() == "<A>&e;x</A>"
    assert asked.css("a").get() is None


def test_json():
    """json() is the value, the selector takes JMESPath; what is no JSON raises ValueError."""
    asked = document('\ufeff{"a": {"b": 1}}', "application/json")
    assert asked.json() == {"a": {"b": 1}}
    assert asked.selector.jmespath("a.b").get() == 1
    with pytest.raises(ValueError, match="Expecting value"):
        document("<p>", "application/json").json()
    assert document("<p>", "application/json").selector.jmespath("a").get() is None


@pytest.mark.parametrize(
    ("body", "content_type", "truncated"),
    [
        ("", "text/html", False),
        (" \0 ", "text/html", False),
        ("<!-- -->", "text/html", False),
        ("</p>", "text/html", False),
        ("<p>a\0b&#xD800;&#0;\x01", "text/html", False),
        ("\x89PNG<a>", "image/png", False),
        ("<div>" * 100_000, "text/html", True),
        ("<a>" * 10_000, "text/xml", True),
        ("<a><b></a>", "text/xml", True),
        ("hello", "text/xml", True),
        ("", "text/xml", False),
        (BOMB, "text/xml", True),
        (b"<p>" + b"a " * (MAX_PARSED // 2), "text/html", True),
        (b"\xff\xfe<\0p\0>\0", "text/html", False),
    ],
)
def test_no_page_raises(body, content_type, truncated):
    """Whatever it is, there is a tree to ask; a warning says when the parser did not read all of it."""
    asked = document(body, content_type)
    "".join(asked.xpath("//text() | //@*").getall()).encode()
    assert asked.warnings == (["parse_truncated"] if truncated else [])


@pytest.mark.parametrize(
    ("head", "base"),
    [
        ("", "http://h/a/x"),
        ("<base href=/c/>", "http://h/c/x"),
        ("<BASE HREF='http://other/d/e'>", "http://other/d/x"),
        ("<base target=_top><base href=/c/><base href=/d/>", "http://h/c/x"),
        ("<base href='mailto:x'>", "http://h/a/x"),
        ("<!-- <base href=/c/> -->", "http://h/a/x"),
    ],
)
def test_urljoin_goes_by_the_base(head, base):
    """References are relative to the first <base href>, as in browsers."""
    assert document(head + "<p>").urljoin("x#fragment") == base


def test_a_page_of_a_record():
    """A Page has what a spider's author asks of a response, and the record itself."""
    asked = page("<p>", status=200, wire_headers={"x": ["1", "2"]}, final_url="http://h/final")
    assert (asked.url, asked.status, asked.headers["x"], asked.body) == ("http://h/final", 200, ["1", "2"], b"<p>")
    assert asked.record.outcome == "ok"
    assert repr(asked) == "<Page 200 http://h/final>"
    assert page().headers == {}


@pytest.mark.parametrize(
    ("name", "words"),
    [("follow", " (yield the URL, or Request"), ("status_code", " (write page.status)"), ("folow", "")],
)
def test_what_pages_have_elsewhere(name, words):
    """Who knows Scrapy or requests is told what to write."""
    with pytest.raises(AttributeError) as caught:
        getattr(page(), name)
    assert str(caught.value).startswith(f"'Page' object has no attribute '{name}'{words}")


def test_gather_sorts_items_and_links():
    """Dicts are items; text is a link of this page; what cannot be fetched is no link; None is nothing."""
    request = Request("r", json={"n": 1})

    def function(asked):
        for link in asked.css("a"):
            yield {"text": link.css("::text").get()}
            yield link.attrib.get("href")
        yield parse("http://h/u")
        yield request

    ask = Ask(body=b'{"n":1}', content_type="application/json")
    asked = page("<base href=/c/><a href=x>1</a><a href=mailto:x>2</a><a href='http://['>3</a><a>4</a>")
    assert gather(asked, function(asked)) == Yielded(
        [{"text": "1"}, {"text": "2"}, {"text": "3"}, {"text": "4"}],
        [parse("http://h/c/x"), parse("http://h/u"), Wanted(parse("http://h/c/r"), "POST", ask)],
    )


def test_gather_takes_lists_and_nothing():
    """A function may also return a list, or nothing at all."""
    assert gather(page(), None) == Yielded([], [])
    assert gather(page(), ["x"]).follow == [parse("http://h/a/x")]


@pytest.mark.parametrize("result", [{"a": 1}, "http://h/", b"x", [3], [object()]])
def test_gather_explains_what_is_wrong(result):
    """Anything else is the function's mistake, and the message says what is expected."""
    with pytest.raises(TypeError, match=r"^the parse function (gives .* it is to yield it|yields .* neither an item)"):
        gather(page(), result)


def test_queries_are_in_the_charset_of_the_page():
    """As browsers ask for them; all else of a URL is in UTF-8. So are the links of a parse function."""
    legacy = Document("http://h/", "<a href='é?é'>é".encode("latin-1"), "latin1", "text/html")
    assert legacy.urljoin("é?é#é") == "http://h/%C3%A9?%E9"
    record = Record(url="http://h/", input=Input(), outcome="ok", content_type="text/html", charset="latin1")
    found = Page(record.with_body("<p>é".encode("latin-1")))
    assert [url.href for url in gather(found, ["?é"]).follow] == ["http://h/?%E9"]
    modern = Document("http://h/", "é".encode(), None, "text/html")
    assert modern.urljoin("é?é") == "http://h/%C3%A9?%C3%A9"
