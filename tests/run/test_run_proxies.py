"""Runs through proxies that others have written: tinyproxy (HTTP, CONNECT) and microsocks (SOCKS 5), before nginx."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from real_peers import Peer, authority, command_peer, free_port, nginx, program, tinyproxy
from tls_relay import tls_relay

from crawler import ConfigError, Request, fetch_all
from crawler.cli.main import main
from crawler.models import Record
from crawler.site import RunningSite

SECRET = "hunter2"
LOGIN = f"user:{SECRET}"


@contextmanager
def microsocks() -> Iterator[int]:
    command, port = program("microsocks"), free_port()
    with command_peer([command, "-i", "127.0.0.1", "-p", str(port), "-u", "user", "-P", SECRET], port):
        yield port


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    folder = tmp_path_factory.mktemp("nginx")
    pages = 'location / { root www; } location /to { return 302 /plain.txt; } location /robots.txt { return 200 ""; }'
    with nginx(folder, pages) as peer:
        (folder / "www" / "plain.txt").write_text("hello")
        (folder / "www" / "index.html").write_text('<a href="/plain.txt">x</a><a href="http://10.0.0.1/">y</a>')
        yield peer


@pytest.fixture(scope="module")
def http(tmp_path_factory: pytest.TempPathFactory, server: Peer) -> Iterator[int]:
    lines = (f"BasicAuth user {SECRET}", f"ConnectPort {server.tls_port}")
    with tinyproxy(tmp_path_factory.mktemp("tinyproxy"), *lines) as port:
        yield port


@pytest.fixture(scope="module")
def socks() -> Iterator[int]:
    with microsocks() as port:
        yield port


@pytest.fixture(autouse=True)
def _trust(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority().trusted))


def fetch(*urls: str, **options: Any) -> list[Record]:
    return fetch_all(list(urls), **{"retries": 0, **options})


def told(record: Record) -> tuple[Any, ...]:
    return record.status, record.error and record.error.code, record.proxy


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


KINDS = pytest.mark.parametrize("scheme", ["http", "socks5", "socks5h"])


@pytest.fixture
def proxy(http: int, socks: int) -> Callable[..., str]:
    def url(scheme: str, login: str = f"{LOGIN}@") -> str:
        return f"{scheme}://{login}127.0.0.1:{http if scheme == 'http' else socks}"

    return url


@KINDS
def test_pages(server: Peer, proxy: Callable[..., str], scheme: str) -> None:
    """http and https, names and addresses; the connection is kept, and its times are there."""
    urls = [server.url("/plain.txt"), server.url("/plain.txt", "localhost"), server.secure("/plain.txt")]
    records = fetch(*urls, *urls, proxy=proxy(scheme), concurrency=1)
    shown = proxy(scheme, "")
    assert [told(record) for record in records] == [(200, None, shown)] * 6
    assert [record.text for record in records] == ["hello"] * 6
    kept = scheme != "http"  # tinyproxy keeps no connection but tunnels
    assert [record.reused for record in records] == [False] * 3 + [kept, kept, True]
    here = scheme == "socks5"
    assert all((record.remote_ip is not None) == here for record in records)
    assert all((record.time_namelookup is not None) == here for record in records[:3])
    assert all(record.time_connect is not None for record in records[:3])
    assert records[2].time_appconnect is not None


@KINDS
@pytest.mark.parametrize("login", ["", f"user:not{SECRET}@"])
def test_refused_logins(server: Peer, proxy: Callable[..., str], scheme: str, login: str) -> None:
    """With a wrong password and with none: the proxy's code, never a page; and the password is nowhere."""
    url = server.secure("/plain.txt") if scheme == "http" else server.url("/plain.txt")
    (record,) = fetch(url, proxy=proxy(scheme, login))
    expected = "proxy_refused" if scheme == "http" and login else "proxy_auth"  # tinyproxy says 401 to a wrong one
    assert told(record) == (None, expected, proxy(scheme, ""))
    assert SECRET not in str(record)


def test_a_port_that_is_not_allowed(server: Peer, proxy: Callable[..., str]) -> None:
    """403 to CONNECT: neither a page nor the site's answer."""
    (record,) = fetch(f"https://127.0.0.1:{server.port}/", proxy=proxy("http"))
    assert told(record) == (None, "proxy_refused", proxy("http", ""))


@pytest.mark.parametrize(("scheme", "code"), [("http", "proxy_refused"), ("socks5", "connect_refused")])
def test_a_server_that_is_not_there(proxy: Callable[..., str], scheme: str, code: str) -> None:
    (record,) = fetch(f"https://127.0.0.1:{free_port()}/", proxy=proxy(scheme))
    assert told(record) == (None, code, proxy(scheme, ""))


