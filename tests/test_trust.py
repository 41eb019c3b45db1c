"""Whom TLS trusts and what it shows: nginx and its certificates over loopback, each option with what it opens."""

from __future__ import annotations

import base64
import hashlib
import socket
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from fault_tools import accepting, fetch, outcome
from real_peers import Peer, authority, nginx

from crawler.config.config import ConfigError
from crawler.models import Record

PASSWORD = "hunter2"


def pin(certificate: Path) -> str:
    """As `openssl x509 -pubkey | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64` has it."""
    key = x509.load_pem_x509_certificate(certificate.read_bytes()).public_key()
    digest = hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
    return f"sha256//{base64.b64encode(digest).decode()}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("trust")


@pytest.fixture(scope="module")
def clients(folder) -> trustme.CA:
    """The authority of those who may come in; whose certificate is there as a file, with and without a password."""
    ca = trustme.CA()
    ca.cert_pem.write_to_path(folder / "clients.pem")
    ours = ca.issue_cert("joe@example.com")
    chain = ours.cert_chain_pems[0].bytes()
    key = ours.private_key_pem.bytes()
    locked = load_pem_private_key(key, None).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(PASSWORD.encode())
    )
    for name, content in {
        "joe.pem": key + chain,
        "cert.pem": chain,
        "key.pem": key,
        "locked.pem": locked + chain,
    }.items():
        (folder / name).write_bytes(content)
    (folder / "other.pem").write_bytes(ca.issue_cert("x@example.com").private_key_pem.bytes())
    return ca


@pytest.fixture(scope="module")
def server(folder, clients) -> Iterator[Peer]:
    """nginx: /private wants a certificate of the clients' authority, everything else none."""
    snippet = f"""ssl_client_certificate {folder}/clients.pem; ssl_verify_client optional;
        location /private {{ if ($ssl_client_verify != SUCCESS) {{ return 403; }} return 200 "$ssl_client_s_dn"; }}
        location /away {{ return 302 https://localhost:$server_port/private; }}
        location / {{ return 200 "public"; }}"""
    with nginx(folder, snippet) as peer:
        yield peer


def one(url: str, **options: object) -> Record:
    (record,) = fetch([url], **options)
    return record


def test_an_authority_of_ones_own(server):
    """--cacert is trusted in place of the system's; what is refused without says how it may be had."""
    url = server.secure("/")
    assert one(url, cacert=str(authority().trusted)).status == 200
    error = one(url).error
    assert error.code == "tls_cert_untrusted"
    assert "--cacert FILE" in error.message
    assert "--insecure-host HOST" in error.message


def test_an_insecure_host(server):
    """One host, or one port of it, and nobody else."""
    url, same = server.secure("/"), server.secure("/", "localhost")
    for names in (["127.0.0.1"], [f"127.0.0.1:{server.tls_port}"]):
        assert [outcome(record) for record in fetch([url, same], insecure_host=names)] == ["ok", "tls_cert_untrusted"]
    assert outcome(one(url, insecure_host="127.0.0.1:1")) == "tls_cert_untrusted"
    tables = {f"127.0.0.1:{server.tls_port}": {"insecure": True}}
    assert [outcome(record) for record in fetch([url, same], hosts=tables)] == ["ok", "tls_cert_untrusted"]
    tables = {f"127.0.0.1:{server.tls_port}": {"insecure": False}}
    assert [outcome(record) for record in fetch([url, same], hosts=tables, insecure=True)] == [
        "tls_cert_untrusted",
        "ok",
    ]


def test_pinned_keys(server):
    """The key counts whatever the certificate, with -k too; several may be named, and those of one server alone."""
    ours, other = pin(authority().server), "sha256//" + "A" * 43 + "="
    url, trusted = server.secure("/"), {"cacert": str(authority().trusted)}
    assert outcome(one(url, pinnedpubkey=ours, **trusted)) == "ok"
    assert outcome(one(url, pinnedpubkey=f"{other};{ours}", **trusted)) == "ok"
    assert outcome(one(url, pinnedpubkey=other, **trusted)) == "tls_pinned_key"
    assert outcome(one(url, pinnedpubkey=other, insecure=True)) == "tls_pinned_key"
    assert outcome(one(url, pinnedpubkey=ours)) == "tls_cert_untrusted"
    assert outcome(one(url, pinnedpubkey=[f"localhost={other}"], **trusted)) == "ok"
    assert outcome(one(url, pinnedpubkey=[f"127.0.0.1:{server.tls_port}={ours}", other], **trusted)) == "ok"


