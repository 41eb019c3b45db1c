"""resolver.py: look-ups on threads that may block or raise, shared, cached, given up; no thread is left."""

from __future__ import annotations

import errno
import queue
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

from http11_fakes import outcome_of
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from crawler.errors import CodedError
from crawler.fetch.connect import resolver
from crawler.fetch.connect.resolver import (
    CACHE_SECONDS,
    CACHE_SIZE,
    FAILURE_SECONDS,
    LEAST_SECONDS,
    MOST_ADDRESSES,
    MOST_SECONDS,
    Found,
    Resolver,
    zone_of,
)

PATIENCE = 5.0  # for what another thread does at once


class ThreadedClock(Clock):
    """A Clock to which other threads may hand calls; `turn` runs the next of them."""

    def __init__(self) -> None:
        super().__init__()
        self.from_threads: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def callFromThread(self, call: Callable[..., None], *args: Any) -> None:
        self.from_threads.put(lambda: call(*args))

    def turn(self) -> None:
        self.from_threads.get(timeout=PATIENCE)()


def refuse(_: threading.Thread) -> None:
    """What starting a thread does when the system gives no more."""
    raise RuntimeError("can't start new thread")


class FakeSystem:
    """The system's getaddrinfo. `asked` are the names; those in `hanging` block until the gate is opened."""

    def __init__(self) -> None:
        self.answers: dict[str, Sequence[str] | Exception] = {}
        self.asked: list[str] = []
        self.hanging: set[str] = set()
        self.gate = threading.Semaphore(0)
        self.started: queue.SimpleQueue[str] = queue.SimpleQueue()

    def __call__(self, host: str, port: None, family: int, kind: int) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        self.started.put(host)
        if host in self.hanging:
            assert self.gate.acquire(timeout=PATIENCE)
        answer = self.answers.get(host, ["192.0.2.1"])
        if isinstance(answer, Exception):
            raise answer
        return [(socket.AF_INET, kind, 6, "", (address, 0)) for address in answer]

    def wait_for(self, *hosts: str) -> None:
        """Until these names are being looked up."""
        assert {self.started.get(timeout=PATIENCE) for _ in hosts} == set(hosts)


class ResolverTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.threads_before = set(threading.enumerate())
        self.clock = ThreadedClock()
        self.system = FakeSystem()
        self.resolver = Resolver(self.clock, getaddrinfo=self.system, threads=2)
        self.addCleanup(self.check_no_thread_is_left)
        self.addCleanup(self.resolver.close)
        self.addCleanup(self.system.gate.release, 100)

    def threads(self) -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread not in self.threads_before]

    def check_no_thread_is_left(self) -> None:
        for thread in self.threads():
            thread.join(PATIENCE)
            self.assertFalse(thread.is_alive())

    def look_up(self, host: str) -> Any:
        """The addresses of a name, or the code of the error."""
        result = outcome_of(self.resolver.resolve(host))
        if not result:
            self.clock.turn()
        return result[0].code if isinstance(result[0], CodedError) else result[0]

    def test_thousands_of_addresses(self) -> None:
        """A name may have as many as its owner likes: so many of each family are kept as may be tried, in their order."""
        mixed = [f"2001:db8::{n:x}" if n % 3 else f"192.0.{n // 250}.{n % 250}" for n in range(6_000)]
        self.system.answers["many.example"] = mixed
        self.system.answers["few.example"] = mixed[:40]
        kept = self.look_up("many.example")
        self.assertEqual(len(kept), 2 * MOST_ADDRESSES)
        self.assertEqual(kept[:40], mixed[:40])
        self.assertEqual([address for address in kept if ":" not in address][-1], "192.0.0.93")
        self.assertEqual(self.look_up("few.example"), mixed[:40])

    # Who is asked, and how long it holds.

    def found(self, seconds: float | None) -> list[str]:
        """Look names up with one who says for how long they hold; what it was asked will be in the list."""
        asked: list[str] = []

        def find(host: str) -> Found:
            asked.append(host)
            return ["2001:db8::1", "192.0.2.1"], seconds

        self.resolver = Resolver(self.clock, look_up=find, threads=2)
        self.addCleanup(self.resolver.close)
        return asked

    def test_what_is_said_of_how_long_it_holds(self) -> None:
        """It counts, between a floor and a cap: a second of 0 s would be a look-up for each connection."""
        for said, holds in ((None, CACHE_SECONDS), (300.0, 300.0), (0.0, LEAST_SECONDS), (1e9, MOST_SECONDS)):
            asked = self.found(said)
            self.look_up("a.example")
            self.clock.advance(holds - 1)
            self.successResultOf(self.resolver.resolve("a.example"))
            self.clock.advance(2)
            self.look_up("a.example")
            self.assertEqual(asked, ["a.example"] * 2)

    def test_what_was_asked_for_last_is_kept_longest(self) -> None:
        """The cache is bounded, and a name in use stays when it is full."""
        asked = self.found(None)
        self.look_up("used.example")
        for number in range(CACHE_SIZE - 1):
            self.resolver._remember(f"{number}.example", (["192.0.2.1"], None))
        self.successResultOf(self.resolver.resolve("used.example"))
        self.look_up("more.example")
        self.assertEqual(len(self.resolver._cache), CACHE_SIZE)
        self.successResultOf(self.resolver.resolve("used.example"))
        self.look_up("0.example")  # the one that nobody had asked for since
        self.assertEqual(asked, ["used.example", "more.example", "0.example"])

    def test_one_family(self) -> None:
        """The other one is left out, of names and of addresses; none left is no such thing as no such host."""
        self.system.answers["both.example"] = ["2001:db8::1", "192.0.2.1"]
        self.resolver._family = 4
        self.assertEqual(self.look_up("both.example"), ["192.0.2.1"])
        self.assertEqual(self.look_up("::1"), "dns_nodata")
        self.resolver._family = 6
        self.assertEqual(self.look_up("four.example"), "dns_nodata")
        self.assertEqual(self.look_up("::1"), ["::1"])

    # Answers.

    def test_addresses(self) -> None:
        """All addresses, in the system's order, each once."""
        self.system.answers["a.example"] = ["2001:db8::1", "192.0.2.2", "192.0.2.1", "192.0.2.2"]
        self.assertEqual(self.look_up("a.example"), ["2001:db8::1", "192.0.2.2", "192.0.2.1"])

    def test_an_address_is_its_own(self) -> None:
        """Without a thread, a look-up or a wait."""
        for address in ("192.0.2.1", "::1", "2001:db8::1"):
            self.assertEqual(self.successResultOf(self.resolver.resolve(address)), [address])
        self.assertEqual((self.system.asked, self.threads()), ([], []))

    def test_localhost_is_this_machine(self) -> None:
        """RFC 6761: with a root dot or below another name it is still asked for as localhost, and no DNS server is."""
        for host in ("localhost", "localhost.", "a.localhost", "a.b.localhost."):
            self.look_up(host)
        self.look_up("notlocalhost")
        self.assertEqual(self.system.asked, ["localhost"] * 4 + ["notlocalhost"])

    def test_root_dot_is_the_systems_business(self) -> None:
        """A name with its root dot is passed on as it is: without it search domains could apply."""
        self.look_up("a.example.")
        self.assertEqual(self.system.asked, ["a.example."])

    def test_failures_have_codes(self) -> None:
        """Whatever the system's resolver raises is an answer (rows 1-4)."""
        for error, code in (
            (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), "dns_nxdomain"),
            (socket.gaierror(socket.EAI_NODATA, "No address associated with hostname"), "dns_nodata"),
            (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "dns_error"),
            (socket.gaierror(socket.EAI_FAIL, "Non-recoverable failure"), "dns_error"),
            (UnicodeError("label empty or too long"), "dns_error"),
            (OSError(errno.EMFILE, "Too many open files"), "local_fd_limit"),
            (OSError(errno.ENFILE, "Too many open files in system"), "local_fd_limit"),
            (OSError(errno.EIO, "Input/output error"), "dns_error"),
            (MemoryError(), "dns_error"),
        ):
            host = f"{code}-{id(error)}.example"
            self.system.answers[host] = error
            self.assertEqual(self.look_up(host), code, error)

    def test_no_address(self) -> None:
        """An empty answer is one, too."""
        self.system.answers["a.example"] = []
        self.assertEqual(self.look_up("a.example"), "dns_nodata")

    def test_rows_that_make_no_sense(self) -> None:
        """A resolver that answers nonsense does not end our thread."""
        self.resolver = Resolver(self.clock, getaddrinfo=lambda *_: [()], threads=1)
        self.addCleanup(self.resolver.close)
        self.assertEqual(self.look_up("a.example"), "dns_error")
        self.assertEqual(self.look_up("b.example"), "dns_error")

    # Sharing and the cache.

    def test_one_look_up_at_a_time_for_a_name(self) -> None:
        """All who ask while it runs share its answer."""
        results = [outcome_of(self.resolver.resolve("a.example")) for _ in range(5)]
        self.clock.turn()
        self.assertEqual(results, [[["192.0.2.1"]]] * 5)
        self.assertEqual(self.system.asked, ["a.example"])

    def test_failures_are_shared(self) -> None:
        """Each who waits gets the error."""
        self.system.answers["a.example"] = UnicodeError()
        results = [outcome_of(self.resolver.resolve("a.example")) for _ in range(3)]
        self.clock.turn()
        self.assertEqual([result[0].code for result in results], ["dns_error"] * 3)

    def test_answers_are_kept_for_a_minute(self) -> None:
        """Then the name is looked up anew."""
        self.look_up("a.example")
        self.clock.advance(CACHE_SECONDS - 1)
        self.assertEqual(self.successResultOf(self.resolver.resolve("a.example")), ["192.0.2.1"])
        self.clock.advance(2)
        self.assertEqual(self.look_up("a.example"), ["192.0.2.1"])
        self.assertEqual(self.system.asked, ["a.example"] * 2)

    def test_failures_are_kept_for_a_moment(self) -> None:
        """A thousand URLs of a host that does not exist cost one look-up; a later attempt asks again."""
        self.system.answers["a.example"] = socket.gaierror(socket.EAI_NONAME, "no such name")
        self.look_up("a.example")
        self.clock.advance(FAILURE_SECONDS - 1)
        self.assertEqual(
            self.failureResultOf(self.resolver.resolve("a.example"), CodedError).value.code, "dns_nxdomain"
        )
        self.clock.advance(2)
        del self.system.answers["a.example"]
        self.assertEqual(self.look_up("a.example"), ["192.0.2.1"])

    def test_another_try_asks_anew(self) -> None:
        """What is remembered of a name's failures is for other URLs; a second try is there to hear of something new."""
        self.system.answers["a.example"] = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        self.look_up("a.example")
        self.failureResultOf(self.resolver.resolve("a.example"), CodedError)
        del self.system.answers["a.example"]
        again = self.resolver.resolve("a.example", 2)
        self.clock.turn()
        self.assertEqual(self.successResultOf(again), ["192.0.2.1"])

    def test_a_thousand_tries_of_a_name(self) -> None:
        """The second tries of all URLs of a host cost one look-up together, and so do the third."""
        self.system.answers["a.example"] = socket.gaierror(socket.EAI_NONAME, "no such name")
        for attempt in (1, 2, 3):
            results = [outcome_of(self.resolver.resolve("a.example", attempt)) for _ in range(2)]
            self.clock.turn()
            results += [outcome_of(self.resolver.resolve("a.example", attempt)) for _ in range(100)]
            self.assertEqual({result[0].code for result in results}, {"dns_nxdomain"})
        self.assertEqual(len(self.system.asked), 3)

    def test_our_own_trouble_is_not_kept(self) -> None:
        """That we ran out of descriptors says nothing of the name."""
        self.system.answers["a.example"] = OSError(errno.EMFILE, "Too many open files")
        self.look_up("a.example")
        del self.system.answers["a.example"]
        self.assertEqual(self.look_up("a.example"), ["192.0.2.1"])

    def test_the_cache_is_bounded(self) -> None:
        """The oldest answers go first."""
        self.patch(resolver, "CACHE_SIZE", 2)
        for host in ("a.example", "b.example", "c.example"):
            self.look_up(host)
        self.successResultOf(self.resolver.resolve("c.example"))
        self.successResultOf(self.resolver.resolve("b.example"))
        self.look_up("a.example")
        self.assertEqual(self.system.asked.count("a.example"), 2)

    # Giving up.

    def test_cancel_leaves_the_others_waiting(self) -> None:
        """Who cancels hears so at once; the rest get their answer."""
        self.system.hanging.add("a.example")
        given_up, patient = self.resolver.resolve("a.example"), self.resolver.resolve("a.example")
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        self.assertNoResult(patient)
        self.system.gate.release()
        self.clock.turn()
        self.assertEqual(self.successResultOf(patient), ["192.0.2.1"])

    def test_answer_for_nobody(self) -> None:
        """All have given up: the answer is kept for the next."""
        self.system.hanging.add("a.example")
        given_up = self.resolver.resolve("a.example")
        self.system.wait_for("a.example")
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        self.system.gate.release()
        self.clock.turn()
        self.assertEqual(self.successResultOf(self.resolver.resolve("a.example")), ["192.0.2.1"])

    def test_joining_a_look_up_that_was_given_up(self) -> None:
        """Who comes while it still runs waits for it, and does not start another."""
        self.system.hanging.add("a.example")
        self.resolver.resolve("a.example").addErrback(lambda _: None).cancel()
        later = self.resolver.resolve("a.example")
        self.system.gate.release()
        self.clock.turn()
        self.assertEqual(self.successResultOf(later), ["192.0.2.1"])
        self.assertEqual(self.system.asked, ["a.example"])

    def test_cancelled_by_what_another_answer_set_off(self) -> None:
        """The first who hears may give up for the others; those after it still get theirs."""
        first, second, third = (self.resolver.resolve("a.example") for _ in range(3))
        first.addCallback(lambda _: second.cancel())
        self.clock.turn()
        self.successResultOf(first)
        self.failureResultOf(second, CancelledError)
        self.assertEqual(self.successResultOf(third), ["192.0.2.1"])

    # Threads.

    def test_names_that_hang_do_not_hold_up_the_others(self) -> None:
        """Each of a few threads is started when it is needed; a look-up that hangs blocks its own."""
        self.system.hanging.add("slow.example")
        slow = self.resolver.resolve("slow.example")
        self.system.wait_for("slow.example")
        self.assertEqual(self.look_up("a.example"), ["192.0.2.1"])
        self.assertEqual(self.look_up("b.example"), ["192.0.2.1"])
        self.assertNoResult(slow)
        self.assertEqual(len(self.threads()), 2)
        self.system.gate.release()
        self.clock.turn()
        self.successResultOf(slow)

    def test_one_thread_after_the_other(self) -> None:
        """Names that are looked up in turn need one thread."""
        for host in ("a.example", "b.example", "c.example"):
            self.look_up(host)
        self.assertEqual(len(self.threads()), 1)

    def test_what_was_given_up_while_it_queued_is_not_looked_up(self) -> None:
        """Behind names that hang a queue forms: it does not outlive those who wait."""
        self.system.hanging.update(("slow.example", "slower.example"))
        slow = [self.resolver.resolve(host) for host in ("slow.example", "slower.example")]
        self.system.wait_for("slow.example", "slower.example")
        given_up, patient = self.resolver.resolve("a.example"), self.resolver.resolve("b.example")
        given_up.cancel()
        self.failureResultOf(given_up, CancelledError)
        self.system.gate.release(2)
        for _ in range(3):
            self.clock.turn()
        for deferred in (*slow, patient):
            self.successResultOf(deferred)
        self.assertNotIn("a.example", self.system.asked)

    def test_wanted_again_after_it_was_given_up_in_the_queue(self) -> None:
        """It queues anew, and is looked up once."""
        self.system.hanging.update(("slow.example", "slower.example"))
        slow = [outcome_of(self.resolver.resolve(host)) for host in ("slow.example", "slower.example")]
        self.system.wait_for("slow.example", "slower.example")
        self.resolver.resolve("a.example").addErrback(lambda _: None).cancel()
        again = self.resolver.resolve("a.example")
        self.system.gate.release(2)
        for _ in range(3):
            self.clock.turn()
        self.assertEqual(self.successResultOf(again), ["192.0.2.1"])
        self.assertEqual(slow, [[["192.0.2.1"]]] * 2)
        self.assertEqual(self.system.asked.count("a.example"), 1)

    def test_who_waits_for_a_place_is_told(self) -> None:
        """Its deadline begins when its look-up does, not when it was asked for; who joins one that runs is not told."""
        self.system.hanging.update(("slow.example", "slower.example"))
        slow = [self.resolver.resolve(host) for host in ("slow.example", "slower.example")]
        self.system.wait_for("slow.example", "slower.example")
        told: list[bool] = []
        joined: list[bool] = []
        queued = self.resolver.resolve("a.example", 1, told.append)
        self.resolver.resolve("slow.example", 1, joined.append)
        self.assertEqual(told, [True])
        self.system.gate.release()
        self.clock.turn()
        self.assertEqual(told, [True, False])
        self.assertEqual(joined, [])
        self.system.gate.release()
        self.clock.turn()
        self.clock.turn()
        for deferred in (*slow, queued):
            self.successResultOf(deferred)

    def test_a_look_up_that_was_given_up_gives_its_place_to_the_next(self) -> None:
        """Its thread is lost as long as the system keeps it, and another takes over; there is an end to that."""
        given_up = []
        for number in range(8):  # threads=2: eight in all
            host = f"slow{number}.example"
            self.system.hanging.add(host)
            given_up.append(self.resolver.resolve(host))
            self.system.wait_for(host)
            given_up[-1].addErrback(lambda _: None).cancel()
        told: list[bool] = []
        last = self.resolver.resolve("a.example", 1, told.append)
        self.assertEqual((told, len(self.threads())), ([True], 8))
        self.system.gate.release()
        self.clock.turn()
        self.clock.turn()
        self.assertEqual(self.successResultOf(last), ["192.0.2.1"])

    def test_a_zone_whose_names_hang_leaves_room_for_others(self) -> None:
        """Forty names of one domain take a quarter of the places, however many are asked for; the rest take turns."""
        resolver = Resolver(self.clock, getaddrinfo=self.system, threads=8)
        self.addCleanup(resolver.close)
        bad = [f"n{number}.hang.co.uk" for number in range(40)]
        self.system.hanging.update(bad)
        hanging = [resolver.resolve(host) for host in bad]
        self.system.wait_for(*bad[:2])
        for number in range(20):
            good = resolver.resolve(f"www.good{number}.co.uk")
            self.clock.turn()
            self.assertEqual(self.successResultOf(good), ["192.0.2.1"])
        self.assertEqual([host for host in self.system.asked if host in bad], bad[:2])
        for deferred in hanging:
            deferred.addErrback(lambda _: None).cancel()

    def test_zones(self) -> None:
        """The registrable domain, as far as the form of a name tells."""
        for host, zone in (
            ("a.example", "a.example"),
            ("www.a.example.", "a.example"),
            ("a.b.c.d.example.com", "example.com"),
            ("www.bbc.co.uk", "bbc.co.uk"),
            ("bbc.co.uk", "bbc.co.uk"),
            ("www.city.de", "city.de"),
            ("localhost", "localhost"),
        ):
            self.assertEqual(zone_of(host), zone)

    def test_no_more_threads(self) -> None:
        """Where the system gives no thread a look-up fails, and the next one tries again."""

        patched = self.patch(threading.Thread, "start", refuse)
        failure = self.failureResultOf(self.resolver.resolve("a.example"), CodedError)
        self.assertEqual((failure.value.code, failure.value.transient), ("dns_error", True))
        patched.restore()
        self.assertEqual(self.look_up("a.example"), ["192.0.2.1"])

    def test_no_more_threads_than_there_are(self) -> None:
        """Those that run do the work of those that could not be started."""
        self.look_up("a.example")
        self.system.hanging.add("slow.example")
        slow = self.resolver.resolve("slow.example")
        self.system.wait_for("a.example")
        self.system.wait_for("slow.example")
        self.patch(threading.Thread, "start", refuse)
        queued = self.resolver.resolve("b.example")
        self.system.gate.release()
        self.clock.turn()
        self.clock.turn()
        self.successResultOf(slow)
        self.assertEqual(self.successResultOf(queued), ["192.0.2.1"])

    def test_close(self) -> None:
        """The threads end."""
        self.look_up("a.example")
        self.resolver.close()
        self.check_no_thread_is_left()

    def test_close_with_a_look_up_in_the_air(self) -> None:
        """Its answer never reaches the reactor, which may be gone; its thread ends when it can."""
        self.system.hanging.add("a.example")
        waiting = self.resolver.resolve("a.example")
        self.system.wait_for("a.example")
        self.resolver.close()
        self.system.gate.release()
        self.check_no_thread_is_left()
        self.assertTrue(self.clock.from_threads.empty())
        self.assertNoResult(waiting)

    def test_threads_do_not_keep_the_process(self) -> None:
        """A look-up that never ends does not outlive the program."""
        self.look_up("a.example")
        self.assertTrue(all(thread.daemon for thread in self.threads()))
