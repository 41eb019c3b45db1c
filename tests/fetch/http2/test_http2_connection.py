"""http2/connection.py against hyper-h2: what is asked and answered, many at once, flow control, and how it ends."""

from __future__ import annotations

import pytest
from h2.errors import ErrorCodes
from h2.events import DataReceived, PingAckReceived, RemoteSettingsChanged, SettingsAcknowledged, WindowUpdated
from h2.settings import SettingCodes
from http2_server import KEY, Exchange, Wire, frame, wire
from twisted.internet.error import ConnectionDone, ConnectionLost

from crawler.errors import StaleConnection
from crawler.fetch.http2.connection import CONNECTION_WINDOW
from crawler.fetch.http2.stream import WINDOW
from crawler.fetch.http11.response import DONE


def asked(*paths: str, **settings: int) -> tuple[Wire, list[Exchange]]:
    """A connection with these requests, which the server has read."""
    made = wire(**settings)
    exchanges = [made.ask("GET", path) for path in paths]
    made.tell()
    return made, exchanges


# What is asked and answered.


def test_a_request_is_what_the_head_says() -> None:
    """Pseudo-headers first, names in lower case, nothing of a connection."""
    made = wire()
    fields = ["User-Agent: x", "Accept: */*", "Connection: close", "TE: gzip", "X-Id: a: b", "Cookie: secret=1"]
    made.ask("DELETE", "/p?q=1", fields)
    made.tell()
    assert made.heads[1] == [
        (":method", "DELETE"),
        (":scheme", "https"),
        (":path", "/p?q=1"),
        (":authority", "a.example"),
        ("user-agent", "x"),
        ("accept", "*/*"),
        ("x-id", "a: b"),
        ("cookie", "secret=1"),
    ]


def test_an_answer() -> None:
    """Its fields in wire order, its body, its version; and the connection is free for others."""
    made, (exchange,) = asked("/")
    made.answer("/", b"hello", ("b", "2"), ("a", "1"), ("b", "3"))
    assert exchange.response is not None
    assert (exchange.response.code, exchange.response.http_version, exchange.response.version) == (
        200,
        "2",
        (b"HTTP", 2, 0),
    )
    assert exchange.response.fields == [(b"b", b"2"), (b"a", b"1"), (b"b", b"3")]
    assert (exchange.body.data, exchange.body.why) == (b"hello", DONE.value)
    assert made.owner.free == [made.connection]
    assert not made.transport.aborted


def test_times_and_counts() -> None:
    """The trace tells when it was sent and answered, over what, and how much came."""
    made = wire()
    begun = made.clock.seconds()
    first = made.ask("GET", "/1")
    trace = first.envelope.trace
    assert (trace.phase, trace.phase_started, trace.remote_ip, trace.reused) == ("headers", begun, "192.0.2.1", False)
    made.tell()
    made.clock.advance(2)
    now = made.clock.seconds()
    made.server.send_headers(1, [(":status", "200")])
    made.server.send_data(1, b"12345")
    made.say()
    assert (trace.phase, trace.first_byte, trace.last_byte, trace.received) == ("body", now, now, 5)
    assert made.ask("GET", "/2").envelope.trace.reused


def test_many_at_once_in_any_order() -> None:
    """Each stream gets its own answer, however they are mixed."""
    paths = [f"/{number}" for number in range(50)]
    made, exchanges = asked(*paths)
    for path in reversed(paths):
        made.server.send_headers(made.requests[path], [(":status", "200")])
    for path in paths:
        made.server.send_data(made.requests[path], path.encode())
    made.tell()
    for path in reversed(paths):
        made.server.send_data(made.requests[path], b"!", end_stream=True)
    made.tell()
    assert [exchange.body.data.decode() for exchange in exchanges] == [f"{path}!" for path in paths]
    assert made.owner.free == [made.connection]


