"""http2/sending.py and outbox.py: bodies of requests, as the server's windows and our transport take them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from h2.errors import ErrorCodes
from h2.events import StreamEnded
from h2.settings import SettingCodes
from http2_server import Exchange, Wire, wire

from crawler.errors import StaleConnection
from crawler.fetch.sending.body import outgoing
from crawler.models import Ask, FileBody

LONG = bytes(range(256)) * 1_200  # 300 KiB: more than any first window
FIRST = 65_535


def posted(body: bytes | FileBody, **settings: int) -> tuple[Wire, Exchange]:
    """A POST, of which the server has what goes without its help."""
    made = wire(**settings)
    content = outgoing(Ask(body=body), made.clock)
    assert content is not None
    exchange = made.ask("POST", "/", [f"Content-Length: {content.length}"], body=content.content)
    listen(made)
    return made, exchange


def listen(made: Wire, times: int = 40) -> None:
    for _ in range(times):
        made.clock.turns(1)
        made.hear()
        made.say()


def take(made: Wire, size: int) -> None:
    """The server takes so much of the body, and says so."""
    made.server.acknowledge_received_data(size, 1)
    made.say()
    listen(made)


def about(seconds: float) -> Any:
    """A turn of the reactor takes a millisecond here."""
    return pytest.approx(seconds, abs=0.5)


def ended(made: Wire) -> bool:
    return any(isinstance(event, StreamEnded) for event in made.events)


@pytest.mark.parametrize("body", [b"", b"a=1", bytes(16_384), bytes(16_385), bytes(60_000)])
def test_a_small_body(body: bytes) -> None:
    """It leaves with its head, in one write."""
    made = wire()
    writes: list[bytes] = []
    write, made.transport.write = made.transport.write, writes.append  # type: ignore[method-assign]
    exchange = made.ask("POST", "/", body=body)
    made.clock.turns(1)
    assert len(writes) == 1
    write(writes[0])
    made.hear()
    assert (made.received(1), ended(made)) == (body, True)
    assert exchange.envelope.trace.phase == "headers"
    made.answer("/")
    assert exchange.body.data == b"hello"


@pytest.mark.parametrize("from_file", [False, True])
def test_a_long_body_waits_for_the_server(tmp_path: Path, from_file: bool) -> None:
    """It goes as far as the windows of the stream and the connection are open, and ends with the last piece."""
    body: bytes | FileBody = LONG
    if from_file:
        path = tmp_path / "body"
        path.write_bytes(LONG)
        found = path.stat()
        body = FileBody(path=str(path), size=found.st_size, changed=found.st_mtime_ns)
    made, exchange = posted(body)
    assert (len(made.received(1)), ended(made)) == (FIRST, False)
    trace = exchange.envelope.trace
    assert (trace.phase, trace.phase_started) == ("send", about(100))
    made.clock.advance(5)
    while not ended(made):
        take(made, FIRST)
    assert made.received(1) == LONG
    assert (trace.phase, trace.phase_started) == ("headers", about(105))
    made.answer("/")
    assert exchange.body.data == b"hello"
    assert made.resets == {}


def test_a_server_that_takes_none_is_seen(tmp_path: Path) -> None:
    """The phase is "send", and began with the last piece that went: so its deadline is that of stalls."""
    made, exchange = posted(LONG)
    made.clock.advance(7)
    take(made, FIRST)
    assert (exchange.envelope.trace.phase, exchange.envelope.trace.phase_started) == ("send", about(107))


def test_a_window_that_shrinks_below_nothing() -> None:
    """A server may take back what it gave (section 6.9.2): nothing goes until that is made up for."""
    made, _ = posted(LONG)
    made.server.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 10})
    made.tell()
    made.server.increment_flow_control_window(50_000)
    made.server.increment_flow_control_window(50_000, 1)
    made.say()
    listen(made)
    assert len(made.received(1)) == FIRST
    made.server.increment_flow_control_window(20_000, 1)
    made.say()
    listen(made)
    assert len(made.received(1)) == FIRST + 10 - FIRST + 70_000


def test_what_waits_is_little() -> None:
    """Who produces the body waits with it: a file of any size is held a piece at a time."""
    pieces: list[int] = []
    made, _ = posted(bytes(5_000_000))
    for _ in range(20):
        take(made, FIRST)
        pieces += [len(sending._held) for sending in made.connection._outbox._bodies.values()]
    assert max(pieces) <= 2


def test_a_transport_that_is_full() -> None:
    """It says so, and nothing more is framed for it until it has room."""
    made, _ = posted(LONG)
    made.connection._outbox.pauseProducing()
    take(made, FIRST)
    assert len(made.received(1)) == FIRST
    made.connection._outbox.resumeProducing()
    listen(made)
    assert len(made.received(1)) == 2 * FIRST


def test_two_at_once() -> None:
    """Each in its own stream, both within the window of the connection."""
    made = wire()
    for path in ("/1", "/2"):
        content = outgoing(Ask(body=LONG), made.clock)
        assert content is not None
        made.ask("PUT", path, body=content.content)
    listen(made)
    assert len(made.received(1)) + len(made.received(3)) == FIRST
    for _ in range(12):
        for number in (1, 3):
            if not any(isinstance(event, StreamEnded) and event.stream_id == number for event in made.events):
                made.server.increment_flow_control_window(FIRST, number)
        made.server.increment_flow_control_window(FIRST)
        made.say()
        listen(made)
    assert made.received(1) == made.received(3) == LONG


@pytest.mark.parametrize(("status", "warnings"), [("200", ["body_unsent"]), ("413", ["body_unsent"])])
def test_an_answer_before_the_end(status: str, warnings: list[str]) -> None:
    """A server that has said all needs none of the rest; the stream is closed, and the connection goes on."""
    made, exchange = posted(LONG)
    made.answer("/", b"no", status=status)
    assert exchange.response is not None
    assert (exchange.body.data, exchange.response.warnings) == (b"no", warnings)
    assert made.resets == {1: ErrorCodes.CANCEL}
    assert not made.transport.aborted
    assert exchange.envelope.trace.phase == "body"


def test_an_answer_and_no_error() -> None:
    """So servers ask to stop the body (RFC 9113 section 8.1): the answer is whole."""
    made, exchange = posted(LONG)
    made.server.send_headers(1, [(":status", "200")], end_stream=True)
    made.server.reset_stream(1, ErrorCodes.NO_ERROR)
    made.say()
    assert exchange.response is not None
    assert (exchange.response.warnings, exchange.code) == (["body_unsent"], None)


def test_a_file_that_has_changed(tmp_path: Path) -> None:
    """It is not sent to its end: the stream is reset, and the others go on."""
    path = tmp_path / "body"
    path.write_bytes(LONG)
    made, exchange = posted(FileBody(path=str(path), size=len(LONG), changed=1))
    assert exchange.code == "request_body"
    assert made.resets == {1: ErrorCodes.CANCEL}
    assert not made.transport.aborted


@pytest.mark.parametrize("how", ["cancelled", "reset", "lost", "aborted"])
def test_given_up(how: str) -> None:
    """Nothing of it is produced any more, however it ends."""
    made, exchange = posted(LONG)
    if how == "cancelled":
        exchange.deferred.cancel()
    elif how == "reset":
        made.server.reset_stream(1, ErrorCodes.REFUSED_STREAM)
        made.say()
        assert isinstance(exchange.error, StaleConnection)
    elif how == "lost":
        made.lose()
    else:
        made.connection.abort()
    listen(made, 3)
    made.clock.advance(60)
    assert made.clock.getDelayedCalls() == []
    assert len(made.received(1)) == FIRST
