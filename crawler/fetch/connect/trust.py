"""Whom TLS trusts beside the standard, and what it shows of us: authorities, public keys, a client's certificate."""

from __future__ import annotations

import base64
import binascii
import hashlib
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

_NO_PINS: Final[frozenset[bytes]] = frozenset()
_PIN: Final = "sha256//"
Shown = Callable[[str, int, str], None]


@dataclass(frozen=True, slots=True)
class Certificate:
    """Ours: a file in PEM with the certificate and, unless `key` names it, the private key."""

    file: str
    key: str | None = None
    password: str = field(default="", repr=False)

    def load(self, context: ssl.SSLContext) -> None:
        """Have it shown to who asks for it. Raises OSError, of which ssl.SSLError is one."""
        # With a function OpenSSL does not ask on the terminal.
        context.load_cert_chain(self.file, self.key, password=lambda: self.password)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What holds for one server or another, all functions of host and port.

    `insecure_at`: any certificate is taken. `pins_at`: the public key must be one of these (SHA-256 of the
    SubjectPublicKeyInfo), if there are any, whatever certificate it comes in. `shown_to`: who gets to see our
    `certificate`. `authorities` is a file in place of the system's. `legacy` talks to servers that know no secure
    renegotiation (RFC 5746): somebody in between could put words before ours. `shown` hears of each certificate that
    was checked: host, port, and when it ends.
    """

    insecure_at: Callable[[str, int], bool] = lambda *_: False
    pins_at: Callable[[str, int], frozenset[bytes]] = lambda *_: _NO_PINS
    shown_to: Callable[[str, int], bool] = lambda *_: True
    certificate: Certificate | None = None
    authorities: str | None = None
    legacy: bool = False
    shown: Shown | None = None


def read_pins(text: str) -> frozenset[bytes]:
    """Read "sha256//BASE64;sha256//BASE64", as curl has it. Raises ValueError."""
    return frozenset(map(_read_pin, filter(None, (part.strip() for part in text.split(";")))))


def _read_pin(text: str) -> bytes:
    try:
        digest = base64.b64decode(text.removeprefix(_PIN), validate=True)
    except binascii.Error:
        digest = b""
    if not text.startswith(_PIN) or len(digest) != hashlib.sha256().digest_size:
        raise ValueError("not the SHA-256 of a public key")
    return digest


def pin_of(certificate: bytes) -> bytes:
    """The SHA-256 of the public key in a certificate (DER). Raises ValueError for one that cannot be read."""
    from cryptography import x509  # 50 ms that only who pins waits for
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = x509.load_der_x509_certificate(certificate).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()


def insecure_hosts(names: Iterable[str]) -> Callable[[str, int], bool]:
    """Whether a server is among these: "host", whatever its port, or "host:port"."""
    known = frozenset(names)
    return lambda host, port: not known.isdisjoint(places(host, port))


def places(host: str, port: int) -> tuple[str, str]:
    """As a server may be named: with its port and without."""
    name = f"[{host}]" if ":" in host else host
    return f"{name}:{port}", name
