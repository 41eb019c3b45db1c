"""As whom one asks: names and passwords, tokens, and the answers to what servers challenge.

Imports the vocabulary alone.
"""

__all__ = ["credentials", "logins", "netrc"]
