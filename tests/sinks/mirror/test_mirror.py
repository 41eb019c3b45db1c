"""A copy that reads offline, of a made site with all the ways to refer to something."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from linking_site import PNG, Page, serving

from crawler.cli.main import main
from crawler.job.verify import verify
from crawler.sinks.bodies.names import FOLDER, ORIGINALS
from crawler.sinks.mirror.finishing import Copy, Finished, relative

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


def test_the_summary_has_it(folder, capfd):
    """How many files there are, in how many links were changed, and which were left; in the log, too."""
    with serving({"/": '<a href="b">b</a>', "/b": "text"}) as site:
        command = [site.url("/"), "--mirror", str(folder), "--delay", "0", "--no-robots", "--allow-private"]
        command += ["--no-progress", "-O", str(folder.parent / "records.jsonl")]
        assert main(command) == 0
        assert f"Mirror {folder}: 2 files, links rewritten in 1\n" in capfd.readouterr().err
        next(folder.rglob("b.html")).write_text("mine")
        next(folder.rglob("index.html")).unlink()
        assert main([site.url("/b"), *command[1:], "--log-format", "json"]) == 0
    told = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    (mirrored,) = [line for line in told if line["event"] == "mirror"]
    assert (mirrored["files"], mirrored["rewritten"], mirrored["left"]) == (2, 0, 1)
    assert mirrored["message"].endswith(
        "2 files, links rewritten in 0, 1 left as they are (changed by others, or gone)"
    )


def test_a_file_that_somebody_has_changed_stays(site, folder):
    mirror(folder, site.url("/"))
    page = next(folder.glob("127*/a.html"))
    page.write_text("mine <a href=/>")
    original = folder / FOLDER / ORIGINALS / page.relative_to(folder)
    original.write_text("mine as well")
    assert Copy(str(folder)).finish().left == 1
    assert page.read_text() == "mine <a href=/>"


def test_a_job_verifies(site, folder, tmp_path):
    """`crawler verify` holds what was fetched against the record, whether its links are rewritten or not."""
    job = str(tmp_path / "job")
    mirror(folder, site.url("/"), also=("--job", job))
    assert verify(job).problems == []
    original = next((folder / FOLDER / ORIGINALS).rglob("a.html"))
    original.write_bytes(original.read_bytes().replace(b"home", b"away"))
    assert len(verify(job).problems) == 1


@pytest.mark.parametrize("asked", [3, 9, 20])
def test_a_job_that_is_killed(folder, tmp_path, asked):
    """The same command goes on, and the copy is as if nothing had happened."""
    with serving(PAGES) as site:
        whole = tmp_path / "whole"
        mirror(whole, site.url("/"))
        before = len(site.asked)
        arguments = [
            "--mirror",
            str(folder),
            "--job",
            str(tmp_path / "job"),
            "-o",
            str(tmp_path / "records.jsonl.x.jsonl"),
        ]
        command = [*arguments, "--delay", "0", "--no-robots", "-q", "--retries", "0", "--allow-private", "-c", "2"]
        with subprocess.Popen([sys.executable, "-m", "crawler", site.url("/"), *command]) as process:
            site.wait_for(before + asked)
            process.kill()
        assert main([site.url("/"), *command]) == 0
    assert files(folder) == files(whole)
    assert verify(str(tmp_path / "job")).problems == []


def test_what_changed_since(folder, tmp_path):
    """What was not sent again is in the copy all the same, and links to it lead there."""
    pages: dict[str, Page | str | bytes] = {"/": '<a href="b">b</a><img src=i.png>', "/b": "old", "/i.png": PNG}
    with serving(pages, etags=True) as site:
        mirror(folder, site.url("/"))
        (tmp_path / "records.jsonl").rename(tmp_path / "old.jsonl")
        pages["/b"] = '<a href="/">new</a>'
        records = mirror(folder, site.url("/"), also=("--since", str(tmp_path / "old.jsonl")))
    assert sorted(record["outcome"] for record in records) == ["ok", "unchanged", "unchanged"]
    assert text(folder, "index.html") == '<a href="b.html">b</a><img src=i.png>'
    assert text(folder, "b.html") == '<a href="index.html">new</a>'


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("text/html; charset=gbk", "<!doctype html><html lang=zh><head><p>\u4e2d", '<head><meta charset="gbk"><p>'),
        ("text/html; charset=utf-8", "<p>\u4e2d", '<meta charset="utf-8"><p>'),
        ("text/html; charset=utf-8", '<meta charset="utf-8"><p>\u4e2d', '<meta charset="utf-8"><p>\u4e2d'),
        ("text/html; charset=utf-8", "<p>x", "<p>x"),
        ("text/html", "<p>\u4e2d", "<p>\u4e2d"),
        ("text/css; charset=gbk", "a{content:'\u4e2d'}", "@charset \"gbk\";\na{content:'\u4e2d'}"),
    ],
)
def test_the_charset_that_a_server_told(folder, content_type, body, expected):
    """A file says it itself: nobody speaks for it."""
    charset = "gbk" if "gbk" in content_type else "utf-8"
    with serving({"/": Page(content_type, body.encode(charset))}) as site:
        mirror(folder, site.url("/"))
    (file,) = files(folder).values()
    assert expected in file.decode(charset)


@pytest.mark.parametrize(
    "also", [("--bodies", "elsewhere"), ("--bodies-as", "hash"), ("--no-recursive",), ("--mirror", "s3://bucket/x")]
)
def test_what_it_cannot_be_combined_with(folder, capsys, also):
    assert main(["http://127.0.0.1:9/", "--mirror", str(folder), *also]) == 2
    assert "--mirror" in capsys.readouterr().err
    assert not folder.exists()


def test_nothing_is_written_outside(folder, tmp_path):
    """Whatever URLs say, and whatever somebody has put where the copy keeps its own."""
    pages: dict[str, Page | str | bytes] = {
        "/": "".join(f'<a href="{path}">x</a>' for path in ("/..%2f..%2fup", "/.crawler-mirror/index.jsonl", "/a%00b")),
        "/..%2f..%2fup": "up", "/.crawler-mirror/index.jsonl": "mine", "/a%00b": "nul",
    }  # fmt: skip
    with serving(pages) as site:
        mirror(folder, site.url("/"))
    assert {path.name for path in tmp_path.iterdir()} == {"copy", "records.jsonl"}
    assert all(re.match(r"127\.0\.0\.1\+\d+/[^/]+(/[^/]+)?$", name) for name in files(folder))
    outside = tmp_path / "outside"
    outside.mkdir()
    other = tmp_path / "other"
    other.mkdir()
    (other / FOLDER).symlink_to(outside)
    with serving(pages) as site:
        assert main([site.url("/"), "--mirror", str(other), "-q", "--no-robots"]) == 5
    assert not list(outside.iterdir())


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