def test_a_client_certificate(server, folder, clients, monkeypatch):
    """From one file or two; with a password, which comes from the environment, too."""
    url, trusted = server.secure("/private"), {"cacert": str(authority().trusted)}
    monkeypatch.setenv("PEM_PASSWORD", PASSWORD)
    assert one(url, **trusted).status == 403
    for options in (
        {"cert": str(folder / "joe.pem")},
        {"cert": str(folder / "cert.pem"), "key": str(folder / "key.pem")},
        {"cert": f"{folder}/locked.pem:{PASSWORD}"},
        {"cert": f"{folder}/locked.pem:env:PEM_PASSWORD"},
    ):
        record = one(url, **options, **trusted)
        assert record.status == 200
        assert "trustme" in record.text


def test_a_client_certificate_is_for_typed_hosts(server, folder, clients):
    """A redirect to another host does not show who we are there."""
    options = {"cert": str(folder / "joe.pem"), "cacert": str(authority().trusted), "allow_private": True}
    assert one(server.secure("/away"), **options).status == 403
    away, there = fetch([server.secure("/away"), server.secure("/private", "localhost")], per_host=1, **options)
    assert (away.status, there.status) == (200, 200)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"cert": "none.pem"}, "'none.pem'.*: No such file"),
        ({"cert": "joe.pem", "key": "other.pem"}, "not that of the certificate"),
        ({"cert": "cert.pem"}, "--key names another file"),
        ({"cert": "locked.pem"}, "has a password"),
        ({"cert": "locked.pem:wrong"}, "password of the private key is wrong"),
        ({"cert": "locked.pem:env:NO_SUCH_THING"}, "no such variable"),
        ({"key": "key.pem"}, "add --cert"),
        ({"cacert": "none.pem"}, "'none.pem'.*: No such file"),
        ({"cacert": "key.pem"}, "no certificate in PEM"),
        ({"insecure_host": "https://a.example/"}, "is not a host"),
        ({"insecure_host": "*.example"}, "is not a host"),
        ({"pinnedpubkey": "sha256//short="}, "is not sha256//HASH"),
        ({"pinnedpubkey": "md5//x"}, "is not sha256//HASH"),
    ],
)
def test_what_cannot_be_used(folder, clients, monkeypatch, options, words):
    """One sentence, before anything is fetched, without the password."""
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError, match=words) as raised:
        fetch(["https://127.0.0.1:1/"], **options)
    assert PASSWORD not in str(raised.value)
    assert "wrong" not in str(raised.value).replace("is wrong", "")


def old_server_hello(client: socket.socket) -> None:
    """TLS 1.2 without renegotiation_info (RFC 5746 section 3.4), and no more than that."""
    client.settimeout(0.1)
    client.recv(65536)
    hello = b"\x03\x03" + b"r" * 32 + b"\0" + b"\xc0\x2f" + b"\0"
    message = b"\x02" + len(hello).to_bytes(3, "big") + hello
    client.sendall(b"\x16\x03\x03" + len(message).to_bytes(2, "big") + message)
    with suppress(TimeoutError):
        client.recv(65536)


def test_a_server_without_secure_renegotiation():
    """It is refused, and the message names what would talk to it; with that the handshake goes on."""
    with accepting(old_server_hello) as port:
        url = f"https://127.0.0.1:{port}/"
        error = one(url).error
        assert error.code == "tls_protocol"
        assert "--tls-legacy" in error.message
        error = one(url, tls_legacy=True).error
        assert error.code == "tls_handshake"  # it waits for a certificate
