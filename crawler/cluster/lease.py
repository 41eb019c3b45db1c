"""A lease: a file that says who does a shard, and until when. Nobody else begins it before that.

It spares work, and no more: what counts is the part, which appears once. So clocks that differ by minutes cost a shard
that is done twice, and never one that is lost.

Each lease of a shard is a file of its own, with the next number: to take it over is to make the next one, and of
several who try one can. The one before sees that when it renews its own.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import msgspec

from crawler.cluster.place import Place

SECONDS: Final = 60.0
RENEWED: Final = 15.0


class Holder(msgspec.Struct, frozen=True):
    """Who has a lease: host and process; `until` is the time of day, `machine` where that process can be looked for."""

    host: str
    pid: int
    until: float
    machine: str | None = None

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


class Lease:
    """A lease that we have. A thread renews it until it is released; `on_lost` is called there when that is over."""

    def __init__(self, place: Place, shard: int, number: int, wall: Callable[[], float] = time.time) -> None:
        self._place = place
        self._shard = shard
        self._number = number
        self._wall = wall
        self._until = wall() + SECONDS
        self._ended = threading.Event()
        self.lost = False
        self.on_lost: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._keep, name="lease", daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Let go of it. Raises OSError."""
        self._ended.set()
        self._thread.join()
        for name in list(self._place.names(_prefix(self._shard))):
            number = _number(name)
            if number <= self._number:
                self._place.remove(name)

    def renew(self) -> None:
        """Say that it goes on, unless somebody has taken it over."""
        try:
            self._place.read(_name(self._shard, self._number + 1))
        except FileNotFoundError:
            until = self._wall() + SECONDS
            self._place.put(_name(self._shard, self._number), _holder(until))
            self._until = until
        else:
            self.lost = True

    def _keep(self) -> None:
        while not self.lost and not self._ended.wait(RENEWED):
            try:
                self.renew()
            except OSError:  # the folder may be back in time
                self.lost = self._wall() > self._until
        if self.lost:
            self.on_lost()


def take(place: Place, shard: int, wall: Callable[[], float] = time.time) -> Lease | Holder:
    """The lease of a shard, or who has it. Raises OSError."""
    while True:
        numbers = sorted(map(_number, place.names(_prefix(shard))))
        last = numbers[-1] if numbers else 0
        if last:
            with suppress(FileNotFoundError, msgspec.DecodeError):
                holder = msgspec.json.decode(place.read(_name(shard, last)), type=Holder)
                if wall() < holder.until and not holder.ended:
                    return holder
        if place.create(_name(shard, last + 1), _holder(wall() + SECONDS)):
            return Lease(place, shard, last + 1, wall)


def _prefix(shard: int) -> str:
    return f"lease-{shard:05}-"


def _name(shard: int, number: int) -> str:
    return f"{_prefix(shard)}{number:04}.json"


def _number(name: str) -> int:
    text = name.rpartition("-")[2].removesuffix(".json")
    return int(text) if text.isdecimal() else 0


def _holder(until: float) -> bytes:
    return msgspec.json.encode(Holder(socket.gethostname(), os.getpid(), until, _machine()))


def _machine() -> str | None:
    """Names what process numbers are of: this start of this system, and the namespace; None where it cannot be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return None
