"""HTTP/2 (RFC 9113) for the agent of http11: many exchanges over one connection, where the server chooses it.

It knows nothing of crawler but errors, and of http11 what both share: envelopes, responses, the rules of heads.
"""

__all__ = ["origins"]
