"""The live page: a small page, a WebSocket that shows the run to it, and a JSON API, all with the same verbs."""

__all__ = ["about", "live", "server"]
