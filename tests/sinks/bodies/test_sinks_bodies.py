"""crawler.sinks.bodies: each body once, whole or not at all, and never outside its directory."""

from __future__ import annotations

import errno
import os
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest

from crawler.cli.main import main
from crawler.errors import CodedError
from crawler.models import Input, Record, Response, Timings
from crawler.sinks.bodies.keeping import Bodies
from crawler.sinks.bodies.names import extension, place
from crawler.store.database import Store

BODY = b"<!doctype html><title>x</title>"
HASH = sha256(BODY).hexdigest()


def record(body: bytes = BODY, content_type: str | None = "text/html") -> Record:
    digest = sha256(body).hexdigest()
    return Record(url="http://h/", input=Input(), outcome="ok", status=200, content_type=content_type, sha256=digest)


def response(body: bytes = BODY) -> Response:
    return Response(timings=Timings(), started=0.0, status=200, body=body)


def error_of(sink: Bodies, *arguments) -> CodedError:
    with pytest.raises(CodedError) as caught:
        sink.keep(*arguments)
    return caught.value


def files(directory) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_named_by_hash(tmp_path):
    """The file is named by the SHA-256 of the body, in a folder of its first two digits, with a suffix of its type."""
    sink = Bodies(str(tmp_path / "new" / "bodies"))
    assert sink.keep(record(), response(), 0).body_path == f"{HASH[:2]}/{HASH}.html"
    sink.close()
    sink.close()
    assert files(tmp_path / "new" / "bodies") == {f"{HASH[:2]}/{HASH}.html": BODY}
    assert place(str(tmp_path / "new" / "bodies"), HASH, "text/html") == str(
        tmp_path / "new" / "bodies" / HASH[:2] / f"{HASH}.html"
    )


def test_the_same_body_once(tmp_path):
    """A body that is there, from this run or another, is neither an error nor written again."""
    Bodies(str(tmp_path)).keep(record(), response(), 0)
    path = tmp_path / HASH[:2] / f"{HASH}.html"
    before = path.stat()
    again = Bodies(str(tmp_path))
    for sequence in range(3):
        assert again.keep(record(), response(), sequence).body_path
    assert path.stat() == before
    assert len(files(tmp_path)) == 1


def test_nothing_to_write(tmp_path):
    """No response, no body, or a record without the hash that would lead to the file: no file."""
    sink = Bodies(str(tmp_path))
    assert sink.keep(record(), None, 0) == record()
    assert sink.keep(record(b""), response(b""), 1) == record(b"")
    assert sink.keep(msgspec.structs.replace(record(), sha256=None), response(), 2).body_path is None
    assert files(tmp_path) == {}


def test_a_full_disk_leaves_no_torn_file(tmp_path, monkeypatch):
    """A body appears when it is whole: what could not be written leaves nothing behind."""
    sink = Bodies(str(tmp_path))
    write = os.write

    def full(fd: int, data: memoryview) -> int:
        if len(data) <= 10:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data[:10])

    monkeypatch.setattr(os, "write", full)
    error = error_of(sink, record(), response(), 0)
    monkeypatch.undo()
    assert error.code == "disk_full"
    assert HASH in error.message
    assert files(tmp_path) == {}
    assert sink.keep(record(), response(), 1).body_path, "and when there is room again it works again"
    assert len(files(tmp_path)) == 1


def test_the_directory_goes_away(tmp_path):
    """A directory that was deleted under our feet is a write_error, not a crash."""
    sink = Bodies(str(tmp_path / "bodies"))
    (tmp_path / "bodies").rmdir()
    assert error_of(sink, record(), response(), 0).code == "write_error"


def test_a_directory_that_cannot_be_made(tmp_path):
    """Where a file is in the way there is no directory: said before anything is fetched."""
    (tmp_path / "file").write_text("")
    with pytest.raises(CodedError, match="file") as caught:
        Bodies(str(tmp_path / "file"))
    assert caught.value.code == "write_error"


def test_a_link_as_folder_is_not_followed(tmp_path):
    """A link in the place of a folder could lead out of the directory."""
    (tmp_path / "bodies").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "bodies" / HASH[:2]).symlink_to(tmp_path / "elsewhere")
    sink = Bodies(str(tmp_path / "bodies"))
    assert error_of(sink, record(), response(), 0).code == "write_error"
    assert files(tmp_path) == {}


