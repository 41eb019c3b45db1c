"""From which of our own addresses connections are made: --interface."""

from __future__ import annotations

import ipaddress
import os
import socket
from importlib.util import find_spec
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.protocol import Protocol

from crawler.errors import CodedError
from crawler.fetch.connect.dial import Dial


class SourceAddress:
    """That of an interface, by its name, or an address of this machine. Raises ValueError, in words, if it is neither.

    An interface has one for each family, or none: then addresses of that family cannot be reached from it.
    """

    def __init__(self, words: str) -> None:
        self._words = words
        try:
            addresses = [str(ipaddress.ip_address(words))]
        except ValueError:
            addresses = _of_interface(words)
        for address in addresses:
            _check(address, words)
        self._by_family = {":" in address: address for address in reversed(addresses)}

    def of(self, address: str) -> str:
        """The one from which to connect to this address. Raises CodedError."""
        source = self._by_family.get(":" in address)
        if source is None:
            family = "IPv6" if ":" in address else "IPv4"
            raise CodedError("connect_error", f"{address}: {self._words} has no {family} address (--interface)")
        return source


def from_source(dial: Dial, source: SourceAddress) -> Dial:
    """Dial from there."""

    def dial_from(address: str, port: int, protocol: Protocol, own: str = "") -> Deferred[Any]:
        try:
            own = own or source.of(address)
        except CodedError as error:
            return fail(error)
        return dial(address, port, protocol, own)

    return dial_from


def _of_interface(name: str) -> list[str]:
    known = [interface for _, interface in socket.if_nameindex()]
    if name not in known:
        raise ValueError(
            f"--interface: {name!r} is neither an interface of this machine ({', '.join(known)}) nor an address"
        )
    if find_spec("psutil") is None:
        raise ValueError(
            f"--interface: {name!r}: the name of an interface needs one more package: pip install 'everyurl[network]' "
            "(its address does not)"
        )
    import psutil

    rows = psutil.net_if_addrs().get(name, ())
    inet = [row.address for row in rows if row.family == socket.AF_INET]
    # A link-local address reaches nobody without its zone.
    inet6 = [row.address for row in rows if row.family == socket.AF_INET6 and not row.address.startswith("fe80")]
    if not inet and not inet6:
        raise ValueError(f"--interface: {name!r} has no address")
    return [*inet[:1], *inet6[:1]]


def _check(address: str, words: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as own:
            own.bind((address, 0))
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise ValueError(f"--interface: {words!r}: cannot connect from {address}: {why}") from None
