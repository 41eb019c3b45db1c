"""The built-in site for a test: what it was asked, and answers and faults as the test orders them."""

from __future__ import annotations

import json
import threading
import traceback
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, NamedTuple

from crawler.config.kinds import shown, suggestion
from crawler.site import FAULTS, Drive, RunningSite, Site, Wire, answer, running_site

_HTML: Final = "text/html; charset=utf-8"
_JSON: Final = "application/json"


class Asked(NamedTuple):
    """A request as the site got it. `path` is as it was written, with the query; names of headers are in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The body, which is JSON. Raises ValueError where it is not."""
        return json.loads(self.body)


class Answer(NamedTuple):
    """What is answered. `body` is text, bytes, or what becomes JSON: a dict or a list. `delay` is in seconds."""

    body: str | bytes | Mapping[str, Any] | Sequence[Any] = b""
    status: int = 200
    headers: Mapping[str, str] = {}
    delay: float = 0.0

    def wire(self) -> bytes:
        media = _HTML
        body = self.body
        if isinstance(body, str):
            body = body.encode()
        elif not isinstance(body, (bytes, bytearray)):
            body, media = json.dumps(body).encode(), _JSON
        fields = []
        for name, value in self.headers.items():
            if name.lower() == "content-type":
                media = value
            else:
                fields.append(f"{name}: {value}")
        return answer(bytes(body), *fields, status=self.status, media=media)


class _Order:
    """What is answered for a path, and how often; None is ever after."""

    def __init__(self, drive: Drive, times: int | None) -> None:
        self.drive = drive
        self.left = times


class _OrderedSite(Site):
    """The built-in site, which looks for orders first, and writes down all of each request."""

    def __init__(self, clock: Any, *, keep_log: bool = True) -> None:
        super().__init__(clock, keep_log=keep_log)
        self.ready = {}  # so that all is looked for
        self.orders: dict[str, list[_Order]] = {}
        self.asked: list[Asked] = []
        self.errors: list[Exception] = []
        self.lock = threading.Lock()

    def taker(self, method: str, path: str) -> Drive:  # noqa: ARG002 - which path, the request says
        return self._answer

    def find(self, path: str) -> Drive:  # noqa: ARG002 - which path, the request says
        return self._answer

    def _answer(self, wire: Wire) -> None:
        asked = wire.method in {"GET", "HEAD"}
        target = f"{wire.path}?{wire.query}" if wire.query else wire.path
        with self.lock:
            self.asked.append(Asked(wire.method, target, _headers(wire.head), b"" if asked else wire.body))
            order = self._order(target) or self._order(wire.path)
        found = order or self._usual(wire.method, wire.path, asked=asked)
        if isinstance(found, bytes):
            wire.reply(found)
        else:
            found(wire)

    def _order(self, path: str) -> Drive | None:
        orders = self.orders.get(path)
        if not orders:
            return None
        order = orders[0]
        if order.left is not None:
            order.left -= 1
            if order.left == 0:
                orders.pop(0)
        return order.drive

    def _usual(self, method: str, path: str, *, asked: bool) -> Drive | bytes:
        if not asked:
            return super().taker(method, path) or answer(f"Nothing takes a {method} here.\n".encode(), status=405)
        found = super().find(path)
        self.ready.clear()
        return found


def _headers(head: bytes) -> dict[str, str]:
    lines = (line.decode("latin-1").partition(":") for line in head.split(b"\r\n")[1:] if line)
    return {name.strip().lower(): value.strip() for name, _, value in lines}


class LocalSite:
    """The built-in site of one test. It has all pages and faults of `python -m crawler.site`, unless they are ordered
    otherwise. What is ordered for a path comes in that order: `times` times, without it ever after.
    """

    def __init__(self, running: RunningSite, site: _OrderedSite) -> None:
        self._running = running
        self._site = site

    def url(self, path: str = "/") -> str:
        """The URL of a path."""
        return self._running.url(_path(path))

    @property
    def asked(self) -> list[Asked]:
        """The requests until now, in their order."""
        with self._site.lock:
            return list(self._site.asked)

    @property
    def paths(self) -> list[str]:
        """The paths of these, with their queries."""
        return [asked.path for asked in self.asked]

    def answer(
        self,
        path: str,
        body: str | bytes | Mapping[str, Any] | Sequence[Any] | Callable[[Asked], Any] = b"",
        *,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        delay: float = 0.0,
        times: int | None = None,
    ) -> None:
        """Answer a path, of any query if it has none, with this: GET, HEAD, POST, PUT, PATCH, DELETE and OPTIONS.

        `body` is text (taken for HTML, unless the headers have a Content-Type), bytes, what becomes JSON (a dict or a
        list), or a function that gets what was asked and gives one of these, or an `Answer`. It runs in the site's
        thread; what it raises is answered with 500, and raised when the site is left. `delay` is in seconds.
        """
        if callable(body):
            drive: Drive = partial(self._made, body, Answer(b"", status, headers or {}, delay))
        else:
            drive = partial(_sent, Answer(body, status, headers or {}, delay))
        Answer(b"" if callable(body) else body, status, headers or {}, delay).wire()  # what is wrong with it, at once
        self._put(path, drive, times)

    def fault(self, path: str, name: str, *, times: int | None = None) -> None:
        """Answer a path with a fault of the built-in site: "reset", "silence", "body-short", "gzip-bomb" ...

        Raises ValueError for one that there is not. All are in `crawler.site.FAULTS`, and on the site's page at `/`.
        """
        fault = FAULTS.get(name)
        if fault is None:
            raise ValueError(f"{shown(name)} is no fault of the built-in site{suggestion(name, FAULTS)}")
        if fault.tls:
            raise ValueError(f"{shown(name)} shows over TLS only, and this site speaks plain HTTP")
        self._put(path, fault.drive, times)

    def forget(self) -> None:
        """Forget all orders, and what was asked."""
        with self._site.lock:
            self._site.orders.clear()
            self._site.asked.clear()

    def _put(self, path: str, drive: Drive, times: int | None) -> None:
        if times is not None and times < 1:
            raise ValueError(f"times: {times} is not a number from 1")
        with self._site.lock:
            orders = self._site.orders.setdefault(_path(path), [])
            if orders and orders[-1].left is None:
                orders.pop()
            orders.append(_Order(drive, times))

    def _made(self, function: Callable[[Asked], Any], otherwise: Answer, wire: Wire) -> None:
        asked = self._site.asked[-1]
        try:
            given = function(asked)
            made = given if isinstance(given, Answer) else otherwise._replace(body=given)
            made.wire()
        except Exception as error:  # the test's own: raised when the site is left
            self._site.errors.append(error)
            made = Answer(traceback.format_exc(), 500, {"Content-Type": "text/plain; charset=utf-8"})
        _sent(made, wire)


def _path(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"{shown(path)} is no path of the site (it begins with /)")
    return path


def _sent(made: Answer, wire: Wire) -> None:
    if made.delay:
        wire.later(made.delay, wire.reply, made.wire())
    else:
        wire.reply(made.wire())


@contextmanager
def serving() -> Generator[LocalSite]:
    """Serve on a free loopback port, in a thread. Leaving closes every socket, and raises what an answer's function
    raised.
    """
    with running_site(make=_OrderedSite) as running:
        site = running.site
        assert isinstance(site, _OrderedSite)
        yield LocalSite(running, site)
    if site.errors:
        raise site.errors[0]
