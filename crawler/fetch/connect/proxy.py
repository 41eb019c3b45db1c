"""A proxy as a value: where it is, how it is spoken to, who we are there, and how it may fail us. Pure.

Of a URL that cannot be used no message holds more than the scheme: anything else may be a part of a password.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import unquote_to_bytes

from crawler.errors import CodedError

HTTP: Final = frozenset(("http", "https"))
SCHEMES: Final = ("http", "https", "socks5", "socks5h")
DEFAULT_PORT: Final = 1080  # curl's, for all but https
_LONGEST_NAME: Final = 255  # RFC 1929 section 2
_URL: Final = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.-]*)://)?(?:(.*)@)?(\[[0-9A-Fa-f:.]+\]|[^\[\]:/?#@\\\s]+)(?::([0-9]*))?/?"
)
_HOST: Final = re.compile(r"[a-z0-9_](?:[a-z0-9._-]{0,251}[a-z0-9_.])?")
_UNESCAPED: Final = re.compile(r"[/?#\\\s]")

Blame = Literal["proxy", "either", "nobody"]


class ProxyFailed(CodedError):  # noqa: N818 - what happened, as the codes say it
    """There was no way through a proxy. `blame` says whose fault that is, for those who have another one.

    "either": the proxy could not reach the server, and only another proxy can tell which of both is ill. "nobody":
    the proxy does not want to, and will be no other for other servers.
    """

    def __init__(self, code: str, message: str, *, blame: Blame = "proxy", transient: bool | None = None) -> None:
        super().__init__(code, message, transient=transient)
        self.blame = blame


@dataclass(frozen=True, slots=True)
class Proxy:
    """`scheme` is one of SCHEMES. `user` and `password` are as they are sent, and shown nowhere: not even by repr."""

    scheme: str
    host: str
    port: int
    user: bytes | None = field(default=None, repr=False)
    password: bytes = field(default=b"", repr=False)

    def __str__(self) -> str:
        """Its URL, without what logs in. That of DIRECT is empty."""
        if not self.host:
            return ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def resolves(self) -> bool:
        """Whether it is told names, and looks them up; else it is told addresses."""
        return self.scheme != "socks5"

    @property
    def takes_urls(self) -> bool:
        """Whether it can be asked for an http URL (RFC 9112 section 3.2.2), without a tunnel to its server."""
        return self.scheme in HTTP

    @property
    def authorization(self) -> bytes:
        """The line of a head that logs in (RFC 7617); empty where nobody does."""
        if self.user is None:
            return b""
        return b"Proxy-Authorization: Basic %b\r\n" % base64.b64encode(b"%b:%b" % (self.user, self.password))


DIRECT: Final = Proxy("", "", 0)
"""No proxy, said aloud."""


def parse_proxy(text: str) -> Proxy:
    """Read the URL of a proxy as curl does: without a scheme it is http, without a port 1080 (443 for https).

    Raises ValueError with words that follow the name of where it stands, and have nothing of the login.
    """
    text = text.strip()
    match = _URL.fullmatch(text)
    if match is None:
        raise ValueError(f"is not the URL of a proxy (http://HOST:PORT; or {', '.join(SCHEMES[1:])})")
    scheme, login, host, port = match.groups()
    scheme = (scheme or "http").lower()
    if scheme not in SCHEMES:
        raise ValueError(f"has the scheme {scheme}, but proxies are {', '.join(SCHEMES[:-1])} or {SCHEMES[-1]}")
    if login is not None and _UNESCAPED.search(login):
        raise ValueError("has a login with a special character (write it percent-encoded: / as %2F, # as %23)")
    number = int(port) if port else 443 if scheme == "https" else DEFAULT_PORT
    if not 0 < number < 1 << 16:
        raise ValueError(f"has the port {number}, which is not one from 1 to 65,535")
    user, password = _login(login, scheme)
    return Proxy(scheme, _host(host), number, user, password)


def _host(host: str) -> str:
    try:
        if host.startswith("["):
            return str(ipaddress.IPv6Address(host[1:-1]))
        name = host.lower() if host.isascii() else host.encode("idna").decode()
    except ValueError:  # UnicodeError is one, too
        name = ""
    if not _HOST.fullmatch(name):
        raise ValueError("does not name a host that can be")
    return name


def _login(login: str | None, scheme: str) -> tuple[bytes | None, bytes]:
    if not login:
        return None, b""
    user, _, password = (unquote_to_bytes(part) for part in login.partition(":"))
    if scheme in HTTP:
        if b":" in user:
            raise ValueError("has a user name with a colon, which Basic cannot send (RFC 7617 section 2)")
    elif not 0 < len(user) <= _LONGEST_NAME or not 0 < len(password) <= _LONGEST_NAME:
        raise ValueError("has no user name and password of 1 to 255 bytes each, as SOCKS wants (RFC 1929 section 2)")
    return user, password
