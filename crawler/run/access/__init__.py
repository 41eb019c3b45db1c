"""What a Config says of how servers are reached, and as whom: proxies, logins, cookies, TLS; made parts of fetch. What
may be asked at all: the gate, robots.txt.

And who has archives answer in their place, for tests.
"""

__all__ = ["caching", "cookies", "gating", "login", "logins", "routing", "surrounding", "trust"]
