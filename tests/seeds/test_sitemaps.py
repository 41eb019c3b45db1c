"""sitemaps.py: every form of sitemap that sites serve, faults in the middle, and files made to hurt."""

from __future__ import annotations

import gzip
import time
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.seeds.sitemap_xml import MAX_TOKEN
from crawler.seeds.sitemaps import Entry, Sitemap, SitemapParser, parse

NAMESPACE = 'xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"'


def urlset(*entries: str, attributes: str = NAMESPACE) -> bytes:
    body = "".join(f"<url>{entry}</url>" for entry in entries)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<urlset {attributes}>{body}</urlset>\n'.encode()


def locs(sitemap: Sitemap) -> list[str]:
    return [entry.loc for entry in sitemap.urls]


def in_pieces(body: bytes, size: int, limit: int = 50_000) -> Sitemap:
    parser = SitemapParser(limit=limit)
    for start in range(0, len(body), size):
        parser.feed(body[start : start + size])
    return parser.close()


def outcome(sitemap: Sitemap) -> object:
    code = sitemap.error and sitemap.error.code
    return (sitemap.urls, sitemap.sitemaps, sitemap.skipped, sitemap.warnings, code)


class TestForms:
    def test_a_urlset(self):
        """The example of sitemaps.org: pages and when they changed; what else is said of them is passed over."""
        body = urlset(
            "<loc>http://h/?a=1&amp;b=2</loc><lastmod>2005-01-01</lastmod><changefreq>daily</changefreq>",
            "\n <loc> \n http://h/\u00e9 \n </loc><priority>0.3</priority>\n",
        )
        assert parse(body) == Sitemap([Entry("http://h/?a=1&b=2", "2005-01-01"), Entry("http://h/\u00e9")])

    def test_an_index(self):
        """An index names further sitemaps."""
        body = f"""<sitemapindex {NAMESPACE}><sitemap><loc>http://h/1.xml.gz</loc><lastmod>2004-10-01</lastmod></sitemap>
            <sitemap><loc>http://h/2.xml</loc></sitemap></sitemapindex>"""
        assert parse(body.encode()) == Sitemap(sitemaps=["http://h/1.xml.gz", "http://h/2.xml"])

    @pytest.mark.parametrize(
        "body",
        [
            urlset("<loc>http://h/</loc>", attributes=""),
            urlset("<loc>http://h/</loc>", attributes='xmlns="http://www.google.com/schemas/sitemap/0.84"'),
            b'<s:urlset xmlns:s="http://www.sitemaps.org/schemas/sitemap/0.9"><s:url><s:loc>http://h/</s:loc></s:url></s:urlset>',
            b"<x:urlset><x:url><x:loc>http://h/</x:loc></x:url></x:urlset>",
            b'\n\n <?xml version="1.0"?><urlset><url><loc>http://h/</loc></url></urlset>',
            b"\xef\xbb\xbf" + urlset("<loc>http://h/</loc>"),
            urlset("<loc><![CDATA[http://h/]]></loc>"),
            urlset("<loc>http://<!-- x -->h/</loc>"),
            urlset("<image:image><image:loc>http://h/i.png</image:loc></image:image><loc>http://h/</loc>"),
            urlset("<image:loc>http://h/i.png</image:loc><loc>http://h/</loc>"),
            b"<!DOCTYPE urlset>" + b"<urlset><url><loc>http://h/</loc></url></urlset>",
            '<?xml version="1.0" encoding="utf-16"?><urlset><url><loc>http://h/</loc></url></urlset>'.encode("utf-16"),
            b'<?xml version="1.0" encoding="windows-1251"?><urlset><url><loc>http://h/</loc></url></urlset>',
            b"<rss><channel><link>http://home/</link><item><link>http://h/</link></item></channel></rss>",
            b'<rdf:RDF xmlns="http://purl.org/rss/1.0/"><channel/><item><link>http://h/</link></item></rdf:RDF>',
            b'<feed><link href="http://home/"/><entry><link rel="self" href="/x"/><link href="http://h/"/></entry></feed>',
            b"http://h/",
            b"\xef\xbb\xbf  http://h/ \r\n\r\n",
        ],
    )
    def test_one_url(self, body):
        """With or without a namespace, a byte order mark, quoting: the same URL comes out, whole or byte by byte."""
        assert parse(body) == Sitemap([Entry("http://h/")])
        assert outcome(in_pieces(body, 1)) == outcome(parse(body))
        assert outcome(parse(gzip.compress(body))) == outcome(parse(body))

    def test_lists_of_urls(self):
        """A text sitemap has a URL on each line; other lines are counted, not taken."""
        body = b"http://h/1\r\nHTTPS://h/2\n\n# comment\n/3\rhttp://h/\xc3\xa9\nhttp://h/\xff"
        found = parse(body)
        assert locs(found) == ["http://h/1", "HTTPS://h/2", "http://h/\u00e9", "http://h/\ufffd"]
        assert (found.skipped, found.error) == (2, None)

    @pytest.mark.parametrize(
        ("body", "entry"),
        [
            (
                b"<rss><channel><item><title>x</title><link>http://h/1</link><pubDate>Mon, 06</pubDate></item></channel></rss>",
                Entry("http://h/1", "Mon, 06"),
            ),
            (
                b"<rdf:RDF><item><link>http://h/1</link><dc:date>2020</dc:date></item></rdf:RDF>",
                Entry("http://h/1", "2020"),
            ),
            (
                b"<feed><entry><link rel='alternate' href=' http://h/1 '/><updated>2003</updated></entry></feed>",
                Entry("http://h/1", "2003"),
            ),
        ],
    )
    def test_feeds(self, body, entry):
        """RSS and Atom feeds are sitemaps, too (sitemaps.org says so), with their dates."""
        assert parse(body).urls == [entry]

    @pytest.mark.parametrize(
        ("entry", "found"),
        [
            ("<loc>http://h/1</loc><lastmod>x</lastmod><loc>/2</loc>", ["http://h/1", "/2"]),
            ("<loc/><loc> http://h/1 </loc><loc></loc>", ["http://h/1"]),
            ("\n http://h/1?a&amp;b \n", ["http://h/1?a&b"]),
            ("<![CDATA[http://h/?a&amp;b&c]]>", ["http://h/?a&b&c"]),
            ("/1<lastmod>x</lastmod>", ["/1"]),
            ("//h/1", ["//h/1"]),
            ("http://h/1<loc>http://h/2</loc>http://h/3", ["http://h/2"]),
        ],
    )
    def test_every_loc_and_else_its_own_text(self, entry, found):
        """An entry may name several URLs, or be one itself, in a list of pages as in an index."""
        assert locs(parse(urlset(entry))) == found
        index = f"<sitemapindex><sitemap>{entry}</sitemap></sitemapindex>".encode()
        assert parse(index) == Sitemap(sitemaps=found)
        assert outcome(in_pieces(index, 1)) == outcome(parse(index))

    @pytest.mark.parametrize(
        "entry", ["some words", "http://h/1 and words", "<x>http://h/1</x>", "1", "mailto:a@h", ""]
    )
    def test_text_that_is_no_url(self, entry):
        """It is no URL: the entry is counted."""
        found = parse(urlset(entry, "<loc>http://h/</loc>"))
        assert (locs(found), found.skipped) == (["http://h/"], 1)

    @pytest.mark.parametrize(
        ("body", "found"),
        [
            ("<rss><channel><item><guid>http://h/1</guid></item></channel></rss>", "http://h/1"),
            (
                "<rss><channel><item><guid isPermaLink='true'> HTTPS://h/1 </guid><link/></item></channel></rss>",
                "HTTPS://h/1",
            ),
            ("<rss><channel><item><guid>http://h/1</guid><link>http://h/2</link></item></channel></rss>", "http://h/2"),
            ("<rss><channel><item><link>http://h/1</link><link>http://h/2</link></item></channel></rss>", "http://h/1"),
            ("<rss><channel><item><guid isPermaLink='false'>http://h/1</guid></item></channel></rss>", None),
            ("<rss><channel><item><guid>tag:h,1</guid></item></channel></rss>", None),
            ("<feed><entry><id>http://h/1</id></entry></feed>", "http://h/1"),
            ("<feed><entry><id>urn:uuid:1</id></entry></feed>", None),
            ("<feed><entry><id>http://h/1</id><link href=''/><link href='/2'/><link href='/3'/></entry></feed>", "/2"),
            ("<rdf:RDF><item rdf:about='http://h/1'><title/></item></rdf:RDF>", "http://h/1"),
            ("<rdf:RDF><item rdf:about='http://h/1'><link>http://h/2</link></item></rdf:RDF>", "http://h/2"),
        ],
    )
    def test_a_feed_with_no_link(self, body, found):
        """What identifies an item is its page if it is a URL and does not say that it is none."""
        read = parse(body.encode())
        assert (locs(read), read.skipped) == (([], 1) if found is None else ([found], 0))

    def test_other_languages_are_not_the_page(self):
        """Each has an entry of its own, as search engines demand."""
        other = '<xhtml:link rel="alternate" hreflang="de" href="http://h/de"/><loc>http://h/en</loc>'
        assert parse(urlset(other)) == Sitemap([Entry("http://h/en")])

    def test_entries_without_a_url(self):
        """They are counted."""
        found = parse(urlset("", "<loc></loc>", "<lastmod>x</lastmod>", "<loc>http://h/</loc>"))
        assert (locs(found), found.skipped, found.error) == (["http://h/"], 3, None)

    def test_a_urlset_that_names_sitemaps(self):
        """What an entry is called counts, even under the wrong root."""
        body = b"<urlset><sitemap><loc>http://h/s.xml</loc></sitemap><url><loc>http://h/</loc></url></urlset>"
        assert parse(body) == Sitemap([Entry("http://h/")], ["http://h/s.xml"])


