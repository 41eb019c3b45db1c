"""Which servers are connected to directly though there is a proxy: the lists of NO_PROXY and --noproxy. Pure.

A list is read as curl reads it (lib/noproxy.c), and its items may have ports, as they may for Go and Python.
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache
from typing import Final

_ITEMS: Final = re.compile(r"[\s,]+")
_PORT: Final = re.compile(r"(\[[^\]]*\]|[^:]*):([0-9]{1,5})")
_MOST: Final = 4096

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Bypass:
    """The servers of one list, divided by commas or blanks.

    - `*` alone: all.
    - `example.com` or `.example.com`: this host and those below it.
    - `192.0.2.1`, `2001:db8::1`, `192.0.2.0/24`: addresses, where the URL has one. Names are not looked up for that.
    - any of these with `:8080` behind it: at this port alone.
    """

    def __init__(self, text: str) -> None:
        items = [item for item in _ITEMS.split(text) if item]
        self._all = items == ["*"]
        self._names: dict[str, set[int]] = {}
        self._networks: list[tuple[_Network, int]] = []
        for item in items:
            host, port = _divide(item)
            network = _network(host)
            if network is not None:
                self._networks.append((network, port))
            else:
                self._names.setdefault(host.lower().strip("."), set()).add(port)
        self.matches = lru_cache(_MOST)(self._matches)

    def _matches(self, host: str, port: int) -> bool:
        """Whether this server is of the list; `host` is as Url has it."""
        if self._all:
            return True
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return self._names_match(host.lower().rstrip("."), port)
        return any(
            which in {0, port} and network.version == address.version and address in network
            for network, which in self._networks
        )

    def _names_match(self, host: str, port: int) -> bool:
        while host:
            ports = self._names.get(host, ())
            if 0 in ports or port in ports:
                return True
            host = host.partition(".")[2]
        return False


def _divide(item: str) -> tuple[str, int]:
    """A host and its port; 0 stands for any."""
    match = _PORT.fullmatch(item)
    host, port = match.groups() if match is not None else (item, "0")
    return host, int(port)


def _network(host: str) -> _Network | None:
    try:
        return ipaddress.ip_network(host.removeprefix("[").replace("]", ""), strict=False)
    except ValueError:
        return None
