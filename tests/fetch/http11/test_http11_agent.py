"""agent.py: which connection carries a request, what is sent again, and that giving up leaves nothing behind."""

from __future__ import annotations

import contextlib
import ssl
from typing import Any

import trustme
from http11_fakes import FIN, KEY, RST, Attempt, Body, FakeDial, FakeResolver, FakeTransport, envelope, lost
from msgspec.structs import replace
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionAborted
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from zope.interface.verify import verifyObject

from crawler.errors import CodedError, StaleConnection
from crawler.fetch.connect.proxy import parse_proxy
from crawler.fetch.http11.agent import IDEMPOTENT, Agent
from crawler.fetch.http11.endpoint import Endpoint
from crawler.fetch.http11.envelope import Envelope, Key
from crawler.fetch.http11.pool import Pool
from crawler.fetch.http11.response import WireResponse

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
TLS_KEY = Key("https", "a.example", 443, False)


class AgentCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.dial = FakeDial(self.clock)
        self.resolver = FakeResolver(**{"a.example": ["192.0.2.1"]})
        self.pool = Pool(self.clock)
        self.tls_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        endpoint = Endpoint(
            clock=self.clock,
            dial=self.dial,
            resolver=self.resolver,  # type: ignore[arg-type]
            tls_context=self.tls_context,
            pool=self.pool,
        )
        self.agent = Agent(clock=self.clock, pool=self.pool, endpoint=endpoint)

    def request(self, method: str = "GET", key: Key = KEY) -> tuple[Any, Envelope]:
        asked = envelope(method, key=key)
        return self.agent.request(method.encode(), b"http://a.example/", asked), asked

    @property
    def attempt(self) -> Attempt:
        """The last connection."""
        return self.dial.attempts[-1]

    def answer(self, data: bytes = PLAIN) -> None:
        self.attempt.protocol.dataReceived(data)

    def idle(self, method: str = "GET") -> FakeTransport:
        """Leave an idle connection in the pool."""
        self.request(method)
        transport = self.attempt.connect()
        self.answer()
        self.assertEqual(repr(self.pool), "<Pool 1 open, 1 idle>")
        return transport

    def check_quiet(self) -> None:
        """No connection is open and no timer runs."""
        self.assertTrue(all(attempt.given_up or attempt.transport.aborted for attempt in self.dial.attempts))
        self.assertEqual(repr(self.pool), "<Pool 0 open, 0 idle>")
        self.pool.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class RequestTests(AgentCase):
    def test_interface(self) -> None:
        """It is what treq calls an agent."""
        verifyObject(IAgent, self.agent)

    def test_new_connection(self) -> None:
        """The request is written when the connection is there; the response comes with its head."""
        asking, asked = self.request()
        self.assertEqual((asked.trace.phase, asked.trace.reused), ("connect", False))
        transport = self.attempt.connect()
        self.assertEqual(transport.written, asked.head)
        self.assertEqual(asked.trace.phase, "headers")
        self.answer()
        response = self.successResultOf(asking)
        self.assertEqual(response.code, 200)
        body = Body()
        response.deliverBody(body)
        self.assertEqual(body.data, b"hello")
        self.assertIsInstance(body.why, ResponseDone)

    def test_pooled_connection(self) -> None:
        """The next request of the same key goes over it, without resolving or dialling."""
        transport = self.idle()
        asking, asked = self.request()
        self.assertEqual(transport.written, asked.head * 2)
        self.assertEqual((asked.trace.phase, asked.trace.reused), ("headers", True))
        self.assertEqual((asked.trace.resolved, asked.trace.connected), (None, None))
        self.answer()
        self.successResultOf(asking)
        self.assertEqual(len(self.dial.attempts), 1)

    def test_other_key_other_connection(self) -> None:
        """A connection made under one address policy never carries the requests of another."""
        self.idle()
        self.resolver.names["a.example"] = ["8.8.8.8"]
        self.request(key=replace(KEY, public_only=True))
        self.assertEqual(len(self.dial.attempts), 2)

    def test_failure(self) -> None:
        """What the endpoint or the connection say is the result."""
        asking, _ = self.request()
        self.attempt.fail(OSError(111, "refused"))
        self.assertEqual(self.failureResultOf(asking, CodedError).value.code, "connect_refused")
        asking, _ = self.request()
        self.attempt.connect()
        self.attempt.protocol.connectionLost(lost(RST))
        self.assertEqual(self.failureResultOf(asking, CodedError).value.code, "conn_reset")

    def test_only_envelopes_are_sent(self) -> None:
        """Other headers, or a body, are a mistake of the caller."""
        with self.assertRaises(TypeError):
            self.agent.request(b"GET", b"http://a.example/", Headers())
        with self.assertRaises(TypeError):
            self.agent.request(b"GET", b"http://a.example/")
        with self.assertRaises(TypeError):
            self.agent.request(b"POST", b"http://a.example/", envelope("POST"), object())


