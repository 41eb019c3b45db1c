"""crawler.page.extract: a declaration is refused in words or gives its value, and no page makes it raise."""

from __future__ import annotations

import tomllib

import msgspec
import parsel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.config.config import OPTIONS
from crawler.errors import WARNINGS
from crawler.page import extract
from crawler.page.extract import EXTRACT_ERROR, Extracted
from crawler.page.page import Document

HTML = """<!doctype html><title> A &amp; B </title>
<div class="item new"><h2 id=one>One</h2><p class=price>£51.77</p><a href="x#f">more</a></div>
<div class="item"><h2>Two</h2><p class=price>sold out</p><a href="mailto:a@b">ask</a></div>
<script type="application/ld+json">{"@type": "Shop", "tags": ["a", "b"]}</script>"""
JSON = '{"people": [{"name": "Ann", "age": 30}, {"name": "Bob"}], "n": null}'


def take(declaration: str, body: str = HTML, content_type: str | None = "text/html", *, every: bool = False) -> object:
    """The value of one declaration named v."""
    found = extract.compile([] if every else [declaration], [declaration] if every else [])
    return found(Document("http://h/a/b", body.encode(), None, content_type)).data["v"]


@pytest.mark.parametrize(
    ("declaration", "value"),
    [
        ("v=title::text", "A & B"),
        ("v=css:title::text", "A & B"),
        ("v=h2", '<h2 id="one">One</h2>'),
        ("v=.item > h2::text", "One"),
        ("v=a[href^='mailto']::attr(href)", "mailto:a@b"),
        ("v=//h2[@id='one']/text()", "One"),
        ("v=.//h2/@id", "one"),
        ("v=(//h2)[2]/text()", "Two"),
        ("v=xpath:count(//h2)", 2),
        ("v=xpath:string(//h2)", "One"),
        ("v=xpath:boolean(//h3)", False),
        ("v=//div[has-class('new')]/h2/text()", "One"),
        ("v=//h2[re:test(text(), '^T')]/text()", "Two"),
        (r"v=re:£[0-9.]+", "£51.77"),
        (r"v=re:£([0-9]+)\.([0-9]+)", "51"),
        (r"v=re:£([0-9]+)\.(?P<pence>[0-9]+)", "77"),
        (r"v=re:(?i)ONE(?P<x>y)?", None),
        ("v:float=.price::text", 51.77),
        ("v:int=xpath:count(//a)", 2),
        ("v:url=a::attr(href)", "http://h/a/x"),
        ("v:json=script::text", {"@type": "Shop", "tags": ["a", "b"]}),
        ("v=.nothing::text", None),
        ("v=jmespath:people", None),
        ("v[]=h2::text", ["One", "Two"]),
        ("v:float[]=.price", [51.77, None]),
        ("v[]=.nothing", []),
        (r"v:int[]=re:id=\w+|£(\d+)", [None, 51]),
        ("v[]=xpath:count(//h2)", [2]),
    ],
)
def test_values_of_html(declaration, value):
    """The first match or None; with [] all matches."""
    assert take(declaration) == value


@pytest.mark.parametrize(
    ("declaration", "value"),
    [
        ("v=jmespath:people[0].name", "Ann"),
        ("v=json:people[*].name", ["Ann", "Bob"]),
        ("v[]=json:people[*].name", ["Ann", "Bob"]),
        ("v:int[]=json:people[*].age", [30]),
        ("v[]=json:people[0].age", [30]),
        ("v=json:n", None),
        ("v[]=json:n", []),
        ("v=json:length(people)", 2),
        ("v:str=json:people[1]", '{"name": "Bob"}'),
        (r"v=re:\"name\": \"(B\w+)", "Bob"),
        ("v=title::text", None),
    ],
)
def test_values_of_json(declaration, value):
    """What JMESPath gives is one value, of which [] takes the items; there is no markup in it."""
    assert take(declaration, JSON, "application/json") == value


def test_values_of_xml():
    """In XML the case of names counts, in CSS too."""
    feed = "<rss><channel><pubDate>Wed, 01 May 2024 10:00:00 GMT</pubDate></channel></rss>"
    assert take("v:date=pubDate::text", feed, "application/rss+xml") == "2024-05-01T10:00:00+00:00"
    assert take("v=pubdate", feed, "application/rss+xml") is None
    assert take("v=//channel/pubDate", feed, "text/xml") == "<pubDate>Wed, 01 May 2024 10:00:00 GMT</pubDate>"


