"""One exchange as records: request and response, what else there is to be said, and a line for the index.

They are made in the reactor's thread where the exchange is small, in another where it is large.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from hashlib import sha256
from http import HTTPStatus
from typing import IO, Any, Final, NamedTuple

from crawler.fetch.archive.message import final_head
from crawler.fetch.archive.tape import Tape
from crawler.fetch.http11.head import MAX_HEAD_BYTES
from crawler.models import Request, Response, timestamp
from crawler.sinks.archive.index import Entry, line_of
from crawler.sinks.archive.records import (
    FIELDS,
    IDENTICAL,
    REQUEST,
    RESPONSE,
    Field,
    Packing,
    fields_block,
    head_of,
    without_credentials,
)
from crawler.urls import Url

_PIECE: Final = 1 << 18
_KNOWN: Final = 100_000
_LEAST: Final = 64  # bytes of a payload that are worth a revisit
_DISCONNECT: Final = frozenset(("body_truncated", "http_bad_chunk", "conn_reset"))
_TIME: Final = frozenset(("timeout_idle", "timeout_total", "too_slow"))
_LENGTH: Final = frozenset(("body_too_large", "memory_limit"))


class Payloads:
    """The payloads that are in the archive, by their digests: for each the URL and the date of its record.

    Of the latest 100,000: that is 30 MB.
    """

    def __init__(self) -> None:
        self._seen: dict[bytes, tuple[str, str]] = {}

    def seen(self, digest: bytes, url: str, date: str) -> tuple[str, str] | None:
        """What has this payload already; if nothing has, then from now on this URL."""
        found = self._seen.get(digest)
        if found is None:
            if len(self._seen) >= _KNOWN:
                del self._seen[next(iter(self._seen))]
            self._seen[digest] = (url, date)
        return found


class Capture(NamedTuple):
    """What the index says of an exchange; its `offset` counts from the first record of the group."""

    url: Url
    date: str
    offset: int
    entry: Entry

    def line(self, begin: int, file: str) -> str:
        """The line for a group that begins there in that file."""
        entry = self.entry
        entry.offset = str(begin + self.offset)
        entry.filename = file
        return line_of(self.url, self.date, entry)


class Exchange(NamedTuple):
    """What is to be archived: a request, what went over the wire, and what came of it."""

    request: Request
    tape: Tape
    response: Response

    @property
    def is_large(self) -> bool:
        return self.tape.size > _PIECE // 2

    def write(self, packing: Packing, payloads: Payloads) -> Capture | None:
        """Give the records to `packing`; what there is for the index, if anything. Raises OSError."""
        request, tape, response = self
        url, date = request.url.href, timestamp(response.started)
        number = packing.new_id()
        fields = f"WARC-Target-URI: {url}\r\n"
        if response.remote_ip is not None:
            fields += f"WARC-IP-Address: {response.remote_ip}\r\n"
        notes = _notes(request, response)
        message = _Message.of(tape, response)
        if message is None:
            if notes:
                _put(packing, "metadata", FIELDS, date, fields, fields_block(notes))
            return None
        beside = f"{fields}WARC-Concurrent-To: {number}\r\n"
        if notes:
            _put(packing, "metadata", FIELDS, date, beside, fields_block(notes))
        payload = message.digest(response)
        digest = f"sha256:{payload}"
        before = None
        if not response.truncated and message.payload_size >= _LEAST:
            before = payloads.seen(bytes.fromhex(payload), url, date)
        about = f"{fields}WARC-Payload-Digest: {digest}\r\n"
        if tape.frames:
            about += "WARC-Protocol: h2\r\n"
        if response.truncated:
            about += f"WARC-Truncated: {_why(response)}\r\n"
        kind, mime = "response", (response.first("content-type") or "unk").partition(";")[0].strip().lower()
        rest: Iterator[bytes] | tuple[()] = ()
        if before is not None:
            kind, mime = "revisit", "warc/revisit"
            about += (
                f"WARC-Profile: {IDENTICAL}\r\n"
                f"WARC-Refers-To-Target-URI: {before[0]}\r\nWARC-Refers-To-Date: {before[1]}\r\n"
            )
            block, size = message.head, len(message.head)
            whole = sha256(block)
        else:
            block, size = message.first, message.size
            rest = () if message.file is None else message.rest()
            whole = message.whole()
        about += f"WARC-Block-Digest: sha256:{whole.hexdigest()}\r\nContent-Type: {RESPONSE}\r\n"
        offset, length = packing.record(head_of(kind, number, date, about, size), block, rest)
        sent = without_credentials(tape.head)
        if isinstance(tape.body, bytes):
            sent += tape.body
        _put(packing, "request", REQUEST, date, beside, sent)
        entry = Entry(url, mime or "unk", str(response.status), digest, str(length))
        if request.method != "GET":
            entry.method = request.method
        return Capture(request.url, date, offset, entry)


def _put(packing: Packing, kind: str, content: str, date: str, fields: str, block: bytes) -> None:
    """A record of what stands beside an answer, or in its place; `content` is the type of its block."""
    lines = f"{fields}Content-Type: {content}\r\nWARC-Block-Digest: sha256:{sha256(block).hexdigest()}\r\n"
    packing.record(head_of(kind, packing.new_id(), date, lines, len(block)), block)


def _notes(request: Request, response: Response) -> list[Field]:
    """What is told of an exchange in a record of its own: how it was met (WARC 1.1 section 6.5), and why it failed."""
    notes: list[Field] = []
    if request.redirects:
        notes += [("via", request.redirects[-1].url), ("hopsFromSeed", "R")]
    elif request.id < 0:
        notes.append(("hopsFromSeed", "P"))
    if response.error is not None:
        notes += [("error", response.error.code), ("message", response.error.message)]
    return notes


def _why(response: Response) -> str:
    code = response.broken if response.error is None else response.error.code
    for reason, codes in (("disconnect", _DISCONNECT), ("time", _TIME), ("length", _LENGTH)):
        if code in codes:
            return reason
    return "unspecified"


class _Message:
    """An answer as a block: `first`, that begins with the head, and what is in `file`, from `begin` to its end."""

    def __init__(self, first: bytes, head_size: int, file: IO[bytes] | None, begin: int, size: int) -> None:
        self.first = first
        self.head = first[:head_size]
        self.file = file
        self.size = size
        self.payload_size = size - head_size
        self._begin = begin

    @classmethod
    def of(cls, tape: Tape, response: Response) -> _Message | None:
        """None where no head of an answer has come."""
        if response.status is None or response.status == 101:
            return None
        file = tape.file
        if tape.frames:
            head = _equivalent(response)
            if file is None:
                return cls(head + b"".join(tape.pieces), len(head), None, 0, len(head) + tape.size)
            return cls(head, len(head), file, 0, len(head) + tape.size)
        if file is None:
            data = b"".join(tape.pieces)
        else:
            file.seek(0)
            data = file.read(2 * MAX_HEAD_BYTES)
        begin, end = final_head(data)
        if end < 0:
            return None
        if file is None:
            return cls(data[begin:], end - begin, None, 0, tape.size - begin)
        return cls(data[begin:end], end - begin, file, end, tape.size - begin)

    def rest(self) -> Iterator[bytes]:
        """What is in the file, piece by piece."""
        assert self.file is not None
        self.file.seek(self._begin)
        yield from iter(partial(self.file.read, _PIECE), b"")

    def digest(self, response: Response) -> str:
        """The SHA-256 of the payload, in hex. Where that is the body, its record has asked for it as well."""
        payload = self.first[len(self.head) :]
        if payload and self.file is None and response.spooled is None and payload == response.body:
            return response.digest()
        digest = sha256(payload)
        for piece in self.rest() if self.file is not None else ():
            digest.update(piece)
        return digest.hexdigest()

    def whole(self) -> Any:
        """The hash of the block."""
        digest = sha256(self.first)
        for piece in self.rest() if self.file is not None else ():
            digest.update(piece)
        return digest


def _equivalent(response: Response) -> bytes:
    """The head of an answer in HTTP/2, as HTTP/1.1 would have it: frames have no other text (as in warcio.js, too)."""
    assert response.status is not None
    try:
        reason = HTTPStatus(response.status).phrase
    except ValueError:
        reason = ""
    lines = [f"HTTP/1.1 {response.status} {reason}".encode()]
    lines += [name + b": " + value for name, value in response.raw_headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"
