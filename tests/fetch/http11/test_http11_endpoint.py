"""endpoint.py: whom it dials and when, what it refuses to dial, and that who loses or is given up is closed."""

from __future__ import annotations

import errno
import ssl
from typing import Any

from http11_fakes import Attempt, FakeDial, FakeResolver, envelope, outcome_of
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from crawler.errors import CodedError
from crawler.fetch.connect.race import ATTEMPT_DELAY, MAX_ATTEMPTS
from crawler.fetch.http11.connection import Connection
from crawler.fetch.http11.endpoint import Endpoint
from crawler.fetch.http11.envelope import Envelope, Key
from crawler.fetch.http11.pool import Pool
from crawler.fetch.http11.tls import TLSLayer

REFUSED = OSError(errno.ECONNREFUSED, "refused")
UNREACHABLE = OSError(errno.ENETUNREACH, "unreachable")


class EndpointCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(100.0)
        self.dial = FakeDial(self.clock)
        self.resolver = FakeResolver()
        self.pool = Pool(self.clock)
        self.endpoint = Endpoint(
            clock=self.clock,
            dial=self.dial,
            resolver=self.resolver,  # type: ignore[arg-type]
            tls_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            pool=self.pool,
        )

    def connect(
        self, *addresses: str, scheme: str = "http", port: int = 80, public_only: bool = False
    ) -> tuple[Any, Envelope]:
        """Ask for a connection to a host with these addresses: the Deferred, and the envelope asked with."""
        self.resolver.names["a.example"] = list(addresses)
        asked = envelope(key=Key(scheme, "a.example", port, public_only), started=100.0)
        return self.endpoint.connect(asked), asked

    def dialled(self) -> list[tuple[float, str]]:
        """Who was dialled, and how long after the start."""
        return [(attempt.when - 100.0, attempt.address) for attempt in self.dial.attempts]

    def attempt(self, address: str) -> Attempt:
        return next(attempt for attempt in self.dial.attempts if attempt.address == address)

    def code(self, deferred: Any) -> str:
        error = self.failureResultOf(deferred, CodedError).value
        return str(error.code)

    def check_quiet(self) -> None:
        """No timer runs and nothing is held."""
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(repr(self.pool), "<Pool 0 open, 0 idle>")


class ConnectTests(EndpointCase):
    def test_connection(self) -> None:
        """It comes with its key and address, and the pool knows it."""
        connecting, asked = self.connect("192.0.2.1")
        self.assertNoResult(connecting)
        self.attempt("192.0.2.1").connect()
        connection = self.successResultOf(connecting)
        self.assertIsInstance(connection, Connection)
        self.assertEqual((connection.key, connection.remote_ip), (asked.key, "192.0.2.1"))
        self.assertEqual(repr(self.pool), "<Pool 1 open, 0 idle>")
        self.assertEqual(self.attempt("192.0.2.1").port, 80)

    def test_phases(self) -> None:
        """The trace says when the name was known and the connection made, and which phase runs."""
        self.resolver.names.clear()
        asked = envelope(key=Key("http", "b.example", 80, False), started=100.0)
        connecting = self.endpoint.connect(asked)
        self.clock.advance(1)
        self.resolver.waiting[0].callback(["192.0.2.1"])
        self.assertEqual((asked.trace.phase, asked.trace.phase_started), ("connect", 101.0))
        self.clock.advance(2)
        self.attempt("192.0.2.1").connect()
        self.successResultOf(connecting)
        self.assertEqual((asked.trace.resolved, asked.trace.connected, asked.trace.secured), (101.0, 103.0, None))
        self.assertEqual(asked.trace.remote_ip, "192.0.2.1")

    def test_name_that_is_none(self) -> None:
        """What the resolver says is the result."""
        asked = envelope(key=Key("http", "b.example", 80, False))
        connecting = self.endpoint.connect(asked)
        self.resolver.waiting[0].errback(Failure(CodedError("dns_nxdomain")))
        self.assertEqual(self.code(connecting), "dns_nxdomain")
        self.check_quiet()

    def test_refusal_has_a_code_and_an_address(self) -> None:
        """The error names whom we could not reach."""
        for address, where in (("192.0.2.1", "192.0.2.1:80"), ("2001:db8::1", "[2001:db8::1]:80")):
            connecting, _ = self.connect(address)
            self.attempt(address).fail(REFUSED)
            error = self.failureResultOf(connecting, CodedError).value
            self.assertEqual(error.code, "connect_refused")
            self.assertIn(where, error.message)
            self.check_quiet()

    def test_our_own_trouble(self) -> None:
        """Out of descriptors or ports is told apart from what servers do."""
        for number, code in ((errno.EMFILE, "local_fd_limit"), (errno.EADDRNOTAVAIL, "local_port_exhausted")):
            connecting, _ = self.connect("192.0.2.1")
            self.dial.attempts.pop().fail(OSError(number, "no"))
            self.assertEqual(self.code(connecting), code)

    def test_lost_between_connecting_and_our_hearing_of_it(self) -> None:
        """The pool does not hold a connection that is gone already."""
        connecting, _ = self.connect("192.0.2.1")
        attempt = self.attempt("192.0.2.1")
        attempt.protocol.makeConnection(attempt.transport)  # type: ignore[arg-type]
        attempt.protocol.connectionLost(Failure(ConnectionDone()))
        attempt.dialled.callback(None)
        self.assertFalse(self.successResultOf(connecting).usable)
        self.check_quiet()


