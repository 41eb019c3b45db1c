"""The options that say how servers are reached: addresses, TLS."""

from __future__ import annotations

import re
from typing import Annotated

from crawler.config.addresses import AddressOptions
from crawler.config.kinds import Flag, Line, Many, Option, Path, shown
from crawler.config.options.groups import LOGIN, REQUEST
from crawler.config.secrets import FilePassword, Secret
from crawler.errors import CodedError


def read_host(text: str) -> str:
    """Read HOST[:PORT]: "host" as URLs have it, or "host:port". Raises ValueError."""
    from crawler.urls import parse  # 10 ms that --help does not need

    words = f"{shown(text)} is not a host (example.com or example.com:8443)"
    if any(character in text for character in "/?#@*\\ ") or (text.count(":") > 1 and not text.startswith("[")):
        raise ValueError(words)
    try:
        url = parse(f"ws://{text}/")
    except CodedError as error:
        raise ValueError(f"{words}: {error.message}") from None
    host = url.host.rstrip(".")
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{url.port}" if ":" in text.rpartition("]")[2] else host


class HostPort(Line, frozen=True):
    """HOST[:PORT]."""

    expected: str = "a host (example.com or example.com:8443)"

    def read(self, raw: object) -> str:
        return read_host(super().read(raw))


class PinnedKeys(Line, frozen=True):
    """Hashes of public keys, as curl writes them; with HOST= or HOST:PORT= before them they are those of one server."""

    expected: str = "sha256//HASH of a public key, or several with ; between them (HOST=sha256//... for one server)"

    def read(self, raw: object) -> str:
        text = super().read(raw)
        place, equals, pins = text.partition("=sha256//")
        host = f"{read_host(place)}=" if equals and "//" not in place else ""
        pins = f"sha256//{pins}" if host else text
        hashes = [part.strip() for part in pins.split(";") if part.strip()]
        if not hashes or not all(re.fullmatch("sha256//[0-9A-Za-z+/]{43}=", part) for part in hashes):
            raise ValueError(f"{shown(raw)} is not {self.expected}")
        return f"{host}{';'.join(hashes)}"


class NetworkOptions(AddressOptions, frozen=True, kw_only=True):
    """From a URL to a connection."""

    insecure: Annotated[
        bool,
        Option(Flag(), LOGIN, "Accept any TLS certificate", ("-k",)),
    ] = False
    http2: Annotated[
        bool,
        Option(Flag(), REQUEST, "Speak HTTP/2 with https servers that choose it"),
    ] = False
    insecure_host: Annotated[
        tuple[str, ...],
        Option(
            Many(HostPort()),
            LOGIN,
            "Accept any TLS certificate of this host",
            metavar="HOST[:PORT]",
        ),
    ] = ()
    cacert: Annotated[
        str | None,
        Option(
            Path("a file of certificates in PEM"),
            LOGIN,
            "Trust the authorities in FILE in place of the system's",
            metavar="FILE",
        ),
    ] = None
    cert: Annotated[
        Secret | None,
        Option(
            FilePassword(),
            LOGIN,
            "Show this certificate to the hosts of the URLs that you give, when asked (or FILE:env:NAME, FILE:@FILE)",
            metavar="FILE[:PASSWORD]",
        ),
    ] = None
    key: Annotated[
        str | None,
        Option(
            Path("a file with a private key in PEM"),
            LOGIN,
            "The private key of --cert, where it is not in the same file",
            metavar="FILE",
        ),
    ] = None
    pinnedpubkey: Annotated[
        tuple[str, ...],
        Option(
            Many(PinnedKeys()),
            LOGIN,
            "Talk to servers (or this one) only if their public key is one of these",
            metavar="[HOST[:PORT]=]sha256//HASH[;...]",
        ),
    ] = ()
    tls_legacy: Annotated[
        bool,
        Option(Flag(), LOGIN, "Talk TLS to servers that know no secure renegotiation (RFC 5746), too"),
    ] = False
    https_only: Annotated[
        bool,
        Option(Flag(), REQUEST, "Do not follow redirects from https to http"),
    ] = False
    allow_private: Annotated[
        bool,
        Option(Flag(), REQUEST, "Let redirects and links lead to private addresses"),
    ] = False
