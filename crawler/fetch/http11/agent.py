"""Our IAgent: a request in, a WireResponse out, over a pooled or a new connection."""

from __future__ import annotations

from typing import Any
from typing import Protocol as Interface

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.iweb import IAgent, IResponse
from zope.interface import implementer

from crawler.errors import CodedError, StaleConnection
from crawler.fetch.http11.connection import Carrier
from crawler.fetch.http11.envelope import Envelope
from crawler.fetch.http11.pool import Pool

IDEMPOTENT = frozenset(("GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"))  # RFC 9110 section 9.2.2

FRESH_SECONDS = 1.0
"""A connection that was idle for longer carries no request that may not be sent twice: its server may be closing it."""


class Connects(Interface):
    """An Endpoint, or what stands before it."""

    def connect(self, envelope: Envelope) -> Deferred[Carrier]: ...


@implementer(IAgent)
class Agent:
    """Sends the request of an Envelope, once. StaleConnection tells that it may be sent again: an idempotent one."""

    def __init__(self, *, clock: IReactorTime, pool: Pool, endpoint: Connects) -> None:
        self._clock = clock
        self._pool = pool
        self._endpoint = endpoint

    def request(self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None) -> Deferred[IResponse]:
        """Fire with a WireResponse once its head has arrived.

        `headers` must be an Envelope, which holds the whole request head and the body; `bodyProducer` None. Fails with
        CodedError. Cancelling closes the socket.
        """
        if not isinstance(headers, Envelope) or bodyProducer is not None:
            raise TypeError(f"{method!r} {uri!r}: this agent sends Envelopes, which have their bodies")
        idempotent = headers.method in IDEMPOTENT
        # tinyproxy, for one, closes after every answer and does not say so.
        fresh = headers.trace.fresh or (not idempotent and headers.key.forwarded)
        connection = None if fresh else self._pool.take(headers.key)
        if connection is None:
            return self._connect(headers)
        if idempotent:
            sent: Deferred[Any] = connection.send(headers)
            return sent
        if not connection.shared and self._clock.seconds() - connection.idle_since > FRESH_SECONDS:
            connection.abort()
            return self._connect(headers)
        return _send(connection, headers)

    def _connect(self, envelope: Envelope) -> Deferred[Any]:
        envelope.trace.enter("dns", self._clock.seconds())
        ready: Deferred[Any] = self._endpoint.connect(envelope)
        ready.addCallback(_send, envelope)
        return ready


def _not_twice(failure: Failure, method: str) -> Failure:
    """RFC 9110 section 9.2.2: only an idempotent request may be repeated if no answer to it has come."""
    error = failure.value
    if isinstance(error, StaleConnection) and not error.unprocessed:
        raise CodedError(error.code, f"{error.message}; {method} is not sent twice", transient=False)
    return failure


def _send(connection: Carrier, envelope: Envelope) -> Deferred[Any]:
    sent: Deferred[Any] = connection.send(envelope)
    return sent if envelope.method in IDEMPOTENT else sent.addErrback(_not_twice, envelope.method)
