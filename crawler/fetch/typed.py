"""What a person typed, and what only that allows: a host inside one's own network, and secrets. Pure.

A name is no promise: whoever owns it may let it lead somewhere else later. So a typed host is excepted from the address
policy only if it led inside from the first.

Secrets (the user's headers, user names and passwords in URLs) go to the origins of typed URLs, and to what these
themselves lead to: where another origin has chosen the URL they stay at home, also if it leads back.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from crawler.fetch.connect.address import forbidden
from crawler.models import Request
from crawler.urls import Url

MOST_HOSTS: Final = 50_000


class Typed:
    """Knows the typed URLs' servers, the first 50,000 of a long list. With `allow_private` all may be private.

    May be added to while it is asked, in another thread, too. `pinned` says of host and port whether somebody wrote
    their addresses: those may be private, too.
    """

    def __init__(self, *, allow_private: bool = False, pinned: Callable[[str, int], bool] | None = None) -> None:
        self._allow_private = allow_private
        self._pinned = pinned
        self._ports: dict[str, set[int]] = {}
        self._inside: dict[str, bool] = {}  # of the names above that were resolved: whether they led inside
        self._logins: dict[str, str] = {}  # by origin, as hrefs begin: the userinfo that was typed first
        self._newest = ""

    def add(self, url: Url) -> None:
        """Somebody wrote this URL."""
        origin = _origin(url)
        if origin == self._newest and not url.userinfo:
            return
        self._newest = origin
        if len(self._logins) < MOST_HOSTS or origin in self._logins:
            self._logins[origin] = self._logins.get(origin) or url.userinfo
        host = url.host.rstrip(".")
        ports = self._ports.get(host)
        if ports is not None:
            ports.add(url.port)
        elif len(self._ports) < MOST_HOSTS:
            self._ports[host] = {url.port}

    def has_typed(self, host_key: str) -> bool:
        """Whether somebody wrote a URL of this `host:port`."""
        host, _, port = host_key.rpartition(":")
        return int(port) in self._ports.get(host, ())

    def led_before(self, host_key: str, address: str) -> None:
        """An earlier run connected to this address for `host:port`. What is no address allows nothing."""
        host = host_key.rpartition(":")[0]
        if host in self._ports:
            try:
                inside = forbidden(address) is not None
            except ValueError:
                inside = False
            self._inside[host] = self._inside.get(host, True) and inside

    def standing(self, url: Url) -> tuple[bool, bool | None]:
        """Whether somebody wrote a URL of this server, and whether its host led inside, as far as is known."""
        host = url.host.rstrip(".")
        ports = self._ports.get(host)
        return (True, self._inside.get(host)) if ports is not None and url.port in ports else (False, None)

    def learn(self, url: Url, inside: bool | None) -> None:
        """Somebody wrote a URL of this server, as another process knows; and where that led, if that is known."""
        host = url.host.rstrip(".")
        self._ports.setdefault(host, set()).add(url.port)
        if inside is not None:
            self._inside[host] = self._inside.get(host, True) and inside

    def may_be_private(self, host: str, port: int, addresses: list[str]) -> bool:
        """Whether this server may be inside though nobody typed this very URL; `addresses` are all that it has now."""
        if self._pinned is not None and self._pinned(host, port):
            return True
        host = host.rstrip(".")
        ports = self._ports.get(host)
        if ports is None:
            return False
        inside = self._inside.get(host)
        if inside is None:
            inside = self._inside[host] = all(map(forbidden, addresses))
        return inside and port in ports

    def has_host(self, host: str) -> bool:
        """Whether a typed URL is of this host, whatever its port."""
        return host.rstrip(".") in self._ports

    def public_only(self, request: Request) -> bool:
        """Whether a request must go to a public address, as far as is known before its host is resolved."""
        if self._allow_private or not request.discovered:
            return False
        url = request.url
        if self._pinned is not None and self._pinned(url.host, url.port):
            return False
        host = url.host.rstrip(".")
        ports = self._ports.get(host)
        return ports is None or url.port not in ports or not self._inside.get(host)

    def login(self, request: Request) -> str | None:
        """The userinfo with which to send a request, mostly "". None where the user's headers do not go either.

        A typed URL and its redirects have their own.
        """
        url = request.url
        origin = _origin(url)
        if not all(hop.url.startswith(origin) for hop in request.redirects):
            return None
        parent = request.input.parent
        if parent is None:
            return url.userinfo
        return self._logins.get(origin) if parent.startswith(origin) else None


def _origin(url: Url) -> str:
    """As the hrefs of its pages begin, and no others."""
    return f"{url.scheme}://{url.authority}/"
