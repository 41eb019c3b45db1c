"""http2/compression.py held against hpack: what one writes the other reads, whatever their tables hold."""

from __future__ import annotations

from typing import Any

import pytest
from hpack import Decoder, Encoder
from hpack.struct import NeverIndexedHeaderTuple
from hypothesis import given
from hypothesis import strategies as st

from crawler.fetch.http2.compression import HeadDecoder, HeadEncoder, TooLarge
from crawler.fetch.http2.frames import Broken

NAMES = st.sampled_from([":status", "server", "date", "etag", "x-a", "x-b", "set-cookie", "content-type"])
VALUES = st.text(st.characters(max_codepoint=0xFF), max_size=40) | st.sampled_from(["", "a", "nginx", "x" * 300])
FIELDS = st.lists(st.tuples(NAMES, VALUES, st.booleans()), max_size=12)
SIZES = st.none() | st.integers(0, 4096)


@given(st.lists(st.tuples(FIELDS, SIZES, st.booleans()), max_size=8))
def test_what_hpack_writes_is_read(blocks: list[Any]) -> None:
    """With and without Huffman, indexed or never, while the table changes its size between blocks."""
    encoder, decoder = Encoder(), HeadDecoder(1 << 20)
    for fields, size, huffman in blocks:
        if size is not None:
            encoder.header_table_size = size
        pairs = [(name.encode(), value.encode("latin-1")) for name, value, _ in fields]
        sent = [
            NeverIndexedHeaderTuple(*pair) if secret else pair for pair, (*_, secret) in zip(pairs, fields, strict=True)
        ]
        assert decoder.decode(encoder.encode(sent, huffman=huffman)) == pairs


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_any_bytes_are_read_as_hpack_reads_them(blocks: list[bytes]) -> None:
    """Or refused, where it refuses them; there alone this may be stricter: a table is resized twice at most."""
    theirs, ours = Decoder(1 << 20), HeadDecoder(1 << 20)
    for block in blocks:
        try:
            expected = [tuple(pair) for pair in theirs.decode(block, raw=True)]
        except Exception:
            with pytest.raises(Broken):
                ours.decode(block)
            return
        try:
            assert ours.decode(block) == expected
        except Broken as broken:
            assert "resizes" in str(broken)
            return


HEADS = st.lists(
    st.tuples(
        st.sampled_from(["GET", "POST", "PURGE"]),
        st.sampled_from(["/", "/a?b", "/" + "p" * 200, "/" + "p" * 20_000]),
        st.lists(
            st.tuples(
                st.sampled_from(["User-Agent", "Accept", "Cookie", "X-A", "Accept-Encoding"]),
                st.sampled_from(["a", "b", "c" * 2_000, "d: e"]),
            ),
            max_size=5,
        ),
        SIZES,
    ),
    max_size=12,
)


@given(HEADS)
def test_what_is_written_hpack_reads(heads: list[Any]) -> None:
    """However heads alternate and the server's table changes."""
    encoder, decoder = HeadEncoder("https"), Decoder(1 << 20)
    for method, target, fields, size in heads:
        if size is not None:
            encoder.resize(size)
        lines = [f"{method} {target} HTTP/1.1", "Host: a.example", *(f"{n}: {v}" for n, v in fields), "", ""]
        decoded = [tuple(pair) for pair in decoder.decode(encoder.encode("\r\n".join(lines).encode()), raw=False)]
        assert decoded == [
            (":method", method),
            (":scheme", "https"),
            (":path", target),
            (":authority", "a.example"),
            *((name.lower(), value) for name, value in fields),
        ]


def test_a_head_like_the_last_is_short() -> None:
    """Method, scheme and what all requests say take a byte or two each; the path is what it is."""
    encoder = HeadEncoder("https")
    head = "GET /{} HTTP/1.1\r\nHost: a.example\r\nUser-Agent: crawler/1\r\nAccept: */*\r\n\r\n"
    sizes = [len(encoder.encode(head.format(number).encode())) for number in range(5)]
    assert sizes[0] > 30
    assert sizes[1:] == [9] * 4


def test_a_head_that_comes_back() -> None:
    """What is in the table has other numbers once something was added to it."""
    encoder, decoder = HeadEncoder("https"), Decoder()
    for agent in ("a", "a", "a", "b", "a", "b", "c", "a"):
        head = f"GET / HTTP/1.1\r\nHost: a.example\r\nUser-Agent: {agent}\r\n\r\n"
        assert dict(decoder.decode(encoder.encode(head.encode()), raw=False))["user-agent"] == agent


def test_a_head_that_grows() -> None:
    """A byte may name an entry of 4,000: what it all comes to is counted, and has an end."""
    bomb = Encoder().encode([("x", "y" * 4_000)]) + b"\xbe" * 100
    with pytest.raises(TooLarge):
        HeadDecoder(256 * 1024).decode(bomb)
    assert len(HeadDecoder(1 << 20).decode(bomb)) == 101
