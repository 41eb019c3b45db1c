"""A folder in place of a server: what is asked for under its URL is looked up on the disk, all else on the net."""

__all__ = ["agent", "folders"]
