"""What travels with a host from node to node, as bytes of MessagePack."""

from __future__ import annotations

from typing import Final

import msgspec

from crawler.politeness.controller import LONGEST_PAUSE
from crawler.politeness.host import Learnt

_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[Learnt | None]).decode


def packed(learnt: Learnt | None, wall: float) -> bytes:
    """The bytes of what was learnt; none where that is nothing. `wall` is the time of day: a block has an end there."""
    if learnt is None:
        return b""
    until = round(wall + learnt.blocked) if learnt.blocked else 0
    return _encode((learnt._replace(blocked=until),))


def unpacked(state: bytes, wall: float) -> Learnt | None:
    """What `packed` gave. What another version has written says nothing here."""
    if not state:
        return None
    try:
        learnt = _decode(state)[0]
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return None if learnt is None else learnt._replace(blocked=max(0.0, min(learnt.blocked - wall, LONGEST_PAUSE)))
