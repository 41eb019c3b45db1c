"""A cache before servers of others: what nginx says of its files, over HTTP/2, and through a proxy."""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest
from real_peers import authority, nginx, tinyproxy

from crawler import fetch_all

PAGE = b"<title>t</title>" + b"<p>words</p>" * 500


@pytest.mark.parametrize("way", ["plain", "http2", "proxy"])
def test_a_file_of_nginx(tmp_path, way):
    """Its ETag is weak where it compresses, and a 304 of it is about the same page; once it is new it is fetched."""
    with ExitStack() as peers:
        snippet = "gzip on; gzip_min_length 1; gzip_vary on; gzip_proxied any;"
        server = peers.enter_context(nginx(tmp_path, snippet))
        options = {"cache": str(tmp_path / "cache"), "headers": ["Cache-Control: max-age=0"]}
        url = server.url("/a.html")
        if way == "http2":
            options |= {"http2": True, "cacert": str(authority().trusted)}
            url = server.secure("/a.html", "localhost")
        if way == "proxy":
            options["proxy"] = f"http://127.0.0.1:{peers.enter_context(tinyproxy(tmp_path))}"
        page = tmp_path / "www" / "a.html"
        page.write_bytes(PAGE)
        first, again = (fetch_all([url], **options)[0] for _ in range(2))
        page.write_bytes(b"new" + PAGE)
        os.utime(page, (1_700_000_000, 1_700_000_000))
        new = fetch_all([url], **options)[0]
        del options["headers"]
        last = fetch_all([url], **options)[0]  # for so long unchanged, it is taken for fresh
    assert [record.cache for record in (first, again, new, last)] == ["miss", "revalidated", "miss", "hit"]
    assert [record.body for record in (first, again, new, last)] == [PAGE, PAGE, b"new" + PAGE, b"new" + PAGE]
    assert first.headers.first("etag").startswith("W/")
    assert {record.http_version for record in (first, again, new, last)} == {"2" if way == "http2" else "1.1"}
    assert (again.status, again.size_download, again.headers.first("content-encoding")) == (200, 0, "gzip")
    assert (again.proxy, last.proxy) == (options.get("proxy"), None)
    assert [line.split()[3] for line in server.log(3)] == ["200", "304", "200"]
