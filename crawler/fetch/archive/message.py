"""Where the head of an answer is in the bytes that came. Pure."""

from __future__ import annotations

from crawler.fetch.http11.head import end_of_lines


def final_head(data: bytes) -> tuple[int, int]:
    """Where the head begins and ends that is no interim one; the end is -1 where there is none."""
    begin = 0
    while True:
        while data[begin : begin + 1] in {b"\r", b"\n"}:  # RFC 9112 section 2.2
            begin += 1
        line = end_of_lines(data, begin)
        if line < 0:
            return begin, -1
        end = data.index(b"\n", line) + 1
        words = data[begin : begin + 40].split(None, 2)
        if len(words) < 2 or not (words[1][:1] == b"1" and len(words[1]) == 3):
            return begin, end
        begin = end
