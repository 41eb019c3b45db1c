"""proxy.py: how the URL of a proxy is read, and that its login is shown nowhere."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from crawler.fetch.connect.proxy import Proxy, parse_proxy


@pytest.mark.parametrize(
    ("text", "proxy", "shown"),
    [
        ("proxy.example", Proxy("http", "proxy.example", 1080), "http://proxy.example:1080"),
        ("proxy.example:3128", Proxy("http", "proxy.example", 3128), "http://proxy.example:3128"),
        (" http://Proxy.Example:3128/ ", Proxy("http", "proxy.example", 3128), "http://proxy.example:3128"),
        ("https://proxy.example", Proxy("https", "proxy.example", 443), "https://proxy.example:443"),
        ("SOCKS5://127.0.0.1", Proxy("socks5", "127.0.0.1", 1080), "socks5://127.0.0.1:1080"),
        ("socks5h://[::1]:9", Proxy("socks5h", "::1", 9), "socks5h://[::1]:9"),
        ("http://b\u00fccher.example:1", Proxy("http", "xn--bcher-kva.example", 1), "http://xn--bcher-kva.example:1"),
        ("http://user@p:1", Proxy("http", "p", 1, b"user"), "http://p:1"),
        ("user:word@p:1", Proxy("http", "p", 1, b"user", b"word"), "http://p:1"),
        ("http://us%40er:w%3Ao%2Frd%00%C3%BC@p:1", Proxy("http", "p", 1, b"us@er", b"w:o/rd\0\xc3\xbc"), "http://p:1"),
        ("http://user:w@rd@p:1", Proxy("http", "p", 1, b"user", b"w@rd"), "http://p:1"),
        ("http://@p:1", Proxy("http", "p", 1), "http://p:1"),
    ],
)
def test_read(text: str, proxy: Proxy, shown: str) -> None:
    """As curl reads it, with curl's defaults; percent-encoding in the login is undone. It is shown without that."""
    read = parse_proxy(text)
    assert read == proxy
    assert str(read) == shown
    for secret in ("user", "word", "w@rd", "us@er"):
        assert secret not in repr(read)
        assert secret not in f"{read}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is not the URL of a proxy"),
        ("http://", "is not the URL of a proxy (http://HOST:PORT; or https, socks5, socks5h)"),
        ("ftp://user:hunter2@p:1", "has the scheme ftp, but proxies are http, https, socks5 or socks5h"),
        ("socks4://user:hunter2@p", "has the scheme socks4"),
        ("http://user:hunter2@p:0", "has the port 0"),
        ("http://user:hunter2@p:65536", "has the port 65536"),
        ("http://user:hunter2@p:x", "is not the URL of a proxy"),
        ("http://user:hunter2@p:1/path", "is not the URL of a proxy"),
        ("http://user:hunter/2@p:1", "write it percent-encoded"),
        ("http://user:hunter#2@p:1", "write it percent-encoded"),
        ("http://user:hunter 2@p:1", "write it percent-encoded"),
        ("http://us%3Aer:hunter2@p:1", "a user name with a colon"),
        ("http://user:hunter2@-p:1", "does not name a host"),
        ("http://user:hunter2@p..\u00fc:1", "does not name a host"),
        ("http://user:hunter2@[::g]:1", "is not the URL of a proxy"),
        ("http://user:hunter2@[1::2::3]:1", "does not name a host"),
        ("socks5://user@p", "1 to 255 bytes each"),
        (f"socks5://{'u' * 256}:hunter2@p", "1 to 255 bytes each"),
    ],
)
def test_refused(text: str, words: str) -> None:
    """In words that say what would be right, and hold nothing of what may be the password."""
    with pytest.raises(ValueError, match=r"^(is|has|does) ") as caught:
        parse_proxy(text)
    assert words in str(caught.value)
    assert "hunter" not in str(caught.value)
    assert "user:" not in str(caught.value).replace("USER:", "")


@pytest.mark.parametrize(
    ("text", "resolves", "takes_urls"),
    [("http://p", True, True), ("https://p", True, True), ("socks5://p", False, False), ("socks5h://p", True, False)],
)
def test_kinds(text: str, resolves: Any, takes_urls: Any) -> None:
    proxy = parse_proxy(text)
    assert (proxy.resolves, proxy.takes_urls) == (resolves, takes_urls)


def test_authorization() -> None:
    """RFC 7617: the octets as they were given."""
    line = parse_proxy("http://us%40er:w%C3%BC:rd@p").authorization
    name, _, value = line.rstrip(b"\r\n").rpartition(b" ")
    assert name == b"Proxy-Authorization: Basic"
    assert base64.b64decode(value) == b"us@er:w\xc3\xbc:rd"
    assert parse_proxy("http://p").authorization == b""
