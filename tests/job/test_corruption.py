"""`crawler verify` against a job that was changed behind its back: every one of these corruptions is found, and is told.

One crawl with three outputs, bodies, retries, redirects, bad lines and skipped links; each case changes one thing of it.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from crawler.cli.main import main
from crawler.config.config import ConfigError
from crawler.errors import CodedError
from crawler.job.verify import verify
from crawler.site import running_site
from crawler.store.rows import APPLICATION_ID, schema

PATHS = ("/links.html", "/moved/twice", "/fault/empty-reply", "/hello/english.html", "/missing.html")
Change = Callable[[Path], None]


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A job that was run twice, and a copy of all its files. Paths of outputs are absolute: it is put back in place."""
    folder, copy = tmp_path_factory.mktemp("made"), tmp_path_factory.mktemp("kept") / "copy"
    with running_site() as site, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("urls.txt").write_text("\n".join([*map(site.url, PATHS), "nonsense"]))
        outputs = [word for name in ("out.jsonl", "out.csv", "out.jsonl.gz") for word in ("-o", name)]
        command = ["-r", "urls.txt", "--delay", "0", "--retries", "1", *outputs, "--bodies", "bodies", "--job", "job"]
        assert main([*command, "-q", "--skipped", "--max-pages", "4"]) == 0
        assert main([*command, "-q", "--skipped"]) == 0
    shutil.copytree(folder, copy, symlinks=True)
    yield folder, copy


@pytest.fixture
def job(pristine: tuple[Path, Path]) -> Path:
    folder, copy = pristine
    shutil.rmtree(folder)
    shutil.copytree(copy, folder, symlinks=True)
    return folder


def found(folder: Path) -> str:
    """All that is said of it: what is wrong, or why it cannot be looked at."""
    try:
        return "\n".join(verify(str(folder / "job")).problems)
    except (ConfigError, CodedError) as error:
        return str(error)


# Outputs


def bodies_of(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "bodies").rglob("*") if path.is_file())


def raw(name: str, change: Callable[[bytes], bytes]) -> Change:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def in_json(change: Callable[[dict], object], *, archive: bool = False) -> Change:
    """Change the first record that has a status, and leave the file as long as it was."""

    def apply(folder: Path) -> None:
        path = folder / ("out.jsonl.gz" if archive else "out.jsonl")
        data = path.read_bytes()
        lines = (gzip.decompress(data) if archive else data).splitlines(keepends=True)
        at = next(number for number, line in enumerate(lines) if b'"status":200' in line and b'"text/html"' in line)
        record = json.loads(lines[at])
        change(record)
        text = json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode()
        lines[at] = text.ljust(len(lines[at]) - 1) + b"\n"
        data = b"".join(lines)
        path.write_bytes(gzip.compress(data, mtime=0) if archive else data)

    return apply


def in_table(column: str, value: str) -> Change:
    def apply(folder: Path) -> None:
        path = folder / "out.csv"
        rows = list(csv.DictReader(io.StringIO(path.read_text())))
        next(row for row in rows if row["status"] == "200")[column] = value
        with path.open("w") as file:
            writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)

    return apply


def lines(name: str, change: Callable[[list[bytes]], list[bytes]]) -> Change:
    return raw(name, lambda data: b"".join(change(data.splitlines(keepends=True))))


