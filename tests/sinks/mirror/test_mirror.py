"""A copy that reads offline, of a made site with all the ways to refer to something."""

from __future__ import annotations

import json
import re
from hashlib import sha256
from pathlib import Path

import pytest
from linking_site import PNG, Page, serving

from crawler.cli.main import main
from crawler.sinks.mirror.finishing import Copy, Finished, relative
from crawler.sinks.mirror.recording import FOLDER, ORIGINALS

CSS = "text/css"
PAGES: dict[str, Page | str | bytes] = {
    "/": """<!DOCTYPE html><html><head><meta charset="utf-8"><link rel="stylesheet" href="style.php?v=1"
        integrity="sha256-x" crossorigin="anonymous"><link rel="canonical" href="/"><link rel=icon href=/icon.png>
        <style>body{background:url(bg.png)}</style></head><body style="border-image:url('edge.png')">
        <a href="a">a</a><a href="/a#there">a, there</a><a href="list?page=2&amp;x=1">list</a><a href="gone">gone</a>
        <a href="moved#m">moved</a><a href="{other}/beyond#b">beyond</a><a href="folder/">folder</a>
        <img src="{other}/far.png" srcset="one.png 1x, two.png 2x"><svg><image href="drawing.svg#part"/></svg>
        <iframe src="{other}/frame"></iframe><a href="deep/base.html">base</a><a href="#here" id="here">here</a>
        <a href="notes.html">notes</a></body></html>""",
    "/a": '<p id="there">\u00e9</p><a href="/">home</a>',
    "/list?page=2&x=1": '<a href="?page=2&amp;x=1#s">self</a><p id=s>',
    "/moved": Page("text/html", b"", 302, "/folder/target"),
    "/folder/target": '<p id=m><a href="../a">a</a>',
    "/folder/": '<a href="target">t</a><img src="/one.png">',
    "/deep/base.html": '<head><base href="/folder/" target="_top"></head><a href="target">t</a><img src="../two.png">',
    "/notes.html": Page("text/plain", b"<script>not a page</script>"),
    "/style.php?v=1": Page(CSS, b"@import 'more.css'; @import url({other}/far.css); a{background:url(bg.png?x)}"),
    "/more.css": Page(CSS, b"@font-face{src:url('font.woff2')}"),
    "/font.woff2": Page("font/woff2", b"wOF2"),
    "/far.css": Page(CSS, b"i{background:url(far2.png)}"),
    "/drawing.svg": Page("image/svg+xml", b'<svg xmlns="http://www.w3.org/2000/svg"><image href="in.png"/></svg>'),
    "/frame": '<a href="/never">out of scope</a><img src="framed.png"><iframe src="/nested"></iframe>',
    "/beyond": "never fetched",
    "/never": "never fetched",
    "/nested": "never fetched",
    **dict.fromkeys(
        ("/icon.png", "/bg.png", "/bg.png?x", "/edge.png", "/far.png", "/one.png", "/two.png", "/in.png", "/far2.png"),
        PNG,
    ),
    "/framed.png": PNG,
}


def mirror(folder: Path, *urls: str, also: tuple[str, ...] = ()) -> list[dict]:
    records = folder.parent / "records.jsonl"
    arguments = [
        "--mirror",
        str(folder),
        "--delay",
        "0",
        "--no-robots",
        "-q",
        "-O",
        str(records),
        "--retries",
        "0",
        "--allow-private",
    ]
    assert main([*urls, *arguments, *also]) == 0
    return [json.loads(line) for line in records.read_text().splitlines()]


