"""An agent that answers out of archives in place of a network: the same bytes, read by the same reader.

What others have kept is often not what was sent: bodies without their chunks or codings, lengths of what is not there.
Where a head says what the body behind it plainly is not, the body counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import Any, Final

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.iweb import IAgent
from zope.interface import implementer

from crawler.errors import CodedError
from crawler.fetch.archive.captures import Captures
from crawler.fetch.archive.message import final_head
from crawler.fetch.archive.reading import BrokenError, Stored
from crawler.fetch.flight import Flight
from crawler.fetch.http11.answer import AnswerReader
from crawler.fetch.http11.envelope import Envelope
from crawler.fetch.http11.head import MAX_HEAD_BYTES
from crawler.fetch.http11.response import DONE, Paced, WireResponse
from crawler.urls import DEFAULT_PORTS

_PIECE: Final = 1 << 16
_LINES: Final = 512
_CHUNK: Final = re.compile(rb"[0-9A-Fa-f]+[ \t]*(?:;[^\r\n]*)?\r?\n")
_MAGIC: Final = {b"gzip": (b"\x1f\x8b",), b"x-gzip": (b"\x1f\x8b",), b"zstd": (b"\x28\xb5\x2f\xfd",)}
_TEXT: Final = re.compile(rb"\s*[<{\[]")


class DatedFlight(Flight):
    """It began when the answer was archived."""

    def _answered(self, response: WireResponse) -> None:
        if isinstance(response, StoredResponse) and response.date is not None:
            self._wall = response.date
        super()._answered(response)


class StoredResponse(WireResponse):
    """One that was archived at `date`, in seconds since the epoch."""

    date: float | None = None


@implementer(IAgent)
class ArchiveAgent:
    """Fires with the response that `captures` have of a URL, a method and a body; CodedError `not_archived` where there
    is none.
    """

    def __init__(self, captures: Captures, clock: IReactorTime) -> None:
        self._captures = captures
        self._clock = clock

    def request(self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None) -> Deferred[Any]:  # noqa: ARG002
        if not isinstance(headers, Envelope):
            raise TypeError(f"{method!r} {uri!r}: this agent takes Envelopes")
        url = url_of(headers)
        trace = headers.trace
        trace.sent(self._clock.seconds())
        body = headers.body if isinstance(headers.body, bytes) else b""  # of a long one archives have no more
        place = self._captures.place(url, headers.method, body)
        if place is None:
            return fail(self._missing(url))
        replay = Replay(self._captures, self._clock, headers)
        try:
            response = replay.open(place)
        except (OSError, BrokenError) as error:
            replay.abort()
            return fail(CodedError("not_archived", f"its record in {self._captures.name} cannot be read: {error}"))
        except CodedError as error:
            replay.abort()
            return fail(error)
        return succeed(response)

    def _missing(self, url: str) -> CodedError:
        name, code = self._captures.name, self._captures.failure(url)
        words = "" if code is None else f": when that was made, it failed with {code}"
        return CodedError("not_archived", f"it is not in {name}{words}")


def url_of(envelope: Envelope) -> str:
    """What a request asks for, as it is on the wire."""
    scheme, host, port = envelope.key.scheme, envelope.key.host, envelope.key.port
    target = envelope.head.split(b" ", 2)[1].decode("latin-1")
    authority = f"[{host}]" if ":" in host else host
    place = authority if DEFAULT_PORTS.get(scheme) == port else f"{authority}:{port}"
    return f"{scheme}://{place}{target}"


class Replay(AnswerReader, Paced):
    """One answer, out of a record."""

    def __init__(self, captures: Captures, clock: IReactorTime, envelope: Envelope) -> None:
        AnswerReader.__init__(self)
        Paced.__init__(self, clock, envelope.trace)
        self._method = envelope.method
        self._captures = captures
        self._resources = ExitStack()
        self._rest: Iterator[bytes] = iter(())
        self._cut = False

    def open(self, place: int) -> StoredResponse:
        """Read the head. Raises OSError, BrokenError, CodedError."""
        record = self._resources.enter_context(self._captures.found(place))
        trace = self._trace
        trace.remote_ip = record.fields.get("warc-ip-address")
        now = self._clock.seconds()
        trace.first_byte = trace.last_byte = now
        trace.enter("body", now)
        first = b"" if record.kind == "resource" else self._first(record)
        if record.kind == "resource":
            head = b"HTTP/1.1 200 OK\r\n"
            if (media := record.fields.get("content-type")) is not None:
                head += f"Content-Type: {media}\r\n".encode("latin-1", "replace")
            head += b"\r\n"
        else:
            head, first = _split(first)
        self._cut = "warc-truncated" in record.fields
        date = record.fields.get("warc-date")
        if record.kind == "revisit":
            head, first, record = self._original(record, head)
        self._came(head)
        if not self._headers_done:
            raise BrokenError("has no whole head of an answer")
        self._rest = _pieces(first, record)
        if not self._complete and not self._cut:
            self._rest = self._fitted(self._rest, foreign=record)
        response = self._response = StoredResponse(
            self, self._version, self._status, self._fields, self._length, self._warnings
        )
        response.date = _seconds(date)
        return response

    def _first(self, record: Stored) -> bytes:
        """So much of the block that the head is in it."""
        data = record.read(_PIECE)
        while len(data) < MAX_HEAD_BYTES and final_head(data)[1] < 0 and (more := record.read(_PIECE)):
            data += more
        return data

    def _original(self, revisit: Stored, head: bytes) -> tuple[bytes, bytes, Stored]:
        place = self._captures.original(revisit)
        if place is None:
            raise BrokenError("is a revisit of what is not there")
        record = self._resources.enter_context(self._captures.found(place))
        if record.kind == "revisit":
            raise BrokenError("is a revisit of a revisit")
        old, first = _split(self._first(record))
        return head or old, first, record

    def _fitted(self, rest: Iterator[bytes], *, foreign: Stored) -> Iterator[bytes]:
        """See whether the body is what the head says."""
        first = next(rest, b"")
        names = {name.lower() for name, _ in self._fields}
        if self._chunked is not None and first and _CHUNK.match(first) is None:
            self._leave_out(b"transfer-encoding")
            self._chunked = None
            self._length = None
        coding = next((value.lower() for name, value in self._fields if name.lower() == b"content-encoding"), None)
        if coding is not None and _is_decoded(coding, first if self._chunked is None else b""):
            self._leave_out(b"content-encoding")
            if b"content-length" in names:
                self._length = None
        size = foreign.size
        if self._length is not None and size is not None and len(first) + size < self._length:
            self._length = None
        self._left = self._length or 0
        return _again(first, rest)

    def _leave_out(self, name: bytes) -> None:
        self._fields = [pair for pair in self._fields if pair[0].lower() != name]

    # What the response takes.

    def _next(self, response: WireResponse) -> bytes:
        try:
            more = self._step()
        except (OSError, BrokenError) as error:
            self._finish(response, CodedError("body_truncated", f"the archive {error}"))
            return b""
        except CodedError as error:
            self._finish(response, error)
            return b""
        data = b"".join(self._pieces)
        self._pieces.clear()
        if not more and not data:
            self._finish(response, None)
        return data

    def _step(self) -> bool:
        """Read on. Whether there may be more."""
        if self._more:
            self._read_on(_LINES)
            return True
        data = next(self._rest, b"")
        if not data:
            return False
        self._body(data)
        return True

    def _let_go(self) -> None:
        self._resources.close()

    def _finish(self, response: WireResponse, error: CodedError | None) -> None:
        if self._extra:
            self._warnings.append("extra_bytes")
        open_ended = self._length is None and self._chunked is None
        if error is None and not self._complete and (self._cut or not open_ended):
            error = CodedError("body_truncated", "the archive has no more of the body")
        self._end(response, DONE if error is None else Failure(error))


def _split(data: bytes) -> tuple[bytes, bytes]:
    begin, end = final_head(data)
    return (data[begin:], b"") if end < 0 else (data[begin:end], data[end:])


def _pieces(first: bytes, record: Stored) -> Iterator[bytes]:
    if first:
        yield first
    while data := record.read(_PIECE):
        yield data


def _again(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _is_decoded(coding: bytes, first: bytes) -> bool:
    """Whether a body is plainly not in the coding that its head names."""
    if not first:
        return False
    if (magic := _MAGIC.get(coding)) is not None:
        return not first.startswith(magic)
    return coding in {b"br", b"deflate"} and _TEXT.match(first) is not None and first[:200].isascii()


def _seconds(date: str | None) -> float | None:
    try:
        return None if date is None else datetime.fromisoformat(date).timestamp()
    except ValueError:
        return None