class TestCharsets:
    @pytest.mark.parametrize(
        ("label", "codec", "text"),
        [
            ("GB2312", "gb2312", "\u4e2d\u6587"),
            ("GBK", "gbk", "\u9f8d\u4e2d"),
            ("gb18030", "gb18030", "\u3400"),
            ("Big5", "big5", "\u4e2d\u6587"),
            ("EUC-KR", "euc_kr", "\ud55c\uae00"),
            ("Shift_JIS", "shift_jis", "\u8868\u30bd"),
            ("EUC-JP", "euc_jp", "\u65e5\u672c"),
            ("ISO-2022-JP", "iso2022_jp", "\u65e5\u672c"),
            ("windows-1251", "cp1251", "\u0436"),
            ("latin1", "latin1", "\xe9"),
            ("UTF-8", "utf-8", "\U0001f600"),
            ("utf-16", "utf-8", "\xe9"),
            ("UTF-8", "utf-16", "\xe9"),
            ("gbk", "utf-16-le", "\u4e2d"),
            ("gbk", "utf-16-be", "\u4e2d"),
            ("gbk", "utf-8-sig", "\u4e2d"),
        ],
    )
    def test_what_it_says_and_what_it_is(self, label, codec, text):
        """All charsets of the web; a byte order mark and the bytes of UTF-16 itself tell more than a wrong label."""
        entries = "\n".join(f"<url><loc>http://h/{text}?a&{number}</loc></url>" for number in range(3))
        body = f'<?xml version="1.0" encoding="{label}"?><urlset>{entries}</urlset>'.encode(codec)
        assert locs(parse(body)) == [f"http://h/{text}?a&{number}" for number in range(3)]
        for size in (1, 7, 100):
            assert outcome(in_pieces(body, size)) == outcome(parse(body))

    @pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-8"])
    def test_a_list(self, codec):
        """A text may have a byte order mark, too, or several."""
        text = "\ufeff" if codec == "utf-8-sig" else ""
        assert locs(parse(f"{text}http://h/\xe9\r\n".encode(codec))) == ["http://h/\xe9"]

    def test_the_header_comes_before_the_declaration(self):
        """As for all XML (RFC 7303 section 3.2); a label that is none is not followed."""
        body = '<?xml version="1.0" encoding="gbk"?><urlset><url><loc>http://h/\xe9</loc></url></urlset>'.encode()
        assert locs(parse(body, charset="utf8")) == ["http://h/\xe9"]
        assert locs(parse("http://h/\u4e2d".encode("gbk"), charset="GBK")) == ["http://h/\u4e2d"]
        assert locs(parse(body, charset="nonsense")) == ["http://h/\u8305"]

    def test_one_wrong_character_is_not_the_end(self):
        """It becomes U+FFFD in its own entry, and all others are read."""
        body = urlset("<loc>http://h/\xff</loc>", "<loc>http://h/2</loc>").replace("\xff".encode(), b"\xe9")
        assert locs(parse(body)) == ["http://h/\ufffd", "http://h/2"]