def test_every_declaration_has_its_place():
    """Values come in the order of declaration; --extract-all asks for lists without []."""
    extraction = extract.compile(["b=title::text", "a:int=re:([0-9]+)"], ["c=h2::text"])
    assert list(extraction(Document("http://h/", HTML.encode())).data) == ["b", "a", "c"]
    assert extraction.declarations == ("b=title::text", "a:int=re:([0-9]+)", "c[]=h2::text")


def test_the_declarations_mean_the_same_again():
    """What a worker is told is enough to extract the same."""
    extraction = extract.compile(["t=title::text", "p:float= .price"], ["l:url=a::attr(href)"])
    again = extract.compile(extraction.declarations)
    document = Document("http://h/", HTML.encode(), None, "text/html")
    assert again.declarations == extraction.declarations
    assert again(document) == extraction(document)


def test_a_value_that_does_not_convert_is_told():
    """It is None, the others are not touched, and there is one warning."""
    extraction = extract.compile(["a:int=h2::text", "b=h2::text"], ["c:float=.price"])
    found = extraction(Document("http://h/", HTML.encode(), None, "text/html"))
    assert found == Extracted({"a": None, "b": "One", "c": [51.77, None]}, [EXTRACT_ERROR])
    assert EXTRACT_ERROR in WARNINGS


def test_nothing_found_is_no_fault():
    """A page without the thing is an ordinary page."""
    extraction = extract.compile(["a:int=.no", "b=json:a"], ["c:float=.no"])
    assert extraction(Document("http://h/", HTML.encode(), None, "text/html")).warnings == []


def test_the_page_s_own_warnings_are_among_them():
    """A page that was not parsed to its end, or whose charset is unknown, says so."""
    extraction = extract.compile(["a=title::text"])
    found = extraction(Document("http://h/", b"<title>x</title>" + b"<div>" * 5000, "no-such-charset", "text/html"))
    assert found == Extracted({"a": "x"}, ["charset", "parse_truncated"])


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ("title", r"'title' is not NAME=SELECTOR \(such as title=title::text"),
        ("=x", "'=x' is not NAME=SELECTOR"),
        ("1a=x", "is not NAME=SELECTOR"),
        ("a b=x", "is not NAME=SELECTOR"),
        ("a=", "'a=': the selector is empty"),
        ("a=css: ", "the selector is empty"),
        ("a:flot=x", r"'a:flot=x': 'flot' is not a type \(did you mean float\?\)"),
        ("a:=x", r"'' is not a type \(str, text, int, float, bool, url, date, json\)"),
        ("a=b[", "'a=b\\[': not a CSS selector: Expected ident"),
        ("a=p:foo", "not a CSS selector: The pseudo-class :foo is unknown"),
        ("a=p::foo", "not a CSS selector: The pseudo-element ::foo is unknown"),
        ("a=count(//p)", r"not a CSS selector: .* \(XPath starts with / or xpath:\)"),
        ("a=//b[", "'a=//b\\[': not an XPath expression: Invalid expression"),
        ("a=//foo:b", "not an XPath expression: Undefined namespace prefix"),
        ("a=xpath:foo(//b)", "not an XPath expression: Unregistered function"),
        ("a=re:(", "not a regular expression: missing \\)"),
        ("a=jmespath:a[", "not a JMESPath expression: "),
        ("a=json:foo(@)", "not a JMESPath expression: Unknown function: foo"),
        ("a=json:length()", "not a JMESPath expression: "),
    ],
)
def test_bad_declarations_are_explained(declaration, message):
    """One sentence: the declaration, what is wrong, and what would be right."""
    with pytest.raises(ValueError, match=message) as caught:
        extract.compile([declaration])
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=message):
        extract.compile([], [declaration])


def test_a_name_is_used_once():
    """Two values cannot share a key, also over the two options."""
    with pytest.raises(ValueError, match=r"^'a:int=c': the name 'a' is taken"):
        extract.compile(["a=b"], ["a:int=c"])


