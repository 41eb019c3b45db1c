"""http2/origins.py: who dials, who waits for that, and for how long."""

from __future__ import annotations

from typing import Any

from http2_server import KEY
from http11_fakes import connected, envelope, outcome_of
from msgspec.structs import replace
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from crawler.errors import CodedError
from crawler.fetch.http2.connection import Multiplexed
from crawler.fetch.http2.origins import KNOWN, WAIT, Origins
from crawler.fetch.http11.envelope import Key
from crawler.fetch.http11.pool import Pool


class Dialling:
    """An endpoint: its connections come when they are told to."""

    def __init__(self) -> None:
        self.dials: list[Deferred[Any]] = []
        self.given_up = 0

    def connect(self, _: Any) -> Deferred[Any]:
        self.dials.append(Deferred(self._cancelled))
        return self.dials[-1]

    def _cancelled(self, _: Any) -> None:
        self.given_up += 1


class OriginsCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.pool = Pool(self.clock)
        self.endpoint = Dialling()
        self.origins = Origins(clock=self.clock, pool=self.pool, context=None)  # type: ignore[arg-type]
        self.first = self.origins.before(self.endpoint)

    def connect(self, count: int = 1, key: Key = KEY) -> list[list[Any]]:
        self.last = [self.first.connect(envelope(key=key)) for _ in range(count)]
        return [outcome_of(deferred) for deferred in self.last]

    def shared(self, key: Key = KEY) -> Multiplexed:
        connection = self.origins.connection(key)
        assert isinstance(connection, Multiplexed)
        connection.makeConnection(connected()[1])  # type: ignore[arg-type]
        self.clock.advance(0)
        self.pool.opened(connection)
        return connection

    def plain(self, key: Key = KEY) -> Any:
        connection, _ = connected(self.pool, key=key)
        self.pool.opened(connection)
        return connection


class FirstAloneTests(OriginsCase):
    def test_one_dials_for_all(self) -> None:
        """Thirty-two first requests to one origin make one connection, where it speaks HTTP/2."""
        outcomes = self.connect(32)
        self.assertEqual(len(self.endpoint.dials), 1)
        connection = self.shared()
        self.endpoint.dials[0].callback(connection)
        self.assertEqual([len(outcome) for outcome in outcomes], [1] + [0] * 31)  # who dialled sends first
        self.clock.advance(0)
        self.assertEqual(outcomes, [[connection]] * 32)
        self.assertEqual(self.connect(), [[connection]])
        self.assertEqual(len(self.endpoint.dials), 1)

    def test_nobody_waits_for_http11(self) -> None:
        """The others dial as soon as that is known, all at once; and later ones do not even wait for that."""
        self.connect(4)
        self.endpoint.dials[0].callback(self.plain())
        self.clock.advance(0)
        self.assertEqual(len(self.endpoint.dials), 4)
        self.connect(3)
        self.assertEqual(len(self.endpoint.dials), 7)

    def test_a_dial_that_takes_long(self) -> None:
        """The others wait for a moment, then each dials for itself."""
        self.connect(3)
        self.clock.advance(WAIT - 0.01)
        self.assertEqual(len(self.endpoint.dials), 1)
        self.clock.advance(0.01)
        self.assertEqual(len(self.endpoint.dials), 3)
        self.endpoint.dials[0].callback(self.shared())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_dial_that_fails(self) -> None:
        """It is the failure of who dialled: the others try for themselves."""
        outcomes = self.connect(3)
        self.endpoint.dials[0].errback(Failure(CodedError("connect_refused")))
        self.clock.advance(0)
        self.assertEqual(len(self.endpoint.dials), 3)
        self.assertEqual([len(outcome) for outcome in outcomes], [1, 0, 0])

    def test_giving_up(self) -> None:
        """Who waits leaves no trace; who dials closes its socket, and the others go on."""
        outcomes = self.connect(3)
        self.last[1].cancel()
        self.assertIsInstance(outcomes[1][0], CancelledError)
        self.last[0].cancel()
        self.assertEqual(self.endpoint.given_up, 1)
        self.clock.advance(0)
        self.assertEqual(len(self.endpoint.dials), 2)
        self.last[2].cancel()
        self.assertEqual(self.endpoint.given_up, 2)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_who_is_told_and_leaves_at_once(self) -> None:
        """Between the news and its turn."""
        self.connect(2)
        self.endpoint.dials[0].callback(self.shared())
        self.last[1].cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_plain_http(self) -> None:
        """It is never HTTP/2, so nobody waits."""
        self.connect(3, Key("http", "a.example", 80, False))
        self.assertEqual(len(self.endpoint.dials), 3)

    def test_origins_are_apart(self) -> None:
        """So are requests that must go to a public address, and those that need not."""
        for key in (KEY, replace(KEY, host="b.example"), replace(KEY, port=8443), replace(KEY, public_only=True)):
            self.connect(2, key)
        self.assertEqual(len(self.endpoint.dials), 4)

    def test_a_public_one_serves_both(self) -> None:
        """As in the pool: what may go anywhere may go to a public address."""
        connection = self.shared(replace(KEY, public_only=True))
        self.assertEqual(self.connect(), [[connection]])

    def test_a_server_that_wants_http11(self) -> None:
        """It is offered nothing else from then on, and nobody waits for it."""
        self.origins.refuse(KEY)
        self.assertFalse(self.origins.may_serve(KEY))
        self.assertTrue(self.origins.may_serve(replace(KEY, host="b.example")))
        self.connect(3)
        self.assertEqual(len(self.endpoint.dials), 3)

    def test_origins_are_forgotten(self) -> None:
        """Memory does not grow with the hosts that were ever visited."""
        for number in range(KNOWN + 100):
            self.origins.refuse(replace(KEY, port=number))
        self.assertEqual(len(self.origins._refused), KNOWN)
        self.assertEqual(len(self.origins._speaks), KNOWN)
        self.assertFalse(self.origins.may_serve(replace(KEY, port=KNOWN)))


class PoolTests(OriginsCase):
    def test_shared_connections(self) -> None:
        """One is lent to whoever asks, until it takes no more; idle, it is closed after a while."""
        connection = self.shared()
        self.assertIs(self.pool.take(KEY), connection)
        self.assertIs(self.pool.take(KEY), connection)
        self.assertIsNone(self.pool.take(replace(KEY, public_only=True)))
        self.pool.released(connection)
        self.assertEqual(repr(self.pool), "<Pool 1 open, 1 idle>")
        self.assertIs(self.pool.take(KEY), connection)
        self.assertEqual(repr(self.pool), "<Pool 1 open, 0 idle>")
        self.pool.retired(connection)
        self.assertIsNone(self.pool.take(KEY))
        self.pool.gone(connection)
        self.assertEqual(repr(self.pool), "<Pool 0 open, 0 idle>")

    def test_idle(self) -> None:
        connection = self.shared()
        self.pool.released(connection)
        self.clock.advance(15)
        self.assertEqual(repr(self.pool), "<Pool 0 open, 0 idle>")
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(connection.usable)

    def test_closing(self) -> None:
        connection = self.shared()
        self.pool.close()
        self.assertFalse(connection.usable)
        self.assertIsNone(self.pool.take(KEY))
