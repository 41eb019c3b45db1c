"""What a run does with cookies: which it sends, and how long it keeps those that it gets.

`chain` keeps them inside one URL's redirects: many a server sets a cookie, redirects to the same page, and looks
whether it comes back. They travel with the request and are lost with it, so that no URL's answer depends on which was
fetched before. `run` keeps them for all that is fetched, in the order of arrival: a session. `off` keeps none.

What the user gives is sent in any case: cookies of a file where they belong, the others to the servers of typed URLs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final, Literal

import msgspec

from crawler.fetch.cookies.jar import MAX_HEADER, Jar
from crawler.models import Cookie, Request, Response
from crawler.urls import Url

Keep = Literal["chain", "run", "off"]
Pairs = Sequence[tuple[str, str]]
MAX_CARRIED: Final = 32 * 1024
"""Bytes of memory that the cookies of one URL's redirects may take: four times what goes into a request."""
_FIELD: Final = "Cookie"


class Cookies:
    """The cookies of one run. `jar` has those of files, and what `run` keeps; `given` are pairs "a=b; c=d" that go
    wherever the user's own headers go. `keep_of` says of a `host:port` what is otherwise there, if it is.
    """

    def __init__(
        self,
        keep: Keep = "chain",
        *,
        jar: Jar | None = None,
        given: Sequence[str] = (),
        keep_of: Callable[[str], Keep | None] | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.jar = Jar() if jar is None else jar
        self._keep = keep
        self._given = [pair.strip(" \t") for text in given for pair in text.split(";") if pair.strip(" \t")]
        self._keep_of = keep_of
        self._wall_clock = wall_clock

    def keep(self, url: Url) -> Keep:
        return self._keep if self._keep_of is None else self._keep_of(url.host_key) or self._keep

    @property
    def keeps_any(self) -> bool:
        return self._keep != "off" or self._keep_of is not None

    @property
    def keeps_runs(self) -> bool:
        """Whether some answer's cookies may be kept for the run."""
        return self._keep == "run" or self._keep_of is not None

    @property
    def sends_always(self) -> bool:
        """Whether there may be cookies for a request that brings none itself."""
        return self.keeps_runs or bool(self._given) or len(self.jar) > 0

    def source(self, request: Request, private: bool) -> list[tuple[str, str]]:
        """The Cookie field of a request, if any cookie goes with it: for `Heads`.

        Of two with one name that of the redirects goes before that of the jar, that before one that was given.
        """
        url, now = request.url, self._wall_clock()
        text = Jar(request.cookies).header(url, now) if request.cookies else ""
        text = _joined(text, self.jar.header(url, now, without=names(text), room=MAX_HEADER - len(text)))
        if private and self._given:
            taken = names(text)
            text = _joined(text, "; ".join(pair for pair in self._given if pair.partition("=")[0] not in taken))
        return [(_FIELD, _as_bytes(text))] if text else []

    def heard(self, request: Request, lines: Sequence[str]) -> bool:
        """Take in the Set-Cookie lines of an answer as soon as they are there. Whether the jar changed by that."""
        if self.keep(request.url) != "run":
            return False
        return self.jar.hear(request.url, lines, self._wall_clock())

    def hop(self, request: Request, response: Response) -> tuple[Request, bool]:
        """The request with the cookies that its redirect has set, and whether they are others than before."""
        if self.keep(request.url) != "chain":
            return request, response.new_cookies
        jar = Jar(request.cookies)
        if not jar.hear(request.url, response.headers.get("set-cookie", ()), response.started):
            return request, False
        return msgspec.structs.replace(request, cookies=_newest(list(jar))), True


def _newest(cookies: list[Cookie]) -> tuple[Cookie, ...]:
    """Those that were set last, as far as a request may carry them: thousands of them may wait for another try."""
    room = MAX_CARRIED
    for at in range(len(cookies) - 1, -1, -1):
        room -= cookies[at].size
        if room < 0:
            return tuple(cookies[at + 1 :])
    return tuple(cookies)


def names(text: str) -> frozenset[str]:
    """The names of the cookies in a Cookie field."""
    return frozenset(pair.partition("=")[0].strip(" \t") for pair in text.split(";") if "=" in pair)


def merged(more: Pairs, fields: Pairs) -> list[tuple[str, str]]:
    """All of both, but of each name those that the user wrote, which are among `fields`.

    For Cookie that holds of each cookie's name, in one field (RFC 6265bis section 5.8.1).
    """
    if not more:
        return list(fields)
    written = {name.lower() for name, _ in fields}
    more = [(name, value) for name, value in more if name == _FIELD or name.lower() not in written]
    if _FIELD.lower() not in written or not any(name == _FIELD for name, _ in more):
        return [*more, *fields]
    cookies = [value for name, value in fields if name.lower() == "cookie"]
    taken = names("; ".join(cookies))
    kept = [
        pair
        for name, value in more
        if name == _FIELD
        for pair in value.split("; ")
        if pair.partition("=")[0] not in taken
    ]
    rest = [field for field in (*more, *fields) if field[0].lower() != "cookie"]
    return [(_FIELD, "; ".join([*kept, *cookies])), *rest]


def _joined(*texts: str) -> str:
    return "; ".join(text for text in texts if text)


def _as_bytes(text: str) -> str:
    """Latin-1 to what heads are written of, UTF-8 in which other bytes stand as surrogates: each byte as it came."""
    return text if text.isascii() else text.encode("latin-1").decode("utf-8", "surrogateescape")
