"""A run that survives: what is committed when, who holds the folder, how it stands and whether it is whole.

Imports frontier, store, sinks, seeds, config, politeness.
"""

__all__ = ["history", "job", "lock", "options", "status", "verify"]
