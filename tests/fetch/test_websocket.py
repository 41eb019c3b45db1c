"""ws and wss URLs: the handshake, the messages and the end, over the real engine on a network in memory, under a Clock."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from memory_net import NEVER, Client, Network, Wire, advance_to, request, run
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from websocket_tools import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Peer,
    close_frame,
    frame,
    serve,
    serve_bytes,
    switching,
    talking,
)
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage
from wsproto.frame_protocol import CloseReason

from crawler.fetch.http11.websocket import CLOSE_SECONDS, FRAMES, MAX_SMALL_FRAMES
from crawler.fetch.limits import Limits
from crawler.models import Request, Response, record_of

URL = "ws://a.example/feed?x=1"


@pytest.fixture
def network():
    return Network(Clock())


def start(client: Client, url: str = URL, **fields: object) -> Deferred[Response]:
    return client.fetcher.fetch(request(url, **fields))


def fetch(network: Network, url: str = URL, *, messages: int = 1, seconds: float = 10.0, **options: object) -> Response:
    """Fetch one URL, and see that nothing is left behind."""
    client = Client(network, ws_messages=messages, ws_timeout=seconds, **options)
    response: Response = run(network.clock, start(client, url))
    client.assert_quiet()
    return response


def code(response: Response) -> str | None:
    return None if response.error is None else response.error.code


def said(response: Response) -> list[object]:
    return response.data["messages"]


def answering(*frames: bytes, headers: tuple[bytes, ...] = ()) -> Callable[[bytes], bytes]:
    """Switch, and send these in the same segment."""
    return lambda asked: switching(asked, *headers) + b"".join(frames)


class TestTheRecord:
    def test_one_message(self, network):
        """The first message is the body and stands in the data; the handshake's answer has the status and the headers."""
        serve(network, talking("grüße", "more"))
        got = fetch(network)
        assert (code(got), got.status, got.http_version, got.body) == (None, 101, "1.1", "grüße".encode())
        assert got.data == {"messages": ["grüße"], "subprotocol": None, "close_code": 1000, "close_reason": ""}
        assert [value.lower() for value in got.headers["upgrade"]] == ["websocket"]
        assert (got.size_download, got.truncated, got.warnings, got.reused) == (7, False, [], False)

    def test_the_wire_form(self, network):
        """The record keeps its keys: data has what was said, the body is there for whoever asks for it."""
        serve(network, talking("one", "two"))
        asked = request(URL)
        client = Client(network, ws_messages=2)
        record = record_of(asked, run(network.clock, client.fetcher.fetch(asked)), 0.0, wire_body=True)
        assert (record.outcome, record.status, record.method) == ("ok", 101, "GET")
        assert (record.wire_body, record.text, record.size_body, record.size_download) == ("one\ntwo", "one\ntwo", 7, 6)
        assert record.data["messages"] == ["one", "two"]

    def test_binary_messages(self, network):
        """A binary message is base64 in the data, and itself in the body."""

        def begin(peer: Peer) -> None:
            peer.accept()
            peer.say(BytesMessage(b"\xff\x00"))
            peer.say(TextMessage(""))

        serve(network, begin)
        got = fetch(network, messages=2)
        assert said(got) == [{"base64": "/wA="}, ""]
        assert (got.body, got.size_download) == (b"\xff\x00\n", 2)

    def test_the_phases_are_timed(self, network):
        """As for any URL; the first byte is that of the handshake's answer, and the goodbye is a part of the whole."""

        def begin(peer: Peer) -> None:
            peer.wire._later(0.5, peer.accept)
            peer.say(TextMessage("late"), 2.5)

        serve(network, begin, dns=0.25, connect=0.5)
        timings = fetch(network).timings
        assert (timings.namelookup, timings.connect, timings.appconnect) == (0.25, 0.75, None)
        assert (timings.starttransfer, timings.total) == (1.25, 3.25)

    def test_fragments(self, network):
        """A message may come in pieces, with control frames in between: it is one."""
        pieces = frame(TEXT, b"he", fin=False) + frame(PING, b"x") + frame(0, "llö".encode(), fin=True)
        serve_bytes(network, answering(pieces, close_frame()))
        assert said(fetch(network)) == ["hellö"]

    @pytest.mark.parametrize("step", [1, 2, 7, 50, 10_000])
    def test_segments_make_no_difference(self, network, step):
        """The same comes of the bytes however the network cuts them, with frames right behind the head or not."""
        frames = frame(TEXT, "é".encode()) + frame(BINARY, b"\x00" * 300) + frame(PONG) + close_frame(4001, "bye")

        def raw(wire: Wire, data: bytes) -> None:
            if data.startswith(b"GET"):
                answer = b"HTTP/1.1 103 Early\r\nLink: </a>\r\n\r\n" + switching(data) + frames
                for at in range(0, len(answer), step):
                    wire.send(answer[at : at + step])
            else:
                wire.close()

        network.serve(raw=raw)
        got = fetch(network, messages=3)
        assert (code(got), got.status, len(said(got)), got.data["close_code"]) == (None, 101, 2, 4001)
        assert (got.data["close_reason"], got.size_download, len(got.body)) == ("bye", 302, 303)
        assert "link" not in got.headers


