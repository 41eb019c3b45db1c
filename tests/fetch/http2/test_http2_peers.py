"""HTTP/2 against servers that others have written: nginx, nghttpd and hypercorn, through the whole program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from needs import SERVERS, missing
from real_peers import authority, command_peer, free_port, nginx, program

from crawler import crawl, fetch_all
from crawler.models import Record

TEXT = b"hello world\n" * 100


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority().trusted))


@pytest.fixture
def www(tmp_path: Path) -> Path:
    folder = tmp_path / "www"
    folder.mkdir()
    (folder / "a.txt").write_bytes(TEXT)
    (folder / "big.bin").write_bytes(os.urandom(3_000_000))
    (folder / "index.html").write_text('<a href="a.txt">a</a> <a href="b.html">b</a>')
    (folder / "b.html").write_text("<title>b</title>")
    return tmp_path


def kinds(records: list[Record]) -> Counter[tuple[Any, ...]]:
    return Counter((r.http_version, r.status, r.error and r.error.code, r.attempts) for r in records)


# nginx.


def test_many_streams_on_one_connection(www: Path) -> None:
    """The records are those of HTTP/1.1, but for the version; one connection carried them all."""
    snippet = "add_header X-Connection $connection;"
    with nginx(www, snippet) as server:
        urls = [server.secure(f"/a.txt?{number}") for number in range(60)] + [server.secure("/big.bin")]
        over = {version: fetch_all(urls, http2=version == "2", per_host=32) for version in ("2", "1.1")}
        assert all(" HTTP/2.0 " in line for line in server.log(122)[:61])
    for version, records in over.items():
        assert kinds(records) == {(version, 200, None, 1): 61}
    assert [r.sha256 for r in over["2"]] == [r.sha256 for r in over["1.1"]]
    assert len({r.headers["x-connection"][0] for r in over["2"] if r.headers}) == 1
    assert Counter(r.reused for r in over["2"]) == {False: 1, True: 60}
    first = over["2"][0]
    assert first.time_appconnect is not None
    assert list(first.headers or ())[:3] == ["server", "date", "content-type"]


def test_a_server_that_closes_after_ten(www: Path) -> None:
    """What it had not looked at is sent again over the next connection: nobody loses a try."""
    with nginx(www, "keepalive_requests 10; add_header X-Connection $connection;") as server:
        records = fetch_all([server.secure(f"/a.txt?{number}") for number in range(100)], http2=True, per_host=32)
    assert kinds(records) == {("2", 200, None, 1): 100}
    assert len({r.headers["x-connection"][0] for r in records if r.headers}) >= 10


def test_a_server_that_takes_three_at_once(www: Path) -> None:
    with nginx(www, "http2_max_concurrent_streams 3;") as server:
        records = fetch_all([server.secure(f"/a.txt?{number}") for number in range(50)], http2=True, per_host=32)
    assert kinds(records) == {("2", 200, None, 1): 50}
    assert sum(not r.reused for r in records) == 1


def test_limits_and_methods(www: Path) -> None:
    """HEAD, a status, a redirect, a body that is too large: what they are over HTTP/1.1."""
    snippet = "location /r { return 302 /a.txt; } location /echo { return 200 $request_method; }"
    with nginx(www, snippet) as server:
        (moved, none, large) = fetch_all(
            [server.secure("/r"), server.secure("/none"), server.secure("/big.bin")], http2=True, max_size=100_000
        )
        (head,) = fetch_all([server.secure("/big.bin")], http2=True, method="HEAD")
        assert {line.split('"')[0].split(" ")[2] for line in server.log(5)} == {"HTTP/2.0"}
    assert (moved.status, moved.http_version, len(moved.redirects)) == (200, "2", 1)
    assert (none.status, none.http_version) == (404, "2")
    assert large.error is not None
    assert (large.error.code, large.http_version) == ("body_too_large", "2")
    assert (head.status, head.size_download, head.http_version) == (200, 0, "2")


def test_a_crawl_and_a_job(www: Path, tmp_path: Path) -> None:
    with nginx(www) as server:
        pages = crawl([server.secure("/")], http2=True, robots=False, allow_private=True, delay=0, job=tmp_path / "job")
        found = {(r.url, r.http_version) for r in pages}
    assert found == {(server.secure(path), "2") for path in ("/", "/a.txt", "/b.html")}


def test_an_answer_that_decodes(www: Path) -> None:
    """Coded bodies are decoded as ever, and a slow decoder holds its own stream alone."""
    (www / "www" / "zeros.txt").write_bytes(bytes(8_000_000))
    with nginx(www, "gzip on; gzip_min_length 1; gzip_types text/plain;") as server:
        urls = [server.secure("/zeros.txt"), *(server.secure(f"/a.txt?{n}") for n in range(20))]
        records = fetch_all(urls, http2=True, per_host=32)
    assert [(r.status, len(r.body)) for r in records[:2]] == [(200, 8_000_000), (200, len(TEXT))]


def test_without_the_option(www: Path) -> None:
    """Nothing but HTTP/1.1 is offered; nor is it with an http URL."""
    with nginx(www) as server:
        (secure,) = fetch_all([server.secure("/a.txt")])
        (plain,) = fetch_all([server.url("/a.txt")], http2=True)
    assert (secure.http_version, plain.http_version) == ("1.1", "1.1")


def test_a_certificate_is_checked_as_ever(www: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with nginx(www) as server:
        (refused,) = fetch_all([server.secure("/a.txt")], http2=True)
        (taken,) = fetch_all([server.secure("/a.txt")], http2=True, insecure=True)
    assert refused.error is not None
    assert refused.error.code == "tls_cert_untrusted"
    assert (taken.status, taken.http_version) == (200, "2")


# nghttpd.


@pytest.fixture
def nghttpd(www: Path) -> Iterator[str]:
    port = free_port()
    pem = str(authority().server)
    command = [program("nghttpd", "apt install nghttp2"), "--echo-upload", "-d", str(www / "www"), "-a", "127.0.0.1"]
    command += [str(port), pem, pem]
    with command_peer(command, port):
        yield f"https://127.0.0.1:{port}"


def test_nghttpd(nghttpd: str) -> None:
    """nghttp2's server: it speaks nothing else."""
    urls = [f"{nghttpd}/a.txt?{number}" for number in range(60)] + [f"{nghttpd}/big.bin", f"{nghttpd}/none"]
    records = fetch_all(urls, http2=True, per_host=32)
    assert kinds(records) == {("2", 200, None, 1): 61, ("2", 404, None, 1): 1}
    assert records[0].body == TEXT
    assert sum(not r.reused for r in records) == 1


