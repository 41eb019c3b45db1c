"""How often a host may be asked: one controller per host, which joins every signal. Pure.

Imports the vocabulary alone.
"""

__all__ = ["controller", "host", "pace"]
