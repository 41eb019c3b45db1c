"""What a stream of seeds is before it has lines: refused if it is no text, and made UTF-8 with LF if it is other text.

Nothing of the stream is taken by looking at it, and it is converted as it is read.
"""

from __future__ import annotations

import codecs
import gzip
import io
import json
import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from crawler.errors import CodedError

Stream = io.BufferedReader | gzip.GzipFile

_SLICE: Final = 1 << 16
ITEM_LIMIT: Final = 16 * 1024 * 1024

# What people take for a list, by its first bytes, and what to do about it.
_OTHERS: Final = (
    (b"PK\x03\x04", "an Excel workbook or another ZIP archive (name a workbook .xlsx, or unpack the archive)"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Excel workbook or another Office file (save the sheet as CSV)"),
    (b"%PDF-", "a PDF file (copy its URLs into a text file)"),
    (b"{\\rtf", "an RTF file (save it as plain text)"),
    (b"BZh", "packed with bzip2 (unpack it; gzip is read as it is)"),
    (b"\xfd7zXZ\0", "packed with xz (unpack it; gzip is read as it is)"),
    (b"\x28\xb5\x2f\xfd", "packed with zstd (unpack it; gzip is read as it is)"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive (unpack it)"),
    (b"SQLite format 3\0", "an SQLite database (export a table as CSV)"),
    (b"PAR1", "a Parquet file (export it as CSV)"),
    (b"\xff\xfe\0\0", "UTF-32 (save it as UTF-8)"),
    (b"\0\0\xfe\xff", "UTF-32 (save it as UTF-8)"),
)
_NOT_WHITE: Final = re.compile(r"[^ \t\r\n]")
_BEFORE_JSON: Final = b"\xef\xbb\xbf \t\r\n"
_JSON_ARRAY: Final = re.compile(rb"\[\s*(?:[\"{\]]|\Z)")
_JSON_ITEMS: Final = re.compile(rb"\[\s*\{")  # never the beginning of JSON Lines, whose lines are objects or strings
_JSON_LINES: Final = frozenset((".jsonl", ".ndjson"))
_JSON_OBJECT: Final = re.compile(rb'\{\s*(?:"|\Z)')
_CR_ENDS: Final = re.compile(rb"\r(?:\0)?[^\n\0]")


def as_lines(stream: Stream) -> Stream:
    """The stream, in UTF-8 and with LF at its lines' ends. Raises CodedError with what it is, if it is no text."""
    head = stream.peek(1)
    for start, what in _OTHERS:
        if head.startswith(start):
            raise CodedError("url_invalid", f"it is {what}")
    codec = _utf_16(head)
    returns = b"\n" not in head and _CR_ENDS.search(head) is not None
    if codec is None and not returns:
        return stream
    return io.BufferedReader(_Converted(stream, codec or "utf-8", returns=returns))


def _utf_16(head: bytes) -> str | None:
    """By its mark, or by the NUL beside each of the first two letters."""
    if head.startswith(codecs.BOM_UTF16_LE) or (head[1:4:2] == b"\0\0" and head[0] and head[2]):
        return "utf-16-le"
    if head.startswith(codecs.BOM_UTF16_BE) or (len(head) > 3 and head[0:3:2] == b"\0\0" and head[1] and head[3]):
        return "utf-16-be"
    return None


class _Converted(io.RawIOBase):
    def __init__(self, stream: Stream, codec: str, *, returns: bool) -> None:
        self._stream = stream
        # Bytes that are not UTF-8 travel as lone surrogates, here as in lines that need no conversion.
        errors = "surrogateescape" if codec == "utf-8" else "replace"
        self._decode = codecs.getincrementaldecoder(codec)(errors).decode
        self._returns = returns
        self._left = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            octets = self._stream.read1(_SLICE)
            text = self._decode(octets, not octets)
            if self._returns:
                text = text.replace("\r", "\n")
            self._left = text.encode("utf-8", "surrogateescape")
            if not octets:
                break
        taken = self._left[: len(buffer)]
        buffer[: len(taken)] = taken
        self._left = self._left[len(taken) :]
        return len(taken)


def json_kind(stream: Stream, structure: str) -> str:
    """Whether it is JSON, an "array" or ".jsonl", by its suffix and its first characters; else "".

    Raises CodedError for JSON of another shape.
    """
    head = stream.peek(1).lstrip(_BEFORE_JSON)
    if structure not in {"", ".json"}:
        return "array" if structure in _JSON_LINES and _JSON_ITEMS.match(head) else structure
    if head.startswith(b"[") and (structure or _JSON_ARRAY.match(head)):
        return "array"
    if not head.startswith(b"{"):
        return ".jsonl" if structure and head[:1] == b'"' else ""
    first, end, _ = head.partition(b"\n")
    try:
        msgspec.json.decode(first)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        if end and _JSON_OBJECT.match(head):
            raise CodedError("url_invalid", "it is a JSON object (allowed: an array, or JSON Lines)") from None
    return ".jsonl" if structure or _JSON_OBJECT.match(head) else ""


def json_items(stream: Stream) -> Iterator[Any]:
    """The items of the JSON array that a stream holds, one by one; the rest of it is not in memory.

    Raises CodedError where it is no JSON, ValueError where it is not UTF-8.
    """
    text = _JsonText(stream)
    text.take("[")
    if text.sign() != "]":
        yield text.value()
        while text.sign() == ",":
            text.take(",")
            yield text.value()
    text.take("]")
    if text.sign():
        raise CodedError("url_invalid", "something follows the JSON array")


class _JsonText:
    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("strict").decode
        self._value = json.JSONDecoder().raw_decode
        self._text = ""
        self._at = 0
        self._ended = False

    def sign(self) -> str:
        """The next character that is not white space, which stays; "" at the end."""
        while True:
            found = _NOT_WHITE.search(self._text, self._at)
            if found is not None:
                self._at = found.start()
                return found[0]
            self._at = len(self._text)
            if not self._more():
                return ""

    def take(self, sign: str) -> None:
        found = self.sign()
        if found != sign:
            raise CodedError(
                "url_invalid", f"it is not JSON: {sign!r} is missing" + (f" before {found!r}" if found else "")
            )
        self._at += 1

    def value(self) -> Any:
        self.sign()
        while True:
            try:
                value, end = self._value(self._text, self._at)
            except RecursionError:
                raise CodedError("url_invalid", "it is nested too deep") from None
            except ValueError as error:
                if len(self._text) - self._at < ITEM_LIMIT and self._more():
                    continue
                raise CodedError("url_invalid", f"it is not JSON: {error}") from None
            if end < len(self._text) or not self._more():  # a number may go on
                self._at = end
                return value

    def _more(self) -> bool:
        """Read on, at least as much as is there: what is incomplete is decoded anew each time."""
        pieces = [self._text[self._at :]]
        missing = len(pieces[0])
        while not self._ended:
            octets = self._stream.read1(_SLICE)
            self._ended = not octets
            pieces.append(self._decode(octets, self._ended))
            missing -= len(pieces[-1])
            if missing <= 0 and pieces[-1]:
                break
        self._text, self._at = "".join(pieces), 0
        return len(pieces) > 1 and any(pieces[1:])
