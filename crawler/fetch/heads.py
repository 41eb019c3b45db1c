"""The head of a request as it is sent: what every request says, and what only some do. Pure.

What is private (the user's headers, logins, cookies) goes only where `Typed.login` says so.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from crawler.fetch.auth.logins import Logins
from crawler.fetch.cookies.keeping import merged
from crawler.fetch.decode import ACCEPT_ENCODING
from crawler.fetch.sending.body import Outgoing
from crawler.models import BODY_HEADERS, Ask, Request, Response

Pairs = Sequence[tuple[str, str]]
Source = Callable[[Request, bool], Iterable[tuple[str, str]]]
"""Gives more header fields of one request. It is told whether what is private may go along."""

PUBLIC: Final = frozenset(("user-agent", "accept", "accept-language", "range"))
"""The user's headers that go to every server."""
_SECURE: Final = frozenset(("https", "wss"))
_MAY_HAVE_A_BODY: Final = frozenset(("POST", "PUT", "PATCH"))
_NO_CODING: Final = ("Accept-Encoding", "identity")  # a part of what is compressed cannot be read (Fetch, section 5.6)


class _Memo(NamedTuple):
    """What the last request got: mostly all inputs of a run are asked with the same."""

    ask: Ask | None
    private: bool
    kind: str | None
    host: str | None
    block: bytes


