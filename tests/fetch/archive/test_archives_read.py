"""Archives in place of a network: the same records as of the run that made them, and what others have written."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from warcio.warcwriter import WARCWriter

from crawler.api import crawl, fetch_all
from crawler.cli.main import main
from crawler.config.config import Config
from crawler.fetch.archive.captures import Captures
from crawler.fetch.archive.reading import records
from crawler.site.faults.connection import FRAMING
from crawler.site.faults.content import CODING
from crawler.site.faults.head import HEADERS, STATUS_LINE
from crawler.site.pages import PAGES

URL = "http://a.example/"
SLOW = {"/slow.html", "/pause.html", "/talk", "/echo"}


def read(*inputs: Path | str, **options) -> list:
    """The records of a run that asks archives."""
    return _run(Config.build(inputs=[str(name) for name in inputs], **options))


def _run(config: Config) -> list:
    from crawler.run.composition import Crawler
    from crawler.run.reactors import private_reactor, run
    from crawler.sinks.memory import ListSink

    sink = ListSink()
    with private_reactor() as (reactor, dial):
        crawler = Crawler(config, reactor=reactor, dial=dial, sinks=[sink])
        run(reactor, crawler.run)
    return sink.records


def told(record) -> tuple:
    """What must be the same of a page, wherever it is read."""
    return (
        record.url, record.final_url, record.status, record.http_version, record.wire_headers, record.sha256,
        record.size_download, record.title, record.links, record.data, record.remote_ip,
        [(hop.url, hop.status) for hop in record.redirects], sorted(record.warnings),
    )  # fmt: skip


def test_the_same_records(site, tmp_path):
    """Of all good pages: codings, charsets, chunks, redirects, statuses."""
    path = tmp_path / "site.warc.gz"
    urls = [site.url(name) for name in PAGES if name not in SLOW]
    extract = {"extract": ["heading=css:h1::text"]}
    live = {
        record.url: told(record) for record in fetch_all(urls, output=[str(path)], retries=0, adaptive=False, **extract)
    }
    again = read(path, **extract)
    assert {record.url: told(record) for record in again} == live
    assert {record.input.source for record in again} == {str(path)}


def test_what_servers_do_wrong(site, tmp_path):
    """An answer that was read live is read the same; one that was not is no better for being archived."""
    path = tmp_path / "site.warc.gz"
    names = [name for name in (*FRAMING, *STATUS_LINE, *HEADERS, *CODING) if "busy" not in name]  # those are waited for
    urls = [site.url(f"/fault/{name}") for name in names]
    live = fetch_all(urls, output=[str(path)], retries=0, timeout=1, adaptive=False, per_host=64)
    again = {record.url: record for record in read(path)}
    answered = 0
    for record in live:
        if record.status is None or record.url not in again:
            continue
        answered += 1
        found = again[record.url]
        if record.error is None:
            assert found.error is None, record.url
            assert (found.status, found.sha256, found.wire_headers) == (
                record.status,
                record.sha256,
                record.wire_headers,
            ), record.url
        else:
            assert found.error is not None, record.url
    assert answered > 50


def test_a_crawl_stays_inside(site, tmp_path):
    """It begins at the first page and follows links; robots.txt is not asked, and no host is spared."""
    path = tmp_path / "site.warc.gz"
    options = {"max_pages": 40, "delay": 0}
    live = {record.url: told(record) for record in crawl([site.url("/p/0.html")], output=[str(path)], **options)}
    again = read(path, recursive=True)
    assert {record.url: told(record) for record in again if record.ok} == live
    missing = [record for record in again if not record.ok]
    assert {record.error.code for record in missing} == {"not_archived"}
    assert missing


def test_urls_beside_it(site, tmp_path):
    """Where URLs are given, too, these are what is asked for."""
    path = tmp_path / "site.warc.gz"
    _, asked, _ = fetch_all([site.url(f"/p/{number}.html") for number in range(3)], output=[str(path)])
    there, nowhere = read(path, site.url("/p/1.html"), "http://other.example/")
    if there.url == "http://other.example/":
        there, nowhere = nowhere, there
    assert there.url == site.url("/p/1.html")
    assert there.started == asked.started
    assert there.body == asked.body
    assert nowhere.error.code == "not_archived"
    assert nowhere.error.message == f"it is not in {path}"


def test_why_there_is_no_answer(tmp_path):
    path = tmp_path / "site.warc.gz"
    fetch_all(["http://127.0.0.1:1/"], output=[str(path)], retries=0)
    (record,) = read(path, "http://127.0.0.1:1/")
    assert record.error.code == "not_archived"
    assert record.error.message.endswith("when that was made, it failed with connect_refused")
    assert read(path) == []


def test_the_same_payload_twice(site, tmp_path):
    """A revisit is read with the payload that it refers to."""
    path = tmp_path / "site.warc.gz"
    same = [site.url("/moved"), site.url("/moved/307")]
    live = fetch_all(same, output=[str(path)])
    assert {record.url: told(record) for record in read(path)} == {record.url: told(record) for record in live}


# Of other programs.


def archive(path: Path, *blocks: tuple[str, bytes], kind: str = "response", packed: bool = True, **fields: str) -> Path:
    """What warcio writes for these: URL and block."""
    with path.open("wb") as stream:
        writer = WARCWriter(stream, gzip=packed)
        for url, block in blocks:
            record = writer.create_warc_record(
                url, kind, payload=io.BytesIO(block), length=len(block), warc_headers_dict=fields
            )
            writer.write_record(record)
    return path


@pytest.mark.parametrize("packed", [True, False])
def test_of_warcio(tmp_path, packed):
    path = archive(
        tmp_path / "a.warc", (URL, b"HTTP/1.0 200 OK\r\nContent-Type: text/html\r\n\r\n<title>x</title>"), packed=packed
    )
    (record,) = read(path, extract=["t=css:title::text"])
    assert (record.status, record.http_version, record.body, record.data) == (
        200,
        "1.0",
        b"<title>x</title>",
        {"t": "x"},
    )


@pytest.mark.parametrize(
    ("head", "body"),
    [
        ("Transfer-Encoding: chunked", b"<p>no chunks</p>"),
        ("Content-Encoding: gzip\r\nContent-Length: 12", b"<p>no gzip, and longer</p>"),
        ("Content-Encoding: br\r\nTransfer-Encoding: chunked", b"<!doctype html><p>neither</p>"),
        ("Content-Length: 900", b"<p>shorter</p>"),
        ("Content-Encoding: gzip", zlib.compress(b"<p>packed</p>", wbits=31)),
        ("X-Crawl-Content-Encoding: gzip\r\nX-Crawl-Content-Length: 5", b"<p>Common Crawl</p>"),
    ],
)
def test_heads_that_are_not_of_the_body(tmp_path, head, body):
    """Others unpack what they keep, and leave the head as it was: the body counts."""
    path = archive(tmp_path / "a.warc.gz", (URL, f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + body))
    (record,) = read(path)
    assert record.error is None
    assert record.body.startswith(b"<")
    assert record.body == (zlib.decompress(body, 31) if body.startswith(b"\x1f\x8b") else body)


def test_what_was_cut(tmp_path):
    block = b"HTTP/1.1 200 OK\r\n\r\n<p>half"
    path = archive(tmp_path / "a.warc.gz", (URL, block), **{"WARC-Truncated": "length"})
    (record,) = read(path)
    assert record.error.code == "body_truncated"
    assert record.truncated
    assert record.body == b"<p>half"


@pytest.mark.parametrize("behind", [True, False])
def test_other_methods_than_get(tmp_path, behind):
    """Each answer is that of its method and body, wherever the request stands: behind it, or before it as of wget.
    Of a body that nobody has sent it is the last one of the method. What was had by GET stays what GET has.
    """
    path = tmp_path / "a.warc.gz"
    with path.open("wb") as stream:
        writer = WARCWriter(stream)
        for method, sent in ((b"GET", b""), (b"POST", b"one"), (b"POST", b"two"), (b"PUT", b"one")):
            pair = [
                writer.create_warc_record(URL, kind, payload=io.BytesIO(block), length=len(block))
                for kind, block in (
                    ("response", b"HTTP/1.1 200 OK\r\n\r\n" + method + b" " + sent),
                    ("request", method + b" / HTTP/1.1\r\nHost: a.example\r\n\r\n" + sent),
                )
            ]
            first, second = pair if behind else reversed(pair)
            second.rec_headers.add_header("WARC-Concurrent-To", first.rec_headers.get_header("WARC-Record-ID"))
            writer.write_record(first)
            writer.write_record(second)
    asked = [("GET", None), ("HEAD", None), ("POST", b"one"), ("POST", b"two"), ("POST", b"x"), ("PUT", b"one")]
    sink = tmp_path / "in.jsonl"
    lines = [{"url": URL, "method": method, "data": sent and sent.decode()} for method, sent in asked]
    sink.write_text("".join(f"{json.dumps({k: v for k, v in line.items() if v})}\n" for line in lines))
    bodies = {(record.method, record.body) for record in read(path, sink)}
    assert bodies == {
        ("GET", b"GET "), ("HEAD", b""), ("POST", b"POST one"), ("POST", b"POST two"), ("PUT", b"PUT one"),
    }  # fmt: skip
    captures = Captures([str(path)])
    assert captures.place(URL, "POST", b"x") == captures.place(URL, "POST", b"two")
    assert captures.place(URL, "DELETE") == captures.place(URL)
    assert [url for _, _, url in captures.urls()] == [URL]
    captures.close()


def test_resources(tmp_path):
    """What was archived without an exchange has its type, and 200."""
    path = archive(tmp_path / "a.warc.gz", (URL, b"%PDF-"), kind="resource", **{"Content-Type": "application/pdf"})
    (record,) = read(path)
    assert (record.status, record.body) == (200, b"%PDF-")


def response(url: str, body: bytes, *more: str) -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + body
    lines = [
        "WARC/1.0",
        "WARC-Type: response",
        f"WARC-Target-URI: {url}",
        f"Content-Length: {len(block)}",
        *more,
        "",
        "",
    ]
    return "\r\n".join(lines).encode() + block + b"\r\n\r\n"


FIRST, SECOND = response("http://a.example/1", b"one"), response("<http://a.example/2>", b"two")


@pytest.mark.parametrize(
    "junk",
    [
        b"garbage, and more of it\r\n\r\n",
        response("http://a.example/x", b"x").replace(b"Content-Length: ", b"Content-Length: x"),
        response("http://a.example/x", b"x").replace(b"Content-Length", b"X-Length"),
        b"WARC/1.0\r\n" + b"x" * 70_000 + b"\r\n",
    ],
)
@pytest.mark.parametrize("packed", [True, False])
def test_a_bad_record_costs_itself(tmp_path, capfd, junk, packed):
    """One sentence about it; what is behind it is read."""
    path = tmp_path / "a.warc"
    path.write_bytes(b"".join(gzip.compress(part) if packed else part for part in (FIRST, junk, SECOND)))
    assert main([str(path), "-o", str(tmp_path / "out.jsonl"), "--no-progress"]) == 0
    urls = [json.loads(line)["url"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert set(urls) >= {"http://a.example/1", "http://a.example/2"}
    told_ = [line for line in capfd.readouterr().err.splitlines() if str(path) in line and " has " in line]
    assert len(told_) <= 1


def test_damaged_and_cut(tmp_path):
    """A member of gzip that is damaged, and an archive that ends inside of one."""
    one, two = gzip.compress(FIRST), gzip.compress(SECOND)
    path = tmp_path / "a.warc.gz"
    damaged = one[:30] + bytes([one[30] ^ 0xFF]) + one[31:]
    path.write_bytes(damaged + two + gzip.compress(FIRST)[:-20])
    captures = Captures([str(path)])
    assert [url for _, _, url in captures.urls()] == ["http://a.example/2"] or len(list(captures.urls())) == 2
    assert len(captures.notes) == 2
    captures.close()


def test_one_stream_of_gzip(tmp_path):
    """Nothing can be found again in that: it is said, with what mends it."""
    path = tmp_path / "a.warc.gz"
    path.write_bytes(gzip.compress(FIRST + SECOND))
    captures = Captures([str(path)])
    assert [url for _, _, url in captures.urls()] == ["http://a.example/1"]
    assert "warcio recompress" in captures.notes[0]
    captures.close()


def test_a_wacz(tmp_path):
    path = tmp_path / "a.wacz"
    with zipfile.ZipFile(path, "w") as stored:
        stored.writestr("pages/pages.jsonl", b"{}")
        stored.writestr("archive/one.warc.gz", gzip.compress(FIRST))
        stored.writestr("archive/two.warc", SECOND)
    assert {record.url: record.body for record in read(path)} == {
        "http://a.example/1": b"one",
        "http://a.example/2": b"two",
    }


def test_what_is_none(tmp_path):
    path = tmp_path / "a.wacz"
    path.write_bytes(b"no zip")
    with pytest.raises(Exception, match=r"a\.wacz cannot be read"):
        read(path)


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes(data, packed):
    """Whatever a file holds, it is read to its end."""
    whole = gzip.compress(FIRST) + data if packed else FIRST + data
    found = [record.kind for record in records(io.BytesIO(whole))]
    assert found[:1] == ["response"]
