"""Records in parts that are looked for: of a URL, or of what failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from crawler.cluster.shared.parts import Counted
from crawler.job.status import Attempt, Story
from crawler.models import ErrorInfo, Input, Outcome, Redirect


class Told(msgspec.Struct, frozen=True, gc=False):
    """What a record tells of a URL; with --fields some of it is not there."""

    url: str
    input: Input
    outcome: Outcome
    final_url: str | None = None
    method: str = "GET"
    status: int | None = None
    error: ErrorInfo | None = None
    attempts: int = 0
    redirects: tuple[Redirect, ...] = ()
    remote_ip: str | None = None
    started: str | None = None
    time_namelookup: float | None = None
    time_connect: float | None = None
    time_appconnect: float | None = None
    time_starttransfer: float | None = None
    time_total: float | None = None
    meta: Any = None

    @property
    def urls(self) -> set[str]:
        """All that it is about: as written, and where it was led."""
        return {self.url, *(hop.url for hop in self.redirects), *([self.final_url] if self.final_url else [])}

    def story(self) -> Story:
        """Of it the last request alone is known."""
        attempts = []
        if self.started is not None:
            attempts.append(
                Attempt(
                    self.attempts,
                    self.final_url or self.url,
                    self.started,
                    self.status,
                    None if self.error is None else self.error.code,
                    None if self.error is None else self.error.message,
                    self.time_namelookup,
                    self.time_connect,
                    self.time_appconnect,
                    self.time_starttransfer,
                    self.time_total,
                    self.remote_ip,
                )
            )
        of = self.input
        came = [of.parent] if of.parent is not None else []
        if of.source is not None:
            came.append(of.source if of.line is None else f"{of.source}:{of.line}")
        return Story(
            id=0,
            url=self.url,
            state="ok" if self.outcome == "unchanged" else self.outcome,
            input=of,
            came=came,
            redirects=[*self.redirects],
            attempts=attempts,
            error=None if self.error is None else self.error.code,
            message=None if self.error is None else self.error.message,
        )


class Found(NamedTuple):
    """A record, and where it is."""

    told: Told
    where: Counted


def of_urls(parts: Iterable[Counted], urls: set[str]) -> Iterator[Found]:
    """The records that are about one of these URLs. Reads all of them."""
    needles = [msgspec.json.encode(url)[1:-1] for url in urls]
    for where in parts:
        if any(needle in where.line for needle in needles):
            told = read(where)
            if told is not None and not told.urls.isdisjoint(urls):
                yield Found(told, where)


def read(where: Counted) -> Told | None:
    """What a record tells; None for what is none: `verify` says so."""
    try:
        return _decode(where.line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


_decode = msgspec.json.Decoder(Told).decode
