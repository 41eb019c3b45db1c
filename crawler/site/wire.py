"""One client's connection to the loopback site: a small HTTP/1.1 server, and the levers that a page pulls.

Rules:
- What goes on the wire is what a page sends: no byte is added, counted or corrected here.
- Requests are answered one after the other; what a client pipelines waits for its turn.
- Only GET and HEAD without a body are read, and a POST of a few bytes where a page takes one; other methods where a
  site has something that takes them. A ready page (plain bytes) never leaves the fast path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple
from typing import Protocol as Interface

from twisted.internet.interfaces import IDelayedCall, IPullProducer, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

MAX_HEAD_BYTES: Final = 64 * 1024
MAX_BODY_BYTES: Final = 64 * 1024
RESET_AFTER: Final = 0.05  # seconds in which what was sent reaches the client before the reset does
_CLIENT_HELLO: Final = b"\x16\x03"  # TLS to a plain port: real servers answer in plain HTTP
_CLOSE: Final = re.compile(rb"\nconnection:[^\r\n]*\bclose\b", re.IGNORECASE)
_TAKEN: Final = re.compile(rb"(POST|PUT|PATCH|DELETE|OPTIONS) ([^ ?\r\n]++)[^\r\n]*+")
_SIZE: Final = re.compile(rb"\r\ncontent-length:[ \t]*+(\d{1,5})[ \t]*+(?:\r|\Z)", re.IGNORECASE)
_LENGTH: Final = re.compile(rb"\n(?:content-length|transfer-encoding):", re.IGNORECASE)


class Hit(NamedTuple):
    """One line of the access log. `time` is the clock's seconds; `connection` counts from 1; `path` has the query."""

    time: float
    peer: str
    path: str
    method: str
    connection: int


class Shelf(Interface):
    """Where a connection finds its pages: the site."""

    clock: IReactorTime
    log: list[Hit]
    keep_log: bool

    @property
    def ready(self) -> Mapping[bytes, bytes]:
        """Whole answers by path, for GET."""

    def taker(self, method: str, path: str) -> Drive | None:
        """What answers another method than GET and HEAD; None: nothing does."""

    def find(self, path: str) -> Drive | bytes:
        """The answer for a path that is not ready."""

    def opened(self, wire: Wire) -> int:
        """Take note of a connection and give it its number."""

    def lost(self, wire: Wire) -> None:
        """Forget a connection."""