@pytest.mark.parametrize("size", [5, 70_000, 3_000_000])
def test_bodies_of_requests(nghttpd: str, tmp_path: Path, size: int) -> None:
    """A body from memory or from a file comes back as it went, through whatever windows the server has."""
    sent = os.urandom(size)
    (tmp_path / "body").write_bytes(sent)
    (record,) = fetch_all([f"{nghttpd}/echo"], http2=True, method="POST", data=f"@{tmp_path / 'body'}")
    assert (record.status, record.http_version, record.method) == (200, "2", "POST")
    assert record.body == sent


def test_a_server_that_speaks_nothing_else(nghttpd: str) -> None:
    """Asked for HTTP/1.1 it refuses the handshake."""
    (record,) = fetch_all([f"{nghttpd}/a.txt"], retries=0)
    assert record.error is not None
    assert record.error.phase in {"tls", "headers"}


# hypercorn.

APP = """
async def app(scope, receive, send):
    assert scope["type"] == "http"
    while (await receive()).get("more_body"):
        pass
    path = scope["path"]
    headers = [(b"x-version", scope["http_version"].encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    for _ in range(20):
        await send({"type": "http.response.body", "body": path.encode(), "more_body": True})
    await send({"type": "http.response.body", "body": b""})
"""


def test_hypercorn(tmp_path: Path) -> None:
    """hyper-h2's server in Python: bodies without a length, in pieces."""
    try:
        import hypercorn  # noqa: F401
    except ImportError:
        missing("hypercorn is not installed (pip install 'everyurl[test]')", SERVERS)
    (tmp_path / "app.py").write_text(APP)
    port, pem = free_port(), str(authority().server)
    command = [sys.executable, "-W", "ignore", "-m", "hypercorn", "app:app", "--bind", f"127.0.0.1:{port}"]
    command += ["--certfile", pem, "--keyfile", pem]
    with command_peer(["env", f"PYTHONPATH={tmp_path}", *command], port):
        records = fetch_all([f"https://127.0.0.1:{port}/{number}" for number in range(40)], http2=True, per_host=32)
    assert kinds(records) == {("2", 200, None, 1): 40}
    assert [r.text for r in records] == [f"/{number}" * 20 for number in range(40)]
    assert {r.headers["x-version"][0] for r in records if r.headers} == {"2"}


# The command line.


def test_the_extra_is_missing(tmp_path: Path) -> None:
    """One sentence says what to install, and nothing is fetched."""
    script = "import sys; sys.modules['hpack'] = None; from crawler.__main__ import main; sys.exit(main())"
    asked = subprocess.run(
        [sys.executable, "-c", script, "--http2", "https://127.0.0.1:1/"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "pip install 'everyurl[http2]'" in asked.stderr
    assert "Traceback" not in asked.stderr


def test_the_command(www: Path) -> None:
    with nginx(www) as server:
        command = [sys.executable, "-m", "crawler", "--http2", server.secure("/a.txt")]
        asked = subprocess.run(command, capture_output=True, text=True)
    assert json.loads(asked.stdout)["http_version"] == "2"
