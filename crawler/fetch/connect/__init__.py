"""Where connections lead: names, addresses, dialing, proxies; how long the reactor was busy, how fast bytes may come.

Imports the error codes alone.
"""

__all__ = [
    "address",
    "bypass",
    "chosen",
    "dial",
    "proxy",
    "race",
    "resolver",
    "routes",
    "socks",
    "stalls",
    "throttle",
    "trust",
    "tunnel",
]  # fmt: skip
