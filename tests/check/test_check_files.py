"""Folders and pages on the disk, checked as a site's build in CI: what is said of each link, by the names of files."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from checked_site import Page, check, serving

from crawler.check.files import is_page
from crawler.cli.main import main


@pytest.fixture
def docs(folder: Path) -> Path:
    """A folder `docs` in the current one."""
    (folder / "docs").mkdir()
    return folder / "docs"


def write(folder: Path, pages: dict[str, str]) -> None:
    for name, text in pages.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def said(folder: Path, *arguments: str) -> dict[str, str | None]:
    """The code of each finding, by where it leads."""
    return dict(check(folder, *arguments).findings.keys())


def test_a_site(docs: Path, tmp_path: Path) -> None:
    """Relative links, those from the root, indexes, fragments, images, styles."""
    write(
        docs,
        {
            "index.html": '<a href="guide/">1</a><a href=/guide/index.html#one>2</a><a href=guide/#two>3</a>'
            '<a href="./index.html?v=1#top">4</a><a href="gone.html">5</a><img src="/img/a%20b.png">',
            "guide/index.html": '<p id=one><a href=../Index.html>1</a><a href="/empty/">2</a><a href="../style.css">3</a>',
            "style.css": "p { background: url(img/gone.png) }",
            "img/a b.png": "",
            "empty/.keep": "",
        },
    )
    checked = check(tmp_path, "docs/")
    assert checked.code == 3
    assert dict(checked.findings.keys()) == {
        "docs/guide/#two": "fragment_missing",
        "docs/gone.html": "file_missing",
        "docs/Index.html": "file_missing",
        "docs/empty/": "folder_without_index",
    }
    [place] = checked.findings["docs/guide/#two", "fragment_missing"]["places"]
    assert (place["page"], place["line"], place["column"], place["reference"]) == (
        "docs/index.html",
        1,
        66,
        "guide/#two",
    )
    assert checked.findings["docs/Index.html", "file_missing"]["message"] == (
        "there is no such file (there is index.html; case matters)"
    )


def test_markdown(docs: Path, tmp_path: Path) -> None:
    """A repository: headings, folders that are shown, links that climb out of the folder."""
    write(
        docs,
        {
            "README.md": "# Read me\n\n[a](guide.md#how-to) [b](guide.md#nope) [c](../top.md#top) [d](../gone.md)\n\n"
            "[e](images/) ![f](images/gone.png) [g][ref]\n\n[ref]: sub/x.md\n",
            "guide.md": "## How to\n\n[back](README.md#read-me) [root](/guide.md)",
            "images/a.png": "",
            "../top.md": "# Top\n\n[this is not read](nowhere.md)",
        },
    )
    checked = check(tmp_path, "docs")
    assert dict(checked.findings.keys()) == {
        "docs/guide.md#nope": "fragment_missing",
        "gone.md": "file_missing",
        "docs/images/gone.png": "file_missing",
        "docs/sub/x.md": "file_missing",
    }
    [place] = checked.findings["docs/sub/x.md", "file_missing"]["places"]
    assert (place["line"], place["column"], place["element"], place["text"]) == (5, 36, "link", "g")


def test_one_page(docs: Path, tmp_path: Path) -> None:
    """It alone is read; what it links to is looked for."""
    write(docs, {"a.md": "[b](b.md) [c](c.md)", "b.md": "[d](d.md)"})
    assert said(tmp_path, "docs/a.md") == {"docs/c.md": "file_missing"}
    assert said(tmp_path, "docs/a.md", "docs/b.md") == {"docs/c.md": "file_missing", "docs/d.md": "file_missing"}


def test_links_outward_are_asked_over_the_net(docs: Path, tmp_path: Path) -> None:
    """Once each, as those of a site are."""
    with serving({"/ok": "<p id=here>", "/busy": Page("", 503)}) as site:
        write(
            docs,
            {
                "index.html": f'<a href="{site.url("/ok#here")}">1</a><a href="{site.url("/ok#no")}">2</a>',
                "more.html": f'<a href="{site.url("/gone")}">1</a><a href="{site.url("/busy")}">2</a>',
            },
        )
        checked = check(tmp_path, "docs")
        assert {url: finding["verdict"] for (url, _), finding in checked.findings.items()} == {
            site.url("/ok#no"): "broken",
            site.url("/gone"): "broken",
            site.url("/busy"): "unsure",
        }
        assert [asked for asked in site.asked if asked.endswith("/ok")] == ["GET /ok"]


def test_patterns_match_the_names_of_files(docs: Path, tmp_path: Path) -> None:
    """`--exclude '^https?://'` leaves the net alone, and no file; a file is left out by its path."""
    write(docs, {"a.html": '<a href="gone.html">1</a><a href="drafts/x.html">2</a><a href="http://127.0.0.1:1/">3</a>'})
    found = check(tmp_path, "docs", "--exclude", "^https?://", "--exclude", "drafts/")
    assert {url: finding["verdict"] for (url, _), finding in found.findings.items()} == {
        "docs/gone.html": "broken",
        "docs/drafts/x.html": "excluded",
        "http://127.0.0.1:1/": "excluded",
    }


def test_patterns_match_the_names_of_files_that_have_a_base(docs: Path, tmp_path: Path) -> None:
    """Its URLs are not what is meant by `^https?://`; and what is left out is not read."""
    write(docs, {"a.html": '<a href="gone.html">1</a><a href="drafts/y.html">2</a>', "drafts/x.html": '<a href="y">'})
    found = check(tmp_path, "docs", "--base", "https://x.example/", "--exclude", "^https?://", "--exclude", "drafts/")
    assert {url: finding["verdict"] for (url, _), finding in found.findings.items()} == {
        "https://x.example/gone.html": "broken",
        "https://x.example/drafts/y.html": "excluded",
    }


def test_base(docs: Path, tmp_path: Path) -> None:
    """What leads below it is looked up in the folder, everything else on its host is asked for."""
    with serving({"/": "home", "/docs/live.html": "only on the server"}) as site:
        write(
            docs,
            {
                "index.html": f'<a href="{site.url("/docs/a.html#no")}">1</a><a href="{site.url("/docs/live.html")}">2</a>'
                '<a href="/">3</a><a href="/gone">4</a><a href="/docs/">5</a><a href="../">6</a>',
                "a.html": "<p id=a>",
            },
        )
        assert said(tmp_path, "docs", "--base", site.url("/docs")) == {
            site.url("/docs/a.html#no"): "fragment_missing",
            site.url("/docs/live.html"): "file_missing",
            site.url("/gone"): "http_404",
        }
        assert not [asked for asked in site.asked if "/docs" in asked]


def test_a_sitemap(docs: Path, tmp_path: Path) -> None:
    """Its entries are looked up in the folder that the base stands for; the line is that of the entry."""
    write(
        docs,
        {
            "sitemap.xml": '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
            "<url><loc>https://example.org/a.html</loc></url>\n<url><loc>https://example.org/b.html</loc></url>\n</urlset>",
            "a.html": "here",
        },
    )
    checked = check(tmp_path, "docs", "--base", "https://example.org/")
    [(url, code)] = checked.findings
    assert (url, code) == ("https://example.org/b.html", "file_missing")
    [place] = checked.findings[url, code]["places"]
    assert (place["page"], place["line"], place["element"]) == ("docs/sitemap.xml", 3, "loc")


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a right there")
def test_what_a_symbolic_link_leads_out_to_is_not_read(docs: Path, tmp_path: Path) -> None:
    """It is there; what it says is nobody's business."""
    write(docs, {"../private/secret.html": '<a href="secret-gone.html">', "index.html": '<a href="link.html">1</a>'})
    (docs / "link.html").symlink_to(docs.parent / "private" / "secret.html")
    (docs / "dead.html").symlink_to(docs / "nothing.html")
    assert said(tmp_path, "docs") == {}


