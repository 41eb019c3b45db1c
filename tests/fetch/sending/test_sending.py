"""Bodies on a connection: with the head or after it, as fast as they are taken, and what comes of a server's answers."""

from __future__ import annotations

from http11_fakes import FIN, RST, Body, FakeOwner, FakeTransport, TurningClock, connected, envelope, lost, outcome_of
from twisted.trial.unittest import SynchronousTestCase

from crawler.errors import CodedError, StaleConnection
from crawler.fetch.http11.connection import Connection
from crawler.fetch.http11.response import WireResponse
from crawler.fetch.sending.body import SMALL, outgoing
from crawler.models import Ask, FileBody

LONG = b"x" * (5 * SMALL)
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
REFUSED = b"HTTP/1.1 413 -\r\nContent-Length: 2\r\n\r\nno"


class SendingCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = TurningClock()
        self.owner = FakeOwner()
        self.connection: Connection
        self.transport: FakeTransport
        self.connection, self.transport = connected(self.owner, now=self.clock.seconds)

    def send(self, body: bytes | FileBody, method: str = "POST") -> None:
        self.envelope = envelope(method)
        content = outgoing(Ask(body=body), self.clock)
        assert content is not None
        self.envelope.body = content.content
        self.body = Body()
        self.outcome = outcome_of(self.connection.send(self.envelope).addCallback(self._answered))

    def _answered(self, response: WireResponse) -> WireResponse:
        response.deliverBody(self.body)
        return response

    def turns(self, count: int = 100) -> None:
        self.clock.turns(count)

    @property
    def sent(self) -> bytes:
        return self.transport.written.removeprefix(self.envelope.head)


class SentTests(SendingCase):
    def test_a_small_one_goes_with_its_head(self) -> None:
        """In one write: a segment, mostly."""
        writes: list[bytes] = []
        self.transport.write = writes.append  # type: ignore[method-assign]
        self.send(b"a=1")
        self.assertEqual(writes, [self.envelope.head + b"a=1"])
        self.assertEqual(self.envelope.trace.phase, "headers")

    def test_a_long_one_follows_in_pieces(self) -> None:
        """And the connection carries the next request after it."""
        self.send(LONG)
        self.assertEqual(self.envelope.trace.phase, "send")
        self.turns()
        self.assertEqual(self.sent, LONG)
        self.assertEqual(self.envelope.trace.phase, "headers")
        self.assertIsNone(self.transport.producer)
        self.connection.dataReceived(OK)
        self.assertEqual(self.body.data, b"ok")
        self.assertEqual(self.owner.free, [self.connection])

    def test_it_waits_for_the_transport(self) -> None:
        """No more is read while that is full; each piece begins the time of the next."""
        self.send(LONG)
        self.transport.producer.pauseProducing()
        self.turns()
        self.assertEqual(self.sent, b"")
        self.clock.advance(7)
        self.transport.producer.resumeProducing()
        self.turns()
        self.assertEqual(self.sent, LONG)
        self.assertGreater(self.envelope.trace.phase_started, 7)

    def test_cancelling_closes(self) -> None:
        """And reads no more of the body."""
        self.send(LONG)
        self.turns(2)
        self.connection.abort()
        sent = self.sent
        self.turns()
        self.assertTrue(self.transport.aborted)
        self.assertEqual(self.sent, sent)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_file_that_cannot_be_read(self) -> None:
        """It fails with a code of its own, and the connection is of no use any more."""
        self.send(FileBody("/nowhere/at/all", 5, 0))
        self.turns()
        (error,) = self.outcome
        self.assertIsInstance(error, CodedError)
        self.assertEqual((error.code, error.phase, error.transient), ("request_body", "send", False))
        self.assertTrue(self.transport.aborted)


class EarlyAnswerTests(SendingCase):
    """RFC 9112 section 9.3 and 9.5: a server may answer before it has the whole request."""

    def test_a_refusal_ends_the_sending(self) -> None:
        """It is recorded as what it is, with a warning, and the connection is not used again."""
        self.send(LONG)
        self.turns(2)
        self.connection.dataReceived(REFUSED)
        sent = self.sent
        self.turns()
        self.assertEqual(self.sent, sent)
        self.assertLess(len(sent), len(LONG))
        (response,) = self.outcome
        self.assertEqual((response.code, response.warnings), (413, ["body_unsent"]))
        self.assertEqual(self.body.data, b"no")
        self.assertTrue(self.transport.aborted)
        self.assertEqual(self.owner.free, [])

    def test_one_that_answers_as_it_reads(self) -> None:
        """It goes on with both: a transformation of a stream."""
        self.send(LONG)
        self.turns(2)
        self.connection.dataReceived(OK[:-1])
        self.transport.producer.pauseProducing()
        self.clock.advance(3)
        self.transport.producer.resumeProducing()
        self.turns()
        self.assertEqual(self.sent, LONG)
        self.assertGreater(self.envelope.trace.last_byte, 3)  # it was not idle: it took what we sent
        self.connection.dataReceived(OK[-1:])
        self.assertEqual(self.body.data, b"ok")
        self.assertEqual(self.outcome[0].warnings, [])
        self.assertEqual(self.owner.free, [self.connection])

    def test_one_that_has_seen_enough(self) -> None:
        """It has answered whole, and well: the rest is not sent, and said so."""
        self.send(LONG)
        self.turns(2)
        self.connection.dataReceived(OK)
        self.turns()
        self.assertLess(len(self.sent), len(LONG))
        self.assertEqual(self.outcome[0].warnings, ["body_unsent"])
        self.assertTrue(self.transport.aborted)

    def test_an_interim_answer_ends_nothing(self) -> None:
        """100 Continue that nobody asked for, 103 Early Hints."""
        self.send(LONG)
        self.connection.dataReceived(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 -\r\nLink: </a>\r\n\r\n")
        self.turns()
        self.assertEqual(self.sent, LONG)

    def test_cut_while_it_is_sent(self) -> None:
        """The words say when."""
        for reason, code in ((RST, "conn_reset"), (FIN, "empty_reply")):
            self.setUp()
            self.send(LONG)
            self.turns(2)
            self.connection.connectionLost(lost(reason))
            (error,) = self.outcome
            self.assertEqual(error.code, code)
            self.assertNotIsInstance(error, StaleConnection)
            if reason is RST:
                self.assertIn("while the body was sent", error.message)
            self.turns()
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_transport_that_stops_it_twice(self) -> None:
        """As Twisted's do when they are lost."""
        self.send(LONG)
        producer = self.transport.producer
        producer.stopProducing()
        self.connection.connectionLost(lost(RST))
        producer.stopProducing()
        producer.pauseProducing()
        producer.resumeProducing()
        self.turns()
        self.assertEqual(self.sent, b"")
