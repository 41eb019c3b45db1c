"""response.py: the IResponse as its consumers know it: Twisted's and treq's own, and those that change their minds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import treq
from http11_fakes import RST, Body, FakeOwner, connected, envelope, lost
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionAborted
from twisted.internet.interfaces import IPushProducer
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone, readBody
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface.verify import verifyObject

from crawler.errors import CodedError
from crawler.fetch.http11.response import WireResponse

HEAD = b"HTTP/1.1 200 OK\r\nX: a\r\nContent-Length: 10\r\n\r\n"


class ResponseCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.owner = FakeOwner()
        self.connection, self.transport = connected(self.owner)

    def answered(self, data: bytes = HEAD) -> WireResponse:
        sent = self.connection.send(envelope())
        self.connection.dataReceived(data)
        response: WireResponse = self.successResultOf(sent)
        return response


class InterfaceTests(ResponseCase):
    def test_interfaces(self) -> None:
        """It is what Twisted calls a response and a producer."""
        response = self.answered()
        verifyObject(IResponse, response)
        verifyObject(IPushProducer, response)

    def test_what_it_says(self) -> None:
        """Version, status, length and headers."""
        response = self.answered()
        self.assertEqual((response.version, response.code, response.length), ((b"HTTP", 1, 1), 200, 10))
        self.assertEqual(response.headers.getRawHeaders(b"x"), [b"a"])
        self.assertEqual(response.fields, [(b"X", b"a"), (b"Content-Length", b"10")])

    def test_unknown_length(self) -> None:
        """Where the body ends with the connection or with a last chunk."""
        for head in (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"):
            self.setUp()
            self.assertIs(self.answered(head).length, UNKNOWN_LENGTH)

    def test_previous_response(self) -> None:
        """Redirect agents may hang theirs on it."""
        first, second = WireResponse(self.connection, "1.1", 301, [], 0, []), self.answered()
        second.setPreviousResponse(first)
        self.assertIs(second.previousResponse, first)


class DeliveryTests(ResponseCase):
    def test_before_during_and_after(self) -> None:
        """What came before deliverBody, what comes after, and the end."""
        response = self.answered(HEAD + b"01")
        body = Body()
        response.deliverBody(body)
        self.assertEqual(body.data, b"01")
        self.connection.dataReceived(b"23456")
        self.assertEqual((body.data, body.why), (b"0123456", None))
        self.connection.dataReceived(b"789")
        self.assertEqual(body.data, b"0123456789")
        self.assertIsInstance(body.why, ResponseDone)

    def test_after_the_end(self) -> None:
        """A body that has arrived whole waits for its consumer; its connection does not."""
        response = self.answered(HEAD + b"0123456789")
        self.assertEqual(self.owner.free, [self.connection])
        body = Body()
        response.deliverBody(body)
        self.assertEqual(body.data, b"0123456789")
        self.assertIsInstance(body.why, ResponseDone)

    def test_after_a_failure(self) -> None:
        """So does one that was cut."""
        response = self.answered(HEAD + b"01")
        self.connection.connectionLost(lost(RST))
        body = Body()
        response.deliverBody(body)
        self.assertEqual((body.data, body.code), (b"01", "body_truncated"))

    def test_once(self) -> None:
        """A body has one consumer."""
        response = self.answered()
        response.deliverBody(Body())
        with self.assertRaises(RuntimeError):
            response.deliverBody(Body())

    def test_not_after_abort(self) -> None:
        """Nobody is left waiting for a body that will never end."""
        response = self.answered()
        response.abort()
        with self.assertRaises(RuntimeError):
            response.deliverBody(Body())

    def test_transport_of_the_consumer(self) -> None:
        """It is the response itself, so that it can be stopped."""
        response = self.answered()
        body = Body()
        response.deliverBody(body)
        self.assertIs(body.transport, response)


class AbortTests(ResponseCase):
    """Abandoning a response closes its socket, and its consumer hears nothing more."""

    def check_closed(self) -> None:
        self.assertTrue(self.transport.aborted)
        self.assertEqual((self.owner.free, self.owner.lost), ([], [self.connection]))
        self.connection.connectionLost(lost(ConnectionAborted))

    def test_every_way_to_say_it(self) -> None:
        """Twisted's names for it, and ours."""
        ways: list[Callable[[Any], object]] = [
            WireResponse.abort,
            WireResponse.stopProducing,
            WireResponse.loseConnection,
            WireResponse.abortConnection,
        ]
        for way in ways:
            self.setUp()
            response, body = self.answered(HEAD + b"01"), Body()
            response.deliverBody(body)
            way(response)
            way(response)
            self.check_closed()
            self.assertEqual((body.data, body.why), (b"01", None))

    def test_before_delivery(self) -> None:
        """A response nobody wants."""
        self.answered(HEAD + b"01").abort()
        self.check_closed()

    def test_when_it_is_handed_over(self) -> None:
        """From within makeConnection: nothing is delivered."""
        response, body = self.answered(HEAD + b"01"), Body()
        body.connectionMade = response.abort  # type: ignore[method-assign]
        response.deliverBody(body)
        self.check_closed()
        self.assertEqual((body.data, body.why), (b"", None))

    def test_at_the_first_bytes(self) -> None:
        """From within dataReceived: no end follows, also where the end has come already."""
        for data in (b"01", b"0123456789"):
            self.setUp()
            response, body = self.answered(HEAD + data), Body()
            body.dataReceived = lambda _, response=response: response.abort()  # type: ignore[method-assign, misc]
            response.deliverBody(body)
            self.assertIsNone(body.why)

    def test_after_the_end(self) -> None:
        """Too late to matter: the connection is somebody else's."""
        response, body = self.answered(HEAD + b"0123456789"), Body()
        response.deliverBody(body)
        response.abort()
        self.assertFalse(self.transport.aborted)
        self.assertEqual(self.owner.free, [self.connection])

    def test_deliveries_of_several_segments(self) -> None:
        """What had come in pieces before the consumer did is not delivered past its abort."""
        response = self.answered()
        for piece in (b"01", b"23", b"45"):
            self.connection.dataReceived(piece)  # a transport may be slow to pause
        body = Body()
        seen: list[bytes] = []

        def take(data: bytes) -> None:
            seen.append(data)
            response.abort()

        body.dataReceived = take  # type: ignore[method-assign]
        response.deliverBody(body)
        self.assertEqual((seen, body.why), ([b"01"], None))
        self.check_closed()


