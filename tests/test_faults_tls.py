"""TLS that goes wrong: handshakes with real servers over loopback; rows 29, 72 and 78-84 of the fault table.

The certificates are made here, each with one thing wrong.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import pytest
import trustme
from certificates import odd_certificate
from cryptography import x509
from cryptography.x509.oid import ExtensionOID
from fault_tools import (
    accepting,
    banner,
    descriptors,
    eventually,
    fetch,
    hang_up,
    hang_up_rudely,
    outcome,
    server_context,
    trusted_authority,
)
from OpenSSL import SSL
from twisted.internet.ssl import DefaultOpenSSLContextFactory

from crawler.fetch.http11.tls import client_context
from crawler.models import Record
from crawler.site import running_site


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Iterator[trustme.CA]:
    with trusted_authority(tmp_path_factory.mktemp("tls")) as authority:
        yield authority


def dated(authority: trustme.CA, *, days_from: int, days_to: int) -> trustme.LeafCert:
    now = datetime.now(UTC)
    return authority.issue_cert(
        "127.0.0.1", not_before=now + timedelta(days=days_from), not_after=now + timedelta(days=days_to)
    )


class OldProtocol(DefaultOpenSSLContextFactory):
    """A server of TLS 1.1 at most."""

    def cacheContext(self) -> None:
        super().cacheContext()
        self._context.set_min_proto_version(SSL.TLS1_VERSION)
        self._context.set_max_proto_version(SSL.TLS1_1_VERSION)
        self._context.set_cipher_list(b"ALL:@SECLEVEL=0")


@pytest.fixture(scope="module")
def handshakes(authority) -> Iterator[dict[str, str]]:
    """URLs of servers whose handshake goes wrong, by the case's name."""
    good = authority.issue_cert("127.0.0.1")
    address = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    star = x509.SubjectAlternativeName([x509.DNSName("*")])
    # An address of five bytes (RFC 5280 knows four and sixteen).
    malformed = x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, b"\x30\x07\x87\x05\x7f\0\0\x01\0")
    contexts = {
        "expired": server_context(dated(authority, days_from=-20, days_to=-10)),
        "not yet valid": server_context(dated(authority, days_from=10, days_to=20)),
        "self-signed": server_context(odd_certificate(address)),
        "unknown authority": server_context(trustme.CA().issue_cert("127.0.0.1")),
        "wrong host": server_context(authority.issue_cert("other.example")),
        "common name only": server_context(authority.issue_cert(common_name="127.0.0.1")),
        "e-mail name only": server_context(authority.issue_cert("someone@127.0.0.1")),
        "no name at all": server_context(odd_certificate(None, authority)),
        "star": server_context(odd_certificate(star, authority)),
        "malformed name": server_context(odd_certificate(malformed, authority)),
        "client certificate": server_context(good),
    }
    wants_certificate = contexts["client certificate"].getContext()
    wants_certificate.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    with good.private_key_pem.tempfile() as key, good.cert_chain_pems[0].tempfile() as certificate:
        contexts["old protocol"] = OldProtocol(key, certificate)
    with ExitStack() as stack:
        urls = {
            name: stack.enter_context(running_site(tls=context)).url("/plain.txt") for name, context in contexts.items()
        }
        urls["good"] = stack.enter_context(running_site(tls=server_context(good))).url("/plain.txt")
        urls["plain HTTP"] = stack.enter_context(running_site()).url("/plain.txt").replace("http:", "https:")
        urls["star for a name"] = urls["star"].replace("127.0.0.1", "localhost")
        urls["noise"] = f"https://127.0.0.1:{stack.enter_context(accepting(banner))}/"
        silent = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        urls["silence"] = f"https://127.0.0.1:{silent.getsockname()[1]}/"
        urls["closed"] = f"https://127.0.0.1:{stack.enter_context(accepting(hang_up))}/"
        urls["reset"] = f"https://127.0.0.1:{stack.enter_context(accepting(hang_up_rudely))}/"
        yield urls


# By name: the row of the fault table, and what becomes of it.
HANDSHAKES = {
    "good": (80, "ok"),  # the certificate names the address
    "expired": (78, "tls_cert_expired"),
    "not yet valid": (78, "tls_cert_not_yet_valid"),
    "self-signed": (78, "tls_cert_self_signed"),
    "unknown authority": (78, "tls_cert_untrusted"),
    "wrong host": (79, "tls_host_mismatch"),
    "common name only": (80, "tls_host_mismatch"),
    "e-mail name only": (80, "tls_host_mismatch"),
    "no name at all": (80, "tls_host_mismatch"),
    "star": (80, "tls_host_mismatch"),
    "star for a name": (80, "tls_host_mismatch"),
    "malformed name": (80, "tls_host_mismatch"),
    "silence": (81, "timeout_tls"),
    "plain HTTP": (82, "tls_protocol"),
    "noise": (82, "tls_protocol"),
    "closed": (83, "tls_handshake"),
    "reset": (83, "tls_handshake"),
    "old protocol": (84, "tls_protocol"),
    "client certificate": (84, "tls_client_cert"),
}


@pytest.fixture(scope="module")
def handshake_records(handshakes) -> dict[str, Record]:
    fetch([handshakes["good"]])
    before = descriptors()
    records = fetch(list(handshakes.values()))
    assert eventually(lambda: descriptors() <= before)
    return dict(zip(handshakes, records, strict=True))


@pytest.mark.parametrize("name", HANDSHAKES)
def test_handshake_gets_its_record(name, handshake_records):
    """Every way for a handshake to go wrong has its code, found in phase tls."""
    record = handshake_records[name]
    _, expected = HANDSHAKES[name]
    assert outcome(record) == expected, record.error
    if record.error is not None:
        assert record.error.phase == "tls"


def test_insecure_takes_any_certificate(handshakes):
    """--insecure fetches whatever the certificate; it does not mend protocols."""
    names = ["expired", "self-signed", "unknown authority", "wrong host", "common name only", "old protocol"]
    records = fetch([handshakes[name] for name in names], insecure=True)
    assert [outcome(record) for record in records] == ["ok"] * 5 + ["tls_protocol"]


def test_weak_keys_are_refused():
    """Level 2 of OpenSSL wants 112 bits of security of every key: no RSA or Diffie-Hellman under 2,048 bits (row 84)."""
    assert client_context().security_level >= 2
    assert client_context(insecure=True).security_level >= 2
