"""The servers of others, as the tests start them."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request

import pytest
from real_peers import authority, free_port, nginx, users


def test_httpbin_answers_with_and_without_tls(httpbin):
    for url in (httpbin.url("/anything"), httpbin.secure("/anything")):
        context = ssl.create_default_context(cafile=authority().trusted) if url.startswith("https") else None
        with urllib.request.urlopen(url, context=context, data=b"a=1") as answer:
            assert json.load(answer)["form"] == {"a": "1"}


def test_nginx_serves_ranges_logins_and_http2(tmp_path):
    snippet = f"location /private {{ auth_basic x; auth_basic_user_file {users(tmp_path, me='secret')}; }}"
    with nginx(tmp_path, snippet) as server:
        (tmp_path / "www" / "a.txt").write_bytes(b"0123456789")
        request = urllib.request.Request(server.url("/a.txt"), headers={"Range": "bytes=2-4"})
        with urllib.request.urlopen(request) as answer:
            assert (answer.status, answer.read()) == (206, b"234")
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(server.url("/private"))
        refusal.value.close()
        assert refusal.value.code == 401
        context = ssl.create_default_context(cafile=authority().trusted)
        context.set_alpn_protocols(["h2"])
        connection = http.client.HTTPSConnection("localhost", server.tls_port, context=context)
        connection.connect()
        assert connection.sock.selected_alpn_protocol() == "h2"
        connection.close()
        assert [line[:24] for line in server.log(2)] == ["GET /a.txt HTTP/1.1 206 ", "GET /private HTTP/1.1 40"]


def test_what_cannot_start_says_why(tmp_path):
    """A line of the configuration that nginx does not know is told, and no test waits for it."""
    with pytest.raises(AssertionError, match="did not start"), nginx(tmp_path, "nonsense on;"):
        pass


def test_free_ports_are_free():
    assert free_port() > 0
