"""What a page holds: links, directives, what is extracted; and the processes that parse what is slow.

Imports seeds, for sitemaps, config, for kinds of values, and fetch, for decoding.
"""

__all__ = ["callbacks", "convert", "cost", "discovery", "extract", "links", "offline", "page", "parsing", "places"]
