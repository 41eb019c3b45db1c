"""Which file a URL stands for, and what is said where there is none."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.errors import CodedError
from crawler.fetch.disk.folders import Folder, Folders, Found, unnamed
from crawler.urls import join, parse


@pytest.fixture
def site(tmp_path: Path) -> Path:
    for name in (
        "docs/index.html",
        "docs/a b%.html",
        "docs/sub/index.htm",
        "docs/md/README.md",
        "docs/x/y.png",
        "top.md",
    ):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name)
    (tmp_path / "docs" / "empty").mkdir()
    return tmp_path


def path_at(folders: Folders, start: str, reference: str) -> str:
    found = folders.find(join(parse(start), reference))
    assert found is not None
    return found.path


@pytest.mark.parametrize("base", [None, "https://example.org/", "https://example.org/deep/docs/"])
def test_links_inside(site: Path, base: str | None) -> None:
    """Relative ones, those from the root, with %-escapes and a query; folders are their index."""
    docs = str(site / "docs")
    folder = unnamed(docs, 0) if base is None else Folder(docs, base)
    folders = Folders([folder])
    start = folders.url_of(folder, f"{docs}/sub/index.htm")
    root = folder.base.removeprefix("https://example.org").removesuffix("/") if base else ""
    for reference, name in {
        "../index.html": "index.html",
        "../a%20b%25.html?version=2": "a b%.html",
        "./": "sub/index.htm",
        "../md": "md/README.md",
        "..": "index.html",
        f"{root}/x/y.png": "x/y.png",
        f"{root}/": "index.html",
        f"{folder.base}x/y.png": "x/y.png",
    }.items():
        assert path_at(folders, start, reference) == f"{docs}/{name}", reference
    assert folders.find(parse("https://other.example/x")) is None


def test_what_is_not_there(site: Path) -> None:
    """Each is told in words that help."""
    folder = unnamed(str(site / "docs"), 0)
    folders = Folders([folder])
    start = folders.url_of(folder, f"{folder.path}/index.html")
    for reference, code, words in (
        ("gone.html", "file_missing", "there is no such file"),
        ("Index.html", "file_missing", "there is no such file (there is index.html; case matters)"),
        ("empty/", "folder_without_index", "the folder has no index.html"),
        ("index.html/", "file_missing", "it is a file, and no folder"),
        ("index.html/more", "file_missing", "there is no such file"),
        ("a%00b", "file_missing", "no file can have that name"),
        ("x%2Fy.png", "file_missing", "no file can have that name"),
        ("n" * 3000, "file_missing", "there is no such file"),
        ("..%2f..%2fetc/passwd", "file_missing", "no file can have that name"),
    ):
        with pytest.raises(CodedError) as caught:
            folders.find(join(parse(start), reference))
        assert (caught.value.code, caught.value.message) == (code, words), reference


def test_folders_that_are_listed(site: Path) -> None:
    """A repository's host shows them."""
    folder = unnamed(str(site / "docs"), 0, lists=True)
    folders = Folders([folder])
    assert path_at(folders, folders.url_of(folder, f"{folder.path}/index.html"), "empty/").endswith("/empty/")


def test_clean_urls(tmp_path: Path) -> None:
    """ "/guide" is guide.html, unless a folder of that name has an index; what is there under its own name comes first."""
    for name in ("guide.html", "both.html", "both/index.html", "bare.html", "bare/x.txt", "own", "own.html", "doc.htm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    docs = str(tmp_path.resolve())
    folder = Folder(docs, "https://example.org/")
    folders = Folders([folder], extensions=["html", "htm"])
    for reference, name in (
        ("guide", "guide.html"),
        ("guide?a=b", "guide.html"),
        ("both", "both/index.html"),
        ("both/", "both/index.html"),
        ("bare", "bare.html"),
        ("own", "own"),
        ("doc", "doc.htm"),
    ):
        assert path_at(folders, folder.base, reference) == f"{docs}/{name}", reference
    for reference, code in (("guide/", "file_missing"), ("bare/", "folder_without_index"), ("none", "file_missing")):
        with pytest.raises(CodedError) as caught:
            folders.find(join(parse(folder.base), reference))
        assert caught.value.code == code
    with pytest.raises(CodedError, match="there is no such file"):
        Folders([folder]).find(parse("https://example.org/guide"))


def test_what_is_shown_for_a_folder(tmp_path: Path) -> None:
    """By the names that somebody gives; "." is the folder itself."""
    for name in ("a/home.html", "b/index.html", "c/x.html"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).touch()
    docs = str(tmp_path.resolve())
    folder = Folder(docs, "https://example.org/")
    folders = Folders([folder], indexes=["home.html", "index.html"])
    assert path_at(folders, folder.base, "a/") == f"{docs}/a/home.html"
    assert path_at(folders, folder.base, "b/") == f"{docs}/b/index.html"
    with pytest.raises(CodedError, match=r"the folder has no home\.html"):
        folders.find(parse("https://example.org/c/"))
    listed = Folders([folder], indexes=["home.html", "."])
    assert path_at(listed, folder.base, "c/") == f"{docs}/c/"


def test_out_of_the_folder(site: Path) -> None:
    """A repository's pages may climb; with a base there is nothing above it on the disk, and the net is asked."""
    docs = str(site / "docs")
    folder = unnamed(docs, 0)
    folders = Folders([folder])
    assert path_at(folders, folders.url_of(folder, f"{docs}/index.html"), "../top.md") == str(site / "top.md")
    folder = Folder(docs, "https://example.org/docs/")
    folders = Folders([folder])
    assert folders.find(join(parse(folders.url_of(folder, f"{docs}/index.html")), "../top.md")) is None


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links need a right there")
def test_symbolic_links(site: Path) -> None:
    """One that leads out is there, and is not read; one that leads to nothing is not there."""
    docs = site / "docs"
    (docs / "out.md").symlink_to(site / "top.md")
    (docs / "in.html").symlink_to(docs / "index.html")
    (docs / "dead.html").symlink_to(docs / "nothing")
    (docs / "round.html").symlink_to(docs / "round.html")
    folder = unnamed(str(docs), 0)
    folders = Folders([folder])
    base = parse(folders.url_of(folder, f"{docs}/index.html"))
    assert folders.find(join(base, "out.md")) == Found(str(docs / "out.md"), inside=False)
    assert folders.find(join(base, "in.html")) == Found(str(docs / "in.html"), inside=True)
    for name in ("dead.html", "round.html"):
        with pytest.raises(CodedError, match="no such file"):
            folders.find(join(base, name))


def test_several_folders(site: Path) -> None:
    """Each has an origin of its own: what begins with "/" stays in its folder."""
    first, second = unnamed(str(site / "docs" / "sub"), 0), unnamed(str(site / "docs"), 1)
    folders = Folders([first, second])
    start = folders.url_of(second, f"{second.path}/x/y.png")
    assert path_at(folders, start, "/index.html") == f"{second.path}/index.html"
    start = folders.url_of(first, f"{first.path}/index.htm")
    with pytest.raises(CodedError):
        path_at(folders, start, "/index.html")


@given(st.text(st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=40))
def test_every_name_comes_back(name: str) -> None:
    """The URL of a file stands for that file."""
    if name in {".", ".."} or (os.name == "nt" and set(name) & set('\\:*?"<>|')):
        return
    for folder in (unnamed(os.sep, 0), Folder(os.sep + "site", "https://example.org/a/")):
        folders = Folders([folder])
        path = f"{folder.path.rstrip(os.sep)}{os.sep}f{os.sep}{name}"
        assert folders.path_of(parse(folders.url_of(folder, path)).href) == path
