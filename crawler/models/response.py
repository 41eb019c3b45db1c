"""What one fetch got, and what was found in it."""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final, Protocol

import msgspec

from crawler.errors import CodedError
from crawler.models.facts import PageFacts
from crawler.models.request import CacheUse, Wanted
from crawler.urls import Url


class Timings(msgspec.Struct, array_like=True, gc=False):
    """curl's cumulative seconds since the attempt's start; None where the phase did not happen."""

    namelookup: float | None = None
    connect: float | None = None
    appconnect: float | None = None
    starttransfer: float | None = None
    total: float | None = None


class Spooled(Protocol):
    """A body on the disk, without a name yet: it is at `path`."""

    size: int
    sha256: str
    path: str

    def move(self, path: str, *, folder: int | None = None) -> None:
        """Give it its name, which may be relative to an open folder. Raises OSError."""

    def drop(self) -> None:
        """It is not wanted."""


class Response(msgspec.Struct, array_like=True):
    """What one fetch got. `error` is set when it failed; what had arrived until then is kept.

    `raw_headers` are the (name, value) pairs in wire order, `headers` the same by lower-case name, as latin-1 text
    (RFC 9110 section 5.5). `body` is decoded; `size_download` counts its bytes on the wire. `started` is seconds since
    the epoch. `data` is what came of it beside the body: the messages of a WebSocket. `broken` is the code of what was
    wrong with the body of a redirect, which is followed no less. `new_cookies`: the run keeps some that it had not. A
    body that outgrew the memory is `spooled`. `cache` is what a cache did for it, null where none was asked; `unsent`
    says that no server was. `away` are the bytes of a body that a worker has kept to itself, and `prepared` what it has
    read in it. `survey` has the places of its links, where somebody asked for them.
    """

    timings: Timings
    started: float
    status: int | None = None
    http_version: str | None = None
    raw_headers: list[tuple[bytes, bytes]] = []
    headers: dict[str, list[str]] = {}
    body: bytes = b""
    size_download: int = 0
    truncated: bool = False
    warnings: list[str] = []
    remote_ip: str | None = None
    reused: bool | None = None
    proxy: str | None = None
    error: CodedError | None = None
    broken: str | None = None
    data: Any = None
    sha256: str | None = None
    new_cookies: bool = False
    spooled: Spooled | None = None
    cache: CacheUse | None = None
    unsent: bool = False
    away: int = 0
    prepared: Any = None
    survey: bytes | None = None

    @property
    def size(self) -> int:
        """Of the body, wherever it is."""
        return self.away or (len(self.body) if self.spooled is None else self.spooled.size)

    def digest(self) -> str:
        """The SHA-256 of the body, in hex. Computed when it is asked for, and once."""
        if self.sha256 is None:
            self.sha256 = _sha256(self.body)
        return self.sha256

    def first(self, name: str) -> str | None:
        """The first value of the header with this lower-case name."""
        values = self.headers.get(name)
        return values[0] if values else None


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """What an earlier record said of a page that has not changed; `status` is that of the answer that had a body."""

    status: int | None
    sha256: str
    size_body: int
    content_type: str | None
    charset: str | None
    etag: str | None
    modified: str | None
    title: str | None
    links: int | None
    data: Any
    page: PageFacts | None = None


Link = Url | Wanted | str
"""What a page leads to. Text is the `href` of a Url, from another process."""


class Findings(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What a response holds beside its bytes. `error` says why the page could not be parsed as asked.

    `kept` is there if the page is as an earlier run had it; `page` where facts are asked for.

    `links` is how many links were found, `follow` what is to be followed, `requisites` what is fetched wherever it is,
    to show the page. A sitemap is nothing to take data from; with `is_index` what it leads to are sitemaps. `survey`
    has the places of the links, and `entered` are the URLs of which some fragment is wanted.
    """

    title: str | None = None
    links: int | None = None
    follow: list[Link] = []
    requisites: list[Url] = []
    entered: set[str] = set()
    survey: bytes | None = None
    data: Any = None
    duplicate_of: str | None = None
    warnings: list[str] = []
    error: CodedError | None = None
    is_sitemap: bool = False
    is_index: bool = False
    kept: Kept | None = None
    page: PageFacts | None = None


_SHA256: Final = sha256()


def _sha256(body: bytes) -> str:
    """Copying an empty hash costs half of what OpenSSL takes to find the algorithm anew."""
    digest = _SHA256.copy()
    digest.update(body)
    return digest.hexdigest()