def test_a_link_as_file_is_not_followed(tmp_path):
    """A link in the place of a body is an error: what it leads to is neither believed nor overwritten."""
    target = tmp_path / "target"
    target.write_bytes(b"mine")
    folder = tmp_path / "bodies" / HASH[:2]
    folder.mkdir(parents=True)
    (folder / f"{HASH}.html").symlink_to(target)
    error = error_of(Bodies(str(tmp_path / "bodies")), record(), response(), 0)
    assert error.code == "write_error"
    assert target.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("content_type", "suffix"),
    [
        ("text/html", ".html"),
        ("Text/HTML; charset=utf-8", ".html"),
        ("application/ld+json", ".json"),
        ("application/rss+xml", ".xml"),
        ("image/svg+xml", ".svg"),
        ("application/x-msdownload", ".bin"),
        ("../../etc/passwd", ".bin"),
        ("x/y+json/../../z", ".bin"),
        ("", ".bin"),
        (None, ".bin"),
    ],
)
def test_extension(content_type, suffix):
    """The suffix comes from a short list; nothing a server says becomes part of a path."""
    assert extension(content_type) == suffix


@pytest.mark.parametrize("there", [b"", BODY[:-1], BODY + b"x"])
@pytest.mark.parametrize("durable", [False, True])
def test_a_file_of_another_size_is_not_the_body(tmp_path, durable, there):
    """After a power cut a file may be empty, or shorter: then it does not count as there."""
    path = tmp_path / HASH[:2] / f"{HASH}.html"
    path.parent.mkdir()
    path.write_bytes(there)
    assert Bodies(str(tmp_path), durable=durable).keep(record(), response(), 0).body_path
    assert path.read_bytes() == BODY
    assert len(files(tmp_path)) == 1


def test_a_durable_one_looks_inside(tmp_path):
    """After a power cut a file of the right size may hold zeros."""
    path = tmp_path / HASH[:2] / f"{HASH}.html"
    path.parent.mkdir()
    path.write_bytes(bytes(len(BODY)))
    Bodies(str(tmp_path), durable=True).keep(record(), response(), 0)
    assert path.read_bytes() == BODY


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What reached the disk, in that order."""
    names: list[str] = []
    fsync = os.fsync

    def note(fd: int) -> None:
        fsync(fd)
        names.append(str(Path(f"/proc/self/fd/{fd}").readlink()))

    monkeypatch.setattr(os, "fsync", note)
    return names


def test_sync(tmp_path, synced):
    """Each file, then its folder, then the folder of that: once each, and only what was written since the last time."""
    sink = Bodies(str(tmp_path), durable=True)
    other = b"another"
    for body in (BODY, other, BODY):
        sink.keep(record(body), response(body), 0)
    assert synced == []
    sink.sync()
    paths = [place(str(tmp_path), sha256(body).hexdigest(), "text/html") for body in (BODY, other)]
    folders = [str(Path(path).parent) for path in paths]
    assert synced == [*paths, paths[0], *folders, str(tmp_path)]
    synced.clear()
    sink.sync()
    assert synced == []
    Path(paths[0]).unlink()
    sink._unsynced.append(paths[0])
    with pytest.raises(CodedError, match="write_error"):
        sink.sync()


@pytest.mark.parametrize("order", ["--ordered", "--no-ordered"])
def test_no_record_counts_before_its_body_is_on_the_disk(folder, site, synced, monkeypatch, order):
    """With --durable: body, folder and output are synced before the batch with the record is committed."""
    commits = []
    write = Store.write

    def spy(store: Store, batch, at: float = 0.0) -> None:
        commits.append((sum(batch.offsets.values()), set(synced)))
        write(store, batch, at)

    monkeypatch.setattr(Store, "write", spy)
    urls = [site.url(f"/p/{number}.html") for number in range(40)]
    (folder / "urls.txt").write_text("\n".join(urls))
    command = ["urls.txt", "--job", "job", "-o", "out.jsonl", "--bodies", "bodies", order, "-q"]
    assert main([*command, "--durable"]) == 0
    data = (folder / "out.jsonl").read_bytes()
    assert len(data.splitlines()) == 40
    for end, there in commits:
        for line in data[:end].splitlines():
            row = msgspec.json.decode(line)
            path = Path(place(str(folder / "bodies"), row["sha256"], row["content_type"]))
            assert {path, path.parent, folder / "bodies", folder / "out.jsonl"} <= {folder / name for name in there}
