"""tunnel.py and socks.py: what is said to a proxy and what its answers mean, whole, byte by byte and beyond."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from http11_fakes import FakeTransport
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from crawler.errors import CodedError
from crawler.fetch.connect.proxy import ProxyFailed, parse_proxy
from crawler.fetch.connect.socks import SocksTalk
from crawler.fetch.connect.tunnel import MAX_HEAD, ConnectTalk, Talk, Tunnel

HTTP = parse_proxy("http://user:hunter2@p:1")
OPEN = parse_proxy("http://p:1")
SOCKS = parse_proxy("socks5h://user:hunter2@p:1")
PLAIN = parse_proxy("socks5://p:1")

Cut = Callable[[bytes], list[bytes]]


def whole(data: bytes) -> list[bytes]:
    return [data]


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


CUTS = pytest.mark.parametrize("cut", [whole, bytewise])


def told(talk: Talk, data: bytes, cut: Cut = whole) -> bytes:
    """What is said to an answer; it may end before the answer does."""
    said = b""
    for piece in cut(data):
        said += talk.receive(piece)
    return said


def started(talk: SocksTalk) -> SocksTalk:
    talk.start()
    return talk


# CONNECT


def test_connect_request() -> None:
    """RFC 9110 section 9.3.6: the target is host and port, also in Host; the login is there from the first."""
    assert ConnectTalk(OPEN, "a.example", 443).start() == (
        b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n"
    )
    assert ConnectTalk(HTTP, "::1", 8443).start() == (
        b"CONNECT [::1]:8443 HTTP/1.1\r\nHost: [::1]:8443\r\nProxy-Authorization: Basic dXNlcjpodW50ZXIy\r\n\r\n"
    )


@CUTS
@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 Connection established\r\n\r\n",
        b"HTTP/1.0 200\n\n",
        b"http/1.1 204 x\r\nContent-Length: 10\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\r\nHTTP/1.1 200 OK\r\nA: b\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/2 200 \r\n\r\n",
    ],
)
def test_connect_opens(answer: bytes, cut: Cut) -> None:
    """Any 2xx; what it says of a body does not count, and interim answers go by."""
    talk = ConnectTalk(OPEN, "a.example", 443)
    pieces = cut(answer)
    for number, piece in enumerate(pieces):
        assert not talk.done, number
        assert talk.receive(piece) == b""
    assert talk.done
    assert talk.rest == b""


@CUTS
@pytest.mark.parametrize(
    ("answer", "code", "blame", "words"),
    [
        (b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=x\r\n\r\n", "proxy_auth", "proxy", "does not accept"),
        (b"HTTP/1.1 407 No\r\nProxy-Authenticate: Digest a=b, c=d\r\n\r\n", "proxy_auth", "proxy", "it wants Digest"),
        (
            b"HTTP/1.1 407 No\r\nProxy-Authenticate: NTLM\r\nproxy-authenticate: Negotiate\r\n\r\n",
            "proxy_auth",
            "proxy",
            "it wants Negotiate or Ntlm, and only Basic",
        ),
        (b"HTTP/1.1 407 \r\n\r\n", "proxy_auth", "proxy", "does not accept"),
        (b"HTTP/1.1 403 Filtered\r\n\r\n", "proxy_refused", "nobody", "answers 403 Filtered to CONNECT a.example:443"),
        (b"HTTP/1.1 404 \r\n\r\n", "proxy_refused", "nobody", "404"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://login/\r\n\r\n", "proxy_refused", "nobody", "302 Found"),
        (b"HTTP/1.1 429 Slow down\r\n\r\n", "proxy_refused", "proxy", "429"),
        (b"HTTP/1.1 500 Unable to connect\r\n\r\n", "proxy_connect", "either", "500 Unable to connect"),
        (b"HTTP/1.1 502 Bad\xff\x1b\r\n\r\n", "proxy_connect", "either", "502 Bad"),
        (b"HTTP/1.1 503 \r\n\r\n", "proxy_connect", "either", "503"),
        (b"HTTP/1.1 101 x\r\n\r\n" * 4_000, "proxy_protocol", "proxy", "more than 64 KiB"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "proxy_protocol", "proxy", "begins with"),
        (b"HTTP/1.1 OK\r\n\r\n", "proxy_protocol", "proxy", "begins with"),
        (b"SSH-2.0-OpenSSH\r\n", "proxy_protocol", "proxy", "begins with b'S"),
        (b"\x05\x00", "proxy_protocol", "proxy", "begins with"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"a" * MAX_HEAD, "proxy_protocol", "proxy", "more than 64 KiB"),
    ],
)
def test_connect_fails(answer: bytes, code: str, blame: str, words: str, cut: Cut) -> None:
    """Each answer has its code and words; the body that may follow is nobody's page."""
    talk = ConnectTalk(HTTP, "a.example", 443)
    with pytest.raises(ProxyFailed) as caught:
        told(talk, answer, cut)
    assert (caught.value.code, caught.value.blame) == (code, blame)
    assert words in caught.value.message
    assert caught.value.message.startswith("http://p:1: ")
    assert "hunter2" not in str(caught.value)


