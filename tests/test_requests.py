"""Requests of every kind against real servers: httpbin says what it got, nginx keeps a log of it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from real_peers import Peer, authority, nginx

from crawler import Record, crawl, fetch_all


def got(record: Record) -> Any:
    """What httpbin says that it was sent."""
    assert record.error is None, record.error
    assert record.status == 200
    return record.json()


def fetched(url: str, **options: Any) -> Record:
    options = {"retries": 0, **options}
    (record,) = fetch_all([url], **options)
    return record


# Methods


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_methods(httpbin: Peer, method: str) -> None:
    record = fetched(httpbin.url("/anything"), method=method)
    assert (record.method, got(record)["method"]) == (method, method)


def test_a_method_of_ones_own(tmp_path: Path) -> None:
    """Any token is sent as it is."""
    with nginx(tmp_path, "location / { return 200 $request_method; }") as server:
        assert fetched(server.url("/"), method="M-SEARCH").text == "M-SEARCH"
        assert fetched(server.url("/"), method="options").text == "OPTIONS"


# Bodies


def test_data(httpbin: Peer, tmp_path: Path) -> None:
    """Joined with &, as a form unless a header says otherwise; TLS or not."""
    for url in (httpbin.url("/post"), httpbin.secure("/post")):
        sent = got(fetched(url, data=["a=1&b=2", "c=%20x"], insecure=True))
        assert sent["form"] == {"a": "1", "b": "2", "c": " x"}
        assert sent["headers"]["Content-Type"] == "application/x-www-form-urlencoded"
    (tmp_path / "x").write_bytes("ä\r\n\0".encode())
    sent = got(fetched(httpbin.url("/put"), data=f"@{tmp_path / 'x'}", method="PUT", headers="content-type: text/x"))
    assert sent["data"] == "ä\r\n\0"  # nothing is taken out of a file
    assert sent["headers"]["Content-Type"] == "text/x"
    assert sent["headers"]["Content-Length"] == "5"


def test_no_data_is_a_body_too(httpbin: Peer) -> None:
    """-d '' posts nothing, and says so."""
    record = fetched(httpbin.url("/post"), data="")
    assert record.method == "POST"
    assert got(record)["headers"]["Content-Length"] == "0"


def test_json(httpbin: Peer) -> None:
    sent = got(fetched(httpbin.url("/anything"), json={"q": ["ä", 1, None]}))
    assert (sent["method"], sent["json"]) == ("POST", {"q": ["ä", 1, None]})
    assert sent["headers"]["Content-Type"] == sent["headers"]["Accept"] == "application/json"
    sent = got(fetched(httpbin.url("/anything"), json="[1]", headers=("Accept: text/x", "Content-Type: a/b")))
    assert (sent["headers"]["Accept"], sent["headers"]["Content-Type"]) == ("text/x", "a/b")


def test_a_form_with_files(httpbin: Peer, tmp_path: Path) -> None:
    """By treq's multipart, streamed from the files."""
    large = tmp_path / "large;.bin"
    large.write_bytes(b"0123456789abcdef" * 20_000)
    (tmp_path / "note.txt").write_text("from a file")
    fields = [
        "name=Ann & ä",
        "typed={};type=application/json",
        f"note=<{tmp_path / 'note.txt'}",
        f'big=@"{large}";filename="ü.bin";type=application/x-big',
        f"text=@{tmp_path / 'note.txt'}",
    ]
    sent = got(fetched(httpbin.url("/post"), form=fields))
    assert sent["form"] == {"name": "Ann & ä", "typed": "{}", "note": "from a file"}
    assert sent["files"] == {"big": large.read_text(), "text": "from a file"}
    assert sent["headers"]["Content-Type"].startswith("multipart/form-data; boundary=")


def test_a_body_goes_with_each_input(httpbin: Peer, tmp_path: Path) -> None:
    """A file is read for each of them anew."""
    (tmp_path / "x").write_bytes(b"x" * 200_000)
    urls = [httpbin.url(f"/anything/{number}") for number in range(5)]
    records = fetch_all(urls, data=f"@{tmp_path / 'x'}", headers="Content-Type: text/plain")
    assert [len(got(record)["data"]) for record in records] == [200_000] * 5


# Redirects: the Fetch Standard's table