def test_what_is_not_ours_is_passed_over(docs: Path, tmp_path: Path) -> None:
    """Hidden folders, and those of package managers."""
    bad = '<a href="gone.html">'
    write(docs, {"index.html": "", ".git/x.html": bad, "node_modules/y/README.md": "[a](gone.md)", "a.txt.bak": bad})
    assert said(tmp_path, "docs") == {}


def test_pages_that_are_not_utf_8(docs: Path, tmp_path: Path) -> None:
    """Their columns count characters, and so do their names."""
    (docs / "a.html").write_bytes(
        '<meta charset=euc-kr>\uac00\ub098 <a href="\uac00.html#\ub098">x</a>'.encode("euc-kr")
    )
    (docs / "\uac00.html").write_text("<p id=other>", encoding="utf-8")
    checked = check(tmp_path, "docs")
    [finding] = checked.findings.values()
    assert finding["code"] == "fragment_missing"
    assert finding["places"][0]["column"] == 34


def test_several_folders(docs: Path, tmp_path: Path) -> None:
    """Each is a site of its own."""
    write(docs, {"a.html": '<a href="/b.html">', "../other/b.html": '<a href="/a.html">'})
    assert said(tmp_path, "docs", "other") == {"docs/b.html": "file_missing", "other/a.html": "file_missing"}


