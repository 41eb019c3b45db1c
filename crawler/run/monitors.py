"""Which monitors a run has: they are opened here, and nothing of them is imported that was not asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory

from crawler.config.config import Config, ConfigError
from crawler.config.kinds import shown
from crawler.config.options.monitor import Place, is_beyond
from crawler.engine.control import Control
from crawler.monitor.listening import Beyond, listen, needs_token, open_beyond
from crawler.monitor.token import token
from crawler.redaction import redact
from crawler.run.work import Work
from crawler.sinks import Sink
from crawler.version import __version__

if TYPE_CHECKING:
    from crawler.monitor.dashboard.about import About

MOST_STORIES: Final = 20  # of one URL: a list may name it any number of times


@inlineCallbacks
def open_monitors(
    config: Config,
    *,
    reactor: Any,
    control: Callable[[], Control | None],
    say: Callable[[str], None] | None,
    ports: set[int],
    origins: Mapping[str, str] | None = None,
) -> Generator[Deferred[Any], Any, list[Sink]]:
    """Open the monitors of the config; fires with them: sinks, that see each record, and end when they are closed.

    `control` gives None until the run has begun; `say` is told where they are, and the token that lets people in, or
    stderr is; `ports` gets theirs; `origins` tells where options were set. Fails with
    ConfigError when one cannot be opened: those before it are closed then.
    """
    monitors = _Monitors(config, reactor, control, say or partial(_to_stderr, config.log_format), ports, origins)
    opened: list[Sink] = []
    try:
        if config.dashboard is not None:
            opened.append((yield monitors.dashboard(config.dashboard)))
        if config.console is not None:
            opened.append((yield monitors.console(config.console)))
        if config.metrics is not None:
            opened.append((yield monitors.metrics(config.metrics)))
    except BaseException:
        for monitor in opened:
            monitor.close()
        raise
    return opened


class _Monitors:
    def __init__(
        self,
        config: Config,
        reactor: Any,
        control: Callable[[], Control | None],
        say: Callable[[str], None],
        ports: set[int],
        origins: Mapping[str, str] | None,
    ) -> None:
        self._origins = origins
        self._reactor = reactor
        self._control = control
        self._say = say
        self._ports = ports
        self._config = config

    @cached_property
    def _token(self) -> str:
        return token(self._config.token_file)

    @property
    def _token_told(self) -> str:
        """What is said of the token: words go into logs, where what is in a file of one's own need not be."""
        path = self._config.token_file
        return self._token if path is None else f"in {path}"

    @inlineCallbacks
    def dashboard(self, where: str) -> Generator[Deferred[Any], Any, Sink]:
        try:
            from crawler.monitor.dashboard.server import Dashboard
        except ImportError as error:
            raise ConfigError(f"--dashboard: {error.name} is missing (pip install 'everyurl[dashboard]')") from error
        from crawler.monitor.dashboard.live import Hello, Live

        config, started = self._config, time.time()
        title = ", ".join(map(redact, config.inputs)) or "a run"
        job = None if config.job is None else Path(config.job).name

        def hello(control: Control) -> Hello:
            return Hello(__version__, title, config.recursive, job, control.most_concurrency, started)

        live = Live(self._control, hello, reactor=self._reactor, kept=None if config.job is None else self._kept)
        dashboard = Dashboard(live, self._about(), reactor=self._reactor)
        secret = self._token
        beyond = self._beyond_at(where)
        port = yield self._listen("--dashboard", where, dashboard.site, beyond)
        place = _place(port)
        dashboard.open(port, place, secret, names=beyond.names, is_tls=beyond.tls is not None)
        self._say(f"Live page: {_url(place, beyond)}/#{secret}")
        return dashboard

    def _about(self) -> About:
        from crawler.monitor.dashboard.about import About
        from crawler.run.artifacts import make_report, report_source

        config = self._config
        source = report_source(config)
        if source is None:
            why = "no output of this run is a file of records that a report can be made of (-o records.jsonl)"
            return About(config, self._origins, no_report=why)
        make = partial(make_report, source)
        works: list[Work] = []

        def begin() -> Deferred[Any]:
            works[:] = [Work(self._reactor, make)]
            return works[0].done

        return About(config, self._origins, make_report=begin, is_reporting=lambda: any(work.goes_on for work in works))

    def _kept(self, url: str) -> Deferred[Any]:
        """What the job has kept of a URL; a million rows take some seconds."""
        from crawler.job.status import find_stories

        assert self._config.job is not None
        find = partial(find_stories, self._config.job, url, most=MOST_STORIES)
        return Work(self._reactor, lambda _: find()).done

    @inlineCallbacks
    def console(self, where: str) -> Generator[Deferred[Any], Any, Sink]:
        from crawler.monitor.console import Console

        secret = self._token if needs_token(where) else ""
        console = Console(self._control, reactor=self._reactor, token=secret)
        port = yield self._listen("--console", where, console)
        console.listening(port)
        if secret:
            self._say(f"Console on {_place(port)}, its token is {self._token_told}")
        return console

    @inlineCallbacks
    def metrics(self, where: str) -> Generator[Deferred[Any], Any, Sink]:
        from crawler.monitor.guard import Guard
        from crawler.monitor.metrics import Metrics

        metrics, secret = Metrics(self._control, self._reactor), self._token
        beyond = self._beyond_at(where)
        port = yield self._listen("--metrics", where, metrics.site, beyond)
        place = _place(port)
        metrics.listening(port, Guard(place, secret, names=beyond.names, is_tls=beyond.tls is not None))
        self._say(f"Metrics at {_url(place, beyond)}/metrics, the token is {self._token_told}")
        return metrics

    @cached_property
    def _beyond(self) -> Beyond:
        """Where monitors listen for other machines, too."""
        config = self._config
        if config.monitor_address is None or not (is_beyond(config) or config.monitor_cert):
            return Beyond(config.monitor_address or "127.0.0.1")
        if config.monitor_plain:
            self._say("Monitors go without TLS: who listens on the network reads the token, and can stop the run.")
        beyond = open_beyond(config.monitor_address, config.monitor_cert, config.monitor_key, config.monitor_name)
        if beyond.note:
            self._say(beyond.note)
        return beyond

    def _beyond_at(self, where: str) -> Beyond:
        """The same for one that was told to listen there; one that has no names where that is this machine alone."""
        return self._beyond if where.isdigit() else Beyond("127.0.0.1")

    @inlineCallbacks
    def _listen(
        self, option: str, where: str, factory: Factory, beyond: Beyond | None = None
    ) -> Generator[Deferred[Any], Any, IListeningPort]:
        try:
            port: IListeningPort = yield listen(where, factory, self._reactor, beyond)
        except ValueError as error:
            raise ConfigError(f"{option}: {error}") from error
        except (CannotListenError, OSError) as error:
            cause = error.socketError if isinstance(error, CannotListenError) else error
            reason = getattr(cause, "strerror", None) or cause
            if beyond is not None and beyond.takes(where):
                where = str(Place(beyond.address, int(where)))
            raise ConfigError(f"{option}: cannot listen on {shown(where)}: {reason}") from error
        address = port.getHost()
        if isinstance(address, (IPv4Address, IPv6Address)):
            self._ports.add(address.port)
        return port


def _to_stderr(log_format: str, words: str) -> None:
    from crawler.monitor.log import say_now
    from crawler.monitor.messages import Said

    say_now(Said("monitor", words), log_format)


def _place(port: IListeningPort) -> Place:
    address: Any = port.getHost()
    return Place(address.host, address.port)


def _url(place: Place, beyond: Beyond) -> str:
    """Where a browser finds it: by the first of its names, where there are some."""
    host = beyond.names[0] if beyond.names else ""
    named = str(place) if not host else host if host.rpartition(":")[2].isdigit() else f"{host}:{place.port}"
    return f"{'http' if beyond.tls is None else 'https'}://{named}"
