"""envelope.py: what treq is handed, so that it has nothing to do; and what it reads of a response."""

from __future__ import annotations

from http11_fakes import KEY, Exchange, connected, envelope
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from crawler.fetch.http11.envelope import Envelope, ResponseHeaders, Trace


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


class ExchangeTests(SynchronousTestCase):
    def test_headers_of_a_response_are_built_when_asked_for(self) -> None:
        """Once, and always the same object."""
        connection, _ = connected()
        exchange = Exchange(connection)
        connection.dataReceived(b"HTTP/1.1 200 OK\r\nX: a\r\nContent-Length: 0\r\n\r\n")
        assert exchange.response is not None
        self.assertIs(exchange.response.headers, exchange.response.headers)
        self.assertEqual(exchange.response.headers.getRawHeaders(b"x"), [b"a"])
