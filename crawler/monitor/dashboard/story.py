"""The story of a URL: where it is now and what decides of it, its newest records, and what its job has kept of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure

from crawler.engine.control import Control, Fact
from crawler.errors import CodedError
from crawler.monitor.dashboard.hosts import HostTable
from crawler.stats.newest import Newest, Seen
from crawler.stats.pace import at_host
from crawler.urls import parse

if TYPE_CHECKING:
    from crawler.job.status import Story

Kept = Callable[[str], Deferred[Any]]
"""Reads what a job has kept of a URL: fires with a sequence of `Story`, fails with ValueError and CodedError."""

AT_ONCE: Final = 4
NO_JOB: Final = "this run has no job: of what has ended it remembers the newest records"


class Told(msgspec.Struct, frozen=True, tag_field="type", tag="story"):
    """All that is known of `url`, as it was asked for; `note` says what could not be told."""

    url: str
    facts: list[Fact]
    records: list[Seen]
    stories: Sequence[Story]
    note: str


class Stories:
    """Tells them. Of what a job has kept `AT_ONCE` are read at the same time."""

    def __init__(self, newest: Newest, hosts: HostTable, kept: Kept | None) -> None:
        self._newest = newest
        self._hosts = hosts
        self._kept = kept
        self._reading = 0

    def tell(self, url: str, control: Control) -> Deferred[Told]:
        """Fires with the story; cancelling it waits for it no longer. Raises ValueError when too many are asked for."""
        url = url.strip()
        parsed = None
        with suppress(CodedError):  # then it is known as it was written
            parsed = parse(url)
        records = self._newest.of_url(url, *(() if parsed is None else (parsed.href,)))
        try:
            facts = control.why(url, ended=bool(records))
        except ValueError as error:
            facts = [Fact("State", f"it is no URL that could be fetched: {error}")]
        if parsed is not None:
            self._hosts.refresh()
            row = self._hosts.row(parsed.host_key)
            if row is not None:
                facts.append(Fact("Host", at_host(row, self._newest.of("host", parsed.host_key))))
        told = Told(url, facts, records, (), NO_JOB)
        if self._kept is None:
            return succeed(told)
        if self._reading >= AT_ONCE:
            raise ValueError("too many searches go on: ask again in a moment")
        self._reading += 1
        return self._kept(url).addBoth(self._read, told)

    def _read(self, result: Sequence[Story] | Failure, told: Told) -> Told:
        self._reading -= 1
        if isinstance(result, Failure):
            result.trap(ValueError, CodedError)
            words = f"what the job has kept cannot be read: {result.getErrorMessage()}"
            return msgspec.structs.replace(told, note=words)
        note = "" if result else "the job has not kept it; what has just ended is there within a second"
        return msgspec.structs.replace(told, stories=result, note=note)
