"""tls.py: real handshakes in memory with a server of the standard library's ssl; rows 29 and 78-84 of the fault table."""

from __future__ import annotations

import contextlib
import ssl
import warnings
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from ipaddress import IPv4Address
from typing import Any

import trustme
from certificates import odd_certificate
from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from http11_fakes import FIN, RST, Exchange, FakeOwner, FakeTransport, connected, lost, outcome_of
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionAborted
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone

from crawler.errors import CodedError
from crawler.fetch.http11.connection import Connection
from crawler.fetch.http11.envelope import Key
from crawler.fetch.http11.tls import HTTP2, HTTP11, Context, LateContext, TLSLayer, client_context

HOST = "www.a.example"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
OK = b"HTTP/1.1 200 OK\r\n"
UNFRAMED = b"HTTP/1.1 200 OK\r\n\r\nhello"


@cache
def authority() -> trustme.CA:
    """The one that the client trusts."""
    return trustme.CA()


def trusting_context(*, insecure: bool, checks_host: bool, protocols: Sequence[str] = HTTP11) -> ssl.SSLContext:
    context = client_context(insecure=insecure, checks_host=checks_host, protocols=protocols)
    authority().configure_trust(context)
    return context


@cache
def trusting(*, insecure: bool = False) -> Context:
    """The client's policy, with our authority in the place of the system's."""
    return LateContext(insecure=insecure, make=trusting_context)


def serving(certificate: trustme.LeafCert, newest: ssl.TLSVersion | None = None) -> ssl.SSLContext:
    """A server's context that offers nothing newer than this."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    if newest is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.maximum_version = newest
    return context


def issued(*names: str, days: tuple[int, int] = (-1, 1), **options: Any) -> trustme.LeafCert:
    """A certificate of the trusted authority, valid from and to these days from now."""
    now = datetime.now(UTC)
    dates = {"not_before": now + timedelta(days=days[0]), "not_after": now + timedelta(days=days[1])}
    return authority().issue_cert(*names, **dates, **options)


@cache
def good() -> trustme.LeafCert:
    return issued(HOST)


def odd(extension: x509.ExtensionType | None, *, self_signed: bool = False) -> trustme.LeafCert:
    """A certificate with a subject alternative name that trustme would refuse to write, or with none."""
    return odd_certificate(extension, None if self_signed else authority(), common_name=HOST)


def names(*alternatives: x509.GeneralName) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(alternatives)


def raw_names(der: bytes) -> x509.UnrecognizedExtension:
    """A subject alternative name of any bytes."""
    return x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, der)


class Peer:
    """A TLS server in memory and the client's layer that talks to it. `segment` is how many bytes come at a time."""

    def __init__(
        self,
        server: ssl.SSLContext,
        *,
        host: str = HOST,
        client: Context | None = None,
        segment: int | None = None,
        http2: Callable[[], Any] | None = None,
    ) -> None:
        self.segment = segment
        self.received = b""
        self.error: ssl.SSLError | None = None
        self.owner = FakeOwner()
        self.connection = Connection(Key("https", host, 443, False), self.owner, lambda: 0.0)
        self.layer = TLSLayer(self.connection, client or trusting(), host, http2)
        self.transport = FakeTransport()
        self.ready = outcome_of(self.layer.ready)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.tls = server.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._shaking_hands = True
        self.layer.makeConnection(self.transport)  # type: ignore[arg-type]

    def pump(self) -> None:
        """Carry bytes to and fro until nobody has anything to say."""
        while True:
            written, self.transport.written = self.transport.written, b""
            self._incoming.write(written)
            self._step()
            sent = self._outgoing.read()
            if not written and not sent:
                return
            self.give(sent)

    def give(self, data: bytes) -> None:
        """Bytes arrive at the client."""
        size = self.segment or len(data) or 1
        for start in range(0, len(data), size):
            if not self.transport.aborted:
                self.layer.dataReceived(data[start : start + size])

    def send(self, data: bytes) -> None:
        self.tls.write(data)
        self.pump()

    def _step(self) -> None:
        try:
            if self._shaking_hands:
                self.tls.do_handshake()
                self._shaking_hands = False
            while True:
                self.received += self.tls.read(65536)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.error = self.error or error

    def goodbye(self) -> None:
        """Send close_notify."""
        with contextlib.suppress(ssl.SSLWantReadError):  # it waits for the client's, in vain
            self.tls.unwrap()
        self.pump()

    @property
    def code(self) -> str | None:
        """The code with which the handshake failed."""
        result = self.ready[0] if self.ready else None
        return result.code if isinstance(result, CodedError) else None


