"""A private cache (RFC 9111): what may be kept and used is decided in policy, files hold it, fetching asks both."""

__all__ = ["fetching", "store"]
