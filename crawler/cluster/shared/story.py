"""All that a shared crawl knows of a URL: whether it waits and who has it, whether it is known, and its records."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from crawler.cluster.shared import told
from crawler.cluster.shared.books import read_books
from crawler.cluster.shared.parts import Parts, open_folder
from crawler.cluster.shared.told import Found
from crawler.config.config import Config, ConfigError
from crawler.config.kinds import shown
from crawler.errors import CodedError
from crawler.files import coded
from crawler.frontier.shared.contract import NO_HOST, Entry, HostBooks, SharedStore, shard_of
from crawler.frontier.shared.entries import read
from crawler.models import Request
from crawler.seeds.inputs import BadLine
from crawler.urls import Url, canonical_key, parse

_KEY_BYTES: Final = 8  # see Arrival
MOST: Final = 10_000
"""Of a host's queue no more is looked at."""


class Waiting(NamedTuple):
    """It is "queued" or "leased", with `ahead` of its host before it, if that is known."""

    state: str
    what: Request | BadLine
    ahead: int
    is_duplicate: bool


class Stories(NamedTuple):
    """`host` is what is known of its host; `is_known` None for what is no URL; `looked_at` so many of its queue."""

    url: Url | None
    host: HostBooks | None
    is_known: bool | None
    waiting: list[Waiting]
    records: list[Found]
    looked_at: int


def tell(
    store: SharedStore, config: Config, text: str, folder: str | None, *, wall: Callable[[], float] = time.time
) -> Stories:
    """What is known of the URL, and with the `folder` its records. `config` has the options of the crawl.

    Raises StoreError, StoreRefusedError; ConfigError, CodedError.
    """
    url = None
    urls = {text}
    with suppress(CodedError):
        url = parse(text)
        urls.add(url.href)
    host = NO_HOST if url is None else url.host_key
    key = None if url is None else key_of(url, config)
    entries = store.find(host, MOST)
    waiting = [one for place, (state, entry) in enumerate(entries) if (one := _waiting(state, entry, place, wall()))]
    records = [] if folder is None else _records(store, folder, urls)
    return Stories(
        url,
        None if url is None else store.host(host),
        None if key is None else store.known(shard_of(host), [key])[0],
        [one for one in waiting if not _urls_of(one.what).isdisjoint(urls)],
        records,
        len(entries),
    )


def key_of(url: Url, config: Config) -> bytes:
    """By what the store knows it again, if nothing is sent beside it."""
    return canonical_key(url, sort_query=config.sort_query, drop_trackers=config.strip_trackers)[:_KEY_BYTES]


def _waiting(state: str, entry: Entry, place: int, now: float) -> Waiting:
    what = read(entry.data, 0, 0.0, now)
    of = what if isinstance(what, BadLine) else what.request
    return Waiting(state, of, place, entry.is_duplicate)


def _urls_of(what: Request | BadLine) -> set[str]:
    if isinstance(what, BadLine):
        return {what.text}
    return {what.url.href, what.written, *(hop.url for hop in what.redirects)}


def _records(store: SharedStore, folder: str, urls: set[str]) -> list[Found]:
    try:
        return [*told.of_urls(Parts(open_folder(folder), read_books(store).parts), urls)]
    except OSError as error:
        raise coded(error, str(error.filename or folder)) from error
    except ValueError as error:
        raise ConfigError(f"{shown(folder)}: {error}") from error
