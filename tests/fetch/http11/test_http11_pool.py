"""pool.py: which connections are kept, for how long, and that nothing is left."""

from __future__ import annotations

from dataclasses import replace as replaced

from http11_fakes import FIN, KEY, Exchange, FakeTransport, connected, lost
from msgspec.structs import replace
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from crawler.fetch.connect.proxy import Proxy
from crawler.fetch.http11.connection import Connection
from crawler.fetch.http11.envelope import Key
from crawler.fetch.http11.pool import IDLE_PER_PROXY, IDLE_SECONDS, Pool

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


class PoolTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.pool = Pool(self.clock, idle_per_key=2, idle_total=4)

    def open(self, key: Key = KEY) -> tuple[Connection, FakeTransport]:
        """A connection in use."""
        connection, transport = connected(self.pool, key=key, now=self.clock.seconds)
        self.pool.opened(connection)
        return connection, transport

    def idle(self, key: Key = KEY) -> tuple[Connection, FakeTransport]:
        """A connection that has carried one answer."""
        connection, transport = self.open(key)
        Exchange(connection)
        connection.dataReceived(PLAIN)
        return connection, transport

    def take(self, key: Key = KEY) -> Connection | None:
        return self.pool.take(key)

    def check_empty(self) -> None:
        """Nothing is held, and no timer runs."""
        self.assertEqual(repr(self.pool), "<Pool 0 open, 0 idle>")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    # Lending.

    def test_a_free_connection_is_lent_once(self) -> None:
        """What is in use is in nobody else's hands."""
        connection, _ = self.idle()
        self.assertIs(self.take(), connection)
        self.assertIsNone(self.take())

    def test_newest_first(self) -> None:
        """The one used last is the least likely to have been closed by its server."""
        first, second = self.idle()[0], self.idle()[0]
        self.assertEqual([self.take(), self.take()], [second, first])

    def test_nothing_to_lend(self) -> None:
        """A connection in use cannot be taken, nor one that was never opened."""
        self.open()
        self.assertIsNone(self.take())

    def test_keys_are_kept_apart(self) -> None:
        """Scheme, host, port, the address policy and the proxy must all be the same."""
        proxy = Proxy("http", "proxy.example", 3128, b"user", b"word")
        self.idle()
        _, proxied = self.idle(replace(KEY, proxy=proxy))
        for change in (
            {"scheme": "https"}, {"host": "b.example"}, {"port": 81}, {"public_only": True},
            {"proxy": replaced(proxy, port=81)}, {"proxy": replaced(proxy, scheme="https")},
            {"proxy": replaced(proxy, user=b"other")}, {"proxy": replaced(proxy, password=b"other")},
        ):  # fmt: skip
            self.assertIsNone(self.take(replace(KEY, **change)), change)
        self.assertIsNone(self.take(replace(KEY, public_only=True, proxy=proxy)))
        taken = self.take(replace(KEY, proxy=replaced(proxy)))
        assert taken is not None
        self.assertIs(taken.transport, proxied)

    def test_a_public_connection_serves_both(self) -> None:
        """Whoever may go anywhere takes a connection to a public address, too, of the same proxy."""
        proxy = Proxy("http", "proxy.example", 3128)
        self.idle(replace(KEY, public_only=True, proxy=proxy))
        self.assertIsNone(self.take())
        self.assertIsNotNone(self.take(replace(KEY, proxy=proxy)))

    # Caps.

    def test_so_many_for_a_key(self) -> None:
        """Beyond the cap of its origin the oldest idle connection is closed."""
        (_, first), (_, second), (_, third) = self.idle(), self.idle(), self.idle()
        self.assertEqual([first.aborted, second.aborted, third.aborted], [True, False, False])
        self.assertEqual(repr(self.pool), "<Pool 2 open, 2 idle>")

    def test_so_many_in_all(self) -> None:
        """Beyond the cap of the pool the oldest idle connection of all is closed."""
        transports = [self.idle(Key("http", f"{i}.example", 80, False))[1] for i in range(6)]
        self.assertEqual([transport.aborted for transport in transports], [True, True, False, False, False, False])

    def test_so_many_for_a_proxy(self) -> None:
        """A proxy has room for so many, wherever they lead: the oldest goes, and those of others stay."""
        self.pool = Pool(self.clock)
        proxy, other = Proxy("http", "proxy.example", 3128), Proxy("http", "other.example", 3128)
        _, stays = self.idle()
        _, stays_too = self.idle(replace(KEY, proxy=other))
        keys = [Key("https", f"{number}.example", 443, False, proxy) for number in range(IDLE_PER_PROXY + 2)]
        transports = [self.idle(key)[1] for key in keys]
        self.assertEqual([transport.aborted for transport in transports], [True] * 2 + [False] * IDLE_PER_PROXY)
        self.assertFalse(stays.aborted or stays_too.aborted)

    def test_connections_in_use_do_not_count(self) -> None:
        """The caps are for idle ones; whoever limits concurrency limits the others."""
        used = [self.open()[1] for _ in range(10)]
        self.idle()
        self.assertFalse(any(transport.aborted for transport in used))

    def test_no_keeping_at_all(self) -> None:
        """A cap of 0 closes each connection after its answer, and the answer is none the worse for it."""
        self.pool = Pool(self.clock, idle_per_key=0)
        connection, transport = self.open()
        exchange = Exchange(connection)
        connection.dataReceived(PLAIN)
        self.assertEqual((exchange.body.data, exchange.code, transport.aborted), (b"hello", None, True))
        self.pool.close()
        self.check_empty()

    # Expiry.

    def test_idle_for_too_long(self) -> None:
        """A connection is closed some 15 s after its last answer; then no timer is left."""
        _, transport = self.idle()
        self.clock.advance(IDLE_SECONDS - 0.1)
        self.assertFalse(transport.aborted)
        self.clock.pump([1.0, 1.0])
        self.assertTrue(transport.aborted)
        self.clock.pump([1.0] * 20)
        self.check_empty()

    def test_again_after_all_had_expired(self) -> None:
        """The next one to be kept expires as well, and the pool can still be closed."""
        for _ in range(2):
            _, transport = self.idle()
            self.clock.pump([1.0] * 17)
            self.assertTrue(transport.aborted)
        self.pool.close()
        self.check_empty()

    def test_age_counts_from_the_last_answer(self) -> None:
        """One that is used now and then lives on, and those beside it do not keep it from going in its time."""
        connection, transport = self.idle()
        for _ in range(5):
            self.clock.pump([1.0] * 10)
            self.assertIs(self.take(), connection)
            Exchange(connection)
            connection.dataReceived(PLAIN)
            self.idle(Key("http", "b.example", 80, False))
        self.assertFalse(transport.aborted)
        self.clock.pump([1.0] * 17)
        self.assertTrue(transport.aborted)

    def test_a_connection_in_use_does_not_expire(self) -> None:
        """A long answer is nobody's business but its deadlines'."""
        connection, transport = self.idle()
        self.take()
        Exchange(connection)
        self.clock.pump([1.0] * 60)
        self.assertFalse(transport.aborted)

    # Loss.

    def test_closed_by_the_server(self) -> None:
        """It cannot be taken any more."""
        connection, _ = self.idle()
        connection.connectionLost(lost(FIN))
        self.assertIsNone(self.take())
        self.clock.pump([1.0] * 17)
        self.check_empty()

    def test_bytes_while_idle(self) -> None:
        """They drop the connection: no request gets them for an answer."""
        connection, transport = self.idle()
        connection.dataReceived(PLAIN)
        self.assertTrue(transport.aborted)
        self.assertIsNone(self.take())

    def test_lost_before_it_was_opened(self) -> None:
        """A connection that the server has closed before we could note it is not noted."""
        connection, _ = connected(self.pool)
        connection.connectionLost(lost(FIN))
        self.pool.opened(connection)
        self.check_empty()

    def test_no_anomaly_comes_back(self) -> None:
        """After anything out of step the connection is closed, not idle."""
        for data in (
            PLAIN + b"x",
            PLAIN + PLAIN,
            b"HTTP/1.1 200 OK\r\nbad\r\nContent-Length: 5\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"HTTP/1.1 204 -\r\n\r\nhello",
            b"HTTP/1.1 999 -\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
            b"garbage",
        ):
            connection, transport = self.open()
            Exchange(connection)
            connection.dataReceived(data)
            self.assertTrue(transport.aborted, data)
            self.check_empty()

    def test_origins_are_forgotten(self) -> None:
        """Memory does not grow with the hosts that were ever visited."""
        for i in range(100):
            connection, _ = self.idle(Key("http", f"{i}.example", 80, False))
            self.assertIs(self.take(connection.key), connection)
            connection.abort()
        self.assertEqual(self.pool._idle, {})

    def test_aborted_by_its_user(self) -> None:
        """A response that is given up takes its connection along."""
        connection, _ = self.open()
        exchange = Exchange(connection)
        connection.dataReceived(PLAIN[:-1])
        assert exchange.response is not None
        exchange.response.abort()
        self.check_empty()

    # Closing.

    def test_close(self) -> None:
        """Every connection is closed, idle or not, and no timer is left."""
        transports = [self.idle()[1], self.idle()[1], self.open()[1]]
        self.pool.close()
        self.assertTrue(all(transport.aborted for transport in transports))
        self.check_empty()

    def test_close_twice(self) -> None:
        """The second time there is nothing to do."""
        self.idle()
        self.pool.close()
        self.pool.close()
        self.check_empty()

    def test_a_connection_that_outlives_the_pool(self) -> None:
        """One that was opened later is closed after its answer."""
        self.pool.close()
        _, transport = self.idle()
        self.assertTrue(transport.aborted)
        self.check_empty()