def test_connect_wants_a_login() -> None:
    with pytest.raises(ProxyFailed, match=r"wants a user and a password \(http://USER:PASSWORD@\.\.\.\)"):
        told(ConnectTalk(OPEN, "a.example", 443), b"HTTP/1.1 407 x\r\nProxy-Authenticate: Basic\r\n\r\n")


# SOCKS

REPLY = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38"
REPLIES = [REPLY, b"\x05\x00\x00\x03\x03abc\x00\x50", b"\x05\x00\x00\x04" + bytes(16) + b"\x00\x50"]


@CUTS
@pytest.mark.parametrize("reply", REPLIES)
def test_socks(cut: Cut, reply: bytes) -> None:
    """RFC 1928: methods, login (RFC 1929), target; the address in the reply may be of any kind."""
    talk = SocksTalk(SOCKS, "a.example", 443)
    assert talk.start() == b"\x05\x02\x00\x02"
    assert told(talk, b"\x05\x02", cut) == b"\x01\x04user\x07hunter2"
    assert told(talk, b"\x01\x00", cut) == b"\x05\x01\x00\x03\x09a.example\x01\xbb"
    assert told(talk, reply[:-1], cut) == b""
    assert not talk.done
    assert told(talk, reply[-1:], cut) == b""
    assert talk.done
    assert talk.rest == b""


@pytest.mark.parametrize(
    ("host", "address"),
    [("192.0.2.1", b"\x01\xc0\x00\x02\x01"), ("2001:db8::1", b"\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01")],
)
def test_socks_addresses(host: str, address: bytes) -> None:
    """An address is told as one. Without a login none is offered."""
    talk = SocksTalk(PLAIN, host, 80)
    assert talk.start() == b"\x05\x01\x00"
    assert told(talk, b"\x05\x00") == b"\x05\x01\x00" + address + b"\x00\x50"


def test_socks_all_at_once() -> None:
    """A proxy that answers before it is asked is answered all the same."""
    talk = started(SocksTalk(SOCKS, "a.example", 443))
    assert told(talk, b"\x05\x02\x01\x00" + REPLY + b"more").endswith(b"a.example\x01\xbb")
    assert talk.done
    assert talk.rest == b"more"


@CUTS
@pytest.mark.parametrize(
    ("answers", "code", "words"),
    [
        (b"\x05\xff", "proxy_auth", "does not take a user and a password"),
        (b"\x05\x01", "proxy_protocol", "not offered"),
        (b"\x05\x77", "proxy_protocol", "malformed"),
        (b"\x04\x5a", "proxy_protocol", "begins with"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "proxy_protocol", "begins with b'H"),
        (b"\x05\x02\x01\x01", "proxy_auth", "does not accept this user and password"),
        (b"\x05\x02\x05\x00", "proxy_protocol", "begins with"),
        (b"\x05\x00\x05\x01\x00\x01" + bytes(6), "proxy_connect", "general failure"),
        (b"\x05\x00\x05\x02\x00\x01" + bytes(6), "proxy_refused", "rules do not allow"),
        (b"\x05\x00\x05\x03\x00\x01" + bytes(6), "connect_unreachable", "network is unreachable"),
        (b"\x05\x00\x05\x04\x00\x01" + bytes(6), "connect_unreachable", "host is unreachable"),
        (b"\x05\x00\x05\x05\x00\x01" + bytes(6), "connect_refused", "a.example:443: the connection was refused"),
        (b"\x05\x00\x05\x06\x00\x01" + bytes(6), "connect_timeout", "expired"),
        (b"\x05\x00\x05\x07\x00\x01" + bytes(6), "proxy_protocol", "CONNECT"),
        (b"\x05\x00\x05\x08\x00\x01" + bytes(6), "proxy_protocol", "kind of address"),
        (b"\x05\x00\x05\x63\x00\x01" + bytes(6), "proxy_protocol", "unknown reply 99"),
        (b"\x05\x00\x05\x05", "connect_refused", "refused"),  # no more than that comes from some
        (b"\x05\x00\x05\x00\x00\x07" + bytes(6), "proxy_protocol", "the kind 7"),
        (b"\x05\x00\x00\x00\x00\x01" + bytes(6), "proxy_protocol", "begins with"),
        (b"\x05\x00\x05\x00\x00\x03\x02\xff\xff\x00\x00", "proxy_protocol", "malformed"),
    ],
)
def test_socks_fails(answers: bytes, code: str, words: str, cut: Cut) -> None:
    """Each reply has its code and words: what it says of the server is a code of the server."""
    talk = started(SocksTalk(SOCKS, "a.example", 443))
    with pytest.raises(CodedError) as caught:
        told(talk, answers, cut)
    assert caught.value.code == code
    assert words in caught.value.message
    assert "hunter2" not in str(caught.value)


