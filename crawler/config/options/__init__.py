"""The options by what they are about; each file goes on with the list of the one below it, and Config ends it."""

__all__ = ["cookies", "crawl", "groups", "monitor", "output", "politeness", "proxy", "request"]