class HappyEyeballsTests(EndpointCase):
    """RFC 8305: the addresses are raced."""

    def test_next_attempt_after_a_quarter_of_a_second(self) -> None:
        """While nobody answers the next address is dialled every 250 ms, and no earlier one is given up."""
        self.connect("192.0.2.1", "192.0.2.2", "192.0.2.3")
        self.clock.pump([0.125] * 8)
        self.assertEqual(
            self.dialled(), [(0.0, "192.0.2.1"), (ATTEMPT_DELAY, "192.0.2.2"), (2 * ATTEMPT_DELAY, "192.0.2.3")]
        )
        self.assertFalse(any(attempt.given_up for attempt in self.dial.attempts))

    def test_families_alternate(self) -> None:
        """Beginning with that of the first address, as the system orders them (RFC 8305 section 4)."""
        self.connect("2001:db8::1", "2001:db8::2", "2001:db8::3", "192.0.2.1")
        self.clock.pump([0.25] * 4)
        self.assertEqual(
            [address for _, address in self.dialled()], ["2001:db8::1", "192.0.2.1", "2001:db8::2", "2001:db8::3"]
        )

    def test_a_refusal_starts_the_next_at_once(self) -> None:
        """And the attempt after that comes 250 ms later."""
        self.connect("192.0.2.1", "192.0.2.2", "192.0.2.3")
        self.clock.advance(0.125)
        self.attempt("192.0.2.1").fail(REFUSED)
        self.clock.pump([0.125] * 4)
        self.assertEqual([when for when, _ in self.dialled()], [0.0, 0.125, 0.375])

    def test_good_after_dead(self) -> None:
        """A dead IPv6 address costs a quarter of a second, not a timeout (row 17)."""
        connecting, asked = self.connect("2001:db8::1", "192.0.2.1")
        self.clock.advance(ATTEMPT_DELAY)
        self.attempt("192.0.2.1").connect()
        self.assertEqual(self.successResultOf(connecting).remote_ip, "192.0.2.1")
        self.assertEqual(asked.trace.remote_ip, "192.0.2.1")
        self.assertTrue(self.attempt("2001:db8::1").given_up)

    def test_the_first_that_connects_wins(self) -> None:
        """The others are given up, and no further one is dialled."""
        connecting, _ = self.connect("192.0.2.1", "192.0.2.2", "192.0.2.3")
        self.clock.advance(ATTEMPT_DELAY)
        self.attempt("192.0.2.1").connect()
        self.assertEqual(self.successResultOf(connecting).remote_ip, "192.0.2.1")
        self.assertTrue(self.attempt("192.0.2.2").given_up)
        self.clock.advance(10)
        self.assertEqual(len(self.dial.attempts), 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_loser_that_connects_all_the_same_is_closed(self) -> None:
        """Where giving up came too late for the system."""
        for scheme in ("http", "https"):
            self.setUp()
            self.connect("192.0.2.1", "192.0.2.2", scheme=scheme)
            self.clock.advance(ATTEMPT_DELAY)
            late = self.attempt("192.0.2.1")
            late.dialled.cancel = lambda: None  # type: ignore[method-assign]
            self.attempt("192.0.2.2").connect()
            transport = late.connect()
            self.assertTrue(transport.aborted)
            late.protocol.connectionLost(Failure(ConnectionDone()))

    def test_all_refused(self) -> None:
        """The first error is told when the last attempt has failed."""
        connecting, _ = self.connect("192.0.2.1", "192.0.2.2")
        self.attempt("192.0.2.1").fail(REFUSED)
        self.assertNoResult(connecting)
        self.attempt("192.0.2.2").fail(UNREACHABLE)
        error = self.failureResultOf(connecting, CodedError).value
        self.assertEqual((error.code, error.message), ("connect_refused", "192.0.2.1:80: Connection refused"))
        self.check_quiet()

    def test_a_refusal_while_others_run(self) -> None:
        """It ends nothing."""
        connecting, _ = self.connect("192.0.2.1", "192.0.2.2")
        self.clock.advance(ATTEMPT_DELAY)
        self.attempt("192.0.2.2").fail(REFUSED)
        self.assertNoResult(connecting)
        self.attempt("192.0.2.1").connect()
        self.successResultOf(connecting)

    def test_very_many_addresses(self) -> None:
        """Some of them are tried; a name server cannot keep us busy, nor use up the stack."""
        self.dial.refusing = REFUSED
        connecting, _ = self.connect(*(f"10.{i // 256}.{i % 256}.1" for i in range(5000)))
        self.assertEqual(self.code(connecting), "connect_refused")
        self.assertEqual(len(self.dial.attempts), MAX_ATTEMPTS)


class PolicyTests(EndpointCase):
    """What was discovered may lead to public addresses only: the exact ones that are then dialled."""

    def test_private_addresses_are_blocked(self) -> None:
        """Nobody is dialled; the error says which address it was."""
        for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "fe80::1%eth0"):
            connecting, _ = self.connect(address, public_only=True)
            error = self.failureResultOf(connecting, CodedError).value
            self.assertEqual((error.code, error.phase), ("address_blocked", "policy"))
            self.assertIn(address, error.message)
        self.assertEqual(self.dialled(), [])
        self.check_quiet()

    def test_mixed_answers(self) -> None:
        """The blocked ones are dropped, also as second choice."""
        connecting, _ = self.connect("10.0.0.1", "8.8.8.8", "::1", "2606:4700::1111", public_only=True)
        self.clock.pump([0.25] * 8)
        self.assertEqual([address for _, address in self.dialled()], ["8.8.8.8", "2606:4700::1111"])
        self.attempt("8.8.8.8").fail(REFUSED)
        self.attempt("2606:4700::1111").fail(REFUSED)
        self.assertEqual(self.code(connecting), "connect_refused")

    def test_typed_urls_may_be_private(self) -> None:
        """Without the policy every address is dialled, and every port."""
        for port in (80, 25, 6379):
            self.connect("127.0.0.1", port=port)
        self.assertEqual([attempt.port for attempt in self.dial.attempts], [80, 25, 6379])

    def test_bad_ports(self) -> None:
        """A service that is no web server is not even looked up."""
        for port in (22, 25, 6379, 6667):
            asked = envelope(key=Key("http", "b.example", port, True))
            self.assertEqual(self.code(self.endpoint.connect(asked)), "address_blocked")
        self.assertEqual(self.resolver.waiting, [])

    def test_literal_addresses(self) -> None:
        """A host that is an address goes through the same check (row 11)."""
        self.resolver.names["127.0.0.1"] = ["127.0.0.1"]
        asked = envelope(key=Key("http", "127.0.0.1", 80, True))
        self.assertEqual(self.code(self.endpoint.connect(asked)), "address_blocked")