def test_requests_of_one_turn_leave_together() -> None:
    """Some in one write, and so in one TLS record; the last ones at the end of the turn of the reactor."""
    made = wire()
    writes: list[bytes] = []
    made.transport.write = writes.append  # type: ignore[method-assign]
    for number in range(20):
        made.ask("GET", f"/{number}")
    assert len(writes) == 2
    made.clock.turns(1)
    assert len(writes) == 3


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("status", ["200", "204", "304"])
def test_no_body(method: str, status: str) -> None:
    """An answer may end with its head; a length that is announced there is of what is not sent."""
    made = wire()
    exchange = made.ask(method, "/")
    made.tell()
    length = [] if status == "200" and method == "GET" else [("content-length", "5")]
    made.answer("/", b"", *length, status=status)
    assert (exchange.body.data, exchange.body.why) == (b"", DONE.value)


def test_interim_answers() -> None:
    """They are passed over, and the answer is the one after them."""
    made, (exchange,) = asked("/")
    for status in ("100", "103"):
        made.server.send_headers(1, [(":status", status)])
    made.tell()
    assert not exchange.done
    made.answer("/")
    assert exchange.body.data == b"hello"


def test_trailers() -> None:
    """They end the body, and are no headers."""
    made, (exchange,) = asked("/")
    made.server.send_headers(1, [(":status", "200")])
    made.server.send_data(1, b"hello")
    made.server.send_headers(1, [("checksum", "1")], end_stream=True)
    made.tell()
    assert exchange.response is not None
    assert (exchange.body.data, exchange.body.why, exchange.response.fields) == (b"hello", DONE.value, [])


def test_padding_is_no_body() -> None:
    made, (exchange,) = asked("/")
    made.server.send_headers(1, [(":status", "200"), ("content-length", "5")])
    made.server.send_data(1, b"hello", end_stream=True, pad_length=200)
    made.tell()
    assert (exchange.body.data, exchange.envelope.trace.received) == (b"hello", 5)


def test_large_heads_both_ways() -> None:
    """They come and go in CONTINUATION frames."""
    made = wire()
    made.server.decoder.max_header_list_size = 1 << 20
    exchange = made.ask("GET", "/" + "p" * 40_000, ["Cookie: " + "c" * 40_000])
    made.tell()
    (number,) = made.heads
    assert len(dict(made.heads[number])["cookie"]) == 40_000
    made.server.send_headers(number, [(":status", "200"), ("x", "y" * 60_000)], end_stream=True)
    made.tell()
    assert exchange.response is not None
    assert exchange.response.head_size > 60_000
    assert exchange.body.why is DONE.value


@pytest.mark.parametrize("size", [0, 100, 4096, 65_536])
def test_the_servers_table(size: int) -> None:
    """Whatever it holds, and however often it changes, every head arrives as it was."""
    made = wire()
    heads = []
    for number in range(12):
        if number in {3, 7}:
            made.server.update_settings({SettingCodes.HEADER_TABLE_SIZE: size if number == 3 else 4096})
            made.tell()
        made.ask("GET", f"/{number}", [f"User-Agent: {'u' * (number % 3)}", "Accept: */*", f"X-Other: {number % 2}"])
        made.tell()
        heads.append(dict(made.heads[made.requests[f"/{number}"]]))
    assert [head["user-agent"] for head in heads] == ["u" * (number % 3) for number in range(12)]
    assert [head["x-other"] for head in heads] == [str(number % 2) for number in range(12)]


def test_what_is_secret_is_in_no_table() -> None:
    """It is never indexed (RFC 7541 section 7.1.3), and what all requests say is sent once."""
    made = wire()
    sizes = []
    for number in range(4):
        made.ask("GET", f"/{number}", ["User-Agent: " + "u" * 100, "Authorization: Basic " + "s" * 50])
        made.clock.turns(1)
        sizes.append(len(made.transport.written))
        made.hear()
    assert sizes[1] == sizes[2] == sizes[3] < 120
    assert b"s" * 50 not in repr(made.connection._heads._encoder.header_table).encode()


