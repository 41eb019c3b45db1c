"""Requests through proxies: an agent around the agent, that picks one, tells it where to, and tries the next one.

An answer is the server's alone. What the proxy says of itself (407, or anything but 2xx to CONNECT) is an error with a
code of its own; so is a proxy that is not there, does not speak or says what it should not.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, Final

from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IAgent, IResponse
from zope.interface import implementer

from crawler.errors import CodedError, StaleConnection
from crawler.fetch.connect.proxy import Proxy, ProxyFailed
from crawler.fetch.connect.routes import Proxies, Routes
from crawler.fetch.connect.tunnel import auth_failed
from crawler.fetch.http11.envelope import Envelope
from crawler.fetch.http11.response import WireResponse

PROXY_AUTH: Final = 407
MOST_ANSWERS: Final = 3  # when so many say that they do not get to a server, or do not want to, it is left alone
_NOTHING_CAME: Final = frozenset(
    ("empty_reply", "conn_reset", "timeout_headers", "http_not_http", "http_truncated_headers")
)
_log = Logger()


@implementer(IAgent)
class ProxiedAgent:
    """Sends the request of an Envelope the way that `routes` has for it. As Agent in all else."""

    def __init__(self, agent: IAgent, routes: Routes, clock: IReactorTime) -> None:
        self._agent = agent
        self._routes = routes
        self._clock = clock

    def request(self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None) -> Deferred[IResponse]:
        """Fire with a WireResponse once its head has arrived. Fails with CodedError; cancelling closes the socket."""
        key = headers.key
        proxies = self._routes.of(key.scheme, key.host, key.port)
        if proxies is None:
            return self._agent.request(method, uri, headers, bodyProducer)

        def send(envelope: Envelope) -> Deferred[Any]:
            return self._agent.request(method, uri, envelope)

        return _Passage(send, headers, proxies, self._clock).start()


class _Passage:
    """One request on its way through one proxy after the other, until there is an answer, or an error that is not
    about proxies. Only what has no body is repeated once it may have been sent.
    """

    def __init__(
        self,
        send: Callable[[Envelope], Deferred[Any]],
        envelope: Envelope,
        proxies: Proxies,
        clock: IReactorTime,
    ) -> None:
        self._send = send
        self._envelope = envelope
        self._head = envelope.head
        self._proxies = proxies
        self._clock = clock
        self._tried: list[Proxy] = []
        self._suspects: list[Proxy] = []
        self._answers = 0  # of proxies that are well, as far as they say
        self._error: ProxyFailed | None = None
        self._proxy: Proxy | None = None  # that we are in
        self._going: Deferred[Any] | None = None
        self._result: Deferred[Any] = Deferred(self._cancelled)

    def start(self) -> Deferred[Any]:
        self._envelope.trace.on_end = self._leave
        self._next(None)
        return self._result

    def _next(self, _: object) -> None:
        """Try the next one, now or when it has room."""
        proxy = self._proxies.pick(self._envelope.turn, self._tried)
        if proxy is not None:
            self._try(proxy)
            return
        waits = self._proxies.waits(self._tried)
        if waits is None:
            self._give_up()
            return
        trace = self._envelope.trace
        trace.enter("connect", inf)  # nobody keeps us waiting but we ourselves: no deadline runs
        trace.started = inf
        self._going = waits.addCallback(self._next)

    def _try(self, proxy: Proxy) -> None:
        envelope, trace = self._envelope, self._envelope.trace
        self._tried.append(proxy)
        self._proxy = trace.proxy = proxy
        self._proxies.enter(proxy)
        trace.on_overdue = self._overdue
        if trace.started == inf:
            trace.started = self._clock.seconds()
        trace.resolved = trace.connected = trace.secured = trace.first_byte = None  # those of the one before
        trace.received = 0
        envelope.key = replace(envelope.key, proxy=proxy)
        envelope.head = for_proxy(self._head, envelope, proxy)
        self._going = going = self._send(envelope)
        going.addCallbacks(self._answered, self._failed, callbackArgs=(proxy, going), errbackArgs=(proxy, going))

    def _answered(self, response: WireResponse, proxy: Proxy, going: Deferred[Any]) -> None:
        if self._going is not going:  # given up by us
            return
        if response.code == PROXY_AUTH and for_itself(self._envelope, proxy):
            response.abort()
            wanted = [value for name, value in response.fields if name.lower() == b"proxy-authenticate"]
            self._lost(proxy, auth_failed(proxy, wanted, "it answers 407"), may_go_on=self._envelope.body is None)
            return
        for suspect in self._suspects:
            if suspect is not proxy:
                self._rest(suspect)
        self._proxies.worked(proxy)
        self._result.callback(response)

    def _failed(self, failure: Failure, proxy: Proxy, going: Deferred[Any]) -> None:
        if self._going is not going:  # given up by us
            return
        error = failure.value
        if isinstance(error, ProxyFailed):
            self._lost(proxy, error)
            return
        if not isinstance(error, StaleConnection):
            self._doubt(proxy, error)
        self._result.errback(failure)

    def _doubt(self, proxy: Proxy, error: object) -> None:
        """With an http URL, a proxy that hangs up looks like a server that does. The server is not asked again for
        that: a proxy of which that comes several times in a row rests.
        """
        if isinstance(error, CodedError) and error.code in _NOTHING_CAME and for_itself(self._envelope, proxy):
            self._proxies.doubted(proxy)

    def _lost(self, proxy: Proxy, error: ProxyFailed, *, may_go_on: bool = True) -> None:
        """There was no way through this one."""
        self._leave()
        if error.blame == "proxy":
            self._rest(proxy, error)
        elif error.blame == "either":
            self._suspects.append(proxy)
        self._error = self._error or error
        self._answers += error.blame != "proxy"
        if may_go_on and self._answers < MOST_ANSWERS:  # in a turn of its own: a thousand may fail at once
            self._going = deferLater(self._clock, 0.0)
            self._going.addCallback(self._next)
        else:
            self._give_up()

    def _give_up(self) -> None:
        error = self._error
        assert error is not None
        if (others := len(self._tried) - 1) > 0:
            words = f"{error.message} ({others} more failed, too)"
            error = ProxyFailed(error.code, words, blame=error.blame, transient=error.transient)
        self._result.errback(Failure(error))

    def _rest(self, proxy: Proxy, error: ProxyFailed | None = None) -> None:
        seconds = self._proxies.failed(proxy)
        if len(self._proxies.all) > 1 and proxy not in self._proxies.told:
            self._proxies.told.add(proxy)  # once is enough
            why = f"{proxy} gets nowhere, and others do" if error is None else error.message
            _log.warn("{why} (it rests for {seconds:.0f} s)", why=why, seconds=seconds)

    def _overdue(self, error: CodedError) -> bool:
        """A deadline has passed; whether there is still something to try, and the fetch goes on."""
        going, proxy = self._going, self._proxy
        if proxy is None or going is None:
            return False
        if not isinstance(error, ProxyFailed):
            self._doubt(proxy, error)
            return False
        if self._proxies.pick(self._envelope.turn, self._tried) is None:
            self._proxies.failed(proxy)
            return False
        self._going = None
        going.cancel()
        self._lost(proxy, error)
        return True

    def _cancelled(self, _: Deferred[Any]) -> None:
        going, self._going = self._going, None
        if going is not None:
            going.addErrback(lambda failure: None if failure.check(CancelledError) else failure)
            going.cancel()

    def _leave(self) -> None:
        """The exchange is over: its place is free."""
        proxy, self._proxy = self._proxy, None
        if proxy is not None:
            self._proxies.leave(proxy)


def for_itself(envelope: Envelope, proxy: Proxy) -> bool:
    """Whether the proxy is asked for a URL, and not for a tunnel."""
    return envelope.key.scheme == "http" and proxy.takes_urls


def for_proxy(head: bytes, envelope: Envelope, proxy: Proxy) -> bytes:
    """A head as the proxy wants it: of a URL that it is to fetch by itself in absolute form (RFC 9112 section 3.2.2),
    with our login there; nothing of that in what goes through a tunnel.
    """
    if not for_itself(envelope, proxy):
        return head
    key = envelope.key
    method, _, rest = head.partition(b" ")
    line, _, fields = rest.partition(b"\r\n")
    host = f"[{key.host}]" if ":" in key.host else key.host
    authority = host if key.port == 80 else f"{host}:{key.port}"
    return b"%b http://%b%b\r\n%b%b" % (method, authority.encode("ascii"), line, proxy.authorization, fields)
