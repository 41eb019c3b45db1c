"""Servers that do one thing wrong over HTTP/2: TLS on the loopback, hyper-h2 for what is right, bytes for what is not.

FAULTS are their names, each with the row of the fault table that it is like (0: HTTP/2 alone has it), what becomes of a
fetch, and what the server does with a request.
"""

from __future__ import annotations

import asyncio
import gzip
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import RequestReceived
from hpack import Encoder
from http2_server import frame
from real_peers import authority

HTML = ("content-type", "text/html")
HTTP11 = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
ZEROS = gzip.compress(bytes(3_000_000))


class Talk(asyncio.Protocol):
    """One connection; `answer` is called with each request's stream."""

    def __init__(self, answer: Callable[[Talk, int], object]) -> None:
        self._answer = answer
        self._speaks_http2 = True
        self.h2 = H2Connection(H2Configuration(client_side=False, validate_outbound_headers=False))

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        tls = transport.get_extra_info("ssl_object")
        self._speaks_http2 = tls.selected_alpn_protocol() == "h2"
        if self._speaks_http2:
            self.h2.initiate_connection()
            self.flush()

    def data_received(self, data: bytes) -> None:
        if not self._speaks_http2:
            self.transport.write(HTTP11)
            return
        events = self.h2.receive_data(data)
        self.flush()
        for event in events:
            if isinstance(event, RequestReceived):
                self._answer(self, cast(int, event.stream_id))

    def flush(self) -> None:
        self.raw(self.h2.data_to_send())

    def raw(self, data: bytes) -> None:
        if data and not self.transport.is_closing():
            self.transport.write(data)

    def answer(
        self, stream: int, body: bytes = b"", *fields: tuple[str, str], status: str = "200", ended: bool = True
    ) -> None:
        self.h2.send_headers(stream, [(":status", status), *fields], end_stream=ended and not body)
        self.more(stream, body, ended=ended)

    def more(self, stream: int, body: bytes, *, ended: bool = False) -> None:
        if self.transport.is_closing():
            return
        for at in range(0, len(body), 16_000):
            self.h2.send_data(stream, body[at : at + 16_000], end_stream=ended and at + 16_000 >= len(body))
        self.flush()

    def later(self, seconds: float, action: Callable[..., object], *args: Any) -> None:
        asyncio.get_running_loop().call_later(seconds, action, *args)

    def drip(self, piece: bytes) -> None:
        if not self.transport.is_closing():
            self.raw(piece)
            self.later(0.1, self.drip, piece)


def nothing(talk: Talk, stream: int) -> None:
    """No answer at all."""


def stall(talk: Talk, stream: int) -> None:
    talk.answer(stream, b"half", ended=False)


def head_drips(talk: Talk, stream: int) -> None:
    talk.raw(frame(1, 0, stream, b"\x88"))
    talk.drip(frame(9, 0, stream, b"\x00\x01a\x01b"))


def body_drips(talk: Talk, stream: int) -> None:
    talk.answer(stream, ended=False)
    talk.drip(frame(0, 0, stream, b"x"))


def too_much(talk: Talk, stream: int) -> None:
    talk.answer(stream, bytes(600_000), ended=False)
    for number in range(1, 4):
        talk.later(number / 10, talk.more, stream, bytes(16_000) * 20)


def fin(talk: Talk, stream: int) -> None:
    talk.transport.close()


def rst(talk: Talk, stream: int) -> None:
    talk.transport.abort()


def fin_inside(talk: Talk, stream: int) -> None:
    stall(talk, stream)
    talk.later(0.05, talk.transport.close)


def rst_inside(talk: Talk, stream: int) -> None:
    stall(talk, stream)
    talk.later(0.05, talk.transport.abort)


def reset(code: ErrorCodes, *, inside: bool = False) -> Callable[[Talk, int], None]:
    def act(talk: Talk, stream: int) -> None:
        if inside:
            stall(talk, stream)
        talk.h2.reset_stream(stream, code)
        talk.flush()

    return act


def goaway(last: int, code: ErrorCodes = ErrorCodes.NO_ERROR) -> Callable[[Talk, int], None]:
    def act(talk: Talk, stream: int) -> None:
        talk.h2.close_connection(code, last_stream_id=last)
        talk.flush()
        talk.later(0.05, talk.transport.close)

    return act


def hint_and_goaway(talk: Talk, stream: int) -> None:
    talk.raw(frame(1, 4, stream, Encoder().encode([(":status", "103")])))
    goaway(0)(talk, stream)


def says(body: bytes = b"", *fields: tuple[str, str], status: str = "200") -> Callable[[Talk, int], None]:
    return lambda talk, stream: talk.answer(stream, body, *fields, status=status)


def sends(*pieces: bytes) -> Callable[[Talk, int], None]:
    """Bytes instead of an answer to the first request."""
    return lambda talk, _: [talk.raw(piece) for piece in pieces]


def large_head(talk: Talk, stream: int) -> None:
    fields = [(":status", "200"), *((f"x{n}", "y" * 10_000) for n in range(40))]
    block = Encoder().encode(fields, huffman=False)  # hpack takes a second to code that
    pieces = [block[at : at + 16_000] for at in range(0, len(block), 16_000)]
    talk.raw(frame(1, 0, stream, pieces[0]) + b"".join(frame(9, 0, stream, piece) for piece in pieces[1:]))
    talk.raw(frame(9, 4, stream))


def once(first: Callable[[Talk, int], object]) -> Callable[[Talk, int], None]:
    """Do that with the first request of all, and answer the others."""
    begun: list[bool] = []

    def act(talk: Talk, stream: int) -> None:
        if begun:
            talk.answer(stream, b"ok")
        else:
            begun.append(True)
            first(talk, stream)

    return act


