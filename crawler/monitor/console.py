"""The console of a run: a line protocol over a socket, for `crawler attach`, netcat and scripts. Nothing is evaluated.

A line is a verb and its arguments, and is answered by lines, the last of which is "ok" or begins with "error:". Every
connection may `watch`: it then gets each record as it comes, a line each, until it says anything else. Whoever reads
too slowly misses lines, and is told how many: the run never waits for a console.

On a socket file (the default) its mode, 0600, says who may connect. On a port, which has to be one of this machine, the
first line must be the token that the run shows when it begins. Who does not say it in time is let go, and makes room
when others come.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, get_args

from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.protocols.basic import LineOnlyReceiver

from crawler.config.kinds import Seconds
from crawler.engine.control import Control
from crawler.models import Record, Response
from crawler.monitor.guard import Strangers
from crawler.monitor.units import amount, books, duration, rate, size
from crawler.printable import json_bytes, printable
from crawler.sinks.human import format_line
from crawler.stats.newest import Kind, Newest, Of
from crawler.stats.whole import WholeCrawl

MAX_CLIENTS: Final = 16
MOST_NODES: Final = 20
MAX_LINE: Final = 8_192
PATIENCE: Final = 1.0
_SECONDS: Final = Seconds(0.0, 86_400.0)

HELP: Final = {
    "status": "how the run stands",
    "hosts [N]": "the N hosts with most left to do, and what binds each (default: 20)",
    "newest KEY": "the newest URLs of 404, 4xx, an error's code, failed, http-errors, HOST:PORT",
    "why URL": "where a URL is now, and what decides of it",
    "pause": "start nothing new; what is in the air goes on",
    "resume": "go on",
    "concurrency N": "fetch N URLs at once",
    "per-host N": "fetch N URLs of one host at once",
    "delay TIME": "wait between two requests to one host",
    "add URL": "fetch one more URL",
    "drop HOST:PORT": "ask a host nothing more; its URLs are skipped",
    "stop": "end the run as Ctrl-C does",
    "watch [json]": "show each record as it comes; an empty line ends it",
    "help": "this list",
    "quit": "close this connection; the run goes on",
}
"""The verbs, with their arguments, and what they do."""


class Console(Factory):
    """Serves the verbs, and is a sink whose records the watchers see. Until the run has begun, `control` gives None."""

    noisy = False

    def __init__(
        self,
        control: Callable[[], Control | None],
        *,
        reactor: Any,
        token: str = "",
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._control = control
        self._token = token
        self._wall = wall
        self.newest = Newest(wall)
        self._clients: set[_Client] = set()
        self._strangers = Strangers(reactor, lambda client: client.transport.abortConnection(), most=MAX_CLIENTS)
        self._known = 0
        self._port: Any = None
        self._reactor = reactor
        self._left: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> _Client:  # noqa: ARG002
        return _Client(self, self._control, self._token)

    def listening(self, port: Any) -> None:
        """Remember what to close."""
        self._port = port

    def arrived(self, client: _Client) -> None:
        """A connection was made."""
        self._clients.add(client)
        if self._token:
            self._strangers.arrived(client)
        else:
            self.recognise(client)

    def recognise(self, client: _Client) -> bool:
        """A connection may ask, by its token or its socket file; False when there are too many of these."""
        self._strangers.left(client)
        if self._known >= MAX_CLIENTS:
            client.refuse(f"{MAX_CLIENTS} connections are open already (quit closes one)")
            return False
        client.is_known = True
        self._known += 1
        return True

    # The sink.

    def write(self, record: Record, response: Response | None, sequence: int) -> None:  # noqa: ARG002
        self.newest.add(record)
        watchers = [client for client in self._clients if client.watching]
        if not watchers:
            return
        now = self._wall()
        at = time.strftime("%H:%M:%S", time.gmtime(now)) + f".{int(now * 1000) % 1000:03d}"
        for client in watchers:
            client.show(json_bytes(record) if client.watching == "json" else f"{at}  {format_line(record)}".encode())

    def flush(self) -> None:
        """Nobody is waited for."""

    def close(self) -> Deferred[Any] | None:
        """Take no more connections and end those there are: with their last answers, unless they do not read them."""
        for client in list(self._clients):
            client.end()
        port, self._port = self._port, None
        if port is None:
            return None
        closing = [maybeDeferred(port.stopListening)]
        if self._clients:
            self._left = Deferred()  # no canceller: the timer ends it
            timer = self._reactor.callLater(PATIENCE, self._abort)
            self._left.addBoth(lambda _: timer.active() and timer.cancel())
            closing.append(self._left)
        return DeferredList(closing)

    def _abort(self) -> None:
        for client in list(self._clients):
            client.transport.abortConnection()

    def gone(self, client: _Client) -> None:
        """A connection has ended."""
        self._clients.discard(client)
        self._strangers.left(client)
        self._known -= client.is_known
        if not self._clients and self._left is not None and not self._left.called:
            self._left.callback(None)


class _Client(LineOnlyReceiver):
    delimiter = b"\n"
    MAX_LENGTH = MAX_LINE
    transport: Any

    def __init__(self, console: Console, control: Callable[[], Control | None], token: str) -> None:
        self._console = console
        self._control = control
        self._token = token
        self._missed = 0
        self._is_slow = False
        self.is_known = False
        self.watching = ""  # "text" or "json"

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, True)
        self._console.arrived(self)

    def connectionLost(self, reason: Any = None) -> None:  # noqa: ARG002
        self._console.gone(self)

    def end(self) -> None:
        self.transport.unregisterProducer()
        self.transport.loseConnection()

    def refuse(self, why: str) -> None:
        self._say(f"error: {why}".encode())
        self.end()

    # IPushProducer: how the transport says that its reader is slow.

    def pauseProducing(self) -> None:
        self._is_slow = True

    def resumeProducing(self) -> None:
        self._is_slow = False

    def stopProducing(self) -> None:
        """The connection is gone."""

    def _say(self, line: bytes) -> None:
        self.transport.write(line + b"\n")

    def show(self, line: bytes) -> None:
        """One line for a watcher, unless it has too much to read already."""
        if self._is_slow:
            self._missed += 1
            return
        if self._missed:
            self._say(f"... {self._missed:,} lines were not shown, this connection reads too slowly".encode())
            self._missed = 0
        self._say(line)

    def lineReceived(self, line: bytes) -> None:
        words = line.decode("utf-8", "replace").strip().split()
        if self._token:
            if not hmac.compare_digest(line.strip(), self._token.encode()):
                self.refuse("the first line must be the token that the run shows")
            elif self._console.recognise(self):
                self._token = ""
                self._say(b"ok")
            return
        self.watching = ""
        try:
            answer = self._answer(words[0], words[1:]) if words else []
        except ValueError as error:
            self._say(f"error: {printable(str(error))}".encode())
            return
        if answer is not None:
            for text in (*answer, "ok"):
                self._say(text.encode("utf-8", "replace"))

    def _answer(self, verb: str, arguments: Sequence[str]) -> list[str] | None:
        """The lines before "ok"; None when the connection ends. Raises ValueError."""
        if verb == "quit":
            self.end()
            return None
        if verb == "help":
            return [f"{usage:<16}{meaning}" for usage, meaning in HELP.items()]
        control = self._control()
        if control is None:
            raise ValueError("the run has not begun yet")
        match verb, *arguments:
            case ["status"]:
                return _status(control)
            case ["hosts"]:
                return _hosts(control, 20)
            case ["hosts", number]:
                return _hosts(control, _whole(number))
            case ["newest", key]:
                return _newest(self._console.newest, key)
            case ["why", url]:
                ended = bool(self._console.newest.of_url(url))
                return [printable(f"{about + ':':<13}{words}") for about, words in control.why(url, ended=ended)]
            case ["pause"]:
                control.pause()
            case ["resume"]:
                control.resume()
            case ["concurrency", number]:
                control.set_concurrency(_whole(number))
            case ["per-host", number]:
                control.set_per_host(_whole(number))
            case ["delay", seconds]:
                control.set_delay(_SECONDS.read(seconds))
            case ["add", url]:
                control.add(url, "console")
            case ["drop", host]:
                control.drop(host)
            case ["stop"]:
                control.stop()
            case ["watch"]:
                self.watching = "text"
            case ["watch", "json"]:
                self.watching = "json"
            case _:
                usage = next((usage for usage in HELP if usage.split()[0] == verb), None)
                raise ValueError(f"{verb!r} is no verb (help lists them)" if usage is None else f"it is: {usage}")
        return []


def _status(control: Control) -> list[str]:
    status = control.status()
    now = status.snapshot
    of = "" if now.total is None else f" of {amount(now.total)}"
    state = "stopping" if status.stopping else "paused" if status.paused else "running"
    waiting = amount(now.queued + now.parked)
    skipped = amount(sum(now.skips.values()))
    lines = [
        f"{state} for {duration(now.elapsed)}: {amount(now.done)}{of} done, {rate(now.rate_now)}",
        f"{amount(now.ok)} ok, {amount(now.failed)} failed, {skipped} skipped, {size(now.size_download)} received",
        f"{amount(now.in_flight)} in flight, {waiting} queued",
        f"concurrency {status.concurrency}, per-host {status.per_host}, delay {status.delay:g} s",
    ]
    for number, worker in enumerate(now.workers, 1):
        replaced = f", {worker.replaced} replaced" if worker.replaced else ""
        lines.append(
            f"worker {number} (pid {worker.pid}): {amount(worker.in_flight)} in flight, {amount(worker.done)} done, "
            f"{worker.cpu:.0%} of a core, {size(worker.memory)}{replaced}"
        )
    if now.crawl is not None:
        lines += _crawl(now.crawl)
    if now.eta is not None:
        lines.append(f"ETA {duration(now.eta)}")
    if now.bottleneck:
        lines.append(printable(now.bottleneck))
    return lines


def _crawl(crawl: WholeCrawl) -> list[str]:
    """The whole of it, and its nodes."""
    lines = [printable(f"crawl {crawl.name}: {books(crawl)}")]
    for node in crawl.nodes[:MOST_NODES]:
        done = f"{amount(node.done)} done ({amount(node.failed)} failed)"
        doing = f"{amount(node.in_flight)} in flight, {amount(node.hosts)} hosts, {done}, {rate(node.rate)}"
        what = doing if node.gone is None else f"gone for {duration(node.gone)}, {done}"
        lines.append(f"node {printable(node.name)}{' (this)' if node.is_this else ''}: {what}")
    more = crawl.there + crawl.gone - len(crawl.nodes[:MOST_NODES])
    return [*lines, f"and {amount(more)} more nodes"] if more else lines


def _hosts(control: Control, number: int) -> list[str]:
    views = control.hosts(number)
    lines = []
    for view in views:
        doing = f"{view.queued:>9,} queued {view.in_flight:>4} of {view.limit} in flight {view.delay:>7g} s"
        lines.append(f"{printable(view.key, 60):<40} {doing}  {view.binding or 'ready'}")
    return lines


def _newest(newest: Newest, key: str) -> list[str]:
    """The newest that a word may mean, the newest last."""
    outcome = {"http-errors": "http_error"}.get(key, key)
    of: Of = "code"
    if len(key) == 3 and key.isdigit():
        of = "status"
    elif key.endswith("xx"):
        of, key = "class", key[:1]
    elif ":" in key:
        of = "host"
    elif outcome in get_args(Kind):
        of, key = "outcome", outcome
    return [
        printable(f"{seen.error or seen.status:<20} {seen.url}" + (f"  from {seen.via}" if seen.via else ""))
        for seen in newest.of(of, key)
    ]


def _whole(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ValueError(f"{text!r} is not a whole number")
    return int(text)
