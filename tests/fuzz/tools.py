"""What the targets share: cutting bytes into pieces, and what came of a call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random
from zlib import crc32

from crawler.errors import CODES, CodedError


def segmentations(data: bytes, longest: int = 4096) -> Iterator[list[bytes]]:
    """The same bytes in other pieces: at random (the bytes themselves decide how) and, unless long, one by one."""
    random = Random(crc32(data))
    for most in (3, 12):
        cuts = sorted({random.randrange(len(data) + 1) for _ in range(random.randrange(1, most))})
        yield [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    if len(data) <= longest:
        yield [data[at : at + 1] for at in range(len(data))]


def code_of(call: Callable[[], object], *allowed: str) -> str | None:
    """The code of the error that the call raises, if it does; any is allowed, or only these."""
    try:
        call()
    except CodedError as error:
        check_error(error, *allowed)
        return error.code
    return None


def check_error(error: CodedError, *allowed: str) -> None:
    """It has a code that is documented, and a message that can be written down."""
    assert error.code in (allowed or CODES), f"{error.code}: {error.message}"
    assert error.code != "internal", error.message
    error.message.encode("utf-8", "surrogatepass")
