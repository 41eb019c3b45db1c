"""crawler report reads what a run wrote, whatever form that has: the page says the same of it."""

from __future__ import annotations

import codecs
import gzip
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from archive_tools import serving
from record_tools import made
from selectolax.lexbor import LexborHTMLParser as HTMLParser

from crawler.cli.main import main
from crawler.config.config import Config
from crawler.report.lines import open_lines
from crawler.report.sources.outputs import outputs_of
from crawler.seeds.inputs import read

try:
    from compression import zstd
except ImportError:
    from backports import zstd

PAGES = {
    "/": b"<title>Home</title><meta name=description content=Welcome><h1>Home</h1><a href=/a>a</a> <a href=/b>b</a>",
    "/a": b"<title>Same</title><h1>One</h1><h1>Two</h1><a href=/b>b</a><link rel=canonical href=/b>",
    "/b": b"<title>Same</title><p>words",
}
TABLES = ("csv", "tsv", "parquet", "sqlite", "duckdb")


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder with the outputs of a crawl, and its page: run.html."""
    folder = tmp_path_factory.mktemp("crawled")
    outputs = [part for name in ("jsonl", *TABLES, "warc.gz") for part in ("-o", str(folder / f"site.{name}"))]
    with serving(PAGES) as root:
        options = [
            "-c",
            "1",
            "--delay",
            "0",
            "--no-robots",
            "--allow-private",
            "-q",
            "--report",
            str(folder / "run.html"),
        ]
        assert main(["-r", f"{root}/", *options, *outputs]) == 0
    (folder / "site.jsonl.zst").write_bytes(zstd.compress((folder / "site.jsonl").read_bytes()))
    return folder


def chapters(path: Path) -> dict[str, list[list[str]]]:
    """The tables of a page: of each its rows, without times."""
    return {
        node.attributes["aria-label"] or "": sorted(
            [cell.text() for cell in row.css("td")][:-1] for row in node.css("tbody tr")
        )
        for node in HTMLParser(path.read_text()).css(".scroll")
        if node.attributes["aria-label"] not in {"Slowest URLs", "Time for one URL", "Courtesy", "Hosts"}
    }


@pytest.mark.parametrize("name", ["jsonl", "jsonl.zst", *TABLES])
def test_the_same_of_each_form(crawled, tmp_path, capsys, name):
    """A table has what JSON Lines have: facts, redirects, parents, and the page of the run is the same."""
    page = tmp_path / "page.html"
    assert main(["report", str(crawled / f"site.{name}"), "-o", str(page)]) == 0
    assert capsys.readouterr().err == f"{page}: 3 records\n"
    of_run = chapters(crawled / "run.html")
    del of_run["What the run wrote"]  # which records do not tell
    assert chapters(page) == of_run
    assert "Canonical" not in chapters(page)


def test_an_archive(crawled, tmp_path, capsys):
    """Its pages are read themselves: nothing has to be asked for when it is written."""
    page = tmp_path / "page.html"
    assert main(["report", str(crawled / "site.warc.gz"), "-o", str(page)]) == 0
    assert capsys.readouterr().err == f"{page}: 3 records\n"
    found = chapters(page)
    assert [row[2:6] for row in found["Pages"]] == [
        ["Home", "Home", "Welcome", "\N{EN DASH}"],
        ["Same", "One", "", f"{found['Pages'][2][0]}"],
        ["Same", "", "", "\N{EN DASH}"],
    ]
    assert [row[0] for row in found["Problems"]] == [row[0] for row in chapters(crawled / "run.html")["Problems"]]


def test_what_was_written_is_told(crawled):
    """The page of a run names its outputs, archives with their index too."""
    found = {row[0].rpartition("/")[2]: row[1] for row in chapters(crawled / "run.html")["What the run wrote"]}
    assert found["site.warc.gz"] == "archive (WARC)"
    assert found["site.cdxj"] == "index of the archive (CDXJ)"
    assert found["site.parquet"] == "records"


def test_an_archive_of_several_files(tmp_path):
    """All of them are named, with their sizes; what is elsewhere has none."""
    for number in (1, 2):
        (tmp_path / f"site-0000{number}.warc.gz").write_bytes(b"x" * number)
    config = Config.build(output=(str(tmp_path / "site.warc.gz"), "s3://b/x.jsonl"), warc_max_size="1MiB", bodies="d")
    assert [(Path(path).name, what.partition(" ")[0], size) for path, what, size in outputs_of(config)] == [
        ("site-00001.warc.gz", "archive", 1),
        ("site-00002.warc.gz", "archive", 2),
        ("site.cdxj", "index", None),
        ("x.jsonl", "records", None),
        ("d", "bodies", None),
    ]


def test_the_page_is_named_after_the_input(crawled, capsys, folder):
    """Beside it, whatever its form."""
    for name in ("site.jsonl.zst", "site.csv", "site.warc.gz"):
        (folder / name).write_bytes((crawled / name).read_bytes())
        assert main(["report", name, "-q"]) == 0
        (folder / "site.html").unlink()


@pytest.mark.parametrize("name", ["site.jsonl", "site.sqlite", "site.csv", "site.warc.gz"])
def test_objects(crawled, objects, capsys, folder, name):
    """In a store, too: as a stream, or as a copy for what has to go back and forth."""
    bucket = objects.bucket()
    assert objects.ask("PUT", f"/{bucket}/runs/{name}", (crawled / name).read_bytes())[0] == 200
    assert main(["report", f"s3://{bucket}/runs/{name}"]) == 0
    assert capsys.readouterr().err == "site.html: 3 records\n"
    assert main(["report", f"s3://{bucket}/nothing/{name}", "-O", "x.html"]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert [path.name for path in folder.iterdir()] == ["site.html"]


@pytest.mark.parametrize(("size", "records"), [(-40, 3), (60, 0)])
def test_an_archive_that_is_not_whole(crawled, folder, capfd, size, records):
    """What could not be read is told by a report, in its page too, and by a run that reads it, with a job or without."""
    whole = (crawled / "site.warc.gz").read_bytes()
    (folder / "cut.warc").write_bytes(gzip.decompress(whole)[:size])
    assert main(["report", "cut.warc"]) == 0
    first, second = capfd.readouterr().err.splitlines()
    assert first == f"cut.html: {records} records"
    assert re.fullmatch(r"The input is not whole: cut\.warc ends inside (the head of )?a record\.", second)
    assert second in (folder / "cut.html").read_text()
    assert main(["cut.warc", "-o", "again.jsonl", "--no-progress"]) == 0
    assert second.removeprefix("The input is not whole: ").rstrip(".") in capfd.readouterr().err


def test_the_page_in_a_store(crawled, objects, capsys, folder):
    """As a file would be: a new one is not put over another, -O replaces it; browsers show it as a page."""
    at = f"s3://{objects.bucket()}/runs/page.html"
    _, _, bucket, key = at.split("/", 3)
    source = str(crawled / "site.jsonl")
    assert main(["report", source, "-o", at]) == 0
    assert capsys.readouterr().err == f"{at}: 3 records\n"
    page = objects.get(bucket, key)
    assert page is not None
    assert page.startswith(b"<!doctype html>")
    assert objects.content_type(bucket, key) == "text/html; charset=utf-8"
    assert main(["report", str(crawled / "site.csv"), "-o", at]) == 2
    assert f"'{at}' exists (-O '{at}' replaces it)" in capsys.readouterr().err
    assert objects.get(bucket, key) == page
    assert main(["report", str(crawled / "site.csv"), "-O", at]) == 0
    assert objects.get(bucket, key) not in {None, page}
    assert main(["report", source, "-o", "s3://no-such-bucket-here/page.html"]) == 5
    assert "there is no such bucket" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


def test_rows_that_are_none(tmp_path):
    """They cost themselves, and are told."""
    path = tmp_path / "x.csv"
    path.write_text(
        'url,status,page\nhttps://a.example/,200,\nhttps://a.example/,much,\nhttps://a.example/,200,"{"\n,,\n'
    )
    with open_lines(str(path)) as lines:
        assert [line.status for line in lines] == [200]
    assert lines.bad == 3
    assert lines.examples[0].startswith("row 2: ")


@pytest.mark.parametrize("name", ["x.parquet", "x.sqlite", "x.duckdb", "x.csv"])
def test_what_holds_no_records(tmp_path, capsys, name):
    """Another table, and what is no table at all, are one sentence."""
    path = tmp_path / name
    path.write_bytes(b"a,b\n1,2\n" * 99)
    assert main(["report", str(path), "-o", str(tmp_path / "y.html")]) == 2
    said = capsys.readouterr().err
    assert "cannot be read" in said or "has no column url" in said
    assert len(said.splitlines()) == 1
    if name == "x.sqlite":
        path.unlink()
        with closing(sqlite3.connect(path)) as db:
            db.execute("CREATE TABLE other (a)")
        assert main(["report", str(path), "-O", str(tmp_path / "z.html")]) == 2
        assert "has no column url: it holds no records" in capsys.readouterr().err


RECORDS = [("https://a.example/", 200), ("https://a.example/é", 404)]
JSON = "".join(json.dumps({"url": url, "status": status}) + "\n" for url, status in RECORDS)
CSV = "".join(f"{url},{status}\n" for url, status in (("url", "status"), *RECORDS))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("x.jsonl", codecs.BOM_UTF8 + JSON.encode()),
        ("x.jsonl", JSON.encode("utf-16")),
        ("x.jsonl", codecs.BOM_UTF16_BE + JSON.replace("\n", "\r\n").encode("utf-16-be")),
        ("x.jsonl.gz", gzip.compress(codecs.BOM_UTF8 + JSON.encode())),
        ("x.jsonl.gz", gzip.compress(JSON.encode("utf-16"))),
        ("x.csv", codecs.BOM_UTF8 + CSV.encode()),
        ("x.csv", CSV.encode("utf-16")),
        ("x.csv", CSV.replace(",", ";").replace("\n", "\r\n").encode()),
        ("x.csv", CSV.replace(",", "\t").encode()),
        ("x.csv.gz", gzip.compress(CSV.replace(",", ";").encode("utf-16"))),
        ("x.tsv", CSV.encode()),
        ("x.csv", CSV.replace("url,status", "URL, Status").replace(",200", ",200.0").encode()),
    ],
)
def test_as_other_programs_write_it(tmp_path, name, text):
    """Byte order marks, UTF-16, another separator, names in capitals, integers with a point: spreadsheets, shells."""
    path = tmp_path / name
    path.write_bytes(text)
    with open_lines(str(path)) as lines:
        assert [(line.url, line.status) for line in lines] == RECORDS
    assert (lines.bad, lines.broken) == (0, None)


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8, codecs.BOM_UTF16_LE])
def test_empty_files(tmp_path, mark):
    """With a byte order mark as without."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(mark)
    with open_lines(str(path)) as lines:
        assert list(lines) == []
    assert (lines.bad, lines.broken) == (0, None)


