"""Records: whatever a server puts into them, a line of JSON and a row of CSV hold it; whatever a line says is no trap."""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata

import msgspec

from crawler.charset import decode_text
from crawler.models import ErrorInfo, Input, Record, Redirect
from crawler.printable import printable, well_formed
from crawler.sinks.csv import Csv
from crawler.sinks.jsonl import JsonLines

LINE, TEXT = b"\0", b"\1"
EXAMPLE = Record(
    url="http://a/", input=Input("urls.txt", 1), outcome="ok", status=200, wire_body="aGVsbG8=", body_encoding="base64"
)
SAMPLES = (
    LINE + msgspec.json.encode(EXAMPLE),
    LINE
    + b'{"url":"u","input":{"parent":"p","depth":2},"outcome":"failed","error":{"code":"c","phase":"p","transient":true,"message":"m"}}',
    LINE
    + b'{"url":"","input":{},"outcome":"skipped","body":"\\ud83d\\ude00","headers":{"a":["b"]},"redirects":[{"url":"r","status":301}]}',
    LINE
    + b'{"url":"","input":{},"outcome":"ok","body":"<a>","content_type":"text/xml","charset":"utf-7","data":[[1,2.5,null]]}',
    TEXT + b"a\n=1;@2\t+3",
    TEXT + b"=cmd()|' /C calc'!A0\n\x1b[31mred\x07\n\xe2\x80\xaeevil\n",
    TEXT + b'"quoted", and\r\nmore\x00\xed\xa0\x80\xed\xb0\x80\xff\xc2\x85\xe2\x80\xa8',
)
TOKENS = (
    b'"', b"{", b"}", b"[", b"]", b":", b",", b"\\", b"\\ud800", b"\\u0000", b"\xed\xa0\x80", b"\xff", b"\x00", b"\n", b"\r", b"\xe2\x80\xa8", b"\xc2\x85",
    b"=", b"+", b"-", b"@", b"\t", b"\x1b", b"null", b"1e999", b"-1", b"1" * 30, b'"base64"', b'"body":', b'"body_encoding":', b"\xef\xbc\x9d", b";",
)  # fmt: skip
# Where `;` parts cells, quotes count for nothing behind it, and lines end rows.
FORMULA = re.compile("[;\t\r\n][=+\\-@\uff1d\uff0b\uff0d\uff20]")
MARK = re.compile("(?:^|(?<=[;\t\r\n]))'(?=[=+\\-@\uff1d\uff0b\uff0d\uff20\t\r\n])")
TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


class _Writer:
    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


def fuzz(data: bytes) -> None:
    if not data:
        return
    (_line if data[0] % 2 == 0 else _text)(data[1:])


def _line(line: bytes) -> None:
    try:
        record = msgspec.json.decode(line, type=Record)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return
    assert msgspec.json.decode(msgspec.json.encode(record), type=Record) == record
    _written(record)
    try:
        body = record.body
    except ValueError:  # what is not base64
        return
    assert record.text == decode_text(body, record.charset, record.content_type).text
    assert record.ok in {True, False}
    record.selector.xpath("//*") if record.selector.type != "json" else None


def _text(data: bytes) -> None:
    text = data.decode("utf-8", "surrogateescape")
    _written(
        Record(
            url=text,
            input=Input(text, 1, text, 2),
            outcome="failed",
            error=ErrorInfo("internal", text, False, text),
            wire_headers={text: [text]},
            redirects=(Redirect(text, 301),),
            title=text,
            data={text: [text, {text: None}]},
            wire_body=text,
        )
    )
    shown = printable(text)
    shown.encode()
    # Nothing that moves the cursor, colours the text or turns its direction.
    for character in shown:
        assert unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"}, shown
        assert unicodedata.bidirectional(character) not in TURNING, shown


def _written(record: Record) -> None:
    """One line each, whatever stands in it."""
    lines = _Writer()
    JsonLines(lines).write(record, None, 0)  # type: ignore[arg-type]
    text = lines.data.decode()
    assert text.splitlines() == [text[:-1]]
    assert text.endswith("\n")
    assert json.loads(text) == well_formed(msgspec.to_builtins(record))
    for raw in (False, True):
        rows = _Writer()
        Csv(rows, raw=raw, header=False).write(record, None, 0)  # type: ignore[arg-type]
        (row,) = csv.reader(io.StringIO(rows.data.decode(), newline=""))
        url = well_formed(record.url)
        assert row[0] == url if raw else _without_marks(row[0]) == _without_marks(url)
        assert raw or not any(cell[:1] in set("=+@\t\r\n") for cell in row)
        assert raw or not any(FORMULA.search(cell) for cell in row)


def _without_marks(text: str) -> str:
    """Without the apostrophes that keep a spreadsheet from running what follows them, wherever a cell may begin."""
    return MARK.sub("", text)
