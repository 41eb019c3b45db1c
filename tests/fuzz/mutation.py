"""How samples are mutated: a list of edits, each of them plain data, so that both hypothesis and a loop can make them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import NamedTuple

KINDS = ("overwrite", "insert", "delete", "repeat", "flip", "move", "cut")
MOST_REPEATS = 64
LONGEST = 1 << 16


class Edit(NamedTuple):
    """`at` and `size` are taken modulo what there is; `payload` is what is inserted or written over what was there."""

    kind: str
    at: int
    size: int
    payload: bytes = b""


def edited(data: bytes, edits: Sequence[Edit]) -> bytes:
    """The data with these edits, one after the other, and never more than 64 KiB."""
    for kind, place, amount, payload in edits:
        at = place % (len(data) + 1)
        end = min(len(data), at + 1 + amount % 32)
        match kind:
            case "overwrite":
                data = data[:at] + payload + data[at + len(payload) :]
            case "insert":
                data = data[:at] + payload + data[at:]
            case "delete":
                data = data[:at] + data[end:]
            case "repeat":
                data = data[:end] + data[at:end] * (1 + amount % MOST_REPEATS) + data[end:]
            case "flip":
                data = data[:at] + bytes(octet ^ 1 << amount % 8 for octet in data[at : at + 1]) + data[at + 1 :]
            case "move":
                there = amount % (len(data) + 1)
                data = data[:there] + data[at:end] + data[there:]
            case _:
                data = data[:at]
        data = data[:LONGEST]
    return data


def random_edits(random: Random, samples: Sequence[bytes], tokens: Sequence[bytes]) -> list[Edit]:
    edits = []
    for _ in range(1 + int(random.expovariate(0.5))):
        kind = random.choice(KINDS)
        if kind == "cut" and random.random() < 0.7:  # what is cut off has been mutated in vain
            kind = "insert"
        edits.append(
            Edit(kind, random.randrange(1 << 16), random.randrange(1 << 16), _payload(random, samples, tokens))
        )
    return edits


def _payload(random: Random, samples: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    choice = random.random()
    if choice < 0.6 and tokens:
        return random.choice(tokens)
    if choice < 0.8:
        sample = random.choice(samples)
        at = random.randrange(len(sample) + 1)
        return sample[at : at + random.randrange(1, 64)]
    return random.randbytes(random.randrange(1, 5))
