"""A run put together: a Config becomes parts, and these a Crawl on a reactor; its outputs, monitors and artifacts.

`composition` and `parts` are the only places that know all rooms below, and import them.
"""

__all__ = ["access", "composition", "reactors", "shared", "thread", "workers"]
