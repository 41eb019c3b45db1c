"""References are found and replaced, in pages, style sheets and drawings; nothing else changes, and nothing takes long."""

from __future__ import annotations

import time

import pytest

from crawler.page.offline.editing import Document, Reference, edit
from crawler.page.offline.markup import Kind
from crawler.page.offline.requisites import requisites
from crawler.urls import parse

URL = parse("http://h.test/a/page.html")


def marked(reference: Reference) -> str:
    """Each reference becomes the path of its URL, behind a mark."""
    return f"L{reference.url.target}{reference.fragment}"


def edited(body: str | bytes, syntax: str = "html", charset: str | None = "utf-8", visit=marked) -> str:
    raw = body if isinstance(body, bytes) else body.encode()
    return edit(Document(raw, URL, syntax, charset), visit).decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('<a href="b.html#x">', '<a href="L/a/b.html#x">'),
        ("<a href=b.html>", "<a href=L/a/b.html>"),
        ("<A HREF='b.html?q=1&amp;r=2'>", "<A HREF='L/a/b.html?q=1&amp;r=2'>"),
        ('<a href=" b.html\n">', '<a href="L/a/b.html">'),
        ('<area href="/c">', '<area href="L/c">'),
        ('<img src="i.png" srcset="i.png 1x, j.png 2x">', '<img src="L/a/i.png" srcset="L/a/i.png 1x, L/a/j.png 2x">'),
        ('<source srcset="i.png,">', '<source srcset="L/a/i.png,">'),
        ('<video src="v.mp4" poster="p.png">', '<video src="L/a/v.mp4" poster="L/a/p.png">'),
        ('<object data="o.svg">', '<object data="L/a/o.svg">'),
        ('<td background="b.png">', '<td background="L/a/b.png">'),
        ('<p style="background: url(b.png)">', '<p style="background: url(L/a/b.png)">'),
        ('<style>a{b:url("c.png")}</style>', '<style>a{b:url("L/a/c.png")}</style>'),
        ('<meta http-equiv=refresh content="5; url=n.html">', '<meta http-equiv=refresh content="5; url=L/a/n.html">'),
        ('<svg><image xlink:href="i.png"/><use href="s.svg#a"/></svg>',
         '<svg><image xlink:href="L/a/i.png"/><use href="L/a/s.svg#a"/></svg>'),
        ('<base href="/x/"><a href="y">', '<base href=""><a href="L/x/y">'),
        ('<base href=/x/><a href="#y">', '<base href=""><a href="L/x/#y">'),
        ('<iframe srcdoc="&lt;img src=i.png>"></iframe>', '<iframe srcdoc="&#60;img src=L/a/i.png&#62;"></iframe>'),
        ('<link rel=stylesheet href=s.css integrity="sha256-x" crossorigin>',
         '<link rel=stylesheet href=L/a/s.css data-integrity="sha256-x" data-crossorigin>'),
        ("<form action=go>", "<form action=L/a/go>"),
    ],
)  # fmt: skip
def test_what_refers_to_something(before, after):
    """Its value changes, and nothing beside it."""
    around = "<p class='x' >\u00e9 &amp; {} <!-- <a href=z> --></P>"
    assert edited(around.format(before)) == around.format(after)


@pytest.mark.parametrize(
    "same",
    [
        '<a href="#x">',
        '<a href="">',
        '<a href="mailto:a@b">',
        '<a href="javascript:go()">',
        '<img src="data:image/png;base64,AAAA">',
        "<!-- <a href=b> -->",
        "<script>'<a href=b>'</script>",
        "<textarea><a href=b></textarea>",
        '<p title="<a href=b>">',
        '<rect fill="url(#g)"/>',
        "<a name=b>",
    ],
)
def test_what_stays(same):
    assert edited(same) == same


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("@import 'b.css';", "@import 'L/a/b.css';"),
        ("@import url(b.css) print;", "@import url(L/a/b.css) print;"),
        ('@import/**/"b.css";', '@import/**/"L/a/b.css";'),
        ("a{b:URL( b.png )}", "a{b:URL( L/a/b.png )}"),
        ("a{b:url('b c.png')}", "a{b:url('L/a/b%20c.png')}"),
        (r"a{b:url(b\29.png)}", "a{b:url(L/a/b%29.png)}"),
        ('a{b:image-set("b.avif" type("image/avif"), url(c.png) 2x)}',
         'a{b:image-set("L/a/b.avif" type("image/avif"), url(L/a/c.png) 2x)}'),
        ('@font-face{src:url(f.eot?#iefix) format("x")}', '@font-face{src:url(L/a/f.eot?#iefix) format("x")}'),
    ],
)  # fmt: skip
def test_style_sheets(before, after):
    assert edited(before, "css") == after


