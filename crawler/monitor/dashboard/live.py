"""What the page is shown over its WebSocket: frames four times a second, and what it asks for. Nobody is waited for.

A page that reads too slowly gets no frames until it has caught up, and what it then gets is the newest.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request

from crawler.engine.control import Control
from crawler.models import Record, Response
from crawler.monitor.dashboard.history import History
from crawler.monitor.dashboard.hosts import HostTable
from crawler.monitor.dashboard.verbs import Hosts, read, read_id
from crawler.monitor.guard import taken
from crawler.printable import json_bytes

FRAME_SECONDS: Final = 0.25
NEWEST: Final = 50
IN_A_FRAME: Final = 30
MAX_PAGES: Final = 16
MOST_UNREAD: Final = 64
MAX_URL: Final = 2_000
MAX_WORDS: Final = 300
UNSUPPORTED: Final = 1003  # RFC 6455 section 7.4.1


class Hello(msgspec.Struct, frozen=True, tag_field="type", tag="hello"):
    """What stays the same. `started` is seconds since the epoch."""

    version: str
    title: str
    crawl: bool
    job: str | None
    most_concurrency: int
    started: float


class Seen(msgspec.Struct, frozen=True):
    """A record, short enough to be shown in a list. `at` is seconds since the epoch."""

    at: float
    url: str
    outcome: str
    status: int | None
    error: str | None
    message: str
    size: int
    seconds: float | None
    title: str | None


_Newest = tuple[int, float, Record]
"""A record, its number, and when it came."""


class Live:
    """Everything the pages see. It is a sink, and the factory of their WebSockets."""

    def __init__(
        self,
        control: Callable[[], Control | None],
        hello: Callable[[Control], Hello],
        *,
        reactor: Any,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._control = control
        self._hello = hello
        self._wall = wall
        self._pages: set[_Page] = set()
        self._history = History()
        self._records: deque[_Newest] = deque(maxlen=NEWEST)
        self._failures: deque[_Newest] = deque(maxlen=NEWEST)
        self._seen = 0
        self.hosts = HostTable(self._host_rows, time.monotonic)
        self._log = Logger()
        self._frames = LoopingCall(self._guarded, self._frame)
        self._steps = LoopingCall(self._guarded, self._step)
        self._frames.clock = self._steps.clock = reactor

    def begin(self) -> None:
        """The port is open."""
        self._frames.start(FRAME_SECONDS, now=False)
        self._steps.start(self._history.seconds, now=False)

    def buildProtocol(self, request: Request) -> _Page:
        """A page that was let in."""
        return _Page(self, taken(request))

    def running(self) -> Control:
        """The controls of the run. Raises ValueError while it has not begun."""
        control = self._control()
        if control is None:
            raise ValueError("the run has not begun yet")
        return control

    @property
    def is_full(self) -> bool:
        return len(self._pages) >= MAX_PAGES

    # The sink.

    def write(self, record: Record, response: Response | None, sequence: int) -> None:  # noqa: ARG002
        self._seen += 1
        if record.wire_body is not None or record.data is not None:  # they may be large
            record = msgspec.structs.replace(record, wire_body=None, data=None)
        # Most are never shown: what is shown of one is taken from it then.
        newest = (self._seen, self._wall(), record)
        self._records.append(newest)
        if record.outcome == "failed":
            self._failures.append(newest)
        if record.time_total is not None:
            self._history.count(record.time_total)

    def end(self) -> None:
        """Show the last frame, and say that there are no more."""
        if self._frames.running:
            self._frames.stop()
            self._steps.stop()
        self._guarded(self._step)
        self._guarded(self._frame)
        for page in list(self._pages):
            page.say(b'{"type":"end"}')
        for page in list(self._pages):
            page.transport.loseConnection()

    # The pages.

    def _guarded(self, show: Callable[[], None]) -> None:
        try:
            show()
        except Exception:  # a bug, which must neither stop what is shown, nor hide
            self._log.failure("a bug in the live page")

    def arrived(self, page: _Page) -> None:
        self._pages.add(page)

    def left(self, page: _Page) -> None:
        self._pages.discard(page)

    def begins(self, page: _Page) -> bool:
        """Show a page what there is; False while the run has not begun."""
        control = self._control()
        if control is None:
            return False
        page.say(json_bytes(self._hello(control)))
        page.say(json_bytes({"type": "history", **self._history.columns()}))
        return True

    def _frame(self) -> None:
        control = self._control()
        if control is None or not self._pages:
            return
        status = json_bytes(control.status())
        self.hosts.refresh()
        for page in list(self._pages):
            page.frame(status, self._since)

    def _since(self, number: int, most: int) -> tuple[int, list[Seen], list[Seen]]:
        """The newest records and failures after that of this number, and the number of the last."""
        records, failures = (
            [_seen(record, at) for index, at, record in of if index > number][-most:]
            for of in (self._records, self._failures)
        )
        return self._seen, records, failures

    def _step(self) -> None:
        control = self._control()
        if control is None:
            return
        point = self._history.step(control.status().snapshot)
        if point is None:
            self._steps.interval = self._history.seconds
            message = {"type": "history", **self._history.columns()}
        else:
            message = {"type": "point", **msgspec.structs.asdict(point)}
        for page in list(self._pages):
            page.point(json_bytes(message), whole=point is None)

    def _host_rows(self) -> Sequence[Any]:
        control = self._control()
        return () if control is None else control.host_rows()


class _Page:
    """One WebSocket (a twisted.web.websocket.WebSocketProtocol), and the IPushProducer that says when it is slow."""

    transport: Any

    def __init__(self, live: Live, taken: Callable[[], None]) -> None:
        self._live = live
        self._taken = taken
        self._begun = False
        self._slow = False
        self._unread = 0
        self._missed_points = False
        self._number = 0
        self._view: Hosts | None = None
        self._version = 0

    def negotiationStarted(self, transport: Any) -> None:
        self.transport = transport

    def negotiationFinished(self) -> None:
        # The HTTP channel listens to the transport until then.
        self.transport.detachProducer()
        self.transport.attachProducer(self)
        self._live.arrived(self)
        self._begun = self._live.begins(self)

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002
        self._live.left(self)

    def pongReceived(self, payload: bytes) -> None:  # noqa: ARG002
        self._taken()

    def pauseProducing(self) -> None:
        self._slow = True

    def resumeProducing(self) -> None:
        self._slow = False
        self._unread = 0

    def stopProducing(self) -> None:
        """The connection is gone."""

    # What it is shown.

    def say(self, message: bytes) -> None:
        """A message that must come. Who asks on and on and reads nothing is left."""
        self._unread += self._slow
        if self._unread > MOST_UNREAD:
            self.transport.transport.abortConnection()
        else:
            from wsproto.utilities import LocalProtocolError

            try:
                self.transport.sendTextMessage(message.decode())
            except LocalProtocolError:  # it has said goodbye, and its connection is about to be lost
                self._live.left(self)

    def frame(self, status: bytes, since: Callable[[int, int], tuple[int, list[Seen], list[Seen]]]) -> None:
        if not self._begun:
            self._begun = self._live.begins(self)
        if self._slow:
            return
        if self._missed_points:
            self._missed_points = False
            self._live.begins(self)
        self._number, records, failures = since(self._number, IN_A_FRAME if self._number else NEWEST)
        newest = json_bytes({"records": records, "failures": failures})[1:]
        self.say(b'{"type":"frame","status":%b,%b' % (status, newest))
        if self._view is not None and self._version != self._live.hosts.version:
            self._show_hosts(self._view)

    def point(self, message: bytes, *, whole: bool) -> None:
        """A step of the history; whoever misses one gets all of it later."""
        if not self._begun or (self._missed_points and not whole):
            return
        self._missed_points = self._slow
        if not self._slow:
            self.say(message)

    def _show_hosts(self, view: Hosts) -> None:
        self._view, self._version = view, self._live.hosts.version
        self.say(json_bytes(self._live.hosts.window(view)))

    # What it says.

    def textMessageReceived(self, message: str) -> None:
        self._taken()
        number = read_id(message)
        try:
            verb = read(message)
            if isinstance(verb, Hosts):
                self._live.hosts.refresh()
                self._show_hosts(verb)
            else:
                verb.run(self._live.running())
        except ValueError as error:
            self.say(json_bytes({"type": "answer", "id": number, "error": str(error)}))
        else:
            self.say(json_bytes({"type": "answer", "id": number, "error": None}))

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:  # noqa: ARG002
        self.transport.loseConnection(UNSUPPORTED)


def _seen(record: Record, at: float) -> Seen:
    error = record.error
    title = record.title
    return Seen(
        at,
        record.url[:MAX_URL],
        record.outcome,
        record.status,
        None if error is None else error.code,
        "" if error is None else error.message[:MAX_WORDS],
        record.size_body,
        record.time_total,
        None if title is None else title[:MAX_WORDS],
    )
