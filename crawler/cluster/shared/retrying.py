"""What failed in a shared crawl is queued again: nodes fetch it, and its new record replaces the old one."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from typing import Final, NamedTuple

from crawler.cluster.shared import again
from crawler.cluster.shared.books import read_books
from crawler.cluster.shared.checking import At, Check
from crawler.cluster.shared.parts import Parts, open_folder
from crawler.cluster.shared.told import Found, Told, read
from crawler.config.config import ConfigError
from crawler.config.kinds import shown
from crawler.errors import CodedError
from crawler.files import coded
from crawler.frontier.shared.contract import Arrival, SharedStore, shard_of
from crawler.frontier.shared.entries import kept, uid
from crawler.models import Ask, Request
from crawler.urls import parse

_AT_ONCE: Final = 1_000


class Queued(NamedTuple):
    """How many URLs were queued again, and how many had been so `before` and wait still. Requests that were `sending`
    something were not: no record has that.
    """

    urls: int
    before: int
    sending: int


def queue_again(
    store: SharedStore, folder: str, codes: Collection[str] = (), *, wall: Callable[[], float] = time.time
) -> Queued:
    """Queue the URLs that failed again, or all that failed or were skipped with these codes; each record once.

    What is not fetched, a bad line or a link that was not followed, stays what it is. Raises StoreError,
    StoreRefusedError; ConfigError, CodedError.
    """
    try:
        return _queue(store, folder, codes, wall)
    except OSError as error:
        raise coded(error, str(error.filename or folder)) from error
    except ValueError as error:
        raise ConfigError(f"{shown(folder)}: {error}") from error


def _queue(store: SharedStore, folder: str, codes: Collection[str], wall: Callable[[], float]) -> Queued:
    retried = again.read_retried(open_folder(folder, again.FOLDER))
    books = read_books(store)
    parts = Parts(open_folder(folder), books.parts)
    check = Check(books, parts, retried, records_skips=False)  # of several records of an input the last one counts
    found = [Found(told, where) for where in check if (told := read(where)) is not None and _is_meant(told, codes)]
    requests = [(one, request) for one in found if (request := _request(one.told, wall())) is not None]
    already = {*retried}
    new = [at for one, _ in requests if (at := At(one.where.part, one.where.at)) not in already]
    if new:  # before they arrive: a record that is replaced must not count beside the one that replaces it
        again.keep_retried(open_folder(folder, again.FOLDER, make=True), new, int(wall() * 1e9))
    arrivals: dict[int, list[Arrival]] = defaultdict(list)
    for one, request in requests:
        host = request.url.host_key
        data = kept(request, 0.0, begun=one.told.attempts > 0)
        arrivals[shard_of(host)].append(Arrival(host, None, data, uid("retry", one.where.part, one.where.at)))
    count = sum(store.arrive(shard, some) for shard, all_ in arrivals.items() for some in _pieces(all_))
    return Queued(count, len(requests) - count, len(found) - len(requests))


def _is_meant(told: Told, codes: Collection[str]) -> bool:
    """Whether this may be fetched once more."""
    if told.outcome not in {"failed", "skipped"} or (told.outcome == "skipped" and not codes):
        return False
    if codes and (told.error is None or told.error.code not in codes):
        return False
    if told.outcome == "skipped" and told.input.parent is not None and not told.attempts:
        return False
    try:
        parse(told.url)
    except CodedError:
        return False
    return True


def _request(told: Told, now: float) -> Request | None:
    """It goes on where it was led: it is known that this URL is its own. None where more than a URL was sent."""
    if told.method != "GET":
        return None
    url = parse(told.final_url if told.redirects and told.final_url else told.url)
    ask = None if told.meta is None else Ask(meta=told.meta)
    return Request(0, url, told.url, told.input, now, redirects=told.redirects, ask=ask)


def _pieces(arrivals: list[Arrival]) -> Iterator[list[Arrival]]:
    for at in range(0, len(arrivals), _AT_ONCE):
        yield arrivals[at : at + _AT_ONCE]
