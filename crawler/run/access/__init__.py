"""What a Config says of how servers are reached, and as whom: proxies, logins, cookies, TLS; made parts of fetch."""

__all__ = ["caching", "cookies", "login", "logins", "routing", "trust"]
