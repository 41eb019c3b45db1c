"""A lease: a file that says who does a shard, and until when. Nobody else begins it before that.

It spares work, and no more: what counts is the part, which appears once. So clocks that differ by minutes cost a shard
that is done twice, and never one that is lost.

Each lease of a shard is a file of its own, with the next number: to take it over is to make the next one, and of
several who try one can. The one before sees that when it renews its own.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec

from crawler.cluster.place import Place


class Holder(msgspec.Struct, frozen=True):
    """Who has a lease: host and process; `until` is the time of day, `machine` where that process can be looked for.

    With its `token` no two that are written are the same.
    """

    host: str
    pid: int
    until: float
    machine: str | None = None
    token: str = ""

    @property
    def who(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def ended(self) -> bool:
        """Whether it is known that nobody is there any more: its process was on this machine."""
        if self.machine is None or self.machine != _machine():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False


class Terms(NamedTuple):
    """Seconds that a lease lasts, between two renewals, and between two looks at somebody else's; the time of day."""

    lasts: float = 60.0
    renewed: float = 15.0
    looked: float = 1.0
    wall: Callable[[], float] = time.time


class Lease:
    """A lease that we have. A thread renews it until it is released."""

    def __init__(self, place: Place, shard: int, number: int, terms: Terms, written: bytes, until: float) -> None:
        self._place = place
        self._shard = shard
        self._number = number
        self._terms = terms
        self._written = written
        self._until = until
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._renewing = threading.Lock()
        self._on_lost: Callable[[], None] | None = None
        self.lost = False
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    @contextmanager
    def calling(self, on_lost: Callable[[], None]) -> Iterator[None]:
        """Inside it, `on_lost` is called in another thread when the lease is lost: at once if it is already."""
        with self._lock:
            self._on_lost = on_lost
            if self.lost:
                on_lost()
        try:
            yield
        finally:
            with self._lock:
                self._on_lost = None

    def release(self) -> None:
        """Let go of it. Raises OSError."""
        self._ended.set()
        self._thread.join()
        for name in list(self._place.names(lease_prefix(self._shard))):
            number = _number(name)
            if number <= self._number and (number < self._number or self._is_ours()):
                self._place.remove(name)

    def renew(self) -> None:
        """Say that it goes on, unless somebody has taken it over (who may have released it since). Raises OSError."""
        with self._renewing:
            if self._taken_over() or not self._is_ours():
                self._lose()
                return
            until = self._terms.wall() + self._terms.lasts
            written = _holder(until)
            self._place.put(_name(self._shard, self._number), written)
            self._written, self._until = written, until

    def _taken_over(self) -> bool:
        try:
            self._place.read(_name(self._shard, self._number + 1))
        except FileNotFoundError:
            return False
        return True

    def _is_ours(self) -> bool:
        try:
            return self._place.read(_name(self._shard, self._number)) == self._written
        except FileNotFoundError:
            return False

    def _keep(self) -> None:
        while not self.lost and not self._ended.wait(self._terms.renewed):
            try:
                self.renew()
            except OSError:  # the folder may be back in time
                if self._terms.wall() > self._until:
                    self._lose()

    def _lose(self) -> None:
        with self._lock:
            self.lost = True
            if self._on_lost is not None:
                self._on_lost()


def take(place: Place, shard: int, terms: Terms) -> Lease | Holder:
    """The lease of a shard, or who has it. Raises OSError."""
    while True:
        numbers = sorted(map(_number, place.names(lease_prefix(shard))))
        last = numbers[-1] if numbers else 0
        if last:
            with suppress(FileNotFoundError, msgspec.DecodeError):
                holder = msgspec.json.decode(place.read(_name(shard, last)), type=Holder)
                if terms.wall() < holder.until and not holder.ended:
                    return holder
        until = terms.wall() + terms.lasts
        written = _holder(until)
        if place.create(_name(shard, last + 1), written):
            return Lease(place, shard, last + 1, terms, written, until)


def lease_prefix(shard: int) -> str:
    """How the names of the leases of a shard begin."""
    return f"lease-{shard:05}-"


def _name(shard: int, number: int) -> str:
    return f"{lease_prefix(shard)}{number:04}.json"


def _number(name: str) -> int:
    text = name.rpartition("-")[2].removesuffix(".json")
    return int(text) if text.isdecimal() else 0


def _holder(until: float) -> bytes:
    return msgspec.json.encode(Holder(socket.gethostname(), os.getpid(), until, _machine(), secrets.token_hex(8)))


def _machine() -> str | None:
    """Names what process numbers are of: this start of this system, and the namespace; None where it cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return None