class TestAmpersands:
    @pytest.mark.parametrize(
        ("written", "meant"),
        [
            ("?a=1&b=2", "?a=1&b=2"),
            ("?a&&amp;&#38;&#x26;&#38", "?a&&&&&#38"),
            ("?&eacute;&lt;&foo;", "?&eacute;<&foo;"),
            ("<![CDATA[?a&b&amp;c]]>", "?a&b&c"),
            ("?a&", "?a&"),
        ],
    )
    def test_bare_ones_are_ampersands(self, written, meant):
        """The commonest fault in sitemaps costs nothing, wherever the pieces are cut."""
        body = urlset(f"<loc>http://h/{written}</loc>", "<loc>http://h/2</loc>")
        for size in (1, 7, len(body)):
            found = in_pieces(body, size)
            assert locs(found) == [f"http://h/{meant}", "http://h/2"]
            assert found.error is None

    def test_quoting_ends_with_its_element(self):
        """An ampersand escaped twice is meant so, except inside CDATA."""
        body = urlset("<loc><![CDATA[http://h/1]]></loc>", "<loc>http://h/?a&amp;amp;b</loc>")
        assert locs(parse(body)) == ["http://h/1", "http://h/?a&amp;b"]


class TestFaults:
    @pytest.mark.parametrize("label", ["bogus", "idna", "utf8mb4", "none"])
    def test_an_encoding_that_nobody_knows(self, label):
        """It says nothing, and URLs are ASCII: it is read as UTF-8, as most are."""
        body = f'<?xml version="1.0" encoding="{label}"?><urlset><url><loc>http://a.example/\xe9</loc></url></urlset>'
        assert parse(body.encode()) == parse(body.replace(label, "utf-8").encode())
        assert parse(body.encode()).error is None

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            (b"", "nothing in it"),
            (b" \n", "nothing in it"),
            (b"\x1f", "neither XML nor a list of URLs"),
            (b"not found", "neither XML nor a list of URLs"),
            (b"<html><body>", "its root element is <html>"),
            (b"<!doctype html><html>", "not well-formed XML"),
            (b"<", "not well-formed XML"),
            (b"x" * 100_000, "a line of more than"),
            (gzip.compress(b""), "nothing in it"),
        ],
    )
    def test_what_is_no_sitemap(self, body, words):
        """It is told in words what is wrong."""
        error = parse(body).error
        assert error is not None
        assert error.code == "parse_error"
        assert words in error.message

    @pytest.mark.parametrize(
        "fault",
        ["</wrong>", "<url><loc>\x01", "<url a=1>", "\x00", "<a" + " " * (MAX_TOKEN + 70_000), "]]>", "<a>" * 99],
    )
    def test_what_came_before_a_fault_is_kept(self, fault):
        """Half a sitemap is better than none; the error says where it broke."""
        body = urlset("<loc>http://h/1</loc>", "<loc>http://h/2</loc>").replace(b"</urlset>", fault.encode())
        found = parse(body + b"<url><loc>http://h/3</loc></url>")
        assert locs(found) == ["http://h/1", "http://h/2"]
        assert found.error is not None and found.error.code == "parse_error"
        assert found.error.message.isprintable()

    def test_cut_short(self):
        """An XML that ends too early is an error, and the entry that was cut is not taken."""
        body = urlset("<loc>http://h/1</loc>", "<loc>http://h/22</loc>")
        found = parse(body[: body.index(b"2</loc>")])
        assert locs(found) == ["http://h/1"]
        assert found.error is not None and "line 2" in found.error.message

    def test_gzip_cut_short_or_corrupt(self):
        """What could be decoded is read, and the code is the decoder's."""
        body = gzip.compress(urlset(*(f"<loc>http://h/{n * n * n}</loc>" for n in range(5_000))))
        found = parse(body[:-2_000])
        assert 1_000 < len(found.urls) < 5_000
        assert found.error is not None and found.error.code == "body_truncated"
        found = parse(body[:9_000] + b"\xff" * 100 + body[9_000:])
        assert found.urls[1_000] == Entry(f"http://h/{10**9}")
        # What the decoder makes of the damage may be no XML before it is no gzip.
        assert found.error is not None and found.error.code in {"decode_error", "parse_error"}
        found = parse(body[:20] + b"\xff" * 100)
        assert found.urls == []
        assert found.error is not None and found.error.code == "decode_error"

    def test_nothing_more_is_read_after_the_end(self):
        """Feeding on after an error or the limit changes nothing."""
        parser = SitemapParser(limit=1)
        parser.feed(urlset("<loc>http://h/1</loc>", "<loc>http://h/2</loc>", "<loc>http://h/3</loc>"))
        assert parser.done
        parser.feed(b"junk")
        assert parser.close() == Sitemap([Entry("http://h/1")], warnings=["parse_truncated"])
        parser.feed(b"junk")
        assert parser.close().error is None


