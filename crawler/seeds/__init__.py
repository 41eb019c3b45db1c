"""Inputs become seeds: lists, tables, sitemaps and feeds, read as they are needed.

Imports config, for kinds of values, and fetch, for decoding.
"""

__all__ = ["asked", "feed", "inputs", "ranges", "sent", "sitemaps"]