# How bodies are told from broken ones.


@pytest.mark.parametrize(
    ("length", "body", "code"),
    [("6", b"hello", "body_truncated"), ("4", b"hello", "http_bad_framing"), ("3, 4", b"hello", "http_bad_framing")],
)
def test_a_length_that_is_not_true(length: str, body: bytes, code: str) -> None:
    made, (exchange, other) = asked("/", "/other")
    made.server.config.validate_outbound_headers = False
    made.answer("/", body, ("content-length", length))
    assert exchange.code == code
    made.answer("/other")
    assert other.body.data == b"hello"  # it costs the others nothing


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ([], "http_bad_status"),
        ([(":status", "2000")], "http_bad_status"),
        ([(":status", "099")], "http_bad_status"),
        ([(":status", "200"), (":status", "200")], "http_bad_header"),
        ([(":status", "200"), (":path", "/")], "http_bad_header"),
        ([("a", "b"), (":status", "200")], "http_bad_header"),
        ([(":status", "200"), ("Upper", "b")], "http_bad_header"),
        ([(":status", "200"), ("", "b")], "http_bad_header"),
        ([(":status", "200"), ("a b", "b")], "http_bad_header"),
        ([(":status", "200"), ("connection", "close")], "http_bad_header"),
        ([(":status", "200"), ("transfer-encoding", "chunked")], "http_bad_header"),
        ([(":status", "200"), ("a", "b\r\nc: d")], "http_bad_header"),
        ([(":status", "200"), ("a", "b\0")], "http_bad_header"),
        ([(":status", "101")], "http_protocol"),
        ([(":status", "200"), *(("a", "") for _ in range(1001))], "headers_too_large"),
    ],
)
def test_malformed_heads(fields: list[tuple[str, str]], code: str) -> None:
    """They end their stream alone: the server is told, and the others go on."""
    made, (exchange, other) = asked("/", "/other")
    made.server.config.validate_outbound_headers = made.server.config.normalize_outbound_headers = False
    block = made.server.encoder.encode(fields)
    made.connection.dataReceived(made.server.data_to_send() + frame(1, 4, 1, block))
    assert exchange.code == code
    made.tell()
    assert made.resets == {1: ErrorCodes.PROTOCOL_ERROR}
    made.answer("/other")
    assert other.body.data == b"hello"


def test_blanks_around_a_value() -> None:
    """They are taken off, with a warning, as in HTTP/1.1."""
    made, (exchange,) = asked("/")
    made.connection.dataReceived(frame(1, 5, 1, made.server.encoder.encode([(":status", "200"), ("a", " b ")])))
    assert exchange.response is not None
    assert (exchange.response.fields, exchange.response.warnings) == ([(b"a", b"b")], ["bad_header"])


def test_a_body_where_there_is_none() -> None:
    """What comes after a HEAD is not taken, and said."""
    made = wire()
    exchange = made.ask("HEAD", "/")
    made.tell()
    made.connection.dataReceived(
        frame(1, 4, 1, made.server.encoder.encode([(":status", "200")])) + frame(0, 1, 1, b"x")
    )
    assert exchange.response is not None
    assert (exchange.body.data, exchange.body.why, exchange.response.warnings) == (b"", DONE.value, ["extra_bytes"])


# Giving up.


def test_who_gives_up_costs_the_others_nothing() -> None:
    """Cancelled before or after its head, a stream is reset and the connection goes on."""
    made, (first, second, third) = asked("/1", "/2", "/3")
    made.clock.advance(1)
    made.server.send_headers(made.requests["/2"], [(":status", "200")])
    made.tell()
    first.deferred.cancel()
    assert second.response is not None
    second.response.abort()
    made.tell()
    assert made.resets == {1: ErrorCodes.CANCEL, 3: ErrorCodes.CANCEL}
    made.answer("/3")
    assert third.body.data == b"hello"
    assert not made.transport.aborted


