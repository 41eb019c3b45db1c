"""What the server has said of itself: SETTINGS (RFC 9113 section 6.5), and what it takes of bodies. Pure."""

from __future__ import annotations

from typing import Final

from crawler.fetch.http2 import frames
from crawler.fetch.http2.frames import Broken

MAX_STREAMS: Final = 100  # at once, until the server has said how many it takes


class Peer:
    """`max_streams` are taken at once; `stream_room` and `room` are bytes that it takes of one body at first, and of
    all together now; `frame_size` is the largest payload that it takes, `table_size`
    what its table of fields holds, if it said so.
    """

    def __init__(self) -> None:
        self.max_streams = MAX_STREAMS
        self.stream_room = 65_535
        self.room = 65_535
        self.frame_size = frames.FRAME_SIZE
        self.table_size: int | None = None

    def settle(self, payload: bytes) -> int:
        """Take what is in a SETTINGS frame. How many things it says. Raises Broken."""
        pairs = frames.settings_of(payload)
        for name, value in pairs:
            if name == frames.HEADER_TABLE_SIZE:
                self.table_size = value
            elif name == frames.ENABLE_PUSH and value:
                raise Broken(frames.PROTOCOL_ERROR, f"a server with ENABLE_PUSH {value}")
            elif name == frames.MAX_CONCURRENT_STREAMS:
                self.max_streams = value
            elif name == frames.INITIAL_WINDOW_SIZE:
                if value > frames.LARGEST:
                    raise Broken(frames.FLOW_CONTROL_ERROR, f"INITIAL_WINDOW_SIZE is {value}")
                self.stream_room = value
            elif name == frames.MAX_FRAME_SIZE:
                if not frames.FRAME_SIZE <= value < 1 << 24:
                    raise Broken(frames.PROTOCOL_ERROR, f"MAX_FRAME_SIZE is {value}")
                self.frame_size = value
        return len(pairs)
