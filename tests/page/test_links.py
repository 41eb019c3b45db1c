"""crawler.page.links: the same links as a browser's parser, on real pages and hostile ones, and never more than linear time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from selectolax.lexbor import LexborHTMLParser, LexborNode

from crawler.charset import decode_text
from crawler.errors import CodedError
from crawler.page.links import A_AREA, REFERENCES, PageLinks, scan
from crawler.page.resolving import base_of, resolve
from crawler.urls import join, parse

# Debian's documentation of Python and Apache: 3,216 pages, 118 MB. The bench reads all of them, the tests a few.
PACKAGES = {
    "python3.11-doc": (Path("/usr/share/doc/python3.11/html"), "**/*.html"),
    "apache2-doc": (Path("/usr/share/doc/apache2-doc/manual"), "**/*.html*"),
}
EVERYTHING = frozenset(REFERENCES)
PAGE = parse("http://example.com/a/b?q")
CONTROL_OR_SPACE = "".join(map(chr, range(0x21)))


def documentation(package: str) -> list[Path]:
    folder, pattern = PACKAGES[package]
    return sorted(path for path in folder.glob(pattern) if path.is_file())


def is_foreign(node: LexborNode) -> bool:
    """In svg or math, and not in one of the places in these where HTML goes on."""
    above = node.parent
    while above is not None and above.tag not in ("svg", "math"):
        if above.tag in ("desc", "title", "foreignobject", "mi", "mtext"):
            return False
        above = above.parent
    return above is not None


def by_tree(body: bytes) -> PageLinks:
    """What lexbor's tree, built as the HTML Standard says, tells of the page."""
    tree = LexborHTMLParser(decode_text(body, None, "text/html").text)

    def of(selector: str, name: str) -> Iterable[tuple[LexborNode, str]]:
        for node in tree.css(selector):
            if node.tag == "a" or not is_foreign(node):
                yield node, (node.attributes[name] or "").strip(CONTROL_OR_SPACE)

    titles = [node.text() for node in tree.css("title") if not is_foreign(node)]
    relations = (((node.attributes["rel"] or "").lower().split(), href) for node, href in of("link[rel][href]", "href"))
    return PageLinks(
        links=list(dict.fromkeys(href.partition("#")[0] for _, href in of("a[href], area[href]", "href"))),
        base=next((href for _, href in of("base[href]", "href")), None),
        title=re.sub("[\t\n\f\r ]+", " ", titles[0]).strip(" ") if titles else None,
        canonical=next((href for relation, href in relations if "canonical" in relation and href), None),
    )


def assert_same(body: bytes, page: Path | None = None) -> None:
    ours, theirs = scan(body), by_tree(body)
    for field in ("links", "title", "base", "canonical"):
        assert getattr(ours, field) == getattr(theirs, field), (field, page or body)