def flipped(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def a_body(change: Callable[[Path], object]) -> Change:
    return lambda folder: change(bodies_of(folder)[0]) and None


# The database and the options


def sql(*statements: str) -> Change:
    def apply(folder: Path) -> None:
        with closing(sqlite3.connect(folder / "job" / "frontier.sqlite", isolation_level=None)) as db:
            for statement in statements:
                assert db.execute(statement).rowcount, statement

    return apply


OK = "(SELECT id FROM urls WHERE state = 4 AND status = 200 LIMIT 1)"
TABLES = ("urls", "tries", "origins", "known", "outputs", "batches", "books", "runs", "seals")

CORRUPTIONS: dict[str, Change] = {
    "json: status": in_json(lambda record: record.update(status=201)),
    "json: outcome": in_json(lambda record: record.update(outcome="failed")),
    "json: hash": in_json(lambda record: record.update(sha256="0" * 64)),
    "json: url": in_json(lambda record: record.update(url="http://a/")),
    "json: title": in_json(lambda record: record.update(content_type="x/html")),
    "json: time": in_json(lambda record: record.update(time_total=0.5)),
    "json: number of tries": in_json(lambda record: record.update(attempts=2)),
    "json: no object": lines("out.jsonl", lambda lines: [b"[" + lines[0][1:], *lines[1:]]),
    "json: a line is gone": lines("out.jsonl", lambda lines: lines[1:]),
    "json: a line is doubled": lines("out.jsonl", lambda lines: [lines[0], *lines[:-1]]),
    "json: two lines have changed places": lines("out.jsonl", lambda lines: [lines[1], lines[0], *lines[2:]]),
    "json: one bit": raw("out.jsonl", flipped),
    "json: cut": raw("out.jsonl", lambda data: data[:-20]),
    "json: empty": raw("out.jsonl", lambda data: b""),
    "json: zeros": raw("out.jsonl", lambda data: bytes(len(data))),
    "json: gone": lambda folder: (folder / "out.jsonl").unlink(),
    "table: status": in_table("status", "404"),
    "table: outcome": in_table("outcome", "failed"),
    "table: hash": in_table("sha256", "0" * 64),
    "table: url": in_table("url", "http://a.example/"),
    "table: error": in_table("error_code", "internal"),
    "table: a row is gone": lines("out.csv", lambda lines: [lines[0], *lines[2:]]),
    "table: no header": lines("out.csv", lambda lines: lines[1:]),
    "table: one bit": raw("out.csv", flipped),
    "table: empty": raw("out.csv", lambda data: b""),
    "table: gone": lambda folder: (folder / "out.csv").unlink(),
    "archive: status": in_json(lambda record: record.update(status=201), archive=True),
    "archive: one bit": raw("out.jsonl.gz", flipped),
    "archive: packed anew": raw("out.jsonl.gz", lambda data: gzip.compress(gzip.decompress(data), 1)),
    "archive: gone": lambda folder: (folder / "out.jsonl.gz").unlink(),
    "outputs: one in the place of another": lambda folder: shutil.copy(folder / "out.csv", folder / "out.jsonl") and None,
    "body: gone": a_body(lambda path: path.unlink() or True),
    "body: empty": a_body(lambda path: path.write_bytes(b"") == 0),
    "body: cut": a_body(lambda path: path.write_bytes(path.read_bytes()[:-1])),
    "body: one bit": a_body(lambda path: path.write_bytes(flipped(path.read_bytes()))),
    "body: zeros": a_body(lambda path: path.write_bytes(bytes(path.stat().st_size))),
    "body: another's": lambda folder: shutil.copy(bodies_of(folder)[0], bodies_of(folder)[1]) and None,
    "body: a link": a_body(lambda path: path.rename(path.with_name("x")) and (path.symlink_to("x") or True)),
    "bodies: all gone": lambda folder: shutil.rmtree(folder / "bodies"),
    "options: empty": lambda folder: (folder / "job" / "config.toml").write_text("") and None,
    "options: one changed": raw("job/config.toml", lambda data: data.replace(b"concurrency = 64", b"concurrency = 65")),
    "options: cut": raw("job/config.toml", lambda data: data[: len(data) // 2]),
    "options: gone": lambda folder: (folder / "job" / "config.toml").unlink(),
    **{f"table {name} is empty": sql(f"DELETE FROM {name}") for name in TABLES},
    # This job had no reason to wait for a host: as if it had.
    **{
        f"table {name} has lost its rows": sql(f"INSERT OR REPLACE INTO seals VALUES (0, '{name}', 1)")
        for name in ("hosts", "delays")
    },
    "table led is empty": sql("DELETE FROM led"),
    "urls: a row is gone": sql(f"DELETE FROM urls WHERE id = {OK}"),
    "urls: state": sql(f"UPDATE urls SET state = 5 WHERE id = {OK}"),
    "urls: state, and the books": sql(
        f"UPDATE urls SET state = 5 WHERE id = {OK}", "UPDATE books SET ok = ok - 1, failed = failed + 1"
    ),
    "urls: queued, and the books": sql(f"UPDATE urls SET state = 0 WHERE id = {OK}", "UPDATE books SET ok = ok - 1"),
    "urls: status": sql(f"UPDATE urls SET status = 404 WHERE id = {OK}"),
    "urls: error": sql("UPDATE urls SET error = 'internal' WHERE state = 5"),
    "urls: message": sql("UPDATE urls SET message = 'nothing' WHERE state = 5"),
    "urls: url": sql(f"UPDATE urls SET url = 'http://a.example/' WHERE id = {OK}"),
    "urls: time": sql(f"UPDATE urls SET total = 9 WHERE id = {OK}"),
    "urls: redirects": sql("UPDATE urls SET redirects = NULL WHERE redirects IS NOT NULL"),
    "urls: batch": sql(f"UPDATE urls SET batch = 77 WHERE id = {OK}"),
    "tries: one changed": sql("UPDATE tries SET error = 'internal' WHERE rowid = 1"),
    "tries: one gone": sql("DELETE FROM tries WHERE rowid = 1"),
    "tries: one more": sql("INSERT INTO tries (id, attempt, url) VALUES (0, 1, 'http://a.example/')"),
    "origins: one changed": sql("UPDATE origins SET text = 'http://a.example/' WHERE id = 2"),
    "known: changed": sql("UPDATE known SET keys = zeroblob(length(keys))"),
    "outputs: one gone": sql("DELETE FROM outputs WHERE id = 2"),
    "outputs: shorter": sql("UPDATE outputs SET committed = committed - 1 WHERE id = 1"),
    "outputs: another path": sql("UPDATE outputs SET path = path || '.x' WHERE id = 1"),
    "batches: one gone": sql("DELETE FROM batches WHERE number = 1"),
    "batches: the last one gone": sql("DELETE FROM batches WHERE number = (SELECT max(number) FROM batches)"),
    "batches: fewer records": sql("UPDATE batches SET ended = 0"),
    "batches: other sizes": sql("UPDATE batches SET offsets = '{}' WHERE number = 1"),
    "batches: no JSON": sql("UPDATE batches SET offsets = '{' WHERE number = 1"),
    "books: one more": sql("UPDATE books SET ok = ok + 1"),
    "books: more inputs": sql("UPDATE books SET inputs = inputs + 1"),
    "seals: one changed": sql("UPDATE seals SET value = zeroblob(16) WHERE part = '1'"),
    "seals: one gone": sql("DELETE FROM seals WHERE part = '2'"),
    "database: empty": raw("job/frontier.sqlite", lambda data: b""),
    "database: a page of zeros": raw(
        "job/frontier.sqlite", lambda data: data[:8192] + bytes(4096) + data[12288:]
    ),
    "database: cut": raw("job/frontier.sqlite", lambda data: data[:-4096]),
}  # fmt: skip


def test_the_job_itself_is_well(job):
    """What the cases below start from: no problem, nothing that could not be looked at, and all that is there to change."""
    assert verify(str(job / "job")) == ([], [])
    with closing(sqlite3.connect(job / "job" / "frontier.sqlite")) as db:
        counts = {name: db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in TABLES}
    assert min(counts.values()) > 0
    assert counts["batches"] > 1
    assert len(bodies_of(job)) > 2


@pytest.mark.parametrize("case", CORRUPTIONS)
def test_a_corruption_is_found(job, case):
    """Whatever it is, it is told, and exit code 5 or 2 says so."""
    CORRUPTIONS[case](job)
    assert found(job), case
    assert main(["verify", str(job / "job")]) in {2, 5}


def test_nothing_is_changed_by_looking(job):
    """SQLite may leave empty files of its own beside the database, and that is all."""
    before = {path: path.read_bytes() for path in job.rglob("*") if path.is_file()}
    assert verify(str(job / "job")).problems == []
    after = {path: path.read_bytes() for path in job.rglob("*") if path.is_file()}
    assert {path: data for path, data in after.items() if path in before} == before
    assert {path.name for path in after.keys() - before.keys()} <= {"frontier.sqlite-wal", "frontier.sqlite-shm"}


def older(job: Path) -> None:
    """As a crawler without seals left it: with the tables of the first version, and their rows."""
    path = job / "job" / "frontier.sqlite"
    now = path.rename(path.with_name("now"))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(f"{schema(1)} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 1;")
        db.execute("ATTACH ? AS now", (str(now),))
        for (table,) in db.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
            columns = ", ".join(row[1] for row in db.execute(f"PRAGMA main.table_info({table})"))
            db.execute(f"DELETE FROM main.{table}")
            db.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM now.{table}")
        db.execute("DETACH now")
    now.unlink()


def test_a_job_of_an_older_crawler(job, monkeypatch):
    """It is held against what it has, and it is said what could not be looked at; it is not changed by that."""
    older(job)
    assert any(note.startswith("the bodies were not looked at") for note in verify(str(job / "job")).notes)
    monkeypatch.chdir(job)
    before = (job / "job" / "frontier.sqlite").read_bytes()
    problems, notes = verify(str(job / "job"))
    assert problems == []
    assert sum("without seals" in note for note in notes) == 3
    assert "without a seal" in notes[0]
    assert (job / "job" / "frontier.sqlite").read_bytes() == before
    for case in (
        "json: status",
        "table: outcome",
        "urls: error",
        "body: empty",
        "table origins is empty",
        "urls: batch",
    ):
        CORRUPTIONS[case](job)
        assert len(verify(str(job / "job")).problems) > len(problems), case
        problems = verify(str(job / "job")).problems


def test_a_job_of_an_older_crawler_that_goes_on(job, monkeypatch):
    """What comes from now on is sealed; what was there is told apart from that."""
    older(job)
    monkeypatch.chdir(job)
    with Path("urls.txt").open("a") as file:
        file.write("\nmore nonsense")
    assert main(["--config", "job/config.toml", "--job", "job", "-q"]) == 0
    problems, notes = verify("job")
    assert problems == []
    assert len(notes) == 3
    assert all("without seals" in note for note in notes)
    raw("out.jsonl", lambda data: data[:-10] + b" " + data[-10:])(job)
    assert "are not what was written" in verify("job").problems[0]


def test_what_is_added_to_an_output_is_told(job):
    """It does not count, for a kill may leave such; of a run that has ended by itself it is worth a word."""
    with (job / "out.jsonl").open("ab") as lines:
        lines.write(b'{"url":"http://a.example/"}\n')
    verdict = verify(str(job / "job"))
    assert verdict.problems == []
    assert [note for note in verdict.notes if "28 bytes behind what was written" in note]
