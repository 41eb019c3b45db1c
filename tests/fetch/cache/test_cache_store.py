"""The folder of a cache: nothing that is damaged, foreign or half-written is an answer, and it stays bounded."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path

import pytest
from asking_server import asked
from full_disk import small_files
from threaded_clock import ThreadedClock
from twisted.internet.defer import Deferred

from crawler.api import fetch_all
from crawler.errors import CodedError
from crawler.fetch.cache.policy import Asked, Stored
from crawler.fetch.cache.room import Room
from crawler.fetch.cache.store import Damaged, Found, Store
from crawler.fetch.saving.spool import Disk

WHO = Asked(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
LARGE = random.Random(4).randbytes(600_000)
FRESH = {"Cache-Control": "max-age=600"}


class Kept:
    """A store in a folder, whose thread is waited for."""

    def __init__(self, folder: Path, *, limit: int = 1 << 30) -> None:
        self.clock = ThreadedClock()
        self.store = Store(str(folder), Disk(self.clock), limit=limit)

    def put(self, name: str, body: bytes) -> str:
        key = self.store.key("GET", name)
        stored = Stored(
            url=name,
            method="GET",
            status=200,
            http_version="1.1",
            headers={"x": ["y"]},
            warnings=[],
            requested=0.0,
            received=0.0,
            size=len(body),
            sha256=sha256(body).hexdigest(),
            vary=self.store.vary(WHO, {}),
            salt=b"salt",
            apart=len(body) > 256 << 10,
            public=True,
            address=None,
        )
        self.store.put(key, stored, body)
        self.wait()
        return key

    def wait(self) -> None:
        """For all that the thread was given."""
        self.store.close()

    def find(self, name: str) -> Found | None:
        found = self.store.find(self.store.key("GET", name), WHO)
        self.wait()
        return found

    def body(self, name: str) -> bytes | None:
        found = self.find(name)
        if found is None or found.body is not None:
            return None if found is None else found.body
        result: list[bytes | None] = []
        waits: Deferred[bytes] = self.store.body(found)
        waits.addErrback(lambda failure: failure.trap(Damaged) and None).addCallback(result.append)
        self.clock.pump(lambda: bool(result))
        return result[0]


@pytest.fixture
def kept(tmp_path) -> Kept:
    return Kept(tmp_path / "cache")


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and len(path.parent.name) == 2]


@pytest.mark.parametrize("body", [b"", b"hello", LARGE])
def test_what_is_put_is_found(kept, tmp_path, body):
    """By another process as well, which has made no key of its own."""
    kept.put("a", body)
    assert kept.body("a") == body
    assert Kept(tmp_path / "cache").body("a") == body
    assert kept.find("b") is None


def spoil(path: Path, how: str) -> None:
    data = path.read_bytes()
    path.unlink()
    match how:
        case "cut":
            path.write_bytes(data[:-1])
        case "empty":
            path.write_bytes(b"")
        case "flipped":
            path.write_bytes(data[:-3] + bytes([data[-3] ^ 1]) + data[-2:])
        case "longer":
            path.write_bytes(data + b"x")
        case "garbage":
            path.write_bytes(b"\xff" * len(data))
        case "link":
            (path.parent / "elsewhere").write_bytes(data)
            path.symlink_to(path.parent / "elsewhere")
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()


@pytest.mark.parametrize("how", ["cut", "empty", "flipped", "longer", "garbage", "link", "pipe", "folder", "gone"])
@pytest.mark.parametrize("which", ["head", "body"])
def test_what_is_damaged_is_no_answer(kept, tmp_path, how, which):
    """Whatever became of a file: it is fetched again, and kept again where that can be."""
    kept.put("a", b"hello" if which == "head" else LARGE)
    (path,) = [path for path in files(tmp_path) if path.name.endswith(".body") == (which == "body")]
    spoil(path, how)
    assert kept.body("a") is None
    if how != "folder":
        kept.put("a", b"again")
        assert kept.body("a") == b"again"


def test_a_body_of_another_answer_is_none(kept):
    """A head whose body another process has replaced meanwhile: its hash tells."""
    kept.put("a", LARGE)
    found = kept.find("a")
    kept.put("a", LARGE[::-1])
    result: list[object] = []
    kept.store.body(found).addErrback(lambda failure: result.append(failure.value))
    kept.clock.pump(lambda: bool(result))
    assert isinstance(result[0], Damaged)


def test_it_stays_bounded(tmp_path):
    """What was not used for the longest time goes first; a hit is a use."""
    limit = 1 << 20
    kept = Kept(tmp_path / "cache", limit=limit)
    place = {}
    for number in range(60):
        place[number] = kept.put(str(number), bytes(40_000))
        for name, age in (place[number], 1000 - number), (place[0], 1000 - number):
            when = time.time() - age
            os.utime(tmp_path / "cache" / "entries-1" / name[:2] / name[2:], (when, when))
        assert sum(path.stat().st_blocks * 512 for path in files(tmp_path)) <= limit + 50_000
    there = [number for number in range(60) if kept.find(str(number)) is not None]
    assert there[0] == 0
    assert there[1:] == list(range(60 - len(there) + 1, 60))
    assert len(there) > 15


def test_a_hit_is_a_use(kept, tmp_path):
    key = kept.put("a", LARGE)
    path = tmp_path / "cache" / "entries-1" / key[:2] / key[2:]
    for name in (path, Path(f"{path}.body")):
        os.utime(name, (1, 1))
    kept.find("a")
    assert path.stat().st_mtime > 1_000_000
    assert Path(f"{path}.body").stat().st_mtime > 1_000_000


def test_what_another_process_adds_is_seen(tmp_path):
    """Neither of two may fill the disk because it knows nothing of the other."""
    limit = 1 << 20
    one, two = (Kept(tmp_path / "cache", limit=limit) for _ in range(2))
    for number in range(40):
        one.put(f"one {number}", bytes(40_000))
        two.put(f"two {number}", bytes(40_000))
    assert sum(path.stat().st_blocks * 512 for path in files(tmp_path)) <= limit * 5 / 4


def test_what_is_not_ours_stays(tmp_path):
    """Whatever else lies in the folder, or leads out of it, is not removed to make room; what a kill has left is."""
    kept = Kept(tmp_path / "cache", limit=1 << 20)
    kept.put("a", b"x")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / ("0" * 38)).write_bytes(bytes(5_000_000))
    entries = tmp_path / "cache" / "entries-1"
    (entries / "zz").symlink_to(outside)
    (entries / "letters.txt").write_text("dear")
    folder = next(path for path in entries.iterdir() if path.is_dir() and not path.is_symlink())
    (folder / "notes.txt").write_text("mine")
    left, new = folder / f".{'0' * 16}.part", folder / f".{'1' * 16}.part"
    for path, age in ((left, 7_200), (new, 0)):
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    Room(str(entries), 1).added(1)
    assert (outside / ("0" * 38)).exists()
    assert (folder / "notes.txt").exists()
    assert (entries / "letters.txt").exists()
    assert new.exists()
    assert not left.exists()
    assert kept.find("a") is None


def test_a_link_in_place_of_a_folder_is_not_followed(kept, tmp_path):
    """Where the answers of a key would be there is a way out: nothing is written there, and the run goes on."""
    key = kept.store.key("GET", "a")
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "cache" / "entries-1" / key[:2]).symlink_to(outside)
    kept.put("a", b"hello")
    assert list(outside.iterdir()) == []
    assert kept.find("a") is None


@pytest.mark.parametrize("what", ["file", "writable", "damaged key", "link"])
def test_what_cannot_be_a_cache_is_refused(tmp_path, what):
    folder = tmp_path / "cache"
    entries = folder / "entries-1"
    match what:
        case "file":
            folder.write_text("")
        case "writable":
            entries.mkdir(parents=True)
            entries.chmod(0o770)
        case "damaged key":
            Kept(folder)
            (entries / "key").write_bytes(b"short")
        case "link":
            folder.mkdir()
            (tmp_path / "elsewhere").mkdir()
            entries.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(CodedError, match="--cache"):
        Kept(folder)


def test_a_full_disk_costs_the_cache_alone(tmp_path):
    """Every record is there, and its file; only nothing more is kept."""
    with asked(lambda path, *_: (200, FRESH, bytes(300_000) if path == "/1" else b"x")) as server:
        urls = [server.url(f"/{number}") for number in range(3)]
        with small_files(100_000):
            records = fetch_all(urls, cache=str(tmp_path / "cache"), concurrency=1)
    assert [record.outcome for record in records] == ["ok"] * 3
    assert not [path for path in files(tmp_path) if path.stat().st_size > 100_000]


PROGRAM = """
import sys
from crawler import fetch_all
base, folder = sys.argv[1:]
urls = [f"{base}/{number}" for number in range(60)]
for record in fetch_all(urls, cache=folder, concurrency=8):
    assert record.outcome == "ok", record
    assert len(record.body) == (300_000 if record.url.endswith("7") else 2_000), record
    assert set(record.body) == {int(record.url.rpartition("/")[2])}, record
