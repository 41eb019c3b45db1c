"""The newest records of each kind, in fixed memory: those behind a status, a code, a host. Pure.

Of each kind `KEPT` are held. Statuses and hosts are as many as servers like: when all of theirs together are too many,
the hosts that were quiet longest keep `FEW` each, and after that those go.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Final, Literal

import msgspec

from crawler.models import Record
from crawler.stats.host_totals import origin_of

Of = Literal["outcome", "class", "status", "code", "host"]
Kind = Literal["ok", "http_error", "failed", "skipped"]
"""How a record ends as people see it: an answer from 400 is an answer, and did not please."""

KEPT: Final = 100
FEW: Final = 20
MOST: Final = 20_000  # about 10 MB
MAX_URL: Final = 2_000
MAX_WORDS: Final = 300


class Seen(msgspec.Struct, frozen=True, gc=False):
    """A record, short enough to be shown in a list.

    `number` counts records from 1; `at` is when it came, in seconds since the epoch. `via` is the page that links to
    it, or the input that names it. `connected`, `first_byte` and `seconds` are since its last request began.
    """

    number: int
    at: float
    url: str
    final_url: str | None
    kind: Kind
    status: int | None
    error: str | None
    message: str
    via: str | None
    size: int
    connected: float | None
    first_byte: float | None
    seconds: float | None
    title: str | None


class Newest:
    """Remembers. `wall` is seconds since the epoch."""

    def __init__(self, wall: Callable[[], float], *, most: int = MOST) -> None:
        self._wall = wall
        self.number = 0
        self._all: list[Seen] = []
        self._rings: dict[Of, _Rings] = {
            "outcome": _Rings(most), "status": _Rings(most), "code": _Rings(most), "host": _Rings(most),
        }  # fmt: skip

    def add(self, record: Record) -> Seen:
        """Called once per URL, where somebody watches: some microseconds."""
        self.number += 1
        seen = _seen(record, self.number, self._wall())
        newest = self._all
        newest.append(seen)
        if len(newest) > KEPT:
            del newest[0]
        rings = self._rings
        rings["outcome"].add(seen.kind, seen)
        if seen.status is not None:
            rings["status"].add(str(seen.status), seen)
        if seen.error is not None:
            rings["code"].add(seen.error, seen)
        rings["host"].add(origin_of(record), seen)
        return seen

    def all(self, after: int = 0) -> list[Seen]:
        """The newest of all, that after this number; the newest last."""
        return _after(self._all, after)

    def of(self, of: Of, key: str, after: int = 0) -> list[Seen]:
        """The newest of one kind, the newest last: of an outcome (a Kind), a status ("404"), a class of them ("4"), the
        code of an error or a skip, or a host by its key ("example.org:443").
        """
        if of == "class":
            rings = self._rings["status"]
            merged = chain.from_iterable(rings.get(status) for status in rings if status[:1] == key)
        elif of == "host":
            merged = chain.from_iterable(map(self._rings["host"].get, _origins(key)))
        else:
            return _after(self._rings[of].get(key), after)
        return _after(sorted(merged, key=_number)[-KEPT:], after)

    def of_url(self, *names: str) -> list[Seen]:
        """The records, as far as they are remembered, of a URL under one of these names; the newest last."""
        found = {
            seen.number: seen
            for rings in self._rings.values()
            for key in rings
            for seen in rings.get(key)
            if seen.url in names or seen.final_url in names
        }
        return sorted(found.values(), key=_number)[-KEPT:]


class _Rings:
    """The newest of each key, at most `most` together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0
        self._rings: OrderedDict[str, list[Seen]] = OrderedDict()

    def __iter__(self) -> Iterator[str]:
        return iter(self._rings)

    def get(self, key: str) -> list[Seen]:
        return self._rings.get(key, [])

    def add(self, key: str, seen: Seen) -> None:
        ring = self._rings.get(key)
        if ring is None:
            ring = self._rings[key] = []
        else:
            self._rings.move_to_end(key)
        ring.append(seen)
        if len(ring) > KEPT:
            del ring[0]
            return
        self._held += 1
        while self._held > self._most:
            self._make_room()

    def _make_room(self) -> None:
        """Cut what was added to longest ago, and let it go when its turn comes again: O(1) for each that was added."""
        key, ring = next(iter(self._rings.items()))
        if len(ring) > FEW:
            self._held -= len(ring) - FEW
            del ring[:-FEW]
            self._rings.move_to_end(key)
        else:
            self._held -= len(ring)
            del self._rings[key]


def kind_of(record: Record) -> Kind:
    """How a record ends as people see it."""
    status = record.status
    ending = record.ending
    return "http_error" if ending == "ok" and status is not None and status >= 400 else ending


def _seen(record: Record, number: int, at: float) -> Seen:
    error, title, place, final_url = record.error, record.title, record.input, record.final_url
    via = place.parent
    if via is None and place.source is not None:
        via = place.source if place.line is None else f"{place.source}:{place.line}"
    return Seen(
        number,
        at,
        record.url[:MAX_URL],
        None if final_url is None or final_url == record.url else final_url[:MAX_URL],
        kind_of(record),
        record.status,
        None if error is None else error.code,
        "" if error is None else error.message[:MAX_WORDS],
        None if via is None else via[:MAX_URL],
        record.size_body,
        record.time_appconnect or record.time_connect,
        record.time_starttransfer,
        record.time_total,
        None if title is None else title[:MAX_WORDS],
    )


def _origins(host_key: str) -> list[str]:
    """The origins that may be meant by "example.org:8080", as records name them."""
    name, _, port = host_key.rpartition(":")
    match port:
        case "443":
            return [f"https://{name}", f"wss://{name}", f"http://{host_key}"]
        case "80":
            return [f"http://{name}", f"ws://{name}", f"https://{host_key}"]
        case _:
            return [f"{scheme}://{host_key}" for scheme in ("http", "https", "ws", "wss")]


def _after(ring: list[Seen], number: int) -> list[Seen]:
    return [seen for seen in ring if seen.number > number] if number else list(ring)


def _number(seen: Seen) -> int:
    return seen.number