class TestLimits:
    def test_entries(self):
        """With exactly as many as allowed all is well; more are left out and warned of, in XML, an index and text."""
        for body in (
            urlset(*(f"<loc>http://h/{n}</loc>" for n in range(3))),
            b"<sitemapindex>" + b"<sitemap><loc>http://h/</loc></sitemap>" * 3 + b"</sitemapindex>",
            b"http://h/\n" * 3,
        ):
            assert parse(body, limit=3).warnings == []
            found = parse(body, limit=2)
            assert len(found.urls) + len(found.sitemaps) == 2
            assert (found.warnings, found.error) == (["parse_truncated"], None)

    @pytest.mark.parametrize("empty", ["<url/>", "<url><loc/></url>", "<sitemap>x</sitemap>"])
    def test_entries_of_nothing(self, empty):
        """Of those not more are read, either: so megabytes of them cost no more than a few entries."""
        exact = b"<urlset>" + empty.encode() * 3 + b"<url><loc>/x</loc></url></urlset>"
        found = parse(exact, limit=3)
        assert (locs(found), found.skipped, found.warnings) == (["/x"], 3, [])
        found = parse(exact, limit=2)
        assert (locs(found), found.skipped, found.warnings) == ([], 2, ["parse_truncated"])

    @pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
    def test_size(self, pack):
        """Beyond the size allowed, decoded, nothing is read; what came before is kept."""
        body = urlset(*(f"<loc>http://h/{n}</loc>" for n in range(100)))
        parser = SitemapParser(max_size=len(body))
        parser.feed(pack(body))
        assert len(parser.close().urls) == 100
        parser = SitemapParser(max_size=len(body) // 2)
        parser.feed(pack(body))
        found = parser.close()
        assert 40 < len(found.urls) < 60
        assert found.error is not None and found.error.code == "body_too_large"


def entities() -> Iterator[tuple[str, bytes]]:
    lol = b"".join(b'<!ENTITY l%d "%s">' % (n, b"&l%d;" % (n - 1) * 10) for n in range(1, 12))
    entry = b"<urlset><url><loc>http://h/%s</loc></url></urlset>"
    yield "laughs", b'<!DOCTYPE l [<!ENTITY l0 "lol">' + lol + b"]>" + entry % b"&l11;"
    yield "quadratic", b'<!DOCTYPE l [<!ENTITY a "' + b"a" * 100_000 + b'">]>' + entry % (b"&a;" * 100_000)
    yield "attribute", b'<!DOCTYPE l [<!ENTITY a "x"><!ATTLIST url b CDATA "&a;&a;">]>' + entry % b""
    yield "file", b'<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/passwd">]>' + entry % b"&a;"
    yield "parameter", b'<!DOCTYPE l [<!ENTITY % a SYSTEM "http://127.0.0.1:1/"> %a;]>' + entry % b""
    utf16 = '<!DOCTYPE l [<!ENTITY a "x">]><urlset><url><loc>&a;</loc></url></urlset>'
    yield "utf-16", utf16.encode("utf-16")


@pytest.mark.parametrize(("name", "body"), list(entities()), ids=lambda value: value if isinstance(value, str) else "")
def test_entities_are_refused(name, body):
    """Who declares entities has no sitemap: they are neither expanded nor fetched, and it takes no time."""
    start = time.process_time()
    found = parse(body)
    assert time.process_time() - start < 0.1
    assert found.urls == []
    assert found.error is not None and found.error.code == "parse_error"
    assert "declares entities" in found.error.message


def test_an_external_dtd_is_not_fetched():
    """A document type elsewhere is left alone; its entities are text."""
    body = b'<!DOCTYPE urlset SYSTEM "http://127.0.0.1:1/x.dtd"><urlset><url><loc>http://h/&x;</loc></url></urlset>'
    assert parse(body) == Sitemap([Entry("http://h/&x;")])


@pytest.mark.parametrize(
    "body",
    [
        b"<urlset>" + b"<a/>" * 100_000,
        b"<urlset><url>" + b"<a/>" * 100_000,
        b"<urlset>" + b"<a>" * 1_000_000,
        b"<urlset><a " + b"x" * 3_000_000,
        b"<urlset><a " + b" ".join(b"a%d=''" % n for n in range(300_000)) + b"/>",
        b"<urlset><!--" + b"x" * 3_000_000,
        b"<urlset><url><loc>" + b"x" * 3_000_000 + b"</loc>",
        b"<urlset>" + b"&" * 200_000,
        b"<urlset>" + b"&amp;" * 200_000,
        gzip.compress(b"<urlset>" + b" " * 20_000_000, mtime=0),
        gzip.compress(gzip.compress(b"http://h/", mtime=0), mtime=0),
        b"\n" * 3_000_000,
        bytes(range(256)) * 10_000,
    ],
    ids=lambda body: body[:16],
)
def test_hostile_files_cost_little(body):
    """A few megabytes made to hurt take a moment, and end as an error."""
    start = time.process_time()
    assert parse(body).error is not None
    assert time.process_time() - start < 1.0


def test_no_tree_is_built():
    """Markup that means nothing leaves nothing in memory."""
    tracemalloc.start()
    parser = SitemapParser()
    for piece in (b"<urlset>", b"<a/>" * 20_000, b"<url><b/>", b"<a/>" * 20_000, b"</url><url><loc>", b"x" * 100_000):
        parser.feed(piece)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 400_000


@pytest.mark.parametrize("start", [b"<urlset><!--", b"<urlset><a b='", b"<urlset><?x ", b"<urlset><"])
def test_endless_tokens(start):
    """A tag or comment is given up after a megabyte, not at the end of the file."""
    parser = SitemapParser()
    parser.feed(start + b"x" * (MAX_TOKEN + 100_000))
    assert parser.done
    assert "a tag or comment of more than" in str(parser.close().error)


def test_endlessly_many_elements(monkeypatch):
    """A document of nothing but markup is given up."""
    monkeypatch.setattr("crawler.seeds.sitemap_xml.MAX_ELEMENTS", 1_000)
    parser = SitemapParser()
    parser.feed(b"<urlset>" + b"<a/>" * 999)
    assert not parser.done
    parser.feed(b"<a/>")
    assert parser.done
    assert "1,001 elements" in str(parser.close().error)


pieces = st.sampled_from(
    b"<urlset>,<url>,</url>,<loc>,</loc>,http://h/,&,&amp;,<![CDATA[,]]>,<rss>,<item>,<link/>,<sitemap>,<!--,-->,"
    b"<!DOCTYPE x [,]>,\xff,\x00,\n, ".split(b",")
)


@settings(max_examples=100)
@given(st.lists(pieces, max_size=20).map(b"".join) | st.binary(max_size=100), st.integers(1, 9), st.booleans())
def test_any_bytes_are_read_alike_in_any_pieces(body, size, packed):
    """Nothing raises, and where the network cuts makes no difference to what is found."""
    body = gzip.compress(body, mtime=0) if packed else body
    whole = parse(body)
    assert outcome(in_pieces(body, size)) == outcome(whole)
    assert whole.error is None or whole.error.code in {"parse_error", "decode_error", "body_truncated"}
    assert len(whole.warnings) <= 1
