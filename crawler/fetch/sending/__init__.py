"""The bodies of requests: what is sent of bytes, files and forms, and how it gets onto a connection."""

__all__ = ["body", "producing"]
