"""What others make of an archive: pywb replays it; and as a WACZ it is one file, by the specification."""

from __future__ import annotations

import hashlib
import json
import subprocess
import zipfile
from pathlib import Path
from urllib.request import urlopen

import pytest
from real_peers import command_peer, free_port, program

from crawler import Record, crawl, fetch_all
from crawler.cli.main import main
from crawler.site import RunningSite

PYWB = "pip install 'pywb>=2.9' 'setuptools<81', in an environment of its own"


@pytest.fixture
def archived(site: RunningSite, tmp_path: Path) -> tuple[Path, list[Record]]:
    """Pages of the built-in site in an archive, and the records of the run."""
    path = tmp_path / "site.warc.gz"
    return path, list(crawl([site.url("/")], delay=0, max_pages=40, output=str(path)))


def test_pywb_replays_it(archived, tmp_path):
    """Every page, byte for byte, as it was fetched."""
    path, records = archived
    manager, wayback = program("wb-manager", PYWB), program("wayback", PYWB)
    for arguments in (["init", "test"], ["add", "test", str(path)]):
        subprocess.run([manager, *arguments], cwd=tmp_path, check=True, capture_output=True)
    port = free_port()
    asked = [record for record in records if record.ok and not record.redirects]
    assert len(asked) > 30
    with command_peer([wayback, "-p", str(port), "-b", "127.0.0.1", "-d", tmp_path], port):
        for record in asked:
            with urlopen(f"http://127.0.0.1:{port}/test/2id_/{record.final_url}") as answer:
                body = answer.read()
            assert hashlib.sha256(body).hexdigest() == record.sha256 or _is_packed(record), record.url
    assert sum(not _is_packed(record) for record in asked) > 25


def _is_packed(record: Record) -> bool:
    """pywb passes on what a server has compressed as it is; the record is about what is in it."""
    return record.headers is not None and "content-encoding" in record.headers


def test_a_wacz(archived, tmp_path, capfd):
    """The archives as they are, their index, the pages, and a manifest whose hashes are right."""
    path, records = archived
    assert main(["wacz", str(path)]) == 0
    assert "site.wacz: " in capfd.readouterr().err
    with zipfile.ZipFile(tmp_path / "site.wacz") as wacz:
        assert wacz.testzip() is None
        manifest = json.loads(wacz.read("datapackage.json"))
        assert (manifest["profile"], manifest["wacz_version"]) == ("data-package", "1.1.1")
        for resource in manifest["resources"]:
            data = wacz.read(resource["path"])
            assert resource["hash"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
            assert resource["bytes"] == len(data)
        digest = json.loads(wacz.read("datapackage-digest.json"))
        assert digest["hash"] == f"sha256:{hashlib.sha256(wacz.read('datapackage.json')).hexdigest()}"
        assert wacz.getinfo("archive/site.warc.gz").compress_type == zipfile.ZIP_STORED
        assert wacz.read("archive/site.warc.gz") == path.read_bytes()
        index = wacz.read("indexes/index.cdx").decode().splitlines()
        assert index == sorted(index) == (tmp_path / "site.cdxj").read_text().splitlines()
        head, *pages = map(json.loads, wacz.read("pages/pages.jsonl").splitlines())
    assert head["format"] == "json-pages-1.0"
    html = {record.final_url for record in records if record.status == 200 and record.content_type == "text/html"}
    assert {page["url"] for page in pages} <= html
    assert len(pages) > 10
    assert all(page["ts"].endswith("Z") for page in pages)


def test_a_wacz_is_read_again(archived, tmp_path):
    """As the archive that is in it."""
    path, _ = archived
    assert main(["wacz", str(path), "-q", "-o", str(tmp_path / "x.wacz")]) == 0
    for source in (path, tmp_path / "x.wacz"):
        assert main([str(source), "-q", "-O", str(tmp_path / f"{source.suffix}.jsonl"), "--fields", "url,sha256"]) == 0
    assert (tmp_path / ".wacz.jsonl").read_text() == (tmp_path / ".gz.jsonl").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["wacz"], "wacz: no archive is named: crawler wacz WARC"),
        (["wacz", "a.jsonl"], "wacz: 'a.jsonl' is no archive (allowed: .warc, .warc.gz)"),
        (["wacz", "gone.warc.gz"], "wacz: gone.warc.gz: No such file or directory"),
        (["wacz", "empty.warc"], "wacz: empty.warc: there is nothing in it that could be shown"),
        (["wacz", "empty.warc", "-o", "x.zip"], "wacz: 'x.zip' is no name for it (allowed: .wacz)"),
        (["wacz", "empty.warc", "-o", "taken.wacz"], "wacz: 'taken.wacz' exists (-O 'taken.wacz' replaces it)"),
        (["wacz", "empty.warc", "d/empty.warc"], "two archives of one name"),
        (["wacz", "empty.warc", "-o", "a.wacz", "-o", "b.wacz"], "wacz: 2 outputs, and there should be one"),
    ],
)
def test_what_cannot_be_made(arguments, words, tmp_path, monkeypatch, capfd):
    """One sentence, exit code 2, and nothing is left."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    (tmp_path / "taken.wacz").write_bytes(b"mine")
    for name in ("empty.warc", "d/empty.warc", "a.jsonl"):
        (tmp_path / name).write_bytes(b"")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert main(arguments) == 2
    assert words in capfd.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_empty_list_still_makes_an_archive(tmp_path):
    """One that says what it is, and that holds nothing to be shown."""
    fetch_all([], output=str(tmp_path / "x.warc"))
    assert main(["wacz", str(tmp_path / "x.warc"), "-q"]) == 2
