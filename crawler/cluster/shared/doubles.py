"""Which of a great many keys come twice: exact for billions of them, in bounded memory."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from itertools import groupby
from tempfile import TemporaryFile
from typing import IO, Final

KEY_BYTES: Final = 8
_BUCKETS: Final = 256
_IN_MEMORY: Final = 64 << 20


class Doubles:
    """Takes keys of 8 bytes. They are in 256 buckets by their first byte: in memory, and from `in_memory` bytes on in
    temporary files, to be sorted one after the other.
    """

    def __init__(self, in_memory: int = _IN_MEMORY) -> None:
        self._in_memory = in_memory
        self._held = [bytearray() for _ in range(_BUCKETS)]
        self._files: list[IO[bytes]] = []
        self._size = 0

    def add(self, key: bytes) -> None:
        self._held[key[0]] += key
        self._size += KEY_BYTES
        if self._size >= self._in_memory:
            self._write()

    def found(self) -> Iterator[tuple[bytes, int]]:
        """Each key that came more than once, and how often that was."""
        for number in range(_BUCKETS):
            keys = self._bucket(number)
            for key, same in groupby(keys):
                times = sum(1 for _ in same)
                if times > 1:
                    yield key.to_bytes(KEY_BYTES, sys.byteorder), times

    def close(self) -> None:
        for file in self._files:
            file.close()

    def _bucket(self, number: int) -> list[int]:
        keys = bytes(self._held[number])
        if self._files:
            file = self._files[number]
            file.seek(0)
            keys += file.read()
        words = array("Q", keys)
        return sorted(words)

    def _write(self) -> None:
        if not self._files:
            self._files = [TemporaryFile() for _ in range(_BUCKETS)]  # noqa: SIM115 - until `close`
        for held, file in zip(self._held, self._files, strict=True):
            file.seek(0, 2)
            file.write(held)
            held.clear()
        self._size = 0
