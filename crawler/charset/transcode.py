"""Bytes of a document that says of itself which charset it is in, as UTF-8, while they arrive. Pure.

For sitemaps: expat reads UTF-8, UTF-16 and single bytes. So that it is never asked, all goes through here.
"""

from __future__ import annotations

import codecs
import re
from typing import Final

from crawler.charset.encodings import canonical, decode

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16le"),
    (codecs.BOM_UTF16_BE, "utf-16be"),
)
_WIDE: Final = {"utf-16le": "utf-16-le", "utf-16be": "utf-16-be"}
_STEADY: Final = {"utf-8": "utf-8", **_WIDE}  # what Python decodes as the Encoding Standard does
_STATEFUL: Final = "iso-2022-jp"  # what bytes mean depends on all that came before
_BEFORE: Final = b" \t\r\n"
_HEAD: Final = 1_024
_LONGEST_LINE: Final = 1 << 16
_DECLARATION: Final = re.compile(rb"""<\?xml\s[^>]*?\bencoding\s*+=\s*+["']([^"'>]++)["']""")


class Transcoder:
    """What is fed comes out as UTF-8, without byte order marks; what is no character is U+FFFD.

    The charset is what the mark says, else `charset`, else what an XML declaration says, else UTF-8. Whoever could read
    a declaration of UTF-16 did not read UTF-16, and a label that nobody knows says nothing.
    """

    def __init__(self, charset: str | None = None) -> None:
        self._told = canonical(charset) if charset else None
        self._name: str | None = None
        self._decoder: codecs.IncrementalDecoder | None = None
        self._held = b""
        self._whole: list[bytes] = []

    def feed(self, data: bytes) -> bytes:
        """Some more bytes; what of them can be told by now."""
        if self._name is None:
            data = self._held + data
            if not _is_enough(data):
                self._held = data
                return b""
            data = self._open(data)
        return self._text(data, final=False)

    def finish(self) -> bytes:
        """The rest, at the end of the bytes."""
        data, self._held = self._held, b""
        if self._name is None:
            data = self._open(data)
        return self._text(data, final=True)

    def _open(self, head: bytes) -> bytes:
        self._held = b""
        self._name, rest = self._charset_of(head)
        if self._name in _STEADY:
            self._decoder = codecs.getincrementaldecoder(_STEADY[self._name])("replace")
        return rest

    def _charset_of(self, head: bytes) -> tuple[str, bytes]:
        start = head.lstrip(_BEFORE)
        for mark, name in _MARKS:
            if start.startswith(mark):
                return name, start[len(mark) :]
        if start.startswith((b"<\0", b"\0<")):
            return "utf-16le" if start[0] else "utf-16be", start
        name = self._told or "utf-8"
        declaration = None if self._told else _DECLARATION.match(start)
        if declaration:
            name = canonical(declaration[1].decode("latin-1")) or name
        return "utf-8" if name in _WIDE else name, head

    def _text(self, data: bytes, *, final: bool) -> bytes:
        if self._decoder is not None:
            return self._decoder.decode(data, final).encode().replace(codecs.BOM_UTF8, b"")
        assert self._name is not None
        if self._name == _STATEFUL:
            self._whole.append(data)
            if not final:
                return b""
            data = b"".join(self._whole)
        data = self._held + data
        # None of the others has the end of a line or a tag inside of a character.
        end = len(data) if final else max(data.rfind(b"\n"), data.rfind(b">")) + 1
        if not end and len(data) > _LONGEST_LINE:
            end = len(data)
        data, self._held = data[:end], data[end:]
        return decode(data, self._name).encode() if data else b""


def _is_enough(head: bytes) -> bool:
    """Whether these bytes tell the charset: nothing can follow that says another."""
    start = head.lstrip(_BEFORE)
    if len(head) >= _HEAD or b"?>" in start:
        return True
    return len(start) >= 6 and not start.startswith(b"<?xml")
