"""A crawl over many machines, seen as a whole: the books of the store that its nodes share, and the parts they wrote.

Nothing here is at work on the crawl: it may go on meanwhile.
"""

__all__ = ["collecting", "options", "retrying", "status", "story"]