class ReaderTests(ResponseCase):
    """The readers that people use."""

    def test_read_body(self) -> None:
        """Twisted's readBody reads it; cancelling that closes the socket."""
        reading = readBody(self.answered(HEAD + b"01"))  # type: ignore[arg-type]
        self.connection.dataReceived(b"23456789")
        self.assertEqual(self.successResultOf(reading), b"0123456789")
        self.setUp()
        reading = readBody(self.answered(HEAD + b"01"))  # type: ignore[arg-type]
        reading.cancel()
        self.failureResultOf(reading, CancelledError)
        self.assertTrue(self.transport.aborted)

    def test_read_body_that_fails(self) -> None:
        """The error is ours, with its code."""
        reading = readBody(self.answered(HEAD + b"01"))  # type: ignore[arg-type]
        self.connection.connectionLost(lost(RST))
        self.assertEqual(self.failureResultOf(reading, CodedError).value.code, "body_truncated")

    def test_treq_collect(self) -> None:
        """treq's collector gets the pieces; one that raises closes the socket."""
        pieces: list[bytes] = []
        collecting = treq.collect(self.answered(HEAD + b"01"), pieces.append)
        self.connection.dataReceived(b"23456789")
        self.successResultOf(collecting)
        self.assertEqual(b"".join(pieces), b"0123456789")
        self.setUp()

        def refuse(_: bytes) -> None:
            raise ZeroDivisionError

        collecting = treq.collect(self.answered(HEAD + b"01"), refuse)
        self.failureResultOf(collecting, ZeroDivisionError)
        self.assertTrue(self.transport.aborted)
