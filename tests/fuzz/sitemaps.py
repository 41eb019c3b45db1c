"""A sitemap: nothing raises, and the same is found however the bytes come."""

from __future__ import annotations

import gzip

from crawler.errors import CodedError
from crawler.seeds.sitemaps import SitemapParser, entries, parse

from .tools import check_error, segmentations

NS = b'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'
URLSET = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<urlset '
    + NS
    + b' xmlns:image="i"><url><loc> https://a.example/?a=1&amp;b=2 </loc>'
    b"<lastmod>2026-01-01</lastmod><image:image><image:loc>i.png</image:loc></image:image></url>\n<url><loc><![CDATA[http://b/]]>"
    b"</loc></url><url/><!-- c --></urlset>"
)
SAMPLES = (
    URLSET,
    b"<sitemapindex "
    + NS
    + b"><sitemap><loc>https://a.example/1.xml.gz</loc></sitemap><sitemap><loc/></sitemap></sitemapindex>",
    b'<rss version="2.0"><channel><link>http://c/</link><item><link>http://a/?x=1&y=2</link><pubDate>x</pubDate></item></channel></rss>',
    (
        b'<feed xmlns="http://www.w3.org/2005/Atom"><entry><link rel="self" href="http://s/"/><link href="http://a/"/><updated>u</updated>'
        b"</entry></feed>"
    ),
    b"https://a.example/1\r\nhttps://a.example/2\n\nnot a URL\nHTTP://B/",
    '<?xml version="1.0" encoding="UTF-16"?><urlset><url><loc>http://ü/</loc></url></urlset>'.encode("utf-16"),
    b'<!DOCTYPE urlset [<!ENTITY a "b">]><urlset><url><loc>&a;</loc></url></urlset>',
    b'<!DOCTYPE urlset SYSTEM "http://e.example/x.dtd"><urlset><url><loc>http://a/&x;</loc></url></urlset>',
    gzip.compress(URLSET, mtime=0),
    '<?xml version="1.0" encoding="gbk"?><urlset><url><loc>http://h/\u4e2d</loc>\n<loc>b</loc></url></urlset>'.encode(
        "gbk"
    ),
    '<?xml version="1.0" encoding="iso-2022-jp"?>\n<urlset><url> http://h/\u65e5 \n</url></urlset>'.encode(
        "iso2022_jp"
    ),
    b"<rss><channel><item><guid>http://a/</guid></item><item><guid isPermaLink='false'>b</guid></item></channel></rss>",
    b"<sitemapindex><sitemap> https://a.example/1.xml </sitemap><sitemap>text<loc>http://b/</loc></sitemap></sitemapindex>",
)
TOKENS = (
    b"<url>", b"</url>", b"<loc>", b"</loc>", b"<loc/>", b"<sitemap>", b"</urlset>", b"<urlset>", b"<item>", b"<entry>", b"<link href='a'/>",
    b"&", b"&amp;", b"&#0;", b"&#x110000;", b"&lt", b"&nbsp;", b"<![CDATA[", b"]]>", b"<!--", b"-->", b"<?x", b"?>", b"<!DOCTYPE a>",
    b"encoding='x'", b"encoding='utf-7'", b"encoding='utf-16'", b"\x00", b"\xff\xfe", b"\xef\xbb\xbf", b"\xff", b"<", b">", b"\n", b"\r",
    b"http://a/", b"<guid>", b"</guid>", b"encoding='shift_jis'", b"\x1b$B", b"\x1f\x8b", b"<a:b xmlns:a='c'>", b"<x>" * 70, b"\xed\xa0\x80",
)  # fmt: skip
ERRORS = ("parse_error", "decode_error", "body_truncated", "body_too_large")


def fuzz(data: bytes) -> None:
    whole = parse(data)
    if whole.error is not None:
        check_error(whole.error, *ERRORS)
    for text in (*whole.sitemaps, *(entry.loc for entry in whole.urls)):
        assert text == text.strip() != ""
        text.encode()
    assert len(parse(data, limit=1).urls) + len(parse(data, limit=1).sitemaps) <= 1
    for pieces in segmentations(data):
        parser = SitemapParser()
        for piece in pieces:
            parser.feed(piece)
        found = parser.close()
        if data.startswith(b"\x1f\x8b") and whole.error is not None:
            # How much comes out of gzip before a fault depends on how much zlib was given at once.
            assert found.error is not None
            for some, others in ((found.urls, whole.urls), (found.sitemaps, whole.sitemaps)):
                shorter = min(len(some), len(others))
                assert some[:shorter] == others[:shorter]
            continue
        assert (found.urls, found.sitemaps, found.skipped) == (whole.urls, whole.sitemaps, whole.skipped)
        assert (found.error and found.error.code) == (whole.error and whole.error.code)
    listed = []
    try:
        for loc, line in entries([data]):
            assert 1 <= line <= 1 + data.count(b"\n") + data.count(b"\r")
            listed.append(loc)
    except CodedError as error:
        check_error(error, "parse_error")
