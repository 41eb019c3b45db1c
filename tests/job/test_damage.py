"""A job's folder that a disk, or somebody, has damaged: what is said of it. Found by tests/fuzz/job.py."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from job_tools import Work, req, working

from crawler.cli.commands.jobs import answer
from crawler.config.config import ConfigError
from crawler.errors import CodedError
from crawler.fetch.typed import Typed
from crawler.job.options import JobError
from crawler.report.lines import open_lines
from crawler.urls import canonical_key

COMMANDS = ("status", "verify", "why", "retry")


def kept(folder: Path) -> Path:
    """The database of a job with one URL that waits, closed."""
    work = Work(folder)
    work.journal.seed_taken("http://a.example/0")
    work.frontier.add(req(0))
    work.commit()
    work.close()
    return folder / "job" / "frontier.sqlite"


def change(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


def ask(command: str, folder: Path) -> None:
    answer(command, [str(folder / "job"), *(["http://a.example/0"] if command == "why" else [])])


@pytest.mark.parametrize("command", COMMANDS)
def test_no_database(tmp_path, command):
    """What SQLite refuses to read is no job: a sentence, not a traceback."""
    kept(tmp_path).write_bytes(b"no database at all " * 100)
    with pytest.raises(JobError, match="is not the database of a job"):
        ask(command, tmp_path)


@pytest.mark.parametrize("command", ["status", "verify", "why"])
def test_an_empty_database(tmp_path, command):
    """With the write-ahead log all may be lost: then there is nothing to tell."""
    kept(tmp_path).write_bytes(b"")
    with pytest.raises(JobError, match="nothing of this job was kept"):
        ask(command, tmp_path)


def test_other_tables(tmp_path):
    """One of our version whose tables are others is damaged: no statement fails half-way through a run."""
    path = kept(tmp_path)
    change(path, "ALTER TABLE urls RENAME COLUMN redirects TO sedirects")
    with pytest.raises(JobError, match="damaged: its tables"):
        Work(tmp_path)
    with pytest.raises(JobError, match="damaged: its tables"):
        ask("status", tmp_path)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE urls SET url = 'no URL'",
        "UPDATE urls SET url = x'FF'",
        "UPDATE urls SET attempt = 'many'",
        "UPDATE urls SET url = CAST(x'687474703A2F2FFF' AS TEXT)",
        "UPDATE urls SET state = 1, hop = 'http://b.example/', redirects = '[{'",
        "INSERT INTO asks SELECT id, '{\"body\":5}' FROM urls",
        "INSERT INTO asks SELECT id, x'FF' FROM urls",
    ],
    ids=["no URL", "bytes", "words", "not UTF-8", "not JSON", "no Ask", "an Ask of bytes"],
)
def test_values_that_are_none_of_ours(tmp_path, statement):
    """A row that cannot be read ends the run with the code of a disk that fails, and says which file is damaged."""
    change(kept(tmp_path), statement)
    with pytest.raises(CodedError, match=r"frontier\.sqlite") as caught:
        Work(tmp_path)
    assert caught.value.code == "write_error"


def ended(folder: Path) -> Path:
    """The database of a job with one URL that has ended, closed."""
    work = Work(folder, key=canonical_key)
    work.journal.seed_taken("http://a.example/0")
    work.frontier.add(req(0))
    work.finish(req(0))
    work.close()
    return folder / "job" / "frontier.sqlite"


@pytest.mark.parametrize(
    ("statement", "commands"),
    [
        ("UPDATE urls SET state = 99", "why"),
        ("UPDATE urls SET depth = 'deep'", "why"),
        ("UPDATE urls SET redirects = '[[['", "why"),
        ("UPDATE urls SET status = 'fine'", "status why"),
        ("UPDATE batches SET at = 'now'", "status"),
        ("UPDATE outputs SET committed = 'x'", "status report run"),
        ("UPDATE outputs SET path = x'FF'", "status report run"),
        ("UPDATE known SET keys = 1.5", "run"),
    ],
)
def test_values_are_told_by_every_command(tmp_path, statement, commands):
    """One sentence that names the file, whoever reads it, and no traceback."""
    change(ended(tmp_path), statement)
    job = str(tmp_path / "job")
    for command in commands.split():
        with pytest.raises(CodedError, match=r"frontier\.sqlite is damaged"):
            if command == "run":
                Work(tmp_path, key=canonical_key)
            elif command == "report":
                with open_lines(job):
                    pass
            else:
                answer(command, [job, "http://a.example/0"] if command == "why" else [job])


@pytest.mark.parametrize("url", ["x'FF'", "'no URL'", "'file:///etc/passwd'"])
def test_typed_urls_that_are_none_of_ours(tmp_path, url):
    """They are read once more when a run begins, to know what a person typed."""
    change(ended(tmp_path), f"UPDATE urls SET url = {url}")
    with working(tmp_path, key=canonical_key) as work, pytest.raises(CodedError, match=r"frontier\.sqlite is damaged"):
        work.job.recall(Typed(), lambda _: None)


def test_options_that_are_not_utf_8(tmp_path):
    """They are those of a run that accepted nothing: they are written anew. If it has, they are asked for."""
    Work(tmp_path).close()
    options = tmp_path / "job" / "config.toml"
    options.write_bytes(b"# \xff\n" + options.read_bytes())
    Work(tmp_path).close()
    assert b"\xff" not in options.read_bytes()
    kept(tmp_path)
    options.write_bytes(b"# \xff\n")
    with pytest.raises(ConfigError, match="not valid TOML"):
        Work(tmp_path)
