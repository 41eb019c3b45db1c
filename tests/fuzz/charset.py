"""A body and its Content-Type, which is the first line: its text."""

from __future__ import annotations

import codecs

from crawler.charset import decode_text, from_content_type
from crawler.charset.encodings import canonical

SAMPLES = (
    b'text/html; charset="utf-8"\n<!doctype html><meta charset=latin1>caf\xc3\xa9',
    b"text/html;charset=utf-16\n<a>",
    b"TEXT/HTML ; a=b; Charset='x-sjis' ; charset=utf-8\n\x82\xa0\x82\xa2\xff",
    b'\n<?xml version="1.0" encoding="koi8-r"?>\xc1\xc2',
    b'application/json; charset=idna\n{"a": "\xff\xed\xa0\x80"}',
    b"text/plain\ncaf\xe9",
    b"text/html\n<!-- <meta charset=big5> --><a title='<meta charset=x>'><meta http-equiv=content-type content='a;charset = \"gbk\"'>\xa4\xa4",
    b'text/html; charset=iso-2022-jp\n\x1b$B$"$\x1b(B',
    b"text/html; charset=gb18030\n\x81\x30\x81\x30\x84\x31\xa4\x37",
    b"a/b\n" + codecs.BOM_UTF16_LE + "ü".encode("utf-16-le") + b"\0",
)
TOKENS = (
    b"charset=", b";", b'"', b"'", b"\\", b"=", b"utf-7", b"idna", b"punycode", b"utf-16", b"utf-8", b"shift_jis", b"euc-jp", b"big5",
    b"iso-2022-jp", b"hz-gb-2312", b"x-user-defined", b"<meta charset=", b"<!--", b"-->", b"<?xml encoding='", b"\x1b$B", b"\x1b$(D",
    b"\x1b", b"\x80", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\x00", b"\n", b"/", b"text/html", b"\x8e", b"\x8f",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    head, _, body = data.partition(b"\n")
    content_type = head.decode("latin-1")
    media_type, label = from_content_type(content_type)
    assert media_type is None or (media_type == media_type.lower() and "/" in media_type)
    assert label is None or len(label) <= 64
    for declared in (None, label, "shift_jis", "windows-1252", "nonsense"):
        text, charset, warnings = decode_text(body, declared, content_type)
        text.encode()  # no lone surrogates
        assert canonical(charset) == charset
        assert set(warnings) <= {"charset", "charset_guessed"}
        assert len(text) <= len(body)
    utf8 = body.decode("utf-8", "replace").removeprefix("\ufeff")
    if not utf8.startswith("\ufeff"):
        assert decode_text(utf8.encode(), "utf-8", None).text == utf8
