"""A copy of sites that reads offline: what was fetched is noted while the run goes on, links are rewritten at its end.

Both live in a hidden folder of the copy, whose name nothing from the network can have.
"""

__all__ = ["elsewhere", "finishing", "recording"]
