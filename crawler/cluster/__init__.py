"""Runs that are divided: lists cut into shards, each done by itself by whatever starts processes, and put together.

Nothing here talks to other processes but through files: a folder of shards, and a folder of parts.
"""

__all__ = ["collecting", "engines", "lease", "manifest", "shared", "sharing", "splitting", "working"]
