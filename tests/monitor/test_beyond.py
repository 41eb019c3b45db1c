"""Monitors that other machines reach: only with a token of one's own and TLS, or a word that there is none; guarded alike."""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)
from twisted.internet.address import IPv6Address
from twisted.web.server import Request
from twisted.web.test.requesthelper import DummyChannel

from crawler.cli.main import main
from crawler.config.config import Config, ConfigError
from crawler.config.options.monitor import Place
from crawler.monitor.guard import Guard
from crawler.monitor.listening import open_beyond

ROOT = Path(__file__).parents[2]
NAME = "crawler.internal"
WORDS = re.compile(r"(?:Live page:|Metrics at) (https?)://([^/:]+):(\d+)/")


class Run(NamedTuple):
    """A run that waits for more lines, with both monitors on all addresses, and TLS unless `authority` is None."""

    page: int
    metrics: int
    token: str
    authority: trustme.CA | None
    said: list[str]

    def ask(self, method: str, path: str, *, port: int = 0, host: str = "", **headers: str) -> tuple[int, bytes]:
        port = port or self.page
        connection: http.client.HTTPConnection
        if self.authority is None:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        else:
            context = ssl.create_default_context()
            self.authority.configure_trust(context)
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
        given = {"Host": host or f"127.0.0.1:{port}", "Authorization": f"Bearer {self.token}", **headers}
        with closing(connection):
            connection.request(method, path, headers=given)
            answer = connection.getresponse()
            return answer.status, answer.read(200_000)


def started(folder: Path, *options: str, authority: trustme.CA | None = None) -> Iterator[Run]:
    command = [sys.executable, "-m", "crawler", "-", "--dashboard", "0", "--metrics", "0", "--no-progress"]
    command += ["--monitor-address", "0.0.0.0", "--token-file", "token", "-o", "out.jsonl", *options]
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={"PYTHONPATH": str(ROOT)}
    )
    with process:
        try:
            assert process.stderr is not None
            said: list[str] = []
            while len([line for line in said if WORDS.match(line)]) < 2:
                said.append(process.stderr.readline())
                assert said[-1], said
            ports = [int(match[3]) for line in said if (match := WORDS.match(line))]
            yield Run(*ports, (folder / "token").read_text().strip(), authority, said)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("secure")
    authority = trustme.CA()
    authority.issue_cert(NAME, "127.0.0.1", "*.example").private_key_and_cert_chain_pem.write_to_path(
        str(folder / "both")
    )
    yield from started(folder, "--monitor-cert", "both", authority=authority)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("plain")
    yield from started(folder, "--monitor-plain", "--monitor-name", NAME, "--monitor-name", "proxy.internal:443")


def test_with_tls(secure):
    """It says where it is, by a name of the certificate; the token lets in, over TLS alone."""
    assert all(WORDS.match(line).groups()[:2] == ("https", NAME) for line in secure.said)
    status, body = secure.ask("GET", "/metrics", port=secure.metrics)
    assert (status, b"crawler_in_flight" in body) == (200, True)
    assert secure.ask("GET", "/api/status")[0] == 200
    assert secure.ask("GET", "/")[0] == 200
    with socket.create_connection(("127.0.0.1", secure.page), timeout=10) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert b"HTTP" not in connection.recv(1000)


@pytest.mark.parametrize("monitor", ["page", "metrics"])
@pytest.mark.parametrize(
    ("host", "headers", "expected"),
    [
        ("{name}:{port}", {}, 200),
        ("127.0.0.1:{port}", {}, 200),
        ("localhost:{port}", {}, 200),
        ("{name}:{port}", {"Origin": "https://{name}:{port}"}, 200),
        ("{name}:{port}", {"Origin": "http://{name}:{port}"}, 403),
        ("{name}:{port}", {"Origin": "https://evil.example"}, 403),
        ("{name}", {}, 403),
        ("{name}:1", {}, 403),
        ("evil.example:{port}", {}, 403),
        ("www.example:{port}", {}, 403),
        ("0.0.0.0:{port}", {}, 403),
        ("{name}:{port}", {"Authorization": ""}, 401),
        ("{name}:{port}", {"Authorization": "Bearer wrong-wrong-wrong"}, 401),
    ],
)
def test_who_may_ask(secure, monitor, host, headers, expected):
    """The same guards as on this machine: the names, the page that asks, the token."""
    port = getattr(secure, monitor)
    values = {"name": NAME, "port": port}
    given = {name: text.format(**values) for name, text in headers.items()}
    path = "/metrics" if monitor == "metrics" else "/api/status"
    assert secure.ask("GET", path, port=port, host=host.format(**values), **given)[0] == expected


