"""What is sent as the body of a request: its length and type, known before a byte of it is read; and who produces it.

Files are opened when their turn comes, read 64 KiB at a time and closed; forms are written by treq's own producer.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from io import BytesIO, FileIO
from typing import Any, Final, NamedTuple, cast
from uuid import uuid4

from treq.multipart import MultiPartProducer
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IDelayedCall, IReactorTime
from twisted.internet.task import Cooperator, TaskFinished
from twisted.web.client import FileBodyProducer
from twisted.web.iweb import IBodyProducer
from zope.interface import implementer

from crawler.errors import CodedError
from crawler.files import open_plain
from crawler.models import Ask, FileBody, FormBody, Part

SMALL: Final = 64 * 1024  # bytes that are written with the head, in one go
_ANY_TYPE: Final = "application/octet-stream"
_TEXT: Final = "text/plain"
_BOUNDARY: Final = re.compile(rb"; boundary=([0-9a-f]{32})\r\n")


class Outgoing(NamedTuple):
    """The body of one try of a request. `content` is a producer unless it is small; it can be used once."""

    content: bytes | IBodyProducer
    length: int
    content_type: str | None


def outgoing(ask: Ask, clock: IReactorTime, head: bytes | None = None) -> Outgoing | None:
    """The body that is asked for, if any. Its producer takes a turn of the reactor for each 64 KiB.

    A `head` that is written already names the boundary of a form.
    """
    body = ask.body
    match body:
        case None:
            return None
        case bytes() if len(body) <= SMALL:
            return Outgoing(body, len(body), ask.content_type)
        case bytes() | FileBody():
            length = len(body) if isinstance(body, bytes) else body.size
            return Outgoing(_Paced(clock, lambda turns: _producer(body, turns)), length, ask.content_type)
    named = None if head is None else _BOUNDARY.search(head)
    boundary = uuid4().hex if named is None else named[1].decode()  # 122 random bits: none of the parts has it
    form = _Paced(clock, lambda turns: _form(body, boundary, turns))
    return Outgoing(form, form.length, f"multipart/form-data; boundary={boundary}")


def _producer(content: bytes | FileBody, turns: Cooperator) -> Any:
    source = BytesIO(content) if isinstance(content, bytes) else SentFile(content)
    return cast(Any, _Producer)(source, turns)


def _form(form: FormBody, boundary: str, turns: Cooperator) -> Any:
    fields = [(_escaped(part.name), _field(part, turns)) for part in form.parts]
    return cast(Any, MultiPartProducer)(fields, boundary=boundary.encode(), cooperator=turns)


def _field(part: Part, turns: Cooperator) -> Any:
    if isinstance(part.content, bytes) and part.filename is None and part.content_type is None:
        return part.content
    usual = _TEXT if part.filename is None else _ANY_TYPE
    filename = None if part.filename is None else _escaped(part.filename)
    return (filename, part.content_type or usual, _producer(part.content, turns))


def _escaped(name: str) -> str:
    """A name as browsers and curl write it (HTML, "multipart/form-data encoding algorithm"): no quote ends it early.

    What treq does with one, a backslash before the quote, ends it where another backslash stands before that.
    """
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


class _Producer(FileBodyProducer):
    def _determineLength(self, fObj: BytesIO | SentFile) -> int:
        return fObj.size if isinstance(fObj, SentFile) else len(fObj.getbuffer())


@implementer(IBodyProducer)
class _Paced:
    """A producer that pauses by having no turns: one of many parts is not asked which of them is at work.

    (treq's would pause itself and resume the file that it has begun meanwhile.) It may be stopped at any time.
    """

    def __init__(self, clock: IReactorTime, make: Callable[[Cooperator], Any]) -> None:
        self._clock = clock
        self._paused = False
        self._tick: Callable[[], None] | None = None
        self._timer: IDelayedCall | None = None
        self._begun = False
        self._producer = make(Cooperator(lambda: lambda: True, self._in_turn))
        self.length: int = self._producer.length

    def startProducing(self, consumer: IConsumer) -> Deferred[None]:
        self._begun = True
        done: Deferred[None] = self._producer.startProducing(consumer)
        return done

    def pauseProducing(self) -> None:
        self._paused = True

    def resumeProducing(self) -> None:
        self._paused = False
        tick, self._tick = self._tick, None
        if tick is not None:
            tick()

    def stopProducing(self) -> None:
        if self._begun:
            with suppress(TaskFinished):
                self._producer.stopProducing()

    def cancel(self) -> None:
        """The cooperator needs no more turns."""
        self._tick = None
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def _in_turn(self, tick: Callable[[], None]) -> Any:
        self._timer = self._clock.callLater(0, self._take_turn, tick)
        return self

    def _take_turn(self, tick: Callable[[], None]) -> None:
        if self._paused:
            self._tick = tick
        else:
            tick()


class SentFile:
    """A file that is sent as what it was when it was named: `read` raises CodedError `request_body` if it is not.

    What is left when the last bytes are read is checked before they are given: so a server never takes a file that was
    written to meanwhile for a whole one.
    """

    def __init__(self, body: FileBody) -> None:
        self.size = body.size
        self._body = body
        self._left = body.size
        self._file: FileIO | None = None

    def read(self, size: int) -> bytes:
        if not self._left:
            return b""
        try:
            return self._read(size)
        except OSError as error:
            self.close()
            raise CodedError("request_body", f"{self._body.path}: {error.strerror or error}") from None
        except CodedError:
            self.close()
            raise

    def _read(self, size: int) -> bytes:
        if self._file is None:
            self._file = open_plain(self._body.path, links=True)
            self._check()
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        if not data or not self._left:
            self._check(short=not data)
        return data

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _check(self, *, short: bool = False) -> None:
        assert self._file is not None
        found = os.fstat(self._file.fileno())
        if short or (found.st_size, found.st_mtime_ns) != (self._body.size, self._body.changed):
            words = f"{self._body.path}: the file has changed since this run was told of it; it is not sent"
            raise CodedError("request_body", words)
