"""crawler.frontier.seen: a set of 16-byte keys is exact, also where the bytes of two keys look like a third."""

from __future__ import annotations

import random

from crawler.frontier.seen import KEY_BYTES, Seen


def test_a_key_is_new_once():
    """`add` says whether the key was unknown."""
    known = Seen()
    keys = [random.Random(1).randbytes(KEY_BYTES) for _ in range(1)]
    assert known.add(keys[0])
    assert not known.add(keys[0])
    assert len(known) == 1


def test_it_is_a_set():
    """Told the same keys, it answers as a set does, also when they share all but a few bits."""
    rng = random.Random(2)
    known, model = Seen(), set()
    for _ in range(3_000):
        key = bytes(rng.choice(b"\x00\x01\x02") for _ in range(5)).ljust(KEY_BYTES, b"\x00")
        assert (key in known) == (key in model)
        assert known.add(key) == (key not in model)
        assert key in known
        model.add(key)
    assert len(known) == len(model) > 200


def test_bytes_that_span_two_keys_are_no_key():
    """Within a bucket keys lie end to end: what is found across their border is not known."""
    known = Seen()
    first, second = bytes(range(16)), bytes(range(100, 116))
    head = b"\xaa\xbb"
    known.add(head + first[2:])
    known.add(head + second[2:])
    across = head + first[9:] + second[2:9]
    assert len(across) == KEY_BYTES
    assert across not in known
    assert known.add(across)
    assert not known.add(across)


def test_a_match_across_the_border_does_not_hide_the_key_behind_it():
    """The search goes on behind a false match, which may overlap the true one."""
    known = Seen()
    zeros, key = b"\xaa\xbb" + bytes(14), b"\xaa\xbb" + bytes(7) + b"\x01" + bytes(6)
    for each in (key, zeros):
        assert known.add(each)
    for each in (key, zeros):
        assert not known.add(each)


def test_keys_are_loaded_in_bulk():
    """What was saved as one run of bytes is known after that."""
    rng = random.Random(3)
    keys = [rng.randbytes(KEY_BYTES) for _ in range(500)]
    known = Seen()
    known.load(b"".join(keys[:400]))
    known.load(b"")
    assert len(known) == 400
    assert [known.add(key) for key in keys] == [False] * 400 + [True] * 100
