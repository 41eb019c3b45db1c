"""Names asked of name servers that somebody named, through c-ares: it checks what comes, goes on over TCP where an
answer is cut, reads the hosts file, and orders the addresses (RFC 6724).
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Final

from crawler.errors import CodedError
from crawler.fetch.connect.resolver import Addresses, Found

TRIES: Final = 2
_LEAST: Final = 0.25  # seconds of a try: c-ares has no fewer
_WORDS: Final = {
    "ARES_ESERVFAIL": "the name server failed (SERVFAIL)",
    "ARES_EREFUSED": "the name server refuses to answer (REFUSED)",
    "ARES_ENOTIMP": "the name server cannot answer that (NOTIMP)",
    "ARES_EFORMERR": "the name server did not understand (FORMERR)",
    "ARES_EBADRESP": "the name server's answer cannot be read",
    "ARES_ECONNREFUSED": "no name server is there",
    "ARES_ECANCELLED": "the run ends",
    "ARES_EDESTRUCTION": "the run ends",
}
_NO_NAME: Final = frozenset({"ARES_ENOTFOUND", "ARES_ENONAME"})


class NameServers:
    """Called with a host, in any thread: blocks until there is an answer, about `seconds` at most.

    `servers` are addresses, each with a port or without. Raises ValueError when what is needed is not installed.
    """

    def __init__(self, servers: Sequence[str], seconds: float) -> None:
        if find_spec("pycares") is None:
            raise ValueError("--dns-servers needs one more package: pip install 'everyurl[network]'")
        import pycares

        # The second round waits twice as long as the first.
        share = max(_LEAST, seconds / (3 * len(servers)))
        self._names: dict[int, str] = pycares.errno.errorcode
        self._seconds = seconds
        self._servers = ", ".join(servers)
        self._channel = pycares.Channel(servers=list(servers), timeout=share, tries=TRIES)

    def __call__(self, host: str) -> Found:
        """The addresses of a host, and for how many seconds they hold.

        Raises CodedError `dns_nxdomain`, `dns_nodata`, `dns_timeout` or `dns_error`.
        """
        done = threading.Event()
        answers: list[tuple[Any, int | None]] = []

        def answered(result: Any, error: int | None) -> None:
            answers.append((result, error))
            done.set()

        try:
            self._channel.getaddrinfo(host, None, family=socket.AF_UNSPEC, type=socket.SOCK_STREAM, callback=answered)
        except RuntimeError:  # it is closed
            raise CodedError("dns_error", f"{host}: the run ends") from None
        if not done.wait(2 * self._seconds + 1.0):
            raise CodedError("dns_timeout", self._silent(host))
        result, error = answers[0]
        if error:
            raise self._coded(host, self._names.get(error, f"error {error}"))
        nodes = [(node.addr[0].decode("ascii"), node.ttl) for node in result.nodes]
        addresses: Addresses = list(dict.fromkeys(str(ipaddress.ip_address(address)) for address, _ in nodes))
        return addresses, float(min((ttl for _, ttl in nodes), default=0))

    def close(self) -> None:
        """Whoever waits is told that the run ends."""
        self._channel.close()

    def _coded(self, host: str, name: str) -> CodedError:
        if name in _NO_NAME:
            return CodedError("dns_nxdomain", f"no such host: {host}")
        if name == "ARES_ENODATA":
            return CodedError("dns_nodata", f"{host} has no address")
        if name == "ARES_ETIMEOUT":
            return CodedError("dns_timeout", self._silent(host))
        return CodedError("dns_error", f"{host}: {_WORDS.get(name, name)}")

    def _silent(self, host: str) -> str:
        return f"{host}: no answer from {self._servers}"
