"""The way through a proxy, opened: a layer between its transport and the protocol that is to speak through it.

CONNECT (RFC 9110 section 9.3.6) is spoken here; SOCKS in socks.py. What a proxy answers instead is never taken for the
answer of the server behind it.
"""

from __future__ import annotations

import re
from typing import Any, Final
from typing import Protocol as Interface

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from crawler.errors import CodedError
from crawler.fetch.connect.proxy import Proxy, ProxyFailed

MAX_HEAD: Final = 64 * 1024
_SHOWN: Final = 40
_END: Final = re.compile(rb"\n\r?\n")
_STATUS: Final = re.compile(rb"HTTP/[0-9](?:\.[0-9])? +([0-9]{3})(?![0-9])([^\r\n]*)", re.IGNORECASE)
_WANTED: Final = re.compile(rb"^proxy-authenticate[ \t]*:([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_SCHEME: Final = re.compile(rb"[A-Za-z][A-Za-z0-9-]{0,30}")
_TOO_MANY: Final = 429
_AUTH: Final = 407


class Talk(Interface):
    """What is said to a proxy until it has opened the way. Nothing here does I/O.

    `start` gives what is sent first, `receive` what is sent then; once `done`, `rest` is what came beyond. Both raise
    ProxyFailed, or CodedError for what is the fault of the server behind. No time is kept here.
    """

    done: bool
    rest: bytes

    def start(self) -> bytes: ...

    def receive(self, data: bytes) -> bytes: ...


class Tunnel(Protocol):
    """The Protocol on the transport to a proxy: it says what `talk` says, and then steps aside for `above`.

    `ready` fires with `above` when the way is open, or fails with what the talk raised. From then on all that comes
    goes through; what `above` writes goes to the transport without us.
    """

    def __init__(self, above: Protocol, talk: Talk, proxy: Proxy) -> None:
        self.ready: Deferred[Protocol] = Deferred(lambda _: self.abort())
        self._above: Protocol | None = above
        self._talk = talk
        self._proxy = proxy
        self._open = False

    def connectionMade(self) -> None:
        self._say(self._talk.start)

    def dataReceived(self, data: bytes) -> None:
        above = self._above
        if self._open and above is not None:
            above.dataReceived(data)
        elif not self._open and not self.ready.called:
            self._say(self._talk.receive, data)

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008 - Twisted's signature
        above, self._above = self._above, None
        if self._open:
            if above is not None:
                above.connectionLost(reason)
        elif not self.ready.called:
            words = f"{self._proxy} closed the connection before it had let us through"
            self.ready.errback(Failure(ProxyFailed("proxy_connect", words, blame="either")))

    def abort(self) -> None:
        """Close the socket now; nobody is told."""
        self._above = None
        if self.transport is not None:
            self.transport.abortConnection()  # type: ignore[attr-defined]

    def _say(self, step: Any, *data: bytes) -> None:
        talk, above = self._talk, self._above
        assert above is not None
        try:
            answer = step(*data)
            if talk.done and talk.rest:
                # No server speaks before it was asked: this is the proxy's, and would be taken for the server's.
                words = f"{self._proxy}: bytes behind its consent, {talk.rest[:_SHOWN]!r}"
                raise ProxyFailed("proxy_protocol", words)
        except CodedError as error:
            self.abort()
            self.ready.errback(Failure(error))
            return
        if answer:
            self.transport.write(answer)  # type: ignore[union-attr]
        if talk.done:
            self._open = True
            above.makeConnection(self.transport)
            self.ready.callback(above)


class ConnectTalk:
    """CONNECT: a request with a head alone, and an answer with a head that counts."""

    def __init__(self, proxy: Proxy, host: str, port: int) -> None:
        self.done = False
        self.rest = b""
        self._proxy = proxy
        self._server = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._received = bytearray()
        self._looked_at = 0
        self._size = 0

    def start(self) -> bytes:
        server = self._server.encode("ascii")
        return b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n%b\r\n" % (server, server, self._proxy.authorization)

    def receive(self, data: bytes) -> bytes:
        self._received += data
        self._size += len(data)
        while not self.done and self._head_ended():
            pass
        return b""

    def _head_ended(self) -> bool:
        """Read one head, interim or final, if it is whole."""
        received = self._received
        if not self._looked_at:
            del received[: len(received) - len(received.lstrip(b"\r\n"))]
        if not b"HTTP/".startswith(bytes(received[:5]).upper()):
            raise self._failed(f"its answer begins with {bytes(received[:_SHOWN])!r}", "proxy_protocol")
        end = _END.search(received, max(0, self._looked_at - 2))
        if self._size > MAX_HEAD:
            raise self._failed(f"more than {MAX_HEAD >> 10} KiB of headers", "proxy_protocol")
        if end is None:
            self._looked_at = len(received)
            return False
        head = bytes(received[: end.end()])
        del received[: end.end()]
        self._looked_at = 0
        match = _STATUS.match(head)
        if match is None:
            raise self._failed(f"its answer begins with {head[:_SHOWN]!r}", "proxy_protocol")
        status = int(match[1])
        if 100 <= status < 200:
            return bool(received)
        if not 200 <= status < 300:
            raise self._refused(status, head, match[2])
        self.done = True  # RFC 9110 section 9.3.6: neither Content-Length nor Transfer-Encoding mean anything here
        self.rest = bytes(received)
        return True

    def _refused(self, status: int, head: bytes, reason: bytes) -> ProxyFailed:
        words = f"it answers {status}{reason[:_SHOWN].decode('latin-1').rstrip()} to CONNECT {self._server}"
        if status == _AUTH:
            return auth_failed(self._proxy, _WANTED.findall(head), words)
        if status == _TOO_MANY:
            return self._failed(words, "proxy_refused", transient=True)
        if status >= 500:
            return ProxyFailed("proxy_connect", f"{self._proxy}: {words}", blame="either")
        return ProxyFailed("proxy_refused", f"{self._proxy}: {words}", blame="nobody")

    def _failed(self, words: str, code: str, *, transient: bool | None = None) -> ProxyFailed:
        return ProxyFailed(code, f"{self._proxy}: {words}", transient=transient)


def auth_failed(proxy: Proxy, wanted: list[bytes], words: str) -> ProxyFailed:
    """What a 407 means; `wanted` are the values of its Proxy-Authenticate (RFC 9110 section 11.7.1)."""
    names = {match[0].decode("ascii").capitalize() for value in wanted if (match := _SCHEME.match(value.strip()))}
    if names and "Basic" not in names:
        return ProxyFailed(
            "proxy_auth", f"{proxy}: {words}; it wants {' or '.join(sorted(names))}, and only Basic is known here"
        )
    if proxy.user is None:
        return ProxyFailed(
            "proxy_auth", f"{proxy}: {words}; it wants a user and a password ({proxy.scheme}://USER:PASSWORD@...)"
        )
    return ProxyFailed("proxy_auth", f"{proxy}: {words}; it does not accept this user and password")