@pytest.mark.parametrize(
    "same",
    [
        "/* url(b.png) */",
        'a{content:"url(b.png)"}',
        "@namespace url(http://www.w3.org/1999/xhtml);",
        "a{fill:url(#g)}",
        "a{b:url()}",
        "a{b:my-url(b.png)}",
        "a{b:url(data:x)}",
    ],
)
def test_what_stays_in_style_sheets(same):
    assert edited(same, "css") == same


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("default-src 'self'", "default-src 'self' file:"),
        ("img-src cdn.test; script-src 'none'", "img-src cdn.test file:; script-src 'none'"),
        ("script-src 'nonce-x' 'strict-dynamic'", "script-src 'nonce-x' 'strict-dynamic'"),
        ("upgrade-insecure-requests", "upgrade-insecure-requests"),
    ],
)
def test_a_policy_lets_files_be_loaded_and_no_more(before, after):
    """What it forbade, such as scripts inside of the page, it still forbids."""
    page = '<meta http-equiv="Content-Security-Policy" content="{}">'
    assert edited(page.format(before)) == page.format(after).replace("'", "&#39;" if before != after else "'")


def test_the_original_is_named():
    """rel=canonical says where a page is from: it is told apart."""
    kinds = []
    edited("<link rel=canonical href=b><link rel=icon href=c><a href=d>", visit=lambda r: kinds.append(r.kind))
    assert kinds == [Kind.NAME, Kind.REQUISITE, Kind.LINK]


@pytest.mark.parametrize("charset", ["utf-8", "windows-1251", "shift_jis", "gbk", "utf-16le", "iso-2022-jp"])
def test_the_charset_is_kept(charset):
    text = (
        '<p>\u0416\u043e<a href="b.html">\u0434</a>'
        if charset == "windows-1251"
        else '<p>\u4e2d<a href="b.html">\u4e2d</a>'
    )
    mark = b"\xff\xfe" if charset == "utf-16le" else b""
    body = mark + text.encode(charset)
    after = edit(Document(body, URL, "html", charset), marked)
    assert after == mark + text.replace("b.html", "L/a/b.html").encode(charset)


@pytest.mark.parametrize("hostile", ['"', "'", "<", ">", "`", "\\", "\n", " ", "\u00e9"])
def test_what_is_put_in_ends_nothing(hostile):
    """Whatever a fragment or a path has, it stays inside of the value, of the style, of the element."""
    evil = f"b{hostile}x=1#f{hostile}onload=alert(1)"
    for form in ('<a href="{}">', '<p style="b:url(&quot;{}&quot;)">', "<img srcset='{} 1x'>"):
        after = edited(form.format("b.html"), visit=lambda _: evil)
        assert after.count("<") == 1
        assert after.count(">") == 1
        assert after.count('"') + after.count("'") == form.count('"') + form.count("'")
    sheet = edited("<style>a{b:url(b.png)}</style>", visit=lambda _: f"</style><script>{evil})")
    assert sheet.count("<") == 2


def test_requisites():
    body = b"""<base href=/r/><link rel=stylesheet href=s.css><a href=page><img src=i.png><iframe src=f.html></iframe>
    <img src=i.png><style>@import 't.css'</style>"""
    document = Document(body, URL, "html", None)
    assert [url.target for url in requisites(document)] == ["/r/s.css", "/r/i.png", "/r/f.html", "/r/t.css"]
    assert [url.target for url in requisites(document, frames=False)] == ["/r/s.css", "/r/i.png", "/r/t.css"]


@pytest.mark.parametrize(
    ("syntax", "piece"),
    [
        ("html", b"<a href="),
        ("html", b"<a "),
        ("html", b"<p style='"),
        ("html", b"<style>"),
        ("html", b"<svg><style><![CDATA["),
        ("html", b'<iframe srcdoc="'),
        ("html", b'<img srcset="a(,'),
        ("html", b"<script><!--"),
        ("html", b"<![CDATA["),
        ("xml", b"<![CDATA["),
        ("xml", b"<?xml-stylesheet "),
        ("css", b"'\\\n"),
        ("css", b"image-set("),
        ("css", b"url("),
        ("css", b"@import /*"),
        ("css", b"@namespace "),
        ("css", b"/*"),
        ("css", b"'\\"),
        ("css", b"url(\\"),
        ("css", b"@import/**/"),
    ],
)
def test_hostile_pages_take_linear_time(syntax, piece):
    """Four times as much takes about four times as long, not sixteen."""

    def seconds(size: int) -> float:
        document = Document(piece * (size // len(piece)), URL, syntax, "utf-8")
        begun = time.process_time()
        edit(document, marked)
        return time.process_time() - begun

    seconds(10_000)
    assert seconds(400_000) < 10 * max(seconds(100_000), 0.004)
