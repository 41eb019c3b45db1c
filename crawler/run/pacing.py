"""How often hosts may be asked, as a Config says it: for all, for each, and in the tables of some."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime

from crawler.config.config import Config
from crawler.config.hosts import Hosts
from crawler.config.options.politeness import window
from crawler.fetch.connect.throttle import Throttle
from crawler.politeness.controller import HostLimits, Politeness
from crawler.politeness.pace import Pace, Rate


def make_politeness(config: Config, hosts: Hosts | None) -> Politeness:
    """The politeness of a run."""

    def limits(host_key: str) -> HostLimits | None:
        settings = None if hosts is None else hosts.of(host_key)
        if settings is None:
            return None
        return HostLimits(settings.concurrency, settings.delay, _distance(settings.rate))

    return Politeness(
        per_host=config.per_host,
        delay=config.delay,
        distance=_distance(config.rate_per_host) or 0.0,
        adaptive=config.adaptive,
        retry_after_cap=config.retry_after_cap,
        limits=None if hosts is None else limits,
        pace=_pace(config),
    )


def make_throttle(config: Config, clock: IReactorTime, politeness: Politeness) -> Throttle | None:
    """What keeps --limit-rate, if it is set: nothing is started before what has come is paid off."""
    if config.limit_rate is None or politeness.pace is None:
        return None
    return Throttle(clock, config.limit_rate, politeness.pace.hold)


def _pace(config: Config) -> Pace | None:
    """That of the run, if there is one; --limit-rate holds it up."""
    if config.rate is not None:
        return Pace(Rate(*window(config.rate)))
    return None if config.limit_rate is None else Pace()


def _distance(rate: str | None) -> float | None:
    return None if rate is None else Rate(*window(rate)).distance
