"""What fetches with workers, and what these are told to begin with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from twisted.internet.defer import Deferred

from crawler.config.config import Config
from crawler.fetch.archive.tape import Tape
from crawler.fetch.archive.taping import Takes
from crawler.fetch.budget import Budget, default_limit
from crawler.fetch.fetcher import Fetcher
from crawler.fetch.heads import Heads
from crawler.fetch.saving.spools import Spools
from crawler.models import Request, Response
from crawler.run.network import Network
from crawler.run.workers.cores import processes
from crawler.run.workers.frames import Claim, Done, Start
from crawler.run.workers.pool import Workers
from crawler.run.workers.tapes import TapesFolder, tape_of

if TYPE_CHECKING:
    from crawler.engine.reading import PageReader
    from crawler.page.callbacks import Named


def open_workers(
    config: Config,
    *,
    reactor: Any,
    resources: ExitStack,
    network: Network,
    own_ports: Iterable[int],
    reader: PageReader | None,
    wants_bodies: bool,
    say: Callable[[str], None],
) -> Workers | None:
    """Those that the config asks for, which end with the `resources`; None where that is this process alone.

    See Start for `wants_bodies`. The `reader` is that of the run. `say` gets what there is to know, in sentences.
    """
    number = processes(config.procs)
    if number == 1:
        return None
    spools, archive = network.spools, network.archive
    if spools is not None:
        resources.callback(spools.sweep)
    tapes = None if archive is None else TapesFolder()
    if tapes is not None:
        resources.callback(tapes.close)
    memory = (config.max_memory or default_limit()) // number
    if config.per_proxy is not None:  # together they keep it; but each needs one at least
        config = msgspec.structs.replace(config, per_proxy=max(1, config.per_proxy // number))
    start = Start(
        config,
        list(own_ports),
        wants_bodies or config.bodies is not None or config.cache is not None,
        memory,
        None if spools is None else os.path.abspath(spools.scratch.path),  # noqa: PTH100
        spools is not None and spools.keeps,
        None if reader is None else reader.parses,
        None if tapes is None else tapes.path,
        reader is not None and reader.gives_any,
        None if reader is None else _functions(reader, say),
    )
    workers = Workers(
        reactor,
        start,
        number,
        network.typed,
        network.budget,
        throttle=network.throttle,
        arrives=None if archive is None and spools is None else Arrivals(archive, spools),
    )
    resources.callback(workers.close)
    return workers


def _functions(reader: PageReader, say: Callable[[str], None]) -> Named | None:
    """Those that workers may call; None where there are none, or one has to stay in this process."""
    if not reader.functions:
        return None
    from crawler.spiders.elsewhere import named

    try:
        return named(reader.functions)
    except ValueError as reason:
        say(f"--procs: {reason}, so pages are parsed in the first process")
        return None


class Arrivals:
    """What comes from workers beside answers: what went over the wire for the `archive`, large bodies for `spools`."""

    def __init__(self, archive: Takes | None, spools: Spools | None) -> None:
        self._archive = archive
        self._spools = spools

    def __call__(self, claim: Claim, told: Done) -> Deferred[None] | None:
        request, response = claim.request, told.response
        if self._spools is not None and not claim.partial:
            spool = self._spools.landed(request.id, told.left)
            if told.spooled:
                response.spooled = spool
        if self._archive is None:
            return None
        return self._archive.take(request, Tape() if told.tape is None else tape_of(told.tape), response)


class Leased(Protocol):
    """A host that may be asked before its deadline, on the monotonic clock."""

    @property
    def deadline(self) -> float: ...


class RemoteFetcher:
    """Implements `FetchesWithHead`. `local` writes the heads: it knows of cookies and logins, and which hosts somebody
    typed.

    With `partial` it is for robots.txt. Those of `leases` may be asked before their deadline.
    """

    def __init__(
        self,
        local: Fetcher,
        workers: Workers,
        *,
        partial: bool = False,
        leases: Mapping[str, Leased] | None = None,
    ) -> None:
        self._local = local
        self._workers = workers
        self._partial = partial
        self._leases = leases
        self._spools = local.parts.spools
        self.parts = local.parts
        self.public_only = local.public_only

    @property
    def heads(self) -> Heads:
        return self._local.heads

    @property
    def budget(self) -> Budget:
        return self._local.budget

    def fetch(
        self,
        request: Request,
        on_sent: Callable[[], None] | None = None,
        *,
        fresh: bool = False,
        head: bytes | None = None,
    ) -> Deferred[Response]:
        local = self._local
        lease = None if self._leases is None else self._leases.get(request.url.host_key)
        fetching = self._workers.fetch(
            request,
            local.head(request) if head is None else head,
            public_only=request.discovered and local.public_only(request),
            on_sent=on_sent,
            fresh=fresh,
            partial_body=self._partial,
            left=None if self._spools is None else self._spools.lend(request),
            until=None if lease is None else lease.deadline,
        )
        return fetching if local.parts.heard is None else fetching.addCallback(self._heard, request)

    def _heard(self, response: Response, request: Request) -> Response:
        """Keep the cookies, as a flight of this process does when the head has come."""
        heard = self._local.parts.heard
        if heard is not None and "set-cookie" in response.headers:
            response.new_cookies = heard(request, response.headers["set-cookie"])
        return response