def test_tls_inside_tls(server: Peer, http: int) -> None:
    """A proxy of https: its certificate is checked, whatever `insecure` says of servers; and the server's inside."""
    with tls_relay(http) as port, tls_relay(http, "127.0.0.3") as other:
        urls = (server.secure("/plain.txt"), server.url("/plain.txt"))
        records = fetch(*urls, *urls, proxy=f"https://{LOGIN}@localhost:{port}", concurrency=1)
        assert [told(record) for record in records] == [(200, None, f"https://localhost:{port}")] * 4
        assert [(record.text, record.reused) for record in records] == [("hello", False)] * 2 + [
            ("hello", True), ("hello", False),
        ]  # fmt: skip
        (strange,) = fetch(urls[0], proxy=f"https://{LOGIN}@127.0.0.3:{other}", insecure=True)
        assert told(strange) == (None, "proxy_connect", f"https://127.0.0.3:{other}")
        assert strange.error is not None
        assert not strange.error.transient


@KINDS
def test_bodies_and_logins(httpbin: Peer, proxy: Callable[..., str], scheme: str) -> None:
    """Requests are what they are without a proxy; and servers get no login but their own."""
    posted = Request(httpbin.url("/post"), method="POST", data={"a": "b" * 100_000})
    told_back = Request(httpbin.url("/headers"), headers={"X-A": "b"})
    opened = httpbin.url("/basic-auth/joe/word").replace("://", "://joe:word@")
    post, headers, auth = fetch_all([posted, told_back, opened], retries=0, proxy=proxy(scheme))
    assert post.json()["form"] == {"a": "b" * 100_000}
    assert headers.json()["headers"]["X-A"] == "b"
    assert not any(name.startswith("Proxy") for name in headers.json()["headers"])
    assert auth.json()["user"] == "joe"


@KINDS
def test_http2(server: Peer, proxy: Callable[..., str], scheme: str) -> None:
    """What speaks through the tunnel is the server's choice, as without one."""
    pytest.importorskip("h2")
    records = fetch(*[server.secure(f"/plain.txt?{number}") for number in range(5)], proxy=proxy(scheme), http2=True)
    assert [(record.status, record.http_version, record.proxy) for record in records] == [
        (200, "2", proxy(scheme, ""))
    ] * 5


@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
def test_websocket(site: RunningSite, proxy: Callable[..., str], scheme: str) -> None:
    """Through a tunnel, without TLS."""
    pytest.importorskip("wsproto")
    (record,) = fetch(site.url("/talk").replace("http:", "ws:"), proxy=proxy(scheme), ws_timeout=1)
    assert told(record) == (101, None, proxy(scheme, ""))


def test_redirects_and_robots(server: Peer, proxy: Callable[..., str]) -> None:
    """All that a run asks for goes the same way; and what pages lead to is judged as far as it can be seen."""
    (record,) = fetch(server.url("/to"), proxy=proxy("http"), robots=True)
    assert (record.status, len(record.redirects), record.proxy) == (200, 1, proxy("http", ""))
    records = fetch(server.url("/index.html"), proxy=proxy("http"), recursive=True, scope="any", delay=0)
    assert {record.url: record.error and record.error.code for record in records} == {
        server.url("/index.html"): None,
        server.url("/plain.txt"): None,
        "http://10.0.0.1/": "address_blocked",
    }


def test_in_turn(server: Peer, http: int, socks: int, tmp_path: Path) -> None:
    """--proxy-file: one after the other; those that are not there cost no URL its record, nor one of its tries."""
    gone = free_port()
    file = tmp_path / "proxies.txt"
    lines = (f"http://{LOGIN}@127.0.0.1:{http}", f"http://127.0.0.1:{gone}", "", f"socks5://{LOGIN}@127.0.0.1:{socks}")
    file.write_text("# ours\n" + "\n".join(lines))
    records = fetch(*[server.url(f"/plain.txt?{number}") for number in range(40)], proxy_file=str(file))
    assert {(record.status, record.attempts) for record in records} == {(200, 1)}
    counts = [sum(record.proxy == f"{scheme}://127.0.0.1:{port}" for record in records) for scheme, port in
              (("http", http), ("socks5", socks), ("http", gone))]  # fmt: skip
    assert sum(counts) == 40
    assert min(counts[:2]) >= 10
    assert counts[2] == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot read"),
        ("", "names no proxy"),
        ("# nothing\n", "names no proxy"),
        (f"http://p:1\nftp://{LOGIN}@p", "line 2 of .* has the scheme ftp"),
        (f"http://{LOGIN}/x@p:1", "line 1 of .* percent-encoded"),
        (b"\xff\xfe", "it is not UTF-8"),
    ],
)
def test_files_that_are_refused(tmp_path: Path, text: str | bytes | None, words: str) -> None:
    """In a sentence with the line, and without what it holds."""
    file = tmp_path / "proxies.txt"
    if text is not None:
        file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError, match=words) as caught:
        fetch("http://127.0.0.1:1/", proxy_file=str(file))
    assert SECRET not in str(caught.value)