@pytest.mark.parametrize(
    ("status", "method", "then", "body"),
    [
        (301, "POST", "GET", ""),
        (302, "POST", "GET", ""),
        (303, "POST", "GET", ""),
        (303, "PUT", "GET", ""),
        (302, "PUT", "PUT", "hello"),
        (307, "POST", "POST", "hello"),
        (308, "PATCH", "PATCH", "hello"),
    ],
)
def test_redirects(httpbin: Peer, tmp_path: Path, status: int, method: str, then: str, body: str) -> None:
    """Also where the body is a file: it is read again."""
    (tmp_path / "x").write_text("hello")
    url = httpbin.url(f"/redirect-to?url=/anything&status_code={status}")
    for data in ("hello", f"@{tmp_path / 'x'}"):
        record = fetched(url, data=data, method=method, headers=("Content-Type: text/x", "X-Mine: 1"))
        sent = got(record)
        assert (record.method, sent["method"], sent["data"]) == (then, then, body)
        assert sent["headers"].get("Content-Type") == ("text/x" if body else None)
        assert sent["headers"]["X-Mine"] == "1"
        assert [(hop.status, hop.method) for hop in record.redirects] == [(status, method)]


def test_a_body_follows_a_307_to_another_origin(httpbin: Peer) -> None:
    """With what tells of it, and none of the other headers."""
    elsewhere = httpbin.url("/anything", "localhost")
    url = httpbin.url(f"/redirect-to?url={elsewhere}&status_code=307")
    sent = got(fetched(url, json={"a": 1}, headers="X-Secret: 1", allow_private=True))
    assert sent["json"] == {"a": 1}
    assert sent["headers"]["Content-Type"] == "application/json"
    assert "X-Secret" not in sent["headers"]


# HEAD


@pytest.mark.parametrize("status", [403, 405, 501])
def test_head_with_get_where_it_is_refused(tmp_path: Path, status: int) -> None:
    """The record tells which it was."""
    refusing = f"location / {{ if ($request_method = HEAD) {{ return {status}; }} return 200 hello; }}"
    with nginx(tmp_path, f"{refusing} location /plain {{ return 200 hello; }}") as server:
        record = fetched(server.url("/"), head=True)
        assert (record.method, record.status, record.text, record.attempts) == ("GET", 200, "hello", 2)
        plain = fetched(server.url("/plain"), head=True)
        assert (plain.method, plain.status, plain.text, plain.attempts) == ("HEAD", 200, "", 1)
        assert plain.to_dict()["headers"]["content-length"] == ["5"]
        as_asked = fetched(server.url("/"), method="HEAD")
        assert (as_asked.method, as_asked.status, as_asked.attempts) == ("HEAD", status, 1)
        assert [line.split()[0] for line in server.log(4)] == ["HEAD", "GET", "HEAD", "HEAD"]


# Ranges, Referer, Host


def test_ranges(httpbin: Peer, tmp_path: Path) -> None:
    with nginx(tmp_path) as server:
        (tmp_path / "www" / "a.txt").write_bytes(b"0123456789")
        for asked, body in (("0-3", b"0123"), ("7-", b"789"), ("-2", b"89")):
            record = fetched(server.url("/a.txt"), range=asked)
            assert (record.status, record.body, record.warnings) == (206, body, [])
        record = fetched(server.url("/a.txt"), range="50-")
        assert (record.status, record.warnings) == (416, ["range_refused"])
        several = fetched(server.url("/a.txt"), range="0-1,4-5")
        assert several.status == 206
        assert several.content_type == "multipart/byteranges"
    record = fetched(httpbin.url("/range/100"), range="10-19")
    assert (record.status, len(record.body)) == (206, 10)
    whole = fetched(httpbin.url("/bytes/50"), range="10-19")
    assert (whole.status, len(whole.body), whole.warnings) == (200, 50, ["range_ignored"])


def test_a_part_of_what_is_compressed_is_as_it_came(tmp_path: Path) -> None:
    """Servers are asked not to compress it; one that does gives bytes that are no gzip."""
    with nginx(
        tmp_path, "location / { add_header Content-Encoding gzip; } location /h { return 200 $http_accept_encoding; }"
    ) as server:
        (tmp_path / "www" / "a.gz").write_bytes(b"\x1f\x8b0123456789")
        record = fetched(server.url("/a.gz"), range="4-6")
        assert (record.status, record.body, record.warnings) == (206, b"234", ["unknown_encoding"])
        assert fetched(server.url("/h"), range="0-99").text == "identity"


def test_referer_and_host(httpbin: Peer) -> None:
    """The name in TLS, and what the certificate is checked for, stay the URL's."""
    headers = got(fetched(httpbin.url("/headers"), referer="http://a.example/x#y", headers="Host: b.example:81"))[
        "headers"
    ]
    assert (headers["Referer"], headers["Host"]) == ("http://a.example/x", "b.example:81")
    os.environ["SSL_CERT_FILE"] = str(authority().trusted)
    try:
        record = fetched(httpbin.secure("/headers", "localhost"), headers="Host: other.invalid", allow_private=True)
    finally:
        del os.environ["SSL_CERT_FILE"]
    assert got(record)["headers"]["Host"] == "other.invalid"


