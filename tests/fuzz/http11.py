"""The bytes of a server, through a connection: the same comes of them however the network cuts them.

The first byte says which method was asked with, and how the connection ends.
"""

from __future__ import annotations

from http11_fakes import FIN, RST, Exchange, FakeOwner, connected, lost

from crawler.fetch.http11.answer import SMALL_HEAD

from .tools import check_error, segmentations

OK = b"HTTP/1.1 200 OK\r\n"
GET, HEAD, RESET = b"\0", b"\1", b"\2"
SAMPLES = (
    GET + OK + b"Content-Type: text/html; charset=utf-8\r\nContent-Length: 5\r\n\r\nhello",
    GET + OK + b"Transfer-Encoding: chunked\r\nTrailer: X\r\n\r\n5;a=b\r\nhello\r\n00\r\nX: y\r\n\r\n",
    GET + b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\nHTTP/1.1 100 -\r\n\r\n" + OK + b"Connection: close\r\n\r\nhello",
    GET + b"HTTP/1.0 301 Moved\r\nLocation: /b\r\nConnection: keep-alive\r\nContent-Length: 2, 2\r\n\r\nok",
    GET + b"\r\nHTTP/1.1 200\nfolded: a\n b\n\tc\nbad line\nName : x\nX\0: y\nContent-Length: 5\n\nhello",
    GET + OK + b"Content-Length: 5\r\nTransfer-Encoding: identity, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    GET + b"HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    GET + b"HTTP/1.1 101 -\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n\x81\x00",
    GET + b'HTTP/1.1 304 -\r\nETag: "a"\r\n\r\n',
    GET + b"RTSP/1.0 200 OK\r\n\r\n",
    GET + b"HTTP/1.2 999 \xff\r\n\xff: \xfe\r\nA: \x01b\r\n\r\nx",
    HEAD + OK + b"Content-Length: 500\r\n\r\n",
    HEAD + OK + b"Transfer-Encoding: chunked\r\n\r\n",
    RESET + OK + b"Content-Length: 500\r\n\r\nhello",
    RESET + OK + b"\r\nhello",
)
TOKENS = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b"\r\n ", b":", b" ", b"\t", b"\0", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 -\r\n\r\n",
    b"HTTP/", b"1.0", b"2.0", b"101", b"204", b"304", b"600", b"099", b"Content-Length: 5\r\n", b"Content-Length: ", b"-1", b"+5",
    b"18446744073709551616", b"5, 5", b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: ", b"gzip, chunked", b"identity",
    b"Connection: close\r\n", b"Connection: keep-alive\r\n", b"Upgrade: h2c\r\n", b"0\r\n\r\n", b"5\r\nhello\r\n", b"5;x=" + b"y" * 300,
    b"ffffffffffffffff\r\n", b"\r\r\n", b"5 \r\nhello\n", b"5;a,b\r\n",
    b"0\r\nwords\r\n\r\n", b"HTTP/2 200\r\n", b"205", b"Content-Length: x\r\n", b"9" * 5000, b"\x0b", b"\x7f", b"\x80", b"A: b\r\n", b"Content-Length : 5\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    if not data:
        return
    method = "HEAD" if data[0] & 1 else "GET"
    end = RST if data[0] & 2 else FIN
    wire = data[1:]
    whole = _outcome([wire], method, end)
    for pieces in segmentations(wire, 2048):
        outcome = _outcome(pieces, method, end)
        if len(wire) > SMALL_HEAD and ("http_truncated_headers",) in (outcome, whole):
            # A larger head is looked at again when it has doubled: what is wrong with its last lines may not be seen.
            assert len(outcome) == len(whole) == 1, (outcome, whole)
        else:
            assert outcome == whole


def _outcome(segments: list[bytes], method: str, end: type[Exception]) -> tuple[object, ...]:
    """What came of it: status, version, headers, body, warnings, the error's code."""
    owner = FakeOwner()
    connection, transport = connected(owner)
    exchange = Exchange(connection, method)
    for segment in segments:
        if segment and not transport.aborted:
            connection.dataReceived(segment)
    if not transport.aborted:
        connection.connectionLost(lost(end))
    assert owner.lost == [connection], "it is gone now, and that was told once"
    assert len(owner.free) <= 1
    response = exchange.response
    error = exchange.error or (exchange.body.why if exchange.code else None)
    if exchange.code is not None:
        check_error(error)  # type: ignore[arg-type]
    if response is None:
        assert exchange.code is not None, repr(exchange.error)
        return (exchange.code,)
    assert exchange.error is None
    assert exchange.body.why is not None, "the body has come to its end"
    # Whether what follows an answer was seen with it, or only later, is for the network to decide.
    warnings = sorted(set(response.warnings) - {"extra_bytes"})
    return (response.code, response.http_version, response.fields, exchange.body.data, exchange.code, warnings)
