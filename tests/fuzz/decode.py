"""A compressed body. The first byte says in what codings; the same comes of it however it is cut."""

from __future__ import annotations

import gzip
import zlib

import brotli

from crawler.errors import CodedError
from crawler.fetch.codings import zstd
from crawler.fetch.decode import ACCEPT_ENCODING, Decoder, parse_encodings

from .tools import check_error, segmentations

TEXT = b"Hello, hello, hello: the same again, and again. " * 8
CODINGS = (
    (), ("gzip",), ("deflate",), ("br",), ("zstd",), ("gzip", "gzip"), ("deflate", "gzip"), ("br", "zstd"),
    ("zstd", "deflate", "gzip"), ("unknown",),
)  # fmt: skip
ENCODERS = {"gzip": lambda data: gzip.compress(data, mtime=0), "deflate": zlib.compress, "br": brotli.compress}
if zstd is not None:
    ENCODERS["zstd"] = zstd.compress
MAX_SIZE = 1 << 15  # so small that the ratio does not matter, which is counted by what has come by then


def _sample(number: int, body: bytes) -> bytes:
    for coding in CODINGS[number]:
        body = ENCODERS[coding](body)
    return bytes((number,)) + body


SAMPLES = (
    *(_sample(number, TEXT) for number in range(len(CODINGS) - 1)),
    *(_sample(number, b"\0" * 100_000) for number in range(1, 9)),
    _sample(1, TEXT) + gzip.compress(b"more", mtime=0) + b"\0\0junk",
    _sample(4, b"") + b"\x50\x2a\x4d\x18\x02\0\0\0ab" + _sample(4, TEXT)[1:],
    b"\x02" + zlib.compress(TEXT)[2:-4],  # raw
    b"\x09plain",
)
TOKENS = (
    b"\x1f\x8b\x08\x00", b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18", b"\x78\x9c", b"\0", b"\0" * 8, b"\xff" * 4,
    gzip.compress(b"", mtime=0), gzip.compress(b"a", mtime=0), b"\x06", b"\x03",
)  # fmt: skip


def fuzz(data: bytes) -> None:
    if not data:
        return
    codings, body = CODINGS[data[0] % len(CODINGS)], data[1:]
    if not set(codings) <= {*ACCEPT_ENCODING.split(", "), "unknown"}:
        return
    whole = _decoded(codings, [body])
    for pieces in segmentations(body):
        salvaged, code, warnings = _decoded(codings, pieces)
        # How much comes out before a fault depends on how much the libraries were given at once, and so does whether
        # another fault, of the next coding or of the size, is met before it.
        longest = max(salvaged, whole[0], key=len)
        assert longest.startswith(salvaged)
        assert longest.startswith(whole[0])
        if "zstd" in codings and code != whole[1] and "decode_error" in {code, whole[1]}:
            continue  # libzstd sees that a frame is shorter than it announces only when it gets all of it at once
        if code is None or whole[1] is None:
            assert (salvaged, code, warnings) == whole
        elif len(codings) == 1 and "body_too_large" not in {code, whole[1]}:
            assert (code, warnings) == whole[1:]
    if codings != ("unknown",):
        encoded = body[: MAX_SIZE // 2]
        for coding in codings:
            encoded = ENCODERS[coding](encoded)
        assert _decoded(codings, [encoded]) == (body[: MAX_SIZE // 2], None, [])
    try:
        parse_encodings([body.decode("latin-1")])
    except CodedError as error:
        check_error(error, "decode_error")


def _decoded(codings: tuple[str, ...], pieces: list[bytes]) -> tuple[bytes, str | None, list[str]]:
    """What came of it; the raw start of a body of which not a byte could be decoded counts as nothing."""
    decoder = Decoder(codings, max_size=MAX_SIZE)
    body, code = b"", None
    try:
        for piece in pieces:
            body += decoder.feed(piece)
        decoder.finish()
    except CodedError as error:
        check_error(error, "decode_error", "body_truncated", "body_too_large")
        code = error.code
        body = body + decoder.salvaged if body or not b"".join(pieces).startswith(decoder.salvaged) else b""
    assert len(body) <= MAX_SIZE or not codings
    return body, code, decoder.warnings