# What goes wrong


def crawler(*arguments: object, text: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "crawler", *map(str, arguments)]
    return subprocess.run(command, input=text, capture_output=True, timeout=60)


def test_the_line_of_the_readme(httpbin: Peer, tmp_path: Path) -> None:
    """crawler --json @q.json -X POST URL | jq: the record is a line of JSON."""
    (tmp_path / "q.json").write_text('{"query": "x"}')
    done = crawler("--json", f"@{tmp_path / 'q.json'}", "-X", "POST", httpbin.url("/anything"), "--include-body")
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert json.loads(record["body"])["json"] == {"query": "x"}


def test_a_body_from_standard_input(httpbin: Peer) -> None:
    """It is read once, before the run, and sent as often as there are inputs and redirects."""
    urls = [httpbin.url("/anything"), httpbin.url("/redirect-to?url=/anything&status_code=308")]
    done = crawler("-d", "@-", "-H", "Content-Type: text/x", "--include-body", *urls, text=b"hello")
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [json.loads(record["body"])["data"] for record in records] == ["hello", "hello"]


def test_what_cannot_be_sent_is_told_before_the_run(folder: Path) -> None:
    """In a sentence; no output is begun."""
    done = crawler("-d", "@nowhere", "http://127.0.0.1:9/", "-o", "out.jsonl")
    words = "crawler: error: --data: 'nowhere' cannot be read: No such file or directory\n"
    assert (done.returncode, done.stderr.decode()) == (2, words)
    assert not (folder / "out.jsonl").exists()


def test_a_refusal_before_the_body_is_whole(tmp_path: Path) -> None:
    """The answer is what is recorded, not the connection that the server closes on us."""
    large = tmp_path / "large"
    large.write_bytes(b"x" * 5_000_000)
    with nginx(tmp_path, "client_max_body_size 1k; location / { return 200; }") as server:
        for url in (server.url("/"), server.secure("/")):
            record = fetched(url, data=f"@{large}", insecure=True)
            assert (record.error, record.status) == (None, 413)
            assert "body_unsent" in record.warnings
        assert fetched(server.url("/"), data="x" * 1000).status == 200


def test_a_server_that_takes_nothing(tmp_path: Path) -> None:
    """It is a timeout of its own, after --idle-timeout without a byte; what was asked for may not be done twice."""
    large = tmp_path / "large"
    large.write_bytes(b"x" * 5_000_000)
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        record = fetched(url, data=f"@{large}", idle_timeout=0.2, retries=3)
    assert record.error is not None
    assert (record.error.code, record.error.phase, record.attempts) == ("timeout_send", "send", 1)


def test_a_file_that_grows_while_it_is_sent(tmp_path: Path) -> None:
    """The server waits for its end in vain: what it has is not taken for the whole."""
    large = tmp_path / "large"
    large.write_bytes(b"x" * 5_000_000)
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken: list[int] = []

        def take() -> None:
            connection, _ = server.accept()
            with connection:
                taken.append(len(connection.recv(1000)))
                with large.open("ab") as file:
                    file.write(b"more")
                while data := connection.recv(1 << 20):
                    taken.append(len(data))

        reader = threading.Thread(target=take)
        reader.start()
        record = fetched(f"http://127.0.0.1:{server.getsockname()[1]}/", data=f"@{large}")
        reader.join()
    assert record.error is not None
    assert (record.error.code, record.error.transient) == ("request_body", False)
    assert str(large) in record.error.message
    assert sum(taken) < 5_000_000


