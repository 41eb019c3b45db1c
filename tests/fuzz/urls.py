"""Lines of text as URLs: parse, join, canonical form, redact. The first line is the base of the others."""

from __future__ import annotations

from crawler.errors import CodedError
from crawler.redaction import redact, scrub
from crawler.urls import Url, canonical_href, canonical_key, join, parse

from .tools import check_error

SAMPLES = (
    b"https://example.com/\nhttp://user:secret@example.org:8080/a/b/../c?q=1&utm_source=x#top\n../d?e\n//other.example/",
    b"http://[2001:db8::1]:81/x\nhttp://[::ffff:127.0.0.1]/\nhttp://0x7f.1/\nhttp://2130706433/\n?\n#\n",
    "https://ja.wikipedia.org/wiki/日本語\nhttp://bücher.example/?q=ü\nhttp://xn--bcher-kva.example.\n".encode(),
    b"HTTP:\\\\EXAMPLE.com\\a\\..\\b\nhttp:///a\nhttps:a\nhttp://a..b/\nhttp://.a/\nhttp://a./\nhttp://a:0/\nhttp://a:65536/",
    b"mailto:user@example.com\njavascript:alert(1)\nuser:pass@host/path\nftp://user:secret@host/\nlocalhost:8080/a",
    b"http://a/%zz%00%2e%2E/%2e./x y?<>\"'`{}|\\^\nhttp://a/?a=1&a=2&b&&=&fbclid=1\n\thttp://a/\t\n ht\ttp://a/",
    b"http://u:p/w@host/\nhttp://u:p#w@host/\nhttp://u:p?w@host\nhttp://u@x:p@host:80/?u:q@r\n//u:p@h/\nhttp://@/\nhttp://u:@h/",
)
TOKENS = (
    b"http://", b"https://", b"//", b"/", b"\\", b"?", b"#", b"@", b":", b"[", b"]", b"%", b"%00", b"%2e", b"..", b".",
    b"user:secret@", b":80", b":443", b":0", b"\t", b"\n", b"\r", b" ", b"\x00", b"\x7f", b"\xc2\xad", b"\xe3\x80\x82",
    b"\xff", b"\xed\xa0\x80", b"xn--", b"xn--a-ecp.ru", b"0x", b"::", b"1.2.3.4", b"\xef\xbc\x8f", b"&", b"=", b"utm_a=b",
    b"a" * 64, b"a." * 130, b"javascript:", b"data:,", b"file:///", b"\xe2\x80\xae", b"\xef\xbb\xbf", b"\xc3\x9f",
)  # fmt: skip
INVALID = ("url_invalid", "scheme_unsupported")


def fuzz(data: bytes) -> None:
    base: Url | None = None
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        url = _parsed(line)
        if base is not None:
            _check_join(base, line)
        base = base or url
        _check_redaction(line, url)


def _parsed(text: str) -> Url | None:
    try:
        url = parse(text)
    except CodedError as error:
        check_error(error, *INVALID)
        return None
    _check(url)
    return url


def _check(url: Url) -> None:
    assert url.href.isascii()
    assert url.href.isprintable()
    assert not set(" #") & set(url.href)
    assert url.href == f"{url.scheme}://{url.authority}{url.target}"
    assert url.scheme in {"http", "https"}
    assert url.target.startswith("/")
    assert url.host
    assert not set("@/?#[] %") & set(url.host)
    assert 1 <= url.port <= 65535
    assert "@" not in url.authority
    again = parse(url.href)
    assert again.userinfo == ""
    assert again.href == url.href
    assert (again.host, again.port, again.host_key) == (url.host, url.port, url.host_key)
    for sort_query in (False, True):
        for drop_trackers in (False, True):
            how = {"sort_query": sort_query, "drop_trackers": drop_trackers}
            canonical = canonical_href(url, **how)
            same = parse(canonical)
            assert canonical_href(same, **how) == canonical
            assert canonical_key(same, **how) == canonical_key(url, **how)
            assert same.host_key == url.host_key


def _check_join(base: Url, reference: str) -> None:
    try:
        url = join(base, reference)
    except CodedError as error:
        check_error(error, *INVALID)
        return
    _check(url)
    assert join(base, url.href).href == url.href


def _check_redaction(text: str, url: Url | None) -> None:
    shown = redact(text)
    scrubbed = scrub(text)
    if url is not None:
        # What may be shown leads to the same place, without the password.
        assert parse(shown) == parse(url.href), shown
    for safe in (shown, scrubbed):
        again = _parsed_quietly(safe)
        assert again is None or again.userinfo == "", safe


def _parsed_quietly(text: str) -> Url | None:
    try:
        return parse(text)
    except CodedError:
        return None
