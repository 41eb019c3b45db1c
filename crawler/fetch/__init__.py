"""One request becomes one response: deadlines, limits, decoding, redirects; http11 is the agent under treq.

Where a server chooses it, http2 carries the requests of that agent. Imports the vocabulary alone.
"""

__all__ = [
    "archive",
    "auth",
    "budget",
    "cache",
    "connect",
    "cookies",
    "decode",
    "disk",
    "fetcher",
    "heads",
    "http2",
    "http11",
    "limits",
    "proxied",
    "redirect",
    "saving",
    "typed",
]
