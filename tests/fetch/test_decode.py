"""crawler.fetch.decode: whatever the coding and however the bytes are cut, the body comes out whole, or an error says why not."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import brotli
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crawler.errors import WARNINGS, CodedError
from crawler.fetch.decode import ACCEPT_ENCODING, Decoder, parse_encodings

try:
    from compression import zstd
except ImportError:
    from backports import zstd

MIB = 1 << 20
TEXT = b"The quick brown fox jumps over the lazy dog. " * 5
CHECKED_ZSTD = {zstd.CompressionParameter.checksum_flag: 1}


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def skippable(data: bytes) -> bytes:
    """RFC 8878 section 3.1.2."""
    return b"\x5a\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data


# name of the case, coding on the wire, encoder
CODINGS: list[tuple[str, str, Callable[[bytes], bytes]]] = [
    ("gzip", "gzip", gzip.compress),
    ("zlib", "deflate", zlib.compress),
    ("raw deflate", "deflate", raw_deflate),
    ("brotli", "br", lambda data: brotli.compress(data, quality=4)),
    ("zstd", "zstd", lambda data: zstd.compress(data, options=CHECKED_ZSTD)),
]
each_coding = pytest.mark.parametrize(("coding", "encode"), [case[1:] for case in CODINGS], ids=[c[0] for c in CODINGS])


def decode(codings: str, pieces: Iterable[bytes], max_size: int = MIB, warnings: Iterable[str] = ()) -> bytes:
    decoder = Decoder(codings.split(), max_size=max_size)
    body = b"".join(decoder.feed(piece) for piece in pieces)
    decoder.finish()
    assert decoder.warnings == list(warnings)
    assert set(decoder.warnings) <= WARNINGS.keys()
    return body


def failure(codings: str, pieces: Iterable[bytes], max_size: int = MIB) -> tuple[str, bytes]:
    """The code of the error that must come, and the body as far as it can be had."""
    decoder = Decoder(codings.split(), max_size=max_size)
    body = b""
    try:
        for piece in pieces:
            body += decoder.feed(piece)
        decoder.finish()
    except CodedError as error:
        return error.code, body + decoder.salvaged
    raise AssertionError(f"no error; decoded {len(body)} bytes")


def one_by_one(data: bytes) -> Iterator[bytes]:
    return (data[i : i + 1] for i in range(len(data)))


@each_coding
def test_whole(coding, encode):
    """A body in one piece is decoded."""
    assert decode(coding, [encode(TEXT)]) == TEXT


@each_coding
def test_byte_by_byte(coding, encode):
    """Where the network cuts does not matter."""
    assert decode(coding, one_by_one(encode(TEXT))) == TEXT


@each_coding
def test_empty_content(coding, encode):
    """An encoded empty body is an empty body."""
    assert decode(coding, [encode(b"")]) == b""


@each_coding
def test_no_bytes_at_all(coding, encode):
    """An empty body is one whatever its Content-Encoding says (answers to HEAD, 304, careless servers)."""
    assert decode(coding, []) == decode(coding, [b""]) == b""


@each_coding
@pytest.mark.parametrize("size", [65_535, 65_536, 65_537, 65_700, 65_794, 131_072, 131_100, 196_900])
def test_around_a_step(coding, encode, size):
    """What a decoder still holds back when a step is full belongs to the body too."""
    assert decode(coding, [encode(bytes(size))]) == bytes(size)


# How many of the last bytes tell only whether the others are right.
TRAILERS = {gzip.compress: 8, zlib.compress: 4}


@each_coding
def test_truncated_at_every_byte(coding, encode):
    """A stream that stops before its end is never a success."""
    data = encode(TEXT)
    for end in range(1, len(data) - TRAILERS.get(encode, 0)):
        code, body = failure(coding, [data[:end]])
        assert code == "body_truncated"
        assert TEXT.startswith(body) or body == data[:end], "what was decoded, or else the raw bytes"


@pytest.mark.parametrize(("coding", "encode"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
@pytest.mark.parametrize("cut", [lambda data: [data], one_by_one])
def test_without_the_whole_trailer(coding, encode, cut):
    """All of the data is there, and only what it could be checked by is not: that costs a warning, in browsers nothing."""
    data = encode(TEXT)
    for missing in range(1, TRAILERS[encode] + 1):
        assert decode(coding, cut(data[:-missing]), warnings=["no_checksum"]) == TEXT
    two = gzip.compress(b"one ") + gzip.compress(b"two")
    assert decode("gzip", cut(two[:-3]), warnings=["no_checksum"]) == b"one two"


def gzip_with(flags: int, fields: bytes) -> bytes:
    """RFC 1952 section 2.3: a header with more in it."""
    return b"\x1f\x8b\x08" + bytes([flags]) + bytes(6) + fields + gzip.compress(TEXT, mtime=0)[10:]


@pytest.mark.parametrize("cut", [lambda data: [data], one_by_one])
@pytest.mark.parametrize(
    ("flags", "fields"),
    [
        (0x04, b"\x03\0abc"),
        (0x04, b"\0\0"),
        (0x08, b"a name\0"),
        (0x10, b"\0"),
        (0x1F, b"\x02\0\0\0name\0comment\0\x12\x34"),
    ],
)
def test_gzip_headers(cut, flags, fields):
    """A name, a comment, more fields and a checksum of them are passed over."""
    data = gzip_with(flags, fields)
    assert decode("gzip", cut(data * 2 + b"junk"), warnings=["trailing_junk"]) == TEXT * 2
    assert failure("gzip", cut(data[: 10 + len(fields)]))[0] == "body_truncated"


@pytest.mark.parametrize(
    "data", [gzip_with(0x20, b""), gzip_with(0x08, b"x" * 200_000), b"\x1f\x8b\x07" + bytes(30), b"\x1f\x8bx"]
)
def test_gzip_headers_that_are_none(data):
    """Unknown flags, a name without end, another method."""
    assert failure("gzip", [data])[0] == failure("gzip", one_by_one(data[:3000]))[0] or len(data) > 3000
    assert failure("gzip", [data])[0] == "decode_error"


@pytest.mark.parametrize(("coding", "encode"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
@pytest.mark.parametrize("cut", [lambda data: [data], one_by_one])
def test_trailing_junk_is_ignored_with_a_warning(coding, encode, cut):
    """Bytes after the end of the stream cost a warning, not the body."""
    assert decode(coding, cut(encode(TEXT) + b"junk" * 9), warnings=["trailing_junk"]) == TEXT


@pytest.mark.parametrize("junk", [b"\x1f", b"\x00\x1f", b"\x1fjunk", b"\x28", b"junk" * 10_000])
def test_junk_that_begins_like_a_member(junk):
    """A byte that could begin another member and does not is junk like any other."""
    assert decode("gzip", one_by_one(gzip.compress(TEXT) + junk[:50]), warnings=["trailing_junk"]) == TEXT
    assert decode("gzip", [gzip.compress(TEXT) + junk], warnings=["trailing_junk"]) == TEXT


@pytest.mark.parametrize("junk", [b"j", b"\x28\xb5\x2f", b"\x50", b"\x51\x2a\x4d", b"\x28\xb5\x2fj", b"\x5fjunk"])
def test_zstd_trailing_junk(junk):
    """What follows the last frame without being one is junk."""
    data = zstd.compress(TEXT) + junk
    assert decode("zstd", [data], warnings=["trailing_junk"]) == TEXT
    assert decode("zstd", one_by_one(data), warnings=["trailing_junk"]) == TEXT


@pytest.mark.parametrize("cut", [lambda data: [data], one_by_one, lambda data: [data[:-4], data[-4:]]])
def test_brotli_trailing_junk_is_an_error_however_it_is_cut(cut):
    """The library cannot say where the stream ended, so that junk after it is an error, as in curl."""
    assert failure("br", cut(brotli.compress(TEXT) + b"junk"))[0] == "decode_error"


@pytest.mark.parametrize("cut", [lambda data: [data], one_by_one])
def test_all_gzip_members(cut):
    """RFC 1952 section 2.2: a gzip file is a row of members; gzip(1) also skips zeros after each."""
    data = gzip.compress(b"one ") + gzip.compress(b"") + b"\0" * 7 + gzip.compress(b"two") + b"\0" * 1000
    assert decode("gzip", cut(data)) == b"one two"


@pytest.mark.parametrize("cut", [lambda data: [data], one_by_one])
def test_all_zstd_frames(cut):
    """RFC 8878 section 3.1: frames follow each other; skippable ones hold nothing of the body."""
    data = skippable(b"note") + zstd.compress(b"one ") + skippable(b"") + zstd.compress(b"two") + skippable(b"x")
    assert decode("zstd", cut(data)) == b"one two"


def test_a_second_member_that_is_cut_short():
    """The first member alone is not the body."""
    assert failure("gzip", [gzip.compress(b"one"), gzip.compress(b"two")[:-9]]) == ("body_truncated", b"onetwo")


@pytest.mark.parametrize("noise", [random.Random(1).randbytes(200_000), TEXT], ids=["large", "small"])
@pytest.mark.parametrize(
    ("coding", "encode", "position"),
    [("gzip", gzip.compress, -8), ("gzip", gzip.compress, -4), ("deflate", zlib.compress, -1)],
    ids=["crc", "length", "adler"],
)
def test_wrong_checksums(coding, encode, position, noise):
    """A body that does not match its checksum is an error, and all of it is kept, however the bytes were cut."""
    data = bytearray(encode(noise))
    data[position] ^= 1
    for size in (1, 7, 4099, 1 << 20):
        if len(data) < 1000 * size:
            pieces = [bytes(data[start : start + size]) for start in range(0, len(data), size)]
            assert failure(coding, pieces) == ("decode_error", noise)


@pytest.mark.parametrize(("coding", "encode"), [case[1:] for case in CODINGS], ids=[c[0] for c in CODINGS])
def test_whole_tells_that_the_end_was_reached(coding, encode):
    """Then whatever is missing of the transfer is no part of the body."""
    decoder = Decoder([coding], max_size=MIB)
    data = encode(TEXT)
    for byte in one_by_one(data):
        assert not decoder.whole
        decoder.feed(byte)
    assert decoder.whole
    assert not Decoder([], max_size=MIB).whole
    assert not Decoder(["unknown"], max_size=MIB).whole


@pytest.mark.parametrize("member", [gzip.compress(b"a" * 64), gzip.compress(b"")], ids=["64 bytes", "empty"])
def test_a_step_is_short(member):
    """However many members the bytes hold, a step takes one of them at most, and 64 KiB of output."""
    decoder = Decoder(["gzip"], max_size=MIB)
    assert sum(1 for _ in decoder.steps(member * 500)) >= 500
    assert max(map(len, Decoder(["gzip"], max_size=MIB).steps(gzip.compress(bytes(MIB))))) == 1 << 16


@pytest.mark.parametrize(("coding", "encode"), [("deflate", zlib.compress), ("zstd", CODINGS[4][2])])
def test_checksums_of_others(coding, encode):
    """Adler-32 and xxHash are checked where they are sent."""
    data = bytearray(encode(TEXT))
    data[-1] ^= 1
    assert failure(coding, [bytes(data)])[0] == "decode_error"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "zstd"])
@pytest.mark.parametrize("cut", [lambda data: [data], one_by_one])
def test_not_encoded_at_all(coding, cut):
    """A plain page that claims a coding is an error; the page as it came is kept as far as it was read."""
    page = b"<!doctype html><title>plain</title>"
    code, body = failure(coding, cut(page))
    assert code == "decode_error"
    assert body
    assert page.startswith(body)


def test_deflate_preset_dictionary():
    """A zlib stream that needs a dictionary nobody has is an error."""
    stream = zlib.compressobj(zdict=b"dictionary")
    assert failure("deflate", [stream.compress(TEXT) + stream.flush()])[0] == "decode_error"


def test_zstd_window():
    """RFC 9659: a window above 8 MiB is refused before its memory is taken; 8 MiB are fine."""

    def encoded(window_log: int) -> bytes:
        stream = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: window_log})
        return stream.compress(TEXT) + stream.flush()  # of unknown size: the window stands in the header

    assert decode("zstd", [encoded(23)]) == TEXT
    assert failure("zstd", [encoded(24)])[0] == "decode_error"


def test_after_an_error():
    """A decoder that failed says the same again and salvages nothing twice."""
    decoder = Decoder(["gzip"], max_size=10)
    with pytest.raises(CodedError) as first:
        decoder.feed(gzip.compress(TEXT))
    assert decoder.salvaged == TEXT[:10]
    with pytest.raises(CodedError) as second:
        decoder.feed(b"more")
    assert second.value is first.value
    assert decoder.salvaged == b""


@each_coding
def test_exactly_the_limit(coding, encode):
    """The limit itself is allowed, one byte more is not; what fits is kept."""
    data = encode(TEXT)
    assert decode(coding, [data], max_size=len(TEXT)) == TEXT
    assert failure(coding, [data], max_size=len(TEXT) - 1) == ("body_too_large", TEXT[:-1])
    assert failure(coding, one_by_one(data), max_size=len(TEXT) - 1) == ("body_too_large", TEXT[:-1])


def bomb(encode: Callable[[bytes], bytes], size: int) -> bytes:
    return encode(bytes(size))


@each_coding
def test_a_bomb_in_one_call_costs_one_step(coding, encode):
    """However much a few bytes would become, memory holds no more than the limit and the decoder's own window."""
    data = bomb(encode, 16 * MIB)
    decoder = Decoder([coding], max_size=MIB // 2)
    tracemalloc.start()
    try:
        with pytest.raises(CodedError) as caught:
            decoder.feed(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.code == "body_too_large"
    assert decoder.salvaged == bytes(MIB // 2)
    assert peak < 2 * MIB


@pytest.mark.parametrize(("coding", "encode"), [CODINGS[3][1:], CODINGS[4][1:]])
def test_ratio(coding, encode):
    """After the first MiB a body may be at most 1,000 times as large as its encoded form, below that anything."""
    assert len(decode(coding, [bomb(encode, MIB)], max_size=64 * MIB)) == MIB
    code, body = failure(coding, [bomb(encode, 16 * MIB)], max_size=64 * MIB)
    assert code == "body_too_large"
    assert MIB < len(body) < 2 * MIB


def test_a_bomb_between_two_codings():
    """A coding that blows up counts even when the next one makes nothing of it."""
    data = gzip.compress(skippable(bytes(4 * MIB)))  # the last coding decodes to nothing
    assert failure("zstd gzip", [data], max_size=MIB) == ("body_too_large", data)


def test_between_two_codings_there_is_room_for_their_overhead():
    """An encoded form may be larger than a tiny body: the limit is on the body."""
    assert decode("gzip br", [brotli.compress(gzip.compress(b"tiny"))], max_size=4) == b"tiny"


@pytest.mark.parametrize(("coding", "member"), [("gzip", gzip.compress(b"")), ("zstd", skippable(b""))])
def test_a_bomb_of_time(coding, member):
    """An endless row of empty members is refused: each costs more time than its bytes cost the sender."""
    assert failure(coding, [member * 3000])[0] == "decode_error"
    assert decode(coding, [member * 900]) == b""


def test_many_small_members_are_fine():
    """A log of one member per line is a file like any other."""
    line = b"2026-01-01 a line of a log that somebody compressed alone, all of it\n"
    assert decode("gzip", [gzip.compress(line) * 2000]) == line * 2000


def test_chain():
    """Codings are undone in the reverse order of their application."""
    data = brotli.compress(zlib.compress(gzip.compress(TEXT)))
    assert decode("gzip deflate br", [data]) == TEXT
    assert decode("gzip deflate br", one_by_one(data)) == TEXT


def test_chain_cut_short_inside():
    """A whole outer stream does not make up for an inner one that is cut short."""
    assert failure("gzip br", [brotli.compress(gzip.compress(TEXT)[:-9])]) == ("body_truncated", TEXT)


@pytest.mark.parametrize("codings", ["compress", "gzip utf-8", "utf-8 gzip"])
def test_unknown_coding(codings):
    """With a coding nobody knows the body stays as it came, and a warning says so."""
    data = gzip.compress(TEXT)
    assert decode(codings, [data[:5], data[5:]], warnings=["unknown_encoding"]) == data


def test_no_coding_still_has_the_limit():
    """The limit holds without any coding too."""
    assert decode("", [b"ab", b"c"], max_size=3) == b"abc"
    assert failure("", [b"ab", b"cd"], max_size=3) == ("body_too_large", b"abc")


@pytest.mark.parametrize(
    ("values", "codings"),
    [
        ([], []),
        (["gzip"], ["gzip"]),
        (["GZip"], ["gzip"]),
        (["x-gzip"], ["gzip"]),
        (["identity"], []),
        (["deflate, br"], ["deflate", "br"]),
        (["deflate ,\tBR", "zstd"], ["deflate", "br", "zstd"]),
        (["", ",, gzip,"], ["gzip"]),
        (["identity, gzip, identity, identity, identity"], ["gzip"]),
        (["UTF-8"], ["utf-8"]),
    ],
)
def test_parse_encodings(values, codings):
    """Names are case-insensitive, lists may be spread over headers, identity is nothing (RFC 9110 section 8.4)."""
    assert parse_encodings(values) == codings


def test_too_many_codings():
    """More than three codings on top of each other are an attack, not a page."""
    assert len(parse_encodings(["gzip, gzip", "gzip"])) == 3
    with pytest.raises(CodedError) as caught:
        parse_encodings(["gzip, gzip", "gzip, br"])
    assert caught.value.code == "decode_error"


def test_accept_encoding():
    """Only what can be decoded is asked for; with all libraries installed that is all four."""
    assert ACCEPT_ENCODING == "gzip, deflate, br, zstd"
    assert not any(Decoder([coding], max_size=1).warnings for coding in ACCEPT_ENCODING.split(", "))


bodies = st.one_of(
    st.binary(max_size=300),
    st.builds(lambda piece, times: piece * times, st.binary(min_size=1, max_size=40), st.integers(1, 10_000)),
)


@settings(max_examples=40)
@given(
    case=st.lists(st.sampled_from(CODINGS), min_size=1, max_size=3),
    body=bodies,
    cuts=st.lists(st.integers(0, 400_000), max_size=8),
)
def test_round_trip(case, body, cuts):
    """Any body through any codings, cut anywhere, comes back."""
    data = body
    for _, _, encode in case:
        data = encode(data)
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in pairwise(edges)]
    assert decode(" ".join(coding for _, coding, _ in case), pieces, max_size=len(body)) == body


@settings(max_examples=60)
@given(coding=st.sampled_from(["gzip", "deflate", "br", "zstd"]), data=st.binary(max_size=200), encoded=st.booleans())
def test_garbage(coding, data, encoded):
    """No bytes whatever make anything but a body or a coded error."""
    if encoded:
        data = gzip.compress(TEXT)[: len(data)] + data
    decoder = Decoder([coding], max_size=1000)
    try:
        decoder.feed(data)
        decoder.finish()
    except CodedError as error:
        assert error.code in {"decode_error", "body_truncated", "body_too_large"}
        assert len(decoder.salvaged) <= 1000