def test_what_comes_after_giving_up_is_nobodys() -> None:
    """Head and body that were under way are passed over, and what they told the decoder is kept."""
    made, (first, second) = asked("/1", "/2")
    number = made.requests["/1"]
    made.server.send_headers(number, [(":status", "200"), ("x-of-both", "v")])
    made.server.send_data(number, b"late", end_stream=True)
    first.deferred.cancel()
    made.say()
    made.server.send_headers(made.requests["/2"], [(":status", "200"), ("x-of-both", "v")], end_stream=True)
    made.say()
    assert second.response is not None
    assert second.response.fields == [(b"x-of-both", b"v")]


def test_a_connection_on_which_nothing_comes_is_not_used_again() -> None:
    """Nothing was heard since the request was sent: others shall not wait for it, too."""
    made, (exchange,) = asked("/")
    made.clock.advance(20)
    exchange.deferred.cancel()
    assert made.transport.aborted
    assert made.owner.lost == [made.connection]


def test_one_that_answers_others_is_kept() -> None:
    made, (slow, _) = asked("/slow", "/quick")
    made.clock.advance(1)
    made.answer("/quick")
    slow.deferred.cancel()
    assert not made.transport.aborted
    assert made.owner.retirees == []


# Flow control.


def test_a_large_body_flows() -> None:
    """Many times the windows, while it is taken."""
    made, (exchange,) = asked("/")
    made.server.send_headers(1, [(":status", "200")])
    sent = 0
    total = 3 * CONNECTION_WINDOW
    piece = bytes(16_384)
    while sent < total:
        room = made.server.local_flow_control_window(1)
        assert room, "the server may send on"
        for _ in range(room // len(piece)):
            made.server.send_data(1, piece)
            sent += len(piece)
        made.tell()
        exchange.body.data = b""
    made.server.end_stream(1)
    made.tell()
    assert (exchange.envelope.trace.received, exchange.body.why) == (sent, DONE.value)


def test_a_body_that_is_not_taken_stops_its_stream_alone() -> None:
    """The server may send one window of it, then it waits; the others go on. Once it is taken the rest comes."""
    made, (paused, other) = asked("/1", "/2")
    made.server.send_headers(1, [(":status", "200")])
    made.tell()
    assert paused.response is not None
    paused.response.pauseProducing()
    sent = 0
    while room := min(16_384, made.server.local_flow_control_window(1)):
        made.server.send_data(1, bytes(room))
        sent += room
        made.tell()
    assert sent == WINDOW
    made.answer("/2")
    assert other.body.data == b"hello"
    paused.response.resumeProducing()
    made.tell()
    assert made.server.local_flow_control_window(1) == WINDOW


def test_frames_are_read_in_turns() -> None:
    """A thousand small ones do not hold the reactor: the transport waits while they are read bit by bit."""
    made, (exchange,) = asked("/")
    made.server.send_headers(1, [(":status", "200")])
    for _ in range(2_000):
        made.server.send_data(1, b"x")
    made.server.end_stream(1)
    made.say()
    assert not made.transport.reading
    assert 0 < len(exchange.body.data) < 300
    made.clock.turns(30)
    assert (len(exchange.body.data), exchange.body.why) == (2_000, DONE.value)
    assert made.transport.reading


def test_lost_while_there_is_still_something_to_read() -> None:
    """What had come is read before the loss is told."""
    made, (exchange,) = asked("/")
    made.server.send_headers(1, [(":status", "200")])
    for _ in range(2_000):
        made.server.send_data(1, b"x")
    made.server.end_stream(1)
    made.say()
    made.lose(ConnectionLost)
    made.clock.turns(30)
    assert (len(exchange.body.data), exchange.body.why) == (2_000, DONE.value)


# How many at once.


def test_more_than_the_server_takes_wait() -> None:
    """They are sent as others end, over the same connection: the server's limit is kept."""
    made, exchanges = asked("/1", "/2", "/3", "/4", MAX_CONCURRENT_STREAMS=2)
    assert set(made.requests) == {"/1", "/2"}
    assert exchanges[2].envelope.trace.phase_started == float("inf")  # it is not late: it has not been sent
    made.answer("/1")
    made.tell()
    assert set(made.requests) == {"/1", "/2", "/3"}
    exchanges[3].deferred.cancel()
    made.answer("/2")
    made.answer("/3")
    assert set(made.requests) == {"/1", "/2", "/3"}
    assert [exchange.done for exchange in exchanges] == [True] * 4


def test_the_server_takes_more_later() -> None:
    made, _ = asked("/1", "/2", MAX_CONCURRENT_STREAMS=1)
    made.server.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: 5})
    made.tell()
    assert set(made.requests) == {"/1", "/2"}


