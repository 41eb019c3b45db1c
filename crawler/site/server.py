"""The loopback site: every page by its path, an access log as data, and the index of it all."""

from __future__ import annotations

import html
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort, IReactorTime
from twisted.internet.protocol import Factory

from crawler.site import members
from crawler.site.faults import FAULTS
from crawler.site.pages import PAGES, answer, document, small_page
from crawler.site.wire import Drive, Hit, Wire

BACKLOG: Final = 4096
_MISSING: Final = answer(document("Not found", "Try the <a href='/'>index</a>.").encode(), status=404)


class Site(Factory):
    """Makes a Wire for each client. `log` holds one Hit per request, in order, unless `keep_log` is off."""

    noisy = False

    def __init__(self, clock: IReactorTime, *, keep_log: bool = True) -> None:
        self.clock = clock
        self.keep_log = keep_log
        self.log: list[Hit] = []
        self.ready: dict[bytes, bytes] = {
            path.encode(): page.answer for path, page in PAGES.items() if isinstance(page.answer, bytes)
        }
        self.ready[b"/"] = answer(index().encode())
        self._wires: set[Wire] = set()
        self._connections = 0

    def taker(self, method: str, path: str) -> Drive | None:
        """What answers a method that is neither GET nor HEAD, if anything does."""
        return members.POSTS.get(path) if method == "POST" else None

    def listen(
        self, reactor: Any, *, host: str = "127.0.0.1", port: int = 0, tls: Any = None
    ) -> Deferred[IListeningPort]:
        """Serve on a port (0: any free one); over TLS when given a Twisted context factory."""
        factory: Any = self
        if tls is not None:
            from twisted.protocols.tls import TLSMemoryBIOFactory

            # Without a clock of its own (as in listenSSL) it would flush small writes on the global reactor: never.
            factory = TLSMemoryBIOFactory(tls, False, self, clock=reactor)
        endpoint: Any = TCP4ServerEndpoint(reactor, port, BACKLOG, host)
        listening: Deferred[IListeningPort] = endpoint.listen(factory)
        return listening

    def drop_connections(self) -> None:
        """Reset whoever is connected."""
        for wire in list(self._wires):
            wire.abort()

    @property
    def open_connections(self) -> int:
        return len(self._wires)

    # What a Wire asks.

    def buildProtocol(self, addr: object) -> Wire:  # noqa: ARG002 - Twisted's signature
        return Wire(self)

    def find(self, path: str) -> Drive | bytes:
        small = small_page(path)
        if small is not None:
            self.ready[path.encode()] = small
            return small
        name = path.removeprefix("/fault/")
        if name != path and name in FAULTS:
            return FAULTS[name].drive
        if path.startswith("/found/"):
            return PAGES["/found/"].answer
        if path in members.GETS:
            return members.GETS[path]
        page = PAGES.get(path)
        return _MISSING if page is None else page.answer

    def opened(self, wire: Wire) -> int:
        self._wires.add(wire)
        self._connections += 1
        return self._connections

    def lost(self, wire: Wire) -> None:
        self._wires.discard(wire)


def index() -> str:
    """The page at `/`: a link to everything there is."""
    pages = "".join(_row(path, page.about, "") for path, page in PAGES.items())
    faults = "".join(_row(f"/fault/{name}", fault.about, fault.expect) for name, fault in FAULTS.items())
    small = _row("/p/0.html", "the first of 2,000 small pages with ten links each", "")
    return document(
        "The loopback site",
        "Pages to fetch: good ones, and ones that misbehave. Nothing here leaves this machine.",
        f"</p><h2>Good pages</h2><table>{pages}{small}</table><p>",
        f"</p><h2>Faults</h2><table>{faults}</table><p>",
    )


def _row(path: str, about: str, expect: str) -> str:
    return f'<tr><td><a href="{path}">{path}</a><td>{html.escape(about)}<td>{expect}</tr>\n'
