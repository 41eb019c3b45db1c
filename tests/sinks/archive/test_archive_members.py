"""The members of gzip that records are: each can be read by itself, whatever is packed of it."""

import gzip
import os
import re
import uuid

import pytest

from crawler.sinks.archive.records import Numbers, Packing, without_credentials


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("block", [b"", b"short", b"<p>text</p>" * 200, os.urandom(3_000), b"<p>text</p>" * 2_000])
@pytest.mark.parametrize("head", [b"WARC/1.1\r\n\r\n", b"x" * 0xFFFF, b"x" * 0x10000])
def test_each_record_is_a_member(head, block, plain):
    """A plain block of deflate takes 65,535 bytes: a longer head is packed, too."""
    given: list[bytes] = []
    packing = Packing(given.append, Numbers().new, plain=plain)
    places = [packing.record(head, block), packing.record(head, block, [b"rest ", b"of it"])]
    data = b"".join(given)
    assert packing.size == len(data)
    for (begin, length), rest in zip(places, (b"", b"rest of it"), strict=True):
        member = data[begin : begin + length]
        assert (member if plain else gzip.decompress(member)) == head + block + rest + b"\r\n\r\n"
    assert sum(length for _, length in places) == len(data)


def test_numbers_are_uuids():
    found = {Numbers().new() for _ in range(1_000)}
    assert len(found) == 1_000
    for number in found:
        told = re.fullmatch(r"<(urn:uuid:.{36})>", number)
        assert told is not None
        assert uuid.UUID(told[1]).version == 4
        assert uuid.UUID(told[1]).variant == uuid.RFC_4122


def test_a_request_line_is_no_credential():
    head = b"GET /cookie: HTTP/1.1\r\nHost: a\r\nCookie: x=1\r\nX-Api-Key:1\r\n\r\n"
    hidden = b"GET /cookie: HTTP/1.1\r\nHost: a\r\nCookie: ***\r\nX-Api-Key: ***\r\n\r\n"
    assert without_credentials(head) == without_credentials(head) == hidden
    assert without_credentials(b"Cookie: 1") == b"Cookie: 1"
