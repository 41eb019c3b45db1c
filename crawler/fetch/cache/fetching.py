"""Fetching with a cache: what may be answered from there is, the rest is fetched, and kept where that may be.

A hit is an answer that no server was asked for; `Response.cache` says so.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.python.failure import Failure

from crawler.errors import CodedError
from crawler.fetch.budget import Budget
from crawler.fetch.cache.policy import (
    METHODS,
    NOT_MODIFIED,
    SAFE,
    Asked,
    Stored,
    age,
    is_of,
    is_usable,
    kept_headers,
    may_store,
    may_validate,
    not_modified,
    of_304,
    updated,
)
from crawler.fetch.cache.store import INLINE, Damaged, Found, Store
from crawler.fetch.connect.address import forbidden
from crawler.fetch.fetcher import FetchesWithHead
from crawler.fetch.heads import Heads
from crawler.fetch.saving.spool import Spool
from crawler.fetch.saving.spools import READ, Spools
from crawler.models import Request, Response, Timings
from crawler.urls import SOCKETS, Url, join

_OF_A_RUN: Final = frozenset({"resumed", "parse_truncated", "truncated"})  # warnings of how it was fetched, or read


_INCOMPLETE: Final = frozenset({"no_close_notify", "early_end"})  # RFC 9112 section 8
_BAD: Final = 400
_GONE: Final = frozenset({404, 410})


class _Try(NamedTuple):
    """One request that is asked for by way of the cache."""

    request: Request
    asked: Asked
    key: str
    found: Found | None
    started: float
    on_sent: Callable[[], None] | None
    fresh: bool


class CachedFetcher:
    """A fetcher before which stands a cache. See policy for `keep_for`, and Typed for `may_be_private`.

    With `only` it stands before these requests alone, and keeps good answers alone.
    """

    def __init__(
        self,
        fetcher: FetchesWithHead,
        store: Store,
        *,
        keep_for: float | None = None,
        may_be_private: Callable[[str, int, list[str]], bool] = lambda *_: False,
        only: Callable[[Request], bool] | None = None,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._only = only
        self._fetcher = fetcher
        self._store = store
        self._keep_for = keep_for
        self._may_be_private = may_be_private
        most, in_files = fetcher.parts.limits.max_size, fetcher.parts.spools is not None
        self._most = most if in_files else min(most, self.budget.limit)
        self._wall_clock = wall_clock

    @property
    def heads(self) -> Heads:
        return self._fetcher.heads

    @property
    def budget(self) -> Budget:
        return self._fetcher.budget

    def fetch(
        self, request: Request, on_sent: Callable[[], None] | None = None, *, fresh: bool = False
    ) -> Deferred[Response]:
        """As `Fetcher.fetch`; of what is in the cache nothing is sent."""
        plain = partial(self._fetcher.fetch, request, on_sent, fresh=fresh)
        if request.url.scheme in SOCKETS or (self._only is not None and not self._only(request)):
            return plain()
        if request.method not in METHODS or (request.ask is not None and request.ask.body is not None):
            answer = plain()
            return answer if request.method in SAFE else answer.addCallback(self._invalidate, request)
        head = self.heads.of(request)
        asked = Asked(head)
        if asked.passes_by:
            return plain(head=head).addCallback(_missed)
        now = self._wall_clock()
        url = request.url.href
        # Whoever is led back to where he came from is to get another answer there.
        again = any(hop.url == url for hop in request.redirects)
        key = self._store.key(request.method, url)
        found = None if again else self._store.find(key, asked)
        if found is None and request.method == "HEAD" and not again:
            of_get = self._store.find(self._store.key("GET", url), asked)
            if of_get is not None and is_usable(asked, of_get.stored, now, self._keep_for):
                found = of_get  # section 4: what is known of the whole is known of its head
        this = _Try(request, asked, key, found, now, on_sent, fresh)
        if found is not None and found.stored.size > self._most:
            found = None
        if found is not None and not found.stored.public and not self._may_see(request, found.stored):
            found = None
        this = this._replace(found=found)
        if found is not None and is_usable(asked, found.stored, now, self._keep_for):
            return self._filled(this, found, _hit(found.stored, now))
        if "only-if-cached" in asked.directives:  # section 5.2.1.7
            words = "only-if-cached was asked for, and there is no answer in the cache that is fresh"
            return succeed(Response(Timings(), now, error=CodedError("not_cached", words), unsent=True))
        if found is None or not may_validate(found.stored, self._keep_for):
            return self._fetched(this._replace(found=None))
        return self._fetched(this)

    def _may_see(self, request: Request, stored: Stored) -> bool:
        """Whether a request may have what came from inside: who links there gets no further than without a cache."""
        if not self._fetcher.public_only(request):
            return True
        url, address = request.url, stored.address
        return address is not None and self._may_be_private(url.host, url.port, [address])

    # What comes from the cache.

    def _filled(self, this: _Try, found: Found, response: Response) -> Deferred[Response]:
        """The response with the body that was kept, as it would be had it come now."""
        request, parts, stored = this.request, self._fetcher.parts, found.stored
        if this.asked.is_conditional and not_modified(this.asked, stored):
            response.status, response.headers = NOT_MODIFIED, of_304(response.headers)
            return succeed(response)
        if request.method == "HEAD":
            return succeed(response)
        if parts.accept is not None and 200 <= stored.status < 300:
            response.error = parts.accept.refusal(request, response.headers)
            if response.error is not None:
                return succeed(response)
        response.sha256 = stored.sha256
        if found.body is not None:
            response.body = found.body
            return succeed(response)
        reads = parts.spools is not None and parts.spools.is_read(request, response.headers)
        if parts.spools is None or (reads and stored.size <= READ):
            filling = self._with_body(found, response)
        else:
            if reads:
                response.warnings.append("parse_truncated")
            filling = self._with_file(parts.spools, this, found, response)
        return filling.addErrback(self._damaged, this)

    def _with_body(self, found: Found, response: Response) -> Deferred[Response]:
        size = found.stored.size
        self.budget.used += size

        def ended(body: bytes | Failure) -> Response | Failure:
            self.budget.used -= size
            if isinstance(body, Failure):
                return body
            response.body = body
            return response

        return self._store.body(found).addBoth(ended)

    def _with_file(self, spools: Spools, this: _Try, found: Found, response: Response) -> Deferred[Response]:
        """A copy goes to where large bodies wait for their name. A disk that takes no more is a CodedError."""
        spool = spools.begin(this.request, None)
        copying = self._copied(spool, found, response)
        done: Deferred[Response] = Deferred(lambda _: copying.cancel())

        def failed(error: CodedError) -> None:
            if not done.called:
                done.errback(error)

        def ended(result: Response | Failure) -> None:
            if not done.called:
                done.callback(result)

        spool.on_error = failed
        copying.addBoth(ended)
        return done

    @inlineCallbacks
    def _copied(self, spool: Spool, found: Found, response: Response) -> Generator[Deferred[Any], Any, Response]:
        for piece in self._store.pieces(found):
            data: bytes = yield piece
            if not data:
                break
            spool.write(data)
            room = spool.room()
            if room is not None:
                yield room
        yield spool.finish()
        response.spooled = spool
        return response

    def _damaged(self, failure: Failure, this: _Try) -> Deferred[Response]:
        """It has to be fetched after all."""
        failure.trap(Damaged)
        if self._fetcher.parts.spools is not None:
            self._fetcher.parts.spools.forget(this.request.id)
        return self._fetched(this._replace(found=None))

    # What is fetched.

    def _fetched(self, this: _Try) -> Deferred[Response]:
        """What the server says; that what was found is still good, or all of it."""
        head = this.asked.head if this.found is None else this.asked.asking(this.found.stored)
        answer = self._fetcher.fetch(this.request, this.on_sent, fresh=this.fresh, head=head)
        return answer.addCallback(self._answered, this)

    def _answered(self, response: Response, this: _Try) -> Response | Deferred[Response]:
        response.cache = "miss"
        if response.error is not None:
            return response
        if response.status == NOT_MODIFIED and this.found is not None:
            return self._validated(response, this, this.found)
        waits = self._keep(response, this)
        return response if waits is None else waits.addCallback(lambda _: response)

    def _validated(self, response: Response, this: _Try, found: Found) -> Deferred[Response]:
        """The answer that was kept is good still, with what the server says of it now (section 4.3.4)."""
        if not is_of(found.stored, response.headers):
            self._store.remove(found.key)
            return self._fetched(this._replace(found=None))
        stored = updated(found.stored, response.headers, requested=this.started, received=self._wall_clock())
        found = Found(found.key, stored, found.body)
        response.prepared = None  # of the answer without a body
        waits = self._store.refresh(found)
        response.cache = "revalidated"
        response.status = stored.status
        response.headers = {**response.headers, **stored.headers}
        response.warnings = list(dict.fromkeys((*stored.warnings, *response.warnings)))
        filling = self._filled(this, found, response)
        return filling if waits is None else waits.addCallback(lambda _: filling)

    def _keep(self, response: Response, this: _Try) -> Deferred[None] | None:
        """Keep an answer, if that may be; see `Store.put` for what has to be waited for."""
        status, headers, received, size = response.status, response.headers, self._wall_clock(), response.size
        if status is None or response.truncated or response.broken is not None or size > self._store.limit // 2:
            return None
        if not _INCOMPLETE.isdisjoint(response.warnings):
            return None
        if self._only is not None and status >= _BAD:
            self._store.remove(this.key)
            return None
        if not may_store(this.asked, status, headers, received, self._keep_for):
            if status < 400 or status in _GONE:  # else it says nothing of what was there
                self._store.remove(this.key)
            return None
        is_large = size > INLINE
        stored = Stored(
            url=this.request.url.href,
            method=this.request.method,
            status=status,
            http_version=response.http_version,
            headers=kept_headers(headers),
            warnings=[code for code in response.warnings if code not in _OF_A_RUN],
            requested=this.started,
            received=received,
            size=size,
            sha256=response.sha256 or "" if is_large else response.digest(),
            vary=self._store.vary(this.asked, headers),
            salt=secrets.token_bytes(8),
            apart=is_large,
            public=self._fetcher.public_only(this.request) or _is_public(response.remote_ip),
            address=response.remote_ip,
        )
        body = response.body if response.spooled is None else response.spooled.path
        return self._store.put(this.key, stored, body)

    def _invalidate(self, response: Response, request: Request) -> Response:
        """What was kept of a URL is not so any more when something was done there (section 4.4)."""
        if response.error is None and response.status is not None and 200 <= response.status < 400:
            named = [*response.headers.get("location", ()), *response.headers.get("content-location", ())]
            for url in (request.url, *_of_the_same_origin(request.url, named)):
                for method in METHODS:
                    self._store.remove(self._store.key(method, url.href))
        return response


def _of_the_same_origin(base: Url, named: Iterable[str]) -> Iterator[Url]:
    for reference in named:
        with suppress(CodedError):  # it is no URL
            url = join(base, reference)
            if url.origin == base.origin:
                yield url


def _is_public(address: str | None) -> bool:
    return address is not None and forbidden(address) is None


def _hit(stored: Stored, now: float) -> Response:
    headers = dict(stored.headers)
    headers["age"] = [str(int(age(stored, now)))]  # section 5.1
    return Response(
        Timings(),
        now,
        status=stored.status,
        http_version=stored.http_version,
        headers=headers,
        warnings=list(stored.warnings),
        cache="hit",
        unsent=True,
    )


def _missed(response: Response) -> Response:
    response.cache = "miss"
    return response
