"""A page about a run: records are read one at a time, counted in bounded memory, and drawn as one HTML file."""

__all__ = ["changes", "command", "counts", "lines", "page", "sources"]