class StaleTests(AgentCase):
    """Rows 21, 22 and 32: a pooled connection that the server had closed, or on which the answer before goes on."""

    def stale(self, method: str = "GET", *, data: bytes = b"", reason: Any = FIN) -> Any:
        """A request over an idle connection, to which this comes instead of an answer."""
        self.idle()
        asking, _ = self.request(method)
        if data:
            self.answer(data)
        if not self.attempt.transport.aborted:
            self.attempt.protocol.connectionLost(lost(reason))
        self.assertEqual(len(self.dial.attempts), 1)  # it is not for us to send it again
        return asking

    def test_it_may_be_sent_again(self) -> None:
        """The methods that may be repeated, however the old connection ended."""
        for method in sorted(IDEMPOTENT):
            for reason in (FIN, RST):
                self.setUp()
                asking = self.stale(method, reason=reason)
                self.assertEqual(self.failureResultOf(asking, StaleConnection).value.code, "empty_reply")

    def test_the_rest_of_the_answer_before(self) -> None:
        """The body of an answer to HEAD, say, in a segment that comes when the next request is on its way."""
        for rest in (b"<!DOCTYPE html>", b"\r\n<p>", b"x", b"\0" * 300_000, b"HTTPS is"):
            self.setUp()
            asking = self.stale("HEAD", data=rest)
            self.assertEqual(self.failureResultOf(asking, StaleConnection).value.code, "http_desync")
        self.setUp()
        asking = self.stale(data=b"\r\n")  # and nothing else: nobody has answered
        self.assertEqual(self.failureResultOf(asking, StaleConnection).value.code, "empty_reply")

    def test_on_a_new_connection_it_is_an_answer(self) -> None:
        """There was nothing before."""
        asking, _ = self.request()
        self.attempt.connect()
        self.answer(b"<!DOCTYPE html>")
        failure = self.failureResultOf(asking, CodedError)
        self.assertNotIsInstance(failure.value, StaleConnection)
        self.assertEqual(failure.value.code, "http_not_http")

    def test_other_methods_are_not_sent_again(self) -> None:
        """Nobody knows whether the server has seen it."""
        for method in ("POST", "PATCH", "LOCK"):
            for data, code in ((b"", "empty_reply"), (b"<p>", "http_desync")):
                self.setUp()
                failure = self.failureResultOf(self.stale(method, data=data), CodedError)
                self.assertNotIsInstance(failure.value, StaleConnection)
                self.assertEqual((failure.value.code, failure.value.transient), (code, False))

    def test_what_is_not_sent_again_goes_over_no_old_connection(self) -> None:
        """A second of idling is enough for a server to be closing it; what may be sent again takes it all the same."""
        for method, seconds, connections in (("POST", 1.5, 2), ("POST", 0.5, 1), ("PUT", 1.5, 1), ("GET", 1.5, 1)):
            self.setUp()
            old = self.idle()
            self.clock.advance(seconds)
            self.request(method)
            self.assertEqual(len(self.dial.attempts), connections)
            self.assertEqual(old.aborted, connections == 2)

    def test_what_is_not_sent_again_goes_over_no_connection_that_a_proxy_kept(self) -> None:
        """Small proxies close after every answer, and say nothing of it: it may close at any moment."""
        key = replace(KEY, proxy=parse_proxy("http://192.0.2.9:3128"))
        for method, connections in (("POST", 2), ("PATCH", 2), ("PUT", 1), ("GET", 1)):
            self.setUp()
            self.resolver.names["192.0.2.9"] = ["192.0.2.9"]
            self.request(key=key)
            self.attempt.connect()
            self.answer()
            self.request(method, key)
            self.assertEqual(len(self.dial.attempts), connections, method)

    def test_not_once_the_answer_has_begun(self) -> None:
        """A single byte of it is enough."""
        for begun in (b"H", b"HTTP/1.1 2"):
            self.setUp()
            failure = self.failureResultOf(self.stale(data=begun), CodedError)
            self.assertNotIsInstance(failure.value, StaleConnection)
            self.assertEqual(failure.value.code, "http_truncated_headers")

    def test_fresh(self) -> None:
        """Over a new connection, though others are idle: they could be stale as well."""
        self.idle()
        asked = envelope()
        asked.trace.fresh = True
        asking = self.agent.request(b"GET", b"http://a.example/", asked)
        self.assertEqual(len(self.dial.attempts), 2)
        transport = self.attempt.connect()
        self.assertEqual(transport.written, asked.head)
        self.attempt.protocol.connectionLost(lost(FIN))
        self.assertNotIsInstance(self.failureResultOf(asking, CodedError).value, StaleConnection)


