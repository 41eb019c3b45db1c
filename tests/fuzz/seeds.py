"""An input: the first byte says of what suffix, and whether a column is named. Whatever it holds, it gives seeds."""

from __future__ import annotations

import gzip
import io
from typing import Any

import msgspec

from crawler.redaction import redact
from crawler.seeds.formats import check_stream, read_stream
from crawler.seeds.seed import TEXT_LIMIT, BadLine, InputError, Seed

from .tools import check_error

FORMATS = (
    ("", None),
    (".csv", None),
    (".csv", "url"),
    (".tsv", "2"),
    (".jsonl", None),
    (".jsonl", "a.b"),
    (".json", None),
)
LIST, CSV, NAMED, TSV, JSON, DEEP, ARRAY = (bytes((number,)) for number in range(7))
SAMPLES = (
    LIST + b"\xef\xbb\xbf# comment\nhttp://a/ # more\n\n  https://user:secret@b/#f\nno URL\nhttp://c/\xff\r\n",
    LIST + b'<?xml version="1.0"?><urlset><url><loc>http://a/</loc></url>\n<url/><url><loc>no</loc></url></urlset>',
    LIST + b"<http://a/>\n<rss><channel><item><link>http://a/?x&y</link></item>",
    LIST + gzip.compress(b"http://a/\nhttp://b/\n", mtime=0),
    CSV + b'id,URL,"a ""b"""\n1,http://a/,x\n2,"http://b/\nc",\n3\n',
    NAMED + b'http://a/,url\n\x00,http://b/\n"unclosed,x\n',
    TSV + b"a\thttp://a/\n\n\thttp://b/\t\n",
    JSON + b'{"url": "http://a/", "x": [1]}\n"http://b/"\n{"url": 1}\n[]\nnope\n{"url": "\\ud800"}\n',
    LIST + "\ufeff“http://a/”,\r\nwww.example.com/x\n".encode("utf-16-le"),
    LIST + b"http://a/\rhttp://b/\r",
    CSV + b"sep=;\nid;url\n1;http://a/,b\n",
    CSV + b"id;url\r1;http://a/\r2;http://b/\r",
    ARRAY + b'[ "http://a/", {"url": "b.example"}, [1], 1e5, {"url": null}] x',
    JSON
    + b'{"url":"http://a/","method":"PUT","headers":{"A":"b"},"json":[1],"meta":{"n":1},"x":2}\n{"url":"http://a/","form":5}\n',
    DEEP + b'{"a": {"b": "http://a/"}}\n{"a.b": "http://b/"}\n{"a": []}\n',
)
TOKENS = (
    b"http://a/", b"user:secret@", b"\n", b"\r", b"\r\n", b",", b"\t", b'"', b"'", b"#", b" #", b"\x00", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf",
    b"\x1f\x8b", b"<urlset>", b"<url><loc>", b"</loc></url>", b"<?xml", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"{", b"}", b"[" * 200, b":", b'"url"',
    b'{"url":', b'"method":', b'"headers":', b'"data":', b'"form":', b'"meta":', b"\\u0000", b"\\ud800", b"url", b"\xc2\x85", b"\xe2\x80\xa8", b"a" * 3000, b"null", b"1e999",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    if not data:
        return
    structure, column = FORMATS[data[0] % len(FORMATS)]
    refused = False
    try:
        check_stream(_stream(data[1:]), structure, column)
    except InputError as error:
        assert len(str(error)) < 4000
        refused = True
    found = list(read_stream(_stream(data[1:]), structure, "input", column, "https"))
    kept = list(read_stream(_stream(data[1:]), structure, "input", column, "https", keep=True))
    assert [item.input for item in kept] == [item.input for item in found]
    for item in kept:
        msgspec.json.encode(item.meta if isinstance(item, BadLine) else item.ask)
    for item in found:
        assert isinstance(item, (Seed, BadLine))
        text = item.text if isinstance(item, BadLine) else item.written
        text.encode()
        assert item.input.source == "input"
        if isinstance(item, BadLine):
            assert len(text) <= TEXT_LIMIT
            check_error(item.error, "url_invalid", "scheme_unsupported", "request_invalid")
        else:
            assert redact(text) == text
    lines = [item.input.line for item in found if item.input.line is not None]
    assert lines == sorted(lines)
    if not structure and not data[1:].startswith(b"\x1f\x8b"):
        ends = data.count(b"\n") + data.count(b"\r") + 1
        assert len(found) <= 1 + max(ends, data.count(b"<"), data.count(b",") + 2)
    if refused:  # then the run would not have begun; that it says so in its record, too, is all that is asked
        return


def _stream(data: bytes) -> Any:
    buffered = io.BufferedReader(io.BytesIO(data))  # type: ignore[arg-type]
    return gzip.GzipFile(fileobj=buffered) if data.startswith(b"\x1f\x8b") else buffered
