"""The options that say which addresses servers have, and from which of ours they are reached."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Final

from crawler.config.kinds import Flag, Line, Many, Option, shown
from crawler.config.options.groups import ADDRESSES
from crawler.config.options.proxy import ProxyOptions
from crawler.errors import CodedError

_PIN: Final = re.compile(r"(\*|\[[0-9A-Fa-f:.]+\]|[^:\[\]/@\s]+):([0-9]{1,5}):([^\s]+)")
_PLACE: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::([0-9]{1,5}))?")


class Pin(Line, frozen=True):
    """HOST:PORT:ADDRESS[,ADDRESS...], as in curl: * for any host, IPv6 in brackets. `pinned` gives its parts."""

    expected: str = "HOST:PORT:ADDRESS[,ADDRESS...] (example.com:443:127.0.0.1; * for any host, IPv6 in brackets)"

    def read(self, raw: object) -> str:
        text = super().read(raw)
        match = _PIN.fullmatch(text)
        if match is None:
            raise ValueError(f"{shown(raw)} is not {self.expected}")
        host, port = match[1], int(match[2])
        if not 0 < port <= 65_535:
            raise ValueError(f"{shown(raw)}: there is no port {port} (1 to 65535)")
        addresses = []
        for word in match[3].split(","):
            address = _address(word.removeprefix("[").removesuffix("]"))
            if address is None:
                raise ValueError(f"{shown(raw)}: {shown(word)} is not an address (127.0.0.1, [::1])")
            addresses.append(address)
        if host != "*":
            from crawler.urls import parse  # 10 ms that --help does not need

            try:
                url = parse(f"http://{host}/")
            except CodedError as error:
                raise ValueError(f"{shown(raw)}: {shown(host)} is not a host: {error.message}") from None
            host = f"[{url.host}]" if ":" in url.host else url.host.rstrip(".")
        return f"{host}:{port}:{','.join(f'[{a}]' if a.version == 6 else str(a) for a in addresses)}"


def pinned(pin: str) -> tuple[str, int, list[str]]:
    """(host, port, addresses) of a pin as the kind Pin gives it."""
    match = _PIN.fullmatch(pin)
    assert match is not None
    return match[1].strip("[]"), int(match[2]), [address.strip("[]") for address in match[3].split(",")]


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


class NameServer(Line, frozen=True):
    """The address of a name server, with a port or without; IPv6 in brackets where there is one."""

    expected: str = "the address of a name server (9.9.9.9, 127.0.0.1:5353, [2620:fe::fe]:53)"

    def read(self, raw: object) -> str:
        text = super().read(raw)
        match = _PLACE.fullmatch(f"[{text}]" if text.count(":") > 1 and "[" not in text else text)
        address = None if match is None else _address(match[1] or match[2])
        port = 0 if match is None else int(match[3] or 53)
        if address is None or not 0 < port <= 65_535:
            raise ValueError(f"{shown(raw)} is not {self.expected}")
        return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


class NameServers(Many, frozen=True):
    """Several, also as one text with commas."""

    def read(self, raw: object) -> tuple[object, ...]:
        items = (raw,) if isinstance(raw, str) else raw
        if not isinstance(items, (tuple, list)):
            return super().read(raw)
        return super().read(
            [word for item in items for word in (self.split(item) if isinstance(item, str) else [item])]
        )


class Interface(Line, frozen=True):
    """The name of an interface, or an address. Whether this machine has it is seen when a run begins."""

    expected: str = "the name of an interface (eth0), or an address of this machine (192.0.2.1)"

    def read(self, raw: object) -> str:
        text = super().read(raw)
        address = _address(text.removeprefix("[").removesuffix("]"))
        if address is not None:
            return str(address)
        if re.search(r"[/@\\:]", text) and not re.fullmatch(r"[\w.-]+:\d+", text):  # eth0:1 is a name, too
            raise ValueError(f"{shown(raw)} is not {self.expected}")
        return text


class AddressOptions(ProxyOptions, frozen=True, kw_only=True):
    """From a name to an address."""

    resolve: Annotated[
        tuple[str, ...],
        Option(
            Many(Pin()),
            ADDRESSES,
            "Take ADDRESS for HOST (* for any) at PORT, and ask no name server; it may be private",
            metavar="HOST:PORT:ADDRESS[,ADDRESS]",
        ),
    ] = ()
    dns_servers: Annotated[
        tuple[str, ...],
        Option(
            NameServers(NameServer(), separators=", \t\n"),
            ADDRESSES,
            "Ask these name servers in place of the system's",
            metavar="IP[:PORT],...",
        ),
    ] = ()
    interface: Annotated[
        str | None,
        Option(
            Interface(),
            ADDRESSES,
            "Connect from this interface or address of this machine",
            metavar="NAME|ADDRESS",
        ),
    ] = None
    ipv4: Annotated[
        bool,
        Option(Flag(), ADDRESSES, "Connect to IPv4 addresses alone", ("-4",)),
    ] = False
    ipv6: Annotated[
        bool,
        Option(Flag(), ADDRESSES, "Connect to IPv6 addresses alone", ("-6",)),
    ] = False