"""


def content(path: str, *_: object) -> tuple:
    return 200, {**FRESH, "ETag": '"1"'}, bytes([int(path[1:])]) * (300_000 if path.endswith("7") else 2_000)


def started(base: str, folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM, base, str(folder)], stderr=subprocess.PIPE)


def test_two_processes_share_a_folder(tmp_path):
    """Both write the same answers at once; each gets all of them right, and then nothing is asked any more."""
    with asked(content) as server:
        both = [started(server.url(""), tmp_path / "cache") for _ in range(2)]
        for process in both:
            _, said = process.communicate(timeout=60)
            assert (process.returncode, said) == (0, b"")
        before = len(server.requests)
        records = fetch_all([server.url(f"/{number}") for number in range(60)], cache=str(tmp_path / "cache"))
        assert {record.cache for record in records} == {"hit"}
        assert len(server.requests) == before


def test_killed_at_any_moment(tmp_path):
    """kill -9 leaves whole answers or none: whoever comes next gets every page right."""
    rng = random.Random(5)
    with asked(content) as server:
        for _ in range(2):
            process = started(server.url(""), tmp_path / "cache")
            begun = len(server.requests)
            end = time.monotonic() + 30
            while len(server.requests) < begun + rng.randrange(1, 40) and process.poll() is None:
                assert time.monotonic() < end
                time.sleep(0.001)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        process = started(server.url(""), tmp_path / "cache")
        _, said = process.communicate(timeout=60)
        assert (process.returncode, said) == (0, b"")
