"""One URL's way: admission, gate, fetch, reading, disposition; and the loop that drives it.

Imports the rooms that it drives: frontier, page, robots, seeds, fetch, politeness; of sinks and stats what it tells.
"""

__all__ = [
    "admission",
    "checking",
    "control",
    "disposition",
    "gate",
    "loop",
    "reading",
    "retry",
    "scope",
    "side_requests",
]
