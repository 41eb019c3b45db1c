"""What a run counts, and what that says of it: totals, times, hosts, and what binds it.

Imports the vocabulary alone.
"""

__all__ = ["histogram", "newest", "pace", "stats", "whole"]
