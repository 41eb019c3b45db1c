"""What may be asked at all in a run: its scope, its gate, and what knows robots.txt."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from twisted.internet.defer import Deferred

from crawler.config.config import Config
from crawler.config.hosts import Hosts
from crawler.engine.gate import Gate, dry_run
from crawler.engine.side_requests import SideRequests
from crawler.fetch.fetcher import Fetches
from crawler.frontier import Frontier
from crawler.models import Request
from crawler.politeness.controller import Politeness

if TYPE_CHECKING:
    from crawler.engine.checking.leaves import OnDisk
    from crawler.engine.scope import Scope
    from crawler.robots.policy import Robots


class KeepsPages(Protocol):
    """What keeps which URLs were asked for: see Gate."""

    def pages(self) -> tuple[int | None, set[int]]: ...

    def begin(self, request: Request) -> Deferred[Any]: ...


class Obeying(NamedTuple):
    """What asks for robots.txt, and what knows its rules."""

    side_requests: SideRequests
    robots: Robots


def obeys_anywhere(config: Config) -> bool:
    """Whether robots.txt is obeyed at some host."""
    return config.robots or any(table.settings.robots for table in config.hosts)


def make_robots(config: Config, *, frontier: Frontier, fetcher: Fetches, clock: Any) -> Obeying:
    from crawler.robots.policy import Robots
    from crawler.robots.rules import product_token

    side_requests = SideRequests(frontier=frontier, fetcher=fetcher, clock=clock.seconds)
    robots = Robots(
        side_requests.fetch,
        send=side_requests.send,
        clock=clock,
        token=product_token(config.user_agent),
        challenged=side_requests.challenged,
    )
    return Obeying(side_requests, robots)


def make_gate(
    config: Config,
    *,
    politeness: Politeness,
    clock: Callable[[], float],
    robots: Robots | None,
    hosts: Hosts | None,
    scope: Scope | None,
    kept: KeepsPages | None,
) -> Gate:
    """The gate of a run; `kept` is the job, or the node, that counts --max-pages."""
    pages: int | None
    pages, begun = (0, set[int]()) if kept is None or config.max_pages is None else kept.pages()
    return Gate(
        politeness=politeness,
        clock=clock,
        robots=robots,
        obeys=config.robots,
        obeys_at=None if hosts is None else partial(_obeys_at, config, hosts),
        retries=config.retries,
        max_pages=config.max_pages,
        pages=None if pages is None else pages + len(begun),
        begun=begun,
        begin=None if kept is None else kept.begin,
        names_sitemaps=config.sitemaps,
        dry_run=partial(dry_run, scope) if config.dry_run else None,
        traps=None if scope is None else scope.traps,
    )


def make_scope(config: Config, disk: OnDisk | None) -> Scope | None:
    """What a crawl follows; a list follows nothing."""
    if not config.recursive:
        return None
    from crawler.engine.scope import Scope

    if config.frontier is not None and config.scope != "any":
        from crawler.run.shared.widening import SharedScope as Scope  # type: ignore[assignment]
    return Scope(config.scope, include=config.include, exclude=config.exclude, max_depth=config.depth, disk=disk)


def _obeys_at(config: Config, hosts: Hosts, host_key: str) -> bool:
    settings = hosts.of(host_key)
    return config.robots if settings is None or settings.robots is None else settings.robots
