"""One request becomes one response: deadlines, limits, decoding, redirects; http11 is the agent under treq.

Imports the vocabulary alone.
"""

__all__ = ["auth", "budget", "connect", "decode", "fetcher", "http11", "limits", "proxied", "redirect", "typed"]