class TestTheHandshake:
    def test_the_request(self, network):
        """A GET with the headers of any request to this URL, and those that ask to switch; no extension is offered."""
        peers = serve(network, talking("x"))
        headers = [("X-A", "1"), ("Sec-WebSocket-Extensions", "permessage-deflate"), ("Sec-WebSocket-Key", "mine")]
        fetch(network, "ws://u:p%40@a.example/feed?x=1", headers=headers)
        asked = peers[0].request
        assert (asked.host, asked.target, asked.extensions, asked.subprotocols) == ("a.example", "/feed?x=1", [], [])
        sent = {name.decode(): value.decode() for name, value in asked.extra_headers}
        assert (sent["user-agent"], sent["x-a"], sent["authorization"]) == ("test/1", "1", "Basic dTpwQA==")
        assert (sent["upgrade"], sent["connection"], sent["sec-websocket-version"]) == ("websocket", "Upgrade", "13")
        assert len(sent["sec-websocket-key"]) == 24

    def test_each_handshake_has_its_own_key(self, network):
        """Section 4.1: the nonce is chosen at random for each connection."""
        peers = serve(network, talking("x"))
        fetch(network)
        fetch(network)
        assert len({dict(peer.request.extra_headers)[b"sec-websocket-key"] for peer in peers}) == 2

    def test_head_is_no_method_of_it(self, network):
        """A handshake is a GET, also when the request says otherwise."""
        peers = serve(network, talking("x"))
        client = Client(network)
        got = run(network.clock, start(client, method="HEAD"))
        assert (code(got), said(got), len(peers)) == (None, ["x"], 1)

    @pytest.mark.parametrize(("chosen", "expected"), [("b", "b"), (None, None)])
    def test_subprotocols(self, network, chosen, expected):
        """Those of the user's header are offered; what the server chose is in the data. It may choose none."""
        peers = serve(network, lambda peer: (peer.accept(chosen), peer.say(TextMessage("x"))))
        got = fetch(network, headers=[("Sec-WebSocket-Protocol", "a, b")])
        assert peers[0].request.subprotocols == ["a", "b"]
        assert got.data["subprotocol"] == expected

    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (lambda asked: switching(asked + b"\r\nSec-WebSocket-Key: other\r\n").replace(b"Accept: ", b"Accept: x"), "Accept"),
            (lambda asked: switching(asked).replace(b"Sec-WebSocket-Accept", b"X"), "Accept"),
            (lambda asked: switching(asked, b"Sec-WebSocket-Accept: x"), "Accept"),
            (lambda asked: switching(asked).replace(b"Upgrade: websocket", b"Upgrade: h2c"), "something else"),
            (lambda asked: switching(asked).replace(b"Upgrade: websocket\r\n", b""), "something else"),
            (lambda asked: switching(asked).replace(b"Connection: Upgrade", b"Connection: close"), "something else"),
            (lambda asked: switching(asked, b"Sec-WebSocket-Protocol: c"), "subprotocol"),
            (lambda asked: switching(asked, b"Sec-WebSocket-Protocol: a", b"Sec-WebSocket-Protocol: b"), "subprotocol"),
            (lambda asked: switching(asked, b"Sec-WebSocket-Extensions: permessage-deflate"), "extension"),
            (lambda asked: switching(asked, b"Content-Length: 2"), "body"),
            (lambda asked: switching(asked, b"Transfer-Encoding: chunked"), "body"),
            (lambda asked: switching(asked).replace(b"HTTP/1.1", b"HTTP/1.0"), "HTTP/1.0"),
        ],
    )  # fmt: skip
    def test_an_answer_that_does_not_agree(self, network, answer, words):
        """Section 4.1: a 101 to something that was not asked for is no handshake; nothing after it is believed."""
        serve_bytes(network, lambda asked: answer(asked) + frame(TEXT, b"evil"))
        got = fetch(network, headers=[("Sec-WebSocket-Protocol", "a, b")])
        assert (code(got), got.error.phase, got.error.transient) == ("ws_protocol", "headers", False)
        assert words in got.error.message
        assert (got.status, got.body, got.data) == (None, b"", None)

    def test_names_and_tokens_in_any_case(self, network):
        """Header names, the token websocket and Connection's tokens know no case; Connection may list more."""

        def answer(asked: bytes) -> bytes:
            plain = switching(asked).replace(b"Upgrade: websocket", b"UPGRADE:WebSocket ")
            return plain.replace(b"Connection: Upgrade", b"connection: keep-alive, UPGRADE") + frame(TEXT, b"x")

        serve_bytes(network, answer)
        assert said(fetch(network)) == ["x"]

    @pytest.mark.parametrize("line", [b"no colon here", b"X : y", b"\0: y"])
    def test_a_head_that_would_have_to_be_mended(self, network, line):
        """Answers of HTTP are read tolerantly; who switches protocols has to say so in good HTTP."""
        serve_bytes(network, answering(frame(TEXT, b"x"), headers=(line,)))
        got = fetch(network)
        assert (code(got), got.data) == ("ws_protocol", None)
        network.serve(script=lambda wire, _: wire.answer(b"no", line.decode(), status=403))
        got = fetch(network)
        assert (code(got), got.status, got.warnings) == (None, 403, ["bad_header"])

    def test_an_answer_of_http(self, network):
        """Any other status is an answer as to any request, with its body; it is no failure."""
        network.serve(script=lambda wire, _: wire.answer(b"log in", "WWW-Authenticate: Basic", status=401))
        got = fetch(network)
        assert (code(got), got.status, got.body, got.data) == (None, 401, b"log in", None)
        assert got.headers["www-authenticate"] == ["Basic"]

    def test_an_answer_of_http_in_chunks(self, network):
        """The engine reads it, so codings and chunks are no matter."""
        network.serve(
            script=lambda wire, _: wire.send(
                b"HTTP/1.1 503 -\r\nTransfer-Encoding: chunked\r\nRetry-After: 5\r\n\r\n3\r\nno!\r\n0\r\n\r\n"
            )
        )
        got = fetch(network)
        assert (code(got), got.status, got.body) == (None, 503, b"no!")

    def test_the_connection_after_an_answer_of_http(self, network):
        """It still speaks HTTP, so the next handshake may use it; one that has switched is never used again."""
        answers = iter([lambda wire: wire.answer(b"", status=503), lambda wire: wire.answer(b"", status=200)])
        network.serve(script=lambda wire, _: next(answers)(wire))
        client = Client(network)
        first = run(network.clock, start(client))
        second = run(network.clock, start(client))
        assert (first.status, first.reused, second.status, second.reused) == (503, False, 200, True)
        client.assert_quiet()

    def test_a_coding_is_not_of_the_messages(self, network):
        """Content-Encoding is about a body of HTTP: a 101 has none."""
        serve_bytes(network, answering(frame(TEXT, b"x"), headers=(b"Content-Encoding: gzip",)))
        assert said(fetch(network)) == ["x"]

    def test_http_is_not_switched(self, network):
        """A 101 to a request that did not ask for it is still an error."""
        network.serve(
            script=lambda wire, _: wire.send(b"HTTP/1.1 101 -\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
        )
        assert code(fetch(network, "http://a.example/")) == "http_protocol"

    def test_without_wsproto(self, network, monkeypatch):
        """The package is an extra: without it the URL fails with a sentence that names it, before anything is asked."""
        monkeypatch.setitem(sys.modules, "wsproto", None)
        peers = serve(network, talking("x"))
        got = fetch(network)
        assert code(got) == "scheme_unsupported"
        assert "pip install 'everyurl[websocket]'" in got.error.message
        assert peers == []


class TestTheEnd:
    def test_we_say_goodbye(self, network):
        """With the last message wanted we close with 1000, and hear the server's answer."""
        peers = serve(network, talking("x"))
        fetch(network)
        goodbye = peers[0].goodbye
        assert goodbye is not None
        assert goodbye.code == CloseReason.NORMAL_CLOSURE

    def test_a_server_that_does_not_answer_it(self, network):
        """The goodbye is waited for a moment, then the socket is closed; what was heard counts."""

        def begin(peer: Peer) -> None:
            peer.polite = False
            talking("x")(peer)

        serve(network, begin)
        got = fetch(network)
        assert (code(got), said(got), got.data["close_code"]) == (None, ["x"], None)
        assert got.timings.total == CLOSE_SECONDS

    @pytest.mark.parametrize("act", ["close", "reset"])
    def test_a_server_that_hangs_up_instead(self, network, act):
        """After our goodbye a closed connection is no error any more."""

        def begin(peer: Peer) -> None:
            peer.polite = False
            talking("x")(peer)
            getattr(peer.wire, act)(0.5)

        serve(network, begin)
        got = fetch(network)
        assert (code(got), said(got), got.timings.total) == (None, ["x"], 0.5)

    @pytest.mark.parametrize("rest", [frame(TEXT, b"y"), b"\xff\xff", frame(PING, b"p")])
    def test_what_comes_after_enough(self, network, rest):
        """More messages are not taken, and what makes no sense any more costs nothing."""
        serve_bytes(network, answering(frame(TEXT, b"x"), rest))
        got = fetch(network)
        assert (code(got), said(got), got.body) == (None, ["x"], b"x")

    def test_a_server_that_talks_on(self, network):
        """What nobody wants any more is not read for long."""
        serve_bytes(network, answering(frame(TEXT, b"x"), frame(TEXT) * (MAX_SMALL_FRAMES + 1)))
        got = fetch(network)
        assert (code(got), said(got), got.timings.total) == (None, ["x"], 0.0)

    def test_no_message_is_wanted(self, network):
        """With 0 the handshake is all: goodbye at once."""
        serve(network, talking())
        got = fetch(network, messages=0)
        assert (code(got), got.status, said(got), got.timings.total) == (None, 101, [], 0.0)

    def test_the_time_is_over(self, network):
        """So many seconds after the handshake what has come is the record, be it nothing; that is no error."""

        def begin(peer: Peer) -> None:
            peer.wire._later(2.0, peer.accept)
            peer.say(TextMessage("x"), 5.0)

        serve(network, begin)
        got = fetch(network, messages=5, seconds=4.0)
        assert (code(got), said(got), got.timings.total) == (None, ["x"], 6.0)

    def test_half_a_message_when_the_time_is_over(self, network):
        """The data has whole messages; what came of the last one stays in the body."""
        serve_bytes(network, answering(frame(TEXT, b"one"), frame(TEXT, b"tw", fin=False)))
        got = fetch(network, messages=2, seconds=1.0)
        assert (code(got), said(got), got.body) == (None, ["one"], b"one\ntw")

    def test_the_server_closes(self, network):
        """Its code and its reason are in the data; it gets our answer, and may close the connection first."""

        def begin(peer: Peer) -> None:
            talking("x")(peer)
            peer.say(CloseConnection(1001, "away"), 1.0)

        peers = serve(network, begin)
        got = fetch(network, messages=5)
        assert (code(got), said(got)) == (None, ["x"])
        assert (got.data["close_code"], got.data["close_reason"], got.timings.total) == (1001, "away", 1.0)
        assert peers[0].goodbye is not None

    def test_the_server_closes_and_stays(self, network):
        """Who closes and then keeps the connection open does not keep us."""
        serve_bytes(network, answering(close_frame(), frame(TEXT, b"x")))
        got = fetch(network)
        assert (code(got), said(got), got.data["close_code"], got.timings.total) == (None, [], 1000, CLOSE_SECONDS)

    def test_a_close_without_a_code(self, network):
        """Section 7.1.5: that counts as 1005."""
        serve_bytes(network, answering(frame(CLOSE)))
        assert fetch(network).data["close_code"] == 1005

    @pytest.mark.parametrize("act", ["close", "reset"])
    def test_a_connection_that_is_lost(self, network, act):
        """Without a closing handshake nobody knows what is missing: a body that was cut, to be tried again."""

        def begin(peer: Peer) -> None:
            talking("x")(peer)
            getattr(peer.wire, act)(1.0)

        serve(network, begin)
        got = fetch(network, messages=2)
        assert (code(got), got.error.transient, got.truncated) == ("body_truncated", True, True)
        assert (said(got), got.body, got.data["close_code"]) == (["x"], b"x", None)

    @pytest.mark.parametrize("act", ["close", "reset"])
    def test_a_connection_that_is_lost_while_frames_wait(self, network, act):
        """The same if its end comes while what came before it is still being read, in turns."""

        def raw(wire: Wire, data: bytes) -> None:
            wire.send(switching(data) + frame(TEXT, b"x") * (3 * FRAMES))
            getattr(wire, act)()

        network.serve(raw=raw)
        got = fetch(network, messages=10 * FRAMES)
        assert (code(got), got.truncated, len(said(got))) == ("body_truncated", True, 3 * FRAMES)

    def test_enough_came_before_it_was_lost(self, network):
        """What was asked for is there: how the rest of the connection ended is no error, also while frames wait."""

        def raw(wire: Wire, data: bytes) -> None:
            if data.startswith(b"GET"):
                wire.send(switching(data) + frame(TEXT, b"x") * (3 * FRAMES))
                wire.reset()

        network.serve(raw=raw)
        got = fetch(network, messages=2 * FRAMES)
        assert (code(got), got.truncated, len(said(got))) == (None, False, 2 * FRAMES)

    def test_pings_are_answered(self, network):
        """With a Pong of the same payload, at once."""

        def begin(peer: Peer) -> None:
            peer.accept()
            peer.say(Ping(b"still there?"), 1.0)
            peer.say(TextMessage("x"), 2.0)

        peers = serve(network, begin)
        fetch(network)
        assert (1.0, Pong(b"still there?")) in peers[0].heard


class TestFaults:
    @pytest.mark.parametrize(
        ("wrong", "words"),
        [
            (frame(TEXT, b"x", masked=True), "masked"),
            (frame(TEXT, b"\xff"), "utf-8"),
            (frame(TEXT, b"\xc3", fin=False) + frame(0, b"("), "utf-8"),
            (frame(0x3, b"x"), "opcode"),
            (frame(0xB, b"x"), "opcode"),
            (frame(TEXT, b"x", reserved=4), "Reserved"),
            (frame(0, b"x"), "CONTINUATION"),
            (frame(TEXT, b"x", fin=False) + frame(TEXT, b"y"), "CONTINUATION"),
            (frame(PING, b"x" * 126), "125"),
            (frame(PING, b"x", fin=False), "fragment"),
            (close_frame(999), "CLOSE"),
            (close_frame(1005), "CLOSE"),
            (frame(CLOSE, b"x"), "CLOSE"),
            (frame(CLOSE, b"\x03\xe8\xff"), "CLOSE"),
            (b"\x81\x7e\x00\x01x", "length"),
            (b"\x81\x7f\xff\xff\xff\xff\xff\xff\xff\xff", "length"),
            (b"HTTP/1.1 200 OK\r\n\r\n", ""),
        ],
    )
    @pytest.mark.parametrize("at_once", [True, False])
    def test_frames_that_are_wrong(self, network, wrong, words, at_once):
        """What breaks the protocol ends it at once, with a code of its own; messages from before are kept."""
        good = frame(TEXT, b"good")

        def raw(wire: Wire, data: bytes) -> None:
            for number, piece in enumerate(
                [switching(data) + good + wrong] if at_once else [switching(data), good, wrong]
            ):
                wire.send(piece, float(number))

        network.serve(raw=raw)
        got = fetch(network, messages=2)
        assert (code(got), got.error.phase, got.error.transient) == ("ws_protocol", "body", False)
        assert words.lower() in got.error.message.lower()
        assert (got.status, got.truncated, said(got)) == (101, True, ["good"])
        assert got.body.startswith(b"good")

    @pytest.mark.parametrize("small", [frame(PING), frame(PONG), frame(0, b"", fin=False), frame(0, b"xy", fin=False)])
    def test_a_flood_of_small_frames(self, network, small):
        """Frames that hold next to nothing take time and no room: there is a limit to them."""
        flood = small * (MAX_SMALL_FRAMES + 1)
        serve_bytes(network, answering(frame(TEXT, b"a", fin=False), flood))
        assert code(fetch(network)) == "ws_protocol"

    def test_many_small_messages_are_fine(self, network):
        """Messages are counted by whoever wants them, however small they are."""
        number = MAX_SMALL_FRAMES * 2
        serve_bytes(network, answering(frame(TEXT, b"a") * number))
        assert said(fetch(network, messages=number)) == ["a"] * number

    def test_fragments_of_a_fair_size_are_fine(self, network):
        """A long message may come in thousands of pieces, however the network cuts those."""
        number = MAX_SMALL_FRAMES * 2
        body = frame(TEXT, b"", fin=False) + frame(0, b"x" * 64, fin=False) * number + frame(0)

        def raw(wire: Wire, data: bytes) -> None:
            if data.startswith(b"GET"):
                answer = switching(data) + body
                for at in range(0, len(answer), 65):
                    wire.send(answer[at : at + 65])

        network.serve(raw=raw)
        assert said(fetch(network)) == ["x" * 64 * number]

    @pytest.mark.parametrize("size", [64, 100, 1000])
    @pytest.mark.parametrize("opcode", [0, PING])
    def test_frames_in_turns(self, network, size, opcode):
        """Whatever is in them, only some frames of a segment are read at once, and the server waits until all are."""
        number = 10 * FRAMES
        some = frame(opcode, b"x" * min(size, 125), fin=opcode != 0)
        serve_bytes(network, answering(frame(TEXT, b"", fin=False), some * number, frame(0)))
        client = Client(network)
        turns: list[int] = []
        take = client.pool.take_turns

        def taken(work):
            def counted():
                for step in work:
                    turns.append(len(turns))
                    yield step

            take(counted())

        client.pool.take_turns = taken
        got = run(network.clock, start(client))
        assert (code(got), len(got.body)) == (None, 0 if opcode else number * min(size, 125))
        assert len(turns) >= number // FRAMES
        client.assert_quiet()

    @pytest.mark.parametrize("cut", [False, True])
    def test_messages_that_are_too_large(self, network, cut):
        """max_size bytes of messages are had, as of any body; a message that does not fit is not in the data."""
        large = frame(TEXT, b"b" * 300) if not cut else frame(TEXT, b"b" * 300, fin=False) + frame(0, b"b" * 300)
        serve_bytes(network, answering(frame(TEXT, b"a" * 90), large))
        got = fetch(network, messages=5, limits=Limits(max_size=100))
        assert (code(got), got.truncated, said(got)) == ("body_too_large", True, ["a" * 90])
        assert got.body == b"a" * 90 + b"\n" + b"b" * 10

    def test_messages_of_just_that_size(self, network):
        """Neither what frames them nor what joins them counts."""
        serve_bytes(network, answering(frame(TEXT, b"a" * 90), frame(TEXT, b"b" * 10)))
        got = fetch(network, messages=2, limits=Limits(max_size=100))
        assert (code(got), got.size_download, len(got.body)) == (None, 100, 101)


class TestDeadlines:
    LIMITS = Limits(dns=5, connect=10, headers=20, idle=3, total=60)

    def seconds(self, network: Network, response: Response) -> tuple[str | None, float]:
        return code(response), round(response.timings.total or 0.0)

    def test_each_phase_has_its_own(self, network):
        """Looking up, connecting and the handshake have the limits of any fetch."""
        serve(network, talking("x"), "slow.example", dns=NEVER)
        assert self.seconds(network, fetch(network, "ws://slow.example/", limits=self.LIMITS)) == ("dns_timeout", 5)
        serve(network, talking("x"), "b.example", connect=NEVER)
        assert self.seconds(network, fetch(network, "ws://b.example/", limits=self.LIMITS)) == ("connect_timeout", 10)
        serve(network, lambda _: None)
        assert self.seconds(network, fetch(network, limits=self.LIMITS)) == ("timeout_headers", 20)

    def test_silence_is_no_error(self, network):
        """Between messages neither the idle limit nor the least rate holds: --ws-timeout does."""
        serve(network, lambda peer: (peer.accept(), peer.say(TextMessage("x"), 50.0)))
        got = fetch(network, limits=self.LIMITS, seconds=55.0)
        assert (code(got), said(got)) == (None, ["x"])

    def test_the_whole_has_one(self, network):
        """The time for a fetch as a whole holds all the same; what had come is kept."""
        serve(network, talking("x"))
        got = fetch(network, messages=2, limits=self.LIMITS, seconds=1000.0)
        assert self.seconds(network, got) == ("timeout_total", 60)
        assert (said(got), got.truncated) == (["x"], True)

    def test_a_goodbye_beyond_it(self, network):
        """Who has all messages in time does not fail because the server is slow to say goodbye."""

        def begin(peer: Peer) -> None:
            peer.polite = False
            peer.accept()
            peer.say(TextMessage("x"), 59.9)

        serve(network, begin)
        got = fetch(network, limits=self.LIMITS, seconds=100.0)
        assert (code(got), said(got), got.timings.total) == (None, ["x"], 59.9 + CLOSE_SECONDS)


class TestStalls:
    def test_the_reactor_is_held_while_messages_come(self, network):
        """The time for them is that in which they could be heard; so is the moment for the server's goodbye."""

        def begin(peer: Peer) -> None:
            peer.accept()
            peer.say(TextMessage("x"), 9.0)
            peer.say(TextMessage("y"), 45.0)

        serve(network, begin)
        clock = network.clock
        got: list[Response] = []
        start(Client(network, ws_messages=5, ws_timeout=10.0)).addCallback(got.append)
        for until, seconds in ((2.0, 30.0), (39.9, 30.0)):
            advance_to(clock, until)
            clock.rightNow += seconds
            clock.advance(0)
        advance_to(clock, 1e4)
        assert (code(got[0]), said(got[0]), got[0].data["close_code"]) == (None, ["x", "y"], 1000)
        assert got[0].timings.total == pytest.approx(70.0, abs=0.5)


class TestGivingUp:
    @pytest.mark.parametrize("when", [0.1, 0.4, 0.8, 1.5, 2.5])
    def test_cancelling_closes_the_socket(self, network, when):
        """In every phase: looking up, connecting, the handshake, the messages, the goodbye."""

        def begin(peer: Peer) -> None:
            peer.polite = False
            peer.wire._later(0.5, peer.accept)
            peer.say(TextMessage("x"), 1.25)

        serve(network, begin, dns=0.25, connect=0.25)
        client = Client(network)
        results: list[object] = []
        fetching = start(client)
        fetching.addBoth(results.append)
        advance_to(network.clock, when)
        assert results == []
        fetching.cancel()
        assert isinstance(results[0].value, CancelledError)
        client.assert_quiet()

    @pytest.mark.parametrize("when", [1.5, 2.25])
    def test_closing_the_pool_closes_the_socket(self, network, when):
        """An abort of the run finds every connection, those that have switched, too."""

        def begin(peer: Peer) -> None:
            peer.polite = False
            peer.accept()
            peer.say(TextMessage("x"), 2.0)

        serve(network, begin)
        client = Client(network)
        fetching = start(client)
        fetching.addErrback(lambda _: None)
        advance_to(network.clock, when)
        client.pool.close()
        network.clock.advance(0)
        assert network.open == set()
        fetching.cancel()
        client.assert_quiet()


class TestPolicy:
    def test_what_was_typed_may_be_private(self, network):
        """The address policy is asked as for any URL: with the same request, and with the address that is dialled."""
        asked: list[Request] = []
        serve(network, talking("x"), address="127.0.0.1")
        got = fetch(network, public_only=lambda request: bool(asked.append(request)))
        assert said(got) == ["x"]
        assert asked == []  # it is for what was discovered; nothing leads from a page or a redirect to here

    def test_nothing_discovered_gets_at_a_private_address(self, network):
        """Should a URL ever get here that nobody typed, the endpoint refuses it."""
        peers = serve(network, talking("x"), address="127.0.0.1")
        client = Client(network, public_only=lambda _: True)
        url = request(URL)
        found = request(URL, input=type(url.input)(parent="http://b.example/"))
        got = run(network.clock, client.fetcher.fetch(found))
        assert (code(got), peers) == ("address_blocked", [])

    def test_the_users_headers_are_for_what_was_typed(self, network):
        """What a page led to gets none of them: no credentials, no private headers."""
        peers = serve(network, talking("x"))
        client = Client(network, headers=[("Authorization", "Bearer s"), ("Sec-WebSocket-Protocol", "a")])
        url = request(URL)
        run(network.clock, client.fetcher.fetch(request(URL, input=type(url.input)(parent="http://b.example/"))))
        names = {name for name, _ in peers[0].request.extra_headers}
        assert b"authorization" not in names
        assert peers[0].request.subprotocols == []

    def test_the_monitors_are_no_servers(self, network):
        """The ports of this run's own monitors are refused, typed or not."""
        peers = serve(network, talking("x"), address="127.0.0.1", port=8000)
        got = fetch(network, "ws://a.example:8000/ws", own_ports={8000})
        assert (code(got), peers) == ("address_blocked", [])