class CancelTests(AgentCase):
    """Cancelling closes the socket, whatever phase the request is in, and leaves nothing pending."""

    def cancel(self, asking: Any, asked: Envelope, phase: str) -> None:
        self.assertEqual(asked.trace.phase, phase)
        asking.cancel()
        self.failureResultOf(asking, CancelledError)

    def test_dns(self) -> None:
        """The resolver hears that nobody waits."""
        asking, asked = self.request(key=Key("http", "b.example", 80, False))
        self.cancel(asking, asked, "dns")
        self.assertEqual((self.resolver.given_up, self.dial.attempts), (1, []))
        self.check_quiet()

    def test_connect(self) -> None:
        """The attempts are given up."""
        self.resolver.names["a.example"] = ["192.0.2.1", "192.0.2.2"]
        asking, asked = self.request()
        self.clock.advance(0.25)
        self.assertEqual(len(self.dial.attempts), 2)
        self.cancel(asking, asked, "connect")
        self.check_quiet()

    def test_tls(self) -> None:
        """The handshake is broken off."""
        asking, asked = self.request(key=TLS_KEY)
        self.attempt.connect()
        self.cancel(asking, asked, "tls")
        self.attempt.protocol.connectionLost(lost(ConnectionAborted))
        self.check_quiet()

    def test_headers(self) -> None:
        """On a new connection and on a reused one, before the first byte and after it."""
        for data in (b"", b"HTTP/1.1 2"):
            for reuse in (False, True):
                self.setUp()
                if reuse:
                    self.idle()
                asking, asked = self.request()
                if not reuse:
                    self.attempt.connect()
                if data:
                    self.answer(data)
                self.cancel(asking, asked, "headers")
                self.attempt.protocol.connectionLost(lost(ConnectionAborted))
                self.assertEqual(len(self.dial.attempts), 1)
                self.check_quiet()

    def test_body(self) -> None:
        """The response is what is given up then; cancelling the fired request does nothing."""
        asking, asked = self.request()
        self.attempt.connect()
        self.answer(PLAIN[:-1])
        response: WireResponse = self.successResultOf(asking)
        self.assertEqual(asked.trace.phase, "body")
        asking.cancel()
        self.assertFalse(self.attempt.transport.aborted)
        response.abort()
        self.attempt.protocol.connectionLost(lost(ConnectionAborted))
        self.check_quiet()


class TLSTests(AgentCase):
    def test_request_over_tls(self) -> None:
        """The request is written when the handshake is done; the trace has its time."""
        authority = trustme.CA()
        authority.configure_trust(self.tls_context)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("a.example").configure_cert(context)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        server = context.wrap_bio(incoming, outgoing, server_side=True)
        asking, asked = self.request(key=TLS_KEY)
        self.clock.advance(1)
        transport = self.attempt.connect()
        self.clock.advance(2)
        for _ in range(3):
            incoming.write(transport.written)
            transport.written = b""
            with contextlib.suppress(ssl.SSLWantReadError):
                server.do_handshake()
            if outgoing.pending:
                self.attempt.protocol.dataReceived(outgoing.read())
        self.assertEqual(server.read(), asked.head)
        self.assertEqual((asked.trace.connected, asked.trace.secured, asked.trace.phase), (1.0, 3.0, "headers"))
        server.write(PLAIN)
        self.attempt.protocol.dataReceived(outgoing.read())
        self.assertEqual(self.successResultOf(asking).code, 200)
        self.assertEqual(repr(self.pool), "<Pool 1 open, 1 idle>")
        self.pool.close()
        self.assertTrue(transport.aborted)
