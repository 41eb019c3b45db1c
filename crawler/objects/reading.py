"""An object as a stream of bytes, read as it is asked for."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, cast

from crawler.objects.address import parse_address
from crawler.objects.bucket import Bucket

_BUFFER = 1 << 16


def open_object(address: str) -> io.BufferedReader:
    """The bytes of an object. Blocks, as reading from it does. Raises ValueError, OSError."""
    place = parse_address(address)
    return io.BufferedReader(cast(Any, _Pieces(Bucket(place).read(place.key))), _BUFFER)


class _Pieces(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._held = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, into: Any) -> int:
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._held = memoryview(piece)
        taken = self._held[: len(into)]
        into[: len(taken)] = taken
        self._held = self._held[len(taken) :]
        return len(taken)
