"""A page: its links, title and directives; and the links resolved, each as the URL standard does it one by one."""

from __future__ import annotations

from crawler.errors import CodedError
from crawler.page.links import A_AREA, REFERENCES, scan
from crawler.page.resolving import base_of, resolve
from crawler.urls import join, parse

SAMPLES = (
    (
        b'<!doctype html><html><head><title>A &amp; B</title><base href="/x/"><meta name=robots content="noindex, nofollow">'
        b'<link rel=canonical href="/c"><meta http-equiv=refresh content="5; url=next.html"></head><body>'
        b'<a href="one.html">1</a><a rel=nofollow href=two>2</a><area href="?q=1#f"><img src=a.png srcset="b.png 1x, c.png 2x">'
        b'<a href="../up/./d.html?x=y&amp;copy=1">'
    ),
    (
        b'<svg><a href="in-svg"><foreignObject><p><a href="html-in-svg"></p></foreignObject><title><a href=x></title></svg>'
        b"<math><mi><a href=m></mi><annotation-xml encoding=text/html><a href=n></annotation-xml></math>"
    ),
    b'<template><a href="inert"></template><template shadowrootmode=open><a href="shown"></template><noscript><a href=ns>',
    (
        b'<script><!-- <script> </script> <a href="no"> --></script><style><a href=no></style><textarea><a href=no></textarea>'
        b"<!-- <a href=no> --><a href=yes><![CDATA[ <a href=x> ]]><plaintext><a href=no>"
    ),
    b"\xef\xbb\xbf<a href='caf\xc3\xa9'><a href=\"caf\xe9?x=\xe9\">\x00<a\x00href=a><a href=' \t\n#top '><A HREF=\"HTTP://B.EXAMPLE/\">",
    '<meta charset=utf-16><a href="ü">'.encode("utf-16"),
    b"<meta charset=shift_jis>\x82\xa0<a href='\x82\xa0?\x82\xa0'>\x1b$B$\"\x1b(B<a href=j>",
    (
        b'<form action=f></form><iframe src=i></iframe><frame src=j><script src=s></script><embed><a href="mailto:x@y.example">'
        b'<a href="javascript:void(0)"><a href="//h.example:81/p"><a href="http://u:p@h/"><a href="data:,">'
    ),
)
TOKENS = (
    b"<a href=", b'<a href="', b"<a href='", b'"', b"'", b">", b"<", b"</", b"/>", b"<!--", b"-->", b"--!>", b"<!-->", b"<![CDATA[",
    b"]]>", b"<script>", b"</script>", b"<style>", b"</style>", b"<title>", b"</title>", b"<svg>", b"</svg>", b"<math>",
    b"<mi>", b"<template>", b"</template>", b"<foreignObject>", b"<base href=", b"<plaintext>", b"<noscript>", b"<font color=a>",
    b" rel=nofollow", b' rel="nofollow x"', b"&amp;", b"&#x", b"&#0;", b"&copy", b"&", b";", b"=", b"/", b"\x00", b"\r", b"\n",
    b"\t", b" ", b"\x1b", b"\xff\xfe", b"\xef\xbb\xbf", b"\x80", b"#", b"?", b"../", b"./", b"//", b"\\", b"srcset=", b"<?", b"<!",
    b"<p>", b"<img src=", b"\xe2\x80\xa8", b"https:", b"javascript:",
)  # fmt: skip
ALL = frozenset(REFERENCES)
URLS = (parse("https://a.example/d/e/f.html?q=1"), parse("http://[::1]:81/"))
LIMIT = 5


def fuzz(data: bytes) -> None:
    for charset in (None, "latin-1", "utf-8"):
        for want in (A_AREA, ALL):
            page = scan(data, charset, want=want, agent="crawler")
            assert len(set(page.links)) == len(page.links) <= 10_000
            assert page.nofollow <= set(page.links)
            assert all("#" not in link for link in page.links)
            for text in (page.base, page.title, page.canonical, page.refresh, *page.links, *page.robots):
                assert text is None or text.encode() is not None  # no lone surrogates
            some = scan(data, charset, want=want, agent="crawler", limit=LIMIT)
            assert some.links == page.links[:LIMIT]
            assert some.truncated == (len(page.links) > LIMIT)
    for url in URLS:
        base = base_of(page, url)
        slowly: dict[str, None] = {}
        for reference in page.links:
            try:
                link = join(base, reference) if base else parse(reference.strip())
            except CodedError as error:
                assert error.code in {"url_invalid", "scheme_unsupported"}
                continue
            slowly.setdefault(link.href)
        found = resolve(page, url)
        if base is not None:
            assert [link.href for link in found] == list(slowly)
        for link in found:
            same = parse(link.href)
            assert (same.href, same.host, same.port, same.target) == (link.href, link.host, link.port, link.target)
