"""Where records are read from: streams that are unpacked, tables row by row, objects; and what was written."""

__all__ = ["outputs", "streams", "tables"]
