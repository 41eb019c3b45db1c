"""The loopback site in a thread of its own, for tests and scripts; and the URLs that a newcomer's demo fetches."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IListeningPort

from crawler.run.reactors import private_reactor, run
from crawler.site.server import Site

DEMO_TIMEOUT: Final = 1.0  # seconds; the slow page takes four
DEMO_RETRIES: Final = 1
DEMO_PATHS: Final = (
    "/",
    "/hello/english.html",
    "/hello/german.html",
    "/hello/arabic.html",
    "/hello/russian.html",
    "/hello/japanese.html",
    "/paper.pdf",
    "/data.json",
    "/big.html",
    "/encoded/brotli.html",
    "/moved/twice",
    "/no-content",
    "/missing.html",
    "/slow.html",
    "/fault/redirect-loop",
    "/fault/body-short",
    "/fault/gzip-bomb",
    "/fault/ssh-banner",
)


@dataclass(frozen=True, slots=True)
class RunningSite:
    """A site that serves on `host`:`port` in another thread. Its log may be read from any thread."""

    site: Site
    scheme: str
    host: str
    port: int

    def url(self, path: str = "/") -> str:
        return f"{self.scheme}://{self.host}:{self.port}{path}"


@dataclass(frozen=True, slots=True)
class _Started:
    running: RunningSite
    reactor: Any
    leave: Deferred[None]


@contextmanager
def running_site(*, tls: Any = None, keep_log: bool = True, make: type[Site] = Site) -> Generator[RunningSite]:
    """Serve on a free loopback port, in a thread with its own reactor. Leaving closes every socket.

    `tls` is a Twisted context factory (pyOpenSSL); `make` is which site. Raises CannotListenError.
    """
    news: queue.SimpleQueue[_Started | BaseException] = queue.SimpleQueue()

    def serve() -> None:
        try:
            with private_reactor() as (reactor, _):
                run(reactor, lambda: _serve(make(reactor, keep_log=keep_log), reactor, tls, news))
        except BaseException as error:  # raised again in the thread that waits for us
            news.put(error)

    thread = threading.Thread(target=serve, name="loopback site", daemon=True)
    thread.start()
    started = news.get()
    if isinstance(started, BaseException):
        thread.join()
        raise started
    try:
        yield started.running
    finally:
        started.reactor.callFromThread(started.leave.callback, None)
        thread.join()


def _serve(site: Site, reactor: Any, tls: Any, news: queue.SimpleQueue[_Started | BaseException]) -> Deferred[Any]:
    """Listen, say so, and fire when all is closed again."""
    leave: Deferred[None] = Deferred()

    def serving(port: IListeningPort) -> Deferred[Any]:
        address: Any = port.getHost()
        running = RunningSite(site, "http" if tls is None else "https", address.host, address.port)
        news.put(_Started(running, reactor, leave))
        return leave.addCallback(lambda _: close(port))

    def close(port: IListeningPort) -> Any:
        site.drop_connections()
        return port.stopListening()

    return site.listen(reactor, tls=tls).addCallback(serving)


@contextmanager
def refused_port() -> Generator[int]:
    """A loopback port that is ours and on which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        yield port


@contextmanager
def start_demo() -> Generator[list[str]]:
    """Serve, and yield some twenty lines as a user gives them: URLs that work, URLs that fail, and one that is none.

    With `--timeout` DEMO_TIMEOUT and `--retries` DEMO_RETRIES the whole list takes about three seconds.
    """
    with running_site(keep_log=False) as site, refused_port() as port:
        yield [
            *map(site.url, DEMO_PATHS),
            f"http://{site.host}:{port}/",
            "http://no-such-host.invalid/",
            "this line is not a URL",
        ]
