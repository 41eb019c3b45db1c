"""What is asked for: an input, what comes with it, and a request on its way. Frozen."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any, Final, Literal, NamedTuple

import msgspec

from crawler.models.cookie import Cookie
from crawler.urls import Url

SITEMAP_SOURCE: Final = "--sitemap"
"""The `source` of an input that is a sitemap because somebody said so."""
INDEX_SOURCE: Final = "sitemap index"
"""The `source` of one that an index of sitemaps names, its `parent`."""
GUESS_SOURCE: Final = "--sitemaps"
"""The `source` of one that a robots.txt, its `parent`, does not name, and that is where sitemaps mostly are."""
LOGIN_SOURCE: Final = "login"
"""The `source` of what is asked for before the first input, to log in."""
REQUISITE_SOURCE: Final = "--mirror"
"""The `source` of an input that a page needs to be shown: an image, a style, a script."""
LEAF_SOURCE: Final = "check"
"""The `source` of an input that is asked whether it is there, and whose own links are not followed."""
WITHIN_SOURCE: Final = "check within"
"""The same of one that a crawl may come to as a page, too. Then it is asked for once more, as that."""
LEAVES: Final = frozenset((LEAF_SOURCE, WITHIN_SOURCE))
ROBOTS: Final = "/robots.txt"
"""What the `parent` ends with of one that a robots.txt named."""


CacheUse = Literal["hit", "miss", "revalidated"]
"""What a cache did for an answer: nobody was asked, it had to be fetched, the server said that it is good still."""


_encode: Final = msgspec.json.Encoder().encode


class Input(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """Where a URL came from: a line of a source (`line` counts from 1), or a link of a page (`parent`, `depth`)."""

    source: str | None = None
    line: int | None = None
    parent: str | None = None
    depth: int | None = None


class Redirect(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A hop. `error` is the code of what was wrong with its body, of which nothing is needed.

    `fragment` is what its Location names behind a #, in place of what was named before (RFC 9110 section 10.2.2).
    """

    url: str
    status: int
    error: str | None = None
    method: str = "GET"
    fragment: str | None = None


class FileBody(msgspec.Struct, frozen=True, tag="file"):
    """What is in a file, sent as it is. `size` and `changed` (st_mtime_ns) are of the file that was meant.

    One that has others by the time it is sent is not: that fails with `request_body`.
    """

    path: str
    size: int
    changed: int


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """One field of a form: text, or a file with the `filename` and the type that the server is told."""

    name: str
    content: bytes | FileBody
    filename: str | None = None
    content_type: str | None = None


class FormBody(msgspec.Struct, frozen=True, tag="form"):
    """multipart/form-data (RFC 7578). Its Content-Type, with a boundary, is made when it is sent."""

    parts: tuple[Part, ...]


Body = bytes | FileBody | FormBody


BODY_HEADERS: Final = frozenset({"content-type", "content-encoding", "content-language", "content-location"})
"""What is said of a body goes where that goes (the Fetch Standard's request-body-header names)."""


class Ask(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is asked for beside a URL; None in place of it where that is nothing, and the method is the run's.

    `headers` are sent with this request; `body` is, as `content_type`, which a header of that name overrules. `meta`
    goes along into the record. `callback` is the name of the function that gets the page,
    `errback` of the one that hears if it fails. `withheld` are the names of
    headers that a job has not kept: without them the request is not what was asked for.
    """

    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | FileBody | FormBody | None = None
    content_type: str | None = None
    meta: Any = None
    callback: str | None = None
    errback: str | None = None
    withheld: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        size = 300 + 200 * len(self.headers)
        if self.body is not None:
            size += len(_bytes(self.body))
        return size if self.meta is None else size + 4 * len(_encode(self.meta))

    def key(self, of_url: bytes, method: str) -> bytes:
        """By what a crawl knows such a request again: 16 bytes, those of its URL if that is all that is asked for."""
        if self.body is None and method in {"GET", "HEAD"}:
            return of_url
        digest = blake2b(of_url, digest_size=16)
        digest.update(method.encode("ascii"))
        if self.body is not None:
            digest.update(b"\0")
            digest.update(_bytes(self.body))
        return digest.digest()

    def under(self, own: Ask | None) -> Ask:
        """This, which all are asked with, and what one of them has of its own, but for a body."""
        if own is None:
            return self
        named = {name.lower() for name, _ in own.headers}
        headers = (*own.headers, *(pair for pair in self.headers if pair[0].lower() not in named))
        return msgspec.structs.replace(own, headers=headers, body=self.body, content_type=self.content_type)

    def without_body(self) -> Ask | None:
        """What is left of it when the body is not sent: neither is what is said about that (Fetch, HTTP-redirect)."""
        headers = tuple(pair for pair in self.headers if pair[0].lower() not in BODY_HEADERS)
        ask = msgspec.structs.replace(self, headers=headers, body=None, content_type=None)
        return None if ask == Ask() else ask


def _bytes(body: Body) -> bytes:
    if isinstance(body, bytes):
        return body
    try:
        return _encode(body)
    except UnicodeEncodeError:  # a path that is no Unicode text
        return repr(body).encode("utf-8", "surrogatepass")


class Wanted(NamedTuple):
    """What a page leads to that is more than a URL."""

    url: Url
    method: str
    ask: Ask

    @property
    def href(self) -> str:
        """Tells it from all plain URLs."""
        return f"{self.method} {self.url.href}"


class Request(msgspec.Struct, frozen=True):
    """One accepted input on its way (not `crawler.Request`, which people write). A hop or another try is a new Request
    with the same `id`.

    `id` counts accepted inputs from 0; `written` is the URL as it was given (without userinfo); `url` is what is
    fetched next; `attempt` counts tries from 1; `accepted` is the monotonic time at which it was accepted.
    """

    id: int
    url: Url
    written: str
    input: Input
    accepted: float
    method: str = "GET"
    attempt: int = 1
    redirects: tuple[Redirect, ...] = ()
    parked: bool = False
    set_cookie: bool = False  # some redirect did, in vain
    since: int = 0  # so many redirects came before the cookies were what they are now
    cookies: tuple[Cookie, ...] = ()  # those that its redirects have set; lost with it, and in no job
    ask: Ask | None = None

    @property
    def discovered(self) -> bool:
        """True when the URL was not typed by the user: a link or a redirect led here."""
        return bool(self.redirects) or self.input.parent is not None
