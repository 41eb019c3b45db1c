"""discovery.py: what an answer tells a crawl. Where links are in HTML is tested with links.py."""

from __future__ import annotations

import gzip

import msgspec
import pytest

from crawler.errors import CodedError
from crawler.models import Findings, Input, Request, Response, Timings
from crawler.page import discovery
from crawler.page.discovery import MAX_SCANNED, TRIAL, Answered, Discovery, LinkRules, discover
from crawler.page.links import Costly
from crawler.urls import parse

URL = "http://a.example/folder/page"
HTML = "text/html; charset=utf-8"
DEFAULT = ("a", "area", "refresh")


def request(url: str = URL, source: Input | None = None) -> Request:
    parsed = parse(url)
    return Request(0, parsed, url, source or Input(source="list", line=1), 0.0)


def response(body: bytes = b"", content_type: str | None = HTML, status: int | None = 200, **headers: str) -> Response:
    fields = {name.replace("_", "-"): [value] for name, value in headers.items()}
    if content_type is not None:
        fields["content-type"] = [content_type]
    return Response(Timings(), 0.0, status=status, headers=fields, body=body)


def rules(kinds: tuple[str, ...] = DEFAULT, *, nofollow: bool = False) -> LinkRules:
    return LinkRules(frozenset(kinds), nofollow, "bot")


def read(got: Response, asked: Request | None = None, *, kinds: tuple[str, ...] = DEFAULT, nofollow: bool = False,
         follow: bool = True) -> Findings:  # fmt: skip
    found = Discovery(rules(kinds, nofollow=nofollow))
    return found.read(asked or request(), got, follow=follow)


def followed(findings: Findings) -> list[str]:
    return [url.href.removeprefix("http://a.example") for url in findings.follow]


