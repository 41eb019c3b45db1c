"""What a Config says of how servers are reached, and as whom: proxies, logins, cookies, TLS; made parts of fetch.

And who has archives answer in their place, for tests.
"""

__all__ = ["caching", "cookies", "login", "logins", "routing", "surrounding", "trust"]
