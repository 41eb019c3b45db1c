"""A run put together: a Config becomes parts, and these a Crawl on a reactor; its outputs, monitors and leavings.

`composition` is the only place that knows all rooms below, and imports them.
"""

__all__ = ["composition", "reactors", "session"]
