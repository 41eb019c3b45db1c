"""TLS over any Twisted transport with the standard library's ssl: one path for every reactor, fail-closed.

OpenSSL itself checks the chain and the host name (X509_VERIFY_PARAM_set1_host); a certificate without a matching
subject alternative name is refused. The handshake's reason for failing reaches us as a number, not as a sentence.

One kind of host is left to us: OpenSSL lets no `*` stand for a label with an underscore ("foo_bar.a.example"), browsers
do. For those alone the chain is checked by OpenSSL, and the name here, before anything is sent.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple
from typing import Protocol as Interface

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from crawler.errors import CodedError, from_tls
from crawler.fetch.connect.trust import Certificate, Policy, Shown, pin_of
from crawler.fetch.http11.connection import Carrier, NoCloseNotify

HTTP11: Final = ("http/1.1",)
HTTP2: Final = ("h2", "http/1.1")
_LEGACY_SERVER_CONNECT: Final = 0x4  # ssl.OP_LEGACY_SERVER_CONNECT has its name since Python 3.12
_READ_SIZE: Final = 16 * 1024  # what a record may hold (RFC 8446 section 5.1): more is only allocated, 11 us a time


def client_context(
    *,
    insecure: bool = False,
    checks_host: bool = True,
    protocols: Sequence[str] = HTTP11,
    authorities: str | None = None,
    certificate: Certificate | None = None,
    legacy: bool = False,
) -> ssl.SSLContext:
    """The policy: TLS 1.2 or later, the system's authorities, host names by subjectAltName only.

    `insecure` accepts any certificate. Without `checks_host` a TLSLayer checks the name by itself. `protocols` are
    offered by ALPN (RFC 7301), the best first. For the others see Policy.
    """
    context = ssl.create_default_context(cafile=authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.hostname_checks_common_name = False
    context.set_alpn_protocols(list(protocols))
    context.check_hostname = checks_host
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if certificate is not None:
        certificate.load(context)
    if legacy:
        context.options |= _LEGACY_SERVER_CONNECT
    return context


class Context(Interface):
    """What the layer asks of an ssl.SSLContext."""

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *, server_hostname: str) -> ssl.SSLObject: ...


class Terms(NamedTuple):
    """On which a server is talked to: with this context, and one of these public keys, if there are any."""

    context: Context
    pins: frozenset[bytes] = frozenset()
    shown: Shown | None = None


class LateContext:
    """`make`, called when the first connection needs it: to read the authorities takes 40 ms.

    There is one context for all servers of which the `policy` has the same to say.
    """

    def __init__(
        self,
        *,
        insecure: bool = False,
        policy: Policy | None = None,
        make: Callable[..., ssl.SSLContext] = client_context,
    ) -> None:
        self._insecure = insecure
        self._policy = policy
        self._make = make
        self._contexts: dict[tuple[bool, bool, bool], ssl.SSLContext] = {}

    def at(self, host: str, port: int) -> Terms:
        """What holds for a server."""
        policy = self._policy
        checks_host = "_" not in host.partition(".")[0]
        if policy is None:
            return Terms(self._context(self._insecure, checks_host, shows=False))
        insecure = self._insecure or policy.insecure_at(host, port)
        shows = policy.certificate is not None and policy.shown_to(host, port)
        return Terms(self._context(insecure, checks_host, shows=shows), policy.pins_at(host, port), policy.shown)

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *, server_hostname: str) -> ssl.SSLObject:
        return self.at(server_hostname, 443).context.wrap_bio(incoming, outgoing, server_hostname=server_hostname)

    def _context(self, insecure: bool, checks_host: bool, *, shows: bool) -> ssl.SSLContext:
        context = self._contexts.get((insecure, checks_host, shows))
        if context is None:
            policy, more = self._policy, {}
            if policy is not None:
                certificate = policy.certificate if shows else None
                more = {"authorities": policy.authorities, "certificate": certificate, "legacy": policy.legacy}
            context = self._make(insecure=insecure, checks_host=checks_host, **more)
            self._contexts[insecure, checks_host, shows] = context
        return context


class TLSLayer(Protocol):
    """The Protocol on the raw transport and the transport of the Connection above it.

    `ready` fires with the Connection after the handshake, or fails with a CodedError of phase tls. Where the server
    chose h2 it is the one that `http2` makes. A connection cut
    without close_notify is reported upwards as NoCloseNotify: a body without a length may have been truncated
    (RFC 8446 section 6.1).
    """

    def __init__(
        self,
        connection: Carrier,
        context: Context,
        host: str,
        http2: Callable[[], Carrier] | None = None,
        *,
        port: int = 443,
    ) -> None:
        self.ready: Deferred[Carrier] = Deferred(lambda _: self.abort())
        self._above: Carrier | None = connection
        self._http2 = http2
        self._host = host
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        name = host.rstrip(".")
        terms = context.at(name, port) if isinstance(context, LateContext) else Terms(context)
        self._pins = terms.pins
        self._port = port
        self._shown = terms.shown
        self._tls = terms.context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self._handshaking = True

    # Protocol, from below.

    def connectionMade(self) -> None:
        self._shake_hands()

    def dataReceived(self, data: bytes) -> None:
        self._incoming.write(data)
        if self._handshaking:
            self._shake_hands()
            if self._handshaking or not self._incoming.pending:
                return
        self._read()

    def connectionLost(self, reason: Failure = Failure(ConnectionDone())) -> None:  # noqa: B008 - Twisted's signature
        if self._handshaking:
            self._refuse(CodedError("tls_handshake", f"{self._host}: {reason.getErrorMessage()}"))
        elif reason.check(ConnectionDone):
            self._end(Failure(NoCloseNotify("ended without close_notify")))
        elif reason.check(ConnectionLost):
            self._end(Failure(ConnectionLost("cut without close_notify")))
        else:  # a bug met while reading
            self._end(reason)

    def _shake_hands(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except (ssl.SSLError, ssl.CertificateError) as error:
            self._flush()  # the alert that tells the server why
            self._refuse(from_tls(error, self._host))
            return
        self._flush()
        if not self._is_for_host():
            self._refuse(CodedError("tls_host_mismatch", f"{self._host}: the certificate is for other names"))
            return
        if self._pins and not self._has_pinned_key():
            words = f"{self._host}: the server's public key is not one of --pinnedpubkey"
            self._refuse(CodedError("tls_pinned_key", words))
            return
        self._handshaking = False
        if self._shown is not None:
            certificate: Mapping[str, Any] = self._tls.getpeercert() or {}
            self._shown(self._host, self._port, str(certificate.get("notAfter", "")))
        connection = self._above
        if connection is not None:
            if self._http2 is not None and self._tls.selected_alpn_protocol() == "h2":
                connection = self._above = self._http2()
            connection.makeConnection(self)
            self.ready.callback(connection)

    def _is_for_host(self) -> bool:
        """Whether the certificate is for our host, where OpenSSL was not asked."""
        context = self._tls.context
        if context.check_hostname or context.verify_mode == ssl.CERT_NONE:
            return True
        return _names_host(self._tls.getpeercert() or {}, self._host.rstrip(".").lower())

    def _has_pinned_key(self) -> bool:
        """Whether the server's certificate has one of the keys that it must have; also where any one is taken."""
        try:
            return pin_of(self._tls.getpeercert(binary_form=True) or b"") in self._pins
        except ValueError:
            return False

    def _refuse(self, error: CodedError) -> None:
        self._handshaking = False
        self._above = None
        self._raw.abortConnection()
        if not self.ready.called:
            self.ready.errback(Failure(error))

    def _read(self) -> None:
        pieces: list[bytes] = []
        ended: Failure | None = None
        while True:
            try:
                piece = self._tls.read(_READ_SIZE)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:
                ended = Failure(from_tls(error, self._host))
                break
            if not piece:
                ended = Failure(ConnectionDone("close_notify"))
                break
            pieces.append(piece)
            if not self._incoming.pending and not self._tls.pending():
                break  # spares the exception that says so
        if self._outgoing.pending:
            self._flush()
        above = self._above
        if above is not None and pieces:
            above.dataReceived(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if ended is not None:
            self._end(ended)
            self._raw.abortConnection()

    def _end(self, reason: Failure) -> None:
        above, self._above = self._above, None
        if above is not None:
            above.connectionLost(reason)

    def _flush(self) -> None:
        data = self._outgoing.read()
        if data:
            self._raw.write(data)

    @property
    def _raw(self) -> Any:
        return self.transport

    # Transport, from above.

    def write(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    def abort(self) -> None:
        """Close the socket now; nobody is told."""
        self._above = None
        self._handshaking = False
        self._raw.abortConnection()

    abortConnection = loseConnection = abort

    def pauseProducing(self) -> None:
        self._raw.pauseProducing()

    def resumeProducing(self) -> None:
        self._raw.resumeProducing()

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """What is written here is written there at once, sealed: it has the same buffer."""
        self._raw.registerProducer(producer, streaming)

    def unregisterProducer(self) -> None:
        self._raw.unregisterProducer()


def _names_host(certificate: Mapping[str, Any], host: str) -> bool:
    """RFC 9525 section 6.3: the whole name, or `*` for its first label; never `*.example`."""
    label, _, parent = host.partition(".")
    names = [name.lower() for kind, name in certificate.get("subjectAltName", ()) if kind == "DNS" and name.isascii()]
    return host in names or ("." in parent and not label.startswith("xn--") and f"*.{parent}" in names)