class CancelTests(EndpointCase):
    """Giving up closes what was being opened."""

    def test_while_the_name_is_looked_up(self) -> None:
        """The resolver is told."""
        connecting = self.endpoint.connect(envelope(key=Key("http", "b.example", 80, False)))
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertEqual(self.resolver.given_up, 1)
        self.check_quiet()

    def test_while_connecting(self) -> None:
        """All attempts in the air are given up, and no other is started."""
        connecting, _ = self.connect("192.0.2.1", "192.0.2.2", "192.0.2.3")
        self.clock.advance(ATTEMPT_DELAY)
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertEqual([attempt.given_up for attempt in self.dial.attempts], [True, True])
        self.clock.advance(10)
        self.assertEqual(len(self.dial.attempts), 2)
        self.check_quiet()

    def test_in_the_handshake(self) -> None:
        """The socket is closed; what the layer then hears is nobody's error."""
        connecting, asked = self.connect("192.0.2.1", scheme="https", port=443)
        transport = self.attempt("192.0.2.1").connect()
        self.assertEqual(asked.trace.phase, "tls")
        connecting.cancel()
        self.failureResultOf(connecting, CancelledError)
        self.assertTrue(transport.aborted)
        self.attempt("192.0.2.1").protocol.connectionLost(Failure(ConnectionDone()))
        self.check_quiet()

    def test_a_handshake_that_nobody_hears_of(self) -> None:
        """uvloop may connect, shake hands and close before it notices that it was cancelled: no error is left lying."""
        for give_up in (True, False):
            self.setUp()
            connecting, _ = self.connect("192.0.2.1", scheme="https")
            results = outcome_of(connecting)
            attempt = self.attempt("192.0.2.1")
            attempt.protocol.makeConnection(attempt.transport)  # type: ignore[arg-type]
            assert isinstance(attempt.protocol, TLSLayer)
            if give_up:
                connecting.cancel()
            attempt.protocol.connectionLost(Failure(ConnectionDone()))
            if not give_up:
                attempt.fail(REFUSED)
            self.assertEqual(len(results), 1)
            del connecting, attempt, self.dial.attempts[:]
            self.assertEqual(self.flushLoggedErrors(), [])


