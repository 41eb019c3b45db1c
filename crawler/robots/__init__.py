"""What robots.txt allows: its rules, matching them, and reading it once for each origin.

Imports fetch, for redirects, and the vocabulary.
"""

__all__ = ["policy", "rules"]
