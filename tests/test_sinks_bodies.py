"""crawler.sinks.bodies: each body once, whole or not at all, and never outside its directory."""

from __future__ import annotations

import errno
import os
from hashlib import sha256

import msgspec
import pytest

from crawler.errors import CodedError
from crawler.models import Input, Record, Response, Timings
from crawler.sinks.bodies import Bodies, extension

BODY = b"<!doctype html><title>x</title>"
HASH = sha256(BODY).hexdigest()


def record(body: bytes = BODY, content_type: str | None = "text/html") -> Record:
    digest = sha256(body).hexdigest()
    return Record(url="http://h/", input=Input(), outcome="ok", status=200, content_type=content_type, sha256=digest)


def response(body: bytes = BODY) -> Response:
    return Response(timings=Timings(), started=0.0, status=200, body=body)


def error_of(deferred) -> CodedError:
    failures = []
    deferred.addErrback(failures.append)
    return failures[0].value


def files(directory) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_named_by_hash(tmp_path):
    """The file is named by the SHA-256 of the body, in a folder of its first two digits, with a suffix of its type."""
    sink = Bodies(str(tmp_path / "new" / "bodies"))
    assert sink.write(record(), response(), 0) is None
    assert sink.flush() is sink.close() is sink.close() is None
    assert files(tmp_path / "new" / "bodies") == {f"{HASH[:2]}/{HASH}.html": BODY}
    assert sink.path(HASH, "text/html") == str(tmp_path / "new" / "bodies" / HASH[:2] / f"{HASH}.html")


def test_the_same_body_once(tmp_path):
    """A body that is there, from this run or another, is neither an error nor written again."""
    Bodies(str(tmp_path)).write(record(), response(), 0)
    path = tmp_path / HASH[:2] / f"{HASH}.html"
    before = path.stat()
    again = Bodies(str(tmp_path))
    for sequence in range(3):
        assert again.write(record(), response(), sequence) is None
    assert path.stat() == before
    assert len(files(tmp_path)) == 1


def test_nothing_to_write(tmp_path):
    """No response, no body, or a record without the hash that would lead to the file: no file."""
    sink = Bodies(str(tmp_path))
    assert sink.write(record(), None, 0) is None
    assert sink.write(record(b""), response(b""), 1) is None
    assert sink.write(msgspec.structs.replace(record(), sha256=None), response(), 2) is None
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
    error = error_of(sink.write(record(), response(), 0))
    monkeypatch.undo()
    assert error.code == "disk_full"
    assert HASH in error.message
    assert files(tmp_path) == {}
    assert sink.write(record(), response(), 1) is None, "and when there is room again it works again"
    assert len(files(tmp_path)) == 1


def test_the_directory_goes_away(tmp_path):
    """A directory that was deleted under our feet is a write_error, not a crash."""
    sink = Bodies(str(tmp_path / "bodies"))
    (tmp_path / "bodies").rmdir()
    assert error_of(sink.write(record(), response(), 0)).code == "write_error"


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
    assert error_of(sink.write(record(), response(), 0)).code == "write_error"
    assert files(tmp_path) == {}


def test_a_link_as_file_is_not_followed(tmp_path):
    """A link in the place of a body is an error: what it leads to is neither believed nor overwritten."""
    target = tmp_path / "target"
    target.write_bytes(b"mine")
    folder = tmp_path / "bodies" / HASH[:2]
    folder.mkdir(parents=True)
    (folder / f"{HASH}.html").symlink_to(target)
    error = error_of(Bodies(str(tmp_path / "bodies")).write(record(), response(), 0))
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