class Fault(NamedTuple):
    row: int
    outcome: str
    answer: Callable[[Talk, int], object]


def faults() -> dict[str, Fault]:
    """Made anew for each server: some remember what they did."""
    bad = Encoder().encode
    return {
        "good": Fault(0, "ok", says(b"ok", HTML)),
        "FIN before the answer": Fault(18, "empty_reply", fin),
        "RST before the answer": Fault(19, "conn_reset", rst),
        "silence": Fault(20, "timeout_headers", nothing),
        "a head that drips": Fault(24, "timeout_headers", head_drips),
        "a body that drips": Fault(25, "timeout_total", body_drips),
        "a body that stalls": Fault(26, "timeout_idle", stall),
        "FIN inside the body": Fault(28, "body_truncated", fin_inside),
        "RST inside the body": Fault(28, "body_truncated", rst_inside),
        "fewer bytes than announced": Fault(27, "body_truncated", says(b"half", ("content-length", "8"))),
        "more bytes than announced": Fault(31, "http_bad_framing", says(b"twice", ("content-length", "4"))),
        "two lengths": Fault(34, "http_bad_framing", says(b"ok", ("content-length", "2"), ("content-length", "3"))),
        "the same length twice": Fault(33, "ok", says(b"ok", ("content-length", "2"), ("content-length", "2"))),
        "10^20 bytes": Fault(35, "body_too_large", says(b"ok", ("content-length", "1" + "0" * 20))),
        "chunked": Fault(37, "http_bad_header", lambda t, s: t.raw(frame(1, 4, s, bad([(":status", "200"), ("transfer-encoding", "chunked")])))),
        "1xx without end": Fault(44, "http_too_many_1xx", lambda t, s: t.raw(frame(1, 4, s, bad([(":status", "103")])) * 200)),
        "101": Fault(45, "http_protocol", lambda t, s: t.raw(frame(1, 4, s, bad([(":status", "101")])))),
        "HTTP/1.1": Fault(46, "http2_protocol", sends(HTTP11)),
        "noise": Fault(46, "http2_protocol", sends(bytes(range(256)) * 40)),
        "a status of 99999": Fault(48, "http_bad_status", lambda t, s: t.raw(frame(1, 4, s, bad([(":status", "99999")])))),
        "a status of 700": Fault(48, "ok", says(b"ok", status="700")),
        "a NUL": Fault(53, "http_bad_header", lambda t, s: t.raw(frame(1, 4, s, bad([(":status", "200"), ("a", "\0")])))),
        "a large head": Fault(54, "headers_too_large", large_head),
        "gzip": Fault(60, "ok", says(gzip.compress(b"ok"), ("content-encoding", "gzip"))),
        "gzip that is cut": Fault(58, "body_truncated", says(gzip.compress(bytes(range(256)))[:99], ("content-encoding", "gzip"))),
        "a bomb": Fault(62, "body_too_large", says(ZEROS, ("content-encoding", "gzip"))),
        "too much is announced": Fault(64, "body_too_large", says(b"ok", ("content-length", "2000000"))),
        "too much": Fault(64, "body_too_large", too_much),
        "a redirect to itself": Fault(65, "redirect_loop", says(b"", ("location", "/x"), status="302")),
        "refused": Fault(0, "http2_refused", reset(ErrorCodes.REFUSED_STREAM)),
        "refused once": Fault(0, "ok", once(reset(ErrorCodes.REFUSED_STREAM))),
        "reset": Fault(0, "http2_reset", reset(ErrorCodes.INTERNAL_ERROR)),
        "reset inside the body": Fault(0, "body_truncated", reset(ErrorCodes.INTERNAL_ERROR, inside=True)),
        "calm": Fault(0, "http2_calm", reset(ErrorCodes.ENHANCE_YOUR_CALM)),
        "GOAWAY": Fault(0, "http2_refused", goaway(0)),
        "GOAWAY after a hint": Fault(0, "http2_refused", hint_and_goaway),
        "GOAWAY once": Fault(0, "ok", once(goaway(0))),
        "GOAWAY while it works on it": Fault(0, "http2_goaway", goaway(1, ErrorCodes.INTERNAL_ERROR)),
        "HTTP/1.1 is wanted": Fault(0, "ok", reset(ErrorCodes.HTTP_1_1_REQUIRED)),
        "HTTP/1.1 is wanted of all": Fault(0, "ok", goaway(0, ErrorCodes.HTTP_1_1_REQUIRED)),
        "PING without end": Fault(0, "http2_protocol", sends(frame(6, 0, 0, b"12345678") * 5_000)),
        "a push": Fault(0, "http2_protocol", sends(frame(5, 4, 1, b"\0\0\0\2\x88"))),
    }  # fmt: skip


@contextmanager
def faulty_servers() -> Iterator[dict[str, int]]:
    """The port of each of FAULTS, all served by one thread."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority().server)
    context.set_alpn_protocols(["h2", "http/1.1"])
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # what clients do to a server that misbehaves is no news
    ports: dict[str, int] = {}
    servers: list[asyncio.Server] = []

    async def listen() -> None:
        for name, fault in faults().items():
            answer = fault.answer
            server = await loop.create_server(lambda answer=answer: Talk(answer), "127.0.0.1", 0, ssl=context)
            servers.append(server)
            ports[name] = server.sockets[0].getsockname()[1]

    async def leave() -> None:
        for server in servers:
            server.close()
        await asyncio.sleep(0.01)

    loop.run_until_complete(listen())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield ports
    finally:
        asyncio.run_coroutine_threadsafe(leave(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
