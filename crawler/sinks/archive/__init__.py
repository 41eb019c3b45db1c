"""An archive of what went over the wire: WARC 1.1, with an index beside it."""

__all__ = ["command", "naming", "writing"]
