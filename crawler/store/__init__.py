"""The state of a job on the disk: the database, its rows, the journal of a run, what is spilled.

Imports seeds, for what an input is, and the vocabulary.
"""

__all__ = ["asks", "batch", "database", "file", "journal", "rows", "seals", "spill"]