def test_numbers_come_to_an_end() -> None:
    """The last stream that a connection can have is its last request (RFC 9113 section 5.1.1)."""
    made = wire()
    made.connection._next = 2**31 - 3
    exchange = made.ask("GET", "/")
    made.tell()
    assert made.owner.retirees == [made.connection]
    made.answer("/")
    assert exchange.body.data == b"hello"
    assert made.transport.aborted


# Settings and pings.


def test_what_we_say_of_ourselves() -> None:
    """No push, the windows, the size of heads; and the server's SETTINGS are acknowledged."""
    made = wire()
    (changed,) = [event for event in made.events if isinstance(event, RemoteSettingsChanged)]
    values = {code: change.new_value for code, change in changed.changed_settings.items()}
    assert values[SettingCodes.ENABLE_PUSH] == 0
    assert values[SettingCodes.INITIAL_WINDOW_SIZE] == WINDOW
    assert values[SettingCodes.MAX_HEADER_LIST_SIZE] == 256 * 1024
    assert any(isinstance(event, SettingsAcknowledged) for event in made.events)
    assert made.server.outbound_flow_control_window == CONNECTION_WINDOW
    assert any(isinstance(event, WindowUpdated) for event in made.events)


def test_pings_are_answered() -> None:
    made = wire()
    made.server.ping(b"12345678")
    made.tell()
    assert [event.ping_data for event in made.events if isinstance(event, PingAckReceived)] == [b"12345678"]


# The end of a connection.


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_refused(method: str) -> None:
    """The server did nothing: any method may be sent again at once; but one that was sent again already is told so."""
    made = wire()
    exchange, again = made.ask(method, "/1"), made.ask(method, "/2", fresh=True)
    made.tell()
    for number in (1, 3):
        made.server.reset_stream(number, ErrorCodes.REFUSED_STREAM)
    made.tell()
    assert isinstance(exchange.error, StaleConnection)
    assert exchange.error.unprocessed
    assert (type(again.error).__name__, again.code) == ("CodedError", "http2_refused")
    assert not made.transport.aborted


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ErrorCodes.INTERNAL_ERROR, "http2_reset"),
        (ErrorCodes.CANCEL, "http2_reset"),
        (ErrorCodes.ENHANCE_YOUR_CALM, "http2_calm"),
    ],
)
def test_reset(error: ErrorCodes, code: str) -> None:
    """Before its head it is an error of its own, after it a body that is not whole."""
    made, (before, after) = asked("/1", "/2")
    made.server.send_headers(made.requests["/2"], [(":status", "200")])
    made.server.send_data(made.requests["/2"], b"half")
    for number in (1, 3):
        made.server.reset_stream(number, error)
    made.tell()
    assert (before.code, after.code, after.body.data) == (code, "body_truncated", b"half")
    assert error.name in before.error.message


def test_http11_required() -> None:
    """The request is sent again, and not over HTTP/2; the connection takes no more."""
    made, (exchange,) = asked("/")
    made.server.reset_stream(1, ErrorCodes.HTTP_1_1_REQUIRED)
    made.tell()
    assert isinstance(exchange.error, StaleConnection)
    assert made.needing_http11 == [KEY]
    assert made.transport.aborted