def test_a_page_with_every_place(docs: Path, tmp_path: Path) -> None:
    """--report writes one, beside what is said; it replaces what is there."""
    write(docs, {"a.html": '<a href="gone.html">here</a>', "b.html": '<p>\n<a href="gone.html">there</a>'})
    page = tmp_path / "links.html"
    page.write_text("old")
    assert main(["check", "docs", "-q", "--report", str(page)]) == 3
    html = page.read_text(encoding="utf-8")
    assert html.startswith("<!doctype html>")
    assert "1 link broken, in 2 places on 2 pages" in html
    assert "docs/b.html" in html and "2:10 &lt;a&gt; there" in html
    assert main(["check", "docs", "-q", "--report", str(tmp_path / "nowhere" / "x.html")]) == 5


def test_people_see_the_line(docs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    write(docs, {"a.md": "# A\n\nSee [the guide](gide.md) first.\n"})
    assert main(["check", "docs", "-q"]) == 3
    assert capfd.readouterr().out.startswith(
        "docs/a.md\n"
        "      3:5  broken   docs/gide.md  there is no such file (file_missing)\n"
        "        3 | See [the guide](gide.md) first.\n"
        "          |                 ^^^^^^^\n"
    )


def test_annotations(docs: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Of a page deep in the filesystem, too, where folders have the same name again and again."""
    deep = docs / "/".join(["a"] * 30)
    write(deep, {"a.md": "[b](b.md)"})
    assert main(["check", "docs", "--format", "github"]) == 3
    where = f"docs/{'a/' * 30}"
    assert capfd.readouterr().out.splitlines()[0] == (
        f"::error file={where}a.md,line=1,col=1,title=Broken link (file_missing)::{where}b.md: there is no such file"
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["docs", "other", "--base", "https://example.org/"], "--base: is the URL of one folder, and there are 2"),
        (
            ["https://example.org/", "--base", "https://example.org/"],
            "--base: is the URL of one folder, and no input is",
        ),
        (["docs", "--base", "example.org"], "--base: 'example.org' is not the URL of a folder"),
        (["docs", "--base", "https://example.org/?a"], "--base: 'https://example.org/?a' is not the URL of a folder"),
        (["gone"], "'gone'"),
        (["gone.html"], "'gone.html'"),
    ],
)
def test_what_cannot_be_checked(
    docs: Path, capfd: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    """It is told before anything is asked for."""
    write(docs, {"a.html": "", "../other/a.html": ""})
    assert main(["check", *arguments]) == 2
    assert words in capfd.readouterr().err


def test_is_page(docs: Path) -> None:
    """Lists stay lists."""
    write(docs, {"a.html": "", "b.txt": "https://example.org/"})
    assert [
        is_page(name) for name in ("docs", "docs/a.html", "docs/b.txt", "docs/c.html", "https://example.org/a.html")
    ] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_our_own_documentation(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Each link of it leads somewhere, and nothing that is none is taken for one."""
    monkeypatch.chdir(Path(__file__).parents[2])
    code = main(["check", "docs", "README.md", "--exclude", "^https?://", "-q"])
    assert code == 0, capfd.readouterr().out


def test_clean_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build for a server that answers /guide by guide.html: with its extension all is found, fragments, too."""
    monkeypatch.chdir(tmp_path)
    docs = tmp_path / "public"
    (docs / "more").mkdir(parents=True)
    (docs / "index.html").write_text('<a href="/guide#there"><a href="guide#none"><a href="/more"><a href="/gone">')
    (docs / "guide.html").write_text('<p id=there><a href="more/">')
    (docs / "more" / "home.html").write_text("<p>")
    options = ("--fallback-extensions", "html", "--index-files", "home.html,index.html")
    codes = dict([*check(tmp_path, "public/", *options).findings])
    assert set(codes.values()) == {"fragment_missing", "file_missing"}
    assert len(codes) == 2
    assert {code for _, code in check(tmp_path, "public/").findings} == {"file_missing", "folder_without_index"}


@pytest.mark.parametrize("value", ["a/b", "..", ""])
def test_what_is_no_extension(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", ".", "--fallback-extensions", value]) == 2
    assert "--fallback-extensions: " in capsys.readouterr().err
    assert main(["check", ".", "--index-files", value]) == 2


def test_headings_as_mkdocs_calls_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside GitHub's names: ASCII alone, one - for several, _1 for the second."""
    monkeypatch.chdir(tmp_path)
    links = " ".join(f"[x](#{name})" for name in ("c---d", "c-d", "uber", "über", "uber_1", "über-1", "_1", "no"))
    (tmp_path / "a.md").write_text(f"# C - d\n\n# Über\n\n# Über\n\n# 日本\n\n{links}\n")
    assert [url for url, _ in check(tmp_path, "a.md").findings] == ["a.md#no"]
