"""Content codings (gzip, deflate, br, zstd), decoded as the bytes arrive and never beyond a limit. Pure.

Bytes are decoded in steps of at most 64 KiB and counted after each, so that a bomb costs one step, not its size.
The same rules serve a response body, a compressed sitemap and a compressed list of URLs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from crawler.errors import CodedError
from crawler.fetch.codings import DECODE_ERRORS, OPEN, STEP, Deflate, Member

MAX_CODINGS: Final = 3
MAX_RATIO: Final = 1000
RATIO_FREE: Final = 1 << 20  # a short body may be very repetitive
_SLICE: Final = 1 << 14  # every member of a slice copies what follows it: short slices keep that linear
_FREE_MEMBERS: Final = 1000
_MIN_MEMBER: Final = 64
_GZIP_MAGIC: Final = b"\x1f\x8b"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE: Final = b"\x2a\x4d\x18"  # after a byte 0x50 to 0x5f: RFC 8878 section 3.1.2

ACCEPT_ENCODING: Final = ", ".join(OPEN)
"""The value of Accept-Encoding: what can be decoded here, and nothing else."""


def parse_encodings(values: Sequence[str]) -> list[str]:
    """The codings of all Content-Encoding header values in the order of their application, without "identity".

    An unknown coding stays in the list: a Decoder then leaves the body as it is. Raises CodedError `decode_error` for
    more than three codings.
    """
    codings = []
    for value in values:
        for item in value.lower().split(","):
            coding = item.strip(" \t")
            if coding and coding != "identity":
                codings.append("gzip" if coding == "x-gzip" else coding)
    if len(codings) > MAX_CODINGS:
        raise CodedError(
            "decode_error", f"{len(codings)} content codings on top of each other (allowed: {MAX_CODINGS})"
        )
    return codings


class Decoder:
    """Decodes one body. Feed it the bytes of the wire as they come, then call `finish`.

    `encodings` is in the order in which the codings were applied, as `parse_encodings` gives it. With one that is not
    known nothing is decoded: the body stays raw and `warnings` says `unknown_encoding`. Bytes after the end of the
    stream are ignored and warned of as `trailing_junk`. An empty body is an empty body in any coding.

    `feed`, `steps` and `finish` raise CodedError: `decode_error`, `body_truncated` or `body_too_large`. What a failing
    `feed` had decoded until then is in `salvaged`; together with what the calls before returned it is never more than
    `max_size`. When not a byte could ever be decoded, `salvaged` is the raw body instead (its first 64 KiB).
    """

    def __init__(self, encodings: Sequence[str], *, max_size: int) -> None:
        self.warnings: list[str] = []
        self.salvaged = b""
        known = all(coding in OPEN for coding in encodings)
        if not known:
            self.warnings.append("unknown_encoding")
        self._stages = [_Stage(coding, self.warnings) for coding in reversed(encodings)] if known else []
        self._max_size = max_size
        self._wire = 0
        self._size = 0
        self._error: CodedError | None = None
        self._raw = b""  # kept only until the first byte is decoded

    @property
    def whole(self) -> bool:
        """Whether the stream has come to its end, checksum and all: whatever may follow is no part of the body."""
        return bool(self._stages) and all(stage.ended for stage in self._stages)

    def feed(self, data: bytes) -> bytes:
        """Decode what can be decoded by now. After an error: that error again, with nothing more salvaged."""
        pieces: list[bytes] = []
        try:
            pieces.extend(self.steps(data))
        except CodedError:
            self.salvaged = b"".join(pieces) or self.salvaged
            raise
        return b"".join(pieces)

    def steps(self, data: bytes) -> Iterator[bytes]:
        """Decode as `feed` does, a piece at a time, each at most 64 KiB and some empty: none takes a millisecond.

        To be gone through to the end before there is more.
        """
        self.salvaged = b""
        if self._error is not None:
            raise self._error
        self._wire += len(data)
        if not self._size:
            self._raw = (self._raw + data)[:STEP]
        try:
            for piece in self._through(self._stages, data):
                room = self._max_size - self._size
                self._size += len(piece)
                yield piece[:room]
                self._check_size(self._size, self._max_size)
        except CodedError as error:
            self._error = error
            self.salvaged = b"" if self._size else self._raw
            raise
        if self._size:
            self._raw = b""

    def finish(self) -> None:
        """Call at the end of the body. Raises CodedError `body_truncated` when the stream has not come to its end."""
        for stage in self._stages:
            if not stage.finish():
                self.salvaged = self._raw
                raise CodedError("body_truncated", f"the {stage.coding} stream is cut short", phase="decode")

    def _through(self, stages: Sequence[_Stage], data: bytes) -> Iterator[bytes]:
        if len(stages) <= 1:
            return stages[0].steps(data) if stages else iter((data,))
        return self._through_many(stages, data)

    def _through_many(self, stages: Sequence[_Stage], data: bytes) -> Iterator[bytes]:
        first, *others = stages
        for piece in first.steps(data):
            yield from self._through(others, piece) if piece else (b"",)
            # What one coding makes for the next is a bomb too, even if the last one makes nothing of it. But the
            # encoded form of a small body may be a little larger than the body.
            self._check_size(first.size, 2 * self._max_size + STEP)

    def _check_size(self, size: int, limit: int) -> None:
        if size > limit:
            message = f"more than {self._max_size:,} bytes when decoded (--max-size)"
        elif size > RATIO_FREE and size > MAX_RATIO * self._wire:
            message = f"{self._wire:,} bytes decode to more than {MAX_RATIO} times as much"
        else:
            return
        raise CodedError("body_too_large", message, phase="decode")


class _Stage:
    """One coding: member after member. `size` counts what it has decoded."""

    def __init__(self, coding: str, warnings: list[str]) -> None:
        self.coding = coding
        self.size = 0
        self._open = OPEN[coding]
        self._warnings = warnings
        self._member: Member | None = None
        self._members = 0
        self._held = b""  # too few bytes yet to know what they begin
        self._ended = False

    def steps(self, data: bytes) -> Iterator[bytes]:
        for start in range(0, len(data), _SLICE):
            if self._ended:
                return
            try:
                yield from self._slice(data[start : start + _SLICE])
            except DECODE_ERRORS as error:
                raise CodedError("decode_error", f"not a valid {self.coding} stream: {error}") from error

    @property
    def ended(self) -> bool:
        """Whether it has come to an end that may be the last."""
        return self._members > 0 and self._member is None and not self._held

    def finish(self) -> bool:
        """Whether the stream came to its end, or never began. A trailer that is missing is no loss."""
        if self._held and self._members:
            self._junk()
        member = self._member
        if isinstance(member, Deflate) and member.all_out:
            self._warnings.append("no_checksum")
            return True
        return member is None and not self._held

    def _slice(self, data: bytes) -> Iterator[bytes]:
        while data:
            member = self._member
            if member is None:
                data = self._between(self._held + data)
                member = self._member
                if member is None:
                    return
            for piece in member.steps(data):
                self.size += len(piece)
                yield piece
            if not member.eof:
                return
            data = member.unused_data
            self._member = None
            self._members += 1
            yield b""

    def _between(self, data: bytes) -> bytes:
        """Open the member that begins here, hold the bytes back, or give them up as junk. Returns what to feed it."""
        if self._members:
            if self._members > _FREE_MEMBERS and self.size < self._members * _MIN_MEMBER:
                # Opening one takes up to 3 us: an endless row of empty ones would be a bomb of time.
                raise CodedError(
                    "decode_error", f"{self._members:,} {self.coding} members with next to nothing in them"
                )
            if self.coding == "br":  # refused here too, so that it does not depend on where the network cuts
                raise CodedError("decode_error", "bytes after the end of the br stream")
            if self.coding == "gzip":
                data = data.lstrip(b"\0")  # tapes and block devices pad with zeros: gzip(1) ignores them too
            follows = self._next_begins(data)
            if follows is False:
                self._junk()
                return b""
        else:
            follows = True
        self._member = self._open(data) if follows else None
        self._held = b"" if self._member else data
        return data

    def _next_begins(self, data: bytes) -> bool | None:
        """Whether another member begins here; None: not enough bytes to say."""
        if self.coding == "gzip":
            return data[:2] == _GZIP_MAGIC if len(data) > 1 else None if _GZIP_MAGIC.startswith(data) else False
        if self.coding == "zstd":
            if data[:1] and 0x50 <= data[0] <= 0x5F:
                data, magic = data[1:4], _ZSTD_SKIPPABLE
            else:
                data, magic = data[:4], _ZSTD_MAGIC
            return data == magic if len(data) == len(magic) else None if magic.startswith(data) else False
        return False

    def _junk(self) -> None:
        self._held = b""
        self._ended = True
        self._warnings.append("trailing_junk")