def handshake(server: ssl.SSLContext, **options: Any) -> Peer:
    peer = Peer(server, **options)
    peer.pump()
    return peer


class CertificateTests(SynchronousTestCase):
    """Whose certificate is taken. It fails closed: what is not a plain match is a mismatch."""

    def check(self, certificate: trustme.LeafCert, code: str | None, host: str = HOST) -> None:
        peer = handshake(serving(certificate), host=host)
        if code is None:
            self.assertEqual(peer.ready, [peer.connection])
            self.assertFalse(peer.transport.aborted)
            return
        self.assertEqual(peer.code, code)
        self.assertEqual(peer.ready[0].phase, "tls")
        self.assertIn(host, peer.ready[0].message)
        self.assertTrue(peer.transport.aborted)

    def test_good(self) -> None:
        """A name in subjectAltName, or one below a wildcard of one label; the host's root dot does not count."""
        self.check(issued(HOST), None)
        self.check(issued("other.example", HOST), None)
        self.check(issued("*.a.example"), None)
        self.check(issued(HOST), None, HOST + ".")
        self.check(issued(HOST.upper()), None)

    def test_addresses(self) -> None:
        """A host that is an address needs an address in the certificate; a name of the same letters is none."""
        self.check(issued("192.0.2.1"), None, "192.0.2.1")
        self.check(issued("2001:db8::1"), None, "2001:db8::1")
        self.check(issued("192.0.2.2"), "tls_host_mismatch", "192.0.2.1")
        self.check(odd(names(x509.DNSName("192.0.2.1"))), "tls_host_mismatch", "192.0.2.1")
        self.check(issued(HOST), "tls_host_mismatch", "192.0.2.1")
        self.check(issued("192.0.2.1"), "tls_host_mismatch", HOST)

    def test_wrong_host(self) -> None:
        """Row 79: another name, one below it or above it, a wildcard that would have to span two labels."""
        for name in ("other.example", "a.example", "x.www.a.example", "*.example", "*.www.a.example"):
            self.check(issued(name), "tls_host_mismatch")

    def test_no_usable_name(self) -> None:
        """Row 80: no subjectAltName (whatever the common name), `*`, an e-mail address or a URI, an empty one."""
        self.check(odd(None), "tls_host_mismatch")
        for name in (
            x509.DNSName("*"),
            x509.DNSName("w*.a.example"),
            x509.DNSName("*w.a.example"),
            x509.RFC822Name(f"someone@{HOST}"),
            x509.UniformResourceIdentifier(f"https://{HOST}/"),
            x509.IPAddress(IPv4Address("192.0.2.1")),
        ):
            self.check(odd(names(name)), "tls_host_mismatch")
        self.check(odd(raw_names(b"\x30\x00")), "tls_host_mismatch")

    def test_an_underscore(self) -> None:
        """In the first label of a host it is a character as any other, as for browsers; nothing else is taken."""
        host = "foo_bar.wild.example"
        for name in ("*.wild.example", "*.WILD.example", host, "Foo_Bar.wild.example"):
            self.check(odd(names(x509.DNSName(name))), None, host)
        self.check(odd(names(x509.DNSName("*.wild.example"))), None, host + ".")
        for name in (
            "*", "*.example", "*.*.example", "wild.example", "*.a.wild.example", "foo*.wild.example", "*bar.wild.example",
            "fooxbar.wild.example", "foo_bar.wild", "*.wild.example.", "foo_bar.*.example", "*.other.example", HOST,
        ):  # fmt: skip
            self.check(odd(names(x509.DNSName(name))), "tls_host_mismatch", host)
        self.check(odd(names(x509.DNSName("*.example"))), "tls_host_mismatch", "foo_bar.example.")
        self.check(odd(names(x509.DNSName("*.example"))), "tls_host_mismatch", "a_b.c.example")
        self.check(odd(names(x509.DNSName("*.wild.example"))), "tls_host_mismatch", "xn--a_b.wild.example")
        self.check(odd(names(x509.RFC822Name(f"x@{host}"))), "tls_host_mismatch", host)
        self.check(odd(None), "tls_host_mismatch", host)
        raw = b"*.wild.example\0.evil.example"
        self.check(odd(raw_names(bytes([0x30, len(raw) + 2, 0x82, len(raw)]) + raw)), "tls_host_mismatch", host)

    def test_an_underscore_loosens_nothing_else(self) -> None:
        """Chain and dates are checked, and nothing was sent when a name does not match."""
        host = "foo_bar.wild.example"
        self.check(issued("*.wild.example", days=(-20, -10)), "tls_cert_expired", host)
        self.check(trustme.CA().issue_cert("*.wild.example"), "tls_cert_untrusted", host)
        refused = handshake(serving(issued(HOST)), host=host)
        self.assertEqual((refused.code, refused.received), ("tls_host_mismatch", b""))
        self.assertEqual(handshake(serving(good()), host=host, client=trusting(insecure=True)).code, None)

    def test_malformed_name(self) -> None:
        """Row 80: a name that ends at a NUL for some readers."""
        name = HOST.encode() + b"\0.evil.example"
        self.check(odd(raw_names(bytes([0x30, len(name) + 2, 0x82, len(name)]) + name)), "tls_host_mismatch")

    def test_dates(self) -> None:
        """Row 78."""
        self.check(issued(HOST, days=(-20, -10)), "tls_cert_expired")
        self.check(issued(HOST, days=(10, 20)), "tls_cert_not_yet_valid")

    def test_issuers(self) -> None:
        """Row 78: nobody, or somebody we do not know."""
        self.check(odd(names(x509.DNSName(HOST)), self_signed=True), "tls_cert_self_signed")
        self.check(trustme.CA().issue_cert(HOST), "tls_cert_untrusted")

    def test_missing_intermediate(self) -> None:
        """A chain with a gap is not trusted, one without is."""
        middle = authority().create_child_ca()
        self.check(middle.issue_cert(HOST), None)
        whole = middle.issue_cert(HOST)
        gap = trustme.LeafCert(whole.private_key_pem.bytes(), whole.cert_chain_pems[0].bytes(), [])
        self.check(gap, "tls_cert_untrusted")

    def test_server_is_told(self) -> None:
        """The alert that says why reaches the server before the socket is closed."""
        peer = Peer(serving(trustme.CA().issue_cert(HOST)))
        peer.pump()
        assert peer.error is not None
        self.assertIn("UNKNOWN_CA", str(peer.error.reason))

    def test_insecure_takes_any_certificate(self) -> None:
        """But it still wants TLS 1.2."""
        for certificate in (
            issued(HOST, days=(-20, -10)),
            issued("other.example"),
            odd(None),
            odd(names(x509.DNSName(HOST)), self_signed=True),
            trustme.CA().issue_cert(HOST),
        ):
            peer = handshake(serving(certificate), client=trusting(insecure=True))
            self.assertEqual(peer.ready, [peer.connection])
        old = handshake(serving(good(), ssl.TLSVersion.TLSv1_1), client=trusting(insecure=True))
        self.assertEqual(old.code, "tls_protocol")


