"""A job's folder in which bytes were changed, files cut or lost: it is refused with a sentence, or it goes on.

Every five bytes are one damage: which file, what happens to it, where (two bytes), and a byte.
"""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from job_tools import Work, bad_line, bad_record, link, req
from msgspec.structs import replace

from crawler.cli.commands.jobs import answer
from crawler.config.sources import ConfigError
from crawler.fetch.typed import Typed
from crawler.models import Redirect
from crawler.seeds.inputs import Seed
from crawler.urls import canonical_key, parse

from .tools import code_of

FILES = (
    "job/frontier.sqlite",
    "job/frontier.sqlite-wal",
    "job/config.toml",
    "pages.jsonl",
    "job/lock",
    "job/frontier.sqlite-shm",
)
SAMPLES = (
    b"",
    b"\0\0\0\0\0",
    b"\0\3\x10\0\1",
    b"\1\3\x00\x40\1" * 3,
    b"\2\3\0\x20\1\3\0\0\0\0",
    b"\3\3\0\x20\1",
    b"\0\1\x20\x10\xff\1\2\x10\0\0",
    b"\0\5\0\0\0",
    b"\2\5\0\0\0",
)
TOKENS = (
    b"\0\0",
    b"\0\1",
    b"\0\2",
    b"\0\3",
    b"\1\0",
    b"\1\1",
    b"\1\2",
    b"\1\3",
    b"\2\0",
    b"\2\1",
    b"\2\2",
    b"\3\1",
    b"\3\2",
)
COMMANDS = ("status", "verify", "why", "retry")
MOST = 12


def fuzz(data: bytes) -> None:
    folder = _home()
    for clean in (True, False):
        for command in (None, COMMANDS[sum(data) % len(COMMANDS)]):
            _restore(folder, _template(clean))
            _damage(folder, data)
            if command is None:
                code_of(lambda: _quietly(_resume, folder))
            else:
                code_of(lambda: _quietly(_ask, folder, command))  # noqa: B023 - called at once


def _quietly(action: object, *arguments: object) -> None:
    try:
        action(*arguments)  # type: ignore[operator]
    except ConfigError as error:  # JobError is one
        assert str(error)
    except ValueError as error:  # with the write-ahead log all may be lost: then a file stands where an output begins
        assert str(error).endswith("exists already: -O/--overwrite-output replaces it"), error


def _ask(folder: Path, command: str) -> None:
    text, code = answer(command, [str(folder / "job"), *(["http://a.example/3"] if command == "why" else [])])
    assert text
    assert code in {0, 5}


def _resume(folder: Path) -> None:
    """Go on to the end, as a run does."""
    with _work(folder, resuming=True) as work:
        job = work.job
        job.recall(Typed(), lambda _: None)
        list(job.too_deep())
        list(job.unread(iter(_seeds())))
        for number, line in job.owed():
            work.sink.write(bad_record(line), None, number)
        for _ in range(100):
            request = work.frontier.claim(1e9)
            if request is None:
                break
            work.write(request)
        work.commit()
        books = job.books()
        assert books.inputs >= 0
        work.close()


@contextmanager
def _work(folder: Path, *, resuming: bool) -> Iterator[Work]:
    """A Work that is let go of, whatever happens."""
    begun: list[Work] = []

    class Begun(Work):
        def __init__(self) -> None:
            begun.append(self)
            super().__init__(folder, key=canonical_key, retries=3)

    try:
        yield Begun()
    finally:
        for work in begun:
            if hasattr(work, "sink") and work.sink._thread.is_alive():
                work.die()
            elif hasattr(work, "job"):
                work.job._resources.close()
    assert resuming or begun


def _seeds() -> list[Seed]:
    return [
        Seed(parse(f"http://a.example/{number}"), f"http://a.example/{number}", req(number).input)
        for number in range(12)
    ]


@cache
def _home() -> Path:
    memory = Path("/dev/shm")  # where it is there: SQLite waits for disks
    folder = Path(mkdtemp(prefix="fuzz-job-", dir=memory if memory.is_dir() else None))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@cache
def _template(clean: bool) -> dict[str, bytes]:
    """The files of a job that was closed, or killed: with URLs that ended, wait, were redirected, and lines that are none."""
    folder = _home()
    _restore(folder, {})
    with _work(folder, resuming=False) as work:
        seeds = _seeds()
        for number in range(8):
            work.journal.seed_taken(seeds[number].written)
            work.frontier.add(req(number))
        for number in (8, 9):
            work.frontier.add(link(number, "http://a.example/0"))
        for number in (10, 11):
            line = bad_line(number)
            work.journal.seed_taken(line.text)
            work.journal.refused(number, line, None)
        for number in range(6):
            claimed = work.frontier.claim(1e6 * (number + 1))
            assert claimed is not None
            if number == 4:
                hop = replace(claimed, url=parse("http://b.example/x"), redirects=(Redirect(claimed.url.href, 302),))
                work.frontier.retry(hop, 1e6 * 5)
            elif number == 5:
                work.frontier.retry(replace(claimed, attempt=2), 1e6 * 6, 5.0)
            else:
                work.write(claimed, error="conn_reset" if number == 2 else "")
            work.commit()
        if clean:
            work.close()
        else:
            work.sink.write(bad_record(bad_line(10)), None, 10)
        files = _read(folder)
    return _read(folder) if clean else files


def _read(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _restore(folder: Path, files: dict[str, bytes]) -> None:
    shutil.rmtree(folder)
    (folder / "job").mkdir(parents=True, mode=0o700)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    if not files:
        (folder / "job").rmdir()


def _damage(folder: Path, data: bytes) -> None:
    for start in range(0, min(len(data), MOST * 5) - 4, 5):
        which, what, high, low, octet = data[start : start + 5]
        path = folder / FILES[which % len(FILES)]
        if not path.exists():
            continue
        content = bytearray(path.read_bytes())
        at = (high << 8 | low) % (len(content) + 1)
        match what % 6:
            case 0:
                content[at : at + 1] = bytes((octet,))
            case 1:
                content[at : at + 1] = bytes(old ^ 1 << octet % 8 for old in content[at : at + 1])
            case 2:
                del content[at:]
            case 3:
                content[at : at + 8] = bytes((octet,)) * 8
            case 4:
                content[at:at] = bytes((octet,)) * (1 + octet)
            case _:
                path.unlink()
                continue
        path.write_bytes(content)
