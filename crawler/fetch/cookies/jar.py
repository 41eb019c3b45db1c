"""The jar: which cookies are kept, and which go with a request. RFC 6265bis sections 5.7 and 5.8, with curl's limits.

They lie by domain, so that a request costs as much with 20,000 domains as with 20: a look-up for each label of its
host, and a comparison for each cookie of those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from crawler.fetch.cookies.parsing import SetCookie, parse_set_cookie
from crawler.models import Cookie
from crawler.urls import Url, public_suffixes

MAX_PER_RESPONSE: Final = 50
MAX_PER_DOMAIN: Final = 150
MAX_TOTAL: Final = 50_000
MAX_SENT: Final = 150
MAX_HEADER: Final = 8_190
"""Bytes of a Cookie line: what is beyond stays at home."""

_Key = tuple[str, str, bool]  # name, path, host_only


class Jar:
    """Holds cookies. `is_public` says of a domain whether it is a public suffix, whose owner is nobody.

    Of a full jar those go first that have been there longest without being set again. `changes` counts up.
    """

    def __init__(
        self,
        cookies: Iterable[Cookie] = (),
        *,
        is_public: Callable[[str], bool] | None = None,
        max_total: int = MAX_TOTAL,
    ) -> None:
        self._is_public = is_public or _in_the_list
        self._max_total = max_total
        self._domains: dict[str, dict[_Key, Cookie]] = {}
        self._secure_below: dict[tuple[str, str], int] = {}  # name, domain -> how many secure ones its subdomains have
        self.changes = 0
        self._count = 0
        self._created = 0
        for cookie in cookies:
            self.put(cookie)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Cookie]:
        for cookies in self._domains.values():
            yield from cookies.values()

    def hear(self, url: Url, lines: Sequence[str], now: float) -> bool:
        """Take in the Set-Cookie lines of an answer from `url`: whether anything is another than it was.

        `now` is seconds since the epoch. Not more than 50 of an answer are taken.
        """
        changed, taken = False, 0
        for line in lines:
            parsed = parse_set_cookie(line, now)
            cookie = None if parsed is None else self._accept(url, parsed)
            if cookie is not None:
                changed |= self._replace(cookie, now)
                taken += 1
                if taken == MAX_PER_RESPONSE:
                    break
        return changed

    def of(self, url: Url, now: float) -> list[Cookie]:
        """The cookies that go with a request for `url`, in their order: longer paths first, then the older ones."""
        found: list[Cookie] = []
        host, path, secure = _host(url), _path(url), _is_secure(url)
        for domain in _upwards(host):
            cookies = self._domains.get(domain)
            if cookies is None:
                continue
            gone = []
            for cookie in cookies.values():
                if cookie.expires is not None and cookie.expires <= now:
                    gone.append(cookie)
                elif (
                    (domain == host or not cookie.host_only)
                    and (secure or not cookie.secure)
                    and _covers(cookie.path, path)
                ):
                    found.append(cookie)
            for cookie in gone:
                self._remove(cookie)
        if len(found) > 1:
            found.sort(key=lambda cookie: (-len(cookie.path), cookie.created))
        return found

    def header(self, url: Url, now: float, *, without: frozenset[str] = frozenset(), room: int = MAX_HEADER) -> str:
        """The value of the Cookie field for `url`, in latin-1, without those of some names; "" if none goes."""
        pairs, size = [], -2
        for cookie in self.of(url, now)[:MAX_SENT]:
            if cookie.name in without:
                continue
            pair = f"{cookie.name}={cookie.value}" if cookie.name else cookie.value
            size += len(pair) + 2
            if size > room:
                break
            pairs.append(pair)
        return "; ".join(pairs)

    def put(self, cookie: Cookie) -> None:
        """Take in a cookie from a file or another jar, in place of the one that was the same."""
        self._created = max(self._created, cookie.created)
        self._set(cookie if cookie.created else self._numbered(cookie))

    def drop_expired(self, now: float) -> None:
        for cookie in [cookie for cookie in self if cookie.expires is not None and cookie.expires <= now]:
            self._remove(cookie)

    # What is accepted.

    def _accept(self, url: Url, parsed: SetCookie) -> Cookie | None:
        """The cookie that an answer from `url` may set so, or None (section 5.7)."""
        host, secure = _host(url), _is_secure(url)
        domain = parsed.domain
        if domain is None or domain == host:
            # Of a public suffix, and of an address, the cookie is that host's own.
            host_only = domain is None or _is_address(host) or self._is_public(host)
            domain = host
        elif not domain.isascii() or not _is_below(host, domain) or _is_address(host) or self._is_public(domain):
            return None
        else:
            host_only = False
        if parsed.secure and not secure:
            return None
        path = parsed.path or _default_path(_path(url))
        # A prefix is a promise that the server made, in whatever case (section 5.4).
        name = parsed.name.lower()
        if name.startswith("__secure-") and not parsed.secure:
            return None
        if name.startswith("__host-") and not (parsed.secure and parsed.domain is None and parsed.path == "/"):
            return None
        if not name and parsed.value.lower().startswith(("__secure-", "__host-")):
            return None
        if not parsed.secure and not secure and self._shadows(parsed.name, domain, path):
            return None
        return Cookie(
            parsed.name,
            parsed.value,
            domain,
            path,
            host_only,
            parsed.secure,
            parsed.http_only,
            parsed.expires,
            parsed.same_site,
        )

    def _shadows(self, name: str, domain: str, path: str) -> bool:
        """Whether this would stand in for a secure cookie, which only a secure origin may do (section 5.7, step 16)."""
        if (name, domain) in self._secure_below:
            return True
        for above in _upwards(domain):
            for cookie in self._domains.get(above, {}).values():
                if cookie.secure and cookie.name == name and _covers(cookie.path, path):
                    return True
        return False

    # What is kept.

    def _replace(self, cookie: Cookie, now: float) -> bool:
        """Keep a cookie that an answer has set, or take away the one that it ends. Whether that changed anything."""
        before = self._domains.get(cookie.domain, {}).get((cookie.name, cookie.path, cookie.host_only))
        if cookie.expires is not None and cookie.expires <= now:
            if before is not None:
                self._remove(before)
            return before is not None
        self._set(self._numbered(cookie, before))
        return before is None or before.value != cookie.value or before.secure != cookie.secure

    def _numbered(self, cookie: Cookie, before: Cookie | None = None) -> Cookie:
        """With its place in the order: that of the one before it, if it takes its place (section 5.7, step 23)."""
        if before is None:
            self._created += 1
        return Cookie(
            cookie.name,
            cookie.value,
            cookie.domain,
            cookie.path,
            cookie.host_only,
            cookie.secure,
            cookie.http_only,
            cookie.expires,
            cookie.same_site,
            self._created if before is None else before.created,
        )

    def _set(self, cookie: Cookie) -> None:
        domain, key = cookie.domain, (cookie.name, cookie.path, cookie.host_only)
        cookies = self._domains.pop(domain, None)
        if cookies is None:
            cookies = {}
        self._domains[domain] = cookies  # the last now
        before = cookies.pop(key, None)
        if before is not None:
            self._uncount(before)
        elif len(cookies) >= MAX_PER_DOMAIN:
            self._remove(
                next((one for one in cookies.values() if not one.secure), None) or next(iter(cookies.values()))
            )
        elif self._count >= self._max_total:
            self._remove(next(iter(next(iter(self._domains.values())).values())))
        cookies = self._domains.setdefault(domain, cookies)
        cookies[key] = cookie
        self.changes += 1
        self._count += 1
        if cookie.secure:
            for above in _upwards(domain.partition(".")[2]):
                self._secure_below[cookie.name, above] = self._secure_below.get((cookie.name, above), 0) + 1

    def _remove(self, cookie: Cookie) -> None:
        cookies = self._domains[cookie.domain]
        del cookies[cookie.name, cookie.path, cookie.host_only]
        if not cookies:
            del self._domains[cookie.domain]
        self._uncount(cookie)

    def _uncount(self, cookie: Cookie) -> None:
        self.changes += 1
        self._count -= 1
        if cookie.secure:
            for above in _upwards(cookie.domain.partition(".")[2]):
                left = self._secure_below.pop((cookie.name, above)) - 1
                if left:
                    self._secure_below[cookie.name, above] = left


def _in_the_list(domain: str) -> bool:
    """The list is read when the first cookie names a domain."""
    return public_suffixes().is_public(domain)


def _host(url: Url) -> str:
    return url.host.rstrip(".")


def _path(url: Url) -> str:
    path = url.target.partition("?")[0]
    return path if path.startswith("/") else "/"


def _is_secure(url: Url) -> bool:
    return url.scheme in {"https", "wss"}


def _is_address(host: str) -> bool:
    """In the standard's form a host whose last label is a number is an IPv4 address; a colon is in IPv6 ones."""
    return ":" in host or host.rpartition(".")[2].isdigit()


def _is_below(host: str, domain: str) -> bool:
    return host.endswith(domain) and host[-len(domain) - 1 : -len(domain)] == "."


def _upwards(host: str) -> Iterator[str]:
    """The host itself, then what is above it: "a.b.example", "b.example", "example"."""
    while host:
        yield host
        host = "" if ":" in host else host.partition(".")[2]


def _default_path(path: str) -> str:
    """Section 5.1.4."""
    return path[: path.rindex("/")] or "/"


def _covers(cookie_path: str, path: str) -> bool:
    """Section 5.1.4: they are the same, or the cookie's is a folder in which the other lies."""
    if not path.startswith(cookie_path):
        return False
    return len(path) == len(cookie_path) or cookie_path.endswith("/") or path[len(cookie_path)] == "/"
