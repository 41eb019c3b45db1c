"""What fetches: resolver, pool, endpoint and agent of one run, and the Fetchers over them."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from functools import lru_cache, partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

from twisted.web.iweb import IAgent

from crawler.config.config import Config, ConfigError
from crawler.config.hosts import Hosts
from crawler.config.secrets import revealed
from crawler.fetch.budget import Budget, default_limit
from crawler.fetch.connect.dial import Dial
from crawler.fetch.connect.resolver import Resolver
from crawler.fetch.connect.routes import Routes
from crawler.fetch.connect.stalls import Stalls
from crawler.fetch.connect.throttle import Throttles
from crawler.fetch.connect.trust import Shown
from crawler.fetch.cookies.keeping import Cookies
from crawler.fetch.fetcher import Fetcher, Fetches, FetchesWithHead
from crawler.fetch.heads import Source
from crawler.fetch.http11.agent import Agent
from crawler.fetch.http11.connection import Connection
from crawler.fetch.http11.endpoint import Endpoint
from crawler.fetch.http11.pool import Pool
from crawler.fetch.http11.tls import HTTP2, HTTP11, LateContext, client_context
from crawler.fetch.limits import Limits
from crawler.fetch.typed import Typed
from crawler.models import Request
from crawler.run.access.logins import make_logins
from crawler.run.access.trust import make_policy

if TYPE_CHECKING:
    from crawler.fetch.archive.captures import Captures
    from crawler.fetch.archive.replay import DatedFlight
    from crawler.fetch.archive.taping import Takes
    from crawler.fetch.cache.store import Store
    from crawler.fetch.connect.chosen.name_servers import NameServers
    from crawler.fetch.connect.chosen.pins import Pins
    from crawler.fetch.disk.folders import Folders
    from crawler.fetch.http2.origins import Origins
    from crawler.fetch.saving.accept import Accept
    from crawler.fetch.saving.spools import Spools

_ROBOTS_SIZE: Final = 512 << 10  # RFC 9309 section 2.5 asks for 500 KiB at least


class Ways:
    """How names become addresses, from where we connect, as whom, and what TLS trusts: looked at before a run begins.

    Raises ValueError for what this machine does not have, and for files that cannot be used.
    """

    def __init__(
        self, config: Config, dial: Dial, *, hosts: Hosts | None, typed: Typed, shown: Shown | None = None
    ) -> None:
        if config.http2 and find_spec("hpack") is None:
            raise ConfigError("--http2: hpack is missing (pip install 'everyurl[http2]')")
        self.logins = make_logins(config, hosts)
        self.policy = make_policy(config, hosts, typed.has_host, shown)
        self.family = 4 if config.ipv4 else 6 if config.ipv6 else None
        self.dial = dial
        self.name_servers: NameServers | None = None
        if config.interface is not None:
            from crawler.fetch.connect.chosen.source import SourceAddress, from_source

            self.dial = from_source(dial, SourceAddress(config.interface))
        if config.dns_servers:
            from crawler.fetch.connect.chosen.name_servers import NameServers

            self.name_servers = NameServers(config.dns_servers, config.dns_timeout)

    def close(self) -> None:
        """Ask nobody any more."""
        if self.name_servers is not None:
            self.name_servers.close()


class Network:
    """`typed` is what somebody wrote, which may be private; `own_ports` are those of the monitors. Without `routes`
    every server is connected to directly. Where there are `captures` they are asked, and no server;
    for what is in `folders` the disk is.
    """

    def __init__(
        self,
        config: Config,
        *,
        reactor: Any,
        ways: Ways,
        typed: Typed,
        own_ports: Container[int] = (),
        hosts: Hosts | None = None,
        pins: Pins | None = None,
        throttle: Throttles | None = None,
        routes: Routes | None = None,
        cookies: Cookies | None = None,
        spools: Spools | None = None,
        accept: Accept | None = None,
        archive: Takes | None = None,
        cache: Store | None = None,
        captures: Captures | None = None,
        folders: Folders | None = None,
        public_only: Callable[[Request], bool] | None = None,
        cached_only: Callable[[Request], bool] | None = None,
    ) -> None:
        self._cache = cache
        self._cached_only = cached_only
        self._config = config
        self._flight: type[DatedFlight] | None = None
        self.archive = archive
        self.spools = None if config.include_body else spools
        self._accept = accept
        self._hosts = hosts
        self.throttle = throttle
        self._cookies = cookies
        self.budget = Budget(config.max_memory or default_limit())
        self._reactor = reactor
        self.typed = typed
        self._public_only = public_only or typed.public_only
        self._logins = ways.logins
        self._policy = ways.policy
        self._resolver = Resolver(reactor, look_up=ways.name_servers, family=ways.family)
        self._stalls = Stalls()
        self._pool = Pool(
            reactor, idle_per_key=max([config.per_host, *(table.settings.concurrency or 0 for table in config.hosts)])
        )
        origins = self._origins(config)
        endpoint = Endpoint(
            clock=reactor,
            dial=ways.dial,
            pins=pins,
            resolver=self._resolver,
            tls_context=self._context(HTTP11),
            proxy_tls=LateContext(),
            pool=self._pool,
            own_ports=own_ports,
            may_be_private=typed.may_be_private,
            stalls=self._stalls,
            http2=origins,
            ws_messages=config.ws_messages,
            ws_timeout=config.ws_timeout,
            plain=_plain(archive),
        )
        connects = endpoint if origins is None else origins.before(endpoint)
        agent: IAgent = Agent(clock=reactor, pool=self._pool, endpoint=connects)
        if captures is not None:
            from crawler.fetch.archive.replay import ArchiveAgent, DatedFlight

            agent, routes, self._flight = ArchiveAgent(captures, reactor), None, DatedFlight
        self._takes_turns = routes is not None
        self._agent: IAgent = agent
        if routes is not None:
            from crawler.fetch.proxied import ProxiedAgent

            self._agent = ProxiedAgent(agent, routes, reactor)
        if folders is not None:
            from crawler.fetch.disk.agent import FolderAgent

            self._agent = FolderAgent(folders, self._agent, reactor)

    def _origins(self, config: Config) -> Origins | None:
        if not config.http2:
            return None
        from crawler.fetch.http2.origins import Origins  # 10 ms that most runs do not need

        return Origins(clock=self._reactor, pool=self._pool, context=self._context(HTTP2))

    def _context(self, protocols: Sequence[str]) -> LateContext:
        """TLS as it was asked for, which offers these protocols."""
        return LateContext(policy=self._policy, make=partial(client_context, protocols=protocols))

    def fetcher(self, max_size: int, *, partial: bool = False, sources: Sequence[Source] = ()) -> Fetcher:
        """A Fetcher with the limits of the config, but for the size; see Limits. `sources` are those of its Heads.

        A `partial` one is for robots.txt, which is no input, and is asked for without cookies: they hold for a program,
        not a login.
        """
        config = self._config
        fetcher = Fetcher(
            clock=self._reactor,
            agent=self._agent,
            limits=Limits(
                total=config.timeout,
                dns=config.dns_timeout,
                connect=config.connect_timeout,
                tls=config.tls_timeout,
                headers=config.headers_timeout,
                idle=config.idle_timeout,
                min_rate=config.min_rate,
                max_size=max_size,
                partial=partial,
                follow=partial or config.max_redirects > 0,
            ),
            user_agent=config.user_agent,
            headers=config.header_pairs,
            public_only=self._public_only,
            login=self.typed.login,
            logins=self._logins,
            stalls=self._stalls,
            budget=self.budget,
            spools=None if partial else self.spools,
            accept=None if partial else self._accept,
            timeout_at=None if self._hosts is None else self._timeout_at,
            throttle=self.throttle,
            headers_at=None if self._hosts is None else lru_cache(1024)(self._headers_at),
            cookies=None if partial else self._cookies,
            archive=self.archive,
            flight=self._flight,
        )
        fetcher.heads.sources += sources
        fetcher.takes_turns = self._takes_turns
        return fetcher

    def robots_fetcher(self) -> Fetcher:
        """For robots.txt: see `fetcher` for what is `partial`."""
        return self.fetcher(_ROBOTS_SIZE, partial=True)

    def cached(self, fetcher: FetchesWithHead) -> Fetches:
        """With --cache what is in the cache is not fetched by it."""
        if self._cache is None:
            return fetcher
        from crawler.fetch.cache.fetching import CachedFetcher

        return CachedFetcher(
            fetcher,
            self._cache,
            keep_for=self._config.cache_for,
            may_be_private=self.typed.may_be_private,
            only=self._cached_only,
        )

    def _timeout_at(self, host_key: str) -> float | None:
        settings = None if self._hosts is None else self._hosts.of(host_key)
        return None if settings is None else settings.timeout

    def _headers_at(self, host_key: str) -> Sequence[tuple[str, str]]:
        settings = None if self._hosts is None else self._hosts.of(host_key)
        return () if settings is None or settings.headers is None else tuple(map(revealed, settings.headers))

    def close(self) -> None:
        """Close every socket."""
        self._pool.close()
        self._resolver.close()


def _plain(archive: Takes | None) -> type[Connection]:
    if archive is None:
        return Connection
    from crawler.fetch.archive.tape import TapedConnection

    return TapedConnection