class TestPages:
    def test_title_and_links(self):
        """Links are absolute, each once; `links` counts them."""
        findings = read(response(b"<title> A  page </title><a href=x>1</a><a href='/y#z'>2</a><a href=x>3</a>"))
        assert (findings.title, findings.links) == ("A page", 2)
        assert followed(findings) == ["/folder/x", "/y"]

    def test_the_charset(self):
        """Where the title or a link is not ASCII, the warnings tell how the charset was found."""
        page = "<title>Это страница без кодировки</title><a href='/п?п'>1</a>".encode("cp1251")
        findings = read(response(page, "text/html"))
        assert (findings.title, findings.warnings) == ("Это страница без кодировки", ["charset_guessed"])
        assert followed(findings) == ["/%D0%BF?%EF"]
        assert read(response(b"<meta charset=windows-1251>" + page, "text/html")).warnings == []
        assert read(response(b"<meta charset=utf-7>" + page, "text/html")).warnings == ["charset", "charset_guessed"]
        assert read(response(page, "text/html; charset=windows-1251")).warnings == []

    def test_the_base_element(self):
        """Links are relative to it."""
        findings = read(response(b"<base href='/other/'><a href=x>1</a>"))
        assert followed(findings) == ["/other/x"]

    def test_the_kinds(self):
        """Only those that were asked for."""
        page = b"<a href=1></a><img src=2><link rel=next href=3><meta http-equiv=refresh content='0;url=4'>"
        headers = {"link": "<5>; rel=next", "refresh": "0; url=6"}
        got = response(page, **headers)
        assert followed(read(got, kinds=())) == []
        assert followed(read(got, kinds=("img",))) == ["/folder/2"]
        assert followed(read(got, kinds=("header",))) == ["/folder/5"]
        assert followed(read(got, kinds=("refresh",))) == ["/folder/4", "/folder/6"]
        assert followed(read(got, kinds=("a", "link"))) == ["/folder/1", "/folder/3"]

    @pytest.mark.parametrize(
        ("content_type", "is_page"),
        [
            (HTML, True),
            ("application/xhtml+xml", True),
            (None, True),
            ("*/*", True),
            ("unknown/unknown", True),
            ("application/unknown", True),
            ("text/plain", False),
            ("application/json", False),
            ("application/octet-stream", False),
            ("text/xml", False),
            ("image/svg+xml", False),
        ],
    )
    def test_what_is_a_page(self, content_type, is_page):
        """HTML, and what says nothing and looks like it."""
        findings = read(response(b" <a href=x>1</a>", content_type))
        assert followed(findings) == (["/folder/x"] if is_page else [])
        assert (findings.links is None) is not is_page

    @pytest.mark.parametrize(
        ("content_type", "start", "is_page"),
        [
            ("text/xml", b"<?xml version='1.0'?><!DOCTYPE html><html xmlns='http://www.w3.org/1999/xhtml'>", True),
            ("application/xml", b"<html xmlns='http://www.w3.org/1999/xhtml'>", True),
            ("application/xml", b"<!-- a page --><h:html xmlns:h='http://www.w3.org/1999/xhtml'>", True),
            (None, b"<?xml version='1.0'?><html>", True),
            (None, b"\xef\xbb\xbf\n<html>", True),
            (None, b"<?xml version='1.0'?><list>", False),
            ("text/xml", b"<list><html/>", False),
            ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'>", False),
        ],
    )
    def test_which_xml_is_a_page(self, content_type, start, is_page):
        """XHTML is known by its root, as what it is sent."""
        findings = read(response(start + b"<a href='x'/>", content_type))
        assert followed(findings) == (["/folder/x"] if is_page else [])

    def test_xhtml(self):
        """Empty elements end where they begin, prefixes are of no account, CDATA is text."""
        body = b"""<?xml version="1.0"?><h:html xmlns:h="http://www.w3.org/1999/xhtml"><h:head><h:title>A &lt; B</h:title>
        <style/><h:script src="s.js"/><title/><h:base href="/other/"/><textarea/></h:head><a href="1"/>
        <h:a href='2'>2</h:a><script>//<![CDATA[
        "<a href='no'>" //]]></script><h:a href="3"><A href="no"/><!-- <a href="no"/> --></h:a></h:html>"""
        findings = read(response(body, "application/xhtml+xml"), kinds=("a", "script"))
        assert (findings.title, followed(findings)) == ("A < B", ["/other/s.js", "/other/1", "/other/2", "/other/3"])
        assert followed(read(response(body, "text/html"))) == []

    def test_xhtml_that_never_ends(self):
        """What is open at its end leads nowhere, and there is a limit to its links."""
        for body in (b"<html><![CDATA[<a href='x'/>", b"<html><!-- <a href='x'/>", b"<html><a href='x'"):
            assert followed(read(response(body, "application/xhtml+xml"))) == []
        body = b"<html>" + b"".join(b"<h:a href='%d'/>" % number for number in range(11_000))
        findings = read(response(body, "application/xhtml+xml"))
        assert (findings.links, findings.warnings) == (10_000, ["parse_truncated"])

    def test_nothing_said_and_nothing_to_see(self):
        """A body without a type that does not begin like a page is none."""
        assert read(response(b"a <a href=x>", None)) == Findings()

    @pytest.mark.parametrize("status", [None, 199, 300, 404, 500])
    def test_no_good_answer(self, status):
        """It leads nowhere, and its content is not remembered."""
        found = Discovery(rules())
        assert found.read(request(), response(b"<a href=x>", status=status, link="<y>")) == Findings()
        assert found.read(request("http://a.example/2"), response(b"<a href=x>")).duplicate_of is None

    @pytest.mark.parametrize("code", ["body_truncated", "timeout_idle", "body_too_large", "decode_error"])
    def test_a_cut_answer(self, code):
        """What was read leads on, so that one cut answer does not end a crawl; half a link is none."""
        got = response(b"<title>t</title><a href=x>1</a><a href=/long/pa", link="<n>; rel=next")
        got.error = CodedError(code)
        findings = read(got, kinds=("a", "header"))
        assert (findings.title, findings.links, followed(findings)) == ("t", 1, ["/folder/x", "/folder/n"])

    def test_what_was_cut_is_no_content(self):
        """Nothing is its duplicate, nor it of anything: nobody knows how it ends."""
        found = Discovery(rules())
        cut = response(b"x")
        cut.error = CodedError("body_truncated")
        assert found.read(request(), cut).duplicate_of is None
        assert found.read(request("http://a.example/2"), response(b"x")).duplicate_of is None
        assert found.read(request(), cut).duplicate_of is None

    def test_a_long_page(self):
        """Its first part is read; a warning says so."""
        body = b"<a href=x>" + b" " * MAX_SCANNED + b"<a href=y>"
        findings = read(response(body))
        assert (followed(findings), findings.warnings) == (["/folder/x"], ["parse_truncated"])

    def test_without_following(self):
        """All is counted and nothing followed: a function says what is."""
        findings = read(response(b"<title>t</title><a href=x>"), follow=False)
        assert (findings.title, findings.links, findings.follow) == ("t", 1, [])

    def test_what_is_no_url(self):
        """It is left out, wherever it stands."""
        page = b"<a href='mailto:a@b'></a><a href='http://['></a><meta http-equiv=refresh content='0;url=ftp://x'>"
        got = response(page, link="<http://[>; rel=next")
        assert followed(read(got, kinds=("a", "refresh", "header"))) == []