class LateContextTests(SynchronousTestCase):
    def test_made_when_it_is_needed(self) -> None:
        """A run without https never reads the authorities, one with https reads them once."""
        made: list[bool] = []

        def make(*, insecure: bool, checks_host: bool) -> ssl.SSLContext:
            made.append(insecure)
            return trusting_context(insecure=insecure, checks_host=checks_host)

        late = LateContext(insecure=True, make=make)
        self.assertEqual(made, [])
        for _ in range(2):
            peer = handshake(serving(trustme.CA().issue_cert("other.example")), client=late)
            self.assertEqual(peer.ready, [peer.connection])
        self.assertEqual(made, [True])


class HandshakeTests(SynchronousTestCase):
    """How the connection is agreed upon, or not."""

    def test_versions(self) -> None:
        """TLS 1.3 and 1.2 are spoken, 1.1 and older are not (row 84)."""
        for newest, version in ((ssl.TLSVersion.TLSv1_3, "TLSv1.3"), (ssl.TLSVersion.TLSv1_2, "TLSv1.2")):
            peer = handshake(serving(good(), newest))
            self.assertEqual((peer.ready, peer.tls.version()), ([peer.connection], version))
        self.assertEqual(handshake(serving(good(), ssl.TLSVersion.TLSv1_1)).code, "tls_protocol")

    def test_alpn(self) -> None:
        """We ask for HTTP/1.1, and get it from a server that would rather speak HTTP/2."""
        self.assertEqual(handshake(serving(good())).tls.selected_alpn_protocol(), "http/1.1")

    def test_alpn_with_http2(self) -> None:
        """Where both are offered the server chooses, and what speaks its choice is put on the layer."""
        for theirs, chosen in ((["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), ([], None)):
            server = serving(good())
            server.set_alpn_protocols(theirs)
            many, _ = connected()
            client = LateContext(make=partial(trusting_context, protocols=HTTP2))
            peer = Peer(server, client=client, http2=lambda many=many: many)
            peer.pump()
            self.assertEqual(peer.tls.selected_alpn_protocol(), chosen)
            self.assertEqual(peer.ready, [many if chosen == "h2" else peer.connection])
            Exchange(peer.ready[0])
            peer.pump()
            self.assertIn(b"HTTP/1.1", peer.received)

    def test_server_name(self) -> None:
        """The host is named without its root dot; an address is not named (RFC 6066 section 3)."""
        for host, expected in ((HOST, HOST), (HOST + ".", HOST), ("192.0.2.1", None)):
            asked: list[str | None] = []
            context = serving(issued(HOST, "192.0.2.1"))
            context.sni_callback = lambda tls, name, _, asked=asked: asked.append(name)  # type: ignore[misc, assignment]
            handshake(context, host=host)
            self.assertEqual(asked, [expected])

    def test_byte_by_byte(self) -> None:
        """However the bytes are cut, for both versions, and with the answer in the same stream."""
        for newest in (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2):
            for segment in (1, 2, 7, 100):
                peer = handshake(serving(good(), newest), segment=segment)
                exchange = Exchange(peer.connection)
                peer.pump()
                self.assertEqual(peer.received, exchange.envelope.head)
                peer.send(PLAIN)
                self.assertEqual((exchange.body.data, exchange.code), (b"hello", None))

    def test_answer_with_the_last_bytes_of_the_handshake(self) -> None:
        """What a server sends behind its Finished is read at once: here it is out of turn."""
        peer = Peer(serving(good(), ssl.TLSVersion.TLSv1_2))
        flights: list[bytes] = []
        peer.give = flights.append  # type: ignore[method-assign]
        peer.pump()
        while not peer.ready:
            data, flights[:] = b"".join(flights), []
            if not peer._shaking_hands:
                peer.tls.write(PLAIN)
                data += peer._outgoing.read()
            Peer.give(peer, data)
            peer.pump()
        self.assertEqual(peer.ready, [peer.connection])
        self.assertEqual(Exchange(peer.connection).code, "http_desync")

    def test_plain_http_and_other_noise(self) -> None:
        """Row 82: a server that does not speak TLS."""
        for data in (
            b"HTTP/1.1 400 Bad Request\r\n\r\n",
            b"SSH-2.0-OpenSSH_9.2\r\n",
            bytes(64),
            b"\x16\x03\x01\xff\xff" * 9,
        ):
            peer = Peer(serving(good()))
            peer.give(data)
            self.assertEqual(peer.code, "tls_protocol", data)
            self.assertTrue(peer.transport.aborted)
            peer.layer.connectionLost(lost(ConnectionAborted))

    def test_end_in_the_handshake(self) -> None:
        """Row 83: closed or reset before the first byte, within and between the server's messages."""
        for reason in (FIN, RST):
            for part in (0, 3, 50, 500):
                peer = Peer(serving(good()))
                peer._incoming.write(peer.transport.written)
                peer._step()
                peer.give(peer._outgoing.read()[:part])
                self.assertEqual(peer.ready, [])
                peer.layer.connectionLost(lost(reason))
                self.assertEqual(peer.code, "tls_handshake")

    def test_fatal_alert(self) -> None:
        """A server that cannot agree says so, and that is definitive (row 84)."""
        context = serving(good(), ssl.TLSVersion.TLSv1_2)
        context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")  # the certificate has an elliptic key: none in common
        self.assertEqual(handshake(context).code, "tls_protocol")

    def test_client_certificate_wanted(self) -> None:
        """Row 84: TLS 1.2 says so in the handshake, TLS 1.3 in place of the answer."""
        for newest, codes in (
            (ssl.TLSVersion.TLSv1_2, {"tls_protocol", "tls_client_cert"}),
            (ssl.TLSVersion.TLSv1_3, {"tls_client_cert"}),
        ):
            context = serving(good(), newest)
            context.verify_mode = ssl.CERT_REQUIRED
            authority().configure_trust(context)
            peer = Peer(context)
            exchanges: list[Exchange] = []

            def ask(connection: Connection | None, exchanges: list[Exchange] = exchanges) -> None:
                if connection is not None:
                    exchanges.append(Exchange(connection))

            peer.layer.ready.addCallback(ask)
            peer.pump()
            code = exchanges[0].code if exchanges else peer.code
            self.assertIn(code, codes)
            self.assertTrue(peer.transport.aborted)

    def test_silence(self) -> None:
        """Row 81: nothing happens until whoever keeps the time cancels; that closes the socket, and nothing is left."""
        for part in (0, 50):
            peer = Peer(serving(good()))
            peer._incoming.write(peer.transport.written)
            peer._step()
            peer.give(peer._outgoing.read()[:part])
            self.assertEqual(peer.ready, [])
            peer.layer.ready.cancel()
            self.assertIsInstance(peer.ready[0], CancelledError)
            self.assertTrue(peer.transport.aborted)
            peer.layer.connectionLost(lost(ConnectionAborted))
            self.assertEqual(peer.owner.lost, [])


class DataTests(SynchronousTestCase):
    """What goes through the layer."""

    def setUp(self) -> None:
        self.peer = handshake(serving(good()))

    def test_large_body(self) -> None:
        """Megabytes arrive as they were sent, in records of any size."""
        body = bytes(range(256)) * 12_000
        exchange = Exchange(self.peer.connection)
        self.peer.pump()
        self.peer.segment = 10_007
        self.peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        self.assertEqual(exchange.body.data, body)
        self.assertIsInstance(exchange.body.why, ResponseDone)

    def test_large_request(self) -> None:
        """Megabytes of ours reach the server whole, in order, in as many records as it takes."""
        data = bytes(range(256)) * 12_000
        self.peer.layer.write(data)
        self.peer.layer.write(b"the end")
        self.peer.pump()
        self.assertEqual(self.peer.received, data + b"the end")

    def test_many_exchanges(self) -> None:
        """The connection is reused as a plain one is."""
        for _ in range(3):
            exchange = Exchange(self.peer.connection)
            self.peer.pump()
            self.peer.send(PLAIN)
            self.assertEqual((exchange.body.data, exchange.code), (b"hello", None))
        self.assertEqual(len(self.peer.owner.free), 3)

    def test_end_with_close_notify(self) -> None:
        """A body without a length that ends so has ended (row 30)."""
        exchange = Exchange(self.peer.connection)
        self.peer.pump()
        self.peer.send(UNFRAMED)
        self.peer.goodbye()
        self.assertEqual((exchange.body.data, exchange.code), (b"hello", None))
        self.assertIsInstance(exchange.body.why, ResponseDone)
        self.assertTrue(self.peer.transport.aborted)

    def test_end_without_close_notify(self) -> None:
        """A body that only the end frames is kept, with a warning that it may be cut; a reset always cuts (row 29)."""
        cases: tuple[tuple[bytes, type[Exception], str | None, list[str]], ...] = (
            (UNFRAMED, FIN, None, ["no_close_notify"]),
            (UNFRAMED, RST, "body_truncated", []),
            (OK + b"Content-Length: 9\r\n\r\nhello", FIN, "body_truncated", []),
            (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", FIN, "body_truncated", []),
        )
        for answer, reason, code, told in cases:
            self.setUp()
            exchange = Exchange(self.peer.connection)
            self.peer.pump()
            self.peer.send(answer)
            self.peer.layer.connectionLost(lost(reason))
            assert exchange.response is not None
            self.assertEqual((exchange.body.data, exchange.code), (b"hello", code), answer)
            self.assertEqual(exchange.response.warnings, told, answer)

    def test_end_before_the_answer(self) -> None:
        """A goodbye is an empty reply, a cut a reset (rows 18 and 19)."""
        for end, code in ((self.goodbye, "empty_reply"), (self.cut, "conn_reset")):
            self.setUp()
            exchange = Exchange(self.peer.connection)
            self.peer.pump()
            end()
            self.assertEqual(exchange.code, code)

    def goodbye(self) -> None:
        self.peer.goodbye()

    def cut(self) -> None:
        self.peer.layer.connectionLost(lost(FIN))

    def test_end_with_the_answer(self) -> None:
        """A body and the goodbye in one segment: first the one, then the other."""
        exchange = Exchange(self.peer.connection)
        self.peer.pump()
        self.peer.tls.write(PLAIN[:-1])
        self.peer.goodbye()
        self.assertEqual((exchange.body.data, exchange.code), (b"hell", "body_truncated"))

    def test_goodbye_while_idle(self) -> None:
        """The pool hears of it."""
        exchange = Exchange(self.peer.connection)
        self.peer.pump()
        self.peer.send(PLAIN)
        self.assertIsNone(exchange.code)
        self.peer.goodbye()
        self.assertEqual(self.peer.owner.lost, [self.peer.connection])
        self.assertFalse(self.peer.connection.usable)

    def test_forged_record(self) -> None:
        """Bytes that do not authenticate end the connection; what came before them is kept, and marked as cut."""
        exchange = Exchange(self.peer.connection)
        self.peer.pump()
        self.peer.send(UNFRAMED)
        self.peer.give(b"\x17\x03\x03\x00\x20" + bytes(32))
        self.assertEqual((exchange.body.data, exchange.code), (b"hello", "body_truncated"))
        self.assertTrue(self.peer.transport.aborted)
        self.peer.layer.connectionLost(lost(ConnectionAborted))

    def test_abort(self) -> None:
        """Giving the exchange up closes the socket below; what arrives then is nobody's."""
        exchange = Exchange(self.peer.connection)
        self.peer.pump()
        self.peer.send(PLAIN[:-1])
        assert exchange.response is not None
        exchange.response.abort()
        self.assertTrue(self.peer.transport.aborted)
        self.peer.tls.write(b"o" * 100)
        self.peer.layer.dataReceived(self.peer._outgoing.read())
        self.peer.layer.connectionLost(lost(ConnectionAborted))
        self.assertEqual((exchange.body.data, exchange.body.why), (b"hell", None))
        self.assertEqual(self.peer.owner.lost, [self.peer.connection])

    def test_back_pressure(self) -> None:
        """Pausing the body pauses the socket."""
        exchange = Exchange(self.peer.connection)
        self.peer.pump()
        self.peer.send(PLAIN[:-1])
        assert exchange.response is not None
        exchange.response.pauseProducing()
        self.assertFalse(self.peer.transport.reading)
        exchange.response.resumeProducing()
        self.assertTrue(self.peer.transport.reading)

    def test_a_bug_of_the_consumer_is_called_one(self) -> None:
        """What it raises closes the socket; the layer does not pass it off as a cut."""
        exchange = Exchange(self.peer.connection)
        self.peer.pump()

        def bug(_: bytes) -> None:
            raise ZeroDivisionError

        exchange.body.dataReceived = bug  # type: ignore[method-assign]
        with self.assertRaises(ZeroDivisionError):
            self.peer.send(PLAIN)
        self.peer.layer.connectionLost(Failure(ZeroDivisionError()))
        self.assertEqual(exchange.code, "internal")