def test_utf16_that_is_cut_or_broken(tmp_path):
    """Half a pair costs its line, and half a character at the end the last one."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(
        (JSON + '"').encode("utf-16") + b"\x00\xd8" + "\n".encode("utf-16-le") + JSON.encode("utf-16-le")[:-1]
    )
    with open_lines(str(path)) as lines:
        assert len(list(lines)) == 3
    assert (lines.bad, lines.broken) == (2, None)


def test_inputs_that_are_read_meanwhile(tmp_path):
    """A cell of a table of records may hold a body; an open quote in an input that is read at that time takes no more."""
    path, seeds = tmp_path / "x.csv", tmp_path / "seeds.csv"
    path.write_text(f"url,text\nhttp://a.example/,{'x' * 200_000}\nhttp://b.example/,\n")
    seeds.write_text('url\nhttp://a.example/\n"' + "x\n" * 70_000 + "http://b.example/\n")
    with open_lines(str(path)) as lines:
        records = iter(lines)
        next(records)
        found = list(read([str(seeds)]))
        assert len(list(records)) == 1
    assert "field larger" in found[1].error.message
    assert found[-1].url.href == "http://b.example/"


def test_a_csv_in_another_encoding(tmp_path):
    """What is no UTF-8 stays visible; the row counts."""
    path = tmp_path / "x.csv"
    path.write_bytes("url,title\nhttps://a.example/,Café\n".encode("latin-1"))
    with open_lines(str(path)) as lines:
        assert [line.title for line in lines] == ["Caf\\xe9"]


def test_nulls_and_times_without_a_zone(tmp_path):
    """Null is what is not there, also in lists and inside; a time without a zone is UTC, as in tables."""
    path, table = tmp_path / "x.jsonl", tmp_path / "x.csv"
    nothing = dict.fromkeys(("warnings", "redirects", "size_body", "links", "input", "error", "outcome", "page"))
    at = {"started": "2026-11-21T03:00:00"}
    facts = {"page": {"titles": 1, "h1": None, "links": ["/", None]}, "size_body": "17", "size_download": 12.0}
    rows = [{"url": "https://a.example/", **more} for more in (nothing, at, facts)]
    path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"url": None}]))
    table.write_text("url,started\nhttps://a.example/,2026-11-21 03:00:00\n")
    with open_lines(str(path)) as lines:
        first, second, third = lines
    assert lines.bad == 1
    assert (first.warnings, first.redirects, first.size_body, first.page) == ([], [], 0, None)
    assert second.started == datetime(2026, 11, 21, 3, tzinfo=UTC)
    assert third.page is not None
    assert (third.page.links, third.page.h1, third.size_body, third.size_download) == (["/"], [], 17, 12)
    with open_lines(str(table)) as lines:
        assert [line.started for line in lines] == [second.started]


@pytest.mark.parametrize("output", ["pages.csv", "pages.tsv"])
def test_a_job_whose_records_are_a_table(folder, capsys, output):
    """Its rows as far as they were committed, and its books."""
    with serving(PAGES) as root:
        assert main([f"{root}/", f"{root}/a", "--job", "job", "-o", output, "-q", "--allow-private"]) == 0
    with (folder / output).open("a") as file:
        file.write("torn,")
    assert main(["report", "job"]) == 0
    assert capsys.readouterr().err == "job.html: 2 records\n"
    text = (folder / "job.html").read_text()
    assert "Books of the job: 2 inputs = 2 ok + 0 failed + 0 skipped + 0 pending." in text
    assert output in text


def test_a_table_by_any_other_name(tmp_path):
    """Of several tables the one with URLs is read; names need quotes."""
    path = tmp_path / "x.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE first (a)")
        db.execute('CREATE TABLE "my ""pages" (url, status, "other")')
        db.execute('INSERT INTO "my ""pages" VALUES (?, 404, 1)', (made("/").url,))
        db.commit()
    with open_lines(str(path)) as lines:
        assert [(line.url, line.status) for line in lines] == [(made("/").url, 404)]
