"""Our IAgent: a request in, a WireResponse out, over a pooled or a new connection."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.iweb import IAgent, IResponse
from zope.interface import implementer

from crawler.errors import CodedError
from crawler.http11.connection import Connection, StaleConnection
from crawler.http11.endpoint import Endpoint
from crawler.http11.envelope import Envelope
from crawler.http11.pool import Pool
from crawler.http11.response import WireResponse

IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))  # RFC 9110 section 9.2.2


@implementer(IAgent)
class Agent:
    """Sends the request of an Envelope. Only an idempotent one is ever sent again: once, from a stale connection."""

    def __init__(self, *, clock: IReactorTime, pool: Pool, endpoint: Endpoint) -> None:
        self._clock = clock
        self._pool = pool
        self._endpoint = endpoint

    def request(self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None) -> Deferred[IResponse]:
        """Fire with a WireResponse once its head has arrived.

        `headers` must be an Envelope, which holds the whole request head; `bodyProducer` None (bodies are not sent
        yet). Fails with CodedError. Cancelling closes the socket.
        """
        if not isinstance(headers, Envelope) or bodyProducer is not None:
            raise TypeError(f"{method!r} {uri!r}: this agent sends Envelopes without a body")
        connection = self._pool.take(headers.key)
        if connection is None:
            return self._connect(headers)
        sent: Deferred[Any] = connection.send(headers)
        return sent.addErrback(self._resend, headers)

    def _connect(self, envelope: Envelope) -> Deferred[Any]:
        envelope.trace.enter("dns", self._clock.seconds())
        ready: Deferred[Any] = self._endpoint.connect(envelope)
        ready.addCallback(_send, envelope)
        return ready

    def _resend(self, failure: Failure, envelope: Envelope) -> Any:
        """RFC 9110 section 9.2.2: an idempotent request may be repeated if the connection closed before any answer."""
        failure.trap(StaleConnection)
        if envelope.method not in IDEMPOTENT:
            raise CodedError("empty_reply", f"the reused connection was closed; {envelope.method} is not sent twice")
        return self._connect(envelope)


def _send(connection: Connection, envelope: Envelope) -> Deferred[WireResponse]:
    return connection.send(envelope)
