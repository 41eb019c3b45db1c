"""Whole checks of sites that are made oddly: what is a link there, and what a server's answers mean."""

from __future__ import annotations

from pathlib import Path

import pytest
from checked_site import Page, check, serving

from crawler.cli.main import main
from crawler.page.discovery import MAX_SCANNED


def test_placeholders_of_templates_are_no_links(tmp_path: Path) -> None:
    """Scripts put something else in their place; what else stands in a template is copied as it is. Where nobody
    puts anything there, in the page and in a declarative shadow root, a placeholder is a broken link.
    """
    pages = {
        "/": '<template><a href="{{url}}">1</a><template><img src="/${a}" srcset="/[[b]] 2x"></template>'
        '<a href="/c-<%= d %>">2</a><a href=/copied>3</a></template>'
        '<template shadowrootmode=open><a href="/{shown}">4</a></template>'
        '<iframe srcdoc="<template><a href=/{e}>5</a></template><a href=/in>6</a>"></iframe><a href="/{gone}">7</a>'
    }
    with serving(pages) as site:
        for options in ((), ("--no-fragments",)):
            checked = check(tmp_path, site.url(), *options)
            assert checked.said(site) == dict.fromkeys(("/copied", "/%7Bshown%7D", "/in", "/%7Bgone%7D"), "http_404")


@pytest.mark.parametrize(
    ("links", "paths"),
    [
        ("pages", "a area canonical frame header refresh form"),
        ("images", "img set icon poster picture background"),
        ("scripts", "script module"),
        ("styles", "style manifest css sheet"),
        ("media", "video source track embed object"),
        ("media,area", "video source track embed object area"),
        ("video", "video poster"),
        ("img,script", "img set picture script"),
    ],
)
def test_links_in_groups(tmp_path: Path, links: str, paths: str) -> None:
    """Old words are elements, new ones are what people would call it."""
    pages = {
        "/": Page(
            "<a href=a></a><area href=area><link rel=canonical href=canonical><iframe src=frame></iframe><form action=form>"
            '<meta http-equiv=refresh content="9;url=refresh"><img src=img srcset=set><link rel="shortcut icon" href=icon>'
            "<video src=video poster=poster><source src=source><track src=track></video><picture><source srcset=picture>"
            "</picture><table background=background></table><script src=script></script>"
            "<link rel=modulepreload href=module><link rel=stylesheet href=style><link rel=manifest href=manifest>"
            "<p style='background:url(css)'><style>p{background:url(sheet)}</style><embed src=embed>"
            "<object data=object></object>",
            headers={"Link": "</header>; rel=next"},
        )
    }
    with serving(pages) as site:
        checked = check(tmp_path, site.url(), "--links", links)
    assert checked.said(site) == {f"/{path}": "http_404" for path in paths.split()}


def test_pages_are_those_whose_links_are_checked(tmp_path: Path) -> None:
    """One of another site that is read for its names, or asked for with GET as it refuses HEAD, is none."""
    pages = {
        "/": '<a href="{other}/a#x">1</a><a href="{other}/b">2</a>',
        "/a": "<p id=x>",
        "/b": lambda method, _: Page(status=405 if method == "HEAD" else 200),
    }
    with serving(pages) as site:
        checked = check(tmp_path, site.url())
    assert (checked.summary["pages"], checked.summary["ok"], checked.findings) == (1, 3, {})


def test_what_is_not_read_to_its_end_is_told(folder: Path) -> None:
    """Links behind the part that is read are checked by nobody: that is no silence."""
    Path("a.html").write_text("<p>" + " " * MAX_SCANNED + "<a href=gone>")
    checked = check(folder, "a.html")
    [finding] = checked.findings.values()
    assert (checked.code, finding["url"], finding["verdict"], finding["code"]) == (
        0,
        "a.html",
        "warning",
        "parse_truncated",
    )


def test_a_folder_without_a_page_is_an_error(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A build that has made nothing has no broken links, and shall not be green for that."""
    Path("public/css").mkdir(parents=True)
    Path("public/css/a.css").write_text("")
    assert main(["check", "public"]) == 2
    assert "check: 'public' has no page" in capsys.readouterr().err