def test_a_websocket_over_tls(secure):
    """The page gets its ticket and its socket, and may open it by every name."""
    status, body = secure.ask("POST", "/api/ticket", **{"Content-Length": "0"})
    assert status == 200
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg==",
    }
    path = f"/ws?ticket={json.loads(body)['ticket']}"
    context = ssl.create_default_context()
    secure.authority.configure_trust(context)
    with (
        socket.create_connection(("127.0.0.1", secure.page), timeout=10) as raw,
        context.wrap_socket(raw, server_hostname=NAME) as connection,
    ):
        lines = [f"GET {path} HTTP/1.1", f"Host: {NAME}:{secure.page}", f"Origin: https://{NAME}:{secure.page}"]
        lines += [f"{name}: {text}" for name, text in upgrade.items()]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        assert connection.recv(12) == b"HTTP/1.1 101"
    with closing(http.client.HTTPSConnection("127.0.0.1", secure.page, timeout=10, context=context)) as page:
        page.request("GET", "/", headers={"Host": f"127.0.0.1:{secure.page}"})
        policy = page.getresponse().headers["Content-Security-Policy"]
    assert f"wss://{NAME}:{secure.page}" in policy
    assert "ws://" not in policy.replace("wss://", "")


def test_old_tls(secure):
    """What is older than TLS 1.2 is not spoken."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with (
        socket.create_connection(("127.0.0.1", secure.page), timeout=10) as raw,
        pytest.raises((ssl.SSLError, OSError)),
    ):
        context.wrap_socket(raw)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        (f"{NAME}:{{port}}", 200),
        ("proxy.internal:443", 200),
        ("proxy.internal:{port}", 403),
        ("evil.example:{port}", 403),
    ],
)
def test_without_tls(plain, host, expected):
    """Where that was said; a line says what it means. Names are those that were given."""
    assert (
        plain.said[0] == "Monitors go without TLS: who listens on the network reads the token, and can stop the run.\n"
    )
    assert all(WORDS.match(line).groups()[:2] == ("http", NAME) for line in plain.said[1:])
    assert plain.ask("GET", "/metrics", port=plain.metrics, host=host.format(port=plain.metrics))[0] == expected


def test_an_address_of_another_machine(tmp_path, monkeypatch, capfd):
    """The message has the address, not the port alone."""
    monkeypatch.chdir(tmp_path)
    monitors = ["--metrics", "9105", "--monitor-address", "192.0.2.77", "--monitor-plain", "--token-file", "token"]
    assert main(["http://127.0.0.1:1/", "-o", "out.jsonl", *monitors]) == 2
    assert "--metrics: cannot listen on '192.0.2.77:9105': " in capfd.readouterr().err


@pytest.mark.parametrize(
    ("now", "words"),
    [("2031-01-01", "ended on 2030-01-01"), ("2019-12-31", "begins on 2020-01-01"), ("2025-01-01", "")],
)
def test_a_certificate_that_is_not_good_now(tmp_path, now, words):
    """It is served, so that a job goes on; a note says who will not take it."""
    leaf = trustme.CA().issue_cert(
        "x.example", not_before=datetime(2020, 1, 1, tzinfo=UTC), not_after=datetime(2030, 1, 1, tzinfo=UTC)
    )
    path = str(tmp_path / "both")
    leaf.private_key_and_cert_chain_pem.write_to_path(path)
    wall = datetime.fromisoformat(f"{now}T00:00Z").timestamp()
    note = open_beyond("0.0.0.0", path, None, [], wall=lambda: wall).note
    assert note == (
        words
        and f"--monitor-cert: '{path}' is not good now, it {words}: browsers warn of it, and Prometheus refuses it."
    )


CERT, TOKEN_FILE = (
    "--monitor-cert FILE (or --monitor-plain, where nobody else listens on the network)",
    "--token-file FILE",
)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, f"monitor_address: other machines reach 0.0.0.0: add {TOKEN_FILE} and {CERT}"),
        ({"token_file": "t"}, f"monitor_address: other machines reach 0.0.0.0: add {CERT}"),
        ({"monitor_plain": True}, f"monitor_address: other machines reach 0.0.0.0: add {TOKEN_FILE}"),
        ({"monitor_cert": "c", "monitor_plain": True, "token_file": "t"}, "cannot be combined with"),
        ({"monitor_key": "k", "token_file": "t"}, "is the key of a certificate (add --monitor-cert FILE)"),
        (
            {"monitor_address": None, "monitor_plain": True},
            "is for monitors beyond this machine (add --monitor-address",
        ),
        ({"monitor_address": "example.com"}, "'example.com' is not an IP address of this machine"),
        (
            {"monitor_address": None, "metrics": "0.0.0.0:9105"},
            "from elsewhere by ssh -L, or 9105 with --monitor-address)",
        ),
        ({"monitor_name": "a b"}, "'a b' is not a host"),
    ],
)
def test_what_is_refused(options, words):
    """One sentence says what to write."""
    with pytest.raises(ConfigError) as caught:
        Config.build(**{"metrics": 9105, "monitor_address": "0.0.0.0", **options})
    assert words in str(caught.value)


def test_a_host_that_is_named_stays():
    """A port that was written with this machine's address listens there, whatever the others do."""
    config = Config.build(dashboard="127.0.0.1:0", metrics=0, monitor_address="::", token_file="t", monitor_plain=True)
    assert (config.dashboard, config.metrics) == ("127.0.0.1:0", "0")
    assert Config.build(monitor_address="127.0.0.2", metrics=0).monitor_address == "127.0.0.2"


