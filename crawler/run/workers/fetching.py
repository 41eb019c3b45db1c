"""What fetches with workers, and what these are told to begin with."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec
from twisted.internet.defer import Deferred

from crawler.config.config import OPTIONS, Config, ConfigError
from crawler.fetch.budget import Budget, default_limit
from crawler.fetch.fetcher import Fetcher
from crawler.fetch.heads import Heads
from crawler.models import Request, Response
from crawler.run.workers.frames import Start
from crawler.run.workers.pool import Workers
from crawler.sinks.formats import ARCHIVE, targets

_ONE_PROCESS: Final = ("bodies", "mirror", "cache", "accept", "limit_rate")


def start_of(config: Config, own_ports: Iterable[int], number: int, *, wants_bodies: bool) -> Start:
    """What each of `number` workers is told. Raises ConfigError for what only a run in one process does."""
    for name in _ONE_PROCESS:
        if getattr(config, name) != OPTIONS[name].default:
            raise ConfigError(f"--procs: cannot be combined with {OPTIONS[name].flags[-1]} yet (leave one of them out)")
    if any(target.suffix == ARCHIVE for target in targets(config)):
        raise ConfigError("--procs: cannot be combined with an archive yet (leave one of them out)")
    memory = (config.max_memory or default_limit()) // number
    if config.per_proxy is not None:  # together they keep it; but each needs one at least
        config = msgspec.structs.replace(config, per_proxy=max(1, config.per_proxy // number))
    return Start(config, list(own_ports), wants_bodies, memory)


class RemoteFetcher:
    """Implements `Fetches`. `local` writes the heads: it knows of cookies and logins, and which hosts somebody typed.

    With `partial` it is for robots.txt.
    """

    def __init__(self, local: Fetcher, workers: Workers, *, partial: bool = False) -> None:
        self._local = local
        self._workers = workers
        self._partial = partial

    @property
    def heads(self) -> Heads:
        return self._local.heads

    @property
    def budget(self) -> Budget:
        return self._local.budget

    def fetch(
        self, request: Request, on_sent: Callable[[], None] | None = None, *, fresh: bool = False
    ) -> Deferred[Response]:
        local = self._local
        fetching = self._workers.fetch(
            request,
            local.head(request),
            public_only=local.public_only(request),
            on_sent=on_sent,
            fresh=fresh,
            partial_body=self._partial,
        )
        return fetching if local.parts.heard is None else fetching.addCallback(self._heard, request)

    def _heard(self, response: Response, request: Request) -> Response:
        """Keep the cookies, as a flight of this process does when the head has come."""
        heard = self._local.parts.heard
        if heard is not None and "set-cookie" in response.headers:
            response.new_cookies = heard(request, response.headers["set-cookie"])
        return response