def test_socks_wants_a_login() -> None:
    with pytest.raises(ProxyFailed, match=r"wants more \(socks5://USER:PASSWORD@\.\.\.\)"):
        told(started(SocksTalk(PLAIN, "192.0.2.1", 443)), b"\x05\xff")


# Anything


PIECES = [
    b"HTTP/1.1 ", b"200 OK", b"407 x", b"502", b"100", b"\r\n", b"\n", b"\r", b"Proxy-Authenticate:", b" Basic", b"\x05",
    b"\x05\x00", b"\x05\x02", b"\x01\x00", b"\x00", b"\x00\x01", b"\x00\x03", b"\x00\x04", b"\xff", b"\x7f\x00\x00\x01",
]  # fmt: skip
ANYTHING = st.lists(st.sampled_from(PIECES) | st.binary(max_size=20), max_size=12)


@settings(max_examples=200)
@given(ANYTHING, st.sampled_from(["http", "socks5h"]))
def test_anything(pieces: list[bytes], scheme: str) -> None:
    """Whatever comes, it opens, waits or fails with a code of its own; and it does not matter how it was cut."""

    def outcome(cut: Cut) -> tuple[object, ...]:
        proxy = parse_proxy(f"{scheme}://user:hunter2@p:1")
        talk: Talk = (ConnectTalk if scheme == "http" else SocksTalk)(proxy, "a.example", 443)
        talk.start()
        try:
            for piece in cut(b"".join(pieces)):
                if talk.done:
                    break
                talk.receive(piece)
        except CodedError as error:
            return (error.code,)
        return (talk.done,)

    assert outcome(whole) == outcome(bytewise)


# The layer


class Above(Protocol):
    """Notes what it hears."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def connectionMade(self) -> None:
        self.heard.append("made")

    def dataReceived(self, data: bytes) -> None:
        self.heard.append(data)

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]
        self.heard.append(type(reason.value))


def tunnel() -> tuple[Tunnel, Above, FakeTransport]:
    above, transport = Above(), FakeTransport()
    layer = Tunnel(above, ConnectTalk(OPEN, "a.example", 443), OPEN)
    layer.makeConnection(transport)  # type: ignore[arg-type]
    return layer, above, transport


def test_it_steps_aside() -> None:
    """Once open, all goes through: bytes, the end; what is above writes to the transport itself."""
    layer, above, transport = tunnel()
    assert bytes(transport.written).startswith(b"CONNECT a.example:443 ")
    assert above.heard == []
    layer.dataReceived(b"HTTP/1.1 200 OK\r\n\r\n")
    assert above.transport is transport
    layer.dataReceived(b"x")
    layer.connectionLost(Failure(ConnectionDone()))
    assert above.heard == ["made", b"x", ConnectionDone]


@pytest.mark.parametrize("extra", [b"x", b"<html>", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_bytes_behind_the_consent(extra: bytes) -> None:
    """They are not the server's, which was not asked yet: nobody above hears of them, and the socket is closed."""
    layer, above, transport = tunnel()
    errors: list[Failure] = []
    layer.ready.addErrback(errors.append)
    layer.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n" + extra)
    layer.dataReceived(b"more")
    assert [error.value.code for error in errors] == ["proxy_protocol"]  # type: ignore[attr-defined]
    assert above.heard == []
    assert transport.aborted


@pytest.mark.parametrize("before", [b"", b"HTTP/1.1 20"])
def test_closed_before_it_was_open(before: bytes) -> None:
    layer, above, _ = tunnel()
    errors: list[Failure] = []
    layer.ready.addErrback(errors.append)
    if before:
        layer.dataReceived(before)
    layer.connectionLost(Failure(ConnectionDone()))
    assert [error.value.code for error in errors] == ["proxy_connect"]  # type: ignore[attr-defined]
    assert above.heard == []


def test_given_up() -> None:
    """Cancelling closes the socket, and nobody above hears of anything."""
    layer, above, transport = tunnel()
    layer.ready.addErrback(lambda _: None)
    layer.ready.cancel()
    assert transport.aborted
    layer.dataReceived(b"HTTP/1.1 200 OK\r\n\r\n")
    layer.connectionLost(Failure(ConnectionDone()))
    assert above.heard == []
