"""Lines and columns of places in a document, in one pass. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_MARK: Final = b"\xef\xbb\xbf"


class Positions:
    """Tells line and column, from 1 and in characters, of offsets that never go back: linear in the document, also
    where all of it is one line. `decoded` makes text of bytes.
    """

    def __init__(self, body: bytes, decoded: Callable[[bytes], str]) -> None:
        self._body = body
        self._decoded = decoded
        self._at = len(_MARK) if body.startswith(_MARK) else 0
        self._line = 1
        self._column = 1

    def of(self, offset: int) -> tuple[int, int]:
        body, at = self._body, self._at
        if offset > at:
            lines = body.count(b"\n", at, offset)
            if lines:
                self._line += lines
                self._column = 1
                at = body.rfind(b"\n", at, offset) + 1
            between = body[at:offset]
            self._column += len(between) if between.isascii() else len(self._decoded(between))
            self._at = offset
        return self._line, self._column
