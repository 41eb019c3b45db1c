"""Which addresses and ports a discovered URL may lead to: public ones. Pure.

`ipaddress.is_global` is not enough: Python 3.11 calls multicast, NAT64, 6to4 and IPv4-compatible addresses global and
does not count 100.64/10 as private. So the special-purpose registries of IANA (RFC 6890 and its updates) are written
out, and an IPv4 address inside an IPv6 one is judged as the IPv4 address it leads to.
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final

_DENIED: Final = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24",
        "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
        "::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "100::/64", "100:0:0:1::/64", "2001::/23", "2001:db8::/32",
        "2620:4f:8000::/48", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")

# The Fetch Standard's "bad port" list: services that a smuggled HTTP request could talk to.
BAD_PORTS: Final = frozenset((
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
    111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532,
    540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061,
    6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
))  # fmt: skip


@lru_cache(maxsize=1024)
def forbidden(address: str) -> str | None:
    """Why this IP address is not a public one, or None when it is."""
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(address)
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.scope_id is not None:
            return f"{address} is a link-local address"
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None and (reason := forbidden(str(inner))):
            return f"{address} stands for {inner}, and {reason}"
        if ip.ipv4_mapped is not None:
            return None
    for network in _DENIED:
        if ip.version == network.version and ip in network:
            return f"{address} is in {network}, which is not public"
    return None


def addresses_in(host: str) -> list[str]:
    """The addresses that a host of a URL stands for by itself: an IP address, or localhost (RFC 6761 section 6.3)."""
    name = host.rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return ["127.0.0.1", "::1"]
    try:
        return [str(ipaddress.ip_address(name))]
    except ValueError:
        return []
