"""A whole crawler that gets killed at work: `python tests/support/killed_crawler.py crawl|list SEED KILLS`.

With real sockets, and all that writes at once: outputs of each kind, bodies, and the skipped links of a crawl or the order of a
list. Kills are those of job_victim.py; each run goes on with the same job. Then the outputs are compared with what the
site holds, and the delay between two requests to a host is read from the site's own log, over all kills. Prints both as
JSON, and exits with 1 when something is not as it must be. Linux only, as wide_server.py.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import sqlite3
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
from archive_tools import check, of_kind
from job_victim import AT_REST, LEFTOVER, Doom, kill_loop
from wide_server import ELSEWHERE, distances, wide_server

from crawler.config.config import Config
from crawler.job.verify import verify
from crawler.run.composition import Crawler
from crawler.run.reactors import private_reactor, run
from crawler.sinks.csv import Csv
from crawler.sinks.tables import making
from crawler.sinks.tables.sqlite import SqliteTable
from crawler.sinks.tee import Tee
from crawler.store import database

HOSTS = 8
DELAY = 0.06
JITTER = 0.01  # the kernel tells when a request came in its ticks of 4 ms
OUTPUTS = ("out.jsonl", "out.csv", "out.jsonl.gz", "out.sqlite", "out.parquet", "out.duckdb")
ITEMS = "items.sqlite"
MAKING = (
    "before rows go into a table",
    "after rows went into a table",
    "while a table is made",
    "before a table gets its name",
    "before another gets its name",
    "after a table got its name",
)
"""Points that a run passes which writes all that is left."""
ARCHIVE = "out.warc.gz"

Found = tuple[object, str, str]  # the line of a list or None; the URL; its status, or the code for which there is none


def options(folder: Path, mode: str, inputs: list[str]) -> dict[str, object]:
    crawling = {"recursive": True, "skipped": True}
    listed = {"robots": True, "ordered": True}
    return {
        "inputs": inputs,
        "job": str(folder / "job"),
        "output": [str(folder / name) for name in (*OUTPUTS, ARCHIVE)],
        "bodies": str(folder / "bodies"),
        "extract": ["size=xpath:string-length(/)"],
        "items": str(folder / ITEMS),
        "delay": DELAY,
        **(crawling if mode == "crawl" else listed),
    }


def expected(mode: str, lines: list[str], bases: list[str], pages: int) -> list[Found]:
    """What must be in each output, in its order if there is one."""
    if mode == "list":
        return [(number, line, verdict(line)) for number, line in enumerate(lines, 1)]
    found = []
    for host, base in enumerate(bases):
        for page in range(pages):
            urls = (
                f"{base}{page}.html" if page else base,
                f"{base}private/{page}.html",
                f"{ELSEWHERE}/{host}/{page}.html",
            )
            found += [(None, url, verdict(url)) for url in urls]
    return found


def verdict(line: str) -> str:
    if line.startswith(ELSEWHERE):
        return "out_of_scope"
    if "/private/" in line:
        return "robots_denied"
    return "200" if line.startswith("http") else "url_invalid"


def list_of(bases: list[str], pages: int) -> list[str]:
    """A list with bad lines, with URLs that come again, and with such as robots.txt denies."""
    lines = []
    for page in range(pages):
        for host, base in enumerate(bases):
            number = page * len(bases) + host
            name = f"private/{page}" if number % 29 == 0 else f"{page - page % 3}"
            lines.append("a line that is none" if number % 31 == 0 else f"{base}{name}.html")
    return lines


def live(settings: dict[str, object], doom: Doom, ready: int) -> None:
    """One run, until it is done or killed."""
    doom.wrap(os, "ftruncate", before="while outputs are cut")
    doom.in_the_middle_of_a_write()
    doom.wrap(database, "write_batch", after="inside a commit")
    doom.wrap(database.Store, "write", before="before a commit", after="after a commit")
    doom.wrap(Tee, "write", before="before a record is written")
    doom.wrap(Tee, "flush", after="after a flush")
    doom.wrap(SqliteTable, "_put", before="before rows go into a table", after="after rows went into a table")
    doom.wrap(making, "parquet", before="while a table is made", after="before a table gets its name")
    doom.wrap(making, "duckdb", after="before another gets its name")
    doom.wrap(making, "make", after="after a table got its name")
    doom.count_writes(Csv)
    with private_reactor() as (reactor, dial):
        doom.spent = lambda: reactor.callLater(LEFTOVER, os.kill, os.getpid(), AT_REST)
        crawler = Crawler(Config.build(**settings), reactor=reactor, dial=dial)
        os.write(ready, b"!")
        run(reactor, crawler.run)


def written(folder: Path, mode: str) -> dict[str, list[Found]]:
    """What the outputs hold."""

    def found(line: dict) -> Found:
        return (
            line["input"].get("line") if mode == "list" else None,
            line["url"],
            line["error"]["code"] if line["error"] else str(line["status"]),
        )

    plain, table, zipped, database, *columns = (folder / name for name in OUTPUTS)
    with table.open(newline="") as rows:
        cells = [
            (int(row["input_line"]) if mode == "list" else None, row["url"], row["error_code"] or row["status"])
            for row in csv.DictReader(rows)
        ]
    return {
        plain.name: [found(json.loads(line)) for line in plain.read_bytes().splitlines()],
        table.name: cells,
        zipped.name: [found(json.loads(line)) for line in gzip.decompress(zipped.read_bytes()).splitlines()],
        **{
            path.name: [
                (line if mode == "list" else None, url, code or str(status)) for line, url, code, status in rows
            ]
            for path, rows in ((database, of_sqlite(database)), *((path, of_duckdb(path)) for path in columns))
        },
    }


ROWS = "SELECT input_line, url, error_code, status FROM"


def of_sqlite(path: Path) -> list[tuple]:
    """In the order of the inputs, which its rows have the numbers of."""
    with closing(sqlite3.connect(path)) as db:
        return db.execute(f"{ROWS} records ORDER BY _id").fetchall()


def of_duckdb(path: Path) -> list[tuple]:
    """Of a database, or of a Parquet file."""
    if path.suffix == ".parquet":
        return duckdb.sql(f"{ROWS} '{path}'").fetchall()
    with duckdb.connect(str(path), read_only=True) as db:
        return db.sql(f"{ROWS} records").fetchall()


def items(folder: Path) -> tuple[Counter, Counter]:
    """The items that records hold, and those that were written: URL and what was found."""
    with closing(sqlite3.connect(folder / ITEMS)) as db:
        rows = Counter(db.execute("SELECT _url, size FROM items").fetchall())
    records = [json.loads(line) for line in (folder / OUTPUTS[0]).read_bytes().splitlines()]
    return Counter((line["final_url"], line["data"]["size"]) for line in records if line["data"]), rows


def of_archive(folder: Path, fetched: set[str]) -> Iterable[str]:
    """What warcio finds there, and whether all that was fetched is; what was fetched again is there again."""
    path = folder / ARCHIVE
    captures = of_kind(path, "response", "revisit")
    check(path)
    found = {record.url for record in captures}
    if missing := fetched - found:
        yield f"{ARCHIVE}: {len(missing)} URLs are missing: {sorted(missing)[:3]}"
    if others := {url for url in found - fetched if not url.endswith("/robots.txt") and "/moved/" not in url}:
        yield f"{ARCHIVE}: {len(others)} URLs that nobody wanted: {sorted(others)[:3]}"
    if len({record.headers["warc-record-id"] for record in captures}) < len(captures):
        yield f"{ARCHIVE}: some records have the same id"
    lines = (folder / "out.cdxj").read_text().splitlines()
    if len(lines) != len(captures) or lines != sorted(lines):
        yield f"out.cdxj: {len(lines)} lines for {len(captures)} captures"


def problems(folder: Path, mode: str, wanted: list[Found], apart: list[float]) -> Iterable[str]:
    """What is not as it must be, in words."""
    for name, found in written(folder, mode).items():
        if difference := (Counter(found) - Counter(wanted)) + (Counter(wanted) - Counter(found)):
            yield f"{name}: {len(difference)} records too many or too few: {difference.most_common(3)}"
        elif mode == "list" and found != wanted:
            yield f"{name}: not in order"
    yield from of_archive(folder, {url for _, url, verdict in wanted if verdict == "200"})
    held, rows = items(folder)
    if held != rows or not rows:
        yield f"{ITEMS}: {rows.total()} items, and the records hold {held.total()}"
    yield from (f"{path.name} is left" for path in folder.glob("*.part*"))
    yield from (str(problem) for problem in verify(str(folder / "job")).problems)
    if soon := [distance for distance in apart if distance < DELAY - JITTER]:
        yield f"{len(soon)} requests too soon, the first after {soon[0]:.4f} s"


def killed(folder: Path, mode: str, seed: int, kills: int) -> dict[str, object]:
    """Kill crawlers, look at what they leave, and tell: how they died, what was counted, what is wrong."""
    pages = max(8, kills * (2 if mode == "crawl" else 4) // 4)
    with wide_server(HOSTS, seconds=DELAY - 0.001, pages=pages) as web:
        bases = web.urls
        lines = list_of(bases, pages) if mode == "list" else []
        inputs = bases
        if lines:
            (folder / "urls.txt").write_text("".join(f"{line}\n" for line in lines))
            inputs = [str(folder / "urls.txt")]
        wanted = expected(mode, lines, bases, pages)
        run_once: Callable[[Doom, int], object] = partial(live, options(folder, mode, inputs))
        deaths = kill_loop(run_once, seed, kills, len(wanted), moment=0.3, at_the_end=MAKING)
        apart = distances(web.stop())
    return {
        "deaths": deaths,
        "records": len(wanted),
        "delays": len(apart),
        "delay": DELAY,
        "least": round(apart[0], 4),
        "problems": list(problems(folder, mode, wanted, apart)),
    }


def main() -> int:
    with TemporaryDirectory() as folder:
        told = killed(Path(folder), sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    print(json.dumps(told))
    return 1 if told["problems"] else 0


if __name__ == "__main__":
    sys.exit(main())
