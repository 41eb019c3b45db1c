"""Addresses that somebody wrote for a host and port: no name server is asked. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from crawler.fetch.connect.resolver import Addresses

ANY: Final = "*"


class Pins:
    """Knows them by host, or `*`, and port; the first of two for the same counts."""

    def __init__(self, pins: Iterable[tuple[str, int, Addresses]]) -> None:
        self._addresses: dict[tuple[str, int], Addresses] = {}
        for host, port, addresses in pins:
            self._addresses.setdefault((host, port), addresses)

    def of(self, host: str, port: int) -> Addresses | None:
        """Where this server is, if somebody said so."""
        known = self._addresses.get((host.rstrip("."), port))
        return self._addresses.get((ANY, port)) if known is None else known

    def named(self, host: str, port: int) -> bool:
        return self.of(host, port) is not None
