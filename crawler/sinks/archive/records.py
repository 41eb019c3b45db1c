"""The records of a WARC (ISO 28500:2017, WARC 1.1), and the members of gzip that hold one each. Pure.

A payload is what stands behind the head of an HTTP message, as it was sent: with its chunks and codings. So wget,
warcio and pywb read "payload", and `warcio check` computes its digest.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from random import Random
from struct import pack
from typing import Final

from crawler.redaction import is_credential

LEVEL: Final = 6
HIDDEN: Final = b"***"
"""What stands in the place of a credential."""
RESPONSE: Final = "application/http;msgtype=response"
REQUEST: Final = "application/http;msgtype=request"
FIELDS: Final = "application/warc-fields"
IDENTICAL: Final = "http://netpreserve.org/warc/1.1/revisit/identical-payload-digest"
_SHORT: Final = 600
_SMALL: Final = 4096
_END: Final = b"\r\n\r\n"
_PLAIN_MEMBER: Final = b"\x1f\x8b\x08\0\0\0\0\0\0\xff\x01"
"""Up to the length: no name, no time, from no system; the one block there is, the last."""

Field = tuple[str, str]


class Numbers:
    """Ids of records: UUIDs of version 4 (RFC 9562 section 5.4). The standard library asks the system for each: 8 us.

    Made for each run: processes that are forked off one another must not give the same ones.
    """

    def __init__(self) -> None:
        self._random = Random()  # noqa: S311 - seeded by the system; nothing is kept secret by them

    def new(self) -> str:
        digits = f"{self._random.getrandbits(128):032x}"
        variant = "89ab"[int(digits[16], 16) & 3]
        parts = (digits[:8], digits[8:12], f"4{digits[13:16]}", f"{variant}{digits[17:20]}", digits[20:])
        return f"<urn:uuid:{'-'.join(parts)}>"


def head_of(kind: str, number: str, date: str, fields: Iterable[Field], size: int) -> bytes:
    """The head of a record with a block of `size` bytes."""
    lines = "".join([f"{name}: {value}\r\n" for name, value in fields])
    text = (
        f"WARC/1.1\r\nWARC-Type: {kind}\r\nWARC-Record-ID: {number}\r\nWARC-Date: {date}\r\n"
        f"{lines}Content-Length: {size}\r\n\r\n"
    )
    return text.encode("utf-8", "replace")


def fields_block(pairs: Sequence[Field]) -> bytes:
    """A block of application/warc-fields."""
    return "".join([f"{name}: {' '.join(value.split())}\r\n" for name, value in pairs]).encode("utf-8", "replace")


class Packing:
    """Gives records to `put`, each as one member of gzip unless they are `plain`; `size` is what was given.

    `new_id` gives ids for them.
    """

    def __init__(self, put: Callable[[bytes], object], new_id: Callable[[], str], *, plain: bool) -> None:
        self.size = 0
        self.new_id = new_id
        self._put = put
        self._plain = plain

    def record(self, head: bytes, block: bytes, rest: Iterable[bytes] = ()) -> tuple[int, int]:
        """Where the record begins, and how long it is. The block may have a `rest` that is read piece by piece."""
        begin = self.size
        if self._plain:
            self._give(head + block)
            for piece in rest:
                self._give(piece)
            self._give(_END)
            return begin, self.size - begin
        if len(block) <= _SHORT and not rest:
            self._give(_stored(head + block + _END))
            return begin, self.size - begin
        small = len(head) + len(block) <= _SMALL and not rest
        # A window of 32 KiB is cleared for each: for what is small that would take longer than all the rest.
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, 16 + (12 if small else 15), 5 if small else 8)
        if small:
            self._give(packer.compress(head + block + _END) + packer.flush())
            return begin, self.size - begin
        self._give(packer.compress(head + block))
        for piece in rest:
            self._give(packer.compress(piece))
        self._give(packer.compress(_END) + packer.flush())
        return begin, self.size - begin

    def _give(self, data: bytes) -> None:
        self.size += len(data)
        self._put(data)


def _stored(data: bytes) -> bytes:
    """A member of gzip with what is short as it is (RFC 1951 section 3.2.4, RFC 1952): to pack a request takes 14 us,
    a tenth of what all else takes that is done for a small page, and saves 170 bytes.
    """
    size = len(data)
    return b"".join((_PLAIN_MEMBER, pack("<HH", size, size ^ 0xFFFF), data, pack("<II", zlib.crc32(data), size)))


@lru_cache(maxsize=1024)
def _hides(name: bytes) -> bool:
    return is_credential(name.decode("latin-1").strip())


def without_credentials(head: bytes) -> bytes:
    """The head of a request as others may see it: what lets its bearer in is ***, whatever header it is in."""
    lines = head.split(b"\r\n")
    for number, line in enumerate(lines):
        name, colon, _ = line.partition(b":")
        if number and colon and _hides(name):
            lines[number] = name + b": " + HIDDEN
    return b"\r\n".join(lines)
