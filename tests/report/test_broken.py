"""The chapter about checked links: every broken one, every place, nothing cut, and nothing from outside acts."""

from __future__ import annotations

import json

from selectolax.lexbor import LexborHTMLParser as HTMLParser

from crawler.check.findings import Finding, Place
from crawler.report.broken import section
from crawler.report.grid import WINDOW, Field, grid
from crawler.report.page import checked

SITE = "https://a.example"


def place(page: str = f"{SITE}/", line: int = 1, text: str = "") -> Place:
    return Place(page, line, 5, "a", "href", "x", text)


def broken(name: str, *places: Place, **more: object) -> Finding:
    return Finding(f"{SITE}/{name}", "broken", list(places), **{"code": "http_404", "status": 404, **more})


def rows(html: str, label: str) -> list[list[str]]:
    """The texts of the rows that stand in the page as HTML."""
    (table,) = [node for node in HTMLParser(html).css(".scroll") if node.attributes["aria-label"] == label]
    return [[cell.text() for cell in row.css("td")] for row in table.css("tbody tr")]


def embedded(html: str) -> list[list[list[object]]]:
    return [json.loads(node.text())["rows"] for node in HTMLParser(html).css("script.rows")]


def test_every_place_of_every_broken_link():
    """A link has all its places, and each place is a row of its own, by page, line and column."""
    html = section(
        [
            broken("gone", place(f"{SITE}/b", 7, "here"), place(f"{SITE}/a", 2)),
            broken("dead", place(f"{SITE}/a", 1), code="dns_error", status=None, message="no such host"),
            Finding(f"{SITE}/busy", "unsure", [place()], code="http_503", status=503),
            Finding(f"{SITE}/old", "warning", [place()], "moved", "moved for ever", 200, f"{SITE}/new", permanent=True),
            Finding(f"{SITE}/", "ok", [place()], status=200),
            Finding(f"{SITE}/x", "excluded", [place()]),
        ]
    )
    assert "2 links broken, in 3 places on 2 pages; 1 unsure; 1 to be changed; 1 ok; 1 not asked for." in html
    assert rows(html, "Broken links") == [
        ["404", f"{SITE}/gone", "", "2", f"{SITE}/b 7:5 <a> here{SITE}/a 2:5 <a>"],
        ["dns_error", f"{SITE}/dead", "no such host", "1", f"{SITE}/a 1:5 <a>"],
    ]
    assert [row[:3] + row[-2:] for row in rows(html, "Broken links, by page")] == [
        [f"{SITE}/a", "1", "5", "dns_error", f"{SITE}/dead"],
        [f"{SITE}/a", "2", "5", "404", f"{SITE}/gone"],
        [f"{SITE}/b", "7", "5", "404", f"{SITE}/gone"],
    ]
    assert rows(html, "Links that work, and should be changed")[0][:4] == [
        "moved", f"{SITE}/old", "moved for ever", f"{SITE}/new",
    ]  # fmt: skip


def test_none_is_cut():
    """More links than a window shows, and one with hundreds of places: all are in the page."""
    many = [broken(f"{number}", place()) for number in range(WINDOW + 30)]
    html = section([*many, broken("nav", *[place(f"{SITE}/p{number}") for number in range(300)])])
    by_link, by_place = embedded(html)
    assert len(by_link) == WINDOW + 31
    assert len(by_link[-1][-1]) == 300
    assert len(by_place) == WINDOW + 330
    assert len(rows(html, "Broken links")) == WINDOW
    assert "left out" not in html


def test_nothing_broken():
    """That is said."""
    assert "No link is broken; 1 ok." in section([Finding(f"{SITE}/", "ok", [place()])])


def test_a_size_is_not_exceeded():
    """What would make the file larger is left out, and words say how much and where it is."""
    html = grid("Numbers", [Field("n", "count"), Field("t")], ((n, "x" * 90) for n in range(1_000)), most_bytes=20_000)
    (kept,) = embedded(html)
    assert 180 < len(kept) < 210
    assert f"{1_000 - len(kept)} more are left out" in html
    whole = grid("Numbers", [Field("n", "count")], ((n,) for n in range(5)), whole=9, rest="Ask elsewhere.")
    assert "4 more are left out, for the size of this page. Ask elsewhere." in whole


def test_hostile_findings():
    """Markup and schemes from outside are text, in the HTML and in what the script reads."""
    evil = '</script><img src=x onerror=alert(1)>"\u202e'
    findings = [
        Finding(f"javascript:{evil}{n}", "broken", [Place(evil, 1, 1, evil, evil, evil, evil)], evil, evil, 404, evil)
        for n in range(WINDOW + 1)
    ]
    html = checked(evil, findings, now=0.0, notes=[evil])
    tree = HTMLParser(html)
    assert tree.css("img") == []
    assert len(tree.css("script")) == 4  # two tables, the tips, the page's own
    assert all(node.attributes["href"].startswith(("#", "https://")) for node in tree.css("a"))
    first = embedded(html)[0][0]
    assert first[1] == [f"javascript:{evil}0".replace("\u202e", "\\u202e")]  # in a list: not to be followed


def test_passwords_are_left_out():
    """Wherever they stand in what a page links to, and says."""
    url = "https://u:secret@a.example"
    finding = Finding(f"{url}/x", "broken", [place(f"{url}/", text=f"see {url}")], message=url, target=f"{url}/y")
    html = section([finding])
    assert "secret" not in html
    assert f"see {SITE}" in html