def test_a_toml_table():
    """A string is a selector; a list of one asks for all matches."""
    table = tomllib.loads("""
        title = "title::text"
        "price:float" = ".price::text"
        links = ["a::attr(href)"]
    """)
    declarations = OPTIONS["extract"].kind
    assert declarations.read(table) == ("title=title::text", "price:float=.price::text", "links[]=a::attr(href)")
    for bad in (1, [], ["a", "b"], {"select": "a"}):
        with pytest.raises(ValueError, match=r"^x: .* is not a selector"):
            declarations.read({"x": bad})


HOSTILE = extract.compile(
    ["t=title::text", "m=html", "n:int=//p", "u:url=a::attr(href)", "d:date=//@*", "j:json=script::text", "q=json:[0]"],
    ["all=*", "text:text=*", "re=re:.", "sub=xpath://p/following-sibling::p", "x=//comment()", "ns=//namespace::*"],
)
PIECES = ["<p>", "</p>", "<a ", "href=", "<base ", "'", '"', ">", "<!--", "-->", "<![CDATA[", "<script>", "<svg>", "&#0;", "{}", "[", "\0"]  # fmt: skip
hostile_pages = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=100).map(str.encode),
    st.lists(
        st.sampled_from(PIECES)
        | st.text(max_size=3)
    ).map(lambda parts: "".join(parts).encode()),
)  # fmt: skip


@settings(max_examples=60)
@given(
    hostile_pages,
    st.sampled_from(["text/html", "text/xml", "application/json", None]),
    st.sampled_from([None, "utf-16", "x"]),
)
def test_no_page_raises(body, content_type, charset):  # fmt: skip
    """Whatever comes, there is a value for each name, one that JSON can carry, and only known warnings."""
    data, warnings = HOSTILE(Document("http://h/", body, charset, content_type))
    assert list(data) == ["t", "m", "n", "u", "d", "j", "q", "all", "text", "re", "sub", "x", "ns"]
    assert msgspec.json.decode(msgspec.json.encode(data)) == data
    assert set(warnings) <= WARNINGS.keys()


def test_values_are_not_much_longer_than_their_page():
    """The markup of every element of a deep page would be its size times its depth: it is given up."""
    body = b"<b>x" * 2000
    found = extract.compile(["a=title"], ["b=*"])(Document("http://h/", body, None, "text/html"))
    assert found == Extracted({"a": None, "b": None}, [EXTRACT_ERROR])


def test_quick_are_small_pages_and_harmless_selectors():
    """A page is extracted on the spot only if no page of its size and number of tags could stall the reactor."""
    small, tags, large = b"<p>" * 100, b"<p>" * 1000, b"x" * 20_000
    for declaration, quick in (
        ("a=title::text", (True, True, False)),
        ("a=div p::text", (True, False, False)),
        ("a=json:a[*].b", (True, True, False)),
        ("a=re:<p>", (True, True, False)),
        ("a=re:(p|p)*x", (False, False, False)),
    ):
        extraction = extract.compile(["b=//a/@href", declaration])
        assert tuple(map(extraction.is_quick, (small, tags, large))) == quick, declaration
    assert not extract.compile([]).is_quick(b"<!DOCTYPE a [<!ENTITY b 'c'>]>")


def test_a_guess_of_the_charset_is_not_quick():
    """What may have to be guessed is not: the first guess loads 100 ms of tables. UTF-8 and what is declared never is."""
    extraction = extract.compile(["a=title::text"])
    assert extraction.is_quick("<title>\xe9".encode()) and extraction.is_quick(b"<title>\xe9", "latin1")
    assert not extraction.is_quick(b"<title>\xe9")


def test_the_same_as_parsel():
    """Selectors mean what they mean to parsel."""
    selector = parsel.Selector(HTML)
    for query in ("h2", "a::attr(href)", ".item.new *::text", "p:last-of-type", "h2, a"):
        assert take(f"v={query}", every=True) == [text.strip() for text in selector.css(query).getall()]
    for query in ("//h2/..", "//a[contains(., 'm')]/@href", "//text()", "//h2 | //p"):
        assert take(f"v={query}", every=True) == [text.strip() for text in selector.xpath(query).getall()]
