"""What travels between fetch and our agent: the request in its wire form, and the trace of its phases.

Where treq's machinery is wanted it wraps a request in a cookie agent and a content decoder that copy, parse and rewrite
headers; with an Envelope for headers and a NullJar they have nothing to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from http.cookiejar import Cookie
from typing import Any, Self

import msgspec
from treq.cookies import IndexableCookieJar
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer

from crawler.errors import CodedError
from crawler.fetch.connect.proxy import Proxy


class Key(msgspec.Struct, frozen=True, gc=False):
    """What a connection must match to carry a request; connections of different keys never mix.

    `public_only` forbids addresses that are not public; in the key of a connection it says whether its address is
    public. `proxy` is what it goes through; None goes straight.
    """

    scheme: str
    host: str
    port: int
    public_only: bool
    proxy: Proxy | None = None

    @property
    def forwarded(self) -> bool:
        """Whether the proxy is asked for the URL itself (RFC 9112 section 3.2.2), not for a tunnel to its server."""
        return self.proxy is not None and self.scheme == "http" and self.proxy.takes_urls


class Trace:
    """When the phases of one attempt ended, in monotonic seconds; None where a phase did not happen (yet).

    Written by the agent, the endpoint and the connection as things happen; read by whoever keeps the deadlines.
    `received` counts body bytes on the wire; `phase` is "dns", "connect", "tls", "send" (a long body), "headers" or
    "body". `on_sent` is called when the request is sent: it may have waited long for its connection. What is `fresh` is
    sent over a new one.
    `proxy` is the one that it went through. `on_end` is called when the attempt is over, `on_overdue` when a deadline
    has passed: where it gives True, something else is tried.
    """

    __slots__ = (
        "connected",
        "first_byte",
        "fresh",
        "last_byte",
        "on_end",
        "on_overdue",
        "on_sent",
        "phase",
        "phase_started",
        "proxy",
        "received",
        "remote_ip",
        "resolved",
        "reused",
        "secured",
        "started",
    )

    def __init__(self, started: float) -> None:
        self.started = started
        self.phase = "dns"
        self.phase_started = started
        self.resolved: float | None = None
        self.connected: float | None = None
        self.secured: float | None = None
        self.first_byte: float | None = None
        self.last_byte = started
        self.on_end: Callable[[], None] | None = None
        self.on_overdue: Callable[[CodedError], bool] | None = None
        self.on_sent: Callable[[], None] | None = None
        self.proxy: Proxy | None = None
        self.fresh = False
        self.received = 0
        self.remote_ip: str | None = None
        self.reused = False

    def enter(self, phase: str, now: float) -> None:
        self.phase = phase
        self.phase_started = now

    def wrote(self, now: float) -> None:
        """A piece of a long body has been written: neither that nor an answer meanwhile stalls."""
        if self.phase == "send":
            self.phase_started = now
        else:
            self.last_byte = now

    def sent(self, now: float) -> None:
        self.enter("headers", now)
        if self.on_sent is not None:
            self.on_sent()


class Envelope(Headers):
    """One request as our agent wants it, dressed as the Headers that treq hands down untouched.

    `key` is what a connection must match to carry it. `head` is everything from the request line to the empty line.
    `attempt` counts the tries of one request; `turn` is a number by which proxies take turns. `tape`, a Tape, keeps
    what goes over the wire.
    """

    attempt = 1
    body: bytes | IBodyProducer | None = None
    tape: Any = None
    turn = 0

    def __init__(self, key: Key, method: str, head: bytes, trace: Trace) -> None:
        self.key = key
        self.method = method
        self.head = head
        self.trace = trace

    # treq asks these; the true headers are in `head` already.
    def hasHeader(self, name: Any) -> bool:  # noqa: ARG002
        return True

    def copy(self) -> Self:
        return self

    def addRawHeader(self, name: Any, value: Any) -> None:
        """Accept-Encoding is ours to say."""


class ResponseHeaders(Headers):
    """The received headers for readers of IResponse, built when first asked for.

    Content-Encoding is withheld: treq would decode gzip without any cap (252 bytes became 50 MiB). fetch decodes.
    """

    def __init__(self, raw: Sequence[tuple[bytes, bytes]]) -> None:
        self._raw = raw
        self._loaded = False

    def _load(self) -> None:
        if not self._loaded:
            self._loaded = True
            super().__init__()
            for name, value in self._raw:
                if name.lower() != b"content-encoding":
                    super().addRawHeader(name, value)

    def getRawHeaders(self, name: Any, default: Any = None) -> Any:
        if name == b"Content-Encoding":
            return default
        self._load()
        return super().getRawHeaders(name, default)

    def setRawHeaders(self, name: Any, values: Any) -> None:
        """treq's decoder writes back an empty Content-Encoding; nobody else writes to received headers."""

    def getAllRawHeaders(self) -> Iterator[tuple[bytes, Sequence[bytes]]]:
        self._load()
        return super().getAllRawHeaders()

    def hasHeader(self, name: Any) -> bool:
        self._load()
        return super().hasHeader(name)


class NullJar(IndexableCookieJar):
    """A cookie jar that holds nothing and remembers nothing."""

    def __init__(self) -> None:
        super().__init__()

    def add_cookie_header(self, request: Any) -> None: ...

    def extract_cookies(self, response: Any, request: Any) -> None: ...

    def __iter__(self) -> Iterator[Cookie]:
        return iter(())


Now = Callable[[], float]
