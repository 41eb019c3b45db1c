"""envelope.py: what treq is handed, so that it has nothing to do; and what it reads of a response."""

from __future__ import annotations

from typing import Any

from http11_fakes import KEY, Exchange, connected, envelope
from treq.client import HTTPClient
from treq.content import content
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from zope.interface import implementer

from crawler.http11.envelope import Envelope, NullJar, ResponseHeaders, Trace, WireURL


@implementer(IAgent)
class SpyAgent:
    """Remembers what treq asks of it, and answers with a given response."""

    def __init__(self, response: Any) -> None:
        self.asked: list[tuple[bytes, bytes, Any, Any]] = []
        self.response = response

    def request(self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None) -> Deferred[Any]:
        self.asked.append((method, uri, headers, bodyProducer))
        return succeed(self.response)


class TreqTests(SynchronousTestCase):
    """The real treq, as fetch uses it."""

    def fetch(self, data: bytes) -> tuple[Any, SpyAgent]:
        """treq's response to an answer of these bytes, and the agent below it."""
        connection, _ = connected()
        sent = connection.send(envelope())
        connection.dataReceived(data)
        agent = SpyAgent(self.successResultOf(sent))
        self.envelope = envelope()
        asked = HTTPClient(agent, NullJar()).request(
            "GET",
            WireURL("http", "a_b.example:8080"),
            headers=self.envelope,
            cookies=NullJar(),
            allow_redirects=False,
            unbuffered=True,
            reactor=object(),
        )
        return self.successResultOf(asked), agent

    def test_envelope_goes_through_untouched(self) -> None:
        """The agent gets the same object, with the head as it was written, and the URL's origin as it is."""
        _, agent = self.fetch(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        ((method, uri, headers, body),) = agent.asked
        self.assertIs(headers, self.envelope)
        self.assertEqual((method, uri, body), (b"GET", b"http://a_b.example:8080/", None))
        self.assertEqual(headers.head, b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")

    def test_response_comes_through(self) -> None:
        """Status, headers and body are those of the wire; `original` is our own response."""
        response, agent = self.fetch(b"HTTP/1.1 404 -\r\nX: a\r\nx: b\r\nContent-Length: 5\r\n\r\nhello")
        self.assertEqual((response.code, response.length), (404, 5))
        self.assertEqual(response.headers.getRawHeaders("x"), ["a", "b"])
        self.assertIs(response.original, agent.response)
        self.assertEqual(self.successResultOf(content(response)), b"hello")

    def test_nothing_is_decoded(self) -> None:
        """treq would undo gzip without any limit: it does not get to see the header; whoever reads `fields` does."""
        data = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello"
        response, _ = self.fetch(data)
        self.assertEqual(self.successResultOf(content(response)), b"hello")
        self.assertIn((b"Content-Encoding", b"gzip"), response.original.fields)

    def test_cookies_are_nobodys_business(self) -> None:
        """A cookie of any bytes neither fails the response nor is kept (row 56)."""
        response, _ = self.fetch(
            "HTTP/1.1 200 OK\r\nSet-Cookie: city=Köln; Path=/\r\nContent-Length: 0\r\n\r\n".encode()
        )
        self.assertEqual(response.code, 200)
        self.assertEqual(list(NullJar()), [])


class ResponseHeadersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.headers = ResponseHeaders([(b"X", b"a"), (b"CONTENT-encoding", b"br"), (b"x", b"b"), (b"Y", b"\xff")])

    def test_reading(self) -> None:
        """Names have no case; values come in their order; any bytes are a value."""
        self.assertEqual(self.headers.getRawHeaders(b"x"), [b"a", b"b"])
        self.assertEqual(self.headers.getRawHeaders(b"y"), [b"\xff"])
        self.assertIsNone(self.headers.getRawHeaders(b"z"))
        self.assertEqual(self.headers.getRawHeaders(b"z", [b"other"]), [b"other"])
        self.assertEqual((self.headers.hasHeader(b"X"), self.headers.hasHeader(b"z")), (True, False))

    def test_content_encoding_is_withheld(self) -> None:
        """However it is asked for."""
        self.assertIsNone(self.headers.getRawHeaders(b"content-encoding"))
        self.assertIsNone(self.headers.getRawHeaders(b"Content-Encoding"))
        self.assertFalse(self.headers.hasHeader(b"content-encoding"))
        self.assertEqual(dict(self.headers.getAllRawHeaders()), {b"X": [b"a", b"b"], b"Y": [b"\xff"]})

    def test_they_are_headers(self) -> None:
        """For whoever asks for Twisted's class."""
        self.assertIsInstance(self.headers, Headers)


class EnvelopeTests(SynchronousTestCase):
    def test_headers_are_in_the_head(self) -> None:
        """Whoever asks for a header is told that it is there, and nothing can be added."""
        sent = envelope()
        self.assertTrue(sent.hasHeader(b"Accept-Encoding"))
        sent.addRawHeader(b"Accept-Encoding", b"gzip")
        self.assertIs(sent.copy(), sent)
        self.assertNotIn(b"gzip", sent.head)
        self.assertIsInstance(sent, Headers)

    def test_what_it_holds(self) -> None:
        """The key, the method, the head and the trace."""
        trace = Trace(1.0)
        sent = Envelope(KEY, "HEAD", b"HEAD / HTTP/1.1\r\n\r\n", trace)
        self.assertEqual((sent.key, sent.method, sent.head), (KEY, "HEAD", b"HEAD / HTTP/1.1\r\n\r\n"))
        self.assertIs(sent.trace, trace)

    def test_trace_begins_with_dns(self) -> None:
        """Nothing has happened yet; the phase in progress is the first."""
        trace = Trace(7.0)
        self.assertEqual((trace.phase, trace.phase_started, trace.last_byte), ("dns", 7.0, 7.0))
        self.assertEqual((trace.resolved, trace.connected, trace.secured, trace.first_byte), (None,) * 4)
        trace.enter("connect", 8.0)
        self.assertEqual((trace.phase, trace.phase_started, trace.started), ("connect", 8.0, 7.0))

    def test_url_is_its_text(self) -> None:
        """Hosts that hyperlink would refuse pass as they are (row 6)."""
        for authority in ("r3---sn-abc.example", "a_b.example", "xn--ls8h.example:81", "[2001:db8::1]:8080"):
            url = WireURL("https", authority)
            self.assertEqual(url.to_text(), f"https://{authority}/")
            self.assertIs(url.to_uri(), url)


class ExchangeTests(SynchronousTestCase):
    def test_headers_of_a_response_are_built_when_asked_for(self) -> None:
        """Once, and always the same object."""
        connection, _ = connected()
        exchange = Exchange(connection)
        connection.dataReceived(b"HTTP/1.1 200 OK\r\nX: a\r\nContent-Length: 0\r\n\r\n")
        assert exchange.response is not None
        self.assertIs(exchange.response.headers, exchange.response.headers)
        self.assertEqual(exchange.response.headers.getRawHeaders(b"x"), [b"a"])
