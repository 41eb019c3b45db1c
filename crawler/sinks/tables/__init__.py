"""Outputs that are tables: made of a log of lines, which is what counts until they are whole.

A table that has to know all of its rows cannot grow with a run, nor be cut where a run was killed. So records are
written to a log beside it, `FILE.rows`, as JSON Lines are; a job keeps that, as all its outputs.
"""

__all__ = ["arrow", "columns", "log", "logged", "table"]
