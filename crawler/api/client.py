"""What both kinds of session are, and what may come with a URL."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

from crawler.api.line import Call, Line
from crawler.config.config import Config, ConfigError
from crawler.config.options.cookies import SESSION
from crawler.seeds.asked import Content, Files, Pairs, Request
from crawler.urls import Url

if TYPE_CHECKING:
    from crawler.config.typed import Options
    from crawler.run.access.login import Login

Asked = str | Url | Request | Mapping[str, Any]

_ELSEWHERE: Final = {
    "recursive": "use crawl()",
    "sitemap": "use stream(), or crawl()",
    "inputs": "ask for URLs: session.fetch(url)",
    "job": "a job goes on with its list: use fetch_all(), stream() or crawl()",
    "since": "use fetch_all(), stream() or crawl()",
}
"""Options of a run that has a list, and what to do about them."""


class RequestParts(TypedDict, total=False):
    """What may come with a URL: the parameters of a Request."""

    method: str | None
    params: Pairs | None
    headers: Pairs | Iterable[str] | None
    data: str | Content | Pairs | None
    json: Any
    form: Pairs | None
    files: Files | None
    meta: Any


class Client:
    """What both kinds of session are: a config, and a line to the run, from the first call to the end."""

    def __init__(self, *, login: Login | None = None, **options: Unpack[Options]) -> None:
        for name, words in _ELSEWHERE.items():
            if options.get(name):
                raise ConfigError(f"keyword {name}: a Session fetches what it is asked for ({words})")
        self._login = login
        self._options = options
        kept: dict[str, Any] = {"cookies": SESSION, **options}
        self._config = Config.build(**kept)
        self._line: Line | None = None
        self._closed = False
        self._process = os.getpid()

    def _started(self, line: Line) -> Line:
        try:
            line.start(self._config, self._login)
        except BaseException:
            self._closed = True
            raise
        self._line = line
        return line

    def _put(self, line: Line, call: Call) -> bool:
        """Whether the run is to be woken. Raises RuntimeError where nobody would answer."""
        if self._process != os.getpid():
            raise RuntimeError("this Session belongs to the process that made this one: make another here")
        wake = line.put(call)
        if wake is None:
            error = line.over.exception() if line.over.done() else None
            raise RuntimeError("this Session is closed: make another") from error
        return wake

    def _end(self) -> Line | None:
        """Take no more calls. Gives the line to be ended: None without one, and in another process, whose it is not."""
        self._closed = True
        return self._line if self._process == os.getpid() else None

    def _check_open(self) -> None:
        if self._closed:
            raise RuntimeError("this Session is closed: make another")

    def __del__(self) -> None:
        line = getattr(self, "_line", None)
        if line is not None and not line.over.done() and self._process == os.getpid():
            line.abort()
            warnings.warn(f"a {type(self).__name__} was not closed (use it with `with`)", ResourceWarning, stacklevel=1)


def let_go(line: Line, call: Call) -> None:
    """Nobody waits for it any more."""
    future = call.future
    if not future.done() or future.cancelled():
        future.cancel()
        line.give_up(call)
    else:
        future.exception()  # to look at it says that somebody has


def request_of(url: Asked, parts: RequestParts) -> object:
    if not parts:
        return url
    if not isinstance(url, (str, Url)):
        given = ", ".join(parts)
        raise TypeError(f"{given}: what belongs to a {type(url).__name__} is given with it (or give a URL as text)")
    return Request(url, **parts)


def by(method: str, parts: RequestParts) -> RequestParts:
    if "method" in parts:
        raise TypeError(f"method: this is {method} (use fetch)")
    return {**parts, "method": method}


def several(urls: Iterable[Any]) -> Iterator[Any]:
    if isinstance(urls, (str, bytes, Request, Url, os.PathLike, Mapping)):
        raise TypeError(f"an iterable of URLs is wanted, not one {type(urls).__name__} (use fetch)")
    return iter(urls)


def window_of(config: Config) -> int:
    """How many calls of a stream are under way: enough for all slots, while some records wait to be taken."""
    return 2 * config.concurrency
