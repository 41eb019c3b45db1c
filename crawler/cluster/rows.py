"""The lines of a shard: JSON arrays, one for each input. `[source, line, text]` is a URL as it was written.

More is behind that where there is more: what the record shows of a URL that is not its standard form, the method, what
is asked for beside it; and of a line that is no URL the code and words of what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Final

import msgspec

from crawler.errors import CodedError
from crawler.models import Ask, Input
from crawler.seeds.inputs import BadLine, Seed
from crawler.urls import parse, registrable_domain

GROUPS: Final = 256
"""In so many the hosts of one domain are divided, at most."""


class Row(msgspec.Struct, frozen=True, array_like=True):
    """`source` is its place in the manifest's list; `error` the code and words of a bad line."""

    source: int
    line: int | None
    text: str
    written: str | None = None
    method: str | None = None
    ask: Ask | None = None
    error: tuple[str, str] | None = None


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Row).decode


def row_of(found: Seed | BadLine, source: int) -> bytes:
    """The line of a shard for an input, without its end."""
    line = found.input.line
    if isinstance(found, BadLine):
        ask = None if found.meta is None else Ask(meta=found.meta)
        return _encode((source, line, found.text, None, None, ask, (found.error.code, found.error.message)))
    url = found.url
    text = f"{url.scheme}://{url.userinfo}@{url.href.partition('://')[2]}" if url.userinfo else url.href
    written = None if found.written == url.href else found.written
    if found.method is not None or found.ask is not None:
        return _encode((source, line, text, written, found.method, found.ask))
    return _encode((source, line, text) if written is None else (source, line, text, written))


def read_row(line: bytes, sources: Sequence[str]) -> Seed | BadLine:
    """What `row_of` made a line of. Raises msgspec's errors, IndexError and CodedError for what is none."""
    row = _decode(line)
    place = Input(source=sources[row.source], line=row.line)
    if row.error is not None:
        meta: Any = None if row.ask is None else row.ask.meta
        return BadLine(row.text, place, CodedError(*row.error), meta)
    url = parse(row.text)
    return Seed(url, url.href if row.written is None else row.written, place, row.method, row.ask)


def cut_keys(found: Seed | BadLine) -> tuple[int, int]:
    """By what inputs stay together: 64 bits of the domain; and one of GROUPS, of the host without "www."."""
    if isinstance(found, BadLine):
        key = _hash(found.text)
        return key, key % GROUPS
    return _keys_of_host(found.url.host)


@lru_cache(1 << 16)
def _keys_of_host(host: str) -> tuple[int, int]:
    host = host.removesuffix(".")
    return _hash(registrable_domain(host)), _hash(host.removeprefix("www.")) % GROUPS


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")