class Offering:
    """HTTP/2, with a context that tells whom it was offered."""

    def __init__(self) -> None:
        self.offered: list[str] = []
        self.refused: set[str] = set()
        self.context = self
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *, server_hostname: str) -> ssl.SSLObject:
        self.offered.append(server_hostname)
        return self._context.wrap_bio(incoming, outgoing, server_hostname=server_hostname)

    def may_serve(self, key: Key) -> bool:
        return key.host not in self.refused

    def connection(self, key: Key) -> Any:
        raise AssertionError("nobody answers here")


class Http2Tests(EndpointCase):
    def setUp(self) -> None:
        super().setUp()
        self.http2 = Offering()
        self.endpoint._http2 = self.http2  # type: ignore[assignment]

    def test_whom_it_is_offered(self) -> None:
        """https alone; a WebSocket begins in HTTP/1.1, and so does what a server wants to have so."""
        for scheme in ("http", "https", "wss", "ws"):
            self.connect("192.0.2.1", scheme=scheme)
        self.assertEqual(self.http2.offered, ["a.example"])
        self.http2.refused.add("a.example")
        self.connect("192.0.2.1", scheme="https")
        self.assertEqual(self.http2.offered, ["a.example"])
        self.assertEqual(len(self.dial.attempts), 5)