class TestHeaders:
    def test_hints_are_no_links(self):
        """What a browser shall load ahead is no page to go to."""
        got = response(link='<a.css>; rel=preload, <b>; rel="next", <c>; rel=x; anchor="#y"')
        assert followed(read(got, kinds=("header",))) == ["/folder/b"]

    def test_they_count_without_html(self):
        """A PDF may link, too."""
        assert followed(read(response(b"%PDF", "application/pdf", link="<n>; rel=next"), kinds=("header",))) == [
            "/folder/n"
        ]


class TestNofollow:
    META = b"<meta name=robots content='noindex, nofollow'><a href=x>"

    def test_a_page_that_says_so(self):
        """In its head or in a header; what it links is still counted."""
        assert followed(read(response(self.META))) == ["/folder/x"]
        findings = read(response(self.META), nofollow=True)
        assert (findings.links, findings.follow) == (1, [])
        got = response(b"<a href=x>", x_robots_tag="nofollow", link="<y>; rel=next")
        assert followed(read(got, nofollow=True, kinds=("a", "header"))) == []
        assert followed(read(got, kinds=("a", "header"))) == ["/folder/x", "/folder/y"]

    def test_a_header_for_another_bot(self):
        """It is not for us."""
        got = response(b"<a href=x>", x_robots_tag="otherbot: nofollow")
        assert followed(read(got, nofollow=True)) == ["/folder/x"]
        got = response(b"<a href=x>", x_robots_tag="bot: nofollow")
        assert followed(read(got, nofollow=True)) == []

    def test_a_link_that_says_so(self):
        """That one alone."""
        page = b"<a href=x rel='nofollow ugc'>1</a><a href=y>2</a>"
        assert followed(read(response(page), nofollow=True)) == ["/folder/y"]
        assert followed(read(response(page))) == ["/folder/x", "/folder/y"]
        got = response(link='<n>; rel=next, <m>; rel="nofollow"')
        assert followed(read(got, nofollow=True, kinds=("header",))) == ["/folder/n"]


class TestDuplicates:
    def test_the_first_is_named(self):
        """By the URL at which it was found; of another content nobody is."""
        found = Discovery(rules())
        pages = [(f"http://a.example/{number}", body) for number, body in enumerate([b"x", b"y", b"x", b"x", b"z"])]
        duplicates = [found.read(request(url), response(body, "text/plain")).duplicate_of for url, body in pages]
        assert duplicates == [None, None, "http://a.example/0", "http://a.example/0", None]

    def test_the_same_url_again(self):
        """It is no duplicate of itself, when it was read again because a run was about to stop."""
        found = Discovery(rules())
        assert [found.read(request(), response(b"x")).duplicate_of for _ in range(2)] == [None, None]

    def test_a_redirect_and_where_it_leads(self):
        """Both have a record, as they were linked; the second one is the duplicate of the first."""
        found = Discovery(rules())
        target = request("http://a.example/to")
        hop = msgspec.structs.replace(target, written="http://a.example/from")
        assert found.read(target, response(b"x")).duplicate_of is None
        assert found.read(hop, response(b"x")).duplicate_of == "http://a.example/to"

    def test_nothing_is_not_content(self):
        """Empty bodies have nothing in common."""
        found = Discovery(rules())
        found.read(request(), response())
        assert found.read(request("http://a.example/2"), response()).duplicate_of is None

    def test_so_many_are_remembered(self, monkeypatch):
        """Memory is bounded: the first ones stay known."""
        monkeypatch.setattr(discovery, "MAX_BODIES", 2)
        found = Discovery(rules())
        for number, body in enumerate([b"a", b"b", b"c"]):
            found.read(request(f"http://a.example/{number}"), response(body))
        seen = [found.read(request("http://a.example/x"), response(body)).duplicate_of for body in (b"a", b"b", b"c")]
        assert seen == ["http://a.example/0", "http://a.example/1", None]


