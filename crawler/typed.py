"""What a person typed, and what only that allows: a host inside one's own network. Pure.

A name is no promise: whoever owns it may let it lead somewhere else later. So a typed host is excepted from the address
policy only if it led inside from the first.
"""

from __future__ import annotations

from typing import Final

from crawler.http11.address import forbidden
from crawler.models import Request
from crawler.urls import Url

MOST_HOSTS: Final = 50_000


class Typed:
    """Knows the typed URLs' hosts and ports, the first 50,000 of a long list. With `allow_private` all may be private.

    May be added to while it is asked, in another thread, too.
    """

    def __init__(self, *, allow_private: bool = False) -> None:
        self._allow_private = allow_private
        self._ports: dict[str, set[int]] = {}
        self._inside: dict[str, bool] = {}  # of the names above that were resolved: whether they led inside

    def add(self, url: Url) -> None:
        """Somebody wrote this URL."""
        host = url.host.rstrip(".")
        ports = self._ports.get(host)
        if ports is not None:
            ports.add(url.port)
        elif len(self._ports) < MOST_HOSTS:
            self._ports[host] = {url.port}

    def led_before(self, host_key: str, address: str) -> None:
        """An earlier run connected to this address for `host:port`. What is no address allows nothing."""
        host = host_key.rpartition(":")[0]
        if host in self._ports:
            try:
                inside = forbidden(address) is not None
            except ValueError:
                inside = False
            self._inside[host] = self._inside.get(host, True) and inside

    def may_be_private(self, host: str, port: int, addresses: list[str]) -> bool:
        """Whether this server may be inside though nobody typed this very URL; `addresses` are all that it has now."""
        host = host.rstrip(".")
        ports = self._ports.get(host)
        if ports is None:
            return False
        inside = self._inside.get(host)
        if inside is None:
            inside = self._inside[host] = all(map(forbidden, addresses))
        return inside and port in ports

    def public_only(self, request: Request) -> bool:
        """Whether a request must go to a public address, as far as is known before its host is resolved."""
        if self._allow_private or not request.discovered:
            return False
        url = request.url
        host = url.host.rstrip(".")
        ports = self._ports.get(host)
        return ports is None or url.port not in ports or not self._inside.get(host)
