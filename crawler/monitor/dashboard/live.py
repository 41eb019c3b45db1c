"""What the page is shown over its WebSocket: frames four times a second, and what it asks for. Nobody is waited for.

A page that reads too slowly gets no frames until it has caught up, and what it then gets is the newest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import Request

from crawler.engine.control import Control
from crawler.models import Record, Response
from crawler.monitor.dashboard.history import History
from crawler.monitor.dashboard.hosts import HostTable
from crawler.monitor.dashboard.story import Kept, Stories, Told
from crawler.monitor.dashboard.verbs import Hosts, Records, read, read_id
from crawler.monitor.guard import taken
from crawler.printable import json_bytes
from crawler.stats.newest import Newest, Of, Seen
from crawler.stats.pace import at_host, where_time_goes

FRAME_SECONDS: Final = 0.25
NEWEST: Final = 50
IN_A_FRAME: Final = 30
MAX_PAGES: Final = 16
MOST_UNREAD: Final = 64
UNSUPPORTED: Final = 1003  # RFC 6455 section 7.4.1


class Hello(msgspec.Struct, frozen=True, tag_field="type", tag="hello"):
    """What stays the same. `started` is seconds since the epoch."""

    version: str
    title: str
    crawl: bool
    job: str | None
    most_concurrency: int
    started: float


class Drilled(msgspec.Struct, frozen=True, tag_field="type", tag="records"):
    """What is behind a number: the newest `records` of a kind, of those up to `last`; and in words what is to be said
    `about` all of it.
    """

    of: Of
    key: str
    last: int
    records: list[Seen]
    about: list[str]


class Live:
    """Everything the pages see. It is a sink, and the factory of their WebSockets."""

    def __init__(
        self,
        control: Callable[[], Control | None],
        hello: Callable[[Control], Hello],
        *,
        reactor: Any,
        wall: Callable[[], float] = time.time,
        kept: Kept | None = None,
    ) -> None:
        self._control = control
        self._hello = hello
        self._pages: set[_Page] = set()
        self._history = History()
        self.newest = Newest(wall)
        self.hosts = HostTable(self._host_rows, time.monotonic)
        self._stories = Stories(self.newest, self.hosts, kept)
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
        self.newest.add(record)
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
            page.frame(status)

    def since(self, number: int, most: int) -> dict[str, list[Seen] | str]:
        """The newest records after that of this number, and those of them that did not please; where time goes."""
        newest = self.newest
        of = {
            "records": newest.all(number),
            "http_errors": newest.of("outcome", "http_error", number),
            "failures": newest.of("outcome", "failed", number),
        }
        return {**{name: seen[-most:] for name, seen in of.items()}, "time": where_time_goes(newest.all())}

    def records(self, view: Records) -> Drilled:
        """The newest of a kind."""
        newest = self.newest.of(view.of, view.key)
        about = [where_time_goes(newest)]
        if view.of == "host":
            self.hosts.refresh()
            row = self.hosts.row(view.key)
            if row is not None:
                about.append(at_host(row, newest))
        after = [seen for seen in newest if seen.number > view.after]
        return Drilled(view.of, view.key, self.newest.number, after, [*filter(None, about)])

    def story(self, url: str) -> Deferred[Told]:
        """The story of a URL. Raises ValueError."""
        return self._stories.tell(url, self.running())

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

    def frame(self, status: bytes) -> None:
        if not self._begun:
            self._begun = self._live.begins(self)
        if self._slow:
            return
        if self._missed_points:
            self._missed_points = False
            self._live.begins(self)
        live = self._live
        newest = json_bytes(live.since(self._number, IN_A_FRAME if self._number else NEWEST))[1:]
        self._number = live.newest.number
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
            elif isinstance(verb, Records):
                self.say(json_bytes(self._live.records(verb)))
            else:
                verb.run(self._live.running())
        except ValueError as error:
            self._answer(number, str(error))
        else:
            self._answer(number, None)

    def _answer(self, number: int, error: str | None) -> None:
        self.say(json_bytes({"type": "answer", "id": number, "error": error}))

    def bytesMessageReceived(self, data: bytes | bytearray) -> None:  # noqa: ARG002
        self.transport.loseConnection(UNSUPPORTED)
