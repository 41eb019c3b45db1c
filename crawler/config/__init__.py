"""Every option once: its kind, its default, where its value came from.

Imports the vocabulary alone.
"""

__all__ = [
    "addresses",
    "config",
    "fields",
    "habits",
    "hosts",
    "kinds",
    "machines",
    "options",
    "patterns",
    "secrets",
    "sources",
    "text",
    "typed",
]
