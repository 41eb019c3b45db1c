"""Where records are read from: streams that are unpacked, tables row by row, objects."""

__all__ = ["streams", "tables"]