def test_certificates_that_cannot_be_used(tmp_path):
    """The option, the file and the reason; nobody is asked for a password."""
    authority = trustme.CA()
    files: dict[str, Any] = {}
    for name in ("one", "other"):
        leaf = authority.issue_cert(f"{name}.example")
        files[name] = (str(tmp_path / f"{name}.pem"), str(tmp_path / f"{name}.key"))
        leaf.cert_chain_pems[0].write_to_path(files[name][0])
        leaf.private_key_pem.write_to_path(files[name][1])
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    locked = tmp_path / "locked"
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x")))
    (tmp_path / "text").write_text("no PEM")
    cert, good = files["other"]
    assert "other.example" in open_beyond("0.0.0.0", cert, good, []).names
    for asked, words in (
        ((str(tmp_path / "none"), None), "--monitor-cert: cannot read .*: No such file"),
        ((str(tmp_path / "text"), None), "--monitor-cert: .* holds no certificate in PEM"),
        ((cert, None), "--monitor-cert: .* holds no private key in PEM"),
        ((cert, files["one"][1]), "--monitor-key: .* is not the key of"),
        ((cert, str(locked)), "--monitor-key: .* has a password"),
    ):
        with pytest.raises(ConfigError, match=words):
            open_beyond("0.0.0.0", *asked, [])


@pytest.mark.parametrize(
    ("connected", "host", "is_refused"),
    [
        ("192.0.2.7", "192.0.2.7:9000", False),
        ("::ffff:192.0.2.7", "192.0.2.7:9000", False),
        ("2001:db8::7", "[2001:db8::7]:9000", False),
        ("::ffff:192.0.2.7", "192.0.2.8:9000", True),
    ],
)
def test_the_address_that_was_connected_to(connected: str, host: str, *, is_refused: bool) -> None:
    """A port on "::" takes IPv4, too: then the system has the address in IPv6, and people type it as it is."""
    request = Request(DummyChannel(), False)
    request.host = IPv6Address("TCP", connected, 9000)
    request.requestHeaders.addRawHeader(b"host", host.encode())
    guard = Guard(Place("::", 9000), "token", names=[NAME])
    assert (guard.refusal(request) is not None) == is_refused
