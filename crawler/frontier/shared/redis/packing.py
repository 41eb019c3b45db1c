"""What goes to the scripts and comes back as bytes. Pure.

Redis' msgpack in Lua knows texts and numbers, but no bytes: these go in a second argument, one after another, and their
lengths in the first. An entry is 6 bytes, big-endian, of twice its id and one more for a duplicate, and then its data.
A key or uid goes as the decimal number that its 8 bytes are, signed, as Redis keeps it in sets of integers; its `mark`
is the last nine digits of that, as a number of its own.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

import msgspec

from crawler.frontier.shared.contract import Arrival, Commit, Entry, HostBooks, Move, Turn

_ZERO: Final = bytes(8)
_MARKS: Final = 1_000_000_000
_LENGTH: Final = 4
_PREFIX: Final = 6
_encode = msgspec.msgpack.Encoder().encode


class _Move(msgspec.Struct, array_like=True, frozen=True):
    host: str
    key: bytes | None
    data: bytes
    uid: bytes | None


_move_decoder = msgspec.msgpack.Decoder(_Move)


def numbers(eights: Sequence[bytes]) -> tuple[list[str], list[int]]:
    """Keys or uids as decimal numbers, and their marks."""
    found = struct.unpack(f">{len(eights)}q", b"".join(eights))
    return [str(number) for number in found], [abs(number) % _MARKS for number in found]


def _numbers_of_some(eights: Sequence[bytes | None]) -> tuple[list[str], list[int]]:
    """The same, where some may be missing: these are "" and 0. Two empty lists if all are."""
    if None not in eights:
        return numbers(eights)  # type: ignore[arg-type]
    if not any(eights):
        return ([], [])
    found, marks = numbers([each or _ZERO for each in eights])
    return [number if each else "" for number, each in zip(found, eights, strict=True)], marks


def packed_keys(*eights: bytes) -> bytes:
    """For lead: each with its mark."""
    return _encode([each for pair in zip(*numbers(eights), strict=True) for each in pair])


def packed_lists(*lists: object) -> bytes:
    return _encode(lists)


def packed_arrivals(arrivals: Sequence[Arrival]) -> tuple[bytes, bytes]:
    """For arrive."""
    hosts, keys, data, uids = zip(*arrivals, strict=True)
    places: dict[str, int] = {}
    at = [places.setdefault(host, len(places) + 1) for host in hosts]
    found, marks = _numbers_of_some(keys)
    if not found:
        found, marks = [""] * len(keys), [0] * len(keys)
    said, said_marks = _numbers_of_some(uids)
    return _encode([list(places), at, found, marks, list(map(len, data)), said, said_marks]), b"".join(data)


def packed_commit(commit: Commit) -> tuple[bytes, bytes]:
    """For commit: see `_turn` for its turns."""
    data: list[bytes] = []
    turns = [_turn(turn, data) for turn in commit.turns]
    head = [commit.part, commit.number, commit.before, commit.size, commit.node, turns]
    return _encode(head), b"".join(data)


def _turn(turn: Turn, data: list[bytes]) -> list[object]:
    """A turn as commit.lua takes it.

    Host and token; ids that ended as ok, failed, skipped, moved without a move; then for moves, again and back their
    ids and how long each is; pages, release, wait, how long the state is (-1 for none), delay (-1 for none), wants.
    """
    moved = {move.id for move in turn.moves}
    ended: dict[str, list[int]] = {"ok": [], "failed": [], "skipped": [], "moved": []}
    for entry_id, outcome in turn.ended:
        if entry_id not in moved:
            ended[outcome].append(entry_id)
    moves = [_encode(_Move(*move.arrival)) for move in turn.moves]
    again, back = list(map(raw, turn.again)), list(map(raw, turn.back))
    data += [*moves, *again, *back, turn.state or b""]
    return [
        turn.host,
        text(turn.token),
        *ended.values(),
        [move.id for move in turn.moves],
        list(map(len, moves)),
        [entry.id for entry in turn.again],
        list(map(len, again)),
        [entry.id for entry in turn.back],
        list(map(len, back)),
        turn.pages,
        turn.release,
        turn.wait,
        -1 if turn.state is None else len(turn.state),
        -1 if turn.delay is None else turn.delay,
        turn.wants,
    ]


def text(token: bytes) -> str:
    """A token as the text that ours are; one that is not ours stays different from all of them."""
    return token.decode("ascii", "backslashreplace")


def raw(entry: Entry) -> bytes:
    return (entry.id * 2 + entry.is_duplicate).to_bytes(_PREFIX) + entry.data


def entry(packed: bytes) -> Entry:
    number = int.from_bytes(packed[:_PREFIX])
    return Entry(number >> 1, packed[_PREFIX:], bool(number & 1))


def frames(packed: bytes) -> list[bytes]:
    """Many strings that came as one, each with its length before it."""
    found = []
    position = 0
    while position < len(packed):
        start = position + _LENGTH
        position = start + int.from_bytes(packed[position:start])
        found.append(packed[start:position])
    return found


def entries(packed: bytes) -> list[Entry]:
    return list(map(entry, frames(packed)))


def move(entry_id: int, packed: bytes) -> Move:
    found = _move_decoder.decode(packed)
    return Move(entry_id, Arrival(found.host, found.key, found.data, found.uid))


def host_books(answer: Sequence[bytes | int]) -> HostBooks:
    """What `host_books` in looking.lua gives."""
    host, queued, leased, files, node, expires, wait, state = answer
    assert isinstance(host, bytes)
    assert isinstance(node, bytes)
    assert isinstance(state, bytes)
    return HostBooks(
        host.decode(), int(queued), int(leased), int(files), node.decode(), float(expires), float(wait), state
    )
