"""The live page's port: the page itself, tickets for its WebSocket, and the JSON API.

The page's files hold no secret; all else wants the token of the run. A WebSocket cannot bring a header along, so it
brings a ticket, which whoever knows the token gets: it is good once, and for ten seconds.
"""

from __future__ import annotations

import secrets
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from twisted.web.websocket import WebSocketResource

from crawler.config.options.monitor import Place
from crawler.models import Record, Response
from crawler.monitor.dashboard.live import Live
from crawler.monitor.dashboard.verbs import CHANGES, VIEWS, Hosts, Records, Why, read_change, read_view
from crawler.monitor.guard import UNAUTHORIZED, Guard, GuardedSite, recognise, taken
from crawler.printable import json_bytes

TICKET_SECONDS: Final = 10.0
MAX_TICKETS: Final = 64

_KINDS: Final = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".txt": "text/plain"}
_JSON: Final = "application/json"
_log = Logger()


class Dashboard:
    """A sink that shows the run to whoever knows the token. `open` once there is a port."""

    def __init__(self, live: Live, *, reactor: Any) -> None:
        self._live = live
        self._resource = _Everything(live, reactor)
        self.site = GuardedSite(self._resource, reactor)

    def open(self, port: Any, place: Place, token: str) -> None:
        """Listening has begun, on this port: from now on requests are answered."""
        self.site.listening(port)
        self._resource.open(place, token)
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

    def __init__(self, live: Live, reactor: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._live = live
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

    def open(self, place: Place, token: str) -> None:
        self._guard = Guard(place, token)
        sockets = f"ws://{place} ws://localhost:{place.port}"
        self._policy = (
            f"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self' {sockets}; "
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
        if path == "/ws" and method == "GET":
            return self._websocket(request)
        if not path.startswith("/api/"):
            return _error(request, 404, f"there is no {path}")
        if not self._guard.knows(request):
            request.setHeader("WWW-Authenticate", "Bearer")
            return _error(request, UNAUTHORIZED, "the Authorization header has not the token of this run (Bearer ...)")
        return self._api(request, method, path.removeprefix("/api/"))

    def _websocket(self, request: Request) -> bytes | int:
        ticket = request.args.get(b"ticket", [b""])[0].decode("latin-1")
        if self._tickets.pop(ticket, float("-inf")) < self._clock.seconds():
            return _error(request, UNAUTHORIZED, "no ticket, or it was used or is too old (POST /api/ticket)")
        recognise(request)
        if self._live.is_full:
            return _error(request, 503, "too many pages watch this run")
        answer: bytes | int = self._socket.render_GET(request)
        return answer

    def _api(self, request: Request, method: str, name: str) -> bytes | int:
        body: Any = request.content
        try:
            match method, name:
                case "GET", "why":
                    return _later(request, self._live.story(read_view(Why, _query(request)).url))
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


def _later(request: Request, answer: Deferred[Any]) -> int:
    """Answer when it is known; who is gone by then has it cancelled."""

    def send(body: bytes) -> None:
        request.setHeader("Content-Length", str(len(body)))
        request.write(body)
        request.finish()

    def failed(failure: Failure) -> None:
        if failure.check(CancelledError) is None:  # a bug
            _log.failure("a bug in the live page", failure)
            send(_error(request, 500, "a bug: the log has it"))

    request.notifyFinish().addErrback(lambda _: answer.cancel())
    answer.addCallback(lambda known: send(_answer(request, json_bytes(known)))).addErrback(failed)
    return NOT_DONE_YET


def _answer(request: Request, body: bytes, kind: str = _JSON) -> bytes:
    request.setHeader("Content-Type", kind)
    return body


def _error(request: Request, status: int, reason: str) -> bytes:
    request.setResponseCode(status)
    return _answer(request, json_bytes({"error": reason}))
