"""bypass.py: which servers a list of NO_PROXY means."""

from __future__ import annotations

import pytest

from crawler.fetch.connect.bypass import Bypass


@pytest.mark.parametrize(
    ("text", "host", "matches"),
    [
        ("", "example.com", False),
        ("*", "example.com", True),
        (" * ", "192.0.2.1", True),
        ("a.example,*", "b.example", False),  # alone it means all
        ("example.com", "example.com", True),
        ("example.com", "EXAMPLE.com.", True),
        ("example.com.", "example.com", True),
        ("example.com", "www.example.com", True),
        ("example.com", "nonexample.com", False),
        ("example.com", "example.com.evil.example", False),
        (".example.com", "example.com", True),
        (".example.com", "a.b.example.com", True),
        (".example.com", "nonexample.com", False),
        ("a.example, b.example", "b.example", True),
        ("a.example b.example", "b.example", True),
        ("a.example,,b.example,", "b.example", True),
        ("localhost", "localhost", True),
        ("localhost", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.11", False),
        ("0.0.1", "127.0.0.1", False),  # the end of an address is no suffix
        ("192.168.0.0/16", "192.168.200.1", True),
        ("192.168.0.0/16", "192.169.0.1", False),
        ("192.168.1.1/24", "192.168.1.200", True),
        ("192.168.0.0/16", "a.192.168.0.1.example", False),
        ("0.0.0.0/0", "203.0.113.9", True),
        ("0.0.0.0/0", "::1", False),
        ("::1", "::1", True),
        ("[::1]", "::1", True),
        ("2001:db8::/32", "2001:db8:1::2", True),
        ("2001:db8::/32", "2001:db9::2", False),
        ("10.0.0.0/40", "10.0.0.1", False),  # no network, and no name either
    ],
)
def test_matches(text: str, host: str, matches: bool) -> None:
    """As curl's tests of its own list have it."""
    assert Bypass(text).matches(host, 80) is matches


@pytest.mark.parametrize(
    ("text", "host", "port", "matches"),
    [
        ("example.com:8080", "example.com", 8080, True),
        ("example.com:8080", "www.example.com", 8080, True),
        ("example.com:8080", "example.com", 80, False),
        ("127.0.0.1:8080", "127.0.0.1", 8080, True),
        ("127.0.0.1:8080", "127.0.0.1", 80, False),
        ("[::1]:8080", "::1", 8080, True),
        ("[::1]:8080", "::1", 80, False),
        ("example.com:8080,example.com", "example.com", 80, True),
    ],
)
def test_ports(text: str, host: str, port: int, matches: bool) -> None:
    """A port behind an item restricts it."""
    assert Bypass(text).matches(host, port) is matches