@pytest.mark.parametrize("package", PACKAGES)
def test_real_pages(package: str) -> None:
    """On pages as they are written, in a dozen languages and five charsets, nothing is missed and nothing made up."""
    pages = documentation(package)
    if not pages:
        pytest.skip(f"Debian's {package} is not installed")
    for page in pages[:: len(pages) // 25]:
        assert_same(page.read_bytes(), page)


# What tokenizers disagree about, to be put together in any order.
CHARACTERS = [
    "<",
    ">",
    '"',
    "'",
    "=",
    " ",
    "/",
    "-",
    "!",
    "?",
    "&",
    ";",
    "#",
    "\n",
    "\t",
    "\f",
    "\r",
    "\0",
    "\v",
    "x",
    "a",
]
PIECES = """<a|<a |<a href=|<a href="|<a href='|href|HREF="u|<A HREF=u>|<a href="u1">|<a href="u2#f" class="x">|<a\nhref = 'u3' >
<a/href=u4/>|<a x="1"href="u5">|<a href="u6" href="u7">|<a title=">" href="u8">|<area href=u9>|</a>|<a href>|<a href="">
<a href=>|<a href=" u12 ">|<ab href=u13>|<a.href=u14>|<a href=u20 rel=nofollow>|<a\vhref=u21>|<a href=u22\v>|<A\tHREF="U"\tX>
<!--|-->|--!>|<!-->|<!--->|<!-- x -->|<!doctype html>|<!x|<?pi |</|</ |</>|<![CDATA[|]]>|<script>|</script>|<script|</script\t
</script/|<!--<script>|<style>|</style>|<title>|</title>|<title>t|</title\t|<textarea>|</textarea>|<xmp>|</xmp>|<iframe>
</iframe>|<noembed>|</noembed>|<noframes>|</noframes>|<noscript>|</noscript>|</style/>|<p>|<s>|<li>|<p title="a<b">
<div class="c">|<img alt="<a href=u10>">|<img alt='">' src="a">|<b a="x" b='y' c=z d>|</p title="<a href=u15>">|<spa"n>
<x y=z="<a href=u16>">|<x ="<a href=u17>">|<x = "<a href=u18>">|<x a="="b="<a href=u19>">|<x="1>|<x a"b="<a href=u23>">
&amp;|&lt|&ampx|&amp=|&#65|&#x41;|&#0;|&#x80;|&#xd800;|&#99999999999;|&notit;|&copy|&copy=|&nbsp;|é|日|<base href="b/">
<a href='u24' class=c>|<a class='c' href='u25#f' id=d>|<a href=u26 x='y'>|<a href=u27"b>|<a name=n>|<a name="n" id='m'>|<A NAME=n>
<a hreflang=x href=u28>|<a rel='nofollow' href='u29'>|<a x href=u30 y>|<a href=u31#f"g>|<a href=u32?a=b>|<a href==u33>|<a x=y/ href=u34/>
<a data-x='{"a":1}' href="u35">|<p title='a"b' x="c'd">|<p x='a=b'>|<p x=y'z'>|<p x=y'z='>'>|<p x="a'b='">|<a x=y"z href="u36>">
<base target=x>|<link rel=canonical href=c>|<link rel="Next Canonical" href=d>|<plaintext""".replace(
    "\n<", "|<"
).replace("\n&", "|&")
pieces = st.sampled_from(CHARACTERS + PIECES.split("|"))

# svg, math and template are followed by their tags alone, without the tree (rule 3): here they are closed properly.
enclosed = st.builds(
    str.replace,
    st.sampled_from(
        """<svg>*</svg>|<math>*</math>|<svg><title>*</title></svg>|<svg><g/><a href=s1>*</a></svg>|<svg/>*|<math><mi>*</mi></math>
<svg><![CDATA[<a href=s2>]]>*</svg>|<svg><desc>*</desc></svg>|<svg><style>*</style></svg>|<svg><script>*</script></svg>
<template>*</template>|<template><template>*</template><a href=t1></template>|<svg><path d="M 1"/>*</svg>|<svg><g>*<p>*
<svg><desc><title>*</title></desc></svg>|<svg><foreignObject><style>*</style></foreignObject></svg>""".replace(
            "\n", "|"
        ).split("|")
    ),
    st.just("*"),
    st.sampled_from(
        [
            "x",
            "<a href=q1>y</a>",
            "<!-- c -->",
            "&amp;",
            "<g>z</g>",
            "<path/>",
            '<a href="q2"/>',
            "<!--<a href=q>-->",
            '<a href="q3&amp;x">',
        ]
    ),
)
around = st.sampled_from(
    ["x", "<p>", "<a href=v1>y</a>", "<title>t</title>", "<!-- <svg> -->", "<script><a href=n></script>", "<br/>"]
)


@settings(max_examples=400, derandomize=True)
@given(st.lists(pieces, max_size=14).map("".join))
def test_hostile_pages(page: str) -> None:
    """Whatever tags, quotes, comments, raw text and references are torn and mixed, a browser's parser finds the same."""
    assert_same(f"<!--é-->{page}".encode())


@settings(max_examples=200, derandomize=True)
@given(st.lists(enclosed | around, max_size=6).map("".join))
def test_enclosed_markup(page: str) -> None:
    """In svg, math and templates markup means something else, and behind them it is HTML again."""
    assert_same(page.encode())


@given(
    st.binary(max_size=200), st.sampled_from([None, "utf-8", "latin1", "utf-16le", "sjis", "iso-2022-jp", "no such"])
)
def test_any_bytes(body: bytes, charset: str | None) -> None:
    """Any bytes in any charset are a page; all text it gives can be encoded."""
    page = scan(body, charset, want=EVERYTHING)
    for text in (
        *page.links,
        page.title or "",
        page.base or "",
        page.canonical or "",
        page.refresh or "",
        *page.robots,
    ):
        text.encode()


LINKS = [
    ("<a href=1><area href=2><AREA HREF='3'><a name=4>", ["1", "2", "3"]),
    ("<a href=x><a href=y><a href=x>", ["x", "y"]),
    ("<a href=x#a><a href='x#b'><a href=\" x \">", ["x"]),
    ("<a href=#top><a href=''><a href>", [""]),
    ("<a href=1 href=2>", ["1"]),
    ("<a HREF=1>", ["1"]),
    ("<a\nclass=c\thref\f=\r1>", ["1"]),
    ("<a class='x'href='1'>", ["1"]),
    ("<a/href=1/>", ["1/"]),
    ("<a =href=1>", []),
    ("<a data-href=1 xhref=2>", []),
    ("<a title='<a href=1>'>", []),
    ("<a href='1", []),
    ("<a href=1", []),
    ("<!-- <a href=1> --><a href=2>", ["2"]),
    ("<!--><a href=1>-->", ["1"]),
    ("<!-- --!><a href=1>", ["1"]),
    ("<!-- <a href=1>", []),
    ("<![CDATA[ > <a href=1> ]]>", ["1"]),
    ("<?php '>' <a href=1> ?>", ["1"]),
    ("<script>'<a href=1>'</script><a href=2>", ["2"]),
    ("<script><!-- <script> </script> <a href=1> --></script><a href=2>", ["2"]),
    ("<script></scriptx><a href=1></SCRIPT ><a href=2>", ["2"]),
    ("<style><a href=1></style><a href=2>", ["2"]),
    ("<textarea><a href=1></textarea><a href=2>", ["2"]),
    ("<title><a href=1></title><a href=2>", ["2"]),
    ("<xmp><a href=1></xmp><noembed><a href=2></noembed><noframes><a href=3></noframes><a href=4>", ["4"]),
    ("<iframe src=0><a href=1></iframe><a href=2>", ["2"]),
    ("<noscript><a href=1></noscript>", ["1"]),
    ("<a href=1><plaintext><a href=2></plaintext><a href=3>", ["1"]),
    ("<template><a href=1><template></template><a href=2></template><a href=3>", ["3"]),
    ("<template shadowrootmode=open><a href=1></template>", ["1"]),
    ("<template><template shadowrootmode=open></template><a href=1></template><a href=2>", ["2"]),
    ("<svg><a href=1/></svg><svg/><a href=2>", ["1/", "2"]),
    ("<svg><style><a href=1></style></svg>", ["1"]),
    ("<svg><style/><title/><script/></svg><a href=1>", ["1"]),
    ("<svg><![CDATA[ > <a href=1> ]]></svg><a href=2>", ["2"]),
    ("<svg><foreignObject><style><a href=1></style></foreignObject></svg><a href=2>", ["2"]),
    ("<svg><area href=1><desc><area href=2></desc></svg>", ["2"]),
    ("<svg><p><style><a href=1></style><a href=2>", ["2"]),
    ("<svg><font color=red><style><a href=1></style><a href=2>", ["2"]),
    ("<math><annotation-xml encoding='text/HTML'><style><a href=1></style></annotation-xml></math>", []),
    ("<math><annotation-xml><style><a href=1></style></annotation-xml></math>", ["1"]),
    ("<math><mi><area href=1></mi><area href=2></math>", ["1"]),
    ("<a href='?a=1&amp;b=2&copy=3&copy;&lt'>", ["?a=1&b=2&copy=3©<"]),
    ("<a href='&#x31;&#50;&#128;&#0;'>", ["12€\ufffd"]),
    ("<a href='&#0000000000000000000000000000000000000000049;&#99999999999999999999;'>", ["1\ufffd"]),
    ("<a href='a\0b'>", ["a\ufffdb"]),
    ("<a href='a\r\nb\rc'>", ["a\nb\nc"]),
    ("<a href=é>", ["é"]),
]


@pytest.mark.parametrize(("page", "links"), LINKS)
def test_links(page: str, links: list[str]) -> None:
    """What is a link, by the rules of the tokenizer, one by one."""
    assert scan(page.encode(), "utf-8").links == links


def test_other_references() -> None:
    """Other elements count when they are asked for, and only then. An empty src or action leads to nothing new."""
    page = (
        b"<link href=1><iframe src=2></iframe><frame src=3><img src=4 srcset='5 2x, 6 , 7 (a,b) 1x, 8'>"
        b"<script src=9></script><form action=10><img src=''><form action><image src=11><a href=12>"
    )
    assert scan(page, want=EVERYTHING).links == [str(n) for n in range(1, 13)]
    assert scan(page, want=frozenset({"img"})).links == ["4", "5", "6", "7", "8", "11"]
    assert scan(page, want=frozenset()).links == []
    assert scan(page).links == ["12"]


def test_nofollow() -> None:
    """A link is nofollow when every element that has it says so, in whatever order and spelling."""
    page = (
        b'<a href=1 rel=nofollow><a href="2"><a href="2" rel="nofollow"><a rel="x NoFollow" href=3><a href=3 rel="nofollow">'
        b'<a href=4 rel=nofollow><a href="4"><a rel="noopener noreferrer" href="5"><a href="6" rel="xnofollow"><a href=7 rel="no&#102;ollow">'
    )
    assert scan(page).nofollow == {"1", "3", "7"}
    assert len(scan(page).links) == 7


@pytest.mark.parametrize(
    ("page", "title"),
    [
        ("<title>a</title><title>b</title>", "a"),
        ("<title>\n a \t b\xa0</title>", "a b\xa0"),
        ("<TITLE lang=en>a &amp; b&nbsp;&notit; <i></title >", "a & b\xa0¬it; <i>"),
        ("<title></title>", ""),
        ("<svg><title>x</title></svg><body><title>a", "a"),
        ("<template><title>x</title></template>", None),
        ("<script><title>x</title></script>", None),
        ("<title", None),
    ],
)
def test_title(page: str, title: str | None) -> None:
    """The first title of the HTML document, its white space collapsed as `document.title` has it."""
    assert scan(page.encode(), "utf-8").title == title


def test_an_endless_title_is_cut() -> None:
    """A title that is never closed does not carry the whole page into the record."""
    assert len(scan(b"<title>" + b"x" * 1_000_000).title or "") == 10_000


def test_robots() -> None:
    """The directives of every meta for robots or for us add up; those for others do not count."""
    page = (
        b"<meta name=ROBOTS content='NoIndex, ,max-snippet:5'><meta name=other content=noarchive><body>"
        b"<meta name='crawler' content=none><template><meta name=robots content=nosnippet></template><meta name=&#114;obots content=x>"
    )
    assert scan(page).robots == {"noindex", "max-snippet:5", "x"}
    assert scan(page, agent="Crawler").robots == {"noindex", "max-snippet:5", "x", "nofollow", "none"}
    assert scan(b"<meta name content=noindex><p>").robots == frozenset()


def test_canonical_and_refresh() -> None:
    """The first canonical link and the first refresh with a URL count."""
    page = (
        b"<link rel=stylesheet href=x><link rel='Alternate CANONICAL' href=' /c?a&amp;b '><link rel=canonical href=y>"
        b"<meta http-equiv=Refresh content='5'><meta http-equiv=refresh content='0; URL=\"/r\"'><meta http-equiv=refresh content='0;z'>"
    )
    assert (scan(page).canonical, scan(page).refresh) == ("/c?a&b", "/r")
    assert (scan(b"<p>").canonical, scan(b"<p>").refresh) == (None, None)


@pytest.mark.parametrize(
    ("page", "links"),
    [
        ("", ["http://example.com/a/x", "http://h/"]),
        ("<base href=/b/><base href=/c/>", ["http://example.com/b/x", "http://h/"]),
        ("<base target=t><base href=//g/>", ["http://g/x", "http://h/"]),
        ("<base href='http://['>", ["http://example.com/a/x", "http://h/"]),
        ("<base href=data:x>", ["http://example.com/a/x", "http://h/"]),
        ("<base href=file:///x>", ["http://h/"]),
    ],
)
def test_base(page: str, links: list[str]) -> None:
    """The first base with a href is what all references are relative to; with a base of another scheme, few lead anywhere."""
    found = scan(f"<a href=x>{page}<a href=http://h/>".encode())
    assert [url.href for url in resolve(found, PAGE)] == links


def test_resolve_leaves_out_what_cannot_be_fetched() -> None:
    """Other schemes and what is no URL are not links of a crawl; the same URL in other words is the same."""
    page = PageLinks(
        ["mailto:a@b", "javascript:x", "http://[", "x", "./x", "/a/x", "HTTP://EXAMPLE.com/a/x", "", "?p", "tel:1"]
    )
    assert [url.href for url in resolve(page, PAGE)] == [f"http://example.com/a/{rest}" for rest in ("x", "b?q", "b?p")]
    assert base_of(page, PAGE) is PAGE


references = st.lists(
    st.sampled_from(
        [
            "/",
            "..",
            "../",
            "./",
            ".",
            "a",
            "b.html",
            "?",
            "x=1",
            "&",
            "//",
            "~",
            "%2e",
            "\\",
            ":",
            "http:",
            "é",
            " ",
            ".a",
            "c:/",
        ]
    ),
    max_size=5,
).map("".join)
bases = st.sampled_from(
    ["http://h/", "http://h/a/b/c.html?q=/1", "https://u:p@h:81/a//b", "http://h//", "http://[::1]:8/é/x"]
)


@given(references, bases)
def test_resolve_is_join(reference: str, base: str) -> None:
    """The short way of putting strings together gives what the URL Standard's parser gives."""
    url = parse(base)
    try:
        expected = [join(url, reference)]
    except CodedError:
        expected = []
    assert resolve(PageLinks([reference]), url) == expected


@pytest.mark.parametrize(
    ("body", "charset", "link", "title"),
    [
        ("<a href='é?é'><title>é</title>".encode("latin1"), "iso-8859-1", "é?%E9", "é"),
        ("<meta charset=latin1><a href='é?é'><title>é</title>".encode("latin1"), None, "é?%E9", "é"),
        ("<a href='é?é'><title>é</title>".encode(), None, "é?é", "é"),
        ("<a href='é?é'><title>é</title>".encode("utf-8-sig"), "latin1", "é?é", "é"),
        ("<a href='é?é'><title>é</title>".encode("utf-16"), None, "é?é", "é"),
        ("<a href='é?é'><title>é</title>".encode("utf-16-be"), "utf-16be", "é?é", "é"),
        ("<a href='表?表'><title>表</title>".encode("cp932"), "shift_jis", "表?%95\\", "表"),
        ("<title>ÿþx</title><a href='ÿþx'>".encode("latin1"), "latin1", "ÿþx", "ÿþx"),
        # What stands there as a character reference, and what the charset does not have, or no charset has.
        (b"<a href='?q=&eacute;&amp;r=x#&eacute;'><title>e</title>", "latin1", "?q=%E9&r=x", "e"),
        (b"<a href='/&eacute;?q=&eacute;'><title>e</title>", "utf-8", "/é?q=é", "e"),
        (b"<a href='?&euro;&#x3b1;'><title>e</title>", "latin1", "?%80%26%23945%3B", "e"),
        (b"<a href='?&#x3b1;&euro;'><title>e</title>", "gbk", "?%A6%C1%26%238364%3B", "e"),
        (b"<a href='?\xff'><title>e</title>", "shift_jis", "?%26%2365533%3B", "e"),
        (b"<a href='?\x81'><title>e</title>", "latin1", "?%81", "e"),
        # 0x3C and 0x3E inside of characters: only text tells that these are no tags.
        ("<a href='1'>い<title>い</title>".encode("iso2022_jp"), "iso-2022-jp", "1", "い"),
    ],
)
def test_charsets(body: bytes, charset: str | None, link: str, title: str) -> None:
    """Text is in the page's charset; the query of a link is encoded in it, too, as browsers send it."""
    page = scan(body, charset)
    assert (page.links, page.title) == ([link], title)


@pytest.mark.parametrize("limit", [0, 1, 3])
def test_limit(limit: int) -> None:
    """A page with as many links as are wanted is whole; one with more says that it was cut."""
    plain = "".join(f'<a href="{n}">' for n in range(limit))
    for one_more in ('<a href="x">', "<a href=x>", "<img srcset='x, y'>", "<svg><a href=x></svg>"):
        whole, cut = (scan((plain + rest).encode(), want=A_AREA | {"img"}, limit=limit) for rest in ("", one_more))
        assert (len(whole.links), whole.truncated) == (limit, False)
        assert (cut.links, cut.truncated) == (whole.links, True)


def repeat(piece: bytes, before: bytes = b"", after: bytes = b"") -> Callable[[int], bytes]:
    return lambda times: before + piece * times + after


HOSTILE: dict[str, Callable[[int], bytes]] = {
    "lt": repeat(b"<"),
    "tags": repeat(b"<p"),
    "quotes": repeat(b'<p a="'),
    "pairs": repeat(b'<p a"b"'),
    "tag never closed": repeat(b"<a x=1 "),
    "link never closed": repeat(b'<a href="'),
    "link in single quotes": repeat(b"<a href='"),
    "spaces": repeat(b" ", b"<a"),
    "attributes": repeat(b" x='1'", b"<a", b" href=y>"),
    "plain attributes": repeat(b' x="1"', b"<a", b' href="y">'),
    "attributes never closed": repeat(b' x="1"', b"<p"),
    "different attributes": lambda times: b"<a" + b"".join(b" x%d=1" % n for n in range(times)) + b" href=y>",
    "same attribute": repeat(b' href="y"', b"<a", b">"),
    "equals signs": repeat(b" =", b"<a", b">"),
    "comments never closed": repeat(b"<!--"),
    "comments": repeat(b"<!--x--!>", b"", b"-->"),
    "dashes": repeat(b"-", b"<!--"),
    "bogus comments": repeat(b"<!x></ ></>"),
    "scripts never closed": repeat(b"<script>"),
    "scripts": repeat(b"<script>x<</script>"),
    "scripts in comments": repeat(b"<script><!--<script></script>"),
    "titles": repeat(b"<title>x<</title>"),
    "raw text never closed": repeat(b"<style></styl"),
    "nesting": repeat(b"<div>"),
    "svg": lambda times: b"<svg>" * times + b"</math>" * times,
    "svg and html": repeat(b"<svg><p>"),
    "svg ends": repeat(b"</g>", b"<svg>"),
    "svg in desc": lambda times: b"<svg><desc>" * times + b"</desc>" * times,
    "cdata": repeat(b"<![CDATA[]]>", b"<svg>"),
    "cdata never closed": repeat(b"<![CDATA[", b"<svg>"),
    "templates": lambda times: b"<template>" * times + b"</template>" * times,
    "links": lambda times: b"".join(b'<a href="/%d">' % n for n in range(times)),
    "odd links": lambda times: b"".join(b"<a href=/%d?a=b&amp;c>" % n for n in range(times)),
    "references": repeat(b"&amp", b"<a href='", b"'>"),
    "digits": repeat(b"9", b"<a href='&#", b"'>"),
    "srcset": repeat(b"a(, ", b"<img srcset='", b"'>"),
    "commas": repeat(b",", b"<img srcset='", b"'>"),
    "refresh": repeat(b" ", b"<meta http-equiv=refresh content='0", b"'>"),
    "rel": repeat(b"a ", b'<a rel="', b'" href="x">'),
    "bytes": repeat(b"\xe9", b"<a href='?", b"'>"),
}


def seconds(page: bytes) -> float:
    start = time.process_time()
    scan(page, "latin1", want=EVERYTHING, limit=10**9)
    return time.process_time() - start


@pytest.mark.parametrize("kind", HOSTILE)
def test_linear_time(kind: str) -> None:
    """Twice the bytes take about twice the time, whatever they say."""
    times = 1_000
    small, large = HOSTILE[kind](times), HOSTILE[kind](4 * times)
    for _ in range(4):  # a machine that is busy elsewhere may spoil one measurement
        ratio = min(seconds(large) for _ in range(3)) / max(min(seconds(small) for _ in range(3)), 2e-5)
        if ratio < 8:  # 4 would be linear, 16 quadratic
            return
    pytest.fail(f"4 times the bytes took {ratio:.1f} times the time")


@pytest.mark.parametrize(
    ("kind", "times"),
    [
        ("lt", 1_000_000),
        ("comments never closed", 1_000_000),
        ("link never closed", 1_000_000),
        ("links", 1_000_000),
        ("plain attributes", 200_000),
        ("nesting", 100_000),
        ("scripts never closed", 100_000),
        ("svg in desc", 10_000),
    ],
)
def test_huge_pages(kind: str, times: int) -> None:
    """Megabytes of malice take the time of a fetch; beyond the limit of links a page is not even read."""
    page = HOSTILE[kind](times)
    start = time.process_time()
    found = scan(page)
    assert time.process_time() - start < 2
    assert len(found.links) == min(times, 10_000) if kind == "links" else len(found.links) <= 1


def test_a_base_longer_than_any_request() -> None:
    """Each of ten thousand links would be as long as it: nothing is relative to such a base."""
    short, long = (
        b"<base href='/" + b"a/" * folders + b"'><a href=../x><a href=http://b.example/>" for folders in (1000, 10_000)
    )
    page = parse("http://a.example/p")
    assert [len(link.href) for link in resolve(scan(short), page)] == [len("http://a.example/") + 2 * 999 + 1, 17]
    assert [link.href for link in resolve(scan(long), page)] == ["http://b.example/"]