def test_memory_stays_small_whatever_is_sent(tmp_path: Path) -> None:
    """A file of 100 MB goes through 64 KiB of memory at a time."""
    resource = pytest.importorskip("resource")
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(100 << 20)  # a hole: it takes no room
    program = (
        "import resource, sys; from crawler import fetch_all; "
        "[r] = fetch_all([sys.argv[1]], data='@' + sys.argv[2], method='PUT'); "
        "print(r.status, r.error, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    assert resource is not None
    with nginx(tmp_path, "location / { client_body_buffer_size 16k; dav_methods PUT; }") as server:
        peaks = []
        for size in (1, 100 << 20):
            os.truncate(large, size)
            done = subprocess.run(
                [sys.executable, "-c", program, server.url("/up"), large], capture_output=True, text=True, timeout=60
            )
            status, error, peak = done.stdout.split()
            assert (status[:2], error) == ("20", "None"), done
            peaks.append(int(peak) * (1 if sys.platform == "darwin" else 1024))
        assert (tmp_path / "www" / "up").stat().st_size == 100 << 20
    assert peaks[1] - peaks[0] < 30 << 20


# A crawl


def test_a_crawl_posts_its_inputs_alone(httpbin: Peer, tmp_path: Path) -> None:
    """What their pages lead to is fetched with GET, without the body and what tells of it."""
    page = 'return 200 "<a href=/b>b</a><a href=/a>a</a>"; default_type text/html;'
    with nginx(tmp_path, f"location / {{ {page} }}") as server:
        records = list(crawl([server.url("/a")], data="q=x", delay=0, robots=True))
        assert sorted((record.method, record.url[-2:]) for record in records) == [
            ("GET", "/a"),
            ("GET", "/b"),
            ("POST", "/a"),
        ]
        log = [line.split()[:2] for line in server.log(4)]
        assert ["POST", "/a"] in log
        assert ["GET", "/robots.txt"] in log


# The rest of what httpbin has


@pytest.mark.parametrize("status", [200, 201, 204, 206, 304, 400, 401, 404, 418, 429, 500, 503])
def test_statuses(httpbin: Peer, status: int) -> None:
    record = fetched(httpbin.url(f"/status/{status}"), adaptive=False)
    assert (record.status, record.outcome) == (status, "ok")


@pytest.mark.parametrize("path", ["/redirect/3", "/relative-redirect/3", "/absolute-redirect/3"])
def test_redirects_of_all_kinds(httpbin: Peer, path: str) -> None:
    record = fetched(httpbin.url(path))
    assert (record.status, len(record.redirects)) == (200, 3)
    assert record.final_url == httpbin.url("/get")
    assert fetched(httpbin.url(path), max_redirects=2).error.code == "too_many_redirects"  # type: ignore[union-attr]


@pytest.mark.parametrize("coding", ["gzip", "deflate", "brotli"])
def test_compressions(httpbin: Peer, coding: str) -> None:
    assert (
        got(fetched(httpbin.url(f"/{coding}")))[{"gzip": "gzipped", "deflate": "deflated"}.get(coding, coding)] is True
    )


def test_texts(httpbin: Peer) -> None:
    assert "∮ E⋅da = Q" in fetched(httpbin.url("/encoding/utf8")).text
    assert fetched(httpbin.url("/html")).content_type == "text/html"
    assert fetched(httpbin.url("/xml")).selector.css("slideshow").attrib["author"] == "Yours Truly"
    assert fetched(httpbin.url("/json")).json()["slideshow"]["author"] == "Yours Truly"
    assert fetched(httpbin.url("/deny")).content_type == "text/plain"
    assert fetched(httpbin.url("/image/png")).body.startswith(b"\x89PNG")


def test_what_takes_its_time(httpbin: Peer) -> None:
    assert fetched(httpbin.url("/delay/0.05")).status == 200
    assert fetched(httpbin.url("/delay/5"), headers_timeout=0.1).error.code == "timeout_headers"  # type: ignore[union-attr]
    dripped = fetched(httpbin.url("/drip?duration=0.1&numbytes=5&code=203"))
    assert (dripped.status, dripped.size_body) == (203, 5)
    assert len(fetched(httpbin.url("/stream/20")).text.splitlines()) == 20
    assert fetched(httpbin.url("/stream-bytes/100000?seed=1")).size_body == 100_000
    assert fetched(httpbin.url("/bytes/1000?seed=1")).size_body == 1000


def test_what_is_said_about_the_answer(httpbin: Peer) -> None:
    record = fetched(httpbin.url("/response-headers?X-A=1&X-A=2&Content-Type=text/x;%20charset=utf-8"))
    assert record.to_dict()["headers"]["x-a"] == ["1", "2"]
    assert "text/x" in record.to_dict()["headers"]["content-type"][-1]
    assert fetched(httpbin.url("/cache"), headers="If-None-Match: x").status == 304
    assert fetched(httpbin.url("/etag/abc"), headers='If-None-Match: "abc"').status == 304
    assert fetched(httpbin.url("/etag/abc"), headers='If-Match: "x"').status == 412
    assert got(fetched(httpbin.url("/user-agent"), user_agent="me/1"))["user-agent"] == "me/1"
    assert got(fetched(httpbin.url("/get?a=1&a=2")))["args"] == {"a": ["1", "2"]}


def test_links(httpbin: Peer) -> None:
    """A page with ten of them, which lead to one another."""
    records = list(crawl([httpbin.url("/links/4/0")], delay=0, scope="origin"))
    assert {record.url for record in records} == {httpbin.url(f"/links/4/{number}") for number in range(4)}
    assert {record.status for record in records} == {200}
