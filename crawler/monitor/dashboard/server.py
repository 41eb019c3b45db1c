"""The live page's port: the page itself, tickets for its WebSocket, and the JSON API.

The page's files hold no secret; all else wants the token of the run. A WebSocket and a link cannot bring a header
along, so they bring a ticket, which whoever knows the token gets: it is good once, and for ten seconds.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection
from importlib.resources import files
from os import SEEK_END
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import quote

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from twisted.web.websocket import WebSocketResource

from crawler.config.options.monitor import Place
from crawler.errors import CodedError
from crawler.models import Record, Response
from crawler.monitor.dashboard.about import About
from crawler.monitor.dashboard.live import Live
from crawler.monitor.dashboard.verbs import CHANGES, VIEWS, Hosts, Records, Why, read_change, read_view
from crawler.monitor.guard import UNAUTHORIZED, Guard, GuardedSite, recognise, taken
from crawler.printable import json_bytes

TICKET_SECONDS: Final = 10.0
MAX_TICKETS: Final = 64

_KINDS: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".txt": "text/plain"}
_PIECE: Final = 64 << 10
_JSON: Final = "application/json"
_log = Logger()


class Dashboard:
    """A sink that shows the run to whoever knows the token. `open` once there is a port."""

    def __init__(self, live: Live, about: About, *, reactor: Any) -> None:
        self._live = live
        self._resource = _Everything(live, about, reactor)
        self.site = GuardedSite(self._resource, reactor)

    def open(self, port: Any, place: Place, token: str, *, names: Collection[str] = (), is_tls: bool = False) -> None:
        """Listening has begun, on this port: from now on requests are answered. For names and TLS see Guard."""
        self.site.listening(port)
        self._resource.open(Guard(place, token, names=names, is_tls=is_tls))
        self._live.begin()

    def write(self, record: Record, response: Response | None, sequence: int) -> None:
        self._live.write(record, response, sequence)

    def flush(self) -> None:
        """Nobody is waited for."""

    def close(self) -> Deferred[Any] | None:
        """Show the end, and close the port and its connections."""
        if self.site.is_open:
            self._live.end()
        return self.site.close()


class _Everything(Resource):
    isLeaf = True

    def __init__(self, live: Live, about: About, reactor: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._live = live
        self._about = about
        self._is_reporting = False
        self._clock = reactor
        self._socket = WebSocketResource(live)
        self._guard: Guard | None = None
        self._policy = ""
        self._tickets: dict[str, float] = {}
        self._files = {
            f"/{file.name}": (file.read_bytes(), f"{kind}; charset=utf-8")
            for file in (files(__package__) / "page").iterdir()
            if (kind := _KINDS.get(Path(file.name).suffix)) is not None
        }
        self._files["/"] = self._files.pop("/index.html")

    def open(self, guard: Guard) -> None:
        self._guard = guard
        self._policy = (
            f"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {guard.sockets}; "
            "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )

    def render(self, request: Request) -> bytes | int:
        taken(request)
        for name, value in (
            ("Server", "crawler"),
            ("Content-Security-Policy", self._policy),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cache-Control", "no-store"),
        ):
            request.setHeader(name, value)
        if self._guard is None:  # the port is open, and nobody was told of it yet
            return _error(request, 503, "not yet")
        refusal = self._guard.refusal(request)
        if refusal is not None:
            return _error(request, *refusal)
        method, path = request.method.decode("latin-1"), request.path.decode("latin-1")
        if path in self._files:
            if method not in {"GET", "HEAD"}:
                return _error(request, 405, f"{method} {path} (GET)")
            body, kind = self._files[path]
            return _answer(request, body, kind)
        if method == "GET" and (path in {"/ws", "/report"} or path.startswith("/files/")):
            if not self._is_open_to(request):
                return _error(request, UNAUTHORIZED, "no ticket, or it was used or is too old (POST /api/ticket)")
            recognise(request)
            if path == "/ws":
                return self._websocket(request)
            return self._report(request) if path == "/report" else self._file(request, path.removeprefix("/files/"))
        if not path.startswith("/api/"):
            return _error(request, 404, f"there is no {path}")
        if not self._guard.knows(request):
            request.setHeader("WWW-Authenticate", "Bearer")
            return _error(request, UNAUTHORIZED, "the Authorization header has not the token of this run (Bearer ...)")
        return self._api(request, method, path.removeprefix("/api/"))

    def _is_open_to(self, request: Request) -> bool:
        """Whether it brings a ticket, which is good for this once."""
        ticket = request.args.get(b"ticket", [b""])[0].decode("latin-1")
        now: float = self._clock.seconds()
        return self._tickets.pop(ticket, float("-inf")) >= now

    def _file(self, request: Request, number: str) -> bytes | int:
        """A file of this run, as long as it is now."""
        try:
            name, file = self._about.open(int(number) if number.isascii() and number.isdigit() else -1)
        except ValueError as error:
            return _error(request, 404, str(error))
        request.setHeader("Content-Type", "application/octet-stream")
        request.setHeader("Content-Disposition", f"attachment; filename*=UTF-8''{quote(name, safe='')}")
        return _Sending(request, file).begin()

    def _report(self, request: Request) -> bytes | int:
        """A report of what is written already: one is made at a time."""
        make = self._about.make_report
        if make is None or self._is_reporting or self._about.is_reporting():
            why = "a report is being made: ask again when it is there"
            return _error(request, 503, why if make is not None else "no report can be made")
        self._is_reporting = True

        def made(result: Any) -> Any:
            self._is_reporting = False
            return result

        def show(file: BinaryIO) -> None:
            request.setHeader("Content-Type", "text/html; charset=utf-8")
            # What it may load and run its own policy says; of this origin, where the token is, it is no part.
            request.setHeader("Content-Security-Policy", "sandbox allow-scripts allow-popups; frame-ancestors 'none'")
            _Sending(request, file).begin()

        return _when(request, make().addBoth(made), show)

    def _websocket(self, request: Request) -> bytes | int:
        if self._live.is_full:
            return _error(request, 503, "too many pages watch this run")
        answer: bytes | int = self._socket.render_GET(request)
        return answer

    def _api(self, request: Request, method: str, name: str) -> bytes | int:
        body: Any = request.content
        try:
            match method, name:
                case "GET", "why":
                    story = self._live.story(read_view(Why, _query(request)).url)
                    return _when(request, story, lambda told: _finish(request, _answer(request, json_bytes(told))))
                case "GET", "run":
                    return _answer(request, json_bytes(self._about.told(self._live.newest.number)))
                case "POST", "ticket":
                    return _answer(request, json_bytes({"ticket": self._ticket()}))
                case "GET", "status":
                    return _answer(request, json_bytes(self._live.running().status()))
                case "GET", "hosts":
                    view = read_view(Hosts, _query(request))
                    self._live.hosts.refresh()
                    return _answer(request, json_bytes(self._live.hosts.window(view)))
                case "GET", "records":
                    return _answer(request, json_bytes(self._live.records(read_view(Records, _query(request)))))
                case "POST", _ if name in CHANGES:
                    read_change(name, body.read()).run(self._live.running())
                    return _answer(request, b'{"ok":true}')
        except ValueError as error:
            return _error(request, 400, str(error))
        known = ", ".join(
            [*(f"GET {view}" for view in VIEWS), *(f"POST {verb}" for verb in ["ticket", *sorted(CHANGES)])]
        )
        return _error(request, 404, f"there is no {method} /api/{name} ({known})")

    def _ticket(self) -> str:
        now = self._clock.seconds()
        self._tickets = {ticket: until for ticket, until in self._tickets.items() if until >= now}
        if len(self._tickets) >= MAX_TICKETS:
            raise ValueError("too many tickets wait to be used")
        ticket = secrets.token_urlsafe(32)
        self._tickets[ticket] = now + TICKET_SECONDS
        return ticket


def _query(request: Request) -> dict[str, str]:
    return {
        name.decode("utf-8", "replace"): values[-1].decode("utf-8", "replace") for name, values in request.args.items()
    }


def _when(request: Request, known: Deferred[Any], tell: Callable[[Any], object]) -> int:
    """Answer when something is known; who is gone by then has it cancelled."""

    def failed(failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        words = "a bug: the log has it"
        if failure.check(CodedError):
            words = failure.getErrorMessage()
        else:
            _log.failure("a bug in the live page", failure)
        _finish(request, _error(request, 500, words))

    request.notifyFinish().addErrback(lambda _: known.cancel())
    known.addCallback(tell).addErrback(failed)
    return NOT_DONE_YET


def _finish(request: Request, body: bytes) -> None:
    request.setHeader("Content-Length", str(len(body)))
    request.write(body)
    request.finish()


class _Sending:
    """An IPushProducer that sends a file as long as it is now, and closes it. Twisted's own are in turns of its reactor
    of the process, which is not ours.
    """

    def __init__(self, request: Request, file: BinaryIO) -> None:
        self._request = request
        self._file = file
        self._left = file.seek(0, SEEK_END)
        self._is_paused = False

    def begin(self) -> int:
        self._request.setHeader("Content-Length", str(self._left))
        self._request.notifyFinish().addBoth(lambda _: self._file.close())
        self._file.seek(0)
        self._request.registerProducer(self, True)
        self.resumeProducing()
        return NOT_DONE_YET

    def resumeProducing(self) -> None:
        self._is_paused = False
        while self._left and not self._is_paused and not self._file.closed:
            piece = self._file.read(min(_PIECE, self._left))
            if not piece:  # it was cut meanwhile: what was announced cannot be had
                self._request.loseConnection()
                return
            self._left -= len(piece)
            self._request.write(piece)
        if not self._left and not self._file.closed:
            self._request.unregisterProducer()
            self._request.finish()

    def pauseProducing(self) -> None:
        self._is_paused = True

    def stopProducing(self) -> None:
        self._file.close()


def _answer(request: Request, body: bytes, kind: str = _JSON) -> bytes:
    request.setHeader("Content-Type", kind)
    return body


def _error(request: Request, status: int, reason: str) -> bytes:
    request.setResponseCode(status)
    return _answer(request, json_bytes({"error": reason}))
