"""body.py: lengths and types that are known before anything is read, and files that are what they were."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from http11_fakes import TurningClock

from crawler.errors import CodedError
from crawler.fetch.sending.body import SMALL, Outgoing, outgoing
from crawler.models import Ask, FileBody, FormBody, Part


def named(path: Path) -> FileBody:
    found = path.stat()
    return FileBody(str(path), found.st_size, found.st_mtime_ns)


class Taken:
    """A consumer. `pause_at` is how many bytes it takes before it has the producer pause."""

    def __init__(self, body: Outgoing, clock: TurningClock, pause_at: float = float("inf")) -> None:
        self.data = b""
        self.why: Any = None
        self.done = False
        self._producer: Any = body.content
        self._pause_at = pause_at
        self._producer.startProducing(self).addCallbacks(self._ended, self._failed)
        self.clock = clock

    def write(self, data: bytes) -> None:
        self.data += data
        if len(self.data) >= self._pause_at:
            self._producer.pauseProducing()

    def run(self, turns: int = 1_000) -> Taken:
        self.clock.turns(turns)
        return self

    def _ended(self, _: object) -> None:
        self.done = True

    def _failed(self, failure: Any) -> None:
        self.why = failure.value


def made(ask: Ask, clock: TurningClock) -> Outgoing:
    body = outgoing(ask, clock)
    assert body is not None
    return body


def test_no_body():
    assert outgoing(Ask(headers=(("X-A", "1"),)), TurningClock()) is None


def test_what_is_small_is_there_at_once():
    assert outgoing(Ask(body=b"a=1", content_type="text/x"), TurningClock()) == Outgoing(b"a=1", 3, "text/x")
    assert outgoing(Ask(body=b""), TurningClock()) == Outgoing(b"", 0, None)


@pytest.mark.parametrize("size", [0, 1, SMALL, SMALL + 1, 3 * SMALL + 7])
def test_a_file_is_sent_as_it_is(tmp_path, size):
    path = tmp_path / "a.bin"
    data = os.urandom(size)
    path.write_bytes(data)
    clock = TurningClock()
    body = made(Ask(body=named(path)), clock)
    assert body.length == size
    taken = Taken(body, clock).run()
    assert (taken.data, taken.done, taken.why) == (data, True, None)
    assert not clock.getDelayedCalls()


def test_one_step_a_turn_and_none_while_it_pauses(tmp_path):
    """So memory is bounded by what the transport holds, and the reactor by 64 KiB."""
    clock = TurningClock()
    body = made(Ask(body=b"x" * (10 * SMALL)), clock)
    taken = Taken(body, clock, pause_at=2 * SMALL).run(50)
    assert len(taken.data) == 2 * SMALL
    body.content.resumeProducing()  # type: ignore[union-attr]
    taken.run(50)
    assert len(taken.data) == 3 * SMALL
    body.content.stopProducing()  # type: ignore[union-attr]
    taken.run(50)
    assert len(taken.data) == 3 * SMALL
    assert not clock.getDelayedCalls()


def change(path: Path, how: str) -> None:
    match how:
        case "longer":
            path.write_bytes(path.read_bytes() + b"x")
        case "shorter":
            path.write_bytes(path.read_bytes()[:-1])
        case "touched":
            os.utime(path, ns=(1, 1))
        case "gone":
            path.unlink()
        case "a pipe":
            path.unlink()
            os.mkfifo(path)


@pytest.mark.parametrize("how", ["longer", "shorter", "touched", "gone", "a pipe"])
@pytest.mark.parametrize("in_a_form", [False, True])
def test_another_file_is_not_sent(tmp_path, how, in_a_form):
    """Not a byte of it."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"0123456789")
    content = named(path)
    clock = TurningClock()
    body = made(Ask(body=FormBody((Part("f", content, "a.bin"),)) if in_a_form else content), clock)
    change(path, how)
    taken = Taken(body, clock).run()
    assert isinstance(taken.why, CodedError)
    assert taken.why.code == "request_body"
    assert str(path) in taken.why.message
    assert b"012" not in taken.data
    assert not taken.done
    body.content.stopProducing()  # type: ignore[union-attr]


@pytest.mark.parametrize("how", ["longer", "shorter", "touched"])
def test_a_file_that_changes_meanwhile_is_not_sent_to_its_end(tmp_path, how):
    """The server never has what looks like the whole of it."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * (3 * SMALL))
    clock = TurningClock()
    taken = Taken(made(Ask(body=named(path)), clock), clock).run(1)
    change(path, how)
    taken.run()
    assert taken.why.code == "request_body"
    assert 0 < len(taken.data) < 3 * SMALL


def test_nothing_is_opened_before_it_is_sent(tmp_path):
    """A thousand requests that wait hold no descriptor: the file is looked for when its turn has come."""
    path = tmp_path / "a.bin"
    path.write_bytes(b"x")
    clock = TurningClock()
    body = made(Ask(body=named(path)), clock)
    path.unlink()
    assert Taken(body, clock).run().why.code == "request_body"


@pytest.mark.parametrize("pause_at", [1, 60, float("inf")])
def test_a_form(tmp_path, pause_at):
    """As RFC 7578 has it, names as browsers write them; its length is right however the transport pauses it."""
    path = tmp_path / "photo.png"
    path.write_bytes(b"\x89PNG" * (SMALL // 2))
    parts = (
        Part("title", b"a \xc3\xa4"),
        Part("note", b"{}", content_type="application/json"),
        Part("photo", named(path), 'ph\\"; name="o\r\nto.png', "image/png"),
    )
    clock = TurningClock()
    body = made(Ask(body=FormBody(parts), content_type="x/y"), clock)
    assert body.content_type is not None
    boundary = re.fullmatch("multipart/form-data; boundary=([0-9a-f]{32})", body.content_type)[1].encode()  # type: ignore[index]
    taken = Taken(body, clock, pause_at)
    for _ in range(200):
        clock.turns(1)
        body.content.resumeProducing()  # type: ignore[union-attr]
    assert taken.done
    assert len(taken.data) == body.length
    sections = taken.data.split(b"--" + boundary)
    assert sections[0] == b""
    assert sections[-1] == b"--\r\n"
    got = {}
    for section in sections[1:-1]:
        head, _, content = section.removeprefix(b"\r\n").removesuffix(b"\r\n").partition(b"\r\n\r\n")
        got[head.decode().split("\r\n")[0]] = (head.decode().split("\r\n")[1:], content)
    assert got == {
        'Content-Disposition: form-data; name="title"': ([], "a ä".encode()),
        'Content-Disposition: form-data; name="note"': (
            ["Content-Type: application/json", "Content-Length: 2"],
            b"{}",
        ),
        'Content-Disposition: form-data; name="photo"; filename="ph\\%22; name=%22o%0D%0Ato.png"': (
            ["Content-Type: image/png", f"Content-Length: {path.stat().st_size}"],
            path.read_bytes(),
        ),
    }
