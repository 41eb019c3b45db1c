"""A redirect is a hop: the same input with another URL, which goes back through the frontier. Pure.

RFC 9110 section 15.4 and the Fetch Standard's HTTP-redirect fetch.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from crawler.errors import CodedError
from crawler.models import Ask, Redirect, Request, Response
from crawler.redaction import scrub
from crawler.urls import SOCKETS, join

KeepCookies = Callable[[Request, Response], tuple[Request, bool]]
"""Gives a request with the cookies that its redirect has set, and whether it has others now than before."""

STATUSES: Final = frozenset((301, 302, 303, 307, 308))
_NOT_ASCII: Final = re.compile("[\x80-\xff]")


def next_hop(
    request: Request,
    response: Response,
    *,
    max_redirects: int,
    https_only: bool,
    keep: KeepCookies | None = None,
    fragments: bool = False,
) -> Request | None:
    """The request that follows a redirect, or None when the response is final (then perhaps with a warning).

    With `fragments` the hop tells that of its Location; else not: some are credentials (RFC 6749 section 4.2.2).
    Without `keep` no cookies are kept. A URL that comes up again is a loop, unless the cookies are others by then.

    The answer to a WebSocket's handshake is always final, as it is for browsers (WebSockets Standard section 2).

    Raises CodedError: redirect_invalid, redirect_scheme, redirect_downgrade, redirect_loop, too_many_redirects.
    """
    if response.status not in STATUSES or max_redirects == 0 or request.url.scheme in SOCKETS:
        return None
    locations = {value for value in response.headers.get("location", ()) if value}
    if not locations:
        response.warnings = [*response.warnings, "no_location"]
        return None
    if len(locations) > 1:
        raise CodedError("redirect_invalid", f"{len(locations)} different Location headers")
    location = locations.pop()
    try:
        url = join(request.url, _as_text(location))
    except CodedError as error:
        code = "redirect_scheme" if error.code == "scheme_unsupported" else "redirect_invalid"
        raise CodedError(code, f"Location {scrub(location)[:200]!r}: {error.message}") from None
    if https_only and request.url.scheme == "https" and url.scheme == "http":
        raise CodedError("redirect_downgrade", f"to {url.href[:200]}")
    _, sharp, fragment = location.partition("#")
    named = _as_text(fragment) if sharp and fragments else None
    hop = Redirect(request.url.href, response.status, response.broken, request.method, named)
    chain = (*request.redirects, hop)
    # Who looks whether the client came with a cookie, or counts, may answer the same URL otherwise the second time.
    # With other cookies it is another request: then what came before does not count.
    set_cookie = "set-cookie" in response.headers
    since = request.since
    if set_cookie and keep is not None:
        request, changed = keep(request, response)
        since = len(chain) if changed else since
    method, ask = _as_redirected(request, response.status)
    again = 1 if set_cookie or url.href != request.url.href else 0
    # What was sent to a URL, and what is there afterwards, are two things: POST, 303, GET.
    set_cookie = set_cookie or request.set_cookie
    if sum(hop.url == url.href and hop.method == method for hop in chain[since:]) > again:
        words = f"back to {url.href[:200]} after {len(chain)} redirects"
        if set_cookie and keep is None:
            words += "; a cookie was set on the way, and cookies are not kept"
        elif set_cookie:
            words += "; the cookies that were set on the way made no difference"
        raise CodedError("redirect_loop", words)
    if len(chain) > max_redirects:
        raise CodedError("too_many_redirects", f"more than {max_redirects} redirects")
    # A server cannot make us log in; but inside an origin the login that was typed goes along.
    login = request.url.userinfo if url.origin == request.url.origin else ""
    if url.userinfo != login:
        url = msgspec.structs.replace(url, userinfo=login)
    return msgspec.structs.replace(
        request, url=url, redirects=chain, set_cookie=set_cookie, since=since, method=method, ask=ask
    )


def _as_redirected(request: Request, status: int) -> tuple[str, Ask | None]:
    """The method, and what comes with it, after a redirect: the Fetch Standard's HTTP-redirect fetch, step 12.

    A body is sent again where the method is kept: every body here can be.
    """
    method, ask = request.method, request.ask
    if (status in {301, 302} and method == "POST") or (status == 303 and method not in {"GET", "HEAD"}):
        return "GET", None if ask is None else ask.without_body()
    return method, ask


def _as_text(location: str) -> str:
    """A Location as it was meant: header values are latin-1 to us, UTF-8 to most servers; other bytes stay as %XX."""
    try:
        return location.encode("latin-1").decode("utf-8")
    except UnicodeDecodeError:
        return _NOT_ASCII.sub(lambda match: f"%{ord(match[0]):02X}", location)
