"""What travels with a host from node to node, as bytes of MessagePack: what was learnt of it, and what robots.txt said.

It is small, and none of it has to be there: who does not get it learns it anew.
"""

from __future__ import annotations

import zlib
from math import ceil
from typing import Final

import msgspec

from crawler.politeness.controller import LONGEST_PAUSE
from crawler.politeness.host import Learnt
from crawler.robots.policy import Carried

_PACKED: Final = b"\0"
_LONG: Final = 200
_LONGEST: Final = 1 << 16


class State(msgspec.Struct, frozen=True, array_like=True):
    """In the bytes `blocked` of what was learnt, and `left` of robots.txt, are times of day. `is_typed` says that
    somebody wrote a URL of this host.
    """

    learnt: Learnt | None = None
    is_typed: bool = False
    rules: tuple[Carried, ...] = ()


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(State).decode


def packed(state: State, wall: float) -> bytes:
    """The bytes of a state, none where it says nothing. `wall` is the time of day."""
    learnt = state.learnt
    if learnt is not None and learnt.blocked:
        learnt = learnt._replace(blocked=ceil(round(wall + learnt.blocked, 2)))  # not earlier
    rules = tuple(msgspec.structs.replace(of, left=round(wall + of.left, -1)) for of in state.rules)
    if learnt is None and not rules and not state.is_typed:
        return b""
    try:
        data = _encode(State(learnt, state.is_typed, rules))
    except UnicodeEncodeError:  # octets in robots.txt that are no text
        data = _encode(State(learnt, state.is_typed))
    return _PACKED + zlib.compress(data, 6) if len(data) > _LONG else data


def unpacked(data: bytes, wall: float) -> State:
    """What `packed` gave. What another version has written says nothing here."""
    if not data:
        return State()
    try:
        if data[:1] == _PACKED:
            data = zlib.decompressobj().decompress(data[1:], _LONGEST)
        state = _decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, zlib.error):
        return State()
    learnt = state.learnt
    if learnt is not None:
        learnt = learnt._replace(blocked=max(0.0, min(learnt.blocked - wall, LONGEST_PAUSE)) if learnt.blocked else 0.0)
    rules = tuple(msgspec.structs.replace(of, left=of.left - wall) for of in state.rules)
    return State(learnt, state.is_typed, rules)
