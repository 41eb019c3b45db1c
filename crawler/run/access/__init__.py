"""What a Config says of how servers are reached, and as whom: proxies, logins, TLS. Made into parts of fetch."""

__all__ = ["logins", "routing", "trust"]
