"""Bodies that go to the disk while they arrive: what of an answer is wanted, where it grows, how it goes on.

The reactor's thread writes and hashes nothing of them: one other thread does, and who sends waits for it.
"""

__all__ = ["accept", "landing", "scratch", "spool", "spools"]