def test_goaway() -> None:
    """What is beyond the last stream may be sent again, the rest is answered, then the connection is closed."""
    made, (first, second, third) = asked("/1", "/2", "/3")
    made.server.close_connection(last_stream_id=1, additional_data=b"bye")
    made.say()
    assert isinstance(second.error, StaleConnection)
    assert isinstance(third.error, StaleConnection)
    assert second.error.unprocessed
    assert "bye" in second.error.message
    assert made.owner.retirees == [made.connection]
    assert not made.transport.aborted
    late = made.ask("GET", "/late")
    assert isinstance(late.error, StaleConnection)
    assert late.error.unprocessed
    made.connection.dataReceived(frame(1, 5, 1, b"\x88"))
    assert first.body.why is DONE.value
    assert made.transport.aborted


def test_goaway_of_a_server_that_answers_nobody() -> None:
    """There is an end to sending again: who did so already is told."""
    made = wire()
    first, again = made.ask("GET", "/1"), made.ask("GET", "/2", fresh=True)
    made.tell()
    made.server.close_connection(last_stream_id=0)
    made.say()
    assert isinstance(first.error, StaleConnection)
    assert (type(again.error).__name__, again.code) == ("CodedError", "http2_refused")
    assert made.transport.aborted


def test_goaway_of_a_server_that_only_hints() -> None:
    """An interim answer is no answer: who sends one and goes away, each time, would be asked again without end."""
    made = wire()
    again = made.ask("GET", "/1", fresh=True)
    made.tell()
    made.server.send_headers(1, [(":status", "103")])
    made.server.close_connection(last_stream_id=0)
    made.say()
    assert (type(again.error).__name__, again.code) == ("CodedError", "http2_refused")


def test_goaway_of_a_server_that_answers_some() -> None:
    """There is progress, so there is an end: who was sent again already is sent again once more."""
    made = wire()
    first, again = made.ask("GET", "/1"), made.ask("GET", "/2", fresh=True)
    made.tell()
    made.answer("/1")
    made.server.close_connection(last_stream_id=1)
    made.say()
    assert first.body.data == b"hello"
    assert isinstance(again.error, StaleConnection)


def test_goaway_with_the_server_working_on_it() -> None:
    """What it had begun is not sent again unasked, on a new connection."""
    made, (exchange,) = asked("/")
    made.server.close_connection(ErrorCodes.ENHANCE_YOUR_CALM, last_stream_id=1)
    made.say()
    made.lose()
    assert exchange.code == "http2_calm"


@pytest.mark.parametrize(("reason", "code"), [(ConnectionDone, "empty_reply"), (ConnectionLost, "conn_reset")])
def test_lost(reason: type[Exception], code: str) -> None:
    """Before an answer the first is told, and those after it may be sent again; inside a body it is truncated."""
    made, (first, second, third) = asked("/1", "/2", "/3")
    made.server.send_headers(made.requests["/3"], [(":status", "200")])
    made.tell()
    made.lose(reason)
    assert (first.code, third.code) == (code, "body_truncated")
    assert isinstance(second.error, StaleConnection)
    assert not second.error.unprocessed
    assert made.owner.lost == [made.connection]
    assert isinstance(made.ask("GET", "/late").error, StaleConnection)


def test_aborted() -> None:
    """Whatever is going on is forgotten, and nothing is written any more."""
    made, (exchange,) = asked("/")
    made.connection.abort()
    made.clock.advance(1)
    assert made.transport.aborted
    assert not exchange.done
    assert made.clock.getDelayedCalls() == []
    made.connection.abort()


def test_data_is_counted_once() -> None:
    """A server on the other end sees no body in our requests."""
    made, _ = asked("/1", "/2")
    assert not any(isinstance(event, DataReceived) for event in made.events)