@implementer(IPullProducer)
class Wire(Protocol):
    """Reads requests, and lends itself to the page that answers: `reply`, or `send` and then one of
    `done`, `close`, `reset`, `cut`.

    A page that calls none of them leaves the client waiting. `head`, `method`, `path`, `query`, `body` are the
    request's; `count` says how many requests this connection has brought.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.head = b""
        self.method = "GET"
        self.path = "/"
        self.query = ""
        self.body = b""
        self.count = 0
        self.number = 0
        self._shelf = shelf
        self._received = b""
        self._busy = False
        self._serving = False
        self._last = False
        self._flood = b""
        self._timers: list[IDelayedCall] = []

    # What a page does.

    def send(self, data: bytes) -> None:
        self._raw.write(data)

    def reply(self, answer: bytes, *, close: bool = False) -> None:
        """Send a whole answer, of which HEAD gets only the head, and be done."""
        self.send(answer if self.method != "HEAD" else _head_of(answer))
        self._last = self._last or close
        self.done()

    def done(self) -> None:
        """The answer is complete; the connection stays open unless the client asked otherwise."""
        self._busy = False
        if self._last:
            self.close()
        elif not self._serving:
            self._serve()

    def close(self) -> None:
        """FIN after what was sent; over TLS with close_notify."""
        self._busy = True
        self._raw.loseConnection()

    def reset(self) -> None:
        """RST, once what was sent has had the time to arrive."""
        self._busy = True
        self.later(RESET_AFTER, self.abort)

    def abort(self) -> None:
        """RST now."""
        self._raw.abortConnection()

    def cut(self) -> None:
        """FIN after what was sent, over TLS without close_notify."""
        self._busy = True
        self.later(RESET_AFTER, getattr(self._raw, "transport", self._raw).loseConnection)

    def later(self, seconds: float, action: Callable[..., object], *arguments: object) -> None:
        """Do something later, unless the connection is gone by then."""
        self._timers = [timer for timer in self._timers if timer.active()]
        self._timers.append(self._shelf.clock.callLater(seconds, action, *arguments))

    def drip(self, data: bytes, size: int, every: float, end: Callable[[], object] | None = None) -> None:
        """Send `data` in pieces of `size` bytes, one `every` so many seconds, then call `end`."""
        self.send(data[:size])
        if data[size:]:
            self.later(every, self.drip, data[size:], size, every, end)
        elif end is not None:
            self.later(every, end)

    def flood(self, piece: bytes) -> None:
        """Send `piece` again and again, as fast as the client reads, for ever."""
        self._flood = piece
        self._raw.registerProducer(self, False)

    def header(self, name: str) -> str:
        """The value of a request header, or nothing."""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.decode("latin-1").lower() == name:
                return value.strip().decode("latin-1")
        return ""

    # What Twisted tells.

    @property
    def _raw(self) -> Any:
        return self.transport

    def connectionMade(self) -> None:
        self._raw.setTcpNoDelay(True)
        self._peer = str(self._raw.getPeer().host)
        self.number = self._shelf.opened(self)

    def dataReceived(self, data: bytes) -> None:
        self._received = self._received + data if self._received else data
        if not self._busy:
            self._serve()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 - Twisted's signature
        self._busy = True
        for timer in self._timers:
            if timer.active():
                timer.cancel()
        self._shelf.lost(self)

    def resumeProducing(self) -> None:
        self.send(self._flood)

    def stopProducing(self) -> None:
        self._flood = b""

    # Reading requests.

    def _serve(self) -> None:
        self._serving = True
        while not self._busy:
            head, found, rest = self._received.partition(b"\r\n\r\n")
            if not found:
                if head.startswith(_CLIENT_HELLO):
                    self._refuse(b"400 Bad Request")
                elif len(head) > MAX_HEAD_BYTES:
                    self._refuse(b"431 Request Header Fields Too Large")
                break
            if not head.startswith((b"GET ", b"HEAD ")) and (taken := _TAKEN.match(head)) is not None:
                drive = self._shelf.taker(taken[1].decode(), taken[2].decode("latin-1"))
                length = _length(head)
                if drive is not None and length is not None and length <= MAX_BODY_BYTES:
                    if len(rest) < length:
                        break
                    self.body, self._received = rest[:length], rest[length:]
                    self._drive(drive, head)
                    continue
            self._received = rest
            self._answer(head)
        self._serving = False

    def _answer(self, head: bytes) -> None:
        words = head.partition(b"\r\n")[0].split(b" ")
        if len(words) != 3 or words[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
            self._refuse(b"400 Bad Request")
            return
        method, target, version = words
        if method not in (b"GET", b"HEAD"):
            self._refuse(b"405 Method Not Allowed")
            return
        if _LENGTH.search(head):  # a body would be read as the next request
            self._refuse(b"413 Content Too Large")
            return
        shelf = self._shelf
        self._log(method, target)
        self._last = version == b"HTTP/1.0" or _CLOSE.search(head) is not None
        path, _, query = target.partition(b"?")
        answer: Drive | bytes | None = shelf.ready.get(path)
        if answer is None:
            answer = shelf.find(path.decode("latin-1"))
        if isinstance(answer, bytes):
            self._raw.write(answer if method == b"GET" else _head_of(answer))
            if self._last:
                self.close()
            return
        self._lend(answer, head, method, path, query)

    def _drive(self, drive: Drive, head: bytes) -> None:
        """Have a page answer what is neither GET nor HEAD."""
        method, target, version = head.partition(b"\r\n")[0].split(b" ", 2)
        self._log(method, target)
        self._last = version == b"HTTP/1.0" or _CLOSE.search(head) is not None
        path, _, query = target.partition(b"?")
        self._lend(drive, head, method, path, query)

    def _log(self, method: bytes, target: bytes) -> None:
        shelf = self._shelf
        self.count += 1
        if shelf.keep_log:
            now = shelf.clock.seconds()
            shelf.log.append(Hit(now, self._peer, target.decode("latin-1"), method.decode(), self.number))

    def _lend(self, drive: Drive, head: bytes, method: bytes, path: bytes, query: bytes) -> None:
        self.head = head
        self.method = method.decode()
        self.path = path.decode("latin-1")
        self.query = query.decode("latin-1")
        self._busy = True
        drive(self)

    def _refuse(self, status: bytes) -> None:
        self.send(b"HTTP/1.1 %b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n" % status)
        self.close()


def _head_of(answer: bytes) -> bytes:
    return answer[: answer.index(b"\r\n\r\n") + 4]


Drive = Callable[[Wire], None]


def _length(head: bytes) -> int | None:
    """How long a body is; None where that is not said in a way that is read here."""
    if _LENGTH.search(head) is None:
        return 0
    size = _SIZE.search(head)
    return None if size is None else int(size[1])
