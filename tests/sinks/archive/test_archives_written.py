"""Archives of runs against real sockets, read by warcio, which is not ours."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import pytest
from archive_tools import check, of_kind, payload, records, serving
from http2_faults import faulty_servers
from real_peers import authority

from crawler.api import crawl, fetch_all
from crawler.cli.main import main
from crawler.config.config import ConfigError


def index(path: Path) -> list[tuple[str, str, dict[str, str]]]:
    lines = path.read_text().splitlines()
    assert lines == sorted(lines)
    return [(key, date, json.loads(rest)) for key, date, rest in (line.split(" ", 2) for line in lines)]


def archived(folder: Path, urls: list[str], **options) -> tuple[Path, list]:
    path = folder / "site.warc.gz"
    fetched = fetch_all(urls, output=[str(path)], retries=0, **options)
    check(path)
    return path, fetched


def test_what_went_over_the_wire(site, tmp_path):
    """A group for each exchange: the request as it was sent, and the answer with its own bytes."""
    url = site.url("/p/7.html")
    path, (record,) = archived(tmp_path, [url])
    about, response, request = records(path)
    assert [about.kind, response.kind, request.kind] == ["warcinfo", "response", "request"]
    assert about.headers["warc-filename"] == "site.warc.gz"
    assert response.url == request.url == url
    assert response.headers["warc-ip-address"] == "127.0.0.1"
    assert response.headers["warc-date"] == record.started
    assert request.headers["warc-concurrent-to"] == response.headers["warc-record-id"]
    head, _, body = response.block.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == record.body
    assert response.headers["warc-payload-digest"] == f"sha256:{hashlib.sha256(body).hexdigest()}"
    assert request.block.startswith(b"GET /p/7.html HTTP/1.1\r\nHost: ")
    assert request.block.endswith(b"\r\n\r\n")


def test_chunks_and_codings_stay(site, tmp_path):
    """Below the parser: what is kept is what was sent, and others read the same body out of it."""
    urls = [site.url(name) for name in ("/chunked.html", "/encoded/gzip.html", "/encoded/deflate.html")]
    path, fetched = archived(tmp_path, urls)
    responses = of_kind(path, "response")
    assert len(responses) == 3
    chunked = next(record for record in responses if record.url.endswith("/chunked.html"))
    assert re.search(rb"\r\n\r\n[0-9a-fA-F]+\r\n", chunked.block)
    bodies = {record.url: record.body for record in fetched}
    for _, _, entry in index(tmp_path / "site.cdxj"):
        assert payload(path, int(entry["offset"])) == bodies[entry["url"]]


def test_each_hop_of_a_redirect(site, tmp_path):
    path, (record,) = archived(tmp_path, [site.url("/moved/twice")])
    hops = [hop.url for hop in record.redirects]
    responses = of_kind(path, "response", "revisit")
    assert [found.url for found in responses] == [*hops, record.final_url]
    told = {found.url: found.block.decode() for found in of_kind(path, "metadata")}
    assert told == {
        url: f"via: {via}\r\nhopsFromSeed: R\r\n" for via, url in zip(hops, [*hops[1:], record.final_url], strict=True)
    }


def test_failures_are_told(site, tmp_path):
    """Without an answer: why. With a part of one: that, marked as cut, and why."""
    dead, cut = "http://127.0.0.1:1/", site.url("/fault/body-short")
    path, fetched = archived(tmp_path, [dead, cut])
    codes = {record.url: record.error.code for record in fetched}
    told = {record.url: record.block.decode() for record in of_kind(path, "metadata")}
    for url, code in codes.items():
        assert told[url].startswith(f"error: {code}\r\nmessage: ")
    (response,) = of_kind(path, "response")
    assert response.url == cut
    assert response.headers["warc-truncated"] == "disconnect"


def test_the_same_payload_is_kept_once(site, tmp_path):
    url = site.url("/p/7.html")
    path, _ = archived(tmp_path, [url, url])
    (response,) = of_kind(path, "response")
    (again,) = of_kind(path, "revisit")
    assert again.headers["warc-payload-digest"] == response.headers["warc-payload-digest"]
    assert again.headers["warc-refers-to-target-uri"] == url
    assert again.headers["warc-refers-to-date"] == response.headers["warc-date"]
    assert again.headers["warc-profile"].endswith("/identical-payload-digest")
    assert again.block == response.block.partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


def test_names_that_were_looked_up(site, tmp_path):
    url = site.url("/p/1.html").replace("127.0.0.1", "localhost")
    path, _ = archived(tmp_path, [url, url], ipv4=True)
    (told,) = of_kind(path, "resource")
    assert told.url == "dns:localhost"
    assert told.headers["content-type"] == "text/dns"
    assert re.fullmatch(rb"\d{14}\nlocalhost\.\t0\tIN\tA\t127\.0\.0\.1\n", told.block)


def test_robots_belong_to_it(site, tmp_path):
    """What a crawl asks for beside its pages is marked as a prerequisite."""
    path = tmp_path / "site.warc.gz"
    list(crawl([site.url("/p/0.html")], output=[str(path)], delay=0, max_pages=3))
    check(path)
    robots = site.url("/robots.txt")
    assert [record.block for record in of_kind(path, "metadata") if record.url == robots] == [b"hopsFromSeed: P\r\n"]
    assert robots in {record.url for record in of_kind(path, "response")}


def test_what_is_large_is_not_held(site, tmp_path):
    """It is packed by a thread out of a file, and is whole when its record is there; small ones come meanwhile."""
    with serving({"/large": os.urandom(3_000_000)}) as base:
        urls = [f"{base}/large", *(site.url(f"/p/{number}.html") for number in range(50))]
        path, fetched = archived(tmp_path, urls)
    bodies = {record.url: record.body for record in fetched}
    found = {entry["url"]: payload(path, int(entry["offset"])) for _, _, entry in index(tmp_path / "site.cdxj")}
    assert found == bodies
    assert len(found) == 51


@pytest.mark.parametrize("name", ["site.warc", "SITE.WARC.GZ"])
def test_other_suffixes(site, tmp_path, name):
    """Without .gz it is plain."""
    path = tmp_path / name
    fetch_all([site.url("/p/1.html")], output=[str(path)])
    check(path)
    assert path.read_bytes().startswith(b"WARC/1.1" if name == "site.warc" else b"\x1f\x8b")
    (entry,) = index(tmp_path / f"{name.split('.')[0]}.cdxj")
    assert payload(path, int(entry[2]["offset"])).startswith(b"<html>")


def test_numbered_files(tmp_path):
    """Each begins by saying what it is; the index has all of them."""
    with serving({f"/{size}": bytes(size) for size in (700_000, 710_000, 720_000)}) as base:
        urls = [f"{base}/{size}" for size in (700_000, 710_000, 720_000)]
        fetch_all(urls, output=[str(tmp_path / "site.warc")], warc_max_size=1 << 20)
    files = sorted(tmp_path.glob("site-*.warc"))
    assert [file.name for file in files] == ["site-00000.warc", "site-00001.warc", "site-00002.warc"]
    for file in files:
        check(file)
        assert records(file)[0].headers["warc-filename"] == file.name
    found = {entry["url"]: entry for _, _, entry in index(tmp_path / "site.cdxj")}
    assert set(found) == set(urls)
    for url, entry in found.items():
        assert len(payload(tmp_path / entry["filename"], int(entry["offset"]))) == int(url.rpartition("/")[2])


def test_nothing_to_archive(tmp_path):
    """It is an archive all the same."""
    path, _ = archived(tmp_path, [])
    assert [record.kind for record in records(path)] == ["warcinfo"]
    assert index(tmp_path / "site.cdxj") == []


def test_beside_other_outputs(site, tmp_path):
    """Records are written as ever; with the order of a list, too."""
    urls = [site.url(f"/p/{number}.html") for number in range(20)]
    outputs = [str(tmp_path / "site.warc.gz"), str(tmp_path / "out.jsonl")]
    fetch_all(urls, output=outputs, ordered=True)
    lines = [json.loads(line)["url"] for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert lines == urls
    assert {record.url for record in of_kind(tmp_path / "site.warc.gz", "response")} == set(urls)


def test_a_job_goes_on_with_it(site, tmp_path):
    """The index is of all runs; each says what it was."""
    path, job = tmp_path / "site.warc.gz", str(tmp_path / "job")
    urls = tmp_path / "urls.txt"
    urls.write_text("".join(f"{site.url(f'/p/{number}.html')}\n" for number in range(10)))
    for most in ("4", "10"):
        main([str(urls), "-q", "--job", job, "-o", str(path), "--max-pages", most])
    check(path)
    assert [record.kind for record in records(path)].count("warcinfo") == 2
    entries = index(tmp_path / "site.cdxj")
    assert len(entries) == 10
    for _, _, entry in entries:
        assert payload(path, int(entry["offset"])).startswith(b"<html>")


def test_what_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="one"):
        fetch_all([], output=[str(tmp_path / "a.warc"), str(tmp_path / "b.warc.gz")])
    with pytest.raises(ConfigError, match="items are no archive"):
        list(crawl([], items=str(tmp_path / "a.warc.gz")))
    with pytest.raises(ConfigError, match="a job keeps one file"):
        fetch_all([], output=[str(tmp_path / "a.warc")], warc_max_size=1 << 20, job=str(tmp_path / "job"))


def test_frames_become_a_text(tmp_path, monkeypatch):
    """HTTP/2 has no other: what is written is the HTTP/1.1 message that says the same."""
    monkeypatch.setenv("SSL_CERT_FILE", str(authority().trusted))
    with faulty_servers() as ports:
        path, (record,) = archived(tmp_path, [f"https://127.0.0.1:{ports['good']}/"], http2=True)
    assert record.http_version == "2"
    (response,) = of_kind(path, "response")
    (request,) = of_kind(path, "request")
    assert response.headers["warc-protocol"] == "h2"
    head, _, body = response.block.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == record.body
    assert request.block.startswith(b"GET / HTTP/1.1\r\nHost: 127.0.0.1:")