class Heads:
    """Writes heads. `headers` are the user's (name, value) pairs; `sources` may be added to before the first request.

    `chained` is asked only about requests that bring cookies along. A header that a request brings with it replaces the
    host's of the same name, that replaces the run's, and those the ones of every request; of Cookie there is one field.
    `headers_at` tells the headers for one host by `Url.host_key`. They go nowhere else; there they go with every
    request, whoever led to it, for the user has named the host; but in the clear only where the run's would go, too.
    """

    def __init__(
        self,
        *,
        user_agent: str,
        headers: Pairs = (),
        login: Callable[[Request], str | None],
        logins: Logins | None = None,
        sources: Sequence[Source] = (),
        headers_at: Callable[[str], Pairs] | None = None,
        chained: Source | None = None,
    ) -> None:
        self._headers_at = headers_at
        self.sources = list(sources)
        self._chained = chained
        self._login = login
        self._logins = logins or Logins()
        self._varies = headers_at is not None or self._logins.active  # whether requests alike may have other fields
        named = {name.lower() for name, _ in headers}
        codings = _NO_CODING if "range" in named else ("Accept-Encoding", ACCEPT_ENCODING)
        common = [("User-Agent", user_agent), ("Accept", "*/*"), codings]
        self._safe = [pair for pair in common if pair[0].lower() not in named]
        self._safe += [pair for pair in headers if pair[0].lower() in PUBLIC]
        self._private = [pair for pair in headers if pair not in self._safe]
        self._names = {"host", *(name.lower() for name, _ in (*self._private, *self._safe))}
        self._authorizes = "authorization" in named
        self._memo = _Memo(None, False, None, None, b"")
        self._safe_block = _lines(self._safe) + b"\r\n"
        self._host, full = _host_of([*self._private, *self._safe])
        self._full_block = _lines(full) + b"\r\n"

    def of(self, request: Request, body: Outgoing | None = None) -> bytes:
        """Everything from the request line to the empty line. With its `body` go the fields that tell of it."""
        url = request.url
        typed = request.input.parent is None and not request.redirects  # not `discovered`, without a call
        login = url.userinfo if typed else self._login(request)
        if request.ask is None and not (login or self._varies or self.sources or request.cookies):
            block, host = (self._safe_block, None) if login is None else (self._full_block, self._host)
            if request.method in _MAY_HAVE_A_BODY:  # RFC 9110 section 8.6
                block = b"Content-Length: 0\r\n" + block
        else:
            block, host = self._own(request, body, login)
        line = f"{request.method} {url.target} HTTP/1.1\r\nHost: {host or url.authority}\r\n"
        return line.encode("ascii") + block

    def _own(self, request: Request, body: Outgoing | None, login: str | None) -> tuple[bytes, str | None]:
        """The fields of a request that has some of its own, and the Host that is asked for, if any."""
        host = None
        of_host = () if self._headers_at is None else self._headers_at(request.url.host_key)
        more = [pair for source in self.sources for pair in source(request, login is not None)] if self.sources else ()
        if request.ask is None and not request.cookies and not of_host and (not more or self._are_others(more)):
            block = self._safe_block
            if login is not None:
                block, host = self._full_block, self._host
            if more:
                block = _lines(more) + block
        else:
            private, kind = login is not None, None if body is None else body.content_type
            memo, plain = self._memo, not (more or of_host or request.redirects)
            if plain and memo.ask is request.ask and memo.private is private and memo.kind == kind:
                host, block = memo.host, memo.block
            else:
                host, fields = _host_of(self._fields(request, private, of_host, body, more))
                block = _lines(fields) + b"\r\n"
                if plain:
                    self._memo = _Memo(request.ask, private, kind, host, block)
        if body is not None:
            block = b"Content-Length: %d\r\n%b" % (body.length, block)
        elif request.method in _MAY_HAVE_A_BODY:
            block = b"Content-Length: 0\r\n" + block
        if (login or self._logins.active) and not self._names_its_own(request, login, of_host):
            value = self._logins.authorization(request, login)
            if value is not None:
                block = b"Authorization: %b\r\n%b" % (value, block)
        return block, host

    def challenged(self, request: Request, response: Response, answers: int) -> bool:
        """Whether a request that got 401 is worth sending once more: `Logins.challenged`."""
        userinfo = self._userinfo(request)
        of_host = () if self._headers_at is None else self._headers_at(request.url.host_key)
        if self._names_its_own(request, userinfo, of_host):
            return False
        found = self._logins.challenged(request, userinfo, response, answers)
        self._varies = self._varies or self._logins.active
        return found

    def _userinfo(self, request: Request) -> str | None:
        return self._login(request) if request.discovered else request.url.userinfo

    def _names_its_own(self, request: Request, userinfo: str | None, of_host: Pairs) -> bool:
        """Whether the user's headers have an Authorization: there is one in a request, and it is that; as in curl."""
        if _named(of_host, "authorization"):
            return True
        if userinfo is None:
            return False
        return self._authorizes or (request.ask is not None and _named(request.ask.headers, "authorization"))

    def _are_others(self, more: Pairs) -> bool:
        """Whether none of these fields has the name of one that all requests have, so that it just goes before them."""
        for name, _ in more:  # noqa: SIM110 - a generator would cost twice as much
            if name.lower() in self._names:
                return False
        return True

    def _fields(
        self, request: Request, private: bool, of_host: Pairs, body: Outgoing | None, more: Pairs
    ) -> list[tuple[str, str]]:
        fields = [*self._private, *self._safe] if private else self._safe
        ask = request.ask
        secure = private or request.url.scheme in _SECURE
        goes = PUBLIC if body is None else PUBLIC | BODY_HEADERS
        kind = () if body is None or body.content_type is None else (("Content-Type", body.content_type),)
        for pairs, may in (
            (of_host, secure),
            (kind, True),
            (() if ask is None else ask.headers, private or _is_at_home(request)),
        ):
            own = [pair for pair in pairs if may or pair[0].lower() in goes]
            if own:
                if _named(own, "range") and not _named(own, "accept-encoding"):
                    own.append(_NO_CODING)
                fields = _over(own, fields)
        if request.cookies and self._chained is not None:
            more = [*more, *self._chained(request, private)]
        return merged(more, fields)


def _is_at_home(request: Request) -> bool:
    """Whether no redirect has led away: what was written for this very request goes where that was sent."""
    origin = f"{request.url.scheme}://{request.url.authority}/"
    return all(hop.url.startswith(origin) for hop in request.redirects)


def _over(own: list[tuple[str, str]], fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """These, and the fields of other names."""
    named = {name.lower() for name, _ in own}
    return [*own, *(pair for pair in fields if pair[0].lower() not in named)]


def _host_of(fields: list[tuple[str, str]]) -> tuple[str | None, list[tuple[str, str]]]:
    """The Host that is asked for, if any, and the other fields: there is one, and it comes first (RFC 9110, 7.2)."""
    host = next((value for name, value in fields if name.lower() == "host"), None)
    return host, fields if host is None else [pair for pair in fields if pair[0].lower() != "host"]


def _named(pairs: Pairs, name: str) -> bool:
    return any(field.lower() == name for field, _ in pairs)


def _lines(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Names are ASCII: who takes them from people or files has seen to that."""
    return "".join([f"{name}: {value}\r\n" for name, value in pairs]).encode("utf-8", "surrogateescape")
