"""A node of a crawl over many machines: what a job is to other runs. Its parts, its commits, the inputs that it reads.

Imports what a run imports; `run/parts.py` opens it.
"""

__all__ = ["node", "opening", "widening"]
