"""Whole checks of small sites: what is asked, once and how, and what is said of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from threading import Event

import pytest
from checked_site import Page, check, serving

from crawler.cli.main import main


def test_a_broken_link_is_told_with_every_place(tmp_path: Path) -> None:
    pages = {
        "/": '<p>\n  See <a href="gone">the <b>old</b>\n page</a> and <a href=b>b</a>.',
        "/b": '<a href="/gone">x</a><img src="/gone" alt="A picture">',
    }
    with serving(pages) as site:
        checked = check(tmp_path, site.url())
    [finding] = checked.findings.values()
    assert checked.code == 3
    assert (finding["url"], finding["code"], finding["status"]) == (site.url("/gone"), "http_404", 404)
    places = [
        (place["page"], place["line"], place["column"], place["element"], place["attribute"], place["text"])
        for place in finding["places"]
    ]
    assert sorted(places) == [
        (site.url(), 2, 16, "a", "href", "the old page"),
        (site.url("/b"), 1, 10, "a", "href", "x"),
        (site.url("/b"), 1, 32, "img", "src", "A picture"),
    ]


def test_all_is_well(tmp_path: Path) -> None:
    pages = {"/": '<a href="/b#here">b</a><a href="#top">top</a>', "/b": "<p id=here>"}
    with serving(pages) as site:
        checked = check(tmp_path, site.url())
    assert (checked.code, checked.findings) == (0, {})
    assert checked.summary["pages"] == 2


def test_what_leaves_the_site_is_asked_once_with_head_and_not_followed(tmp_path: Path) -> None:
    pages = {
        "/": '<a href="{other}/a">1</a><a href="/b">2</a>',
        "/b": '<a href="{other}/a">3</a><img src="/c.png"><link rel=stylesheet href="/d.css">',
        "/a": '<a href="{other}/never">',
        "/c.png": Page(content_type="image/png"),
        "/d.css": Page("p { background: url(e.png) }", content_type="text/css"),
        "/e.png": Page(content_type="image/png"),
    }
    with serving(pages) as site:
        checked = check(tmp_path, site.url())
    assert checked.findings == {}
    assert sorted(site.asked) == ["GET /", "GET /b", "GET /d.css", "HEAD /a", "HEAD /c.png", "HEAD /e.png"]


def test_a_link_counts_once_and_as_one_thing(tmp_path: Path) -> None:
    """A URL that is broken is so with all its fragments; one that lacks a fragment is good without it."""
    hrefs = ("/gone#a", "/gone#b", "/b", "/b#there", "/b#x", "/b#y", "/moved", "/moved")
    pages = {
        "/": "".join(f'<a href="{href}">x</a>' for href in hrefs),
        "/b": "<p id=there>",
        "/moved": Page(status=301, to="/b"),
    }
    with serving(pages) as site:
        checked = check(tmp_path, site.url())
    assert sorted(checked.said(site)) == ["/b#x", "/b#y", "/gone", "/moved"]
    counts = {name: checked.summary[name] for name in ("ok", "broken", "unsure", "excluded", "warning", "links")}
    assert counts == {"ok": 3, "broken": 3, "unsure": 0, "excluded": 0, "warning": 1, "links": 7}  # ok: /, /b, /b#there


@pytest.mark.parametrize("status", [400, 403, 404, 405, 501])
def test_where_head_is_refused_get_is_asked(tmp_path: Path, status: int) -> None:
    pages = {
        "/": '<a href="{other}/a">1</a>',
        "/a": lambda method, _: Page("there", status if method == "HEAD" else 200),
    }
    with serving(pages) as site:
        checked = check(tmp_path, site.url())
    assert checked.findings == {}
    assert site.asked == ["GET /", "HEAD /a", "GET /a"]


def test_fragments(tmp_path: Path) -> None:
    """HTML Standard section 7.4.6.4: ids, names of `a`, percent-decoded; "top" in any case; a text directive is none."""
    pages = {
        "/": "".join(
            f'<a href="/b{fragment}">x</a>'
            for fragment in (
                "#id", "#name", "#caf%C3%A9", "#café", "#top", "#TOP", "#", "#:~:text=any", "#id:~:text=any", "#a%20b",
                "#ID", "#input", "#commented", "#script", "#template",
            )
        ),
        "/b": '<p id="id"></p><a name=name></a><p id="caf&eacute;"><p id="a b"><input name=input><!-- <p id=commented> -->'
        "<script>'<p id=script>'</script><template><p id=template></template>",
    }  # fmt: skip
    with serving(pages) as site:
        checked = check(tmp_path, site.url())
        assert checked.said(site) == dict.fromkeys(
            ("/b#ID", "/b#input", "/b#commented", "/b#script", "/b#template"), "fragment_missing"
        )
        assert checked.code == 3
        assert check(tmp_path, site.url(), "--no-fragments").findings == {}


def test_fragments_of_other_sites_pages(tmp_path: Path) -> None:
    """Such a page is asked for with GET; also if HEAD was good enough for the link that came first."""
    pages = {
        "/": '<a href="{other}/a#one">1</a><a href="{other}/late">2</a><a href="/b">',
        "/b": '<a href="{other}/late#two">3</a><a href="{other}/late#three">3</a>',
        "/a": "<p id=one>",
        "/late": "<p id=two>",
    }
    with serving(pages) as site:
        checked = check(tmp_path, site.url(), "-c", "1")
    assert checked.said(site) == {"other:/late#three": "fragment_missing"}
    assert site.asked.count("GET /a") == 1
    assert [asked for asked in site.asked if asked.endswith("/late")] == ["HEAD /late", "GET /late"]


def test_redirects(tmp_path: Path) -> None:
    """Those that are for good all the way are to be updated; the verdict is that on where they end."""
    pages = {
        "/": '<a href="/a">1</a><a href="/c">2</a><a href="/e">3</a><a href="/f">4</a><a href="{other}/a">5</a>',
        "/a": Page(status=301, to="/b"),
        "/b": Page(status=308, to="/end"),
        "/c": Page(status=301, to="/d"),
        "/d": Page(status=302, to="/end"),
        "/e": Page(status=301, to="/gone"),
        "/f": Page(status=302, to="/f"),
        "/end": "",
    }
    with serving(pages) as site:
        checked = check(tmp_path, site.url())
    assert checked.said(site) == {
        "/a": "redirect_permanent",
        "/e": "http_404",
        "/f": "redirect_loop",
        "other:/a": "redirect_permanent",
    }
    moved = checked.findings[site.url("/a"), "redirect_permanent"]
    assert (moved["verdict"], moved["target"], moved["permanent"]) == ("warning", site.url("/end"), True)
    assert len(checked.findings[site.url("/e"), "http_404"]["places"]) == 1


def test_a_link_to_where_a_redirect_has_led_is_judged_too(tmp_path: Path) -> None:
    """No URL is asked twice; what a redirect on its way has shown holds for the links that lead there."""
    pages = {
        "/": '<a href="/a">1</a><a href="/b">2</a><a href="/c">3</a>',
        "/a": Page(status=302, to="/b"),
        "/b": Page(status=302, to="/c"),
    }
    with serving(pages) as site:
        checked = check(tmp_path, site.url())
    assert checked.said(site) == {"/a": "http_404", "/b": "http_404", "/c": "http_404"}


def test_another_site_that_leads_back_gets_us_to_a_page(tmp_path: Path) -> None:
    pages = {
        "/": '<a href="{other}/a">1</a>',
        "/a": Page(status=302, to="{here}/b"),
        "/b": '<a href="/gone">2</a>',
    }
    with serving(pages) as site:
        checked = check(tmp_path, site.url())
    assert checked.said(site) == {"/gone": "http_404"}


def test_a_page_that_leads_away_is_not_followed(tmp_path: Path) -> None:
    pages = {"/": '<a href="/a">1</a>', "/a": Page(status=302, to="{other}/b"), "/b": '<a href="/gone">2</a>'}
    with serving(pages) as site:
        checked = check(tmp_path, site.url())
    assert checked.findings == {}
    assert "GET /gone" not in site.asked


def test_unsure_links_fail_only_when_it_is_strict(tmp_path: Path) -> None:
    pages = {"/": '<a href="/a">1</a><a href="{other}/b">2</a>', "/a": Page(status=503), "/b": Page(status=429)}
    with serving(pages) as site:
        checked = check(tmp_path, site.url())
        assert {finding["verdict"] for finding in checked.findings.values()} == {"unsure"}
        assert checked.said(site) == {"/a": "http_503", "other:/b": "http_429"}
        assert checked.code == 0
        assert check(tmp_path, site.url(), "--strict").code == 3


def test_what_was_unsure_is_asked_again_at_the_end(tmp_path: Path) -> None:
    """After all else; a page that is there after all is read as any other."""
    pages = {
        "/": '<a href="/a">1</a>' + "".join(f'<a href="/{number}">n</a>' for number in range(5)),
        "/a": lambda _, before: Page('<a href="/gone">', 503 if before < 1 else 200),
        **{f"/{number}": "" for number in range(5)},
    }
    with serving(pages) as site:
        checked = check(tmp_path, site.url(), "--retries", "1", "-c", "1")
    assert checked.said(site) == {"/gone": "http_404"}
    assert site.asked[-2:] == ["GET /a", "GET /gone"]


def test_accept_and_exclude(tmp_path: Path) -> None:
    pages = {"/": '<a href="/a">1</a><a href="/b">2</a><a href="{other}/c">3</a>', "/a": Page(status=403)}
    with serving(pages) as site:
        checked = check(tmp_path, site.url(), "--accept", "200..=299,403", "--exclude", "/[bc]$")
    assert checked.code == 0
    assert checked.said(site) == {"/b": "out_of_scope", "other:/c": "out_of_scope"}
    assert {finding["verdict"] for finding in checked.findings.values()} == {"excluded"}


@pytest.mark.parametrize("pattern", [("--include", "/docs/"), ("--exclude", "^http")])
def test_a_page_that_was_typed_is_read_whatever_the_patterns_say(tmp_path: Path, pattern: tuple[str, str]) -> None:
    """As in a crawl: else a check that reads nothing would find nothing, and be content."""
    with serving({"/": '<a href="/docs/gone">1</a><a href="#none">2</a>'}) as site:
        checked = check(tmp_path, site.url(), *pattern)
    assert checked.said(site)["/#none"] == "fragment_missing"
    assert checked.code == 3


def test_other_schemes(tmp_path: Path) -> None:
    pages = {
        "/": "".join(
            f'<a href="{reference}">x</a>'
            for reference in (
                "mailto:a@example.org", "mailto:a@", "tel:+1-555", "javascript:void(0)", "htps://example.org/",
                "http://exa mple/", "data:text/plain,x",
            )
        )
    }  # fmt: skip
    with serving(pages) as site:
        checked = check(tmp_path, site.url())
    assert checked.said(site) == {
        "mailto:a@": "mail_invalid",
        "tel:+1-555": "scheme_unsupported",
        "javascript:void(0)": "scheme_unsupported",
        "htps://example.org/": "url_invalid",
        "http://exa mple/": "url_invalid",
    }


def test_lists_name_what_is_asked_for_and_no_more(tmp_path: Path) -> None:
    urls = tmp_path / "urls.txt"
    with serving({"/": '<a href="/never">', "/b": "<p id=x>"}) as site:
        urls.write_text(f"{site.url()}\n{site.url('/gone')}\n{site.url('/b#y')}\nhttp://\n{site.url()}\n")
        checked = check(tmp_path, str(urls))
    assert checked.said(site) == {"/gone": "http_404", "/b#y": "fragment_missing", "http://": "url_invalid"}
    [place] = checked.findings[site.url("/gone"), "http_404"]["places"]
    assert (place["page"], place["line"]) == (str(urls), 2)
    assert sorted(set(site.asked)) == ["GET /b", "GET /gone", "HEAD /", "HEAD /gone"]


def test_a_typed_url_that_is_broken(tmp_path: Path) -> None:
    with serving({}) as site:
        checked = check(tmp_path, site.url("/gone"))
    [finding] = checked.findings.values()
    assert (checked.code, finding["code"], finding["places"]) == (3, "http_404", [])


def test_the_places_of_sitemaps(tmp_path: Path) -> None:
    pages = {
        "/map.xml": Page(
            "<urlset>\n<url><loc>{here}/a</loc></url>\n <url><loc>{here}/gone</loc></url></urlset>",
            content_type="text/xml",
        ),
        "/a": "",
    }
    with serving(pages) as site:
        checked = check(tmp_path, site.url("/a"), "--sitemap", site.url("/map.xml"))
    [place] = checked.findings[site.url("/gone"), "http_404"]["places"]
    assert (place["page"], place["line"], place["column"], place["element"]) == (site.url("/map.xml"), 3, 12, "loc")


def test_the_cache_has_good_answers_of_other_sites(tmp_path: Path) -> None:
    pages = {"/": '<a href="{other}/a">1</a><a href="{other}/gone">2</a>', "/a": ""}
    with serving(pages) as site:
        for _ in range(2):
            checked = check(tmp_path, site.url(), "--cache", str(tmp_path / "cache"))
            assert checked.said(site) == {"other:/gone": "http_404"}
    assert sorted(site.asked) == ["GET /", "GET /", "GET /gone", "GET /gone", "HEAD /a", "HEAD /gone", "HEAD /gone"]


def test_links_says_which_elements_count(tmp_path: Path) -> None:
    pages = {"/": '<a href="/a">1</a><img src="/b"><script src="/c"></script><video src="/d"></video>'}
    with serving(pages) as site:
        checked = check(tmp_path, site.url(), "--links", "a,img")
    assert checked.said(site) == {"/a": "http_404", "/b": "http_404"}


def test_what_is_too_deep_is_asked_and_not_followed(tmp_path: Path) -> None:
    pages = {"/": '<a href="/a">1</a>', "/a": '<a href="/gone">2</a>'}
    with serving(pages) as site:
        assert check(tmp_path, site.url(), "--depth", "0").findings == {}
        assert site.asked == ["GET /", "HEAD /a"]


def test_options_of_a_check_are_for_checks(capsys: pytest.CaptureFixture[str]) -> None:
    from crawler.cli.main import main

    assert main(["http://127.0.0.1:1/", "--strict"]) == 2
    assert "--strict: is for `crawler check`" in capsys.readouterr().err


def test_a_job_goes_on_where_it_was(tmp_path: Path) -> None:
    """What an earlier run has found is kept beside its books: nothing is asked again, and nothing is lost."""
    pages = {"/": '<a href="/b#x">1</a><a href="{other}/gone">2</a>', "/b": '<a href="/gone">3</a>'}
    with serving(pages) as site:
        job = ("--job", str(tmp_path / "job"))
        first = check(tmp_path, site.url(), *job, "--max-pages", "1")
        assert first.said(site) == {"/b": "budget_exceeded", "other:/gone": "budget_exceeded"}
        whole = check(tmp_path, site.url(), "--job", str(tmp_path / "whole"))
        asked = len(site.asked)
        again = check(tmp_path, site.url(), "--job", str(tmp_path / "whole"))
    assert again == whole._replace(summary=again.summary)
    assert again.said(site) == {"/b#x": "fragment_missing", "other:/gone": "http_404", "/gone": "http_404"}
    assert len(site.asked) == asked


@pytest.mark.parametrize(
    "damage",
    [
        b"no database" * 1_000,
        None,  # a folder
        "CREATE TRIGGER t AFTER INSERT ON answers BEGIN DELETE FROM surveys; END",
        "UPDATE surveys SET survey = x'c1'",
        "UPDATE answers SET answer = 'text'",
    ],
    ids=["junk", "folder", "trigger", "survey", "answer"],
)
def test_what_a_job_has_kept_is_damaged(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], damage: bytes | str | None
) -> None:
    """It is data, and told in a sentence; nothing in it acts."""
    arguments = ("--delay", "0", "--no-robots", "--allow-private", "--no-progress", "--job", str(tmp_path / "job"))
    kept = tmp_path / "job" / "check.sqlite"
    with serving({"/": "<p>"}) as site:
        assert main(["check", site.url(), *arguments]) == 0
        if isinstance(damage, str):
            with closing(sqlite3.connect(kept)) as database:
                database.executescript(damage)
        else:
            for file in kept.parent.glob(f"{kept.name}*"):
                file.unlink()
            if damage is None:
                kept.mkdir()
            else:
                kept.write_bytes(damage)
        assert main(["check", site.url(), *arguments]) == 5
    said = capfd.readouterr().err
    assert "write_error" in said
    assert str(kept) in said
    assert "Traceback" not in said


class TestLeavesThatArePages:
    """What is asked whether it is there is still to be read where it is linked to as a page: its links count, too."""

    def test_an_image_first(self, tmp_path: Path) -> None:
        pages = {
            "/": '<img src="/b"><a href="/c">',
            "/b": '<a href="/gone">',
            "/c": '<a href="/b">',
        }
        with serving(pages) as site:
            checked = check(tmp_path, site.url(), "-c", "1")
        assert checked.said(site) == {"/gone": "http_404"}
        assert [asked for asked in site.asked if asked.endswith("/b")] == ["HEAD /b", "GET /b"]
        assert checked.summary["pages"] == 3

    def test_in_a_job_that_goes_on(self, tmp_path: Path) -> None:
        """What was only asked for in one run, and is linked to as a page in the next."""
        pages = {"/": '<img src="/b"><a href="/c">', "/b": '<a href="/gone">', "/c": '<a href="/b">'}
        job = ("--job", str(tmp_path / "job"))
        with serving(pages) as site:
            check(tmp_path, site.url(), "-c", "1", "--max-pages", "2", *job)
            asked = list(site.asked)
            checked = check(tmp_path, site.url(), "-c", "1", "--max-pages", "20", *job)
        assert "GET /b" not in asked
        assert checked.said(site) == {"/gone": "http_404"}

    def test_too_deep_first(self, tmp_path: Path) -> None:
        """Another page links to it from less deep, later."""
        deep = Event()

        def answered(_: str, __: int) -> Page:
            deep.set()
            return Page('<a href="/gone">')

        def late(_: str, __: int) -> Page:
            return Page('<a href="{here}/deep">' if deep.wait(10) else "too late")

        pages = {"/": '<a href="/a">', "/a": '<a href="/deep">', "/deep": answered, "/late": late}
        with serving(pages) as site:
            checked = check(tmp_path, site.url(), site.other("/late"), "--depth", "1")
        assert checked.said(site) == {"/gone": "http_404"}
        assert [asked for asked in site.asked if asked.endswith("/deep")] == ["HEAD /deep", "GET /deep"]

    def test_named_by_a_list(self, tmp_path: Path) -> None:
        """A list is asked for, and no more; the site is crawled all the same."""
        pages = {"/": '<a href="/c">', "/b": '<a href="/gone">', "/c": '<a href="/b">'}
        with serving(pages) as site:
            (tmp_path / "list.txt").write_text(site.url("/b"))
            checked = check(tmp_path, str(tmp_path / "list.txt"), site.url(), "-c", "1")
        assert checked.said(site) == {"/gone": "http_404"}

    def test_a_page_is_asked_for_once(self, tmp_path: Path) -> None:
        """Where the link is there as well, the image is asked for as the page that it may be."""
        pages = {"/": '<a href="/b"><img src="/b"></a><img src="{other}/x"><a href="{other}/x">', "/b": "<p>", "/x": ""}
        with serving(pages) as site:
            assert check(tmp_path, site.url()).findings == {}
        assert sorted(site.asked) == ["GET /", "GET /b", "HEAD /x"]

    def test_a_leaf_that_ends_later_hides_no_page(self, tmp_path: Path) -> None:
        """Its fragments are looked up in what was read for links."""
        pages = {
            "/": '<iframe src="/b#x"></iframe><a href="/c">',
            "/b": '<a href="/gone"><p id=x>',
            "/c": '<a href="/b#x"><a href="/b#y">',
        }
        with serving(pages) as site:
            checked = check(tmp_path, site.url())
        assert checked.said(site) == {"/gone": "http_404", "/b#y": "fragment_missing"}


def test_a_page_that_is_too_large_is_told(tmp_path: Path) -> None:
    """Its links are not all looked at: with a length that says so from the first, and without."""
    large = f'<a href="/gone">{"x" * 4_000}<a href="/never"><p id=late>'

    def chunked(_: str, __: int) -> Page:
        return Page(large, headers={"X": "y"})

    pages = {
        "/": '<a href="/large"><a href="/early#late"><a href="{other}/far"><img src="/i.png">',
        "/large": Page(large),
        "/early": chunked,
        "/far": Page(large),
        "/i.png": Page(large, content_type="image/png"),
    }
    with serving(pages) as site:
        checked = check(tmp_path, site.url(), "--max-size", "1000")
        assert {path: code for path, code in checked.said(site).items() if path != "/gone"} == {
            "/large": "parse_truncated",
            "/early": "parse_truncated",
        }
        assert checked.summary["warning"] == 2


class TestFragmentsOfRedirects:
    """That of a Location counts, for what it redirects (RFC 9110 section 10.2.2); else that of the link goes along."""

    @pytest.mark.parametrize(
        ("location", "link", "is_broken"),
        [
            ("/page#there", "/old", False),
            ("/page#none", "/old", True),
            ("/page#there", "/old#none", False),
            ("/page#none", "/old#there", True),
            ("/page#", "/old#none", False),
            ("/page", "/old#none", True),
            ("/page", "/old#there", False),
            ("/page#:~:text=x", "/old#none", False),
            ("/more", "/old", True),
            ("/more#there", "/old", True),
            ("{other}/far#none", "/old", True),
            ("{other}/far#there", "/old", False),
            ("/page#!/route", "/old", False),
        ],
    )
    def test_which_one_counts(self, tmp_path: Path, location: str, link: str, is_broken: bool) -> None:
        pages = {
            "/": f'<a href="{link}">',
            "/old": Page(status=302, to=location),
            "/more": Page(status=302, to="/page#none"),
            "/page": "<p id=there>",
            "/far": "<p id=there>",
        }
        with serving(pages) as site:
            checked = check(tmp_path, site.url())
            assert list(checked.said(site).values()) == (["fragment_missing"] if is_broken else [])
            assert check(tmp_path, site.url(), "--no-fragments").findings == {}

    def test_every_link_is_told_once(self, tmp_path: Path) -> None:
        pages = {
            "/": '<a href="/old"><a href="/old#there"><a href="/page">',
            "/old": Page(status=301, to="/page#none"),
            "/page": "<p id=there>",
        }
        with serving(pages) as site:
            checked = check(tmp_path, site.url())
        finding = checked.findings[site.url("/old"), "fragment_missing"]
        assert finding["verdict"] == "broken"
        assert finding["target"] == site.url("/page#none")
        assert len(finding["places"]) == 2
        assert checked.summary["broken"] == checked.summary["links"] - checked.summary["ok"] == 1

    def test_records_have_none(self, tmp_path: Path) -> None:
        """It may be a credential, and nobody but a check wants it."""
        with serving({"/": Page(status=302, to="/b#access_token=x"), "/b": "b"}) as site:
            main([site.url(), "-q", "-o", str(tmp_path / "a.jsonl")])
        assert "access_token" not in (tmp_path / "a.jsonl").read_text()