def test_socks_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Is said before anything is fetched; of one host's own proxy in its records."""
    monkeypatch.setitem(sys.modules, "socksio", None)
    with pytest.raises(ConfigError, match=r"^SOCKS needs one more package: pip install 'everyurl\[socks\]'$"):
        fetch("http://127.0.0.1:1/", proxy="socks5://127.0.0.1:1")
    (record,) = fetch("http://127.0.0.1:1/", hosts={"127.0.0.1:1": {"proxy": "socks5://127.0.0.1:1"}})
    assert record.error is not None
    assert "everyurl[socks]" in record.error.message
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    with pytest.raises(ConfigError, match=r"--noproxy '\*' goes straight"):
        fetch("http://127.0.0.1:1/")


def test_tables_of_hosts(server: Peer, proxy: Callable[..., str]) -> None:
    """A host has its own proxy, or none, whatever holds for all."""
    urls = (server.url("/plain.txt"), server.url("/plain.txt", "localhost"))
    hosts = {f"localhost:{server.port}": {"proxy": ""}}
    assert [record.proxy for record in fetch(*urls, proxy=proxy("http"), hosts=hosts)] == [proxy("http", ""), None]
    hosts = {f"localhost:{server.port}": {"proxy": proxy("socks5h")}}
    assert [record.proxy for record in fetch(*urls, hosts=hosts)] == [None, proxy("socks5h", "")]


def test_where_the_url_is(
    server: Peer, proxy: Callable[..., str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In a variable or a file, where other users of the machine do not see it."""
    monkeypatch.setenv("MY_PROXY", proxy("http"))
    file = tmp_path / "proxy.txt"
    file.write_text(f"{proxy('socks5')}\n")
    for where, scheme in (("env:MY_PROXY", "http"), (f"@{file}", "socks5")):
        assert told(fetch(server.url("/plain.txt"), proxy=where)[0]) == (200, None, proxy(scheme, ""))
    with pytest.raises(ConfigError, match=r"^keyword proxy: what was given env:NOT_THERE: there is no such variable"):
        fetch(server.url("/plain.txt"), proxy="env:NOT_THERE")


def test_the_environment(server: Peer, proxy: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """In Python, too: by the scheme of the URL; HTTP_PROXY in capitals is left to attackers."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("HTTPS_PROXY", proxy("socks5"))
    records = fetch(server.url("/plain.txt"), server.secure("/plain.txt"))
    assert [told(record) for record in records] == [(200, None, None), (200, None, proxy("socks5", ""))]
    assert fetch(server.secure("/plain.txt"), noproxy="*")[0].proxy is None
    monkeypatch.setenv("no_proxy", "127.0.0.0/8")
    assert fetch(server.secure("/plain.txt"), server.secure("/plain.txt", "localhost"))[0].proxy is None


def test_a_job_goes_on_another_way(
    server: Peer, proxy: Callable[..., str], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Another run of a job may have another proxy. Its folder, and whatever else is left, has no password."""
    job, out = tmp_path / "job", tmp_path / "out.jsonl"
    (tmp_path / "proxies.txt").write_text(f"http://127.0.0.1:{free_port()}")
    options = ("--job", str(job), "-o", str(out), "--retries", "0")
    assert main([server.url("/plain.txt"), "-x", proxy("http"), *options]) == 0
    assert main([server.url("/plain.txt"), "-x", proxy("socks5"), *options]) == 0
    assert main([server.url("/plain.txt"), "-x", proxy("socks5"), "--print-config"]) == 0
    said = "".join(capfd.readouterr())
    assert f'proxy = "{proxy("socks5", "")}"' in said
    assert json.loads(out.read_text().splitlines()[0])["proxy"] == proxy("http", "")
    left = b"".join(path.read_bytes() for path in [out, *job.rglob("*")] if path.is_file())
    assert SECRET.encode() not in left
    assert SECRET not in said


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_no_descriptor_is_left(server: Peer, proxy: Callable[..., str]) -> None:
    """Whatever happens on the way."""
    before = open_descriptors()
    for way in (proxy("http"), proxy("socks5"), proxy("socks5", "user:x@"), f"http://127.0.0.1:{free_port()}"):
        fetch(server.url("/plain.txt"), server.secure("/plain.txt"), f"https://127.0.0.1:{server.port}/", proxy=way)
    assert open_descriptors() <= before