class TestSitemaps:
    XML = b"<?xml version='1.0'?>\n<!-- made by <us> - --><urlset><url><loc>/x</loc></url></urlset>"

    @pytest.mark.parametrize("content_type", ["application/xml", "text/xml", HTML, None])
    def test_it_is_known_by_its_looks(self, content_type):
        """Whatever its type: one that is linked from a page is read, too."""
        findings = read(response(self.XML, content_type))
        assert (followed(findings), findings.links) == (["/x"], 1)

    def test_an_index_comes_first(self):
        """Its sitemaps are followed like pages."""
        body = (
            b"<s:sitemapindex xmlns:s='x'><s:sitemap><s:loc>http://a.example/1.xml</s:loc></s:sitemap></s:sitemapindex>"
        )
        assert followed(read(response(body, "application/xml"))) == ["/1.xml"]

    def test_a_text_is_one_when_somebody_says_so(self):
        """By --sitemap or robots.txt; a link to a text is no sitemap."""
        body = b"http://a.example/1\nhttp://a.example/2\n"
        got = response(body, "text/plain")
        assert followed(read(got)) == []
        assert followed(read(got, request(source=Input(source="--sitemap", line=1)))) == ["/1", "/2"]
        assert followed(read(got, request(source=Input(parent="http://a.example/robots.txt", depth=0)))) == ["/1", "/2"]

    def test_packed(self):
        """One that is a file of gzip is read, where its name or somebody says what it is."""
        got = response(gzip.compress(self.XML), "application/gzip")
        assert followed(read(got, request("http://a.example/map.xml.gz?v=1"))) == ["/x"]
        assert followed(read(got, request("http://a.example/dump.gz"))) == []

    @pytest.mark.parametrize(
        "body",
        [
            b"http://a.example/x\n",
            gzip.compress(b"http://a.example/x\n"),
            gzip.compress(XML),
            b"<rss><channel><item><guid>http://a.example/x</guid></item></channel></rss>",
            b"<feed><entry><link href='/x'/></entry></feed>",
        ],
    )
    @pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", HTML, None])
    def test_a_child_of_an_index(self, body, content_type):
        """Is one whatever its name, type or coding: the index says so."""
        child = request("http://a.example/child", source=Input("sitemap index", parent="http://a.example/s", depth=1))
        findings = read(response(body, content_type), child)
        assert findings.is_sitemap
        assert followed(findings) == ["/x"]

    def test_a_child_that_is_none(self):
        """Says so."""
        child = request("http://a.example/child", source=Input("sitemap index", parent="http://a.example/s", depth=1))
        findings = read(response(b"<html><a href=x>", HTML), child)
        assert str(findings.error) == "parse_error: not a sitemap: its root element is <html>"

    def test_an_index_says_that_it_is_one(self):
        """Where it also lists pages, they are not called sitemaps."""
        sitemap = b"<sitemap><loc>/1</loc></sitemap>"
        assert read(response(b"<sitemapindex>%b</sitemapindex>" % sitemap)).is_index
        assert not read(response(self.XML)).is_index
        assert not read(response(b"<urlset>%b<url><loc>/x</loc></url></urlset>" % sitemap)).is_index

    def test_what_is_skipped_is_counted(self):
        """Entries with no URL and with one that is none, in the warnings."""
        entries = b"<url/><url><loc>http://[</loc></url><url><loc>/x</loc></url>"
        findings = read(response(b"<urlset>%b</urlset>" % entries))
        assert (followed(findings), findings.links) == (["/x"], 1)
        assert findings.warnings == ["entries_skipped:2"]

    def test_the_charset_of_its_type(self):
        """Counts for a sitemap as for a page."""
        body = "<urlset><url><loc>/\u4e2d</loc></url></urlset>".encode("gbk")
        assert followed(read(response(body, "text/xml; charset=gbk"))) == ["/%E4%B8%AD"]

    def test_one_that_was_guessed(self):
        """Nobody said that it is one: what looks like a page is a page."""
        guess = request(
            "http://a.example/sitemap.xml", source=Input("--sitemaps", parent="http://a.example/robots.txt")
        )
        findings = read(response(b"<html><title>404</title><a href=x>", HTML), guess)
        assert (findings.error, findings.title, followed(findings)) == (None, "404", ["/x"])
        assert followed(read(response(self.XML, HTML), guess)) == ["/x"]

    def test_one_that_is_broken(self):
        """What stands before the fault is followed; the fault is the page's error."""
        got = response(b"<urlset><url><loc>/x</loc></url><oops", "application/xml")
        findings = read(got)
        assert followed(findings) == ["/x"]
        assert findings.error is not None
        assert findings.error.code == "parse_error"

    @pytest.mark.parametrize("unit", [b"<a/>", b"\n", b"\r"])
    @pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
    def test_many_tags_or_lines(self, unit, pack):
        """Are not read where the reactor waits, whatever ends the lines."""
        answer = Answered(parse(URL), pack(unit * (TRIAL + 1)), {}, named=True)
        with pytest.raises(Costly):
            discover(answer, LinkRules(frozenset(), nofollow=False, agent="x"), max_cost=TRIAL)

    def test_a_page_about_sitemaps(self):
        """A page that only talks of them is a page."""
        findings = read(response(b"<html><!-- <urlset> --><a href=x>urlset</a>"))
        assert followed(findings) == ["/folder/x"]
