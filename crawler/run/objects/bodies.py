"""Bodies as objects: each is put under its name, and its record is written when it is there."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, Final

from msgspec.structs import replace
from twisted.internet.defer import Deferred, DeferredSemaphore, fail, inlineCallbacks, maybeDeferred
from twisted.python.failure import Failure

from crawler.fetch.saving.accept import Accept
from crawler.fetch.saving.spools import Spools
from crawler.files import coded
from crawler.frontier.seen import Seen
from crawler.models import Record, Response
from crawler.objects.address import Address
from crawler.objects.bucket import PART, Bucket
from crawler.run.work import Work
from crawler.sinks import Sink
from crawler.sinks.bodies.ledger import Kept, Ledger
from crawler.sinks.bodies.names import Layout, by_name, by_url, free, is_kept, place

AT_ONCE: Final = 16
_LARGE_AT_ONCE: Final = 1
"""Bodies of several parts: each has some in memory."""


class ObjectBodies:
    """Puts the body of each record that has a `sha256` below a prefix, in the layouts of sinks/bodies/keeping.py.

    A store has no folders: where a file and a folder would have the same name, both are there. With the layout `name`
    nothing is replaced, with `url` an older version is; nothing is ever removed.
    """

    def __init__(
        self,
        prefix: Address,
        bucket: Bucket,
        *,
        layout: Layout,
        reactor: Any,
        spools: Spools,
        accept: Accept | None,
        kept: Kept | None,
    ) -> None:
        self._prefix = prefix
        self._bucket = bucket
        self._layout = layout
        self._reactor = reactor
        self._spools = spools
        self._accept = accept
        self._slots = DeferredSemaphore(AT_ONCE)
        self._large_slots = DeferredSemaphore(_LARGE_AT_ONCE)
        self._lock = threading.Lock()  # guards what follows
        self._ledger = Ledger(None if layout == "hash" else kept)
        self._there = Seen()

    def keep(self, record: Record, response: Response | None, sequence: int) -> Deferred[Record] | None:
        """The record with the path of its body, once that is there; None where there is nothing to be put.

        Fails with CodedError. To cancel it is to give it up.
        """
        if response is None or not response.size or not is_kept(record, self._layout, self._accept):
            self._spools.forget(sequence)
            return None
        slots = self._slots if response.size <= PART else self._large_slots
        work = partial(self._put, record, response, sequence)
        putting: Deferred[Record] = slots.run(lambda: Work(self._reactor, work).done)
        return putting.addCallback(self._placed, response, sequence)

    def close(self) -> None:
        """Nothing more comes."""
        self._ledger.close()

    def _placed(self, record: Record, response: Response, sequence: int) -> Record:
        if response.spooled is not None:
            record.in_file(f"{self._prefix.url}{record.body_path}")  # to read it there is an error that names it
        self._spools.forget(sequence)
        return record

    def _put(self, record: Record, response: Response, sequence: int, given_up: Callable[[], bool]) -> Record:
        """The record with its path. Runs in a thread of its own."""

        def check() -> None:
            if given_up():
                raise OSError(errno.ECANCELED, "given up")

        at = ""
        try:
            if self._layout == "hash":
                assert record.sha256 is not None
                at = place("", record.sha256, record.content_type).replace(os.sep, "/")
                self._put_once(at, bytes.fromhex(record.sha256), response, check)
            else:
                for at in self._names(record, response, sequence):
                    try:
                        self._send(at, response, check, fresh=self._layout == "name")
                    except FileExistsError:
                        continue
                    break
        except OSError as error:
            raise coded(error, f"{self._prefix.url}{at}") from error
        placed = replace(record, body_path=at)
        placed.__dict__.update(record.__dict__)  # what rides along
        return placed

    def _put_once(self, path: str, digest: bytes, response: Response, check: Callable[[], None]) -> None:
        """What is called by its hash is never another object: one of that size is there already."""
        with self._lock:
            if digest in self._there:
                return
        if self._bucket.size(self._prefix.key + path) != response.size:
            self._send(path, response, check, fresh=False)
        with self._lock:
            self._there.add(digest)

    def _names(self, record: Record, response: Response, sequence: int) -> Generator[str, None, None]:
        """Names for a body: the one that it has from a run before, then those that nobody has, as long as it takes."""
        with self._lock:
            before = self._ledger.pending.pop(sequence, None)
        if before is not None:
            yield before
        url = record.final_url or record.url
        if self._layout == "url":
            *folders, name = by_url(url, record.content_type)
        else:
            listed = response.headers.get("content-disposition", ())
            folders, name = [], by_name(url, listed, record.content_type)
        begin = "".join(f"{folder}/" for folder in folders)

        def taken(name: str) -> bool:
            return self._ledger.is_taken(begin + name)

        while True:
            with self._lock:
                path = begin + free(name, taken)
                self._ledger.assign(sequence, path)
            yield path

    def _send(self, path: str, response: Response, check: Callable[[], None], *, fresh: bool) -> None:
        key = self._prefix.key + path
        if response.spooled is not None:
            self._bucket.put_file(key, response.spooled.path, fresh=fresh, check=check)
        else:
            self._bucket.put(key, [response.body], fresh=fresh)


class PlacingObjects:
    """The sink that gives `sink` each record when its body is in the store; until then whoever wrote it waits.

    So a job counts a record only then. The first error is final.
    """

    def __init__(self, bodies: ObjectBodies, sink: Sink) -> None:
        self._bodies = bodies
        self._sink = sink
        self._under_way: set[Deferred[Any]] = set()
        self._idle: Deferred[None] | None = None
        self._given_up = False
        self._error: BaseException | None = None

    def write(self, record: Record, response: Response | None, sequence: int) -> Deferred[None] | None:
        if self._error is not None:
            return fail(self._error)
        putting = self._bodies.keep(record, response, sequence)
        if putting is None:
            return self._sink.write(record, response, sequence)
        waiter: Deferred[None] = Deferred(lambda _: None)  # who cancels only stops waiting
        self._under_way.add(putting)
        putting.addCallback(self._sink.write, response, sequence)
        putting.addBoth(self._done, putting, waiter)
        return waiter

    def flush(self) -> Deferred[None] | None:
        return self._sink.flush()

    @inlineCallbacks
    def close(self) -> Generator[Deferred[Any], Any, None]:
        """Cancelling gives up what is not there yet: its records are not written."""
        if self._under_way:
            self._idle = Deferred(self._give_up)
            yield self._idle
        self._bodies.close()
        closing = maybeDeferred(self._sink.close)
        if self._given_up:
            closing.cancel()
        yield closing
        if self._error is not None:
            raise self._error

    def _give_up(self, _: Deferred[None]) -> None:
        self._given_up = True
        for putting in list(self._under_way):
            putting.cancel()

    def _done(self, result: object, putting: Deferred[Any], waiter: Deferred[None]) -> None:
        self._under_way.discard(putting)
        if isinstance(result, Failure):
            self._error = self._error or result.value
            if not waiter.called:
                waiter.errback(result)
        elif not waiter.called:
            waiter.callback(None)
        if self._idle is not None and not self._under_way and not self._idle.called:
            self._idle.callback(None)
