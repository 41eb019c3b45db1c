"""What `crawler collect` makes of parts: every input once, in whatever format, or nothing at all."""

from __future__ import annotations

import csv
import gzip
import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from shard_tools import hosts, named

from crawler.cli.main import main

INPUTS = 20
FETCHING = ("--extract", "title=title::text", "--extract", "odd=.absent::text")


@pytest.fixture
def parts(site, tmp_path: Path) -> Path:
    """Of two shards, and one line that is no URL."""
    urls = [named(site, f"site{n % 4}.com", f"/p/{n}.html\n") for n in range(INPUTS - 1)]
    (tmp_path / "urls.txt").write_text("".join(urls) + "no url\n")
    shards, parts = str(tmp_path / "shards"), tmp_path / "parts"
    assert main(["split", str(tmp_path / "urls.txt"), "--shards", "2", "-o", shards, "-q"]) == 0
    for shard in "01":
        assert (
            main(["work", shards, "--shard", shard, "-o", str(parts), "--resolve", hosts(site), *FETCHING, "-q"]) == 0
        )
    return parts


def in_parts(parts: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(parts.glob("part-*")) for line in path.read_bytes().splitlines()]


def lines_of(path: Path) -> list[int]:
    """The lines of the inputs in a file."""
    if path.suffix in {".parquet", ".duckdb"}:
        import duckdb

        with duckdb.connect(str(path) if path.suffix == ".duckdb" else ":memory:") as db:
            of = "records" if path.suffix == ".duckdb" else f"'{path}'"
            return [line for (line,) in db.execute(f"SELECT input_line FROM {of}").fetchall()]
    if path.suffix == ".sqlite":
        with sqlite3.connect(path) as db:
            return [line for (line,) in db.execute("SELECT input_line FROM records")]
    text = path.read_bytes()
    text = {".gz": gzip.decompress, ".zst": zstd.decompress}.get(path.suffix, lambda data: data)(text)
    if ".csv" in path.name or ".tsv" in path.name:
        rows = csv.DictReader(text.decode().splitlines(), delimiter="\t" if ".tsv" in path.name else ",")
        return [int(row["input_line"]) for row in rows]
    return [json.loads(line)["input"]["line"] for line in text.splitlines()]


@pytest.mark.parametrize(
    "name",
    [
        "a",
        "a.jsonl",
        "a.ndjson.gz",
        "a.jsonl.zst",
        "a.csv",
        "a.tsv.gz",
        "a.csv.zst",
        "a.parquet",
        "a.sqlite",
        "a.duckdb",
    ],
)
def test_formats(name: str, parts: Path, tmp_path: Path) -> None:
    """As the name says. Once more it is refused, unless -O replaces it; and nothing else is left beside it."""
    to = tmp_path / "out" / name
    to.parent.mkdir()
    assert main(["collect", str(parts), "-o", str(to), "-q"]) == 0
    assert sorted(lines_of(to)) == [*range(1, INPUTS + 1)]
    assert main(["collect", str(parts), "-o", str(to), "-q"]) == 2
    assert main(["collect", str(parts), "-O", str(to), "-q"]) == 0
    assert sorted(lines_of(to)) == [*range(1, INPUTS + 1)]
    assert [*to.parent.iterdir()] == [to]


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.sqlite"])
def test_a_table_is_that_of_one_run(name: str, parts: Path, site, tmp_path: Path) -> None:
    """It has the columns and the kinds that the output of a run has, and of --fields those."""
    for fields in ([], ["--fields", "url,input,data.title"]):
        to, one = tmp_path / name, tmp_path / f"one-{name}"
        again = tmp_path / f"parts{len(fields)}"
        work = ["work", str(tmp_path / "shards"), "-o", str(again), "--resolve", hosts(site), *FETCHING, *fields, "-q"]
        assert [main([*work, "--shard", shard]) for shard in "01"] == [0, 0]
        assert main(["collect", str(again), "-O", str(to), "-q"]) == 0
        run = [str(tmp_path / "urls.txt"), "--resolve", hosts(site), *FETCHING, *fields, "-O", str(one), "-q"]
        assert main(run) == 0
        assert shape(to) == shape(one)


def shape(path: Path) -> Any:
    if path.suffix == ".parquet":
        from pyarrow.parquet import read_schema

        return read_schema(path)
    if path.suffix == ".sqlite":
        with sqlite3.connect(path) as db:
            return db.execute("SELECT sql FROM sqlite_schema ORDER BY name").fetchall()
    return path.read_text().splitlines()[0]


def test_items(parts: Path, tmp_path: Path, capsys) -> None:
    """What pages gave is made of the parts, as a run writes it."""
    data = [record for record in in_parts(parts) if record["data"] is not None]
    for name in ("items.jsonl", "items.csv", "items.parquet", "items.sqlite"):
        assert (
            main(["collect", str(parts), "-o", str(tmp_path / f"all-{name}"), "--items", str(tmp_path / name), "-q"])
            == 0
        )
    items = [json.loads(line) for line in (tmp_path / "items.jsonl").read_bytes().splitlines()]
    assert items == [{"_url": record["final_url"], **record["data"]} for record in data]
    with (tmp_path / "items.csv").open() as file:
        assert [row["title"] for row in csv.DictReader(file)] == [item["title"] for item in items]
    with sqlite3.connect(tmp_path / "items.sqlite") as db:
        assert db.execute("SELECT count(*) FROM items").fetchone() == (len(data),)
    assert len(items) == INPUTS - 1
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.csv", "a.parquet", "a.sqlite", "a.duckdb"])
def test_nothing_where_something_is_double(name: str, parts: Path, tmp_path: Path) -> None:
    """Neither the file, nor what it would have been made of, nor that of the items."""
    part = parts / "part-00000.jsonl"
    part.write_bytes(part.read_bytes() + part.read_bytes().splitlines(keepends=True)[0])
    (tmp_path / "out").mkdir()
    to = [*("-o", str(tmp_path / "out" / name)), "--items", str(tmp_path / "out" / f"items-{name}")]
    assert main(["collect", str(parts), *to, "-q"]) == 5
    assert not [*(tmp_path / "out").iterdir()]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.warc.gz", "'a.warc.gz': records are not made an archive (name a table or .jsonl)"),
        ("a.txt", "'a.txt': records are not joined by --template"),
        ("a.parquet.zst", "'a.parquet.zst': .parquet is not packed (leave out .zst)"),
        ("a.docx", "no format of records is known for '.docx'"),
        ("a.xlsx", "Excel workbooks are read, not written"),
    ],
)
def test_what_parts_are_not_joined_as(name: str, words: str, parts: Path, monkeypatch, capsys) -> None:
    """One sentence, and nothing is written."""
    monkeypatch.chdir(parts.parent)
    assert main(["collect", "parts", "-o", name]) == 2
    assert words in capsys.readouterr().err
    assert not (parts.parent / name).exists()


def test_an_object(objects, parts: Path) -> None:
    """A table that is put, whole, and replaces nothing."""
    bucket = objects.bucket()
    assert main(["collect", str(parts), "-o", f"s3://{bucket}/all.csv", "-q"]) == 0
    rows = csv.DictReader(objects.get(bucket, "all.csv").decode().splitlines())
    assert Counter(int(row["input_line"]) for row in rows) == Counter(range(1, INPUTS + 1))
    assert main(["collect", str(parts), "-o", f"s3://{bucket}/all.csv", "-q"]) == 0  # it has the same bytes