def files(folder: Path) -> dict[str, bytes]:
    """By path, without the hidden folder."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {
        name: path.read_bytes()
        for path in found
        if not (name := path.relative_to(folder).as_posix()).startswith(FOLDER)
    }


def text(folder: Path, path: str) -> str:
    """A file of the copy; the hosts have their names there, and no port."""
    return re.sub(r"\+\d+|%2B\d+", "", next(body for name, body in files(folder).items() if path in name).decode())


@pytest.fixture
def site():
    with serving(PAGES) as site:
        yield site


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "copy"


def test_a_copy(site, folder):
    """Pages of the host and what they are shown with, wherever that is; links lead to files, or to where they led."""
    records = mirror(folder, site.url("/"))
    own, far = f"127.0.0.1+{site.port}", f"localhost+{site.port}"
    assert sorted(files(folder)) == sorted([
        *(f"{own}/{name}" for name in (
            "index.html", "a.html", "list@page=2&x=1.html", "folder/index.html", "folder/target.html", "deep/base.html",
            "notes.html.txt", "style.php@v=1.css", "more.css", "font.woff2", "drawing.svg", "in.png", "icon.png",
            "bg.png", "bg.png@x.png", "edge.png", "one.png", "two.png",
        )),
        *(f"{far}/{name}" for name in ("far.png", "far.css", "far2.png", "frame.html", "framed.png")),
    ])  # fmt: skip
    assert not {"/beyond", "/never", "/nested"} & set(site.asked)
    assert len(site.asked) == len(set(site.asked))
    assert {record["input"].get("source") for record in records if record["url"].endswith(("png", "css"))} == {
        "--mirror"
    }

    index = text(folder, "127.0.0.1+" + str(site.port) + "/index.html")
    assert (
        '<link rel="stylesheet" href="style.php%40v%3D1.css"\n        data-integrity="sha256-x" data-crossorigin="anonymous">'
        in index
    )
    assert f'<link rel="canonical" href="{site.url("/")}">' in index
    for link in (
        '<a href="a.html">', '<a href="a.html#there">', '<a href="list%40page%3D2%26x%3D1.html">',
        f'<a href="{site.url("/gone")}">', '<a href="folder/target.html#m">', f'<a href="{site.other("/beyond#b")}">',
        '<a href="folder/index.html">', '<img src="../localhost/far.png" srcset="one.png 1x, two.png 2x">',
        '<image href="drawing.svg#part"/>', '<iframe src="../localhost/frame.html">', '<a href="#here" id="here">',
        "url(bg.png)", "url('edge.png')", '<a href="notes.html.txt">',
    ):  # fmt: skip
        assert link in index, link
    assert (
        text(folder, "style.php")
        == "@import 'more.css'; @import url(../localhost/far.css); a{background:url(bg.png%40x.png)}"
    )
    assert text(folder, "deep/base") == (
        '<head><base href="" target="_top"></head><a href="../folder/target.html">t</a><img src="../two.png">'
    )
    assert text(folder, "list@") == '<a href="list%40page%3D2%26x%3D1.html#s">self</a><p id=s>'


def test_records_tell_what_was_fetched(site, folder):
    """`sha256` is of that; it is kept where a file has other links now, and by no other name."""
    changed = 0
    for record in mirror(folder, site.url("/")):
        if record["body_path"] is None:
            continue
        original = folder / FOLDER / ORIGINALS / record["body_path"]
        fetched = original if original.exists() else folder / record["body_path"]
        changed += fetched is original
        assert sha256(fetched.read_bytes()).hexdigest() == record["sha256"]
    assert changed == len([path for path in (folder / FOLDER / ORIGINALS).rglob("*") if path.is_file()]) > 5


def test_to_finish_again_changes_nothing(site, folder):
    """Whatever the instant of a kill: what is finished already is, and what is not becomes so."""
    mirror(folder, site.url("/"))
    done = files(folder)
    assert Copy(str(folder)).finish() == Finished(len(done), 8, 0)
    assert files(folder) == done
    for path in (folder / FOLDER / ORIGINALS).rglob("*"):  # as fetched, before anything was rewritten
        if path.is_file():
            path.replace(folder / path.relative_to(folder / FOLDER / ORIGINALS))
    assert files(folder) != done
    Copy(str(folder)).finish()
    assert files(folder) == done


def test_a_second_run_brings_it_up_to_date(folder):
    """Of a page that has changed the new one is there, with its links rewritten; what is gone stays."""
    pages: dict[str, Page | str | bytes] = {"/": '<a href="b">b</a><a href="c">c</a>', "/b": "old", "/c": "kept"}
    with serving(pages) as site:
        mirror(folder, site.url("/"))
        pages |= {"/": '<a href="c">c</a> <a href="b">b</a>', "/b": '<a href="/">new</a>'}
        del pages["/c"]
        mirror(folder, site.url("/"))
    assert text(folder, "index.html") == '<a href="c.html">c</a> <a href="b.html">b</a>'
    assert text(folder, "b.html") == '<a href="index.html">new</a>'
    assert text(folder, "c.html") == "kept"


def test_a_file_that_somebody_has_changed_stays(site, folder):
    mirror(folder, site.url("/"))
    page = next(folder.rglob("a.html"))
    page.write_text("mine <a href=/>")
    original = folder / FOLDER / ORIGINALS / page.relative_to(folder)
    original.write_text("mine as well")
    assert Copy(str(folder)).finish().left == 1
    assert page.read_text() == "mine <a href=/>"


@pytest.mark.parametrize(
    ("here", "there", "expected"),
    [
        ("h/a.html", "h/b.html", "b.html"),
        ("h/a.html", "h/a.html", "a.html"),
        ("h/x/a.html", "h/b.html", "../b.html"),
        ("h/x/a.html", "i/y/b.html", "../../i/y/b.html"),
        ("h/a.html", "h/x/b#?%.html", "x/b%23%3F%25.html"),
        ("h/a.html", "h/javascript:x", "javascript%3Ax"),
    ],
)
def test_relative(here, there, expected):
    assert relative(here.split("/"), there.split("/")) == expected
