"""Where monitors listen: on a port of this machine, or on a socket file for its owner alone; and, where they are told
to, on an address that other machines reach.
"""

from __future__ import annotations

import socket
import stat
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint, UNIXServerEndpoint
from twisted.internet.interfaces import IListeningPort, IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory
from zope.interface import implementer

from crawler.config.config import ConfigError
from crawler.config.kinds import shown
from crawler.config.options.monitor import loopback

_MODE: Final = 0o600


class Beyond(NamedTuple):
    """An address that other machines reach, the TLS of what goes over it, if any, and the names it goes by there.

    `note` says why others will not take the certificate.
    """

    address: str
    tls: Any = None
    names: Sequence[str] = ()
    note: str = ""

    def takes(self, where: str) -> bool:
        """Whether a monitor that was told to listen there listens here: it names a port alone."""
        return where.isdigit()


def open_beyond(
    address: str, cert: str | None, key: str | None, names: Sequence[str], *, wall: Callable[[], float] = time.time
) -> Beyond:
    """Read the certificate and the key, where there are some; the names of the certificate are added to those given.
    One that is not good now is taken, as a job goes on with it, and noted.

    Raises ConfigError.
    """
    named = [*names]
    tls, note = None, ""
    if cert is not None:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        chain = _read("--monitor-cert", cert, "certificate", x509.load_pem_x509_certificates)
        option = "--monitor-cert" if key is None else "--monitor-key"
        private = _read(option, key or cert, "private key", lambda data: load_pem_private_key(data, None))
        if private.public_key() != chain[0].public_key():
            raise ConfigError(f"{option}: {shown(key or cert)} is not the key of {shown(cert)}")
        tls = _Tls(cert, key or cert)
        named += _names_in(chain[0])
        note = _note(cert, chain[0], datetime.fromtimestamp(wall(), UTC))
    return Beyond(address, tls, list(dict.fromkeys([*named, socket.gethostname().lower()])), note)


def _note(cert: str, certificate: Any, now: datetime) -> str:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if begins <= now <= ends:
        return ""
    when = f"begins on {begins:%Y-%m-%d}" if now < begins else f"ended on {ends:%Y-%m-%d}"
    return f"--monitor-cert: {shown(cert)} is not good now, it {when}: browsers warn of it, and Prometheus refuses it."


@implementer(IOpenSSLServerConnectionCreator)
class _Tls:
    """What OpenSSL needs for connections that come in; TLS 1.2 at least."""

    def __init__(self, cert: str, key: str) -> None:
        if sys.modules.get("OpenSSL", self) is None:
            del sys.modules["OpenSSL"]  # crawler.__main__ keeps it from who needs none
        from OpenSSL import SSL

        context = SSL.Context(SSL.TLS_SERVER_METHOD)
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.use_certificate_chain_file(cert)  # versions of pyOpenSSL agree on files alone
        context.use_privatekey_file(key)
        self._context, self._connect = context, SSL.Connection

    def serverConnectionForTLS(self, tlsProtocol: Any) -> Any:  # noqa: ARG002 - Twisted's signature
        return self._connect(self._context, None)


def _read(option: str, path: str, what: str, load: Callable[[bytes], Any]) -> Any:
    """What is in a file. Raises ConfigError."""
    try:
        return load(Path(path).read_bytes())
    except OSError as error:
        raise ConfigError(f"{option}: cannot read {shown(path)}: {error.strerror or error}") from None
    except TypeError:
        raise ConfigError(f"{option}: {shown(path)} has a password (openssl pkey writes it without)") from None
    except ValueError:
        raise ConfigError(f"{option}: {shown(path)} holds no {what} in PEM") from None


def _names_in(certificate: Any) -> list[str]:
    """The names and addresses for which the certificate is good, but for patterns."""
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return []
    hosts = [name.lower() for name in found.get_values_for_type(x509.DNSName) if "*" not in name]
    addresses = found.get_values_for_type(x509.IPAddress)
    return [*hosts, *(f"[{address}]" if address.version == 6 else str(address) for address in addresses)]


def listen(where: str, factory: Factory, reactor: Any, beyond: Beyond | None = None) -> Deferred[IListeningPort]:
    """Listen on HOST:PORT, or on what is then the path of a socket file; where it is a port alone, and there is an
    address beyond this machine, on that.

    Fails with CannotListenError and OSError; raises ValueError for what is no port of this machine, or in use.
    """
    place = loopback(where)
    endpoint: Any
    served: Any = factory
    if beyond is not None and beyond.takes(where):
        kind = TCP6ServerEndpoint if ":" in beyond.address else TCP4ServerEndpoint
        endpoint = kind(reactor, int(where), interface=beyond.address)
        if beyond.tls is not None:
            from twisted.protocols.tls import TLSMemoryBIOFactory

            served = TLSMemoryBIOFactory(beyond.tls, False, factory, reactor)
    elif place is None:
        _remove_stale(Path(where))
        endpoint = UNIXServerEndpoint(reactor, where, mode=_MODE)
    else:
        kind = TCP6ServerEndpoint if ":" in place.host else TCP4ServerEndpoint
        endpoint = kind(reactor, place.port, interface=place.host)
    listening: Deferred[IListeningPort] = endpoint.listen(served)
    return listening


def needs_token(where: str) -> bool:
    """Whether who may connect is not told by the mode of a file."""
    return loopback(where) is not None


def _remove_stale(path: Path) -> None:
    """Take away the socket that a killed run has left. Raises ValueError when it is in use, or no socket."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ValueError(f"{path} exists and is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        else:
            raise ValueError(f"{path} is the console of a run that goes on")
